"""A client that sends a counted number of requests over kept connections. Slow, exact, and without a library."""

import select
import socket

USERS = 256


def request_bytes(user, kind="get"):
    lines = {
        "get": "GET /orders/4711 HTTP/1.1",
        "post": "POST /orders HTTP/1.1",
        "large": "GET /large HTTP/1.1",
    }
    body = b"x" * 16384 if kind == "post" else b""
    head = f"{lines[kind]}\r\nHost: 127.0.0.1\r\nX-User-Id: u{user % USERS}\r\n"
    if body:
        head += f"Content-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def read_answer(connection):
    """One answer with a Content-Length; returns (status, body)."""
    got = b""
    while b"\r\n\r\n" not in got:
        part = connection.recv(65536)
        if not part:
            raise ConnectionError(f"the connection was closed within a head: {got[:200]!r}")
        got += part
    head, body = got.split(b"\r\n\r\n", 1)
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        part = connection.recv(65536)
        if not part:
            raise ConnectionError(f"the connection was closed after {len(body)} of {length} bytes")
        body += part
    return int(head.split()[1]), body


class Client:
    """Kept connections to one port. Every answer must be 200."""

    def __init__(self, port, connections=64):
        self.sent = 0
        self.connections = []
        try:
            for _ in range(connections):
                connection = socket.create_connection(("127.0.0.1", port), timeout=30)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections.append(connection)
        except OSError:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for connection in self.connections:
            connection.close()

    def rounds(self, count, kind="get"):
        """`count` requests on every connection, each connection's next as soon as it has its answer, so that the others'
        are always waiting. Returns the number of requests."""
        left = {connection: count for connection in self.connections}
        poll = select.epoll()
        by_fd = {connection.fileno(): connection for connection in self.connections}
        for fd, connection in by_fd.items():
            poll.register(fd, select.EPOLLIN)
            self.send(connection, kind)
        while left:
            events = poll.poll(30)
            if not events:
                raise TimeoutError(f"no answer for 30 s; {sum(left.values())} requests are not answered")
            for fd, _ in events:
                connection = by_fd[fd]
                status, _ = read_answer(connection)
                if status != 200:
                    raise ConnectionError(f"answered {status}, expected 200")
                left[connection] -= 1
                if left[connection] == 0:
                    del left[connection]
                else:
                    self.send(connection, kind)
        poll.close()
        return count * len(self.connections)

    def each_once(self, kind="get"):
        """One request on every connection, one after the other."""
        for connection in self.connections:
            self.send(connection, kind)
            read_answer(connection)

    def send(self, connection, kind):
        connection.sendall(request_bytes(self.sent, kind))
        self.sent += 1
