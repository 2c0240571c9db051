/* gzip.c: tests of when bytes are made fewer, and of who asks for it. */
#include "../../api/gzip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

static size_t unpack(const buffer *packed, char *plain, size_t size)
{
    z_stream s = {.next_in = (unsigned char *)packed->data,
                  .avail_in = (unsigned)packed->length,
                  .next_out = (unsigned char *)plain,
                  .avail_out = (unsigned)size};
    assert_int_equal(inflateInit2(&s, 15 + 16), Z_OK);
    assert_int_equal(inflate(&s, Z_FINISH), Z_STREAM_END);
    size_t length = s.total_out;
    inflateEnd(&s);
    return length;
}

static void one_packer_packs_many_texts(void **state)
{
    static char plain[20000];
    gzip *g = gzip_open();
    for (int i = 0; i < 3; i++) {
        buffer b = {0};
        for (int k = 0; k < 1000; k++)
            buffer_printf(&b, "{\"id\":%d},", k * (i + 1));
        buffer before = {0};
        buffer_append(&before, b.data, b.length);
        assert_true(gzip_pack(g, &b));
        assert_true(b.length < before.length / 2);
        assert_int_equal(unpack(&b, plain, sizeof plain), before.length);
        assert_memory_equal(plain, before.data, before.length);
        buffer_free(&b);
        buffer_free(&before);
    }
    gzip_close(g);
}

static void what_would_not_shrink_stays_as_it_is(void **state)
{
    buffer b = {0};
    gzip *g = gzip_open();
    uint32_t seed = 1;
    for (int i = 0; i < 5000; i++) {
        seed = seed * 1664525u + 1013904223u;
        buffer_char(&b, (char)(seed >> 24));
    }
    char first = b.data[0];
    assert_false(gzip_pack(g, &b));
    assert_int_equal(b.length, 5000);
    assert_int_equal(b.data[0], first);
    b.length = 0;
    assert_false(gzip_pack(g, &b));
    buffer_text(&b,
                "and after that it still packs: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_true(gzip_pack(g, &b));
    buffer_free(&b);
    gzip_close(g);
}

static void a_header_asks_for_gzip_or_does_not(void **state)
{
    static const struct {
        const char *header;
        bool accepted;
    } cases[] = {
        {NULL, false},
        {"", false},
        {"gzip", true},
        {"GZip", true},
        {"deflate, gzip;q=0.5, br", true},
        {"br,gzip", true},
        {"*", true},
        {"*;q=0", false},
        {"gzip;q=0", false},
        {"gzip; q=0.000, *", false},
        {"gzip ;q=0.001", true},
        {"*;q=0, gzip", true},
        {"identity", false},
        {"gzipped", false},
        {"x-gzip", false},
        {"deflate;q=0, br;q=1", false},
        {";;;,,,", false},
        {"gzip;q=", false},
        {"gzip;q=1", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (gzip_accepted(cases[i].header) != cases[i].accepted)
            fail_msg("%s", cases[i].header);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_packer_packs_many_texts),
        cmocka_unit_test(what_would_not_shrink_stays_as_it_is),
        cmocka_unit_test(a_header_asks_for_gzip_or_does_not),
    };
    return cmocka_run_group_tests_name("gzip", tests, NULL, NULL);
}
