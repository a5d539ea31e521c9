/* Nodes: joining, getting lost, an operator's word; their life in one table. */
#include "core/state.h"

#define TO(s) (1u << MU_NODE_##s)
static const unsigned moves[MU_NODE_STATES] = {
    [MU_NODE_UP]       = TO(DRAINING) | TO(AWAY) | TO(DOWN),
    [MU_NODE_DRAINING] = TO(UP) | TO(AWAY) | TO(DOWN),
    [MU_NODE_AWAY]     = TO(UP) | TO(DRAINING),
    [MU_NODE_DOWN]     = TO(UP) | TO(DRAINING),
};
#undef TO

bool mu_node_may(enum mu_node_state from, enum mu_node_state to)
{
    return moves[from] >> to & 1;
}

/* ---- what the cluster has in all ---- */

static void total_add(struct mu_core *core, const struct mu_res *total)
{
    for (uint32_t i = 0; i < MU_RES_MAX; i++)
        core->nodes.total.amount[i] += total->amount[i];
    core->nodes.version++;
}

static void total_take(struct mu_core *core, const struct mu_res *total)
{
    for (uint32_t i = 0; i < MU_RES_MAX; i++) {
        MU_ASSERT(core->nodes.total.amount[i] >= total->amount[i]);
        core->nodes.total.amount[i] -= total->amount[i];
    }
    core->nodes.version++;
}

/* Keep a node that has most of each kind at hand: it answers "does it fit anywhere" at once, most times. */
static void largest_update(struct mu_core *core, const struct mu_node *node)
{
    for (uint32_t kind = 0; kind < MU_RES_MAX; kind++) {
        uint32_t best = core->nodes.largest[kind];
        if (node->total.amount[kind] > core->nodes.at[best]->at.total.amount[kind])
            best = node->id;
        for (uint32_t i = 0; core->nodes.largest[kind] == node->id && i < core->nodes.count; i++) {
            if (core->nodes.at[i]->at.total.amount[kind] > core->nodes.at[best]->at.total.amount[kind])
                best = i; /* it was the largest and may have shrunk */
        }
        core->nodes.largest[kind] = best;
    }
}

void mu_node_total_set(struct mu_core *core, struct mu_node_slot *node, const struct mu_res *total)
{
    if (memcmp(total, &node->at.total, sizeof *total) == 0)
        return;
    if (node->at.state != MU_NODE_DOWN) {
        total_take(core, &node->at.total);
        total_add(core, total);
    }
    node->at.total = *total;
    node->squeezed = !mu_res_within(core, &node->at.used, total);
    largest_update(core, &node->at);
}

bool mu_node_total_fits(const struct mu_core *core, const struct mu_res *total)
{
    for (uint32_t i = 0; i < MU_RES_MAX; i++) {
        if (core->nodes.total.amount[i] + total->amount[i] > MU_TOTAL_MAX)
            return false;
    }
    return true;
}

void mu_node_move(struct mu_core *core, struct mu_node_slot *node, enum mu_node_state to)
{
    enum mu_node_state from = node->at.state;

    if (from == to)
        return;
    MU_ASSERT(mu_node_may(from, to));
    if (from == MU_NODE_DOWN)
        total_add(core, &node->at.total);
    if (to == MU_NODE_DOWN)
        total_take(core, &node->at.total);
    node->at.state = to;
    node->at.changed_ms = core->now_ms;
}

/* ---- labels ---- */

static struct mu_str label_name(struct mu_str label)
{
    struct mu_str value;

    return mu_str_cut(label, '=', &value);
}

static bool has_label_named(const struct mu_core *core, const struct mu_word_ids *labels, struct mu_str name)
{
    for (uint32_t i = 0; i < labels->count; i++) {
        if (mu_str_eq(label_name(mu_words_text(&core->words, labels->at[i])), name))
            return true;
    }
    return false;
}

/* An operator's word goes before what the node says of itself. */
void mu_node_labels_set(struct mu_core *core, struct mu_node_slot *node)
{
    struct mu_strs texts = { mu_core_alloc((node->own.count + node->set.count + 1) * sizeof(struct mu_str)), 0 };

    for (uint32_t i = 0; i < node->own.count; i++) {
        struct mu_str label = mu_words_text(&core->words, node->own.at[i]);
        if (!has_label_named(core, &node->set, label_name(label)))
            texts.at[texts.count++] = label;
    }
    for (uint32_t i = 0; i < node->set.count; i++) {
        struct mu_str label = mu_words_text(&core->words, node->set.at[i]);
        if (label.at[label.size - 1] != '=')
            texts.at[texts.count++] = label;
    }
    mu_word_ids_unref(&core->words, &node->at.labels); /* the texts stay: own and set hold them */
    node->at.labels = mu_word_ids_ref(&core->words, &texts);
    free(texts.at);
}

static void label_set(struct mu_core *core, struct mu_node_slot *node, struct mu_str label)
{
    struct mu_strs texts = { mu_core_alloc((node->set.count + 1) * sizeof(struct mu_str)), 0 };
    struct mu_word_ids old = node->set;

    for (uint32_t i = 0; i < old.count; i++) {
        struct mu_str had = mu_words_text(&core->words, old.at[i]);
        if (!mu_str_eq(label_name(had), label_name(label)))
            texts.at[texts.count++] = had;
    }
    texts.at[texts.count++] = label;
    node->set = mu_word_ids_ref(&core->words, &texts);
    mu_node_labels_set(core, node);
    mu_word_ids_unref(&core->words, &old);
    free(texts.at);
}

/* ---- nodes by name ---- */

struct mu_node_slot *mu_node_find(const struct mu_core *core, struct mu_str name)
{
    uint32_t word = mu_words_find(&core->words, name);
    const uint64_t *id = word ? mu_map_find(&core->nodes.by_word, word) : NULL;

    return id ? core->nodes.at[*id] : NULL;
}

struct mu_node_slot *mu_node_add(struct mu_core *core, struct mu_str name)
{
    struct mu_nodes *nodes = &core->nodes;
    struct mu_node_slot *node = mu_core_alloc(sizeof *node);

    if (nodes->count == nodes->cap) {
        nodes->cap = nodes->cap ? nodes->cap * 2 : 16;
        nodes->at = mu_core_resize(nodes->at, nodes->cap * sizeof nodes->at[0]);
    }
    node->at.id = nodes->count;
    node->at.state = MU_NODE_DOWN;
    node->at.name = mu_str_dup(name);
    node->at.joined_ms = core->now_ms;
    node->word = mu_words_ref(&core->words, name);
    mu_list_init(&node->attempts);
    nodes->at[nodes->count++] = node;
    mu_map_put(&nodes->by_word, node->word, node->at.id);
    mu_shapes_resolve(core, node);
    return node;
}

void mu_nodes_fini(struct mu_core *core)
{
    for (uint32_t i = 0; i < core->nodes.count; i++) {
        struct mu_node_slot *node = core->nodes.at[i];
        free(node->at.name);
        free(node->at.boot);
        free(node->at.version);
        free(node->at.limits);
        free(node->at.address);
        free(node->at.labels.at);
        free(node->own.at);
        free(node->set.at);
        free(node);
    }
    free(core->nodes.at);
    mu_map_fini(&core->nodes.by_word);
    core->nodes = (struct mu_nodes){ 0 };
}

/* ---- events ---- */

static enum mu_rc resources_admit(const struct mu_core *core, const struct mu_ev_node_join *ev, struct mu_err *err)
{
    uint32_t kinds = core->kinds;

    for (uint32_t i = 0; i < ev->resources_count; i++) {
        struct mu_str name = ev->resources[i].name;
        if (!mu_resource_name_is_ok(name) || ev->resources[i].amount > MU_AMOUNT_MAX)
            return mu_fail_at(err, MU_INVALID, "resources", "the resource \"" MU_STR_FMT "\" has no proper name or amount",
                              MU_STR_ARG(name));
        for (uint32_t k = 0; k < i; k++) {
            if (mu_str_eq(ev->resources[k].name, name))
                return mu_fail_at(err, MU_INVALID, "resources", "the resource \"" MU_STR_FMT "\" is named twice",
                                  MU_STR_ARG(name));
        }
        kinds += mu_core_kind(core, name) == UINT32_MAX;
    }
    if (kinds > MU_RES_MAX)
        return mu_fail_at(err, MU_BUSY, "resources", "a cluster knows %d kinds of resources, and all are taken", MU_RES_MAX);
    return MU_OK;
}

/* With room for the largest node that could join. */
static enum mu_rc total_admit(const struct mu_core *core, struct mu_str name, struct mu_err *err)
{
    struct mu_res largest;

    for (uint32_t i = 0; i < MU_RES_MAX; i++)
        largest.amount[i] = MU_AMOUNT_MAX;
    if (mu_node_find(core, name) == NULL && !mu_node_total_fits(core, &largest))
        return mu_fail_at(err, MU_BUSY, "resources", "the cluster is as large as it can be");
    return MU_OK;
}

static enum mu_rc join_admit(const struct mu_core *core, const struct mu_ev_node_join *ev, struct mu_err *err)
{
    enum mu_rc rc;

    if (!mu_name_is_ok(ev->name))
        return mu_fail_at(err, MU_INVALID, "name", "a node's name has 1 to %d bytes and no control characters", MU_NAME_MAX);
    if (ev->boot.size == 0 || ev->boot.size > MU_NAME_MAX)
        return mu_fail_at(err, MU_INVALID, "boot", "a boot id has 1 to %d bytes", MU_NAME_MAX);
    if (ev->cpu_milli > MU_AMOUNT_MAX || ev->mem_bytes > MU_AMOUNT_MAX || ev->gpu_milli > MU_AMOUNT_MAX)
        return mu_fail_at(err, MU_INVALID, "resources", "a node has at most %llu of anything",
                          (unsigned long long)MU_AMOUNT_MAX);
    for (uint32_t i = 0; i < ev->labels.count; i++) {
        if (!mu_label_is_ok(ev->labels.at[i]))
            return mu_fail_at(err, MU_INVALID, "labels", "\"" MU_STR_FMT "\" is not a label of the form K=V",
                              MU_STR_ARG(ev->labels.at[i]));
    }
    if (mu_node_find(core, ev->name) == NULL && core->nodes.count == MU_NODES_MAX)
        return mu_fail_at(err, MU_BUSY, "name", "%d nodes are known, which is all there may be", MU_NODES_MAX);
    rc = total_admit(core, ev->name, err);
    return rc == MU_OK ? resources_admit(core, ev, err) : rc;
}

/* Attempts of a boot that is gone are over, in the order in which they were placed. */
static void lose_attempts(struct mu_core *core, struct mu_node_slot *node)
{
    while (!mu_list_is_empty(&node->attempts)) {
        struct mu_attempt *a = mu_attempt_of(node->attempts.next);
        struct mu_ev_ended *ended = mu_arena_alloc(&core->arena, sizeof *ended);
        uint64_t since_ms = a->started_ms ? a->started_ms : core->now_ms;
        *ended = (struct mu_ev_ended){
            .job = a->job, .ordinal = a->ordinal, .attempt = a->attempt, .how = MU_END_NODE_LOST,
            .started_ms = a->started_ms, .run_us = core->now_ms > since_ms ? (core->now_ms - since_ms) * 1000 : 0,
        };
        mu_attempt_end(core, a, ended);
    }
}

static void text_set(char **text, struct mu_str to)
{
    free(*text);
    *text = mu_str_dup(to);
}

static struct mu_res join_total(struct mu_core *core, const struct mu_ev_node_join *ev)
{
    struct mu_res total = { 0 };

    total.amount[MU_RES_CPU] = ev->cpu_milli;
    total.amount[MU_RES_MEM] = ev->mem_bytes;
    total.amount[MU_RES_GPU] = ev->gpu_milli;
    for (uint32_t i = 0; i < ev->resources_count; i++)
        total.amount[mu_core_kind_make(core, ev->resources[i].name)] = ev->resources[i].amount;
    return total;
}

/* The same boot: refreshed, its attempts stay. Another one: those of the old are lost. */
void mu_on_node_join(struct mu_core *core, const struct mu_ev_node_join *ev)
{
    enum mu_rc rc = join_admit(core, ev, &core->err);
    struct mu_node_slot *node = mu_node_find(core, ev->name);
    struct mu_res total;
    bool reboot;

    if (rc != MU_OK) {
        mu_core_reply(core, rc, (struct mu_fx){ .node = node ? node->at.id : MU_NODE_NONE });
        return;
    }
    if (node == NULL)
        node = mu_node_add(core, ev->name);
    mu_core_reply(core, rc, (struct mu_fx){ .node = node->at.id });
    total = join_total(core, ev);
    reboot = node->at.boot && !mu_str_is(ev->boot, node->at.boot);
    if (reboot)
        node->at.joined_ms = core->now_ms;
    text_set(&node->at.boot, ev->boot);
    text_set(&node->at.version, ev->version);
    text_set(&node->at.limits, ev->limits);
    text_set(&node->at.address, ev->address);
    node->at.keep = ev->keep;
    mu_word_ids_unref(&core->words, &node->at.labels);
    mu_word_ids_unref(&core->words, &node->own);
    node->own = mu_word_ids_ref(&core->words, &ev->labels);
    mu_node_labels_set(core, node);
    if (reboot)
        lose_attempts(core, node);
    mu_node_total_set(core, node, &total);
    mu_node_move(core, node, node->at.drain ? MU_NODE_DRAINING : MU_NODE_UP);
    mu_core_emit(core, (struct mu_fx){ .kind = MU_FX_NODE, .node = node->at.id });
}

void mu_on_node_lost(struct mu_core *core, const struct mu_ev_node_lost *ev)
{
    struct mu_node_slot *node = ev->node < core->nodes.count ? core->nodes.at[ev->node] : NULL;

    if (node == NULL || node->at.state == MU_NODE_DOWN || node->at.state == MU_NODE_AWAY)
        return;
    mu_node_move(core, node, node->at.keep ? MU_NODE_AWAY : MU_NODE_DOWN);
    mu_core_emit(core, (struct mu_fx){ .kind = MU_FX_NODE, .node = node->at.id });
    if (node->at.state == MU_NODE_DOWN)
        lose_attempts(core, node);
}

static enum mu_rc set_admit(const struct mu_core *core, const struct mu_ev_node_set *ev, struct mu_err *err)
{
    struct mu_str value, name = mu_str_cut(ev->label, '=', &value);

    if (ev->node >= core->nodes.count)
        return mu_fail_at(err, MU_NOTFOUND, "node", "there is no node %u", (unsigned)ev->node);
    if (ev->label.size == 0)
        return MU_OK;
    if (!(name.size && name.size + 1 == ev->label.size ? mu_name_is_ok(name) : mu_label_is_ok(ev->label)))
        return mu_fail_at(err, MU_INVALID, "label", "\"" MU_STR_FMT "\" is not a label of the form K=V, or K= to take it away",
                          MU_STR_ARG(ev->label));
    if (core->nodes.at[ev->node]->set.count >= 256)
        return mu_fail_at(err, MU_BUSY, "label", "a node has at most 256 labels set by hand");
    return MU_OK;
}

void mu_on_node_set(struct mu_core *core, const struct mu_ev_node_set *ev)
{
    enum mu_rc rc = set_admit(core, ev, &core->err);
    struct mu_node_slot *node;

    mu_core_reply(core, rc, (struct mu_fx){ .node = ev->node });
    if (rc != MU_OK)
        return;
    node = core->nodes.at[ev->node];
    if (ev->set_drain) {
        node->at.drain = ev->drain;
        if (node->at.state == MU_NODE_UP || node->at.state == MU_NODE_DRAINING)
            mu_node_move(core, node, ev->drain ? MU_NODE_DRAINING : MU_NODE_UP);
    }
    if (ev->label.size)
        label_set(core, node, ev->label);
    mu_core_emit(core, (struct mu_fx){ .kind = MU_FX_NODE, .node = node->at.id });
}
