/* sched/param.h -- the named numbers that a policy takes.
 *
 * What       a table of parameters per policy, read from "k=v" words.
 * Ownership  the caller's array of values, in the order of the table.
 * Time, Threads  none.   Failure  MU_INVALID names the parameter.   Limits  MU_PARAMS_MAX a policy.
 */
#ifndef MU_SCHED_PARAM_H
#define MU_SCHED_PARAM_H

#include "base/err.h"
#include "base/pb.h"

enum { MU_PARAMS_MAX = 4 };
enum mu_param_kind { MU_PARAM_NUMBER, MU_PARAM_DURATION, MU_PARAM_FLAG };

struct mu_param {
    const char *name;
    enum mu_param_kind kind;
    uint64_t preset, min, max; /* a duration in ms */
};

/* values is filled with presets, then with what words say; untouched on failure. words may be NULL. */
enum mu_rc mu_params_read(const struct mu_param *table, uint32_t count, const struct mu_strs *words,
                          uint64_t values[MU_PARAMS_MAX], struct mu_err *err);

#endif
