/* wire/http.h -- HTTP/1.1 in bytes: a strict incremental parser for both sides, and writing of heads.
 *
 * What       head (request or response), then body framing (length, chunked, until close). What two programs could read
 *            differently is refused, never repaired: this parser also stands in front of other programs.
 * Ownership  views point into the bytes given; nothing is allocated.
 * Time, Threads  none.
 * Failure    MU_AGAIN: more bytes are needed. Else final: err says why, `refuse` of the parser which status answers it.
 *            How the bytes were cut into pieces never changes the result.
 * Limits     MU_HTTP_HEAD_MAX bytes and MU_HTTP_HEADERS_MAX lines of head; MU_HTTP_LINE_MAX bytes of a chunk's size line;
 *            MU_HTTP_TRAILER_MAX bytes of trailers, which are checked and dropped.
 *
 * Refused: bare CR or LF, NUL and other controls, folded lines, space before the colon, an empty line before the head,
 * a target that is not origin-form ("*" for OPTIONS), any version but 1.0 and 1.1, Transfer-Encoding beside
 * Content-Length, or repeated, or not exactly "chunked", or in 1.0; Content-Length repeated or not plain digits; Host
 * missing (1.1), repeated or malformed; Authorization, Content-Type, Expect or Upgrade repeated; any expectation but
 * 100-continue; chunk sizes with signs, 0x, blanks, more than 16 digits; a chunk not ended by CRLF.
 */
#ifndef MU_WIRE_HTTP_H
#define MU_WIRE_HTTP_H

#include "base/err.h"
#include "base/str.h"

enum {
    MU_HTTP_HEAD_MAX = 16 * 1024,
    MU_HTTP_HEADERS_MAX = 64,
    MU_HTTP_METHOD_MAX = 24,
    MU_HTTP_LINE_MAX = 256,
    MU_HTTP_TRAILER_MAX = 4096,
    MU_URL_HOST = 256,
};

enum mu_http_method {
    MU_HTTP_OTHER, /* a token we have no name for: see method_text */
    MU_HTTP_GET, MU_HTTP_HEAD, MU_HTTP_POST, MU_HTTP_PUT, MU_HTTP_DELETE, MU_HTTP_PATCH, MU_HTTP_OPTIONS,
    MU_HTTP_CONNECT, MU_HTTP_TRACE,
};

enum mu_http_framing { MU_HTTP_NONE, MU_HTTP_LENGTH, MU_HTTP_CHUNKED, MU_HTTP_UNTIL_CLOSE };

struct mu_http_field {
    struct mu_str name, value; /* value without blanks around it */
};

struct mu_http_head {
    /* request */
    enum mu_http_method method;
    struct mu_str method_text, target, path, query; /* query without '?', not decoded */
    struct mu_str host;
    bool expect_continue;
    /* response */
    unsigned status;
    struct mu_str reason;
    /* both */
    unsigned minor;           /* HTTP/1.minor */
    bool keep_alive;          /* by version and Connection */
    struct mu_str upgrade;    /* the protocol, when Connection says upgrade; else size 0 */
    enum mu_http_framing framing;
    uint64_t length;          /* MU_HTTP_LENGTH */
    uint32_t count;
    struct mu_http_field fields[MU_HTTP_HEADERS_MAX];
};

/* -- the head -- */
enum mu_http_side { MU_HTTP_REQUEST, MU_HTTP_RESPONSE };

/* Those the parser itself understands. */
enum mu_http_known {
    MU_HTTP_HOST, MU_HTTP_CONTENT_LENGTH, MU_HTTP_TRANSFER_ENCODING, MU_HTTP_UPGRADE, MU_HTTP_EXPECT, MU_HTTP_CONNECTION,
    MU_HTTP_AUTHORIZATION, MU_HTTP_CONTENT_TYPE, MU_HTTP_KNOWN
};
struct mu_http_span {
    uint16_t at, size;
};
struct mu_http_parser { /* where the scan of a head that is not complete stands; only `refuse` is for others */
    enum mu_http_side side;
    enum mu_http_method asked; /* RESPONSE: what the request was; HEAD and CONNECT change the framing */
    unsigned refuse;           /* the status that answers a refusal: 400 414 417 431 501 505 */
    uint32_t line, scan, count;
    unsigned minor, status, options; /* options: bits of Connection */
    struct mu_http_span start[2];    /* method and target; or reason */
    struct mu_http_span name[MU_HTTP_HEADERS_MAX], value[MU_HTTP_HEADERS_MAX];
    uint8_t known[MU_HTTP_KNOWN];    /* index + 1 of the field, 0: not there */
};
void mu_http_parser_init(struct mu_http_parser *p, enum mu_http_side side, enum mu_http_method asked);
/* bytes is the head from its first byte: all there is of it so far, the old part unchanged (it may have moved). On MU_OK
 * *used is its length and out is filled; the parser is then as after init. */
enum mu_rc mu_http_head_take(struct mu_http_parser *p, const void *bytes, size_t size, size_t *used,
                             struct mu_http_head *out, struct mu_err *err);
/* The views of head moved with the bytes they point into. */
void mu_http_head_rebase(struct mu_http_head *head, const void *from, const void *to);
/* The first field of that name (lower case), at NULL when there is none. */
struct mu_str mu_http_find(const struct mu_http_head *head, const char *name);

/* -- the body -- */
struct mu_http_body {
    enum mu_http_framing framing;
    bool done;          /* complete; what follows belongs to the next message */
    unsigned state;
    uint64_t left;      /* of the length, or of the chunk */
    uint64_t total;     /* bytes of body delivered */
    uint32_t line;      /* bytes of this size line or of the trailers */
};
void mu_http_body_init(struct mu_http_body *b, const struct mu_http_head *head);
/* Take from the front of bytes: *used of them, *out_piece is body among them (may be empty). Call again with the rest
 * until done or nothing is left. */
enum mu_rc mu_http_body_take(struct mu_http_body *b, const void *bytes, size_t size, size_t *used,
                             struct mu_str *out_piece, struct mu_err *err);
/* The connection ended: OK if that is where the body ends, else MU_CLOSED. */
enum mu_rc mu_http_body_eof(struct mu_http_body *b, struct mu_err *err);

/* -- targets -- */
/* Percent-decode (and '+' as space when plus) into out with a NUL behind; false: malformed, %00, or longer than cap - 1. */
bool mu_http_decode(struct mu_str in, bool plus, char *out, size_t cap);
/* The decoded value of the first `name=` in query; -1 malformed, 0 absent, 1 found. */
int mu_http_query_get(struct mu_str query, const char *name, char *out, size_t cap);
/* Append percent-encoded: everything but letters, digits and -._~ */
void mu_http_encode(struct mu_buf *b, struct mu_str in);

/* -- writing -- */
const char *mu_http_reason(unsigned status);
/* The status that tells a client of rc. */
unsigned mu_http_status_of(enum mu_rc rc);
/* The rc a status stands for: MU_OK below 400. */
enum mu_rc mu_http_rc_of(unsigned status);
/* "HTTP/1.1 200 OK\r\n" */
void mu_http_put_status(struct mu_buf *b, unsigned status);
/* "GET /x HTTP/1.1\r\n" */
void mu_http_put_request(struct mu_buf *b, const char *method, const char *target);
/* "name: value\r\n"; controls in the value are dropped: nobody adds a line through a value. */
void mu_http_put_field(struct mu_buf *b, const char *name, struct mu_str value);
/* "Authorization: Bearer TOKEN\r\n" */
void mu_http_put_bearer(struct mu_buf *b, const char *token);
void mu_http_put_length(struct mu_buf *b, uint64_t length);
/* A chunk with its frame; size 0 is not allowed (it would end the body). */
void mu_http_put_chunk(struct mu_buf *b, const void *bytes, size_t size);
void mu_http_put_last_chunk(struct mu_buf *b);

/* -- addresses -- */
struct mu_url {
    bool is_unix, tls;
    char host[MU_URL_HOST];       /* without brackets; or the socket's path */
    char port[8];                 /* "" for a unix socket */
    char text[MU_URL_HOST + 32];  /* as people know it: "http://127.0.0.1:7788", no slash at the end */
};
/* "http://HOST[:PORT][/]", "https://...", "unix:/path"; default port 7788. Anything behind the authority is refused. */
enum mu_rc mu_url_parse(struct mu_url *out, struct mu_str text, struct mu_err *err);
/* What Host says: "127.0.0.1:7788"; "localhost" for a unix socket. */
struct mu_str mu_url_authority(const struct mu_url *url);

#endif
