/* bench/fake_agents.c -- agents that end every task the moment it starts: what is left is the server's own work.
 *
 * usage: bench-agents URL TOKEN AGENTS CPUS     runs until it is killed; prints "joined N" once all are welcome
 */
#include "base/assert.h"
#include "io/connect.h"
#include "wire/proto.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PING_MS = 1000, AGENTS_MAX = 10000 };

struct fake {
    struct mu_loop *loop;
    struct mu_stream *stream;
    struct mu_timer *ping;
    struct mu_arena arena;
    struct mu_result *results;
    uint32_t results_cap;
    uint64_t seq, epoch;
    char name[32], boot[32];
    uint64_t cpus;
};

static uint32_t joined, wanted;

static void send_msg(struct fake *f, enum mu_msg_type type, const void *msg)
{
    mu_frame_put(mu_stream_out(f->stream), type, f->epoch, msg);
}

static void on_start(struct fake *f, const struct mu_msg_start *m)
{
    struct mu_msg_report report = { .seq = ++f->seq };

    if (m->tasks_count > f->results_cap) {
        f->results_cap = m->tasks_count * 2;
        f->results = realloc(f->results, f->results_cap * sizeof *f->results);
        MU_ASSERT(f->results != NULL);
    }
    for (uint32_t i = 0; i < m->tasks_count; i++)
        f->results[i] = (struct mu_result){ .job = m->tasks[i].job, .ordinal = m->tasks[i].ordinal, .attempt = m->tasks[i].attempt,
                                            .how = MU_END_EXIT, .run_us = 700, .user_us = 300, .sys_us = 300, .rss_bytes = 1u << 20 };
    report.ended = f->results;
    report.ended_count = m->tasks_count;
    send_msg(f, MU_MSG_REPORT, &report);
}

static void on_ping(void *arg)
{
    struct fake *f = arg;
    struct mu_msg_ping ping = { .sent_us = mu_boot_ns() / 1000 };

    send_msg(f, MU_MSG_PING, &ping);
    mu_timer_start(f->ping, PING_MS);
}

static void on_msg(struct fake *f, const struct mu_msg *m)
{
    if (m->type == MU_MSG_WELCOME) {
        f->epoch = m->epoch;
        mu_timer_start(f->ping, PING_MS);
        if (++joined == wanted) {
            printf("joined %u\n", joined);
            fflush(stdout);
        }
    } else if (m->type == MU_MSG_START) {
        on_start(f, &m->start);
    } else if (m->type == MU_MSG_REFUSE) {
        fprintf(stderr, "refused: " MU_STR_FMT "\n", MU_STR_ARG(m->refuse.text));
        exit(1);
    }
}

static size_t on_data(void *arg, const uint8_t *bytes, size_t size)
{
    struct fake *f = arg;
    size_t done = 0, used;
    struct mu_msg m;
    struct mu_err err = { 0 };

    for (;;) {
        enum mu_rc rc = mu_frame_take(bytes + done, size - done, &used, &m, &f->arena, &err);
        if (rc == MU_AGAIN)
            return done;
        if (rc != MU_OK) {
            fprintf(stderr, "bad frame: %s\n", err.text);
            exit(1);
        }
        on_msg(f, &m);
        mu_arena_reset(&f->arena);
        done += used;
    }
}

static void on_close(void *arg, const struct mu_err *err)
{
    (void)arg;
    fprintf(stderr, "closed: %s\n", err->text);
    exit(0);
}

static void on_up(void *arg, struct mu_stream *s, const struct mu_connect_end *end)
{
    static const struct mu_stream_user user = { .on_data = on_data, .on_close = on_close };
    struct fake *f = arg;
    struct mu_msg_hello hello = { 0 };

    if (s == NULL) {
        fprintf(stderr, "connect: %s\n", end->err.text);
        exit(1);
    }
    f->stream = s;
    mu_stream_limit(s, &(struct mu_stream_limits){ .in_max = MU_FRAME_MAX + MU_FRAME_HEAD });
    mu_stream_own(s, &user, f);
    f->ping = mu_timer_new(f->loop, on_ping, f);
    hello.name = mu_str_of(f->name);
    hello.boot = mu_str_of(f->boot);
    hello.version = MU_STR_LIT("bench");
    hello.cpu_milli = f->cpus * 1000;
    hello.mem_bytes = UINT64_C(1) << 40;
    hello.limits = MU_STR_LIT("none");
    send_msg(f, MU_MSG_HELLO, &hello);
}

int main(int argc, char **argv)
{
    struct mu_loop *loop;
    struct mu_upgrade_options opt = { .target = "/v1/agent", .protocol = "muster-agent" };
    struct fake *fakes;

    if (argc != 5) {
        fprintf(stderr, "usage: %s URL TOKEN AGENTS CPUS\n", argv[0]);
        return 2;
    }
    wanted = (uint32_t)strtoul(argv[3], NULL, 10);
    if (wanted == 0 || wanted > AGENTS_MAX)
        return 2;
    MU_ASSERT(mu_loop_open(&loop, NULL) == MU_OK);
    fakes = calloc(wanted, sizeof *fakes);
    MU_ASSERT(fakes != NULL);
    opt.url = argv[1];
    opt.token = argv[2];
    for (uint32_t i = 0; i < wanted; i++) {
        fakes[i].loop = loop;
        fakes[i].cpus = strtoull(argv[4], NULL, 10);
        snprintf(fakes[i].name, sizeof fakes[i].name, "fake%u", i);
        snprintf(fakes[i].boot, sizeof fakes[i].boot, "boot%u-%d", i, (int)getpid());
        mu_upgrade(loop, &opt, on_up, &fakes[i]);
    }
    mu_loop_run(loop);
    return 0;
}
