/* Cancel, hold, retry, deadlines, retention. */
#include "unit/unit.h"

#include "world.h"

static void states_of(struct world *w, uint64_t job, const char *want)
{
    static const char letters[MU_TASK_STATES] = { 'b', 'r', 'o', 's', 'R', 'T', '+', 'f', 'c', 'l' };
    struct mu_job_view view;
    char got[64] = "";

    assert_true(mu_view_job(w->core, job, &view));
    for (uint32_t i = 0; i < view.tasks; i++)
        got[i] = letters[world_task(w, job, i)];
    assert_string_equal(got, want);
}

/* Five tasks: one succeeded, one failed, one running, one starting, one ready. */
static uint64_t mixed(struct world *w)
{
    uint64_t job;

    world_init(w);
    world_join(w, "n0", "b", 9000, 0);
    job = world_array(w, 5);
    world_run(w, job, 0, 0, MU_END_EXIT, 0);
    world_run(w, job, 1, 0, MU_END_EXIT, 1);
    assert_true(world_place(w, job, 2, 0));
    world_start(w, job, 2);
    assert_true(world_place(w, job, 3, 0));
    states_of(w, job, "+fRsr");
    return job;
}

/* ---- cancel ---- */

static void cancel_stops_what_lives_and_drops_what_waits(void **state)
{
    struct world w = { 0 };
    struct mu_buf b = { 0 };

    (void)state;
    mixed(&w);
    world_cancel(&w, 1);
    states_of(&w, 1, "+fTTc");
    world_trace(&w, &b);
    mu_buf_addc(&b, '\0');
    assert_string_equal((char *)b.at, "reply ok\njob 1\nended 1.4 cancel: cancelled\ntask 1.4 cancelled\ngroup 1/0\n"
                                      "stop 1.2 #1 on 0 for cancel\ntask 1.2 #1 stopping\n"
                                      "stop 1.3 #1 on 0 for cancel\ntask 1.3 #1 stopping\n");
    world_cancel(&w, 1); /* twice is once */
    assert_int_equal(world_rc(&w), MU_OK);
    assert_int_equal(world_count(&w, MU_FX_STOP), 0);
    world_end(&w, 1, 2, MU_END_CANCEL, 15);
    world_end(&w, 1, 3, MU_END_EXIT, 0); /* it was quicker than the word to stop */
    states_of(&w, 1, "+fc+c");
    assert_string_equal(world_job_state(&w, 1), "cancelled");
    world_cancel(&w, 1);
    assert_int_equal(world_rc(&w), MU_OK);
    mu_buf_fini(&b);
    world_fini(&w);
}

static void a_range_is_cancelled(void **state)
{
    static const struct { uint32_t first, count; enum mu_rc rc; const char *want; } cases[] = {
        { 4, 1, MU_OK, "+fRsc" }, { 2, 2, MU_OK, "+fTTr" }, { 0, 9, MU_OK, "+fTTc" }, { 0, 2, MU_STATE, "+fRsr" },
        { 5, 1, MU_NOTFOUND, "+fRsr" }, { 4, UINT32_MAX, MU_OK, "+fRsc" },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct world w = { 0 };
        mixed(&w);
        world_apply(&w, MU_EV_CANCEL, &(struct mu_ev_cancel){ .job = 1, .first = cases[i].first, .count = cases[i].count });
        assert_int_equal(world_rc(&w), cases[i].rc);
        states_of(&w, 1, cases[i].want);
        assert_string_equal(world_job_state(&w, 1), "running");
        world_fini(&w);
    }
}

static void a_stopping_task_is_never_run_again(void **state)
{
    static const struct { enum mu_end how; uint32_t code; enum mu_task_state want; } cases[] = {
        { MU_END_CANCEL, 0, MU_TASK_CANCELLED }, { MU_END_NODE_LOST, 0, MU_TASK_CANCELLED }, { MU_END_EXIT, 3, MU_TASK_CANCELLED },
        { MU_END_SIGNAL, 15, MU_TASK_CANCELLED }, { MU_END_EXIT, 0, MU_TASK_SUCCEEDED }, { MU_END_PREEMPT, 0, MU_TASK_CANCELLED },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct world w = { 0 };
        struct mu_group_spec g = world_group(1);
        struct mu_job_spec spec = world_spec(&g, 1);
        world_init(&w);
        world_join(&w, "n0", "b", 9000, 0);
        g.retries = 5;
        world_submit(&w, &spec);
        assert_true(world_place(&w, 1, 0, 0));
        world_cancel(&w, 1);
        world_start(&w, 1, 0); /* late word: it runs, and is to stop all the same */
        assert_int_equal(world_task(&w, 1, 0), MU_TASK_STOPPING);
        world_end(&w, 1, 0, cases[i].how, cases[i].code);
        assert_int_equal(world_task(&w, 1, 0), cases[i].want);
        assert_int_equal(mu_view_attempts(w.core, 1, 0), 1);
        world_fini(&w);
    }
}

static void there_must_be_something_to_act_on(void **state)
{
    struct world w = { 0 };

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 9000, 0);
    world_cancel(&w, 5);
    assert_int_equal(world_rc(&w), MU_NOTFOUND);
    world_apply(&w, MU_EV_HOLD, &(struct mu_ev_hold){ .job = 5 });
    assert_int_equal(world_rc(&w), MU_NOTFOUND);
    world_apply(&w, MU_EV_RETRY, &(struct mu_ev_retry){ .job = 5 });
    assert_int_equal(world_rc(&w), MU_NOTFOUND);
    world_array(&w, 1);
    world_run(&w, 1, 0, 0, MU_END_EXIT, 0);
    world_cancel(&w, 1);
    assert_int_equal(world_rc(&w), MU_STATE);
    world_apply(&w, MU_EV_HOLD, &(struct mu_ev_hold){ .job = 1, .hold = true });
    assert_int_equal(world_rc(&w), MU_STATE);
    world_apply(&w, MU_EV_RETRY, &(struct mu_ev_retry){ .job = 1 });
    assert_int_equal(world_rc(&w), MU_STATE);
    world_fini(&w);
}

/* ---- hold ---- */

static void a_held_job_starts_nothing(void **state)
{
    struct world w = { 0 };
    struct mu_group_view v;

    (void)state;
    mixed(&w);
    world_apply(&w, MU_EV_HOLD, &(struct mu_ev_hold){ .job = 1, .hold = true });
    assert_int_equal(world_count(&w, MU_FX_GROUP), 1);
    assert_true(mu_view_group(w.core, 1, 0, &v) && !v.runnable && v.ready == 1 && v.live == 2);
    assert_false(world_place(&w, 1, 4, 0));
    world_apply(&w, MU_EV_HOLD, &(struct mu_ev_hold){ .job = 1, .hold = true });
    assert_int_equal(w.fx.count, 1); /* only the answer */
    world_end(&w, 1, 2, MU_END_EXIT, 0);
    world_end(&w, 1, 3, MU_END_EXIT, 0);
    assert_string_equal(world_job_state(&w, 1), "held");
    world_apply(&w, MU_EV_HOLD, &(struct mu_ev_hold){ .job = 1 });
    assert_true(world_place(&w, 1, 4, 0));
    world_fini(&w);
}

/* ---- retry ---- */

static void a_retry_starts_afresh(void **state)
{
    struct world w = { 0 };
    struct mu_group_spec g = world_group(4);
    struct mu_job_spec spec = world_spec(&g, 1);

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 9000, 0);
    g.retries = 1;
    world_submit(&w, &spec);
    world_run(&w, 1, 0, 0, MU_END_EXIT, 0);
    world_run(&w, 1, 1, 0, MU_END_EXIT, 1);
    world_run(&w, 1, 1, 0, MU_END_EXIT, 1);
    for (uint32_t i = 0; i <= MU_INFRA_LOSSES_MAX; i++)
        world_run(&w, 1, 2, 0, MU_END_NODE_LOST, 0);
    world_cancel(&w, 1);
    states_of(&w, 1, "+flc");
    world_apply(&w, MU_EV_RETRY, &(struct mu_ev_retry){ .job = 1 });
    states_of(&w, 1, "+rrr");
    assert_string_equal(world_job_state(&w, 1), "running");
    world_run(&w, 1, 1, 0, MU_END_EXIT, 1);
    states_of(&w, 1, "+rrr"); /* its retry is there again */
    assert_int_equal(mu_view_attempts(w.core, 1, 1), 3);
    world_run(&w, 1, 2, 0, MU_END_NODE_LOST, 0);
    states_of(&w, 1, "+rrr");
    for (uint32_t i = 1; i < 4; i++)
        world_run(&w, 1, i, 0, MU_END_EXIT, 0);
    assert_string_equal(world_job_state(&w, 1), "succeeded");
    world_fini(&w);
}

static void a_retry_counts_as_waiting(void **state)
{
    struct world w = { .limits = { .tasks_waiting_max = 4, .jobs_max = 9, .ended_jobs_max = 9, .ended_ms = 1000,
                                   .bytes_max = 1 << 20 } };

    (void)state;
    world_init(&w);
    world_array(&w, 3);
    world_cancel(&w, 1);
    world_array(&w, 2);
    world_apply(&w, MU_EV_RETRY, &(struct mu_ev_retry){ .job = 1 });
    assert_int_equal(world_rc(&w), MU_BUSY);
    world_fini(&w);
}

/* ---- deadlines ---- */

static void a_deadline_passes(void **state)
{
    struct world w = { 0 };
    struct mu_group_spec g = world_group(3);
    struct mu_job_spec spec = world_spec(&g, 1);

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 9000, 0);
    spec.deadline_ms = 5000;
    g.retries = 9;
    g.backoff_ms = 60000;
    world_submit(&w, &spec);
    assert_int_equal(mu_core_wake_ms(w.core), 5000);
    world_run(&w, 1, 0, 0, MU_END_EXIT, 1); /* backs off */
    assert_true(world_place(&w, 1, 1, 0));
    world_due(&w, 4999);
    states_of(&w, 1, "osr");
    world_due(&w, 5000);
    states_of(&w, 1, "cTc"); /* never run: cancelled, and the reason is the deadline */
    assert_int_equal(world_find(&w, MU_FX_ENDED)->how, MU_END_DEADLINE);
    assert_int_equal(world_find(&w, MU_FX_STOP)->how, MU_END_DEADLINE);
    world_end(&w, 1, 1, MU_END_DEADLINE, 15);
    states_of(&w, 1, "cfc"); /* stopped: failed, with retries left */
    assert_string_equal(world_job_state(&w, 1), "failed");
    world_apply(&w, MU_EV_RETRY, &(struct mu_ev_retry){ .job = 1 });
    assert_int_equal(world_rc(&w), MU_STATE);
    assert_non_null(strstr(world_text(&w), "deadline"));
    world_fini(&w);
}

static void a_job_that_ended_has_no_deadline(void **state)
{
    struct world w = { 0 };
    struct mu_group_spec g = world_group(1);
    struct mu_job_spec spec = world_spec(&g, 1);

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 9000, 0);
    spec.deadline_ms = 5000;
    world_submit(&w, &spec);
    world_run(&w, 1, 0, 0, MU_END_EXIT, 1);
    assert_true(mu_core_wake_ms(w.core) > 5000);
    world_apply(&w, MU_EV_RETRY, &(struct mu_ev_retry){ .job = 1 });
    assert_int_equal(mu_core_wake_ms(w.core), 5000); /* and has it again */
    world_due(&w, 5000);
    states_of(&w, 1, "c");
    world_fini(&w);
}

static void time_never_runs_back(void **state)
{
    struct world w = { .now_ms = 5000 };

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 9000, 0);
    w.now_ms = 100;
    world_array(&w, 1);
    assert_int_equal(mu_view_now_ms(w.core), 5000);
    world_run(&w, 1, 0, 0, MU_END_EXIT, 0);
    world_fini(&w);
}

/* ---- retention ---- */

static void ended_jobs_are_forgotten(void **state)
{
    struct world w = { .limits = { .tasks_waiting_max = 100, .jobs_max = 100, .ended_jobs_max = 2, .ended_ms = 1000,
                                   .bytes_max = 1 << 20 } };
    static const uint64_t order[] = { 3, 1, 4, 2 };

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 9000, 0);
    for (uint32_t i = 0; i < 4; i++)
        world_array(&w, 1);
    world_array(&w, 1); /* waits, and stays */
    for (uint32_t i = 0; i < 4; i++) {
        w.now_ms += 10;
        world_run(&w, order[i], 0, 0, MU_END_EXIT, 0);
    }
    assert_int_equal(mu_core_wake_ms(w.core), w.now_ms);
    world_due(&w, w.now_ms); /* more than two: the oldest go first */
    assert_int_equal(world_count(&w, MU_FX_FORGET), 2);
    assert_int_equal(w.fx.at[0].job, 3);
    assert_int_equal(w.fx.at[1].job, 1);
    assert_int_equal(mu_core_wake_ms(w.core), 1030 + 1000);
    world_due(&w, 2029);
    assert_int_equal(w.fx.count, 0);
    world_due(&w, 2030);
    assert_int_equal(w.fx.count, 1);
    assert_string_equal(world_job_state(&w, 4), "gone");
    world_due(&w, 9999);
    assert_string_equal(world_job_state(&w, 2), "gone");
    assert_string_equal(world_job_state(&w, 5), "waiting");
    assert_int_equal(mu_core_wake_ms(w.core), UINT64_MAX);
    world_fini(&w);
}

/* What is due at once is worked off in batches, and time asks again until all is. */
static void a_crowd_is_worked_off_in_batches(void **state)
{
    enum { TASKS = 10000 };
    struct world w = { .quiet = true };
    struct mu_group_spec g = world_group(TASKS);
    struct mu_job_spec spec = world_spec(&g, 1);
    struct mu_job_view view;
    uint32_t rounds = 0;

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 9000, 0);
    g.retries = 1;
    g.backoff_ms = 100;
    world_submit(&w, &spec);
    for (uint32_t i = 0; i < TASKS; i++)
        world_run(&w, 1, i, 0, MU_END_EXIT, 1);
    w.now_ms += 100;
    for (; mu_core_wake_ms(w.core) <= w.now_ms; rounds++)
        world_due(&w, w.now_ms);
    assert_in_range(rounds, 2, 9);
    assert_true(mu_view_job(w.core, 1, &view) && view.count[MU_TASK_READY] == TASKS);
    mu_core_check(w.core);
    world_fini(&w);
}

/* ---- policies ---- */

static void policies_are_recorded(void **state)
{
    static struct mu_str params[] = { { "halflife=1h", 11 } };
    static const struct { const char *kind, *name; enum mu_rc rc; } cases[] = {
        { "order", "fair", MU_OK }, { "place", "spread", MU_OK }, { "balance", "p2c", MU_INVALID }, { "order", "", MU_INVALID },
    };
    struct world w = { 0 };

    (void)state;
    world_init(&w);
    assert_true(mu_str_is(mu_view_policy(w.core, "order").name, "fifo"));
    assert_true(mu_str_is(mu_view_policy(w.core, "place").name, "pack"));
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct mu_ev_policy ev = { .kind = mu_str_of(cases[i].kind), .name = mu_str_of(cases[i].name), .params = { params, 1 } };
        world_apply(&w, MU_EV_POLICY, &ev);
        assert_int_equal(world_rc(&w), cases[i].rc);
        assert_int_equal(world_count(&w, MU_FX_POLICY), cases[i].rc == MU_OK);
    }
    assert_true(mu_str_is(mu_view_policy(w.core, "order").name, "fair"));
    assert_true(mu_str_is(mu_view_policy(w.core, "order").params->at[0], "halflife=1h"));
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancel_stops_what_lives_and_drops_what_waits),
        cmocka_unit_test(a_range_is_cancelled),
        cmocka_unit_test(a_stopping_task_is_never_run_again),
        cmocka_unit_test(there_must_be_something_to_act_on),
        cmocka_unit_test(a_held_job_starts_nothing),
        cmocka_unit_test(a_retry_starts_afresh),
        cmocka_unit_test(a_retry_counts_as_waiting),
        cmocka_unit_test(a_deadline_passes),
        cmocka_unit_test(a_job_that_ended_has_no_deadline),
        cmocka_unit_test(time_never_runs_back),
        cmocka_unit_test(ended_jobs_are_forgotten),
        cmocka_unit_test(a_crowd_is_worked_off_in_batches),
        cmocka_unit_test(policies_are_recorded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
