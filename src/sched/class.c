/* sched/class.c -- see class.h. */
#include "sched/class.h"

#include "base/assert.h"
#include "sched/each.h"
#include "sched/search.h"
#include "sched/wait.h"

#include <stdlib.h>

/* ---- what a node means to a class ---- */

bool mu_class_allows(const struct mu_sched *s, const struct mu_class *c, uint32_t node)
{
    if (c->kind == MU_CLASS_ONE && c->node != node)
        return false;
    return !c->picky || mu_view_shape_allows(s->core, mu_view_shape(s->core, c->shape), mu_view_node(s->core, node));
}

bool mu_class_fits(const struct mu_sched *s, const struct mu_class *c, uint32_t node)
{
    const struct mu_mnode *n = &s->mirror.nodes[node];

    return n->usable && (n->kept == 0 || n->kept == c->kept) && mu_place_fits(&s->mirror, node, &c->need) &&
           mu_class_allows(s, c, node);
}

bool mu_class_large_enough(const struct mu_sched *s, const struct mu_class *c, uint32_t node)
{
    for (uint32_t i = 0; i < c->need.kinds; i++)
        if (mu_mirror_total(&s->mirror, node, c->need.kind[i]) < c->need.res.amount[c->need.kind[i]])
            return false;
    return true;
}

static bool could_hold(const struct mu_sched *s, const struct mu_class *c, uint32_t node)
{
    return node < s->mirror.count && s->mirror.nodes[node].usable && mu_class_large_enough(s, c, node) &&
           mu_class_allows(s, c, node);
}

/* An each-node group is counted by what it looked at in vain. */
static uint32_t count_large(const struct mu_sched *s, const struct mu_class *c)
{
    uint32_t n = 0;

    if (c->kind == MU_CLASS_ONE)
        return could_hold(s, c, c->node);
    if (c->kind == MU_CLASS_EACH) {
        MU_LIST_EACH(it, &c->waiters)
            n += could_hold(s, c, MU_CONTAINER(it, struct mu_waiter, of_class)->node);
        return n;
    }
    for (uint32_t i = 0; i < s->mirror.count; i++)
        n += could_hold(s, c, i);
    return n;
}

uint32_t mu_class_could(const struct mu_sched *s, struct mu_class *c)
{
    if (c->kind != MU_CLASS_WIDE)
        return count_large(s, c);
    if (c->large_version != s->mirror.fixed_version) {
        c->large = count_large(s, c);
        c->large_version = s->mirror.fixed_version;
    }
    return c->large;
}

uint32_t mu_class_miss(const struct mu_sched *s, const struct mu_class *c, uint32_t node, uint32_t *out_kind)
{
    uint32_t most = 0;

    for (uint32_t i = 0; i < c->need.kinds; i++) {
        uint32_t kind = c->need.kind[i];
        int64_t lack = (int64_t)c->need.res.amount[kind] - *mu_mirror_free(&s->mirror, node, kind);
        uint64_t total = mu_mirror_total(&s->mirror, node, kind);

        if (lack <= 0)
            continue;
        unsigned __int128 wide = (unsigned __int128)lack * MU_SHARE_ONE / (total ? total : 1);
        uint32_t share = wide > UINT32_MAX - 1 ? UINT32_MAX : (uint32_t)wide + 1;
        if (share > most) {
            most = share;
            *out_kind = kind;
        }
    }
    return most;
}

uint32_t mu_class_nearest(const struct mu_sched *s, const struct mu_class *c, bool kept_too)
{
    uint32_t best = MU_NODE_NONE, least = UINT32_MAX, kind = 0;

    for (uint32_t n = 0; n < s->mirror.count; n++) {
        if ((!kept_too && s->mirror.nodes[n].kept != 0) || !could_hold(s, c, n))
            continue;
        uint32_t miss = mu_class_miss(s, c, n, &kind);
        if (best == MU_NODE_NONE || miss < least) {
            best = n;
            least = miss;
        }
    }
    return best;
}

/* ---- starving classes keep a node ---- */

static void unkeep(struct mu_sched *s, struct mu_class *c)
{
    struct mu_kept *k = &s->kept[c->kept - 1];

    mu_mirror_keep(&s->mirror, k->node, 0);
    k->cls = NULL;
    c->kept = 0;
    s->kept_count--;
}

static uint32_t node_to_keep(const struct mu_sched *s, const struct mu_class *c)
{
    if (c->kind == MU_CLASS_WIDE)
        return mu_class_nearest(s, c, false);
    uint32_t node = c->node;
    if (c->kind == MU_CLASS_EACH) /* the one that waits longest */
        node = mu_list_is_empty(&c->waiters) ? MU_NODE_NONE
                                             : MU_CONTAINER(c->waiters.next, struct mu_waiter, of_class)->node;
    return could_hold(s, c, node) && s->mirror.nodes[node].kept == 0 ? node : MU_NODE_NONE;
}

/* At most one in eight nodes, so that starving tasks do not starve all others. */
static bool may_keep(const struct mu_sched *s)
{
    return s->kept_count < MU_KEPT_MAX && s->kept_count * 8 < s->mirror.count;
}

static void keep(struct mu_sched *s, struct mu_class *c)
{
    uint32_t node = node_to_keep(s, c);
    uint16_t slot = 0;

    if (node == MU_NODE_NONE)
        return;
    while (s->kept[slot].cls != NULL)
        slot++;
    s->kept[slot] = (struct mu_kept){ c, node };
    s->kept_count++;
    c->kept = (uint16_t)(slot + 1);
    mu_mirror_keep(&s->mirror, node, c->kept);
}

static bool starves(const struct mu_class *c)
{
    return c->shut && mu_heap_has(&c->link) && mu_rank_starves(mu_class_rank(c));
}

/* The first in rank of those that starve after one, and keep no node. */
static struct mu_class *next_starving(const struct mu_sched *s, const struct mu_class *after)
{
    struct mu_class *first = NULL;

    if (s->shut.count == 0 || !mu_rank_starves(mu_rank_of(mu_heap_min(&s->shut))))
        return NULL;
    for (uint32_t i = 0; i < s->shut.count; i++) {
        struct mu_class *c = MU_CONTAINER(s->shut.links[i], struct mu_class, link);

        if (starves(c) && c->kept == 0 && (!after || mu_rank_before(mu_class_rank(after), mu_class_rank(c))) &&
            (!first || mu_rank_before(mu_class_rank(c), mu_class_rank(first))))
            first = c;
    }
    return first;
}

void mu_class_keep_review(struct mu_sched *s)
{
    enum { TRIED = 32 }; /* of those for which no node can be kept */
    struct mu_class *c = NULL;
    bool again = s->keep_again || s->kept_version != s->mirror.fixed_version;

    if (s->kept_count == 0 && !again)
        return;
    for (uint32_t i = 0; i < MU_KEPT_MAX && s->kept_count > 0; i++) {
        if (s->kept[i].cls == NULL || (starves(s->kept[i].cls) && could_hold(s, s->kept[i].cls, s->kept[i].node)))
            continue;
        unkeep(s, s->kept[i].cls);
        again = true;
    }
    for (uint32_t i = 0; again && i < TRIED && may_keep(s) && (c = next_starving(s, c)) != NULL; i++)
        keep(s, c);
    s->keep_again = false;
    s->kept_version = s->mirror.fixed_version;
}

/* ---- open and shut ---- */

static struct mu_heap *heap_of(struct mu_sched *s, const struct mu_class *c)
{
    return c->shut ? &s->shut : &s->open;
}

void mu_class_refile(struct mu_sched *s, struct mu_class *c)
{
    const struct mu_heap_link *head = mu_heap_min(&c->lines);

    if (head == NULL) { /* outside the heap it would not hear of room gained: it counts as open */
        mu_heap_remove(heap_of(s, c), &c->link);
        c->shut = false;
        return;
    }
    if (!mu_heap_has(&c->link))
        mu_heap_add(heap_of(s, c), &c->link, head->key, head->tie);
    else if (c->link.key == head->key && c->link.tie == head->tie)
        return;
    else
        mu_heap_move(heap_of(s, c), &c->link, head->key, head->tie);
    s->keep_again = s->keep_again || starves(c);
}

void mu_class_shut(struct mu_sched *s, struct mu_class *c)
{
    mu_heap_remove(&s->open, &c->link);
    c->shut = true;
    if (c->kind == MU_CLASS_ONE && mu_list_is_empty(&c->waiters))
        mu_each_wait(s, c, c->node, 0);
    mu_class_refile(s, c);
}

void mu_class_open(struct mu_sched *s, struct mu_class *c)
{
    if (!c->shut)
        return;
    mu_heap_remove(&s->shut, &c->link);
    c->shut = false;
    mu_class_refile(s, c);
}

void mu_class_open_all(struct mu_sched *s)
{
    while (s->shut.count > 0)
        mu_class_open(s, MU_CONTAINER(s->shut.links[s->shut.count - 1], struct mu_class, link));
}

/* The shut heap below one place, as far as its ranks come before. */
static struct mu_class *barrier_below(struct mu_sched *s, uint32_t at, struct mu_rank rank)
{
    if (at >= s->shut.count || !mu_rank_before(mu_rank_of(s->shut.links[at]), rank))
        return NULL;
    struct mu_class *c = MU_CONTAINER(s->shut.links[at], struct mu_class, link);
    if (mu_class_could(s, c) > 0)
        return c;
    c = barrier_below(s, 2 * at + 1, rank);
    return c ? c : barrier_below(s, 2 * at + 2, rank);
}

struct mu_class *mu_class_barrier(struct mu_sched *s, struct mu_rank rank)
{
    struct mu_class *c = s->order_param[MU_ORDER_STRICT] ? barrier_below(s, 0, rank) : NULL;

    while (c != NULL && mu_tenant_is_full(s, mu_class_first_line(c)->tenant, c)) { /* it does not only wait for room */
        mu_line_park(s, mu_class_first_line(c));
        c = barrier_below(s, 0, rank);
    }
    return c;
}

/* ---- life ---- */

static uint64_t key_of(const struct mu_class *c)
{
    return (uint64_t)c->generation << 32 | c->shape;
}

static struct mu_class *class_new(struct mu_sched *s, const struct mu_shape *shape, bool each)
{
    struct mu_class *c = calloc(1, sizeof *c);

    MU_ASSERT(c != NULL);
    mu_list_init(&c->idle);
    mu_list_init(&c->warm);
    mu_list_init(&c->waiters);
    c->number = ++s->class_number;
    c->shape = shape->id;
    c->generation = shape->generation;
    c->kind = each ? MU_CLASS_EACH : shape->node_name ? MU_CLASS_ONE : MU_CLASS_WIDE;
    c->node = shape->node;
    c->picky = shape->labels.count > 0 || shape->prefer.count > 0;
    c->place = shape->place ? mu_place_find(mu_view_word(s->core, shape->place)) : UINT32_MAX;
    c->large_version = UINT64_MAX;
    mu_need_init(&c->need, &shape->need);
    return c;
}

struct mu_class *mu_class_get(struct mu_sched *s, const struct mu_group_view *v)
{
    const struct mu_shape *shape = mu_view_shape(s->core, v->shape);
    struct mu_class *c = v->each_node ? NULL : mu_map_get_ptr(&s->classes, (uint64_t)shape->generation << 32 | shape->id);

    if (c == NULL) {
        c = class_new(s, shape, v->each_node);
        if (!v->each_node)
            mu_map_put_ptr(&s->classes, key_of(c), c);
    } else if (c->refs == 0) {
        mu_list_remove(&c->idle);
        s->idle_count--;
    }
    c->refs++;
    return c;
}

/* Each-node classes never were in the map; of two with one key only the later is. */
static void unlist(struct mu_sched *s, const struct mu_class *c)
{
    if (mu_map_get_ptr(&s->classes, key_of(c)) == c)
        mu_map_remove(&s->classes, key_of(c));
}

static void class_free(struct mu_sched *s, struct mu_class *c)
{
    MU_ASSERT(c->lines.count == 0 && !mu_heap_has(&c->link));
    if (c->kept != 0)
        unkeep(s, c);
    unlist(s, c);
    mu_each_clear(s, c);
    mu_search_drop_tree(s, c);
    mu_heap_fini(&c->lines);
    free(c->again);
    free(c);
}

void mu_class_unref(struct mu_sched *s, struct mu_class *c)
{
    MU_ASSERT(c->refs > 0);
    if (--c->refs > 0)
        return;
    if (c->kind == MU_CLASS_EACH) {
        class_free(s, c);
        return;
    }
    mu_list_add_tail(&s->idle, &c->idle);
    if (++s->idle_count > MU_IDLE_CLASSES) {
        struct mu_class *oldest = MU_CONTAINER(s->idle.next, struct mu_class, idle);

        mu_list_remove(&oldest->idle);
        s->idle_count--;
        class_free(s, oldest);
    }
}

void mu_class_resolve(struct mu_sched *s, struct mu_class *c)
{
    const struct mu_shape *shape = mu_view_shape(s->core, c->shape);

    if (shape->node == c->node)
        return;
    unlist(s, c);
    c->node = shape->node;
    c->generation = shape->generation;
    mu_map_put_ptr(&s->classes, key_of(c), c);
}

void mu_class_free_all(struct mu_sched *s)
{
    while (!mu_list_is_empty(&s->idle)) {
        struct mu_class *c = MU_CONTAINER(s->idle.next, struct mu_class, idle);

        mu_list_remove(&c->idle);
        class_free(s, c);
    }
    s->idle_count = 0;
    MU_ASSERT(s->classes.count == 0 && s->warm_count == 0 && s->kept_count == 0);
}
