/* agent/shell_node.c -- what this machine is: cpus, memory, name, load, users, what was left on it. */
#include "agent/shell.h"

#include "base/assert.h"
#include "io/files.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { LOAD_MS = 1000, ENVIRON_BYTES = 256 * 1024, KILL_ROUNDS = 200 };

/* A number out of a small file; false when it has none ("max"). */
static bool file_number(const char *path, uint64_t *out)
{
    struct mu_buf b = { 0 };
    char *end = NULL;

    if (mu_file_read(path, 4096, &b, NULL) == MU_OK) {
        mu_buf_addc(&b, '\0');
        *out = strtoull((char *)b.at, &end, 10);
    }
    bool good = end != NULL && end != (char *)b.at;
    mu_buf_fini(&b);
    return good;
}

/* A line "Name:   123 kB" of /proc/meminfo, in bytes. */
static uint64_t meminfo(const char *name)
{
    struct mu_buf b = { 0 };
    uint64_t bytes = 0;

    if (mu_file_read("/proc/meminfo", 65536, &b, NULL) == MU_OK) {
        mu_buf_addc(&b, '\0');
        char *at = strstr((char *)b.at, name);
        if (at != NULL)
            bytes = strtoull(at + strlen(name), NULL, 10) * 1024;
    }
    mu_buf_fini(&b);
    return bytes;
}

uint64_t mu_shell_cpu_milli(void)
{
    cpu_set_t set;
    uint64_t milli = sched_getaffinity(0, sizeof set, &set) == 0 ? (uint64_t)CPU_COUNT(&set) * 1000 : 1000;
    uint64_t quota, period;

    if (file_number("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", &quota) && quota < INT64_MAX &&
        file_number("/sys/fs/cgroup/cpu/cpu.cfs_period_us", &period) && period > 0 && quota * 1000 / period < milli)
        milli = quota * 1000 / period;
    return milli > 0 ? milli : 1000;
}

/* What is left to tasks: a tenth, at most 512 MiB, stays for the system. */
uint64_t mu_shell_mem_bytes(void)
{
    uint64_t total = meminfo("MemTotal:"), limit;

    if ((file_number("/sys/fs/cgroup/memory.max", &limit) || file_number("/sys/fs/cgroup/memory/memory.limit_in_bytes", &limit)) &&
        limit < total)
        total = limit;
    return total - (total / 10 < UINT64_C(512) << 20 ? total / 10 : UINT64_C(512) << 20);
}

bool mu_shell_host_name(char *out, size_t size)
{
    char *dot;

    if (gethostname(out, size - 1) != 0)
        return false;
    out[size - 1] = '\0';
    if ((dot = strchr(out, '.')) != NULL)
        *dot = '\0';
    return *out != '\0';
}

static uint64_t busy_ticks(void)
{
    struct mu_buf b = { 0 };
    unsigned long long user = 0, nice = 0, sys = 0, idle, wait, irq = 0, soft = 0, steal = 0;

    if (mu_file_read("/proc/stat", 1 << 20, &b, NULL) == MU_OK) {
        mu_buf_addc(&b, '\0');
        sscanf((char *)b.at, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &sys, &idle, &wait, &irq, &soft, &steal);
    }
    mu_buf_fini(&b);
    return user + nice + sys + irq + soft;
}

void mu_shell_load(struct mu_shell *sh)
{
    uint64_t now_ms = mu_boot_ms(), ticks;
    struct statvfs fs;

    if (now_ms - sh->load_ms < LOAD_MS)
        return;
    ticks = busy_ticks();
    if (sh->load_ms > 0)
        sh->load.cpu_milli_used = (ticks - sh->load_ticks) * 1000 * 1000 / (uint64_t)sysconf(_SC_CLK_TCK) / (now_ms - sh->load_ms);
    sh->load_ticks = ticks;
    sh->load_ms = now_ms;
    sh->load.mem_used = meminfo("MemTotal:") - meminfo("MemAvailable:");
    if (fstatvfs(sh->spawner.dir, &fs) == 0)
        sh->load.disk_free = (uint64_t)fs.f_bavail * fs.f_frsize;
}

char **mu_shell_base_env(void)
{
    static const struct { const char *name, *fallback; } names[] = {
        { "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" }, { "HOME", NULL }, { "USER", NULL },
        { "LOGNAME", NULL }, { "SHELL", "/bin/sh" }, { "LANG", NULL }, { "LC_ALL", NULL }, { "TZ", NULL }, { "TMPDIR", NULL },
    };
    char **env = calloc(MU_COUNT(names) + 1, sizeof *env);
    struct mu_buf b = { 0 };
    size_t n = 0;

    MU_ASSERT(env != NULL);
    for (size_t i = 0; i < MU_COUNT(names); i++) {
        const char *value = getenv(names[i].name);
        if (value == NULL)
            value = names[i].fallback;
        if (value == NULL)
            continue;
        mu_buf_clear(&b);
        mu_buf_printf(&b, "%s=%s", names[i].name, value);
        env[n++] = mu_str_dup(mu_buf_str(&b));
    }
    mu_buf_fini(&b);
    return env;
}

void mu_shell_free_env(char **env)
{
    for (char **e = env; e != NULL && *e != NULL; e++)
        free(*e);
    free(env);
}

/* Users. */

static uint32_t refusal(int err)
{
    return (uint32_t)err | (uint32_t)MU_NOSTART_USER << 16;
}

static bool user_fill(const struct passwd *pw, struct mu_prepare_user *out)
{
    gid_t groups[MU_SP_GROUPS_MAX];
    int count = MU_SP_GROUPS_MAX;

    *out = (struct mu_prepare_user){ .take = true, .uid = pw->pw_uid, .gid = pw->pw_gid };
    if (getgrouplist(pw->pw_name, pw->pw_gid, groups, &count) < 0)
        count = MU_SP_GROUPS_MAX; /* the first ones */
    for (int i = 0; i < count; i++)
        out->groups[i] = groups[i];
    out->groups_count = (uint32_t)count;
    snprintf(out->name, sizeof out->name, "%s", pw->pw_name);
    snprintf(out->home, sizeof out->home, "%s", pw->pw_dir);
    snprintf(out->shell, sizeof out->shell, "%s", pw->pw_shell);
    return true;
}

/* A task's own user counts before its job's. An agent that is not root cannot become anybody else. As root a task runs only
 * when that is allowed; a job's user that this machine does not know then means root too. */
uint32_t mu_shell_user(void *arg, const struct mu_agent_spawn *spawn, struct mu_prepare_user *out)
{
    struct mu_shell *sh = arg;
    struct mu_str asked = spawn->spec->run_as.size > 0 ? spawn->spec->run_as : spawn->user;
    bool must = spawn->spec->run_as.size > 0;
    char name[MU_NAME_MAX + 1];
    const struct passwd *pw;

    *out = (struct mu_prepare_user){ 0 };
    snprintf(name, sizeof name, MU_STR_FMT, MU_STR_ARG(asked));
    pw = name[0] != '\0' ? getpwnam(name) : NULL;
    if (geteuid() != 0)
        return must && (pw == NULL || pw->pw_uid != geteuid()) ? refusal(EPERM) : 0;
    if (pw == NULL && (must || !sh->cfg.allow_root))
        return refusal(ENOENT);
    if (pw == NULL || pw->pw_uid == 0)
        return sh->cfg.allow_root ? 0 : refusal(EPERM);
    return user_fill(pw, out) ? 0 : refusal(EPERM);
}

/* Leftovers. */

static bool has_mark(const char *pid, const char *mark, struct mu_buf *b)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%.20s/environ", pid);
    mu_buf_clear(b);
    return mu_file_read(path, ENVIRON_BYTES, b, NULL) == MU_OK && memmem(b->at, b->size, mark, strlen(mark)) != NULL;
}

static bool is_zombie(const char *pid, struct mu_buf *b)
{
    char path[64], *state;

    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    mu_buf_clear(b);
    if (mu_file_read(path, 4096, b, NULL) != MU_OK)
        return true;
    mu_buf_addc(b, '\0');
    state = strrchr((char *)b->at, ')');
    return state == NULL || strncmp(state, ") Z", 3) == 0 || strncmp(state, ") X", 3) == 0;
}

static bool in_sessions(pid_t pid, const uint32_t *pids, uint32_t count)
{
    pid_t session = count > 0 ? getsid(pid) : -1;

    for (uint32_t i = 0; session > 0 && i < count; i++)
        if (pids[i] == (uint32_t)session)
            return true;
    return false;
}

static unsigned kill_round(const char *mark, const uint32_t *pids, uint32_t count)
{
    DIR *d = opendir("/proc");
    struct mu_buf b = { 0 };
    unsigned seen = 0;

    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
        if (!isdigit((unsigned char)e->d_name[0]) || pid <= 1 || pid == getpid())
            continue;
        if ((in_sessions(pid, pids, count) || has_mark(e->d_name, mark, &b)) && !is_zombie(e->d_name, &b) &&
            kill(pid, SIGKILL) == 0)
            seen++;
    }
    if (d != NULL)
        closedir(d);
    mu_buf_fini(&b);
    return seen;
}

unsigned mu_shell_kill_leftovers(const char *boot, const uint32_t *pids, uint32_t pids_count)
{
    char mark[sizeof MU_SP_MARK + MU_SP_BOOT + 2];
    unsigned seen = 0, round;

    snprintf(mark, sizeof mark, MU_SP_MARK "=%s-", boot);
    for (int i = 0; i < KILL_ROUNDS && (round = kill_round(mark, pids, pids_count)) > 0; i++) {
        seen += i == 0 ? round : 0;
        usleep(i < 10 ? 1000 : 10000); /* the dying are still seen for a moment */
    }
    return seen;
}
