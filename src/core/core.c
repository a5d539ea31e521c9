/* The machine's frame: one event in, dispatched by kind; effects gathered; policies. */
#include "core/state.h"

#include "base/units.h"

const struct mu_core_limits mu_core_limits_default = {
    .tasks_waiting_max = 50 * 1000 * 1000,
    .jobs_max = 4 * 1000 * 1000,
    .ended_jobs_max = 20 * 1000,
    .ended_ms = UINT64_C(7) * 24 * 3600 * 1000,
    .bytes_max = UINT64_C(4) << 30,
};

static const struct {
    const char *kind, *fallback;
} policies[MU_POLICY_KINDS] = {
    [MU_POLICY_ORDER] = { "order", "fifo" },
    [MU_POLICY_PLACE] = { "place", "pack" },
};
#define HALFLIFE_MS (UINT64_C(24) * 3600 * 1000)

void *mu_core_alloc(size_t size)
{
    void *memory = calloc(1, size);

    MU_ASSERT(memory != NULL);
    return memory;
}

void *mu_core_resize(void *memory, size_t size)
{
    memory = realloc(memory, size);
    MU_ASSERT(memory != NULL);
    return memory;
}

/* ---- effects ---- */

void mu_core_emit(struct mu_core *core, struct mu_fx fx)
{
    struct mu_fx_list *out = core->out;

    if (out->count == out->cap) {
        out->cap = out->cap ? out->cap * 2 : 16;
        out->at = mu_core_resize(out->at, out->cap * sizeof out->at[0]);
    }
    out->at[out->count++] = fx;
}

void mu_core_emit_group(struct mu_core *core, uint64_t job, uint32_t group)
{
    mu_core_emit(core, (struct mu_fx){ .kind = MU_FX_GROUP, .job = job, .group = group });
}

void mu_core_reply(struct mu_core *core, enum mu_rc rc, struct mu_fx fx)
{
    fx.kind = MU_FX_REPLY;
    fx.rc = rc;
    if (rc < 0) {
        fx.text = core->err.text;
        fx.field = core->err.field[0] ? core->err.field : NULL;
    }
    mu_core_emit(core, fx);
}

void mu_fx_fini(struct mu_fx_list *fx)
{
    free(fx->at);
    *fx = (struct mu_fx_list){ 0 };
}

/* ---- kinds of resources ---- */

uint32_t mu_core_kind(const struct mu_core *core, struct mu_str name)
{
    uint32_t word = mu_words_find(&core->words, name);

    for (uint32_t i = 0; word && i < core->kinds; i++) {
        if (core->kind_word[i] == word)
            return i;
    }
    return UINT32_MAX;
}

uint32_t mu_core_kind_make(struct mu_core *core, struct mu_str name)
{
    uint32_t kind = mu_core_kind(core, name);

    if (kind != UINT32_MAX || core->kinds == MU_RES_MAX)
        return kind;
    core->kind_word[core->kinds] = mu_words_ref(&core->words, name);
    return core->kinds++;
}

/* ---- policies ---- */

static void strs_free(struct mu_strs *strs)
{
    for (uint32_t i = 0; i < strs->count; i++)
        free((char *)(uintptr_t)strs->at[i].at);
    free(strs->at);
    *strs = (struct mu_strs){ 0 };
}

/* The half-life among a policy's parameters, or the usual one. */
static uint64_t halflife_of(const struct mu_strs *params)
{
    uint64_t ms = HALFLIFE_MS, asked;

    for (uint32_t i = 0; i < params->count; i++) {
        struct mu_str value, name = mu_str_cut(params->at[i], '=', &value);
        if (mu_str_is(name, "halflife") && mu_parse_duration(value, &asked) && asked > 0 && asked < MU_DURATION_MAX)
            ms = asked;
    }
    return ms;
}

bool mu_core_policy_set(struct mu_core *core, struct mu_str kind, struct mu_str name, const struct mu_strs *params)
{
    for (uint32_t i = 0; i < MU_POLICY_KINDS; i++) {
        struct mu_policy *p = &core->policy[i];
        if (!mu_str_is(kind, policies[i].kind))
            continue;
        free(p->name);
        strs_free(&p->params);
        p->name = mu_str_dup(name);
        p->params.count = params->count;
        p->params.at = mu_core_alloc((params->count + 1) * sizeof p->params.at[0]);
        for (uint32_t k = 0; k < params->count; k++)
            p->params.at[k] = (struct mu_str){ mu_str_dup(params->at[k]), params->at[k].size };
        if (i == MU_POLICY_ORDER)
            core->halflife_ms = halflife_of(params);
        return true;
    }
    return false;
}

static enum mu_rc policy_admit(const struct mu_ev_policy *ev, struct mu_err *err)
{
    if (!mu_name_is_ok(ev->name))
        return mu_fail_at(err, MU_INVALID, "name", "a policy needs a name of at most %d bytes", MU_NAME_MAX);
    if (ev->params.count > 64)
        return mu_fail_at(err, MU_INVALID, "params", "a policy has at most 64 parameters");
    return MU_OK;
}

static void on_policy(struct mu_core *core, const struct mu_ev_policy *ev)
{
    enum mu_rc rc = policy_admit(ev, &core->err);

    if (rc == MU_OK && !mu_core_policy_set(core, ev->kind, ev->name, &ev->params))
        rc = mu_fail_at(&core->err, MU_INVALID, "kind", "there are policies for order and place, not for \"" MU_STR_FMT "\"",
                        MU_STR_ARG(ev->kind));
    mu_core_reply(core, rc, (struct mu_fx){ 0 });
    if (rc != MU_OK)
        return;
    mu_core_emit(core, (struct mu_fx){ .kind = MU_FX_POLICY,
                                       .text = mu_str_is(ev->kind, "order") ? "order" : "place" });
}

struct mu_policy_view mu_view_policy(const struct mu_core *core, const char *kind)
{
    for (uint32_t i = 0; i < MU_POLICY_KINDS; i++) {
        if (strcmp(kind, policies[i].kind) == 0)
            return (struct mu_policy_view){ mu_str_of(core->policy[i].name), &core->policy[i].params };
    }
    return (struct mu_policy_view){ 0 };
}

/* ---- life ---- */

struct mu_core *mu_core_new(const struct mu_core_limits *limits)
{
    struct mu_core *core = mu_core_alloc(sizeof *core);

    core->limits = *limits;
    core->next_job = 1;
    mu_list_init(&core->ended);
    mu_attempts_init(&core->attempts);
    mu_core_kind_make(core, MU_STR_LIT("cpus"));
    mu_core_kind_make(core, MU_STR_LIT("mem"));
    mu_core_kind_make(core, MU_STR_LIT("gpus"));
    for (uint32_t i = 0; i < MU_POLICY_KINDS; i++)
        mu_core_policy_set(core, mu_str_of(policies[i].kind), mu_str_of(policies[i].fallback), &(struct mu_strs){ 0 });
    return core;
}

void mu_core_free(struct mu_core *core)
{
    struct mu_job *job;

    if (core == NULL)
        return;
    while ((job = mu_jobs_next(&core->jobs, 0)) != NULL)
        mu_job_free(core, job);
    mu_jobs_fini(&core->jobs);
    mu_map_fini(&core->by_key);
    mu_nodes_fini(core);
    mu_shapes_fini(core);
    mu_users_fini(core);
    mu_attempts_fini(&core->attempts);
    mu_timers_fini(&core->timers);
    mu_words_fini(&core->words);
    for (uint32_t i = 0; i < MU_POLICY_KINDS; i++) {
        free(core->policy[i].name);
        strs_free(&core->policy[i].params);
    }
    mu_arena_fini(&core->arena);
    mu_buf_fini(&core->scratch);
    free(core->server);
    free(core->url);
    free(core->work);
    free(core);
}

void mu_core_apply(struct mu_core *core, uint64_t now_ms, const struct mu_event *ev, struct mu_fx_list *out)
{
    out->count = 0;
    core->out = out;
    if (core->arena.used)
        mu_arena_reset(&core->arena);
    if (now_ms > core->now_ms)
        core->now_ms = now_ms;
    core->version++;
    switch (ev->kind) {
    case MU_EV_SUBMIT:    mu_on_submit(core, &ev->submit); break;
    case MU_EV_PART:      mu_on_part(core, &ev->part); break;
    case MU_EV_PLACED:    mu_on_placed(core, &ev->placed); break;
    case MU_EV_STARTED:   mu_on_started(core, &ev->started); break;
    case MU_EV_ENDED:     mu_on_ended(core, &ev->ended); break;
    case MU_EV_CANCEL:    mu_on_cancel(core, &ev->cancel); break;
    case MU_EV_HOLD:      mu_on_hold(core, &ev->hold); break;
    case MU_EV_RETRY:     mu_on_retry(core, &ev->retry); break;
    case MU_EV_NODE_JOIN: mu_on_node_join(core, &ev->node_join); break;
    case MU_EV_NODE_LOST: mu_on_node_lost(core, &ev->node_lost); break;
    case MU_EV_NODE_SET:  mu_on_node_set(core, &ev->node_set); break;
    case MU_EV_POLICY:    on_policy(core, &ev->policy); break;
    case MU_EV_QUOTA:     mu_on_quota(core, &ev->quota); break;
    case MU_EV_DUE:       mu_on_due(core, &ev->due); break;
    case MU_EV_LEAD:      mu_on_lead(core, &ev->lead); break;
    case MU_EV_KINDS:     break;
    }
    mu_dep_run(core);
    core->out = NULL;
}

uint64_t mu_core_wake_ms(const struct mu_core *core)
{
    return mu_due_ms(core);
}
