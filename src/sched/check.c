/* sched/check.c -- every invariant of struct mu_sched, asserted against core and against plain scans. */
#include "sched/class.h"
#include "sched/search.h"
#include "sched/wait.h"

#include <stdlib.h>

/* Mirror: pending is what is taken, free is core's free less that, totals add up. */
static void check_mirror(const struct mu_sched *s)
{
    const struct mu_mirror *m = &s->mirror;
    int64_t *pending = calloc((size_t)m->count * m->kinds + 1, sizeof *pending);
    struct mu_res total = { 0 };
    struct mu_map_slot slot;

    MU_ASSERT(pending != NULL && m->count == mu_view_nodes(s->core));
    for (uint32_t i = 0; (i = mu_map_next(&s->taken, i, &slot)) != 0;) {
        const struct mu_taken *t = (const struct mu_taken *)(uintptr_t)slot.value;

        for (uint32_t k = 0; k < m->kinds; k++)
            pending[(size_t)t->node * m->kinds + k] += (int64_t)t->wait->line->cls->need.res.amount[k];
    }
    for (uint32_t n = 0; n < m->count; n++) {
        const struct mu_node *facts = mu_view_node(s->core, n);

        MU_ASSERT(m->nodes[n].usable == (facts->state == MU_NODE_UP && !facts->drain && !m->nodes[n].silent));
        for (uint32_t k = 0; k < m->kinds; k++) {
            int64_t at = pending[(size_t)n * m->kinds + k];

            MU_ASSERT(m->pending[(size_t)n * m->kinds + k] == at);
            MU_ASSERT(*mu_mirror_free(m, n, k) == (int64_t)facts->total.amount[k] - (int64_t)facts->used.amount[k] - at);
            MU_ASSERT(mu_mirror_total(m, n, k) == facts->total.amount[k]);
            total.amount[k] += m->nodes[n].usable ? facts->total.amount[k] : 0;
        }
    }
    MU_ASSERT(memcmp(&total, &m->total, m->kinds * sizeof total.amount[0]) == 0);
    free(pending);
}

/* Tree: right for every node that has not changed since the tree was last used; each line says its maximum. */
static void check_tree(const struct mu_sched *s, const struct mu_class *c)
{
    const struct mu_tree *t = &c->tree;
    uint64_t behind = s->mirror.log_end - c->tree_at;

    if (c->tree_version != s->score_version || behind > MU_MIRROR_LOG || s->mirror.largest_version != s->largest_seen)
        return; /* will be built anew */
    for (uint32_t n = 0; n < s->mirror.count && n < t->places; n++) {
        uint32_t age = (uint32_t)s->mirror.log_end - s->mirror.nodes[n].log_at;

        if (age > behind)
            MU_ASSERT(mu_tree_get(t, n) == mu_search_score(s, c, n));
    }
    for (uint32_t l = 0, lines = t->places / MU_TREE_FAN; l < t->top; l++, lines = (lines + MU_TREE_FAN - 1) / MU_TREE_FAN)
        for (uint32_t i = 0; i < lines; i++) {
            uint32_t best = 0;

            for (uint32_t j = 0; j < MU_TREE_FAN; j++)
                best = t->level[l][i * MU_TREE_FAN + j] > best ? t->level[l][i * MU_TREE_FAN + j] : best;
            MU_ASSERT(t->level[l + 1][i] == best);
        }
}

/* A shut class has room nowhere but on nodes that it will hear of. */
static void check_shut(const struct mu_sched *s, const struct mu_class *c)
{
    for (uint32_t n = 0; n < s->mirror.count && c->kind == MU_CLASS_WIDE; n++) {
        bool offered = s->mirror.nodes[n].gained;

        for (uint32_t i = 0; i < s->offers_count; i++)
            offered = offered || s->offers[i] == n;
        MU_ASSERT(offered || !mu_class_fits(s, c, n));
    }
    if (c->kind == MU_CLASS_ONE && c->node < s->mirror.count)
        MU_ASSERT(s->mirror.nodes[c->node].gained || !mu_class_fits(s, c, c->node));
    MU_ASSERT(c->kind == MU_CLASS_WIDE || !mu_list_is_empty(&c->waiters));
}

static void check_heap(const struct mu_sched *s, const struct mu_heap *heap, bool shut)
{
    for (uint32_t i = 0; i < heap->count; i++) {
        const struct mu_class *c = MU_CONTAINER(heap->links[i], struct mu_class, link);
        struct mu_rank first = mu_class_rank(c), head = mu_rank_of(mu_heap_min(&c->lines));

        MU_ASSERT(c->shut == shut && first.hi == head.hi && first.lo == head.lo);
        if (!s->order_changed) {
            head = mu_wait_rank(s, mu_line_first_wait(mu_class_first_line(c)));
            MU_ASSERT(first.hi == head.hi && first.lo == head.lo);
        }
        if (shut)
            check_shut(s, c);
    }
}

static void check_wait(const struct mu_sched *s, const struct mu_wait *w)
{
    const struct mu_line *l = w->line;
    struct mu_group_view v;
    bool known = mu_view_group(s->core, w->job, w->group, &v);

    MU_ASSERT(w->ready == (known ? v.ready : 0));
    MU_ASSERT(w->ready == 0 || w->runnable == v.runnable); /* core says nothing of groups with nothing ready */
    MU_ASSERT(w->max_parallel == 0 || w->live == (known ? v.live : 0));
    MU_ASSERT(w->taken > 0 || (w->runnable && w->ready > 0));
    MU_ASSERT(mu_heap_has(&w->link) == (mu_wait_open(w) > 0));
    MU_ASSERT(mu_heap_has(&l->link) == (l->waits.count > 0 && !l->parked));
    MU_ASSERT(mu_heap_has(&l->cls->link) == (l->cls->lines.count > 0));
}

/* Every group that core could run is known, and nothing else. */
static void check_waits(const struct mu_sched *s)
{
    struct mu_map_slot slot;
    struct mu_group_view v;
    uint64_t job = 0;
    uint32_t group = 0, taken = 0, limited = 0;

    for (uint32_t i = 0; (i = mu_map_next(&s->waits, i, &slot)) != 0;) {
        const struct mu_wait *w = (const struct mu_wait *)(uintptr_t)slot.value;

        check_wait(s, w);
        taken += w->taken;
        limited += w->max_parallel != 0;
    }
    MU_ASSERT(taken == s->taken.count && limited == s->limited);
    while (mu_view_group_next(s->core, &job, &group, &v))
        MU_ASSERT(mu_wait_find(s, v.job, v.group) != NULL);
}

void mu_sched_check(const struct mu_sched *s)
{
    struct mu_map_slot slot;
    uint32_t warm = 0;

    check_mirror(s);
    check_waits(s);
    check_heap(s, &s->open, false);
    check_heap(s, &s->shut, true);
    for (uint32_t i = 0; (i = mu_map_next(&s->classes, i, &slot)) != 0;) {
        const struct mu_class *c = (const struct mu_class *)(uintptr_t)slot.value;

        MU_ASSERT((c->refs == 0) == !mu_list_is_empty(&c->idle));
        if (mu_tree_is_empty(&c->tree))
            continue;
        warm++;
        if (c->refs > 0) /* the shape of an idle one may be gone from core */
            check_tree(s, c);
    }
    MU_ASSERT(warm == s->warm_count);
}
