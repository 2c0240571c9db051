/* auth.h: who asks, as far as a query wants that shown. */
#ifndef WEIR_AUTH_H
#define WEIR_AUTH_H

#include "credentials.h"
#include "request.h"

/* Who asks, by a JWT: judged once a request, however many queries that asks for. Counted, on its
 * lane. */
struct identity {
    uint32_t refs;
    jwt_verdict verdict;
    jwt_claims claims; /* with JWT_GOOD */
    const char *role;  /* to run as; NULL: the connection's own */
    char fault[160];   /* what keeps a good token from having one; "": nothing */
    weir_setting settings[2];
};

/* Whether a request shows what is asked for. False when `told` has been answered: the request
 * itself, or what stands for one of its several queries. With @auth jwt told->identity then says
 * who that is. On the loop's own stack. */
bool auth_let_in(weir_request *req, query_auth auth, weir_request *told);

/* Has the lease's queries run as this identity: under its claims, and in its role. NULL: nobody has
 * had to say who it is. The lease must not outlive it. As weir_lease_settings: on an error nothing
 * may be run. */
int auth_settle(weir_lease *lease, const identity *who);

/* Whether a request shows a token that lets operators in. */
bool auth_is_operator(const weir_request *req);

void identity_unref(identity *who); /* takes NULL */

#endif
