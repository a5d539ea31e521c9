/* The engine of one server: one file, one process, no leases. */
#include "journal/chain.h"
#include "journal/sqlite/writer.h"

enum { RECORD_MAX = 16 << 20, CHUNK_MAX = 1 << 20, INFLIGHT_MAX = 8 };

struct mu_sqlite {
    struct mu_engine engine;
    struct mu_place place;
    struct mu_writer *writer;
};

static struct mu_sqlite *sqlite_of(const struct mu_engine *e)
{
    return MU_CONTAINER(e, struct mu_sqlite, engine);
}

/* The database must reach as far as the marker says, with the same record there. */
static enum mu_rc check_mark(struct mu_sqlite *s, struct mu_db *db, struct mu_err *err)
{
    uint64_t marked = 0, tail = 0;
    uint8_t want[MU_HASH_BYTES], hash[MU_HASH_BYTES];
    bool found = false;

    if (mu_db_tail(db, &tail) != MU_ENGINE_OK)
        return mu_fail_at(err, MU_CORRUPT, "journal", "journal %s: %s", s->place.path, mu_db_text(db));
    if (!mu_mark_get(&s->place, &marked, want))
        return mu_mark_clear(&s->place) ? MU_OK
                                        : mu_fail_at(err, MU_FULL, "journal", "journal %s: no space for its marker",
                                                     s->place.path);
    if (tail < marked)
        return mu_fail_at(err, MU_CORRUPT, "journal",
                          "journal %s ends at record %llu, but record %llu was durable: the tail is lost, or an older copy "
                          "was put in place",
                          s->place.path, (unsigned long long)tail, (unsigned long long)marked);
    if (mu_db_hash_at(db, marked, &found, hash) != MU_ENGINE_OK || (found && memcmp(hash, want, sizeof hash) != 0))
        return mu_fail_at(err, MU_CORRUPT, "journal", "journal %s: record %llu is not the one that was written",
                          s->place.path, (unsigned long long)marked);
    return MU_OK;
}

/* An operator says that an older copy is meant: no mark of the other one counts, and its epochs are left behind. */
static enum mu_rc accept_restored(struct mu_sqlite *s, struct mu_db *db, struct mu_err *err)
{
    if (mu_db_lift(db) != MU_ENGINE_OK)
        return mu_fail_at(err, MU_IO, "journal", "journal %s: %s", s->place.path, mu_db_text(db));
    if (!mu_mark_clear(&s->place))
        return mu_fail_at(err, MU_IO, "journal", "journal %s: its marker cannot be written", s->place.path);
    return MU_OK;
}

static void sqlite_close(struct mu_engine *e)
{
    struct mu_sqlite *s = e != NULL ? sqlite_of(e) : NULL;

    if (s == NULL)
        return;
    if (s->writer != NULL)
        mu_writer_close(s->writer);
    mu_place_close(&s->place);
    free(s);
}

static enum mu_rc sqlite_open(struct mu_engine **out_engine, const char *rest, const struct mu_journal_options *opt,
                              const struct mu_engine_user *user, struct mu_err *err)
{
    struct mu_sqlite *s = calloc(1, sizeof *s);
    struct mu_db *db = NULL;
    enum mu_rc rc;

    (void)user;
    if (s == NULL)
        return mu_fail(err, MU_NOMEM, "journal sqlite:%s: no memory", rest);
    s->engine.ops = &mu_engine_sqlite;
    rc = mu_place_open(&s->place, rest, opt->data_dir, opt->read_only, err);
    if (rc == MU_OK)
        rc = mu_db_open(&db, s->place.path, opt->read_only, err);
    if (rc == MU_OK && !opt->read_only)
        rc = opt->restored ? accept_restored(s, db, err) : check_mark(s, db, err);
    if (rc == MU_OK)
        rc = mu_writer_open(&s->writer, db, opt->read_only ? NULL : &s->place, opt->host, err);
    if (rc == MU_OK) {
        *out_engine = &s->engine;
        return MU_OK;
    }
    mu_db_close(db);
    sqlite_close(&s->engine);
    return rc;
}

static void sqlite_start(struct mu_engine *e, struct mu_engine_call *call)
{
    if (call->verb == MU_ENGINE_WAIT)
        return; /* nobody else can write: it waits until close */
    mu_writer_start(sqlite_of(e)->writer, call);
}

static void sqlite_hurry(struct mu_engine *e)
{
    (void)e; /* there is nobody to wait for */
}

static void sqlite_limits(const struct mu_engine *e, struct mu_journal_limits *out)
{
    *out = (struct mu_journal_limits){ .record_max = RECORD_MAX, .chunk_max = CHUNK_MAX, .inflight_max = INFLIGHT_MAX };
    mu_writer_space(sqlite_of(e)->writer, &out->used, &out->quota);
}

const struct mu_engine_ops mu_engine_sqlite = {
    .scheme = "sqlite",
    .open = sqlite_open,
    .start = sqlite_start,
    .hurry = sqlite_hurry,
    .limits = sqlite_limits,
    .close = sqlite_close,
};
