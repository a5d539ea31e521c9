/* sched/place/random.c -- any node with room, all equally likely. */
#include "sched/place.h"

static uint32_t score(const struct mu_place_view *v, uint32_t node)
{
    (void)v;
    (void)node;
    return 1;
}

const struct mu_place_policy mu_place_random = {
    .name = "random",
    .about = "any node with room, all equally likely",
    .pick = MU_PICK_ANY,
    .zero = 1,
    .unit = 1,
    .score = score,
};
