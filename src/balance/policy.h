/* balance/policy.h -- what a balancing policy is: the inside of the room.
 *
 * What       the group's state and the table row each policy/NAME.c provides.
 * Ownership  all belongs to struct mu_balance.
 * Time       seconds; see balance.h.   Threads  none.   Failure  pick answers MU_NO_SLOT.
 * Limits     see balance.h.
 */
#ifndef MU_BALANCE_POLICY_H
#define MU_BALANCE_POLICY_H

#include "balance/balance.h"
#include "base/rng.h"

#define MU_NO_SLOT UINT32_MAX

/* One instance. */
struct mu_instance {
    bool used, up;
    uint32_t n;             /* outstanding: sent by us, not answered */
    double weight, born;
    uint64_t hash;          /* its place on the ring */
    /* simple estimates of response time */
    double ewma;            /* a = 0.1; 0 until measured */
    double peak, peak_at;   /* peak-ewma */
    double turn;            /* weighted: smooth credit */
    /* auto's */
    double latency, seen;   /* L, k: response time per place in the queue, and how many answers it rests on */
    double failing;         /* f */
    double heard_at;        /* of the last answer */
    double others, others_at; /* o: in flight there from other balancers, and when we heard it */
    /* ejection */
    uint32_t failed_in_a_row, ejections;
    double out_until;       /* 0: not ejected */
    bool on_trial;
};

struct mu_probe { /* prequal's pool */
    uint32_t slot, uses;
    double inflight, latency, at;
};
enum { MU_PROBES = 16, MU_PROBE_MEMORY = 64 };

struct mu_ring_point {
    uint64_t hash;
    uint32_t slot;
};

struct mu_policy_params {
    double exponent;        /* auto: B */
    bool all;               /* compare all instead of two at random */
    double bound;           /* hash: c */
    bool eject;             /* outlier ejection */
    double ramp;            /* slow start: seconds over which a new instance comes to its full share; 0 off */
};

struct mu_balance {
    const struct mu_policy *policy;
    struct mu_policy_params params;
    struct mu_rng rng;
    struct mu_instance *at;
    uint32_t count, cap;    /* slots: used ones may have gaps */
    uint32_t live;          /* used and up */
    uint32_t outstanding;
    uint32_t cursor;        /* round-robin */
    double group_latency;   /* G: EWMA(0.002) of latency per place; 0 until measured */
    double group_others;    /* O */
    uint32_t ejected;
    mu_balance_probe_fn *probe;
    void *probe_arg;
    struct mu_probe probes[MU_PROBES];
    uint32_t probes_count;
    double rifs[MU_PROBE_MEMORY]; /* the last in-flight counts probes saw */
    uint32_t rifs_count, rifs_next;
    struct mu_ring_point *ring;
    uint32_t ring_count;
    bool ring_stale;
};

struct mu_policy {
    const char *name, *about;
    bool eject; /* outlier ejection unless told otherwise */
    uint32_t (*pick)(struct mu_balance *b, double now, uint64_t key, const bool *tried);
};

extern const struct mu_policy mu_policy_random, mu_policy_round_robin, mu_policy_weighted, mu_policy_least_load,
    mu_policy_least_response_time, mu_policy_p2c, mu_policy_peak_ewma, mu_policy_prequal, mu_policy_hash, mu_policy_auto;

/* May this slot be picked for a request that has tried these? */
bool mu_pick_may(const struct mu_balance *b, double now, uint32_t slot, const bool *tried);
/* One at random among those that may; MU_NO_SLOT if none. except: not this one (MU_NO_SLOT: none). */
uint32_t mu_pick_any(struct mu_balance *b, double now, const bool *tried, uint32_t except);
/* The lowest cost; ties at random. With params.all false, of two at random; else of all. */
typedef double mu_cost_fn(const struct mu_balance *b, double now, uint32_t slot);
uint32_t mu_pick_lowest(struct mu_balance *b, double now, const bool *tried, mu_cost_fn *cost, bool all);
/* In flight at an instance as far as we know: our own and, aged towards the group's mean, those of others. */
double mu_inflight(const struct mu_balance *b, double now, const struct mu_instance *i);
double mu_auto_score(const struct mu_balance *b, double now, uint32_t slot);
/* Learning, called for every answer whatever the policy. */
void mu_auto_learn(struct mu_balance *b, double now, struct mu_instance *i, double response, double ahead, bool ok, double inflight);
void mu_peak_learn(const struct mu_balance *b, double now, struct mu_instance *i, double response);
/* S: the mean service time as learned; small but positive before the first answer. */
double mu_service_time(const struct mu_balance *b);

#endif
