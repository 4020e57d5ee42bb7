"""The harness itself, without shunt: peers do what their script says, the client refuses what is not HTTP, counts are true."""

import socket
import ssl
import threading

from certificates import DAY, authority, client_context, server_context, stranger
from grpc_peer import GrpcBackend, GrpcClient
from harness import Case, Client, Ended, Load, Metrics, ProtocolError, Script, blackhole, http_reply, load, main, wait_until
from http2 import Answer, H2Backend, H2Client
from http2_frames import CONTINUATION, DATA, INTERNAL_ERROR, PUSH_PROMISE, frame, headers
from tls_peer import TlsBackend, TlsClient, handshake


class ScriptTest(Case):
    def test_plays_steps_in_order(self):
        peer = self.script(r"read head; send `HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n`; send `a\x00\`z`; close")
        with Client(peer.address) as client:
            reply = client.get("/x")
            self.assertEqual(reply.body, b"a\x00`z")
            self.assertEqual(client.ends(), "closed")
        self.assertEqual(peer.requests[0].target, "/x")

    def test_reset_inside_a_body_is_a_truncated_reply(self):
        peer = self.script(r"read head; send `HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1234`; wait 20; reset")
        with Client(peer.address) as client:
            reply = client.get()
            self.assertTrue(reply.truncated)
            self.assertIn(reply.body, (b"1234", b""))

    def test_one_script_per_connection_and_the_last_for_the_rest(self):
        peer = self.script([r"close", r"read request; send `HTTP/1.1 204 No Content\r\n\r\n`; loop"])
        with Client(peer.address) as client:
            self.assertEqual(client.ends(), "closed")
        with Client(peer.address) as client:
            self.assertEqual([client.get().status for _ in range(3)], [204] * 3)

    def test_unreadable_script_is_refused(self):
        with self.assertRaises(ValueError):
            Script.parse("read heads")

    def test_blackhole_does_not_answer(self):
        kept, url = blackhole()
        sock = socket.socket()
        sock.settimeout(0.3)
        with self.assertRaises(TimeoutError):
            sock.connect(("127.0.0.1", int(url.rsplit(":", 1)[1])))
        for one in [sock, *kept]:
            one.close()


class ClientTest(Case):
    def answer(self, data):
        """What the client makes of these bytes."""
        ours, theirs = socket.socketpair()
        threading.Thread(target=lambda: (theirs.sendall(data), theirs.close()), daemon=True).start()
        with Client(ours) as client:
            return client.reply()

    def test_reads_chunks_trailers_and_interim_responses(self):
        reply = self.answer(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                            b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\n")
        self.assertEqual((reply.body, reply.trailers, reply.truncated), (b"abcde", [(b"A", b"b")], False))
        self.assertEqual([one.status for one in reply.interim], [103])

    def test_a_chunked_body_without_its_end_is_truncated(self):
        self.assertTrue(self.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").truncated)

    def test_refuses_what_is_not_http(self):
        for bad in (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
                    b"HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n",
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"):
            with self.assertRaises(ProtocolError):
                self.answer(bad)
        with self.assertRaises(Ended):
            self.answer(b"")


class FastPeersTest(Case):
    def test_counts_and_bodies_are_true(self):
        backend = self.fast("new")
        result = load(backend.address, requests=500, connections=5, users=10)
        self.assertEqual((result["ok"], result["failed"], result["new"], result["legacy"]), (500, 0, 500, 0))
        self.assertEqual(backend.requests, 500)
        for options in ({"path": "/bytes/5000000"}, {"path": "/chunked/5000000"}, {"body": 5000000},
                        {"body": 5000000, "chunked": True}):
            result = load(backend.address, requests=3, connections=2, verify=True, **options)
            self.assertEqual((result["ok"], result["failures"]), (3, []), options)

    def test_wrong_bytes_are_noticed(self):
        peer = self.backend(lambda request: http_reply(b"x" * 1000))
        result = load(peer.address, requests=2, connections=1, verify=True, path="/bytes/1000")
        self.assertEqual([f["what"] for f in result["failures"]], ["wrong bytes"] * 2)

    def test_failures_are_told_apart(self):
        backend = self.fast()
        for command, what in (("reset", "reset"), ("close", "closed"), ("status 503", "status"),
                              ("garbage", "malformed")):
            backend.tell(command)
            result = load(backend.address, requests=2, connections=1, fresh=True)
            self.assertEqual({f["what"] for f in result["failures"]}, {what})
        backend.tell("refuse")
        result = load(backend.address, requests=2, connections=1)
        self.assertEqual((result["failed"], result["ok"]), (2, 0))
        backend.tell("accept")
        backend.tell("ok")
        self.assertEqual(load(backend.address, requests=2)["ok"], 2)

    def test_broken_off_answers_and_stale_connections_are_told_apart(self):
        whole = r"read head; send `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`"
        peer = self.script([whole + "; read head; close", whole + "; loop"])
        result = load(peer.address, requests=4, connections=1)
        self.assertEqual((result["ok"], result["stale"], result["failed"]), (4, 1, 0))
        peer = self.script(r"read head; send `HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok`; close")
        result = load(peer.address, requests=2, connections=1)
        self.assertEqual([f["what"] for f in result["failures"]], ["broke off"] * 2)

    def test_an_endless_load_ends_when_told(self):
        backend = self.fast()
        running = Load(backend.address, connections=2, rate=500)
        wait_until(lambda: backend.requests > 50, "requests")
        result = running.finish()
        self.assertEqual(result["failed"], 0)
        self.assertEqual(result["ok"], backend.requests)


class MetricsTest(Case):
    def test_reads_and_refuses(self):
        page = Metrics('# HELP a_total Things\n# TYPE a_total counter\na_total{x="1",y="a\\"b"} 3\na_total{x="2"} 4\n')
        self.assertEqual(page.sum("a_total"), 7)
        self.assertEqual(page.sum("a_total", x="1"), 3)
        self.assertEqual(page.by("a_total", "x"), {"1": 3, "2": 4})
        for bad in ("a 1\n", "# HELP a b\n# TYPE a counter\na{x=1} 2\n", "# HELP a b\n# TYPE a counter\na 1\na 1\n"):
            with self.assertRaises(AssertionError):
                Metrics(bad)


class Http2Test(Case):
    def test_both_ends_understand_each_other(self):
        answer = Answer([b"x" * 100000, b"y" * 100000], headers=[("x-a", "1")], trailers=[("x-end", "2")],
                        interim=[(103, [("link", "</a>")])])
        peer = self.peer(H2Backend(lambda request_: answer))
        with H2Client(peer.address) as client:
            reply = client.get("/p", ["X-B: 2"], "POST", b"z" * 200000, [("x-t", "3")])
            self.assertEqual((reply.status, reply.get("x-a"), reply.trailers), (200, "1", [(b"x-end", b"2")]))
            self.assertEqual(reply.body, b"x" * 100000 + b"y" * 100000)
            self.assertEqual(reply.interim, [[(b":status", b"103"), (b"link", b"</a>")]])
            self.assertTrue(client.is_alive())
        seen = peer.requests[0]
        self.assertEqual((seen.method, seen.target, seen.get("x-b"), seen.trailers), ("POST", "/p", "2", [(b"x-t", b"3")]))
        self.assertEqual(seen.body, b"z" * 200000)

    def test_a_reset_is_told(self):
        peer = self.peer(H2Backend(lambda request_: Answer(b"abc", code=INTERNAL_ERROR)))
        with H2Client(peer.address) as client:
            reply = client.get()
            self.assertEqual((reply.truncated, reply.reset, reply.body), (True, INTERNAL_ERROR, b"abc"))

    def heard(self, data):
        """What a client makes of these bytes behind the SETTINGS of a server, on stream 1."""
        def play(conn):
            conn.next_request()
            conn.send(data)
            conn.until(lambda: False)

        with H2Client(self.peer(H2Backend(play=play)).address) as client:
            return client.reply(client.open())

    def test_what_is_not_http2_is_refused(self):
        ok = headers(1, [(":status", "200")], end=False)
        cases = {"DATA before a head": frame(DATA, 1, 1, b"x"),
                 "an unknown stream": headers(3, [(":status", "200")]),
                 "upper case": headers(1, [(":status", "200"), ("X-A", "1")]),
                 "a pseudo-header behind a field": headers(1, [("x-a", "1"), (":status", "200")]),
                 "connection-specific": headers(1, [(":status", "200"), ("connection", "close")]),
                 "no status": headers(1, [("x-a", "1")]),
                 "trailers that are no end": ok + headers(1, [("x-a", "1")], end=False),
                 "a frame too large": ok + frame(DATA, 1, 1, b"x" * 16385),
                 "more than the window": ok + b"".join(frame(DATA, 0, 1, b"x" * 16384) for _ in range(5)),
                 "CONTINUATION alone": frame(CONTINUATION, 4, 1, b""),
                 "a push": frame(PUSH_PROMISE, 4, 1, b"\0\0\0\2")}
        for name, data in cases.items():
            with self.subTest(name), self.assertRaises(ProtocolError):
                if name == "more than the window":
                    with H2Client(self.flooding(data).address) as client:
                        client.credits = False
                        client.reply(client.open())
                else:
                    self.heard(data)

    def flooding(self, data):
        def play(conn):
            conn.next_request()
            conn.send(data)
            conn.until(lambda: False)

        return self.peer(H2Backend(play=play))


class TlsTest(Case):
    def test_certificates_are_what_was_asked_for(self):
        with TlsClient(self.peer(TlsBackend()).address) as client:
            self.assertEqual(client.get().status, 200)
        bad = {"expired": authority().issue(begins=-5 * DAY, ends=-DAY), "wrong name": authority().issue("other", ("other",), ()),
               "unknown": stranger().issue()}
        for name, pair in bad.items():
            with self.subTest(name), self.assertRaises(ssl.SSLCertVerificationError):
                handshake(self.peer(TlsBackend(context=server_context(pair))).address)

    def test_client_certificates(self):
        peer = self.peer(TlsBackend(context=server_context(client_ca=authority().certificate)))
        with TlsClient(peer.address, client_context(pair=authority().issue("alice"))) as client:
            self.assertEqual(client.get().status, 200)
        with self.assertRaises((ssl.SSLError, OSError, Ended)), TlsClient(peer.address) as client:
            client.get()

    def test_a_close_without_notice_is_noticed(self):
        for is_polite in (True, False):
            def play(conn, is_polite=is_polite):
                conn.read_head()
                conn.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
                if is_polite:
                    conn.bye()

            with TlsClient(self.peer(TlsBackend(play=play)).address) as client:
                self.assertEqual(client.get().body, b"abc")
                self.assertEqual(client.truncated, not is_polite)


class GrpcTest(Case):
    def test_all_four_kinds_in_clear_and_over_tls(self):
        for pair in (None, authority().issue()):
            peer = self.peer(GrpcBackend(tls=pair))
            with GrpcClient(peer.address, authority().certificate if pair else None) as client:
                self.assertEqual(client.unary(b"x"), b"x")
                self.assertEqual(client.up(iter([b"a", b"b"])), b"a,b")
                self.assertEqual(list(client.down(b"2 z")), [b"0 z", b"1 z"])
                self.assertEqual(list(client.both(iter([b"a", b"b"]))), [b"a", b"b"])
                self.assertEqual((client.check(b""), client.status(b"fail 9"), client.side()), (b"\x08\x01", 9, "legacy"))


if __name__ == "__main__":
    main()
