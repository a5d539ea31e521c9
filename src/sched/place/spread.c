/* sched/place/spread.c -- the node with most left: room for bursts, and little lost when a node dies. */
#include "sched/place.h"

static uint32_t score(const struct mu_place_view *v, uint32_t node)
{
    return 1 + mu_place_rest_sum(v, node);
}

const struct mu_place_policy mu_place_spread = {
    .name = "spread",
    .about = "the node with the largest shares left",
    .pick = MU_PICK_FIRST,
    .zero = 1,
    .unit = MU_SHARE_ONE,
    .score = score,
};
