/* bench/agent_bench.c -- what a node costs: tasks run by a real agent and its spawner, told by a server in this process that
 * sends work ahead and acknowledges at once, beside a bare posix_spawn + wait loop of the same program.
 *
 * MUSTER_TEST_BINARY=build/muster agent_bench [tasks [rounds]]: two in flight; rounds alternate.
 */
#include "base/assert.h"
#include "unit/agent/fake_server.h"

#include <spawn.h>
#include <sys/wait.h>

enum { ROUNDS_MAX = 64, AHEAD = 512, CPUS = 2 };

extern char **environ;

static double seconds(void)
{
    return (double)mu_boot_ns() / 1e9;
}

static double bare_round(unsigned tasks)
{
    char *argv[] = { (char *)"/bin/true", NULL };
    double from = seconds();

    for (unsigned started = 0, ended = 0; ended < tasks; ended++) {
        for (; started < tasks && started - ended < CPUS; started++) {
            pid_t pid;
            MU_ASSERT(posix_spawn(&pid, argv[0], NULL, NULL, argv, environ) == 0);
        }
        MU_ASSERT(wait(NULL) > 0);
    }
    return tasks / (seconds() - from);
}

static double agent_round(struct fake_server *s, uint64_t job, unsigned tasks, const char *line)
{
    struct mu_group_spec spec = { .tasks = tasks, .cpu_milli = 1000, .lines = MU_STR_LIT("x\n") };
    const char *lines[AHEAD];
    uint32_t started = 0, before = s->ended;
    double from = seconds();

    for (size_t i = 0; i < AHEAD; i++)
        lines[i] = line;
    fake_spec(s, job, &spec);
    while (s->ended - before < tasks) {
        uint32_t flying = started - (s->ended - before), n = AHEAD - flying;
        n = n < tasks - started ? n : tasks - started;
        if (n >= AHEAD / 2 || (n > 0 && n == tasks - started)) {
            fake_start(s, job, started, n, lines);
            started += n;
        }
        fake_turn(s);
    }
    return tasks / (seconds() - from);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void say(const char *what, double *rounds, unsigned count, double base)
{
    qsort(rounds, count, sizeof *rounds, by_value);
    printf("%-34s %6.0f/s median %6.0f/s best  ratio %.3f\n", what, rounds[count / 2], rounds[count - 1], rounds[count / 2] / base);
}

int main(int argc, char **argv)
{
    unsigned tasks = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 2000;
    unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 5;
    double bare[ROUNDS_MAX], silent[ROUNDS_MAX], prints[ROUNDS_MAX];
    struct fake_server s;

    MU_ASSERT(tasks > 0 && rounds > 0 && rounds <= ROUNDS_MAX);
    fake_init(&s);
    fake_agent_start(&s, NULL);
    for (unsigned i = 0; i < rounds; i++) {
        bare[i] = bare_round(tasks);
        silent[i] = agent_round(&s, 1 + 2 * i, tasks, "/bin/true");
        prints[i] = agent_round(&s, 2 + 2 * i, tasks, "/bin/echo x");
    }
    fake_fini(&s);
    qsort(bare, rounds, sizeof *bare, by_value);
    say("bare posix_spawn + wait", bare, rounds, bare[rounds / 2]);
    say("agent and spawner, /bin/true", silent, rounds, bare[rounds / 2]);
    say("agent and spawner, /bin/echo, kept", prints, rounds, bare[rounds / 2]);
    return 0;
}
