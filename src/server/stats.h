/* server/stats.h -- how long things take and how many there are: now, over the last minutes, and in all.
 *
 * What       histograms of the stages of a task's life, counters of ends, of journal appends and of decisions.
 * Ownership  plain value; slots are allocated when something falls into them and freed when they are too old.
 * Time       boottime ms is an argument and never goes back.
 * Threads    none.   Failure  none.
 * Limits     MU_STATS_SLOTS slots of MU_STATS_SLOT_MS: windows up to a quarter of an hour.
 */
#ifndef MU_SERVER_STATS_H
#define MU_SERVER_STATS_H

#include "base/hist.h"
#include "core/types.h"

enum { MU_STATS_SLOT_MS = 10000, MU_STATS_SLOTS = 90 };

#define MU_STAGE_MAP(X)                                                                      \
    X(ACCEPT, "accept")     /* request read until its answer: durable */                     \
    X(QUEUE, "queue")       /* submitted until placed */                                     \
    X(START, "start")       /* placed until running */                                       \
    X(RUN, "run")           /* running until ended */                                        \
    X(RESPONSE, "response") /* submitted until its end is a fact */
#define X(name, text) MU_STAGE_##name,
enum mu_stage { MU_STAGE_MAP(X) MU_STAGES };
#undef X
const char *mu_stage_text(enum mu_stage s);

struct mu_stats_slot {
    struct mu_hist stage[MU_STAGES]; /* microseconds */
    struct mu_hist append;
    uint64_t ended;                  /* tasks in a final state */
};

struct mu_stats {
    uint64_t start_ms;
    struct mu_stats_slot *slots[MU_STATS_SLOTS];
    uint64_t slot_no[MU_STATS_SLOTS];  /* time / MU_STATS_SLOT_MS */
    struct mu_stats_slot total;        /* of slots that were freed */
    uint64_t ended[MU_TASK_STATES];
    uint64_t decisions, decide_us;
};

void mu_stats_init(struct mu_stats *s, uint64_t now_ms);
void mu_stats_fini(struct mu_stats *s);
void mu_stats_stage(struct mu_stats *s, uint64_t now_ms, enum mu_stage stage, uint64_t us);
void mu_stats_append(struct mu_stats *s, uint64_t now_ms, uint64_t us);
void mu_stats_ended(struct mu_stats *s, uint64_t now_ms, enum mu_task_state state, uint32_t count);
/* What fell into the last window_ms, rounded up to whole slots; *out_ms is the time it really covers. */
void mu_stats_window(struct mu_stats *s, uint64_t now_ms, uint64_t window_ms, struct mu_stats_slot *out, uint64_t *out_ms);
/* Since the start. */
void mu_stats_total(struct mu_stats *s, struct mu_stats_slot *out);

#endif
