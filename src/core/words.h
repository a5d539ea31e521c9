/* core/words.h -- words that come back often (users, labels, names of resources and nodes) as numbers.
 *
 * What       intern with a count of references; 0 is no word.
 * Ownership  texts are copied; a word lives while it is referenced, then its number is used again.
 * Time, Threads  none.   Failure  no memory aborts.   Limits  2^32 - 1 words.
 */
#ifndef MU_CORE_WORDS_H
#define MU_CORE_WORDS_H

#include "base/map.h"
#include "base/str.h"
#include "core/view.h"

struct mu_word;
struct mu_words {
    struct mu_word *at;
    uint32_t count, cap;     /* numbers given out so far, 0 included */
    uint32_t free;           /* first of the numbers to use again, 0 none */
    struct mu_map by_hash;   /* to the first word of that hash */
};

void mu_words_fini(struct mu_words *w);
/* The word's number, 0 when it is not known. */
uint32_t mu_words_find(const struct mu_words *w, struct mu_str text);
/* The same, made when it is not known; one more reference. */
uint32_t mu_words_ref(struct mu_words *w, struct mu_str text);
void mu_words_unref(struct mu_words *w, uint32_t id);
/* Empty for 0. */
struct mu_str mu_words_text(const struct mu_words *w, uint32_t id);
uint32_t mu_words_refs(const struct mu_words *w, uint32_t id);

/* A set of words from texts, each referenced once; and back. */
struct mu_word_ids mu_word_ids_ref(struct mu_words *w, const struct mu_strs *texts);
void mu_word_ids_unref(struct mu_words *w, struct mu_word_ids *ids);
bool mu_word_ids_has(const struct mu_word_ids *ids, uint32_t id);
/* Is every word of a in b? */
bool mu_word_ids_within(const struct mu_word_ids *a, const struct mu_word_ids *b);

#endif
