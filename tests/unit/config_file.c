/* config_file.c: tests of the configuration file, of values from files, and of what has changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../pool/weir.h"
#include "../../service/config.h"
#include "../../service/config_change.h"
#include "../support/scratch.h"

static char *folder, path[PATH_MAX], twin[PATH_MAX], why[512];
static const char *const *variables; /* name, value, name, value, NULL */

static const char *fake_env(const char *name)
{
    for (const char *const *v = variables; v && *v; v += 2)
        if (strcmp(*v, name) == 0)
            return v[1];
    return NULL;
}

static int set_up(void **state)
{
    folder = scratch_folder();
    snprintf(path, sizeof path, "%s/weir.conf", folder);
    snprintf(twin, sizeof twin, "%s/secret", folder);
    variables = NULL;
    return 0;
}

static int tear_down(void **state)
{
    scratch_remove(folder);
    return 0;
}

static void write_bytes(const char *name, const char *bytes, size_t length)
{
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, length, f), length);
    assert_int_equal(fclose(f), 0);
}

static void write_text(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

static config_outcome read_args(config *c, const char *const *arguments)
{
    int count = 0;
    while (arguments[count])
        count++;
    why[0] = '\0';
    return config_read(count, (char *const *)arguments, fake_env, c, NULL, why, sizeof why);
}
#define READ(c, ...) read_args(c, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

/* ---- What a file says ---- */

static void a_file_is_read_line_by_line(void **state)
{
    config c;
    write_text(path, "# what it is for\n"
                     "\n"
                     "  pool-max=20\r\n"
                     "\tquery-timeout =   250ms\t\n"
                     "   # said between\n"
                     "database = postgresql://a:b#c@h/d?x=y z\n"
                     "expose-sql = on\n"
                     "on-connect = set a = 'b = c'\n"
                     "pool = first=host=a password=b c\n"
                     "pool = second=postgres://h\n"
                     "pool-size = second=4:2");
    assert_int_equal(READ(&c, "--config", path), CONFIG_OK);
    assert_string_equal(c.config, path);
    assert_int_equal(c.pool_max, 20);
    assert_int_equal(c.query_timeout_ns, WEIR_MS(250));
    assert_string_equal(c.database, "postgresql://a:b#c@h/d?x=y z");
    assert_true(c.expose_sql);
    assert_string_equal(c.on_connect, "set a = 'b = c'");
    assert_int_equal(c.pools.count, 2);
    assert_string_equal(c.pools.entries[0].conninfo, "host=a password=b c");
    assert_int_equal(c.pools.entries[0].max, 20);
    assert_int_equal(c.pools.entries[1].max, 4);
    config_free(&c);
}

static void flags_outrank_variables_and_those_the_file(void **state)
{
    config c;
    write_text(path, "pool-max = 20\nqueue-max = 30\nbatch-max = 40\n"
                     "pool = a=host=a\npool = b=host=b\npool-size = a=1\n");
    variables = (const char *const[]){"WEIR_CONFIG", path, "WEIR_QUEUE_MAX", "31", "WEIR_BATCH_MAX",
                                      "41",          NULL};
    assert_int_equal(READ(&c, "--batch-max", "42"), CONFIG_OK);
    assert_int_equal(c.pool_max, 20);
    assert_int_equal(c.queue_max, 31);
    assert_int_equal(c.batch_max, 42);
    assert_int_equal(c.pools.count, 2);
    config_free(&c);
    assert_int_equal(READ(&c, "--config=", "--batch-max", "42"), CONFIG_BAD);

    variables = (const char *const[]){"WEIR_CONFIG", "/nowhere", "WEIR_POOL",
                                      "c=postgres://c a=postgres://a", NULL};
    assert_int_equal(READ(&c, "--config", path), CONFIG_OK); /* the variable is not looked at */
    assert_int_equal(c.pools.count, 2);
    assert_string_equal(c.pools.entries[0].name, "c");
    assert_int_equal(c.pools.entries[1].max, 1); /* sizes are a list of their own */
    config_free(&c);
    assert_int_equal(READ(&c, "--config", path, "--pool", "a=host=z"), CONFIG_OK);
    assert_int_equal(c.pools.count, 1);
    assert_string_equal(c.pools.entries[0].conninfo, "host=z");
    config_free(&c);
}

static void a_wrong_file_is_refused_with_its_line(void **state)
{
    static const struct {
        const char *text, *why;
    } wrong[] = {
        {"pool-mx = 3\n", ":1: unknown name pool-mx: did you mean pool-max?"},
        {"\n\nfrobnicate = 3\n", ":3: unknown name frobnicate: see weir serve --help"},
        {"POOL-MAX = 3\n", ":1: unknown name POOL-MAX: did you mean pool-max?"},
        {"pool-max = 3\nlanes = 1\npool-max = 4\n", ":3: pool-max has been said in line 1"},
        {"pool-max = many\n", ":1: pool-max: \"many\" is not a whole number from 1 to 10000"},
        {"query-timeout = 5\n", ":1: query-timeout: \"5\" is not a time more than none, such as "
                                "250ms, 2s or 5m"},
        {"log-level = loud\n", ":1: log-level: \"loud\" is not one of debug|info|warn|error"},
        {"listen =\n", ":1: listen must not be empty"},
        {"pool =\n", ":1: pool must not be empty"},
        {"expose-sql\n", ":1: a line is NAME = VALUE, or a comment that begins with #"},
        {"= 3\n", ":1: a line is NAME = VALUE, or a comment that begins with #"},
        {"pool max = 3\n", ":1: a line is NAME = VALUE, or a comment that begins with #"},
        {"postgres://u:s3cret@h/d\n",
         ":1: a line is NAME = VALUE, or a comment that begins with #"},
        {"postgres://u:s3cret@h/d?x=y\n",
         ":1: a line is NAME = VALUE, or a comment that begins with #"},
        {"pool = s3cret\n", ":1: pool: must be NAME=URL"},
        {"lanes = 1\npool = a=host=x\npool = a=host=s3cret\n",
         ":3: pool: two pools are called \"a\""},
        {"config = other.conf\n", ":1: one configuration file names no other"},
        {"lanes = 1\npool-min = 11\n", "--pool-min 11 is more than --pool-max 10 (%s:2)"},
        {"tls-key = x\n", "--tls-key needs --tls-cert (%s:1)"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        config c = {.pool_max = 77};
        char expected[PATH_MAX + 256];
        snprintf(expected, sizeof expected, *wrong[i].why == ':' ? "%s%s" : wrong[i].why, path,
                 wrong[i].why);
        write_text(path, wrong[i].text);
        assert_int_equal(READ(&c, "--config", path), CONFIG_BAD);
        assert_string_equal(why, expected);
        assert_int_equal(c.pool_max, 77);
    }
}

static void a_file_that_cannot_be_read_is_refused(void **state)
{
    config c;
    assert_int_equal(READ(&c, "--config", "/nowhere"), CONFIG_BAD);
    assert_string_equal(why, "--config: /nowhere cannot be read: No such file or directory");
    assert_int_equal(READ(&c, "--config", folder), CONFIG_BAD);
    assert_non_null(strstr(why, "Is a directory"));
    write_bytes(path, "lanes = 1\0\nlanes = 2\n", 21);
    assert_int_equal(READ(&c, "--config", path), CONFIG_BAD);
    assert_non_null(strstr(why, "it holds a NUL character"));
    char *large = malloc(70000);
    memset(large, '#', 70000);
    write_bytes(path, large, 70000);
    free(large);
    assert_int_equal(READ(&c, "--config", path), CONFIG_BAD);
    assert_non_null(strstr(why, "larger than 64 KiB"));
}

/* Read once, it would be taken for an empty one at a reload: all back to what it is by default. */
static void a_pipe_that_says_nothing_is_refused(void **state)
{
    config c;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(READ(&c, "--config", path), CONFIG_BAD);
    assert_non_null(strstr(why, "it is a pipe with nothing to read"));
    assert_int_equal(READ(&c, "--config", "/dev/null"), CONFIG_OK);
    config_free(&c);
}

static void *write_slowly(void *arg)
{
    int *fd = arg;
    for (const char *at = "lanes = 3\n"; *at; at++) {
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        assert_int_equal(write(*fd, at, 1), 1);
    }
    close(*fd);
    return NULL;
}

/* As the shell's <(…) has it from a program that takes its time. */
static void a_pipe_is_read_to_its_end(void **state)
{
    config c;
    int fds[2];
    pthread_t writer;
    assert_int_equal(pipe(fds), 0);
    snprintf(path, sizeof path, "/dev/fd/%d", fds[0]);
    assert_int_equal(pthread_create(&writer, NULL, write_slowly, &fds[1]), 0);
    assert_int_equal(READ(&c, "--config", path), CONFIG_OK);
    pthread_join(writer, NULL);
    close(fds[0]);
    assert_int_equal(c.lanes, 3);
    config_free(&c);
}

/* ---- Values from files ---- */

static void a_text_can_stand_in_a_file_that_a_variable_names(void **state)
{
    config c;
    write_text(twin, "postgres://u:s3cret@h/d\r\n\n");
    variables = (const char *const[]){
        "WEIR_DATABASE_FILE", twin, "WEIR_DATABASE", "", "WEIR_POOL_MAX_FILE", "/nowhere", NULL};
    assert_int_equal(READ(&c), CONFIG_OK);
    assert_string_equal(c.database, "postgres://u:s3cret@h/d");
    config_free(&c);
    assert_int_equal(READ(&c, "--database", "host=x"), CONFIG_OK);
    assert_string_equal(c.database, "host=x");
    config_free(&c);
    write_text(twin, "a=postgres://a\nb=postgres://b\n");
    variables = (const char *const[]){"WEIR_POOL_FILE", twin, NULL};
    assert_int_equal(READ(&c), CONFIG_OK);
    assert_int_equal(c.pools.count, 2);
    config_free(&c);
    variables = (const char *const[]){"WEIR_TOKEN_FILE", "/a", NULL}; /* which is a flag's own */
    assert_int_equal(READ(&c), CONFIG_OK);
    assert_string_equal(c.token_file, "/a");
    assert_null(c.token);
    config_free(&c);
}

static void a_wrong_file_of_a_value_is_refused_and_never_shown(void **state)
{
    config c;
    write_text(twin, "s3cret");
    variables = (const char *const[]){"WEIR_DATABASE_FILE", twin, "WEIR_DATABASE", "x", NULL};
    assert_int_equal(READ(&c), CONFIG_BAD);
    assert_string_equal(why, "WEIR_DATABASE and WEIR_DATABASE_FILE are both set: leave one of them "
                             "out");
    variables = (const char *const[]){"WEIR_ON_CONNECT_FILE", "/nowhere", NULL};
    assert_int_equal(READ(&c), CONFIG_BAD);
    assert_string_equal(why, "WEIR_ON_CONNECT_FILE: /nowhere cannot be read: No such file or "
                             "directory");
    variables = (const char *const[]){"WEIR_POOL_FILE", twin, NULL};
    assert_int_equal(READ(&c), CONFIG_BAD);
    assert_string_equal(why, "WEIR_POOL_FILE: must be NAME=URL");
    write_text(twin, "\n");
    variables = (const char *const[]){"WEIR_DATABASE_FILE", twin, NULL};
    assert_int_equal(READ(&c), CONFIG_BAD);
    assert_string_equal(why, "WEIR_DATABASE_FILE must not be empty");
}

/* ---- What has changed ---- */

/* Reads the file twice, with these texts, and tells what differs. */
static uint32_t change(const char *before, const char *after, config *now, config *next,
                       config_change *changes)
{
    write_text(path, before);
    assert_int_equal(READ(now, "--config", path, "--gzip-min", "2k"), CONFIG_OK);
    write_text(path, after);
    assert_int_equal(READ(next, "--config", path, "--gzip-min", "2k"), CONFIG_OK);
    return config_changes(now, now, next, changes);
}

static void what_has_changed_is_told(void **state)
{
    config now, next;
    config_change changes[CONFIG_FLAGS_MAX];
    uint32_t count = change("query-timeout = 1000ms\nlanes = 1\ntoken = s3cret\ngzip-min = 3k\n"
                            "database = postgres://u:s3cret@h\n",
                            "pool-max = 20\nquery-timeout = 1s\ntoken = s4cret\ngzip-min = 4k\n"
                            "database = postgres://u:s4cret@h\nlog-level = debug\nlanes = 2\n",
                            &now, &next, changes);
    static const config_change expected[] = {
        {"database", NULL, NULL, false},      {"lanes", "1", "2", false},
        {"pool-max", "10", "20", true},       {"token", NULL, NULL, true},
        {"log-level", "info", "debug", true},
    };
    assert_int_equal(count, 5);
    for (uint32_t i = 0; i < count; i++) {
        assert_string_equal(changes[i].name, expected[i].name);
        assert_int_equal(changes[i].live, expected[i].live);
        if (expected[i].from) {
            assert_string_equal(changes[i].from, expected[i].from);
            assert_string_equal(changes[i].to, expected[i].to);
        } else {
            assert_null(changes[i].from);
            assert_null(changes[i].to);
        }
    }
    config_settle(&now, &now, &next);
    assert_int_equal(next.lanes, 1);
    assert_string_equal(next.database, "postgres://u:s3cret@h");
    assert_int_equal(next.pool_max, 20);
    assert_string_equal(next.token, "s4cret");
    config_free(&next);
    config_free(&now);
}

static void what_only_a_check_heeds_is_no_change(void **state)
{
    config now, next;
    config_change changes[CONFIG_FLAGS_MAX];
    assert_int_equal(
        change("big-table = 5\n", "big-table = 6\nstrict = on\n", &now, &next, changes), 0);
    config_free(&next);
    config_free(&now);
}

static void pools_stay_and_their_sizes_change(void **state)
{
    config now, next;
    config_change changes[CONFIG_FLAGS_MAX];
    uint32_t count =
        change("pool = a=host=a\npool = b=host=b\npool-size = a=3:1\n",
               "pool = c=host=c\npool = b=host=b\npool-size = b=4\n", &now, &next, changes);
    assert_int_equal(count, 2);
    assert_string_equal(changes[0].name, "pool");
    assert_false(changes[0].live);
    assert_string_equal(changes[1].name, "pool-size");
    assert_true(changes[1].live);
    config_settle(&now, &now, &next);
    assert_int_equal(next.pools.count, 2);
    assert_string_equal(next.pools.entries[0].name, "a");
    assert_int_equal(next.pools.entries[0].max, 3);
    assert_int_equal(next.pools.entries[1].max, 4);
    config_free(&next);
    config_free(&now);
}

static void a_certificate_that_was_left_out_comes_back_unchanged(void **state)
{
    static const char pair[] = "tls-cert = c\ntls-key = k\n";
    config start, without, back;
    config_change changes[CONFIG_FLAGS_MAX];
    assert_int_equal(change(pair, "", &start, &without, changes), 2);
    assert_false(changes[0].live || changes[1].live);
    config_settle(&start, &start, &without);
    write_text(path, pair);
    assert_int_equal(READ(&back, "--config", path, "--gzip-min", "2k"), CONFIG_OK);
    assert_int_equal(config_changes(&start, &without, &back, changes), 0);
    config_settle(&start, &without, &back);
    assert_string_equal(back.tls_cert, "c");
    config_free(&back);
    config_free(&without);
    config_free(&start);
}

static void https_begins_and_ends_with_a_restart(void **state)
{
    config now, next;
    config_change changes[CONFIG_FLAGS_MAX];
    assert_int_equal(change("", "tls-cert = c\ntls-key = k\n", &now, &next, changes), 2);
    assert_false(changes[0].live || changes[1].live);
    config_settle(&now, &now, &next);
    assert_null(next.tls_cert);
    config_free(&next);
    config_free(&now);
    assert_int_equal(
        change("tls-cert = c\ntls-key = k\n", "tls-cert = d\ntls-key = k\n", &now, &next, changes),
        1);
    assert_true(changes[0].live);
    config_free(&next);
    config_free(&now);
}

int main(void)
{
#define in_folder(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        in_folder(a_file_is_read_line_by_line),
        in_folder(flags_outrank_variables_and_those_the_file),
        in_folder(a_wrong_file_is_refused_with_its_line),
        in_folder(a_file_that_cannot_be_read_is_refused),
        in_folder(a_pipe_that_says_nothing_is_refused),
        in_folder(a_pipe_is_read_to_its_end),
        in_folder(a_text_can_stand_in_a_file_that_a_variable_names),
        in_folder(a_wrong_file_of_a_value_is_refused_and_never_shown),
        in_folder(what_has_changed_is_told),
        in_folder(what_only_a_check_heeds_is_no_change),
        in_folder(pools_stay_and_their_sizes_change),
        in_folder(a_certificate_that_was_left_out_comes_back_unchanged),
        in_folder(https_begins_and_ends_with_a_restart),
    };
    return cmocka_run_group_tests_name("config_file", tests, NULL, NULL);
}
