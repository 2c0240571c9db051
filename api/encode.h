/* encode.h: rows of a result as JSON, straight from the driver's memory into the answer. */
#ifndef WEIR_ENCODE_H
#define WEIR_ENCODE_H

#include "../pool/weir.h"
#include "buffer.h"
#include "shape.h"

/* One row as an object, byte for byte what row_to_json prints for it but for the spaces it does not
 * print either. */
void encode_row(buffer *out, const weir_result *result, uint32_t row, const shape_set *shapes);

/* All rows, as an array of objects. */
void encode_rows(buffer *out, const weir_result *result, const shape_set *shapes);

/* One value in its text form. */
void encode_value(buffer *out, const char *text, size_t length, const shape *shape);

#endif
