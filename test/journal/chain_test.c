/* The stored forms, to the byte: what was written by an older version must still be read. */
#include "unit/unit.h"

#include "journal/chain.h"

#include <string.h>

static struct mu_hasher *hasher;

static int set_up(void **state)
{
    (void)state;
    hasher = mu_hasher_new();
    return hasher == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    mu_hasher_free(hasher);
    return 0;
}

static void fill(uint8_t *bytes, size_t size, uint8_t from)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(from + i);
}

static void assert_hex(const char *what, const uint8_t *bytes, size_t size, const char *want)
{
    char got[1024];

    for (size_t i = 0; i < size; i++)
        snprintf(got + 2 * i, sizeof got - 2 * i, "%02x", bytes[i]);
    if (strcmp(got, want) != 0)
        fail_msg("%s is now\n%s, was\n%s", what, got, want);
}

static size_t make_record(uint8_t *bytes)
{
    struct mu_record r = { .epoch = 7, .seq = 258, .size = 5 };

    fill(r.cluster, sizeof r.cluster, 1);
    fill(r.nonce, sizeof r.nonce, 0x40);
    fill(r.prev, sizeof r.prev, 0x80);
    memcpy(bytes + MU_RECORD_HEAD, "hello", 5);
    mu_record_seal(hasher, &r, bytes);
    return MU_RECORD_EXTRA + 5;
}

static size_t make_chunk(uint8_t *bytes)
{
    struct mu_chunk c = { .snap = (7 << 24) + 1, .index = 3, .size = 5 };

    fill(c.cluster, sizeof c.cluster, 1);
    memcpy(bytes + MU_CHUNK_HEAD, "hello", 5);
    mu_chunk_seal(hasher, &c, bytes);
    return MU_CHUNK_EXTRA + 5;
}

static size_t make_manifest(uint8_t *bytes)
{
    struct mu_manifest m = { .snap = (7 << 24) + 1, .upto = 258, .epoch = 7, .bytes = 1000000, .chunks = 4 };

    fill(m.cluster, sizeof m.cluster, 1);
    fill(m.digest, sizeof m.digest, 0x20);
    fill(m.chain, sizeof m.chain, 0x80);
    mu_manifest_seal(hasher, &m, bytes);
    return MU_MANIFEST_BYTES;
}

static void the_bytes_stay(void **state)
{
    uint8_t bytes[512];
    size_t size;

    (void)state;
    size = make_record(bytes);
    assert_hex("a record", bytes, size,
               "4d554a52010000000500000000000000070000000000000002010000000000000102030405060708090a0b0c0d0e0f10"
               "404142434445464748494a4b4c4d4e4f808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
               "68656c6c6f3a4783606d38bd253318e2e6d98b73b7ecec6e3f51434c91a2927ede7243406d");
    size = make_chunk(bytes);
    assert_hex("a chunk", bytes, size,
               "4d554a43010000000100000700000000030000000000000005000000000000000102030405060708090a0b0c0d0e0f10"
               "68656c6c6f3e7107e33b3a5fd61144d3c847ab83e751a5e75960bba1b61a6511e237c0b6a5");
    size = make_manifest(bytes);
    assert_hex("a manifest", bytes, size,
               "4d554a4d0100000001000007000000000201000000000000070000000000000040420f00000000000400000000000000"
               "0102030405060708090a0b0c0d0e0f10202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
               "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f413b32862ece029fab4be0a8b186e7f0"
               "12e3028de0947ab4b8ade074baa7ffc5");
}

static void what_was_sealed_is_read(void **state)
{
    uint8_t bytes[512];
    struct mu_record r;
    struct mu_chunk c;
    struct mu_manifest m;

    (void)state;
    assert_int_equal(mu_record_open(hasher, &r, bytes, make_record(bytes), NULL), MU_OK);
    assert_true(r.epoch == 7 && r.seq == 258 && r.size == 5 && r.cluster[15] == 16 && r.nonce[0] == 0x40);
    assert_true(r.prev[31] == 0x9f && memcmp(r.payload, "hello", 5) == 0);
    assert_int_equal(mu_chunk_open(hasher, &c, bytes, make_chunk(bytes), NULL), MU_OK);
    assert_true(c.snap == (7 << 24) + 1 && c.index == 3 && c.size == 5 && memcmp(c.payload, "hello", 5) == 0);
    assert_int_equal(mu_manifest_open(hasher, &m, bytes, make_manifest(bytes), NULL), MU_OK);
    assert_true(m.upto == 258 && m.epoch == 7 && m.bytes == 1000000 && m.chunks == 4 && m.chain[0] == 0x80);
}

static enum mu_rc open_any(int kind, const uint8_t *bytes, size_t size)
{
    struct mu_record r;
    struct mu_chunk c;
    struct mu_manifest m;

    return kind == 0   ? mu_record_open(hasher, &r, bytes, size, NULL)
           : kind == 1 ? mu_chunk_open(hasher, &c, bytes, size, NULL)
                       : mu_manifest_open(hasher, &m, bytes, size, NULL);
}

static void every_bit_and_every_length_matters(void **state)
{
    static size_t (*const makes[])(uint8_t *bytes) = { make_record, make_chunk, make_manifest };
    uint8_t bytes[512] = { 0 };

    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        size_t size = makes[kind](bytes);
        for (size_t bit = 0; bit < size * 8; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            assert_int_not_equal(open_any(kind, bytes, size), MU_OK);
            bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
        for (size_t n = 0; n < size + 20; n++)
            assert_int_equal(open_any(kind, bytes, n) == MU_OK, n == size);
        bytes[4] = MU_CHAIN_VERSION + 1;
        assert_int_equal(open_any(kind, bytes, size), MU_VERSION);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bytes_stay),
        cmocka_unit_test(what_was_sealed_is_read),
        cmocka_unit_test(every_bit_and_every_length_matters),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
