/* balance/policy/simple.c -- the short rules: random, round robin, weighted, least load, least response time, two choices. */
#include "balance/policy.h"

#include <math.h>

static uint32_t pick_random(struct mu_balance *b, double now, uint64_t key, const bool *tried)
{
    (void)key;
    return mu_pick_any(b, now, tried, MU_NO_SLOT);
}
const struct mu_policy mu_policy_random = { "random", "any instance, all alike", false, pick_random };

static uint32_t pick_round_robin(struct mu_balance *b, double now, uint64_t key, const bool *tried)
{
    (void)key;
    if (b->cursor == UINT32_MAX) /* balancers must not march in step */
        b->cursor = mu_rng_below(&b->rng, b->count);
    for (uint32_t k = 0; k < b->count; k++) {
        uint32_t slot = b->cursor % b->count;
        b->cursor = (slot + 1) % b->count;
        if (mu_pick_may(b, now, slot, tried))
            return slot;
    }
    return MU_NO_SLOT;
}
const struct mu_policy mu_policy_round_robin = { "round-robin", "one after the other", false, pick_round_robin };

/* Smooth weighted round robin: every turn all gain their weight, the richest is picked and pays for all. */
static uint32_t pick_weighted(struct mu_balance *b, double now, uint64_t key, const bool *tried)
{
    uint32_t best = MU_NO_SLOT;
    double sum = 0;
    (void)key;

    for (uint32_t slot = 0; slot < b->count; slot++) {
        struct mu_instance *i = &b->at[slot];
        if (!mu_pick_may(b, now, slot, tried))
            continue;
        i->turn += i->weight;
        sum += i->weight;
        if (best == MU_NO_SLOT || i->turn > b->at[best].turn)
            best = slot;
    }
    if (best != MU_NO_SLOT)
        b->at[best].turn -= sum;
    return best;
}
const struct mu_policy mu_policy_weighted = { "weighted", "one after the other, in proportion to weights", false, pick_weighted };

static double load_cost(const struct mu_balance *b, double now, uint32_t slot)
{
    (void)now;
    return (b->at[slot].n + 1) / b->at[slot].weight;
}

static uint32_t pick_least_load(struct mu_balance *b, double now, uint64_t key, const bool *tried)
{
    (void)key;
    return mu_pick_lowest(b, now, tried, load_cost, true);
}
const struct mu_policy mu_policy_least_load = { "least-load", "the one with the fewest requests outstanding", false, pick_least_load };

static uint32_t pick_p2c(struct mu_balance *b, double now, uint64_t key, const bool *tried)
{
    (void)key;
    return mu_pick_lowest(b, now, tried, load_cost, false);
}
const struct mu_policy mu_policy_p2c = { "p2c", "of two at random, the one with fewer outstanding", false, pick_p2c };

static double ewma_cost(const struct mu_balance *b, double now, uint32_t slot)
{
    (void)now;
    return b->at[slot].ewma;
}

/* Over all instances (d=all) this herds: everything goes to one until its slow answers come back. Hence two by default. */
static uint32_t pick_least_response_time(struct mu_balance *b, double now, uint64_t key, const bool *tried)
{
    (void)key;
    return mu_pick_lowest(b, now, tried, ewma_cost, b->params.all);
}
const struct mu_policy mu_policy_least_response_time = {
    "least-response-time", "of two at random, the one that answered faster (d=all: of all; unstable)", false, pick_least_response_time
};
