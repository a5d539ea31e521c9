/* test/unit/sched/property_test.c -- random clusters, jobs and faults over a real core, checked after every step.
 *
 * mu_sched_check compares mirror, trees and shut classes with plain scans; core refuses what would not fit (a
 * decision that holds when made must hold when committed); and when sched says "nothing", nothing may fit. */
#include "unit/sched/rig.h"

#include "base/rng.h"
#include "sched/class.h"
#include "sched/wait.h"

#include <stdlib.h>

enum { NODES = 24, TASKS_LIVE_MAX = 4000 };
#define MIB (UINT64_C(1) << 20)

struct world {
    struct rig rig;
    struct mu_rng rng;
    uint64_t seed;
    uint32_t step;
};

static void broken(const struct world *w, const char *what)
{
    fail_msg("%s: seed %llu, step %u", what, (unsigned long long)w->seed, w->step);
}

static const char *const orders[][2] = { { "fifo", NULL }, { "fifo", "strict=1" }, { "fifo", "guard=5m" }, { "fair", NULL }, { "fair", "halflife=1m" } };
static const char *const users[] = { "ann", "bob", "cyd" };
static const char *const labels[] = { "disk=fast", "disk=slow", "zone=a", "zone=b" };

static uint32_t below(struct world *w, uint32_t n)
{
    return mu_rng_below(&w->rng, n);
}

/* ---- what may happen ---- */

static void node_joins(struct world *w)
{
    static const uint32_t cpus[] = { 1, 2, 4, 8, 16 };
    char name[16];

    snprintf(name, sizeof name, "n%u", below(w, NODES));
    const struct mu_node *known = mu_view_node_named(w->rig.core, mu_str_of(name));
    if (known && known->state != MU_NODE_DOWN)
        return;
    rig_node(&w->rig, (struct box){ .name = name,
                                    .cpu_milli = cpus[below(w, 5)] * 1000,
                                    .mem_bytes = (1 + below(w, 16)) * 512 * MIB,
                                    .gpu_milli = below(w, 4) ? 0 : 2000,
                                    .lic = below(w, 3) ? 0 : below(w, 5),
                                    .label = labels[below(w, 2)],
                                    .label2 = below(w, 2) ? labels[2 + below(w, 2)] : NULL });
}

static void job_comes(struct world *w)
{
    static const char *const each[] = { "n1", "n3", "n5", "n7", "n99", NULL };
    static const char *const names[] = { "n0", "n2", "n4", "n23" };
    uint32_t kind = below(w, 12), place = below(w, 20);
    struct ask ask = {
        .user = users[below(w, 3)],
        .priority = below(w, 4) ? 0 : (int32_t)below(w, 3) - 1,
        .tasks = 1 + below(w, below(w, 5) ? 4 : 60),
        .cpu_milli = (1 + below(w, 4)) * 500,
        .mem_bytes = below(w, 2) ? 0 : (1 + below(w, 6)) * 256 * MIB,
        .retries = below(w, 3),
        .backoff_ms = 1000,
        .place = mu_sched_policy_name("place", place, NULL),
        .max_parallel = below(w, 6) ? 0 : 1 + below(w, 5),
        .hold = below(w, 15) == 0,
    };

    if (kind == 0)
        ask.label = labels[below(w, 4)];
    if (kind == 1)
        ask.prefer = labels[below(w, 4)];
    if (kind == 2)
        ask.node = names[below(w, 4)];
    if (kind == 3)
        ask.each = each;
    if (kind == 4)
        ask.lic = 1 + below(w, 2);
    if (kind == 5)
        ask.gpu_milli = 500;
    if (kind == 6)
        ask.cpu_milli = 12000;
    if (kind == 7 && mu_view_next_job(w->rig.core) > 1)
        ask.after = mu_view_job_prev(w->rig.core, UINT64_MAX);
    rig_try_submit(&w->rig, ask);
}

/* A live attempt of a random node; NULL if that has none. */
static const struct mu_attempt *some_attempt(struct world *w)
{
    const struct mu_attempt *a, *chosen = NULL;
    uint32_t nodes = mu_view_nodes(w->rig.core), seen = 0;
    uint64_t cursor = 0;

    if (nodes == 0)
        return NULL;
    for (uint32_t node = below(w, nodes); (a = mu_view_node_attempt(w->rig.core, node, &cursor)) != NULL;)
        if (below(w, ++seen) == 0)
            chosen = a;
    return chosen;
}

static void task_ends(struct world *w)
{
    const struct mu_attempt *a = some_attempt(w);

    if (a == NULL)
        return;
    if (a->started_ms == 0 && below(w, 2))
        rig_started(&w->rig, a->job, a->ordinal);
    else
        rig_end(&w->rig, a->job, a->ordinal, 1 + below(w, 100000), below(w, 4) == 0);
}

static uint64_t some_job(struct world *w)
{
    uint64_t next = mu_view_next_job(w->rig.core);

    return next > 1 ? mu_view_job_next(w->rig.core, below(w, (uint32_t)next)) : 0;
}

/* What no longer makes sense is refused; that is fine here. */
static void operator_acts(struct world *w)
{
    uint32_t nodes = mu_view_nodes(w->rig.core), node = nodes ? below(w, nodes) : 0;
    uint64_t job = some_job(w);
    struct mu_job_view v;
    bool known = job && mu_view_job(w->rig.core, job, &v);

    w->rig.lenient = true;
    switch (below(w, 8)) {
    case 0:
        if (known && !v.over)
            rig_apply(&w->rig, MU_EV_CANCEL, &(struct mu_ev_cancel){ .job = job, .first = below(w, v.tasks), .count = below(w, 3) });
        break;
    case 1:
        if (known && !v.over)
            rig_apply(&w->rig, MU_EV_HOLD, &(struct mu_ev_hold){ .job = job, .hold = !v.held });
        break;
    case 2:
        if (known && v.over && v.count[MU_TASK_FAILED])
            rig_apply(&w->rig, MU_EV_RETRY, &(struct mu_ev_retry){ .job = job });
        break;
    case 3:
        if (nodes)
            rig_drain(&w->rig, node, below(w, 2) == 0);
        break;
    case 4:
        if (nodes && mu_view_node(w->rig.core, node)->state != MU_NODE_DOWN)
            rig_apply(&w->rig, MU_EV_NODE_LOST, &(struct mu_ev_node_lost){ .node = node, .why = MU_STR_LIT("silent") });
        break;
    case 5:
        if (nodes)
            rig_apply(&w->rig, MU_EV_NODE_SET, &(struct mu_ev_node_set){ .node = node, .label = mu_str_of(labels[below(w, 4)]) });
        break;
    case 6: rig_quota(&w->rig, users[below(w, 3)], below(w, 3) ? 0 : (1 + below(w, 10)) * 1000, 1 + below(w, 3)); break;
    default: job_comes(w);
    }
    w->rig.lenient = false;
}

static void policy_changes(struct world *w)
{
    uint32_t order = below(w, MU_COUNT(orders)), places = 0;

    while (mu_sched_policy_name("place", places, NULL))
        places++;
    if (below(w, 2))
        rig_policy(&w->rig, "order", orders[order][0], orders[order][1]);
    else
        rig_policy(&w->rig, "place", mu_sched_policy_name("place", below(w, places), NULL), NULL);
}

static void commits(struct world *w)
{
    for (uint32_t n = below(w, 8); n > 0 && w->rig.inflight_count > 0; n--)
        rig_commit(&w->rig, below(w, w->rig.inflight_count));
}

static void time_passes(struct world *w)
{
    w->rig.now_ms += below(w, below(w, 10) ? 2000 : 400000);
    if (mu_core_wake_ms(w->rig.core) <= w->rig.now_ms)
        rig_apply(&w->rig, MU_EV_DUE, &(struct mu_ev_due){ 0 });
}

/* ---- what must hold ---- */

/* Would core take this placement? Asked as core asks, with what is in flight added. */
static bool some_node_fits(const struct world *w, const struct mu_group_view *v, uint32_t ordinal)
{
    const struct mu_sched *s = w->rig.sched;
    const struct mu_shape *shape = mu_view_shape(w->rig.core, v->shape);

    for (uint32_t n = 0; n < mu_view_nodes(w->rig.core); n++) {
        const struct mu_node *node = mu_view_node(w->rig.core, n);
        bool fits = node->state == MU_NODE_UP && mu_view_shape_allows(w->rig.core, shape, node) && s->mirror.nodes[n].kept == 0;

        if (v->each_node && mu_view_each_node(w->rig.core, v->job, ordinal) != n)
            continue;
        for (uint32_t k = 0; k < mu_view_res_kinds(w->rig.core); k++)
            fits = fits && node->total.amount[k] >= node->used.amount[k] + shape->need.amount[k];
        if (fits)
            return true;
    }
    return false;
}

static bool may_start(const struct world *w, const struct mu_group_view *v)
{
    const struct mu_user *u = mu_view_user(w->rig.core, v->user);
    uint64_t need = mu_view_shape(w->rig.core, v->shape)->need.amount[MU_RES_CPU];

    if (v->max_parallel && v->live >= v->max_parallel)
        return false;
    return !u || !u->cpu_milli_max || u->live.amount[MU_RES_CPU] + need <= u->cpu_milli_max;
}

/* With nothing in flight and nothing decided, no ready task fits anywhere. Strict order may make some wait. */
static void work_is_conserved(struct world *w)
{
    struct mu_group_view v;
    uint64_t job = 0;
    uint32_t group = 0;

    if (w->rig.inflight_count > 0 || w->rig.sched->order_param[MU_ORDER_STRICT])
        return;
    while (mu_view_group_next(w->rig.core, &job, &group, &v)) {
        if (!may_start(w, &v))
            continue;
        for (uint32_t o = v.first; (o = mu_view_next(w->rig.core, v.job, v.group, MU_TASK_READY, o)) != UINT32_MAX; o++) {
            if (some_node_fits(w, &v, o))
                broken(w, "a task waits though it fits");
            if (!v.each_node)
                break;
        }
    }
}

/* Of all groups that could have started instead, none was before the one that did. */
static void rank_is_respected(struct world *w, const struct mu_decision *d)
{
    const struct mu_sched *s = w->rig.sched;
    struct mu_group_view chosen, v;
    uint64_t job = 0;
    uint32_t group = 0;

    if (w->rig.inflight_count != 1 || strcmp(s->order->name, "fifo") != 0 || s->kept_count > 0 ||
        !mu_view_group(w->rig.core, d->job, mu_view_group_of(w->rig.core, d->job, d->ordinal), &chosen))
        return;
    uint64_t guard_ms = s->order_param[MU_ORDER_GUARD];
    bool chosen_starves = guard_ms && chosen.submitted_ms + guard_ms <= s->now_ms;
    while (mu_view_group_next(w->rig.core, &job, &group, &v)) {
        bool starves = guard_ms && v.submitted_ms + guard_ms <= s->now_ms;
        bool before = starves != chosen_starves        ? starves
                      : !starves && v.priority != chosen.priority ? v.priority > chosen.priority
                                                       : v.job < chosen.job;

        if (before && may_start(w, &v) && !v.each_node &&
            some_node_fits(w, &v, mu_view_next(w->rig.core, v.job, v.group, MU_TASK_READY, v.first)))
            broken(w, "a later task went first");
    }
}

static void decides(struct world *w, bool all)
{
    struct mu_decision d;

    for (uint32_t n = all ? UINT32_MAX : below(w, 6); n > 0; n--) {
        if (w->rig.inflight_count >= 200)
            return;
        if (all)
            rig_commit_all(&w->rig);
        if (!rig_decide(&w->rig, &d)) {
            work_is_conserved(w);
            return;
        }
        rank_is_respected(w, &d);
    }
}

/* A decision is void only if something happened since: at once, core must take it. */
static void a_fresh_decision_holds(struct world *w)
{
    struct mu_decision d;

    rig_commit_all(&w->rig);
    if (!rig_decide(&w->rig, &d))
        return;
    rig_commit_all(&w->rig);
    const struct mu_attempt *a = mu_view_attempt(w->rig.core, d.job, d.ordinal);
    if (a == NULL || a->node != d.node || a->attempt != d.attempt)
        broken(w, "core did not take a fresh decision");
}

static bool nobody_starves(const struct world *w)
{
    struct mu_map_slot slot;

    for (uint32_t i = 0; (i = mu_map_next(&w->rig.sched->waits, i, &slot)) != 0;)
        if (((const struct mu_wait *)(uintptr_t)slot.value)->starves)
            return false;
    return true;
}

/* Another sched that reads core now decides as the one that was told of every change. */
static void reset_equals_incremental(struct world *w)
{
    struct mu_decision a, b;

    rig_commit_all(&w->rig);
    w->rig.sched->now_ms = w->rig.now_ms;
    mu_waits_rerank(w->rig.sched); /* an order just set is put in force by the next decision */
    mu_tenants_rerank(w->rig.sched); /* as a fresh one does */
    mu_waits_age(w->rig.sched);
    if (!nobody_starves(w)) /* which node is kept depends on when it was chosen */
        return;
    struct mu_sched *fresh = mu_sched_new(w->rig.core, 7);
    fresh->now_ms = w->rig.sched->now_ms;
    for (uint32_t n = 0; n < w->rig.sched->mirror.count; n++) /* speeds are learned, not read */
        fresh->mirror.nodes[n].slow = w->rig.sched->mirror.nodes[n].slow;
    fresh->last_node = w->rig.sched->last_node;
    fresh->rng = w->rig.sched->rng;
    for (int i = 0; i < 12; i++) {
        bool found = mu_sched_next(fresh, w->rig.now_ms, &a);

        if (found != rig_decide(&w->rig, &b))
            broken(w, "a fresh sched decides where the old one does not, or the other way round");
        if (!found)
            break;
        if (!rig_same(&a, &b))
            broken(w, "a fresh sched decides otherwise");
        mu_sched_check(fresh);
    }
    mu_sched_free(fresh);
}

static void turn(struct world *w)
{
    uint32_t dice = below(w, 100);

    if (dice < 22)
        decides(w, false);
    else if (dice < 40)
        commits(w);
    else if (dice < 65)
        task_ends(w);
    else if (dice < 78)
        job_comes(w);
    else if (dice < 82)
        node_joins(w);
    else if (dice < 88)
        operator_acts(w);
    else if (dice < 92)
        time_passes(w);
    else if (dice < 93)
        policy_changes(w);
    else if (dice < 96)
        decides(w, true);
    else if (dice < 99)
        a_fresh_decision_holds(w);
    else if (w->rig.sched->cold_max == UINT32_MAX) /* how often a class was used counts else */
        reset_equals_incremental(w);
}

static void live(uint64_t seed, uint32_t steps, uint32_t warm_max, uint32_t cold_max)
{
    struct world w = { .seed = seed };

    rig_init(&w.rig);
    w.rig.sched->warm_max = warm_max;
    w.rig.sched->cold_max = cold_max;
    mu_rng_seed(&w.rng, seed);
    for (int i = 0; i < 6; i++)
        node_joins(&w);
    for (; w.step < steps; w.step++)
        turn(&w);
    rig_fini(&w.rig);
}

static void random_lives(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++)
        live(seed, 400, 0, UINT32_MAX);
}

/* Few trees, so that classes lose and regain them. */
static void random_lives_with_few_trees(void **state)
{
    (void)state;
    for (uint64_t seed = 101; seed <= 115; seed++)
        live(seed, 400, 2, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_lives),
        cmocka_unit_test(random_lives_with_few_trees),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
