/* bench/latency.c -- submit to ended of one task over the API, one after the other on one connection.
 *
 * usage: bench-latency URL TOKEN ROUNDS PROGRAM     prints "p50 p99" in milliseconds
 */
#include "base/assert.h"
#include "io/httpc.h"
#include "io/loop.h"

#include <stdio.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void ask(struct mu_httpc *http, const char *method, const char *target, const char *body, struct mu_buf *out)
{
    struct mu_httpc_req req = { .method = method, .target = target, .type = body ? "application/json" : NULL, .body = body,
                                .size = body ? strlen(body) : 0 };
    struct mu_err err = { 0 };
    unsigned status = 0;

    if (mu_httpc_call(http, &req, &status, out, &err) != MU_OK || status >= 400) {
        fprintf(stderr, "%s %s: %u %s\n", method, target, status, err.text);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    struct mu_httpc_options opt = { .wake_fd = -1 };
    struct mu_httpc *http = NULL;
    struct mu_buf answer = { 0 };
    char body[512], target[80];
    size_t rounds;
    double *ms;

    if (argc != 5)
        return 2;
    opt.servers = argv[1];
    opt.token = argv[2];
    rounds = strtoul(argv[3], NULL, 10);
    ms = calloc(rounds + 1, sizeof *ms);
    MU_ASSERT(ms != NULL && rounds > 0 && mu_httpc_open(&http, &opt, NULL) == MU_OK);
    snprintf(body, sizeof body, "{\"command\":[\"%s\"]}", argv[4]);
    for (size_t i = 0; i < rounds; i++) {
        uint64_t from = mu_boot_ns();
        unsigned long long id = 0;
        ask(http, "POST", "/v1/jobs", body, &answer);
        mu_buf_addc(&answer, '\0');
        MU_ASSERT(sscanf((char *)answer.at, "{\"id\":%llu", &id) == 1);
        snprintf(target, sizeof target, "/v1/jobs/%llu/wait?timeout=30s", id);
        ask(http, "GET", target, NULL, &answer);
        ms[i] = (double)(mu_boot_ns() - from) / 1e6;
    }
    qsort(ms, rounds, sizeof *ms, by_value);
    printf("%.3f %.3f\n", ms[rounds / 2], ms[rounds * 99 / 100]);
    mu_httpc_close(http);
    mu_buf_fini(&answer);
    free(ms);
    return 0;
}
