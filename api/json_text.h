/* json_text.h: JSON that was parsed, together with the text it was written as.
 *
 * So numbers keep the digits they were written with, and JSON parameters their text. */
#ifndef WEIR_JSON_TEXT_H
#define WEIR_JSON_TEXT_H

#include <jansson.h>

#include "bind.h"
#include "buffer.h"

/* One value. `value` is the parsed document's, `text` the body's. */
struct json_item {
    const json_t *value;
    const char *text;
    size_t length;
};

bool json_item_null(const json_item *item);

/* Parses a whole body, which is to be a JSON `what` ("object", "array"): whether it is, is the
 * caller's to see. It must not be empty. json_decref(*root) it, on a loop's own stack as
 * here: jansson is recursive both ways. WEIR_EINVAL with `fault`, WEIR_ENOMEM. */
int json_text_read(const char *body, size_t length, const char *what, json_t **root,
                   json_item *item, bind_fault *fault);

/* The members of an object or the elements of an array, walked through in order. */
typedef struct json_walk {
    const json_t *whole;
    void *member; /* of an object: jansson's iterator */
    size_t index; /* of an array: the next element */
    const char *at, *end;
} json_walk;

json_walk json_walk_begin(const json_item *whole);
/* False at the end. `*name` (NULL for an array's) lives as long as the document. */
bool json_walk_next(json_walk *walk, const char **name, json_item *item);

/* The JSON as it was written, without the blanks between its tokens. */
void json_text_compact(buffer *out, const json_item *item);

#endif
