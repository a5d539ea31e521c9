/* agent/table.c -- see table.h. */
#include "agent/table.h"

#include "base/assert.h"

void mu_agent_table_fini(struct mu_agent_table *t)
{
    mu_map_fini(&t->by_id);
    mu_map_fini(&t->by_task);
    mu_map_fini(&t->past);
    free(t->past_ring);
}

struct mu_agent_attempt *mu_agent_table_by_id(const struct mu_agent_table *t, uint64_t id)
{
    return mu_map_get_ptr(&t->by_id, id);
}

struct mu_agent_attempt *mu_agent_table_find(const struct mu_agent_table *t, uint64_t job, uint32_t ordinal, uint32_t attempt)
{
    struct mu_agent_attempt *a = mu_map_get_ptr(&t->by_task, mu_task_key(job, ordinal));

    while (a != NULL && a->attempt != attempt)
        a = a->same;
    return a;
}

uint32_t mu_agent_table_count(const struct mu_agent_table *t)
{
    return t->by_id.count;
}

struct mu_agent_attempt *mu_agent_table_add(struct mu_agent_table *t, uint64_t id, uint64_t job, uint32_t ordinal, uint32_t attempt)
{
    struct mu_agent_attempt *a = calloc(1, sizeof *a);
    uint64_t key = mu_task_key(job, ordinal);

    MU_ASSERT(a != NULL);
    *a = (struct mu_agent_attempt){ .id = id, .job = job, .ordinal = ordinal, .attempt = attempt };
    a->same = mu_map_get_ptr(&t->by_task, key);
    mu_map_put_ptr(&t->by_task, key, a);
    mu_map_put_ptr(&t->by_id, id, a);
    mu_list_init(&a->link);
    return a;
}

void mu_agent_table_drop(struct mu_agent_table *t, struct mu_agent_attempt *a)
{
    uint64_t key = mu_task_key(a->job, a->ordinal);
    struct mu_agent_attempt *head = mu_map_get_ptr(&t->by_task, key), **at = &head;

    MU_ASSERT(!mu_heap_has(&a->due));
    while (*at != a)
        at = &(*at)->same;
    *at = a->same;
    if (head != NULL)
        mu_map_put_ptr(&t->by_task, key, head);
    else
        mu_map_remove(&t->by_task, key);
    mu_map_remove(&t->by_id, a->id);
    mu_list_remove(&a->link);
    mu_spec_unref(a->spec);
    free(a->line);
    free(a);
}

void mu_agent_table_past(struct mu_agent_table *t, const struct mu_agent_attempt *a)
{
    uint64_t key = mu_task_key(a->job, a->ordinal), *known = mu_map_find(&t->past, key), *slot;

    if (known != NULL) {
        *known = a->attempt > *known ? a->attempt : *known;
        return;
    }
    if (t->past_ring == NULL) {
        t->past_ring = calloc(MU_AGENT_PAST_MAX, sizeof *t->past_ring);
        MU_ASSERT(t->past_ring != NULL);
    }
    slot = &t->past_ring[t->past_at++ % MU_AGENT_PAST_MAX];
    if (t->past.count == MU_AGENT_PAST_MAX)
        mu_map_remove(&t->past, *slot);
    *slot = key;
    mu_map_put(&t->past, key, a->attempt);
}

bool mu_agent_table_is_past(const struct mu_agent_table *t, uint64_t job, uint32_t ordinal, uint32_t attempt)
{
    uint64_t key = mu_task_key(job, ordinal), *past = mu_map_find(&t->past, key);

    if (past != NULL && *past >= attempt)
        return true;
    for (struct mu_agent_attempt *a = mu_map_get_ptr(&t->by_task, key); a != NULL; a = a->same)
        if (a->attempt > attempt)
            return true;
    return false;
}
