/* scratch.c: a folder for the files that a test makes. */
#include "scratch.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DESCRIPTORS = 16 };

char *scratch_folder(void)
{
    const char *base = getenv("TMPDIR");
    char *folder = NULL;
    /* Absolute, since not all who are given it run in our folder. */
    if (!base || *base != '/')
        base = "/tmp";
    if (asprintf(&folder, "%s/weir-scratch-XXXXXX", base) < 0 || !mkdtemp(folder)) {
        perror("scratch: mkdtemp");
        exit(99);
    }
    return folder;
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    if (remove(path) != 0)
        perror(path);
    return 0;
}

void scratch_remove(char *folder)
{
    if (!folder)
        return;
    nftw(folder, remove_one, DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
    free(folder);
}
