/* test/unit/golden/schemas.h -- every record that is stored or sent, and where its past and its definition lie.
 *
 * What       the list that golden bytes and doc/muster.proto are made from; a new root is one row in schemas.c.
 * Ownership, Time, Threads, Limits: none.
 * Failure    mu_test_read fails the test when the file cannot be read.
 */
#ifndef MU_TEST_SCHEMAS_H
#define MU_TEST_SCHEMAS_H

#include "base/pb.h"

#define MU_TEST_GOLDEN MU_TEST_SOURCE "/test/unit/golden/records.txt"
#define MU_TEST_PROTO MU_TEST_SOURCE "/doc/muster.proto"

extern const struct mu_pb *const mu_test_schemas[];
extern const size_t mu_test_schemas_count;

/* Append the contents of a file. */
void mu_test_read(struct mu_buf *b, const char *path);
void mu_test_write(struct mu_str text, const char *path);

#endif
