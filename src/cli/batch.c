/* cli/batch.c -- muster batch: one shell command a line, durable and resumable. */
#include "cli/follow.h"
#include "cli/verbs.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/map.h"
#include "io/files.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIRST_BYTES = 64 * 1024, PART_BYTES = 1024 * 1024, GATHER_MS = 50, LISTED_MAX = 20 };

/* Where a task's output waits for its turn, in the order of arrival. */
struct piece {
    uint64_t index, at;
    uint32_t size;
    bool is_err;
    uint32_t next; /* of the same task, 0 none */
};

struct batch {
    struct mu_cli *cli;
    const struct mu_args *args;
    uint64_t job;
    struct mu_buf text;           /* the lines sent so far, kept to name what failed */
    uint64_t sent_lines;
    bool all_sent;
    pthread_mutex_t lock;
    /* outcome */
    struct mu_progress bar;
    uint64_t done, failed;
    struct { uint64_t index; char why[64]; } listed[LISTED_MAX];
    /* --keep-order */
    bool ordered;
    uint64_t next;                /* the index whose turn it is */
    FILE *spool;
    uint64_t spooled;
    struct piece *pieces;
    uint32_t pieces_count, pieces_cap;
    struct mu_map heads, ended;   /* index -> first piece; index -> ended */
    struct mu_map before;         /* --resume: tasks that succeeded in an earlier run; not shown again */
};

static void put_out(struct batch *b, bool is_err, const void *bytes, size_t size)
{
    FILE *to = is_err ? stderr : stdout;

    mu_progress_clear(&b->bar);
    fwrite(bytes, 1, size, to);
}

static void spool(struct batch *b, uint64_t index, bool is_err, const void *bytes, size_t size)
{
    uint64_t *head = mu_map_find(&b->heads, index);
    uint32_t at = b->pieces_count, last;

    if (at == 0)
        at = b->pieces_count = 1; /* piece 0 means none */
    if (b->pieces_count == b->pieces_cap || b->pieces == NULL) {
        b->pieces_cap = b->pieces_cap ? b->pieces_cap * 2 : 256;
        b->pieces = realloc(b->pieces, b->pieces_cap * sizeof *b->pieces);
        MU_ASSERT(b->pieces != NULL);
    }
    b->pieces[at] = (struct piece){ .index = index, .at = b->spooled, .size = (uint32_t)size, .is_err = is_err };
    b->pieces_count++;
    fseeko(b->spool, (off_t)b->spooled, SEEK_SET);
    fwrite(bytes, 1, size, b->spool);
    b->spooled += size;
    if (head == NULL) {
        mu_map_put(&b->heads, index, at);
        return;
    }
    for (last = (uint32_t)*head; b->pieces[last].next != 0; last = b->pieces[last].next)
        ;
    b->pieces[last].next = at;
}

static void unspool(struct batch *b, uint64_t index)
{
    uint64_t *head = mu_map_find(&b->heads, index);
    char bytes[65536];

    for (uint32_t at = head != NULL ? (uint32_t)*head : 0; at != 0; at = b->pieces[at].next) {
        const struct piece *p = &b->pieces[at];
        fseeko(b->spool, (off_t)p->at, SEEK_SET);
        for (size_t left = p->size, n; left > 0; left -= n) {
            n = fread(bytes, 1, left < sizeof bytes ? left : sizeof bytes, b->spool);
            if (n == 0)
                break;
            put_out(b, p->is_err, bytes, n);
        }
    }
    mu_map_remove(&b->heads, index);
}

static void on_data(void *arg, uint64_t index, bool is_err, const void *bytes, size_t size)
{
    struct batch *b = arg;

    if (mu_map_find(&b->before, index) != NULL)
        return;
    if (b->ordered && index != b->next)
        spool(b, index, is_err, bytes, size);
    else
        put_out(b, is_err, bytes, size);
}

static void on_gone(void *arg, uint64_t index, bool is_err, const char *text)
{
    struct batch *b = arg;

    mu_progress_clear(&b->bar);
    mu_cli_say("%llu.%llu %s: %s", (unsigned long long)b->job, (unsigned long long)index, is_err ? "stderr" : "stdout", text);
}

static void note_failure(struct batch *b, uint64_t index, const json_t *end)
{
    const char *state = mu_answer_text(end, "state", ""), *reason = mu_answer_text(end, "reason", "");
    char *why;

    b->failed++;
    if (b->failed > LISTED_MAX)
        return;
    b->listed[b->failed - 1].index = index;
    why = b->listed[b->failed - 1].why;
    if (json_is_integer(json_object_get(end, "signal")))
        snprintf(why, 64, "signal %llu", (unsigned long long)mu_answer_u64(end, "signal"));
    else if (strcmp(reason, "no-start") == 0)
        snprintf(why, 64, "not started: %s", mu_answer_text(end, "error", ""));
    else if (json_is_integer(json_object_get(end, "exit_code")))
        snprintf(why, 64, "exit %llu", (unsigned long long)mu_answer_u64(end, "exit_code"));
    else
        snprintf(why, 64, "%s", reason[0] != '\0' ? reason : state);
}

static void on_end(void *arg, uint64_t index, const json_t *end)
{
    struct batch *b = arg;
    bool before = mu_map_find(&b->before, index) != NULL;

    b->done += !before;
    if (!before && strcmp(mu_answer_text(end, "state", ""), "succeeded") != 0)
        note_failure(b, index, end);
    if (b->ordered)
        mu_map_put(&b->ended, index, 1);
    while (b->ordered && mu_map_remove(&b->ended, b->next)) {
        b->next++;
        unspool(b, b->next);
    }
}

static void on_tick(void *arg)
{
    struct batch *b = arg;
    uint64_t total;

    pthread_mutex_lock(&b->lock);
    total = b->sent_lines;
    pthread_mutex_unlock(&b->lock);
    fflush(stdout);
    mu_progress_show(&b->bar, b->done, b->failed, 0, total);
}

/* -- sending -- */

/* Read what is there: up to max bytes, at least to the end of a line, waiting GATHER_MS for more. False at the end. */
static bool read_lines(int fd, struct mu_buf *b, size_t max, bool *end)
{
    while (b->size < max) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        ssize_t n;
        if (b->size > 0 && b->at[b->size - 1] == '\n' && poll(&p, 1, GATHER_MS) == 0)
            return true;
        n = read(fd, mu_buf_room(b, 65536), 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            *end = true;
            if (b->size > 0 && b->at[b->size - 1] != '\n')
                mu_buf_addc(b, '\n');
            return n == 0;
        }
        b->size += (size_t)n;
    }
    return true;
}

static uint64_t lines_in(const uint8_t *at, size_t size)
{
    uint64_t n = 0;

    for (size_t i = 0; i < size; i++)
        n += at[i] == '\n';
    return n;
}

/* Blank lines and whole-line comments are no commands. Works in place; returns the new size. */
static size_t drop_blank(uint8_t *at, size_t size)
{
    size_t out = 0;

    for (size_t i = 0, end; i < size; i = end) {
        const uint8_t *nl = memchr(at + i, '\n', size - i);
        size_t first = i;
        end = nl != NULL ? (size_t)(nl - at) + 1 : size;
        while (first < end && (at[first] == ' ' || at[first] == '\t' || at[first] == '\r'))
            first++;
        if (first + 1 >= end || at[first] == '#')
            continue;
        memmove(at + out, at + i, end - i);
        out += end - i;
    }
    return out;
}

static void note_sent(struct batch *b, const uint8_t *at, size_t size, bool last)
{
    pthread_mutex_lock(&b->lock);
    mu_buf_add(&b->text, at, size);
    b->sent_lines += lines_in(at, size);
    b->all_sent = last;
    pthread_mutex_unlock(&b->lock);
}

struct sender {
    struct batch *b;
    struct mu_cli cli; /* a connection of its own */
    int fd, code;
    struct mu_buf rest;
    bool end;
};

static int send_part(struct sender *s, const uint8_t *at, size_t size, bool last)
{
    char path[96];
    int code;

    snprintf(path, sizeof path, "/v1/jobs/%llu/tasks?from=%llu%s", (unsigned long long)s->b->job,
             (unsigned long long)s->b->sent_lines, last ? "&last=1" : "");
    code = mu_cli_call(&s->cli, "POST", path, "text/plain", (struct mu_str){ (const char *)at, (uint32_t)size });
    if (code == 0)
        note_sent(s->b, at, size, last);
    return code;
}

/* The next whole lines without blank ones, at most max bytes of input (or one line, if it is longer). They stay at the
 * front of rest; *out_used is how much input they were. */
static size_t next_lines(struct sender *s, size_t max, size_t *out_used)
{
    const uint8_t *nl;

    if (!s->end)
        read_lines(s->fd, &s->rest, max, &s->end);
    if (s->rest.size == 0) {
        *out_used = 0;
        return 0;
    }
    nl = s->rest.size > max ? memrchr(s->rest.at, '\n', max) : memrchr(s->rest.at, '\n', s->rest.size);
    if (nl == NULL)
        nl = memchr(s->rest.at, '\n', s->rest.size);
    *out_used = nl != NULL ? (size_t)(nl - s->rest.at) + 1 : 0;
    return drop_blank(s->rest.at, *out_used);
}

/* The rest of the input, while the main thread already reads results. */
static void *send_rest(void *arg)
{
    struct sender *s = arg;

    while (s->code == 0 && !s->b->all_sent) {
        size_t used, size = next_lines(s, PART_BYTES, &used);
        s->code = send_part(s, s->rest.at, size, s->end && used == s->rest.size);
        mu_buf_drop(&s->rest, used);
    }
    return NULL;
}

static json_t *spec_of(struct batch *b, const char *file, const uint8_t *lines, size_t size, bool all)
{
    json_t *spec = mu_cli_spec(b->args);
    const char *slash = strrchr(file, '/');

    if (spec == NULL)
        return NULL;
    json_object_set_new(spec, "lines", json_stringn((const char *)lines, size));
    if (json_object_get(spec, "lines") == NULL) {
        mu_cli_say("%s: the lines are not UTF-8 text", file);
        json_decref(spec);
        return NULL;
    }
    if (json_object_get(spec, "name") == NULL)
        json_object_set_new(spec, "name", json_string(strcmp(file, "-") == 0 ? "batch" : slash != NULL ? slash + 1 : file));
    if (!all)
        json_object_set_new(spec, "open", json_string("stream"));
    return spec;
}

/* -- resuming: a note of which job ran which lines in which folder -- */

static void note_path(const uint8_t *text, size_t size, char *path, size_t cap)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char *here = getcwd(NULL, 0), folder[3000];
    uint64_t h = mu_hash(text, size, 1);

    h = mu_hash(here != NULL ? here : "", here != NULL ? strlen(here) : 0, h);
    free(here);
    if (state != NULL && state[0] != '\0')
        snprintf(folder, sizeof folder, "%s/muster/batch", state);
    else
        snprintf(folder, sizeof folder, "%s/.local/state/muster/batch", home != NULL ? home : "/root");
    mu_dir_make(folder, 0700, NULL);
    snprintf(path, cap, "%s/%016llx", folder, (unsigned long long)h);
}

static bool cluster_of(struct mu_cli *cli, char *text, size_t cap)
{
    json_t *answer;

    if (mu_cli_get(cli, "/v1/cluster", &answer) != 0)
        return false;
    snprintf(text, cap, "%s", mu_answer_text(answer, "cluster", ""));
    json_decref(answer);
    return text[0] != '\0';
}

/* Without a note a later --resume runs all lines again: a pity, no error. */
static void write_note(struct batch *b)
{
    char path[4096], cluster[64], text[128];

    if (!b->all_sent || !cluster_of(b->cli, cluster, sizeof cluster))
        return;
    note_path(b->text.at, b->text.size, path, sizeof path);
    snprintf(text, sizeof text, "%s %llu\n", cluster, (unsigned long long)b->job);
    mu_file_write(path, text, strlen(text), 0600, NULL);
}

/* The job of an earlier run of the same lines here: 0 if there is none on this cluster. */
static uint64_t read_note(struct batch *b)
{
    char path[4096], cluster[64], noted[64] = "";
    struct mu_buf text = { 0 };
    unsigned long long job = 0;

    note_path(b->text.at, b->text.size, path, sizeof path);
    if (mu_file_read(path, 200, &text, NULL) == MU_OK && cluster_of(b->cli, cluster, sizeof cluster)) {
        mu_buf_addc(&text, '\0');
        if (sscanf((char *)text.at, "%63s %llu", noted, &job) != 2 || strcmp(noted, cluster) != 0)
            job = 0;
    }
    mu_buf_fini(&text);
    return job;
}

/* Which tasks have succeeded so far. */
static int read_succeeded(struct batch *b, uint64_t job)
{
    char path[120], after[40] = "";
    json_t *answer, *task;
    bool more = true;
    size_t i;

    while (more) {
        int code;
        snprintf(path, sizeof path, "/v1/jobs/%llu/tasks?state=succeeded&limit=1000%s", (unsigned long long)job, after);
        code = mu_cli_get(b->cli, path, &answer);
        if (code != 0)
            return code;
        json_array_foreach(json_object_get(answer, "tasks"), i, task)
            mu_map_put(&b->before, mu_answer_u64(task, "index"), 1);
        more = json_is_integer(json_object_get(answer, "next"));
        snprintf(after, sizeof after, "&after=%llu", (unsigned long long)mu_answer_u64(answer, "next"));
        json_decref(answer);
    }
    return 0;
}

/* Take up an earlier job: what failed runs again, what succeeded is not shown again. */
static int resume(struct batch *b, uint64_t job)
{
    char path[80];
    json_t *answer = NULL;
    const json_t *counts;
    uint64_t bad;
    int code = read_succeeded(b, job);

    snprintf(path, sizeof path, "/v1/jobs/%llu", (unsigned long long)job);
    if (code != 0 || (code = mu_cli_get(b->cli, path, &answer)) != 0)
        return code;
    counts = json_object_get(answer, "counts");
    bad = mu_answer_u64(counts, "failed") + mu_answer_u64(counts, "cancelled") + mu_answer_u64(counts, "lost");
    b->done = b->before.count;
    b->job = job;
    b->all_sent = true;
    b->sent_lines = mu_answer_u64(answer, "tasks");
    mu_cli_say("job %llu: %llu of %llu have succeeded before", (unsigned long long)job, (unsigned long long)b->done,
               (unsigned long long)b->sent_lines);
    json_decref(answer);
    if (bad == 0)
        return 0;
    snprintf(path, sizeof path, "/v1/jobs/%llu/retry", (unsigned long long)job);
    return mu_cli_post(b->cli, path, NULL, NULL);
}

/* -- the end -- */

static void name_line(struct batch *b, uint64_t index, const char *why)
{
    const uint8_t *at = b->text.at, *end = at + b->text.size;

    for (uint64_t i = 0; i < index && at < end; i++) {
        const uint8_t *nl = memchr(at, '\n', (size_t)(end - at));
        at = nl != NULL ? nl + 1 : end;
    }
    fprintf(stderr, "  %llu.%llu %s: %.*s\n", (unsigned long long)b->job, (unsigned long long)index, why,
            at < end ? (int)((const uint8_t *)memchr(at, '\n', (size_t)(end - at)) - at) : 0, (const char *)at);
}

static int summary(struct batch *b, const json_t *job)
{
    const json_t *counts = json_object_get(job, "counts");
    uint64_t total = mu_answer_u64(job, "tasks"), good = mu_answer_u64(counts, "succeeded");

    if (good == total)
        return MU_EXIT_OK;
    mu_cli_say("job %llu: %llu of %llu did not succeed", (unsigned long long)b->job, (unsigned long long)(total - good), (unsigned long long)total);
    for (uint64_t i = 0; i < b->failed && i < LISTED_MAX; i++)
        name_line(b, b->listed[i].index, b->listed[i].why);
    if (b->failed > LISTED_MAX)
        fprintf(stderr, "  ... and %llu more: muster tasks %llu --state failed\n", (unsigned long long)(b->failed - LISTED_MAX), (unsigned long long)b->job);
    return MU_EXIT_FAILED;
}

static int follow(struct batch *b)
{
    struct mu_follow f = { .arg = b, .on_data = on_data, .on_gone = on_gone, .on_end = on_end, .on_tick = on_tick };
    char path[80];
    int code;

    mu_progress_open(&b->bar);
    mu_cli_catch_interrupt();
    code = mu_cli_follow(b->cli, b->job, &f);
    mu_progress_close(&b->bar);
    for (uint64_t i = b->next; b->heads.count > 0 && i < b->sent_lines; i++)
        unspool(b, i); /* a task before these never ended: it was cancelled */
    if (b->cli->interrupted) {
        snprintf(path, sizeof path, "/v1/jobs/%llu/cancel", (unsigned long long)b->job);
        mu_cli_post(b->cli, path, NULL, NULL);
        mu_cli_say("job %llu is cancelled; the same with --resume runs what has not succeeded", (unsigned long long)b->job);
        code = 128 + SIGINT;
    } else if (code == 0) {
        if (b->cli->json)
            mu_answer_line(f.job);
        code = summary(b, f.job);
    }
    mu_follow_fini(&f);
    return code;
}

/* Submit the first lines; whether there are more shows in b->all_sent. */
static int submit(struct batch *b, struct sender *s, const char *file)
{
    size_t used, size = next_lines(s, FIRST_BYTES, &used);
    bool all;
    json_t *spec;
    int code;

    while (size == 0 && (used > 0 || !s->end)) { /* only blank lines so far */
        mu_buf_drop(&s->rest, used);
        size = next_lines(s, FIRST_BYTES, &used);
    }
    if (size == 0) {
        mu_cli_say("%s: there are no commands", strcmp(file, "-") == 0 ? "standard input" : file);
        return MU_EXIT_USAGE;
    }
    all = s->end && used == s->rest.size;
    spec = spec_of(b, file, s->rest.at, size, all);
    if (spec == NULL)
        return MU_EXIT_USAGE;
    code = mu_cli_submit(b->cli, spec, NULL, (struct mu_str){ 0 }, &b->job);
    json_decref(spec);
    if (code == 0)
        note_sent(b, s->rest.at, size, all);
    mu_buf_drop(&s->rest, used);
    return code;
}

/* Read all of the input and look for the job that ran it before. */
static int find_earlier(struct batch *b, struct sender *s, bool *out_found)
{
    uint64_t job;
    int code = 0;

    while (!s->end)
        read_lines(s->fd, &s->rest, SIZE_MAX, &s->end);
    s->rest.size = drop_blank(s->rest.at, s->rest.size);
    mu_buf_add(&b->text, s->rest.at, s->rest.size);
    job = read_note(b);
    *out_found = job != 0;
    if (job != 0)
        code = resume(b, job);
    else
        mu_buf_clear(&b->text);
    return code;
}

static int send_and_follow(struct batch *b, struct sender *s, const char *file)
{
    pthread_t thread;
    bool found = false, more;
    int code = mu_args_has(b->args, "resume") ? find_earlier(b, s, &found) : 0;

    if (code == 0 && !found)
        code = submit(b, s, file);
    if (code != 0)
        return code;
    more = !b->all_sent;
    if (more && (mu_cli_open(&s->cli, b->args) != 0 || pthread_create(&thread, NULL, send_rest, s) != 0))
        return MU_EXIT_FAILED;
    if (!more)
        write_note(b);
    code = follow(b);
    if (more) {
        pthread_join(thread, NULL);
        mu_cli_close(&s->cli);
        code = s->code != 0 && code == 0 ? s->code : code;
        write_note(b);
    }
    return code;
}

static int run_batch(const struct mu_args *args)
{
    const char *file = args->words_count > 0 ? args->words[0] : "-";
    struct mu_cli cli;
    struct batch b = { .cli = &cli, .args = args, .ordered = mu_args_has(args, "keep-order"), .lock = PTHREAD_MUTEX_INITIALIZER };
    struct sender s = { .b = &b };
    int code;

    s.fd = strcmp(file, "-") == 0 ? 0 : open(file, O_RDONLY | O_CLOEXEC);
    if (s.fd < 0) {
        mu_cli_say("%s: %s", file, strerror(errno));
        return MU_EXIT_USAGE;
    }
    if ((code = mu_cli_open(&cli, args)) != 0)
        return code;
    b.spool = b.ordered ? tmpfile() : NULL;
    if (b.ordered && b.spool == NULL) {
        mu_cli_say("--keep-order: no temporary file: %s", strerror(errno));
        code = MU_EXIT_FAILED;
    } else {
        code = send_and_follow(&b, &s, file);
    }
    if (fflush(stdout) != 0 && code == 0)
        code = MU_EXIT_FAILED;
    if (b.spool != NULL)
        fclose(b.spool);
    free(b.pieces);
    mu_map_fini(&b.heads);
    mu_map_fini(&b.ended);
    mu_map_fini(&b.before);
    mu_buf_fini(&b.text);
    mu_buf_fini(&s.rest);
    mu_cli_close(&cli);
    return code;
}

static const struct mu_option batch_options[] = {
    { "resume", NULL, "run only what has not succeeded in an earlier run of the same lines here", 0, false },
    { "keep-order", NULL, "print outputs in the order of the lines", 'k', false },
};
const struct mu_command mu_cli_batch = {
    .name = "batch", .args = "[FILE|-]", .summary = "run one shell command a line; wait; list what failed",
    .about = "Blank lines and lines that start with # are passed over. A line that needs no shell is run without one.\n"
             "The job is durable: it goes on when this program, the server or a node dies. Ctrl-C cancels it.",
    .args_max = 1, .tables = { MU_OPTIONS("options", batch_options), MU_CLI_JOB_TABLE, MU_CLI_TABLE }, .run = run_batch,
};
