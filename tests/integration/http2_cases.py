"""What hostile, broken and merely odd HTTP/2 clients send, and what RFC 9113 says must come of it: one row each.

A row plays on a connection whose SETTINGS are exchanged (unless it begins without the preface) and speaks on stream 1, unless
it says otherwise. What must come of it is one of:

    connection  GOAWAY with one of these codes, and the connection ends
    stream      RST_STREAM on the stream with one of these codes, and the connection goes on; or GOAWAY with one of them, since
                a stream error may be treated as a connection error (section 5.4.1)
    refused     a malformed request (section 8.1.1): RST_STREAM(PROTOCOL_ERROR), or an answer that says no; the connection goes
                on, and no backend sees the request whole
    served      it is fine: 200; `last`: and nothing more is asked on this connection
    calm        done in bulk: the connection ends; where a GOAWAY says why, it has one of these codes
    bounded     anything but memory, a hang or an end of the process
"""

import time
from typing import Any, Callable, NamedTuple, Union

from http2_frames import (ACK, COMPRESSION_ERROR, CONTINUATION, DATA, ENABLE_CONNECT_PROTOCOL, ENABLE_PUSH, END_HEADERS,
                          END_STREAM, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY, HAS_PRIORITY, HEADERS,
                          HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE, INTERNAL_ERROR, MAX_CONCURRENT_STREAMS, MAX_FRAME_SIZE,
                          PADDED, PING, PREFACE, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE, REFUSED_STREAM, RST_STREAM, SETTINGS,
                          STREAM_CLOSED, WINDOW, WINDOW_UPDATE, ask, block, frame, goaway, headers, indexed, integer, literal,
                          ping, reset, settings, table_size, window_update)

MANY = 100000


class Row(NamedTuple):
    name: str
    section: str  # of RFC 9113, unless another is named
    play: Union[bytes, Callable[[Any], None]]  # bytes to send, or what is done on the connection
    expect: str
    codes: tuple = ()
    begins: bool = True  # with preface and SETTINGS
    number: int = 1  # of the stream that is looked at


def connection(name, section, play, *codes, begins=True):
    return Row(name, section, play, "connection", codes, begins)


def stream(name, section, play, *codes):
    return Row(name, section, play, "stream", codes)


def refused(name, section, play):
    return Row(name, section, play, "refused", (400, 404, 405, 411, 413, 414, 431, 501))


def served(name, section, play, begins=True):
    return Row(name, section, play, "served", (200,), begins)


def calm(name, section, play, *codes):
    return Row(name, section, play, "calm", (ENHANCE_YOUR_CALM, *codes))


def bounded(name, section, play):
    return Row(name, section, play, "bounded")


def flood(client, piece, times=MANY, at_once=1000):
    """Sends on and on and reads nothing, until all is sent, or the other end closes or does not take more."""
    client.socket.settimeout(2)
    for _ in range(0, times, at_once):
        try:
            client.socket.sendall(piece * at_once if isinstance(piece, bytes) else b"".join(
                piece() for _ in range(at_once)))
        except OSError:
            return


def flooding(piece, times=MANY, first=b""):
    def play(client):
        client.send(first)
        flood(client, piece() if callable(piece) else piece, times)

    return play


def numbered(make, times, at_once=200):
    """A flood of pieces each with a stream of its own."""
    def play(client):
        number = iter(range(1, 1 << 30, 2))
        client.strict_streams = False
        flood(client, lambda: make(next(number)), times, at_once)

    return play


OK = headers(1, ask())
OPEN = headers(1, ask(method="POST"), end=False)
HALF = frame(HEADERS, END_STREAM, 1, block(ask()))  # CONTINUATION must follow


def with_field(name, value="x"):
    return headers(1, ask(more=[(name, value)]))


def with_pseudo(**changes):
    """A request with these pseudo-headers changed; None leaves one out."""
    fields = [(name, changes.get(name[1:], value)) for name, value in ask()]
    return headers(1, [(name, value) for name, value in fields if value is not None])


def with_length(length, body, more=b""):
    return headers(1, ask(method="POST", more=[("content-length", length)]), end=False) + frame(DATA, END_STREAM, 1, body) + more


def after_answer(data):
    """Sent once stream 1 is closed."""
    def play(client):
        client.send(OK)
        client.until(lambda: client.streams[1].ended, "the first answer")
        client.send(data)

    return play


def answered_then(data, path="/hold"):
    """Sent while the answer to a whole request is awaited from the backend."""
    def play(client):
        client.send(headers(1, ask(path)))
        client.is_alive()
        client.send(data)

    return play


def drip(data):
    def play(client):
        for i in range(len(data)):
            client.send(data[i : i + 1])

    return play


# ------------------------------------------------------------------------------------------------- frames, their sizes

SIZES = [
    connection("DATA larger than allowed", "4.2", OPEN + frame(DATA, 0, 1, b"x" * 16385), FRAME_SIZE_ERROR),
    connection("HEADERS larger than allowed", "4.2", headers(1, ask(more=[("x-a", "x" * 16384)])), FRAME_SIZE_ERROR),
    connection("a length of 16 MiB announced", "4.2", frame(DATA, 0, 1, b"x", length=(1 << 24) - 1), FRAME_SIZE_ERROR),
    connection("a large frame of unknown type", "4.2", frame(0x42, 0, 0, b"x" * 16385), FRAME_SIZE_ERROR),
    connection("SETTINGS of 5 bytes", "6.5", frame(SETTINGS, 0, 0, b"\0\1\0\0\0"), FRAME_SIZE_ERROR),
    connection("SETTINGS of 7 bytes", "6.5", frame(SETTINGS, 0, 0, b"\0\1\0\0\0\0\0"), FRAME_SIZE_ERROR),
    connection("SETTINGS ACK with a payload", "6.5", frame(SETTINGS, ACK, 0, b"\0\1\0\0\0\0"), FRAME_SIZE_ERROR),
    connection("PING of 7 bytes", "6.7", ping(b"x" * 7), FRAME_SIZE_ERROR),
    connection("PING of 9 bytes", "6.7", ping(b"x" * 9), FRAME_SIZE_ERROR),
    connection("PING of no bytes", "6.7", ping(b""), FRAME_SIZE_ERROR),
    connection("RST_STREAM of 3 bytes", "6.4", OPEN + frame(RST_STREAM, 0, 1, b"\0\0\0"), FRAME_SIZE_ERROR),
    connection("RST_STREAM of 5 bytes", "6.4", OPEN + frame(RST_STREAM, 0, 1, b"\0\0\0\0\0"), FRAME_SIZE_ERROR),
    connection("WINDOW_UPDATE of 3 bytes", "6.9", frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"), FRAME_SIZE_ERROR),
    connection("WINDOW_UPDATE of 5 bytes on a stream", "6.9", OPEN + frame(WINDOW_UPDATE, 0, 1, b"\0\0\0\1\0"), FRAME_SIZE_ERROR),
    stream("PRIORITY of 4 bytes", "6.3", OPEN + frame(PRIORITY, 0, 1, b"\0\0\0\0"), FRAME_SIZE_ERROR),
    connection("GOAWAY of 7 bytes", "6.8", frame(GOAWAY, 0, 0, b"\0" * 7), FRAME_SIZE_ERROR),
    connection("HEADERS with a priority of 3 bytes", "4.2", frame(HEADERS, END_HEADERS | HAS_PRIORITY, 1, b"\0\0\0"),
               FRAME_SIZE_ERROR, PROTOCOL_ERROR),
    connection("DATA padded and empty", "6.1", OPEN + frame(DATA, PADDED, 1, b""), FRAME_SIZE_ERROR, PROTOCOL_ERROR),
    connection("HEADERS padded and empty", "6.2", frame(HEADERS, PADDED | END_HEADERS, 1, b""), FRAME_SIZE_ERROR, PROTOCOL_ERROR),
    connection("DATA with more padding than payload", "6.1", OPEN + frame(DATA, PADDED, 1, b"\5abcd"), PROTOCOL_ERROR),
    connection("DATA with padding as long as all of it", "6.1", OPEN + frame(DATA, PADDED, 1, b"\5abcde"[:5]), PROTOCOL_ERROR),
    connection("HEADERS with more padding than payload", "6.2",
               frame(HEADERS, PADDED | END_HEADERS | END_STREAM, 1, b"\xff" + block(ask())[:20]), PROTOCOL_ERROR),
    served("DATA with padding", "6.1", OPEN + frame(DATA, PADDED | END_STREAM, 1, b"\3abc\0\0\0")),
    served("DATA of nothing but padding", "6.1", OPEN + frame(DATA, PADDED | END_STREAM, 1, b"\xff" + b"\0" * 255)),
    served("HEADERS with padding and priority", "6.2", frame(
        HEADERS, PADDED | HAS_PRIORITY | END_HEADERS | END_STREAM, 1, b"\4\0\0\0\0\x10" + block(ask()) + b"\0" * 4)),
]

# ------------------------------------------------------------------------------------------------ streams, their states

STATES = [
    connection("HEADERS on stream 0", "6.2", headers(0, ask()), PROTOCOL_ERROR),
    connection("DATA on stream 0", "6.1", frame(DATA, 0, 0, b"x"), PROTOCOL_ERROR),
    connection("RST_STREAM on stream 0", "6.4", reset(0), PROTOCOL_ERROR),
    connection("PRIORITY on stream 0", "6.3", frame(PRIORITY, 0, 0, b"\0\0\0\1\1"), PROTOCOL_ERROR),
    connection("CONTINUATION on stream 0", "6.10", frame(CONTINUATION, END_HEADERS, 0, b""), PROTOCOL_ERROR),
    connection("SETTINGS on a stream", "6.5", OPEN + frame(SETTINGS, 0, 1, b""), PROTOCOL_ERROR),
    connection("PING on a stream", "6.7", OPEN + frame(PING, 0, 1, b"x" * 8), PROTOCOL_ERROR),
    connection("GOAWAY on a stream", "6.8", OPEN + frame(GOAWAY, 0, 1, b"\0" * 8), PROTOCOL_ERROR),
    connection("a request on an even stream", "5.1.1", headers(2, ask()), PROTOCOL_ERROR),
    connection("a request on a smaller number than the last", "5.1.1", headers(5, ask()) + headers(3, ask()),
               PROTOCOL_ERROR, STREAM_CLOSED)._replace(number=5),
    connection("a request on a stream that was used", "5.1", after_answer(OK), STREAM_CLOSED, PROTOCOL_ERROR),
    connection("DATA on an idle stream", "5.1", frame(DATA, END_STREAM, 7, b"x"), PROTOCOL_ERROR),
    connection("RST_STREAM on an idle stream", "5.1", reset(7), PROTOCOL_ERROR),
    connection("WINDOW_UPDATE on an idle stream", "5.1", window_update(7, 1), PROTOCOL_ERROR),
    connection("CONTINUATION on an idle stream", "6.10", frame(CONTINUATION, END_HEADERS, 7, block(ask())), PROTOCOL_ERROR),
    connection("RST_STREAM on a stream of ours that never was", "5.1", reset(2), PROTOCOL_ERROR),
    stream("DATA behind the end of the request", "5.1", answered_then(frame(DATA, END_STREAM, 1, b"x")), STREAM_CLOSED),
    stream("HEADERS behind the end of the request", "5.1", answered_then(headers(1, [("x-a", "1")])), STREAM_CLOSED),
    stream("DATA on a closed stream", "5.1", after_answer(frame(DATA, END_STREAM, 1, b"x")), STREAM_CLOSED),
    served("PRIORITY on an idle stream", "5.3", frame(PRIORITY, 0, 9, b"\0\0\0\0\1") + OK),
    served("PRIORITY on a closed stream", "5.3", after_answer(frame(PRIORITY, 0, 1, b"\0\0\0\0\1"))),
    served("WINDOW_UPDATE on a closed stream", "5.1", after_answer(window_update(1, 1))),
    served("RST_STREAM on a closed stream", "5.1", after_answer(reset(1))),
    connection("a push by the client", "8.4", OPEN + frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2" + block(ask())), PROTOCOL_ERROR),
    served("a request on a large number", "5.1.1", headers(0x7FFFFFF1, ask("/large")))._replace(number=0x7FFFFFF1),
    served("the reserved bit of a number", "4.1", headers(1 | 1 << 31, ask())),
    served("the reserved bit of an increment", "6.9", frame(WINDOW_UPDATE, 0, 0, b"\x80\0\0\1") + OK),
    served("flags that nobody knows", "4.1", headers(1, ask(), flags=0xD2 & ~(PADDED | HAS_PRIORITY))),
    served("frames of unknown types", "4.1", frame(0x42, 0xFF, 0, b"x" * 100) + frame(0xFF, 0, 0, b"") + OK + frame(0x42, 0, 1, b"y")),
    served("GOAWAY of a client that still waits", "6.8", OK + goaway())._replace(expect="last"),
    served("GOAWAY with unknown code and text", "6.8", OK + goaway(0, 0xABCDEF, b"bye"))._replace(expect="last"),
    served("RST_STREAM with an unknown code", "7", OPEN + reset(1, 0xABCDEF) + headers(3, ask()))._replace(number=3),
]

# ----------------------------------------------------------------------------------------- the beginning, and SETTINGS


def half_a_preface(client):
    """That is no HTTP/2, and no HTTP/1.1 either: it may be told so in the latter."""
    client.send(PREFACE[:20] + b"XXXX" + settings())
    while client.wait_readable(10):
        pass
    assert client.eof and bytes(client.buffer[:12]) in (b"", b"HTTP/1.1 400", b"HTTP/1.1 505"), (client.eof, client.buffer[:200])


SETTINGS_ROWS = [
    # of these a GOAWAY may be left out
    Row("first frame is no SETTINGS", "3.4", PREFACE + OK, "calm", (PROTOCOL_ERROR,), False),
    Row("first frame is PING", "3.4", PREFACE + ping(), "calm", (PROTOCOL_ERROR,), False),
    Row("first SETTINGS is an ACK", "3.4", PREFACE + settings(ack=True) + OK, "calm", (PROTOCOL_ERROR,), False),
    connection("the preface a second time", "3.4", PREFACE, FRAME_SIZE_ERROR, PROTOCOL_ERROR),
    Row("half a preface, then something else", "3.4", half_a_preface, "bounded", (), False),
    served("preface in single bytes", "3.4", drip(PREFACE + settings() + OK), begins=False),
    connection("ENABLE_PUSH is 2", "6.5.2", settings({ENABLE_PUSH: 2}), PROTOCOL_ERROR),
    connection("INITIAL_WINDOW_SIZE beyond 2^31-1", "6.5.2", settings({INITIAL_WINDOW_SIZE: 1 << 31}), FLOW_CONTROL_ERROR),
    connection("INITIAL_WINDOW_SIZE is 2^32-1", "6.5.2", settings({INITIAL_WINDOW_SIZE: (1 << 32) - 1}), FLOW_CONTROL_ERROR),
    connection("MAX_FRAME_SIZE too small", "6.5.2", settings({MAX_FRAME_SIZE: 16383}), PROTOCOL_ERROR),
    connection("MAX_FRAME_SIZE is 0", "6.5.2", settings({MAX_FRAME_SIZE: 0}), PROTOCOL_ERROR),
    connection("MAX_FRAME_SIZE too large", "6.5.2", settings({MAX_FRAME_SIZE: 1 << 24}), PROTOCOL_ERROR),
    connection("ENABLE_CONNECT_PROTOCOL is 2", "RFC 8441 3", settings({ENABLE_CONNECT_PROTOCOL: 2}), PROTOCOL_ERROR),
    served("an unknown setting", "6.5.2", settings({0xABCD: 7, 0: 1}) + OK),
    served("a setting that comes twice", "6.5.3", settings([(INITIAL_WINDOW_SIZE, 0), (INITIAL_WINDOW_SIZE, 100)]) + OK),
    served("HEADER_TABLE_SIZE is 0", "6.5.2", settings({HEADER_TABLE_SIZE: 0}) + OK),
    served("HEADER_TABLE_SIZE is 2^32-1", "6.5.2", settings({HEADER_TABLE_SIZE: (1 << 32) - 1}) + OK),
    served("MAX_CONCURRENT_STREAMS is 0", "6.5.2", settings({MAX_CONCURRENT_STREAMS: 0}) + OK),
    served("MAX_FRAME_SIZE at its most", "6.5.2", settings({MAX_FRAME_SIZE: (1 << 24) - 1}) + OK),
    served("empty SETTINGS", "6.5", settings() + OK),
]

# -------------------------------------------------------------------------------------------------------- flow control


def beyond_the_window(client):
    """To a backend that does not read."""
    client.send(headers(1, ask("/stall/x", "POST"), end=False))
    flood(client, frame(DATA, 0, 1, b"x" * 16384), 4096, 16)


def stalled(client):
    """Asks for much on many streams and never gives credit."""
    client.credits = False
    client.use(*range(1, 41, 2))
    client.send(settings({INITIAL_WINDOW_SIZE: 0}))
    for number in range(1, 41, 2):
        client.send(headers(number, ask("/big")))
    client.until(lambda: client.goaways or client.eof or all(client.streams[n].reset is not None for n in range(1, 41, 2)),
                 "the streams to be given up", 15)


def one_byte_at_a_time(client):
    client.credits = False
    client.send(settings({INITIAL_WINDOW_SIZE: 1}) + OK)
    client.until(lambda: client.streams[1].size == 1, "the first byte")
    client.send(window_update(1, 1))
    client.until(lambda: client.streams[1].size == 2, "the second byte")
    client.send(window_update(1, 100) + settings({INITIAL_WINDOW_SIZE: WINDOW}))


def a_window_below_zero(client):
    client.credits = False
    client.send(headers(1, ask("/big")))
    client.until(lambda: client.streams[1].size == WINDOW, "a window full")
    client.send(settings({INITIAL_WINDOW_SIZE: 0}) + window_update(0, 1 << 20) + window_update(1, WINDOW))
    client.is_alive()
    assert client.streams[1].size == WINDOW, "a window of 0 was passed"
    client.credits = True
    client.streams[1].receive_window += WINDOW + (1 << 20)
    client.receive_window += 1 << 20
    client.send(window_update(1, 1 << 20) + settings({INITIAL_WINDOW_SIZE: WINDOW}))


FLOW = [
    connection("WINDOW_UPDATE of 0", "6.9", window_update(0, 0), PROTOCOL_ERROR),
    stream("WINDOW_UPDATE of 0 on a stream", "6.9", OPEN + window_update(1, 0), PROTOCOL_ERROR),
    connection("the connection's window beyond 2^31-1", "6.9.1", window_update(0, 0x7FFFFFFF), FLOW_CONTROL_ERROR),
    stream("a stream's window beyond 2^31-1", "6.9.1", OPEN + window_update(1, 0x7FFFFFFF), FLOW_CONTROL_ERROR),
    stream("a stream's window beyond 2^31-1 by SETTINGS", "6.9.2", OPEN + window_update(1, 1 << 20) + settings(
        {INITIAL_WINDOW_SIZE: 0x7FFFFFFF}), FLOW_CONTROL_ERROR),
    stream("more DATA than the window", "6.9", beyond_the_window, FLOW_CONTROL_ERROR),
    served("a window of one byte", "6.9.2", one_byte_at_a_time),
    served("a window below zero", "6.9.2", a_window_below_zero),
    bounded("windows of zero that stay", "10.5", stalled),
]

# -------------------------------------------------------------------------------------------------- heads as they must be

PSEUDO = [
    *[refused(f"no :{name}", "8.3.1", with_pseudo(**{name: None})) for name in ("method", "scheme", "path")],
    refused("neither :authority nor host", "8.3.1", with_pseudo(authority=None)),
    *[refused(f"{name} twice", "8.3", headers(1, [*ask(), (name, value)])) for name, value in ask()],
    *[refused(f"{name} twice, in a row", "8.3", headers(1, [(name, value), *ask()])) for name, value in ask()[:1]],
    refused("a pseudo-header behind a field", "8.3", headers(1, [ask()[0], ("x-a", "1"), *ask()[1:]])),
    refused("a pseudo-header nobody knows", "8.3", headers(1, [*ask(), (":foo", "1")])),
    refused(":status in a request", "8.3", headers(1, [*ask(), (":status", "200")])),
    refused(":path is empty", "8.3.1", with_pseudo(path="")),
    refused(":path has no slash", "8.3.1", with_pseudo(path="orders")),
    refused(":path is a whole URL", "8.3.1", with_pseudo(path="http://other/x")),
    refused(":path is * for GET", "8.3.1", with_pseudo(path="*")),
    refused(":path with a blank", "8.3.1", with_pseudo(path="/a b")),
    refused(":path with a line end", "8.2.1", with_pseudo(path="/ HTTP/1.1\r\nHost: other\r\n\r\nGET /smuggled")),
    refused(":path with a NUL", "8.2.1", with_pseudo(path="/a\0b")),
    refused(":path with a DEL", "8.3.1", with_pseudo(path="/a\x7fb")),
    refused(":method is empty", "8.3.1", with_pseudo(method="")),
    refused(":method with a blank", "8.3.1", with_pseudo(method="GET /x HTTP/1.1")),
    refused(":method with a line end", "8.2.1", with_pseudo(method="GET\r\nX: y")),
    refused(":authority is empty", "8.3.1", with_pseudo(authority="")),
    refused(":authority with a user", "8.3.1", with_pseudo(authority="user@shunt.test")),
    refused(":authority with a blank", "8.3.1", with_pseudo(authority="shunt test")),
    refused(":authority with a slash", "8.3.1", with_pseudo(authority="shunt.test/x")),
    refused(":authority with a line end", "8.2.1", with_pseudo(authority="a\r\nTransfer-Encoding: chunked")),
    refused(":authority with a port that is none", "8.3.1", with_pseudo(authority="shunt.test:http")),
    refused(":scheme with a line end", "8.2.1", with_pseudo(scheme="http\r\n")),
    refused(":scheme is empty", "8.3.1", with_pseudo(scheme="")),
    refused("host disagrees with :authority", "8.3.1", with_field("host", "other.test")),
    refused("host twice", "8.3.1", headers(1, [*ask()[:2], ask()[3], ("host", "a"), ("host", "b")])),
    served("host in place of :authority", "8.3.1", headers(1, [*ask()[:2], ask()[3], ("host", "shunt.test")])),
    served("host as :authority says", "8.3.1", with_field("host", "shunt.test")),
    refused("CONNECT", "8.5", headers(1, [(":method", "CONNECT"), (":authority", "other.test:443")], end=False)),
    refused("CONNECT with a path", "8.5", headers(1, ask(method="CONNECT"), end=False)),
    refused("CONNECT without authority", "8.5", headers(1, [(":method", "CONNECT")], end=False)),
    refused(":protocol without CONNECT", "RFC 8441 4", headers(1, [*ask(), (":protocol", "websocket")])),
    refused("extended CONNECT without a path", "RFC 8441 4", headers(1, [
        (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "a")], end=False)),
    refused("nothing at all", "8.3.1", headers(1, b"")),
]

FIELDS = [
    refused("a name in upper case", "8.2.1", with_field("X-A")),
    refused("a name with a blank", "8.2.1", with_field("x a")),
    refused("a name with a colon", "8.2.1", with_field("x:a")),
    refused("a name with a line end", "8.2.1", with_field("x\r\ny")),
    refused("a name with a NUL", "8.2.1", with_field("x\0")),
    refused("a name beyond ASCII", "8.2.1", with_field("x\xe4")),
    refused("a name with a DEL", "8.2.1", with_field("x\x7f")),
    refused("a name that is no token", "8.2.1", with_field("x(a)")),
    refused("an empty name", "8.2.1", with_field("")),
    refused("a value with a NUL", "8.2.1", with_field("x-a", "a\0b")),
    refused("a value with CR", "8.2.1", with_field("x-a", "a\rb")),
    refused("a value with LF", "8.2.1", with_field("x-a", "a\nb")),
    refused("a value with a request inside", "8.2.1", with_field("x-a", "a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")),
    refused("a value that begins with a blank", "8.2.1", with_field("x-a", " a")),
    refused("a value that ends with a tab", "8.2.1", with_field("x-a", "a\t")),
    *[refused(f"{name}: {value} in a request", "8.2.2", with_field(name, value)) for name, value in (
        ("connection", "keep-alive"), ("keep-alive", "1"), ("proxy-connection", "close"), ("upgrade", "websocket"),
        ("transfer-encoding", "chunked"), ("transfer-encoding", "identity"), ("te", "gzip"), ("te", "trailers, gzip"))],
    served("te: trailers", "8.2.2", with_field("te", "trailers")),
    served("a value beyond ASCII", "8.2.1", with_field("x-a", "\xe4\xff")),
    served("an empty value", "8.2.1", with_field("x-a", "")),
    served("cookies in crumbs", "8.2.3", headers(1, ask(more=[("cookie", "a=1"), ("cookie", "b=2")]))),
]

BODIES = [
    refused("less body than content-length", "8.1.1", with_length("5", b"abc")),
    refused("more body than content-length", "8.1.1", with_length("2", b"abc")),
    refused("no body at all, and a content-length", "8.1.1", headers(1, ask(method="POST", more=[("content-length", "5")]))),
    stream("a body, and content-length 0", "8.1.1", with_length("0", b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"), PROTOCOL_ERROR),
    refused("content-length is no number", "8.1.1", with_length("abc", b"abc")),
    refused("content-length with a sign", "8.1.1", with_length("+3", b"abc")),
    refused("content-length below zero", "8.1.1", with_length("-1", b"abc")),
    refused("content-length is empty", "8.1.1", with_length("", b"abc")),
    refused("content-length beyond 2^64", "8.1.1", with_length("18446744073709551619", b"abc")),
    refused("content-length in two halves", "8.1.1", with_length("3, 4", b"abc")),
    refused("two different content-lengths", "8.1.1", headers(1, ask(method="POST", more=[
        ("content-length", "3"), ("content-length", "4")]), end=False) + frame(DATA, END_STREAM, 1, b"abc")),
    refused("content-length and transfer-encoding", "8.2.2", headers(1, ask(method="POST", more=[
        ("content-length", "3"), ("transfer-encoding", "chunked")]), end=False) + frame(DATA, END_STREAM, 1, b"0\r\n\r\n")),
    refused("a trailer with a pseudo-header", "8.1", OPEN + frame(DATA, 0, 1, b"abc") + headers(1, [(":path", "/x")])),
    refused("trailers that are not the end", "8.1", OPEN + frame(DATA, 0, 1, b"abc") + headers(1, [("x-a", "1")], end=False)),
    refused("a trailer in upper case", "8.2.1", OPEN + headers(1, [("X-A", "1")])),
    refused("a trailer with a line end", "8.2.1", OPEN + headers(1, [("x-a", "1\r\nX-B: 2")])),
    refused("transfer-encoding as a trailer", "8.2.2", OPEN + headers(1, [("transfer-encoding", "chunked")])),
    served("trailers", "8.1", OPEN + frame(DATA, 0, 1, b"abc") + headers(1, [("x-a", "1")])),
    served("a body of empty frames", "8.1", OPEN + frame(DATA, 0, 1, b"") * 3 + frame(DATA, END_STREAM, 1, b"")),
    served("a body that is exactly content-length", "8.1.1", with_length("3", b"abc")),
    served("a GET with a body", "8.1", headers(1, ask(), end=False) + frame(DATA, END_STREAM, 1, b"abc")),
    refused("more fields than are allowed", "10.5.1", headers(1, ask(more=[("x", "1")] * 2000))),
    refused("a path longer than is allowed", "10.5.1", headers(1, ask("/" + "x" * 15000))),
    refused("a head larger than is allowed", "10.5.1", lambda client: client.head(
        1, ask(more=[(f"x-{i}", "x" * 8000) for i in range(10)]))),
]

# --------------------------------------------------------------------------------------------------------- HPACK, blocks


def raw(data, flags=END_HEADERS | END_STREAM):
    return frame(HEADERS, flags, 1, data)


HUFFMAN = b"\x00\x83"  # a literal whose name has 3 bytes of Huffman code

BLOCKS = [
    connection("index 0", "RFC 7541 6.1", raw(block(ask()) + b"\x80"), COMPRESSION_ERROR),
    connection("an index beyond both tables", "RFC 7541 2.3.3", raw(block(ask()) + indexed(62)), COMPRESSION_ERROR),
    connection("a huge index", "RFC 7541 5.1", raw(block(ask()) + indexed(1 << 30)), COMPRESSION_ERROR),
    connection("an integer without end", "RFC 7541 5.1", raw(block(ask()) + b"\xff" + b"\xff" * 20), COMPRESSION_ERROR),
    connection("an integer of zeros without end", "RFC 7541 5.1", raw(block(ask()) + b"\xff" + b"\x80" * 200 + b"\x00"), COMPRESSION_ERROR),
    connection("a name by an index that is none", "RFC 7541 6.2.1", raw(block(ask()) + integer(100, 6, 0x40) + b"\1x"), COMPRESSION_ERROR),
    connection("a string longer than the block", "RFC 7541 5.2", raw(block(ask()) + b"\x00\x7f\xff\xff\x03abc"), COMPRESSION_ERROR),
    connection("a block that ends inside a literal", "RFC 7541 6.2", raw(block(ask()) + literal("x-a", "value")[:6]), COMPRESSION_ERROR),
    connection("a Huffman code with EOS", "RFC 7541 5.2", raw(block(ask()) + b"\x00\x84\xff\xff\xff\xff\x01x"), COMPRESSION_ERROR),
    connection("Huffman padding of zeros", "RFC 7541 5.2", raw(block(ask()) + b"\x00\x81\x18\x01x"), COMPRESSION_ERROR),
    connection("Huffman padding of a whole byte", "RFC 7541 5.2", raw(block(ask()) + b"\x00\x82\x1f\xff\x01x"), COMPRESSION_ERROR),
    connection("a table larger than we told", "RFC 7541 6.3", raw(table_size(1 << 20) + block(ask())), COMPRESSION_ERROR),
    connection("a table size behind a field", "RFC 7541 4.2", raw(block(ask()) + table_size(0)), COMPRESSION_ERROR),
    served("table sizes at the beginning", "RFC 7541 4.2", raw(table_size(0) + table_size(4096) + block(ask()))),
    served("a field larger than the table", "RFC 7541 4.4", raw(block(ask()) + literal("x-a", "y" * 5000, True))),
    served("a head in five frames", "6.10", lambda client: client.send(_in_pieces(5))),
    served("a head that begins with an empty frame", "6.10",
           frame(HEADERS, END_STREAM, 1, b"") + frame(CONTINUATION, END_HEADERS, 1, block(ask()))),
    connection("DATA inside a head", "6.10", HALF + frame(DATA, END_STREAM, 1, b"x"), PROTOCOL_ERROR),
    connection("PING inside a head", "6.10", HALF + ping(), PROTOCOL_ERROR),
    connection("SETTINGS inside a head", "6.10", HALF + settings(), PROTOCOL_ERROR),
    connection("RST_STREAM inside a head", "6.10", HALF + reset(1), PROTOCOL_ERROR),
    connection("another head inside a head", "6.10", HALF + headers(3, ask()), PROTOCOL_ERROR),
    connection("CONTINUATION of another stream", "6.10", HALF + frame(CONTINUATION, END_HEADERS, 3, b""), PROTOCOL_ERROR),
    connection("a frame of unknown type inside a head", "5.5", HALF + frame(0x42, 0, 0, b"x"), PROTOCOL_ERROR),
    connection("CONTINUATION behind a whole head", "6.10", OPEN + frame(CONTINUATION, END_HEADERS, 1, b""), PROTOCOL_ERROR),
]


def _in_pieces(count):
    data = block(ask())
    size = len(data) // count + 1
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(frame(CONTINUATION if i else HEADERS, (END_STREAM if i == 0 else 0) | (
        END_HEADERS if i == len(pieces) - 1 else 0), 1, piece) for i, piece in enumerate(pieces))


# ---------------------------------------------------------------------------------------------------------------- bulk


def bomb(client):
    """A field of 4 KB is put into the table once and named again and again (CVE-2016-1544): 60 MB from 16 KB."""
    client.send(headers(1, block(ask()) + literal("x-bomb", "b" * 3900, True)))
    client.until(lambda: client.streams[1].over or client.goaways or client.eof, "the first answer")
    for number in range(3, 43, 2):
        client.use(number)
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, number, block(ask()) + indexed(62) * 15000))


def slow_head(client):
    """A head that never ends, a byte now and then."""
    client.send(frame(HEADERS, END_STREAM, 1, block(ask())[:10]))
    end = time.monotonic() + 10
    while not client.eof and not client.goaways and client.streams[1].reset is None and time.monotonic() < end:
        while client.take_frame():
            pass
        client.wait_readable(0.1)
    assert time.monotonic() < end, "a head that does not end was waited for 10 s"


def too_many_streams(client):
    """Three times as many as allowed at once: the rest is refused, and the first are served."""
    allowed = client.theirs[MAX_CONCURRENT_STREAMS]
    numbers = range(1, 6 * allowed, 2)
    client.use(*numbers)
    client.send(b"".join(headers(number, ask(method="POST"), end=False) for number in numbers))
    client.until(lambda: client.goaways or client.eof or sum(client.streams[n].reset is not None for n in numbers)
                 >= len(numbers) - allowed, "refusals")
    codes = {client.streams[n].reset for n in numbers} - {None}
    assert codes <= {REFUSED_STREAM, PROTOCOL_ERROR} and (codes or client.goaways), codes


def opened_and_reset(number):
    return headers(number, ask("/big")) + reset(number)


BULK = [
    calm("rapid reset (CVE-2023-44487)", "10.5", numbered(opened_and_reset, 20000)),
    calm("rapid reset of uploads", "10.5", numbered(
        lambda number: headers(number, ask(method="POST"), end=False) + frame(DATA, 0, number, b"x") + reset(number), 20000)),
    calm("resets that the server is made to send (CVE-2025-8671)", "10.5", numbered(
        lambda number: headers(number, ask(method="POST"), end=False) + window_update(number, 0), 20000), PROTOCOL_ERROR),
    calm("malformed requests in bulk", "10.5", numbered(lambda number: headers(number, ask(more=[("X", "y")])), 20000), PROTOCOL_ERROR),
    calm("SETTINGS in bulk (CVE-2019-9515)", "10.5", flooding(settings({INITIAL_WINDOW_SIZE: 1000}), 500000)),
    calm("PING in bulk (CVE-2019-9512)", "10.5", flooding(ping(), 500000)),
    calm("empty DATA in bulk (CVE-2019-9518)", "10.5", flooding(frame(DATA, 0, 1, b""), 300000, OPEN)),
    calm("padding in bulk", "10.5", flooding(frame(DATA, PADDED, 1, b"\0"), 300000, OPEN), FLOW_CONTROL_ERROR),
    calm("CONTINUATION in bulk (CVE-2024-28182)", "10.5", flooding(
        frame(CONTINUATION, 0, 1, literal("x-a", "y" * 100)), 20000, HALF), INTERNAL_ERROR, PROTOCOL_ERROR),
    calm("empty CONTINUATION in bulk", "10.5", flooding(frame(CONTINUATION, 0, 1, b""), 100000, HALF), INTERNAL_ERROR, PROTOCOL_ERROR),
    calm("PRIORITY in bulk", "10.5", numbered(lambda number: frame(PRIORITY, 0, number, b"\0\0\0\0\1"), 300000)),
    calm("PRIORITY in bulk on one stream", "10.5", flooding(frame(PRIORITY, 0, 1, b"\0\0\0\3\1"), 300000, OPEN)),
    bounded("WINDOW_UPDATE in bulk", "10.5", flooding(window_update(0, 1), 500000)),
    bounded("frames of unknown types in bulk", "10.5", flooding(frame(0x42, 0, 0, b""), 500000)),
    bounded("RST_STREAM in bulk", "10.5", flooding(reset(1), 500000, OPEN)),
    bounded("a bomb of HPACK (CVE-2016-1544)", "10.5.1", bomb),
    bounded("a bomb of HPACK in one block", "10.5.1", raw(block(ask()) + literal("x-bomb", "b" * 3900, True) + indexed(62) * 12000)),
    bounded("a head that does not end", "10.5", slow_head),
    bounded("more streams than allowed", "5.1.2", too_many_streams),
    bounded("a client that asks and reads nothing", "10.5", numbered(lambda number: headers(number, ask("/big")), 2000)),
    bounded("random bytes behind the preface", "10.5", lambda client: client.send(bytes((i * 7919 + 13) % 251 for i in range(100000)))),
]

ROWS = [*SIZES, *STATES, *SETTINGS_ROWS, *FLOW, *PSEUDO, *FIELDS, *BODIES, *BLOCKS, *BULK]
