/* cli/verbs.h -- the verbs of the command line, one struct mu_command each; the table is in main.c.
 *
 * What       names only; each verb stands in the file of its noun.
 * Ownership, Time, Threads: none.   Failure  each returns an exit code (cli.h).   Limits  none.
 */
#ifndef MU_CLI_VERBS_H
#define MU_CLI_VERBS_H

#include "cli/cli.h"

extern const struct mu_command mu_cli_dev, mu_cli_run, mu_cli_submit_verb, mu_cli_batch;
extern const struct mu_command mu_cli_wait, mu_cli_cancel, mu_cli_hold, mu_cli_release, mu_cli_retry;
extern const struct mu_command mu_cli_jobs, mu_cli_job, mu_cli_tasks, mu_cli_logs, mu_cli_explain;
extern const struct mu_command mu_cli_nodes, mu_cli_node, mu_cli_node_drain, mu_cli_node_resume, mu_cli_node_label;
extern const struct mu_command mu_cli_policy, mu_cli_policy_set, mu_cli_quota, mu_cli_quota_set, mu_cli_stats;
extern const struct mu_command mu_cli_server_status, mu_cli_model, mu_cli_simulate;

/* Help, completion and manual pages from a table of commands that ends with NULL. */
int mu_cli_help(const struct mu_command *const *table, int argc, char **argv);
int mu_cli_completion(const struct mu_command *const *table);
int mu_cli_manual(const struct mu_command *const *table, int argc, char **argv);

#endif
