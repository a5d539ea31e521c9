/* wire/json.h -- strict reading of JSON by fields, naming the one at fault.
 *
 * What       a document is loaded once (duplicate keys, trailing text, bad UTF-8 refused), then read by an object reader:
 *            ask for every key you know, then mu_json_in_end refuses the ones nobody asked for. Writing: base/json.h.
 * Ownership  the document owns its strings: mu_str results live until mu_json_free.
 * Time, Threads  none.
 * Failure    the first error fills err (field "tasks[2].resources.cpus") and sticks: later gets do nothing. Ask once, at
 *            the end.
 * Limits     bytes as the caller allows; depth MU_JSON_DEPTH; MU_JSON_KEYS keys asked of an object.
 */
#ifndef MU_WIRE_JSON_H
#define MU_WIRE_JSON_H

#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

struct json_t;

enum { MU_JSON_DEPTH = 32, MU_JSON_KEYS = 64 };

enum mu_rc mu_json_load(struct json_t **out_root, struct mu_str text, struct mu_err *err);
void mu_json_free(struct json_t *root); /* accepts NULL */

/* An object being read. Outputs stay untouched where the key is absent or null; true: it was there and is good. */
struct mu_json_in {
    const struct json_t *v;
    struct mu_json_in *up; /* NULL for the root */
    const char *key;       /* in up */
    bool in_array;         /* up's key is an array and this is its element `index` */
    size_t index;
    void *iter;            /* of mu_json_in_pair */
    struct mu_err *err;
    enum mu_rc rc;         /* MU_OK so far; an error below counts here too */
    uint32_t count;
    const char *asked[MU_JSON_KEYS];
};

/* root must be an object. */
enum mu_rc mu_json_in_root(struct mu_json_in *in, const struct json_t *root, struct mu_err *err);
bool mu_json_in_str(struct mu_json_in *in, const char *key, struct mu_str *out);
bool mu_json_in_u64(struct mu_json_in *in, const char *key, uint64_t max, uint64_t *out);
bool mu_json_in_s64(struct mu_json_in *in, const char *key, int64_t *out);
bool mu_json_in_real(struct mu_json_in *in, const char *key, double *out);
bool mu_json_in_bool(struct mu_json_in *in, const char *key, bool *out);
/* "5m", or a number of seconds. */
bool mu_json_in_duration(struct mu_json_in *in, const char *key, uint64_t *out_ms);
/* RFC 3339. */
bool mu_json_in_time(struct mu_json_in *in, const char *key, uint64_t *out_ms);
/* out is ready to read from; finish it with mu_json_in_end. */
bool mu_json_in_obj(struct mu_json_in *in, const char *key, struct mu_json_in *out);
/* How many elements; then mu_json_in_at for the objects in it, mu_json_in_str_at for strings. */
bool mu_json_in_array(struct mu_json_in *in, const char *key, size_t max, size_t *out_count);
bool mu_json_in_at(struct mu_json_in *in, const char *key, size_t index, struct mu_json_in *out);
bool mu_json_in_str_at(struct mu_json_in *in, const char *key, size_t index, struct mu_str *out);
/* An object of free keys with string values ({"K":"V"}): the next one in the order of the text, false past the last. */
bool mu_json_in_pair(struct mu_json_in *in, struct mu_str *out_key, struct mu_str *out_value);
bool mu_json_in_has(struct mu_json_in *in, const char *key);
/* A key that must be there is not: names it. Use: if (!mu_json_in_str(...)) mu_json_in_want(in, "name"); */
void mu_json_in_want(struct mu_json_in *in, const char *key);
/* Refuse the value of key: the caller's own check failed. */
__attribute__((format(printf, 3, 4)))
void mu_json_in_refuse(struct mu_json_in *in, const char *key, const char *fmt, ...);
/* Unknown keys are refused, with the nearest known one as a hint. Returns rc (a reader that allows unknown keys looks at
 * rc itself). */
enum mu_rc mu_json_in_end(struct mu_json_in *in);

#endif
