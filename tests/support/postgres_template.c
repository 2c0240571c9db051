/* postgres_template.c: the pristine cluster that servers of tests begin as. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "postgres_parts.h"

static char own[64]; /* this program's, "" unless it has needed one */
static postgres_keeper own_keeper;

static void remove_tree(const char *folder)
{
    postgres_run((const char *[]){"/bin/rm", "-rf", "--", folder, NULL}, false);
}

/* The folder that holds a pristine cluster: the test run's, so that its programs share one initdb,
 * or this program's own. */
static const char *template_folder(void)
{
    const char *shared = getenv("WEIR_TEST_TEMPLATE");
    if (shared && *shared)
        return shared;
    if (!own[0]) {
        strcpy(own, "/tmp/weir-template-XXXXXX");
        if (!mkdtemp(own))
            postgres_die("mkdtemp: %s", strerror(errno));
        own_keeper = postgres_keep(own);
    }
    return own;
}

/* Programs that start at the same time take turns. */
void postgres_template(char data[PATH_MAX])
{
    char path[PATH_MAX], lock[PATH_MAX], ready[PATH_MAX];
    const char *folder = template_folder();
    postgres_give_away(folder);
    snprintf(data, PATH_MAX, "%s/data", folder);
    snprintf(lock, sizeof lock, "%s/lock", folder);
    snprintf(ready, sizeof ready, "%s/ready", folder);
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) != 0)
        postgres_die("%s: %s", lock, strerror(errno));
    if (access(ready, F_OK) != 0) {
        remove_tree(data);
        postgres_find_program("initdb", path);
        postgres_run((const char *[]){path, "-D", data, "-U", "postgres", "-A", "trust", "-E",
                                      "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions",
                                      NULL},
                     true);
        int mark = open(ready, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (mark < 0)
            postgres_die("%s: %s", ready, strerror(errno));
        close(mark);
    }
    close(fd);
}

void postgres_template_forget(void)
{
    if (own[0])
        postgres_dismiss(own_keeper);
}
