/* The life of tasks: every move of the table, attempts, retries, losses. */
#include "unit/unit.h"

#include "world.h"

#include "core/state.h"

static void a_task_runs(void **state)
{
    struct world w = { 0 };
    uint32_t node;
    uint64_t job;

    (void)state;
    world_init(&w);
    node = world_join(&w, "n1", "b1", 2000, 1 << 30);
    job = world_array(&w, 3);
    assert_int_equal(job, 1);
    assert_string_equal(world_job_state(&w, job), "waiting");
    world_run(&w, job, 0, node, MU_END_EXIT, 0);
    assert_int_equal(world_task(&w, job, 0), MU_TASK_SUCCEEDED);
    assert_string_equal(world_job_state(&w, job), "running");
    assert_true(world_place(&w, job, 1, node));
    assert_true(world_place(&w, job, 2, node));
    world_end(&w, job, 1, MU_END_EXIT, 0);
    world_end(&w, job, 2, MU_END_EXIT, 1);
    assert_string_equal(world_job_state(&w, job), "failed");
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
