/* sched/place.h -- placement policies: which of the nodes that have room.
 *
 * What       a policy scores one node for one need; the highest score wins. `place.c` has the table.
 * Ownership  nothing is kept: a score depends on the view alone.
 * Time       none; speeds are learned by the mirror.   Threads  none.   Failure  none.
 * Limits     scores are integers 1..MU_SCORE_MAX, so that every machine decides alike.
 *
 * A new policy is one file in place/ and one row in place.c.
 */
#ifndef MU_SCHED_PLACE_H
#define MU_SCHED_PLACE_H

#include "sched/mirror.h"
#include "sched/param.h"

enum {
    MU_SCORE_BITS = 28,
    MU_SCORE_MAX = (1 << MU_SCORE_BITS) - 1,
    MU_SCORE_TIER = 1 << (MU_SCORE_BITS - 1), /* a policy may put some nodes above all others with it */
    MU_WISHES_MAX = 7, /* preferred labels counted, above the score's bits; a tree takes 31 in all */
};

/* What a task asks: cpu always, and each other kind with an amount above 0. */
struct mu_need {
    struct mu_res res;
    int64_t least[MU_MIRROR_KINDS]; /* what must be free; INT64_MIN where nothing is asked */
    uint32_t kinds;
    bool named;                     /* asks for kinds beyond those */
    uint8_t kind[MU_RES_MAX];
};
void mu_need_init(struct mu_need *need, const struct mu_res *res);

struct mu_place_view {
    const struct mu_mirror *mirror;
    const struct mu_need *need;
    const uint64_t *param;
};

enum mu_pick {
    MU_PICK_FIRST, /* the lowest id of the best */
    MU_PICK_ANY,   /* one of the best, uniformly */
    MU_PICK_NEXT,  /* the next of the best after the node chosen last */
};

struct mu_place_policy {
    const char *name, *about;
    const struct mu_param *params;
    uint32_t param_count;
    enum mu_pick pick;
    bool tight;    /* fills nodes up: a search that cannot see all nodes starts at the first */
    uint32_t zero; /* the score that people read as 0 */
    uint32_t unit; /* and what they read as 1 */
    /* Without room on the node any number will do: the caller makes it 0. */
    uint32_t (*score)(const struct mu_place_view *v, uint32_t node);
};

extern const struct mu_place_policy mu_place_random, mu_place_round_robin, mu_place_least_load,
    mu_place_least_response_time, mu_place_pack, mu_place_spread, mu_place_best_fit, mu_place_dot;

/* The i-th policy, NULL past the end; index by name, UINT32_MAX if there is none. */
const struct mu_place_policy *mu_place_at(uint32_t i);
uint32_t mu_place_find(struct mu_str name);

enum { MU_PLACES_MAX = 16 };

bool mu_place_fits_named(const struct mu_mirror *m, uint32_t node, const struct mu_need *need);
static inline bool mu_place_fits(const struct mu_mirror *m, uint32_t node, const struct mu_need *need)
{
    const int64_t *has = m->nodes[node].free, *least = need->least;
    bool fits = (has[0] >= least[0]) & (has[1] >= least[1]) & (has[2] >= least[2]); /* no branches to guess */

    return fits && (!need->named || mu_place_fits_named(m, node, need));
}
_Static_assert(MU_MIRROR_KINDS == 3, "three compares");
/* What would be left of the i-th kind asked once the task is there, as a share of the node's total. */
static inline uint32_t mu_place_rest(const struct mu_place_view *v, uint32_t node, uint32_t i)
{
    uint32_t kind = v->need->kind[i];
    uint64_t rest = (uint64_t)*mu_mirror_free(v->mirror, node, kind) - v->need->res.amount[kind];

    if (kind < MU_MIRROR_KINDS)
        return mu_share_by(rest, v->mirror->nodes[node].inverse[kind]);
    uint64_t total = mu_mirror_total(v->mirror, node, kind);
    return total < rest || total == 0 ? 0 : (uint32_t)((unsigned __int128)rest * (MU_SHARE_ONE - 1) / total);
}
/* The sum of these. */
static inline uint32_t mu_place_rest_sum(const struct mu_place_view *v, uint32_t node)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < v->need->kinds; i++)
        sum += mu_place_rest(v, node, i);
    return sum;
}

#endif
