/* server/history_db.h -- the file behind the history: statements of SQLite, used by its worker thread alone.
 *
 * What       store a batch in one transaction, answer a query, drop what is older than retention asks for.
 * Ownership  answers own their rows until mu_history_db_answer_fini.
 * Time       the newest time stored drives retention.
 * Threads    one at a time: opened on the loop, then the worker's.
 * Failure    MU_FULL and MU_IO leave the file as before the batch. MU_CORRUPT: damaged or not ours.
 * Limits     see history.h.
 */
#ifndef MU_SERVER_HISTORY_DB_H
#define MU_SERVER_HISTORY_DB_H

#include "base/map.h"
#include "server/history.h"

struct mu_history_db;

struct mu_history_run { /* rows of one job, encoded */
    uint64_t job;
    uint32_t lo, hi, count;
    struct mu_result_row last;
    struct mu_buf body;
};
struct mu_history_past { /* a job that ended, encoded */
    uint64_t id, ended_ms;
    uint32_t tasks;
    char *name, *user, *state;
    struct mu_buf body;
};
struct mu_history_batch {
    struct mu_history_run *runs;
    struct mu_history_past *jobs;
    uint32_t runs_count, runs_cap, jobs_count, jobs_cap;
    uint64_t seq, time_ms;
    size_t bytes;
};

struct mu_history_rows {
    struct mu_result_row *rows;
    struct mu_job_record *jobs;
    uint32_t rows_count, rows_cap, jobs_count, jobs_cap;
    bool more;
    struct mu_map place;   /* of certain ordinals: where each stands in rows */
    struct mu_arena arena; /* of the jobs */
};

enum mu_rc mu_history_db_open(struct mu_history_db **out, const struct mu_history_options *opt, uint64_t *out_seq, struct mu_err *err);
void mu_history_db_close(struct mu_history_db *db);
enum mu_rc mu_history_db_store(struct mu_history_db *db, const struct mu_history_batch *batch, struct mu_err *err);
/* Make all that was stored survive a power cut. */
enum mu_rc mu_history_db_sync(struct mu_history_db *db, struct mu_err *err);
/* Forget one slice of what is too old; true: there may be more. */
bool mu_history_db_retain(struct mu_history_db *db);
enum mu_rc mu_history_db_results(struct mu_history_db *db, const struct mu_history_find *find, struct mu_history_rows *out);
enum mu_rc mu_history_db_jobs(struct mu_history_db *db, const struct mu_history_find_jobs *find, struct mu_history_rows *out);
void mu_history_rows_fini(struct mu_history_rows *rows);

#endif
