#include "journal/rig.h"

#include <ftw.h>
#include <stdlib.h>
#include <unistd.h>

const struct row rig_rows[] = {
    { .name = "memory", .any = true, .shared = true, .wire = true },
    { .name = "sqlite", .any = true, .files = true },
};
const size_t rig_row_count = MU_COUNT(rig_rows);

static void folder_make(struct rig *r)
{
    const char *base = getenv("JOURNAL_TMP");

    if (base == NULL) /* faults are injected, so the disk need not be a real one, and thousands of syncs cost nothing */
        base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(r->folder, sizeof r->folder, "%s/muster-journal-XXXXXX", base);
    if (mkdtemp(r->folder) == NULL)
        fail_msg("no temporary folder: %s", r->folder);
    snprintf(r->path, sizeof r->path, "%s/journal.db", r->folder);
    snprintf(r->url, sizeof r->url, "sqlite:%s", r->path);
}

void rig_init_seeded(struct rig *r, const struct row *row, uint64_t seed)
{
    *r = (struct rig){ .row = row };
    host_init(&r->host, row->files);
    r->digests = calloc(PEER_SEQ_MAX, sizeof *r->digests);
    MU_ASSERT(r->digests != NULL);
    r->opt.advertise = "here:1";
    r->opt.host = &r->host.calls;
    if (row->files) {
        folder_make(r);
        return;
    }
    r->memory = mu_memory_new(&r->host.calls, &(struct mu_memory_settings){ .seed = seed });
    r->opt.memory = r->memory;
    snprintf(r->url, sizeof r->url, "memory:x");
}

void rig_init(struct rig *r, const struct row *row)
{
    rig_init_seeded(r, row, 1);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

void rig_fini(struct rig *r)
{
    mu_memory_free(r->memory);
    host_run(&r->host, 0);
    host_fini(&r->host);
    free(r->digests);
    if (r->folder[0] != '\0')
        nftw(r->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void rig_join(struct rig *r, struct peer *p)
{
    peer_init(p, &r->host, r->digests);
    if (peer_open(p, r->url, &r->opt) != MU_OK)
        fail_msg("open: %s", p->err.text);
}

void rig_lead(struct rig *r, struct peer *p)
{
    rig_join(r, p);
    if (!peer_lead(p, RIG_LIMIT_MS))
        fail_msg("no lead: %s", p->err.text);
}

void rig_check_replay(struct rig *r, const struct peer *like)
{
    struct peer again;

    rig_join(r, &again);
    if (!peer_catch_up(&again, RIG_LIMIT_MS))
        fail_msg("no replay: %s", again.err.text);
    assert_int_equal(again.tail, like->tail);
    assert_int_equal(again.state.count, like->state.count);
    assert_int_equal(again.state.digest, like->state.digest);
    assert_memory_equal(mu_journal_cluster_id(again.j), mu_journal_cluster_id(again.j), 16);
    peer_close(&again);
}

static void no_hint(void *arg, const char *leader_addr, uint64_t token)
{
    (void)arg, (void)leader_addr, (void)token;
}

void raw_open(struct raw *raw, struct rig *r)
{
    static const struct mu_engine_ops *const engines[] = { &mu_engine_memory, &mu_engine_sqlite };
    struct mu_err err;
    size_t i = 0;

    *raw = (struct raw){ .rig = r, .opt = r->opt };
    raw->opt.data_dir = "";
    raw->user.on_hint = no_hint;
    while (strcmp(engines[i]->scheme, r->row->name) != 0)
        i++;
    if (engines[i]->open(&raw->engine, strchr(r->url, ':') + 1, &raw->opt, &raw->user, &err) != MU_OK)
        fail_msg("open: %s", err.text);
}

void raw_close(struct raw *raw)
{
    raw->engine->ops->close(raw->engine);
    host_run(&raw->rig->host, 0);
}

static void on_answer(void *arg, const struct mu_engine_answer *a)
{
    struct raw *raw = arg;

    MU_ASSERT(!raw->answered);
    raw->answered = true;
    raw->answer = *a;
    if (raw->record != NULL && a->count > 0) {
        struct mu_hasher *h = mu_hasher_new();
        mu_record_open(h, raw->record, a->items[0].at, a->items[0].size, NULL);
        mu_hasher_free(h);
    }
    raw->first_key = a->count > 0 ? a->items[0].key : UINT64_MAX;
}

static bool is_answered(void *arg)
{
    return ((struct raw *)arg)->answered;
}

enum mu_engine_end raw_do(struct raw *raw, struct mu_engine_call call)
{
    call.done = on_answer;
    call.arg = raw;
    raw->answered = false;
    raw->engine->ops->start(raw->engine, &call);
    MU_ASSERT(!raw->answered); /* never before start() returned */
    if (!host_until(&raw->rig->host, is_answered, raw, RIG_LIMIT_MS))
        fail_msg("verb %d: no answer", call.verb);
    return raw->answer.end;
}
