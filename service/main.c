/* main.c: the program weir. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../api/nearest.h"
#include "../pool/weir.h"
#include "check.h"
#include "complaint.h"
#include "config.h"
#include "exits.h"
#include "health.h"
#include "serve.h"

static const char *environment(const char *name)
{
    return getenv(name);
}

static void help(FILE *out)
{
    fputs(
        "weir: a folder of .sql files as a JSON service over PostgreSQL\n\n"
        "  weir serve [FLAGS]      serves; see weir serve --help\n"
        "  weir check DIR [FLAGS]  has the database look at every query, and tells what is wrong\n"
        "  weir health [FLAGS]     asks a weir that runs with these flags whether it is ready\n"
        "  weir version            says which version this is\n"
        "  weir help               this text\n",
        out);
}

static void flags_help(void)
{
    puts("usage: weir serve [FLAGS]\n       weir check DIR [FLAGS]\n       weir health [FLAGS]\n\n"
         "Each flag takes its value after a space or an equals sign; one that is shown without\n"
         "stands alone or has =on or =off, and its variable on or off. The variable beside a flag\n"
         "does the same, and the flag outranks it; of a text the variable with _FILE behind its\n"
         "name reads it from that file. Both outrank lines NAME = VALUE in the file of --config.\n"
         "TIME is 250ms, 2s, 5m, 1h or 7d, SIZE 64k, 1m or 1g. PG* variables, service and\n"
         "password files work as in psql. A * marks what a reload changes; the rest is for the\n"
         "next start.\n");
    config_help(stdout);
    puts("\nSIGTERM or SIGINT stops it once running requests have ended; SIGHUP reads queries,\n"
         "settings, tokens and the certificate again, all of it or nothing.");
}

static int usage(const char *why)
{
    complain("%s", why);
    return EXIT_USAGE;
}

static int unknown_command(const char *given)
{
    static const char *const commands[] = {"serve", "check", "health", "version", "help"};
    nearest near = {.word = given};
    char why[256];
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        nearest_offer(&near, commands[i]);
    if (near.best)
        snprintf(why, sizeof why, "there is no command \"%s\": did you mean %s?", given, near.best);
    else
        snprintf(why, sizeof why, "there is no command \"%s\": see weir help", given);
    return usage(why);
}

/* A command that takes flags, and for `check` a folder. */
static int configured(int argc, char **argv, int (*command)(const config *c))
{
    config c;
    char why[512];
    const char *folder = NULL;
    switch (config_read(argc, argv, environment, &c, command == check ? &folder : NULL, why,
                        sizeof why)) {
    case CONFIG_BAD: return usage(why);
    case CONFIG_HELP: flags_help(); return EXIT_FINE;
    case CONFIG_OK: break;
    }
    if (folder)
        c.queries = folder;
    int code = command(&c);
    config_free(&c);
    return code;
}

/* A standard descriptor that whoever started us has closed would go to the first socket opened, and
 * the log be written to that. */
static void open_standard_descriptors(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

int main(int argc, char **argv)
{
    open_standard_descriptors();
    const char *command = argc > 1 ? argv[1] : "";
    if (strcmp(command, "serve") == 0)
        return configured(argc - 2, argv + 2, serve);
    if (strcmp(command, "check") == 0)
        return configured(argc - 2, argv + 2, check);
    if (strcmp(command, "health") == 0)
        return configured(argc - 2, argv + 2, health);
    if (strcmp(command, "version") == 0 || strcmp(command, "--version") == 0) {
        puts("weir " WEIR_VERSION);
        return EXIT_FINE;
    }
    if (strcmp(command, "help") == 0 || strcmp(command, "--help") == 0 ||
        strcmp(command, "-h") == 0) {
        help(stdout);
        return EXIT_FINE;
    }
    if (!*command) {
        help(stderr);
        return EXIT_USAGE;
    }
    return unknown_command(command);
}
