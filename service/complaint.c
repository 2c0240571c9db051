/* complaint.c: what keeps a command from its work, in one line on stderr. */
#include "complaint.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "exits.h"

void complain(const char *format, ...)
{
    char line[1280]; /* room for what fault_text writes */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    fprintf(stderr, "weir: %s\n", line);
}

void fault_text(const query_fault *fault, char *text, size_t size)
{
    if (!*fault->file)
        snprintf(text, size, "%s", fault->message);
    else if (fault->line == 0)
        snprintf(text, size, "%s: %s", fault->file, fault->message);
    else
        snprintf(text, size, "%s:%" PRIu32 ": %s", fault->file, fault->line, fault->message);
}

int complain_of(const query_fault *fault, int error, int exit_code)
{
    char text[sizeof fault->file + sizeof fault->message + 16];
    fault_text(fault, text, sizeof text);
    complain("%s", error == WEIR_EINVAL ? text : weir_strerror(error));
    return error == WEIR_EINVAL ? exit_code : EXIT_SYSTEM;
}
