/* server/ctl.h as transcripts: what it appends, sends and answers, and that nothing leaves before its commit. */
#include "base/assert.h"
#include "journal/journal.h"
#include "server/ctl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { LEASE_MS = 1000, MARGIN_MS = 100, ENTRIES_MAX = 4096, PEERS_MAX = 8 };
#define WALL0 UINT64_C(1790000000000)

struct entry {
    uint64_t epoch, seq;
    struct mu_buf bytes;
};

/* A shell whose journal commits when it is told to. */
struct rig {
    struct mu_ctl *ctl;
    struct mu_ctl_options opt;
    struct mu_ctl_now now;
    struct mu_buf log;                   /* the transcript since it was last looked at */
    struct entry entries[ENTRIES_MAX];
    uint32_t appended, committed;
    bool refuse;
    struct mu_ctl_agent *agents[PEERS_MAX];
    bool quiet;                          /* effects of placing and pinging are not logged */
    struct mu_arena arena;
    uint64_t reports[PEERS_MAX];
};

static void log_entry(struct rig *r, const void *bytes, size_t size)
{
    struct mu_reader in;
    struct mu_event ev;
    uint64_t time_ms;

    assert_true(mu_entry_open(&in, bytes, size, &time_ms));
    while (mu_entry_next(&in, &ev, &r->arena))
        mu_buf_printf(&r->log, " %s", mu_event_name(ev.kind));
}

static bool out_append(void *arg, uint64_t epoch, uint64_t seq, const void *bytes, size_t size)
{
    struct rig *r = arg;
    struct entry *e = &r->entries[r->appended];

    if (r->refuse)
        return false;
    assert_true(r->appended < ENTRIES_MAX);
    *e = (struct entry){ .epoch = epoch, .seq = seq };
    mu_buf_add(&e->bytes, bytes, size);
    r->appended++;
    mu_buf_printf(&r->log, "append %u:", (unsigned)seq);
    log_entry(r, bytes, size);
    mu_buf_addz(&r->log, "\n");
    return true;
}

static void log_frame(struct rig *r, const struct mu_msg *m)
{
    mu_buf_printf(&r->log, " %s", mu_msg_name(m->type));
    if (m->type == MU_MSG_START)
        for (uint32_t i = 0; i < m->start.tasks_count; i++)
            mu_buf_printf(&r->log, " %u.%u/%u", (unsigned)m->start.tasks[i].job, m->start.tasks[i].ordinal, m->start.tasks[i].attempt);
    if (m->type == MU_MSG_STOP)
        for (uint32_t i = 0; i < m->stop.tasks_count; i++)
            mu_buf_printf(&r->log, " %u.%u/%u %s", (unsigned)m->stop.tasks[i].job, m->stop.tasks[i].ordinal, m->stop.tasks[i].attempt,
                          mu_end_text((enum mu_end)m->stop.tasks[i].how));
    if (m->type == MU_MSG_ACK)
        mu_buf_printf(&r->log, " %u", (unsigned)m->ack.seq);
    if (m->type == MU_MSG_REFUSE)
        mu_buf_printf(&r->log, " " MU_STR_FMT "%s", MU_STR_ARG(m->refuse.code), m->refuse.final ? " for good" : "");
    if (m->type == MU_MSG_FORGET)
        mu_buf_printf(&r->log, " %u", (unsigned)m->forget.job);
}

static void out_send(void *arg, void *peer, const void *bytes, size_t size)
{
    struct rig *r = arg;
    const uint8_t *at = bytes;
    size_t used;
    struct mu_msg m;
    struct mu_err err;

    mu_buf_printf(&r->log, "to %s:", (const char *)peer);
    for (; size > 0; at += used, size -= used) {
        assert_int_equal(mu_frame_take(at, size, &used, &m, &r->arena, &err), MU_OK);
        assert_int_equal(m.epoch, mu_ctl_epoch(r->ctl));
        log_frame(r, &m);
    }
    mu_buf_addz(&r->log, "\n");
}

static void out_drop(void *arg, void *peer)
{
    mu_buf_printf(&((struct rig *)arg)->log, "drop %s\n", (const char *)peer);
}

static void out_reply(void *arg, void *token, const struct mu_ctl_reply *reply)
{
    struct rig *r = arg;

    mu_buf_printf(&r->log, "reply %s: %s", (const char *)token, mu_rc_code(reply->rc));
    if (reply->job != 0 && reply->rc == MU_OK)
        mu_buf_printf(&r->log, " %u%s", (unsigned)reply->job, reply->existing ? " existing" : "");
    if (reply->field)
        mu_buf_printf(&r->log, " (%s)", reply->field);
    mu_buf_addz(&r->log, "\n");
}

static void out_effect(void *arg, uint64_t seq, uint64_t time_ms, const struct mu_fx *fx)
{
    (void)arg, (void)seq, (void)time_ms, (void)fx;
}

static void out_agent_msg(void *arg, void *peer, const struct mu_msg *msg)
{
    mu_buf_printf(&((struct rig *)arg)->log, "message of %s: %s\n", (const char *)peer, mu_msg_name(msg->type));
}

static struct rig *rig_new(unsigned inflight_max)
{
    struct rig *r = calloc(1, sizeof *r);
    struct mu_ctl_out out = { .arg = r, .append = out_append, .send = out_send, .drop = out_drop, .reply = out_reply,
                              .effect = out_effect, .agent_msg = out_agent_msg };

    assert_non_null(r);
    r->opt = mu_ctl_options_default;
    r->opt.server_name = "s0";
    memset(r->opt.cluster, 7, sizeof r->opt.cluster);
    r->opt.lease_ms = LEASE_MS;
    r->opt.lease_margin_ms = MARGIN_MS;
    r->opt.inflight_max = inflight_max;
    r->opt.core_limits = mu_core_limits_default;
    r->now = (struct mu_ctl_now){ .wall_ms = WALL0, .boot_ms = 50000 };
    r->ctl = mu_ctl_new(&r->opt, &out);
    return r;
}

static void rig_free(struct rig *r)
{
    for (uint32_t i = 0; i < PEERS_MAX; i++)
        if (r->agents[i])
            mu_ctl_agent_close(r->ctl, r->now, r->agents[i]);
    mu_ctl_check(r->ctl);
    mu_ctl_free(r->ctl);
    for (uint32_t i = 0; i < r->appended; i++)
        mu_buf_fini(&r->entries[i].bytes);
    mu_buf_fini(&r->log);
    mu_arena_fini(&r->arena);
    free(r);
}

static void turn(struct rig *r)
{
    mu_ctl_turn(r->ctl, r->now);
    mu_ctl_check(r->ctl);
}

static void passes(struct rig *r, uint64_t ms)
{
    r->now.wall_ms += ms;
    r->now.boot_ms += ms;
    turn(r);
}

/* The journal did it: the next entry is durable. */
static void commit(struct rig *r)
{
    struct entry *e = &r->entries[r->committed];

    assert_true(r->committed < r->appended);
    r->committed++;
    mu_ctl_on_commit(r->ctl, r->now, e->seq, e->epoch, e->bytes.at, e->bytes.size);
    if (mu_ctl_leads(r->ctl))
        mu_ctl_on_done(r->ctl, r->now, e->seq, MU_JOURNAL_OK);
    turn(r);
    mu_core_check(mu_ctl_core(r->ctl));
    if (mu_ctl_leads(r->ctl))
        mu_sched_check(mu_ctl_sched(r->ctl));
}

static void commit_all(struct rig *r)
{
    while (r->committed < r->appended)
        commit(r);
}

static void leads(struct rig *r, uint64_t epoch)
{
    mu_ctl_on_lead(r->ctl, r->now, epoch, mu_ctl_applied(r->ctl) + 1);
    turn(r);
}

#define expect(r, text) expect_at(r, text, __LINE__)
static void expect_at(struct rig *r, const char *text, int line)
{
    mu_buf_addc(&r->log, '\0');
    if (strcmp((const char *)r->log.at, text) != 0)
        fail_msg("line %d\n--- want\n%s--- got\n%s---", line, text, (const char *)r->log.at);
    mu_buf_clear(&r->log);
}

static void forget_log(struct rig *r)
{
    mu_buf_clear(&r->log);
}

static struct mu_group_spec group_of(uint32_t tasks)
{
    static struct mu_str argv[] = { { "true", 4 } };

    return (struct mu_group_spec){ .name = MU_STR_LIT("g"), .argv = { argv, 1 }, .tasks = tasks, .array_step = 1, .cpu_milli = 1000,
                                   .is_array = tasks > 1, .grace_ms = 1000 };
}

static void submit_spec(struct rig *r, const char *token, const char *key, struct mu_group_spec *groups, uint32_t count)
{
    struct mu_job_spec spec = { .name = MU_STR_LIT("j"), .user = MU_STR_LIT("u"), .key = mu_str_of(key ? key : ""),
                                .groups = groups, .groups_count = count, .digest = 1 };

    mu_ctl_submit(r->ctl, r->now, &spec, (void *)(uintptr_t)token);
}

static void submit(struct rig *r, const char *token, const char *key, uint32_t tasks)
{
    struct mu_group_spec g = group_of(tasks);
    submit_spec(r, token, key, &g, 1);
}

static void cancel(struct rig *r, const char *token, uint64_t job)
{
    struct mu_event ev = { .kind = MU_EV_CANCEL };

    ev.cancel.job = job;
    mu_ctl_request(r->ctl, r->now, &ev, (void *)(uintptr_t)token);
}

static const char *const peers[PEERS_MAX] = { "n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7" };

static void agent_says(struct rig *r, uint32_t peer, enum mu_msg_type type, struct mu_msg msg)
{
    struct mu_err err = { 0 };

    msg.type = type;
    if (!mu_ctl_agent_msg(r->ctl, r->now, r->agents[peer], &msg, &err))
        mu_buf_printf(&r->log, "refused: %s\n", err.text);
    turn(r);
}

static struct mu_msg hello_of(const char *name, const char *boot)
{
    struct mu_msg m = { .type = MU_MSG_HELLO };

    m.hello = (struct mu_msg_hello){ .name = mu_str_of(name), .boot = mu_str_of(boot), .version = MU_STR_LIT("1"), .cpu_milli = 2000,
                                     .mem_bytes = 1 << 30 };
    return m;
}

static void agent_opens(struct rig *r, uint32_t peer)
{
    r->agents[peer] = mu_ctl_agent_open(r->ctl, r->now, (void *)(uintptr_t)peers[peer], "10.0.0.1");
    r->reports[peer] = 0;
}

static void agent_closes(struct rig *r, uint32_t peer)
{
    mu_ctl_agent_close(r->ctl, r->now, r->agents[peer]);
    r->agents[peer] = NULL;
    turn(r);
}

static void agent_joins(struct rig *r, uint32_t peer, const char *name, const char *boot)
{
    agent_opens(r, peer);
    agent_says(r, peer, MU_MSG_HELLO, hello_of(name, boot));
    commit_all(r);
}

static void agent_started(struct rig *r, uint32_t peer, uint64_t job, uint32_t ordinal, uint32_t attempt)
{
    struct mu_started s = { .job = job, .ordinal = ordinal, .attempt = attempt };
    struct mu_msg m = { 0 };

    m.report = (struct mu_msg_report){ .seq = ++r->reports[peer], .started = &s, .started_count = 1 };
    agent_says(r, peer, MU_MSG_REPORT, m);
}

static void agent_ended(struct rig *r, uint32_t peer, uint64_t job, uint32_t ordinal, uint32_t attempt, uint32_t code)
{
    struct mu_result e = { .job = job, .ordinal = ordinal, .attempt = attempt, .how = MU_END_EXIT, .code = code, .run_us = 1000 };
    struct mu_msg m = { 0 };

    m.report = (struct mu_msg_report){ .seq = ++r->reports[peer], .ended = &e, .ended_count = 1 };
    agent_says(r, peer, MU_MSG_REPORT, m);
}

static void agent_pings(struct rig *r, uint32_t peer)
{
    struct mu_msg m = { 0 };

    m.ping = (struct mu_msg_ping){ .sent_us = 1, .running = 3 };
    agent_says(r, peer, MU_MSG_PING, m);
}

/* A leader with one node that has two cpus. */
static struct rig *rig_with_node(void)
{
    struct rig *r = rig_new(1);

    leads(r, 5);
    commit_all(r);
    agent_joins(r, 0, "a", "boot1");
    forget_log(r);
    return r;
}

/* ---- requests ---- */

static void an_answer_leaves_after_the_commit(void **state)
{
    struct rig *r = rig_new(1);

    (void)state;
    submit(r, "A", NULL, 1);
    expect(r, "reply A: not_leader\n");
    leads(r, 5);
    expect(r, "append 1: lead\n");
    submit(r, "A", NULL, 1);
    turn(r);
    expect(r, ""); /* one entry is out: it gathers */
    submit(r, "B", NULL, 2);
    cancel(r, "C", 9);
    turn(r);
    expect(r, "");
    commit(r);
    expect(r, "append 2: submit submit cancel\n");
    commit(r);
    expect(r, "reply A: ok 1\nreply B: ok 2\nreply C: not_found (job)\n");
    rig_free(r);
}

static void entries_fly_side_by_side(void **state)
{
    struct rig *r = rig_new(2);

    (void)state;
    leads(r, 5);
    submit(r, "A", NULL, 1);
    turn(r);
    submit(r, "B", NULL, 1);
    turn(r);
    expect(r, "append 1: lead\nappend 2: submit\n");
    commit(r);
    expect(r, "append 3: submit\n");
    commit(r);
    commit(r);
    expect(r, "reply A: ok 1\nreply B: ok 2\n");
    rig_free(r);
}

static void an_entry_that_is_not_taken_stays(void **state)
{
    struct rig *r = rig_new(2);

    (void)state;
    leads(r, 5);
    r->refuse = true;
    submit(r, "A", NULL, 1);
    turn(r);
    expect(r, "append 1: lead\n");
    r->refuse = false;
    commit(r);
    expect(r, "append 2: submit\n");
    commit(r);
    expect(r, "reply A: ok 1\n");
    rig_free(r);
}

static void one_key_is_one_job(void **state)
{
    struct rig *r = rig_new(1);
    struct mu_group_spec g = group_of(1);
    struct mu_job_spec other = { .user = MU_STR_LIT("u"), .key = MU_STR_LIT("k"), .groups = &g, .groups_count = 1, .digest = 2 };

    (void)state;
    leads(r, 5);
    commit_all(r);
    forget_log(r);
    submit(r, "A", "k", 1);
    submit(r, "B", "k", 1);
    mu_ctl_submit(r->ctl, r->now, &other, "C");
    expect(r, "reply C: conflict (key)\n");
    turn(r);
    expect(r, "append 2: submit\n");
    commit(r);
    expect(r, "reply A: ok 1\nreply B: ok 1 existing\n");
    submit(r, "D", "k", 1);
    mu_ctl_submit(r->ctl, r->now, &other, "E");
    expect(r, "reply D: ok 1 existing\nreply E: conflict (key)\n");
    rig_free(r);
}

static void who_went_away_is_not_answered(void **state)
{
    struct rig *r = rig_new(1);

    (void)state;
    leads(r, 5);
    commit_all(r);
    forget_log(r);
    submit(r, "A", "k", 1);
    submit(r, "B", "k", 1);
    turn(r);
    mu_ctl_forget(r->ctl, "A");
    mu_ctl_forget(r->ctl, "nobody");
    commit(r);
    expect(r, "append 2: submit\nreply B: ok 1 existing\n");
    rig_free(r);
}

static void what_is_waiting_when_the_lead_goes(void **state)
{
    struct rig *r = rig_new(1);

    (void)state;
    leads(r, 5);
    commit_all(r);
    forget_log(r);
    submit(r, "A", NULL, 1);
    turn(r);
    submit(r, "B", NULL, 1);
    mu_ctl_on_done(r->ctl, r->now, 2, MU_JOURNAL_UNKNOWN);
    submit(r, "C", NULL, 1);
    mu_ctl_on_lost(r->ctl, r->now);
    expect(r, "append 2: submit\nreply C: not_leader\nreply A: unknown\nreply B: not_leader\n");
    assert_false(mu_ctl_leads(r->ctl));
    commit(r); /* it was durable after all */
    rig_free(r);
}

static void limits_are_answers(void **state)
{
    struct rig *r = rig_new(1);
    struct mu_group_spec g = group_of(1);
    char *line = malloc(400000);

    (void)state;
    assert_non_null(line);
    mu_ctl_free(r->ctl);
    r->opt.requests_max = 2;
    r->opt.gather_max = 1000;
    r->opt.request_max = 300000;
    r->ctl = mu_ctl_new(&r->opt, &(struct mu_ctl_out){ r, out_append, out_send, out_drop, out_reply, out_effect, out_agent_msg });
    leads(r, 5);
    submit(r, "A", NULL, 1);
    submit(r, "B", NULL, 1);
    submit(r, "C", NULL, 1);
    turn(r);
    expect(r, "append 1: lead\nreply C: busy\n");
    commit_all(r);
    forget_log(r);
    memset(line, 'x', 400000);
    line[399999] = '\n';
    g.argv.count = 0;
    g.lines = (struct mu_str){ line, 400000 };
    submit_spec(r, "D", NULL, &g, 1);
    g.lines.at += 150000;
    g.lines.size -= 150000;
    submit_spec(r, "E", NULL, &g, 1);
    expect(r, "reply D: too_big\nreply E: too_big (lines)\n");
    free(line);
    rig_free(r);
}

static void a_full_journal_keeps_the_epoch(void **state)
{
    struct rig *r = rig_with_node();

    (void)state;
    submit(r, "A", NULL, 1);
    turn(r);
    submit(r, "B", NULL, 1);
    r->appended--;
    mu_buf_fini(&r->entries[r->appended].bytes);
    mu_ctl_on_done(r->ctl, r->now, 3, MU_JOURNAL_FULL);
    turn(r);
    expect(r, "append 3: submit\nreply A: full\nreply B: full\nto n0: refuse full\ndrop n0\n");
    submit(r, "C", NULL, 1);
    expect(r, "reply C: full\n");
    passes(r, 1000);
    expect(r, "append 3: due\n"); /* is there room again? */
    commit(r);
    submit(r, "D", NULL, 1);
    turn(r);
    commit(r);
    expect(r, "append 4: submit\nreply D: ok 1\n"); /* the node has not come back yet */
    rig_free(r);
}

/* ---- big jobs ---- */

static struct mu_str many_lines(uint32_t count, uint32_t width)
{
    struct mu_buf b = { 0 };

    for (uint32_t i = 0; i < count; i++) {
        mu_buf_printf(&b, "echo %u ", i);
        memset(mu_buf_room(&b, width), 'x', width);
        b.size += width;
        mu_buf_addc(&b, '\n');
    }
    return mu_buf_str(&b);
}

static void a_big_job_goes_in_parts_and_is_answered_once(void **state)
{
    struct rig *r = rig_new(1);
    struct mu_group_spec g[3] = { group_of(1), group_of(500), group_of(2) };
    struct mu_dep after = { .group = 2, .kind = MU_DEP_OK };
    struct mu_job_view job;

    (void)state;
    leads(r, 5);
    commit_all(r);
    forget_log(r);
    g[0].after = &after; /* forward: its predecessor comes in a later part */
    g[0].after_count = 1;
    g[1].argv.count = 0;
    g[1].lines = many_lines(500, 1000);
    submit_spec(r, "A", "k", g, 3);
    turn(r);
    submit(r, "B", "k", 1); /* the same key: waits for the whole */
    expect(r, "append 2: submit\n");
    commit(r);
    expect(r, "append 3: part part part part\n");
    assert_true(mu_view_job(mu_ctl_core(r->ctl), 1, &job) && job.open);
    commit(r);
    expect(r, "reply A: ok 1\nreply B: ok 1 existing\n");
    assert_true(mu_view_job(mu_ctl_core(r->ctl), 1, &job) && !job.open);
    assert_int_equal(job.tasks, 503);
    for (uint32_t i = 0; i < 500; i++) {
        char want[32];
        struct mu_str line = mu_view_line(mu_ctl_core(r->ctl), 1, i + 1);
        int n = snprintf(want, sizeof want, "echo %u ", i);
        assert_true(line.size == (uint32_t)n + 1000 && memcmp(line.at, want, (size_t)n) == 0);
    }
    free((char *)g[1].lines.at);
    rig_free(r);
}

static void nothing_is_left_of_half_a_job(void **state)
{
    struct rig *r = rig_new(1);
    struct mu_group_spec g = group_of(500);
    struct mu_job_view job;

    (void)state;
    leads(r, 5);
    commit_all(r);
    forget_log(r);
    g.argv.count = 0;
    g.lines = many_lines(500, 1000);
    submit_spec(r, "A", "k", &g, 1);
    turn(r);
    commit(r);
    assert_true(mu_view_job(mu_ctl_core(r->ctl), 1, &job));
    mu_buf_fini(&r->entries[--r->appended].bytes);
    mu_ctl_on_done(r->ctl, r->now, 3, MU_JOURNAL_FENCED);
    mu_ctl_on_lost(r->ctl, r->now);
    expect(r, "append 2: submit\nappend 3: part part\nreply A: unknown\n");
    leads(r, 6);
    commit_all(r);
    assert_false(mu_view_job(mu_ctl_core(r->ctl), 1, &job));
    submit(r, "B", "k", 1);
    turn(r);
    commit(r);
    expect(r, "append 3: lead\nappend 4: submit\nreply B: ok 2\n");
    free((char *)g.lines.at);
    rig_free(r);
}

static void a_stream_goes_on_where_its_first_lines_stopped(void **state)
{
    struct rig *r = rig_new(1);
    struct mu_group_spec g = group_of(500);
    struct mu_job_spec spec = { .user = MU_STR_LIT("u"), .key = MU_STR_LIT("k"), .groups = &g, .groups_count = 1, .open = MU_OPEN_STREAM };
    struct mu_job_view job;

    (void)state;
    leads(r, 5);
    commit_all(r);
    forget_log(r);
    g.argv.count = 0;
    g.lines = many_lines(500, 1000);
    mu_ctl_submit(r->ctl, r->now, &spec, "A");
    turn(r);
    commit(r);
    mu_buf_fini(&r->entries[--r->appended].bytes);
    mu_ctl_on_done(r->ctl, r->now, 3, MU_JOURNAL_FENCED);
    mu_ctl_on_lost(r->ctl, r->now);
    leads(r, 6);
    commit_all(r);
    expect(r, "append 2: submit\nappend 3: part part\nreply A: unknown\nappend 3: lead\n");
    mu_ctl_submit(r->ctl, r->now, &spec, "B");
    turn(r);
    commit_all(r);
    expect(r, "append 4: part part\nreply B: ok 1 existing\n");
    assert_true(mu_view_job(mu_ctl_core(r->ctl), 1, &job) && job.open && job.tasks == 500);
    mu_ctl_submit(r->ctl, r->now, &spec, "C");
    turn(r);
    commit_all(r);
    expect(r, "append 5: part part\nreply C: ok 1 existing\n");
    assert_true(mu_view_job(mu_ctl_core(r->ctl), 1, &job) && job.tasks == 500);
    free((char *)g.lines.at);
    rig_free(r);
}

static void a_long_part_of_a_stream_is_cut(void **state)
{
    struct rig *r = rig_new(1);
    struct mu_group_spec g = group_of(1);
    struct mu_job_spec spec = { .user = MU_STR_LIT("u"), .groups = &g, .groups_count = 1, .open = MU_OPEN_STREAM };
    struct mu_event ev = { .kind = MU_EV_PART };
    struct mu_job_view job;

    (void)state;
    leads(r, 5);
    g.argv.count = 0;
    g.lines = MU_STR_LIT("first\n");
    mu_ctl_submit(r->ctl, r->now, &spec, "A");
    turn(r);
    commit_all(r);
    forget_log(r);
    ev.part = (struct mu_ev_part){ .job = 1, .tasks_before = 1, .lines = many_lines(400, 1000), .last = true };
    mu_ctl_request(r->ctl, r->now, &ev, "B");
    turn(r);
    expect(r, "append 3: part part part\n");
    commit(r);
    expect(r, "reply B: ok 1\n");
    assert_true(mu_view_job(mu_ctl_core(r->ctl), 1, &job) && !job.open);
    assert_int_equal(job.tasks, 401);
    mu_ctl_request(r->ctl, r->now, &ev, "C"); /* its answer was lost: the same again changes nothing */
    turn(r);
    commit_all(r);
    expect(r, "append 4: part part part\nreply C: ok 1\n");
    assert_true(mu_view_job(mu_ctl_core(r->ctl), 1, &job));
    assert_int_equal(job.tasks, 401);
    free((char *)ev.part.lines.at);
    rig_free(r);
}

/* ---- agents ---- */

static void work_is_sent_after_the_commit_and_acknowledged_after_the_next(void **state)
{
    struct rig *r = rig_with_node();

    (void)state;
    submit(r, "A", NULL, 3);
    turn(r);
    commit(r);
    expect(r, "append 3: submit\nreply A: ok 1\nappend 4: placed placed\n");
    commit(r);
    expect(r, "to n0: spec start 1.0/1 1.1/1\n");
    agent_started(r, 0, 1, 0, 1);
    expect(r, "append 5: started\n");
    agent_ended(r, 0, 1, 0, 1, 0);
    expect(r, "");
    commit(r);
    expect(r, "append 6: ended\n");
    commit(r);
    expect(r, "append 7: placed\nto n0: ack 2\n");
    commit(r);
    expect(r, "to n0: start 1.2/1\n"); /* its spec is known there */
    agent_ended(r, 0, 1, 1, 1, 0);
    agent_ended(r, 0, 1, 2, 1, 0);
    commit_all(r);
    expect(r, "append 8: ended\nappend 9: ended\nto n0: ack 3\nto n0: ack 4\n");
    rig_free(r);
}

static void a_result_of_an_old_attempt_is_acknowledged_and_counted(void **state)
{
    struct rig *r = rig_with_node();
    struct mu_ctl_stats stats;

    (void)state;
    submit(r, "A", NULL, 1);
    turn(r);
    commit_all(r);
    agent_ended(r, 0, 1, 0, 1, 1);
    forget_log(r);
    agent_ended(r, 0, 1, 0, 1, 0); /* said twice while the first is on its way */
    commit_all(r);
    expect(r, "append 6: ended\nto n0: ack 1\nto n0: ack 2\n");
    agent_ended(r, 0, 1, 0, 1, 0);
    agent_ended(r, 0, 77, 5, 1, 0);
    expect(r, "to n0: ack 3\nto n0: ack 4\n");
    mu_ctl_stats_get(r->ctl, &stats);
    assert_int_equal(stats.stale_results, 2);
    assert_int_equal(mu_view_task(mu_ctl_core(r->ctl), 1, 0), MU_TASK_FAILED);
    rig_free(r);
}

static void a_cancel_reaches_the_node(void **state)
{
    struct rig *r = rig_with_node();

    (void)state;
    submit(r, "A", NULL, 1);
    turn(r);
    commit_all(r);
    forget_log(r);
    cancel(r, "B", 1);
    turn(r);
    expect(r, "append 5: cancel\n");
    commit(r);
    expect(r, "reply B: ok 1\nto n0: stop 1.0/1 cancel\n");
    rig_free(r);
}

static void who_may_join(void **state)
{
    struct rig *r = rig_with_node();
    struct mu_msg h;
    uint8_t foreign[16] = { 1 };

    (void)state;
    agent_opens(r, 1);
    h = hello_of("b", "boot1");
    h.hello.cluster = (struct mu_str){ (const char *)foreign, sizeof foreign };
    agent_says(r, 1, MU_MSG_HELLO, h);
    expect(r, "to n1: refuse cluster for good\ndrop n1\n");
    agent_closes(r, 1);

    agent_opens(r, 1);
    h = hello_of("b", "boot1");
    h.hello.epoch = 6;
    agent_says(r, 1, MU_MSG_HELLO, h);
    expect(r, "to n1: refuse epoch\ndrop n1\n");
    agent_closes(r, 1);

    agent_opens(r, 1);
    agent_says(r, 1, MU_MSG_HELLO, hello_of("a", "boot2"));
    expect(r, "to n1: refuse name\ndrop n1\n");
    agent_closes(r, 1);

    agent_opens(r, 1);
    agent_says(r, 1, MU_MSG_HELLO, hello_of("bad\nname", "boot1"));
    expect(r, "to n1: refuse invalid for good\ndrop n1\n");
    agent_closes(r, 1);

    agent_opens(r, 1);
    agent_pings(r, 1);
    expect(r, "refused: ping is out of place\n");
    agent_closes(r, 1);

    agent_opens(r, 1);
    agent_says(r, 1, MU_MSG_HELLO, hello_of("a", "boot1")); /* itself again */
    expect(r, "append 3: node_join\nto n0: refuse replaced\ndrop n0\n");
    commit(r);
    expect(r, "to n1: welcome\n");
    assert_ptr_equal(mu_ctl_node_peer(r->ctl, 0), peers[1]);
    agent_pings(r, 1);
    expect(r, "to n1: pong\n");
    assert_int_equal(mu_ctl_node_ping(r->ctl, 0)->running, 3);
    rig_free(r);
}

static void a_server_that_does_not_lead_refuses_agents(void **state)
{
    struct rig *r = rig_new(1);

    (void)state;
    agent_opens(r, 0);
    agent_says(r, 0, MU_MSG_HELLO, hello_of("a", "boot1"));
    expect(r, "to n0: refuse not_leader\ndrop n0\n");
    agent_closes(r, 0);
    leads(r, 5);
    commit_all(r);
    agent_joins(r, 1, "a", "boot1");
    forget_log(r);
    mu_ctl_on_lost(r->ctl, r->now);
    expect(r, "to n1: refuse not_leader\ndrop n1\n");
    rig_free(r);
}

/* Two tasks run on the node when its connection goes. */
static struct rig *rig_with_work(void)
{
    struct rig *r = rig_with_node();

    submit(r, "A", NULL, 2);
    turn(r);
    commit_all(r);
    agent_started(r, 0, 1, 0, 1);
    commit_all(r);
    agent_closes(r, 0);
    forget_log(r);
    return r;
}

static void both_sides_compare_when_a_node_comes_back(void **state)
{
    static const struct {
        const char *what;
        const char *boot;
        struct mu_task_ref had[3];
        uint32_t count;
        const char *want; /* core has 1.0/1 running and 1.1/1 starting */
    } cases[] = {
        { "all is known", "boot1", { { 1, 0, 1, MU_TASK_RUNNING }, { 1, 1, 1, MU_TASK_RUNNING } }, 2,
          "append 6: node_join\nto n1: welcome\n" },
        { "a START was lost", "boot1", { { 1, 0, 1, MU_TASK_RUNNING } }, 1, "append 6: node_join\nto n1: welcome spec start 1.1/1\n" },
        { "what ran is not there", "boot1", { { 1, 1, 1, MU_TASK_STARTING } }, 1,
          "append 6: node_join\nappend 7: ended\nto n1: welcome\nappend 8: placed\nto n1: spec start 1.0/2\n" },
        { "more than is known", "boot1", { { 1, 0, 1, MU_TASK_RUNNING }, { 1, 1, 1, MU_TASK_RUNNING }, { 9, 9, 3, MU_TASK_RUNNING } }, 3,
          "append 6: node_join\nto n1: welcome stop 9.9/3 cancel\n" },
        { "ended and not acknowledged", "boot1", { { 1, 0, 1, MU_TASK_SUCCEEDED }, { 1, 1, 1, MU_TASK_RUNNING }, { 9, 9, 3, MU_TASK_FAILED } }, 3,
          "append 6: node_join\nto n1: welcome\n" },
        { "another boot", "boot2", { { 0 } }, 0,
          "append 6: node_join\nappend 7: placed placed\nto n1: welcome\nto n1: spec start 1.0/2 1.1/2\n" },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct rig *r = rig_with_work();
        struct mu_msg h = hello_of("a", cases[i].boot);

        h.hello.attempts = (struct mu_task_ref *)cases[i].had;
        h.hello.attempts_count = cases[i].count;
        agent_opens(r, 1);
        agent_says(r, 1, MU_MSG_HELLO, h);
        commit_all(r);
        mu_buf_addc(&r->log, '\0');
        if (strcmp((const char *)r->log.at, cases[i].want) != 0)
            fail_msg("%s\n--- want\n%s--- got\n%s---", cases[i].what, cases[i].want, (const char *)r->log.at);
        rig_free(r);
    }
}

static void a_node_without_a_connection_is_given_nothing(void **state)
{
    struct rig *r = rig_with_node();
    struct mu_msg h = hello_of("a", "boot1");

    (void)state;
    agent_joins(r, 1, "b", "boot1");
    agent_closes(r, 0);
    forget_log(r);
    submit(r, "A", NULL, 4);
    turn(r);
    commit_all(r);
    expect(r, "append 4: submit\nreply A: ok 1\nappend 5: placed placed\nto n1: spec start 1.0/1 1.1/1\n");
    mu_ctl_on_lost(r->ctl, r->now);
    leads(r, 6);
    submit(r, "B", NULL, 1);
    turn(r);
    commit_all(r);
    forget_log(r);
    agent_opens(r, 2);
    agent_says(r, 2, MU_MSG_HELLO, h);
    commit_all(r);
    expect(r, "append 8: node_join\nappend 9: placed placed\nto n2: welcome\nto n2: spec start 1.2/1 1.3/1\n");
    rig_free(r);
}

static void a_node_that_leaves_is_given_nothing_and_loses_nothing(void **state)
{
    struct rig *r = rig_with_node();
    struct mu_msg m = { 0 };

    (void)state;
    submit(r, "A", NULL, 3);
    turn(r);
    commit_all(r);
    forget_log(r);
    m.ping.leaving = true;
    agent_says(r, 0, MU_MSG_PING, m);
    agent_ended(r, 0, 1, 0, 1, 0);
    agent_ended(r, 0, 1, 1, 1, 0);
    commit_all(r);
    expect(r, "to n0: pong\nappend 5: ended\nappend 6: ended\nto n0: ack 1\nto n0: ack 2\n");
    agent_closes(r, 0);
    expect(r, "append 7: node_lost\n");
    rig_free(r);
}

static void a_stop_is_said_again_when_the_node_comes_back(void **state)
{
    struct rig *r = rig_with_work();
    struct mu_task_ref had[] = { { 1, 0, 1, MU_TASK_RUNNING } };
    struct mu_msg h = hello_of("a", "boot1");

    (void)state;
    cancel(r, "B", 1);
    turn(r);
    commit_all(r);
    expect(r, "append 6: cancel\nreply B: ok 1\n");
    h.hello.attempts = had;
    h.hello.attempts_count = 1;
    agent_opens(r, 1);
    agent_says(r, 1, MU_MSG_HELLO, h);
    commit_all(r);
    expect(r, "append 7: node_join\nto n1: welcome stop 1.0/1 cancel 1.1/1 cancel\n");
    rig_free(r);
}

/* ---- leases and time ---- */

static void a_node_is_lost_after_its_lease_and_not_before(void **state)
{
    struct rig *r = rig_with_work();

    (void)state;
    for (uint64_t ms = 0; ms < LEASE_MS + MARGIN_MS; ms += 100)
        passes(r, ms == 0 ? 0 : 100);
    expect(r, "");
    for (int i = 0; i < 2; i++)
        passes(r, 100);
    expect(r, "append 6: node_lost\n");
    commit_all(r);
    assert_int_equal(mu_view_node(mu_ctl_core(r->ctl), 0)->state, MU_NODE_DOWN);
    assert_int_equal(mu_view_task(mu_ctl_core(r->ctl), 1, 0), MU_TASK_READY);
    rig_free(r);
}

static void whoever_speaks_keeps_its_lease(void **state)
{
    struct rig *r = rig_with_node();

    (void)state;
    for (int i = 0; i < 40; i++) {
        passes(r, 100);
        if (i % 5 == 0)
            agent_pings(r, 0);
    }
    assert_int_equal(mu_view_node(mu_ctl_core(r->ctl), 0)->state, MU_NODE_UP);
    for (int i = 0; i < 14; i++)
        passes(r, 100);
    forget_log(r);
    commit_all(r);
    expect(r, "to n0: refuse lost\ndrop n0\n"); /* its connection looked alive */
    rig_free(r);
}

static void a_new_leader_gives_every_node_a_fresh_lease(void **state)
{
    struct rig *r = rig_with_work();

    (void)state;
    for (int i = 0; i < 10; i++)
        passes(r, 100);
    mu_ctl_on_lost(r->ctl, r->now);
    leads(r, 6);
    commit_all(r);
    forget_log(r);
    for (int i = 0; i < 10; i++)
        passes(r, 100);
    expect(r, "");
    for (int i = 0; i < 3; i++)
        passes(r, 100);
    expect(r, "append 7: node_lost\n");
    rig_free(r);
}

static void a_server_that_slept_does_not_blame_the_nodes(void **state)
{
    struct rig *r = rig_with_node();

    (void)state;
    passes(r, 60000);
    passes(r, 100);
    agent_pings(r, 0); /* it had been in the socket all the time */
    for (int i = 0; i < 10; i++)
        passes(r, 100);
    expect(r, "to n0: pong\n");
    rig_free(r);
}

static uint64_t stamp_of(const struct rig *r, uint32_t i)
{
    struct mu_reader in;
    uint64_t time_ms;

    assert_true(mu_entry_open(&in, r->entries[i].bytes.at, r->entries[i].bytes.size, &time_ms));
    return time_ms;
}

static void a_step_of_the_wall_clock_disturbs_nothing(void **state)
{
    static const int64_t steps[] = { 3600 * 1000, -3600 * 1000 };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(steps); i++) {
        struct rig *r = rig_new(1);
        uint64_t before, after;

        leads(r, 5);
        commit_all(r);
        before = stamp_of(r, 0);
        assert_int_equal(before, WALL0);
        r->now.wall_ms += (uint64_t)steps[i];
        passes(r, 8000);
        submit(r, "A", NULL, 1);
        turn(r);
        after = stamp_of(r, 1);
        assert_true(after >= before + 7000 && after <= before + 9000); /* 8 s, an eighth more or less */
        rig_free(r);
    }
}

static void what_is_due_is_proposed_in_time(void **state)
{
    struct rig *r = rig_with_node();
    struct mu_group_spec g = group_of(1);
    uint64_t wake_ms;

    (void)state;
    g.retries = 1;
    g.backoff_ms = 300;
    submit_spec(r, "A", NULL, &g, 1);
    turn(r);
    commit_all(r);
    agent_ended(r, 0, 1, 0, 1, 1);
    commit_all(r);
    forget_log(r);
    wake_ms = mu_ctl_wake_ms(r->ctl, r->now);
    assert_true(wake_ms > r->now.boot_ms && wake_ms <= r->now.boot_ms + 300);
    passes(r, 299);
    expect(r, "");
    passes(r, 1);
    expect(r, "append 6: due\n");
    commit(r);
    expect(r, "append 7: placed\n");
    rig_free(r);
}

/* ---- the rest ---- */

static void each_node_star_is_the_nodes_of_the_moment(void **state)
{
    struct rig *r = rig_with_node();
    struct mu_group_spec g = group_of(1);
    struct mu_str star = MU_STR_LIT("*");
    struct mu_job_view job;

    (void)state;
    agent_joins(r, 1, "b", "boot1");
    forget_log(r);
    g.each_node = (struct mu_strs){ &star, 1 };
    submit_spec(r, "A", NULL, &g, 1);
    turn(r);
    commit_all(r);
    assert_true(mu_view_job(mu_ctl_core(r->ctl), 1, &job));
    assert_int_equal(job.tasks, 2);
    expect(r, "append 4: submit\nreply A: ok 1\nappend 5: placed placed\nto n0: spec start 1.0/1\nto n1: spec start 1.1/1\n");
    g.node = MU_STR_LIT("nowhere");
    submit_spec(r, "B", NULL, &g, 1);
    expect(r, "reply B: impossible (each_node)\n");
    rig_free(r);
}

static void policies_are_checked_before_they_are_proposed(void **state)
{
    struct rig *r = rig_with_node();
    struct mu_event ev = { .kind = MU_EV_POLICY };
    struct mu_group_spec g = group_of(1);

    (void)state;
    ev.policy = (struct mu_ev_policy){ .kind = MU_STR_LIT("place"), .name = MU_STR_LIT("nonsense") };
    mu_ctl_request(r->ctl, r->now, &ev, "A");
    ev.policy.name = MU_STR_LIT("spread");
    mu_ctl_request(r->ctl, r->now, &ev, "B");
    g.place = MU_STR_LIT("nonsense");
    submit_spec(r, "C", NULL, &g, 1);
    turn(r);
    commit_all(r);
    forget_log(r);
    assert_true(mu_str_is(mu_view_policy(mu_ctl_core(r->ctl), "place").name, "spread"));
    rig_free(r);
}

static void a_snapshot_is_the_state_and_nothing_proposed(void **state)
{
    struct rig *r = rig_with_work(), *other = rig_new(1);
    struct mu_buf b = { 0 };
    uint64_t hash;

    (void)state;
    submit(r, "B", NULL, 4);
    turn(r); /* on its way */
    mu_ctl_save(r->ctl, &b);
    hash = mu_core_hash(mu_ctl_core(r->ctl));
    assert_int_equal(mu_ctl_load(other->ctl, mu_ctl_applied(r->ctl), b.at, b.size, NULL), MU_OK);
    assert_int_equal(mu_core_hash(mu_ctl_core(other->ctl)), hash);
    assert_int_equal(mu_ctl_applied(other->ctl), mu_ctl_applied(r->ctl));
    mu_core_check(mu_ctl_core(other->ctl));
    assert_true(mu_ctl_load(other->ctl, 1, "nonsense", 8, NULL) != MU_OK);
    assert_int_equal(mu_core_hash(mu_ctl_core(other->ctl)), hash);
    leads(other, 6);
    mu_buf_fini(&b);
    rig_free(r);
    rig_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_leaves_after_the_commit),
        cmocka_unit_test(entries_fly_side_by_side),
        cmocka_unit_test(an_entry_that_is_not_taken_stays),
        cmocka_unit_test(one_key_is_one_job),
        cmocka_unit_test(who_went_away_is_not_answered),
        cmocka_unit_test(what_is_waiting_when_the_lead_goes),
        cmocka_unit_test(limits_are_answers),
        cmocka_unit_test(a_full_journal_keeps_the_epoch),
        cmocka_unit_test(a_big_job_goes_in_parts_and_is_answered_once),
        cmocka_unit_test(nothing_is_left_of_half_a_job),
        cmocka_unit_test(a_stream_goes_on_where_its_first_lines_stopped),
        cmocka_unit_test(a_long_part_of_a_stream_is_cut),
        cmocka_unit_test(work_is_sent_after_the_commit_and_acknowledged_after_the_next),
        cmocka_unit_test(a_result_of_an_old_attempt_is_acknowledged_and_counted),
        cmocka_unit_test(a_cancel_reaches_the_node),
        cmocka_unit_test(who_may_join),
        cmocka_unit_test(a_server_that_does_not_lead_refuses_agents),
        cmocka_unit_test(both_sides_compare_when_a_node_comes_back),
        cmocka_unit_test(a_node_without_a_connection_is_given_nothing),
        cmocka_unit_test(a_node_that_leaves_is_given_nothing_and_loses_nothing),
        cmocka_unit_test(a_stop_is_said_again_when_the_node_comes_back),
        cmocka_unit_test(a_node_is_lost_after_its_lease_and_not_before),
        cmocka_unit_test(whoever_speaks_keeps_its_lease),
        cmocka_unit_test(a_new_leader_gives_every_node_a_fresh_lease),
        cmocka_unit_test(a_server_that_slept_does_not_blame_the_nodes),
        cmocka_unit_test(a_step_of_the_wall_clock_disturbs_nothing),
        cmocka_unit_test(what_is_due_is_proposed_in_time),
        cmocka_unit_test(each_node_star_is_the_nodes_of_the_moment),
        cmocka_unit_test(policies_are_checked_before_they_are_proposed),
        cmocka_unit_test(a_snapshot_is_the_state_and_nothing_proposed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
