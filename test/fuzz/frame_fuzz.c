/* Any bytes as a stream of frames between agent and server. */
#include "fuzz/fuzz.h"
#include "wire/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_arena arena = { .limit = MU_FUZZ_ARENA };
    struct mu_buf once = { 0 }, twice = { 0 };
    struct mu_msg msg, same;
    struct mu_err err = { 0 };
    enum mu_rc rc = MU_OK;
    size_t used, at = 0, again;

    while (rc == MU_OK && at < size) {
        mu_arena_reset(&arena);
        rc = mu_frame_take(data + at, size - at, &used, &msg, &arena, &err);
        if (rc != MU_OK)
            break;
        MU_ASSERT(used >= MU_FRAME_HEAD && used <= size - at);
        at += used;
        mu_buf_clear(&once);
        mu_buf_clear(&twice);
        mu_frame_put(&once, msg.type, msg.epoch, &msg.hello);
        MU_ASSERT(mu_frame_take(once.at, once.size, &again, &same, &arena, NULL) == MU_OK && again == once.size);
        mu_frame_put(&twice, same.type, same.epoch, &same.hello);
        MU_ASSERT(mu_str_eq(mu_buf_str(&once), mu_buf_str(&twice)));
    }
    MU_ASSERT(rc == MU_OK || rc == MU_AGAIN || (rc == MU_INVALID && err.text[0]));
    mu_buf_fini(&once);
    mu_buf_fini(&twice);
    mu_arena_fini(&arena);
    return 0;
}
