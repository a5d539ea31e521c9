/* Any bytes as a record, chunk or manifest of a journal, with a good hash put on them: what a writer with other ideas,
 * not a broken disk, could have left. */
#include "fuzz/fuzz.h"
#include "journal/chain.h"

#include <stdlib.h>
#include <string.h>

static void put_hash(struct mu_hasher *h, uint8_t *bytes, size_t size)
{
    mu_hasher_begin(h);
    mu_hasher_add(h, bytes, size - MU_HASH_BYTES);
    mu_hasher_end(h, bytes + size - MU_HASH_BYTES);
}

/* What was understood, written again, is the same. */
static void try_record(struct mu_hasher *h, const uint8_t *bytes, size_t size, uint8_t *again)
{
    struct mu_record r;

    if (mu_record_open(h, &r, bytes, size, NULL) != MU_OK)
        return;
    MU_ASSERT(r.payload == bytes + MU_RECORD_HEAD && r.size == size - MU_RECORD_EXTRA);
    memcpy(again + MU_RECORD_HEAD, r.payload, r.size);
    mu_record_seal(h, &r, again);
    MU_ASSERT(memcmp(again, bytes, size) == 0);
}

static void try_chunk(struct mu_hasher *h, const uint8_t *bytes, size_t size, uint8_t *again)
{
    struct mu_chunk c;

    if (mu_chunk_open(h, &c, bytes, size, NULL) != MU_OK)
        return;
    MU_ASSERT(c.payload == bytes + MU_CHUNK_HEAD && c.size == size - MU_CHUNK_EXTRA);
    memcpy(again + MU_CHUNK_HEAD, c.payload, c.size);
    mu_chunk_seal(h, &c, again);
    MU_ASSERT(memcmp(again, bytes, size) == 0);
}

static void try_manifest(struct mu_hasher *h, const uint8_t *bytes, size_t size, uint8_t *again)
{
    struct mu_manifest m;

    if (mu_manifest_open(h, &m, bytes, size, NULL) != MU_OK)
        return;
    mu_manifest_seal(h, &m, again);
    MU_ASSERT(memcmp(again, bytes, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_hasher *h = mu_hasher_new();
    uint8_t *bytes = malloc(size + 1), *again = malloc(size + 1);

    MU_ASSERT(h != NULL && bytes != NULL && again != NULL);
    memcpy(bytes, data, size);
    if (size >= MU_HASH_BYTES)
        put_hash(h, bytes, size);
    try_record(h, bytes, size, again);
    try_chunk(h, bytes, size, again);
    try_manifest(h, bytes, size, again);
    free(again);
    free(bytes);
    mu_hasher_free(h);
    return 0;
}
