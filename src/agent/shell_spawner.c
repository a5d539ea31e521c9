/* agent/shell_spawner.c -- the agent's side of its spawner: find it or start it, hand it work, hear of ends, and what is to be
 * done when it is lost. The program itself is part of this one (spawner_image). */
#include "agent/shell.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/log.h"
#include "io/files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIND_MS = 3, START_MS = 10000, CONNECT_MS = 2000 };

extern const unsigned char spawner_image[];
extern const size_t spawner_image_size;
extern char **environ;

static void spawner_connect(struct mu_shell *sh);

/* Frames out. */

static void put(struct mu_shell *sh, const void *frame, size_t size)
{
    if (sh->spawner.stream != NULL)
        mu_stream_write(sh->spawner.stream, frame, size);
}

static void refuse(struct mu_shell *sh, uint64_t id, uint32_t code)
{
    if (sh->spawner.refused_count == sh->spawner.refused_cap) {
        sh->spawner.refused_cap = sh->spawner.refused_cap > 0 ? 2 * sh->spawner.refused_cap : 16;
        sh->spawner.refused = realloc(sh->spawner.refused, sh->spawner.refused_cap * sizeof *sh->spawner.refused);
        MU_ASSERT(sh->spawner.refused != NULL);
    }
    sh->spawner.refused[sh->spawner.refused_count++] = (struct mu_agent_exit){ .id = id, .how = MU_END_NOSTART, .code = code };
}

void mu_shell_on_spawn(void *arg, const struct mu_agent_spawn *spawn)
{
    struct mu_shell *sh = arg;
    struct mu_prepare_limits limits = { 0 };
    struct mu_cgroups_use use;
    uint32_t code;

    if (sh->spawner.stream == NULL) /* lost: on_boot will end it */
        return;
    if (spawn->spec->mem_bytes > 0 && !mu_cgroups_take(sh->limits, spawn->spec->mem_bytes, &limits.tag, &limits.cgroups[0]))
        limits.data_bytes = spawn->spec->mem_bytes;
    code = mu_prepare_frame(sh->prepare, spawn, &limits, mu_stream_out(sh->spawner.stream));
    if (code == 0)
        return;
    if (limits.tag != 0)
        mu_cgroups_give(sh->limits, limits.tag, &use);
    refuse(sh, spawn->id, code);
}

void mu_shell_on_lane(void *arg, uint32_t lane, uint32_t max)
{
    struct mu_sp_lane l = { { sizeof l, MU_SP_LANE }, lane, max };

    put(arg, &l, sizeof l);
}

void mu_shell_on_kill(void *arg, uint64_t id, int signal, enum mu_end why)
{
    struct mu_sp_kill k = { { sizeof k, MU_SP_KILL }, id, (uint32_t)signal, (uint32_t)why };

    put(arg, &k, sizeof k);
}

void mu_shell_on_forget(void *arg, uint64_t id)
{
    struct mu_sp_forget f = { { sizeof f, MU_SP_FORGET }, id };

    put(arg, &f, sizeof f);
}

void mu_shell_on_lease(void *arg, uint64_t dead_ms)
{
    struct mu_shell *sh = arg;
    struct mu_sp_lease l = { { sizeof l, MU_SP_LEASE }, dead_ms };

    sh->spawner.dead_ms = dead_ms;
    put(sh, &l, sizeof l);
}

void mu_shell_spawner_quit(struct mu_shell *sh, uint64_t grace_ms)
{
    struct mu_sp_quit q = { { sizeof q, MU_SP_QUIT }, grace_ms };

    put(sh, &q, sizeof q);
    if (sh->spawner.stream != NULL)
        mu_stream_flush(sh->spawner.stream);
}

static void release(void *arg, uint64_t id, uint32_t slot, unsigned drop)
{
    struct mu_sp_slot s = { { sizeof s, MU_SP_SLOT }, id, slot, drop };

    put(arg, &s, sizeof s);
}

/* Live tasks. */

static uint64_t key_hash(const struct mu_output_key *k)
{
    return mu_hash_mix(mu_hash_mix(k->job, k->ordinal), k->attempt);
}

struct mu_shell_live *mu_shell_live_find(struct mu_shell *sh, const struct mu_output_key *key)
{
    struct mu_shell_live *t = mu_map_get_ptr(&sh->spawner.by_key, key_hash(key));

    return t != NULL && t->key.job == key->job && t->key.ordinal == key->ordinal && t->key.attempt == key->attempt ? t : NULL;
}

static struct mu_output_slot slot_of(const struct mu_sp_task *p)
{
    return (struct mu_output_slot){ p->slot, p->slot_gen };
}

static void live_put(struct mu_shell *sh, const struct mu_sp_task *p)
{
    struct mu_shell_live *t = mu_map_get_ptr(&sh->spawner.by_id, p->id);

    if (t == NULL) {
        t = calloc(1, sizeof *t);
        MU_ASSERT(t != NULL);
        t->id = p->id;
        t->key = (struct mu_output_key){ p->job, p->ordinal, p->attempt };
        mu_map_put_ptr(&sh->spawner.by_id, p->id, t);
        mu_map_put_ptr(&sh->spawner.by_key, key_hash(&t->key), t);
    }
    mu_shell_output_watch(sh);
    t->slot = slot_of(p);
    t->pid = p->pid;
    t->group = p->tag;
    t->started_us = p->start_us;
}

static void live_drop(struct mu_shell *sh, uint64_t id)
{
    struct mu_shell_live *t = mu_map_get_ptr(&sh->spawner.by_id, id);

    if (t == NULL)
        return;
    mu_map_remove(&sh->spawner.by_id, id);
    mu_map_remove(&sh->spawner.by_key, key_hash(&t->key));
    free(t);
}

/* Frames in. */

static enum mu_end how_of(const struct mu_sp_task *p, bool oom)
{
    static const enum mu_end hows[] = { [MU_SP_EXIT] = MU_END_EXIT, [MU_SP_SIGNAL] = MU_END_SIGNAL,
                                        [MU_SP_NOSTART] = MU_END_NOSTART, [MU_SP_FENCED] = MU_END_NODE_LOST };

    if (oom && (p->how == MU_SP_SIGNAL || (p->how == MU_SP_EXIT && p->code != 0)))
        return MU_END_OOM;
    return p->how < MU_COUNT(hows) ? hows[p->how] : MU_END_NODE_LOST;
}

/* Its output goes to the store, its control group back; what is left is its result. */
static struct mu_agent_exit task_ended(struct mu_shell *sh, const struct mu_sp_task *p)
{
    struct mu_output_key key = { p->job, p->ordinal, p->attempt };
    struct mu_cgroups_use use = { 0 };

    if (p->slot != MU_SP_SLOT_NONE)
        mu_output_take(sh->output, &key, p->id, slot_of(p), p->out_bytes, p->err_bytes);
    if (p->tag != 0)
        mu_cgroups_give(sh->limits, p->tag, &use);
    return (struct mu_agent_exit){ .id = p->id, .how = how_of(p, use.oom), .code = p->code, .run_us = p->run_us,
        .user_us = p->user_us, .sys_us = p->sys_us, .rss_bytes = use.peak_bytes > p->rss_bytes ? use.peak_bytes : p->rss_bytes,
        .out_bytes = p->out_bytes, .err_bytes = p->err_bytes };
}

/* One of the list at the start: kept until all are known, then adopted in one go. */
static void on_task(struct mu_shell *sh, const struct mu_sp_task *p)
{
    uint64_t now_ms = mu_boot_ms(), ago_ms = now_ms - p->start_us / 1000;
    struct mu_agent_task t = { .id = p->id, .job = p->job, .ordinal = p->ordinal, .attempt = p->attempt, .grace_ms = p->grace_ms,
        .started_ago_ms = p->start_us / 1000 < now_ms ? ago_ms : 0, .stop = p->stop_why < MU_ENDS ? p->stop_why : MU_END_EXIT,
        .need = { p->need[0], p->need[1], p->need[2] }, .lane = p->lane, .waits = p->state == MU_SP_WAITING };
    uint32_t n = sh->spawner.adopted_count;

    if (p->timeout_ms > 0)
        t.timeout_left_ms = p->timeout_ms > t.started_ago_ms ? p->timeout_ms - t.started_ago_ms : 1;
    if (n == sh->spawner.adopted_cap) {
        sh->spawner.adopted_cap = n > 0 ? 2 * n : 64;
        sh->spawner.adopted = realloc(sh->spawner.adopted, sh->spawner.adopted_cap * sizeof t);
        sh->spawner.adopted_exits = realloc(sh->spawner.adopted_exits, sh->spawner.adopted_cap * sizeof(struct mu_agent_exit));
        MU_ASSERT(sh->spawner.adopted != NULL && sh->spawner.adopted_exits != NULL);
    }
    mu_cgroups_adopt(sh->limits, p->tag, p->state != MU_SP_ENDED);
    if (p->state == MU_SP_ENDED)
        sh->spawner.adopted_exits[n] = task_ended(sh, p);
    else if (p->state != MU_SP_WAITING)
        live_put(sh, p);
    sh->spawner.adopted_exits[n].id = p->state == MU_SP_ENDED ? p->id : 0;
    sh->spawner.adopted[n] = t;
    sh->spawner.adopted_count++;
}

static void on_listed(struct mu_shell *sh)
{
    sh->spawner.listed = true;
    mu_output_flush(sh->output, release, sh);
    mu_output_sweep(sh->output);
    if (sh->agent == NULL) {
        mu_shell_ready(sh);
    } else {
        if (sh->spawner.lost)
            mu_agent_on_boot(sh->agent, mu_boot_ms(), sh->spawner.boot);
        mu_shell_on_lease(sh, sh->spawner.dead_ms);
    }
    sh->spawner.lost = false;
    for (uint32_t i = 0; i < sh->spawner.adopted_count; i++) {
        struct mu_agent_task *t = &sh->spawner.adopted[i];

        t->exit = sh->spawner.adopted_exits[i].id != 0 ? &sh->spawner.adopted_exits[i] : NULL;
        mu_agent_adopt(sh->agent, mu_boot_ms(), t);
    }
    mu_agent_listed(sh->agent, mu_boot_ms());
    sh->spawner.adopted_count = 0;
}

static void on_frame(struct mu_shell *sh, const void *frame, size_t size)
{
    struct mu_sp_welcome w;
    struct mu_sp_task t;
    struct mu_sp_head h;

    memcpy(&h, frame, sizeof h);
    if (h.type == MU_SP_WELCOME) {
        memcpy(&w, frame, sizeof w);
        memcpy(sh->spawner.boot, w.boot, sizeof w.boot);
        sh->spawner.boot[sizeof w.boot - 1] = '\0';
        sh->spawner.next_id = w.next_id;
        sh->spawner.dead_ms = sh->agent == NULL ? w.dead_ms : sh->spawner.dead_ms;
        mu_prepare_boot(sh->prepare, sh->spawner.boot);
        mu_file_write("boot", sh->spawner.boot, strlen(sh->spawner.boot), 0600, NULL);
        return;
    }
    if (h.type == MU_SP_LISTED) {
        on_listed(sh);
        return;
    }
    MU_ASSERT(size == sizeof t);
    memcpy(&t, frame, sizeof t);
    if (h.type == MU_SP_TASK) {
        on_task(sh, &t);
    } else if (h.type == MU_SP_STARTED) {
        live_put(sh, &t);
        mu_agent_on_started(sh->agent, mu_boot_ms(), t.id);
    } else {
        struct mu_agent_exit exit = task_ended(sh, &t);
        live_drop(sh, t.id);
        mu_agent_on_exit(sh->agent, mu_boot_ms(), &exit);
    }
}

static size_t on_data(void *arg, const uint8_t *bytes, size_t size)
{
    struct mu_shell *sh = arg;
    size_t at = 0, used;

    while ((used = mu_sp_frame(bytes + at, size - at, false)) != 0) {
        if (used == SIZE_MAX) {
            mu_shell_die(sh, "the spawner of %s speaks another language; end its tasks and it, then start again", sh->cfg.data);
            return size;
        }
        on_frame(sh, bytes + at, used);
        at += used;
    }
    return at;
}

/* Losing it. */

/* The output of what ran until now is worth keeping; its spawner cannot tell the sizes any more. */
static void live_salvage(struct mu_shell *sh)
{
    struct mu_map_slot slot;

    for (uint32_t i = 0; (i = mu_map_next(&sh->spawner.by_id, i, &slot)) != 0;) {
        struct mu_shell_live *t = (struct mu_shell_live *)(uintptr_t)slot.value;
        struct mu_cgroups_use use;

        if (t->slot.number != MU_SP_SLOT_NONE) {
            uint64_t out = mu_output_trim_live(sh->output, t->slot, 1), err = mu_output_trim_live(sh->output, t->slot, 2);
            if (out + err > 0)
                mu_output_take(sh->output, &t->key, t->id, t->slot, out, err);
        }
        if (t->group != 0)
            mu_cgroups_give(sh->limits, t->group, &use);
        free(t);
    }
    mu_map_clear(&sh->spawner.by_id);
    mu_map_clear(&sh->spawner.by_key);
    mu_output_flush(sh->output, release, sh);
    mu_output_slots_new(sh->output);
}

static void end_leftovers(struct mu_shell *sh, const char *boot)
{
    uint32_t count = 0, *pids = calloc(sh->spawner.by_id.count + 1, sizeof *pids);
    struct mu_map_slot slot;
    unsigned seen;

    MU_ASSERT(pids != NULL);
    for (uint32_t i = 0; (i = mu_map_next(&sh->spawner.by_id, i, &slot)) != 0;)
        pids[count++] = ((struct mu_shell_live *)(uintptr_t)slot.value)->pid;
    seen = mu_shell_kill_leftovers(boot, pids, count);
    if (seen > 0)
        mu_log(MU_LOG_WARN, "agent", "the spawner was lost: ended %u processes of its tasks", seen);
    free(pids);
}

/* The connection broke. Another agent may have taken it over, or the spawner has died; asking again tells. */
static void on_close(void *arg, const struct mu_err *err)
{
    struct mu_shell *sh = arg;

    (void)err;
    sh->spawner.stream = NULL;
    sh->spawner.listed = false;
    sh->spawner.adopted_count = 0;
    if (sh->spawner.pid > 0 && waitpid(sh->spawner.pid, NULL, WNOHANG) != 0)
        sh->spawner.pid = 0;
    if (sh->stopping) {
        mu_shell_left(sh);
        return;
    }
    mu_log(MU_LOG_WARN, "agent", "the spawner closed its connection");
    sh->spawner.deadline_ms = mu_boot_ms() + START_MS;
    spawner_connect(sh);
}

/* Finding and starting it. */

/* From memory: the data directory may be mounted noexec, and there is nothing to install or to clean up. */
static bool start_program(struct mu_shell *sh)
{
    char path[64], *argv[] = { (char *)"muster-spawner", sh->cfg.data, NULL }, *env[] = { (char *)"PATH=/usr/bin:/bin", NULL };
    int fd = memfd_create("muster-spawner", 0), rc;

    if (fd < 0 || mu_fd_write(fd, spawner_image, spawner_image_size, NULL) != MU_OK) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    fchmod(fd, 0500);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    rc = posix_spawn(&sh->spawner.pid, path, NULL, NULL, argv, env);
    close(fd);
    if (rc != 0) {
        sh->spawner.pid = 0;
        errno = rc;
    }
    return rc == 0;
}

/* Is a spawner alive, though it does not answer? */
static bool spawner_lives(void)
{
    int fd = open(MU_SP_LOCK, O_RDWR | O_CLOEXEC);
    bool lives = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;

    if (fd >= 0)
        close(fd);
    return lives;
}

/* There is none to be found: what an earlier one ran is ended before anything new may start. */
static void spawner_replace(struct mu_shell *sh)
{
    struct mu_buf boot = { 0 };

    if (mu_file_read("boot", MU_SP_BOOT, &boot, NULL) == MU_OK) {
        mu_buf_addc(&boot, '\0');
        end_leftovers(sh, (char *)boot.at);
        unlink("boot");
        sh->spawner.lost = sh->agent != NULL;
        live_salvage(sh);
    }
    mu_buf_fini(&boot);
    if (sh->spawner.pid == 0 && !start_program(sh))
        mu_shell_die(sh, "the spawner cannot be started: %s", strerror(errno));
}

static void on_connected(void *arg, struct mu_stream *s, const struct mu_connect_end *end)
{
    static const struct mu_stream_user user = { .on_data = on_data, .on_close = on_close };
    struct mu_shell *sh = arg;
    struct mu_sp_hello h = { { sizeof h, MU_SP_HELLO }, MU_SP_VERSION, (uint32_t)getpid() };

    sh->spawner.connect = NULL;
    if (s != NULL) {
        sh->spawner.stream = s;
        mu_stream_own(s, &user, sh);
        put(sh, &h, sizeof h);
        return;
    }
    if (sh->spawner.pid > 0 && waitpid(sh->spawner.pid, NULL, WNOHANG) == sh->spawner.pid)
        sh->spawner.pid = 0;
    if (mu_boot_ms() > sh->spawner.deadline_ms) {
        mu_shell_die(sh, "the spawner of %s cannot be reached: %s", sh->cfg.data, end->err.text);
        return;
    }
    if (sh->spawner.pid == 0 && !spawner_lives())
        spawner_replace(sh);
    mu_timer_start(sh->spawner.retry, FIND_MS);
}

static void spawner_connect(struct mu_shell *sh)
{
    char addr[64];

    /* through the directory's descriptor: its own name may be longer than a socket's may be */
    snprintf(addr, sizeof addr, "unix:/proc/self/fd/%d/" MU_SP_SOCKET, sh->spawner.dir);
    sh->spawner.connect = mu_connect(sh->loop, addr, CONNECT_MS, NULL, on_connected, sh);
}

static void on_retry(void *arg)
{
    spawner_connect(arg);
}

void mu_shell_spawner_start(struct mu_shell *sh)
{
    sh->spawner.retry = mu_timer_new(sh->loop, on_retry, sh);
    sh->spawner.deadline_ms = mu_boot_ms() + START_MS;
    spawner_connect(sh);
}

void mu_shell_spawner_close(struct mu_shell *sh)
{
    struct mu_map_slot slot;

    mu_connect_cancel(sh->spawner.connect);
    mu_stream_close(sh->spawner.stream);
    mu_timer_free(sh->spawner.retry);
    for (uint32_t i = 0; (i = mu_map_next(&sh->spawner.by_id, i, &slot)) != 0;)
        free((void *)(uintptr_t)slot.value);
    mu_map_fini(&sh->spawner.by_id);
    mu_map_fini(&sh->spawner.by_key);
    free(sh->spawner.adopted);
    free(sh->spawner.adopted_exits);
    free(sh->spawner.refused);
}

void mu_shell_spawner_turn(struct mu_shell *sh)
{
    for (uint32_t i = 0; i < sh->spawner.refused_count; i++)
        mu_agent_on_exit(sh->agent, mu_boot_ms(), &sh->spawner.refused[i]);
    sh->spawner.refused_count = 0;
    mu_output_flush(sh->output, release, sh);
}
