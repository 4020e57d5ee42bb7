"""HTTP/2 in raw frames, both ends: H2Client is a client; H2Backend a peer whose answers are generators, so that many streams live in
one thread.
"""

import socket
import ssl
import struct
import time

from certificates import authority
from harness import DEADLINE, Ended, Peer, PeerGone, ProtocolError, Reply
from http2_connection import Connection
from http2_frames import INITIAL_WINDOW_SIZE, PREFACE, WINDOW, ask, name_of, ping, reset, settings
from tls_peer import TlsConn

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
