#include "journal/child.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SHORT_RECORDS = 6, SHORT_BYTES = 5000, ENDLESS_BATCH = 200, FULL_TRIES = 3, GIVE_UP_MS = 3000 };

/* -- in the child -- */

struct self {
    struct host host;
    struct peer p;
    const long *hits, *seen; /* the helper's counts; NULL without it */
    const char *file;
    long (*dirty)(const char *ending);
    long hits_at_append;
    bool one_out; /* a single append at a time: what is acknowledged is synced, and nothing else is under way */
};

static struct self *self_of(struct peer *p)
{
    return MU_CONTAINER(p, struct self, p);
}

static void wrong(const char *why)
{
    fprintf(stderr, "child: %s\n", why);
    _exit(CHILD_WRONG);
}

static void told(struct peer *p, uint64_t seq)
{
    struct self *s = self_of(p);

    if (s->one_out && s->dirty != NULL && s->dirty("-wal") != 0)
        wrong("acknowledged before it was synced");
    if (s->one_out && s->hits != NULL && s->hits_at_append > 0 && getenv("FAULTS_STOPS") != NULL)
        wrong("acknowledged after the storage had failed");
    if (write(STDOUT_FILENO, &seq, sizeof seq) != (ssize_t)sizeof seq)
        _exit(CHILD_WRONG);
}

/* Close all, so that what is not given back is seen as a leak. */
static int end(struct self *s, enum child_exit how)
{
    if (how != CHILD_DONE)
        fprintf(stderr, "child: %s\n", s->p.err.text);
    peer_close(&s->p);
    host_run(&s->host, 0);
    host_fini(&s->host);
    free(s);
    return how;
}

static void end_if_fatal(struct self *s)
{
    if (s->p.fatal)
        exit(end(s, CHILD_FATAL));
}

/* Hits on what need not survive (the lock file's text) stop nothing. */
static long hits_that_stop(const struct self *s)
{
    return s->hits == NULL || (strstr(s->file, "-wal") == NULL && strstr(s->file, "marker") == NULL) ? 0 : *s->hits;
}

static void fill_one(struct self *s)
{
    for (int i = 0; i < FULL_TRIES; i++) {
        s->hits_at_append = hits_that_stop(s);
        uint64_t ok = s->p.ends[MU_JOURNAL_OK];
        peer_fill(&s->p, 1, SHORT_BYTES, GIVE_UP_MS);
        end_if_fatal(s);
        if (s->p.ends[MU_JOURNAL_OK] > ok)
            return;
    }
}

static void run_short(struct self *s)
{
    s->one_out = true;
    for (int i = 0; i < SHORT_RECORDS; i++)
        fill_one(s);
    s->p.pad = 30000;
    peer_save(&s->p, GIVE_UP_MS);
    end_if_fatal(s);
    for (int i = 0; i < SHORT_RECORDS; i++)
        fill_one(s);
}

static void run_endless(struct self *s)
{
    for (unsigned i = 0;; i++) {
        peer_fill(&s->p, ENDLESS_BATCH, i % 2 == 0 ? 100 : 5000, GIVE_UP_MS);
        end_if_fatal(s);
        s->p.pad = (uint64_t)(i % 3) << 20;
        mu_journal_snapshot(s->p.j);
    }
}

int child_main(int argc, char **argv)
{
    struct self *s = calloc(1, sizeof *s);

    if (argc < 2 || s == NULL)
        return CHILD_REFUSED;
    s->hits = dlsym(RTLD_DEFAULT, "mu_faults_hit");
    s->file = dlsym(RTLD_DEFAULT, "mu_faults_file");
    *(void **)&s->dirty = dlsym(RTLD_DEFAULT, "mu_faults_dirty");
    host_init(&s->host, true);
    peer_init(&s->p, &s->host, NULL);
    s->p.told = told;
    s->p.filled = true;
    if (peer_open(&s->p, argv[1], &(struct mu_journal_options){ 0 }) != MU_OK || !peer_lead(&s->p, GIVE_UP_MS))
        return end(s, CHILD_REFUSED);
    if (strcmp(argv[0], "short") == 0)
        run_short(s);
    else
        run_endless(s);
    return end(s, CHILD_DONE);
}

/* -- in the parent -- */

bool child_has_faults(void)
{
    const char *path = getenv("JOURNAL_FAULTS");

    return path != NULL && access(path, R_OK) == 0;
}

void child_start(struct child *c, const char *what, const char *url, bool faults, const char *const *env)
{
    int ends[2];

    *c = (struct child){ 0 };
    if (pipe2(ends, O_CLOEXEC) != 0)
        fail_msg("pipe: %s", strerror(errno));
    c->pid = fork();
    if (c->pid < 0)
        fail_msg("fork: %s", strerror(errno));
    if (c->pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        if (!getenv("JOURNAL_VERBOSE"))
            dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        if (faults) {
            setenv("LD_PRELOAD", getenv("JOURNAL_FAULTS"), 1);
            setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
        }
        for (; env != NULL && *env != NULL; env++)
            putenv((char *)*env);
        execl("/proc/self/exe", "journal-child", "--child", what, url, (char *)NULL);
        _exit(CHILD_REFUSED);
    }
    close(ends[1]);
    c->acks = ends[0];
}

void child_read(struct child *c, uint64_t until)
{
    uint64_t seq;

    while (c->last_ack < until && read(c->acks, &seq, sizeof seq) == (ssize_t)sizeof seq)
        c->last_ack = seq;
}

int child_end(struct child *c)
{
    int status = 0;

    child_read(c, UINT64_MAX);
    close(c->acks);
    if (waitpid(c->pid, &status, 0) != c->pid)
        fail_msg("waitpid: %s", strerror(errno));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
