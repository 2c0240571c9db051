/* why.c: why what somebody has said is refused, in one line. */
#include "why.h"

#include <stdarg.h>
#include <stdio.h>

bool why_not(char *why, size_t why_size, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(why, why_size, format, values);
    va_end(values);
    return false;
}
