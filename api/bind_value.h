/* bind_value.h: whether a text can be a value of a type, told without the server. */
#ifndef WEIR_BIND_VALUE_H
#define WEIR_BIND_VALUE_H

#include <stdint.h>

/* NULL, or what a value of the type has to be: "a whole number from … to …". Finds fault only with
 * what no version of the server takes; knows int2, int4, int8, oid, numeric, float4, float8, bool,
 * uuid, json and jsonb. Recursive in jansson for the last two. */
const char *value_problem(uint32_t oid, const char *text);

#endif
