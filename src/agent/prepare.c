/* agent/prepare.c -- see prepare.h. */
#include "agent/prepare.h"

#include "base/assert.h"
#include "wire/shellwords.h"

#include <errno.h>

enum { TEMPLATES = 64, ARG_MAX_BYTES = 128 * 1024 }; /* the kernel's limit of one argument */

struct template {
    uint64_t spec_id;      /* 0: empty */
    struct mu_prepare_user user;
    uint32_t refused;      /* code; 0: may run */
    uint32_t flags;
    struct mu_buf env;     /* strings behind the task's own */
    uint32_t envc;
    struct mu_buf command; /* argv of all tasks, unless lines */
    uint32_t argc;
    struct mu_buf script;  /* a program text, else empty */
};
struct mu_prepare {
    struct mu_prepare_options opt;
    char boot[MU_SP_BOOT];
    struct template templates[TEMPLATES];
    struct mu_arena scratch;
};

static uint32_t code_of(enum mu_nostart what, int err)
{
    return (uint32_t)err | (uint32_t)what << 16;
}

/* A zero byte inside would end the string for the spawner, so it ends it here. */
static void add_string(struct mu_buf *b, struct mu_str s)
{
    if (s.size > 0)
        mu_buf_add(b, s.at, strnlen(s.at, s.size));
    mu_buf_addc(b, '\0');
}

/* Environment: "K=V" strings, one a name. */

static size_t name_size(const char *s, size_t size)
{
    const char *eq = memchr(s, '=', size);

    return eq != NULL ? (size_t)(eq - s) + 1 : 0;
}

static void env_drop(struct template *t, const char *s, size_t name)
{
    for (size_t at = 0; at < t->env.size;) {
        const char *have = (const char *)t->env.at + at;
        size_t size = strlen(have) + 1;

        if (size > name && memcmp(have, s, name) == 0) {
            memmove(t->env.at + at, t->env.at + at + size, t->env.size - at - size);
            t->env.size -= size;
            t->envc--;
            return;
        }
        at += size;
    }
}

static void env_put(struct template *t, struct mu_str s)
{
    size_t name = s.size > 0 ? name_size(s.at, s.size) : 0;

    if (name < 2) /* no name: not a variable */
        return;
    env_drop(t, s.at, name);
    add_string(&t->env, s);
    t->envc++;
}

__attribute__((format(printf, 3, 4)))
static void env_printf(struct template *t, struct mu_buf *scratch, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    mu_buf_clear(scratch);
    mu_buf_vprintf(scratch, fmt, ap);
    va_end(ap);
    env_put(t, mu_buf_str(scratch));
}

static void env_make(const struct mu_prepare *p, struct template *t, const struct mu_agent_spawn *s)
{
    struct mu_buf b = { 0 };

    for (char *const *e = p->opt.base_env; *e != NULL; e++)
        env_put(t, mu_str_of(*e));
    if (t->user.take) {
        env_printf(t, &b, "HOME=%s", t->user.home);
        env_printf(t, &b, "USER=%s", t->user.name);
        env_printf(t, &b, "LOGNAME=%s", t->user.name);
        env_printf(t, &b, "SHELL=%s", t->user.shell);
    }
    for (uint32_t i = 0; i < s->spec->env.count; i++)
        env_put(t, s->spec->env.at[i]);
    env_printf(t, &b, "MUSTER_JOB_ID=%llu", (unsigned long long)s->job);
    env_printf(t, &b, "MUSTER_JOB_NAME=" MU_STR_FMT, MU_STR_ARG(s->job_name));
    env_printf(t, &b, "MUSTER_NODE=%s", p->opt.node);
    env_printf(t, &b, "MUSTER_ARRAY_FIRST=%llu", (unsigned long long)s->first);
    env_printf(t, &b, "MUSTER_ARRAY_LAST=%llu", (unsigned long long)s->last);
    mu_buf_fini(&b);
}

/* Commands. */

static void command_shell(struct mu_buf *b, uint32_t *argc, struct mu_str text)
{
    add_string(b, MU_STR_LIT("/bin/sh"));
    add_string(b, MU_STR_LIT("-c"));
    add_string(b, text);
    *argc = 3;
}

static void command_make(struct template *t, const struct mu_agent_spawn *s)
{
    const struct mu_group_spec *g = s->spec;

    if (g->argv.count > 0) {
        for (uint32_t i = 0; i < g->argv.count; i++)
            add_string(&t->command, g->argv.at[i]);
        t->argc = g->argv.count;
        t->flags |= MU_SP_SEARCH;
    } else if (g->script.size > 2 && memcmp(g->script.at, "#!", 2) == 0) {
        mu_buf_add(&t->script, g->script.at, g->script.size);
    } else if (g->script.size >= ARG_MAX_BYTES) {
        mu_buf_addz(&t->script, "#!/bin/sh\n");
        mu_buf_add(&t->script, g->script.at, g->script.size);
    } else if (g->script.size > 0) {
        command_shell(&t->command, &t->argc, g->script);
    }
    if (t->script.size > 0) {
        add_string(&t->command, s->job_name.size > 0 ? s->job_name : MU_STR_LIT("script"));
        t->argc = 1;
        t->flags |= MU_SP_SCRIPT;
    }
}

static void template_fini(struct template *t)
{
    mu_buf_fini(&t->env);
    mu_buf_fini(&t->command);
    mu_buf_fini(&t->script);
    *t = (struct template){ 0 };
}

static struct template *template_of(struct mu_prepare *p, const struct mu_agent_spawn *s)
{
    struct template *t = &p->templates[s->spec_id % TEMPLATES];

    if (t->spec_id == s->spec_id)
        return t;
    template_fini(t);
    t->spec_id = s->spec_id;
    t->refused = p->opt.user(p->opt.arg, s, &t->user);
    if (t->user.take)
        t->flags |= MU_SP_USER;
    env_make(p, t, s);
    command_make(t, s);
    return t;
}

/* Frames. */

static void add_path(struct mu_buf *b, struct mu_str path, const struct mu_agent_spawn *s)
{
    for (uint32_t i = 0; i < path.size; i++) {
        char next = path.at[i] == '%' && i + 1 < path.size ? path.at[i + 1] : '\0';
        if (next == 'j')
            mu_buf_u64(b, s->job);
        else if (next == 't')
            mu_buf_u64(b, s->index);
        else if (next == 'a')
            mu_buf_u64(b, s->attempt);
        else if (path.at[i] != '\0')
            mu_buf_addc(b, path.at[i]);
        i += next == 'j' || next == 't' || next == 'a' || next == '%';
    }
    mu_buf_addc(b, '\0');
}

static void add_line(struct mu_prepare *p, struct mu_buf *b, struct mu_sp_spawn *head, struct mu_str line)
{
    char **words;

    mu_arena_reset(&p->scratch);
    words = mu_shellwords(line, &p->scratch, &head->argc);
    if (words == NULL) {
        command_shell(b, &head->argc, line);
        return;
    }
    head->flags |= MU_SP_SEARCH;
    for (uint32_t i = 0; i < head->argc; i++)
        add_string(b, mu_str_of(words[i]));
}

static void add_own_env(const struct mu_prepare *p, struct mu_buf *b, struct mu_sp_spawn *head, const struct mu_agent_spawn *s)
{
    mu_buf_addz(b, MU_SP_MARK "=");
    mu_buf_addz(b, p->boot);
    mu_buf_addc(b, '-');
    mu_buf_u64(b, s->id);
    mu_buf_addc(b, '\0');
    mu_buf_addz(b, "MUSTER_TASK_INDEX=");
    mu_buf_u64(b, s->index);
    mu_buf_addc(b, '\0');
    mu_buf_addz(b, "MUSTER_ATTEMPT=");
    mu_buf_u64(b, s->attempt);
    mu_buf_addc(b, '\0');
    head->envc += 3;
}

static void add_strings(struct mu_prepare *p, struct template *t, struct mu_sp_spawn *head, const struct mu_agent_spawn *s,
                        const struct mu_prepare_limits *limits, struct mu_buf *b)
{
    add_string(b, s->spec->cwd.size > 0 ? s->spec->cwd : MU_STR_LIT("/"));
    add_path(b, s->spec->stdin_path, s);
    add_path(b, s->spec->stdout_path, s);
    add_path(b, s->spec->stderr_path, s);
    add_string(b, mu_buf_str(&t->script));
    for (; limits->cgroups[head->cgroups] != NULL; head->cgroups++)
        add_string(b, mu_str_of(limits->cgroups[head->cgroups]));
    if (t->argc > 0)
        mu_buf_add(b, t->command.at, t->command.size);
    else
        add_line(p, b, head, s->line);
    add_own_env(p, b, head, s);
    mu_buf_add(b, t->env.at, t->env.size);
}

uint32_t mu_prepare_frame(struct mu_prepare *p, const struct mu_agent_spawn *s, const struct mu_prepare_limits *limits,
                          struct mu_buf *out)
{
    struct template *t = template_of(p, s);
    size_t from = out->size;
    struct mu_sp_spawn head = { .head.type = MU_SP_SPAWN, .id = s->id, .job = s->job, .timeout_ms = s->spec->timeout_ms,
        .grace_ms = s->spec->grace_ms, .need = { s->need.cpu_milli, s->need.mem_bytes, s->need.gpu_milli }, .data_bytes = limits->data_bytes, .ordinal = s->ordinal, .attempt = s->attempt, .tag = limits->tag, .lane = s->lane,
        .lane_max = s->lane_max,
        .flags = t->flags, .uid = t->user.uid, .gid = t->user.gid, .groups = t->user.groups_count, .argc = t->argc, .envc = t->envc };

    if (t->refused != 0)
        return t->refused;
    if (s->tasks == 1 && s->attempt == 1)
        head.flags |= MU_SP_TRUNC;
    mu_buf_add(out, &head, sizeof head);
    if (head.groups > 0)
        mu_buf_add(out, t->user.groups, head.groups * sizeof t->user.groups[0]);
    add_strings(p, t, &head, s, limits, out);
    if (out->size - from > MU_SP_FRAME_MAX || head.argc + head.envc > MU_SP_STRINGS_MAX) {
        out->size = from;
        return code_of(MU_NOSTART_EXEC, E2BIG);
    }
    head.head.size = (uint32_t)(out->size - from);
    memcpy(out->at + from, &head, sizeof head);
    return 0;
}

void mu_prepare_boot(struct mu_prepare *p, const char *boot)
{
    snprintf(p->boot, sizeof p->boot, "%s", boot);
}

struct mu_prepare *mu_prepare_new(const struct mu_prepare_options *opt)
{
    struct mu_prepare *p = calloc(1, sizeof *p);

    MU_ASSERT(p != NULL);
    p->opt = *opt;
    return p;
}

void mu_prepare_free(struct mu_prepare *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < TEMPLATES; i++)
        template_fini(&p->templates[i]);
    mu_arena_fini(&p->scratch);
    free(p);
}
