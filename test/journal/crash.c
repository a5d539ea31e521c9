/* Death and a failing disk: whatever was acknowledged is there afterwards, and nothing is there twice or half. */
#include "journal/child.h"
#include "journal/conformance.h"

#include "base/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILLS = 20 };

/* Open what a process left behind: good, and as far as it had promised. */
static void check_left(struct rig *r, const struct child *c, const char *what)
{
    struct peer p;

    peer_init(&p, &r->host, r->digests);
    p.filled = true;
    if (peer_open(&p, r->url, &r->opt) != MU_OK || !peer_catch_up(&p, RIG_LIMIT_MS))
        fail_msg("%s: %s", what, p.err.text);
    if (p.tail < c->last_ack)
        fail_msg("%s: %llu was acknowledged, %llu is the last", what, (unsigned long long)c->last_ack,
                 (unsigned long long)p.tail);
    if (!peer_lead(&p, RIG_LIMIT_MS) || !peer_fill(&p, 2, 100, RIG_LIMIT_MS)) /* and it goes on */
        fail_msg("%s: no further: %s", what, p.err.text);
    peer_close(&p);
}

void c5_c11_killed_at_any_moment_nothing_acknowledged_is_lost(void **state)
{
    struct rig r;
    struct mu_rng rng;

    rig_init(&r, *state);
    mu_rng_seed(&rng, 11);
    for (int i = 0; i < KILLS; i++) {
        struct child c;
        uint64_t first;
        child_start(&c, "endless", r.url, false, NULL);
        child_read(&c, 1);
        first = c.last_ack;
        child_read(&c, first + mu_rng_below(&rng, 1500));
        kill(c.pid, SIGKILL);
        assert_int_equal(child_end(&c), 128 + SIGKILL);
        check_left(&r, &c, "after kill -9");
    }
    rig_fini(&r);
}

/* A crash of the memory backend's handle after any number of turns. */
void c11_crashed_between_any_two_turns_nothing_acknowledged_is_lost(void **state)
{
    for (unsigned turns = 1; turns < 200; turns += 1 + turns / 20) {
        struct rig r;
        struct peer p, q;
        rig_init(&r, *state);
        rig_lead(&r, &p);
        p.pad = 2 << 20;
        for (int i = 0; i < 8; i++)
            peer_append(&p, "abc", 3);
        mu_journal_snapshot(p.j);
        for (unsigned i = 0; i < turns; i++) {
            host_turn(&r.host, 1);
            peer_append(&p, "abcd", 4);
        }
        peer_crash(&p);
        rig_lead(&r, &q);
        assert_true(q.tail >= p.ends[MU_JOURNAL_OK]);
        assert_true(peer_fill(&q, 10, 10, RIG_LIMIT_MS));
        rig_check_replay(&r, &q);
        peer_close(&q);
        rig_fini(&r);
    }
}

struct fault {
    const char *what, *kind;
    bool on;         /* that call and all after it */
    bool stops;      /* nothing may be acknowledged that was appended after it */
    unsigned stride; /* every so many calls; JOURNAL_THOROUGH: every one, JOURNAL_QUICK: a quarter of these */
};

static int run_with_fault(struct rig *r, struct child *c, const struct fault *f, unsigned at, const char *count)
{
    char set[6][PATH_MAX + 32];
    const char *env[9] = { set[0], set[1], set[2], set[3], set[4], set[5] };
    unsigned n = 6;

    snprintf(set[0], sizeof set[0], "FAULTS_FOLDER=%s", r->folder);
    snprintf(set[1], sizeof set[1], "FAULTS_WHAT=%s", f->what);
    snprintf(set[2], sizeof set[2], "FAULTS_KIND=%s", f->kind);
    snprintf(set[3], sizeof set[3], "FAULTS_AT=%u", at);
    snprintf(set[4], sizeof set[4], "FAULTS_SEED=%u", at);
    snprintf(set[5], sizeof set[5], "FAULTS_COUNT=%s", count);
    if (f->on)
        env[n++] = "FAULTS_ON=1";
    if (f->stops)
        env[n++] = "FAULTS_STOPS=1";
    child_start(c, "short", r->url, true, env);
    return child_end(c);
}

/* How many calls of a kind the scenario makes when nothing goes wrong. */
static unsigned count_calls(const struct row *row, const struct fault *f)
{
    struct rig r;
    struct child c;
    char name[PATH_MAX];
    unsigned calls = 0;
    FILE *file;

    rig_init(&r, row);
    snprintf(name, sizeof name, "%s.count", r.folder);
    assert_int_equal(run_with_fault(&r, &c, f, 0, name), CHILD_DONE);
    assert_int_equal(c.last_ack, 12);
    file = fopen(name, "r");
    assert_true(file != NULL && fscanf(file, "%u", &calls) == 1 && calls > 10);
    fclose(file);
    unlink(name);
    check_left(&r, &c, "without faults");
    rig_fini(&r);
    return calls;
}

static unsigned stride_of(const struct fault *f)
{
    if (getenv("JOURNAL_THOROUGH") != NULL)
        return 1;
    return getenv("JOURNAL_QUICK") != NULL ? f->stride * 4 : f->stride;
}

/* The k-th call goes wrong, for every k. */
static void every_call(const struct row *row, const struct fault *f)
{
    unsigned calls, stride = stride_of(f), stopped = 0;

    if (!child_has_faults()) {
        print_message("%s: no preload helper\n", row->name);
        skip();
    }
    calls = count_calls(row, f);
    for (unsigned k = 1; k <= calls; k += stride) {
        struct rig r;
        struct child c;
        char text[96];
        int end;
        rig_init(&r, row);
        snprintf(text, sizeof text, "%s at %s call %u of %u", f->what, f->kind, k, calls);
        end = run_with_fault(&r, &c, f, k, "/dev/null");
        if (end != CHILD_DONE && end != CHILD_FATAL && end != CHILD_REFUSED && end != 128 + SIGKILL)
            fail_msg("%s: the child ended with %d", text, end);
        if (strcmp(f->what, "ENOSPC") == 0 && end == CHILD_FATAL && c.last_ack > 0)
            fail_msg("%s: a full disk ended the process", text);
        if (end == CHILD_DONE && !f->on && c.last_ack != 12)
            fail_msg("%s: only %llu of 12 done", text, (unsigned long long)c.last_ack);
        stopped += end != CHILD_DONE;
        check_left(&r, &c, text);
        rig_fini(&r);
    }
    print_message("%s (%s): %u of %u calls, %u ended the process\n", f->what, f->kind, (calls + stride - 1) / stride, calls,
                  stopped);
    if (strcmp(f->what, "EINTR") != 0 && strcmp(f->what, "SHORT") != 0 && strcmp(f->what, "ENOSPC") != 0)
        assert_true(stopped > calls / stride / 2);
}

void c11_killed_at_any_write_or_sync(void **state)
{
    every_call(*state, &(struct fault){ .what = "KILL", .kind = "any", .stride = 4 });
    every_call(*state, &(struct fault){ .what = "TORN", .kind = "write", .stride = 4 });
}

void c11_power_cut_at_any_write_or_sync(void **state)
{
    every_call(*state, &(struct fault){ .what = "POWER", .kind = "any", .stride = 2 });
}

void c15_the_storage_fails_at_any_write(void **state)
{
    every_call(*state, &(struct fault){ .what = "EIO", .kind = "write", .stops = true, .stride = 2 });
    every_call(*state, &(struct fault){ .what = "SHORT", .kind = "write", .stride = 8 });
    every_call(*state, &(struct fault){ .what = "EINTR", .kind = "write", .stride = 8 });
}

void c15_the_storage_fails_at_any_sync(void **state)
{
    every_call(*state, &(struct fault){ .what = "EIO", .kind = "sync", .stops = true, .stride = 1 });
}

void c13_space_ends_at_any_write(void **state)
{
    every_call(*state, &(struct fault){ .what = "ENOSPC", .kind = "write", .stride = 5 });
    every_call(*state, &(struct fault){ .what = "ENOSPC", .kind = "write", .on = true, .stride = 5 });
}

/* -- a disk that is really full -- */

static void use_up(const char *name)
{
    static const char block[4096];
    int fd = open(name, O_CREAT | O_WRONLY, 0600);

    assert_true(fd >= 0);
    while (write(fd, block, sizeof block) > 0)
        ;
    close(fd);
}

/* On a small file system of our own, in a name space of our own. */
static int full_disk_child(const struct row *row)
{
    struct rig r;
    struct peer p;
    char filler[PATH_MAX];
    uint64_t epoch, ok;

    rig_init(&r, row);
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", r.folder, "tmpfs", 0, "size=4m") != 0) {
        rig_fini(&r);
        return 77;
    }
    rig_lead(&r, &p);
    epoch = p.epoch;
    assert_true(peer_fill(&p, 100, 1000, RIG_LIMIT_MS));
    snprintf(filler, sizeof filler, "%s/filler", r.folder);
    use_up(filler);
    while (p.ends[MU_JOURNAL_FULL] == 0) /* what the log has room for still goes in */
        peer_fill(&p, 8, 20000, RIG_LIMIT_MS);
    ok = p.ends[MU_JOURNAL_OK];
    assert_false(p.fatal);
    assert_true(p.leading && p.epoch == epoch);
    assert_false(peer_save(&p, RIG_LIMIT_MS)); /* no room for that either, and no harm */
    assert_false(p.fatal);
    unlink(filler);
    assert_true(peer_fill(&p, 20, 1000, RIG_LIMIT_MS));
    assert_true(peer_save(&p, RIG_LIMIT_MS));
    assert_int_equal(p.epoch, epoch);
    assert_true(p.ends[MU_JOURNAL_OK] == ok + 20 && p.tail == p.ends[MU_JOURNAL_OK]);
    peer_close(&p);
    rig_check_replay(&r, &p);
    umount(r.folder);
    rig_fini(&r);
    return 0;
}

void c13_a_full_disk_refuses_and_goes_on(void **state)
{
    const struct row *row = *state;
    int status = 0;
    pid_t pid;

    pid = fork();
    if (pid == 0)
        _exit(full_disk_child(row));
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("%s: no right to mount\n", row->name);
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

void c13_a_full_store_refuses_and_goes_on(void **state)
{
    struct rig r;
    struct peer p;

    rig_init(&r, *state);
    rig_lead(&r, &p);
    assert_true(peer_fill(&p, 10, 100, RIG_LIMIT_MS));
    mu_memory_quota_set(r.memory, "x", mu_memory_used(r.memory, "x") + 500); /* room for one of five */
    for (int i = 0; i < 5; i++)
        assert_int_equal(peer_append(&p, "0123456789", 10), MU_JOURNAL_OK);
    assert_true(peer_quiet(&p, RIG_LIMIT_MS));
    assert_int_equal(p.ends[MU_JOURNAL_FULL] + p.ends[MU_JOURNAL_OK], 15);
    assert_true(p.ends[MU_JOURNAL_FULL] > 0 && p.leading);
    assert_false(peer_save(&p, RIG_LIMIT_MS));
    mu_memory_quota_set(r.memory, "x", 0);
    assert_true(peer_fill(&p, 10, 100, RIG_LIMIT_MS));
    assert_int_equal(p.leads, 1);
    assert_true(peer_save(&p, RIG_LIMIT_MS));
    peer_close(&p);
    rig_check_replay(&r, &p);
    rig_fini(&r);
}
