/* The list of promises; each takes a row (struct row) as its state. Numbers are those of the journal's contract. */
#ifndef MU_TEST_JOURNAL_CONFORMANCE_H
#define MU_TEST_JOURNAL_CONFORMANCE_H

#include "journal/rig.h"

#define CONFORMANCE_MAP(X)                             \
    X(c1_reopened_it_is_the_same)                      \
    X(c2_many_of_every_size)                           \
    X(c3_the_largest_fits_and_one_more_byte_does_not)  \
    X(c10_a_late_copy_is_never_taken)                  \
    X(c12_a_wrong_epoch_or_seq_is_refused_at_once)     \
    X(c12_the_engine_refuses_by_each_condition_alone)  \
    X(c30_close_completes_what_is_open)

#define X(name) void name(void **state);
CONFORMANCE_MAP(X)
#undef X

#endif
