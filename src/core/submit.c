/* Taking jobs in: whole, or in parts. */
#include "core/state.h"

/* Groups from first on are there and linked: see which of their tasks can run, and say so. */
static void announce(struct mu_core *core, struct mu_job *job, uint32_t first)
{
    for (uint32_t g = first; g < job->groups_count; g++) {
        if (job->groups[g].more && job->groups[g].more->deps_count)
            mu_dep_look(core, job, g, 0, job->groups[g].set.tasks);
    }
    for (uint32_t g = first; g < job->groups_count && mu_job_is_runnable(job); g++) {
        if (mu_group_ready(&job->groups[g]))
            mu_core_emit_group(core, job->id, g);
    }
}

void mu_on_submit(struct mu_core *core, const struct mu_ev_submit *ev)
{
    struct mu_job_spec spec;
    uint64_t existing = 0;
    struct mu_job *job;
    enum mu_rc rc;

    if (mu_pb_get(&mu_job_spec_pb, &spec, ev->spec, &core->arena))
        rc = mu_core_admit(core, &spec, &core->err);
    else
        rc = mu_fail(&core->err, MU_INVALID, "the job's spec cannot be decoded");
    if (rc == MU_OK)
        existing = mu_spec_existing(core, &spec);
    mu_core_reply(core, rc, (struct mu_fx){ .job = rc != MU_OK ? 0 : existing ? existing : core->next_job,
                                            .existing = existing != 0 });
    if (rc != MU_OK || existing)
        return;
    job = mu_job_new(core, core->next_job++, &spec, mu_user_make(core, spec.user), NULL);
    mu_core_emit(core, (struct mu_fx){ .kind = MU_FX_JOB, .job = job->id });
    mu_dep_link_jobs(core, job, 0, job->groups_count);
    if (spec.open != MU_OPEN_WHOLE)
        mu_dep_link_groups(core, job, 0, job->groups_count);
    announce(core, job, 0);
}

/* ---- parts ---- */

static enum mu_rc admit_lines(const struct mu_job *job, struct mu_str lines, struct mu_err *err)
{
    const struct mu_group *last = &job->groups[job->groups_count - 1];
    uint32_t count = mu_lines_count(lines);

    if (count == 0)
        return mu_fail_at(err, MU_INVALID, "lines", "the last line does not end with a newline");
    if (memchr(lines.at, '\0', lines.size))
        return mu_fail_at(err, MU_INVALID, "lines", "a line has a zero byte in it");
    if (last->more == NULL || last->more->lines.lines == 0)
        return mu_fail_at(err, MU_INVALID, "lines", "the last group of job %llu is not made of lines",
                          (unsigned long long)job->id);
    if (count > (uint32_t)MU_TASKS_PER_JOB_MAX - job->tasks)
        return mu_fail_at(err, MU_TOOBIG, "lines", "more than the %d tasks a job may have", MU_TASKS_PER_JOB_MAX);
    if (last->more->out.each)
        return mu_fail_at(err, MU_STATE, "lines", "other tasks come one after one of this group: it cannot grow");
    for (uint32_t k = 0; k < last->more->deps_count; k++) {
        if (last->more->deps[k].kind >= MU_DEP_EACH_OK)
            return mu_fail_at(err, MU_STATE, "lines", "its tasks come one after one of others: it cannot grow");
    }
    return MU_OK;
}

/* With its last part a whole job is checked like one that came at once. */
static enum mu_rc admit_whole(struct mu_core *core, const struct mu_job *job, const struct mu_ev_part *ev)
{
    uint32_t count = job->groups_count + ev->groups_count;
    struct mu_group_spec *all = mu_arena_alloc(&core->arena, count * sizeof all[0]);

    for (uint32_t g = 0; g < job->groups_count; g++) {
        bool decoded = mu_group_spec_of(core, job, g, &all[g], &core->arena);
        MU_ASSERT(decoded);
    }
    if (ev->lines.size)
        all[job->groups_count - 1].tasks += mu_lines_count(ev->lines);
    for (uint32_t g = 0; g < ev->groups_count; g++)
        all[job->groups_count + g] = ev->groups[g];
    return mu_graph_admit(NULL, all, count, &core->arena, &core->err);
}

static enum mu_rc admit_more(struct mu_core *core, const struct mu_job *job, const struct mu_ev_part *ev)
{
    uint64_t tasks, bytes = mu_groups_bytes(ev->groups, ev->groups_count, &tasks) + ev->lines.size;
    enum mu_rc rc = MU_OK;

    if (ev->lines.size && ev->groups_count)
        return mu_fail(&core->err, MU_INVALID, "a part has either lines or groups");
    if (ev->lines.size)
        rc = admit_lines(job, ev->lines, &core->err);
    if (rc == MU_OK)
        rc = mu_groups_check(ev->groups, ev->groups_count, job->groups_count, job->tasks, &core->err);
    if (rc == MU_OK && job->more->open == MU_OPEN_STREAM)
        rc = mu_graph_admit(job, ev->groups, ev->groups_count, &core->arena, &core->err);
    if (rc == MU_OK)
        rc = mu_groups_admit(core, job, ev->groups, ev->groups_count, &core->err);
    if (rc == MU_OK && job->bytes_size + bytes > UINT32_MAX / 4)
        rc = mu_fail(&core->err, MU_TOOBIG, "the specs of one job take more than a GiB");
    if (rc == MU_OK)
        rc = mu_room_admit(core, job->user, tasks + mu_lines_count(ev->lines), bytes, &core->err);
    return rc;
}

/* Is this part new, seen before, or none of this job's? */
static enum mu_rc admit_place(const struct mu_job *job, const struct mu_ev_part *ev, bool *out_seen, struct mu_err *err)
{
    bool empty = ev->lines.size == 0 && ev->groups_count == 0;

    *out_seen = false;
    if (job == NULL)
        return mu_fail_at(err, MU_NOTFOUND, "job", "there is no job %llu", (unsigned long long)ev->job);
    if (job->more == NULL || job->more->open == MU_OPEN_NO)
        return mu_fail_at(err, MU_STATE, "job", "job %llu did not come in parts", (unsigned long long)ev->job);
    if (ev->tasks_before > job->tasks)
        return mu_fail_at(err, MU_STATE, "from", "a part is missing: job %llu has %u tasks, this part follows the first %u",
                          (unsigned long long)ev->job, (unsigned)job->tasks, (unsigned)ev->tasks_before);
    if (job->more->closed && !job->more->complete)
        return mu_fail_at(err, MU_STATE, "job", "job %llu was stopped before it was complete", (unsigned long long)ev->job);
    *out_seen = ev->tasks_before < job->tasks || (job->more->closed && empty);
    if (job->more->closed && !*out_seen)
        return mu_fail_at(err, MU_STATE, "job", "job %llu is complete already", (unsigned long long)ev->job);
    return MU_OK;
}

static void part_add(struct mu_core *core, struct mu_job *job, const struct mu_ev_part *ev)
{
    uint32_t before = job->groups_count, first = before;

    if (ev->lines.size) {
        first = before - 1;
        mu_job_add_lines(core, job, ev->lines);
    }
    if (ev->groups_count)
        mu_job_add_groups(core, job, ev->groups, ev->groups_count);
    if (ev->last) {
        core->whole_open -= job->more->open == MU_OPEN_WHOLE;
        job->more->closed = job->more->complete = true;
    }
    mu_core_emit(core, (struct mu_fx){ .kind = MU_FX_JOB, .job = job->id });
    mu_dep_link_jobs(core, job, before, job->groups_count);
    if (job->more->open == MU_OPEN_STREAM) {
        mu_dep_link_groups(core, job, before, job->groups_count);
    } else if (ev->last) {
        mu_dep_link_groups(core, job, 0, job->groups_count);
        first = 0;
    }
    if (ev->lines.size && job->groups[before - 1].more->aborted)
        mu_task_drop(core, job, before - 1, 0, job->groups[before - 1].set.tasks, MU_END_ABORT);
    announce(core, job, first);
    mu_dep_closed(core, job, before - 1); /* it can grow no more, if another follows or none will */
    if (ev->last && job->groups_count > before)
        mu_dep_closed(core, job, job->groups_count - 1);
}

void mu_on_part(struct mu_core *core, const struct mu_ev_part *ev)
{
    struct mu_job *job = mu_job_find(core, ev->job);
    bool seen, broken = false;
    enum mu_rc rc = admit_place(job, ev, &seen, &core->err);

    if (rc == MU_OK && !seen)
        rc = admit_more(core, job, ev);
    if (rc == MU_OK && !seen && ev->last && job->more->open == MU_OPEN_WHOLE) {
        rc = admit_whole(core, job, ev);
        broken = rc != MU_OK;
    }
    mu_core_reply(core, rc, (struct mu_fx){ .job = ev->job, .existing = seen });
    if (broken)
        mu_job_discard(core, job);
    else if (rc == MU_OK && !seen)
        part_add(core, job, ev);
}
