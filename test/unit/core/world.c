#include "world.h"

#include "base/assert.h"

void world_init(struct world *w)
{
    if (w->limits.jobs_max == 0)
        w->limits = mu_core_limits_default;
    w->core = mu_core_new(&w->limits);
    if (w->now_ms == 0)
        w->now_ms = 1000;
}

void world_fini(struct world *w)
{
    mu_core_free(w->core);
    mu_fx_fini(&w->fx);
    mu_buf_fini(&w->entry);
    mu_buf_fini(&w->spec);
    mu_arena_fini(&w->arena);
    *w = (struct world){ 0 };
}

void world_apply(struct world *w, enum mu_event_kind kind, const void *msg)
{
    struct mu_reader r;
    uint64_t time_ms;

    mu_entry_begin(&w->entry, w->now_ms);
    mu_entry_add(&w->entry, kind, msg);
    MU_ASSERT(mu_entry_open(&r, w->entry.at, w->entry.size, &time_ms));
    mu_arena_reset(&w->arena);
    MU_ASSERT(mu_entry_next(&r, &w->ev, &w->arena));
    mu_core_apply(w->core, time_ms, &w->ev, &w->fx);
    if (!w->quiet)
        mu_core_check(w->core);
}

const struct mu_fx *world_find(const struct world *w, enum mu_fx_kind kind)
{
    for (uint32_t i = 0; i < w->fx.count; i++) {
        if (w->fx.at[i].kind == kind)
            return &w->fx.at[i];
    }
    return NULL;
}

uint32_t world_count(const struct world *w, enum mu_fx_kind kind)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < w->fx.count; i++)
        count += w->fx.at[i].kind == kind;
    return count;
}

enum mu_rc world_rc(const struct world *w)
{
    const struct mu_fx *reply = world_find(w, MU_FX_REPLY);

    return reply ? reply->rc : MU_OK;
}

const char *world_text(const struct world *w)
{
    const struct mu_fx *reply = world_find(w, MU_FX_REPLY);

    return reply && reply->text ? reply->text : "";
}

const char *world_field(const struct world *w)
{
    const struct mu_fx *reply = world_find(w, MU_FX_REPLY);

    return reply && reply->field ? reply->field : "";
}

uint32_t world_join(struct world *w, const char *name, const char *boot, uint64_t cpu_milli, uint64_t mem_bytes)
{
    struct mu_ev_node_join ev = { .name = mu_str_of(name), .boot = mu_str_of(boot), .cpu_milli = cpu_milli,
                                  .mem_bytes = mem_bytes, .version = mu_str_of("1"), .address = mu_str_of("127.0.0.1:1") };

    world_apply(w, MU_EV_NODE_JOIN, &ev);
    return world_find(w, MU_FX_REPLY)->node;
}

uint64_t world_submit(struct world *w, const struct mu_job_spec *spec)
{
    struct mu_ev_submit ev;

    mu_buf_clear(&w->spec);
    mu_pb_put(&w->spec, &mu_job_spec_pb, spec);
    ev.spec = mu_buf_str(&w->spec);
    world_apply(w, MU_EV_SUBMIT, &ev);
    return world_find(w, MU_FX_REPLY)->job;
}

struct mu_group_spec world_group(uint32_t tasks)
{
    static struct mu_str argv[] = { { "true", 4 } };

    return (struct mu_group_spec){ .argv = { argv, 1 }, .tasks = tasks, .cpu_milli = 1000 };
}

struct mu_job_spec world_spec(struct mu_group_spec *groups, uint32_t count)
{
    return (struct mu_job_spec){ .name = mu_str_of("test"), .user = mu_str_of("ann"), .groups = groups,
                                 .groups_count = count };
}

uint64_t world_array(struct world *w, uint32_t tasks)
{
    struct mu_group_spec group = world_group(tasks);
    struct mu_job_spec spec = world_spec(&group, 1);

    return world_submit(w, &spec);
}

bool world_place(struct world *w, uint64_t job, uint32_t ordinal, uint32_t node)
{
    struct mu_ev_placed ev = { job, ordinal, mu_view_attempts(w->core, job, ordinal) + 1, node };

    world_apply(w, MU_EV_PLACED, &ev);
    return world_find(w, MU_FX_START) != NULL;
}

void world_start(struct world *w, uint64_t job, uint32_t ordinal)
{
    struct mu_ev_started ev = { job, ordinal, mu_view_attempts(w->core, job, ordinal), w->now_ms };

    world_apply(w, MU_EV_STARTED, &ev);
}

void world_end(struct world *w, uint64_t job, uint32_t ordinal, enum mu_end how, uint32_t code)
{
    struct mu_ev_ended ev = { .job = job, .ordinal = ordinal, .attempt = mu_view_attempts(w->core, job, ordinal),
                              .how = how, .code = code };

    world_apply(w, MU_EV_ENDED, &ev);
}

void world_run(struct world *w, uint64_t job, uint32_t ordinal, uint32_t node, enum mu_end how, uint32_t code)
{
    bool placed = world_place(w, job, ordinal, node);

    MU_ASSERT(placed);
    world_start(w, job, ordinal);
    world_end(w, job, ordinal, how, code);
}

void world_cancel(struct world *w, uint64_t job)
{
    struct mu_ev_cancel ev = { .job = job, .by = mu_str_of("ann") };

    world_apply(w, MU_EV_CANCEL, &ev);
}

void world_due(struct world *w, uint64_t now_ms)
{
    struct mu_ev_due ev = { 0 };

    w->now_ms = now_ms;
    world_apply(w, MU_EV_DUE, &ev);
}

const char *world_job_state(struct world *w, uint64_t job)
{
    struct mu_job_view view;

    return mu_view_job(w->core, job, &view) ? mu_view_job_state(&view) : "gone";
}

enum mu_task_state world_task(struct world *w, uint64_t job, uint32_t ordinal)
{
    return mu_view_task(w->core, job, ordinal);
}

static void trace_task(const struct mu_fx *fx, struct mu_buf *out)
{
    mu_buf_printf(out, " %llu.%u", (unsigned long long)fx->job, fx->ordinal);
    if (fx->count > 1)
        mu_buf_printf(out, "+%u", fx->count);
    if (fx->attempt)
        mu_buf_printf(out, " #%u", fx->attempt);
    if (fx->kind != MU_FX_TASK && fx->node != MU_NODE_NONE)
        mu_buf_printf(out, " on %u", fx->node);
}

static void trace_one(const struct mu_fx *fx, struct mu_buf *out)
{
    static const char *const kinds[] = {
        [MU_FX_REPLY] = "reply",   [MU_FX_GROUP] = "group", [MU_FX_NODE] = "node",     [MU_FX_START] = "start",
        [MU_FX_STOP] = "stop",     [MU_FX_UNPLACED] = "unplaced", [MU_FX_FREED] = "freed", [MU_FX_TASK] = "task",
        [MU_FX_ENDED] = "ended",   [MU_FX_JOB] = "job",     [MU_FX_FORGET] = "forget", [MU_FX_POLICY] = "policy",
        [MU_FX_USER] = "user",
    };

    mu_buf_addz(out, kinds[fx->kind]);
    switch (fx->kind) {
    case MU_FX_REPLY:
        mu_buf_printf(out, " %s%s", mu_rc_code(fx->rc), fx->existing ? " existing" : "");
        break;
    case MU_FX_GROUP:
        mu_buf_printf(out, " %llu/%u", (unsigned long long)fx->job, fx->group);
        break;
    case MU_FX_NODE:
        mu_buf_printf(out, " %u", fx->node);
        break;
    case MU_FX_JOB:
    case MU_FX_FORGET:
        mu_buf_printf(out, " %llu", (unsigned long long)fx->job);
        break;
    case MU_FX_POLICY:
        mu_buf_printf(out, " %s", fx->text);
        break;
    case MU_FX_USER:
        break;
    case MU_FX_STOP:
        trace_task(fx, out);
        mu_buf_printf(out, " for %s", mu_end_text(fx->how));
        break;
    case MU_FX_TASK:
        trace_task(fx, out);
        mu_buf_printf(out, " %s", mu_task_state_text(fx->state));
        break;
    case MU_FX_ENDED:
        trace_task(fx, out);
        mu_buf_printf(out, " %s: %s", mu_end_text((enum mu_end)fx->ended->how), mu_task_state_text(fx->state));
        break;
    default:
        trace_task(fx, out);
    }
    mu_buf_addc(out, '\n');
}

void world_trace(const struct world *w, struct mu_buf *out)
{
    for (uint32_t i = 0; i < w->fx.count; i++)
        trace_one(&w->fx.at[i], out);
}
