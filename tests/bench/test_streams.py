"""No allocation in the steady state of gRPC but nghttp2's own: neither for a message on an open stream, nor for a call.

A thousand calls stand open over ten connections, HTTP/2 on both sides, and messages go back and forth on each of them; or a
thousand calls at a time begin and end, each with a message both ways and trailers. What callgrind saw of malloc and its like
is counted as the difference between N and 2 N rounds, and without what nghttp2 asked for, which has memory of its own
(proxy/h2_memory.c).
"""

import contextlib
import os
import socket
import tempfile

from counted import ALLOCATORS, at_most, callgrind, free_port, main, program
from frames import (DATA, END_HEADERS, END_STREAM, HEADERS, METHOD_POST, PREFACE, SCHEME_HTTP, SETTINGS, Echo, credit, field,
                    frame, next_frame)

CONNECTIONS = 10
STREAMS = range(1, 201, 2)  # of each connection
ROUNDS = 5
MESSAGE = b"\0" + (16).to_bytes(4, "big") + b"sixteen bytes!!!"
CALL = (METHOD_POST + SCHEME_HTTP + field(b":authority", b"localhost") + field(b":path", b"/echo.Echo/Chat") +
        field(b"content-type", b"application/grpc") + field(b"te", b"trailers"))
CONFIG = """\
listeners: [ {{ address: "127.0.0.1:{port}" }} ]
workers: 1
access_log: off
backends: {{ legacy: {{ url: "http://127.0.0.1:{backend}", protocol: http2 }}, new: {{ url: "http://127.0.0.1:{backend}", protocol: http2 }} }}
"""


def await_each(connection, streams, is_it):
    """Such a frame on every stream; what has come is given credit for."""
    missing, credits = set(streams), b""
    while missing:
        kind, flags, stream, payload = next_frame(connection)
        credits += credit(stream, len(payload)) if kind == DATA and payload else b""
        if is_it(kind, flags):
            missing.remove(stream)
    connection.sendall(credits)


def a_head(kind, _):
    return kind == HEADERS


def a_message(kind, _):
    return kind == DATA


def an_end(_, flags):
    return flags & END_STREAM


def all_of(clients, frames_of, streams, is_it):
    for client in clients:
        client.sendall(b"".join(frames_of(stream) for stream in streams))
    for client in clients:
        await_each(client, streams, is_it)


def talk(clients, rounds):
    """Messages on streams that stay."""
    all_of(clients, lambda stream: frame(HEADERS, END_HEADERS, stream, CALL), STREAMS, a_head)
    for _ in range(rounds):
        all_of(clients, lambda stream: frame(DATA, 0, stream, MESSAGE), STREAMS, a_message)


def call(clients, rounds):
    """Calls with one message."""
    for number in range(rounds):
        streams = [stream + number * 2 * len(STREAMS) for stream in STREAMS]
        all_of(clients, lambda stream: frame(HEADERS, END_HEADERS, stream, CALL) + frame(DATA, END_STREAM, stream, MESSAGE),
               streams, an_end)


def allocations(work, rounds):
    """(shunt's own, nghttp2's)"""
    port = free_port()

    def drive(process):
        process.await_port(port, 60)
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 60)) for _ in range(CONNECTIONS)]
            for client in clients:
                client.sendall(PREFACE + frame(SETTINGS, 0, 0))
            work(clients, rounds)

    with tempfile.TemporaryDirectory() as folder, Echo() as echo:
        path = os.path.join(folder, "shunt.yaml")
        with open(path, "w", encoding="ascii") as file:
            file.write(CONFIG.format(port=port, backend=echo.port))
        profiles = callgrind([program("shunt"), "--config", path], drive)[1:]  # the first thread only controls
    counts = [0, 0]
    for profile in profiles:
        for (file, called), count in profile.calls_from.items():
            counts[file == "h2_memory.c"] += count if called in ALLOCATORS else 0
    return counts


def check(what, work):
    (own, nghttp2), (own_twice, nghttp2_twice) = (allocations(work, rounds) for rounds in (ROUNDS, 2 * ROUNDS))
    count = ROUNDS * CONNECTIONS * len(STREAMS)
    print(f"{what}: in {count} {own} allocations, and {nghttp2} of nghttp2; in twice as many {own_twice} and {nghttp2_twice}")
    assert nghttp2 > 0, "nghttp2's are not seen"
    at_most(f"{what}: further allocations for each", max(own_twice - own, 0) / count, 0.1)  # lists of spare parts may still grow, by far fewer


def test():
    check("messages there and back", talk)
    check("calls", call)


main(test)
