/* sched/each.h -- work that waits for one certain node: --node classes and each-node tasks.
 *
 * What       per node, who waits for it to gain room; per each-node group, which task can start next.
 * Ownership  waiters belong to their class; dropping it drops them.
 * Time, Threads  none.   Failure  no memory aborts.   Limits  one waiter a task that was looked at in vain.
 */
#ifndef MU_SCHED_EACH_H
#define MU_SCHED_EACH_H

#include "sched/state.h"

/* Let the class (and for each-node groups, this task) wait for the node; MU_NODE_NONE: for any node to join. */
void mu_each_wait(struct mu_sched *s, struct mu_class *c, uint32_t node, uint32_t ordinal);
/* A node gained room, or joined: its waiters are to be looked at again. */
void mu_each_wake(struct mu_sched *s, uint32_t node);
/* Forget all waiters and tasks to look at again. */
void mu_each_clear(struct mu_sched *s, struct mu_class *c);
/* Look at this task again before going on. */
void mu_each_again(struct mu_class *c, uint32_t ordinal);
/* The next task of the each-node group that can start, and its node. */
bool mu_each_next(struct mu_sched *s, struct mu_class *c, struct mu_wait *w, uint32_t *out_ordinal, uint32_t *out_node);

#endif
