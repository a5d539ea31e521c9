/* journal/memory/store.h -- what a memory store holds, and what each verb does to it at one moment.
 *
 * What       records, snapshots, token and lease; no time of its own, no packets.
 * Ownership  a store copies what is put; answers point into it until the next change.
 * Time       now_ns is an argument.   Threads  none.
 * Failure    enum mu_engine_end.   Limits  the quota.
 */
#ifndef MU_JOURNAL_MEMORY_STORE_H
#define MU_JOURNAL_MEMORY_STORE_H

#include "journal/engine.h"

#include "base/str.h"

struct mu_store_blob {
    uint8_t *at; /* NULL: none */
    size_t size;
};
struct mu_store_snap {
    struct mu_list link;
    uint64_t id;
    struct mu_store_blob seal, *chunks;
    uint64_t chunk_count;
};

struct mu_store {
    struct mu_list link; /* of the world */
    char *name;
    struct mu_store_blob genesis;
    struct mu_store_blob *records; /* first .. first + count - 1 */
    uint64_t first, count, cap;
    struct mu_list snaps;
    uint64_t token, holder, lease_until_ns;
    char *holder_addr;
    uint64_t used, quota;
    struct mu_list waiters; /* the world's */
};

/* A request as it arrives; it outlives its sender. */
struct mu_store_ask {
    struct mu_engine_call call; /* bytes is a copy */
    uint64_t holder, expect;    /* who asks; LEAD: the token it believes in */
    const char *addr;
    bool hurry, refused; /* refused: FULL and GAP promise that no copy is carried out later */
};

struct mu_store *mu_store_new(const char *name);
void mu_store_free(struct mu_store *s);
/* Items point into the store; *items is the caller's buffer for them. Not for WAIT. */
enum mu_engine_end mu_store_do(struct mu_store *s, struct mu_store_ask *ask, uint64_t now_ns, uint64_t lease_ns,
                               struct mu_buf *items);
bool mu_store_has(const struct mu_store *s, uint64_t seq);
struct mu_store_blob *mu_store_record(struct mu_store *s, uint64_t seq);
struct mu_store_snap *mu_store_newest(struct mu_store *s);
void mu_store_lose_tail(struct mu_store *s, uint64_t count);

#endif
