/* cli/follow.c -- see follow.h. */
#include "cli/follow.h"

#include "io/httpc.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { RECONNECTS = 60, TICK_MS = 100 };

static int digit_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decode in place; returns the size. Stops at padding. */
static size_t base64(char *text)
{
    uint32_t bits = 0;
    size_t n = 0, held = 0;

    for (const char *c = text; digit_of(*c) >= 0; c++) {
        bits = bits << 6 | (uint32_t)digit_of(*c);
        held += 6;
        if (held >= 8) {
            held -= 8;
            text[n++] = (char)(bits >> held);
        }
    }
    return n;
}

static void on_output(struct mu_follow *f, const json_t *line, uint64_t index)
{
    bool is_err = strcmp(mu_answer_text(line, "stream", ""), "stderr") == 0;
    const json_t *data = json_object_get(line, "data");
    const char *coded = mu_answer_text(line, "data_base64", NULL);
    char text[80];

    if (json_is_integer(json_object_get(line, "gone"))) {
        snprintf(text, sizeof text, "%llu bytes are gone", (unsigned long long)mu_answer_u64(line, "gone"));
        f->on_gone(f->arg, index, is_err, text);
    }
    if (json_is_string(data)) {
        f->on_data(f->arg, index, is_err, json_string_value(data), json_string_length(data));
    } else if (coded != NULL) {
        char *bytes = strdup(coded);
        f->on_data(f->arg, index, is_err, bytes, base64(bytes));
        free(bytes);
    }
    if (json_is_string(json_object_get(line, "error")))
        f->on_gone(f->arg, index, is_err, mu_answer_text(line, "error", ""));
}

static void on_line(struct mu_follow *f, const char *text, size_t size)
{
    json_t *line = json_loadb(text, size, 0, NULL);

    if (json_object_get(line, "job") != NULL) {
        json_decref(f->job);
        f->job = json_incref(line);
    } else if (json_object_get(line, "stream") != NULL) {
        on_output(f, line, mu_answer_u64(line, "index"));
    } else if (json_object_get(line, "state") != NULL) {
        f->ended++;
        f->on_end(f->arg, mu_answer_u64(line, "index"), line);
    }
    json_decref(line);
}

static void take_lines(struct mu_follow *f, const char *bytes, size_t size)
{
    while (size > 0) {
        const char *nl = memchr(bytes, '\n', size);
        size_t n = nl != NULL ? (size_t)(nl - bytes) : size;
        if (nl == NULL || f->line.size > 0)
            mu_buf_add(&f->line, bytes, n);
        if (nl == NULL)
            return;
        if (f->line.size > 0)
            on_line(f, (char *)f->line.at, f->line.size);
        else
            on_line(f, bytes, n);
        mu_buf_clear(&f->line);
        bytes = nl + 1;
        size -= n + 1;
    }
}

/* One connection's worth. MU_OK: the answer ended. */
static enum mu_rc read_once(struct mu_cli *cli, uint64_t job, struct mu_follow *f, struct mu_err *err)
{
    char path[160], piece[65536];
    struct mu_httpc_req req = { .target = path };
    const struct mu_http_head *head;
    size_t size = 0;
    enum mu_rc rc;

    snprintf(path, sizeof path, "/v1/jobs/%llu/output?follow=1%s&after=%llu", (unsigned long long)job, f->live ? "&live=1" : "",
             (unsigned long long)f->ended);
    mu_buf_clear(&f->line);
    mu_buf_clear(&cli->body);
    rc = mu_httpc_start(cli->http, &req, &head, err);
    if (rc != MU_OK)
        return rc;
    cli->status = head->status;
    for (;;) {
        rc = mu_httpc_read(cli->http, piece, sizeof piece, &size, f->on_tick != NULL ? TICK_MS : 0, err);
        if (rc == MU_OK && size == 0)
            break;
        if (rc == MU_OK && cli->status >= 400)
            mu_buf_add(&cli->body, piece, size);
        else if (rc == MU_OK)
            take_lines(f, piece, size);
        else if (rc != MU_TIMEOUT)
            break;
        if (f->on_tick != NULL)
            f->on_tick(f->arg);
    }
    if (rc == MU_OK)
        rc = mu_httpc_check(cli->status, &cli->body, err);
    mu_httpc_done(cli->http);
    return rc;
}

int mu_cli_follow(struct mu_cli *cli, uint64_t job, struct mu_follow *f)
{
    struct mu_err err = { 0 };
    unsigned tries = 0;

    while (f->job == NULL) {
        uint64_t before = f->ended;
        enum mu_rc rc = read_once(cli, job, f, &err);
        if (rc == MU_AGAIN) {
            mu_cli_interrupted(cli);
            return MU_EXIT_FAILED;
        }
        tries = f->ended > before ? 0 : tries + 1;
        if (f->job == NULL && (tries > RECONNECTS || rc == MU_NOTFOUND || rc == MU_UNAUTHORIZED || rc == MU_DENIED)) {
            mu_cli_say("%s", err.text[0] != '\0' ? err.text : "the connection broke again and again");
            return rc == MU_NOTFOUND ? MU_EXIT_NOTFOUND : rc == MU_UNAUTHORIZED ? MU_EXIT_REFUSED : MU_EXIT_NOSERVER;
        }
        if (f->job == NULL)
            poll(NULL, 0, tries < 5 ? 100 : 1000); /* the server is restarting */
    }
    return 0;
}

void mu_follow_fini(struct mu_follow *f)
{
    json_decref(f->job);
    mu_buf_fini(&f->line);
}
