/* core/core.h -- the cluster's facts as a pure machine: one committed event in, effects out.
 *
 * What       every job, task, attempt, node, user and policy, and the only code that changes them.
 * Ownership  struct mu_core owns all of it; what an event points to is copied. Effects point into core or
 *            into the event and are valid until the next apply.
 * Time       milliseconds since 1970 from the entry. A stamp older than the last counts as the last.
 * Threads    none: no callbacks, no I/O, no clock, no randomness; integers only in what is recorded.
 * Failure    a refused event is an effect (MU_FX_REPLY with rc < 0 and a sentence), the same on every
 *            replica. A broken invariant aborts.
 * Limits     struct mu_core_limits; full answers MU_BUSY.
 */
#ifndef MU_CORE_CORE_H
#define MU_CORE_CORE_H

#include "base/err.h"
#include "core/event.h"
#include "core/view.h"

struct mu_core;

struct mu_core_limits {
    uint64_t tasks_waiting_max; /* over all jobs */
    uint64_t jobs_max;          /* not yet forgotten */
    uint64_t ended_jobs_max;    /* ended jobs kept; the oldest is forgotten first */
    uint64_t ended_ms;          /* and for how long */
    uint64_t bytes_max;         /* of specs and lines */
};
extern const struct mu_core_limits mu_core_limits_default;

/* What a committed event brought about, in a fixed order. Kinds marked * only the leader acts on. */
enum mu_fx_kind {
    MU_FX_REPLY,      /* * the answer to the event, always its first effect: rc, text, field; job for SUBMIT and PART,
                         existing: it had been done before (key known, part seen); node for NODE_JOIN. None for
                         PLACED STARTED ENDED NODE_LOST DUE LEAD */
    MU_FX_GROUP,      /* job, group: what can be scheduled of it changed (ready, held, cancelled, limits) */
    MU_FX_NODE,       /* node: joined, state, totals or labels changed */
    MU_FX_START,      /* * job, ordinal, attempt, node: the agent is to run it */
    MU_FX_STOP,       /* * job, ordinal, attempt, node, how: the agent is to stop it (grace in its spec) */
    MU_FX_UNPLACED,   /* PLACED did not hold any more: job, ordinal, attempt, node, shape (MU_SHAPE_NONE: the job is
                         gone); its reservation is void */
    MU_FX_FREED,      /* job, ordinal, node, shape: the attempt's resources are free again */
    MU_FX_TASK,       /* job, group, ordinal, count, attempt, node, state: count tasks from ordinal on moved there */
    MU_FX_ENDED,      /* job, group, ordinal, count, attempt, node, state, ended: an attempt is over (for history);
                         state is the task's: final, or BACKOFF/READY when it will be tried again. Tasks that ended
                         without a live attempt come as runs: count of them from ordinal, attempt 0, MU_NODE_NONE.
                         stage times submitted_ms, placed_ms beside it */
    MU_FX_JOB,        /* job: its state changed (submitted, complete, held, first start, ended, retried) */
    MU_FX_FORGET,     /* job: gone from core now */
    MU_FX_POLICY,     /* text: kind ("order", "place") */
    MU_FX_USER,       /* user: quota or weight changed */
};
struct mu_fx {
    enum mu_fx_kind kind;
    enum mu_rc rc;
    uint64_t job;
    uint32_t ordinal, count, group, attempt, node, shape, user;
    enum mu_task_state state;
    enum mu_end how;
    bool existing;
    uint64_t submitted_ms, placed_ms;       /* ENDED */
    const struct mu_ev_ended *ended;        /* ENDED; synthesised for lost nodes and cancelled waits */
    const char *text;                       /* REPLY: why not, else NULL; owned by core until the next apply */
    const char *field;
};
struct mu_fx_list {
    struct mu_fx *at;
    uint32_t count, cap;
};
void mu_fx_fini(struct mu_fx_list *fx);

struct mu_core *mu_core_new(const struct mu_core_limits *limits);
void mu_core_free(struct mu_core *core);

/* Apply one event of a committed entry with the entry's time; out is overwritten. */
void mu_core_apply(struct mu_core *core, uint64_t now_ms, const struct mu_event *ev, struct mu_fx_list *out);
/* When MU_EV_DUE is next needed, UINT64_MAX if never. */
uint64_t mu_core_wake_ms(const struct mu_core *core);
/* The same refusals as apply would give, without changing anything: lets the leader refuse before proposing.
 * MU_IMPOSSIBLE: no node known, up or not, could ever hold it (only when there are nodes). */
enum mu_rc mu_core_admit(const struct mu_core *core, const struct mu_job_spec *spec, struct mu_err *err);

/* Snapshot: the whole state as bytes; load into a new core. The caller owns b. */
void mu_core_save(const struct mu_core *core, struct mu_buf *b);
enum mu_rc mu_core_load(struct mu_core *core, const void *bytes, size_t size, struct mu_err *err);
/* Equal on all replicas that applied the same entries. O(state). */
uint64_t mu_core_hash(const struct mu_core *core);
/* Assert every invariant, ledger recomputed from zero included. O(state); for tests and the simulator. */
void mu_core_check(const struct mu_core *core);

#endif
