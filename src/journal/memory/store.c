/* The store's side of each verb: one function a verb, all of them at one moment, which is what makes them atomic. */
#include "journal/memory/store.h"

#include <stdlib.h>

enum { TRIM_PIECE = 1000 };

struct mu_store *mu_store_new(const char *name)
{
    struct mu_store *s = calloc(1, sizeof *s);

    MU_ASSERT(s != NULL);
    s->name = mu_str_dup(mu_str_of(name));
    s->holder_addr = mu_str_dup(mu_str_of(""));
    s->first = 1;
    mu_list_init(&s->snaps);
    mu_list_init(&s->waiters);
    return s;
}

static void blob_drop(struct mu_store *s, struct mu_store_blob *b)
{
    s->used -= b->size;
    free(b->at);
    *b = (struct mu_store_blob){ 0 };
}

static bool blob_put(struct mu_store *s, struct mu_store_blob *b, const struct mu_engine_call *call)
{
    if (s->quota != 0 && s->used + call->size > s->quota)
        return false;
    blob_drop(s, b);
    b->at = malloc(call->size + 1);
    MU_ASSERT(b->at != NULL);
    memcpy(b->at, call->bytes, call->size);
    b->size = call->size;
    s->used += b->size;
    return true;
}

static void snap_drop(struct mu_store *s, struct mu_store_snap *snap)
{
    for (uint64_t i = 0; i < snap->chunk_count; i++)
        blob_drop(s, &snap->chunks[i]);
    blob_drop(s, &snap->seal);
    mu_list_remove(&snap->link);
    free(snap->chunks);
    free(snap);
}

void mu_store_free(struct mu_store *s)
{
    MU_LIST_EACH_SAFE(it, &s->snaps)
        snap_drop(s, MU_CONTAINER(it, struct mu_store_snap, link));
    mu_store_lose_tail(s, s->count);
    blob_drop(s, &s->genesis);
    free(s->records);
    free(s->name);
    free(s->holder_addr);
    free(s);
}

struct mu_store_blob *mu_store_record(struct mu_store *s, uint64_t seq)
{
    if (seq == 0)
        return s->genesis.at != NULL ? &s->genesis : NULL;
    return seq >= s->first && seq < s->first + s->count ? &s->records[seq - s->first] : NULL;
}

bool mu_store_has(const struct mu_store *s, uint64_t seq)
{
    if (seq == 0) /* once anything was trimmed, genesis is nobody's predecessor */
        return s->genesis.at != NULL && s->first == 1;
    return seq >= s->first && seq < s->first + s->count;
}

void mu_store_lose_tail(struct mu_store *s, uint64_t count)
{
    for (; count > 0 && s->count > 0; count--)
        blob_drop(s, &s->records[--s->count]);
}

struct mu_store_snap *mu_store_newest(struct mu_store *s)
{
    struct mu_store_snap *best = NULL;

    MU_LIST_EACH(it, &s->snaps) {
        struct mu_store_snap *snap = MU_CONTAINER(it, struct mu_store_snap, link);
        if (snap->seal.at != NULL && (best == NULL || snap->id > best->id))
            best = snap;
    }
    return best;
}

static struct mu_store_snap *snap_find(struct mu_store *s, uint64_t id)
{
    MU_LIST_EACH(it, &s->snaps) {
        struct mu_store_snap *snap = MU_CONTAINER(it, struct mu_store_snap, link);
        if (snap->id == id)
            return snap;
    }
    return NULL;
}

static struct mu_store_snap *snap_make(struct mu_store *s, uint64_t id)
{
    struct mu_store_snap *snap = snap_find(s, id);

    if (snap != NULL)
        return snap;
    snap = calloc(1, sizeof *snap);
    MU_ASSERT(snap != NULL);
    snap->id = id;
    mu_list_add_tail(&s->snaps, &snap->link);
    return snap;
}

static void *grow(void *at, uint64_t count, uint64_t *cap, size_t each)
{
    if (count < *cap)
        return at;
    *cap = *cap == 0 ? 64 : *cap * 2;
    at = realloc(at, *cap * each);
    MU_ASSERT(at != NULL);
    return at;
}

static void item_add(struct mu_buf *items, uint64_t key, const struct mu_store_blob *b)
{
    struct mu_engine_item item = { .key = key, .at = b->at, .size = b->size };

    mu_buf_add(items, &item, sizeof item);
}

static enum mu_engine_end do_lead(struct mu_store *s, struct mu_store_ask *ask, uint64_t now_ns, uint64_t lease_ns)
{
    if (ask->expect != s->token)
        return MU_ENGINE_TOKEN;
    if (s->holder != ask->holder && now_ns < s->lease_until_ns && !ask->hurry)
        return MU_ENGINE_TOKEN;
    s->token++;
    s->holder = ask->holder;
    s->lease_until_ns = now_ns + lease_ns;
    free(s->holder_addr);
    s->holder_addr = mu_str_dup(mu_str_of(ask->addr));
    return MU_ENGINE_OK;
}

static enum mu_engine_end refuse(struct mu_store_ask *ask, enum mu_engine_end end)
{
    ask->refused = true;
    return end;
}

static enum mu_engine_end do_genesis(struct mu_store *s, struct mu_store_ask *ask)
{
    if (s->genesis.at != NULL)
        return MU_ENGINE_TAKEN;
    return blob_put(s, &s->genesis, &ask->call) ? MU_ENGINE_OK : refuse(ask, MU_ENGINE_FULL);
}

static enum mu_engine_end do_append(struct mu_store *s, struct mu_store_ask *ask)
{
    uint64_t seq = ask->call.seq;
    struct mu_store_blob b = { 0 };

    if (seq == 0)
        return do_genesis(s, ask);
    if (ask->call.token != s->token)
        return MU_ENGINE_TOKEN;
    if (mu_store_has(s, seq))
        return MU_ENGINE_TAKEN;
    if (!mu_store_has(s, seq - 1))
        return refuse(ask, MU_ENGINE_GAP);
    if (!blob_put(s, &b, &ask->call))
        return refuse(ask, MU_ENGINE_FULL);
    s->records = grow(s->records, s->count, &s->cap, sizeof *s->records);
    s->records[s->count++] = b;
    return MU_ENGINE_OK;
}

static void do_read(struct mu_store *s, const struct mu_engine_call *call, struct mu_buf *items)
{
    size_t bytes = 0;
    uint64_t seq = call->seq;

    if (seq == 0 && s->genesis.at != NULL) {
        item_add(items, 0, &s->genesis);
        bytes = s->genesis.size;
    }
    if (seq < s->first)
        seq = s->first;
    for (; seq < s->first + s->count && (items->size == 0 || bytes < call->limit); seq++) {
        item_add(items, seq, mu_store_record(s, seq));
        bytes += mu_store_record(s, seq)->size;
    }
}

static enum mu_engine_end do_put(struct mu_store *s, struct mu_store_ask *ask)
{
    struct mu_store_snap *snap = snap_make(s, ask->call.snap);
    uint64_t cap = snap->chunk_count, index = ask->call.index;

    if (index >= snap->chunk_count) {
        snap->chunks = realloc(snap->chunks, (index + 1) * sizeof *snap->chunks);
        MU_ASSERT(snap->chunks != NULL);
        memset(snap->chunks + cap, 0, (index + 1 - cap) * sizeof *snap->chunks);
        snap->chunk_count = index + 1;
    }
    return blob_put(s, &snap->chunks[index], &ask->call) ? MU_ENGINE_OK : refuse(ask, MU_ENGINE_FULL);
}

static enum mu_engine_end do_seal(struct mu_store *s, struct mu_store_ask *ask)
{
    return blob_put(s, &snap_make(s, ask->call.snap)->seal, &ask->call) ? MU_ENGINE_OK : refuse(ask, MU_ENGINE_FULL);
}

static void do_get(struct mu_store *s, const struct mu_engine_call *call, struct mu_buf *items)
{
    struct mu_store_snap *snap = snap_find(s, call->snap);

    if (snap != NULL && call->index < snap->chunk_count && snap->chunks[call->index].at != NULL)
        item_add(items, call->index, &snap->chunks[call->index]);
}

static void do_seals(struct mu_store *s, struct mu_buf *items)
{
    MU_LIST_EACH(it, &s->snaps) {
        struct mu_store_snap *snap = MU_CONTAINER(it, struct mu_store_snap, link);
        if (snap->seal.at != NULL)
            item_add(items, snap->id, &snap->seal);
    }
}

static enum mu_engine_end do_trim(struct mu_store *s, const struct mu_engine_call *call)
{
    uint64_t n = 0;

    while (n < TRIM_PIECE && n + 1 < s->count && s->first + n < call->below)
        blob_drop(s, &s->records[n++]);
    if (n > 0) {
        memmove(s->records, s->records + n, (s->count - n) * sizeof *s->records);
        s->first += n;
        s->count -= n;
    }
    if (n == TRIM_PIECE)
        return MU_ENGINE_MORE;
    MU_LIST_EACH_SAFE(it, &s->snaps) {
        struct mu_store_snap *snap = MU_CONTAINER(it, struct mu_store_snap, link);
        if (snap->id < call->older || snap->id == call->drop)
            snap_drop(s, snap);
    }
    return MU_ENGINE_OK;
}

/* Verbs that change something under a token. */
static bool is_fenced(enum mu_engine_verb verb)
{
    return verb == MU_ENGINE_RENEW || verb == MU_ENGINE_CONFIRM || verb == MU_ENGINE_PUT || verb == MU_ENGINE_SEAL ||
           verb == MU_ENGINE_TRIM || verb == MU_ENGINE_RESIGN;
}

enum mu_engine_end mu_store_do(struct mu_store *s, struct mu_store_ask *ask, uint64_t now_ns, uint64_t lease_ns,
                               struct mu_buf *items)
{
    if (is_fenced(ask->call.verb) && ask->call.token != s->token)
        return MU_ENGINE_TOKEN;
    switch (ask->call.verb) {
    case MU_ENGINE_LEAD:
        return do_lead(s, ask, now_ns, lease_ns);
    case MU_ENGINE_RENEW:
        s->lease_until_ns = now_ns + lease_ns;
        return MU_ENGINE_OK;
    case MU_ENGINE_RESIGN:
        s->holder = 0;
        s->lease_until_ns = 0;
        return MU_ENGINE_OK;
    case MU_ENGINE_APPEND:
        return do_append(s, ask);
    case MU_ENGINE_READ:
        do_read(s, &ask->call, items);
        return MU_ENGINE_OK;
    case MU_ENGINE_PUT:
        return do_put(s, ask);
    case MU_ENGINE_SEAL:
        return do_seal(s, ask);
    case MU_ENGINE_GET:
        do_get(s, &ask->call, items);
        return MU_ENGINE_OK;
    case MU_ENGINE_SEALS:
        do_seals(s, items);
        return MU_ENGINE_OK;
    case MU_ENGINE_TRIM:
        return do_trim(s, &ask->call);
    case MU_ENGINE_CONFIRM:
    case MU_ENGINE_WAIT:
        break;
    }
    return MU_ENGINE_OK;
}
