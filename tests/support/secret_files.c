/* secret_files.c: files of tokens and keys, in a folder of the test program's own. */
#include "secret_files.h"

#include <stdio.h>
#include <stdlib.h>

#include "scratch.h"

enum { PATHS = 8 };

static char *folder_of_secrets;

void secret_files_open(void)
{
    folder_of_secrets = scratch_folder();
}

void secret_files_close(void)
{
    scratch_remove(folder_of_secrets);
    folder_of_secrets = NULL;
}

const char *secret_path(const char *name)
{
    static char paths[PATHS][512];
    static unsigned next;
    char *path = paths[next++ % PATHS];
    snprintf(path, sizeof paths[0], "%s/%s", folder_of_secrets, name);
    return path;
}

void secret_file(const char *name, const char *text)
{
    const char *path = secret_path(name);
    FILE *f = fopen(path, "w");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0) {
        perror(path);
        exit(99);
    }
}
