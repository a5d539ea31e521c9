/* sched/place/dot.c -- the node whose free resources point the same way as the demand (dot product). */
#include "sched/place.h"

/* A product of two shares has 32 fraction bits; 22 of them leave room for the sum over all kinds. */
enum { DROPPED = 10 };

static uint32_t score(const struct mu_place_view *v, uint32_t node)
{
    uint32_t sum = 1;

    for (uint32_t i = 0; i < v->need->kinds; i++) {
        uint32_t kind = v->need->kind[i];
        uint64_t inverse = v->mirror->largest_inverse[kind];
        uint64_t rest = mu_share_by((uint64_t)*mu_mirror_free(v->mirror, node, kind), inverse);

        sum += (uint32_t)(rest * mu_share_by(v->need->res.amount[kind], inverse) >> DROPPED);
    }
    return sum;
}

const struct mu_place_policy mu_place_dot = {
    .name = "dot",
    .about = "the node whose free resources match the demand best (dot product)",
    .pick = MU_PICK_FIRST,
    .zero = 1,
    .unit = 1 << (32 - DROPPED),
    .score = score,
};
