/* The spawner as a real program with real processes: MUSTER_TEST_SPAWNER names it. Nothing here waits for a time to pass;
 * what must happen is awaited with a deadline. */
#include "agent/spawner/spawner_proto.h"
#include "base/assert.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

enum { DEADLINE_MS = 20000, MANY = 2000 };

extern char **environ;

struct rig {
    char dir[64];
    pid_t spawner;
    int fd;
    uint64_t next_id;
    struct mu_sp_welcome welcome;
    struct mu_buf in;
};

struct job { /* what differs from a plain shell command */
    const char *sh, *cwd, *in, *out, *err, *script;
    const char *argv[8];
    const char *env[8];
    uint32_t flags, uid, gid, lane, lane_max;
};

/* The spawner, from outside. */

static void rig_send(struct rig *r, const void *bytes, size_t size)
{
    assert_int_equal(send(r->fd, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
}

/* The next frame into out; its type, 0 when the connection ended. */
static uint32_t rig_next(struct rig *r, struct mu_sp_task *out)
{
    size_t used;

    while ((used = mu_sp_frame(r->in.at, r->in.size, false)) == 0) {
        struct pollfd p = { .fd = r->fd, .events = POLLIN };

        assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
        ssize_t n = read(r->fd, mu_buf_room(&r->in, 65536), 65536);
        if (n <= 0)
            return 0;
        r->in.size += (size_t)n;
    }
    assert_true(used != SIZE_MAX);
    memset(out, 0, sizeof *out);
    memcpy(out, r->in.at, used < sizeof *out ? used : sizeof *out);
    if (out->head.type == MU_SP_WELCOME)
        memcpy(&r->welcome, r->in.at, sizeof r->welcome);
    uint32_t type = out->head.type;
    mu_buf_drop(&r->in, used);
    return type;
}

static struct mu_sp_task rig_await(struct rig *r, uint32_t type)
{
    struct mu_sp_task t;

    for (;;) {
        uint32_t got = rig_next(r, &t);
        assert_true(got != 0);
        if (got == type)
            return t;
    }
}

static void rig_connect(struct rig *r)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    struct mu_sp_hello h = { { sizeof h, MU_SP_HELLO }, MU_SP_VERSION, 1 };

    snprintf(at.sun_path, sizeof at.sun_path, "%s/" MU_SP_SOCKET, r->dir);
    r->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    for (int i = 0; connect(r->fd, (struct sockaddr *)&at, sizeof at) != 0; i++) {
        assert_true(i < DEADLINE_MS);
        usleep(1000);
    }
    mu_buf_clear(&r->in);
    rig_send(r, &h, sizeof h);
}

static void rig_disconnect(struct rig *r)
{
    close(r->fd);
    r->fd = -1;
}

static void rig_init(struct rig *r)
{
    const char *program = getenv("MUSTER_TEST_SPAWNER");
    char *argv[] = { (char *)program, r->dir, NULL };

    assert_non_null(program);
    *r = (struct rig){ .dir = "/tmp/muster-spawner-XXXXXX" };
    assert_non_null(mkdtemp(r->dir));
    chmod(r->dir, 0755); /* tasks of other users work in it */
    assert_int_equal(posix_spawn(&r->spawner, program, NULL, NULL, argv, environ), 0);
    rig_connect(r);
    rig_await(r, MU_SP_LISTED);
    assert_int_equal(r->welcome.tasks, 0);
}

static void rig_fini(struct rig *r)
{
    struct mu_sp_quit q = { { sizeof q, MU_SP_QUIT }, 0 };
    char command[128];
    int status;

    rig_send(r, &q, sizeof q);
    assert_int_equal(waitpid(r->spawner, &status, 0), r->spawner);
    assert_int_equal(status, 0);
    rig_disconnect(r);
    mu_buf_fini(&r->in);
    snprintf(command, sizeof command, "rm -rf %s", r->dir);
    assert_int_equal(system(command), 0);
}

static void add_string(struct mu_buf *b, const char *s)
{
    mu_buf_add(b, s != NULL ? s : "", s != NULL ? strlen(s) + 1 : 1);
}

static uint64_t rig_spawn(struct rig *r, const struct job *j)
{
    struct mu_sp_spawn s = { .head.type = MU_SP_SPAWN, .id = ++r->next_id, .job = 7, .ordinal = (uint32_t)r->next_id, .attempt = 1,
        .timeout_ms = 11, .grace_ms = 12, .flags = j->flags, .uid = j->uid, .gid = j->gid, .envc = 1, .lane = j->lane, .lane_max = j->lane_max };
    const char *sh[] = { "/bin/sh", "-c", j->sh, NULL }, *const *argv = j->sh != NULL ? sh : j->argv;
    char mark[80];
    struct mu_buf b = { 0 };

    while (argv[s.argc] != NULL)
        s.argc++;
    while (j->env[s.envc - 1] != NULL)
        s.envc++;
    snprintf(mark, sizeof mark, MU_SP_MARK "=%s-%llu", r->welcome.boot, (unsigned long long)s.id);
    mu_buf_add(&b, &s, sizeof s);
    add_string(&b, j->cwd != NULL ? j->cwd : "/");
    add_string(&b, j->in);
    add_string(&b, j->out);
    add_string(&b, j->err);
    add_string(&b, j->script);
    for (uint32_t i = 0; i < s.argc; i++)
        add_string(&b, argv[i]);
    add_string(&b, mark);
    for (uint32_t i = 0; i + 1 < s.envc; i++)
        add_string(&b, j->env[i]);
    s.head.size = (uint32_t)b.size;
    memcpy(b.at, &s.head, sizeof s.head);
    rig_send(r, b.at, b.size);
    mu_buf_fini(&b);
    return s.id;
}

static void rig_kill(struct rig *r, uint64_t id, int signal, uint32_t why)
{
    struct mu_sp_kill k = { { sizeof k, MU_SP_KILL }, id, (uint32_t)signal, why };

    rig_send(r, &k, sizeof k);
}

static void rig_forget(struct rig *r, uint64_t id)
{
    struct mu_sp_forget f = { { sizeof f, MU_SP_FORGET }, id };

    rig_send(r, &f, sizeof f);
}

/* Text of a file, relative to the spawner's directory. */
static char *rig_file(struct rig *r, const char *name, char *text, size_t size)
{
    char path[256];
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "%s/%s", r->dir, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd >= 0 ? read(fd, text, size - 1) : 0;
    text[n > 0 ? n : 0] = '\0';
    close(fd);
    return text;
}

static char *rig_output(struct rig *r, const struct mu_sp_task *t, const char *suffix, char *text, size_t size)
{
    char name[64];

    snprintf(name, sizeof name, MU_SP_SLOT_DIR "/%u.%s", t->slot, suffix);
    return t->slot == MU_SP_SLOT_NONE ? (*text = '\0', text) : rig_file(r, name, text, size);
}

/* Take the bytes as an agent does, give the slot back and forget. */
static void rig_done(struct rig *r, const struct mu_sp_task *t)
{
    struct mu_sp_slot s = { { sizeof s, MU_SP_SLOT }, t->id, t->slot, 0 };
    char path[256];

    if (t->slot != MU_SP_SLOT_NONE) {
        snprintf(path, sizeof path, "%s/" MU_SP_SLOT_DIR "/%u.out", r->dir, t->slot);
        assert_int_equal(truncate(path, 0), 0);
        snprintf(path, sizeof path, "%s/" MU_SP_SLOT_DIR "/%u.err", r->dir, t->slot);
        assert_int_equal(truncate(path, 0), 0);
        rig_send(r, &s, sizeof s);
    }
    rig_forget(r, t->id);
}

static struct mu_sp_task rig_run(struct rig *r, const struct job *j)
{
    uint64_t id = rig_spawn(r, j);
    struct mu_sp_task t = rig_await(r, MU_SP_EXITED);

    assert_int_equal(t.id, id);
    assert_int_equal(t.state, MU_SP_ENDED);
    return t;
}

static void await_gone(pid_t pid)
{
    for (int i = 0; kill(pid, 0) == 0; i++) {
        assert_true(i < DEADLINE_MS);
        usleep(1000);
    }
    assert_int_equal(errno, ESRCH);
}

/* Tests. */

static void ends_are_told_exactly(void **state)
{
    static const struct { const char *what; struct job job; uint32_t how, code; const char *out, *err; } cases[] = {
        { "success", { .sh = "exit 0" }, MU_SP_EXIT, 0, "", "" },
        { "exit status", { .sh = "exit 37" }, MU_SP_EXIT, 37, "", "" },
        { "signal", { .sh = "kill -9 $$" }, MU_SP_SIGNAL, 9, "", "" },
        { "a signal its parent ignores", { .sh = "kill -PIPE $$" }, MU_SP_SIGNAL, SIGPIPE, "", "" },
        { "output", { .sh = "echo a; echo b >&2; echo c" }, MU_SP_EXIT, 0, "a\nc\n", "b\n" },
        { "arguments", { .argv = { "/bin/echo", "a  b", "", "c" } }, MU_SP_EXIT, 0, "a  b  c\n", "" },
        { "missing program", { .argv = { "/no/such/program" } }, MU_SP_NOSTART, ENOENT, "",
          "muster: cannot run /no/such/program: No such file or directory\n" },
        { "missing along PATH", { .argv = { "no-such-program" }, .env = { "PATH=/usr/bin:/bin" }, .flags = MU_SP_SEARCH },
          MU_SP_NOSTART, ENOENT, "", "muster: cannot run no-such-program: No such file or directory\n" },
        { "no program", { .argv = { "/etc/passwd" } }, MU_SP_NOSTART, EACCES, "", "muster: cannot run /etc/passwd: Permission denied\n" },
        { "a directory", { .argv = { "/" } }, MU_SP_NOSTART, EACCES, "", "muster: cannot run /: Permission denied\n" },
        { "found along PATH", { .argv = { "echo", "x" }, .env = { "PATH=/no/such:/usr/bin:/bin" }, .flags = MU_SP_SEARCH },
          MU_SP_EXIT, 0, "x\n", "" },
        { "not looked up unless asked", { .argv = { "echo", "x" } }, MU_SP_NOSTART, ENOENT, "",
          "muster: cannot run echo: No such file or directory\n" },
        { "missing directory", { .sh = "pwd", .cwd = "/no/such" }, MU_SP_NOSTART, ENOENT | 1 << 16, "",
          "muster: cannot change to directory /no/such: No such file or directory\n" },
        { "directory", { .sh = "pwd", .cwd = "/usr" }, MU_SP_EXIT, 0, "/usr\n", "" },
        { "stdin is empty", { .sh = "cat; echo end" }, MU_SP_EXIT, 0, "end\n", "" },
        { "stdin from a file", { .sh = "head -c 5", .in = "/etc/passwd" }, MU_SP_EXIT, 0, "root:", "" },
        { "missing stdin", { .sh = "cat", .in = "no-such", .cwd = "/usr" }, MU_SP_NOSTART, ENOENT | 2 << 16, "",
          "muster: cannot open stdin no-such: No such file or directory\n" },
        { "missing stdout directory", { .sh = "echo", .out = "/no/such/file" }, MU_SP_NOSTART, ENOENT | 3 << 16, "",
          "muster: cannot open stdout /no/such/file: No such file or directory\n" },
        { "no other files are open", { .sh = "cd /proc/self/fd; echo *" }, MU_SP_EXIT, 0, "0 1 2 3\n", "" }, /* 3: the one it reads */
        { "umask", { .sh = "umask" }, MU_SP_EXIT, 0, "0022\n", "" },
        { "own session", { .sh = "set -- $(cat /proc/$$/stat); test $5 = $$ && test $6 = $$" }, MU_SP_EXIT, 0, "", "" },
        { "no signal blocked or ignored", { .sh = "grep -E '^Sig(Blk|Ign):' /proc/$$/status | tr -d '\\n\\t'" }, MU_SP_EXIT, 0,
          "SigBlk:0000000000000000SigIgn:0000000000000000", "" },
        { "no new privileges", { .sh = "grep NoNewPrivs: /proc/$$/status" }, MU_SP_EXIT, 0, "NoNewPrivs:\t1\n", "" },
        { "new privileges", { .sh = "grep NoNewPrivs: /proc/$$/status", .flags = MU_SP_NEWPRIVS }, MU_SP_EXIT, 0, "NoNewPrivs:\t0\n", "" },
        { "script", { .argv = { "s", "x" }, .script = "#!/bin/sh\necho $1 ${0##*/}\n", .flags = MU_SP_SCRIPT }, MU_SP_EXIT, 0, "x 3\n", "" },
        { "bad interpreter", { .argv = { "s" }, .script = "#!/no/such\n", .flags = MU_SP_SCRIPT }, MU_SP_NOSTART, ENOENT, "",
          "muster: cannot run s: No such file or directory\n" },
    };
    struct rig r;

    (void)state;
    rig_init(&r);
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        char out[4096], err[4096];
        struct mu_sp_task t = rig_run(&r, &cases[i].job);

        rig_output(&r, &t, "out", out, sizeof out);
        rig_output(&r, &t, "err", err, sizeof err);
        if (t.how != cases[i].how || t.code != cases[i].code || strcmp(out, cases[i].out) != 0 || strcmp(err, cases[i].err) != 0)
            fail_msg("%s: how %u code %x out '%s' err '%s'", cases[i].what, t.how, t.code, out, err);
        assert_int_equal(t.out_bytes, strlen(out));
        assert_int_equal(t.err_bytes, strlen(err));
        rig_done(&r, &t);
    }
    rig_fini(&r);
}

static void the_environment_is_what_was_given(void **state)
{
    struct rig r;
    char out[512], want[512];

    (void)state;
    rig_init(&r);
    struct mu_sp_task t = rig_run(&r, &(struct job){ .argv = { "/usr/bin/env" }, .env = { "A=1", "B=x y", "EMPTY=" } });
    snprintf(want, sizeof want, MU_SP_MARK "=%s-1\nA=1\nB=x y\nEMPTY=\n", r.welcome.boot);
    assert_string_equal(rig_output(&r, &t, "out", out, sizeof out), want);
    rig_done(&r, &t);
    rig_fini(&r);
}

static void use_and_time_are_measured(void **state)
{
    struct rig r;

    (void)state;
    rig_init(&r);
    struct mu_sp_task t = rig_run(&r, &(struct job){ .sh = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done" });
    assert_true(t.user_us + t.sys_us > 0);
    assert_true(t.run_us > 0 && t.run_us + 1000 >= (t.user_us + t.sys_us) / 2);
    assert_true(t.rss_bytes > 100 * 1024);
    rig_done(&r, &t);
    rig_fini(&r);
}

static void a_program_without_header_runs_in_the_shell(void **state)
{
    struct rig r;
    char path[128], out[256];

    (void)state;
    rig_init(&r);
    snprintf(path, sizeof path, "%s/plain", r.dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    assert_int_equal(write(fd, "echo plain $1\n", 14), 14);
    close(fd);
    struct mu_sp_task t = rig_run(&r, &(struct job){ .argv = { path, "arg" } });
    assert_string_equal(rig_output(&r, &t, "out", out, sizeof out), "plain arg\n");
    rig_done(&r, &t);
    rig_fini(&r);
}

static void own_files_take_the_output(void **state)
{
    struct rig r;
    char text[256];

    (void)state;
    rig_init(&r);
    struct job j = { .sh = "echo one; echo two >&2", .cwd = r.dir, .out = "o", .err = "o" };
    for (int i = 0; i < 2; i++) {
        struct mu_sp_task t = rig_run(&r, &j);
        assert_int_equal(t.slot, MU_SP_SLOT_NONE);
        rig_done(&r, &t);
    }
    assert_string_equal(rig_file(&r, "o", text, sizeof text), "one\ntwo\none\ntwo\n");
    j.flags = MU_SP_TRUNC;
    j.err = NULL;
    struct mu_sp_task t = rig_run(&r, &j);
    assert_string_equal(rig_file(&r, "o", text, sizeof text), "one\n");
    assert_string_equal(rig_output(&r, &t, "err", text, sizeof text), "two\n");
    rig_done(&r, &t);
    rig_fini(&r);
}

static void another_user(void **state)
{
    const struct passwd *nobody = getpwnam("nobody");
    struct rig r;
    char out[256], want[64];

    (void)state;
    if (geteuid() != 0 || nobody == NULL)
        skip();
    rig_init(&r);
    snprintf(want, sizeof want, "%u %u %u\nagain\n", nobody->pw_uid, nobody->pw_gid, nobody->pw_gid);
    struct mu_sp_task t = rig_run(&r, &(struct job){ .sh = "echo $(id -u) $(id -g) $(id -G); echo again >/dev/stdout; cat /etc/shadow",
        .out = NULL, .flags = MU_SP_USER, .uid = nobody->pw_uid, .gid = nobody->pw_gid });
    rig_output(&r, &t, "out", out, sizeof out);
    assert_string_equal(out, "again\n"); /* >/dev/stdout empties a file, as it does everywhere */
    assert_int_equal(t.code, 1);
    rig_done(&r, &t);
    t = rig_run(&r, &(struct job){ .sh = "echo $(id -u) $(id -g) $(id -G); echo again >>/dev/stdout", .flags = MU_SP_USER,
                                   .uid = nobody->pw_uid, .gid = nobody->pw_gid });
    assert_string_equal(rig_output(&r, &t, "out", out, sizeof out), want);
    rig_done(&r, &t);
    rig_fini(&r);
}

static void nothing_of_a_task_is_left(void **state)
{
    static const struct { const char *what, *sh; } cases[] = {
        { "background child", "sleep 1000 & echo $!" },
        { "double fork in a new session", "setsid sh -c 'sleep 1000 & echo $!; echo $$; wait' & sleep 0.1" },
        { "orphan that hid its environment", "env -i setsid sh -c 'echo $$; sleep 1000 & echo $!; wait' & sleep 0.1" },
        { "stopped child", "sleep 1000 & echo $!; kill -STOP $!" },
        { "one that ignores TERM", "setsid sh -c 'trap \"\" TERM HUP; echo $$; while :; do sleep 1; done' & sleep 0.1" },
        { "other process groups", "set -m; sleep 1000 & echo $!; sh -c 'sleep 1000 & echo $!'" },
        { "zombies", "sh -c 'sleep 0 & exec sleep 1000' & echo $!" },
    };
    struct rig r;

    (void)state;
    rig_init(&r);
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        char out[256];
        struct mu_sp_task t = rig_run(&r, &(struct job){ .sh = cases[i].sh, .env = { "PATH=/usr/bin:/bin" } });
        char *at = rig_output(&r, &t, "out", out, sizeof out), *end;
        int seen = 0;

        for (long pid; (pid = strtol(at, &end, 10)) > 0; at = end, seen++)
            if (i != 2 && kill((pid_t)pid, 0) == 0) /* the nameless may take one look more */
                fail_msg("%s: %ld is left after the end was told", cases[i].what, pid);
            else
                await_gone((pid_t)pid);
        if (seen == 0 || t.how != MU_SP_EXIT)
            fail_msg("%s: printed '%s', how %u", cases[i].what, out, t.how);
        rig_done(&r, &t);
    }
    rig_fini(&r);
}

/* A daemon of one task must live as long as that task, whatever other tasks end meanwhile. */
static void a_running_task_keeps_its_orphans(void **state)
{
    struct rig r;
    char out[256];

    (void)state;
    rig_init(&r);
    uint64_t id = rig_spawn(&r, &(struct job){ .sh = "(setsid sleep 1000 & echo $!); (env -i setsid sleep 1000 & echo $!); exec sleep 1000",
                                               .env = { "PATH=/usr/bin:/bin" } });
    struct mu_sp_task running = rig_await(&r, MU_SP_STARTED), t;
    assert_int_equal(running.id, id);
    long pid[2] = { 0 };
    for (int i = 0; pid[1] == 0; i++) {
        assert_true(i < DEADLINE_MS);
        sscanf(rig_output(&r, &running, "out", out, sizeof out), "%ld %ld", &pid[0], &pid[1]);
        usleep(1000);
    }
    for (int i = 0; i < 5; i++) {
        t = rig_run(&r, &(struct job){ .sh = "exit 0" });
        rig_done(&r, &t);
    }
    assert_int_equal(kill((pid_t)pid[0], 0), 0);
    assert_int_equal(kill((pid_t)pid[1], 0), 0);
    rig_kill(&r, id, SIGTERM, 3);
    t = rig_await(&r, MU_SP_EXITED);
    assert_int_equal(t.id, id);
    assert_int_equal(t.how, MU_SP_SIGNAL);
    assert_int_equal(t.stop_why, 3);
    await_gone((pid_t)pid[0]);
    await_gone((pid_t)pid[1]);
    rig_done(&r, &t);
    rig_fini(&r);
}

static void kill_reaches_what_ignores_term(void **state)
{
    struct rig r;
    char out[64];

    (void)state;
    rig_init(&r);
    uint64_t id = rig_spawn(&r, &(struct job){ .sh = "trap 'echo term' TERM; echo ready; while :; do sleep 0.01; done" });
    struct mu_sp_task t = rig_await(&r, MU_SP_STARTED);
    for (int i = 0; strcmp(rig_output(&r, &t, "out", out, sizeof out), "ready\n") != 0; i++) {
        assert_true(i < DEADLINE_MS);
        usleep(1000);
    }
    rig_kill(&r, id, SIGTERM, 2);
    for (int i = 0; strcmp(rig_output(&r, &t, "out", out, sizeof out), "ready\nterm\n") != 0; i++) {
        assert_true(i < DEADLINE_MS);
        usleep(1000);
    }
    rig_kill(&r, id, SIGKILL, 3);
    t = rig_await(&r, MU_SP_EXITED);
    assert_int_equal(t.how, MU_SP_SIGNAL);
    assert_int_equal(t.code, SIGKILL);
    assert_int_equal(t.stop_why, 2); /* the first reason counts */
    rig_done(&r, &t);
    rig_fini(&r);
}

/* The agent is killed: what ran goes on, what ended is told to the next one, until it is acknowledged. */
static void nothing_is_forgotten_without_an_agent(void **state)
{
    struct rig r;
    struct mu_sp_task t;
    char out[64];

    (void)state;
    rig_init(&r);
    uint64_t runs = rig_spawn(&r, &(struct job){ .sh = "exec sleep 1000" });
    uint64_t ended = rig_spawn(&r, &(struct job){ .sh = "echo kept; exit 5" });
    uint64_t gone = rig_spawn(&r, &(struct job){ .sh = "exit 0" });
    for (int exits = 0; exits < 2; exits++) {
        t = rig_await(&r, MU_SP_EXITED);
        if (t.id == gone)
            rig_done(&r, &t);
    }
    char boot[MU_SP_BOOT];
    memcpy(boot, r.welcome.boot, sizeof boot);
    for (int round = 0; round < 2; round++) {
        if (round == 0)
            rig_disconnect(&r);
        rig_connect(&r); /* the second time over the head of the first */
        assert_int_equal(rig_next(&r, &t), MU_SP_WELCOME);
        assert_string_equal(r.welcome.boot, boot);
        assert_int_equal(r.welcome.tasks, 2);
        assert_int_equal(r.welcome.next_id, gone + 1);
        assert_int_equal(rig_next(&r, &t), MU_SP_TASK);
        assert_int_equal(t.id, runs);
        assert_true(t.state == MU_SP_STARTING || t.state == MU_SP_RUNNING);
        assert_int_equal(t.job, 7);
        assert_int_equal(t.timeout_ms, 11);
        assert_int_equal(t.grace_ms, 12);
        assert_int_equal(rig_next(&r, &t), MU_SP_TASK);
        assert_int_equal(t.id, ended);
        assert_int_equal(t.state, MU_SP_ENDED);
        assert_int_equal(t.code, 5);
        assert_string_equal(rig_output(&r, &t, "out", out, sizeof out), "kept\n");
        assert_int_equal(rig_next(&r, &t), MU_SP_LISTED);
    }
    rig_forget(&r, ended); /* with its slot: the bytes are given up */
    rig_kill(&r, runs, SIGKILL, 0);
    t = rig_await(&r, MU_SP_EXITED);
    assert_int_equal(t.id, runs);
    rig_fini(&r);
}

static void a_lease_that_runs_out_ends_all(void **state)
{
    struct rig r;
    struct mu_sp_lease over = { { sizeof over, MU_SP_LEASE }, 1 }, none = { { sizeof none, MU_SP_LEASE }, UINT64_MAX };

    (void)state;
    rig_init(&r);
    rig_spawn(&r, &(struct job){ .sh = "trap '' TERM; while :; do sleep 1; done" });
    rig_await(&r, MU_SP_STARTED);
    rig_send(&r, &over, sizeof over);
    struct mu_sp_task t = rig_await(&r, MU_SP_EXITED);
    assert_int_equal(t.how, MU_SP_FENCED);
    rig_done(&r, &t);
    t = rig_run(&r, &(struct job){ .sh = "echo never" }); /* nor does anything start then */
    assert_int_equal(t.how, MU_SP_FENCED);
    assert_int_equal(t.out_bytes, 0);
    rig_done(&r, &t);
    rig_send(&r, &none, sizeof none);
    t = rig_run(&r, &(struct job){ .sh = "exit 4" });
    assert_int_equal(t.code, 4);
    rig_done(&r, &t);
    rig_fini(&r);
}

static void broken_frames_end_the_connection_only(void **state)
{
    struct mu_sp_kill k = { { sizeof k, MU_SP_KILL }, 1, 99, 0 };
    struct mu_sp_forget f = { { sizeof f, MU_SP_FORGET }, 1 };
    static const struct mu_sp_spawn nothing;
    const struct { const char *what; struct mu_sp_head head; const void *rest; size_t size; } cases[] = {
        { "no size", { 0, MU_SP_KILL }, NULL, 0 },
        { "too large", { MU_SP_FRAME_MAX + 1, MU_SP_SPAWN }, NULL, 0 },
        { "unknown type", { 8, 99 }, NULL, 0 },
        { "our own type", { sizeof(struct mu_sp_task), MU_SP_EXITED }, NULL, 0 },
        { "a SPAWN of nothing", { sizeof(struct mu_sp_spawn), MU_SP_SPAWN }, &nothing, sizeof nothing },
        { "signal 99", { sizeof k, MU_SP_KILL }, &k, sizeof k },
        { "forgetting what runs", { sizeof f, MU_SP_FORGET }, &f, sizeof f },
    };
    struct rig r;
    struct mu_sp_task t;

    (void)state;
    rig_init(&r);
    uint64_t id = rig_spawn(&r, &(struct job){ .sh = "exec sleep 1000" });
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        struct mu_buf b = { 0 };

        mu_buf_add(&b, &cases[i].head, sizeof cases[i].head);
        if (cases[i].size > 0)
            mu_buf_add(&b, (const char *)cases[i].rest + sizeof cases[i].head, cases[i].size - sizeof cases[i].head);
        rig_send(&r, b.at, b.size);
        mu_buf_fini(&b);
        while (rig_next(&r, &t) != 0) {}
        rig_disconnect(&r);
        rig_connect(&r);
        t = rig_await(&r, MU_SP_TASK);
        if (t.id != id || t.state > MU_SP_RUNNING)
            fail_msg("%s: the task did not survive", cases[i].what);
    }
    rig_kill(&r, id, SIGKILL, 0);
    rig_await(&r, MU_SP_EXITED);
    rig_fini(&r);
}

/* As many as may start at once wait for a reader; others start meanwhile. */
static void a_stuck_start_holds_up_nobody(void **state)
{
    struct rig r;
    char path[128];

    (void)state;
    rig_init(&r);
    snprintf(path, sizeof path, "%s/fifo", r.dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    uint64_t id = rig_spawn(&r, &(struct job){ .sh = "echo through", .out = path });
    for (int i = 0; i < 20; i++) {
        struct mu_sp_task t = rig_run(&r, &(struct job){ .sh = "exit 0" });
        rig_done(&r, &t);
    }
    char text[16] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, text, sizeof text - 1), 8);
    close(fd);
    assert_string_equal(text, "through\n");
    struct mu_sp_task t = rig_await(&r, MU_SP_EXITED);
    assert_int_equal(t.id, id);
    rig_done(&r, &t);
    rig_fini(&r);
}

/* Every byte of tasks that print once and are gone. */
static void no_output_of_short_tasks_is_lost(void **state)
{
    static bool seen[MANY + 1];
    struct rig r;
    uint32_t slots = 0;

    (void)state;
    rig_init(&r);
    for (int started = 0, ended = 0; ended < MANY; ended++) {
        for (; started < MANY && started - ended < 8; started++) {
            char text[32];
            snprintf(text, sizeof text, "<%llu>", (unsigned long long)r.next_id + 1);
            rig_spawn(&r, &(struct job){ .argv = { "/bin/echo", text } });
        }
        struct mu_sp_task t = rig_await(&r, MU_SP_EXITED);
        char out[64], want[64];
        snprintf(want, sizeof want, "<%llu>\n", (unsigned long long)t.id);
        assert_string_equal(rig_output(&r, &t, "out", out, sizeof out), want);
        assert_true(t.id <= MANY && !seen[t.id]);
        seen[t.id] = true;
        slots = t.slot > slots ? t.slot : slots;
        rig_done(&r, &t);
    }
    assert_true(slots < 16); /* they are used again */
    rig_fini(&r);
}

static void many_run_at_once(void **state)
{
    enum { TASKS = 300 };
    struct rig r;

    (void)state;
    rig_init(&r);
    for (int i = 0; i < TASKS; i++)
        rig_spawn(&r, &(struct job){ .sh = "echo x; exec sleep 1000" });
    for (int i = 0; i < TASKS; i++)
        rig_await(&r, MU_SP_STARTED);
    for (int i = 1; i <= TASKS; i++)
        rig_kill(&r, (uint64_t)i, SIGKILL, 0);
    for (int i = 0; i < TASKS; i++) {
        struct mu_sp_task t = rig_await(&r, MU_SP_EXITED);
        assert_int_equal(t.how, MU_SP_SIGNAL);
        rig_done(&r, &t);
    }
    rig_fini(&r);
}

/* Two of a lane run, the rest waits and starts as they end, or as the lane gets wider. */
static void a_lane_runs_so_many_at_once(void **state)
{
    struct rig r;
    struct job j = { .sh = "exec sleep 1000", .lane = 3, .lane_max = 2 };
    uint64_t id[5], ran = 0;
    struct mu_sp_task t;

    (void)state;
    rig_init(&r);
    for (int i = 0; i < 5; i++)
        id[i] = rig_spawn(&r, &j);
    for (int i = 0; i < 2; i++)
        ran |= UINT64_C(1) << rig_await(&r, MU_SP_STARTED).id;
    assert_int_equal(ran, 1 << id[0] | 1 << id[1]);
    t = rig_run(&r, &(struct job){ .sh = "exit 3" }); /* other work goes past them */
    rig_done(&r, &t);
    rig_disconnect(&r);
    rig_connect(&r);
    for (uint32_t waits = 0; rig_next(&r, &t) != MU_SP_LISTED;) {
        waits += t.head.type == MU_SP_TASK && t.state == MU_SP_WAITING;
        assert_true(waits <= 3);
        assert_true(t.head.type != MU_SP_TASK || t.lane == 3);
    }
    rig_kill(&r, id[0], SIGKILL, 0);
    t = rig_await(&r, MU_SP_EXITED);
    assert_int_equal(t.id, id[0]);
    rig_done(&r, &t);
    assert_int_equal(rig_await(&r, MU_SP_STARTED).id, id[2]);
    rig_kill(&r, id[3], SIGTERM, 3); /* it has not begun: it never will */
    t = rig_await(&r, MU_SP_EXITED);
    assert_int_equal(t.id, id[3]);
    assert_int_equal(t.how, MU_SP_FENCED);
    assert_int_equal(t.pid, 0);
    rig_done(&r, &t);
    rig_send(&r, &(struct mu_sp_lane){ { sizeof(struct mu_sp_lane), MU_SP_LANE }, 3, 3 }, sizeof(struct mu_sp_lane));
    assert_int_equal(rig_await(&r, MU_SP_STARTED).id, id[4]);
    rig_fini(&r);
}

static void large_commands_pass(void **state)
{
    struct rig r;
    char *text = malloc(120 * 1024), out[64];

    (void)state;
    memset(text, 'x', 120 * 1024);
    text[120 * 1024 - 1] = '\0';
    rig_init(&r);
    for (int i = 0; i < 40; i++) {
        struct mu_sp_task t = rig_run(&r, &(struct job){ .argv = { "/bin/sh", "-c", "echo ${#1} ${#2}", "sh", text, text } });
        assert_string_equal(rig_output(&r, &t, "out", out, sizeof out), "122879 122879\n");
        rig_done(&r, &t);
    }
    free(text);
    rig_fini(&r);
}

static void quit_leaves_nothing(void **state)
{
    struct rig r;
    char out[64];
    long pid = 0;

    (void)state;
    rig_init(&r);
    rig_spawn(&r, &(struct job){ .sh = "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & wait" });
    struct mu_sp_task t = rig_await(&r, MU_SP_STARTED);
    for (int i = 0; pid == 0; i++) {
        assert_true(i < DEADLINE_MS);
        sscanf(rig_output(&r, &t, "out", out, sizeof out), "%ld", &pid);
        usleep(1000);
    }
    rig_fini(&r);
    await_gone((pid_t)pid);
    await_gone((pid_t)t.pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_are_told_exactly),
        cmocka_unit_test(the_environment_is_what_was_given),
        cmocka_unit_test(use_and_time_are_measured),
        cmocka_unit_test(a_program_without_header_runs_in_the_shell),
        cmocka_unit_test(own_files_take_the_output),
        cmocka_unit_test(another_user),
        cmocka_unit_test(nothing_of_a_task_is_left),
        cmocka_unit_test(a_running_task_keeps_its_orphans),
        cmocka_unit_test(kill_reaches_what_ignores_term),
        cmocka_unit_test(nothing_is_forgotten_without_an_agent),
        cmocka_unit_test(a_lease_that_runs_out_ends_all),
        cmocka_unit_test(broken_frames_end_the_connection_only),
        cmocka_unit_test(a_stuck_start_holds_up_nobody),
        cmocka_unit_test(no_output_of_short_tasks_is_lost),
        cmocka_unit_test(many_run_at_once),
        cmocka_unit_test(a_lane_runs_so_many_at_once),
        cmocka_unit_test(large_commands_pass),
        cmocka_unit_test(quit_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
