/* result.c: tests of what reads a result, whichever driver it came from. */
#include "../../pool/driver.h"
#include "../support/expect.h"

/* A driver's that trusts its caller: of one value. */
static uint32_t one(const weir_result *r)
{
    return 1;
}

static const char *text(const weir_result *r, uint32_t row, uint32_t column)
{
    return "value";
}

static bool never(const weir_result *r, uint32_t row, uint32_t column)
{
    return false;
}

static size_t five(const weir_result *r, uint32_t row, uint32_t column)
{
    return 5;
}

static const result_class trusting = {
    .rows = one, .columns = one, .is_null = never, .value = text, .length = five};
static const weir_result result = {&trusting};

static void what_is_in_range_is_read(void **state)
{
    assert_false(weir_result_is_null(&result, 0, 0));
    assert_string_equal(weir_result_value(&result, 0, 0), "value");
    assert_int_equal(weir_result_length(&result, 0, 0), 5);
}

#define READS(X)                                                                                   \
    X(null_of_no_row, weir_result_is_null(&result, 1, 0))                                          \
    X(null_of_no_column, weir_result_is_null(&result, 0, 1))                                       \
    X(value_of_no_row, weir_result_value(&result, 1, 0))                                           \
    X(value_of_no_column, weir_result_value(&result, 0, 1))                                        \
    X(length_of_no_row, weir_result_length(&result, 1, 0))                                         \
    X(length_of_no_column, weir_result_length(&result, 0, 1))

#define X(name, read)                                                                              \
    static void name(void)                                                                         \
    {                                                                                              \
        (void)read;                                                                                \
    }
READS(X)
#undef X

static void what_is_out_of_range_ends_the_program(void **state)
{
#define X(name, read) assert_true(dies(name, SIGABRT, "row < weir_result_rows"));
    READS(X)
#undef X
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_in_range_is_read),
        cmocka_unit_test(what_is_out_of_range_ends_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
