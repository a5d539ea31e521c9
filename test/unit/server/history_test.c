/* History: what is given is found again, across restarts, once, in order; retention drops the oldest. */
#include "server/history.h"

#include "base/assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <poll.h>
#include <sqlite3.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct world {
    char dir[64], path[96];
    int fd;
    struct mu_history *h;
    struct mu_history_options opt;
};
struct seen {
    bool called;
    enum mu_rc rc;
    uint32_t rows, jobs;
    bool more;
    struct mu_result_row first, last;
    char text[256];
};

static void on_wake(void *arg)
{
    struct world *w = arg;
    uint64_t one = 1;
    assert_int_equal(write(w->fd, &one, sizeof one), sizeof one);
}

static void reopen(struct world *w)
{
    struct mu_err err;

    mu_history_close(w->h);
    w->h = NULL;
    assert_int_equal(mu_history_open(&w->h, &w->opt, &err), MU_OK);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    snprintf(w->dir, sizeof w->dir, "/tmp/muster-history-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->path, sizeof w->path, "%s/history.db", w->dir);
    w->fd = eventfd(0, EFD_NONBLOCK);
    w->opt = (struct mu_history_options){ .path = w->path, .cluster = { 7 }, .arg = w, .wake = on_wake };
    reopen(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    static const char *const tails[] = { "", "-wal", "-shm" };
    struct world *w = *state;

    mu_history_close(w->h);
    for (size_t i = 0; i < MU_COUNT(tails); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", w->path, tails[i]);
        unlink(path);
    }
    rmdir(w->dir);
    close(w->fd);
    free(w);
    return 0;
}

static void settle(struct world *w, const bool *until)
{
    while (!*until) {
        struct pollfd p = { w->fd, POLLIN, 0 };
        uint64_t n;
        assert_int_equal(poll(&p, 1, 20000), 1);
        assert_int_equal(read(w->fd, &n, sizeof n), sizeof n);
        mu_history_poll(w->h);
    }
}

static void on_answer(void *arg, const struct mu_history_answer *a)
{
    struct seen *s = arg;

    *s = (struct seen){ .called = true, .rc = a->rc, .rows = a->rows_count, .jobs = a->jobs_count, .more = a->more };
    if (a->rows_count > 0) {
        s->first = a->rows[0];
        s->last = a->rows[a->rows_count - 1];
    }
    for (uint32_t i = 0; i < a->jobs_count; i++) {
        size_t n = strlen(s->text);
        snprintf(s->text + n, sizeof s->text - n, "%llu:" MU_STR_FMT " ", (unsigned long long)a->jobs[i].id,
                 MU_STR_ARG(a->jobs[i].name));
    }
}

static struct seen results(struct world *w, struct mu_history_find find)
{
    struct seen s = { 0 };

    assert_non_null(mu_history_results(w->h, &find, on_answer, &s));
    settle(w, &s.called);
    return s;
}

static struct seen jobs(struct world *w, struct mu_history_find_jobs find)
{
    struct seen s = { 0 };

    assert_non_null(mu_history_jobs(w->h, &find, on_answer, &s));
    settle(w, &s.called);
    return s;
}

static struct mu_result_row row_of(uint64_t seq, uint64_t job, uint32_t ordinal)
{
    return (struct mu_result_row){ .seq = seq, .job = job, .ordinal = ordinal, .attempt = 1, .count = 1, .node = ordinal % 3,
        .state = MU_TASK_SUCCEEDED, .how = MU_END_EXIT, .submitted_ms = 1000, .placed_ms = 1000 + seq,
        .started_ms = 1001 + seq, .ended_ms = 1010 + seq, .run_us = 9000 + ordinal, .rss_bytes = 4096, .out_bytes = ordinal };
}

static void add(struct world *w, uint64_t seq, uint64_t job, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct mu_result_row r = row_of(seq, job, first + i);
        mu_history_add(w->h, &r);
    }
    mu_history_entry_end(w->h, seq, 1010 + seq);
}

static bool same_row(const struct mu_result_row *a, const struct mu_result_row *b)
{
#define SAME(member) (a->member == b->member)
    return SAME(seq) && SAME(job) && SAME(ordinal) && SAME(attempt) && SAME(node) && SAME(code) && SAME(count) &&
           SAME(state) && SAME(how) && SAME(submitted_ms) && SAME(placed_ms) && SAME(started_ms) && SAME(ended_ms) &&
           SAME(run_us) && SAME(user_us) && SAME(sys_us) && SAME(rss_bytes) && SAME(out_bytes) && SAME(err_bytes);
#undef SAME
}

static void a_row_survives_its_encoding(void **state)
{
    static const struct mu_result_row rows[] = {
        { .count = 1 },
        { .seq = 9, .ordinal = UINT32_MAX, .count = 1, .attempt = UINT32_MAX, .node = UINT32_MAX, .code = UINT32_MAX,
          .state = MU_TASK_LOST, .how = MU_END_PREEMPT, .submitted_ms = UINT64_MAX, .placed_ms = 0, .started_ms = UINT64_MAX,
          .ended_ms = 1, .run_us = UINT64_MAX, .user_us = UINT64_MAX, .sys_us = 5, .rss_bytes = UINT64_MAX,
          .out_bytes = 1, .err_bytes = 2 },
        { .seq = 9, .ordinal = 3, .count = 1000000, .state = MU_TASK_CANCELLED, .how = MU_END_CANCEL },
        { .seq = 9, .ordinal = 0, .count = 1, .submitted_ms = 3, .placed_ms = 2, .started_ms = 0, .ended_ms = UINT64_MAX },
    };
    struct mu_result_row prev = { 0 }, got;
    struct mu_buf b = { 0 };
    struct mu_reader r;

    (void)state;
    for (size_t i = 0; i < MU_COUNT(rows); i++)
        mu_result_row_put(&b, i ? &rows[i - 1] : &prev, &rows[i]);
    r = mu_reader_of(b.at, b.size);
    for (size_t i = 0; i < MU_COUNT(rows); i++, prev = got) {
        assert_true(mu_result_row_get(&r, &prev, &got));
        assert_true(same_row(&got, &rows[i]));
    }
    assert_true(mu_reader_done(&r) && !r.bad);
    for (size_t cut = 0; cut < b.size; cut++) { /* no prefix of a row is a row */
        struct mu_reader part = mu_reader_of(b.at, cut < 17 ? cut : 16);
        assert_false(mu_result_row_get(&part, &(struct mu_result_row){ 0 }, &got));
    }
    mu_buf_fini(&b);
}

static void rows_are_found_by_job_range_and_entry(void **state)
{
    struct world *w = *state;

    add(w, 1, 42, 0, 1000);
    add(w, 2, 43, 0, 10);
    add(w, 3, 42, 1000, 5000);
    static const struct { const char *what; struct mu_history_find find; uint32_t rows, first, last; bool more; } cases[] = {
        { "one task", { .job = 42, .lo = 7, .hi = 7, .seq_to = 9, .limit = 10 }, 1, 7, 7, false },
        { "a range across entries", { .job = 42, .lo = 990, .hi = 1009, .seq_to = 9, .limit = 50 }, 20, 990, 1009, false },
        { "only later entries", { .job = 42, .lo = 0, .hi = UINT32_MAX, .seq_after = 1, .seq_to = 9, .limit = 9000 }, 5000, 1000, 5999, false },
        { "only earlier entries", { .job = 42, .lo = 0, .hi = UINT32_MAX, .seq_to = 2, .limit = 9000 }, 1000, 0, 999, false },
        { "the limit cuts", { .job = 42, .lo = 0, .hi = UINT32_MAX, .seq_to = 9, .limit = 10 }, 10, 0, 9, true },
        { "and goes on", { .job = 42, .lo = 0, .hi = UINT32_MAX, .seq_to = 9, .skip = 10, .limit = 5990 }, 5990, 10, 5999, false },
        { "another job", { .job = 43, .lo = 0, .hi = UINT32_MAX, .seq_to = 9, .limit = 100 }, 10, 0, 9, false },
        { "an unknown job", { .job = 44, .lo = 0, .hi = UINT32_MAX, .seq_to = 9, .limit = 100 }, 0, 0, 0, false },
    };
    for (int again = 0; again < 2; again++, reopen(w))
        for (size_t i = 0; i < MU_COUNT(cases); i++) {
            struct seen s = results(w, cases[i].find);
            if (s.rc != MU_OK || s.rows != cases[i].rows || s.more != cases[i].more ||
                (s.rows > 0 && (s.first.ordinal != cases[i].first || s.last.ordinal != cases[i].last)))
                fail_msg("%s: %u rows, %u..%u, more %d", cases[i].what, s.rows, s.first.ordinal, s.last.ordinal, s.more);
        }
    assert_int_equal(mu_history_stored(w->h), 3);
    struct mu_result_row want = row_of(3, 42, 1234);
    struct seen s = results(w, (struct mu_history_find){ .job = 42, .lo = 1234, .hi = 1234, .seq_to = 9, .limit = 1 });
    assert_memory_equal(&s.first, &want, sizeof want);
}

static void certain_tasks_get_their_last_row(void **state)
{
    static const uint32_t ordinals[] = { 2, 5, 6, 100, 900 };
    struct world *w = *state;
    struct mu_result_row again = row_of(4, 42, 5), never = { .seq = 3, .job = 42, .ordinal = 50, .count = 100,
        .node = MU_NODE_NONE, .state = MU_TASK_CANCELLED, .how = MU_END_DEADLINE };
    struct mu_history_find find = { .job = 42, .hi = UINT32_MAX, .seq_to = 9, .ordinals = ordinals, .ordinals_count = 5 };

    add(w, 1, 42, 0, 10);
    mu_history_add(w->h, &never);
    again.attempt = 2;
    again.code = 77;
    mu_history_entry_end(w->h, 3, 2000);
    mu_history_add(w->h, &again);
    mu_history_entry_end(w->h, 4, 2000);
    struct seen s = results(w, find);
    assert_int_equal(s.rows, 4); /* nothing is known of 900 */
    assert_int_equal(s.first.ordinal, 2);
    assert_int_equal(s.last.ordinal, 100);
    assert_int_equal(s.last.how, MU_END_DEADLINE);
    find.ordinals++;
    find.ordinals_count--;
    s = results(w, find);
    assert_int_equal(s.first.ordinal, 5);
    assert_int_equal(s.first.code, 77);
    s = results(w, (struct mu_history_find){ .job = 42, .lo = 149, .hi = 160, .seq_to = 9 });
    assert_int_equal(s.rows, 1); /* the run reaches into the range */
    s = results(w, (struct mu_history_find){ .job = 42, .lo = 150, .hi = 160, .seq_to = 9 });
    assert_int_equal(s.rows, 0);
}

static void put_job(struct world *w, uint64_t seq, uint64_t id, const char *name, const char *status, uint64_t ended_ms)
{
    struct mu_job_group g = { .name = MU_STR_LIT("g"), .tasks = 10, .array_step = 1, .is_array = true };
    struct mu_job_record j = { .id = id, .name = mu_str_of(name), .user = MU_STR_LIT("ann"), .state = mu_str_of(status),
                               .ended_ms = ended_ms, .tasks = 10, .groups = &g, .groups_count = 1 };
    mu_history_add_job(w->h, &j);
    mu_history_entry_end(w->h, seq, ended_ms);
}

static void jobs_are_listed_newest_first(void **state)
{
    struct world *w = *state;
    static const struct { struct mu_history_find_jobs find; const char *want; bool more; } cases[] = {
        { { .before = 100, .limit = 10 }, "9:night-2 8:day 5:night-1 ", false },
        { { .before = 100, .limit = 2 }, "9:night-2 8:day ", true },
        { { .before = 8, .limit = 2 }, "5:night-1 ", false },
        { { .before = 100, .limit = 9, .name = MU_STR_LIT("night-*") }, "9:night-2 5:night-1 ", false },
        { { .before = 100, .limit = 9, .state = MU_STR_LIT("failed") }, "8:day ", false },
        { { .before = 100, .limit = 9, .user = MU_STR_LIT("bob") }, "", false },
        { { .before = 8, .only = true }, "8:day ", false },
        { { .before = 7, .only = true }, "", false },
    };

    put_job(w, 1, 5, "night-1", "succeeded", 100);
    put_job(w, 2, 8, "day", "running", 150);
    put_job(w, 2, 8, "day", "failed", 200); /* ended again after a retry: the later record counts */
    put_job(w, 3, 9, "night-2", "succeeded", 300);
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct seen s = jobs(w, cases[i].find);
        if (s.rc != MU_OK || strcmp(s.text, cases[i].want) != 0 || s.more != cases[i].more)
            fail_msg("case %zu: got \"%s\" more %d", i, s.text, s.more);
    }
}

static void retention_drops_the_oldest_with_their_rows(void **state)
{
    static const struct { struct mu_history_options keep; const char *want; } cases[] = {
        { { .keep_jobs = 2 }, "5:j 4:j " },
        { { .keep_tasks = 30 }, "5:j 4:j 3:j " },
        { { .keep_ms = 15 }, "5:j 4:j " },
        { { 0 }, "5:j 4:j 3:j 2:j 1:j " },
    };
    for (size_t c = 0; c < MU_COUNT(cases); c++) {
        struct world *w = *state;
        w->opt.keep_jobs = cases[c].keep.keep_jobs;
        w->opt.keep_tasks = cases[c].keep.keep_tasks;
        w->opt.keep_ms = cases[c].keep.keep_ms;
        reopen(w);
        for (uint64_t id = 1; id <= 5; id++) {
            add(w, id, id, 0, 10);
            put_job(w, id, id, "j", "succeeded", id * 10);
            mu_history_flush(w->h);
        }
        struct seen s = jobs(w, (struct mu_history_find_jobs){ .before = 99, .limit = 99 });
        if (strcmp(s.text, cases[c].want) != 0)
            fail_msg("case %zu: got \"%s\"", c, s.text);
        struct seen rows = results(w, (struct mu_history_find){ .job = 1, .hi = 99, .seq_to = 99, .limit = 99 });
        assert_int_equal(rows.rows, strstr(s.text, "1:j") ? 10 : 0);
        teardown(state);
        setup(state);
    }
}

static void on_sync(void *arg, uint64_t seq)
{
    *(struct seen *)arg = (struct seen){ .called = true, .first.seq = seq };
}

static void sync_covers_entries_without_rows(void **state)
{
    struct world *w = *state;
    struct seen s = { 0 };

    add(w, 4, 1, 0, 1);
    mu_history_entry_end(w->h, 9, 5000);
    mu_history_sync(w->h, on_sync, &s);
    settle(w, &s.called);
    assert_int_equal(s.first.seq, 9);
    reopen(w);
    assert_int_equal(mu_history_stored(w->h), 9);
}

static void a_cancelled_query_is_silent(void **state)
{
    struct world *w = *state;
    struct seen dead = { 0 };

    struct mu_history_query *q = mu_history_results(w->h, &(struct mu_history_find){ .job = 1, .hi = 1, .limit = 1 }, on_answer, &dead);
    mu_history_cancel(w->h, q);
    results(w, (struct mu_history_find){ .job = 1, .hi = 9, .limit = 9 });
    assert_false(dead.called);
}

static void foreign_and_newer_files_are_refused(void **state)
{
    struct world *w = *state;
    struct mu_history *h = NULL;
    struct mu_err err;
    sqlite3 *db;

    mu_history_close(w->h);
    w->h = NULL;
    w->opt.cluster[0] = 8;
    assert_int_equal(mu_history_open(&h, &w->opt, &err), MU_CONFLICT);
    assert_non_null(strstr(err.text, w->path));
    w->opt.cluster[0] = 7;
    assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
    sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL);
    sqlite3_close(db);
    assert_int_equal(mu_history_open(&h, &w->opt, &err), MU_VERSION);
    assert_null(h);
    FILE *f = fopen(w->path, "w");
    fputs("this is no database, only a text that is long enough to be looked at", f);
    fclose(f);
    assert_int_equal(mu_history_open(&h, &w->opt, &err), MU_CORRUPT);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_survives_its_encoding),
        cmocka_unit_test_setup_teardown(rows_are_found_by_job_range_and_entry, setup, teardown),
        cmocka_unit_test_setup_teardown(certain_tasks_get_their_last_row, setup, teardown),
        cmocka_unit_test_setup_teardown(jobs_are_listed_newest_first, setup, teardown),
        cmocka_unit_test_setup_teardown(retention_drops_the_oldest_with_their_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(sync_covers_entries_without_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cancelled_query_is_silent, setup, teardown),
        cmocka_unit_test_setup_teardown(foreign_and_newer_files_are_refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
