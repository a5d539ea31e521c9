#include "unit/sched/rig.h"

#include <stdio.h>
#include <stdlib.h>

void rig_init(struct rig *r)
{
    memset(r, 0, sizeof *r);
    r->core = mu_core_new(&mu_core_limits_default);
    r->now_ms = 1000000;
    r->sched = mu_sched_new(r->core, 7);
    r->checks = true;
}

void rig_fini(struct rig *r)
{
    mu_sched_free(r->sched);
    mu_core_free(r->core);
    mu_fx_fini(&r->fx);
}

static void inflight_drop(struct rig *r, uint64_t job, uint32_t ordinal)
{
    for (uint32_t i = 0; i < r->inflight_count; i++)
        if (r->inflight[i].job == job && r->inflight[i].ordinal == ordinal)
            r->inflight[i] = r->inflight[--r->inflight_count];
}

static void hear(struct rig *r, const struct mu_fx *fx)
{
    struct mu_policy_view p;

    switch (fx->kind) {
    case MU_FX_GROUP: mu_sched_on_group(r->sched, fx->job, fx->group); break;
    case MU_FX_NODE: mu_sched_on_node(r->sched, fx->node); break;
    case MU_FX_START:
        inflight_drop(r, fx->job, fx->ordinal);
        mu_sched_on_placed(r->sched, fx->job, fx->ordinal);
        break;
    case MU_FX_UNPLACED:
        inflight_drop(r, fx->job, fx->ordinal);
        mu_sched_on_unplaced(r->sched, fx->job, fx->ordinal, fx->node, fx->shape);
        break;
    case MU_FX_FREED: mu_sched_on_freed(r->sched, fx->job, fx->ordinal, fx->node, fx->shape); break;
    case MU_FX_ENDED:
        if (fx->node != MU_NODE_NONE && fx->ended->run_us > 0)
            mu_sched_on_ended(r->sched, fx->node, fx->shape, fx->ended->run_us, fx->state == MU_TASK_SUCCEEDED);
        break;
    case MU_FX_POLICY:
        p = mu_view_policy(r->core, fx->text);
        assert_int_equal(mu_sched_policy_set(r->sched, mu_str_of(fx->text), p.name, p.params, NULL), MU_OK);
        break;
    case MU_FX_USER: mu_sched_on_quota(r->sched); break;
    default: break;
    }
}

uint64_t rig_apply(struct rig *r, enum mu_event_kind kind, const void *msg)
{
    struct mu_buf entry = { 0 };
    struct mu_arena arena = { 0 };
    struct mu_event ev;
    struct mu_reader reader;
    uint64_t time_ms, id = 0;

    mu_entry_begin(&entry, r->now_ms);
    mu_entry_add(&entry, kind, msg);
    assert_true(mu_entry_open(&reader, entry.at, entry.size, &time_ms));
    assert_true(mu_entry_next(&reader, &ev, &arena));
    mu_core_apply(r->core, time_ms, &ev, &r->fx);
    for (uint32_t i = 0; i < r->fx.count; i++) {
        const struct mu_fx *fx = &r->fx.at[i];

        if (fx->kind == MU_FX_REPLY && fx->rc != MU_OK && !r->lenient)
            fail_msg("%s refused: %s", mu_event_name(kind), fx->text ? fx->text : mu_rc_text(fx->rc));
        if (fx->kind == MU_FX_REPLY)
            id = kind == MU_EV_NODE_JOIN ? fx->node : fx->job;
        hear(r, fx);
    }
    mu_arena_fini(&arena);
    mu_buf_fini(&entry);
    if (r->checks)
        mu_sched_check(r->sched);
    return id;
}

uint32_t rig_node(struct rig *r, struct box box)
{
    struct mu_str labels[2] = { mu_str_of(box.label), mu_str_of(box.label2) };
    struct mu_amount lic = { MU_STR_LIT("lic"), box.lic };
    struct mu_ev_node_join join = {
        .name = mu_str_of(box.name),
        .boot = MU_STR_LIT("boot"),
        .cpu_milli = box.cpu_milli,
        .mem_bytes = box.mem_bytes,
        .gpu_milli = box.gpu_milli,
        .labels = { labels, (box.label != NULL) + (box.label2 != NULL) },
        .resources = &lic,
        .resources_count = box.lic > 0,
    };

    return (uint32_t)rig_apply(r, MU_EV_NODE_JOIN, &join);
}

uint64_t rig_submit(struct rig *r, struct ask ask)
{
    struct mu_str argv = MU_STR_LIT("true"), label = mu_str_of(ask.label), prefer = mu_str_of(ask.prefer), each[64];
    struct mu_amount lic = { MU_STR_LIT("lic"), ask.lic };
    struct mu_dep after = { .job = ask.after, .kind = MU_DEP_OK };
    struct mu_group_spec group = {
        .name = MU_STR_LIT("g"),
        .argv = { &argv, 1 },
        .array_step = 1,
        .tasks = ask.tasks ? ask.tasks : 1,
        .cpu_milli = ask.cpu_milli || ask.mem_bytes || ask.lic ? ask.cpu_milli : 1000,
        .mem_bytes = ask.mem_bytes,
        .gpu_milli = ask.gpu_milli,
        .resources = &lic,
        .resources_count = ask.lic > 0,
        .labels = { &label, ask.label != NULL },
        .prefer = { &prefer, ask.prefer != NULL },
        .node = mu_str_of(ask.node),
        .place = mu_str_of(ask.place),
        .max_parallel = ask.max_parallel,
        .retries = ask.retries,
        .backoff_ms = ask.backoff_ms,
        .after = &after,
        .after_count = ask.after != 0,
    };
    struct mu_job_spec spec = {
        .name = mu_str_of(ask.name ? ask.name : "job"),
        .user = mu_str_of(ask.user ? ask.user : "u"),
        .priority = ask.priority,
        .hold = ask.hold,
        .groups = &group,
        .groups_count = 1,
    };
    struct mu_buf bytes = { 0 };

    for (uint32_t i = 0; ask.each && ask.each[i]; i++) {
        each[i] = mu_str_of(ask.each[i]);
        group.each_node = (struct mu_strs){ each, i + 1 };
        group.tasks = i + 1;
    }
    mu_pb_put(&bytes, &mu_job_spec_pb, &spec);
    uint64_t job = rig_apply(r, MU_EV_SUBMIT, &(struct mu_ev_submit){ .spec = mu_buf_str(&bytes) });
    mu_buf_fini(&bytes);
    return job;
}

uint64_t rig_try_submit(struct rig *r, struct ask ask)
{
    bool was = r->lenient;

    r->lenient = true;
    uint64_t job = rig_submit(r, ask);
    r->lenient = was;
    return job;
}

void rig_policy(struct rig *r, const char *kind, const char *name, const char *param)
{
    struct mu_str word = mu_str_of(param);
    struct mu_ev_policy ev = { .kind = mu_str_of(kind), .name = mu_str_of(name), .params = { &word, param != NULL } };

    rig_apply(r, MU_EV_POLICY, &ev);
}

void rig_quota(struct rig *r, const char *user, uint64_t cpu_milli_max, uint32_t weight)
{
    rig_apply(r, MU_EV_QUOTA, &(struct mu_ev_quota){ .user = mu_str_of(user), .cpu_milli_max = cpu_milli_max, .weight = weight });
}

void rig_drain(struct rig *r, uint32_t node, bool drain)
{
    rig_apply(r, MU_EV_NODE_SET, &(struct mu_ev_node_set){ .node = node, .set_drain = true, .drain = drain });
}

bool rig_decide(struct rig *r, struct mu_decision *out)
{
    bool found;

    assert_true(r->inflight_count < RIG_INFLIGHT_MAX);
    found = mu_sched_next(r->sched, r->now_ms, out);
    if (found)
        r->inflight[r->inflight_count++] = *out;
    if (r->checks)
        mu_sched_check(r->sched);
    return found;
}

void rig_commit(struct rig *r, uint32_t i)
{
    struct mu_decision d = r->inflight[i];

    rig_apply(r, MU_EV_PLACED, &(struct mu_ev_placed){ d.job, d.ordinal, d.attempt, d.node });
}

void rig_commit_all(struct rig *r)
{
    while (r->inflight_count > 0)
        rig_commit(r, 0);
}

int rig_place(struct rig *r)
{
    struct mu_decision d;

    if (!rig_decide(r, &d))
        return -1;
    rig_commit_all(r);
    return (int)d.node;
}

uint32_t rig_place_all(struct rig *r)
{
    uint32_t n = 0;

    while (rig_place(r) >= 0)
        n++;
    return n;
}

static uint32_t attempt_of(const struct rig *r, uint64_t job, uint32_t ordinal)
{
    const struct mu_attempt *a = mu_view_attempt(r->core, job, ordinal);

    assert_non_null(a);
    return a->attempt;
}

void rig_started(struct rig *r, uint64_t job, uint32_t ordinal)
{
    rig_apply(r, MU_EV_STARTED, &(struct mu_ev_started){ job, ordinal, attempt_of(r, job, ordinal), r->now_ms });
}

void rig_end(struct rig *r, uint64_t job, uint32_t ordinal, uint64_t run_ms, uint32_t exit_code)
{
    struct mu_ev_ended ended = { .job = job, .ordinal = ordinal, .attempt = attempt_of(r, job, ordinal), .how = MU_END_EXIT,
                                 .code = exit_code, .started_ms = r->now_ms, .run_us = run_ms * 1000 };

    rig_apply(r, MU_EV_ENDED, &ended);
}

struct mu_why rig_why(struct rig *r, uint64_t job, uint32_t ordinal)
{
    struct mu_why why;

    mu_sched_explain(r->sched, job, ordinal, r->now_ms, &why);
    assert_true(why.text[0] != '\0');
    if (r->checks)
        mu_sched_check(r->sched);
    return why;
}
