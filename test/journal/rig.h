/* The rig of the conformance suite: one row a backend, and what each of them needs to be set up, closed and reopened. */
#ifndef MU_TEST_JOURNAL_RIG_H
#define MU_TEST_JOURNAL_RIG_H

#include "unit/unit.h"

#include "journal/chain.h"
#include "journal/engine.h"
#include "journal/memory/memory.h"
#include "journal/peer.h"

#include <limits.h>

struct row {
    const char *name;
    bool any;    /* true */
    bool shared; /* several handles at a time */
    bool wire;   /* packets can be lost: memory */
    bool files;  /* a folder of its own: sqlite */
};
extern const struct row rig_rows[];
extern const size_t rig_row_count;

enum { RIG_LIMIT_MS = 60000 }; /* to give up; a fake clock passes it at once */

struct rig {
    const struct row *row;
    struct host host;
    struct mu_memory *memory;
    struct mu_journal_options opt;
    char folder[PATH_MAX / 4], path[PATH_MAX / 2], url[PATH_MAX];
    uint64_t *digests; /* what each seq is; peers must agree */
};

/* A fresh, empty store. */
void rig_init(struct rig *r, const struct row *row);
/* The same, with another course of delays and losses. */
void rig_init_seeded(struct rig *r, const struct row *row, uint64_t seed);
void rig_fini(struct rig *r);
/* Another peer of the same store. */
void rig_join(struct rig *r, struct peer *p);
/* As join, then lead. */
void rig_lead(struct rig *r, struct peer *p);
/* One more peer that replays everything must come to the same state; then it is closed. */
void rig_check_replay(struct rig *r, const struct peer *like);

/* An engine without the shared layer, for what the layer would catch before. */
struct raw {
    struct rig *rig;
    struct mu_engine *engine;
    struct mu_engine_user user;
    struct mu_journal_options opt;
    bool answered;
    struct mu_engine_answer answer; /* of the last call; items gone */
    uint64_t first_key;
    struct mu_record *record; /* where the first item is decoded to, if not NULL; its payload is gone */
};
void raw_open(struct raw *raw, struct rig *r);
void raw_close(struct raw *raw);
/* Start the call, wait for its answer. */
enum mu_engine_end raw_do(struct raw *raw, struct mu_engine_call call);

#endif
