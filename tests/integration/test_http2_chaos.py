"""HTTP/2 where things happen at the same time: who gives up, refuses, resets or leaves while others are in the middle of it."""

import threading
import time

from harness import Case, config, main, wait_until
from http2 import CANCEL, INITIAL_WINDOW_SIZE, Answer, H2Backend

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


if __name__ == "__main__":
    main()
