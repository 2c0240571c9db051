/* encode.h: rows of a result as JSON, straight from the driver's memory into the answer.
 *
 * The output is byte for byte that of Postgres's row_to_json, made from the text form of each value
 * as a session with DateStyle ISO and client_encoding UTF8 prints it. But the line breaks in a json
 * become blanks, so that no row has any, and where the text form does not say enough, a value is
 * printed as a string:
 *   - record (an anonymous row): its fields' names and types are not in the result
 *   - elements of an anyarray, as in pg_stats: their type is not in the result
 *   - a type that an extension casts to json by a function, such as hstore
 *   - composites within arrays within composites … more than ENCODE_DEPTH_MAX deep
 *   - text that is not what the type prints, such as a row of a table altered since the shapes were
 *     loaded
 * So the output is always valid JSON, as long as the text is UTF-8 and values of type json are
 * valid themselves. */
#ifndef WEIR_ENCODE_H
#define WEIR_ENCODE_H

#include "../pool/weir.h"
#include "buffer.h"
#include "shape.h"

/* Composites and arrays within each other; what is deeper stays text. Bounds the stack used. */
#define ENCODE_DEPTH_MAX 16

/* One row as an object. */
void encode_row(buffer *out, const weir_result *result, uint32_t row, const shape_set *shapes);

/* All rows, as an array of objects. */
void encode_rows(buffer *out, const weir_result *result, const shape_set *shapes);

/* All rows, each as an object, with `between` between them. */
void encode_objects(buffer *out, const weir_result *result, const shape_set *shapes,
                    const char *between);

/* One value in its text form. `text` is read up to `length` only. */
void encode_value(buffer *out, const char *text, size_t length, const shape *as);

#endif
