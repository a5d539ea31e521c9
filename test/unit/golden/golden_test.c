/* Yesterday's bytes still decode. records.txt has a line a record: its name, its bytes, what they said.
 * A schema that has grown needs a new line beside the old one: golden_test --write appends what is missing. */
#include "unit/unit.h"

#include "unit/golden/schemas.h"
#include "unit/records.h"
#include "wire/proto.h"

#define TIME_MS UINT64_C(1795377600000)
#define EPOCH 7

static struct mu_buf file;

static void hex(struct mu_buf *b, const struct mu_buf *bytes)
{
    for (size_t i = 0; i < bytes->size; i++)
        mu_buf_printf(b, "%02x", bytes->at[i]);
}

static void unhex(struct mu_buf *b, struct mu_str digits)
{
    assert_int_equal(digits.size % 2, 0);
    for (uint32_t i = 0; i < digits.size; i += 2) {
        unsigned byte;
        assert_int_equal(sscanf(digits.at + i, "%2x", &byte), 1);
        mu_buf_addc(b, (char)byte);
    }
}

static void line_begin(struct mu_buf *b, const char *name, const struct mu_buf *bytes)
{
    mu_buf_printf(b, "%s ", name);
    hex(b, bytes);
    mu_buf_addc(b, ' ');
}

static void record_line(struct mu_buf *b, const struct mu_pb *pb)
{
    struct mu_arena arena = { 0 };
    struct mu_buf bytes = { 0 };
    void *record = mu_record_fixed(pb, &arena);

    mu_pb_put(&bytes, pb, record);
    line_begin(b, pb->name, &bytes);
    mu_pb_print(b, pb, record);
    mu_buf_addc(b, '\n');
    mu_buf_fini(&bytes);
    mu_arena_fini(&arena);
}

/* An entry in words: its time, then each event; "damaged" where it stops making sense. */
static void entry_words(struct mu_buf *b, const struct mu_buf *bytes)
{
    struct mu_arena arena = { 0 };
    struct mu_reader r;
    struct mu_event ev;
    uint64_t time_ms;

    if (mu_entry_open(&r, bytes->at, bytes->size, &time_ms))
        mu_buf_printf(b, "%llu", (unsigned long long)time_ms);
    while (mu_entry_next(&r, &ev, &arena)) {
        mu_buf_printf(b, " %s ", mu_event_name(ev.kind));
        mu_pb_print(b, mu_event_pb(ev.kind), &ev.submit);
    }
    mu_buf_addz(b, r.bad ? " damaged" : "");
    mu_arena_fini(&arena);
}

static void entry_line(struct mu_buf *b)
{
    struct mu_arena arena = { 0 };
    struct mu_buf bytes = { 0 };

    mu_entry_begin(&bytes, TIME_MS);
    for (enum mu_event_kind kind = 1; kind < MU_EV_KINDS; kind++)
        mu_entry_add(&bytes, kind, mu_record_fixed(mu_event_pb(kind), &arena));
    line_begin(b, "entry", &bytes);
    entry_words(b, &bytes);
    mu_buf_addc(b, '\n');
    mu_buf_fini(&bytes);
    mu_arena_fini(&arena);
}

static void frame_words(struct mu_buf *b, const struct mu_buf *bytes)
{
    struct mu_arena arena = { 0 };
    struct mu_msg msg;
    struct mu_err err;
    size_t used;
    enum mu_rc rc = mu_frame_take(bytes->at, bytes->size, &used, &msg, &arena, &err);

    if (rc == MU_OK) {
        mu_buf_printf(b, "%c:%s epoch %llu ", mu_msg_sender(msg.type), mu_msg_name(msg.type), (unsigned long long)msg.epoch);
        mu_pb_print(b, mu_msg_pb(msg.type), &msg.hello);
        assert_int_equal(used, bytes->size);
    } else {
        mu_buf_addz(b, rc == MU_AGAIN ? "cut" : err.text);
    }
    mu_arena_fini(&arena);
}

static void frame_line(struct mu_buf *b, enum mu_msg_type type)
{
    struct mu_arena arena = { 0 };
    struct mu_buf bytes = { 0 };

    mu_frame_put(&bytes, type, EPOCH, mu_record_fixed(mu_msg_pb(type), &arena));
    line_begin(b, "frame", &bytes);
    frame_words(b, &bytes);
    mu_buf_addc(b, '\n');
    mu_buf_fini(&bytes);
    mu_arena_fini(&arena);
}

/* All schemas, an entry that holds each kind of event, and each frame. */
static void todays_lines(struct mu_buf *b)
{
    for (size_t i = 0; i < mu_test_schemas_count; i++)
        record_line(b, mu_test_schemas[i]);
    entry_line(b);
    for (enum mu_msg_type type = 1; type < MU_MSG_TYPES; type++)
        frame_line(b, type);
}

static void record_words(struct mu_buf *b, struct mu_str name, const struct mu_buf *bytes)
{
    struct mu_arena arena = { 0 };
    const struct mu_pb *pb = NULL;
    struct mu_buf again = { 0 };
    void *record;

    for (size_t i = 0; i < mu_test_schemas_count; i++)
        if (mu_str_is(name, mu_test_schemas[i]->name))
            pb = mu_test_schemas[i];
    if (pb == NULL)
        fail_msg(MU_STR_FMT ": no such schema any more", MU_STR_ARG(name));
    record = mu_arena_alloc(&arena, pb->size);
    assert_true(mu_pb_get(pb, record, mu_buf_str(bytes), &arena));
    mu_pb_print(b, pb, record);
    mu_pb_put(&again, pb, record);
    assert_true(mu_str_eq(mu_buf_str(&again), mu_buf_str(bytes)));
    mu_buf_fini(&again);
    mu_arena_fini(&arena);
}

static void every_line_says_what_it_said(void **state)
{
    struct mu_str rest = mu_buf_str(&file);
    unsigned lines = 0;

    (void)state;
    for (; rest.size; lines++) {
        struct mu_str words = mu_str_cut(rest, '\n', &rest), name = mu_str_cut(words, ' ', &words);
        struct mu_buf bytes = { 0 }, got = { 0 };
        unhex(&bytes, mu_str_cut(words, ' ', &words));
        if (mu_str_is(name, "entry"))
            entry_words(&got, &bytes);
        else if (mu_str_is(name, "frame"))
            frame_words(&got, &bytes);
        else
            record_words(&got, name, &bytes);
        if (!mu_str_eq(mu_buf_str(&got), words))
            fail_msg(MU_STR_FMT " said " MU_STR_FMT "\nand now says " MU_STR_FMT, MU_STR_ARG(name), MU_STR_ARG(words),
                     MU_STR_ARG(mu_buf_str(&got)));
        mu_buf_fini(&bytes);
        mu_buf_fini(&got);
    }
    assert_true(lines >= mu_test_schemas_count + MU_MSG_TYPES);
}

/* The lines of today that the file does not have. */
static void missing(struct mu_buf *b)
{
    struct mu_buf today = { 0 };
    struct mu_str rest;

    todays_lines(&today);
    for (rest = mu_buf_str(&today); rest.size;) {
        struct mu_str line = mu_str_cut(rest, '\n', &rest);
        if (memmem(file.at, file.size, line.at, line.size + 1) == NULL)
            mu_buf_add(b, line.at, line.size + 1);
    }
    mu_buf_fini(&today);
}

static void every_schema_has_a_line_of_its_present_form(void **state)
{
    struct mu_buf lines = { 0 };

    (void)state;
    missing(&lines);
    if (lines.size)
        fail_msg("run golden_test --write to add to records.txt:\n" MU_STR_FMT, MU_STR_ARG(mu_buf_str(&lines)));
    mu_buf_fini(&lines);
}

static int read_file(void **state)
{
    (void)state;
    mu_test_read(&file, MU_TEST_GOLDEN);
    return 0;
}

static int drop_file(void **state)
{
    (void)state;
    mu_buf_fini(&file);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line_says_what_it_said),
        cmocka_unit_test(every_schema_has_a_line_of_its_present_form),
    };
    if (argc > 1 && strcmp(argv[1], "--write") == 0) {
        struct mu_buf more = { 0 };
        read_file(NULL);
        missing(&more);
        mu_buf_add(&file, more.at, more.size);
        mu_test_write(mu_buf_str(&file), MU_TEST_GOLDEN);
        mu_buf_fini(&more);
        return drop_file(NULL);
    }
    return cmocka_run_group_tests(tests, read_file, drop_file);
}
