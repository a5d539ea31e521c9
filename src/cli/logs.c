/* cli/logs.c -- muster logs, explain: what a task said, and why it is where it is. */
#include "cli/verbs.h"

#include "base/units.h"

#include <math.h>
#include <stdio.h>

static bool to_stdout(void *arg, const void *bytes, size_t size)
{
    bool *follow = arg;

    if (fwrite(bytes, 1, size, stdout) != size)
        return false;
    return !*follow || fflush(stdout) == 0;
}

static int run_logs(const struct mu_args *args)
{
    const char *attempt = mu_args_get(args, "attempt", NULL);
    bool follow = mu_args_has(args, "follow"), has_task;
    uint64_t id, task = 0, number;
    struct mu_cli cli;
    char path[160];
    int code;

    if (!mu_cli_id(args, args->words[0], &id, &task, &has_task))
        return MU_EXIT_USAGE;
    if (attempt != NULL && !mu_str_u64(mu_str_of(attempt), &number))
        return mu_cli_usage(args, "--attempt must be a whole number, not \"%s\"", attempt);
    if ((code = mu_cli_open(&cli, args)) != 0)
        return code;
    if (!has_task) { /* the first task of the job, whatever its index */
        json_t *list = NULL;
        snprintf(path, sizeof path, "/v1/jobs/%llu/tasks?limit=1", (unsigned long long)id);
        code = mu_cli_get(&cli, path, &list);
        task = mu_answer_u64(json_array_get(json_object_get(list, "tasks"), 0), "index");
        json_decref(list);
    }
    snprintf(path, sizeof path, "/v1/jobs/%llu/tasks/%llu/%s%s%s%s%s", (unsigned long long)id, (unsigned long long)task,
             mu_args_has(args, "stderr") ? "stderr" : "stdout", follow || attempt ? "?" : "", follow ? "follow=1&" : "",
             attempt ? "attempt=" : "", attempt ? attempt : "");
    if (code == 0)
        code = mu_cli_stream(&cli, path, to_stdout, &follow);
    mu_cli_close(&cli);
    return code;
}

static const struct mu_option logs_options[] = {
    { "follow", NULL, "go on until the task has ended", 'f', false },
    { "stderr", NULL, "its errors instead of its output", 0, false },
    { "attempt", "N", "of that attempt (default: the last)", 0, false },
};
const struct mu_command mu_cli_logs = {
    .name = "logs", .args = "ID[.TASK]", .summary = "print the output of a task", .args_min = 1, .args_max = 1,
    .tables = { MU_OPTIONS("options", logs_options), MU_CLI_TABLE }, .run = run_logs,
};

static void show_explain(const json_t *why)
{
    static const struct { const char *key, *label; } rows[] = { { "nearest", "nearest miss" }, { "frees", "room comes from" } };
    const json_t *estimate = json_object_get(why, "estimate_s");
    char text[MU_TEXT_UNITS];

    printf("%s is %s: %s\n", mu_answer_text(why, "task", "the job"), mu_answer_text(why, "state", "?"), mu_answer_text(why, "text", ""));
    for (size_t i = 0; i < 2; i++)
        if (mu_answer_text(why, rows[i].key, "")[0] != '\0')
            printf("  %-16s %s\n", rows[i].label, mu_answer_text(why, rows[i].key, ""));
    if (json_is_number(estimate))
        printf("  %-16s in about %s (%s)\n", "estimate", mu_duration_text(text, (uint64_t)llround(json_number_value(estimate) * 1000)),
               mu_answer_text(why, "basis", "no basis"));
}

static int run_explain(const struct mu_args *args)
{
    uint64_t id, task = 0;
    bool has_task;
    struct mu_cli cli;
    json_t *why;
    char path[96];
    int code;

    if (!mu_cli_id(args, args->words[0], &id, &task, &has_task))
        return MU_EXIT_USAGE;
    if ((code = mu_cli_open(&cli, args)) != 0)
        return code;
    if (has_task)
        snprintf(path, sizeof path, "/v1/jobs/%llu/explain?task=%llu", (unsigned long long)id, (unsigned long long)task);
    else
        snprintf(path, sizeof path, "/v1/jobs/%llu/explain", (unsigned long long)id);
    if ((code = mu_cli_get(&cli, path, &why)) == 0) {
        if (cli.json)
            mu_answer_line(why);
        else
            show_explain(why);
        json_decref(why);
    }
    mu_cli_close(&cli);
    return code;
}

const struct mu_command mu_cli_explain = {
    .name = "explain", .args = "ID[.TASK]", .summary = "why a task waits, or why it ran where it did", .args_min = 1, .args_max = 1,
    .tables = { MU_CLI_TABLE }, .run = run_explain,
};
