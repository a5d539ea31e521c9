/* sched/sched.h -- which task next, and on which node; with the reservations of what is decided but not yet committed.
 *
 * What       order policies and placement policies over a read-only view of core; explain.
 * Ownership  struct mu_sched owns its mirror: per node what is free after committed *and* decided work, per shape
 *            a tree of nodes, per group which ready tasks are taken. core must outlive it.
 * Time       now_ms is an argument.   Threads  none.
 * Failure    none: what cannot be decided is "nothing".
 * Limits     those of core. Chance comes from the seed given.
 *
 * The caller reports every committed effect that matters (node, group, freed, unplaced, placed) and asks
 * mu_sched_next until it says no. Decisions are reservations at once; mu_sched_reset forgets them all and
 * reads core anew (after losing or gaining the lead).
 */
#ifndef MU_SCHED_SCHED_H
#define MU_SCHED_SCHED_H

#include "base/err.h"
#include "base/str.h"
#include "core/view.h"

struct mu_sched;

struct mu_sched *mu_sched_new(const struct mu_core *core, uint64_t seed);
void mu_sched_free(struct mu_sched *s);
void mu_sched_reset(struct mu_sched *s);

/* Choose policies: kind "order" or "place". MU_INVALID names the parameter; nothing changed then. */
enum mu_rc mu_sched_policy_set(struct mu_sched *s, struct mu_str kind, struct mu_str name,
                               const struct mu_strs *params, struct mu_err *err);
/* Does this policy exist and take these parameters? The same test without changing anything. */
enum mu_rc mu_sched_policy_check(struct mu_str kind, struct mu_str name, const struct mu_strs *params, struct mu_err *err);
/* The i-th policy of a kind: name and one line about it; NULL past the end. */
const char *mu_sched_policy_name(const char *kind, uint32_t i, const char **out_about);

/* Committed effects. */
void mu_sched_on_node(struct mu_sched *s, uint32_t node);
void mu_sched_on_quota(struct mu_sched *s); /* some user's quota or weight changed (MU_EV_QUOTA applied) */
/* No fact, but known here: nobody could tell this node of new work now (its connection is gone, its lease not over).
 * It is left out until it is heard again; a reset does not change that. */
void mu_sched_node_silent(struct mu_sched *s, uint32_t node, bool silent);
void mu_sched_on_group(struct mu_sched *s, uint64_t job, uint32_t group);
void mu_sched_on_placed(struct mu_sched *s, uint64_t job, uint32_t ordinal); /* a decision became a fact */
void mu_sched_on_unplaced(struct mu_sched *s, uint64_t job, uint32_t ordinal, uint32_t node, uint32_t shape);
/* The task is named so that its user's quota and its group's max_parallel are looked at again. */
void mu_sched_on_freed(struct mu_sched *s, uint64_t job, uint32_t ordinal, uint32_t node, uint32_t shape);
void mu_sched_on_ended(struct mu_sched *s, uint32_t node, uint32_t shape, uint64_t run_us, bool ok); /* learn speeds */

struct mu_decision {
    uint64_t job;
    uint32_t ordinal, attempt, node;
};
/* The next decision, already reserved in the mirror; false: nothing can start now. */
bool mu_sched_next(struct mu_sched *s, uint64_t now_ms, struct mu_decision *out);

/* Why a task waits, or why it ran where it did. */
enum mu_why_kind {
    MU_WHY_HELD, MU_WHY_DEPENDENCY, MU_WHY_BACKOFF, MU_WHY_MAX_PARALLEL, MU_WHY_QUOTA, MU_WHY_NO_NODES,
    MU_WHY_CONSTRAINT, MU_WHY_RESOURCE, MU_WHY_IMPOSSIBLE, MU_WHY_ORDER, MU_WHY_NEXT, MU_WHY_LIVE, MU_WHY_ENDED,
    MU_WHY_OPEN, MU_WHY_NODE_GONE,
};
struct mu_why {
    enum mu_why_kind kind;
    char text[400];          /* the whole answer in a sentence or two */
    char nearest[200];       /* the node that misses least, and what it misses; "" none */
    char frees[200];         /* what would make room */
    uint64_t estimate_ms;    /* from now until it starts; UINT64_MAX: no basis */
    char basis[160];         /* of the estimate */
    uint32_t nodes_allowed, nodes_total, nodes_could; /* constraint allows; all; large enough when empty */
    uint32_t ahead;          /* tasks of the same or higher rank before it, capped */
};
void mu_sched_explain(struct mu_sched *s, uint64_t job, uint32_t ordinal, uint64_t now_ms, struct mu_why *out);

/* Decisions so far, for metrics: all, and those of the i-th placement policy (mu_sched_policy_name). */
uint64_t mu_sched_decisions(const struct mu_sched *s);
uint64_t mu_sched_decisions_by(const struct mu_sched *s, uint32_t place);
/* Assert mirror == core's free - decided but uncommitted, trees == plain scan. O(all); tests and simulator. */
void mu_sched_check(const struct mu_sched *s);

#endif
