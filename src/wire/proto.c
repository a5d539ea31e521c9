/* Frames between servers and agents. */
#include "wire/proto.h"

#include "base/assert.h"
#include "base/le.h"

MU_PB_TABLE(mu_task_ref, MU_TASK_REF_FIELDS)
MU_PB_TABLE(mu_start, MU_START_FIELDS)
MU_PB_TABLE(mu_stop, MU_STOP_FIELDS)
MU_PB_TABLE(mu_started, MU_STARTED_FIELDS)
MU_PB_TABLE(mu_result, MU_RESULT_FIELDS)
#define X(num, NAME, name, from) MU_PB_TABLE(mu_msg_##name, MU_MSG_##NAME##_FIELDS)
MU_MSG_MAP(X)
#undef X

static const struct {
    const char *name;
    const struct mu_pb *pb;
    char sender;
} types[] = {
#define X(num, NAME, name_, from) [num] = { #name_, &mu_msg_##name_##_pb, from },
    MU_MSG_MAP(X)
#undef X
};

const struct mu_pb *mu_msg_pb(enum mu_msg_type type)
{
    return type < MU_COUNT(types) ? types[type].pb : NULL;
}

const char *mu_msg_name(enum mu_msg_type type)
{
    MU_ASSERT(mu_msg_pb(type) != NULL);
    return types[type].name;
}

char mu_msg_sender(enum mu_msg_type type)
{
    MU_ASSERT(mu_msg_pb(type) != NULL);
    return types[type].sender;
}

static void head_put(uint8_t *head, enum mu_msg_type type, uint64_t epoch, size_t size)
{
    MU_ASSERT(size <= MU_FRAME_MAX);
    mu_le32_put(head, (uint32_t)size);
    mu_le16_put(head + 4, (uint16_t)type);
    mu_le16_put(head + 6, MU_FRAME_VERSION);
    mu_le64_put(head + 8, epoch);
}

void mu_frame_put(struct mu_buf *b, enum mu_msg_type type, uint64_t epoch, const void *msg)
{
    const struct mu_pb *pb = mu_msg_pb(type);
    size_t start = b->size;

    MU_ASSERT(pb != NULL);
    mu_buf_room(b, MU_FRAME_HEAD);
    b->size += MU_FRAME_HEAD;
    mu_pb_put(b, pb, msg);
    head_put(b->at + start, type, epoch, b->size - start - MU_FRAME_HEAD);
}

void mu_frame_put_raw(struct mu_buf *b, enum mu_msg_type type, uint64_t epoch, const void *payload, size_t size)
{
    MU_ASSERT(mu_msg_pb(type) != NULL);
    head_put(mu_buf_room(b, MU_FRAME_HEAD), type, epoch, size);
    b->size += MU_FRAME_HEAD;
    mu_buf_add(b, payload, size);
}

enum mu_rc mu_frame_take(const void *bytes, size_t size, size_t *used, struct mu_msg *out, struct mu_arena *arena, struct mu_err *err)
{
    const uint8_t *head = bytes;
    const struct mu_pb *pb;
    uint32_t payload, type, version;

    if (size < MU_FRAME_HEAD)
        return MU_AGAIN;
    payload = mu_le32_get(head);
    type = mu_le16_get(head + 4);
    version = mu_le16_get(head + 6);
    pb = mu_msg_pb(type);
    if (version != MU_FRAME_VERSION)
        return mu_fail(err, MU_INVALID, "frame version %u, want %d", version, MU_FRAME_VERSION);
    if (pb == NULL)
        return mu_fail(err, MU_INVALID, "frame type %u is not known", type);
    if (payload > MU_FRAME_MAX)
        return mu_fail(err, MU_INVALID, "frame of %u bytes, at most %d", payload, MU_FRAME_MAX);
    if (size - MU_FRAME_HEAD < payload)
        return MU_AGAIN;
    if (!mu_pb_get(pb, &out->hello, (struct mu_str){ (const char *)head + MU_FRAME_HEAD, payload }, arena))
        return mu_fail(err, MU_INVALID, "frame %s is damaged", types[type].name);
    out->type = (enum mu_msg_type)type;
    out->epoch = mu_le64_get(head + 8);
    *used = MU_FRAME_HEAD + payload;
    return MU_OK;
}
