/* Records as people read them: JSON for dumps, .proto for other programs. */
#include "base/pb.h"

#include "base/json.h"

static void print_str(struct mu_buf *b, struct mu_str s)
{
    struct mu_buf hex = { 0 };

    if (mu_utf8_valid(s)) {
        mu_json_str(b, s);
        return;
    }
    mu_buf_addz(&hex, "hex:");
    for (uint32_t i = 0; i < s.size; i++)
        mu_buf_printf(&hex, "%02x", (uint8_t)s.at[i]);
    mu_json_str(b, mu_buf_str(&hex));
    mu_buf_fini(&hex);
}

static void print_list(struct mu_buf *b, const struct mu_pb_field *f, const void *msg)
{
    const void *value = (const char *)msg + f->offset;
    const struct mu_strs *strs = value;
    const struct mu_u64s *u64s = value;
    const char *element = *(const char *const *)value;

    mu_json_open(b, '[');
    if (f->type == MU_PB_STRS) {
        for (uint32_t i = 0; i < strs->count; i++)
            print_str(b, strs->at[i]);
    } else if (f->type == MU_PB_U64S) {
        for (uint32_t i = 0; i < u64s->count; i++)
            mu_json_u64(b, u64s->at[i]);
    } else {
        uint32_t count = *(const uint32_t *)(const void *)((const char *)msg + f->count_offset);
        for (uint32_t i = 0; i < count; i++, element += f->msg->size)
            mu_pb_print(b, f->msg, element);
    }
    mu_json_close(b, '[');
}

static bool is_zero(const struct mu_pb_field *f, const void *msg)
{
    const void *value = (const char *)msg + f->offset;

    switch ((enum mu_pb_type)f->type) {
    case MU_PB_U64:
    case MU_PB_S64:
        return *(const uint64_t *)value == 0;
    case MU_PB_U32:
        return *(const uint32_t *)value == 0;
    case MU_PB_BOOL:
        return !*(const bool *)value;
    case MU_PB_STR:
        return ((const struct mu_str *)value)->size == 0;
    case MU_PB_STRS:
        return ((const struct mu_strs *)value)->count == 0;
    case MU_PB_U64S:
        return ((const struct mu_u64s *)value)->count == 0;
    case MU_PB_MSGS:
        break;
    }
    return *(const uint32_t *)(const void *)((const char *)msg + f->count_offset) == 0;
}

void mu_pb_print(struct mu_buf *b, const struct mu_pb *pb, const void *msg)
{
    mu_json_open(b, '{');
    for (const struct mu_pb_field *f = pb->fields, *end = f + pb->count; f < end; f++) {
        const void *value = (const char *)msg + f->offset;
        if (is_zero(f, msg))
            continue;
        mu_json_key(b, f->name);
        if (f->type == MU_PB_U64)
            mu_json_u64(b, *(const uint64_t *)value);
        else if (f->type == MU_PB_U32)
            mu_json_u64(b, *(const uint32_t *)value);
        else if (f->type == MU_PB_S64)
            mu_json_s64(b, *(const int64_t *)value);
        else if (f->type == MU_PB_BOOL)
            mu_json_bool(b, true);
        else if (f->type == MU_PB_STR)
            print_str(b, *(const struct mu_str *)value);
        else
            print_list(b, f, msg);
    }
    mu_json_close(b, '{');
}

void mu_pb_name(struct mu_buf *b, const struct mu_pb *pb)
{
    bool upper = true;

    for (const char *at = pb->name + strlen("mu_"); *at; at++) {
        if (*at != '_')
            mu_buf_addc(b, upper ? (char)(*at & ~0x20) : *at);
        upper = *at == '_';
    }
}

void mu_pb_proto(struct mu_buf *b, const struct mu_pb *pb)
{
    static const char *const types[] = {
        [MU_PB_U64] = "uint64", [MU_PB_U32] = "uint32", [MU_PB_S64] = "sint64",        [MU_PB_BOOL] = "bool",
        [MU_PB_STR] = "bytes",  [MU_PB_STRS] = "repeated bytes", [MU_PB_U64S] = "repeated uint64",
    };

    mu_buf_addz(b, "message ");
    mu_pb_name(b, pb);
    mu_buf_addz(b, " {\n");
    for (uint32_t i = 0; i < pb->count; i++) {
        const struct mu_pb_field *f = &pb->fields[i];
        mu_buf_addz(b, "  ");
        if (f->type == MU_PB_MSGS) {
            mu_buf_addz(b, "repeated ");
            mu_pb_name(b, f->msg);
        } else {
            mu_buf_addz(b, types[f->type]);
        }
        mu_buf_printf(b, " %s = %u;\n", f->name, f->tag);
    }
    mu_buf_addz(b, "}\n");
}
