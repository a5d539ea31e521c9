#include "unit/unit.h"

#include "base/pb.h"
#include "unit/records.h"

#define MU_PART_FIELDS(T, F, M) F(T, 1, U32, id) F(T, 2, STR, word)
#define MU_ALL_FIELDS(T, F, M)                                                               \
    F(T, 1, U64, u64) F(T, 2, U32, u32) F(T, 3, S64, s64) F(T, 4, BOOL, yes) F(T, 5, STR, str) \
    F(T, 7, STRS, strs) F(T, 15, U64S, u64s) M(T, 16, mu_part, parts) F(T, 2047, U64, last)
/* mu_all as an older program knew it: rows are missing in front, in the middle and at the end. */
#define MU_SOME_FIELDS(T, F, M) F(T, 2, U32, u32) F(T, 5, STR, str) F(T, 15, U64S, u64s)
/* A record that holds records of its own kind. */
#define MU_TREE_FIELDS(T, F, M) F(T, 1, U32, id) M(T, 2, mu_tree, kids)

MU_PB_STRUCT(mu_part, MU_PART_FIELDS)
MU_PB_STRUCT(mu_all, MU_ALL_FIELDS)
MU_PB_STRUCT(mu_some, MU_SOME_FIELDS)
MU_PB_STRUCT(mu_tree, MU_TREE_FIELDS)
MU_PB_TABLE(mu_part, MU_PART_FIELDS)
MU_PB_TABLE(mu_all, MU_ALL_FIELDS)
MU_PB_TABLE(mu_some, MU_SOME_FIELDS)
MU_PB_TABLE(mu_tree, MU_TREE_FIELDS)

static struct mu_str unhex(const char *hex, uint8_t *bytes)
{
    uint32_t size = 0;

    for (int n = 0; *hex; hex += n) {
        unsigned byte;
        assert_int_equal(sscanf(hex, "%2x%n", &byte, &n), 1);
        bytes[size++] = (uint8_t)byte;
    }
    return (struct mu_str){ (const char *)bytes, size };
}

static void bytes_mean_what_protobuf_says(void **state)
{
    static const struct { const char *hex, *json, *again; } cases[] = { /* again: our encoding, where it differs */
        { "", "{}", NULL },
        { "0801", "{\"u64\":1}", NULL },
        { "089601", "{\"u64\":150}", NULL },
        { "08ffffffffffffffffff01", "{\"u64\":18446744073709551615}", NULL },
        { "10ffffffff0f", "{\"u32\":4294967295}", NULL },
        { "1801", "{\"s64\":-1}", NULL },
        { "1802", "{\"s64\":1}", NULL },
        { "18ffffffffffffffffff01", "{\"s64\":-9223372036854775808}", NULL },
        { "2001", "{\"yes\":true}", NULL },
        { "2a0474657374", "{\"str\":\"test\"}", NULL },
        { "2a02ff00", "{\"str\":\"hex:ff00\"}", NULL },
        { "3a01613a003a0162", "{\"strs\":[\"a\",\"\",\"b\"]}", NULL },
        { "7a06038e029ea705", "{\"u64s\":[3,270,86942]}", NULL },
        { "820102080182010412026869", "{\"parts\":[{\"id\":1},{\"word\":\"hi\"}]}", NULL },
        { "f87f05", "{\"last\":5}", NULL },
        { "08010802", "{\"u64\":2}", "0802" },                                  /* the last one counts */
        { "f87f050801", "{\"u64\":1,\"last\":5}", "0801f87f05" },               /* any order */
        { "08800100", NULL, NULL },                                             /* tag 0 */
        { "3a016120013a0162", "{\"yes\":true,\"strs\":[\"a\",\"b\"]}", "20013a01613a0162" }, /* with others between */
        { "780378057a020607", "{\"u64s\":[3,5,6,7]}", "7a0403050607" },         /* packed and not */
        { "0880808000", "{}", "" },                                             /* a longer zero */
        { "300131ffffffffffffffff3203616263350000000008011d00000000", NULL, NULL }, /* s64 as fixed32 */
        { "300131ffffffffffffffff32036162633500000000 0801", "{\"u64\":1}", "0801" }, /* field 6 of all wire types */
        { "8a7d01610801", "{\"u64\":1}", "0801" },                              /* field 2001 */
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        uint8_t bytes[64];
        struct mu_arena arena = { 0 };
        struct mu_str in = unhex(cases[i].hex, bytes);
        struct mu_buf json = { 0 }, again = { 0 };
        struct mu_all all;
        bool ok = mu_pb_get(&mu_all_pb, &all, in, &arena);
        if (ok != (cases[i].json != NULL))
            fail_msg("%s: %s", cases[i].hex, ok ? "was taken" : "was refused");
        if (ok) {
            mu_pb_print(&json, &mu_all_pb, &all);
            mu_buf_addc(&json, '\0');
            assert_string_equal(json.at, cases[i].json);
            mu_pb_put(&again, &mu_all_pb, &all);
            if (cases[i].again)
                in = unhex(cases[i].again, bytes);
            assert_true(mu_str_eq(mu_buf_str(&again), in));
        }
        mu_buf_fini(&json);
        mu_buf_fini(&again);
        mu_arena_fini(&arena);
    }
}

static void damage_is_refused(void **state)
{
    static const struct { const char *what, *hex; } cases[] = {
        { "a key without value", "08" },
        { "a cut varint", "0880" },
        { "a varint of 11 bytes", "088080808080808080808001" },
        { "a varint of 65 bits", "08ffffffffffffffffff02" },
        { "a number in place of a string", "2801" },
        { "a string in place of a number", "0a0161" },
        { "a number in place of a message", "800101" },
        { "a list of numbers as fixed64", "790000000000000000" },
        { "a u32 above 32 bits", "108080808010" },
        { "a bool of two", "2002" },
        { "a string longer than the rest", "2a0261" },
        { "a string of 2^63", "2a80808080808080808001" },
        { "a cut list of numbers", "7a020180" },
        { "a message cut inside", "8201020880" },
        { "an element with a wrong type", "8201030a0161" },
        { "tag zero", "0001" },
        { "a group", "330834" },
        { "wire type 7", "37" },
        { "an unknown field that is cut", "3100" },
        { "a tag above 2^29", "808080801001" },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        uint8_t bytes[64];
        struct mu_arena arena = { 0 };
        struct mu_all all;
        if (mu_pb_get(&mu_all_pb, &all, unhex(cases[i].hex, bytes), &arena))
            fail_msg("%s was taken", cases[i].what);
        mu_arena_fini(&arena);
    }
}

static void random_records_come_back(void **state)
{
    struct mu_arena arena = { 0 };
    struct mu_buf bytes = { 0 }, want = { 0 }, got = { 0 };
    struct mu_rng rng;
    struct mu_all out;

    (void)state;
    mu_rng_seed(&rng, 20);
    for (int i = 0; i < 3000; i++) {
        void *in = mu_record_random(&mu_all_pb, &rng, &arena);
        mu_buf_clear(&bytes);
        mu_buf_clear(&want);
        mu_buf_clear(&got);
        mu_pb_put(&bytes, &mu_all_pb, in);
        assert_true(mu_pb_get(&mu_all_pb, &out, mu_buf_str(&bytes), &arena));
        mu_record_text(&want, &mu_all_pb, in, 0);
        mu_record_text(&got, &mu_all_pb, &out, 0);
        assert_true(mu_str_eq(mu_buf_str(&got), mu_buf_str(&want)));
        mu_arena_reset(&arena);
    }
    mu_buf_fini(&bytes);
    mu_buf_fini(&want);
    mu_buf_fini(&got);
    mu_arena_fini(&arena);
}

/* A record cut at any byte is refused, or, cut between two fields, is the fields before. Copied to the heap
 * at its exact size, so that a read past the end is seen. */
static void cut_records_do_no_harm(void **state)
{
    struct mu_arena arena = { 0 };
    struct mu_buf bytes = { 0 }, again = { 0 };
    unsigned refused = 0;
    struct mu_all out;

    (void)state;
    mu_pb_put(&bytes, &mu_all_pb, mu_record_fixed(&mu_all_pb, &arena));
    for (uint32_t size = 0; size <= bytes.size; size++) {
        char *cut = mu_str_dup((struct mu_str){ (const char *)bytes.at, size });
        cut = realloc(cut, size ? size : 1);
        if (mu_pb_get(&mu_all_pb, &out, (struct mu_str){ cut, size }, &arena)) {
            mu_buf_clear(&again);
            mu_pb_put(&again, &mu_all_pb, &out);
            assert_int_equal(again.size, size);
            assert_memory_equal(again.at, cut, size);
        } else {
            refused++;
        }
        free(cut);
    }
    assert_int_equal(refused, bytes.size - 11); /* it has 12 fields, hence 11 places between and the end */
    mu_buf_fini(&bytes);
    mu_buf_fini(&again);
    mu_arena_fini(&arena);
}

static void any_byte_may_be_wrong(void **state)
{
    struct mu_arena arena = { .limit = 1 << 20 };
    struct mu_buf bytes = { 0 }, again = { 0 };
    struct mu_all out;

    (void)state;
    mu_pb_put(&bytes, &mu_all_pb, mu_record_fixed(&mu_all_pb, &arena));
    for (size_t at = 0; at < bytes.size; at++) {
        uint8_t right = bytes.at[at];
        for (unsigned byte = 0; byte < 256; byte++) {
            bytes.at[at] = (uint8_t)byte;
            mu_buf_clear(&again);
            if (mu_pb_get(&mu_all_pb, &out, mu_buf_str(&bytes), &arena))
                mu_pb_put(&again, &mu_all_pb, &out);
            mu_arena_reset(&arena);
        }
        bytes.at[at] = right;
    }
    mu_buf_fini(&bytes);
    mu_buf_fini(&again);
    mu_arena_fini(&arena);
}

static void an_older_program_skips_what_it_does_not_know(void **state)
{
    struct mu_arena arena = { 0 };
    struct mu_buf bytes = { 0 };
    const struct mu_all *in = mu_record_fixed(&mu_all_pb, &arena);
    struct mu_some some;

    (void)state;
    mu_pb_put(&bytes, &mu_all_pb, in);
    assert_true(mu_pb_get(&mu_some_pb, &some, mu_buf_str(&bytes), &arena));
    assert_int_equal(some.u32, in->u32);
    assert_true(mu_str_eq(some.str, in->str));
    assert_int_equal(some.u64s.count, in->u64s.count);
    assert_memory_equal(some.u64s.at, in->u64s.at, in->u64s.count * sizeof in->u64s.at[0]);
    mu_buf_fini(&bytes);
    mu_arena_fini(&arena);
}

static void nesting_and_memory_have_limits(void **state)
{
    struct mu_arena arena = { 0 };
    struct mu_tree at[9] = { { 0 } }, out;
    struct mu_buf bytes = { 0 };

    (void)state;
    for (int i = 8; i > 0; i--)
        at[i - 1] = (struct mu_tree){ .kids = &at[i], .kids_count = 1 };
    mu_pb_put(&bytes, &mu_tree_pb, &at[1]);
    assert_true(mu_pb_get(&mu_tree_pb, &out, mu_buf_str(&bytes), &arena));
    mu_buf_clear(&bytes);
    mu_pb_put(&bytes, &mu_tree_pb, &at[0]);
    assert_false(mu_pb_get(&mu_tree_pb, &out, mu_buf_str(&bytes), &arena));

    mu_buf_clear(&bytes);
    for (int i = 0; i < 10000; i++)
        mu_buf_add(&bytes, "\x12\x00", 2); /* two bytes here are a whole struct there */
    mu_arena_reset(&arena);
    assert_true(mu_pb_get(&mu_tree_pb, &out, mu_buf_str(&bytes), &arena));
    assert_int_equal(out.kids_count, 10000);
    assert_true(arena.used <= 10000 * sizeof out + 16); /* exact: no growth by copying */
    mu_arena_reset(&arena);
    arena.limit = 10000 * sizeof out - 1;
    assert_false(mu_pb_get(&mu_tree_pb, &out, mu_buf_str(&bytes), &arena));
    mu_buf_fini(&bytes);
    mu_arena_fini(&arena);
}

static void lengths_of_all_widths(void **state)
{
    static const size_t sizes[] = { 0, 1, 127, 128, 16383, 16384, 2097151, 2097152 };
    static char filler[2097152];
    struct mu_buf b = { 0 };

    (void)state;
    memset(filler, 'x', sizeof filler);
    for (size_t i = 0; i < MU_COUNT(sizes); i++) {
        mu_buf_clear(&b);
        mu_buf_addz(&b, "before");
        size_t start = mu_put_open(&b);
        mu_buf_add(&b, filler, sizes[i]);
        mu_put_close(&b, start);
        mu_put_bytes(&b, "after", 5);
        struct mu_reader r = mu_reader_of(b.at + 6, b.size - 6);
        struct mu_str got = mu_get_bytes(&r);
        assert_true(mu_str_eq(got, (struct mu_str){ filler, (uint32_t)sizes[i] }));
        assert_true(mu_str_is(mu_get_bytes(&r), "after"));
        assert_true(mu_reader_done(&r) && !r.bad);
        assert_int_equal(mu_get_varint(&r), 0);
        assert_true(r.bad); /* and stays so */
        assert_int_equal(mu_get_bytes(&r).size, 0);
    }
    mu_buf_fini(&b);
}

static void the_definition_is_proto3(void **state)
{
    struct mu_buf b = { 0 };

    (void)state;
    mu_pb_proto(&b, &mu_all_pb);
    mu_buf_addc(&b, '\0');
    assert_string_equal(b.at, "message All {\n  uint64 u64 = 1;\n  uint32 u32 = 2;\n  sint64 s64 = 3;\n  bool yes = 4;\n"
                              "  bytes str = 5;\n  repeated bytes strs = 7;\n  repeated uint64 u64s = 15;\n"
                              "  repeated Part parts = 16;\n  uint64 last = 2047;\n}\n");
    mu_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_mean_what_protobuf_says),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(random_records_come_back),
        cmocka_unit_test(cut_records_do_no_harm),
        cmocka_unit_test(any_byte_may_be_wrong),
        cmocka_unit_test(an_older_program_skips_what_it_does_not_know),
        cmocka_unit_test(nesting_and_memory_have_limits),
        cmocka_unit_test(lengths_of_all_widths),
        cmocka_unit_test(the_definition_is_proto3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
