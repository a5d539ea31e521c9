/* main.c -- one binary, every role and verb: a table from word to function. */
#include "agent/main.h"
#include "base/assert.h"
#include "base/command.h"
#include "cli/verbs.h"
#include "server/main.h"

#include <stdio.h>

static const struct mu_command *const commands[] = {
    &mu_cli_dev, &mu_server_command, &mu_cli_server_status, &mu_agent_command,
    &mu_cli_run, &mu_cli_submit_verb, &mu_cli_batch, &mu_cli_wait, &mu_cli_cancel, &mu_cli_hold, &mu_cli_release, &mu_cli_retry,
    &mu_cli_jobs, &mu_cli_job, &mu_cli_tasks, &mu_cli_logs, &mu_cli_explain,
    &mu_cli_nodes, &mu_cli_node, &mu_cli_node_drain, &mu_cli_node_resume, &mu_cli_node_label,
    &mu_cli_policy, &mu_cli_policy_set, &mu_cli_quota, &mu_cli_quota_set, &mu_cli_stats, &mu_cli_model, &mu_cli_simulate,
    NULL,
};

/* The command of argv[1], or of argv[1] argv[2] together; *used counts the words. */
static const struct mu_command *find(int argc, char **argv, int *used)
{
    const struct mu_command *found = NULL;

    for (const struct mu_command *const *c = commands; *c != NULL; c++) {
        const char *space = strchr((*c)->name, ' ');
        size_t first = space != NULL ? (size_t)(space - (*c)->name) : strlen((*c)->name);
        if (strlen(argv[1]) != first || memcmp(argv[1], (*c)->name, first) != 0)
            continue;
        if (space == NULL && found == NULL) {
            found = *c;
            *used = 1;
        } else if (space != NULL && argc > 2 && strcmp(argv[2], space + 1) == 0) {
            *used = 2;
            return *c;
        }
    }
    return found;
}

static int unknown(const char *word)
{
    const char *names[MU_COUNT(commands)], *near;
    size_t n = 0;

    for (; commands[n] != NULL; n++)
        names[n] = commands[n]->name;
    near = mu_nearest(word, names, n);
    if (near != NULL)
        mu_cli_say("there is no verb \"%s\"; did you mean \"%s\"?", word, near);
    else
        mu_cli_say("there is no verb \"%s\"; see muster help", word);
    return MU_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    const struct mu_command *command;
    static struct mu_args args;
    struct mu_err err = { 0 };
    int used = 1;

    if (argc < 2 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return mu_cli_help(commands, argc < 2 ? 0 : argc - 2, argv + 2) | (argc < 2 ? MU_EXIT_USAGE : 0);
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
        printf("muster " MU_VERSION_TEXT "\n");
        return MU_EXIT_OK;
    }
    if (strcmp(argv[1], "completion") == 0)
        return mu_cli_completion(commands);
    if (strcmp(argv[1], "manual") == 0)
        return mu_cli_manual(commands, argc - 2, argv + 2);
    command = find(argc, argv, &used);
    if (command == NULL)
        return unknown(argv[1]);
    if (mu_args_parse(&args, command, argc - 1 - used, argv + 1 + used, &err) != MU_OK) {
        fprintf(stderr, "muster %s: %s\n", command->name, err.text);
        return MU_EXIT_USAGE;
    }
    if (mu_args_has(&args, "help")) {
        char *words[2] = { argv[1], used == 2 ? argv[2] : NULL };
        return mu_cli_help(commands, used, words);
    }
    return command->run(&args);
}
