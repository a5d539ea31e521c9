/* sched/mirror.c -- see mirror.h. Free amounts are always computed from core's ledger and the pending work, so
 * that being told twice, or in another order, does no harm. */
#include "sched/mirror.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

/* [count][width] becomes [count_new][width_new]; what is new is 0. */
static void *reshaped(void *old, size_t count, size_t width, size_t count_new, size_t width_new)
{
    char *p = calloc(count_new * width_new + 1, sizeof(uint64_t));

    MU_ASSERT(p != NULL);
    for (size_t i = 0; i < count && width > 0; i++)
        memcpy(p + i * width_new * sizeof(uint64_t), (char *)old + i * width * sizeof(uint64_t), width * sizeof(uint64_t));
    free(old);
    return p;
}

static void reshape(struct mu_mirror *m, uint32_t cap, uint32_t kinds)
{
    m->pending = reshaped(m->pending, m->count, m->kinds, cap, kinds);
    m->totals = reshaped(m->totals, m->count, m->kinds, cap, kinds);
    m->named = reshaped(m->named, m->count, m->kinds - MU_MIRROR_KINDS, cap, kinds - MU_MIRROR_KINDS);
    m->nodes = realloc(m->nodes, (cap + 1) * sizeof *m->nodes);
    MU_ASSERT(m->nodes != NULL);
    m->cap = cap;
    m->kinds = kinds;
}

/* Room for every node and every kind of resource that core knows. */
static void grow(struct mu_mirror *m, const struct mu_core *core)
{
    uint32_t count = mu_view_nodes(core), kinds = mu_view_res_kinds(core), cap = m->cap ? m->cap : 16;

    while (cap < count)
        cap *= 2;
    if (cap > m->cap || kinds > m->kinds)
        reshape(m, cap, kinds > m->kinds ? kinds : m->kinds);
    for (; m->count < count; m->count++)
        m->nodes[m->count] = (struct mu_mnode){ .slow = MU_SHARE_ONE };
}

static void note_change(struct mu_mirror *m, uint32_t node)
{
    m->nodes[node].log_at = (uint32_t)m->log_end;
    m->log[m->log_end++ % MU_MIRROR_LOG] = node;
}

static void note_gain(struct mu_mirror *m, uint32_t node)
{
    if (m->nodes[node].gained)
        return;
    m->nodes[node].gained = true;
    if (m->gained_count == m->gained_cap) {
        m->gained_cap = m->gained_cap ? m->gained_cap * 2 : 64;
        m->gained = realloc(m->gained, m->gained_cap * sizeof *m->gained);
        MU_ASSERT(m->gained != NULL);
    }
    m->gained[m->gained_count++] = node;
}

void mu_mirror_gained_drop(struct mu_mirror *m, uint32_t i)
{
    m->nodes[m->gained[i]].gained = false;
    m->gained[i] = m->gained[--m->gained_count];
}

void mu_mirror_gained_clear(struct mu_mirror *m)
{
    while (m->gained_count > 0)
        mu_mirror_gained_drop(m, m->gained_count - 1);
}

/* free = total - used - pending, for all kinds. */
static void count_free(struct mu_mirror *m, uint32_t node, const struct mu_node *facts)
{
    const int64_t *pending = m->pending + (size_t)node * m->kinds;
    bool changed = false, grew = false;

    for (uint32_t k = 0; k < m->kinds; k++) {
        int64_t rest = (int64_t)facts->total.amount[k] - (int64_t)facts->used.amount[k] - pending[k];
        int64_t *was = mu_mirror_free(m, node, k);

        changed = changed || rest != *was;
        grew = grew || rest > *was;
        *was = rest;
    }
    if (changed)
        note_change(m, node);
    if (grew && m->nodes[node].usable)
        note_gain(m, node);
}

void mu_mirror_used(struct mu_mirror *m, const struct mu_core *core, uint32_t node)
{
    if (node < m->count)
        count_free(m, node, mu_view_node(core, node));
}

static void set_total(struct mu_mirror *m, uint32_t node, uint32_t kind, uint64_t total)
{
    m->totals[(size_t)node * m->kinds + kind] = total;
    if (kind < MU_MIRROR_KINDS)
        m->nodes[node].inverse[kind] = total ? UINT64_MAX / total : 0;
    if (total > m->largest.amount[kind]) {
        m->largest.amount[kind] = total;
        m->largest_inverse[kind] = UINT64_MAX / total;
        m->largest_version++;
    }
}

void mu_mirror_node(struct mu_mirror *m, const struct mu_core *core, uint32_t node)
{
    grow(m, core);
    MU_ASSERT(node < m->count);
    const struct mu_node *facts = mu_view_node(core, node);
    struct mu_mnode *n = &m->nodes[node];
    bool usable = facts->state == MU_NODE_UP && !facts->drain && !n->silent;

    for (uint32_t k = 0; k < m->kinds; k++) {
        m->total.amount[k] -= n->usable ? mu_mirror_total(m, node, k) : 0;
        m->total.amount[k] += usable ? facts->total.amount[k] : 0;
        set_total(m, node, k, facts->total.amount[k]);
    }
    n->has_gpu = facts->total.amount[MU_RES_GPU] > 0;
    n->usable = usable;
    n->fixed_at = (uint32_t)m->log_end;
    m->fixed_version++;
    note_change(m, node);
    if (usable)
        note_gain(m, node);
    count_free(m, node, facts);
}

void mu_mirror_take(struct mu_mirror *m, uint32_t node, const struct mu_res *need)
{
    for (uint32_t k = 0; k < m->kinds; k++) {
        m->pending[(size_t)node * m->kinds + k] += (int64_t)need->amount[k];
        *mu_mirror_free(m, node, k) -= (int64_t)need->amount[k];
    }
    note_change(m, node);
}

void mu_mirror_settle(struct mu_mirror *m, const struct mu_core *core, uint32_t node, const struct mu_res *need)
{
    for (uint32_t k = 0; k < m->kinds; k++)
        m->pending[(size_t)node * m->kinds + k] -= (int64_t)need->amount[k];
    count_free(m, node, mu_view_node(core, node));
}

void mu_mirror_keep(struct mu_mirror *m, uint32_t node, uint16_t number)
{
    m->nodes[node].kept = number;
    note_change(m, node);
    if (number == 0 && m->nodes[node].usable)
        note_gain(m, node);
}

/* slow = EWMA(0.05) of the ratio, a sample cut at 4 times the present value. */
void mu_mirror_learn(struct mu_mirror *m, uint32_t node, uint64_t ratio)
{
    struct mu_mnode *n = &m->nodes[node];
    int64_t was = n->slow, sample = ratio < 4 * (uint64_t)n->slow ? (int64_t)ratio : 4 * was;
    int64_t slow = was + (sample - was) / 20;

    slow = slow < MU_SPEED_MIN ? MU_SPEED_MIN : slow > MU_SPEED_MAX ? MU_SPEED_MAX : slow;
    if (slow == was)
        return;
    n->slow = (uint32_t)slow;
    note_change(m, node);
}

void mu_mirror_reset(struct mu_mirror *m, const struct mu_core *core)
{
    grow(m, core);
    memset(m->pending, 0, (size_t)m->cap * m->kinds * sizeof *m->pending);
    mu_mirror_gained_clear(m);
    for (uint32_t n = 0; n < m->count; n++)
        mu_mirror_node(m, core, n);
}

void mu_mirror_init(struct mu_mirror *m)
{
    memset(m, 0, sizeof *m);
    m->kinds = MU_MIRROR_KINDS;
}

void mu_mirror_fini(struct mu_mirror *m)
{
    free(m->nodes);
    free(m->pending);
    free(m->totals);
    free(m->named);
    free(m->gained);
}
