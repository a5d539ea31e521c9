/* Any bytes as a snapshot of the core: refused, or a state that can be saved and loaded again. */
#include "core/core.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_core *core = mu_core_new(&mu_core_limits_default), *again = mu_core_new(&mu_core_limits_default);
    struct mu_buf bytes = { 0 };
    struct mu_err err = { 0 };

    if (mu_core_load(core, data, size, &err) == MU_OK) {
        mu_core_check(core);
        mu_core_save(core, &bytes);
        MU_ASSERT(mu_core_load(again, bytes.at, bytes.size, NULL) == MU_OK);
        MU_ASSERT(mu_core_hash(core) == mu_core_hash(again));
    } else {
        MU_ASSERT(err.rc < 0 && err.text[0]);
    }
    mu_core_free(core);
    mu_core_free(again);
    mu_buf_fini(&bytes);
    return 0;
}
