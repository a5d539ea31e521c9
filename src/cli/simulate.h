/* cli/simulate.h -- the kinds of replay behind muster simulate, one file each.
 *
 * What       each reads its files, runs the simulator's code and prints a table or JSON.
 * Ownership, Time, Threads: none.   Failure  an exit code after printing why.   Limits  those of the simulator.
 */
#ifndef MU_CLI_SIMULATE_H
#define MU_CLI_SIMULATE_H

#include "cli/cli.h"

int mu_simulate_requests(const struct mu_args *args);

/* The i-th name of a comma list; false past the end. */
bool mu_simulate_name(const char *list, uint32_t i, char *out, size_t cap);
/* A whole number from min to max; false after printing usage. */
bool mu_simulate_number(const struct mu_args *args, const char *flag, uint64_t fallback, uint64_t min, uint64_t max, uint64_t *out);
/* Half of the 95 % interval of the mean of n differences (Student). */
double mu_simulate_interval(const double *x, uint32_t n, double *out_mean);

#endif
