/* calm.c: what weir holds on to once nobody asks it for anything. */
#include "calm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/http_client.h"
#include "moment.h"

static long number(json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    return json_is_integer(value) ? (long)json_integer_value(value) : -1;
}

static long status_line(pid_t pid, const char *name)
{
    char path[64], line[256];
    long value = -1;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0)
            value = atol(line + strlen(name) + 1);
    if (f)
        fclose(f);
    return value;
}

static bool look(calm *c, uint16_t port)
{
    http_client *client = http_open(port);
    http_reply reply = http_get(client, "/pool");
    json_t *totals = json_object_get(reply.json, "totals");
    c->size = number(reply.json, "size");
    c->idle = number(reply.json, "idle");
    c->in_use = number(reply.json, "in_use");
    c->waiting = number(reply.json, "waiting");
    c->max = number(reply.json, "max");
    c->granted = number(totals, "granted");
    c->released = number(totals, "released");
    http_reply_free(&reply);
    http_close(client);
    return c->size >= 0 && c->size == c->idle && c->in_use == 0 && c->waiting == 0;
}

calm calm_await(const weir_process *weir, uint16_t port, postgres_server *server,
                const proxy *network, uint64_t deadline_ns)
{
    calm c = {0};
    do {
        sleep_ms(50);
        c.reached = look(&c, port);
        c.proxied = proxy_sessions(network);
        c.sessions = postgres_number(server, "select count(*) from pg_stat_activity where "
                                             "usename = 'weir'");
        c.descriptors = weir_descriptors(weir);
        c.threads = status_line(weir_pid(weir), "Threads");
        c.memory_kib = status_line(weir_pid(weir), "VmRSS");
        c.reached = c.reached && c.proxied == c.size && c.sessions == c.size;
    } while (!c.reached && now_ns() < deadline_ns);
    return c;
}

bool memory_is_telling(const weir_process *weir)
{
    char path[64], line[512];
    bool instrumented = false;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)weir_pid(weir));
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        instrumented |= strstr(line, "libasan") || strstr(line, "libtsan");
    if (f)
        fclose(f);
    return !instrumented;
}
