/* doc/muster.proto is what the tables say, and protoc reads our bytes by it. proto_test --write renews it. */
#include "unit/unit.h"

#include "unit/golden/schemas.h"
#include "unit/records.h"
#include "wire/proto.h"

#include <unistd.h>

static const char preamble[] =
    "// The records of Muster, made from the tables in src/core/event.h and src/wire/proto.h; do not edit.\n"
    "// The journal holds one Entry a record. EvSubmit.spec holds a JobSpec, MsgSpec.spec a GroupSpec.\n"
    "// Agents and servers speak frames: u32 payload size, u16 type, u16 version 1, u64 epoch, all\n"
    "// little-endian, then the payload. Types:\n";

struct seen {
    const struct mu_pb *pb[64];
    size_t count;
};

static void define(struct mu_buf *b, const struct mu_pb *pb, struct seen *seen)
{
    for (size_t i = 0; i < seen->count; i++)
        if (seen->pb[i] == pb)
            return;
    MU_ASSERT(seen->count < MU_COUNT(seen->pb));
    seen->pb[seen->count++] = pb;
    for (uint32_t i = 0; i < pb->count; i++)
        if (pb->fields[i].type == MU_PB_MSGS)
            define(b, pb->fields[i].msg, seen);
    mu_pb_proto(b, pb);
    mu_buf_addc(b, '\n');
}

static void definitions(struct mu_buf *b)
{
    struct seen seen = { .count = 0 };

    mu_buf_addz(b, preamble);
    for (enum mu_msg_type type = 1; type < MU_MSG_TYPES; type++) {
        mu_buf_printf(b, "//   %u ", type);
        mu_pb_name(b, mu_msg_pb(type));
        mu_buf_printf(b, ", from %s\n", mu_msg_sender(type) == 'A' ? "an agent" : "a server");
    }
    mu_buf_addz(b, "syntax = \"proto3\";\n\npackage muster;\n\n");
    for (size_t i = 0; i < mu_test_schemas_count; i++)
        define(b, mu_test_schemas[i], &seen);
    mu_buf_addz(b, "message Event {\n  oneof kind {\n");
    for (enum mu_event_kind kind = 1; kind < MU_EV_KINDS; kind++) {
        mu_buf_addz(b, "    ");
        mu_pb_name(b, mu_event_pb(kind));
        mu_buf_printf(b, " %s = %u;\n", mu_event_name(kind), kind);
    }
    mu_buf_addz(b, "  }\n}\n\nmessage Entry {\n  uint64 time_ms = 1;\n  repeated Event events = 2;\n}\n");
}

static void the_published_definition_is_in_step(void **state)
{
    struct mu_buf want = { 0 }, got = { 0 };

    (void)state;
    definitions(&want);
    mu_test_read(&got, MU_TEST_PROTO);
    if (!mu_str_eq(mu_buf_str(&got), mu_buf_str(&want)))
        fail_msg("doc/muster.proto is out of step; proto_test --write renews it");
    mu_buf_fini(&want);
    mu_buf_fini(&got);
}

/* protoc --MODE=muster.MESSAGE with `in` on its standard input. */
static void protoc(const char *mode, const char *message, struct mu_str in, struct mu_buf *out)
{
    char dir[] = "/tmp/muster-proto-XXXXXX", path_in[64], path_out[64], command[512];

    assert_non_null(mkdtemp(dir));
    snprintf(path_in, sizeof path_in, "%s/in", dir);
    snprintf(path_out, sizeof path_out, "%s/out", dir);
    mu_test_write(in, path_in);
    snprintf(command, sizeof command, "protoc --%s=muster.%s --proto_path=%s/doc muster.proto <%s >%s", mode, message,
             MU_TEST_SOURCE, path_in, path_out);
    assert_int_equal(system(command), 0);
    mu_buf_clear(out);
    mu_test_read(out, path_out);
    unlink(path_in);
    unlink(path_out);
    rmdir(dir);
}

static void compare_with_protoc(const char *message, const struct mu_buf *bytes, const struct mu_buf *text)
{
    struct mu_buf got = { 0 };

    protoc("decode", message, mu_buf_str(bytes), &got);
    if (!mu_str_eq(mu_buf_str(&got), mu_buf_str(text)))
        fail_msg("%s: protoc reads\n" MU_STR_FMT "\nwe meant\n" MU_STR_FMT, message, MU_STR_ARG(mu_buf_str(&got)),
                 MU_STR_ARG(mu_buf_str(text)));
    protoc("encode", message, mu_buf_str(text), &got);
    assert_true(mu_str_eq(mu_buf_str(&got), mu_buf_str(bytes)));
    mu_buf_fini(&got);
}

static void skip_without_protoc(void)
{
    if (system("protoc --version >/dev/null 2>&1") != 0)
        skip();
}

static void protoc_agrees_on_random_messages(void **state)
{
    struct mu_buf bytes = { 0 }, text = { 0 }, name = { 0 };
    struct mu_arena arena = { 0 };
    struct mu_rng rng;

    (void)state;
    skip_without_protoc();
    mu_rng_seed(&rng, 30);
    for (size_t i = 0; i < mu_test_schemas_count; i++) {
        const struct mu_pb *pb = mu_test_schemas[i];
        void *record = mu_record_random(pb, &rng, &arena);
        mu_buf_clear(&bytes);
        mu_buf_clear(&text);
        mu_buf_clear(&name);
        mu_pb_name(&name, pb);
        mu_buf_addc(&name, '\0');
        mu_pb_put(&bytes, pb, record);
        mu_record_text(&text, pb, record, 0);
        compare_with_protoc((char *)name.at, &bytes, &text);
        mu_arena_reset(&arena);
    }
    mu_buf_fini(&bytes);
    mu_buf_fini(&text);
    mu_buf_fini(&name);
    mu_arena_fini(&arena);
}

static void protoc_agrees_on_an_entry_of_random_events(void **state)
{
    struct mu_buf bytes = { 0 }, text = { 0 };
    struct mu_arena arena = { 0 };
    struct mu_rng rng;

    (void)state;
    skip_without_protoc();
    mu_rng_seed(&rng, 31);
    mu_entry_begin(&bytes, 1795377600000);
    mu_buf_addz(&text, "time_ms: 1795377600000\n");
    for (int i = 0; i < 2000; i++) {
        enum mu_event_kind kind = 1 + mu_rng_below(&rng, MU_EV_KINDS - 1);
        void *record = mu_record_random(mu_event_pb(kind), &rng, &arena);
        mu_entry_add(&bytes, kind, record);
        mu_buf_printf(&text, "events {\n  %s {\n", mu_event_name(kind));
        mu_record_text(&text, mu_event_pb(kind), record, 4);
        mu_buf_addz(&text, "  }\n}\n");
    }
    compare_with_protoc("Entry", &bytes, &text);
    mu_buf_fini(&bytes);
    mu_buf_fini(&text);
    mu_arena_fini(&arena);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_definition_is_in_step),
        cmocka_unit_test(protoc_agrees_on_random_messages),
        cmocka_unit_test(protoc_agrees_on_an_entry_of_random_events),
    };
    if (argc > 1 && strcmp(argv[1], "--write") == 0) {
        struct mu_buf text = { 0 };
        definitions(&text);
        mu_test_write(mu_buf_str(&text), MU_TEST_PROTO);
        mu_buf_fini(&text);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
