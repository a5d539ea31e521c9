/* bench-sched: placement decisions a second, by the real sched over a real core, one thread.
 *
 * Nodes of four kinds are filled to 80 % of their cpus with tasks of 32 demand classes; then each step starts one
 * task and frees one at random. Two figures: what the leader asks of sched (next, on_placed, on_freed, and apart
 * from them on_group when a job arrives), and what core needs to apply the events, which is no decision.
 * Time is the process's own cpu time; of 20 rounds the best and the median count, so that a neighbour disturbs little.
 * --full: a long queue and no spare room, so that most classes wait and each freed node is fought for. */
#include "base/assert.h"
#include "base/command.h"
#include "base/rng.h"
#include "core/core.h"
#include "sched/sched.h"

enum { BATCH = 64, QUEUE = 256, QUEUE_FULL = 4096, ROUNDS = 20 };
#define GIB (UINT64_C(1) << 30)

struct need {
    uint64_t cpu_milli, mem_bytes;
};
struct meter { /* ns and calls */
    uint64_t ns, count;
};
struct bench {
    struct mu_core *core;
    struct mu_sched *sched;
    struct mu_fx_list fx;
    struct mu_rng rng;
    struct mu_buf spec;
    uint64_t now_ms, waiting, cpu_total, cpu_used;
    uint32_t classes;
    struct need *needs;
    struct mu_decision *live;
    uint32_t live_count, live_cap;
    struct meter next, placed, freed, arrived, core_time;
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void meter_add(struct meter *m, uint64_t start_ns, uint64_t count)
{
    m->ns += now_ns() - start_ns;
    m->count += count;
}

static void apply(struct bench *b, const struct mu_event *ev)
{
    mu_core_apply(b->core, b->now_ms, ev, &b->fx);
}

static void add_nodes(struct bench *b, uint32_t count)
{
    static const struct need kinds[] = { { 64000, 128 * GIB }, { 32000, 256 * GIB }, { 32000, 64 * GIB }, { 16000, 64 * GIB } };
    char name[32];

    for (uint32_t i = 0; i < count; i++) {
        const struct need *k = &kinds[i % MU_COUNT(kinds)];
        struct mu_event ev = { .kind = MU_EV_NODE_JOIN };

        snprintf(name, sizeof name, "n%u", i);
        ev.node_join = (struct mu_ev_node_join){ .name = mu_str_of(name), .boot = MU_STR_LIT("b"), .cpu_milli = k->cpu_milli,
                                                 .mem_bytes = k->mem_bytes };
        apply(b, &ev);
        mu_sched_on_node(b->sched, i);
        b->cpu_total += k->cpu_milli;
    }
}

static void make_needs(struct bench *b)
{
    static const uint64_t cpus[] = { 1, 1, 1, 2, 2, 4, 4, 8, 16 };

    b->needs = calloc(b->classes, sizeof *b->needs);
    MU_ASSERT(b->needs != NULL);
    for (uint32_t i = 0; i < b->classes; i++) {
        uint64_t cpu = cpus[mu_rng_below(&b->rng, MU_COUNT(cpus))];

        /* a byte more each, so that no two classes are equal */
        b->needs[i] = (struct need){ cpu * 1000, cpu * GIB * (1 + mu_rng_below(&b->rng, 24)) / 8 + i };
    }
}

static void arrive(struct bench *b)
{
    const struct need *need = &b->needs[mu_rng_below(&b->rng, b->classes)];
    struct mu_str argv = MU_STR_LIT("true");
    struct mu_group_spec group = { .name = MU_STR_LIT("g"), .argv = { &argv, 1 }, .array_step = 1, .tasks = 1,
                                   .cpu_milli = need->cpu_milli, .mem_bytes = need->mem_bytes };
    struct mu_job_spec spec = { .name = MU_STR_LIT("j"), .user = MU_STR_LIT("u"), .groups = &group, .groups_count = 1 };
    struct mu_event ev = { .kind = MU_EV_SUBMIT };

    mu_buf_clear(&b->spec);
    mu_pb_put(&b->spec, &mu_job_spec_pb, &spec);
    ev.submit.spec = mu_buf_str(&b->spec);
    apply(b, &ev);
    uint64_t start = now_ns();
    for (uint32_t i = 0; i < b->fx.count; i++)
        if (b->fx.at[i].kind == MU_FX_GROUP)
            mu_sched_on_group(b->sched, b->fx.at[i].job, b->fx.at[i].group);
    meter_add(&b->arrived, start, 1);
    b->waiting++;
}

static uint64_t cpus_of(const struct bench *b, uint64_t job)
{
    struct mu_group_view v;

    MU_ASSERT(mu_view_group(b->core, job, 0, &v));
    return mu_view_shape(b->core, v.shape)->need.amount[MU_RES_CPU];
}

/* Decide up to `count`, then commit them; how many. */
static uint32_t place(struct bench *b, uint32_t count)
{
    struct mu_decision d[BATCH];
    uint64_t start = now_ns();
    uint32_t n = 0;

    while (n < count && mu_sched_next(b->sched, b->now_ms, &d[n]))
        n++;
    meter_add(&b->next, start, n);
    start = now_ns();
    for (uint32_t i = 0; i < n; i++) {
        struct mu_event ev = { .kind = MU_EV_PLACED, .placed = { d[i].job, d[i].ordinal, d[i].attempt, d[i].node } };

        apply(b, &ev);
        MU_ASSERT(b->fx.count > 0 && b->fx.at[0].kind == MU_FX_START);
    }
    meter_add(&b->core_time, start, n);
    start = now_ns();
    for (uint32_t i = 0; i < n; i++)
        mu_sched_on_placed(b->sched, d[i].job, d[i].ordinal);
    meter_add(&b->placed, start, n);
    for (uint32_t i = 0; i < n; i++) {
        MU_ASSERT(b->live_count < b->live_cap);
        b->live[b->live_count++] = d[i];
        b->cpu_used += cpus_of(b, d[i].job);
    }
    b->waiting -= n;
    return n;
}

/* End up to `count` tasks at random. */
static void release(struct bench *b, uint32_t count)
{
    struct { uint64_t job; uint32_t node, shape; } freed[BATCH];
    uint32_t n = 0;

    for (; n < count && b->live_count > 0; n++) {
        uint32_t at = mu_rng_below(&b->rng, b->live_count);
        struct mu_decision d = b->live[at];
        struct mu_event ev = { .kind = MU_EV_ENDED };

        b->live[at] = b->live[--b->live_count];
        b->cpu_used -= cpus_of(b, d.job);
        ev.ended = (struct mu_ev_ended){ .job = d.job, .attempt = d.attempt, .how = MU_END_EXIT, .run_us = 1000 };
        apply(b, &ev);
        for (uint32_t i = 0; i < b->fx.count; i++)
            if (b->fx.at[i].kind == MU_FX_FREED) {
                freed[n].job = d.job;
                freed[n].node = b->fx.at[i].node;
                freed[n].shape = b->fx.at[i].shape;
            }
    }
    uint64_t start = now_ns();
    for (uint32_t i = 0; i < n; i++)
        mu_sched_on_freed(b->sched, freed[i].job, 0, freed[i].node, freed[i].shape);
    meter_add(&b->freed, start, n);
}

static bool is_below(const struct bench *b, uint64_t percent)
{
    return b->cpu_used * 100 < b->cpu_total * percent;
}

static void refill(struct bench *b, uint64_t queue)
{
    while (b->waiting < queue)
        arrive(b);
}

static void run(struct bench *b, uint64_t steps, bool full)
{
    uint64_t done = 0;

    while (done < steps) {
        refill(b, full ? QUEUE_FULL : QUEUE);
        uint32_t n = place(b, BATCH);
        release(b, full ? 1 : n);
        while (!full && !is_below(b, 80))
            release(b, 1);
        while (!full && is_below(b, 80)) {
            refill(b, 1);
            place(b, 1);
        }
        done += n ? n : 1;
    }
}

static double per_call(const struct meter *m)
{
    return m->count ? (double)m->ns / (double)m->count : 0;
}

static double decision_ns(const struct bench *b)
{
    return per_call(&b->next) + per_call(&b->placed) + per_call(&b->freed);
}

static int by_decision(const void *a, const void *b)
{
    return decision_ns(a) < decision_ns(b) ? -1 : decision_ns(a) > decision_ns(b);
}

static void report(const struct bench *b, uint32_t nodes, const char *what, const char *median, const char *place_name, const char *order)
{
    printf("%7u nodes %3u classes %s %s, %s: %s %8.0f decisions/s = next %4.0f + on_placed %3.0f + on_freed %3.0f ns; "
           "beside it on_group %3.0f, core's placed %4.0f ns\n",
           nodes, b->classes, place_name, order, what, median, 1e9 / decision_ns(b), per_call(&b->next),
           per_call(&b->placed), per_call(&b->freed), per_call(&b->arrived), per_call(&b->core_time));
}

static int bench(const struct mu_args *args)
{
    uint32_t nodes = (uint32_t)strtoul(mu_args_get(args, "nodes", "10000"), NULL, 10);
    uint64_t steps = strtoull(mu_args_get(args, "steps", "500000"), NULL, 10);
    const char *place_name = mu_args_get(args, "place", "pack"), *order = mu_args_get(args, "order", "fifo");
    struct mu_core_limits limits = mu_core_limits_default;
    struct bench b = { .now_ms = 1000000, .classes = (uint32_t)strtoul(mu_args_get(args, "classes", "32"), NULL, 10) };
    struct mu_strs none = { 0 };
    struct bench rounds[ROUNDS];
    bool full = mu_args_has(args, "full");

    limits.ended_jobs_max = 1000;
    b.core = mu_core_new(&limits);
    b.sched = mu_sched_new(b.core, 1);
    b.live_cap = nodes * 64 + BATCH;
    b.live = calloc(b.live_cap, sizeof *b.live);
    MU_ASSERT(b.live != NULL);
    mu_rng_seed(&b.rng, 1);
    if (mu_sched_policy_set(b.sched, MU_STR_LIT("place"), mu_str_of(place_name), &none, NULL) != MU_OK ||
        mu_sched_policy_set(b.sched, MU_STR_LIT("order"), mu_str_of(order), &none, NULL) != MU_OK) {
        fprintf(stderr, "no such policy\n");
        return 2;
    }
    add_nodes(&b, nodes);
    make_needs(&b);
    while (is_below(&b, 80)) {
        refill(&b, QUEUE);
        place(&b, BATCH);
    }
    run(&b, steps / 10, full); /* until it is in its stride */
    for (int i = 0; i < ROUNDS; i++) {
        b.next = b.placed = b.freed = b.arrived = b.core_time = (struct meter){ 0 };
        run(&b, steps / ROUNDS, full);
        rounds[i] = b;
    }
    qsort(rounds, ROUNDS, sizeof rounds[0], by_decision);
    report(&rounds[0], nodes, full ? "full" : "80 % full", "best", place_name, order);
    report(&rounds[ROUNDS / 2], nodes, full ? "full" : "80 % full", "median", place_name, order);
    mu_sched_check(b.sched);
    mu_sched_free(b.sched);
    mu_core_free(b.core);
    mu_fx_fini(&b.fx);
    mu_buf_fini(&b.spec);
    free(b.needs);
    free(b.live);
    return 0;
}

static const struct mu_option options[] = {
    { "nodes", "N", "how many nodes (10000)", 'n', false },
    { "steps", "N", "tasks to place (500000)", 's', false },
    { "classes", "N", "demand classes (32)", 'c', false },
    { "place", "POLICY", "placement policy (pack)", 'p', false },
    { "order", "POLICY", "order policy (fifo)", 'o', false },
    { "full", NULL, "a long queue and no spare room", 'f', false },
};
static const struct mu_command command = {
    .name = "bench-sched",
    .summary = "placement decisions a second",
    .tables = { MU_OPTIONS("options", options) },
    .run = bench,
};

int main(int argc, char **argv)
{
    struct mu_args *args = calloc(1, sizeof *args);
    struct mu_err err = { 0 };
    int rc = 2;

    MU_ASSERT(args != NULL);
    if (mu_args_parse(args, &command, argc - 1, argv + 1, &err) == MU_OK)
        rc = bench(args);
    else
        fprintf(stderr, "bench-sched: %s\n", err.text);
    free(args);
    return rc;
}
