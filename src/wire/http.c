/* HTTP/1.1 heads: lines are checked and noted as they become complete, views are made when the last one is there. */
#include "wire/http.h"

#include "base/assert.h"

#include <strings.h>

enum { TOKEN = 1, VALUE = 2, TARGET = 4, NAME = 8 }; /* what a byte may be part of; NAME: of a host */

#define T TOKEN | VALUE | TARGET
#define N TOKEN | VALUE | TARGET | NAME
#define V VALUE | TARGET
static const uint8_t kinds[256] = {
    ['\t'] = VALUE, [' '] = VALUE, ['!'] = T, ['"'] = V, ['#'] = TOKEN | VALUE, ['$'] = T, ['%'] = N, ['&'] = T,
    ['\''] = T, ['('] = V, [')'] = V, ['*'] = T, ['+'] = T, [','] = V, ['-'] = N, ['.'] = N, ['/'] = V,
    ['0' ... '9'] = N, [':'] = V, [';'] = V, ['<'] = V, ['='] = V, ['>'] = V, ['?'] = V, ['@'] = V,
    ['A' ... 'Z'] = N, ['['] = V, ['\\'] = V, [']'] = V, ['^'] = T, ['_'] = N, ['`'] = T,
    ['a' ... 'z'] = N, ['{'] = V, ['|'] = T, ['}'] = V, ['~'] = N, [0x80 ... 0xff] = VALUE,
};
#undef T
#undef N
#undef V

static const struct { const char *name; uint8_t size; bool once; } known[] = {
    [MU_HTTP_HOST] = { "host", 4, true },
    [MU_HTTP_CONTENT_LENGTH] = { "content-length", 14, true },
    [MU_HTTP_TRANSFER_ENCODING] = { "transfer-encoding", 17, true },
    [MU_HTTP_UPGRADE] = { "upgrade", 7, true },
    [MU_HTTP_EXPECT] = { "expect", 6, true },
    [MU_HTTP_CONNECTION] = { "connection", 10, false },
    [MU_HTTP_AUTHORIZATION] = { "authorization", 13, true },
    [MU_HTTP_CONTENT_TYPE] = { "content-type", 12, true },
};
_Static_assert(MU_COUNT(known) == MU_HTTP_KNOWN, "one row a field");

static const struct { struct mu_str name; enum mu_http_method method; } methods[] = {
    { { "GET", 3 }, MU_HTTP_GET },         { { "POST", 4 }, MU_HTTP_POST },
    { { "HEAD", 4 }, MU_HTTP_HEAD },       { { "PUT", 3 }, MU_HTTP_PUT },
    { { "DELETE", 6 }, MU_HTTP_DELETE },   { { "PATCH", 5 }, MU_HTTP_PATCH },
    { { "OPTIONS", 7 }, MU_HTTP_OPTIONS }, { { "CONNECT", 7 }, MU_HTTP_CONNECT },
    { { "TRACE", 5 }, MU_HTTP_TRACE },
};

enum { OPT_CLOSE = 1, OPT_KEEP_ALIVE = 2, OPT_UPGRADE = 4 };

static bool all_of(const char *at, size_t size, unsigned kind)
{
    for (size_t i = 0; i < size; i++)
        if (!(kinds[(uint8_t)at[i]] & kind))
            return false;
    return true;
}

static bool same(struct mu_str a, const char *lower, size_t size)
{
    return a.size == size && strncasecmp(a.at, lower, size) == 0;
}

static struct mu_str trim(const char *at, size_t size)
{
    while (size > 0 && (*at == ' ' || *at == '\t'))
        at++, size--;
    while (size > 0 && (at[size - 1] == ' ' || at[size - 1] == '\t'))
        size--;
    return (struct mu_str){ at, (uint32_t)size };
}

static struct mu_str view(const char *base, struct mu_http_span s)
{
    return (struct mu_str){ base + s.at, s.size };
}

static struct mu_http_span span(const char *base, const char *at, size_t size)
{
    return (struct mu_http_span){ (uint16_t)(at - base), (uint16_t)size };
}

#define REFUSE(p, status, ...) ((p)->refuse = (status), mu_fail(err, MU_INVALID, __VA_ARGS__))
#define REFUSE_FIELD(p, status, which, ...) \
    ((p)->refuse = (status), mu_fail_at(err, MU_INVALID, known[which].name, __VA_ARGS__))

void mu_http_parser_init(struct mu_http_parser *p, enum mu_http_side side, enum mu_http_method asked)
{
    p->side = side;
    p->asked = asked;
    p->refuse = 400;
    p->line = p->scan = p->count = 0;
    p->minor = p->status = p->options = 0;
    memset(p->start, 0, sizeof p->start);
    memset(p->known, 0, sizeof p->known);
}

/* "HTTP/1.0" or "HTTP/1.1", exactly. */
static enum mu_rc version_take(struct mu_http_parser *p, const char *at, size_t size, struct mu_err *err)
{
    if (size != 8 || memcmp(at, "HTTP/", 5) != 0 || at[5] < '0' || at[5] > '9' || at[6] != '.' || at[7] < '0' ||
        at[7] > '9')
        return REFUSE(p, 400, "the first line does not name the HTTP version");
    if (at[5] != '1' || at[7] > '1')
        return REFUSE(p, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    p->minor = (unsigned)(at[7] - '0');
    return MU_OK;
}

static enum mu_rc request_line(struct mu_http_parser *p, const char *base, const char *at, size_t size,
                               struct mu_err *err)
{
    const char *blank = memchr(at, ' ', size), *second;
    size_t method_size, target_size;

    if (blank == NULL || blank == at)
        return REFUSE(p, 400, "the first line is no HTTP request");
    method_size = (size_t)(blank - at);
    if (!all_of(at, method_size, TOKEN))
        return REFUSE(p, 400, "the method has a character that is not allowed");
    if (method_size > MU_HTTP_METHOD_MAX)
        return REFUSE(p, 501, "the method is unknown");
    second = memchr(blank + 1, ' ', size - method_size - 1);
    if (second == NULL)
        return REFUSE(p, 400, "the first line does not name the HTTP version");
    target_size = (size_t)(second - blank - 1);
    if (target_size == 0 || !all_of(blank + 1, target_size, TARGET))
        return REFUSE(p, 400, "the target is empty or has a character that must be percent-encoded");
    if (blank[1] != '/' && !(target_size == 1 && blank[1] == '*' && method_size == 7 && memcmp(at, "OPTIONS", 7) == 0))
        return REFUSE(p, 400, "the target must begin with /");
    p->start[0] = span(base, at, method_size);
    p->start[1] = span(base, blank + 1, target_size);
    return version_take(p, second + 1, size - method_size - target_size - 2, err);
}

static enum mu_rc status_line(struct mu_http_parser *p, const char *base, const char *at, size_t size,
                              struct mu_err *err)
{
    if (size < 12 || at[8] != ' ')
        return REFUSE(p, 400, "the first line is no HTTP answer");
    if (version_take(p, at, 8, err) != MU_OK)
        return MU_INVALID;
    for (int i = 9; i < 12; i++)
        if (at[i] < '0' || at[i] > '9')
            return REFUSE(p, 400, "the status is not a number");
    p->status = (unsigned)((at[9] - '0') * 100 + (at[10] - '0') * 10 + (at[11] - '0'));
    if (p->status < 100 || p->status > 599)
        return REFUSE(p, 400, "the status %u does not exist", p->status);
    if (size > 12 && (at[12] != ' ' || !all_of(at + 12, size - 12, VALUE)))
        return REFUSE(p, 400, "the first line is no HTTP answer");
    if (size > 13)
        p->start[0] = span(base, at + 13, size - 13);
    return MU_OK;
}

/* The options of a Connection field; unknown ones name fields to drop and are the reader's affair. */
static unsigned options_of(struct mu_str value)
{
    unsigned bits = 0;

    while (value.size > 0) {
        struct mu_str word = mu_str_cut(value, ',', &value);
        word = trim(word.at, word.size);
        bits |= same(word, "close", 5) ? OPT_CLOSE : 0;
        bits |= same(word, "keep-alive", 10) ? OPT_KEEP_ALIVE : 0;
        bits |= same(word, "upgrade", 7) ? OPT_UPGRADE : 0;
    }
    return bits;
}

static enum mu_rc note_known(struct mu_http_parser *p, struct mu_str name, struct mu_str value, struct mu_err *err)
{
    for (unsigned k = 0; k < MU_HTTP_KNOWN; k++) {
        if (!same(name, known[k].name, known[k].size))
            continue;
        if (p->known[k] != 0 && known[k].once)
            return REFUSE_FIELD(p, 400, k, "the header %s is there twice", known[k].name);
        p->known[k] = (uint8_t)(p->count + 1);
        if (k == MU_HTTP_CONNECTION)
            p->options |= options_of(value);
        break;
    }
    return MU_OK;
}

static enum mu_rc field_line(struct mu_http_parser *p, const char *base, const char *at, size_t size,
                             struct mu_err *err)
{
    size_t n = 0;
    struct mu_str value;

    while (n < size && (kinds[(uint8_t)at[n]] & TOKEN))
        n++;
    if (n == 0 || n == size || at[n] != ':')
        return REFUSE(p, 400, n == 0 && size > 0 && (*at == ' ' || *at == '\t')
                                  ? "a header is folded over two lines" : "a header line has no proper name");
    if (!all_of(at + n + 1, size - n - 1, VALUE))
        return REFUSE(p, 400, "the header %.*s has a character that is not allowed", (int)(n > 40 ? 40 : n), at);
    if (p->count == MU_HTTP_HEADERS_MAX)
        return REFUSE(p, 431, "more than %d headers", MU_HTTP_HEADERS_MAX);
    value = trim(at + n + 1, size - n - 1);
    if (note_known(p, (struct mu_str){ at, (uint32_t)n }, value, err) != MU_OK)
        return MU_INVALID;
    p->name[p->count] = span(base, at, n);
    p->value[p->count++] = span(base, value.at, value.size);
    return MU_OK;
}

static bool host_is_good(struct mu_str h)
{
    size_t i = 0;

    if (h.size > 0 && h.at[0] == '[') {
        for (i = 1; i < h.size && h.at[i] != ']'; i++)
            if (!(kinds[(uint8_t)h.at[i]] & NAME) && h.at[i] != ':')
                return false;
        if (i < 2 || i == h.size)
            return false;
        i++;
    } else {
        while (i < h.size && (kinds[(uint8_t)h.at[i]] & NAME))
            i++;
        if (i == 0)
            return false;
    }
    if (i == h.size)
        return true;
    if (h.at[i] != ':' || h.size - i > 6)
        return false;
    for (i++; i < h.size; i++)
        if (h.at[i] < '0' || h.at[i] > '9')
            return false;
    return true;
}

static struct mu_str known_value(const struct mu_http_parser *p, const char *base, enum mu_http_known k)
{
    return p->known[k] ? view(base, p->value[p->known[k] - 1]) : (struct mu_str){ NULL, 0 };
}

/* Where the body ends. The one place where two readers of the same bytes must never differ. */
static enum mu_rc framing_take(struct mu_http_parser *p, const char *base, struct mu_http_head *out,
                               struct mu_err *err)
{
    struct mu_str length = known_value(p, base, MU_HTTP_CONTENT_LENGTH);
    struct mu_str coding = known_value(p, base, MU_HTTP_TRANSFER_ENCODING);

    out->framing = p->side == MU_HTTP_REQUEST ? MU_HTTP_NONE : MU_HTTP_UNTIL_CLOSE;
    out->length = 0;
    if (coding.at != NULL) {
        if (length.at != NULL)
            return REFUSE_FIELD(p, 400, MU_HTTP_TRANSFER_ENCODING, "Transfer-Encoding stands beside Content-Length");
        if (p->minor == 0)
            return REFUSE_FIELD(p, 400, MU_HTTP_TRANSFER_ENCODING, "HTTP/1.0 has no Transfer-Encoding");
        if (!same(coding, "chunked", 7))
            return REFUSE_FIELD(p, 501, MU_HTTP_TRANSFER_ENCODING, "the only transfer coding spoken here is chunked");
        out->framing = MU_HTTP_CHUNKED;
    } else if (length.at != NULL) {
        if (length.size > 18 || !mu_str_u64(length, &out->length))
            return REFUSE_FIELD(p, 400, MU_HTTP_CONTENT_LENGTH, "Content-Length is not a plain number");
        out->framing = MU_HTTP_LENGTH;
    }
    if (p->side == MU_HTTP_RESPONSE &&
        (p->asked == MU_HTTP_HEAD || p->status < 200 || p->status == 204 || p->status == 304 ||
         (p->asked == MU_HTTP_CONNECT && p->status < 300)))
        out->framing = MU_HTTP_NONE;
    return MU_OK;
}

static enum mu_rc request_finish(struct mu_http_parser *p, const char *base, struct mu_http_head *out,
                                 struct mu_err *err)
{
    struct mu_str expect = known_value(p, base, MU_HTTP_EXPECT);

    out->host = known_value(p, base, MU_HTTP_HOST);
    if (out->host.at == NULL && p->minor == 1)
        return REFUSE_FIELD(p, 400, MU_HTTP_HOST, "the Host header is missing");
    if (out->host.at != NULL && !host_is_good(out->host))
        return REFUSE_FIELD(p, 400, MU_HTTP_HOST, "the Host header is malformed");
    out->expect_continue = expect.at != NULL && p->minor == 1;
    if (expect.at != NULL && !same(expect, "100-continue", 12))
        return REFUSE_FIELD(p, 417, MU_HTTP_EXPECT, "the only expectation met here is 100-continue");
    out->method_text = view(base, p->start[0]);
    out->target = view(base, p->start[1]);
    out->path = mu_str_cut(out->target, '?', &out->query);
    out->method = MU_HTTP_OTHER;
    for (size_t i = 0; i < MU_COUNT(methods); i++)
        if (mu_str_eq(out->method_text, methods[i].name))
            out->method = methods[i].method;
    return MU_OK;
}

static enum mu_rc finish(struct mu_http_parser *p, const char *base, struct mu_http_head *out, struct mu_err *err)
{
    if (framing_take(p, base, out, err) != MU_OK)
        return MU_INVALID;
    if (p->side == MU_HTTP_REQUEST && request_finish(p, base, out, err) != MU_OK)
        return MU_INVALID;
    if (p->side == MU_HTTP_RESPONSE) {
        out->status = p->status;
        out->reason = view(base, p->start[0]);
    }
    out->minor = p->minor;
    out->upgrade = p->options & OPT_UPGRADE && p->minor == 1 ? known_value(p, base, MU_HTTP_UPGRADE)
                                                              : (struct mu_str){ NULL, 0 };
    out->keep_alive = !(p->options & OPT_CLOSE) && (p->minor == 1 || (p->options & OPT_KEEP_ALIVE)) &&
                      out->framing != MU_HTTP_UNTIL_CLOSE;
    out->count = p->count;
    for (uint32_t i = 0; i < p->count; i++)
        out->fields[i] = (struct mu_http_field){ view(base, p->name[i]), view(base, p->value[i]) };
    return MU_OK;
}

enum mu_rc mu_http_head_take(struct mu_http_parser *p, const void *bytes, size_t size, size_t *used,
                             struct mu_http_head *out, struct mu_err *err)
{
    const char *base = bytes;
    size_t limit = size < MU_HTTP_HEAD_MAX ? size : MU_HTTP_HEAD_MAX;

    MU_ASSERT(p->scan <= size);
    for (;;) {
        const char *at = base + p->line;
        const char *end = limit > p->scan ? memchr(base + p->scan, '\n', limit - p->scan) : NULL;
        enum mu_rc rc;

        p->scan = (uint32_t)limit;
        if (end == NULL && size > MU_HTTP_HEAD_MAX)
            return REFUSE(p, p->line == 0 ? 414 : 431, "the head is larger than %d bytes", MU_HTTP_HEAD_MAX);
        if (end == NULL)
            return MU_AGAIN;
        if (end == at || end[-1] != '\r')
            return REFUSE(p, 400, "a line of the head does not end with CR LF");
        size_t line_size = (size_t)(end - at) - 1;
        bool first = p->line == 0;
        p->line = p->scan = (uint32_t)(end + 1 - base);
        if (!first && line_size == 0)
            break;
        if (!first)
            rc = field_line(p, base, at, line_size, err);
        else if (p->side == MU_HTTP_REQUEST)
            rc = request_line(p, base, at, line_size, err);
        else
            rc = status_line(p, base, at, line_size, err);
        if (rc != MU_OK)
            return rc;
    }
    if (finish(p, base, out, err) != MU_OK)
        return MU_INVALID;
    *used = p->line;
    mu_http_parser_init(p, p->side, p->asked);
    return MU_OK;
}

static void move(struct mu_str *s, const char *from, const char *to)
{
    if (s->at != NULL)
        s->at = to + (s->at - from);
}

void mu_http_head_rebase(struct mu_http_head *head, const void *from, const void *to)
{
    struct mu_str *views[] = { &head->method_text, &head->target, &head->path, &head->query,
                               &head->host, &head->reason, &head->upgrade };

    for (size_t i = 0; i < MU_COUNT(views); i++)
        move(views[i], from, to);
    for (uint32_t i = 0; i < head->count; i++) {
        move(&head->fields[i].name, from, to);
        move(&head->fields[i].value, from, to);
    }
}

struct mu_str mu_http_find(const struct mu_http_head *head, const char *name)
{
    size_t size = strlen(name);

    for (uint32_t i = 0; i < head->count; i++)
        if (same(head->fields[i].name, name, size))
            return head->fields[i].value;
    return (struct mu_str){ NULL, 0 };
}
