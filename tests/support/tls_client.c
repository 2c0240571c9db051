/* tls_client.c: a client that says to a server of 127.0.0.1 exactly what it is told to, under TLS.
 */
#include "tls_client.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "raw_client.h"

enum { PATIENCE_MS = 10000, HEARD_MAX = 1 << 20 };

struct tls_client {
    int fd;
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
    char name[64], protocol[16];
};

static void look(tls_client *c)
{
    unsigned count = 0;
    size_t size = sizeof c->name;
    gnutls_x509_crt_t certificate;
    gnutls_datum_t agreed;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(c->session, &count);
    if (count > 0 && gnutls_x509_crt_init(&certificate) == 0) {
        if (gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) == 0)
            gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, c->name,
                                          &size);
        gnutls_x509_crt_deinit(certificate);
    }
    if (gnutls_alpn_get_selected_protocol(c->session, &agreed) == 0 &&
        agreed.size < sizeof c->protocol)
        memcpy(c->protocol, agreed.data, agreed.size);
}

static bool shake_hands(tls_client *c, const char *priorities)
{
    const gnutls_datum_t offered[] = {{(unsigned char *)"h2", 2}, {(unsigned char *)"http/1.1", 8}};
    int r = gnutls_certificate_allocate_credentials(&c->credentials);
    if (r == 0)
        r = gnutls_init(&c->session, GNUTLS_CLIENT);
    if (r == 0)
        r = gnutls_priority_set_direct(c->session, priorities ? priorities : "NORMAL", NULL);
    if (r == 0)
        r = gnutls_credentials_set(c->session, GNUTLS_CRD_CERTIFICATE, c->credentials);
    if (r != 0)
        return false;
    gnutls_alpn_set_protocols(c->session, offered, 2, 0);
    gnutls_handshake_set_timeout(c->session, PATIENCE_MS);
    gnutls_record_set_timeout(c->session, PATIENCE_MS);
    gnutls_transport_set_int(c->session, c->fd);
    do {
        r = gnutls_handshake(c->session);
    } while (r < 0 && !gnutls_error_is_fatal(r));
    return r == 0;
}

tls_client *tls_dial(uint16_t port, const char *priorities)
{
    tls_client *c = calloc(1, sizeof *c);
    c->fd = raw_dial(port);
    if (c->fd < 0 || !shake_hands(c, priorities)) {
        tls_vanish(c, false);
        return NULL;
    }
    look(c);
    return c;
}

bool tls_say(tls_client *c, const char *text)
{
    size_t length = strlen(text), said = 0;
    while (said < length) {
        ssize_t n = gnutls_record_send(c->session, text + said, length - said);
        if (n < 0 && gnutls_error_is_fatal((int)n))
            return false;
        said += n > 0 ? (size_t)n : 0;
    }
    return true;
}

char *tls_hear(tls_client *c, const char *needle, int times, bool *ended)
{
    size_t length = 0;
    char *text = calloc(1, HEARD_MAX);
    ssize_t n = 1;
    while (n != 0 && raw_count(text, needle) < times) {
        n = gnutls_record_recv(c->session, text + length, HEARD_MAX - 1 - length);
        if (n < 0 && (gnutls_error_is_fatal((int)n) || n == GNUTLS_E_TIMEDOUT))
            break;
        length += n > 0 ? (size_t)n : 0;
    }
    if (ended)
        *ended = n == 0;
    return text;
}

const char *tls_name(const tls_client *c)
{
    return c->name;
}

const char *tls_protocol(const tls_client *c)
{
    return c->protocol;
}

void tls_vanish(tls_client *c, bool politely)
{
    if (!c)
        return;
    if (politely)
        gnutls_bye(c->session, GNUTLS_SHUT_WR);
    if (c->session)
        gnutls_deinit(c->session);
    if (c->credentials)
        gnutls_certificate_free_credentials(c->credentials);
    if (c->fd >= 0)
        close(c->fd);
    free(c);
}
