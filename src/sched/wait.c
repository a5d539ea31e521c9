/* sched/wait.c -- see wait.h. */
#include "sched/wait.h"

#include "sched/class.h"
#include "sched/each.h"

#include <stdlib.h>

static uint64_t wait_key(uint64_t job, uint32_t group)
{
    return job << 16 | group;
}

static uint64_t line_key(const struct mu_class *c, uint32_t user)
{
    return (uint64_t)c->number << 32 | user;
}

/* ---- ranks ---- */

static struct mu_rank rank_of(const struct mu_wait *w, uint64_t policy_rank)
{
    uint64_t last = wait_key(w->job, w->group);

    if (w->starves)
        return (struct mu_rank){ 0, last };
    uint64_t urgency = (uint32_t)((int64_t)INT32_MAX - w->priority);
    return (struct mu_rank){ UINT64_C(1) << 63 | urgency << 31 | policy_rank >> 9, (policy_rank & 511) << 55 | last };
}

static uint64_t rank_in_line(const struct mu_sched *s, const struct mu_wait *w)
{
    return s->order->rank_group ? s->order->rank_group(s, w) : 0;
}

struct mu_rank mu_wait_rank(const struct mu_sched *s, const struct mu_wait *w)
{
    return rank_of(w, s->order->rank_user ? w->line->tenant->rank : rank_in_line(s, w));
}

static void line_refile(struct mu_sched *s, struct mu_line *l)
{
    struct mu_heap *heap = &l->cls->lines;
    struct mu_heap_link *head = mu_heap_min(&l->waits);

    if (head == NULL || l->parked) {
        mu_heap_remove(heap, &l->link);
    } else {
        struct mu_rank r = mu_wait_rank(s, mu_line_first_wait(l));

        if (!mu_heap_has(&l->link))
            mu_heap_add(heap, &l->link, r.hi, r.lo);
        else if (l->link.key == r.hi && l->link.tie == r.lo)
            return;
        else
            mu_heap_move(heap, &l->link, r.hi, r.lo);
    }
    mu_class_refile(s, l->cls);
}

static void file(struct mu_sched *s, struct mu_wait *w)
{
    struct mu_rank r = rank_of(w, rank_in_line(s, w));

    if (!mu_heap_has(&w->link))
        mu_heap_add(&w->line->waits, &w->link, r.hi, r.lo);
}

/* ---- tenants and lines ---- */

static struct mu_tenant *tenant_get(struct mu_sched *s, uint32_t word)
{
    struct mu_tenant *t = mu_map_get_ptr(&s->tenants, word);

    if (t != NULL)
        return t;
    t = calloc(1, sizeof *t);
    MU_ASSERT(t != NULL);
    t->word = word;
    mu_list_init(&t->lines);
    mu_map_put_ptr(&s->tenants, word, t);
    t->rank = s->order->rank_user ? s->order->rank_user(s, t) : 0;
    return t;
}

static struct mu_line *line_get(struct mu_sched *s, const struct mu_group_view *v)
{
    struct mu_class *c = mu_class_get(s, v);
    struct mu_line *l = mu_map_get_ptr(&s->lines, line_key(c, v->user));

    if (l != NULL) {
        l->members++;
        return l;
    }
    l = calloc(1, sizeof *l);
    MU_ASSERT(l != NULL);
    l->cls = c;
    l->members = 1;
    l->tenant = tenant_get(s, v->user);
    l->tenant->members++;
    mu_list_add_tail(&l->tenant->lines, &l->of_tenant);
    mu_map_put_ptr(&s->lines, line_key(c, v->user), l);
    return l;
}

static void line_unpark(struct mu_sched *s, struct mu_line *l)
{
    if (!l->parked)
        return;
    l->parked = false;
    l->tenant->parked--;
    s->parked--;
    line_refile(s, l);
}

/* Every member holds its class. */
static void line_leave(struct mu_sched *s, struct mu_line *l)
{
    struct mu_class *c = l->cls;
    struct mu_tenant *t = l->tenant;

    if (--l->members == 0) {
        line_unpark(s, l);
        mu_list_remove(&l->of_tenant);
        mu_map_remove(&s->lines, line_key(c, t->word));
        mu_heap_fini(&l->waits);
        free(l);
        if (--t->members == 0) {
            mu_map_remove(&s->tenants, t->word);
            free(t);
        }
    }
    mu_class_unref(s, c);
}

bool mu_tenant_is_full(const struct mu_sched *s, const struct mu_tenant *t, const struct mu_class *c)
{
    const struct mu_user *u = mu_view_user(s->core, t->word);

    if (u == NULL || u->cpu_milli_max == 0)
        return false;
    return u->live.amount[MU_RES_CPU] + t->pending.amount[MU_RES_CPU] + c->need.res.amount[MU_RES_CPU] > u->cpu_milli_max;
}

void mu_line_park(struct mu_sched *s, struct mu_line *l)
{
    MU_ASSERT(!l->parked);
    l->parked = true;
    l->tenant->parked++;
    s->parked++;
    line_refile(s, l);
}

void mu_tenant_unpark(struct mu_sched *s, struct mu_tenant *t)
{
    MU_LIST_EACH(it, &t->lines) {
        if (t->parked == 0)
            return;
        line_unpark(s, MU_CONTAINER(it, struct mu_line, of_tenant));
    }
}

void mu_tenant_rerank(struct mu_sched *s, struct mu_tenant *t)
{
    uint64_t rank = s->order->rank_user ? s->order->rank_user(s, t) : 0;

    if (rank == t->rank)
        return;
    t->rank = rank;
    MU_LIST_EACH(it, &t->lines)
        line_refile(s, MU_CONTAINER(it, struct mu_line, of_tenant));
}

void mu_tenants_rerank(struct mu_sched *s)
{
    struct mu_map_slot slot;

    for (uint32_t i = 0; (i = mu_map_next(&s->tenants, i, &slot)) != 0;)
        mu_tenant_rerank(s, (struct mu_tenant *)(uintptr_t)slot.value);
    s->ranked_ms = s->now_ms;
}

void mu_tenants_unpark(struct mu_sched *s)
{
    struct mu_map_slot slot;

    for (uint32_t i = 0; s->parked > 0 && (i = mu_map_next(&s->tenants, i, &slot)) != 0;)
        mu_tenant_unpark(s, (struct mu_tenant *)(uintptr_t)slot.value);
}

/* ---- waits ---- */

struct mu_wait *mu_wait_find(const struct mu_sched *s, uint64_t job, uint32_t group)
{
    return mu_map_get_ptr(&s->waits, wait_key(job, group));
}

/* Starving is only a matter of the guard and of time. */
static void set_age(struct mu_sched *s, struct mu_wait *w)
{
    uint64_t guard_ms = s->order_param[MU_ORDER_GUARD];

    mu_heap_remove(&s->aging, &w->aging);
    w->starves = guard_ms != 0 && s->now_ms >= w->submitted_ms + guard_ms;
    if (guard_ms != 0 && !w->starves)
        mu_heap_add(&s->aging, &w->aging, w->submitted_ms + guard_ms, wait_key(w->job, w->group));
}

static struct mu_wait *wait_new(struct mu_sched *s, const struct mu_group_view *v)
{
    struct mu_wait *w = calloc(1, sizeof *w);

    MU_ASSERT(w != NULL);
    w->job = v->job;
    w->group = v->group;
    w->first = w->cursor = v->first;
    w->submitted_ms = v->submitted_ms;
    w->max_parallel = v->max_parallel;
    w->priority = v->priority;
    w->line = line_get(s, v);
    s->limited += w->max_parallel != 0;
    set_age(s, w);
    mu_map_put_ptr(&s->waits, wait_key(w->job, w->group), w);
    return w;
}

static void wait_free(struct mu_sched *s, struct mu_wait *w)
{
    MU_ASSERT(!mu_heap_has(&w->link) && w->taken == 0);
    mu_heap_remove(&s->aging, &w->aging);
    mu_map_remove(&s->waits, wait_key(w->job, w->group));
    s->limited -= w->max_parallel != 0;
    line_leave(s, w->line);
    free(w);
}

uint32_t mu_wait_open(const struct mu_wait *w)
{
    uint32_t n = w->runnable && w->ready > w->taken ? w->ready - w->taken : 0;
    uint64_t busy = (uint64_t)w->live + w->taken;

    if (w->max_parallel == 0)
        return n;
    if (busy >= w->max_parallel)
        return 0;
    return n < w->max_parallel - busy ? n : (uint32_t)(w->max_parallel - busy);
}

void mu_wait_refile(struct mu_sched *s, struct mu_wait *w)
{
    if (mu_wait_open(w) > 0)
        file(s, w);
    else
        mu_heap_remove(&w->line->waits, &w->link);
    line_refile(s, w->line);
    if (w->taken == 0 && (!w->runnable || w->ready == 0))
        wait_free(s, w);
}

void mu_wait_sync(struct mu_sched *s, uint64_t job, uint32_t group)
{
    struct mu_wait *w = mu_wait_find(s, job, group);
    struct mu_group_view v;
    bool known = mu_view_group(s->core, job, group, &v);

    if (w == NULL) {
        if (!known || !v.runnable || v.ready == 0)
            return;
        w = wait_new(s, &v);
    }
    bool grew = known && v.ready > w->ready;
    w->ready = known ? v.ready : 0;
    w->live = known ? v.live : 0;
    w->runnable = known && v.runnable;
    if (grew) { /* tasks before the cursor may be ready again */
        w->cursor = w->first;
        if (w->line->cls->kind == MU_CLASS_EACH) {
            mu_each_clear(s, w->line->cls);
            mu_class_open(s, w->line->cls);
        }
    }
    mu_wait_refile(s, w);
}

uint32_t mu_wait_next(struct mu_sched *s, struct mu_wait *w)
{
    for (int round = 0; round < 2; round++, w->cursor = w->first)
        for (;;) {
            uint32_t o = mu_view_next(s->core, w->job, w->group, MU_TASK_READY, w->cursor);

            if (o == UINT32_MAX)
                break;
            w->cursor = o + 1;
            if (mu_map_find(&s->taken, mu_task_key(w->job, o)) == NULL)
                return o;
        }
    return UINT32_MAX;
}

void mu_waits_age(struct mu_sched *s)
{
    struct mu_heap_link *first;

    while ((first = mu_heap_min(&s->aging)) != NULL && first->key <= s->now_ms) {
        struct mu_wait *w = MU_CONTAINER(first, struct mu_wait, aging);

        set_age(s, w);
        mu_heap_remove(&w->line->waits, &w->link);
        mu_wait_refile(s, w);
    }
}

void mu_waits_rerank(struct mu_sched *s)
{
    struct mu_map_slot slot;

    mu_tenants_rerank(s);
    for (uint32_t i = 0; (i = mu_map_next(&s->waits, i, &slot)) != 0;) {
        struct mu_wait *w = (struct mu_wait *)(uintptr_t)slot.value;

        set_age(s, w);
        mu_heap_remove(&w->line->waits, &w->link);
        mu_wait_refile(s, w);
    }
}

void mu_waits_free_all(struct mu_sched *s)
{
    struct mu_map_slot slot;

    while (s->waits.count > 0) /* a removal may move a later one forward, past the walk */
        for (uint32_t i = 0; (i = mu_map_next(&s->waits, i, &slot)) != 0;) {
            struct mu_wait *w = (struct mu_wait *)(uintptr_t)slot.value;

            w->taken = w->ready = 0;
            mu_wait_refile(s, w);
        }
}
