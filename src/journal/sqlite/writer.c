#include "journal/sqlite/writer.h"

#include "journal/chain.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/statvfs.h>

enum {
    IDLE_MS = 20,
    CHECKPOINT_IDLE = 1 << 20,         /* log bytes that are worth moving when nothing came for IDLE_MS */
    CHECKPOINT_BUSY = MU_DB_LOG_BYTES, /* and that are moved whatever waits, before the log's file grows */
    SPACE_EVERY = 64,           /* transactions between two looks at the disk */
};

struct job {
    struct mu_list link;
    struct mu_engine_call *call;
    struct mu_engine_answer answer;
    struct mu_db_items items;
    char text[200];
};

/* What is on its way to the loop. Outlives the writer while a post is out. */
struct mailbox {
    pthread_mutex_t lock;
    struct mu_list done;
    bool posted, closed;
};

struct mu_writer {
    struct mu_db *db;
    struct mu_place *place;
    struct mu_journal_host host;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct mu_list appends, others; /* under lock */
    bool stop;
    enum mu_engine_end broken; /* the thread's: OK, or what ended it */
    unsigned since_space;
    bool extended; /* the log's file is as long as it should be */
    struct mailbox *box;
    atomic_uint_fast64_t used, quota;
};

static void job_free(struct job *job)
{
    mu_db_items_fini(&job->items);
    free(job);
}

static void box_free(struct mailbox *box)
{
    MU_LIST_EACH_SAFE(it, &box->done)
        job_free(MU_CONTAINER(it, struct job, link));
    pthread_mutex_destroy(&box->lock);
    free(box);
}

/* On the loop: give out all answers that are in. */
static void deliver(void *arg)
{
    struct mailbox *box = arg;
    struct mu_list done;

    mu_list_init(&done);
    pthread_mutex_lock(&box->lock);
    box->posted = false;
    if (!box->closed)
        mu_list_move(&done, &box->done);
    pthread_mutex_unlock(&box->lock);
    if (box->closed) {
        box_free(box);
        return;
    }
    MU_LIST_EACH_SAFE(it, &done) { /* close is not called from inside done() */
        struct job *job = MU_CONTAINER(it, struct job, link);
        job->call->done(job->call->arg, &job->answer);
        job_free(job);
    }
}

static void report(struct mu_writer *w, struct mu_list *jobs)
{
    struct mailbox *box = w->box;
    bool post;

    if (mu_list_is_empty(jobs))
        return;
    pthread_mutex_lock(&box->lock);
    mu_list_move(&box->done, jobs);
    post = !box->posted;
    box->posted = true;
    pthread_mutex_unlock(&box->lock);
    if (post)
        w->host.post(w->host.arg, deliver, box);
}

static void job_end(struct mu_writer *w, struct job *job, enum mu_engine_end end)
{
    job->answer.end = end;
    if (end == MU_ENGINE_FATAL || end == MU_ENGINE_CORRUPT || end == MU_ENGINE_FULL) {
        snprintf(job->text, sizeof job->text, "%s", mu_db_text(w->db));
        job->answer.text = job->text;
    }
    if (end == MU_ENGINE_FATAL || end == MU_ENGINE_CORRUPT)
        w->broken = end;
}

static void end_all(struct mu_writer *w, struct mu_list *jobs, enum mu_engine_end end)
{
    MU_LIST_EACH(it, jobs)
        job_end(w, MU_CONTAINER(it, struct job, link), end);
}

static void say_all(struct mu_list *jobs, const char *text)
{
    MU_LIST_EACH(it, jobs) {
        struct job *job = MU_CONTAINER(it, struct job, link);
        snprintf(job->text, sizeof job->text, "%s", text);
    }
}

static bool is_refusal(enum mu_engine_end end)
{
    return end == MU_ENGINE_TOKEN || end == MU_ENGINE_TAKEN || end == MU_ENGINE_GAP;
}

/* The furthest record that is durable now. */
static bool mark(struct mu_writer *w, const struct mu_list *jobs)
{
    MU_ASSERT(w->place != NULL);
    for (const struct mu_list *it = jobs->prev; it != jobs; it = it->prev) {
        const struct job *job = MU_CONTAINER(it, struct job, link);
        if (job->answer.end == MU_ENGINE_OK)
            return mu_mark_put(w->place, job->call->seq, job->call->bytes + job->call->size - MU_HASH_BYTES);
    }
    return true;
}

static enum mu_engine_end append_each(struct mu_writer *w, struct mu_list *jobs)
{
    MU_LIST_EACH(it, jobs) {
        struct job *job = MU_CONTAINER(it, struct job, link);
        enum mu_engine_end end = mu_db_append(w->db, job->call);
        if (end != MU_ENGINE_OK && !is_refusal(end))
            return end;
        job->answer.end = end;
    }
    return MU_ENGINE_OK;
}

/* All that has gathered in one transaction: one sync, and either all of it or nothing. */
static void do_appends(struct mu_writer *w, struct mu_list *jobs)
{
    enum mu_engine_end end = mu_db_begin(w->db);

    if (end == MU_ENGINE_OK)
        end = append_each(w, jobs);
    if (end == MU_ENGINE_OK)
        end = mu_db_commit(w->db);
    else
        end = mu_db_undo(w->db, end);
    if (end == MU_ENGINE_OK && !mark(w, jobs)) {
        end_all(w, jobs, MU_ENGINE_FATAL);
        say_all(jobs, "the marker cannot be written");
    } else if (end != MU_ENGINE_OK)
        end_all(w, jobs, end);
}

static void do_other(struct mu_writer *w, struct job *job)
{
    job_end(w, job, mu_db_do(w->db, job->call, &job->answer, &job->items));
}

static void look_at_space(struct mu_writer *w)
{
    struct statvfs fs;
    uint64_t used = mu_db_used(w->db);

    w->since_space = 0;
    atomic_store(&w->used, used);
    if (w->place != NULL && statvfs(w->place->path, &fs) == 0)
        atomic_store(&w->quota, used + (uint64_t)fs.f_bavail * fs.f_frsize);
}

/* A full disk is no harm here: what is not moved stays in the log. */
static void checkpoint(struct mu_writer *w)
{
    enum mu_engine_end end = mu_db_checkpoint(w->db);

    if (end == MU_ENGINE_FATAL || end == MU_ENGINE_CORRUPT)
        w->broken = end;
    else
        look_at_space(w);
}

static bool is_empty(const struct mu_writer *w)
{
    return !w->stop && mu_list_is_empty(&w->appends) && mu_list_is_empty(&w->others);
}

/* Nothing is to do: what would only be in the way otherwise. False: nothing of that either. */
static bool use_idle_time(struct mu_writer *w)
{
    if (w->broken != MU_ENGINE_OK)
        return false;
    if (mu_db_log_bytes(w->db) >= CHECKPOINT_IDLE)
        checkpoint(w);
    else if (!w->extended)
        w->extended = !mu_db_log_extend(w->db);
    else
        return false;
    return true;
}

/* Until something is to do; the lock is held. */
static void wait_for_more(struct mu_writer *w)
{
    while (is_empty(w)) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += IDLE_MS * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&w->more, &w->lock, &until);
        while (is_empty(w)) {
            bool more;
            pthread_mutex_unlock(&w->lock);
            more = use_idle_time(w);
            pthread_mutex_lock(&w->lock);
            if (!more && is_empty(w))
                pthread_cond_wait(&w->more, &w->lock);
        }
    }
}

/* What is to do next: all appends, and one of the rest. False: stop. */
static bool take(struct mu_writer *w, struct mu_list *appends, struct mu_list *other)
{
    bool go;

    pthread_mutex_lock(&w->lock);
    wait_for_more(w);
    mu_list_move(appends, &w->appends);
    if (!mu_list_is_empty(&w->others)) {
        struct mu_list *first = w->others.next;
        mu_list_remove(first);
        mu_list_add_tail(other, first);
    }
    go = !w->stop;
    pthread_mutex_unlock(&w->lock);
    return go;
}

static void serve(struct mu_writer *w, struct mu_list *appends, struct mu_list *other)
{
    if (w->broken != MU_ENGINE_OK)
        end_all(w, appends, w->broken);
    else if (!mu_list_is_empty(appends))
        do_appends(w, appends);
    report(w, appends);
    if (w->broken != MU_ENGINE_OK)
        end_all(w, other, w->broken);
    else if (!mu_list_is_empty(other))
        do_other(w, MU_CONTAINER(other->next, struct job, link));
    report(w, other);
    if (w->broken == MU_ENGINE_OK && mu_db_log_bytes(w->db) >= CHECKPOINT_BUSY)
        checkpoint(w);
    if (++w->since_space >= SPACE_EVERY && w->broken == MU_ENGINE_OK)
        look_at_space(w);
}

static void free_jobs(struct mu_list *jobs)
{
    MU_LIST_EACH_SAFE(it, jobs)
        job_free(MU_CONTAINER(it, struct job, link));
    mu_list_init(jobs);
}

static void *run(void *arg)
{
    struct mu_writer *w = arg;
    struct mu_list appends, other;

    mu_list_init(&appends);
    mu_list_init(&other);
    while (take(w, &appends, &other))
        serve(w, &appends, &other);
    free_jobs(&appends);
    free_jobs(&other);
    return NULL;
}

/* Signals are the loop's business. */
static int thread_start(struct mu_writer *w)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

enum mu_rc mu_writer_open(struct mu_writer **out_writer, struct mu_db *db, struct mu_place *place,
                          const struct mu_journal_host *host, struct mu_err *err)
{
    struct mu_writer *w = calloc(1, sizeof *w);
    struct mailbox *box = calloc(1, sizeof *box);
    pthread_condattr_t monotonic;

    if (w == NULL || box == NULL)
        goto undo;
    w->db = db;
    w->place = place;
    w->host = *host;
    w->box = box;
    mu_list_init(&w->appends);
    mu_list_init(&w->others);
    mu_list_init(&box->done);
    pthread_mutex_init(&box->lock, NULL);
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->more, &monotonic);
    pthread_condattr_destroy(&monotonic);
    w->extended = place == NULL;
    look_at_space(w);
    if (thread_start(w) != 0)
        goto undo;
    *out_writer = w;
    return MU_OK;
undo:
    free(w);
    free(box);
    return mu_fail(err, MU_NOMEM, "the journal's thread cannot be started");
}

void mu_writer_start(struct mu_writer *w, struct mu_engine_call *call)
{
    struct job *job = calloc(1, sizeof *job);

    MU_ASSERT(job != NULL);
    job->call = call;
    pthread_mutex_lock(&w->lock);
    mu_list_add_tail(call->verb == MU_ENGINE_APPEND ? &w->appends : &w->others, &job->link);
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
}

void mu_writer_space(const struct mu_writer *w, uint64_t *out_used, uint64_t *out_quota)
{
    *out_used = atomic_load(&w->used);
    *out_quota = atomic_load(&w->quota);
}

void mu_writer_close(struct mu_writer *w)
{
    struct mailbox *box = w->box;
    bool posted;

    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_mutex_lock(&box->lock);
    box->closed = true;
    posted = box->posted;
    pthread_mutex_unlock(&box->lock);
    if (!posted)
        box_free(box);
    free_jobs(&w->appends);
    free_jobs(&w->others);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->more);
    mu_db_close(w->db);
    free(w);
}
