/* server/api_jobs.c -- jobs: one, many, waiting for their end, and the verbs that change them. */
#include "server/api.h"

#include "base/units.h"

#include <fnmatch.h>

enum {
    LIMIT_DEFAULT = 100, LIMIT_MAX = 1000,
    LOOK_MAX = 100000,       /* jobs of core looked at for one page */
    LIST_GROUPS_MAX = 32,    /* in a list; one job alone shows all it has */
    WAIT_DEFAULT_MS = 30000, WAIT_MAX_MS = 600000,
};

/* ---- one ---- */

static void answer_record(struct mu_call *c, unsigned status, const struct mu_job_record *record)
{
    struct mu_buf b = { 0 };

    mu_show_job(&b, record, MU_GROUPS_PER_JOB_MAX);
    mu_call_json(c, status, &b);
    mu_buf_fini(&b);
}

static void on_past(void *arg, const struct mu_history_answer *a)
{
    struct mu_call *c = arg;

    c->query = NULL;
    if (a->rc != MU_OK)
        mu_call_failf(c, a->rc, "", "the history cannot be read");
    else if (a->jobs_count == 0)
        mu_call_failf(c, MU_NOTFOUND, "", "there is no job %llu", (unsigned long long)c->job);
    else
        answer_record(c, 200, &a->jobs[0]);
}

/* From core, or when it has been forgotten there, from the history. */
static void answer_job(struct mu_call *c, unsigned status)
{
    struct mu_job_record record;

    if (mu_record_of(mu_ctl_core(c->sv->ctl), c->job, &record, &c->arena))
        answer_record(c, status, &record);
    else
        mu_call_past_job(c, on_past);
}

void mu_api_job_get(struct mu_call *c)
{
    answer_job(c, 200);
}

/* ---- verbs ---- */

static void on_changed(struct mu_ask *ask)
{
    struct mu_call *c = MU_CONTAINER(ask, struct mu_call, ask);

    if (ask->reply.rc == MU_OK)
        answer_job(c, 200);
    else
        mu_call_fail(c, &ask->err);
}

static void change(struct mu_call *c, const struct mu_event *ev)
{
    mu_ask_init(&c->ask, c->sv, on_changed);
    mu_ask_event(&c->ask, ev);
}

void mu_api_job_cancel(struct mu_call *c)
{
    struct mu_event ev = { .kind = MU_EV_CANCEL, .cancel = { .job = c->job, .by = mu_str_of(c->user) } };
    bool one = mu_call_has(c, "task");

    if (!mu_call_u64(c, "task", UINT64_MAX, &c->task))
        return;
    if (one && !mu_call_ordinal(c, &ev.cancel.first))
        return;
    ev.cancel.count = one;
    change(c, &ev);
}

void mu_api_job_hold(struct mu_call *c)
{
    change(c, &(struct mu_event){ .kind = MU_EV_HOLD, .hold = { .job = c->job, .hold = true, .by = mu_str_of(c->user) } });
}

void mu_api_job_release(struct mu_call *c)
{
    change(c, &(struct mu_event){ .kind = MU_EV_HOLD, .hold = { .job = c->job, .hold = false, .by = mu_str_of(c->user) } });
}

void mu_api_job_retry(struct mu_call *c)
{
    change(c, &(struct mu_event){ .kind = MU_EV_RETRY, .retry = { .job = c->job, .by = mu_str_of(c->user) } });
}

/* ---- wait ---- */

static bool has_ended(struct mu_server *sv, uint64_t job)
{
    struct mu_job_view v;

    return !mu_view_job(mu_ctl_core(sv->ctl), job, &v) || mu_job_word_is_final(mu_job_word_of(mu_view_job_state(&v)));
}

static void wait_cleanup(struct mu_call *c)
{
    struct mu_list *head = mu_map_get_ptr(&c->sv->waits, c->job);

    mu_list_remove(&c->wait_link);
    if (head != NULL && mu_list_is_empty(head)) {
        mu_map_remove(&c->sv->waits, c->job);
        free(head);
    }
}

static void on_wait_over(void *arg)
{
    struct mu_call *c = arg;

    c->timer = NULL;
    answer_job(c, has_ended(c->sv, c->job) ? 200 : 202);
}

void mu_api_job_wait(struct mu_call *c)
{
    uint64_t ms = WAIT_DEFAULT_MS;
    struct mu_list *head;

    if (!mu_call_duration(c, "timeout", WAIT_MAX_MS, &ms))
        return;
    if (has_ended(c->sv, c->job)) {
        answer_job(c, 200);
        return;
    }
    head = mu_map_get_ptr(&c->sv->waits, c->job);
    if (head == NULL) {
        head = calloc(1, sizeof *head);
        MU_ASSERT(head != NULL);
        mu_list_init(head);
        mu_map_put_ptr(&c->sv->waits, c->job, head);
    }
    mu_list_add_tail(head, &c->wait_link);
    c->cleanup = wait_cleanup;
    c->timer = mu_loop_after(c->sv->loop, ms, on_wait_over, c);
}

void mu_waits_job(struct mu_server *sv, uint64_t job)
{
    struct mu_list *head = mu_map_get_ptr(&sv->waits, job);

    if (head == NULL || !has_ended(sv, job))
        return;
    mu_list_move(&sv->waits_ready, head);
    mu_map_remove(&sv->waits, job);
    free(head);
}

void mu_waits_turn(struct mu_server *sv)
{
    while (!mu_list_is_empty(&sv->waits_ready)) {
        struct mu_call *c = MU_CONTAINER(sv->waits_ready.next, struct mu_call, wait_link);
        mu_list_remove(&c->wait_link);
        answer_job(c, has_ended(sv, c->job) ? 200 : 202); /* a retry may have come in the same turn */
    }
}

/* ---- list ---- */

struct list {
    char state[32], name[2 * MU_NAME_MAX], user[MU_NAME_MAX + 1];
    uint64_t before, limit;
    uint64_t *found; /* ids in core that fit, highest first */
    uint32_t count;
    uint64_t floor;  /* core was looked through down to this id */
};

static bool str_fits(const char *want, struct mu_str have, bool glob)
{
    char text[MU_NAME_MAX + 1];

    if (want[0] == '\0')
        return true;
    snprintf(text, sizeof text, MU_STR_FMT, MU_STR_ARG(have));
    return glob ? fnmatch(want, text, 0) == 0 : strcmp(want, text) == 0;
}

static void list_core(struct mu_call *c, struct list *l)
{
    const struct mu_core *core = mu_ctl_core(c->sv->ctl);
    uint64_t id = l->before;
    uint32_t looked = 0;

    while ((id = mu_view_job_prev(core, id)) != 0) {
        struct mu_job_view v;
        if (l->count > l->limit || ++looked > LOOK_MAX) {
            l->floor = id + 1;
            return;
        }
        mu_view_job(core, id, &v);
        if ((l->state[0] == '\0' || strcmp(l->state, mu_view_job_state(&v)) == 0) && str_fits(l->name, v.name, true) &&
            str_fits(l->user, v.user, false))
            l->found[l->count++] = id;
    }
}

/* One row of the merge: core's word counts where it has one. False: the history knows an older state only. */
static bool list_row(struct mu_call *c, struct mu_buf *b, uint64_t id, bool found, const struct mu_job_record *past)
{
    struct mu_job_record record;

    if (!mu_record_of(mu_ctl_core(c->sv->ctl), id, &record, &c->arena)) {
        if (past == NULL)
            return false;
        record = *past;
    } else if (!found) {
        return false;
    }
    mu_show_job(b, &record, LIST_GROUPS_MAX);
    return true;
}

/* Core and history merged by id. Below the floor one of the two has not been looked at: that waits for the next page. */
static void list_answer(struct mu_call *c, struct list *l, const struct mu_history_answer *past)
{
    uint32_t i = 0, j = 0, shown = 0, past_count = past ? past->jobs_count : 0;
    uint64_t floor = l->floor, next = 0;
    struct mu_buf b = { 0 };

    if (past && past->more && past->jobs[past_count - 1].id > floor)
        floor = past->jobs[past_count - 1].id;
    mu_json_open(&b, '{');
    mu_json_kopen(&b, "jobs", '[');
    while (i < l->count || j < past_count) {
        uint64_t a = i < l->count ? l->found[i] : 0, p = j < past_count ? past->jobs[j].id : 0, id = a > p ? a : p;
        if (id < floor || shown == l->limit)
            break;
        shown += list_row(c, &b, id, a == id, p == id ? &past->jobs[j] : NULL);
        next = id;
        i += a == id;
        j += p == id;
    }
    if (shown < l->limit)
        next = floor;
    else if (i == l->count && j == past_count && floor == 0)
        next = 0;
    mu_json_close(&b, '[');
    mu_json_key(&b, "next");
    if (next > 1)
        mu_json_u64(&b, next);
    else
        mu_json_null(&b);
    mu_json_close(&b, '{');
    mu_call_json(c, 200, &b);
    mu_buf_fini(&b);
}

static void on_past_list(void *arg, const struct mu_history_answer *a)
{
    struct mu_call *c = arg;

    c->query = NULL;
    if (a->rc != MU_OK)
        mu_call_failf(c, a->rc, "", "the history cannot be read");
    else
        list_answer(c, c->state, a);
}

void mu_api_jobs_list(struct mu_call *c)
{
    struct list *l = mu_arena_alloc(&c->arena, sizeof *l);
    uint64_t after = 0;

    *l = (struct list){ .before = MU_JOB_ID_MAX, .limit = LIMIT_DEFAULT };
    if (!mu_call_text(c, "state", l->state, sizeof l->state) || !mu_call_text(c, "name", l->name, sizeof l->name) ||
        !mu_call_text(c, "user", l->user, sizeof l->user) || !mu_call_u64(c, "after", MU_JOB_ID_MAX, &after) ||
        !mu_call_u64(c, "limit", LIMIT_MAX, &l->limit))
        return;
    if (l->state[0] != '\0' && mu_job_word_of(l->state) == MU_JOB_WORDS) {
        mu_call_failf(c, MU_INVALID, "state", "\"%s\" is no state of a job", l->state);
        return;
    }
    l->before = after ? after : l->before;
    l->limit = l->limit ? l->limit : 1;
    l->found = mu_arena_alloc(&c->arena, (l->limit + 1) * sizeof *l->found);
    list_core(c, l);
    if (l->count > l->limit && l->found[l->limit] > c->sv->forgotten_max) {
        list_answer(c, l, NULL); /* nothing only the history knows can lie between */
        return;
    }
    c->state = l;
    c->query = mu_history_jobs(c->sv->history, &(struct mu_history_find_jobs){
        .before = l->before, .limit = (uint32_t)l->limit, .state = mu_str_of(l->state), .name = mu_str_of(l->name),
        .user = mu_str_of(l->user) }, on_past_list, c);
    if (c->query == NULL)
        mu_call_failf(c, MU_BUSY, "", "too many readers of the history, try again");
}
