/* sched/mirror.h -- what each node has left after committed and decided work, kept for fast scoring.
 *
 * What       per node: free amounts, shares, speed, usable or not; a log of changed nodes for those who keep
 *            something derived from them; the nodes that gained room since somebody last looked.
 * Ownership  the mirror owns its arrays; core is read, never kept.
 * Time, Threads  none.   Failure  no memory aborts.
 * Limits     MU_NODES_MAX nodes. free may be negative: a node can come back smaller than what runs on it.
 */
#ifndef MU_SCHED_MIRROR_H
#define MU_SCHED_MIRROR_H

#include "core/view.h"

#include <stddef.h>

enum {
    MU_MIRROR_KINDS = 3,      /* cpu, mem, gpu lie in the node's own cache line; named ones beside it */
    MU_MIRROR_LOG = 1 << 13,  /* changes remembered; who lags further reads all nodes */
    MU_SHARE_ONE = 1 << 16,   /* shares and speeds are fixed-point */
    MU_SPEED_MAX = 16 * MU_SHARE_ONE,
    MU_SPEED_MIN = MU_SHARE_ONE / 16,
};

struct mu_mnode {
    int64_t free[MU_MIRROR_KINDS];
    uint64_t inverse[MU_MIRROR_KINDS]; /* (2^64 - 1) / total; 0: it has none */
    uint32_t slow;     /* actual / predicted run time, fixed-point; 1 = as predicted, more is slower */
    uint32_t log_at;   /* low bits of the position of its latest change */
    uint32_t fixed_at; /* of its latest change of labels, state or totals */
    uint16_t kept;     /* 0, or number of the class that it is kept free for */
    bool usable : 1;   /* up and not silent: takes new work; only then counted in the mirror's total */
    bool silent : 1;   /* nobody could tell it of new work now */
    bool has_gpu : 1;
    bool gained : 1;   /* in the list of nodes that gained room */
};

struct mu_mirror {
    struct mu_mnode *nodes;
    int64_t *pending;          /* [node * kinds + kind]: decided, not yet committed */
    uint64_t *totals;          /* [node * kinds + kind] */
    int64_t *named;            /* free: [node * (kinds - MU_MIRROR_KINDS) + kind - MU_MIRROR_KINDS] */
    uint32_t count, cap, kinds;
    uint32_t log[MU_MIRROR_LOG];
    uint64_t log_end;          /* changes so far */
    uint32_t *gained;
    uint32_t gained_count, gained_cap;
    struct mu_res total;       /* over usable nodes */
    struct mu_res largest;     /* per kind, over all nodes */
    uint64_t largest_inverse[MU_RES_MAX];
    uint64_t largest_version;  /* grows when `largest` changed */
    uint64_t fixed_version;    /* grows when labels, state or totals of a node changed */
};

void mu_mirror_init(struct mu_mirror *m);
void mu_mirror_fini(struct mu_mirror *m);
/* Forget pending work and read every node anew; speeds stay. */
void mu_mirror_reset(struct mu_mirror *m, const struct mu_core *core);
/* Read one node: its totals, state and labels may have changed, or just what is used of it. */
void mu_mirror_node(struct mu_mirror *m, const struct mu_core *core, uint32_t node);
void mu_mirror_used(struct mu_mirror *m, const struct mu_core *core, uint32_t node);
/* Reserve, or give back, what a decision took. */
void mu_mirror_take(struct mu_mirror *m, uint32_t node, const struct mu_res *need);
void mu_mirror_settle(struct mu_mirror *m, const struct mu_core *core, uint32_t node, const struct mu_res *need);
/* Keep a node free for one class (its number), or for none again (0). */
void mu_mirror_keep(struct mu_mirror *m, uint32_t node, uint16_t number);
/* One more measured ratio of actual to predicted run time. */
void mu_mirror_learn(struct mu_mirror *m, uint32_t node, uint64_t ratio);
/* Forget the i-th node that gained room (the last takes its place in the list), or all of them. */
void mu_mirror_gained_drop(struct mu_mirror *m, uint32_t i);
void mu_mirror_gained_clear(struct mu_mirror *m);

static inline int64_t *mu_mirror_free(const struct mu_mirror *m, uint32_t node, uint32_t kind)
{
    if (kind < MU_MIRROR_KINDS)
        return &m->nodes[node].free[kind];
    return &m->named[(size_t)node * (m->kinds - MU_MIRROR_KINDS) + kind - MU_MIRROR_KINDS];
}
static inline uint64_t mu_mirror_total(const struct mu_mirror *m, uint32_t node, uint32_t kind)
{
    return m->totals[(size_t)node * m->kinds + kind];
}
/* rest / total as a fixed-point share, by the inverse of total; integers, so the same on every machine. */
static inline uint32_t mu_share_by(uint64_t rest, uint64_t inverse)
{
    return (uint32_t)((unsigned __int128)rest * inverse >> 48);
}
_Static_assert(sizeof(struct mu_mnode) == 64, "a cache line a node");
/* What `rest` of a kind is of the node's total, fixed-point. */
static inline uint32_t mu_mirror_share(const struct mu_mnode *n, uint32_t kind, uint64_t rest)
{
    return mu_share_by(rest, n->inverse[kind]);
}

#endif
