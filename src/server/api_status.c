/* server/api_status.c -- how the cluster and this server are: statistics, metrics, health, who leads. */
#include "server/api.h"

#include <unistd.h>

enum { WINDOW_DEFAULT_MS = 60000, WINDOW_MAX_MS = MU_STATS_SLOT_MS * MU_STATS_SLOTS };

/* ---- sums over nodes ---- */

struct sums {
    uint64_t nodes[MU_NODE_STATES];
    struct mu_res total, used; /* of nodes that are not down */
};

static void sums_of(const struct mu_core *core, struct sums *s)
{
    memset(s, 0, sizeof *s);
    for (uint32_t i = 0; i < mu_view_nodes(core); i++) {
        const struct mu_node *n = mu_view_node(core, i);
        s->nodes[n->state]++;
        for (int k = 0; k < MU_RES_MAX && n->state != MU_NODE_DOWN; k++) {
            s->total.amount[k] += n->total.amount[k];
            s->used.amount[k] += n->used.amount[k];
        }
    }
}

static double share(uint64_t part, uint64_t whole)
{
    return whole ? (double)part / (double)whole : 0;
}

/* ---- stats ---- */

static double seconds(uint64_t us) { return (double)us / 1e6; }

static void show_hist(struct mu_buf *b, const char *key, const struct mu_hist *h)
{
    static const struct { const char *key; double q; } rows[] = { { "p50_s", .5 }, { "p95_s", .95 }, { "p99_s", .99 } };

    mu_json_kopen(b, key, '{');
    mu_json_ku64(b, "count", h->count);
    mu_json_key(b, "mean_s");
    if (h->count) mu_json_real(b, mu_hist_mean(h) / 1e6); else mu_json_null(b);
    for (size_t i = 0; i < MU_COUNT(rows); i++) {
        mu_json_key(b, rows[i].key);
        if (h->count) mu_json_real(b, seconds(mu_hist_quantile(h, rows[i].q))); else mu_json_null(b);
    }
    mu_json_close(b, '{');
}

static void show_window(struct mu_server *sv, struct mu_buf *b, uint64_t window_ms)
{
    struct mu_stats_slot *slot = calloc(1, sizeof *slot);
    uint64_t covered_ms;

    MU_ASSERT(slot != NULL);
    mu_stats_window(&sv->stats, mu_boot_ms(), window_ms, slot, &covered_ms);
    mu_json_kfixed(b, "window_s", covered_ms, 3);
    mu_json_kopen(b, "throughput", '{');
    mu_json_kreal(b, "tasks_per_s", (double)slot->ended * 1000 / (double)covered_ms);
    mu_json_close(b, '{');
    mu_json_kopen(b, "stages", '{');
    for (int i = 0; i < MU_STAGES; i++)
        show_hist(b, mu_stage_text((enum mu_stage)i), &slot->stage[i]);
    mu_json_close(b, '{');
    mu_json_kopen(b, "journal", '{');
    mu_json_ku64(b, "seq", mu_ctl_applied(sv->ctl));
    mu_json_key(b, "append_p50_s");
    if (slot->append.count) mu_json_real(b, seconds(mu_hist_quantile(&slot->append, .5))); else mu_json_null(b);
    mu_json_key(b, "append_p99_s");
    if (slot->append.count) mu_json_real(b, seconds(mu_hist_quantile(&slot->append, .99))); else mu_json_null(b);
    mu_json_close(b, '{');
    free(slot);
}

static void show_now(struct mu_server *sv, struct mu_buf *b)
{
    const struct mu_core *core = mu_ctl_core(sv->ctl);
    uint64_t tasks[MU_TASK_STATES], active;
    struct sums sums;

    sums_of(core, &sums);
    mu_view_counts(core, tasks, &active);
    mu_json_kopen(b, "utilisation", '{');
    mu_json_kreal(b, "cpu", share(sums.used.amount[MU_RES_CPU], sums.total.amount[MU_RES_CPU]));
    mu_json_kreal(b, "mem", share(sums.used.amount[MU_RES_MEM], sums.total.amount[MU_RES_MEM]));
    mu_json_close(b, '{');
    mu_json_key(b, "tasks");
    mu_show_counts(b, tasks);
    mu_json_kopen(b, "jobs", '{');
    mu_json_ku64(b, "active", active);
    mu_json_close(b, '{');
    mu_json_kopen(b, "nodes", '{');
    for (int s = 0; s < MU_NODE_STATES; s++)
        mu_json_ku64(b, mu_node_state_text((enum mu_node_state)s), sums.nodes[s]);
    mu_json_close(b, '{');
}

void mu_api_stats(struct mu_call *c)
{
    struct mu_buf b = { 0 };
    uint64_t window_ms = WINDOW_DEFAULT_MS;

    if (!mu_call_duration(c, "window", WINDOW_MAX_MS, &window_ms))
        return;
    mu_json_open(&b, '{');
    show_window(c->sv, &b, window_ms);
    show_now(c->sv, &b);
    mu_json_kfixed(&b, "uptime_s", mu_boot_ms() - c->sv->stats.start_ms, 3);
    mu_json_close(&b, '{');
    mu_call_json(c, 200, &b);
    mu_buf_fini(&b);
}

/* ---- metrics ---- */

static void metric(struct mu_buf *b, const char *name, const char *type, const char *help)
{
    mu_buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_label(struct mu_buf *b, struct mu_str s)
{
    for (uint32_t i = 0; i < s.size; i++) {
        if (s.at[i] == '"' || s.at[i] == '\\' || s.at[i] == '\n')
            mu_buf_addc(b, '\\');
        mu_buf_addc(b, s.at[i] == '\n' ? 'n' : s.at[i]);
    }
}

static void put_hist(struct mu_buf *b, const char *name, const char *labels, const struct mu_hist *h)
{
    static const uint64_t edges_us[] = { 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000,
        2500000, 5000000, 10000000, 30000000, 60000000, 300000000, 1800000000, 7200000000, 86400000000 };
    const char *comma = labels[0] ? "," : "";

    for (size_t i = 0; i < MU_COUNT(edges_us); i++)
        mu_buf_printf(b, "%s_bucket{%s%sle=\"%g\"} %llu\n", name, labels, comma, (double)edges_us[i] / 1e6,
                      (unsigned long long)mu_hist_below(h, edges_us[i]));
    mu_buf_printf(b, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma, (unsigned long long)h->count);
    mu_buf_printf(b, "%s_sum%s%s%s %.6f\n", name, labels[0] ? "{" : "", labels, labels[0] ? "}" : "", seconds(h->sum));
    mu_buf_printf(b, "%s_count%s%s%s %llu\n", name, labels[0] ? "{" : "", labels, labels[0] ? "}" : "", (unsigned long long)h->count);
}

static void put_tasks(struct mu_server *sv, struct mu_buf *b)
{
    uint64_t tasks[MU_TASK_STATES], active, shown[MU_TASK_STATES] = { 0 };

    mu_view_counts(mu_ctl_core(sv->ctl), tasks, &active);
    shown[MU_TASK_READY] = tasks[MU_TASK_BLOCKED] + tasks[MU_TASK_READY] + tasks[MU_TASK_BACKOFF];
    metric(b, "muster_tasks", "gauge", "Tasks by state, of jobs that are kept.");
    for (int s = MU_TASK_READY; s < MU_TASK_STATES; s++)
        if (s != MU_TASK_BACKOFF)
            mu_buf_printf(b, "muster_tasks{state=\"%s\"} %llu\n", mu_task_state_text((enum mu_task_state)s),
                          (unsigned long long)(s == MU_TASK_READY ? shown[s] : tasks[s]));
    metric(b, "muster_tasks_total", "counter", "Tasks that ended since this server started, by state.");
    for (int s = MU_TASK_SUCCEEDED; s < MU_TASK_STATES; s++)
        mu_buf_printf(b, "muster_tasks_total{state=\"%s\"} %llu\n", mu_task_state_text((enum mu_task_state)s),
                      (unsigned long long)sv->stats.ended[s]);
    metric(b, "muster_jobs_active", "gauge", "Jobs that have not ended.");
    mu_buf_printf(b, "muster_jobs_active %llu\n", (unsigned long long)active);
}

static void put_stages(struct mu_server *sv, struct mu_buf *b)
{
    struct mu_stats_slot *total = calloc(1, sizeof *total);
    struct mu_ctl_stats ctl;
    char labels[32];

    MU_ASSERT(total != NULL);
    mu_stats_total(&sv->stats, total);
    mu_ctl_stats_get(sv->ctl, &ctl);
    metric(b, "muster_task_stage_seconds", "histogram", "Time of tasks by stage.");
    for (int i = 0; i < MU_STAGES; i++) {
        snprintf(labels, sizeof labels, "stage=\"%s\"", mu_stage_text((enum mu_stage)i));
        put_hist(b, "muster_task_stage_seconds", labels, &total->stage[i]);
    }
    metric(b, "muster_journal_append_seconds", "histogram", "Time from handing an entry to the journal until it is durable.");
    put_hist(b, "muster_journal_append_seconds", "", &total->append);
    metric(b, "muster_journal_batch_events", "summary", "Events an entry.");
    mu_buf_printf(b, "muster_journal_batch_events_sum %llu\nmuster_journal_batch_events_count %llu\n",
                  (unsigned long long)ctl.events, (unsigned long long)ctl.entries);
    free(total);
}

static void put_nodes(struct mu_server *sv, struct mu_buf *b)
{
    const struct mu_core *core = mu_ctl_core(sv->ctl);
    struct sums sums;

    sums_of(core, &sums);
    metric(b, "muster_nodes", "gauge", "Nodes by state.");
    for (int s = 0; s < MU_NODE_STATES; s++)
        mu_buf_printf(b, "muster_nodes{state=\"%s\"} %llu\n", mu_node_state_text((enum mu_node_state)s), (unsigned long long)sums.nodes[s]);
    metric(b, "muster_node_allocated", "gauge", "What live attempts hold of a node: cpu and gpu in units, mem in bytes.");
    for (uint32_t i = 0; i < mu_view_nodes(core); i++) {
        const struct mu_node *n = mu_view_node(core, i);
        for (uint32_t k = 0; k < mu_view_res_kinds(core); k++) {
            if (n->total.amount[k] == 0 && n->used.amount[k] == 0)
                continue;
            mu_buf_addz(b, "muster_node_allocated{node=\"");
            put_label(b, mu_str_of(n->name));
            mu_buf_addz(b, "\",resource=\"");
            put_label(b, mu_view_res_name(core, k));
            mu_buf_printf(b, "\"} %.15g\n", k == MU_RES_CPU || k == MU_RES_GPU ? (double)n->used.amount[k] / 1000 : (double)n->used.amount[k]);
        }
    }
}

static void put_sched(struct mu_server *sv, struct mu_buf *b)
{
    const char *name;

    metric(b, "muster_sched_decisions_total", "counter", "Placements decided, by policy.");
    for (uint32_t i = 0; (name = mu_sched_policy_name("place", i, NULL)) != NULL; i++)
        mu_buf_printf(b, "muster_sched_decisions_total{policy=\"%s\"} %llu\n", name,
                      (unsigned long long)mu_sched_decisions_by(mu_ctl_sched(sv->ctl), i));
    metric(b, "muster_sched_decision_seconds", "summary", "Time of turns that decided, by placement.");
    mu_buf_printf(b, "muster_sched_decision_seconds_sum %.6f\nmuster_sched_decision_seconds_count %llu\n",
                  seconds(sv->stats.decide_us), (unsigned long long)sv->stats.decisions);
}

static uint64_t rss_bytes(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (f == NULL)
        return 0;
    if (fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    fclose(f);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void put_server(struct mu_server *sv, struct mu_buf *b)
{
    struct mu_ctl_stats ctl;
    struct mu_httpd_stats http;

    mu_ctl_stats_get(sv->ctl, &ctl);
    mu_httpd_stats_get(sv->httpd, &http);
    metric(b, "muster_leader", "gauge", "1 while this server leads.");
    mu_buf_printf(b, "muster_leader %d\n", mu_ctl_leads(sv->ctl));
    metric(b, "muster_epoch", "gauge", "Epoch of the lead.");
    mu_buf_printf(b, "muster_epoch %llu\n", (unsigned long long)mu_ctl_epoch(sv->ctl));
    metric(b, "muster_journal_seq", "gauge", "Last entry applied.");
    mu_buf_printf(b, "muster_journal_seq %llu\n", (unsigned long long)mu_ctl_applied(sv->ctl));
    metric(b, "muster_agents", "gauge", "Connected agents.");
    mu_buf_printf(b, "muster_agents %u\n", ctl.agents);
    metric(b, "muster_nodes_lost_total", "counter", "Leases of nodes that ran out.");
    mu_buf_printf(b, "muster_nodes_lost_total %llu\n", (unsigned long long)ctl.nodes_lost);
    metric(b, "muster_stale_results_total", "counter", "Results of attempts that were over already.");
    mu_buf_printf(b, "muster_stale_results_total %llu\n", (unsigned long long)ctl.stale_results);
    metric(b, "muster_history_backlog_bytes", "gauge", "Results not written to the history yet.");
    mu_buf_printf(b, "muster_history_backlog_bytes %zu\n", mu_history_backlog(sv->history));
    metric(b, "muster_no_space", "gauge", "1 while the disk is too full for new work.");
    mu_buf_printf(b, "muster_no_space %d\n", sv->no_space);
    metric(b, "muster_http_requests_total", "counter", "Requests.");
    mu_buf_printf(b, "muster_http_requests_total %llu\n", (unsigned long long)http.requests);
    metric(b, "muster_http_connections", "gauge", "Open connections.");
    mu_buf_printf(b, "muster_http_connections %u\n", http.conns);
    metric(b, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.");
    mu_buf_printf(b, "process_resident_memory_bytes %llu\n", (unsigned long long)rss_bytes());
    metric(b, "muster_build_info", "gauge", "What runs.");
    mu_buf_printf(b, "muster_build_info{version=\"%s\"} 1\n", MU_VERSION_TEXT);
}

void mu_api_metrics(struct mu_call *c)
{
    struct mu_buf b = { 0 };

    put_tasks(c->sv, &b);
    put_stages(c->sv, &b);
    put_nodes(c->sv, &b);
    put_sched(c->sv, &b);
    put_server(c->sv, &b);
    mu_req_reply(c->req, 200, "text/plain; version=0.0.4", b.at, b.size);
    mu_call_end(c);
    mu_buf_fini(&b);
}

/* ---- health and the cluster ---- */

void mu_api_healthz(struct mu_call *c)
{
    mu_req_reply(c->req, 200, "text/plain", "ok\n", 3);
    mu_call_end(c);
}

void mu_api_readyz(struct mu_call *c)
{
    bool ready = c->sv->ready && mu_ctl_leads(c->sv->ctl);

    if (!ready)
        mu_req_header(c->req, "Retry-After", "1");
    mu_req_reply(c->req, ready ? 200 : 503, "text/plain", ready ? "ready\n" : "not ready\n", ready ? 6 : 10);
    mu_call_end(c);
}

void mu_api_cluster(struct mu_call *c)
{
    struct mu_server *sv = c->sv;
    const uint8_t *id = mu_journal_cluster_id(sv->journal);
    bool leads = mu_ctl_leads(sv->ctl);
    struct mu_buf b = { 0 };
    char hex[33];

    for (int i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", id[i]);
    mu_json_open(&b, '{');
    mu_json_ktext(&b, "cluster", hex);
    mu_json_ktext(&b, "version", MU_VERSION_TEXT);
    mu_json_key(&b, "leader");
    if (leads) {
        mu_json_open(&b, '{');
        mu_json_ktext(&b, "name", sv->name);
        mu_json_ktext(&b, "url", sv->url);
        mu_json_close(&b, '{');
    } else {
        mu_json_null(&b);
    }
    mu_json_ku64(&b, "epoch", mu_ctl_epoch(sv->ctl));
    mu_json_ku64(&b, "index", mu_ctl_applied(sv->ctl));
    mu_json_kopen(&b, "servers", '[');
    mu_json_open(&b, '{');
    mu_json_ktext(&b, "name", sv->name);
    mu_json_ktext(&b, "url", sv->url);
    mu_json_ktext(&b, "role", leads ? "leader" : "follower");
    mu_json_ku64(&b, "index", mu_ctl_applied(sv->ctl));
    mu_json_close(&b, '{');
    mu_json_close(&b, '[');
    mu_json_close(&b, '{');
    mu_call_json(c, 200, &b);
    mu_buf_fini(&b);
}
