/* Jobs and their groups: made, grown, read, freed. */
#include "core/state.h"

#include "base/hash.h"

/* ---- find ---- */

struct mu_job *mu_job_find(const struct mu_core *core, uint64_t id)
{
    return mu_jobs_find(&core->jobs, id);
}

static uint64_t key_hash(uint32_t user, struct mu_str key)
{
    return mu_hash(key.at, key.size, user);
}

/* Stopped before it was complete: for its client it never was, and its key makes another. */
bool mu_job_is_half(const struct mu_job *job)
{
    return job->more && job->more->open == MU_OPEN_WHOLE && job->more->closed && !job->more->complete;
}

uint64_t mu_job_by_key(const struct mu_core *core, uint32_t user, struct mu_str key)
{
    const uint64_t *first = mu_map_find(&core->by_key, key_hash(user, key));
    uint64_t id = first ? *first : 0;

    while (id) {
        const struct mu_job *job = mu_job_find(core, id);
        if (job->user->id == user && mu_str_eq(mu_job_key(job), key) && !mu_job_is_half(job))
            break;
        id = job->more->key_next;
    }
    return id;
}

struct mu_str mu_job_name(const struct mu_job *job)
{
    return (struct mu_str){ job->bytes, job->name_size };
}

struct mu_str mu_job_key(const struct mu_job *job)
{
    return job->more && job->more->key ? (struct mu_str){ job->more->key, job->more->key_size } : (struct mu_str){ "", 0 };
}

uint32_t mu_job_group_of(const struct mu_job *job, uint32_t ordinal)
{
    uint32_t low = 0, high = job->groups_count;

    MU_ASSERT(ordinal < job->tasks);
    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;
        if (job->groups[mid].first <= ordinal)
            low = mid;
        else
            high = mid;
    }
    return low;
}

uint32_t mu_job_count(const struct mu_job *job, enum mu_task_state state)
{
    return job->count ? job->count[state] : mu_taskset_count(&job->groups[0].set, state);
}

bool mu_job_is_open(const struct mu_job *job)
{
    return job->more && job->more->open != MU_OPEN_NO && !job->more->closed;
}

bool mu_job_is_runnable(const struct mu_job *job)
{
    return !job->held && !job->over && !(job->more && job->more->open == MU_OPEN_WHOLE && !job->more->complete);
}

uint32_t mu_group_live(const struct mu_group *group)
{
    return mu_taskset_count(&group->set, MU_TASK_STARTING) + mu_taskset_count(&group->set, MU_TASK_RUNNING) +
           mu_taskset_count(&group->set, MU_TASK_STOPPING);
}

uint32_t mu_group_ready(const struct mu_group *group)
{
    return mu_taskset_count(&group->set, MU_TASK_READY);
}

bool mu_group_is_over(const struct mu_job *job, uint32_t group)
{
    const struct mu_taskset *set = &job->groups[group].set;
    uint32_t final = 0;

    if (mu_job_is_open(job) && group == job->groups_count - 1)
        return false; /* it may still grow */
    for (uint32_t s = MU_TASK_SUCCEEDED; s < MU_TASK_STATES; s++)
        final += mu_taskset_count(set, (enum mu_task_state)s);
    return final == set->tasks;
}

/* ---- attempts so far ---- */

uint64_t mu_tries_pack(struct mu_tries tries)
{
    return (uint64_t)tries.attempts << 32 | (uint32_t)tries.failures << 16 | tries.losses;
}

struct mu_tries mu_tries_unpack(uint64_t packed)
{
    return (struct mu_tries){ (uint32_t)(packed >> 32), (uint16_t)(packed >> 16), (uint16_t)packed };
}

bool mu_tries_has(const struct mu_group *group, uint32_t i)
{
    return group->more && mu_map_find(&group->more->tries, i) != NULL;
}

struct mu_tries mu_tries_get(const struct mu_group *group, uint32_t i)
{
    const uint64_t *packed = group->more ? mu_map_find(&group->more->tries, i) : NULL;
    enum mu_task_state state;

    if (packed)
        return mu_tries_unpack(*packed);
    state = mu_taskset_get(&group->set, i);
    return (struct mu_tries){ .attempts = state == MU_TASK_SUCCEEDED || state == MU_TASK_FAILED };
}

void mu_tries_put(struct mu_group *group, uint32_t i, struct mu_tries tries)
{
    mu_map_put(&mu_group_more(group)->tries, i, mu_tries_pack(tries));
}

/* ---- make ---- */

struct mu_job_more *mu_job_more(struct mu_job *job)
{
    if (job->more == NULL)
        job->more = mu_core_alloc(sizeof *job->more);
    return job->more;
}

struct mu_group_more *mu_group_more(struct mu_group *group)
{
    if (group->more == NULL) {
        group->more = mu_core_alloc(sizeof *group->more);
        group->more->array_step = 1;
    }
    return group->more;
}

static void key_add(struct mu_core *core, struct mu_job *job, struct mu_str key)
{
    uint64_t hash = key_hash(job->user->id, key);
    const uint64_t *first = mu_map_find(&core->by_key, hash);

    job->more->key = mu_str_dup(key);
    job->more->key_size = key.size;
    job->more->key_next = first ? *first : 0;
    mu_map_put(&core->by_key, hash, job->id);
}

static void key_remove(struct mu_core *core, struct mu_job *job)
{
    uint64_t hash = key_hash(job->user->id, mu_job_key(job));
    uint64_t *first = mu_map_find(&core->by_key, hash);

    if (*first == job->id && job->more->key_next == 0) {
        mu_map_remove(&core->by_key, hash);
    } else if (*first == job->id) {
        *first = job->more->key_next;
    } else {
        struct mu_job *before = mu_job_find(core, *first);
        while (before->more->key_next != job->id)
            before = mu_job_find(core, before->more->key_next);
        before->more->key_next = job->more->key_next;
    }
}

/* What is kept of a group's spec as bytes: all but what has a form of its own here. */
static void encode_group(struct mu_buf *b, const struct mu_group_spec *spec)
{
    struct mu_group_spec kept = *spec;

    kept.lines = (struct mu_str){ NULL, 0 };
    kept.each_node = (struct mu_strs){ NULL, 0 };
    kept.tasks = 0; /* lines of an open group grow */
    mu_pb_put(b, &mu_group_spec_pb, &kept);
}

/* An open job grows: its bytes and groups are allocations with room. */
static void bytes_append(struct mu_job *job, const struct mu_buf *b)
{
    struct mu_job_more *more = job->more;
    uint64_t size = (uint64_t)job->bytes_size + b->size;

    MU_ASSERT(size <= UINT32_MAX / 2);
    if (size > more->bytes_cap) {
        bool own = more->bytes_cap > 0;
        uint32_t cap = (uint32_t)size > more->bytes_cap * 2 ? (uint32_t)size : more->bytes_cap * 2;
        char *to = mu_core_resize(own ? job->bytes : NULL, cap);
        if (!own)
            memcpy(to, job->bytes, job->bytes_size);
        job->bytes = to;
        more->bytes_cap = cap;
    }
    memcpy(job->bytes + job->bytes_size, b->at, b->size);
    job->bytes_size = (uint32_t)size;
}

static void groups_room(struct mu_job *job, uint32_t count)
{
    uint32_t cap = job->more ? job->more->groups_cap : 0;
    bool own = job->groups != &job->one;

    if (count <= cap || count == 1)
        return;
    cap = count > cap * 2 ? count : cap * 2;
    job->groups = mu_core_resize(own ? job->groups : NULL, cap * sizeof job->groups[0]);
    if (!own)
        job->groups[0] = job->one;
    mu_job_more(job)->groups_cap = cap;
}

/* The counts of a second group need a place beside the first's. */
static void counts_room(struct mu_job *job)
{
    if (job->count || job->groups_count == 0)
        return;
    job->count = mu_core_alloc(MU_TASK_STATES * sizeof job->count[0]);
    for (uint32_t s = 0; s < MU_TASK_STATES; s++)
        job->count[s] = mu_taskset_count(&job->groups[0].set, (enum mu_task_state)s);
}

static void count_new(struct mu_core *core, struct mu_job *job, uint32_t tasks, enum mu_task_state state)
{
    job->tasks += tasks;
    job->unfinal += tasks;
    if (job->count)
        job->count[state] += tasks;
    core->count[state] += tasks;
    job->user->waiting += tasks;
}

static bool is_plain(const struct mu_group_spec *spec)
{
    return spec->array_first == 0 && spec->array_step <= 1 && spec->lines.size == 0 && spec->retries == 0 &&
           spec->max_parallel == 0 && spec->abort_after == 0 && spec->abort_after_milli == 0 &&
           spec->each_node.count == 0 && spec->after_count == 0;
}

static void more_fill(const struct mu_core *core, struct mu_group_more *more, const struct mu_group_spec *spec)
{
    more->array_first = spec->array_first;
    more->array_step = spec->array_step ? spec->array_step : 1;
    more->retries = spec->retries;
    more->backoff_ms = spec->backoff_ms;
    more->max_parallel = spec->max_parallel;
    more->abort_after = spec->abort_after;
    more->abort_milli = spec->abort_after_milli;
    if (spec->lines.size)
        mu_lines_add(&more->lines, spec->lines);
    if (spec->each_node.count)
        more->each = mu_core_alloc(spec->each_node.count * sizeof more->each[0]);
    for (uint32_t i = 0; i < spec->each_node.count; i++)
        more->each[i] = mu_node_find(core, spec->each_node.at[i])->at.id;
    if (spec->after_count)
        more->deps = mu_core_alloc(spec->after_count * sizeof more->deps[0]);
    for (uint32_t i = 0; i < spec->after_count; i++) {
        const struct mu_dep *dep = &spec->after[i];
        more->deps[i] = (struct mu_group_dep){ dep->job, dep->job ? 0 : dep->group, (uint8_t)dep->kind, MU_DEP_WAIT };
        more->deps_wait += dep->kind < MU_DEP_EACH_OK;
    }
    more->deps_count = spec->after_count;
}

/* The group's place among the job's groups and bytes is made. */
static void group_fill(struct mu_core *core, struct mu_job *job, const struct mu_group_spec *spec, uint32_t at, uint32_t size)
{
    enum mu_task_state state = spec->after_count ? MU_TASK_BLOCKED : MU_TASK_READY;
    struct mu_group *group = &job->groups[job->groups_count];

    *group = (struct mu_group){ .first = job->tasks, .spec_at = at, .spec_size = size };
    group->shape = mu_shape_ref(core, spec);
    if (!is_plain(spec))
        more_fill(core, mu_group_more(group), spec);
    mu_taskset_init(&group->set, spec->tasks, state);
    job->groups_count++;
    count_new(core, job, spec->tasks, state);
    core->bytes += size + spec->lines.size;
}

/* Encoded one after the other into scratch behind what is there; ends[i] is where the i-th ends. */
static uint32_t *encode_groups(struct mu_core *core, const struct mu_group_spec *groups, uint32_t count,
                               const struct mu_str *encoded)
{
    uint32_t *ends = mu_arena_alloc(&core->arena, count * sizeof ends[0]);

    for (uint32_t i = 0; i < count; i++) {
        if (encoded)
            mu_buf_add(&core->scratch, encoded[i].at, encoded[i].size);
        else
            encode_group(&core->scratch, &groups[i]);
        ends[i] = (uint32_t)core->scratch.size;
    }
    return ends;
}

static void groups_fill(struct mu_core *core, struct mu_job *job, const struct mu_group_spec *groups, uint32_t count,
                        const uint32_t *ends, uint32_t at, uint32_t shift)
{
    groups_room(job, job->groups_count + count);
    for (uint32_t i = 0; i < count; i++) {
        counts_room(job);
        group_fill(core, job, &groups[i], at, ends[i] + shift - at);
        at = ends[i] + shift;
    }
}

struct mu_job *mu_job_new(struct mu_core *core, uint64_t id, const struct mu_job_spec *spec, struct mu_user *user,
                          const struct mu_str *encoded)
{
    struct mu_buf *b = &core->scratch;
    struct mu_job *job;
    uint32_t *ends;

    mu_buf_clear(b);
    mu_buf_add(b, spec->name.at, spec->name.size);
    ends = encode_groups(core, spec->groups, spec->groups_count, encoded);
    job = mu_core_alloc(sizeof *job + b->size);
    *job = (struct mu_job){ .id = id, .submitted_ms = core->now_ms, .user = user, .groups = &job->one,
                            .bytes = job->tail, .bytes_size = (uint32_t)b->size, .priority = (int32_t)spec->priority,
                            .name_size = (uint8_t)spec->name.size, .held = spec->hold };
    memcpy(job->tail, b->at, b->size);
    mu_list_init(&job->ended);
    if (spec->key.size || spec->deadline_ms || spec->open) {
        mu_job_more(job)->open = (enum mu_open)spec->open;
        job->more->deadline_ms = spec->deadline_ms;
        job->more->digest = spec->digest;
    }
    if (spec->key.size)
        key_add(core, job, spec->key);
    core->bytes += spec->name.size;
    groups_fill(core, job, spec->groups, spec->groups_count, ends, spec->name.size, 0);
    mu_jobs_add(&core->jobs, id, job);
    core->whole_open += spec->open == MU_OPEN_WHOLE;
    if (spec->deadline_ms)
        mu_timers_set(&core->timers, MU_TIMER_DEADLINE | id, spec->deadline_ms);
    return job;
}

void mu_job_add_groups(struct mu_core *core, struct mu_job *job, const struct mu_group_spec *groups, uint32_t count)
{
    uint32_t at = job->bytes_size, *ends;

    mu_buf_clear(&core->scratch);
    ends = encode_groups(core, groups, count, NULL);
    bytes_append(job, &core->scratch);
    groups_fill(core, job, groups, count, ends, at, at);
}

void mu_job_add_lines(struct mu_core *core, struct mu_job *job, struct mu_str lines)
{
    struct mu_group *group = &job->groups[job->groups_count - 1];
    enum mu_task_state state = group->more->deps_count ? MU_TASK_BLOCKED : MU_TASK_READY;
    uint32_t tasks = mu_lines_count(lines);

    MU_ASSERT(tasks > 0 && group->more->lines.lines == group->set.tasks);
    mu_lines_add(&group->more->lines, lines);
    mu_taskset_grow(&group->set, tasks, state);
    count_new(core, job, tasks, state);
    core->bytes += lines.size;
}

/* ---- free ---- */

static void group_free(struct mu_core *core, struct mu_group *group)
{
    mu_taskset_fini(&group->set);
    mu_shape_unref(core, group->shape);
    core->bytes -= group->spec_size;
    if (group->more == NULL)
        return;
    core->bytes -= group->more->lines.bytes;
    mu_lines_fini(&group->more->lines);
    free(group->more->each);
    free(group->more->deps);
    free(group->more->out.at);
    mu_map_fini(&group->more->tries);
    free(group->more);
}

static void more_free(struct mu_core *core, struct mu_job *job)
{
    struct mu_job_more *more = job->more;

    if (more == NULL)
        return;
    if (more->key)
        key_remove(core, job);
    if (more->bytes_cap)
        free(job->bytes);
    core->whole_open -= more->open == MU_OPEN_WHOLE && !more->closed;
    mu_timers_clear(&core->timers, MU_TIMER_DEADLINE | job->id);
    free(more->key);
    free(more->out.at);
    free(more);
}

/* Out of all counts. Its user has nothing waiting of it: it is over, or all of core goes. */
static void uncount(struct mu_core *core, const struct mu_job *job)
{
    for (uint32_t s = 0; s < MU_TASK_STATES; s++)
        core->count[s] -= mu_job_count(job, (enum mu_task_state)s);
    core->ended_count -= job->over;
}

void mu_job_free(struct mu_core *core, struct mu_job *job)
{
    uncount(core, job);
    mu_list_remove(&job->ended);
    mu_jobs_remove(&core->jobs, job->id);
    core->bytes -= job->name_size;
    for (uint32_t i = 0; i < job->groups_count; i++)
        group_free(core, &job->groups[i]);
    if (job->groups != &job->one)
        free(job->groups);
    more_free(core, job);
    free(job->count);
    free(job);
}

/* ---- specs ---- */

static struct mu_strs each_names(const struct mu_core *core, const struct mu_group *group, struct mu_arena *arena)
{
    struct mu_strs names = { mu_arena_alloc(arena, group->set.tasks * sizeof(struct mu_str)), group->set.tasks };

    for (uint32_t i = 0; names.at && i < names.count; i++)
        names.at[i] = mu_str_of(core->nodes.at[group->more->each[i]]->at.name);
    return names;
}

bool mu_group_spec_of(const struct mu_core *core, const struct mu_job *job, uint32_t group, struct mu_group_spec *out,
                      struct mu_arena *arena)
{
    const struct mu_group *g = &job->groups[group];

    if (!mu_pb_get(&mu_group_spec_pb, out, (struct mu_str){ job->bytes + g->spec_at, g->spec_size }, arena))
        return false; /* no room in the arena: what is stored was checked */
    out->tasks = g->set.tasks;
    if (g->more && g->more->each)
        out->each_node = each_names(core, g, arena);
    return out->each_node.count == 0 || out->each_node.at != NULL;
}
