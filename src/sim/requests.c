/* sim/requests.c -- see requests.h. Each server has a virtual clock that runs at its present speed; a request ends when
 * that clock reaches its own mark, so a change of speed or of company costs one number. */
#include "sim/requests.h"

#include "balance/balance.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>

enum { SAMPLES = 64, NONE = -1 };

struct request {
    struct mu_heap_link mark; /* in the server's heap of running requests, by virtual time */
    struct mu_balance_pick pick;
    double arrived, work;
    uint32_t server, balancer;
    double rif;               /* in flight at the server when it came, for probes */
    int32_t next;             /* in the server's queue, or free list */
    bool fails;
};

struct server {
    struct mu_heap_link due;  /* in the heap of servers, by real time of the next end */
    struct mu_heap running;
    double speed, factor;     /* factor: slow or not */
    double clock, clock_at;   /* virtual time, and the real time it was brought up to */
    uint32_t inflight, busy;
    int32_t head, tail;       /* queue */
    struct { double rif, latency; } sample[SAMPLES];
    uint32_t samples, sample_next;
};

struct sim {
    const struct mu_sim_scenario *s;
    struct mu_rng arrivals, works, places, troubles;
    struct mu_balance *balancer[MU_SIM_BALANCERS_MAX];
    struct server *server;
    struct mu_heap due;
    struct request **blocks;  /* requests by number, in blocks so that they never move */
    uint32_t blocks_count;
    int32_t free;
    uint64_t in_system, arrived, ended, errors, counted;
    double now, next_arrival, next_trouble;
    double *responses;
    double area, area_from;   /* of in_system over time, for Little's law */
    double response_sum;
};

enum { BLOCK = 4096 };

static struct request *request_at(struct sim *sim, int32_t n)
{
    return &sim->blocks[n / BLOCK][n % BLOCK];
}

static int32_t request_new(struct sim *sim)
{
    int32_t n;

    if (sim->free == NONE) {
        struct request *block = calloc(BLOCK, sizeof *block);
        sim->blocks = realloc(sim->blocks, (sim->blocks_count + 1) * sizeof *sim->blocks);
        MU_ASSERT(block != NULL && sim->blocks != NULL);
        sim->blocks[sim->blocks_count] = block;
        for (int32_t i = BLOCK - 1; i >= 0; i--) {
            block[i].next = sim->free;
            sim->free = (int32_t)(sim->blocks_count * BLOCK) + i;
        }
        sim->blocks_count++;
    }
    n = sim->free;
    sim->free = request_at(sim, n)->next;
    return n;
}

/* A time that is not negative sorts as its bits do. */
static uint64_t key_of(double t)
{
    uint64_t bits;

    memcpy(&bits, &t, sizeof bits);
    return bits;
}

static double time_of(uint64_t bits)
{
    double t;

    memcpy(&t, &bits, sizeof t);
    return t;
}

static double exponential(struct mu_rng *r)
{
    return -log(1 - mu_rng_unit(r));
}

static double normal(struct mu_rng *r)
{
    return sqrt(2 * exponential(r)) * cos(2 * M_PI * mu_rng_unit(r));
}

static double draw_work(struct sim *sim, uint64_t n)
{
    const struct mu_sim_scenario *s = sim->s;
    double a = s->work_shape;

    if (s->works != NULL)
        return s->works[n % s->trace];
    switch (s->work) {
    case MU_SIM_EXP:
        return exponential(&sim->works);
    case MU_SIM_LOGNORMAL:
        return exp(a * normal(&sim->works) - a * a / 2);
    case MU_SIM_PARETO:
        return fmin(1000, (a - 1) / a * pow(1 - mu_rng_unit(&sim->works), -1 / a));
    case MU_SIM_CONSTANT:
        break;
    }
    return 1;
}

/* -- servers -- */

static double rate_of(const struct sim *sim, const struct server *v)
{
    double share = 1;

    if (sim->s->sharing && v->busy > sim->s->slots)
        share = (double)sim->s->slots / v->busy;
    return v->speed * v->factor * share;
}

static void clock_forward(struct sim *sim, struct server *v)
{
    v->clock += (sim->now - v->clock_at) * rate_of(sim, v);
    v->clock_at = sim->now;
}

/* When the first of the running requests ends, if nothing changes. */
static void set_due(struct sim *sim, struct server *v)
{
    struct mu_heap_link *first = mu_heap_min(&v->running);
    uint64_t tie = (uint64_t)(v - sim->server);

    mu_heap_remove(&sim->due, &v->due);
    if (first != NULL) {
        double left = fmax(0, time_of(first->key) - v->clock);
        mu_heap_add(&sim->due, &v->due, key_of(sim->now + left / rate_of(sim, v)), tie);
    }
}

static void run_request(struct server *v, struct request *r, uint64_t tie)
{
    v->busy++;
    mu_heap_add(&v->running, &r->mark, key_of(v->clock + r->work), tie);
}

static void server_take(struct sim *sim, int32_t n)
{
    struct request *r = request_at(sim, n);
    struct server *v = &sim->server[r->server];

    clock_forward(sim, v);
    r->rif = v->inflight++;
    if (sim->s->sharing || v->busy < sim->s->slots) {
        run_request(v, r, (uint64_t)n);
    } else {
        r->next = NONE;
        if (v->head == NONE)
            v->head = n;
        else
            request_at(sim, v->tail)->next = n;
        v->tail = n;
    }
    set_due(sim, v);
}

static void server_learn(struct server *v, double rif, double latency)
{
    v->sample[v->sample_next].rif = rif;
    v->sample[v->sample_next].latency = latency;
    v->sample_next = (v->sample_next + 1) % SAMPLES;
    v->samples += v->samples < SAMPLES;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median latency of the ends that had about as many in flight as there are now; at least three of them. */
static bool probe(void *arg, uint32_t slot, double *inflight, double *latency)
{
    const struct sim *sim = arg;
    const struct server *v = &sim->server[slot];
    double near[SAMPLES];
    uint32_t count = 0;

    *inflight = v->inflight;
    *latency = 0;
    for (double b = 0; count < 3 && v->samples > 0; b++) {
        count = 0;
        for (uint32_t i = 0; i < v->samples; i++)
            if (fabs(v->sample[i].rif - v->inflight) <= b)
                near[count++] = v->sample[i].latency;
        if (count == v->samples)
            break;
    }
    if (count > 0) {
        qsort(near, count, sizeof near[0], by_value);
        *latency = near[count / 2];
    }
    return true;
}

/* -- events -- */

static void account(struct sim *sim, double until)
{
    if (sim->counted > 0)
        sim->area += (double)sim->in_system * (until - sim->now);
    sim->now = until;
}

static bool fails_there(struct sim *sim, uint32_t server)
{
    const struct mu_sim_scenario *s = sim->s;

    for (uint32_t i = 0; i < s->failing_count; i++)
        if (s->failing[i] == server)
            return s->failing_share >= 1 || mu_rng_unit(&sim->troubles) < s->failing_share;
    return false;
}

static void on_arrival(struct sim *sim)
{
    const struct mu_sim_scenario *s = sim->s;
    int32_t n = request_new(sim);
    struct request *r = request_at(sim, n);
    double gap = s->gaps != NULL ? s->gaps[sim->arrived % s->trace] : exponential(&sim->arrivals);

    r->work = draw_work(sim, sim->arrived);
    r->arrived = sim->now;
    r->balancer = mu_rng_below(&sim->places, s->balancers);
    MU_ASSERT(mu_balance_pick(sim->balancer[r->balancer], sim->now, sim->arrived, NULL, &r->pick));
    r->server = r->pick.slot;
    r->fails = fails_there(sim, r->server);
    if (r->fails)
        r->work *= s->failing_work;
    sim->arrived++;
    sim->in_system++;
    server_take(sim, n);
    sim->next_arrival = sim->now + gap / (s->load * s->servers * s->slots);
}

static void count_end(struct sim *sim, const struct request *r)
{
    sim->ended++;
    if (sim->ended <= sim->s->requests / 10)
        return;
    if (sim->counted == 0)
        sim->area_from = sim->now;
    sim->counted++;
    sim->response_sum += sim->now - r->arrived;
    if (r->fails)
        sim->errors++;
    else
        sim->responses[sim->counted - sim->errors - 1] = sim->now - r->arrived;
}

static void on_end(struct sim *sim, struct server *v)
{
    struct request *r;
    int32_t n;

    clock_forward(sim, v);
    r = MU_CONTAINER(mu_heap_min(&v->running), struct request, mark);
    n = (int32_t)r->mark.tie;
    mu_heap_remove(&v->running, &r->mark);
    v->busy--;
    v->inflight--;
    if (v->head != NONE) {
        int32_t first = v->head;
        v->head = request_at(sim, first)->next;
        run_request(v, request_at(sim, first), (uint64_t)first);
    }
    set_due(sim, v);
    server_learn(v, r->rif, sim->now - r->arrived);
    mu_balance_done(sim->balancer[r->balancer], sim->now, &r->pick, r->fails ? MU_BALANCE_FAILED : MU_BALANCE_OK, v->inflight);
    count_end(sim, r);
    sim->in_system--;
    r->next = sim->free;
    sim->free = n;
}

static void on_trouble(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->s->servers; i++) {
        struct server *v = &sim->server[i];
        clock_forward(sim, v);
        v->factor = mu_rng_unit(&sim->troubles) < sim->s->slow_probability ? sim->s->slow_speed : 1;
        set_due(sim, v);
    }
    sim->next_trouble = sim->now + sim->s->slow_every;
}

/* False: the queues have no bound. */
static bool step(struct sim *sim)
{
    struct mu_heap_link *due = mu_heap_min(&sim->due);
    double end = due != NULL ? time_of(due->key) : INFINITY;

    if (sim->next_trouble <= end && sim->next_trouble <= sim->next_arrival) {
        account(sim, sim->next_trouble);
        on_trouble(sim);
    } else if (end <= sim->next_arrival) {
        account(sim, end);
        on_end(sim, MU_CONTAINER(due, struct server, due));
    } else {
        account(sim, sim->next_arrival);
        on_arrival(sim);
    }
    return sim->in_system < MU_SIM_QUEUE_MAX;
}

/* -- set-up and result -- */

static void open_servers(struct sim *sim)
{
    const struct mu_sim_scenario *s = sim->s;
    double sum = 0;

    for (uint32_t i = 0; i < s->servers; i++) {
        struct server *v = &sim->server[i];
        v->speed = 1 + (s->servers > 1 ? s->speed_spread * i / (s->servers - 1) : 0);
        if (s->fast_every > 0 && i % s->fast_every == s->fast_every - 1)
            v->speed *= s->fast_times;
        v->factor = 1;
        v->head = v->tail = NONE;
        sum += v->speed;
    }
    for (uint32_t i = 0; i < s->servers; i++)
        sim->server[i].speed *= s->servers / sum;
}

/* "peak-ewma:d=all" */
static enum mu_rc set_policy(struct mu_balance *b, const char *text, struct mu_err *err)
{
    struct mu_str rest = { 0 }, name = mu_str_cut(mu_str_of(text), ':', &rest), params[8];
    uint32_t count = 0;

    while (rest.size > 0 && count < MU_COUNT(params))
        params[count++] = mu_str_cut(rest, ':', &rest);
    return mu_balance_policy(b, name, params, count, err);
}

static enum mu_rc open_balancers(struct sim *sim, const char *balance, uint64_t seed, struct mu_err *err)
{
    bool weights = strncmp(balance, "weighted", 8) == 0; /* the only one that is told the speeds */

    for (uint32_t d = 0; d < sim->s->balancers; d++) {
        struct mu_balance *b = sim->balancer[d] = mu_balance_new(mu_hash_mix(seed, d + 1));
        if (set_policy(b, balance, err) != MU_OK)
            return MU_INVALID;
        mu_balance_probe(b, probe, sim);
        for (uint32_t i = 0; i < sim->s->servers; i++)
            mu_balance_add(b, 0, weights ? sim->server[i].speed : 1, mu_hash_mix(i, 77));
    }
    return MU_OK;
}

static void sim_close(struct sim *sim)
{
    for (uint32_t d = 0; d < MU_SIM_BALANCERS_MAX; d++)
        mu_balance_free(sim->balancer[d]);
    for (uint32_t i = 0; i < sim->s->servers; i++)
        mu_heap_fini(&sim->server[i].running);
    for (uint32_t i = 0; i < sim->blocks_count; i++)
        free(sim->blocks[i]);
    mu_heap_fini(&sim->due);
    free(sim->blocks);
    free(sim->server);
    free(sim->responses);
    free(sim);
}

static void finish(struct sim *sim, bool stable, struct mu_sim_result *out)
{
    uint64_t good = sim->counted - sim->errors;
    double span = sim->now - sim->area_from, sum = 0;

    *out = (struct mu_sim_result){ .requests = sim->counted, .errors = sim->errors, .unstable = !stable };
    qsort(sim->responses, good, sizeof *sim->responses, by_value);
    for (uint64_t i = 0; i < good; i++)
        sum += sim->responses[i];
    if (good > 0) {
        out->mean = sum / (double)good;
        out->p50 = sim->responses[good / 2];
        out->p99 = sim->responses[(uint64_t)((double)good * 0.99)];
    }
    if (sim->counted > 0 && span > 0) {
        out->error_rate = (double)sim->errors / (double)sim->counted;
        out->throughput = (double)sim->counted / span;
        out->little = sim->area / span / (out->throughput * sim->response_sum / (double)sim->counted);
    }
    /* Load that is not carried away piles up: more than a twentieth of all arrivals are still there. */
    if (sim->in_system * 20 > sim->arrived && sim->in_system > 100 * (uint64_t)sim->s->servers)
        out->unstable = true;
}

enum mu_rc mu_sim_requests(const struct mu_sim_scenario *s, const char *balance, uint64_t seed, struct mu_sim_result *out, struct mu_err *err)
{
    struct sim *sim = calloc(1, sizeof *sim);
    enum mu_rc rc;
    bool stable = true;

    MU_ASSERT(sim != NULL && s->servers > 0 && s->servers <= MU_SIM_SERVERS_MAX && s->balancers > 0 && s->balancers <= MU_SIM_BALANCERS_MAX);
    sim->s = s;
    sim->free = NONE;
    mu_rng_seed(&sim->arrivals, mu_hash_mix(seed, 11));
    mu_rng_seed(&sim->works, mu_hash_mix(seed, 12));
    mu_rng_seed(&sim->places, mu_hash_mix(seed, 13));
    mu_rng_seed(&sim->troubles, mu_hash_mix(seed, 14));
    sim->server = calloc(s->servers, sizeof *sim->server);
    sim->responses = malloc((s->requests + 1) * sizeof *sim->responses);
    MU_ASSERT(sim->server != NULL && sim->responses != NULL);
    sim->next_trouble = s->slow_every > 0 ? s->slow_every : INFINITY;
    open_servers(sim);
    rc = open_balancers(sim, balance, seed, err);
    while (rc == MU_OK && stable && sim->ended < s->requests)
        stable = step(sim);
    if (rc == MU_OK)
        finish(sim, stable, out);
    sim_close(sim);
    return rc;
}
