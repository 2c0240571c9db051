/* bind_json.h: a request's JSON body as texts of parameters. */
#ifndef WEIR_BIND_JSON_H
#define WEIR_BIND_JSON_H

#include "bind_text.h"
#include "json_text.h"

/* A body, whose members are parameters. */
typedef struct json_body {
    json_t *object; /* NULL: no body */
    json_walk walk;
} json_body;

/* Parses a body, NULL or empty for none; begins at the first member. Recursive in jansson. */
int json_body_read(const char *body, size_t length, json_body *read, bind_fault *fault);
void json_body_free(json_body *body);

/* The next member; false at the end. `name` lives as long as the body. */
bool json_body_next(json_body *body, const char **name, json_item *item);

/* An item that is not null as the parameter's text: WEIR_EINVAL with `fault`, WEIR_ENOMEM. */
int bind_json(const query_param *p, const json_item *item, char **text, bind_fault *fault);

#endif
