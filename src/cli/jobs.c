/* cli/jobs.c -- muster jobs, job, tasks: what there is and how far it got. */
#include "cli/verbs.h"

#include "base/units.h"

#include <stdio.h>

static uint64_t count_of(const json_t *job, const char *state)
{
    return mu_answer_u64(json_object_get(job, "counts"), state);
}

static uint64_t live_of(const json_t *job)
{
    return count_of(job, "starting") + count_of(job, "running") + count_of(job, "stopping");
}

static uint64_t bad_of(const json_t *job)
{
    return count_of(job, "failed") + count_of(job, "cancelled") + count_of(job, "lost");
}

static void add_job_row(struct mu_table *t, const json_t *job)
{
    uint64_t tasks = mu_answer_u64(job, "tasks"), ended = count_of(job, "succeeded") + bad_of(job);

    mu_table_add(t, "%llu", (unsigned long long)mu_answer_u64(job, "id"));
    mu_table_add(t, "%s", mu_answer_text(job, "name", "-"));
    mu_table_add(t, "%s", mu_answer_text(job, "user", "-"));
    mu_table_add(t, "%s", mu_answer_text(job, "state", "-"));
    mu_table_add(t, "%llu/%llu", (unsigned long long)ended, (unsigned long long)tasks);
    mu_table_add(t, "%llu", (unsigned long long)live_of(job));
    mu_table_add(t, "%llu", (unsigned long long)bad_of(job));
    mu_table_add(t, "%.19s", mu_answer_text(job, "submitted", "-"));
}

/* Walk a paged list: each item to on_item; 0 or an exit code. */
static int walk(struct mu_cli *cli, const char *path, const char *list, uint64_t limit,
                void (*on_item)(void *arg, const json_t *item), void *arg)
{
    uint64_t left = limit;
    struct mu_buf target = { 0 };
    char next[40] = "";
    int code = 0;

    while (code == 0 && left > 0) {
        uint64_t page = left < 1000 ? left : 1000, got;
        json_t *answer, *item, *after;
        size_t i;
        mu_buf_clear(&target);
        mu_buf_printf(&target, "%s%climit=%llu%s", path, strchr(path, '?') ? '&' : '?', (unsigned long long)page, next);
        mu_buf_addc(&target, '\0');
        code = mu_cli_get(cli, (char *)target.at, &answer);
        if (code != 0)
            break;
        json_array_foreach(json_object_get(answer, list), i, item)
            on_item(arg, item);
        got = json_array_size(json_object_get(answer, list));
        left -= got < left ? got : left;
        after = json_object_get(answer, "next");
        if (json_is_integer(after))
            snprintf(next, sizeof next, "&after=%lld", (long long)json_integer_value(after));
        else
            left = 0;
        json_decref(answer);
    }
    mu_buf_fini(&target);
    return code;
}

static void job_line(void *arg, const json_t *job)
{
    (void)arg;
    mu_answer_line(job);
}

static void job_row(void *arg, const json_t *job)
{
    add_job_row(arg, job);
}

static int number_flag(const struct mu_args *args, const char *flag, uint64_t fallback, uint64_t *out)
{
    const char *v = mu_args_get(args, flag, NULL);

    *out = fallback;
    if (v != NULL && (!mu_str_u64(mu_str_of(v), out) || *out == 0))
        return mu_cli_usage(args, "--%s must be a whole number from 1, not \"%s\"", flag, v);
    return 0;
}

static int run_jobs(const struct mu_args *args)
{
    static const char *const heads[] = { "ID", "NAME", "USER", "STATE", "ENDED", "RUNNING", "FAILED", "SUBMITTED" };
    static const char *const filters[] = { "state", "name", "user" };
    struct mu_cli cli;
    struct mu_buf path = { 0 };
    struct mu_table table;
    uint64_t limit;
    int code = number_flag(args, "limit", 50, &limit);

    if (code != 0 || (code = mu_cli_open(&cli, args)) != 0)
        return code;
    mu_buf_addz(&path, "/v1/jobs");
    for (size_t i = 0, n = 0; i < 3; i++) {
        const char *v = mu_args_get(args, filters[i], NULL);
        if (v == NULL)
            continue;
        mu_buf_printf(&path, "%c%s=", n++ ? '&' : '?', filters[i]);
        mu_cli_escape(&path, v);
    }
    mu_buf_addc(&path, '\0');
    mu_table_open(&table, heads, 8);
    code = walk(&cli, (char *)path.at, "jobs", limit, cli.json ? job_line : job_row, &table);
    if (code == 0 && !cli.json)
        mu_table_print(&table);
    mu_buf_fini(&path);
    mu_cli_close(&cli);
    return code;
}

static const struct mu_option jobs_options[] = {
    { "state", "S", "only jobs in this state", 's', false },
    { "name", "G", "only jobs whose name matches this pattern (* and ?)", 'n', false },
    { "user", "U", "only jobs of this user", 0, false },
    { "limit", "N", "at most so many, newest first (default 50)", 0, false },
};
const struct mu_command mu_cli_jobs = {
    .name = "jobs", .args = "", .summary = "list jobs, newest first",
    .tables = { MU_OPTIONS("options", jobs_options), MU_CLI_TABLE }, .run = run_jobs,
};

static void show_job(const json_t *job)
{
    static const char *const states[] = { "waiting", "starting", "running", "stopping", "succeeded", "failed", "cancelled", "lost" };
    static const char *const times[] = { "submitted", "started", "ended", "deadline" };
    json_t *group;
    size_t i;

    printf("job        %llu%s%s\n", (unsigned long long)mu_answer_u64(job, "id"), json_is_string(json_object_get(job, "name")) ? "  " : "",
           mu_answer_text(job, "name", ""));
    printf("user       %s\nstate      %s%s\n", mu_answer_text(job, "user", "-"), mu_answer_text(job, "state", "-"),
           mu_answer_bool(job, "open") ? " (open: more tasks may come)" : "");
    printf("priority   %lld\n", (long long)json_integer_value(json_object_get(job, "priority")));
    for (i = 0; i < 4; i++)
        if (json_is_string(json_object_get(job, times[i])))
            printf("%-10s %s\n", times[i], mu_answer_text(job, times[i], ""));
    printf("tasks      %llu:", (unsigned long long)mu_answer_u64(job, "tasks"));
    for (i = 0; i < 8; i++)
        if (count_of(job, states[i]) > 0)
            printf(" %llu %s", (unsigned long long)count_of(job, states[i]), states[i]);
    putchar('\n');
    if (json_array_size(json_object_get(job, "groups")) > 1)
        json_array_foreach(json_object_get(job, "groups"), i, group)
            printf("  %-12s tasks %llu-%llu\n", mu_answer_text(group, "name", "-"), (unsigned long long)mu_answer_u64(group, "first"),
                   (unsigned long long)(mu_answer_u64(group, "first") + mu_answer_u64(group, "tasks") - 1));
}

static int run_job(const struct mu_args *args)
{
    struct mu_cli cli;
    uint64_t id, task;
    bool has_task;
    json_t *job;
    char path[64];
    int code;

    if (!mu_cli_id(args, args->words[0], &id, &task, &has_task))
        return MU_EXIT_USAGE;
    if ((code = mu_cli_open(&cli, args)) != 0)
        return code;
    snprintf(path, sizeof path, "/v1/jobs/%llu", (unsigned long long)id);
    if ((code = mu_cli_get(&cli, path, &job)) == 0) {
        if (cli.json)
            mu_answer_line(job);
        else
            show_job(job);
        json_decref(job);
    }
    mu_cli_close(&cli);
    return code;
}

const struct mu_command mu_cli_job = {
    .name = "job", .args = "ID", .summary = "show one job", .args_min = 1, .args_max = 1,
    .tables = { MU_CLI_TABLE }, .run = run_job,
};

static void task_row(void *arg, const json_t *task)
{
    struct mu_table *t = arg;
    const json_t *exit_code = json_object_get(task, "exit_code"), *signal = json_object_get(task, "signal");
    char text[MU_TEXT_UNITS];

    mu_table_add(t, "%s", mu_answer_text(task, "task", "-"));
    mu_table_add(t, "%s", mu_answer_text(task, "group", "-"));
    mu_table_add(t, "%s", mu_answer_text(task, "state", "-"));
    mu_table_add(t, "%s", mu_answer_text(task, "reason", "-"));
    if (json_is_integer(exit_code))
        mu_table_add(t, "%lld", (long long)json_integer_value(exit_code));
    else if (json_is_integer(signal))
        mu_table_add(t, "signal %lld", (long long)json_integer_value(signal));
    else
        mu_table_add(t, "-");
    mu_table_add(t, "%llu", (unsigned long long)mu_answer_u64(task, "attempt"));
    mu_table_add(t, "%s", mu_answer_text(task, "node", "-"));
    if (json_is_number(json_object_get(task, "run_s")))
        mu_table_add(t, "%s", mu_duration_text(text, (uint64_t)(mu_answer_number(task, "run_s", 0) * 1000)));
    else
        mu_table_add(t, "-");
}

static int run_tasks(const struct mu_args *args)
{
    static const char *const heads[] = { "TASK", "GROUP", "STATE", "REASON", "EXIT", "ATTEMPT", "NODE", "RUN" };
    struct mu_cli cli;
    struct mu_buf path = { 0 };
    struct mu_table table;
    uint64_t id, task, limit;
    bool has_task;
    int code = number_flag(args, "limit", UINT64_MAX, &limit);

    if (code != 0)
        return code;
    if (!mu_cli_id(args, args->words[0], &id, &task, &has_task))
        return MU_EXIT_USAGE;
    if ((code = mu_cli_open(&cli, args)) != 0)
        return code;
    mu_buf_printf(&path, "/v1/jobs/%llu/tasks", (unsigned long long)id);
    if (mu_args_has(args, "state")) {
        mu_buf_addz(&path, "?state=");
        mu_cli_escape(&path, mu_args_get(args, "state", ""));
    }
    mu_buf_addc(&path, '\0');
    mu_table_open(&table, heads, 8);
    code = walk(&cli, (char *)path.at, "tasks", limit, cli.json ? job_line : task_row, &table);
    if (code == 0 && !cli.json)
        mu_table_print(&table);
    mu_buf_fini(&path);
    mu_cli_close(&cli);
    return code;
}

static const struct mu_option tasks_options[] = {
    { "state", "S", "only tasks in this state", 's', false },
    { "limit", "N", "at most so many (default: all)", 0, false },
};
const struct mu_command mu_cli_tasks = {
    .name = "tasks", .args = "ID", .summary = "list the tasks of a job", .args_min = 1, .args_max = 1,
    .tables = { MU_OPTIONS("options", tasks_options), MU_CLI_TABLE }, .run = run_tasks,
};
