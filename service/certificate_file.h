/* certificate_file.h: the certificate and the key of --tls-cert and --tls-key. */
#ifndef WEIR_CERTIFICATE_FILE_H
#define WEIR_CERTIFICATE_FILE_H

#include "../api/api.h"
#include "config.h"

/* Reads both; NULL where there are none. WEIR_EINVAL with `fault`, WEIR_ENOMEM. Blocking. */
int certificate_file_read(const config *c, weir_certificate **certificate, query_fault *fault);

/* Warns in the log of one that has expired, soon will, or is not valid yet. */
void certificate_file_warn(const config *c, weir_certificate_info info);

/* Seconds since 1970 as 2026-11-22T08:39:33Z. */
#define DATE_SIZE 32
void certificate_file_date(int64_t seconds, char text[DATE_SIZE]);

#endif
