/* model/queue.h -- queueing formulas: what response time, throughput and utilisation a load will have.
 *
 * What       M/M/c, M/G/c (Kimura), G/G/c (Allen-Cunneen), processor sharing, Erlang B and C, M/M/c/K, and the
 *            universal scalability law with its fit.
 * Ownership  plain values.
 * Time       any unit, the same for rates (1/unit) and results (unit).
 * Threads    none.
 * Failure    an overloaded or impossible question gives valid = false and a note that says why; numbers that do
 *            not exist are infinite or NaN then.
 * Limits     servers up to MU_QUEUE_SERVERS_MAX. The range in which a formula was checked against simulation is in note.
 *
 * Symbols: l arrival rate, m service rate of one server, c servers, a = l/m, rho = a/c, Ca2 and Cs2 squared
 * coefficients of variation of the gaps between arrivals and of service times.
 */
#ifndef MU_MODEL_QUEUE_H
#define MU_MODEL_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MU_QUEUE_SERVERS_MAX = 10000000 };

struct mu_queue_load {
    double servers, rate, service_rate;
    double ca2, cs2; /* 1 and 1 for Poisson arrivals and exponential service */
};

struct mu_queue_result {
    double utilisation;
    double mean_wait, mean_response, p99_response;
    double throughput;
    double wait_probability; /* that an arrival has to wait; where there is no queue: that it is turned away */
    bool valid;              /* stable, and inside the range in which the error is known */
    bool p99_valid;          /* the same for p99_response */
    char note[200];
};

/* Share of arrivals lost by servers without a queue: B = 1; for k = 1..c: B = aB/(k + aB). */
double mu_erlang_b(double servers, double offered);
/* Share that waits: C = B/(1 - rho + rho B); 1 when overloaded. */
double mu_erlang_c(double servers, double offered);

struct mu_queue_result mu_queue_mmc(const struct mu_queue_load *load);
/* Kimura: Wq = (1 + Cs2)/(2 Cs2/Wmm + (1 - Cs2)/Wmd); exact for one server with Poisson arrivals. */
struct mu_queue_result mu_queue_mgc(const struct mu_queue_load *load);
/* Allen-Cunneen: Wq = (Ca2 + Cs2)/2 Wq(M/M/c). */
struct mu_queue_result mu_queue_ggc(const struct mu_queue_load *load);
/* Processor sharing: mean only; depends on the mean work alone. */
struct mu_queue_result mu_queue_ps(const struct mu_queue_load *load);
/* No queue: what does not find a free server is lost. */
struct mu_queue_result mu_queue_loss(const struct mu_queue_load *load);
/* At most room arrivals in the system (M/M/c/K). */
struct mu_queue_result mu_queue_mmck(const struct mu_queue_load *load, double room);

/* The fewest servers whose mean (or p99) response by mgc is at most target; 0: none up to MU_QUEUE_SERVERS_MAX. */
uint64_t mu_queue_servers_for(const struct mu_queue_load *load, double target, bool p99);

/* X(n) = gamma n / (1 + alpha (n - 1) + beta n (n - 1)): throughput of one program on n workers. */
struct mu_usl {
    double gamma, alpha, beta;
    double error;          /* root mean square of the relative error of the fit */
    double best_n, best_x; /* where X is largest; best_n infinite if it never falls */
    bool valid;
};
double mu_usl_at(const struct mu_usl *usl, double n);
/* Least squares on n/X(n), which is linear in the unknowns; at least 3 points with n >= 1, x > 0. */
struct mu_usl mu_usl_fit(const double *n, const double *x, size_t count);

#endif
