"""HTTP/2 by hand, as little of it as a counted test needs: frames out, frames in, and a backend of gRPC calls."""

import contextlib
import socket
import struct
import threading

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM = ACK = 1
END_HEADERS = 4
MAX_CONCURRENT_STREAMS = 3
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
STATUS_200, METHOD_GET, METHOD_POST, SCHEME_HTTP, SCHEME_HTTPS = (bytes([0x80 | index]) for index in (8, 2, 3, 6, 7))


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def field(name, value):
    """One that goes into the table, as a browser's do (RFC 7541 section 6.2.1)."""
    return bytes([0x40, len(name)]) + name + bytes([len(value)]) + value


def credit(stream, count):
    """For what has been read: the stream's, and the connection's."""
    return b"".join(frame(WINDOW_UPDATE, 0, number, struct.pack(">I", count)) for number in (stream, 0))


def exactly(connection, count):
    got = b""
    while len(got) < count:
        part = connection.recv(count - len(got))
        if not part:
            raise ConnectionError("the connection was closed within an answer")
        got += part
    return got


def next_frame(connection):
    """The next one that is about a stream: (kind, flags, stream, payload). Settings are acknowledged on the way."""
    while True:
        head = exactly(connection, 9)
        payload = exactly(connection, int.from_bytes(head[:3], "big"))
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
        if kind in (SETTINGS, PING) and not flags & ACK:
            connection.sendall(frame(kind, ACK, 0, payload if kind == PING else b""))
        if kind in (RST_STREAM, GOAWAY):
            raise ConnectionError(f"ended by a frame of type {kind}: {payload!r}")
        if stream != 0 and kind != WINDOW_UPDATE:
            return kind, flags, stream, payload


class Echo:
    """A backend of gRPC calls that sends each message back, for as many streams as anybody likes. Behind the last message
    stands how the call ended."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.connections = []
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in [self.listener, *self.connections]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections.append(connection)
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    @staticmethod
    def serve(connection):
        with contextlib.suppress(OSError):  # closed, by either side
            exactly(connection, len(PREFACE))
            connection.sendall(frame(SETTINGS, 0, 0, struct.pack(">HI", MAX_CONCURRENT_STREAMS, 1 << 20)))
            while True:
                kind, flags, stream, payload = next_frame(connection)
                answer = b""
                if kind == HEADERS:
                    answer = frame(HEADERS, END_HEADERS, stream, STATUS_200 + field(b"content-type", b"application/grpc"))
                elif payload:
                    answer = frame(DATA, 0, stream, payload) + credit(stream, len(payload))
                if flags & END_STREAM:
                    answer += frame(HEADERS, END_HEADERS | END_STREAM, stream, field(b"grpc-status", b"0"))
                connection.sendall(answer)
