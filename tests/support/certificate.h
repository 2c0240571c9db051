/* certificate.h: certificates for tests: self-signed, for localhost and 127.0.0.1. */
#ifndef WEIR_TESTS_CERTIFICATE_H
#define WEIR_TESTS_CERTIFICATE_H

/* Makes a key and a certificate of this name, which begins a day ago and ends in `days` (which may
 * be negative), and writes both as PEM. Ends the program when it cannot. */
void certificate_write(const char *name, int days, const char *certificate_path,
                       const char *key_path);

#endif
