#include "unit/unit.h"

#include "base/le.h"
#include "wire/proto.h"

/* What taking a frame off these bytes says: the code, and the bytes used where it went well. */
static enum mu_rc take(const void *bytes, size_t size, struct mu_msg *msg, size_t *used, struct mu_arena *arena)
{
    char *exact = malloc(size ? size : 1); /* a read past the end is seen */
    enum mu_rc rc;

    if (size)
        memcpy(exact, bytes, size);
    rc = mu_frame_take(exact, size, used, msg, arena, NULL);
    free(exact);
    return rc;
}

static void a_frame_comes_whole_or_not_yet(void **state)
{
    struct mu_result results[] = { { .job = 42, .ordinal = 7, .attempt = 1 }, { .job = 42, .ordinal = 8, .attempt = 2 } };
    struct mu_arena arena = { 0 };
    struct mu_buf b = { 0 };
    struct mu_msg msg;
    size_t used = 99;

    (void)state;
    mu_frame_put(&b, MU_MSG_REPORT, 5, &(struct mu_msg_report){ .seq = 3, .ended = results, .ended_count = 2 });
    for (size_t size = 0; size < b.size; size++) {
        assert_int_equal(take(b.at, size, &msg, &used, &arena), MU_AGAIN);
        assert_int_equal(used, 99);
    }
    size_t whole = b.size;
    mu_frame_put(&b, MU_MSG_ACK, 6, &(struct mu_msg_ack){ .seq = 3 });
    assert_int_equal(mu_frame_take(b.at, b.size, &used, &msg, &arena, NULL), MU_OK);
    assert_int_equal(used, whole);
    assert_int_equal(msg.type, MU_MSG_REPORT);
    assert_int_equal(msg.epoch, 5);
    assert_int_equal(msg.report.ended_count, 2);
    assert_memory_equal(msg.report.ended, results, sizeof results);
    assert_int_equal(mu_frame_take(b.at + used, b.size - used, &used, &msg, &arena, NULL), MU_OK);
    assert_int_equal(msg.type, MU_MSG_ACK);
    assert_int_equal(msg.epoch, 6);
    assert_int_equal(msg.ack.seq, 3);
    mu_buf_fini(&b);
    mu_arena_fini(&arena);
}

static void what_is_no_frame_breaks_the_connection(void **state)
{
    static const struct { const char *what; uint32_t payload; uint16_t type, version; const char *want; } cases[] = {
        { "another version", 0, MU_MSG_ACK, 2, "frame version 2, want 1" },
        { "no type", 0, 0, 1, "frame type 0 is not known" },
        { "a type of tomorrow", 0, 999, 1, "frame type 999 is not known" },
        { "too long", MU_FRAME_MAX + 1, MU_MSG_ACK, 1, "frame of 4194305 bytes, at most 4194304" },
        { "a payload that is none", 2, MU_MSG_ACK, 1, "frame ack is damaged" },
    };
    struct mu_arena arena = { 0 };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        uint8_t bytes[MU_FRAME_HEAD + 2] = { 0 };
        struct mu_err err;
        struct mu_msg msg;
        size_t used = 99;
        mu_le32_put(bytes, cases[i].payload);
        mu_le16_put(bytes + 4, cases[i].type);
        mu_le16_put(bytes + 6, cases[i].version);
        assert_int_equal(mu_frame_take(bytes, sizeof bytes, &used, &msg, &arena, &err), MU_INVALID);
        assert_string_equal(err.text, cases[i].want);
        assert_int_equal(used, 99);
        assert_int_equal(mu_frame_take(bytes, sizeof bytes, &used, &msg, &arena, NULL), MU_INVALID);
    }
    mu_arena_fini(&arena);
}

static void every_message_has_one_sender(void **state)
{
    static const char senders[] = "?ASSSSSASASSASS";

    (void)state;
    assert_int_equal(strlen(senders), MU_MSG_TYPES);
    for (enum mu_msg_type type = 1; type < MU_MSG_TYPES; type++) {
        assert_int_equal(mu_msg_sender(type), senders[type]);
        assert_int_equal(strncmp(mu_msg_pb(type)->name, "mu_msg_", 7), 0);
        assert_string_equal(mu_msg_pb(type)->name + 7, mu_msg_name(type));
        for (uint32_t i = 1; i < mu_msg_pb(type)->count; i++)
            assert_true(mu_msg_pb(type)->fields[i - 1].tag < mu_msg_pb(type)->fields[i].tag);
    }
    assert_null(mu_msg_pb(0));
    assert_null(mu_msg_pb(MU_MSG_TYPES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_comes_whole_or_not_yet),
        cmocka_unit_test(what_is_no_frame_breaks_the_connection),
        cmocka_unit_test(every_message_has_one_sender),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
