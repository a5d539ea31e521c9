/* sim/requests.h -- request balancing in a model: the shipped policies against made-up servers and arrivals.
 *
 * What       Poisson (or given) arrivals to D balancers, each with the balance room's own code; N servers with queues or
 *            shared processors, of equal or unequal speed, that may fail fast or slow down now and then.
 * Ownership  scenarios are plain values; a result is the caller's.
 * Time       in units of the mean service time on a mean server.
 * Threads    none.
 * Failure    MU_INVALID names the field of a scenario that is not understood.
 * Limits     MU_SIM_SERVERS_MAX servers, MU_SIM_BALANCERS_MAX balancers, memory for one double a request. A queue that
 *            passes MU_SIM_QUEUE_MAX in all ends the run as unstable.
 */
#ifndef MU_SIM_REQUESTS_H
#define MU_SIM_REQUESTS_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum { MU_SIM_SERVERS_MAX = 4096, MU_SIM_BALANCERS_MAX = 1024, MU_SIM_QUEUE_MAX = 2000000 };

enum mu_sim_work { MU_SIM_EXP, MU_SIM_LOGNORMAL, MU_SIM_PARETO, MU_SIM_CONSTANT };

struct mu_sim_scenario {
    char name[32];
    uint32_t servers, balancers;
    double speed_spread;          /* speed of server i proportional to 1 + spread i/(N-1); 0: equal */
    uint32_t fast_every;          /* every so many-th server is fast_times faster; 0 none */
    double fast_times;
    enum mu_sim_work work;
    double work_shape;            /* sigma of lognormal, alpha of pareto */
    double load;                  /* rho */
    uint32_t slots;               /* of each server */
    bool sharing;                 /* processor sharing instead of a queue */
    uint32_t failing[8], failing_count; /* these fail, */
    double failing_share;         /* such a share of their requests, */
    double failing_work;          /* after so much of the work */
    double slow_every, slow_probability, slow_speed; /* now and then a server drops to slow_speed; 0: never */
    uint64_t requests;            /* completions, the first tenth is dropped */
    /* Replayed arrivals instead of Poisson: gaps and works with mean 1, looped. */
    const double *gaps, *works;
    uint64_t trace;
};

struct mu_sim_result {
    uint64_t requests, errors;
    double mean, p50, p99, throughput, error_rate;
    bool unstable;                /* the queues grew without end */
    double little;                /* mean in system by Little's law over the mean counted: 1 if the books are right */
};

/* The i-th built-in scenario (those of doc/balancing.md), NULL past the end; or by name. */
const struct mu_sim_scenario *mu_sim_scenario_at(uint32_t i);
const struct mu_sim_scenario *mu_sim_scenario_named(const char *name);
/* One drawn by seed: servers, balancers, speeds, work, load and troubles not seen in the built-in ones. */
void mu_sim_scenario_draw(struct mu_sim_scenario *out, uint64_t seed);
/* From YAML or JSON text. */
enum mu_rc mu_sim_scenario_read(struct mu_sim_scenario *out, struct mu_str text, struct mu_err *err);

/* balance: a policy name, parameters after colons: "peak-ewma:d=all". MU_INVALID: no such policy. The same seed gives the
 * same arrivals and works to every policy, and the same result twice. */
enum mu_rc mu_sim_requests(const struct mu_sim_scenario *s, const char *balance, uint64_t seed, struct mu_sim_result *out, struct mu_err *err);

#endif
