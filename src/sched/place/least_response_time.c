/* sched/place/least_response_time.c -- the node that has been fastest against prediction.
 *
 * All nodes are compared, not two: a node that is full is out, and that alone prevents the herd. */
#include "sched/place.h"

static uint32_t score(const struct mu_place_view *v, uint32_t node)
{
    return 1 + MU_SPEED_MAX - v->mirror->nodes[node].slow;
}

const struct mu_place_policy mu_place_least_response_time = {
    .name = "least-response-time",
    .about = "the node whose tasks ran shortest against their prediction",
    .pick = MU_PICK_FIRST,
    .zero = 1 + MU_SPEED_MAX,
    .unit = MU_SHARE_ONE,
    .score = score,
};
