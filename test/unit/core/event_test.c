#include "unit/unit.h"

#include "core/event.h"

/* An entry as text: "TIME kind{fields} ..." and " damaged" where it stops making sense. */
static void expect_entry(const char *what, const void *bytes, size_t size, const char *want)
{
    struct mu_arena arena = { 0 };
    struct mu_buf got = { 0 };
    struct mu_reader r;
    struct mu_event ev;
    uint64_t time_ms;

    if (mu_entry_open(&r, bytes, size, &time_ms))
        mu_buf_u64(&got, time_ms);
    while (mu_entry_next(&r, &ev, &arena)) {
        mu_buf_printf(&got, " %s:", mu_event_name(ev.kind)); /* after a colon the JSON writer puts no comma */
        mu_pb_print(&got, mu_event_pb(ev.kind), &ev.submit);
    }
    if (r.bad)
        mu_buf_addz(&got, " damaged");
    assert_false(mu_entry_next(&r, &ev, &arena)); /* the end stays the end, damage stays damage */
    if (!mu_str_is(mu_buf_str(&got), want))
        fail_msg("%s: got \"" MU_STR_FMT "\", want \"%s\"", what, MU_STR_ARG(mu_buf_str(&got)), want);
    mu_buf_fini(&got);
    mu_arena_fini(&arena);
}

static void events_come_back_in_order(void **state)
{
    struct mu_buf b = { 0 };
    struct mu_str labels[] = { MU_STR_LIT("disk=ssd"), MU_STR_LIT("zone=a") };

    (void)state;
    mu_buf_addz(&b, "left over");
    mu_entry_begin(&b, 0);
    expect_entry("no event, time zero", b.at, b.size, "0");
    mu_entry_begin(&b, 1795377600000);
    mu_entry_add(&b, MU_EV_PLACED, &(struct mu_ev_placed){ .job = 42, .ordinal = 7, .attempt = 1, .node = 3 });
    mu_entry_add(&b, MU_EV_DUE, &(struct mu_ev_due){ 0 });
    mu_entry_add(&b, MU_EV_NODE_JOIN, &(struct mu_ev_node_join){ .name = MU_STR_LIT("n1"), .labels = { labels, 2 } });
    expect_entry("three events", b.at, b.size, "1795377600000 placed:{\"job\":42,\"ordinal\":7,\"attempt\":1,\"node\":3} "
                 "due:{} node_join:{\"name\":\"n1\",\"labels\":[\"disk=ssd\",\"zone=a\"]}");
    mu_buf_fini(&b);
}

static void damage_is_not_the_end(void **state)
{
    static const struct { const char *what, *bytes; size_t size; const char *want; } cases[] = {
        { "nothing", "", 0, " damaged" },
        { "no time", "\x12\x02\x6a\x00", 4, " damaged" },
        { "a cut time", "\x08\x80", 2, " damaged" },
        { "an event of the due kind", "\x08\x01\x12\x02\x6a\x00", 6, "1 due:{}" },
        { "an event of kind 127", "\x08\x01\x12\x03\xfa\x07\x00", 7, "1 damaged" },
        { "an event of kind 0", "\x08\x01\x12\x02\x02\x00", 6, "1 damaged" },
        { "an event without kind", "\x08\x01\x12\x00", 4, "1 damaged" },
        { "two kinds in one event", "\x08\x01\x12\x04\x6a\x00\x6a\x00", 8, "1 damaged" },
        { "a kind that is a number", "\x08\x01\x12\x02\x68\x00", 6, "1 damaged" },
        { "a cut event", "\x08\x01\x12\x03\x6a\x00", 6, "1 damaged" },
        { "an event cut inside", "\x08\x01\x12\x02\x6a\x01", 6, "1 damaged" },
        { "a damaged body", "\x08\x01\x12\x04\x6a\x02\x0a\x00", 8, "1 damaged" },
        { "another field of the entry", "\x08\x01\x18\x01", 4, "1 damaged" },
        { "good, then bad", "\x08\x01\x12\x02\x6a\x00\x12", 7, "1 due:{} damaged" },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++)
        expect_entry(cases[i].what, cases[i].bytes, cases[i].size, cases[i].want);
}

static void full_memory_reads_as_damage(void **state)
{
    struct mu_arena arena = { .limit = 16 };
    struct mu_str labels[] = { MU_STR_LIT("a=b"), MU_STR_LIT("c=d") };
    struct mu_buf b = { 0 };
    struct mu_reader r;
    struct mu_event ev;
    uint64_t time_ms;

    (void)state;
    mu_entry_begin(&b, 1);
    mu_entry_add(&b, MU_EV_NODE_JOIN, &(struct mu_ev_node_join){ .labels = { labels, 2 } });
    assert_true(mu_entry_open(&r, b.at, b.size, &time_ms));
    assert_false(mu_entry_next(&r, &ev, &arena));
    assert_true(r.bad);
    mu_buf_fini(&b);
    mu_arena_fini(&arena);
}

static void kinds_have_names_and_tables(void **state)
{
    (void)state;
    for (enum mu_event_kind kind = 1; kind < MU_EV_KINDS; kind++) {
        assert_non_null(mu_event_pb(kind));
        assert_true(mu_event_pb(kind)->size <= sizeof(struct mu_event) - offsetof(struct mu_event, submit));
        assert_int_equal(strncmp(mu_event_pb(kind)->name, "mu_ev_", 6), 0);
        assert_string_equal(mu_event_pb(kind)->name + 6, mu_event_name(kind));
    }
    assert_null(mu_event_pb(0));
    assert_null(mu_event_pb(MU_EV_KINDS));
}

/* The codec finds fields in one pass because rows ascend; tags are one or two bytes on the wire. */
static void rows_ascend(const struct mu_pb *pb)
{
    for (uint32_t i = 0; i < pb->count; i++) {
        assert_in_range(pb->fields[i].tag, i ? pb->fields[i - 1].tag + 1 : 1, 2047);
        if (pb->fields[i].msg)
            rows_ascend(pb->fields[i].msg);
    }
}

static void tags_ascend_in_every_table(void **state)
{
    (void)state;
    rows_ascend(&mu_job_spec_pb);
    for (enum mu_event_kind kind = 1; kind < MU_EV_KINDS; kind++)
        rows_ascend(mu_event_pb(kind));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_back_in_order),
        cmocka_unit_test(damage_is_not_the_end),
        cmocka_unit_test(full_memory_reads_as_damage),
        cmocka_unit_test(kinds_have_names_and_tables),
        cmocka_unit_test(tags_ascend_in_every_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
