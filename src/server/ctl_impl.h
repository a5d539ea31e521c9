/* server/ctl_impl.h -- what the files of ctl share; private to them.
 *
 * What       entries that gather (ctl_gather.c), requests and big jobs (ctl_request.c), agents (ctl_agent.c), and the
 *            commit and turn that drive them (ctl.c).
 * Ownership  struct mu_ctl owns all; a mark in an entry keeps what it points to alive.
 * Time       see ctl.h.   Threads  none.   Failure  none.   Limits  see ctl.h.
 */
#ifndef MU_SERVER_CTL_IMPL_H
#define MU_SERVER_CTL_IMPL_H

#include "base/arena.h"
#include "base/list.h"
#include "base/map.h"
#include "server/ctl.h"

/* Who hears of the commit of one event. Marks stand in the order of the events. */
enum mu_ctl_mark_kind { MU_CTL_MARK_REQUEST, MU_CTL_MARK_JOIN, MU_CTL_MARK_ACK };
struct mu_ctl_mark {
    uint32_t event; /* index in its entry; an ACK is due after it */
    enum mu_ctl_mark_kind kind;
    struct mu_ctl_request *request;
    struct mu_ctl_agent *agent;
    uint64_t report; /* ACK: the report whose results are in this entry or before */
};

struct mu_ctl_entry {
    struct mu_list link;
    struct mu_buf bytes;
    size_t head;     /* bytes of the stamp in front */
    uint32_t events;
    bool committed;
    uint64_t seq;    /* 0 while it gathers */
    struct mu_ctl_mark *marks;
    uint32_t marks_count, marks_cap;
};

/* A request not answered yet. One whose key is that of another open request follows that one. */
struct mu_ctl_request {
    struct mu_list link;      /* in requests, followers of another, or the free list */
    struct mu_list feed_link; /* in feeding while parts are left to propose */
    struct mu_list followers;
    void *token;              /* NULL: the client went away */
    struct mu_buf key;        /* user, NUL, key; empty without key */
    uint64_t digest;
    bool appended;            /* something of it may be durable */
    uint32_t marks;           /* in entries; the request lives until they are gone */
    struct mu_ctl_parts *parts;
    bool answered;
};

/* A job too large for one event, cut as it is proposed. */
struct mu_ctl_parts {
    struct mu_buf bytes;    /* the encoded spec or part; what spec points into */
    struct mu_arena arena;
    struct mu_job_spec spec; /* groups (and the head of the job for a submit) */
    struct mu_str lines;     /* of a PART that extends the last group */
    uint64_t job;            /* 0: a submit whose id is not known yet */
    uint32_t group;          /* next group to propose */
    size_t line;             /* bytes of its lines already proposed */
    uint32_t tasks;          /* proposed so far, those the job had before included */
    bool last;               /* the job is complete after this */
    bool whole;              /* a submit: half of it must not stay */
    bool done;               /* all proposed */
    bool again;              /* the job was there already */
    uint32_t pieces;         /* proposed, not committed */
};

enum mu_ctl_agent_state {
    MU_CTL_AGENT_OPEN,    /* said nothing yet */
    MU_CTL_AGENT_JOINING, /* its NODE_JOIN is on its way */
    MU_CTL_AGENT_UP,
    MU_CTL_AGENT_GONE,    /* dropped or closed */
};
struct mu_ctl_agent {
    struct mu_list link, dirty_link;
    void *peer; /* NULL once the shell closed it */
    char *address;
    enum mu_ctl_agent_state state;
    uint32_t refs; /* the shell's one, and one a mark */
    uint32_t node; /* while UP */
    uint64_t name_hash;
    char *name, *boot;
    struct mu_task_ref *had; /* attempts it said to have in HELLO, sorted, until reconciled */
    uint32_t had_count;
    uint64_t reports;  /* seq of the last one */
    uint64_t ack;      /* to be sent at the next flush; 0 none */
    bool drop;         /* close after the flush */
    struct mu_buf out, starts, stops; /* whole frames; payloads of a START and a STOP frame to be */
    uint32_t starts_count, stops_count;
    struct mu_map specs;       /* job << 16 | group: sent, and surely still kept there */
    uint64_t spec_last;        /* the key of the last START; MU_CTL_NO_SPEC none */
    uint32_t specs_pending;    /* SPECs in out since the first START that is not */
    struct mu_msg_ping ping;
    bool pinged;
};
#define MU_CTL_NO_SPEC UINT64_MAX

/* A node that was sent work of a job, for FORGET; some nodes may stand twice. */
struct mu_ctl_place {
    uint32_t node;
    uint32_t next; /* index + 1 of the same job's, or of the next free one; 0 none */
};

struct mu_ctl_node {
    struct mu_ctl_agent *agent; /* UP there, or NULL */
    uint64_t heard_ms;          /* boottime */
    bool losing;                /* NODE_LOST is on its way */
};

struct mu_ctl {
    struct mu_ctl_options opt;
    struct mu_ctl_out out;
    struct mu_core *core;
    struct mu_sched *sched;
    bool sched_stale; /* not told of commits since it was reset */
    bool leads;
    bool stuck;   /* an append failed: nothing more until lost, or until FULL is settled */
    bool refused; /* the journal did not take an entry at the last turn */
    uint64_t epoch, next_seq, applied;
    struct mu_fx_list fx;
    struct mu_arena arena;  /* of the event being applied */
    struct mu_buf scratch, key;

    /* time */
    int64_t drift_ms; /* stamp = boottime + drift */
    uint64_t drift_at_ms; /* boottime when drift was last drawn */
    uint64_t turned_ms;   /* boottime of the last turn */
    uint64_t scan_ms;     /* boottime of the next look at the leases */
    uint64_t full_until_ms;
    bool due;             /* DUE is on its way */
    bool more;            /* the last turn left something undone */

    /* gather */
    struct mu_list queue;  /* entries not appended; the last one gathers */
    struct mu_list flying; /* appended, in order of seq */
    struct mu_list spare;
    uint32_t flying_count;
    size_t queued_bytes;
    bool full;         /* an append was refused for space; it settles when nothing flies any more */
    uint64_t full_seq; /* the first that was */

    /* requests */
    struct mu_list requests, feeding, requests_spare;
    struct mu_map tokens, keys; /* token, hash of key: request */
    uint32_t requests_count;
    uint64_t *withdrawn;          /* jobs of which only a part became durable: to be cancelled */
    uint32_t withdrawn_count;
    bool withdrawing;             /* their CANCELs are on the way */

    /* agents */
    struct mu_list agents, dirty;
    struct mu_map names; /* hash of name: agent JOINING or UP */
    struct mu_ctl_node *nodes;
    uint32_t nodes_count;
    struct mu_ctl_place *places;
    uint32_t places_count, places_cap, places_free;
    struct mu_map place_jobs; /* job: index + 1 of its first place */

    struct mu_ctl_stats stats;
};

/* ctl.c */
uint64_t mu_ctl_stamp_ms(struct mu_ctl *ctl, struct mu_ctl_now now);

/* ctl_gather.c */
struct mu_ctl_entry *mu_ctl_propose(struct mu_ctl *ctl, enum mu_event_kind kind, const void *msg);
struct mu_ctl_mark *mu_ctl_mark_add(struct mu_ctl_entry *e, enum mu_ctl_mark_kind kind);
/* The newest entry that is not committed; NULL: all is durable. */
struct mu_ctl_entry *mu_ctl_newest(struct mu_ctl *ctl);
bool mu_ctl_gather_has_room(const struct mu_ctl *ctl);
void mu_ctl_append_all(struct mu_ctl *ctl, uint64_t stamp_ms);
/* The entry in flight with that seq that is not committed yet; NULL: somebody else's. */
struct mu_ctl_entry *mu_ctl_flying(struct mu_ctl *ctl, uint64_t seq);
void mu_ctl_entry_recycle(struct mu_ctl *ctl, struct mu_ctl_entry *e);
void mu_ctl_gather_drop(struct mu_ctl *ctl);
void mu_ctl_gather_fini(struct mu_ctl *ctl);

/* ctl_request.c */
void mu_ctl_request_replied(struct mu_ctl *ctl, struct mu_ctl_request *r, const struct mu_ctl_reply *reply);
void mu_ctl_request_unmark(struct mu_ctl *ctl, struct mu_ctl_request *r);
void mu_ctl_requests_feed(struct mu_ctl *ctl);
/* Cancel what is withdrawn. */
void mu_ctl_requests_withdraw(struct mu_ctl *ctl);
/* Answer all: rc to those of which nothing was appended, MU_UNKNOWN (or MU_FULL) to the others. */
void mu_ctl_requests_fail(struct mu_ctl *ctl, enum mu_rc rc, enum mu_rc appended_rc, const char *text);
void mu_ctl_requests_fini(struct mu_ctl *ctl);

/* ctl_agent.c */
void mu_ctl_agent_joined(struct mu_ctl *ctl, struct mu_ctl_now now, struct mu_ctl_agent *a, const struct mu_fx *fx);
void mu_ctl_agent_ack(struct mu_ctl *ctl, struct mu_ctl_agent *a, uint64_t report);
void mu_ctl_agent_start(struct mu_ctl *ctl, uint64_t job, uint32_t ordinal, uint32_t attempt, uint32_t node);
void mu_ctl_agent_stop(struct mu_ctl *ctl, uint64_t job, uint32_t ordinal, uint32_t attempt, uint32_t node, enum mu_end how);
void mu_ctl_agents_forget(struct mu_ctl *ctl, uint64_t job);
void mu_ctl_agents_node(struct mu_ctl *ctl, uint32_t node);
void mu_ctl_agents_fresh(struct mu_ctl *ctl, struct mu_ctl_now now);
void mu_ctl_agents_paused(struct mu_ctl *ctl, uint64_t gap_ms);
void mu_ctl_agents_scan(struct mu_ctl *ctl, struct mu_ctl_now now);
void mu_ctl_agents_flush(struct mu_ctl *ctl);
void mu_ctl_agents_refuse(struct mu_ctl *ctl, const char *code, const char *text);
void mu_ctl_agent_unref(struct mu_ctl *ctl, struct mu_ctl_agent *a);
void mu_ctl_agents_fini(struct mu_ctl *ctl);

#endif
