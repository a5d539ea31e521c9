/* agent/agent.c as transcripts: what goes in, and what comes out because of it. */
#include "agent/agent.h"
#include "base/assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct rig {
    struct mu_agent *agent;
    struct mu_buf log;
    struct mu_arena arena;
    uint64_t now_ms, epoch;
    uint64_t last_id;
    bool quiet;
};

static const uint8_t cluster[16] = { 7 }, other_cluster[16] = { 8 };

static void log_report(struct rig *r, const struct mu_msg_report *m)
{
    mu_buf_printf(&r->log, " report#%u", (unsigned)m->seq);
    for (uint32_t i = 0; i < m->started_count; i++)
        mu_buf_printf(&r->log, " run %u.%u/%u", (unsigned)m->started[i].job, m->started[i].ordinal, m->started[i].attempt);
    for (uint32_t i = 0; i < m->ended_count; i++)
        mu_buf_printf(&r->log, " end %u.%u/%u how %u code %u", (unsigned)m->ended[i].job, m->ended[i].ordinal,
                      m->ended[i].attempt, m->ended[i].how, m->ended[i].code);
    mu_buf_addz(&r->log, ";");
}

static void on_send(void *arg, const void *bytes, size_t size)
{
    struct rig *r = arg;
    struct mu_msg m;
    size_t used;

    assert_int_equal(mu_frame_take(bytes, size, &used, &m, &r->arena, NULL), MU_OK);
    assert_int_equal(used, size);
    assert_int_equal(mu_msg_sender(m.type), 'A');
    if (r->quiet)
        return;
    if (m.type == MU_MSG_REPORT) {
        log_report(r, &m.report);
    } else if (m.type == MU_MSG_HELLO) {
        mu_buf_printf(&r->log, " hello boot " MU_STR_FMT, MU_STR_ARG(m.hello.boot));
        for (uint32_t i = 0; i < m.hello.attempts_count; i++)
            mu_buf_printf(&r->log, " %u.%u/%u=%s", (unsigned)m.hello.attempts[i].job, m.hello.attempts[i].ordinal,
                          m.hello.attempts[i].attempt, mu_task_state_text(m.hello.attempts[i].state));
        mu_buf_addz(&r->log, ";");
    } else if (m.type == MU_MSG_PING) {
        mu_buf_printf(&r->log, " ping running %u;", m.ping.running);
    }
}
static void on_spawn(void *arg, const struct mu_agent_spawn *s)
{
    struct rig *r = arg;

    r->last_id = s->id;
    if (s->lane > 0)
        mu_buf_printf(&r->log, " spawn %u.%u lane %u max %u;", (unsigned)s->job, s->ordinal, s->lane, s->lane_max);
    else if (!r->quiet)
        mu_buf_printf(&r->log, " spawn %u.%u/%u index %u of %u-%u;", (unsigned)s->job, s->ordinal, s->attempt,
                      (unsigned)s->index, (unsigned)s->first, (unsigned)s->last);
}
static void on_kill(void *arg, uint64_t id, int signal, enum mu_end why)
{
    struct rig *r = arg;

    mu_buf_printf(&r->log, " kill %u with %d for %s;", (unsigned)id, signal, mu_end_text(why));
}
static void on_lane(void *arg, uint32_t lane, uint32_t max)
{
    struct rig *r = arg;

    mu_buf_printf(&r->log, " lane %u max %u;", lane, max);
}
static void on_forget(void *arg, uint64_t id)
{
    struct rig *r = arg;

    if (!r->quiet)
        mu_buf_printf(&r->log, " forget %u;", (unsigned)id);
}
static void on_identity(void *arg, const uint8_t id[16], uint64_t epoch)
{
    struct rig *r = arg;

    mu_buf_printf(&r->log, " store cluster %u epoch %u;", id[0], (unsigned)epoch);
}
static void on_lease(void *arg, uint64_t dead_ms)
{
    struct rig *r = arg;

    if (!r->quiet)
        mu_buf_printf(&r->log, " dead by %lld;", dead_ms == UINT64_MAX ? -1 : (long long)dead_ms);
}
static void on_output(void *arg, const struct mu_msg *msg)
{
    struct rig *r = arg;

    mu_buf_printf(&r->log, " %s;", mu_msg_name(msg->type));
}
static void on_drop(void *arg, const char *why, bool final)
{
    struct rig *r = arg;

    mu_buf_printf(&r->log, " drop%s: %s;", final ? " for good" : "", why);
}

static void rig_init(struct rig *r, struct mu_agent_options opt)
{
    struct mu_agent_out out = { .arg = r, .send = on_send, .spawn = on_spawn, .lane = on_lane, .kill = on_kill, .forget = on_forget,
                                .identity = on_identity, .lease = on_lease, .output = on_output, .drop = on_drop };

    *r = (struct rig){ .epoch = 5 };
    opt.name = "n1";
    opt.version = "1";
    opt.boot = "b1";
    opt.limits = "";
    r->agent = mu_agent_new(&opt, &out);
}
static void rig_fini(struct rig *r)
{
    mu_agent_check(r->agent);
    mu_agent_free(r->agent);
    mu_buf_fini(&r->log);
    mu_arena_fini(&r->arena);
}
static void turn(struct rig *r)
{
    mu_agent_turn(r->agent, r->now_ms, NULL);
    mu_agent_check(r->agent);
}
static void at(struct rig *r, uint64_t now_ms)
{
    r->now_ms = now_ms;
    mu_buf_printf(&r->log, "%s[%u]", r->log.size > 0 ? "\n" : "", (unsigned)now_ms);
}
static void tell(struct rig *r, struct mu_msg msg)
{
    struct mu_err err = { 0 };

    msg.epoch = r->epoch;
    if (!mu_agent_msg(r->agent, r->now_ms, &msg, &err))
        mu_buf_printf(&r->log, " broken: %s;", err.text);
    turn(r);
}
static void up(struct rig *r)
{
    mu_agent_on_up(r->agent, r->now_ms);
}
static void down(struct rig *r)
{
    mu_agent_on_down(r->agent, r->now_ms);
    turn(r);
}
static void welcome(struct rig *r, const uint8_t id[16])
{
    tell(r, (struct mu_msg){ .type = MU_MSG_WELCOME, .welcome = { .cluster = { (const char *)id, 16 }, .lease_ms = 1000 } });
}
static void spec(struct rig *r, uint64_t job, uint64_t timeout_ms, uint64_t grace_ms)
{
    struct mu_group_spec g = { .tasks = 4, .array_first = 10, .array_step = 2, .timeout_ms = timeout_ms, .grace_ms = grace_ms };
    struct mu_buf b = { 0 };

    mu_pb_put(&b, &mu_group_spec_pb, &g);
    tell(r, (struct mu_msg){ .type = MU_MSG_SPEC, .spec = { .job = job, .spec = mu_buf_str(&b), .tasks = 4 } });
    mu_buf_fini(&b);
}
static void start(struct rig *r, uint64_t job, uint32_t ordinal, uint32_t attempt)
{
    struct mu_start s = { .job = job, .ordinal = ordinal, .attempt = attempt, .index = 10 + 2 * ordinal };

    tell(r, (struct mu_msg){ .type = MU_MSG_START, .start = { .tasks = &s, .tasks_count = 1 } });
}
static void stop(struct rig *r, uint64_t job, uint32_t ordinal, uint32_t attempt, enum mu_end how)
{
    struct mu_stop s = { .job = job, .ordinal = ordinal, .attempt = attempt, .how = how };

    tell(r, (struct mu_msg){ .type = MU_MSG_STOP, .stop = { .tasks = &s, .tasks_count = 1 } });
}
static void ack(struct rig *r, uint64_t seq)
{
    tell(r, (struct mu_msg){ .type = MU_MSG_ACK, .ack = { .seq = seq } });
}
static void pong(struct rig *r, uint64_t sent_ms)
{
    tell(r, (struct mu_msg){ .type = MU_MSG_PONG, .pong = { .sent_us = sent_ms * 1000 } });
}
static void started(struct rig *r, uint64_t id)
{
    mu_agent_on_started(r->agent, r->now_ms, id);
    turn(r);
}
static void ended(struct rig *r, uint64_t id, enum mu_end how, uint32_t code)
{
    mu_agent_on_exit(r->agent, r->now_ms, &(struct mu_agent_exit){ .id = id, .how = how, .code = code });
    turn(r);
}
/* Connected, with job 1's spec. */
static void ready(struct rig *r, struct mu_agent_options opt, uint64_t timeout_ms, uint64_t grace_ms)
{
    rig_init(r, opt);
    up(r);
    welcome(r, cluster);
    spec(r, 1, timeout_ms, grace_ms);
    mu_buf_clear(&r->log);
}
static void expect(struct rig *r, const char *want)
{
    mu_buf_addc(&r->log, '\0');
    assert_string_equal((const char *)r->log.at, want);
    rig_fini(r);
}

static void a_task_runs_and_is_acknowledged(void **state)
{
    struct rig r;

    (void)state;
    rig_init(&r, (struct mu_agent_options){ 0 });
    at(&r, 0), up(&r), welcome(&r, cluster), spec(&r, 1, 0, 0);
    at(&r, 1), start(&r, 1, 2, 1);
    at(&r, 2), started(&r, 1);
    at(&r, 3), ended(&r, 1, MU_END_EXIT, 3);
    at(&r, 4), ack(&r, 2);
    assert_int_equal(mu_agent_attempts(r.agent), 0);
    expect(&r, "[0] hello boot b1; store cluster 7 epoch 5; dead by 900;\n"
               "[1] spawn 1.2/1 index 14 of 10-16;\n"
               "[2] report#1 run 1.2/1;\n"
               "[3] report#2 end 1.2/1 how 0 code 3;\n"
               "[4] forget 1;");
}

static void started_and_ended_in_one_batch_is_one_report(void **state)
{
    struct rig r;

    (void)state;
    ready(&r, (struct mu_agent_options){ 0 }, 0, 0);
    start(&r, 1, 0, 1);
    mu_agent_on_started(r.agent, 1, 1);
    ended(&r, 1, MU_END_EXIT, 0);
    expect(&r, " spawn 1.0/1 index 10 of 10-16; report#1 end 1.0/1 how 0 code 0;");
}

static void a_start_is_done_once(void **state)
{
    struct rig r;

    (void)state;
    ready(&r, (struct mu_agent_options){ 0 }, 0, 0);
    at(&r, 1), start(&r, 1, 0, 2), start(&r, 1, 0, 2);
    at(&r, 2), ended(&r, 1, MU_END_EXIT, 0), start(&r, 1, 0, 2);
    at(&r, 3), ack(&r, 1), start(&r, 1, 0, 2);
    at(&r, 4), start(&r, 1, 0, 1);
    at(&r, 5), start(&r, 1, 0, 3), start(&r, 1, 0, 2);
    expect(&r, "[1] spawn 1.0/2 index 10 of 10-16;\n"
               "[2] report#1 end 1.0/2 how 0 code 0;\n"
               "[3] forget 1; report#2 end 1.0/2 how 6 code 0;\n" /* acknowledged before: answered, not run */
               "[4] report#3 end 1.0/1 how 6 code 0;\n"           /* an attempt from before that */
               "[5] spawn 1.0/3 index 10 of 10-16;");
}

static void results_are_repeated_until_acknowledged(void **state)
{
    struct rig r;

    (void)state;
    ready(&r, (struct mu_agent_options){ 0 }, 0, 0);
    at(&r, 1), start(&r, 1, 0, 1), start(&r, 1, 1, 1), start(&r, 1, 2, 1), started(&r, 3);
    at(&r, 2), ended(&r, 1, MU_END_EXIT, 0), ended(&r, 2, MU_END_SIGNAL, 9);
    at(&r, 3), ack(&r, 2), down(&r);
    at(&r, 4), up(&r), welcome(&r, cluster);
    at(&r, 5), ack(&r, 1);
    expect(&r, "[1] spawn 1.0/1 index 10 of 10-16; spawn 1.1/1 index 12 of 10-16; spawn 1.2/1 index 14 of 10-16;"
               " report#1 run 1.2/1;\n"
               "[2] report#2 end 1.0/1 how 0 code 0; report#3 end 1.1/1 how 1 code 9;\n"
               "[3] forget 1;\n"
               "[4] hello boot b1 1.2/1=running 1.1/1=failed; dead by 904;"
               " report#1 run 1.2/1 end 1.1/1 how 1 code 9;\n"
               "[5] forget 2;");
}

static void stop_names_the_attempt(void **state)
{
    struct rig r;

    (void)state;
    ready(&r, (struct mu_agent_options){ 0 }, 0, 100);
    at(&r, 1), start(&r, 1, 0, 2), started(&r, 1);
    at(&r, 2), stop(&r, 1, 0, 1, MU_END_CANCEL);
    at(&r, 3), stop(&r, 1, 0, 2, MU_END_CANCEL), stop(&r, 1, 0, 2, MU_END_DEADLINE);
    at(&r, 102), turn(&r);
    at(&r, 103), turn(&r);
    at(&r, 104), ended(&r, 1, MU_END_SIGNAL, 9), stop(&r, 1, 0, 2, MU_END_CANCEL);
    expect(&r, "[1] spawn 1.0/2 index 10 of 10-16; report#1 run 1.0/2;\n"
               "[2] report#2 end 1.0/1 how 3 code 0;\n" /* never came here: answered, the other one goes on */
               "[3] kill 1 with 15 for cancel;\n"
               "[102]\n"
               "[103] kill 1 with 9 for cancel;\n"
               "[104] report#3 end 1.0/2 how 3 code 9;");
}

static void a_stopped_stranger_never_starts(void **state)
{
    struct rig r;

    (void)state;
    ready(&r, (struct mu_agent_options){ 0 }, 0, 0);
    stop(&r, 1, 3, 1, MU_END_CANCEL);
    start(&r, 1, 3, 1);
    expect(&r, " report#1 end 1.3/1 how 3 code 0;");
}

static void a_time_limit_ends_as_timeout(void **state)
{
    struct rig r;

    (void)state;
    ready(&r, (struct mu_agent_options){ 0 }, 50, 20);
    at(&r, 1), start(&r, 1, 0, 1);
    at(&r, 5), started(&r, 1);
    assert_int_equal(mu_agent_wake_ms(r.agent), 55);
    at(&r, 54), turn(&r);
    at(&r, 55), turn(&r);
    assert_int_equal(mu_agent_wake_ms(r.agent), 75);
    at(&r, 75), turn(&r);
    at(&r, 76), ended(&r, 1, MU_END_SIGNAL, 9);
    expect(&r, "[1] spawn 1.0/1 index 10 of 10-16;\n"
               "[5] report#1 run 1.0/1;\n"
               "[54]\n"
               "[55] kill 1 with 15 for timeout;\n"
               "[75] kill 1 with 9 for timeout;\n"
               "[76] report#2 end 1.0/1 how 2 code 9;");
}

static void the_lease_runs_from_the_answered_ping(void **state)
{
    struct rig r;

    (void)state;
    ready(&r, (struct mu_agent_options){ 0 }, 0, 5000);
    at(&r, 1), start(&r, 1, 0, 1), started(&r, 1);
    at(&r, 200), turn(&r);
    at(&r, 390), pong(&r, 200);   /* a late answer counts from when its ping was sent */
    at(&r, 400), turn(&r);
    at(&r, 700), turn(&r);        /* half a lease of silence: another server */
    at(&r, 701), down(&r), up(&r);
    at(&r, 999), turn(&r);
    assert_int_equal(mu_agent_wake_ms(r.agent), 1000); /* not yet the time to give up on the other server */
    at(&r, 1000), turn(&r);       /* 200 + 0.8 lease */
    assert_int_equal(mu_agent_wake_ms(r.agent), 1100);
    at(&r, 1100), turn(&r);       /* 200 + 0.9 lease, whatever the grace */
    at(&r, 1101), ended(&r, 1, MU_END_SIGNAL, 9);
    assert_int_equal(mu_agent_wake_ms(r.agent), 701 + 5000);
    at(&r, 5701), turn(&r);
    expect(&r, "[1] spawn 1.0/1 index 10 of 10-16; report#1 run 1.0/1;\n"
               "[200] ping running 1;\n"
               "[390] dead by 1100;\n"
               "[400] ping running 1;\n"
               "[700] drop: the server does not answer;\n"
               "[701] hello boot b1 1.0/1=running;\n"
               "[999]\n"
               "[1000] kill 1 with 15 for node-lost;\n"
               "[1100] kill 1 with 9 for node-lost;\n"
               "[1101]\n"
               "[5701] drop: the server does not answer;");
}

static void a_kept_node_is_not_fenced(void **state)
{
    struct rig r;

    (void)state;
    ready(&r, (struct mu_agent_options){ .keep = true }, 0, 0);
    at(&r, 1), start(&r, 1, 0, 1), started(&r, 1);
    at(&r, 400), down(&r);
    assert_true(mu_agent_wake_ms(r.agent) == UINT64_MAX);
    at(&r, 9000), turn(&r), up(&r), welcome(&r, cluster);
    expect(&r, "[1] spawn 1.0/1 index 10 of 10-16; report#1 run 1.0/1;\n"
               "[400]\n"
               "[9000] hello boot b1 1.0/1=running; dead by -1; report#1 run 1.0/1;");
}

static void work_after_the_lease_is_refused(void **state)
{
    struct rig r;
    struct mu_start s = { .job = 1, .attempt = 1 };
    struct mu_msg msg = { .type = MU_MSG_START, .epoch = 5, .start = { .tasks = &s, .tasks_count = 1 } };

    (void)state;
    ready(&r, (struct mu_agent_options){ 0 }, 0, 0);
    assert_true(mu_agent_msg(r.agent, 800, &msg, NULL)); /* before any turn could see that time has passed */
    expect(&r, " drop: work came after the lease had run out;");
}

static void foreign_and_old_servers_are_refused(void **state)
{
    struct rig r;

    (void)state;
    rig_init(&r, (struct mu_agent_options){ .epoch = 5, .cluster = { 7 } });
    at(&r, 1), up(&r), welcome(&r, other_cluster), start(&r, 1, 0, 1), down(&r);
    r.epoch = 4;
    at(&r, 2), up(&r), welcome(&r, cluster), down(&r);
    at(&r, 3), up(&r);
    tell(&r, (struct mu_msg){ .type = MU_MSG_REFUSE, .refuse = { MU_STR_LIT("denied"), MU_STR_LIT("no"), true } });
    down(&r);
    r.epoch = 6;
    at(&r, 4), up(&r), welcome(&r, cluster), spec(&r, 1, 0, 10), start(&r, 1, 0, 1);
    r.epoch = 5;
    at(&r, 5), stop(&r, 1, 0, 1, MU_END_CANCEL), down(&r);
    r.epoch = 7;
    at(&r, 6), up(&r), tell(&r, (struct mu_msg){ .type = MU_MSG_REFUSE, .refuse = { MU_STR_LIT("denied"), MU_STR_LIT("no"), true } });
    assert_int_equal(mu_agent_running(r.agent), 1);
    expect(&r, "[1] hello boot b1; drop: the server belongs to another cluster;\n"
               "[2] hello boot b1; drop: the server's epoch is over;\n"
               "[3] hello boot b1; drop: denied: no;\n" /* a lower epoch cannot make it give up */
               "[4] hello boot b1; store cluster 7 epoch 6; dead by 904; spawn 1.0/1 index 10 of 10-16;\n"
               "[5] drop: the server's epoch is over;\n"
               "[6] hello boot b1 1.0/1=starting; drop for good: denied: no;");
}

static void what_breaks_the_protocol(void **state)
{
    struct mu_stop bad_stop = { .job = 1, .how = MU_END_EXIT };
    struct mu_start no_spec = { .job = 99, .attempt = 1 };
    const struct { const char *what; struct mu_msg msg; const char *want; } cases[] = {
        { "a second WELCOME", { .type = MU_MSG_WELCOME }, " broken: welcome is out of place;" },
        { "an agent's message", { .type = MU_MSG_HELLO }, " broken: hello is out of place;" },
        { "an ACK from nowhere", { .type = MU_MSG_ACK, .ack = { 9 } }, " broken: ACK of a report that was not made;" },
        { "a PONG from the future", { .type = MU_MSG_PONG, .pong = { 99000 } }, " broken: PONG for a ping that was not sent;" },
        { "a STOP that is an exit", { .type = MU_MSG_STOP, .stop = { &bad_stop, 1 } }, " broken: STOP with the end 0;" },
        { "a damaged spec", { .type = MU_MSG_SPEC, .spec = { .job = 2, .spec = MU_STR_LIT("\xff") } }, " broken: SPEC of job 2 is damaged;" },
        { "a START without spec", { .type = MU_MSG_START, .start = { &no_spec, 1 } }, " drop: work of a group came without its spec;" },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct rig r;

        ready(&r, (struct mu_agent_options){ 0 }, 0, 0);
        tell(&r, cases[i].msg);
        start(&r, 1, 0, 1); /* after it nothing is obeyed */
        print_message("%s\n", cases[i].what); /* which one, when it fails */
        expect(&r, cases[i].want);
    }
}

static void a_restarted_agent_adopts(void **state)
{
    static const struct mu_agent_exit gone = { .id = 8, .how = MU_END_EXIT, .code = 1 };
    static const struct mu_agent_task tasks[] = {
        { .id = 7, .job = 1, .ordinal = 0, .attempt = 1, .timeout_left_ms = 30, .grace_ms = 10, .started_ago_ms = 500 },
        { .id = 8, .job = 1, .ordinal = 1, .attempt = 2, .exit = &gone },
        { .id = 9, .job = 1, .ordinal = 2, .attempt = 1, .grace_ms = 10, .stop = MU_END_CANCEL },
    };
    struct rig r;

    (void)state;
    rig_init(&r, (struct mu_agent_options){ 0 });
    at(&r, 1000);
    for (size_t i = 0; i < MU_COUNT(tasks); i++)
        mu_agent_adopt(r.agent, r.now_ms, &tasks[i]);
    mu_agent_adopt(r.agent, r.now_ms, &tasks[0]);
    mu_agent_listed(r.agent, r.now_ms);
    assert_int_equal(mu_agent_attempts(r.agent), MU_COUNT(tasks));
    up(&r), welcome(&r, cluster), spec(&r, 1, 0, 0), start(&r, 1, 0, 1), start(&r, 1, 1, 2);
    at(&r, 1010), turn(&r), ended(&r, 9, MU_END_SIGNAL, 9);
    at(&r, 1030), turn(&r);
    at(&r, 1031), start(&r, 1, 3, 1);
    assert_int_equal(r.last_id, 10);
    expect(&r, "[1000] hello boot b1 1.0/1=running 1.2/1=stopping 1.1/2=failed; store cluster 7 epoch 5; dead by 1900;"
               " report#1 run 1.0/1 run 1.2/1 end 1.1/2 how 0 code 1;\n"
               "[1010] kill 9 with 9 for cancel; report#2 end 1.2/1 how 3 code 9;\n"
               "[1030] kill 7 with 15 for timeout;\n"
               "[1031] spawn 1.3/1 index 16 of 10-16;");
}

/* The connection to the spawner broke: it knows one of the two, which has ended meanwhile. */
static void what_the_spawner_does_not_list_is_lost(void **state)
{
    static const struct mu_agent_exit gone = { .id = 1, .how = MU_END_EXIT, .code = 4 };
    static const struct mu_agent_task task = { .id = 1, .job = 1, .ordinal = 0, .attempt = 1, .exit = &gone };
    struct rig r;

    (void)state;
    ready(&r, (struct mu_agent_options){ 0 }, 0, 0);
    at(&r, 1), start(&r, 1, 0, 1), started(&r, 1), start(&r, 1, 1, 1);
    at(&r, 2), mu_agent_adopt(r.agent, r.now_ms, &task), mu_agent_listed(r.agent, r.now_ms), turn(&r);
    expect(&r, "[1] spawn 1.0/1 index 10 of 10-16; report#1 run 1.0/1; spawn 1.1/1 index 12 of 10-16;\n"
               "[2] report#2 end 1.0/1 how 0 code 4 end 1.1/1 how 6 code 0;");
}

static void a_lost_spawner_is_a_new_boot(void **state)
{
    struct rig r;

    (void)state;
    ready(&r, (struct mu_agent_options){ 0 }, 0, 0);
    at(&r, 1), start(&r, 1, 0, 1), started(&r, 1), start(&r, 1, 1, 1);
    at(&r, 2), mu_agent_on_boot(r.agent, r.now_ms, "b2"), down(&r);
    at(&r, 3), up(&r), welcome(&r, cluster);
    expect(&r, "[1] spawn 1.0/1 index 10 of 10-16; report#1 run 1.0/1; spawn 1.1/1 index 12 of 10-16;\n"
               "[2] drop: the spawner was lost;\n"
               "[3] hello boot b2 1.0/1=lost 1.1/1=lost; dead by 903;"
               " report#1 end 1.0/1 how 6 code 0 end 1.1/1 how 6 code 0;");
}

static void no_more_run_at_once_than_allowed(void **state)
{
    struct rig r;

    (void)state;
    ready(&r, (struct mu_agent_options){ .running_max = 2 }, 0, 0);
    at(&r, 1), start(&r, 1, 0, 1), start(&r, 1, 1, 1), start(&r, 1, 2, 1), start(&r, 1, 3, 1);
    at(&r, 2), stop(&r, 1, 2, 1, MU_END_CANCEL);
    at(&r, 3), ended(&r, 1, MU_END_EXIT, 0);
    expect(&r, "[1] spawn 1.0/1 index 10 of 10-16; spawn 1.1/1 index 12 of 10-16;\n"
               "[2] report#1 end 1.2/1 how 3 code 0;\n"
               "[3] spawn 1.3/1 index 16 of 10-16; report#2 end 1.0/1 how 0 code 0;");
}

/* The server places ahead; what does not fit beside what runs waits its turn. */
static void work_waits_for_room(void **state)
{
    struct mu_amount lic = { MU_STR_LIT("lic"), 2 };
    struct mu_group_spec g = { .tasks = 9, .cpu_milli = 500, .resources = &(struct mu_amount){ MU_STR_LIT("lic"), 1 }, .resources_count = 1 };
    struct mu_buf b = { 0 };
    struct rig r;

    (void)state;
    ready(&r, (struct mu_agent_options){ .cpu_milli = 2000, .resources = &lic, .resources_count = 1 }, 0, 0);
    mu_pb_put(&b, &mu_group_spec_pb, &g);
    tell(&r, (struct mu_msg){ .type = MU_MSG_SPEC, .spec = { .job = 2, .spec = mu_buf_str(&b), .tasks = 9 } });
    g = (struct mu_group_spec){ .tasks = 9, .cpu_milli = 3000 };
    mu_buf_clear(&b);
    mu_pb_put(&b, &mu_group_spec_pb, &g);
    tell(&r, (struct mu_msg){ .type = MU_MSG_SPEC, .spec = { .job = 3, .spec = mu_buf_str(&b), .tasks = 9 } });
    mu_buf_fini(&b);
    at(&r, 1), start(&r, 2, 0, 1), start(&r, 2, 1, 1), start(&r, 2, 2, 1), start(&r, 3, 0, 1), start(&r, 1, 0, 1);
    at(&r, 2), ended(&r, 1, MU_END_EXIT, 0); /* a licence is free */
    at(&r, 3), ended(&r, 2, MU_END_EXIT, 0); /* cpus are not: the large one keeps its place */
    at(&r, 4), ended(&r, 3, MU_END_EXIT, 0); /* alone even the too large one runs */
    at(&r, 5), ended(&r, 4, MU_END_EXIT, 0);
    expect(&r, "[1] spawn 2.0/1 index 10 of 0-8; spawn 2.1/1 index 12 of 0-8;\n"
               "[2] spawn 2.2/1 index 14 of 0-8; report#1 end 2.0/1 how 0 code 0;\n"
               "[3] report#2 end 2.1/1 how 0 code 0;\n"
               "[4] spawn 3.0/1 index 10 of 0-8; report#3 end 2.2/1 how 0 code 0;\n"
               "[5] spawn 1.0/1 index 10 of 10-16; report#4 end 3.0/1 how 0 code 0;");
}

static void spec_of(struct rig *r, uint64_t job, uint64_t cpu_milli)
{
    struct mu_group_spec g = { .tasks = 9, .cpu_milli = cpu_milli };
    struct mu_buf b = { 0 };

    mu_pb_put(&b, &mu_group_spec_pb, &g);
    tell(r, (struct mu_msg){ .type = MU_MSG_SPEC, .spec = { .job = job, .spec = mu_buf_str(&b), .tasks = 9 } });
    mu_buf_fini(&b);
}

/* Two tasks ahead of room: the spawner starts them as others of their lane end; room goes to them first. */
static void the_spawner_is_given_work_ahead(void **state)
{
    struct rig r;

    (void)state;
    ready(&r, (struct mu_agent_options){ .cpu_milli = 2000, .ahead_max = 2 }, 0, 0);
    spec_of(&r, 2, 1000), spec_of(&r, 3, 500);
    at(&r, 1), start(&r, 3, 0, 1), start(&r, 2, 0, 1), start(&r, 2, 1, 1), start(&r, 2, 2, 1), start(&r, 2, 3, 1), start(&r, 3, 1, 1);
    at(&r, 2), ended(&r, 2, MU_END_EXIT, 0); /* 2.1 took its place; there is a hand free */
    at(&r, 3), stop(&r, 2, 1, 1, MU_END_CANCEL), ended(&r, 3, MU_END_NODE_LOST, 0);
    at(&r, 4), ended(&r, 1, MU_END_EXIT, 0);
    at(&r, 5), ended(&r, 6, MU_END_EXIT, 0); /* the room of both makes the lane wider */
    at(&r, 6), ended(&r, 5, MU_END_EXIT, 0);
    assert_int_equal(mu_agent_running(r.agent), 1);
    expect(&r, "[1] spawn 3.0 lane 1 max 1; spawn 2.0 lane 2 max 1; spawn 2.1 lane 2 max 1; spawn 2.2 lane 2 max 1;\n"
               "[2] spawn 2.3 lane 2 max 1; spawn 3.1 lane 1 max 2; report#1 end 2.0/1 how 0 code 0;\n"
               "[3] kill 3 with 15 for cancel; kill 3 with 9 for cancel; report#2 end 2.1/1 how 3 code 0;\n"
               "[4] report#3 end 3.0/1 how 0 code 0;\n"
               "[5] lane 2 max 2; report#4 end 3.1/1 how 0 code 0;\n"
               "[6] report#5 end 2.3/1 how 0 code 0;");
}

/* Fill it past its limit: the rest is answered, all is reported in bounded frames and forgotten in the end. */
static void limits_answer(void **state)
{
    struct rig r;

    (void)state;
    ready(&r, (struct mu_agent_options){ .running_max = 1 }, 0, 0);
    r.quiet = true;
    struct mu_start *s = calloc(MU_AGENT_ATTEMPTS_MAX + 5, sizeof *s);
    for (uint32_t i = 0; i < MU_AGENT_ATTEMPTS_MAX + 5; i++)
        s[i] = (struct mu_start){ .job = 1, .ordinal = i, .attempt = 1 };
    tell(&r, (struct mu_msg){ .type = MU_MSG_START, .start = { s, MU_AGENT_ATTEMPTS_MAX + 5 } });
    free(s);
    assert_int_equal(mu_agent_running(r.agent), MU_AGENT_ATTEMPTS_MAX);
    assert_int_equal(mu_agent_attempts(r.agent), MU_AGENT_ATTEMPTS_MAX + 5);
    down(&r), up(&r); /* a HELLO that names them all fits a frame */
    welcome(&r, cluster);
    ack(&r, 1);
    assert_int_equal(mu_agent_attempts(r.agent), MU_AGENT_ATTEMPTS_MAX);
    expect(&r, "");
}

static void specs_come_and_go(void **state)
{
    struct rig r;

    (void)state;
    ready(&r, (struct mu_agent_options){ 0 }, 0, 0);
    r.quiet = true;
    for (uint64_t job = 2; job <= MU_SPECS_MAX; job++)
        spec(&r, job, 0, 0);
    r.quiet = false;
    start(&r, 1, 0, 1);
    spec(&r, MU_SPECS_MAX + 1, 0, 0);
    start(&r, 1, 1, 1);
    expect(&r, " spawn 1.0/1 index 10 of 10-16; drop: work of a group came without its spec;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_runs_and_is_acknowledged),
        cmocka_unit_test(started_and_ended_in_one_batch_is_one_report),
        cmocka_unit_test(a_start_is_done_once),
        cmocka_unit_test(results_are_repeated_until_acknowledged),
        cmocka_unit_test(stop_names_the_attempt),
        cmocka_unit_test(a_stopped_stranger_never_starts),
        cmocka_unit_test(a_time_limit_ends_as_timeout),
        cmocka_unit_test(the_lease_runs_from_the_answered_ping),
        cmocka_unit_test(a_kept_node_is_not_fenced),
        cmocka_unit_test(work_after_the_lease_is_refused),
        cmocka_unit_test(foreign_and_old_servers_are_refused),
        cmocka_unit_test(what_breaks_the_protocol),
        cmocka_unit_test(a_restarted_agent_adopts),
        cmocka_unit_test(what_the_spawner_does_not_list_is_lost),
        cmocka_unit_test(a_lost_spawner_is_a_new_boot),
        cmocka_unit_test(no_more_run_at_once_than_allowed),
        cmocka_unit_test(work_waits_for_room),
        cmocka_unit_test(the_spawner_is_given_work_ahead),
        cmocka_unit_test(limits_answer),
        cmocka_unit_test(specs_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
