#include "unit/records.h"

#include "base/assert.h"

#include <inttypes.h>

/* Where the values of a record come from: chance, or (rng NULL) the field's tag. */
struct source {
    struct mu_rng *rng;
    struct mu_arena *arena;
};

static uint64_t number(const struct source *from, unsigned tag)
{
    return from->rng ? mu_rng_next(from->rng) >> mu_rng_below(from->rng, 64) : tag * UINT64_C(1000003);
}

static uint32_t elements(const struct source *from)
{
    return from->rng ? mu_rng_below(from->rng, 4) : 2;
}

static struct mu_str text(const struct source *from, const char *name)
{
    struct mu_str s = mu_str_of(name);
    char *bytes;

    if (from->rng == NULL)
        return s;
    s.size = mu_rng_below(from->rng, mu_rng_below(from->rng, 20) ? 12 : 400);
    bytes = mu_arena_alloc(from->arena, s.size);
    for (uint32_t i = 0; i < s.size; i++)
        bytes[i] = (char)(mu_rng_below(from->rng, 3) ? 'a' + mu_rng_below(from->rng, 26) : mu_rng_below(from->rng, 256));
    s.at = bytes;
    return s;
}

static void fill(const struct mu_pb *pb, void *msg, const struct source *from);

static void fill_field(const struct mu_pb_field *f, void *msg, const struct source *from)
{
    void *value = (char *)msg + f->offset;
    uint32_t *count = (uint32_t *)(void *)((char *)msg + f->count_offset);
    struct mu_strs *strs = value;
    struct mu_u64s *u64s = value;
    char *element;

    switch ((enum mu_pb_type)f->type) {
    case MU_PB_U64: *(uint64_t *)value = number(from, f->tag); break;
    case MU_PB_U32: *(uint32_t *)value = (uint32_t)number(from, f->tag); break;
    case MU_PB_S64: *(int64_t *)value = -(int64_t)number(from, f->tag); break;
    case MU_PB_BOOL: *(bool *)value = true; break;
    case MU_PB_STR: *(struct mu_str *)value = text(from, f->name); break;
    case MU_PB_STRS:
        strs->count = elements(from);
        strs->at = mu_arena_alloc(from->arena, strs->count * sizeof strs->at[0]);
        for (uint32_t i = 0; i < strs->count; i++)
            strs->at[i] = text(from, f->name);
        break;
    case MU_PB_U64S:
        u64s->count = elements(from) * 5;
        u64s->at = mu_arena_alloc(from->arena, u64s->count * sizeof u64s->at[0]);
        for (uint32_t i = 0; i < u64s->count; i++)
            u64s->at[i] = number(from, f->tag + i);
        break;
    case MU_PB_MSGS:
        *count = elements(from);
        *(char **)value = element = mu_arena_alloc(from->arena, *count * f->msg->size);
        for (uint32_t i = 0; i < *count; i++, element += f->msg->size)
            fill(f->msg, element, from);
        break;
    }
}

static void fill(const struct mu_pb *pb, void *msg, const struct source *from)
{
    for (uint32_t i = 0; i < pb->count; i++)
        if (from->rng == NULL || mu_rng_below(from->rng, 3))
            fill_field(&pb->fields[i], msg, from);
}

void *mu_record_random(const struct mu_pb *pb, struct mu_rng *rng, struct mu_arena *arena)
{
    void *msg = mu_arena_alloc(arena, pb->size);

    fill(pb, msg, &(struct source){ rng, arena });
    return msg;
}

void *mu_record_fixed(const struct mu_pb *pb, struct mu_arena *arena)
{
    void *msg = mu_arena_alloc(arena, pb->size);

    fill(pb, msg, &(struct source){ NULL, arena });
    return msg;
}

static void begin_line(struct mu_buf *b, const char *name, unsigned indent)
{
    mu_buf_printf(b, "%*s%s", (int)indent, "", name);
}

static void quoted(struct mu_buf *b, struct mu_str s)
{
    static const char named[256] = { ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't', ['"'] = '"', ['\''] = '\'', ['\\'] = '\\' };

    mu_buf_addz(b, ": \"");
    for (uint32_t i = 0; i < s.size; i++) {
        uint8_t c = (uint8_t)s.at[i];
        if (named[c])
            mu_buf_printf(b, "\\%c", named[c]);
        else if (c < ' ' || c > '~')
            mu_buf_printf(b, "\\%03o", c);
        else
            mu_buf_addc(b, (char)c);
    }
    mu_buf_addz(b, "\"\n");
}

static void text_list(struct mu_buf *b, const struct mu_pb_field *f, const void *msg, unsigned indent)
{
    const void *value = (const char *)msg + f->offset;
    const uint32_t *count = (const uint32_t *)(const void *)((const char *)msg + f->count_offset);
    const struct mu_strs *strs = value;
    const struct mu_u64s *u64s = value;

    for (uint32_t i = 0; f->type == MU_PB_STRS && i < strs->count; i++) {
        begin_line(b, f->name, indent);
        quoted(b, strs->at[i]);
    }
    for (uint32_t i = 0; f->type == MU_PB_U64S && i < u64s->count; i++) {
        begin_line(b, f->name, indent);
        mu_buf_printf(b, ": %" PRIu64 "\n", u64s->at[i]);
    }
    for (uint32_t i = 0; f->type == MU_PB_MSGS && i < *count; i++) {
        begin_line(b, f->name, indent);
        mu_buf_addz(b, " {\n");
        mu_record_text(b, f->msg, *(const char *const *)value + (size_t)i * f->msg->size, indent + 2);
        begin_line(b, "}\n", indent);
    }
}

void mu_record_text(struct mu_buf *b, const struct mu_pb *pb, const void *msg, unsigned indent)
{
    for (const struct mu_pb_field *f = pb->fields, *end = f + pb->count; f < end; f++) {
        const void *value = (const char *)msg + f->offset;
        uint64_t n = f->type == MU_PB_U32                         ? *(const uint32_t *)value
                     : f->type == MU_PB_U64 || f->type == MU_PB_S64 ? *(const uint64_t *)value
                     : f->type == MU_PB_BOOL                      ? *(const bool *)value
                                                                  : 0;
        if (f->type == MU_PB_STR && ((const struct mu_str *)value)->size) {
            begin_line(b, f->name, indent);
            quoted(b, *(const struct mu_str *)value);
        }
        if (f->type > MU_PB_STR)
            text_list(b, f, msg, indent);
        if (n == 0)
            continue;
        begin_line(b, f->name, indent);
        if (f->type == MU_PB_BOOL)
            mu_buf_addz(b, ": true\n");
        else if (f->type == MU_PB_S64)
            mu_buf_printf(b, ": %" PRId64 "\n", (int64_t)n);
        else
            mu_buf_printf(b, ": %" PRIu64 "\n", n);
    }
}
