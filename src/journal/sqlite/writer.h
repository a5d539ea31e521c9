/* journal/sqlite/writer.h -- the thread that owns the database, and the way to it and back.
 *
 * What       calls go in, appends that have gathered share one transaction and one sync; answers come back on the loop.
 *            Checkpoints happen here when nothing else is to do.
 * Ownership  the writer owns the database and the place from a good open on.
 * Time       none.   Threads  start and close on the loop; one thread inside.
 * Failure    after FATAL or CORRUPT every call ends so.   Limits  none of its own: callers bound what is out.
 */
#ifndef MU_JOURNAL_SQLITE_WRITER_H
#define MU_JOURNAL_SQLITE_WRITER_H

#include "journal/sqlite/db.h"
#include "journal/sqlite/place.h"

struct mu_writer;

/* place NULL: no marks (read only). */
enum mu_rc mu_writer_open(struct mu_writer **out_writer, struct mu_db *db, struct mu_place *place,
                          const struct mu_journal_host *host, struct mu_err *err);
void mu_writer_start(struct mu_writer *w, struct mu_engine_call *call);
/* Bytes used and bytes that could be (used + free), as last seen. */
void mu_writer_space(const struct mu_writer *w, uint64_t *out_used, uint64_t *out_quota);
/* Waits for the transaction that is on its way; then no callback any more. The database is closed. */
void mu_writer_close(struct mu_writer *w);

#endif
