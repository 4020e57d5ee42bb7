"""HTTP/2 where things happen at the same time: who gives up, refuses, resets or leaves while others are in the middle of it."""

import random
import resource
import signal
import threading
import time

from certificates import authority, client_context, server_context
from harness import Case, Client, Ended, Peer, PeerGone, config, http_reply, main, wait_until
from http2 import Answer, H2Backend, H2Client
from http2_frames import (CANCEL, ENABLE_CONNECT_PROTOCOL, INITIAL_WINDOW_SIZE, INTERNAL_ERROR, MAX_CONCURRENT_STREAMS,
                          REFUSED_STREAM, ask, goaway, headers, reset, settings, window_update)
from tls_peer import TlsClient

ENDLESS = 1 << 30  # a window that nobody fills
KEY, ACCEPT = "dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 section 1.3


class Full(Case):
    """The kernel takes no more of a connection, and frames wait."""

    def fill(self, client):
        """Sends until nobody takes any more."""
        client.socket.settimeout(0.5)
        try:
            while True:
                client.socket.sendall(b"x" * 65536)
        except TimeoutError:
            pass

    def test_an_upload_that_is_given_up_while_its_frames_wait(self):
        go = threading.Event()
        self.addCleanup(go.set)
        seen = []

        def play(conn):
            conn.give(0, ENDLESS)
            conn.until(lambda: conn.requests)
            seen.append(conn.requests.pop(1))
            go.wait(60)
            conn.until(lambda: seen[0].stream.over, "the end of the upload")
            conn.until(lambda: conn.requests)
            conn.jobs.append(conn.answer(conn.requests.pop(3), Answer(b"ok")))
            conn.until(lambda: False, "the end")

        legacy = self.peer(H2Backend(play=play, ours={INITIAL_WINDOW_SIZE: ENDLESS}))
        shunt = self.shunt(config(legacy, workers=1, top="access_log: off"))
        client = shunt.client()
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
        self.fill(client)
        client.reset()
        wait_until(lambda: shunt.metric("shunt_requests_in_flight") == 0, "the request given up")
        go.set()
        self.assertEqual(shunt.get("/other").body, b"ok")
        self.assertEqual(seen[0].stream.reset, CANCEL)

    def test_an_upload_goes_on_whenever_there_is_room_again_though_the_backend_says_nothing(self):
        size = 64 << 20

        def play(conn):
            conn.give(0, ENDLESS)
            conn.credits = conn.keep_frames = False
            conn.until(lambda: conn.requests)
            request_ = conn.requests.pop(1)
            request_.stream.sink = lambda piece: None
            while not request_.stream.over:
                time.sleep(0.05)  # the queue fills up behind who does not read
                at = request_.stream.size
                conn.until(lambda at=at: request_.stream.over or request_.stream.size > at + (size >> 4), "more of the body")
            conn.jobs.append(conn.answer(request_, Answer(b"%d" % request_.stream.size)))
            conn.until(lambda: False, "the end")

        legacy = self.peer(H2Backend(play=play, ours={INITIAL_WINDOW_SIZE: ENDLESS}))
        shunt = self.shunt(config(legacy, workers=1, top="access_log: off"))
        self.assertEqual(shunt.get(method="POST", body=bytes(size)).body, b"%d" % size)

    def test_a_backend_that_says_goodbye_and_reads_nothing_does_not_keep_its_connection(self):
        over = threading.Event()

        def play(conn):
            conn.give(0, ENDLESS)
            conn.until(lambda: conn.requests)
            stuck.wait(60)
            conn.send(goaway(1) + reset(1))
            while not conn.peer.stopping:
                over.wait(0.05)

        stuck = threading.Event()
        self.addCleanup(stuck.set)
        legacy = self.peer(H2Backend(play=play, ours={INITIAL_WINDOW_SIZE: ENDLESS}))
        shunt = self.shunt(config(legacy, workers=1, top="access_log: off", timeouts="http2_ping: off"))
        client = self.client(shunt)
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
        self.fill(client)
        stuck.set()
        wait_until(lambda: shunt.metric("shunt_requests_in_flight") == 0, "the request answered")
        wait_until(lambda: shunt.metric("shunt_http2_connections_active", side="upstream") == 0, "the connection closed")

    def given_up(self, play):
        """A backend that takes no more requests while one waits behind an upload; play(upload, second, go, shunt) gives both up."""
        go, seen = threading.Event(), []
        self.addCleanup(go.set)

        def backend(conn):
            seen.append(conn)
            conn.give(0, ENDLESS)
            conn.credits = False
            conn.until(lambda: conn.requests)
            wait_until(lambda: shunt.metric("shunt_http2_streams_active", side="upstream") == 2, "the second request")
            conn.send(settings({MAX_CONCURRENT_STREAMS: 0}) + headers(1, [(":status", "200")], end=False))
            go.wait(60)
            conn.until(lambda: False, "the end")

        legacy = self.peer(H2Backend(play=backend, ours={INITIAL_WINDOW_SIZE: ENDLESS}))
        shunt = self.shunt(config(legacy, workers=1, top="access_log: off", timeouts="http2_ping: off"))
        upload, second = self.client(shunt), self.client(shunt)
        upload.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
        self.fill(upload)
        second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")  # nghttp2 has it, and cannot send it
        self.assertEqual(upload.head().status, 200)  # so the backend's settings are known
        play(upload, second, go, shunt)
        wait_until(lambda: shunt.metric("shunt_http2_streams_active", side="upstream") == 0, "nothing kept of them")
        wait_until(lambda: shunt.metric("shunt_http2_connections_active", side="upstream") == 0, "the connection closed")
        wait_until(lambda: seen[0].goaways, "our goodbye")
        self.assertEqual((list(seen[0].requests), seen[0].streams[1].reset), ([1], CANCEL))

    def test_a_backend_that_takes_no_more_requests_does_not_keep_one_that_was_given_up(self):
        def play(upload, second, go, shunt):
            upload.reset()
            go.set()
            wait_until(lambda: shunt.metric("shunt_http2_streams_active", side="upstream") == 1, "the end of the upload")
            second.reset()

        self.given_up(play)

    def test_a_backend_that_takes_no_more_requests_does_not_keep_one_that_was_given_up_before_the_others_end(self):
        def play(upload, second, go, shunt):
            second.reset()
            upload.reset()
            wait_until(lambda: shunt.metric("shunt_requests_in_flight") == 0, "both requests given up")
            go.set()

        self.given_up(play)


class Corners(Case):
    def active(self, shunt):
        return shunt.metric("shunt_upstream_active")

    def test_connections_are_counted_while_a_reload_changes_their_version(self):
        go = threading.Event()
        self.addCleanup(go.set)

        def play(conn):
            if conn.read_head().method == "GET":
                go.wait(20)
                conn.send(http_reply(b"ok"))
            conn.wait_closed()

        legacy = self.peer(Peer(play))
        shunt = self.shunt(config(legacy, workers=1, top="access_log: off"))
        first = self.client(shunt)
        first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: self.active(shunt) == 1, "the first request at the backend")
        shunt.reload(config(legacy, workers=1, top="access_log: off", backend_extra=", protocol: http2"))
        second = shunt.client()
        second.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")  # its connection's preface is all that the backend hears
        wait_until(lambda: self.active(shunt) == 2, lambda: f"two connections with an exchange, not {self.active(shunt)}")
        go.set()
        self.assertEqual(first.reply().body, b"ok")
        wait_until(lambda: self.active(shunt) == 1, lambda: f"one connection with an exchange, not {self.active(shunt)}")
        second.reset()
        wait_until(lambda: self.active(shunt) == 0, lambda: f"no connection with an exchange, not {self.active(shunt)}")

    def test_a_connection_that_only_had_a_request_that_never_went_is_idle(self):
        def play(conn):
            conn.send(b"")
            conn.wait_closed()

        legacy = self.peer(Peer(play))  # it never says whether it offers WebSocket
        shunt = self.shunt(config(legacy, workers=1, top="access_log: off", timeouts="http2_ping: off",
                                  backend_extra=", protocol: http2, idle_timeout: 100ms"))
        client = shunt.client()
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n")
        wait_until(lambda: self.active(shunt) == 1, "the request on its connection")
        client.reset()
        wait_until(lambda: self.active(shunt) == 0, "the request given up")
        wait_until(lambda: legacy.open == 0, "the connection closed as an idle one")

    def test_a_connection_that_says_goodbye_is_not_closed_from_within_when_descriptors_run_out(self):
        def play(conn):
            conn.until(lambda: conn.requests)
            limits = resource.prlimit(shunt.process.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(shunt.process.pid, resource.RLIMIT_NOFILE, (shunt.fds(), limits[1]))
            conn.send(goaway(0))
            conn.until(lambda: conn.goaways, "our goodbye")
            resource.prlimit(shunt.process.pid, resource.RLIMIT_NOFILE, limits)

        legacy = self.peer(H2Backend(play=play))
        shunt = self.shunt(config(legacy, workers=1, top="access_log: off"))
        client = self.client(shunt)
        self.assertIn(client.get().status, (502, 503))
        wait_until(lambda: shunt.metric("shunt_http2_connections_active", side="upstream") == 0, "the connection closed")
        self.assertEqual(shunt.metric("shunt_http2_streams_active", side="upstream"), 0)

    def test_a_client_that_resets_right_behind_its_last_bytes_is_gone(self):
        legacy = self.peer(H2Backend())
        shunt = self.shunt(config(legacy, workers=1, top="access_log: off"))
        client = H2Client(shunt.address).settled()
        self.assertEqual(client.get().status, 200)
        shunt.signal(signal.SIGSTOP)  # it hears of both at once
        client.send(window_update(0, 1))  # which asks for no answer
        client.reset_socket()
        shunt.signal(signal.SIGCONT)
        wait_until(lambda: shunt.metric("shunt_downstream_active") == 0, "no client")


class Weather:
    """What backends and clients do next: of one seed, whoever asks first."""

    def __init__(self, seed):
        self.random, self.lock = random.Random(seed), threading.Lock()

    def choice(self, *of):
        with self.lock:
            return self.random.choice(of)

    def below(self, limit):
        with self.lock:
            return self.random.randrange(limit)


def stormy_h2(weather, **options):
    """A backend of HTTP/2 that is seldom well."""

    def later(seconds):
        end = time.monotonic() + seconds
        return lambda: time.monotonic() >= end

    def talk(conn, request_):
        stream = request_.stream
        conn.head(stream.number, [(":status", "200")], end=False)
        yield
        for _ in range(weather.below(4)):
            if stream.over:
                return
            piece = bytes(weather.choice(1, 3000, 30_000))
            conn.data(stream, piece[: conn.room(stream)])
            yield
        stream.answered = True
        if weather.below(2):
            conn.data(stream, b"", True)
        else:
            conn.send(reset(stream.number, CANCEL))

    def head(conn, request_):
        number = request_.stream.number
        what = weather.below(14)
        if request_.protocol and what < 9:
            return talk(conn, request_)
        if what < 6:
            trailers = [("x-sum", "1")] if what == 0 else ()
            body = b"b" * weather.choice(0, 10, 5000, 200_000)
            return conn.answer(request_, Answer(body, weather.choice(200, 200, 503), trailers=trailers,
                                                ready=later(weather.choice(0, 0, 0.05))))
        if what < 8:
            return conn.answer(request_, Answer(status=None, code=weather.choice(REFUSED_STREAM, CANCEL, INTERNAL_ERROR)))
        if what < 10:
            return conn.answer(request_, Answer([b"half", b"", b"x" * 70_000], code=CANCEL))
        if what == 10:
            conn.send(goaway(weather.choice(0, number - 2 if number > 1 else 0, number)))
        elif what == 11:
            conn.send(headers(number, [(":status", "200")], end=False))
            conn.leaves = True
        elif what == 12:
            conn.reset_socket()
            raise PeerGone()
        return None  # no answer at all

    return H2Backend(head=head, ours={MAX_CONCURRENT_STREAMS: 8, ENABLE_CONNECT_PROTOCOL: 1}, **options)


def stormy_h1(weather):
    def play(conn):
        while True:
            request_ = conn.read_head()
            what = weather.below(10)
            if what < 6 and request_.get("upgrade"):
                conn.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                          f"Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n")
                conn.send(bytes(weather.choice(1, 3000, 30_000)))
                if what < 2:
                    conn.wait_closed()
                elif what == 2:
                    conn.reset()
                return
            if what < 6:
                conn.read_body(request_)
                body = b"" if request_.method == "HEAD" else b"b" * weather.choice(0, 10, 5000, 200_000)
                conn.send(http_reply(body, weather.choice("200 OK", "503 Busy")))
            elif what == 6:
                conn.send(http_reply(b"early"))
                return
            elif what == 7:
                conn.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhalf")
                conn.reset()
                return
            elif what == 8:
                return
            else:
                conn.wait_closed()
                return

    return Peer(play)


ROUTE = """\
  - name: all
    match: {{ path: /** }}
    percent: {percent}
    shadow: {{ percent: 60, methods: ["*"], timeout: 500ms, max_in_flight: 16 }}
    fallback: {{ on: [connect, timeout, 5xx, reset], methods: ["*"] }}
"""
FILE = """\
listeners:
  - address: 127.0.0.1:0
  - address: 127.0.0.1:0
    tls: {{ {keys} }}
  - address: 127.0.0.1:0
    protocols: [http/1.1]
admin: {{ address: 127.0.0.1:0 }}
workers: 2
access_log: off
timeouts: {{ response: 500ms, stream_idle: 2s, request_body: 2s, tunnel_idle: 2s, drain: 5s }}
backends:
  legacy: {{ url: "{legacy.url}"{legacy_keys}, {common} }}
  new: {{ url: "{new.url}"{new_keys}, {common} }}
{more}routes:
"""


class Chaos(Case):
    """Whatever comes together: each exchange ends, what is counted comes back to nothing, and no memory is touched twice."""

    SECONDS = 10

    def setUp(self):
        super().setUp()
        self.weather = Weather(20260)
        self.problems = []
        self.over = threading.Event()
        self.ended = 0

    def file(self):
        chance = self.weather
        legacy, new = chance.choice(*self.backends), chance.choice(*self.backends)
        more = f'  third: {{ url: "{self.backends[0].url}" }}\n' if chance.below(2) else ""
        common = f"max_connections: {chance.choice(2, 6, 100)}, queue: 20, queue_timeout: 300ms, idle_timeout: 300ms"
        common += chance.choice("", ", health: { path: /, interval: 100ms, timeout: 100ms }")
        return FILE.format(keys=self.pair.keys, legacy=legacy, new=new, legacy_keys=getattr(legacy, "keys", ""),
                           new_keys=getattr(new, "keys", ""), common=common, more=more) + ROUTE.format(percent=chance.below(101))

    # ---- clients ----

    def h1(self, shunt):
        chance = self.weather
        where = chance.below(3)
        if where == 1:
            client = TlsClient(shunt.addresses[1], client_context())
        else:
            client = Client(shunt.addresses[where])
        with client:
            for _ in range(1 + chance.below(4)):
                body = b"r" * chance.choice(0, 0, 100, 150_000)
                method = "POST" if body else chance.choice("GET", "HEAD", "PUT")
                head = f"{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                what = chance.below(8)
                if what == 0:
                    client.send(head + body[: len(body) // 2])
                    client.reset()
                    return
                client.send(head + body)
                if what == 1:
                    client.read_some()
                    return
                reply = client.reply(method)
                self.ended += 1
                if reply.truncated or reply.all("connection"):
                    return

    def websocket(self, shunt):
        chance = self.weather
        with Client(shunt.addresses[0]) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n")
            if client.head().status == 101:
                client.send(b"w" * chance.choice(1, 20_000))
                if chance.below(2):
                    client.half_close()
                    client.read_to_end()
                else:
                    client.read_some()
            self.ended += 1
        with H2Client(shunt.addresses[0]).settled() as client:
            stream = client.new_stream(client.number())
            client.head(stream.number, ask("/chat", "CONNECT", more=[(":protocol", "websocket"), ("sec-websocket-version", "13")]),
                        end=False)
            client.until(lambda: stream.fields or stream.over, "an answer")
            if not stream.over and dict(stream.fields)[b":status"] == b"200":
                client.data(stream, b"w" * chance.choice(1, 20_000))
                if chance.below(2):
                    client.data(stream, b"", True)
                    client.until(lambda: stream.over, "the end of the tunnel")
            self.ended += 1

    def h2(self, shunt):
        chance = self.weather
        tls = chance.below(2)
        client = H2Client(shunt.addresses[tls], tls=client_context(alpn=["h2"]) if tls else None,
                          window=chance.choice(None, 1000, 1 << 20))
        with client:
            for _ in range(1 + chance.below(3)):
                streams, given_up = [], set()
                for _ in range(1 + chance.below(12)):
                    body = b"r" * chance.choice(0, 0, 100, 100_000)
                    stream = client.open("/", "POST" if body else "GET", end=not body)
                    streams.append(stream)
                    if body and chance.below(4) == 0:
                        client.data(stream, body[: client.room(stream) // 2])
                        client.send(reset(stream.number, CANCEL))
                        given_up.add(stream)
                    elif body:
                        client.send_body(stream, body)
                    if chance.below(6) == 0 and not stream.over:
                        client.send(reset(stream.number, CANCEL))
                        given_up.add(stream)
                what = chance.below(12)
                if what == 0:
                    client.reset_socket()
                    return
                if what == 1:
                    client.send(goaway())
                wanted = [stream for stream in streams if stream not in given_up]
                client.until(lambda wanted=wanted: all(stream.over for stream in wanted), "the end of all streams")
                self.ended += len(wanted)
                if client.goaways or what == 1:
                    return

    def goes_on(self, shunt, play):
        while not self.over.is_set() and not self.problems:
            try:
                play(shunt)
            except TimeoutError as error:
                self.problems.append(f"{play.__name__}: stands still: {error}")
            except (Ended, OSError):
                pass
            except Exception as error:
                self.problems.append(f"{play.__name__}: {type(error).__name__}: {error}")

    # ---- the rest ----

    def test_everything_at_once(self):
        self.pair = authority().issue()
        self.backends = [self.peer(one) for one in (
            stormy_h2(self.weather), stormy_h2(self.weather, tls=server_context(alpn=("h2",))), stormy_h1(self.weather),
            stormy_h1(self.weather))]
        calm = self.peer(H2Backend())
        shunt = self.shunt(self.file())
        threads = [threading.Thread(target=self.goes_on, args=(shunt, play)) for play in [self.h1] * 5 + [self.h2] * 5 + [self.websocket] * 2]
        for thread in threads:
            thread.start()
        end = time.monotonic() + self.SECONDS
        turns = 0
        try:
            while (time.monotonic() < end or turns < 20) and not self.problems:
                turns += 1
                if self.weather.below(3):
                    self.assertEqual(shunt.reload(self.file())["event"], "reloaded")
                else:
                    shunt.passthrough(self.weather.below(2) == 0)
                time.sleep(0.1)
        finally:
            self.over.set()
            for thread in threads:
                thread.join(60)
        self.assertEqual(self.problems, [])
        self.assertGreater(self.ended, 100)
        for name in ("shunt_http2_streams_total", "shunt_http2_streams_active", "shunt_upstream_active", "shunt_upstream_queue"):
            shunt.metric(name)  # fails where there is none of that name
        shunt.passthrough(False)
        self.nothing_is_left(shunt)
        self.backends = [calm]
        shunt.reload(self.file())
        self.assertEqual(shunt.get().status, 200)
        with H2Client(shunt.addresses[1], tls=client_context(alpn=["h2"])) as client:
            self.assertEqual(client.get().status, 200)
        self.nothing_is_left(shunt)

    def nothing_is_left(self, shunt):
        def left():
            page = shunt.metrics()
            return {name: value for (name, labels), value in page.samples.items() if value != 0 and (
                name.endswith(("_active", "_idle", "_queue", "_in_flight")) or name == "shunt_shadow_buffered_bytes")}

        wait_until(lambda: not left(), lambda: f"nothing under way: {left()}")


if __name__ == "__main__":
    main()
