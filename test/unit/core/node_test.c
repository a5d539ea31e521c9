/* Nodes: their life, joining again, getting lost, labels; users: usage that fades. */
#include "unit/unit.h"

#include "world.h"

#include "core/state.h"

#include <math.h>

/* ---- the table ---- */

static void every_move_is_in_the_table(void **state)
{
    static const char *const moves[MU_NODE_STATES] = { /* to UP, DRAINING, AWAY, DOWN */
        [MU_NODE_UP] = "-xxx", [MU_NODE_DRAINING] = "x-xx", [MU_NODE_AWAY] = "xx--", [MU_NODE_DOWN] = "xx--",
    };

    (void)state;
    for (uint32_t from = 0; from < MU_NODE_STATES; from++) {
        for (uint32_t to = 0; to < MU_NODE_STATES; to++)
            assert_int_equal(mu_node_may((enum mu_node_state)from, (enum mu_node_state)to), moves[from][to] == 'x');
    }
}

static void what_happens_to_a_node(void **state)
{
    enum { JOIN, REBOOT, LOST, DRAIN, RESUME };
    static const struct {
        bool keep;
        int steps[4];
        uint32_t count;
        enum mu_node_state want;
        enum mu_task_state task;
    } cases[] = {
        { false, { JOIN }, 1, MU_NODE_UP, MU_TASK_STARTING },
        { false, { LOST }, 1, MU_NODE_DOWN, MU_TASK_READY },
        { false, { LOST, LOST }, 2, MU_NODE_DOWN, MU_TASK_READY },
        { false, { LOST, JOIN }, 2, MU_NODE_UP, MU_TASK_READY },
        { false, { REBOOT }, 1, MU_NODE_UP, MU_TASK_READY },
        { true, { LOST }, 1, MU_NODE_AWAY, MU_TASK_STARTING },
        { true, { LOST, JOIN }, 2, MU_NODE_UP, MU_TASK_STARTING },
        { true, { LOST, LOST, REBOOT }, 3, MU_NODE_UP, MU_TASK_READY },
        { true, { DRAIN, LOST, JOIN }, 3, MU_NODE_DRAINING, MU_TASK_STARTING },
        { false, { DRAIN }, 1, MU_NODE_DRAINING, MU_TASK_STARTING },
        { false, { DRAIN, RESUME }, 2, MU_NODE_UP, MU_TASK_STARTING },
        { false, { LOST, DRAIN, JOIN }, 3, MU_NODE_DRAINING, MU_TASK_READY },
        { false, { LOST, DRAIN, RESUME }, 3, MU_NODE_DOWN, MU_TASK_READY },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct world w = { 0 };
        struct mu_ev_node_join join = { .name = mu_str_of("n0"), .boot = mu_str_of("b1"), .cpu_milli = 1000, .keep = cases[i].keep };
        world_init(&w);
        world_apply(&w, MU_EV_NODE_JOIN, &join);
        world_array(&w, 1);
        assert_true(world_place(&w, 1, 0, 0));
        for (uint32_t k = 0; k < cases[i].count; k++) {
            int step = cases[i].steps[k];
            join.boot = mu_str_of(step == REBOOT ? "b2" : "b1");
            if (step == JOIN || step == REBOOT)
                world_apply(&w, MU_EV_NODE_JOIN, &join);
            else if (step == LOST)
                world_apply(&w, MU_EV_NODE_LOST, &(struct mu_ev_node_lost){ .node = 0 });
            else
                world_apply(&w, MU_EV_NODE_SET, &(struct mu_ev_node_set){ .set_drain = true, .drain = step == DRAIN });
        }
        if (mu_view_node(w.core, 0)->state != cases[i].want || world_task(&w, 1, 0) != cases[i].task)
            fail_msg("case %zu: %s, %s", i, mu_node_state_text(mu_view_node(w.core, 0)->state),
                     mu_task_state_text(world_task(&w, 1, 0)));
        world_fini(&w);
    }
}

/* ---- losing a node ---- */

static void work_of_a_lost_node_is_queued_in_order(void **state)
{
    struct world w = { 0 };
    struct mu_buf b = { 0 };

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b1", 4000, 0);
    world_array(&w, 3);
    assert_true(world_place(&w, 1, 2, 0));
    assert_true(world_place(&w, 1, 0, 0));
    world_start(&w, 1, 0);
    w.now_ms += 250;
    world_apply(&w, MU_EV_NODE_LOST, &(struct mu_ev_node_lost){ .node = 0 });
    world_trace(&w, &b);
    mu_buf_addc(&b, '\0');
    assert_string_equal((char *)b.at, "node 0\n"
                                      "ended 1.2 #1 on 0 node-lost: waiting\nfreed 1.2 #1 on 0\ntask 1.2 #1 waiting\ngroup 1/0\n"
                                      "ended 1.0 #1 on 0 node-lost: waiting\nfreed 1.0 #1 on 0\ntask 1.0 #1 waiting\ngroup 1/0\n");
    assert_int_equal(w.fx.at[5].ended->run_us, 250000);
    assert_int_equal(mu_view_attempts(w.core, 1, 2), 1);
    world_join(&w, "n0", "b1", 4000, 0);
    assert_true(world_place(&w, 1, 2, 0));
    assert_int_equal(world_find(&w, MU_FX_START)->attempt, 2);
    mu_buf_fini(&b);
    world_fini(&w);
}

static void a_node_comes_back_smaller(void **state)
{
    struct world w = { 0 };

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b1", 4000, 0);
    world_array(&w, 9);
    for (uint32_t i = 0; i < 3; i++)
        assert_true(world_place(&w, 1, i, 0));
    world_join(&w, "n0", "b1", 2000, 0); /* keeps what it runs, and takes nothing more */
    assert_int_equal(mu_view_node(w.core, 0)->used.amount[MU_RES_CPU], 3000);
    assert_false(world_place(&w, 1, 3, 0));
    world_end(&w, 1, 0, MU_END_EXIT, 0);
    assert_false(world_place(&w, 1, 3, 0));
    world_end(&w, 1, 1, MU_END_EXIT, 0);
    assert_true(world_place(&w, 1, 3, 0));
    world_fini(&w);
}

/* ---- joining ---- */

static void a_bad_join_is_refused(void **state)
{
    static struct mu_str bad_label[] = { { "zone", 4 } };
    static struct mu_amount cpus[] = { { { "cpus", 4 }, 1 } };
    static const struct { struct mu_ev_node_join ev; const char *field; } cases[] = {
        { { .name = { "", 0 }, .boot = { "b", 1 } }, "name" },
        { { .name = { "n\n", 2 }, .boot = { "b", 1 } }, "name" },
        { { .name = { "n", 1 }, .boot = { "", 0 } }, "boot" },
        { { .name = { "n", 1 }, .boot = { "b", 1 }, .cpu_milli = UINT64_MAX }, "resources" },
        { { .name = { "n", 1 }, .boot = { "b", 1 }, .labels = { bad_label, 1 } }, "labels" },
        { { .name = { "n", 1 }, .boot = { "b", 1 }, .resources = cpus, .resources_count = 1 }, "resources" },
    };
    struct world w = { 0 };

    (void)state;
    world_init(&w);
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        world_apply(&w, MU_EV_NODE_JOIN, &cases[i].ev);
        assert_int_equal(world_rc(&w), MU_INVALID);
        assert_string_equal(world_field(&w), cases[i].field);
        assert_int_equal(mu_view_nodes(w.core), 0);
    }
    world_fini(&w);
}

static void kinds_of_resources_run_out(void **state)
{
    struct world w = { 0 };
    struct mu_amount amounts[MU_RES_MAX];
    char names[MU_RES_MAX][8];
    struct mu_ev_node_join ev = { .name = mu_str_of("n"), .boot = mu_str_of("b"), .resources = amounts };

    (void)state;
    world_init(&w);
    for (uint32_t i = 0; i < MU_RES_MAX; i++) {
        snprintf(names[i], sizeof names[i], "r%u", (unsigned)i);
        amounts[i] = (struct mu_amount){ mu_str_of(names[i]), 1 };
    }
    ev.resources_count = MU_RES_MAX - MU_RES_NAMED + 1;
    world_apply(&w, MU_EV_NODE_JOIN, &ev);
    assert_int_equal(world_rc(&w), MU_BUSY);
    ev.resources_count--;
    world_apply(&w, MU_EV_NODE_JOIN, &ev);
    assert_int_equal(world_rc(&w), MU_OK);
    assert_int_equal(mu_view_res_kinds(w.core), MU_RES_MAX);
    assert_true(mu_str_is(mu_view_res_name(w.core, MU_RES_NAMED), "r0"));
    world_fini(&w);
}

static void a_shape_learns_of_its_node(void **state)
{
    struct world w = { 0 };
    struct mu_group_spec g = world_group(1);
    struct mu_job_spec spec = world_spec(&g, 1);
    const struct mu_shape *shape;
    uint32_t generation;

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 1000, 0);
    g.node = mu_str_of("late");
    world_submit(&w, &spec);
    shape = mu_view_shape(w.core, 0);
    generation = shape->generation;
    assert_true(shape->node_unknown && shape->node == MU_NODE_NONE);
    assert_string_equal(shape->node_name, "late");
    world_join(&w, "late", "b", 1000, 0);
    assert_true(!shape->node_unknown && shape->node == 1 && shape->generation > generation);
    assert_true(world_place(&w, 1, 0, 1));
    world_fini(&w);
}

static void equal_needs_share_a_shape(void **state)
{
    struct world w = { .limits = { .tasks_waiting_max = 100, .jobs_max = 100, .ended_jobs_max = 0, .ended_ms = 0, .bytes_max = 1 << 20 } };
    struct mu_group_spec g = world_group(1);
    struct mu_job_spec spec = world_spec(&g, 1);
    static struct mu_str ab[] = { { "b=2", 3 }, { "a=1", 3 } }, ba[] = { { "a=1", 3 }, { "b=2", 3 }, { "a=1", 3 } };

    (void)state;
    world_init(&w);
    g.labels = (struct mu_strs){ ab, 2 };
    world_submit(&w, &spec);
    g.labels = (struct mu_strs){ ba, 3 };
    world_submit(&w, &spec);
    assert_int_equal(mu_view_shapes(w.core), 1);
    assert_int_equal(mu_view_shape(w.core, 0)->refs, 2);
    g.mem_bytes = 5;
    world_submit(&w, &spec);
    assert_int_equal(mu_view_shapes(w.core), 2);
    world_cancel(&w, 1);
    world_cancel(&w, 2);
    world_due(&w, w.now_ms);
    assert_int_equal(mu_view_shape(w.core, 0)->refs, 0);
    g.mem_bytes = 6;
    world_submit(&w, &spec);
    assert_int_equal(mu_view_shapes(w.core), 2); /* its id is used again */
    assert_int_equal(mu_view_shape(w.core, 0)->generation, 2);
    world_fini(&w);
}

/* ---- labels ---- */

static void labels_of(struct world *w, const char *want)
{
    const struct mu_node *node = mu_view_node(w->core, 0);
    static const char *const all[] = { "disk=ssd", "zone=a", "zone=b", "zone=c" };
    char got[64] = "";
    uint32_t seen = 0;

    for (size_t i = 0; i < MU_COUNT(all); i++) {
        uint32_t word = mu_view_word_id(w->core, mu_str_of(all[i]));
        for (uint32_t k = 0; word && k < node->labels.count; k++) {
            if (node->labels.at[k] == word)
                snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", seen++ ? " " : "", all[i]);
        }
    }
    assert_int_equal(seen, node->labels.count);
    assert_string_equal(got, want);
}

static void an_operators_label_goes_first(void **state)
{
    static struct mu_str own[] = { { "zone=a", 6 }, { "disk=ssd", 8 } };
    struct mu_ev_node_join ev = { .name = mu_str_of("n0"), .boot = mu_str_of("b"), .cpu_milli = 1000, .labels = { own, 2 } };
    static const struct { const char *label; enum mu_rc rc; const char *want; } cases[] = {
        { "zone=b", MU_OK, "disk=ssd zone=b" }, { "zone=c", MU_OK, "disk=ssd zone=c" }, { "zone=", MU_OK, "disk=ssd" },
        { "zone", MU_INVALID, "disk=ssd" },     { "=x", MU_INVALID, "disk=ssd" },       { "zone=a", MU_OK, "disk=ssd zone=a" },
        { "disk=", MU_OK, "zone=a" },
    };
    struct world w = { 0 };

    (void)state;
    world_init(&w);
    world_apply(&w, MU_EV_NODE_JOIN, &ev);
    labels_of(&w, "disk=ssd zone=a");
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        world_apply(&w, MU_EV_NODE_SET, &(struct mu_ev_node_set){ .label = mu_str_of(cases[i].label) });
        assert_int_equal(world_rc(&w), cases[i].rc);
        labels_of(&w, cases[i].want);
    }
    world_apply(&w, MU_EV_NODE_JOIN, &ev); /* the node says the same again; the operator's word stays */
    labels_of(&w, "zone=a");
    world_apply(&w, MU_EV_NODE_SET, &(struct mu_ev_node_set){ .node = 1 });
    assert_int_equal(world_rc(&w), MU_NOTFOUND);
    world_fini(&w);
}

/* ---- usage ---- */

static void usage_halves(void **state)
{
    static const uint64_t ages[] = { 0, 1, 999, 1000, 60000, 3600000, 43200000, 86399999, 86400000, 86400001, 604800000,
                                     40ull * 86400000, 63ull * 86400000, 64ull * 86400000, UINT64_MAX };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(ages); i++) {
        uint64_t usage = UINT64_C(123456789012345678), got = mu_usage_decayed(usage, ages[i], 86400000);
        double want = (double)usage * exp2(-(double)ages[i] / 86400000.0);
        if (fabs((double)got - want) > want * 1e-9 + 40)
            fail_msg("after %llu ms: %llu, not %.0f", (unsigned long long)ages[i], (unsigned long long)got, want);
    }
}

static void usage_is_share_and_time(void **state)
{
    struct world w = { 0 };
    static struct mu_str params[] = { { "halflife=10s", 12 } };
    const struct mu_user *ann;

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b", 4000, 1000);
    world_join(&w, "n1", "b", 4000, 1000);
    world_apply(&w, MU_EV_POLICY, &(struct mu_ev_policy){ .kind = mu_str_of("order"), .name = mu_str_of("fair"), .params = { params, 1 } });
    world_array(&w, 2);
    assert_true(world_place(&w, 1, 0, 0));
    w.now_ms += 400;
    world_end(&w, 1, 0, MU_END_EXIT, 0);
    ann = mu_view_user(w.core, mu_view_word_id(w.core, mu_str_of("ann")));
    assert_int_equal(ann->usage, 125000 * 400); /* an eighth of all processors */
    assert_int_equal(ann->waiting, 1);
    assert_int_equal(mu_view_usage(w.core, ann, ann->usage_ms + 10000), 125000 * 200);
    assert_int_equal(mu_view_usage(w.core, ann, 0), 125000 * 400);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_move_is_in_the_table),
        cmocka_unit_test(what_happens_to_a_node),
        cmocka_unit_test(work_of_a_lost_node_is_queued_in_order),
        cmocka_unit_test(a_node_comes_back_smaller),
        cmocka_unit_test(a_bad_join_is_refused),
        cmocka_unit_test(kinds_of_resources_run_out),
        cmocka_unit_test(a_shape_learns_of_its_node),
        cmocka_unit_test(equal_needs_share_a_shape),
        cmocka_unit_test(an_operators_label_goes_first),
        cmocka_unit_test(usage_halves),
        cmocka_unit_test(usage_is_share_and_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
