/* balance/policy/peak_ewma.c -- response time that jumps up at once and decays slowly, times what is outstanding. */
#include "balance/policy.h"

#include <math.h>

enum { DECAY_SERVICE_TIMES = 100 };

static double decayed(const struct mu_balance *b, double now, const struct mu_instance *i)
{
    return i->peak * exp(-(now - i->peak_at) / (DECAY_SERVICE_TIMES * mu_service_time(b)));
}

void mu_peak_learn(const struct mu_balance *b, double now, struct mu_instance *i, double response)
{
    double keep = exp(-(now - i->peak_at) / (DECAY_SERVICE_TIMES * mu_service_time(b))), c = i->peak * keep;

    i->peak = response > c ? response : c + response * (1 - keep);
    i->peak_at = now;
}

static double peak_cost(const struct mu_balance *b, double now, uint32_t slot)
{
    const struct mu_instance *i = &b->at[slot];
    double e = decayed(b, now, i);

    if (e < 1e-9 * mu_service_time(b)) /* never measured, or long ago: try it, but not twice at a time */
        return i->n == 0 ? 0 : 1e6 + i->n;
    return e * (i->n + 1);
}

static uint32_t pick_peak_ewma(struct mu_balance *b, double now, uint64_t key, const bool *tried)
{
    (void)key;
    return mu_pick_lowest(b, now, tried, peak_cost, b->params.all);
}
const struct mu_policy mu_policy_peak_ewma = {
    "peak-ewma", "of two at random (d=all: of all), the lower peak response time x outstanding", false, pick_peak_ewma
};
