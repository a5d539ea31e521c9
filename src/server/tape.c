/* server/tape.c -- see tape.h. */
#include "server/tape.h"

#include "base/assert.h"

static const char *const job_words[] = {
#define X(name, text) [MU_JOB_##name] = text,
    MU_JOB_WORD_MAP(X)
#undef X
};

const char *mu_job_word_text(enum mu_job_word w)
{
    MU_ASSERT(w < MU_JOB_WORDS);
    return job_words[w];
}

enum mu_job_word mu_job_word_of(const char *text)
{
    for (int w = 0; w < MU_JOB_WORDS; w++)
        if (strcmp(job_words[w], text) == 0)
            return (enum mu_job_word)w;
    return MU_JOB_WORDS;
}

void mu_tape_init(struct mu_tape *t)
{
    *t = (struct mu_tape){ .items = calloc(MU_TAPE_ITEMS, sizeof *t->items) };
    MU_ASSERT(t->items != NULL);
}

void mu_tape_fini(struct mu_tape *t)
{
    free(t->items);
    *t = (struct mu_tape){ 0 };
}

void mu_tape_restart(struct mu_tape *t, uint64_t seq)
{
    t->end = 0;
    t->base = mu_tape_id_end(seq);
}

static struct mu_tape_item *push(struct mu_tape *t, uint64_t seq, uint64_t time_ms, enum mu_tape_kind kind)
{
    struct mu_tape_item *item = &t->items[t->end % MU_TAPE_ITEMS];

    if (t->end++ >= MU_TAPE_ITEMS)
        t->base = item->id;
    if (seq != t->seq) {
        t->seq = seq;
        t->place = 0;
    }
    /* an entry of more items than there are places: the rest share the last id and are skipped together */
    *item = (struct mu_tape_item){ .id = seq * MU_TAPE_PLACES + t->place, .time_ms = time_ms, .kind = (uint8_t)kind };
    t->place += t->place < MU_TAPE_PLACES - 1;
    return item;
}

static void on_ended(struct mu_tape_item *item, const struct mu_fx *fx)
{
    item->how = (uint8_t)fx->ended->how;
    item->code = fx->ended->code;
    item->run_us = fx->ended->run_us;
    item->out_bytes = fx->ended->out_bytes;
    item->err_bytes = fx->ended->err_bytes;
}

static void on_task(struct mu_tape *t, uint64_t seq, uint64_t time_ms, const struct mu_fx *fx)
{
    struct mu_tape_item *item = push(t, seq, time_ms, fx->kind == MU_FX_ENDED ? MU_TAPE_ENDED : MU_TAPE_TASK);

    item->job = fx->job;
    item->ordinal = fx->ordinal;
    item->count = fx->count;
    item->attempt = fx->attempt;
    item->node = fx->node;
    item->state = (uint8_t)fx->state;
    if (fx->kind == MU_FX_ENDED)
        on_ended(item, fx);
}

static void on_job(struct mu_tape *t, const struct mu_core *core, uint64_t seq, uint64_t time_ms, const struct mu_fx *fx)
{
    struct mu_job_view job;

    if (!mu_view_job(core, fx->job, &job))
        return;
    struct mu_tape_item *item = push(t, seq, time_ms, MU_TAPE_JOB);
    item->job = fx->job;
    item->state = (uint8_t)mu_job_word_of(mu_view_job_state(&job));
    MU_ASSERT(item->state < MU_JOB_WORDS);
}

void mu_tape_effect(struct mu_tape *t, const struct mu_core *core, uint64_t seq, uint64_t time_ms, const struct mu_fx *fx)
{
    const struct mu_node *node;

    switch (fx->kind) {
    case MU_FX_TASK:
        if (mu_task_is_live(fx->state)) /* ends are told by ENDED, with all there is to know */
            on_task(t, seq, time_ms, fx);
        break;
    case MU_FX_ENDED: on_task(t, seq, time_ms, fx); break;
    case MU_FX_JOB: on_job(t, core, seq, time_ms, fx); break;
    case MU_FX_NODE:
        node = mu_view_node(core, fx->node);
        struct mu_tape_item *n = push(t, seq, time_ms, MU_TAPE_NODE);
        n->node = fx->node;
        n->state = node ? (uint8_t)node->state : MU_NODE_DOWN;
        break;
    case MU_FX_POLICY: push(t, seq, time_ms, MU_TAPE_POLICY)->place = fx->text && strcmp(fx->text, "place") == 0; break;
    case MU_FX_REPLY: case MU_FX_GROUP: case MU_FX_START: case MU_FX_STOP: case MU_FX_UNPLACED: case MU_FX_FREED: case MU_FX_FORGET: case MU_FX_USER:
        break;
    }
}

const struct mu_tape_item *mu_tape_at(const struct mu_tape *t, uint64_t position)
{
    MU_ASSERT(position >= mu_tape_begin(t) && position < t->end);
    return &t->items[position % MU_TAPE_ITEMS];
}

bool mu_tape_seek(const struct mu_tape *t, uint64_t id, uint64_t *out)
{
    uint64_t lo = mu_tape_begin(t), hi = t->end;

    while (lo < hi) {
        uint64_t mid = lo + (hi - lo) / 2;
        if (mu_tape_at(t, mid)->id > id)
            hi = mid;
        else
            lo = mid + 1;
    }
    *out = lo;
    return id >= t->base;
}
