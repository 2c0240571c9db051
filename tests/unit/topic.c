/* topic.c: tests of the latest events of one kind, and of those who follow them. */
#include "../../api/topic.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "../support/expect.h"

enum { KEPT = 8 };

/* The thread that opens a runtime is lane 0's: what needs no loop is done right here. */
static weir_runtime *runtime;
static topic *events;
static follower f;
static int stirs;

static void stirred(follower *who)
{
    assert_ptr_equal(who, &f);
    stirs++;
}

static int begin(void **state)
{
    stirs = 0;
    assert_int_equal(weir_runtime_open(NULL, &runtime), 0);
    assert_int_equal(topic_open(runtime, "/events/x", KEPT, &events), 0);
    return 0;
}

static int end(void **state)
{
    if (f.topic)
        topic_leave(&f);
    weir_runtime_close(runtime);
    topic_close(events);
    return 0;
}

static void publish(const char *data)
{
    topic_publish(events, &(topic_event){.data = data, .length = strlen(data)});
}

static void publish_numbers(int from, int to)
{
    char number[16];
    for (int i = from; i <= to; i++) {
        snprintf(number, sizeof number, "%d", i);
        publish(number);
    }
}

/* The next one without its id; "" when there is none. Valid until the next call. */
static const char *next(void)
{
    static char text[256];
    uint64_t missed;
    topic_message *m = topic_next(&f, &missed);
    if (!m && missed) {
        snprintf(text, sizeof text, "missed %d", (int)missed);
        return text;
    }
    if (!m)
        return "";
    m->text[m->length] = '\0';
    char *id = strstr(m->text, "id: ");
    snprintf(text, sizeof text, "%.*s", (int)(id - m->text), m->text);
    topic_message_free(m);
    return text;
}

/* ---- What is kept ---- */

static void an_event_is_written_as_its_lines(void **state)
{
    static const struct {
        const char *name, *data, *text;
    } table[] = {
        {NULL, "one", "data: one\n"},
        {NULL, "", "data: \n"},
        {"gap", "{}", "event: gap\ndata: {}\n"},
        {NULL, "a\nb", "data: a\ndata: b\n"},
        {NULL, "a\r\nb\rc\n", "data: a\ndata: b\ndata: c\ndata: \n"},
        {NULL, "\n\n", "data: \ndata: \ndata: \n"},
        {NULL, "\r", "data: \ndata: \n"},
        {NULL, "id: 7", "data: id: 7\n"},
        {NULL, " two  blanks", "data:  two  blanks\n"},
    };
    topic_follow(events, &f, stirred);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        topic_event e = {.name = table[i].name, .data = table[i].data};
        e.length = strlen(e.data);
        topic_publish(events, &e);
        uint64_t missed;
        topic_message *m = topic_next(&f, &missed);
        char id[TOPIC_ID_SIZE], text[128];
        topic_id(&f, id);
        snprintf(text, sizeof text, "%sid: %s\n\n", table[i].text, id);
        assert_int_equal(m->length, strlen(text));
        assert_memory_equal(m->text, text, m->length);
        topic_message_free(m);
    }
}

static void a_follower_begins_at_the_oldest_and_gets_each_once(void **state)
{
    publish("one");
    topic_follow(events, &f, stirred);
    publish("two");
    assert_string_equal(next(), "data: one\n");
    assert_string_equal(next(), "data: two\n");
    assert_string_equal(next(), "");
    publish("three");
    assert_string_equal(next(), "data: three\n");
    assert_string_equal(next(), "");
}

static void one_that_falls_behind_is_told_by_how_many(void **state)
{
    topic_follow(events, &f, stirred);
    publish_numbers(1, KEPT);
    assert_string_equal(next(), "data: 1\n");
    publish_numbers(KEPT + 1, KEPT + 5);
    assert_string_equal(next(), "missed 4");
    for (int i = 6; i <= KEPT + 5; i++) {
        char expected[32];
        snprintf(expected, sizeof expected, "data: %d\n", i);
        assert_string_equal(next(), expected);
    }
    assert_string_equal(next(), "");
}

static void what_is_being_sent_outlives_its_place(void **state)
{
    uint64_t missed;
    topic_follow(events, &f, stirred);
    publish("held");
    topic_message *m = topic_next(&f, &missed);
    publish_numbers(1, 3 * KEPT);
    assert_memory_equal(m->text, "data: held\n", 11);
    topic_message_free(m);
}

static void large_events_are_kept_up_to_a_size(void **state)
{
    size_t length = TOPIC_BYTES_MAX / 3;
    char *large = malloc(length + 1);
    memset(large, 'x', length);
    large[length] = '\0';
    topic_follow(events, &f, stirred);
    for (int i = 0; i < 5; i++)
        publish(large);
    assert_string_equal(next(), "missed 3");
    assert_memory_equal(next(), "data: xxx", 9);
    assert_memory_equal(next(), "data: xxx", 9);
    assert_string_equal(next(), "");
    free(large);
}

/* ---- Where a follower begins ---- */

static void a_deaf_topic_cannot_be_joined(void **state)
{
    publish("before");
    topic_follow(events, &f, stirred);
    assert_false(topic_is_live(events));
    assert_false(topic_join(&f));
    topic_set_live(events, true);
    assert_true(topic_join(&f));
    assert_string_equal(next(), "");
    publish("after");
    assert_string_equal(next(), "data: after\n");
}

static void a_follower_goes_on_behind_an_id(void **state)
{
    char ids[4][TOPIC_ID_SIZE];
    topic_follow(events, &f, stirred);
    topic_id(&f, ids[0]); /* before all */
    for (int i = 1; i < 4; i++) {
        publish_numbers(i, i);
        next();
        topic_id(&f, ids[i]);
    }
    assert_true(topic_resume(&f, ids[1]));
    assert_string_equal(next(), "data: 2\n");
    assert_true(topic_resume(&f, ids[3]));
    assert_string_equal(next(), "");
    assert_true(topic_resume(&f, ids[0]));
    assert_string_equal(next(), "data: 1\n");
    publish_numbers(4, 3 + KEPT);
    assert_true(topic_resume(&f, ids[1]));
    assert_string_equal(next(), "missed 2");
    assert_string_equal(next(), "data: 4\n");
}

static void other_ids_are_none_of_the_topics(void **state)
{
    char own[TOPIC_ID_SIZE], id[TOPIC_ID_SIZE + 8];
    static const char *const ids[] = {"", "-", "1", "1-1", "x-y", "0-0", "-1", "1--1"};
    publish_numbers(1, 2);
    topic_follow(events, &f, stirred);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        assert_false(topic_resume(&f, ids[i]));
    topic_id(&f, own);
    *strchr(own, '-') = '\0';
    static const char *const ends[] = {"",
                                       "-",
                                       "-x",
                                       "-1x",
                                       "- 1",
                                       "-+1",
                                       "--1",
                                       "-3",
                                       "-1 ",
                                       "-18446744073709551615",
                                       "-18446744073709551616"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(id, sizeof id, "%s%s", own, ends[i]);
        assert_false(topic_resume(&f, id));
    }
    snprintf(id, sizeof id, "%s-2", own);
    assert_true(topic_resume(&f, id));
}

/* ---- News ---- */

static void *publish_in_a_thread(void *arg)
{
    publish("from another thread");
    publish("and again");
    return NULL;
}

static int stop_soon(void *arg)
{
    weir_sleep(WEIR_MS(20));
    weir_runtime_stop(runtime);
    return 0;
}

static void run_the_lanes(void)
{
    assert_int_equal(weir_spawn(stop_soon, NULL, NULL), 0);
    assert_int_equal(weir_runtime_run(runtime), 0);
}

static void followers_are_stirred_on_their_lane_once_for_several(void **state)
{
    pthread_t thread;
    topic_follow(events, &f, stirred);
    assert_int_equal(pthread_create(&thread, NULL, publish_in_a_thread, NULL), 0);
    pthread_join(thread, NULL);
    assert_int_equal(stirs, 0);
    run_the_lanes();
    assert_int_equal(stirs, 1);
    topic_set_live(events, true);
    run_the_lanes();
    assert_int_equal(stirs, 2);
    topic_leave(&f);
    assert_int_equal(topic_followers(events), 0);
    publish("for nobody");
    run_the_lanes();
    assert_int_equal(stirs, 2);
}

enum { PUBLISHERS = 3, EACH = 2000 };

static void *publish_many(void *arg)
{
    char text[16];
    for (int i = 0; i < EACH; i++) {
        snprintf(text, sizeof text, "%c%d", *(char *)arg, i);
        publish(text);
    }
    return NULL;
}

/* Whatever the follower gets of one publisher is in order, and what it gets and misses is all. */
static void many_threads_publish_and_nothing_is_lost_untold(void **state)
{
    pthread_t threads[PUBLISHERS];
    int got = 0, missing = 0, latest[PUBLISHERS] = {-1, -1, -1};
    static char names[] = "abc";
    topic_follow(events, &f, stirred);
    for (int i = 0; i < PUBLISHERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, publish_many, &names[i]), 0);
    while (got + missing < PUBLISHERS * EACH) {
        uint64_t missed;
        topic_message *m = topic_next(&f, &missed);
        missing += (int)missed;
        if (!m)
            continue;
        int who = m->text[6] - 'a', number = (int)strtol(m->text + 7, NULL, 10);
        assert_true(number > latest[who]);
        latest[who] = number;
        topic_count_sent(&f, m);
        topic_message_free(m);
        got++;
    }
    for (int i = 0; i < PUBLISHERS; i++)
        pthread_join(threads[i], NULL);
    topic_figures figures = topic_look(events);
    assert_int_equal(figures.published, PUBLISHERS * EACH);
    assert_int_equal(figures.sent, got);
    assert_int_equal(figures.followers, 1);
}

int main(void)
{
#define usual(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        usual(an_event_is_written_as_its_lines),
        usual(a_follower_begins_at_the_oldest_and_gets_each_once),
        usual(one_that_falls_behind_is_told_by_how_many),
        usual(what_is_being_sent_outlives_its_place),
        usual(large_events_are_kept_up_to_a_size),
        usual(a_deaf_topic_cannot_be_joined),
        usual(a_follower_goes_on_behind_an_id),
        usual(other_ids_are_none_of_the_topics),
        usual(followers_are_stirred_on_their_lane_once_for_several),
        usual(many_threads_publish_and_nothing_is_lost_untold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
