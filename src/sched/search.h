/* sched/search.h -- the node for a class: by its tree, by blocks while it is rarely used, or by a scan of all.
 *
 * What       the best node by the class's placement policy among those that have room.
 * Ownership  trees belong to their classes; at most warm_max of them are kept.
 * Time, Threads  none.   Failure  false: no node has room. That is exact in every way of searching.
 * Limits     without a tree only the first MU_COLD_FITS nodes with room are compared.
 */
#ifndef MU_SCHED_SEARCH_H
#define MU_SCHED_SEARCH_H

#include "sched/state.h"

enum { MU_COLD_FITS = 32 };

bool mu_search(struct mu_sched *s, struct mu_class *c, struct mu_choice *out);
/* The score of a node for a class, wishes above it; 0: it has no room or is not allowed. */
uint32_t mu_search_score(const struct mu_sched *s, const struct mu_class *c, uint32_t node);
const struct mu_place_policy *mu_search_policy(const struct mu_sched *s, const struct mu_class *c, uint32_t *out_index);
void mu_search_drop_tree(struct mu_sched *s, struct mu_class *c);
/* Bring the class's tree up to date (it has one). */
void mu_search_sync(struct mu_sched *s, struct mu_class *c);
void mu_search_fini(struct mu_sched *s);

#endif
