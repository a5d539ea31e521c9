#include "base/units.h"

#include "base/assert.h"

#define DAY_MS UINT64_C(86400000)
#define TIME_MAX_MS (UINT64_C(253402300800000) - 1) /* the end of the year 9999 */

struct amount {
    uint64_t whole;
    uint32_t milli;
};
struct unit {
    const char *name;
    uint64_t value;
};

static bool is_digit(struct mu_str s)
{
    return s.size && s.at[0] >= '0' && s.at[0] <= '9';
}

static void skip(struct mu_str *s, uint32_t n)
{
    s->at += n;
    s->size -= n;
}

/* Take digits, and up to three decimals, off the front. */
static bool take_amount(struct mu_str *s, struct amount *out)
{
    uint32_t digits = 0;

    *out = (struct amount){ 0 };
    while (digits < s->size && s->at[digits] >= '0' && s->at[digits] <= '9')
        digits++;
    if (!mu_str_u64((struct mu_str){ s->at, digits }, &out->whole))
        return false;
    skip(s, digits);
    if (s->size == 0 || s->at[0] != '.')
        return true;
    skip(s, 1);
    if (!is_digit(*s))
        return false;
    for (uint32_t weight = 100; is_digit(*s); weight /= 10, skip(s, 1)) {
        if (weight == 0)
            return false;
        out->milli += weight * (uint32_t)(s->at[0] - '0');
    }
    return true;
}

static bool scale(struct amount a, uint64_t unit, uint64_t *out)
{
    uint64_t part = unit % 1000 * a.milli / 1000 + unit / 1000 * a.milli, n;

    if (__builtin_mul_overflow(a.whole, unit, &n) || __builtin_add_overflow(n, part, &n))
        return false;
    *out = n;
    return true;
}

bool mu_parse_size(struct mu_str s, uint64_t *out_bytes)
{
    static const char letters[] = "KMGTPE";
    struct amount amount;
    uint64_t unit = 1, base = 1024;
    const char *letter;

    if (!take_amount(&s, &amount))
        return false;
    letter = s.size ? strchr(letters, s.at[0] & ~0x20) : NULL;
    if (letter && *letter) {
        skip(&s, 1);
        if (mu_str_is(s, "B"))
            base = 1000;
        else if (s.size && !mu_str_is(s, "iB") && !mu_str_is(s, "i"))
            return false;
        for (const char *at = letters; at <= letter; at++)
            unit *= base;
    } else if (s.size && !mu_str_is(s, "B")) {
        return false;
    }
    return (unit > 1 || amount.milli == 0) && scale(amount, unit, out_bytes);
}

static const struct unit durations[] = { /* "ms" before "m": the longer name is tried first */
    { "w", 7 * DAY_MS }, { "d", DAY_MS }, { "h", 3600000 }, { "ms", 1 }, { "m", 60000 }, { "s", 1000 },
};

static uint64_t take_duration_unit(struct mu_str *s)
{
    for (size_t i = 0; i < MU_COUNT(durations); i++) {
        uint32_t size = (uint32_t)strlen(durations[i].name);
        if (s->size >= size && memcmp(s->at, durations[i].name, size) == 0) {
            skip(s, size);
            return durations[i].value;
        }
    }
    return 0;
}

bool mu_parse_duration(struct mu_str s, uint64_t *out_ms)
{
    uint64_t total = 0, last = UINT64_MAX;
    struct amount amount;

    do {
        uint64_t part, unit;
        if (!take_amount(&s, &amount))
            return false;
        unit = s.size == 0 && last == UINT64_MAX ? 1000 : take_duration_unit(&s);
        if (unit == 0 || unit >= last || (unit == 1 && amount.milli))
            return false;
        if (!scale(amount, unit, &part) || __builtin_add_overflow(total, part, &total))
            return false;
        last = unit;
    } while (s.size);
    *out_ms = total;
    return true;
}

bool mu_parse_milli(struct mu_str s, uint64_t *out_milli)
{
    struct amount amount;

    return take_amount(&s, &amount) && s.size == 0 && scale(amount, 1000, out_milli);
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar. March is the first month of the shifted
 * year, so that the leap day is its last; 153 days in each five months from March. */
static uint64_t days_of(unsigned year, unsigned month, unsigned day)
{
    unsigned shifted = (month + 9) % 12, y = year - (month < 3);

    return (uint64_t)y * 365 + y / 4 - y / 100 + y / 400 + (153 * shifted + 2) / 5 + (day - 1) - 719468;
}

static unsigned month_days(unsigned year, unsigned month)
{
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return month == 2 ? 28u + leap : 30u + (month + month / 8) % 2;
}

/* Exactly `count` digits, then the character `then` (0: none). */
static bool take_digits(struct mu_str *s, uint32_t count, char then, unsigned *out)
{
    *out = 0;
    for (uint32_t i = 0; i < count; i++, skip(s, 1)) {
        if (!is_digit(*s))
            return false;
        *out = *out * 10 + (unsigned)(s->at[0] - '0');
    }
    if (then == 0)
        return true;
    if (s->size == 0 || s->at[0] != then)
        return false;
    skip(s, 1);
    return true;
}

static bool take_fraction_ms(struct mu_str *s, unsigned *out_ms)
{
    unsigned weight = 100;

    *out_ms = 0;
    if (s->size == 0 || s->at[0] != '.')
        return true;
    skip(s, 1);
    if (!is_digit(*s))
        return false;
    for (; is_digit(*s); weight /= 10, skip(s, 1))
        *out_ms += weight * (unsigned)(s->at[0] - '0');
    return true;
}

static bool take_offset(struct mu_str *s, int64_t *out_ms)
{
    unsigned hours, minutes;
    bool west;

    *out_ms = 0;
    if (mu_str_is(*s, "Z") || mu_str_is(*s, "z")) {
        skip(s, 1);
        return true;
    }
    if (s->size == 0 || (s->at[0] != '+' && s->at[0] != '-'))
        return false;
    west = s->at[0] == '-';
    skip(s, 1);
    if (!take_digits(s, 2, ':', &hours) || !take_digits(s, 2, 0, &minutes) || hours > 23 || minutes > 59)
        return false;
    *out_ms = (int64_t)(hours * 60 + minutes) * (west ? -60000 : 60000);
    return true;
}

bool mu_parse_time(struct mu_str s, uint64_t *out_ms)
{
    unsigned year, month, day, hour, minute, second, fraction;
    int64_t offset, ms;

    if (!take_digits(&s, 4, '-', &year) || !take_digits(&s, 2, '-', &month) || !take_digits(&s, 2, 0, &day))
        return false;
    if (s.size == 0 || (s.at[0] != 'T' && s.at[0] != 't' && s.at[0] != ' '))
        return false;
    skip(&s, 1);
    if (!take_digits(&s, 2, ':', &hour) || !take_digits(&s, 2, ':', &minute) || !take_digits(&s, 2, 0, &second))
        return false;
    if (!take_fraction_ms(&s, &fraction) || !take_offset(&s, &offset) || s.size)
        return false;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > month_days(year, month))
        return false;
    if (hour > 23 || minute > 59 || second > 60) /* 60: a leap second, taken as the next one */
        return false;
    ms = (int64_t)(days_of(year, month, day) * DAY_MS + (hour * 60 + minute) * UINT64_C(60000) +
                   second * 1000 + fraction) - offset;
    if (ms < 0 || (uint64_t)ms > TIME_MAX_MS)
        return false;
    *out_ms = (uint64_t)ms;
    return true;
}

char *mu_milli_text(char *text, uint64_t milli)
{
    unsigned rest = (unsigned)(milli % 1000), width = 3;

    while (width > 1 && rest % 10 == 0) {
        rest /= 10;
        width--;
    }
    if (rest == 0)
        snprintf(text, MU_TEXT_UNITS, "%llu", (unsigned long long)milli / 1000);
    else
        snprintf(text, MU_TEXT_UNITS, "%llu.%0*u", (unsigned long long)milli / 1000, (int)width, rest);
    return text;
}

char *mu_size_text(char *text, uint64_t bytes)
{
    static const char letters[] = "KMGTPE";
    uint64_t unit = 1, tenths;
    int step = 0;

    while (step < 6 && bytes / unit >= 1024) {
        unit *= 1024;
        step++;
    }
    if (step == 0) {
        snprintf(text, MU_TEXT_UNITS, "%lluB", (unsigned long long)bytes);
        return text;
    }
    tenths = bytes % unit / (unit / 1024) * 10 / 1024; /* cut, not rounded: 1023.99 stays below the next unit */
    if (tenths)
        snprintf(text, MU_TEXT_UNITS, "%llu.%llu%ciB", (unsigned long long)(bytes / unit),
                 (unsigned long long)tenths, letters[step - 1]);
    else
        snprintf(text, MU_TEXT_UNITS, "%llu%ciB", (unsigned long long)(bytes / unit), letters[step - 1]);
    return text;
}

char *mu_duration_text(char *text, uint64_t ms)
{
    static const struct unit units[] = { { "d", DAY_MS }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 } };
    uint64_t rest;
    size_t i = 0;

    if (ms < 1000) {
        snprintf(text, MU_TEXT_UNITS, "%llums", (unsigned long long)ms);
        return text;
    }
    if (ms < 60000) {
        mu_milli_text(text, ms);
        memcpy(text + strlen(text), "s", 2);
        return text;
    }
    while (ms < units[i].value)
        i++;
    rest = ms % units[i].value / units[i + 1].value;
    if (rest)
        snprintf(text, MU_TEXT_UNITS, "%llu%s%llu%s", (unsigned long long)(ms / units[i].value), units[i].name,
                 (unsigned long long)rest, units[i + 1].name);
    else
        snprintf(text, MU_TEXT_UNITS, "%llu%s", (unsigned long long)(ms / units[i].value), units[i].name);
    return text;
}

char *mu_time_text(char *text, uint64_t ms)
{
    unsigned year, month = 1, rest, clock_ms;
    uint64_t days;

    if (ms > TIME_MAX_MS)
        ms = TIME_MAX_MS;
    days = ms / DAY_MS;
    clock_ms = (unsigned)(ms % DAY_MS);
    year = 1970 + (unsigned)(days * 400 / 146097); /* 146097 days in 400 years: right or one too high */
    if (days_of(year, 1, 1) > days)
        year--;
    rest = (unsigned)(days - days_of(year, 1, 1));
    if (rest >= 365u + (month_days(year, 2) == 29)) {
        rest -= 365u + (month_days(year, 2) == 29);
        year++;
    }
    for (; rest >= month_days(year, month); month++)
        rest -= month_days(year, month);
    snprintf(text, MU_TEXT_UNITS, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", year % 10000, month % 100, (rest + 1) % 100,
             clock_ms / 3600000 % 100, clock_ms / 60000 % 60, clock_ms / 1000 % 60, clock_ms % 1000);
    return text;
}
