/* sched/order.h -- order policies: which waiting task comes first.
 *
 * What       a policy ranks a group of tasks, or a user; smaller goes first. Around it, the same for all
 *            policies: groups past the starvation guard, then higher priority, then the policy's
 *            rank, then order of submission. `order.c` has the table.
 * Ownership  nothing is kept.
 * Time       now_ms of the last call into sched.   Threads  none.   Failure  none.
 * Limits     ranks are integers below 2^MU_RANK_BITS.
 *
 * A new policy is one file in order/ and one row in order.c. Its parameters begin with the two common ones
 * (MU_ORDER_PARAMS): guard, a duration after which a group goes before all others and a node is kept for it
 * (0: never), and strict, with which nothing starts before an earlier task that only waits for room.
 */
#ifndef MU_SCHED_ORDER_H
#define MU_SCHED_ORDER_H

#include "core/view.h"
#include "sched/param.h"

struct mu_sched;
struct mu_tenant;
struct mu_wait;

enum { MU_RANK_BITS = 40 };
#define MU_RANK_MAX ((UINT64_C(1) << MU_RANK_BITS) - 1)

enum { MU_ORDER_GUARD, MU_ORDER_STRICT, MU_ORDER_OWN }; /* places of parameters */
#define MU_ORDER_PARAMS                                                                                              \
    { "guard", MU_PARAM_DURATION, .preset = UINT64_C(20) * 3600 * 1000, .min = 0, .max = UINT64_C(366) * 86400000 }, \
    { "strict", MU_PARAM_FLAG, .preset = 0, .min = 0, .max = 1 }

struct mu_order_policy {
    const char *name, *about;
    const struct mu_param *params;
    uint32_t param_count;
    /* Rank of a user; all of it changes when the user's work starts or ends, and with time. NULL: users are alike. */
    uint64_t (*rank_user)(const struct mu_sched *s, const struct mu_tenant *user);
    /* Rank of a group among those of one user. NULL: all alike. Only with rank_user == NULL also between users. */
    uint64_t (*rank_group)(const struct mu_sched *s, const struct mu_wait *wait);
};

extern const struct mu_order_policy mu_order_fifo, mu_order_fair;

const struct mu_order_policy *mu_order_at(uint32_t i);
uint32_t mu_order_find(struct mu_str name);

#endif
