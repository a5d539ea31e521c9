#include "unit/unit.h"

#include "core/types.h"

static void every_task_state_has_a_word_and_one_class(void **state)
{
    static const struct { enum mu_task_state s; const char *text; char class; } cases[] = {
        { MU_TASK_BLOCKED, "waiting", 'w' },     { MU_TASK_READY, "waiting", 'w' },   { MU_TASK_BACKOFF, "waiting", 'w' },
        { MU_TASK_STARTING, "starting", 'l' },   { MU_TASK_RUNNING, "running", 'l' }, { MU_TASK_STOPPING, "stopping", 'l' },
        { MU_TASK_SUCCEEDED, "succeeded", 'f' }, { MU_TASK_FAILED, "failed", 'f' },   { MU_TASK_CANCELLED, "cancelled", 'f' },
        { MU_TASK_LOST, "lost", 'f' },
    };

    (void)state;
    assert_int_equal(MU_COUNT(cases), MU_TASK_STATES);
    assert_true(MU_TASK_STATES <= 16); /* four bits a task */
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        assert_int_equal(cases[i].s, i);
        assert_string_equal(mu_task_state_text(cases[i].s), cases[i].text);
        assert_int_equal(mu_task_is_waiting(cases[i].s), cases[i].class == 'w');
        assert_int_equal(mu_task_is_live(cases[i].s), cases[i].class == 'l');
        assert_int_equal(mu_task_is_final(cases[i].s), cases[i].class == 'f');
    }
}

/* The numbers are stored: they never move, new ones come at the end. */
static void stored_numbers_stay(void **state)
{
    static const char *const ends[] = { "exit", "signal", "timeout", "cancel", "no-start", "out-of-memory", "node-lost",
                                        "deadline", "preempted" };
    static const char *const nodes[] = { "up", "draining", "away", "down" };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(ends); i++)
        assert_string_equal(mu_end_text((enum mu_end)i), ends[i]);
    for (size_t i = 0; i < MU_COUNT(nodes); i++)
        assert_string_equal(mu_node_state_text((enum mu_node_state)i), nodes[i]);
}

static void keys_of_tasks_are_apart(void **state)
{
    (void)state;
    assert_int_equal(mu_task_key(1, 0), 1 << 24);
    assert_int_equal(mu_task_key(0, MU_TASKS_PER_JOB_MAX - 1) + 1, mu_task_key(1, 0));
    assert_int_equal(mu_task_key(MU_JOB_ID_MAX, MU_TASKS_PER_JOB_MAX - 1), UINT64_MAX >> 1); /* fits a signed column */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_state_has_a_word_and_one_class),
        cmocka_unit_test(stored_numbers_stay),
        cmocka_unit_test(keys_of_tasks_are_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
