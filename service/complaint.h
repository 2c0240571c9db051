/* complaint.h: what keeps a command from its work, in one line on stderr. */
#ifndef WEIR_COMPLAINT_H
#define WEIR_COMPLAINT_H

#include "../api/query.h"

/* Writes it behind the program's name. Not for when the log is open. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "file:line: message", leaving out what is not known. */
void fault_text(const query_fault *fault, char *text, size_t size);

/* Says what is wrong in a file or a flag where `error` is WEIR_EINVAL, and is `exit_code`; else
 * what the error is, and EXIT_SYSTEM. */
int complain_of(const query_fault *fault, int error, int exit_code);

#endif
