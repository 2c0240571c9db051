/* log.h: the log: one line an event on stderr, written by a thread of its own.
 *
 * Writing a line copies it into a bounded ring and never waits for whoever reads stderr: lines that
 * do not fit are counted, and the count is told as soon as there is room again. Any thread. */
#ifndef WEIR_LOG_H
#define WEIR_LOG_H

#include "../pool/weir.h"

typedef enum log_format { LOG_AUTO, LOG_JSON, LOG_TEXT } log_format;

typedef struct log_options {
    int fd;
    log_format format; /* LOG_AUTO: text when fd is a terminal */
    weir_level level;  /* lines below are left out */
    size_t capacity;   /* bytes of the ring; 0: 256 KiB */
} log_options;

/* One more thing a line tells. A text of NULL leaves the field out. */
typedef struct log_field {
    const char *name;
    enum { FIELD_TEXT, FIELD_UINT, FIELD_MS } kind;
    const char *text;
    uint64_t number; /* FIELD_MS: ns, shown as milliseconds */
} log_field;

#define field_text(field, value) ((log_field){.name = (field), .kind = FIELD_TEXT, .text = (value)})
#define field_uint(field, value)                                                                   \
    ((log_field){.name = (field), .kind = FIELD_UINT, .number = (value)})
#define field_ms(field, value_ns)                                                                  \
    ((log_field){.name = (field), .kind = FIELD_MS, .number = (value_ns)})

/* Starts the writer. WEIR_EINVAL when it is open, WEIR_ENOMEM, WEIR_EIO. Lines before log_open and
 * after log_close are dropped. */
int log_open(const log_options *options);

/* Writes out what is in the ring, for two seconds at most, and stops the writer. */
void log_close(void);

/* From now on lines below are left out. */
void log_set_level(weir_level level);
bool log_wants(weir_level level);
void log_line(weir_level level, const char *event, const char *message, const log_field *fields,
              size_t field_count);

/* What log_line would write as JSON, without the line's end, for who keeps it elsewhere; its
 * length.
 */
#define LOG_LINE_MAX 4096
size_t log_json(char json[LOG_LINE_MAX], weir_level level, const char *event, const char *message,
                const log_field *fields, size_t field_count);

/* log_say(WEIR_INFO, "service.ready", "serving", field_uint("port", 80)); the fields may be left
 * out. */
#define log_say(level, event, message, ...)                                                        \
    do {                                                                                           \
        if (log_wants(level)) {                                                                    \
            const log_field said[] = {{.name = NULL}, ##__VA_ARGS__};                              \
            log_line(level, event, message, said + 1, sizeof said / sizeof *said - 1);             \
        }                                                                                          \
    } while (0)

/* Lines left out so far because the ring was full. */
uint64_t log_dropped(void);

#endif
