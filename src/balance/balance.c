/* balance/balance.c -- the group: slots, outstanding counts, ejection, and what policies share; see balance.h. */
#include "balance/policy.h"

#include "base/assert.h"
#include "base/units.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { FAILURES_OUT = 5, OUT_SERVICE_TIMES = 30, OUT_DOUBLINGS = 6, RANDOM_TRIES = 8 };

static const struct mu_policy *const policies[] = {
    &mu_policy_auto, &mu_policy_random, &mu_policy_round_robin, &mu_policy_weighted, &mu_policy_least_load,
    &mu_policy_least_response_time, &mu_policy_p2c, &mu_policy_peak_ewma, &mu_policy_prequal, &mu_policy_hash,
};

struct mu_balance *mu_balance_new(uint64_t seed)
{
    struct mu_balance *b = calloc(1, sizeof *b);

    MU_ASSERT(b != NULL);
    mu_rng_seed(&b->rng, seed);
    b->cursor = UINT32_MAX; /* set at random when the first request comes */
    MU_ASSERT(mu_balance_policy(b, MU_STR_LIT("auto"), NULL, 0, NULL) == MU_OK);
    return b;
}

void mu_balance_free(struct mu_balance *b)
{
    if (b == NULL)
        return;
    free(b->at);
    free(b->ring);
    free(b);
}

void mu_balance_probe(struct mu_balance *b, mu_balance_probe_fn *probe, void *arg)
{
    b->probe = probe;
    b->probe_arg = arg;
}

static bool number(struct mu_str text, double low, double high, double *out)
{
    uint64_t milli;

    if (!mu_parse_milli(text, &milli) || (double)milli / 1000 < low || (double)milli / 1000 > high)
        return false;
    *out = (double)milli / 1000;
    return true;
}

static enum mu_rc read_param(struct mu_policy_params *p, struct mu_str word, struct mu_err *err)
{
    struct mu_str value = { 0 }, key = mu_str_cut(word, '=', &value);
    uint64_t ms;

    if (mu_str_is(key, "exponent") && number(value, 1, 4, &p->exponent))
        return MU_OK;
    if (mu_str_is(key, "bound") && number(value, 1.01, 100, &p->bound))
        return MU_OK;
    if (mu_str_is(key, "d") && (mu_str_is(value, "all") || mu_str_is(value, "2"))) {
        p->all = mu_str_is(value, "all");
        return MU_OK;
    }
    if (mu_str_is(key, "eject") && (mu_str_is(value, "on") || mu_str_is(value, "off"))) {
        p->eject = mu_str_is(value, "on");
        return MU_OK;
    }
    if (mu_str_is(key, "ramp") && mu_parse_duration(value, &ms)) {
        p->ramp = (double)ms / 1000;
        return MU_OK;
    }
    return mu_fail_at(err, MU_INVALID, "params", "\"" MU_STR_FMT "\" is none of exponent=1..4 bound=1.01..100 d=2|all eject=on|off ramp=DURATION",
                      MU_STR_ARG(word));
}

enum mu_rc mu_balance_policy(struct mu_balance *b, struct mu_str name, const struct mu_str *params, uint32_t count, struct mu_err *err)
{
    const struct mu_policy *found = NULL;
    struct mu_policy_params p = { .exponent = 2, .bound = 1.25 };

    for (size_t i = 0; i < MU_COUNT(policies); i++)
        if (mu_str_is(name, policies[i]->name))
            found = policies[i];
    if (found == NULL)
        return mu_fail_at(err, MU_INVALID, "name", "there is no balance policy \"" MU_STR_FMT "\"", MU_STR_ARG(name));
    p.eject = found->eject;
    for (uint32_t i = 0; i < count; i++)
        if (read_param(&p, params[i], err) != MU_OK)
            return MU_INVALID;
    b->policy = found;
    b->params = p;
    b->probes_count = 0;
    return MU_OK;
}

const char *mu_balance_policy_now(const struct mu_balance *b)
{
    return b->policy->name;
}

const char *mu_balance_policy_name(uint32_t i, const char **out_about)
{
    if (i >= MU_COUNT(policies))
        return NULL;
    if (out_about != NULL)
        *out_about = policies[i]->about;
    return policies[i]->name;
}

uint32_t mu_balance_add(struct mu_balance *b, double now, double weight, uint64_t hash)
{
    uint32_t slot = 0;

    while (slot < b->count && (b->at[slot].used || b->at[slot].n > 0))
        slot++;
    MU_ASSERT(slot < MU_BALANCE_MAX);
    if (slot == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 8;
        b->at = realloc(b->at, b->cap * sizeof *b->at);
        MU_ASSERT(b->at != NULL);
    }
    if (slot == b->count)
        b->count++;
    b->at[slot] = (struct mu_instance){ .used = true, .up = true, .weight = weight > 0 ? weight : 1, .born = now, .hash = hash,
                                        .heard_at = now, .others_at = now, .peak_at = now };
    b->live++;
    b->ring_stale = true;
    return slot;
}

static void set_live(struct mu_balance *b, struct mu_instance *i, bool used, bool up)
{
    bool before = i->used && i->up, after = used && up;

    i->used = used;
    i->up = up;
    b->live = b->live + after - before;
    if (!after && i->out_until != 0) {
        i->out_until = 0;
        b->ejected--;
    }
}

void mu_balance_remove(struct mu_balance *b, uint32_t slot)
{
    MU_ASSERT(slot < b->count);
    set_live(b, &b->at[slot], false, false);
    b->ring_stale = true;
}

void mu_balance_up(struct mu_balance *b, uint32_t slot, bool up)
{
    MU_ASSERT(slot < b->count && b->at[slot].used);
    set_live(b, &b->at[slot], true, up);
}

double mu_service_time(const struct mu_balance *b)
{
    return b->group_latency > 0 ? b->group_latency : 1e-3;
}

/* -- ejection -- */

static void eject(struct mu_balance *b, double now, struct mu_instance *i)
{
    uint32_t doublings = i->ejections < OUT_DOUBLINGS ? i->ejections : OUT_DOUBLINGS;

    if ((b->ejected + 1) * 2 > b->live)
        return; /* never more than half of the group */
    if (i->out_until == 0)
        b->ejected++;
    i->out_until = now + OUT_SERVICE_TIMES * mu_service_time(b) * (double)(1u << doublings);
    i->ejections++;
    i->failed_in_a_row = 0;
    i->on_trial = false;
}

static void judge(struct mu_balance *b, double now, struct mu_instance *i, bool ok)
{
    if (ok) {
        i->failed_in_a_row = 0;
        i->ejections -= i->ejections > 0;
        if (i->on_trial && i->out_until != 0) {
            i->out_until = 0;
            b->ejected--;
        }
        i->on_trial = false;
        return;
    }
    i->failed_in_a_row++;
    if (b->params.eject && i->used && i->up && (i->on_trial || i->failed_in_a_row >= FAILURES_OUT))
        eject(b, now, i);
}

/* Ejected, and its time is not over or its one trial request is on its way. */
static bool is_out(const struct mu_balance *b, double now, const struct mu_instance *i)
{
    return b->params.eject && i->out_until != 0 && (now < i->out_until || i->on_trial);
}

/* A new instance takes a share that grows with its age: at most so many at once. */
static bool ramp_allows(const struct mu_balance *b, double now, const struct mu_instance *i)
{
    double age = now - i->born, share;

    if (b->params.ramp <= 0 || age >= b->params.ramp || b->live < 2)
        return true;
    share = age / b->params.ramp * ((double)(b->outstanding - i->n) / (b->live - 1) + 1);
    return (double)i->n < 1 + share;
}

bool mu_pick_may(const struct mu_balance *b, double now, uint32_t slot, const bool *tried)
{
    const struct mu_instance *i = &b->at[slot];

    return i->used && i->up && (tried == NULL || !tried[slot]) && !is_out(b, now, i) && ramp_allows(b, now, i);
}

uint32_t mu_pick_any(struct mu_balance *b, double now, const bool *tried, uint32_t except)
{
    uint32_t seen = 0, chosen = MU_NO_SLOT;

    for (int t = 0; t < RANDOM_TRIES && b->count > 0; t++) {
        uint32_t slot = mu_rng_below(&b->rng, b->count);
        if (slot != except && mu_pick_may(b, now, slot, tried))
            return slot;
    }
    for (uint32_t slot = 0; slot < b->count; slot++) /* few are left: a reservoir of one */
        if (slot != except && mu_pick_may(b, now, slot, tried) && mu_rng_below(&b->rng, ++seen) == 0)
            chosen = slot;
    return chosen;
}

static uint32_t lowest_of_all(struct mu_balance *b, double now, const bool *tried, mu_cost_fn *cost)
{
    double least = INFINITY;
    uint32_t chosen = MU_NO_SLOT, ties = 0;

    for (uint32_t slot = 0; slot < b->count; slot++) {
        double c;
        if (!mu_pick_may(b, now, slot, tried))
            continue;
        c = cost(b, now, slot);
        ties = c < least ? 1 : c == least ? ties + 1 : ties;
        if (c < least || chosen == MU_NO_SLOT || (c == least && mu_rng_below(&b->rng, ties) == 0))
            chosen = slot;
        least = c < least ? c : least;
    }
    return chosen;
}

uint32_t mu_pick_lowest(struct mu_balance *b, double now, const bool *tried, mu_cost_fn *cost, bool all)
{
    uint32_t one, two;
    double a, c;

    if (all)
        return lowest_of_all(b, now, tried, cost);
    one = mu_pick_any(b, now, tried, MU_NO_SLOT);
    two = one == MU_NO_SLOT ? one : mu_pick_any(b, now, tried, one);
    if (two == MU_NO_SLOT)
        return one;
    a = cost(b, now, one);
    c = cost(b, now, two);
    return a < c ? one : c < a ? two : mu_rng_below(&b->rng, 2) ? one : two;
}

double mu_inflight(const struct mu_balance *b, double now, const struct mu_instance *i)
{
    double aged = i->others == b->group_others ? 0
                : (i->others - b->group_others) * exp(-(now - i->others_at) / (200 * mu_service_time(b)));

    return i->n + b->group_others + aged;
}

/* All that could be picked are ejected: the least loaded of them, rather than nobody. */
static uint32_t least_of_ejected(struct mu_balance *b, const bool *tried)
{
    uint32_t chosen = MU_NO_SLOT;

    for (uint32_t slot = 0; slot < b->count; slot++) {
        const struct mu_instance *i = &b->at[slot];
        if (i->used && i->up && (tried == NULL || !tried[slot]) && (chosen == MU_NO_SLOT || i->n < b->at[chosen].n))
            chosen = slot;
    }
    return chosen;
}

bool mu_balance_pick(struct mu_balance *b, double now, uint64_t key, const bool *tried, struct mu_balance_pick *out)
{
    uint32_t slot = b->live > 0 ? b->policy->pick(b, now, key, tried) : MU_NO_SLOT;
    struct mu_instance *i;

    if (slot == MU_NO_SLOT && b->live > 0)
        slot = least_of_ejected(b, tried);
    if (slot == MU_NO_SLOT)
        return false;
    i = &b->at[slot];
    out->slot = slot;
    out->at = now;
    out->ahead = mu_inflight(b, now, i);
    if (i->out_until != 0 && now >= i->out_until)
        i->on_trial = true;
    i->n++;
    b->outstanding++;
    return true;
}

static struct mu_instance *take_back(struct mu_balance *b, const struct mu_balance_pick *pick)
{
    struct mu_instance *i = &b->at[pick->slot];

    MU_ASSERT(pick->slot < b->count && i->n > 0 && b->outstanding > 0);
    i->n--;
    b->outstanding--;
    return i;
}

void mu_balance_done(struct mu_balance *b, double now, const struct mu_balance_pick *pick, enum mu_balance_end end, double inflight)
{
    struct mu_instance *i = take_back(b, pick);
    double response = now - pick->at;
    bool ok = end == MU_BALANCE_OK;

    if (!i->used)
        return;
    i->ewma = i->ewma == 0 ? response : i->ewma + 0.1 * (response - i->ewma);
    mu_peak_learn(b, now, i, response);
    mu_auto_learn(b, now, i, response, pick->ahead, ok, inflight);
    judge(b, now, i, ok);
}

void mu_balance_drop(struct mu_balance *b, const struct mu_balance_pick *pick)
{
    struct mu_instance *i = take_back(b, pick);

    i->on_trial = false;
}

void mu_balance_heard(struct mu_balance *b, double now, uint32_t slot, double inflight)
{
    struct mu_instance *i = &b->at[slot];

    MU_ASSERT(slot < b->count);
    i->others = fmax(0, inflight - i->n);
    i->others_at = now;
}

void mu_balance_see(const struct mu_balance *b, double now, uint32_t slot, struct mu_balance_seen *out)
{
    const struct mu_instance *i = &b->at[slot];

    MU_ASSERT(slot < b->count);
    *out = (struct mu_balance_seen){
        .up = i->used && i->up, .ejected = is_out(b, now, i), .outstanding = i->n, .weight = i->weight, .latency = i->latency,
        .failing = i->failing, .score = mu_auto_score(b, now, slot), .ejected_until = i->out_until,
    };
}

void mu_balance_check(const struct mu_balance *b)
{
    uint32_t live = 0, ejected = 0;
    uint64_t n = 0;

    for (uint32_t s = 0; s < b->count; s++) {
        live += b->at[s].used && b->at[s].up;
        ejected += b->at[s].out_until != 0;
        n += b->at[s].n;
        MU_ASSERT(b->at[s].out_until == 0 || (b->at[s].used && b->at[s].up));
        MU_ASSERT(isfinite(b->at[s].latency) && isfinite(b->at[s].ewma) && isfinite(b->at[s].peak));
    }
    MU_ASSERT(live == b->live && ejected == b->ejected && n == b->outstanding);
}
