/* A snapshot back into a new core. What was stored is rebuilt through the same functions that built it; what they would
 * assert is checked first, and mu_core_flaw has the last word. */
#include "core/snapshot.h"
#include "core/state.h"

enum { FORMAT = 1 };

/* What loading remembers from one part to the next. */
struct load {
    struct mu_core *core;
    struct mu_snap_in in;
    uint64_t over; /* jobs that are */
};

/* ---- users, nodes, policies ---- */

static struct mu_strs get_texts(struct load *l, uint64_t max, bool (*ok)(struct mu_str text))
{
    struct mu_strs texts = { NULL, (uint32_t)mu_snap_get_max(&l->in, max) };

    texts.at = mu_arena_alloc(&l->core->arena, (texts.count + 1) * sizeof texts.at[0]);
    for (uint32_t i = 0; i < texts.count && !l->in.bad; i++) {
        texts.at[i] = mu_snap_get_text(&l->in);
        l->in.bad |= !ok(texts.at[i]);
    }
    return texts;
}

static bool any_text(struct mu_str text)
{
    return text.size < UINT32_MAX;
}

static bool set_label_ok(struct mu_str label)
{
    return label.size && label.at[label.size - 1] == '=' ? mu_name_is_ok(label) : mu_label_is_ok(label);
}

static void get_policies(struct load *l)
{
    static const struct mu_str kinds[MU_POLICY_KINDS] = { { "order", 5 }, { "place", 5 } };

    for (uint32_t i = 0; i < MU_POLICY_KINDS; i++) {
        struct mu_str name = mu_snap_get_text(&l->in);
        struct mu_strs params = get_texts(l, 64, any_text);
        if (l->in.bad || !mu_name_is_ok(name)) {
            l->in.bad = true;
            return;
        }
        mu_core_policy_set(l->core, kinds[i], name, &params);
    }
}

static void get_users(struct load *l)
{
    uint64_t count = mu_snap_get_max(&l->in, MU_USERS_MAX);

    for (uint64_t i = 0; i < count && !l->in.bad; i++) {
        struct mu_str name = mu_snap_get_text(&l->in);
        struct mu_user *user;
        if (!mu_name_is_ok(name) || mu_user_find(l->core, name)) {
            l->in.bad = true;
            return;
        }
        user = mu_user_make(l->core, name);
        user->weight = (uint32_t)mu_snap_get_max(&l->in, UINT32_MAX);
        user->waiting_max = mu_snap_get(&l->in);
        user->cpu_milli_max = mu_snap_get(&l->in);
        user->usage = mu_snap_get(&l->in);
        user->usage_ms = mu_snap_get(&l->in);
    }
}

static void take_text(struct load *l, char **out)
{
    struct mu_str text = mu_snap_get_text(&l->in);

    *out = mu_str_dup(text);
    l->in.bad |= strlen(*out) != text.size;
}

static void get_node(struct load *l)
{
    struct mu_core *core = l->core;
    struct mu_str name = mu_snap_get_text(&l->in);
    struct mu_node_slot *node;
    struct mu_strs own, set;
    struct mu_res total = { 0 };
    uint64_t state, flags, changed_ms;

    if (!mu_name_is_ok(name) || mu_node_find(core, name)) {
        l->in.bad = true;
        return;
    }
    node = mu_node_add(core, name);
    take_text(l, &node->at.boot);
    take_text(l, &node->at.version);
    take_text(l, &node->at.limits);
    take_text(l, &node->at.address);
    state = mu_snap_get_max(&l->in, MU_NODE_STATES - 1);
    flags = mu_snap_get_max(&l->in, 3);
    for (uint32_t i = 0; i < core->kinds; i++)
        total.amount[i] = mu_snap_get_max(&l->in, MU_AMOUNT_MAX);
    own = get_texts(l, UINT16_MAX, mu_label_is_ok);
    set = get_texts(l, UINT16_MAX, set_label_ok);
    node->at.joined_ms = mu_snap_get(&l->in);
    changed_ms = mu_snap_get(&l->in);
    node->at.ended_ok = mu_snap_get(&l->in);
    node->at.ended_bad = mu_snap_get(&l->in);
    l->in.bad |= !mu_node_total_fits(core, &total);
    if (l->in.bad)
        return;
    node->at.drain = flags & 1;
    node->at.keep = flags >> 1;
    node->own = mu_word_ids_ref(&core->words, &own);
    node->set = mu_word_ids_ref(&core->words, &set);
    mu_node_labels_set(core, node);
    mu_node_total_set(core, node, &total);
    if (state == MU_NODE_AWAY)
        mu_node_move(core, node, MU_NODE_UP);
    mu_node_move(core, node, (enum mu_node_state)state);
    node->at.changed_ms = changed_ms;
}

static void get_nodes(struct load *l)
{
    uint64_t kinds = mu_snap_get_max(&l->in, MU_RES_MAX), count;

    for (uint64_t i = MU_RES_NAMED; i < kinds && !l->in.bad; i++) {
        struct mu_str name = mu_snap_get_text(&l->in);
        l->in.bad |= !mu_resource_name_is_ok(name) || mu_core_kind_make(l->core, name) != i;
    }
    count = mu_snap_get_max(&l->in, MU_NODES_MAX);
    for (uint64_t i = 0; i < count && !l->in.bad; i++)
        get_node(l);
}

/* ---- jobs ---- */

/* A group as read, before its job is made. */
struct group_in {
    uint64_t (*runs)[2]; /* state, count */
    uint32_t runs_count;
    uint64_t *backoffs;  /* due, of the BACKOFF tasks in order */
    bool more, aborted;
    uint64_t *dep_states;
    uint64_t (*tries)[2];
    uint32_t tries_count;
    struct mu_strs lines; /* pieces */
};

static void *room(struct load *l, uint64_t count, size_t size)
{
    return mu_arena_alloc(&l->core->arena, (count + 1) * size);
}

/* Grow an array in the arena by doubling; what it had before stays there, unused. */
static void *grown(struct load *l, void *at, uint32_t count, size_t size)
{
    void *to = at;

    if (count == 0 || (count >= 8 && (count & (count - 1)) == 0)) {
        to = room(l, count ? count * 2 : 8, size);
        if (count)
            memcpy(to, at, count * size);
    }
    return to;
}

static void get_states(struct load *l, struct group_in *g, uint32_t tasks)
{
    uint32_t backoffs = 0, before = MU_TASK_STATES;

    for (uint32_t at = 0; at < tasks && !l->in.bad;) {
        uint32_t state = (uint32_t)mu_snap_get_max(&l->in, MU_TASK_STATES - 1);
        uint32_t count = (uint32_t)mu_snap_get_max(&l->in, tasks - at);
        l->in.bad |= count == 0 || state == before;
        g->runs = grown(l, g->runs, g->runs_count, sizeof g->runs[0]);
        g->runs[g->runs_count][0] = before = state;
        g->runs[g->runs_count++][1] = count;
        backoffs += state == MU_TASK_BACKOFF ? count : 0;
        at += count;
    }
    if (l->in.bad || (uint64_t)backoffs > (uint64_t)(l->in.all.end - l->in.block.at))
        l->in.bad = true; /* a due time takes a byte at least */
    else
        g->backoffs = room(l, backoffs, sizeof g->backoffs[0]);
    for (uint32_t i = 0; i < backoffs && !l->in.bad; i++)
        g->backoffs[i] = mu_snap_get_max(&l->in, UINT64_MAX / 2);
}

static void get_each(struct load *l, struct mu_group_spec *spec)
{
    if (spec->tasks > (uint64_t)(l->in.all.end - l->in.block.at)) {
        l->in.bad = true;
        return;
    }
    spec->each_node = (struct mu_strs){ room(l, spec->tasks, sizeof(struct mu_str)), spec->tasks };
    for (uint32_t i = 0; i < spec->tasks && !l->in.bad; i++) {
        uint64_t id = mu_snap_get(&l->in);
        if (id >= l->core->nodes.count)
            l->in.bad = true;
        else
            spec->each_node.at[i] = mu_str_of(l->core->nodes.at[id]->at.name);
    }
}

static void get_tries(struct load *l, struct group_in *g, uint32_t tasks)
{
    uint64_t before = UINT64_MAX;

    g->tries_count = (uint32_t)mu_snap_get_max(&l->in, tasks);
    if (g->tries_count > (uint64_t)(l->in.all.end - l->in.block.at)) {
        l->in.bad = true;
        return;
    }
    g->tries = room(l, g->tries_count, sizeof g->tries[0]);
    for (uint32_t i = 0; i < g->tries_count && !l->in.bad; i++) {
        g->tries[i][0] = mu_snap_get_max(&l->in, tasks - 1);
        g->tries[i][1] = mu_snap_get(&l->in);
        l->in.bad |= i && g->tries[i][0] <= before;
        before = g->tries[i][0];
    }
}

static void get_lines(struct load *l, struct group_in *g, struct mu_group_spec *spec)
{
    struct mu_str text;
    uint64_t lines = 0;

    for (;;) {
        text = mu_snap_get_text(&l->in);
        if (l->in.bad || text.size == 0)
            break;
        g->lines.at = grown(l, g->lines.at, g->lines.count, sizeof g->lines.at[0]);
        g->lines.at[g->lines.count++] = text;
        lines += mu_lines_count(text);
        l->in.bad |= mu_lines_count(text) == 0 || memchr(text.at, '\0', text.size) != NULL;
    }
    if (g->lines.count == 0)
        return;
    l->in.bad |= lines != spec->tasks;
    spec->lines = g->lines.at[0]; /* the others follow when the group is made */
}

static void get_group(struct load *l, struct group_in *g, struct mu_group_spec *spec, struct mu_str *encoded)
{
    *encoded = mu_snap_get_text(&l->in);
    if (l->in.bad || !mu_pb_get(&mu_group_spec_pb, spec, *encoded, &l->core->arena) || spec->tasks || spec->lines.size ||
        spec->each_node.count) {
        l->in.bad = true;
        return;
    }
    spec->tasks = (uint32_t)mu_snap_get_max(&l->in, MU_TASKS_PER_JOB_MAX);
    get_states(l, g, spec->tasks);
    g->more = mu_snap_get_max(&l->in, 1);
    if (!g->more)
        return;
    g->aborted = mu_snap_get_max(&l->in, 1);
    if (mu_snap_get_max(&l->in, 1))
        get_each(l, spec);
    g->dep_states = room(l, spec->after_count, sizeof g->dep_states[0]);
    for (uint32_t k = 0; k < spec->after_count; k++)
        g->dep_states[k] = mu_snap_get_max(&l->in, MU_DEP_NEVER);
    get_tries(l, g, spec->tasks);
    get_lines(l, g, spec);
}

/* Give a new group the past it had. */
static void restore_group(struct load *l, struct mu_job *job, uint32_t group, const struct group_in *in)
{
    struct mu_group *g = &job->groups[group];
    uint32_t at = 0, backoffs = 0;

    for (uint32_t r = 0; r < in->runs_count; r++) {
        uint32_t count = (uint32_t)in->runs[r][1];
        enum mu_task_state from = mu_taskset_get(&g->set, at), to = (enum mu_task_state)in->runs[r][0];
        if (from != to) {
            mu_taskset_set_run(&g->set, at, count, to);
            mu_task_recount(l->core, job, from, to, count);
        }
        for (uint32_t i = at; to == MU_TASK_BACKOFF && i < at + count; i++)
            mu_timers_set(&l->core->timers, mu_task_key(job->id, g->first + i), in->backoffs[backoffs++]);
        at += count;
    }
    for (uint32_t i = 0; i < in->tries_count; i++)
        mu_map_put(&mu_group_more(g)->tries, in->tries[i][0], in->tries[i][1]);
    for (uint32_t i = 1; i < in->lines.count; i++) {
        mu_lines_add(&mu_group_more(g)->lines, in->lines.at[i]);
        l->core->bytes += in->lines.at[i].size;
    }
    if (in->aborted)
        mu_group_more(g)->aborted = true;
    for (uint32_t k = 0; in->more && g->more && k < g->more->deps_count; k++) {
        struct mu_group_dep *dep = &g->more->deps[k];
        dep->state = (uint8_t)in->dep_states[k];
        g->more->deps_wait -= dep->state != MU_DEP_WAIT && dep->kind < MU_DEP_EACH_OK;
    }
}

/* The head of a job: what is not in its groups. */
struct job_in {
    uint64_t id, flags, open_flags, started_ms, submitted_ms, ended_ms;
    struct mu_job_spec spec;
    struct mu_str *encoded; /* of each group */
    struct mu_user *user;
};
enum { HELD = 1, CANCELLED = 2, OVER = 4, MORE = 8, CLOSED = 1, COMPLETE = 2, TIMED = 4 };

static void get_head(struct load *l, struct job_in *in, uint64_t before)
{
    uint64_t user;

    in->id = before + mu_snap_get_max(&l->in, MU_JOB_ID_MAX - before);
    in->flags = mu_snap_get_max(&l->in, HELD | CANCELLED | OVER | MORE);
    user = mu_snap_get(&l->in);
    in->spec.priority = (int32_t)mu_snap_get_max(&l->in, UINT32_MAX);
    in->submitted_ms = mu_snap_get(&l->in);
    in->started_ms = mu_snap_get(&l->in);
    in->ended_ms = mu_snap_get(&l->in);
    in->spec.name = mu_snap_get_text(&l->in);
    if (in->flags & MORE) {
        in->spec.open = (uint32_t)mu_snap_get_max(&l->in, MU_OPEN_STREAM);
        in->open_flags = mu_snap_get_max(&l->in, CLOSED | COMPLETE | TIMED);
        in->spec.deadline_ms = mu_snap_get(&l->in);
        in->spec.digest = mu_snap_get(&l->in);
        in->spec.key = mu_snap_get_text(&l->in);
    }
    in->spec.groups_count = (uint32_t)mu_snap_get_max(&l->in, MU_GROUPS_PER_JOB_MAX);
    if (l->in.bad || in->id == before || in->id >= l->core->next_job || user >= l->core->users.count) {
        l->in.bad = true;
        return;
    }
    in->user = l->core->users.at[user];
    in->spec.user = mu_words_text(&l->core->words, in->user->id);
}

/* What making the job would assert. */
static bool job_is_ok(struct load *l, const struct job_in *in)
{
    const struct mu_job_spec *spec = &in->spec;
    bool partial = spec->open == MU_OPEN_WHOLE && !(in->open_flags & COMPLETE);

    if (mu_spec_check_stored(spec) != MU_OK || (spec->key.size && mu_job_by_key(l->core, in->user->id, spec->key)))
        return false;
    if (!partial && mu_graph_admit(NULL, spec->groups, spec->groups_count, &l->core->arena, NULL) != MU_OK)
        return false;
    for (uint32_t g = 0; g < spec->groups_count; g++) {
        for (uint32_t k = 0; k < spec->groups[g].after_count; k++) {
            const struct mu_dep *dep = &spec->groups[g].after[k];
            const struct mu_job *on = mu_job_find(l->core, dep->job);
            if (dep->job >= in->id || (on && dep->kind >= MU_DEP_EACH_OK && on->tasks != spec->groups[g].tasks))
                return false;
        }
    }
    return mu_kinds_fit(l->core, spec->groups, spec->groups_count);
}

static void make_job(struct load *l, const struct job_in *in, const struct group_in *groups)
{
    struct mu_core *core = l->core;
    struct mu_job *job;

    job = mu_job_new(core, in->id, &in->spec, in->user, in->encoded);
    job->held = in->flags & HELD;
    job->cancelled = in->flags & CANCELLED;
    job->over = in->flags & OVER;
    job->submitted_ms = in->submitted_ms;
    job->started_ms = in->started_ms;
    job->ended_ms = in->ended_ms;
    l->over += job->over;
    core->ended_count += job->over;
    if (job->more) {
        job->more->closed = in->open_flags & CLOSED;
        job->more->complete = in->open_flags & COMPLETE;
        core->whole_open -= job->more->open == MU_OPEN_WHOLE && job->more->closed;
        if (!(in->open_flags & TIMED))
            mu_timers_clear(&core->timers, MU_TIMER_DEADLINE | job->id);
    }
    for (uint32_t g = 0; g < in->spec.groups_count; g++)
        restore_group(l, job, g, &groups[g]);
}

static uint64_t get_job(struct load *l, uint64_t before)
{
    struct job_in in = { 0 };
    struct group_in *groups;

    mu_arena_reset(&l->core->arena);
    get_head(l, &in, before);
    if (l->in.bad || in.spec.groups_count > (uint64_t)(l->in.all.end - l->in.block.at)) {
        l->in.bad = true;
        return 0;
    }
    groups = room(l, in.spec.groups_count, sizeof groups[0]);
    in.spec.groups = room(l, in.spec.groups_count, sizeof in.spec.groups[0]);
    in.encoded = room(l, in.spec.groups_count, sizeof in.encoded[0]);
    for (uint32_t g = 0; g < in.spec.groups_count && !l->in.bad; g++)
        get_group(l, &groups[g], &in.spec.groups[g], &in.encoded[g]);
    if (l->in.bad || !job_is_ok(l, &in)) {
        l->in.bad = true;
        return 0;
    }
    make_job(l, &in, groups);
    return in.id;
}

/* Edges are the other side of dependencies that wait. */
static void link_job(struct load *l, struct mu_job *job)
{
    for (uint32_t g = 0; g < job->groups_count && !l->in.bad; g++) {
        const struct mu_group_more *more = job->groups[g].more;
        for (uint32_t k = 0; more && k < more->deps_count && !l->in.bad; k++)
            l->in.bad |= more->deps[k].state == MU_DEP_WAIT && !mu_dep_relink(l->core, job, g, k);
    }
}

static void get_jobs(struct load *l)
{
    uint64_t count = mu_snap_get(&l->in), id = 0;
    struct mu_job *job;

    for (uint64_t i = 0; i < count && !l->in.bad; i++)
        id = get_job(l, id);
    for (id = 0; !l->in.bad && (job = mu_jobs_next(&l->core->jobs, id)) != NULL; id = job->id)
        link_job(l, job);
    for (uint64_t i = 0; i < l->over && !l->in.bad; i++) {
        job = mu_job_find(l->core, mu_snap_get(&l->in));
        if (job == NULL || !job->over || !mu_list_is_empty(&job->ended)) {
            l->in.bad = true;
            return;
        }
        mu_list_add_tail(&l->core->ended, &job->ended);
    }
}

/* ---- attempts ---- */

static void get_attempt(struct load *l, struct mu_node_slot *node)
{
    struct mu_core *core = l->core;
    uint64_t id = mu_snap_get(&l->in), ordinal = mu_snap_get(&l->in);
    struct mu_attempt a = { .job = id, .ordinal = (uint32_t)ordinal, .node = node->at.id };
    struct mu_job *job = mu_job_find(core, id);
    const struct mu_group *g;

    a.attempt = (uint32_t)mu_snap_get_max(&l->in, UINT32_MAX);
    a.why = (enum mu_end)mu_snap_get_max(&l->in, MU_ENDS - 1);
    a.placed_ms = mu_snap_get(&l->in);
    a.started_ms = mu_snap_get(&l->in);
    if (l->in.bad || job == NULL || ordinal >= job->tasks || mu_attempts_find(&core->attempts, id, a.ordinal)) {
        l->in.bad = true;
        return;
    }
    g = &job->groups[mu_job_group_of(job, a.ordinal)];
    a.shape = g->shape;
    a.state = mu_taskset_get(&g->set, a.ordinal - g->first);
    mu_attempts_add(&core->attempts, &a, &node->attempts);
    for (uint32_t i = 0; i < core->kinds; i++) {
        node->at.used.amount[i] += core->shapes.at[a.shape]->at.need.amount[i];
        job->user->live.amount[i] += core->shapes.at[a.shape]->at.need.amount[i];
    }
    node->at.live++;
}

static void get_attempts(struct load *l)
{
    for (uint32_t n = 0; n < l->core->nodes.count && !l->in.bad; n++) {
        struct mu_node_slot *node = l->core->nodes.at[n];
        uint64_t count = mu_snap_get(&l->in);
        for (uint64_t i = 0; i < count && !l->in.bad; i++)
            get_attempt(l, node);
        node->squeezed = !mu_res_within(l->core, &node->at.used, &node->at.total);
    }
}

/* ---- all ---- */

static void get_all(struct load *l)
{
    struct mu_core *core = l->core;

    core->now_ms = mu_snap_get_max(&l->in, UINT64_MAX / 2);
    core->version = mu_snap_get(&l->in);
    core->epoch = mu_snap_get(&l->in);
    core->next_job = mu_snap_get_max(&l->in, MU_JOB_ID_MAX + 1);
    take_text(l, &core->server);
    take_text(l, &core->url);
    get_policies(l);
    get_users(l);
    get_nodes(l);
    if (!l->in.bad)
        get_jobs(l);
    if (!l->in.bad)
        get_attempts(l);
}

enum mu_rc mu_core_load(struct mu_core *core, const void *bytes, size_t size, struct mu_err *err)
{
    struct load l = { .core = core, .in = mu_snap_in_of(bytes, size) };
    uint64_t format = mu_snap_get(&l.in);
    const char *flaw;

    MU_ASSERT(core->version == 0 && core->nodes.count == 0 && core->next_job == 1);
    if (!l.in.bad && format != FORMAT)
        return mu_fail(err, MU_VERSION, "the snapshot has format %llu; this program reads format %d",
                       (unsigned long long)format, FORMAT);
    get_all(&l);
    mu_arena_reset(&core->arena);
    if (!mu_snap_done(&l.in))
        return mu_fail(err, MU_CORRUPT, "the snapshot is damaged");
    flaw = mu_core_flaw(core);
    return flaw ? mu_fail(err, MU_CORRUPT, "the snapshot contradicts itself: %s", flaw) : MU_OK;
}
