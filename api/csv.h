/* csv.h: rows of a result as CSV, after RFC 4180.
 *
 * Values are the text that Postgres prints, as COPY … CSV has them: null is an empty field, and an
 * empty text a quoted one. Lines end with CR LF. */
#ifndef WEIR_CSV_H
#define WEIR_CSV_H

#include "../pool/weir.h"
#include "buffer.h"

/* The line with the columns' names. */
void csv_header(buffer *out, const weir_result *result);

void csv_rows(buffer *out, const weir_result *result);

#endif
