"""Edges of the proxy core: ends that come together with bytes, pauses at a message's last byte, reloads in the middle of things."""

import os
import random
import resource
import select
import socket
import threading
import time

from harness import Case, Client, EchoBackend, Ended, Peer, ProtocolError, blackhole, config, http_reply, main, stays, wait_until

OK = r"send `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`"
UPGRADE = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


class Uploads(Case):
    def test_the_last_byte_may_be_the_one_that_pauses(self):
        """More unsent than the high-water mark with the body's last piece: the end is still seen, so both connections are kept."""
        backend = self.backend()
        shunt = self.shunt(config(backend, workers=1))
        client = self.client(shunt)
        for size in (100_000, 140_000, 196_000, 200_000, 262_000, 300_000, 1_000_000):
            reply = client.ask(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"u" * size)
            self.assertEqual((reply.status, reply.get("connection")), (200, None), size)
        self.assertEqual([len(r.body) for r in backend.requests], [100_000, 140_000, 196_000, 200_000, 262_000, 300_000, 1_000_000])
        self.assertEqual(len(backend.conns), 1)

    def test_a_backend_that_thinks_about_a_whole_upload_is_not_the_clients_fault(self):
        answer = threading.Event()

        def handler(request):
            answer.wait(10)
            return http_reply("ok")

        backend = self.backend(handler)
        shunt = self.shunt(config(backend, workers=1, timeouts="request_body: 300ms, response: 10s"))
        client = self.client(shunt)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + b"u" * 200_000)
        backend.wait_requests(1, complete=True)
        stays(lambda: not shunt.metric("shunt_request_timeouts_total"), 1, "a timeout blamed on the client")
        answer.set()
        self.assertEqual(client.reply("POST").status, 200)

    def test_early_413_and_a_client_that_goes_on_sending(self):
        backend = self.script(r"read head; send `HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig`; close")
        shunt = self.shunt(config(backend))
        for size in (10_000, 400_000, 8_000_000):
            client = self.client(shunt)
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
            client.send(b"u" * min(size - 1, 300_000))
            reply = client.reply("POST")
            self.assertEqual((reply.status, reply.body, reply.get("connection")), (413, b"big", "close"))

    def test_more_body_than_is_put_up_with_does_not_destroy_the_answer(self):
        """A client that reads only after it has tried to send everything still finds the answer, not a reset before it."""
        backend = self.script(r"read head; send `HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig`; hang")
        shunt = self.shunt(config(backend))
        client = self.client(shunt)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
        client.socket.setblocking(False)
        sent = 0
        while sent < 100_000_000:
            _, ready, _ = select.select([], [client.socket], [], 0.5)
            if not ready:
                break  # nobody takes more
            sent += client.socket.send(b"u" * 65536)
        self.assertLess(sent, 100_000_000)
        client.socket.settimeout(10)
        self.assertEqual(client.reply("POST").body, b"big")


class StrayBytes(Case):
    def test_behind_a_large_body(self):
        """A large body is moved by its length alone: what lies behind it is still never anybody's response."""
        forged = http_reply("forged")

        def play(conn):
            while True:
                conn.read_request()
                if conn.number == 0:
                    conn.send(http_reply(b"x" * 400_000) + forged)
                else:
                    conn.send(http_reply("ok"))

        for _ in range(5):
            backend = self.peer(Peer(play))
            shunt = self.shunt(config(backend, workers=1))
            client = self.client(shunt)
            self.assertEqual(len(client.get("/1").body), 400_000)
            for _ in range(3):
                self.assertEqual(client.get("/2").body, b"ok")
            wait_until(lambda: shunt.metric("shunt_upstream_stray_bytes_total") == 1, "the stray bytes to be counted")


class ResetsWithBytes(Case):
    """Bytes and a reset that arrive together are one event: the reset must not be forgotten behind the bytes."""

    def test_of_a_backend(self):
        for part, status in ((r"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", 200), ("HTTP/1.1 2", 502),
                             (r"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", 200)):
            with self.subTest(part):
                backend = self.script("read request; send `" + part + "`; reset")
                shunt = self.shunt(config(backend, workers=1, timeouts="response: 60s"))
                for _ in range(20):
                    client = self.client(shunt)
                    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
                    try:
                        reply = client.reply("POST")
                    except Ended:
                        continue  # the reset has overtaken the bytes
                    self.assertIn(reply.status, (status, 502))
                    self.assertTrue(reply.truncated or reply.status == 502)

    def test_of_a_client_in_its_body(self):
        backend = self.script("read request; " + OK + "; hang")
        shunt = self.shunt(config(backend, workers=1, timeouts="request_body: 60s"))
        for i in range(20):
            client = shunt.client()
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhi")
            if i % 2 == 0:
                backend.wait_requests(i // 2 + 1)
                client.send("there")
            client.reset()
        wait_until(lambda: shunt.metric("shunt_downstream_active") == 0, "the clients' resets to be seen")
        wait_until(lambda: backend.open == 0, "the backend to be told")

    def test_in_a_tunnel(self):
        backend = self.peer(EchoBackend())
        shunt = self.shunt(config(backend, workers=1))
        for _ in range(20):
            client = shunt.client()
            client.ask(UPGRADE)
            client.send("bye")
            client.reset()
        wait_until(lambda: shunt.metric("shunt_tunnels_active") == 0, "the tunnels' ends")
        wait_until(lambda: backend.open == 0, "the backend to be told")


class Tunnels(Case):
    def test_a_reset_after_a_half_close(self):
        ended = threading.Event()

        def play(conn):
            conn.read_head()
            conn.send(SWITCH)
            while conn.socket.recv(1000):
                pass
            ended.set()
            poll = select.poll()
            poll.register(conn.socket, 0)
            while not conn.peer.stopping and not poll.poll(100):
                pass

        backend = self.peer(Peer(play))
        shunt = self.shunt(config(backend, workers=1))
        client = shunt.client()
        client.ask(UPGRADE)
        client.half_close()
        self.assertTrue(ended.wait(10))
        client.reset()
        wait_until(lambda: shunt.metric("shunt_tunnels_active") == 0, "the tunnel's end")
        wait_until(lambda: backend.open == 0, "the backend to be told")

    def test_passthrough_lets_a_client_end_its_half_before_legacy_is_connected(self):
        backend = self.peer(EchoBackend(raw=True))
        shunt = self.shunt(config(backend, workers=1))
        shunt.passthrough(True)
        wait_until(lambda: self.echoes(shunt), "passthrough")
        for _ in range(100):
            self.assertTrue(self.echoes(shunt))

    @staticmethod
    def echoes(shunt):
        with shunt.client() as client:
            client.send("not http")
            client.half_close()
            return client.read_to_end() == b"not http"

    def test_other_protocol_before_the_requests_body_has_come(self):
        """The rest of the body would be taken for the other protocol's bytes."""
        backend = self.peer(EchoBackend())
        shunt = self.shunt(config(backend, workers=1))
        client = self.client(shunt)
        client.send("POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 10\r\n\r\nabc")
        self.assertEqual(client.reply("POST").status, 502)

    def test_halves_end_with_much_unsent_either_way(self):
        size = 3_000_000

        def play(conn):
            conn.read_head()
            conn.send(SWITCH + b"b" * size)
            conn.socket.shutdown(socket.SHUT_WR)
            got = len(conn.buffer)
            while True:
                piece = conn.socket.recv(65536)
                if not piece:
                    break
                got += len(piece)
            conn.peer.got = got

        for shut_first in (True, False):
            backend = self.peer(Peer(play))
            backend.got = None
            shunt = self.shunt(config(backend, workers=1))
            client = self.client(shunt, receive_buffer=8192)
            client.ask(UPGRADE)
            sender = threading.Thread(target=lambda: (client.socket.sendall(b"c" * size), client.half_close()))
            sender.start()
            if shut_first:
                sender.join(20)
                wait_until(lambda: backend.got is not None, "the client's bytes at the backend")
            self.assertEqual(len(client.read_to_end()), size)
            sender.join(20)
            wait_until(lambda: backend.got == size, lambda: f"the client's bytes: {backend.got}")
            wait_until(lambda: shunt.metric("shunt_tunnels_active") == 0, "the tunnel's end")


class LastResponses(Case):
    def reads_nothing(self, timeouts, patience):
        """A client that has been sent a last response so long that shunt still holds its end: found by trying. One that is not taken within
        `patience` seconds is too long."""
        def handler(request):
            body = b"y" * int(request.target[1:])
            return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"

        backend = self.backend(handler)
        shunt = self.shunt(config(backend, workers=1, timeouts=timeouts))

        def ask(size):
            client = self.client(shunt, receive_buffer=4096)
            seen = len(backend.requests)
            client.send(f"GET /{size} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            backend.wait_requests(seen + 1)
            return client

        def is_taken():
            end = time.monotonic() + patience
            while time.monotonic() < end:
                if shunt.metric("shunt_upstream_active") == 0:
                    return True
            return False

        size = 100_000
        while True:
            client = ask(size)
            taken = is_taken()
            client.close()
            wait_until(lambda: shunt.metric("shunt_downstream_active") == 0, "the client's close to be seen")
            if not taken:
                break
            size += 60_000
        size -= 60_000
        client = ask(size)
        wait_until(lambda: shunt.metric("shunt_upstream_active") == 0, "the response to be taken")
        return shunt, client, size

    def test_a_slow_reader_gets_the_whole_of_it(self):
        """What is still queued when the response has ended is not cut off by the time given for a goodbye."""
        shunt, client, size = self.reads_nothing(timeouts="stream_idle: 60s", patience=3)
        stays(lambda: shunt.metric("shunt_downstream_active") == 1, 3, "the client was cut off")
        reply = client.reply()
        self.assertEqual((reply.truncated, len(reply.body)), (False, size))

    def test_a_reader_that_has_stopped_is_cut_off(self):
        shunt, client, size = self.reads_nothing(timeouts="stream_idle: 1s", patience=0.3)
        wait_until(lambda: shunt.metric("shunt_downstream_active") == 0, "the end of a client that reads nothing")

    def test_interim_responses_are_held_back_like_a_body(self):
        sent = []

        def play(conn):
            conn.read_request()
            piece = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 1000
            for _ in range(2000):
                conn.send(piece)
                sent.append(len(piece))
            conn.send(http_reply("ok"))

        backend = self.peer(Peer(play))
        shunt = self.shunt(config(backend, workers=1, timeouts="response: 60s"))
        client = self.client(shunt, receive_buffer=8192)
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        seen = [-1]

        def stalled():
            before, seen[0] = seen[0], len(sent)
            return before == seen[0] and before > 0

        wait_until(stalled, "the backend to be held back", every=0.5)
        self.assertLess(len(sent), 1000, "everything was taken in for a client that reads nothing")


class Waiting(Case):
    def test_a_response_may_take_longer_than_a_stream_may_be_quiet(self):
        backend = self.script(r"read request; wait 1200; " + OK + "; loop")
        shunt = self.shunt(config(backend, timeouts="stream_idle: 200ms, response: 10s"))
        self.assertEqual(shunt.get("/").status, 200)

    def test_an_upload_may_wait_in_the_line_longer_than_a_stream_may_be_quiet(self):
        answer = threading.Event()
        backend = self.backend(lambda request: (answer.wait(20), http_reply("ok"))[1])
        shunt = self.shunt(config(backend, workers=1, backend_extra=", max_connections: 1, queue_timeout: 20s",
                                  timeouts="stream_idle: 200ms, request_body: 500ms, response: 20s"))
        first, second = self.client(shunt), self.client(shunt)
        first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        backend.wait_requests(1)
        second.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        wait_until(lambda: shunt.metric("shunt_upstream_queue") == 1, "the second to wait")
        stays(lambda: shunt.metric("shunt_upstream_queue") == 1, 1.5, "it has been given up")
        answer.set()
        self.assertEqual(first.reply().status, 200)
        second.send("cd")
        self.assertEqual(second.reply("POST").status, 200)
        self.assertEqual(backend.requests[-1].body, b"abcd")

    def test_a_backend_that_reads_nothing_is_told_on(self):
        def play(conn):
            conn.read_head()
            while not conn.peer.stopping:
                select.select([], [], [], 0.1)

        backend = self.peer(Peer(play))
        shunt = self.shunt(config(backend, timeouts="stream_idle: 500ms, response: 10s, request_body: 10s"))
        client = self.client(shunt)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")

        def push():
            try:
                client.socket.sendall(b"u" * 30_000_000)
            except OSError:
                pass

        sender = threading.Thread(target=push)
        sender.start()
        reply = client.reply("POST")
        self.assertEqual(reply.status, 504)
        client.close()
        sender.join(20)

    def test_a_higher_limit_serves_the_whole_line(self):
        answer = threading.Event()

        def handler(request):
            answer.wait(20)
            return http_reply("ok")

        backend = self.backend(handler)
        text = lambda most: config(backend, workers=1, backend_extra=f", max_connections: {most}, queue_timeout: 30s")
        shunt = self.shunt(text(1))
        clients = [self.client(shunt) for _ in range(6)]
        for client in clients:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: shunt.metric("shunt_upstream_queue") == 5, "five to wait")
        shunt.reload(text(6))
        backend.wait_requests(6)
        answer.set()
        for client in clients:
            self.assertEqual(client.reply().status, 200)

    def test_a_long_line_for_a_backend_that_dies(self):
        path = os.path.join(self.directory, "socket")
        hold = threading.Event()

        def handler(request):
            hold.wait(60)

        backend = self.backend(handler, address="unix:" + path)
        count = 400
        shunt = self.shunt(config(backend, workers=1, backend_extra=f", max_connections: 1, queue: {count}, queue_timeout: 60s"))
        clients = [self.client(shunt) for _ in range(count)]
        for client in clients:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: shunt.metric("shunt_upstream_queue") == count - 1, "the line", timeout=60)
        backend.stopping = True
        backend.listener.close()
        os.unlink(path)
        hold.set()
        for client in clients:
            self.assertEqual(client.reply().status, 502)
        self.assertEqual(shunt.metric("shunt_upstream_queue"), 0)


class Reloads(Case):
    def test_in_the_middle_of_heads(self):
        go = threading.Event()

        def play(conn):
            while True:
                conn.read_request()
                conn.send(b"HTTP/1.1 200 OK\r\nContent-Le")
                go.wait(20)
                conn.send(b"ngth: 2\r\n\r\nok")

        backend = self.peer(Peer(play))
        text = lambda n: config(backend, workers=1, timeouts=f"idle: {n}s")
        shunt = self.shunt(text(50))
        one, other = self.client(shunt), self.client(shunt)
        one.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
        backend.wait_requests(1)
        other.send("GET /2 HTTP/1.1\r\nHo")
        for n in range(51, 55):
            shunt.reload(text(n))
        go.set()
        self.assertEqual(one.reply().body, b"ok")
        other.send("st: a\r\n\r\n")
        self.assertEqual(other.reply().body, b"ok")

    def test_a_backend_goes_while_it_is_being_connected_to(self):
        """Its other address must not be tried any more; there is no backend left to ask for one."""
        kept, url = blackhole()
        self.addCleanup(lambda: [sock.close() for sock in kept])
        port = url.rsplit(":", 1)[1]
        legacy = self.backend()
        routes = "  - { name: r, match: { path: /new }, percent: 100 }"
        shunt = self.shunt(config(legacy, f"http://localhost:{port}", routes=routes, workers=1, timeouts="connect: 1500ms"))
        clients = [self.client(shunt) for _ in range(4)]
        for client in clients:
            client.send("GET /new HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: shunt.metric("shunt_upstream_connections_total") >= 4, "four to be connecting")
        shunt.reload(config(legacy, workers=1))
        for client in clients:
            self.assertIn(client.reply().status, (502, 504))
        self.assertEqual(shunt.get("/new").status, 200)


class Fallbacks(Case):
    ROUTES = ("  - name: r\n    match: { path: /** }\n    percent: 100\n    fallback: { on: [connect, timeout, reset, 5xx], methods: [\"*\"] }")

    def test_large_bodies_both_ways(self):
        """A 5xx with a large body, refused while the request's body is still coming."""
        def play(conn):
            while True:
                conn.read_head()
                conn.send(http_reply(b"e" * 300_000, status="503 Service Unavailable"))
                conn.read_body(conn.requests[-1])

        legacy, new = self.backend(), self.peer(Peer(play))
        shunt = self.shunt(config(legacy, new, routes=self.ROUTES, workers=1))
        client = self.client(shunt)
        for size in (0, 5, 3000, 60_000):
            for _ in range(5):
                body = b"u" * size
                client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + body[: size // 2])
                new_seen = len(new.requests)
                client.send(body[size // 2 :])
                reply = client.reply("POST")
                self.assertIn((reply.status, reply.get("x-backend")), ((200, "legacy"),), f"{size} {new_seen}")
        self.assertEqual({len(r.body) for r in legacy.requests}, {0, 5, 3000, 60_000})

    def test_the_clients_leaving_does_not_unsay_what_new_said(self):
        hold = threading.Event()
        legacy = self.backend(lambda _: (hold.wait(20), http_reply("ok"))[1])
        new = self.backend(lambda _: http_reply("no", status="503 Service Unavailable"), name="new")
        shunt = self.shunt(config(legacy, new, routes=self.ROUTES, workers=1))
        client = self.client(shunt)
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        legacy.wait_requests(1)
        client.close()
        wait_until(lambda: shunt.metric("shunt_client_gone_total") == 1, "the client's leaving")
        hold.set()
        wait_until(shunt.access, "the access log's line")
        self.assertEqual([line["outcome"] for line in shunt.access()], ["ok"])


class Chaos(Case):
    """Everything at once: nobody crashes, and in the end every gauge is back at zero."""

    ROUTES = ("  - name: r\n    match: { path: /** }\n    percent: 50\n    sticky: [ random ]\n    breaker: off\n"
              "    fallback: { on: [connect, timeout, reset, 5xx], methods: [\"*\"] }\n"
              "    shadow: { percent: 100, methods: [\"*\"], timeout: 300ms, max_buffer: 100KiB, max_in_flight: 20 }")
    GAUGES = ("downstream_active", "upstream_active", "upstream_queue", "tunnels_active", "shadow_in_flight", "shadow_buffered_bytes")

    def serve(self, conn, relayed_raw):
        """`relayed_raw`: passthrough hands on what a client sends, be it the half of a request with another behind it."""
        try:
            self.misbehave(conn)
        except (ProtocolError, ValueError):
            if not relayed_raw:
                raise

    @staticmethod
    def misbehave(conn):
        dice = random.Random(conn.number)
        while True:
            head = conn.read_head()
            how = dice.randrange(11)
            if how == 0:
                conn.reset()
                return
            if how == 1:
                return
            if how == 2:
                conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"z" * 70_000)
                conn.reset()
                return
            if how == 3:
                conn.send(http_reply(b"e" * 90_000, status="503 Service Unavailable"))
            if how == 4:
                conn.send(b"HTTP/1.1 nonsense\r\n\r\n")
            if how == 5:
                conn.wait_closed()
            conn.read_body(head)
            if how == 6:
                conn.send(b"HTTP/1.1 100 Continue\r\n\r\n" + http_reply(b"w" * 300_000))
            if how == 7:
                conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n" + b"c" * 65536 + b"\r\n0\r\n\r\n")
            if how == 8:
                conn.send(b"HTTP/1.0 200 OK\r\n\r\n" + b"u" * 50_000)
                return
            if how > 8:
                conn.send(http_reply("ok"))

    def test_short_of_descriptors(self):
        self.play(limit=70, flips=False)

    def test_with_flips_of_passthrough(self):
        self.play(limit=2000, flips=True)

    def play(self, limit, flips):
        backends = [self.peer(Peer(lambda conn: self.serve(conn, flips))) for _ in range(2)]
        text = lambda n: config(*backends, routes=self.ROUTES, workers=2, top="access_log: off",
                                backend_extra=f", max_connections: {2 + n % 3}, queue_timeout: 200ms",
                                timeouts=f"response: 300ms, request_body: 500ms, idle: {2 + n}s, stream_idle: 1s")
        shunt = self.shunt(text(0), limits={resource.RLIMIT_NOFILE: limit})
        stop = threading.Event()

        def use(seed):
            dice = random.Random(seed)
            while not stop.is_set():
                try:
                    with Client(shunt.address, timeout=5) as client:
                        for _ in range(dice.randrange(1, 5)):
                            size = dice.choice((0, 0, 3, 3000, 100_000, 300_000))
                            asked = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"b" * size
                            if size == 0:
                                asked = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n" * dice.randrange(1, 3)
                            client.send(asked[: dice.randrange(len(asked))] if dice.randrange(6) == 0 else asked)
                            what = dice.randrange(8)
                            if what == 0:
                                client.reset()
                                break
                            if what == 1:
                                client.half_close()
                            client.reply()
                except (OSError, AssertionError):
                    pass  # what one client gets is other tests' business

        users = [threading.Thread(target=use, args=(seed,)) for seed in range(30)]
        for user in users:
            user.start()
        for n in range(1, 8):
            time.sleep(0.4)  # some load between the changes
            shunt.reload(text(n))
            if flips:
                shunt.passthrough(n % 2 == 1)
        stop.set()
        for user in users:
            user.join(30)
        for gauge in self.GAUGES:
            wait_until(lambda: shunt.metric("shunt_" + gauge) == 0, lambda: f"{gauge}: {shunt.metric('shunt_' + gauge)}")


if __name__ == "__main__":
    main()
