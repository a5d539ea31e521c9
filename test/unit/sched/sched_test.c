/* test/unit/sched/sched_test.c -- who goes first and where, over a real core: one rule a test. */
#include "unit/sched/rig.h"

#include <stdlib.h>

#define GIB (UINT64_C(1) << 30)

static int rig_up(void **state)
{
    struct rig *r = malloc(sizeof *r);

    rig_init(r);
    *state = r;
    return 0;
}

static int rig_down(void **state)
{
    rig_fini(*state);
    free(*state);
    return 0;
}

/* The next decision, committed: "job" or 0. */
static uint64_t next_job(struct rig *r)
{
    struct mu_decision d;

    if (!rig_decide(r, &d))
        return 0;
    rig_commit_all(r);
    return d.job;
}

static void boxes(struct rig *r, uint32_t count, uint64_t cpu_milli)
{
    char name[16];

    for (uint32_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "n%u", i);
        assert_int_equal(rig_node(r, (struct box){ name, cpu_milli, 8 * GIB }), i);
    }
}

static void end_one_on(struct rig *r, uint32_t node)
{
    uint64_t cursor = 0;
    const struct mu_attempt *a = mu_view_node_attempt(r->core, node, &cursor);

    assert_non_null(a);
    rig_end(r, a->job, a->ordinal, 100, 0);
}

/* ---- order ---- */

static void first_come_first_served_within_a_priority(void **state)
{
    struct rig *r = *state;
    uint64_t a = rig_submit(r, (struct ask){ .user = "ann" }), b = rig_submit(r, (struct ask){ .user = "bob", .cpu_milli = 500 });
    uint64_t c = rig_submit(r, (struct ask){ .priority = 5 }), d = rig_submit(r, (struct ask){ .priority = -5 });
    uint64_t e = rig_submit(r, (struct ask){ .user = "ann" });
    const uint64_t want[] = { c, a, b, e, d, 0 };

    boxes(r, 1, 8000);
    for (size_t i = 0; i < MU_COUNT(want); i++)
        assert_int_equal(next_job(r), want[i]);
}

static void a_small_task_passes_a_large_one_that_has_no_room(void **state)
{
    struct rig *r = *state;
    uint64_t small;

    boxes(r, 1, 4000);
    rig_submit(r, (struct ask){ .cpu_milli = 3000 });
    rig_place_all(r);
    rig_submit(r, (struct ask){ .cpu_milli = 3000 });
    small = rig_submit(r, (struct ask){ .cpu_milli = 1000 });
    assert_int_equal(next_job(r), small);
    assert_int_equal(next_job(r), 0);
}

static void strict_order_lets_nobody_pass(void **state)
{
    struct rig *r = *state;
    uint64_t running, large, small;

    rig_policy(r, "order", "fifo", "strict=1");
    boxes(r, 1, 4000);
    running = rig_submit(r, (struct ask){ .cpu_milli = 3000 });
    rig_submit(r, (struct ask){ .cpu_milli = 4000, .priority = 9, .hold = true }); /* what is held is in nobody's way */
    rig_place_all(r);
    large = rig_submit(r, (struct ask){ .cpu_milli = 3000 });
    small = rig_submit(r, (struct ask){ .cpu_milli = 1000 });
    assert_int_equal(next_job(r), 0);
    rig_end(r, running, 0, 100, 0);
    assert_int_equal(next_job(r), large);
    assert_int_equal(next_job(r), small);
}

static void strict_order_does_not_wait_for_the_impossible(void **state)
{
    struct rig *r = *state;
    uint64_t small;

    rig_policy(r, "order", "fifo", "strict=1");
    rig_submit(r, (struct ask){ .cpu_milli = 9000 });
    rig_submit(r, (struct ask){ .label = "disk=fast" });
    rig_submit(r, (struct ask){ .node = "n7" });
    small = rig_submit(r, (struct ask){ .cpu_milli = 1000 });
    boxes(r, 1, 4000);
    assert_int_equal(next_job(r), small);
}

static void a_starving_task_gets_a_node_kept_for_it(void **state)
{
    struct rig *r = *state;
    uint64_t large;

    rig_policy(r, "order", "fifo", "guard=10m");
    boxes(r, 2, 2000);
    for (int i = 0; i < 4; i++)
        rig_submit(r, (struct ask){ .priority = 1 });
    rig_place_all(r);
    large = rig_submit(r, (struct ask){ .cpu_milli = 2000, .priority = -3 });
    for (int i = 0; i < 8; i++)
        rig_submit(r, (struct ask){ .priority = 1 });
    end_one_on(r, 0);
    assert_int_not_equal(next_job(r), 0); /* not starving yet: passed */
    assert_int_equal(next_job(r), 0);
    r->now_ms += 11 * 60000;
    assert_int_equal(next_job(r), 0);
    /* Node 0 and 1 are full alike: the first is kept. What ends there makes room for nobody else. */
    end_one_on(r, 0);
    assert_int_equal(next_job(r), 0);
    end_one_on(r, 1);
    assert_int_not_equal(next_job(r), 0);
    end_one_on(r, 0);
    assert_int_equal(next_job(r), large);
    end_one_on(r, 0);
    assert_int_not_equal(next_job(r), 0); /* given back */
}

static void the_user_with_the_smaller_share_goes_first(void **state)
{
    struct rig *r = *state;
    uint64_t ann, bob;

    rig_policy(r, "order", "fair", NULL);
    boxes(r, 1, 8000);
    ann = rig_submit(r, (struct ask){ .user = "ann", .tasks = 8 });
    bob = rig_submit(r, (struct ask){ .user = "bob", .tasks = 8 });
    assert_int_equal(next_job(r), ann);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(next_job(r), bob);
        assert_int_equal(next_job(r), ann);
    }
    assert_int_equal(next_job(r), bob);
    assert_int_equal(next_job(r), 0);
}

static void weights_divide_shares(void **state)
{
    struct rig *r = *state;
    uint32_t got = 0;
    uint64_t ann;

    rig_policy(r, "order", "fair", NULL);
    rig_quota(r, "ann", 0, 3);
    rig_quota(r, "bob", 0, 1);
    boxes(r, 1, 8000);
    rig_submit(r, (struct ask){ .user = "bob", .tasks = 8 });
    ann = rig_submit(r, (struct ask){ .user = "ann", .tasks = 8 });
    for (int i = 0; i < 8; i++)
        got += next_job(r) == ann;
    assert_int_equal(got, 6);
}

static void past_use_counts_and_fades(void **state)
{
    struct rig *r = *state;
    uint64_t greedy, late;

    rig_policy(r, "order", "fair", "halflife=1h");
    boxes(r, 1, 4000);
    greedy = rig_submit(r, (struct ask){ .user = "ann", .tasks = 4 });
    rig_place_all(r);
    r->now_ms += 3600000;
    for (uint32_t i = 0; i < 4; i++)
        rig_end(r, greedy, i, 3600000, 0);
    rig_submit(r, (struct ask){ .user = "ann", .cpu_milli = 2000 });
    late = rig_submit(r, (struct ask){ .user = "bob", .cpu_milli = 2000 });
    assert_int_equal(next_job(r), late);
    assert_int_not_equal(next_job(r), 0);
    /* Now ann has a past, bob a present: half the cluster each. After ten half-lives hers is nothing. */
    r->now_ms += 10 * 3600000;
    rig_end(r, late, 0, 10 * 3600000, 0);
    uint64_t bobs = rig_submit(r, (struct ask){ .user = "bob", .cpu_milli = 2000 });
    assert_int_equal(next_job(r), bobs);
}

static void the_order_can_change_while_running(void **state)
{
    struct rig *r = *state;
    uint64_t ann, bob;

    boxes(r, 1, 8000);
    ann = rig_submit(r, (struct ask){ .user = "ann", .tasks = 8 });
    bob = rig_submit(r, (struct ask){ .user = "bob", .tasks = 8 });
    assert_int_equal(next_job(r), ann);
    assert_int_equal(next_job(r), ann);
    rig_policy(r, "order", "fair", NULL);
    assert_int_equal(next_job(r), bob);
    rig_policy(r, "order", "fifo", NULL);
    assert_int_equal(next_job(r), ann);
}

/* ---- limits ---- */

static void max_parallel_holds_also_for_work_in_flight(void **state)
{
    struct rig *r = *state;
    struct mu_decision d;
    uint64_t job;

    boxes(r, 2, 8000);
    job = rig_submit(r, (struct ask){ .tasks = 5, .max_parallel = 2 });
    assert_true(rig_decide(r, &d));
    assert_true(rig_decide(r, &d));
    assert_false(rig_decide(r, &d));
    rig_commit_all(r);
    assert_false(rig_decide(r, &d));
    rig_end(r, job, 0, 10, 0);
    assert_true(rig_decide(r, &d));
    assert_false(rig_decide(r, &d));
    assert_int_equal(d.ordinal, 2);
}

static void a_quota_holds_and_parks_only_its_user(void **state)
{
    struct rig *r = *state;
    struct mu_decision d;
    uint64_t ann, bob;

    boxes(r, 1, 8000);
    rig_quota(r, "ann", 2000, 1);
    ann = rig_submit(r, (struct ask){ .user = "ann", .tasks = 5 });
    bob = rig_submit(r, (struct ask){ .user = "bob" });
    assert_true(rig_decide(r, &d) && d.job == ann);
    assert_true(rig_decide(r, &d) && d.job == ann);
    assert_true(rig_decide(r, &d) && d.job == bob);
    assert_false(rig_decide(r, &d));
    rig_commit_all(r);
    assert_false(rig_decide(r, &d));
    rig_end(r, ann, 0, 10, 0);
    assert_true(rig_decide(r, &d) && d.job == ann);
    assert_false(rig_decide(r, &d));
    rig_quota(r, "ann", 3000, 1);
    assert_true(rig_decide(r, &d) && d.job == ann);
    assert_false(rig_decide(r, &d));
}

static void held_jobs_wait(void **state)
{
    struct rig *r = *state;
    uint64_t job = rig_submit(r, (struct ask){ .hold = true });

    boxes(r, 1, 4000);
    assert_int_equal(next_job(r), 0);
    rig_apply(r, MU_EV_HOLD, &(struct mu_ev_hold){ .job = job });
    assert_int_equal(next_job(r), job);
}

static void what_comes_after_goes_after(void **state)
{
    struct rig *r = *state;
    uint64_t first = rig_submit(r, (struct ask){ 0 }), second = rig_submit(r, (struct ask){ .after = first, .priority = 7 });

    boxes(r, 1, 4000);
    assert_int_equal(next_job(r), first);
    assert_int_equal(next_job(r), 0);
    rig_end(r, first, 0, 10, 0);
    assert_int_equal(next_job(r), second);
}

static void a_task_to_be_tried_again_goes_before_later_ones(void **state)
{
    struct rig *r = *state;
    struct mu_decision d;
    uint64_t job;

    boxes(r, 1, 2000);
    job = rig_submit(r, (struct ask){ .tasks = 10, .retries = 2, .backoff_ms = 1000 });
    assert_int_equal(rig_place_all(r), 2);
    rig_end(r, job, 0, 10, 1);
    assert_true(rig_decide(r, &d) && d.ordinal == 2 && d.attempt == 1);
    rig_commit_all(r);
    r->now_ms += 60000;
    rig_apply(r, MU_EV_DUE, &(struct mu_ev_due){ 0 });
    rig_end(r, job, 1, 10, 0);
    assert_true(rig_decide(r, &d) && d.ordinal == 0 && d.attempt == 2);
}

/* ---- nodes ---- */

static void nodes_that_are_not_up_take_nothing(void **state)
{
    struct rig *r = *state;

    boxes(r, 2, 1000);
    rig_submit(r, (struct ask){ .tasks = 5 });
    rig_drain(r, 0, true);
    assert_int_equal(rig_place(r), 1);
    assert_int_equal(rig_place(r), -1);
    rig_drain(r, 0, false);
    assert_int_equal(rig_place(r), 0);
    rig_apply(r, MU_EV_NODE_LOST, &(struct mu_ev_node_lost){ .node = 0, .why = MU_STR_LIT("silent") });
    assert_int_equal(rig_place(r), -1);
    rig_node(r, (struct box){ "n0", 1000, 8 * GIB });
    assert_int_equal(rig_place(r), 0);
}

static void labels_are_needed_and_wishes_are_wishes(void **state)
{
    struct rig *r = *state;

    rig_node(r, (struct box){ "a", 2000, GIB, .label = "disk=slow" });
    rig_node(r, (struct box){ "b", 2000, GIB, .label = "disk=fast" });
    rig_submit(r, (struct ask){ .label = "disk=fast", .tasks = 2 });
    rig_submit(r, (struct ask){ .prefer = "disk=slow", .tasks = 3 });
    assert_int_equal(rig_place(r), 1);
    rig_submit(r, (struct ask){ .prefer = "disk=fast", .priority = 3 });
    assert_int_equal(rig_place(r), 1); /* though pack alone would not know why */
    for (int i = 0; i < 2; i++)
        assert_int_equal(rig_place(r), 0);
    assert_int_equal(rig_place(r), -1);
    rig_apply(r, MU_EV_NODE_SET, &(struct mu_ev_node_set){ .node = 0, .label = MU_STR_LIT("disk=fast") });
    assert_int_equal(rig_place(r), -1);
    rig_node(r, (struct box){ "c", 1000, GIB, .label = "disk=fast" });
    assert_int_equal(rig_place(r), 2);
}

static void a_node_that_is_named_is_waited_for(void **state)
{
    struct rig *r = *state;
    uint64_t job = rig_submit(r, (struct ask){ .node = "n1", .tasks = 2 }), again;

    boxes(r, 1, 4000);
    assert_int_equal(rig_place(r), -1);
    rig_node(r, (struct box){ "n1", 1000, GIB });
    assert_int_equal(rig_place(r), 1);
    assert_int_equal(rig_place(r), -1);
    again = rig_submit(r, (struct ask){ .node = "n1" });
    rig_end(r, job, 0, 10, 0);
    assert_int_equal(rig_place(r), 1);
    rig_end(r, job, 1, 10, 0);
    assert_int_equal(next_job(r), again);
}

static void each_task_goes_to_its_own_node(void **state)
{
    static const char *const names[] = { "n0", "n1", "n2", NULL };
    struct rig *r = *state;
    struct mu_decision d;
    uint64_t block, each;

    boxes(r, 3, 1000);
    block = rig_submit(r, (struct ask){ .node = "n1" });
    assert_int_equal(rig_place(r), 1);
    each = rig_submit(r, (struct ask){ .each = names });
    for (uint32_t i = 0; i < 3; i += 2) {
        assert_true(rig_decide(r, &d));
        assert_int_equal(d.node, i);
        assert_int_equal(d.ordinal, i);
    }
    assert_false(rig_decide(r, &d));
    rig_commit_all(r);
    rig_end(r, block, 0, 10, 0);
    assert_true(rig_decide(r, &d));
    assert_true(d.job == each && d.node == 1 && d.ordinal == 1);
    assert_false(rig_decide(r, &d));
}

static void each_node_with_max_parallel_rolls(void **state)
{
    static const char *const names[] = { "n0", "n1", "n2", NULL };
    struct rig *r = *state;
    struct mu_decision d;
    uint64_t each;

    boxes(r, 3, 1000);
    each = rig_submit(r, (struct ask){ .each = names, .max_parallel = 1 });
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(rig_decide(r, &d));
        assert_int_equal(d.ordinal, i);
        rig_commit_all(r);
        assert_false(rig_decide(r, &d));
        rig_end(r, each, i, 10, 0);
    }
    assert_false(rig_decide(r, &d));
}

static void named_resources_count(void **state)
{
    struct rig *r = *state;

    rig_node(r, (struct box){ "a", 8000, GIB });
    rig_node(r, (struct box){ "b", 8000, GIB, .lic = 2 });
    rig_submit(r, (struct ask){ .cpu_milli = 1000, .lic = 1, .tasks = 3 });
    assert_int_equal(rig_place(r), 1);
    assert_int_equal(rig_place(r), 1);
    assert_int_equal(rig_place(r), -1);
}

/* ---- placement ---- */

static void placement_follows_the_policy(void **state)
{
    static const struct {
        const char *policy;
        int want[4]; /* nodes of 2, 4, 8 cpus; tasks of 1 */
    } cases[] = {
        { "pack", { 0, 0, 1, 1 } },
        { "best-fit", { 0, 0, 1, 1 } },
        { "spread", { 2, 1, 2, 2 } }, /* left: 7/8; 6/8 = 3/4 to the first; 6/8; 5/8 */
        { "least-load", { 2, 1, 2, 2 } },
        { "round-robin", { 0, 1, 2, 0 } }, /* after node 2, which least-load chose last */
        { "dot", { 2, 2, 2, 2 } }, /* 8 7 6 5 of 8 free */
    };
    struct rig *r = *state;

    rig_node(r, (struct box){ "a", 2000, GIB });
    rig_node(r, (struct box){ "b", 4000, GIB });
    rig_node(r, (struct box){ "c", 8000, GIB });
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        rig_policy(r, "place", cases[i].policy, NULL);
        uint64_t job = rig_submit(r, (struct ask){ .tasks = 4 });
        for (int j = 0; j < 4; j++) {
            int got = rig_place(r);

            if (got != cases[i].want[j])
                fail_msg("%s, task %d: want %d, got %d", cases[i].policy, j, cases[i].want[j], got);
        }
        for (uint32_t j = 0; j < 4; j++)
            rig_end(r, job, j, 0, 0);
    }
}

static void a_job_may_have_a_policy_of_its_own(void **state)
{
    struct rig *r = *state;

    rig_node(r, (struct box){ "a", 2000, GIB });
    rig_node(r, (struct box){ "b", 4000, GIB });
    rig_submit(r, (struct ask){ .place = "spread" });
    rig_submit(r, (struct ask){ .place = "pack" });
    rig_submit(r, (struct ask){ 0 });
    assert_int_equal(rig_place(r), 1);
    assert_int_equal(rig_place(r), 0);
    assert_int_equal(rig_place(r), 0);
    for (uint32_t i = 0; mu_sched_policy_name("place", i, NULL); i++) {
        const char *name = mu_sched_policy_name("place", i, NULL);

        assert_int_equal(mu_sched_decisions_by(r->sched, i), strcmp(name, "pack") == 0 ? 2 : strcmp(name, "spread") == 0);
    }
    assert_int_equal(mu_sched_decisions(r->sched), 3);
}

static void slow_nodes_are_learned(void **state)
{
    struct rig *r = *state;
    uint64_t job = rig_submit(r, (struct ask){ .tasks = 200 });

    boxes(r, 2, 1000);
    rig_policy(r, "place", "least-response-time", NULL);
    for (uint32_t i = 0; i < 100; i += 2) { /* node 0 takes three times as long */
        assert_int_equal(rig_place_all(r), 2);
        for (uint32_t j = i; j < i + 2; j++)
            rig_end(r, job, j, mu_view_attempt(r->core, job, j)->node == 0 ? 30000 : 10000, 0);
    }
    for (uint32_t i = 100; i < 103; i++) {
        assert_int_equal(rig_place(r), 1);
        rig_end(r, job, i, 10000, 0);
    }
}

static void to_fail_fast_is_not_to_be_fast(void **state)
{
    struct rig *r = *state;
    uint64_t job = rig_submit(r, (struct ask){ .tasks = 200 });

    boxes(r, 2, 1000);
    rig_policy(r, "place", "least-response-time", NULL);
    for (uint32_t i = 0; i < 100; i += 2) {
        assert_int_equal(rig_place_all(r), 2);
        for (uint32_t j = i; j < i + 2; j++) {
            bool bad = mu_view_attempt(r->core, job, j)->node == 1;

            rig_end(r, job, j, bad ? 10 : i == 0 ? 20000 : 10000, bad);
        }
    }
    assert_int_equal(rig_place(r), 0);
}

/* ---- overlay ---- */

static void decisions_in_flight_hold_their_room(void **state)
{
    struct rig *r = *state;
    struct mu_decision a, b;
    uint64_t job;

    boxes(r, 1, 2000);
    job = rig_submit(r, (struct ask){ .tasks = 5 });
    assert_true(rig_decide(r, &a) && rig_decide(r, &b) && !rig_decide(r, &b));
    rig_apply(r, MU_EV_CANCEL, &(struct mu_ev_cancel){ .job = job, .first = 0, .count = 1 });
    assert_false(rig_decide(r, &b));
    rig_commit(r, 0); /* void: its task was cancelled */
    assert_true(rig_decide(r, &b));
    assert_int_equal(b.ordinal, 2);
}

static void a_reset_forgets_what_was_not_committed(void **state)
{
    struct rig *r = *state;
    struct mu_decision a, b;

    boxes(r, 1, 1000);
    rig_submit(r, (struct ask){ .tasks = 5 });
    assert_true(rig_decide(r, &a) && !rig_decide(r, &b));
    r->inflight_count = 0;
    mu_sched_reset(r->sched);
    assert_true(rig_decide(r, &b));
    assert_true(rig_same(&a, &b));
    r->inflight_count = 0;
    mu_sched_reset(r->sched);
    r->inflight[r->inflight_count++] = a; /* the old leader's entry was committed after all */
    rig_commit_all(r);
    assert_false(rig_decide(r, &b));
}

static void policies_are_checked_by_name_and_parameter(void **state)
{
    static const struct {
        const char *kind, *name, *param, *field;
    } cases[] = {
        { "order", "fifo", NULL, NULL },       { "order", "fifo", "guard=0s", NULL },     { "order", "fair", "halflife=1h", NULL },
        { "order", "fifo", "halflife=1h", "params" }, { "order", "fair", "halflife=0s", "halflife" }, { "order", "best", NULL, "name" },
        { "place", "pack", "speed=0", NULL },  { "place", "pack", "speed=x", "speed" },   { "place", "fifo", NULL, "name" },
        { "balance", "p2c", NULL, "kind" },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct mu_str word = mu_str_of(cases[i].param);
        struct mu_strs params = { &word, cases[i].param != NULL };
        struct mu_err err = { 0 };
        enum mu_rc rc = mu_sched_policy_check(mu_str_of(cases[i].kind), mu_str_of(cases[i].name), &params, &err);

        if ((rc == MU_OK) != (cases[i].field == NULL) || (cases[i].field && strcmp(err.field, cases[i].field) != 0))
            fail_msg("%s %s %s: rc %d, field %s", cases[i].kind, cases[i].name, cases[i].param ? cases[i].param : "", rc, err.field);
    }
    assert_string_equal(mu_sched_policy_name("order", 0, NULL), "fifo");
    assert_null(mu_sched_policy_name("order", 2, NULL));
    assert_null(mu_sched_policy_name("balance", 0, NULL));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_come_first_served_within_a_priority),
        TEST(a_small_task_passes_a_large_one_that_has_no_room),
        TEST(strict_order_lets_nobody_pass),
        TEST(strict_order_does_not_wait_for_the_impossible),
        TEST(a_starving_task_gets_a_node_kept_for_it),
        TEST(the_user_with_the_smaller_share_goes_first),
        TEST(weights_divide_shares),
        TEST(past_use_counts_and_fades),
        TEST(the_order_can_change_while_running),
        TEST(max_parallel_holds_also_for_work_in_flight),
        TEST(a_quota_holds_and_parks_only_its_user),
        TEST(held_jobs_wait),
        TEST(what_comes_after_goes_after),
        TEST(a_task_to_be_tried_again_goes_before_later_ones),
        TEST(nodes_that_are_not_up_take_nothing),
        TEST(labels_are_needed_and_wishes_are_wishes),
        TEST(a_node_that_is_named_is_waited_for),
        TEST(each_task_goes_to_its_own_node),
        TEST(each_node_with_max_parallel_rolls),
        TEST(named_resources_count),
        TEST(placement_follows_the_policy),
        TEST(a_job_may_have_a_policy_of_its_own),
        TEST(slow_nodes_are_learned),
        TEST(to_fail_fast_is_not_to_be_fast),
        TEST(decisions_in_flight_hold_their_room),
        TEST(a_reset_forgets_what_was_not_committed),
        TEST(policies_are_checked_by_name_and_parameter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
