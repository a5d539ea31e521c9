/* server/history.c -- see history.h. The loop's half gathers rows into a batch; the worker stores batches and answers
 * queries in one line, so a query sees all that was flushed before it. */
#include "server/history.h"

#include "base/assert.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "server/history_db.h"

#include <pthread.h>

enum {
    RUN_BYTES = 32 * 1024,     /* a run is cut here, so that a page of tasks reads little */
    BATCH_BYTES = 256 * 1024,  /* handed to the worker without waiting for a flush */
    RETRY_MS = 500,
};

enum op_kind { OP_BATCH, OP_SYNC, OP_RESULTS, OP_JOBS, OP_STOP };

struct mu_history_query { /* one thing for the worker to do */
    struct mu_list link;
    enum op_kind kind;
    struct mu_history_batch batch;
    struct mu_history_find find;
    struct mu_history_find_jobs find_jobs;
    char *texts[3];     /* behind find_jobs */
    uint32_t *ordinals; /* behind find */
    struct mu_history_rows rows;
    enum mu_rc rc;
    mu_history_fn *fn;
    void (*sync)(void *arg, uint64_t seq);
    void *arg;
    uint64_t seq;
    bool cancelled;
};

struct mu_history {
    struct mu_history_options opt;
    struct mu_history_db *db;
    uint64_t stored, given;
    struct mu_history_query *open; /* the batch that gathers; NULL: none */
    struct mu_map run_of;          /* job -> its run in it */
    unsigned queries;
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t wake;
    struct mu_list todo, done;
    size_t backlog;
    bool failing, stopping;
};

/* ---- the worker ---- */

static void lock(struct mu_history *h) { MU_ASSERT(pthread_mutex_lock(&h->lock) == 0); }
static void unlock(struct mu_history *h) { MU_ASSERT(pthread_mutex_unlock(&h->lock) == 0); }

/* Sleep until there is more to do or ms have passed; with the lock. */
static void doze(struct mu_history *h, uint64_t ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_cond_timedwait(&h->wake, &h->lock, &until);
}

static void set_failing(struct mu_history *h, bool failing, const struct mu_err *err)
{
    lock(h);
    if (failing != h->failing)
        mu_log(failing ? MU_LOG_ERROR : MU_LOG_INFO, "history", "%s", failing ? err->text : "the disk takes writes again");
    h->failing = failing;
    unlock(h);
}

/* Until the disk takes it; gives up only when the server stops: the journal still has it. */
static enum mu_rc insist(struct mu_history *h, struct mu_history_query *op)
{
    struct mu_err err = { 0 };
    enum mu_rc rc;

    for (;;) {
        rc = op->kind == OP_SYNC ? mu_history_db_sync(h->db, &err) : mu_history_db_store(h->db, &op->batch, &err);
        set_failing(h, rc != MU_OK, &err);
        if (rc == MU_OK)
            return rc;
        lock(h);
        if (!h->stopping)
            doze(h, RETRY_MS);
        bool stop = h->stopping;
        unlock(h);
        if (stop)
            return rc;
    }
}

static void perform(struct mu_history *h, struct mu_history_query *op)
{
    switch (op->kind) {
    case OP_BATCH:
        op->rc = insist(h, op);
        if (op->batch.jobs_count > 0)
            while (mu_history_db_retain(h->db)) {
            }
        break;
    case OP_SYNC: op->rc = insist(h, op); break;
    case OP_RESULTS: op->rc = mu_history_db_results(h->db, &op->find, &op->rows); break;
    case OP_JOBS: op->rc = mu_history_db_jobs(h->db, &op->find_jobs, &op->rows); break;
    case OP_STOP: break;
    }
}

static void *worker(void *arg)
{
    struct mu_history *h = arg;
    bool stop = false;

    while (!stop) {
        lock(h);
        while (mu_list_is_empty(&h->todo))
            pthread_cond_wait(&h->wake, &h->lock);
        struct mu_history_query *op = MU_CONTAINER(h->todo.next, struct mu_history_query, link);
        mu_list_remove(&op->link);
        unlock(h);
        perform(h, op);
        stop = op->kind == OP_STOP;
        lock(h);
        if (op->kind == OP_BATCH)
            h->backlog -= op->batch.bytes;
        mu_list_add_tail(&h->done, &op->link);
        unlock(h);
        if (!stop && op->kind != OP_BATCH)
            h->opt.wake(h->opt.arg);
    }
    return NULL;
}

/* ---- the loop's half ---- */

static struct mu_history_query *op_new(enum op_kind kind)
{
    struct mu_history_query *op = calloc(1, sizeof *op);

    MU_ASSERT(op != NULL);
    op->kind = kind;
    mu_list_init(&op->link);
    return op;
}

static void op_free(struct mu_history_query *op)
{
    for (uint32_t i = 0; i < op->batch.runs_count; i++)
        mu_buf_fini(&op->batch.runs[i].body);
    for (uint32_t i = 0; i < op->batch.jobs_count; i++) {
        struct mu_history_past *j = &op->batch.jobs[i];
        free(j->name);
        free(j->user);
        free(j->state);
        mu_buf_fini(&j->body);
    }
    free(op->batch.runs);
    free(op->batch.jobs);
    for (size_t i = 0; i < MU_COUNT(op->texts); i++)
        free(op->texts[i]);
    free(op->ordinals);
    mu_history_rows_fini(&op->rows);
    free(op);
}

static void op_push(struct mu_history *h, struct mu_history_query *op)
{
    lock(h);
    mu_list_add_tail(&h->todo, &op->link);
    h->backlog += op->batch.bytes;
    pthread_cond_signal(&h->wake);
    unlock(h);
}

/* Stored batches are only freed: keep their list short while nobody asks. */
static void reap(struct mu_history *h, struct mu_list *out)
{
    mu_list_init(out);
    lock(h);
    while (!mu_list_is_empty(&h->done)) {
        struct mu_list *l = h->done.next;
        mu_list_remove(l);
        mu_list_add_tail(out, l);
    }
    unlock(h);
}

enum mu_rc mu_history_open(struct mu_history **out, const struct mu_history_options *opt, struct mu_err *err)
{
    struct mu_history *h = calloc(1, sizeof *h);
    pthread_condattr_t attr;
    enum mu_rc rc;

    if (h == NULL)
        return mu_fail(err, MU_NOMEM, "history: no memory");
    h->opt = *opt;
    rc = mu_history_db_open(&h->db, opt, &h->stored, err);
    if (rc != MU_OK) {
        free(h);
        return rc;
    }
    h->given = h->stored;
    mu_list_init(&h->todo);
    mu_list_init(&h->done);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&h->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&h->lock, NULL);
    if (pthread_create(&h->thread, NULL, worker, h) != 0) {
        mu_history_db_close(h->db);
        free(h);
        return mu_fail(err, MU_IO, "history: no thread could be started");
    }
    *out = h;
    return MU_OK;
}

void mu_history_close(struct mu_history *h)
{
    struct mu_list rest;

    if (h == NULL)
        return;
    mu_history_flush(h);
    lock(h);
    h->stopping = true;
    pthread_cond_signal(&h->wake);
    unlock(h);
    op_push(h, op_new(OP_STOP));
    pthread_join(h->thread, NULL);
    reap(h, &rest);
    MU_LIST_EACH_SAFE(it, &rest) {
        mu_list_remove(it);
        op_free(MU_CONTAINER(it, struct mu_history_query, link));
    }
    mu_history_db_close(h->db);
    mu_map_fini(&h->run_of);
    pthread_cond_destroy(&h->wake);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

uint64_t mu_history_stored(const struct mu_history *h) { return h->stored; }

static struct mu_history_batch *gathering(struct mu_history *h)
{
    if (h->open == NULL)
        h->open = op_new(OP_BATCH);
    return &h->open->batch;
}

static struct mu_history_run *run_for(struct mu_history *h, struct mu_history_batch *b, uint64_t job)
{
    uint64_t *at = mu_map_find(&h->run_of, job);

    if (at != NULL && b->runs[*at].body.size < RUN_BYTES)
        return &b->runs[*at];
    if (b->runs_count == b->runs_cap) {
        b->runs_cap = b->runs_cap ? b->runs_cap * 2 : 8;
        b->runs = realloc(b->runs, b->runs_cap * sizeof *b->runs);
        MU_ASSERT(b->runs != NULL);
    }
    mu_map_put(&h->run_of, job, b->runs_count);
    struct mu_history_run *r = &b->runs[b->runs_count++];
    *r = (struct mu_history_run){ .job = job, .lo = UINT32_MAX, .last.job = job };
    return r;
}

void mu_history_add(struct mu_history *h, const struct mu_result_row *row)
{
    struct mu_history_batch *b = gathering(h);
    struct mu_history_run *r = run_for(h, b, row->job);
    size_t before = r->body.size;

    MU_ASSERT(row->seq > h->given && row->count > 0 && (row->count == 1 || row->attempt == 0));
    mu_result_row_put(&r->body, &r->last, row);
    r->last = *row;
    r->count++;
    r->lo = row->ordinal < r->lo ? row->ordinal : r->lo;
    r->hi = row->ordinal + row->count - 1 > r->hi ? row->ordinal + row->count - 1 : r->hi;
    b->bytes += r->body.size - before;
}

static char *text_of(struct mu_str s)
{
    char *z = mu_str_dup(s);

    MU_ASSERT(z != NULL);
    return z;
}

void mu_history_add_job(struct mu_history *h, const struct mu_job_record *job)
{
    struct mu_history_batch *b = gathering(h);

    if (b->jobs_count == b->jobs_cap) {
        b->jobs_cap = b->jobs_cap ? b->jobs_cap * 2 : 8;
        b->jobs = realloc(b->jobs, b->jobs_cap * sizeof *b->jobs);
        MU_ASSERT(b->jobs != NULL);
    }
    struct mu_history_past *j = &b->jobs[b->jobs_count++];
    *j = (struct mu_history_past){ .id = job->id, .ended_ms = job->ended_ms, .tasks = job->tasks,
                                   .name = text_of(job->name), .user = text_of(job->user), .state = text_of(job->state) };
    mu_pb_put(&j->body, &mu_job_record_pb, job);
    b->bytes += j->body.size + 64;
}

void mu_history_entry_end(struct mu_history *h, uint64_t seq, uint64_t time_ms)
{
    h->given = seq > h->given ? seq : h->given;
    if (h->open == NULL)
        return;
    h->open->batch.seq = h->given;
    h->open->batch.time_ms = time_ms;
    if (h->open->batch.bytes >= BATCH_BYTES)
        mu_history_flush(h);
}

bool mu_history_has_gathered(const struct mu_history *h) { return h->open != NULL; }

bool mu_history_flush(struct mu_history *h)
{
    struct mu_list done;

    if (h->open == NULL)
        return false;
    h->open->batch.seq = h->given;
    op_push(h, h->open);
    h->open = NULL;
    mu_map_clear(&h->run_of);
    lock(h); /* stored batches wait here to be freed; what has an answer stays for mu_history_poll */
    mu_list_init(&done);
    MU_LIST_EACH_SAFE(it, &h->done)
        if (MU_CONTAINER(it, struct mu_history_query, link)->kind == OP_BATCH) {
            mu_list_remove(it);
            mu_list_add_tail(&done, it);
        }
    unlock(h);
    MU_LIST_EACH_SAFE(it, &done) {
        mu_list_remove(it);
        op_free(MU_CONTAINER(it, struct mu_history_query, link));
    }
    return true;
}

bool mu_history_failing(const struct mu_history *h)
{
    struct mu_history *w = (struct mu_history *)h;

    lock(w);
    bool failing = w->failing;
    unlock(w);
    return failing;
}

size_t mu_history_backlog(const struct mu_history *h)
{
    struct mu_history *w = (struct mu_history *)h;

    lock(w);
    size_t n = w->backlog;
    unlock(w);
    return n + (h->open ? h->open->batch.bytes : 0);
}

void mu_history_poll(struct mu_history *h)
{
    struct mu_list done;

    reap(h, &done);
    while (!mu_list_is_empty(&done)) {
        struct mu_history_query *op = MU_CONTAINER(done.next, struct mu_history_query, link);
        struct mu_history_answer answer = { .rc = op->rc, .rows = op->rows.rows, .rows_count = op->rows.rows_count,
                                            .more = op->rows.more, .jobs = op->rows.jobs, .jobs_count = op->rows.jobs_count };
        mu_list_remove(&op->link);
        if (op->fn != NULL)
            h->queries--;
        if (op->sync != NULL && op->rc == MU_OK)
            op->sync(op->arg, op->seq);
        else if (op->fn != NULL && !op->cancelled)
            op->fn(op->arg, &answer);
        op_free(op);
    }
}

void mu_history_sync(struct mu_history *h, void (*done)(void *arg, uint64_t seq), void *arg)
{
    struct mu_history_query *op = op_new(OP_SYNC);

    gathering(h)->seq = h->given; /* an empty batch moves the stored sequence number */
    mu_history_flush(h);
    op->sync = done;
    op->arg = arg;
    op->seq = h->given;
    op_push(h, op);
}

static struct mu_history_query *ask(struct mu_history *h, enum op_kind kind, mu_history_fn *fn, void *arg)
{
    struct mu_history_query *op;

    if (h->queries == MU_HISTORY_QUERIES_MAX)
        return NULL;
    mu_history_flush(h);
    h->queries++;
    op = op_new(kind);
    op->fn = fn;
    op->arg = arg;
    return op;
}

struct mu_history_query *mu_history_results(struct mu_history *h, const struct mu_history_find *find, mu_history_fn *fn, void *arg)
{
    struct mu_history_query *op = ask(h, OP_RESULTS, fn, arg);

    if (op == NULL)
        return NULL;
    op->find = *find;
    if (op->find.limit == 0 || op->find.limit > MU_HISTORY_ROWS_MAX)
        op->find.limit = MU_HISTORY_ROWS_MAX;
    if (find->ordinals_count > 0) {
        op->ordinals = malloc(find->ordinals_count * sizeof *op->ordinals);
        MU_ASSERT(op->ordinals != NULL);
        memcpy(op->ordinals, find->ordinals, find->ordinals_count * sizeof *op->ordinals);
        op->find.ordinals = op->ordinals;
    }
    op_push(h, op);
    return op;
}

struct mu_history_query *mu_history_jobs(struct mu_history *h, const struct mu_history_find_jobs *find, mu_history_fn *fn, void *arg)
{
    struct mu_history_query *op = ask(h, OP_JOBS, fn, arg);

    if (op == NULL)
        return NULL;
    op->find_jobs = *find;
    struct mu_str *texts[] = { &op->find_jobs.state, &op->find_jobs.name, &op->find_jobs.user };
    for (size_t i = 0; i < MU_COUNT(texts); i++) {
        op->texts[i] = text_of(*texts[i]);
        *texts[i] = mu_str_of(op->texts[i]);
    }
    op_push(h, op);
    return op;
}

void mu_history_cancel(struct mu_history *h, struct mu_history_query *q)
{
    (void)h;
    q->cancelled = true; /* read on this thread only */
}
