/* server/server.h -- what the files of the server's shell share; private to the room.
 *
 * What       struct mu_server: the loop with everything that hangs on it. shell.c starts and stops it, store.c is its
 *            journal, snapshots and history, peers.c its agents, api*.c its clients.
 * Ownership  struct mu_server owns all members; calls, asks and peers hang in its lists until they end.
 * Time       clocks are read here, once a turn, and handed down.
 * Threads    the loop's. The history has a worker of its own behind it.
 * Failure    what makes going on impossible: mu_server_die.
 * Limits     struct mu_server_options.
 *
 * A turn of the loop: requests, frames and commits go to ctl as they come; the hook at the end of the turn lets ctl
 * decide and append, answers what was answered, moves the readers of the tape, and sets the timers.
 */
#ifndef MU_SERVER_SERVER_H
#define MU_SERVER_SERVER_H

#include "base/list.h"
#include "base/map.h"
#include "io/httpd.h"
#include "journal/journal.h"
#include "server/auth.h"
#include "server/ctl.h"
#include "server/history.h"
#include "server/stats.h"
#include "server/tape.h"

struct mu_server_options {
    const char *data, *listen, *journal, *name, *advertise, *token_file;
    uint64_t lease_ms;
    uint64_t keep_ms, keep_jobs, keep_tasks; /* of the history */
};

/* A request put to ctl; done comes at the end of the turn in which ctl answered, never from inside a call into ctl. */
struct mu_ask {
    struct mu_list link;
    struct mu_server *sv;
    bool open;                 /* ctl has not answered */
    struct mu_ctl_reply reply; /* field and text point into err */
    struct mu_err err;
    void (*done)(struct mu_ask *ask);
};

/* Somebody who follows the tape: move is called at the end of a turn when there is something new, or woken is set. */
struct mu_follower {
    struct mu_list link;
    uint64_t position; /* of the next item to read */
    bool woken;
    void (*move)(struct mu_follower *f);
};

struct mu_server {
    struct mu_server_options opt;
    struct mu_loop *loop;
    struct mu_httpd *httpd;
    struct mu_auth *auth;
    struct mu_journal *journal;
    struct mu_ctl *ctl;
    struct mu_history *history;
    struct mu_tape tape;
    struct mu_stats stats;
    struct mu_hook hook;
    struct mu_timer *wake, *flush, *tick;
    void *stop_timer;
    struct mu_signal *signals[2];
    char name[256], url[320], user[64]; /* user: for whom jobs run when nobody says */
    char data[4096];
    int lock_fd;

    bool ready;    /* led once: the facts are all here */
    bool stopping, dead; /* dead: cannot go on, says nothing more */
    int exit_code;
    bool no_space; /* the data folder is nearly full: no new work */

    /* store.c */
    struct mu_snapshot *snapshot; /* being made, or NULL */
    struct mu_buf load;           /* a snapshot being read */
    uint64_t load_upto;
    uint64_t since_bytes, since_entries; /* committed since the last snapshot */
    uint64_t snapshot_bytes;      /* size of the last one */
    uint64_t append_ns[16];       /* when entry seq % 16 was appended */

    /* api.c */
    struct mu_list calls, asks_ready, followers, followers_moving, waits_ready;
    struct mu_map waits; /* job: struct mu_list of the calls that wait for its end */
    uint32_t calls_count;
    uint64_t requests, forgotten_max; /* forgotten_max: no job above it is in the history alone */

    /* peers.c */
    struct mu_list peers, peers_dropped, fetch_orphans, fetch_looking;
    struct mu_map fetches; /* request number: struct mu_fetch */
    uint64_t fetch_last;
};

/* shell.c */
struct mu_ctl_now mu_server_now(const struct mu_server *sv);
/* Cannot go on: log, leave the loop, exit 1. Nothing more is answered. */
void mu_server_die(struct mu_server *sv, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Something for the end of this turn, although nothing came in. */
void mu_server_again(struct mu_server *sv);
void mu_server_on_ready(struct mu_server *sv);
void mu_server_on_resigned(struct mu_server *sv);

/* store.c: journal, snapshots, history */
enum mu_rc mu_store_open(struct mu_server *sv, struct mu_err *err);
void mu_store_turn(struct mu_server *sv);
void mu_store_close(struct mu_server *sv);
bool mu_store_append(void *arg, uint64_t epoch, uint64_t seq, const void *bytes, size_t size); /* for struct mu_ctl_out */
void mu_store_effect(void *arg, uint64_t seq, uint64_t time_ms, const struct mu_fx *fx);

/* peers.c: agents */
void mu_peers_init(struct mu_server *sv);
void mu_peer_send(void *arg, void *peer, const void *bytes, size_t size); /* for struct mu_ctl_out */
void mu_peer_drop(void *arg, void *peer);
void mu_peer_msg(void *arg, void *peer, const struct mu_msg *msg);
struct mu_list *mu_peer_fetches(void *peer);
/* A request that asked for the upgrade: its stream becomes an agent's. */
void mu_peer_open(struct mu_server *sv, struct mu_req *req);
void mu_peers_turn(struct mu_server *sv);
void mu_peers_close(struct mu_server *sv);

/* ask.c */
void mu_ask_init(struct mu_ask *ask, struct mu_server *sv, void (*done)(struct mu_ask *ask));
void mu_ask_submit(struct mu_ask *ask, const struct mu_job_spec *spec);
void mu_ask_event(struct mu_ask *ask, const struct mu_event *ev);
/* done will not be called any more; harmless when it was. */
void mu_ask_cancel(struct mu_ask *ask);
void mu_ask_reply(void *arg, void *token, const struct mu_ctl_reply *reply); /* for struct mu_ctl_out */
/* Call done for all that were answered; false: there were none. */
bool mu_asks_turn(struct mu_server *sv);

void mu_follower_add(struct mu_server *sv, struct mu_follower *f);
void mu_follower_remove(struct mu_follower *f);
void mu_followers_turn(struct mu_server *sv);

#endif
