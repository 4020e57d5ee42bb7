"""HTTP/2 where things happen at the same time: who gives up, refuses, resets or leaves while others are in the middle of it."""

import resource
import threading
import time

from harness import Case, Peer, config, http_reply, main, wait_until
from http2 import CANCEL, INITIAL_WINDOW_SIZE, Answer, H2Backend, goaway

ENDLESS = 1 << 30  # a window that nobody fills


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
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
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


if __name__ == "__main__":
    main()
