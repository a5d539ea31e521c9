/* core/attempts.h -- the live attempts: found by task, listed by node in order of placing.
 *
 * What       a pool of struct mu_attempt, so that placing and ending allocate nothing.
 * Ownership  the pool owns all; a node's list only links.   Time, Threads  none.
 * Failure    no memory aborts.   Limits  2^31 attempts.
 */
#ifndef MU_CORE_ATTEMPTS_H
#define MU_CORE_ATTEMPTS_H

#include "base/list.h"
#include "base/map.h"
#include "core/view.h"

struct mu_attempt_slot {
    struct mu_attempt at; /* first: views hand out its address */
    struct mu_list link;  /* of its node, or of the free slots */
};
struct mu_attempts {
    struct mu_map by_task;
    struct mu_list free;
    struct mu_attempt_slot **slabs;
    uint32_t slabs_count, slabs_cap;
};

void mu_attempts_init(struct mu_attempts *a);
void mu_attempts_fini(struct mu_attempts *a);
/* A copy of it at the end of the node's list. */
struct mu_attempt *mu_attempts_add(struct mu_attempts *a, const struct mu_attempt *attempt, struct mu_list *node);
struct mu_attempt *mu_attempts_find(const struct mu_attempts *a, uint64_t job, uint32_t ordinal);
void mu_attempts_remove(struct mu_attempts *a, struct mu_attempt *attempt);
static inline struct mu_attempt *mu_attempt_of(struct mu_list *link)
{
    return &MU_CONTAINER(link, struct mu_attempt_slot, link)->at;
}

#endif
