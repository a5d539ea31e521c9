/* bench-core: nanoseconds an event, bytes a waiting task or job, seconds to save, load and hash a full state. */
#include "base/assert.h"
#include "core/core.h"

#include <malloc.h>

enum { TASKS = 1000000, LIVE = 4096, NODES = 1000, JOBS = 1000000, COMMAND = 99, PART_LINES = 1500 };

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* the neighbours take none of it */
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t heap_bytes(void)
{
    struct mallinfo2 m = mallinfo2();

    return m.uordblks + m.hblkhd;
}

struct bench {
    struct mu_core *core;
    struct mu_fx_list fx;
    struct mu_buf spec;
};

static uint64_t apply(struct bench *b, enum mu_event_kind kind, struct mu_event ev)
{
    ev.kind = kind;
    mu_core_apply(b->core, 1000, &ev, &b->fx);
    if (b->fx.count && b->fx.at[0].kind == MU_FX_REPLY && b->fx.at[0].rc != MU_OK) {
        fprintf(stderr, "bench-core: %s\n", b->fx.at[0].text);
        exit(1);
    }
    return b->fx.count && b->fx.at[0].kind == MU_FX_REPLY ? b->fx.at[0].job : 0;
}

static void start(struct bench *b, uint32_t nodes)
{
    char name[32];

    *b = (struct bench){ .core = mu_core_new(&mu_core_limits_default) };
    for (uint32_t i = 0; i < nodes; i++) {
        snprintf(name, sizeof name, "n%u", (unsigned)i);
        apply(b, MU_EV_NODE_JOIN, (struct mu_event){ .node_join = { .name = mu_str_of(name), .boot = mu_str_of("b"),
                                                                    .cpu_milli = 64000, .mem_bytes = 1ull << 36 } });
    }
}

static void stop(struct bench *b)
{
    mu_core_free(b->core);
    mu_fx_fini(&b->fx);
    mu_buf_fini(&b->spec);
    malloc_trim(0);
}

static uint64_t submit(struct bench *b, struct mu_group_spec *group, enum mu_open open)
{
    struct mu_job_spec spec = { .name = mu_str_of("bench"), .user = mu_str_of("ann"), .groups = group, .groups_count = 1,
                                .open = open };

    mu_buf_clear(&b->spec);
    mu_pb_put(&b->spec, &mu_job_spec_pb, &spec);
    return apply(b, MU_EV_SUBMIT, (struct mu_event){ .submit = { mu_buf_str(&b->spec) } });
}

/* Every task placed and ended, LIVE of them at a time. */
static void run_array(void)
{
    static struct mu_str argv[] = { { "/bin/true", 9 } };
    struct mu_group_spec g = { .argv = { argv, 1 }, .tasks = TASKS, .cpu_milli = 1000 };
    struct bench b;
    double from, took;
    size_t before;
    uint64_t job;

    start(&b, NODES);
    before = heap_bytes();
    job = submit(&b, &g, MU_OPEN_NO);
    printf("array of %d: %zu bytes in all\n", TASKS, heap_bytes() - before);
    from = now_s();
    for (uint32_t i = 0; i < TASKS + LIVE; i++) {
        if (i < TASKS)
            apply(&b, MU_EV_PLACED, (struct mu_event){ .placed = { job, i, 1, i * 7 % NODES } });
        if (i >= LIVE)
            apply(&b, MU_EV_ENDED, (struct mu_event){ .ended = { .job = job, .ordinal = i - LIVE, .attempt = 1 } });
    }
    took = now_s() - from;
    printf("array: %.0f ns for PLACED and ENDED together\n", took / TASKS * 1e9);
    stop(&b);
}

static struct mu_str line_of(char *text, uint32_t i)
{
    int used = snprintf(text, COMMAND + 2, "process --input /data/in/%08u.csv --output /data/out/%08u.csv --level 9 ", (unsigned)i,
                        (unsigned)i);

    memset(text + used, 'x', (size_t)(COMMAND - used));
    text[COMMAND] = '\n';
    return (struct mu_str){ text, COMMAND + 1 };
}

static void save_load(struct bench *b, const char *what)
{
    struct mu_buf bytes = { 0 };
    struct mu_core *loaded = mu_core_new(&mu_core_limits_default);
    struct mu_err err;
    double from = now_s(), saved, hashed, read;

    mu_core_save(b->core, &bytes);
    saved = now_s();
    MU_ASSERT(mu_core_hash(b->core) != 0);
    hashed = now_s();
    MU_ASSERT(mu_core_load(loaded, bytes.at, bytes.size, &err) == MU_OK);
    read = now_s();
    printf("%s: snapshot %zu bytes, save %.0f ms, hash %.0f ms, load %.0f ms\n", what, bytes.size, (saved - from) * 1e3,
           (hashed - saved) * 1e3, (read - hashed) * 1e3);
    mu_core_free(loaded);
    mu_buf_fini(&bytes);
}

static void lines(void)
{
    struct mu_group_spec g = { .cpu_milli = 1000 };
    struct mu_buf text = { 0 };
    char line[COMMAND + 2];
    struct bench b;
    size_t before;
    double from;
    uint64_t job = 0;

    start(&b, 1);
    before = heap_bytes();
    from = now_s();
    for (uint32_t i = 0; i < TASKS;) {
        uint32_t first = i;
        mu_buf_clear(&text);
        for (; i < first + PART_LINES && i < TASKS; i++)
            mu_buf_add(&text, line_of(line, i).at, COMMAND + 1);
        g.lines = mu_buf_str(&text);
        g.tasks = i - first;
        if (job == 0)
            job = submit(&b, &g, MU_OPEN_WHOLE);
        else
            apply(&b, MU_EV_PART, (struct mu_event){ .part = { .job = job, .tasks_before = first, .lines = g.lines,
                                                               .last = i == TASKS } });
    }
    mu_buf_fini(&text);
    printf("lines: %.1f bytes a task of %d bytes, %.0f ns to take in\n", (double)(heap_bytes() - before) / TASKS, COMMAND + 1,
           (now_s() - from) / TASKS * 1e9);
    from = now_s();
    for (uint32_t i = 0; i < TASKS; i++)
        MU_ASSERT(mu_view_line(b.core, job, (uint32_t)(i * 48271ull % TASKS)).size == COMMAND);
    printf("lines: %.0f ns to look one up\n", (now_s() - from) / TASKS * 1e9);
    save_load(&b, "lines");
    stop(&b);
}

static void jobs(void)
{
    char line[COMMAND + 2];
    struct mu_str argv[8], rest, word;
    struct mu_group_spec g = { .tasks = 1, .cpu_milli = 1000, .cwd = mu_str_of("/home/ann/work"), .grace_ms = 10000,
                               .backoff_ms = 1000, .argv = { argv, 0 } };
    struct bench b;
    size_t before;
    double from;

    start(&b, 1);
    before = heap_bytes();
    from = now_s();
    for (uint32_t i = 0; i < JOBS; i++) {
        rest = line_of(line, i);
        rest.size--;
        for (g.argv.count = 0; (word = mu_str_cut(rest, ' ', &rest)).size;)
            argv[g.argv.count++] = word;
        submit(&b, &g, MU_OPEN_NO);
    }
    printf("single jobs: %.1f bytes each, %.0f ns to take in (encoding included)\n",
           (double)(heap_bytes() - before) / JOBS, (now_s() - from) / JOBS * 1e9);
    from = now_s();
    for (uint32_t i = 0; i < JOBS; i++) {
        apply(&b, MU_EV_PLACED, (struct mu_event){ .placed = { i + 1, 0, 1, 0 } });
        apply(&b, MU_EV_ENDED, (struct mu_event){ .ended = { .job = i + 1, .attempt = 1 } });
    }
    printf("single jobs: %.0f ns for PLACED and ENDED together\n", (now_s() - from) / JOBS * 1e9);
    save_load(&b, "single jobs");
    stop(&b);
}

int main(void)
{
    run_array();
    lines();
    jobs();
    return 0;
}
