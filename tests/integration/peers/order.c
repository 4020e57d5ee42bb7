/* Orders: see order.h. */
#include "order.h"

#include <stdbool.h>
#include <stdio.h>

/* xorshift64* (S. Vigna, 2016). */
static double draw(struct order *order)
{
    order->random ^= order->random >> 12;
    order->random ^= order->random << 25;
    order->random ^= order->random >> 27;
    return (double)((order->random * 0x2545f4914f6cdd1du) >> 11) / 9007199254740992.0;
}

/* A number that is another one in `rate` of the answers. */
static unsigned flicker(struct order *order, double rate)
{
    bool other = draw(order) < rate;
    return other ? 1000u + (unsigned)(draw(order) * 9000.0) : 1u;
}

size_t order_write(struct order *order, char *to, size_t room)
{
    int n = snprintf(
        to, room,
        "{\"id\":4711,\"state\":\"shipped\",\"customer\":{\"name\":\"Ada\",\"city\":\"London\",\"vip\":true},"
        "\"currency\":\"GBP\",\"items\":2,\"weight\":1.25,\"lines\":[{\"sku\":\"A-1\",\"price\":20.5},"
        "{\"sku\":\"A-2\",\"price\":22}],\"carrier\":\"post\",\"gift\":false,\"note\":null,\"channel\":\"web\","
        "\"served_by\":%u,\"trace\":%u,\"age\":%u,\"cached\":%u,\"stock\":%u,\"offer\":%u,\"total\":%s}\n",
        flicker(order, 1), flicker(order, 1), flicker(order, 0.5), flicker(order, 0.2), flicker(order, 0.05),
        flicker(order, 0.01), draw(order) < order->wrong ? "42.51" : "42.50");
    return (size_t)n;
}
