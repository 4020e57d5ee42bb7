/*
 * Frames chunks: see h1_chunk.h. Worker thread; only queues, the connection writes.
 */
#include "proxy/h1_chunk.h"

#include "proxy/h1.h"

bool h1_send_chunk(struct conn *conn, struct slice slice)
{
    char *to = conn_send_reserve(conn, H1_CHUNK_PREFIX);
    if (to == NULL)
        return false;
    conn_send_commit(conn, h1_write_chunk_prefix(to, slice.len));
    return conn_send(conn, slice) && conn_send_copy(conn, "\r\n", 2);
}

bool h1_send_last_chunk(struct conn *conn, struct text trailers)
{
    return conn_send_copy(conn, "0\r\n", 3) && conn_send_copy(conn, trailers.at, trailers.len) &&
           conn_send_copy(conn, "\r\n", 2);
}
