"""WebSocket through every translation: Upgrade over HTTP/1.1 (RFC 6455) and extended CONNECT over HTTP/2 (RFC 8441)."""

import base64
import hashlib
import os
import select
import socket
import ssl
import threading

from certificates import authority, client_context, server_context
from either import TRANSLATIONS
from harness import DEADLINE, Case, Client, EchoBackend, Ended, PeerGone, config, main, wait_until
from http2 import Answer, H2Backend, H2Client
from http2_frames import CANCEL, ENABLE_CONNECT_PROTOCOL, WINDOW, reset
from tls_peer import TlsClient

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
AGAIN = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_of(key):
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


def echo(conn, request_):
    """A backend of HTTP/2 that gives back what comes on a stream, and ends it when the other end has."""
    stream = request_.stream
    conn.head(stream.number, [(":status", "200"), ("sec-websocket-protocol", "chat"), ("x-backend", "h2")], end=False)
    done = 0
    while stream.reset is None:
        if done < len(stream.body):
            room = conn.room(stream)
            if room:
                piece = bytes(stream.body[done : done + room])
                done += len(piece)
                conn.data(stream, piece)
        elif stream.ended:
            conn.data(stream, b"", True)
            return
        yield


def late(go):
    """The same, by a backend that gives no credit before `go`."""
    def play(conn, request_):
        conn.credits = False
        answer = echo(conn, request_)
        next(answer)
        while not go.is_set():
            yield
        conn.credits = True
        conn.give(0, 1 << 20)
        conn.give(request_.stream.number, 1 << 20)
        yield from answer

    return play


class H2Echo(H2Backend):
    def __init__(self, play=echo, connect=True, **options):
        def head(conn, request_):
            if request_.method == "CONNECT":
                return play(conn, request_)
            return conn.answer(request_, Answer(b"ok"))

        super().__init__(head=head, ours={ENABLE_CONNECT_PROTOCOL: 1} if connect else {}, **options)


def grant(conn):
    key = conn.read_head().get("sec-websocket-key")
    conn.send(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: chat\r\n"
              f"Sec-WebSocket-Accept: {accept_of(key)}\r\n\r\n")


class H1Echo(EchoBackend):
    def _echo(self, conn):
        grant(conn)
        self.is_raw = True
        super()._echo(conn)


class EitherEcho(H2Echo):
    """Chooses by ALPN, and has tunnels over HTTP/1.1 alone."""

    def __init__(self, play=None, protocols=("h2", "http/1.1"), keys=""):
        self.upgrades = []
        super().__init__(connect=False, tls=server_context(alpn=protocols), keys="protocol: auto" + keys, http1=play or self.give_back)

    def give_back(self, conn):
        self.upgrades.append(conn)
        grant(conn)
        while True:
            piece, conn.buffer = conn.buffer, b""
            conn.send(piece)
            conn._more()


class Http2Only(EitherEcho):
    """Ends handshakes that do not offer HTTP/2, with the alert that says why."""

    ALERT = b"\x15\x03\x03\x00\x02\x02\x78"  # fatal: no_application_protocol (RFC 7301 section 3.2)

    def _serve_h2(self, conn):
        conn.socket.settimeout(DEADLINE)
        if b"\x02h2\x08http/1.1" not in conn.socket.recv(16384, socket.MSG_PEEK):
            conn.socket.recv(16384)
            conn.socket.sendall(self.ALERT)
            raise PeerGone()
        super()._serve_h2(conn)


class Socket1:
    """A client's tunnel over HTTP/1.1."""

    def __init__(self, address, tls=False):
        self.client = TlsClient(address) if tls else Client(address)

    def open(self, path="/chat"):
        self.client.send(f"GET {path} HTTP/1.1\r\nHost: shunt.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat\r\nSec-WebSocket-Key: {KEY}\r\n\r\n")
        self.reply = self.client.head()
        return self.reply.status == 101

    def send(self, data):
        self.client.send(data)

    def read(self, count):
        return self.client.read_exact(count)

    def both(self, data):
        """Sends and reads as much, by turns: one connection of OpenSSL is not for two threads."""
        sock, sent, got = self.client.socket, 0, bytearray()
        while len(got) < len(data):
            ready = select.select([sock], [sock] if sent < len(data) else [], [], DEADLINE)
            assert any(ready), f"{sent} bytes sent, {len(got)} read, and no more"
            sock.settimeout(0)
            try:
                if sent < len(data):
                    sent += sock.send(data[sent : sent + 16384])
            except AGAIN:
                pass
            try:
                while piece := sock.recv(65536):
                    got += piece
                raise Ended("closed", bytes(got))
            except AGAIN:
                pass
        sock.settimeout(DEADLINE)
        return bytes(got)

    def end(self):
        self.client.half_close()

    def rest(self):
        return self.client.read_to_end()

    def leave(self):
        self.client.reset()

    def close(self):
        self.client.close()


class Socket2:
    """A client's tunnel over HTTP/2."""

    def __init__(self, address, tls=False):
        self.client = H2Client(address, client_context(alpn=["h2"]) if tls else None).settled()
        self.taken = 0

    def open(self, path="/chat"):
        assert self.client.theirs.get(ENABLE_CONNECT_PROTOCOL) == 1, self.client.theirs
        self.stream = self.client.new_stream(self.client.number())
        self.client.head(self.stream.number, [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", self.client.scheme),
                                              (":path", path), (":authority", "shunt.test"), ("sec-websocket-version", "13"),
                                              ("sec-websocket-protocol", "chat")], end=False)
        self.client.until(lambda: self.stream.fields or self.stream.over, "the answer to CONNECT")
        if self.stream.fields is None:
            raise Ended("reset")
        self.fields = dict(self.stream.fields)
        return self.fields[b":status"] == b"200" and not self.stream.ended

    def send(self, data):
        self.client.send_body(self.stream, data, end=False)

    def both(self, data):
        self.send(data)  # reads meanwhile
        return self.read(len(data))

    def read(self, count):
        self.client.until(lambda: len(self.stream.body) - self.taken >= count or self.stream.over, f"{count} bytes")
        piece = bytes(self.stream.body[self.taken : self.taken + count])
        self.taken += len(piece)
        return piece

    def end(self):
        self.client.data(self.stream, b"", True)

    def rest(self):
        self.client.until(lambda: self.stream.over, "the end of the tunnel")
        assert self.stream.reset is None, self.stream.reset
        return self.read(len(self.stream.body) - self.taken)

    def leave(self):
        self.client.send(reset(self.stream.number, CANCEL))

    def close(self):
        self.client.close()


class WebSocket(Case):
    def begin(self, back, tls=False, **options):
        self.legacy = self.peer(H2Echo() if back == 2 else H1Echo())
        listener = [f"tls: {{ {authority().issue().keys} }}"] if tls else []
        return self.shunt(config(self.legacy, listener=listener, **{"top": "access_log: off", **options}))

    def tunnel(self, shunt, front, tls=False):
        one = (Socket1 if front == 1 else Socket2)(shunt.address, tls)
        self.clients.append(one)
        return one

    def each(self, test, tls=(False,)):
        for is_tls in tls:
            for front, back in TRANSLATIONS:
                with self.subTest(f"{front} to {back}", tls=is_tls):
                    test(front, back, is_tls)

    def test_every_byte_comes_back(self):
        def run(front, back, tls):
            shunt = self.begin(back, tls)
            one = self.tunnel(shunt, front, tls)
            self.assertTrue(one.open())
            for size in (1, 125, 4096, 100000):
                data = os.urandom(size)
                one.send(data)
                self.assertEqual(one.read(size), data)
            self.assertEqual(shunt.metric("shunt_tunnels_total"), 1)
            one.close()
            wait_until(lambda: shunt.metric("shunt_tunnels_active") == 0, "no tunnel")

        self.each(run, (False, True))

    def test_the_handshake_is_translated(self):
        def run(front, back, _):
            one = self.tunnel(self.begin(back), front)
            self.assertTrue(one.open("/chat?room=1"))
            seen = self.legacy.requests[0]
            self.assertEqual((seen.target, seen.get("sec-websocket-version"), seen.get("sec-websocket-protocol")), ("/chat?room=1", "13", "chat"))
            if back == 2:
                self.assertEqual((seen.method, seen.protocol), ("CONNECT", "websocket"))
                self.assertEqual(seen.all("upgrade") + seen.all("connection") + seen.all("sec-websocket-key"), [])
            else:
                self.assertEqual((seen.method, seen.get("upgrade").lower(), seen.get("connection").lower()), ("GET", "websocket", "upgrade"))
                self.assertEqual(len(base64.b64decode(seen.get("sec-websocket-key"))), 16)
            if front == 1:
                self.assertEqual((one.reply.get("upgrade").lower(), one.reply.get("sec-websocket-accept")), ("websocket", accept_of(KEY)))
                self.assertEqual(one.reply.get("sec-websocket-protocol"), "chat")
            else:
                self.assertEqual(one.fields[b"sec-websocket-protocol"], b"chat")
                self.assertNotIn(b"sec-websocket-accept", one.fields)

        self.each(run)

    def test_much_both_ways_at_once(self):
        def run(front, back, tls):
            one = self.tunnel(self.begin(back, tls), front, tls)
            self.assertTrue(one.open())
            data = os.urandom(3 << 20)
            self.assertEqual(hashlib.sha256(one.both(data)).digest(), hashlib.sha256(data).digest())

        self.each(run, (False, True))

    def test_each_half_ends_by_itself(self):
        def run(front, back, _):
            one = self.tunnel(self.begin(back), front)
            self.assertTrue(one.open())
            one.send(b"last words")
            one.end()
            self.assertEqual(one.rest(), b"last words")

        self.each(run)

    def test_a_half_ends_behind_a_backend_that_reads_late(self):
        """The end is there before the bytes in front of it could be sent on."""
        size = 192 << 10
        for front in (1, 2):
            go = threading.Event()
            self.legacy = self.peer(H2Echo(late(go)))
            one = self.tunnel(self.shunt(config(self.legacy, top="access_log: off")), front)
            self.assertTrue(one.open())
            sender = threading.Thread(target=lambda: (one.send(bytes(size)), one.end()), daemon=True)
            sender.start()
            wait_until(lambda: self.legacy.requests[0].stream.size == WINDOW, "a backend's window that is full")
            if front == 1:
                sender.join(10)  # all of it is with the kernel, and the end too
            go.set()
            sender.join(10)
            self.assertEqual(len(one.rest()), size)

    def test_a_client_that_leaves_ends_the_backends_side(self):
        def run(front, back, _):
            shunt = self.begin(back)
            one = self.tunnel(shunt, front)
            self.assertTrue(one.open())
            one.send(b"x")
            self.assertEqual(one.read(1), b"x")
            one.leave()
            if back == 2:
                wait_until(lambda: self.legacy.requests[0].stream.reset is not None, "RST_STREAM at the backend")
            else:
                wait_until(lambda: self.legacy.open == 0, "the backend's side to end")
            if front == 2:
                self.assertTrue(one.client.is_alive())

        self.each(run)

    def test_a_refusal_is_an_answer(self):
        for front in (1, 2):
            legacy = self.script(r"read head; send `HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno`; loop")
            one = self.tunnel(self.shunt(config(legacy)), front)
            self.assertFalse(one.open())
            self.assertEqual(one.reply.status if front == 1 else one.fields[b":status"], 403 if front == 1 else b"403")

    def test_a_backend_of_http2_that_knows_no_tunnels(self):
        for front in (1, 2):
            shunt = self.shunt(config(self.peer(H2Echo(connect=False))))
            one = self.tunnel(shunt, front)
            self.assertFalse(one.open())
            status = one.reply.status if front == 1 else int(one.fields[b":status"])
            self.assertIn(status, (501, 502))

    def test_a_backend_of_both_versions_that_knows_tunnels_in_one(self):
        for front in (1, 2):
            with self.subTest(front=front):
                legacy = self.peer(EitherEcho())
                shunt = self.shunt(config(legacy, workers=1, top="access_log: off"))
                for number in (1, 2):  # what it offers is not known yet, and is
                    one = self.tunnel(shunt, front)
                    self.assertTrue(one.open())
                    data = os.urandom(70_000)
                    self.assertEqual(one.both(data), data)
                    self.assertEqual(shunt.get("/plain").body, b"ok")
                    self.assertEqual((len(legacy.upgrades), len(legacy.h2conns)), (number, 1))
                self.assertEqual(shunt.metric("shunt_upstream_retries_total"), 0)

    def test_a_refusal_over_http1_by_a_backend_of_both_versions_is_an_answer(self):
        def play(conn):
            while True:
                conn.read_head()
                conn.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")

        legacy = self.peer(EitherEcho(play))
        shunt = self.shunt(config(legacy, workers=1, top="access_log: off"))
        one = self.tunnel(shunt, 1)
        self.assertFalse(one.open())
        self.assertEqual(one.reply.status, 403)
        self.assertEqual(shunt.get("/plain").body, b"ok")

    def test_a_backend_that_has_tunnels_in_neither_version(self):
        def leave(_):
            raise PeerGone()

        legacy = self.peer(EitherEcho(leave, protocols=("h2",)))
        shunt = self.shunt(config(legacy, workers=1, top="access_log: off"))
        for _ in range(3):
            one = self.tunnel(shunt, 1)
            self.assertFalse(one.open())
            self.assertEqual(one.reply.status, 502)
            self.assertEqual(shunt.get("/plain").body, b"ok")
        self.assertEqual(len(legacy.h2conns), 1)

    def test_a_backend_that_refuses_http1_in_the_handshake(self):
        legacy = self.peer(Http2Only())
        shunt = self.shunt(config(legacy, workers=1))
        one = self.tunnel(shunt, 1)
        self.assertFalse(one.open())
        self.assertEqual(one.reply.status, 502)
        wait_until(shunt.access, "the access log")
        self.assertIn("WebSocket neither over HTTP/2 (RFC 8441) nor over HTTP/1.1", shunt.access()[0]["error"])
        self.assertEqual(shunt.get("/plain").body, b"ok")
        self.assertEqual(len(legacy.h2conns), 1)

    def test_a_tunnel_that_needs_a_connection_of_its_own_waits_for_none_and_stops_nobody(self):
        legacy = self.peer(EitherEcho(keys=", max_connections: 1"))
        shunt = self.shunt(config(legacy, workers=1, top="access_log: off"))
        one = self.tunnel(shunt, 1)
        self.assertFalse(one.open())
        self.assertEqual(one.reply.status, 503)
        self.assertEqual(shunt.get("/plain").body, b"ok")
        self.assertEqual(legacy.upgrades, [])

    def test_tunnels_and_requests_share_a_connection(self):
        shunt = self.begin(2)
        one = self.tunnel(shunt, 2)
        self.assertTrue(one.open())
        for _ in range(5):
            self.assertEqual(one.client.get("/plain").body, b"ok")
            one.send(b"between")
            self.assertEqual(one.read(7), b"between")
        self.assertEqual(len(self.legacy.conns), 1)

    def test_an_idle_tunnel_is_cut(self):
        def run(front, back, _):
            shunt = self.begin(back, timeouts="tunnel_idle: 300ms")
            one = self.tunnel(shunt, front)
            self.assertTrue(one.open())
            if front == 1:
                self.assertIn(one.client.ends(), ("closed", "reset"))
            else:
                one.client.until(lambda: one.stream.over, "the tunnel's end")
            wait_until(lambda: shunt.metric("shunt_tunnels_active") == 0, "no tunnel")

        self.each(run)

    def test_tunnels_are_never_mirrored(self):
        new = self.backend(name="new")
        legacy = self.peer(H2Echo())
        shunt = self.shunt(config(legacy, new, "  - name: all\n    match: { path: /** }\n    shadow: { percent: 100, methods: [\"*\"] }\n"))
        one = self.tunnel(shunt, 2)
        self.assertTrue(one.open())
        wait_until(lambda: shunt.metric("shunt_shadow_total", reason="upgrade") == 1, "the reason")
        self.assertEqual(new.requests, [])

    def test_other_protocols_than_websocket_are_refused(self):
        with H2Client(self.begin(1).address).settled() as client:
            stream = client.new_stream(client.number())
            client.head(stream.number, [(":method", "CONNECT"), (":protocol", "connect-udp"), (":scheme", "http"), (":path", "/"),
                                        (":authority", "a")], end=False)
            client.until(lambda: stream.fields or stream.over, "an answer")
            if stream.fields:
                self.assertIn(dict(stream.fields)[b":status"], (b"400", b"405", b"501"))
        self.assertEqual(self.legacy.requests, [])


if __name__ == "__main__":
    main()
