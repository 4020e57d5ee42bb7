"""The harness itself, without shunt: peers do what their script says, the client refuses what is not HTTP, counts are true."""

import socket
import threading

from harness import Case, Client, Ended, Load, Metrics, ProtocolError, Script, blackhole, http_reply, load, main, wait_until


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


if __name__ == "__main__":
    main()
