/* Any bytes as any record: the first byte chooses the schema. */
#include "fuzz/fuzz.h"
#include "unit/golden/schemas.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_arena arena = { .limit = MU_FUZZ_ARENA };
    struct mu_buf once = { 0 }, twice = { 0 };
    const struct mu_pb *pb;
    void *record;

    if (size == 0)
        return 0;
    pb = mu_test_schemas[data[0] % mu_test_schemas_count];
    record = mu_arena_alloc(&arena, pb->size);
    if (mu_pb_get(pb, record, (struct mu_str){ (const char *)data + 1, (uint32_t)size - 1 }, &arena)) {
        mu_pb_put(&once, pb, record);
        MU_ASSERT(mu_pb_get(pb, record, mu_buf_str(&once), &arena));
        mu_pb_put(&twice, pb, record);
        MU_ASSERT(mu_str_eq(mu_buf_str(&once), mu_buf_str(&twice)));
        mu_buf_clear(&twice);
        mu_pb_print(&twice, pb, record);
        MU_ASSERT(twice.size >= 2 && twice.at[0] == '{' && twice.at[twice.size - 1] == '}');
    }
    mu_buf_fini(&once);
    mu_buf_fini(&twice);
    mu_arena_fini(&arena);
    return 0;
}
