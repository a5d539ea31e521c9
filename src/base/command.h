/* base/command.h -- one table per verb: its flags, help text and function; parsing, help, completion and man pages
 * all come from it.
 *
 * What       struct mu_command describes a verb; mu_args_parse reads argv by it into struct mu_args.
 * Ownership  values point into argv. Tables are static.
 * Time, Threads  none.
 * Failure    MU_INVALID names the flag: unknown, ambiguous, value missing, value not wanted, given twice.
 * Limits     MU_ARGS_MAX flag uses a call.
 */
#ifndef MU_BASE_COMMAND_H
#define MU_BASE_COMMAND_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MU_ARGS_MAX = 512 };

struct mu_option {
    const char *name; /* long name without dashes */
    const char *arg;  /* what its value is called ("SIZE"); NULL: a switch */
    const char *help; /* one line */
    char letter;      /* short form, 0 none */
    bool repeat;      /* may be given several times */
};

struct mu_options {
    const char *title; /* "options", "job options" */
    const struct mu_option *at;
    uint32_t count;
};
#define MU_OPTIONS(title, array) { title, array, sizeof(array) / sizeof((array)[0]) }

struct mu_args;
struct mu_command {
    const char *name;    /* "run", or "node drain" for a second word */
    const char *args;    /* the rest of the usage line: "-- CMD ARG..." */
    const char *summary; /* one line, for lists */
    const char *about;   /* a paragraph or two, for help and the manual; may be NULL */
    struct mu_options tables[4];  /* its own, then those it shares with other verbs; --help is added */
    int args_min, args_max;       /* words after the flags; max -1: any number */
    int (*run)(const struct mu_args *args);
};

struct mu_args {
    const struct mu_command *command;
    struct {
        const struct mu_option *option;
        const char *value; /* NULL for a switch */
    } given[MU_ARGS_MAX];
    uint32_t given_count;
    char **words; /* what is left: points into argv */
    int words_count;
};

/* argv[0] is the first word after the verb. Flags end at "--" or at the first word that is none. */
enum mu_rc mu_args_parse(struct mu_args *out, const struct mu_command *command, int argc, char **argv, struct mu_err *err);
bool mu_args_has(const struct mu_args *args, const char *name);
/* The last value given, or fallback. */
const char *mu_args_get(const struct mu_args *args, const char *name, const char *fallback);
/* Walk the uses of a repeatable flag: start with *at = 0; NULL at the end. */
const char *mu_args_next(const struct mu_args *args, const char *name, uint32_t *at);

/* The nearest of the names (edit distance at most 2), for "did you mean"; NULL if none is near. */
const char *mu_nearest(const char *word, const char *const *names, size_t count);

struct mu_buf;
/* Usage line, about, flags. */
void mu_command_help(struct mu_buf *b, const struct mu_command *command);

#endif
