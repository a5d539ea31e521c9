/* The stored forms. Layout of a head: magic u32, version u32, then the fields in the order written here. */
#include "journal/chain.h"

#include "base/assert.h"
#include "base/le.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum {
    RECORD_MAGIC = 0x524a554d,   /* "MUJR" */
    CHUNK_MAGIC = 0x434a554d,    /* "MUJC" */
    MANIFEST_MAGIC = 0x4d4a554d, /* "MUJM" */
};

struct mu_hasher {
    EVP_MD *md; /* fetched once: an implicit fetch costs as much as hashing a kilobyte */
    EVP_MD_CTX *ctx;
};

struct mu_hasher *mu_hasher_new(void)
{
    struct mu_hasher *h = calloc(1, sizeof *h);

    if (h == NULL)
        return NULL;
    h->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    h->ctx = EVP_MD_CTX_new();
    if (h->md != NULL && h->ctx != NULL)
        return h;
    mu_hasher_free(h);
    return NULL;
}

void mu_hasher_free(struct mu_hasher *h)
{
    if (h == NULL)
        return;
    EVP_MD_CTX_free(h->ctx);
    EVP_MD_free(h->md);
    free(h);
}

void mu_hasher_begin(struct mu_hasher *h)
{
    int ok = EVP_DigestInit_ex2(h->ctx, h->md, NULL);

    MU_ASSERT(ok == 1);
}

void mu_hasher_add(struct mu_hasher *h, const void *bytes, size_t size)
{
    int ok = EVP_DigestUpdate(h->ctx, bytes, size);

    MU_ASSERT(ok == 1);
}

void mu_hasher_end(struct mu_hasher *h, uint8_t *out_hash)
{
    unsigned size = 0;
    int ok = EVP_DigestFinal_ex(h->ctx, out_hash, &size);

    MU_ASSERT(ok == 1 && size == MU_HASH_BYTES);
}

static void hash_of(struct mu_hasher *h, const void *bytes, size_t size, uint8_t *out_hash)
{
    mu_hasher_begin(h);
    mu_hasher_add(h, bytes, size);
    mu_hasher_end(h, out_hash);
}

/* A cursor over fixed-width fields; callers have checked the size. */
static uint8_t *put_u64(uint8_t *at, uint64_t n)
{
    mu_le64_put(at, n);
    return at + sizeof n;
}

static uint8_t *put_raw(uint8_t *at, const void *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

static uint64_t get_u64(const uint8_t **at)
{
    uint64_t n = mu_le64_get(*at);

    *at += sizeof n;
    return n;
}

static void get_raw(const uint8_t **at, void *bytes, size_t size)
{
    memcpy(bytes, *at, size);
    *at += size;
}

static uint8_t *put_head(uint8_t *at, uint32_t magic)
{
    return put_u64(at, (uint64_t)MU_CHAIN_VERSION << 32 | magic);
}

static enum mu_rc get_head(const uint8_t **at, uint32_t magic, const char *what, struct mu_err *err)
{
    uint64_t head = get_u64(at);
    uint32_t version = (uint32_t)(head >> 32);

    if ((uint32_t)head != magic)
        return mu_fail(err, MU_CORRUPT, "a stored %s does not begin as one", what);
    if (version != MU_CHAIN_VERSION)
        return mu_fail(err, version > MU_CHAIN_VERSION ? MU_VERSION : MU_CORRUPT,
                       "a stored %s has format %u; this program knows %u", what, version, MU_CHAIN_VERSION);
    return MU_OK;
}

static enum mu_rc check_hash(struct mu_hasher *h, const uint8_t *bytes, size_t size, uint8_t *out_hash,
                             const char *what, struct mu_err *err)
{
    hash_of(h, bytes, size, out_hash);
    if (memcmp(out_hash, bytes + size, MU_HASH_BYTES) != 0)
        return mu_fail(err, MU_CORRUPT, "a stored %s does not match its hash", what);
    return MU_OK;
}

void mu_record_seal(struct mu_hasher *h, struct mu_record *r, uint8_t *bytes)
{
    uint8_t *at = put_head(bytes, RECORD_MAGIC);

    at = put_u64(at, r->size);
    at = put_u64(at, r->epoch);
    at = put_u64(at, r->seq);
    at = put_raw(at, r->cluster, MU_CLUSTER_BYTES);
    at = put_raw(at, r->nonce, MU_NONCE_BYTES);
    at = put_raw(at, r->prev, MU_HASH_BYTES);
    MU_ASSERT(at == bytes + MU_RECORD_HEAD);
    hash_of(h, bytes, MU_RECORD_HEAD + (size_t)r->size, r->hash);
    put_raw(at + r->size, r->hash, MU_HASH_BYTES);
}

enum mu_rc mu_record_open(struct mu_hasher *h, struct mu_record *out, const uint8_t *bytes, size_t size,
                          struct mu_err *err)
{
    const uint8_t *at = bytes;
    enum mu_rc rc;

    if (size < MU_RECORD_EXTRA)
        return mu_fail(err, MU_CORRUPT, "a stored record is cut to %zu bytes", size);
    rc = get_head(&at, RECORD_MAGIC, "record", err);
    if (rc != MU_OK)
        return rc;
    if (get_u64(&at) != size - MU_RECORD_EXTRA)
        return mu_fail(err, MU_CORRUPT, "a stored record does not have its length");
    out->epoch = get_u64(&at);
    out->seq = get_u64(&at);
    get_raw(&at, out->cluster, MU_CLUSTER_BYTES);
    get_raw(&at, out->nonce, MU_NONCE_BYTES);
    get_raw(&at, out->prev, MU_HASH_BYTES);
    out->payload = at;
    out->size = (uint32_t)(size - MU_RECORD_EXTRA);
    return check_hash(h, bytes, size - MU_HASH_BYTES, out->hash, "record", err);
}

void mu_genesis_put(const struct mu_genesis *g, uint8_t *bytes)
{
    put_u64(put_u64(bytes, g->epoch_base), g->made_by);
}

bool mu_genesis_get(struct mu_genesis *out, const uint8_t *bytes, size_t size)
{
    if (size != MU_GENESIS_BYTES)
        return false;
    out->epoch_base = get_u64(&bytes);
    out->made_by = get_u64(&bytes);
    return true;
}

void mu_chunk_seal(struct mu_hasher *h, struct mu_chunk *c, uint8_t *bytes)
{
    uint8_t *at = put_head(bytes, CHUNK_MAGIC);

    at = put_u64(at, c->snap);
    at = put_u64(at, c->index);
    at = put_u64(at, c->size);
    at = put_raw(at, c->cluster, MU_CLUSTER_BYTES);
    MU_ASSERT(at == bytes + MU_CHUNK_HEAD);
    hash_of(h, bytes, MU_CHUNK_HEAD + (size_t)c->size, c->hash);
    put_raw(at + c->size, c->hash, MU_HASH_BYTES);
}

enum mu_rc mu_chunk_open(struct mu_hasher *h, struct mu_chunk *out, const uint8_t *bytes, size_t size,
                         struct mu_err *err)
{
    const uint8_t *at = bytes;
    enum mu_rc rc;

    if (size < MU_CHUNK_EXTRA)
        return mu_fail(err, MU_CORRUPT, "a stored chunk is cut to %zu bytes", size);
    rc = get_head(&at, CHUNK_MAGIC, "chunk", err);
    if (rc != MU_OK)
        return rc;
    out->snap = get_u64(&at);
    out->index = get_u64(&at);
    if (get_u64(&at) != size - MU_CHUNK_EXTRA)
        return mu_fail(err, MU_CORRUPT, "a stored chunk does not have its length");
    get_raw(&at, out->cluster, MU_CLUSTER_BYTES);
    out->payload = at;
    out->size = (uint32_t)(size - MU_CHUNK_EXTRA);
    return check_hash(h, bytes, size - MU_HASH_BYTES, out->hash, "chunk", err);
}

void mu_manifest_seal(struct mu_hasher *h, const struct mu_manifest *m, uint8_t *bytes)
{
    uint8_t hash[MU_HASH_BYTES], *at = put_head(bytes, MANIFEST_MAGIC);

    at = put_u64(at, m->snap);
    at = put_u64(at, m->upto);
    at = put_u64(at, m->epoch);
    at = put_u64(at, m->bytes);
    at = put_u64(at, m->chunks);
    at = put_raw(at, m->cluster, MU_CLUSTER_BYTES);
    at = put_raw(at, m->digest, MU_HASH_BYTES);
    at = put_raw(at, m->chain, MU_HASH_BYTES);
    MU_ASSERT(at == bytes + MU_MANIFEST_BYTES - MU_HASH_BYTES);
    hash_of(h, bytes, MU_MANIFEST_BYTES - MU_HASH_BYTES, hash);
    put_raw(at, hash, MU_HASH_BYTES);
}

enum mu_rc mu_manifest_open(struct mu_hasher *h, struct mu_manifest *out, const uint8_t *bytes, size_t size,
                            struct mu_err *err)
{
    const uint8_t *at = bytes;
    uint8_t hash[MU_HASH_BYTES];
    enum mu_rc rc;

    if (size != MU_MANIFEST_BYTES)
        return mu_fail(err, MU_CORRUPT, "a stored manifest has %zu bytes", size);
    rc = get_head(&at, MANIFEST_MAGIC, "manifest", err);
    if (rc != MU_OK)
        return rc;
    out->snap = get_u64(&at);
    out->upto = get_u64(&at);
    out->epoch = get_u64(&at);
    out->bytes = get_u64(&at);
    out->chunks = get_u64(&at);
    get_raw(&at, out->cluster, MU_CLUSTER_BYTES);
    get_raw(&at, out->digest, MU_HASH_BYTES);
    get_raw(&at, out->chain, MU_HASH_BYTES);
    return check_hash(h, bytes, MU_MANIFEST_BYTES - MU_HASH_BYTES, hash, "manifest", err);
}
