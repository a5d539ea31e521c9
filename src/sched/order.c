/* sched/order.c -- the table of order policies. */
#include "sched/order.h"

#include "base/assert.h"

static const struct mu_order_policy *const policies[] = {
    &mu_order_fifo, /* the default */
    &mu_order_fair,
};

const struct mu_order_policy *mu_order_at(uint32_t i)
{
    return i < MU_COUNT(policies) ? policies[i] : NULL;
}

uint32_t mu_order_find(struct mu_str name)
{
    for (uint32_t i = 0; i < MU_COUNT(policies); i++)
        if (mu_str_is(name, policies[i]->name))
            return i;
    return UINT32_MAX;
}
