"""One end of an HTTP/2 connection, for tests that want to say and see every byte.

A Connection reads frames strictly: order, sizes, flow control, heads as RFC 9113 section 8 wants them; what shunt may not send is a
ProtocolError. It answers SETTINGS and PING and gives credit by itself, unless it is told not to. What it sends is the test's business.
"""

import re
import socket
import ssl
import struct
import time

import hpack

from harness import DEADLINE, Ended, ProtocolError
from http2_frames import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, FRAME_SIZE, GOAWAY, HAS_PRIORITY, HEADERS,
                          HEADER_TABLE_SIZE, HOP_BY_HOP, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, PADDED, PING, PUSH_PROMISE, RST_STREAM,
                          SETTINGS, WINDOW, WINDOW_UPDATE, Frame, as_bytes, frame, ping, settings, window_update)


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
        data = self.encoder.encode([(as_bytes(name), as_bytes(value)) for name, value in fields])
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
