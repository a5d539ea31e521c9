/* sched/policy.h -- a policy found by name, and put in force.
 *
 * What       the step between words and struct mu_sched.
 * Ownership  plain values.   Time, Threads  none.
 * Failure    MU_INVALID names what is not understood; nothing is changed then.   Limits  none.
 */
#ifndef MU_SCHED_POLICY_H
#define MU_SCHED_POLICY_H

#include "sched/state.h"

struct mu_policy_choice {
    bool order; /* or placement */
    uint32_t index;
    uint64_t param[MU_PARAMS_MAX];
};

enum mu_rc mu_policy_find(struct mu_str kind, struct mu_str name, const struct mu_strs *words, struct mu_policy_choice *out,
                          struct mu_err *err);
void mu_policy_choose(struct mu_sched *s, const struct mu_policy_choice *choice);
/* Parameters of placement policies that jobs name for themselves. */
void mu_policy_presets(struct mu_sched *s);

#endif
