/* The small stores under core: words, lines, jobs by number, timers, attempts. */
#include "unit/unit.h"

#include "core/attempts.h"
#include "core/jobs.h"
#include "core/lines.h"
#include "core/timers.h"
#include "core/words.h"

#include "base/rng.h"

/* ---- words ---- */

static void a_word_lives_while_it_is_referenced(void **state)
{
    struct mu_words w = { 0 };
    uint32_t a, b;

    (void)state;
    a = mu_words_ref(&w, MU_STR_LIT("zone=a"));
    b = mu_words_ref(&w, MU_STR_LIT("zone=b"));
    assert_int_not_equal(a, 0);
    assert_int_not_equal(a, b);
    assert_int_equal(mu_words_ref(&w, MU_STR_LIT("zone=a")), a);
    mu_words_unref(&w, a);
    assert_int_equal(mu_words_find(&w, MU_STR_LIT("zone=a")), a);
    mu_words_unref(&w, a);
    assert_int_equal(mu_words_find(&w, MU_STR_LIT("zone=a")), 0);
    assert_int_equal(mu_words_text(&w, a).size, 0);
    assert_int_equal(mu_words_ref(&w, MU_STR_LIT("zone=c")), a); /* its number is used again */
    assert_true(mu_str_is(mu_words_text(&w, b), "zone=b"));
    mu_words_fini(&w);
}

static void many_words_come_and_go(void **state)
{
    struct mu_words w = { 0 };
    uint32_t refs[200] = { 0 };
    struct mu_rng rng;
    char text[16];

    (void)state;
    mu_rng_seed(&rng, 7);
    for (uint32_t step = 0; step < 20000; step++) {
        uint32_t i = mu_rng_below(&rng, 200);
        snprintf(text, sizeof text, "w%u", (unsigned)i);
        if (mu_rng_below(&rng, 2)) {
            mu_words_ref(&w, mu_str_of(text));
            refs[i]++;
        } else if (refs[i]) {
            mu_words_unref(&w, mu_words_find(&w, mu_str_of(text)));
            refs[i]--;
        }
        assert_int_equal(mu_words_refs(&w, mu_words_find(&w, mu_str_of(text))), refs[i]);
    }
    mu_words_fini(&w);
}

static void sets_of_words(void **state)
{
    struct mu_str few[] = { MU_STR_LIT("b"), MU_STR_LIT("a"), MU_STR_LIT("b") }, more[] = { MU_STR_LIT("a"), MU_STR_LIT("c"), MU_STR_LIT("b") };
    struct mu_words w = { 0 };
    struct mu_word_ids x, y;

    (void)state;
    x = mu_word_ids_ref(&w, &(struct mu_strs){ few, 3 });
    y = mu_word_ids_ref(&w, &(struct mu_strs){ more, 3 });
    assert_int_equal(x.count, 2); /* said twice is said once */
    assert_true(mu_word_ids_within(&x, &y));
    assert_false(mu_word_ids_within(&y, &x));
    assert_true(mu_word_ids_has(&y, mu_words_find(&w, MU_STR_LIT("c"))));
    mu_word_ids_unref(&w, &x);
    mu_word_ids_unref(&w, &y);
    assert_int_equal(mu_words_find(&w, MU_STR_LIT("a")), 0);
    mu_words_fini(&w);
}

/* ---- lines ---- */

static void lines_are_counted(void **state)
{
    static const struct { const char *text; uint32_t count; } cases[] = {
        { "", 0 }, { "a", 0 }, { "a\n", 1 }, { "\n", 1 }, { "\n\n", 2 }, { "a\nb", 0 }, { "a\n\nb\n", 3 },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++)
        assert_int_equal(mu_lines_count(mu_str_of(cases[i].text)), cases[i].count);
}

/* However they come in, line i is line i; and the pieces that a snapshot keeps make the same again. */
static void lines_come_in_parts(void **state)
{
    struct mu_lines l = { 0 }, again = { 0 };
    struct mu_str piece, twin;
    struct mu_buf b = { 0 };
    struct mu_rng rng;
    uint32_t lines = 0, i;
    char want[64];

    (void)state;
    mu_rng_seed(&rng, 3);
    while (lines < 60000) {
        mu_buf_clear(&b);
        for (uint32_t n = 1 + mu_rng_below(&rng, mu_rng_below(&rng, 10) ? 40 : 9000); n; n--)
            mu_buf_printf(&b, "%s %u\n", lines % 7 ? "echo" : "a longer command", (unsigned)lines), lines++;
        mu_lines_add(&l, mu_buf_str(&b));
    }
    assert_null(mu_lines_flaw(&l));
    assert_int_equal(l.lines, lines);
    for (uint32_t n = 0; n < 5000; n++) {
        i = mu_rng_below(&rng, lines);
        snprintf(want, sizeof want, "%s %u", i % 7 ? "echo" : "a longer command", (unsigned)i);
        assert_true(mu_str_is(mu_lines_get(&l, i), want));
    }
    for (i = 0; mu_lines_piece(&l, i, &piece); i++)
        mu_lines_add(&again, piece);
    assert_int_equal(again.count, l.count);
    for (i = 0; mu_lines_piece(&l, i, &piece); i++)
        assert_true(mu_lines_piece(&again, i, &twin) && mu_str_eq(piece, twin));
    mu_lines_fini(&l);
    mu_lines_fini(&again);
    mu_buf_fini(&b);
}

/* ---- jobs by number ---- */

enum { IDS = 3000 };

static void jobs_are_found_in_order(void **state)
{
    static char job[IDS]; /* stands for them */
    struct mu_jobs j = { 0 };
    struct mu_rng rng;
    uint64_t next = 1, id, before;

    (void)state;
    mu_rng_seed(&rng, 5);
    for (uint32_t step = 0; step < 20000 && next + 300 < IDS; step++) {
        id = 1 + mu_rng_below(&rng, (uint32_t)next);
        if (mu_rng_below(&rng, 100) < 30) {
            next += mu_rng_below(&rng, 50) ? 1 : 300; /* and a hole of more than a page */
            mu_jobs_add(&j, next, (struct mu_job *)(void *)&job[next]);
            job[next] = 1;
        } else if (job[id]) {
            mu_jobs_remove(&j, id);
            job[id] = 0;
        }
        id = mu_rng_below(&rng, IDS);
        assert_ptr_equal(mu_jobs_find(&j, id), job[id] ? &job[id] : NULL);
        for (before = id; before > 0 && !job[before - 1];)
            before--;
        assert_ptr_equal(mu_jobs_prev(&j, id), before ? &job[before - 1] : NULL);
        do
            id++;
        while (id < IDS && !job[id]);
        if (id < IDS)
            assert_ptr_equal(mu_jobs_next(&j, id - 1), &job[id]);
        else
            assert_null(mu_jobs_next(&j, id));
    }
    assert_null(mu_jobs_next(&j, UINT64_MAX));
    mu_jobs_fini(&j);
}

/* ---- timers ---- */

static void timers_come_by_time_then_key(void **state)
{
    static const struct { uint64_t key, due; } set[] = { { 5, 30 }, { 9, 10 }, { 2, 10 }, { MU_TIMER_DEADLINE | 1, 10 }, { 7, 20 } };
    static const uint64_t want[] = { 2, 9, MU_TIMER_DEADLINE | 1, 5 };
    struct mu_timers t = { 0 };
    uint64_t key, due;

    (void)state;
    for (size_t i = 0; i < MU_COUNT(set); i++)
        mu_timers_set(&t, set[i].key, set[i].due);
    mu_timers_set(&t, 7, 40); /* moved */
    mu_timers_clear(&t, 7);
    mu_timers_clear(&t, 7);
    assert_int_equal(mu_timers_due(&t, 7), 0);
    assert_int_equal(mu_timers_due(&t, 5), 30);
    for (size_t i = 0; i < MU_COUNT(want); i++) {
        assert_true(mu_timers_first(&t, &key, &due));
        assert_true(key == want[i]);
        mu_timers_clear(&t, key);
    }
    assert_false(mu_timers_first(&t, &key, &due));
    mu_timers_fini(&t);
}

/* ---- attempts ---- */

static void attempts_are_listed_by_node_in_order(void **state)
{
    struct mu_attempts a;
    struct mu_list node;
    struct mu_attempt *first;

    (void)state;
    mu_attempts_init(&a);
    mu_list_init(&node);
    for (uint32_t i = 0; i < 1000; i++)
        mu_attempts_add(&a, &(struct mu_attempt){ .job = 1, .ordinal = i, .attempt = 1 }, &node);
    first = mu_attempts_find(&a, 1, 0);
    assert_ptr_equal(mu_attempt_of(node.next), first);
    mu_attempts_remove(&a, first);
    assert_null(mu_attempts_find(&a, 1, 0));
    assert_int_equal(mu_attempt_of(node.next)->ordinal, 1);
    assert_int_equal(mu_attempt_of(node.prev)->ordinal, 999);
    assert_null(mu_attempts_find(&a, 0, MU_TASKS_PER_JOB_MAX + 1)); /* would be task 1 of job 1 by key */
    assert_null(mu_attempts_find(&a, (UINT64_C(1) << 40) + 1, 1));
    mu_attempts_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_lives_while_it_is_referenced),
        cmocka_unit_test(many_words_come_and_go),
        cmocka_unit_test(sets_of_words),
        cmocka_unit_test(lines_are_counted),
        cmocka_unit_test(lines_come_in_parts),
        cmocka_unit_test(jobs_are_found_in_order),
        cmocka_unit_test(timers_come_by_time_then_key),
        cmocka_unit_test(attempts_are_listed_by_node_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
