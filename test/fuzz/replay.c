/* Drives a fuzz target without libFuzzer: replay FOLDER [MUTATIONS] runs each file of FOLDER, then that many
 * mutations of them. The same on each run, so that a failure comes back; the last input is left in
 * ./crash-TARGET when the process dies. */
#include "base/rng.h"
#include "base/str.h"
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

enum { INPUT_MAX = 64 * 1024, SEEDS_MAX = 512 };

struct corpus {
    struct mu_buf seeds[SEEDS_MAX];
    unsigned count;
};

static const uint8_t *current;
static size_t current_size;
static char crash_path[128];

static void on_death(int signal)
{
    int fd = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    if (fd >= 0 && write(fd, current, current_size) == (ssize_t)current_size)
        dprintf(STDERR_FILENO, "signal %d; the input is in %s\n", signal, crash_path);
    _exit(1);
}

static void feed(const struct mu_buf *input)
{
    uint8_t *exact = malloc(input->size ? input->size : 1); /* a read past the end is seen */

    MU_ASSERT(exact != NULL);
    if (input->size)
        memcpy(exact, input->at, input->size);
    current = exact;
    current_size = input->size;
    LLVMFuzzerTestOneInput(exact, input->size);
    free(exact);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name); /* not by locale: the same order everywhere */
}

static void load(struct corpus *c, const char *folder)
{
    struct dirent **names;
    int count = scandir(folder, &names, NULL, by_name);

    MU_ASSERT(count >= 0 && count <= SEEDS_MAX);
    for (int i = 0; i < count; i++) {
        char path[512];
        FILE *file;
        struct mu_buf *seed = &c->seeds[c->count];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        file = names[i]->d_name[0] == '.' ? NULL : fopen(path, "r");
        free(names[i]);
        if (file == NULL)
            continue;
        seed->size = fread(mu_buf_room(seed, INPUT_MAX), 1, INPUT_MAX, file);
        fclose(file);
        c->count++;
    }
    free(names);
    MU_ASSERT(c->count > 0);
}

static uint8_t odd_byte(struct mu_rng *rng)
{
    static const uint8_t odd[] = { 0, 1, 0x7f, 0x80, 0xff, '\n', '\r', ' ', '"', '\\', '{', '[', '-', '0', '9', ':' };

    return mu_rng_below(rng, 2) ? odd[mu_rng_below(rng, sizeof odd)] : (uint8_t)mu_rng_below(rng, 256);
}

/* Put size bytes of `from` in place of `cut` bytes of b at `at`. */
static void replace(struct mu_buf *b, size_t at, size_t cut, const uint8_t *from, size_t size)
{
    struct mu_buf tail = { 0 };

    if (b->size - cut + size > INPUT_MAX)
        return;
    mu_buf_add(&tail, b->at + at + cut, b->size - at - cut);
    b->size = at;
    mu_buf_add(b, from, size);
    mu_buf_add(b, tail.at, tail.size);
    mu_buf_fini(&tail);
}

static void mutate(struct mu_buf *b, const struct corpus *c, struct mu_rng *rng)
{
    size_t at = mu_rng_below(rng, (uint32_t)b->size + 1), left = b->size - at;
    const struct mu_buf *other = &c->seeds[mu_rng_below(rng, c->count)];
    size_t from = mu_rng_below(rng, (uint32_t)other->size + 1);
    uint8_t byte = odd_byte(rng);

    switch (mu_rng_below(rng, 7)) {
    case 0:
        if (left)
            b->at[at] ^= (uint8_t)(1u << mu_rng_below(rng, 8));
        break;
    case 1:
        if (left)
            b->at[at] = byte;
        break;
    case 2:
        replace(b, at, 0, &byte, 1);
        break;
    case 3:
        replace(b, at, mu_rng_below(rng, (uint32_t)(left < 16 ? left : 16) + 1), NULL, 0);
        break;
    case 4: /* a piece of another seed */
        replace(b, at, 0, other->at + from, mu_rng_below(rng, (uint32_t)(other->size - from) + 1));
        break;
    case 5: /* the rest of another seed */
        replace(b, at, left, other->at + from, other->size - from);
        break;
    default: /* cut off */
        b->size = at;
    }
}

int main(int argc, char **argv)
{
    static struct corpus corpus;
    unsigned long mutations = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    const char *name = strrchr(argv[0], '/');
    struct mu_buf input = { 0 };
    struct mu_rng rng;

    MU_ASSERT(argc > 1);
    snprintf(crash_path, sizeof crash_path, "crash-%s", name ? name + 1 : argv[0]);
    signal(SIGABRT, on_death);
    signal(SIGSEGV, on_death);
    signal(SIGBUS, on_death);
    signal(SIGFPE, on_death);
    load(&corpus, argv[1]);
    for (unsigned i = 0; i < corpus.count; i++)
        feed(&corpus.seeds[i]);
    mu_rng_seed(&rng, 1);
    for (unsigned long i = 0; i < mutations; i++) {
        const struct mu_buf *seed = &corpus.seeds[mu_rng_below(&rng, corpus.count)];
        mu_buf_clear(&input);
        mu_buf_add(&input, seed->at, seed->size);
        for (uint32_t k = mu_rng_below(&rng, 5) + 1; k > 0; k--)
            mutate(&input, &corpus, &rng);
        feed(&input);
    }
    printf("%u seeds, %lu mutations\n", corpus.count, mutations);
    mu_buf_fini(&input);
    for (unsigned i = 0; i < corpus.count; i++)
        mu_buf_fini(&corpus.seeds[i]);
    return 0;
}
