#include "journal/sqlite/db.h"

#include "journal/chain.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    APPLICATION_ID = 0x4d554a4c, /* "MUJL" */
    PAGE_BYTES = 16384,   /* a snapshot costs half the processor time of 4096, a small record no more */
    BUSY_MS = 2000,       /* somebody looks at the file with a tool of their own */
    TRIM_RECORDS = 256,   /* one piece */
    TRIM_CHUNKS = 16,
    VACUUM_PAGES = 512,
    LIFT_SHIFT = 32,
    LOG_PIECE = 1 << 20,
    LOG_FREE_MIN = 32 * MU_DB_LOG_BYTES,
};

#define SQL_MAP(X)                                                                                              \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                                 \
    X(COMMIT, "COMMIT")                                                                                         \
    X(ROLLBACK, "ROLLBACK")                                                                                     \
    X(TOKEN, "SELECT token FROM meta")                                                                          \
    X(LEAD, "UPDATE meta SET token = token + 1")                                                                \
    X(LIFT, "UPDATE meta SET token = ((token >> ?1) + 1) << ?1")                                                \
    X(GENESIS, "SELECT genesis FROM meta WHERE genesis IS NOT NULL")                                            \
    X(FOUND, "UPDATE meta SET genesis = ?1 WHERE genesis IS NULL")                                              \
    X(FIRST, "INSERT INTO rec(seq, bytes) VALUES(0, ?1)")                                                       \
    X(APPEND, "INSERT INTO rec(seq, bytes) SELECT ?1, ?2 FROM meta"                                             \
              " WHERE token = ?3 AND (SELECT max(seq) FROM rec) = ?1 - 1")                                      \
    X(TAIL, "SELECT max(seq) FROM rec")                                                                         \
    X(HEAD, "SELECT min(seq) FROM rec")                                                                         \
    X(READ, "SELECT seq, bytes FROM rec WHERE seq >= ?1 AND seq > 0 ORDER BY seq")                              \
    X(HASH, "SELECT substr(bytes, -32) FROM rec WHERE seq = ?1")                                                \
    X(PUT, "INSERT OR REPLACE INTO chunk(snap, part, bytes) VALUES(?1, ?2, ?3)")                                \
    X(GET, "SELECT rowid FROM chunk WHERE snap = ?1 AND part = ?2")                                             \
    X(SEAL, "INSERT OR REPLACE INTO seal(snap, bytes) VALUES(?1, ?2)")                                          \
    X(SEALS, "SELECT snap, bytes FROM seal ORDER BY rowid")                                                     \
    X(TRIM_REC, "DELETE FROM rec WHERE seq < ?1")                                                               \
    X(TRIM_SEAL, "DELETE FROM seal WHERE snap < ?1 OR snap = ?2")                                \
    X(TRIM_CHUNK, "DELETE FROM chunk WHERE rowid IN"                                                            \
                  " (SELECT rowid FROM chunk WHERE snap < ?1 OR snap = ?2 LIMIT ?3)")            \
    X(FREE, "PRAGMA freelist_count")                                                                            \
    X(PAGES, "PRAGMA page_count")

#define X(name, sql) SQL_##name,
enum sql { SQL_MAP(X) SQL_COUNT };
#undef X
#define X(name, sql) sql,
static const char *const sqls[] = { SQL_MAP(X) };
#undef X

struct mu_db {
    sqlite3 *sqlite;
    sqlite3_stmt *made[SQL_COUNT];
    int log_pages, page_bytes;
    int log_fd; /* for mu_db_log_extend, -1 when there is no more to do */
    char text[200];
};

void mu_db_items_fini(struct mu_db_items *it)
{
    mu_buf_fini(&it->bytes);
    mu_buf_fini(&it->items);
}

const char *mu_db_text(const struct mu_db *db)
{
    return db->text;
}

/* What an error code means for the journal. */
static enum mu_engine_end end_of(struct mu_db *db, int code)
{
    snprintf(db->text, sizeof db->text, "%s (%s, %d)", sqlite3_errmsg(db->sqlite), sqlite3_errstr(code),
             sqlite3_extended_errcode(db->sqlite));
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return MU_ENGINE_OK;
    case SQLITE_FULL:
        return MU_ENGINE_FULL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return MU_ENGINE_CORRUPT;
    default:
        return MU_ENGINE_FATAL;
    }
}

static sqlite3_stmt *stmt(struct mu_db *db, enum sql which)
{
    return db->made[which];
}

/* Run a statement that gives no rows, and make it ready again. */
static enum mu_engine_end run(struct mu_db *db, enum sql which)
{
    int code = sqlite3_step(stmt(db, which));
    enum mu_engine_end end = code == SQLITE_DONE ? MU_ENGINE_OK : end_of(db, code);

    sqlite3_reset(stmt(db, which));
    sqlite3_clear_bindings(stmt(db, which));
    return end;
}

/* The one number of a statement's first row; found false: no row, or NULL. */
static enum mu_engine_end number(struct mu_db *db, enum sql which, bool *found, uint64_t *out)
{
    int code = sqlite3_step(stmt(db, which));
    enum mu_engine_end end = end_of(db, code);

    *found = code == SQLITE_ROW && sqlite3_column_type(stmt(db, which), 0) != SQLITE_NULL;
    if (*found)
        *out = (uint64_t)sqlite3_column_int64(stmt(db, which), 0);
    sqlite3_reset(stmt(db, which));
    sqlite3_clear_bindings(stmt(db, which));
    return end;
}

static void bind_u64(struct mu_db *db, enum sql which, int at, uint64_t n)
{
    int code = sqlite3_bind_int64(stmt(db, which), at, (sqlite3_int64)n);

    MU_ASSERT(code == SQLITE_OK);
}

static void bind_bytes(struct mu_db *db, enum sql which, int at, const struct mu_engine_call *call)
{
    int code = sqlite3_bind_blob64(stmt(db, which), at, call->bytes, call->size, SQLITE_STATIC);

    MU_ASSERT(code == SQLITE_OK);
}

enum mu_engine_end mu_db_begin(struct mu_db *db)
{
    return run(db, SQL_BEGIN);
}

enum mu_engine_end mu_db_undo(struct mu_db *db, enum mu_engine_end end)
{
    if (!sqlite3_get_autocommit(db->sqlite) && (run(db, SQL_ROLLBACK) != MU_ENGINE_OK || !sqlite3_get_autocommit(db->sqlite)))
        return MU_ENGINE_FATAL;
    return end;
}

enum mu_engine_end mu_db_commit(struct mu_db *db)
{
    enum mu_engine_end end = run(db, SQL_COMMIT);

    return end == MU_ENGINE_OK ? end : mu_db_undo(db, end);
}

static enum mu_engine_end token_is(struct mu_db *db, uint64_t token)
{
    uint64_t now = 0;
    bool found;
    enum mu_engine_end end = number(db, SQL_TOKEN, &found, &now);

    return end != MU_ENGINE_OK ? end : found && now == token ? MU_ENGINE_OK : MU_ENGINE_TOKEN;
}

static enum mu_engine_end append_genesis(struct mu_db *db, const struct mu_engine_call *call)
{
    enum mu_engine_end end;

    bind_bytes(db, SQL_FOUND, 1, call);
    end = run(db, SQL_FOUND);
    if (end != MU_ENGINE_OK)
        return end;
    if (sqlite3_changes(db->sqlite) == 0)
        return MU_ENGINE_TAKEN;
    bind_bytes(db, SQL_FIRST, 1, call);
    return run(db, SQL_FIRST);
}

/* Nothing was inserted: which of the conditions was it? */
static enum mu_engine_end why_refused(struct mu_db *db, const struct mu_engine_call *call)
{
    uint64_t tail = 0;
    enum mu_engine_end end = token_is(db, call->token);

    if (end != MU_ENGINE_OK)
        return end;
    end = mu_db_tail(db, &tail);
    if (end != MU_ENGINE_OK)
        return end;
    return tail >= call->seq ? MU_ENGINE_TAKEN : MU_ENGINE_GAP;
}

enum mu_engine_end mu_db_append(struct mu_db *db, const struct mu_engine_call *call)
{
    enum mu_engine_end end;

    if (call->seq == 0)
        return append_genesis(db, call);
    bind_u64(db, SQL_APPEND, 1, call->seq);
    bind_bytes(db, SQL_APPEND, 2, call);
    bind_u64(db, SQL_APPEND, 3, call->token);
    end = run(db, SQL_APPEND);
    if (end != MU_ENGINE_OK || sqlite3_changes(db->sqlite) == 1)
        return end;
    return why_refused(db, call);
}

enum mu_engine_end mu_db_tail(struct mu_db *db, uint64_t *out_seq)
{
    bool found;

    *out_seq = 0;
    return number(db, SQL_TAIL, &found, out_seq);
}

enum mu_engine_end mu_db_hash_at(struct mu_db *db, uint64_t seq, bool *out_found, uint8_t *out_hash)
{
    sqlite3_stmt *s = stmt(db, SQL_HASH);
    int code;

    bind_u64(db, SQL_HASH, 1, seq);
    code = sqlite3_step(s);
    *out_found = code == SQLITE_ROW && sqlite3_column_bytes(s, 0) == MU_HASH_BYTES;
    if (*out_found)
        memcpy(out_hash, sqlite3_column_blob(s, 0), MU_HASH_BYTES);
    sqlite3_reset(s);
    return end_of(db, code);
}

enum mu_engine_end mu_db_lift(struct mu_db *db)
{
    bind_u64(db, SQL_LIFT, 1, LIFT_SHIFT);
    return run(db, SQL_LIFT);
}

static enum mu_engine_end do_lead(struct mu_db *db, struct mu_engine_answer *a)
{
    bool found;
    enum mu_engine_end end = run(db, SQL_LEAD);

    if (end != MU_ENGINE_OK)
        return mu_db_undo(db, end);
    end = number(db, SQL_TOKEN, &found, &a->token);
    return end == MU_ENGINE_OK && !found ? MU_ENGINE_CORRUPT : end;
}

/* A blob column onto the end of the answer. */
static void item_add(struct mu_db_items *items, uint64_t key, const void *bytes, size_t size)
{
    struct mu_engine_item item = { .key = key, .size = size };

    mu_buf_add(&items->items, &item, sizeof item);
    if (size != 0)
        mu_buf_add(&items->bytes, bytes, size);
}

static void column_add(struct mu_db_items *items, uint64_t key, sqlite3_stmt *s, int column)
{
    const void *bytes = sqlite3_column_blob(s, column);

    item_add(items, key, bytes, (size_t)sqlite3_column_bytes(s, column));
}

/* The buffer has stopped moving: let the items point into it. */
static void items_fix(struct mu_db_items *items, struct mu_engine_answer *a)
{
    struct mu_engine_item *item = (void *)items->items.at;
    const uint8_t *at = items->bytes.at;

    a->items = item;
    a->count = (uint32_t)(items->items.size / sizeof *item);
    for (uint32_t i = 0; i < a->count; i++) {
        item[i].at = at;
        at += item[i].size;
    }
}

static enum mu_engine_end do_read(struct mu_db *db, const struct mu_engine_call *call, struct mu_db_items *items)
{
    sqlite3_stmt *s = stmt(db, call->seq == 0 ? SQL_GENESIS : SQL_READ);
    int code;

    if (call->seq == 0) {
        code = sqlite3_step(s);
        if (code == SQLITE_ROW)
            column_add(items, 0, s, 0);
        sqlite3_reset(s);
        if (code != SQLITE_ROW)
            return end_of(db, code);
    }
    s = stmt(db, SQL_READ);
    bind_u64(db, SQL_READ, 1, call->seq);
    code = SQLITE_DONE;
    while ((items->bytes.size == 0 || items->bytes.size < call->limit) && (code = sqlite3_step(s)) == SQLITE_ROW)
        column_add(items, (uint64_t)sqlite3_column_int64(s, 0), s, 1);
    sqlite3_reset(s);
    return end_of(db, code);
}

static enum mu_engine_end do_seals(struct mu_db *db, struct mu_db_items *items)
{
    sqlite3_stmt *s = stmt(db, SQL_SEALS);
    int code;

    while ((code = sqlite3_step(s)) == SQLITE_ROW)
        column_add(items, (uint64_t)sqlite3_column_int64(s, 0), s, 1);
    sqlite3_reset(s);
    return end_of(db, code);
}

/* Straight from the pages into the answer, without a copy in between. */
static enum mu_engine_end do_get(struct mu_db *db, const struct mu_engine_call *call, struct mu_db_items *items)
{
    struct mu_engine_item item = { .key = call->index };
    sqlite3_blob *blob = NULL;
    uint64_t row = 0;
    bool found;
    enum mu_engine_end end;
    int code;

    bind_u64(db, SQL_GET, 1, call->snap);
    bind_u64(db, SQL_GET, 2, call->index);
    end = number(db, SQL_GET, &found, &row);
    if (end != MU_ENGINE_OK || !found)
        return end;
    code = sqlite3_blob_open(db->sqlite, "main", "chunk", "bytes", (sqlite3_int64)row, 0, &blob);
    if (code == SQLITE_OK) {
        item.size = (size_t)sqlite3_blob_bytes(blob);
        code = sqlite3_blob_read(blob, mu_buf_room(&items->bytes, item.size + 1), (int)item.size, 0);
    }
    end = end_of(db, code);
    sqlite3_blob_close(blob); /* an open one would hold back checkpoints */
    items->bytes.size = item.size;
    mu_buf_add(&items->items, &item, sizeof item);
    return end;
}

static enum mu_engine_end put(struct mu_db *db, const struct mu_engine_call *call)
{
    bind_u64(db, SQL_PUT, 1, call->snap);
    bind_u64(db, SQL_PUT, 2, call->index);
    bind_bytes(db, SQL_PUT, 3, call);
    return run(db, SQL_PUT);
}

static enum mu_engine_end seal(struct mu_db *db, const struct mu_engine_call *call)
{
    bind_u64(db, SQL_SEAL, 1, call->snap);
    bind_bytes(db, SQL_SEAL, 2, call);
    return run(db, SQL_SEAL);
}

/* The newest record always stays: its number is the condition of the next append. */
static enum mu_engine_end trim_records(struct mu_db *db, uint64_t below)
{
    uint64_t head = 0, tail = 0;
    bool found;
    enum mu_engine_end end = number(db, SQL_HEAD, &found, &head);

    if (end == MU_ENGINE_OK)
        end = mu_db_tail(db, &tail);
    if (end != MU_ENGINE_OK)
        return end;
    if (below > tail)
        below = tail;
    if (!found || head >= below)
        return MU_ENGINE_OK;
    bind_u64(db, SQL_TRIM_REC, 1, below < head + TRIM_RECORDS ? below : head + TRIM_RECORDS);
    end = run(db, SQL_TRIM_REC);
    return end == MU_ENGINE_OK && below > head + TRIM_RECORDS ? MU_ENGINE_MORE : end;
}

static enum mu_engine_end trim_snaps(struct mu_db *db, const struct mu_engine_call *call)
{
    enum mu_engine_end end;

    bind_u64(db, SQL_TRIM_SEAL, 1, call->older);
    bind_u64(db, SQL_TRIM_SEAL, 2, call->drop);
    end = run(db, SQL_TRIM_SEAL);
    if (end != MU_ENGINE_OK)
        return end;
    bind_u64(db, SQL_TRIM_CHUNK, 1, call->older);
    bind_u64(db, SQL_TRIM_CHUNK, 2, call->drop);
    bind_u64(db, SQL_TRIM_CHUNK, 3, TRIM_CHUNKS);
    end = run(db, SQL_TRIM_CHUNK);
    return end == MU_ENGINE_OK && sqlite3_changes(db->sqlite) == TRIM_CHUNKS ? MU_ENGINE_MORE : end;
}

static enum mu_engine_end trim(struct mu_db *db, const struct mu_engine_call *call)
{
    enum mu_engine_end end = trim_records(db, call->below);

    return end == MU_ENGINE_OK ? trim_snaps(db, call) : end;
}

/* Give space back while more than a quarter of the file is free; the rest is used again anyway. */
static enum mu_engine_end vacuum(struct mu_db *db)
{
    uint64_t free_pages = 0, pages = 0;
    bool found;
    char sql[64];
    int code;

    if (number(db, SQL_FREE, &found, &free_pages) != MU_ENGINE_OK || number(db, SQL_PAGES, &found, &pages) != MU_ENGINE_OK)
        return MU_ENGINE_FATAL;
    if (free_pages < VACUUM_PAGES || free_pages < pages / 4)
        return MU_ENGINE_OK;
    snprintf(sql, sizeof sql, "PRAGMA incremental_vacuum(%d)", VACUUM_PAGES);
    code = sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? MU_ENGINE_MORE : mu_db_undo(db, end_of(db, code));
}

/* One transaction that only counts if the token is still this one. */
static enum mu_engine_end fenced(struct mu_db *db, const struct mu_engine_call *call,
                                 enum mu_engine_end (*act)(struct mu_db *db, const struct mu_engine_call *call))
{
    enum mu_engine_end end = mu_db_begin(db), committed;

    if (end != MU_ENGINE_OK)
        return mu_db_undo(db, end);
    end = token_is(db, call->token);
    if (end == MU_ENGINE_OK)
        end = act(db, call);
    if (end != MU_ENGINE_OK && end != MU_ENGINE_MORE)
        return mu_db_undo(db, end);
    committed = mu_db_commit(db);
    return committed == MU_ENGINE_OK ? end : committed;
}

static enum mu_engine_end do_trim(struct mu_db *db, const struct mu_engine_call *call)
{
    enum mu_engine_end end = fenced(db, call, trim);

    return end == MU_ENGINE_OK ? vacuum(db) : end;
}

enum mu_engine_end mu_db_do(struct mu_db *db, const struct mu_engine_call *call, struct mu_engine_answer *a,
                            struct mu_db_items *items)
{
    enum mu_engine_end end = MU_ENGINE_OK;

    switch (call->verb) {
    case MU_ENGINE_LEAD:
        return do_lead(db, a);
    case MU_ENGINE_RENEW:
    case MU_ENGINE_CONFIRM:
        return token_is(db, call->token);
    case MU_ENGINE_READ:
        end = do_read(db, call, items);
        break;
    case MU_ENGINE_GET:
        end = do_get(db, call, items);
        break;
    case MU_ENGINE_SEALS:
        end = do_seals(db, items);
        break;
    case MU_ENGINE_PUT:
        return fenced(db, call, put);
    case MU_ENGINE_SEAL:
        return fenced(db, call, seal);
    case MU_ENGINE_TRIM:
        return do_trim(db, call);
    case MU_ENGINE_RESIGN:
        return MU_ENGINE_OK; /* the lock keeps others out in any case */
    case MU_ENGINE_APPEND:
    case MU_ENGINE_WAIT:
        MU_ASSERT(false); /* not calls of this engine */
    }
    items_fix(items, a);
    return end;
}

uint64_t mu_db_log_bytes(const struct mu_db *db)
{
    return (uint64_t)db->log_pages * (uint64_t)db->page_bytes;
}

enum mu_engine_end mu_db_checkpoint(struct mu_db *db)
{
    int pages = 0, moved = 0;
    int code = sqlite3_wal_checkpoint_v2(db->sqlite, NULL, SQLITE_CHECKPOINT_PASSIVE, &pages, &moved);

    if (code == SQLITE_BUSY)
        return MU_ENGINE_OK; /* a reader holds it back: next time */
    if (code == SQLITE_OK)
        db->log_pages = pages > moved ? pages - moved : 0;
    return end_of(db, code);
}

uint64_t mu_db_used(struct mu_db *db)
{
    uint64_t pages = 0;
    bool found;

    number(db, SQL_PAGES, &found, &pages);
    return (pages + (uint64_t)db->log_pages) * (uint64_t)db->page_bytes;
}

static void log_fd_close(struct mu_db *db)
{
    if (db->log_fd >= 0)
        close(db->log_fd);
    db->log_fd = -1;
}

/* Zeros behind the last frame are no frame to the engine. Only where there is plenty of space, and never twice. */
bool mu_db_log_extend(struct mu_db *db)
{
    static const uint8_t zeros[LOG_PIECE];
    struct statvfs fs;
    struct stat st;

    if (db->log_fd < 0)
        return false;
    if (fstat(db->log_fd, &st) == 0 && st.st_size < MU_DB_LOG_BYTES && fstatvfs(db->log_fd, &fs) == 0 &&
        fs.f_bavail * fs.f_frsize > LOG_FREE_MIN && pwrite(db->log_fd, zeros, sizeof zeros, st.st_size) > 0)
        return true;
    fdatasync(db->log_fd); /* if it fails, the next commit's own sync tells */
    log_fd_close(db);
    return false;
}

static int on_wal(void *arg, sqlite3 *sqlite, const char *name, int pages)
{
    struct mu_db *db = arg;

    (void)sqlite, (void)name;
    db->log_pages = pages;
    return SQLITE_OK;
}

static bool pragma(struct mu_db *db, const char *sql, int *out)
{
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(db->sqlite, sql, -1, &s, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_step(s);
    if (code == SQLITE_ROW)
        *out = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    return end_of(db, code) == MU_ENGINE_OK;
}

/* Whose file is this? An empty one is nobody's yet. */
static enum mu_rc check_format(struct mu_db *db, const char *path, bool *out_empty, struct mu_err *err)
{
    int app = 0, version = 0, schema = 0;

    if (!pragma(db, "PRAGMA application_id", &app) || !pragma(db, "PRAGMA user_version", &version) ||
        !pragma(db, "PRAGMA schema_version", &schema))
        return mu_fail_at(err, MU_CORRUPT, "journal", "journal %s: %s", path, db->text);
    *out_empty = app == 0 && schema == 0;
    if (!*out_empty && app != APPLICATION_ID)
        return mu_fail_at(err, MU_CORRUPT, "journal", "journal %s: the file is no journal of muster", path);
    if (version > MU_DB_VERSION)
        return mu_fail_at(err, MU_VERSION, "journal",
                          "journal %s was written by a newer version (format %d, this one knows %d)", path, version,
                          MU_DB_VERSION);
    return MU_OK;
}

static const char make_sql[] =
    "PRAGMA page_size = 16384; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
    "BEGIN IMMEDIATE;"
    "CREATE TABLE meta(id INTEGER PRIMARY KEY CHECK(id = 1), token INTEGER NOT NULL, genesis BLOB);"
    "CREATE TABLE rec(seq INTEGER PRIMARY KEY, bytes BLOB NOT NULL);"
    "CREATE TABLE chunk(snap INTEGER NOT NULL, part INTEGER NOT NULL, bytes BLOB NOT NULL, UNIQUE(snap, part));"
    "CREATE TABLE seal(snap INTEGER PRIMARY KEY, bytes BLOB NOT NULL);"
    "INSERT INTO meta(id, token) VALUES(1, 0);"
    "PRAGMA application_id = 1297435212; PRAGMA user_version = 1;"
    "COMMIT";
_Static_assert(APPLICATION_ID == 1297435212 && PAGE_BYTES == 16384 && MU_DB_VERSION == 1, "as in make_sql");

/* Spilling the cache could meet a full disk in the middle of a transaction; the log is moved by our own hand. */
static const char tune_sql[] =
    "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -1024; PRAGMA cache_spill = OFF;"
    "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF";

static enum mu_rc prepare_all(struct mu_db *db, const char *path, struct mu_err *err)
{
    for (int i = 0; i < SQL_COUNT; i++) {
        int code = sqlite3_prepare_v3(db->sqlite, sqls[i], -1, SQLITE_PREPARE_PERSISTENT, &db->made[i], NULL);
        if (code != SQLITE_OK) {
            end_of(db, code);
            return mu_fail_at(err, MU_CORRUPT, "journal", "journal %s: %s", path, db->text);
        }
    }
    return MU_OK;
}

static enum mu_rc exec(struct mu_db *db, const char *sql, const char *path, struct mu_err *err)
{
    int code = sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL);
    enum mu_engine_end end = end_of(db, code);

    if (end == MU_ENGINE_OK)
        return MU_OK;
    return mu_fail_at(err, end == MU_ENGINE_FULL ? MU_FULL : end == MU_ENGINE_CORRUPT ? MU_CORRUPT : MU_IO, "journal",
                      "journal %s: %s", path, db->text);
}

/* It is made anew at each start: a log that outlived a good end would be taken for that of a copy put in place later. */
static void log_fd_open(struct mu_db *db, const char *path)
{
    struct mu_buf name = { 0 };

    mu_buf_printf(&name, "%s-wal", path);
    mu_buf_addc(&name, '\0');
    db->log_fd = open((const char *)name.at, O_WRONLY | O_CLOEXEC);
    mu_buf_fini(&name);
}

/* Exclusive before the first look: then the index of the log is memory of ours, not a file that a full disk could keep
 * from growing. */
static enum mu_rc set_up(struct mu_db *db, const char *path, bool read_only, struct mu_err *err)
{
    bool empty = false;
    enum mu_rc rc = read_only ? MU_OK : exec(db, "PRAGMA locking_mode = EXCLUSIVE", path, err);

    if (rc == MU_OK)
        rc = check_format(db, path, &empty, err);
    if (rc == MU_OK && empty && read_only)
        rc = mu_fail_at(err, MU_NOTFOUND, "journal", "journal %s is empty", path);
    if (rc == MU_OK && empty)
        rc = exec(db, make_sql, path, err);
    if (rc == MU_OK)
        rc = exec(db, tune_sql, path, err);
    if (rc == MU_OK && !pragma(db, "PRAGMA page_size", &db->page_bytes))
        rc = mu_fail_at(err, MU_CORRUPT, "journal", "journal %s: %s", path, db->text);
    if (rc != MU_OK)
        return rc;
    sqlite3_wal_hook(db->sqlite, on_wal, db);
    if (!read_only)
        log_fd_open(db, path);
    return prepare_all(db, path, err);
}

enum mu_rc mu_db_open(struct mu_db **out_db, const char *path, bool read_only, struct mu_err *err)
{
    struct mu_db *db = calloc(1, sizeof *db);
    int flags = SQLITE_OPEN_NOMUTEX | (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
    enum mu_rc rc;

    if (db == NULL)
        return mu_fail(err, MU_NOMEM, "journal %s: no memory", path);
    db->log_fd = -1;
    if (sqlite3_open_v2(path, &db->sqlite, flags, NULL) != SQLITE_OK)
        rc = mu_fail_at(err, MU_IO, "journal", "journal %s: %s", path,
                        db->sqlite != NULL ? sqlite3_errmsg(db->sqlite) : "no memory");
    else {
        sqlite3_busy_timeout(db->sqlite, BUSY_MS);
        rc = set_up(db, path, read_only, err);
    }
    if (rc != MU_OK) {
        mu_db_close(db);
        return rc;
    }
    *out_db = db;
    return MU_OK;
}

void mu_db_close(struct mu_db *db)
{
    if (db == NULL)
        return;
    for (int i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(db->made[i]);
    log_fd_close(db);
    sqlite3_close(db->sqlite);
    free(db);
}
