/* cli/policy.c -- muster policy, policy set, quota, quota set, stats. */
#include "cli/verbs.h"

#include "base/units.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

static void show_policy(const json_t *all, const char *kind)
{
    const json_t *now = json_object_get(all, kind), *params = json_object_get(now, "params");
    const char *name = mu_answer_text(now, "name", "-"), *key;
    json_t *v, *row;
    size_t i;

    printf("%s: %s", kind, name);
    json_object_foreach((json_t *)params, key, v)
        printf(" %s=%s", key, json_string_value(v));
    putchar('\n');
    json_array_foreach(json_object_get(json_object_get(all, "available"), kind), i, row)
        printf("  %c %-20s %s\n", strcmp(name, mu_answer_text(row, "name", "")) == 0 ? '*' : ' ', mu_answer_text(row, "name", ""),
               mu_answer_text(row, "about", ""));
}

static int run_policy(const struct mu_args *args)
{
    struct mu_cli cli;
    json_t *all;
    int code = mu_cli_open(&cli, args);

    if (code != 0)
        return code;
    if ((code = mu_cli_get(&cli, "/v1/policies", &all)) == 0) {
        if (cli.json) {
            mu_answer_line(all);
        } else {
            show_policy(all, "order");
            show_policy(all, "place");
        }
        json_decref(all);
    }
    mu_cli_close(&cli);
    return code;
}

const struct mu_command mu_cli_policy = {
    .name = "policy", .args = "", .summary = "show the policies in force and those there are",
    .tables = { MU_CLI_TABLE }, .run = run_policy,
};

static int put(struct mu_cli *cli, const char *path, const json_t *body)
{
    char *text = json_dumps(body, JSON_COMPACT);
    int code = mu_cli_call(cli, "PUT", path, "application/json", mu_str_of(text));

    free(text);
    if (code == 0 && cli->json)
        printf("%.*s\n", (int)cli->body.size, (char *)cli->body.at);
    return code;
}

static int run_policy_set(const struct mu_args *args)
{
    struct mu_cli cli;
    json_t *params = json_object(), *body;
    int code;

    for (int i = 2; i < args->words_count; i++) {
        char *eq = strchr(args->words[i], '=');
        if (eq == NULL || eq == args->words[i]) {
            json_decref(params);
            return mu_cli_usage(args, "a parameter is K=V, not \"%s\"", args->words[i]);
        }
        *eq = '\0';
        json_object_set_new(params, args->words[i], json_string(eq + 1));
    }
    body = json_pack("{s:{s:s,s:o}}", args->words[0], "name", args->words[1], "params", params);
    code = mu_cli_open(&cli, args);
    if (code == 0) {
        code = put(&cli, "/v1/policies", body);
        mu_cli_close(&cli);
    }
    json_decref(body);
    return code;
}

const struct mu_command mu_cli_policy_set = {
    .name = "policy set", .args = "order|place NAME [K=V]...", .summary = "change a policy while running",
    .args_min = 2, .args_max = -1, .tables = { MU_CLI_TABLE }, .run = run_policy_set,
};

static int run_quota(const struct mu_args *args)
{
    static const char *const heads[] = { "USER", "WEIGHT", "WAITING", "WAITING MAX", "CPUS", "CPUS MAX" };
    struct mu_cli cli;
    struct mu_table t;
    json_t *all, *q;
    size_t i;
    int code = mu_cli_open(&cli, args);

    if (code != 0)
        return code;
    if ((code = mu_cli_get(&cli, "/v1/quotas", &all)) == 0) {
        mu_table_open(&t, heads, 6);
        json_array_foreach(json_object_get(all, "quotas"), i, q) {
            if (cli.json) {
                mu_answer_line(q);
                continue;
            }
            mu_table_add(&t, "%s", mu_answer_text(q, "user", "-"));
            mu_table_add(&t, "%llu", (unsigned long long)mu_answer_u64(q, "weight"));
            mu_table_add(&t, "%llu", (unsigned long long)mu_answer_u64(q, "waiting"));
            mu_table_add(&t, "%llu", (unsigned long long)mu_answer_u64(q, "waiting_max"));
            mu_table_add(&t, "%g", mu_answer_number(q, "cpus", 0));
            mu_table_add(&t, "%g", mu_answer_number(q, "cpus_max", 0));
        }
        if (!cli.json)
            mu_table_print(&t);
        json_decref(all);
    }
    mu_cli_close(&cli);
    return code;
}

const struct mu_command mu_cli_quota = {
    .name = "quota", .args = "", .summary = "show what each user uses and may use (0: no limit)",
    .tables = { MU_CLI_TABLE }, .run = run_quota,
};

static int run_quota_set(const struct mu_args *args)
{
    const char *waiting = mu_args_get(args, "waiting", NULL), *cpus = mu_args_get(args, "cpus", NULL), *weight = mu_args_get(args, "weight", NULL);
    struct mu_buf path = { 0 };
    struct mu_cli cli;
    json_t *body = json_object();
    uint64_t n;
    int code = 0;

    if (waiting != NULL && (code = mu_str_u64(mu_str_of(waiting), &n) ? 0 : mu_cli_usage(args, "--waiting must be a whole number")) == 0)
        json_object_set_new(body, "waiting_max", json_integer((json_int_t)n));
    if (weight != NULL && code == 0 && (code = mu_str_u64(mu_str_of(weight), &n) ? 0 : mu_cli_usage(args, "--weight must be a whole number")) == 0)
        json_object_set_new(body, "weight", json_integer((json_int_t)n));
    if (cpus != NULL && code == 0 && (code = mu_parse_milli(mu_str_of(cpus), &n) ? 0 : mu_cli_usage(args, "--cpus must be a number")) == 0)
        json_object_set_new(body, "cpus_max", json_real((double)n / 1000));
    mu_buf_addz(&path, "/v1/quotas/");
    mu_cli_escape(&path, args->words[0]);
    mu_buf_addc(&path, '\0');
    if (code == 0 && (code = mu_cli_open(&cli, args)) == 0) {
        code = put(&cli, (char *)path.at, body);
        mu_cli_close(&cli);
    }
    mu_buf_fini(&path);
    json_decref(body);
    return code;
}

static const struct mu_option quota_options[] = {
    { "waiting", "N", "at most so many tasks waiting (0: no limit)", 0, false },
    { "cpus", "F", "at most so many cpus in use (0: no limit)", 0, false },
    { "weight", "N", "share under the fair order policy (default 1)", 0, false },
};
const struct mu_command mu_cli_quota_set = {
    .name = "quota set", .args = "USER", .summary = "limit what a user may have waiting and running", .args_min = 1, .args_max = 1,
    .tables = { MU_OPTIONS("options", quota_options), MU_CLI_TABLE }, .run = run_quota_set,
};

static void ms(struct mu_table *t, const json_t *stage, const char *key)
{
    double v = mu_answer_number(stage, key, NAN);

    if (isnan(v) || mu_answer_u64(stage, "count") == 0)
        mu_table_add(t, "-");
    else if (v < 1)
        mu_table_add(t, "%.2f ms", v * 1000);
    else
        mu_table_add(t, "%.2f s", v);
}

static void show_stats(const json_t *s)
{
    static const char *const heads[] = { "STAGE", "COUNT", "MEAN", "P50", "P95", "P99" };
    static const char *const stages[] = { "accept", "queue", "start", "run", "response" };
    const json_t *use = json_object_get(s, "utilisation");
    struct mu_table t;
    const char *key;
    json_t *v;

    printf("%.1f tasks/s ended over %g s;  cpu %.0f %%, memory %.0f %% in use\n",
           mu_answer_number(json_object_get(s, "throughput"), "tasks_per_s", 0), mu_answer_number(s, "window_s", 0),
           mu_answer_number(use, "cpu", 0) * 100, mu_answer_number(use, "mem", 0) * 100);
    mu_table_open(&t, heads, 6);
    for (size_t i = 0; i < 5; i++) {
        const json_t *stage = json_object_get(json_object_get(s, "stages"), stages[i]);
        mu_table_add(&t, "%s", stages[i]);
        mu_table_add(&t, "%llu", (unsigned long long)mu_answer_u64(stage, "count"));
        ms(&t, stage, "mean_s");
        ms(&t, stage, "p50_s");
        ms(&t, stage, "p95_s");
        ms(&t, stage, "p99_s");
    }
    mu_table_print(&t);
    fputs("tasks:", stdout);
    json_object_foreach(json_object_get(s, "tasks"), key, v)
        printf(" %lld %s", (long long)json_integer_value(v), key);
    putchar('\n');
}

static int run_stats(const struct mu_args *args)
{
    const char *window = mu_args_get(args, "window", "60s");
    bool watch = mu_args_has(args, "watch");
    struct mu_cli cli;
    char path[64];
    uint64_t span;
    int code;

    if (!mu_parse_duration(mu_str_of(window), &span) || span == 0)
        return mu_cli_usage(args, "--window must be a duration like 60s, not \"%s\"", window);
    if ((code = mu_cli_open(&cli, args)) != 0)
        return code;
    snprintf(path, sizeof path, "/v1/stats?window=%llums", (unsigned long long)span);
    do {
        json_t *s;
        if ((code = mu_cli_get(&cli, path, &s)) != 0)
            break;
        if (watch && cli.tty && !cli.json)
            fputs("\033[H\033[J", stdout);
        if (cli.json)
            mu_answer_line(s);
        else
            show_stats(s);
        json_decref(s);
        fflush(stdout);
    } while (watch && sleep(1) == 0);
    mu_cli_close(&cli);
    return code;
}

static const struct mu_option stats_options[] = {
    { "watch", NULL, "again every second", 'w', false },
    { "window", "DUR", "over the last so long (default 60s)", 0, false },
};
const struct mu_command mu_cli_stats = {
    .name = "stats", .args = "", .summary = "throughput, response time by stage, utilisation",
    .tables = { MU_OPTIONS("options", stats_options), MU_CLI_TABLE }, .run = run_stats,
};
