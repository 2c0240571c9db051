/* small_file.c: a file that holds a secret, or little else. */
#include "small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE WEIR_S(5)

static int unreadable(const char *path, const char *what, const char *why, query_fault *fault)
{
    snprintf(fault->file, sizeof fault->file, "%s", path);
    return query_fail(fault, 0, "%s cannot be read: %s", what, why);
}

/* A pipe's writer may take its time. */
static bool more_comes(int fd, uint64_t deadline_ns)
{
    uint64_t now = weir_now();
    struct pollfd ready = {.fd = fd, .events = POLLIN};

    return now < deadline_ns && poll(&ready, 1, (int)((deadline_ns - now) / WEIR_MS(1)) + 1) != 0;
}

/* Up to `size` bytes, -1 with errno. What opens a pipe must not wait for a writer who never comes.
 */
static ssize_t read_all(int fd, char *text, size_t size)
{
    uint64_t deadline_ns = weir_now() + PATIENCE;
    size_t length = 0;

    while (length < size) {
        ssize_t got = read(fd, text + length, size - length);
        if (got == 0)
            break;
        if (got > 0)
            length += (size_t)got;
        else if (errno != EINTR && (errno != EAGAIN || !more_comes(fd, deadline_ns)))
            return -1;
    }
    return (ssize_t)length;
}

/* Read a second time, it would be taken for an empty file, and all that it has said for gone. */
static bool is_spent(int fd, size_t length)
{
    struct stat is;
    return length == 0 && fstat(fd, &is) == 0 && S_ISFIFO(is.st_mode);
}

/* NULL, or why not. */
static const char *read_file(const char *path, char *text, size_t *length)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return strerror(errno);
    ssize_t got = read_all(fd, text, SMALL_FILE_MAX + 1);
    const char *why = got >= 0          ? NULL
                      : errno == EAGAIN ? "nothing has come for 5 s"
                                        : strerror(errno);
    *length = got >= 0 ? (size_t)got : 0;
    if (!why && *length > SMALL_FILE_MAX)
        why = "larger than 64 KiB";
    else if (!why && is_spent(fd, *length))
        why = "it is a pipe with nothing to read: a reload needs a file";
    close(fd);
    return why;
}

int small_file_read(const char *path, const char *what, char **text, size_t *length,
                    query_fault *fault)
{
    size_t got = 0;
    char *read = calloc(1, SMALL_FILE_MAX + 2);

    if (!read)
        return WEIR_ENOMEM;
    const char *why = read_file(path, read, &got);
    if (!why) {
        *text = read;
        *length = got;
        return 0;
    }
    small_file_forget(read, SMALL_FILE_MAX + 2);
    return unreadable(path, what, why, fault);
}

void small_file_forget(char *text, size_t length)
{
    if (text)
        explicit_bzero(text, length);
    free(text);
}
