/* server/ctl.h -- the control server's pure half: requests, agents and commits in; entries, frames and answers out.
 *
 * What       owns core (committed facts) and sched (decisions ahead of them); gathers events into entries, keeps one
 *            or more in flight, turns effects into dispatches and answers, watches agent leases.
 * Ownership  the caller owns what it passes; outputs are valid during the callback.
 * Time       struct mu_ctl_now with every input: wall ms for stamps, boottime ms for leases. Stamps follow the boottime
 *            clock and are drawn towards the wall clock by at most an eighth: a stepped wall clock disturbs nothing.
 * Threads    none.
 * Failure    answers through out->reply; never blocks. Bytes of a commit that cannot be read abort: to go on would
 *            split the replicas.
 * Limits     struct mu_ctl_options; past them requests are answered MU_BUSY or MU_TOOBIG.
 *
 * The shell (or the simulator) calls an input, then mu_ctl_turn, which places work, appends what has gathered and
 * sends what agents are to hear. While inflight_max entries are out, events gather; the next entry takes them all,
 * up to record_max. Replies and frames leave only after the commit of the entry that says so.
 */
#ifndef MU_SERVER_CTL_H
#define MU_SERVER_CTL_H

#include "core/core.h"
#include "sched/sched.h"
#include "wire/proto.h"

struct mu_ctl;
struct mu_ctl_agent; /* one connected agent */

struct mu_ctl_now {
    uint64_t wall_ms;
    uint64_t boot_ms;
};

struct mu_ctl_options {
    const char *server_name, *server_url;
    uint8_t cluster[16];
    uint64_t seed;
    uint64_t lease_ms;          /* agents'; a node is lost lease_ms + margin after it was last heard */
    uint64_t lease_margin_ms;
    size_t record_max;          /* bytes of an entry */
    unsigned inflight_max;      /* entries out at once */
    size_t gather_max;          /* bytes that may wait for a free entry before requests are refused as MU_BUSY */
    size_t request_max;         /* bytes of one encoded spec or part */
    uint32_t requests_max;      /* requests not answered yet */
    uint32_t decide_max;        /* placements a turn */
    struct mu_core_limits core_limits;
};
/* Sensible values for everything but names, cluster and seed. */
extern const struct mu_ctl_options mu_ctl_options_default;

/* The answer to a request. */
struct mu_ctl_reply {
    enum mu_rc rc;
    uint64_t job;   /* submit */
    bool existing;  /* submit: the key was known, this is the job it made */
    const char *field, *text;
};

/* What ctl wants done. All are called from inside an input or mu_ctl_turn; they must not call back into ctl. */
struct mu_ctl_out {
    void *arg;
    /* Hand an entry to the journal; done by mu_ctl_on_done. false: not now; it stays, and is tried again in the turn
     * after the next mu_ctl_on_done, unless mu_ctl_on_lost comes first. */
    bool (*append)(void *arg, uint64_t epoch, uint64_t seq, const void *bytes, size_t size);
    /* Bytes for an agent's connection (whole frames). peer is what mu_ctl_agent_open was given. */
    void (*send)(void *arg, void *peer, const void *bytes, size_t size);
    /* Close that connection after what was sent; the shell calls mu_ctl_agent_close later, not from here. */
    void (*drop)(void *arg, void *peer);
    void (*reply)(void *arg, void *token, const struct mu_ctl_reply *reply);
    /* Every committed effect, in order, for history, event stream, metrics and waiting readers. */
    void (*effect)(void *arg, uint64_t seq, uint64_t time_ms, const struct mu_fx *fx);
    /* An agent's message that is not about facts (OUTPUT_DATA). */
    void (*agent_msg)(void *arg, void *peer, const struct mu_msg *msg);
};

struct mu_ctl *mu_ctl_new(const struct mu_ctl_options *opt, const struct mu_ctl_out *out);
void mu_ctl_free(struct mu_ctl *ctl);

/* Journal. */
void mu_ctl_on_commit(struct mu_ctl *ctl, struct mu_ctl_now now, uint64_t seq, uint64_t epoch, const void *bytes, size_t size);
void mu_ctl_on_done(struct mu_ctl *ctl, struct mu_ctl_now now, uint64_t seq, int journal_end /* enum mu_journal_end */);
void mu_ctl_on_lead(struct mu_ctl *ctl, struct mu_ctl_now now, uint64_t epoch, uint64_t next_seq);
void mu_ctl_on_lost(struct mu_ctl *ctl, struct mu_ctl_now now); /* waiting requests get MU_UNKNOWN, overlay dropped */
/* Snapshots: core as bytes (exactly what mu_ctl_applied says), and back. Loading also drops everything else; not while
 * leading. */
void mu_ctl_save(const struct mu_ctl *ctl, struct mu_buf *b);
enum mu_rc mu_ctl_load(struct mu_ctl *ctl, uint64_t upto, const void *bytes, size_t size, struct mu_err *err);

/* Requests. token comes back once in out->reply, possibly before the call returns. Only the leader takes them
 * (else MU_NOTLEADER). Strings are copied. Refusals that need no commit come at once. A token is not NULL and not in
 * use by another open request.
 * A group with each_node = {"*"} is given the nodes that match it at that moment. A spec too large for one event goes
 * in parts and is answered when the last is durable. */
void mu_ctl_submit(struct mu_ctl *ctl, struct mu_ctl_now now, const struct mu_job_spec *spec, void *token);
/* Any other operator's event: PART (lines of any length, or groups) CANCEL HOLD RETRY NODE_SET POLICY QUOTA. */
void mu_ctl_request(struct mu_ctl *ctl, struct mu_ctl_now now, const struct mu_event *ev, void *token);
/* The client went away: its token must not be answered any more. */
void mu_ctl_forget(struct mu_ctl *ctl, void *token);

/* Agents. */
struct mu_ctl_agent *mu_ctl_agent_open(struct mu_ctl *ctl, struct mu_ctl_now now, void *peer, const char *address);
/* false: it broke the protocol; err says how; the shell closes and calls mu_ctl_agent_close. */
bool mu_ctl_agent_msg(struct mu_ctl *ctl, struct mu_ctl_now now, struct mu_ctl_agent *agent, const struct mu_msg *msg, struct mu_err *err);
void mu_ctl_agent_close(struct mu_ctl *ctl, struct mu_ctl_now now, struct mu_ctl_agent *agent);
/* The connection that serves a node now; NULL: none. For output requests. */
void *mu_ctl_node_peer(const struct mu_ctl *ctl, uint32_t node);
/* What the node said of itself in its last PING. */
const struct mu_msg_ping *mu_ctl_node_ping(const struct mu_ctl *ctl, uint32_t node);

/* Decide and append what there is. Call after every input (cheap when there is nothing). */
void mu_ctl_turn(struct mu_ctl *ctl, struct mu_ctl_now now);
/* Boottime ms when mu_ctl_turn is next needed without input; UINT64_MAX never. */
uint64_t mu_ctl_wake_ms(const struct mu_ctl *ctl, struct mu_ctl_now now);

struct mu_ctl_stats {
    uint64_t entries, events;       /* appended in this process */
    uint64_t decided;               /* placements proposed */
    uint64_t stale_results;         /* acknowledged, not applied: of attempts that were over */
    uint64_t stale_attempts;        /* agents were told to stop: not theirs any more */
    uint64_t nodes_lost;            /* leases that ran out */
    uint32_t inflight, agents, requests; /* now */
    size_t gathered;                /* bytes waiting */
};
void mu_ctl_stats_get(const struct mu_ctl *ctl, struct mu_ctl_stats *out);

const struct mu_core *mu_ctl_core(const struct mu_ctl *ctl);
struct mu_sched *mu_ctl_sched(struct mu_ctl *ctl);
bool mu_ctl_leads(const struct mu_ctl *ctl);
uint64_t mu_ctl_epoch(const struct mu_ctl *ctl);
uint64_t mu_ctl_applied(const struct mu_ctl *ctl); /* seq */
/* Assert the invariants of requests, entries and agents; core and sched have their own. */
void mu_ctl_check(const struct mu_ctl *ctl);

#endif
