/* server/tape.h -- what happened lately: a ring of committed happenings that any number of readers follow.
 *
 * What       fixed-size items, written once each, read by position. Event streams and outputs of jobs read it; nobody
 *            who reads slowly makes it grow: he is overtaken, and knows it.
 * Ownership  the tape owns its items; a pointer is valid until the next push.
 * Time       as committed.   Threads  none.   Failure  none.
 * Limits     MU_TAPE_ITEMS items. Memory is touched as it fills.
 *
 * Ids grow from item to item, are the same on every server and after every restart: they are made of the sequence number
 * of the entry and the item's place in it.
 */
#ifndef MU_SERVER_TAPE_H
#define MU_SERVER_TAPE_H

#include "core/core.h"

enum { MU_TAPE_ITEMS = 16384, MU_TAPE_PLACES = 1 << 20 };

enum mu_tape_kind { MU_TAPE_TASK, MU_TAPE_ENDED, MU_TAPE_JOB, MU_TAPE_NODE, MU_TAPE_POLICY };

struct mu_tape_item {
    uint64_t id, time_ms, job;
    uint64_t run_us, out_bytes, err_bytes; /* ENDED */
    uint32_t ordinal, count, attempt, node, code; /* count: tasks from ordinal on; above 1 only when they never ran */
    uint8_t kind;  /* enum mu_tape_kind */
    uint8_t state; /* of the task, the node; JOB: enum mu_job_word */
    uint8_t how;   /* ENDED: enum mu_end */
    bool place;    /* POLICY: place, else order */
};

/* The state of a job in a byte. */
#define MU_JOB_WORD_MAP(X) \
    X(WAITING, "waiting") X(HELD, "held") X(RUNNING, "running") X(SUCCEEDED, "succeeded") X(FAILED, "failed") \
    X(CANCELLED, "cancelled") X(LOST, "lost")
#define X(name, text) MU_JOB_##name,
enum mu_job_word { MU_JOB_WORD_MAP(X) MU_JOB_WORDS };
#undef X
const char *mu_job_word_text(enum mu_job_word w);
enum mu_job_word mu_job_word_of(const char *text); /* MU_JOB_WORDS: none of them */
static inline bool mu_job_word_is_final(enum mu_job_word w) { return w >= MU_JOB_SUCCEEDED; }

struct mu_tape {
    struct mu_tape_item *items;
    uint64_t end;   /* items ever written */
    uint64_t base;  /* all that happened after this id is here */
    uint64_t seq;   /* of the entry being written */
    uint64_t place; /* in it */
};

void mu_tape_init(struct mu_tape *t);
void mu_tape_fini(struct mu_tape *t);
/* The facts up to seq came as a snapshot: what led to them is not on the tape. */
void mu_tape_restart(struct mu_tape *t, uint64_t seq);
/* Write what a committed effect says, if anybody could want to read it. core tells the state of a job. */
void mu_tape_effect(struct mu_tape *t, const struct mu_core *core, uint64_t seq, uint64_t time_ms, const struct mu_fx *fx);

/* Positions of what is there: [begin, end). */
static inline uint64_t mu_tape_begin(const struct mu_tape *t) { return t->end > MU_TAPE_ITEMS ? t->end - MU_TAPE_ITEMS : 0; }
static inline uint64_t mu_tape_end(const struct mu_tape *t) { return t->end; }
const struct mu_tape_item *mu_tape_at(const struct mu_tape *t, uint64_t position);
/* The position of the first item with an id above this one; false: items between were overwritten or never here (then
 * *out is the oldest there is). */
bool mu_tape_seek(const struct mu_tape *t, uint64_t id, uint64_t *out);

static inline uint64_t mu_tape_seq_of(uint64_t id) { return id / MU_TAPE_PLACES; }
static inline uint64_t mu_tape_id_end(uint64_t seq) { return seq * MU_TAPE_PLACES + MU_TAPE_PLACES - 1; }

#endif
