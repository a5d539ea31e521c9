/* sched/place.c -- the table of placement policies. */
#include "sched/place.h"

#include "base/assert.h"

static const struct mu_place_policy *const policies[] = {
    &mu_place_pack, /* the default */
    &mu_place_spread,
    &mu_place_least_load,
    &mu_place_least_response_time,
    &mu_place_random,
    &mu_place_round_robin,
    &mu_place_best_fit,
    &mu_place_dot,
};
_Static_assert(MU_COUNT(policies) <= MU_PLACES_MAX, "one counter a policy");

const struct mu_place_policy *mu_place_at(uint32_t i)
{
    return i < MU_COUNT(policies) ? policies[i] : NULL;
}

uint32_t mu_place_find(struct mu_str name)
{
    for (uint32_t i = 0; i < MU_COUNT(policies); i++)
        if (mu_str_is(name, policies[i]->name))
            return i;
    return UINT32_MAX;
}
