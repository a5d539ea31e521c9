/* Any text as JSON: reading it by fields never goes wrong in silence, and what the writer makes of its strings loads. */
#include "base/json.h"
#include "fuzz/fuzz.h"
#include "wire/json.h"

static void read_fields(struct json_t *root)
{
    struct mu_json_in in, below, at;
    struct mu_err err = { 0 };
    struct mu_str s, v;
    uint64_t n;
    size_t count = 0;
    bool yes;

    if (mu_json_in_root(&in, root, &err) == MU_OK) {
        mu_json_in_str(&in, "name", &s);
        mu_json_in_u64(&in, "limit", 1000, &n);
        mu_json_in_bool(&in, "hold", &yes);
        mu_json_in_duration(&in, "timeout", &n);
        mu_json_in_time(&in, "deadline", &n);
        if (mu_json_in_obj(&in, "env", &below))
            while (mu_json_in_pair(&below, &s, &v))
                ;
        mu_json_in_array(&in, "tasks", 100, &count);
        for (size_t i = 0; i < count; i++)
            if (mu_json_in_at(&in, "tasks", i, &at)) {
                mu_json_in_str(&at, "command", &s);
                mu_json_in_end(&at);
            }
        mu_json_in_end(&in);
    }
    MU_ASSERT((in.rc == MU_OK) == (err.text[0] == '\0'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_str text = { (const char *)data, (uint32_t)size };
    struct json_t *root = NULL, *again = NULL;
    struct mu_err err = { 0 };
    struct mu_buf b = { 0 };

    if (mu_json_load(&root, text, &err) == MU_OK)
        read_fields(root);
    else
        MU_ASSERT(root == NULL && err.text[0] != '\0');
    mu_json_free(root);
    mu_json_open(&b, '{'); /* any bytes as a string: the writer's text is always loaded, NUL apart */
    mu_json_kstr(&b, "s", text);
    mu_json_close(&b, '{');
    if (memchr(data, '\0', size) == NULL)
        MU_ASSERT(mu_json_load(&again, mu_buf_str(&b), NULL) == MU_OK);
    mu_json_free(again);
    mu_buf_fini(&b);
    return 0;
}
