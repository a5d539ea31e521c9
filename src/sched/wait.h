/* sched/wait.h -- waiting groups, their lines and their users, in the order of the order policy.
 *
 * What       keeps each group where its rank belongs, or out of the way while nothing of it may start.
 * Ownership  the maps of struct mu_sched own waits, lines and tenants.
 * Time       sched->now_ms.   Threads  none.   Failure  no memory aborts.
 * Limits     those of core.
 */
#ifndef MU_SCHED_WAIT_H
#define MU_SCHED_WAIT_H

#include "sched/state.h"

/* NULL: sched knows nothing of that group that could start or is taken. */
struct mu_wait *mu_wait_find(const struct mu_sched *s, uint64_t job, uint32_t group);
/* Read a group from core. The wait it had may be gone afterwards. */
void mu_wait_sync(struct mu_sched *s, uint64_t job, uint32_t group);
/* Its counts changed: file it, or free it when nothing is left of it. */
void mu_wait_refile(struct mu_sched *s, struct mu_wait *w);
/* The next ready task that is not taken; UINT32_MAX if there is none. */
uint32_t mu_wait_next(struct mu_sched *s, struct mu_wait *w);

/* Where the group stands among all, the user's share included. */
struct mu_rank mu_wait_rank(const struct mu_sched *s, const struct mu_wait *w);
/* How many tasks of the group may start: ready, not taken, within max_parallel. */
uint32_t mu_wait_open(const struct mu_wait *w);

/* Would one more task of this class pass the user's quota? */
bool mu_tenant_is_full(const struct mu_sched *s, const struct mu_tenant *t, const struct mu_class *c);
void mu_line_park(struct mu_sched *s, struct mu_line *l);
void mu_tenant_unpark(struct mu_sched *s, struct mu_tenant *t);
/* Its running work or its usage changed. */
void mu_tenant_rerank(struct mu_sched *s, struct mu_tenant *t);
void mu_tenants_rerank(struct mu_sched *s);
void mu_tenants_unpark(struct mu_sched *s);

/* Groups that wait longer than the guard starve from now on. */
void mu_waits_age(struct mu_sched *s);
/* The order policy changed: rank all anew. */
void mu_waits_rerank(struct mu_sched *s);
void mu_waits_free_all(struct mu_sched *s);

static inline struct mu_line *mu_class_first_line(const struct mu_class *c)
{
    return MU_CONTAINER(mu_heap_min(&c->lines), struct mu_line, link);
}
static inline struct mu_wait *mu_line_first_wait(const struct mu_line *l)
{
    return MU_CONTAINER(mu_heap_min(&l->waits), struct mu_wait, link);
}

#endif
