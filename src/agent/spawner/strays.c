/* agent/spawner/strays.c -- see strays.h. */
#include "strays.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ENVIRON_BYTES = 32 * 1024, CHILDREN_BYTES = 64 * 1024 };

struct stray {
    uint32_t pid;
    uint64_t id, seen_us; /* id 0: nobody's */
};

static struct {
    struct stray *all;
    uint32_t count;
    int children;         /* fd of our list of children, -1 if the kernel has none */
    char mark[sizeof MU_SP_MARK + MU_SP_BOOT + 2];
    char *text;           /* ENVIRON_BYTES, CHILDREN_BYTES */
} strays;

static char *append(char *at, const char *text)
{
    size_t n = strlen(text);

    memcpy(at, text, n + 1);
    return at + n;
}

static char *append_number(char *at, uint32_t n)
{
    char digits[12], *d = digits + sizeof digits - 1;

    *d = '\0';
    do
        *--d = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    return append(at, d);
}

void strays_init(const char *boot)
{
    char path[64];
    uint32_t pid = (uint32_t)getpid();

    append(append(append(strays.mark, MU_SP_MARK "="), boot), "-");
    append(append_number(append(append_number(append(path, "/proc/"), pid), "/task/"), pid), "/children");
    strays.children = open(path, O_RDONLY | O_CLOEXEC);
    strays.all = mmap(NULL, STRAYS_MAX * sizeof(struct stray) + ENVIRON_BYTES + CHILDREN_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (strays.all == MAP_FAILED)
        _exit(1);
    strays.text = (char *)(strays.all + STRAYS_MAX);
}

uint32_t strays_count(void)
{
    return strays.count;
}

/* The task named by the mark in a process's environment, 0 if there is none. */
static uint64_t marked(uint32_t pid)
{
    char path[32], *text = strays.text, *at;
    uint64_t id = 0;
    ssize_t n = -1;
    int fd;

    append(append_number(append(path, "/proc/"), pid), "/environ");
    if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        return 0;
    n = read(fd, text, ENVIRON_BYTES - 1);
    close(fd);
    if (n <= 0 || (at = memmem(text, (size_t)n, strays.mark, strlen(strays.mark))) == NULL)
        return 0;
    text[n] = '\0';
    for (at += strlen(strays.mark); *at >= '0' && *at <= '9'; at++)
        id = id * 10 + (uint64_t)(*at - '0');
    return id;
}

static uint64_t owner_of(const struct table *t, uint32_t pid)
{
    uint64_t id = marked(pid);
    const struct task *task;
    pid_t session;

    if (id == 0 && (session = getsid((pid_t)pid)) > 0 && (task = table_find_pid(t, (uint32_t)session)) != NULL)
        id = task->pub.id;
    return id;
}

static struct stray *stray_find(uint32_t pid)
{
    for (uint32_t i = 0; i < strays.count; i++)
        if (strays.all[i].pid == pid)
            return &strays.all[i];
    return NULL;
}

static uint64_t oldest_us(const struct mu_list *const live[2])
{
    uint64_t us = UINT64_MAX;

    for (int i = 0; i < 2; i++)
        MU_LIST_EACH(it, (struct mu_list *)live[i]) {
            const struct task *task = MU_CONTAINER(it, struct task, link);
            us = task->pub.start_us < us ? task->pub.start_us : us;
        }
    return us;
}

static void stray_look(struct table *t, const struct mu_list *const live[2], uint32_t pid, uint64_t now_us)
{
    struct stray *s = stray_find(pid);
    struct task *task;

    if (s == NULL) {
        if (strays.count == STRAYS_MAX)
            return;
        s = &strays.all[strays.count++];
        *s = (struct stray){ pid, owner_of(t, pid), now_us };
    }
    task = s->id != 0 ? table_find(t, s->id) : NULL;
    if (s->id == 0 ? s->seen_us < oldest_us(live) : task == NULL || task->pub.state >= MU_SP_DYING) {
        kill((pid_t)pid, SIGKILL);
        if (task != NULL)
            task->held = true;
    }
}

void strays_scan(struct table *t, const struct mu_list *const live[2], uint64_t now_us)
{
    char *text = strays.text + ENVIRON_BYTES;
    off_t from = 0;
    uint32_t pid = 0;
    ssize_t n;

    while (strays.children >= 0 && (n = pread(strays.children, text, CHILDREN_BYTES, from)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (text[i] >= '0' && text[i] <= '9') {
                pid = pid * 10 + (uint32_t)(text[i] - '0');
                continue;
            }
            if (pid != 0 && table_find_pid(t, pid) == NULL)
                stray_look(t, live, pid, now_us);
            pid = 0;
        }
        if (n < CHILDREN_BYTES / 2)
            break;
        from += n;
    }
}

void task_use(struct task *task, const struct rusage *use)
{
    struct mu_sp_task *p = &task->pub;
    uint64_t rss = (uint64_t)use->ru_maxrss * 1024;

    p->user_us += (uint64_t)use->ru_utime.tv_sec * 1000000 + (uint64_t)use->ru_utime.tv_usec;
    p->sys_us += (uint64_t)use->ru_stime.tv_sec * 1000000 + (uint64_t)use->ru_stime.tv_usec;
    p->rss_bytes = rss > p->rss_bytes ? rss : p->rss_bytes;
}

void strays_reaped(struct table *t, uint32_t pid, const struct rusage *use)
{
    struct stray *s = stray_find(pid);
    struct task *task;

    if (s == NULL)
        return;
    if (s->id != 0 && (task = table_find(t, s->id)) != NULL && task->pub.state != MU_SP_ENDED)
        task_use(task, use);
    *s = strays.all[--strays.count];
}

void strays_signal(const struct task *task, int signal)
{
    for (uint32_t i = 0; i < strays.count; i++)
        if (strays.all[i].id == task->pub.id)
            kill((pid_t)strays.all[i].pid, signal);
}
