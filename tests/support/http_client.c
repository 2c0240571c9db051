/* http_client.c: HTTP as a client sees it, through libcurl. */
#include "http_client.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SECONDS_MAX = 30 };

struct http_client {
    CURL *curl;
    uint16_t port;
    char *authorities; /* NULL: no TLS */
};

typedef struct text {
    char *bytes;
    size_t length, capacity;
} text;

static void initialise(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

http_client *http_open(uint16_t port)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, initialise);
    http_client *client = calloc(1, sizeof *client);
    CURL *curl = curl_easy_init();
    if (!client || !curl) {
        fputs("http_client: out of memory\n", stderr);
        exit(99);
    }
    *client = (http_client){.curl = curl, .port = port};
    return client;
}

http_client *http_open_tls(uint16_t port, const char *authorities)
{
    http_client *client = http_open(port);
    client->authorities = strdup(authorities);
    return client;
}

void http_close(http_client *client)
{
    if (!client)
        return;
    free(client->authorities);
    curl_easy_cleanup(client->curl);
    free(client);
}

static size_t collect(char *bytes, size_t size, size_t count, void *arg)
{
    text *t = arg;
    size_t more = size * count;
    if (t->length + more >= t->capacity) {
        size_t capacity = (t->length + more + 1) * 2;
        char *grown = realloc(t->bytes, capacity);
        if (!grown)
            return 0;
        t->bytes = grown;
        t->capacity = capacity;
    }
    memcpy(t->bytes + t->length, bytes, more);
    t->length += more;
    t->bytes[t->length] = '\0';
    return more;
}

static bool names_type(const char *const *headers)
{
    for (; headers && *headers; headers++)
        if (strncasecmp(*headers, "Content-Type", 12) == 0)
            return true;
    return false;
}

static struct curl_slist *header_list(const char *body, const char *const *headers)
{
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    if (body && !names_type(headers))
        list = curl_slist_append(list, "Content-Type: application/json");
    for (; headers && *headers; headers++)
        list = curl_slist_append(list, *headers);
    return list;
}

http_reply http_send(http_client *client, const char *method, const char *path, const char *body,
                     const char *const *headers)
{
    http_reply reply = {0};
    text head = {0}, content = {0};
    char url[2048];
    CURL *curl = client->curl;
    struct curl_slist *list = header_list(body, headers);
    snprintf(url, sizeof url, "http%s://127.0.0.1:%u%s", client->authorities ? "s" : "",
             client->port, path);
    curl_easy_reset(curl);
    if (client->authorities)
        curl_easy_setopt(curl, CURLOPT_CAINFO, client->authorities);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)SECONDS_MAX);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reply.error);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &content);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &head);
    if (body)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    if (strcmp(method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    CURLcode code = curl_easy_perform(curl);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl, CURLINFO_TOTAL_TIME, &reply.seconds);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
    curl_slist_free_all(list);
    reply.status = code == CURLE_OK ? (int)status : 0;
    if (code != CURLE_OK && !*reply.error)
        snprintf(reply.error, sizeof reply.error, "%s", curl_easy_strerror(code));
    reply.headers = head.bytes ? head.bytes : strdup("");
    reply.body = content.bytes ? content.bytes : strdup("");
    reply.length = content.length;
    reply.json = json_loadb(reply.body, reply.length, 0, NULL);
    return reply;
}

http_reply http_get(http_client *client, const char *path)
{
    return http_send(client, "GET", path, NULL, NULL);
}

void http_reply_free(http_reply *reply)
{
    free(reply->headers);
    free(reply->body);
    json_decref(reply->json);
    *reply = (http_reply){0};
}

static int status_of(http_client *client, const char *path)
{
    http_reply reply = http_get(client, path);
    int status = reply.status;
    http_reply_free(&reply);
    http_close(client);
    return status;
}

int http_status(uint16_t port, const char *path)
{
    return status_of(http_open(port), path);
}

int http_status_tls(uint16_t port, const char *authorities, const char *path)
{
    return status_of(http_open_tls(port, authorities), path);
}

const char *http_header(const http_reply *reply, const char *name)
{
    static _Thread_local char value[1024];
    size_t length = strlen(name);
    for (const char *line = reply->headers, *end; (end = strstr(line, "\r\n")); line = end + 2) {
        if (strncasecmp(line, name, length) != 0 || line[length] != ':')
            continue;
        const char *start = line + length + 1 + strspn(line + length + 1, " ");
        snprintf(value, sizeof value, "%.*s", (int)(end - start), start);
        return value;
    }
    return NULL;
}
