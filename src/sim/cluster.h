/* sim/cluster.h -- the modelled cluster's insides: one server, its disk, nodes, clients, and the oracle that watches.
 *
 * What       each part is a shell around the pure half that ships; private to src/sim.
 * Ownership  struct mu_cluster owns all.
 * Time       the world's; every machine has a boottime of its own, a little fast or slow, and a wall clock.
 * Threads    none.
 * Failure    a broken promise is mu_world_fail; a broken invariant of shipped code aborts, as it does in life.
 * Limits     MU_NET_NODES_MAX nodes, MU_SIM_CLIENTS_MAX clients, MU_SIM_JOBS_MAX jobs.
 */
#ifndef MU_SIM_CLUSTER_H
#define MU_SIM_CLUSTER_H

#include "agent/agent.h"
#include "base/map.h"
#include "journal/journal.h"
#include "journal/memory/memory.h"
#include "server/ctl.h"
#include "sim/net.h"
#include "sim/plan.h"
#include "sim/sim.h"

enum { MU_SIM_CLIENTS_MAX = 4, MU_SIM_JOBS_MAX = 4096 };

/* A machine's clocks. */
struct mu_clock {
    struct mu_world *world;
    int64_t ppm;          /* its boottime runs this much fast */
    int64_t wall_step_ms; /* what `date -s` did */
    uint64_t booted_us;
};
uint64_t mu_clock_boot_ms(const struct mu_clock *c);
uint64_t mu_clock_wall_ms(const struct mu_clock *c);
/* World time from now until that clock shows boot_ms. */
uint64_t mu_clock_until_us(const struct mu_clock *c, uint64_t boot_ms);

/* One process of a task; stays after its end until the spawner may forget it. */
struct mu_task_proc {
    struct mu_list link;
    struct mu_node_sim *node;
    uint64_t id, job;
    uint32_t ordinal, attempt;
    uint64_t timeout_ms, grace_ms, cpu_milli, mem_bytes;
    uint64_t began_us, ends_us;
    bool running, ended, stubborn; /* stubborn: SIGTERM does not end it */
    enum mu_end stop_why;
    struct mu_agent_exit exit;
    struct mu_timer *next;         /* its start, then its end */
};

struct mu_node_sim {
    struct mu_cluster *cluster;
    uint32_t index;
    char name[16], boot[32];
    bool keep;
    uint64_t cpu_milli, mem_bytes;
    char label[16];
    struct mu_clock clock;

    /* on its disk */
    uint8_t identity[16];
    uint64_t epoch;

    struct mu_proc agent_proc;
    struct mu_agent *agent; /* NULL: dead, or it has not heard from the spawner yet */
    uint64_t agent_life;
    struct mu_conn *conn;
    bool connecting, turning, drop, leaving;
    struct mu_timer *wake, *revive;
    struct mu_arena arena;

    bool spawner_alive;
    uint64_t spawner_life, spawner_hears; /* hears: the agent's life it tells; 0 none */
    uint64_t talks_to;                    /* the spawner's life the agent is connected to */
    uint64_t next_id, dead_ms;
    uint64_t to_spawner_us, to_agent_us;  /* arrival of the last message on its way */
    struct mu_timer *dead;
    struct mu_list procs;
};

struct mu_server_sim {
    struct mu_cluster *cluster;
    struct mu_clock clock;
    struct mu_proc proc;
    uint64_t life;
    struct mu_journal *journal;
    struct mu_journal_host host;
    struct mu_ctl *ctl; /* made at the first callback of the journal, when the cluster id is known */
    bool turning;
    struct mu_timer *wake, *revive;
    struct mu_image *image; /* of a snapshot that is being stored */
    struct mu_buf load;
    struct mu_arena arena;
    uint64_t load_upto;
};

struct mu_client_sim {
    struct mu_cluster *cluster;
    uint32_t index;
    struct mu_timer *think;
    struct mu_ask *ask; /* the one that is out */
    uint64_t asked, answered, unknown, refused;
};

struct mu_oracle;

struct mu_cluster {
    struct mu_sim_options opt;
    struct mu_world world;
    struct mu_net net;
    struct mu_memory *memory;
    struct mu_journal_host memory_host;
    struct mu_server_sim server;
    struct mu_node_sim nodes[MU_NET_NODES_MAX];
    uint32_t nodes_count;
    struct mu_client_sim clients[MU_SIM_CLIENTS_MAX];
    uint32_t clients_count;
    struct mu_oracle *oracle;
    struct mu_sim_faults faults; /* of this seed */
    uint64_t lease_ms, margin_ms;
    struct mu_core_limits limits;
    size_t record_max;
    unsigned inflight_max;
    struct mu_memory_faults disk; /* now */
    bool healing;   /* no new faults, no new work */
    uint64_t jobs;  /* keys given out */
    uint64_t struck; /* faults so far */
    uint64_t think_max_ms;
    struct mu_list calls; /* questions on their way */
};

/* server.c */
void mu_server_init(struct mu_cluster *c);
void mu_server_start(struct mu_server_sim *s);
void mu_server_crash(struct mu_server_sim *s);
void mu_server_pause(struct mu_server_sim *s, bool paused);
void mu_server_snapshot(struct mu_server_sim *s);
void mu_server_fini(struct mu_server_sim *s);
struct mu_ctl_now mu_server_now(const struct mu_server_sim *s);
/* Something was put into ctl: let it have its turn soon. */
void mu_server_turn_soon(struct mu_server_sim *s);
bool mu_server_accepts(void *cluster);
void mu_server_accepted(void *cluster, struct mu_conn *conn);
void mu_server_data(struct mu_server_sim *s, struct mu_conn *conn);
void mu_server_closed(struct mu_server_sim *s, struct mu_conn *conn);

/* node.c */
void mu_node_init(struct mu_cluster *c, uint32_t index);
void mu_node_agent_start(struct mu_node_sim *n);
void mu_node_agent_crash(struct mu_node_sim *n);
void mu_node_agent_pause(struct mu_node_sim *n, bool paused);
void mu_node_spawner_die(struct mu_node_sim *n);
void mu_node_reboot(struct mu_node_sim *n);
void mu_node_leave(struct mu_node_sim *n, uint64_t grace_ms);
void mu_node_connected(void *cluster, uint32_t node, struct mu_conn *conn, void *user);
void mu_node_data(struct mu_node_sim *n, struct mu_conn *conn);
void mu_node_closed(struct mu_node_sim *n, struct mu_conn *conn);
void mu_node_heal(struct mu_node_sim *n);
void mu_node_fini(struct mu_node_sim *n);

/* client.c */
void mu_client_init(struct mu_cluster *c, uint32_t index);
bool mu_client_is_idle(const struct mu_client_sim *cl); /* no question is out */
void mu_client_reply(void *token, const struct mu_ctl_reply *reply);
void mu_client_fini(struct mu_client_sim *cl);
void mu_calls_fini(struct mu_cluster *c);

/* oracle.c */
struct mu_oracle *mu_oracle_new(struct mu_cluster *c);
void mu_oracle_free(struct mu_oracle *o);
/* A server's core begins anew, with all up to a seq (0: empty) in it; it leads. */
void mu_oracle_begin(struct mu_oracle *o, uint64_t upto);
/* An entry is about to be applied. */
void mu_oracle_entry(struct mu_oracle *o, uint64_t seq, uint64_t epoch, const void *bytes, size_t size);
void mu_oracle_leads(struct mu_oracle *o, uint64_t epoch, uint64_t next_seq);
void mu_oracle_effect(struct mu_oracle *o, uint64_t seq, uint64_t time_ms, const struct mu_fx *fx);
/* An entry was applied whole. */
void mu_oracle_applied(struct mu_oracle *o, struct mu_ctl *ctl);
/* A client is about to submit this (the plan is the oracle's from now on); it heard that it is durable. */
void mu_oracle_plan(struct mu_oracle *o, struct mu_plan *plan);
void mu_oracle_acked(struct mu_oracle *o, struct mu_plan *plan, uint64_t job);
/* A stream that is acknowledged and still open; NULL none. */
struct mu_plan *mu_oracle_stream(struct mu_oracle *o);
void mu_oracle_started(struct mu_oracle *o, const struct mu_task_proc *p);
void mu_oracle_ended(struct mu_oracle *o, const struct mu_task_proc *p);
void mu_oracle_killed(struct mu_oracle *o, const struct mu_task_proc *p, enum mu_end why);
/* Everything submitted is at its end? why: what is not. */
bool mu_oracle_is_quiet(struct mu_oracle *o, const struct mu_ctl *ctl);
/* After healing: what must hold of a cluster at rest. */
void mu_oracle_rest(struct mu_oracle *o, const struct mu_ctl *ctl);
void mu_oracle_count(const struct mu_oracle *o, struct mu_sim_result *out);

#endif
