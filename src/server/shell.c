/* server/shell.c -- the server as a process: flags, data folder, start, the turn of its loop, stop. See server.h. */
#include "server/main.h"

#include "base/log.h"
#include "base/units.h"
#include "io/files.h"
#include "server/api.h"

#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FORMAT = 1, STOP_MS = 5000, EXIT_FAILURE_ = 1, EXIT_USAGE = 2 };

struct mu_ctl_now mu_server_now(const struct mu_server *sv)
{
    (void)sv;
    return (struct mu_ctl_now){ .wall_ms = mu_wall_ms(), .boot_ms = mu_boot_ms() };
}

void mu_server_again(struct mu_server *sv)
{
    mu_loop_again(sv->loop);
}

void mu_server_die(struct mu_server *sv, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    mu_log(MU_LOG_ERROR, "server", "%s", text);
    sv->exit_code = EXIT_FAILURE_;
    sv->dead = true;
    mu_loop_stop(sv->loop);
}

/* ---- the turn ---- */

static void ctl_turn(struct mu_server *sv)
{
    struct mu_ctl_stats before, after;
    uint64_t began_ns = mu_boot_ns();

    mu_ctl_stats_get(sv->ctl, &before);
    mu_ctl_turn(sv->ctl, mu_server_now(sv));
    mu_ctl_stats_get(sv->ctl, &after);
    if (after.decided == before.decided)
        return;
    sv->stats.decisions += after.decided - before.decided;
    sv->stats.decide_us += (mu_boot_ns() - began_ns) / 1000;
}

static void arm(struct mu_server *sv)
{
    struct mu_ctl_now now = mu_server_now(sv);
    uint64_t wake_ms = mu_ctl_wake_ms(sv->ctl, now);

    if (wake_ms == UINT64_MAX)
        mu_timer_stop(sv->wake);
    else if (wake_ms <= now.boot_ms)
        mu_loop_again(sv->loop);
    else
        mu_timer_start(sv->wake, wake_ms - now.boot_ms);
}

static void on_turn(void *arg)
{
    struct mu_server *sv = arg;

    if (sv->dead)
        return; /* nothing more is said */
    do
        ctl_turn(sv);
    while (mu_asks_turn(sv)); /* an answer may make a new request */
    mu_peers_turn(sv);
    mu_waits_turn(sv);
    mu_followers_turn(sv);
    mu_store_turn(sv);
    arm(sv);
}

static void on_wake(void *arg)
{
    (void)arg; /* the turn it begins is all that is wanted */
}

/* ---- stop ---- */

static void on_stop_time(void *p)
{
    struct mu_server *sv = p;

    sv->stop_timer = NULL;
    mu_log(MU_LOG_WARN, "server", "stopping takes too long; leaving");
    mu_loop_stop(sv->loop);
}

void mu_server_on_resigned(struct mu_server *sv)
{
    mu_loop_stop(sv->loop);
}

/* What is in flight becomes durable and is answered, then the lead is given up, then the loop ends. */
static void on_signal(void *arg, int signum)
{
    struct mu_server *sv = arg;

    if (sv->stopping) {
        mu_loop_stop(sv->loop);
        return;
    }
    mu_log(MU_LOG_INFO, "server", "stopping (%s)", signum == SIGINT ? "interrupted" : "terminated");
    sv->stopping = true;
    mu_httpd_drain(sv->httpd);
    if (!mu_ctl_leads(sv->ctl)) {
        mu_loop_stop(sv->loop);
        return;
    }
    sv->stop_timer = mu_loop_after(sv->loop, STOP_MS, on_stop_time, sv);
    mu_journal_resign(sv->journal);
}

void mu_server_on_ready(struct mu_server *sv)
{
    if (sv->ready)
        return;
    sv->ready = true;
    printf("ready %s\n", sv->url);
    fflush(stdout);
}

/* ---- start ---- */

static enum mu_rc folder_open(struct mu_server *sv, struct mu_err *err)
{
    char path[sizeof sv->data + 16], text[16];
    struct mu_buf b = { 0 };
    uint64_t format = 0;
    enum mu_rc rc = mu_dir_make(sv->data, 0700, err);

    snprintf(path, sizeof path, "%s/lock", sv->data);
    if (rc == MU_OK)
        rc = mu_file_lock(&sv->lock_fd, path, err);
    if (rc == MU_BUSY)
        return mu_fail_at(err, MU_BUSY, "data", "the data folder %s is in use by another server (%s)", sv->data, path);
    if (rc != MU_OK)
        return rc;
    snprintf(path, sizeof path, "%s/format", sv->data);
    rc = mu_file_read(path, sizeof text - 1, &b, err);
    if (rc == MU_OK) {
        struct mu_str line = mu_buf_str(&b), rest;
        if (!mu_str_u64(mu_str_cut(line, '\n', &rest), &format) || format == 0)
            rc = mu_fail(err, MU_CORRUPT, "%s is damaged", path);
        else if (format > FORMAT)
            rc = mu_fail_at(err, MU_VERSION, "data", "the data folder %s was written by a newer version (format %llu, this one knows %d)",
                            sv->data, (unsigned long long)format, FORMAT);
    } else if (rc == MU_NOTFOUND) {
        snprintf(text, sizeof text, "%d\n", FORMAT);
        rc = mu_file_write(path, text, strlen(text), 0600, err);
    }
    mu_buf_fini(&b);
    return rc;
}

static enum mu_rc token_open(struct mu_server *sv, struct mu_err *err)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char data_file[sizeof sv->data + 16], user_file[4096] = "";
    struct mu_auth_options opt = { .file = sv->opt.token_file, .data_file = data_file };

    snprintf(data_file, sizeof data_file, "%s/token", sv->data);
    if (opt.file == NULL)
        opt.given = getenv("MUSTER_TOKEN");
    if (opt.file == NULL && opt.given == NULL)
        opt.file = getenv("MUSTER_TOKEN_FILE");
    if (config != NULL && config[0] == '/')
        snprintf(user_file, sizeof user_file, "%s/muster/token", config);
    else if (home != NULL && home[0] == '/')
        snprintf(user_file, sizeof user_file, "%s/.config/muster/token", home);
    opt.user_file = user_file[0] ? user_file : NULL;
    return mu_auth_open(&sv->auth, &opt, err);
}

static void names_set(struct mu_server *sv)
{
    struct passwd *pw = getpwuid(geteuid());

    if (sv->opt.name != NULL)
        snprintf(sv->name, sizeof sv->name, "%s", sv->opt.name);
    else if (gethostname(sv->name, sizeof sv->name - 1) != 0)
        snprintf(sv->name, sizeof sv->name, "server");
    if (pw != NULL)
        snprintf(sv->user, sizeof sv->user, "%s", pw->pw_name);
    else
        snprintf(sv->user, sizeof sv->user, "uid%u", (unsigned)geteuid());
}

static enum mu_rc listen_open(struct mu_server *sv, struct mu_err *err)
{
    const char *addr;
    enum mu_rc rc = mu_httpd_open(&sv->httpd, sv->loop, NULL, mu_api_request, sv, err);

    if (rc == MU_OK)
        rc = mu_httpd_listen(sv->httpd, sv->opt.listen, NULL, err);
    if (rc != MU_OK)
        return rc;
    addr = mu_httpd_addr(sv->httpd, 0);
    if (sv->opt.advertise != NULL)
        snprintf(sv->url, sizeof sv->url, "%s", sv->opt.advertise);
    else
        snprintf(sv->url, sizeof sv->url, "%s%s", strncmp(addr, "unix:", 5) == 0 ? "" : "http://", addr);
    return MU_OK;
}

static enum mu_rc signals_open(struct mu_server *sv, struct mu_err *err)
{
    enum mu_rc rc = mu_signal_open(&sv->signals[0], sv->loop, SIGTERM, on_signal, sv, err);

    return rc == MU_OK ? mu_signal_open(&sv->signals[1], sv->loop, SIGINT, on_signal, sv, err) : rc;
}

/* What can be wrong with the request to start is found before anything is written. */
static enum mu_rc server_open(struct mu_server *sv, struct mu_err *err)
{
    enum mu_rc rc = mu_listen_allowed(sv->opt.listen, NULL, err);

    sv->lock_fd = -1;
    snprintf(sv->data, sizeof sv->data, "%s", sv->opt.data);
    mu_api_init(sv);
    mu_peers_init(sv);
    mu_tape_init(&sv->tape);
    mu_stats_init(&sv->stats, mu_boot_ms());
    names_set(sv);
    if (rc == MU_OK)
        rc = mu_loop_open(&sv->loop, err);
    if (rc == MU_OK)
        rc = folder_open(sv, err);
    if (rc == MU_OK)
        rc = token_open(sv, err);
    if (rc == MU_OK)
        rc = listen_open(sv, err);
    if (rc == MU_OK)
        rc = signals_open(sv, err);
    if (rc == MU_OK)
        rc = mu_store_open(sv, err);
    if (rc != MU_OK)
        return rc;
    sv->wake = mu_timer_new(sv->loop, on_wake, sv);
    sv->hook = (struct mu_hook){ .fn = on_turn, .arg = sv };
    mu_loop_hook(sv->loop, &sv->hook);
    return MU_OK;
}

static void server_close(struct mu_server *sv)
{
    if (sv->hook.fn != NULL)
        mu_loop_unhook(&sv->hook);
    mu_httpd_close(sv->httpd);
    mu_api_close(sv);
    if (sv->ctl != NULL)
        mu_peers_close(sv);
    mu_store_close(sv);
    mu_loop_cancel(sv->loop, sv->stop_timer);
    mu_timer_free(sv->wake);
    mu_signal_close(sv->signals[0]);
    mu_signal_close(sv->signals[1]);
    mu_auth_close(sv->auth);
    mu_tape_fini(&sv->tape);
    mu_stats_fini(&sv->stats);
    mu_loop_close(sv->loop);
    if (sv->lock_fd >= 0)
        close(sv->lock_fd);
}

/* ---- the verb ---- */

static const struct mu_option options[] = {
    { "data", "DIR", "where the journal, the history and the token are kept (required)", 0, false },
    { "listen", "ADDR:PORT", "address to answer at (default 127.0.0.1:7788; port 0: a free one)", 0, false },
    { "journal", "URL", "where facts are made durable (default sqlite:, a file in DIR)", 0, false },
    { "name", "NAME", "of this server (default: the host's)", 0, false },
    { "advertise", "URL", "how others reach this server (default: the address it listens at)", 0, false },
    { "token-file", "FILE", "the secret clients and agents show (default: made in DIR)", 0, false },
    { "lease", "DUR", "a node not heard of for that long is lost (default 5s)", 0, false },
    { "keep", "DUR", "how long ended jobs stay in the history (default 720h)", 0, false },
    { "keep-tasks", "N", "how many ended tasks stay in the history (default 20000000)", 0, false },
    { "log", "LEVEL", "error, warn, info or debug (default info)", 0, false },
};

static int wrong(const char *flag, const char *text)
{
    fprintf(stderr, "muster server: --%s: %s\n", flag, text);
    return EXIT_USAGE;
}

static bool level_set(const char *text)
{
    static const char *const levels[] = { [MU_LOG_ERROR] = "error", [MU_LOG_WARN] = "warn", [MU_LOG_INFO] = "info", [MU_LOG_DEBUG] = "debug" };

    for (int i = 0; i < (int)MU_COUNT(levels); i++)
        if (strcmp(levels[i], text) == 0) {
            mu_log_level_set((enum mu_log_level)i);
            return true;
        }
    return false;
}

static int options_read(const struct mu_args *args, struct mu_server_options *opt)
{
    const char *lease = mu_args_get(args, "lease", NULL), *keep = mu_args_get(args, "keep", "720h");
    uint64_t n;

    *opt = (struct mu_server_options){
        .data = mu_args_get(args, "data", NULL), .listen = mu_args_get(args, "listen", "127.0.0.1:7788"),
        .journal = mu_args_get(args, "journal", "sqlite:"), .name = mu_args_get(args, "name", NULL),
        .advertise = mu_args_get(args, "advertise", NULL), .token_file = mu_args_get(args, "token-file", NULL) };
    if (opt->data == NULL || opt->data[0] == '\0')
        return wrong("data", "a folder for the server's data is needed");
    if (strlen(opt->data) > 3900)
        return wrong("data", "the name of the folder is too long");
    if (lease != NULL && (!mu_parse_duration(mu_str_of(lease), &opt->lease_ms) || opt->lease_ms < 500 || opt->lease_ms > 86400000))
        return wrong("lease", "must be a duration from 500ms to 24h");
    if (!mu_parse_duration(mu_str_of(keep), &opt->keep_ms) || opt->keep_ms == 0)
        return wrong("keep", "must be a duration like 720h");
    if (!mu_str_u64(mu_str_of(mu_args_get(args, "keep-tasks", "20000000")), &n) || n == 0)
        return wrong("keep-tasks", "must be a whole number above 0");
    opt->keep_tasks = n;
    if (opt->name != NULL && (opt->name[0] == '\0' || strlen(opt->name) > MU_NAME_MAX))
        return wrong("name", "must be 1 to 128 bytes");
    return level_set(mu_args_get(args, "log", "info")) ? 0 : wrong("log", "must be error, warn, info or debug");
}

static int run(const struct mu_args *args)
{
    struct mu_server *sv = calloc(1, sizeof *sv);
    struct mu_err err = { 0 };
    int code;

    MU_ASSERT(sv != NULL);
    umask(077); /* what the server writes is nobody else's */
    mu_log_clock(mu_wall_ms);
    code = options_read(args, &sv->opt);
    if (code == 0 && server_open(sv, &err) != MU_OK) {
        fprintf(stderr, "muster server: %s\n", err.text);
        code = EXIT_FAILURE_;
    }
    if (code == 0) {
        mu_loop_run(sv->loop);
        code = sv->exit_code;
    }
    if (sv->loop != NULL)
        server_close(sv);
    free(sv);
    return code;
}

const struct mu_command mu_server_command = {
    .name = "server", .args = "", .summary = "run a control server",
    .about = "A server keeps the jobs of a cluster, decides what runs where, and answers the HTTP API. Without TLS it\n"
             "listens on loopback only. It prints \"ready URL\" when it takes work; SIGTERM and SIGINT stop it in order.\n"
             "Its token is in DIR/token and in ~/.config/muster/token unless one is given.",
    .tables = { MU_OPTIONS("options", options) }, .args_min = 0, .args_max = 0, .run = run,
};
