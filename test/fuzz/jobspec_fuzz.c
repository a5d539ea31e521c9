/* Any text as a job file: JSON after an even first byte, YAML after an odd one. */
#include "fuzz/fuzz.h"
#include "wire/jobspec.h"
#include "wire/json.h"

/* The encoded spec, empty when the text is refused. */
static void read_spec(struct mu_buf *out, struct mu_str json, struct mu_err *err)
{
    struct mu_arena arena = { .limit = MU_FUZZ_ARENA };
    struct mu_job_spec spec, again;

    if (mu_jobspec_json(json, MU_STR_LIT("somebody"), &spec, &arena, err) == MU_OK) {
        mu_pb_put(out, &mu_job_spec_pb, &spec);
        MU_ASSERT(spec.groups_count >= 1 && spec.groups_count <= MU_GROUPS_PER_JOB_MAX);
        MU_ASSERT(mu_pb_get(&mu_job_spec_pb, &again, mu_buf_str(out), &arena));
        MU_ASSERT(again.groups_count == spec.groups_count && again.digest == spec.digest);
    } else {
        MU_ASSERT(err->rc < 0 && err->text[0]);
    }
    mu_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_buf json = { 0 }, once = { 0 }, twice = { 0 };
    struct mu_err err = { 0 };
    uint32_t line, column;
    struct mu_str text;

    if (size == 0)
        return 0;
    text = (struct mu_str){ (const char *)data + 1, (uint32_t)size - 1 };
    if (data[0] % 2 == 0) {
        mu_buf_add(&json, text.at, text.size);
    } else if (mu_yaml_to_json(text, &json, &err) == MU_OK) {
        struct json_t *root = NULL; /* what it writes is JSON, unless it is deeper than JSON may be */
        enum mu_rc rc = mu_json_load(&root, mu_buf_str(&json), &err);
        MU_ASSERT(rc == MU_OK || rc == MU_INVALID);
        mu_json_free(root);
    } else {
        MU_ASSERT(err.rc < 0 && err.text[0]);
        mu_buf_clear(&json);
    }
    read_spec(&once, mu_buf_str(&json), &err);
    mu_yaml_locate(text, err.field, &line, &column);
    read_spec(&twice, mu_buf_str(&json), &err);
    MU_ASSERT(mu_str_eq(mu_buf_str(&once), mu_buf_str(&twice)));
    mu_buf_fini(&json);
    mu_buf_fini(&once);
    mu_buf_fini(&twice);
    return 0;
}
