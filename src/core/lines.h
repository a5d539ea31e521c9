/* core/lines.h -- the command lines of a group: text in appended chunks, with an offset every few lines.
 *
 * What       one line a task; costs its bytes and half a byte.
 * Ownership  text is copied.   Time, Threads  none.
 * Failure    no memory aborts.   Limits  4 GiB a chunk; small appends share one.
 */
#ifndef MU_CORE_LINES_H
#define MU_CORE_LINES_H

#include "base/str.h"

struct mu_lines_chunk;
struct mu_lines {
    struct mu_lines_chunk *at;
    uint32_t count, cap; /* chunks */
    uint32_t lines;
    uint64_t bytes;
};

void mu_lines_fini(struct mu_lines *l);
/* How many lines: every line ends with a newline; 0 if the last does not, or there is none. */
uint32_t mu_lines_count(struct mu_str text);
/* Append whole lines. */
void mu_lines_add(struct mu_lines *l, struct mu_str text);
/* Line i without its newline. */
struct mu_str mu_lines_get(const struct mu_lines *l, uint32_t i);
/* The text as it lies in memory, piece by piece; false past the end. */
bool mu_lines_piece(const struct mu_lines *l, uint32_t i, struct mu_str *out_text);
/* What is wrong with it, NULL nothing. O(bytes). */
const char *mu_lines_flaw(const struct mu_lines *l);

#endif
