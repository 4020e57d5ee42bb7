"""HTTP/2 in raw frames (RFC 9113), both ends, for tests that want to say and see every byte.

A Connection reads frames strictly: order, sizes, flow control, heads as section 8 wants them; what shunt may not send is a
ProtocolError. It answers SETTINGS and PING and gives credit by itself, unless it is told not to. What it sends is the
test's business: frame() makes any frame, whether sane or not, and block() a field block that leaves the HPACK tables alone.
H2Client is a client; H2Backend a peer whose answers are generators, so that many streams live in one thread.
"""

import re
import socket
import ssl
import struct
import time
from typing import NamedTuple

import hpack

from certificates import authority
from harness import DEADLINE, Ended, Peer, PeerGone, ProtocolError, Reply
from tls_peer import TlsConn

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
KINDS = ("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE",
         "CONTINUATION")
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, HAS_PRIORITY = 0x4, 0x8, 0x20
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR,
 REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY,
 HTTP_1_1_REQUIRED) = range(14)
ERRORS = ("NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
          "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
          "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED")
(HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE,
 _, ENABLE_CONNECT_PROTOCOL) = range(1, 9)
FRAME_SIZE = 16384
WINDOW = 65535
HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}


# ------------------------------------------------------------------------------------------------------------- bytes


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    """A frame's bytes. `length`: what its header says, where that is not the truth."""
    return struct.pack(">IBBI", len(payload) if length is None else length, kind, flags, stream)[1:] + payload


def settings(values=(), ack=False):
    """`values`: pairs, since a setting may come twice."""
    pairs = values.items() if isinstance(values, dict) else values
    return frame(SETTINGS, ACK if ack else 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def reset(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


def goaway(last=0, code=NO_ERROR, debug=b""):
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, code) + debug)


def ping(data=b"\0" * 8, ack=False):
    return frame(PING, ACK if ack else 0, 0, data)


def integer(value, bits=7, first=0):
    """RFC 7541 section 5.1; `first` are the bits above the prefix."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([first | value])
    out, value = [first | limit], value - limit
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


def _bytes(text):
    return text.encode("latin-1") if isinstance(text, str) else bytes(text)


def literal(name, value, indexing=False):
    """RFC 7541 section 6.2: both as plain strings, with incremental indexing or without."""
    name, value = _bytes(name), _bytes(value)
    return bytes([0x40 if indexing else 0]) + integer(len(name)) + name + integer(len(value)) + value


def indexed(index):
    return integer(index, 7, 0x80)


def table_size(size):
    return integer(size, 5, 0x20)


def block(fields):
    """A field block of literals that are not indexed: nobody's table changes."""
    return b"".join(literal(name, value) for name, value in fields)


def headers(stream, fields, end=True, flags=0):
    """One HEADERS frame. `fields`: pairs, or the bytes of a block."""
    payload = fields if isinstance(fields, bytes) else block(fields)
    return frame(HEADERS, END_HEADERS | flags | (END_STREAM if end else 0), stream, payload)


def ask(path="/", method="GET", authority="shunt.test", scheme="http", more=()):
    """The fields of a request."""
    return [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path), *more]


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes

    def __repr__(self):
        kind = KINDS[self.kind] if self.kind < len(KINDS) else self.kind
        return f"{kind}(flags {self.flags:#x}, stream {self.stream}, {len(self.payload)} bytes {self.payload[:24]!r})"


def name_of(code):
    return ERRORS[code] if code is not None and code < len(ERRORS) else str(code)


# -------------------------------------------------------------------------------------------------------- connection


class Stream:
    """What came on one stream, and what may still be sent."""

    def __init__(self, number, send_window):
        self.number = number
        self.interim = []
        self.fields = None  # of the head
        self.body = bytearray()
        self.size = 0  # of the body, also where a sink takes it
        self.sink = None  # sink(piece) takes the body instead of keeping it
        self.trailers = None
        self.ended = False
        self.reset = None  # the code of an RST_STREAM that came
        self.send_window = send_window
        self.receive_window = WINDOW
        self.owed = 0  # bytes taken and not yet given back as credit
        self.answered = False  # a backend has sent all it wants to

    @property
    def over(self):
        return self.ended or self.reset is not None


def check_fields(fields, pseudo, is_trailer=False):
    """A head as RFC 9113 section 8.2 and 8.3 want it."""
    regular = False
    for name, value in fields:
        if name.startswith(b":"):
            if regular or is_trailer or name not in pseudo:
                raise ProtocolError(f"pseudo-header {name!r} in {fields}")
        else:
            regular = True
            if not re.fullmatch(rb"[!#$%&'*+\-.^_`|~0-9a-z]+", name):
                raise ProtocolError(f"field name {name!r}")
            if name in HOP_BY_HOP:
                raise ProtocolError(f"connection-specific field {name!r}")
            if name == b"te" and value != b"trailers":
                raise ProtocolError(f"te: {value!r}")
        if re.search(rb"[\0\r\n]", value) or value != value.strip(b" \t"):
            raise ProtocolError(f"value {value!r} of {name!r}")
    names = [name for name, _ in fields if name.startswith(b":")]
    if len(names) != len(set(names)):
        raise ProtocolError(f"a pseudo-header twice: {fields}")


class Connection:
    """One end of an HTTP/2 connection over `sock` (plain or TLS)."""

    is_server = False
    PSEUDO = {b":status"}

    def __init__(self, sock, timeout=DEADLINE):
        self.socket = sock
        self.timeout = timeout
        self.buffer = bytearray()
        self.eof = False
        self.how = None  # 'closed' or 'reset', at the end
        self.answers = True  # SETTINGS and PING
        self.credits = True  # WINDOW_UPDATE for what was taken
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder(max_header_list_size=1 << 24)
        self.streams = {}
        self.frames = []  # all that came; payloads of DATA left out
        self.keep_frames = True
        self.strict_streams = True  # what comes on a stream that nobody said he uses is an error
        self.theirs = {}  # their SETTINGS
        self.settings_seen = self.settings_acked = 0
        self.pongs = []
        self.goaways = []  # (last stream, code, debug)
        self.send_window = WINDOW
        self.receive_window = WINDOW
        self.owed = 0
        self.our_window = WINDOW  # INITIAL_WINDOW_SIZE we told
        self.block = None  # a head that goes on in CONTINUATION

    # ---- reading ----

    def wait_readable(self, timeout):
        """Reads once. False: nothing came in time, or the end. With 0 it takes what is there and does not wait."""
        if self.eof:
            return False
        self.socket.settimeout(max(timeout, 0.0))
        try:
            piece = self.socket.recv(262144)
        except (BlockingIOError, TimeoutError, ssl.SSLWantReadError):
            return False
        except ssl.SSLError as error:
            self.eof, self.how = True, f"TLS: {error.reason}"
            return False
        except OSError:
            self.eof, self.how = True, "reset"
            return False
        if not piece:
            self.eof, self.how = True, "closed"
            return False
        self.buffer += piece
        return True

    def take_frame(self):
        """The next whole frame in the buffer, heard already; None when there is none."""
        if len(self.buffer) < 9:
            return None
        size = int.from_bytes(self.buffer[:3], "big")
        if size > FRAME_SIZE:
            raise ProtocolError(f"a frame of {size} bytes: {bytes(self.buffer[:9])!r}")
        if len(self.buffer) < 9 + size:
            return None
        one = Frame(self.buffer[3], self.buffer[4], int.from_bytes(self.buffer[5:9], "big") & 0x7FFFFFFF,
                    bytes(self.buffer[9 : 9 + size]))
        del self.buffer[: 9 + size]
        if self.keep_frames:
            self.frames.append(one if one.kind != DATA else one._replace(payload=b""))
        self._hear(one)
        return one

    def until(self, condition, what="", timeout=None):
        """Reads frames until condition() is true; returns its value. Ended where the connection ends before."""
        end = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            value = condition()
            if value:
                return value
            if self.take_frame():
                continue
            if self.eof:
                raise Ended(self.how, f"{what}, after {self.frames[-8:]}, GOAWAY {self.goaways}")
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"not in time: {what or condition}; the last frames were {self.frames[-8:]}")
            self.wait_readable(min(left, 0.02))  # the condition may be one of somebody else

    def to_end(self, timeout=None):
        """Reads until the connection ends; 'closed' or 'reset', or 'open' when it does not."""
        try:
            self.until(lambda: False, "the end", timeout)
        except Ended as ended:
            return ended.how
        except ProtocolError:
            raise
        except AssertionError:
            return "open"
        return None

    def _hear(self, one):
        if self.block is not None and (one.kind != CONTINUATION or one.stream != self.block[0]):
            raise ProtocolError(f"{one} inside a field block")
        handler = self.HEAR.get(one.kind)
        if handler:
            handler(self, one)

    def _hear_data(self, one):
        stream = self._open_stream(one)
        size = len(one.payload)
        self.receive_window -= size
        stream.receive_window -= size
        if self.receive_window < 0 or stream.receive_window < 0:
            raise ProtocolError(f"{one} is beyond the window")
        body = self._unpadded(one)
        stream.size += len(body)
        if stream.sink:
            stream.sink(body)
        else:
            stream.body += body
        self._owe(stream, size)
        self._end(stream, one)

    def _owe(self, stream, size):
        self.owed += size
        stream.owed += size
        if not self.credits:
            return
        credit = b""
        if self.owed >= WINDOW // 4:
            self.receive_window += self.owed
            credit, self.owed = window_update(0, self.owed), 0
        if stream.owed >= self.our_window // 4:
            stream.receive_window += stream.owed
            credit, stream.owed = credit + window_update(stream.number, stream.owed), 0
        if credit:
            self.send(credit)

    def give(self, stream, size):
        """Credit beyond what was taken: on a stream, or with 0 on the connection."""
        if stream:
            self.streams[stream].receive_window += size
        else:
            self.receive_window += size
        self.send(window_update(stream, size))

    @staticmethod
    def _unpadded(one):
        if not one.flags & PADDED:
            return one.payload
        if not one.payload or one.payload[0] >= len(one.payload):
            raise ProtocolError(f"padding of {one}")
        return one.payload[1 : len(one.payload) - one.payload[0]]

    def _hear_headers(self, one):
        payload = self._unpadded(one)
        if one.flags & HAS_PRIORITY:
            payload = payload[5:]
        self.block = [one.stream, one.flags, bytearray(payload)]
        self._end_block(one)

    def _hear_continuation(self, one):
        if self.block is None:
            raise ProtocolError(f"{one} without a head")
        self.block[2] += one.payload
        self._end_block(one)

    def _end_block(self, one):
        if not one.flags & END_HEADERS:
            return
        (number, flags, data), self.block = self.block, None
        fields = [(bytes(name), bytes(value)) for name, value in self.decoder.decode(bytes(data), raw=True)]
        self._hear_head(number, flags, fields)

    def _hear_head(self, number, flags, fields):
        stream = self.streams.get(number)
        if stream is None and self.is_server:
            stream = self._accept_stream(number)
        elif stream is None and not self.strict_streams:
            stream = self.new_stream(number)
        elif stream is None or stream.over:
            raise ProtocolError(f"a head on stream {number}, which is not open")
        is_trailer = stream.fields is not None
        check_fields(fields, self.PSEUDO, is_trailer)
        status = dict(fields).get(b":status")
        if is_trailer:
            if not flags & END_STREAM:
                raise ProtocolError("trailers that are not the end")
            stream.trailers = fields
        elif status is not None and status.startswith(b"1"):
            if flags & END_STREAM:
                raise ProtocolError("an interim head at the end of a stream")
            stream.interim.append(fields)
        else:
            if not self.is_server and not re.fullmatch(rb"[2-9][0-9][0-9]", status or b""):
                raise ProtocolError(f":status in {fields}")
            stream.fields = fields
        self._on_head(stream, is_trailer)
        if flags & END_STREAM:
            self._end(stream, Frame(HEADERS, END_STREAM, number, b""))

    def _accept_stream(self, number):
        if number % 2 == 0 or number <= max(self.streams, default=0):
            raise ProtocolError(f"a request on stream {number}")
        return self.new_stream(number)

    def new_stream(self, number):
        stream = Stream(number, self.theirs.get(INITIAL_WINDOW_SIZE, WINDOW))
        stream.receive_window = self.our_window
        self.streams[number] = stream
        return stream

    def _on_head(self, stream, is_trailer):
        pass

    def _on_end(self, stream):
        pass

    def _end(self, stream, one):
        if one.flags & END_STREAM:
            stream.ended = True
            self._on_end(stream)

    def _open_stream(self, one):
        stream = self.streams.get(one.stream)
        if stream is None or stream.over or stream.fields is None:
            raise ProtocolError(f"{one} on a stream that is not open for it")
        return stream

    def _hear_reset(self, one):
        stream = self.streams.get(one.stream)
        if stream is None and self.strict_streams:
            raise ProtocolError(f"{one} on an idle stream")
        if stream is not None and stream.reset is None:
            stream.reset = int.from_bytes(one.payload, "big")

    def _hear_settings(self, one):
        if one.flags & ACK:
            self.settings_acked += 1
            return
        before = self.theirs.get(INITIAL_WINDOW_SIZE, WINDOW)
        for at in range(0, len(one.payload), 6):
            key, value = struct.unpack_from(">HI", one.payload, at)
            self.theirs[key] = value
            if key == HEADER_TABLE_SIZE:
                self.encoder.header_table_size = min(value, 4096)
        for stream in self.streams.values():
            stream.send_window += self.theirs.get(INITIAL_WINDOW_SIZE, WINDOW) - before
        self.settings_seen += 1
        if self.answers:
            self.send(settings(ack=True))

    def _hear_ping(self, one):
        if one.flags & ACK:
            self.pongs.append(one.payload)
        elif self.answers:
            self.send(ping(one.payload, ack=True))

    def _hear_goaway(self, one):
        last, code = struct.unpack_from(">II", one.payload)
        self.goaways.append((last & 0x7FFFFFFF, code, one.payload[8:]))

    def _hear_window(self, one):
        increment = int.from_bytes(one.payload, "big")
        if one.stream == 0:
            self.send_window += increment
        elif one.stream in self.streams:
            self.streams[one.stream].send_window += increment

    def _hear_push(self, one):
        raise ProtocolError(f"{one}: shunt pushes nothing")

    HEAR = {DATA: _hear_data, HEADERS: _hear_headers, RST_STREAM: _hear_reset, SETTINGS: _hear_settings, PING: _hear_ping,
            GOAWAY: _hear_goaway, WINDOW_UPDATE: _hear_window, CONTINUATION: _hear_continuation, PUSH_PROMISE: _hear_push}

    # ---- sending ----

    def send(self, data):
        if self.eof:
            return
        self.socket.settimeout(self.timeout)
        try:
            self.socket.sendall(data)
        except (OSError, ssl.SSLError):
            self._lost()

    def _lost(self):
        """The other end is gone; what it said before may still be read."""

    def head(self, stream, fields, end=True):
        """A head by the encoder, in as many frames as it takes."""
        data = self.encoder.encode([(_bytes(name), _bytes(value)) for name, value in fields])
        kind, flags = HEADERS, END_STREAM if end else 0
        while True:
            piece, data = data[:FRAME_SIZE], data[FRAME_SIZE:]
            self.send(frame(kind, flags | (0 if data else END_HEADERS), stream, piece))
            if not data:
                return
            kind, flags = CONTINUATION, 0

    def room(self, stream):
        """Bytes of a body that may be sent now."""
        return max(0, min(self.send_window, stream.send_window, self.theirs.get(MAX_FRAME_SIZE, FRAME_SIZE), FRAME_SIZE))

    def data(self, stream, piece, end=False):
        """One DATA frame, counted, whether there is room or not."""
        self.send_window -= len(piece)
        stream.send_window -= len(piece)
        self.send(frame(DATA, END_STREAM if end else 0, stream.number, piece))

    def close(self):
        self.socket.close()

    def reset_socket(self):
        """Ends the TCP connection without a word."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


# ------------------------------------------------------------------------------------------------------------ client


class H2Client(Connection):
    """A client by prior knowledge, or with `tls` (an ssl context) by ALPN. `address`: as harness.Client wants it."""

    def __init__(self, address, tls=None, server_name="localhost", ours=(), timeout=DEADLINE, preface=True,
                 receive_buffer=None, window=None):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(timeout)
        sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.scheme = "https" if tls else "http"
        if tls:
            sock = tls.wrap_socket(sock, server_hostname=server_name)
            assert sock.selected_alpn_protocol() == "h2", sock.selected_alpn_protocol()
        super().__init__(sock, timeout)
        self.next = 1
        ours = dict(ours)
        if window is not None:
            ours[INITIAL_WINDOW_SIZE] = window
        if preface:
            self.our_window = ours.get(INITIAL_WINDOW_SIZE, WINDOW)
            self.send(PREFACE + settings(ours))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def settled(self):
        """Both sides' SETTINGS are in force."""
        self.until(lambda: self.settings_seen and self.settings_acked, "SETTINGS")
        return self

    def use(self, *numbers):
        """Streams that are opened by frames made by hand: what comes on them is kept."""
        for number in numbers:
            if number not in self.streams:
                self.new_stream(number)
        self.next = max(self.next, max(self.streams) + 2)

    def number(self):
        """A stream nobody used yet."""
        number, self.next = self.next, self.next + 2
        return number

    def open(self, path="/", method="GET", more=(), end=True, authority="shunt.test"):
        """Sends a head; returns the stream."""
        stream = self.new_stream(self.number())
        self.head(stream.number, ask(path, method, authority, self.scheme, more), end)
        return stream

    def send_body(self, stream, body, trailers=(), end=True):
        """Waits for windows; gives up when the stream is over. True: all was sent."""
        pieces = [body] if isinstance(body, (bytes, bytearray)) else body
        for piece in pieces:
            view = memoryview(piece)
            while view:
                room = self.until(lambda: stream.over or self.room(stream), f"room on stream {stream.number}")
                if stream.over:
                    return False
                room = self.room(stream)
                view, now = view[room:], bytes(view[:room])
                self.data(stream, now)
                while self.take_frame() or (not self.eof and self.wait_readable(0) and self.take_frame()):
                    pass
        if trailers:
            self.head(stream.number, trailers, True)
        elif end:
            self.data(stream, b"", True)
        return True

    def reply(self, stream):
        """Waits for the end of the stream. `truncated`: it, or the connection, was reset inside."""
        try:
            self.until(lambda: stream.over, f"the response on stream {stream.number}")
        except Ended:
            if stream.fields is None:
                raise
        return self.made(stream)

    def made(self, stream):
        if stream.fields is None:
            raise Ended("reset", f"RST_STREAM {name_of(stream.reset)} on stream {stream.number}")
        reply = Reply()
        reply.version = b"HTTP/2"
        reply.status = int(dict(stream.fields)[b":status"])
        reply.fields = [field for field in stream.fields if not field[0].startswith(b":")]
        reply.body = bytes(stream.body)
        reply.trailers = stream.trailers or []
        reply.interim = stream.interim
        reply.reset = stream.reset
        reply.truncated = not stream.ended
        length = reply.get("content-length")
        if length is not None and stream.ended and stream.size not in (0, int(length)):
            raise ProtocolError(f"content-length {length}, and {stream.size} bytes came")
        return reply

    def get(self, path="/", headers=(), method="GET", body=None, trailers=(), authority="shunt.test"):
        """One whole exchange. `headers`: pairs, or lines 'Name: value' as harness.Client takes them."""
        more = [(line.split(": ", 1)[0].lower(), line.split(": ", 1)[1]) if isinstance(line, str) else line
                for line in headers]
        stream = self.open(path, method, more, end=body is None and not trailers, authority=authority)
        if body is not None or trailers:
            self.send_body(stream, body or b"", trailers)
        return self.reply(stream)

    def is_alive(self):
        """A PING is answered."""
        mark = struct.pack(">Q", len(self.pongs) + 0x5348554E54)
        self.send(ping(mark))
        try:
            return self.until(lambda: mark in self.pongs, "PING's answer")
        except Ended:
            return False


# ----------------------------------------------------------------------------------------------------------- backend


class H2Request:
    """A request as a backend received it; reads like harness.Request."""

    def __init__(self, conn, stream):
        self.conn, self.stream = conn, stream
        self.complete = False
        pseudo = dict(stream.fields)
        self.fields = [field for field in stream.fields if not field[0].startswith(b":")]
        self.method, self.target, self.authority, self.scheme, self.protocol = (
            pseudo.get(name, b"").decode("latin-1") for name in (b":method", b":path", b":authority", b":scheme", b":protocol"))
        self.version = "HTTP/2"

    @property
    def body(self):
        return bytes(self.stream.body)

    @property
    def trailers(self):
        return self.stream.trailers or []

    def all(self, name):
        wanted = name.lower().encode()
        return [value.decode("latin-1") for key, value in self.fields if key == wanted]

    def get(self, name, default=None):
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times: {values}"
        return values[0] if values else default

    def __repr__(self):
        return f"H2Request({self.method} {self.target}, {self.fields}, body {self.stream.size} bytes)"


class Answer:
    """What a backend answers. `status` None: no head; `body`: bytes or an iterable of pieces, b"" of which only takes time;
    `ready`: called until it is true; `code`: RST_STREAM with it instead of the end (after as much as there is)."""

    def __init__(self, body=b"", status=200, headers=(), trailers=(), interim=(), ready=None, code=None, length=None):
        self.body, self.status, self.headers, self.trailers = body, status, headers, trailers
        self.interim, self.ready, self.code, self.length = interim, ready, code, length


class H2Conn(Connection):
    """A connection of a client at a backend. Jobs are generators: one step of each between two reads."""

    is_server = True
    PSEUDO = {b":method", b":scheme", b":authority", b":path", b":protocol"}

    def __init__(self, peer, sock, number):
        super().__init__(sock)
        self.peer, self.number_ = peer, number
        self.jobs = []
        self.leaves = False  # set by anybody: ends the connection
        self.requests = {}
        self.live, self.most = [], 0  # streams that are open, and how many were at once

    def _lost(self):
        raise PeerGone()

    def begin(self):
        """The client's preface, and ours."""
        self.wait(lambda: len(self.buffer) >= len(PREFACE))
        got, self.buffer = bytes(self.buffer[: len(PREFACE)]), self.buffer[len(PREFACE) :]
        if got != PREFACE:
            raise ProtocolError(f"not HTTP/2: {got!r}")
        self.our_window = dict(self.peer.ours).get(INITIAL_WINDOW_SIZE, WINDOW)
        self.send(settings(self.peer.ours))

    def wait(self, condition):
        """Until condition() is true, without reading frames."""
        while not condition():
            if self.peer.stopping or self.eof:
                raise PeerGone()
            self.wait_readable(0.1)
        return True

    def step(self):
        """Reads what is there, one frame at most, and lets each job go on."""
        if self.peer.stopping or self.leaves:
            raise PeerGone()
        one = self.take_frame()
        self.jobs = [job for job in self.jobs if next(job, self) is not self]
        if one is None:
            if self.eof:
                raise PeerGone()
            self.wait_readable(0.004 if self.jobs else 0.1)
        return one

    def until(self, condition, what="", timeout=None):
        """For scripts: goes on until condition() is true."""
        end = time.monotonic() + (timeout or 60)
        while not condition():
            self.step()
            assert time.monotonic() < end, f"not in time: {what}"
        return condition()

    def next_request(self, complete=True):
        """For scripts: the next request nobody asked for yet."""
        return self.until(lambda: next((self.requests.pop(number) for number, one in list(self.requests.items())
                                        if one.complete or not complete), None), "a request")

    def _on_head(self, stream, is_trailer):
        if is_trailer:
            return
        self.live = [one for one in self.live if one.reset is None and not one.answered] + [stream]
        self.most = max(self.most, len(self.live))
        request_ = H2Request(self, stream)
        self.requests[stream.number] = stream.request = request_
        self.peer.note_request(request_)
        job = self.peer.on_head(self, request_)
        if job is not None:
            self.jobs.append(job)

    def _on_end(self, stream):
        stream.request.complete = True
        job = self.peer.on_request(self, stream.request)
        if job is not None:
            self.jobs.append(job)

    def answer(self, request_, answer):
        """A job that gives this answer."""
        stream = request_.stream
        while answer.ready is not None and not answer.ready():
            yield
        for status, fields in answer.interim:
            self.head(stream.number, [(":status", str(status)), *fields], end=False)
        pieces = [answer.body] if isinstance(answer.body, bytes) else answer.body
        whole = isinstance(answer.body, bytes)
        fields = [(":status", str(answer.status)), *answer.headers]
        length = answer.length if answer.length is not None else len(answer.body) if whole and not answer.trailers else None
        if length is not None and not any(name == "content-length" for name, _ in answer.headers):
            fields.append(("content-length", str(length)))
        bare = whole and not answer.body and not answer.trailers and answer.code is None
        if stream.reset is not None:
            return
        if answer.status is None:
            stream.answered = True
            self.send(reset(stream.number, answer.code))
            return
        self.head(stream.number, fields, end=bare)
        if bare:
            stream.answered = True
            return
        for piece in pieces:
            view = memoryview(piece)
            if not view:
                yield
            while view and stream.reset is None:
                room = self.room(stream)
                if not room:
                    yield
                    continue
                self.data(stream, bytes(view[:room]))
                view = view[room:]
                if stream.size or self.buffer:
                    yield
            if stream.reset is not None:
                return
        if stream.reset is not None:
            return
        stream.answered = True
        if answer.code is not None:
            self.send(reset(stream.number, answer.code))
        elif answer.trailers:
            self.head(stream.number, answer.trailers, end=True)
        else:
            self.data(stream, b"", True)


class H2Backend(Peer):
    """Speaks HTTP/2 by prior knowledge, or with `tls` (an ssl context) by ALPN.

    `handler(request)` is asked when a request is whole and returns an Answer, bytes (a body), or None: no answer. `head(conn,
    request)` is asked when its head has come; a generator it returns plays the stream. `play(conn)` replaces all of that.
    `keys`: of the backend in the file; with `tls` our authority is added where they do not speak of TLS. `http1(conn)` plays
    connections for which ALPN has not chosen HTTP/2.
    """

    def __init__(self, handler=None, name="legacy", tls=None, play=None, head=None, ours=(), keys="protocol: http2",
                 http1=None):
        self.name, self.tls, self.script, self.head_play, self.http1 = name, tls, play, head, http1
        self.handler = handler or (lambda request_: Answer(f'{{"backend": "{name}"}}'.encode(), headers=[
            ("content-type", "application/json"), ("x-backend", name)]))
        self.ours = dict(ours)
        self.refused = []  # handshakes that failed
        self.h2conns = []
        super().__init__(self._serve_h2)
        if tls:
            self.url = f"https://127.0.0.1:{self.port}"
            keys += "" if "tls:" in keys else f", tls: {{ ca: {authority().certificate} }}"
        self.keys = f", {keys}"

    def note_bytes(self, conn, piece):
        pass

    def _serve_h2(self, conn):
        sock = conn.socket
        if self.tls:
            sock.settimeout(DEADLINE)
            try:
                sock = conn.socket = self.tls.wrap_socket(sock, server_side=True)
            except (ssl.SSLError, OSError) as error:
                self.refused.append(str(error))
                raise PeerGone() from None
            if self.http1 and sock.selected_alpn_protocol() != "h2":
                self.http1(TlsConn(self, sock, conn.number))
                return
        one = H2Conn(self, sock, conn.number)
        with self.lock:
            self.h2conns.append(one)
        one.begin()
        if self.script:
            self.script(one)
            return
        while True:
            one.step()

    def on_head(self, conn, request_):
        return self.head_play(conn, request_) if self.head_play else None

    def on_request(self, conn, request_):
        if self.script or self.head_play:
            return None
        answer = self.handler(request_)
        if answer is None:
            return None
        return conn.answer(request_, answer if isinstance(answer, Answer) else Answer(answer))
