/* sched/place/round_robin.c -- the next node with room after the one chosen last. */
#include "sched/place.h"

static uint32_t score(const struct mu_place_view *v, uint32_t node)
{
    (void)v;
    (void)node;
    return 1;
}

const struct mu_place_policy mu_place_round_robin = {
    .name = "round-robin",
    .about = "the next node with room, in turn",
    .pick = MU_PICK_NEXT,
    .zero = 1,
    .unit = 1,
    .score = score,
};
