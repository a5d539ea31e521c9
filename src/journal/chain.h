/* journal/chain.h -- how records, chunks and manifests look in a store, and the hash that ties them together.
 *
 * What       record: magic, version, length, cluster id, epoch, seq, nonce, hash of the record before, payload, hash of
 *            all that. Chunk and manifest likewise. All numbers little-endian, SHA-256 throughout.
 * Ownership  decoded structs point into the bytes they were decoded from.
 * Time, Threads  none; a hasher belongs to one thread.
 * Failure    MU_CORRUPT for wrong bytes, MU_VERSION for a newer format.
 * Limits     payload below 4 GiB.
 */
#ifndef MU_JOURNAL_CHAIN_H
#define MU_JOURNAL_CHAIN_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MU_CHAIN_VERSION = 1,
    MU_HASH_BYTES = 32,
    MU_CLUSTER_BYTES = 16,
    MU_NONCE_BYTES = 16,
    MU_RECORD_HEAD = 96,
    MU_RECORD_EXTRA = MU_RECORD_HEAD + MU_HASH_BYTES,
    MU_CHUNK_HEAD = 48,
    MU_CHUNK_EXTRA = MU_CHUNK_HEAD + MU_HASH_BYTES,
    MU_MANIFEST_BYTES = 160,
    MU_GENESIS_BYTES = 16,
};

struct mu_hasher;
struct mu_hasher *mu_hasher_new(void); /* NULL: no memory, or no SHA-256 */
void mu_hasher_free(struct mu_hasher *h);
void mu_hasher_begin(struct mu_hasher *h);
void mu_hasher_add(struct mu_hasher *h, const void *bytes, size_t size);
void mu_hasher_end(struct mu_hasher *h, uint8_t *out_hash);

struct mu_record {
    uint64_t epoch, seq;
    uint8_t cluster[MU_CLUSTER_BYTES], nonce[MU_NONCE_BYTES], prev[MU_HASH_BYTES], hash[MU_HASH_BYTES];
    const uint8_t *payload;
    uint32_t size;
};
/* The payload stands at bytes + MU_RECORD_HEAD already; writes the head and the hash, and r->hash. */
void mu_record_seal(struct mu_hasher *h, struct mu_record *r, uint8_t *bytes);
/* Form and hash; whether it continues the chain is the caller's question. */
enum mu_rc mu_record_open(struct mu_hasher *h, struct mu_record *out, const uint8_t *bytes, size_t size,
                          struct mu_err *err);

/* Payload of seq 0. */
struct mu_genesis {
    uint64_t epoch_base, made_by; /* made_by: format version of its maker */
};
void mu_genesis_put(const struct mu_genesis *g, uint8_t *bytes);
bool mu_genesis_get(struct mu_genesis *out, const uint8_t *bytes, size_t size);

struct mu_chunk {
    uint64_t snap, index;
    uint32_t size;
    uint8_t cluster[MU_CLUSTER_BYTES], hash[MU_HASH_BYTES];
    const uint8_t *payload;
};
void mu_chunk_seal(struct mu_hasher *h, struct mu_chunk *c, uint8_t *bytes);
enum mu_rc mu_chunk_open(struct mu_hasher *h, struct mu_chunk *out, const uint8_t *bytes, size_t size,
                         struct mu_err *err);

struct mu_manifest {
    uint64_t snap, upto, epoch, bytes, chunks;
    uint8_t cluster[MU_CLUSTER_BYTES];
    uint8_t digest[MU_HASH_BYTES]; /* over the hashes of all chunks, in order */
    uint8_t chain[MU_HASH_BYTES];  /* hash of record upto */
};
void mu_manifest_seal(struct mu_hasher *h, const struct mu_manifest *m, uint8_t *bytes);
enum mu_rc mu_manifest_open(struct mu_hasher *h, struct mu_manifest *out, const uint8_t *bytes, size_t size,
                            struct mu_err *err);

#endif
