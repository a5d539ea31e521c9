/* cli/cli.h -- what every verb of the command line shares: where the server is, who asks, how answers and errors show.
 *
 * What       the connection, requests, exit codes, tables and progress bars. Each verb is one struct mu_command.
 * Ownership  struct mu_cli lives on the verb's stack; answers are jansson trees the caller releases.
 * Time       wall clock for display only.   Threads  none.
 * Failure    printed here once, in words, on stderr; the verb returns the exit code.
 * Limits     answers up to MU_CLI_ANSWER_MAX bytes; longer ones are streamed or paged.
 */
#ifndef MU_CLI_CLI_H
#define MU_CLI_CLI_H

#include "base/command.h"
#include "base/str.h"

#include <jansson.h>

enum { MU_CLI_ANSWER_MAX = 64 * 1024 * 1024 };

/* Exit codes of verbs; those of `run` are the task's own. */
enum mu_exit { MU_EXIT_OK, MU_EXIT_FAILED, MU_EXIT_USAGE, MU_EXIT_NOTFOUND, MU_EXIT_REFUSED, MU_EXIT_NOSERVER,
               MU_EXIT_TIMEOUT = 124, MU_EXIT_MUSTER = 125 };

struct mu_httpc;
struct mu_cli {
    const struct mu_args *args;
    struct mu_httpc *http;
    struct mu_buf body;     /* of the last answer */
    bool json, tty;
    unsigned status;        /* of the last answer */
    bool interrupted;       /* a wait ended because of a signal */
};

/* --server --token --token-file --json */
extern const struct mu_option mu_cli_options[];
enum { MU_CLI_OPTIONS = 4, MU_CLI_JOB_OPTIONS = 30 };
#define MU_CLI_TABLE { "connection", mu_cli_options, MU_CLI_OPTIONS }
#define MU_CLI_JOB_TABLE { "job options", mu_cli_job_options, MU_CLI_JOB_OPTIONS }

/* 0, or an exit code after printing why. */
int mu_cli_open(struct mu_cli *cli, const struct mu_args *args);
void mu_cli_close(struct mu_cli *cli);

/* One request; the answer's body is in cli->body, its status in cli->status. Answers of 400 and above are printed and
 * turned into an exit code. 0: fine. */
int mu_cli_call(struct mu_cli *cli, const char *method, const char *path, const char *type, struct mu_str body);
/* The same, parsed as JSON into *out (new reference). */
int mu_cli_get(struct mu_cli *cli, const char *path, json_t **out);
int mu_cli_post(struct mu_cli *cli, const char *path, const json_t *body, json_t **out);
/* Body as it comes; on_bytes false ends it early. Ctrl-C ends it too: then cli->interrupted. */
typedef bool mu_cli_bytes_fn(void *arg, const void *bytes, size_t size);
int mu_cli_stream(struct mu_cli *cli, const char *path, mu_cli_bytes_fn *on_bytes, void *arg);
/* From now on SIGINT and SIGTERM do not kill but interrupt waits; a second one kills. */
void mu_cli_catch_interrupt(void);
/* A wait ended with MU_AGAIN: note it, so that later waits wait again. */
void mu_cli_interrupted(struct mu_cli *cli);

/* Wrong usage: prints "muster VERB: ..." and gives MU_EXIT_USAGE. */
__attribute__((format(printf, 2, 3)))
int mu_cli_usage(const struct mu_args *args, const char *fmt, ...);
__attribute__((format(printf, 1, 2)))
void mu_cli_say(const char *fmt, ...); /* to stderr, with "muster: " */

/* "42" or "42.7": false after printing usage. has_task tells the second form. */
bool mu_cli_id(const struct mu_args *args, const char *word, uint64_t *out_job, uint64_t *out_task, bool *has_task);
/* Percent-encode into b. */
void mu_cli_escape(struct mu_buf *b, const char *text);

/* Reading answers: missing or null members give the fallback. */
const char *mu_answer_text(const json_t *o, const char *key, const char *fallback);
double mu_answer_number(const json_t *o, const char *key, double fallback);
uint64_t mu_answer_u64(const json_t *o, const char *key);
bool mu_answer_bool(const json_t *o, const char *key);
void mu_answer_line(const json_t *o); /* compact, to stdout */

/* A table on stdout: columns widen to fit. */
struct mu_table {
    char **cells;
    uint32_t columns, count, cap;
};
void mu_table_open(struct mu_table *t, const char *const *heads, uint32_t columns);
__attribute__((format(printf, 2, 3)))
void mu_table_add(struct mu_table *t, const char *fmt, ...);
void mu_table_print(struct mu_table *t); /* prints and frees */

/* A bar on stderr when it is a terminal; nothing otherwise. */
struct mu_progress {
    bool on;
    uint64_t drawn_ms;
    uint64_t started_ms;
    uint32_t width;
};
void mu_progress_open(struct mu_progress *p);
void mu_progress_show(struct mu_progress *p, uint64_t done, uint64_t failed, uint64_t running, uint64_t total);
void mu_progress_clear(struct mu_progress *p); /* before other output */
void mu_progress_close(struct mu_progress *p);

/* Job options -> spec. */
extern const struct mu_option mu_cli_job_options[];
/* A flat spec from flags (job keys and task keys in one object). NULL after printing what is wrong. */
json_t *mu_cli_spec(const struct mu_args *args);
/* A job file as spec; NULL after printing FILE:LINE:COLUMN: what. *text keeps the file for mu_cli_locate. */
json_t *mu_cli_spec_file(const struct mu_args *args, const char *path, struct mu_buf *text);
/* Submit; prints refusals, with line and column when they are about a file. 0 and the id, or an exit code. */
int mu_cli_submit(struct mu_cli *cli, const json_t *spec, const char *path, struct mu_str text, uint64_t *out_job);

uint64_t mu_cli_now_ms(void);

#endif
