/* server/api_nodes.c -- nodes, policies and quotas: reading them, and an operator's word about them. */
#include "server/api.h"

#include "wire/json.h"

/* ---- nodes ---- */

static const struct mu_node *node_find(struct mu_call *c)
{
    const struct mu_node *n = mu_view_node_named(mu_ctl_core(c->sv->ctl), mu_str_of(c->name));

    if (n == NULL)
        mu_call_failf(c, MU_NOTFOUND, "", "there is no node \"%s\"", c->name);
    return n;
}

static void show_node(struct mu_call *c, struct mu_buf *b, const struct mu_node *n)
{
    mu_show_node(b, mu_ctl_core(c->sv->ctl), n, n->state == MU_NODE_DOWN ? NULL : mu_ctl_node_ping(c->sv->ctl, n->id));
}

void mu_api_nodes_list(struct mu_call *c)
{
    const struct mu_core *core = mu_ctl_core(c->sv->ctl);
    struct mu_buf b = { 0 };

    mu_json_open(&b, '{');
    mu_json_kopen(&b, "nodes", '[');
    for (uint32_t i = 0; i < mu_view_nodes(core); i++)
        show_node(c, &b, mu_view_node(core, i));
    mu_json_close(&b, '[');
    mu_json_close(&b, '{');
    mu_call_json(c, 200, &b);
    mu_buf_fini(&b);
}

void mu_api_node_get(struct mu_call *c)
{
    const struct mu_node *n = node_find(c);
    struct mu_buf b = { 0 };

    if (n == NULL)
        return;
    show_node(c, &b, n);
    mu_call_json(c, 200, &b);
    mu_buf_fini(&b);
}

static void on_node_set(struct mu_ask *ask)
{
    struct mu_call *c = MU_CONTAINER(ask, struct mu_call, ask);

    if (ask->reply.rc == MU_OK)
        mu_api_node_get(c);
    else
        mu_call_fail(c, &ask->err);
}

static void node_drain(struct mu_call *c, bool drain)
{
    const struct mu_node *n = node_find(c);

    if (n == NULL)
        return;
    mu_ask_init(&c->ask, c->sv, on_node_set);
    mu_ask_event(&c->ask, &(struct mu_event){ .kind = MU_EV_NODE_SET,
        .node_set = { .node = n->id, .set_drain = true, .drain = drain, .by = mu_str_of(c->user) } });
}

void mu_api_node_drain(struct mu_call *c) { node_drain(c, true); }
void mu_api_node_resume(struct mu_call *c) { node_drain(c, false); }

/* One label after the other: each is an event of its own, the answer comes with the last. */
struct labels {
    struct mu_strs all;
    uint32_t done;
};

static void on_label_set(struct mu_ask *ask)
{
    struct mu_call *c = MU_CONTAINER(ask, struct mu_call, ask);
    struct labels *l = c->state;
    const struct mu_node *n;

    if (ask->reply.rc != MU_OK) {
        mu_call_fail(c, &ask->err);
        return;
    }
    if (l->done == l->all.count) {
        mu_api_node_get(c);
        return;
    }
    n = node_find(c);
    if (n == NULL)
        return;
    mu_ask_init(&c->ask, c->sv, on_label_set);
    mu_ask_event(&c->ask, &(struct mu_event){ .kind = MU_EV_NODE_SET,
        .node_set = { .node = n->id, .label = l->all.at[l->done++], .by = mu_str_of(c->user) } });
    mu_server_again(c->sv);
}

static bool is_word(struct mu_str s, bool empty_allowed)
{
    for (uint32_t i = 0; i < s.size; i++)
        if ((uint8_t)s.at[i] <= ' ' || s.at[i] == 0x7f || s.at[i] == '=')
            return false;
    return s.size <= MU_NAME_MAX / 2 && (empty_allowed || s.size > 0) && mu_utf8_valid(s);
}

static enum mu_rc labels_read(struct mu_call *c, struct labels *l, struct mu_err *err)
{
    struct json_t *root = NULL;
    struct mu_json_in in;
    struct mu_str key, value;
    enum mu_rc rc = mu_json_load(&root, mu_req_body(c->req), err);

    if (rc == MU_OK)
        rc = mu_json_in_root(&in, root, err);
    for (size_t i = 0; rc == MU_OK && mu_json_in_pair(&in, &key, &value); i++) {
        struct mu_buf b = { 0 };
        if (i == 64)
            rc = mu_fail(err, MU_TOOBIG, "more than 64 labels at once");
        else if (!is_word(key, false) || !is_word(value, true))
            rc = mu_fail_at(err, MU_INVALID, "label", "labels are words without blanks and \"=\", of at most %d bytes", MU_NAME_MAX / 2);
        if (rc != MU_OK)
            break;
        mu_buf_printf(&b, MU_STR_FMT "=" MU_STR_FMT, MU_STR_ARG(key), MU_STR_ARG(value));
        l->all.at[i] = (struct mu_str){ mu_arena_strdup(&c->arena, (char *)b.at, b.size), (uint32_t)b.size };
        l->all.count++;
        mu_buf_fini(&b);
    }
    if (rc == MU_OK)
        rc = in.rc;
    if (rc == MU_OK && l->all.count == 0)
        rc = mu_fail(err, MU_INVALID, "no label is given: {\"KEY\":\"VALUE\"}");
    mu_json_free(root);
    return rc;
}

void mu_api_node_label(struct mu_call *c)
{
    struct labels *l = mu_arena_alloc(&c->arena, sizeof *l);
    struct mu_err err = { 0 };

    if (node_find(c) == NULL)
        return;
    l->all.at = mu_arena_alloc(&c->arena, 64 * sizeof *l->all.at);
    c->state = l;
    if (labels_read(c, l, &err) != MU_OK) {
        mu_call_fail(c, &err);
        return;
    }
    c->ask.reply.rc = MU_OK;
    on_label_set(&c->ask);
}

/* ---- policies ---- */

static void show_policy(struct mu_call *c, struct mu_buf *b, const char *kind)
{
    struct mu_policy_view p = mu_view_policy(mu_ctl_core(c->sv->ctl), kind);

    mu_json_kopen(b, kind, '{');
    mu_json_kstr(b, "name", p.name);
    mu_json_kopen(b, "params", '{');
    for (uint32_t i = 0; p.params != NULL && i < p.params->count; i++) {
        struct mu_str value, key = mu_str_cut(p.params->at[i], '=', &value);
        mu_json_str(b, key);
        mu_buf_addc(b, ':');
        mu_json_str(b, value);
    }
    mu_json_close(b, '{');
    mu_json_close(b, '{');
}

static void show_available(struct mu_buf *b, const char *kind)
{
    const char *name, *about;

    mu_json_kopen(b, kind, '[');
    for (uint32_t i = 0; (name = mu_sched_policy_name(kind, i, &about)) != NULL; i++) {
        mu_json_open(b, '{');
        mu_json_ktext(b, "name", name);
        mu_json_ktext(b, "about", about);
        mu_json_close(b, '{');
    }
    mu_json_close(b, '[');
}

void mu_api_policies_get(struct mu_call *c)
{
    struct mu_buf b = { 0 };

    mu_json_open(&b, '{');
    show_policy(c, &b, "order");
    show_policy(c, &b, "place");
    mu_json_kopen(&b, "available", '{');
    show_available(&b, "order");
    show_available(&b, "place");
    mu_json_close(&b, '{');
    mu_json_close(&b, '{');
    mu_call_json(c, 200, &b);
    mu_buf_fini(&b);
}

struct choice {
    const char *kind;
    bool given;
    struct mu_str name, params[32];
    uint32_t count;
};

static struct mu_str kept(struct mu_call *c, struct mu_str a, const char *between, struct mu_str b)
{
    struct mu_buf text = { 0 };
    struct mu_str out;

    mu_buf_printf(&text, MU_STR_FMT "%s" MU_STR_FMT, MU_STR_ARG(a), between, MU_STR_ARG(b));
    out = (struct mu_str){ mu_arena_strdup(&c->arena, (char *)text.at, text.size), (uint32_t)text.size };
    mu_buf_fini(&text);
    return out;
}

/* "order": "fair", or {"name":"fair","params":{"half_life":"1h"}}; a parameter may be a number. */
static void choice_read(struct mu_call *c, struct mu_json_in *in, struct choice *ch)
{
    struct mu_json_in obj, params;
    struct mu_str key, value, name = { 0 };

    if (!mu_json_in_has(in, ch->kind))
        return;
    ch->given = true;
    if (!mu_json_in_obj(in, ch->kind, &obj))
        return;
    if (!mu_json_in_str(&obj, "name", &name))
        mu_json_in_want(&obj, "name");
    ch->name = kept(c, name, "", (struct mu_str){ 0 });
    if (mu_json_in_has(&obj, "params") && mu_json_in_obj(&obj, "params", &params)) {
        while (ch->count < MU_COUNT(ch->params) && mu_json_in_pair(&params, &key, &value))
            ch->params[ch->count++] = kept(c, key, "=", value);
        obj.rc = params.rc; /* its keys are free: there are no unknown ones */
    }
    mu_json_in_end(&obj);
}

struct choices {
    struct choice of[2];
    uint32_t done;
};

static void on_policy_set(struct mu_ask *ask)
{
    struct mu_call *c = MU_CONTAINER(ask, struct mu_call, ask);
    struct choices *all = c->state;

    if (ask->reply.rc != MU_OK) {
        mu_call_fail(c, &ask->err);
        return;
    }
    while (all->done < MU_COUNT(all->of) && !all->of[all->done].given)
        all->done++;
    if (all->done == MU_COUNT(all->of)) {
        mu_api_policies_get(c);
        return;
    }
    struct choice *ch = &all->of[all->done++];
    mu_ask_init(&c->ask, c->sv, on_policy_set);
    mu_ask_event(&c->ask, &(struct mu_event){ .kind = MU_EV_POLICY, .policy = {
        .kind = mu_str_of(ch->kind), .name = ch->name, .params = { ch->params, ch->count }, .by = mu_str_of(c->user) } });
    mu_server_again(c->sv);
}

/* Both are looked at before either is set: nothing half done. */
static enum mu_rc choices_read(struct mu_call *c, struct choices *all, struct mu_err *err)
{
    struct json_t *root = NULL;
    struct mu_json_in in;
    enum mu_rc rc = mu_json_load(&root, mu_req_body(c->req), err);

    if (rc == MU_OK)
        rc = mu_json_in_root(&in, root, err);
    if (rc == MU_OK) {
        for (size_t i = 0; i < MU_COUNT(all->of); i++)
            choice_read(c, &in, &all->of[i]);
        mu_json_in_has(&in, "available"); /* what GET answered may be sent back */
        rc = mu_json_in_end(&in);
    }
    for (size_t i = 0; rc == MU_OK && i < MU_COUNT(all->of); i++)
        if (all->of[i].given)
            rc = mu_sched_policy_check(mu_str_of(all->of[i].kind), all->of[i].name,
                                       &(struct mu_strs){ all->of[i].params, all->of[i].count }, err);
    if (rc == MU_OK && !all->of[0].given && !all->of[1].given)
        rc = mu_fail(err, MU_INVALID, "nothing is chosen: {\"order\":{\"name\":...},\"place\":{...}}");
    mu_json_free(root);
    return rc;
}

void mu_api_policies_put(struct mu_call *c)
{
    struct choices *all = mu_arena_alloc(&c->arena, sizeof *all);
    struct mu_err err = { 0 };

    all->of[0].kind = "order";
    all->of[1].kind = "place";
    c->state = all;
    if (choices_read(c, all, &err) != MU_OK) {
        mu_call_fail(c, &err);
        return;
    }
    c->ask.reply.rc = MU_OK;
    on_policy_set(&c->ask);
}

/* ---- quotas ---- */

static void show_user(struct mu_call *c, struct mu_buf *b, const struct mu_user *u)
{
    mu_json_open(b, '{');
    mu_json_kstr(b, "user", mu_view_word(mu_ctl_core(c->sv->ctl), u->id));
    mu_json_key(b, "waiting_max");
    if (u->waiting_max) mu_json_u64(b, u->waiting_max); else mu_json_null(b);
    mu_json_key(b, "cpus_max");
    if (u->cpu_milli_max) mu_json_fixed(b, u->cpu_milli_max, 3); else mu_json_null(b);
    mu_json_ku64(b, "weight", u->weight);
    mu_json_ku64(b, "waiting", u->waiting);
    mu_json_kfixed(b, "cpus_used", u->live.amount[MU_RES_CPU], 3);
    mu_json_close(b, '{');
}

void mu_api_quotas_get(struct mu_call *c)
{
    const struct mu_user **users;
    uint32_t n = mu_view_users(mu_ctl_core(c->sv->ctl), &users);
    struct mu_buf b = { 0 };

    mu_json_open(&b, '{');
    mu_json_kopen(&b, "quotas", '[');
    for (uint32_t i = 0; i < n; i++)
        show_user(c, &b, users[i]);
    mu_json_close(&b, '[');
    mu_json_close(&b, '{');
    mu_call_json(c, 200, &b);
    mu_buf_fini(&b);
}

static void on_quota_set(struct mu_ask *ask)
{
    struct mu_call *c = MU_CONTAINER(ask, struct mu_call, ask);
    const struct mu_core *core = mu_ctl_core(c->sv->ctl);
    const struct mu_user *u = mu_view_user(core, mu_view_word_id(core, mu_str_of(c->name)));
    struct mu_buf b = { 0 };

    if (ask->reply.rc != MU_OK || u == NULL) {
        mu_call_fail(c, &ask->err);
        return;
    }
    show_user(c, &b, u);
    mu_call_json(c, 200, &b);
    mu_buf_fini(&b);
}

/* What is absent stays as it is; 0 takes a limit away. */
static enum mu_rc quota_read(struct mu_call *c, struct mu_ev_quota *q, struct mu_err *err)
{
    const struct mu_core *core = mu_ctl_core(c->sv->ctl);
    const struct mu_user *u = mu_view_user(core, mu_view_word_id(core, mu_str_of(c->name)));
    struct json_t *root = NULL;
    struct mu_json_in in;
    uint64_t weight = u ? u->weight : 1;
    double cpus;
    enum mu_rc rc = mu_json_load(&root, mu_req_body(c->req), err);

    *q = (struct mu_ev_quota){ .user = mu_str_of(c->name), .waiting_max = u ? u->waiting_max : 0,
                               .cpu_milli_max = u ? u->cpu_milli_max : 0, .by = mu_str_of(c->user) };
    if (rc == MU_OK)
        rc = mu_json_in_root(&in, root, err);
    if (rc == MU_OK) {
        mu_json_in_u64(&in, "waiting_max", UINT64_MAX / 2, &q->waiting_max);
        mu_json_in_u64(&in, "weight", 1000000, &weight);
        if (mu_json_in_real(&in, "cpus_max", &cpus)) {
            if (cpus < 0 || cpus > 1e9)
                mu_json_in_refuse(&in, "cpus_max", "must be from 0 to 1e9");
            else
                q->cpu_milli_max = (uint64_t)(cpus * 1000 + 0.5);
        }
        if (weight == 0)
            mu_json_in_refuse(&in, "weight", "must be at least 1");
        rc = mu_json_in_end(&in);
    }
    q->weight = (uint32_t)weight;
    mu_json_free(root);
    return rc;
}

void mu_api_quota_put(struct mu_call *c)
{
    struct mu_event ev = { .kind = MU_EV_QUOTA };
    struct mu_err err = { 0 };

    if (quota_read(c, &ev.quota, &err) != MU_OK) {
        mu_call_fail(c, &err);
        return;
    }
    mu_ask_init(&c->ask, c->sv, on_quota_set);
    mu_ask_event(&c->ask, &ev);
}
