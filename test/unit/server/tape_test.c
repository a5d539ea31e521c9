/* The tape: what is on it is found by id, what was overwritten is known to be missing. */
#include "server/tape.h"

#include "base/assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void push(struct mu_tape *t, uint64_t seq, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        mu_tape_effect(t, NULL, seq, 1000 + seq, &(struct mu_fx){ .kind = MU_FX_POLICY, .text = (char[]){ "place" } });
}

static uint64_t id_of(uint64_t seq, uint64_t place) { return seq * MU_TAPE_PLACES + place; }

static void items_are_found_by_id(void **state)
{
    struct mu_tape t;
    static const struct { const char *what; uint64_t seq, place, want; bool whole; } cases[] = {
        { "from the very beginning", 0, 0, 0, true },
        { "behind the first of an entry", 1, 0, 1, true },
        { "behind the last of an entry", 1, 2, 3, true },
        { "between entries", 2, 7, 3, true },
        { "behind all", 5, 1, 5, true },
        { "later than all", 9, 0, 5, true },
    };
    (void)state;
    mu_tape_init(&t);
    push(&t, 1, 3);
    push(&t, 5, 2);
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        uint64_t at = 99;
        bool whole = mu_tape_seek(&t, id_of(cases[i].seq, cases[i].place), &at);
        if (at != cases[i].want || whole != cases[i].whole)
            fail_msg("%s: at %llu, whole %d", cases[i].what, (unsigned long long)at, whole);
    }
    assert_int_equal(mu_tape_at(&t, 3)->id, id_of(5, 0));
    assert_int_equal(mu_tape_seq_of(mu_tape_at(&t, 4)->id), 5);
    assert_true(mu_tape_at(&t, 0)->place);
    mu_tape_fini(&t);
}

static void what_was_overwritten_is_missed(void **state)
{
    struct mu_tape t;
    uint64_t at;

    (void)state;
    mu_tape_init(&t);
    push(&t, 1, 10);
    push(&t, 2, MU_TAPE_ITEMS - 10);
    assert_true(mu_tape_seek(&t, 0, &at)); /* full, and nothing lost */
    push(&t, 3, 4);
    assert_int_equal(mu_tape_begin(&t), 4);
    assert_false(mu_tape_seek(&t, id_of(1, 2), &at)); /* item 3 is gone, and came after that id */
    assert_int_equal(at, 4);
    assert_true(mu_tape_seek(&t, id_of(1, 3), &at));
    assert_int_equal(at, 4);
    assert_int_equal(mu_tape_at(&t, at)->id, id_of(1, 4));
    mu_tape_fini(&t);
}

static void a_snapshot_hides_what_led_to_it(void **state)
{
    struct mu_tape t;
    uint64_t at;

    (void)state;
    mu_tape_init(&t);
    push(&t, 1, 3);
    mu_tape_restart(&t, 7);
    assert_false(mu_tape_seek(&t, id_of(7, 0), &at));
    assert_true(mu_tape_seek(&t, mu_tape_id_end(7), &at));
    push(&t, 8, 1);
    assert_true(mu_tape_seek(&t, mu_tape_id_end(7), &at));
    assert_int_equal(mu_tape_at(&t, at)->id, id_of(8, 0));
    mu_tape_fini(&t);
}

static void only_what_people_follow_is_written(void **state)
{
    struct mu_ev_ended ended = { .how = MU_END_SIGNAL, .code = 9, .run_us = 5, .out_bytes = 6, .err_bytes = 7 };
    struct mu_tape t;

    (void)state;
    mu_tape_init(&t);
    mu_tape_effect(&t, NULL, 1, 1, &(struct mu_fx){ .kind = MU_FX_START });
    mu_tape_effect(&t, NULL, 1, 1, &(struct mu_fx){ .kind = MU_FX_REPLY });
    mu_tape_effect(&t, NULL, 1, 1, &(struct mu_fx){ .kind = MU_FX_TASK, .state = MU_TASK_READY });
    mu_tape_effect(&t, NULL, 1, 1, &(struct mu_fx){ .kind = MU_FX_TASK, .state = MU_TASK_FAILED });
    assert_int_equal(mu_tape_end(&t), 0); /* an end is told by ENDED */
    mu_tape_effect(&t, NULL, 1, 1, &(struct mu_fx){ .kind = MU_FX_TASK, .state = MU_TASK_RUNNING, .count = 1 });
    mu_tape_effect(&t, NULL, 1, 1, &(struct mu_fx){ .kind = MU_FX_ENDED, .state = MU_TASK_FAILED, .ended = &ended, .count = 4 });
    assert_int_equal(mu_tape_end(&t), 2);
    const struct mu_tape_item *item = mu_tape_at(&t, 1);
    assert_int_equal(item->kind, MU_TAPE_ENDED);
    assert_int_equal(item->how, MU_END_SIGNAL);
    assert_int_equal(item->code + item->run_us + item->out_bytes + item->err_bytes + item->count, 9 + 5 + 6 + 7 + 4);
    mu_tape_fini(&t);
}

static void words_of_jobs_are_those_of_core(void **state)
{
    static const char *const words[] = { "waiting", "held", "running", "succeeded", "failed", "cancelled", "lost" };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(words); i++) {
        enum mu_job_word w = mu_job_word_of(words[i]);
        assert_true(w < MU_JOB_WORDS);
        assert_string_equal(mu_job_word_text(w), words[i]);
        assert_int_equal(mu_job_word_is_final(w), i >= 3);
    }
    assert_int_equal(mu_job_word_of("purple"), MU_JOB_WORDS);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_are_found_by_id),
        cmocka_unit_test(what_was_overwritten_is_missed),
        cmocka_unit_test(a_snapshot_hides_what_led_to_it),
        cmocka_unit_test(only_what_people_follow_is_written),
        cmocka_unit_test(words_of_jobs_are_those_of_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
