/* core/snapshot.h -- the stream a snapshot is: numbers and texts in blocks, chained by a hash.
 *
 * What       a writer that keeps the blocks or only hashes them, and a reader that checks while it reads.
 * Ownership  texts read point into the input.   Time, Threads  none.
 * Failure    a reader once bad stays bad and yields 0.
 * Limits     a number or text never spans two blocks. Format: block = length, bytes; a block of length 0 ends it,
 *            then 8 bytes of hash.
 */
#ifndef MU_CORE_SNAPSHOT_H
#define MU_CORE_SNAPSHOT_H

#include "base/pb.h"

struct mu_snap_out {
    struct mu_buf *to; /* NULL: hash only */
    struct mu_buf block;
    uint64_t hash;
};
void mu_snap_put(struct mu_snap_out *out, uint64_t n);
void mu_snap_put_text(struct mu_snap_out *out, struct mu_str text);
/* The last block and the hash; the writer is spent. */
uint64_t mu_snap_end(struct mu_snap_out *out);

struct mu_snap_in {
    struct mu_reader all, block;
    uint64_t hash;
    bool bad, ended;
};
struct mu_snap_in mu_snap_in_of(const void *bytes, size_t size);
uint64_t mu_snap_get(struct mu_snap_in *in);
/* Up to a limit: more is damage. */
uint64_t mu_snap_get_max(struct mu_snap_in *in, uint64_t max);
struct mu_str mu_snap_get_text(struct mu_snap_in *in);
/* Was everything read, and whole? */
bool mu_snap_done(struct mu_snap_in *in);

#endif
