/* findings.c: all that is wrong or doubtful in a folder of queries. */
#include "findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

static int make_room(findings *all)
{
    if (all->count < all->capacity)
        return 0;
    uint32_t capacity = all->capacity ? all->capacity * 2 : 16;
    finding *more = realloc(all->list, capacity * sizeof *more);
    if (!more)
        return WEIR_ENOMEM;
    all->list = more;
    all->capacity = capacity;
    return 0;
}

/* One limit passed by many is said once. */
static bool is_last(const findings *all, const char *file, uint32_t line, const char *message)
{
    const finding *last = all->count > 0 ? &all->list[all->count - 1] : NULL;
    return last && last->line == line && strcmp(last->file, file) == 0 &&
           strcmp(last->message, message) == 0;
}

static int add(findings *all, const char *file, uint32_t line, const char *message, bool warning)
{
    if (is_last(all, file, line, message))
        return 0;
    if (all->count < FINDINGS_MAX) {
        finding f = {.line = line, .warning = warning};
        if (make_room(all) != 0 || !(f.file = strdup(file)))
            return WEIR_ENOMEM;
        if (!(f.message = strdup(message))) {
            free(f.file);
            return WEIR_ENOMEM;
        }
        all->list[all->count++] = f;
    }
    all->errors += !warning;
    all->warnings += warning;
    return 0;
}

int findings_keep(const query_fault *fault, int status)
{
    if (status != WEIR_EINVAL || !fault->all)
        return status;
    return add(fault->all, fault->file, fault->line, fault->message, false);
}

int findings_warn(findings *all, const query *q, uint32_t line, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    utf8_mend(message);
    return add(all, q->file, line, message, true);
}

uint32_t findings_errors(const query_fault *fault)
{
    return fault->all ? fault->all->errors : 0;
}

static int in_order(const void *a, const void *b)
{
    const finding *one = a, *other = b;
    int order = strcmp(one->file, other->file);
    if (order == 0)
        order = (one->line > other->line) - (one->line < other->line);
    return order ? order : strcmp(one->message, other->message);
}

void findings_sort(findings *all)
{
    if (all->count > 0)
        qsort(all->list, all->count, sizeof *all->list, in_order);
}

void findings_free(findings *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        free(all->list[i].file);
        free(all->list[i].message);
    }
    free(all->list);
    *all = (findings){0};
}
