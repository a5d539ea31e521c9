/* balance/balance.h -- which instance gets this request.
 *
 * What       a group of instances as one balancer sees it: what it has outstanding there, what it has learned, and a
 *            policy that picks. Policies are rows of one table (policy.h); all learn all the time, so one may be
 *            changed while running without starting anew.
 * Ownership  the group owns its slots. A pick is the caller's until mu_balance_done or mu_balance_drop.
 * Time       seconds as double on any clock that does not run back; an argument of every call.
 * Threads    none: one group per loop.
 * Failure    mu_balance_pick is false when no instance may be picked.
 * Limits     MU_BALANCE_MAX instances. Chance comes from the seed given.
 *
 * Rules and constants: doc/balancing.md. S, the mean service time, is learned (EWMA of latency per place in the queue).
 */
#ifndef MU_BALANCE_BALANCE_H
#define MU_BALANCE_BALANCE_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct mu_balance;

enum { MU_BALANCE_MAX = 65536 };

/* What an instance would answer if it were asked now: prequal's probe. false: it does not answer. */
typedef bool mu_balance_probe_fn(void *arg, uint32_t slot, double *out_inflight, double *out_latency);

struct mu_balance *mu_balance_new(uint64_t seed);
void mu_balance_free(struct mu_balance *b); /* accepts NULL */
/* Default: own counts and what instances said last. */
void mu_balance_probe(struct mu_balance *b, mu_balance_probe_fn *probe, void *arg);

/* Switch; parameters are "k=v" words, their number count. MU_INVALID names what is not understood; nothing changes then. */
enum mu_rc mu_balance_policy(struct mu_balance *b, struct mu_str name, const struct mu_str *params, uint32_t count, struct mu_err *err);
const char *mu_balance_policy_now(const struct mu_balance *b);
/* The i-th policy: its name and one line about it; NULL past the end. */
const char *mu_balance_policy_name(uint32_t i, const char **out_about);

/* A new instance is up. Slots are small numbers; that of a removed instance is used again once nothing is outstanding. */
uint32_t mu_balance_add(struct mu_balance *b, double now, double weight, uint64_t hash);
void mu_balance_remove(struct mu_balance *b, uint32_t slot);
void mu_balance_up(struct mu_balance *b, uint32_t slot, bool up);

struct mu_balance_pick {
    uint32_t slot;
    double at;      /* when */
    double ahead;   /* believed in flight there before this one */
};
/* key: of the request, for hash. tried: slots not to pick again for this request (indexed by slot), or NULL. Counts the
 * request as outstanding. */
bool mu_balance_pick(struct mu_balance *b, double now, uint64_t key, const bool *tried, struct mu_balance_pick *out);

enum mu_balance_end { MU_BALANCE_OK, MU_BALANCE_FAILED };
/* inflight: what the instance said it has in flight now, all balancers together; negative: it did not say. */
void mu_balance_done(struct mu_balance *b, double now, const struct mu_balance_pick *pick, enum mu_balance_end end, double inflight);
/* It came to nothing that tells about the instance: the client went away. */
void mu_balance_drop(struct mu_balance *b, const struct mu_balance_pick *pick);
/* A heartbeat outside a request. */
void mu_balance_heard(struct mu_balance *b, double now, uint32_t slot, double inflight);

/* How an instance is seen now, to show and to explain. */
struct mu_balance_seen {
    bool up, ejected;
    uint32_t outstanding;
    double weight, latency, failing, score; /* latency: per place in the queue; score: lower is preferred (auto's) */
    double ejected_until;
};
void mu_balance_see(const struct mu_balance *b, double now, uint32_t slot, struct mu_balance_seen *out);
void mu_balance_check(const struct mu_balance *b); /* assert the invariants */

#endif
