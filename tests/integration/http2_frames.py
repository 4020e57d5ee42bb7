"""The bytes of HTTP/2 (RFC 9113): frames, and field blocks of HPACK (RFC 7541), sane or not.

frame() makes any frame, and block() a field block that leaves the HPACK tables alone.
"""

import struct
from typing import NamedTuple

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


def as_bytes(text):
    return text.encode("latin-1") if isinstance(text, str) else bytes(text)


def literal(name, value, indexing=False):
    """RFC 7541 section 6.2: both as plain strings, with incremental indexing or without."""
    name, value = as_bytes(name), as_bytes(value)
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
