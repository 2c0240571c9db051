/* certificate.c: by what the service is known under TLS: a certificate, its chain and its key. */
#include "certificate.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "etag.h"

/* Forward secrecy, no protocol that is deprecated; the order is ours. */
#define PRIORITIES "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:%SERVER_PRECEDENCE"

/* Connections keep theirs until they are closed: a handshake may be under way when it is replaced.
 */
struct weir_certificate {
    atomic_uint references;
    gnutls_certificate_credentials_t credentials;
    gnutls_datum_t ticket_key; /* for clients that come back: they need no new signature */
    weir_certificate_info info;
    char tag[ETAG_SIZE]; /* of the certificate and its chain */
};

/* ---- Reading ---- */

static gnutls_datum_t datum_of(const char *text)
{
    return (gnutls_datum_t){.data = (unsigned char *)text, .size = (unsigned)strlen(text)};
}

static int64_t earlier(int64_t a, time_t b)
{
    return a < (int64_t)b ? a : (int64_t)b;
}

static int read_dates(const char *chain, weir_certificate_info *info)
{
    gnutls_x509_crt_t *each = NULL;
    unsigned count = 0;
    const gnutls_datum_t pem = datum_of(chain);
    int r = gnutls_x509_crt_list_import2(&each, &count, &pem, GNUTLS_X509_FMT_PEM, 0);
    if (r < 0)
        return r;
    info->expires = INT64_MAX;
    for (unsigned i = 0; i < count; i++) {
        info->expires = earlier(info->expires, gnutls_x509_crt_get_expiration_time(each[i]));
        if (i == 0)
            info->begins = (int64_t)gnutls_x509_crt_get_activation_time(each[i]);
        gnutls_x509_crt_deinit(each[i]);
    }
    gnutls_free(each);
    return count > 0 ? 0 : GNUTLS_E_NO_CERTIFICATE_FOUND;
}

static int read_pair(weir_certificate *made, const char *chain, const char *key)
{
    const gnutls_datum_t chain_pem = datum_of(chain), key_pem = datum_of(key);
    int r = gnutls_certificate_allocate_credentials(&made->credentials);
    if (r == 0)
        r = gnutls_certificate_set_x509_key_mem2(made->credentials, &chain_pem, &key_pem,
                                                 GNUTLS_X509_FMT_PEM, NULL, 0);
    return r < 0 ? r : gnutls_session_ticket_key_generate(&made->ticket_key);
}

static const char *key_fault(int error)
{
    switch (error) {
    case GNUTLS_E_CERTIFICATE_KEY_MISMATCH: return "it is not the key of the certificate";
    case GNUTLS_E_DECRYPTION_FAILED: return "it is encrypted, and nobody can say its password";
    default: return gnutls_strerror(error);
    }
}

int weir_certificate_read(const char *chain, const char *key, weir_certificate **certificate,
                          bool *in_key, char *why, size_t why_size)
{
    weir_certificate *made = calloc(1, sizeof *made);
    if (!made)
        return WEIR_ENOMEM;
    made->references = 1;
    int r = read_dates(chain, &made->info);
    *in_key = r >= 0;
    if (r < 0) {
        snprintf(why, why_size, "no certificate in PEM: %s", gnutls_strerror(r));
    } else {
        r = read_pair(made, chain, key);
        if (r < 0)
            snprintf(why, why_size, "%s", key_fault(r));
    }
    if (r < 0) {
        weir_certificate_unref(made);
        return r == GNUTLS_E_MEMORY_ERROR ? WEIR_ENOMEM : WEIR_EINVAL;
    }
    etag_of(chain, strlen(chain), false, made->tag);
    *certificate = made;
    return 0;
}

void weir_certificate_unref(weir_certificate *certificate)
{
    if (!certificate || atomic_fetch_sub(&certificate->references, 1) > 1)
        return;
    if (certificate->ticket_key.data)
        explicit_bzero(certificate->ticket_key.data, certificate->ticket_key.size);
    gnutls_free(certificate->ticket_key.data);
    if (certificate->credentials)
        gnutls_certificate_free_credentials(certificate->credentials);
    free(certificate);
}

weir_certificate_info weir_certificate_look(const weir_certificate *certificate)
{
    return certificate->info;
}

static weir_certificate *ref(weir_certificate *certificate)
{
    if (certificate)
        atomic_fetch_add(&certificate->references, 1);
    return certificate;
}

/* ---- The one there is now ---- */

void certificate_open(certificate_slot *slot, weir_certificate *certificate)
{
    *slot = (certificate_slot){.lock = PTHREAD_MUTEX_INITIALIZER, .certificate = ref(certificate)};
}

void certificate_close(certificate_slot *slot)
{
    weir_certificate_unref(slot->certificate);
    pthread_mutex_destroy(&slot->lock);
}

/* One that is the same would only have clients that come back shake hands in full. */
bool certificate_put(certificate_slot *slot, weir_certificate *certificate)
{
    pthread_mutex_lock(&slot->lock);
    weir_certificate *old = slot->certificate;
    bool same = old && strcmp(old->tag, certificate->tag) == 0;
    if (!same)
        slot->certificate = certificate;
    pthread_mutex_unlock(&slot->lock);
    weir_certificate_unref(same ? certificate : old);
    return !same;
}

static weir_certificate *present(certificate_slot *slot)
{
    pthread_mutex_lock(&slot->lock);
    weir_certificate *certificate = ref(slot->certificate);
    pthread_mutex_unlock(&slot->lock);
    return certificate;
}

int64_t certificate_expires(certificate_slot *slot)
{
    weir_certificate *certificate = present(slot);
    int64_t expires = certificate ? certificate->info.expires : 0;
    weir_certificate_unref(certificate);
    return expires;
}

/* ---- Connections ---- */

static gnutls_session_t session_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return info ? info->tls_session : NULL;
}

weir_certificate *certificate_bind(certificate_slot *slot, struct MHD_Connection *connection)
{
    weir_certificate *certificate = present(slot);
    gnutls_session_t session = session_of(connection);
    /* The tickets, sent at the handshake's end, also spare clients that wait for an acknowledgement
     * before they send their request the 40 ms that the system takes for one by itself. */
    if (certificate && session &&
        gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, certificate->credentials) == 0 &&
        gnutls_session_ticket_enable_server(session, &certificate->ticket_key) == 0)
        return certificate;
    weir_certificate_unref(certificate);
    return NULL;
}

void certificate_bye(struct MHD_Connection *connection)
{
    gnutls_session_t session = session_of(connection);
    if (session)
        gnutls_bye(session, GNUTLS_SHUT_WR);
}

int certificate_priorities(const char *wanted, const char **priorities, char *why, size_t why_size)
{
    gnutls_priority_t made;
    const char *at = NULL;
    *priorities = wanted ? wanted : PRIORITIES;
    int r = gnutls_priority_init(&made, *priorities, &at);
    if (r == 0) {
        gnutls_priority_deinit(made);
        return 0;
    }
    snprintf(why, why_size, "--tls-priorities: GnuTLS does not understand it from \"%s\" on",
             at ? at : *priorities);
    return r == GNUTLS_E_MEMORY_ERROR ? WEIR_ENOMEM : WEIR_EINVAL;
}
