/* postgres_options.c: what the PostgreSQL driver reads from a connection string. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/scratch.h"
#include "drivers/postgres_options.h"

static server_options *read_well(const char *conninfo)
{
    server_options *o = NULL;
    weir_error why = {.code = 0};
    int r = server_options_read(&(weir_pool_options){.conninfo = conninfo}, &o, &why);
    if (r < 0)
        fail_msg("%s: %s", conninfo, why.message);
    return o;
}

static weir_error read_badly(const char *conninfo)
{
    server_options *o = NULL;
    weir_error why = {.code = 0};
    int r = server_options_read(&(weir_pool_options){.conninfo = conninfo}, &o, &why);
    assert_int_equal(r, WEIR_EINVAL);
    assert_int_equal(why.code, WEIR_EINVAL);
    assert_null(o);
    assert_true(strlen(why.message) > 20);
    return why;
}

static void assert_host(const server_options *o, uint32_t i, const char *name, const char *address,
                        const char *port)
{
    assert_true(i < o->host_count);
    assert_string_equal(o->hosts[i].name, name);
    assert_string_equal(o->hosts[i].address, address);
    assert_string_equal(o->hosts[i].port, port);
}

static void both_forms_of_string_are_understood(void **state)
{
    server_options *o = read_well("postgresql://u:p%40ss@db.example:6543/shop?sslmode=require");
    assert_int_equal(o->host_count, 1);
    assert_host(o, 0, "db.example", "", "6543");
    assert_false(o->wants_primary);
    server_options_free(o);
    o = read_well("host=db.example port=6543 dbname=shop target_session_attrs=read-write");
    assert_host(o, 0, "db.example", "", "6543");
    assert_true(o->wants_primary);
    server_options_free(o);
}

static void several_hosts_keep_their_order_addresses_and_ports(void **state)
{
    server_options *o = read_well("postgresql://a:1,b,[::1]:3/shop");
    assert_int_equal(o->host_count, 3);
    assert_host(o, 0, "a", "", "1");
    assert_host(o, 1, "b", "", "");
    assert_host(o, 2, "::1", "", "3");
    server_options_free(o);
    o = read_well("host=a,/tmp,@x hostaddr=10.0.0.1,, port=7");
    assert_int_equal(o->host_count, 3);
    assert_host(o, 0, "a", "10.0.0.1", "7");
    assert_host(o, 1, "/tmp", "", "7");
    assert_host(o, 2, "@x", "", "7");
    server_options_free(o);
}

static void the_environment_fills_what_the_string_leaves_out(void **state)
{
    setenv("PGHOST", "from-env", 1);
    setenv("PGOPTIONS", "-c work_mem=1MB", 1);
    setenv("PGTARGETSESSIONATTRS", "primary", 1);
    server_options *o = read_well(NULL);
    unsetenv("PGHOST");
    unsetenv("PGOPTIONS");
    unsetenv("PGTARGETSESSIONATTRS");
    assert_host(o, 0, "from-env", "", "5432");
    assert_string_equal(o->settings, "-c work_mem=1MB -c DateStyle=ISO");
    assert_true(o->wants_primary);
    assert_int_equal(o->statements_max, 256);
    server_options_free(o);
}

static void only_what_asks_for_it_wants_a_primary_or_writes(void **state)
{
    static const struct {
        const char *attributes;
        bool primary, writes;
    } cases[] = {
        {"read-write", true, true},       {"primary", true, false},  {"any", false, false},
        {"prefer-standby", false, false}, {"standby", false, false}, {"read-only", false, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char conninfo[64] = "target_session_attrs=";
        server_options *o = read_well(strcat(conninfo, cases[i].attributes));
        assert_int_equal(o->wants_primary, cases[i].primary);
        assert_int_equal(o->wants_writes, cases[i].writes);
        server_options_free(o);
    }
}

static void so_does_what_a_service_file_says(void **state)
{
    char *folder = scratch_folder(), path[512];
    snprintf(path, sizeof path, "%s/pg_service.conf", folder);
    FILE *file = fopen(path, "w");
    fputs("[web]\nhost=db1,db2\ntarget_session_attrs=primary\n", file);
    fclose(file);
    setenv("PGSERVICEFILE", path, 1);
    setenv("PGTARGETSESSIONATTRS", "any", 1);
    server_options *named = read_well("service=web");
    server_options *overruled = read_well("service=web target_session_attrs=any");
    setenv("PGSERVICE", "web", 1);
    server_options *from_env = read_well("");
    unsetenv("PGSERVICE");
    unsetenv("PGTARGETSESSIONATTRS");
    unsetenv("PGSERVICEFILE");
    scratch_remove(folder);
    assert_host(named, 1, "db2", "", "5432");
    assert_true(named->wants_primary);
    assert_false(named->wants_writes);
    assert_false(overruled->wants_primary);
    assert_true(from_env->wants_primary);
    server_options_free(named);
    server_options_free(overruled);
    server_options_free(from_env);
}

static void a_reset_ends_with_on_connect(void **state)
{
    static const char *const none[] = {NULL, ""};
    server_options *o;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(server_options_read(&(weir_pool_options){.on_connect = none[i]}, &o, NULL),
                         0);
        assert_null(o->on_connect);
        assert_memory_equal(o->clean, "ROLLBACK; SET SESSION AUTHORIZATION DEFAULT; ", 45);
        assert_string_equal(strrchr(o->clean, ';'), "; DISCARD SEQUENCES");
        server_options_free(o);
    }
    assert_int_equal(server_options_read(&(weir_pool_options){.on_connect = "select 1"}, &o, NULL),
                     0);
    assert_string_equal(o->on_connect, "select 1");
    assert_string_equal(strrchr(o->clean, ';'), "; select 1");
    assert_memory_equal(o->clean_all, "ROLLBACK; DEALLOCATE ALL; SET SESSION ", 38);
    assert_string_equal(strstr(o->clean_all, "SET"), strstr(o->clean, "SET"));
    server_options_free(o);
}

static void a_wrong_string_is_refused_with_a_reason(void **state)
{
    static const struct {
        const char *conninfo, *says;
    } cases[] = {
        {"nonsense", "nonsense"},
        {"hots=db", "hots"},
        {"host=a,b hostaddr=10.0.0.1", "could not match"},
        {"host=a,b port=1,2,3", "could not match"},
        {"host=a sslmode=sometimes", "sslmode"},
        {"service=no_such_service", "no_such_service"},
        {"postgresql://[::1", "IPv6"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        weir_error why = read_badly(cases[i].conninfo);
        if (!strstr(why.message, cases[i].says))
            fail_msg("%s: %s", cases[i].conninfo, why.message);
    }
}

static void no_part_of_a_password_is_shown(void **state)
{
    static const char *const conninfos[] = {
        "host=db password=se same",          "password=se sesame=1",
        "postgresql://u:%zzsesame@db/x",     "postgresql://u:p@sesame@db/x",
        "postgresql://u:sesame@db/x?hots=1", "postgresql://u:p@db/x?password=%00sesame",
    };
    for (size_t i = 0; i < sizeof conninfos / sizeof conninfos[0]; i++) {
        weir_error why = read_badly(conninfos[i]);
        if (strstr(why.message, "same"))
            fail_msg("%s: %s", conninfos[i], why.message);
    }
}

int main(void)
{
    static const char *const variables[] = {"PGHOST",    "PGHOSTADDR", "PGPORT",
                                            "PGSERVICE", "PGOPTIONS",  "PGTARGETSESSIONATTRS"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        unsetenv(variables[i]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_forms_of_string_are_understood),
        cmocka_unit_test(several_hosts_keep_their_order_addresses_and_ports),
        cmocka_unit_test(the_environment_fills_what_the_string_leaves_out),
        cmocka_unit_test(only_what_asks_for_it_wants_a_primary_or_writes),
        cmocka_unit_test(so_does_what_a_service_file_says),
        cmocka_unit_test(a_reset_ends_with_on_connect),
        cmocka_unit_test(a_wrong_string_is_refused_with_a_reason),
        cmocka_unit_test(no_part_of_a_password_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
