/* accept.h: the form in which a client wants its rows. */
#ifndef WEIR_ACCEPT_H
#define WEIR_ACCEPT_H

typedef enum answer_form {
    FORM_JSON,   /* one object, whole before its first byte is sent */
    FORM_ARRAY,  /* the rows as a JSON array, streamed */
    FORM_NDJSON, /* a row a line, streamed */
    FORM_CSV,    /* streamed */
} answer_form;

/* What a header Accept asks for: application/x-ndjson, text/csv, application/json; stream=1. The
 * highest q wins, of equal ones the first; anything else, and NULL, is FORM_JSON. */
answer_form accept_form(const char *accept);

/* Its Content-Type. */
const char *form_content_type(answer_form form);

#endif
