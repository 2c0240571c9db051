/* small_file.c: a file that holds a secret, or little else. */
#include "small_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int unreadable(const char *path, const char *what, const char *why, query_fault *fault)
{
    snprintf(fault->file, sizeof fault->file, "%s", path);
    return query_fail(fault, 0, "%s cannot be read: %s", what, why);
}

/* Up to `size` bytes; -1 with errno. */
static ssize_t read_all(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    size_t length = 0;
    ssize_t got = -1;

    if (fd < 0)
        return -1;
    while ((got = read(fd, text + length, size - length)) > 0 || (got < 0 && errno == EINTR))
        length += got > 0 ? (size_t)got : 0;
    int error = errno;
    close(fd);
    errno = error;
    return got < 0 ? -1 : (ssize_t)length;
}

int small_file_read(const char *path, const char *what, char **text, size_t *length,
                    query_fault *fault)
{
    char *read = calloc(1, SMALL_FILE_MAX + 2);

    if (!read)
        return WEIR_ENOMEM;
    ssize_t got = read_all(path, read, SMALL_FILE_MAX + 1);
    if (got >= 0 && (size_t)got <= SMALL_FILE_MAX) {
        *text = read;
        *length = (size_t)got;
        return 0;
    }
    int r = unreadable(path, what, got < 0 ? strerror(errno) : "larger than 64 KiB", fault);
    small_file_forget(read, got < 0 ? 0 : (size_t)got);
    return r;
}

void small_file_forget(char *text, size_t length)
{
    if (text)
        explicit_bzero(text, length);
    free(text);
}
