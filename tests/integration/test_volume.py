"""Long tests of HTTP/2 and TLS: 1 GiB each way at bounded memory, without TLS a quarter of it; and nothing that fails through drains, and
through reloads, other certificates and flips of passthrough, sixty of each and two in a second. Under a sanitizer they are shorter.
"""

import os
import signal
import threading
import time
import zlib

import grpc

from certificates import Secret, authority, client_context, server_context
from grpc_peer import GrpcBackend, GrpcClient, GrpcLoad
from harness import SLOW_BUILD, Case, config, main, request, wait_until
from http2 import Answer, H2Backend, H2Client
from test_http2_features import EndlessLoad
from test_streaming import Growth
from tls_peer import HandshakeLoad, TlsBackend, TlsClient, handshake

SIZE = (48 << 20) if SLOW_BUILD else 1 << 30
PLAIN_SIZE = (48 << 20) if SLOW_BUILD else 256 << 20  # without TLS; test_streaming.py has 1 GiB of HTTP/1.1
BOUND = 16 << 20
TURNS = 10 if SLOW_BUILD else 60
PAUSE = 0.5  # seconds from one turn to the next
PERIOD = 65521  # of the pattern that peers/backend.c sends and expects
PATIENCE = 300


def listener(tls):
    return [f"tls: {{ {authority().issue().keys} }}"] if tls else []


class Pattern:
    """The bytes of a large body, and their sum."""

    def __init__(self, backend):
        self.block = request(backend.address, f"/bytes/{PERIOD}").body
        assert len(self.block) == PERIOD
        self.sums = {}

    def pieces(self, size):
        for at in range(0, size, PERIOD):
            yield self.block[: size - at]

    def sum(self, size):
        if size not in self.sums:
            total = 0
            for piece in self.pieces(size):
                total = zlib.crc32(piece, total)
            self.sums[size] = total
        return self.sums[size]


class Volume(Case):
    def begin(self, front_tls, legacy=None):
        """What is needed once is there before it counts."""
        self.fast_backend = self.fast()
        self.pattern = Pattern(self.fast_backend)
        legacy = legacy or self.fast_backend
        return self.shunt(config(legacy, top="access_log: off", listener=listener(front_tls),
                                 timeouts="response: 5m, stream_idle: 5m, request_body: 5m"))

    def h2(self, shunt, tls):
        client = H2Client(shunt.address, client_context(alpn=["h2"]) if tls else None, timeout=PATIENCE, window=1 << 20).settled()
        client.keep_frames = False
        client.give(0, 1 << 22)
        self.clients.append(client)
        return client

    def down_h2(self, client, path, size):
        stream, total = client.open(path), [0]

        def take(piece):
            total[0] = zlib.crc32(piece, total[0])

        stream.sink = take
        client.until(lambda: stream.over, "the body", PATIENCE)
        self.assertEqual((stream.ended, stream.size), (True, size))
        self.assertEqual(total[0], self.pattern.sum(size))

    def up_h2(self, client, size, answered_by):
        stream = client.open("/upload", "POST", [("content-length", str(size))], end=False)
        self.assertTrue(client.send_body(stream, self.pattern.pieces(size)))
        answered_by(client.reply(stream), size)

    def check_fast(self, reply, size):
        self.assertEqual((reply.status, reply.get("x-body-length"), reply.get("x-body-match")), (200, str(size), "yes"))

    def through(self, shunt, run, size=SIZE):
        run(3 << 20)
        growth = Growth(shunt)
        run(size)
        grown = growth.end()
        self.assertLess(grown, BOUND, f"{grown >> 20} MiB grown")

    def test_down_over_http2(self):
        for tls in (False, True):
            with self.subTest(tls=tls):
                shunt = self.begin(tls)
                client = self.h2(shunt, tls)
                self.through(shunt, lambda size: self.down_h2(client, f"/bytes/{size}", size), SIZE if tls else PLAIN_SIZE)

    def test_down_over_http2_of_unknown_length(self):
        shunt = self.begin(False)
        client = self.h2(shunt, False)
        self.through(shunt, lambda size: self.down_h2(client, f"/chunked/{size}", size))

    def test_up_over_http2(self):
        for tls in (False, True):
            with self.subTest(tls=tls):
                shunt = self.begin(tls)
                client = self.h2(shunt, tls)
                self.through(shunt, lambda size: self.up_h2(client, size, self.check_fast), SIZE if tls else PLAIN_SIZE)

    def counting(self, tls):
        """A backend of HTTP/2 that keeps no body, only its sum, and sends the pattern."""
        def head(conn, request_):
            request_.stream.sum = 0

            def take(piece):
                request_.stream.sum = zlib.crc32(piece, request_.stream.sum)

            request_.stream.sink = take
            conn.keep_frames = False
            return self.answer(conn, request_)

        return self.peer(H2Backend(head=head, tls=server_context(alpn=("h2",)) if tls else None))

    def answer(self, conn, request_):
        while not request_.complete:
            yield
        if request_.method == "POST":
            answer = Answer(str(request_.stream.sum).encode())
        else:
            answer = Answer(self.pattern.pieces(int(request_.target.rpartition("/")[2])))
        yield from conn.answer(request_, answer)

    def check_sum(self, reply, size):
        self.assertEqual((reply.status, int(reply.body)), (200, self.pattern.sum(size)))

    def test_both_ways_with_http2_on_both_sides(self):
        for tls in (False, True):
            with self.subTest(tls=tls):
                shunt = self.begin(tls, self.counting(tls))
                client = self.h2(shunt, tls)
                much = SIZE if tls else PLAIN_SIZE
                self.through(shunt, lambda size: self.down_h2(client, f"/bytes/{size}", size), much)
                self.through(shunt, lambda size: self.up_h2(client, size, self.check_sum), much)

    def test_both_ways_over_tls(self):
        shunt = self.begin(True)

        def run(size):
            with TlsClient(shunt.address, timeout=PATIENCE) as client:
                client.send(f"GET /bytes/{size} HTTP/1.1\r\nHost: a\r\n\r\n")
                client.head()
                total, left = 0, size
                while left:
                    piece = client.read_some()
                    self.assertTrue(piece, f"{left} bytes are missing")
                    total, left = zlib.crc32(piece, total), left - len(piece)
                self.assertEqual(total, self.pattern.sum(size))
                client.send(f"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")
                for piece in self.pattern.pieces(size):
                    client.send(piece)
                self.check_fast(client.reply(), size)

        self.through(shunt, run)

    def test_down_from_a_backend_with_tls(self):
        def play(conn):
            while True:
                request_ = conn.read_request()
                size = int(request_.target.rpartition("/")[2])
                conn.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")
                for piece in self.pattern.pieces(size):
                    conn.send(piece)

        shunt = self.begin(False, self.peer(TlsBackend(play=play)))

        def run(size):
            result = self.load(shunt.address, requests=1, connections=1, verify=True, path=f"/bytes/{size}").wait()
            self.assertEqual((result["ok"], result["failed"]), (1, 0), result)

        self.through(shunt, run)


ROUTE = "  - name: all\n    match: {{ path: /** }}\n    sticky: [ random ]\n    percent: {0}\n    breaker: off\n    shadow: {{ percent: 10, methods: [\"*\"] }}\n"


class ZeroDowntime(Case):
    """TLS in front; one listener for h2load over backends of HTTP/2, and real gRPC beside it."""

    def begin(self, legacy, new):
        self.pairs = [authority().issue("one"), authority().issue("other", kind="rsa")]
        self.secret = Secret(os.path.join(self.directory, "mounted"), self.pairs[0])
        self.text = lambda turn: config(legacy, new, ROUTE.format(50 + turn % 2), top="access_log: off",
                                        listener=[f"tls: {{ {self.secret.keys} }}"])
        return self.shunt(self.text(0))

    def churn(self, shunt, loads, enough):
        """Passthrough flips, and the file and the certificate change, with each turn, until there was enough load meanwhile."""
        turn = 0
        while turn < TURNS or not (enough() or any(one.failures for one in loads)):
            self.assertLess(turn, 20 * TURNS, "enough load")
            began = time.monotonic()
            shunt.passthrough(turn % 2 == 0)
            self.assertEqual(shunt.reload(self.text(turn))["event"], "reloaded")
            turn += 1
            self.swap(shunt, self.pairs[turn % 2])
            time.sleep(max(0.0, PAUSE - (time.monotonic() - began)))
        for one in loads:
            one.finish()
            self.assertEqual(one.failures, [])
        # Each was seen in a handshake; not each is counted, since the file read again takes a new certificate along.
        self.assertGreater(shunt.metric("shunt_tls_certificate_reloads_total"), 0)
        self.assertEqual(shunt.metric("shunt_tls_certificate_reload_failures_total"), 0)
        self.assertEqual(shunt.metric("shunt_tls_handshakes_total", side="downstream", result="failed"), 0)

    def swap(self, shunt, pair):
        def shown():
            with handshake(shunt.address, client_context()) as sock:
                return sock.getpeercert(True)

        self.secret.publish(pair)
        wait_until(lambda: shown() == pair.der(), "the other certificate")

    def test_http2(self):
        answer = lambda request_: Answer(b"x" * 2000)
        shunt = self.begin(self.peer(H2Backend(answer)), self.peer(H2Backend(answer, "new")))
        load = self.peer(EndlessLoad(f"https://127.0.0.1:{shunt.address[1]}/"))
        handshakes = self.peer(HandshakeLoad(shunt.address, threads=1))
        self.churn(shunt, [load, handshakes], lambda: len(load.rounds) > 3 and handshakes.ok > TURNS)

    def test_grpc(self):
        shunt = self.begin(self.peer(GrpcBackend()), self.peer(GrpcBackend("new")))
        load = self.peer(GrpcLoad(shunt.address, tls=authority().certificate))
        newcomers = self.peer(Newcomers(shunt.address))
        self.churn(shunt, [load, newcomers], lambda: load.ok > 100 and newcomers.ok > TURNS)

    def test_drains_one_after_the_other(self):
        """A new process takes over before the old one drains, again and again, as rolling updates do: no call fails."""
        backend = self.peer(GrpcBackend())
        for _ in range(3):
            shunt = self.shunt(config(backend, top="access_log: off", listener=listener(True), timeouts="drain: 10s"))
            load = self.peer(DrainedLoad(shunt.address))
            wait_until(lambda: load.ok > 30, "calls")
            load.expect_end.set()
            shunt.signal(signal.SIGTERM)
            self.assertEqual(shunt.wait_exit(30), 0)
            load.finish()
            self.assertEqual(load.failures, [])


class Newcomers(GrpcLoad):
    """A call on each of many connections, one after the other."""

    def __init__(self, address):
        self.address = address
        super().__init__(address, threads=1, tls=authority().certificate)

    def _run(self, client, number, metadata):
        while not self.stopping.is_set():
            try:
                with GrpcClient(self.address, authority().certificate) as one:
                    assert one.unary(b"x", 20, metadata) == b"x"
                self.ok += 1
            except (grpc.RpcError, AssertionError) as error:
                self.failures.append(f"{type(error).__name__}: {error}"[:600])


class DrainedLoad(GrpcLoad):
    """Calls until the server says that it goes: what was begun before ends well; then nobody can be reached."""

    def __init__(self, address):
        self.expect_end = threading.Event()
        super().__init__(address, tls=authority().certificate)

    def _run(self, client, number, metadata):
        while not self.stopping.is_set():
            try:
                assert client.unary(b"x", 20) == b"x"
                self.ok += 1
            except grpc.RpcError as error:
                unreachable = error.code() is grpc.StatusCode.UNAVAILABLE and ("connect" in error.details().lower() or
                                                                               "goaway" in error.details().lower())
                if not (self.expect_end.is_set() and unreachable):
                    self.failures.append(str(error)[:600])
                return


if __name__ == "__main__":
    main()
