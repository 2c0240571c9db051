/* base64url.c: tests of base64 as tokens carry it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../api/base64url.h"
#include "../support/jwt_mint.h"

static void what_was_encoded_is_decoded(void **state)
{
    unsigned char bytes[300], back[BASE64URL_BYTES(400)];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 151 + 250);
    for (size_t length = 0; length <= sizeof bytes; length++) {
        size_t count = 0;
        char *text = mint_base64url(bytes, length);
        assert_true(base64url_decode(text, strlen(text), back, &count));
        assert_int_equal(count, length);
        assert_memory_equal(back, bytes, length);
        free(text);
    }
}

static void what_no_encoder_writes_is_refused(void **state)
{
    static const char *const wrong[] = {"A",    "AAAAA", "AA==", "AA=", "A A",  "AA\n",
                                        "A+AA", "A/AA",  "AB",   "AAB", "A.AA", "\xc3\xa4"};
    unsigned char bytes[16];
    size_t count;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(base64url_decode(wrong[i], strlen(wrong[i]), bytes, &count));
    assert_false(base64url_decode("AA\0A", 4, bytes, &count));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_encoded_is_decoded),
        cmocka_unit_test(what_no_encoder_writes_is_refused),
    };
    return cmocka_run_group_tests_name("base64url", tests, NULL, NULL);
}
