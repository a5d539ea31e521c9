/* Entries: proposed events gather in the last entry of the queue; whole entries are appended while the journal has
 * room, stay in flight until they are done, and are then used again. */

#include "server/ctl_impl.h"

static struct mu_ctl_entry *entry_of(struct mu_list *link)
{
    return MU_CONTAINER(link, struct mu_ctl_entry, link);
}

static struct mu_ctl_entry *entry_new(struct mu_ctl *ctl)
{
    struct mu_ctl_entry *e;

    if (!mu_list_is_empty(&ctl->spare)) {
        e = entry_of(ctl->spare.next);
        mu_list_remove(&e->link);
    } else {
        e = calloc(1, sizeof *e);
        MU_ASSERT(e != NULL);
    }
    e->events = e->marks_count = 0;
    e->committed = false;
    e->seq = 0;
    mu_entry_begin(&e->bytes, mu_view_now_ms(ctl->core));
    e->head = e->bytes.size;
    mu_list_add_tail(&ctl->queue, &e->link);
    ctl->queued_bytes += e->head;
    return e;
}

/* The stamp is that of the append, not of the first event: DUE must never carry a time before its own. */
static void entry_stamp(struct mu_ctl *ctl, struct mu_ctl_entry *e, uint64_t stamp_ms)
{
    struct mu_buf *head = &ctl->scratch;
    size_t events = e->bytes.size - e->head;

    mu_entry_begin(head, stamp_ms);
    if (head->size > e->head)
        mu_buf_room(&e->bytes, head->size - e->head);
    if (head->size != e->head)
        memmove(e->bytes.at + head->size, e->bytes.at + e->head, events);
    memcpy(e->bytes.at, head->at, head->size);
    e->bytes.size = head->size + events;
    e->head = head->size;
}

struct mu_ctl_entry *mu_ctl_propose(struct mu_ctl *ctl, enum mu_event_kind kind, const void *msg)
{
    struct mu_ctl_entry *e = mu_list_is_empty(&ctl->queue) ? entry_new(ctl) : entry_of(ctl->queue.prev);
    size_t before = e->bytes.size;

    mu_entry_add(&e->bytes, kind, msg);
    ctl->queued_bytes += e->bytes.size - before;
    if (e->bytes.size > ctl->opt.record_max && e->events > 0) { /* one too many: it begins the next entry */
        struct mu_ctl_entry *next = entry_new(ctl);

        mu_buf_add(&next->bytes, e->bytes.at + before, e->bytes.size - before);
        e->bytes.size = before;
        e = next;
    }
    MU_ASSERT(e->bytes.size <= ctl->opt.record_max);
    e->events++;
    ctl->stats.events++;
    return e;
}

struct mu_ctl_mark *mu_ctl_mark_add(struct mu_ctl_entry *e, enum mu_ctl_mark_kind kind)
{
    if (e->marks_count == e->marks_cap) {
        e->marks_cap = e->marks_cap ? 2 * e->marks_cap : 64;
        e->marks = realloc(e->marks, e->marks_cap * sizeof *e->marks);
        MU_ASSERT(e->marks != NULL);
    }
    MU_ASSERT(e->events > 0);
    e->marks[e->marks_count] = (struct mu_ctl_mark){ .event = e->events - 1, .kind = kind };
    return &e->marks[e->marks_count++];
}

struct mu_ctl_entry *mu_ctl_newest(struct mu_ctl *ctl)
{
    if (!mu_list_is_empty(&ctl->queue))
        return entry_of(ctl->queue.prev);
    if (!mu_list_is_empty(&ctl->flying) && !entry_of(ctl->flying.prev)->committed)
        return entry_of(ctl->flying.prev);
    return NULL;
}

bool mu_ctl_gather_has_room(const struct mu_ctl *ctl)
{
    return ctl->queued_bytes < ctl->opt.record_max;
}

/* false: the journal takes nothing more before its next done(). */
static bool append_first(struct mu_ctl *ctl, uint64_t stamp_ms)
{
    struct mu_ctl_entry *e = entry_of(ctl->queue.next);
    size_t queued = e->bytes.size;

    entry_stamp(ctl, e, stamp_ms);
    if (!ctl->out.append(ctl->out.arg, ctl->epoch, ctl->next_seq, e->bytes.at, e->bytes.size)) {
        ctl->queued_bytes += e->bytes.size - queued;
        return false;
    }
    ctl->queued_bytes -= queued;
    mu_list_remove(&e->link);
    mu_list_add_tail(&ctl->flying, &e->link);
    e->seq = ctl->next_seq++;
    for (uint32_t i = 0; i < e->marks_count; i++)
        if (e->marks[i].kind == MU_CTL_MARK_REQUEST)
            e->marks[i].request->appended = true;
    ctl->flying_count++;
    ctl->stats.entries++;
    return true;
}

void mu_ctl_append_all(struct mu_ctl *ctl, uint64_t stamp_ms)
{
    ctl->refused = false;
    while (!ctl->stuck && !ctl->refused && ctl->flying_count < ctl->opt.inflight_max && !mu_list_is_empty(&ctl->queue))
        ctl->refused = !append_first(ctl, stamp_ms);
}

struct mu_ctl_entry *mu_ctl_flying(struct mu_ctl *ctl, uint64_t seq)
{
    MU_LIST_EACH(it, &ctl->flying) {
        struct mu_ctl_entry *e = entry_of(it);
        if (!e->committed)
            return e->seq == seq ? e : NULL;
    }
    return NULL;
}

/* Give back what the marks keep alive. */
static void marks_drop(struct mu_ctl *ctl, struct mu_ctl_entry *e)
{
    for (uint32_t i = 0; i < e->marks_count; i++) {
        if (e->marks[i].kind == MU_CTL_MARK_REQUEST)
            mu_ctl_request_unmark(ctl, e->marks[i].request);
        else
            mu_ctl_agent_unref(ctl, e->marks[i].agent);
    }
    e->marks_count = 0;
}

void mu_ctl_entry_recycle(struct mu_ctl *ctl, struct mu_ctl_entry *e)
{
    marks_drop(ctl, e);
    mu_list_remove(&e->link);
    mu_list_add_head(&ctl->spare, &e->link);
}

void mu_ctl_gather_drop(struct mu_ctl *ctl)
{
    while (!mu_list_is_empty(&ctl->queue))
        mu_ctl_entry_recycle(ctl, entry_of(ctl->queue.next));
    while (!mu_list_is_empty(&ctl->flying))
        mu_ctl_entry_recycle(ctl, entry_of(ctl->flying.next));
    ctl->flying_count = 0;
    ctl->queued_bytes = 0;
    ctl->full = ctl->stuck = ctl->refused = ctl->due = ctl->withdrawing = false;
}

void mu_ctl_gather_fini(struct mu_ctl *ctl)
{
    mu_ctl_gather_drop(ctl);
    while (!mu_list_is_empty(&ctl->spare)) {
        struct mu_ctl_entry *e = entry_of(ctl->spare.next);
        mu_list_remove(&e->link);
        mu_buf_fini(&e->bytes);
        free(e->marks);
        free(e);
    }
}
