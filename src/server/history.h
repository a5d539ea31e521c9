/* server/history.h -- what ended: results of attempts and jobs, in SQLite, behind the committed facts.
 *
 * What       one row holds a run of results of one job; one record a job that ended. Written by a thread of its own in
 *            the order of the journal, with the sequence number it has got to in the same transaction: entries that
 *            come again after a crash are recognised and skipped.
 * Ownership  inputs are copied or encoded at once. A query's answer is valid during its callback.
 * Time       ended_ms and the like as given; retention compares with the newest time it was given.
 * Threads    all functions on one thread (the loop's); the file is touched only by the worker. opt.wake is called
 *            on the worker and must make the loop call mu_history_poll.
 * Failure    a full or failing disk: rows are kept in memory and tried again, mu_history_failing says so. A file of
 *            a newer version, of another cluster, or damaged: open fails.
 * Limits     MU_HISTORY_QUERIES_MAX queries at once; retention by age, jobs and tasks.
 */
#ifndef MU_SERVER_HISTORY_H
#define MU_SERVER_HISTORY_H

#include "base/err.h"
#include "base/pb.h"
#include "core/types.h"

struct mu_history;
struct mu_history_query;

enum { MU_HISTORY_QUERIES_MAX = 256, MU_HISTORY_ROWS_MAX = 10000 };

struct mu_history_options {
    const char *path;
    uint8_t cluster[16];
    uint64_t keep_ms, keep_jobs, keep_tasks; /* 0: no limit */
    void *arg;
    void (*wake)(void *arg);
};

/* One attempt that is over, or a run of tasks that ended without one. */
struct mu_result_row {
    uint64_t seq, job;
    uint32_t ordinal, attempt, node, code;
    uint32_t count;           /* so many tasks from ordinal on; above 1 only for attempt 0: they never ran */
    enum mu_task_state state; /* the task's: final, or waiting to be tried again */
    enum mu_end how;
    uint64_t submitted_ms, placed_ms, started_ms, ended_ms;
    uint64_t run_us, user_us, sys_us, rss_bytes, out_bytes, err_bytes;
};

/* A job as people see it. */
#define MU_JOB_GROUP_FIELDS(T, F, M) \
    F(T, 1, STR, name) F(T, 2, U32, first) F(T, 3, U32, tasks) F(T, 4, U64, array_first) F(T, 5, U64, array_step) F(T, 6, BOOL, is_array)
MU_PB_STRUCT(mu_job_group, MU_JOB_GROUP_FIELDS)
#define MU_JOB_RECORD_FIELDS(T, F, M)                                                                     \
    F(T, 1, U64, id) F(T, 2, STR, name) F(T, 3, STR, user) F(T, 4, STR, state) F(T, 5, S64, priority)     \
    F(T, 6, U64, submitted_ms) F(T, 7, U64, started_ms) F(T, 8, U64, ended_ms) F(T, 9, U64, deadline_ms)  \
    F(T, 10, BOOL, held) F(T, 11, BOOL, open) F(T, 12, U32, tasks) F(T, 13, STR, key)                     \
    F(T, 14, U64S, counts) /* by enum mu_task_state */ M(T, 15, mu_job_group, groups)
MU_PB_STRUCT(mu_job_record, MU_JOB_RECORD_FIELDS)

enum mu_rc mu_history_open(struct mu_history **out, const struct mu_history_options *opt, struct mu_err *err);
/* Writes what it was given, as far as the disk lets it. Unanswered queries are dropped. Accepts NULL. */
void mu_history_close(struct mu_history *h);

/* What was stored when it was opened: rows of entries up to here are to be left out. */
uint64_t mu_history_stored(const struct mu_history *h);
void mu_history_add(struct mu_history *h, const struct mu_result_row *row);
void mu_history_add_job(struct mu_history *h, const struct mu_job_record *job);
/* All of the entry was given. Rows reach the worker in batches: by size here, by time when mu_history_flush is called. */
void mu_history_entry_end(struct mu_history *h, uint64_t seq, uint64_t time_ms);
/* Give the worker what has gathered. False: there was nothing. */
bool mu_history_flush(struct mu_history *h);
bool mu_history_has_gathered(const struct mu_history *h);
bool mu_history_failing(const struct mu_history *h);
/* Bytes gathered or queued and not yet stored. */
size_t mu_history_backlog(const struct mu_history *h);
/* Run on the loop after wake: calls back finished queries and syncs. */
void mu_history_poll(struct mu_history *h);

/* done(arg, seq) once everything up to seq, all that was given so far, would survive a power cut. */
void mu_history_sync(struct mu_history *h, void (*done)(void *arg, uint64_t seq), void *arg);

struct mu_history_answer {
    enum mu_rc rc;
    const struct mu_result_row *rows;   /* in the order in which they ended */
    uint32_t rows_count;
    bool more;                          /* the limit cut it; go on after the last row's (seq, ordinal, attempt) */
    const struct mu_job_record *jobs;   /* highest id first */
    uint32_t jobs_count;
};
typedef void mu_history_fn(void *arg, const struct mu_history_answer *answer);

/* Results of one job with ordinal in [lo, hi] and entry in (seq_after, seq_to]. `skip` rows of that range are left
 * out first. With ordinals (ascending): of each of these the last row, its ordinal set, and nothing else; no limit or skip.
 * NULL: too many queries. */
struct mu_history_find {
    uint64_t job, seq_after, seq_to;
    uint32_t lo, hi, skip, limit;
    const uint32_t *ordinals; /* copied */
    uint32_t ordinals_count;
};
struct mu_history_query *mu_history_results(struct mu_history *h, const struct mu_history_find *find, mu_history_fn *fn, void *arg);
/* Ended jobs with id < before (or that id alone, when only). Empty strings match all; name is a glob. */
struct mu_history_find_jobs {
    uint64_t before;
    bool only;
    struct mu_str state, name, user;
    uint32_t limit;
};
struct mu_history_query *mu_history_jobs(struct mu_history *h, const struct mu_history_find_jobs *find, mu_history_fn *fn, void *arg);
/* fn will not be called any more. */
void mu_history_cancel(struct mu_history *h, struct mu_history_query *q);

/* Encoding of rows, for its test and the fuzzer. prev is the row before in the run, zero at first. */
void mu_result_row_put(struct mu_buf *b, const struct mu_result_row *prev, const struct mu_result_row *row);
/* row->job comes from outside. */
bool mu_result_row_get(struct mu_reader *r, const struct mu_result_row *prev, struct mu_result_row *out);

#endif
