/* Tables of all events, and the entry: a stream of them under one time. */
#include "core/event.h"

#include "base/assert.h"

enum { KEY_TIME = 1 << 3 | 0, KEY_EVENT = 2 << 3 | 2 }; /* tag and wire type of Entry's two fields */

MU_PB_TABLE(mu_amount, MU_AMOUNT_FIELDS)
MU_PB_TABLE(mu_dep, MU_DEP_FIELDS)
MU_PB_TABLE(mu_group_spec, MU_GROUP_SPEC_FIELDS)
MU_PB_TABLE(mu_job_spec, MU_JOB_SPEC_FIELDS)
#define X(num, NAME, name) MU_PB_TABLE(mu_ev_##name, MU_EV_##NAME##_FIELDS)
MU_EVENT_MAP(X)
#undef X

static const struct {
    const char *name;
    const struct mu_pb *pb;
} kinds[] = {
#define X(num, NAME, name_) [num] = { #name_, &mu_ev_##name_##_pb },
    MU_EVENT_MAP(X)
#undef X
};

const struct mu_pb *mu_event_pb(enum mu_event_kind kind)
{
    return kind < MU_COUNT(kinds) ? kinds[kind].pb : NULL;
}

const char *mu_event_name(enum mu_event_kind kind)
{
    MU_ASSERT(mu_event_pb(kind) != NULL);
    return kinds[kind].name;
}

void mu_entry_begin(struct mu_buf *b, uint64_t time_ms)
{
    mu_buf_clear(b);
    mu_put_varint(b, KEY_TIME);
    mu_put_varint(b, time_ms);
}

void mu_entry_add(struct mu_buf *b, enum mu_event_kind kind, const void *msg)
{
    const struct mu_pb *pb = mu_event_pb(kind);
    size_t start;

    MU_ASSERT(pb != NULL);
    mu_put_varint(b, KEY_EVENT);
    start = mu_put_open(b);
    mu_pb_put_field(b, kind, pb, msg);
    mu_put_close(b, start);
}

bool mu_entry_open(struct mu_reader *r, const void *bytes, size_t size, uint64_t *out_time_ms)
{
    *r = mu_reader_of(bytes, size);
    if (mu_get_varint(r) != KEY_TIME)
        r->bad = true;
    *out_time_ms = mu_get_varint(r);
    return !r->bad;
}

bool mu_entry_next(struct mu_reader *r, struct mu_event *out_ev, struct mu_arena *arena)
{
    const struct mu_pb *pb;
    struct mu_str event, msg;
    struct mu_reader in;
    uint64_t key;

    if (mu_reader_done(r))
        return false;
    if (mu_get_varint(r) != KEY_EVENT)
        r->bad = true;
    event = mu_get_bytes(r);
    in = mu_reader_of(event.at, event.size);
    key = mu_get_varint(&in);
    msg = mu_get_bytes(&in);
    pb = (key & 7) == 2 && key >> 3 < MU_EV_KINDS ? mu_event_pb((enum mu_event_kind)(key >> 3)) : NULL;
    if (r->bad || in.bad || in.at != in.end || pb == NULL) {
        r->bad = true;
        return false;
    }
    out_ev->kind = (enum mu_event_kind)(key >> 3);
    if (!mu_pb_get(pb, (char *)out_ev + offsetof(struct mu_event, submit), msg, arena))
        r->bad = true;
    return !r->bad;
}
