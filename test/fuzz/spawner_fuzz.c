/* Any bytes as a stream between agent and spawner: from the agent after an even first byte, else from the spawner. */
#include "agent/spawner/spawner_proto.h"
#include "fuzz/fuzz.h"

enum { POINTERS_MAX = 4096 };

static size_t strings(char *const *list, const char *first, const char *end)
{
    size_t bytes = 0;

    for (; *list; list++) {
        MU_ASSERT(*list >= first && *list < end);
        bytes += strlen(*list) + 1;
    }
    return bytes;
}

/* Every string of a sound SPAWN lies inside its frame, and together they fill it. */
static void check_spawn(uint8_t *frame, size_t size)
{
    static char *pointers[POINTERS_MAX];
    struct mu_sp_spawn_view v;
    char *first = (char *)frame, *end = first + size;

    if (!mu_sp_spawn_read(&v, frame, size, pointers, POINTERS_MAX))
        return;
    char *const fixed[] = { v.cwd, v.in, v.out, v.err, v.script, NULL };
    MU_ASSERT(v.head.argc > 0 && v.argv[0] && v.head.groups <= MU_SP_GROUPS_MAX);
    MU_ASSERT(strings(fixed, first, end) + strings(v.cgroups, first, end) + strings(v.argv, first, end) +
                  strings(v.env, first, end) + sizeof(struct mu_sp_spawn) + v.head.groups * sizeof(uint32_t) == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool from_agent = size > 0 && data[0] % 2 == 0;
    size_t used;

    if (size == 0)
        return 0;
    for (data++, size--; (used = mu_sp_frame(data, size, from_agent)) != 0 && used != SIZE_MAX; data += used, size -= used) {
        uint8_t *frame = malloc(used); /* at its exact size, and writable as the reader wants it */
        MU_ASSERT(used >= sizeof(struct mu_sp_head) && used <= size && frame != NULL);
        memcpy(frame, data, used);
        check_spawn(frame, used);
        free(frame);
    }
    return 0;
}
