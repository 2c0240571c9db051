/* proxies.c: tests of addresses, and of whose word is taken for where a request comes from. */
#include "../../api/proxies.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../pool/weir.h"

static char why[256];

static ip address(const char *text)
{
    ip a;
    assert_true(ip_parse(text, strlen(text), &a));
    return a;
}

static void assert_is(const ip *a, const char *expected)
{
    char text[IP_TEXT];
    ip_text(a, text);
    assert_string_equal(text, expected);
}

static void an_address_has_one_form(void **state)
{
    ip v4 = address("192.0.2.7"), mapped = address("::ffff:192.0.2.7");
    assert_true(ip_equal(&v4, &mapped) && ip_is_v4(&mapped));
    assert_is(&mapped, "192.0.2.7");
    struct sockaddr_in6 from = {.sin6_family = AF_INET6};
    inet_pton(AF_INET6, "::ffff:192.0.2.7", &from.sin6_addr);
    ip of_socket;
    assert_true(ip_of_socket((struct sockaddr *)&from, &of_socket));
    assert_true(ip_equal(&of_socket, &v4));
    static const char *const bad[] = {
        "",     "1.2.3",    "1.2.3.4.5", "256.1.1.1",
        "g::1", "1.2.3.4 ", "localhost", "::ffff:192.0.2.7:::::::::::::::::::::::::::::"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(ip_parse(bad[i], strlen(bad[i]), &v4));
}

static void a_household_is_an_address_or_a_64(void **state)
{
    ip a = address("2001:db8:1:2:3:4:5:6"), b = address("2001:db8:1:2::1");
    ip c = address("2001:db8:1:3::1"), d = address("192.0.2.7");
    a = ip_household(&a);
    b = ip_household(&b);
    c = ip_household(&c);
    d = ip_household(&d);
    assert_true(ip_equal(&a, &b));
    assert_false(ip_equal(&a, &c));
    assert_is(&d, "192.0.2.7");
}

static void networks_are_trusted_to_the_bit(void **state)
{
    static const struct {
        const char *configured, *address;
        bool trusted;
    } cases[] = {
        {"10.0.0.0/8", "10.255.1.2", true},         {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "::a00:1", false},           {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.128/25", "192.0.2.200", true},    {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.6", false},          {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},        {"::/0", "203.0.113.9", true},
        {"fd00::/8 , 127.0.0.1", "fdff::1", true},  {"fd00::/8 , 127.0.0.1", "127.0.0.1", true},
        {"fd00::/8 , 127.0.0.1", "fc00::1", false}, {"::ffff:10.0.0.0/104", "10.9.8.7", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        proxies *p;
        assert_int_equal(proxies_open(cases[i].configured, &p, why, sizeof why), 0);
        ip a = address(cases[i].address);
        assert_int_equal(proxies_trust(p, &a), cases[i].trusted);
        proxies_close(p);
    }
}

static void what_is_no_network_is_refused_by_name(void **state)
{
    static const char *const bad[] = {
        "",      "10.0.0.0/33",  "10.0.0.0/",   "10.0.0.0/-1", "10.0.0.0/8,",      "fd00::/129",
        "proxy", "10.0.0.0/8/8", "10.0.0.0/1x", "/8",          "10.0.0.1 10.0.0.2"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        proxies *p = NULL;
        assert_int_equal(proxies_open(bad[i], &p, why, sizeof why), WEIR_EINVAL);
        assert_null(p);
        assert_non_null(strstr(why, "--trusted-proxies: \""));
    }
}

static void the_last_who_is_no_proxy_is_the_client(void **state)
{
    static const struct {
        const char *peer, *headers[3], *client;
    } cases[] = {
        {"203.0.113.9", {"198.51.100.1"}, "203.0.113.9"}, /* says so itself */
        {"10.0.0.1", {NULL}, "10.0.0.1"},
        {"10.0.0.1", {"198.51.100.1"}, "198.51.100.1"},
        {"10.0.0.1", {"1.1.1.1, 198.51.100.1"}, "198.51.100.1"},
        {"10.0.0.1", {"1.1.1.1,198.51.100.1 , 10.0.0.2"}, "198.51.100.1"},
        {"10.0.0.1", {"1.1.1.1", "198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
        {"10.0.0.1", {"10.0.0.3, 10.0.0.2"}, "10.0.0.3"}, /* all are proxies: the first */
        {"10.0.0.1", {"198.51.100.1, rubbish"}, "10.0.0.1"},
        {"10.0.0.1", {"198.51.100.1, rubbish, 10.0.0.2"}, "10.0.0.2"},
        {"10.0.0.1", {"198.51.100.1,"}, "10.0.0.1"},
        {"10.0.0.1", {""}, "10.0.0.1"},
        {"10.0.0.1", {",,,"}, "10.0.0.1"},
        {"10.0.0.1", {"unknown"}, "10.0.0.1"},
        {"10.0.0.1", {"198.51.100.1:4711"}, "198.51.100.1"},
        {"10.0.0.1", {"[2001:db8::5]:4711"}, "2001:db8::5"},
        {"10.0.0.1", {"[2001:db8::5]"}, "2001:db8::5"},
        {"10.0.0.1", {"2001:db8::5"}, "2001:db8::5"},
        {"10.0.0.1", {"[2001:db8::5"}, "10.0.0.1"},
        {"10.0.0.1", {"["}, "10.0.0.1"},
        {"10.0.0.1", {":"}, "10.0.0.1"},
    };
    proxies *p;
    assert_int_equal(proxies_open("10.0.0.0/8", &p, why, sizeof why), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t count = 0;
        while (count < 3 && cases[i].headers[count])
            count++;
        ip peer = address(cases[i].peer);
        ip client = proxies_client(p, &peer, cases[i].headers, count);
        assert_is(&client, cases[i].client);
    }
    proxies_close(p);
}

static void without_proxies_nobody_is_believed(void **state)
{
    proxies *p;
    ip peer = address("10.0.0.1");
    assert_int_equal(proxies_open(NULL, &p, why, sizeof why), 0);
    ip client = proxies_client(p, &peer, (const char *const[]){"198.51.100.1"}, 1);
    assert_is(&client, "10.0.0.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_has_one_form),
        cmocka_unit_test(a_household_is_an_address_or_a_64),
        cmocka_unit_test(networks_are_trusted_to_the_bit),
        cmocka_unit_test(what_is_no_network_is_refused_by_name),
        cmocka_unit_test(the_last_who_is_no_proxy_is_the_client),
        cmocka_unit_test(without_proxies_nobody_is_believed),
    };
    cmocka_set_test_filter(getenv("TEST_FILTER")); /* a pattern, to run some */
    return cmocka_run_group_tests_name("proxies", tests, NULL, NULL);
}
