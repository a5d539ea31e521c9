/* sched/place/best_fit.c -- the node with least left, in units of the largest node: large ones stay whole. */
#include "sched/place.h"

enum { ZERO = 1 << 26 };

static uint32_t score(const struct mu_place_view *v, uint32_t node)
{
    uint32_t cost = 0;

    for (uint32_t i = 0; i < v->need->kinds; i++) {
        uint32_t kind = v->need->kind[i];
        uint64_t rest = (uint64_t)*mu_mirror_free(v->mirror, node, kind) - v->need->res.amount[kind];

        cost += mu_share_by(rest, v->mirror->largest_inverse[kind]);
    }
    return ZERO - cost;
}

const struct mu_place_policy mu_place_best_fit = {
    .name = "best-fit",
    .about = "the node with least left, in units of the largest node",
    .pick = MU_PICK_FIRST,
    .tight = true,
    .zero = ZERO,
    .unit = MU_SHARE_ONE,
    .score = score,
};
