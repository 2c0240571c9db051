/* log.c: the log: one line an event on stderr, written by a thread of its own. */
#include "log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../api/utf8.h"

enum { CAPACITY = 256 * 1024, CLOSE_SECONDS = 2 };

static const char *const level_names[] = {"debug", "info", "warn", "error"};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    pthread_t writer;
    char *ring;
    size_t capacity, used, first; /* guarded by lock, as are the next two */
    bool asleep, closing;
    int fd;
    bool text;
    atomic_int level; /* above WEIR_ERROR: closed */
    _Atomic uint64_t dropped;
    uint64_t dropped_told; /* the writer's own */
} sink = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER, .level = WEIR_ERROR + 1};

/* ---- One line ---- */

/* A line being made. Text that does not fit is cut, the line still ends as it must. */
typedef struct line {
    char bytes[LOG_LINE_MAX];
    size_t length;
} line;

/* What every line keeps free for its end: an escape, quote, brace and newline. */
enum { LINE_RESERVE = 16 };

static void put(line *l, const char *bytes, size_t length)
{
    if (l->length + length <= sizeof l->bytes - LINE_RESERVE) {
        memcpy(l->bytes + l->length, bytes, length);
        l->length += length;
    }
}

static void put_text(line *l, const char *text)
{
    put(l, text, strlen(text));
}

static void put_end(line *l, const char *end)
{
    size_t length = strlen(end);
    assert(l->length + length <= sizeof l->bytes);
    memcpy(l->bytes + l->length, end, length);
    l->length += length;
}

/* Bytes that are no UTF-8 become U+FFFD, so that a line is always valid JSON. */
static void put_escaped(line *l, const char *text)
{
    for (size_t left = strlen(text); left > 0;) {
        unsigned char c = (unsigned char)*text;
        size_t step = 1;
        char escape[8];
        if (c == '"' || c == '\\') {
            put(l, (const char[]){'\\', (char)c}, 2);
        } else if (c < 0x20 || c == 0x7f) {
            put(l, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", c));
        } else if (c < 0x80) {
            put(l, text, 1);
        } else {
            step = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
            if (step > left || utf8_valid(text, step) != step) {
                step = 1;
                put_text(l, "\xef\xbf\xbd");
            } else {
                put(l, text, step);
            }
        }
        text += step;
        left -= step;
    }
}

static void put_time(line *l, char separator)
{
    struct timespec now;
    struct tm utc;
    char stamp[40];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    int length = snprintf(stamp, sizeof stamp, "%04d-%02d-%02d%c%02d:%02d:%02d.%03ldZ",
                          utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, separator, utc.tm_hour,
                          utc.tm_min, utc.tm_sec, now.tv_nsec / 1000000);
    put(l, stamp, (size_t)length);
}

static void put_number(line *l, const log_field *field)
{
    char digits[48];
    if (field->kind == FIELD_MS)
        snprintf(digits, sizeof digits, "%" PRIu64 ".%03u", field->number / 1000000,
                 (unsigned)(field->number / 1000 % 1000));
    else
        snprintf(digits, sizeof digits, "%" PRIu64, field->number);
    put_text(l, digits);
}

static void put_json_text(line *l, const char *text)
{
    put_text(l, "\"");
    put_escaped(l, text);
    put_end(l, "\"");
}

/* Whether a field fits whole, judging by the longest its escapes can make it. */
static bool fits(const line *l, const log_field *field)
{
    size_t most = strlen(field->name) + 56;
    if (field->kind == FIELD_TEXT)
        most += strnlen(field->text, LOG_LINE_MAX) * 6;
    return l->length + most <= sizeof l->bytes - LINE_RESERVE;
}

static void make_json(line *l, weir_level level, const char *event, const char *message,
                      const log_field *fields, size_t count)
{
    put_text(l, "{\"ts\":\"");
    put_time(l, 'T');
    put_text(l, "\",\"level\":\"");
    put_text(l, level_names[level]);
    put_text(l, "\",\"event\":");
    put_json_text(l, event);
    put_text(l, ",\"msg\":");
    put_json_text(l, message);
    for (size_t i = 0; i < count; i++) {
        const log_field *field = &fields[i];
        if ((field->kind == FIELD_TEXT && !field->text) || !fits(l, field))
            continue;
        put_text(l, ",\"");
        put_text(l, field->name);
        put_text(l, "\":");
        if (field->kind == FIELD_TEXT)
            put_json_text(l, field->text);
        else
            put_number(l, field);
    }
    put_end(l, "}\n");
}

static void make_text(line *l, weir_level level, const char *event, const char *message,
                      const log_field *fields, size_t count)
{
    char head[64];
    put_time(l, ' ');
    snprintf(head, sizeof head, " %-5s %-20s ", level_names[level], event);
    put_text(l, head);
    put_escaped(l, message);
    for (size_t i = 0; i < count; i++) {
        const log_field *field = &fields[i];
        if ((field->kind == FIELD_TEXT && !field->text) || !fits(l, field))
            continue;
        put_text(l, "  ");
        put_text(l, field->name);
        put_text(l, "=");
        if (field->kind != FIELD_TEXT)
            put_number(l, field);
        else if (field->text[strcspn(field->text, " \"=\\")] == '\0')
            put_escaped(l, field->text);
        else
            put_json_text(l, field->text);
    }
    put_end(l, "\n");
}

static void make(line *l, weir_level level, const char *event, const char *message,
                 const log_field *fields, size_t count)
{
    l->length = 0;
    (sink.text ? make_text : make_json)(l, level, event, message, fields, count);
}

size_t log_json(char json[LOG_LINE_MAX], weir_level level, const char *event, const char *message,
                const log_field *fields, size_t field_count)
{
    line l;
    l.length = 0;
    make_json(&l, level, event, message, fields, field_count);
    memcpy(json, l.bytes, l.length - 1);
    return l.length - 1;
}

/* ---- The ring ---- */

static void ring_put(const char *bytes, size_t length)
{
    size_t at = (sink.first + sink.used) % sink.capacity;
    size_t before_wrap = sink.capacity - at < length ? sink.capacity - at : length;
    memcpy(sink.ring + at, bytes, before_wrap);
    memcpy(sink.ring, bytes + before_wrap, length - before_wrap);
    sink.used += length;
}

void log_set_level(weir_level level)
{
    if (sink.ring)
        atomic_store(&sink.level, (int)level);
}

bool log_wants(weir_level level)
{
    return (int)level >= atomic_load_explicit(&sink.level, memory_order_acquire);
}

void log_line(weir_level level, const char *event, const char *message, const log_field *fields,
              size_t field_count)
{
    if (!log_wants(level))
        return;
    line l;
    make(&l, level, event, message, fields, field_count);
    pthread_mutex_lock(&sink.lock);
    if (sink.closing || !sink.ring || l.length > sink.capacity - sink.used)
        atomic_fetch_add(&sink.dropped, 1);
    else
        ring_put(l.bytes, l.length);
    if (sink.asleep) {
        sink.asleep = false;
        pthread_cond_signal(&sink.filled);
    }
    pthread_mutex_unlock(&sink.lock);
}

uint64_t log_dropped(void)
{
    return atomic_load(&sink.dropped);
}

/* ---- The writer ---- */

static void write_all(const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t written = write(sink.fd, bytes, length);
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        } else if (written < 0 && errno == EAGAIN) {
            poll(&(struct pollfd){.fd = sink.fd, .events = POLLOUT}, 1, -1);
        } else if (written < 0 && errno != EINTR) {
            return; /* nobody reads any more: nothing better can be done with a log */
        }
    }
}

static void tell_dropped(void)
{
    uint64_t dropped = log_dropped();
    if (dropped == sink.dropped_told)
        return;
    line l;
    const log_field field = field_uint("lines", dropped - sink.dropped_told);
    sink.dropped_told = dropped;
    make(&l, WEIR_WARN, "log.dropped", "the log was not read fast enough: lines are missing",
         &field, 1);
    write_all(l.bytes, l.length);
}

/* Copies the next piece out of the ring; 0 when it is empty and the log is closing. */
static size_t ring_take(char *piece, size_t size)
{
    pthread_mutex_lock(&sink.lock);
    while (sink.used == 0 && !sink.closing) {
        sink.asleep = true;
        pthread_cond_wait(&sink.filled, &sink.lock);
    }
    size_t length = sink.used < size ? sink.used : size;
    size_t before_wrap = sink.capacity - sink.first;
    if (length > before_wrap)
        length = before_wrap;
    memcpy(piece, sink.ring + sink.first, length);
    sink.first = (sink.first + length) % sink.capacity;
    sink.used -= length;
    pthread_mutex_unlock(&sink.lock);
    return length;
}

static void *writer_main(void *arg)
{
    (void)arg;
    char piece[16 * 1024];
    bool whole = true; /* the last piece ended where a line ends */
    for (;;) {
        size_t length = ring_take(piece, sizeof piece);
        if (length == 0)
            break;
        write_all(piece, length);
        whole = piece[length - 1] == '\n';
        if (whole)
            tell_dropped();
    }
    tell_dropped();
    return NULL;
}

int log_open(const log_options *options)
{
    if (sink.ring)
        return WEIR_EINVAL;
    size_t capacity = options->capacity ? options->capacity : CAPACITY;
    char *ring = malloc(capacity);
    if (!ring)
        return WEIR_ENOMEM;
    sink.ring = ring;
    sink.capacity = capacity;
    sink.used = sink.first = 0;
    sink.closing = sink.asleep = false;
    sink.fd = options->fd;
    sink.text = options->format == LOG_TEXT || (options->format == LOG_AUTO && isatty(sink.fd));
    sink.dropped_told = log_dropped();
    if (pthread_create(&sink.writer, NULL, writer_main, NULL) != 0) {
        free(ring);
        sink.ring = NULL;
        return WEIR_EIO;
    }
    atomic_store(&sink.level, (int)options->level);
    return 0;
}

void log_close(void)
{
    if (!sink.ring)
        return;
    atomic_store(&sink.level, WEIR_ERROR + 1);
    pthread_mutex_lock(&sink.lock);
    sink.closing = true;
    pthread_cond_signal(&sink.filled);
    pthread_mutex_unlock(&sink.lock);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CLOSE_SECONDS;
    if (pthread_timedjoin_np(sink.writer, NULL, &until) != 0) {
        pthread_detach(
            sink.writer); /* stuck in write(): it keeps the ring until the process ends */
        return;
    }
    pthread_mutex_lock(&sink.lock); /* a line may still be on its way in */
    free(sink.ring);
    sink.ring = NULL;
    pthread_mutex_unlock(&sink.lock);
}
