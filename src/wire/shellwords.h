/* wire/shellwords.h -- does a command line need a shell? If not, its words, as a shell would split them.
 *
 * What       a line of plain words and quotes is run directly, which spares a process; make does the same. When in doubt
 *            the answer is "a shell": then the line is handed to /bin/sh -c unchanged.
 * Ownership  words live in the arena.
 * Time, Threads  none.
 * Failure    NULL: it needs a shell (or is empty).
 * Limits     MU_SHELLWORDS_MAX words.
 */
#ifndef MU_WIRE_SHELLWORDS_H
#define MU_WIRE_SHELLWORDS_H

#include "base/arena.h"
#include "base/str.h"

enum { MU_SHELLWORDS_MAX = 4096 };

/* A NULL-terminated array. */
char **mu_shellwords(struct mu_str line, struct mu_arena *arena, uint32_t *out_count);

#endif
