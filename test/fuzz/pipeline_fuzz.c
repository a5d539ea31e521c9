/* Any bytes as a whole connection of HTTP messages, shown from memory that moves: whole or cut anywhere, the transcript
 * is the same. The first byte chooses the side and the cuts. */
#include "base/hash.h"
#include "fuzz/fuzz.h"
#include "unit/wire/http_run.h"

static size_t whole(void *arg, size_t at, size_t left)
{
    (void)arg, (void)at;
    return left;
}

/* Pieces of 1 to 16 bytes, or to the end, by a hash of place and seed. */
static size_t pieces(void *arg, size_t at, size_t left)
{
    uint64_t h = mu_hash_mix(*(uint64_t *)arg, at);
    size_t n = h % 8 == 0 ? left : 1 + (size_t)(h >> 8) % 16;

    return n < left ? n : left;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_buf one = { 0 }, other = { 0 };
    struct http_run run = { .cut = whole };
    uint64_t seed;

    if (size == 0)
        return 0;
    run.side = data[0] & 1 ? MU_HTTP_RESPONSE : MU_HTTP_REQUEST;
    run.asked = data[0] & 2 ? MU_HTTP_HEAD : MU_HTTP_GET;
    seed = data[0] >> 2;
    http_run(&one, &run, (const char *)data + 1, size - 1);
    run.cut = pieces;
    run.arg = &seed;
    http_run(&other, &run, (const char *)data + 1, size - 1);
    MU_ASSERT(mu_str_eq(mu_buf_str(&one), mu_buf_str(&other)));
    mu_buf_fini(&one);
    mu_buf_fini(&other);
    return 0;
}
