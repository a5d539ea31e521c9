/* test/fuzz/fuzz.h -- a fuzz target: one function that must survive any bytes.
 *
 * What       LLVMFuzzerTestOneInput of each NAME_fuzz.c. With -Dlibfuzzer=true (clang) libFuzzer drives it;
 *            otherwise replay.c does, over corpus/NAME and mutations of it that are the same on each run.
 *            A target asserts more than survival: what decodes must encode and decode to the same again.
 * Ownership  the bytes are the driver's, on the heap at their exact size.
 * Time, Threads  none.   Failure  MU_ASSERT or a sanitizer stops the process.   Limits  the target's own.
 */
#ifndef MU_TEST_FUZZ_H
#define MU_TEST_FUZZ_H

#include "base/assert.h"

#include <stddef.h>
#include <stdint.h>

enum { MU_FUZZ_ARENA = 16 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
