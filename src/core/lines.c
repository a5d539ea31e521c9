#include "core/lines.h"

#include "base/assert.h"

enum { STRIDE = 8 }; /* lines from one noted offset to the next */
enum { CHUNK_SHARED_MAX = 128 * 1024 }; /* a small append goes into the last chunk up to this size */

struct mu_lines_chunk {
    char *text;
    uint32_t *marks;     /* offset of every STRIDE-th line */
    uint32_t size, cap;
    uint32_t first, lines;
};

static void *resized(void *memory, size_t size)
{
    void *to = realloc(memory, size);

    MU_ASSERT(to != NULL);
    return to;
}

void mu_lines_fini(struct mu_lines *l)
{
    for (uint32_t i = 0; i < l->count; i++) {
        free(l->at[i].text);
        free(l->at[i].marks);
    }
    free(l->at);
    *l = (struct mu_lines){ 0 };
}

uint32_t mu_lines_count(struct mu_str text)
{
    uint32_t count = 0;

    if (text.size == 0 || text.at[text.size - 1] != '\n')
        return 0;
    for (const char *at = text.at, *end = at + text.size; at < end; count++)
        at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
    return count;
}

/* The chunk that takes size more bytes. Which one it is depends on sizes only, so that lines loaded from a snapshot lie
 * as they did. */
static struct mu_lines_chunk *chunk_for(struct mu_lines *l, uint32_t size)
{
    struct mu_lines_chunk *c = l->count ? &l->at[l->count - 1] : NULL;

    if (c && c->size + (uint64_t)size <= CHUNK_SHARED_MAX) {
        uint32_t cap = c->cap * 2 < CHUNK_SHARED_MAX ? c->cap * 2 : CHUNK_SHARED_MAX;
        if (c->size + size > c->cap)
            c->cap = c->size + size > cap ? c->size + size : cap;
        c->text = resized(c->text, c->cap);
        return c;
    }
    if (c && c->cap > c->size) {
        c->text = resized(c->text, c->size);
        c->cap = c->size;
    }
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 1;
        l->at = resized(l->at, l->cap * sizeof l->at[0]);
    }
    c = &l->at[l->count++];
    *c = (struct mu_lines_chunk){ .text = resized(NULL, size), .cap = size, .first = l->lines };
    return c;
}

static void chunk_mark(struct mu_lines_chunk *c, uint32_t from, uint32_t lines)
{
    uint32_t at = from;

    c->marks = resized(c->marks, (c->lines + lines + STRIDE - 1) / STRIDE * sizeof c->marks[0]);
    for (uint32_t end = c->lines + lines; c->lines < end; c->lines++) {
        if (c->lines % STRIDE == 0)
            c->marks[c->lines / STRIDE] = at;
        at = (uint32_t)((const char *)memchr(c->text + at, '\n', c->size - at) - c->text) + 1;
    }
}

void mu_lines_add(struct mu_lines *l, struct mu_str text)
{
    uint32_t lines = mu_lines_count(text);
    struct mu_lines_chunk *c;

    MU_ASSERT(lines > 0);
    c = chunk_for(l, text.size);
    memcpy(c->text + c->size, text.at, text.size);
    c->size += text.size;
    chunk_mark(c, c->size - text.size, lines);
    l->lines += lines;
    l->bytes += text.size;
}

struct mu_str mu_lines_get(const struct mu_lines *l, uint32_t i)
{
    uint32_t low = 0, high = l->count;
    const struct mu_lines_chunk *c;
    const char *at, *end;

    MU_ASSERT(i < l->lines);
    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;
        if (l->at[mid].first <= i)
            low = mid;
        else
            high = mid;
    }
    c = &l->at[low];
    at = c->text + c->marks[(i - c->first) / STRIDE];
    end = c->text + c->size;
    for (uint32_t skip = (i - c->first) % STRIDE; skip; skip--)
        at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
    end = memchr(at, '\n', (size_t)(end - at));
    return (struct mu_str){ at, (uint32_t)(end - at) };
}

bool mu_lines_piece(const struct mu_lines *l, uint32_t i, struct mu_str *out_text)
{
    if (i >= l->count)
        return false;
    *out_text = (struct mu_str){ l->at[i].text, l->at[i].size };
    return true;
}

const char *mu_lines_flaw(const struct mu_lines *l)
{
    uint32_t lines = 0;
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < l->count; i++) {
        const struct mu_lines_chunk *c = &l->at[i];
        if (c->first != lines || c->lines != mu_lines_count((struct mu_str){ c->text, c->size }))
            return "a chunk's lines are not those of its text";
        lines += c->lines;
        bytes += c->size;
    }
    return lines != l->lines || bytes != l->bytes ? "the lines are not those of the chunks" : NULL;
}
