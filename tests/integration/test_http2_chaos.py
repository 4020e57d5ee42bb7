"""HTTP/2 where things happen at the same time: who gives up, refuses, resets or leaves while others are in the middle of it."""

import threading

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


if __name__ == "__main__":
    main()
