/* bench-journal: durable appends a second and their latency over sqlite, beside a bare write + fdatasync loop on the same
 * disk in the same run; then how fast a snapshot and records come back. Arguments: folder (default .), seconds a case. */
#include "base/hist.h"
#include "io/loop.h"
#include "journal/journal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SNAPSHOT_BYTES = 110 << 20, REPLAY_RECORDS = 20000, RECORD_BYTES = 4096 };

struct run {
    struct mu_loop *loop;
    struct mu_journal *j;
    uint64_t epoch, next, sent_ns[64], count, loaded, commits;
    unsigned out;
    const uint8_t *bytes;
    struct mu_hist us;
    bool leading, caught_up, saved;
    uint64_t save_left;
};

static void on_commit(void *arg, uint64_t seq, uint64_t epoch, const void *bytes, size_t size)
{
    struct run *r = arg;

    (void)epoch, (void)bytes, (void)size;
    r->next = seq + 1;
    r->commits++;
}

static void on_lead(void *arg, uint64_t epoch, uint64_t next_seq)
{
    struct run *r = arg;

    r->leading = true;
    r->epoch = epoch;
    r->next = next_seq;
}

static void on_lost(void *arg, uint64_t epoch, enum mu_journal_end why)
{
    (void)arg, (void)epoch;
    MU_ASSERT(why == MU_JOURNAL_CLOSED); /* nobody else is there to take the lead */
}

static void on_fatal(void *arg, enum mu_journal_end why, const struct mu_err *err)
{
    (void)arg, (void)why;
    fprintf(stderr, "%s\n", err->text);
    exit(1);
}

static void on_caught_up(void *arg, uint64_t seq)
{
    (void)seq;
    ((struct run *)arg)->caught_up = true;
}

static void load_begin(void *arg, uint64_t upto, uint64_t bytes)
{
    (void)arg, (void)upto, (void)bytes;
}

static bool load_chunk(void *arg, const void *bytes, size_t size)
{
    (void)bytes;
    ((struct run *)arg)->loaded += size;
    return true;
}

static void load_end(void *arg, bool good)
{
    (void)arg;
    MU_ASSERT(good);
}

static bool save_open(void *arg, uint64_t *upto, uint64_t *bytes, void **image)
{
    struct run *r = arg;

    *upto = r->next - 1;
    *bytes = r->save_left = SNAPSHOT_BYTES;
    *image = NULL;
    return true;
}

static size_t save_read(void *arg, void *image, void *buf, size_t cap)
{
    struct run *r = arg;
    size_t n = cap < r->save_left ? cap : r->save_left;

    (void)image;
    memset(buf, (int)(r->save_left >> 20), n);
    r->save_left -= n;
    return n;
}

static void save_close(void *arg, void *image, bool stored)
{
    (void)image;
    MU_ASSERT(stored);
    ((struct run *)arg)->saved = true;
}

static void run_open(struct run *r, const char *folder)
{
    struct mu_err err;
    char url[512];

    if (mu_loop_open(&r->loop, &err) != MU_OK)
        exit(1);
    const struct mu_journal_host host = { .arg = r->loop, .boot_ns = mu_loop_boot_ns, .post = mu_loop_post,
                                          .after = mu_loop_after, .cancel = mu_loop_cancel, .random = mu_loop_random };
    const struct mu_journal_user user = { .arg = r, .on_commit = on_commit, .on_lead = on_lead, .on_lost = on_lost,
                                          .on_fatal = on_fatal, .on_caught_up = on_caught_up, .load_begin = load_begin,
                                          .load_chunk = load_chunk, .load_end = load_end, .save_open = save_open,
                                          .save_read = save_read, .save_close = save_close };
    snprintf(url, sizeof url, "sqlite:%s/bench-journal.db", folder);
    if (mu_journal_open(&r->j, url, &(struct mu_journal_options){ .host = &host }, &user, &err) != MU_OK) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

static void run_close(struct run *r)
{
    mu_journal_close(r->j);
    mu_loop_close(r->loop);
}

static void on_done(void *arg, uint64_t seq, enum mu_journal_end end)
{
    struct run *r = arg;

    MU_ASSERT(end == MU_JOURNAL_OK);
    mu_hist_add(&r->us, (mu_boot_ns() - r->sent_ns[seq % 64]) / 1000);
    r->out--;
    r->count++;
}

/* Processor time of all threads: unlike the rest it does not depend on what else runs here. */
static double cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Keep `inflight` appends out until the time is over. */
static void append_case(struct run *r, size_t size, unsigned inflight, uint64_t for_ns)
{
    uint64_t seq = r->next, begin = mu_boot_ns();

    r->us = (struct mu_hist){ 0 };
    r->count = 0;
    while (mu_boot_ns() - begin < for_ns || r->out > 0) {
        while (r->out < inflight && mu_boot_ns() - begin < for_ns) {
            r->sent_ns[seq % 64] = mu_boot_ns();
            enum mu_journal_end end = mu_journal_append(r->j, r->epoch, seq, r->bytes, size, on_done, r);
            MU_ASSERT(end == MU_JOURNAL_OK);
            r->out++;
            seq++;
        }
        mu_loop_turn(r->loop, 1000);
    }
}

/* What the disk gives with nothing of ours in between: one write at the end of a file, one sync. */
static double bare(const char *folder, const uint8_t *bytes, size_t size, uint64_t for_ns, struct mu_hist *us)
{
    char name[512];
    int fd;
    uint64_t begin = mu_boot_ns(), count = 0;

    snprintf(name, sizeof name, "%s/bench-bare", folder);
    fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    MU_ASSERT(fd >= 0);
    *us = (struct mu_hist){ 0 };
    while (mu_boot_ns() - begin < for_ns) {
        uint64_t at = mu_boot_ns();
        MU_ASSERT(write(fd, bytes, size) == (ssize_t)size && fdatasync(fd) == 0);
        mu_hist_add(us, (mu_boot_ns() - at) / 1000);
        count++;
    }
    close(fd);
    unlink(name);
    return (double)count * 1e9 / (double)(mu_boot_ns() - begin);
}

static void lead(struct run *r, const char *folder)
{
    run_open(r, folder);
    mu_journal_campaign(r->j);
    while (!r->leading)
        mu_loop_turn(r->loop, 1000);
}

static void appends(const char *folder, uint64_t for_ns)
{
    static const size_t sizes[] = { 4096, 65536 };
    static const unsigned inflights[] = { 1, 8 };
    static uint8_t bytes[65536];
    struct run r = { .bytes = bytes };

    lead(&r, folder);
    printf("%-28s %10s %8s %8s %8s %8s\n", "durable appends (sqlite)", "per s", "p50 us", "p99 us", "cpu us", "ratio");
    for (size_t i = 0; i < MU_COUNT(sizes); i++) {
        struct mu_hist us;
        double cpu = cpu_us(), base = bare(folder, bytes, sizes[i], for_ns, &us);
        printf("bare fdatasync, %3zu KiB      %10.0f %8llu %8llu %8.1f %8.2f\n", sizes[i] / 1024, base,
               (unsigned long long)mu_hist_quantile(&us, 0.5), (unsigned long long)mu_hist_quantile(&us, 0.99),
               (cpu_us() - cpu) / (double)us.count, 1.0);
        for (size_t k = 0; k < MU_COUNT(inflights); k++) {
            uint64_t begin = mu_boot_ns();
            cpu = cpu_us();
            append_case(&r, sizes[i], inflights[k], for_ns);
            double rate = (double)r.count * 1e9 / (double)(mu_boot_ns() - begin);
            printf("journal, %3zu KiB, %u in flight %10.0f %8llu %8llu %8.1f %8.2f\n", sizes[i] / 1024, inflights[k],
                   rate, (unsigned long long)mu_hist_quantile(&r.us, 0.5),
                   (unsigned long long)mu_hist_quantile(&r.us, 0.99), (cpu_us() - cpu) / (double)r.count, rate / base);
        }
    }
    run_close(&r);
}

static void timed_open(const char *folder, const char *what)
{
    struct run r = { 0 };
    uint64_t begin = mu_boot_ns();
    double cpu = cpu_us(), s;

    run_open(&r, folder);
    while (!r.caught_up)
        mu_loop_turn(r.loop, 1000);
    s = (double)(mu_boot_ns() - begin) / 1e9;
    printf("open %-24s %.3f s, cpu %.3f s, %.0f MB/s\n", what, s, (cpu_us() - cpu) / 1e6,
           ((double)r.loaded + (double)r.commits * RECORD_BYTES) / s / 1e6);
    run_close(&r);
}

/* Save and load of an image as large as a million waiting tasks have, then records on top of it. */
static void comes_back(const char *folder)
{
    static uint8_t bytes[RECORD_BYTES];
    struct run r = { .bytes = bytes };
    uint64_t begin;
    double cpu;

    lead(&r, folder);
    begin = mu_boot_ns();
    cpu = cpu_us();
    mu_journal_snapshot(r.j);
    while (!r.saved)
        mu_loop_turn(r.loop, 1000);
    printf("snapshot of %d MiB stored, read back, trimmed: %.2f s, cpu %.2f s\n", SNAPSHOT_BYTES >> 20,
           (double)(mu_boot_ns() - begin) / 1e9, (cpu_us() - cpu) / 1e6);
    run_close(&r);
    timed_open(folder, "110 MiB of snapshot");
    r = (struct run){ .bytes = bytes };
    lead(&r, folder);
    for (uint64_t seq = r.next, end = seq + REPLAY_RECORDS; seq < end;) {
        r.sent_ns[seq % 64] = mu_boot_ns();
        if (mu_journal_append(r.j, r.epoch, seq, bytes, sizeof bytes, on_done, &r) == MU_JOURNAL_OK) {
            r.out++;
            seq++;
        } else
            mu_loop_turn(r.loop, 1000);
    }
    while (r.out > 0)
        mu_loop_turn(r.loop, 1000);
    run_close(&r);
    timed_open(folder, "+ 20000 records of 4 KiB");
}

int main(int argc, char **argv)
{
    char folder[256];
    uint64_t for_ns = 1000000000;

    snprintf(folder, sizeof folder, "%s/bench-journal-XXXXXX", argc > 1 ? argv[1] : ".");
    if (argc > 2)
        for_ns = (uint64_t)(strtod(argv[2], NULL) * 1e9);
    if (mkdtemp(folder) == NULL) {
        perror(folder);
        return 1;
    }
    appends(folder, for_ns);
    comes_back(folder);
    static const char *const names[] = { "", "-wal", "-shm", ".lock", ".marker" };
    for (size_t i = 0; i < MU_COUNT(names); i++) {
        char name[512];
        snprintf(name, sizeof name, "%s/bench-journal.db%s", folder, names[i]);
        unlink(name);
    }
    return rmdir(folder);
}
