/* wire/shellwords.c -- see shellwords.h. One pass; the first thing that only a shell understands ends it. */
#include "wire/shellwords.h"

#include "base/assert.h"

/* What a shell does itself, or does otherwise than the program of the same name. */
static const char *const shell_words[] = {
    "!", ".", ":", "[", "[[", "alias", "bg", "bind", "break", "builtin", "case", "cd", "command", "continue", "declare",
    "dirs", "do", "done", "elif", "else", "enable", "esac", "eval", "exec", "exit", "export", "fc", "fg", "fi", "for",
    "function", "getopts", "hash", "history", "if", "in", "jobs", "kill", "let", "local", "login", "logout", "mapfile",
    "popd", "pushd", "pwd", "read", "readarray", "readonly", "return", "select", "set", "shift", "shopt", "source",
    "suspend", "test", "then", "time", "times", "trap", "type", "typeset", "ulimit", "umask", "unalias", "unset",
    "until", "wait", "while",
};

/* echo and printf are programs too, but shells disagree with them, and among themselves, about backslashes. */
static bool is_echo(const char *word)
{
    return strcmp(word, "echo") == 0 || strcmp(word, "printf") == 0;
}

static bool is_for_shell(const char *word)
{
    for (size_t i = 0; i < MU_COUNT(shell_words); i++)
        if (strcmp(word, shell_words[i]) == 0)
            return true;
    return false;
}

struct scan {
    const char *at, *end;
    char *out;       /* where the next byte of a word goes */
    bool backslash;  /* a byte was quoted by one, or stands in quotes */
};

/* The rest of a '...' or "..." after its first quote. */
static bool quoted(struct scan *s, char quote)
{
    for (; s->at < s->end; s->at++) {
        char c = *s->at;
        if (c == quote) {
            s->at++;
            return true;
        }
        if (quote == '"' && (c == '$' || c == '`' || c == '\\' || c == '!'))
            return false;
        s->backslash = s->backslash || c == '\\';
        *s->out++ = c;
    }
    return false; /* never closed: the shell shall say so */
}

/* One word; false: it needs a shell. first: it stands where a command or VAR=value may. */
static bool word(struct scan *s, bool first)
{
    const char *start = s->at;

    while (s->at < s->end && *s->at != ' ' && *s->at != '\t') {
        char c = *s->at++;
        if (c == '\'' || c == '"') {
            if (!quoted(s, c))
                return false;
        } else if (c == '\\') {
            if (s->at == s->end || *s->at == '\n')
                return false;
            s->backslash = true;
            *s->out++ = *s->at++;
        } else if (strchr("\n\r;&|<>(){}$`*?[]^~!", c) != NULL || (c == '#' && s->at - 1 == start) || (c == '=' && first)) {
            return false;
        } else {
            *s->out++ = c;
        }
    }
    *s->out++ = '\0';
    return true;
}

char **mu_shellwords(struct mu_str line, struct mu_arena *arena, uint32_t *out_count)
{
    struct scan s = { .at = line.at, .end = line.at + line.size };
    char *text = mu_arena_alloc(arena, (size_t)line.size + 1), *words[MU_SHELLWORDS_MAX], **list;
    uint32_t count = 0;

    if (text == NULL || memchr(line.at, '\0', line.size) != NULL)
        return NULL;
    for (s.out = text;;) {
        while (s.at < s.end && (*s.at == ' ' || *s.at == '\t'))
            s.at++;
        if (s.at == s.end)
            break;
        if (count == MU_SHELLWORDS_MAX)
            return NULL;
        words[count] = s.out;
        if (!word(&s, count == 0))
            return NULL;
        count++;
    }
    if (count == 0 || words[0][0] == '\0' || is_for_shell(words[0]) || (is_echo(words[0]) && s.backslash))
        return NULL;
    list = mu_arena_alloc(arena, (count + 1) * sizeof *list);
    if (list == NULL)
        return NULL;
    memcpy(list, words, count * sizeof *list);
    *out_count = count;
    return list;
}
