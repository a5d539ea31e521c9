/* Any text as a size, a duration, a number of CPUs, a time: the first byte chooses. */
#include "base/units.h"
#include "fuzz/fuzz.h"

static const struct {
    bool (*parse)(struct mu_str, uint64_t *);
    char *(*text)(char *, uint64_t);
    bool exact; /* what is printed means the very same number */
} units[] = {
    { mu_parse_size, mu_size_text, false },
    { mu_parse_duration, mu_duration_text, false },
    { mu_parse_milli, mu_milli_text, true },
    { mu_parse_time, mu_time_text, true },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t value = 42, again = 0;
    char text[MU_TEXT_UNITS];
    unsigned which;

    if (size == 0)
        return 0;
    which = data[0] % MU_COUNT(units);
    if (!units[which].parse((struct mu_str){ (const char *)data + 1, (uint32_t)size - 1 }, &value)) {
        MU_ASSERT(value == 42);
        return 0;
    }
    units[which].text(text, value);
    MU_ASSERT(memchr(text, '\0', sizeof text) != NULL);
    MU_ASSERT(units[which].parse(mu_str_of(text), &again));
    MU_ASSERT(units[which].exact ? again == value : again <= value);
    return 0;
}
