/* array_text.h: an array in PostgreSQL's text form, {"a",NULL,{…}}. */
#ifndef WEIR_ARRAY_TEXT_H
#define WEIR_ARRAY_TEXT_H

#include "buffer.h"

/* One element, quoted and escaped; NULL becomes NULL. */
void array_element(buffer *out, const char *text, size_t length);

#endif
