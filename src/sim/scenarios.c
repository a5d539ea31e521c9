/* sim/scenarios.c -- the request scenarios of doc/balancing.md, scenarios from files, and scenarios drawn by seed. */
#include "sim/requests.h"

#include "base/assert.h"
#include "base/rng.h"
#include "wire/jobspec.h"
#include "wire/json.h"

#include <stdio.h>

#define BASE(id, n, d, spread, rho) .name = id, .servers = n, .balancers = d, .speed_spread = spread, .load = rho, .slots = 1, .requests = 500000
#define EXP .work = MU_SIM_EXP
#define LOGNORMAL .work = MU_SIM_LOGNORMAL, .work_shape = 1.5
#define PARETO .work = MU_SIM_PARETO, .work_shape = 2.1
#define FAILS .failing_share = 1, .failing_work = 0.01
#define SLOW .slow_every = 200, .slow_probability = 0.25, .slow_speed = 0.2

static const struct mu_sim_scenario scenarios[] = {
    { BASE("A50", 20, 1, 0, .5), EXP }, { BASE("A70", 20, 1, 0, .7), EXP }, { BASE("A90", 20, 1, 0, .9), EXP },
    { BASE("A95", 20, 1, 0, .95), EXP },
    { BASE("B50", 20, 1, 9, .5), EXP }, { BASE("B70", 20, 1, 9, .7), EXP }, { BASE("B90", 20, 1, 9, .9), EXP },
    { BASE("C70", 20, 1, 9, .7), LOGNORMAL }, { BASE("C90", 20, 1, 9, .9), LOGNORMAL },
    { BASE("D70", 20, 1, 0, .7), PARETO }, { BASE("D70h", 20, 1, 9, .7), PARETO },
    { BASE("G70", 20, 1, 9, .7), EXP, .failing = { 10 }, .failing_count = 1, FAILS },
    { BASE("H60", 20, 1, 9, .6), EXP, SLOW },
    { BASE("I80", 20, 1, 9, .8), LOGNORMAL, .sharing = true },
    { .name = "J80", .servers = 20, .balancers = 1, .speed_spread = 9, .load = .8, .slots = 8, .requests = 500000, LOGNORMAL },
    { BASE("E50", 100, 10, 9, .5), EXP }, { BASE("E80", 100, 10, 9, .8), EXP }, { BASE("E90", 100, 10, 9, .9), EXP },
    { BASE("F80", 100, 10, 0, .8), EXP },
    { BASE("EC80", 100, 10, 9, .8), LOGNORMAL }, { BASE("EH60", 100, 10, 9, .6), EXP, SLOW },
    { BASE("EG70", 100, 10, 9, .7), EXP, .failing = { 0, 50, 51, 52 }, .failing_count = 4, FAILS },
    { BASE("EN80", 20, 10, 9, .8), EXP }, { BASE("E3", 20, 3, 9, .9), EXP },
};

const struct mu_sim_scenario *mu_sim_scenario_at(uint32_t i)
{
    return i < MU_COUNT(scenarios) ? &scenarios[i] : NULL;
}

const struct mu_sim_scenario *mu_sim_scenario_named(const char *name)
{
    for (size_t i = 0; i < MU_COUNT(scenarios); i++)
        if (strcmp(scenarios[i].name, name) == 0)
            return &scenarios[i];
    return NULL;
}

static double between(struct mu_rng *r, double low, double high)
{
    return low + (high - low) * mu_rng_unit(r);
}

void mu_sim_scenario_draw(struct mu_sim_scenario *out, uint64_t seed)
{
    static const uint32_t sizes[] = { 4, 8, 12, 30, 50 }, balancers[] = { 1, 1, 2, 5, 8 };
    struct mu_rng r;

    mu_rng_seed(&r, seed);
    *out = (struct mu_sim_scenario){ .slots = 1, .requests = 500000 };
    snprintf(out->name, sizeof out->name, "drawn-%llu", (unsigned long long)seed);
    out->servers = sizes[mu_rng_below(&r, MU_COUNT(sizes))];
    out->balancers = balancers[mu_rng_below(&r, MU_COUNT(balancers))];
    out->speed_spread = mu_rng_below(&r, 3) == 0 ? 0 : between(&r, 1, 15);
    if (mu_rng_below(&r, 4) == 0) {
        out->fast_every = 4;
        out->fast_times = between(&r, 3, 12);
    }
    out->work = (enum mu_sim_work)mu_rng_below(&r, 4);
    out->work_shape = out->work == MU_SIM_PARETO ? between(&r, 2.05, 3) : between(&r, 0.3, 1.4);
    out->load = between(&r, 0.4, 0.9);
    out->slots = mu_rng_below(&r, 3) == 0 ? 2 + mu_rng_below(&r, 8) : 1;
    out->sharing = mu_rng_below(&r, 4) == 0;
    if (mu_rng_below(&r, 5) == 0) {
        out->failing[0] = mu_rng_below(&r, out->servers);
        out->failing_count = 1;
        out->failing_share = mu_rng_below(&r, 2) ? 1 : between(&r, 0.2, 0.6);
        out->failing_work = between(&r, 0.01, 0.2);
        out->load *= 0.8;
    }
    if (mu_rng_below(&r, 5) == 0) {
        out->slow_every = between(&r, 100, 400);
        out->slow_probability = between(&r, 0.05, 0.25);
        out->slow_speed = between(&r, 0.2, 0.5);
        out->load *= 0.75;
    }
}

static void read_work(struct mu_json_in *in, struct mu_sim_scenario *s)
{
    static const char *const words[] = { [MU_SIM_EXP] = "exponential", [MU_SIM_LOGNORMAL] = "lognormal", [MU_SIM_PARETO] = "pareto", [MU_SIM_CONSTANT] = "constant" };
    struct mu_str word;

    if (mu_json_in_str(in, "work", &word)) {
        size_t i = 0;
        while (i < MU_COUNT(words) && !mu_str_is(word, words[i]))
            i++;
        if (i == MU_COUNT(words))
            mu_json_in_refuse(in, "work", "must be exponential, lognormal, pareto or constant");
        else
            s->work = (enum mu_sim_work)i;
    }
    s->work_shape = s->work == MU_SIM_PARETO ? 2.1 : 1.5;
    mu_json_in_real(in, "work_shape", &s->work_shape);
}

static void check(struct mu_json_in *in, const struct mu_sim_scenario *s)
{
    if (s->servers == 0 || s->balancers == 0 || s->slots == 0 || s->requests == 0)
        mu_json_in_refuse(in, "servers", "servers, balancers, slots and requests must be at least 1");
    if (!(s->load > 0) || s->load > 10)
        mu_json_in_refuse(in, "load", "must be above 0, and below 1 to be stable");
    if (s->speed_spread < 0 || s->failing_share < 0 || s->failing_work < 0 || s->slow_every < 0)
        mu_json_in_refuse(in, "speed_spread", "numbers must not be negative");
    if (s->slow_every > 0 && !(s->slow_speed > 0))
        mu_json_in_refuse(in, "slow_speed", "must be above 0");
    if (s->work == MU_SIM_PARETO && s->work_shape <= 1)
        mu_json_in_refuse(in, "work_shape", "of pareto must be above 1");
}

enum mu_rc mu_sim_scenario_read(struct mu_sim_scenario *out, struct mu_str text, struct mu_err *err)
{
    struct mu_sim_scenario s = { .servers = 20, .balancers = 1, .slots = 1, .requests = 500000, .load = 0.7, .failing_share = 1, .failing_work = 0.01, .fast_times = 10 };
    struct mu_buf json = { 0 };
    struct json_t *root = NULL;
    struct mu_json_in in;
    struct mu_str name = MU_STR_LIT("scenario");
    uint64_t n;
    enum mu_rc rc = mu_yaml_to_json(text, &json, err);

    if (rc == MU_OK)
        rc = mu_json_load(&root, mu_buf_str(&json), err);
    if (rc == MU_OK)
        rc = mu_json_in_root(&in, root, err);
    if (rc == MU_OK) {
        mu_json_in_str(&in, "name", &name);
        if (mu_json_in_u64(&in, "servers", MU_SIM_SERVERS_MAX, &n))
            s.servers = (uint32_t)n;
        if (mu_json_in_u64(&in, "balancers", MU_SIM_BALANCERS_MAX, &n))
            s.balancers = (uint32_t)n;
        if (mu_json_in_u64(&in, "slots", 10000, &n))
            s.slots = (uint32_t)n;
        if (mu_json_in_u64(&in, "failing", s.servers - 1, &n)) {
            s.failing[0] = (uint32_t)n;
            s.failing_count = 1;
        }
        if (mu_json_in_u64(&in, "fast_every", 1000, &n))
            s.fast_every = (uint32_t)n;
        mu_json_in_u64(&in, "requests", 100000000, &s.requests);
        mu_json_in_bool(&in, "sharing", &s.sharing);
        mu_json_in_real(&in, "load", &s.load);
        mu_json_in_real(&in, "speed_spread", &s.speed_spread);
        mu_json_in_real(&in, "fast_times", &s.fast_times);
        mu_json_in_real(&in, "failing_share", &s.failing_share);
        mu_json_in_real(&in, "failing_work", &s.failing_work);
        mu_json_in_real(&in, "slow_every", &s.slow_every);
        mu_json_in_real(&in, "slow_probability", &s.slow_probability);
        mu_json_in_real(&in, "slow_speed", &s.slow_speed);
        read_work(&in, &s);
        check(&in, &s);
        rc = mu_json_in_end(&in);
    }
    if (rc == MU_OK) {
        snprintf(s.name, sizeof s.name, MU_STR_FMT, MU_STR_ARG(name));
        *out = s;
    }
    mu_json_free(root);
    mu_buf_fini(&json);
    return rc;
}
