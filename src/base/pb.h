/* base/pb.h -- one codec for everything stored or sent: tables of fields, protobuf wire format.
 *
 * What       a message is a plain struct and a table of its fields, both made from one X-macro list.
 *            Encode, decode, print and .proto text are generic loops over the table. Unknown fields
 *            are skipped; a missing field is zero; zero is not written.
 * Ownership  decoded strings point into the input; repeated fields live in the arena given.
 * Time, Threads  none.
 * Failure    mu_pb_get: false on truncation, overlong varint, wrong wire type for a known field,
 *            value too large for its field, or arena limit. The struct is then meaningless.
 * Limits     nesting 8, field numbers 1..2047, strings 4 GiB, repeated counts by the arena's limit.
 * Source     protobuf encoding: varint, length-delimited, zigzag for S64; repeated numbers packed.
 *
 * List style (F: one value; M: repeated messages):
 *   #define MU_POINT_FIELDS(T, F, M) F(T, 1, U64, x) F(T, 2, S64, y) M(T, 3, mu_point, more)
 *   MU_PB_STRUCT(mu_point, MU_POINT_FIELDS)      in a header: struct mu_point and its table mu_point_pb
 *   MU_PB_TABLE(mu_point, MU_POINT_FIELDS)       in one .c file
 * Rows stand in ascending order of their tags. Tags are never reused; a retired one stays as a comment.
 */
#ifndef MU_BASE_PB_H
#define MU_BASE_PB_H

#include "base/arena.h"
#include "base/str.h"

enum mu_pb_type { MU_PB_U64, MU_PB_U32, MU_PB_S64, MU_PB_BOOL, MU_PB_STR, MU_PB_STRS, MU_PB_U64S, MU_PB_MSGS };

struct mu_strs {
    struct mu_str *at;
    uint32_t count;
};
struct mu_u64s {
    uint64_t *at;
    uint32_t count;
};

struct mu_pb;
struct mu_pb_field {
    uint16_t tag;
    uint16_t key;            /* tag and wire type as they stand before the value */
    uint16_t offset;         /* of the value; of the pointer of repeated messages */
    uint16_t count_offset;   /* MSGS: of its uint32_t count */
    const char *name;
    const struct mu_pb *msg; /* MSGS: the element's table */
    enum mu_pb_type type;
};
struct mu_pb {
    const char *name;
    uint32_t size; /* sizeof the struct */
    uint32_t count;
    const struct mu_pb_field *fields;
};

#define MU_PB_C_U64 uint64_t
#define MU_PB_C_U32 uint32_t
#define MU_PB_C_S64 int64_t
#define MU_PB_C_BOOL bool
#define MU_PB_C_STR struct mu_str
#define MU_PB_C_STRS struct mu_strs
#define MU_PB_C_U64S struct mu_u64s
#define MU_PB_MEMBER(T, tag, kind, name) MU_PB_C_##kind name;
#define MU_PB_MEMBERS(T, tag, type, name) struct type *name; uint32_t name##_count;
#define MU_PB_KEY(tag, type) ((tag) << 3 | ((type) > MU_PB_BOOL ? 2 : 0)) /* 2: length and bytes, 0: varint */
#define MU_PB_ROW(T, tag, kind, name) \
    { tag, MU_PB_KEY(tag, MU_PB_##kind), offsetof(struct T, name), 0, #name, NULL, MU_PB_##kind },
#define MU_PB_ROWS(T, tag, type, name)                                                                         \
    { tag, MU_PB_KEY(tag, MU_PB_MSGS), offsetof(struct T, name), offsetof(struct T, name##_count), #name, \
      &type##_pb, MU_PB_MSGS },
#define MU_PB_STRUCT(type, FIELDS)                             \
    struct type { FIELDS(type, MU_PB_MEMBER, MU_PB_MEMBERS) }; \
    extern const struct mu_pb type##_pb;
#define MU_PB_TABLE(type, FIELDS)                                                               \
    static const struct mu_pb_field type##_rows[] = { FIELDS(type, MU_PB_ROW, MU_PB_ROWS) };    \
    const struct mu_pb type##_pb = { #type, sizeof(struct type),                                \
                                     sizeof type##_rows / sizeof type##_rows[0], type##_rows };

/* Append the encoding of msg. */
void mu_pb_put(struct mu_buf *b, const struct mu_pb *pb, const void *msg);
/* Append it as field `tag` of an outer message (tag, length, bytes). */
void mu_pb_put_field(struct mu_buf *b, uint32_t tag, const struct mu_pb *pb, const void *msg);
/* Decode all of bytes into msg (zeroed first). */
bool mu_pb_get(const struct mu_pb *pb, void *msg, struct mu_str bytes, struct mu_arena *arena);
/* Print as one JSON object, for dumps and tests, without what is zero. Strings that are not UTF-8 print as
 * "hex:...". */
void mu_pb_print(struct mu_buf *b, const struct mu_pb *pb, const void *msg);
/* Append the name of the message in .proto style ("mu_ev_placed" -> "EvPlaced"), and its definition. */
void mu_pb_name(struct mu_buf *b, const struct mu_pb *pb);
void mu_pb_proto(struct mu_buf *b, const struct mu_pb *pb);

/* Primitives, for streams of fields that are read without a struct (entries, snapshots). */
struct mu_reader {
    const uint8_t *at, *end;
    bool bad; /* once failed, stays failed and yields 0 */
};
static inline struct mu_reader mu_reader_of(const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    return (struct mu_reader){ at, size ? at + size : at, false }; /* bytes may be NULL when there are none */
}
void mu_put_varint(struct mu_buf *b, uint64_t n);
uint64_t mu_get_long_varint(struct mu_reader *r); /* behind mu_get_varint */
static inline uint64_t mu_get_varint(struct mu_reader *r)
{
    if (!r->bad && r->at < r->end && *r->at < 0x80)
        return *r->at++;
    return mu_get_long_varint(r);
}
/* Length, then bytes. */
void mu_put_bytes(struct mu_buf *b, const void *bytes, size_t size);
struct mu_str mu_get_bytes(struct mu_reader *r);
/* Bytes whose length is known only afterwards: start = open; append them; close(start). */
size_t mu_put_open(struct mu_buf *b);
void mu_put_close(struct mu_buf *b, size_t start);
static inline bool mu_reader_done(const struct mu_reader *r) { return r->bad || r->at == r->end; }

#endif
