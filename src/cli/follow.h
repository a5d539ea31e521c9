/* cli/follow.h -- reading all output of a job as it ends: what run and batch share.
 *
 * What       GET /v1/jobs/ID/output line by line, from data to callbacks; goes on after a broken connection.
 * Ownership  what callbacks get is valid during the call.
 * Time       on_tick about ten times a second while waiting, if it is set.
 * Threads    one.
 * Failure    an exit code after printing why; MU_EXIT_FAILED with cli->interrupted after a signal.
 * Limits     a line of MU_CLI_ANSWER_MAX bytes; RECONNECTS tries in a row without a new line.
 */
#ifndef MU_CLI_FOLLOW_H
#define MU_CLI_FOLLOW_H

#include "cli/cli.h"

struct mu_follow {
    void *arg;
    bool live;                                                                     /* output of running tasks too */
    void (*on_data)(void *arg, uint64_t index, bool is_err, const void *bytes, size_t size);
    void (*on_gone)(void *arg, uint64_t index, bool is_err, const char *text);      /* output that cannot be had */
    void (*on_end)(void *arg, uint64_t index, const json_t *end);                   /* a task ended */
    void (*on_tick)(void *arg);                                                     /* may be NULL */
    /* inside */
    uint64_t ended;
    json_t *job; /* the last line, a reference the caller releases */
    struct mu_buf line;
};

int mu_cli_follow(struct mu_cli *cli, uint64_t job, struct mu_follow *f);
void mu_follow_fini(struct mu_follow *f);

#endif
