/* query_folder.c: the .sql files of a folder. */
#include "query_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "findings.h"
#include "utf8.h"

/* A folder we are in, for finding loops of symbolic links. */
typedef struct place {
    const struct place *outer;
    dev_t device;
    ino_t inode;
    uint32_t depth;
} place;

typedef struct walk {
    const char *folder;
    char **names; /* relative to `folder`, with .sql */
    uint32_t count, capacity;
    query_fault *fault;
} walk;

static int fail(query_fault *fault, const char *path, const char *what)
{
    snprintf(fault->file, sizeof fault->file, "%s", path);
    utf8_mend(fault->file);
    return query_fail(fault, 0, "%s", what);
}

static int unreadable(query_fault *fault, const char *path, int error)
{
    char what[128];
    snprintf(what, sizeof what, "cannot be read: %s", strerror(error));
    return fail(fault, path, what);
}

static bool is_sql(const char *name)
{
    size_t length = strlen(name);
    return length > 4 && strcmp(name + length - 4, ".sql") == 0;
}

static const char *name_problem(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-/";
    size_t length = strlen(name) - 4;
    if (length > QUERY_NAME_MAX)
        return "the name is too long: 200 bytes at most";
    if (strspn(name, allowed) != length)
        return "a query's name is its file's, and may hold only A-Z a-z 0-9 _ - and folders: "
               "rename it";
    return NULL;
}

/* ---- Finding the files ---- */

static int keep_name(walk *w, const char *name)
{
    if (w->count == QUERY_FILES_MAX)
        return fail(w->fault, w->folder, "more than 10000 .sql files");
    if (w->count == w->capacity) {
        uint32_t capacity = w->capacity ? w->capacity * 2 : 64;
        char **more = realloc(w->names, capacity * sizeof *more);
        if (!more)
            return WEIR_ENOMEM;
        w->names = more;
        w->capacity = capacity;
    }
    if (!(w->names[w->count] = strdup(name)))
        return WEIR_ENOMEM;
    w->count++;
    return 0;
}

static bool within(const place *p, const struct stat *s)
{
    for (; p; p = p->outer) {
        if (p->device == s->st_dev && p->inode == s->st_ino)
            return true;
    }
    return false;
}

static int walk_folder(walk *w, const char *relative, const place *outer, const struct stat *s);

static int visit(walk *w, const char *relative, const place *here)
{
    struct stat s;
    char *path;
    if (asprintf(&path, "%s/%s", w->folder, relative) < 0)
        return WEIR_ENOMEM;
    int status = 0;
    if (stat(path, &s) != 0)
        status = is_sql(relative) ? unreadable(w->fault, path, errno) : 0;
    else if (S_ISDIR(s.st_mode))
        status = within(here, &s) ? 0 : walk_folder(w, relative, here, &s);
    else if (is_sql(relative))
        status = S_ISREG(s.st_mode) ? keep_name(w, relative)
                                    : fail(w->fault, path, "not a regular file");
    free(path);
    return status;
}

static int walk_entries(walk *w, DIR *dir, const char *relative, const place *here)
{
    const struct dirent *entry;
    int status = 0;
    while (status == 0 && (entry = readdir(dir))) {
        char *below;
        if (entry->d_name[0] == '.')
            continue;
        if (asprintf(&below, "%s%s%s", relative, *relative ? "/" : "", entry->d_name) < 0)
            return WEIR_ENOMEM;
        status = findings_keep(w->fault, visit(w, below, here));
        free(below);
    }
    return status;
}

static int walk_folder(walk *w, const char *relative, const place *outer, const struct stat *s)
{
    place here = {.outer = outer,
                  .device = s->st_dev,
                  .inode = s->st_ino,
                  .depth = outer ? outer->depth + 1 : 0};
    char *path;
    if (asprintf(&path, "%s%s%s", w->folder, *relative ? "/" : "", relative) < 0)
        return WEIR_ENOMEM;
    DIR *dir = opendir(path);
    int status;
    if (here.depth > QUERY_FOLDERS_DEEP)
        status = fail(w->fault, path, "folders are nested more than 16 deep");
    else if (!dir)
        status = unreadable(w->fault, path, errno);
    else
        status = walk_entries(w, dir, relative, &here);
    if (dir)
        closedir(dir);
    free(path);
    return status;
}

static int find_files(walk *w)
{
    struct stat s;
    if (stat(w->folder, &s) != 0)
        return unreadable(w->fault, w->folder, errno);
    return walk_folder(w, "", NULL, &s);
}

/* ---- Reading them ---- */

static int read_all(int fd, char *text, size_t size, size_t *length)
{
    size_t sum = 0;
    ssize_t got;
    while (sum < size && (got = read(fd, text + sum, size - sum)) != 0) {
        if (got < 0 && errno != EINTR)
            return errno;
        sum += got > 0 ? (size_t)got : 0;
    }
    *length = sum;
    return 0;
}

static int read_file(const char *path, char *text, size_t *length, query_fault *fault)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return unreadable(fault, path, errno);
    int error = read_all(fd, text, QUERY_FILE_MAX + 1, length);
    close(fd);
    if (error != 0)
        return unreadable(fault, path, error);
    if (*length > QUERY_FILE_MAX)
        return fail(fault, path, "larger than 1 MiB");
    return 0;
}

static int parse_file(const walk *w, const char *relative, char *text, query **parsed)
{
    char *path, name[QUERY_NAME_MAX + 1];
    size_t length = 0;
    if (asprintf(&path, "%s/%s", w->folder, relative) < 0)
        return WEIR_ENOMEM;
    const char *problem = name_problem(relative);
    int status = problem ? fail(w->fault, path, problem) : read_file(path, text, &length, w->fault);
    if (status == 0) {
        snprintf(name, sizeof name, "%.*s", (int)strlen(relative) - 4, relative);
        status = query_parse_named(path, name, text, length, parsed, w->fault);
    }
    free(path);
    return status;
}

static int parse_files(const walk *w, query **queries, uint32_t *count)
{
    char *text = malloc(QUERY_FILE_MAX + 1);
    int status = text ? 0 : WEIR_ENOMEM;
    for (uint32_t i = 0; status == 0 && i < w->count; i++) {
        uint32_t before = findings_errors(w->fault);
        query *parsed = NULL;
        status = findings_keep(w->fault, parse_file(w, w->names[i], text, &parsed));
        if (parsed && findings_errors(w->fault) == before)
            queries[(*count)++] = parsed;
        else
            query_free(parsed);
    }
    free(text);
    return status;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_files(walk *w, query ***queries, uint32_t *count)
{
    int status = findings_keep(w->fault, find_files(w));
    if (status != 0)
        return status;
    if (w->fault->all)
        w->fault->all->files = w->count;
    /* In the order of names, so that of several faults always the same one is reported. */
    if (w->count > 0)
        qsort(w->names, w->count, sizeof(char *), by_name);
    uint32_t parsed = 0;
    query **list = calloc(w->count + 1, sizeof(query *));
    status = list ? parse_files(w, list, &parsed) : WEIR_ENOMEM;
    if (status != 0) {
        query_folder_free(list, parsed);
        return status;
    }
    *queries = list;
    *count = parsed;
    return 0;
}

int query_folder_read(const char *folder, query ***queries, uint32_t *count, query_fault *fault)
{
    walk w = {.folder = folder, .fault = fault};
    int status = read_files(&w, queries, count);
    for (uint32_t i = 0; i < w.count; i++)
        free(w.names[i]);
    free(w.names);
    return status;
}

void query_folder_free(query **queries, uint32_t count)
{
    for (uint32_t i = 0; queries && i < count; i++)
        query_free(queries[i]);
    free(queries);
}
