"""What the integration tests stand on: the real shunt, peers that misbehave from a script, and a client that reads strictly.

Nothing here sleeps to synchronise: wait_until() awaits a condition and fails with what it saw last. Every socket has a
deadline, every process is ended by its pid, every port is chosen by the kernel. The programs are found through the
environment variable SHUNT_BUILD (a build directory).
"""

import json
import os
import queue
import re
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

BUILD = os.path.abspath(os.environ.get("SHUNT_BUILD", os.path.join(os.path.dirname(__file__), "../../build/asan")))
PEERS = os.path.join(BUILD, "peers")
DEADLINE = 20.0  # of one wait: generous, since nothing that works comes near it
SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error:")


def built_with(sanitizer):
    """'address' or 'thread': is the shunt under test built with it?"""
    cache = os.path.join(BUILD, "CMakeCache.txt")
    try:
        with open(cache, encoding="utf-8") as f:
            return any(line.startswith("SHUNT_SANITIZE:") and sanitizer in line for line in f)
    except OSError:
        return False


SLOW_BUILD = built_with("address") or built_with("thread")


def wait_until(condition, what, timeout=DEADLINE, every=0.005):
    """Returns the first true value of condition(); fails with `what` (text, or a function giving text) after `timeout`."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what() if callable(what) else what}")
        time.sleep(every)


def stays(condition, seconds, what):
    """The condition holds now and all through the next `seconds`: for what must not happen."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert condition(), what() if callable(what) else what
        time.sleep(0.01)


# ---------------------------------------------------------------------------------------------------------------- client


class Reply:
    """One response as it was on the wire."""

    def __init__(self):
        self.version = b""
        self.status = 0
        self.reason = b""
        self.fields = []  # (name, value) as they came
        self.body = b""
        self.trailers = []
        self.interim = []  # replies 1xx that came before
        self.head = b""  # all bytes of the head
        self.truncated = False  # the connection ended inside it
        self.until_close = False

    def get(self, name, default=None):
        """Value of the only field of that name."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times: {values}"
        return values[0] if values else default

    def all(self, name):
        wanted = name.lower().encode()
        return [value.decode("latin-1") for key, value in self.fields if key.lower() == wanted]

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"Reply({self.status}, {self.fields}, {self.body[:200]!r}{', truncated' if self.truncated else ''})"


class ProtocolError(AssertionError):
    """What came is not HTTP as RFC 9112 writes it."""


class Ended(AssertionError):
    """The connection ended where a response was expected. `how`: 'closed' or 'reset'."""

    def __init__(self, how, got=b""):
        super().__init__(f"connection {how} instead of a response, after {repr(got)[:4000]}")
        self.how = how
        self.got = got


def parse_fields(block):
    fields = []
    for line in block.split(b"\r\n"):
        if not line:
            continue
        match = re.fullmatch(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n\x00]*?)[ \t]*", line)
        if not match:
            raise ProtocolError(f"bad field line {line!r}")
        fields.append((match.group(1), match.group(2)))
    return fields


class Client:
    """A raw connection. `address`: (host, port), a path of a unix socket, or a connected socket."""

    def __init__(self, address, timeout=DEADLINE, receive_buffer=None):
        if isinstance(address, socket.socket):
            self.socket = address
        else:
            family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
            self.socket = socket.socket(family, socket.SOCK_STREAM)
            if receive_buffer:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.socket.settimeout(timeout)
            self.socket.connect(address)
            if family == socket.AF_INET:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(timeout)
        self.buffer = b""
        self.eof = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        if isinstance(data, str):
            data = data.encode("latin-1")
        self.socket.sendall(data)

    def drip(self, data, step=1, pause=0.0):
        for i in range(0, len(data), step):
            self.socket.sendall(data[i : i + step])
            if pause:
                time.sleep(pause)

    def _more(self):
        """Reads once. False at the end of the stream."""
        if self.eof:
            return False
        piece = self.socket.recv(262144)
        if not piece:
            self.eof = True
            return False
        self.buffer += piece
        return True

    def read_until(self, mark):
        while mark not in self.buffer:
            if not self._more():
                raise Ended("closed", self.buffer)
        at = self.buffer.index(mark) + len(mark)
        piece, self.buffer = self.buffer[:at], self.buffer[at:]
        return piece

    def read_exact(self, count):
        pieces, have = [self.buffer], len(self.buffer)  # joined once: a body may be large
        try:
            while have < count:
                self.buffer = b""
                if not self._more():
                    raise Ended("closed", b"".join(pieces))
                pieces.append(self.buffer)
                have += len(self.buffer)
        finally:
            self.buffer = b"".join(pieces)
        piece, self.buffer = self.buffer[:count], self.buffer[count:]
        return piece

    def read_some(self):
        """What is there, waiting for the first byte; b'' at the end."""
        if not self.buffer:
            self._more()
        piece, self.buffer = self.buffer, b""
        return piece

    def read_to_end(self):
        while self._more():
            pass
        piece, self.buffer = self.buffer, b""
        return piece

    def _head(self):
        head = self.read_until(b"\r\n\r\n")
        line, _, rest = head.partition(b"\r\n")
        match = re.fullmatch(rb"(HTTP/1\.[01]) ([1-9][0-9][0-9]) ([^\r\n]*)", line)
        if not match:
            raise ProtocolError(f"bad status line {line!r}")
        reply = Reply()
        reply.head = head
        reply.version, reply.status, reply.reason = match.group(1), int(match.group(2)), match.group(3)
        reply.fields = parse_fields(rest)
        return reply

    def _chunked(self, reply):
        while True:
            line = self.read_until(b"\r\n")
            match = re.fullmatch(rb"([0-9A-Fa-f]{1,16})(;[^\r\n]*)?\r\n", line)
            if not match:
                raise ProtocolError(f"bad chunk line {line!r}")
            size = int(match.group(1), 16)
            if size == 0:
                break
            reply.body += self.read_exact(size)
            if self.read_exact(2) != b"\r\n":
                raise ProtocolError("chunk without its CRLF")
        block = b""
        while not block.endswith(b"\r\n\r\n") and block != b"\r\n":
            block += self.read_until(b"\r\n")
        reply.trailers = parse_fields(block)

    def head(self):
        """Reads one response head, interim ones collected; the body is left to the caller."""
        interim = []
        while True:
            try:
                reply = self._head()
            except ConnectionResetError:
                raise Ended("reset", self.buffer) from None
            if reply.status >= 200 or reply.status == 101:
                reply.interim = interim
                return reply
            interim.append(reply)

    def reply(self, method="GET"):
        """Reads one whole response, strictly. `truncated` is set where the connection ends inside the body."""
        reply = self.head()
        try:
            coding = reply.all("transfer-encoding")
            length = reply.all("content-length")
            if coding and length:
                raise ProtocolError("both Transfer-Encoding and Content-Length")
            if method == "HEAD" or reply.status in (101, 204, 304):
                return reply
            if coding:
                if coding != ["chunked"]:
                    raise ProtocolError(f"Transfer-Encoding {coding}")
                self._chunked(reply)
            elif length:
                if len(length) > 1 or not re.fullmatch("[0-9]+", length[0]):
                    raise ProtocolError(f"Content-Length {length}")
                reply.body = self.read_exact(int(length[0]))
            else:
                reply.until_close = True
                reply.body = self.read_to_end()
        except Ended as ended:
            reply.truncated = True
            reply.body += ended.got
            self.buffer = b""
        except ConnectionResetError:
            reply.truncated = True
        return reply

    def ask(self, request, method=None):
        self.send(request)
        if method is None:
            method = (request if isinstance(request, str) else request.decode("latin-1")).split(" ", 1)[0]
        return self.reply(method)

    def get(self, path="/", headers=(), method="GET", host="shunt.test"):
        lines = "".join(f"{line}\r\n" for line in headers)
        return self.ask(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n")

    def ends(self, timeout=DEADLINE):
        """How the peer ends the connection: 'closed' or 'reset', or 'open' when it does not; fails on bytes nobody expects."""
        self.socket.settimeout(timeout)
        if self.buffer:
            raise AssertionError(f"bytes nobody asked for: {self.buffer[:300]!r}")
        try:
            piece = b"" if self.eof else self.socket.recv(65536)
        except ConnectionResetError:
            return "reset"
        except (socket.timeout, TimeoutError):
            return "open"
        if piece:
            raise AssertionError(f"bytes nobody asked for: {piece[:300]!r}")
        return "closed"

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()


def request(address, path="/", headers=(), method="GET", body=None, host="shunt.test"):
    """One request on its own connection."""
    lines = list(headers)
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    lines.append("Connection: close")
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n" + "".join(f"{line}\r\n" for line in lines) + "\r\n"
    with Client(address) as client:
        client.send(head.encode("latin-1") + (body or b""))
        return client.reply(method)


# ----------------------------------------------------------------------------------------------------------------- peers


class Request:
    """A request as a peer received it, bytes kept."""

    def __init__(self, head, body=b"", trailers=()):
        self.head = head
        self.body = body
        self.trailers = list(trailers)
        line = head.split(b"\r\n", 1)[0].decode("latin-1")
        self.line = line
        self.method, self.target, self.version = line.split(" ")
        self.fields = parse_fields(head.split(b"\r\n", 1)[1])

    def all(self, name):
        wanted = name.lower().encode()
        return [value.decode("latin-1") for key, value in self.fields if key.lower() == wanted]

    def get(self, name, default=None):
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times: {values}"
        return values[0] if values else default

    def __repr__(self):
        return f"Request({self.head!r}, body {len(self.body)} bytes)"


class PeerGone(Exception):
    """The other end left, or the peer is being stopped."""


class Conn:
    """A connection a peer accepted."""

    def __init__(self, peer, sock, number):
        self.peer, self.socket, self.number = peer, sock, number
        self.buffer = b""
        self.requests = []

    def _more(self):
        while True:
            if self.peer.stopping:
                raise PeerGone()
            ready, _, _ = select.select([self.socket], [], [], 0.1)
            if ready:
                break
        try:
            piece = self.socket.recv(262144)
        except OSError:
            raise PeerGone() from None
        if not piece:
            raise PeerGone()
        self.peer.note_bytes(self, piece)
        self.buffer += piece

    def read_until(self, mark):
        while mark not in self.buffer:
            self._more()
        at = self.buffer.index(mark) + len(mark)
        piece, self.buffer = self.buffer[:at], self.buffer[at:]
        return piece

    def read_exact(self, count):
        pieces, have = [self.buffer], len(self.buffer)
        try:
            while have < count:
                self.buffer = b""
                self._more()
                pieces.append(self.buffer)
                have += len(self.buffer)
        finally:
            self.buffer = b"".join(pieces)
        piece, self.buffer = self.buffer[:count], self.buffer[count:]
        return piece

    def read_head(self):
        request_ = Request(self.read_until(b"\r\n\r\n"))
        self.requests.append(request_)
        self.peer.note_request(request_)
        return request_

    def read_body(self, request_):
        coding, length = request_.get("transfer-encoding"), request_.get("content-length")
        if coding is not None:
            assert coding == "chunked", coding
            while True:
                size = int(self.read_until(b"\r\n").split(b";")[0], 16)
                if size == 0:
                    break
                request_.body += self.read_exact(size)
                self.read_exact(2)
            block = b""
            while block != b"\r\n" and not block.endswith(b"\r\n\r\n"):
                block += self.read_until(b"\r\n")
            request_.trailers = parse_fields(block)
        elif length is not None:
            request_.body = self.read_exact(int(length))
        request_.complete = True
        return request_

    def read_request(self):
        return self.read_body(self.read_head())

    def send(self, data):
        if isinstance(data, str):
            data = data.encode("latin-1")
        view = memoryview(data)
        while view:
            if self.peer.stopping:
                raise PeerGone()
            _, ready, _ = select.select([], [self.socket], [], 0.1)
            if not ready:
                continue
            try:
                view = view[self.socket.send(view) :]
            except OSError:
                raise PeerGone() from None

    def wait_closed(self):
        try:
            while True:
                self._more()
        except PeerGone:
            pass

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()


class Peer:
    """A listening peer; every connection is played by `play(conn)` in a thread of its own.

    `requests` are the heads (and bodies, as far as read) in the order they came; `raw` is every byte per connection.
    """

    def __init__(self, play, address=None, backlog=1024):
        self.play = play
        self.lock = threading.Lock()
        self.requests = []
        self.conns = []
        self.raw = {}
        self.errors = []
        self.stopping = False
        self.open = 0
        if address and address.startswith("unix:"):
            self.path = address[5:]
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.listener.bind(self.path)
            self.url = address
            self.port = None
        else:
            self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind((address or "127.0.0.1", 0))
            self.port = self.listener.getsockname()[1]
            self.address = self.listener.getsockname()
            self.url = f"http://{self.address[0]}:{self.port}"
        self.listener.listen(backlog)
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        number = 0
        while not self.stopping:
            try:
                ready, _, _ = select.select([self.listener], [], [], 0.1)
                if not ready:
                    continue
                sock, _ = self.listener.accept()
            except (OSError, ValueError):  # stop() has closed it
                return
            if sock.family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            conn = Conn(self, sock, number)
            number += 1
            with self.lock:
                self.conns.append(conn)
                self.open += 1
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        try:
            self.play(conn)
        except PeerGone:
            pass
        except Exception as error:  # a fault of the test's script must not pass unseen
            if not self.stopping:
                self.errors.append(f"{type(error).__name__}: {error}")
        finally:
            conn.socket.close()
            with self.lock:
                self.open -= 1

    def note_bytes(self, conn, piece):
        with self.lock:
            self.raw.setdefault(conn.number, bytearray()).extend(piece)

    def note_request(self, request_):
        request_.at = time.monotonic()
        request_.complete = False
        with self.lock:
            self.requests.append(request_)

    def wait_requests(self, count, complete=False, timeout=DEADLINE):
        def enough():
            with self.lock:
                return sum(1 for r in self.requests if r.complete or not complete) >= count

        wait_until(enough, lambda: f"{count} requests at the peer, have {self.requests}", timeout)
        with self.lock:
            return list(self.requests)

    def wait_connections(self, count, timeout=DEADLINE):
        wait_until(lambda: len(self.conns) >= count,
                   lambda: f"{count} connections at the peer, have {len(self.conns)}", timeout)

    def stop(self):
        self.stopping = True
        self.listener.close()
        self.thread.join(5)
        wait_until(lambda: self.open == 0, "the peer's connections to end")


def http_reply(body=b"", status="200 OK", headers=(), close=False):
    if isinstance(body, str):
        body = body.encode()
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}"]
    if close:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


class Backend(Peer):
    """Plain HTTP: answers every request with `handler(request)` (bytes, the whole response), keeps connections."""

    def __init__(self, handler=None, name="legacy", address=None):
        self.name = name
        self.handler = handler or (lambda request_: http_reply(json.dumps({"backend": name}),
                                                               headers=[f"X-Backend: {name}"]))
        super().__init__(self._serve_http, address)

    def _serve_http(self, conn):
        while True:
            answer = self.handler(conn.read_request())
            if answer is None:
                return
            conn.send(answer)
            if b"connection: close" in answer.split(b"\r\n\r\n", 1)[0].lower():
                return


class Script(Peer):
    """Plays a little language, in the way of HAProxy's tcploop. Steps are separated by ';':

        read head | read request | read body | read N        wait for that
        send `BYTES` (\\r \\n \\xNN \\` work) | drip `BYTES` MS | fill N (N pattern bytes)
        wait MS | hang (until the other end closes) | reset | close | half-close | loop (from the start)

    One text for all connections, or a list: one per connection, the last for all that follow.
    """

    STEP = re.compile(r"\s*(?:(read) (head|request|body|[0-9]+)|(send) `((?:[^`\\]|\\.)*)`|(drip) `((?:[^`\\]|\\.)*)` ([0-9]+)"
                      r"|(fill) ([0-9]+)|(wait) ([0-9]+)|(hang|reset|close|half-close|loop))\s*(?:;|$)", re.S)

    def __init__(self, scripts, address=None):
        if isinstance(scripts, str):
            scripts = [scripts]
        self.scripts = [self.parse(script) for script in scripts]
        super().__init__(self._run, address)

    @staticmethod
    def bytes_of(text):
        return text.replace("\\`", "`").encode("latin-1").decode("unicode_escape").encode("latin-1")

    @classmethod
    def parse(cls, text):
        steps, at = [], 0
        while at < len(text.rstrip()):
            match = cls.STEP.match(text, at)
            if not match:
                raise ValueError(f"script: cannot read {text[at:]!r}")
            at = match.end()
            (read, what, send, data, drip, dripped, ms, fill, amount, wait, wait_ms, word) = match.groups()
            if read:
                steps.append(("read", what))
            elif send:
                steps.append(("send", cls.bytes_of(data)))
            elif drip:
                steps.append(("drip", cls.bytes_of(dripped), int(ms) / 1000))
            elif fill:
                steps.append(("fill", int(amount)))
            elif wait:
                steps.append(("wait", int(wait_ms) / 1000))
            else:
                steps.append((word,))
        return steps

    def _run(self, conn):
        steps = self.scripts[min(conn.number, len(self.scripts) - 1)]
        at = 0
        while at < len(steps):
            step = steps[at]
            at += 1
            if step[0] == "read":
                if step[1] == "head":
                    conn.read_head()
                elif step[1] == "request":
                    conn.read_request()
                elif step[1] == "body":
                    conn.read_body(conn.requests[-1])
                else:
                    conn.read_exact(int(step[1]))
            elif step[0] == "send":
                conn.send(step[1])
            elif step[0] == "drip":
                for i in range(len(step[1])):
                    conn.send(step[1][i : i + 1])
                    time.sleep(step[2])
            elif step[0] == "fill":
                left = step[1]
                while left:
                    piece = b"x" * min(left, 65536)
                    conn.send(piece)
                    left -= len(piece)
            elif step[0] == "wait":
                time.sleep(step[1])
            elif step[0] == "hang":
                conn.wait_closed()
            elif step[0] == "reset":
                conn.reset()
                return
            elif step[0] == "close":
                return
            elif step[0] == "half-close":
                conn.socket.shutdown(socket.SHUT_WR)
            elif step[0] == "loop":
                at = 0


class EchoBackend(Peer):
    """After an upgrade (or at once, raw=True) sends back every byte, and closes its half when the other end closed its own."""

    def __init__(self, raw=False, answer=b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", address=None):
        self.is_raw, self.answer = raw, answer
        super().__init__(self._echo, address)

    def _echo(self, conn):
        if not self.is_raw:
            conn.read_head()
            conn.send(self.answer)
        try:
            while True:
                if conn.buffer:
                    piece, conn.buffer = conn.buffer, b""
                    conn.send(piece)
                conn._more()
        except PeerGone:
            try:
                conn.socket.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            raise


def refused_address():
    """An address where nothing listens: bound, so that nobody else gets it, and never listening. Keep the socket."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock, f"http://127.0.0.1:{sock.getsockname()[1]}"


def blackhole():
    """A listening socket with a full queue: connecting to it hangs. Returns (things to keep, url)."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    kept = [listener]
    for _ in range(4):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(listener.getsockname())
        kept.append(sock)
    return kept, f"http://127.0.0.1:{listener.getsockname()[1]}"


class FastBackend:
    """peers/backend.c: counts, and misbehaves on command while it runs."""

    def __init__(self, name="legacy", address="127.0.0.1:0", **options):
        self.name = name
        arguments = [word for option, value in options.items() for word in (f"--{option}", str(value))]
        self.process = subprocess.Popen([os.path.join(PEERS, "backend"), "--name", name, "--listen", address, *arguments],
                                        stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        line = self.process.stdout.readline()
        assert line.startswith("listening "), f"backend said {line!r}"
        where = line.split()[1]
        self.url = where if where.startswith("unix:") else f"http://{where}"
        self.address = None if where.startswith("unix:") else (where.split(":")[0], int(where.split(":")[1]))

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        line = self.process.stdout.readline().strip()
        assert line and not line.startswith("unknown"), f"backend answered {line!r} to {command!r}"
        return line

    def counts(self):
        return json.loads(self.tell("counts"))

    @property
    def requests(self):
        return self.counts()["requests"]

    def stop(self):
        self.process.stdin.close()
        try:
            code = self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process.stdout.close()
        assert code == 0, f"backend {self.name} ended with {code}"


class Load:
    """peers/load.c in the background. Without `requests` it runs until finish()."""

    def __init__(self, address, **options):
        host = address if isinstance(address, str) else f"{address[0]}:{address[1]}"
        arguments = [os.path.join(PEERS, "load"), "--to", host]
        for name, value in options.items():
            if value is not None:
                arguments += ["--" + name.replace("_", "-"), "1" if value is True else str(value)]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.result = None

    def finish(self, timeout=120):
        """Ends an endless load and returns what happened."""
        if self.result is None:
            try:
                out, _ = self.process.communicate("", timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.communicate()
                raise AssertionError(f"load did not end within {timeout} s") from None
            assert self.process.returncode == 0, f"load ended with {self.process.returncode}: {out}"
            self.result = json.loads(out)
        return self.result

    def wait(self, timeout=300):
        """Waits for a load with a number of requests."""
        if self.result is None:
            out = []
            reader = threading.Thread(target=lambda: out.append(self.process.stdout.read()), daemon=True)
            reader.start()
            reader.join(timeout)
            if reader.is_alive():
                self.process.kill()
                reader.join()
                self.process.wait()
                raise AssertionError(f"load did not end within {timeout} s")
            assert self.process.wait(10) == 0, f"load: {out}"
            self.process.stdin.close()
            self.process.stdout.close()
            self.result = json.loads(out[0])
        return self.result

    def stop(self):
        if self.result is None:
            self.finish()


def load(address, **options):
    return Load(address, **options).wait()


# ----------------------------------------------------------------------------------------------------------------- shunt


class Metrics:
    """A parsed /metrics page; parsing checks its form."""

    LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?[0-9.e+-]+|\+Inf|-Inf|NaN)")
    LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')

    def __init__(self, text):
        self.samples = {}
        self.types = {}
        self.helps = {}
        assert text.endswith("\n"), "the page must end with a line feed"
        for line in text.split("\n")[:-1]:
            if line.startswith("# HELP "):
                name, _, text_ = line[7:].partition(" ")
                assert name not in self.helps, f"HELP {name} twice"
                assert text_, f"HELP {name} is empty"
                self.helps[name] = text_
            elif line.startswith("# TYPE "):
                name, kind = line[7:].split(" ")
                assert name not in self.types, f"TYPE {name} twice"
                assert kind in ("counter", "gauge", "histogram", "summary", "untyped"), line
                self.types[name] = kind
            elif line.startswith("#"):
                continue
            else:
                self._sample(line)

    def _sample(self, line):
        match = self.LINE.fullmatch(line)
        assert match, f"bad sample line {line!r}"
        name, labels, value = match.groups()
        found, at = [], 0
        while labels and at < len(labels):
            label = self.LABEL.match(labels, at)
            assert label, f"bad labels in {line!r}"
            found.append((label.group(1), label.group(2)))
            at = label.end()
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        kind = self.types.get(name) or self.types.get(family)
        assert kind, f"{name} has no TYPE"
        assert name in self.helps or family in self.helps, f"{name} has no HELP"
        key = (name, frozenset(found))
        assert key not in self.samples, f"sample twice: {line!r}"
        self.samples[key] = float(value)

    def sum(self, name, **labels):
        """Sum of all samples of that name whose labels contain `labels`; fails when the name is unknown."""
        wanted = set(labels.items())
        named = [(key[1], value) for key, value in self.samples.items() if key[0] == name]
        assert named or name in self.types, f"no metric {name}; there are {sorted(self.types)}"
        return sum(value for has, value in named if wanted <= has)

    def by(self, name, label, **labels):
        """{value of `label`: sum}."""
        result = {}
        wanted = set(labels.items())
        for (sample, has), value in self.samples.items():
            if sample == name and wanted <= has:
                key = dict(has).get(label)
                result[key] = result.get(key, 0) + value
        return result


def environment(extra=None):
    """The environment programs under test run in: sanitizers speak up, nothing of the caller's switches shunt."""
    env = dict(os.environ)
    for name in ("SHUNT_PASSTHROUGH", "SHUNT_ADMIN", "SHUNT_TOKEN", "SHUNT_TOKEN_FILE"):
        env.pop(name, None)
    env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "detect_leaks=1") + ":quarantine_size_mb=8"
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    env.setdefault("TSAN_OPTIONS", "second_deadlock_stack=1")
    env.update(extra or {})
    return env


class Shunt:
    """The program under test, with this configuration text.

    Listeners and admin are bound to port 0; `address` is the first listener's, `addresses` all of them in the file's order.
    stop() fails the test when the exit code is not the expected one or a sanitizer spoke.
    """

    def __init__(self, config, directory=None, env=None, arguments=(), limits=None, wait=True, token=None, build=None,
                 wrapper=()):
        self.build = build or BUILD
        self.directory = directory or tempfile.mkdtemp(prefix="shunt-test-")
        self.owns_directory = directory is None
        self.config_path = os.path.join(self.directory, "shunt.yaml")
        self.env = env or {}
        self.arguments = list(arguments)
        self.limits = limits
        self.wrapper = list(wrapper)  # a command that execs the program
        self.token = token
        self.events = []
        self.lines = []
        self.lock = threading.Lock()
        self.process = None
        self.stopped = False
        self.admin = None
        self.stderr_path = os.path.join(self.directory, "stderr")
        if config is not None:
            self.write_config(config)
        self.start(wait)

    def write_config(self, text):
        """Replaces the file in one step, as editors and deployment tools do."""
        temporary = self.config_path + ".new"
        with open(temporary, "w", encoding="utf-8") as f:
            f.write(text)
        os.replace(temporary, self.config_path)

    def command(self):
        return [*self.wrapper, os.path.join(self.build, "shunt"), "--config", self.config_path, *self.arguments]

    def start(self, wait=True):
        limits = self.limits
        self.events, self.lines = [], []

        def set_limits():
            for what, value in (limits or {}).items():
                resource.setrlimit(what, (value, value))

        self.started = time.monotonic()
        with open(self.stderr_path, "ab") as stderr:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                            stderr=stderr,
                                            env=environment(self.env), preexec_fn=set_limits if limits else None)
        self.stopped = False
        self.reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self.reader.start()
        if wait:
            self.wait_ready()

    def _read(self, pipe):
        for raw in pipe:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            try:
                event = json.loads(line)
            except ValueError:
                event = None
            with self.lock:
                self.lines.append(line)
                if isinstance(event, dict):
                    self.events.append(event)
        pipe.close()

    def wait_ready(self):
        wanted = 1
        try:
            with open(self.config_path, encoding="utf-8") as f:
                text = f.read()
            block = re.search(r"^listeners:(.*?)(?=^\S)", text + "\nend:", re.S | re.M)
            wanted = max(1, len(re.findall(r"address:", block.group(1)))) if block else 1
            has_admin = re.search(r"^admin:", text, re.M) is not None
        except OSError:
            has_admin = False
        self.addresses = [self._address(e["address"]) for e in self.wait_events("listening", wanted)]
        self.address = self.addresses[0]
        if has_admin:
            self.admin = self._address(self.wait_events("admin_listening", 1)[0]["address"])

    @staticmethod
    def _address(text):
        if text.startswith("unix:"):
            return text[5:]
        host, _, port = text.rpartition(":")
        return (host.strip("[]"), int(port))

    def find_events(self, name):
        with self.lock:
            return [event for event in self.events if event.get("event") == name]

    def access(self):
        with self.lock:
            return [event for event in self.events if event.get("kind") == "access"]

    def wait_events(self, name, count=1, timeout=DEADLINE):
        def enough():
            found = self.find_events(name)
            if len(found) >= count:
                return found
            if self.process.poll() is not None:
                self.reader.join(5)
                found = self.find_events(name)
                if len(found) >= count:
                    return found
                raise AssertionError(f"shunt ended with {self.process.returncode} before {name!r}\n{self.output()}")
            return None

        return wait_until(enough, lambda: f"{count} events {name!r}\n{self.output()}", timeout)

    # ---- talking to it ----

    def client(self, **options):
        return Client(self.address, **options)

    def get(self, path="/", headers=(), **options):
        return request(self.address, path, headers, **options)

    def admin_reply(self, method, path, body=None, headers=(), token=None):
        lines = list(headers)
        token = token if token is not None else self.token
        if token:
            lines.append(f"Authorization: Bearer {token}")
        data = None
        if body is not None:
            data = json.dumps(body).encode() if not isinstance(body, bytes) else body
            lines.append("Content-Type: application/json")
        elif method in ("POST", "PUT"):
            data = b""
        return request(self.admin, path, lines, method=method, body=data, host="127.0.0.1")

    def api(self, method, path, body=None, status=200, **options):
        reply = self.admin_reply(method, path, body, **options)
        assert reply.status == status, f"{method} {path} {body}: {reply}"
        return reply.json() if reply.body.strip().startswith((b"{", b"[")) else reply.body

    def metrics(self):
        reply = self.admin_reply("GET", "/metrics")
        assert reply.status == 200, reply
        return Metrics(reply.body.decode())

    def metric(self, name, **labels):
        return self.metrics().sum(name, **labels)

    def ctl(self, *arguments, code=0, text=None, env=None):
        """shuntctl; returns its standard output. `code`: the exit code it must have; None: returns the process."""
        command = [os.path.join(self.build, "shuntctl"), "--admin",
                   f"{self.admin[0]}:{self.admin[1]}" if self.admin else "127.0.0.1:1",
                   *arguments]
        full = environment()
        if self.token:
            full["SHUNT_TOKEN"] = self.token
        full.update(env or {})
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=DEADLINE, env=full,
                              check=False)
        assert not SANITIZER.search(done.stderr), done.stderr
        if code is None:
            return done
        assert done.returncode == code, f"{command[3:]}: exit {done.returncode}, expected {code}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def status(self):
        return self.api("GET", "/api/v1/status")

    def route(self, name):
        return self.api("GET", f"/api/v1/routes/{name}")

    def verb(self, route, verb, body=None, status=200, **options):
        return self.api("POST", f"/api/v1/routes/{route}/{verb}", body if body is not None else {}, status, **options)

    def passthrough(self, on, reason="test"):
        return self.api("POST", "/api/v1/passthrough", {"on": on, "reason": reason})

    def report(self, route=None):
        return self.api("GET", "/api/v1/report" + (f"?route={route}" if route else ""))

    def audit(self):
        return self.api("GET", "/api/v1/audit?limit=1000")["audit"]

    def reload(self, config=None, how="signal"):
        """Waits until the reload is done; returns its event. `how`: signal or file (the change alone)."""
        before = len(self.find_events("reloaded")) + len(self.find_events("reload_failed"))
        if config is not None:
            self.write_config(config)
        if how == "signal":
            self.signal(signal.SIGHUP)

        def done():
            found = self.find_events("reloaded") + self.find_events("reload_failed")
            return found if len(found) > before else None

        wait_until(done, lambda: f"the reload\n{self.output()}")
        with self.lock:
            return [e for e in self.events if e.get("event") in ("reloaded", "reload_failed")][-1]

    # ---- looking at the process ----

    def alive(self):
        return self.process.poll() is None

    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def rss(self):
        """Bytes resident now."""
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * resource.getpagesize()

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as f:
            parts = f.read().rsplit(")", 1)[1].split()
        return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")

    def signal(self, number):
        self.process.send_signal(number)

    def insist(self, number):
        """Signals until it has ended: the second signal that is one is not that which comes with the first."""
        while self.alive():
            self.signal(number)
            try:
                self.process.wait(0.1)
            except subprocess.TimeoutExpired:
                pass

    def stderr(self):
        try:
            with open(self.stderr_path, encoding="utf-8", errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def output(self, lines=80):
        with self.lock:
            shown = [line for line in self.lines if '"kind":"access"' not in line and '"kind": "access"' not in line]
            access = [line for line in self.lines if '"kind":"access"' in line or '"kind": "access"' in line]
        text = "\n".join(shown[-lines:] + access[-15:])
        return f"---- shunt's log\n{text}\n---- shunt's standard error\n{self.stderr()[-20000:]}\n----"

    # ---- ending it ----

    def wait_exit(self, timeout=60):
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            stacks = self.stacks()
            self.process.kill()
            self.process.wait()
            self.stopped = True
            raise AssertionError(f"shunt did not end within {timeout} s\n{stacks}\n{self.output()}") from None
        self.reader.join(10)
        self.stopped = True
        return code

    def stacks(self):
        """Where its threads stand, as far as the kernel tells."""
        found = []
        base = f"/proc/{self.process.pid}/task"
        try:
            for task in os.listdir(base):
                with open(f"{base}/{task}/comm", encoding="ascii") as name, open(f"{base}/{task}/wchan",
                                                                                 encoding="ascii") as where:
                    found.append(f"{task} {name.read().strip()} in {where.read().strip()}")
        except OSError:
            pass
        return "\n".join(found)

    def stop(self, code=0, timeout=60):
        """Ends it as an operator does and checks how it went."""
        if not self.stopped:
            if self.process.poll() is None:
                self.signal(signal.SIGTERM)
            ended = self.wait_exit(timeout)
            self.check_sanitizers()
            assert ended == code, f"shunt ended with {ended}, expected {code}\n{self.output()}"
        self.clean()

    def check_sanitizers(self):
        text = self.stderr()
        assert not SANITIZER.search(text), f"a sanitizer spoke:\n{text[-30000:]}"

    def kill(self):
        """kill -9"""
        self.process.kill()
        self.process.wait()
        self.reader.join(10)
        self.stopped = True
        self.check_sanitizers()

    def restart(self, config=None, code=0):
        """Ends it and starts it again on the same directory."""
        if not self.stopped:
            self.signal(signal.SIGTERM)
            ended = self.wait_exit()
            self.check_sanitizers()
            assert ended == code, f"shunt ended with {ended}, expected {code}\n{self.output()}"
        if config is not None:
            self.write_config(config)
        self.start()

    def clean(self):
        if self.owns_directory:
            shutil.rmtree(self.directory, ignore_errors=True)


# ------------------------------------------------------------------------------------------------------------------ tests


class Case(unittest.TestCase):
    """A test whose programs and peers are ended in the right order and whose shunt speaks when the test fails."""

    longMessage = True

    def setUp(self):
        self.shunts = []
        self.peers = []
        self.clients = []  # closed before shunt is asked to end, which waits for what is in flight
        self.directory = tempfile.mkdtemp(prefix="shunt-test-")

    def shunt(self, config, **options):
        if "directory" not in options:
            options["directory"] = tempfile.mkdtemp(prefix="run-", dir=self.directory)
        shunt = Shunt(config, **options)
        self.shunts.append(shunt)
        return shunt

    def client(self, shunt, **options):
        client = shunt.client(**options)
        self.clients.append(client)
        return client

    def peer(self, peer):
        self.peers.append(peer)
        return peer

    def backend(self, handler=None, name="legacy", address=None):
        return self.peer(Backend(handler, name, address))

    def script(self, scripts, address=None):
        return self.peer(Script(scripts, address))

    def fast(self, name="legacy", address="127.0.0.1:0", **options):
        return self.peer(FastBackend(name, address, **options))

    def load(self, address, **options):
        return self.peer(Load(address, **options))

    def tearDown(self):
        problems = []
        failed = self._test_failed()
        if failed:
            for shunt in self.shunts:
                print(f"\n==== {self.id()}: shunt {shunt.process.pid}\n{shunt.output()}", file=sys.stderr)
        for client in self.clients:
            client.close()
        for shunt in self.shunts:
            try:
                if not shunt.stopped:
                    shunt.stop()
            except AssertionError as error:
                problems.append(str(error))
            finally:
                if shunt.process.poll() is None:
                    shunt.process.kill()
                    shunt.process.wait()
        for peer in self.peers:
            try:
                peer.stop()
            except AssertionError as error:
                problems.append(str(error))
            for error in getattr(peer, "errors", []):
                problems.append(f"peer: {error}")
        shutil.rmtree(self.directory, ignore_errors=True)
        if problems and not failed:
            self.fail("\n".join(problems))
        elif problems:
            print("\n".join(problems), file=sys.stderr)

    def _test_failed(self):
        result = self._outcome.result
        return any(test is self or getattr(test, "test_case", None) is self for test,
                   _ in result.failures + result.errors)


class Result(unittest.TextTestResult):
    """Says how long each test took."""

    def startTest(self, test):
        self._began = time.monotonic()
        super().startTest(test)

    def addSuccess(self, test):
        super().addSuccess(test)
        if self.showAll:
            self.stream.writeln(f"    {time.monotonic() - self._began:.2f} s")


def main():
    """Runs the file's tests; exit code 1 when one fails or a program is not built."""
    for program in ("shunt", "shuntctl", "peers/backend", "peers/load"):
        if not os.path.exists(os.path.join(BUILD, program)):
            print(f"{program} is not in {BUILD}; set SHUNT_BUILD to a build directory", file=sys.stderr)
            sys.exit(1)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    unittest.main(module="__main__", verbosity=2, testRunner=unittest.TextTestRunner(verbosity=2, resultclass=Result))


def config(legacy, new=None, routes="", top="", listeners=1, backend_extra="", state=None, admin="", timeouts="",
           workers=2, listener=()):
    """A file with the given backends (urls or peers with .url, whose .keys are more keys of the backend). `listener`: more
    lines of each listener."""
    url = lambda peer: peer if isinstance(peer, str) else peer.url
    keys = lambda peer: backend_extra + getattr(peer, "keys", "")
    lines = ["listeners:"]
    lines += ["  - address: 127.0.0.1:0", *(f"    {line}" for line in listener)] * listeners
    lines += ["admin:", "  address: 127.0.0.1:0"]
    if admin:
        lines.append(f"  {admin}")
    lines.append(f"workers: {workers}")
    if timeouts:
        lines.append(f"timeouts: {{ {timeouts} }}")
    lines.append("backends:")
    lines.append(f'  legacy: {{ url: "{url(legacy)}"{keys(legacy)} }}')
    if new is not None:
        lines.append(f'  new: {{ url: "{url(new)}"{keys(new)} }}')
    if state:
        lines += ["state:", f"  directory: {state}"]
    if top:
        lines.append(top)
    if routes:
        lines += ["routes:", routes]
    return "\n".join(lines) + "\n"
