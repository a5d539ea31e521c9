/* sched/search.c -- see search.h. */
#include "sched/search.h"

#include "base/assert.h"
#include "sched/class.h"

#include <stdlib.h>

enum {
    TREE_PLACES_ALL = 64 * 100000, /* leaves of all trees together; at least 64 trees */
    TREES_MIN = 64,
    SMALL_CLUSTER = 1024,          /* a tree costs less than to do without */
    AHEAD = 8,                     /* entries of the log to fetch ahead */
};

const struct mu_place_policy *mu_search_policy(const struct mu_sched *s, const struct mu_class *c, uint32_t *out_index)
{
    uint32_t i = c->place == UINT32_MAX ? s->place : c->place;

    if (out_index)
        *out_index = i;
    return mu_place_at(i);
}

/* 0: not allowed; else 1 + how many wished labels the node has. */
static uint8_t allowance(const struct mu_sched *s, const struct mu_class *c, uint32_t node)
{
    const struct mu_shape *shape = mu_view_shape(s->core, c->shape);
    const struct mu_node *facts = mu_view_node(s->core, node);
    uint32_t wishes = 0;

    if (!mu_view_shape_allows(s->core, shape, facts))
        return 0;
    for (uint32_t i = 0, j = 0; i < shape->prefer.count && wishes < MU_WISHES_MAX; i++) {
        while (j < facts->labels.count && facts->labels.at[j] < shape->prefer.at[i])
            j++;
        wishes += j < facts->labels.count && facts->labels.at[j] == shape->prefer.at[i];
    }
    return (uint8_t)(1 + wishes);
}

/* What a score depends on besides the node, looked up once. */
struct scorer {
    const struct mu_place_policy *policy;
    struct mu_place_view view;
    uint16_t kept;
};

static struct scorer scorer_of(const struct mu_sched *s, const struct mu_class *c)
{
    uint32_t place;
    const struct mu_place_policy *policy = mu_search_policy(s, c, &place);

    return (struct scorer){ policy, { &s->mirror, &c->need, s->place_param[place] }, c->kept };
}

static inline uint32_t score_allowed(const struct scorer *by, uint32_t node, uint8_t allowed)
{
    const struct mu_mnode *n = &by->view.mirror->nodes[node];

    if (!n->usable || allowed == 0 || !mu_place_fits(by->view.mirror, node, by->view.need))
        return 0;
    if (n->kept != 0 && n->kept != by->kept)
        return 0;
    return by->policy->score(&by->view, node) | (uint32_t)(allowed - 1) << MU_SCORE_BITS;
}

uint32_t mu_search_score(const struct mu_sched *s, const struct mu_class *c, uint32_t node)
{
    struct scorer by = scorer_of(s, c);

    return score_allowed(&by, node, c->picky ? allowance(s, c, node) : 1);
}

/* ---- trees ---- */

static uint8_t allowed_of(const struct mu_class *c, uint32_t node)
{
    return c->picky ? c->allow[node] : 1;
}

static void rebuild(struct mu_sched *s, struct mu_class *c)
{
    struct scorer by = scorer_of(s, c);
    uint32_t count = s->mirror.count;

    if (mu_tree_is_empty(&c->tree) || c->tree.places < count || c->tree_version != s->score_version) {
        mu_tree_fini(&c->tree);
        mu_tree_init(&c->tree, count + count / 4, by.policy->pick == MU_PICK_ANY);
        free(c->allow);
        c->allow = c->picky ? calloc(c->tree.places, 1) : NULL;
        MU_ASSERT(!c->picky || c->allow != NULL);
    }
    for (uint32_t n = 0; n < count; n++) {
        if (c->picky)
            c->allow[n] = allowance(s, c, n);
        c->tree.level[0][n] = score_allowed(&by, n, allowed_of(c, n));
    }
    mu_tree_build(&c->tree);
    c->tree_version = s->score_version;
    c->tree_at = s->mirror.log_end;
}

/* Only the latest change of a node counts; earlier ones are passed over. */
static inline void apply_change(const struct mu_sched *s, struct mu_class *c, const struct scorer *by, uint64_t at)
{
    uint32_t node = s->mirror.log[at % MU_MIRROR_LOG];
    const struct mu_mnode *n = &s->mirror.nodes[node];

    if (n->log_at != (uint32_t)at)
        return;
    if (c->picky && (int32_t)(n->fixed_at - (uint32_t)c->tree_at) >= 0)
        c->allow[node] = allowance(s, c, node);
    uint32_t score = score_allowed(by, node, allowed_of(c, node));
    if (score != mu_tree_get(&c->tree, node))
        mu_tree_set(&c->tree, node, score);
}

void mu_search_sync(struct mu_sched *s, struct mu_class *c)
{
    const struct mu_mirror *m = &s->mirror;
    struct scorer by = scorer_of(s, c);
    uint64_t behind = m->log_end - c->tree_at, most = m->count / 2 + 32;

    most = most < MU_MIRROR_LOG ? most : MU_MIRROR_LOG;
    if (c->tree_version != s->score_version || m->count > c->tree.places || behind > most) {
        rebuild(s, c);
        return;
    }
    uint64_t at = c->tree_at;
    for (; at + AHEAD < m->log_end; at++) {
        uint32_t next = m->log[(at + AHEAD) % MU_MIRROR_LOG];

        __builtin_prefetch(&c->tree.level[0][next], 1);
        __builtin_prefetch(&c->tree.level[1][next / MU_TREE_FAN]);
        apply_change(s, c, &by, at);
    }
    for (; at < m->log_end; at++)
        apply_change(s, c, &by, at);
    c->tree_at = m->log_end;
}

void mu_search_drop_tree(struct mu_sched *s, struct mu_class *c)
{
    if (mu_tree_is_empty(&c->tree))
        return;
    mu_tree_fini(&c->tree);
    free(c->allow);
    c->allow = NULL;
    mu_list_remove(&c->warm);
    s->warm_count--;
    c->cold_uses = 0;
}

static uint32_t warm_max(const struct mu_sched *s)
{
    uint32_t fair = TREE_PLACES_ALL / (s->mirror.count + 1);

    if (s->warm_max != 0)
        return s->warm_max;
    return fair > TREES_MIN ? fair : TREES_MIN;
}

static uint32_t cold_max(const struct mu_sched *s)
{
    if (s->cold_max != UINT32_MAX)
        return s->cold_max;
    return s->mirror.count <= SMALL_CLUSTER ? 0 : 4 + s->mirror.count / 1024;
}

/* Has the class a tree, or is it used often enough to get one, also at the cost of the tree used least recently?
 * That one must have rested since this class began to be used, or many classes in turn would build for nothing. */
static bool is_warm(struct mu_sched *s, struct mu_class *c)
{
    c->used_at = ++s->searches;
    if (!mu_tree_is_empty(&c->tree)) {
        mu_list_remove(&c->warm);
        mu_list_add_tail(&s->warm, &c->warm);
        return true;
    }
    if (c->cold_uses++ == 0)
        c->cold_since = s->searches;
    if (c->cold_uses <= cold_max(s))
        return false;
    if (s->warm_count >= warm_max(s)) {
        struct mu_class *oldest = MU_CONTAINER(s->warm.next, struct mu_class, warm);

        if (oldest->used_at >= c->cold_since)
            return false;
        mu_search_drop_tree(s, oldest);
    }
    rebuild(s, c);
    mu_list_add_tail(&s->warm, &c->warm);
    s->warm_count++;
    return true;
}

static bool pick_from_tree(struct mu_sched *s, const struct mu_class *c, struct mu_choice *out)
{
    const struct mu_tree *t = &c->tree;

    out->score = mu_tree_best(t);
    if (out->score == 0)
        return false;
    switch (mu_search_policy(s, c, NULL)->pick) {
    case MU_PICK_FIRST: out->node = mu_tree_first(t); break;
    case MU_PICK_ANY: out->node = mu_tree_kth(t, mu_rng_below(&s->rng, mu_tree_ties(t))); break;
    case MU_PICK_NEXT: out->node = mu_tree_after(t, s->last_node); break;
    }
    out->runner_up = mu_tree_runner_up(t, out->node);
    out->runner_up_score = out->runner_up == MU_TREE_NONE ? 0 : mu_tree_get(t, out->runner_up);
    return true;
}

/* ---- blocks: the search of rarely used classes ---- */

static void highest(int64_t into[MU_MIRROR_KINDS], const int64_t from[MU_MIRROR_KINDS])
{
    for (uint32_t k = 0; k < MU_MIRROR_KINDS; k++)
        into[k] = from[k] > into[k] ? from[k] : into[k];
}

static void block_count(struct mu_sched *s, uint32_t block)
{
    int64_t top[MU_MIRROR_KINDS] = { -1, -1, -1 };

    for (uint32_t n = block * MU_BLOCK; n < (block + 1) * MU_BLOCK && n < s->mirror.count; n++)
        if (s->mirror.nodes[n].usable)
            highest(top, s->mirror.nodes[n].free);
    memcpy(s->blocks.low[block], top, sizeof top);
}

static void high_block_count(struct mu_sched *s, uint32_t high)
{
    int64_t top[MU_MIRROR_KINDS] = { -1, -1, -1 };
    uint32_t blocks = (s->blocks.nodes + MU_BLOCK - 1) / MU_BLOCK;

    for (uint32_t b = high * MU_BLOCK; b < (high + 1) * MU_BLOCK && b < blocks; b++)
        highest(top, s->blocks.low[b]);
    memcpy(s->blocks.high[high], top, sizeof top);
}

static void blocks_rebuild(struct mu_sched *s)
{
    struct mu_blocks *b = &s->blocks;
    uint32_t lows = (s->mirror.count + MU_BLOCK - 1) / MU_BLOCK, highs = (lows + MU_BLOCK - 1) / MU_BLOCK;

    if (lows > b->cap || b->low == NULL) {
        b->cap = lows + lows / 4 + 1;
        b->low = realloc(b->low, b->cap * sizeof *b->low);
        b->high = realloc(b->high, (b->cap / MU_BLOCK + 1) * sizeof *b->high);
        MU_ASSERT(b->low != NULL && b->high != NULL);
    }
    b->nodes = s->mirror.count;
    for (uint32_t i = 0; i < lows; i++)
        block_count(s, i);
    for (uint32_t i = 0; i < highs; i++)
        high_block_count(s, i);
    b->at = s->mirror.log_end;
}

static void blocks_sync(struct mu_sched *s)
{
    const struct mu_mirror *m = &s->mirror;
    struct mu_blocks *b = &s->blocks;

    if (b->nodes != m->count || m->log_end - b->at > MU_MIRROR_LOG) {
        blocks_rebuild(s);
        return;
    }
    for (; b->at < m->log_end; b->at++) {
        uint32_t node = m->log[b->at % MU_MIRROR_LOG], block = node / MU_BLOCK;
        int64_t was[MU_MIRROR_KINDS];

        if (m->nodes[node].log_at != (uint32_t)b->at)
            continue;
        memcpy(was, b->low[block], sizeof was);
        block_count(s, block);
        if (memcmp(was, b->low[block], sizeof was) != 0)
            high_block_count(s, block / MU_BLOCK);
    }
}

static bool block_may(const struct mu_need *need, const int64_t top[MU_MIRROR_KINDS])
{
    for (uint32_t k = 0; k < MU_MIRROR_KINDS; k++)
        if (top[k] < (int64_t)need->res.amount[k])
            return false;
    return true;
}

/* The first node >= from with room, passing over blocks that cannot have one; count at the end. */
static uint32_t next_fit(const struct mu_sched *s, const struct mu_class *c, uint32_t from, uint32_t *out_score)
{
    const struct mu_blocks *b = &s->blocks;

    while (from < b->nodes) {
        uint32_t block = from / MU_BLOCK, high = block / MU_BLOCK;

        if (from % (MU_BLOCK * MU_BLOCK) == 0 && !block_may(&c->need, b->high[high])) {
            from += MU_BLOCK * MU_BLOCK;
            continue;
        }
        if (from % MU_BLOCK == 0 && !block_may(&c->need, b->low[block])) {
            from += MU_BLOCK;
            continue;
        }
        *out_score = mu_search_score(s, c, from);
        if (*out_score != 0)
            return from;
        from++;
    }
    return b->nodes;
}

struct fits { /* the first nodes with room, from somewhere on and around */
    uint32_t node[MU_COLD_FITS], score[MU_COLD_FITS], count;
};

static void gather(const struct mu_sched *s, const struct mu_class *c, uint32_t from, uint32_t to, struct fits *f)
{
    while (f->count < MU_COLD_FITS) {
        uint32_t score = 0, node = next_fit(s, c, from, &score);

        if (node >= to)
            return;
        f->node[f->count] = node;
        f->score[f->count++] = score;
        from = node + 1;
    }
}

static bool pick_cold(struct mu_sched *s, const struct mu_class *c, struct mu_choice *out)
{
    const struct mu_place_policy *p = mu_search_policy(s, c, NULL);
    struct fits f = { .count = 0 };
    uint32_t start = 0, best = 0, ties = 0;

    blocks_sync(s);
    if (p->pick == MU_PICK_NEXT)
        start = s->last_node + 1 < s->blocks.nodes ? s->last_node + 1 : 0;
    else if (!p->tight && s->blocks.nodes > MU_COLD_FITS)
        start = mu_rng_below(&s->rng, s->blocks.nodes);
    gather(s, c, start, s->blocks.nodes, &f);
    gather(s, c, 0, start, &f);
    for (uint32_t i = 1; i < f.count; i++)
        best = f.score[i] > f.score[best] ? i : best;
    if (p->pick == MU_PICK_ANY)
        for (uint32_t i = best, top = best; i < f.count; i++)
            if (f.score[i] == f.score[top] && mu_rng_below(&s->rng, ++ties) == 0)
                best = i;
    if (f.count == 0)
        return false;
    *out = (struct mu_choice){ f.node[best], f.score[best], MU_TREE_NONE, 0 };
    for (uint32_t i = 0; i < f.count; i++)
        if (i != best && f.score[i] > out->runner_up_score) {
            out->runner_up = f.node[i];
            out->runner_up_score = f.score[i];
        }
    return true;
}

static bool pick_one(struct mu_sched *s, struct mu_class *c, struct mu_choice *out)
{
    if (c->node == MU_NODE_NONE)
        mu_class_resolve(s, c);
    if (c->node >= s->mirror.count)
        return false;
    *out = (struct mu_choice){ c->node, mu_search_score(s, c, c->node), MU_TREE_NONE, 0 };
    return out->score != 0;
}

bool mu_search(struct mu_sched *s, struct mu_class *c, struct mu_choice *out)
{
    MU_ASSERT(c->kind != MU_CLASS_EACH);
    if (c->kind == MU_CLASS_ONE)
        return pick_one(s, c, out);
    if (!is_warm(s, c))
        return pick_cold(s, c, out);
    mu_search_sync(s, c);
    return pick_from_tree(s, c, out);
}

void mu_search_fini(struct mu_sched *s)
{
    free(s->blocks.low);
    free(s->blocks.high);
}
