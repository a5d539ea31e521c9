/* journal/memory/memory.h -- a journal in memory, shared by several handles, with faults on demand.
 *
 * What       a world of named stores (url "memory:NAME", mu_journal_options.memory) and the switches that a test or the
 *            simulator turns: every request and reply is a packet that may be late, lost, doubled or cut off; a handle
 *            may crash between any two steps; a store may be full, damaged or shortened. Same seed, same course.
 * Ownership  the world owns the stores; it outlives its handles. Packets of a closed or crashed handle stay on their way.
 * Time       packets travel on the world's host, time-outs run on the handle's host; both only through post and after.
 * Threads    none; one loop.
 * Failure    a request without an answer for timeout_ms is UNKNOWN, as with a real engine.
 * Limits     record 16 MiB, chunk 1 MiB, 8 in flight.
 */
#ifndef MU_JOURNAL_MEMORY_H
#define MU_JOURNAL_MEMORY_H

#include "journal/journal.h"

/* Chances are in thousandths, drawn per packet. A cut direction loses all. */
struct mu_memory_faults {
    uint32_t delay_min_ms, delay_max_ms;     /* each way; packets of one handle keep their order, unless they overtake */
    uint32_t lose_request, lose_reply;
    uint32_t twice_request, twice_reply;     /* the second copy comes up to late_max_ms later, out of order */
    uint32_t late_max_ms;
    bool overtake;                           /* no order: as over several connections */
    bool cut_request, cut_reply;
};

struct mu_memory_settings {
    uint64_t seed;
    uint32_t lease_ms, timeout_ms, wait_ms; /* 0: 3000, 1000, 5000 */
};

struct mu_memory *mu_memory_new(const struct mu_journal_host *host, const struct mu_memory_settings *settings);
/* All handles are closed or crashed. Accepts NULL. */
void mu_memory_free(struct mu_memory *m);

/* Of one handle, from now on. */
void mu_memory_faults_set(struct mu_journal *j, const struct mu_memory_faults *faults);
/* The process dies here: the handle is gone without any callback; its packets are still on their way. */
void mu_memory_crash(struct mu_journal *j);
/* The next request of this handle meets a broken disk: on_fatal. */
void mu_memory_break(struct mu_journal *j);

/* Of one store, made if there is none yet. quota 0: no limit; below what is used: full. */
void mu_memory_quota_set(struct mu_memory *m, const char *name, uint64_t bytes);
uint64_t mu_memory_used(struct mu_memory *m, const char *name);

enum mu_memory_part { MU_MEMORY_RECORD, MU_MEMORY_CHUNK, MU_MEMORY_MANIFEST };
/* Flip one bit of record seq, of a chunk by index, or of a manifest (of the newest snapshot). False: no such thing. */
bool mu_memory_flip(struct mu_memory *m, const char *name, enum mu_memory_part part, uint64_t key, uint64_t bit);
/* The last count records never were. */
void mu_memory_lose_tail(struct mu_memory *m, const char *name, uint64_t count);
/* What is in the store, for oracles: first and last seq (0, 0 when empty); the bytes of a record, NULL when absent. */
void mu_memory_span(struct mu_memory *m, const char *name, uint64_t *out_first, uint64_t *out_last);
const uint8_t *mu_memory_record(struct mu_memory *m, const char *name, uint64_t seq, size_t *out_size);

#endif
