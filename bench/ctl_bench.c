/* bench/ctl_bench.c -- tasks accepted, placed and ended per second through ctl, core, sched and the memory journal, with
 * agents in this process that end each task at once: the ceiling of the pure half, without sockets, disk and processes.
 *
 *   bench-ctl [TASKS]      first as arrays of 1,000, then as jobs of one task
 */
#include "base/assert.h"
#include "journal/journal.h"
#include "journal/memory/memory.h"
#include "server/ctl.h"

#include <stdio.h>
#include <time.h>

enum { AGENTS = 8, CPUS = 64, JOBS_OUT_MAX = 2000 };

struct post {
    void (*fn)(void *p);
    void *p;
};

/* A loop that only runs what was posted, in order. */
struct loop {
    struct post *posts;
    size_t head, tail, cap;
};

struct agent {
    struct bench *bench;
    struct mu_ctl_agent *ctl;
    struct mu_buf in, report; /* from the server; to it */
    uint64_t reports;
};

struct bench {
    struct loop loop;
    struct mu_journal_host host;
    struct mu_memory *memory;
    struct mu_journal *journal;
    struct mu_ctl *ctl;
    struct agent agents[AGENTS];
    struct mu_arena arena;
    struct mu_result *results;
    uint64_t tasks, per_job, submitted, answered, ended, entries, ctl_ns;
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Of this process only: the neighbours take none of it. */
static uint64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static struct mu_ctl_now now(void)
{
    return (struct mu_ctl_now){ .wall_ms = 1790000000000 + now_ns() / 1000000, .boot_ms = now_ns() / 1000000 };
}

static void host_post(void *arg, void (*fn)(void *p), void *p)
{
    struct loop *l = &((struct bench *)arg)->loop;

    if (l->tail - l->head == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 1024;
        struct post *posts = malloc(cap * sizeof *posts);
        MU_ASSERT(posts != NULL);
        for (size_t i = l->head; i != l->tail; i++)
            posts[i % cap] = l->posts[i % l->cap];
        free(l->posts);
        l->posts = posts;
        l->cap = cap;
    }
    l->posts[l->tail++ % l->cap] = (struct post){ fn, p };
}

static void *host_after(void *arg, uint64_t delay_ms, void (*fn)(void *p), void *p)
{
    if (delay_ms == 0)
        host_post(arg, fn, p); /* time-outs and leases do not matter here */
    return p;
}

static void host_cancel(void *arg, void *timer)
{
    (void)arg, (void)timer;
}

static uint64_t host_boot_ns(void *arg)
{
    (void)arg;
    return now_ns();
}

static void host_random(void *arg, void *bytes, size_t size)
{
    (void)arg;
    memset(bytes, 7, size);
}

static void journal_done(void *arg, uint64_t seq, enum mu_journal_end end)
{
    struct bench *b = arg;

    MU_ASSERT(end == MU_JOURNAL_OK);
    mu_ctl_on_done(b->ctl, now(), seq, (int)end);
}

static bool out_append(void *arg, uint64_t epoch, uint64_t seq, const void *bytes, size_t size)
{
    struct bench *b = arg;

    b->entries++;
    return mu_journal_append(b->journal, epoch, seq, bytes, size, journal_done, b) == MU_JOURNAL_OK;
}

static void out_send(void *arg, void *peer, const void *bytes, size_t size)
{
    (void)arg;
    mu_buf_add(&((struct agent *)peer)->in, bytes, size);
}

static void out_drop(void *arg, void *peer)
{
    (void)arg, (void)peer;
    MU_ASSERT(!"an agent was dropped");
}

static void out_reply(void *arg, void *token, const struct mu_ctl_reply *reply)
{
    (void)token;
    MU_ASSERT(reply->rc == MU_OK);
    ((struct bench *)arg)->answered++;
}

static void out_effect(void *arg, uint64_t seq, uint64_t time_ms, const struct mu_fx *fx)
{
    (void)seq, (void)time_ms;
    ((struct bench *)arg)->ended += fx->kind == MU_FX_ENDED;
}

static void out_agent_msg(void *arg, void *peer, const struct mu_msg *msg)
{
    (void)arg, (void)peer, (void)msg;
}

static void on_commit(void *arg, uint64_t seq, uint64_t epoch, const void *bytes, size_t size)
{
    struct bench *b = arg;
    uint64_t began = cpu_ns();

    mu_ctl_on_commit(b->ctl, now(), seq, epoch, bytes, size);
    b->ctl_ns += cpu_ns() - began;
}

static void on_lead(void *arg, uint64_t epoch, uint64_t next_seq)
{
    mu_ctl_on_lead(((struct bench *)arg)->ctl, now(), epoch, next_seq);
}

static void on_lost(void *arg, uint64_t epoch, enum mu_journal_end why)
{
    (void)arg, (void)epoch, (void)why;
    MU_ASSERT(!"the lead was lost");
}

static void on_hint(void *arg, const char *addr, uint64_t epoch)
{
    (void)arg, (void)addr, (void)epoch;
}

static void on_fatal(void *arg, enum mu_journal_end why, const struct mu_err *err)
{
    (void)arg, (void)why, (void)err;
    MU_ASSERT(!"the journal failed");
}

/* ---- agents: what is started has ended ---- */

static void agent_results(struct agent *a, const struct mu_msg_start *start)
{
    struct mu_msg_report report = { .seq = ++a->reports, .ended = a->bench->results, .ended_count = start->tasks_count };

    for (uint32_t i = 0; i < start->tasks_count; i++)
        a->bench->results[i] = (struct mu_result){ .job = start->tasks[i].job, .ordinal = start->tasks[i].ordinal,
                                                   .attempt = start->tasks[i].attempt, .run_us = 1000, .user_us = 900 };
    mu_frame_put(&a->report, MU_MSG_REPORT, 0, &report);
}

static void frames_read(struct bench *b, struct mu_buf *in, struct agent *a, bool at_server)
{
    size_t at = 0, used;
    struct mu_msg msg;
    struct mu_err err;

    for (; mu_arena_reset(&b->arena), mu_frame_take(in->at + at, in->size - at, &used, &msg, &b->arena, &err) == MU_OK; at += used) {
        if (!at_server && msg.type == MU_MSG_START)
            agent_results(a, &msg.start);
        else if (at_server)
            MU_ASSERT(mu_ctl_agent_msg(b->ctl, now(), a->ctl, &msg, &err));
    }
    mu_buf_clear(in);
}

static void agents_run(struct bench *b)
{
    uint64_t began;

    for (int i = 0; i < AGENTS; i++)
        frames_read(b, &b->agents[i].in, &b->agents[i], false);
    began = cpu_ns();
    for (int i = 0; i < AGENTS; i++)
        frames_read(b, &b->agents[i].report, &b->agents[i], true);
    b->ctl_ns += cpu_ns() - began;
}

static void agents_join(struct bench *b)
{
    for (int i = 0; i < AGENTS; i++) {
        struct agent *a = &b->agents[i];
        char name[16];
        int size = snprintf(name, sizeof name, "n%d", i);
        struct mu_msg_hello hello = { .name = { name, (uint32_t)size }, .boot = MU_STR_LIT("b"), .cpu_milli = CPUS * 1000,
                                      .mem_bytes = UINT64_C(64) << 30 };

        a->bench = b;
        a->ctl = mu_ctl_agent_open(b->ctl, now(), a, "local");
        mu_frame_put(&a->report, MU_MSG_HELLO, 0, &hello);
    }
}

/* ---- clients ---- */

static void submit_some(struct bench *b)
{
    static struct mu_str argv[] = { { "/bin/true", 9 } };
    struct mu_group_spec g = { .name = MU_STR_LIT("t"), .argv = { argv, 1 }, .tasks = (uint32_t)b->per_job, .array_step = 1,
                               .cpu_milli = 1000, .cwd = MU_STR_LIT("/tmp"), .is_array = b->per_job > 1 };
    struct mu_job_spec spec = { .name = MU_STR_LIT("bench"), .user = MU_STR_LIT("root"), .groups = &g, .groups_count = 1 };
    uint64_t began = cpu_ns();

    while (b->submitted * b->per_job < b->tasks && b->submitted - b->answered < JOBS_OUT_MAX / b->per_job + 1)
        mu_ctl_submit(b->ctl, now(), &spec, (void *)(uintptr_t)++b->submitted);
    b->ctl_ns += cpu_ns() - began;
}

static void turn(struct bench *b)
{
    uint64_t began = cpu_ns();

    mu_ctl_turn(b->ctl, now());
    b->ctl_ns += cpu_ns() - began;
}

static void loop_run(struct bench *b)
{
    struct loop *l = &b->loop;

    while (l->head != l->tail) {
        struct post post = l->posts[l->head++ % l->cap];
        post.fn(post.p);
    }
}

static void bench_begin(struct bench *b)
{
    struct mu_journal_user user = { .arg = b, .on_commit = on_commit, .on_lead = on_lead, .on_lost = on_lost, .on_hint = on_hint,
                                    .on_fatal = on_fatal };
    struct mu_ctl_out out = { .arg = b, .append = out_append, .send = out_send, .drop = out_drop, .reply = out_reply,
                              .effect = out_effect, .agent_msg = out_agent_msg };
    struct mu_journal_options jopt = { .host = &b->host };
    struct mu_ctl_options opt = mu_ctl_options_default;

    b->host = (struct mu_journal_host){ b, host_boot_ns, host_post, host_after, host_cancel, host_random };
    b->memory = mu_memory_new(&b->host, &(struct mu_memory_settings){ .seed = 1 });
    jopt.memory = b->memory;
    MU_ASSERT(mu_journal_open(&b->journal, "memory:bench", &jopt, &user, NULL) == MU_OK);
    opt.core_limits = mu_core_limits_default;
    opt.lease_ms = 3600 * 1000;
    memset(opt.cluster, 7, sizeof opt.cluster);
    b->ctl = mu_ctl_new(&opt, &out);
    b->results = calloc((size_t)CPUS * 1024, sizeof *b->results);
    MU_ASSERT(b->results != NULL);
    mu_journal_campaign(b->journal);
    while (!mu_ctl_leads(b->ctl))
        loop_run(b);
    agents_join(b);
}

static void bench_run(uint64_t tasks, uint64_t per_job, const char *what)
{
    struct bench *b = calloc(1, sizeof *b);
    uint64_t began, ns;

    MU_ASSERT(b != NULL);
    b->tasks = tasks;
    b->per_job = per_job;
    bench_begin(b);
    began = cpu_ns();
    while (b->ended < tasks) {
        submit_some(b);
        agents_run(b);
        turn(b);
        loop_run(b);
    }
    ns = cpu_ns() - began;
    printf("%-22s %9.0f tasks/s in all, %5.2f us a task; ctl + core + sched %5.2f us a task; %6.1f tasks an entry\n", what,
           (double)tasks * 1e9 / (double)ns, (double)ns / 1e3 / (double)tasks, (double)b->ctl_ns / 1e3 / (double)tasks,
           (double)tasks / (double)b->entries);
    mu_journal_close(b->journal);
    mu_ctl_free(b->ctl);
    mu_memory_free(b->memory);
    for (int i = 0; i < AGENTS; i++) {
        mu_buf_fini(&b->agents[i].in);
        mu_buf_fini(&b->agents[i].report);
    }
    mu_arena_fini(&b->arena);
    free(b->loop.posts);
    free(b->results);
    free(b);
}

int main(int argc, char **argv)
{
    uint64_t tasks = argc > 1 ? strtoull(argv[1], NULL, 10) : 500000;

    MU_ASSERT(tasks >= 1000);
    tasks -= tasks % 1000;
    bench_run(tasks, 1000, "arrays of 1,000");
    bench_run(tasks, 1, "jobs of one task");
    return 0;
}
