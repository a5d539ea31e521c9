/* cli/nodes.c -- muster nodes, node, node drain|resume|label, server status. */
#include "cli/verbs.h"

#include "base/units.h"

#include <stdio.h>

static void bar(char *text, size_t cap, double used, double total)
{
    int full = total > 0 ? (int)(used / total * 10 + 0.5) : 0;

    snprintf(text, cap, "%.*s%.*s", full > 10 ? 10 : full, "##########", full > 10 ? 0 : 10 - full, "..........");
}

static void node_row(struct mu_table *t, const json_t *n)
{
    char load[16], used[MU_TEXT_UNITS], total[MU_TEXT_UNITS];

    bar(load, sizeof load, mu_answer_number(n, "cpus_used", 0), mu_answer_number(n, "cpus", 0));
    mu_table_add(t, "%s", mu_answer_text(n, "name", "-"));
    mu_table_add(t, "%s", mu_answer_text(n, "state", "-"));
    mu_table_add(t, "%s", load);
    mu_table_add(t, "%g/%g", mu_answer_number(n, "cpus_used", 0), mu_answer_number(n, "cpus", 0));
    mu_table_add(t, "%s/%s", mu_size_text(used, mu_answer_u64(n, "mem_used")), mu_size_text(total, mu_answer_u64(n, "mem")));
    mu_table_add(t, "%g/%g", mu_answer_number(n, "gpus_used", 0), mu_answer_number(n, "gpus", 0));
    mu_table_add(t, "%llu", (unsigned long long)mu_answer_u64(n, "running"));
    mu_table_add(t, "%llu", (unsigned long long)mu_answer_u64(n, "ended_ok"));
    mu_table_add(t, "%llu", (unsigned long long)mu_answer_u64(n, "ended_failed"));
}

static int run_nodes(const struct mu_args *args)
{
    static const char *const heads[] = { "NODE", "STATE", "CPU", "CPUS", "MEM", "GPUS", "RUNNING", "OK", "FAILED" };
    struct mu_cli cli;
    struct mu_table table;
    json_t *answer, *node;
    size_t i;
    int code = mu_cli_open(&cli, args);

    if (code != 0)
        return code;
    if ((code = mu_cli_get(&cli, "/v1/nodes", &answer)) == 0) {
        mu_table_open(&table, heads, 9);
        json_array_foreach(json_object_get(answer, "nodes"), i, node) {
            if (cli.json)
                mu_answer_line(node);
            else
                node_row(&table, node);
        }
        if (!cli.json)
            mu_table_print(&table);
        json_decref(answer);
    }
    mu_cli_close(&cli);
    return code;
}

const struct mu_command mu_cli_nodes = {
    .name = "nodes", .args = "", .summary = "list the nodes and what they are doing",
    .tables = { MU_CLI_TABLE }, .run = run_nodes,
};

static void show_node(const json_t *n)
{
    static const char *const lines[] = { "name", "state", "address", "version", "limits", "joined" };
    char used[MU_TEXT_UNITS], total[MU_TEXT_UNITS];
    const char *key;
    json_t *v;

    for (size_t i = 0; i < 6; i++)
        printf("%-10s %s\n", lines[i], mu_answer_text(n, lines[i], "-"));
    printf("%-10s %g of %g in use\n", "cpus", mu_answer_number(n, "cpus_used", 0), mu_answer_number(n, "cpus", 0));
    printf("%-10s %s of %s in use\n", "mem", mu_size_text(used, mu_answer_u64(n, "mem_used")), mu_size_text(total, mu_answer_u64(n, "mem")));
    if (mu_answer_number(n, "gpus", 0) > 0)
        printf("%-10s %g of %g in use\n", "gpus", mu_answer_number(n, "gpus_used", 0), mu_answer_number(n, "gpus", 0));
    json_object_foreach(json_object_get(n, "resources"), key, v)
        printf("%-10s %llu of %llu in use\n", key, (unsigned long long)mu_answer_u64(v, "used"), (unsigned long long)mu_answer_u64(v, "total"));
    json_object_foreach(json_object_get(n, "labels"), key, v)
        printf("%-10s %s=%s\n", "label", key, json_string_value(v));
    printf("%-10s %llu now, %llu ended well, %llu failed\n", "tasks", (unsigned long long)mu_answer_u64(n, "running"),
           (unsigned long long)mu_answer_u64(n, "ended_ok"), (unsigned long long)mu_answer_u64(n, "ended_failed"));
}

static void node_path(struct mu_buf *path, const char *name, const char *verb)
{
    mu_buf_addz(path, "/v1/nodes/");
    mu_cli_escape(path, name);
    if (verb != NULL)
        mu_buf_printf(path, "/%s", verb);
    mu_buf_addc(path, '\0');
}

static int run_node(const struct mu_args *args)
{
    struct mu_cli cli;
    struct mu_buf path = { 0 };
    json_t *node;
    int code = mu_cli_open(&cli, args);

    if (code != 0)
        return code;
    node_path(&path, args->words[0], NULL);
    if ((code = mu_cli_get(&cli, (char *)path.at, &node)) == 0) {
        if (cli.json)
            mu_answer_line(node);
        else
            show_node(node);
        json_decref(node);
    }
    mu_buf_fini(&path);
    mu_cli_close(&cli);
    return code;
}

const struct mu_command mu_cli_node = {
    .name = "node", .args = "NAME", .summary = "show one node", .args_min = 1, .args_max = 1,
    .tables = { MU_CLI_TABLE }, .run = run_node,
};

static int post_node(const struct mu_args *args, const char *verb, const json_t *body)
{
    struct mu_cli cli;
    struct mu_buf path = { 0 };
    json_t *node = NULL;
    int code = mu_cli_open(&cli, args);

    if (code != 0)
        return code;
    node_path(&path, args->words[0], verb);
    code = mu_cli_post(&cli, (char *)path.at, body, &node);
    if (code == 0 && cli.json)
        mu_answer_line(node);
    json_decref(node);
    mu_buf_fini(&path);
    mu_cli_close(&cli);
    return code;
}

/* What a drain would touch: the tasks that run there now. */
static int plan_drain(const struct mu_args *args)
{
    struct mu_cli cli;
    struct mu_buf path = { 0 };
    json_t *node;
    int code = mu_cli_open(&cli, args);

    if (code != 0)
        return code;
    node_path(&path, args->words[0], NULL);
    if ((code = mu_cli_get(&cli, (char *)path.at, &node)) == 0) {
        if (cli.json)
            mu_answer_line(node);
        else
            printf("draining %s: %llu running tasks would end there as they are; no new ones would start\n", args->words[0],
                   (unsigned long long)mu_answer_u64(node, "running"));
        json_decref(node);
    }
    mu_buf_fini(&path);
    mu_cli_close(&cli);
    return code;
}

static int run_drain(const struct mu_args *args)
{
    return mu_args_has(args, "plan") ? plan_drain(args) : post_node(args, "drain", NULL);
}
static int run_resume(const struct mu_args *args)
{
    return post_node(args, "resume", NULL);
}
static int run_label(const struct mu_args *args)
{
    const char *pair = args->words[1], *eq = strchr(pair, '=');
    json_t *body;
    char key[MU_ERR_TEXT];
    int code;

    if (eq == NULL || eq == pair)
        return mu_cli_usage(args, "give K=V (K= takes the label away), not \"%s\"", pair);
    snprintf(key, sizeof key, "%.*s", (int)(eq - pair), pair);
    body = json_pack("{s:s}", key, eq + 1);
    code = post_node(args, "label", body);
    json_decref(body);
    return code;
}

static const struct mu_option drain_options[] = { { "plan", NULL, "only say what it would touch", 0, false } };
const struct mu_command mu_cli_node_drain = {
    .name = "node drain", .args = "NAME", .summary = "start nothing new on a node; what runs there goes on", .args_min = 1, .args_max = 1,
    .tables = { MU_OPTIONS("options", drain_options), MU_CLI_TABLE }, .run = run_drain,
};
const struct mu_command mu_cli_node_resume = {
    .name = "node resume", .args = "NAME", .summary = "let a drained node take work again", .args_min = 1, .args_max = 1,
    .tables = { MU_CLI_TABLE }, .run = run_resume,
};
const struct mu_command mu_cli_node_label = {
    .name = "node label", .args = "NAME K=V", .summary = "set a label of a node", .args_min = 2, .args_max = 2,
    .tables = { MU_CLI_TABLE }, .run = run_label,
};

static int run_status(const struct mu_args *args)
{
    struct mu_cli cli;
    json_t *answer, *server;
    size_t i;
    int code = mu_cli_open(&cli, args);

    if (code != 0)
        return code;
    if ((code = mu_cli_get(&cli, "/v1/cluster", &answer)) == 0) {
        if (cli.json) {
            mu_answer_line(answer);
        } else {
            const json_t *leader = json_object_get(answer, "leader");
            printf("cluster    %s\nleader     %s  %s\nepoch      %llu\nindex      %llu\n", mu_answer_text(answer, "cluster", "-"),
                   mu_answer_text(leader, "name", "none"), mu_answer_text(leader, "url", ""), (unsigned long long)mu_answer_u64(answer, "epoch"),
                   (unsigned long long)mu_answer_u64(answer, "index"));
            json_array_foreach(json_object_get(answer, "servers"), i, server)
                printf("server     %s  %s  %s\n", mu_answer_text(server, "name", "-"), mu_answer_text(server, "url", "-"), mu_answer_text(server, "role", "-"));
        }
        json_decref(answer);
    }
    mu_cli_close(&cli);
    return code;
}

const struct mu_command mu_cli_server_status = {
    .name = "server status", .args = "", .summary = "show the servers of the cluster", .tables = { MU_CLI_TABLE }, .run = run_status,
};
