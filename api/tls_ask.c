/* tls_ask.c: asking a server something under TLS, as a client. */
#include "tls_ask.h"

#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <string.h>

static int shake_hands(gnutls_session_t session)
{
    int r;
    do {
        r = gnutls_handshake(session);
    } while (r < 0 && !gnutls_error_is_fatal(r));
    return r;
}

/* A server need not say that its answer ends where that is the connection's end. */
static int read_all(gnutls_session_t session, char *answer, size_t size)
{
    size_t length = 0;
    ssize_t got = 1;
    while (length < size - 1 && (got > 0 || got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED)) {
        got = gnutls_record_recv(session, answer + length, size - 1 - length);
        length += got > 0 ? (size_t)got : 0;
    }
    answer[length] = '\0';
    return got > 0 || got == GNUTLS_E_PREMATURE_TERMINATION ? 0 : (int)got;
}

static int converse(gnutls_session_t session, gnutls_certificate_credentials_t nobody, int fd,
                    const char *request, char *answer, size_t size, unsigned patience_ms)
{
    int r = gnutls_set_default_priority(session);
    if (r == 0)
        r = gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, nobody);
    gnutls_transport_set_int(session, fd);
    gnutls_handshake_set_timeout(session, patience_ms);
    gnutls_record_set_timeout(session, patience_ms);
    if (r == 0)
        r = shake_hands(session);
    if (r == 0)
        r = (int)gnutls_record_send(session, request, strlen(request));
    return r < 0 ? r : read_all(session, answer, size);
}

bool tls_ask(int fd, const char *request, char *answer, size_t size, unsigned patience_ms,
             const char **why)
{
    gnutls_certificate_credentials_t nobody = NULL;
    gnutls_session_t session = NULL;
    int r = gnutls_certificate_allocate_credentials(&nobody);
    if (r == 0)
        r = gnutls_init(&session, GNUTLS_CLIENT);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    if (r == 0)
        r = converse(session, nobody, fd, request, answer, size, patience_ms);
    if (session)
        gnutls_deinit(session);
    if (nobody)
        gnutls_certificate_free_credentials(nobody);
    *why = r < 0 ? gnutls_strerror(r) : NULL;
    return r >= 0;
}
