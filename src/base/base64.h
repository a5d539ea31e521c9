/* base/base64.h -- bytes as base64 text.
 *
 * What       the standard digits with padding, or those of URLs and file names without (RFC 4648, 4 and 5).
 * Ownership  appends to the caller's buffer.
 * Time, Threads, Failure, Limits: none.
 */
#ifndef MU_BASE_BASE64_H
#define MU_BASE_BASE64_H

#include "base/str.h"

void mu_base64_put(struct mu_buf *b, const void *bytes, size_t size, bool url);

#endif
