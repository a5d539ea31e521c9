/* sched/state.h -- what sched keeps; private to this room.
 *
 * What       waiting groups (mu_wait) hang in lines, one line a user and demand class; lines hang in their class
 *            (mu_class); classes stand in one of two heaps: `open` (may have room) or `shut` (found none, and no
 *            node has gained room for it since). All are ordered by mu_rank; the head of all is the
 *            smallest rank of `open`, or a shut class for which a node just gained room.
 * Ownership  struct mu_sched owns all of it. A wait lives while it has ready or taken tasks, a line while it has
 *            waits, a class while it has waits or taken tasks, and then in a small cache.
 * Time       now_ms never runs back.
 * Threads    none.   Failure  no memory aborts.
 * Limits     trees of `warm_max` classes at a time; others search by blocks.
 */
#ifndef MU_SCHED_STATE_H
#define MU_SCHED_STATE_H

#include "base/assert.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rng.h"
#include "core/view.h"
#include "sched/mirror.h"
#include "sched/order.h"
#include "sched/place.h"
#include "sched/sched.h"
#include "sched/tree.h"

enum {
    MU_KEPT_MAX = 16,       /* nodes kept for starving classes at a time */
    MU_OFFERS_MAX = 8,      /* gained nodes that are offered one by one; more open all shut classes */
    MU_IDLE_CLASSES = 1024, /* classes without work that are remembered */
    MU_PAST_BITS = 12,      /* 2^12 decisions are remembered for explain */
    MU_BLOCK = 64,
};

/* Smaller goes first. hi: starving (0) or not, priority, upper part of the policy's rank; lo: lower part, job, group. */
struct mu_rank {
    uint64_t hi, lo;
};
static inline bool mu_rank_before(struct mu_rank a, struct mu_rank b)
{
    return a.hi != b.hi ? a.hi < b.hi : a.lo < b.lo;
}
static inline struct mu_rank mu_rank_of(const struct mu_heap_link *l) { return (struct mu_rank){ l->key, l->tie }; }
static inline bool mu_rank_starves(struct mu_rank r) { return r.hi >> 63 == 0; }

/* One group with ready or taken tasks. */
struct mu_wait {
    struct mu_heap_link link;  /* in line->waits while one of its tasks may start */
    struct mu_heap_link aging; /* in sched->aging until it starves */
    struct mu_line *line;
    uint64_t job, submitted_ms;
    uint32_t group, first, cursor; /* cursor: where to look for the next ready task */
    uint32_t ready, live, taken;   /* ready, live: as core says; taken: decided, not yet committed */
    uint32_t max_parallel;
    int32_t priority;
    bool runnable, starves;
};

/* The waiting groups of one user in one class. */
struct mu_line {
    struct mu_heap_link link; /* in cls->lines while it has a wait that may start */
    struct mu_heap waits;
    struct mu_list of_tenant;
    struct mu_class *cls;
    struct mu_tenant *tenant;
    uint32_t members;         /* waits, in the heap or not */
    bool parked;              /* its user's quota is used up */
};

struct mu_tenant {
    uint32_t word;
    struct mu_list lines;
    uint32_t members, parked; /* lines; of them parked */
    struct mu_res pending;    /* needs of what is taken */
    uint64_t rank;
};

enum mu_class_kind {
    MU_CLASS_WIDE, /* may run on several nodes */
    MU_CLASS_ONE,  /* --node: on one */
    MU_CLASS_EACH, /* one each-node group: each task has a node of its own */
};

/* Equal demands. */
struct mu_class {
    struct mu_heap_link link; /* in sched->open or sched->shut while it has lines that may start */
    struct mu_heap lines;
    struct mu_list idle;      /* in sched->idle while refs == 0 */
    struct mu_list warm;      /* in sched->warm while it has a tree, least recently used first */
    enum mu_class_kind kind;
    uint32_t number;          /* grows with each class made */
    uint32_t shape, generation, refs;
    bool shut;
    bool picky;               /* asks for labels, or wishes them */
    uint16_t kept;            /* number of the node kept for it, 0 none */
    uint32_t place;           /* its own policy, UINT32_MAX: the cluster's */
    struct mu_need need;
    /* wide */
    struct mu_tree tree;
    uint64_t tree_at, tree_version; /* position in the mirror's log; sched->score_version */
    uint8_t *allow;                 /* picky: per node 0 or 1 + wishes fulfilled */
    uint64_t used_at, cold_since;   /* counts of searches */
    uint32_t cold_uses;
    uint64_t large_version;
    uint32_t large;                 /* usable nodes that could hold it when empty */
    /* one, each */
    uint32_t node;                  /* one: MU_NODE_NONE while it has not joined */
    struct mu_list waiters;         /* what waits for room on a certain node */
    uint32_t *again;                /* each: ordinals to look at again */
    uint32_t again_count, again_cap;
    bool again_sorted;
};

/* Waits for one node to gain room. */
struct mu_waiter {
    struct mu_list at_node, of_class;
    struct mu_class *cls;
    uint32_t node, ordinal; /* MU_NODE_NONE: for a node to join; ordinal only for each-node tasks */
};

/* Decided, not yet committed. */
struct mu_taken {
    union {
        struct mu_wait *wait;
        struct mu_taken *next; /* of sched->spare */
    };
    uint32_t ordinal, attempt, node;
};

/* A decision as explain tells it; slots are overwritten. */
struct mu_past {
    uint64_t task; /* key */
    uint32_t attempt, node, score, runner_up, runner_up_score;
    uint8_t place;
};

/* How long tasks of a shape ran. */
struct mu_runs {
    uint32_t generation, count;
    uint64_t mean_us;
};

/* Highest free amounts of 64 nodes, and of 64 such blocks: where to look when there is no tree. */
struct mu_blocks {
    int64_t (*low)[MU_MIRROR_KINDS], (*high)[MU_MIRROR_KINDS];
    uint32_t nodes, cap;
    uint64_t at;
};

/* A node kept free for a starving class; its number is its place + 1. */
struct mu_kept {
    struct mu_class *cls; /* NULL: not used */
    uint32_t node;
};

struct mu_choice {
    uint32_t node, score, runner_up, runner_up_score;
};

struct mu_sched {
    const struct mu_core *core;
    struct mu_mirror mirror;
    struct mu_rng rng;
    uint64_t now_ms;

    const struct mu_order_policy *order;
    uint64_t order_param[MU_PARAMS_MAX];
    uint32_t place; /* the cluster's */
    uint64_t place_param[MU_PLACES_MAX][MU_PARAMS_MAX];
    bool order_changed;
    uint64_t score_version; /* grows when all scores must be computed anew */
    uint64_t largest_seen;
    uint64_t ranked_ms;     /* when all users were ranked last */

    struct mu_map waits;   /* job << 16 | group -> wait */
    struct mu_map lines;   /* class number << 32 | user -> line */
    struct mu_map tenants; /* user -> tenant */
    struct mu_map classes; /* class_key -> class */
    struct mu_map taken;   /* task key -> taken */
    struct mu_taken *spare;
    struct mu_map at_node; /* node -> list of waiters */
    struct mu_heap open, shut, aging;
    struct mu_list idle, warm;
    uint32_t idle_count, warm_count, class_number;
    uint32_t warm_max;      /* 0: by the number of nodes */
    uint32_t cold_max;      /* searches before a class gets a tree; UINT32_MAX: by the number of nodes */
    uint32_t parked, limited; /* lines parked; waits with a max_parallel */
    struct mu_blocks blocks;
    struct mu_kept kept[MU_KEPT_MAX];
    uint32_t kept_count;
    bool keep_again;        /* a class began to starve */
    uint64_t kept_version;  /* mirror.fixed_version when the kept nodes were last looked at */
    uint32_t offers[MU_OFFERS_MAX]; /* nodes that gained room and may suit a shut class */
    uint32_t offers_count;
    uint32_t last_node;     /* round robin */
    uint64_t searches;

    struct mu_runs *runs;   /* by shape */
    uint32_t runs_count;
    struct mu_past *past;
    uint64_t decisions[MU_PLACES_MAX];
};

/* Where the decision about a task is remembered, until another comes there. */
static inline struct mu_past *mu_past_slot(const struct mu_sched *s, uint64_t task)
{
    return &s->past[task * UINT64_C(0x9E3779B97F4A7C15) >> (64 - MU_PAST_BITS)];
}
/* NULL: not remembered. */
static inline const struct mu_past *mu_past_find(const struct mu_sched *s, uint64_t job, uint32_t ordinal)
{
    uint64_t task = mu_task_key(job, ordinal);

    return s->past && mu_past_slot(s, task)->task == task ? mu_past_slot(s, task) : NULL;
}

#endif
