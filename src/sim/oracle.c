/* The oracle: sees every committed effect and every process at true time, and knows what was promised.
 *
 * It keeps its own small picture of the tasks, from effects only, with its own table of allowed moves; and for each seq
 * what the entry, its effects and the state after it hashed to, so that every replay has to come to the same. Names in
 * brackets are those of the invariants. */
#include "sim/cluster.h"

#include "base/hash.h"

enum { NONE = MU_TASK_STATES, CHECK_EVERY = 64, HASH_EVERY = 64 };

#define TO(s) (1u << MU_TASK_##s)
#define FINAL (TO(SUCCEEDED) | TO(FAILED) | TO(CANCELLED) | TO(LOST))
#define AGAIN (TO(READY) | TO(BACKOFF))
#define FRESH (TO(READY) | TO(BLOCKED))
static const unsigned moves[] = {
    [MU_TASK_BLOCKED] = TO(READY) | TO(CANCELLED) | TO(FAILED),
    [MU_TASK_READY] = TO(STARTING) | TO(CANCELLED) | TO(FAILED),
    [MU_TASK_BACKOFF] = TO(READY) | TO(CANCELLED) | TO(FAILED),
    [MU_TASK_STARTING] = TO(RUNNING) | TO(STOPPING) | AGAIN | FINAL,
    [MU_TASK_RUNNING] = TO(STOPPING) | AGAIN | FINAL,
    [MU_TASK_STOPPING] = AGAIN | FINAL,
    [MU_TASK_SUCCEEDED] = 0,
    [MU_TASK_FAILED] = FRESH,
    [MU_TASK_CANCELLED] = FRESH,
    [MU_TASK_LOST] = FRESH,
};

struct seen_task {
    uint8_t state;
    bool live;        /* its attempt is placed and not over */
    uint32_t attempt; /* the last one placed */
    uint32_t node;
    uint32_t starts, losses, preempted; /* since it was submitted or retried */
    uint64_t failed_ms;      /* when its last attempt failed; 0 */
};
struct seen_job {
    uint64_t id;
    struct mu_plan *plan;
    struct seen_task *tasks;
    uint32_t count, groups;
    uint64_t retried_seq; /* of the last entry with a RETRY of it */
    bool forgotten;
};
/* One attempt's process, as it really was. */
struct evidence {
    uint32_t node;
    bool alive;
    struct mu_agent_exit exit;
};
struct seen_seq {
    uint64_t entry, fx, state; /* hashes; state 0: not taken */
};

struct mu_oracle {
    struct mu_cluster *cluster;
    struct mu_list plans;
    struct seen_job *jobs; /* by id - 1 */
    uint64_t jobs_count, jobs_cap;
    struct seen_seq *seqs; /* by seq - 1 */
    uint64_t seqs_cap, seen; /* seen: the last seq applied by anybody */
    struct seen_seq now;     /* of the entry being applied */
    bool loaded;             /* applied() comes from a snapshot */
    struct mu_map evidence, alive; /* task key + attempt: struct evidence; task key: its live process */
    struct mu_arena arena;
    uint64_t attempts, lost, acked;
};

static void fail_at(struct mu_oracle *o, uint64_t job, uint32_t ordinal, const char *what, uint64_t a, uint64_t b)
{
    mu_world_fail(&o->cluster->world, "task %llu.%u: %s (%llu, %llu)", (unsigned long long)job, ordinal, what,
                  (unsigned long long)a, (unsigned long long)b);
}

static const struct mu_core *core_of(const struct mu_oracle *o)
{
    return mu_ctl_core(o->cluster->server.ctl);
}

static uint64_t attempt_key(uint64_t job, uint32_t ordinal, uint32_t attempt)
{
    return mu_hash_mix(mu_task_key(job, ordinal), attempt);
}

/* ---- jobs as effects show them ---- */

static struct mu_plan *plan_by_key(struct mu_oracle *o, struct mu_str key)
{
    MU_LIST_EACH(it, &o->plans) {
        struct mu_plan *p = MU_CONTAINER(it, struct mu_plan, link);
        if (mu_str_is(key, p->key))
            return p;
    }
    return NULL;
}

static struct seen_job *job_at(struct mu_oracle *o, uint64_t id)
{
    if (id > o->jobs_cap) {
        uint64_t cap = id < 64 ? 64 : 2 * id;
        o->jobs = realloc(o->jobs, cap * sizeof *o->jobs);
        MU_ASSERT(o->jobs != NULL);
        memset(o->jobs + o->jobs_cap, 0, (cap - o->jobs_cap) * sizeof *o->jobs);
        o->jobs_cap = cap;
    }
    o->jobs_count = id > o->jobs_count ? id : o->jobs_count;
    return &o->jobs[id - 1];
}

static uint32_t plan_tasks(const struct mu_plan *p)
{
    uint32_t tasks = 0;

    for (uint32_t i = 0; i < p->spec.groups_count; i++)
        tasks += p->spec.groups[i].tasks;
    return p->spec.groups[0].each_node.count > 0 ? 0 : tasks;
}

/* A job that came in parts and lost its leader before the last is dropped whole; nobody was told that it exists. */
static bool was_incomplete(const struct seen_job *job)
{
    return job->plan && !job->plan->acked && job->count < plan_tasks(job->plan);
}

/* Tasks that came since the last look; they begin as their group says. */
static void job_grow(struct mu_oracle *o, struct seen_job *job, uint32_t tasks)
{
    struct mu_group_view g;
    struct mu_group_spec spec;

    job->tasks = realloc(job->tasks, (tasks + 1) * sizeof *job->tasks);
    MU_ASSERT(job->tasks != NULL);
    for (uint32_t i = job->count; i < tasks; i++) {
        uint32_t group = mu_view_group_of(core_of(o), job->id, i);
        mu_arena_reset(&o->arena);
        MU_ASSERT(mu_view_group(core_of(o), job->id, group, &g) && mu_view_group_spec(core_of(o), job->id, group, &spec, &o->arena));
        job->tasks[i] = (struct seen_task){ .state = spec.after_count > 0 ? MU_TASK_BLOCKED : MU_TASK_READY, .node = MU_NODE_NONE };
    }
    job->count = tasks;
}

static struct seen_job *job_seen(struct mu_oracle *o, uint64_t id)
{
    struct seen_job *job = job_at(o, id);
    struct mu_job_view view;

    if (!mu_view_job(core_of(o), id, &view))
        return job;
    if (job->id == 0) {
        job->id = id;
        job->plan = plan_by_key(o, view.key);
        if (job->plan == NULL)
            mu_world_fail(&o->cluster->world, "job %llu was made by nobody", (unsigned long long)id);
        else if (job->plan->job != 0 && !o->jobs[job->plan->job - 1].forgotten && !was_incomplete(&o->jobs[job->plan->job - 1]))
            mu_world_fail(&o->cluster->world, "one key, two jobs: %s is %llu and %llu [S2]", job->plan->key,
                          (unsigned long long)job->plan->job, (unsigned long long)id);
        else
            job->plan->job = id;
    }
    if (view.tasks > job->count)
        job_grow(o, job, view.tasks);
    return job;
}

/* ---- what has to hold when a task moves ---- */

static bool pred_is(const struct seen_job *job, uint32_t first, uint32_t count, bool ok)
{
    for (uint32_t i = first; i < first + count; i++)
        if (ok ? job->tasks[i].state != MU_TASK_SUCCEEDED : !mu_task_is_final((enum mu_task_state)job->tasks[i].state))
            return false;
    return true;
}

static bool dep_is_met(struct mu_oracle *o, struct seen_job *job, uint32_t at_in_group, const struct mu_dep *dep)
{
    bool ok = dep->kind == MU_DEP_OK || dep->kind == MU_DEP_EACH_OK;
    struct mu_group_view on;

    if (dep->job != 0) {
        const struct seen_job *pred = &o->jobs[dep->job - 1];
        return pred_is(pred, 0, pred->count, ok);
    }
    MU_ASSERT(mu_view_group(core_of(o), job->id, dep->group, &on));
    if (dep->kind == MU_DEP_EACH_OK || dep->kind == MU_DEP_EACH_ANY)
        return pred_is(job, on.first + at_in_group, 1, ok);
    return pred_is(job, on.first, on.tasks, ok);
}

/* What had ended once stays met, also when it is tried again. */
static bool was_met_once(const struct mu_oracle *o, const struct seen_job *job, const struct mu_dep *dep)
{
    const struct seen_job *pred = dep->job ? &o->jobs[dep->job - 1] : job;

    return pred->retried_seq != 0 && (dep->kind == MU_DEP_ANY || dep->kind == MU_DEP_EACH_ANY);
}

static void deps_check(struct mu_oracle *o, struct seen_job *job, uint32_t ordinal)
{
    uint32_t group = mu_view_group_of(core_of(o), job->id, ordinal);
    struct mu_group_view g;
    struct mu_group_spec spec;

    mu_arena_reset(&o->arena);
    MU_ASSERT(mu_view_group(core_of(o), job->id, group, &g) && mu_view_group_spec(core_of(o), job->id, group, &spec, &o->arena));
    for (uint32_t i = 0; i < spec.after_count; i++)
        if (!was_met_once(o, job, &spec.after[i]) && !dep_is_met(o, job, ordinal - g.first, &spec.after[i]))
            mu_world_fail(&o->cluster->world, "task %llu.%u is ready before what it comes after [S11]: %s %llu, kind %u", (unsigned long long)job->id,
                          ordinal, spec.after[i].job ? "job" : "group", (unsigned long long)(spec.after[i].job ? spec.after[i].job : spec.after[i].group),
                          spec.after[i].kind);
}

static void task_moves(struct mu_oracle *o, struct seen_job *job, uint32_t ordinal, enum mu_task_state to, uint64_t seq)
{
    struct seen_task *t = &job->tasks[ordinal];
    bool again = mu_task_is_final((enum mu_task_state)t->state);

    if ((moves[t->state] >> to & 1) == 0)
        fail_at(o, job->id, ordinal, "made a move that is not allowed [S5]: from, to", t->state, to);
    if (again && job->retried_seq != seq)
        fail_at(o, job->id, ordinal, "left its final state unasked [S5]: from, to", t->state, to);
    if (again)
        *t = (struct seen_task){ .attempt = t->attempt, .node = MU_NODE_NONE };
    t->state = (uint8_t)to;
}

static void tasks_moved(struct mu_oracle *o, struct seen_job *job, const struct mu_fx *fx, uint64_t seq)
{
    bool fresh = fx->state == MU_TASK_READY;

    for (uint32_t i = fx->ordinal; i < fx->ordinal + fx->count; i++) {
        bool waited = job->tasks[i].state == MU_TASK_BLOCKED || mu_task_is_final((enum mu_task_state)job->tasks[i].state);
        task_moves(o, job, i, fx->state, seq);
        if (fresh && waited)
            deps_check(o, job, i);
    }
}

static void node_is_right(struct mu_oracle *o, const struct mu_fx *fx, const struct mu_group_spec *spec)
{
    const struct mu_node *n = mu_view_node(core_of(o), fx->node);
    const struct mu_node_sim *sim = &o->cluster->nodes[strtoul(n->name + 1, NULL, 10)];

    if (n->state != MU_NODE_UP)
        fail_at(o, fx->job, fx->ordinal, "was placed on a node that takes no work: node, state", fx->node, n->state);
    for (uint32_t i = 0; i < spec->labels.count; i++)
        if (!mu_str_is(spec->labels.at[i], sim->label))
            fail_at(o, fx->job, fx->ordinal, "was placed on a node without the label it needs: node", fx->node, 0);
    if (spec->each_node.count > 0 && mu_view_each_node(core_of(o), fx->job, fx->ordinal) != fx->node)
        fail_at(o, fx->job, fx->ordinal, "was placed on a node that is not its own: node", fx->node, 0);
    for (uint32_t r = 0; r < MU_RES_MAX; r++)
        if (n->used.amount[r] > n->total.amount[r])
            fail_at(o, fx->job, fx->ordinal, "was placed where there is no room [S8]: node, resource", fx->node, r);
}

static void task_placed(struct mu_oracle *o, struct seen_job *job, const struct mu_fx *fx, uint64_t time_ms)
{
    struct seen_task *t = &job->tasks[fx->ordinal];
    uint32_t group = mu_view_group_of(core_of(o), fx->job, fx->ordinal);
    struct mu_group_spec spec;
    struct mu_group_view g;
    struct mu_job_view view;

    mu_arena_reset(&o->arena);
    MU_ASSERT(mu_view_job(core_of(o), fx->job, &view) && mu_view_group(core_of(o), fx->job, group, &g));
    MU_ASSERT(mu_view_group_spec(core_of(o), fx->job, group, &spec, &o->arena));
    if (t->live || fx->attempt != t->attempt + 1)
        fail_at(o, fx->job, fx->ordinal, "was placed out of turn [S3]: attempt, last", fx->attempt, t->attempt);
    t->live = true;
    t->attempt = fx->attempt;
    t->node = fx->node;
    t->starts++;
    if (t->starts > spec.retries + 1 + t->losses + t->preempted || t->losses > MU_INFRA_LOSSES_MAX)
        fail_at(o, fx->job, fx->ordinal, "was tried too often [S13]: starts, losses", t->starts, t->losses);
    if (t->failed_ms != 0 && time_ms < t->failed_ms + spec.backoff_ms)
        fail_at(o, fx->job, fx->ordinal, "was tried again too soon [S13]: failed, now", t->failed_ms, time_ms);
    if (view.held)
        fail_at(o, fx->job, fx->ordinal, "was placed while its job is held", 0, 0);
    if (spec.max_parallel > 0 && g.live > spec.max_parallel)
        fail_at(o, fx->job, fx->ordinal, "runs beside too many of its group: live, limit", g.live, spec.max_parallel);
    node_is_right(o, fx, &spec);
}

/* Is the record true? */
static void end_is_true(struct mu_oracle *o, const struct mu_fx *fx)
{
    const struct evidence *e = mu_map_get_ptr(&o->evidence, attempt_key(fx->job, fx->ordinal, fx->attempt));

    if (e && e->alive)
        fail_at(o, fx->job, fx->ordinal, "is over in the record while its process lives [S3]: attempt, how", fx->attempt, fx->ended->how);
    if (fx->ended->how == MU_END_EXIT && (e == NULL || e->exit.how != MU_END_EXIT || e->exit.code != fx->ended->code))
        fail_at(o, fx->job, fx->ordinal, "has a result that its process did not have [S4]: attempt, code", fx->attempt, fx->ended->code);
    if (fx->state == MU_TASK_SUCCEEDED && (fx->ended->how != MU_END_EXIT || fx->ended->code != 0))
        fail_at(o, fx->job, fx->ordinal, "succeeded without an exit of 0 [S4]: attempt, how", fx->attempt, fx->ended->how);
}

static void task_ended(struct mu_oracle *o, struct seen_job *job, const struct mu_fx *fx, uint64_t time_ms)
{
    struct seen_task *t = &job->tasks[fx->ordinal];
    bool counts = fx->ended->how != MU_END_NODE_LOST && fx->ended->how != MU_END_PREEMPT;

    if (fx->node == MU_NODE_NONE)
        return; /* waits that were dropped: no attempt */
    if (!t->live || t->attempt != fx->attempt || t->node != fx->node)
        fail_at(o, fx->job, fx->ordinal, "got the result of another attempt [S4]: attempt, current", fx->attempt, t->attempt);
    t->live = false;
    t->losses += fx->ended->how == MU_END_NODE_LOST;
    t->preempted += fx->ended->how == MU_END_PREEMPT;
    o->lost += fx->ended->how == MU_END_NODE_LOST;
    t->failed_ms = counts && !mu_task_is_final(fx->state) ? time_ms : 0;
    end_is_true(o, fx);
}

static void job_forgotten(struct mu_oracle *o, uint64_t id)
{
    struct seen_job *job = job_at(o, id);

    for (uint32_t i = 0; i < job->count && !was_incomplete(job); i++)
        if (!mu_task_is_final((enum mu_task_state)job->tasks[i].state))
            fail_at(o, id, i, "was forgotten before its end [S1]: state", job->tasks[i].state, 0);
    job->forgotten = true;
}

static uint64_t fx_hash(uint64_t hash, const struct mu_fx *fx)
{
    const uint64_t n[] = { fx->kind, (uint64_t)fx->rc, fx->job, fx->ordinal, fx->count, fx->group, fx->attempt, fx->node,
                           fx->state, fx->how, fx->existing };

    for (size_t i = 0; i < MU_COUNT(n); i++)
        hash = mu_hash_mix(hash, n[i]);
    return hash;
}

void mu_oracle_effect(struct mu_oracle *o, uint64_t seq, uint64_t time_ms, const struct mu_fx *fx)
{
    struct seen_job *job;

    o->now.fx = fx_hash(o->now.fx, fx);
    if (seq <= o->seen)
        return; /* a replay: only the hashes count */
    if (fx->kind == MU_FX_FORGET)
        job_forgotten(o, fx->job);
    if (fx->kind != MU_FX_TASK && fx->kind != MU_FX_START && fx->kind != MU_FX_ENDED && fx->kind != MU_FX_JOB && fx->kind != MU_FX_STOP)
        return;
    job = job_seen(o, fx->job);
    if (fx->kind != MU_FX_JOB && fx->ordinal + (fx->count ? fx->count : 1) > job->count) {
        fail_at(o, fx->job, fx->ordinal, "is not there: tasks", job->count, fx->kind);
        return;
    }
    if (fx->kind == MU_FX_TASK)
        tasks_moved(o, job, fx, seq);
    else if (fx->kind == MU_FX_START)
        task_placed(o, job, fx, time_ms);
    else if (fx->kind == MU_FX_ENDED)
        task_ended(o, job, fx, time_ms);
}

/* ---- replays agree ---- */

void mu_oracle_begin(struct mu_oracle *o, uint64_t upto)
{
    if (upto > o->seen)
        mu_world_fail(&o->cluster->world, "a snapshot up to %llu of %llu entries", (unsigned long long)upto, (unsigned long long)o->seen);
    o->loaded = upto > 0;
}

void mu_oracle_entry(struct mu_oracle *o, uint64_t seq, uint64_t epoch, const void *bytes, size_t size)
{
    struct mu_reader r;
    struct mu_event ev;
    uint64_t time_ms;

    o->loaded = false;
    o->now = (struct seen_seq){ .entry = mu_hash(bytes, size, epoch) };
    if (seq <= o->seen || !mu_entry_open(&r, bytes, size, &time_ms))
        return;
    for (; mu_arena_reset(&o->arena), mu_entry_next(&r, &ev, &o->arena);)
        if (ev.kind == MU_EV_RETRY && ev.retry.job > 0 && ev.retry.job <= o->jobs_count)
            job_at(o, ev.retry.job)->retried_seq = seq;
}

static void seq_remember(struct mu_oracle *o, uint64_t seq)
{
    if (seq > o->seqs_cap) {
        o->seqs_cap = o->seqs_cap ? 2 * o->seqs_cap : 256;
        o->seqs = realloc(o->seqs, o->seqs_cap * sizeof *o->seqs);
        MU_ASSERT(o->seqs != NULL);
    }
    if (seq != o->seen + 1)
        mu_world_fail(&o->cluster->world, "entry %llu follows %llu", (unsigned long long)seq, (unsigned long long)o->seen);
    o->seqs[seq - 1] = o->now;
    o->seen = seq;
}

void mu_oracle_applied(struct mu_oracle *o, struct mu_ctl *ctl)
{
    uint64_t seq = mu_ctl_applied(ctl);
    struct seen_seq *known;

    if (seq % HASH_EVERY == 0 || o->loaded)
        o->now.state = mu_core_hash(mu_ctl_core(ctl));
    if (seq > o->seen)
        seq_remember(o, seq);
    known = &o->seqs[seq - 1];
    if (!o->loaded && (known->entry != o->now.entry || known->fx != o->now.fx))
        mu_world_fail(&o->cluster->world, "entry %llu differs from what it was: bytes %d effects %d [S16]", (unsigned long long)seq,
                      known->entry != o->now.entry, known->fx != o->now.fx);
    if (known->state != 0 && o->now.state != 0 && known->state != o->now.state)
        mu_world_fail(&o->cluster->world, "the state after entry %llu differs from what it was [S16 S19]", (unsigned long long)seq);
    if (known->state == 0)
        known->state = o->now.state;
    if (seq % CHECK_EVERY != 0)
        return;
    mu_core_check(mu_ctl_core(ctl));
    mu_ctl_check(ctl);
    if (mu_ctl_leads(ctl))
        mu_sched_check(mu_ctl_sched(ctl));
}

void mu_oracle_leads(struct mu_oracle *o, uint64_t epoch, uint64_t next_seq)
{
    struct mu_job_view view;

    (void)epoch;
    if (next_seq != o->seen + 1)
        mu_world_fail(&o->cluster->world, "a leader goes on at %llu after %llu entries were durable [S1]", (unsigned long long)next_seq,
                      (unsigned long long)o->seen);
    MU_LIST_EACH(it, &o->plans) {
        const struct mu_plan *p = MU_CONTAINER(it, struct mu_plan, link);
        if (p->acked && !o->jobs[p->job - 1].forgotten && !mu_view_job(core_of(o), p->job, &view))
            mu_world_fail(&o->cluster->world, "job %llu was acknowledged and is gone [S1]", (unsigned long long)p->job);
    }
}

/* ---- clients ---- */

void mu_oracle_plan(struct mu_oracle *o, struct mu_plan *plan)
{
    mu_list_add_tail(&o->plans, &plan->link);
}

void mu_oracle_acked(struct mu_oracle *o, struct mu_plan *plan, uint64_t job)
{
    const struct seen_job *seen = job > 0 && job <= o->jobs_count ? &o->jobs[job - 1] : NULL;

    if (seen == NULL || seen->id == 0 || (seen->plan != plan && !seen->forgotten))
        mu_world_fail(&o->cluster->world, "%s was acknowledged as job %llu before that was durable [S1 S2]", plan->key, (unsigned long long)job);
    else if (seen->count < plan_tasks(plan))
        mu_world_fail(&o->cluster->world, "%s was acknowledged with %u of %u tasks [S1]", plan->key, seen->count, plan_tasks(plan));
    o->acked += !plan->acked;
    plan->acked = true;
}

struct mu_plan *mu_oracle_stream(struct mu_oracle *o)
{
    struct mu_job_view job;

    MU_LIST_EACH(it, &o->plans) {
        struct mu_plan *p = MU_CONTAINER(it, struct mu_plan, link);
        if (p->acked && p->spec.open == MU_OPEN_STREAM && mu_view_job(core_of(o), p->job, &job) && job.open)
            return p;
    }
    return NULL;
}

/* ---- processes ---- */

static void room_check(struct mu_oracle *o, const struct mu_task_proc *p)
{
    uint64_t cpu = 0, mem = 0;

    MU_LIST_EACH(it, &p->node->procs) {
        const struct mu_task_proc *other = MU_CONTAINER(it, struct mu_task_proc, link);
        cpu += other->running ? other->cpu_milli : 0;
        mem += other->running ? other->mem_bytes : 0;
    }
    if (cpu > p->node->cpu_milli || mem > p->node->mem_bytes)
        fail_at(o, p->job, p->ordinal, "runs where there is no room [S8]: cpu, mem", cpu, mem);
}

void mu_oracle_started(struct mu_oracle *o, const struct mu_task_proc *p)
{
    uint64_t key = mu_task_key(p->job, p->ordinal);
    const struct mu_task_proc *other = mu_map_get_ptr(&o->alive, key);
    const struct seen_job *job = p->job <= o->jobs_count ? &o->jobs[p->job - 1] : NULL;
    struct evidence *e = calloc(1, sizeof *e);

    MU_ASSERT(e != NULL);
    o->attempts++;
    if (other)
        fail_at(o, p->job, p->ordinal, "runs twice at once [S3]: attempts", other->attempt, p->attempt);
    if (job == NULL || p->ordinal >= job->count)
        fail_at(o, p->job, p->ordinal, "runs without a record", 0, 0);
    else if (!job->tasks[p->ordinal].live || job->tasks[p->ordinal].attempt != p->attempt || job->tasks[p->ordinal].node == MU_NODE_NONE)
        fail_at(o, p->job, p->ordinal, "runs though that attempt is over [S7]: attempt, current", p->attempt, job->tasks[p->ordinal].attempt);
    if (mu_map_find(&o->evidence, attempt_key(p->job, p->ordinal, p->attempt)))
        fail_at(o, p->job, p->ordinal, "runs twice as the same attempt [S3]: attempt", p->attempt, 0);
    *e = (struct evidence){ .node = p->node->index, .alive = true };
    mu_map_put_ptr(&o->alive, key, (void *)(uintptr_t)p);
    mu_map_put_ptr(&o->evidence, attempt_key(p->job, p->ordinal, p->attempt), e);
    room_check(o, p);
}

void mu_oracle_ended(struct mu_oracle *o, const struct mu_task_proc *p)
{
    struct evidence *e = mu_map_get_ptr(&o->evidence, attempt_key(p->job, p->ordinal, p->attempt));

    mu_map_remove(&o->alive, mu_task_key(p->job, p->ordinal));
    e->alive = false;
    e->exit = p->exit;
}

void mu_oracle_killed(struct mu_oracle *o, const struct mu_task_proc *p, enum mu_end why)
{
    const struct mu_node_sim *n = p->node;
    const struct seen_task *t = &o->jobs[p->job - 1].tasks[p->ordinal];
    uint64_t age_us = p->running ? o->cluster->world.now_us - p->began_us : 0;
    bool ok = !t->live || t->attempt != p->attempt || t->state == MU_TASK_STOPPING;

    if (why == MU_END_TIMEOUT)
        ok = age_us * 101 / 100 + 5000 >= p->timeout_ms * 1000;
    else if (why == MU_END_PREEMPT)
        ok = n->leaving;
    else if (why == MU_END_NODE_LOST) /* the spawner fences at 0.9 of the lease, the agent stops at 0.8 */
        ok = mu_clock_boot_ms(&n->clock) + 2 >= n->dead_ms - o->cluster->lease_ms / 10;
    if (!ok)
        fail_at(o, p->job, p->ordinal, "is killed without a reason [S7]: attempt, why", p->attempt, why);
}

/* ---- at rest ---- */

bool mu_oracle_is_quiet(struct mu_oracle *o, const struct mu_ctl *ctl)
{
    uint64_t tasks[MU_TASK_STATES], active;
    struct mu_job_view view;

    mu_view_counts(mu_ctl_core(ctl), tasks, &active);
    for (int s = 0; s < MU_TASK_SUCCEEDED; s++)
        if (tasks[s] > 0)
            return false;
    for (uint64_t id = 0; (id = mu_view_job_next(mu_ctl_core(ctl), id)) != 0;)
        if (mu_view_job(mu_ctl_core(ctl), id, &view) && view.open)
            return false;
    for (uint32_t i = 0; i < o->cluster->nodes_count; i++)
        if (!mu_list_is_empty(&o->cluster->nodes[i].procs))
            return false;
    return true;
}

void mu_oracle_rest(struct mu_oracle *o, const struct mu_ctl *ctl)
{
    const struct mu_core *core = mu_ctl_core(ctl);

    if (o->alive.count > 0)
        mu_world_fail(&o->cluster->world, "%u processes are left at rest [S23]", o->alive.count);
    for (uint64_t id = 1; id <= o->jobs_count; id++)
        for (uint32_t i = 0; i < o->jobs[id - 1].count && !o->jobs[id - 1].forgotten; i++)
            if (o->jobs[id - 1].tasks[i].state != mu_view_task(core, id, i))
                fail_at(o, id, i, "is not what its effects said: seen, state", o->jobs[id - 1].tasks[i].state, mu_view_task(core, id, i));
    for (uint32_t i = 0; i < mu_view_nodes(core); i++) {
        const struct mu_node *n = mu_view_node(core, i);
        for (uint32_t r = 0; r < MU_RES_MAX; r++)
            if (n->used.amount[r] != 0)
                mu_world_fail(&o->cluster->world, "node %s still gives resource %u away at rest [S8]", n->name, r);
    }
    for (uint32_t i = 0; i < o->cluster->nodes_count; i++) {
        if (o->cluster->nodes[i].agent && mu_agent_attempts(o->cluster->nodes[i].agent) > 0)
            mu_world_fail(&o->cluster->world, "node %u still has attempts at rest", i);
    }
    o->seqs[o->seen - 1].state = mu_core_hash(core); /* the next start has to come to the same */
}

void mu_oracle_count(const struct mu_oracle *o, struct mu_sim_result *out)
{
    out->entries = o->seen;
    out->jobs = o->jobs_count;
    for (uint64_t id = 1; id <= o->jobs_count; id++) {
        out->tasks += o->jobs[id - 1].count;
        for (uint32_t i = 0; i < o->jobs[id - 1].count; i++)
            out->succeeded += o->jobs[id - 1].tasks[i].state == MU_TASK_SUCCEEDED;
    }
    out->attempts = o->attempts;
    out->lost = o->lost;
    out->acked = o->acked;
}

struct mu_oracle *mu_oracle_new(struct mu_cluster *c)
{
    struct mu_oracle *o = calloc(1, sizeof *o);

    MU_ASSERT(o != NULL);
    o->cluster = c;
    mu_list_init(&o->plans);
    return o;
}

void mu_oracle_free(struct mu_oracle *o)
{
    struct mu_map_slot slot;

    while (!mu_list_is_empty(&o->plans)) {
        struct mu_plan *p = MU_CONTAINER(o->plans.next, struct mu_plan, link);
        mu_list_remove(&p->link);
        mu_plan_free(p);
    }
    for (uint64_t i = 0; i < o->jobs_count; i++)
        free(o->jobs[i].tasks);
    for (uint32_t i = 0; (i = mu_map_next(&o->evidence, i, &slot)) != 0;)
        free((void *)(uintptr_t)slot.value);
    mu_map_fini(&o->evidence);
    mu_map_fini(&o->alive);
    mu_arena_fini(&o->arena);
    free(o->jobs);
    free(o->seqs);
    free(o);
}
