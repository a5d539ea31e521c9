/* journal/sqlite/place.h -- where a journal file may live, and who has it open.
 *
 * What       the path behind a url; the lock that keeps a second process out for as long as this one lives; the marker
 *            that remembers how far the journal reached.
 * Ownership  struct mu_place owns its path and descriptors.   Time, Threads  none; the marker belongs to the writer.
 * Failure    MU_BUSY names the process that has it open; MU_UNSUPPORTED for file systems of other machines.
 * Limits     PATH_MAX.
 */
#ifndef MU_JOURNAL_SQLITE_PLACE_H
#define MU_JOURNAL_SQLITE_PLACE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum { MU_MARK_HASH = 32 };

struct mu_place {
    char *path;
    int lock, marker; /* -1: none */
    unsigned slot;    /* the marker's next */
};

/* rest: behind "sqlite:"; empty: journal.db in data_dir. read_only shares the lock with others that only read, and makes
 * no file. */
enum mu_rc mu_place_open(struct mu_place *p, const char *rest, const char *data_dir, bool read_only,
                         struct mu_err *err);
/* Accepts what open left half done. */
void mu_place_close(struct mu_place *p);

/* Record seq with this hash is durable. No sync of its own: it may lag behind the journal, it never leads. False: the
 * disk failed. */
bool mu_mark_put(struct mu_place *p, uint64_t seq, const uint8_t *hash);
/* The furthest mark; false: there is none. */
bool mu_mark_get(struct mu_place *p, uint64_t *out_seq, uint8_t *out_hash);
/* Forget the marks: an older journal was put in place on purpose. */
bool mu_mark_clear(struct mu_place *p);

/* By the kernel's number (statfs f_type): kept by another machine, so that its locks and syncs are promises. */
bool mu_fs_is_remote(uint64_t type);

#endif
