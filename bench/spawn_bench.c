/* bench/spawn_bench.c -- what the spawner costs: the same /bin/true run by it and by a bare posix_spawn + wait loop.
 *
 * spawn_bench SPAWNER [tasks [in flight [rounds]]]: rounds alternate, so that both see the same machine. Prints a line for
 * each way (tasks a second, best and median round) and the ratio of the medians.
 */
#include "agent/spawner/spawner_proto.h"
#include "base/assert.h"

#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS_MAX = 64, FRAME_BYTES = 1024 };

extern char **environ;

static double seconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double bare_round(unsigned tasks, unsigned inflight_max)
{
    char *argv[] = { (char *)"/bin/true", NULL };
    double from = seconds();

    for (unsigned started = 0, ended = 0; ended < tasks; ended++) {
        for (; started < tasks && started - ended < inflight_max; started++) {
            pid_t pid;
            MU_ASSERT(posix_spawn(&pid, argv[0], NULL, NULL, argv, environ) == 0);
        }
        MU_ASSERT(wait(NULL) > 0);
    }
    return tasks / (seconds() - from);
}

static void send_all(int fd, const void *bytes, size_t size)
{
    for (const char *at = bytes; size > 0;) {
        ssize_t n = write(fd, at, size);
        MU_ASSERT(n > 0);
        at += n;
        size -= (size_t)n;
    }
}

static size_t spawn_frame(char frame[FRAME_BYTES], uint64_t id)
{
    /* cwd, three paths, script, argv, and an environment as the agent makes it */
    static const char strings[] = "/\0\0\0\0\0/bin/true\0MUSTER_SPAWN_ID=0123456789abcdef-1234\0PATH=/usr/local/bin:/usr/bin:/bin\0"
                                  "HOME=/root\0USER=root\0MUSTER_JOB_ID=12\0MUSTER_TASK_INDEX=3456\0MUSTER_ATTEMPT=1";
    struct mu_sp_spawn s = { .head = { (uint32_t)(sizeof s + sizeof strings), MU_SP_SPAWN }, .id = id, .argc = 1, .envc = 7 };

    memcpy(frame, &s, sizeof s);
    memcpy(frame + sizeof s, strings, sizeof strings);
    return s.head.size;
}

static double spawner_round(int fd, uint64_t *id, unsigned tasks, unsigned inflight_max)
{
    static char in[64 * 1024];
    double from = seconds();
    size_t have = 0;

    for (unsigned started = 0, ended = 0; ended < tasks;) {
        char out[8 * FRAME_BYTES];
        size_t size = 0;
        for (; started < tasks && started - ended < inflight_max && size + FRAME_BYTES < sizeof out; started++)
            size += spawn_frame(out + size, ++*id);
        send_all(fd, out, size);
        ssize_t n = read(fd, in + have, sizeof in - have);
        MU_ASSERT(n > 0);
        have += (size_t)n;
        size_t at = 0, used;
        for (; (used = mu_sp_frame(in + at, have - at, false)) != 0; at += used) {
            struct mu_sp_task t = { 0 };
            MU_ASSERT(used != SIZE_MAX);
            memcpy(&t, in + at, used < sizeof t ? used : sizeof t);
            if (t.head.type != MU_SP_EXITED)
                continue;
            MU_ASSERT(t.how == MU_SP_EXIT && t.code == 0);
            struct mu_sp_forget f = { { sizeof f, MU_SP_FORGET }, t.id };
            send_all(fd, &f, sizeof f);
            ended++;
        }
        memmove(in, in + at, have - at);
        have -= at;
    }
    return tasks / (seconds() - from);
}

static int spawner_start(const char *program, const char *dir, pid_t *pid)
{
    char *argv[] = { (char *)program, (char *)dir, NULL };
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    struct mu_sp_hello h = { { sizeof h, MU_SP_HELLO }, MU_SP_VERSION, (uint32_t)getpid() };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(at.sun_path, sizeof at.sun_path, "%s/" MU_SP_SOCKET, dir);
    MU_ASSERT(posix_spawn(pid, program, NULL, NULL, argv, environ) == 0);
    for (int i = 0; connect(fd, (struct sockaddr *)&at, sizeof at) != 0; i++) {
        MU_ASSERT(i < 1000);
        usleep(5000);
    }
    send_all(fd, &h, sizeof h);
    return fd;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static long rss_kib(pid_t pid)
{
    char path[64], line[128];
    long kib = 0;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "VmRSS: %ld", &kib) == 1)
            break;
    if (f != NULL)
        fclose(f);
    return kib;
}

int main(int argc, char **argv)
{
    unsigned tasks = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 2000;
    unsigned inflight = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 2;
    unsigned rounds = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 5;
    char dir[] = "/tmp/muster-bench-XXXXXX";
    double bare[ROUNDS_MAX], ours[ROUNDS_MAX];
    uint64_t id = 0;
    pid_t pid;

    if (argc < 2 || tasks == 0 || inflight == 0 || rounds == 0 || rounds > ROUNDS_MAX || mkdtemp(dir) == NULL) {
        fprintf(stderr, "usage: spawn_bench SPAWNER [tasks [in flight [rounds]]]\n");
        return 2;
    }
    int fd = spawner_start(argv[1], dir, &pid);
    long idle_kib = rss_kib(pid);
    for (unsigned i = 0; i < rounds; i++) {
        bare[i] = bare_round(tasks, inflight);
        ours[i] = spawner_round(fd, &id, tasks, inflight);
    }
    long used_kib = rss_kib(pid);
    struct mu_sp_quit q = { { sizeof q, MU_SP_QUIT }, 0 };
    send_all(fd, &q, sizeof q);
    waitpid(pid, NULL, 0);
    qsort(bare, rounds, sizeof *bare, by_value);
    qsort(ours, rounds, sizeof *ours, by_value);
    printf("bare posix_spawn + wait  %6.0f/s median %6.0f/s best\n", bare[rounds / 2], bare[rounds - 1]);
    printf("spawner                  %6.0f/s median %6.0f/s best, %ld KiB idle, %ld KiB after\n", ours[rounds / 2],
           ours[rounds - 1], idle_kib, used_kib);
    printf("ratio of the medians     %6.3f\n", ours[rounds / 2] / bare[rounds / 2]);
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command) == 0 ? 0 : 1;
}
