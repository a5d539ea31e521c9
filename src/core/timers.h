/* core/timers.h -- what is due when: ends of back-offs by task, deadlines by job.
 *
 * What       at most one time a key; the earliest comes first, at equal times the smaller key.
 * Ownership  the set owns its timers.   Time  milliseconds, given.   Threads  none.
 * Failure    no memory aborts.   Limits  2^31 timers.
 */
#ifndef MU_CORE_TIMERS_H
#define MU_CORE_TIMERS_H

#include "base/heap.h"
#include "base/map.h"
#include "core/types.h"

#define MU_TIMER_DEADLINE (UINT64_C(1) << 63) /* a job's: this | its id; else a task's key */

struct mu_timers {
    struct mu_heap heap;
    struct mu_map by_key;
};

void mu_timers_fini(struct mu_timers *t);
void mu_timers_set(struct mu_timers *t, uint64_t key, uint64_t due_ms);
void mu_timers_clear(struct mu_timers *t, uint64_t key);
/* 0 when there is none. */
uint64_t mu_timers_due(const struct mu_timers *t, uint64_t key);
/* The earliest; false: none. */
bool mu_timers_first(const struct mu_timers *t, uint64_t *out_key, uint64_t *out_due_ms);

#endif
