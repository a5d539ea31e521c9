/* agent/spawner/spawner_proto.c -- see spawner_proto.h. Linked into agent and spawner alike. */
#include "spawner_proto.h"

#include <string.h>

static const struct {
    uint32_t size;
    bool exact, from_agent;
} types[MU_SP_TYPES] = {
    [MU_SP_HELLO] = { sizeof(struct mu_sp_hello), true, true },
    [MU_SP_SPAWN] = { sizeof(struct mu_sp_spawn), false, true },
    [MU_SP_KILL] = { sizeof(struct mu_sp_kill), true, true },
    [MU_SP_FORGET] = { sizeof(struct mu_sp_forget), true, true },
    [MU_SP_SLOT] = { sizeof(struct mu_sp_slot), true, true },
    [MU_SP_LANE] = { sizeof(struct mu_sp_lane), true, true },
    [MU_SP_LEASE] = { sizeof(struct mu_sp_lease), true, true },
    [MU_SP_QUIT] = { sizeof(struct mu_sp_quit), true, true },
    [MU_SP_WELCOME] = { sizeof(struct mu_sp_welcome), true, false },
    [MU_SP_TASK] = { sizeof(struct mu_sp_task), true, false },
    [MU_SP_LISTED] = { sizeof(struct mu_sp_head), true, false },
    [MU_SP_STARTED] = { sizeof(struct mu_sp_task), true, false },
    [MU_SP_EXITED] = { sizeof(struct mu_sp_task), true, false },
};

size_t mu_sp_frame(const void *bytes, size_t size, bool from_agent)
{
    struct mu_sp_head h;

    if (size < sizeof h)
        return 0;
    memcpy(&h, bytes, sizeof h);
    if (h.type == 0 || h.type >= MU_SP_TYPES || types[h.type].from_agent != from_agent || h.size < types[h.type].size ||
        h.size > MU_SP_FRAME_MAX || (types[h.type].exact && h.size != types[h.type].size))
        return SIZE_MAX;
    return h.size <= size ? h.size : 0;
}

/* The next string of *at; NULL when no NUL is left. */
static char *string_take(char **at, const char *end)
{
    char *s = *at, *nul = s < end ? memchr(s, '\0', (size_t)(end - s)) : NULL;

    if (nul == NULL)
        return NULL;
    *at = nul + 1;
    return s;
}

static char **list_take(char **at, const char *end, uint32_t count, char ***pointers)
{
    char **list = *pointers;

    for (uint32_t i = 0; i < count; i++)
        if ((list[i] = string_take(at, end)) == NULL)
            return NULL;
    list[count] = NULL;
    *pointers += count + 1;
    return list;
}

bool mu_sp_spawn_read(struct mu_sp_spawn_view *v, void *frame, size_t size, char **pointers, size_t pointers_max)
{
    char *at = frame, *end = at + size;
    struct mu_sp_spawn *h = &v->head;

    if (size < sizeof *h || mu_sp_frame(frame, size, true) != size)
        return false;
    memcpy(h, frame, sizeof *h);
    if (h->head.type != MU_SP_SPAWN || h->groups > MU_SP_GROUPS_MAX || h->cgroups > MU_SP_CGROUPS_MAX ||
        h->argc > MU_SP_STRINGS_MAX || h->envc > MU_SP_STRINGS_MAX || h->argc == 0 ||
        (size_t)h->cgroups + h->argc + h->envc + 3 > pointers_max)
        return false;
    at += sizeof *h;
    v->groups = (const uint32_t *)(const void *)at;
    if ((size_t)(end - at) < h->groups * sizeof(uint32_t))
        return false;
    at += h->groups * sizeof(uint32_t);
    char **const fixed[MU_SP_FIXED_STRINGS] = { &v->cwd, &v->in, &v->out, &v->err, &v->script };
    for (int i = 0; i < MU_SP_FIXED_STRINGS; i++)
        if ((*fixed[i] = string_take(&at, end)) == NULL)
            return false;
    v->cgroups = list_take(&at, end, h->cgroups, &pointers);
    v->argv = v->cgroups != NULL ? list_take(&at, end, h->argc, &pointers) : NULL;
    v->env = v->argv != NULL ? list_take(&at, end, h->envc, &pointers) : NULL;
    return v->env != NULL && at == end;
}
