"""Bounds and clocks: heads that are too large, peers that are too slow, too many connections, queues that are full."""

import time

from harness import Case, blackhole, config, main, refused_address, wait_until
from held import Held, thread_named

OK = r"send `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`"


class Sizes(Case):
    LIMITS = "limits: { header_bytes: 4KiB, header_count: 20, uri_bytes: 1KiB }"

    def refused(self, shunt, data, status):
        with shunt.client() as client:
            client.send(data)
            reply = client.reply()
            self.assertEqual(reply.status, status, data[:100])
            self.assertIn(client.ends(), ("closed", "reset"))

    def test_heads_over_the_limits_are_answered_414_and_431(self):
        backend = self.backend()
        shunt = self.shunt(config(backend, top=self.LIMITS))
        self.refused(shunt, b"GET /" + b"a" * 1100 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414)
        self.refused(shunt, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"b" * 5000 + b"\r\n\r\n", 431)
        self.refused(shunt, b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: b\r\n" * 25 + b"\r\n", 431)
        self.refused(shunt, b"GET / HTTP/1.1\r\nHost: a\r\n" + b"c" * 5000 + b": d\r\n\r\n", 431)
        self.assertEqual(backend.requests, [])
        with shunt.client() as client:
            self.assertEqual(client.get("/" + "a" * 900).status, 200)
            self.assertEqual(client.get(headers=["X: " + "b" * 3500]).status, 200)
            self.assertEqual(client.get(headers=["X: b"] * 18).status, 200)

    def test_refusal_does_not_wait_for_the_heads_end(self):
        shunt = self.shunt(config(self.backend(), top=self.LIMITS))
        self.refused(shunt, b"GET /" + b"a" * 5000, 414)
        self.refused(shunt, b"GET / HTTP/1.1\r\nX: " + b"a" * 5000, 431)

    def test_default_limits_admit_what_is_usual(self):
        shunt = self.shunt(config(self.backend()))
        with shunt.client() as client:
            self.assertEqual(client.get("/" + "a" * 7000, ["X: " + "b" * 7000]).status, 200)
            self.assertEqual(client.get("/", [f"X-{i}: {i}" for i in range(80)]).status, 200)

    def test_a_response_head_over_the_limit_is_502(self):
        backend = self.script([r"read request; send `HTTP/1.1 200 OK\r\n`; fill 400000; hang",
                               r"read request; " + OK + "; loop"])
        shunt = self.shunt(config(backend))
        reply = shunt.get()
        self.assertEqual(reply.status, 502)
        self.assertEqual(shunt.get().status, 200)


class Clocks(Case):
    def test_slow_head_is_408(self):
        shunt = self.shunt(config(self.backend(), timeouts="request_header: 300ms"))
        with shunt.client() as client:
            began = time.monotonic()
            client.send("GET / HTTP/1.1\r\nHost")
            reply = client.reply()
            self.assertEqual(reply.status, 408)
            self.assertGreaterEqual(time.monotonic() - began, 0.25)
            self.assertIn(client.ends(), ("closed", "reset"))

    def test_a_dripping_head_gains_no_time(self):
        shunt = self.shunt(config(self.backend(), timeouts="request_header: 400ms"))
        with shunt.client() as client:
            began = time.monotonic()
            try:
                while time.monotonic() - began < 5:
                    client.send("X")
                    time.sleep(0.05)
                    client.socket.setblocking(False)
                    try:
                        piece = client.socket.recv(1000)
                        break
                    except BlockingIOError:
                        piece = None
                    finally:
                        client.socket.settimeout(5)
            except (ConnectionResetError, BrokenPipeError):
                piece = b""
            self.assertIsNotNone(piece, "a dripping client was not cut off")
            self.assertLess(time.monotonic() - began, 4)

    def test_slow_second_head_of_a_kept_connection_is_408(self):
        shunt = self.shunt(config(self.backend(), timeouts="request_header: 300ms"))
        with shunt.client() as client:
            self.assertEqual(client.get().status, 200)
            client.send("GET /2 HTTP/1.1\r\n")
            self.assertEqual(client.reply().status, 408)

    def test_slow_body_is_408_and_the_backend_hears_no_end(self):
        backend = self.script(r"read request; " + OK)
        shunt = self.shunt(config(backend, timeouts="request_body: 300ms"))
        with shunt.client() as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
            self.assertEqual(client.reply().status, 408)
        wait_until(lambda: backend.open == 0, "the upstream connection to end")
        self.assertFalse(any(r.complete for r in backend.requests))

    def test_a_body_in_progress_is_not_timed_out(self):
        backend = self.backend()
        shunt = self.shunt(config(backend, timeouts="request_body: 600ms"))
        with shunt.client() as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
            for i in range(10):
                time.sleep(0.12)
                client.send("x")
            self.assertEqual(client.reply().status, 200)

    def test_backend_that_does_not_answer_is_504(self):
        backend = self.script(r"read request; hang")
        shunt = self.shunt(config(backend, timeouts="response: 300ms"))
        began = time.monotonic()
        self.assertEqual(shunt.get().status, 504)
        self.assertGreaterEqual(time.monotonic() - began, 0.25)
        wait_until(lambda: backend.open == 0, "the upstream connection to be closed")

    def test_an_answer_that_came_while_the_worker_stood_still_is_not_late(self):
        """As when the process is stopped for longer than the backend may take: what is there is looked at before the clock."""
        backend = self.script("read request; wait 200; " + OK)
        shunt = self.shunt(config(backend, workers=1, timeouts="response: 2s"))
        with shunt.client() as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            backend.wait_requests(1)
            with Held(thread_named(shunt.process.pid, "worker 0")):
                time.sleep(2.5)  # what is measured
            self.assertEqual(client.reply().status, 200)

    def test_a_slow_request_body_does_not_count_against_the_response(self):
        backend = self.backend()
        shunt = self.shunt(config(backend, timeouts="response: 500ms"))
        with shunt.client() as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
            for letter in "hello":
                time.sleep(0.2)
                client.send(letter)
            self.assertEqual(client.reply().status, 200)

    def test_connect_to_a_black_hole_is_504(self):
        kept, url = blackhole()
        shunt = self.shunt(config(url, timeouts="connect: 300ms"))
        began = time.monotonic()
        self.assertEqual(shunt.get().status, 504)
        self.assertLess(time.monotonic() - began, 5)
        for sock in kept:
            sock.close()

    def test_nobody_listening_is_502_or_503_at_once(self):
        kept, url = refused_address()
        shunt = self.shunt(config(url))
        began = time.monotonic()
        self.assertIn(shunt.get().status, (502, 503))
        self.assertLess(time.monotonic() - began, 1)
        kept.close()

    def test_a_response_that_stops_is_broken_off(self):
        backend = self.script(r"read request; send `HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc`; hang")
        shunt = self.shunt(config(backend, timeouts="stream_idle: 300ms"))
        with shunt.client() as client:
            reply = client.get()
            self.assertTrue(reply.truncated)
            self.assertEqual(reply.status, 200)

    def test_a_response_in_progress_is_not_timed_out(self):
        backend = self.script(r"read request; send `HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n`; drip `0123456789` 120; loop")
        shunt = self.shunt(config(backend, timeouts="stream_idle: 600ms, response: 600ms"))
        self.assertEqual(shunt.get().body, b"0123456789")

    def test_idle_connections_are_closed_without_a_word(self):
        shunt = self.shunt(config(self.backend(), timeouts="idle: 300ms"))
        with shunt.client() as client:
            self.assertEqual(client.get().status, 200)
            self.assertEqual(client.ends(), "closed")
        with shunt.client() as client:  # never said anything
            self.assertEqual(client.ends(), "closed")

    def test_slowloris_does_not_keep_others_out(self):
        """500 connections that never finish their head: others are served, the slow ones are cut off, nothing is left."""
        backend = self.backend()
        shunt = self.shunt(config(backend, timeouts="request_header: 1500ms"))
        before = shunt.fds()
        slow = []
        for i in range(500):
            client = shunt.client()
            client.send("GET / HTTP/1.1\r\nHost: a\r\nX-a: b\r\n")
            slow.append(client)
        for _ in range(10):
            began = time.monotonic()
            self.assertEqual(shunt.get().status, 200)
            self.assertLess(time.monotonic() - began, 1)
        for client in slow:
            data = b""
            try:
                data = client.read_to_end()
            except ConnectionResetError:
                pass
            self.assertIn(data[:12], (b"HTTP/1.1 408", b""))
            client.close()
        wait_until(lambda: shunt.fds() <= before + 4, lambda: f"descriptors to return to {before}, have {shunt.fds()}")
        self.assertEqual(len(backend.requests), 10)


class Connections(Case):
    def test_over_the_connection_limit_new_ones_wait_and_are_then_served(self):
        shunt = self.shunt(config(self.backend(), top="limits: { connections: 4 }", workers=1))
        kept = [shunt.client() for _ in range(4)]
        for client in kept:
            self.assertEqual(client.get().status, 200)
        late = shunt.client()
        late.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        late.socket.settimeout(0.3)
        with self.assertRaises(TimeoutError):
            late.reply()
        for client in kept:
            self.assertEqual(client.get().status, 200)
        kept.pop().close()
        late.socket.settimeout(10)
        self.assertEqual(late.reply().status, 200)
        for client in [late, *kept]:
            client.close()

    def test_queue_overflow_is_503_at_once_and_queue_timeout_503_later(self):
        backend = self.script(r"read request; wait 4000; " + OK + "; loop")
        shunt = self.shunt(config(backend, workers=1,
                                  backend_extra=", max_connections: 1, queue: 2, queue_timeout: 1500ms"))
        clients = []
        for i in range(3):  # one is served, two wait
            client = shunt.client()
            client.send(f"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n")
            clients.append(client)
            if i == 0:
                backend.wait_requests(1)
        wait_until(lambda: shunt.metric("shunt_upstream_queue") == 2, "two exchanges in the queue")
        began = time.monotonic()
        self.assertEqual(shunt.get("/over").status, 503)
        self.assertLess(time.monotonic() - began, 1.4)
        self.assertEqual([client.reply().status for client in clients], [200, 503, 503])
        for client in clients:
            client.close()
        self.assertEqual(len(backend.conns), 1)
        self.assertEqual([r.target for r in backend.requests], ["/0"])

    def test_those_in_the_queue_are_served_in_order(self):
        backend = self.script(r"read request; wait 30; " + OK + "; loop")
        shunt = self.shunt(config(backend, workers=1,
                                  backend_extra=", max_connections: 1, queue: 50, queue_timeout: 20s"))
        clients = []
        for i in range(10):
            client = shunt.client()
            client.send(f"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n")
            clients.append(client)
            time.sleep(0.005)
        self.assertEqual([client.reply().status for client in clients], [200] * 10)
        self.assertEqual(len(backend.conns), 1)
        self.assertEqual([r.target for r in backend.requests], [f"/{i}" for i in range(10)])
        for client in clients:
            client.close()

    def test_a_client_that_leaves_the_queue_is_never_sent(self):
        backend = self.script(r"read request; wait 600; " + OK + "; loop")
        shunt = self.shunt(config(backend, workers=1,
                                  backend_extra=", max_connections: 1, queue: 10, queue_timeout: 20s"))
        first = shunt.client()
        first.send("GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
        backend.wait_requests(1)
        second = shunt.client()
        second.send("GET /second HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: shunt.metric("shunt_upstream_queue") == 1, "the second in the queue")
        second.reset()
        wait_until(lambda: shunt.metric("shunt_upstream_queue") == 0, "the queue to be empty")
        self.assertEqual(first.reply().status, 200)
        self.assertEqual(shunt.get("/third").status, 200)
        self.assertEqual([r.target for r in backend.requests], ["/first", "/third"])
        first.close()

    def test_upstream_idle_connections_are_closed_after_their_time(self):
        backend = self.backend()
        shunt = self.shunt(config(backend, backend_extra=", idle_timeout: 300ms"))
        self.assertEqual(shunt.get().status, 200)
        wait_until(lambda: backend.open == 0, "the idle upstream connection to be closed")
        self.assertEqual(shunt.get().status, 200)


if __name__ == "__main__":
    main()
