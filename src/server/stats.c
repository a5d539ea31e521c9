/* server/stats.c -- see stats.h. */
#include "server/stats.h"

#include "base/assert.h"

const char *mu_stage_text(enum mu_stage s)
{
    static const char *const texts[] = {
#define X(name, text) [MU_STAGE_##name] = text,
        MU_STAGE_MAP(X)
#undef X
    };
    MU_ASSERT(s < MU_STAGES);
    return texts[s];
}

void mu_stats_init(struct mu_stats *s, uint64_t now_ms)
{
    memset(s, 0, sizeof *s);
    s->start_ms = now_ms;
}

void mu_stats_fini(struct mu_stats *s)
{
    for (int i = 0; i < MU_STATS_SLOTS; i++)
        free(s->slots[i]);
}

static void slot_merge(struct mu_stats_slot *into, const struct mu_stats_slot *from)
{
    for (int i = 0; i < MU_STAGES; i++)
        mu_hist_merge(&into->stage[i], &from->stage[i]);
    mu_hist_merge(&into->append, &from->append);
    into->ended += from->ended;
}

static struct mu_stats_slot *slot_at(struct mu_stats *s, uint64_t now_ms)
{
    uint64_t no = now_ms / MU_STATS_SLOT_MS;
    struct mu_stats_slot **slot = &s->slots[no % MU_STATS_SLOTS];

    if (*slot != NULL && s->slot_no[no % MU_STATS_SLOTS] != no) { /* a quarter of an hour ago */
        slot_merge(&s->total, *slot);
        free(*slot);
        *slot = NULL;
    }
    if (*slot == NULL) {
        *slot = calloc(1, sizeof **slot);
        MU_ASSERT(*slot != NULL);
        s->slot_no[no % MU_STATS_SLOTS] = no;
    }
    return *slot;
}

void mu_stats_stage(struct mu_stats *s, uint64_t now_ms, enum mu_stage stage, uint64_t us)
{
    mu_hist_add(&slot_at(s, now_ms)->stage[stage], us);
}

void mu_stats_append(struct mu_stats *s, uint64_t now_ms, uint64_t us)
{
    mu_hist_add(&slot_at(s, now_ms)->append, us);
}

void mu_stats_ended(struct mu_stats *s, uint64_t now_ms, enum mu_task_state state, uint32_t count)
{
    slot_at(s, now_ms)->ended += count;
    s->ended[state] += count;
}

void mu_stats_window(struct mu_stats *s, uint64_t now_ms, uint64_t window_ms, struct mu_stats_slot *out, uint64_t *out_ms)
{
    uint64_t last = now_ms / MU_STATS_SLOT_MS, count = (window_ms + MU_STATS_SLOT_MS - 1) / MU_STATS_SLOT_MS, from_ms;

    count = count < 1 ? 1 : count >= MU_STATS_SLOTS ? MU_STATS_SLOTS - 1 : count; /* whole slots, and the one under way */
    memset(out, 0, sizeof *out);
    for (int i = 0; i < MU_STATS_SLOTS; i++)
        if (s->slots[i] != NULL && s->slot_no[i] + count >= last && s->slot_no[i] <= last)
            slot_merge(out, s->slots[i]);
    from_ms = last > count ? (last - count) * MU_STATS_SLOT_MS : 0;
    from_ms = from_ms < s->start_ms ? s->start_ms : from_ms;
    *out_ms = now_ms > from_ms ? now_ms - from_ms : 1;
}

void mu_stats_total(struct mu_stats *s, struct mu_stats_slot *out)
{
    *out = s->total;
    for (int i = 0; i < MU_STATS_SLOTS; i++)
        if (s->slots[i] != NULL)
            slot_merge(out, s->slots[i]);
}
