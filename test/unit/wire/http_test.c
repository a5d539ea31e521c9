/* wire/http: what is taken, what is refused, and that the cut of the bytes never matters. */
#include "http_run.h"

#include "base/assert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define H "Host: a\r\n"
#define CHUNKED "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"

struct http_case {
    const char *what, *bytes;
    size_t size; /* 0: a string */
    const char *want; /* "400": refused so; "body": refused in the body; "more": incomplete; "ok": taken to the end */
};

static size_t whole(void *arg, size_t at, size_t left)
{
    (void)arg, (void)at;
    return left;
}

static size_t single(void *arg, size_t at, size_t left)
{
    (void)arg, (void)at, (void)left;
    return 1;
}

/* One cut, at *arg. */
static size_t once(void *arg, size_t at, size_t left)
{
    size_t cut = *(size_t *)arg;

    return at < cut ? cut - at : left;
}

static char *run_of(enum mu_http_side side, enum mu_http_method asked, size_t (*cut)(void *, size_t, size_t), void *arg,
                    const char *bytes, size_t size)
{
    struct http_run run = { side, asked, cut, arg };
    struct mu_buf out = { 0 };

    http_run(&out, &run, bytes, size);
    mu_buf_addc(&out, '\0');
    return (char *)out.at;
}

static const char *verdict(char *out, size_t cap, const char *transcript)
{
    const char *refused = strstr(transcript, "refused ");
    size_t n = strlen(transcript);

    if (refused != NULL)
        snprintf(out, cap, "%s", refused + 8);
    else
        snprintf(out, cap, "%s", n >= 4 && strcmp(transcript + n - 4, "more") == 0 ? "more" : "ok");
    return out;
}

/* The verdict, and the same transcript whole, byte by byte and with one cut at every place. */
static void check(enum mu_http_side side, enum mu_http_method asked, const struct http_case *c)
{
    size_t size = c->size ? c->size : strlen(c->bytes);
    char *want = run_of(side, asked, whole, NULL, c->bytes, size);
    char *bytewise = run_of(side, asked, single, NULL, c->bytes, size);
    char got[64];

    if (strcmp(verdict(got, sizeof got, want), c->want) != 0)
        fail_msg("%s: want %s, got %s: %s", c->what, c->want, got, want);
    if (strcmp(want, bytewise) != 0)
        fail_msg("%s: whole: %s; byte by byte: %s", c->what, want, bytewise);
    for (size_t cut = 1; cut < size; cut++) {
        char *other = run_of(side, asked, once, &cut, c->bytes, size);
        if (strcmp(want, other) != 0)
            fail_msg("%s: whole: %s; cut at %zu: %s", c->what, want, cut, other);
        free(other);
    }
    free(want);
    free(bytewise);
}

#define LONG(lit) lit, sizeof(lit) - 1

static const struct http_case requests[] = {
    { "a plain GET", LONG("GET / HTTP/1.1\r\n" H "\r\n"), "ok" },
    { "HTTP/1.0 without Host", LONG("GET / HTTP/1.0\r\n\r\n"), "ok" },
    { "two pipelined", LONG("GET /a HTTP/1.1\r\n" H "\r\nGET /b HTTP/1.1\r\n" H "\r\n"), "ok" },
    { "a body by length, then another", LONG("POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n" H "\r\n"), "ok" },
    { "an empty body", LONG("POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n"), "ok" },
    { "a chunked body", LONG(CHUNKED "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"), "ok" },
    { "chunk extensions are dropped", LONG(CHUNKED "3;a=b;c=\"d\"\r\nabc\r\n0;x\r\n\r\n"), "ok" },
    { "trailers are dropped", LONG(CHUNKED "1\r\na\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n"), "ok" },
    { "Chunked in another case", LONG("POST / HTTP/1.1\r\n" H "TRANSFER-ENCODING: Chunked\r\n\r\n0\r\n\r\n"), "ok" },
    { "OPTIONS *", LONG("OPTIONS * HTTP/1.1\r\n" H "\r\n"), "ok" },
    { "blanks around a value", LONG("GET / HTTP/1.1\r\n" H "X: \t a b \t \r\n\r\n"), "ok" },
    { "an empty value", LONG("GET / HTTP/1.1\r\n" H "X:\r\n\r\n"), "ok" },
    { "bytes above 127 in a value", LONG("GET / HTTP/1.1\r\n" H "X: \xc3\xa4\r\n\r\n"), "ok" },
    { "Host with port and IPv6", LONG("GET / HTTP/1.1\r\nHost: [::1]:7788\r\n\r\n"), "ok" },
    { "Connection in many words", LONG("GET / HTTP/1.1\r\n" H "Connection: foo , Close\r\n\r\n"), "ok" },
    { "an upgrade", LONG("GET / HTTP/1.1\r\n" H "Connection: keep-alive, Upgrade\r\nUpgrade: muster-agent\r\n\r\n"), "ok" },
    { "expectation", LONG("POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx"), "ok" },
    { "a method we do not know", LONG("BREW /pot HTTP/1.1\r\n" H "\r\n"), "ok" },
    { "an incomplete head", LONG("GET / HTTP/1.1\r\nHost: a\r"), "more" },
    { "an incomplete body", LONG("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nabcd"), "more" },
    { "an incomplete chunk", LONG(CHUNKED "5\r\nabcd"), "more" },
    { "a last chunk without its line", LONG(CHUNKED "0\r\n"), "more" },

    /* framing: where two readers could disagree */
    { "TE beside CL", LONG("POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "400" },
    { "CL beside TE", LONG("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"), "400" },
    { "two different CL", LONG("POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), "400" },
    { "two equal CL", LONG("POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"), "400" },
    { "a list of CL", LONG("POST / HTTP/1.1\r\n" H "Content-Length: 3, 3\r\n\r\nabc"), "400" },
    { "CL with plus", LONG("POST / HTTP/1.1\r\n" H "Content-Length: +3\r\n\r\nabc"), "400" },
    { "CL with minus", LONG("POST / HTTP/1.1\r\n" H "Content-Length: -3\r\n\r\nabc"), "400" },
    { "CL in hex", LONG("POST / HTTP/1.1\r\n" H "Content-Length: 0x3\r\n\r\nabc"), "400" },
    { "CL with a point", LONG("POST / HTTP/1.1\r\n" H "Content-Length: 3.0\r\n\r\nabc"), "400" },
    { "CL with a blank inside", LONG("POST / HTTP/1.1\r\n" H "Content-Length: 1 2\r\n\r\nabc"), "400" },
    { "CL empty", LONG("POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n"), "400" },
    { "CL too large for 64 bits", LONG("POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551617\r\n\r\na"), "400" },
    { "CL of 19 digits", LONG("POST / HTTP/1.1\r\n" H "Content-Length: 1000000000000000000\r\n\r\na"), "400" },
    { "TE twice", LONG("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "400" },
    { "TE gzip, chunked", LONG("POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), "501" },
    { "TE identity", LONG("POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n"), "501" },
    { "TE xchunked", LONG("POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n"), "501" },
    { "TE chunked with a parameter", LONG("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked;q=1\r\n\r\n"), "501" },
    { "TE with a vertical tab", LONG("POST / HTTP/1.1\r\n" H "Transfer-Encoding: \vchunked\r\n\r\n"), "400" },
    { "TE in HTTP/1.0", LONG("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "400" },
    { "TE with a space before the colon", LONG("POST / HTTP/1.1\r\n" H "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), "400" },
    { "CL folded", LONG("POST / HTTP/1.1\r\n" H "Content-Length:\r\n 3\r\n\r\nabc"), "400" },
    { "TE folded", LONG("POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\tchunked\r\n\r\n0\r\n\r\n"), "400" },

    /* lines and bytes */
    { "LF alone ends the first line", LONG("GET / HTTP/1.1\nHost: a\r\n\r\n"), "400" },
    { "LF alone ends a header", LONG("GET / HTTP/1.1\r\nHost: a\n\r\n"), "400" },
    { "LF alone ends the head", LONG("GET / HTTP/1.1\r\nHost: a\r\n\n"), "400" },
    { "CR in a value", LONG("GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n"), "400" },
    { "CR before CR LF", LONG("GET / HTTP/1.1\r\n" H "X: a\r\r\n\r\n"), "400" },
    { "NUL in a value", LONG("GET / HTTP/1.1\r\n" H "X: a\0b\r\n\r\n"), "400" },
    { "NUL in a name", LONG("GET / HTTP/1.1\r\n" H "X\0: a\r\n\r\n"), "400" },
    { "DEL in a value", LONG("GET / HTTP/1.1\r\n" H "X: \x7f\r\n\r\n"), "400" },
    { "an empty name", LONG("GET / HTTP/1.1\r\n" H ": a\r\n\r\n"), "400" },
    { "a line without colon", LONG("GET / HTTP/1.1\r\n" H "nonsense\r\n\r\n"), "400" },
    { "a blank in a name", LONG("GET / HTTP/1.1\r\n" H "X Y: a\r\n\r\n"), "400" },
    { "a line of blanks", LONG("GET / HTTP/1.1\r\n" H "  \r\n\r\n"), "400" },
    { "a blank before the first header", LONG("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), "400" },
    { "an empty line before the head", LONG("\r\nGET / HTTP/1.1\r\n" H "\r\n"), "400" },

    /* the first line */
    { "two blanks", LONG("GET  / HTTP/1.1\r\n" H "\r\n"), "400" },
    { "a tab as blank", LONG("GET\t/ HTTP/1.1\r\n" H "\r\n"), "400" },
    { "a blank at the end", LONG("GET / HTTP/1.1 \r\n" H "\r\n"), "400" },
    { "no version", LONG("GET /\r\n\r\n"), "400" },
    { "another protocol", LONG("GET / ICY/1.1\r\n" H "\r\n"), "400" },
    { "a version in lower case", LONG("GET / http/1.1\r\n" H "\r\n"), "400" },
    { "HTTP/2", LONG("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "400" },
    { "HTTP/2 with a path", LONG("GET / HTTP/2.0\r\n" H "\r\n"), "505" },
    { "HTTP/1.2", LONG("GET / HTTP/1.2\r\n" H "\r\n"), "505" },
    { "HTTP/1.10", LONG("GET / HTTP/1.10\r\n" H "\r\n"), "400" },
    { "HTTP/01.1", LONG("GET / HTTP/01.1\r\n" H "\r\n"), "400" },
    { "an absolute target", LONG("GET http://a/ HTTP/1.1\r\n" H "\r\n"), "400" },
    { "an authority as target", LONG("CONNECT a:80 HTTP/1.1\r\n" H "\r\n"), "400" },
    { "GET *", LONG("GET * HTTP/1.1\r\n" H "\r\n"), "400" },
    { "a fragment in the target", LONG("GET /a#b HTTP/1.1\r\n" H "\r\n"), "400" },
    { "a byte above 127 in the target", LONG("GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n"), "400" },
    { "a method with a bad character", LONG("G{T / HTTP/1.1\r\n" H "\r\n"), "400" },
    { "a method that is too long", LONG("ABCDEFGHIJKLMNOPQRSTUVWXY / HTTP/1.1\r\n" H "\r\n"), "501" },

    /* Host and friends */
    { "no Host", LONG("GET / HTTP/1.1\r\n\r\n"), "400" },
    { "two Hosts", LONG("GET / HTTP/1.1\r\n" H "Host: b\r\n\r\n"), "400" },
    { "an empty Host", LONG("GET / HTTP/1.1\r\nHost:\r\n\r\n"), "400" },
    { "a Host with a path", LONG("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), "400" },
    { "a Host with a user", LONG("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), "400" },
    { "a list of Hosts", LONG("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), "400" },
    { "a Host with a bad port", LONG("GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n"), "400" },
    { "a Host with a port of 6 digits", LONG("GET / HTTP/1.1\r\nHost: a:123456\r\n\r\n"), "400" },
    { "a Host with an open bracket", LONG("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), "400" },
    { "two Authorizations", LONG("GET / HTTP/1.1\r\n" H "Authorization: a\r\nauthorization: b\r\n\r\n"), "400" },
    { "another expectation", LONG("GET / HTTP/1.1\r\n" H "Expect: tea\r\n\r\n"), "417" },

    /* chunks */
    { "a chunk size with a sign", LONG(CHUNKED "+3\r\nabc\r\n0\r\n\r\n"), "body" },
    { "a chunk size with 0x", LONG(CHUNKED "0x3\r\nabc\r\n0\r\n\r\n"), "body" },
    { "a chunk size with a blank before", LONG(CHUNKED " 3\r\nabc\r\n0\r\n\r\n"), "body" },
    { "a chunk size with a blank behind", LONG(CHUNKED "3 \r\nabc\r\n0\r\n\r\n"), "body" },
    { "an empty chunk size", LONG(CHUNKED "\r\nabc\r\n0\r\n\r\n"), "body" },
    { "a chunk size past 64 bits", LONG(CHUNKED "10000000000000003\r\nabc\r\n0\r\n\r\n"), "body" },
    { "a chunk size that overflows", LONG(CHUNKED "fffffffffffffff3\r\nabc\r\n0\r\n\r\n"), "body" },
    { "a chunk size line ended by LF", LONG(CHUNKED "3\nabc\r\n0\r\n\r\n"), "body" },
    { "a chunk size line ended by CR", LONG(CHUNKED "3\rabc\r\n0\r\n\r\n"), "body" },
    { "a chunk longer than its size", LONG(CHUNKED "3\r\nabcd\r\n0\r\n\r\n"), "body" },
    { "a chunk ended by LF", LONG(CHUNKED "3\r\nabc\n0\r\n\r\n"), "body" },
    { "a chunk ended by another byte", LONG(CHUNKED "3\r\nabcx\n0\r\n\r\n"), "body" },
    { "a chunk ended by CR and another byte", LONG(CHUNKED "3\r\nabc\rx0\r\n\r\n"), "body" },
    { "a chunk size of 17 digits", LONG(CHUNKED "00000000000000003\r\nabc\r\n0\r\n\r\n"), "body" },
    { "a chunk without an end", LONG(CHUNKED "3\r\nabc0\r\n\r\n"), "body" },
    { "LF inside an extension", LONG(CHUNKED "3;a\nb\r\nabc\r\n0\r\n\r\n"), "body" },
    { "the last chunk ended by LF", LONG(CHUNKED "0\r\n\n"), "body" },
    { "a folded trailer", LONG(CHUNKED "0\r\nA: b\r\n c\r\n\r\n"), "body" },
    { "a trailer without a colon", LONG(CHUNKED "0\r\nA\r\n\r\n"), "body" },
    { "a trailer with CR inside", LONG(CHUNKED "0\r\nA: b\rc\r\n\r\n"), "body" },
};

static void requests_are_taken_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < MU_COUNT(requests); i++)
        check(MU_HTTP_REQUEST, MU_HTTP_OTHER, &requests[i]);
}

static void answers_are_taken_or_refused(void **state)
{
    static const struct {
        enum mu_http_method asked;
        struct http_case c;
    } cases[] = {
        { MU_HTTP_GET, { "length", LONG("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), "ok" } },
        { MU_HTTP_GET, { "chunked", LONG("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"), "ok" } },
        { MU_HTTP_GET, { "until close", LONG("HTTP/1.1 200 OK\r\n\r\nhi there"), "ok" } },
        { MU_HTTP_HEAD, { "HEAD has a length and no body", LONG("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), "ok" } },
        { MU_HTTP_GET, { "204 has no body", LONG("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "ok" } },
        { MU_HTTP_GET, { "304 has no body", LONG("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"), "ok" } },
        { MU_HTTP_GET, { "100, then the answer", LONG("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "ok" } },
        { MU_HTTP_GET, { "no reason", LONG("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"), "ok" } },
        { MU_HTTP_GET, { "no reason, no blank", LONG("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), "ok" } },
        { MU_HTTP_GET, { "101", LONG("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"), "ok" } },
        { MU_HTTP_GET, { "TE beside CL", LONG("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"), "400" } },
        { MU_HTTP_HEAD, { "TE beside CL, to HEAD", LONG("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"), "400" } },
        { MU_HTTP_GET, { "two CL", LONG("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi"), "400" } },
        { MU_HTTP_GET, { "a status of two digits", LONG("HTTP/1.1 20 OK\r\n\r\n"), "400" } },
        { MU_HTTP_GET, { "a status of four digits", LONG("HTTP/1.1 2000 OK\r\n\r\n"), "400" } },
        { MU_HTTP_GET, { "a status below 100", LONG("HTTP/1.1 099 OK\r\n\r\n"), "400" } },
        { MU_HTTP_GET, { "a status above 599", LONG("HTTP/1.1 600 OK\r\n\r\n"), "400" } },
        { MU_HTTP_GET, { "HTTP/2.0", LONG("HTTP/2.0 200 OK\r\n\r\n"), "505" } },
        { MU_HTTP_GET, { "HTTP/0.9", LONG("<html>\r\n\r\n"), "400" } },
        { MU_HTTP_GET, { "CR in the reason", LONG("HTTP/1.1 200 O\rK\r\n\r\n"), "400" } },
        { MU_HTTP_GET, { "bare LF", LONG("HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"), "400" } },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++)
        check(MU_HTTP_RESPONSE, cases[i].asked, &cases[i].c);
}

static void a_head_is_read_in_full(void **state)
{
    static const char bytes[] = "POST /v1/jobs?limit=3&name=a%20b HTTP/1.1\r\nHost: h:1\r\ncontent-TYPE: x/y\r\n"
                                "Connection: close, upgrade\r\nUpgrade: p\r\nContent-Length: 12\r\n\r\n";
    struct mu_http_parser p;
    struct mu_http_head head;
    size_t used;

    (void)state;
    mu_http_parser_init(&p, MU_HTTP_REQUEST, MU_HTTP_OTHER);
    assert_int_equal(mu_http_head_take(&p, bytes, sizeof bytes - 1, &used, &head, NULL), MU_OK);
    assert_int_equal(used, sizeof bytes - 1);
    assert_int_equal(head.method, MU_HTTP_POST);
    assert_true(mu_str_is(head.path, "/v1/jobs"));
    assert_true(mu_str_is(head.query, "limit=3&name=a%20b"));
    assert_true(mu_str_is(head.host, "h:1"));
    assert_true(mu_str_is(head.upgrade, "p"));
    assert_false(head.keep_alive);
    assert_int_equal(head.framing, MU_HTTP_LENGTH);
    assert_int_equal(head.length, 12);
    assert_true(mu_str_is(mu_http_find(&head, "content-type"), "x/y"));
    assert_null(mu_http_find(&head, "accept").at);
}

/* A head of exactly size bytes, with one long header. */
static char *head_of(size_t size)
{
    static const char start[] = "GET / HTTP/1.1\r\n" H "X: ";
    char *out = malloc(size);

    assert_non_null(out);
    memset(out, 'x', size);
    memcpy(out, start, sizeof start - 1);
    memcpy(out + size - 4, "\r\n\r\n", 4);
    return out;
}

static void limits_hold(void **state)
{
    struct mu_buf many = { 0 }, target = { 0 }, trailers = { 0 }, line = { 0 };
    char *fits = head_of(MU_HTTP_HEAD_MAX), *larger = head_of(MU_HTTP_HEAD_MAX + 1), got[64], *t;
    size_t cut = MU_HTTP_HEAD_MAX - 1;

    (void)state;
    t = run_of(MU_HTTP_REQUEST, 0, whole, NULL, fits, MU_HTTP_HEAD_MAX);
    assert_string_equal(verdict(got, sizeof got, t), "ok");
    free(t);
    t = run_of(MU_HTTP_REQUEST, 0, whole, NULL, larger, MU_HTTP_HEAD_MAX + 1);
    assert_string_equal(verdict(got, sizeof got, t), "431");
    free(t);
    t = run_of(MU_HTTP_REQUEST, 0, once, &cut, larger, MU_HTTP_HEAD_MAX + 1);
    assert_string_equal(verdict(got, sizeof got, t), "431");
    free(t);

    mu_buf_addz(&many, "GET / HTTP/1.1\r\n" H);
    for (int i = 1; i < MU_HTTP_HEADERS_MAX + 1; i++)
        mu_buf_addz(&many, "X: y\r\n");
    mu_buf_addz(&many, "\r\n");
    check(MU_HTTP_REQUEST, 0, &(struct http_case){ "headers", (char *)many.at, many.size, "431" });

    mu_buf_addz(&target, "GET /");
    memset(mu_buf_room(&target, MU_HTTP_HEAD_MAX), 'a', MU_HTTP_HEAD_MAX);
    target.size += MU_HTTP_HEAD_MAX;
    t = run_of(MU_HTTP_REQUEST, 0, single, NULL, (char *)target.at, target.size);
    assert_string_equal(verdict(got, sizeof got, t), "414");
    free(t);

    mu_buf_addz(&trailers, CHUNKED "0\r\n");
    for (int i = 0; i < MU_HTTP_TRAILER_MAX / 10; i++)
        mu_buf_addz(&trailers, "Abc: defghij\r\n");
    mu_buf_addz(&trailers, "\r\n");
    t = run_of(MU_HTTP_REQUEST, 0, whole, NULL, (char *)trailers.at, trailers.size);
    assert_string_equal(verdict(got, sizeof got, t), "body");
    free(t);

    mu_buf_addz(&line, CHUNKED "1;");
    for (int i = 0; i < MU_HTTP_LINE_MAX; i++)
        mu_buf_addc(&line, 'x');
    mu_buf_addz(&line, "\r\na\r\n0\r\n\r\n");
    check(MU_HTTP_REQUEST, 0, &(struct http_case){ "a size line", (char *)line.at, line.size, "body" });

    free(fits);
    free(larger);
    mu_buf_fini(&many);
    mu_buf_fini(&target);
    mu_buf_fini(&trailers);
    mu_buf_fini(&line);
}

static void targets_are_decoded(void **state)
{
    static const struct { const char *in; bool plus; const char *want; /* NULL: malformed */ } cases[] = {
        { "", false, "" }, { "abc", false, "abc" }, { "a%20b", false, "a b" }, { "a+b", true, "a b" },
        { "a+b", false, "a+b" }, { "%C3%a4", false, "\xc3\xa4" }, { "%", false, NULL }, { "%4", false, NULL },
        { "%4g", false, NULL }, { "%00", false, NULL }, { "0123456789abcdef", false, NULL }, { "%2541", false, "%41" },
    };
    char out[16];

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        bool good = mu_http_decode(mu_str_of(cases[i].in), cases[i].plus, out, sizeof out);
        if (good != (cases[i].want != NULL) || (good && strcmp(out, cases[i].want) != 0))
            fail_msg("%s: %s", cases[i].in, good ? out : "malformed");
    }
    assert_int_equal(mu_http_query_get(MU_STR_LIT("a=1&b=%20x&a=2&c"), "a", out, sizeof out), 1);
    assert_string_equal(out, "1");
    assert_int_equal(mu_http_query_get(MU_STR_LIT("a=1&b=%20x"), "b", out, sizeof out), 1);
    assert_string_equal(out, " x");
    assert_int_equal(mu_http_query_get(MU_STR_LIT("a=1&c"), "c", out, sizeof out), 1);
    assert_string_equal(out, "");
    assert_int_equal(mu_http_query_get(MU_STR_LIT("a=1"), "b", out, sizeof out), 0);
    assert_int_equal(mu_http_query_get(MU_STR_LIT("a=%zz"), "a", out, sizeof out), -1);
}

static void what_is_encoded_decodes(void **state)
{
    struct mu_buf b = { 0 };
    char all[256], out[256];

    (void)state;
    for (int i = 1; i < 256; i++)
        all[i - 1] = (char)i;
    all[255] = '\0';
    mu_http_encode(&b, mu_str_of(all));
    assert_true(mu_http_decode(mu_buf_str(&b), true, out, sizeof out));
    assert_string_equal(out, all);
    mu_buf_fini(&b);
}

static void a_value_adds_no_line(void **state)
{
    struct mu_buf b = { 0 };

    (void)state;
    mu_http_put_field(&b, "X", MU_STR_LIT("a\r\nY: b\0c"));
    mu_buf_addc(&b, '\0');
    assert_string_equal((char *)b.at, "X: aY: bc\r\n");
    mu_buf_fini(&b);
}

static void servers_are_parsed(void **state)
{
    static const struct { const char *in, *text, *host, *port; } cases[] = {
        { "http://127.0.0.1:7788", "http://127.0.0.1:7788", "127.0.0.1", "7788" },
        { "http://127.0.0.1/", "http://127.0.0.1:7788", "127.0.0.1", "7788" },
        { "http://[::1]:80", "http://[::1]:80", "::1", "80" },
        { "http://[::1]", "http://[::1]:7788", "::1", "7788" },
        { "https://a.example", "https://a.example:7788", "a.example", "7788" },
        { "unix:/run/m.sock", "unix:/run/m.sock", "/run/m.sock", "" },
        { "unix:", NULL }, { "", NULL }, { "127.0.0.1:80", NULL }, { "http://", NULL }, { "http://:80", NULL },
        { "http://a:", NULL }, { "http://a:x", NULL }, { "http://a:70000", NULL }, { "http://a/b", NULL },
        { "http://u@a", NULL }, { "http://[::1", NULL }, { "http://[::1]x", NULL }, { "http://a b", NULL },
        { "ftp://a", NULL }, { "http://a:80?x", NULL },
    };
    struct mu_url u;

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        enum mu_rc rc = mu_url_parse(&u, mu_str_of(cases[i].in), NULL);
        if ((rc == MU_OK) != (cases[i].text != NULL))
            fail_msg("%s: %d", cases[i].in, rc);
        if (rc != MU_OK)
            continue;
        assert_string_equal(u.text, cases[i].text);
        assert_string_equal(u.host, cases[i].host);
        assert_string_equal(u.port, cases[i].port);
    }
}

static void statuses_and_codes_match(void **state)
{
#define X(name, num, code, text) MU_##name,
    static const enum mu_rc all[] = { MU_RC_MAP(X) };
#undef X
    (void)state;
    assert_int_equal(mu_http_status_of(MU_OK), 200);
    for (size_t i = 0; i < MU_COUNT(all); i++) {
        unsigned status = mu_http_status_of(all[i]);
        assert_true(status >= 400);
        assert_true(mu_http_rc_of(status) < 0);
        assert_string_not_equal(mu_http_reason(status), "Unknown");
    }
    assert_int_equal(mu_http_rc_of(404), MU_NOTFOUND);
    assert_int_equal(mu_http_rc_of(418), MU_INVALID);
    assert_int_equal(mu_http_rc_of(599), MU_IO);
    assert_int_equal(mu_http_rc_of(201), MU_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_taken_or_refused), cmocka_unit_test(answers_are_taken_or_refused),
        cmocka_unit_test(a_head_is_read_in_full),        cmocka_unit_test(limits_hold),
        cmocka_unit_test(targets_are_decoded),           cmocka_unit_test(what_is_encoded_decodes),
        cmocka_unit_test(a_value_adds_no_line),          cmocka_unit_test(servers_are_parsed),
        cmocka_unit_test(statuses_and_codes_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
