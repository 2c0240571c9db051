/* certificate_file.c: the certificate and the key of --tls-cert and --tls-key. */
#include "certificate_file.h"

#include <stdio.h>
#include <time.h>

#include "log.h"
#include "small_file.h"

/* So long before its end a certificate is spoken of. */
#define SOON_S (14 * 24 * 3600)

/* A file that is cut short by a NUL is no PEM, and so is refused. */
int certificate_file_read(const config *c, weir_certificate **certificate, query_fault *fault)
{
    char *chain = NULL, *key = NULL, why[256] = "";
    size_t chain_length = 0, key_length = 0;
    bool in_key = false;
    *certificate = NULL;
    if (!c->tls_cert)
        return 0;
    int r = small_file_read(c->tls_cert, "the certificate", &chain, &chain_length, fault);
    if (r == 0)
        r = small_file_read(c->tls_key, "the key", &key, &key_length, fault);
    if (r == 0) {
        r = weir_certificate_read(chain, key, certificate, &in_key, why, sizeof why);
        if (r == WEIR_EINVAL) {
            snprintf(fault->file, sizeof fault->file, "%s", in_key ? c->tls_key : c->tls_cert);
            query_fail(fault, 0, "%s", why);
        }
    }
    small_file_forget(chain, chain_length);
    small_file_forget(key, key_length);
    return r;
}

void certificate_file_date(int64_t seconds, char text[DATE_SIZE])
{
    const time_t when = (time_t)seconds;
    struct tm utc;
    gmtime_r(&when, &utc);
    strftime(text, DATE_SIZE, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

void certificate_file_warn(const config *c, weir_certificate_info info)
{
    char begins[DATE_SIZE], expires[DATE_SIZE];
    int64_t now = (int64_t)time(NULL);
    certificate_file_date(info.begins, begins);
    certificate_file_date(info.expires, expires);
    const char *what = now >= info.expires            ? "the certificate has expired"
                       : now >= info.expires - SOON_S ? "the certificate expires soon"
                       : now < info.begins            ? "the certificate is not valid yet"
                                                      : NULL;
    if (what)
        log_say(WEIR_WARN, "tls.certificate", what, field_text("file", c->tls_cert),
                field_text("begins", begins), field_text("expires", expires));
}
