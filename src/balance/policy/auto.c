/* balance/policy/auto.c -- the default: (in flight + 1)^2 x learned latency, raised by failures; see doc/balancing.md.
 *
 * Why squared: the first improvement step over the best static split orders by (n + 1)/sqrt(mu), which is the order of
 * (n + 1)^2/mu. Exponent 1 helps each request itself and all together less. */
#include "balance/policy.h"

#include <math.h>

static const double aging = 300;        /* T_a in service times: how long latency and failures are believed */
static const double seen_max = 64;
static const double failing_step = 0.05, group_step = 0.002, others_step = 0.01;

static double believed(const struct mu_balance *b, double now, double since)
{
    return exp(-(now - since) / fmax(1.0, aging * mu_service_time(b)));
}

double mu_auto_score(const struct mu_balance *b, double now, uint32_t slot)
{
    const struct mu_instance *i = &b->at[slot];
    double old = believed(b, now, i->heard_at), w = i->seen * old, g = b->group_latency;
    double latency = (w * i->latency + 2 * g) / (w + 2), e = i->failing * old;
    double q = mu_inflight(b, now, i) + 1, queue = b->params.exponent == 2 ? q * q : pow(q, b->params.exponent);

    if (g == 0) /* nothing is known of anybody: only the queue counts */
        return queue;
    return queue * (latency + 10 * g * e) / (1.01 - e);
}

static void learn_latency(struct mu_balance *b, double now, struct mu_instance *i, double response, double ahead)
{
    double x = response / (ahead + 1);

    if (i->seen > 3)
        x = fmin(x, 4 * i->latency); /* heavy tails tell little about the instance */
    i->seen = fmin(seen_max, i->seen * believed(b, now, i->heard_at) + 1);
    i->latency += (x - i->latency) / i->seen;
    b->group_latency = b->group_latency == 0 ? x : b->group_latency + group_step * (x - b->group_latency);
}

void mu_auto_learn(struct mu_balance *b, double now, struct mu_instance *i, double response, double ahead, bool ok, double inflight)
{
    if (ok)
        learn_latency(b, now, i, response, ahead);
    i->failing = i->failing * (i->failing > 0 ? believed(b, now, i->heard_at) : 1);
    i->failing += failing_step * ((ok ? 0 : 1) - i->failing);
    i->heard_at = now;
    if (inflight >= 0) {
        i->others = fmax(0, inflight - i->n);
        i->others_at = now;
        b->group_others += others_step * (i->others - b->group_others);
    }
}

static uint32_t pick_auto(struct mu_balance *b, double now, uint64_t key, const bool *tried)
{
    (void)key;
    return mu_pick_lowest(b, now, tried, mu_auto_score, true);
}
const struct mu_policy mu_policy_auto = {
    "auto", "learns queue, speed and failures of each instance; the default", true, pick_auto
};
