/* sched/param.c -- see param.h. */
#include "sched/param.h"

#include "base/units.h"

static bool read_value(const struct mu_param *p, struct mu_str text, uint64_t *out)
{
    uint64_t value;

    if (p->kind == MU_PARAM_DURATION ? !mu_parse_duration(text, &value) : !mu_str_u64(text, &value))
        return false;
    if (value < p->min || value > p->max)
        return false;
    *out = value;
    return true;
}

static enum mu_rc bad_value(const struct mu_param *p, struct mu_str text, struct mu_err *err)
{
    char low[MU_TEXT_UNITS], high[MU_TEXT_UNITS];

    if (p->kind == MU_PARAM_FLAG)
        return mu_fail_at(err, MU_INVALID, p->name, "%s is 0 or 1, not \"" MU_STR_FMT "\"", p->name, MU_STR_ARG(text));
    if (p->kind == MU_PARAM_DURATION)
        return mu_fail_at(err, MU_INVALID, p->name, "%s is a duration from %s to %s, not \"" MU_STR_FMT "\"", p->name,
                          mu_duration_text(low, p->min), mu_duration_text(high, p->max), MU_STR_ARG(text));
    return mu_fail_at(err, MU_INVALID, p->name, "%s is a number from %llu to %llu, not \"" MU_STR_FMT "\"", p->name,
                      (unsigned long long)p->min, (unsigned long long)p->max, MU_STR_ARG(text));
}

static enum mu_rc read_word(const struct mu_param *table, uint32_t count, struct mu_str word, uint64_t *values,
                            struct mu_err *err)
{
    struct mu_str text, name = mu_str_cut(word, '=', &text);

    for (uint32_t i = 0; i < count; i++) {
        if (!mu_str_is(name, table[i].name))
            continue;
        return read_value(&table[i], text, &values[i]) ? MU_OK : bad_value(&table[i], text, err);
    }
    return mu_fail_at(err, MU_INVALID, "params", "this policy has no parameter \"" MU_STR_FMT "\"", MU_STR_ARG(name));
}

enum mu_rc mu_params_read(const struct mu_param *table, uint32_t count, const struct mu_strs *words,
                          uint64_t values[MU_PARAMS_MAX], struct mu_err *err)
{
    uint64_t read[MU_PARAMS_MAX] = { 0 };

    for (uint32_t i = 0; i < count; i++)
        read[i] = table[i].preset;
    for (uint32_t i = 0; words != NULL && i < words->count; i++) {
        enum mu_rc rc = read_word(table, count, words->at[i], read, err);

        if (rc != MU_OK)
            return rc;
    }
    memcpy(values, read, sizeof read);
    return MU_OK;
}
