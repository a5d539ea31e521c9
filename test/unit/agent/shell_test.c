/* The real `muster agent` with its spawner, told by a server in this process. MUSTER_TEST_BINARY names the program. */
#include "fake_server.h"

#include "agent/spawner/spawner_proto.h"
#include "base/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { MANY = 10000, AHEAD = 256, DEADLINE_MS = 30000 };

static const struct mu_group_spec lines_spec = { .tasks = 1 << 20, .cpu_milli = 100, .lines = MU_STR_LIT("x\n"), .cwd = MU_STR_LIT("/tmp") };

/* Job 1 runs lines. */
static void begin(struct fake_server *s, const char *const *flags)
{
    fake_init(s);
    fake_agent_start(s, flags);
    fake_spec(s, 1, &lines_spec);
}

static void line(struct fake_server *s, uint32_t ordinal, const char *text)
{
    fake_start(s, 1, ordinal, 1, &text);
}

static void expect_output(struct fake_server *s, uint32_t ordinal, uint32_t stream, const char *want)
{
    fake_read(s, 1, ordinal, stream, 0, false);
    mu_buf_addc(&s->reader.data, '\0');
    assert_string_equal((char *)s->reader.data.at, want);
    s->reader.data.size--;
    assert_int_equal(s->reader.gap, 0);
}

/* The pid of the spawner, from the process table. */
static pid_t spawner_of(struct fake_server *s)
{
    char command[160], text[64] = "";
    FILE *p;

    snprintf(command, sizeof command, "pgrep -f '^muster-spawner .*%s'", s->dir);
    p = popen(command, "r");
    assert_non_null(p);
    assert_non_null(fgets(text, sizeof text, p));
    pclose(p);
    return (pid_t)strtol(text, NULL, 10);
}

/* Dead, be it that nobody has taken its status yet. */
static bool is_gone(pid_t pid)
{
    char path[32], text[512] = "", *state;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    state = read(fd, text, sizeof text - 1) > 0 ? strrchr(text, ')') : NULL;
    close(fd);
    return state == NULL || state[2] == 'Z' || state[2] == 'X';
}

static void await_gone(pid_t pid)
{
    uint64_t until = mu_boot_ms() + DEADLINE_MS;

    while (!is_gone(pid)) {
        assert_true(mu_boot_ms() < until);
        usleep(1000);
    }
}

/* The first number a running task has printed. */
static pid_t printed_pid(struct fake_server *s, uint32_t ordinal)
{
    uint64_t until = mu_boot_ms() + DEADLINE_MS;
    long pid = 0;

    while (pid == 0) {
        assert_true(mu_boot_ms() < until);
        fake_read(s, 1, ordinal, 1, 0, false);
        mu_buf_addc(&s->reader.data, '\0');
        if (strchr((char *)s->reader.data.at, '\n') != NULL)
            pid = strtol((char *)s->reader.data.at, NULL, 10);
    }
    return (pid_t)pid;
}

static void commands_run_as_written(void **state)
{
    const struct { const char *what; struct mu_group_spec spec; const char *line; uint32_t how, code; const char *out, *err; } cases[] = {
        { "a line without shell", { .tasks = 1, .lines = MU_STR_LIT("x\n") }, "echo 'a  b' c", MU_END_EXIT, 0, "a  b c\n", "" },
        { "a line with shell", { .tasks = 1, .lines = MU_STR_LIT("x\n") }, "echo a; exit 5", MU_END_EXIT, 5, "a\n", "" },
        { "argv", { .tasks = 1, .argv = { (struct mu_str[]){ MU_STR_LIT("printf"), MU_STR_LIT("%s|"), MU_STR_LIT("a b"), MU_STR_LIT("") }, 4 } },
          NULL, MU_END_EXIT, 0, "a b||", "" },
        { "script", { .tasks = 1, .script = MU_STR_LIT("x=1\necho $x\nexit 2\n") }, NULL, MU_END_EXIT, 2, "1\n", "" },
        { "script with #!", { .tasks = 1, .script = MU_STR_LIT("#!/usr/bin/env -S sh -e\necho x; false; echo y\n") }, NULL, MU_END_EXIT, 1, "x\n", "" },
        { "signal", { .tasks = 1, .script = MU_STR_LIT("kill -USR1 $$") }, NULL, MU_END_SIGNAL, SIGUSR1, "", "" },
        { "no program", { .tasks = 1, .lines = MU_STR_LIT("x\n") }, "/no/such/program", MU_END_NOSTART, ENOENT, "",
          "muster: cannot run /no/such/program: No such file or directory\n" },
        { "no directory", { .tasks = 1, .lines = MU_STR_LIT("x\n"), .cwd = MU_STR_LIT("/no/such") }, "true", MU_END_NOSTART,
          ENOENT | MU_NOSTART_CWD << 16, "", "muster: cannot change to directory /no/such: No such file or directory\n" },
        { "no user", { .tasks = 1, .lines = MU_STR_LIT("x\n"), .run_as = MU_STR_LIT("no-such-user") }, "true", MU_END_NOSTART,
          ENOENT | MU_NOSTART_USER << 16, "", "" },
        { "environment", { .tasks = 1, .script = MU_STR_LIT("env | grep -v -e ^PWD= -e ^_= -e ^HOME= -e SPAWN_ID -e ^SHLVL | sort"),
            .env = { (struct mu_str[]){ MU_STR_LIT("A=1"), MU_STR_LIT("A=2"), MU_STR_LIT("LANG=xx"), MU_STR_LIT("PATH=/bin:/usr/bin") }, 4 },
            .array_first = 0, .array_step = 1 }, NULL, MU_END_EXIT, 0,
          "A=2\nLANG=xx\nLOGNAME=me\nMUSTER_ARRAY_FIRST=0\nMUSTER_ARRAY_LAST=0\nMUSTER_ATTEMPT=1\nMUSTER_JOB_ID=19\nMUSTER_JOB_NAME=a job\n"
          "MUSTER_NODE=n1\nMUSTER_TASK_INDEX=0\nPATH=/bin:/usr/bin\nSHELL=/bin/sh\nTMPDIR=/tmp\nUSER=me\n", "" },
        { "timeout", { .tasks = 1, .script = MU_STR_LIT("echo begins; exec sleep 1000"), .timeout_ms = 200, .grace_ms = 1000 }, NULL,
          MU_END_TIMEOUT, SIGTERM, "begins\n", "" },
        { "timeout without mercy", { .tasks = 1, .script = MU_STR_LIT("trap '' TERM; while :; do sleep 1; done"), .timeout_ms = 100, .grace_ms = 100 },
          NULL, MU_END_TIMEOUT, SIGKILL, "", "" },
    };
    struct fake_server s;

    (void)state;
    setenv("USER", "me", 1), setenv("LOGNAME", "me", 1), setenv("SHELL", "/bin/sh", 1), setenv("TMPDIR", "/tmp", 1);
    unsetenv("LC_ALL"), unsetenv("TZ");
    fake_init(&s);
    fake_agent_start(&s, NULL);
    for (uint32_t i = 0; i < MU_COUNT(cases); i++) {
        uint64_t job = 10 + i;

        fake_spec(&s, job, &cases[i].spec);
        fake_start(&s, job, 0, 1, cases[i].line != NULL ? &cases[i].line : NULL);
        const struct fake_result *r = fake_await(&s, job, 0);
        for (uint32_t stream = 1; stream <= 2; stream++) {
            const char *want = stream == 1 ? cases[i].out : cases[i].err;
            uint64_t bytes = stream == 1 ? r->out_bytes : r->err_bytes;
            mu_buf_clear(&s.reader.data);
            if (bytes > 0)
                fake_read(&s, job, 0, stream, 0, true);
            mu_buf_addc(&s.reader.data, '\0');
            if (r->how != cases[i].how || r->code != cases[i].code || strcmp((char *)s.reader.data.at, want) != 0)
                fail_msg("%s: how %u code %x stream %u: '%s'", cases[i].what, r->how, r->code, stream, s.reader.data.at);
            assert_int_equal(bytes, strlen(want));
        }
    }
    fake_fini(&s);
}

static void output_is_followed_while_it_grows(void **state)
{
    struct fake_server s;

    (void)state;
    begin(&s, NULL);
    line(&s, 0, "for i in 1 2 3; do echo $i; sleep 0.2; done; echo x >&2; seq 100000");
    fake_read(&s, 1, 0, 1, 0, true);
    const struct fake_result *r = fake_await(&s, 1, 0);
    assert_int_equal(s.reader.gap, 0);
    assert_int_equal(s.reader.data.size, r->out_bytes);
    assert_memory_equal(s.reader.data.at, "1\n2\n3\n1\n2\n", 10);
    assert_memory_equal(s.reader.data.at + s.reader.data.size - 7, "100000\n", 7);
    fake_read(&s, 1, 0, 1, r->out_bytes - 7, false); /* from the middle */
    assert_int_equal(s.reader.data.size, 7);
    expect_output(&s, 0, 2, "x\n");
    fake_read(&s, 1, 99, 1, 0, false);
    assert_true(s.reader.failed); /* nobody knows it */
    line(&s, 1, "true");
    fake_read(&s, 1, 1, 1, 0, true); /* begins before it starts, ends though it writes nothing */
    assert_false(s.reader.failed);
    assert_int_equal(s.reader.data.size, 0);
    fake_fini(&s);
}

static void cancel_ends_all_of_it(void **state)
{
    struct fake_server s;

    (void)state;
    begin(&s, NULL);
    line(&s, 0, "echo $$; setsid sleep 1000 & wait");
    pid_t pid = printed_pid(&s, 0);
    fake_stop(&s, 1, 0, MU_END_CANCEL);
    assert_int_equal(fake_await(&s, 1, 0)->how, MU_END_CANCEL);
    await_gone(pid);
    fake_fini(&s);
}

/* kill -9 of the agent: what runs goes on, what ended is told, no byte is lost, nothing runs twice. */
static void a_killed_agent_is_missed_by_nobody(void **state)
{
    struct fake_server s;
    char evidence[128], text[256];

    (void)state;
    begin(&s, NULL);
    snprintf(evidence, sizeof evidence, "%s.evidence", s.dir);
    snprintf(text, sizeof text, "echo start >> %s; echo one; while [ ! -e %s.go ]; do sleep 0.01; done; echo two; exit 9", evidence, evidence);
    line(&s, 0, text);
    line(&s, 1, "echo quick; exit 3");
    pid_t pid = 0;
    for (int i = 0; i < 3; i++) {
        fake_await(&s, 1, 1);
        fake_read(&s, 1, 0, 1, 0, false);
        s.no_ack = true; /* results are owed when it dies */
        assert_int_equal(fake_agent_end(&s, SIGKILL), 128 + SIGKILL);
        pid = pid == 0 ? spawner_of(&s) : pid;
        assert_int_equal(spawner_of(&s), pid);
        s.no_ack = i < 2;
        fake_agent_start(&s, NULL);
        assert_true(s.refs_count >= 1 && s.refs[0].job == 1);
        fake_spec(&s, 1, &lines_spec);
        line(&s, 0, text); /* told again: it is not started again */
    }
    snprintf(text, sizeof text, "%s.go", evidence);
    close(open(text, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(fake_await(&s, 1, 0)->code, 9);
    expect_output(&s, 0, 1, "one\ntwo\n");
    expect_output(&s, 1, 1, "quick\n");
    assert_int_equal(unlink(text), 0);
    struct stat st;
    assert_int_equal(stat(evidence, &st), 0);
    assert_int_equal(st.st_size, 6); /* one "start\n" */
    unlink(evidence);
    fake_fini(&s);
}

/* Tasks that print once and exit, with the agent killed again and again: each byte is there in the end. */
static void no_output_of_many_is_lost(void **state)
{
    struct fake_server s;
    static char text[MANY][24];
    static const char *lines[MANY];
    uint32_t sent = 0, kills = 0;

    (void)state;
    begin(&s, NULL);
    for (uint32_t i = 0; i < MANY; i++) {
        snprintf(text[i], sizeof text[i], "echo '<%u>'", i);
        lines[i] = text[i];
    }
    while (s.ended < MANY) {
        uint32_t n = AHEAD - (sent - s.ended);
        n = n < MANY - sent ? n : MANY - sent;
        if (n > 0 && s.stream != NULL) {
            fake_start(&s, 1, sent, n, lines + sent);
            sent += n;
        }
        fake_turn(&s);
        if (kills < 3 && s.ended > (kills + 1) * MANY / 4) {
            kills++;
            fake_agent_end(&s, SIGKILL);
            fake_agent_start(&s, NULL);
            fake_spec(&s, 1, &lines_spec);
            for (uint32_t i = 0; i < sent; i++) /* as a server does: all that has not ended */
                if (fake_result(&s, 1, i) == NULL)
                    fake_start(&s, 1, i, 1, lines + i);
        }
    }
    for (uint32_t i = 0; i < MANY; i++) {
        char want[24];
        snprintf(want, sizeof want, "<%u>\n", i);
        assert_int_equal(fake_result(&s, 1, i)->how, MU_END_EXIT);
        assert_int_equal(fake_result(&s, 1, i)->out_bytes, strlen(want));
        if (i % 16 == 0 || i > MANY - 300)
            expect_output(&s, i, 1, want);
    }
    fake_fini(&s);
}

static void a_lost_spawner_ends_its_tasks(void **state)
{
    struct fake_server s;
    char boot[64];

    (void)state;
    begin(&s, NULL);
    line(&s, 0, "echo $$; setsid sleep 1000 & exec sleep 1000");
    pid_t pid = printed_pid(&s, 0), spawner = spawner_of(&s);
    memcpy(boot, s.boot, sizeof boot);
    assert_int_equal(kill(spawner, SIGKILL), 0);
    fake_until(&s, &s.hellos, 2);
    assert_true(is_gone(pid)); /* dead before anybody hears of it */
    assert_string_not_equal(s.boot, boot);
    assert_int_equal(fake_await(&s, 1, 0)->how, MU_END_NODE_LOST);
    fake_read(&s, 1, 0, 1, 0, false);
    assert_true(s.reader.data.size > 0); /* what it wrote is kept */
    fake_spec(&s, 1, &lines_spec);
    line(&s, 1, "echo again");
    assert_int_equal(fake_await(&s, 1, 1)->how, MU_END_EXIT);
    expect_output(&s, 1, 1, "again\n");
    /* both at once: the next agent ends what they left */
    line(&s, 2, "echo $$; exec sleep 1000");
    pid = printed_pid(&s, 2);
    spawner = spawner_of(&s);
    assert_int_equal(kill(s.agent, SIGSTOP), 0);
    assert_int_equal(kill(spawner, SIGKILL), 0);
    fake_agent_end(&s, SIGKILL);
    assert_int_equal(kill(pid, 0), 0);
    fake_agent_start(&s, NULL);
    assert_true(is_gone(pid));
    fake_fini(&s);
}

/* Nobody answers: all is dead before the lease is over, with the agent alive, stopped or dead. */
static void nothing_outlives_its_lease(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct fake_server s;

        fake_init(&s);
        s.lease_ms = 3000;
        fake_agent_start(&s, NULL);
        fake_spec(&s, 1, &lines_spec);
        line(&s, 0, "echo $$; trap '' TERM; while :; do sleep 1; done");
        pid_t pid = printed_pid(&s, 0);
        uint64_t from = mu_boot_ms();
        if (how == 0)
            s.mute = true;
        else
            assert_int_equal(kill(s.agent, how == 1 ? SIGSTOP : SIGKILL), 0);
        while (!is_gone(pid)) {
            assert_true(mu_boot_ms() < from + DEADLINE_MS);
            fake_turn(&s);
        }
        assert_true(mu_boot_ms() < from + 15000);
        s.mute = false;
        if (how == 1)
            kill(s.agent, SIGCONT);
        if (how == 2) {
            fake_agent_end(&s, SIGKILL); /* it is dead: only its status is taken */
            fake_agent_start(&s, NULL);
        }
        assert_int_equal(fake_await(&s, 1, 0)->how, MU_END_NODE_LOST);
        fake_fini(&s);
    }
}

static void keep_means_keep(void **state)
{
    struct fake_server s;

    (void)state;
    fake_init(&s);
    s.lease_ms = 500;
    fake_agent_start(&s, (const char *const[]){ "--on-disconnect", "keep", NULL });
    fake_spec(&s, 1, &lines_spec);
    line(&s, 0, "echo $$; while [ ! -e /tmp/muster-keep-$PPID ]; do sleep 0.01; done");
    pid_t pid = printed_pid(&s, 0);
    s.mute = true;
    uint32_t hellos = s.hellos;
    fake_until(&s, &s.hellos, hellos + 2); /* many leases long it goes from server to server */
    assert_int_equal(kill(pid, 0), 0);
    s.mute = false;
    fake_fini(&s);
    await_gone(pid);
}

static void stop_tasks_leaves_nothing(void **state)
{
    struct fake_server s;

    (void)state;
    begin(&s, (const char *const[]){ "--stop-tasks", NULL });
    line(&s, 0, "echo $$; trap 'exit 0' TERM; sleep 1000 & wait");
    pid_t pid = printed_pid(&s, 0), spawner = spawner_of(&s);
    assert_int_equal(kill(s.agent, SIGTERM), 0);
    fake_await(&s, 1, 0);
    assert_int_equal(fake_agent_end(&s, SIGTERM), 0);
    await_gone(pid);
    await_gone(spawner);
    fake_fini(&s);
}

static void output_is_bounded_and_says_so(void **state)
{
    struct fake_server s;

    (void)state;
    begin(&s, (const char *const[]){ "--stream-max", "1MiB", "--output-max", "4MiB", NULL });
    for (uint32_t i = 0; i < 8; i++) {
        line(&s, i, "yes 0123456 | head -c 3000000; echo end");
        fake_await(&s, 1, i);
    }
    const struct fake_result *r = fake_result(&s, 1, 7);
    fake_read(&s, 1, 7, 1, 0, false); /* a stream keeps its end */
    assert_int_equal(r->out_bytes, 3000004);
    assert_int_equal(s.reader.gap + s.reader.data.size, 3000004);
    assert_in_range(s.reader.data.size, 1 << 20, (1 << 20) + 8192);
    assert_memory_equal(s.reader.data.at + s.reader.data.size - 4, "end\n", 4);
    fake_read(&s, 1, 0, 1, 0, false); /* the oldest are gone */
    assert_true(s.reader.failed);
    fake_fini(&s);
}

static void a_memory_limit_is_enforced(void **state)
{
    struct mu_group_spec spec = { .tasks = 4, .mem_bytes = 32 << 20,
        .script = MU_STR_LIT("test $MUSTER_TASK_INDEX = 0 || exec head -c 200m /dev/zero | tail -c 1 | wc -c") };
    struct fake_server s;

    (void)state;
    begin(&s, NULL);
    print_message("%s\n", s.limits);
    fake_spec(&s, 2, &spec);
    fake_start(&s, 2, 0, 1, NULL);
    assert_int_equal(fake_await(&s, 2, 0)->how, MU_END_EXIT);
    if (strncmp(s.limits, "rlimits", 7) != 0) {
        spec.script = MU_STR_LIT("x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo ${#x}");
        fake_spec(&s, 3, &spec);
        fake_start(&s, 3, 0, 2, NULL);
        assert_int_equal(fake_await(&s, 3, 0)->how, MU_END_OOM);
        assert_int_equal(fake_await(&s, 3, 1)->how, MU_END_OOM);
        fake_start(&s, 2, 1, 1, NULL); /* its group is used again; the OOM was the other's */
        fake_await(&s, 2, 1);
        fake_spec(&s, 4, &(struct mu_group_spec){ .tasks = 1, .mem_bytes = 32 << 20, .script = MU_STR_LIT("exit 1") });
        fake_start(&s, 4, 0, 1, NULL);
        assert_int_equal(fake_await(&s, 4, 0)->how, MU_END_EXIT);
    }
    fake_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_run_as_written),
        cmocka_unit_test(output_is_followed_while_it_grows),
        cmocka_unit_test(cancel_ends_all_of_it),
        cmocka_unit_test(a_killed_agent_is_missed_by_nobody),
        cmocka_unit_test(no_output_of_many_is_lost),
        cmocka_unit_test(a_lost_spawner_ends_its_tasks),
        cmocka_unit_test(nothing_outlives_its_lease),
        cmocka_unit_test(keep_means_keep),
        cmocka_unit_test(stop_tasks_leaves_nothing),
        cmocka_unit_test(output_is_bounded_and_says_so),
        cmocka_unit_test(a_memory_limit_is_enforced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
