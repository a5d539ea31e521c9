/* agent/specs.c -- see specs.h. */
#include "agent/specs.h"

#include "base/hash.h"

static uint64_t key_of(uint64_t job, uint32_t group)
{
    return mu_hash_mix(job, group);
}

void mu_specs_init(struct mu_specs *s)
{
    *s = (struct mu_specs){ .next_id = 1 };
    mu_list_init(&s->order);
}

struct mu_spec *mu_spec_ref(struct mu_spec *spec)
{
    spec->refs++;
    return spec;
}

void mu_spec_unref(struct mu_spec *spec)
{
    if (spec == NULL || --spec->refs > 0)
        return;
    MU_ASSERT(!spec->cached);
    mu_arena_fini(&spec->arena);
    free(spec);
}

/* Out of the cache; attempts may still hold it. */
static void spec_drop(struct mu_specs *s, struct mu_spec *spec)
{
    uint64_t key = key_of(spec->job, spec->group);
    struct mu_spec *head = mu_map_get_ptr(&s->by_key, key), **at = &head;

    while (*at != spec)
        at = &(*at)->same;
    *at = spec->same;
    if (head != NULL)
        mu_map_put_ptr(&s->by_key, key, head);
    else
        mu_map_remove(&s->by_key, key);
    mu_list_remove(&spec->link);
    s->count--;
    spec->cached = false;
    mu_spec_unref(spec);
}

void mu_specs_clear(struct mu_specs *s)
{
    while (!mu_list_is_empty(&s->order))
        spec_drop(s, MU_CONTAINER(s->order.next, struct mu_spec, link));
}

void mu_specs_fini(struct mu_specs *s)
{
    mu_specs_clear(s);
    mu_map_fini(&s->by_key);
}

struct mu_spec *mu_specs_find(const struct mu_specs *s, uint64_t job, uint32_t group)
{
    struct mu_spec *spec = mu_map_get_ptr(&s->by_key, key_of(job, group));

    while (spec != NULL && (spec->job != job || spec->group != group))
        spec = spec->same;
    return spec;
}

static struct mu_spec *spec_new(const struct mu_msg_spec *msg)
{
    struct mu_spec *spec = calloc(1, sizeof *spec);

    MU_ASSERT(spec != NULL);
    *spec = (struct mu_spec){ .job = msg->job, .group = msg->group, .tasks = msg->tasks, .refs = 1 };
    struct mu_str bytes = { mu_arena_strdup(&spec->arena, msg->spec.at, msg->spec.size), msg->spec.size };
    spec->job_name = (struct mu_str){ mu_arena_strdup(&spec->arena, msg->job_name.at, msg->job_name.size), msg->job_name.size };
    spec->user = (struct mu_str){ mu_arena_strdup(&spec->arena, msg->user.at, msg->user.size), msg->user.size };
    if (mu_pb_get(&mu_group_spec_pb, &spec->spec, bytes, &spec->arena))
        return spec;
    mu_spec_unref(spec);
    return NULL;
}

bool mu_specs_put(struct mu_specs *s, const struct mu_msg_spec *msg)
{
    struct mu_spec *old, *spec;
    uint64_t key = key_of(msg->job, msg->group);

    if (msg->spec.size > MU_SPEC_BYTES_MAX || (spec = spec_new(msg)) == NULL)
        return false;
    if ((old = mu_specs_find(s, msg->job, msg->group)) != NULL)
        spec_drop(s, old);
    if (s->count == MU_SPECS_MAX)
        spec_drop(s, MU_CONTAINER(s->order.next, struct mu_spec, link));
    spec->id = s->next_id++;
    spec->same = mu_map_get_ptr(&s->by_key, key);
    spec->cached = true;
    mu_map_put_ptr(&s->by_key, key, spec);
    mu_list_add_tail(&s->order, &spec->link);
    s->count++;
    return true;
}
