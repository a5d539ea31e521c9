/* sched/tree.c -- see tree.h. A line of 16 scores is one cache line: a changed score touches its own line
 * and, as a rule, one entry of the small level above. */
#include "sched/tree.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

/* Four scores at a time, in the compiler's portable vectors; scores stay below 2^31, so signed compares do. */
typedef int32_t quad __attribute__((vector_size(16)));

static inline quad quad_max(quad a, quad b)
{
    quad larger = a > b;

    return (a & larger) | (b & ~larger);
}

static inline uint32_t quads_max(quad a, quad b, quad c, quad d)
{
    quad m = quad_max(quad_max(a, b), quad_max(c, d));
    int32_t low = m[0] > m[1] ? m[0] : m[1], high = m[2] > m[3] ? m[2] : m[3];

    return (uint32_t)(low > high ? low : high);
}

static inline uint32_t line_max(const uint32_t *line)
{
    const quad *q = (const quad *)(const void *)line;

    return quads_max(q[0], q[1], q[2], q[3]);
}

/* The same but for one place: all ones around a 0 that falls on it. */
static inline uint32_t line_max_without(const uint32_t *line, uint32_t place)
{
    static const int32_t mask[2 * MU_TREE_FAN - 1] = {
        -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    };
    const quad *q = (const quad *)(const void *)line;
    quad keep[4];

    memcpy(keep, &mask[MU_TREE_FAN - 1 - place], sizeof keep);
    return quads_max(q[0] & keep[0], q[1] & keep[1], q[2] & keep[2], q[3] & keep[3]);
}

/* How many places below this line have its highest score. */
static uint32_t line_ties(const struct mu_tree *t, uint32_t level, uint32_t line, uint32_t best)
{
    const uint32_t *scores = &t->level[level][line * MU_TREE_FAN];
    const uint32_t *below = level ? &t->ties[level][line * MU_TREE_FAN] : NULL;
    uint32_t n = 0;

    for (int i = 0; i < MU_TREE_FAN && best != 0; i++)
        if (scores[i] == best)
            n += below ? below[i] : 1;
    return n;
}

static uint32_t padded(uint32_t n)
{
    return (n + MU_TREE_FAN - 1) / MU_TREE_FAN * MU_TREE_FAN;
}

void mu_tree_init(struct mu_tree *t, uint32_t places, bool counted)
{
    uint32_t sizes[MU_TREE_LEVELS] = { padded(places ? places : 1) }, top = 0;
    size_t scores = sizes[0], ties = 0;

    while (sizes[top] > 1) {
        uint32_t lines = sizes[top] / MU_TREE_FAN;

        MU_ASSERT(top + 1 < MU_TREE_LEVELS);
        sizes[++top] = lines == 1 ? 1 : padded(lines);
        scores += padded(lines);
        ties += counted ? padded(lines) : 0;
    }
    size_t bytes = (scores + ties) * sizeof *t->block;
    *t = (struct mu_tree){ .places = sizes[0], .top = top };
    t->block = aligned_alloc(64, (bytes + 63) / 64 * 64);
    MU_ASSERT(t->block != NULL);
    memset(t->block, 0, bytes);
    uint32_t *at = t->block;
    for (uint32_t l = 0; l <= top; l++, at += padded(sizes[l - 1]))
        t->level[l] = at;
    for (uint32_t l = 1; counted && l <= top; l++, at += padded(sizes[l - 1]))
        t->ties[l] = at;
}

void mu_tree_fini(struct mu_tree *t)
{
    free(t->block);
    *t = (struct mu_tree){ 0 };
}

/* Counted trees have no early way out but an unchanged line. */
static void climb_counted(struct mu_tree *t, uint32_t i)
{
    for (uint32_t l = 0; l < t->top; l++) {
        i /= MU_TREE_FAN;
        uint32_t best = line_max(&t->level[l][i * MU_TREE_FAN]);
        uint32_t ties = line_ties(t, l, i, best);

        if (t->level[l + 1][i] == best && t->ties[l + 1][i] == ties)
            return;
        t->level[l + 1][i] = best;
        t->ties[l + 1][i] = ties;
    }
}

void mu_tree_set(struct mu_tree *t, uint32_t place, uint32_t score)
{
    uint32_t old = t->level[0][place];

    MU_ASSERT(place < t->places && score <= INT32_MAX);
    if (old == score)
        return;
    t->level[0][place] = score;
    if (t->ties[1]) {
        climb_counted(t, place);
        return;
    }
    for (uint32_t l = 0; l < t->top; l++) {
        place /= MU_TREE_FAN;
        uint32_t *above = &t->level[l + 1][place], was = *above;

        if (score > was)
            *above = score;
        else if (old == was)
            *above = line_max(&t->level[l][place * MU_TREE_FAN]);
        if (*above == was)
            return;
        old = was;
        score = *above;
    }
}

void mu_tree_build(struct mu_tree *t)
{
    uint32_t lines = t->places / MU_TREE_FAN;

    for (uint32_t l = 0; l < t->top; l++, lines = padded(lines) / MU_TREE_FAN)
        for (uint32_t i = 0; i < lines; i++) {
            uint32_t best = line_max(&t->level[l][i * MU_TREE_FAN]);

            t->level[l + 1][i] = best;
            if (t->ties[l + 1])
                t->ties[l + 1][i] = line_ties(t, l, i, best);
        }
}

/* From an entry of a level down to the first place below it with that score. */
static uint32_t descend(const struct mu_tree *t, uint32_t level, uint32_t i)
{
    uint32_t score = t->level[level][i];

    while (level-- > 0) {
        const uint32_t *line = &t->level[level][i *= MU_TREE_FAN];

        while (*line != score)
            line++, i++;
    }
    return i;
}

uint32_t mu_tree_first(const struct mu_tree *t)
{
    return mu_tree_best(t) ? descend(t, t->top, 0) : MU_TREE_NONE;
}

uint32_t mu_tree_after(const struct mu_tree *t, uint32_t place)
{
    uint32_t best = mu_tree_best(t);

    if (best == 0)
        return MU_TREE_NONE;
    for (uint32_t l = 0, i = place; l < t->top && place < t->places; l++, i /= MU_TREE_FAN)
        for (uint32_t j = i + 1; j % MU_TREE_FAN != 0; j++)
            if (t->level[l][j] == best)
                return descend(t, l, j);
    return descend(t, t->top, 0);
}

uint32_t mu_tree_ties(const struct mu_tree *t)
{
    return t->ties[t->top][0];
}

uint32_t mu_tree_kth(const struct mu_tree *t, uint32_t k)
{
    uint32_t i = 0, best = mu_tree_best(t);

    MU_ASSERT(best != 0 && k < mu_tree_ties(t));
    for (uint32_t level = t->top; level-- > 0;) {
        i *= MU_TREE_FAN;
        for (;; i++) {
            if (t->level[level][i] != best)
                continue;
            uint32_t n = level ? t->ties[level][i] : 1;
            if (k < n)
                break;
            k -= n;
        }
    }
    return i;
}

uint32_t mu_tree_runner_up(const struct mu_tree *t, uint32_t place)
{
    uint32_t best = 0, level = 0, beside = 0;

    for (uint32_t l = 0, i = place; l < t->top; l++, i /= MU_TREE_FAN) {
        uint32_t other = line_max_without(&t->level[l][i / MU_TREE_FAN * MU_TREE_FAN], i % MU_TREE_FAN);

        if (other > best)
            best = other, level = l, beside = i;
    }
    if (best == 0)
        return MU_TREE_NONE;
    uint32_t at = beside / MU_TREE_FAN * MU_TREE_FAN;
    while (t->level[level][at] != best || at == beside)
        at++;
    return descend(t, level, at);
}
