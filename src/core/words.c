#include "core/words.h"

#include "base/assert.h"
#include "base/hash.h"

struct mu_word {
    char *text; /* NULL: the number is free */
    uint32_t size, refs;
    uint32_t next; /* of the same hash, or of the free numbers */
};

static uint64_t hash_of(struct mu_str text)
{
    return mu_hash(text.at, text.size, 0);
}

static uint32_t number_take(struct mu_words *w)
{
    uint32_t id = w->free;

    if (id) {
        w->free = w->at[id].next;
        return id;
    }
    if (w->count == w->cap) {
        w->cap = w->cap ? w->cap * 2 : 64;
        w->at = realloc(w->at, w->cap * sizeof w->at[0]);
        MU_ASSERT(w->at != NULL);
    }
    if (w->count == 0)
        w->at[w->count++] = (struct mu_word){ 0 };
    return w->count++;
}

void mu_words_fini(struct mu_words *w)
{
    for (uint32_t i = 0; i < w->count; i++)
        free(w->at[i].text);
    free(w->at);
    mu_map_fini(&w->by_hash);
    *w = (struct mu_words){ 0 };
}

uint32_t mu_words_find(const struct mu_words *w, struct mu_str text)
{
    const uint64_t *first = mu_map_find(&w->by_hash, hash_of(text));

    for (uint32_t id = first ? (uint32_t)*first : 0; id; id = w->at[id].next) {
        if (mu_str_eq((struct mu_str){ w->at[id].text, w->at[id].size }, text))
            return id;
    }
    return 0;
}

uint32_t mu_words_ref(struct mu_words *w, struct mu_str text)
{
    uint32_t id = mu_words_find(w, text);
    const uint64_t *first;

    if (id == 0) {
        id = number_take(w);
        first = mu_map_find(&w->by_hash, hash_of(text));
        w->at[id] = (struct mu_word){ mu_str_dup(text), text.size, 0, first ? (uint32_t)*first : 0 };
        mu_map_put(&w->by_hash, hash_of(text), id);
    }
    w->at[id].refs++;
    return id;
}

void mu_words_unref(struct mu_words *w, uint32_t id)
{
    struct mu_word *word = &w->at[id];
    uint64_t hash;
    uint64_t *first;

    if (id == 0)
        return;
    MU_ASSERT(id < w->count && word->refs > 0);
    if (--word->refs)
        return;
    hash = hash_of((struct mu_str){ word->text, word->size });
    first = mu_map_find(&w->by_hash, hash);
    if (*first == id && word->next == 0) {
        mu_map_remove(&w->by_hash, hash);
    } else if (*first == id) {
        *first = word->next;
    } else {
        uint32_t before = (uint32_t)*first;
        while (w->at[before].next != id)
            before = w->at[before].next;
        w->at[before].next = word->next;
    }
    free(word->text);
    *word = (struct mu_word){ .next = w->free };
    w->free = id;
}

struct mu_str mu_words_text(const struct mu_words *w, uint32_t id)
{
    if (id == 0 || id >= w->count || w->at[id].text == NULL)
        return (struct mu_str){ "", 0 };
    return (struct mu_str){ w->at[id].text, w->at[id].size };
}

uint32_t mu_words_refs(const struct mu_words *w, uint32_t id)
{
    return id < w->count ? w->at[id].refs : 0;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

struct mu_word_ids mu_word_ids_ref(struct mu_words *w, const struct mu_strs *texts)
{
    struct mu_word_ids ids = { NULL, 0 };
    uint32_t kept = 0;

    if (texts->count == 0)
        return ids;
    ids.at = malloc(texts->count * sizeof ids.at[0]);
    MU_ASSERT(ids.at != NULL);
    for (uint32_t i = 0; i < texts->count; i++)
        ids.at[i] = mu_words_ref(w, texts->at[i]);
    qsort(ids.at, texts->count, sizeof ids.at[0], by_number);
    for (uint32_t i = 0; i < texts->count; i++) {
        if (kept && ids.at[kept - 1] == ids.at[i])
            mu_words_unref(w, ids.at[i]); /* said twice */
        else
            ids.at[kept++] = ids.at[i];
    }
    ids.count = kept;
    return ids;
}

void mu_word_ids_unref(struct mu_words *w, struct mu_word_ids *ids)
{
    for (uint32_t i = 0; i < ids->count; i++)
        mu_words_unref(w, ids->at[i]);
    free(ids->at);
    *ids = (struct mu_word_ids){ NULL, 0 };
}

bool mu_word_ids_has(const struct mu_word_ids *ids, uint32_t id)
{
    uint32_t low = 0, high = ids->count;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (ids->at[mid] < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low < ids->count && ids->at[low] == id;
}

bool mu_word_ids_within(const struct mu_word_ids *a, const struct mu_word_ids *b)
{
    for (uint32_t i = 0; i < a->count; i++) {
        if (!mu_word_ids_has(b, a->at[i]))
            return false;
    }
    return true;
}
