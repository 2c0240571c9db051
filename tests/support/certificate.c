/* certificate.c: certificates for tests: self-signed, for localhost and 127.0.0.1. */
#include "certificate.h"

#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void must(int r, const char *what)
{
    if (r >= 0)
        return;
    fprintf(stderr, "certificate: %s: %s\n", what, gnutls_strerror(r));
    exit(99);
}

static void write_pem(const char *path, gnutls_datum_t pem)
{
    FILE *f = fopen(path, "w");
    if (!f || fwrite(pem.data, 1, pem.size, f) != pem.size || fclose(f) != 0) {
        perror(path);
        exit(99);
    }
    gnutls_free(pem.data);
}

static void describe(gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key, const char *name,
                     int days)
{
    const unsigned char loopback[] = {127, 0, 0, 1};
    static unsigned char serial = 0;
    const long day = 24 * 3600;
    time_t now = time(NULL), begins = now - (days > 0 ? 1 : 30) * day;
    serial++;
    must(gnutls_x509_crt_set_version(certificate, 3), "version");
    must(gnutls_x509_crt_set_serial(certificate, &serial, 1), "serial");
    must(gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, name,
                                       (unsigned)strlen(name)),
         "name");
    must(gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, "localhost", 9,
                                              GNUTLS_FSAN_SET),
         "localhost");
    must(gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_IPADDRESS, loopback, 4,
                                              GNUTLS_FSAN_APPEND),
         "127.0.0.1");
    must(gnutls_x509_crt_set_activation_time(certificate, begins), "begin");
    must(gnutls_x509_crt_set_expiration_time(certificate, now + days * day), "end");
    must(gnutls_x509_crt_set_basic_constraints(certificate, 1, -1), "CA");
    must(gnutls_x509_crt_set_key(certificate, key), "key");
    must(gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0), "signature");
}

void certificate_write(const char *name, int days, const char *certificate_path,
                       const char *key_path)
{
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t certificate;
    gnutls_datum_t pem;
    must(gnutls_x509_privkey_init(&key), "memory");
    must(gnutls_x509_crt_init(&certificate), "memory");
    must(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                      GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
         "key");
    describe(certificate, key, name, days);
    must(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &pem), "PEM");
    write_pem(certificate_path, pem);
    must(gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &pem),
         "PEM");
    write_pem(key_path, pem);
    gnutls_x509_crt_deinit(certificate);
    gnutls_x509_privkey_deinit(key);
}
