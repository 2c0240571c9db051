/* saying.c: one sentence, put together piece by piece, for people. */
#include "saying.h"

#include <stdarg.h>
#include <stdio.h>

void say(saying *s, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(s->text + s->length, s->size - s->length, format, arguments);
    va_end(arguments);
    if (length > 0)
        s->length += (size_t)length;
    if (s->length >= s->size)
        s->length = s->size - 1;
}

void say_duration(saying *s, uint64_t ns)
{
    static const struct {
        const char *name;
        double ns, most; /* what would round up to this much is told in the next unit */
        int figures;
    } units[] = {
        {"us", 1e3, 999.5, 3},  {"ms", 1e6, 999.5, 3},  {"s", 1e9, 119.5, 3},
        {"min", 60e9, 99.5, 2}, {"h", 3600e9, 47.5, 2},
    };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if ((double)ns / units[i].ns < units[i].most) {
            say(s, "%.*g %s", units[i].figures, (double)ns / units[i].ns, units[i].name);
            return;
        }
    say(s, "%.0f days", (double)ns / 86400e9);
}

void say_number(saying *s, double number)
{
    say(s, number < 9.95 ? "%.1f" : "%.0f", number);
}
