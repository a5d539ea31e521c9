/* agent/spawner/child.c -- see child.h. From child_main on everything runs in the child. */
#include "child.h"

#include "sys.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

enum {
    POINTERS = MU_SP_STRINGS_MAX + MU_SP_CGROUPS_MAX + 8,
    POINTERS_BYTES = (POINTERS * (int)sizeof(char *) + 4095) & ~4095,
    AREA_BYTES = LAUNCH_STACK + MU_SP_FRAME_MAX + POINTERS_BYTES,
    LARGE = 64 * 1024, /* a frame of this size gives its memory back */
    PATH_BYTES = 4096,
};
#ifndef CLONE_CHILD_CLEARTID
#define CLONE_CHILD_CLEARTID 0x00200000
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

static struct {
    struct launch all[LAUNCHES];
    struct launch *free;
    char *areas; /* LAUNCHES of: stack, frame, right behind it the pointers into it */
} pool;

static char *area_of(const struct launch *l)
{
    return pool.areas + (size_t)(l - pool.all) * AREA_BYTES;
}

void launches_init(void)
{
    pool.areas = mmap(NULL, (size_t)LAUNCHES * AREA_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pool.areas == MAP_FAILED)
        _exit(1);
    for (int i = LAUNCHES; i-- > 0;) {
        pool.all[i].next = pool.free;
        pool.free = &pool.all[i];
    }
}

bool launch_has_free(void)
{
    return pool.free != NULL;
}

void launches_trim(void)
{
    for (const struct launch *l = pool.free; l != NULL; l = l->next)
        madvise(area_of(l), AREA_BYTES, MADV_DONTNEED);
}

struct launch *launch_take(void)
{
    struct launch *l = pool.free;

    if (l != NULL)
        pool.free = l->next;
    return l;
}

void launch_drop(struct launch *l)
{
    if (l->view.head.head.size > LARGE)
        madvise(area_of(l), AREA_BYTES, MADV_DONTNEED);
    l->next = pool.free;
    pool.free = l;
}

bool launch_load(struct launch *l, const void *frame, size_t size)
{
    char *copy = area_of(l) + LAUNCH_STACK;

    memcpy(copy, frame, size);
    l->err = l->step = 0;
    return mu_sp_spawn_read(&l->view, copy, size, (char **)(void *)(copy + ((size + 7) & ~(size_t)7)), POINTERS);
}

__attribute__((noreturn)) static void fail(struct launch *l, enum step step, long err)
{
    l->step = (int)step;
    l->err = (int)-err;
    for (;;)
        mu_sys(SYS_exit_group, 127);
}

static void must(struct launch *l, enum step step, long answer)
{
    if (answer < 0)
        fail(l, step, answer);
}

static void put_file(struct launch *l, enum step step, const char *path, const char *text)
{
    long fd = mu_sys(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0);

    must(l, step, fd);
    must(l, step, mu_sys(SYS_write, fd, text, strlen(text)));
    mu_sys(SYS_close, fd);
}

static void set_limits(struct launch *l)
{
    struct { uint64_t soft, hard; } data = { l->view.head.data_bytes, l->view.head.data_bytes };

    for (char **path = l->view.cgroups; *path != NULL; path++)
        put_file(l, STEP_CGROUP, *path, "0");
    if (data.soft > 0)
        must(l, STEP_LIMIT, mu_sys(SYS_prlimit64, 0, RLIMIT_DATA, &data, 0));
    if (l->reset_oom)
        put_file(l, STEP_LIMIT, "/proc/self/oom_score_adj", "0");
}

static void take_user(struct launch *l)
{
    const struct mu_sp_spawn *s = &l->view.head;

    if (s->flags & MU_SP_USER) {
        must(l, STEP_USER, mu_sys(SYS_setgroups, s->groups, l->view.groups));
        must(l, STEP_USER, mu_sys(SYS_setresgid, s->gid, s->gid, s->gid));
        must(l, STEP_USER, mu_sys(SYS_setresuid, s->uid, s->uid, s->uid));
    }
    if (!(s->flags & MU_SP_NEWPRIVS))
        must(l, STEP_USER, mu_sys(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static void put_stream(struct launch *l, int stream, const char *path)
{
    static const enum step steps[] = { STEP_STDIN, STEP_STDOUT, STEP_STDERR };
    int flags = stream == 0 ? O_RDONLY : O_WRONLY | O_CREAT | O_APPEND;
    long fd = l->fd[stream];

    if (stream > 0 && (l->view.head.flags & MU_SP_TRUNC))
        flags |= O_TRUNC;
    if (*path != '\0') {
        fd = mu_sys(SYS_openat, AT_FDCWD, path, flags | O_NOCTTY, 0666);
        must(l, steps[stream], fd);
    }
    must(l, steps[stream], mu_sys(SYS_dup3, fd, stream, 0));
}

/* A program text with a #! line, in memory. The interpreter opens it by its number, so it stays open. */
static long script_open(struct launch *l)
{
    const char *at = l->view.script;
    size_t left = strlen(at);
    long fd = mu_sys(SYS_memfd_create, "script", 0);

    must(l, STEP_EXEC, fd);
    while (left > 0) {
        long n = mu_sys(SYS_write, fd, at, left);

        must(l, STEP_EXEC, n);
        at += n;
        left -= (size_t)n;
    }
    return fd;
}

/* exec; a text file without #! is given to the shell, as execvp does. Returns -errno. */
static long exec_path(struct launch *l, const char *path)
{
    char **argv = l->view.argv;
    long rc = mu_sys(SYS_execve, path, argv, l->view.env);

    if (rc != -ENOEXEC)
        return rc;
    argv[0] = (char *)path;
    argv[-1] = (char *)"/bin/sh"; /* the NULL behind the cgroups, which are done with */
    return mu_sys(SYS_execve, "/bin/sh", argv - 1, l->view.env);
}

static const char *search_path(char **env)
{
    for (; *env != NULL; env++)
        if (strncmp(*env, "PATH=", 5) == 0)
            return *env + 5;
    return "/usr/local/bin:/usr/bin:/bin";
}

/* Along PATH: a directory without it is passed over, one that refuses is remembered. */
static long exec_search(struct launch *l, const char *name)
{
    char path[PATH_BYTES];
    size_t size = strlen(name);
    long worst = -ENOENT;

    for (const char *dir = search_path(l->view.env), *end;; dir = end + 1) {
        end = dir;
        while (*end != ':' && *end != '\0')
            end++;
        size_t n = (size_t)(end - dir);
        if (n + size + 2 <= sizeof path) {
            memcpy(path, n > 0 ? dir : ".", n > 0 ? n : 1);
            n = n > 0 ? n : 1;
            path[n] = '/';
            memcpy(path + n + 1, name, size + 1);
            long rc = exec_path(l, path);
            if (rc == -EACCES)
                worst = rc;
            else if (rc != -ENOENT && rc != -ENOTDIR)
                return rc;
        }
        if (*end == '\0')
            return worst;
    }
}

static void child_main(void *arg)
{
    struct launch *l = arg;
    uint64_t no_signals = 0;
    long rc;

    mu_sys(SYS_setsid, 0);
    set_limits(l);
    for (int i = 0; i < 3; i++)
        if (l->fd[i] >= 0)
            put_stream(l, i, "");
    mu_sys(SYS_close_range, 3, ~0u, 0);
    take_user(l);
    mu_sys(SYS_umask, 022);
    must(l, STEP_CWD, mu_sys(SYS_chdir, l->view.cwd));
    const char *const paths[] = { l->view.in, l->view.out, l->view.err };
    for (int i = 0; i < 3; i++)
        if (*paths[i] != '\0')
            put_stream(l, i, paths[i]);
    mu_sys(SYS_close_range, 3, ~0u, 0);
    mu_sys(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, 0, sizeof no_signals);
    if (l->view.head.flags & MU_SP_SCRIPT) {
        char path[] = "/proc/self/fd/3"; /* the first number after close_range */
        rc = script_open(l) == 3 ? exec_path(l, path) : -EBADF;
    } else if ((l->view.head.flags & MU_SP_SEARCH) && strchr(l->view.argv[0], '/') == NULL) {
        rc = exec_search(l, l->view.argv[0]);
    } else {
        rc = exec_path(l, l->view.argv[0]);
    }
    fail(l, STEP_EXEC, rc);
}

long launch_start(struct launch *l)
{
    long pid;

    l->busy = 1;
    pid = mu_sys_clone(CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD, area_of(l) + LAUNCH_STACK, &l->busy, child_main, l);
    if (pid < 0)
        l->busy = 0;
    return pid;
}
