/* journal/sqlite/db.h -- the database file: what each verb is in SQL.
 *
 * What       one connection: WAL, synchronous=FULL. Tables: meta (token, genesis), rec, chunk, seal.
 * Ownership  items of an answer live in the caller's struct mu_db_items.
 * Time       none.   Threads  one at a time; opened by the loop, used by the writer.
 * Failure    enum mu_engine_end; text() says what the engine said. After FATAL or CORRUPT only close.
 * Limits     MU_DB_VERSION is the newest format understood.
 */
#ifndef MU_JOURNAL_SQLITE_DB_H
#define MU_JOURNAL_SQLITE_DB_H

#include "base/str.h"
#include "journal/engine.h"

enum { MU_DB_VERSION = 1, MU_DB_LOG_BYTES = 8 << 20 };

struct mu_db;

struct mu_db_items {
    struct mu_buf bytes, items; /* items: struct mu_engine_item, at set by mu_db_items_fix */
};
void mu_db_items_fini(struct mu_db_items *it);

/* Makes the tables in an empty file unless read_only. */
enum mu_rc mu_db_open(struct mu_db **out_db, const char *path, bool read_only, struct mu_err *err);
void mu_db_close(struct mu_db *db); /* accepts NULL */
const char *mu_db_text(const struct mu_db *db);

/* The last record: its seq (0: only genesis) and the last 32 bytes of it or of record at. */
enum mu_engine_end mu_db_tail(struct mu_db *db, uint64_t *out_seq);
enum mu_engine_end mu_db_hash_at(struct mu_db *db, uint64_t seq, bool *out_found, uint8_t *out_hash);
/* An older copy was put in place: lift the token above all that may have been given out since. */
enum mu_engine_end mu_db_lift(struct mu_db *db);

/* Appends between begin and commit become durable together. If commit is not OK, none did (FULL) or the process stops. */
enum mu_engine_end mu_db_begin(struct mu_db *db);
enum mu_engine_end mu_db_append(struct mu_db *db, const struct mu_engine_call *call);
enum mu_engine_end mu_db_commit(struct mu_db *db);
/* Instead of commit, because of end: end again if nothing is half done, else FATAL. */
enum mu_engine_end mu_db_undo(struct mu_db *db, enum mu_engine_end end);
/* Every other verb but WAIT. */
enum mu_engine_end mu_db_do(struct mu_db *db, const struct mu_engine_call *call, struct mu_engine_answer *a,
                            struct mu_db_items *items);

/* Bytes that wait in the log for a checkpoint; move them to their place. FULL is no harm: they stay in the log. */
uint64_t mu_db_log_bytes(const struct mu_db *db);
enum mu_engine_end mu_db_checkpoint(struct mu_db *db);
uint64_t mu_db_used(struct mu_db *db);
/* Lengthen the log's file by a piece, up to MU_DB_LOG_BYTES: a sync that need not move the end of a file costs half or
 * less. False: nothing left to do. */
bool mu_db_log_extend(struct mu_db *db);

#endif
