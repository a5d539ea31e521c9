/* muster-sim: run seeds of the simulator, several at once, and say which failed and what went before.
 *
 *   muster-sim [--seeds N] [--from S] [--workers W] [--file SEEDS]...   all of a file, then N seeds from S on
 *   muster-sim --seed S [--trace]                                       one, with its figures or everything that happened
 */
#include "base/assert.h"
#include "sim/sim.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOTES_KEPT = 4096, NOTES_SHOWN = 60, SEEDS_OF_FILES_MAX = 1024, TWICE_EVERY = 64 };

/* What the run that is going on did last; for the report of a failure, also of an abort. */
static struct mu_note notes[NOTES_KEPT];
static uint64_t notes_count, seed_now;

struct totals {
    uint64_t seeds, failed, virtual_ms, events, entries, jobs, tasks, succeeded, attempts, lost, faults, acked, unknown;
};

static void note_print(FILE *to, const struct mu_note *n)
{
    fprintf(to, "%12.6f  %-20s %llu %llu %llu %llu\n", (double)n->at_us / 1e6, n->what, (unsigned long long)n->n[0],
            (unsigned long long)n->n[1], (unsigned long long)n->n[2], (unsigned long long)n->n[3]);
}

static void note_keep(void *arg, const struct mu_note *n)
{
    (void)arg;
    notes[notes_count++ % NOTES_KEPT] = *n;
}

static void note_show(void *arg, const struct mu_note *n)
{
    (void)arg;
    note_keep(NULL, n);
    note_print(stdout, n);
}

static void report(const char *why)
{
    uint64_t first = notes_count > NOTES_SHOWN ? notes_count - NOTES_SHOWN : 0;

    for (uint64_t i = first; i < notes_count; i++)
        note_print(stdout, &notes[i % NOTES_KEPT]);
    printf("FAILED seed %llu: %s\n  again: muster-sim --seed %llu --trace\n", (unsigned long long)seed_now, why,
           (unsigned long long)seed_now);
    fflush(stdout);
}

static void on_abort(int sig)
{
    (void)sig;
    report("an invariant of the code is broken (see above)"); /* the process ends here anyway */
    _exit(1);
}

static bool seed_run(uint64_t seed, bool trace, struct mu_sim_result *out)
{
    struct mu_sim_options opt = { .seed = seed, .trace = trace ? note_show : note_keep };

    seed_now = seed;
    notes_count = 0;
    mu_sim_run(&opt, out);
    if (!out->ok)
        report(out->why);
    return out->ok;
}

static void add(struct totals *t, const struct mu_sim_result *r)
{
    t->seeds++;
    t->failed += !r->ok;
    t->virtual_ms += r->virtual_ms;
    t->events += r->events;
    t->entries += r->entries;
    t->jobs += r->jobs;
    t->tasks += r->tasks;
    t->succeeded += r->succeeded;
    t->attempts += r->attempts;
    t->lost += r->lost;
    t->faults += r->faults;
    t->acked += r->acked;
    t->unknown += r->unknown;
}

/* The same seed has to take the same course. */
static bool twice(uint64_t seed, const struct mu_sim_result *first)
{
    struct mu_sim_result again;

    if (!seed_run(seed, false, &again))
        return false;
    if (again.hash == first->hash)
        return true;
    report("the same seed took another course");
    return false;
}

static int worker(const uint64_t *seeds, uint64_t count, uint64_t from, uint64_t step, int out)
{
    struct totals t = { 0 };
    struct mu_sim_result r;

    for (uint64_t i = from; i < count && t.failed == 0; i += step) {
        seed_run(seeds[i], false, &r);
        add(&t, &r);
        if (r.ok && i / step % TWICE_EVERY == 0 && !twice(seeds[i], &r))
            t.failed++;
    }
    if (write(out, &t, sizeof t) != sizeof t)
        return 1;
    return t.failed > 0;
}

static bool run_all(const uint64_t *seeds, uint64_t count, uint64_t workers, struct totals *sum)
{
    int ends[2], status;
    bool ok = pipe(ends) == 0;
    struct totals t;

    for (uint64_t w = 0; ok && w < workers; w++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(worker(seeds, count, w, workers, ends[1]));
        ok = pid > 0;
    }
    close(ends[1]);
    while (wait(&status) > 0)
        ok = ok && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    while (read(ends[0], &t, sizeof t) == sizeof t)
        for (size_t i = 0; i < sizeof t / sizeof(uint64_t); i++)
            ((uint64_t *)sum)[i] += ((uint64_t *)&t)[i];
    return ok;
}

static uint64_t seeds_of_file(const char *path, uint64_t *seeds, uint64_t max)
{
    FILE *f = fopen(path, "re");
    char line[512];
    uint64_t count = 0;

    if (f == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(2);
    }
    while (count < max && fgets(line, sizeof line, f))
        if (line[0] >= '0' && line[0] <= '9')
            seeds[count++] = strtoull(line, NULL, 0);
    fclose(f);
    return count;
}

static int one(uint64_t seed, bool trace)
{
    struct mu_sim_result r;

    if (!seed_run(seed, trace, &r))
        return 1;
    printf("seed %llu ok: hash %016llx, %llu ms, %llu events, %llu entries, %llu jobs, %llu tasks (%llu succeeded), %llu attempts (%llu lost), "
           "%llu faults, %llu acknowledged, %llu unknown\n",
           (unsigned long long)seed, (unsigned long long)r.hash, (unsigned long long)r.virtual_ms, (unsigned long long)r.events,
           (unsigned long long)r.entries, (unsigned long long)r.jobs, (unsigned long long)r.tasks, (unsigned long long)r.succeeded,
           (unsigned long long)r.attempts, (unsigned long long)r.lost, (unsigned long long)r.faults, (unsigned long long)r.acked,
           (unsigned long long)r.unknown);
    return 0;
}

static int many(uint64_t *seeds, uint64_t count, uint64_t workers)
{
    struct totals sum = { 0 };
    bool ok = run_all(seeds, count, workers, &sum);

    printf("%llu seeds: %.1f h of virtual time, %llu events, %llu entries, %llu jobs, %llu tasks (%llu succeeded), %llu attempts (%llu lost), "
           "%llu faults, %llu unknown outcomes\n",
           (unsigned long long)sum.seeds, (double)sum.virtual_ms / 3.6e6, (unsigned long long)sum.events, (unsigned long long)sum.entries,
           (unsigned long long)sum.jobs, (unsigned long long)sum.tasks, (unsigned long long)sum.succeeded, (unsigned long long)sum.attempts,
           (unsigned long long)sum.lost, (unsigned long long)sum.faults, (unsigned long long)sum.unknown);
    if (ok && sum.seeds >= 100 && (sum.succeeded < 20 * sum.seeds || sum.faults < sum.seeds)) {
        printf("FAILED: too little happened for these runs to mean anything\n");
        ok = false;
    }
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    uint64_t count = 0, from = 1, workers = 2, of_files = 0, seed = 0, *seeds = calloc(SEEDS_OF_FILES_MAX, sizeof *seeds);
    bool trace = false;
    int rc;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0)
            trace = true;
        else if (i + 1 == argc)
            return fprintf(stderr, "%s: not understood, or without its value\n", argv[i]), 2;
        else if (strcmp(argv[i], "--seeds") == 0)
            count = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--from") == 0)
            from = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--workers") == 0)
            workers = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--file") == 0)
            of_files += seeds_of_file(argv[++i], seeds + of_files, SEEDS_OF_FILES_MAX - of_files);
        else
            return fprintf(stderr, "%s: not understood\n", argv[i]), 2;
    }
    signal(SIGABRT, on_abort);
    if (seed != 0) {
        free(seeds);
        return one(seed, trace);
    }
    seeds = realloc(seeds, (of_files + count) * sizeof *seeds);
    MU_ASSERT(seeds != NULL && workers > 0);
    for (uint64_t i = 0; i < count; i++)
        seeds[of_files + i] = from + i;
    rc = many(seeds, of_files + count, workers);
    free(seeds);
    return rc;
}
