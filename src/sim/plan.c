/* Made-up jobs: single tasks, arrays, DAGs, lines, streams, one task a node; some large, some doomed. */
#include "sim/plan.h"

static uint64_t pick(struct mu_world *w, const uint64_t *of, size_t count)
{
    return of[mu_world_below(w, count)];
}
#define PICK(w, ...) pick(w, (const uint64_t[]){ __VA_ARGS__ }, sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))

static struct mu_str text(struct mu_arena *arena, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static struct mu_str text(struct mu_arena *arena, const char *fmt, ...)
{
    char buf[128];
    va_list ap;
    int size;

    va_start(ap, fmt);
    size = vsnprintf(buf, sizeof buf, fmt, ap);
    va_end(ap);
    return (struct mu_str){ mu_arena_strdup(arena, buf, (size_t)size), (uint32_t)size };
}

static uint64_t duration_ms(struct mu_world *w)
{
    return mu_world_chance(w, 30) ? PICK(w, 4000, 8000) : PICK(w, 1, 10, 50, 200, 500, 1000, 3000);
}

struct mu_str mu_plan_lines(struct mu_world *w, struct mu_arena *arena, uint32_t first, uint32_t count, uint32_t pad)
{
    struct mu_buf b = { 0 };
    struct mu_str lines;

    for (uint32_t i = 0; i < count; i++) {
        mu_buf_printf(&b, "t %llu 20 0 %u ", (unsigned long long)PICK(w, 1, 5, 50, 300), first + i);
        memset(mu_buf_room(&b, pad), 'x', pad);
        b.size += pad;
        mu_buf_addc(&b, '\n');
    }
    lines = (struct mu_str){ mu_arena_strdup(arena, (const char *)b.at, b.size), (uint32_t)b.size };
    mu_buf_fini(&b);
    return lines;
}

static void group_common(struct mu_world *w, struct mu_arena *arena, struct mu_group_spec *g, uint32_t number)
{
    g->name = text(arena, "g%u", number);
    g->array_step = 1;
    g->cpu_milli = PICK(w, 250, 500, 1000, 1000, 1000, 2000);
    g->mem_bytes = PICK(w, 0, 1 << 28, 1 << 30);
    g->retries = (uint32_t)PICK(w, 0, 0, 1, 3);
    g->backoff_ms = PICK(w, 100, 500, 2000);
    g->grace_ms = PICK(w, 50, 500, 1500);
    if (mu_world_chance(w, 100))
        g->timeout_ms = PICK(w, 100, 1000, 5000);
    if (mu_world_chance(w, 100))
        g->max_parallel = (uint32_t)mu_world_between(w, 1, 4);
    if (mu_world_chance(w, 50))
        g->abort_after = (uint32_t)mu_world_between(w, 1, 5);
    if (mu_world_chance(w, 150)) {
        g->labels.at = mu_arena_alloc(arena, sizeof *g->labels.at);
        g->labels.at[0] = text(arena, "zone=%c", mu_world_chance(w, 500) ? 'a' : 'b');
        g->labels.count = 1;
    }
    if (mu_world_chance(w, 50))
        g->place = mu_str_of(mu_world_chance(w, 500) ? "spread" : "round-robin");
}

static void group_command(struct mu_world *w, struct mu_arena *arena, struct mu_group_spec *g)
{
    g->argv.at = mu_arena_alloc(arena, sizeof *g->argv.at);
    g->argv.count = 1;
    g->argv.at[0] = text(arena, "t %llu %llu %d", (unsigned long long)duration_ms(w), (unsigned long long)PICK(w, 0, 0, 0, 200, 1000),
                         mu_world_chance(w, 100));
}

static void group_lines(struct mu_world *w, struct mu_arena *arena, struct mu_group_spec *g, uint32_t first)
{
    bool large = mu_world_chance(w, 60);

    g->tasks = (uint32_t)(large ? mu_world_between(w, 60, 250) : mu_world_between(w, 1, 30));
    g->lines = mu_plan_lines(w, arena, first, g->tasks, large ? 3000 : 0);
}

static void group_deps(struct mu_world *w, struct mu_arena *arena, struct mu_job_spec *spec, uint32_t at, uint64_t before)
{
    struct mu_group_spec *g = &spec->groups[at];

    g->after = mu_arena_alloc(arena, 2 * sizeof *g->after);
    if (at > 0 && mu_world_chance(w, 800)) {
        uint32_t on = (uint32_t)mu_world_below(w, at);
        bool each = g->tasks == spec->groups[on].tasks && mu_world_chance(w, 500);

        g->after[g->after_count++] = (struct mu_dep){
            .group = on, .kind = each ? (uint32_t)PICK(w, MU_DEP_EACH_OK, MU_DEP_EACH_ANY) : (uint32_t)PICK(w, MU_DEP_OK, MU_DEP_ANY) };
    }
    if (before != 0 && mu_world_chance(w, 100))
        g->after[g->after_count++] = (struct mu_dep){ .job = before, .kind = (uint32_t)PICK(w, MU_DEP_OK, MU_DEP_ANY) };
}

static void groups_make(struct mu_world *w, struct mu_plan *p, uint64_t before)
{
    struct mu_job_spec *spec = &p->spec;
    uint32_t first = 0;

    spec->groups_count = mu_world_chance(w, 350) ? (uint32_t)mu_world_between(w, 2, 5) : 1;
    spec->groups = mu_arena_alloc(&p->arena, spec->groups_count * sizeof *spec->groups);
    for (uint32_t i = 0; i < spec->groups_count; i++) {
        struct mu_group_spec *g = &spec->groups[i];

        group_common(w, &p->arena, g, i);
        if (mu_world_chance(w, 250)) {
            group_lines(w, &p->arena, g, first);
        } else {
            group_command(w, &p->arena, g);
            g->tasks = mu_world_chance(w, 400) ? 1 : (uint32_t)PICK(w, 2, 3, 5, 5, 10, 10, 40);
            g->is_array = g->tasks > 1;
        }
        first += g->tasks;
        group_deps(w, &p->arena, spec, i, before);
    }
}

/* One task a node; as the only group, because its number of tasks is not known before. */
static void each_node_make(struct mu_world *w, struct mu_plan *p)
{
    struct mu_group_spec *g = mu_arena_alloc(&p->arena, sizeof *g);

    p->spec.groups = g;
    p->spec.groups_count = 1;
    group_common(w, &p->arena, g, 0);
    g->cpu_milli = 250;
    group_command(w, &p->arena, g);
    g->each_node.at = mu_arena_alloc(&p->arena, sizeof *g->each_node.at);
    g->each_node.at[0] = MU_STR_LIT("*");
    g->each_node.count = 1;
    g->tasks = 1;
}

static void stream_make(struct mu_world *w, struct mu_plan *p)
{
    struct mu_group_spec *g = mu_arena_alloc(&p->arena, sizeof *g);

    p->spec.groups = g;
    p->spec.groups_count = 1;
    p->spec.open = MU_OPEN_STREAM;
    p->parts = (uint32_t)mu_world_between(w, 1, 3);
    group_common(w, &p->arena, g, 0);
    group_lines(w, &p->arena, g, 0);
}

struct mu_plan *mu_plan_new(struct mu_world *w, uint64_t number, uint64_t before, uint64_t now_ms)
{
    struct mu_plan *p = calloc(1, sizeof *p);
    struct mu_job_spec *spec = &p->spec;

    MU_ASSERT(p != NULL);
    p->number = number;
    snprintf(p->key, sizeof p->key, "k%llu", (unsigned long long)number);
    spec->key = mu_str_of(p->key);
    spec->name = text(&p->arena, "job-%llu", (unsigned long long)number);
    spec->user = text(&p->arena, "u%u", (unsigned)mu_world_below(w, 3));
    spec->priority = (int64_t)mu_world_below(w, 3) - 1;
    spec->digest = number * 7919;
    spec->hold = mu_world_chance(w, 30);
    if (mu_world_chance(w, 30))
        spec->deadline_ms = now_ms + mu_world_between(w, 1000, 30000);
    if (mu_world_chance(w, 80))
        each_node_make(w, p);
    else if (mu_world_chance(w, 60))
        stream_make(w, p);
    else
        groups_make(w, p, before);
    return p;
}

void mu_plan_free(struct mu_plan *p)
{
    mu_arena_fini(&p->arena);
    free(p);
}
