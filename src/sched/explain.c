/* sched/explain.c -- why a task waits, or where it ran and why: the functions that decide, asked once more. */
#include "sched/explain.h"

#include "base/arena.h"
#include "base/units.h"
#include "sched/class.h"
#include "sched/search.h"
#include "sched/wait.h"

#define SAY(member, ...) mu_say(out->member, sizeof out->member, __VA_ARGS__)

/* ---- what is not about room ---- */

static void held(struct mu_why *out)
{
    out->kind = MU_WHY_HELD;
    SAY(text, "the job is held; release it to let it run");
}

static void say_dep(const struct mu_sched *s, uint64_t job, const struct mu_dep *d, struct mu_why *out)
{
    uint64_t id = d->job ? d->job : job;
    struct mu_job_view v;
    struct mu_group_spec spec;
    struct mu_arena arena = { 0 };

    if (d->job == 0 && mu_view_group_spec(s->core, job, d->group, &spec, &arena))
        SAY(text, "group " MU_STR_FMT " of its job", MU_STR_ARG(spec.name));
    else
        SAY(text, "job %llu", (unsigned long long)id);
    mu_arena_fini(&arena);
    if (d->job != 0 && mu_view_job(s->core, id, &v))
        SAY(text, " (%s)", mu_view_job_state(&v));
}

static void blocked(const struct mu_ask *q, struct mu_why *out)
{
    struct mu_arena arena = { 0 };
    struct mu_group_spec spec;
    uint32_t found = 0;

    out->kind = MU_WHY_DEPENDENCY;
    SAY(text, "it waits for the end of ");
    if (mu_view_group_spec(q->s->core, q->job, q->group, &spec, &arena))
        for (uint32_t i = 0; i < spec.after_count; i++) {
            if (!mu_view_dep_blocks(q->s->core, q->job, q->group, i))
                continue;
            if (found++ > 0)
                SAY(text, ", ");
            say_dep(q->s, q->job, &spec.after[i], out);
        }
    if (found == 0)
        SAY(text, "the task it comes after");
    mu_arena_fini(&arena);
}

static void backoff(const struct mu_ask *q, struct mu_why *out)
{
    uint64_t until_ms = mu_view_backoff_until(q->s->core, q->job, q->ordinal);
    char text[MU_TEXT_UNITS];

    out->kind = MU_WHY_BACKOFF;
    out->estimate_ms = until_ms > q->now_ms ? until_ms - q->now_ms : 0;
    SAY(text, "its last attempt failed; it pauses for another %s before attempt %u", mu_duration_text(text, out->estimate_ms),
        mu_view_attempts(q->s->core, q->job, q->ordinal) + 1);
    SAY(basis, "the pause asked for, until %s", mu_time_text(text, until_ms));
}

static void not_complete(struct mu_why *out)
{
    out->kind = MU_WHY_OPEN;
    SAY(text, "the job is not complete: parts of it are still to come");
}

static void live(const struct mu_ask *q, struct mu_why *out)
{
    const struct mu_attempt *a = mu_view_attempt(q->s->core, q->job, q->ordinal);

    out->kind = MU_WHY_LIVE;
    if (a == NULL)
        return;
    SAY(text, "it is %s on node %s (attempt %u)", mu_task_state_text(a->state), mu_say_node(q, a->node), a->attempt);
    mu_say_past(q, out->text, sizeof out->text);
}

static void ended(const struct mu_ask *q, enum mu_task_state state, struct mu_why *out)
{
    const struct mu_past *p = mu_past_find(q->s, q->job, q->ordinal);

    out->kind = MU_WHY_ENDED;
    SAY(text, "it has ended: %s", mu_task_state_text(state));
    if (mu_view_attempts(q->s->core, q->job, q->ordinal) == 0) {
        SAY(text, " without having run");
        return;
    }
    if (p != NULL)
        SAY(text, ", on node %s (attempt %u)", mu_say_node(q, p->node), p->attempt);
    mu_say_past(q, out->text, sizeof out->text);
}

/* ---- what nodes there are ---- */

static bool allows(const struct mu_ask *q, uint32_t node)
{
    return (!q->each || q->each_node == node) && mu_class_allows(q->s, q->cls, node);
}

struct nodes { /* ids are MU_NODE_NONE where there is none */
    uint32_t usable, roomy;  /* counts */
    uint32_t nearest;        /* of those that could hold it: lacks least now */
    uint32_t largest;        /* of the allowed and usable: lacks least when empty */
    uint32_t absent;         /* could hold it, but takes no work now */
    uint32_t kept;           /* has room, but is kept for another */
};

static uint64_t lack_when_empty(const struct mu_ask *q, uint32_t node)
{
    uint64_t most = 0;

    for (uint32_t i = 0; i < q->cls->need.kinds; i++) {
        uint32_t kind = q->cls->need.kind[i];
        uint64_t need = q->cls->need.res.amount[kind], total = mu_mirror_total(&q->s->mirror, node, kind);
        uint64_t share = total >= need ? 0 : (need - total) / (need / 1000 + 1) + 1;

        most = share > most ? share : most;
    }
    return most;
}

static void look_at(const struct mu_ask *q, uint32_t node, struct nodes *f, uint32_t *least, uint64_t *least_empty, struct mu_why *out)
{
    const struct mu_mnode *n = &q->s->mirror.nodes[node];
    bool large = mu_class_large_enough(q->s, q->cls, node);
    uint32_t kind, miss = mu_class_miss(q->s, q->cls, node, &kind);

    out->nodes_allowed++;
    if (!n->usable) {
        f->absent = large ? node : f->absent;
        return;
    }
    f->usable++;
    if (lack_when_empty(q, node) < *least_empty) {
        *least_empty = lack_when_empty(q, node);
        f->largest = node;
    }
    if (!large)
        return;
    out->nodes_could++;
    if (miss == 0 && n->kept != 0 && n->kept != q->cls->kept)
        f->kept = node;
    f->roomy += mu_class_fits(q->s, q->cls, node);
    if (miss < *least) {
        *least = miss;
        f->nearest = node;
    }
}

static struct nodes survey(const struct mu_ask *q, struct mu_why *out)
{
    struct nodes f = { 0, 0, MU_NODE_NONE, MU_NODE_NONE, MU_NODE_NONE, MU_NODE_NONE };
    uint64_t least_empty = UINT64_MAX;
    uint32_t least = UINT32_MAX;

    out->nodes_total = q->s->mirror.count;
    for (uint32_t n = 0; n < q->s->mirror.count; n++)
        if (allows(q, n))
            look_at(q, n, &f, &least, &least_empty, out);
    return f;
}

/* ---- why no node is in question ---- */

static const char *absence(const struct mu_ask *q, uint32_t node)
{
    const struct mu_node *facts = mu_view_node(q->s->core, node);

    return facts->drain ? "draining" : mu_node_state_text(facts->state);
}

static void the_only_node(const struct mu_ask *q, struct mu_why *out)
{
    const struct mu_shape *shape = mu_view_shape(q->s->core, q->cls->shape);
    uint32_t node = q->each ? q->each_node : shape->node;

    out->kind = MU_WHY_NODE_GONE;
    if (node >= q->s->mirror.count)
        SAY(text, "the only node allowed, %s, has not joined", q->each || !shape->node_name ? "its own" : shape->node_name);
    else
        SAY(text, "the only node allowed, %s, is %s", mu_say_node(q, node), absence(q, node));
}

/* The first label that a node lacks. */
static struct mu_str missing_label(const struct mu_ask *q, uint32_t node, uint32_t *out_missing)
{
    const struct mu_shape *shape = mu_view_shape(q->s->core, q->cls->shape);
    const struct mu_node *facts = mu_view_node(q->s->core, node);
    struct mu_str first = { 0 };

    *out_missing = 0;
    for (uint32_t i = 0; i < shape->labels.count; i++) {
        uint32_t j = 0;

        while (j < facts->labels.count && facts->labels.at[j] != shape->labels.at[i])
            j++;
        if (j < facts->labels.count)
            continue;
        if ((*out_missing)++ == 0)
            first = mu_view_word(q->s->core, shape->labels.at[i]);
    }
    return first;
}

static void no_label(const struct mu_ask *q, struct mu_why *out)
{
    uint32_t least = UINT32_MAX, missing, nearest = 0;

    for (uint32_t n = 0; n < q->s->mirror.count; n++) {
        if (q->each && n != q->each_node)
            continue;
        (void)missing_label(q, n, &missing);
        if (missing < least) {
            least = missing;
            nearest = n;
        }
    }
    struct mu_str label = missing_label(q, nearest, &missing);
    out->kind = MU_WHY_CONSTRAINT;
    SAY(text, "no node has the labels it needs; the nearest, %s, lacks " MU_STR_FMT, mu_say_node(q, nearest), MU_STR_ARG(label));
    if (missing > 1)
        SAY(text, " and %u more", missing - 1);
    SAY(nearest, "node %s lacks label " MU_STR_FMT, mu_say_node(q, nearest), MU_STR_ARG(label));
}

static void nowhere(const struct mu_ask *q, const struct nodes *f, struct mu_why *out)
{
    bool one = q->each || q->cls->kind == MU_CLASS_ONE;

    if (out->nodes_total == 0) {
        out->kind = MU_WHY_NO_NODES;
        SAY(text, "no node has joined the cluster yet");
    } else if (out->nodes_allowed == 0 && (!one || (q->each && q->each_node < out->nodes_total)) && q->cls->picky) {
        no_label(q, out);
    } else if (one && f->usable == 0) {
        the_only_node(q, out);
    } else if (f->usable > 0 && f->absent == MU_NODE_NONE) {
        out->kind = MU_WHY_IMPOSSIBLE;
        SAY(text, "no node is large enough: ");
        mu_say_miss(q, f->largest, true, out->text, sizeof out->text);
        mu_say_miss(q, f->largest, true, out->nearest, sizeof out->nearest);
    } else {
        out->kind = MU_WHY_NO_NODES;
        SAY(text, "no node that could hold it takes work now");
        if (f->absent != MU_NODE_NONE)
            SAY(text, "; %s could, but it is %s", mu_say_node(q, f->absent), absence(q, f->absent));
    }
}

/* ---- why not yet ---- */

static uint32_t ahead_in_group(const struct mu_ask *q, const struct mu_wait *w)
{
    enum { COUNTED = 100000 };
    uint32_t n = 0, o = w->first;

    while (n < COUNTED && (o = mu_view_next(q->s->core, q->job, q->group, MU_TASK_READY, o)) < q->ordinal) {
        n += mu_map_find(&q->s->taken, mu_task_key(q->job, o)) == NULL;
        o++;
    }
    return n;
}

static uint32_t ahead_of(const struct mu_ask *q, const struct mu_wait *w)
{
    struct mu_rank mine = mu_wait_rank(q->s, w);
    uint64_t n = ahead_in_group(q, w);
    struct mu_map_slot slot;

    for (uint32_t i = 0; (i = mu_map_next(&q->s->waits, i, &slot)) != 0;) {
        const struct mu_wait *other = (const struct mu_wait *)(uintptr_t)slot.value;

        if (other != w && !other->line->parked && mu_rank_before(mu_wait_rank(q->s, other), mine))
            n += mu_wait_open(other);
    }
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static bool limited(const struct mu_ask *q, const struct mu_wait *w, struct mu_why *out)
{
    const struct mu_user *u = mu_view_user(q->s->core, w->line->tenant->word);
    char used[MU_TEXT_UNITS], most[MU_TEXT_UNITS];

    if (w->max_parallel != 0 && mu_wait_open(w) == 0) {
        out->kind = MU_WHY_MAX_PARALLEL;
        SAY(text, "%u of its group run, and its job asked for no more than %u at a time", w->live + w->taken, w->max_parallel);
        return true;
    }
    if (!mu_tenant_is_full(q->s, w->line->tenant, q->cls))
        return false;
    out->kind = MU_WHY_QUOTA;
    SAY(text, "user " MU_STR_FMT " has %s cpus in use of the %s allowed", MU_STR_ARG(mu_view_word(q->s->core, u->id)),
        mu_milli_text(used, u->live.amount[MU_RES_CPU] + w->line->tenant->pending.amount[MU_RES_CPU]),
        mu_milli_text(most, u->cpu_milli_max));
    return true;
}

static void no_room(const struct mu_ask *q, const struct nodes *f, struct mu_why *out)
{
    uint64_t first_ms;

    out->kind = MU_WHY_RESOURCE;
    if (f->kept != MU_NODE_NONE)
        SAY(text, "node %s has room, but is kept for a task that has waited longer than the guard", mu_say_node(q, f->kept));
    else
        SAY(text, "no node has room for ");
    for (uint32_t i = 0; i < q->cls->need.kinds && f->kept == MU_NODE_NONE; i++) {
        SAY(text, i ? " and " : "");
        mu_say_amount(q, q->cls->need.kind[i], q->cls->need.res.amount[q->cls->need.kind[i]], out->text, sizeof out->text);
    }
    if (out->ahead > 0)
        SAY(text, "; %u task%s before it", out->ahead, out->ahead == 1 ? " goes" : "s go");
    mu_say_miss(q, f->nearest, false, out->nearest, sizeof out->nearest);
    first_ms = mu_say_frees(q, f->nearest, out->frees, sizeof out->frees);
    out->estimate_ms = mu_say_estimate(q, first_ms, out->ahead, out->basis, sizeof out->basis);
}

static void in_turn(const struct mu_ask *q, const struct mu_wait *w, struct mu_why *out)
{
    struct mu_class *barrier = mu_class_barrier(q->s, mu_wait_rank(q->s, w));

    if (barrier != NULL) {
        const struct mu_wait *first = mu_line_first_wait(mu_class_first_line(barrier));

        out->kind = MU_WHY_ORDER;
        SAY(text, "order is strict, and job %llu before it still waits for room", (unsigned long long)first->job);
        return;
    }
    if (out->ahead == 0) {
        out->kind = MU_WHY_NEXT;
        out->estimate_ms = 0;
        SAY(text, "it is next: it starts as soon as the server decides");
        SAY(basis, "a node has room");
        return;
    }
    out->kind = MU_WHY_ORDER;
    SAY(text, "%u task%s before it by the order %s", out->ahead, out->ahead == 1 ? " goes" : "s go", q->s->order->name);
    out->estimate_ms = mu_say_estimate(q, 0, out->ahead, out->basis, sizeof out->basis);
}

static void ready(const struct mu_ask *q, struct mu_why *out)
{
    const struct mu_taken *t = mu_map_get_ptr(&q->s->taken, mu_task_key(q->job, q->ordinal));
    const struct mu_wait *w = mu_wait_find(q->s, q->job, q->group);
    struct nodes f = survey(q, out);

    if (t != NULL) {
        out->kind = MU_WHY_NEXT;
        out->estimate_ms = 0;
        SAY(text, "it goes to node %s; that is being written to the journal", mu_say_node(q, t->node));
        SAY(basis, "decided");
    } else if (out->nodes_could == 0) {
        nowhere(q, &f, out);
    } else if (w == NULL) {
        not_complete(out);
    } else if (!limited(q, w, out)) {
        out->ahead = ahead_of(q, w);
        if (f.roomy == 0)
            no_room(q, &f, out);
        else
            in_turn(q, w, out);
    }
}

static void waits(const struct mu_ask *q, const struct mu_group_view *v, struct mu_why *out)
{
    struct mu_job_view job = { 0 };

    (void)mu_view_job(q->s->core, q->job, &job);
    switch (mu_view_task(q->s->core, q->job, q->ordinal)) {
    case MU_TASK_BACKOFF: backoff(q, out); break;
    case MU_TASK_BLOCKED:
        if (job.held)
            held(out);
        else
            blocked(q, out);
        break;
    default:
        if (job.held)
            held(out);
        else if (!v->runnable)
            not_complete(out);
        else
            ready(q, out);
    }
}

void mu_sched_explain(struct mu_sched *s, uint64_t job, uint32_t ordinal, uint64_t now_ms, struct mu_why *out)
{
    uint64_t core_ms = mu_view_now_ms(s->core);
    struct mu_ask q = { .s = s, .job = job, .ordinal = ordinal, .now_ms = core_ms > now_ms ? core_ms : now_ms };
    struct mu_group_view v;

    memset(out, 0, sizeof *out);
    out->kind = MU_WHY_ENDED;
    out->estimate_ms = UINT64_MAX;
    q.group = mu_view_group_of(s->core, job, ordinal);
    if (q.group == UINT32_MAX || !mu_view_group(s->core, job, q.group, &v)) {
        SAY(text, "there is no such task");
        return;
    }
    enum mu_task_state state = mu_view_task(s->core, job, ordinal);
    q.cls = mu_class_get(s, &v);
    q.each = v.each_node;
    q.each_node = v.each_node ? mu_view_each_node(s->core, job, ordinal) : MU_NODE_NONE;
    if (mu_task_is_live(state))
        live(&q, out);
    else if (mu_task_is_final(state))
        ended(&q, state, out);
    else
        waits(&q, &v, out);
    mu_class_unref(s, q.cls);
}
