#include "base/pb.h"

#include "base/assert.h"

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };
enum { DEPTH_MAX = 8, VARINT_MAX = 10, KEY_MAX = 2, SCALAR_MAX = KEY_MAX + VARINT_MAX };

/* ---- encode ---- */

static inline uint8_t *varint_at(uint8_t *at, uint64_t n)
{
    for (; n >= 0x80; n >>= 7)
        *at++ = (uint8_t)(n | 0x80);
    *at++ = (uint8_t)n;
    return at;
}

static inline unsigned varint_size(uint64_t n)
{
    return (unsigned)(70 - __builtin_clzll(n | 1)) / 7;
}

static inline uint8_t *key_at(uint8_t *at, unsigned key)
{
    if (key >= 0x80) {
        *at++ = (uint8_t)(key | 0x80);
        key >>= 7;
    }
    *at++ = (uint8_t)key;
    return at;
}

void mu_put_varint(struct mu_buf *b, uint64_t n)
{
    uint8_t *at = mu_buf_room(b, VARINT_MAX);

    b->size += (size_t)(varint_at(at, n) - at);
}

void mu_put_bytes(struct mu_buf *b, const void *bytes, size_t size)
{
    uint8_t *at = mu_buf_room(b, VARINT_MAX + size), *end = varint_at(at, size);

    if (size)
        memcpy(end, bytes, size);
    b->size += (size_t)(end - at) + size;
}

static void put_str(struct mu_buf *b, unsigned key, struct mu_str s)
{
    uint8_t *at = mu_buf_room(b, SCALAR_MAX + s.size), *end = varint_at(key_at(at, key), s.size);

    if (s.size)
        memcpy(end, s.at, s.size);
    b->size += (size_t)(end - at) + s.size;
}

static void put_packed(struct mu_buf *b, unsigned key, const struct mu_u64s *list)
{
    size_t size = 0;
    uint8_t *at, *end;

    for (uint32_t i = 0; i < list->count; i++)
        size += varint_size(list->at[i]);
    at = mu_buf_room(b, SCALAR_MAX + size);
    end = varint_at(key_at(at, key), size);
    for (uint32_t i = 0; i < list->count; i++)
        end = varint_at(end, list->at[i]);
    b->size += (size_t)(end - at);
}

size_t mu_put_open(struct mu_buf *b)
{
    mu_buf_room(b, 1); /* for the length: most messages are below 128 bytes */
    return ++b->size;
}

void mu_put_close(struct mu_buf *b, size_t start)
{
    size_t size = b->size - start;
    unsigned more = varint_size(size) - 1;

    if (more) {
        mu_buf_room(b, more);
        memmove(b->at + start + more, b->at + start, size);
        b->size += more;
    }
    varint_at(b->at + start - 1, size);
}

void mu_pb_put_field(struct mu_buf *b, uint32_t tag, const struct mu_pb *pb, const void *msg)
{
    size_t start;

    mu_put_varint(b, tag << 3 | WIRE_BYTES);
    start = mu_put_open(b);
    mu_pb_put(b, pb, msg);
    mu_put_close(b, start);
}

static void put_repeated(struct mu_buf *b, const struct mu_pb_field *f, const void *msg, const void *value)
{
    if (f->type == MU_PB_STR) {
        const struct mu_str *s = value;
        if (s->size)
            put_str(b, f->key, *s);
    } else if (f->type == MU_PB_STRS) {
        const struct mu_strs *list = value;
        for (uint32_t i = 0; i < list->count; i++)
            put_str(b, f->key, list->at[i]);
    } else if (f->type == MU_PB_U64S) {
        const struct mu_u64s *list = value;
        if (list->count)
            put_packed(b, f->key, list);
    } else {
        const char *element = *(const char *const *)value;
        uint32_t count = *(const uint32_t *)(const void *)((const char *)msg + f->count_offset);
        for (uint32_t i = 0; i < count; i++, element += f->msg->size)
            mu_pb_put_field(b, f->tag, f->msg, element);
    }
}

static inline uint64_t scalar_of(const struct mu_pb_field *f, const void *value)
{
    int64_t s;

    switch (f->type) {
    case MU_PB_U64:
        return *(const uint64_t *)value;
    case MU_PB_U32:
        return *(const uint32_t *)value;
    case MU_PB_BOOL:
        return *(const bool *)value;
    default:
        s = *(const int64_t *)value;
        return (uint64_t)s << 1 ^ (uint64_t)(s >> 63); /* zigzag */
    }
}

void mu_pb_put(struct mu_buf *b, const struct mu_pb *pb, const void *msg)
{
    uint8_t *at = mu_buf_room(b, pb->count * SCALAR_MAX); /* for all scalars at once */

    for (const struct mu_pb_field *f = pb->fields, *end = f + pb->count; f < end; f++) {
        const void *value = (const char *)msg + f->offset;
        if (f->type <= MU_PB_BOOL) {
            uint64_t n = scalar_of(f, value);
            if (n)
                at = varint_at(key_at(at, f->key), n);
        } else {
            b->size = (size_t)(at - b->at);
            put_repeated(b, f, msg, value);
            at = mu_buf_room(b, (size_t)(end - f) * SCALAR_MAX);
        }
    }
    b->size = (size_t)(at - b->at);
}

/* ---- decode ---- */

uint64_t mu_get_long_varint(struct mu_reader *r)
{
    uint64_t n = 0;

    for (unsigned shift = 0; shift < 70 && !r->bad && r->at < r->end; shift += 7) {
        uint8_t byte = *r->at++;
        if (shift == 63 && byte > 1)
            break; /* more than 64 bits */
        n |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return n;
    }
    r->bad = true;
    return 0;
}

struct mu_str mu_get_bytes(struct mu_reader *r)
{
    uint64_t size = mu_get_varint(r);
    struct mu_str s = { (const char *)r->at, (uint32_t)size };

    if (r->bad || size > (uint64_t)(r->end - r->at) || size > UINT32_MAX) {
        r->bad = true;
        return (struct mu_str){ NULL, 0 };
    }
    r->at += size;
    return s;
}

static void skip_value(struct mu_reader *r, unsigned wire)
{
    size_t size = wire == WIRE_FIXED64 ? 8 : 4;

    if (wire == WIRE_VARINT)
        mu_get_varint(r);
    else if (wire == WIRE_BYTES)
        mu_get_bytes(r);
    else if ((wire == WIRE_FIXED64 || wire == WIRE_FIXED32) && (size_t)(r->end - r->at) >= size)
        r->at += size;
    else
        r->bad = true; /* a group, or no wire type at all */
}

static uint32_t varints_in(struct mu_str packed)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < packed.size; i++)
        count += (uint8_t)packed.at[i] < 0x80;
    return count;
}

/* How many elements the rest of the message has for one field: an exact array needs no growth. */
static uint32_t count_elements(struct mu_reader r, const struct mu_pb_field *f, unsigned wire)
{
    uint64_t count = 0, key = (uint64_t)f->tag << 3 | wire;

    while (!r.bad) {
        if (key >> 3 == f->tag && (key & 7) == WIRE_BYTES) {
            struct mu_str s = mu_get_bytes(&r);
            count += f->type == MU_PB_U64S ? varints_in(s) : 1;
        } else {
            count += key >> 3 == f->tag;
            skip_value(&r, key & 7);
        }
        if (r.at == r.end)
            break;
        key = mu_get_varint(&r);
    }
    return count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
}

static bool get_msg(const struct mu_pb *pb, void *msg, struct mu_str bytes, struct mu_arena *arena, unsigned depth);

/* The next free element of a repeated field; its array is made at the first. */
static void *next_element(struct mu_reader r, const struct mu_pb_field *f, void *value, uint32_t *count,
                          size_t size, unsigned wire, struct mu_arena *arena)
{
    char **array = value;

    if (*array == NULL)
        *array = mu_arena_alloc(arena, count_elements(r, f, wire) * size);
    return *array ? *array + (*count)++ * size : NULL;
}

static bool get_u64s(struct mu_reader *r, const struct mu_pb_field *f, struct mu_u64s *list, unsigned wire,
                     struct mu_arena *arena)
{
    struct mu_reader before = *r, in;
    uint64_t *to;

    if (wire == WIRE_VARINT) {
        uint64_t n = mu_get_varint(r);
        to = r->bad ? NULL : next_element(before, f, &list->at, &list->count, sizeof n, wire, arena);
        if (to)
            *to = n;
        return to != NULL;
    }
    struct mu_str packed = mu_get_bytes(r);
    in = mu_reader_of(packed.at, packed.size);
    while (!r->bad && in.at < in.end) {
        uint64_t n = mu_get_varint(&in);
        to = in.bad ? NULL : next_element(before, f, &list->at, &list->count, sizeof n, wire, arena);
        if (to == NULL)
            return false;
        *to = n;
    }
    return !r->bad;
}

static bool get_repeated(struct mu_reader *r, const struct mu_pb_field *f, void *msg, unsigned wire,
                         struct mu_arena *arena, unsigned depth)
{
    void *value = (char *)msg + f->offset, *to;
    struct mu_reader before = *r;
    struct mu_str bytes;

    if (f->type == MU_PB_U64S && (wire == WIRE_VARINT || wire == WIRE_BYTES))
        return get_u64s(r, f, value, wire, arena);
    if (wire != WIRE_BYTES)
        return false;
    bytes = mu_get_bytes(r);
    if (r->bad)
        return false;
    if (f->type == MU_PB_STR) {
        *(struct mu_str *)value = bytes;
        return true;
    }
    if (f->type == MU_PB_STRS) {
        struct mu_strs *list = value;
        to = next_element(before, f, &list->at, &list->count, sizeof bytes, wire, arena);
        if (to)
            *(struct mu_str *)to = bytes;
        return to != NULL;
    }
    to = next_element(before, f, value, (uint32_t *)(void *)((char *)msg + f->count_offset), f->msg->size, wire, arena);
    return to && depth < DEPTH_MAX && get_msg(f->msg, to, bytes, arena, depth + 1);
}

static inline bool set_scalar(const struct mu_pb_field *f, void *value, uint64_t n)
{
    switch (f->type) {
    case MU_PB_U64:
        *(uint64_t *)value = n;
        return true;
    case MU_PB_U32:
        *(uint32_t *)value = (uint32_t)n;
        return n <= UINT32_MAX;
    case MU_PB_BOOL:
        *(bool *)value = n != 0;
        return n <= 1;
    default:
        *(int64_t *)value = (int64_t)(n >> 1 ^ -(n & 1));
        return true;
    }
}

/* A field that is not where the writer of our tables would put it: unknown, out of order, or of another wire
 * type. Answers its row, or NULL when it was skipped or, with r->bad, cannot be. */
static const struct mu_pb_field *find_row(const struct mu_pb *pb, uint64_t key, struct mu_reader *r)
{
    for (const struct mu_pb_field *f = pb->fields, *end = f + pb->count; f < end; f++) {
        if (f->tag != key >> 3)
            continue;
        if (f->key == key || (f->type == MU_PB_U64S && (key & 7) == WIRE_VARINT))
            return f;
        r->bad = true;
    }
    if (key >> 3 == 0 || key > UINT32_MAX)
        r->bad = true;
    if (!r->bad)
        skip_value(r, key & 7);
    return NULL;
}

/* As mu_get_varint, with the widths that are common in line. */
static inline uint64_t get_short_varint(struct mu_reader *r)
{
    const uint8_t *at = r->at;

    if (r->end - at < 4)
        return mu_get_varint(r);
    if (at[0] < 0x80) {
        r->at = at + 1;
        return at[0];
    }
    if (at[1] < 0x80) {
        r->at = at + 2;
        return (uint64_t)at[1] << 7 | (at[0] & 0x7fu);
    }
    if (at[2] < 0x80) {
        r->at = at + 3;
        return (uint64_t)at[2] << 14 | (at[1] & 0x7fu) << 7 | (at[0] & 0x7fu);
    }
    return mu_get_long_varint(r);
}

static bool get_msg(const struct mu_pb *pb, void *msg, struct mu_str bytes, struct mu_arena *arena, unsigned depth)
{
    struct mu_reader r = mu_reader_of(bytes.at, bytes.size);
    const struct mu_pb_field *next = pb->fields, *end = next + pb->count;

    while (r.at < r.end && !r.bad) {
        uint64_t key = get_short_varint(&r);
        const struct mu_pb_field *f;
        while (next < end && next->key < key) /* rows and fields ascend; zeros were not written */
            next++;
        f = next < end && next->key == key ? next : find_row(pb, key, &r);
        if (f == NULL)
            continue;
        if (f->type <= MU_PB_BOOL) {
            if (!set_scalar(f, (char *)msg + f->offset, get_short_varint(&r)))
                return false;
        } else if (!get_repeated(&r, f, msg, key & 7, arena, depth)) {
            return false;
        }
    }
    return !r.bad;
}

bool mu_pb_get(const struct mu_pb *pb, void *msg, struct mu_str bytes, struct mu_arena *arena)
{
    memset(msg, 0, pb->size);
    return get_msg(pb, msg, bytes, arena, 1);
}
