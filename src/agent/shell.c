/* agent/shell.c -- the agent as a process: flags, data folder, the server's connection, the turn of its loop, stop. */
#include "agent/main.h"
#include "agent/shell.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/units.h"
#include "io/files.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    FORMAT = 1, EXIT_FAILED = 1, EXIT_USAGE = 2, TRY_MS = 100, TRY_MAX_MS = 5000, CONNECT_MS = 5000,
    AHEAD = 32, STOP_ACK_MS = 1000, STOP_GRACE_MS = 5000, STOP_MS = 12000,
};

static void server_connect(struct mu_shell *sh);

void mu_shell_die(struct mu_shell *sh, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    mu_log(MU_LOG_ERROR, "agent", "%s", text);
    sh->exit_code = EXIT_FAILED;
    mu_loop_stop(sh->loop);
}

/* ---- who we are: the file "identity" ---- */

static void hex_of(char out[33], const uint8_t bytes[16])
{
    for (int i = 0; i < 16; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static void on_identity(void *arg, const uint8_t cluster[16], uint64_t epoch)
{
    struct mu_shell *sh = arg;
    char text[256], hex[33];
    struct mu_err err = { 0 };
    int n;

    memcpy(sh->cluster, cluster, sizeof sh->cluster);
    sh->epoch = epoch;
    hex_of(hex, cluster);
    n = snprintf(text, sizeof text, "format %d\ncluster %s\nepoch %llu\nname %s\n", FORMAT, hex, (unsigned long long)epoch, sh->cfg.name);
    if (mu_file_write("./identity", text, (size_t)n, 0600, &err) != MU_OK)
        mu_shell_die(sh, "the identity cannot be stored: %s", err.text);
}

static bool identity_parse(struct mu_shell *sh, char *text, bool name_given, struct mu_err *err)
{
    unsigned long long epoch = 0;
    char hex[33] = "", name[MU_NAME_MAX + 1] = "";
    int format = 0;

    if (sscanf(text, "format %d cluster %32[0-9a-f] epoch %llu name %128s", &format, hex, &epoch, name) < 3 || strlen(hex) != 32) {
        if (format > FORMAT)
            return mu_fail(err, MU_VERSION, "%s was written by a newer version of muster", sh->cfg.data), false;
        return mu_fail(err, MU_CORRUPT, "%s/identity is damaged; remove it to join as a new node", sh->cfg.data), false;
    }
    if (format > FORMAT)
        return mu_fail(err, MU_VERSION, "%s was written by a newer version of muster", sh->cfg.data), false;
    for (int i = 0; i < 16; i++) {
        unsigned byte = 0;
        sscanf(hex + 2 * i, "%2x", &byte);
        sh->cluster[i] = (uint8_t)byte;
    }
    sh->epoch = epoch;
    if (!name_given && name[0] != '\0')
        snprintf(sh->cfg.name, sizeof sh->cfg.name, "%s", name);
    return true;
}

static bool identity_load(struct mu_shell *sh, bool name_given, struct mu_err *err)
{
    struct mu_buf b = { 0 };
    enum mu_rc rc = mu_file_read("./identity", 4096, &b, err);
    bool good = rc == MU_NOTFOUND;

    if (rc == MU_OK) {
        mu_buf_addc(&b, '\0');
        good = identity_parse(sh, (char *)b.at, name_given, err);
    }
    mu_buf_fini(&b);
    return good;
}

/* ---- the server ---- */

static void server_lost(struct mu_shell *sh)
{
    uint64_t ms = TRY_MS << (sh->server.failures < 6 ? sh->server.failures : 6);
    uint32_t random;

    ms = ms < TRY_MAX_MS ? ms : TRY_MAX_MS;
    mu_random(&random, sizeof random);
    sh->server.failures++;
    sh->server.at = (sh->server.at + 1) % sh->cfg.servers_count;
    if (!sh->stopping)
        mu_timer_start(sh->retry, ms / 2 + random % (ms / 2 + 1));
}

static void server_close(struct mu_shell *sh)
{
    mu_stream_close(sh->server.stream);
    sh->server.stream = NULL;
    sh->server.drop = false;
    mu_shell_output_clear(sh);
    mu_agent_on_down(sh->agent, mu_boot_ms());
    server_lost(sh);
}

static void on_send(void *arg, const void *bytes, size_t size)
{
    struct mu_shell *sh = arg;

    if (sh->server.stream != NULL)
        mu_stream_write(sh->server.stream, bytes, size);
}

static void on_drop(void *arg, const char *why, bool final)
{
    struct mu_shell *sh = arg;

    mu_log(final ? MU_LOG_ERROR : MU_LOG_WARN, "agent", "leaving %s: %s", sh->cfg.servers[sh->server.at], why);
    sh->server.drop = true;
    sh->server.final = sh->server.final || final;
    mu_loop_again(sh->loop);
}

static size_t on_data(void *arg, const uint8_t *bytes, size_t size)
{
    struct mu_shell *sh = arg;
    size_t at = 0, used;

    while (at < size && !sh->server.drop) {
        struct mu_err err = { 0 };
        struct mu_msg msg;
        enum mu_rc rc;

        mu_arena_reset(&sh->server.arena);
        rc = mu_frame_take(bytes + at, size - at, &used, &msg, &sh->server.arena, &err);
        if (rc == MU_AGAIN)
            break;
        if (rc == MU_OK && !mu_agent_msg(sh->agent, mu_boot_ms(), &msg, &err))
            rc = MU_INVALID;
        if (rc != MU_OK) {
            on_drop(sh, err.text, false);
            return size;
        }
        at += used;
        if (mu_agent_welcomed(sh->agent))
            sh->server.failures = 0;
    }
    return sh->server.drop ? size : at;
}

static void on_drain(void *arg)
{
    (void)arg; /* the turn goes on where the readers stopped */
}

static void on_close(void *arg, const struct mu_err *err)
{
    struct mu_shell *sh = arg;

    if (!sh->stopping)
        mu_log(MU_LOG_WARN, "agent", "lost %s: %s", sh->cfg.servers[sh->server.at], err->text);
    sh->server.stream = NULL;
    server_close(sh);
}

static void on_connected(void *arg, struct mu_stream *s, const struct mu_connect_end *end)
{
    static const struct mu_stream_user user = { .on_data = on_data, .on_drain = on_drain, .on_close = on_close };
    static const struct mu_stream_limits limits = { .in_max = MU_FRAME_HEAD + MU_FRAME_MAX + MU_STREAM_READ };
    struct mu_shell *sh = arg;

    sh->server.connect = NULL;
    if (s == NULL) {
        if (sh->server.failures == 3 || end->status == 401 || end->status == 403)
            mu_log(MU_LOG_WARN, "agent", "%s: %s", sh->cfg.servers[sh->server.at], end->err.text);
        server_lost(sh);
        return;
    }
    sh->server.stream = s;
    mu_stream_limit(s, &limits);
    mu_stream_own(s, &user, sh);
    mu_agent_on_up(sh->agent, mu_boot_ms());
}

/* The user's token file, as servers write it: doc/api.md. */
static void token_path(char *path, size_t size)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

    if (config != NULL && config[0] != '\0')
        snprintf(path, size, "%s/muster/token", config);
    else
        snprintf(path, size, "%s/.config/muster/token", home != NULL ? home : "/root");
}

/* Read anew for each connection: a server may write it later than we start. */
static const char *token_read(struct mu_shell *sh)
{
    struct mu_buf b = { 0 };

    if (sh->cfg.token_file[0] != '\0' && mu_file_read(sh->cfg.token_file, sizeof sh->cfg.token - 1, &b, NULL) == MU_OK)
        snprintf(sh->cfg.token, sizeof sh->cfg.token, "%.*s", (int)b.size, (const char *)b.at);
    mu_buf_fini(&b);
    sh->cfg.token[strcspn(sh->cfg.token, "\r\n")] = '\0';
    return sh->cfg.token[0] != '\0' ? sh->cfg.token : NULL;
}

static void server_connect(struct mu_shell *sh)
{
    struct mu_upgrade_options opt = { .url = sh->cfg.servers[sh->server.at], .target = "/v1/agent", .protocol = "muster-agent",
                                      .token = token_read(sh), .timeout_ms = CONNECT_MS };

    sh->server.connect = mu_upgrade(sh->loop, &opt, on_connected, sh);
}

static void on_retry(void *arg)
{
    server_connect(arg);
}

/* ---- life ---- */

void mu_shell_ready(struct mu_shell *sh)
{
    const struct mu_shell_config *c = &sh->cfg;
    struct mu_agent_options opt = { .name = c->name, .version = MU_VERSION_TEXT, .limits = mu_cgroups_text(sh->limits),
        .boot = sh->spawner.boot, .epoch = sh->epoch, .cpu_milli = c->cpu_milli, .mem_bytes = c->mem_bytes, .gpu_milli = c->gpu_milli,
        .resources = c->resources, .resources_count = c->resources_count, .labels = c->labels, .labels_count = c->labels_count,
        .keep = c->keep, .ahead_max = AHEAD, .next_id = sh->spawner.next_id };
    struct mu_agent_out out = { .arg = sh, .send = on_send, .spawn = mu_shell_on_spawn, .lane = mu_shell_on_lane, .kill = mu_shell_on_kill,
        .forget = mu_shell_on_forget, .identity = on_identity, .lease = mu_shell_on_lease, .output = mu_shell_on_output, .drop = on_drop };

    memcpy(opt.cluster, sh->cluster, sizeof opt.cluster);
    sh->agent = mu_agent_new(&opt, &out);
    mu_timer_start(sh->retry, 0); /* the tasks found are adopted first */
}

void mu_shell_left(struct mu_shell *sh)
{
    if (sh->spawner.pid > 0)
        waitpid(sh->spawner.pid, NULL, 0); /* it is on its last line */
    unlink("./boot");
    mu_loop_stop(sh->loop);
}

/* With --stop-tasks: all tasks end, and the server acknowledges their results or takes too long. */
static void stop_turn(struct mu_shell *sh)
{
    uint64_t now_ms = mu_boot_ms();
    bool owed = mu_agent_running(sh->agent) > 0 || (mu_agent_welcomed(sh->agent) && mu_agent_attempts(sh->agent) > 0);

    if (!sh->quit_sent && (!owed || now_ms >= sh->stop_ms + STOP_GRACE_MS + STOP_ACK_MS)) {
        sh->quit_sent = true;
        mu_shell_spawner_quit(sh, STOP_GRACE_MS);
    }
    if (now_ms >= sh->stop_ms + STOP_MS)
        mu_shell_die(sh, "the tasks do not end; leaving them");
}

static void on_signal(void *arg, int signum)
{
    struct mu_shell *sh = arg;

    mu_log(MU_LOG_INFO, "agent", "stopping (%s)", signum == SIGINT ? "interrupted" : "terminated");
    if (sh->stopping || !sh->cfg.stop_tasks || sh->agent == NULL || sh->spawner.stream == NULL) {
        mu_loop_stop(sh->loop); /* tasks go on under the spawner, the next agent adopts them */
        return;
    }
    sh->stopping = true;
    sh->stop_ms = mu_boot_ms();
    mu_agent_leave(sh->agent, sh->stop_ms, STOP_GRACE_MS);
}

static void arm(struct mu_shell *sh)
{
    uint64_t now_ms = mu_boot_ms(), wake_ms = mu_agent_wake_ms(sh->agent);

    if (sh->stopping)
        wake_ms = wake_ms < now_ms + 20 ? wake_ms : now_ms + 20;
    if (wake_ms == UINT64_MAX)
        mu_timer_stop(sh->wake);
    else if (wake_ms <= now_ms)
        mu_loop_again(sh->loop);
    else
        mu_timer_start(sh->wake, wake_ms - now_ms);
}

static void on_turn(void *arg)
{
    struct mu_shell *sh = arg;

    if (sh->agent == NULL)
        return;
    mu_shell_spawner_turn(sh);
    if (sh->server.drop && sh->server.stream != NULL)
        server_close(sh);
    mu_shell_load(sh);
    mu_agent_turn(sh->agent, mu_boot_ms(), &sh->load);
    if (sh->server.final)
        mu_shell_die(sh, "the server does not want this node");
    mu_shell_output_turn(sh);
    if (sh->stopping)
        stop_turn(sh);
    arm(sh);
}

static void on_wake(void *arg)
{
    (void)arg; /* the turn it begins is what is wanted */
}

static bool shell_open(struct mu_shell *sh, struct mu_err *err)
{
    struct mu_output_options output = { .dir = ".", .stream_max = sh->cfg.stream_max, .total_max = sh->cfg.total_max };
    struct mu_prepare_options prepare = { .node = sh->cfg.name, .user = mu_shell_user, .arg = sh };

    if (mu_loop_open(&sh->loop, err) != MU_OK || mu_output_open(&sh->output, &output, err) != MU_OK)
        return false;
    sh->base_env = mu_shell_base_env();
    prepare.base_env = sh->base_env;
    sh->prepare = mu_prepare_new(&prepare);
    sh->limits = mu_cgroups_open("/sys/fs/cgroup", sh->cfg.name);
    sh->wake = mu_timer_new(sh->loop, on_wake, sh);
    sh->retry = mu_timer_new(sh->loop, on_retry, sh);
    mu_shell_output_start(sh);
    sh->hook = (struct mu_hook){ .fn = on_turn, .arg = sh };
    mu_loop_hook(sh->loop, &sh->hook);
    return mu_signal_open(&sh->signals[0], sh->loop, SIGTERM, on_signal, sh, err) == MU_OK &&
           mu_signal_open(&sh->signals[1], sh->loop, SIGINT, on_signal, sh, err) == MU_OK;
}

static void shell_close(struct mu_shell *sh)
{
    if (sh->loop == NULL)
        return;
    mu_loop_unhook(&sh->hook);
    mu_connect_cancel(sh->server.connect);
    mu_stream_close(sh->server.stream);
    mu_shell_spawner_close(sh);
    mu_shell_output_stop(sh);
    mu_timer_free(sh->wake);
    mu_timer_free(sh->retry);
    for (int i = 0; i < 2; i++)
        mu_signal_close(sh->signals[i]);
    mu_agent_free(sh->agent);
    mu_prepare_free(sh->prepare);
    mu_shell_free_env(sh->base_env);
    mu_output_close(sh->output);
    mu_cgroups_close(sh->limits);
    mu_arena_fini(&sh->server.arena);
    mu_loop_close(sh->loop);
}

/* ---- flags ---- */

static int usage(const char *fmt, const char *value)
{
    fprintf(stderr, "muster agent: ");
    fprintf(stderr, "%s: %s\n", fmt, value);
    return EXIT_USAGE;
}

static bool is_name(struct mu_str s)
{
    for (uint32_t i = 0; i < s.size; i++)
        if (!isalnum((unsigned char)s.at[i]) && strchr("._-", s.at[i]) == NULL)
            return false;
    return s.size > 0 && s.size <= MU_NAME_MAX;
}

static int config_amounts(struct mu_shell_config *c, const struct mu_args *args)
{
    const char *cpus = mu_args_get(args, "cpus", NULL), *mem = mu_args_get(args, "mem", NULL), *gpus = mu_args_get(args, "gpus", "0");
    const char *total = mu_args_get(args, "output-max", NULL), *stream = mu_args_get(args, "stream-max", NULL);

    c->cpu_milli = mu_shell_cpu_milli();
    c->mem_bytes = mu_shell_mem_bytes();
    if (cpus != NULL && (!mu_parse_milli(mu_str_of(cpus), &c->cpu_milli) || c->cpu_milli == 0))
        return usage("--cpus must be a number of cpus like 4 or 0.5, not", cpus);
    if (mem != NULL && !mu_parse_size(mu_str_of(mem), &c->mem_bytes))
        return usage("--mem must be a size like 16GiB, not", mem);
    if (!mu_parse_milli(mu_str_of(gpus), &c->gpu_milli))
        return usage("--gpus must be a number, not", gpus);
    if (total != NULL && (!mu_parse_size(mu_str_of(total), &c->total_max) || c->total_max < MU_OUTPUT_SEGMENT))
        return usage("--output-max must be a size of at least 4MiB, not", total);
    if (stream != NULL && (!mu_parse_size(mu_str_of(stream), &c->stream_max) || c->stream_max < MU_OUTPUT_SMALL))
        return usage("--stream-max must be a size of at least 64KiB, not", stream);
    return 0;
}

static int config_lists(struct mu_shell_config *c, const struct mu_args *args)
{
    const char *value;

    for (uint32_t at = 0; (value = mu_args_next(args, "resource", &at)) != NULL; c->resources_count++) {
        struct mu_str amount, name = mu_str_cut(mu_str_of(value), '=', &amount);
        uint64_t n;
        if (!is_name(name) || !mu_str_u64(amount, &n) || c->resources_count == MU_SHELL_RESOURCES_MAX)
            return usage("--resource must be NAME=N, a dozen of them at most, not", value);
        c->resources[c->resources_count] = (struct mu_amount){ name, n };
    }
    for (uint32_t at = 0; (value = mu_args_next(args, "label", &at)) != NULL; c->labels_count++) {
        struct mu_str rest, name = mu_str_cut(mu_str_of(value), '=', &rest);
        if (!is_name(name) || strchr(value, '=') == NULL || strlen(value) > MU_NAME_MAX || c->labels_count == MU_SHELL_LABELS_MAX)
            return usage("--label must be K=V, 64 of them at most, not", value);
        c->labels[c->labels_count] = mu_str_of(value);
    }
    return 0;
}

static bool is_loopback(const char *url)
{
    const char *host = strstr(url, "://");

    host = host != NULL ? host + 3 : url;
    return strncmp(url, "unix:", 5) == 0 || strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 ||
           strncmp(host, "[::1]", 5) == 0;
}

static int config_servers(struct mu_shell_config *c, const struct mu_args *args)
{
    const char *given = mu_args_get(args, "server", getenv("MUSTER_SERVER"));
    char *rest = mu_str_dup(mu_str_of(given != NULL && given[0] != '\0' ? given : "http://127.0.0.1:7788")), *url;

    c->server_text = rest;
    c->allow_root = true;
    while ((url = strsep(&rest, ",")) != NULL) {
        if (url[0] == '\0' || c->servers_count == MU_SHELL_SERVERS_MAX)
            return usage("--server must be URL[,URL...], sixteen at most, not", given);
        c->allow_root = c->allow_root && is_loopback(url);
        c->servers[c->servers_count++] = url;
    }
    c->allow_root = c->allow_root || mu_args_has(args, "allow-root");
    return 0;
}

static int config_token(struct mu_shell_config *c, const struct mu_args *args)
{
    const char *token = mu_args_get(args, "token", NULL), *file = mu_args_get(args, "token-file", NULL);

    if (token == NULL && file == NULL) {
        token = getenv("MUSTER_TOKEN");
        file = getenv("MUSTER_TOKEN_FILE");
    }
    if (token != NULL && token[0] != '\0')
        return snprintf(c->token, sizeof c->token, "%s", token) < (int)sizeof c->token ? 0 : usage("--token is too long", "");
    if (file == NULL)
        token_path(c->token_file, sizeof c->token_file);
    else if (realpath(file, c->token_file) == NULL) /* we leave this working directory */
        return usage(file, strerror(errno));
    return 0;
}

static int config_read(struct mu_shell_config *c, const struct mu_args *args)
{
    const char *name = mu_args_get(args, "name", NULL), *mode = mu_args_get(args, "on-disconnect", "stop");
    int rc;

    if (name != NULL && !is_name(mu_str_of(name)))
        return usage("--name must be letters, digits, dots and dashes, not", name);
    if (strcmp(mode, "stop") != 0 && strcmp(mode, "keep") != 0)
        return usage("--on-disconnect must be stop or keep, not", mode);
    c->keep = strcmp(mode, "keep") == 0;
    c->stop_tasks = mu_args_has(args, "stop-tasks");
    if (name != NULL)
        snprintf(c->name, sizeof c->name, "%s", name);
    else if (!mu_shell_host_name(c->name, sizeof c->name))
        return usage("--name is needed: this machine has none", "");
    if ((rc = config_amounts(c, args)) != 0 || (rc = config_lists(c, args)) != 0 || (rc = config_servers(c, args)) != 0)
        return rc;
    return config_token(c, args);
}

static void default_data(char *path, size_t size)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

    if (geteuid() == 0)
        snprintf(path, size, "/var/lib/muster/agent");
    else if (state != NULL && state[0] != '\0')
        snprintf(path, size, "%s/muster/agent", state);
    else
        snprintf(path, size, "%s/.local/state/muster/agent", home != NULL ? home : "");
}

/* Make the data folder, move into it, lock it. */
static bool data_open(struct mu_shell *sh, const char *given, struct mu_err *err)
{
    char path[MU_SHELL_PATH], full[PATH_MAX];

    if (given != NULL)
        snprintf(path, sizeof path, "%s", given);
    else
        default_data(path, sizeof path);
    if (mu_dir_make(path, 0700, err) != MU_OK)
        return false;
    if (realpath(path, full) == NULL || strlen(full) >= sizeof sh->cfg.data || chdir(full) != 0)
        return mu_fail(err, MU_IO, "%s: %s", path, strerror(errno)), false;
    snprintf(sh->cfg.data, sizeof sh->cfg.data, "%s", full);
    sh->spawner.dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (sh->spawner.dir < 0)
        return mu_fail(err, MU_IO, "%s: %s", path, strerror(errno)), false;
    return mu_file_lock(&sh->lock, "./lock", err) == MU_OK;
}

static int run_agent(const struct mu_args *args)
{
    struct mu_shell *sh = calloc(1, sizeof *sh);
    struct mu_err err = { 0 };
    int code;

    MU_ASSERT(sh != NULL);
    sh->lock = sh->spawner.dir = -1;
    mu_log_clock(mu_wall_ms);
    if ((code = config_read(&sh->cfg, args)) == 0) {
        if (!data_open(sh, mu_args_get(args, "data", NULL), &err) || !identity_load(sh, mu_args_has(args, "name"), &err) ||
            !shell_open(sh, &err)) {
            fprintf(stderr, "muster agent: %s\n", err.text);
            code = EXIT_FAILED;
        } else {
            mu_shell_spawner_start(sh);
            mu_loop_run(sh->loop);
            code = sh->exit_code;
        }
    }
    shell_close(sh);
    if (sh->lock >= 0)
        close(sh->lock);
    if (sh->spawner.dir >= 0)
        close(sh->spawner.dir);
    free(sh->cfg.server_text);
    free(sh);
    return code;
}

static const struct mu_option agent_options[] = {
    { "server", "URL[,URL...]", "servers to join (default $MUSTER_SERVER or http://127.0.0.1:7788)", 0, false },
    { "data", "DIR", "where this node keeps its identity and the output of tasks", 0, false },
    { "name", "N", "name of the node (default the host's)", 0, false },
    { "cpus", "N", "cpus it offers (default all it may use)", 0, false },
    { "mem", "SIZE", "memory it offers (default nine tenths)", 0, false },
    { "gpus", "N", "gpus it offers (default 0)", 0, false },
    { "resource", "NAME=N", "anything else that is counted", 0, true },
    { "label", "K=V", "a property that jobs may need or prefer", 0, true },
    { "on-disconnect", "stop|keep", "what happens to tasks when no server answers for a lease (default stop)", 0, false },
    { "token", "T", "who (default $MUSTER_TOKEN)", 0, false },
    { "token-file", "FILE", "file with the token (default $MUSTER_TOKEN_FILE or ~/.config/muster/token)", 0, false },
    { "output-max", "SIZE", "output kept on this node in all (default 1GiB)", 0, false },
    { "stream-max", "SIZE", "output kept of one stream of a task, its end (default 64MiB)", 0, false },
    { "stop-tasks", NULL, "end all tasks when told to stop, instead of leaving them to the next agent", 0, false },
    { "allow-root", NULL, "run tasks as root when their job says so (default: only with a server on this machine)", 0, false },
};
const struct mu_command mu_agent_command = {
    .name = "agent", .args = "", .summary = "make this machine a node of the pool",
    .about = "Runs what the servers place here. Started again, after an upgrade or a crash, it finds its tasks running and\n"
             "goes on; SIGTERM or SIGINT end the agent, not its tasks, unless --stop-tasks is given.",
    .tables = { MU_OPTIONS("options", agent_options) }, .run = run_agent,
};
