/* journal/engine.h -- what one storage engine does for the journal; chain, gather, resolve, snapshot, trim are above.
 *
 * What       an engine takes calls (one verb each) and completes them. A new engine is a folder with its own ops and
 *            a row in journal.c.
 * Ownership  a call and the bytes it points to are the caller's and stay untouched until done() or close. What an
 *            answer points to is the engine's, valid during done(). done() may start the same call again.
 * Time       engines limit every call's time themselves (WAIT and LEAD excepted): no answer is MU_ENGINE_UNKNOWN.
 * Threads    start and close on the loop; done() only there, never before start() returned, exactly once.
 * Failure    enum mu_engine_end. UNKNOWN: it may have happened, or may happen later.
 * Limits     limits().
 */
#ifndef MU_JOURNAL_ENGINE_H
#define MU_JOURNAL_ENGINE_H

#include "base/list.h"
#include "journal/journal.h"

/* What an engine can say about a call. */
enum mu_engine_end {
    MU_ENGINE_OK,
    MU_ENGINE_MORE,    /* TRIM: a piece is done, call again */
    MU_ENGINE_TOKEN,   /* refused: the token is not this one any more */
    MU_ENGINE_TAKEN,   /* refused: a record is at seq already */
    MU_ENGINE_GAP,     /* refused: no record at seq - 1 */
    MU_ENGINE_FULL,    /* refused for space; no copy of this very call is carried out later */
    MU_ENGINE_UNKNOWN, /* no answer, or one that says nothing */
    MU_ENGINE_FATAL,   /* the storage failed: stop the process */
    MU_ENGINE_CORRUPT, /* the store is damaged: stop the process */
};

enum mu_engine_verb {
    /* Take the lead once nobody validly has it: token in the answer, larger than every one before; the lease granted in
     * lease_ms, 0 without leases. May take for ever; ended by RESIGN with TOKEN. Until it is OK nothing was promised. */
    MU_ENGINE_LEAD,
    MU_ENGINE_RENEW,   /* lengthen the lease; lease_ms in the answer counts from when the call was started */
    MU_ENGINE_RESIGN,  /* give up the lead of token, or the attempt that is out (token 0) */
    MU_ENGINE_CONFIRM, /* by quorum: is token still the one? OK or TOKEN */
    /* Durable only if token is unchanged, record seq is absent and record seq - 1 is present, all at one moment.
     * seq 0 (genesis) needs only that there never was one. OK means durable on the engine's quorum. */
    MU_ENGINE_APPEND,
    /* Records from seq on, in order, by quorum: at least one if there is any, then until limit bytes. None: seq is above
     * the last. The first may be above seq: what lies between was trimmed. Genesis can be read for ever. */
    MU_ENGINE_READ,
    MU_ENGINE_WAIT,  /* OK when record seq may be there; spurious answers are allowed */
    MU_ENGINE_PUT,   /* chunk index of snapshot snap, fenced by token; the same twice is harmless */
    MU_ENGINE_GET,   /* chunk index of snapshot snap: one item, or none if absent */
    MU_ENGINE_SEAL,  /* put the manifest of snapshot snap, fenced by token */
    MU_ENGINE_SEALS, /* all manifests */
    /* Fenced by token: drop records below `below` (genesis stays readable, but is nobody's predecessor any more: a late
     * copy of record 1 must not fit), snapshots with a number below `older`, and snapshot drop (0: none). Numbers of
     * snapshots grow and are never used again, so a late copy of this call does no harm. */
    MU_ENGINE_TRIM,
};
enum { MU_ENGINE_VERBS = MU_ENGINE_TRIM + 1 };

struct mu_engine_item {
    uint64_t key; /* seq, chunk index or snapshot */
    const uint8_t *at;
    size_t size;
};

struct mu_engine_answer {
    enum mu_engine_end end;
    uint64_t token, lease_ms;
    const struct mu_engine_item *items;
    uint32_t count;
    const char *text; /* FATAL, CORRUPT, FULL: a sentence; else NULL */
};

struct mu_engine_call {
    enum mu_engine_verb verb;
    uint64_t token, seq;
    uint64_t snap, index; /* PUT GET SEAL */
    uint64_t below, older, drop; /* TRIM */
    size_t limit;         /* READ */
    const uint8_t *bytes; /* APPEND PUT SEAL */
    size_t size;
    void (*done)(void *arg, const struct mu_engine_answer *a);
    void *arg;
    struct mu_list link; /* the engine's, from start to done */
};

/* What an engine tells by itself, on the loop. */
struct mu_engine_user {
    void *arg;
    void (*on_hint)(void *arg, const char *leader_addr, uint64_t token);
    void (*on_fatal)(void *arg, enum mu_engine_end end, const char *text);
};

struct mu_engine_ops;
struct mu_engine { /* the first member of each engine's own struct */
    const struct mu_engine_ops *ops;
};
struct mu_engine_ops {
    const char *scheme;
    /* rest is the url behind "scheme:". opt and user stay valid until close. */
    enum mu_rc (*open)(struct mu_engine **out_engine, const char *rest, const struct mu_journal_options *opt,
                       const struct mu_engine_user *user, struct mu_err *err);
    void (*start)(struct mu_engine *e, struct mu_engine_call *call);
    void (*hurry)(struct mu_engine *e); /* a LEAD that is out need not wait for the old lease */
    void (*limits)(const struct mu_engine *e, struct mu_journal_limits *out);
    void (*close)(struct mu_engine *e); /* accepts NULL; calls that are out are the caller's again, without done() */
};

extern const struct mu_engine_ops mu_engine_memory;
extern const struct mu_engine_ops mu_engine_sqlite;

#endif
