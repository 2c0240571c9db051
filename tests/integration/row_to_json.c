/* row_to_json.c: the row encoder against Postgres's own row_to_json, byte for byte but for the line
 * breaks in a json. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <libpq-fe.h>

#include "../../api/encode.h"
#include "../../api/shape_catalog.h"
#include "../support/postgres.h"
#include "../support/table_result.h"
#include "row_to_json_samples.h"

enum { ANYARRAY_OID = 2277, RECORD_OID = 2249, SEED = 20240229, ROUNDS = 1500 };

static postgres_server *server;
static PGconn *session;
static uint32_t cast_oid; /* of a type that has a cast to json */

/* ---- Talking to the server ---- */

static PGresult *run_with(const char *sql, int count, const char *const *values)
{
    PGresult *r = PQexecParams(session, sql, count, NULL, values, NULL, NULL, 0);
    ExecStatusType status = PQresultStatus(r);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        fail_msg("%s\n%s", PQerrorMessage(session), sql);
    return r;
}

static PGresult *run(const char *sql)
{
    return run_with(sql, 0, NULL);
}

/* Any number of statements. */
static void execute(const char *sql)
{
    PGresult *r = PQexec(session, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        fail_msg("%s\n%s", PQerrorMessage(session), sql);
    PQclear(r);
}

static void ignore_notice(void *arg, const char *message) {}

/* A libpq result as a table, without its last `dropped` columns. */
typedef struct pg_table {
    table_result table;
    PGresult *pg;
    const char **names;
    uint32_t *types;
    const char **values;
} pg_table;

static void pg_table_free(pg_table *t)
{
    free(t->names);
    free(t->types);
    free(t->values);
    PQclear(t->pg);
}

static void pg_table_fill(pg_table *t, PGresult *pg, int dropped)
{
    int rows = PQntuples(pg), columns = PQnfields(pg) - dropped;
    size_t room = (size_t)columns + 1;
    t->pg = pg;
    t->names = calloc(room, sizeof *t->names);
    t->types = calloc(room, sizeof *t->types);
    t->values = calloc(room * (size_t)rows + 1, sizeof *t->values);
    assert_true(t->names && t->types && t->values);
    for (int c = 0; c < columns; c++) {
        t->names[c] = PQfname(pg, c);
        t->types[c] = PQftype(pg, c);
        for (int r = 0; r < rows; r++)
            t->values[r * columns + c] = PQgetisnull(pg, r, c) ? NULL : PQgetvalue(pg, r, c);
    }
    t->table = (table_result){{&table_result_class},
                              (uint32_t)rows,
                              (uint32_t)columns,
                              t->names,
                              t->types,
                              t->values,
                              NULL,
                              0};
}

static shape_set *load_shapes(const uint32_t *oids, uint32_t count)
{
    buffer list = {0};
    for (uint32_t i = 0; i < count; i++)
        buffer_printf(&list, "%c%u", i == 0 ? '{' : ',', oids[i]);
    buffer_append(&list, count == 0 ? "{}" : "}", count == 0 ? 3 : 2);
    const char *values[] = {list.data};
    pg_table rows;
    pg_table_fill(&rows, run_with(shape_set_sql, 1, values), 0);
    shape_set *set = NULL;
    assert_int_equal(shape_set_build(&rows.table.result, &set), 0);
    pg_table_free(&rows);
    buffer_free(&list);
    return set;
}

/* ---- The oracle ---- */

/* The query's columns as a row that row_to_json can tell by the text form alone: an anyarray as
 * text[], a record, and what is cast to json by a function, as text. */
static char *oracle_query(const char *sql)
{
    buffer text = {0}, row = {0};
    buffer_printf(&text, "select t.* from (%s) t limit 0", sql);
    buffer_char(&text, '\0');
    PGresult *r = run(text.data);
    for (int c = 0; c < PQnfields(r); c++) {
        char *name = PQescapeIdentifier(session, PQfname(r, c), strlen(PQfname(r, c)));
        Oid type = PQftype(r, c);
        const char *cast = type == ANYARRAY_OID                     ? "::text::text[]"
                           : type == RECORD_OID || type == cast_oid ? "::text"
                                                                    : "";
        buffer_printf(&row, "%st.%s%s as %s", c > 0 ? "," : "", name, cast, name);
        PQfreemem(name);
    }
    PQclear(r);
    text.length = 0;
    buffer_printf(&text, "select t.*, (select row_to_json(u)::text from (select %.*s) u) from ",
                  (int)row.length, row.length ? row.data : "");
    buffer_printf(&text, "(%s offset 0) t", sql);
    buffer_char(&text, '\0');
    buffer_free(&row);
    size_t length;
    return buffer_take(&text, &length);
}

/* Valid for a second reader, but for what that reader cannot hold. */
static void assert_json(const char *text, size_t length)
{
    json_error_t error;
    json_t *parsed = json_loadb(text, length, JSON_DECODE_ANY, &error);
    enum json_error_code code = json_error_code(&error);
    if (!parsed && code != json_error_numeric_overflow && code != json_error_null_character)
        fail_msg("%s: %.*s", error.text, (int)length, text);
    json_decref(parsed);
}

static void assert_bytes(const char *sql, const buffer *out, const char *expected, size_t length)
{
    if (out->length == length && memcmp(out->data, expected, length) == 0)
        return;
    fail_msg("%s\nencoded: %.*s\nserver:  %.*s", sql, (int)out->length, out->data, (int)length,
             expected);
}

/* A string of JSON has none: these are between its tokens. */
static void without_line_breaks(char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] == '\n' || text[i] == '\r')
            text[i] = ' ';
}

/* Runs a query and compares every row with what the server makes of it; returns how many. */
static uint32_t compare(const char *sql)
{
    char *full = oracle_query(sql);
    pg_table t;
    pg_table_fill(&t, run(full), 1);
    uint32_t rows = t.table.rows, columns = t.table.columns;
    shape_set *shapes = load_shapes(t.types, columns);
    buffer one = {0}, all = {0}, expected = {0};
    for (uint32_t row = 0; row < rows; row++) {
        char *oracle = PQgetvalue(t.pg, (int)row, (int)columns);
        size_t length = (size_t)PQgetlength(t.pg, (int)row, (int)columns);
        without_line_breaks(oracle, length);
        one.length = 0;
        encode_row(&one, &t.table.result, row, shapes);
        assert_bytes(sql, &one, oracle, length);
        assert_json(one.data, one.length);
        buffer_char(&expected, row == 0 ? '[' : ',');
        buffer_append(&expected, oracle, length);
    }
    buffer_text(&expected, rows == 0 ? "[]" : "]");
    encode_rows(&all, &t.table.result, shapes);
    assert_bytes(sql, &all, expected.data, expected.length);
    buffer_free(&one);
    buffer_free(&all);
    buffer_free(&expected);
    shape_set_free(shapes);
    pg_table_free(&t);
    free(full);
    return rows;
}

__attribute__((format(printf, 1, 2))) static uint32_t compare_format(const char *format, ...)
{
    char *sql = NULL;
    va_list args;
    va_start(args, format);
    assert_true(vasprintf(&sql, format, args) > 0);
    va_end(args);
    uint32_t rows = compare(sql);
    free(sql);
    return rows;
}

/* ---- Every type ---- */

static uint32_t count_of(const char *sql, const char *value)
{
    PGresult *r = run_with(sql, value ? 1 : 0, &value);
    uint32_t count = (uint32_t)strtoul(PQgetvalue(r, 0, 0), NULL, 10);
    PQclear(r);
    return count;
}

static bool has_array(const char *type)
{
    return count_of("select typarray from pg_type where oid = $1::regtype", type) != 0;
}

/* The value by itself, in arrays, in a composite, and in arrays and composites of those. */
static void compare_sample(const sample *s)
{
    char *v = PQescapeLiteral(session, s->literal, strlen(s->literal)), *sql = NULL;
    assert_true(
        asprintf(&sql,
                 "drop type if exists held cascade; create type held as (v %s, w text);"
                 "drop type if exists outer_held; create type outer_held as (h held, a held[])",
                 s->type) > 0);
    execute(sql);
    compare_format("select %s::%s as v", v, s->type);
    compare_format(
        "select row(%s, 'w')::held as c, array[row(%s, null), null, row(null, '')]::held[] as a,"
        " row(row(%s, null), array[row(%s, '\"')::held])::outer_held as o,"
        " array[row(row(%s, null), array[row(%s, '\\')::held])::outer_held] as oo",
        v, v, v, v, v, v);
    if (has_array(s->type))
        compare_format("select array[%s, null]::%s[] as a, array[[%s],[%s]]::%s[] as b,"
                       " '{}'::%s[] as c",
                       v, s->type, v, v, s->type, s->type);
    free(sql);
    PQfreemem(v);
}

static void every_sample_is_encoded_as_the_server_does(void **state)
{
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        compare_sample(&samples[i]);
}

static bool follows_settings(const char *type)
{
    static const char *const words[] = {"time",  "date",  "interval", "bytea",
                                        "float", "range", "nest",     "altered"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(type, words[i]))
            return true;
    return false;
}

static void session_settings_that_change_the_text_form_are_followed(void **state)
{
    static const char *const settings[] = {
        "set timezone = 'Asia/Kolkata'; set intervalstyle = iso_8601",
        "set timezone = 'Europe/Amsterdam'; set bytea_output = escape",
        "set timezone = 'America/St_Johns'; set extra_float_digits = 0",
        "set timezone = 'Africa/Monrovia'; set intervalstyle = sql_standard",
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        execute(settings[i]);
        for (size_t k = 0; k < sizeof samples / sizeof *samples; k++)
            if (follows_settings(samples[k].type))
                compare_sample(&samples[k]);
        execute("reset all");
    }
}

static void every_type_of_the_catalog_has_a_sample(void **state)
{
    buffer known = {0};
    buffer_char(&known, '{');
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        buffer_printf(&known, "%u,", count_of("select $1::regtype::oid", samples[i].type));
    for (size_t i = 0; i < sizeof unwritable / sizeof *unwritable; i++)
        buffer_printf(&known, "%u,", count_of("select $1::regtype::oid", unwritable[i]));
    buffer_append(&known, "0}", 3);
    const char *values[] = {known.data};
    PGresult *r = run_with("select oid::regtype from pg_type where typtype in ('b','d','e','r','m')"
                           " and not (typlen = -1 and typelem <> 0 and typname like '\\_%')"
                           " and oid <> all ($1::oid[])"
                           " and typnamespace in ('pg_catalog'::regnamespace,"
                           " 'information_schema'::regnamespace)",
                           1, values);
    if (PQntuples(r) != 0)
        fail_msg("no sample of %s", PQgetvalue(r, 0, 0));
    PQclear(r);
    buffer_free(&known);
}

static void the_built_in_table_is_what_the_catalog_says(void **state)
{
    const shape *known;
    for (uint32_t i = 0; (known = shape_builtin_at(i)) != NULL; i++) {
        char oid[16];
        snprintf(oid, sizeof oid, "%u", known->oid);
        const char *values[] = {oid};
        PGresult *r = run_with(
            "select format_type(t.oid, null), t.typlen = -1 and t.typelem <> 0,"
            " t.typelem, e.typdelim from pg_type t left join pg_type e on e.oid = t.typelem"
            " where t.oid = $1::oid",
            1, values);
        assert_int_equal(PQntuples(r), 1);
        assert_string_equal(known->type_name, PQgetvalue(r, 0, 0));
        if (known->oid != ANYARRAY_OID) {
            bool array = known->kind == SHAPE_ARRAY || known->kind == SHAPE_VECTOR;
            assert_int_equal(array, *PQgetvalue(r, 0, 1) == 't');
            if (array) {
                assert_int_equal(known->element->oid, strtoul(PQgetvalue(r, 0, 2), NULL, 10));
                assert_int_equal(known->delimiter, *PQgetvalue(r, 0, 3));
            }
        }
        PQclear(r);
    }
    assert_int_equal(
        count_of("select count(*) from pg_type t left join pg_type e on e.oid = t.typelem"
                 " where t.oid < 10000 and t.typtype in ('b','r','m')"
                 " and e.typtype is distinct from 'c'",
                 NULL) +
            5, /* record, record[], anyarray, cstring, void */
        shape_builtin_count());
}

/* ---- Real tables ---- */

static void tables_and_views_of_the_catalog_are_encoded_as_the_server_does(void **state)
{
    PGresult *r =
        run("select oid::regclass from pg_class where relkind in ('r','v') and relnamespace"
            " in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)");
    uint32_t rows = 0;
    for (int i = 0; i < PQntuples(r); i++)
        rows += compare_format("select * from %s limit 300", PQgetvalue(r, i, 0));
    assert_true(PQntuples(r) > 150 && rows > 5000);
    PQclear(r);
}

static void statistics_of_any_type_become_arrays(void **state)
{
    assert_true(compare("select * from pg_stats where tablename = 'measured'") > 5);
    assert_true(compare("select * from pg_statistic where starelid = 'measured'::regclass") > 5);
    assert_int_equal(compare("select * from pg_statistic_ext_data"), 1);
}

static void whole_rows_as_columns_become_objects(void **state)
{
    assert_true(compare("select c, a from pg_class c join pg_attribute a on a.attrelid = c.oid"
                        " limit 300") == 300);
    compare("select array_agg(t) as types from (select t from pg_type t limit 50) x");
    assert_int_equal(compare("select a from altered a"), 3);
    compare("select array_agg(a) as all, min(a.b) as b from altered a");
    compare("select m from over_measured m");
}

static void columns_of_any_name_and_none_at_all(void **state)
{
    assert_int_equal(compare("select from generate_series(1, 3)"), 3);
    assert_int_equal(compare("select 1 as a where false"), 0);
    compare("select 1 as \"q\"\"q\", 2 as \"b\\b\", 3 as \"\t\n\", 4 as \"ü\", 5 as \" \"");
    compare("select 1 as a, 2 as b from generate_series(1, 3)");
}

static void an_anonymous_row_is_a_string(void **state)
{
    assert_int_equal(compare("select row(1, 'a b', null) as r, array[row(1,2)]::text[] as rr"), 1);
}

static void what_a_function_casts_to_json_is_a_string(void **state)
{
    cast_oid = count_of("select 'shade'::regtype::oid", NULL);
    assert_int_equal(compare("select 'light'::shade as s, 1 as i"), 1);
    cast_oid = 0;
}

/* ---- Anything ---- */

/* A text of what quoting and escaping trip over, the same for the same seed. */
static char *random_text(uint32_t *seed)
{
    static const char *const pieces[] = {
        "\"",   "\\",   "{",
        "}",    "(",    ")",
        ",",    ";",    "'",
        " ",    "\t",   "\n",
        "\r",   "\x01", "a",
        "bc",   "1",    "-",
        "NULL", "null", "[",
        "]",    "=",    ":",
        "é",    "😀",    "\x7f",
        "\b",   "\f",   "/",
        "\"\"", "\\\\", "plain text of some length",
    };
    buffer text = {0};
    uint32_t count = (*seed = *seed * 1664525u + 1013904223u) >> 28;
    for (uint32_t i = 0; i < count; i++) {
        *seed = *seed * 1664525u + 1013904223u;
        buffer_text(&text, pieces[(*seed >> 8) % (sizeof pieces / sizeof *pieces)]);
    }
    buffer_char(&text, '\0');
    size_t length;
    return buffer_take(&text, &length);
}

static void random_texts_survive_every_nesting(void **state)
{
    uint32_t seed = SEED;
    for (int i = 0; i < ROUNDS; i += 50) {
        buffer sql = {0};
        for (int row = 0; row < 50; row++) {
            char *text = random_text(&seed), *other = random_text(&seed);
            char *x = PQescapeLiteral(session, text, strlen(text));
            char *y = PQescapeLiteral(session, other, strlen(other));
            buffer_printf(&sql, "%s select %s::text, %s::text", row ? " union all" : "", x, y);
            PQfreemem(x);
            PQfreemem(y);
            free(text);
            free(other);
        }
        compare_format(
            "select x, array[x, y] as a, array[[x], [y]] as b, row(1, x)::pair as c,"
            " array[row(1, x), row(2, y)]::pair[] as d, to_json(x) as e, to_jsonb(y) as f,"
            " array[to_json(y)] as g, row(row(3, y), array[row(4, x)::pair],"
            " array[row(5, y)::pair]::pairings, null, now(), to_json(x), 1)::nest as h,"
            " array[row(null, array[row(6, x)::pair], null, null, null, null, 2)::nest] i,"
            " row(x)::lonely as j, textrange(least(x, y), greatest(x, y)) as k,"
            " array[textrange(least(x, y), null)] as l, convert_to(x, 'UTF8') as m"
            " from (%.*s) r(x, y)",
            (int)sql.length, sql.data);
        buffer_free(&sql);
    }
}

/* ---- */

static int set_up(void **state)
{
    server = postgres_start("jit = off\n");
    session = PQconnectdb(postgres_conninfo(server));
    if (PQstatus(session) != CONNECTION_OK)
        return -1;
    PQsetClientEncoding(session, "UTF8");
    PQsetNoticeProcessor(session, ignore_notice, NULL);
    execute(samples_schema);
    return 0;
}

static int tear_down(void **state)
{
    PQfinish(session);
    postgres_stop(server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_of_the_catalog_has_a_sample),
        cmocka_unit_test(the_built_in_table_is_what_the_catalog_says),
        cmocka_unit_test(every_sample_is_encoded_as_the_server_does),
        cmocka_unit_test(session_settings_that_change_the_text_form_are_followed),
        cmocka_unit_test(tables_and_views_of_the_catalog_are_encoded_as_the_server_does),
        cmocka_unit_test(statistics_of_any_type_become_arrays),
        cmocka_unit_test(whole_rows_as_columns_become_objects),
        cmocka_unit_test(columns_of_any_name_and_none_at_all),
        cmocka_unit_test(an_anonymous_row_is_a_string),
        cmocka_unit_test(what_a_function_casts_to_json_is_a_string),
        cmocka_unit_test(random_texts_survive_every_nesting),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
