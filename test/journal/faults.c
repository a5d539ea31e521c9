/* Preload helper: lets the k-th call that changes a file of one folder go wrong, or cuts the power there.
 *
 *   FAULTS_FOLDER  only files below it count
 *   FAULTS_AT      which call, from 1 (0: none, only count)
 *   FAULTS_WHAT    EIO ENOSPC EINTR: the call fails; SHORT: half of a write; KILL: the process ends before the call;
 *                  TORN: after half of it; POWER: before it, and of what was not synced some writes are lost
 *   FAULTS_KIND    write, sync, or any (default)
 *   FAULTS_ON      1: that call and all after it (default: only that one)
 *   FAULTS_SEED    which writes a power cut loses
 *   FAULTS_COUNT   a file that gets the number of calls seen, at a normal exit
 *
 * A program that wants to know looks up mu_faults_seen, mu_faults_hit and mu_faults_dirty. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum kind { WRITE = 1, SYNC = 2 };

/* A write that was not synced yet, and what it replaced. */
struct undo {
    struct undo *next; /* the one before */
    dev_t dev;
    ino_t ino;
    char path[512];
    off_t at, size_before;
    size_t bytes, old_bytes;
    uint8_t *now, *old;
};

static struct {
    pthread_mutex_t lock;
    bool ready, on;
    char folder[512];
    const char *what;
    unsigned kinds;
    long at;
    uint64_t seed;
    struct undo *undos;
} f = { .lock = PTHREAD_MUTEX_INITIALIZER };

long mu_faults_seen, mu_faults_hit;
char mu_faults_file[512]; /* of the first hit */

long mu_faults_dirty(const char *ending);

static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_fsync)(int), (*real_fdatasync)(int), (*real_ftruncate)(int, off_t);

static void *find(const char *name)
{
    void *fn = dlsym(RTLD_NEXT, name);

    if (fn == NULL)
        abort();
    return fn;
}

__attribute__((constructor))
static void start(void)
{
    const char *kind = getenv("FAULTS_KIND"), *at = getenv("FAULTS_AT"), *seed = getenv("FAULTS_SEED");
    const char *folder = getenv("FAULTS_FOLDER");

    real_pwrite = find("pwrite64");
    real_write = find("write");
    real_fsync = find("fsync");
    real_fdatasync = find("fdatasync");
    real_ftruncate = find("ftruncate64");
    f.what = getenv("FAULTS_WHAT") != NULL ? getenv("FAULTS_WHAT") : "";
    f.on = getenv("FAULTS_ON") != NULL;
    f.kinds = kind != NULL && strcmp(kind, "write") == 0 ? WRITE : kind != NULL && strcmp(kind, "sync") == 0 ? SYNC : 3;
    f.at = at != NULL ? strtol(at, NULL, 10) : 0;
    f.seed = seed != NULL ? strtoull(seed, NULL, 10) : 1;
    if (folder != NULL)
        snprintf(f.folder, sizeof f.folder, "%s", folder);
    f.ready = folder != NULL;
}

__attribute__((destructor))
static void say_count(void)
{
    const char *name = getenv("FAULTS_COUNT");
    FILE *file = name != NULL ? fopen(name, "w") : NULL;

    if (file == NULL)
        return;
    fprintf(file, "%ld\n", mu_faults_seen);
    fclose(file);
}

static bool path_of(int fd, char *path, size_t cap)
{
    char link[64];
    ssize_t n;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, cap - 1);
    path[n > 0 ? n : 0] = '\0';
    return f.ready && n > 0 && strncmp(path, f.folder, strlen(f.folder)) == 0;
}

static uint64_t chance(void)
{
    f.seed = f.seed * 6364136223846793005u + 1442695040888963407u;
    return f.seed >> 40;
}

static void remember(int fd, const char *path, const void *bytes, size_t size, off_t at)
{
    struct undo *u = calloc(1, sizeof *u);
    struct stat st;
    ssize_t got;

    if (u == NULL || fstat(fd, &st) != 0)
        abort();
    u->dev = st.st_dev;
    u->ino = st.st_ino;
    snprintf(u->path, sizeof u->path, "%s", path);
    u->at = at;
    u->size_before = st.st_size;
    u->bytes = size;
    u->now = malloc(size + 1);
    u->old = malloc(size + 1);
    memcpy(u->now, bytes, size);
    got = pread(fd, u->old, size, at);
    u->old_bytes = got > 0 ? (size_t)got : 0;
    u->next = f.undos;
    f.undos = u;
}

static void forget(int fd)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return;
    for (struct undo **at = &f.undos; *at != NULL;) {
        struct undo *u = *at;
        if (u->dev != st.st_dev || u->ino != st.st_ino) {
            at = &u->next;
            continue;
        }
        *at = u->next;
        free(u->now);
        free(u->old);
        free(u);
    }
}

/* Writes to files with this ending that no sync followed. */
long mu_faults_dirty(const char *ending)
{
    long n = 0;

    pthread_mutex_lock(&f.lock);
    for (struct undo *u = f.undos; u != NULL; u = u->next) {
        size_t have = strlen(u->path), want = strlen(ending);
        n += have >= want && strcmp(u->path + have - want, ending) == 0;
    }
    pthread_mutex_unlock(&f.lock);
    return n;
}

static bool is_file(int fd, const struct undo *u)
{
    struct stat st;

    return fstat(fd, &st) == 0 && st.st_dev == u->dev && st.st_ino == u->ino;
}

/* Back to what was synced, then some of the rest again, in order: a disk writes its cache as it likes. */
static void cut_power(void)
{
    struct undo *oldest = NULL;

    for (struct undo *u = f.undos, *before; u != NULL; u = before) {
        int fd = open(u->path, O_RDWR);
        before = u->next;
        if (fd >= 0 && !is_file(fd, u)) {
            close(fd); /* unlinked, and made anew under its name */
            fd = -1;
        }
        if (fd >= 0) {
            if (real_pwrite(fd, u->old, u->old_bytes, u->at) < 0 || real_ftruncate(fd, u->size_before) != 0)
                abort();
            close(fd);
        }
        u->next = oldest;
        oldest = u;
    }
    for (struct undo *u = oldest; u != NULL; u = u->next) {
        int fd = chance() % 2 == 0 ? open(u->path, O_RDWR) : -1;
        if (fd >= 0 && is_file(fd, u) && real_pwrite(fd, u->now, u->bytes, u->at) < 0)
            abort();
    }
    kill(getpid(), SIGKILL);
}

static int error_of(const char *what)
{
    return strcmp(what, "EIO") == 0 ? EIO : strcmp(what, "ENOSPC") == 0 ? ENOSPC : strcmp(what, "EINTR") == 0 ? EINTR : 0;
}

/* Is this call the one? */
static bool is_hit(enum kind kind, const char *path)
{
    if ((f.kinds & kind) == 0)
        return false;
    mu_faults_seen++;
    if (f.at == 0 || !(mu_faults_seen == f.at || (f.on && mu_faults_seen > f.at)))
        return false;
    if (mu_faults_hit++ == 0)
        snprintf(mu_faults_file, sizeof mu_faults_file, "%s", path);
    return true;
}

static void die_if_told(void)
{
    if (strcmp(f.what, "KILL") == 0)
        kill(getpid(), SIGKILL);
    if (strcmp(f.what, "POWER") == 0)
        cut_power();
}

static ssize_t do_write(int fd, const void *bytes, size_t size, off_t at, bool at_end)
{
    char path[512];
    ssize_t n;

    if (!path_of(fd, path, sizeof path))
        return at_end ? real_write(fd, bytes, size) : real_pwrite(fd, bytes, size, at);
    pthread_mutex_lock(&f.lock);
    if (at_end)
        at = lseek(fd, 0, SEEK_CUR);
    if (is_hit(WRITE, path)) {
        die_if_told();
        if (strcmp(f.what, "TORN") == 0) {
            n = real_pwrite(fd, bytes, size / 2, at);
            kill(getpid(), SIGKILL);
        }
        if (error_of(f.what) != 0) {
            pthread_mutex_unlock(&f.lock);
            errno = error_of(f.what);
            return -1;
        }
        if (strcmp(f.what, "SHORT") == 0 && size > 1)
            size /= 2;
    }
    remember(fd, path, bytes, size, at);
    n = at_end ? real_write(fd, bytes, size) : real_pwrite(fd, bytes, size, at);
    pthread_mutex_unlock(&f.lock);
    return n;
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t at);
ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t at)
{
    return do_write(fd, bytes, size, at, false);
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    return do_write(fd, bytes, size, 0, true);
}

static int do_sync(int fd, int (*real)(int))
{
    char path[512];
    int rc;

    if (!path_of(fd, path, sizeof path))
        return real(fd);
    pthread_mutex_lock(&f.lock);
    if (is_hit(SYNC, path)) {
        die_if_told();
        if (strcmp(f.what, "TORN") == 0)
            kill(getpid(), SIGKILL);
        if (error_of(f.what) != 0 && error_of(f.what) != ENOSPC && error_of(f.what) != EINTR) {
            pthread_mutex_unlock(&f.lock);
            errno = error_of(f.what);
            return -1;
        }
    }
    rc = real(fd);
    if (rc == 0)
        forget(fd);
    pthread_mutex_unlock(&f.lock);
    return rc;
}

int fsync(int fd)
{
    return do_sync(fd, real_fsync);
}

int fdatasync(int fd)
{
    return do_sync(fd, real_fdatasync);
}
