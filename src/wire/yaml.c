/* wire/yaml.c -- YAML documents as JSON, and where a field stands in them; see jobspec.h. */
#include "wire/jobspec.h"

#include "base/assert.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

enum { DEPTH_MAX = 16 };

struct reader {
    yaml_parser_t parser;
    yaml_event_t event;
    bool has_event;
    struct mu_err *err;
};

static bool fail_at(struct reader *r, yaml_mark_t at, const char *text)
{
    char where[MU_ERR_FIELD];

    snprintf(where, sizeof where, "line %zu, column %zu", at.line + 1, at.column + 1);
    mu_fail_at(r->err, MU_INVALID, where, "%s: %s", where, text);
    return false;
}

static bool next(struct reader *r)
{
    if (r->has_event)
        yaml_event_delete(&r->event);
    r->has_event = yaml_parser_parse(&r->parser, &r->event) != 0;
    if (r->has_event)
        return true;
    return fail_at(r, r->parser.problem_mark, r->parser.problem != NULL ? r->parser.problem : "not YAML");
}

static void reader_open(struct reader *r, struct mu_str text, struct mu_err *err)
{
    memset(r, 0, sizeof *r);
    r->err = err;
    MU_ASSERT(yaml_parser_initialize(&r->parser));
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)text.at, text.size);
}

static void reader_close(struct reader *r)
{
    if (r->has_event)
        yaml_event_delete(&r->event);
    yaml_parser_delete(&r->parser);
}

static bool plain_ok(struct reader *r)
{
    const yaml_event_t *e = &r->event;
    const char *anchor = NULL, *tag = NULL;

    if (e->type == YAML_ALIAS_EVENT)
        return fail_at(r, e->start_mark, "aliases are not allowed");
    if (e->type == YAML_SCALAR_EVENT) {
        anchor = (const char *)e->data.scalar.anchor;
        tag = (const char *)e->data.scalar.tag;
    } else if (e->type == YAML_SEQUENCE_START_EVENT) {
        anchor = (const char *)e->data.sequence_start.anchor;
        tag = (const char *)e->data.sequence_start.tag;
    } else if (e->type == YAML_MAPPING_START_EVENT) {
        anchor = (const char *)e->data.mapping_start.anchor;
        tag = (const char *)e->data.mapping_start.tag;
    }
    if (anchor != NULL)
        return fail_at(r, e->start_mark, "anchors are not allowed");
    if (tag != NULL)
        return fail_at(r, e->start_mark, "tags are not allowed");
    return true;
}

/* A plain scalar that JSON would print back to the letter is a number; "1.10" and "007" stay text. */
static json_t *number(const char *text)
{
    char back[40], *end;
    double real;

    if (text[0] != '-' && (text[0] < '0' || text[0] > '9'))
        return NULL;
    snprintf(back, sizeof back, "%lld", strtoll(text, NULL, 10));
    if (strcmp(back, text) == 0)
        return json_integer(strtoll(text, NULL, 10));
    real = strtod(text, &end);
    snprintf(back, sizeof back, "%.15g", real);
    return *end == '\0' && strcmp(back, text) == 0 ? json_real(real) : NULL;
}

static json_t *scalar(struct reader *r)
{
    const char *text = (const char *)r->event.data.scalar.value;
    size_t size = r->event.data.scalar.length;
    json_t *made;

    if (r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        if (size == 0 || strcmp(text, "null") == 0 || strcmp(text, "~") == 0)
            return json_null();
        if (strcmp(text, "true") == 0)
            return json_true();
        if (strcmp(text, "false") == 0)
            return json_false();
        made = number(text);
        if (made != NULL)
            return made;
    }
    made = json_stringn(text, size);
    if (made == NULL)
        fail_at(r, r->event.start_mark, "the text is not UTF-8");
    return made;
}

static json_t *value(struct reader *r, int depth);

static json_t *sequence(struct reader *r, int depth)
{
    json_t *list = json_array(), *item;

    for (;;) {
        if (!next(r))
            break;
        if (r->event.type == YAML_SEQUENCE_END_EVENT)
            return list;
        item = value(r, depth + 1);
        if (item == NULL)
            break;
        json_array_append_new(list, item);
    }
    json_decref(list);
    return NULL;
}

/* One key and its value into map; *ended when the mapping is over. */
static bool pair(struct reader *r, json_t *map, int depth, bool *ended)
{
    char key[256];
    json_t *item;

    if (!next(r))
        return false;
    *ended = r->event.type == YAML_MAPPING_END_EVENT;
    if (*ended)
        return true;
    if (!plain_ok(r))
        return false;
    if (r->event.type != YAML_SCALAR_EVENT)
        return fail_at(r, r->event.start_mark, "a key must be a word");
    if (r->event.data.scalar.length >= sizeof key || strlen((const char *)r->event.data.scalar.value) != r->event.data.scalar.length)
        return fail_at(r, r->event.start_mark, "the key is too long or holds a NUL");
    snprintf(key, sizeof key, "%s", (const char *)r->event.data.scalar.value);
    if (json_object_get(map, key) != NULL) {
        char text[320];
        snprintf(text, sizeof text, "the key \"%s\" stands twice", key);
        return fail_at(r, r->event.start_mark, text);
    }
    if (!next(r))
        return false;
    item = value(r, depth + 1);
    if (item == NULL)
        return false;
    if (json_object_set_new(map, key, item) != 0)
        return fail_at(r, r->event.start_mark, "the key is not UTF-8");
    return true;
}

static json_t *mapping(struct reader *r, int depth)
{
    json_t *map = json_object();
    bool ended = false;

    while (!ended) {
        if (!pair(r, map, depth, &ended)) {
            json_decref(map);
            return NULL;
        }
    }
    return map;
}

/* The value that starts with the present event. */
static json_t *value(struct reader *r, int depth)
{
    if (!plain_ok(r))
        return NULL;
    if (depth > DEPTH_MAX) {
        fail_at(r, r->event.start_mark, "nested too deeply");
        return NULL;
    }
    switch (r->event.type) {
    case YAML_SCALAR_EVENT:
        return scalar(r);
    case YAML_SEQUENCE_START_EVENT:
        return sequence(r, depth);
    case YAML_MAPPING_START_EVENT:
        return mapping(r, depth);
    default:
        fail_at(r, r->event.start_mark, "a value is missing");
        return NULL;
    }
}

static json_t *document(struct reader *r)
{
    json_t *root;

    do {
        if (!next(r))
            return NULL;
        if (r->event.type == YAML_STREAM_END_EVENT) {
            fail_at(r, r->event.start_mark, "the document is empty");
            return NULL;
        }
    } while (r->event.type == YAML_STREAM_START_EVENT || r->event.type == YAML_DOCUMENT_START_EVENT);
    root = value(r, 0);
    if (root == NULL)
        return NULL;
    while (next(r)) {
        if (r->event.type == YAML_STREAM_END_EVENT)
            return root;
        if (r->event.type == YAML_DOCUMENT_START_EVENT) {
            fail_at(r, r->event.start_mark, "only one document is allowed");
            break;
        }
    }
    json_decref(root);
    return NULL;
}

enum mu_rc mu_yaml_to_json(struct mu_str yaml, struct mu_buf *out_json, struct mu_err *err)
{
    struct reader r;
    json_t *root;
    char *text;

    if (yaml.size > MU_JOBSPEC_BYTES_MAX)
        return mu_fail(err, MU_TOOBIG, "the document has %u bytes; at most %d", yaml.size, MU_JOBSPEC_BYTES_MAX);
    reader_open(&r, yaml, err);
    root = document(&r);
    reader_close(&r);
    if (root == NULL)
        return MU_INVALID;
    text = json_dumps(root, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    json_decref(root);
    if (text == NULL)
        return mu_fail(err, MU_NOMEM, "the document is too large");
    mu_buf_addz(out_json, text);
    free(text);
    return MU_OK;
}

/* Pass over the value that starts with the present event. */
static bool skip_value(struct reader *r)
{
    int open = 0;

    for (;;) {
        switch (r->event.type) {
        case YAML_SEQUENCE_START_EVENT: case YAML_MAPPING_START_EVENT: open++; break;
        case YAML_SEQUENCE_END_EVENT: case YAML_MAPPING_END_EVENT: open--; break;
        default: break;
        }
        if (open == 0)
            return true;
        if (!next(r))
            return false;
    }
}

/* Step into "name" or "[n]" at the front of *field; the present event then starts that value. */
static bool step_into(struct reader *r, const char **field)
{
    const char *f = *field + (**field == '.');
    size_t size = strcspn(f, ".["), n = 0;

    if (*f == '[') {
        n = strtoul(f + 1, NULL, 10);
        if (r->event.type != YAML_SEQUENCE_START_EVENT || strchr(f, ']') == NULL)
            return false;
        *field = strchr(f, ']') + 1;
        for (;; n--) {
            if (!next(r) || r->event.type == YAML_SEQUENCE_END_EVENT)
                return false;
            if (n == 0)
                return true;
            if (!skip_value(r))
                return false;
        }
    }
    *field = f + size;
    if (r->event.type != YAML_MAPPING_START_EVENT)
        return false;
    for (;;) {
        bool hit;
        if (!next(r) || r->event.type != YAML_SCALAR_EVENT)
            return false;
        hit = r->event.data.scalar.length == size && memcmp(r->event.data.scalar.value, f, size) == 0;
        if (hit && **field == '\0')
            return true; /* the key itself: that is what a person looks for */
        if (!next(r))
            return false;
        if (hit)
            return true;
        if (!skip_value(r))
            return false;
    }
}

bool mu_yaml_locate(struct mu_str yaml, const char *field, uint32_t *out_line, uint32_t *out_column)
{
    struct reader r;
    bool found = true;

    reader_open(&r, yaml, NULL);
    do
        found = next(&r);
    while (found && (r.event.type == YAML_STREAM_START_EVENT || r.event.type == YAML_DOCUMENT_START_EVENT));
    while (found && *field != '\0')
        found = step_into(&r, &field);
    if (found) {
        *out_line = (uint32_t)r.event.start_mark.line + 1;
        *out_column = (uint32_t)r.event.start_mark.column + 1;
    }
    reader_close(&r);
    return found;
}
