#include "core/timers.h"

#include "base/assert.h"

#include <stdlib.h>

void mu_timers_fini(struct mu_timers *t)
{
    for (uint32_t i = 0; i < t->heap.count; i++)
        free(t->heap.links[i]);
    free(t->heap.links);
    mu_map_fini(&t->by_key);
    *t = (struct mu_timers){ 0 };
}

void mu_timers_set(struct mu_timers *t, uint64_t key, uint64_t due_ms)
{
    struct mu_heap_link *link = mu_map_get_ptr(&t->by_key, key);

    if (link) {
        mu_heap_remove(&t->heap, link);
    } else {
        link = calloc(1, sizeof *link);
        MU_ASSERT(link != NULL);
        mu_map_put_ptr(&t->by_key, key, link);
    }
    mu_heap_add(&t->heap, link, due_ms, key);
}

void mu_timers_clear(struct mu_timers *t, uint64_t key)
{
    struct mu_heap_link *link = mu_map_get_ptr(&t->by_key, key);

    if (link == NULL)
        return;
    mu_heap_remove(&t->heap, link);
    mu_map_remove(&t->by_key, key);
    free(link);
}

uint64_t mu_timers_due(const struct mu_timers *t, uint64_t key)
{
    const struct mu_heap_link *link = mu_map_get_ptr(&t->by_key, key);

    return link ? link->key : 0;
}

bool mu_timers_first(const struct mu_timers *t, uint64_t *out_key, uint64_t *out_due_ms)
{
    const struct mu_heap_link *link = mu_heap_min(&t->heap);

    if (link == NULL)
        return false;
    *out_key = link->tie;
    *out_due_ms = link->key;
    return true;
}
