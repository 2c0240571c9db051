/* bind_json.h: a request's JSON body as texts of parameters. */
#ifndef WEIR_BIND_JSON_H
#define WEIR_BIND_JSON_H

#include <jansson.h>

#include "bind_text.h"

/* The members of an object, walked through together with their text in the body: so numbers keep
 * the digits they were written with, and JSON parameters their text. */
typedef struct json_body {
    json_t *object; /* NULL: no body */
    void *member;   /* jansson's iterator */
    const char *at, *end;
} json_body;

/* One member's or element's value. */
typedef struct json_item {
    const json_t *value;
    const char *text;
    size_t length;
} json_item;

/* Parses a body, NULL or empty for none; begins at the first member. Recursive in jansson. */
int json_body_read(const char *body, size_t length, json_body *read, bind_fault *fault);
void json_body_free(json_body *body);

/* The next member; false at the end. `name` lives as long as the body. */
bool json_body_next(json_body *body, const char **name, json_item *item);

/* Whether an item is null. Otherwise it becomes the parameter's text: WEIR_EINVAL with `fault`,
 * WEIR_ENOMEM. */
bool json_item_null(const json_item *item);
int bind_json(const query_param *p, const json_item *item, char **text, bind_fault *fault);

#endif
