/* Groups of a job that wait for each other: in a circle, or for one that is not there. */
#include "core/state.h"

enum { FIELD = MU_ERR_FIELD };

static void group_text(char *at, size_t size, const struct mu_group_spec *g, uint32_t i)
{
    if (g->name.size)
        snprintf(at, size, MU_STR_FMT, (int)(g->name.size < 40 ? g->name.size : 40), g->name.at);
    else
        snprintf(at, size, "tasks[%u]", (unsigned)i);
}

/* The groups that are new, after base old ones. */
struct graph {
    const struct mu_job *job; /* of the old ones */
    const struct mu_group_spec *groups;
    uint32_t base, count;
};

/* The first group, among those that still have waits, that group i (new ones from 0) waits for. */
static uint32_t waits_for(const struct graph *g, const uint32_t *waits, uint32_t i)
{
    const struct mu_dep *dep = g->groups[i].after;

    while (dep->job || dep->group < g->base || waits[dep->group - g->base] == 0)
        dep++;
    return dep->group - g->base;
}

/* Name a cycle: from any group that has waits go to one it waits for, and so on. */
static enum mu_rc refuse_cycle(const struct graph *g, const uint32_t *waits, struct mu_err *err)
{
    char text[MU_ERR_TEXT - 60] = "", name[48];
    size_t used = 0;
    uint32_t at = 0, start;

    while (waits[at] == 0)
        at++;
    for (uint32_t step = 0; step < g->count; step++)
        at = waits_for(g, waits, at); /* after so many steps we are on it for sure */
    start = at;
    do {
        group_text(name, sizeof name, &g->groups[at], g->base + at);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s -> ", name);
        at = waits_for(g, waits, at);
    } while (at != start && used + 2 * sizeof name < sizeof text);
    group_text(name, sizeof name, &g->groups[at], g->base + at);
    snprintf(text + used, sizeof text - used, "%s%s", name, at == start ? "" : " -> ...");
    snprintf(name, sizeof name, "tasks[%u].after", g->base + start);
    return mu_fail_at(err, MU_INVALID, name, "a cycle: these tasks wait for each other: %s", text);
}

static enum mu_rc check_refs(const struct graph *g, uint32_t i, struct mu_err *err)
{
    const struct mu_group_spec *spec = &g->groups[i];
    uint32_t all = g->base + g->count, tasks;
    char at[FIELD];

    for (uint32_t k = 0; k < spec->after_count; k++) {
        const struct mu_dep *dep = &spec->after[k];
        if (dep->job)
            continue;
        if (dep->group >= all)
            return mu_fail_at(err, MU_INVALID, mu_spec_field(at, all, g->base + i, "after"), "there is no group %u in this job",
                              (unsigned)dep->group);
        tasks = dep->group < g->base ? g->job->groups[dep->group].set.tasks : g->groups[dep->group - g->base].tasks;
        if (dep->kind >= MU_DEP_EACH_OK && tasks != spec->tasks)
            return mu_fail_at(err, MU_INVALID, mu_spec_field(at, all, g->base + i, "after_each"),
                              "one after one needs equal counts of tasks: %u after %u", (unsigned)spec->tasks, (unsigned)tasks);
    }
    return MU_OK;
}

/* Kahn's algorithm: take away what waits for nothing, until nothing is left. Edge e goes to group to[e]; the edges out
 * of a group are a list: first[group], next[e]; numbers + 1. */
static bool has_cycle(const struct graph *g, uint32_t edges_max, uint32_t *waits, struct mu_arena *arena)
{
    uint32_t *first = mu_arena_alloc(arena, g->count * sizeof first[0]);
    uint32_t *ready = mu_arena_alloc(arena, g->count * sizeof ready[0]);
    uint32_t *next = mu_arena_alloc(arena, (edges_max + 1) * sizeof next[0]);
    uint32_t *to = mu_arena_alloc(arena, (edges_max + 1) * sizeof to[0]);
    uint32_t edges = 0, queued = 0, done = 0;

    for (uint32_t i = 0; i < g->count; i++) {
        for (uint32_t k = 0; k < g->groups[i].after_count; k++) {
            const struct mu_dep *dep = &g->groups[i].after[k];
            if (dep->job || dep->group < g->base)
                continue;
            to[++edges] = i;
            next[edges] = first[dep->group - g->base];
            first[dep->group - g->base] = edges;
            waits[i]++;
        }
    }
    for (uint32_t i = 0; i < g->count; i++) {
        if (waits[i] == 0)
            ready[queued++] = i;
    }
    for (; done < queued; done++) {
        for (uint32_t e = first[ready[done]]; e; e = next[e]) {
            if (--waits[to[e]] == 0)
                ready[queued++] = to[e];
        }
    }
    return done < g->count;
}

enum mu_rc mu_graph_admit(const struct mu_job *job, const struct mu_group_spec *groups, uint32_t count,
                          struct mu_arena *arena, struct mu_err *err)
{
    struct graph g = { job, groups, job ? job->groups_count : 0, count };
    uint32_t edges = 0, *waits;

    for (uint32_t i = 0; i < count; i++) {
        enum mu_rc rc = check_refs(&g, i, err);
        if (rc != MU_OK)
            return rc;
        edges += groups[i].after_count;
    }
    if (edges == 0)
        return MU_OK;
    waits = mu_arena_alloc(arena, count * sizeof waits[0]);
    return has_cycle(&g, edges, waits, arena) ? refuse_cycle(&g, waits, err) : MU_OK;
}
