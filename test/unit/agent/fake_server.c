#include "fake_server.h"

#include "base/assert.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEADLINE_MS = 30000, READ_LIMIT = 100 * 1000 };

extern char **environ;

static uint64_t key_of(uint64_t job, uint32_t ordinal, uint32_t attempt)
{
    return mu_task_key(job, ordinal) * 16 + attempt;
}

void fake_say(struct fake_server *s, enum mu_msg_type type, const void *msg)
{
    MU_ASSERT(s->stream != NULL);
    mu_buf_clear(&s->frame);
    mu_frame_put(&s->frame, type, s->epoch, msg);
    mu_stream_write(s->stream, s->frame.at, s->frame.size);
}

static void on_hello(struct fake_server *s, const struct mu_msg_hello *h)
{
    static const uint8_t cluster[16] = "a test's cluster";

    snprintf(s->boot, sizeof s->boot, MU_STR_FMT, MU_STR_ARG(h->boot));
    snprintf(s->limits, sizeof s->limits, MU_STR_FMT, MU_STR_ARG(h->limits));
    s->refs_count = h->attempts_count < MU_COUNT(s->refs) ? h->attempts_count : MU_COUNT(s->refs);
    if (s->refs_count > 0)
        memcpy(s->refs, h->attempts, s->refs_count * sizeof s->refs[0]);
    s->hellos++;
    if (s->mute)
        return;
    fake_say(s, MU_MSG_WELCOME, &(struct mu_msg_welcome){ .cluster = { (const char *)cluster, 16 }, .node = 1, .lease_ms = s->lease_ms });
}

static void on_report(struct fake_server *s, const struct mu_msg_report *r)
{
    s->started += r->started_count;
    for (uint32_t i = 0; i < r->ended_count; i++) {
        const struct mu_result *e = &r->ended[i];
        uint64_t key = key_of(e->job, e->ordinal, e->attempt);
        struct fake_result *known = mu_map_get_ptr(&s->results, key);

        if (known == NULL) {
            known = calloc(1, sizeof *known);
            MU_ASSERT(known != NULL);
            *known = (struct fake_result){ e->job, e->ordinal, e->attempt, e->how, e->code, 0, e->out_bytes, e->err_bytes, e->run_us, e->rss_bytes };
            mu_map_put_ptr(&s->results, key, known);
            s->ended++;
        }
        known->times++;
        MU_ASSERT(known->how == e->how && known->code == e->code); /* one result for ever */
    }
    if (!s->no_ack)
        fake_say(s, MU_MSG_ACK, &(struct mu_msg_ack){ r->seq });
}

static void on_output(struct fake_server *s, const struct mu_msg_output_data *d)
{
    struct fake_reader *r = &s->reader;

    if (d->req != r->req)
        return;
    r->gap += d->gap;
    if (d->data.size > 0)
        mu_buf_add(&r->data, d->data.at, d->data.size);
    r->failed = d->error.size > 0;
    r->ended = r->ended || d->end || r->failed;
}

static void on_msg(struct fake_server *s, const struct mu_msg *m)
{
    switch (m->type) {
    case MU_MSG_HELLO: on_hello(s, &m->hello); break;
    case MU_MSG_REPORT: on_report(s, &m->report); break;
    case MU_MSG_PING:
        if (!s->mute)
            fake_say(s, MU_MSG_PONG, &(struct mu_msg_pong){ m->ping.sent_us });
        break;
    case MU_MSG_OUTPUT_DATA: on_output(s, &m->output_data); break;
    default: MU_ASSERT(!"a message no agent may send");
    }
}

static size_t on_data(void *arg, const uint8_t *bytes, size_t size)
{
    static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: muster-agent\r\n\r\n";
    struct fake_server *s = arg;
    size_t at = 0, used;

    if (!s->upgraded) {
        const uint8_t *end = memmem(bytes, size, "\r\n\r\n", 4);
        if (end == NULL)
            return 0;
        MU_ASSERT(memmem(bytes, size, "Bearer test-token-0123456789", 28) != NULL);
        at = (size_t)(end - bytes) + 4;
        s->upgraded = true;
        mu_stream_write(s->stream, answer, sizeof answer - 1);
    }
    for (struct mu_msg m; at < size; at += used) {
        mu_arena_reset(&s->arena);
        enum mu_rc rc = mu_frame_take(bytes + at, size - at, &used, &m, &s->arena, NULL);
        if (rc == MU_AGAIN)
            break;
        MU_ASSERT(rc == MU_OK);
        on_msg(s, &m);
    }
    return at;
}

static void on_close(void *arg, const struct mu_err *err)
{
    struct fake_server *s = arg;

    (void)err;
    s->stream = NULL;
}

static void on_accept(void *arg, struct mu_stream *stream)
{
    static const struct mu_stream_user user = { .on_data = on_data, .on_close = on_close };
    static const struct mu_stream_limits limits = { .in_max = MU_FRAME_HEAD + MU_FRAME_MAX + MU_STREAM_READ };
    struct fake_server *s = arg;

    mu_stream_close(s->stream);
    s->stream = stream;
    s->upgraded = false;
    mu_stream_limit(stream, &limits);
    mu_stream_own(stream, &user, s);
}

void fake_init(struct fake_server *s)
{
    *s = (struct fake_server){ .epoch = 3, .lease_ms = 60000, .dir = "/tmp/muster-agent-XXXXXX" };
    MU_ASSERT(mkdtemp(s->dir) != NULL);
    MU_ASSERT(mu_loop_open(&s->loop, NULL) == MU_OK);
    MU_ASSERT(mu_listen(&s->listener, s->loop, "127.0.0.1:0", &(struct mu_listen_options){ 0 }, on_accept, s, NULL) == MU_OK);
}

void fake_agent_start(struct fake_server *s, const char *const *flags)
{
    const char *program = getenv("MUSTER_TEST_BINARY");
    char url[128];
    const char *argv[32] = { "muster", "agent", "--server", url, "--data", s->dir, "--name", "n1", "--token", "test-token-0123456789",
                             "--cpus", "2" };
    uint32_t n = 12, hellos = s->hellos;
    pid_t pid;

    MU_ASSERT(program != NULL);
    snprintf(url, sizeof url, "http://%s", mu_listener_addr(s->listener));
    while (flags != NULL && *flags != NULL)
        argv[n++] = *flags++;
    MU_ASSERT(posix_spawn(&pid, program, NULL, NULL, (char **)argv, environ) == 0);
    s->agent = pid;
    fake_until(s, &s->hellos, hellos + 1);
}

int fake_agent_end(struct fake_server *s, int signo)
{
    int status = 0;

    MU_ASSERT(kill(s->agent, signo) == 0);
    MU_ASSERT(waitpid(s->agent, &status, 0) == s->agent);
    s->agent = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void fake_fini(struct fake_server *s)
{
    struct mu_map_slot slot;
    char command[128];

    if (s->agent == 0) /* whoever is left must go */
        fake_agent_start(s, (const char *const[]){ "--stop-tasks", NULL });
    else if (fake_agent_end(s, SIGTERM) == 0)
        fake_agent_start(s, (const char *const[]){ "--stop-tasks", NULL });
    MU_ASSERT(fake_agent_end(s, SIGTERM) == 0);
    for (uint32_t i = 0; (i = mu_map_next(&s->results, i, &slot)) != 0;)
        free((void *)(uintptr_t)slot.value);
    mu_map_fini(&s->results);
    mu_buf_fini(&s->reader.data);
    mu_buf_fini(&s->frame);
    mu_arena_fini(&s->arena);
    mu_stream_close(s->stream);
    mu_listener_close(s->listener);
    mu_loop_close(s->loop);
    snprintf(command, sizeof command, "rm -rf %s", s->dir);
    MU_ASSERT(system(command) == 0);
}

void fake_turn(struct fake_server *s)
{
    mu_loop_turn(s->loop, 10);
}

void fake_until(struct fake_server *s, const uint32_t *what, uint32_t at_least)
{
    uint64_t until = mu_boot_ms() + DEADLINE_MS;

    while (*what < at_least) {
        MU_ASSERT(mu_boot_ms() < until);
        fake_turn(s);
    }
}

void fake_spec(struct fake_server *s, uint64_t job, const struct mu_group_spec *spec)
{
    struct mu_buf b = { 0 };

    mu_pb_put(&b, &mu_group_spec_pb, spec);
    fake_say(s, MU_MSG_SPEC, &(struct mu_msg_spec){ .job = job, .spec = mu_buf_str(&b), .job_name = MU_STR_LIT("a job"),
                                                    .user = MU_STR_LIT("root"), .tasks = spec->tasks });
    mu_buf_fini(&b);
}

void fake_start(struct fake_server *s, uint64_t job, uint32_t first, uint32_t count, const char *const *lines)
{
    struct mu_start *starts = calloc(count, sizeof *starts);

    MU_ASSERT(starts != NULL);
    for (uint32_t i = 0; i < count; i++)
        starts[i] = (struct mu_start){ .job = job, .ordinal = first + i, .attempt = 1, .index = first + i,
                                       .line = mu_str_of(lines != NULL ? lines[i] : NULL) };
    fake_say(s, MU_MSG_START, &(struct mu_msg_start){ starts, count });
    free(starts);
}

void fake_stop(struct fake_server *s, uint64_t job, uint32_t ordinal, enum mu_end how)
{
    struct mu_stop stop = { job, ordinal, 1, how };

    fake_say(s, MU_MSG_STOP, &(struct mu_msg_stop){ &stop, 1 });
}

const struct fake_result *fake_result(struct fake_server *s, uint64_t job, uint32_t ordinal)
{
    return mu_map_get_ptr(&s->results, key_of(job, ordinal, 1));
}

const struct fake_result *fake_await(struct fake_server *s, uint64_t job, uint32_t ordinal)
{
    uint64_t until = mu_boot_ms() + DEADLINE_MS;

    while (fake_result(s, job, ordinal) == NULL) {
        MU_ASSERT(mu_boot_ms() < until);
        fake_turn(s);
    }
    return fake_result(s, job, ordinal);
}

/* In pieces, as a server does that waits for its own reader. */
void fake_read(struct fake_server *s, uint64_t job, uint32_t ordinal, uint32_t stream, uint64_t offset, bool follow)
{
    struct fake_reader *r = &s->reader;
    uint64_t until = mu_boot_ms() + DEADLINE_MS;

    mu_buf_clear(&r->data);
    r->ended = r->failed = false;
    r->gap = 0;
    while (!r->ended) {
        size_t before = r->data.size;
        struct mu_msg_output_get get = { .req = ++r->req, .job = job, .ordinal = ordinal, .attempt = 1, .stream = stream,
            .offset = offset + r->gap + before, .follow = follow, .limit = READ_LIMIT };

        fake_say(s, MU_MSG_OUTPUT_GET, &get);
        while (!r->ended && r->data.size < before + READ_LIMIT) {
            MU_ASSERT(mu_boot_ms() < until);
            fake_turn(s);
        }
    }
}
