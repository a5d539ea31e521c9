/* cli/simulate_requests.c -- muster simulate --requests | --arrivals: balancing policies side by side. */
#include "cli/simulate.h"

#include "base/assert.h"
#include "base/units.h"
#include "io/files.h"
#include "io/gzip.h"
#include "sim/requests.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { SEEDS_MAX = 100, POLICIES_MAX = 32, TRACE_BYTES_MAX = 512 * 1024 * 1024 };

struct trace {
    double *gaps, *works;
    uint64_t count, cap;
};

static void trace_add(struct trace *t, double at, double work)
{
    if (t->count == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 4096;
        t->gaps = realloc(t->gaps, t->cap * sizeof *t->gaps);
        t->works = realloc(t->works, t->cap * sizeof *t->works);
        MU_ASSERT(t->gaps != NULL && t->works != NULL);
    }
    t->gaps[t->count] = at; /* made a gap when all are read */
    t->works[t->count++] = work;
}

/* Seconds of "2023-11-16 18:15:46.6805900", or of a plain number. */
static bool time_of(struct mu_str s, double *out)
{
    char text[64], *end;
    int y, mo, d, h, mi, used = 0;
    double sec;

    if (s.size == 0 || s.size >= sizeof text)
        return false;
    snprintf(text, sizeof text, MU_STR_FMT, MU_STR_ARG(s));
    if (sscanf(text, "%d-%d-%d%*[ T]%d:%d:%lf%n", &y, &mo, &d, &h, &mi, &sec, &used) == 6 && used > 0) {
        uint64_t ms;
        char day[48];
        snprintf(day, sizeof day, "%04d-%02d-%02dT%02d:%02d:00Z", y, mo, d, h, mi);
        if (!mu_parse_time(mu_str_of(day), &ms))
            return false;
        *out = (double)ms / 1000 + sec;
        return true;
    }
    *out = strtod(text, &end);
    return end != text && *end == '\0';
}

static double number_of(struct mu_str s)
{
    char text[40];

    snprintf(text, sizeof text, MU_STR_FMT, MU_STR_ARG(s));
    return strtod(text, NULL);
}

/* What a request costs: generated tokens, a little for the context, and a constant, where the columns are those; else
 * the second column; else 1. */
static double work_of(struct mu_str second, struct mu_str third, bool tokens)
{
    if (tokens)
        return number_of(third) + 0.01 * number_of(second) + 0.5;
    return second.size > 0 ? number_of(second) : 1;
}

static bool to_gaps(struct trace *t)
{
    double span = t->count > 1 ? t->gaps[t->count - 1] - t->gaps[0] : 0, mean, work = 0;

    if (t->count < 2 || !(span > 0))
        return false;
    mean = span / (double)(t->count - 1);
    for (uint64_t i = t->count - 1; i > 0; i--) {
        t->gaps[i] = (t->gaps[i] - t->gaps[i - 1]) / mean;
        if (t->gaps[i] < 0)
            return false;
    }
    t->gaps[0] = 1;
    for (uint64_t i = 0; i < t->count; i++)
        work += t->works[i] / (double)t->count;
    for (uint64_t i = 0; i < t->count && work > 0; i++)
        t->works[i] /= work;
    return work > 0;
}

static int read_trace(const char *path, struct trace *t)
{
    struct mu_buf text = { 0 };
    struct mu_err err = { 0 };
    struct mu_str rest, line, second, third;
    bool tokens = false;
    uint64_t number = 0;
    double at;

    if (mu_gzip_read(path, TRACE_BYTES_MAX, &text, &err) != MU_OK) {
        mu_cli_say("%s", err.text);
        return MU_EXIT_USAGE;
    }
    rest = mu_buf_str(&text);
    while (rest.size > 0) {
        line = mu_str_cut(rest, '\n', &rest);
        line.size -= line.size > 0 && line.at[line.size - 1] == '\r';
        number++;
        if (line.size == 0)
            continue;
        struct mu_str first = mu_str_cut(line, ',', &second);
        second = mu_str_cut(second, ',', &third);
        if (time_of(first, &at)) {
            trace_add(t, at, work_of(second, third, tokens));
        } else if (number == 1) {
            tokens = mu_str_is(second, "ContextTokens");
        } else {
            mu_cli_say("%s:%llu: the first column is no time", path, (unsigned long long)number);
            mu_buf_fini(&text);
            return MU_EXIT_USAGE;
        }
    }
    mu_buf_fini(&text);
    if (to_gaps(t))
        return 0;
    mu_cli_say("%s: needs at least two arrivals in order of time, with work in them", path);
    return MU_EXIT_USAGE;
}

static int read_scenario(const struct mu_args *args, struct mu_sim_scenario *s)
{
    const char *name = mu_args_get(args, "requests", NULL);
    const struct mu_sim_scenario *known = name != NULL ? mu_sim_scenario_named(name) : NULL;
    struct mu_buf text = { 0 };
    struct mu_err err = { 0 };
    enum mu_rc rc = MU_OK;

    if (name == NULL) { /* arrivals alone: sixteen servers of unequal speed that share their processors */
        *s = (struct mu_sim_scenario){ .name = "arrivals", .servers = 16, .balancers = 1, .speed_spread = 9, .load = 0.8, .slots = 4,
                                       .sharing = true, .requests = 200000 };
        return 0;
    }
    if (known != NULL) {
        *s = *known;
        return 0;
    }
    if (strncmp(name, "drawn-", 6) == 0 && strspn(name + 6, "0123456789") == strlen(name + 6) && name[6] != '\0') {
        mu_sim_scenario_draw(s, strtoull(name + 6, NULL, 10));
        return 0;
    }
    rc = mu_file_read(name, 1024 * 1024, &text, &err);
    if (rc == MU_OK)
        rc = mu_sim_scenario_read(s, mu_buf_str(&text), &err);
    mu_buf_fini(&text);
    if (rc != MU_OK)
        mu_cli_say("%s: %s", name, err.text);
    return rc == MU_OK ? 0 : MU_EXIT_USAGE;
}

struct row {
    char name[64];
    struct mu_sim_result run[SEEDS_MAX];
    double mean, p50, p99, errors, throughput;
    uint64_t requests;
    bool unstable;
};

static void sum_up(struct row *r, uint32_t seeds)
{
    r->mean = r->p50 = r->p99 = r->errors = r->throughput = 0;
    for (uint32_t i = 0; i < seeds; i++) {
        r->mean += r->run[i].mean / seeds;
        r->p50 += r->run[i].p50 / seeds;
        r->p99 += r->run[i].p99 / seeds;
        r->errors += r->run[i].error_rate / seeds;
        r->throughput += r->run[i].throughput / seeds;
        r->requests += r->run[i].requests;
        r->unstable = r->unstable || r->run[i].unstable;
    }
}

/* Mean response against the first policy's, seed by seed. */
static double difference(const struct row *r, const struct row *first, uint32_t seeds, double *interval)
{
    double d[SEEDS_MAX], mean;

    for (uint32_t i = 0; i < seeds; i++)
        d[i] = r->run[i].mean / first->run[i].mean - 1;
    *interval = mu_simulate_interval(d, seeds, &mean);
    return mean;
}

static json_t *row_json(const struct row *r, const struct row *first, uint32_t seeds)
{
    double interval, d = difference(r, first, seeds, &interval);
    json_t *o = json_pack("{s:s,s:I,s:f,s:f,s:f,s:f,s:f,s:b,s:i}", "balance", r->name, "requests", (json_int_t)r->requests, "mean", r->mean, "p50", r->p50,
                          "p99", r->p99, "error_rate", r->errors, "throughput", r->throughput, "unstable", r->unstable, "seeds", (int)seeds);

    if (r != first && isfinite(interval)) {
        json_object_set_new(o, "difference", json_real(d));
        json_object_set_new(o, "interval", json_real(interval));
        json_object_set_new(o, "differs", json_boolean(fabs(d) > interval));
    }
    return o;
}

static void row_text(struct mu_table *t, const struct row *r, const struct row *first, uint32_t seeds)
{
    double interval, d = difference(r, first, seeds, &interval);

    mu_table_add(t, "%s", r->name);
    mu_table_add(t, "%.3f", r->mean);
    mu_table_add(t, "%.3f", r->p50);
    mu_table_add(t, "%.2f", r->p99);
    mu_table_add(t, "%.3f %%", r->errors * 100);
    mu_table_add(t, "%.3f", r->throughput);
    if (r->unstable)
        mu_table_add(t, "unstable: its queues grow without end");
    else if (r == first || !isfinite(interval))
        mu_table_add(t, "-");
    else if (fabs(d) <= interval)
        mu_table_add(t, "no difference (%+.1f %% +- %.1f)", d * 100, interval * 100);
    else
        mu_table_add(t, "%+.1f %% +- %.1f", d * 100, interval * 100);
}

static void show(const struct mu_args *args, const struct mu_sim_scenario *s, const struct row *rows, uint32_t count, uint32_t seeds)
{
    static const char *const heads[] = { "BALANCE", "MEAN", "P50", "P99", "ERRORS", "THROUGHPUT", "MEAN AGAINST THE FIRST" };
    struct mu_table t;

    if (mu_args_has(args, "json")) {
        json_t *all = json_array();
        for (uint32_t i = 0; i < count; i++)
            json_array_append_new(all, row_json(&rows[i], &rows[0], seeds));
        mu_answer_line(all);
        json_decref(all);
        return;
    }
    printf("%s: %u servers%s, %u balancer%s, load %.2f, %u seed%s; in units of the mean service time\n", s->name, s->servers,
           s->speed_spread > 0 || s->fast_every ? " of unequal speed" : "", s->balancers, s->balancers > 1 ? "s" : "", s->load, seeds, seeds > 1 ? "s" : "");
    mu_table_open(&t, heads, 7);
    for (uint32_t i = 0; i < count; i++)
        row_text(&t, &rows[i], &rows[0], seeds);
    mu_table_print(&t);
}

static int compare(const struct mu_args *args, const struct mu_sim_scenario *s, uint64_t seed, uint32_t seeds)
{
    const char *list = mu_args_get(args, "balance", "auto");
    struct row *rows = calloc(POLICIES_MAX, sizeof *rows);
    struct mu_progress bar;
    struct mu_err err = { 0 };
    uint32_t count = 0, total = 1;
    int code = 0;

    MU_ASSERT(rows != NULL);
    for (const char *c = list; *c != '\0'; c++)
        total += *c == ',';
    mu_progress_open(&bar);
    while (code == 0 && count < POLICIES_MAX && mu_simulate_name(list, count, rows[count].name, sizeof rows[count].name)) {
        for (uint32_t i = 0; i < seeds && code == 0; i++) {
            mu_progress_show(&bar, (uint64_t)count * seeds + i, 0, 1, (uint64_t)total * seeds);
            if (mu_sim_requests(s, rows[count].name, seed + i, &rows[count].run[i], &err) != MU_OK)
                code = mu_cli_usage(args, "--balance %s: %s", rows[count].name, err.text);
        }
        sum_up(&rows[count++], seeds);
    }
    mu_progress_close(&bar);
    if (code == 0)
        show(args, s, rows, count, seeds);
    free(rows);
    return code;
}

int mu_simulate_requests(const struct mu_args *args)
{
    const char *path = mu_args_get(args, "arrivals", NULL), *load = mu_args_get(args, "load", NULL);
    struct mu_sim_scenario s;
    struct trace trace = { 0 };
    uint64_t seed, seeds, milli;
    int code;

    if (!mu_simulate_number(args, "seed", 1, 0, UINT64_MAX, &seed) || !mu_simulate_number(args, "seeds", 4, 1, SEEDS_MAX, &seeds))
        return MU_EXIT_USAGE;
    code = read_scenario(args, &s);
    if (code == 0 && load != NULL) {
        if (!mu_parse_milli(mu_str_of(load), &milli) || milli == 0 || milli > 10000)
            return mu_cli_usage(args, "--load must be a number above 0, not \"%s\"", load);
        s.load = (double)milli / 1000;
    }
    if (code == 0 && path != NULL && (code = read_trace(path, &trace)) == 0) {
        s.gaps = trace.gaps;
        s.works = trace.works;
        s.trace = trace.count;
    }
    if (code == 0)
        code = compare(args, &s, seed, (uint32_t)seeds);
    free(trace.gaps);
    free(trace.works);
    return code;
}
