/* fuzz_sql_scan.c: any bytes as a query's file.
 *
 * Whatever is taken keeps its lines, and scanned again without parameters comes out the same; what
 * is refused is refused with a reason and a line that the file has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../api/sql_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool held)
{
    if (!held)
        abort();
}

static uint32_t lines(const char *text, size_t length)
{
    uint32_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += text[i] == '\n';
    return count;
}

/* Parameters are $1… by now, which the scanner refuses. */
static void scan_again(const char *sql, bool had_params)
{
    sql_text again;
    query_fault fault = {0};
    int status = sql_scan(sql, strlen(sql), 1, &again, &fault);
    must(status == 0 || had_params);
    if (status != 0)
        return;
    must(again.count == 0);
    must(strcmp(again.sql, sql) == 0);
    sql_text_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    query *q = NULL;
    query_fault fault = {.message = ""};
    int status = query_parse("fuzz.sql", (const char *)data, size, &q, &fault);
    if (status != 0) {
        must(status == WEIR_EINVAL && fault.message[0] != '\0');
        must(fault.line <= lines((const char *)data, size) + 1);
        return 0;
    }
    must(lines(q->statement.sql, strlen(q->statement.sql)) == lines((const char *)data, size));
    for (uint32_t i = 0; i < q->param_count; i++)
        must(q->params[i].name && q->params[i].name[0]);
    scan_again(q->statement.sql, q->param_count > 0);
    query_free(q);
    return 0;
}
