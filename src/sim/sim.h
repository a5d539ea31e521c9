/* sim/sim.h -- the whole cluster in one process under one seed: faults, checks, healing, progress.
 *
 * What       the shipped ctl, core, sched, journal and agent code between modelled networks, disks, machines and
 *            clients; safety is checked after every event, then all is healed and everything has to end.
 * Ownership  a result is a plain value.
 * Time       virtual; nothing of this machine's is read.
 * Threads    none.
 * Failure    the first broken promise, as a sentence; broken invariants of shipped code abort.
 * Limits     see cluster.h.
 *
 * Same options, same build: same hash. A seed chooses the size of the cluster, which faults it knows and how often.
 */
#ifndef MU_SIM_SIM_H
#define MU_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

/* Something that happened. Numbers only, so that it costs little; what is a literal. */
struct mu_note {
    uint64_t at_us;
    const char *what;
    uint64_t n[4];
};

struct mu_sim_options {
    uint64_t seed;
    uint64_t chaos_ms; /* how long faults and new work go on; 0: as the seed likes */
    /* Called with every note: for a trace, or to keep the last ones for the report of a failure. NULL: none. */
    void (*trace)(void *arg, const struct mu_note *note);
    void *trace_arg;
};

/* Mean pause between two faults of a kind in ms; 0: this seed does not know it. */
#define MU_SIM_FAULT_MAP(X)                                                                            \
    X(server_crash) X(server_pause) X(snapshot) X(disk_slow) X(disk_flaky) X(disk_full) X(agent_crash) X(agent_pause) \
    X(spawner_die) X(node_reboot) X(node_leave) X(reset) X(cut) X(cut_one_way) X(clock_step)
struct mu_sim_faults {
#define X(name) uint32_t name;
    MU_SIM_FAULT_MAP(X)
#undef X
};

struct mu_sim_result {
    bool ok;
    char why[400];
    uint64_t hash;
    uint64_t virtual_ms, events, entries;
    uint64_t jobs, tasks, succeeded, attempts, lost, stale, faults;
    uint64_t acked, unknown;
};

void mu_sim_run(const struct mu_sim_options *opt, struct mu_sim_result *out);
#endif
