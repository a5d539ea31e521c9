/* cli/dev.c -- muster dev: one server and N agents of this machine as child processes, kept alive until stopped. */
#include "cli/verbs.h"

#include "base/assert.h"
#include "io/files.h"
#include "io/httpc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NODES_MAX = 1000, RESTART_MS = 200, STOP_MS = 15000, WORDS_MAX = 24 };

struct child {
    pid_t pid;               /* 0: not running */
    uint64_t started_ms;
    unsigned quick_ends;     /* in a row, soon after the start */
    char *words[WORDS_MAX];  /* argv, NULL-terminated */
    int out;                 /* read end of its stdout; -1: it shares ours */
};

struct dev {
    const char *self;        /* path of this program */
    char data[4096], url[512], token_file[4200];
    struct child server;
    struct child *agents;
    uint32_t nodes;
};

static volatile sig_atomic_t stop_asked;

static void on_stop(int signo)
{
    (void)signo;
    stop_asked = 1;
}

static void on_child(int signo)
{
    (void)signo; /* only to end a poll */
}

static void child_word(struct child *c, const char *word)
{
    size_t n = 0;

    while (c->words[n] != NULL)
        n++;
    MU_ASSERT(n + 1 < WORDS_MAX);
    c->words[n] = strdup(word);
    MU_ASSERT(c->words[n] != NULL);
}

static bool child_start(struct dev *d, struct child *c, bool pipe_out)
{
    int fds[2] = { -1, -1 };
    pid_t parent = getpid();

    if (pipe_out && pipe2(fds, O_CLOEXEC) != 0)
        return false;
    c->pid = fork();
    if (c->pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        signal(SIGINT, SIG_IGN); /* Ctrl-C is for us; we stop them in order */
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
            _exit(1);
        if (pipe_out)
            dup2(fds[1], 1);
        else
            dup2(2, 1);
        execv(d->self, c->words);
        _exit(127);
    }
    if (pipe_out) {
        close(fds[1]);
        c->out = fds[0];
    }
    c->started_ms = mu_cli_now_ms();
    return c->pid > 0;
}

/* Wait for "ready URL" on the server's stdout; false: it ended first, or we were told to stop. */
static bool await_ready(struct dev *d)
{
    char line[600];
    size_t size = 0;

    for (;;) {
        struct pollfd p = { .fd = d->server.out, .events = POLLIN };
        ssize_t n;
        if (stop_asked)
            return false;
        if (poll(&p, 1, 200) <= 0)
            continue;
        n = read(d->server.out, line + size, sizeof line - 1 - size);
        if (n <= 0)
            return false;
        size += (size_t)n;
        line[size] = '\0';
        if (strchr(line, '\n') == NULL && size < sizeof line - 1)
            continue;
        return sscanf(line, "ready %500s", d->url) == 1;
    }
}

static void agent_words(struct dev *d, struct child *c, uint32_t i, const char *cpus)
{
    char text[4300];

    child_word(c, "muster");
    child_word(c, "agent");
    child_word(c, "--server");
    child_word(c, d->url);
    child_word(c, "--token-file");
    child_word(c, d->token_file);
    child_word(c, "--data");
    snprintf(text, sizeof text, "%s/node%u", d->data, i + 1);
    child_word(c, text);
    child_word(c, "--name");
    snprintf(text, sizeof text, "node%u", i + 1);
    child_word(c, text);
    child_word(c, "--on-disconnect");
    child_word(c, "keep");
    child_word(c, "--stop-tasks");
    child_word(c, "--cpus");
    child_word(c, cpus);
    c->out = -1;
}

static uint32_t nodes_up(struct dev *d, struct mu_httpc *http)
{
    struct mu_httpc_req req = { .target = "/v1/nodes" };
    struct mu_buf body = { 0 };
    unsigned status = 0;
    uint32_t up = 0;
    json_t *answer, *node;
    size_t i;

    if (mu_httpc_call(http, &req, &status, &body, NULL) == MU_OK && status == 200) {
        answer = json_loadb((char *)body.at, body.size, 0, NULL);
        json_array_foreach(json_object_get(answer, "nodes"), i, node)
            up += strcmp(mu_answer_text(node, "state", ""), "down") != 0 && strcmp(mu_answer_text(node, "state", ""), "away") != 0;
        json_decref(answer);
    }
    mu_buf_fini(&body);
    (void)d;
    return up;
}

/* All nodes have joined, or something is wrong enough to say so. */
static bool await_nodes(struct dev *d)
{
    struct mu_httpc_options opt = { .servers = d->url, .wake_fd = -1 };
    struct mu_httpc *http = NULL;
    struct mu_buf token = { 0 };
    bool good = false;

    if (mu_file_read(d->token_file, 4096, &token, NULL) == MU_OK) {
        token.at[strcspn((char *)token.at, "\r\n")] = '\0';
        opt.token = (char *)token.at;
    }
    if (mu_httpc_open(&http, &opt, NULL) == MU_OK) {
        uint64_t until = mu_cli_now_ms() + 20000;
        while (!stop_asked && !good && mu_cli_now_ms() < until) {
            good = nodes_up(d, http) >= d->nodes;
            if (!good)
                poll(NULL, 0, 10);
        }
    }
    mu_httpc_close(http);
    mu_buf_fini(&token);
    return good;
}

static void child_ended(struct dev *d, struct child *c, const char *what, int status)
{
    bool quick = mu_cli_now_ms() - c->started_ms < 2000;

    c->pid = 0;
    c->quick_ends = quick ? c->quick_ends + 1 : 0;
    if (c->out >= 0)
        close(c->out);
    c->out = -1;
    if (stop_asked)
        return;
    mu_cli_say("%s ended (%s %d); starting it again", what, WIFSIGNALED(status) ? "signal" : "exit",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    poll(NULL, 0, c->quick_ends > 0 ? RESTART_MS << (c->quick_ends < 6 ? c->quick_ends : 6) : 0);
    child_start(d, c, c == &d->server);
}

static void reap(struct dev *d)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == d->server.pid)
            child_ended(d, &d->server, "the server", status);
        for (uint32_t i = 0; i < d->nodes; i++)
            if (pid == d->agents[i].pid)
                child_ended(d, &d->agents[i], d->agents[i].words[8], status);
    }
}

static bool any_alive(struct child *c, uint32_t count)
{
    bool alive = false;
    int status;

    for (uint32_t i = 0; i < count; i++) {
        if (c[i].pid > 0 && waitpid(c[i].pid, &status, WNOHANG) == c[i].pid)
            c[i].pid = 0;
        alive = alive || c[i].pid > 0;
    }
    return alive;
}

static void stop_children(struct child *c, uint32_t count)
{
    uint64_t until = mu_cli_now_ms() + STOP_MS;

    for (uint32_t i = 0; i < count; i++)
        if (c[i].pid > 0)
            kill(c[i].pid, SIGTERM);
    while (any_alive(c, count) && mu_cli_now_ms() < until)
        poll(NULL, 0, 5);
    for (uint32_t i = 0; i < count; i++)
        if (c[i].pid > 0)
            kill(c[i].pid, SIGKILL);
    while (any_alive(c, count))
        poll(NULL, 0, 5);
}

static void free_children(struct child *c, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        for (size_t w = 0; w < WORDS_MAX; w++)
            free(c[i].words[w]);
}

static int serve(struct dev *d, const char *cpus)
{
    int status = 0;

    if (!child_start(d, &d->server, true) || !await_ready(d)) {
        if (d->server.pid > 0 && !stop_asked)
            waitpid(d->server.pid, &status, 0);
        if (stop_asked)
            stop_children(&d->server, 1);
        return stop_asked ? MU_EXIT_OK : MU_EXIT_FAILED; /* the server said why */
    }
    for (uint32_t i = 0; i < d->nodes; i++) {
        agent_words(d, &d->agents[i], i, cpus);
        child_start(d, &d->agents[i], false);
    }
    if (await_nodes(d)) {
        printf("ready %s\n", d->url);
        fflush(stdout);
    } else if (!stop_asked) {
        mu_cli_say("the nodes did not join; see above");
        stop_asked = 1;
        status = 1;
    }
    while (!stop_asked) {
        reap(d);
        poll(NULL, 0, 200); /* a child's end interrupts it */
    }
    stop_children(d->agents, d->nodes);
    stop_children(&d->server, 1);
    return status != 0 ? MU_EXIT_FAILED : MU_EXIT_OK;
}

static void default_data(char *path, size_t cap)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

    if (state != NULL && state[0] != '\0')
        snprintf(path, cap, "%s/muster/dev", state);
    else
        snprintf(path, cap, "%s/.local/state/muster/dev", home != NULL ? home : "/root");
}

static int cpus_of(const struct mu_args *args, uint32_t nodes, char *text, size_t cap)
{
    const char *given = mu_args_get(args, "cpus", NULL);
    cpu_set_t set;
    int online = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

    if (given != NULL)
        snprintf(text, cap, "%s", given);
    else
        snprintf(text, cap, "%d", online / (int)nodes > 0 ? online / (int)nodes : 1);
    return 0;
}

static int run_dev(const struct mu_args *args)
{
    const char *nodes = mu_args_get(args, "nodes", "1"), *data = mu_args_get(args, "data", NULL);
    struct sigaction stop = { .sa_handler = on_stop }, child = { .sa_handler = on_child };
    static char self[4096];
    struct dev d = { .self = self, .server.out = -1 };
    struct mu_err err = { 0 };
    char cpus[32], path[4200];
    uint64_t n;
    int code;

    if (!mu_str_u64(mu_str_of(nodes), &n) || n == 0 || n > NODES_MAX)
        return mu_cli_usage(args, "--nodes must be a whole number from 1 to %d, not \"%s\"", NODES_MAX, nodes);
    if (data != NULL)
        snprintf(path, sizeof path, "%s", data);
    else
        default_data(path, sizeof path);
    if (mu_dir_make(path, 0700, &err) != MU_OK || realpath(path, d.data) == NULL) {
        mu_cli_say("--data: %s", err.text[0] ? err.text : strerror(errno));
        return MU_EXIT_FAILED;
    }
    if (readlink("/proc/self/exe", self, sizeof self - 1) <= 0)
        return MU_EXIT_FAILED;
    d.nodes = (uint32_t)n;
    d.agents = calloc(d.nodes, sizeof *d.agents);
    MU_ASSERT(d.agents != NULL);
    cpus_of(args, d.nodes, cpus, sizeof cpus);
    snprintf(d.token_file, sizeof d.token_file, "%s", mu_args_get(args, "token-file", ""));
    child_word(&d.server, "muster");
    child_word(&d.server, "server");
    child_word(&d.server, "--data");
    snprintf(path, sizeof path, "%s/server", d.data);
    child_word(&d.server, path);
    child_word(&d.server, "--listen");
    child_word(&d.server, mu_args_get(args, "listen", "127.0.0.1:7788"));
    if (d.token_file[0] != '\0') {
        child_word(&d.server, "--token-file");
        child_word(&d.server, d.token_file);
    } else {
        snprintf(d.token_file, sizeof d.token_file, "%s/server/token", d.data);
    }
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGCHLD, &child, NULL);
    code = serve(&d, cpus);
    free_children(d.agents, d.nodes);
    free_children(&d.server, 1);
    free(d.agents);
    return code;
}

static const struct mu_option dev_options[] = {
    { "data", "DIR", "where everything is kept (default ~/.local/state/muster/dev)", 0, false },
    { "listen", "ADDR:PORT", "loopback address to serve (default 127.0.0.1:7788)", 0, false },
    { "nodes", "N", "agents to start (default 1)", 0, false },
    { "cpus", "N", "cpus of each (default: those of the machine, shared evenly)", 0, false },
    { "token-file", "FILE", "use this token instead of making one", 0, false },
};
const struct mu_command mu_cli_dev = {
    .name = "dev", .args = "", .summary = "turn this machine into a pool: a server and agents in the foreground",
    .about = "Prints \"ready URL\" when it takes work. SIGINT or SIGTERM stops it in order; started again on the same\n"
             "folder it goes on where it was.",
    .tables = { MU_OPTIONS("options", dev_options) }, .run = run_dev,
};
