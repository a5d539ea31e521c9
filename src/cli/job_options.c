/* cli/job_options.c -- the flags that describe work, and the spec they make; see cli.h. */
#include "cli/cli.h"

#include "base/assert.h"
#include "io/files.h"
#include "wire/jobspec.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const struct mu_option mu_cli_job_options[MU_CLI_JOB_OPTIONS] = {
    { "name", "NAME", "name of the job", 'n', false },
    { "cpus", "F", "cpus a task needs, like 2 or 0.5 (default 1)", 'c', false },
    { "mem", "SIZE", "memory a task needs, and its limit", 'm', false },
    { "gpus", "N", "gpus a task needs", 0, false },
    { "resource", "NAME=N", "any other resource a task needs", 0, true },
    { "array", "A-B[:STEP]", "one task for each index", 'a', false },
    { "after", "ID[,ID]", "start when these jobs have succeeded", 0, true },
    { "after-any", "ID[,ID]", "start when these jobs have ended", 0, true },
    { "after-each", "ID[,ID]", "task i starts when task i of these has succeeded", 0, true },
    { "retries", "N", "try a failed task again so many times", 0, false },
    { "backoff", "DUR", "pause before the first retry; doubles (default 1s)", 0, false },
    { "timeout", "DUR", "stop an attempt after that time", 0, false },
    { "grace", "DUR", "between SIGTERM and SIGKILL (default 10s)", 0, false },
    { "priority", "N", "higher goes first (default 0)", 'p', false },
    { "deadline", "TIME", "give up what has not ended by then (RFC 3339)", 0, false },
    { "user", "U", "run as this user", 0, false },
    { "cwd", "DIR", "working directory (default: this one)", 0, false },
    { "env", "K=V", "environment of the tasks; K alone takes the value from here", 'e', true },
    { "label", "K=V", "only on nodes with this label", 0, true },
    { "prefer", "K=V", "rather on nodes with this label", 0, true },
    { "node", "NAME", "only on this node", 0, false },
    { "each-node", NULL, "once on every node that fits", 0, false },
    { "max-parallel", "N", "at most so many tasks at once", 0, false },
    { "abort-after", "N|P%", "cancel the rest after so many failures", 0, false },
    { "place", "POLICY", "placement policy of this job", 0, false },
    { "key", "KEY", "idempotency key: the same key gives the same job", 0, false },
    { "hold", NULL, "do not start until released", 0, false },
    { "stdin", "FILE", "read from FILE on the node", 0, false },
    { "stdout", "FILE", "write to FILE on the node instead of keeping the output", 0, false },
    { "stderr", "FILE", "the same for errors", 0, false },
};

/* Flags whose value goes under the same key as it stands. */
static const char *const plain[] = { "name", "array", "retries", "backoff", "timeout", "grace", "priority", "deadline", "user",
                                     "node", "max-parallel", "abort-after", "place", "key", "stdin", "stdout", "stderr" };

static void put_plain(const struct mu_args *args, json_t *spec)
{
    for (size_t i = 0; i < MU_COUNT(plain); i++) {
        const char *v = mu_args_get(args, plain[i], NULL);
        char key[32];
        if (v == NULL)
            continue;
        snprintf(key, sizeof key, "%s", plain[i]);
        for (char *c = key; *c != '\0'; c++)
            *c = *c == '-' ? '_' : *c;
        json_object_set_new(spec, key, json_string(v));
    }
    if (mu_args_has(args, "hold"))
        json_object_set_new(spec, "hold", json_true());
    if (mu_args_has(args, "each-node"))
        json_object_set_new(spec, "each_node", json_true());
}

static void put_resources(const struct mu_args *args, json_t *spec, bool *good)
{
    static const char *const fixed[] = { "cpus", "mem", "gpus" };
    json_t *res = json_object();
    const char *v;

    for (size_t i = 0; i < MU_COUNT(fixed); i++)
        if ((v = mu_args_get(args, fixed[i], NULL)) != NULL)
            json_object_set_new(res, fixed[i], json_string(v));
    for (uint32_t at = 0; (v = mu_args_next(args, "resource", &at)) != NULL;) {
        const char *eq = strchr(v, '=');
        char name[MU_NAME_MAX + 1];
        if (eq == NULL || eq == v || (size_t)(eq - v) >= sizeof name) {
            mu_cli_usage(args, "--resource must be NAME=N, not \"%s\"", v);
            *good = false;
            break;
        }
        snprintf(name, sizeof name, "%.*s", (int)(eq - v), v);
        json_object_set_new(res, name, json_string(eq + 1));
    }
    if (json_object_size(res) > 0)
        json_object_set(spec, "resources", res);
    json_decref(res);
}

/* K=V flags into an object; K alone, where allowed, takes its value from the environment. */
static void put_pairs(const struct mu_args *args, json_t *spec, const char *flag, const char *key, bool from_env, bool *good)
{
    json_t *pairs = json_object();
    const char *v;

    for (uint32_t at = 0; (v = mu_args_next(args, flag, &at)) != NULL;) {
        const char *eq = strchr(v, '='), *value = eq != NULL ? eq + 1 : from_env ? getenv(v) : NULL;
        char *name = eq != NULL ? strndup(v, (size_t)(eq - v)) : strdup(v);
        if ((eq == NULL && !from_env) || name[0] == '\0') {
            mu_cli_usage(args, "--%s must be K=V, not \"%s\"", flag, v);
            *good = false;
        } else if (value != NULL) {
            json_object_set_new(pairs, name, json_string(value));
        }
        free(name);
    }
    if (json_object_size(pairs) > 0)
        json_object_set(spec, key, pairs);
    json_decref(pairs);
}

static void put_after(const struct mu_args *args, json_t *spec, const char *flag, const char *key, bool *good)
{
    json_t *list = json_array();
    const char *v;

    for (uint32_t at = 0; (v = mu_args_next(args, flag, &at)) != NULL;) {
        struct mu_str rest = mu_str_of(v);
        while (rest.size > 0) {
            struct mu_str id = mu_str_cut(rest, ',', &rest);
            uint64_t n;
            if (!mu_str_u64(id, &n) || n == 0) {
                mu_cli_usage(args, "--%s takes job ids, not \"" MU_STR_FMT "\"", flag, MU_STR_ARG(id));
                *good = false;
                break;
            }
            json_array_append_new(list, json_integer((json_int_t)n));
        }
    }
    if (json_array_size(list) > 0)
        json_object_set(spec, key, list);
    json_decref(list);
}

json_t *mu_cli_spec(const struct mu_args *args)
{
    json_t *spec = json_object();
    const char *cwd = mu_args_get(args, "cwd", NULL);
    char *here = cwd == NULL ? getcwd(NULL, 0) : NULL;
    bool good = true;

    put_plain(args, spec);
    put_resources(args, spec, &good);
    put_pairs(args, spec, "env", "env", true, &good);
    put_pairs(args, spec, "label", "labels", false, &good);
    put_pairs(args, spec, "prefer", "prefer", false, &good);
    put_after(args, spec, "after", "after", &good);
    put_after(args, spec, "after-any", "after_any", &good);
    put_after(args, spec, "after-each", "after_each", &good);
    if (cwd != NULL || here != NULL)
        json_object_set_new(spec, "cwd", json_string(cwd != NULL ? cwd : here));
    free(here);
    if (good)
        return spec;
    json_decref(spec);
    return NULL;
}

static void say_at(const char *path, struct mu_str text, const struct mu_err *err)
{
    uint32_t line, column;

    if (err->field[0] != '\0' && mu_yaml_locate(text, err->field, &line, &column))
        mu_cli_say("%s:%u:%u: %s", path, line, column, err->text);
    else
        mu_cli_say("%s: %s", path, err->text);
}

/* Checked here too, so that a mistake shows without a server. */
static bool spec_is_good(const char *path, struct mu_str text, struct mu_str json)
{
    struct mu_arena arena = { 0 };
    struct mu_job_spec spec;
    struct mu_err err = { 0 };
    bool good = mu_jobspec_json(json, MU_STR_LIT("me"), &spec, &arena, &err) == MU_OK;

    if (!good)
        say_at(path, text, &err);
    mu_arena_fini(&arena);
    return good;
}

static void default_cwd(json_t *spec)
{
    char *here = getcwd(NULL, 0);
    json_t *tasks = json_object_get(spec, "tasks"), *task;
    size_t i;

    if (here == NULL)
        return;
    if (tasks == NULL) {
        if (json_object_get(spec, "cwd") == NULL)
            json_object_set_new(spec, "cwd", json_string(here));
    } else {
        json_array_foreach(tasks, i, task)
            if (json_object_get(task, "cwd") == NULL)
                json_object_set_new(task, "cwd", json_string(here));
    }
    free(here);
}

/* Flags beside a file speak of the job as a whole. */
static bool put_job_flags(const struct mu_args *args, json_t *spec)
{
    static const char *const whole[] = { "name", "priority", "deadline", "key", "hold" };

    for (uint32_t i = 0; i < args->given_count; i++) {
        const char *name = args->given[i].option->name;
        bool ok = false;
        for (size_t k = 0; k < MU_COUNT(whole); k++)
            ok = ok || strcmp(name, whole[k]) == 0;
        for (size_t k = 0; k < MU_COUNT(mu_cli_job_options) && !ok; k++) {
            if (args->given[i].option == &mu_cli_job_options[k]) {
                mu_cli_usage(args, "--%s belongs into the job file", name);
                return false;
            }
        }
        if (ok && args->given[i].option->arg == NULL)
            json_object_set_new(spec, name, json_true());
        else if (ok)
            json_object_set_new(spec, name, json_string(args->given[i].value));
    }
    return true;
}

json_t *mu_cli_spec_file(const struct mu_args *args, const char *path, struct mu_buf *text)
{
    struct mu_buf json = { 0 };
    struct mu_err err = { 0 };
    json_t *spec = NULL;

    if (mu_file_read(path, MU_JOBSPEC_BYTES_MAX, text, &err) != MU_OK) {
        mu_cli_say("%s", err.text);
        return NULL;
    }
    if (mu_yaml_to_json(mu_buf_str(text), &json, &err) != MU_OK) {
        unsigned line = 0, column = 0;
        if (sscanf(err.text, "line %u, column %u: ", &line, &column) == 2)
            mu_cli_say("%s:%u:%u: %s", path, line, column, strchr(err.text, ':') + 2);
        else
            mu_cli_say("%s: %s", path, err.text);
    } else if (spec_is_good(path, mu_buf_str(text), mu_buf_str(&json))) {
        spec = json_loadb((char *)json.at, json.size, 0, NULL);
    }
    mu_buf_fini(&json);
    if (spec != NULL && !put_job_flags(args, spec)) {
        json_decref(spec);
        return NULL;
    }
    if (spec != NULL)
        default_cwd(spec);
    return spec;
}

int mu_cli_submit(struct mu_cli *cli, const json_t *spec, const char *path, struct mu_str text, uint64_t *out_job)
{
    char *body = json_dumps(spec, JSON_COMPACT);
    int code = mu_cli_call(cli, "POST", "/v1/jobs", "application/json", mu_str_of(body));
    json_t *answer;

    free(body);
    if (code != 0) {
        json_t *error = json_loadb((char *)cli->body.at, cli->body.size, 0, NULL);
        const char *field = mu_answer_text(json_object_get(error, "error"), "field", "");
        uint32_t line, column;
        if (path != NULL && field[0] != '\0' && mu_yaml_locate(text, field, &line, &column))
            mu_cli_say("see %s:%u:%u", path, line, column);
        json_decref(error);
        return code;
    }
    answer = json_loadb((char *)cli->body.at, cli->body.size, 0, NULL);
    *out_job = mu_answer_u64(answer, "id");
    json_decref(answer);
    return 0;
}
