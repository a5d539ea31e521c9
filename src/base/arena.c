#include "base/arena.h"

#include "base/assert.h"

#include <stdint.h>

enum { ALIGN = 16, BLOCK_MIN = 4096, BLOCK_MAX = 1024 * 1024 };

struct mu_arena_block {
    struct mu_arena_block *next;
    size_t size, used;
    _Alignas(ALIGN) unsigned char bytes[];
};

static struct mu_arena_block *block_new(struct mu_arena *a, size_t need)
{
    size_t size = a->head ? a->head->size * 2 : BLOCK_MIN;
    struct mu_arena_block *block;

    if (size > BLOCK_MAX)
        size = BLOCK_MAX;
    if (size < need)
        size = need;
    block = malloc(sizeof *block + size);
    MU_ASSERT(block != NULL);
    block->size = size;
    block->used = 0;
    block->next = a->head;
    a->head = block;
    return block;
}

void mu_arena_fini(struct mu_arena *a)
{
    while (a->head) {
        struct mu_arena_block *next = a->head->next;
        free(a->head);
        a->head = next;
    }
    a->used = 0;
}

void mu_arena_reset(struct mu_arena *a)
{
    struct mu_arena_block *keep = NULL;

    while (a->head) {
        struct mu_arena_block *block = a->head, *drop = block;
        a->head = block->next;
        if (keep == NULL || block->size > keep->size) {
            drop = keep;
            keep = block;
        }
        free(drop);
    }
    if (keep) {
        keep->next = NULL;
        keep->used = 0;
    }
    a->head = keep;
    a->used = 0;
}

void *mu_arena_alloc(struct mu_arena *a, size_t size)
{
    struct mu_arena_block *block = a->head;
    void *at;

    if (size > SIZE_MAX / 2)
        return NULL;
    size = size ? (size + ALIGN - 1) / ALIGN * ALIGN : ALIGN;
    if (a->limit && (size > a->limit || a->used > a->limit - size))
        return NULL;
    if (block == NULL || block->size - block->used < size)
        block = block_new(a, size);
    at = block->bytes + block->used;
    block->used += size;
    a->used += size;
    return memset(at, 0, size);
}

char *mu_arena_strdup(struct mu_arena *a, const char *at, size_t size)
{
    char *copy = mu_arena_alloc(a, size + 1);

    if (copy && size)
        memcpy(copy, at, size);
    return copy;
}
