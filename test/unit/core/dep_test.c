/* What comes after what: kinds, cascades, long chains, retries that revive. */
#include "unit/unit.h"

#include "world.h"

static struct mu_job_spec after_job(struct mu_group_spec *g, struct mu_dep *dep, uint64_t job, enum mu_dep_kind kind)
{
    *dep = (struct mu_dep){ .job = job, .kind = kind };
    g->after = dep;
    g->after_count = 1;
    return world_spec(g, 1);
}

/* ---- one job after another ---- */

static void what_an_end_means_for_dependents(void **state)
{
    enum { OK, BAD, CANCELLED };
    static const struct {
        enum mu_dep_kind kind;
        int end;
        enum mu_task_state want;
    } cases[] = {
        { MU_DEP_OK, OK, MU_TASK_READY },       { MU_DEP_OK, BAD, MU_TASK_CANCELLED },  { MU_DEP_OK, CANCELLED, MU_TASK_CANCELLED },
        { MU_DEP_ANY, OK, MU_TASK_READY },      { MU_DEP_ANY, BAD, MU_TASK_READY },     { MU_DEP_ANY, CANCELLED, MU_TASK_READY },
        { MU_DEP_EACH_OK, OK, MU_TASK_READY },  { MU_DEP_EACH_OK, BAD, MU_TASK_CANCELLED },
        { MU_DEP_EACH_ANY, OK, MU_TASK_READY }, { MU_DEP_EACH_ANY, BAD, MU_TASK_READY },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases) * 2; i++) {
        bool early = i % 2; /* asked for before it ended, or after: the same */
        struct world w = { 0 };
        struct mu_group_spec g = world_group(1);
        struct mu_dep dep;
        struct mu_job_spec spec;
        world_init(&w);
        world_join(&w, "n0", "b", 4000, 0);
        world_array(&w, 1);
        spec = after_job(&g, &dep, 1, cases[i / 2].kind);
        if (early) {
            world_submit(&w, &spec);
            assert_int_equal(world_task(&w, 2, 0), MU_TASK_BLOCKED);
            assert_true(mu_view_dep_blocks(w.core, 2, 0, 0));
        }
        if (cases[i / 2].end == CANCELLED)
            world_cancel(&w, 1);
        else
            world_run(&w, 1, 0, 0, MU_END_EXIT, cases[i / 2].end == BAD);
        if (!early)
            world_submit(&w, &spec);
        if (world_task(&w, 2, 0) != cases[i / 2].want)
            fail_msg("case %zu: %s", i, mu_task_state_text(world_task(&w, 2, 0)));
        if (cases[i / 2].want == MU_TASK_CANCELLED)
            assert_string_equal(world_job_state(&w, 2), "cancelled");
        world_fini(&w);
    }
}

static void the_reason_is_said(void **state)
{
    struct world w = { 0 };
    struct mu_group_spec g = world_group(3);
    struct mu_dep dep;
    struct mu_job_spec spec;
    struct mu_buf b = { 0 };

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 4000, 0);
    world_array(&w, 1);
    spec = after_job(&g, &dep, 1, MU_DEP_OK);
    world_submit(&w, &spec);
    assert_true(world_place(&w, 1, 0, 0));
    world_end(&w, 1, 0, MU_END_EXIT, 1);
    world_trace(&w, &b);
    mu_buf_addc(&b, '\0');
    assert_string_equal((char *)b.at, "ended 1.0 #1 on 0 exit: failed\nfreed 1.0 #1 on 0\ntask 1.0 #1 failed\njob 1\njob 1\n"
                                      "ended 2.0+3 dependency: cancelled\ntask 2.0+3 cancelled\njob 2\n");
    mu_buf_fini(&b);
    world_fini(&w);
}

/* ---- groups of a job ---- */

/* extract (2 tasks) -> load, check -> report; report after any end of check. */
static struct mu_job_spec diamond(struct mu_group_spec g[4])
{
    static struct mu_dep on_extract[] = { { .group = 0 } }, on_both[] = { { .group = 1 }, { .group = 2, .kind = MU_DEP_ANY } };
    static const char *const names[] = { "extract", "load", "check", "report" };

    for (uint32_t i = 0; i < 4; i++) {
        g[i] = world_group(i == 0 ? 2 : 1);
        g[i].name = mu_str_of(names[i]);
    }
    g[1].after = g[2].after = on_extract;
    g[1].after_count = g[2].after_count = 1;
    g[3].after = on_both;
    g[3].after_count = 2;
    return world_spec(g, 4);
}

static void a_diamond_runs_in_order(void **state)
{
    struct world w = { 0 };
    struct mu_group_spec g[4];
    struct mu_job_spec spec = diamond(g);

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 4000, 0);
    world_submit(&w, &spec);
    assert_int_equal(world_count(&w, MU_FX_GROUP), 1);
    world_run(&w, 1, 0, 0, MU_END_EXIT, 0);
    assert_int_equal(world_task(&w, 1, 2), MU_TASK_BLOCKED);
    world_run(&w, 1, 1, 0, MU_END_EXIT, 0);
    assert_int_equal(world_count(&w, MU_FX_GROUP), 2);
    world_run(&w, 1, 2, 0, MU_END_EXIT, 0);
    assert_false(mu_view_dep_blocks(w.core, 1, 3, 0));
    assert_true(mu_view_dep_blocks(w.core, 1, 3, 1));
    world_run(&w, 1, 3, 0, MU_END_EXIT, 1); /* check fails: report wants only its end */
    assert_int_equal(world_task(&w, 1, 4), MU_TASK_READY);
    world_run(&w, 1, 4, 0, MU_END_EXIT, 0);
    assert_string_equal(world_job_state(&w, 1), "failed");
    world_fini(&w);
}

static void a_failure_cancels_what_follows_and_a_retry_revives_it(void **state)
{
    struct world w = { 0 };
    struct mu_group_spec g[4];
    struct mu_job_spec spec = diamond(g);

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 4000, 0);
    world_submit(&w, &spec);
    world_run(&w, 1, 0, 0, MU_END_EXIT, 1);
    assert_int_equal(world_task(&w, 1, 2), MU_TASK_BLOCKED); /* the group goes on */
    world_run(&w, 1, 1, 0, MU_END_EXIT, 0);
    for (uint32_t i = 2; i < 5; i++)
        assert_int_equal(world_task(&w, 1, i), MU_TASK_CANCELLED);
    assert_string_equal(world_job_state(&w, 1), "failed");
    world_apply(&w, MU_EV_RETRY, &(struct mu_ev_retry){ .job = 1 });
    assert_int_equal(world_rc(&w), MU_OK);
    assert_int_equal(world_task(&w, 1, 0), MU_TASK_READY);
    assert_int_equal(world_task(&w, 1, 1), MU_TASK_SUCCEEDED);
    for (uint32_t i = 2; i < 5; i++)
        assert_int_equal(world_task(&w, 1, i), MU_TASK_BLOCKED);
    assert_int_equal(mu_view_attempts(w.core, 1, 0), 1); /* attempts count on */
    world_run(&w, 1, 0, 0, MU_END_EXIT, 0);
    for (uint32_t i = 2; i < 5; i++)
        world_run(&w, 1, i, 0, MU_END_EXIT, 0);
    assert_string_equal(world_job_state(&w, 1), "succeeded");
    world_apply(&w, MU_EV_RETRY, &(struct mu_ev_retry){ .job = 1 });
    assert_int_equal(world_rc(&w), MU_STATE);
    world_fini(&w);
}

static void a_retry_wants_the_predecessor_retried_first(void **state)
{
    struct world w = { 0 };
    struct mu_group_spec g = world_group(1);
    struct mu_dep dep;
    struct mu_job_spec spec;

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 4000, 0);
    world_array(&w, 1);
    spec = after_job(&g, &dep, 1, MU_DEP_OK);
    world_submit(&w, &spec);
    world_run(&w, 1, 0, 0, MU_END_EXIT, 1);
    world_apply(&w, MU_EV_RETRY, &(struct mu_ev_retry){ .job = 2 });
    assert_int_equal(world_rc(&w), MU_STATE);
    assert_non_null(strstr(world_text(&w), "job 1"));
    world_apply(&w, MU_EV_RETRY, &(struct mu_ev_retry){ .job = 1 });
    assert_int_equal(world_task(&w, 2, 0), MU_TASK_CANCELLED); /* ended is ended until its own retry */
    world_apply(&w, MU_EV_RETRY, &(struct mu_ev_retry){ .job = 2 });
    assert_int_equal(world_task(&w, 2, 0), MU_TASK_BLOCKED);
    world_run(&w, 1, 0, 0, MU_END_EXIT, 0);
    assert_int_equal(world_task(&w, 2, 0), MU_TASK_READY);
    world_fini(&w);
}

/* ---- one after one ---- */

static void elements_follow_elements(void **state)
{
    struct world w = { 0 };
    struct mu_group_spec g[3] = { world_group(4), world_group(4), world_group(4) };
    struct mu_dep on0[] = { { .group = 0, .kind = MU_DEP_EACH_OK } }, on1[] = { { .group = 1, .kind = MU_DEP_EACH_ANY } };
    struct mu_job_spec spec = world_spec(g, 3);

    (void)state;
    g[1].after = on0;
    g[1].after_count = 1;
    g[2].after = on1;
    g[2].after_count = 1;
    world_init(&w);
    world_join(&w, "n0", "b", 9000, 0);
    world_submit(&w, &spec);
    world_run(&w, 1, 2, 0, MU_END_EXIT, 0);
    assert_int_equal(world_task(&w, 1, 6), MU_TASK_READY);
    assert_int_equal(world_task(&w, 1, 5), MU_TASK_BLOCKED);
    world_run(&w, 1, 1, 0, MU_END_EXIT, 1);
    assert_int_equal(world_task(&w, 1, 5), MU_TASK_CANCELLED);
    assert_int_equal(world_task(&w, 1, 9), MU_TASK_READY); /* after any end, that of a cancelled one too */
    world_run(&w, 1, 6, 0, MU_END_EXIT, 0);
    assert_int_equal(world_task(&w, 1, 10), MU_TASK_READY);
    world_run(&w, 1, 0, 0, MU_END_EXIT, 0);
    world_run(&w, 1, 3, 0, MU_END_EXIT, 0);
    assert_int_equal(world_task(&w, 1, 4), MU_TASK_READY);
    assert_int_equal(world_task(&w, 1, 7), MU_TASK_READY);
    world_apply(&w, MU_EV_RETRY, &(struct mu_ev_retry){ .job = 1 });
    assert_int_equal(world_task(&w, 1, 1), MU_TASK_READY);
    assert_int_equal(world_task(&w, 1, 5), MU_TASK_BLOCKED);
    world_run(&w, 1, 1, 0, MU_END_EXIT, 0);
    assert_int_equal(world_task(&w, 1, 5), MU_TASK_READY);
    world_fini(&w);
}

static void elements_of_another_job(void **state)
{
    struct world w = { 0 };
    struct mu_group_spec g[2] = { world_group(1), world_group(5) };
    struct mu_dep dep = { .job = 1, .kind = MU_DEP_EACH_OK };
    struct mu_job_spec spec = world_spec(g, 2);
    struct mu_group_spec two[2] = { world_group(2), world_group(3) };
    struct mu_job_spec first = world_spec(two, 2);

    (void)state;
    g[1].after = &dep;
    g[1].after_count = 1;
    world_init(&w);
    world_join(&w, "n0", "b", 9000, 0);
    world_submit(&w, &first);
    world_submit(&w, &spec);
    world_run(&w, 1, 3, 0, MU_END_EXIT, 0); /* element 3 of job 1 is the second of its second group */
    assert_int_equal(world_task(&w, 2, 1 + 3), MU_TASK_READY);
    world_run(&w, 1, 0, 0, MU_END_EXIT, 2);
    assert_int_equal(world_task(&w, 2, 1 + 0), MU_TASK_CANCELLED);
    world_cancel(&w, 1);
    assert_int_equal(world_task(&w, 2, 1 + 1), MU_TASK_CANCELLED);
    assert_int_equal(world_task(&w, 2, 1 + 3), MU_TASK_READY);
    world_fini(&w);
}

/* ---- long and wide ---- */

/* A chain of 50,000 groups falls like dominoes, without a stack as long. */
static void a_long_chain_falls(void **state)
{
    enum { GROUPS = 50000 };
    struct world w = { .quiet = true };
    struct mu_group_spec *g = calloc(GROUPS, sizeof *g);
    struct mu_dep *deps = calloc(GROUPS, sizeof *deps);
    struct mu_job_spec spec = world_spec(g, GROUPS);
    struct mu_job_view view;

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 9000, 0);
    for (uint32_t i = 0; i < GROUPS; i++) {
        g[i] = world_group(1);
        deps[i] = (struct mu_dep){ .group = i - 1 };
        g[i].after = &deps[i];
        g[i].after_count = i > 0;
    }
    world_submit(&w, &spec);
    assert_int_equal(world_rc(&w), MU_OK);
    world_run(&w, 1, 0, 0, MU_END_EXIT, 1);
    assert_true(mu_view_job(w.core, 1, &view));
    assert_true(view.over);
    assert_int_equal(view.count[MU_TASK_CANCELLED], GROUPS - 1);
    mu_core_check(w.core);
    free(g);
    free(deps);
    world_fini(&w);
}

static void a_wide_group_is_freed_as_a_run(void **state)
{
    struct world w = { .quiet = true };
    struct mu_group_spec g[2] = { world_group(1), world_group(1000000) };
    struct mu_dep dep = { .group = 0 };
    struct mu_job_spec spec = world_spec(g, 2);

    (void)state;
    g[1].after = &dep;
    g[1].after_count = 1;
    world_init(&w);
    world_join(&w, "n0", "b", 9000, 0);
    world_submit(&w, &spec);
    world_run(&w, 1, 0, 0, MU_END_EXIT, 0);
    assert_in_range(w.fx.count, 5, 6);
    assert_int_equal(world_task(&w, 1, 1000000), MU_TASK_READY);
    world_cancel(&w, 1);
    assert_in_range(w.fx.count, 5, 7);
    mu_core_check(w.core);
    world_fini(&w);
}

/* ---- what is refused ---- */

static void bad_dependencies_are_refused(void **state)
{
    static const struct {
        const char *what;
        uint32_t count;                   /* groups */
        struct { uint32_t from; struct mu_dep dep; } edges[3];
        enum mu_rc rc;
        const char *field, *text;
    } cases[] = {
        { "itself", 1, { { 0, { .group = 0 } } }, MU_INVALID, "tasks[0].after", "a -> a" },
        { "two", 2, { { 0, { .group = 1 } }, { 1, { .group = 0 } } }, MU_INVALID, "tasks[0].after", "a -> b -> a" },
        { "three, entered from outside", 4,
          { { 1, { .group = 2 } }, { 2, { .group = 3 } }, { 3, { .group = 1 } } }, MU_INVALID, "tasks[2].after", " -> " },
        { "no such group", 2, { { 1, { .group = 2 } } }, MU_INVALID, "tasks[1].after", "no group 2" },
        { "no such job", 1, { { 0, { .job = 7 } } }, MU_NOTFOUND, "after", "no job 7" },
        { "no such kind", 2, { { 1, { .job = 1, .kind = 4 } } }, MU_INVALID, "tasks[1].after", "kind" },
        { "unequal counts", 2, { { 1, { .group = 0, .kind = MU_DEP_EACH_OK } } }, MU_INVALID, "tasks[1].after_each", "1 after 2" },
        { "unequal counts of jobs", 1, { { 0, { .job = 1, .kind = MU_DEP_EACH_ANY } } }, MU_INVALID, "after", "equal counts" },
    };
    static const char *const names[] = { "a", "b", "c", "d" };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct world w = { 0 };
        struct mu_group_spec g[4];
        struct mu_job_spec spec = world_spec(g, cases[i].count);
        world_init(&w);
        world_array(&w, 5);
        for (uint32_t k = 0; k < cases[i].count; k++) {
            g[k] = world_group(k == 0 ? 2 : 1);
            g[k].name = mu_str_of(names[k]);
        }
        for (uint32_t k = 0; k < 3 && (k == 0 || cases[i].edges[k].from); k++) {
            g[cases[i].edges[k].from].after = (struct mu_dep *)(uintptr_t)&cases[i].edges[k].dep;
            g[cases[i].edges[k].from].after_count = 1;
        }
        world_submit(&w, &spec);
        if (world_rc(&w) != cases[i].rc || strcmp(world_field(&w), cases[i].field) != 0 ||
            strstr(world_text(&w), cases[i].text) == NULL)
            fail_msg("%s: %s at \"%s\": %s", cases[i].what, mu_rc_code(world_rc(&w)), world_field(&w), world_text(&w));
        assert_int_equal(mu_view_next_job(w.core), 2); /* nothing of it was taken */
        world_fini(&w);
    }
}

static void forgotten_jobs(void **state)
{
    struct world w = { .limits = { .tasks_waiting_max = 100, .jobs_max = 100, .ended_jobs_max = 0, .ended_ms = 1000,
                                   .bytes_max = 1 << 20 } };
    struct mu_group_spec g = world_group(1);
    struct mu_dep dep;
    struct mu_job_spec spec;

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 9000, 0);
    world_array(&w, 1);
    world_run(&w, 1, 0, 0, MU_END_EXIT, 0);
    world_due(&w, w.now_ms);
    assert_string_equal(world_job_state(&w, 1), "gone");
    for (uint32_t kind = MU_DEP_OK; kind <= MU_DEP_EACH_ANY; kind++) {
        spec = after_job(&g, &dep, 1, (enum mu_dep_kind)kind);
        world_submit(&w, &spec);
        assert_int_equal(world_rc(&w), kind == MU_DEP_ANY ? MU_OK : MU_NOTFOUND);
    }
    assert_int_equal(world_task(&w, 2, 0), MU_TASK_READY);
    world_fini(&w);
}

/* Its elements that failed took theirs with them when it ended; that it is forgotten must not take the others. */
static void elements_outlive_a_forgotten_job(void **state)
{
    struct world w = { .limits = { .tasks_waiting_max = 100, .jobs_max = 100, .ended_jobs_max = 0, .ended_ms = 1000,
                                   .bytes_max = 1 << 20 } };
    struct mu_group_spec g = world_group(2);
    struct mu_dep deps[] = { { .job = 1, .kind = MU_DEP_EACH_OK }, { .job = 2, .kind = MU_DEP_ANY } };
    struct mu_job_spec spec = world_spec(&g, 1);

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 9000, 0);
    world_array(&w, 2);
    world_array(&w, 1);
    g.after = deps;
    g.after_count = 2;
    world_submit(&w, &spec);
    world_run(&w, 1, 0, 0, MU_END_EXIT, 0);
    world_run(&w, 1, 1, 0, MU_END_EXIT, 1);
    assert_int_equal(world_task(&w, 3, 0), MU_TASK_BLOCKED);
    assert_int_equal(world_task(&w, 3, 1), MU_TASK_CANCELLED);
    world_due(&w, w.now_ms);
    assert_string_equal(world_job_state(&w, 1), "gone");
    world_run(&w, 2, 0, 0, MU_END_EXIT, 0);
    assert_int_equal(world_task(&w, 3, 0), MU_TASK_READY);
    world_cancel(&w, 3);
    world_apply(&w, MU_EV_RETRY, &(struct mu_ev_retry){ .job = 3 });
    assert_int_equal(world_rc(&w), MU_STATE); /* which of its elements succeeded is not known any more */
    world_fini(&w);
}

/* What can still grow is not over, though all it has so far is. */
static void a_stream_that_may_grow_is_waited_for(void **state)
{
    struct world w = { 0 };
    struct mu_group_spec g[2] = { world_group(1), world_group(1) };
    struct mu_dep dep = { .group = 1 };
    struct mu_job_spec spec = world_spec(g, 2);

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 9000, 0);
    g[0].after = &dep;
    g[0].after_count = 1;
    g[1].argv.count = 0;
    g[1].lines = MU_STR_LIT("a\n");
    spec.open = MU_OPEN_STREAM;
    world_submit(&w, &spec);
    world_run(&w, 1, 1, 0, MU_END_EXIT, 0);
    assert_int_equal(world_task(&w, 1, 0), MU_TASK_BLOCKED);
    world_apply(&w, MU_EV_PART, &(struct mu_ev_part){ .job = 1, .tasks_before = 2, .lines = MU_STR_LIT("b\n") });
    world_run(&w, 1, 2, 0, MU_END_EXIT, 0);
    assert_int_equal(world_task(&w, 1, 0), MU_TASK_BLOCKED);
    world_apply(&w, MU_EV_PART, &(struct mu_ev_part){ .job = 1, .tasks_before = 3, .last = true });
    assert_int_equal(world_task(&w, 1, 0), MU_TASK_READY);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_an_end_means_for_dependents),
        cmocka_unit_test(the_reason_is_said),
        cmocka_unit_test(a_diamond_runs_in_order),
        cmocka_unit_test(a_failure_cancels_what_follows_and_a_retry_revives_it),
        cmocka_unit_test(a_retry_wants_the_predecessor_retried_first),
        cmocka_unit_test(elements_follow_elements),
        cmocka_unit_test(elements_of_another_job),
        cmocka_unit_test(a_long_chain_falls),
        cmocka_unit_test(a_wide_group_is_freed_as_a_run),
        cmocka_unit_test(bad_dependencies_are_refused),
        cmocka_unit_test(forgotten_jobs),
        cmocka_unit_test(elements_outlive_a_forgotten_job),
        cmocka_unit_test(a_stream_that_may_grow_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
