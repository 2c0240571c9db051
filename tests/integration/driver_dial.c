/* driver_dial.c: how the PostgreSQL driver finds its server, and what it says when it does not. */
#include <arpa/inet.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/driver_world.h"
#include "../support/scratch.h"

static void a_dial_that_fails_says_why(void **state)
{
    char refused[128], unknown[128], no_database[256];
    snprintf(refused, sizeof refused, "host=127.0.0.1 port=1 user=postgres password=sesame");
    snprintf(unknown, sizeof unknown, "host=no-such-host.invalid user=postgres password=sesame");
    snprintf(no_database, sizeof no_database, "%s dbname=nowhere", postgres_conninfo(server));
    const struct {
        const char *conninfo, *sqlstate, *says;
        bool retryable;
    } cases[] = {
        {refused, "", "Connection refused", true},
        {unknown, "", "could not look up host \"no-such-host.invalid\"", true},
        {no_database, "3D000", "database \"nowhere\" does not exist", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        world w = {.options = {.conninfo = cases[i].conninfo, .min = 1}};
        play(&w, first_dial);
        assert_int_equal(w.events[WEIR_CONNECTION_OPENED], 0);
        assert_int_equal(w.error[0].code, WEIR_ECONNECT);
        assert_string_equal(w.error[0].sqlstate, cases[i].sqlstate);
        assert_non_null(strstr(w.error[0].message, cases[i].says));
        assert_null(strstr(w.error[0].message, "sesame"));
        assert_int_equal(w.error[0].retryable, cases[i].retryable);
    }
}

static void a_wrong_password_is_named_and_not_shown(void **state)
{
    postgres_server *strict = postgres_start("password_encryption = 'scram-sha-256'");
    postgres_sql(strict, "create role guest login password 'right'");
    char path[256];
    snprintf(path, sizeof path, "%s/pg_hba.conf", postgres_data_folder(strict));
    FILE *hba = fopen(path, "w");
    assert_non_null(hba);
    fputs("local all postgres trust\nlocal all all scram-sha-256\nhost all all all scram-sha-256\n",
          hba);
    fclose(hba);
    postgres_sql(strict, "select pg_reload_conf()");
    const char *const passwords[] = {"wrong", "right"};
    for (int i = 0; i < 2; i++) {
        char conninfo[300];
        snprintf(conninfo, sizeof conninfo,
                 "host=127.0.0.1 port=%u user=guest password=%s dbname=postgres",
                 postgres_port(strict), passwords[i]);
        world w = {.options = {.conninfo = conninfo, .min = 1}};
        play(&w, first_dial);
        if (i == 1) {
            assert_int_equal(w.events[WEIR_CONNECTION_OPENED], 1);
            continue;
        }
        assert_string_equal(w.error[0].sqlstate, "28P01");
        assert_non_null(strstr(w.error[0].message, "password authentication failed"));
        assert_null(strstr(w.error[0].message, "wrong"));
        assert_null(strstr(w.error[0].message, "auth.c"));
        assert_false(w.error[0].retryable);
    }
    postgres_stop(strict);
}

static int one_query(world *w, weir_lease *lease)
{
    ask(w, lease, 0,
        "select current_setting('application_name') || ' ' || "
        "current_setting('work_mem') || ' ' || current_setting('datestyle')");
    return 0;
}

static void a_dead_host_among_several_is_passed_over(void **state)
{
    char several[400];
    const char *const lists[] = {
        "host=127.0.0.1,127.0.0.1 port=1,%u",
        "host=no-such-host.invalid,localhost port=%u",
        "host=localhost,localhost port=1,%u target_session_attrs=read-write",
        "host=localhost hostaddr=127.0.0.1 port=%u target_session_attrs=primary",
    };
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        char format[300];
        snprintf(format, sizeof format, "%s user=postgres dbname=postgres", lists[i]);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(several, sizeof several, format, postgres_port(server));
#pragma GCC diagnostic pop
        world w = {.options.conninfo = several};
        play_leased(&w, one_query);
        assert_all_well(&w, 0, 0);
    }
}

static int silent_listener(uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, size) != 0 || listen(fd, 16) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &size) != 0)
        fail();
    *port = ntohs(a.sin_port);
    return fd;
}

static void a_host_that_never_answers_does_not_hide_the_next(void **state)
{
    uint16_t silent;
    int fd = silent_listener(&silent);
    char conninfo[200];
    snprintf(conninfo, sizeof conninfo,
             "host=127.0.0.1,127.0.0.1 port=%u,%u user=postgres dbname=postgres", silent,
             postgres_port(server));
    world w = {.options = {.conninfo = conninfo, .connect_timeout_ns = WEIR_MS(100)}};
    play_leased(&w, one_query);
    close(fd);
    assert_all_well(&w, 0, 0);
    assert_true(w.events[WEIR_CONNECTION_FAILED] >= 1);
}

static void no_session_has_the_attributes_asked_for(void **state)
{
    char conninfo[300];
    snprintf(conninfo, sizeof conninfo, "%s target_session_attrs=standby",
             postgres_conninfo(server));
    world w = {.options = {.conninfo = conninfo, .min = 1}};
    play(&w, first_dial);
    assert_non_null(strstr(w.error[0].message, "standby"));
}

static void the_users_own_settings_are_kept(void **state)
{
    char conninfo[400];
    snprintf(conninfo, sizeof conninfo,
             "%s application_name=mine options='-c work_mem=7MB -c datestyle=german'",
             postgres_conninfo(server));
    world w = {.options.conninfo = conninfo};
    play_leased(&w, one_query);
    assert_string_equal(w.text[0], "mine 7MB ISO, DMY");
}

static int one_write(world *w, weir_lease *lease)
{
    ask(w, lease, 0, "create table unwanted ()");
    read_only(w, lease, 1, "select 1");
    ask(w, lease, 2, "create table unwanted ()");
    return 0;
}

static void a_session_made_read_only_by_its_user_stays_so(void **state)
{
    char conninfo[300];
    snprintf(conninfo, sizeof conninfo, "%s options='-c default_transaction_read_only=on'",
             postgres_conninfo(server));
    world w = {.options.conninfo = conninfo};
    play_leased(&w, one_write);
    assert_string_equal(w.error[0].sqlstate, "25006");
    assert_all_well(&w, 1, 1);
    assert_string_equal(w.error[2].sqlstate, "25006");
}

static void the_environment_and_service_files_are_honoured(void **state)
{
    char port[16], path[PATH_MAX], *folder = scratch_folder();
    snprintf(path, sizeof path, "%s/services", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "[shop]\nhost=localhost\nport=%u\nuser=postgres\ndbname=postgres\n"
            "application_name=served\n",
            postgres_port(server));
    assert_int_equal(fclose(file), 0);
    setenv("PGSERVICEFILE", path, 1);
    world w = {.options.conninfo = "service=shop"};
    play_leased(&w, one_query);
    unsetenv("PGSERVICEFILE");
    scratch_remove(folder);
    assert_memory_equal(w.text[0], "served ", 7);

    snprintf(port, sizeof port, "%u", postgres_port(server));
    setenv("PGHOST", "localhost", 1);
    setenv("PGPORT", port, 1);
    setenv("PGUSER", "postgres", 1);
    setenv("PGDATABASE", "postgres", 1);
    world v = {.options.conninfo = ""};
    play_leased(&v, one_query);
    unsetenv("PGHOST");
    unsetenv("PGPORT");
    unsetenv("PGUSER");
    unsetenv("PGDATABASE");
    assert_memory_equal(v.text[0], "weir ", 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dial_that_fails_says_why),
        cmocka_unit_test(a_wrong_password_is_named_and_not_shown),
        cmocka_unit_test(a_dead_host_among_several_is_passed_over),
        cmocka_unit_test(a_host_that_never_answers_does_not_hide_the_next),
        cmocka_unit_test(no_session_has_the_attributes_asked_for),
        cmocka_unit_test(the_users_own_settings_are_kept),
        cmocka_unit_test(the_environment_and_service_files_are_honoured),
        cmocka_unit_test(a_session_made_read_only_by_its_user_stays_so),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
