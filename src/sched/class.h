/* sched/class.h -- demand classes: made, kept a while, open or shut.
 *
 * What       finds the class of a group; keeps it in the heap where it belongs; says who may pass whom.
 * Ownership  a caller of get holds one reference until unref.
 * Time, Threads  none.   Failure  no memory aborts.   Limits  MU_IDLE_CLASSES without references.
 */
#ifndef MU_SCHED_CLASS_H
#define MU_SCHED_CLASS_H

#include "sched/state.h"

struct mu_class *mu_class_get(struct mu_sched *s, const struct mu_group_view *v);
void mu_class_unref(struct mu_sched *s, struct mu_class *c);
void mu_class_free_all(struct mu_sched *s);
/* Has the node that the class names joined by now? The class has a group. */
void mu_class_resolve(struct mu_sched *s, struct mu_class *c);

/* Its first line changed: put it where its rank belongs. */
void mu_class_refile(struct mu_sched *s, struct mu_class *c);
/* No room was found for it; or there may be room again. */
void mu_class_shut(struct mu_sched *s, struct mu_class *c);
void mu_class_open(struct mu_sched *s, struct mu_class *c);
void mu_class_open_all(struct mu_sched *s);
static inline struct mu_rank mu_class_rank(const struct mu_class *c)
{
    return mu_rank_of(&c->link);
}

/* Does the node's label, name and state suit the class; does it have room for one more? */
bool mu_class_allows(const struct mu_sched *s, const struct mu_class *c, uint32_t node);
bool mu_class_fits(const struct mu_sched *s, const struct mu_class *c, uint32_t node);
/* Could the node hold one when empty? */
bool mu_class_large_enough(const struct mu_sched *s, const struct mu_class *c, uint32_t node);
/* Usable nodes that allow it and are large enough. O(nodes), remembered until a node changes. */
uint32_t mu_class_could(const struct mu_sched *s, struct mu_class *c);

/* What the node lacks most for one more, as a share of its total (0: nothing), and which kind that is. */
uint32_t mu_class_miss(const struct mu_sched *s, const struct mu_class *c, uint32_t node, uint32_t *out_kind);
/* The usable node, allowed and large enough, that lacks least; MU_NODE_NONE if there is none. O(nodes). */
uint32_t mu_class_nearest(const struct mu_sched *s, const struct mu_class *c, bool kept_too);

/* The shut class before this rank for which a strict order makes everything wait, NULL if none. */
struct mu_class *mu_class_barrier(struct mu_sched *s, struct mu_rank rank);
/* Keep a node free for each shut class whose first task starves, as far as there are nodes to spare; give back
 * those that are not needed any more, or of no use. */
void mu_class_keep_review(struct mu_sched *s);

#endif
