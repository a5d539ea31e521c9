/* sched/place/least_load.c -- the node whose scarcest resource would have the largest share left. */
#include "sched/place.h"

static uint32_t score(const struct mu_place_view *v, uint32_t node)
{
    uint32_t least = MU_SHARE_ONE;

    for (uint32_t i = 0; i < v->need->kinds; i++) {
        uint32_t rest = mu_place_rest(v, node, i);

        least = rest < least ? rest : least;
    }
    return 1 + least;
}

const struct mu_place_policy mu_place_least_load = {
    .name = "least-load",
    .about = "the node whose scarcest resource has the largest share left",
    .pick = MU_PICK_FIRST,
    .zero = 1,
    .unit = MU_SHARE_ONE,
    .score = score,
};
