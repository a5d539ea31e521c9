/* cli/model.c -- muster model: capacity from formulas. */
#include "cli/verbs.h"

#include "base/assert.h"
#include "model/queue.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const struct model {
    const char *name, *about;
    struct mu_queue_result (*run)(const struct mu_queue_load *load);
} models[] = {
    { "mmc", "Poisson arrivals, exponential service, one queue for all servers", mu_queue_mmc },
    { "mgc", "Poisson arrivals, service times of any shape (--cs2): Kimura", mu_queue_mgc },
    { "gg1", "any arrivals (--ca2) and service times (--cs2): Allen-Cunneen", mu_queue_ggc },
    { "ps", "processor sharing", mu_queue_ps },
    { "erlang-b", "no queue: who finds no free server is turned away", mu_queue_loss },
    { "erlang-c", "the share that has to wait (of mmc)", mu_queue_mmc },
};

/* A flag that must be a number of at least min; false after printing why. */
static bool number(const struct mu_args *args, const char *flag, double fallback, double min, double *out)
{
    const char *text = mu_args_get(args, flag, NULL);
    char *end = NULL;

    *out = fallback;
    if (text == NULL && isnan(fallback)) {
        mu_cli_usage(args, "--%s is needed", flag);
        return false;
    }
    if (text == NULL)
        return true;
    *out = strtod(text, &end);
    if (end != text && *end == '\0' && isfinite(*out) && *out >= min)
        return true;
    mu_cli_usage(args, "--%s must be a number of at least %g, not \"%s\"", flag, min, text);
    return false;
}

static json_t *real_or_null(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *as_json(const struct mu_queue_result *r)
{
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:b,s:b,s:s}", "utilisation", real_or_null(r->utilisation), "mean_wait", real_or_null(r->mean_wait),
                     "mean_response", real_or_null(r->mean_response), "p99_response", real_or_null(r->p99_response), "throughput",
                     real_or_null(r->throughput), "wait_probability", real_or_null(r->wait_probability), "valid", r->valid, "p99_valid",
                     r->p99_valid, "note", r->note);
}

static void print_result(const struct mu_queue_result *r)
{
    printf("utilisation     %.4g\nthroughput      %.6g\n", r->utilisation, r->throughput);
    if (isfinite(r->mean_response))
        printf("mean wait       %.6g\nmean response   %.6g\n", r->mean_wait, r->mean_response);
    if (isfinite(r->p99_response))
        printf("p99 response    %.6g%s\n", r->p99_response, r->p99_valid ? "" : "  (outside the range where this formula was checked)");
    printf("%s%s\n", r->valid ? "" : "not valid: ", r->note);
}

static int run_queue(const struct mu_args *args, const struct model *m)
{
    const char *target = mu_args_get(args, "target", NULL), *target99 = mu_args_get(args, "target-p99", NULL);
    struct mu_queue_load load;
    struct mu_queue_result r;
    double goal = 0;
    json_t *answer;
    bool one = strcmp(m->name, "gg1") == 0;

    if (!number(args, "servers", one || target || target99 ? 1 : NAN, 1, &load.servers) || !number(args, "rate", NAN, 0, &load.rate) ||
        !number(args, "service-rate", NAN, 0, &load.service_rate) || !number(args, "ca2", 1, 0, &load.ca2) || !number(args, "cs2", 1, 0, &load.cs2))
        return MU_EXIT_USAGE;
    if (load.service_rate <= 0 || load.servers != floor(load.servers))
        return mu_cli_usage(args, load.service_rate <= 0 ? "--service-rate must be above 0" : "--servers must be a whole number");
    if ((target != NULL || target99 != NULL)) {
        if (!number(args, target99 != NULL ? "target-p99" : "target", 0, 0, &goal))
            return MU_EXIT_USAGE;
        load.servers = (double)mu_queue_servers_for(&load, goal, target99 != NULL);
        if (load.servers == 0) {
            mu_cli_say("no number of servers reaches a response of %g: the service itself takes %g", goal, 1 / load.service_rate);
            return MU_EXIT_FAILED;
        }
    }
    r = m->run(&load);
    if (mu_args_has(args, "json")) {
        answer = as_json(&r);
        json_object_set_new(answer, "servers", json_real(load.servers));
        mu_answer_line(answer);
        json_decref(answer);
    } else {
        printf("servers         %g\n", load.servers);
        print_result(&r);
    }
    return r.valid ? MU_EXIT_OK : MU_EXIT_FAILED;
}

static bool read_point(const struct mu_args *args, const char *text, double *n, double *x)
{
    char *end = NULL;

    *n = strtod(text, &end);
    if (end != text && *end == ':') {
        const char *rest = end + 1;
        *x = strtod(rest, &end);
        if (end != rest && *end == '\0' && *n >= 1 && *x > 0)
            return true;
    }
    mu_cli_usage(args, "--point must be WORKERS:THROUGHPUT, not \"%s\"", text);
    return false;
}

static int run_usl(const struct mu_args *args)
{
    double n[MU_ARGS_MAX], x[MU_ARGS_MAX], at;
    size_t count = 0;
    const char *text;
    struct mu_usl usl;

    for (uint32_t i = 0; (text = mu_args_next(args, "point", &i)) != NULL; count++)
        if (!read_point(args, text, &n[count], &x[count]))
            return MU_EXIT_USAGE;
    if (count < 3)
        return mu_cli_usage(args, "usl needs at least three --point WORKERS:THROUGHPUT");
    usl = mu_usl_fit(n, x, count);
    if (!number(args, "servers", isfinite(usl.best_n) ? usl.best_n : n[count - 1], 1, &at))
        return MU_EXIT_USAGE;
    if (mu_args_has(args, "json")) {
        json_t *answer = json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:b}", "gamma", real_or_null(usl.gamma), "alpha", real_or_null(usl.alpha), "beta",
                                   real_or_null(usl.beta), "error", real_or_null(usl.error), "best_servers", real_or_null(usl.best_n), "best_throughput",
                                   real_or_null(usl.best_x), "servers", json_real(at), "throughput", real_or_null(mu_usl_at(&usl, at)), "valid", usl.valid);
        mu_answer_line(answer);
        json_decref(answer);
    } else {
        printf("X(n) = %.5g n / (1 + %.4g (n - 1) + %.4g n (n - 1)), error %.2g %%\n", usl.gamma, usl.alpha, usl.beta, usl.error * 100);
        printf("at %.4g workers  %.6g\n", at, mu_usl_at(&usl, at));
        if (isfinite(usl.best_n))
            printf("most at %.4g workers: %.6g\n", usl.best_n, usl.best_x);
    }
    return usl.valid ? MU_EXIT_OK : MU_EXIT_FAILED;
}

static int run_model(const struct mu_args *args)
{
    const char *names[MU_COUNT(models) + 1], *near;

    if (strcmp(args->words[0], "usl") == 0)
        return run_usl(args);
    for (size_t i = 0; i < MU_COUNT(models); i++) {
        if (strcmp(models[i].name, args->words[0]) == 0)
            return run_queue(args, &models[i]);
        names[i] = models[i].name;
    }
    names[MU_COUNT(models)] = "usl";
    near = mu_nearest(args->words[0], names, MU_COUNT(names));
    return mu_cli_usage(args, "there is no model \"%s\"%s%s%s; there are mmc mgc gg1 ps erlang-b erlang-c usl", args->words[0],
                        near != NULL ? "; did you mean \"" : "", near != NULL ? near : "", near != NULL ? "\"?" : "");
}

static const struct mu_option model_options[] = {
    { "servers", "C", "servers that work side by side", 'c', false },
    { "rate", "L", "arrivals a unit of time", 'l', false },
    { "service-rate", "M", "what one server ends a unit of time when busy", 'm', false },
    { "ca2", "X", "squared coefficient of variation of the gaps between arrivals (default 1: Poisson)", 0, false },
    { "cs2", "X", "the same of service times (default 1: exponential)", 0, false },
    { "target", "T", "instead of --servers: the fewest whose mean response is at most T", 0, false },
    { "target-p99", "T", "the same for the p99 response", 0, false },
    { "point", "N:X", "usl: throughput X was measured with N workers", 0, true },
    { "json", NULL, "answer as JSON", 0, false },
};
const struct mu_command mu_cli_model = {
    .name = "model", .args = "MODEL", .summary = "capacity from queueing formulas: mmc mgc gg1 ps erlang-b erlang-c usl",
    .about = "Answers in the unit of the rates. Says where a formula is valid and how far it was off in simulations.\n"
             "Exit status 1 when the answer is not valid (overloaded, or outside the checked range).",
    .args_min = 1, .args_max = 1, .tables = { MU_OPTIONS("options", model_options) }, .run = run_model,
};
