/* base/hist.h -- log-linear histogram of microseconds (or any u64): 16 steps an octave, <= 6.25 % error.
 *
 * What       response times by stage; merge, quantile, mean.
 * Ownership  plain value, 976 counters.   Time, Threads, Failure  none.   Limits  values up to 2^63.
 */
#ifndef MU_BASE_HIST_H
#define MU_BASE_HIST_H

#include <stdint.h>

enum { MU_HIST_SUB = 16, MU_HIST_BUCKETS = 61 * MU_HIST_SUB };

struct mu_hist {
    uint64_t count, sum, max;
    uint64_t bucket[MU_HIST_BUCKETS];
};

void mu_hist_add(struct mu_hist *h, uint64_t value);
void mu_hist_merge(struct mu_hist *into, const struct mu_hist *from);
/* Value at quantile q in [0, 1]: the upper edge of its bucket, cut to max; 0 when empty. */
uint64_t mu_hist_quantile(const struct mu_hist *h, double q);
double mu_hist_mean(const struct mu_hist *h);
/* How many values are <= limit (bucket resolution), for Prometheus buckets. */
uint64_t mu_hist_below(const struct mu_hist *h, uint64_t limit);

#endif
