/* sql_scan.h: finds the :name parameters of one statement and puts $1… in their place.
 *
 * Tokens are those of PostgreSQL's own lexer with standard_conforming_strings on, and `:name` is a
 * parameter where psql would see a variable: wherever a colon that is not part of `::` or `:=` is
 * directly followed by a letter, an underscore or a byte beyond ASCII; a name goes on with those
 * and digits. So a digit after the colon is no parameter, and `a[1:2]` is a slice. In `a[low:high]`
 * psql would see the variable `high`, which is never what was meant: there it is a fault that says
 * to write `a[low : high]`; for a parameter as bound write `a[1 : :high]`. */
#ifndef WEIR_SQL_SCAN_H
#define WEIR_SQL_SCAN_H

#include "query.h"

#define SQL_PARAMS_MAX     256
#define SQL_PARAM_NAME_MAX 63

typedef struct sql_text {
    char *sql;    /* NUL-terminated */
    char **names; /* names[0] is $1 */
    uint32_t count;
} sql_text;

/* Scans text that begins on line `first_line` of its file: as many lines less one are put before
 * the statement, and all others kept, so that a line of the result is that line of the file. The
 * trailing `;` is dropped. WEIR_EINVAL with line and message in `fault` for what is unterminated,
 * for a literal $1, for no statement or more than one, and for a late `-- @…` line; WEIR_ENOMEM.
 * The text must be valid UTF-8 without NUL. */
int sql_scan(const char *text, size_t length, uint32_t first_line, sql_text *scanned,
             query_fault *fault);
void sql_text_free(sql_text *scanned);

#endif
