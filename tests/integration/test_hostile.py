"""Hostile bytes: every case of hostile/requests.json and hostile/responses.json, whole and one byte at a time.

After each case shunt lives, the next clean request is answered, and what reached the backend is checked: nothing, or exactly
what is sane. The form of the cases is told in hostile/README.md.
"""

import json
import os
import re
import socket
import struct

from harness import Case, Client, Ended, Peer, config, http_reply, main, wait_until

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hostile")
SPLIT_BELOW = 500


def load_cases(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as f:
        return json.load(f)


def bytes_of(parts):
    if isinstance(parts, str):
        parts = [parts]
    return b"".join((part if isinstance(part, str) else part["repeat"] * part["times"]).encode("latin-1")
                    for part in parts)


def allowed(statuses):
    return statuses if isinstance(statuses, list) else [statuses]


class Witness(Client):
    """A client that remembers every byte it got."""

    raw = b""

    def _more(self):
        had = len(self.buffer)
        more = super()._more()
        self.raw += self.buffer[had:]
        return more


class SaneBackend(Peer):
    """Answers whole requests with `ok`, keeps every byte, and knows which requests were complete."""

    def __init__(self):
        self.seen = b""
        self.complete = 0
        super().__init__(self._play)

    def note_bytes(self, conn, piece):
        with self.lock:
            self.seen += piece

    def begin(self):
        with self.lock:
            self.seen, self.complete = b"", 0

    def _play(self, conn):
        while True:
            conn.read_request()
            with self.lock:
                self.complete += 1
            conn.send(http_reply("ok"))


class ScriptedBackend(Peer):
    """The first request after `answer` was set gets the case's bytes, every other one `ok` and the number of its connection."""

    def __init__(self):
        self.answer = None
        self.played = None
        super().__init__(self._play)

    def _play(self, conn):
        while True:
            conn.read_request()
            answer, self.answer = self.answer, None
            if answer is None:
                conn.send(http_reply("ok", headers=[f"X-Connection: {conn.number}"]))
                continue
            data, split, then = answer
            self.played = conn.number
            for i in range(0, len(data), 1 if split else len(data) or 1):
                conn.send(data[i : i + 1] if split else data)  # ends the connection when shunt has seen enough
            if then == "reset":
                conn.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if then != "keep":
                return

    def close_all(self):
        with self.lock:
            conns = list(self.conns)
        for conn in conns:
            try:
                conn.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        wait_until(lambda: self.open == 0, "the former backend connections to end")


class Hostile(Case):
    def each(self, cases, run):
        """Runs every case whole and, where it is short, in single bytes. All that fail are told."""
        names = [case["name"] for case in cases]
        self.assertEqual(len(names), len(set(names)), "names are unique")
        self.assertGreaterEqual(len(cases), 100)
        for case in cases:
            data = bytes_of(case["bytes"])
            for split in (False, True) if len(data) < SPLIT_BELOW else (False,):
                with self.subTest(case["name"], split=split):
                    run(case, data, split)
                    self.assertTrue(self.front.alive(), "shunt has ended")

    def send(self, client, data, split):
        """The program may have answered and closed before all is sent."""
        try:
            if split:
                client.drip(data)
            else:
                client.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    # ---- requests ----

    def test_requests(self):
        self.upstream = self.peer(SaneBackend())
        self.front = self.shunt(config(self.upstream, workers=1))
        self.each(load_cases("requests.json"), self.run_request)

    def run_request(self, case, data, split):
        self.upstream.begin()
        methods = re.findall(rb"(?:^|\n|\x00)([A-Z]+) [^\r\n]* HTTP/1\.[01]\r?\n", data)
        with self.front.client(timeout=10) as client:
            self.send(client, data, split)
            if case.get("half_close"):
                client.half_close()
            self.check_answers(case, client, [method.decode() for method in methods])
        self.check_what_arrived(case)
        self.check_clean_request(case)

    def check_answers(self, case, client, methods):
        expected = [case["expect"], *case.get("then", [])]
        for i, statuses in enumerate(expected):
            try:
                reply = client.reply(methods[i] if i < len(methods) else "GET")
            except (Ended, ConnectionResetError) as error:
                if i == 0 and case.get("may_be_silent"):
                    return
                raise AssertionError(f"answer {i + 1} of {len(expected)} did not come: {error}") from None
            self.assertIn(reply.status, allowed(statuses), reply)
            self.assertFalse(reply.truncated, reply)
        if case.get("closes"):
            self.assertIn(client.ends(10), ("closed", "reset"), "the connection must be closed")
        elif case.get("closes") is False and not case.get("half_close"):
            self.assertEqual(client.get("/behind").status, 200, "the connection must go on")

    def check_what_arrived(self, case):
        peer = self.upstream
        if case.get("reaches_backend"):
            wait_until(lambda: peer.complete >= 1, lambda: f"a complete request at the backend, which has seen {peer.seen!r}", 5)
        elif case.get("part_may_reach"):
            wait_until(lambda: self.front.metric("shunt_upstream_active") == 0,
                       "the connection with half a message to end", 5)
            self.assertEqual(peer.complete, 0, f"the backend has got {peer.seen!r}")
        else:
            self.assertEqual(peer.seen, b"", "nothing may reach the backend")
        for text in case.get("backend_sees", []):
            self.assertIn(text.encode("latin-1"), peer.seen)
        for text in case.get("backend_lacks", []):
            self.assertNotIn(text.encode("latin-1"), peer.seen)

    def check_clean_request(self, case):
        self.upstream.begin()
        with self.front.client(timeout=10) as client:
            self.assertEqual(client.get("/clean").status, 200)
            self.assertEqual(client.buffer, b"")
        if case.get("part_may_reach"):  # that part may be read only now, from its own connection
            self.assertIn(b"GET /clean HTTP/1.1\r\n", self.upstream.seen)
        else:
            self.assertTrue(self.upstream.seen.startswith(b"GET /clean HTTP/1.1\r\n"), self.upstream.seen)
        self.assertEqual(self.upstream.complete, 1, f"more than the clean request has arrived: {self.upstream.seen!r}")

    # ---- responses ----

    def test_responses(self):
        self.upstream = self.peer(ScriptedBackend())
        self.front = self.shunt(config(self.upstream, workers=1))
        self.each(load_cases("responses.json"), self.run_response)

    def run_response(self, case, data, split):
        self.upstream.close_all()
        wait_until(lambda: self.front.metric("shunt_upstream_idle") == 0, "no kept connection", 5)
        self.upstream.answer = (data, split, case["then"])
        ask = bytes_of(case.get("request", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"))
        with Witness(self.front.address, timeout=10) as client:
            client.send(ask)
            self.check_response(case, client, ask.split(b" ", 1)[0].decode())
        self.check_next(case)

    def check_response(self, case, client, method):
        try:
            reply = client.reply(method)
        except (Ended, ConnectionResetError) as error:
            self.assertTrue(case.get("truncated"), f"no answer: {error}")
            return
        self.assertIn(reply.status, allowed(case["status"]), reply)
        if case.get("truncated"):
            self.assertTrue(reply.status == 502 or reply.truncated, f"the client must notice: {reply}")
        else:
            self.assertFalse(reply.truncated, reply)
        if "body" in case and reply.status != 502:
            body = reply.body if reply.status != 101 else client.read_exact(len(case["body"]))
            self.assertEqual(body, bytes_of(case["body"]))
        if case.get("client_closes"):
            self.assertIn(client.ends(10), ("closed", "reset"))
        for text in case.get("client_sees", []):
            self.assertIn(text.encode("latin-1"), client.raw)
        for text in case.get("client_lacks", []):
            self.assertNotIn(text.encode("latin-1"), client.raw)

    def check_next(self, case):
        if case.get("reused") is False:  # bytes behind a message may still be on their way when its answer is there
            wait_until(lambda: self.front.metric("shunt_upstream_idle") == 0, "the backend's connection to be closed",
                       5)
        with self.front.client(timeout=10) as client:
            reply = client.get("/next")
            self.assertEqual((reply.status, reply.body), (200, b"ok"), reply)
            self.assertEqual(client.buffer, b"")
        connection = int(reply.get("x-connection"))
        if case.get("reused") is True:
            self.assertEqual(connection, self.upstream.played, "the backend's connection must be used again")
        elif case.get("reused") is False:
            self.assertNotEqual(connection, self.upstream.played, "the backend's connection must not be used again")


if __name__ == "__main__":
    main()
