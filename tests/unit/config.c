/* config.c: tests of how flags and the environment are read. */
#include "../../service/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../pool/weir.h"
#include "../../service/log.h"
#include "../../service/secret.h"

static const char *const *variables; /* name, value, name, value, NULL */

static const char *fake_env(const char *name)
{
    for (const char *const *v = variables; v && *v; v += 2) {
        if (strcmp(*v, name) == 0)
            return v[1];
    }
    return NULL;
}

static char why[512];

/* Reads the arguments up to NULL. */
static config_outcome read_args(config *c, const char *const *arguments)
{
    int count = 0;
    while (arguments[count])
        count++;
    why[0] = '\0';
    return config_read(count, (char *const *)arguments, fake_env, c, NULL, why, sizeof why);
}
#define READ(c, ...) read_args(c, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static int forget_variables(void **state)
{
    (void)state;
    variables = NULL;
    return 0;
}

static void nothing_given_means_the_defaults(void **state)
{
    (void)state;
    config c;
    assert_int_equal(READ(&c), CONFIG_OK);
    assert_string_equal(c.listen, "127.0.0.1:8080");
    assert_null(c.admin_listen);
    assert_string_equal(c.database, "");
    assert_int_equal(c.pool_max, 10);
    assert_int_equal(c.pool_min, 0);
    assert_int_equal(c.acquire_timeout_ns, WEIR_S(1));
    assert_int_equal(c.max_lifetime_ns, WEIR_S(1800));
    assert_int_equal(c.body_max, 1024 * 1024);
    assert_int_equal(c.header_max, 8 * 1024);
    assert_int_equal(c.log_format, LOG_AUTO);
    assert_int_equal(c.log_level, WEIR_INFO);
    assert_false(c.expose_sql);
    assert_int_equal(c.keepalive_ns, WEIR_S(120));
    assert_int_equal(c.server_timeout, true);
    assert_int_equal(c.leak_after_ns, WEIR_S(30));
    assert_false(c.leak_reclaim);
    assert_int_equal(c.shed_target_ns, WEIR_MS(200));
    assert_true(c.replica_lag_ns == WEIR_NEVER);
    assert_null(c.token);
    assert_int_equal(c.pools.count, 0);
    assert_true(config_lanes(&c) >= 1);
}

static void guards_can_be_switched_off(void **state)
{
    (void)state;
    config c;
    assert_int_equal(READ(&c), CONFIG_OK);
    assert_int_equal(c.rows_max, 10000);
    assert_int_equal(c.answer_max, 16 * 1024 * 1024);
    assert_int_equal(c.clients_per_address, UINT32_MAX);
    assert_null(c.cors_origin);
    assert_null(c.rate_limit);
    assert_int_equal(
        READ(&c, "--rows-max", "off", "--answer-max", "off", "--clients-per-address", "7"),
        CONFIG_OK);
    assert_int_equal(c.rows_max, UINT32_MAX);
    assert_true(c.answer_max == SIZE_MAX);
    assert_int_equal(c.clients_per_address, 7);
    assert_int_equal(READ(&c, "--rows-max", "auto"), CONFIG_BAD);
    assert_string_equal(why, "--rows-max: \"auto\" is not off or a whole number from 1 to "
                             "4294967294");
}

static void a_flag_outranks_its_variable_and_that_the_default(void **state)
{
    (void)state;
    config c;
    variables = (const char *const[]){
        "WEIR_POOL_MAX", "20", "WEIR_QUEUE_MAX", "7", "WEIR_LOG_FORMAT", "", NULL};
    assert_int_equal(READ(&c, "--pool-max", "30"), CONFIG_OK);
    assert_int_equal(c.pool_max, 30);
    assert_int_equal(c.queue_max, 7);
    assert_int_equal(c.log_format, LOG_AUTO);
}

static void a_value_stands_behind_the_flag_or_after_an_equals_sign(void **state)
{
    (void)state;
    config c;
    assert_int_equal(READ(&c, "--query-timeout=250ms", "--idle-timeout", "off", "--lanes=3",
                          "--log-level", "debug", "--expose-sql", "--body-max=64k", "--database",
                          "postgres://a?x=y"),
                     CONFIG_OK);
    assert_int_equal(c.query_timeout_ns, WEIR_MS(250));
    assert_true(c.idle_timeout_ns == WEIR_NEVER);
    assert_int_equal(config_lanes(&c), 3);
    assert_int_equal(c.log_level, WEIR_DEBUG);
    assert_true(c.expose_sql);
    assert_int_equal(c.body_max, 64 * 1024);
    assert_string_equal(c.database, "postgres://a?x=y");
}

static void a_wrong_value_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"--pool-max", "0"},
        {"--pool-max", "-1"},
        {"--pool-max", "ten"},
        {"--pool-max", "10001"},
        {"--pool-max", "5 "},
        {"--pool-max", ""},
        {"--query-timeout", "5"},
        {"--query-timeout", "0s"},
        {"--query-timeout", "off"},
        {"--body-max", "0"},
        {"--body-max", "1q"},
        {"--body-max", "2g"},
        {"--header-max", "1k"},
        {"--log-level", "loud"},
        {"--log-format", "xml"},
        {"--lanes", "0"},
        {"--lanes", "many"},
        {"--expose-sql=perhaps", NULL},
        {"--server-timeout", "maybe"},
        {"--queue-max", "99999999999999999999"},
        {"--listen", ""},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        config c = {.pool_max = 77};
        assert_int_equal(READ(&c, wrong[i][0], wrong[i][1]), CONFIG_BAD);
        assert_memory_equal(why, wrong[i][0], strcspn(wrong[i][0], "="));
        assert_null(strchr(why, '\n'));
        assert_int_equal(c.pool_max, 77);
    }
}

static void a_wrong_variable_is_refused_by_its_own_name(void **state)
{
    (void)state;
    config c;
    variables = (const char *const[]){"WEIR_ACQUIRE_TIMEOUT", "soon", NULL};
    assert_int_equal(READ(&c), CONFIG_BAD);
    assert_string_equal(why, "WEIR_ACQUIRE_TIMEOUT: \"soon\" is not a time more than none, such as "
                             "250ms, 2s or 5m");
}

static void an_unknown_flag_is_refused_with_the_nearest_known(void **state)
{
    (void)state;
    config c;
    assert_int_equal(READ(&c, "--pool-mx", "3"), CONFIG_BAD);
    assert_string_equal(why, "unknown flag --pool-mx: did you mean --pool-max?");
    assert_int_equal(READ(&c, "--frobnicate"), CONFIG_BAD);
    assert_string_equal(why, "unknown flag --frobnicate: see weir serve --help");
    assert_int_equal(READ(&c, "-x"), CONFIG_BAD);
    assert_int_equal(READ(&c, "postgres://joe:s3cret@db/shop"), CONFIG_BAD);
    assert_string_equal(why, "what is \"postgres://joe:***@db/shop\" for? flags begin with --");
}

static void a_flag_without_its_value_is_refused(void **state)
{
    (void)state;
    config c;
    assert_int_equal(READ(&c, "--listen"), CONFIG_BAD);
    assert_string_equal(why, "--listen needs a value: HOST:PORT");
}

static void more_kept_than_allowed_is_refused(void **state)
{
    (void)state;
    config c;
    assert_int_equal(READ(&c, "--pool-min", "11"), CONFIG_BAD);
    assert_string_equal(why, "--pool-min 11 is more than --pool-max 10");
}

/* ---- Several pools ---- */

static void further_pools_are_named_with_their_sizes(void **state)
{
    (void)state;
    config c;
    const char *names[QUERY_POOLS_MAX + 1];
    assert_int_equal(READ(&c, "--pool-size", "replica=20:5", "--pool", "replica=host=a port=1",
                          "--pool=reports=postgres://b/c?x=y", "--pool-max", "7", "--pool-min=2"),
                     CONFIG_OK);
    assert_int_equal(c.pools.count, 2);
    assert_string_equal(c.pools.entries[0].conninfo, "host=a port=1");
    assert_int_equal(c.pools.entries[0].max, 20);
    assert_int_equal(c.pools.entries[0].min, 5);
    assert_string_equal(c.pools.entries[1].conninfo, "postgres://b/c?x=y");
    assert_int_equal(c.pools.entries[1].max, 7);
    assert_int_equal(c.pools.entries[1].min, 2);
    config_pool_names(&c, names);
    assert_string_equal(names[0], "default");
    assert_string_equal(names[1], "replica");
    assert_string_equal(names[2], "reports");
    assert_null(names[3]);
}

static void a_variable_names_several_pools_unless_a_flag_names_any(void **state)
{
    (void)state;
    config c;
    variables = (const char *const[]){"WEIR_POOL", " a=postgres://x\n  b=postgresql://y ",
                                      "WEIR_POOL_SIZE", "a=3 b=4:1", NULL};
    assert_int_equal(READ(&c), CONFIG_OK);
    assert_int_equal(c.pools.count, 2);
    assert_string_equal(c.pools.entries[1].name, "b");
    assert_string_equal(c.pools.entries[1].conninfo, "postgresql://y");
    assert_int_equal(c.pools.entries[1].min, 1);
    assert_int_equal(READ(&c, "--pool", "a=postgres://z", "--pool-size", "a=9"), CONFIG_OK);
    assert_int_equal(c.pools.count, 1);
    assert_string_equal(c.pools.entries[0].conninfo, "postgres://z");
    assert_int_equal(c.pools.entries[0].max, 9);
}

static void wrong_pools_are_refused_without_their_passwords(void **state)
{
    (void)state;
    static const char *const wrong[][3] = {
        {"--pool", "s3cret", "must be NAME=URL"},
        {"--pool", "postgres://u:s3cret@h/d?x=y", "must be NAME=URL"},
        {"--pool", "Re=postgres://u:s3cret@h", "no name for a pool"},
        {"--pool", "9a=postgres://u:s3cret@h", "no name for a pool"},
        {"--pool", "=postgres://u:s3cret@h", "no name for a pool"},
        {"--pool", "default=postgres://u:s3cret@h", "--database"},
        {"--pool", "a=", "must be followed by"},
        {"--pool-size", "a=0", "is not NAME=MAX"},
        {"--pool-size", "a=3:4", "is not NAME=MAX"},
        {"--pool-size", "a=3:", "is not NAME=MAX"},
        {"--pool-size", "a=3", "there is no --pool of that name"},
        {"--pool-size", "default=3", "--pool-max"},
        {"--pool-limit", "5", "is less than --pool-max 10"},
        {"--queue-reserve", "1024", "leaves no place"},
        {"--host-order", "alphabetical", "given|random"},
        {"--shed-target", "0s", "or off"},
        {"--replica-lag", "much", "or off"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        config c;
        assert_int_equal(READ(&c, wrong[i][0], wrong[i][1]), CONFIG_BAD);
        assert_memory_equal(why, wrong[i][0], strlen(wrong[i][0]));
        if (!strstr(why, wrong[i][2]))
            fail_msg("%s", why);
        assert_null(strstr(why, "s3cret"));
    }
    config c;
    assert_int_equal(READ(&c, "--pool", "a=host=x", "--pool", "a=host=y"), CONFIG_BAD);
    assert_string_equal(why, "--pool: two pools are called \"a\"");
    variables = (const char *const[]){"WEIR_POOL", "a=host=x password=s3cret", NULL};
    assert_int_equal(READ(&c), CONFIG_BAD);
    assert_string_equal(why, "WEIR_POOL: a= must be followed by a URL, postgresql://…");
    variables = (const char *const[]){"WEIR_POOL", "postgres://u:s3cret@h/d?x=y", NULL};
    assert_int_equal(READ(&c), CONFIG_BAD);
    assert_string_equal(why, "WEIR_POOL: must be NAME=URL");
}

/* ---- Channels ---- */

static void channels_are_named_with_their_pools(void **state)
{
    (void)state;
    config c;
    const char *names[CHANNEL_LIST_MAX];
    assert_int_equal(READ(&c), CONFIG_OK);
    assert_int_equal(c.channels.count, 0);
    assert_int_equal(READ(&c, "--events", "orders,stock@far", "--events=\"Odd\"/x ž@far", "--pool",
                          "far=host=x"),
                     CONFIG_OK);
    assert_int_equal(c.channels.count, 4);
    assert_int_equal(channel_list_of(&c.channels, "default", names), 2);
    assert_string_equal(names[0], "orders");
    assert_string_equal(names[1], "\"Odd\"/x");
    assert_int_equal(channel_list_of(&c.channels, "far", names), 2);
    assert_string_equal(names[0], "stock");
    assert_string_equal(names[1], "ž");
    variables = (const char *const[]){"WEIR_EVENTS", " a, b\n", NULL};
    assert_int_equal(READ(&c), CONFIG_OK);
    assert_int_equal(c.channels.count, 2);
    assert_int_equal(READ(&c, "--events", "only"), CONFIG_OK);
    assert_int_equal(c.channels.count, 1);
    variables = (const char *const[]){"WEIR_EVENTS", "", NULL};
    assert_int_equal(READ(&c), CONFIG_OK);
    assert_int_equal(c.channels.count, 0);
}

static void wrong_channels_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"", "must not be empty"},
        {" ", "names no channel"},
        {",", "names no channel"},
        {"@far", "is not CHANNEL"},
        {"a@", "names no pool"},
        {"a@nowhere", "there is no --pool of that name"},
        {"a@b@c", "there is no --pool of that name"},
        {"a,b,a", "is named twice"},
        {"a a@default", "is named twice"},
        {"a\tb\001c", "is not CHANNEL"},
        {"\xff", "is not CHANNEL"},
        {"0123456789012345678901234567890123456789012345678901234567890123", "up to 63 bytes"},
        {"a@01234567890123456789012345678901", "names no pool"},
    };
    config c;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(READ(&c, "--events", wrong[i][0]), CONFIG_BAD);
        assert_memory_equal(why, "--events", strlen("--events"));
        if (!strstr(why, wrong[i][1]))
            fail_msg("%s", why);
    }
    char many[65 * 4 + 1] = "";
    for (int i = 0; i < 65; i++)
        snprintf(many + strlen(many), 5, "c%d,", i);
    assert_int_equal(READ(&c, "--events", many), CONFIG_BAD);
    assert_string_equal(why, "--events: more than 64 channels");
}

static void listening_asks_for_the_primary(void **state)
{
    (void)state;
    static const char *const table[][2] = {
        {"", " target_session_attrs=primary"},
        {"host=a target_session_attrs=any", "host=a target_session_attrs=any "
                                            "target_session_attrs=primary"},
        {"postgres://a/b", "postgres://a/b?target_session_attrs=primary"},
        {"postgresql://u:p?@a/b", "postgresql://u:p?@a/b?target_session_attrs=primary"},
        {"postgresql://u:p?@a/b?c=d", "postgresql://u:p?@a/b?c=d&target_session_attrs=primary"},
        {"postgresql:///b?host=/x@y", "postgresql:///b?host=/x@y&target_session_attrs=primary"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char *made = conninfo_to_primary(table[i][0]);
        assert_string_equal(made, table[i][1]);
        free(made);
    }
}

static void a_standby_is_asked_for_by_the_connection_string(void **state)
{
    (void)state;
    assert_true(conninfo_wants_standby("postgres://h?target_session_attrs=prefer-standby"));
    assert_true(conninfo_wants_standby("host=h target_session_attrs = 'standby'"));
    assert_false(conninfo_wants_standby("host=h target_session_attrs=primary"));
    assert_false(conninfo_wants_standby("host=standby"));
}

static void help_is_asked_for_anywhere(void **state)
{
    (void)state;
    config c;
    assert_int_equal(READ(&c, "--pool-max", "3", "--help"), CONFIG_HELP);
}

static void help_lists_flag_variable_unit_and_default(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    config_help(out);
    fclose(out);
    assert_non_null(strstr(text, "--acquire-timeout TIME"));
    assert_non_null(strstr(text, "WEIR_ACQUIRE_TIMEOUT"));
    assert_non_null(strstr(text, "how long a request waits for a connection (1s)"));
    free(text);
}

static void passwords_are_hidden(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"postgres://joe:s3cret@db/shop", "postgres://joe:***@db/shop"},
        {"postgres://joe:s3c/r@t@db/shop?x=1", "postgres://joe:***@db/shop?x=1"},
        {"postgres://db/shop?password=s3cret&x=1", "postgres://db/shop?password=***&x=1"},
        {"postgres://joe@db:5432/shop", "postgres://joe@db:5432/shop"},
        {"host=db password=s3cret user=joe", "host=db password=*** user=joe"},
        {"host=db password = 's3 \\'cret' user=joe", "host=db password = *** user=joe"},
        {"password='open", "password=***"},
        {"sslpassword=a password=b", "sslpassword=*** password=***"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char hidden[128];
        secret_hide(pairs[i][0], hidden, sizeof hidden);
        assert_string_equal(hidden, pairs[i][1]);
    }
    char cut[12];
    secret_hide("postgres://joe:s3cret@db/shop", cut, sizeof cut);
    assert_string_equal(cut, "postgres://");
    char message[] = "invalid port \"s3cret\" in \"joe:s3cret\"";
    secret_blot("postgres://joe:s3cret@db:x/", message);
    assert_string_equal(message, "invalid port \"******\" in \"joe:******\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_given_means_the_defaults, forget_variables),
        cmocka_unit_test_setup(guards_can_be_switched_off, forget_variables),
        cmocka_unit_test_setup(a_flag_outranks_its_variable_and_that_the_default, forget_variables),
        cmocka_unit_test_setup(a_value_stands_behind_the_flag_or_after_an_equals_sign,
                               forget_variables),
        cmocka_unit_test_setup(a_wrong_value_is_refused_by_name, forget_variables),
        cmocka_unit_test_setup(a_wrong_variable_is_refused_by_its_own_name, forget_variables),
        cmocka_unit_test_setup(an_unknown_flag_is_refused_with_the_nearest_known, forget_variables),
        cmocka_unit_test_setup(a_flag_without_its_value_is_refused, forget_variables),
        cmocka_unit_test_setup(more_kept_than_allowed_is_refused, forget_variables),
        cmocka_unit_test_setup(further_pools_are_named_with_their_sizes, forget_variables),
        cmocka_unit_test_setup(a_variable_names_several_pools_unless_a_flag_names_any,
                               forget_variables),
        cmocka_unit_test_setup(wrong_pools_are_refused_without_their_passwords, forget_variables),
        cmocka_unit_test(a_standby_is_asked_for_by_the_connection_string),
        cmocka_unit_test_setup(channels_are_named_with_their_pools, forget_variables),
        cmocka_unit_test_setup(wrong_channels_are_refused, forget_variables),
        cmocka_unit_test(listening_asks_for_the_primary),
        cmocka_unit_test_setup(help_is_asked_for_anywhere, forget_variables),
        cmocka_unit_test_setup(help_lists_flag_variable_unit_and_default, forget_variables),
        cmocka_unit_test(passwords_are_hidden),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
