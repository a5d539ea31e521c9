/* sched/each.c -- see each.h. */
#include "sched/each.h"

#include "base/assert.h"
#include "sched/class.h"

#include <stdlib.h>

static struct mu_list *list_at(struct mu_sched *s, uint32_t node)
{
    struct mu_list *at = mu_map_get_ptr(&s->at_node, node);

    if (at == NULL) {
        at = malloc(sizeof *at);
        MU_ASSERT(at != NULL);
        mu_list_init(at);
        mu_map_put_ptr(&s->at_node, node, at);
    }
    return at;
}

static void list_drop_if_empty(struct mu_sched *s, uint32_t node)
{
    struct mu_list *at = mu_map_get_ptr(&s->at_node, node);

    if (!mu_list_is_empty(at))
        return;
    mu_map_remove(&s->at_node, node);
    free(at);
}

void mu_each_wait(struct mu_sched *s, struct mu_class *c, uint32_t node, uint32_t ordinal)
{
    struct mu_waiter *w = malloc(sizeof *w);

    MU_ASSERT(w != NULL);
    *w = (struct mu_waiter){ .cls = c, .node = node, .ordinal = ordinal };
    mu_list_add_tail(list_at(s, node), &w->at_node);
    mu_list_add_tail(&c->waiters, &w->of_class);
}

static void waiter_free(struct mu_waiter *w)
{
    mu_list_remove(&w->at_node);
    mu_list_remove(&w->of_class);
    free(w);
}

void mu_each_again(struct mu_class *c, uint32_t ordinal)
{
    if (c->again_count == c->again_cap) {
        c->again_cap = c->again_cap ? c->again_cap * 2 : 16;
        c->again = realloc(c->again, c->again_cap * sizeof *c->again);
        MU_ASSERT(c->again != NULL);
    }
    c->again[c->again_count++] = ordinal;
    c->again_sorted = false;
}

static int by_ordinal_falling(const void *a, const void *b)
{
    uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;

    return (j > i) - (j < i);
}

/* Whatever the order in which nodes gained room, the lowest ordinal comes first. */
static uint32_t again_pop(struct mu_class *c)
{
    if (!c->again_sorted)
        qsort(c->again, c->again_count, sizeof *c->again, by_ordinal_falling);
    c->again_sorted = true;
    return c->again[--c->again_count];
}

void mu_each_wake(struct mu_sched *s, uint32_t node)
{
    struct mu_list *at = mu_map_get_ptr(&s->at_node, node);

    if (at == NULL)
        return;
    while (!mu_list_is_empty(at)) {
        struct mu_waiter *w = MU_CONTAINER(at->next, struct mu_waiter, at_node);
        struct mu_class *c = w->cls;

        if (c->kind == MU_CLASS_EACH)
            mu_each_again(c, w->ordinal);
        else if (node == MU_NODE_NONE)
            mu_class_resolve(s, c);
        waiter_free(w);
        mu_class_open(s, c);
    }
    list_drop_if_empty(s, node);
}

void mu_each_clear(struct mu_sched *s, struct mu_class *c)
{
    while (!mu_list_is_empty(&c->waiters)) {
        struct mu_waiter *w = MU_CONTAINER(c->waiters.next, struct mu_waiter, of_class);
        uint32_t node = w->node;

        waiter_free(w);
        list_drop_if_empty(s, node);
    }
    c->again_count = 0;
}

/* Can this task start now? If it only lacks room, it waits for its node. */
static bool look_at(struct mu_sched *s, struct mu_class *c, const struct mu_wait *w, uint32_t ordinal, uint32_t *out_node)
{
    uint32_t node = mu_view_each_node(s->core, w->job, ordinal);

    if (node < s->mirror.count && mu_class_fits(s, c, node)) {
        *out_node = node;
        return true;
    }
    mu_each_wait(s, c, node, ordinal);
    return false;
}

static bool is_ready(const struct mu_sched *s, const struct mu_wait *w, uint32_t ordinal)
{
    return mu_view_task(s->core, w->job, ordinal) == MU_TASK_READY &&
           mu_map_find(&s->taken, mu_task_key(w->job, ordinal)) == NULL;
}

bool mu_each_next(struct mu_sched *s, struct mu_class *c, struct mu_wait *w, uint32_t *out_ordinal, uint32_t *out_node)
{
    while (c->again_count > 0) {
        *out_ordinal = again_pop(c);
        if (is_ready(s, w, *out_ordinal) && look_at(s, c, w, *out_ordinal, out_node))
            return true;
    }
    for (;;) {
        *out_ordinal = mu_view_next(s->core, w->job, w->group, MU_TASK_READY, w->cursor);
        if (*out_ordinal == UINT32_MAX)
            return false;
        w->cursor = *out_ordinal + 1;
        if (is_ready(s, w, *out_ordinal) && look_at(s, c, w, *out_ordinal, out_node))
            return true;
    }
}
