/* sched/tree.h -- a tournament over numbered places: the highest score, found and changed in O(log n).
 *
 * What       a tree of lines of 16 scores; score 0 means "cannot". Ties go to the lowest number, to a
 *            uniform one of them (counted trees) or to the next after a given one.
 * Ownership  the tree owns its arrays; places are the caller's numbers from 0.
 * Time, Threads  none.   Failure  no memory aborts.
 * Limits     2^20 places, scores below 2^31; about 4.3 bytes a place, 4.6 when counted.
 */
#ifndef MU_SCHED_TREE_H
#define MU_SCHED_TREE_H

#include <stdbool.h>
#include <stdint.h>

enum { MU_TREE_FAN = 16, MU_TREE_LEVELS = 7 };
#define MU_TREE_NONE UINT32_MAX

struct mu_tree {
    uint32_t places;               /* room for so many */
    uint32_t top;                  /* level[top] is the root: one score */
    uint32_t *level[MU_TREE_LEVELS]; /* level[0]: the scores; above: the highest of each line below */
    uint32_t *ties[MU_TREE_LEVELS];  /* counted: how many places below have that highest score */
    uint32_t *block;               /* one allocation behind all of them */
};

/* Room for at least `places`, all 0. */
void mu_tree_init(struct mu_tree *t, uint32_t places, bool counted);
void mu_tree_fini(struct mu_tree *t);
void mu_tree_set(struct mu_tree *t, uint32_t place, uint32_t score);
/* After scores were written straight into level[0]. */
void mu_tree_build(struct mu_tree *t);

static inline bool mu_tree_is_empty(const struct mu_tree *t) { return t->block == 0; }
static inline uint32_t mu_tree_get(const struct mu_tree *t, uint32_t place) { return t->level[0][place]; }
/* The highest score, 0 if no place can. */
static inline uint32_t mu_tree_best(const struct mu_tree *t) { return t->level[t->top][0]; }
/* The first place with the highest score, MU_TREE_NONE if that is 0. */
uint32_t mu_tree_first(const struct mu_tree *t);
/* The first place after `place` with the highest score; starts again at 0 after the last. */
uint32_t mu_tree_after(const struct mu_tree *t, uint32_t place);
/* How many places have the highest score, and the k-th of them; counted trees only. */
uint32_t mu_tree_ties(const struct mu_tree *t);
uint32_t mu_tree_kth(const struct mu_tree *t, uint32_t k);
/* A best place other than `place`, MU_TREE_NONE if no other can. */
uint32_t mu_tree_runner_up(const struct mu_tree *t, uint32_t place);

#endif
