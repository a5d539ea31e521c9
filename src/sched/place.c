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

void mu_need_init(struct mu_need *need, const struct mu_res *res)
{
    *need = (struct mu_need){ .res = *res };
    for (uint8_t k = 0; k < MU_RES_MAX; k++) {
        bool asked = k == MU_RES_CPU || res->amount[k] > 0;

        if (k < MU_MIRROR_KINDS)
            need->least[k] = asked ? (int64_t)res->amount[k] : INT64_MIN;
        if (asked)
            need->kind[need->kinds++] = k;
        need->named = need->named || (asked && k >= MU_MIRROR_KINDS);
    }
}

bool mu_place_fits_named(const struct mu_mirror *m, uint32_t node, const struct mu_need *need)
{
    for (uint32_t i = 0; i < need->kinds; i++)
        if (*mu_mirror_free(m, node, need->kind[i]) < (int64_t)need->res.amount[need->kind[i]])
            return false;
    return true;
}
