/* A world of stores, and clients that reach them by packets which may be late, lost or doubled. */
#include "journal/memory/memory.h"

#include "base/rng.h"
#include "journal/handle.h"
#include "journal/memory/store.h"

#include <stdlib.h>
#include <string.h>

enum { RECORD_MAX = 16 << 20, CHUNK_MAX = 1 << 20, INFLIGHT_MAX = 8, LEAD_POLL_MS = 200 };

struct mu_memory {
    struct mu_journal_host host;
    struct mu_rng rng;
    uint32_t lease_ms, timeout_ms, wait_ms;
    struct mu_list stores, packets;
    uint64_t holders; /* handles ever opened */
    bool private_one; /* belongs to its only handle */
};

/* One handle's end of the wire. Lives until its last request is forgotten. */
struct client {
    struct mu_engine engine;
    struct mu_memory *world;
    struct mu_store *store;
    const struct mu_journal_options *opt; /* NULL once closed */
    const struct mu_engine_user *user;
    struct mu_memory_faults faults;
    uint64_t holder, refs;
    uint64_t request_due_ns, reply_due_ns; /* packets do not overtake */
    struct mu_list asks;                   /* requests whose call is open */
    struct mu_engine_call *leading;        /* the LEAD call that is out */
    void *lead_timer, *end_timer;
    struct mu_list ending; /* calls that end without the wire */
    uint64_t token_seen;   /* what the store said last */
    uint64_t hinted;
    bool hurry, broken;
};

/* A request on its way or answered; shared by its packets. */
struct ask {
    struct mu_list link, waiting; /* of the client, of the store's waiters */
    struct client *client;
    struct mu_engine_call *call; /* NULL: over for the caller */
    struct mu_store_ask store;
    void *timer;
    unsigned refs;
};

struct reply {
    enum mu_engine_end end;
    uint64_t token, lease_ms, wait_ms;
    char *leader;
    bool leader_is_us;
    struct mu_engine_item *items; /* bytes stand behind them */
    uint32_t count;
    unsigned refs;
};

struct packet {
    struct mu_list link;
    struct mu_memory *world;
    struct ask *ask;
    struct reply *reply; /* NULL: a request */
    void *timer;
};

static void client_unref(struct client *c)
{
    if (--c->refs == 0)
        free(c);
}

static void ask_unref(struct ask *a)
{
    if (--a->refs > 0)
        return;
    mu_list_remove(&a->waiting);
    free((void *)a->store.call.bytes);
    free((void *)a->store.addr);
    client_unref(a->client);
    free(a);
}

static void reply_unref(struct reply *r)
{
    if (r == NULL || --r->refs > 0)
        return;
    free(r->leader);
    free(r->items);
    free(r);
}

static void packet_free(struct packet *p)
{
    mu_list_remove(&p->link);
    reply_unref(p->reply);
    ask_unref(p->ask);
    free(p);
}

static bool chance(struct mu_memory *w, uint32_t thousandths)
{
    return thousandths != 0 && mu_rng_below(&w->rng, 1000) < thousandths;
}

static uint32_t between(struct mu_memory *w, uint32_t low, uint32_t high)
{
    return high <= low ? low : low + mu_rng_below(&w->rng, high - low + 1);
}

static void on_packet(void *arg);

static void packet_send(struct ask *a, struct reply *r, uint64_t delay_ms)
{
    struct mu_memory *w = a->client->world;
    struct packet *p = calloc(1, sizeof *p);

    MU_ASSERT(p != NULL);
    p->world = w;
    p->ask = a;
    p->reply = r;
    a->refs++;
    if (r != NULL)
        r->refs++;
    mu_list_add_tail(&w->packets, &p->link);
    p->timer = w->host.after(w->host.arg, delay_ms, on_packet, p);
}

/* First copy in order, second copy whenever; r NULL: a request. */
static void travel(struct ask *a, struct reply *r)
{
    struct client *c = a->client;
    struct mu_memory *w = c->world;
    const struct mu_memory_faults *f = &c->faults;
    uint64_t *due = r != NULL ? &c->reply_due_ns : &c->request_due_ns;
    uint64_t now = w->host.boot_ns(w->host.arg);
    uint64_t at = now + between(w, f->delay_min_ms, f->delay_max_ms) * UINT64_C(1000000);
    bool lost = (r != NULL ? f->cut_reply : f->cut_request) || chance(w, r != NULL ? f->lose_reply : f->lose_request);
    bool cut = r != NULL ? f->cut_reply : f->cut_request;

    if (at < *due && !f->overtake)
        at = *due;
    if (!lost) {
        *due = at;
        packet_send(a, r, (at - now + 999999) / 1000000);
    }
    if (!cut && chance(w, r != NULL ? f->twice_reply : f->twice_request))
        packet_send(a, r, (at - now + 999999) / 1000000 + between(w, 0, f->late_max_ms));
}

static struct mu_engine_call *ask_end(struct ask *a)
{
    struct mu_engine_call *call = a->call;
    struct client *c = a->client;

    a->call = NULL;
    mu_list_remove(&a->link);
    if (a->timer != NULL)
        c->opt->host->cancel(c->opt->host->arg, a->timer);
    a->timer = NULL;
    ask_unref(a);
    return call;
}

static void lead_retry(struct client *c, uint64_t delay_ms);

static void on_timeout(void *arg)
{
    struct ask *a = arg;
    struct client *c = a->client;
    struct mu_engine_call *call;

    a->timer = NULL;
    call = ask_end(a);
    if (call == c->leading)
        lead_retry(c, 0);
    else
        call->done(call->arg, &(struct mu_engine_answer){ .end = MU_ENGINE_UNKNOWN });
}

static void ask_send(struct client *c, struct mu_engine_call *call)
{
    struct ask *a = calloc(1, sizeof *a);
    uint32_t limit_ms = call->verb == MU_ENGINE_WAIT ? c->world->wait_ms : c->world->timeout_ms;

    MU_ASSERT(a != NULL);
    a->client = c;
    c->refs++;
    a->call = call;
    a->refs = 1;
    mu_list_init(&a->waiting);
    mu_list_add_tail(&c->asks, &a->link);
    a->store = (struct mu_store_ask){ .call = *call, .holder = c->holder, .expect = c->token_seen, .hurry = c->hurry };
    a->store.addr = mu_str_dup(mu_str_of(c->opt->advertise));
    a->store.call.bytes = NULL;
    if (call->bytes != NULL) {
        uint8_t *bytes = malloc(call->size + 1);
        MU_ASSERT(bytes != NULL);
        memcpy(bytes, call->bytes, call->size);
        a->store.call.bytes = bytes;
    }
    a->timer = c->opt->host->after(c->opt->host->arg, limit_ms, on_timeout, a);
    travel(a, NULL);
}

/* -- the store's end -- */

static void reply_items(struct reply *r, const struct mu_buf *items)
{
    const struct mu_engine_item *in = (const void *)items->at;
    size_t bytes = 0;
    uint8_t *at;

    r->count = (uint32_t)(items->size / sizeof *in);
    for (uint32_t i = 0; i < r->count; i++)
        bytes += in[i].size;
    r->items = malloc(items->size + bytes + 1);
    MU_ASSERT(r->items != NULL);
    at = (uint8_t *)(r->items + r->count);
    for (uint32_t i = 0; i < r->count; i++) {
        r->items[i] = (struct mu_engine_item){ .key = in[i].key, .at = at, .size = in[i].size };
        memcpy(at, in[i].at, in[i].size);
        at += in[i].size;
    }
}

static struct reply *reply_new(struct ask *a, enum mu_engine_end end, const struct mu_buf *items)
{
    struct mu_memory *w = a->client->world;
    struct mu_store *s = a->client->store;
    struct reply *r = calloc(1, sizeof *r);
    uint64_t now = w->host.boot_ns(w->host.arg);

    MU_ASSERT(r != NULL);
    r->end = end;
    r->refs = 1;
    r->token = s->token;
    r->lease_ms = w->lease_ms;
    r->wait_ms = s->lease_until_ns > now ? (s->lease_until_ns - now) / 1000000 + 1 : 0;
    r->leader = mu_str_dup(mu_str_of(s->holder_addr));
    r->leader_is_us = s->holder == a->client->holder;
    reply_items(r, items);
    return r;
}

static void answer(struct ask *a, enum mu_engine_end end, const struct mu_buf *items)
{
    struct reply *r = reply_new(a, end, items);

    travel(a, r);
    reply_unref(r);
}

/* Whoever waits for a record that is there now. */
static void wake(struct mu_store *s)
{
    MU_LIST_EACH_SAFE(it, &s->waiters) {
        struct ask *a = MU_CONTAINER(it, struct ask, waiting);
        if (!mu_store_has(s, a->store.call.seq) && a->store.call.seq >= s->first)
            continue;
        mu_list_remove(it);
        answer(a, MU_ENGINE_OK, &(struct mu_buf){ 0 });
        ask_unref(a);
    }
}

static void wait_add(struct mu_store *s, struct ask *a)
{
    MU_LIST_EACH_SAFE(it, &s->waiters) { /* a client waits for one thing: the older request is forgotten */
        struct ask *other = MU_CONTAINER(it, struct ask, waiting);
        if (other->client == a->client) {
            mu_list_remove(it);
            ask_unref(other);
        }
    }
    a->refs++;
    mu_list_add_tail(&s->waiters, &a->waiting);
    wake(s);
}

static void arrive(struct ask *a)
{
    struct mu_memory *w = a->client->world;
    struct mu_store *s = a->client->store;
    struct mu_buf items = { 0 };
    enum mu_engine_end end;

    if (a->store.refused)
        return;
    if (a->store.call.verb == MU_ENGINE_WAIT) {
        wait_add(s, a);
        return;
    }
    end = mu_store_do(s, &a->store, w->host.boot_ns(w->host.arg), w->lease_ms * UINT64_C(1000000), &items);
    answer(a, end, &items);
    mu_buf_fini(&items);
    wake(s);
}

/* -- the client's end -- */

static void lead_send(void *arg)
{
    struct client *c = arg;

    c->lead_timer = NULL;
    if (c->leading != NULL)
        ask_send(c, c->leading);
}

static void lead_retry(struct client *c, uint64_t delay_ms)
{
    MU_ASSERT(c->lead_timer == NULL);
    c->lead_timer = c->opt->host->after(c->opt->host->arg, delay_ms, lead_send, c);
}

/* An attempt that came too early, or believed in an older token. */
static void lead_refused(struct client *c, const struct reply *r)
{
    uint64_t wait_ms = r->leader_is_us || c->hurry ? 0 : r->wait_ms;

    if (wait_ms > LEAD_POLL_MS)
        wait_ms = LEAD_POLL_MS;
    lead_retry(c, wait_ms == 0 ? 0 : wait_ms + mu_rng_below(&c->world->rng, 10));
}

static void hint(struct client *c, const struct reply *r)
{
    if (r->token <= c->hinted || r->leader_is_us || r->leader[0] == '\0')
        return;
    c->hinted = r->token;
    c->user->on_hint(c->user->arg, r->leader, r->token);
}

static void take(struct ask *a, const struct reply *r)
{
    struct client *c = a->client;
    struct mu_engine_call *call;
    struct mu_engine_answer out = { .end = r->end, .token = r->token, .items = r->items, .count = r->count };

    if (a->call == NULL)
        return; /* the answer came twice, or too late */
    call = ask_end(a);
    c->token_seen = r->token;
    if (call == c->leading && r->end != MU_ENGINE_OK) {
        lead_refused(c, r);
    } else {
        if (call == c->leading) {
            c->leading = NULL;
            c->hurry = false;
        }
        if (r->end == MU_ENGINE_OK && (call->verb == MU_ENGINE_LEAD || call->verb == MU_ENGINE_RENEW))
            out.lease_ms = r->lease_ms;
        if (r->end == MU_ENGINE_FULL)
            out.text = "the store has reached its quota";
        c->refs++; /* done may not close us, but stay safe against the last unref */
        call->done(call->arg, &out);
        client_unref(c);
    }
    if (c->opt != NULL)
        hint(c, r);
}

static void on_packet(void *arg)
{
    struct packet *p = arg;

    p->timer = NULL;
    if (p->reply == NULL)
        arrive(p->ask);
    else if (p->ask->client->opt != NULL)
        take(p->ask, p->reply);
    packet_free(p);
}

static void end_now(void *arg)
{
    struct client *c = arg;

    c->end_timer = NULL;
    while (c->opt != NULL && !mu_list_is_empty(&c->ending)) {
        struct mu_engine_call *call = MU_CONTAINER(c->ending.next, struct mu_engine_call, link);
        mu_list_remove(&call->link);
        call->done(call->arg, &(struct mu_engine_answer){
                                  .end = c->broken                           ? MU_ENGINE_FATAL
                                         : call->verb == MU_ENGINE_RESIGN ? MU_ENGINE_OK
                                                                          : MU_ENGINE_TOKEN,
                                  .text = c->broken ? "the disk failed" : NULL });
    }
}

static void end_later(struct client *c, struct mu_engine_call *call)
{
    mu_list_add_tail(&c->ending, &call->link);
    if (c->end_timer == NULL)
        c->end_timer = c->opt->host->after(c->opt->host->arg, 0, end_now, c);
}

static void lead_end(struct client *c)
{
    struct mu_engine_call *call = c->leading;

    if (call == NULL)
        return;
    c->leading = NULL;
    if (c->lead_timer != NULL)
        c->opt->host->cancel(c->opt->host->arg, c->lead_timer);
    c->lead_timer = NULL;
    MU_LIST_EACH_SAFE(it, &c->asks) {
        struct ask *a = MU_CONTAINER(it, struct ask, link);
        if (a->call == call)
            ask_end(a);
    }
    end_later(c, call);
}

static void memory_start(struct mu_engine *e, struct mu_engine_call *call)
{
    struct client *c = MU_CONTAINER(e, struct client, engine);

    if (c->broken) {
        end_later(c, call);
        return;
    }
    if (call->verb == MU_ENGINE_RESIGN && call->token == 0) {
        lead_end(c);
        end_later(c, call);
        return;
    }
    if (call->verb == MU_ENGINE_LEAD)
        c->leading = call;
    ask_send(c, call);
}

static void memory_hurry(struct mu_engine *e)
{
    struct client *c = MU_CONTAINER(e, struct client, engine);

    c->hurry = true;
    if (c->lead_timer != NULL) {
        c->opt->host->cancel(c->opt->host->arg, c->lead_timer);
        c->lead_timer = NULL;
        lead_retry(c, 0);
    }
}

static void memory_limits(const struct mu_engine *e, struct mu_journal_limits *out)
{
    const struct client *c = MU_CONTAINER(e, struct client, engine);

    *out = (struct mu_journal_limits){ .record_max = RECORD_MAX, .chunk_max = CHUNK_MAX, .inflight_max = INFLIGHT_MAX,
                                       .used = c->store->used, .quota = c->store->quota };
}

static void memory_close(struct mu_engine *e)
{
    struct client *c = e != NULL ? MU_CONTAINER(e, struct client, engine) : NULL;
    struct mu_memory *w;

    if (c == NULL)
        return;
    w = c->world;
    MU_LIST_EACH_SAFE(it, &c->asks)
        ask_end(MU_CONTAINER(it, struct ask, link));
    if (c->lead_timer != NULL)
        c->opt->host->cancel(c->opt->host->arg, c->lead_timer);
    if (c->end_timer != NULL)
        c->opt->host->cancel(c->opt->host->arg, c->end_timer);
    c->opt = NULL;
    client_unref(c);
    if (w->private_one)
        mu_memory_free(w);
}

static struct mu_store *store_of(struct mu_memory *m, const char *name)
{
    MU_LIST_EACH(it, &m->stores) {
        struct mu_store *s = MU_CONTAINER(it, struct mu_store, link);
        if (strcmp(s->name, name) == 0)
            return s;
    }
    struct mu_store *s = mu_store_new(name);
    mu_list_add_tail(&m->stores, &s->link);
    return s;
}

static enum mu_rc memory_open(struct mu_engine **out_engine, const char *rest, const struct mu_journal_options *opt,
                              const struct mu_engine_user *user, struct mu_err *err)
{
    struct client *c = calloc(1, sizeof *c);

    if (c == NULL)
        return mu_fail(err, MU_NOMEM, "journal memory:%s: no memory", rest);
    c->engine.ops = &mu_engine_memory;
    c->world = opt->memory;
    if (c->world == NULL) {
        c->world = mu_memory_new(opt->host, &(struct mu_memory_settings){ 0 });
        c->world->private_one = true;
    }
    c->store = store_of(c->world, rest);
    c->opt = opt;
    c->user = user;
    c->holder = ++c->world->holders;
    c->refs = 1;
    mu_list_init(&c->asks);
    mu_list_init(&c->ending);
    *out_engine = &c->engine;
    return MU_OK;
}

const struct mu_engine_ops mu_engine_memory = {
    .scheme = "memory",
    .open = memory_open,
    .start = memory_start,
    .hurry = memory_hurry,
    .limits = memory_limits,
    .close = memory_close,
};

struct mu_memory *mu_memory_new(const struct mu_journal_host *host, const struct mu_memory_settings *settings)
{
    struct mu_memory *m = calloc(1, sizeof *m);

    MU_ASSERT(m != NULL);
    m->host = *host;
    mu_rng_seed(&m->rng, settings->seed);
    m->lease_ms = settings->lease_ms != 0 ? settings->lease_ms : 3000;
    m->timeout_ms = settings->timeout_ms != 0 ? settings->timeout_ms : 1000;
    m->wait_ms = settings->wait_ms != 0 ? settings->wait_ms : 5000;
    mu_list_init(&m->stores);
    mu_list_init(&m->packets);
    return m;
}

void mu_memory_free(struct mu_memory *m)
{
    if (m == NULL)
        return;
    MU_LIST_EACH_SAFE(it, &m->stores) {
        struct mu_store *s = MU_CONTAINER(it, struct mu_store, link);
        MU_LIST_EACH_SAFE(wait, &s->waiters) {
            mu_list_remove(wait);
            ask_unref(MU_CONTAINER(wait, struct ask, waiting));
        }
    }
    MU_LIST_EACH_SAFE(it, &m->packets) {
        struct packet *p = MU_CONTAINER(it, struct packet, link);
        m->host.cancel(m->host.arg, p->timer);
        packet_free(p);
    }
    MU_LIST_EACH_SAFE(it, &m->stores)
        mu_store_free(MU_CONTAINER(it, struct mu_store, link));
    free(m);
}

static struct client *client_of(struct mu_journal *j)
{
    MU_ASSERT(j->engine->ops == &mu_engine_memory);
    return MU_CONTAINER(j->engine, struct client, engine);
}

void mu_memory_faults_set(struct mu_journal *j, const struct mu_memory_faults *faults)
{
    client_of(j)->faults = *faults;
}

void mu_memory_crash(struct mu_journal *j)
{
    mu_journal_drop(j);
}

void mu_memory_break(struct mu_journal *j)
{
    client_of(j)->broken = true;
}

void mu_memory_quota_set(struct mu_memory *m, const char *name, uint64_t bytes)
{
    store_of(m, name)->quota = bytes;
}

uint64_t mu_memory_used(struct mu_memory *m, const char *name)
{
    return store_of(m, name)->used;
}

bool mu_memory_flip(struct mu_memory *m, const char *name, enum mu_memory_part part, uint64_t key, uint64_t bit)
{
    struct mu_store *s = store_of(m, name);
    struct mu_store_snap *snap = mu_store_newest(s);
    struct mu_store_blob *b = NULL;

    if (part == MU_MEMORY_RECORD)
        b = mu_store_record(s, key);
    else if (part == MU_MEMORY_CHUNK && snap != NULL && key < snap->chunk_count)
        b = &snap->chunks[key];
    else if (part == MU_MEMORY_MANIFEST && snap != NULL)
        b = &snap->seal;
    if (b == NULL || b->size == 0)
        return false;
    b->at[bit / 8 % b->size] ^= (uint8_t)(1u << (bit % 8));
    return true;
}

void mu_memory_lose_tail(struct mu_memory *m, const char *name, uint64_t count)
{
    mu_store_lose_tail(store_of(m, name), count);
}

void mu_memory_span(struct mu_memory *m, const char *name, uint64_t *out_first, uint64_t *out_last)
{
    const struct mu_store *s = store_of(m, name);

    *out_first = s->count != 0 ? s->first : 0;
    *out_last = s->count != 0 ? s->first + s->count - 1 : 0;
}

const uint8_t *mu_memory_record(struct mu_memory *m, const char *name, uint64_t seq, size_t *out_size)
{
    struct mu_store_blob *b = mu_store_record(store_of(m, name), seq);

    *out_size = b != NULL ? b->size : 0;
    return b != NULL ? b->at : NULL;
}
