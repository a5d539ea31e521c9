/* sched/sched.c -- the room's front: committed effects in, decisions out. See state.h for how it is built. */
#include "sched/sched.h"

#include "sched/class.h"
#include "sched/each.h"
#include "sched/policy.h"
#include "sched/search.h"
#include "sched/state.h"
#include "sched/wait.h"

#include <stdlib.h>

enum { RANK_EVERY_MS = 1000 }; /* users' past shares fade: rank them anew so often */

/* ---- reservations ---- */

static void pending_add(struct mu_tenant *t, const struct mu_res *need, int sign)
{
    for (uint32_t k = 0; k < MU_RES_MAX; k++)
        t->pending.amount[k] += sign > 0 ? need->amount[k] : -need->amount[k];
}

static struct mu_taken *taken_find(const struct mu_sched *s, uint64_t job, uint32_t ordinal)
{
    return mu_map_get_ptr(&s->taken, mu_task_key(job, ordinal));
}

static struct mu_taken *taken_new(struct mu_sched *s)
{
    struct mu_taken *t = s->spare ? s->spare : malloc(sizeof *t);

    MU_ASSERT(t != NULL);
    s->spare = s->spare ? t->next : NULL;
    return t;
}

static void taken_free(struct mu_sched *s, struct mu_taken *t)
{
    t->next = s->spare;
    s->spare = t;
}

static void take(struct mu_sched *s, struct mu_wait *w, uint32_t ordinal, uint32_t node, struct mu_decision *out)
{
    struct mu_taken *t = taken_new(s);
    struct mu_line *l = w->line;

    *t = (struct mu_taken){ .wait = w, .ordinal = ordinal, .attempt = mu_view_attempts(s->core, w->job, ordinal) + 1, .node = node };
    mu_map_put_ptr(&s->taken, mu_task_key(w->job, ordinal), t);
    mu_mirror_take(&s->mirror, node, &l->cls->need.res);
    pending_add(l->tenant, &l->cls->need.res, 1);
    w->taken++;
    *out = (struct mu_decision){ w->job, ordinal, t->attempt, node };
    mu_tenant_rerank(s, l->tenant);
    mu_wait_refile(s, w);
}

/* A decision became a fact, or void. The wait is synced by the caller. */
static void settle(struct mu_sched *s, uint64_t job, struct mu_taken *t)
{
    struct mu_wait *w = t->wait;

    mu_map_remove(&s->taken, mu_task_key(job, t->ordinal));
    mu_mirror_settle(&s->mirror, s->core, t->node, &w->line->cls->need.res);
    pending_add(w->line->tenant, &w->line->cls->need.res, -1);
    w->taken--;
    taken_free(s, t);
}

/* ---- decisions ---- */

/* Nodes that gained room wake who waits for them, and are offered to the shut classes. */
static void hear_of_room(struct mu_sched *s)
{
    struct mu_mirror *m = &s->mirror;

    while (m->gained_count > 0) {
        uint32_t node = m->gained[m->gained_count - 1], i = 0;

        mu_mirror_gained_drop(m, m->gained_count - 1);
        if (s->at_node.count > 0)
            mu_each_wake(s, node);
        while (i < s->offers_count && s->offers[i] != node)
            i++;
        if (i < s->offers_count || s->shut.count == 0)
            continue;
        if (s->offers_count == MU_OFFERS_MAX) {
            mu_class_open_all(s);
            s->offers_count = 0;
        } else {
            s->offers[s->offers_count++] = node;
        }
    }
}

/* Of the shut classes that a node has room for, the first in rank; NULL if it has room for none. */
static struct mu_class *first_that_fits(const struct mu_sched *s, uint32_t node)
{
    struct mu_class *best = NULL;

    for (uint32_t i = 0; i < s->shut.count; i++) {
        struct mu_class *c = MU_CONTAINER(s->shut.links[i], struct mu_class, link);

        if (c->kind == MU_CLASS_WIDE && mu_class_fits(s, c, node) &&
            (best == NULL || mu_rank_before(mu_class_rank(c), mu_class_rank(best))))
            best = c;
    }
    return best;
}

/* The class whose first task comes next among those that may have room. Shut classes are not all opened when a
 * node gains room: as a rule it suits many of them and is enough for one. */
static struct mu_class *next_class(struct mu_sched *s)
{
    struct mu_heap_link *top = mu_heap_min(&s->open);
    struct mu_class *best = top ? MU_CONTAINER(top, struct mu_class, link) : NULL;

    for (uint32_t i = 0; i < s->offers_count;) {
        struct mu_class *c = first_that_fits(s, s->offers[i]);

        if (c == NULL) {
            s->offers[i] = s->offers[--s->offers_count];
            continue;
        }
        if (best == NULL || mu_rank_before(mu_class_rank(c), mu_class_rank(best)))
            best = c;
        i++;
    }
    if (best != NULL && best->shut)
        mu_class_open(s, best);
    return best;
}

static void remember(struct mu_sched *s, const struct mu_decision *d, const struct mu_class *c, const struct mu_choice *choice)
{
    uint64_t task = mu_task_key(d->job, d->ordinal);
    uint32_t place;

    if (s->past == NULL) {
        s->past = calloc(1 << MU_PAST_BITS, sizeof *s->past);
        MU_ASSERT(s->past != NULL);
    }
    (void)mu_search_policy(s, c, &place);
    s->decisions[place]++;
    *mu_past_slot(s, task) = (struct mu_past){
        .task = task,
        .attempt = d->attempt,
        .node = choice->node,
        .score = c->kind == MU_CLASS_WIDE ? choice->score : 0,
        .place = (uint8_t)place,
        .runner_up = choice->runner_up,
        .runner_up_score = choice->runner_up_score,
    };
}

/* Start the first task of the class. false: not this one, look again (what was in the way is out of it now). */
static bool start(struct mu_sched *s, struct mu_class *c, struct mu_decision *out)
{
    struct mu_line *l = mu_class_first_line(c);
    struct mu_wait *w = mu_line_first_wait(l);
    struct mu_choice choice = { .runner_up = MU_TREE_NONE };
    uint32_t ordinal;
    bool found;

    if (mu_tenant_is_full(s, l->tenant, c)) {
        mu_line_park(s, l);
        return false;
    }
    if (c->kind == MU_CLASS_EACH)
        found = mu_each_next(s, c, w, &ordinal, &choice.node);
    else
        found = mu_search(s, c, &choice);
    if (!found) {
        mu_class_shut(s, c);
        return false;
    }
    if (c->kind != MU_CLASS_EACH)
        ordinal = mu_wait_next(s, w);
    if (ordinal == UINT32_MAX) { /* core has fewer ready tasks than it said: nothing to start here */
        w->ready = w->taken;
        mu_wait_refile(s, w);
        return false;
    }
    take(s, w, ordinal, choice.node, out);
    s->last_node = choice.node;
    remember(s, out, c, &choice);
    return true;
}

static void advance(struct mu_sched *s, uint64_t now_ms)
{
    uint64_t core_ms = mu_view_now_ms(s->core);

    now_ms = core_ms > now_ms ? core_ms : now_ms;
    s->now_ms = now_ms > s->now_ms ? now_ms : s->now_ms;
    if (s->mirror.largest_version != s->largest_seen) {
        s->largest_seen = s->mirror.largest_version;
        s->score_version++;
    }
    if (s->order_changed)
        mu_waits_rerank(s);
    s->order_changed = false;
    mu_waits_age(s);
    if (s->order->rank_user && s->now_ms >= s->ranked_ms + RANK_EVERY_MS)
        mu_tenants_rerank(s);
}

bool mu_sched_next(struct mu_sched *s, uint64_t now_ms, struct mu_decision *out)
{
    struct mu_class *c;

    advance(s, now_ms);
    for (;;) {
        mu_class_keep_review(s);
        hear_of_room(s);
        c = next_class(s);
        if (c == NULL || mu_class_barrier(s, mu_class_rank(c)) != NULL)
            return false;
        if (start(s, c, out))
            return true;
    }
}

/* ---- committed effects ---- */

void mu_sched_on_node(struct mu_sched *s, uint32_t node)
{
    uint32_t had = s->mirror.count;

    mu_mirror_node(&s->mirror, s->core, node);
    if (s->mirror.count > had) {
        for (uint32_t n = had; n < s->mirror.count; n++)
            if (n != node)
                mu_mirror_node(&s->mirror, s->core, n);
        mu_each_wake(s, MU_NODE_NONE);
    }
}

void mu_sched_node_silent(struct mu_sched *s, uint32_t node, bool silent)
{
    if (node >= s->mirror.count)
        mu_sched_on_node(s, node);
    if (s->mirror.nodes[node].silent == silent)
        return;
    s->mirror.nodes[node].silent = silent;
    mu_sched_on_node(s, node);
}

void mu_sched_on_group(struct mu_sched *s, uint64_t job, uint32_t group)
{
    mu_wait_sync(s, job, group);
}

void mu_sched_on_quota(struct mu_sched *s)
{
    mu_tenants_unpark(s);
    mu_tenants_rerank(s);
}

/* Not ours: decided before a reset, or by another leader. */
static void adopt(struct mu_sched *s, uint64_t job, uint32_t ordinal, uint32_t node)
{
    uint32_t group = mu_view_group_of(s->core, job, ordinal);

    if (node != MU_NODE_NONE)
        mu_mirror_used(&s->mirror, s->core, node);
    if (group != UINT32_MAX)
        mu_wait_sync(s, job, group);
}

void mu_sched_on_placed(struct mu_sched *s, uint64_t job, uint32_t ordinal)
{
    struct mu_taken *t = taken_find(s, job, ordinal);
    const struct mu_attempt *a;

    if (t != NULL) {
        uint32_t group = t->wait->group;

        settle(s, job, t);
        mu_wait_sync(s, job, group);
        return;
    }
    a = mu_view_attempt(s->core, job, ordinal);
    adopt(s, job, ordinal, a ? a->node : MU_NODE_NONE);
}

void mu_sched_on_unplaced(struct mu_sched *s, uint64_t job, uint32_t ordinal, uint32_t node, uint32_t shape)
{
    struct mu_taken *t = taken_find(s, job, ordinal);

    (void)shape;
    if (t == NULL) {
        adopt(s, job, ordinal, node < mu_view_nodes(s->core) ? node : MU_NODE_NONE);
        return;
    }
    struct mu_wait *w = t->wait;
    struct mu_tenant *tenant = w->line->tenant;

    settle(s, job, t);
    w->cursor = ordinal < w->cursor ? ordinal : w->cursor;
    if (w->line->cls->kind == MU_CLASS_EACH) {
        mu_each_again(w->line->cls, ordinal);
        mu_class_open(s, w->line->cls);
    }
    mu_tenant_unpark(s, tenant);
    mu_tenant_rerank(s, tenant);
    mu_wait_sync(s, job, w->group);
}

/* Whose task was it? Only asked when somebody may wait for just that. */
static void hear_of_user(struct mu_sched *s, uint64_t job, uint32_t ordinal)
{
    uint32_t group = mu_view_group_of(s->core, job, ordinal);
    struct mu_group_view v;
    struct mu_tenant *t;

    if (group == UINT32_MAX || !mu_view_group(s->core, job, group, &v))
        return;
    if (v.max_parallel != 0)
        mu_wait_sync(s, job, group);
    t = mu_map_get_ptr(&s->tenants, v.user);
    if (t == NULL)
        return;
    mu_tenant_unpark(s, t);
    mu_tenant_rerank(s, t);
}

void mu_sched_on_freed(struct mu_sched *s, uint64_t job, uint32_t ordinal, uint32_t node, uint32_t shape)
{
    (void)shape;
    mu_mirror_used(&s->mirror, s->core, node);
    if (s->parked > 0 || s->limited > 0 || s->order->rank_user)
        hear_of_user(s, job, ordinal);
}

/* ---- learning ---- */

static struct mu_runs *runs_of(struct mu_sched *s, uint32_t shape)
{
    const struct mu_shape *facts = mu_view_shape(s->core, shape);

    if (shape >= s->runs_count) {
        uint32_t count = shape + 1 + shape / 2;

        s->runs = realloc(s->runs, count * sizeof *s->runs);
        MU_ASSERT(s->runs != NULL);
        memset(s->runs + s->runs_count, 0, (count - s->runs_count) * sizeof *s->runs);
        s->runs_count = count;
    }
    if (s->runs[shape].generation != facts->generation)
        s->runs[shape] = (struct mu_runs){ .generation = facts->generation };
    return &s->runs[shape];
}

/* The prediction is the mean of the shape so far. A few ms of starting and ending say nothing of a node's speed, so
 * both sides get some: very short tasks then leave speeds alone. Only good ends count: to fail is quick. */
void mu_sched_on_ended(struct mu_sched *s, uint32_t node, uint32_t shape, uint64_t run_us, bool ok)
{
    enum { START_US = 20000, MEMORY = 64 };

    if (!ok || shape >= mu_view_shapes(s->core) || node >= s->mirror.count)
        return;
    struct mu_runs *r = runs_of(s, shape);
    uint64_t run = run_us < UINT64_C(1) << 45 ? run_us : UINT64_C(1) << 45;

    if (r->count > 0)
        mu_mirror_learn(&s->mirror, node, (run + START_US) * MU_SHARE_ONE / (r->mean_us + START_US));
    r->count += r->count < MEMORY;
    r->mean_us = (uint64_t)((int64_t)r->mean_us + ((int64_t)run - (int64_t)r->mean_us) / (int64_t)r->count);
}

/* ---- life ---- */

static void policy_in_force(struct mu_sched *s, const char *kind)
{
    struct mu_policy_view p = mu_view_policy(s->core, kind);

    (void)mu_sched_policy_set(s, mu_str_of(kind), p.name, p.params, NULL);
}

static void forget(struct mu_sched *s)
{
    struct mu_map_slot slot;

    for (uint32_t i = 0; (i = mu_map_next(&s->taken, i, &slot)) != 0;)
        taken_free(s, (struct mu_taken *)(uintptr_t)slot.value);
    mu_map_clear(&s->taken);
    mu_waits_free_all(s);
    mu_class_free_all(s);
    MU_ASSERT(s->lines.count == 0 && s->tenants.count == 0 && s->at_node.count == 0);
    s->offers_count = 0;
}

static void read_core(struct mu_sched *s)
{
    struct mu_group_view v;
    uint64_t job = 0;
    uint32_t group = 0;

    s->now_ms = mu_view_now_ms(s->core) > s->now_ms ? mu_view_now_ms(s->core) : s->now_ms;
    policy_in_force(s, "order");
    policy_in_force(s, "place");
    mu_mirror_reset(&s->mirror, s->core);
    while (mu_view_group_next(s->core, &job, &group, &v))
        mu_wait_sync(s, v.job, v.group);
}

struct mu_sched *mu_sched_new(const struct mu_core *core, uint64_t seed)
{
    struct mu_sched *s = calloc(1, sizeof *s);

    MU_ASSERT(s != NULL);
    s->core = core;
    s->order = mu_order_at(0);
    s->cold_max = UINT32_MAX;
    (void)mu_params_read(s->order->params, s->order->param_count, NULL, s->order_param, NULL);
    mu_policy_presets(s);
    mu_rng_seed(&s->rng, seed);
    mu_mirror_init(&s->mirror);
    mu_list_init(&s->idle);
    mu_list_init(&s->warm);
    read_core(s);
    return s;
}

void mu_sched_reset(struct mu_sched *s)
{
    forget(s);
    read_core(s);
}

void mu_sched_free(struct mu_sched *s)
{
    if (s == NULL)
        return;
    forget(s);
    for (struct mu_taken *t; (t = s->spare) != NULL; free(t))
        s->spare = t->next;
    mu_search_fini(s);
    mu_mirror_fini(&s->mirror);
    struct mu_map *maps[] = { &s->waits, &s->lines, &s->tenants, &s->classes, &s->taken, &s->at_node };
    for (size_t i = 0; i < MU_COUNT(maps); i++)
        mu_map_fini(maps[i]);
    struct mu_heap *heaps[] = { &s->open, &s->shut, &s->aging };
    for (size_t i = 0; i < MU_COUNT(heaps); i++)
        mu_heap_fini(heaps[i]);
    free(s->runs);
    free(s->past);
    free(s);
}

uint64_t mu_sched_decisions(const struct mu_sched *s)
{
    uint64_t all = 0;

    for (uint32_t i = 0; i < MU_PLACES_MAX; i++)
        all += s->decisions[i];
    return all;
}

uint64_t mu_sched_decisions_by(const struct mu_sched *s, uint32_t place)
{
    return place < MU_PLACES_MAX ? s->decisions[place] : 0;
}
