/* agent/spawner/spawner.c -- the parent of all tasks of a node: one loop over one agent, the signal of ended children, time.
 *
 * muster-spawner DIR: works in DIR, listens on DIR/spawner.sock, ends when told to, or when it has had neither tasks nor an
 * agent for IDLE_US. Life of a task: waiting (for its lane) -> launching (its child has not exec'ed) -> running -> closing (its main
 * process is gone, others may be left) -> ended (until the agent acknowledges it).
 */
#include "slots.h"
#include "strays.h"
#include "sys.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ANNOUNCE_US = 2000,        /* a task that ends sooner is told of once */
    NOTICE_US = 3000, NOTICES = 24, WAITING_LOW = 8, /* with more work waiting, ends are told of together */
    TRIM_US = 1000 * 1000,
    AGAIN_US = 10 * 1000,      /* between looks at processes that should be dead */
    CLOSING_US = 10 * 1000000, /* then a task ends although a process of it cannot be killed */
    IDLE_US = 300 * 1000000,
    QUIT_GRACE_MS = 5000,
    OUT_BYTES = 64 * 1024, READ_BYTES = 64 * 1024, IN_BYTES = MU_SP_FRAME_MAX + READ_BYTES,
};

static struct {
    struct table table;
    struct mu_list launching, running, closing, ended; /* tasks by link */
    struct mu_list due, fresh;                         /* tasks by due: notice owed now; start not told yet */
    uint64_t now_us, next_id, dead_ms, idle_us, looked_us, quit_us; /* quit_us: when to KILL */
    uint32_t live;           /* tasks that are not ended */
    uint32_t waiting;        /* of those, waiting for their lane */
    uint32_t due_count;
    uint64_t due_us, trim_us; /* since when a notice is owed; when to give memory back, 0 never */
    struct lane {
        struct mu_list queue;
        uint32_t running, max;
    } lanes[MU_SP_LANES_MAX];
    char boot[MU_SP_BOOT];
    int listener, agent, signals, null;
    bool reset_oom, stalled, quitting;
    bool look;               /* somebody died: orphans may have come */
    bool hello;              /* the agent has said HELLO */
    uint32_t listed;         /* entries of the table it was told of; UINT32_MAX: all */
    size_t in_size, in_at, out_size, out_at;
    char *in, *out;
} sp;

void mu_assert_failed(const char *file, int line, const char *expr)
{
    static const char text[] = "muster-spawner: a broken invariant: ";

    (void)file, (void)line;
    if (write(2, text, sizeof text - 1) < 0 || write(2, expr, strlen(expr)) < 0 || write(2, "\n", 1) < 0)
        abort();
    abort();
}

static void clock_read(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);
    sp.now_us = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* Ends. */

static void list_move(struct mu_list *to, struct mu_list *link)
{
    mu_list_remove(link);
    mu_list_add_tail(to, link);
}

static struct lane *lane_at(const struct task *task)
{
    return &sp.lanes[task->pub.lane];
}

static void task_ended(struct task *task, bool clean)
{
    struct mu_sp_task *p = &task->pub;

    p->state = MU_SP_ENDED;
    if (p->slot != MU_SP_SLOT_NONE) {
        slot_sizes(p->slot, &p->out_bytes, &p->err_bytes);
        if (p->out_bytes == 0 && p->err_bytes == 0) {
            slot_give(p->slot, clean ? 0 : 3);
            p->slot = MU_SP_SLOT_NONE;
        }
    }
    table_pid_gone(&sp.table, task);
    list_move(&sp.ended, &task->link);
    list_move(&sp.due, &task->due);
    sp.due_us = sp.due_count++ == 0 ? sp.now_us : sp.due_us;
    sp.trim_us = --sp.live == 0 ? sp.now_us + TRIM_US : 0;
    if (task->has_lane)
        lane_at(task)->running--;
}

/* Its main process is gone: what is left of its group goes too. */
static void task_closing(struct task *task)
{
    task->pub.state = MU_SP_DYING;
    task->closing_us = sp.now_us;
    task->pub.run_us = sp.now_us - task->pub.start_us;
    task->group_gone = task->pub.pid == 0 || (kill(-(pid_t)task->pub.pid, SIGKILL) != 0 && errno == ESRCH);
    list_move(&sp.closing, &task->link);
    sp.look = true;
}

static const char *step_text(int step)
{
    static const char *const texts[] = { [STEP_EXEC] = "cannot run ", [STEP_CWD] = "cannot change to directory ",
        [STEP_STDIN] = "cannot open stdin ", [STEP_STDOUT] = "cannot open stdout ", [STEP_STDERR] = "cannot open stderr ",
        [STEP_USER] = "cannot become the user ", [STEP_CGROUP] = "cannot enter the control group ",
        [STEP_LIMIT] = "cannot set limits ", [STEP_FORK] = "cannot start a process " };

    return texts[step];
}

static const char *step_object(const struct mu_sp_spawn_view *v, int step)
{
    switch (step) {
    case STEP_EXEC: return v->argv[0];
    case STEP_CWD: return v->cwd;
    case STEP_STDIN: return v->in;
    case STEP_STDOUT: return v->out;
    case STEP_STDERR: return v->err;
    default: return "";
    }
}

/* A task that cannot start says why on its stderr, as a shell would. */
static void task_nostart(struct task *task, int step, int err)
{
    struct launch *l = task->launch;

    task->pub.how = MU_SP_NOSTART;
    task->pub.code = (uint32_t)err | (uint32_t)step << 16;
    if (task->pub.slot == MU_SP_SLOT_NONE)
        return;
    slot_note(task->pub.slot, "muster: ");
    slot_note(task->pub.slot, step_text(step));
    if (l != NULL)
        slot_note(task->pub.slot, step_object(&l->view, step));
    slot_note(task->pub.slot, ": ");
    slot_note(task->pub.slot, strerror(err));
    slot_note(task->pub.slot, "\n");
}

static void launch_over(struct task *task)
{
    launch_drop(task->launch);
    task->launch = NULL;
}

static void main_reaped(struct task *task, int status, const struct rusage *use)
{
    struct launch *l = task->launch;

    task_use(task, use);
    task->pub.how = WIFSIGNALED(status) ? MU_SP_SIGNAL : MU_SP_EXIT;
    task->pub.code = (uint32_t)(WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    if (l != NULL) {
        if (l->err != 0)
            task_nostart(task, l->step, l->err);
        launch_over(task);
    }
    if (task->fenced)
        task->pub.how = MU_SP_FENCED;
    task_closing(task);
}

static void reap(void)
{
    struct rusage use;
    int status;
    pid_t pid;

    while ((pid = wait4(-1, &status, WNOHANG, &use)) > 0) {
        struct task *task = table_find_pid(&sp.table, (uint32_t)pid);

        if (task != NULL && task->pub.state < MU_SP_DYING)
            main_reaped(task, status, &use);
        else
            strays_reaped(&sp.table, (uint32_t)pid, &use), sp.look = true;
    }
}

static void look(void)
{
    const struct mu_list *const live[2] = { &sp.launching, &sp.running };

    sp.looked_us = sp.now_us;
    sp.look = false;
    strays_scan(&sp.table, live, sp.now_us);
}

/* When the next look at our children is due. It costs a tenth of a microsecond a child, so many children are looked at
 * less often; those that should be dead are given time. */
static uint64_t look_us(void)
{
    if (sp.look)
        return sp.looked_us + sp.live;
    return mu_list_is_empty(&sp.closing) && !sp.quitting ? UINT64_MAX : sp.looked_us + AGAIN_US;
}

/* End the closing tasks of which nothing is left. The look is one call for all of them. */
static void close_tasks(void)
{
    if (look_us() > sp.now_us)
        return;
    MU_LIST_EACH(it, &sp.closing)
        MU_CONTAINER(it, struct task, link)->held = false;
    look();
    MU_LIST_EACH_SAFE(it, &sp.closing) {
        struct task *task = MU_CONTAINER(it, struct task, link);
        bool late = sp.now_us - task->closing_us > CLOSING_US;

        if (!task->group_gone)
            task->group_gone = kill(-(pid_t)task->pub.pid, SIGKILL) != 0 && errno == ESRCH;
        if ((task->group_gone && !task->held) || late)
            task_ended(task, !late);
    }
}

/* It was told to stop before its turn came. */
static void waiting_drop(struct task *task)
{
    sp.waiting--;
    launch_over(task);
    task->pub.how = MU_SP_FENCED;
    task_closing(task);
}

/* Starts. */

static void launches_sweep(void)
{
    MU_LIST_EACH_SAFE(it, &sp.launching) {
        struct task *task = MU_CONTAINER(it, struct task, link);

        if (!launch_is_over(task->launch) || task->launch->err != 0)
            continue;
        launch_over(task);
        task->pub.state = MU_SP_RUNNING;
        list_move(&sp.running, &task->link);
        list_move(&sp.fresh, &task->due);
    }
}

static bool needs_slot(const struct mu_sp_spawn_view *v)
{
    return *v->out == '\0' || *v->err == '\0';
}

static int launch_streams(struct task *task, struct launch *l)
{
    long slot = MU_SP_SLOT_NONE;

    if (needs_slot(&l->view)) {
        slot = slot_take(l->view.head.flags & MU_SP_USER ? l->view.head.uid : (uint32_t)geteuid());
        if (slot < 0)
            return (int)-slot;
        task->pub.slot = (uint32_t)slot;
        task->pub.slot_gen = slot_generation(task->pub.slot);
    }
    l->fd[0] = *l->view.in == '\0' ? sp.null : -1;
    l->fd[1] = *l->view.out == '\0' ? slot_fd((uint32_t)slot, 1) : -1;
    l->fd[2] = *l->view.err == '\0' ? slot_fd((uint32_t)slot, 2) : -1;
    l->reset_oom = sp.reset_oom;
    return 0;
}

static void task_launch(struct task *task)
{
    struct launch *l = task->launch;
    int err = launch_streams(task, l);

    clock_read();
    task->pub.start_us = sp.now_us;
    task->pub.state = MU_SP_STARTING;
    long pid = err == 0 ? launch_start(l) : -err;
    if (pid > 0) {
        table_pid(&sp.table, task, (uint32_t)pid);
        list_move(&sp.launching, &task->link);
    } else {
        task_nostart(task, STEP_FORK, (int)-pid);
        launch_over(task);
        task_closing(task);
    }
    if (task->pub.slot != MU_SP_SLOT_NONE)
        slot_started(task->pub.slot);
}

static void lane_go(struct lane *lane)
{
    while (lane->running < lane->max && !mu_list_is_empty(&lane->queue)) {
        struct task *task = MU_CONTAINER(lane->queue.next, struct task, link);

        sp.waiting--;
        lane->running++;
        task->has_lane = true;
        task_launch(task);
    }
}

static void lanes_go(void)
{
    for (int i = 1; i < MU_SP_LANES_MAX && sp.waiting > 0; i++)
        lane_go(&sp.lanes[i]);
}

/* Requests. A false one breaks the connection. */

static bool on_spawn(const void *frame, size_t size)
{
    struct launch *l = launch_take();
    const struct mu_sp_spawn *s = &l->view.head;
    struct task *task;

    if (!launch_load(l, frame, size) || s->id == 0 || table_find(&sp.table, s->id) != NULL || s->lane >= MU_SP_LANES_MAX ||
        sp.waiting == MU_SP_WAITING_MAX || (task = table_take(&sp.table, s->id)) == NULL) {
        launch_drop(l);
        return false;
    }
    if (s->id >= sp.next_id)
        sp.next_id = s->id + 1;
    sp.live++;
    sp.trim_us = 0;
    task->launch = l;
    task->pub = (struct mu_sp_task){ .id = s->id, .job = s->job, .ordinal = s->ordinal, .attempt = s->attempt,
        .timeout_ms = s->timeout_ms, .grace_ms = s->grace_ms, .need = { s->need[0], s->need[1], s->need[2] },
        .start_us = sp.now_us, .slot = MU_SP_SLOT_NONE, .tag = s->tag, .lane = s->lane };
    if (sp.dead_ms <= sp.now_us / 1000 || sp.quitting) { /* too late: its agent does not know the time yet */
        task->pub.how = MU_SP_FENCED;
        launch_over(task);
        task_closing(task);
    } else if (s->lane == 0) {
        task_launch(task);
    } else {
        sp.waiting++;
        list_move(&lane_at(task)->queue, &task->link);
        lane_at(task)->max = s->lane_max;
        lane_go(lane_at(task));
    }
    return true;
}

static void task_signal(struct task *task, int signal)
{
    pid_t pid = (pid_t)task->pub.pid;

    if (task->pub.state == MU_SP_ENDED || pid == 0)
        return;
    if (task->pub.state == MU_SP_DYING && task->group_gone) {
        strays_signal(task, signal);
        return;
    }
    if (kill(-pid, signal) != 0 && task->pub.state != MU_SP_DYING)
        kill(pid, signal); /* it has not made its group yet */
    if (signal == SIGTERM)
        kill(-pid, SIGCONT);
    strays_signal(task, signal);
}

static bool on_kill(const void *frame)
{
    struct mu_sp_kill k;
    struct task *task;

    memcpy(&k, frame, sizeof k);
    if (k.signal == 0 || k.signal > 64)
        return false;
    if ((task = table_find(&sp.table, k.id)) == NULL || task->pub.state == MU_SP_ENDED)
        return true;
    if (task->pub.stop_why == 0)
        task->pub.stop_why = k.why;
    if (task->pub.state == MU_SP_WAITING) {
        waiting_drop(task);
        return true;
    }
    look();
    task_signal(task, (int)k.signal);
    return true;
}

static bool on_forget(const void *frame)
{
    struct mu_sp_forget f;
    struct task *task;

    memcpy(&f, frame, sizeof f);
    if ((task = table_find(&sp.table, f.id)) == NULL)
        return true;
    if (task->pub.state != MU_SP_ENDED)
        return false;
    if (task->pub.slot != MU_SP_SLOT_NONE)
        slot_give(task->pub.slot, 3);
    table_drop(&sp.table, task);
    return true;
}

static bool on_slot(const void *frame)
{
    struct mu_sp_slot s;
    struct task *task;

    memcpy(&s, frame, sizeof s);
    task = table_find(&sp.table, s.id);
    if (s.drop > 3 || task == NULL || task->pub.state != MU_SP_ENDED || task->pub.slot != s.slot ||
        s.slot == MU_SP_SLOT_NONE)
        return false;
    task->pub.slot = MU_SP_SLOT_NONE;
    slot_give(s.slot, s.drop);
    return true;
}

static bool on_lane(const void *frame)
{
    struct mu_sp_lane l;

    memcpy(&l, frame, sizeof l);
    if (l.lane == 0 || l.lane >= MU_SP_LANES_MAX)
        return false;
    sp.lanes[l.lane].max = l.max;
    lane_go(&sp.lanes[l.lane]);
    return true;
}

static void waiting_drop_all(void)
{
    for (int i = 1; i < MU_SP_LANES_MAX && sp.waiting > 0; i++)
        MU_LIST_EACH_SAFE(it, &sp.lanes[i].queue)
            waiting_drop(MU_CONTAINER(it, struct task, link));
}

static void fence(void)
{
    struct mu_list *const live[2] = { &sp.launching, &sp.running };

    waiting_drop_all();
    for (int i = 0; i < 2; i++)
        MU_LIST_EACH(it, live[i]) {
            struct task *task = MU_CONTAINER(it, struct task, link);
            task->fenced = true;
            task_signal(task, SIGKILL);
        }
}

static void quit(uint64_t grace_ms)
{
    struct mu_list *const live[2] = { &sp.launching, &sp.running };

    if (sp.quitting)
        return;
    sp.quitting = true;
    waiting_drop_all();
    sp.quit_us = sp.now_us + (grace_ms < UINT32_MAX ? grace_ms : UINT32_MAX) * 1000;
    for (int i = 0; i < 2; i++)
        MU_LIST_EACH(it, live[i])
            task_signal(MU_CONTAINER(it, struct task, link), SIGTERM);
}

static void out_put(const void *bytes, size_t size)
{
    MU_ASSERT(sp.out_size + size <= OUT_BYTES);
    memcpy(sp.out + sp.out_size, bytes, size);
    sp.out_size += size;
}

static bool on_hello(const void *frame)
{
    struct mu_sp_hello h;
    struct mu_sp_welcome w = { .head = { sizeof w, MU_SP_WELCOME }, .version = MU_SP_VERSION, .pid = (uint32_t)getpid(),
        .next_id = sp.next_id, .dead_ms = sp.dead_ms, .tasks = sp.table.count };

    memcpy(&h, frame, sizeof h);
    if (sp.hello || h.version == 0)
        return false;
    memcpy(w.boot, sp.boot, sizeof w.boot);
    sp.hello = true;
    sp.listed = 0;
    out_put(&w, sizeof w);
    return true;
}

static bool on_frame(const char *frame, size_t size)
{
    struct mu_sp_head h;
    struct mu_sp_lease lease;
    struct mu_sp_quit q;

    memcpy(&h, frame, sizeof h);
    if (h.type != MU_SP_HELLO && !sp.hello)
        return false;
    switch (h.type) {
    case MU_SP_HELLO: return on_hello(frame);
    case MU_SP_SPAWN: return on_spawn(frame, size);
    case MU_SP_KILL: return on_kill(frame);
    case MU_SP_FORGET: return on_forget(frame);
    case MU_SP_SLOT: return on_slot(frame);
    case MU_SP_LANE: return on_lane(frame);
    case MU_SP_LEASE: return memcpy(&lease, frame, sizeof lease), sp.dead_ms = lease.dead_ms, true;
    case MU_SP_QUIT: return memcpy(&q, frame, sizeof q), quit(q.grace_ms), true;
    default: return false;
    }
}

/* The agent. */

static void agent_close(void)
{
    if (sp.agent >= 0)
        close(sp.agent);
    sp.agent = -1;
    sp.hello = sp.stalled = false;
    sp.in_size = sp.in_at = sp.out_size = sp.out_at = 0;
    sp.due_count = 0;
    sp.idle_us = sp.now_us;
    MU_LIST_EACH_SAFE(it, &sp.due) /* the next agent is told of all by the list */
        mu_list_remove(it);
    MU_LIST_EACH_SAFE(it, &sp.fresh)
        mu_list_remove(it);
}

static void agent_accept(void)
{
    int fd = accept4(sp.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (fd < 0)
        return;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || (peer.uid != geteuid() && peer.uid != 0)) {
        close(fd);
        return;
    }
    agent_close();
    sp.agent = fd;
}

static bool is_spawn(const void *frame)
{
    struct mu_sp_head h;

    memcpy(&h, frame, sizeof h);
    return h.type == MU_SP_SPAWN;
}

static void requests_take(void)
{
    size_t n;

    sp.stalled = false;
    while ((n = mu_sp_frame(sp.in + sp.in_at, sp.in_size - sp.in_at, true)) != 0) {
        if (n != SIZE_MAX && is_spawn(sp.in + sp.in_at) && !launch_has_free()) {
            launches_sweep();
            if (!launch_has_free()) { /* all areas are in use: go on when one is free */
                sp.stalled = true;
                return;
            }
        }
        if (n == SIZE_MAX || !on_frame(sp.in + sp.in_at, n)) {
            agent_close();
            return;
        }
        sp.in_at += n;
    }
    if (sp.in_at > 0)
        memmove(sp.in, sp.in + sp.in_at, sp.in_size - sp.in_at);
    sp.in_size -= sp.in_at;
    sp.in_at = 0;
}

static void agent_read(void)
{
    size_t room = IN_BYTES - sp.in_size;
    ssize_t n;

    if (sp.stalled || room == 0)
        return;
    n = read(sp.agent, sp.in + sp.in_size, room < READ_BYTES ? room : READ_BYTES);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        agent_close();
        return;
    }
    if (n > 0)
        sp.in_size += (size_t)n;
    requests_take();
}

static bool out_task(struct task *task, enum mu_sp_type type)
{
    if (OUT_BYTES - sp.out_size < sizeof task->pub)
        return false;
    task->pub.head = (struct mu_sp_head){ sizeof task->pub, type };
    out_put(&task->pub, sizeof task->pub);
    mu_list_remove(&task->due);
    return true;
}

/* While there is work enough here, each end need not wake the agent. */
static bool notices_wait(void)
{
    return sp.waiting > WAITING_LOW && sp.due_count < NOTICES && sp.now_us - sp.due_us < NOTICE_US;
}

/* First the list, then what has happened since. false: no room now. */
static bool out_fill(void)
{
    static const struct mu_sp_head done = { sizeof done, MU_SP_LISTED };

    for (; sp.listed < sp.table.used_max; sp.listed++)
        if (sp.table.all[sp.listed].pub.id != 0 && !out_task(&sp.table.all[sp.listed], MU_SP_TASK))
            return false;
    if (sp.listed != UINT32_MAX) {
        if (OUT_BYTES - sp.out_size < sizeof done)
            return false;
        out_put(&done, sizeof done);
        sp.listed = UINT32_MAX;
    }
    if (sp.due_count > 0 && notices_wait())
        return true;
    MU_LIST_EACH_SAFE(it, &sp.fresh) {
        struct task *task = MU_CONTAINER(it, struct task, due);
        if (sp.now_us - task->pub.start_us < ANNOUNCE_US)
            break;
        if (!out_task(task, MU_SP_STARTED))
            return false;
    }
    MU_LIST_EACH_SAFE(it, &sp.due)
        if (!out_task(MU_CONTAINER(it, struct task, due), MU_SP_EXITED))
            return false;
    sp.due_count = 0;
    return true;
}

static void agent_write(void)
{
    bool all = false;

    while (sp.agent >= 0 && sp.hello && !all) {
        all = sp.out_at > 0 || out_fill();
        if (sp.out_at == sp.out_size) {
            if (all)
                return;
            continue;
        }
        ssize_t n = send(sp.agent, sp.out + sp.out_at, sp.out_size - sp.out_at, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN && errno != EINTR)
                agent_close();
            return;
        }
        sp.out_at += (size_t)n;
        if (sp.out_at < sp.out_size)
            return;
        sp.out_at = sp.out_size = 0;
        all = false; /* there may be more by now */
    }
}

/* The loop. */

static bool nothing_runs(void)
{
    return sp.live == 0;
}

static uint64_t wake_us(void)
{
    uint64_t wake = UINT64_MAX;

#define SOONER(us) (wake = (us) < wake ? (us) : wake)
    if (sp.stalled)
        SOONER(sp.now_us + 1000);
    if (!mu_list_is_empty(&sp.launching)) {
        uint64_t due = MU_CONTAINER(sp.launching.next, struct task, link)->pub.start_us + ANNOUNCE_US;
        SOONER(due > sp.now_us ? due : sp.now_us + ANNOUNCE_US);
    }
    if (sp.hello && sp.due_count > 0)
        SOONER(sp.due_us + NOTICE_US);
    else if (sp.hello && !mu_list_is_empty(&sp.fresh))
        SOONER(MU_CONTAINER(sp.fresh.next, struct task, due)->pub.start_us + ANNOUNCE_US);
    SOONER(look_us());
    if (sp.dead_ms != UINT64_MAX && !nothing_runs())
        SOONER(sp.dead_ms <= sp.now_us / 1000 ? sp.now_us + AGAIN_US : sp.dead_ms * 1000);
    if (sp.quitting)
        SOONER(sp.quit_us > sp.now_us ? sp.quit_us : sp.now_us + AGAIN_US);
    if (sp.trim_us > 0)
        SOONER(sp.trim_us);
    if (sp.agent < 0 && sp.table.count == 0)
        SOONER(sp.idle_us + IDLE_US);
#undef SOONER
    return wake;
}

static void wait_for_events(struct pollfd fds[3])
{
    uint64_t wake = wake_us();
    struct timespec left = { 0 };
    bool write = sp.out_at < sp.out_size;

    fds[0] = (struct pollfd){ .fd = sp.signals, .events = POLLIN };
    fds[1] = (struct pollfd){ .fd = sp.agent, .events = (short)((sp.stalled ? 0 : POLLIN) | (write ? POLLOUT : 0)) };
    fds[2] = (struct pollfd){ .fd = sp.listener, .events = POLLIN };
    if (wake > sp.now_us) {
        uint64_t us = wake - sp.now_us;
        left = (struct timespec){ (time_t)(us / 1000000), (long)(us % 1000000) * 1000 };
    }
    if (ppoll(fds, 3, wake == UINT64_MAX ? NULL : &left, NULL) < 0)
        fds[0].revents = fds[1].revents = fds[2].revents = 0;
}

static void on_signals(void)
{
    struct signalfd_siginfo si[4];
    ssize_t n;

    do {
        n = read(sp.signals, si, sizeof si);
        for (ssize_t i = 0; i < n / (ssize_t)sizeof si[0]; i++)
            if (si[i].ssi_signo == SIGTERM)
                quit(QUIT_GRACE_MS);
    } while (n == sizeof si);
}

/* false: time to end. */
static bool turn(void)
{
    struct pollfd fds[3];

    wait_for_events(fds);
    clock_read();
    if (fds[0].revents & POLLIN) {
        on_signals();
        reap();
    }
    if (fds[1].revents & (POLLIN | POLLHUP | POLLERR))
        agent_read();
    else if (sp.stalled)
        requests_take();
    if (fds[2].revents & POLLIN)
        agent_accept();
    launches_sweep();
    close_tasks();
    lanes_go();
    if (sp.trim_us > 0 && sp.now_us >= sp.trim_us) {
        launches_trim();
        sp.trim_us = 0;
    }
    if (sp.dead_ms <= sp.now_us / 1000 || (sp.quitting && sp.quit_us <= sp.now_us))
        fence();
    agent_write();
    if (sp.quitting)
        return (!nothing_runs() || strays_count() > 0) && sp.now_us < sp.quit_us + CLOSING_US;
    return sp.agent >= 0 || sp.table.count > 0 || sp.now_us - sp.idle_us < IDLE_US;
}

/* Start. */

static bool signals_init(void)
{
    static const char by_default[64]; /* the kernel's struct sigaction, SIG_DFL */
    sigset_t all;

    for (int i = 1; i < 65; i++) /* what our parent ignored, its libc's own signals too, our tasks must not inherit */
        mu_sys(SYS_rt_sigaction, i, by_default, 0, 8);
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    sigemptyset(&all);
    sigaddset(&all, SIGCHLD);
    sigaddset(&all, SIGTERM);
    sp.signals = signalfd(-1, &all, SFD_NONBLOCK | SFD_CLOEXEC);
    return sp.signals >= 0;
}

static void files_init(void)
{
    char score[16] = "";
    int log = open("spawner.log", O_WRONLY | O_CREAT | O_APPEND, 0600), fd;

    sp.null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3; i++)
        dup2(i == 2 && log >= 0 ? log : sp.null, i);
    for (int i = 3; i < 1024; i++)
        if (i != sp.null)
            close(i); /* the lock and the socket are opened after this */
    if ((fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC)) >= 0) {
        sp.reset_oom = read(fd, score, sizeof score - 1) > 0 && score[0] != '0';
        close(fd);
    }
}

static bool socket_init(void)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = MU_SP_SOCKET };
    int lock = open(MU_SP_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) != 0)
        return false; /* another spawner serves this directory */
    unlink(MU_SP_SOCKET);
    sp.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return sp.listener >= 0 && bind(sp.listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(sp.listener, 8) == 0;
}

static bool boot_init(void)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t random[(MU_SP_BOOT - 8) / 2];

    if (getrandom(random, sizeof random, 0) != sizeof random)
        return false;
    for (size_t i = 0; i < sizeof random; i++) {
        sp.boot[2 * i] = hex[random[i] >> 4];
        sp.boot[2 * i + 1] = hex[random[i] & 15];
    }
    return true;
}

int main(int argc, char **argv)
{
    static char in[IN_BYTES], out[OUT_BYTES];

    if (argc != 2 || argv[1][0] == '-')
        return 2;
    umask(077);
    if (chdir(argv[1]) != 0)
        return 1;
    prctl(PR_SET_NAME, "muster-spawner"); /* started from memory it has no name of its own */
    setsid(); /* fails when whoever started us did it already */
    files_init();
    if (!boot_init() || !signals_init() || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
        return 1;
    sp.in = in;
    sp.out = out;
    sp.agent = -1;
    sp.next_id = 1;
    sp.dead_ms = UINT64_MAX;
    mu_list_init(&sp.launching);
    mu_list_init(&sp.running);
    mu_list_init(&sp.closing);
    mu_list_init(&sp.ended);
    mu_list_init(&sp.due);
    mu_list_init(&sp.fresh);
    for (int i = 0; i < MU_SP_LANES_MAX; i++)
        mu_list_init(&sp.lanes[i].queue);
    table_init(&sp.table);
    slots_init();
    launches_init();
    strays_init(sp.boot);
    if (!socket_init())
        return 3;
    clock_read();
    sp.idle_us = sp.now_us;
    while (turn()) {}
    unlink(MU_SP_SOCKET);
    return 0;
}
