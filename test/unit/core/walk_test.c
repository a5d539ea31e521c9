/* Random walks: tens of thousands of events, sensible and not. After each all invariants hold, and a second core that
 * gets the same entries -- and is now and then replaced by one loaded from a snapshot -- does exactly the same. In the end
 * everything that can run does, and every job is over. */
#include "unit/unit.h"

#include "world.h"

#include "base/rng.h"

#include <stdlib.h>

enum { NODES = 4, STEPS = 1500, SEEDS = 24, JOBS_BACK = 12 };

struct walk {
    struct world a;
    struct mu_core *twin;
    struct mu_fx_list twin_fx;
    struct mu_rng rng;
    uint64_t seed, step;
};

static uint32_t below(struct walk *k, uint32_t n) { return mu_rng_below(&k->rng, n); }
static bool chance(struct walk *k, uint32_t percent) { return below(k, 100) < percent; }

/* ---- two cores ---- */

static bool same_effect(const struct mu_fx *a, const struct mu_fx *b)
{
    return a->kind == b->kind && a->rc == b->rc && a->job == b->job && a->ordinal == b->ordinal && a->count == b->count &&
           a->group == b->group && a->attempt == b->attempt && a->node == b->node && a->state == b->state &&
           a->how == b->how && a->existing == b->existing && a->submitted_ms == b->submitted_ms &&
           a->placed_ms == b->placed_ms && (a->text == NULL) == (b->text == NULL) &&
           (a->text == NULL || strcmp(a->text, b->text) == 0);
}

static void reload_twin(struct walk *k)
{
    struct mu_buf b = { 0 };
    struct mu_err err = { 0 };
    struct mu_core *loaded = mu_core_new(&k->a.limits);

    mu_core_save(k->a.core, &b);
    if (mu_core_load(loaded, b.at, b.size, &err) != MU_OK)
        fail_msg("seed %llu step %llu: %s", (unsigned long long)k->seed, (unsigned long long)k->step, err.text);
    if (mu_core_hash(loaded) != mu_core_hash(k->a.core))
        fail_msg("seed %llu step %llu: what was loaded is not what was saved", (unsigned long long)k->seed,
                 (unsigned long long)k->step);
    mu_core_free(k->twin);
    k->twin = loaded;
    mu_buf_fini(&b);
}

static void apply(struct walk *k, enum mu_event_kind kind, const void *msg)
{
    struct mu_reader r;
    struct mu_event ev;
    uint64_t time_ms;

    world_apply(&k->a, kind, msg);
    assert_true(mu_entry_open(&r, k->a.entry.at, k->a.entry.size, &time_ms));
    mu_arena_reset(&k->a.arena);
    assert_true(mu_entry_next(&r, &ev, &k->a.arena));
    mu_core_apply(k->twin, time_ms, &ev, &k->twin_fx);
    assert_int_equal(k->a.fx.count, k->twin_fx.count);
    for (uint32_t i = 0; i < k->a.fx.count; i++) {
        if (!same_effect(&k->a.fx.at[i], &k->twin_fx.at[i]))
            fail_msg("seed %llu step %llu: effect %u of %s differs", (unsigned long long)k->seed, (unsigned long long)k->step,
                     (unsigned)i, mu_event_name(kind));
    }
}

/* ---- what is drawn ---- */

static struct mu_str pick(struct walk *k, const char *const *words, uint32_t count)
{
    return mu_str_of(words[below(k, count)]);
}

static struct mu_str user_name(struct walk *k)
{
    static const char *const users[] = { "ann", "bob", "eve" };

    return pick(k, users, 3);
}

static struct mu_str node_name(struct walk *k)
{
    static const char *const nodes[] = { "n0", "n1", "n2", "n3", "n4", "n5" };

    return pick(k, nodes, NODES + 2);
}

/* A job that was made lately, or seldom none. */
static uint64_t some_job(struct walk *k)
{
    uint64_t next = mu_view_next_job(k->a.core);
    uint64_t back = 1 + below(k, JOBS_BACK);

    return chance(k, 3) ? below(k, 1000) : next > back ? next - back : 1;
}

static uint32_t some_ordinal(struct walk *k, uint64_t job)
{
    struct mu_job_view view;

    if (!mu_view_job(k->a.core, job, &view) || chance(k, 3))
        return below(k, 10);
    return below(k, view.tasks);
}

static void *room(struct walk *k, size_t size)
{
    return mu_arena_alloc(&k->a.arena, size);
}

static struct mu_str some_lines(struct walk *k, uint32_t count)
{
    struct mu_buf b = { 0 };
    struct mu_str text;

    for (uint32_t i = 0; i < count; i++)
        mu_buf_printf(&b, "echo %u %s\n", (unsigned)below(k, 1000), chance(k, 5) ? "a longer line than the others" : "");
    text = (struct mu_str){ mu_arena_strdup(&k->a.arena, (char *)b.at, b.size), (uint32_t)b.size };
    mu_buf_fini(&b);
    return text;
}

static uint32_t some_tasks(struct walk *k)
{
    return chance(k, 50) ? 1 : chance(k, 80) ? 2 + below(k, 4) : chance(k, 80) ? 5 + below(k, 20) : 1000 + below(k, 100);
}

static void draw_deps(struct walk *k, struct mu_group_spec *g, uint32_t groups)
{
    g->after_count = 1 + below(k, 3);
    g->after = room(k, g->after_count * sizeof g->after[0]);
    for (uint32_t i = 0; i < g->after_count; i++) {
        g->after[i].kind = chance(k, 2) ? 9 : below(k, 4);
        if (chance(k, 50))
            g->after[i].job = some_job(k);
        else
            g->after[i].group = below(k, groups + chance(k, 5));
    }
}

static struct mu_group_spec draw_group(struct walk *k, uint32_t groups, uint32_t tasks, bool lines)
{
    static struct mu_str argv[] = { { "prog", 4 }, { "arg", 3 } };
    static struct mu_str label[] = { { "zone=a", 6 } };
    struct mu_group_spec g = { .argv = { argv, 2 }, .tasks = tasks, .cpu_milli = 250 * below(k, 6), .mem_bytes = below(k, 3) * 100 };

    if (lines) {
        g.argv.count = 0;
        g.lines = some_lines(k, tasks);
    } else if (chance(k, 5)) {
        g.each_node = (struct mu_strs){ room(k, tasks * sizeof(struct mu_str)), tasks };
        for (uint32_t i = 0; i < tasks; i++)
            g.each_node.at[i] = node_name(k);
    }
    if (chance(k, 30)) {
        g.retries = below(k, 3);
        g.backoff_ms = below(k, 2) * 100;
    }
    if (chance(k, 15))
        g.max_parallel = 1 + below(k, 2);
    if (chance(k, 15))
        g.abort_after = 1 + below(k, 2);
    if (chance(k, 10))
        g.abort_after_milli = below(k, 1001);
    if (chance(k, 10))
        g.node = node_name(k);
    if (chance(k, 10))
        g.labels = (struct mu_strs){ label, 1 };
    if (chance(k, 10)) {
        g.resources = room(k, sizeof g.resources[0]);
        g.resources_count = 1;
        g.resources[0] = (struct mu_amount){ mu_str_of(chance(k, 50) ? "lic" : "fpga"), below(k, 3) };
    }
    if (chance(k, 5)) {
        g.array_first = below(k, 100);
        g.array_step = below(k, 4);
    }
    if (chance(k, 40))
        draw_deps(k, &g, groups);
    return g;
}

/* ---- events ---- */

static void do_submit(struct walk *k)
{
    static const char *const keys[] = { "", "", "", "k1", "k2", "k3" };
    uint32_t count = chance(k, 60) ? 1 : 1 + below(k, 5), same = some_tasks(k);
    struct mu_job_spec spec = { .name = mu_str_of("walk"), .user = user_name(k), .key = pick(k, keys, 6),
                                .priority = (int64_t)below(k, 5) - 2, .hold = chance(k, 5), .digest = below(k, 2) };

    mu_arena_reset(&k->a.arena);
    spec.groups = room(k, count * sizeof spec.groups[0]);
    spec.groups_count = count;
    spec.open = chance(k, 30) ? 1 + below(k, 2) : MU_OPEN_NO;
    if (chance(k, 10))
        spec.deadline_ms = k->a.now_ms + below(k, 3000);
    for (uint32_t i = 0; i < count; i++)
        spec.groups[i] = draw_group(k, count + (spec.open != 0), chance(k, 60) ? same : some_tasks(k), chance(k, 30));
    mu_buf_clear(&k->a.spec);
    mu_pb_put(&k->a.spec, &mu_job_spec_pb, &spec);
    if (chance(k, 1))
        k->a.spec.size /= 2; /* cut off */
    apply(k, MU_EV_SUBMIT, &(struct mu_ev_submit){ mu_buf_str(&k->a.spec) });
}

static void do_part(struct walk *k)
{
    struct mu_job_view view = { 0 };
    struct mu_ev_part ev = { .last = chance(k, 40) };

    for (uint32_t i = 0; i < 10 && !view.open; i++)
        mu_view_job(k->a.core, ev.job = some_job(k), &view);
    mu_arena_reset(&k->a.arena);
    ev.tasks_before = chance(k, 85) ? view.tasks : below(k, 20);
    if (chance(k, 50))
        ev.lines = some_lines(k, 1 + below(k, 10));
    if (chance(k, ev.lines.size ? 5 : 70)) {
        ev.groups_count = 1 + below(k, 3);
        ev.groups = room(k, ev.groups_count * sizeof ev.groups[0]);
        for (uint32_t i = 0; i < ev.groups_count; i++)
            ev.groups[i] = draw_group(k, view.groups + ev.groups_count, some_tasks(k), chance(k, 40));
    }
    apply(k, MU_EV_PART, &ev);
}

/* A decision as sched would make it, or one that cannot hold. */
static void do_place(struct walk *k)
{
    struct mu_group_view v;
    uint64_t job = below(k, 2) ? 0 : some_job(k);
    uint32_t group = 0, skip = below(k, 4);
    struct mu_ev_placed ev = { .node = below(k, NODES) };

    if (chance(k, 5)) {
        ev = (struct mu_ev_placed){ some_job(k), below(k, 5), below(k, 3), below(k, NODES + 2) };
        apply(k, MU_EV_PLACED, &ev);
        return;
    }
    while (mu_view_group_next(k->a.core, &job, &group, &v)) {
        if (skip--)
            continue;
        ev.job = v.job;
        ev.ordinal = mu_view_next(k->a.core, v.job, v.group, MU_TASK_READY, v.first + below(k, v.tasks));
        if (ev.ordinal == UINT32_MAX)
            ev.ordinal = mu_view_next(k->a.core, v.job, v.group, MU_TASK_READY, 0);
        if (v.each_node)
            ev.node = mu_view_each_node(k->a.core, v.job, ev.ordinal);
        ev.attempt = mu_view_attempts(k->a.core, ev.job, ev.ordinal) + 1;
        apply(k, MU_EV_PLACED, &ev);
        return;
    }
}

static const struct mu_attempt *some_attempt(struct walk *k)
{
    const struct mu_attempt *a = NULL, *at;
    uint32_t first = below(k, NODES), skip = below(k, 3);

    for (uint32_t i = 0; i < NODES; i++) {
        for (uint64_t cursor = 0; (at = mu_view_node_attempt(k->a.core, (first + i) % NODES, &cursor)) != NULL;) {
            a = at;
            if (skip-- == 0)
                return a;
        }
    }
    return a;
}

static void do_started(struct walk *k)
{
    const struct mu_attempt *a = some_attempt(k);
    struct mu_ev_started ev = { some_job(k), below(k, 5), below(k, 3), k->a.now_ms };

    if (a && chance(k, 95))
        ev = (struct mu_ev_started){ a->job, a->ordinal, a->attempt - chance(k, 2), k->a.now_ms };
    apply(k, MU_EV_STARTED, &ev);
}

static void do_ended(struct walk *k)
{
    const struct mu_attempt *a = some_attempt(k);
    struct mu_ev_ended ev = { .job = some_job(k), .ordinal = below(k, 5), .attempt = below(k, 3) };

    if (a && chance(k, 97)) {
        ev.job = a->job;
        ev.ordinal = a->ordinal;
        ev.attempt = a->attempt - chance(k, 2);
    }
    ev.how = chance(k, 80) ? MU_END_EXIT : below(k, MU_ENDS + 1);
    ev.code = chance(k, 70) ? 0 : below(k, 3);
    apply(k, MU_EV_ENDED, &ev);
}

static void do_cancel(struct walk *k)
{
    uint64_t job = some_job(k);
    struct mu_ev_cancel ev = { .job = job };

    if (chance(k, 60)) {
        ev.first = some_ordinal(k, job);
        ev.count = 1 + below(k, 5);
    }
    apply(k, MU_EV_CANCEL, &ev);
}

static void do_hold(struct walk *k) { apply(k, MU_EV_HOLD, &(struct mu_ev_hold){ .job = some_job(k), .hold = chance(k, 40) }); }
static void do_retry(struct walk *k) { apply(k, MU_EV_RETRY, &(struct mu_ev_retry){ .job = some_job(k) }); }

static void do_join(struct walk *k)
{
    static struct mu_str labels[] = { { "zone=a", 6 }, { "disk=ssd", 8 } };
    static const char *const boots[] = { "b1", "b1", "b1", "b2" };
    struct mu_amount lic = { mu_str_of("lic"), below(k, 4) };
    static const char *const names[] = { "n0", "n1", "n2", "n3" };
    struct mu_ev_node_join ev = { .name = pick(k, names, NODES), .boot = pick(k, boots, 4), .cpu_milli = 500 * below(k, 9),
                                  .mem_bytes = 100 * below(k, 9), .resources = &lic, .resources_count = below(k, 2),
                                  .labels = { labels, below(k, 3) }, .keep = chance(k, 20) };

    apply(k, MU_EV_NODE_JOIN, &ev);
}

static void do_lost(struct walk *k) { apply(k, MU_EV_NODE_LOST, &(struct mu_ev_node_lost){ .node = below(k, NODES + 1) }); }

static void do_set(struct walk *k)
{
    static const char *const labels[] = { "", "zone=b", "zone=", "zone=a", "x=y", "bad", "=" };
    struct mu_ev_node_set ev = { .node = below(k, NODES + 1), .set_drain = chance(k, 50), .drain = chance(k, 30),
                                 .label = pick(k, labels, 7) };

    apply(k, MU_EV_NODE_SET, &ev);
}

static void do_quota(struct walk *k)
{
    struct mu_ev_quota ev = { .user = user_name(k), .waiting_max = chance(k, 30) ? below(k, 2000) : 0, .weight = below(k, 3) };

    apply(k, MU_EV_QUOTA, &ev);
}

static void do_policy(struct walk *k)
{
    static struct mu_str params[] = { { "halflife=2h", 11 } };
    static const char *const kinds[] = { "order", "place", "balance" };
    struct mu_ev_policy ev = { .kind = pick(k, kinds, 3), .name = mu_str_of("fair"), .params = { params, below(k, 2) } };

    apply(k, MU_EV_POLICY, &ev);
}

static void do_due(struct walk *k)
{
    uint64_t wake_ms = mu_core_wake_ms(k->a.core);

    k->a.now_ms += below(k, 200);
    if (wake_ms != UINT64_MAX && chance(k, 50) && wake_ms > k->a.now_ms)
        k->a.now_ms = wake_ms;
    apply(k, MU_EV_DUE, &(struct mu_ev_due){ 0 });
}

static void do_lead(struct walk *k)
{
    struct mu_ev_lead ev = { .epoch = mu_view_epoch(k->a.core) + below(k, 2), .server = mu_str_of("s1"), .url = mu_str_of("u") };

    apply(k, MU_EV_LEAD, &ev);
}

static const struct {
    void (*act)(struct walk *k);
    uint32_t weight;
} acts[] = {
    { do_submit, 14 }, { do_part, 8 }, { do_place, 30 }, { do_started, 14 }, { do_ended, 24 }, { do_cancel, 3 }, { do_hold, 3 },
    { do_retry, 5 }, { do_join, 5 }, { do_lost, 2 }, { do_set, 2 }, { do_quota, 1 }, { do_policy, 1 }, { do_due, 8 }, { do_lead, 1 },
};

static void act(struct walk *k)
{
    uint32_t sum = 0, drawn;

    for (uint32_t i = 0; i < MU_COUNT(acts); i++)
        sum += acts[i].weight;
    drawn = below(k, sum);
    for (uint32_t i = 0; i < MU_COUNT(acts); i++) {
        if (drawn < acts[i].weight) {
            acts[i].act(k);
            return;
        }
        drawn -= acts[i].weight;
    }
}

/* ---- healing ---- */

static void join_all(struct walk *k)
{
    static const char *const names[] = { "n0", "n1", "n2", "n3", "n4", "n5" };
    static struct mu_str labels[] = { { "zone=a", 6 } };
    struct mu_amount all[] = { { mu_str_of("lic"), 100 }, { mu_str_of("fpga"), 100 } };

    for (uint32_t i = 0; i < MU_COUNT(names); i++) {
        struct mu_ev_node_join ev = { .name = mu_str_of(names[i]), .boot = mu_str_of("healed"), .cpu_milli = 64000,
                                      .mem_bytes = 1 << 20, .resources = all, .resources_count = 2, .labels = { labels, 1 } };
        apply(k, MU_EV_NODE_JOIN, &ev);
        ev.name = mu_str_of(names[i]);
        apply(k, MU_EV_NODE_SET, &(struct mu_ev_node_set){ .node = world_find(&k->a, MU_FX_NODE)->node, .set_drain = true,
                                                           .label = mu_str_of("zone=a") });
    }
}

static void close_all(struct walk *k)
{
    struct mu_job_view v;

    for (uint64_t id = 0; (id = mu_view_job_next(k->a.core, id)) != 0;) {
        if (mu_view_job(k->a.core, id, &v) && v.open)
            apply(k, MU_EV_PART, &(struct mu_ev_part){ .job = id, .tasks_before = v.tasks, .last = true });
        if (mu_view_job(k->a.core, id, &v) && v.held)
            apply(k, MU_EV_HOLD, &(struct mu_ev_hold){ .job = id });
    }
}

static bool run_all(struct walk *k)
{
    const struct mu_attempt *a;
    struct mu_group_view v;
    uint64_t job = 0, cursor;
    uint32_t group = 0, moved = 0;

    while (mu_view_group_next(k->a.core, &job, &group, &v)) {
        uint32_t at = mu_view_next(k->a.core, v.job, v.group, MU_TASK_READY, 0);
        for (uint32_t n = 0; n < mu_view_nodes(k->a.core); n++) {
            struct mu_ev_placed ev = { v.job, at, mu_view_attempts(k->a.core, v.job, at) + 1, n };
            apply(k, MU_EV_PLACED, &ev);
            if (world_find(&k->a, MU_FX_START)) {
                moved++;
                break;
            }
        }
    }
    for (uint32_t n = 0; n < mu_view_nodes(k->a.core); n++) {
        while (cursor = 0, (a = mu_view_node_attempt(k->a.core, n, &cursor)) != NULL) {
            struct mu_ev_ended ev = { .job = a->job, .ordinal = a->ordinal, .attempt = a->attempt, .how = MU_END_EXIT };
            apply(k, MU_EV_ENDED, &ev);
            moved++;
        }
    }
    return moved > 0;
}

static void heal(struct walk *k)
{
    uint64_t tasks[MU_TASK_STATES], active;

    k->a.quiet = true; /* thousands of steps; checked at the end of each round */
    join_all(k);
    close_all(k);
    for (bool moved = true; moved;) {
        moved = run_all(k);
        k->a.now_ms += 10000;
        do_due(k);
        moved |= mu_core_wake_ms(k->a.core) <= k->a.now_ms;
        mu_core_check(k->a.core);
    }
    mu_view_counts(k->a.core, tasks, &active);
    if (active)
        fail_msg("seed %llu: %llu jobs never end: %llu blocked, %llu ready", (unsigned long long)k->seed,
                 (unsigned long long)active, (unsigned long long)tasks[MU_TASK_BLOCKED], (unsigned long long)tasks[MU_TASK_READY]);
    assert_true(mu_core_hash(k->a.core) == mu_core_hash(k->twin));
}

static void walk_once(uint64_t seed, uint64_t steps)
{
    struct walk k = { .seed = seed };

    k.a.limits = (struct mu_core_limits){ .tasks_waiting_max = 6000, .jobs_max = 40, .ended_jobs_max = 12, .ended_ms = 20000,
                                          .bytes_max = 1 << 20 };
    world_init(&k.a);
    k.twin = mu_core_new(&k.a.limits);
    mu_rng_seed(&k.rng, seed);
    for (k.step = 0; k.step < steps; k.step++) {
        k.a.now_ms += below(&k, 20);
        act(&k);
        if (k.step % 50 == 49)
            assert_true(mu_core_hash(k.a.core) == mu_core_hash(k.twin));
        if (chance(&k, 2))
            reload_twin(&k);
    }
    heal(&k);
    mu_core_free(k.twin);
    mu_fx_fini(&k.twin_fx);
    world_fini(&k.a);
}

static void walks_keep_every_invariant(void **state)
{
    const char *one = getenv("MU_WALK_SEED"), *many = getenv("MU_WALK_SEEDS");
    uint64_t seeds = many ? strtoull(many, NULL, 10) : SEEDS;

    (void)state;
    for (uint64_t seed = one ? strtoull(one, NULL, 10) : 1; seed <= seeds || one; seed++) {
        walk_once(seed, STEPS);
        if (one)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_keep_every_invariant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
