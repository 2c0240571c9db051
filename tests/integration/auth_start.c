/* auth_start.c: tests of what the service does not start with: nobody could be let in, or too many.
 */
#include "../support/jwt_mint.h"
#include "../support/secret_files.h"
#include "../support/served.h"

#include <string.h>

static int world_start(void **state)
{
    database = postgres_start(NULL);
    folder = scratch_folder();
    secret_files_open();
    query_file("kept", "-- @auth token\nselect 'kept' as x\n");
    query_file("mine", "-- @auth jwt\nselect 'mine' as x\n");
    return 0;
}

static int world_end(void **state)
{
    scratch_remove(folder);
    secret_files_close();
    postgres_stop(database);
    return 0;
}

/* Of a test that has failed on its way. */
static int forget(void **state)
{
    weir_stop(weir);
    weir = NULL;
    return 0;
}

static void refuses(const char *const *flags, int code, const char *line)
{
    serve_unready(flags);
    assert_int_equal(weir_await_exit(weir, 20), code);
    const char *output = weir_output(weir);
    if (!strstr(output, line) || raw_count(output, "\n") != 1)
        fail_msg("%s", output);
    forget(NULL);
}
#define REFUSES(code, line, ...) refuses((const char *const[]){__VA_ARGS__, NULL}, code, line)

static void a_start_that_could_let_in_nobody_is_refused(void **state)
{
    secret_file("short", "0123456789012345678901234567890\n");
    secret_file("empty", "# nobody yet\n");
    secret_file("bad", "one\ntwo words\n");
    secret_file("secret", MINT_SECRET);
    REFUSES(64, "--auth jwt, but no key to know one by: say --jwt-secret-file or --jwt-keys",
            "--auth", "jwt");
    REFUSES(64, "--auth token, but there is none: say --client-token-file", "--auth", "token");
    REFUSES(64, "empty: it holds no token: write one a line", "--auth", "token",
            "--client-token-file", secret_path("empty"));
    REFUSES(64, "empty: it holds no token: write one a line", "--token", "x", "--token-file",
            secret_path("empty"));
    REFUSES(64, "short: a secret of 31 bytes can be guessed: it must have 32 at least",
            "--jwt-secret-file", secret_path("short"));
    REFUSES(64, "--jwt-secret: a secret of 1 bytes", "--jwt-secret", "x");
    REFUSES(64, "nothing: the keys cannot be read: No such file", "--jwt-keys",
            secret_path("nothing"));
    REFUSES(64, "bad:2: a token is made of visible ASCII", "--client-token-file",
            secret_path("bad"));
    REFUSES(64, "only one can be said", "--jwt-secret", MINT_SECRET, "--jwt-keys",
            secret_path("secret"));
    REFUSES(64, "secret: it is neither a public key in PEM nor a JWKS", "--jwt-keys",
            secret_path("secret"));
    REFUSES(64, "\"maybe\" is not one of none|token|jwt", "--auth", "maybe");
    REFUSES(65, "kept.sql:1: @auth token, but there is none: say --client-token-file",
            "--jwt-secret", MINT_SECRET);
    REFUSES(65, "mine.sql:1: @auth jwt, but no key to know one by: say --jwt-secret-file or",
            "--client-token", "x");
}

static void a_public_cache_of_what_is_not_for_all_is_refused(void **state)
{
    query_file("bad", "-- @auth token\n-- @cache 5s public\nselect 1 as x\n");
    REFUSES(65, "bad.sql:2: @cache public would have proxies give one client's answer to others",
            "--jwt-secret", MINT_SECRET, "--client-token", "x");
    query_file("bad", "-- @cache 5s public\nselect 1 as x\n");
    REFUSES(65, "bad.sql:1: @cache public would have proxies", "--jwt-secret", MINT_SECRET,
            "--client-token", "x", "--auth", "token");
    query_file("bad", "-- @cache 5s public\n-- @auth none\nselect 1 as x\n");
}

static void a_check_says_the_same(void **state)
{
    static const struct {
        const char *flags[3];
        int code;
        const char *line;
    } cases[] = {
        {{"--auth", "jwt", NULL}, 64, "weir: --auth jwt, but no key to know one by"},
        {{"--jwt-secret", "short", NULL}, 64, "weir: --jwt-secret: a secret of 5 bytes"},
        {{"--jwt-secret", MINT_SECRET, NULL}, 65, "kept.sql:1: error: @auth token, but there is"},
        {{"--client-token", "x", NULL}, 65, "mine.sql:1: error: @auth jwt, but no key"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const *flags = cases[i].flags;
        weir = weir_start((const char *const[]){
            "check", folder, "--database", postgres_conninfo(database), flags[0], flags[1], NULL});
        assert_int_equal(weir_await_exit(weir, 20), cases[i].code);
        if (!strstr(weir_output(weir), cases[i].line))
            fail_msg("%s", weir_output(weir));
        forget(NULL);
    }
}

static void a_check_plans_what_refers_to_claims(void **state)
{
    query_file("mine", "-- @auth jwt\nselect 1 as x where 'a' = "
                       "current_setting('request.jwt.claims')::json->>'sub'\n");
    weir = weir_start((const char *const[]){"check", folder, "--database",
                                            postgres_conninfo(database), "--jwt-secret",
                                            MINT_SECRET, "--client-token", "x", "--strict", NULL});
    if (weir_await_exit(weir, 20) != 0)
        fail_msg("%s", weir_output(weir));
    forget(NULL);
}

#define test(name) cmocka_unit_test_teardown(name, forget)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_start_that_could_let_in_nobody_is_refused),
        test(a_public_cache_of_what_is_not_for_all_is_refused),
        test(a_check_says_the_same),
        test(a_check_plans_what_refers_to_claims),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("auth_start", tests, world_start, world_end);
}
