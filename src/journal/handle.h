/* journal/handle.h -- the inside of a journal handle; private to journal/NAME.c, not for backends or users.
 *
 * What       one struct, and what the files of the room owe each other: follow (read, replay), load (snapshot in),
 *            lead (campaign, renew, lose), append (order of completion, outcome of lost answers), save (snapshot out).
 * Ownership  the handle owns all; calls that are out with the engine are never freed before done or engine close.
 * Time       host->boot_ns, for lease and give-up only.
 * Threads    the loop's.   Failure  mu_journal_fail ends the handle.   Limits  APPENDS_MAX records in flight.
 */
#ifndef MU_JOURNAL_HANDLE_H
#define MU_JOURNAL_HANDLE_H

#include "base/list.h"
#include "base/str.h"
#include "journal/chain.h"
#include "journal/engine.h"

enum {
    MU_RETRY_MS = 100,           /* smallest back-off after no answer */
    MU_LEASE_ASSUMED_MS = 3000,  /* how long to look for an outcome where the engine has no leases */
    MU_READ_BYTES = 4 << 20,     /* one batch of replay */
    MU_LOADS_MAX = 2,            /* chunks asked for ahead */
    MU_LOADS_BAD_MAX = 8,
    MU_SAVE_TRIES = 5,
};

/* A one-shot timer that dies with its handle. */
struct mu_jtimer {
    struct mu_journal *j;
    void (*fn)(struct mu_journal *j);
    void *armed;
};

enum mu_role {
    MU_ROLE_FOLLOWER,
    MU_ROLE_CANDIDATE, /* a LEAD call is out */
    MU_ROLE_CATCHUP,   /* token taken; reading what was committed before it */
    MU_ROLE_LEADER,
    MU_ROLE_RESIGNING, /* no new appends; RESIGN follows the last completion */
};

/* One accepted append, until the engine answered and done() was called. */
struct mu_append {
    struct mu_list link; /* in order of seq */
    struct mu_journal *j;
    struct mu_engine_call call;
    uint64_t seq;
    uint8_t hash[MU_HASH_BYTES];
    mu_journal_done_fn *done;
    void *arg;
    unsigned sends;
    bool out;               /* the engine has the call */
    bool known, reported;   /* known: end says what is known so far */
    enum mu_engine_end end;
    size_t size; /* of the payload */
    uint8_t bytes[];
};

struct mu_confirm {
    struct mu_list link;
    mu_journal_done_fn *done;
    void *arg;
};

/* What is known while the outcome of the first open append is being found out. */
struct mu_resolve {
    bool active, token_gone, busy; /* busy: the call is out */
    uint64_t give_up_ns;
    struct mu_engine_call call;
    struct mu_jtimer again;
};

struct mu_load_slot {
    struct mu_journal *j;
    bool out;
    struct mu_engine_call call;
};
struct mu_load {
    bool active, begun, failed; /* failed: start over once nothing is out */
    bool hole;                  /* records are missing that a snapshot must replace */
    unsigned out;               /* calls that are out */
    uint64_t asked, taken;      /* chunks */
    uint64_t bytes;
    uint64_t gone;                  /* the snapshot of which a chunk was absent: dropped meanwhile, or damaged */
    uint64_t bad[MU_LOADS_BAD_MAX]; /* snapshots not to be tried again */
    unsigned bad_count;
    struct mu_err why; /* the last of them was refused */
    struct mu_manifest m;
    struct mu_hasher *digest;
    struct mu_engine_call seals;
    struct mu_load_slot slots[MU_LOADS_MAX];
    struct mu_jtimer again;
};

enum mu_save_stage {
    MU_SAVE_IDLE,
    MU_SAVE_WANTED,
    MU_SAVE_ANCHOR, /* read the record that an older image ends with */
    MU_SAVE_PUT,
    MU_SAVE_SEAL,
    MU_SAVE_FIND,
    MU_SAVE_VERIFY,
    MU_SAVE_TRIM,
    MU_SAVE_CLEAN,
};
struct mu_save {
    enum mu_save_stage stage;
    bool out, image_open;
    unsigned tries;
    uint64_t count; /* snapshots begun by this handle */
    void *image;
    struct mu_manifest m;
    struct mu_hasher *digest;
    uint8_t *buf; /* one chunk */
    uint8_t seal[MU_MANIFEST_BYTES];
    uint64_t verified;
    struct mu_engine_call call;
    struct mu_jtimer again;
};

struct mu_journal {
    struct mu_engine *engine;
    struct mu_engine_user engine_user;
    struct mu_journal_host host;
    struct mu_journal_user user;
    struct mu_journal_options opt;
    char *url, *data_dir, *advertise; /* copies behind opt */
    struct mu_journal_limits limits;
    struct mu_hasher *hasher;
    uint8_t cluster[MU_CLUSTER_BYTES];
    uint64_t nonce[2];
    uint64_t epoch_base;
    bool dead, caught_up;

    /* what was committed to the user */
    uint64_t next, last_epoch, floor;
    size_t last_size; /* payload of the last one */
    uint8_t chain[MU_HASH_BYTES];

    /* follow */
    struct mu_engine_call genesis, read, wait;
    bool reading, waiting, read_for_lead, started;
    unsigned genesis_tries;
    struct mu_buf genesis_bytes;
    struct mu_jtimer read_again;

    /* lead */
    enum mu_role role;
    bool wish, resign, led; /* led: on_lead was told for this token */
    uint64_t token, epoch, lease_ms, valid_until, renew_sent;
    uint64_t lead_not_before; /* a leader that lost waits a lease */
    struct mu_engine_call lead, renew, leave, confirm;
    bool lead_out, renew_out, leave_out, confirm_out;
    struct mu_list confirms, confirms_out;
    struct mu_jtimer lead_again, renew_again, kick;

    /* append */
    struct mu_list appends, strays; /* strays: reported, the engine still has them */
    unsigned appends_open;
    uint64_t append_next;
    uint8_t append_chain[MU_HASH_BYTES];
    struct mu_resolve resolve;

    struct mu_load load;
    struct mu_save save;
};

/* journal.c */
void mu_jtimer_start(struct mu_jtimer *t, uint64_t delay_ms);
void mu_jtimer_stop(struct mu_jtimer *t);
/* A back-off of MU_RETRY_MS and up to as much again. */
uint64_t mu_journal_backoff_ms(struct mu_journal *j);
uint64_t mu_journal_now_ns(struct mu_journal *j);
void mu_journal_start(struct mu_journal *j, struct mu_engine_call *call);
void mu_journal_fail(struct mu_journal *j, enum mu_rc rc, const char *text);
/* FATAL and CORRUPT end the handle: true. */
bool mu_journal_failed(struct mu_journal *j, const struct mu_engine_answer *a);
/* End without a word, as a crash does. */
void mu_journal_drop(struct mu_journal *j);

/* follow.c */
void mu_follow_init(struct mu_journal *j);
void mu_follow_open(struct mu_journal *j);
void mu_follow_read(struct mu_journal *j);
/* The one way to the user's on_commit: record is next in line. */
void mu_follow_commit(struct mu_journal *j, uint64_t epoch, const uint8_t *hash, const void *payload, size_t size);

/* load.c */
void mu_load_init(struct mu_journal *j);
/* Take the newest good snapshot, then read on. hole: without one that closes the gap the journal is damaged. */
void mu_load_start(struct mu_journal *j, bool hole);

/* lead.c */
void mu_lead_init(struct mu_journal *j);
/* The end of the journal was read (in CATCHUP: by a read that began after the token was taken). */
void mu_lead_at_end(struct mu_journal *j);
/* The token is gone or the outcome cannot be known: what is open is completed with why, then on_lost. */
void mu_lead_lose(struct mu_journal *j, enum mu_journal_end why);
/* The engine said that the token is another's. */
void mu_lead_token_gone(struct mu_journal *j);
void mu_lead_maybe_leave(struct mu_journal *j);
void mu_lead_end_confirms(struct mu_journal *j, enum mu_journal_end end);
void mu_lead_free_all(struct mu_journal *j);
bool mu_lead_holds(const struct mu_journal *j);

/* append.c */
void mu_append_init(struct mu_journal *j);
/* Complete all that is open with why. */
void mu_append_drain(struct mu_journal *j, enum mu_journal_end why);
/* Find out about what is open now that the token is gone; loses the epoch when done. */
void mu_append_resolve_gone(struct mu_journal *j);
void mu_append_free_all(struct mu_journal *j);

/* save.c */
void mu_save_init(struct mu_journal *j);
/* The lead is lost or the handle closes. */
void mu_save_stop(struct mu_journal *j);

#endif
