/* server/history_db.c -- see history_db.h. */
#include "server/history_db.h"

#include "base/assert.h"

#include <sqlite3.h>

enum { FORMAT = 1, RETAIN_SLICE = 64 };

enum stmt {
    PUT_RUN, PUT_JOB, PUT_SEQ, FIND_RUNS, FIND_JOBS, TOTALS, OLDEST, DROP_RUNS, DROP_JOB, BEGIN, COMMIT, ROLLBACK, STMTS
};
static const char *const sql[STMTS] = {
    [PUT_RUN] = "INSERT INTO run(job, lo, hi, seq, rows, body) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [PUT_JOB] = "INSERT OR REPLACE INTO job(id, ended_ms, tasks, state, name, user, body) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [PUT_SEQ] = "UPDATE meta SET seq = ?1, time_ms = max(time_ms, ?2)",
    [FIND_RUNS] = "SELECT rows, body FROM run WHERE job = ?1 AND hi >= ?2 AND lo <= ?3 AND seq > ?4 ORDER BY id",
    [FIND_JOBS] = ("SELECT body FROM job WHERE id < ?1 AND (?2 = '' OR state = ?2) AND (?3 = '' OR name GLOB ?3)"
                   " AND (?4 = '' OR user = ?4) ORDER BY id DESC LIMIT ?5"),
    [TOTALS] = "SELECT count(*), coalesce(sum(tasks), 0) FROM job",
    [OLDEST] = "SELECT id, ended_ms, tasks FROM job ORDER BY ended_ms, id LIMIT ?1",
    [DROP_RUNS] = "DELETE FROM run WHERE job = ?1",
    [DROP_JOB] = "DELETE FROM job WHERE id = ?1",
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
};
static const char schema[] =
    "CREATE TABLE IF NOT EXISTS meta(one INTEGER PRIMARY KEY CHECK(one = 1), seq INTEGER, time_ms INTEGER, cluster BLOB);"
    "CREATE TABLE IF NOT EXISTS job(id INTEGER PRIMARY KEY, ended_ms INTEGER, tasks INTEGER, state TEXT, name TEXT,"
    " user TEXT, body BLOB);"
    "CREATE INDEX IF NOT EXISTS job_ended ON job(ended_ms, id);"
    "CREATE TABLE IF NOT EXISTS run(id INTEGER PRIMARY KEY, job INTEGER, lo INTEGER, hi INTEGER, seq INTEGER,"
    " rows INTEGER, body BLOB);"
    "CREATE INDEX IF NOT EXISTS run_job ON run(job, hi);"
    "PRAGMA user_version = 1;";
static const char setup[] =
    "PRAGMA auto_vacuum = INCREMENTAL;" /* before the first table; trimmed space goes back to the disk */
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = NORMAL;"      /* the journal is what is durable; sync() checkpoints before it is trimmed */
    "PRAGMA cache_size = -512;"
    "PRAGMA temp_store = MEMORY;";

struct mu_history_db {
    sqlite3 *db;
    sqlite3_stmt *stmt[STMTS];
    uint64_t keep_ms, keep_jobs, keep_tasks, time_ms;
    uint64_t jobs, tasks; /* stored now */
};

static enum mu_rc fail(struct mu_history_db *db, const char *what, struct mu_err *err)
{
    int code = sqlite3_errcode(db->db);
    enum mu_rc rc = MU_IO;

    if (code == SQLITE_FULL)
        rc = MU_FULL;
    else if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
        rc = MU_CORRUPT;
    return mu_fail(err, rc, "history: %s: %s", what, sqlite3_errmsg(db->db));
}

static bool run(struct mu_history_db *db, enum stmt s)
{
    int rc = sqlite3_step(db->stmt[s]);

    sqlite3_reset(db->stmt[s]);
    return rc == SQLITE_DONE || rc == SQLITE_ROW;
}

static void bind_u64(sqlite3_stmt *s, int at, uint64_t n)
{
    sqlite3_bind_int64(s, at, (sqlite3_int64)n);
}

static void bind_z(sqlite3_stmt *s, int at, const char *z)
{
    sqlite3_bind_text(s, at, z, -1, SQLITE_STATIC);
}

static void bind_str(sqlite3_stmt *s, int at, struct mu_str text)
{
    sqlite3_bind_text(s, at, text.at ? text.at : "", (int)text.size, SQLITE_STATIC);
}

static void bind_buf(sqlite3_stmt *s, int at, const struct mu_buf *b)
{
    sqlite3_bind_blob(s, at, b->at, (int)b->size, SQLITE_STATIC);
}

/* One number of one row, for set-up. */
static bool ask(sqlite3 *db, const char *text, uint64_t *out)
{
    sqlite3_stmt *s = NULL;
    bool ok = sqlite3_prepare_v2(db, text, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW;

    if (ok)
        *out = (uint64_t)sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return ok;
}

static enum mu_rc check_version(struct mu_history_db *db, const char *path, struct mu_err *err)
{
    uint64_t version = 0;

    if (!ask(db->db, "PRAGMA user_version", &version))
        return fail(db, path, err);
    if (version > FORMAT)
        return mu_fail(err, MU_VERSION, "%s was written by a newer version (format %llu, this one knows %d)", path,
                       (unsigned long long)version, FORMAT);
    return MU_OK;
}

static enum mu_rc own(struct mu_history_db *db, const struct mu_history_options *opt, uint64_t *out_seq, struct mu_err *err)
{
    static const char put[] = "INSERT OR IGNORE INTO meta(one, seq, time_ms, cluster) VALUES(1, 0, 0, ?1)";
    sqlite3_stmt *s = NULL;
    bool ours;

    if (sqlite3_prepare_v2(db->db, put, -1, &s, NULL) != SQLITE_OK)
        return fail(db, "prepare", err);
    sqlite3_bind_blob(s, 1, opt->cluster, sizeof opt->cluster, SQLITE_STATIC);
    ours = sqlite3_step(s) == SQLITE_DONE;
    sqlite3_finalize(s);
    if (!ours || sqlite3_prepare_v2(db->db, "SELECT seq, time_ms, cluster FROM meta", -1, &s, NULL) != SQLITE_OK)
        return fail(db, "meta", err);
    if (sqlite3_step(s) != SQLITE_ROW) {
        sqlite3_finalize(s);
        return fail(db, "meta", err);
    }
    *out_seq = (uint64_t)sqlite3_column_int64(s, 0);
    db->time_ms = (uint64_t)sqlite3_column_int64(s, 1);
    ours = sqlite3_column_bytes(s, 2) == (int)sizeof opt->cluster &&
           memcmp(sqlite3_column_blob(s, 2), opt->cluster, sizeof opt->cluster) == 0;
    sqlite3_finalize(s);
    if (!ours)
        return mu_fail(err, MU_CONFLICT, "%s is the history of another cluster; move it away to begin a new one", opt->path);
    return MU_OK;
}

enum mu_rc mu_history_db_open(struct mu_history_db **out, const struct mu_history_options *opt, uint64_t *out_seq, struct mu_err *err)
{
    struct mu_history_db *db = calloc(1, sizeof *db);
    enum mu_rc rc = MU_OK;

    if (db == NULL)
        return mu_fail(err, MU_NOMEM, "history: no memory");
    db->keep_ms = opt->keep_ms;
    db->keep_jobs = opt->keep_jobs;
    db->keep_tasks = opt->keep_tasks;
    if (sqlite3_open_v2(opt->path, &db->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        rc = fail(db, opt->path, err);
    if (rc == MU_OK)
        rc = check_version(db, opt->path, err);
    if (rc == MU_OK && (sqlite3_exec(db->db, setup, NULL, NULL, NULL) != SQLITE_OK ||
                        sqlite3_exec(db->db, schema, NULL, NULL, NULL) != SQLITE_OK))
        rc = fail(db, opt->path, err);
    if (rc == MU_OK)
        rc = own(db, opt, out_seq, err);
    for (int i = 0; rc == MU_OK && i < STMTS; i++)
        if (sqlite3_prepare_v3(db->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &db->stmt[i], NULL) != SQLITE_OK)
            rc = fail(db, sql[i], err);
    if (rc == MU_OK && sqlite3_step(db->stmt[TOTALS]) == SQLITE_ROW) {
        db->jobs = (uint64_t)sqlite3_column_int64(db->stmt[TOTALS], 0);
        db->tasks = (uint64_t)sqlite3_column_int64(db->stmt[TOTALS], 1);
        sqlite3_reset(db->stmt[TOTALS]);
    }
    if (rc != MU_OK) {
        mu_history_db_close(db);
        return rc;
    }
    *out = db;
    return MU_OK;
}

void mu_history_db_close(struct mu_history_db *db)
{
    if (db == NULL)
        return;
    for (int i = 0; i < STMTS; i++)
        sqlite3_finalize(db->stmt[i]);
    sqlite3_close(db->db);
    free(db);
}

static bool put_run(struct mu_history_db *db, const struct mu_history_run *r)
{
    sqlite3_stmt *s = db->stmt[PUT_RUN];

    bind_u64(s, 1, r->job);
    bind_u64(s, 2, r->lo);
    bind_u64(s, 3, r->hi);
    bind_u64(s, 4, r->last.seq);
    bind_u64(s, 5, r->count);
    bind_buf(s, 6, &r->body);
    return run(db, PUT_RUN);
}

static bool put_job(struct mu_history_db *db, const struct mu_history_past *j)
{
    sqlite3_stmt *s = db->stmt[PUT_JOB];

    bind_u64(s, 1, j->id);
    bind_u64(s, 2, j->ended_ms);
    bind_u64(s, 3, j->tasks);
    bind_z(s, 4, j->state);
    bind_z(s, 5, j->name);
    bind_z(s, 6, j->user);
    bind_buf(s, 7, &j->body);
    return run(db, PUT_JOB);
}

static bool put_all(struct mu_history_db *db, const struct mu_history_batch *b)
{
    for (uint32_t i = 0; i < b->runs_count; i++)
        if (!put_run(db, &b->runs[i]))
            return false;
    for (uint32_t i = 0; i < b->jobs_count; i++)
        if (!put_job(db, &b->jobs[i]))
            return false;
    bind_u64(db->stmt[PUT_SEQ], 1, b->seq);
    bind_u64(db->stmt[PUT_SEQ], 2, b->time_ms);
    return run(db, PUT_SEQ) && run(db, COMMIT);
}

enum mu_rc mu_history_db_store(struct mu_history_db *db, const struct mu_history_batch *batch, struct mu_err *err)
{
    enum mu_rc rc;

    if (!run(db, BEGIN))
        return fail(db, "begin", err);
    if (!put_all(db, batch)) {
        rc = fail(db, "store", err);
        if (!sqlite3_get_autocommit(db->db))
            run(db, ROLLBACK);
        return rc;
    }
    for (uint32_t i = 0; i < batch->jobs_count; i++)
        db->tasks += batch->jobs[i].tasks;
    db->jobs += batch->jobs_count; /* a job that ended twice counts twice until retention counts anew */
    db->time_ms = batch->time_ms > db->time_ms ? batch->time_ms : db->time_ms;
    return MU_OK;
}

enum mu_rc mu_history_db_sync(struct mu_history_db *db, struct mu_err *err)
{
    if (sqlite3_wal_checkpoint_v2(db->db, NULL, SQLITE_CHECKPOINT_FULL, NULL, NULL) != SQLITE_OK)
        return fail(db, "checkpoint", err);
    return MU_OK;
}

static bool is_over(const struct mu_history_db *db, uint64_t ended_ms)
{
    return (db->keep_ms != 0 && ended_ms + db->keep_ms < db->time_ms) || (db->keep_jobs != 0 && db->jobs > db->keep_jobs) ||
           (db->keep_tasks != 0 && db->tasks > db->keep_tasks);
}

static void recount(struct mu_history_db *db)
{
    if (sqlite3_step(db->stmt[TOTALS]) == SQLITE_ROW) {
        db->jobs = (uint64_t)sqlite3_column_int64(db->stmt[TOTALS], 0);
        db->tasks = (uint64_t)sqlite3_column_int64(db->stmt[TOTALS], 1);
    }
    sqlite3_reset(db->stmt[TOTALS]);
}

bool mu_history_db_retain(struct mu_history_db *db)
{
    struct { uint64_t id, ended_ms, tasks; } old[RETAIN_SLICE];
    sqlite3_stmt *s = db->stmt[OLDEST];
    uint32_t n = 0, dropped = 0;

    if ((db->keep_jobs != 0 && db->jobs > db->keep_jobs) || (db->keep_tasks != 0 && db->tasks > db->keep_tasks))
        recount(db);
    bind_u64(s, 1, RETAIN_SLICE);
    while (n < RETAIN_SLICE && sqlite3_step(s) == SQLITE_ROW) {
        old[n].id = (uint64_t)sqlite3_column_int64(s, 0);
        old[n].ended_ms = (uint64_t)sqlite3_column_int64(s, 1);
        old[n++].tasks = (uint64_t)sqlite3_column_int64(s, 2);
    }
    sqlite3_reset(s);
    if (n == 0 || !is_over(db, old[0].ended_ms) || !run(db, BEGIN))
        return false;
    for (; dropped < n && is_over(db, old[dropped].ended_ms); dropped++) {
        bind_u64(db->stmt[DROP_RUNS], 1, old[dropped].id);
        bind_u64(db->stmt[DROP_JOB], 1, old[dropped].id);
        if (!run(db, DROP_RUNS) || !run(db, DROP_JOB))
            break;
        db->jobs -= db->jobs > 0;
        db->tasks -= old[dropped].tasks < db->tasks ? old[dropped].tasks : db->tasks;
    }
    if (!run(db, COMMIT)) {
        run(db, ROLLBACK);
        return false;
    }
    sqlite3_exec(db->db, "PRAGMA incremental_vacuum(256)", NULL, NULL, NULL);
    return dropped == RETAIN_SLICE;
}

static void rows_add(struct mu_history_rows *out, const struct mu_result_row *row)
{
    if (out->rows_count == out->rows_cap) {
        out->rows_cap = out->rows_cap ? out->rows_cap * 2 : 64;
        out->rows = realloc(out->rows, out->rows_cap * sizeof *out->rows);
        MU_ASSERT(out->rows != NULL);
    }
    out->rows[out->rows_count++] = *row;
}

/* Row says something of the tasks that were asked for by name: put it in the place of what was said before. */
static void rows_of_ordinals(struct mu_history_rows *out, const struct mu_history_find *find, const struct mu_result_row *row)
{
    uint32_t lo = 0, hi = find->ordinals_count;

    while (lo < hi) { /* the first ordinal not below the row's */
        uint32_t mid = lo + (hi - lo) / 2;
        if (find->ordinals[mid] < row->ordinal)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (; lo < find->ordinals_count && find->ordinals[lo] - row->ordinal < row->count; lo++) {
        uint64_t *at = mu_map_find(&out->place, find->ordinals[lo]);
        if (at == NULL) {
            mu_map_put(&out->place, find->ordinals[lo], out->rows_count);
            rows_add(out, row);
            out->rows[out->rows_count - 1].ordinal = find->ordinals[lo];
        } else {
            uint32_t i = (uint32_t)*at;
            out->rows[i] = *row;
            out->rows[i].ordinal = find->ordinals[lo];
        }
    }
}

/* True while more rows are wanted. */
static bool take_run(struct mu_str body, const struct mu_history_find *find, uint32_t *skip, struct mu_history_rows *out, bool *bad)
{
    struct mu_reader r = mu_reader_of(body.at, body.size);
    struct mu_result_row row = { .job = find->job };

    while (!mu_reader_done(&r)) {
        struct mu_result_row prev = row;
        if (!mu_result_row_get(&r, &prev, &row))
            break;
        if (row.ordinal + (row.count - 1) < find->lo || row.ordinal > find->hi || row.seq <= find->seq_after || row.seq > find->seq_to)
            continue;
        if (find->ordinals_count > 0) {
            rows_of_ordinals(out, find, &row);
        } else if (*skip > 0) {
            (*skip)--;
        } else if (out->rows_count == find->limit) {
            out->more = true;
            return false;
        } else {
            rows_add(out, &row);
        }
    }
    *bad = *bad || r.bad;
    return true;
}

enum mu_rc mu_history_db_results(struct mu_history_db *db, const struct mu_history_find *find, struct mu_history_rows *out)
{
    sqlite3_stmt *s = db->stmt[FIND_RUNS];
    uint32_t skip = find->skip;
    bool bad = false;
    int rc;

    bind_u64(s, 1, find->job);
    bind_u64(s, 2, find->lo);
    bind_u64(s, 3, find->hi);
    bind_u64(s, 4, find->seq_after);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        struct mu_str body = { sqlite3_column_blob(s, 1), (uint32_t)sqlite3_column_bytes(s, 1) };
        if (!take_run(body, find, &skip, out, &bad))
            break;
    }
    sqlite3_reset(s);
    if (bad)
        return MU_CORRUPT;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? MU_OK : MU_IO;
}

static bool jobs_add(struct mu_history_rows *out, const void *bytes, uint32_t size)
{
    if (out->jobs_count == out->jobs_cap) {
        out->jobs_cap = out->jobs_cap ? out->jobs_cap * 2 : 16;
        out->jobs = realloc(out->jobs, out->jobs_cap * sizeof *out->jobs);
        MU_ASSERT(out->jobs != NULL);
    }
    struct mu_str copy = { mu_arena_strdup(&out->arena, bytes, size), size };
    if (!mu_pb_get(&mu_job_record_pb, &out->jobs[out->jobs_count], copy, &out->arena))
        return false;
    out->jobs_count++;
    return true;
}

enum mu_rc mu_history_db_jobs(struct mu_history_db *db, const struct mu_history_find_jobs *find, struct mu_history_rows *out)
{
    sqlite3_stmt *s = db->stmt[FIND_JOBS];
    enum mu_rc result = MU_OK;
    int rc;

    bind_u64(s, 1, find->only && find->before < MU_JOB_ID_MAX ? find->before + 1 : find->before);
    bind_str(s, 2, find->state);
    bind_str(s, 3, find->name);
    bind_str(s, 4, find->user);
    bind_u64(s, 5, find->only ? 1 : (uint64_t)find->limit + 1);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW && result == MU_OK) {
        if (!find->only && out->jobs_count == find->limit) {
            out->more = true;
            break;
        }
        if (!jobs_add(out, sqlite3_column_blob(s, 0), (uint32_t)sqlite3_column_bytes(s, 0)))
            result = MU_CORRUPT;
        else if (find->only && out->jobs[0].id != find->before)
            out->jobs_count = 0;
    }
    sqlite3_reset(s);
    if (result == MU_OK && rc != SQLITE_ROW && rc != SQLITE_DONE)
        result = MU_IO;
    return result;
}

void mu_history_rows_fini(struct mu_history_rows *rows)
{
    free(rows->rows);
    free(rows->jobs);
    mu_map_fini(&rows->place);
    mu_arena_fini(&rows->arena);
}
