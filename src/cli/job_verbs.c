/* cli/job_verbs.c -- muster submit, wait, cancel, hold, release, retry. */
#include "cli/verbs.h"

#include "base/units.h"

#include <stdio.h>
#include <stdlib.h>

static int submit_words(struct mu_cli *cli, const struct mu_args *args, uint64_t *out_job)
{
    json_t *spec = mu_cli_spec(args), *command = json_array();
    int code = MU_EXIT_USAGE;

    for (int i = 0; i < args->words_count; i++)
        json_array_append_new(command, json_string(args->words[i]));
    if (spec != NULL) {
        json_object_set(spec, "command", command);
        code = mu_cli_submit(cli, spec, NULL, (struct mu_str){ 0 }, out_job);
    }
    json_decref(command);
    json_decref(spec);
    return code;
}

static int submit_file(struct mu_cli *cli, const struct mu_args *args, const char *path, uint64_t *out_job)
{
    struct mu_buf text = { 0 };
    json_t *spec = mu_cli_spec_file(args, strcmp(path, "-") == 0 ? "/dev/stdin" : path, &text);
    int code = MU_EXIT_USAGE;

    if (spec != NULL)
        code = mu_cli_submit(cli, spec, path, mu_buf_str(&text), out_job);
    json_decref(spec);
    mu_buf_fini(&text);
    return code;
}

static int run_submit(const struct mu_args *args)
{
    struct mu_cli cli;
    const char *path = mu_args_get(args, "file", NULL);
    uint64_t job = 0;
    int code;

    if (path != NULL && args->words_count > 0)
        return mu_cli_usage(args, "give --file or a command, not both");
    if (path == NULL && args->words_count == 0)
        return mu_cli_usage(args, "what is to run? give -- CMD ARG... or --file FILE");
    if ((code = mu_cli_open(&cli, args)) != 0)
        return code;
    code = path != NULL ? submit_file(&cli, args, path, &job) : submit_words(&cli, args, &job);
    if (code == 0 && cli.json)
        printf("{\"id\":%llu}\n", (unsigned long long)job);
    else if (code == 0)
        printf("%llu\n", (unsigned long long)job);
    mu_cli_close(&cli);
    return code;
}

static const struct mu_option submit_options[] = {
    { "file", "FILE", "a job file in YAML or JSON; - reads standard input", 'f', false },
};
const struct mu_command mu_cli_submit_verb = {
    .name = "submit", .args = "-- CMD ARG...", .summary = "submit a job, print its id and return",
    .about = "With --file FILE the job is described in YAML or JSON: several tasks, arrays, and what comes after what.",
    .args_max = -1, .tables = { MU_OPTIONS("options", submit_options), MU_CLI_JOB_TABLE, MU_CLI_TABLE }, .run = run_submit,
};

/* Every word is a job (or a task where that has a meaning); stops at the first that cannot be understood. */
static int check_ids(const struct mu_args *args, bool tasks_too)
{
    uint64_t job, task;
    bool has_task;

    for (int i = 0; i < args->words_count; i++) {
        if (!mu_cli_id(args, args->words[i], &job, &task, &has_task))
            return MU_EXIT_USAGE;
        if (has_task && !tasks_too)
            return mu_cli_usage(args, "%s: give a job, not a task", args->words[i]);
    }
    return 0;
}

static int wait_one(struct mu_cli *cli, uint64_t id, uint64_t until_ms)
{
    struct mu_progress bar;
    json_t *job = NULL;
    char path[80];
    int code;

    mu_progress_open(&bar);
    for (;;) {
        uint64_t now = mu_cli_now_ms(), step = bar.on ? 200 : 30000;
        json_t *counts;
        if (until_ms != 0 && now + step > until_ms)
            step = now < until_ms ? until_ms - now : 0;
        snprintf(path, sizeof path, "/v1/jobs/%llu/wait?timeout=%llums", (unsigned long long)id, (unsigned long long)step);
        code = mu_cli_get(cli, path, &job);
        if (code != 0 || cli->status != 202 || (until_ms != 0 && mu_cli_now_ms() >= until_ms))
            break;
        counts = json_object_get(job, "counts");
        mu_progress_show(&bar, mu_answer_u64(counts, "succeeded") + mu_answer_u64(counts, "failed") + mu_answer_u64(counts, "cancelled") +
                         mu_answer_u64(counts, "lost"), mu_answer_u64(counts, "failed"), mu_answer_u64(counts, "running"), mu_answer_u64(job, "tasks"));
        json_decref(job);
    }
    mu_progress_close(&bar);
    if (code != 0)
        return code;
    if (cli->status == 202) {
        mu_cli_say("job %llu has not ended: %s", (unsigned long long)id, mu_answer_text(job, "state", "?"));
        code = MU_EXIT_TIMEOUT;
    } else {
        code = strcmp(mu_answer_text(job, "state", ""), "succeeded") == 0 ? MU_EXIT_OK : MU_EXIT_FAILED;
        if (cli->json)
            mu_answer_line(job);
        else if (code != 0)
            mu_cli_say("job %llu %s", (unsigned long long)id, mu_answer_text(job, "state", "?"));
    }
    json_decref(job);
    return code;
}

static int run_wait(const struct mu_args *args)
{
    const char *limit = mu_args_get(args, "for", NULL);
    struct mu_cli cli;
    uint64_t until_ms = 0, id, task;
    bool has_task;
    int code = check_ids(args, false), worst = 0;

    if (code != 0)
        return code;
    if (limit != NULL && !mu_parse_duration(mu_str_of(limit), &until_ms))
        return mu_cli_usage(args, "--for must be a duration like 90s, not \"%s\"", limit);
    if (limit != NULL)
        until_ms += mu_cli_now_ms();
    if ((code = mu_cli_open(&cli, args)) != 0)
        return code;
    for (int i = 0; i < args->words_count; i++) {
        mu_cli_id(args, args->words[i], &id, &task, &has_task);
        code = wait_one(&cli, id, until_ms);
        worst = code > worst ? code : worst;
    }
    mu_cli_close(&cli);
    return worst;
}

static const struct mu_option wait_options[] = { { "for", "DUR", "give up waiting after that time (exit 124)", 0, false } };
const struct mu_command mu_cli_wait = {
    .name = "wait", .args = "ID...", .summary = "wait until jobs have ended; 0 if all succeeded, 1 if not",
    .args_min = 1, .args_max = -1, .tables = { MU_OPTIONS("options", wait_options), MU_CLI_TABLE }, .run = run_wait,
};

/* POST /v1/jobs/ID/VERB for each word. */
static int each(const struct mu_args *args, const char *verb, bool tasks_too)
{
    struct mu_cli cli;
    uint64_t id, task = 0;
    bool has_task;
    char path[96];
    int code = check_ids(args, tasks_too), worst = 0;

    if (code != 0 || (code = mu_cli_open(&cli, args)) != 0)
        return code;
    for (int i = 0; i < args->words_count; i++) {
        json_t *job = NULL;
        mu_cli_id(args, args->words[i], &id, &task, &has_task);
        if (has_task)
            snprintf(path, sizeof path, "/v1/jobs/%llu/%s?task=%llu", (unsigned long long)id, verb, (unsigned long long)task);
        else
            snprintf(path, sizeof path, "/v1/jobs/%llu/%s", (unsigned long long)id, verb);
        code = mu_cli_post(&cli, path, NULL, &job);
        if (code == 0 && cli.json)
            mu_answer_line(job);
        json_decref(job);
        worst = code > worst ? code : worst;
    }
    mu_cli_close(&cli);
    return worst;
}

static int run_cancel(const struct mu_args *args)
{
    return each(args, "cancel", true);
}
static int run_hold(const struct mu_args *args)
{
    return each(args, "hold", false);
}
static int run_release(const struct mu_args *args)
{
    return each(args, "release", false);
}
static int run_retry(const struct mu_args *args)
{
    return each(args, "retry", false);
}

const struct mu_command mu_cli_cancel = {
    .name = "cancel", .args = "ID[.TASK]...", .summary = "cancel jobs or single tasks: waiting ones at once, running ones are stopped",
    .args_min = 1, .args_max = -1, .tables = { MU_CLI_TABLE }, .run = run_cancel,
};
const struct mu_command mu_cli_hold = {
    .name = "hold", .args = "ID...", .summary = "keep waiting tasks of jobs from starting",
    .args_min = 1, .args_max = -1, .tables = { MU_CLI_TABLE }, .run = run_hold,
};
const struct mu_command mu_cli_release = {
    .name = "release", .args = "ID...", .summary = "let held jobs go on",
    .args_min = 1, .args_max = -1, .tables = { MU_CLI_TABLE }, .run = run_release,
};
const struct mu_command mu_cli_retry = {
    .name = "retry", .args = "ID...", .summary = "run the failed, cancelled and lost tasks of jobs again",
    .args_min = 1, .args_max = -1, .tables = { MU_CLI_TABLE }, .run = run_retry,
};
