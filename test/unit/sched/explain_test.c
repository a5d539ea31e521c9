/* test/unit/sched/explain_test.c -- a reason a test: what people read when they ask why. */
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

static void expect_text(const char *what, const char *got, const char *want)
{
    if (strcmp(got, want) != 0)
        fail_msg("%s\n want: %s\n  got: %s", what, want, got);
}

static struct mu_why expect(struct rig *r, uint64_t job, uint32_t ordinal, enum mu_why_kind kind, const char *text)
{
    struct mu_why why = rig_why(r, job, ordinal);

    expect_text("text", why.text, text);
    assert_int_equal(why.kind, kind);
    return why;
}

static void no_nodes(void **state)
{
    struct rig *r = *state;
    uint64_t job = rig_submit(r, (struct ask){ 0 });

    expect(r, job, 0, MU_WHY_NO_NODES, "no node has joined the cluster yet");
    rig_node(r, (struct box){ "a", 4000, GIB });
    rig_drain(r, 0, true);
    struct mu_why why = expect(r, job, 0, MU_WHY_NO_NODES, "no node that could hold it takes work now; a could, but it is draining");
    assert_int_equal(why.nodes_total, 1);
    assert_int_equal(why.nodes_allowed, 1);
    assert_int_equal(why.nodes_could, 0);
    assert_true(why.estimate_ms == UINT64_MAX);
}

static void held(void **state)
{
    struct rig *r = *state;
    uint64_t job = rig_submit(r, (struct ask){ .hold = true });

    expect(r, job, 0, MU_WHY_HELD, "the job is held; release it to let it run");
}

static void dependency(void **state)
{
    struct rig *r = *state;
    uint64_t first = rig_submit(r, (struct ask){ 0 }), job = rig_submit(r, (struct ask){ .after = first });

    expect(r, job, 0, MU_WHY_DEPENDENCY, "it waits for the end of job 1 (waiting)");
    rig_node(r, (struct box){ "a", 4000, GIB });
    rig_place_all(r);
    expect(r, job, 0, MU_WHY_DEPENDENCY, "it waits for the end of job 1 (running)");
}

static void backoff(void **state)
{
    struct rig *r = *state;
    uint64_t job = rig_submit(r, (struct ask){ .retries = 3, .backoff_ms = 10000 });

    rig_node(r, (struct box){ "a", 4000, GIB });
    rig_place_all(r);
    rig_end(r, job, 0, 10, 1);
    r->now_ms += 4000;
    struct mu_why why = expect(r, job, 0, MU_WHY_BACKOFF, "its last attempt failed; it pauses for another 6s before attempt 2");
    assert_int_equal(why.estimate_ms, 6000);
    expect_text("basis", why.basis, "the pause asked for, until 1970-01-01T00:16:50.000Z");
}

static void max_parallel(void **state)
{
    struct rig *r = *state;
    uint64_t job = rig_submit(r, (struct ask){ .tasks = 5, .max_parallel = 2 });

    rig_node(r, (struct box){ "a", 8000, GIB });
    rig_place_all(r);
    expect(r, job, 2, MU_WHY_MAX_PARALLEL, "2 of its group run, and its job asked for no more than 2 at a time");
}

static void quota(void **state)
{
    struct rig *r = *state;
    uint64_t job = rig_submit(r, (struct ask){ .user = "ann", .tasks = 5 });

    rig_quota(r, "ann", 2500, 1);
    rig_node(r, (struct box){ "a", 8000, GIB });
    rig_place_all(r);
    expect(r, job, 2, MU_WHY_QUOTA, "user ann has 2 cpus in use of the 2.5 allowed");
}

static void constraint(void **state)
{
    struct rig *r = *state;
    uint64_t job = rig_submit(r, (struct ask){ .label = "disk=fast" });

    rig_node(r, (struct box){ "a", 4000, GIB });
    rig_node(r, (struct box){ "b", 4000, GIB, .label = "disk=slow" });
    struct mu_why why = expect(r, job, 0, MU_WHY_CONSTRAINT, "no node has the labels it needs; the nearest, a, lacks disk=fast");
    expect_text("nearest", why.nearest, "node a lacks label disk=fast");
    assert_int_equal(why.nodes_total, 2);
    assert_int_equal(why.nodes_allowed, 0);
}

static void node_gone(void **state)
{
    struct rig *r = *state;
    uint64_t job = rig_submit(r, (struct ask){ .node = "b" });

    rig_node(r, (struct box){ "a", 4000, GIB });
    expect(r, job, 0, MU_WHY_NODE_GONE, "the only node allowed, b, has not joined");
    rig_node(r, (struct box){ "b", 4000, GIB });
    rig_apply(r, MU_EV_NODE_LOST, &(struct mu_ev_node_lost){ .node = 1, .why = MU_STR_LIT("silent") });
    expect(r, job, 0, MU_WHY_NODE_GONE, "the only node allowed, b, is down");
}

static void impossible(void **state)
{
    struct rig *r = *state;
    uint64_t job = rig_submit(r, (struct ask){ .cpu_milli = 16000, .mem_bytes = 4 * GIB });

    rig_node(r, (struct box){ "a", 4000, 8 * GIB });
    rig_node(r, (struct box){ "b", 12000, 4 * GIB });
    struct mu_why why = expect(r, job, 0, MU_WHY_IMPOSSIBLE, "no node is large enough: node b lacks 4 cpus even when empty");
    expect_text("nearest", why.nearest, "node b lacks 4 cpus even when empty");
    assert_int_equal(why.nodes_allowed, 2);
    assert_int_equal(why.nodes_could, 0);
}

/* Two nodes full of tasks of 2 cpus that run 60 s; asked after 30 s. */
static uint64_t fill(struct rig *r)
{
    uint64_t job;

    rig_node(r, (struct box){ "a", 4000, 4 * GIB });
    rig_node(r, (struct box){ "b", 5000, 4 * GIB });
    job = rig_submit(r, (struct ask){ .tasks = 6, .cpu_milli = 2000 });
    assert_int_equal(rig_place_all(r), 4);
    for (uint32_t i = 0; i < 4; i++)
        rig_started(r, job, i);
    return job;
}

static void resource(void **state)
{
    struct rig *r = *state;
    uint64_t running = fill(r), job = rig_submit(r, (struct ask){ .cpu_milli = 2500 });

    struct mu_why why = expect(r, job, 0, MU_WHY_RESOURCE, "no node has room for 2.5 cpus; 2 tasks go before it");
    expect_text("nearest", why.nearest, "node b lacks 1.5 cpus");
    expect_text("frees", why.frees, "task 1.2 on b, running 0ms, no task of its kind has ended yet");
    assert_true(why.estimate_ms == UINT64_MAX); /* nothing has ended: no basis */
    r->now_ms += 60000;
    rig_end(r, running, 0, 60000, 0);
    rig_end(r, running, 1, 60000, 0);
    rig_place_all(r); /* the rest of the array takes their room; b's two are as late as those */
    r->now_ms += 18000;
    why = expect(r, job, 0, MU_WHY_RESOURCE, "no node has room for 2.5 cpus");
    expect_text("nearest", why.nearest, "node b lacks 1.5 cpus");
    expect_text("frees", why.frees, "task 1.2 on b, running 1m18s, expected to end any moment");
    assert_int_equal(why.estimate_ms, 0);
    rig_end(r, running, 2, 60000, 0);
    rig_end(r, running, 3, 60000, 0);
    assert_int_equal(rig_place_all(r), 1);
    job = rig_submit(r, (struct ask){ .cpu_milli = 4000, .mem_bytes = GIB });
    why = expect(r, job, 0, MU_WHY_RESOURCE, "no node has room for 4 cpus and 1GiB of memory");
    expect_text("nearest", why.nearest, "node b lacks 1.5 cpus");
    expect_text("frees", why.frees, "task 2.0 on b, running 0ms, no task of its kind has ended yet");
}

static void order(void **state)
{
    struct rig *r = *state;
    uint64_t small, large;

    rig_node(r, (struct box){ "a", 4000, GIB });
    large = rig_submit(r, (struct ask){ .tasks = 3, .cpu_milli = 500 });
    small = rig_submit(r, (struct ask){ .cpu_milli = 100 });
    expect(r, large, 0, MU_WHY_NEXT, "it is next: it starts as soon as the server decides");
    expect(r, large, 1, MU_WHY_ORDER, "1 task goes before it by the order fifo");
    struct mu_why why = expect(r, small, 0, MU_WHY_ORDER, "3 tasks go before it by the order fifo");
    assert_int_equal(why.ahead, 3);
    assert_int_equal(why.nodes_could, 1);
}

static void strict_order(void **state)
{
    struct rig *r = *state;
    uint64_t job;

    rig_policy(r, "order", "fifo", "strict=1");
    rig_node(r, (struct box){ "a", 4000, GIB });
    rig_submit(r, (struct ask){ .cpu_milli = 3000 });
    rig_place_all(r);
    rig_submit(r, (struct ask){ .cpu_milli = 3000 });
    job = rig_submit(r, (struct ask){ 0 });
    assert_int_equal(rig_place(r), -1);
    expect(r, job, 0, MU_WHY_ORDER, "order is strict, and job 2 before it still waits for room");
}

static void decided_live_and_ended(void **state)
{
    struct rig *r = *state;
    struct mu_decision d;
    uint64_t job;

    rig_node(r, (struct box){ "a", 4000, GIB });
    rig_node(r, (struct box){ "b", 2000, GIB });
    job = rig_submit(r, (struct ask){ 0 });
    assert_true(rig_decide(r, &d));
    expect(r, job, 0, MU_WHY_NEXT, "it goes to node b; that is being written to the journal");
    rig_commit_all(r);
    expect(r, job, 0, MU_WHY_LIVE, "it is starting on node b (attempt 1); chosen by pack (score -4.5; next best a with -4.75)");
    rig_started(r, job, 0);
    expect(r, job, 0, MU_WHY_LIVE, "it is running on node b (attempt 1); chosen by pack (score -4.5; next best a with -4.75)");
    rig_end(r, job, 0, 10, 0);
    expect(r, job, 0, MU_WHY_ENDED,
           "it has ended: succeeded, on node b (attempt 1); chosen by pack (score -4.5; next best a with -4.75)");
    mu_sched_free(r->sched);
    r->sched = mu_sched_new(r->core, 1);
    expect(r, job, 0, MU_WHY_ENDED, "it has ended: succeeded; how its node was chosen is not remembered any more");
    expect(r, job, 7, MU_WHY_ENDED, "there is no such task");
}

static void cancelled(void **state)
{
    struct rig *r = *state;
    uint64_t job = rig_submit(r, (struct ask){ 0 });

    rig_apply(r, MU_EV_CANCEL, &(struct mu_ev_cancel){ .job = job });
    expect(r, job, 0, MU_WHY_ENDED, "it has ended: cancelled without having run");
}

static void the_node_was_given(void **state)
{
    static const char *const names[] = { "a", "b", NULL };
    struct rig *r = *state;
    uint64_t one, each;

    rig_node(r, (struct box){ "a", 4000, GIB });
    rig_node(r, (struct box){ "b", 500, GIB });
    one = rig_submit(r, (struct ask){ .node = "a" });
    each = rig_submit(r, (struct ask){ .each = names, .cpu_milli = 500 });
    uint64_t full = rig_submit(r, (struct ask){ .each = names, .cpu_milli = 500 });
    rig_place_all(r);
    expect(r, one, 0, MU_WHY_LIVE, "it is starting on node a (attempt 1); chosen by pack: the node was given");
    expect(r, each, 1, MU_WHY_LIVE, "it is starting on node b (attempt 1); chosen by pack: the node was given");
    struct mu_why why = expect(r, full, 1, MU_WHY_RESOURCE, "no node has room for 0.5 cpus");
    expect_text("nearest", why.nearest, "node b lacks 0.5 cpus");
    assert_int_equal(why.nodes_allowed, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_nodes), TEST(held), TEST(dependency), TEST(backoff), TEST(max_parallel), TEST(quota), TEST(constraint),
        TEST(node_gone), TEST(impossible), TEST(resource), TEST(order), TEST(strict_order), TEST(decided_live_and_ended),
        TEST(cancelled), TEST(the_node_was_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
