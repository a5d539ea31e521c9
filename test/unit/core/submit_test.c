/* Taking jobs in: what is refused and how it is said, keys, arrays, lines, parts, limits. */
#include "unit/unit.h"

#include "world.h"

/* ---- refusals that need no state ---- */

static struct mu_str strs_a[] = { { "a", 1 } }, strs_empty[] = { { "", 0 } }, strs_nul[] = { { "a\0b", 3 } },
                     strs_bad_env[] = { { "K", 1 } }, strs_label[] = { { "zone=", 5 } };
static struct mu_amount res_cpus[] = { { { "cpus", 4 }, 1 } }, res_twice[] = { { { "lic", 3 }, 1 }, { { "lic", 3 }, 2 } };

static void set_nothing(struct mu_job_spec *s, struct mu_group_spec *g) { (void)s, (void)g; }
static void set_name(struct mu_job_spec *s, struct mu_group_spec *g) { s->name = MU_STR_LIT("a\nb"); (void)g; }
static void set_user(struct mu_job_spec *s, struct mu_group_spec *g) { s->user = MU_STR_LIT(""); (void)g; }
static void set_key(struct mu_job_spec *s, struct mu_group_spec *g) { s->key = MU_STR_LIT("\x01"); (void)g; }
static void set_priority(struct mu_job_spec *s, struct mu_group_spec *g) { s->priority = INT64_MAX; (void)g; }
static void set_past(struct mu_job_spec *s, struct mu_group_spec *g) { s->deadline_ms = 999; (void)g; }
static void set_far(struct mu_job_spec *s, struct mu_group_spec *g) { s->deadline_ms = UINT64_MAX; (void)g; }
static void set_open(struct mu_job_spec *s, struct mu_group_spec *g) { s->open = 3; (void)g; }
static void set_no_group(struct mu_job_spec *s, struct mu_group_spec *g) { s->groups_count = 0; (void)g; }
static void set_no_command(struct mu_job_spec *s, struct mu_group_spec *g) { g->argv.count = 0; (void)s; }
static void set_two(struct mu_job_spec *s, struct mu_group_spec *g) { g->script = MU_STR_LIT("true"); (void)s; }
static void set_empty(struct mu_job_spec *s, struct mu_group_spec *g) { g->argv.at = strs_empty; (void)s; }
static void set_nul(struct mu_job_spec *s, struct mu_group_spec *g) { g->argv = (struct mu_strs){ strs_nul, 1 }; (void)s; }
static void set_lines(struct mu_job_spec *s, struct mu_group_spec *g) { g->argv.count = 0; g->lines = MU_STR_LIT("a\nb"); (void)s; }
static void set_count(struct mu_job_spec *s, struct mu_group_spec *g) { g->argv.count = 0; g->lines = MU_STR_LIT("a\nb\n"); (void)s; }
static void set_none(struct mu_job_spec *s, struct mu_group_spec *g) { g->tasks = 0; (void)s; }
static void set_many(struct mu_job_spec *s, struct mu_group_spec *g) { g->tasks = MU_TASKS_PER_JOB_MAX + 1; (void)s; }
static void set_step(struct mu_job_spec *s, struct mu_group_spec *g) { g->array_step = UINT64_MAX / 2; g->tasks = 3; (void)s; }
static void set_cpu(struct mu_job_spec *s, struct mu_group_spec *g) { g->cpu_milli = UINT64_MAX; (void)s; }
static void set_mem(struct mu_job_spec *s, struct mu_group_spec *g) { g->mem_bytes = UINT64_MAX; (void)s; }
static void set_res(struct mu_job_spec *s, struct mu_group_spec *g) { g->resources = res_cpus; g->resources_count = 1; (void)s; }
static void set_res2(struct mu_job_spec *s, struct mu_group_spec *g) { g->resources = res_twice; g->resources_count = 2; (void)s; }
static void set_env(struct mu_job_spec *s, struct mu_group_spec *g) { g->env = (struct mu_strs){ strs_bad_env, 1 }; (void)s; }
static void set_label(struct mu_job_spec *s, struct mu_group_spec *g) { g->labels = (struct mu_strs){ strs_label, 1 }; (void)s; }
static void set_prefer(struct mu_job_spec *s, struct mu_group_spec *g) { g->prefer = (struct mu_strs){ strs_a, 1 }; (void)s; }
static void set_cwd(struct mu_job_spec *s, struct mu_group_spec *g) { g->cwd = strs_nul[0]; (void)s; }
static void set_retries(struct mu_job_spec *s, struct mu_group_spec *g) { g->retries = 5000; (void)s; }
static void set_timeout(struct mu_job_spec *s, struct mu_group_spec *g) { g->timeout_ms = UINT64_MAX; (void)s; }
static void set_abort(struct mu_job_spec *s, struct mu_group_spec *g) { g->abort_after_milli = 1001; (void)s; }
static void set_each(struct mu_job_spec *s, struct mu_group_spec *g) { g->each_node = (struct mu_strs){ strs_a, 1 }; g->tasks = 2; (void)s; }
static void set_each_gone(struct mu_job_spec *s, struct mu_group_spec *g) { g->each_node = (struct mu_strs){ strs_a, 1 }; (void)s; }

static const struct {
    void (*set)(struct mu_job_spec *s, struct mu_group_spec *g);
    enum mu_rc rc;
    const char *field;
} refusals[] = {
    { set_nothing, MU_OK, "" },
    { set_name, MU_INVALID, "name" },
    { set_user, MU_INVALID, "user" },
    { set_key, MU_INVALID, "key" },
    { set_priority, MU_INVALID, "priority" },
    { set_past, MU_INVALID, "deadline" },
    { set_far, MU_INVALID, "deadline" },
    { set_open, MU_INVALID, "open" },
    { set_no_group, MU_INVALID, "tasks" },
    { set_no_command, MU_INVALID, "command" },
    { set_two, MU_INVALID, "command" },
    { set_empty, MU_INVALID, "command" },
    { set_nul, MU_INVALID, "command" },
    { set_lines, MU_INVALID, "lines" },
    { set_count, MU_INVALID, "lines" },
    { set_none, MU_INVALID, "array" },
    { set_many, MU_TOOBIG, "array" },
    { set_step, MU_INVALID, "array" },
    { set_cpu, MU_INVALID, "resources.cpus" },
    { set_mem, MU_INVALID, "resources.mem" },
    { set_res, MU_INVALID, "resources" },
    { set_res2, MU_INVALID, "resources" },
    { set_env, MU_INVALID, "env" },
    { set_label, MU_INVALID, "labels" },
    { set_prefer, MU_INVALID, "prefer" },
    { set_cwd, MU_INVALID, "cwd" },
    { set_retries, MU_INVALID, "retries" },
    { set_timeout, MU_INVALID, "timeout" },
    { set_abort, MU_INVALID, "abort_after" },
    { set_each, MU_INVALID, "each_node" },
    { set_each_gone, MU_NOTFOUND, "each_node" },
};

static void a_bad_spec_is_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < MU_COUNT(refusals); i++) {
        struct world w = { 0 };
        struct mu_group_spec g = world_group(1);
        struct mu_job_spec spec = world_spec(&g, 1);
        struct mu_err err = { 0 };
        world_init(&w);
        world_due(&w, 1000);
        refusals[i].set(&spec, &g);
        assert_int_equal(mu_core_admit(w.core, &spec, &err), refusals[i].rc); /* the leader's word before ... */
        world_submit(&w, &spec);                                              /* ... is every replica's after */
        if (world_rc(&w) != refusals[i].rc || strcmp(world_field(&w), refusals[i].field) != 0)
            fail_msg("case %zu: %s at \"%s\": %s", i, mu_rc_code(world_rc(&w)), world_field(&w), world_text(&w));
        assert_string_equal(err.field, refusals[i].field);
        assert_int_equal(mu_view_next_job(w.core), refusals[i].rc == MU_OK ? 2 : 1);
        world_fini(&w);
    }
}

static void fields_are_named_by_group(void **state)
{
    struct world w = { 0 };
    struct mu_group_spec g[3] = { world_group(1), world_group(1), world_group(0) };
    struct mu_job_spec spec = world_spec(g, 3);

    (void)state;
    world_init(&w);
    world_submit(&w, &spec);
    assert_string_equal(world_field(&w), "tasks[2].array");
    world_apply(&w, MU_EV_SUBMIT, &(struct mu_ev_submit){ MU_STR_LIT("\xff\xff") });
    assert_int_equal(world_rc(&w), MU_INVALID);
    world_fini(&w);
}

/* ---- what no node could ever hold ---- */

static void an_impossible_demand_is_said_at_once(void **state)
{
    struct world w = { 0 };
    struct mu_group_spec g = world_group(1);
    struct mu_job_spec spec = world_spec(&g, 1);
    struct mu_amount lic = { MU_STR_LIT("lic"), 1 };
    static struct mu_str both[] = { { "small", 5 }, { "large", 5 } };

    (void)state;
    world_init(&w);
    g.cpu_milli = 64000;
    world_submit(&w, &spec);
    assert_int_equal(world_rc(&w), MU_OK); /* no node yet: the first may be large */
    world_join(&w, "small", "b", 2000, 1 << 30);
    world_join(&w, "large", "b", 16000, 1 << 30);
    world_apply(&w, MU_EV_NODE_LOST, &(struct mu_ev_node_lost){ .node = 1 });
    g.cpu_milli = 16000;
    world_submit(&w, &spec);
    assert_int_equal(world_rc(&w), MU_OK); /* up or not */
    g.cpu_milli = 64000;
    world_submit(&w, &spec);
    assert_int_equal(world_rc(&w), MU_IMPOSSIBLE);
    assert_string_equal(world_field(&w), "resources.cpus");
    assert_string_equal(world_text(&w), "64 cpus asked, and no node could ever hold that: large, the nearest, has 16 when empty, "
                                        "48 too few");
    g.cpu_milli = 1000;
    g.mem_bytes = 2ull << 30;
    world_submit(&w, &spec);
    assert_string_equal(world_field(&w), "resources.mem");
    g.mem_bytes = 0;
    g.cpu_milli = 3000;
    g.node = mu_str_of("small");
    world_submit(&w, &spec);
    assert_string_equal(world_text(&w), "3 cpus asked, but node small has only 2 when empty, 1 too few");
    g.node = mu_str_of("unborn");
    world_submit(&w, &spec);
    assert_int_equal(world_rc(&w), MU_OK); /* it may come */
    g.node = mu_str_of("");
    g.each_node = (struct mu_strs){ both, 2 };
    g.tasks = 2;
    world_submit(&w, &spec);
    assert_int_equal(world_rc(&w), MU_IMPOSSIBLE); /* small cannot */
    g = world_group(1);
    g.resources = &lic;
    g.resources_count = 1;
    world_submit(&w, &spec);
    assert_int_equal(world_rc(&w), MU_IMPOSSIBLE);
    assert_string_equal(world_text(&w), "no node has any \"lic\"");
    world_fini(&w);
}

/* ---- keys ---- */

static void a_key_makes_one_job(void **state)
{
    struct world w = { 0 };
    struct mu_group_spec g = world_group(1);
    struct mu_job_spec spec = world_spec(&g, 1), bobs;

    (void)state;
    world_init(&w);
    spec.key = mu_str_of("nightly");
    spec.digest = 77;
    bobs = spec;
    bobs.user = mu_str_of("bob");
    assert_int_equal(world_submit(&w, &spec), 1);
    assert_false(world_find(&w, MU_FX_REPLY)->existing);
    assert_int_equal(world_submit(&w, &spec), 1);
    assert_true(world_find(&w, MU_FX_REPLY)->existing);
    assert_int_equal(w.fx.count, 1);
    assert_int_equal(world_submit(&w, &bobs), 2); /* another user's key is another key */
    spec.digest = 78;
    world_submit(&w, &spec);
    assert_int_equal(world_rc(&w), MU_CONFLICT);
    assert_string_equal(world_field(&w), "key");
    assert_int_equal(mu_view_job_by_key(w.core, mu_str_of("bob"), mu_str_of("nightly")), 2);
    assert_int_equal(mu_view_job_by_key(w.core, mu_str_of("eve"), mu_str_of("nightly")), 0);
    world_fini(&w);
}

/* ---- limits ---- */

static void full_is_an_answer(void **state)
{
    struct world w = { .limits = { .tasks_waiting_max = 10, .jobs_max = 3, .ended_jobs_max = 10, .ended_ms = 1000,
                                   .bytes_max = 1000 } };
    struct mu_group_spec g = world_group(8);
    struct mu_job_spec spec = world_spec(&g, 1);
    struct mu_buf text = { 0 };

    (void)state;
    world_init(&w);
    assert_int_equal(world_array(&w, 8), 1);
    world_array(&w, 3);
    assert_int_equal(world_rc(&w), MU_BUSY);
    assert_non_null(strstr(world_text(&w), "8 tasks wait already"));
    assert_int_equal(world_array(&w, 1), 2);
    for (uint32_t i = 0; i < 2000; i++)
        mu_buf_addc(&text, 'x');
    g.argv.count = 0;
    g.tasks = 1;
    g.script = mu_buf_str(&text);
    world_submit(&w, &spec);
    assert_int_equal(world_rc(&w), MU_BUSY);
    assert_int_equal(world_array(&w, 1), 3);
    world_array(&w, 0 + 1);
    assert_int_equal(world_rc(&w), MU_BUSY); /* jobs */
    mu_buf_fini(&text);
    world_fini(&w);
}

static void a_quota_holds_at_admission(void **state)
{
    struct world w = { 0 };
    struct mu_ev_quota quota = { .user = mu_str_of("ann"), .waiting_max = 5 };

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 4000, 0);
    world_apply(&w, MU_EV_QUOTA, &quota);
    assert_int_equal(world_count(&w, MU_FX_USER), 1);
    world_array(&w, 6);
    assert_int_equal(world_rc(&w), MU_BUSY);
    assert_non_null(strstr(world_text(&w), "quota of 5"));
    world_array(&w, 4);
    world_array(&w, 2);
    assert_int_equal(world_rc(&w), MU_BUSY);
    assert_true(world_place(&w, 1, 0, 0)); /* waits no longer */
    world_array(&w, 2);
    assert_int_equal(world_rc(&w), MU_OK);
    world_fini(&w);
}

/* ---- arrays and lines ---- */

static void people_count_differently(void **state)
{
    static const struct { uint64_t first, step; uint32_t tasks, ordinal; uint64_t index; } cases[] = {
        { 0, 0, 5, 4, 4 }, { 0, 1, 5, 4, 4 }, { 1, 1, 5, 0, 1 }, { 10, 5, 5, 3, 25 }, { 7, 0, 1, 0, 7 },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct world w = { 0 };
        struct mu_group_spec g = world_group(cases[i].tasks);
        struct mu_job_spec spec = world_spec(&g, 1);
        uint32_t ordinal = 99;
        world_init(&w);
        g.array_first = cases[i].first;
        g.array_step = cases[i].step;
        world_submit(&w, &spec);
        assert_int_equal(mu_view_index_of(w.core, 1, cases[i].ordinal), cases[i].index);
        assert_true(mu_view_ordinal_of(w.core, 1, cases[i].index, &ordinal));
        assert_int_equal(ordinal, cases[i].ordinal);
        assert_false(mu_view_ordinal_of(w.core, 1, cases[i].first + 100, &ordinal));
        assert_false(cases[i].first && mu_view_ordinal_of(w.core, 1, cases[i].first - 1, &ordinal));
        assert_false(cases[i].step > 1 && mu_view_ordinal_of(w.core, 1, cases[i].first + 1, &ordinal));
        world_fini(&w);
    }
}

static void what_was_asked_can_be_read(void **state)
{
    struct world w = { 0 };
    struct mu_group_spec g[2] = { world_group(3), world_group(2) }, got;
    struct mu_job_spec spec = world_spec(g, 2);
    struct mu_arena arena = { 0 };
    struct mu_job_view view;
    static struct mu_str nodes[] = { { "n1", 2 }, { "n0", 2 } };

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 4000, 0);
    world_join(&w, "n1", "b", 4000, 0);
    g[0].argv.count = 0;
    g[0].lines = MU_STR_LIT("echo a\n\necho c\n");
    g[1].each_node = (struct mu_strs){ nodes, 2 };
    g[1].name = mu_str_of("each");
    spec.key = mu_str_of("k");
    spec.priority = -7;
    spec.deadline_ms = 5000;
    spec.hold = true;
    world_submit(&w, &spec);
    assert_true(mu_view_job(w.core, 1, &view));
    assert_true(mu_str_is(view.name, "test") && mu_str_is(view.user, "ann") && mu_str_is(view.key, "k"));
    assert_int_equal(view.priority, -7);
    assert_int_equal(view.deadline_ms, 5000);
    assert_true(view.held && !view.open && view.groups == 2 && view.tasks == 5);
    assert_string_equal(mu_view_job_state(&view), "held");
    assert_true(mu_str_is(mu_view_line(w.core, 1, 0), "echo a"));
    assert_int_equal(mu_view_line(w.core, 1, 1).size, 0);
    assert_true(mu_str_is(mu_view_line(w.core, 1, 2), "echo c"));
    assert_int_equal(mu_view_line(w.core, 1, 3).size, 0);
    assert_int_equal(mu_view_next(w.core, 1, 1, MU_TASK_READY, 0), 3);
    assert_int_equal(mu_view_next(w.core, 1, 1, MU_TASK_READY, 4), 4);
    assert_int_equal(mu_view_next(w.core, 1, 1, MU_TASK_READY, 5), UINT32_MAX);
    assert_int_equal(mu_view_next(w.core, 1, 0, MU_TASK_RUNNING, 0), UINT32_MAX);
    assert_int_equal(mu_view_group_of(w.core, 1, 3), 1);
    assert_int_equal(mu_view_group_of(w.core, 1, 5), UINT32_MAX);
    assert_int_equal(mu_view_each_node(w.core, 1, 3), 1);
    assert_int_equal(mu_view_each_node(w.core, 1, 0), MU_NODE_NONE);
    assert_true(mu_view_group_spec(w.core, 1, 0, &got, &arena));
    assert_int_equal(got.tasks, 3);
    assert_int_equal(got.lines.size, 0);
    assert_true(mu_view_group_spec(w.core, 1, 1, &got, &arena));
    assert_true(mu_str_is(got.name, "each") && got.each_node.count == 2 && mu_str_is(got.each_node.at[0], "n1"));
    assert_false(mu_view_group_spec(w.core, 1, 2, &got, &arena));
    mu_arena_fini(&arena);
    world_fini(&w);
}

/* ---- parts ---- */

static void part(struct world *w, uint32_t before, const char *lines, bool last)
{
    world_apply(w, MU_EV_PART, &(struct mu_ev_part){ .job = 1, .tasks_before = before, .lines = mu_str_of(lines), .last = last });
}

static uint64_t open_lines(struct world *w, enum mu_open open)
{
    struct mu_group_spec g = world_group(2);
    struct mu_job_spec spec = world_spec(&g, 1);

    g.argv.count = 0;
    g.lines = MU_STR_LIT("a\nb\n");
    spec.open = open;
    return world_submit(w, &spec);
}

static void a_stream_runs_as_it_comes(void **state)
{
    struct world w = { 0 };
    struct mu_job_view view;

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 4000, 0);
    open_lines(&w, MU_OPEN_STREAM);
    world_run(&w, 1, 0, 0, MU_END_EXIT, 0);
    world_run(&w, 1, 1, 0, MU_END_EXIT, 0);
    assert_string_equal(world_job_state(&w, 1), "running"); /* more may come */
    part(&w, 2, "c\n", false);
    assert_int_equal(world_count(&w, MU_FX_GROUP), 1);
    part(&w, 2, "c\n", false); /* comes twice */
    assert_true(world_find(&w, MU_FX_REPLY)->existing);
    assert_int_equal(w.fx.count, 1);
    part(&w, 4, "e\n", false); /* one is missing */
    assert_int_equal(world_rc(&w), MU_STATE);
    assert_string_equal(world_field(&w), "from");
    part(&w, 3, "", true);
    assert_int_equal(world_rc(&w), MU_OK);
    part(&w, 3, "", true);
    assert_true(world_find(&w, MU_FX_REPLY)->existing);
    part(&w, 3, "d\n", true);
    assert_int_equal(world_rc(&w), MU_STATE);
    assert_true(mu_str_is(mu_view_line(w.core, 1, 2), "c"));
    world_run(&w, 1, 2, 0, MU_END_EXIT, 0);
    assert_true(mu_view_job(w.core, 1, &view) && view.over && view.tasks == 3);
    world_fini(&w);
}

static void a_stream_ends_with_its_last_part(void **state)
{
    struct world w = { 0 };

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 4000, 0);
    open_lines(&w, MU_OPEN_STREAM);
    world_run(&w, 1, 0, 0, MU_END_EXIT, 0);
    world_run(&w, 1, 1, 0, MU_END_EXIT, 0);
    part(&w, 2, "", true);
    assert_string_equal(world_job_state(&w, 1), "succeeded");
    world_fini(&w);
}

static void a_whole_job_waits_for_its_last_part(void **state)
{
    struct world w = { 0 };
    struct mu_group_view v;
    uint64_t job = 0;
    uint32_t group = 0;

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 4000, 0);
    open_lines(&w, MU_OPEN_WHOLE);
    assert_int_equal(world_count(&w, MU_FX_GROUP), 0);
    assert_false(world_place(&w, 1, 0, 0));
    assert_false(mu_view_group_next(w.core, &job, &group, &v));
    part(&w, 2, "c\nd\n", true);
    assert_int_equal(world_count(&w, MU_FX_GROUP), 1);
    assert_true(world_place(&w, 1, 3, 0));
    world_fini(&w);
}

static void a_new_leader_drops_what_did_not_come_whole(void **state)
{
    struct world w = { 0 };

    (void)state;
    world_init(&w);
    world_apply(&w, MU_EV_LEAD, &(struct mu_ev_lead){ .epoch = 4, .server = mu_str_of("s1"), .url = mu_str_of("http://a") });
    open_lines(&w, MU_OPEN_WHOLE);
    world_array(&w, 1);
    open_lines(&w, MU_OPEN_STREAM);
    world_apply(&w, MU_EV_LEAD, &(struct mu_ev_lead){ .epoch = 4 }); /* the same one */
    assert_int_equal(w.fx.count, 0);
    assert_true(mu_str_is(mu_view_leader(w.core).url, "http://a"));
    world_apply(&w, MU_EV_LEAD, &(struct mu_ev_lead){ .epoch = 5, .server = mu_str_of("s2") });
    assert_int_equal(world_count(&w, MU_FX_FORGET), 1);
    assert_string_equal(world_job_state(&w, 1), "gone");
    assert_string_equal(world_job_state(&w, 2), "waiting");
    assert_string_equal(world_job_state(&w, 3), "waiting");
    part(&w, 2, "c\n", false);
    assert_int_equal(world_rc(&w), MU_NOTFOUND);
    world_fini(&w);
}

/* For its client it never was: the key makes another, which may ask for something else. */
static void the_key_of_half_a_job_is_free(void **state)
{
    struct world w = { 0 };
    struct mu_group_spec g = world_group(1);
    struct mu_job_spec spec = world_spec(&g, 1);

    (void)state;
    world_init(&w);
    spec.key = MU_STR_LIT("k");
    spec.digest = 1;
    spec.open = MU_OPEN_WHOLE;
    assert_int_equal(world_submit(&w, &spec), 1);
    assert_int_equal(world_submit(&w, &spec), 1);
    assert_true(world_find(&w, MU_FX_REPLY)->existing);
    world_cancel(&w, 1);
    spec.digest = 2;
    assert_int_equal(world_submit(&w, &spec), 2);
    assert_false(world_find(&w, MU_FX_REPLY)->existing);
    assert_int_equal(mu_view_job_by_key(w.core, mu_str_of("ann"), mu_str_of("k")), 2);
    world_apply(&w, MU_EV_RETRY, &(struct mu_ev_retry){ .job = 1 });
    assert_int_equal(world_rc(&w), MU_STATE);
    world_fini(&w);
}

static void a_whole_job_is_checked_when_it_is_whole(void **state)
{
    struct mu_dep later = { .group = 1 }, back = { .group = 0 };

    (void)state;
    for (uint32_t round = 0; round < 3; round++) {
        struct world w = { 0 };
        struct mu_group_spec g = world_group(1), more = world_group(1);
        struct mu_job_spec spec = world_spec(&g, 1);
        struct mu_ev_part ev = { .job = 1, .tasks_before = 1, .groups = &more, .groups_count = round < 2, .last = true };
        world_init(&w);
        spec.open = MU_OPEN_WHOLE;
        g.after = &later; /* comes with the next part, or not */
        g.after_count = 1;
        more.after = &back;
        more.after_count = round == 1;
        world_submit(&w, &spec);
        assert_int_equal(world_rc(&w), MU_OK);
        world_apply(&w, MU_EV_PART, &ev);
        assert_int_equal(world_rc(&w), round == 0 ? MU_OK : MU_INVALID);
        assert_string_equal(world_job_state(&w, 1), round == 0 ? "waiting" : "gone");
        world_fini(&w);
    }
}

static void parts_that_do_not_fit(void **state)
{
    struct world w = { 0 };
    struct mu_group_spec g[2] = { world_group(1), world_group(2) };
    struct mu_job_spec spec = world_spec(g, 2);
    struct mu_dep each = { .group = 1, .kind = MU_DEP_EACH_OK }, self = { .job = 1 };
    struct mu_ev_part ev = { .job = 1, .tasks_before = 3, .groups = g, .groups_count = 1, .lines = MU_STR_LIT("x\n") };

    (void)state;
    world_init(&w);
    spec.open = MU_OPEN_STREAM;
    world_submit(&w, &spec);
    part(&w, 3, "x\n", false);
    assert_string_equal(world_field(&w), "lines"); /* the last group has none */
    world_apply(&w, MU_EV_PART, &ev);
    assert_int_equal(world_rc(&w), MU_INVALID); /* both */
    ev.lines.size = 0;
    g[0].after = &self;
    g[0].after_count = 1;
    world_apply(&w, MU_EV_PART, &ev);
    assert_int_equal(world_rc(&w), MU_INVALID); /* would wait for itself */
    assert_string_equal(world_field(&w), "tasks[2].after");
    g[0].after_count = 0;
    g[0].argv.count = 0;
    g[0].lines = MU_STR_LIT("p\n");
    world_apply(&w, MU_EV_PART, &ev);
    assert_int_equal(world_rc(&w), MU_OK);
    part(&w, 4, "q", false);
    assert_int_equal(world_rc(&w), MU_INVALID);
    part(&w, 4, "q\n", false);
    assert_int_equal(world_rc(&w), MU_OK);
    ev.tasks_before = 5;
    each.group = 2;
    g[0] = world_group(2);
    g[0].after = &each;
    g[0].after_count = 1;
    world_apply(&w, MU_EV_PART, &ev);
    assert_int_equal(world_rc(&w), MU_OK);
    world_cancel(&w, 1);
    part(&w, 7, "r\n", true);
    assert_int_equal(world_rc(&w), MU_STATE);
    world_array(&w, 1);
    world_apply(&w, MU_EV_PART, &(struct mu_ev_part){ .job = 2, .tasks_before = 1, .last = true });
    assert_int_equal(world_rc(&w), MU_STATE); /* did not come in parts */
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_spec_is_refused_by_name),
        cmocka_unit_test(fields_are_named_by_group),
        cmocka_unit_test(an_impossible_demand_is_said_at_once),
        cmocka_unit_test(a_key_makes_one_job),
        cmocka_unit_test(full_is_an_answer),
        cmocka_unit_test(a_quota_holds_at_admission),
        cmocka_unit_test(people_count_differently),
        cmocka_unit_test(what_was_asked_can_be_read),
        cmocka_unit_test(a_stream_runs_as_it_comes),
        cmocka_unit_test(a_stream_ends_with_its_last_part),
        cmocka_unit_test(a_whole_job_waits_for_its_last_part),
        cmocka_unit_test(a_new_leader_drops_what_did_not_come_whole),
        cmocka_unit_test(the_key_of_half_a_job_is_free),
        cmocka_unit_test(a_whole_job_is_checked_when_it_is_whole),
        cmocka_unit_test(parts_that_do_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
