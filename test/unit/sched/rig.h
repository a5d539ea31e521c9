/* test/unit/sched/rig.h -- a real core with a sched beside it, fed as the server's ctl feeds them.
 *
 * Decisions can be held back (in flight) as a journal would, and committed later or never. */
#ifndef MU_TEST_UNIT_SCHED_RIG_H
#define MU_TEST_UNIT_SCHED_RIG_H

#include "core/core.h"
#include "sched/sched.h"
#include "unit/unit.h"

enum { RIG_INFLIGHT_MAX = 4096 };

struct rig {
    struct mu_core *core;
    struct mu_sched *sched;
    struct mu_fx_list fx;
    uint64_t now_ms;
    struct mu_decision inflight[RIG_INFLIGHT_MAX];
    uint32_t inflight_count;
    bool checks;  /* mu_sched_check after every step */
    bool lenient; /* a refusal does not fail the test */
};

/* What differs from one task of 1 cpu by user "u". */
struct ask {
    const char *user, *name;
    int32_t priority;
    uint32_t tasks; /* 0: 1 */
    uint64_t cpu_milli, mem_bytes, gpu_milli, lic;
    const char *label, *prefer, *node, *place;
    const char *const *each; /* ends with NULL */
    uint32_t max_parallel, retries;
    uint64_t after, backoff_ms;
    bool hold;
};
struct box { /* a node */
    const char *name;
    uint64_t cpu_milli, mem_bytes, gpu_milli, lic;
    const char *label, *label2;
};

void rig_init(struct rig *r);
void rig_fini(struct rig *r);
/* Apply an event and tell sched its effects; the id that REPLY named (job, or node). */
uint64_t rig_apply(struct rig *r, enum mu_event_kind kind, const void *msg);
uint32_t rig_node(struct rig *r, struct box box);
uint64_t rig_submit(struct rig *r, struct ask ask);
/* The same where a refusal (impossible, a cycle) is fine: 0. */
uint64_t rig_try_submit(struct rig *r, struct ask ask);
void rig_policy(struct rig *r, const char *kind, const char *name, const char *param);
void rig_quota(struct rig *r, const char *user, uint64_t cpu_milli_max, uint32_t weight);
void rig_drain(struct rig *r, uint32_t node, bool drain);

/* One decision, kept in flight; false if there is none. */
bool rig_decide(struct rig *r, struct mu_decision *out);
/* Commit the i-th in flight. */
void rig_commit(struct rig *r, uint32_t i);
void rig_commit_all(struct rig *r);
/* One decision, committed at once: its node, or -1. */
int rig_place(struct rig *r);
/* Decide and commit until nothing is left to decide; how many. */
uint32_t rig_place_all(struct rig *r);
void rig_started(struct rig *r, uint64_t job, uint32_t ordinal);
void rig_end(struct rig *r, uint64_t job, uint32_t ordinal, uint64_t run_ms, uint32_t exit_code);
static inline bool rig_same(const struct mu_decision *a, const struct mu_decision *b)
{
    return a->job == b->job && a->ordinal == b->ordinal && a->attempt == b->attempt && a->node == b->node;
}
struct mu_why rig_why(struct rig *r, uint64_t job, uint32_t ordinal);

#endif
