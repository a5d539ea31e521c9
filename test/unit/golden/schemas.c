#include "unit/golden/schemas.h"

#include "base/assert.h"
#include "core/event.h"
#include "wire/proto.h"

const struct mu_pb *const mu_test_schemas[] = {
    &mu_job_spec_pb,
#define X(num, NAME, name) &mu_ev_##name##_pb,
    MU_EVENT_MAP(X)
#undef X
#define X(num, NAME, name, from) &mu_msg_##name##_pb,
    MU_MSG_MAP(X)
#undef X
};
const size_t mu_test_schemas_count = MU_COUNT(mu_test_schemas);

void mu_test_read(struct mu_buf *b, const char *path)
{
    FILE *file = fopen(path, "r");
    size_t size;

    if (file == NULL) {
        perror(path);
        abort();
    }
    while ((size = fread(mu_buf_room(b, 4096), 1, 4096, file)) > 0)
        b->size += size;
    fclose(file);
}

void mu_test_write(struct mu_str text, const char *path)
{
    FILE *file = fopen(path, "w");

    if (file == NULL || fwrite(text.at, 1, text.size, file) != text.size || fclose(file) != 0) {
        perror(path);
        abort();
    }
}
