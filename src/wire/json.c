/* Strict reading of JSON by fields, on jansson's tree. */
#include "wire/json.h"

#include "base/assert.h"
#include "base/command.h"
#include "base/units.h"

#include <jansson.h>

/* Nesting outside strings; jansson's own bound is far above what a spec needs. */
static bool depth_is_good(struct mu_str text)
{
    unsigned depth = 0;
    bool quoted = false;

    for (uint32_t i = 0; i < text.size; i++) {
        char c = text.at[i];
        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > MU_JSON_DEPTH)
                return false;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return true;
}

enum mu_rc mu_json_load(struct json_t **out_root, struct mu_str text, struct mu_err *err)
{
    json_error_t bad;
    json_t *root;

    if (!depth_is_good(text))
        return mu_fail(err, MU_INVALID, "the JSON is nested deeper than %d levels", MU_JSON_DEPTH);
    root = json_loadb(text.size > 0 ? text.at : "", text.size, JSON_REJECT_DUPLICATES, &bad);
    if (root == NULL)
        return mu_fail(err, MU_INVALID, "line %d, column %d: %s", bad.line, bad.column, bad.text);
    *out_root = root;
    return MU_OK;
}

void mu_json_free(struct json_t *root)
{
    json_decref(root);
}

/* "tasks[2].resources.cpus": outermost first, so the chain is walked down from its root. */
static size_t path_of(const struct mu_json_in *in, char *out, size_t cap)
{
    size_t n = in->up != NULL ? path_of(in->up, out, cap) : 0;
    int more;

    if (in->up == NULL || n >= cap)
        return n;
    more = in->in_array ? snprintf(out + n, cap - n, "%s%s[%zu]", n > 0 ? "." : "", in->key, in->index)
                        : snprintf(out + n, cap - n, "%s%s", n > 0 ? "." : "", in->key);
    return more > 0 ? n + (size_t)more : n;
}

static void refuse(struct mu_json_in *in, const char *key, const char *text)
{
    char path[MU_ERR_FIELD] = "";
    size_t n;

    if (in->rc != MU_OK)
        return;
    n = path_of(in, path, sizeof path);
    if (key != NULL && n < sizeof path)
        snprintf(path + n, sizeof path - n, "%s%s", n > 0 ? "." : "", key);
    mu_fail_at(in->err, MU_INVALID, path, "%s %s", path[0] ? path : "the body", text);
    for (; in != NULL; in = in->up)
        in->rc = MU_INVALID;
}

void mu_json_in_refuse(struct mu_json_in *in, const char *key, const char *fmt, ...)
{
    char text[MU_ERR_TEXT];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    refuse(in, key, text);
}

void mu_json_in_want(struct mu_json_in *in, const char *key)
{
    if (in->rc == MU_OK && !mu_json_in_has(in, key))
        refuse(in, key, "is required");
}

static const char *kind_of(const json_t *v)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number", [JSON_TRUE] = "true", [JSON_FALSE] = "false",
        [JSON_NULL] = "null",
    };
    return names[json_typeof(v)];
}

static void refuse_kind(struct mu_json_in *in, const char *key, const json_t *v, const char *want)
{
    mu_json_in_refuse(in, key, "must be %s, not %s", want, kind_of(v));
}

static void note(struct mu_json_in *in, const char *key)
{
    for (uint32_t i = 0; i < in->count; i++)
        if (strcmp(in->asked[i], key) == 0)
            return;
    MU_ASSERT(in->count < MU_JSON_KEYS);
    in->asked[in->count++] = key;
}

/* The value of key, NULL when absent, null, or when something failed before. */
static const json_t *value_of(struct mu_json_in *in, const char *key)
{
    const json_t *v;

    note(in, key);
    if (in->rc != MU_OK)
        return NULL;
    v = json_object_get(in->v, key);
    return v == NULL || json_is_null(v) ? NULL : v;
}

static struct mu_json_in below(struct mu_json_in *in, const char *key, const json_t *v)
{
    return (struct mu_json_in){ .v = v, .up = in, .key = key, .err = in->err, .rc = in->rc };
}

static struct mu_str str_of(const json_t *v)
{
    return (struct mu_str){ json_string_value(v), (uint32_t)json_string_length(v) };
}

enum mu_rc mu_json_in_root(struct mu_json_in *in, const struct json_t *root, struct mu_err *err)
{
    *in = (struct mu_json_in){ .v = root, .err = err };
    if (!json_is_object(root))
        refuse(in, NULL, "must be an object");
    return in->rc;
}

bool mu_json_in_has(struct mu_json_in *in, const char *key)
{
    return value_of(in, key) != NULL;
}

bool mu_json_in_str(struct mu_json_in *in, const char *key, struct mu_str *out)
{
    const json_t *v = value_of(in, key);

    if (v == NULL)
        return false;
    if (!json_is_string(v)) {
        refuse_kind(in, key, v, "a string");
        return false;
    }
    *out = str_of(v);
    return true;
}

static bool integer_of(struct mu_json_in *in, const char *key, int64_t *out)
{
    const json_t *v = value_of(in, key);

    if (v == NULL)
        return false;
    if (!json_is_integer(v)) {
        refuse_kind(in, key, v, "a whole number");
        return false;
    }
    *out = json_integer_value(v);
    return true;
}

bool mu_json_in_u64(struct mu_json_in *in, const char *key, uint64_t max, uint64_t *out)
{
    int64_t n;

    if (!integer_of(in, key, &n))
        return false;
    if (n < 0 || (uint64_t)n > max) {
        mu_json_in_refuse(in, key, "must be between 0 and %llu, not %lld", (unsigned long long)max, (long long)n);
        return false;
    }
    *out = (uint64_t)n;
    return true;
}

bool mu_json_in_s64(struct mu_json_in *in, const char *key, int64_t *out)
{
    return integer_of(in, key, out);
}

bool mu_json_in_real(struct mu_json_in *in, const char *key, double *out)
{
    const json_t *v = value_of(in, key);

    if (v == NULL)
        return false;
    if (!json_is_number(v)) {
        refuse_kind(in, key, v, "a number");
        return false;
    }
    *out = json_number_value(v);
    return true;
}

bool mu_json_in_bool(struct mu_json_in *in, const char *key, bool *out)
{
    const json_t *v = value_of(in, key);

    if (v == NULL)
        return false;
    if (!json_is_boolean(v)) {
        refuse_kind(in, key, v, "true or false");
        return false;
    }
    *out = json_is_true(v);
    return true;
}

bool mu_json_in_duration(struct mu_json_in *in, const char *key, uint64_t *out_ms)
{
    const json_t *v = value_of(in, key);
    double s = json_number_value(v);

    if (v == NULL)
        return false;
    if (json_is_string(v) && mu_parse_duration(str_of(v), out_ms))
        return true;
    if (!json_is_number(v) || !(s >= 0 && s < 1e15)) {
        refuse(in, key, "must be a duration such as \"90s\" or \"5m\", or a number of seconds");
        return false;
    }
    *out_ms = (uint64_t)(s * 1000 + 0.5);
    return true;
}

bool mu_json_in_time(struct mu_json_in *in, const char *key, uint64_t *out_ms)
{
    const json_t *v = value_of(in, key);

    if (v == NULL)
        return false;
    if (!json_is_string(v) || !mu_parse_time(str_of(v), out_ms)) {
        refuse(in, key, "must be a time such as \"2026-11-22T20:00:00Z\"");
        return false;
    }
    return true;
}

bool mu_json_in_obj(struct mu_json_in *in, const char *key, struct mu_json_in *out)
{
    const json_t *v = value_of(in, key);

    if (v == NULL)
        return false;
    if (!json_is_object(v)) {
        refuse_kind(in, key, v, "an object");
        return false;
    }
    *out = below(in, key, v);
    return true;
}

static const json_t *array_of(struct mu_json_in *in, const char *key)
{
    const json_t *v = value_of(in, key);

    if (v == NULL)
        return NULL;
    if (!json_is_array(v)) {
        refuse_kind(in, key, v, "an array");
        return NULL;
    }
    return v;
}

bool mu_json_in_array(struct mu_json_in *in, const char *key, size_t max, size_t *out_count)
{
    const json_t *v = array_of(in, key);

    if (v == NULL)
        return false;
    if (json_array_size(v) > max) {
        mu_json_in_refuse(in, key, "has %zu elements, at most %zu are allowed", json_array_size(v), max);
        return false;
    }
    *out_count = json_array_size(v);
    return true;
}

bool mu_json_in_at(struct mu_json_in *in, const char *key, size_t index, struct mu_json_in *out)
{
    const json_t *v = array_of(in, key), *at = json_array_get(v, index);
    char name[MU_ERR_FIELD];

    if (at == NULL)
        return false;
    if (!json_is_object(at)) {
        snprintf(name, sizeof name, "%s[%zu]", key, index);
        refuse_kind(in, name, at, "an object");
        return false;
    }
    *out = below(in, key, at);
    out->in_array = true;
    out->index = index;
    return true;
}

bool mu_json_in_str_at(struct mu_json_in *in, const char *key, size_t index, struct mu_str *out)
{
    const json_t *v = array_of(in, key), *at = json_array_get(v, index);
    char name[MU_ERR_FIELD];

    if (at == NULL)
        return false;
    if (!json_is_string(at)) {
        snprintf(name, sizeof name, "%s[%zu]", key, index);
        refuse_kind(in, name, at, "a string");
        return false;
    }
    *out = str_of(at);
    return true;
}

bool mu_json_in_pair(struct mu_json_in *in, struct mu_str *out_key, struct mu_str *out_value)
{
    json_t *object = (json_t *)(uintptr_t)in->v; /* jansson's iterators take no const */
    const json_t *v;
    const char *key;

    if (in->rc != MU_OK)
        return false;
    in->iter = in->iter == NULL ? json_object_iter(object) : json_object_iter_next(object, in->iter);
    if (in->iter == NULL)
        return false;
    key = json_object_iter_key(in->iter);
    v = json_object_iter_value(in->iter);
    if (!json_is_string(v)) {
        refuse_kind(in, key, v, "a string");
        return false;
    }
    *out_key = mu_str_of(key);
    *out_value = str_of(v);
    return true;
}

static void refuse_unknown(struct mu_json_in *in, const char *key)
{
    const char *near = mu_nearest(key, in->asked, in->count);

    if (near != NULL)
        mu_json_in_refuse(in, key, "is not a known key; did you mean \"%s\"?", near);
    else
        mu_json_in_refuse(in, key, "is not a known key");
}

enum mu_rc mu_json_in_end(struct mu_json_in *in)
{
    const char *key;
    json_t *v, *object = (json_t *)(uintptr_t)in->v;

    if (in->rc != MU_OK)
        return in->rc;
    json_object_foreach(object, key, v) {
        bool asked = false;
        for (uint32_t i = 0; i < in->count && !asked; i++)
            asked = strcmp(in->asked[i], key) == 0;
        if (!asked) {
            refuse_unknown(in, key);
            break;
        }
    }
    return in->rc;
}
