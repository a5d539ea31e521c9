/* io/gzip.h -- read a file that may be gzipped.
 *
 * What       plain and gzip files alike, whole, into memory.
 * Ownership  the caller's buffer.   Time  blocking.   Threads  any.
 * Failure    MU_IO with the path and the reason; MU_TOOBIG past max; out may then hold a part.
 * Limits     max bytes of plain text.
 */
#ifndef MU_IO_GZIP_H
#define MU_IO_GZIP_H

#include "base/err.h"
#include "base/str.h"

enum mu_rc mu_gzip_read(const char *path, size_t max, struct mu_buf *out, struct mu_err *err);

#endif
