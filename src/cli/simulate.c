/* cli/simulate.c -- muster simulate: what would have happened, by the code that ships. */
#include "cli/simulate.h"

#include "cli/verbs.h"

#include <math.h>
#include <stdio.h>

bool mu_simulate_name(const char *list, uint32_t i, char *out, size_t cap)
{
    struct mu_str rest = mu_str_of(list), name = { 0 };

    for (uint32_t k = 0; k <= i; k++) {
        if (rest.size == 0)
            return false;
        name = mu_str_cut(rest, ',', &rest);
    }
    snprintf(out, cap, MU_STR_FMT, MU_STR_ARG(name));
    return true;
}

bool mu_simulate_number(const struct mu_args *args, const char *flag, uint64_t fallback, uint64_t min, uint64_t max, uint64_t *out)
{
    const char *text = mu_args_get(args, flag, NULL);

    *out = fallback;
    if (text == NULL || (mu_str_u64(mu_str_of(text), out) && *out >= min && *out <= max))
        return true;
    mu_cli_usage(args, "--%s must be a whole number from %llu to %llu, not \"%s\"", flag, (unsigned long long)min, (unsigned long long)max, text);
    return false;
}

double mu_simulate_interval(const double *x, uint32_t n, double *out_mean)
{
    static const double t95[] = { 0, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23 };
    double mean = 0, square = 0;

    for (uint32_t i = 0; i < n; i++)
        mean += x[i] / n;
    for (uint32_t i = 0; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean);
    *out_mean = mean;
    if (n < 2)
        return INFINITY;
    return (n - 1 < 11 ? t95[n - 1] : 2.0) * sqrt(square / (n - 1) / n);
}

static int run_simulate(const struct mu_args *args)
{
    if (mu_args_has(args, "requests") || mu_args_has(args, "arrivals"))
        return mu_simulate_requests(args);
    return mu_cli_usage(args, "what is to be replayed? give --requests SCENARIO or --arrivals FILE");
}

static const struct mu_option simulate_options[] = {
    { "requests", "SCENARIO", "request balancing: a scenario file (YAML), or the name of a built-in one (A50 ... E3)", 0, false },
    { "arrivals", "FILE", "request balancing: replay the gaps and sizes of a trace (CSV, may be gzipped)", 0, false },
    { "balance", "NAME[,NAME]", "policies to compare; parameters after colons: peak-ewma:d=all (default auto)", 0, false },
    { "load", "RHO", "instead of the scenario's", 0, false },
    { "seed", "N", "first seed (default 1): the same seed, the same result to the last bit", 0, false },
    { "seeds", "N", "runs with different seeds, the same ones for each policy (default 4)", 0, false },
    { "json", NULL, "answer as JSON", 0, false },
};
const struct mu_command mu_cli_simulate = {
    .name = "simulate", .args = "", .summary = "replay work or requests through the shipped policies and compare them",
    .about = "Every policy gets the same arrivals and sizes. The difference to the first policy comes with a 95 % interval;\n"
             "where that holds 0 there is no difference to speak of.",
    .tables = { MU_OPTIONS("options", simulate_options) }, .run = run_simulate,
};
