/* Demand classes: equal needs share one shape, counted by the groups that have it. */
#include "core/state.h"

#include "base/hash.h"

/* Places are ready or made: the spec was admitted. */
static struct mu_res need_of(struct mu_core *core, const struct mu_group_spec *spec)
{
    struct mu_res need = { 0 };

    need.amount[MU_RES_CPU] = spec->cpu_milli;
    need.amount[MU_RES_MEM] = spec->mem_bytes;
    need.amount[MU_RES_GPU] = spec->gpu_milli;
    for (uint32_t i = 0; i < spec->resources_count; i++) {
        uint32_t kind = mu_core_kind_make(core, spec->resources[i].name);
        MU_ASSERT(kind != UINT32_MAX);
        need.amount[kind] = spec->resources[i].amount;
    }
    return need;
}

static uint64_t hash_of(const struct mu_shape *s, uint32_t node_word)
{
    uint64_t h = mu_hash(&s->need, sizeof s->need, 0);

    h = mu_hash(s->labels.at, s->labels.count * sizeof s->labels.at[0], h);
    h = mu_hash(s->prefer.at, s->prefer.count * sizeof s->prefer.at[0], h);
    return mu_hash_mix(h, (uint64_t)node_word << 32 | s->place);
}

static bool ids_equal(const struct mu_word_ids *a, const struct mu_word_ids *b)
{
    return a->count == b->count && (a->count == 0 || memcmp(a->at, b->at, a->count * sizeof a->at[0]) == 0);
}

static struct mu_shape_slot *find(const struct mu_core *core, const struct mu_shape *s, uint32_t node_word, uint64_t hash)
{
    const uint64_t *first = mu_map_find(&core->shapes.by_hash, hash);

    for (uint32_t i = first ? (uint32_t)*first : 0; i; i = core->shapes.at[i - 1]->next) {
        struct mu_shape_slot *slot = core->shapes.at[i - 1];
        if (memcmp(&slot->at.need, &s->need, sizeof s->need) == 0 && slot->node_word == node_word &&
            slot->at.place == s->place && ids_equal(&slot->at.labels, &s->labels) &&
            ids_equal(&slot->at.prefer, &s->prefer))
            return slot;
    }
    return NULL;
}

static struct mu_shape_slot *slot_take(struct mu_shapes *shapes)
{
    struct mu_shape_slot *slot;

    if (shapes->free) {
        slot = shapes->at[shapes->free - 1];
        shapes->free = slot->next;
        return slot;
    }
    if (shapes->count == shapes->cap) {
        shapes->cap = shapes->cap ? shapes->cap * 2 : 16;
        shapes->at = mu_core_resize(shapes->at, shapes->cap * sizeof shapes->at[0]);
    }
    slot = mu_core_alloc(sizeof *slot);
    slot->at.id = shapes->count;
    shapes->at[shapes->count++] = slot;
    return slot;
}

static void words_drop(struct mu_core *core, struct mu_shape *s, uint32_t node_word)
{
    mu_word_ids_unref(&core->words, &s->labels);
    mu_word_ids_unref(&core->words, &s->prefer);
    mu_words_unref(&core->words, s->place);
    mu_words_unref(&core->words, node_word);
}

/* Keeps the words of s. */
static struct mu_shape_slot *shape_add(struct mu_core *core, const struct mu_shape *s, uint32_t node_word, uint64_t hash)
{
    const uint64_t *first = mu_map_find(&core->shapes.by_hash, hash);
    struct mu_shape_slot *slot = slot_take(&core->shapes);
    uint32_t id = slot->at.id, generation = slot->at.generation + 1;
    struct mu_str name = mu_words_text(&core->words, node_word);

    *slot = (struct mu_shape_slot){ .at = *s, .hash = hash, .node_word = node_word, .next = first ? (uint32_t)*first : 0,
                                    .share_version = UINT64_MAX };
    slot->at.id = id;
    slot->at.generation = generation;
    slot->at.node = MU_NODE_NONE;
    if (node_word) {
        const struct mu_node_slot *node = mu_node_find(core, name);
        slot->at.node_name = mu_str_dup(name);
        slot->at.node_unknown = node == NULL;
        slot->at.node = node ? node->at.id : MU_NODE_NONE;
    }
    mu_map_put(&core->shapes.by_hash, hash, id + 1);
    return slot;
}

uint32_t mu_shape_ref(struct mu_core *core, const struct mu_group_spec *spec)
{
    struct mu_shape want = { .need = need_of(core, spec) };
    uint32_t node_word = spec->node.size ? mu_words_ref(&core->words, spec->node) : 0;
    struct mu_shape_slot *slot;
    uint64_t hash;

    want.labels = mu_word_ids_ref(&core->words, &spec->labels);
    want.prefer = mu_word_ids_ref(&core->words, &spec->prefer);
    want.place = spec->place.size ? mu_words_ref(&core->words, spec->place) : 0;
    hash = hash_of(&want, node_word);
    slot = find(core, &want, node_word, hash);
    if (slot)
        words_drop(core, &want, node_word);
    else
        slot = shape_add(core, &want, node_word, hash);
    slot->at.refs++;
    return slot->at.id;
}

static void unhash(struct mu_shapes *shapes, struct mu_shape_slot *slot)
{
    uint64_t *first = mu_map_find(&shapes->by_hash, slot->hash);
    uint32_t ref = slot->at.id + 1;

    if (*first == ref && slot->next == 0) {
        mu_map_remove(&shapes->by_hash, slot->hash);
    } else if (*first == ref) {
        *first = slot->next;
    } else {
        struct mu_shape_slot *before = shapes->at[*first - 1];
        while (before->next != ref)
            before = shapes->at[before->next - 1];
        before->next = slot->next;
    }
}

void mu_shape_unref(struct mu_core *core, uint32_t id)
{
    struct mu_shape_slot *slot = core->shapes.at[id];
    uint32_t generation = slot->at.generation;

    MU_ASSERT(slot->at.refs > 0);
    if (--slot->at.refs)
        return;
    unhash(&core->shapes, slot);
    words_drop(core, &slot->at, slot->node_word);
    free(slot->at.node_name);
    *slot = (struct mu_shape_slot){ .at = { .id = id, .generation = generation, .node = MU_NODE_NONE },
                                    .next = core->shapes.free };
    core->shapes.free = id + 1;
}

void mu_shapes_resolve(struct mu_core *core, const struct mu_node_slot *node)
{
    for (uint32_t i = 0; i < core->shapes.count; i++) {
        struct mu_shape *s = &core->shapes.at[i]->at;
        if (s->refs && s->node_unknown && core->shapes.at[i]->node_word == node->word) {
            s->node = node->at.id;
            s->node_unknown = false;
            s->generation++;
        }
    }
}

void mu_shapes_fini(struct mu_core *core)
{
    for (uint32_t i = 0; i < core->shapes.count; i++) {
        MU_ASSERT(core->shapes.at[i]->at.refs == 0);
        free(core->shapes.at[i]);
    }
    free(core->shapes.at);
    mu_map_fini(&core->shapes.by_hash);
    core->shapes = (struct mu_shapes){ 0 };
}

uint64_t mu_shape_share_ppm(struct mu_core *core, uint32_t id)
{
    struct mu_shape_slot *slot = core->shapes.at[id];
    uint64_t most = 0;

    if (slot->share_version == core->nodes.version)
        return slot->share_ppm;
    for (uint32_t i = 0; i < core->kinds; i++) {
        uint64_t need = slot->at.need.amount[i], total = core->nodes.total.amount[i];
        uint64_t ppm = need == 0 ? 0 : need >= total ? 1000000 : (uint64_t)((unsigned __int128)need * 1000000 / total);
        if (ppm > most)
            most = ppm;
    }
    slot->share_ppm = most;
    slot->share_version = core->nodes.version;
    return most;
}
