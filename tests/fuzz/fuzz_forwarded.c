/* fuzz_forwarded.c: any text as the headers X-Forwarded-For, Origin and
 * Access-Control-Request-Headers, and as the flags that say whom to believe. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../api/cors.h"
#include "../../api/proxies.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Who asks is the one at the other end, or somebody of whom the text speaks. */
static void check_client(const char *text)
{
    static proxies *known;
    char why[256];
    ip peer;

    if (!known && proxies_open("10.0.0.0/8,fd00::/8", &known, why, sizeof why) != 0)
        abort();
    ip_parse("10.0.0.1", 8, &peer);
    ip client = proxies_client(known, &peer, (const char *const[]){"192.0.2.1", text}, 2);
    ip again = proxies_client(known, &client, NULL, 0);
    if (!ip_equal(&client, &again))
        abort();
    ip_parse("203.0.113.9", 11, &peer);
    client = proxies_client(known, &peer, &text, 1);
    if (!ip_equal(&client, &peer)) /* nobody's proxy is believed */
        abort();
}

static void check_flags(const char *text)
{
    char why[256] = "";
    proxies *p = NULL;
    cors *c = NULL;

    if (proxies_open(text, &p, why, sizeof why) != 0 && !*why)
        abort();
    proxies_close(p);
    *why = '\0';
    if (cors_open(text, &c, why, sizeof why) != 0 && !*why)
        abort();
    /* A single origin that may be configured is allowed. */
    if (c && !strpbrk(text, ", \t") && !cors_allowed(c, text))
        abort();
    cors_close(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    check_client(text);
    check_flags(text);
    if (cors_names_valid(text) && strpbrk(text, "\r\n:"))
        abort();
    free(text);
    return 0;
}
