/* The OpenAPI document: well-formed, complete, and the same as the copy in doc/.
 * To write the copy anew: MUSTER_WRITE=1 and run this test. */
#include "server/api.h"

#include "io/files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <jansson.h>

static json_t *document(void)
{
    struct mu_buf b = { 0 };
    json_error_t e;

    mu_openapi_put(&b);
    json_t *root = json_loadb((char *)b.at, b.size, JSON_REJECT_DUPLICATES, &e);
    if (root == NULL)
        fail_msg("%s at byte %d", e.text, e.position);
    mu_buf_fini(&b);
    return root;
}

static void every_route_is_in_it(void **state)
{
    static const char *const verbs[] = { [MU_HTTP_GET] = "get", [MU_HTTP_POST] = "post", [MU_HTTP_PUT] = "put", [MU_HTTP_DELETE] = "delete" };
    json_t *root = document(), *paths = json_object_get(root, "paths");
    const struct mu_route *r;

    (void)state;
    for (unsigned i = 0; (r = mu_route_at(i)) != NULL; i++) {
        json_t *operation = json_object_get(json_object_get(paths, r->path), verbs[r->method]);
        if (operation == NULL)
            fail_msg("%s is missing", r->path);
        assert_string_equal(json_string_value(json_object_get(operation, "x-role")), mu_role_text(r->role));
        for (unsigned j = 0; j < i; j++)
            if (mu_route_at(j)->method == r->method && strcmp(mu_route_at(j)->path, r->path) == 0)
                fail_msg("%s stands twice in the table", r->path);
    }
    json_decref(root);
}

static void check_refs(json_t *v, json_t *schemas)
{
    const char *key;
    json_t *child;
    size_t i;

    json_array_foreach(v, i, child)
        check_refs(child, schemas);
    json_object_foreach(v, key, child) {
        if (strcmp(key, "$ref") == 0 && json_is_string(child) && strncmp(json_string_value(child), "#/components", 12) == 0) {
            const char *name = strrchr(json_string_value(child), '/') + 1;
            if (json_object_get(schemas, name) == NULL)
                fail_msg("no schema is named %s", name);
        }
        check_refs(child, schemas);
    }
}

static void every_reference_has_its_schema(void **state)
{
    json_t *root = document();

    (void)state;
    check_refs(root, json_object_get(json_object_get(root, "components"), "schemas"));
    json_decref(root);
}

static void the_copy_in_doc_is_the_same(void **state)
{
    json_t *root = document();
    char *text = json_dumps(root, JSON_INDENT(1));
    struct mu_buf copy = { 0 }, want = { 0 };
    struct mu_err err;

    (void)state;
    mu_buf_printf(&want, "%s\n", text);
    if (getenv("MUSTER_WRITE") != NULL)
        assert_int_equal(mu_file_write(OPENAPI_COPY, want.at, want.size, 0644, &err), MU_OK);
    if (mu_file_read(OPENAPI_COPY, 1 << 24, &copy, &err) != MU_OK)
        fail_msg("%s", err.text);
    if (!mu_str_eq(mu_buf_str(&copy), mu_buf_str(&want)))
        fail_msg("%s is not what the table of routes says; run this test with MUSTER_WRITE=1", OPENAPI_COPY);
    mu_buf_fini(&copy);
    mu_buf_fini(&want);
    free(text);
    json_decref(root);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_in_it),
        cmocka_unit_test(every_reference_has_its_schema),
        cmocka_unit_test(the_copy_in_doc_is_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
