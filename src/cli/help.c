/* cli/help.c -- muster help, completion, manual: all made from the table of commands. */
#include "cli/verbs.h"

#include <ctype.h>
#include <stdio.h>
#include <unistd.h>

static void overview(const struct mu_command *const *table)
{
    printf("muster " MU_VERSION_TEXT " -- turns a set of machines into one pool\n\nusage: muster VERB [options]\n\n");
    for (; *table != NULL; table++)
        printf("  %-16s %s\n", (*table)->name, (*table)->summary);
    printf("\n\"muster help VERB\" tells more; \"muster dev\" starts a pool on this machine.\n");
}

static const struct mu_command *find(const struct mu_command *const *table, int argc, char **argv)
{
    char name[64];

    snprintf(name, sizeof name, "%s%s%s", argv[0], argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
    for (; *table != NULL; table++)
        if (strcmp((*table)->name, name) == 0)
            return *table;
    return NULL;
}

int mu_cli_help(const struct mu_command *const *table, int argc, char **argv)
{
    const struct mu_command *c;
    struct mu_buf b = { 0 };

    if (argc == 0) {
        overview(table);
        return MU_EXIT_OK;
    }
    c = find(table, argc, argv);
    if (c == NULL) {
        mu_cli_say("there is no verb \"%s%s%s\"; see muster help", argv[0], argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
        return MU_EXIT_USAGE;
    }
    mu_command_help(&b, c);
    fwrite(b.at, 1, b.size, stdout);
    mu_buf_fini(&b);
    return MU_EXIT_OK;
}

static void completion_flags(const struct mu_command *c)
{
    for (size_t t = 0; t < 4; t++)
        for (uint32_t i = 0; i < c->tables[t].count; i++)
            printf(" --%s", c->tables[t].at[i].name);
}

int mu_cli_completion(const struct mu_command *const *table)
{
    printf("# bash completion for muster; source it, or install it as /usr/share/bash-completion/completions/muster\n"
           "_muster() {\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} two=\"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" flags=\n"
           "    if ((COMP_CWORD == 1)); then\n"
           "        COMPREPLY=($(compgen -W \"help");
    for (const struct mu_command *const *c = table; *c != NULL; c++)
        if (strchr((*c)->name, ' ') == NULL)
            printf(" %s", (*c)->name);
    printf("\" -- \"$cur\")); return\n    fi\n    case $two in\n");
    for (const struct mu_command *const *c = table; *c != NULL; c++) {
        if (strchr((*c)->name, ' ') == NULL)
            continue;
        printf("    \"%s\") flags=\"", (*c)->name);
        completion_flags(*c);
        printf("\" ;;\n");
    }
    printf("    *) case $verb in\n");
    for (const struct mu_command *const *c = table; *c != NULL; c++) {
        if (strchr((*c)->name, ' ') != NULL)
            continue;
        printf("        %s) flags=\"", (*c)->name);
        completion_flags(*c);
        for (const struct mu_command *const *s = table; *s != NULL; s++)
            if (strncmp((*s)->name, (*c)->name, strlen((*c)->name)) == 0 && (*s)->name[strlen((*c)->name)] == ' ')
                printf(" %s", (*s)->name + strlen((*c)->name) + 1);
        printf("\" ;;\n");
    }
    printf("        esac ;;\n    esac\n"
           "    COMPREPLY=($(compgen -W \"$flags\" -- \"$cur\") $(compgen -f -- \"$cur\"))\n"
           "}\n"
           "complete -o filenames -F _muster muster\n");
    return MU_EXIT_OK;
}

/* Text of a manual page: a leading dot or quote and every backslash and dash are made harmless. */
static void roff(const char *text)
{
    bool line_start = true;

    for (; *text != '\0'; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            fputs("\\&", stdout);
        if (*text == '\\')
            fputs("\\e", stdout);
        else if (*text == '-')
            fputs("\\-", stdout);
        else
            putchar(*text);
        line_start = *text == '\n';
    }
}

static void manual_options(const struct mu_options *o)
{
    printf(".SH ");
    for (const char *t = o->title; *t != '\0'; t++)
        putchar(toupper((unsigned char)*t));
    putchar('\n');
    for (uint32_t i = 0; i < o->count; i++) {
        printf(".TP\n.B ");
        if (o->at[i].letter != 0)
            printf("\\-%c, ", o->at[i].letter);
        printf("\\-\\-");
        roff(o->at[i].name);
        if (o->at[i].arg != NULL) {
            printf(" \\fI");
            roff(o->at[i].arg);
            printf("\\fR");
        }
        putchar('\n');
        roff(o->at[i].help);
        putchar('\n');
    }
}

static void manual_of(const struct mu_command *c)
{
    char title[64];
    size_t i = 0;

    for (; c->name[i] != '\0' && i < sizeof title - 1; i++)
        title[i] = c->name[i] == ' ' ? '-' : c->name[i];
    title[i] = '\0';
    printf(".TH MUSTER\\-%s 1 \"\" \"muster " MU_VERSION_TEXT "\"\n.SH NAME\nmuster\\-", title);
    roff(title);
    printf(" \\- ");
    roff(c->summary);
    printf("\n.SH SYNOPSIS\n.B muster ");
    roff(c->name);
    printf(" [options] ");
    roff(c->args);
    if (c->about != NULL) {
        printf("\n.SH DESCRIPTION\n");
        roff(c->about);
    }
    putchar('\n');
    for (size_t t = 0; t < 4; t++)
        if (c->tables[t].count > 0)
            manual_options(&c->tables[t]);
}

static void manual_overview(const struct mu_command *const *table)
{
    printf(".TH MUSTER 1 \"\" \"muster " MU_VERSION_TEXT "\"\n.SH NAME\nmuster \\- turns a set of machines into one pool\n"
           ".SH SYNOPSIS\n.B muster\n.I VERB\n[options]\n.SH VERBS\n");
    for (; *table != NULL; table++) {
        printf(".TP\n.B ");
        roff((*table)->name);
        putchar('\n');
        roff((*table)->summary);
        putchar('\n');
    }
    printf(".SH EXIT STATUS\n0 done, 1 the thing asked about failed, 2 wrong usage, 3 not found, 4 refused, 5 no server answers.\n"
           "Of run: the task's own; 128+signal; 124 after its time limit; 125 when Muster itself failed; 126 and 127 as a shell.\n"
           ".SH ENVIRONMENT\nMUSTER_SERVER, MUSTER_TOKEN, MUSTER_TOKEN_FILE\n");
}

int mu_cli_manual(const struct mu_command *const *table, int argc, char **argv)
{
    const struct mu_command *c = NULL;

    if (argc > 0 && (c = find(table, argc, argv)) == NULL)
        return mu_cli_help(table, argc, argv);
    if (c != NULL)
        manual_of(c);
    else
        manual_overview(table);
    return MU_EXIT_OK;
}
