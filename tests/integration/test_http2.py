"""All four translations between HTTP/1.1 and HTTP/2, in clear and over TLS: nothing of a message is lost or added on the way."""

import functools
import os
import threading

from certificates import authority
from either import TRANSLATIONS, Answer, backend, client, interim_of
from harness import Case, Ended, ProtocolError, config, main, wait_until
from http2 import H2Client
from http2_frames import CANCEL, INTERNAL_ERROR, NO_ERROR


def over(kinds):
    """Runs a test once for each of (client's version, backend's, whether over TLS), as a subTest."""
    def wrap(test):
        @functools.wraps(test)
        def run(self):
            for front, back, *tls in kinds:
                with self.subTest(f"{front} to {back}", tls=bool(tls and tls[0])):
                    test(self, front, back, *tls)
        del run.__wrapped__
        return run
    return wrap


translated = over(TRANSLATIONS)
translated_and_encrypted = over([(front, back, tls) for tls in (False, True) for front, back in TRANSLATIONS])


class Translation(Case):
    def begin(self, back, handler=None, tls=False, **options):
        self.legacy = self.peer(backend(back, handler, tls=tls))
        listener = [f"tls: {{ {authority().issue().keys} }}"] if tls else []
        return self.shunt(config(self.legacy, listener=listener, **{"top": "access_log: off", **options}))

    def seen(self, count=1):
        return self.legacy.wait_requests(count, complete=True)[count - 1]

    @translated_and_encrypted
    def test_heads(self, front, back, tls):
        """Status, names (in lower case for HTTP/2), values, order, and fields that come twice."""
        answer = Answer(b"body", 418, [("x-One", "1") if back == 1 else ("x-one", "1"), ("set-cookie", "a=1"), ("set-cookie", "b=2"),
                                       ("x-bytes", "\xe4\xff"), ("x-empty", "")])
        shunt = self.begin(back, lambda request_: answer, tls)
        with client(shunt.address, front, tls) as one:
            reply = one.get("/a%20b?c=d&e", ["X-Up: Value", "X-Many: 1", "X-Many: 2", "X-Empty: "], method="DELETE",
                            authority="orders.test:81")
        self.assertEqual((reply.status, reply.body), (418, b"body"))
        self.assertEqual((reply.all("set-cookie"), reply.all("x-one")), (["a=1", "b=2"], ["1"]))
        self.assertEqual((reply.get("x-bytes"), reply.get("x-empty"), reply.get("content-length")), ("\xe4\xff", "", "4"))
        seen = self.seen()
        self.assertEqual((seen.method, seen.target), ("DELETE", "/a%20b?c=d&e"))
        self.assertEqual((seen.all("x-up"), seen.all("x-many"), seen.all("x-empty")), (["Value"], ["1", "2"], [""]))
        host = seen.authority if back == 2 else seen.get("host")
        self.assertEqual(host, "orders.test:81")
        if back == 2:
            self.assertEqual((seen.scheme, seen.all("host")), ("https" if tls else "http", []))
        self.assertEqual(seen.get("x-forwarded-proto"), "https" if tls else "http")
        self.assertRegex(seen.get("via"), r"^2(\.0)? " if front == 2 else r"^1\.1 ")
        self.assertEqual([seen.all(name) for name in ("transfer-encoding", "content-length", "connection")], [[], [], []])

    @translated
    def test_every_status(self, front, back):
        shunt = self.begin(back, lambda request_: Answer(b"" if request_.target[1:] in ("204", "205", "304") else b"x",
                                                         int(request_.target[1:])))
        with client(shunt.address, front) as one:
            for status in (200, 201, 204, 205, 206, 301, 304, 400, 404, 421, 451, 500, 503, 599):
                reply = one.get(f"/{status}")
                self.assertEqual((reply.status, reply.truncated), (status, False))

    @translated
    def test_head_requests(self, front, back):
        shunt = self.begin(back, lambda request_: Answer(b"", headers=[("content-length", "12345")]) if request_.method == "HEAD"
                           else Answer(b"next"))
        with client(shunt.address, front) as one:
            reply = one.get(method="HEAD")
            self.assertEqual((reply.status, reply.get("content-length"), reply.body), (200, "12345", b""))
            self.assertEqual(one.get().body, b"next")

    @translated
    def test_cookies_are_joined_and_split(self, front, back):
        shunt = self.begin(back)
        with client(shunt.address, front) as one:
            one.get(headers=["Cookie: a=1", "Cookie: b=2", "Cookie: c=3; d=4"] if front == 2 else ["Cookie: a=1; b=2; c=3; d=4"])
        cookies = self.seen().all("cookie")
        self.assertEqual("; ".join(cookies), "a=1; b=2; c=3; d=4")
        if back == 1:
            self.assertEqual(len(cookies), 1, "RFC 9113 section 8.2.3")

    @translated_and_encrypted
    def test_trailers_both_ways(self, front, back, tls):
        shunt = self.begin(back, lambda request_: Answer(b"down", trailers=[("x-sum", "abc"), ("x-more", "")]), tls)
        with client(shunt.address, front, tls) as one:
            reply = one.get("/", ["TE: trailers"], "POST", b"up", [("x-up-sum", "def")])
            self.assertEqual(reply.body, b"down")
            self.assertEqual([(name.lower(), value) for name, value in reply.trailers], [(b"x-sum", b"abc"), (b"x-more", b"")])
            self.assertEqual(one.get().status, 200)
        seen = self.seen()
        self.assertEqual([(name.lower(), value) for name, value in seen.trailers], [(b"x-up-sum", b"def")])
        self.assertEqual(seen.body, b"up")

    @translated
    def test_interim_answers(self, front, back):
        shunt = self.begin(back, lambda request_: Answer(b"x", interim=[(103, [("link", "</a>")]), (103, [("link", "</b>")])]))
        with client(shunt.address, front) as one:
            reply = one.get()
            self.assertEqual(interim_of(reply), [(103, [(b"link", b"</a>")]), (103, [(b"link", b"</b>")])])
            self.assertEqual((reply.status, reply.body), (200, b"x"))

    @translated
    def test_100_continue(self, front, back):
        shunt = self.begin(back)
        with client(shunt.address, front) as one:
            reply = one.get("/", ["Expect: 100-continue"], "POST", b"body")
            self.assertEqual(reply.status, 200)
        self.assertEqual(self.seen().body, b"body")

    @translated_and_encrypted
    def test_bodies_of_known_and_unknown_length(self, front, back, tls):
        body = os.urandom(700000)
        pieces = lambda: (body[at : at + 50000] for at in range(0, len(body), 50000))
        shunt = self.begin(back, lambda request_: Answer(request_.body if request_.target == "/known" else pieces()), tls)
        with client(shunt.address, front, tls) as one:
            for path, sent in (("/known", body), ("/unknown", pieces()), ("/known", b"")):
                reply = one.get(path, [("content-length", str(len(sent)))] if front == 2 and isinstance(sent, bytes) else [],
                                "PUT", sent)
                expected = b"" if sent == b"" else body
                self.assertEqual((reply.body == expected, reply.truncated), (True, False), path)
                if path == "/known":
                    self.assertEqual(reply.get("content-length"), str(len(expected)))
        known, unknown = self.seen(1), self.seen(2)
        self.assertEqual(known.get("content-length"), str(len(body)))
        self.assertEqual((unknown.body == body, unknown.all("content-length")), (True, []))
        if back == 1:
            self.assertEqual((known.all("transfer-encoding"), unknown.all("transfer-encoding")), ([], ["chunked"]))

    @translated
    def test_both_directions_stream(self, front, back):
        """The client has the first half before the backend sends the second, and the other way round."""
        go = threading.Event()

        def pieces():
            yield b"first,"
            while not go.wait(0.002):
                yield b""
            yield b"second"

        shunt = self.begin(back, lambda request_: Answer(pieces()))
        with client(shunt.address, front) as one:
            one.start()
            if front == 1:
                one.client.head()
                one.client.read_until(b"first,")
                go.set()
                self.assertIn(b"second", one.client.read_until(b"0\r\n\r\n"))
            else:
                one.until(lambda: one.last.size == 6, "the first half")
                go.set()
                self.assertEqual(one.reply(one.last).body, b"first,second")

    @translated_and_encrypted
    def test_a_backend_that_breaks_off_is_noticed(self, front, back, tls):
        """Inside the body: HTTP/2 hears RST_STREAM and its connection goes on; HTTP/1.1 gets no whole message."""
        answers = {"/known": lambda: Answer(b"half", length=8, code=INTERNAL_ERROR),
                   "/unknown": lambda: Answer(iter([b"half"]), code=INTERNAL_ERROR), "/ok": lambda: Answer(b"ok")}
        shunt = self.begin(back, lambda request_: answers[request_.target](), tls)
        for path in ("/known", "/unknown"):
            with client(shunt.address, front, tls) as one:
                one.start(path)
                if front == 1:
                    reply = one.client.reply()
                    self.assertTrue(reply.truncated or reply.status == 502, reply)
                else:
                    one.until(lambda: one.last.over, "the end")
                    self.assertNotIn(one.last.reset, (None, NO_ERROR))
                    self.assertEqual(one.last.size, 4, "what had come is the client's")
                    self.assertEqual(one.get("/ok").body, b"ok")

    @translated_and_encrypted
    def test_a_client_that_leaves_is_told_to_the_backend(self, front, back, tls):
        shunt = self.begin(back, lambda request_: None if request_.target == "/hold" else Answer(b"ok"), tls)
        with client(shunt.address, front, tls) as one:
            one.start("/hold")
            held = self.legacy.wait_requests(1, complete=True)[0]
            one.leave()
            if back == 1:
                wait_until(lambda: self.legacy.open == 0, "the backend's connection to end")
            else:
                wait_until(lambda: held.stream.reset == CANCEL, lambda: f"CANCEL at the backend, have {held.stream.reset}")
            if front == 2:
                self.assertEqual(one.get("/next").body, b"ok")
        with client(shunt.address, front, tls) as one:
            self.assertEqual(one.get("/next").body, b"ok")
        if back == 2:
            self.assertEqual(len(self.legacy.conns), len({held.conn, *(r.conn for r in self.legacy.requests)}))
        wait_until(lambda: shunt.metric("shunt_requests_in_flight") == 0, "nothing under way")
        self.assertGreaterEqual(shunt.metric("shunt_client_gone_total"), 1)

    @translated
    def test_a_client_that_leaves_inside_its_body(self, front, back):
        shunt = self.begin(back)
        if front == 1:
            with shunt.client() as one:
                one.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf")
                self.legacy.wait_requests(1)
        else:
            with H2Client(shunt.address) as one:
                stream = one.open(method="POST", end=False)
                one.data(stream, b"half")
                self.legacy.wait_requests(1)
        wait_until(lambda: shunt.metric("shunt_requests_in_flight") == 0, "nothing under way")
        self.assertFalse(self.legacy.requests[0].complete)
        if back == 2:
            wait_until(lambda: self.legacy.requests[0].stream.reset is not None, "RST_STREAM at the backend")

    def test_an_answer_before_the_body_has_come(self):
        for front in (1, 2):
            legacy = self.script(r"read head; send `HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig`; close")
            shunt = self.shunt(config(legacy))
            if front == 1:
                with shunt.client() as one:
                    one.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nhalf")
                    self.assertEqual(one.reply().status, 413)
            else:
                with H2Client(shunt.address) as one:
                    stream = one.open(method="POST", end=False)
                    one.data(stream, b"half")
                    one.until(lambda: stream.ended, "413")
                    self.assertEqual((one.made(stream).status, one.made(stream).body), (413, b"big"))
                    one.until(lambda: stream.reset is not None, "RST_STREAM")
                    self.assertEqual(stream.reset, NO_ERROR, "RFC 9113 section 8.1")

    @translated
    def test_large_heads(self, front, back):
        value = "x" * 6000
        shunt = self.begin(back, lambda request_: Answer(b"ok", headers=[(f"x-{i}", value) for i in range(5)]))
        with client(shunt.address, front) as one:
            reply = one.get(headers=[f"X-{i}: {value}" for i in range(5)])
        self.assertEqual([reply.get(f"x-{i}") == value for i in range(5)], [True] * 5)
        self.assertEqual([self.seen().get(f"x-{i}") == value for i in range(5)], [True] * 5)

    @translated
    def test_what_belongs_to_one_connection_stays_there(self, front, back):
        shunt = self.begin(back, lambda request_: Answer(b"ok", headers=[
            ("Keep-Alive", "timeout=5"), ("Connection", "X-Hop"), ("X-Hop", "1")] if back == 1 else []))
        with client(shunt.address, front) as one:
            reply = one.get(headers=["Connection: X-Hop, keep-alive", "X-Hop: 1", "Keep-Alive: 5"] if front == 1 else [])
            self.assertEqual(reply.all("keep-alive") + reply.all("x-hop"), [])
        seen = self.seen()
        self.assertEqual(seen.all("keep-alive") + seen.all("x-hop"), [])

    def test_errors_of_our_own(self):
        """A backend that is not there: 502 or 503, whole, in either version."""
        for front in (1, 2):
            shunt = self.shunt(config("http://127.0.0.1:9"))
            with client(shunt.address, front) as one:
                reply = one.get()
                self.assertIn(reply.status, (502, 503))
                self.assertFalse(reply.truncated)

    @translated
    def test_one_client_after_the_other_shares_the_backends_connection(self, front, back):
        shunt = self.begin(back, workers=1)
        for _ in range(5):
            with client(shunt.address, front) as one:
                self.assertEqual(one.get().status, 200)
        self.assertEqual(len(self.legacy.conns), 1)


class InClear(Case):
    def test_the_preface_decides_where_both_are_spoken(self):
        shunt = self.shunt(config(self.backend()))
        with H2Client(shunt.address) as one:
            self.assertEqual(one.get().status, 200)
        self.assertEqual(shunt.get().status, 200)

    def test_only_http1(self):
        shunt = self.shunt(config(self.backend(), listener=["protocols: [http/1.1]"]))
        self.assertEqual(shunt.get().status, 200)
        with self.assertRaises((Ended, ProtocolError)), H2Client(shunt.address) as one:  # it answers in HTTP/1.1: 505
            one.get()

    def test_only_http2(self):
        shunt = self.shunt(config(self.backend(), listener=["protocols: [h2]"]))
        with H2Client(shunt.address) as one:
            self.assertEqual(one.get().status, 200)
        with shunt.client() as one:
            reply = one.get()
        self.assertEqual((reply.status, reply.body), (505, b"this listener speaks HTTP/2 alone\n"))

    def test_an_upgrade_to_h2c_is_ignored(self):
        legacy = self.backend()
        shunt = self.shunt(config(legacy))
        with shunt.client() as one:
            reply = one.get(headers=["Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__"])
            self.assertEqual(reply.status, 200)
            self.assertEqual(one.get().status, 200)
        self.assertEqual(legacy.requests[0].all("upgrade") + legacy.requests[0].all("http2-settings"), [])


if __name__ == "__main__":
    main()
