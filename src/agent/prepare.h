/* agent/prepare.h -- from a START to the SPAWN frame the spawner gets: command, environment, files, user, limits.
 *
 * What       what is equal for all tasks of a group is made once and kept; a task adds its own few strings.
 * Ownership  options are kept as pointers; frames go into the caller's buffer.
 * Time, Threads  none.
 * Failure    a code as of NOSTART (enum mu_nostart); nothing is appended then.
 * Limits     TEMPLATES groups kept; MU_SP_FRAME_MAX a frame.
 *
 * Command: argv as it is; script by `/bin/sh -c`, or, with a #! line, as a program of its own; a line directly if it
 * needs no shell (wire/shellwords.h), else by `/bin/sh -c`.
 * Environment: base, the user's HOME USER LOGNAME SHELL, the spec's, MUSTER_*; a later value replaces an earlier one.
 * Paths of stdin, stdout, stderr: %j job, %t task index, %a attempt, %% percent. stdout and stderr of a job of one task are
 * emptied by its first attempt; in all other cases tasks append.
 */
#ifndef MU_AGENT_PREPARE_H
#define MU_AGENT_PREPARE_H

#include "agent/agent.h"
#include "agent/spawner/spawner_proto.h"

struct mu_prepare;

struct mu_prepare_user {
    bool take;              /* become it; false: stay who the agent is */
    uint32_t uid, gid;
    uint32_t groups[MU_SP_GROUPS_MAX], groups_count;
    char name[64], home[256], shell[128];
};
struct mu_prepare_options {
    char *const *base_env;  /* K=V, ends with NULL */
    const char *node;
    /* Who runs a task of this job; 0, or the code of a refusal. */
    uint32_t (*user)(void *arg, const struct mu_agent_spawn *spawn, struct mu_prepare_user *out);
    void *arg;
};

struct mu_prepare *mu_prepare_new(const struct mu_prepare_options *opt);
void mu_prepare_free(struct mu_prepare *p);
/* Names the spawner's life in the mark of each process. */
void mu_prepare_boot(struct mu_prepare *p, const char *boot);

struct mu_prepare_limits {
    const char *cgroups[MU_SP_CGROUPS_MAX + 1]; /* cgroup.procs files to enter, ends with NULL */
    uint64_t data_bytes;                        /* rlimit for want of a cgroup; 0: none */
    uint32_t tag;                               /* kept by the spawner for the next agent */
};
/* Append the frame. 0, or the code of a NOSTART. */
uint32_t mu_prepare_frame(struct mu_prepare *p, const struct mu_agent_spawn *spawn, const struct mu_prepare_limits *limits,
                          struct mu_buf *out);

#endif
