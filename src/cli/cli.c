/* cli/cli.c -- connection, requests and answers of the command line; see cli.h. */
#include "cli/cli.h"

#include "base/assert.h"
#include "io/files.h"
#include "io/httpc.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

const struct mu_option mu_cli_options[MU_CLI_OPTIONS] = {
    { "server", "URL[,URL]", "where (default $MUSTER_SERVER or http://127.0.0.1:7788)", 0, false },
    { "token", "T", "who (default $MUSTER_TOKEN)", 0, false },
    { "token-file", "FILE", "file with the token (default $MUSTER_TOKEN_FILE or ~/.config/muster/token)", 0, false },
    { "json", NULL, "answer as JSON", 0, false },
};

void mu_cli_say(const char *fmt, ...)
{
    va_list ap;

    fflush(stdout);
    fputs("muster: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

int mu_cli_usage(const struct mu_args *args, const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "muster %s: ", args->command->name);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return MU_EXIT_USAGE;
}

uint64_t mu_cli_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The default token file of this user: written by muster dev and muster server. */
static void token_path(char *path, size_t cap)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

    if (config != NULL && config[0] != '\0')
        snprintf(path, cap, "%s/muster/token", config);
    else
        snprintf(path, cap, "%s/.config/muster/token", home != NULL ? home : "/root");
}

static int read_token(const struct mu_args *args, char *token, size_t cap)
{
    const char *given = mu_args_get(args, "token", NULL), *file = mu_args_get(args, "token-file", NULL);
    char path[4096];
    struct mu_buf b = { 0 };
    struct mu_err err = { 0 };
    bool asked = file != NULL;

    if (given == NULL && file == NULL)
        given = getenv("MUSTER_TOKEN");
    if (given != NULL) {
        snprintf(token, cap, "%s", given);
        return 0;
    }
    if (file == NULL && (file = getenv("MUSTER_TOKEN_FILE")) != NULL)
        asked = true;
    if (file == NULL) {
        token_path(path, sizeof path);
        file = path;
    }
    if (mu_file_read(file, cap - 1, &b, &err) == MU_OK)
        snprintf(token, cap, "%.*s", (int)strcspn(b.size ? (char *)b.at : "", "\r\n"), (char *)b.at);
    mu_buf_fini(&b);
    if (asked && err.rc != MU_OK) {
        mu_cli_say("--token-file: %s", err.text);
        return MU_EXIT_USAGE;
    }
    return 0;
}

static int wake_pipe[2] = { -1, -1 };

static void on_signal(int signo)
{
    int saved = errno;

    (void)!write(wake_pipe[1], "", 1);
    signal(signo, SIG_DFL); /* the second one kills */
    errno = saved;
}

void mu_cli_interrupted(struct mu_cli *cli)
{
    char byte;

    cli->interrupted = read(wake_pipe[0], &byte, 1) == 1;
}

void mu_cli_catch_interrupt(void)
{
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
}

int mu_cli_open(struct mu_cli *cli, const struct mu_args *args)
{
    char token[512] = "";
    const char *servers = mu_args_get(args, "server", getenv("MUSTER_SERVER"));
    struct mu_httpc_options opt = { 0 };
    struct mu_err err = { 0 };
    int code = read_token(args, token, sizeof token);

    memset(cli, 0, sizeof *cli);
    if (code != 0)
        return code;
    if (wake_pipe[0] < 0 && pipe(wake_pipe) != 0)
        wake_pipe[0] = -1;
    signal(SIGPIPE, SIG_IGN);
    opt.servers = servers != NULL && servers[0] != '\0' ? servers : "http://127.0.0.1:7788";
    opt.token = token[0] != '\0' ? token : NULL;
    opt.wake_fd = wake_pipe[0];
    opt.body_max = MU_CLI_ANSWER_MAX;
    cli->args = args;
    cli->json = mu_args_has(args, "json");
    cli->tty = isatty(1);
    if (mu_httpc_open(&cli->http, &opt, &err) == MU_OK)
        return 0;
    return mu_cli_usage(args, "%s", err.text);
}

void mu_cli_close(struct mu_cli *cli)
{
    mu_httpc_close(cli->http);
    mu_buf_fini(&cli->body);
}

static int exit_of(enum mu_rc rc)
{
    switch (rc) {
    case MU_OK: return MU_EXIT_OK;
    case MU_NOTFOUND: return MU_EXIT_NOTFOUND;
    case MU_INVALID: case MU_TOOBIG: return MU_EXIT_USAGE;
    case MU_DENIED: case MU_UNAUTHORIZED: case MU_BUSY: case MU_FULL: case MU_CONFLICT: case MU_IMPOSSIBLE: case MU_STATE:
        return MU_EXIT_REFUSED;
    default: return MU_EXIT_NOSERVER;
    }
}

/* Print what went wrong and name the exit code. */
static int failed(struct mu_cli *cli, enum mu_rc rc, const struct mu_err *err)
{
    if (rc == MU_AGAIN) {
        mu_cli_interrupted(cli);
        return MU_EXIT_FAILED;
    }
    if (err->field[0] != '\0' && strstr(err->text, err->field) == NULL)
        mu_cli_say("%s: %s", err->field, err->text);
    else
        mu_cli_say("%s", err->text);
    if (rc == MU_UNAUTHORIZED)
        mu_cli_say("give the token the server wrote: --token, --token-file, MUSTER_TOKEN or ~/.config/muster/token");
    return exit_of(rc);
}

int mu_cli_call(struct mu_cli *cli, const char *method, const char *path, const char *type, struct mu_str body)
{
    struct mu_httpc_req req = { .method = method, .target = path, .type = type, .body = body.at, .size = body.size };
    struct mu_err err = { 0 };
    enum mu_rc rc = mu_httpc_call(cli->http, &req, &cli->status, &cli->body, &err);

    if (rc == MU_OK)
        rc = mu_httpc_check(cli->status, &cli->body, &err);
    return rc == MU_OK ? 0 : failed(cli, rc, &err);
}

static int parse_answer(struct mu_cli *cli, json_t **out)
{
    json_error_t je;

    *out = json_loadb((char *)cli->body.at, cli->body.size, 0, &je);
    if (*out != NULL)
        return 0;
    mu_cli_say("the server's answer is not JSON: %s", je.text);
    return MU_EXIT_NOSERVER;
}

int mu_cli_get(struct mu_cli *cli, const char *path, json_t **out)
{
    int code = mu_cli_call(cli, "GET", path, NULL, (struct mu_str){ 0 });
    return code != 0 ? code : parse_answer(cli, out);
}

int mu_cli_post(struct mu_cli *cli, const char *path, const json_t *body, json_t **out)
{
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    int code = mu_cli_call(cli, "POST", path, text != NULL ? "application/json" : NULL, mu_str_of(text));

    free(text);
    return code != 0 ? code : out != NULL ? parse_answer(cli, out) : 0;
}

int mu_cli_stream(struct mu_cli *cli, const char *path, mu_cli_bytes_fn *on_bytes, void *arg)
{
    struct mu_httpc_req req = { .target = path };
    const struct mu_http_head *head;
    struct mu_err err = { 0 };
    char piece[65536];
    size_t size = 0;
    enum mu_rc rc = mu_httpc_start(cli->http, &req, &head, &err);

    mu_buf_clear(&cli->body);
    if (rc == MU_OK)
        cli->status = head->status;
    while (rc == MU_OK) {
        rc = mu_httpc_read(cli->http, piece, sizeof piece, &size, 0, &err);
        if (rc != MU_OK || size == 0)
            break;
        if (cli->status >= 400)
            mu_buf_add(&cli->body, piece, size);
        else if (!on_bytes(arg, piece, size))
            break;
    }
    if (rc == MU_OK && cli->status >= 400)
        rc = mu_httpc_check(cli->status, &cli->body, &err);
    mu_httpc_done(cli->http);
    return rc == MU_OK ? 0 : failed(cli, rc, &err);
}

bool mu_cli_id(const struct mu_args *args, const char *word, uint64_t *out_job, uint64_t *out_task, bool *has_task)
{
    struct mu_str task = { 0 }, job = mu_str_cut(mu_str_of(word), '.', &task);

    *has_task = strchr(word, '.') != NULL;
    if (mu_str_u64(job, out_job) && *out_job > 0 && (!*has_task || mu_str_u64(task, out_task)))
        return true;
    mu_cli_usage(args, "\"%s\" is not a job (42) or a task (42.7)", word);
    return false;
}

void mu_cli_escape(struct mu_buf *b, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("-._~", c) != NULL)
            mu_buf_addc(b, (char)c);
        else
            mu_buf_printf(b, "%%%02X", c);
    }
}

const char *mu_answer_text(const json_t *o, const char *key, const char *fallback)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s != NULL ? s : fallback;
}

double mu_answer_number(const json_t *o, const char *key, double fallback)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : fallback;
}

uint64_t mu_answer_u64(const json_t *o, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(o, key));
}

bool mu_answer_bool(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

void mu_answer_line(const json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(15));

    puts(text);
    free(text);
}
