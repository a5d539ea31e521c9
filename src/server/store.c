/* server/store.c -- the durable side of a server: journal, snapshots, the history of what ended.
 *
 * A snapshot is an image of core at some entry, kept until the history has everything up to that entry on disk, and only then
 * offered to the journal, which trims behind it: what is trimmed can always be found in the history.
 */
#include "server/server.h"

#include "base/log.h"
#include "server/api.h"

#include <sys/statvfs.h>

enum {
    SNAPSHOT_BYTES_MIN = 32 * 1024 * 1024, /* of entries since the last one */
    SNAPSHOT_BYTES_MAX = 1024 * 1024 * 1024,
    SNAPSHOT_ENTRIES = 200000,
    OPEN_TURN_MS = 100,
    FLUSH_MS = 100,                        /* rows of the history wait this long for company */
    BACKLOG_MAX = 256 * 1024 * 1024,       /* rows the disk does not take, in memory */
};

struct mu_snapshot {
    struct mu_server *sv;
    uint64_t upto;
    struct mu_buf bytes;
    size_t read;
    bool offered;
    uint64_t since_bytes, since_entries; /* of the server when it was taken */
};

/* ---- journal -> ctl ---- */

static void on_commit(void *arg, uint64_t seq, uint64_t epoch, const void *bytes, size_t size)
{
    struct mu_server *sv = arg;

    mu_ctl_on_commit(sv->ctl, mu_server_now(sv), seq, epoch, bytes, size);
    if (seq > mu_history_stored(sv->history))
        mu_history_entry_end(sv->history, seq, mu_view_now_ms(mu_ctl_core(sv->ctl)));
    sv->since_bytes += size;
    sv->since_entries++;
}

static void on_done(void *arg, uint64_t seq, enum mu_journal_end end)
{
    struct mu_server *sv = arg;
    uint64_t now_ns = mu_boot_ns();

    mu_stats_append(&sv->stats, now_ns / 1000000, (now_ns - sv->append_ns[seq % MU_COUNT(sv->append_ns)]) / 1000);
    if (end == MU_JOURNAL_FULL && !sv->no_space) {
        mu_log(MU_LOG_ERROR, "server", "the journal has no space left: no new work is taken");
        sv->no_space = true;
    }
    mu_ctl_on_done(sv->ctl, mu_server_now(sv), seq, (int)end);
}

bool mu_store_append(void *arg, uint64_t epoch, uint64_t seq, const void *bytes, size_t size)
{
    struct mu_server *sv = arg;

    sv->append_ns[seq % MU_COUNT(sv->append_ns)] = mu_boot_ns();
    return mu_journal_append(sv->journal, epoch, seq, bytes, size, on_done, sv) == MU_JOURNAL_OK;
}

static void on_lead(void *arg, uint64_t epoch, uint64_t next_seq)
{
    struct mu_server *sv = arg;

    mu_log(MU_LOG_INFO, "server", "leads in epoch %llu from entry %llu on", (unsigned long long)epoch, (unsigned long long)next_seq);
    mu_ctl_on_lead(sv->ctl, mu_server_now(sv), epoch, next_seq);
    mu_server_on_ready(sv);
}

static void on_lost(void *arg, uint64_t epoch, enum mu_journal_end why)
{
    struct mu_server *sv = arg;

    mu_log(sv->stopping ? MU_LOG_INFO : MU_LOG_WARN, "server", "leads no more (epoch %llu: %s)", (unsigned long long)epoch,
           mu_journal_end_text(why));
    mu_ctl_on_lost(sv->ctl, mu_server_now(sv));
    if (sv->stopping)
        mu_server_on_resigned(sv);
    else
        mu_journal_campaign(sv->journal);
}

static void on_hint(void *arg, const char *leader_addr, uint64_t epoch)
{
    (void)arg;
    mu_log(MU_LOG_INFO, "server", "%s leads in epoch %llu", leader_addr, (unsigned long long)epoch);
}

static void on_fatal(void *arg, enum mu_journal_end why, const struct mu_err *err)
{
    mu_server_die(arg, "the journal cannot go on: %s%s%s", mu_journal_end_text(why), err ? ": " : "", err ? err->text : "");
}

/* ---- snapshots ---- */

static void load_begin(void *arg, uint64_t upto, uint64_t bytes)
{
    struct mu_server *sv = arg;

    mu_buf_clear(&sv->load);
    mu_buf_room(&sv->load, bytes);
    sv->load_upto = upto;
}

static bool load_chunk(void *arg, const void *bytes, size_t size)
{
    struct mu_server *sv = arg;

    mu_buf_add(&sv->load, bytes, size);
    return true;
}

static void load_end(void *arg, bool good)
{
    struct mu_server *sv = arg;
    struct mu_err err = { 0 };

    if (good && mu_ctl_load(sv->ctl, sv->load_upto, sv->load.at, sv->load.size, &err) != MU_OK)
        mu_server_die(sv, "the snapshot of entry %llu cannot be read: %s", (unsigned long long)sv->load_upto, err.text);
    sv->snapshot_bytes = sv->load.size;
    sv->since_bytes = sv->since_entries = 0;
    mu_tape_restart(&sv->tape, sv->load_upto);
    mu_buf_fini(&sv->load);
    sv->load = (struct mu_buf){ 0 };
}

static void snapshot_free(struct mu_server *sv)
{
    if (sv->snapshot == NULL)
        return;
    mu_buf_fini(&sv->snapshot->bytes);
    free(sv->snapshot);
    sv->snapshot = NULL;
}

static void on_synced(void *arg, uint64_t seq)
{
    struct mu_server *sv = arg;

    if (sv->snapshot == NULL || !mu_ctl_leads(sv->ctl)) {
        snapshot_free(sv);
        return;
    }
    MU_ASSERT(seq >= sv->snapshot->upto);
    sv->snapshot->offered = true;
    mu_journal_snapshot(sv->journal);
}

static void snapshot_take(struct mu_server *sv)
{
    uint64_t began_ns = mu_boot_ns();
    struct mu_snapshot *s = calloc(1, sizeof *s);

    if (s == NULL)
        return;
    s->sv = sv;
    s->upto = mu_ctl_applied(sv->ctl);
    s->since_bytes = sv->since_bytes;
    s->since_entries = sv->since_entries;
    mu_buf_room(&s->bytes, sv->snapshot_bytes + (sv->since_bytes < SNAPSHOT_BYTES_MAX ? sv->since_bytes : SNAPSHOT_BYTES_MAX));
    mu_ctl_save(sv->ctl, &s->bytes);
    sv->snapshot = s;
    mu_log(MU_LOG_DEBUG, "server", "snapshot of entry %llu: %zu bytes in %llu us", (unsigned long long)s->upto, s->bytes.size,
           (unsigned long long)((mu_boot_ns() - began_ns) / 1000));
    mu_history_sync(sv->history, on_synced, sv);
}

/* A new one costs as much as the old: wait until about as much has happened. */
static bool snapshot_due(const struct mu_server *sv)
{
    uint64_t bytes = sv->snapshot_bytes / 2 > SNAPSHOT_BYTES_MIN ? sv->snapshot_bytes / 2 : SNAPSHOT_BYTES_MIN;

    return sv->snapshot == NULL && mu_ctl_leads(sv->ctl) && !sv->stopping &&
           (sv->since_bytes >= bytes || sv->since_entries >= SNAPSHOT_ENTRIES) && !mu_history_failing(sv->history);
}

static bool save_open(void *arg, uint64_t *upto, uint64_t *bytes, void **image)
{
    struct mu_server *sv = arg;

    if (sv->snapshot == NULL || !sv->snapshot->offered) {
        sv->since_bytes = UINT64_MAX / 2; /* the journal wants one: make it, then offer it */
        return false;
    }
    *upto = sv->snapshot->upto;
    *bytes = sv->snapshot->bytes.size;
    *image = sv->snapshot;
    return true;
}

static size_t save_read(void *arg, void *image, void *buf, size_t cap)
{
    struct mu_snapshot *s = image;
    size_t left = s->bytes.size - s->read, n = left < cap ? left : cap;

    (void)arg;
    memcpy(buf, s->bytes.at + s->read, n);
    s->read += n;
    return n;
}

static void save_close(void *arg, void *image, bool stored)
{
    struct mu_server *sv = arg;
    struct mu_snapshot *s = image;

    sv->snapshot_bytes = s->bytes.size;
    if (stored) {
        sv->since_bytes -= s->since_bytes;
        sv->since_entries -= s->since_entries;
    } else {
        mu_log(MU_LOG_WARN, "server", "a snapshot of %zu bytes was not stored", s->bytes.size);
        sv->since_bytes = sv->since_entries = 0; /* not again at once */
    }
    snapshot_free(sv);
}

/* ---- effects ---- */

static void history_ended(struct mu_server *sv, uint64_t seq, uint64_t time_ms, const struct mu_fx *fx)
{
    const struct mu_ev_ended *e = fx->ended;
    uint64_t ended_ms = e->started_ms ? e->started_ms + e->run_us / 1000 : time_ms;

    mu_history_add(sv->history, &(struct mu_result_row){
        .seq = seq, .job = fx->job, .ordinal = fx->ordinal, .attempt = fx->attempt, .node = fx->node, .code = e->code,
        .count = fx->attempt == 0 ? fx->count : 1,
        .state = fx->state, .how = (enum mu_end)e->how, .submitted_ms = fx->submitted_ms, .placed_ms = fx->placed_ms,
        .started_ms = e->started_ms, .ended_ms = ended_ms < time_ms ? ended_ms : time_ms, .run_us = e->run_us,
        .user_us = e->user_us, .sys_us = e->sys_us, .rss_bytes = e->rss_bytes, .out_bytes = e->out_bytes,
        .err_bytes = e->err_bytes });
}

static void history_job(struct mu_server *sv, const struct mu_fx *fx)
{
    struct mu_arena arena = { 0 };
    struct mu_job_record record;

    if (mu_record_of(mu_ctl_core(sv->ctl), fx->job, &record, &arena) && record.ended_ms != 0)
        mu_history_add_job(sv->history, &record);
    mu_arena_fini(&arena);
}

static uint64_t span_us(uint64_t from_ms, uint64_t to_ms)
{
    return to_ms > from_ms ? (to_ms - from_ms) * 1000 : 0;
}

static void stats_ended(struct mu_server *sv, uint64_t time_ms, const struct mu_fx *fx)
{
    uint64_t now_ms = mu_boot_ms();

    if (mu_task_is_final(fx->state))
        mu_stats_ended(&sv->stats, now_ms, fx->state, fx->count);
    if (fx->placed_ms == 0)
        return;
    mu_stats_stage(&sv->stats, now_ms, MU_STAGE_QUEUE, span_us(fx->submitted_ms, fx->placed_ms));
    if (fx->ended->started_ms != 0) {
        mu_stats_stage(&sv->stats, now_ms, MU_STAGE_START, span_us(fx->placed_ms, fx->ended->started_ms));
        mu_stats_stage(&sv->stats, now_ms, MU_STAGE_RUN, fx->ended->run_us);
    }
    if (mu_task_is_final(fx->state))
        mu_stats_stage(&sv->stats, now_ms, MU_STAGE_RESPONSE, span_us(fx->submitted_ms, time_ms));
}

void mu_store_effect(void *arg, uint64_t seq, uint64_t time_ms, const struct mu_fx *fx)
{
    struct mu_server *sv = arg;
    bool fresh = seq > mu_history_stored(sv->history);

    mu_tape_effect(&sv->tape, mu_ctl_core(sv->ctl), seq, time_ms, fx);
    if (fx->kind == MU_FX_ENDED && fresh)
        history_ended(sv, seq, time_ms, fx);
    else if (fx->kind == MU_FX_JOB && fresh)
        history_job(sv, fx);
    else if (fx->kind == MU_FX_FORGET && fx->job > sv->forgotten_max)
        sv->forgotten_max = fx->job;
    if (fx->kind == MU_FX_JOB || fx->kind == MU_FX_FORGET)
        mu_waits_job(sv, fx->job);
    if (fx->kind == MU_FX_ENDED && mu_ctl_leads(sv->ctl))
        stats_ended(sv, time_ms, fx);
}

/* ---- history ---- */

static void history_poll(void *arg)
{
    struct mu_server *sv = arg;

    if (sv->history != NULL)
        mu_history_poll(sv->history);
}

static void history_wake(void *arg)
{
    struct mu_server *sv = arg;

    mu_loop_post(sv->loop, history_poll, sv);
}

static void on_flush(void *arg)
{
    struct mu_server *sv = arg;

    mu_history_flush(sv->history);
}

/* Ids that only the history knows lie below this one. */
static void on_past(void *arg, const struct mu_history_answer *answer)
{
    struct mu_server *sv = arg;

    if (answer->jobs_count > 0 && answer->jobs[0].id > sv->forgotten_max)
        sv->forgotten_max = answer->jobs[0].id;
}

/* ---- space ---- */

/* Work that was accepted needs room to end in: a twentieth of the disk, at most 64 MiB, is not given to new work. */
static void on_tick(void *arg)
{
    struct mu_server *sv = arg;
    struct statvfs fs;
    uint64_t free_bytes, keep;
    bool full;

    mu_timer_start(sv->tick, 1000);
    if (statvfs(sv->data, &fs) != 0)
        return;
    free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    keep = (uint64_t)fs.f_blocks * fs.f_frsize / 20;
    keep = keep < 64 * 1024 * 1024 ? keep : 64 * 1024 * 1024;
    full = free_bytes < keep || mu_history_backlog(sv->history) > BACKLOG_MAX;
    if (full != sv->no_space)
        mu_log(full ? MU_LOG_ERROR : MU_LOG_INFO, "server", full ? "%s is nearly full: no new work is taken"
               : "%s has space again: new work is taken", sv->data);
    sv->no_space = full;
}

/* ---- open and close ---- */

static const struct mu_journal_host loop_host = {
    .boot_ns = mu_loop_boot_ns, .post = mu_loop_post, .after = mu_loop_after, .cancel = mu_loop_cancel, .random = mu_loop_random,
};

static enum mu_rc ctl_open(struct mu_server *sv, const uint8_t cluster[16], struct mu_err *err)
{
    struct mu_ctl_out out = { .arg = sv, .append = mu_store_append, .send = mu_peer_send, .drop = mu_peer_drop,
                              .reply = mu_ask_reply, .effect = mu_store_effect, .agent_msg = mu_peer_msg };
    struct mu_ctl_options opt = mu_ctl_options_default;
    struct mu_journal_limits limits;

    mu_journal_limits_get(sv->journal, &limits);
    opt.core_limits = mu_core_limits_default;
    opt.server_name = sv->name;
    opt.server_url = sv->url;
    memcpy(opt.cluster, cluster, sizeof opt.cluster);
    mu_random(&opt.seed, sizeof opt.seed);
    if (sv->opt.lease_ms != 0) {
        opt.lease_ms = sv->opt.lease_ms;
        opt.lease_margin_ms = sv->opt.lease_ms / 10 + 100;
    }
    if (limits.record_max != 0 && limits.record_max < opt.record_max)
        opt.record_max = limits.record_max;
    if (limits.inflight_max < opt.inflight_max)
        opt.inflight_max = limits.inflight_max;
    sv->ctl = mu_ctl_new(&opt, &out);
    return sv->ctl ? MU_OK : mu_fail(err, MU_NOMEM, "no memory");
}

static enum mu_rc history_open(struct mu_server *sv, const uint8_t cluster[16], struct mu_err *err)
{
    struct mu_history_options past = { .keep_ms = sv->opt.keep_ms, .keep_jobs = sv->opt.keep_jobs,
                                       .keep_tasks = sv->opt.keep_tasks, .arg = sv, .wake = history_wake };
    char path[sizeof sv->data + 16];

    snprintf(path, sizeof path, "%s/history.db", sv->data);
    past.path = path;
    memcpy(past.cluster, cluster, sizeof past.cluster);
    return mu_history_open(&sv->history, &past, err);
}

/* Whose journal it is decides whose history and whose agents they are: before that there is nothing to serve. */
static void on_open(void *arg, const uint8_t cluster[16])
{
    struct mu_server *sv = arg;
    struct mu_err err = { 0 };

    if (history_open(sv, cluster, &err) != MU_OK || ctl_open(sv, cluster, &err) != MU_OK)
        mu_server_die(sv, "%s", err.text);
}

enum mu_rc mu_store_open(struct mu_server *sv, struct mu_err *err)
{
    struct mu_journal_user user = {
        .arg = sv, .on_open = on_open, .on_commit = on_commit, .on_lead = on_lead, .on_lost = on_lost, .on_hint = on_hint,
        .on_fatal = on_fatal, .load_begin = load_begin, .load_chunk = load_chunk, .load_end = load_end, .save_open = save_open,
        .save_read = save_read, .save_close = save_close };
    struct mu_journal_host host = loop_host;
    struct mu_journal_options opt = { .host = &host, .data_dir = sv->data, .advertise = sv->url };
    enum mu_rc rc;

    host.arg = sv->loop;
    rc = mu_journal_open(&sv->journal, sv->opt.journal, &opt, &user, err);
    while (rc == MU_OK && sv->ctl == NULL && !sv->dead && !sv->stopping)
        mu_loop_turn(sv->loop, OPEN_TURN_MS);
    if (rc != MU_OK || sv->ctl == NULL)
        return rc != MU_OK ? rc : mu_fail(err, MU_IO, "the journal could not be opened");
    mu_history_jobs(sv->history, &(struct mu_history_find_jobs){ .before = MU_JOB_ID_MAX, .limit = 1 }, on_past, sv);
    sv->flush = mu_timer_new(sv->loop, on_flush, sv);
    sv->tick = mu_timer_new(sv->loop, on_tick, sv);
    on_tick(sv);
    mu_journal_campaign(sv->journal);
    return MU_OK;
}

void mu_store_turn(struct mu_server *sv)
{
    if (mu_history_has_gathered(sv->history) && !mu_timer_is_set(sv->flush))
        mu_timer_start(sv->flush, FLUSH_MS);
    if (snapshot_due(sv))
        snapshot_take(sv);
}

void mu_store_close(struct mu_server *sv)
{
    mu_timer_free(sv->flush);
    mu_timer_free(sv->tick);
    mu_journal_close(sv->journal);
    sv->journal = NULL;
    if (sv->ctl != NULL)
        mu_ctl_free(sv->ctl);
    sv->ctl = NULL;
    mu_history_close(sv->history);
    sv->history = NULL;
    snapshot_free(sv);
    mu_buf_fini(&sv->load);
}
