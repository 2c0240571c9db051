/* metrics.c: tests of what is measured and of how Prometheus reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../api/metrics.h"

typedef struct fixture {
    metrics_shard *shards[2];
    metrics_pool pools[2];
} fixture;

static int open_shards(void **state)
{
    static fixture f;
    memset(&f, 0, sizeof f);
    f.pools[0].name = "main";
    f.pools[1].name = "replica";
    *state = &f;
    return metrics_shard_open(&f.shards[0]) < 0 || metrics_shard_open(&f.shards[1]) < 0;
}

static int free_shards(void **state)
{
    fixture *f = *state;
    metrics_shard_free(f->shards[0]);
    metrics_shard_free(f->shards[1]);
    return 0;
}

static char *scrape(fixture *f, bool openmetrics)
{
    const metrics_source source = {
        .pools = f->pools, .pool_count = 2, .shards = f->shards, .shard_count = 2, .lanes = 2};
    buffer out = {0};
    size_t length;
    metrics_write(&out, &source, openmetrics);
    buffer_char(&out, '\0');
    assert_false(out.failed);
    return buffer_take(&out, &length);
}

/* The value of the sample written exactly so; fails the test when there is none. */
static double sample(const char *text, const char *name)
{
    char line[256];
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(text, line);
    if (!at)
        fail_msg("there is no %s", name);
    return strtod(at + strlen(line), NULL);
}

#define REQUEST_COUNT                                                                              \
    "http_server_request_duration_seconds_count{route=\"/a\",method=\"GET\",status=\"200\"}"
#define REQUEST_BUCKET(le)                                                                         \
    "http_server_request_duration_seconds_bucket{route=\"/a\",method=\"GET\",status=\"200\",le="   \
    "\"" le "\"}"

static void lanes_are_added_up(void **state)
{
    fixture *f = *state;
    metrics_request(f->shards[0], "/a", "GET", 200, WEIR_US(200));
    metrics_request(f->shards[1], "/a", "GET", 200, WEIR_MS(3));
    metrics_request(f->shards[1], "/a", "GET", 200, WEIR_S(100));
    metrics_request(f->shards[1], "/a", "GET", 404, WEIR_MS(3));
    char *text = scrape(f, false);
    assert_int_equal(sample(text, REQUEST_COUNT), 3);
    assert_int_equal(sample(text, REQUEST_BUCKET("0.0001")), 0);
    assert_int_equal(sample(text, REQUEST_BUCKET("0.00025")), 1);
    assert_int_equal(sample(text, REQUEST_BUCKET("0.005")), 2);
    assert_int_equal(sample(text, REQUEST_BUCKET("10")), 2);
    assert_int_equal(sample(text, REQUEST_BUCKET("+Inf")), 3);
    free(text);
}

static void a_duration_on_a_bound_belongs_below_it(void **state)
{
    fixture *f = *state;
    metrics_request(f->shards[0], "/a", "GET", 200, WEIR_MS(1));
    metrics_request(f->shards[0], "/a", "GET", 200, WEIR_MS(1) + 1);
    char *text = scrape(f, false);
    assert_int_equal(sample(text, REQUEST_BUCKET("0.001")), 1);
    free(text);
}

static void label_values_are_escaped(void **state)
{
    fixture *f = *state;
    metrics_query(f->shards[0], "main", "a\"b\\c\nd", WEIR_MS(1));
    char *text = scrape(f, false);
    assert_int_equal(sample(text, "db_client_operation_duration_seconds_count{pool=\"main\","
                                  "query=\"a\\\"b\\\\c\\nd\"}"),
                     1);
    free(text);
}

static void names_beyond_all_bounds_share_one_series(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 6000; i++) {
        char route[32];
        snprintf(route, sizeof route, "/r%d", i);
        metrics_request(f->shards[0], route, "GET", 200, 1);
    }
    char *text = scrape(f, false);
    assert_int_equal(sample(text, "http_server_request_duration_seconds_count{route=\"\",method="
                                  "\"GET\",status=\"200\"}"),
                     6000 - 4096);
    free(text);
}

static void the_pool_is_shown(void **state)
{
    fixture *f = *state;
    f->pools[0].stats = (weir_pool_stats){.max = 10,
                                          .min = 2,
                                          .size = 5,
                                          .idle = 1,
                                          .in_use = 3,
                                          .checking = 1,
                                          .waiting = 7,
                                          .timed_out = 4,
                                          .granted = 99};
    f->pools[0].stats.retired[WEIR_RETIRE_LIFETIME] = 6;
    f->pools[0].stats.wait.counts[0] = 8;
    char *text = scrape(f, false);
    assert_int_equal(sample(text, "db_client_connections_usage{pool=\"main\",state=\"idle\"}"), 1);
    assert_int_equal(sample(text, "db_client_connections_usage{pool=\"main\",state=\"used\"}"), 4);
    assert_int_equal(sample(text, "db_client_connection_max{pool=\"main\"}"), 10);
    assert_int_equal(sample(text, "db_client_connection_idle_min{pool=\"main\"}"), 2);
    assert_int_equal(sample(text, "db_client_connection_pending_requests{pool=\"main\"}"), 7);
    assert_int_equal(sample(text, "db_client_connection_timeouts_total{pool=\"main\"}"), 4);
    assert_int_equal(sample(text, "weir_leases_granted_total{pool=\"main\"}"), 99);
    assert_int_equal(
        sample(text, "weir_connections_retired_total{pool=\"main\",reason=\"lifetime\"}"), 6);
    assert_int_equal(sample(text, "db_client_connection_wait_time_seconds_count{pool=\"main\"}"),
                     8);
    assert_true(sample(text, "process_resident_memory_bytes") > 100000);
    assert_true(sample(text, "process_open_fds") >= 3);
    assert_true(sample(text, "process_start_time_seconds") > 1.6e9);
    free(text);
}

static void each_pool_has_its_own_samples(void **state)
{
    fixture *f = *state;
    f->pools[0].stats = (weir_pool_stats){.max = 10, .paused = true, .shed = 3, .deadlocked = 1};
    f->pools[1].stats = (weir_pool_stats){.max = 4, .leaked = 2, .leaked_out = 1, .ceiling = 3};
    f->pools[1].stats.cancels_drained = 5;
    metrics_query(f->shards[0], "main", "q", WEIR_MS(1));
    metrics_query(f->shards[0], "replica", "q", WEIR_MS(1));
    metrics_query(f->shards[1], "replica", "q", WEIR_MS(1));
    char *text = scrape(f, false);
    assert_int_equal(sample(text, "db_client_connection_max{pool=\"main\"}"), 10);
    assert_int_equal(sample(text, "db_client_connection_max{pool=\"replica\"}"), 4);
    assert_int_equal(sample(text, "weir_pool_paused{pool=\"main\"}"), 1);
    assert_int_equal(sample(text, "weir_pool_paused{pool=\"replica\"}"), 0);
    assert_int_equal(sample(text, "weir_leases_refused_total{pool=\"main\",reason=\"shed\"}"), 3);
    assert_int_equal(sample(text, "weir_leases_refused_total{pool=\"main\",reason=\"deadlock\"}"),
                     1);
    assert_int_equal(sample(text, "weir_leases_leaked_total{pool=\"replica\"}"), 2);
    assert_int_equal(sample(text, "weir_leases_leaked_out{pool=\"replica\"}"), 1);
    assert_int_equal(sample(text, "weir_connection_ceiling{pool=\"replica\"}"), 3);
    assert_int_equal(sample(text, "weir_cancels_ended_total{pool=\"replica\",outcome=\"drained\"}"),
                     5);
    assert_int_equal(sample(text, "db_client_operation_duration_seconds_count{pool=\"replica\","
                                  "query=\"q\"}"),
                     2);
    free(text);
}

/* Each family once, with help and type before its samples. */
static void every_sample_belongs_to_a_family_announced_before_it(void **state)
{
    fixture *f = *state;
    metrics_request(f->shards[0], "/a", "GET", 200, 1);
    metrics_query(f->shards[0], "main", "q", 1);
    for (int openmetrics = 0; openmetrics < 2; openmetrics++) {
        char *text = scrape(f, openmetrics), *next = text, family[128] = "", type[32] = "";
        for (char *line; (line = strsep(&next, "\n"));) {
            if (strncmp(line, "# TYPE ", 7) == 0)
                assert_int_equal(sscanf(line, "# TYPE %127s %31s", family, type), 2);
            if (line[0] == '#' || !line[0])
                continue;
            assert_memory_equal(line, family, strlen(family));
            const char *suffix = line + strlen(family);
            size_t length = strcspn(suffix, "{ ");
            if (strcmp(type, "histogram") == 0)
                assert_true(length == strlen("_bucket") || length == strlen("_sum") ||
                            length == strlen("_count"));
            else if (strcmp(type, "counter") == 0 && openmetrics)
                assert_memory_equal(suffix, "_total", length);
            else
                assert_int_equal(length, 0);
        }
        free(text);
    }
}

static void openmetrics_ends_with_eof(void **state)
{
    char *text = scrape(*state, true), *plain = scrape(*state, false);
    assert_string_equal(text + strlen(text) - 6, "# EOF\n");
    assert_null(strstr(plain, "# EOF"));
    free(text);
    free(plain);
}

static void *write_for_a_while(void *arg)
{
    for (int i = 0; i < 20000; i++) {
        char route[16];
        snprintf(route, sizeof route, "/%d", i % 200);
        metrics_request(arg, route, "GET", 200, WEIR_US(1));
    }
    return NULL;
}

static void reading_while_lanes_write_loses_nothing(void **state)
{
    fixture *f = *state;
    pthread_t writers[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&writers[i], NULL, write_for_a_while, f->shards[i]), 0);
    for (int i = 0; i < 20; i++)
        free(scrape(f, false));
    for (int i = 0; i < 2; i++)
        pthread_join(writers[i], NULL);
    char *text = scrape(f, false);
    assert_int_equal(sample(text, "http_server_request_duration_seconds_count{route=\"/7\",method="
                                  "\"GET\",status=\"200\"}"),
                     200);
    free(text);
}

static void quantiles_are_read_off_the_buckets(void **state)
{
    weir_histogram h = {0};
    assert_int_equal(weir_histogram_quantile(&h, 0.5), 0);
    h.counts[4] = 100; /* between 500 us and 1 ms */
    assert_int_equal(weir_histogram_quantile(&h, 0.5), WEIR_US(750));
    assert_int_equal(weir_histogram_quantile(&h, 1), WEIR_MS(1));
    h.counts[WEIR_HISTOGRAM_BOUNDS] = 100; /* nothing more is known of these */
    assert_int_equal(weir_histogram_quantile(&h, 0.99), WEIR_S(10));
    assert_int_equal(weir_histogram_quantile(&h, 0.25), WEIR_US(750));
}

#define test(name) cmocka_unit_test_setup_teardown(name, open_shards, free_shards)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(lanes_are_added_up),
        test(a_duration_on_a_bound_belongs_below_it),
        test(label_values_are_escaped),
        test(names_beyond_all_bounds_share_one_series),
        test(the_pool_is_shown),
        test(each_pool_has_its_own_samples),
        test(every_sample_belongs_to_a_family_announced_before_it),
        test(openmetrics_ends_with_eof),
        test(reading_while_lanes_write_loses_nothing),
        test(quantiles_are_read_off_the_buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
