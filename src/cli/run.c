/* cli/run.c -- muster run: submit, stream, and end as the task ended. */
#include "cli/follow.h"
#include "cli/verbs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

struct run {
    bool array;
    uint64_t failed;
    int exit_code; /* of the only task */
};

static void on_data(void *arg, uint64_t index, bool is_err, const void *bytes, size_t size)
{
    FILE *to = is_err ? stderr : stdout;

    (void)arg;
    (void)index;
    fwrite(bytes, 1, size, to);
    fflush(to);
}

static void on_gone(void *arg, uint64_t index, bool is_err, const char *text)
{
    (void)arg;
    mu_cli_say("task %llu %s: %s", (unsigned long long)index, is_err ? "stderr" : "stdout", text);
}

/* As a shell would say it: see INTERFACE, exit status. */
static int exit_of(const json_t *end)
{
    const char *reason = mu_answer_text(end, "reason", "exit"), *state = mu_answer_text(end, "state", "");

    if (strcmp(reason, "timeout") == 0)
        return MU_EXIT_TIMEOUT;
    if (strcmp(reason, "no-start") == 0)
        return mu_answer_u64(end, "errno") == ENOENT ? 127 : 126;
    if (json_is_integer(json_object_get(end, "signal")))
        return 128 + (int)mu_answer_u64(end, "signal");
    if (strcmp(reason, "exit") == 0 && json_is_integer(json_object_get(end, "exit_code")))
        return (int)mu_answer_u64(end, "exit_code");
    if (strcmp(state, "cancelled") == 0)
        return 128 + SIGTERM;
    return strcmp(state, "succeeded") == 0 ? MU_EXIT_OK : MU_EXIT_MUSTER;
}

static void on_end(void *arg, uint64_t index, const json_t *end)
{
    struct run *r = arg;
    const char *state = mu_answer_text(end, "state", ""), *reason = mu_answer_text(end, "reason", "");

    r->exit_code = exit_of(end);
    r->failed += strcmp(state, "succeeded") != 0;
    if (strcmp(state, "lost") == 0 || strcmp(reason, "out-of-memory") == 0)
        mu_cli_say("task %llu %s (%s)", (unsigned long long)index, state, reason);
}

static int cancel(struct mu_cli *cli, uint64_t job)
{
    char path[64];

    snprintf(path, sizeof path, "/v1/jobs/%llu/cancel", (unsigned long long)job);
    return mu_cli_post(cli, path, NULL, NULL);
}

static int run_run(const struct mu_args *args)
{
    struct run r = { .array = mu_args_has(args, "array") || mu_args_has(args, "each-node"), .exit_code = MU_EXIT_MUSTER };
    struct mu_follow f = { .arg = &r, .live = true, .on_data = on_data, .on_gone = on_gone, .on_end = on_end };
    json_t *spec = mu_cli_spec(args), *command = json_array();
    struct mu_cli cli;
    uint64_t job = 0;
    int code;

    if (spec == NULL || (code = mu_cli_open(&cli, args)) != 0) {
        json_decref(command);
        json_decref(spec);
        return MU_EXIT_USAGE;
    }
    for (int i = 0; i < args->words_count; i++)
        json_array_append_new(command, json_string(args->words[i]));
    json_object_set_new(spec, "command", command);
    code = mu_cli_submit(&cli, spec, NULL, (struct mu_str){ 0 }, &job);
    json_decref(spec);
    if (code == 0) {
        mu_cli_catch_interrupt();
        code = mu_cli_follow(&cli, job, &f);
        if (cli.interrupted && cancel(&cli, job) == 0) /* Ctrl-C: take it back, then see it end */
            code = mu_cli_follow(&cli, job, &f);
        if (code == 0 && f.ended == 0)
            mu_cli_say("job %llu %s before it ran", (unsigned long long)job, mu_answer_text(f.job, "state", "ended"));
        if (code == 0)
            code = r.array ? (r.failed > 0 || f.ended == 0 ? MU_EXIT_FAILED : MU_EXIT_OK)
                           : f.ended > 0 ? r.exit_code : 128 + SIGTERM;
        else
            code = MU_EXIT_MUSTER;
    } else if (code != MU_EXIT_USAGE) {
        code = MU_EXIT_MUSTER;
    }
    mu_follow_fini(&f);
    mu_cli_close(&cli);
    return code;
}

const struct mu_command mu_cli_run = {
    .name = "run", .args = "-- CMD ARG...", .summary = "run a command in the pool, stream its output, end as it ended",
    .about = "Ctrl-C cancels the task. Exit status: the task's own; 128+signal if it was killed; 124 when its time limit\n"
             "passed; 125 when Muster failed; 126 or 127 when it could not be started.",
    .args_min = 1, .args_max = -1, .tables = { MU_CLI_JOB_TABLE, MU_CLI_TABLE }, .run = run_run,
};
