/* Requests: refused at once, or proposed and answered when durable. One whose key is in flight follows the first;
 * a job too large for one event is proposed in pieces and answered once. */

#include "server/ctl_impl.h"

#include "base/hash.h"

/* Room left in an event for the head of a job and the tags around its groups. */
enum { PIECE_HEAD = 4096, PIECE_MAX = MU_EVENT_BYTES_MAX - PIECE_HEAD };

static struct mu_ctl_request *request_of(struct mu_list *link)
{
    return MU_CONTAINER(link, struct mu_ctl_request, link);
}

static uint64_t token_key(const void *token)
{
    return (uint64_t)(uintptr_t)token;
}

static uint64_t key_hash(struct mu_str key)
{
    return mu_hash(key.at, key.size, 0);
}

/* ---- life of a request ---- */

static struct mu_ctl_request *request_new(struct mu_ctl *ctl, void *token)
{
    struct mu_ctl_request *r;

    MU_ASSERT(token != NULL && mu_map_find(&ctl->tokens, token_key(token)) == NULL);
    if (!mu_list_is_empty(&ctl->requests_spare)) {
        r = request_of(ctl->requests_spare.next);
        mu_list_remove(&r->link);
    } else {
        r = calloc(1, sizeof *r);
        MU_ASSERT(r != NULL);
        mu_list_init(&r->link);
        mu_list_init(&r->feed_link);
        mu_list_init(&r->followers);
    }
    r->token = token;
    r->appended = r->answered = false;
    r->marks = 0;
    mu_buf_clear(&r->key);
    mu_map_put_ptr(&ctl->tokens, token_key(token), r);
    mu_list_add_tail(&ctl->requests, &r->link);
    ctl->requests_count++;
    return r;
}

static void parts_free(struct mu_ctl_parts *p)
{
    if (p == NULL)
        return;
    mu_buf_fini(&p->bytes);
    mu_arena_fini(&p->arena);
    free(p);
}

static void request_release(struct mu_ctl *ctl, struct mu_ctl_request *r)
{
    if (!r->answered || r->marks > 0)
        return;
    mu_list_remove(&r->link);
    mu_list_add_head(&ctl->requests_spare, &r->link);
    ctl->requests_count--;
}

static void token_answer(struct mu_ctl *ctl, struct mu_ctl_request *r, const struct mu_ctl_reply *reply)
{
    void *token = r->token;

    r->token = NULL;
    r->answered = true;
    if (token == NULL)
        return;
    mu_map_remove(&ctl->tokens, token_key(token));
    ctl->out.reply(ctl->out.arg, token, reply);
}

static void request_answer(struct mu_ctl *ctl, struct mu_ctl_request *r, const struct mu_ctl_reply *reply)
{
    struct mu_ctl_reply follow = *reply;

    MU_ASSERT(!r->answered);
    if (r->key.size > 0)
        mu_map_remove(&ctl->keys, key_hash(mu_buf_str(&r->key)));
    mu_list_remove(&r->feed_link);
    parts_free(r->parts);
    r->parts = NULL;
    token_answer(ctl, r, reply);
    follow.existing = reply->rc == MU_OK;
    while (!mu_list_is_empty(&r->followers)) {
        struct mu_ctl_request *f = request_of(r->followers.next);
        token_answer(ctl, f, &follow);
        request_release(ctl, f);
    }
    request_release(ctl, r);
}

static void refuse(struct mu_ctl *ctl, void *token, const struct mu_err *err)
{
    ctl->out.reply(ctl->out.arg, token,
                   &(struct mu_ctl_reply){ .rc = err->rc, .field = err->field[0] ? err->field : NULL, .text = err->text });
}

static void mark_request(struct mu_ctl_entry *e, struct mu_ctl_request *r)
{
    mu_ctl_mark_add(e, MU_CTL_MARK_REQUEST)->request = r;
    r->marks++;
}

void mu_ctl_request_unmark(struct mu_ctl *ctl, struct mu_ctl_request *r)
{
    MU_ASSERT(r->marks > 0);
    r->marks--;
    request_release(ctl, r);
}

/* ---- a job in pieces ---- */

static uint32_t lines_count(struct mu_str s)
{
    uint32_t n = 0;

    for (const char *at = s.at, *end = s.at + s.size; at < end; n++) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        at = nl ? nl + 1 : end;
    }
    return n;
}

/* As many whole lines as fit; 0: not even one. */
static uint32_t lines_prefix(struct mu_str s, size_t size_max)
{
    const char *nl;

    if (s.size <= size_max)
        return s.size;
    nl = memrchr(s.at, '\n', size_max);
    return nl ? (uint32_t)(nl + 1 - s.at) : 0;
}

static size_t group_size(struct mu_ctl *ctl, const struct mu_group_spec *g)
{
    struct mu_group_spec bare = *g;

    bare.lines = (struct mu_str){ 0 };
    mu_buf_clear(&ctl->scratch);
    mu_pb_put_field(&ctl->scratch, 1, &mu_group_spec_pb, &bare);
    return ctl->scratch.size + 8; /* and the head of its lines */
}

static enum mu_rc lines_check(struct mu_str lines, size_t size_max, struct mu_err *err)
{
    while (lines.size > 0) {
        uint32_t n = lines_prefix(lines, size_max);
        if (n == 0)
            return mu_fail_at(err, MU_TOOBIG, "lines", "a line is longer than %zu bytes", size_max);
        lines.at += n;
        lines.size -= n;
    }
    return MU_OK;
}

/* Can it be cut at all? */
static enum mu_rc groups_check(struct mu_ctl *ctl, const struct mu_group_spec *groups, uint32_t count, struct mu_err *err)
{
    for (uint32_t i = 0; i < count; i++) {
        size_t size = group_size(ctl, &groups[i]);
        enum mu_rc rc;

        if (size > PIECE_MAX / 2)
            return mu_fail_at(err, MU_TOOBIG, "tasks", "the description of group %u is larger than %d bytes", i, PIECE_MAX / 2);
        rc = lines_check(groups[i].lines, PIECE_MAX - size, err);
        if (rc != MU_OK)
            return rc;
    }
    return MU_OK;
}

/* The next groups that fit one event: whole ones, or the first part of one. begun is room for that one. */
static struct mu_group_spec *groups_cut(struct mu_ctl *ctl, struct mu_ctl_parts *p, struct mu_group_spec *begun, uint32_t *out_count)
{
    struct mu_group_spec *first = &p->spec.groups[p->group];
    size_t size = 0;
    uint32_t n = 0;

    MU_ASSERT(p->line == 0 && p->group < p->spec.groups_count);
    for (; p->group + n < p->spec.groups_count; n++) {
        size += group_size(ctl, &first[n]) + first[n].lines.size;
        if (size > PIECE_MAX)
            break;
        p->tasks += first[n].tasks;
    }
    *out_count = n;
    p->group += n;
    if (n > 0)
        return first;
    *begun = *first;
    begun->lines.size = lines_prefix(first->lines, PIECE_MAX - group_size(ctl, first));
    begun->tasks = lines_count(begun->lines);
    p->line = begun->lines.size;
    p->tasks += begun->tasks;
    *out_count = 1;
    return begun;
}

static struct mu_str lines_cut(struct mu_ctl_parts *p, struct mu_str all)
{
    struct mu_str cut = { all.at + p->line, all.size - (uint32_t)p->line };

    cut.size = lines_prefix(cut, PIECE_MAX);
    MU_ASSERT(cut.size > 0);
    p->line += cut.size;
    p->tasks += lines_count(cut);
    return cut;
}

static void submit_head_propose(struct mu_ctl *ctl, struct mu_ctl_request *r)
{
    struct mu_ctl_parts *p = r->parts;
    struct mu_job_spec head = p->spec;
    struct mu_group_spec begun;

    head.groups = groups_cut(ctl, p, &begun, &head.groups_count);
    if (head.open == MU_OPEN_NO)
        head.open = MU_OPEN_WHOLE;
    mu_buf_clear(&ctl->scratch);
    mu_pb_put(&ctl->scratch, &mu_job_spec_pb, &head);
    mark_request(mu_ctl_propose(ctl, MU_EV_SUBMIT, &(struct mu_ev_submit){ .spec = mu_buf_str(&ctl->scratch) }), r);
    p->pieces++;
}

static void part_propose(struct mu_ctl *ctl, struct mu_ctl_request *r)
{
    struct mu_ctl_parts *p = r->parts;
    struct mu_ev_part part = { .job = p->job, .tasks_before = p->tasks };
    struct mu_group_spec begun;

    if (p->lines.size > 0) {
        part.lines = lines_cut(p, p->lines);
        p->done = p->line == p->lines.size;
    } else if (p->line > 0) {
        part.lines = lines_cut(p, p->spec.groups[p->group].lines);
        if (p->line == p->spec.groups[p->group].lines.size) {
            p->line = 0;
            p->group++;
        }
        p->done = p->group == p->spec.groups_count;
    } else {
        part.groups = groups_cut(ctl, p, &begun, &part.groups_count);
        p->done = p->group == p->spec.groups_count;
    }
    part.last = p->done && p->last;
    mark_request(mu_ctl_propose(ctl, MU_EV_PART, &part), r);
    p->pieces++;
}

void mu_ctl_requests_feed(struct mu_ctl *ctl)
{
    while (!mu_list_is_empty(&ctl->feeding) && mu_ctl_gather_has_room(ctl)) {
        struct mu_ctl_request *r = MU_CONTAINER(ctl->feeding.next, struct mu_ctl_request, feed_link);

        part_propose(ctl, r);
        if (r->parts->done)
            mu_list_remove(&r->feed_link);
    }
    if (!mu_list_is_empty(&ctl->feeding))
        ctl->more = true;
}

/* A copy of what is to be cut: bytes is the encoding of pb. */
static struct mu_ctl_parts *parts_new(const struct mu_pb *pb, void *msg, struct mu_str bytes)
{
    struct mu_ctl_parts *p = calloc(1, sizeof *p);

    MU_ASSERT(p != NULL);
    mu_buf_add(&p->bytes, bytes.at, bytes.size);
    MU_ASSERT(mu_pb_get(pb, msg, mu_buf_str(&p->bytes), &p->arena)); /* we encoded it */
    return p;
}

/* ---- answers from commits ---- */

/* Nothing half done: what became durable of it goes. */
static void withdraw(struct mu_ctl *ctl, const struct mu_ctl_parts *p)
{
    if (p == NULL || !p->whole || p->job == 0)
        return;
    ctl->withdrawn = realloc(ctl->withdrawn, (ctl->withdrawn_count + 1) * sizeof *ctl->withdrawn);
    MU_ASSERT(ctl->withdrawn != NULL);
    ctl->withdrawn[ctl->withdrawn_count++] = p->job;
    ctl->withdrawing = false;
}

static bool is_open(const struct mu_ctl *ctl, uint64_t job)
{
    struct mu_job_view view;

    return mu_view_job(ctl->core, job, &view) && view.open;
}

void mu_ctl_requests_withdraw(struct mu_ctl *ctl)
{
    uint32_t open = 0;

    for (uint32_t i = 0; i < ctl->withdrawn_count; i++)
        if (is_open(ctl, ctl->withdrawn[i]))
            ctl->withdrawn[open++] = ctl->withdrawn[i];
    ctl->withdrawn_count = open;
    for (uint32_t i = 0; i < open && !ctl->withdrawing; i++)
        mu_ctl_propose(ctl, MU_EV_CANCEL, &(struct mu_ev_cancel){ .job = ctl->withdrawn[i] });
    ctl->withdrawing = open > 0;
}

static void piece_replied(struct mu_ctl *ctl, struct mu_ctl_request *r, const struct mu_ctl_reply *reply)
{
    struct mu_ctl_parts *p = r->parts;
    struct mu_ctl_reply whole = { .rc = MU_OK, .existing = p->again };

    p->pieces--;
    if (reply->rc != MU_OK || (p->job == 0 && reply->existing)) {
        withdraw(ctl, p);
        request_answer(ctl, r, reply);
        return;
    }
    if (p->job == 0) {
        p->job = reply->job;
        p->done = p->line == 0 && p->group == p->spec.groups_count;
        if (!p->done)
            mu_list_add_tail(&ctl->feeding, &r->feed_link);
    }
    whole.job = p->job;
    if (p->done && p->pieces == 0)
        request_answer(ctl, r, &whole);
}

void mu_ctl_request_replied(struct mu_ctl *ctl, struct mu_ctl_request *r, const struct mu_ctl_reply *reply)
{
    if (r->answered)
        return;
    if (r->parts)
        piece_replied(ctl, r, reply);
    else
        request_answer(ctl, r, reply);
}

void mu_ctl_requests_fail(struct mu_ctl *ctl, enum mu_rc rc, enum mu_rc appended_rc, const char *text)
{
    MU_LIST_EACH_SAFE(it, &ctl->requests) {
        struct mu_ctl_request *r = request_of(it);
        if (r->answered)
            continue;
        withdraw(ctl, r->parts);
        request_answer(ctl, r, &(struct mu_ctl_reply){ .rc = r->appended ? appended_rc : rc, .text = text });
    }
}

/* ---- requests ---- */

static enum mu_rc may_ask(const struct mu_ctl *ctl, struct mu_err *err)
{
    if (!ctl->leads)
        return mu_fail(err, MU_NOTLEADER, "this server does not lead");
    if (ctl->full || ctl->full_until_ms != 0)
        return mu_fail(err, MU_FULL, "the journal has no space left");
    if (ctl->stuck)
        return mu_fail(err, MU_NOTLEADER, "this server is losing the lead");
    if (ctl->requests_count >= ctl->opt.requests_max)
        return mu_fail(err, MU_BUSY, "%u requests are waiting already", ctl->requests_count);
    if (ctl->queued_bytes >= ctl->opt.gather_max)
        return mu_fail(err, MU_BUSY, "%zu bytes wait for the journal already", ctl->queued_bytes);
    return MU_OK;
}

static bool node_has_labels(const struct mu_core *core, const struct mu_node *n, const struct mu_strs *labels)
{
    for (uint32_t i = 0; i < labels->count; i++) {
        uint32_t word = mu_view_word_id(core, labels->at[i]), k = 0;

        while (k < n->labels.count && n->labels.at[k] != word)
            k++;
        if (word == 0 || k == n->labels.count)
            return false;
    }
    return true;
}

/* each_node "*" becomes the names of the nodes that match now, in order of their ids. */
static enum mu_rc each_node_expand(struct mu_ctl *ctl, struct mu_group_spec *g, struct mu_err *err)
{
    uint32_t nodes = mu_view_nodes(ctl->core), n = 0;
    struct mu_str *names = mu_arena_alloc(&ctl->arena, (nodes + 1) * sizeof *names);

    for (uint32_t i = 0; i < nodes; i++) {
        const struct mu_node *node = mu_view_node(ctl->core, i);
        bool there = node->state == MU_NODE_UP || node->state == MU_NODE_DRAINING;
        bool named = g->node.size == 0 || mu_str_is(g->node, node->name);

        if (there && named && node_has_labels(ctl->core, node, &g->labels))
            names[n++] = mu_str_of(node->name);
    }
    if (n == 0)
        return mu_fail_at(err, MU_IMPOSSIBLE, "each_node", "no node that is there matches");
    g->each_node = (struct mu_strs){ names, n };
    g->tasks = n;
    return MU_OK;
}

static struct mu_group_spec *groups_copy(struct mu_ctl *ctl, const struct mu_group_spec *groups, uint32_t count)
{
    struct mu_group_spec *copy;

    mu_arena_reset(&ctl->arena);
    copy = mu_arena_alloc(&ctl->arena, (count + 1) * sizeof *copy);
    if (count > 0)
        memcpy(copy, groups, count * sizeof *copy);
    return copy;
}

/* Checks that need sched or the nodes of this moment; groups is a copy that may be changed. */
static enum mu_rc groups_prepare(struct mu_ctl *ctl, struct mu_group_spec *groups, uint32_t count, struct mu_err *err)
{
    static const struct mu_strs none;
    enum mu_rc rc;

    for (uint32_t i = 0; i < count; i++) {
        struct mu_group_spec *g = &groups[i];

        if (g->each_node.count == 1 && mu_str_is(g->each_node.at[0], "*")) {
            rc = each_node_expand(ctl, g, err);
            if (rc != MU_OK)
                return rc;
        }
        if (g->place.size > 0) {
            rc = mu_sched_policy_check(MU_STR_LIT("place"), g->place, &none, err);
            if (rc != MU_OK)
                return mu_fail_at(err, rc, "place", "there is no placement policy \"" MU_STR_FMT "\"", MU_STR_ARG(g->place));
        }
    }
    return MU_OK;
}

/* The open request with this key, if any; out_key gets the key's bytes (empty without key). */
static struct mu_ctl_request *key_in_flight(struct mu_ctl *ctl, const struct mu_job_spec *spec, struct mu_buf *out_key)
{
    struct mu_ctl_request *r;

    mu_buf_clear(out_key);
    if (spec->key.size == 0)
        return NULL;
    mu_buf_add(out_key, spec->user.at, spec->user.size);
    mu_buf_addc(out_key, '\0');
    mu_buf_add(out_key, spec->key.at, spec->key.size);
    r = mu_map_get_ptr(&ctl->keys, key_hash(mu_buf_str(out_key)));
    return r && mu_str_eq(mu_buf_str(&r->key), mu_buf_str(out_key)) ? r : NULL;
}

static void request_follow(struct mu_ctl *ctl, struct mu_ctl_request *first, uint64_t digest, void *token)
{
    struct mu_err err;

    if (first->digest != digest) {
        mu_fail_at(&err, MU_CONFLICT, "key", "the key is in use by another request");
        refuse(ctl, token, &err);
        return;
    }
    struct mu_ctl_request *r = request_new(ctl, token);
    mu_list_remove(&r->link);
    mu_list_add_tail(&first->followers, &r->link);
}

static struct mu_ctl_request *submit_request(struct mu_ctl *ctl, const struct mu_job_spec *spec, const struct mu_buf *key, void *token)
{
    struct mu_ctl_request *r = request_new(ctl, token);

    r->digest = spec->digest;
    if (key->size > 0) {
        mu_buf_add(&r->key, key->at, key->size);
        mu_map_put_ptr(&ctl->keys, key_hash(mu_buf_str(&r->key)), r);
    }
    return r;
}

/* The encoded spec is in scratch. */
static struct mu_ctl_parts *submit_parts(struct mu_ctl *ctl, const struct mu_job_spec *spec)
{
    struct mu_job_spec copy;
    struct mu_ctl_parts *p = parts_new(&mu_job_spec_pb, &copy, mu_buf_str(&ctl->scratch));

    p->spec = copy;
    p->last = p->whole = spec->open == MU_OPEN_NO;
    return p;
}

static void submit_propose(struct mu_ctl *ctl, const struct mu_job_spec *spec, const struct mu_buf *key, void *token)
{
    struct mu_ctl_request *r = submit_request(ctl, spec, key, token);

    if (ctl->scratch.size <= MU_EVENT_BYTES_MAX) {
        mark_request(mu_ctl_propose(ctl, MU_EV_SUBMIT, &(struct mu_ev_submit){ .spec = mu_buf_str(&ctl->scratch) }), r);
        return;
    }
    r->parts = submit_parts(ctl, spec);
    submit_head_propose(ctl, r);
}

/* A stream whose first lines did not all get in before the lead was lost: they are cut as they were, and what is there
 * already is seen and passed over. */
static void stream_go_on(struct mu_ctl *ctl, const struct mu_job_spec *spec, uint64_t job, const struct mu_buf *key, void *token)
{
    struct mu_ctl_request *r = submit_request(ctl, spec, key, token);
    struct mu_group_spec begun;
    uint32_t count;

    r->parts = submit_parts(ctl, spec);
    r->parts->job = job;
    r->parts->again = true;
    groups_cut(ctl, r->parts, &begun, &count);
    mu_list_add_tail(&ctl->feeding, &r->feed_link);
}

static enum mu_rc submit_admit(struct mu_ctl *ctl, struct mu_job_spec *spec, struct mu_err *err)
{
    enum mu_rc rc = groups_prepare(ctl, spec->groups, spec->groups_count, err);

    if (rc == MU_OK)
        rc = mu_core_admit(ctl->core, spec, err);
    if (rc != MU_OK)
        return rc;
    mu_buf_clear(&ctl->scratch);
    mu_pb_put(&ctl->scratch, &mu_job_spec_pb, spec);
    if (ctl->scratch.size <= MU_EVENT_BYTES_MAX)
        return MU_OK;
    if (ctl->scratch.size > ctl->opt.request_max)
        return mu_fail(err, MU_TOOBIG, "the job is larger than %zu bytes", ctl->opt.request_max);
    rc = groups_check(ctl, spec->groups, spec->groups_count, err);
    mu_buf_clear(&ctl->scratch); /* groups_check used it */
    mu_pb_put(&ctl->scratch, &mu_job_spec_pb, spec);
    return rc;
}

static uint64_t deadline_stamp_ms(struct mu_ctl *ctl, struct mu_ctl_now now, uint64_t wall_ms)
{
    uint64_t stamp_ms = mu_ctl_stamp_ms(ctl, now);

    return wall_ms > now.wall_ms ? stamp_ms + (wall_ms - now.wall_ms) : 1;
}

void mu_ctl_submit(struct mu_ctl *ctl, struct mu_ctl_now now, const struct mu_job_spec *spec, void *token)
{
    struct mu_job_spec own = *spec;
    struct mu_ctl_request *first;
    struct mu_err err = { 0 };
    uint64_t job = 0;

    if (may_ask(ctl, &err) != MU_OK) {
        refuse(ctl, token, &err);
        return;
    }
    if (own.deadline_ms != 0) /* people name a wall time; facts run by stamps */
        own.deadline_ms = deadline_stamp_ms(ctl, now, own.deadline_ms);
    first = key_in_flight(ctl, spec, &ctl->key);
    if (first) {
        request_follow(ctl, first, spec->digest, token);
        return;
    }
    own.groups = groups_copy(ctl, spec->groups, spec->groups_count);
    if (spec->key.size > 0)
        job = mu_view_job_by_key(ctl->core, spec->user, spec->key);
    if (submit_admit(ctl, &own, &err) != MU_OK)
        refuse(ctl, token, &err);
    else if (job != 0 && own.open == MU_OPEN_NO && is_open(ctl, job)) {
        mu_fail_at(&err, MU_BUSY, "key", "what became of the last try is being withdrawn");
        refuse(ctl, token, &err);
    } else if (job != 0 && own.open == MU_OPEN_STREAM && ctl->scratch.size > MU_EVENT_BYTES_MAX && is_open(ctl, job))
        stream_go_on(ctl, &own, job, &ctl->key, token);
    else if (job != 0)
        ctl->out.reply(ctl->out.arg, token, &(struct mu_ctl_reply){ .job = job, .existing = true });
    else
        submit_propose(ctl, &own, &ctl->key, token);
}

static enum mu_rc part_admit(struct mu_ctl *ctl, const struct mu_ev_part *part, struct mu_err *err)
{
    struct mu_job_view job;
    enum mu_rc rc = MU_OK;

    if (!mu_view_job(ctl->core, part->job, &job))
        return mu_fail(err, MU_NOTFOUND, "there is no job %llu", (unsigned long long)part->job);
    if (ctl->scratch.size > ctl->opt.request_max)
        return mu_fail(err, MU_TOOBIG, "the part is larger than %zu bytes", ctl->opt.request_max);
    if (part->groups_count > 0 && part->lines.size > 0)
        return mu_fail(err, MU_INVALID, "a part has either lines or groups");
    if (ctl->scratch.size <= PIECE_MAX)
        return MU_OK;
    if (part->groups_count > 0)
        rc = groups_check(ctl, part->groups, part->groups_count, err);
    if (rc == MU_OK && part->lines.size > 0)
        rc = lines_check(part->lines, PIECE_MAX, err);
    mu_buf_clear(&ctl->scratch);
    mu_pb_put(&ctl->scratch, &mu_ev_part_pb, part);
    return rc;
}

static void part_request(struct mu_ctl *ctl, const struct mu_ev_part *part, void *token)
{
    struct mu_ev_part own = *part, copy;
    struct mu_ctl_request *r;
    struct mu_err err = { 0 };
    enum mu_rc rc;

    own.groups = groups_copy(ctl, part->groups, part->groups_count);
    rc = groups_prepare(ctl, own.groups, own.groups_count, &err);
    mu_buf_clear(&ctl->scratch);
    mu_pb_put(&ctl->scratch, &mu_ev_part_pb, &own);
    if (rc != MU_OK || part_admit(ctl, &own, &err) != MU_OK) {
        refuse(ctl, token, &err);
        return;
    }
    r = request_new(ctl, token);
    if (ctl->scratch.size <= PIECE_MAX) {
        mark_request(mu_ctl_propose(ctl, MU_EV_PART, &own), r);
        return;
    }
    r->parts = parts_new(&mu_ev_part_pb, &copy, mu_buf_str(&ctl->scratch));
    r->parts->spec = (struct mu_job_spec){ .groups = copy.groups, .groups_count = copy.groups_count };
    r->parts->lines = copy.lines;
    r->parts->job = copy.job;
    r->parts->tasks = copy.tasks_before;
    r->parts->last = copy.last;
    mu_list_add_tail(&ctl->feeding, &r->feed_link);
}

void mu_ctl_request(struct mu_ctl *ctl, struct mu_ctl_now now, const struct mu_event *ev, void *token)
{
    static const bool allowed[MU_EV_KINDS] = {
        [MU_EV_PART] = true, [MU_EV_CANCEL] = true, [MU_EV_HOLD] = true,   [MU_EV_RETRY] = true,
        [MU_EV_NODE_SET] = true, [MU_EV_POLICY] = true, [MU_EV_QUOTA] = true,
    };
    struct mu_err err = { 0 };
    enum mu_rc rc = may_ask(ctl, &err);

    (void)now;
    MU_ASSERT(ev->kind < MU_EV_KINDS && allowed[ev->kind]);
    if (rc == MU_OK && ev->kind == MU_EV_POLICY)
        rc = mu_sched_policy_check(ev->policy.kind, ev->policy.name, &ev->policy.params, &err);
    if (rc != MU_OK)
        refuse(ctl, token, &err);
    else if (ev->kind == MU_EV_PART)
        part_request(ctl, &ev->part, token);
    else
        mark_request(mu_ctl_propose(ctl, ev->kind, &ev->submit), request_new(ctl, token));
}

void mu_ctl_forget(struct mu_ctl *ctl, void *token)
{
    struct mu_ctl_request *r = mu_map_get_ptr(&ctl->tokens, token_key(token));

    if (r == NULL)
        return;
    mu_map_remove(&ctl->tokens, token_key(token));
    r->token = NULL;
}

void mu_ctl_requests_fini(struct mu_ctl *ctl)
{
    while (!mu_list_is_empty(&ctl->requests_spare)) {
        struct mu_ctl_request *r = request_of(ctl->requests_spare.next);
        mu_list_remove(&r->link);
        mu_buf_fini(&r->key);
        free(r);
    }
    free(ctl->withdrawn);
    mu_map_fini(&ctl->tokens);
    mu_map_fini(&ctl->keys);
}
