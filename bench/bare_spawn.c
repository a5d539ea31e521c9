/* bench/bare_spawn.c -- the limit for running commands: posix_spawn and wait, so many in flight, nothing else.
 *
 * usage: bench-bare TASKS INFLIGHT PROGRAM     prints tasks a second
 */
#include "base/assert.h"

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

int main(int argc, char **argv)
{
    struct timespec from, to;
    unsigned long tasks, inflight;

    if (argc != 4)
        return 2;
    tasks = strtoul(argv[1], NULL, 10);
    inflight = strtoul(argv[2], NULL, 10);
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (unsigned long started = 0, ended = 0; ended < tasks; ended++) {
        for (; started < tasks && started - ended < inflight; started++) {
            pid_t pid;
            MU_ASSERT(posix_spawn(&pid, argv[3], NULL, NULL, argv + 3, environ) == 0);
        }
        MU_ASSERT(wait(NULL) > 0);
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("%.1f\n", (double)tasks / ((double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9));
    return 0;
}
