/* token_file.c: the tokens of --token and --token-file. */
#include "token_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX (64 * 1024)
#define BLANKS   " \t\r\n"

static int unreadable(const char *path, const char *what, query_fault *fault)
{
    snprintf(fault->file, sizeof fault->file, "%s", path);
    return query_fail(fault, 0, "the tokens cannot be read: %s", what);
}

/* Appends the file to `text`. */
static int append_file(const char *path, char *text, query_fault *fault)
{
    size_t length = strlen(text), begin = length;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return unreadable(path, strerror(errno), fault);
    ssize_t got;
    while ((got = read(fd, text + length, FILE_MAX + 1 - (length - begin))) > 0 ||
           (got < 0 && errno == EINTR))
        length += got > 0 ? (size_t)got : 0;
    int error = errno;
    close(fd);
    if (got < 0)
        return unreadable(path, strerror(error), fault);
    if (length - begin > FILE_MAX)
        return unreadable(path, "larger than 64 KiB", fault);
    if (memchr(text + begin, '\0', length - begin)) /* a first part of a token must not be one */
        return unreadable(path, "it holds a NUL character", fault);
    text[length] = '\0';
    return 0;
}

/* The token of the flag is the first line, so that the lines of the file follow at the second. */
static int take(const config *c, weir_api *api, char *text, query_fault *fault)
{
    uint32_t line = 0;
    int r = c->token_file ? append_file(c->token_file, text, fault) : 0;
    if (r == 0)
        r = weir_api_tokens(api, text, &line);
    if (line == 0)
        return r;
    snprintf(fault->file, sizeof fault->file, "%s", line == 1 ? "--token" : c->token_file);
    return query_fail(fault, line - 1, "a token is made of visible ASCII characters, no blanks");
}

/* The token of the flag, without the line end that may have come along with it. What a file may
 * have, a comment and further lines, is a mistake here: it would let in nobody, or others. */
static int append_flag(const char *token, char *text, query_fault *fault)
{
    token += strspn(token, BLANKS);
    size_t length = strcspn(token, BLANKS);
    if (length > 0 && *token != '#' && !token[length + strspn(token + length, BLANKS)]) {
        memcpy(text, token, length);
        return 0;
    }
    snprintf(fault->file, sizeof fault->file, "--token");
    return query_fail(fault, 0,
                      "a token is made of visible ASCII characters, no blanks, and does not "
                      "begin with #");
}

int token_file_read(const config *c, weir_api *api, query_fault *fault)
{
    size_t size = (c->token ? strlen(c->token) : 0) + FILE_MAX + 3;
    char *text = calloc(1, size);
    if (!text)
        return WEIR_ENOMEM;
    int r = c->token ? append_flag(c->token, text, fault) : 0;
    strcat(text, "\n");
    if (r == 0)
        r = take(c, api, text, fault);
    explicit_bzero(text, size);
    free(text);
    return r;
}
