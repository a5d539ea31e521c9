/* test/unit/records.h -- any record, filled and shown by its table alone.
 *
 * What       random and fixed contents for every schema; protobuf's text format; the list of all schemas.
 * Ownership  what is filled in lives in the arena.
 * Time, Threads, Failure, Limits: none.
 */
#ifndef MU_TEST_RECORDS_H
#define MU_TEST_RECORDS_H

#include "base/pb.h"
#include "base/rng.h"

/* A new struct of pb: every field drawn at random, a third of them zero or empty. */
void *mu_record_random(const struct mu_pb *pb, struct mu_rng *rng, struct mu_arena *arena);
/* A new struct of pb: no field zero, values made from the tags; always the same. */
void *mu_record_fixed(const struct mu_pb *pb, struct mu_arena *arena);
/* Protobuf text format, as protoc prints it. */
void mu_record_text(struct mu_buf *b, const struct mu_pb *pb, const void *msg, unsigned indent);

#endif
