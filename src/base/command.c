/* base/command.c -- see command.h. */
#include "base/command.h"

#include "base/assert.h"
#include "base/str.h"

#include <stdio.h>

/* Every verb has it. */
static const struct mu_option help_option = { .name = "help", .letter = 'h', .help = "show this help" };

static const struct mu_option *option_at(const struct mu_command *c, uint32_t i)
{
    for (size_t t = 0; t < MU_COUNT(c->tables); t++) {
        if (i < c->tables[t].count)
            return &c->tables[t].at[i];
        i -= c->tables[t].count;
    }
    return &help_option;
}

static uint32_t options_count(const struct mu_command *c)
{
    uint32_t n = 1;

    for (size_t t = 0; t < MU_COUNT(c->tables); t++)
        n += c->tables[t].count;
    return n;
}

static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(b), row[64];

    if (n >= MU_COUNT(row) || strlen(a) >= MU_COUNT(row))
        return MU_COUNT(row);
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[n];
}

const char *mu_nearest(const char *word, const char *const *names, size_t count)
{
    const char *best = NULL;
    size_t least = 3;

    for (size_t i = 0; i < count; i++) {
        size_t d = distance(word, names[i]);
        if (d < least && d < strlen(word)) {
            least = d;
            best = names[i];
        }
    }
    return best;
}

static enum mu_rc unknown_flag(const struct mu_command *c, const char *name, struct mu_err *err)
{
    const char *names[MU_ARGS_MAX], *near;
    uint32_t n = options_count(c);

    MU_ASSERT(n <= MU_COUNT(names));
    for (uint32_t i = 0; i < n; i++)
        names[i] = option_at(c, i)->name;
    near = mu_nearest(name, names, n);
    if (near != NULL)
        return mu_fail_at(err, MU_INVALID, name, "unknown flag --%s; did you mean --%s?", name, near);
    return mu_fail_at(err, MU_INVALID, name, "unknown flag --%s; see muster help %s", name, c->name);
}

static const struct mu_option *find_long(const struct mu_command *c, const char *name, size_t size)
{
    for (uint32_t i = 0; i < options_count(c); i++) {
        const struct mu_option *o = option_at(c, i);
        if (strlen(o->name) == size && memcmp(o->name, name, size) == 0)
            return o;
    }
    return NULL;
}

static const struct mu_option *find_letter(const struct mu_command *c, char letter)
{
    for (uint32_t i = 0; i < options_count(c); i++)
        if (option_at(c, i)->letter == letter && letter != 0)
            return option_at(c, i);
    return NULL;
}

static enum mu_rc give(struct mu_args *a, const struct mu_option *o, const char *value, struct mu_err *err)
{
    if (!o->repeat && mu_args_has(a, o->name))
        return mu_fail_at(err, MU_INVALID, o->name, "--%s is given twice", o->name);
    if (a->given_count == MU_ARGS_MAX)
        return mu_fail_at(err, MU_INVALID, o->name, "more than %d flags", MU_ARGS_MAX);
    a->given[a->given_count].option = o;
    a->given[a->given_count++].value = value;
    return MU_OK;
}

/* One argument that starts with a dash; *used counts the arguments taken. */
static enum mu_rc parse_flag(struct mu_args *a, char **argv, int argc, int *used, struct mu_err *err)
{
    const char *word = argv[0], *eq = strchr(word, '='), *value = NULL;
    const struct mu_option *o;

    *used = 1;
    if (word[1] == '-') {
        size_t size = eq != NULL ? (size_t)(eq - word) - 2 : strlen(word) - 2;
        char name[MU_ERR_FIELD];
        o = find_long(a->command, word + 2, size);
        snprintf(name, sizeof name, "%.*s", (int)size, word + 2);
        if (o == NULL)
            return unknown_flag(a->command, name, err);
        value = eq != NULL ? eq + 1 : NULL;
    } else {
        o = find_letter(a->command, word[1]);
        if (o == NULL)
            return mu_fail_at(err, MU_INVALID, word, "unknown flag %s; see muster help %s", word, a->command->name);
        value = word[2] != '\0' ? word + 2 : NULL;
    }
    if (o->arg == NULL && value != NULL)
        return mu_fail_at(err, MU_INVALID, o->name, "--%s takes no value", o->name);
    if (o->arg != NULL && value == NULL) {
        if (argc < 2)
            return mu_fail_at(err, MU_INVALID, o->name, "--%s needs a value: %s", o->name, o->arg);
        value = argv[1];
        *used = 2;
    }
    return give(a, o, value, err);
}

static enum mu_rc check_words(const struct mu_args *a, struct mu_err *err)
{
    const struct mu_command *c = a->command;

    if (a->words_count < c->args_min)
        return mu_fail(err, MU_INVALID, "usage: muster %s [options] %s", c->name, c->args);
    if (c->args_max >= 0 && a->words_count > c->args_max)
        return mu_fail(err, MU_INVALID, "\"%s\" is one word too many; usage: muster %s [options] %s",
                       a->words[c->args_max], c->name, c->args);
    return MU_OK;
}

enum mu_rc mu_args_parse(struct mu_args *out, const struct mu_command *command, int argc, char **argv, struct mu_err *err)
{
    int words = 0;
    bool command_line = command->args != NULL && strstr(command->args, "-- CMD") != NULL;

    memset(out, 0, sizeof *out);
    out->command = command;
    out->words = argv;
    for (int i = 0, used; i < argc; i += used) {
        used = 1;
        if (strcmp(argv[i], "--") == 0 || (command_line && argv[i][0] != '-')) {
            int rest = strcmp(argv[i], "--") == 0 ? i + 1 : i;
            for (; rest < argc; rest++)
                argv[words++] = argv[rest];
            break;
        }
        if (argv[i][0] == '-' && argv[i][1] != '\0') {
            enum mu_rc rc = parse_flag(out, argv + i, argc - i, &used, err);
            if (rc != MU_OK)
                return rc;
        } else {
            argv[words++] = argv[i];
        }
    }
    out->words_count = words;
    return mu_args_has(out, "help") ? MU_OK : check_words(out, err);
}

const char *mu_args_next(const struct mu_args *args, const char *name, uint32_t *at)
{
    while (*at < args->given_count) {
        uint32_t i = (*at)++;
        if (strcmp(args->given[i].option->name, name) == 0)
            return args->given[i].value != NULL ? args->given[i].value : "";
    }
    return NULL;
}

bool mu_args_has(const struct mu_args *args, const char *name)
{
    uint32_t at = 0;
    return mu_args_next(args, name, &at) != NULL;
}

const char *mu_args_get(const struct mu_args *args, const char *name, const char *fallback)
{
    const char *value, *last = fallback;

    for (uint32_t at = 0; (value = mu_args_next(args, name, &at)) != NULL;)
        last = value;
    return last;
}

static void help_options(struct mu_buf *b, const struct mu_option *options, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct mu_option *o = &options[i];
        char flag[96];
        if (o->letter != 0)
            snprintf(flag, sizeof flag, "-%c, --%s%s%s", o->letter, o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        else
            snprintf(flag, sizeof flag, "    --%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        mu_buf_printf(b, "  %-28s %s%s\n", flag, o->help, o->repeat ? " (may be repeated)" : "");
    }
}

void mu_command_help(struct mu_buf *b, const struct mu_command *command)
{
    mu_buf_printf(b, "usage: muster %s [options]%s%s\n\n%s\n", command->name, command->args[0] ? " " : "", command->args,
                  command->summary);
    if (command->about != NULL)
        mu_buf_printf(b, "\n%s\n", command->about);
    for (size_t t = 0; t < MU_COUNT(command->tables); t++) {
        if (command->tables[t].count == 0)
            continue;
        mu_buf_printf(b, "\n%s:\n", command->tables[t].title);
        help_options(b, command->tables[t].at, command->tables[t].count);
    }
}
