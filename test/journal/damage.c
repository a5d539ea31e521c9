/* Stores that were damaged, cut, put back, or belong to somebody else. */
#include "journal/conformance.h"

#include "journal/chain.h"
#include "journal/sqlite/place.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Run SQL on the closed file. */
static void sql(const struct rig *r, const char *text)
{
    sqlite3 *db = NULL;
    char *err = NULL;

    if (sqlite3_open(r->path, &db) != SQLITE_OK || sqlite3_exec(db, text, NULL, NULL, &err) != SQLITE_OK)
        fail_msg("%s: %s", text, err != NULL ? err : sqlite3_errmsg(db));
    sqlite3_close(db);
}

/* Flip one bit of what is stored; the store is closed. */
static bool flip(struct rig *r, enum mu_memory_part part, uint64_t key, uint64_t bit)
{
    static const char *const tables[] = { "rec WHERE seq = %llu", "chunk WHERE part = %llu", "seal WHERE %llu = 0" };
    char where[96], text[512];
    sqlite3 *db = NULL;
    sqlite3_blob *blob = NULL;
    sqlite3_stmt *s = NULL;
    bool done = false;
    uint8_t byte;

    if (!r->row->files)
        return mu_memory_flip(r->memory, "x", part, key, bit);
    snprintf(where, sizeof where, tables[part], (unsigned long long)key);
    snprintf(text, sizeof text, "SELECT rowid FROM %s", where);
    assert_int_equal(sqlite3_open(r->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &s, NULL), SQLITE_OK);
    if (sqlite3_step(s) == SQLITE_ROW) {
        static const char *const names[] = { "rec", "chunk", "seal" };
        assert_int_equal(sqlite3_blob_open(db, "main", names[part], "bytes", sqlite3_column_int64(s, 0), 1, &blob),
                         SQLITE_OK);
        int at = (int)(bit / 8 % (uint64_t)sqlite3_blob_bytes(blob));
        assert_int_equal(sqlite3_blob_read(blob, &byte, 1, at), SQLITE_OK);
        byte = (uint8_t)(byte ^ (1u << (bit % 8)));
        assert_int_equal(sqlite3_blob_write(blob, &byte, 1, at), SQLITE_OK);
        done = true;
    }
    sqlite3_blob_close(blob);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return done;
}

/* Opens, and either says what is wrong or comes to the same state as like. */
static bool refuses(struct rig *r, const struct peer *like, struct mu_err *err)
{
    struct peer p;
    bool fatal = true;

    peer_init(&p, &r->host, r->digests);
    *err = (struct mu_err){ 0 };
    if (peer_open(&p, r->url, &r->opt) == MU_OK) {
        mu_journal_campaign(p.j);
        assert_true(peer_settles(&p, RIG_LIMIT_MS));
        fatal = p.fatal;
        assert_false(p.fatal && p.leading);
        if (!fatal)
            assert_true(p.leading && p.tail == like->tail && p.state.digest == like->state.digest);
    }
    *err = p.err;
    peer_close(&p);
    return fatal;
}

/* Ten records; with a snapshot of 3 MiB after the fifth if asked for. */
static void make(struct rig *r, const struct row *row, struct peer *p, bool snapshot)
{
    rig_init(r, row);
    rig_lead(r, p);
    assert_true(peer_fill(p, 5, 200, RIG_LIMIT_MS));
    p->pad = 3 << 20;
    if (snapshot)
        assert_true(peer_save(p, RIG_LIMIT_MS));
    assert_true(peer_fill(p, 5, 200, RIG_LIMIT_MS));
    peer_close(p);
}

void c18_a_flipped_bit_is_never_data(void **state)
{
    static const struct {
        const char *what;
        enum mu_memory_part part;
        uint64_t key;
        bool snapshot;
    } cases[] = {
        { "the first record", MU_MEMORY_RECORD, 1, false }, { "a record", MU_MEMORY_RECORD, 6, false },
        { "the last record", MU_MEMORY_RECORD, 10, false }, { "a record behind a snapshot", MU_MEMORY_RECORD, 7, true },
        { "a chunk", MU_MEMORY_CHUNK, 1, true },            { "the last chunk", MU_MEMORY_CHUNK, 3, true },
        { "a manifest", MU_MEMORY_MANIFEST, 0, true },
    };

    for (size_t i = 0; i < MU_COUNT(cases); i++)
        for (uint64_t bit = 0; bit < 2700; bit += 149) {
            struct rig r;
            struct peer p;
            struct mu_err err;
            make(&r, *state, &p, cases[i].snapshot);
            assert_true(flip(&r, cases[i].part, cases[i].key, bit * (cases[i].part == MU_MEMORY_CHUNK ? 3001 : 1)));
            if (!refuses(&r, &p, &err))
                fail_msg("%s, bit %llu: nothing was seen", cases[i].what, (unsigned long long)bit);
            if (err.rc != MU_CORRUPT && err.rc != MU_VERSION)
                fail_msg("%s, bit %llu: %s", cases[i].what, (unsigned long long)bit, err.text);
            rig_fini(&r);
            if (r.row->files && bit > 400)
                break; /* one file a bit costs more than one store a bit */
        }
}

/* The engine's own view of the last record: read it, then append one of our making behind it. */
static void append_forged(struct rig *r, const struct mu_record *wish, uint64_t at)
{
    uint8_t bytes[MU_RECORD_EXTRA + 4] = { 0 };
    struct mu_record record = *wish;
    struct mu_hasher *h = mu_hasher_new();
    struct raw raw;

    record.size = 4;
    mu_record_seal(h, &record, bytes);
    mu_hasher_free(h);
    raw_open(&raw, r);
    assert_int_equal(raw_do(&raw, (struct mu_engine_call){ .verb = MU_ENGINE_LEAD }), MU_ENGINE_OK);
    assert_int_equal(raw_do(&raw, (struct mu_engine_call){ .verb = MU_ENGINE_APPEND, .token = raw.answer.token, .seq = at,
                                                           .bytes = bytes, .size = sizeof bytes }),
                     MU_ENGINE_OK);
    raw_close(&raw);
}

static bool last_record(struct rig *r, uint64_t seq, struct mu_record *out)
{
    struct mu_engine_call call = { .verb = MU_ENGINE_READ, .seq = seq, .limit = 1 };
    struct raw raw;

    raw_open(&raw, r);
    raw.record = out;
    raw_do(&raw, call);
    raw_close(&raw);
    return out->seq == seq;
}

/* Whole and with a good hash of its own, but not the one that comes next. */
void c18_a_record_that_does_not_follow_is_refused(void **state)
{
    static const struct {
        const char *what, *text;
        bool prev, cluster, seq, epoch;
    } cases[] = {
        { "one that follows", "" },
        { "another predecessor", "does not follow", .prev = true },
        { "another cluster", "another cluster", .cluster = true },
        { "another number", "another number", .seq = true },
        { "an older epoch", "older epoch", .epoch = true },
    };

    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct rig r;
        struct peer p;
        struct mu_record record = { 0 };
        make(&r, *state, &p, false);
        assert_true(last_record(&r, 10, &record));
        record.seq = 11 + cases[i].seq;
        record.epoch -= cases[i].epoch;
        memcpy(record.prev, record.hash, sizeof record.prev);
        record.prev[7] ^= cases[i].prev;
        record.cluster[7] ^= cases[i].cluster;
        append_forged(&r, &record, 11);
        peer_init(&p, &r.host, NULL);
        assert_int_equal(peer_open(&p, r.url, &r.opt), MU_OK);
        assert_int_equal(peer_catch_up(&p, 100000), i == 0);
        if (i > 0 && (!p.fatal || p.err.rc != MU_CORRUPT || strstr(p.err.text, cases[i].text) == NULL))
            fail_msg("%s: %s", cases[i].what, p.err.text);
        peer_close(&p);
        rig_fini(&r);
    }
}

static void copy_file(const char *from, const char *to)
{
    char buf[65536];
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    ssize_t n;

    assert_true(in >= 0 && out >= 0);
    while ((n = read(in, buf, sizeof buf)) > 0)
        assert_true(write(out, buf, (size_t)n) == n);
    close(in);
    close(out);
}

/* The files as a process that is killed now would leave them, in r; like says what was acknowledged. */
static void make_killed(struct rig *r, const struct row *row, struct peer *like)
{
    static const char *const names[] = { "", "-wal", ".marker" };
    struct rig live;

    rig_init(&live, row);
    rig_init(r, row);
    rig_lead(&live, like);
    assert_true(peer_fill(like, 100, 300, RIG_LIMIT_MS));
    for (size_t i = 0; i < MU_COUNT(names); i++) {
        char from[PATH_MAX], to[PATH_MAX];
        snprintf(from, sizeof from, "%s%s", live.path, names[i]);
        snprintf(to, sizeof to, "%s%s", r->path, names[i]);
        copy_file(from, to);
    }
    peer_close(like);
    rig_fini(&live);
}

/* Where the last frame of a log ends: zeros behind it are space kept for later. */
static off_t log_end(int fd)
{
    enum { HEAD = 32, FRAME = 24 + 16384 };
    off_t end = HEAD;
    uint8_t frame[FRAME];

    for (off_t at = HEAD; pread(fd, frame, sizeof frame, at) == (ssize_t)sizeof frame; at += FRAME)
        if (frame[3] != 0 || frame[2] != 0) /* a page number is never 0 */
            end = at + FRAME;
    return end;
}

/* SQLite alone takes a log with a bad frame for a shorter one and calls it good. */
void c18_a_flipped_bit_in_the_log_is_never_a_shorter_journal(void **state)
{
    unsigned seen = 0;

    for (int i = 0; i < 20; i++) {
        struct rig r;
        struct peer p;
        struct mu_err err;
        char name[PATH_MAX];
        uint8_t byte;
        make_killed(&r, *state, &p);
        snprintf(name, sizeof name, "%s-wal", r.path);
        int fd = open(name, O_RDWR | O_CLOEXEC);
        off_t at = 40 + log_end(fd) * i / 21;
        assert_true(pread(fd, &byte, 1, at) == 1);
        byte ^= 4;
        assert_true(pwrite(fd, &byte, 1, at) == 1);
        close(fd);
        seen += refuses(&r, &p, &err); /* otherwise all is there: it has looked */
        rig_fini(&r);
    }
    assert_true(seen > 15);
}

/* A log that ends in the middle of something: what was acknowledged is there, or the loss is seen. */
void c18_a_torn_end_is_what_was_not_acknowledged(void **state)
{
    for (int cut = 0; cut < 6000; cut += 500) {
        struct rig r;
        struct peer p;
        struct mu_err err;
        char name[PATH_MAX];
        make_killed(&r, *state, &p);
        snprintf(name, sizeof name, "%s-wal", r.path);
        int fd = open(name, O_RDWR | O_CLOEXEC);
        off_t end = log_end(fd);
        static const char junk[700] = "a transaction that was not finished";
        if (cut == 0)
            assert_true(pwrite(fd, junk, sizeof junk, end) == (ssize_t)sizeof junk);
        else
            assert_int_equal(ftruncate(fd, end - cut), 0);
        close(fd);
        assert_int_equal(refuses(&r, &p, &err), cut != 0);
        rig_fini(&r);
    }
}

void c18_a_lost_tail_is_seen(void **state)
{
    struct rig r;
    struct peer p, q;
    struct mu_err err;

    rig_init(&r, *state);
    rig_lead(&r, &p);
    assert_true(peer_fill(&p, 20, 50, RIG_LIMIT_MS));
    if (r.row->files) {
        peer_close(&p);
        sql(&r, "DELETE FROM rec WHERE seq > 15");
        assert_true(refuses(&r, &p, &err));
        assert_int_equal(err.rc, MU_CORRUPT);
    } else { /* whoever has read it knows; nobody else can */
        rig_join(&r, &q);
        assert_true(peer_reach(&q, 20, RIG_LIMIT_MS));
        mu_journal_campaign(q.j);
        mu_memory_lose_tail(r.memory, "x", 5);
        mu_journal_hurry(q.j);
        assert_true(peer_fails(&q, RIG_LIMIT_MS));
        assert_int_equal(q.err.rc, MU_CORRUPT);
        peer_close(&p);
        peer_close(&q);
    }
    rig_fini(&r);
}

/* Newest snapshot damaged, but what it replaced was not trimmed yet: the older way still leads there. */
void c19_a_bad_snapshot_is_passed_over_while_its_records_are_there(void **state)
{
    static const uint8_t junk[MU_MANIFEST_BYTES] = { 1, 2, 3 };
    struct rig r;
    struct peer p, q;
    struct raw raw;

    make(&r, *state, &p, true);
    raw_open(&raw, &r);
    assert_int_equal(raw_do(&raw, (struct mu_engine_call){ .verb = MU_ENGINE_LEAD }), MU_ENGINE_OK);
    assert_int_equal(raw_do(&raw, (struct mu_engine_call){ .verb = MU_ENGINE_SEAL, .token = raw.answer.token,
                                                           .snap = UINT64_C(1) << 60, .bytes = junk,
                                                           .size = sizeof junk }),
                     MU_ENGINE_OK);
    raw_close(&raw);
    host_run(&r.host, r.row->files ? 0 : 5000); /* a lease */
    rig_lead(&r, &q);
    assert_true(q.tail == 10 && q.state.digest == p.state.digest);
    assert_true(peer_fill(&q, 3, 10, RIG_LIMIT_MS));
    peer_close(&q);
    rig_fini(&r);
}

void c31_an_older_copy_is_refused_unless_meant(void **state)
{
    struct rig r;
    struct peer p, q;
    struct mu_err err;
    char saved[PATH_MAX], marker[PATH_MAX], saved_marker[PATH_MAX];

    rig_init(&r, *state);
    rig_lead(&r, &p);
    assert_true(peer_fill(&p, 10, 50, RIG_LIMIT_MS));
    peer_close(&p);
    snprintf(saved, sizeof saved, "%s.backup", r.path);
    copy_file(r.path, saved);
    rig_lead(&r, &q);
    assert_true(peer_fill(&q, 10, 50, RIG_LIMIT_MS));
    peer_close(&q);
    snprintf(marker, sizeof marker, "%s.marker", r.path);
    snprintf(saved_marker, sizeof saved_marker, "%s.marker.backup", r.path);
    copy_file(marker, saved_marker);
    copy_file(saved, r.path);
    assert_true(refuses(&r, &p, &err));
    assert_int_equal(err.rc, MU_CORRUPT);
    assert_non_null(strstr(err.text, "older copy"));
    memset(r.digests, 0, PEER_SEQ_MAX * sizeof *r.digests);
    r.opt.restored = true;
    rig_lead(&r, &p);
    assert_int_equal(p.tail, 10);
    assert_true(p.epoch > q.epoch + 1000); /* above all that was ever given out */
    assert_true(peer_fill(&p, 15, 50, RIG_LIMIT_MS));
    peer_close(&p);
    r.opt.restored = false;
    rig_check_replay(&r, &p);
    copy_file(saved_marker, marker); /* of the other course of things: as long, but not the same */
    assert_true(refuses(&r, &p, &err));
    assert_non_null(strstr(err.text, "is not the one"));
    rig_fini(&r);
}

void s1_a_folder_in_use_is_refused_by_name(void **state)
{
    struct rig r;
    struct peer p, q;
    char pid[32];

    rig_init(&r, *state);
    rig_lead(&r, &p);
    for (int read_only = 0; read_only < 2; read_only++) {
        struct mu_journal_options opt = r.opt;
        opt.read_only = read_only;
        peer_init(&q, &r.host, NULL);
        assert_int_equal(peer_open(&q, r.url, &opt), MU_BUSY);
        snprintf(pid, sizeof pid, "process %ld (", (long)getpid());
        assert_non_null(strstr(q.err.text, pid));
        assert_string_equal(q.err.field, "journal");
    }
    assert_true(peer_fill(&p, 3, 10, RIG_LIMIT_MS)); /* the other one is not disturbed */
    peer_close(&p);
    rig_check_replay(&r, &p);
    rig_fini(&r);
}

void s2_a_newer_format_is_refused(void **state)
{
    struct rig r;
    struct peer p;
    struct mu_err err;

    make(&r, *state, &p, false);
    sql(&r, "PRAGMA user_version = 2");
    assert_true(refuses(&r, &p, &err));
    assert_int_equal(err.rc, MU_VERSION);
    assert_non_null(strstr(err.text, "newer version"));
    sql(&r, "PRAGMA user_version = 1; PRAGMA application_id = 5");
    assert_true(refuses(&r, &p, &err));
    assert_int_equal(err.rc, MU_CORRUPT);
    rig_fini(&r);
}

void s3_only_a_local_disk_will_do(void **state)
{
    struct rig r;
    struct peer p;

    assert_true(mu_fs_is_remote(0x6969) && mu_fs_is_remote(0xff534d42) && mu_fs_is_remote(0x01021997));
    assert_false(mu_fs_is_remote(0xef53) || mu_fs_is_remote(0x01021994) || mu_fs_is_remote(0x58465342));
    rig_init(&r, *state);
    peer_init(&p, &r.host, NULL);
    snprintf(r.url, sizeof r.url, "sqlite:%s/none/journal.db", r.folder);
    assert_int_equal(peer_open(&p, r.url, &r.opt), MU_NOTFOUND);
    assert_int_equal(peer_open(&p, "postgres:x", &r.opt), MU_INVALID);
    snprintf(r.url, sizeof r.url, "sqlite:"); /* the data folder is made when it is not there */
    snprintf(r.path, sizeof r.path, "%s/data", r.folder);
    r.opt.data_dir = r.path;
    rig_lead(&r, &p);
    assert_true(peer_fill(&p, 1, 1, RIG_LIMIT_MS));
    peer_close(&p);
    rig_fini(&r);
}

void s4_tools_read_and_never_write(void **state)
{
    struct rig r;
    struct peer p, q;

    rig_init(&r, *state);
    r.opt.read_only = true;
    peer_init(&q, &r.host, NULL);
    assert_int_not_equal(peer_open(&q, r.url, &r.opt), MU_OK); /* and makes nothing */
    assert_int_not_equal(access(r.path, F_OK), 0);
    rig_fini(&r);
    make(&r, *state, &p, true);
    r.opt.read_only = true;
    rig_check_replay(&r, &p);
    rig_join(&r, &q);
    assert_true(peer_catch_up(&q, RIG_LIMIT_MS) && q.tail == 10);
    assert_false(peer_lead(&q, 20));
    peer_close(&q);
    rig_fini(&r);
}
