"""Hostile bytes: every case of hostile/requests.json and hostile/responses.json against the real program. hostile/README.md says
what the keys mean."""

import json
import os
import socket

from harness import Case, Ended, Peer, PeerGone, config, main, wait_until

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hostile")
DRIP_BELOW = 500  # bytes: shorter requests are also sent one byte at a time
PLAIN = "GET /plain HTTP/1.1\r\nHost: h\r\n\r\n"


def load(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        return json.load(file)


def raw(spec):
    if isinstance(spec, str):
        return spec.encode("latin-1")
    return b"".join(raw(part) if isinstance(part, str) else part["repeat"].encode("latin-1") * part["times"] for part in spec)


def allowed(expected):
    return expected if isinstance(expected, list) else [expected]


class Recorder(Peer):
    """Answers `ok`, or plays a case's bytes; remembers what it was sent and which messages were cut off."""

    def __init__(self):
        self.cut = 0
        self.begin()
        super().__init__(self.serve)

    def begin(self, play=None):
        """Forgets; the next request that is not a plain one is answered with `play`: (bytes, then)."""
        self.todo = play
        self.cut = 0
        self.used = []
        if hasattr(self, "lock"):
            with self.lock:
                self.requests.clear()
                self.raw.clear()

    def serve(self, conn):
        while True:
            try:
                request = conn.read_request()
            except PeerGone:
                self.cut += 1 if conn.buffer or (conn.requests and not conn.requests[-1].complete) else 0
                raise
            self.used.append(conn.number)
            if self.todo is None or b" /plain " in request.head:
                conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                continue
            answer, then = self.todo
            conn.send(answer)
            if then == "close":
                return
            if then == "reset":
                conn.reset()
                return

    def seen(self):
        with self.lock:
            return b"".join(self.raw.values())

    def hang_up(self):
        """Ends every kept connection."""
        for conn in list(self.conns):
            try:
                conn.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        wait_until(lambda: self.open == 0, "the backend's connections to end")


class Hostile(Case):
    def setUp(self):
        super().setUp()
        self.recorder = self.peer(Recorder())
        self.program = self.shunt(config(self.recorder, workers=1))

    def check_alive(self):
        with self.program.client() as client:
            self.assertEqual(client.ask(PLAIN).status, 200)

    # ---- what clients send ----

    def answers(self, client, case):
        """Reads the answers a case asks for. False when the connection ended in (allowed) silence."""
        for expected in [case["expect"], *case.get("then", [])]:
            try:
                reply = client.reply()
            except (Ended, ConnectionResetError):
                if case.get("may_be_silent"):
                    return False
                raise
            self.assertIn(reply.status, allowed(expected))
        return True

    def play_request(self, case, drip):
        self.recorder.begin()
        client = self.client(self.program)
        try:
            if drip:
                client.drip(raw(case["bytes"]))
            else:
                client.send(raw(case["bytes"]))
            if case.get("half_close"):
                client.half_close()
        except OSError:
            pass  # it was refused before it had been sent
        goes_on = self.answers(client, case)
        if case["closes"] or not goes_on:
            self.assertIn(client.ends(), ("closed", "reset"))
        else:
            self.assertEqual(client.ask(PLAIN).status, 200)
        client.close()
        self.check_backend(case)

    def check_backend(self, case):
        recorder = self.recorder
        hostile = [r for r in recorder.requests if b" /plain " not in r.head]
        if case["reaches_backend"]:
            wait_until(lambda: any(r.complete for r in hostile), "a whole request at the backend")
        elif case.get("part_may_reach"):
            wait_until(lambda: not recorder.seen() or recorder.cut or not hostile, "the backend's connection to end")
            self.assertFalse([r for r in hostile if r.complete])
        else:
            self.assertEqual(hostile, [])
        for text in case.get("backend_sees", []):
            self.assertIn(text.encode("latin-1"), recorder.seen())
        for text in case.get("backend_lacks", []):
            self.assertNotIn(text.encode("latin-1"), recorder.seen())

    def test_requests_in_one_piece(self):
        cases = load("requests.json")
        self.assertGreaterEqual(len(cases), 100)
        for case in cases:
            with self.subTest(case["name"]):
                self.play_request(case, drip=False)
        self.check_alive()

    def test_requests_byte_by_byte(self):
        for case in load("requests.json"):
            if len(raw(case["bytes"])) < DRIP_BELOW:
                with self.subTest(case["name"]):
                    self.play_request(case, drip=True)
        self.check_alive()

    # ---- what backends answer ----

    def play_response(self, case):
        recorder = self.recorder
        recorder.hang_up()
        wait_until(lambda: self.program.metric("shunt_upstream_idle") == 0, "no kept connection")
        recorder.begin((raw(case["bytes"]), case["then"]))
        request = raw(case.get("request", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"))
        client = self.client(self.program)
        received = self.record(client)
        client.send(request)
        reply = client.reply("HEAD" if request.startswith(b"HEAD") else "GET")
        self.assertIn(reply.status, allowed(case["status"]))
        if "body" in case:
            self.assertEqual(reply.body, raw(case["body"]))
        if reply.status != 502:
            self.assertEqual(reply.truncated, case.get("truncated", False))
        if case.get("client_closes"):
            self.assertIn(client.ends(), ("closed", "reset"))
        for text in case.get("client_sees", []):
            self.assertIn(text.encode("latin-1"), bytes(received))
        for text in case.get("client_lacks", []):
            self.assertNotIn(text.encode("latin-1"), bytes(received))
        client.close()
        self.check_next(case)

    def record(self, client):
        """All bytes the client will receive, as they come."""
        received = bytearray()
        inner = client.socket

        class Tap:
            def recv(self, size):
                piece = inner.recv(size)
                received.extend(piece)
                return piece

            def __getattr__(self, name):
                return getattr(inner, name)

        client.socket = Tap()
        return received

    def check_next(self, case):
        if case.get("reused") is False:
            first = self.recorder.used[0]
            wait_until(lambda: self.program.metric("shunt_upstream_idle") == 0, f"connection {first} to be closed")
        self.check_alive()
        if "reused" in case:
            self.assertEqual(len(set(self.recorder.used)) == 1, case["reused"], self.recorder.used)

    def test_responses(self):
        cases = load("responses.json")
        self.assertGreaterEqual(len(cases), 100)
        for case in cases:
            with self.subTest(case["name"]):
                self.play_response(case)
        self.check_alive()


if __name__ == "__main__":
    main()
