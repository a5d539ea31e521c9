/* The life of tasks: every move of the table, attempts, retries, losses. */
#include "unit/unit.h"

#include "world.h"

#include "core/state.h"

#include <sys/wait.h>
#include <unistd.h>

/* ---- the table ---- */

#define S(name) (1u << MU_TASK_##name)

/* Said once more, by hand. */
static const struct { const char *name; unsigned next; } lives[MU_TASK_STATES] = {
    [MU_TASK_BLOCKED]   = { "blocked", S(READY) | S(CANCELLED) },
    [MU_TASK_READY]     = { "ready", S(STARTING) | S(CANCELLED) },
    [MU_TASK_BACKOFF]   = { "backoff", S(READY) | S(CANCELLED) },
    [MU_TASK_STARTING]  = { "starting", S(RUNNING) | S(STOPPING) | S(READY) | S(BACKOFF) | S(SUCCEEDED) | S(FAILED) |
                                        S(CANCELLED) | S(LOST) },
    [MU_TASK_RUNNING]   = { "running", S(STOPPING) | S(READY) | S(BACKOFF) | S(SUCCEEDED) | S(FAILED) | S(CANCELLED) |
                                       S(LOST) },
    [MU_TASK_STOPPING]  = { "stopping", S(SUCCEEDED) | S(FAILED) | S(CANCELLED) },
    [MU_TASK_SUCCEEDED] = { "succeeded", 0 },
    [MU_TASK_FAILED]    = { "failed", S(BLOCKED) | S(READY) },
    [MU_TASK_CANCELLED] = { "cancelled", S(BLOCKED) | S(READY) },
    [MU_TASK_LOST]      = { "lost", S(BLOCKED) | S(READY) },
};

static void every_move_is_in_the_table(void **state)
{
    (void)state;
    for (uint32_t from = 0; from < MU_TASK_STATES; from++) {
        assert_string_equal(mu_task_state_name((enum mu_task_state)from), lives[from].name);
        for (uint32_t to = 0; to < MU_TASK_STATES; to++)
            assert_int_equal(mu_task_may((enum mu_task_state)from, (enum mu_task_state)to), lives[from].next >> to & 1);
    }
}

static bool move_survives(struct world *w, uint64_t job, enum mu_task_state from, enum mu_task_state to)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        struct mu_job *j = mu_job_find(w->core, job);
        fclose(stderr);
        mu_taskset_set(&j->groups[0].set, 0, from);
        mu_task_recount(w->core, j, MU_TASK_READY, from, 1);
        mu_task_move(w->core, j, 0, 0, 1, to);
        _exit(0);
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status);
}

static void an_illegal_move_stops_the_process(void **state)
{
    struct world w = { 0 };
    uint64_t job;

    (void)state;
    world_init(&w);
    job = world_array(&w, 2);
    for (uint32_t from = 0; from < MU_TASK_STATES; from++) {
        for (uint32_t to = 0; to < MU_TASK_STATES; to++)
            assert_int_equal(move_survives(&w, job, (enum mu_task_state)from, (enum mu_task_state)to),
                             mu_task_may((enum mu_task_state)from, (enum mu_task_state)to));
    }
    world_fini(&w);
}

/* ---- one after the other ---- */

static void add_trace(struct world *w, struct mu_buf *b)
{
    mu_buf_addz(b, "-\n");
    world_trace(w, b);
}

static void a_job_from_submit_to_end(void **state)
{
    struct world w = { 0 };
    struct mu_buf b = { 0 };
    uint64_t job;

    (void)state;
    world_init(&w);
    world_join(&w, "n1", "b1", 2000, 1 << 30);
    add_trace(&w, &b);
    job = world_array(&w, 2);
    add_trace(&w, &b);
    assert_true(world_place(&w, job, 0, 0));
    add_trace(&w, &b);
    world_start(&w, job, 0);
    add_trace(&w, &b);
    world_end(&w, job, 0, MU_END_EXIT, 0);
    add_trace(&w, &b);
    assert_true(world_place(&w, job, 1, 0));
    world_end(&w, job, 1, MU_END_SIGNAL, 9);
    add_trace(&w, &b);
    mu_buf_addc(&b, '\0');
    assert_string_equal((char *)b.at, "-\nreply ok\nnode 0\n"
                                      "-\nreply ok\njob 1\ngroup 1/0\n"
                                      "-\nstart 1.0 #1 on 0\ntask 1.0 #1 starting\n"
                                      "-\ntask 1.0 #1 running\njob 1\n"
                                      "-\nended 1.0 #1 on 0 exit: succeeded\nfreed 1.0 #1 on 0\ntask 1.0 #1 succeeded\n"
                                      "-\nended 1.1 #1 on 0 signal: failed\nfreed 1.1 #1 on 0\ntask 1.1 #1 failed\njob 1\n");
    assert_string_equal(world_job_state(&w, job), "failed");
    mu_buf_fini(&b);
    world_fini(&w);
}

/* ---- how an attempt ends, and what becomes of the task ---- */

static void an_end_decides(void **state)
{
    static const struct {
        const char *what;
        enum mu_end how;
        uint32_t code, retries;
        uint64_t backoff_ms;
        enum mu_task_state want;
    } cases[] = {
        { "exit 0",                    MU_END_EXIT,      0, 0, 0,   MU_TASK_SUCCEEDED },
        { "exit 1",                    MU_END_EXIT,      1, 0, 0,   MU_TASK_FAILED },
        { "exit 1, to be retried",     MU_END_EXIT,      1, 1, 0,   MU_TASK_READY },
        { "exit 1, after a pause",     MU_END_EXIT,      1, 1, 500, MU_TASK_BACKOFF },
        { "a signal",                  MU_END_SIGNAL,    9, 0, 0,   MU_TASK_FAILED },
        { "time is up: a failure",     MU_END_TIMEOUT,   0, 0, 0,   MU_TASK_FAILED },
        { "time is up, retried",       MU_END_TIMEOUT,   0, 1, 0,   MU_TASK_READY },
        { "out of memory: a failure",  MU_END_OOM,       0, 0, 0,   MU_TASK_FAILED },
        { "could not start",           MU_END_NOSTART,   2, 0, 0,   MU_TASK_FAILED },
        { "the node's fault",          MU_END_NODE_LOST, 0, 0, 500, MU_TASK_READY },
        { "preempted",                 MU_END_PREEMPT,   0, 0, 500, MU_TASK_READY },
        { "cancelled on the node",     MU_END_CANCEL,    0, 3, 0,   MU_TASK_CANCELLED },
        { "past its deadline",         MU_END_DEADLINE,  0, 3, 0,   MU_TASK_FAILED },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct world w = { 0 };
        struct mu_group_spec g = world_group(1);
        struct mu_job_spec spec = world_spec(&g, 1);
        world_init(&w);
        world_join(&w, "n1", "b1", 1000, 0);
        g.retries = cases[i].retries;
        g.backoff_ms = cases[i].backoff_ms;
        world_run(&w, world_submit(&w, &spec), 0, 0, cases[i].how, cases[i].code);
        if (world_task(&w, 1, 0) != cases[i].want)
            fail_msg("%s: %s", cases[i].what, mu_task_state_name(world_task(&w, 1, 0)));
        world_fini(&w);
    }
}

static void pauses_double(void **state)
{
    struct world w = { 0 };
    struct mu_group_spec g = world_group(1);
    struct mu_job_spec spec = world_spec(&g, 1);

    (void)state;
    world_init(&w);
    world_join(&w, "n1", "b1", 1000, 0);
    g.retries = 9;
    g.backoff_ms = 100;
    world_submit(&w, &spec);
    for (uint32_t n = 0; n < 9; n++) {
        uint64_t pause_ms = 100ull << (n < 6 ? n : 6);
        world_run(&w, 1, 0, 0, MU_END_EXIT, 1);
        assert_int_equal(world_task(&w, 1, 0), MU_TASK_BACKOFF);
        assert_int_equal(mu_view_backoff_until(w.core, 1, 0), w.now_ms + pause_ms);
        assert_int_equal(mu_core_wake_ms(w.core), w.now_ms + pause_ms);
        world_due(&w, w.now_ms + pause_ms - 1);
        assert_int_equal(world_task(&w, 1, 0), MU_TASK_BACKOFF);
        world_due(&w, w.now_ms + 1);
        assert_int_equal(world_task(&w, 1, 0), MU_TASK_READY);
        assert_int_equal(world_count(&w, MU_FX_GROUP), 1);
    }
    world_run(&w, 1, 0, 0, MU_END_EXIT, 1);
    assert_int_equal(world_task(&w, 1, 0), MU_TASK_FAILED); /* 9 retries are 10 attempts */
    assert_int_equal(mu_view_attempts(w.core, 1, 0), 10);
    world_fini(&w);
}

static void losses_have_a_count_of_their_own(void **state)
{
    struct world w = { 0 };
    struct mu_group_spec g = world_group(1);
    struct mu_job_spec spec = world_spec(&g, 1);

    (void)state;
    world_init(&w);
    world_join(&w, "n1", "b1", 1000, 0);
    g.retries = 1;
    world_submit(&w, &spec);
    world_run(&w, 1, 0, 0, MU_END_NODE_LOST, 0);
    world_run(&w, 1, 0, 0, MU_END_EXIT, 1); /* uses the retry */
    world_run(&w, 1, 0, 0, MU_END_NODE_LOST, 0);
    world_run(&w, 1, 0, 0, MU_END_NODE_LOST, 0);
    assert_int_equal(world_task(&w, 1, 0), MU_TASK_READY);
    world_run(&w, 1, 0, 0, MU_END_NODE_LOST, 0); /* one more than may be */
    assert_int_equal(world_task(&w, 1, 0), MU_TASK_LOST);
    assert_string_equal(world_job_state(&w, 1), "lost");
    world_fini(&w);
}

/* ---- words about an attempt that is not the present one ---- */

static void stale_words_change_nothing(void **state)
{
    struct world w = { 0 };
    struct mu_group_spec g = world_group(2);
    struct mu_job_spec spec = world_spec(&g, 1);
    static const struct mu_ev_ended stale[] = {
        { .job = 1, .ordinal = 0, .attempt = 1 }, { .job = 1, .ordinal = 0, .attempt = 3 }, { .job = 1, .ordinal = 1, .attempt = 1 },
        { .job = 1, .ordinal = 7, .attempt = 1 }, { .job = 2, .ordinal = 0, .attempt = 2 }, { .job = 1, .ordinal = 0 },
        { .job = 1, .ordinal = 0, .attempt = 2, .how = MU_ENDS }, { .job = UINT64_MAX, .ordinal = UINT32_MAX, .attempt = 2 },
    };

    (void)state;
    world_init(&w);
    world_join(&w, "n1", "b1", 1000, 0);
    g.retries = 1;
    world_submit(&w, &spec);
    world_run(&w, 1, 0, 0, MU_END_EXIT, 1);
    assert_true(world_place(&w, 1, 0, 0)); /* attempt 2 */
    for (size_t i = 0; i < MU_COUNT(stale); i++) {
        struct mu_ev_started started = { stale[i].job, stale[i].ordinal, stale[i].attempt, 5 };
        world_apply(&w, MU_EV_ENDED, &stale[i]);
        assert_int_equal(w.fx.count, 0);
        if (stale[i].attempt != 2 || stale[i].job != 1) {
            world_apply(&w, MU_EV_STARTED, &started);
            assert_int_equal(w.fx.count, 0);
        }
    }
    world_start(&w, 1, 0);
    world_start(&w, 1, 0); /* said twice */
    assert_int_equal(w.fx.count, 0);
    world_end(&w, 1, 0, MU_END_EXIT, 0);
    world_end(&w, 1, 0, MU_END_EXIT, 1);
    assert_int_equal(w.fx.count, 0);
    assert_int_equal(world_task(&w, 1, 0), MU_TASK_SUCCEEDED);
    world_fini(&w);
}

/* ---- placements that do not hold any more ---- */

static void refuse(struct world *w, const char *what, struct mu_ev_placed ev, uint32_t shape)
{
    const struct mu_fx *fx;

    world_apply(w, MU_EV_PLACED, &ev);
    fx = world_find(w, MU_FX_UNPLACED);
    if (fx == NULL || w->fx.count != 1)
        fail_msg("%s: placed", what);
    assert_int_equal(fx->job, ev.job);
    assert_int_equal(fx->ordinal, ev.ordinal);
    assert_int_equal(fx->node, ev.node);
    assert_int_equal(fx->shape, shape);
}

static void a_placement_must_hold(void **state)
{
    struct world w = { 0 };
    struct mu_group_spec g = world_group(3);
    struct mu_job_spec spec = world_spec(&g, 1);
    static struct mu_str label[] = { { "zone=a", 6 } };

    (void)state;
    world_init(&w);
    world_join(&w, "n0", "b1", 1500, 0);
    world_join(&w, "n1", "b1", 4000, 0);
    world_join(&w, "n2", "b1", 4000, 0);
    g.max_parallel = 1;
    world_submit(&w, &spec);
    refuse(&w, "no such job", (struct mu_ev_placed){ 9, 0, 1, 0 }, MU_SHAPE_NONE);
    refuse(&w, "no such task", (struct mu_ev_placed){ 1, 3, 1, 0 }, MU_SHAPE_NONE);
    refuse(&w, "no such node", (struct mu_ev_placed){ 1, 0, 1, 3 }, 0);
    refuse(&w, "not its next attempt", (struct mu_ev_placed){ 1, 0, 2, 0 }, 0);
    refuse(&w, "not its next attempt", (struct mu_ev_placed){ 1, 0, 0, 0 }, 0);
    assert_true(world_place(&w, 1, 0, 0));
    refuse(&w, "placed already", (struct mu_ev_placed){ 1, 0, 1, 0 }, 0);
    refuse(&w, "one at a time", (struct mu_ev_placed){ 1, 1, 1, 1 }, 0);
    g.max_parallel = 0;
    world_submit(&w, &spec);
    refuse(&w, "no room", (struct mu_ev_placed){ 2, 1, 1, 0 }, 0);
    world_apply(&w, MU_EV_HOLD, &(struct mu_ev_hold){ .job = 2, .hold = true });
    refuse(&w, "held", (struct mu_ev_placed){ 2, 1, 1, 1 }, 0);
    world_apply(&w, MU_EV_HOLD, &(struct mu_ev_hold){ .job = 2 });
    world_apply(&w, MU_EV_NODE_SET, &(struct mu_ev_node_set){ .node = 1, .set_drain = true, .drain = true });
    refuse(&w, "draining", (struct mu_ev_placed){ 2, 1, 1, 1 }, 0);
    world_apply(&w, MU_EV_NODE_LOST, &(struct mu_ev_node_lost){ .node = 1 });
    refuse(&w, "down", (struct mu_ev_placed){ 2, 1, 1, 1 }, 0);
    world_cancel(&w, 2);
    refuse(&w, "cancelled", (struct mu_ev_placed){ 2, 1, 1, 2 }, 0);
    g.labels = (struct mu_strs){ label, 1 };
    world_submit(&w, &spec);
    refuse(&w, "not its kind of node", (struct mu_ev_placed){ 3, 0, 1, 2 }, 1);
    g.labels.count = 0;
    g.node = mu_str_of("n0");
    world_submit(&w, &spec);
    refuse(&w, "not its node", (struct mu_ev_placed){ 4, 0, 1, 2 }, 2);
    world_fini(&w);
}

/* The sum of what is placed never passes what a node has, in any resource. */
static void the_ledger_is_never_overdrawn(void **state)
{
    struct world w = { 0 };
    struct mu_amount lic = { { "lic", 3 }, 2 }, one = { { "lic", 3 }, 1 };
    struct mu_ev_node_join join = { .name = mu_str_of("n0"), .boot = mu_str_of("b"), .cpu_milli = 8000, .mem_bytes = 1000,
                                    .gpu_milli = 1500, .resources = &lic, .resources_count = 1 };
    static const struct { uint64_t cpu, mem, gpu; bool lic; uint32_t fit; } cases[] = {
        { 1000, 0, 0, false, 8 }, { 3000, 0, 0, false, 2 }, { 0, 300, 0, false, 3 }, { 0, 0, 500, false, 3 },
        { 100, 1, 100, true, 2 }, { 0, 0, 0, false, 20 }, { 8000, 1000, 1500, true, 1 },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct mu_group_spec g = world_group(20);
        struct mu_job_spec spec = world_spec(&g, 1);
        uint32_t fit = 0;
        world_init(&w);
        world_apply(&w, MU_EV_NODE_JOIN, &join);
        g.cpu_milli = cases[i].cpu;
        g.mem_bytes = cases[i].mem;
        g.gpu_milli = cases[i].gpu;
        g.resources = &one;
        g.resources_count = cases[i].lic;
        world_submit(&w, &spec);
        while (fit < 20 && world_place(&w, 1, fit, 0))
            fit++;
        assert_int_equal(fit, cases[i].fit);
        assert_int_equal(mu_view_node(w.core, 0)->used.amount[MU_RES_CPU], fit * cases[i].cpu);
        world_end(&w, 1, 0, MU_END_EXIT, 0);
        assert_int_equal(mu_view_node(w.core, 0)->used.amount[MU_RES_CPU], (fit - 1) * cases[i].cpu);
        world_fini(&w);
    }
}

/* ---- enough failures end a group ---- */

static void a_group_is_given_up(void **state)
{
    static const struct { uint32_t number, milli, failures; } cases[] = {
        { 1, 0, 1 }, { 3, 0, 3 }, { 0, 200, 2 }, { 0, 250, 3 }, { 4, 100, 1 }, { 0, 1000, 10 },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct world w = { 0 };
        struct mu_group_spec g = world_group(10);
        struct mu_job_spec spec = world_spec(&g, 1);
        struct mu_job_view view;
        world_init(&w);
        world_join(&w, "n0", "b1", 4000, 0);
        g.abort_after = cases[i].number;
        g.abort_after_milli = cases[i].milli;
        g.retries = 0;
        world_submit(&w, &spec);
        if (cases[i].failures < 9)
            assert_true(world_place(&w, 1, 9, 0)); /* lives on */
        for (uint32_t n = 0; n < cases[i].failures; n++) {
            assert_int_equal(world_task(&w, 1, 9 - (cases[i].failures < 9)), MU_TASK_READY);
            world_run(&w, 1, n, 0, MU_END_EXIT, 1);
        }
        assert_true(mu_view_job(w.core, 1, &view));
        assert_int_equal(view.count[MU_TASK_READY], 0);
        assert_int_equal(view.count[MU_TASK_FAILED], cases[i].failures);
        if (cases[i].failures < 9) {
            assert_int_equal(world_find(&w, MU_FX_ENDED)[0].how, MU_END_EXIT);
            assert_int_equal(view.count[MU_TASK_CANCELLED], 9 - cases[i].failures);
            world_end(&w, 1, 9, MU_END_EXIT, 0);
        }
        assert_string_equal(world_job_state(&w, 1), "failed");
        world_fini(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_move_is_in_the_table),
        cmocka_unit_test(an_illegal_move_stops_the_process),
        cmocka_unit_test(a_job_from_submit_to_end),
        cmocka_unit_test(an_end_decides),
        cmocka_unit_test(pauses_double),
        cmocka_unit_test(losses_have_a_count_of_their_own),
        cmocka_unit_test(stale_words_change_nothing),
        cmocka_unit_test(a_placement_must_hold),
        cmocka_unit_test(the_ledger_is_never_overdrawn),
        cmocka_unit_test(a_group_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
