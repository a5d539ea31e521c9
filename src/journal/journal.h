/* journal/journal.h -- the one ordered, durable list of facts.
 *
 * What       entries (opaque bytes) appended under an epoch at the next sequence number, chained by hash; snapshots;
 *            trimming. Backends: memory:, sqlite:FILE; later etcd, zookeeper, consul (a row and a folder, see engine.h).
 * Ownership  append copies. What on_commit and load_chunk get is valid during the call. The user's table is copied.
 * Time       the host's boottime clock, for validity only. Safety never depends on it.
 * Threads    a handle lives on one loop; callbacks come only there, never from inside a mu_journal_ call (close excepted:
 *            it completes what is open). close must not be called from inside a callback.
 * Failure    MU_JOURNAL_UNKNOWN is never turned into failure. A storage error is fatal: on_fatal, then nothing more but
 *            the CLOSED of close.
 * Limits     mu_journal_limits_get.
 *
 * Promises, in short (tests in test/journal carry the same names):
 *   order      seq n+1 is durable only if n is            completion  one done() per accepted append, in seq order;
 *   agreement  what is read never changes                             on_commit first, then done, same turn
 *   fencing    after on_lead(e2) no append of e1 < e2     leadership  everything earlier was committed to this handle
 *              can become durable                                     before on_lead
 *   snapshot   chunks, then manifest; read back; only     one path    on_commit is the only way into core, replay too
 *              then trimmed
 */
#ifndef MU_JOURNAL_JOURNAL_H
#define MU_JOURNAL_JOURNAL_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mu_journal;
struct mu_memory; /* journal/memory/memory.h */

enum mu_journal_end {
    MU_JOURNAL_OK,      /* durable */
    MU_JOURNAL_FENCED,  /* proven: is not and never will be durable */
    MU_JOURNAL_UNKNOWN, /* may be durable, now or later */
    MU_JOURNAL_FULL,    /* refused for space; seq stays free, the epoch goes on */
    MU_JOURNAL_TOO_BIG, /* returned at once by append, never as a completion */
    MU_JOURNAL_CORRUPT, /* chain, hash or length is wrong, or the storage failed: fatal */
    MU_JOURNAL_CLOSED,  /* closed or resigned */
    MU_JOURNAL_BUSY,    /* returned at once by append: inflight_max are out, or an outcome is being found out.
                           Try again after the next done(). */
};
enum { MU_JOURNAL_ENDS = MU_JOURNAL_BUSY + 1 };
const char *mu_journal_end_text(enum mu_journal_end end);

typedef void mu_journal_done_fn(void *arg, uint64_t seq, enum mu_journal_end end);

/* What a handle needs of its surroundings: uv in a server, the fake clock in the simulator. */
struct mu_journal_host {
    void *arg;
    uint64_t (*boot_ns)(void *arg);
    /* Run fn(p) on the loop's thread, later; may be called from any thread. In order per caller. */
    void (*post)(void *arg, void (*fn)(void *p), void *p);
    /* Run fn(p) once after delay_ms on the loop; returns a handle for cancel, void once fn has begun. */
    void *(*after)(void *arg, uint64_t delay_ms, void (*fn)(void *p), void *p);
    void (*cancel)(void *arg, void *timer);
    void (*random)(void *arg, void *bytes, size_t size); /* nonces, cluster id */
};

struct mu_journal_user {
    void *arg;
    /* The journal is found or founded: whose it is. Comes once, before anything else. May be NULL. */
    void (*on_open)(void *arg, const uint8_t cluster[16]);
    /* The only way into core, for own and foreign records, live and replayed. */
    void (*on_commit)(void *arg, uint64_t seq, uint64_t epoch, const void *bytes, size_t size);
    void (*on_lead)(void *arg, uint64_t epoch, uint64_t next_seq); /* all below next_seq was committed to us before */
    void (*on_lost)(void *arg, uint64_t epoch, enum mu_journal_end why); /* after the last done() of that epoch */
    void (*on_hint)(void *arg, const char *leader_addr, uint64_t epoch);
    void (*on_fatal)(void *arg, enum mu_journal_end why, const struct mu_err *err); /* log and exit */
    /* Everything that was durable when the handle opened has been committed; once. May be NULL. */
    void (*on_caught_up)(void *arg, uint64_t seq);
    void (*load_begin)(void *arg, uint64_t upto, uint64_t bytes); /* drop all state */
    bool (*load_chunk)(void *arg, const void *bytes, size_t size);
    /* false: have nothing, as when new; another load, the records from the first on, or on_fatal follow. */
    void (*load_end)(void *arg, bool good);
    /* A frozen image of exactly "all <= *upto": of a record committed and not yet trimmed. false: not now. */
    bool (*save_open)(void *arg, uint64_t *upto, uint64_t *bytes, void **image);
    size_t (*save_read)(void *arg, void *image, void *buf, size_t cap); /* 0: the end */
    void (*save_close)(void *arg, void *image, bool stored);
};

struct mu_journal_options {
    const struct mu_journal_host *host;
    const char *data_dir;     /* where sqlite: without a path puts its file */
    const char *advertise;    /* this server's address, told to others as a hint */
    struct mu_memory *memory; /* the world shared by memory: handles; NULL: a store of its own */
    bool read_only;           /* tools: replay, never campaign */
    bool restored;            /* the operator put an older copy in place: accept it and raise the epoch */
};

struct mu_journal_limits {
    size_t record_max, chunk_max;
    unsigned inflight_max;
    uint64_t used, quota; /* bytes; 0: unknown */
};

/* url "memory:NAME", "sqlite:" or "sqlite:PATH". Replays nothing before it returns; commits follow from the loop. */
enum mu_rc mu_journal_open(struct mu_journal **out_journal, const char *url, const struct mu_journal_options *opt,
                           const struct mu_journal_user *user, struct mu_err *err);
/* on_lead now, later or never; twice is harmless. Stays in force after on_lost, until resign. */
void mu_journal_campaign(struct mu_journal *j);
/* The leader's process is known to be dead: do not wait for its lease. Harmless when that is wrong. */
void mu_journal_hurry(struct mu_journal *j);
/* Drains what is in flight, then on_lost (if on_lead was told); ends the campaign. */
void mu_journal_resign(struct mu_journal *j);
/* OK: accepted, then done() exactly once. Anything else: refused at once, no done(). */
enum mu_journal_end mu_journal_append(struct mu_journal *j, uint64_t epoch, uint64_t seq, const void *bytes, size_t size,
                                      mu_journal_done_fn *done, void *arg);
/* Still the leader, by quorum? For reads. done gets the last committed seq. */
void mu_journal_confirm(struct mu_journal *j, mu_journal_done_fn *done, void *arg);
/* Ask for a snapshot; leader only; uses save_*, then trims. save_close tells how it went. One at a time. */
void mu_journal_snapshot(struct mu_journal *j);
/* First seq that can still be replayed; last seq committed to this handle. */
uint64_t mu_journal_floor(const struct mu_journal *j);
uint64_t mu_journal_tail(const struct mu_journal *j);
/* Boottime ns until which the lead is believed valid; advisory. UINT64_MAX: no lease. 0: not leading. */
uint64_t mu_journal_valid_until(const struct mu_journal *j);
void mu_journal_limits_get(const struct mu_journal *j, struct mu_journal_limits *out);
/* 16 bytes, made at genesis; zero until the first callback. */
const uint8_t *mu_journal_cluster_id(const struct mu_journal *j);
/* Accepts NULL; completes what is open as CLOSED, then silence. */
void mu_journal_close(struct mu_journal *j);

#endif
