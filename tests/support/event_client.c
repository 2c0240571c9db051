/* event_client.c: a client of server-sent events, which reads them as a browser does. */
#include "event_client.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "patience.h"
#include "raw_client.h"

struct event_client {
    int fd;
    char *text;                  /* what has come and is not yet understood */
    size_t at, length, capacity; /* understood up to `at` */
    bool header_read, ended;
    bool told; /* the event in `name`, `id` and `data` has been given */
    int status, comments;
    char name[64], id[64];
    char *data;
    size_t data_length;
};

/* Before HTTP/1.1 the body comes as it is, without chunks. */
static event_client *ask(uint16_t port, const char *path, const char *name, const char *value)
{
    event_client *c = calloc(1, sizeof *c);
    char request[1024];
    c->fd = raw_dial(port);
    snprintf(request, sizeof request,
             "GET %s HTTP/1.0\r\nHost: x\r\nAccept: text/event-stream\r\n%s%s%s\r\n", path,
             value ? name : "", value ? value : "", value ? "\r\n" : "");
    if (c->fd < 0 || !raw_say(c->fd, request))
        c->ended = true;
    return c;
}

event_client *events_open(uint16_t port, const char *path, const char *last_id)
{
    return ask(port, path, "Last-Event-ID: ", last_id);
}

event_client *events_open_as(uint16_t port, const char *path, const char *token)
{
    return ask(port, path, "Authorization: Bearer ", token);
}

static void release(event_client *c, bool abruptly)
{
    if (!c)
        return;
    if (c->fd >= 0)
        raw_vanish(c->fd, abruptly);
    free(c->text);
    free(c->data);
    free(c);
}

void events_close(event_client *c)
{
    release(c, false);
}

void events_vanish(event_client *c)
{
    release(c, true);
}

/* Whether more has come within `seconds`. */
static bool read_more(event_client *c, double seconds)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    if (c->ended || poll(&p, 1, seconds > 0 ? (int)(seconds * 1e3) + 1 : 0) <= 0)
        return false;
    if (c->at > 0)
        memmove(c->text, c->text + c->at, c->length - c->at);
    c->length -= c->at;
    c->at = 0;
    if (c->capacity - c->length < 16384) {
        c->capacity = c->capacity ? 2 * c->capacity : 32768;
        c->text = realloc(c->text, c->capacity);
    }
    ssize_t got = recv(c->fd, c->text + c->length, c->capacity - c->length - 1, 0);
    c->ended = got <= 0;
    c->length += got > 0 ? (size_t)got : 0;
    c->text[c->length] = '\0';
    return got > 0;
}

static bool read_header(event_client *c)
{
    char *end = c->length ? strstr(c->text, "\r\n\r\n") : NULL;
    if (!end)
        return false;
    c->status = (int)strtol(c->text + strlen("HTTP/1.1 "), NULL, 10);
    c->at = (size_t)(end - c->text) + 4;
    return c->header_read = true;
}

int events_status(event_client *c)
{
    double until = now() + 10 * slower();
    while (!c->header_read && !read_header(c))
        if (!read_more(c, until - now()))
            return 0;
    return c->status;
}

static void add_data(event_client *c, const char *line, size_t length)
{
    c->data = realloc(c->data, c->data_length + length + 2);
    memcpy(c->data + c->data_length, line, length);
    c->data_length += length;
    c->data[c->data_length++] = '\n';
}

static void take_field(event_client *c, const char *line, size_t length)
{
    static const char data[] = "data: ", name[] = "event: ", id[] = "id: ";
    if (line[0] == ':')
        c->comments++;
    else if (strncmp(line, data, strlen(data)) == 0)
        add_data(c, line + strlen(data), length - strlen(data));
    else if (strncmp(line, name, strlen(name)) == 0)
        snprintf(c->name, sizeof c->name, "%.*s", (int)(length - strlen(name)),
                 line + strlen(name));
    else if (strncmp(line, id, strlen(id)) == 0)
        snprintf(c->id, sizeof c->id, "%.*s", (int)(length - strlen(id)), line + strlen(id));
}

/* Whether what has come so far ends an event. Lines end with any of the three. */
static bool take_lines(event_client *c)
{
    bool whole = false;
    while (!whole) {
        const char *line = c->text + c->at;
        size_t length = c->at < c->length ? strcspn(line, "\r\n") : 0;
        if (c->at + length >= c->length)
            break;
        if (length > 0)
            take_field(c, line, length);
        whole = length == 0 && c->data_length > 0;
        c->at += length + (strncmp(line + length, "\r\n", 2) == 0 ? 2 : 1);
    }
    return whole;
}

bool events_next(event_client *c, double seconds, heard_event *e)
{
    double until = now() + seconds * slower();
    if (c->told) {
        c->name[0] = c->id[0] = '\0';
        c->data_length = 0;
    }
    c->told = false;
    if (events_status(c) == 0)
        return false;
    while (!take_lines(c))
        if (!read_more(c, until - now()))
            return false;
    c->data[c->data_length - 1] = '\0';
    c->told = true;
    *e = (heard_event){*c->name ? c->name : "message", c->id, c->data};
    return true;
}

bool events_ended(const event_client *c)
{
    return c->ended;
}

int events_comments(const event_client *c)
{
    return c->comments;
}
