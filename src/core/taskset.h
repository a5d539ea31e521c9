/* core/taskset.h -- the states of a group's tasks, four bits each, that cost what their frontier costs.
 *
 * What       pages of 1,024 tasks; a page whose tasks all share one state has no memory. Counts by state for the
 *            whole and for each page make counting O(1) and next() fast. A single task is stored inline.
 * Ownership  the set owns its pages.   Time, Threads  none.
 * Failure    an index outside is a bug; no memory aborts.   Limits  MU_TASKS_PER_JOB_MAX tasks.
 */
#ifndef MU_CORE_TASKSET_H
#define MU_CORE_TASKSET_H

#include "core/types.h"

enum { MU_TASKSET_PAGE = 1024 };

struct mu_taskset_pages;
struct mu_taskset {
    uint32_t tasks;
    uint8_t one;                    /* the state of a single task */
    struct mu_taskset_pages *pages; /* of two and more */
};

void mu_taskset_init(struct mu_taskset *s, uint32_t tasks, enum mu_task_state state);
void mu_taskset_fini(struct mu_taskset *s);
/* More tasks at the end. */
void mu_taskset_grow(struct mu_taskset *s, uint32_t more, enum mu_task_state state);
enum mu_task_state mu_taskset_get(const struct mu_taskset *s, uint32_t i);
void mu_taskset_set(struct mu_taskset *s, uint32_t i, enum mu_task_state to);
/* The tasks [first, first + count), whatever they were; whole pages at a time. */
void mu_taskset_set_run(struct mu_taskset *s, uint32_t first, uint32_t count, enum mu_task_state to);
uint32_t mu_taskset_count(const struct mu_taskset *s, enum mu_task_state state);
/* First task >= from of that state; UINT32_MAX none. */
uint32_t mu_taskset_next(const struct mu_taskset *s, enum mu_task_state state, uint32_t from);
/* How many tasks from `from` on, below `end`, share its state. */
uint32_t mu_taskset_run(const struct mu_taskset *s, uint32_t from, uint32_t end, enum mu_task_state *out_state);
/* What is wrong with its counts, NULL nothing. O(tasks of mixed pages + pages). */
const char *mu_taskset_flaw(const struct mu_taskset *s);

#endif
