/* One user of a journal in a test: records what it is told, checks the promises that can be checked at once, and keeps
 * a state (a digest of all payloads) that goes through snapshots. */
#ifndef MU_TEST_JOURNAL_PEER_H
#define MU_TEST_JOURNAL_PEER_H

#include "journal/host.h"

enum { PEER_SEQ_MAX = 1 << 18 };

struct peer_state {
    uint64_t count, digest; /* of records; over all their bytes, in order */
};

/* Records that were proven never to become durable; shared by the peers of a test. */
struct peer_fenced {
    uint64_t digests[1 << 16];
    uint32_t count;
};

struct peer {
    struct host *host;
    struct mu_journal *j;
    struct mu_err err; /* of open, or the fatal one */
    bool caught_up, leading, fatal, closing;
    uint64_t epoch, next; /* while leading: the seq the next append takes */
    unsigned leads, losses;
    enum mu_journal_end why;
    uint64_t tail, tail_epoch; /* last committed */
    struct peer_state state;
    uint64_t commits; /* calls of on_commit */
    /* appends */
    uint64_t open, done_seq, ends[MU_JOURNAL_ENDS];
    enum mu_journal_end last_end;
    bool bad_end; /* something other than OK in this epoch */
    uint64_t sent[64];          /* digests of open appends, by seq */
    struct peer_fenced *fenced; /* may be NULL */
    uint64_t *digests; /* by seq: what was committed there; shared by the peers of a test, so that they must agree */
    uint64_t confirms[MU_JOURNAL_ENDS];
    char hint[64];
    /* snapshots */
    uint64_t pad, saves, stored, refused, loads, loads_bad;
    uint64_t load_left, load_at;
    struct peer_state loading;
    bool filled;                  /* every record is one of peer_fill: look at its content, too */
    void (*told)(struct peer *p, uint64_t seq); /* an append was OK; may be NULL */
    void *image; /* while a snapshot is on its way out */
    uint64_t frozen_upto; /* offer this earlier moment instead of now; 0: now */
    struct peer_state frozen;
    bool mute; /* save_open says not now */
};

/* digests: NULL, or PEER_SEQ_MAX numbers. */
void peer_init(struct peer *p, struct host *host, uint64_t *digests);
enum mu_rc peer_open(struct peer *p, const char *url, const struct mu_journal_options *opt);
void peer_close(struct peer *p);
void peer_crash(struct peer *p); /* memory only */
/* Append as leader: done is counted. */
enum mu_journal_end peer_append(struct peer *p, const void *bytes, size_t size);
/* Append count records of size bytes as they are accepted, and wait for all of them. False: lost, or took limit_ms. */
bool peer_fill(struct peer *p, uint64_t count, size_t size, uint64_t limit_ms);
bool peer_lead(struct peer *p, uint64_t limit_ms);
bool peer_catch_up(struct peer *p, uint64_t limit_ms);
bool peer_reach(struct peer *p, uint64_t seq, uint64_t limit_ms);
bool peer_quiet(struct peer *p, uint64_t limit_ms); /* nothing of ours is open */
bool peer_fails(struct peer *p, uint64_t limit_ms); /* on_fatal came */
bool peer_settles(struct peer *p, uint64_t limit_ms); /* leads, or failed */
bool peer_save(struct peer *p, uint64_t limit_ms);  /* snapshot, until save_close */
void peer_confirm(struct peer *p);

#endif
