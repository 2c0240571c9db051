/* query_set.c: a folder of queries, what it refuses, which query a path means, and what the server
 * says of them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../api/query_set.h"
#include "../support/scratch.h"

typedef struct folder {
    char *path;
    query_set *set;
    query_fault fault;
} folder;

static const char *const pools[] = {"default", "replica", "reports", NULL};

static int set_up(void **state)
{
    folder *f = calloc(1, sizeof *f);
    *state = f;
    if (!f)
        return -1;
    f->path = scratch_folder();
    return 0;
}

static int tear_down(void **state)
{
    folder *f = *state;
    query_set_unref(f->set);
    scratch_remove(f->path);
    free(f);
    return 0;
}

static const char *below(const folder *f, const char *name)
{
    static char path[8192];
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    return path;
}

static void put_bytes(const folder *f, const char *name, const char *text, size_t length)
{
    FILE *file = fopen(below(f, name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void put(const folder *f, const char *name, const char *text)
{
    put_bytes(f, name, text, strlen(text));
}

static void make_folder(const folder *f, const char *name)
{
    assert_int_equal(mkdir(below(f, name), 0755), 0);
}

static void reads(folder *f, uint32_t count)
{
    if (query_set_read(f->path, pools, &f->set, &f->fault) != 0)
        fail_msg("%s:%u: %s", f->fault.file, f->fault.line, f->fault.message);
    assert_int_equal(query_set_count(f->set), count);
}

static void refuses(folder *f, const char *name, uint32_t line, const char *part)
{
    assert_int_equal(query_set_read(f->path, pools, &f->set, &f->fault), WEIR_EINVAL);
    assert_null(f->set);
    assert_string_equal(f->fault.file, *name ? below(f, name) : f->path);
    assert_int_equal(f->fault.line, line);
    if (!strstr(f->fault.message, part))
        fail_msg("%s", f->fault.message);
}

/* ---- Pools ---- */

static void a_query_belongs_to_the_pool_it_names_or_to_the_default_one(void **state)
{
    folder *f = *state;
    put(f, "a.sql", "select 1");
    put(f, "b.sql", "-- @pool reports\nselect 1");
    put(f, "c.sql", "-- @pool default\nselect 1");
    reads(f, 3);
    assert_int_equal(query_set_at(f->set, 0)->pool_index, 0);
    assert_int_equal(query_set_at(f->set, 1)->pool_index, 2);
    assert_int_equal(query_set_at(f->set, 2)->pool_index, 0);
}

static void a_pool_that_is_not_there_is_refused_with_those_that_are(void **state)
{
    folder *f = *state;
    put(f, "a.sql", "-- A query.\n-- @pool replca\nselect 1");
    refuses(f, "a.sql", 2,
            "there is no pool \"replca\", only \"default\", \"replica\" and \"reports\"");
}

/* ---- Reading ---- */

static void an_empty_folder_is_an_empty_set(void **state)
{
    folder *f = *state;
    route_match match;
    reads(f, 0);
    assert_int_equal(query_set_match(f->set, METHOD_GET, "/q/x", &match), WEIR_EINVAL);
    assert_int_equal(match.allowed, 0);
}

static void files_are_named_by_their_place_and_sorted(void **state)
{
    folder *f = *state;
    make_folder(f, "reports");
    make_folder(f, "reports/old");
    put(f, "orders.sql", "select 1");
    put(f, "reports/old/y-2_x.sql", "select 1");
    put(f, "reports/daily.sql", "select 1");
    put(f, "Customers.sql", "select 1");
    put(f, ".hidden.sql", "not SQL at all '");
    put(f, "notes.txt", "$1");
    put(f, "orders.sql~", "$1");
    make_folder(f, ".git");
    put(f, ".git/x.sql", "'");
    reads(f, 4);
    assert_string_equal(query_set_at(f->set, 0)->name, "Customers");
    assert_string_equal(query_set_at(f->set, 1)->name, "orders");
    assert_string_equal(query_set_at(f->set, 2)->name, "reports/daily");
    assert_string_equal(query_set_at(f->set, 3)->name, "reports/old/y-2_x");
    assert_string_equal(query_set_at(f->set, 3)->file, below(f, "reports/old/y-2_x.sql"));
}

static void links_to_files_are_followed_and_loops_are_not(void **state)
{
    folder *f = *state;
    make_folder(f, "a");
    put(f, ".real", "select 2");
    assert_int_equal(symlink(".real", below(f, "linked.sql")), 0);
    assert_int_equal(symlink("..", below(f, "a/loop")), 0);
    assert_int_equal(symlink("../a", below(f, "a/self")), 0);
    assert_int_equal(symlink("/nowhere/at/all", below(f, "dangling")), 0);
    put(f, "a/b.sql", "select 1");
    reads(f, 2);
    assert_string_equal(query_set_at(f->set, 1)->name, "linked");
    assert_string_equal(query_set_at(f->set, 1)->statement.sql, "select 2");
}

static void the_first_wrong_file_is_named(void **state)
{
    folder *f = *state;
    put(f, "c.sql", "'");
    put(f, "b.sql", "-- @rout GET /x\nselect 1");
    put(f, "a.sql", "select 1");
    refuses(f, "b.sql", 1, "@route?");
}

static void a_name_that_no_url_can_carry_is_refused(void **state)
{
    folder *f = *state;
    put(f, "two words.sql", "select 1");
    refuses(f, "two words.sql", 0, "rename");
}

static void what_is_no_readable_file_is_refused(void **state)
{
    folder *f = *state;
    assert_int_equal(mkfifo(below(f, "pipe.sql"), 0644), 0);
    refuses(f, "pipe.sql", 0, "not a regular file");
    assert_int_equal(unlink(below(f, "pipe.sql")), 0);
    assert_int_equal(symlink("/nowhere/at/all", below(f, "gone.sql")), 0);
    refuses(f, "gone.sql", 0, "No such file");
    assert_int_equal(query_set_read("/nowhere/at/all", pools, &f->set, &f->fault), WEIR_EINVAL);
    assert_string_equal(f->fault.file, "/nowhere/at/all");
}

static void a_file_and_a_depth_have_bounds(void **state)
{
    folder *f = *state;
    size_t size = 1024 * 1024;
    char *text = malloc(size + 1);
    assert_non_null(text);
    memset(text, '\n', size + 1);
    text[0] = '1';
    put_bytes(f, "big.sql", text, size);
    reads(f, 1);
    query_set_unref(f->set);
    f->set = NULL;
    put_bytes(f, "big.sql", text, size + 1);
    free(text);
    refuses(f, "big.sql", 0, "1 MiB");
    assert_int_equal(unlink(below(f, "big.sql")), 0);
    char deep[64] = "";
    for (int i = 0; i < 17; i++) {
        strcat(deep, i > 0 ? "/d" : "d");
        make_folder(f, deep);
    }
    refuses(f, deep, 0, "16 deep");
}

/* ---- Routes ---- */

static void two_files_with_one_route_are_refused(void **state)
{
    folder *f = *state;
    put(f, "a.sql", "-- @route GET /orders/{id}\nselect :id");
    put(f, "b.sql", "-- by number\n-- @route GET /orders/{number}\nselect :number");
    refuses(f, "b.sql", 2, "a.sql");
}

static void paths_of_the_service_are_refused(void **state)
{
    static const char *const reserved[] = {
        "/",      "/livez", "/readyz",     "/metrics", "/pool",   "/pool/x",
        "/q",     "/q/x",   "/problems/x", "/q/{id}",  "/sql",    "/openapi.json",
        "/batch", "/tx",    "/reload",     "/docs",    "/events", "/events/x",
    };
    folder *f = *state;
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        char text[128];
        snprintf(text, sizeof text, "-- @route GET %s\nselect %s", reserved[i],
                 strstr(reserved[i], "{id}") ? ":id" : "1");
        put(f, "a.sql", text);
        if (strcmp(reserved[i], "/") == 0)
            refuses(f, "a.sql", 1, "slash at the end");
        else
            refuses(f, "a.sql", 1, "service itself");
    }
    put(f, "a.sql", "-- @route GET /pools\nselect 1");
    put(f, "b.sql", "-- @route GET /event/{id}\nselect :id");
    reads(f, 2);
}

static void a_query_is_reached_by_name_and_by_route(void **state)
{
    folder *f = *state;
    route_match match;
    make_folder(f, "reports");
    put(f, "reports/daily.sql", "-- @route PUT /days/{day}\nselect :day");
    put(f, "ping.sql", "select 1");
    reads(f, 2);

    assert_int_equal(query_set_match(f->set, METHOD_GET, "/q/ping", &match), 0);
    assert_string_equal(match.query->name, "ping");
    assert_string_equal(match.route, "/q/ping");
    assert_int_equal(match.value_count, 0);
    assert_int_equal(query_set_match(f->set, METHOD_POST, "/q/reports/daily", &match), 0);
    assert_string_equal(match.query->name, "reports/daily");
    assert_int_equal(query_set_match(f->set, METHOD_PUT, "/q/reports/daily", &match), WEIR_EINVAL);
    assert_int_equal(match.allowed, 1u << METHOD_GET | 1u << METHOD_POST);
    assert_int_equal(query_set_match(f->set, METHOD_GET, "/q/", &match), WEIR_EINVAL);
    assert_int_equal(query_set_match(f->set, METHOD_GET, "/q", &match), WEIR_EINVAL);
    assert_int_equal(query_set_match(f->set, METHOD_GET, "/q/ping/", &match), WEIR_EINVAL);
    assert_int_equal(match.allowed, 0);

    assert_int_equal(query_set_match(f->set, METHOD_PUT, "/days/today", &match), 0);
    assert_string_equal(match.route, "/days/{day}");
    assert_int_equal(match.value_count, 1);
    assert_string_equal(match.values[0].name, "day");
    assert_string_equal(match.values[0].value, "today");
    assert_int_equal(query_set_match(f->set, METHOD_GET, "/days/today", &match), WEIR_EINVAL);
    assert_int_equal(match.allowed, 1u << METHOD_PUT);
}

static void a_set_lives_until_its_last_reference(void **state)
{
    folder *f = *state;
    put(f, "a.sql", "select 1");
    reads(f, 1);
    query_set *other = query_set_ref(f->set);
    query_set_unref(f->set);
    f->set = NULL;
    assert_string_equal(query_set_at(other, 0)->name, "a");
    query_set_unref(other);
}

/* ---- Describing, on a server made of a script ---- */

typedef struct describing {
    query_set *set;
    query_fault fault;
    weir_fake *fake;
    int opened, taken, described;
} describing;

static int describe(void *arg)
{
    describing *d = arg;
    weir_pool *pool = NULL;
    weir_pool_options options = {.driver = weir_fake_driver(), .driver_arg = d->fake, .seed = 1};
    d->opened = weir_pool_open(NULL, &options, &pool, NULL);
    if (d->opened == 0) {
        weir_scoped_lease weir_lease *lease = NULL;
        d->taken = weir_acquire(pool, NULL, &lease);
        if (d->taken == 0)
            d->described = query_set_describe(d->set, 0, lease, &d->fault);
    }
    return d->opened == 0 ? weir_pool_close(pool) : d->opened;
}

/* Describes the folder's queries on a server that answers the first with `step`. */
static describing described(folder *f, const weir_fake_step *step)
{
    describing d = {.set = f->set};
    assert_int_equal(weir_fake_open(&d.fake), 0);
    assert_int_equal(weir_fake_answer(d.fake, NULL, 1, step), 0);
    assert_int_equal(weir_run(&(weir_runtime_options){.virtual_time = true}, describe, &d), 0);
    weir_fake_close(d.fake);
    assert_int_equal(d.opened, 0);
    assert_int_equal(d.taken, 0);
    return d;
}

static void columns_are_taken_from_the_server(void **state)
{
    folder *f = *state;
    put(f, "a.sql", "select id, total from orders");
    reads(f, 1);
    describing d = described(f, &(weir_fake_step){.columns = 2,
                                                  .names = (const char *const[]){"id", "total"},
                                                  .types = (const uint32_t[]){23, 1700}});
    assert_int_equal(d.described, 0);
    const query *q = query_set_at(f->set, 0);
    assert_int_equal(q->column_count, 2);
    assert_string_equal(q->columns[1].name, "total");
    assert_int_equal(q->columns[1].type, 1700);
    assert_int_equal(q->columns[1].shape->kind, SHAPE_NUMBER);
}

static weir_fake_step refusal(const char *sqlstate, const char *message, uint32_t position)
{
    weir_fake_step step = {.outcome = WEIR_FAKE_FAIL, .error = {.position = position}};
    snprintf(step.error.sqlstate, sizeof step.error.sqlstate, "%s", sqlstate);
    snprintf(step.error.message, sizeof step.error.message, "%s", message);
    return step;
}

static void a_refusal_is_reported_at_its_line(void **state)
{
    folder *f = *state;
    put(f, "a.sql", "-- @returns row\n\nselect 'é\né',\n  nam\nfrom t");
    reads(f, 1);
    /* Two line breaks stand for the annotation and the empty line. */
    weir_fake_step step = refusal("42703", "column \"nam\" does not exist", 2 + 15 + 1);
    describing d = described(f, &step);
    assert_int_equal(d.described, WEIR_EINVAL);
    assert_string_equal(d.fault.file, below(f, "a.sql"));
    assert_int_equal(d.fault.line, 5);
    assert_string_equal(d.fault.message, "column \"nam\" does not exist [42703]");
}

static void a_refusal_without_a_place_is_reported_at_the_statement(void **state)
{
    folder *f = *state;
    put(f, "a.sql", "-- what\n\nselect :first, :second");
    reads(f, 1);
    weir_fake_step step = refusal("42P18", "could not determine data type of parameter $2", 0);
    describing d = described(f, &step);
    assert_int_equal(d.described, WEIR_EINVAL);
    assert_int_equal(d.fault.line, 3);
    assert_string_equal(d.fault.message,
                        "could not determine data type of parameter $2 ($2 is :second): write its "
                        "type, as in :name::text [42P18]");
}

static void a_server_in_trouble_is_not_the_files_fault(void **state)
{
    folder *f = *state;
    put(f, "a.sql", "select 1");
    reads(f, 1);
    weir_fake_step step = refusal("57P03", "the database system is starting up", 0);
    assert_int_equal(described(f, &step).described, WEIR_EQUERY);
}

static void describing_may_be_tried_again(void **state)
{
    folder *f = *state;
    put(f, "a.sql", "select 1 as one");
    put(f, "b.sql", "select 2 as two");
    reads(f, 2);
    const weir_fake_step one = {.columns = 1, .names = (const char *const[]){"one"}};
    weir_fake_step lost = {.outcome = WEIR_FAKE_LOSE};
    describing d = {.set = f->set};
    assert_int_equal(weir_fake_open(&d.fake), 0);
    assert_int_equal(weir_fake_answer(d.fake, NULL, 1, &one), 0);
    assert_int_equal(weir_fake_answer(d.fake, NULL, 1, &lost), 0);
    assert_int_equal(weir_fake_answer(d.fake, NULL, 0, &one), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weir_run(&(weir_runtime_options){.virtual_time = true}, describe, &d), 0);
        assert_int_equal(d.described, i == 0 ? WEIR_ELOST : 0);
    }
    weir_fake_close(d.fake);
    assert_int_equal(query_set_at(f->set, 0)->column_count, 1);
    assert_string_equal(query_set_at(f->set, 1)->columns[0].name, "one");
}

static void two_columns_of_one_name_are_refused(void **state)
{
    folder *f = *state;
    put(f, "a.sql", "\nselect a.id, b.id from a, b");
    reads(f, 1);
    describing d =
        described(f, &(weir_fake_step){.columns = 2, .names = (const char *const[]){"id", "id"}});
    assert_int_equal(d.described, WEIR_EINVAL);
    assert_int_equal(d.fault.line, 2);
    assert_non_null(strstr(d.fault.message, "called id"));
}

static void a_row_without_columns_is_refused_and_a_count_is_not(void **state)
{
    folder *f = *state;
    put(f, "a.sql", "-- @returns row\ndelete from t");
    reads(f, 1);
    describing d = described(f, &(weir_fake_step){0});
    assert_int_equal(d.described, WEIR_EINVAL);
    assert_int_equal(d.fault.line, 2);
    query_set_unref(f->set);
    put(f, "a.sql", "-- @returns count\ndelete from t");
    reads(f, 1);
    assert_int_equal(described(f, &(weir_fake_step){0}).described, 0);
}

#define folder_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        folder_test(a_query_belongs_to_the_pool_it_names_or_to_the_default_one),
        folder_test(a_pool_that_is_not_there_is_refused_with_those_that_are),
        folder_test(an_empty_folder_is_an_empty_set),
        folder_test(files_are_named_by_their_place_and_sorted),
        folder_test(links_to_files_are_followed_and_loops_are_not),
        folder_test(the_first_wrong_file_is_named),
        folder_test(a_name_that_no_url_can_carry_is_refused),
        folder_test(what_is_no_readable_file_is_refused),
        folder_test(a_file_and_a_depth_have_bounds),
        folder_test(two_files_with_one_route_are_refused),
        folder_test(paths_of_the_service_are_refused),
        folder_test(a_query_is_reached_by_name_and_by_route),
        folder_test(a_set_lives_until_its_last_reference),
        folder_test(columns_are_taken_from_the_server),
        folder_test(a_refusal_is_reported_at_its_line),
        folder_test(a_refusal_without_a_place_is_reported_at_the_statement),
        folder_test(a_server_in_trouble_is_not_the_files_fault),
        folder_test(describing_may_be_tried_again),
        folder_test(two_columns_of_one_name_are_refused),
        folder_test(a_row_without_columns_is_refused_and_a_count_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
