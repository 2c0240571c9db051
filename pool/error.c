/* error.c: what errors, reasons and events are called. */
#include "weir.h"

const char *weir_strerror(int error)
{
    switch (error) {
    case 0: return "no error";
#define X(name, value, word, text)                                                                 \
    case name: return text;
        WEIR_ERRORS(X)
#undef X
    default: return "unknown error";
    }
}

const char *weir_error_name(int error)
{
    switch (error) {
    case 0: return "ok";
#define X(name, value, word, text)                                                                 \
    case name: return word;
        WEIR_ERRORS(X)
#undef X
    default: return "unknown";
    }
}

const char *weir_retire_reason_name(weir_retire_reason reason)
{
    switch (reason) {
#define X(name, word)                                                                              \
    case name: return word;
        WEIR_RETIRE_REASONS(X)
#undef X
    case WEIR_RETIRE_REASON_COUNT: break;
    }
    return "unknown";
}

const char *weir_event_name(weir_event_kind kind)
{
    switch (kind) {
#define X(name, word, level)                                                                       \
    case name: return word;
        WEIR_EVENTS(X)
#undef X
    case WEIR_EVENT_COUNT: break;
    }
    return "unknown";
}

weir_level weir_event_level(weir_event_kind kind)
{
    switch (kind) {
#define X(name, word, level)                                                                       \
    case name: return level;
        WEIR_EVENTS(X)
#undef X
    case WEIR_EVENT_COUNT: break;
    }
    return WEIR_ERROR;
}
