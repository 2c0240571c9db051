/* settings.c: what settings a lease's queries are run under, on a server made of a script. */
#include "../support/expect.h"
#include "weir.h"

static const weir_statement any = {.sql = "select 1"};

typedef struct world {
    weir_fake *fake;
    weir_pool *pool;
    int (*body)(struct world *w);
} world;

static int run_body(void *arg)
{
    world *w = arg;
    weir_pool_options options = {
        .driver = weir_fake_driver(), .driver_arg = w->fake, .max = 1, .seed = 1};
    if (weir_pool_open(NULL, &options, &w->pool, NULL) < 0)
        return -1;
    int r = w->body(w);
    int closed = weir_pool_close(w->pool);
    return r < 0 ? r : closed;
}

static void play(int (*body)(world *w))
{
    world w = {.body = body};
    assert_int_equal(weir_fake_open(&w.fake), 0);
    assert_int_equal(run_virtually(run_body, &w), 0);
    weir_fake_close(w.fake);
}

static void expect_settings(const world *w, weir_lease *lease, const char *wanted)
{
    char text[256];
    expect(weir_query(lease, &any, NULL, NULL) == 0);
    weir_fake_settings(w->fake, text, sizeof text);
    expect(strcmp(text, wanted) == 0);
}

static int ask_twice(world *w)
{
    const weir_setting both[] = {{"request.id", "7"}, {"role", "web"}};
    weir_scoped_lease weir_lease *lease = NULL;
    expect(weir_acquire(w->pool, NULL, &lease) == 0);
    expect_settings(w, lease, "");
    expect(weir_lease_settings(lease, both, 2) == 0);
    expect_settings(w, lease, "request.id=7\nrole=web\n");
    expect_settings(w, lease, "request.id=7\nrole=web\n");
    expect(weir_lease_settings(lease, both, 1) == 0);
    expect_settings(w, lease, "request.id=7\n");
    expect(weir_lease_settings(lease, NULL, 0) == 0);
    expect_settings(w, lease, "");
    expect(weir_lease_settings(lease, both, 2) == 0);
    weir_release(lease);
    lease = NULL;
    expect(weir_acquire(w->pool, NULL, &lease) == 0);
    expect_settings(w, lease, "");
    return 0;
}

static void settings_hold_until_others_are_given_or_the_lease_ends(void **state)
{
    play(ask_twice);
}

static int give_wrong_ones(world *w)
{
    weir_setting many[WEIR_SETTINGS_MAX + 1];
    weir_scoped_lease weir_lease *lease = NULL;
    expect(weir_acquire(w->pool, NULL, &lease) == 0);
    for (uint32_t i = 0; i <= WEIR_SETTINGS_MAX; i++)
        many[i] = (weir_setting){"a.b", "c"};
    expect(weir_lease_settings(lease, many, 1) == 0);
    expect(weir_lease_settings(lease, many, WEIR_SETTINGS_MAX + 1) == WEIR_EINVAL);
    expect(weir_lease_settings(lease, (weir_setting[]){{NULL, "c"}}, 1) == WEIR_EINVAL);
    expect(weir_lease_settings(lease, (weir_setting[]){{"role", NULL}}, 1) == WEIR_EINVAL);
    expect_settings(w, lease, "a.b=c\n");
    expect(weir_lease_settings(lease, many, WEIR_SETTINGS_MAX) == 0);
    return 0;
}

static void what_is_no_list_of_settings_changes_nothing(void **state)
{
    play(give_wrong_ones);
}

static int give_some_too_late(world *w)
{
    const weir_setting one = {"a.b", "c"};
    const char *const value = "1";
    weir_fake_step rows = {.columns = 1, .rows = 1, .values = &value, .batch = 1};
    weir_stream *stream = NULL;
    weir_scoped_lease weir_lease *lease = NULL;
    expect(weir_fake_answer(w->fake, NULL, 1, &rows) == 0);
    expect(weir_acquire(w->pool, NULL, &lease) == 0);
    expect(weir_stream_open(lease, &any, NULL, &stream) == 0);
    expect(weir_lease_settings(lease, &one, 1) == WEIR_EBUSY);
    weir_stream_close(stream);
    expect(weir_lease_settings(lease, &one, 1) == 0);
    return 0;
}

static void none_are_given_while_a_query_is_under_way(void **state)
{
    play(give_some_too_late);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_hold_until_others_are_given_or_the_lease_ends),
        cmocka_unit_test(what_is_no_list_of_settings_changes_nothing),
        cmocka_unit_test(none_are_given_while_a_query_is_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
