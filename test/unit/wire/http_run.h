/* Runs bytes through the HTTP parser as a connection would and writes down what happens; for tests and fuzzing.
 *
 * The bytes are shown as a growing head, then as pieces of body, each time from memory of its own of exactly that size, so
 * that a read past the end or a view kept too long is caught. cut(arg, at) says how many bytes come next.
 */
#ifndef TEST_HTTP_RUN_H
#define TEST_HTTP_RUN_H

#include "wire/http.h"

struct http_run {
    enum mu_http_side side;
    enum mu_http_method asked;
    size_t (*cut)(void *arg, size_t at, size_t left);
    void *arg;
};

/* Appends a transcript to out: "GET /x host=a n=2 [body] | refused 400 | more". */
void http_run(struct mu_buf *out, const struct http_run *run, const char *bytes, size_t size);

#endif
