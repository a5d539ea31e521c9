/* agent/agent.h -- a node's pure half: server frames and spawner events in; frames, spawns and kills out.
 *
 * What       every attempt this node knows, from START until the server acknowledged its result; the lease.
 * Ownership  inputs are copied; outputs are valid during the callback. Callbacks must not call back in.
 * Time       boottime ms with every input; leases and timeouts are measured by it, never by the wall clock.
 * Threads    none.
 * Failure    a frame that breaks the rules makes mu_agent_msg false: the shell drops the connection.
 * Limits     MU_AGENT_ATTEMPTS_MAX attempts; a START past it is answered as NOSTART with EAGAIN.
 *
 * The server may place more here than the node holds, so that it need not wait for the next decision: what does not fit
 * beside what runs is queued, in the order it came. So that the spawner need not wait for us between two tasks either, a few
 * of the queued are handed to it ahead: tasks of equal needs share a lane, and a lane says how many of it may run.
 *
 * Rules kept here: a lower epoch or another cluster is refused; a command names (job, ordinal, attempt) and touches no
 * other; an attempt is started at most once, however often START comes; a result is reported until acknowledged;
 * when the lease is at 0.8 without an answered ping all attempts are stopped (unless keep), before the server
 * may give them away. An attempt that was told to stop ends as what it was told (CANCEL, TIMEOUT, ...). A START for an
 * attempt whose result was acknowledged already, and a STOP for one that never came here, are answered, never run.
 */
#ifndef MU_AGENT_AGENT_H
#define MU_AGENT_AGENT_H

#include "agent/room.h"
#include "wire/proto.h"

struct mu_agent;

enum {
    MU_AGENT_ATTEMPTS_MAX = 1 << 16, /* their refs must fit one HELLO */
    MU_AGENT_REPORT_MAX = 4096,      /* attempts in one REPORT */
    MU_AGENT_PAST_MAX = 4096,        /* acknowledged attempts remembered, to refuse a late START */
};

struct mu_agent_options {
    const char *name, *version, *limits;
    const char *boot;          /* names the spawner's life */
    uint8_t cluster[16];       /* zero: none yet; learned from the first WELCOME, then the shell stores it */
    uint64_t epoch;            /* highest seen, stored by the shell */
    uint64_t cpu_milli, mem_bytes, gpu_milli;
    const struct mu_amount *resources; uint32_t resources_count;
    const struct mu_str *labels; uint32_t labels_count;
    bool keep;                 /* on-disconnect keep */
    uint32_t running_max;      /* attempts that run at once; 0: no limit beside the node's resources */
    uint32_t ahead_max;        /* spawns handed out before there is room for them, in all; 0: none, and no lanes */
    uint64_t next_id;          /* first handle to give out; the spawner knows which it has seen; 0: 1 */
};

/* What the spawner is to run. */
struct mu_agent_spawn {
    uint64_t id;               /* mu_agent's handle of the attempt, never reused within a boot */
    uint64_t job, index, first, last, tasks;
    uint32_t ordinal, attempt;
    uint64_t spec_id;          /* differs whenever spec does: a key for what the shell prepares once per spec */
    const struct mu_group_spec *spec;
    struct mu_str line, job_name, user;
    struct mu_agent_need need;
    uint32_t lane, lane_max;   /* start it when fewer than lane_max of its lane run; lane 0: at once */
};
struct mu_agent_exit {
    uint64_t id;
    enum mu_end how;           /* EXIT SIGNAL NOSTART OOM NODE_LOST */
    uint32_t code;             /* exit status, signal, errno */
    uint64_t run_us, user_us, sys_us, rss_bytes, out_bytes, err_bytes;
};
/* An attempt that outlived an earlier agent. */
struct mu_agent_task {
    uint64_t id, job;
    uint32_t ordinal, attempt;
    uint64_t timeout_left_ms;  /* 0: no time limit; one that has passed: 1 */
    uint64_t grace_ms, started_ago_ms;
    enum mu_end stop;          /* what it was told with kill; EXIT: nothing */
    struct mu_agent_need need; /* as it was given with spawn, like lane */
    uint32_t lane;
    bool waits;                /* for its lane */
    const struct mu_agent_exit *exit; /* NULL: it runs */
};

struct mu_agent_out {
    void *arg;
    void (*send)(void *arg, const void *bytes, size_t size);       /* whole frames, to the server */
    void (*spawn)(void *arg, const struct mu_agent_spawn *spawn);
    void (*lane)(void *arg, uint32_t lane, uint32_t lane_max);     /* its lane_max grew; may be NULL without ahead_max */
    /* The whole of the attempt. why: kept beside it by the spawner, so that the next agent can report it. */
    void (*kill)(void *arg, uint64_t id, int signal, enum mu_end why);
    void (*forget)(void *arg, uint64_t id);                        /* its exit status is safe with the server */
    void (*identity)(void *arg, const uint8_t cluster[16], uint64_t epoch); /* store before going on */
    /* Boottime ms at which nothing may run any more unless this is called again: for the spawner, which outlives a
     * dead or stopped agent. UINT64_MAX: no bound (keep). */
    void (*lease)(void *arg, uint64_t dead_ms);
    void (*output)(void *arg, const struct mu_msg *msg);           /* OUTPUT_GET, OUTPUT_STOP, FORGET for the shell */
    void (*drop)(void *arg, const char *why, bool final);          /* close the connection; final: give up */
};

struct mu_agent *mu_agent_new(const struct mu_agent_options *opt, const struct mu_agent_out *out);
void mu_agent_free(struct mu_agent *a);

/* The connection is up (sends HELLO) or gone. After a drop() the shell still owes on_down. */
void mu_agent_on_up(struct mu_agent *a, uint64_t now_ms);
void mu_agent_on_down(struct mu_agent *a, uint64_t now_ms);
/* false: the server broke the protocol; close the connection. */
bool mu_agent_msg(struct mu_agent *a, uint64_t now_ms, const struct mu_msg *msg, struct mu_err *err);

/* From the spawner. started and exit of one attempt may come in one batch: then only the end is reported. */
void mu_agent_on_started(struct mu_agent *a, uint64_t now_ms, uint64_t id);
void mu_agent_on_exit(struct mu_agent *a, uint64_t now_ms, const struct mu_agent_exit *exit);
/* The spawner is gone and a new one, with a new boot, took its place: what ran ended as NODE_LOST. */
void mu_agent_on_boot(struct mu_agent *a, uint64_t now_ms, const char *boot);
/* What the spawner has, told whenever it was connected to: after a restart of the agent (before on_up), or when the
 * connection broke. Then listed: what it did not name is lost. */
void mu_agent_adopt(struct mu_agent *a, uint64_t now_ms, const struct mu_agent_task *task);
void mu_agent_listed(struct mu_agent *a, uint64_t now_ms);

/* The node is being stopped: tell the server, take no more work, stop what runs (KILL after grace_ms). What did not end
 * well is reported as PREEMPT: it runs again elsewhere or later, and costs no retry. */
void mu_agent_leave(struct mu_agent *a, uint64_t now_ms, uint64_t grace_ms);

/* Send gathered reports, pings due (load: what they say), enforce time limits and the lease. Call after every batch of
 * inputs and at wake_ms. */
void mu_agent_turn(struct mu_agent *a, uint64_t now_ms, const struct mu_msg_ping *load);
uint64_t mu_agent_wake_ms(const struct mu_agent *a); /* UINT64_MAX: only an input wakes it */

uint32_t mu_agent_attempts(const struct mu_agent *a); /* known: queued, running, or ended and not acknowledged */
uint32_t mu_agent_running(const struct mu_agent *a);  /* queued, starting, running or stopping */
bool mu_agent_welcomed(const struct mu_agent *a);
uint64_t mu_agent_epoch(const struct mu_agent *a);
bool mu_agent_find(const struct mu_agent *a, uint64_t job, uint32_t ordinal, uint32_t attempt, uint64_t *out_id);
/* The end of an attempt that is not acknowledged yet; NULL: it has not ended, or is not known (*out_known). */
const struct mu_agent_exit *mu_agent_end(const struct mu_agent *a, uint64_t job, uint32_t ordinal, uint32_t attempt, bool *out_known);
void mu_agent_check(const struct mu_agent *a); /* assert invariants */

#endif
