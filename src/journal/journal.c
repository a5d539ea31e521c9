/* Open, close and what all parts share. The registry of engines is here. */
#include "journal/handle.h"

#include <stdlib.h>
#include <string.h>

static const struct mu_engine_ops *const engines[] = {
    &mu_engine_memory,
    &mu_engine_sqlite,
};

static const char *const end_texts[] = {
    [MU_JOURNAL_OK] = "durable",
    [MU_JOURNAL_FENCED] = "refused: another server leads",
    [MU_JOURNAL_UNKNOWN] = "the outcome is not known",
    [MU_JOURNAL_FULL] = "the journal has no space left",
    [MU_JOURNAL_TOO_BIG] = "larger than a record may be",
    [MU_JOURNAL_CORRUPT] = "the journal is damaged",
    [MU_JOURNAL_CLOSED] = "the journal was closed",
    [MU_JOURNAL_BUSY] = "too many records are in flight",
};
_Static_assert(MU_COUNT(end_texts) == MU_JOURNAL_ENDS, "one row an end");

const char *mu_journal_end_text(enum mu_journal_end end)
{
    return (unsigned)end < MU_COUNT(end_texts) ? end_texts[end] : "?";
}

static void timer_fired(void *p)
{
    struct mu_jtimer *t = p;

    t->armed = NULL;
    if (!t->j->dead)
        t->fn(t->j);
}

void mu_jtimer_start(struct mu_jtimer *t, uint64_t delay_ms)
{
    mu_jtimer_stop(t);
    t->armed = t->j->host.after(t->j->host.arg, delay_ms, timer_fired, t);
}

void mu_jtimer_stop(struct mu_jtimer *t)
{
    if (t->armed != NULL)
        t->j->host.cancel(t->j->host.arg, t->armed);
    t->armed = NULL;
}

uint64_t mu_journal_backoff_ms(struct mu_journal *j)
{
    uint32_t chance;

    j->host.random(j->host.arg, &chance, sizeof chance);
    return MU_RETRY_MS + chance % MU_RETRY_MS;
}

uint64_t mu_journal_now_ns(struct mu_journal *j)
{
    return j->host.boot_ns(j->host.arg);
}

void mu_journal_start(struct mu_journal *j, struct mu_engine_call *call)
{
    MU_ASSERT(!j->dead && call->done != NULL);
    j->engine->ops->start(j->engine, call);
}

static void timers_stop(struct mu_journal *j)
{
    struct mu_jtimer *all[] = { &j->read_again, &j->lead_again, &j->renew_again,   &j->kick,
                                &j->load.again, &j->save.again, &j->resolve.again };

    for (size_t i = 0; i < MU_COUNT(all); i++)
        mu_jtimer_stop(all[i]);
}

void mu_journal_fail(struct mu_journal *j, enum mu_rc rc, const char *text)
{
    struct mu_err err;

    if (j->dead)
        return;
    j->dead = true;
    timers_stop(j);
    mu_fail(&err, rc, "journal %s: %s", j->url, text);
    j->user.on_fatal(j->user.arg, MU_JOURNAL_CORRUPT, &err);
}

bool mu_journal_failed(struct mu_journal *j, const struct mu_engine_answer *a)
{
    if (a->end == MU_ENGINE_FATAL)
        mu_journal_fail(j, MU_IO, a->text ? a->text : "the storage failed");
    else if (a->end == MU_ENGINE_CORRUPT)
        mu_journal_fail(j, MU_CORRUPT, a->text ? a->text : "the store is damaged");
    return j->dead;
}

static void on_engine_hint(void *arg, const char *leader_addr, uint64_t token)
{
    struct mu_journal *j = arg;

    if (!j->dead && j->user.on_hint != NULL)
        j->user.on_hint(j->user.arg, leader_addr, j->epoch_base + token);
}

static void on_engine_fatal(void *arg, enum mu_engine_end end, const char *text)
{
    mu_journal_failed(arg, &(struct mu_engine_answer){ .end = end, .text = text });
}

static const struct mu_engine_ops *find_engine(const char *url, const char **out_rest)
{
    for (size_t i = 0; i < MU_COUNT(engines); i++) {
        size_t n = strlen(engines[i]->scheme);
        if (strncmp(url, engines[i]->scheme, n) == 0 && url[n] == ':') {
            *out_rest = url + n + 1;
            return engines[i];
        }
    }
    return NULL;
}

static char *copy(const char *z)
{
    return mu_str_dup(mu_str_of(z != NULL ? z : ""));
}

/* All but the engine. */
static struct mu_journal *handle_new(const char *url, const struct mu_journal_options *opt,
                                     const struct mu_journal_user *user)
{
    struct mu_journal *j = calloc(1, sizeof *j);

    if (j == NULL)
        return NULL;
    j->host = *opt->host;
    j->user = *user;
    j->opt = *opt;
    j->opt.host = &j->host;
    j->url = copy(url);
    j->opt.data_dir = j->data_dir = copy(opt->data_dir);
    j->opt.advertise = j->advertise = copy(opt->advertise);
    j->engine_user = (struct mu_engine_user){ .arg = j, .on_hint = on_engine_hint, .on_fatal = on_engine_fatal };
    j->hasher = mu_hasher_new();
    j->next = j->floor = 1;
    j->last_size = MU_GENESIS_BYTES;
    j->host.random(j->host.arg, j->nonce, sizeof j->nonce);
    mu_follow_init(j);
    mu_load_init(j);
    mu_lead_init(j);
    mu_append_init(j);
    mu_save_init(j);
    return j;
}

static void handle_free(struct mu_journal *j)
{
    mu_append_free_all(j);
    mu_lead_free_all(j);
    mu_hasher_free(j->hasher);
    mu_hasher_free(j->load.digest);
    mu_hasher_free(j->save.digest);
    free(j->save.buf);
    mu_buf_fini(&j->genesis_bytes);
    free(j->url);
    free(j->data_dir);
    free(j->advertise);
    free(j);
}

enum mu_rc mu_journal_open(struct mu_journal **out_journal, const char *url, const struct mu_journal_options *opt,
                           const struct mu_journal_user *user, struct mu_err *err)
{
    const char *rest = NULL;
    const struct mu_engine_ops *ops = find_engine(url, &rest);
    struct mu_journal *j;
    enum mu_rc rc;

    MU_ASSERT(opt->host != NULL && user->on_commit != NULL && user->on_fatal != NULL);
    if (ops == NULL)
        return mu_fail_at(err, MU_INVALID, "journal", "journal \"%s\" is none of memory:NAME, sqlite:, sqlite:PATH", url);
    j = handle_new(url, opt, user);
    if (j == NULL || j->hasher == NULL || j->load.digest == NULL || j->save.digest == NULL) {
        rc = mu_fail(err, MU_NOMEM, "journal %s: no memory or no SHA-256", url);
        goto undo;
    }
    rc = ops->open(&j->engine, rest, &j->opt, &j->engine_user, err);
    if (rc != MU_OK)
        goto undo;
    ops->limits(j->engine, &j->limits);
    mu_follow_open(j);
    *out_journal = j;
    return MU_OK;
undo:
    if (j != NULL)
        handle_free(j);
    return rc;
}

static void handle_end(struct mu_journal *j, bool silent)
{
    j->dead = true;
    timers_stop(j);
    j->engine->ops->close(j->engine);
    if (!silent) {
        mu_append_drain(j, MU_JOURNAL_CLOSED);
        mu_lead_end_confirms(j, MU_JOURNAL_CLOSED);
        mu_save_stop(j);
    }
    handle_free(j);
}

void mu_journal_close(struct mu_journal *j)
{
    if (j != NULL)
        handle_end(j, false);
}

void mu_journal_drop(struct mu_journal *j)
{
    handle_end(j, true);
}

uint64_t mu_journal_floor(const struct mu_journal *j)
{
    return j->floor;
}

uint64_t mu_journal_tail(const struct mu_journal *j)
{
    return j->next - 1;
}

void mu_journal_limits_get(const struct mu_journal *j, struct mu_journal_limits *out)
{
    j->engine->ops->limits(j->engine, out);
}

const uint8_t *mu_journal_cluster_id(const struct mu_journal *j)
{
    return j->cluster;
}
