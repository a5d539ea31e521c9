/* HTTP/1.1 in writing: status lines, fields, chunks; targets; addresses of servers. */
#include "wire/http.h"

#include "base/assert.h"

static const struct { unsigned status; const char *reason; } reasons[] = {
    { 100, "Continue" }, { 101, "Switching Protocols" },
    { 200, "OK" }, { 201, "Created" }, { 202, "Accepted" }, { 204, "No Content" }, { 206, "Partial Content" },
    { 301, "Moved Permanently" }, { 302, "Found" }, { 304, "Not Modified" }, { 307, "Temporary Redirect" },
    { 400, "Bad Request" }, { 401, "Unauthorized" }, { 403, "Forbidden" }, { 404, "Not Found" },
    { 405, "Method Not Allowed" }, { 406, "Not Acceptable" }, { 408, "Request Timeout" }, { 409, "Conflict" },
    { 410, "Gone" }, { 411, "Length Required" }, { 412, "Precondition Failed" }, { 413, "Content Too Large" },
    { 414, "URI Too Long" }, { 415, "Unsupported Media Type" }, { 416, "Range Not Satisfiable" },
    { 417, "Expectation Failed" }, { 421, "Misdirected Request" }, { 422, "Unprocessable Content" },
    { 426, "Upgrade Required" }, { 429, "Too Many Requests" }, { 431, "Request Header Fields Too Large" },
    { 500, "Internal Server Error" }, { 501, "Not Implemented" }, { 502, "Bad Gateway" },
    { 503, "Service Unavailable" }, { 504, "Gateway Timeout" }, { 505, "HTTP Version Not Supported" },
    { 507, "Insufficient Storage" },
};

/* One row a pair; the first row of a status is what the status is read as, the row of a rc what it is told as. */
static const struct { enum mu_rc rc; unsigned status; } codes[] = {
    { MU_INVALID, 400 }, { MU_UNAUTHORIZED, 401 }, { MU_DENIED, 403 }, { MU_NOTFOUND, 404 }, { MU_CONFLICT, 409 },
    { MU_STATE, 409 }, { MU_CLOSED, 410 }, { MU_TOOBIG, 413 }, { MU_IMPOSSIBLE, 422 }, { MU_VERSION, 426 },
    { MU_BUSY, 429 }, { MU_IO, 500 }, { MU_NOMEM, 500 }, { MU_CORRUPT, 500 }, { MU_UNSUPPORTED, 501 },
    { MU_NOTLEADER, 503 }, { MU_AGAIN, 503 }, { MU_UNKNOWN, 504 }, { MU_TIMEOUT, 504 }, { MU_FULL, 507 },
};

const char *mu_http_reason(unsigned status)
{
    for (size_t i = 0; i < MU_COUNT(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}

unsigned mu_http_status_of(enum mu_rc rc)
{
    for (size_t i = 0; i < MU_COUNT(codes); i++)
        if (codes[i].rc == rc)
            return codes[i].status;
    return rc == MU_OK ? 200 : 500;
}

enum mu_rc mu_http_rc_of(unsigned status)
{
    if (status < 400)
        return MU_OK;
    for (size_t i = 0; i < MU_COUNT(codes); i++)
        if (codes[i].status == status)
            return codes[i].rc;
    return status < 500 ? MU_INVALID : MU_IO;
}

void mu_http_put_status(struct mu_buf *b, unsigned status)
{
    MU_ASSERT(status >= 100 && status <= 599);
    mu_buf_addz(b, "HTTP/1.1 ");
    mu_buf_u64(b, status);
    mu_buf_addc(b, ' ');
    mu_buf_addz(b, mu_http_reason(status));
    mu_buf_add(b, "\r\n", 2);
}

static void put_clean(struct mu_buf *b, const char *at, size_t size)
{
    uint8_t *to = mu_buf_room(b, size);
    size_t n = 0;

    for (size_t i = 0; i < size; i++)
        if ((uint8_t)at[i] >= 0x20 && at[i] != 0x7f)
            to[n++] = (uint8_t)at[i];
    b->size += n;
}

void mu_http_put_request(struct mu_buf *b, const char *method, const char *target)
{
    put_clean(b, method, strlen(method));
    mu_buf_addc(b, ' ');
    put_clean(b, target, strlen(target));
    mu_buf_addz(b, " HTTP/1.1\r\n");
}

void mu_http_put_field(struct mu_buf *b, const char *name, struct mu_str value)
{
    mu_buf_addz(b, name);
    mu_buf_add(b, ": ", 2);
    put_clean(b, value.at, value.size);
    mu_buf_add(b, "\r\n", 2);
}

void mu_http_put_bearer(struct mu_buf *b, const char *token)
{
    mu_buf_addz(b, "Authorization: Bearer ");
    put_clean(b, token, strlen(token));
    mu_buf_add(b, "\r\n", 2);
}

void mu_http_put_length(struct mu_buf *b, uint64_t length)
{
    mu_buf_addz(b, "Content-Length: ");
    mu_buf_u64(b, length);
    mu_buf_add(b, "\r\n", 2);
}

void mu_http_put_chunk(struct mu_buf *b, const void *bytes, size_t size)
{
    MU_ASSERT(size > 0);
    mu_buf_printf(b, "%zx\r\n", size);
    mu_buf_add(b, bytes, size);
    mu_buf_add(b, "\r\n", 2);
}

void mu_http_put_last_chunk(struct mu_buf *b)
{
    mu_buf_add(b, "0\r\n\r\n", 5);
}

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool mu_http_decode(struct mu_str in, bool plus, char *out, size_t cap)
{
    size_t n = 0;

    for (uint32_t i = 0; i < in.size; i++) {
        char c = in.at[i];

        if (c == '%') {
            int high = i + 2 < in.size ? hex_of(in.at[i + 1]) : -1;
            int low = i + 2 < in.size ? hex_of(in.at[i + 2]) : -1;
            if (high < 0 || low < 0 || high + low == 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (n + 1 >= cap)
            return false;
        out[n++] = c;
    }
    if (cap == 0)
        return false;
    out[n] = '\0';
    return true;
}

int mu_http_query_get(struct mu_str query, const char *name, char *out, size_t cap)
{
    while (query.size > 0) {
        struct mu_str value, pair = mu_str_cut(query, '&', &query);
        struct mu_str key = mu_str_cut(pair, '=', &value);
        if (mu_str_is(key, name))
            return mu_http_decode(value, true, out, cap) ? 1 : -1;
    }
    return 0;
}

void mu_http_encode(struct mu_buf *b, struct mu_str in)
{
    static const char hex[] = "0123456789ABCDEF";

    for (uint32_t i = 0; i < in.size; i++) {
        uint8_t c = (uint8_t)in.at[i], low = c | 0x20;
        if ((c >= '0' && c <= '9') || (low >= 'a' && low <= 'z') || (c != '\0' && strchr("-._~", c) != NULL)) {
            mu_buf_addc(b, (char)c);
        } else {
            mu_buf_addc(b, '%');
            mu_buf_addc(b, hex[c >> 4]);
            mu_buf_addc(b, hex[c & 15]);
        }
    }
}

static bool starts(struct mu_str s, const char *with)
{
    return s.size >= strlen(with) && memcmp(s.at, with, strlen(with)) == 0;
}

static struct mu_str from(struct mu_str s, size_t n)
{
    return (struct mu_str){ s.at + n, s.size - (uint32_t)n };
}

static bool keep(char *out, size_t cap, struct mu_str s)
{
    if (s.size == 0 || s.size >= cap || memchr(s.at, '\0', s.size) != NULL)
        return false;
    memcpy(out, s.at, s.size);
    out[s.size] = '\0';
    return true;
}

/* "[::1]:80", "host:80", "host" */
static bool authority_take(struct mu_url *u, struct mu_str s)
{
    struct mu_str host = s, port = MU_STR_LIT("7788");
    const char *colon;
    uint64_t number;

    if (starts(s, "[")) {
        const char *close = memchr(s.at, ']', s.size);
        if (close == NULL)
            return false;
        host = (struct mu_str){ s.at + 1, (uint32_t)(close - s.at) - 1 };
        s = from(s, host.size + 2);
        if (s.size > 0 && s.at[0] != ':')
            return false;
        colon = s.size > 0 ? s.at : NULL;
    } else {
        colon = memchr(s.at, ':', s.size);
        if (colon != NULL)
            host.size = (uint32_t)(colon - s.at);
    }
    if (colon != NULL)
        port = from(s, (size_t)(colon - s.at) + 1);
    for (uint32_t i = 0; i < host.size; i++)
        if (strchr("/@?#\\ \"<>[]", host.at[i]) != NULL || (uint8_t)host.at[i] <= ' ')
            return false;
    return keep(u->host, sizeof u->host, host) && keep(u->port, sizeof u->port, port) && mu_str_u64(port, &number) &&
           number <= 65535;
}

enum mu_rc mu_url_parse(struct mu_url *out, struct mu_str text, struct mu_err *err)
{
    struct mu_url u = { 0 };
    struct mu_str s = text;

    if (starts(s, "unix:")) {
        u.is_unix = true;
        if (!keep(u.host, sizeof u.host, from(s, 5)))
            return mu_fail(err, MU_INVALID, "%.*s: unix: needs the path of a socket", (int)text.size, text.at);
        snprintf(u.text, sizeof u.text, "unix:%s", u.host);
        *out = u;
        return MU_OK;
    }
    u.tls = starts(s, "https://");
    if (!u.tls && !starts(s, "http://"))
        return mu_fail(err, MU_INVALID, "%.*s: an address begins with http:// or unix:", (int)text.size, text.at);
    s = from(s, u.tls ? 8 : 7);
    if (s.size > 0 && s.at[s.size - 1] == '/')
        s.size--;
    if (!authority_take(&u, s))
        return mu_fail(err, MU_INVALID, "%.*s: not an address of the form http://HOST:PORT", (int)text.size, text.at);
    snprintf(u.text, sizeof u.text, strchr(u.host, ':') ? "%s://[%s]:%s" : "%s://%s:%s", u.tls ? "https" : "http",
             u.host, u.port);
    *out = u;
    return MU_OK;
}

struct mu_str mu_url_authority(const struct mu_url *url)
{
    const char *slashes = strstr(url->text, "//");

    return slashes != NULL ? mu_str_of(slashes + 2) : MU_STR_LIT("localhost");
}
