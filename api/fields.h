/* fields.h: the members that an object in a request's body may have. */
#ifndef WEIR_FIELDS_H
#define WEIR_FIELDS_H

#include "json_text.h"
#include "request.h"

typedef enum field_kind { FIELD_TEXT, FIELD_FLAG, FIELD_OBJECT, FIELD_ARRAY } field_kind;

typedef struct field {
    const char *name;
    field_kind kind;
    bool required;
    bool given; /* and not null */
    json_item item;
} field;

/* Fills the fields from an object, which stands at `where` in the body ("" or "queries.3"). False
 * when the request has been answered, because a member is unknown, missing or of the wrong type. */
bool fields_read(weir_request *req, const char *where, const json_item *object, field *fields,
                 uint32_t count);

/* Answers that the member `name` of the object at `where` is wrong. Returns false. */
bool fields_refuse(weir_request *req, const char *where, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

const char *field_text(const field *f); /* NULL: not given */
bool field_flag(const field *f);        /* false: not given */
/* Sets `*ns` when given. False as fields_read. */
bool field_time(weir_request *req, const char *where, const field *f, uint64_t *ns);

#endif
