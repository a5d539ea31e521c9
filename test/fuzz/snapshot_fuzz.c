/* Any bytes as a snapshot of core; and as what a snapshot says, with frame and hash put around it here, or little would
 * ever get past them. What is accepted keeps every invariant, saves to the same again, and stands what time, an operator
 * and lost nodes do to it. */
#include "core/core.h"
#include "core/snapshot.h"
#include "fuzz/fuzz.h"

static const struct mu_core_limits limits = { .tasks_waiting_max = 1 << 20, .jobs_max = 1000, .ended_jobs_max = 1,
                                              .ended_ms = 1000, .bytes_max = 1 << 30 };

static struct mu_core *loaded(const void *bytes, size_t size)
{
    struct mu_core *core = mu_core_new(&limits);
    struct mu_err err = { 0 };

    if (mu_core_load(core, bytes, size, &err) == MU_OK)
        return core;
    MU_ASSERT(err.rc < 0 && err.text[0]);
    mu_core_free(core);
    return NULL;
}

static void apply(struct mu_core *core, struct mu_fx_list *fx, enum mu_event_kind kind, struct mu_event ev)
{
    ev.kind = kind;
    mu_core_apply(core, mu_view_now_ms(core), &ev, fx);
    mu_core_check(core);
}

static void live_on(struct mu_core *core)
{
    struct mu_fx_list fx = { 0 };
    uint64_t id = 0;

    apply(core, &fx, MU_EV_DUE, (struct mu_event){ 0 });
    for (uint32_t i = 0; i < 8 && (id = mu_view_job_next(core, id)) != 0; i++) {
        apply(core, &fx, MU_EV_RETRY, (struct mu_event){ .retry = { .job = id } });
        if (i % 2)
            apply(core, &fx, MU_EV_CANCEL, (struct mu_event){ .cancel = { .job = id } });
    }
    for (uint32_t n = 0; n < 4; n++)
        apply(core, &fx, MU_EV_NODE_LOST, (struct mu_event){ .node_lost = { .node = n } });
    apply(core, &fx, MU_EV_LEAD, (struct mu_event){ .lead = { .epoch = UINT64_MAX } });
    apply(core, &fx, MU_EV_DUE, (struct mu_event){ 0 });
    mu_fx_fini(&fx);
}

static void examine(const void *bytes, size_t size)
{
    struct mu_core *core = loaded(bytes, size), *again;
    struct mu_buf saved = { 0 };

    if (core == NULL)
        return;
    mu_core_check(core);
    mu_core_save(core, &saved);
    again = loaded(saved.at, saved.size);
    MU_ASSERT(again != NULL && mu_core_hash(again) == mu_core_hash(core));
    mu_core_free(again);
    mu_buf_fini(&saved);
    live_on(core);
    mu_core_free(core);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_buf framed = { 0 };
    struct mu_snap_out out = { .to = &framed };

    examine(data, size);
    mu_buf_add(&out.block, data, size);
    mu_snap_end(&out);
    examine(framed.at, framed.size);
    mu_buf_fini(&framed);
    return 0;
}
