#include "core/attempts.h"

#include <stdlib.h>

enum { SLAB = 256 };

static void slab_add(struct mu_attempts *a)
{
    struct mu_attempt_slot *slab = calloc(SLAB, sizeof *slab);

    if (a->slabs_count == a->slabs_cap) {
        a->slabs_cap = a->slabs_cap ? a->slabs_cap * 2 : 16;
        a->slabs = realloc(a->slabs, a->slabs_cap * sizeof(struct mu_attempt_slot *));
    }
    MU_ASSERT(slab != NULL && a->slabs != NULL);
    a->slabs[a->slabs_count++] = slab;
    for (uint32_t i = 0; i < SLAB; i++)
        mu_list_add_tail(&a->free, &slab[i].link);
}

void mu_attempts_init(struct mu_attempts *a)
{
    *a = (struct mu_attempts){ 0 };
    mu_list_init(&a->free);
}

void mu_attempts_fini(struct mu_attempts *a)
{
    for (uint32_t i = 0; i < a->slabs_count; i++)
        free(a->slabs[i]);
    free(a->slabs);
    mu_map_fini(&a->by_task);
    mu_attempts_init(a);
}

struct mu_attempt *mu_attempts_add(struct mu_attempts *a, const struct mu_attempt *attempt, struct mu_list *node)
{
    struct mu_attempt *slot;

    if (mu_list_is_empty(&a->free))
        slab_add(a);
    slot = mu_attempt_of(a->free.next);
    mu_list_remove(a->free.next);
    *slot = *attempt;
    mu_list_add_tail(node, &MU_CONTAINER(slot, struct mu_attempt_slot, at)->link);
    mu_map_put_ptr(&a->by_task, mu_task_key(attempt->job, attempt->ordinal), slot);
    return slot;
}

struct mu_attempt *mu_attempts_find(const struct mu_attempts *a, uint64_t job, uint32_t ordinal)
{
    if (job > MU_JOB_ID_MAX || ordinal >= MU_TASKS_PER_JOB_MAX)
        return NULL; /* would share its key with another task */
    return mu_map_get_ptr(&a->by_task, mu_task_key(job, ordinal));
}

void mu_attempts_remove(struct mu_attempts *a, struct mu_attempt *attempt)
{
    struct mu_attempt_slot *slot = MU_CONTAINER(attempt, struct mu_attempt_slot, at);
    bool found = mu_map_remove(&a->by_task, mu_task_key(attempt->job, attempt->ordinal));

    MU_ASSERT(found);
    mu_list_remove(&slot->link);
    mu_list_add_head(&a->free, &slot->link);
}
