/* agent/cgroup.c -- see cgroup.h. One directory muster-NAME, in it groups 1, 2, 3... */
#include "agent/cgroup.h"

#include "base/assert.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

enum mode { MODE_NONE, MODE_V1, MODE_HYBRID, MODE_V2 };

/* The files of the memory controller, by version. */
static const struct {
    const char *limit, *peak, *events, *unlimited;
} files[] = {
    [MODE_V1] = { "memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control", "-1" },
    [MODE_HYBRID] = { "memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control", "-1" },
    [MODE_V2] = { "memory.max", "memory.peak", "memory.events", "max" },
};

struct group {
    bool made, used;
    uint64_t ooms; /* counted before its present task */
};
struct mu_cgroups {
    enum mode mode;
    char dir[512];       /* of all groups */
    char path[600];      /* scratch: a file of a group */
    char procs[600];     /* what take answered last */
    struct group groups[MU_CGROUPS_MAX];
    uint32_t count;      /* groups ever used */
};

static bool file_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return good;
}

static bool file_read(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, size - 1) : -1;

    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n >= 0;
}

static const char *group_file(struct mu_cgroups *l, uint32_t number, const char *name)
{
    snprintf(l->path, sizeof l->path, "%s/%u/%s", l->dir, number, name);
    return l->path;
}

/* How often the kernel killed in it: "oom_kill N" in both versions. */
static uint64_t group_ooms(struct mu_cgroups *l, uint32_t number)
{
    char text[1024], *at;

    if (!file_read(group_file(l, number, files[l->mode].events), text, sizeof text))
        return 0;
    at = strstr(text, "oom_kill ");
    return at != NULL ? strtoull(at + 9, NULL, 10) : 0;
}

/* Finding out. */

/* The group this process is in, of a controller ("" for v2), as in /proc/self/cgroup; "/" when it is not told. */
static void own_group(const char *controller, char *out, size_t size)
{
    char text[4096], *rest = text, *line;

    snprintf(out, size, "/");
    if (!file_read("/proc/self/cgroup", text, sizeof text))
        return;
    while ((line = strsep(&rest, "\n")) != NULL) {
        char *list = strchr(line, ':'), *path = list != NULL ? strchr(list + 1, ':') : NULL;
        if (path == NULL)
            continue;
        *path++ = '\0';
        list++;
        for (char *word; (word = strsep(&list, ",")) != NULL;)
            if (strcmp(word, controller) == 0)
                snprintf(out, size, "%s", path);
    }
}

static bool is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static void join(char out[512], const char *a, const char *b, const char *c)
{
    if (snprintf(out, 512, "%s%s%s", a, b, c) >= 512)
        out[0] = '\0';
}

/* A group of ours can be made and its memory limit set: then this is it. */
static bool try_dir(struct mu_cgroups *l, enum mode mode)
{
    bool good;

    if (l->dir[0] == '\0' || (mkdir(l->dir, 0755) != 0 && errno != EEXIST))
        return false;
    l->mode = mode;
    if (mode == MODE_V2) {
        char control[600];
        snprintf(control, sizeof control, "%s/cgroup.subtree_control", l->dir);
        file_write(control, "+memory"); /* whether it worked the limit below will tell */
    }
    group_file(l, 1, "");
    good = mkdir(l->path, 0755) == 0 || errno == EEXIST;
    good = good && file_write(group_file(l, 1, files[mode].limit), files[mode].unlimited);
    if (good) {
        l->groups[0].made = true;
        l->count = 1;
        return true;
    }
    group_file(l, 1, "");
    rmdir(l->path);
    rmdir(l->dir);
    l->mode = MODE_NONE;
    return false;
}

static void find(struct mu_cgroups *l, const char *root, const char *name)
{
    char own[300], mount[512], tail[160], control[600];

    snprintf(tail, sizeof tail, "/muster-%s", name);
    join(mount, root, "/memory", "");
    if (is_dir(mount)) {
        char unified[512];
        join(unified, root, "/unified", "");
        own_group("memory", own, sizeof own);
        join(l->dir, mount, strcmp(own, "/") == 0 ? "" : own, tail);
        if (try_dir(l, is_dir(unified) ? MODE_HYBRID : MODE_V1))
            return;
    }
    snprintf(control, sizeof control, "%s/cgroup.subtree_control", root);
    if (file_write(control, "+memory")) { /* v2, and we may change it: groups beside ours, where no process is */
        join(l->dir, root, tail, "");
        if (try_dir(l, MODE_V2))
            return;
    }
    own_group("", own, sizeof own); /* v2, delegated to us */
    join(l->dir, root, strcmp(own, "/") == 0 ? "" : own, tail);
    if (strcmp(own, "/") != 0)
        try_dir(l, MODE_V2);
}

struct mu_cgroups *mu_cgroups_open(const char *root, const char *name)
{
    struct mu_cgroups *l = calloc(1, sizeof *l);

    MU_ASSERT(l != NULL);
    find(l, root, name);
    return l;
}

const char *mu_cgroups_text(const struct mu_cgroups *l)
{
    static const char *const texts[] = {
        [MODE_NONE] = "rlimits: memory of each process, not of a whole task; cpu not limited",
        [MODE_V1] = "cgroup v1: memory of a task; cpu not limited",
        [MODE_HYBRID] = "cgroup hybrid (v1 limits beside v2): memory of a task; cpu not limited",
        [MODE_V2] = "cgroup v2: memory of a task; cpu not limited",
    };

    return texts[l->mode];
}

/* Use. */

static bool group_make(struct mu_cgroups *l, uint32_t number)
{
    group_file(l, number, "");
    l->groups[number - 1].made = mkdir(l->path, 0755) == 0 || errno == EEXIST;
    return l->groups[number - 1].made;
}

static bool group_set(struct mu_cgroups *l, uint32_t number, uint64_t mem_bytes)
{
    char text[32];

    if (!l->groups[number - 1].made && !group_make(l, number))
        return false;
    if (l->mode != MODE_V2)
        file_write(group_file(l, number, files[l->mode].peak), "0");
    snprintf(text, sizeof text, "%llu", (unsigned long long)mem_bytes);
    if (!file_write(group_file(l, number, files[l->mode].limit), text))
        return false;
    l->groups[number - 1].ooms = group_ooms(l, number);
    return true;
}

bool mu_cgroups_take(struct mu_cgroups *l, uint64_t mem_bytes, uint32_t *out_number, const char **out_procs)
{
    uint32_t i = 0;

    if (l->mode == MODE_NONE)
        return false;
    while (i < l->count && l->groups[i].used)
        i++;
    if (i == MU_CGROUPS_MAX || !group_set(l, i + 1, mem_bytes))
        return false;
    l->groups[i].used = true;
    l->count = i + 1 > l->count ? i + 1 : l->count;
    snprintf(l->procs, sizeof l->procs, "%s", group_file(l, i + 1, "cgroup.procs"));
    *out_number = i + 1;
    *out_procs = l->procs;
    return true;
}

void mu_cgroups_adopt(struct mu_cgroups *l, uint32_t number, bool runs)
{
    if (number == 0 || number > MU_CGROUPS_MAX || l->mode == MODE_NONE)
        return;
    l->groups[number - 1].made = l->groups[number - 1].used = true;
    l->groups[number - 1].ooms = runs ? group_ooms(l, number) : 0;
    l->count = number > l->count ? number : l->count;
}

/* What the spawner could not find by its own means ends here. */
static bool group_empty(struct mu_cgroups *l, uint32_t number)
{
    for (int i = 0; i < 10; i++) {
        char text[4096], *at = text, *end;

        if (!file_read(group_file(l, number, "cgroup.procs"), text, sizeof text) || text[0] == '\0')
            return true;
        for (long pid; (pid = strtol(at, &end, 10)) > 0 && end != at; at = end)
            kill((pid_t)pid, SIGKILL);
    }
    return false;
}

void mu_cgroups_give(struct mu_cgroups *l, uint32_t number, struct mu_cgroups_use *out)
{
    struct group *g;
    char text[32];

    *out = (struct mu_cgroups_use){ 0 };
    if (number == 0 || number > l->count || !l->groups[number - 1].used)
        return;
    g = &l->groups[number - 1];
    out->oom = group_ooms(l, number) > g->ooms;
    if (file_read(group_file(l, number, files[l->mode].peak), text, sizeof text))
        out->peak_bytes = strtoull(text, NULL, 10);
    if (!group_empty(l, number)) { /* it stays behind, and its number is used no more */
        g->made = false;
        return;
    }
    g->used = false;
    if (l->mode == MODE_V2) { /* its peak cannot be set back: a new one for the next */
        group_file(l, number, "");
        g->made = rmdir(l->path) != 0;
    }
}

void mu_cgroups_close(struct mu_cgroups *l)
{
    if (l == NULL)
        return;
    for (uint32_t i = 0; l->mode != MODE_NONE && i < l->count; i++) {
        group_file(l, i + 1, "");
        rmdir(l->path);
    }
    if (l->mode != MODE_NONE)
        rmdir(l->dir);
    free(l);
}
