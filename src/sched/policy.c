/* sched/policy.c -- policies by name: listed, checked, chosen. */
#include "sched/policy.h"

static enum mu_rc unknown(struct mu_str kind, struct mu_str name, struct mu_err *err)
{
    struct mu_buf names = { 0 };
    const char *text;
    char *kind_z = mu_str_dup(kind);

    for (uint32_t i = 0; (text = mu_sched_policy_name(kind_z, i, NULL)) != NULL; i++)
        mu_buf_printf(&names, "%s%s", i ? " " : "", text);
    enum mu_rc rc = mu_fail_at(err, MU_INVALID, "name", "there is no %s policy \"" MU_STR_FMT "\"; there are: " MU_STR_FMT,
                               kind_z, MU_STR_ARG(name), MU_STR_ARG(mu_buf_str(&names)));
    mu_buf_fini(&names);
    free(kind_z);
    return rc;
}

enum mu_rc mu_policy_find(struct mu_str kind, struct mu_str name, const struct mu_strs *words, struct mu_policy_choice *out,
                          struct mu_err *err)
{
    struct mu_policy_choice found = { .order = mu_str_is(kind, "order") };

    if (!found.order && !mu_str_is(kind, "place"))
        return mu_fail_at(err, MU_INVALID, "kind", "policies are of kind order or place, not \"" MU_STR_FMT "\"",
                          MU_STR_ARG(kind));
    found.index = found.order ? mu_order_find(name) : mu_place_find(name);
    if (found.index == UINT32_MAX)
        return unknown(kind, name, err);
    const struct mu_order_policy *order = found.order ? mu_order_at(found.index) : NULL;
    const struct mu_place_policy *place = found.order ? NULL : mu_place_at(found.index);
    enum mu_rc rc = mu_params_read(order ? order->params : place->params, order ? order->param_count : place->param_count,
                                   words, found.param, err);
    if (rc == MU_OK)
        *out = found;
    return rc;
}

void mu_policy_presets(struct mu_sched *s)
{
    const struct mu_place_policy *p;

    for (uint32_t i = 0; (p = mu_place_at(i)) != NULL; i++)
        (void)mu_params_read(p->params, p->param_count, NULL, s->place_param[i], NULL);
}

void mu_policy_choose(struct mu_sched *s, const struct mu_policy_choice *choice)
{
    if (choice->order) {
        s->order = mu_order_at(choice->index);
        memcpy(s->order_param, choice->param, sizeof s->order_param);
        s->order_changed = true;
        return;
    }
    mu_policy_presets(s);
    s->place = choice->index;
    memcpy(s->place_param[s->place], choice->param, sizeof s->place_param[0]);
    s->score_version++;
}

enum mu_rc mu_sched_policy_set(struct mu_sched *s, struct mu_str kind, struct mu_str name, const struct mu_strs *params,
                               struct mu_err *err)
{
    struct mu_policy_choice choice;
    enum mu_rc rc = mu_policy_find(kind, name, params, &choice, err);

    if (rc == MU_OK)
        mu_policy_choose(s, &choice);
    return rc;
}

enum mu_rc mu_sched_policy_check(struct mu_str kind, struct mu_str name, const struct mu_strs *params, struct mu_err *err)
{
    struct mu_policy_choice choice;

    return mu_policy_find(kind, name, params, &choice, err);
}

const char *mu_sched_policy_name(const char *kind, uint32_t i, const char **out_about)
{
    const struct mu_order_policy *order = strcmp(kind, "order") == 0 ? mu_order_at(i) : NULL;
    const struct mu_place_policy *place = strcmp(kind, "place") == 0 ? mu_place_at(i) : NULL;

    if (order == NULL && place == NULL)
        return NULL;
    if (out_about)
        *out_about = order ? order->about : place->about;
    return order ? order->name : place->name;
}
