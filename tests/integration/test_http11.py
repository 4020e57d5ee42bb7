"""HTTP/1.1 and 1.0 through shunt, byte for byte: framing, order, keep-alive, pipelining, what is added and what is removed."""

import time

from harness import Case, Client, Peer, config, http_reply, main, request, wait_until

OK = r"send `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`"
PLAIN = "headers: { via: off, x_forwarded_for: off, x_forwarded_proto: off, x_forwarded_host: off, x_request_id: off }"


class Framing(Case):
    def test_keeps_the_connection_and_reuses_the_backends(self):
        backend = self.backend()
        shunt = self.shunt(config(backend, workers=1))
        with shunt.client() as client:
            for i in range(50):
                self.assertEqual(client.get(f"/{i}").status, 200)
        self.assertEqual([r.target for r in backend.requests], [f"/{i}" for i in range(50)])
        self.assertEqual(len(backend.conns), 1)

    def test_content_length_body_arrives_whole(self):
        backend = self.backend(lambda r: http_reply(r.body[::-1]))
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            for size in (0, 1, 1000, 16384, 65536, 65537, 1000000):
                body = bytes(i % 251 for i in range(size))
                reply = client.ask(f"POST /{size} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode() + body)
                self.assertEqual((reply.status, reply.body), (200, body[::-1]))

    def test_chunked_request_is_relayed_with_its_trailers(self):
        backend = self.backend()
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            reply = client.ask(b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                               b"5\r\nhello\r\n7;ext=1\r\n, world\r\n0\r\nX-Sum: abc\r\n\r\n")
            self.assertEqual(reply.status, 200)
            self.assertEqual(client.get("/next").status, 200)
        seen = backend.requests[0]
        self.assertEqual((seen.body, seen.get("transfer-encoding"), seen.all("content-length")),
                         (b"hello, world", "chunked", []))
        self.assertEqual(seen.trailers, [(b"X-Sum", b"abc")])

    def test_chunked_request_in_single_bytes(self):
        backend = self.backend()
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            client.drip(b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n")
            self.assertEqual(client.reply().status, 200)
        self.assertEqual(backend.requests[0].body, b"hello!")

    def test_chunked_response_is_relayed_with_its_trailers(self):
        backend = self.script(r"read request; send `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                              r"3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n`; loop")
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            for _ in range(3):
                reply = client.get()
                self.assertEqual((reply.body, reply.trailers, reply.truncated), (b"abcdefg", [(b"X-Sum", b"7")], False))

    def test_chunked_response_in_single_bytes(self):
        backend = self.script(r"read request; drip `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n` 1; loop")
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            self.assertEqual(client.get().body, b"abc")
            self.assertEqual(client.get().body, b"abc")

    def test_response_until_close_reaches_11_and_10_clients(self):
        backend = self.script(r"read request; send `HTTP/1.1 200 OK\r\nX: y\r\n\r\nall of it`; close")
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            reply = client.get()
            self.assertEqual((reply.body, reply.truncated), (b"all of it", False))
        with shunt.client() as client:
            reply = client.ask("GET / HTTP/1.0\r\n\r\n")
            self.assertEqual((reply.body, reply.until_close), (b"all of it", True))

    def test_chunked_response_to_an_http_10_client_is_unchunked_and_closed(self):
        backend = self.script(r"read request; send `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`; loop")
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            reply = client.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            self.assertEqual((reply.body, reply.all("transfer-encoding")), (b"abc", []))
            self.assertTrue(reply.until_close)
            self.assertEqual(client.ends(), "closed")

    def test_http_10_keep_alive_only_when_asked(self):
        backend = self.backend()
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            for _ in range(3):
                reply = client.ask("GET /10 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
                self.assertEqual((reply.status, reply.get("connection", "").lower()), (200, "keep-alive"))
            self.assertEqual(client.ask("GET /10 HTTP/1.0\r\nHost: a\r\n\r\n").status, 200)
            self.assertEqual(client.ends(), "closed")
        self.assertEqual({r.version for r in backend.requests}, {"HTTP/1.1"})

    def test_connection_close_from_the_client_is_honoured(self):
        shunt = self.shunt(config(self.backend()))
        with shunt.client() as client:
            reply = client.get(headers=["Connection: close"])
            self.assertEqual(reply.get("connection", "").lower(), "close")
            self.assertEqual(client.ends(), "closed")

    def test_connection_close_from_the_backend_stays_between_us(self):
        backend = self.backend(lambda r: http_reply("x", close=True))
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            for _ in range(3):
                reply = client.get()
                self.assertEqual((reply.body, reply.all("connection")), (b"x", []))
        self.assertEqual(len(backend.conns), 3)

    def test_http_10_backend(self):
        backend = self.script(r"read request; send `HTTP/1.0 200 OK\r\n\r\nold`; close")
        shunt = self.shunt(config(backend))
        for _ in range(2):
            with shunt.client() as client:
                reply = client.get()
                self.assertEqual((reply.body, reply.truncated), (b"old", False))

    def test_head_204_and_304_have_no_body_and_keep_their_fields(self):
        answers = {"/head": b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nETag: \"x\"\r\n\r\n",
                   "/204": b"HTTP/1.1 204 No Content\r\nX: 1\r\n\r\n",
                   "/304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: \"y\"\r\n\r\n",
                   "/200": http_reply("end")}
        backend = self.backend(lambda r: answers[r.target])
        shunt = self.shunt(config(backend, workers=1))
        with shunt.client() as client:
            for _ in range(3):
                reply = client.get("/head", method="HEAD")
                self.assertEqual((reply.status, reply.get("content-length"), reply.get("etag")), (200, "12345", '"x"'))
                reply = client.get("/204")
                self.assertEqual((reply.status, reply.all("content-length"), reply.all("transfer-encoding")),
                                 (204, [], []))
                reply = client.get("/304")
                self.assertEqual((reply.status, reply.get("etag")), (304, '"y"'))
                self.assertEqual(client.get("/200").body, b"end")
        self.assertEqual(len(backend.conns), 1)

    def test_head_with_chunked_coding_has_no_body(self):
        backend = self.backend(lambda r: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
                               (b"" if r.method == "HEAD" else b"1\r\na\r\n0\r\n\r\n"))
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            self.assertEqual(client.get(method="HEAD").status, 200)
            self.assertEqual(client.get().body, b"a")

    def test_empty_lines_before_a_request_are_skipped(self):
        shunt = self.shunt(config(self.backend()))
        with shunt.client() as client:
            self.assertEqual(client.ask(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET").status, 200)


class Pipelining(Case):
    def test_many_requests_in_one_write_are_answered_in_order(self):
        backend = self.backend(lambda r: http_reply(r.target))
        shunt = self.shunt(config(backend))
        count = 200
        with shunt.client() as client:
            client.send("".join(f"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n" for i in range(count)))
            self.assertEqual([client.reply().body.decode() for _ in range(count)], [f"/{i}" for i in range(count)])

    def test_bodies_between_pipelined_requests(self):
        backend = self.backend(lambda r: http_reply(r.target.encode() + b":" + r.body))
        shunt = self.shunt(config(backend))
        text, expected = b"", []
        for i in range(60):
            body = bytes([65 + i % 26]) * (i * 37 % 500)
            if i % 3 == 0:
                text += f"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
                body = b""
            elif i % 3 == 1:
                text += f"POST /{i} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
            else:
                chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n" if body else b""
                text += f"PUT /{i} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + chunk + b"0\r\n\r\n"
            expected.append(f"/{i}:".encode() + body)
        with shunt.client() as client:
            client.send(text)
            self.assertEqual([client.reply().body for _ in range(60)], expected)

    def test_order_holds_when_an_earlier_answer_is_late(self):
        def answer(r):
            if r.target == "/0":
                time.sleep(0.2)
            return http_reply(r.target)

        shunt = self.shunt(config(self.backend(answer)))
        with shunt.client() as client:
            client.send("".join(f"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n" for i in range(5)))
            self.assertEqual([client.reply().body for _ in range(5)], [b"/0", b"/1", b"/2", b"/3", b"/4"])

    def test_pipelined_in_single_bytes_and_in_every_split(self):
        backend = self.backend(lambda r: http_reply(r.target.encode() + r.body))
        shunt = self.shunt(config(backend))
        text = (b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                b"PUT /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n")
        expected = [b"/1abc", b"/2de", b"/3"]
        with shunt.client() as client:
            client.drip(text)
            self.assertEqual([client.reply().body for _ in range(3)], expected)
            for cut in range(1, len(text), 3):
                client.send(text[:cut])
                client.send(text[cut:])
                self.assertEqual([client.reply().body for _ in range(3)], expected, cut)

    def test_what_follows_a_close_is_not_answered(self):
        backend = self.backend(lambda r: http_reply(r.target))
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            client.send("GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(client.reply().body, b"/1")
            self.assertIn(client.ends(), ("closed", "reset"))
        self.assertEqual([r.target for r in backend.requests], ["/1"])


class Interim(Case):
    def test_expect_100_continue_is_asked_through(self):
        backend = self.script(r"read head; send `HTTP/1.1 100 Continue\r\n\r\n`; read body; " + OK + "; loop")
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            for _ in range(2):
                client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
                head = client._head()
                self.assertEqual(head.status, 100)
                client.send("hello")
                self.assertEqual(client.reply().body, b"ok")
        self.assertEqual([r.body for r in backend.requests], [b"hello"] * 2)

    def test_final_answer_instead_of_100_ends_the_request(self):
        backend = self.script(r"read head; send `HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n`; hang")
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")
            reply = client.reply()
            self.assertEqual((reply.status, reply.interim), (413, []))
        with shunt.client() as client:  # and nobody else is disturbed
            self.assertEqual(client.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n").status, 413)

    def test_expect_with_the_body_sent_at_once(self):
        backend = self.script(r"read head; send `HTTP/1.1 100 Continue\r\n\r\n`; read body; " + OK + "; loop")
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            for _ in range(3):
                reply = client.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
                self.assertEqual((reply.status, reply.body), (200, b"ok"))

    def test_early_hints_and_others_are_passed_on_at_once(self):
        backend = self.script(r"read head; send `HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n`; wait 1000; "
                              r"send `HTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n`; " + OK + "; loop")
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            for _ in range(2):
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                began = time.monotonic()
                first = client._head()
                self.assertEqual((first.status, first.get("link")), (103, "</a.css>; rel=preload"))
                self.assertLess(time.monotonic() - began, 0.99)
                reply = client.reply()
                self.assertEqual(([r.status for r in reply.interim], reply.body), ([103, 102], b"ok"))

    def test_interim_responses_do_not_go_to_http_10_clients(self):
        backend = self.script(r"read head; send `HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n`; " + OK + "; loop")
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            client.send("GET / HTTP/1.0\r\n\r\n")
            self.assertEqual(client._head().status, 200)


class Targets(Case):
    def test_path_and_query_are_kept_byte_for_byte(self):
        backend = self.backend()
        shunt = self.shunt(config(backend))
        targets = ["/", "//", "/a//b/../c/./d", "/%2e%2E/%zz?", "/?", "/??a=b?&&", "/a?b=%00%ff&c=+d;e",
                   "/~!$&'()*+,;=:@-._",
                   "/a?http://b/c?d", "/%41%62%63", "/a\\b", "/|^{}\"`<>".replace("<", "%3C").replace(">", "%3E")]
        sent = []
        for target in targets:
            with shunt.client() as client:
                reply = client.get(target)
                if reply.status == 200:
                    sent.append(target)
                else:  # what RFC 3986 forbids may be refused, never changed
                    self.assertEqual(reply.status, 400)
                    self.assertRegex(target, r'[\\|^{}"`]')
        self.assertEqual([r.target for r in backend.requests], sent)
        self.assertGreaterEqual(len(sent), 10)

    def test_absolute_form_becomes_origin_form_and_its_authority_the_host(self):
        backend = self.backend()
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            for target, wanted, host in (("http://example.com/a?b=c", "/a?b=c", "example.com"),
                                         ("http://example.com:8080", "/", "example.com:8080"),
                                         ("HTTP://Example.com?x", "/?x", "Example.com")):
                self.assertEqual(client.ask(f"GET {target} HTTP/1.1\r\nHost: other\r\n\r\n").status, 200)
                seen = backend.requests[-1]
                self.assertEqual((seen.target, seen.all("host")), (wanted, [host]))

    def test_options_asterisk(self):
        backend = self.backend(lambda r: http_reply("", headers=["Allow: GET"]))
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            reply = client.ask("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual((reply.status, reply.get("allow")), (200, "GET"))
            self.assertEqual(client.ask("OPTIONS /x HTTP/1.1\r\nHost: a\r\n\r\n").status, 200)
        self.assertEqual([r.target for r in backend.requests], ["*", "/x"])

    def test_connect_is_refused(self):
        backend = self.backend()
        shunt = self.shunt(config(backend))
        for target in ("example.com:443", "/a"):
            with shunt.client() as client:
                client.send(f"CONNECT {target} HTTP/1.1\r\nHost: example.com:443\r\n\r\n")
                self.assertIn(client.reply("GET").status, (400, 405, 501))
        self.assertEqual(backend.requests, [])
        self.assertEqual(shunt.get().status, 200)

    def test_unknown_methods_are_relayed(self):
        backend = self.backend()
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            for method in ("PATCH", "DELETE", "PROPFIND", "REPORT", "M-SEARCH", "QUERY"):
                status = client.ask(f"{method} /m HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").status
                if method == "QUERY" and status == 501:  # newer than the parser of Debian 12
                    break
                self.assertEqual(status, 200, method)
        self.assertEqual([r.method for r in backend.requests][:5],
                         ["PATCH", "DELETE", "PROPFIND", "REPORT", "M-SEARCH"])


class Fields(Case):
    def test_order_case_and_duplicates_are_kept_byte_for_byte_both_ways(self):
        lines = ["hOsT: A.example", "X-b: 1", "x-A: 2", "X-B: 3", "Cookie: a=1; b=2", "Accept: */*", "COOKIE: c=3",
                 "X-Empty:",
                 "X-Latin: \xe4\xf6", "X-b: 4"]
        answer = [b"X-z: 1", b"Set-Cookie: a=1", b"x-Y: 2", b"Set-Cookie: b=2; Path=/", b"SERVER: odd", b"X-z: 3"]
        backend = self.backend(lambda r: b"HTTP/1.1 207 Very  odd reason\r\n" + b"\r\n".join(answer) + b"\r\nContent-Length: 2\r\n\r\nok")
        shunt = self.shunt(config(backend, top=PLAIN))
        with shunt.client() as client:
            reply = client.ask("GET /x HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n")
        self.assertEqual((reply.status, reply.reason), (207, b"Very  odd reason"))
        relayed = reply.head.split(b"\r\n")[1:-2]
        self.assertEqual([line for line in relayed if not line.lower().startswith((b"content-length", b"date"))],
                         answer)
        seen = backend.requests[0].head.split(b"\r\n")[1:-2]
        self.assertEqual([line.rstrip() for line in seen], [line.encode("latin-1") for line in lines])

    def test_hop_by_hop_and_nominated_fields_are_removed(self):
        backend = self.script(r"read request; send `HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\n"
                              r"Proxy-Connection: x\r\nX-Kept: 2\r\nContent-Length: 0\r\n\r\n`; loop")
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            reply = client.get(headers=["Connection: X-One , x-two,keep-alive", "X-One: 1", "x-TWO: 2",
                                        "Keep-Alive: 300",
                                        "Proxy-Connection: keep-alive", "TE: trailers", "X-Three: 3"])
        seen = backend.requests[0]
        for name in ("x-one", "x-two", "keep-alive", "proxy-connection"):
            self.assertEqual(seen.all(name), [], name)
        self.assertEqual(seen.get("x-three"), "3")
        for name in ("x-secret", "keep-alive", "proxy-connection"):
            self.assertEqual(reply.all(name), [], name)
        self.assertEqual(reply.get("x-kept"), "2")

    def test_connection_cannot_nominate_what_is_needed_for_framing(self):
        backend = self.backend()
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            reply = client.ask("POST / HTTP/1.1\r\nHost: a\r\nConnection: content-length, host\r\nContent-Length: 5\r\n\r\nhello")
        if reply.status == 200:
            self.assertEqual((backend.requests[0].body, backend.requests[0].get("host")), (b"hello", "a"))
        else:
            self.assertEqual((reply.status, backend.requests), (400, []))

    def test_forwarding_fields_by_default(self):
        backend = self.backend()
        shunt = self.shunt(config(backend))
        reply = shunt.get("/", ["X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: gopher", "Via: 1.0 fred"])
        seen = backend.requests[0]
        self.assertEqual(", ".join(seen.all("x-forwarded-for")).replace(" ", ""), "1.2.3.4,127.0.0.1")
        self.assertEqual(len(seen.all("x-forwarded-proto")), 1)
        self.assertRegex(", ".join(seen.all("via")), r"^1\.0 fred, 1\.1 \S+")
        self.assertRegex(reply.get("via"), r"^1\.1 \S+")
        self.assertEqual(seen.get("x-forwarded-host"), "shunt.test")
        self.assertRegex(seen.get("x-request-id"), r"^[0-9A-Za-z-]{16,64}$")

    def test_request_ids_are_kept_or_fresh_and_differ(self):
        backend = self.backend()
        shunt = self.shunt(config(backend))
        ids = set()
        with shunt.client() as client:
            for _ in range(100):
                client.get()
                ids.add(backend.requests[-1].get("x-request-id"))
        self.assertEqual(len(ids), 100)

    def test_rules_set_keep_and_off(self):
        sent = ["X-Forwarded-For: 9.9.9.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: h", "X-Request-Id: mine"]
        cases = {
            "x_forwarded_for: set, x_forwarded_proto: set, x_forwarded_host: set, x_request_id: set": ("127.0.0.1",
                                                                                                       "http",
                                                                                                       "shunt.test",
                                                                                                       None),
            "x_forwarded_proto: keep, x_forwarded_host: keep, x_request_id: keep": ("9.9.9.9, 127.0.0.1", "https", "h",
                                                                                    "mine"),
            "x_forwarded_for: off, x_forwarded_proto: off, x_forwarded_host: off, x_request_id: off": ("9.9.9.9",
                                                                                                       "https", "h",
                                                                                                       "mine"),
        }
        for rules, (by, proto, host, identity) in cases.items():
            with self.subTest(rules):
                backend = self.backend()
                shunt = self.shunt(config(backend, top=f"headers: {{ via: off, {rules} }}"))
                reply = shunt.get("/", sent)
                seen = backend.requests[0]
                self.assertEqual(", ".join(seen.all("x-forwarded-for")), by)
                self.assertEqual((seen.get("x-forwarded-proto"), seen.get("x-forwarded-host")), (proto, host))
                if identity:
                    self.assertEqual(seen.get("x-request-id"), identity)
                else:
                    self.assertNotIn(seen.get("x-request-id"), (None, "mine"))
                self.assertEqual((seen.all("via"), reply.all("via")), ([], []))

    def test_without_host_rules_off_adds_nothing(self):
        backend = self.backend()
        shunt = self.shunt(config(backend, top=PLAIN))
        with shunt.client() as client:
            client.send(b"GET /x?y HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n")
            self.assertEqual(client.reply().status, 200)
        self.assertEqual(backend.requests[0].head, b"GET /x?y HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n")


class Streaming(Case):
    def test_first_bytes_of_a_response_are_forwarded_at_once(self):
        """Server-sent events: each event reaches the client while the next one is far away."""
        backend = self.script(r"read head; send `HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n`; "
                              r"send `9\r\ndata: 1\n\n\r\n`; wait 1000; send `9\r\ndata: 2\n\n\r\n`; wait 1000; send `0\r\n\r\n`")
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
            began = time.monotonic()
            client.head()
            client.read_until(b"data: 1\n\n")
            self.assertLess(time.monotonic() - began, 0.99)
            client.read_until(b"data: 2\n\n")
            self.assertLess(time.monotonic() - began, 1.99)
            client.read_until(b"0\r\n\r\n")

    def test_first_bytes_of_a_request_are_forwarded_at_once(self):
        backend = self.script(r"read head; read 3; " + r"read 3; " + OK)
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n")
            backend.wait_requests(1)
            client.send("abc")
            wait_until(lambda: backend.raw[0].endswith(b"\r\n\r\nabc"), "the first half of the body at the backend")
            client.send("def")
            self.assertEqual(client.reply().body, b"ok")

    def test_response_before_the_requests_end(self):
        """The backend answers and closes early; the client gets the answer."""
        backend = self.script(r"read head; send `HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!`; close")
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\nabc")
            reply = client.reply()
            self.assertEqual((reply.status, reply.body), (403, b"no!"))

    def test_both_directions_at_once(self):
        """A backend that echoes the body while it comes: neither direction waits for the other's end."""
        def echo(conn):
            conn.read_head()
            conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(20):
                piece = conn.read_exact(1000)
                conn.send(b"3e8\r\n" + piece + b"\r\n")
            conn.send(b"0\r\n\r\n")
            conn.wait_closed()

        backend = self.peer(Peer(echo))
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n")
            client.send(b"x" * 1000)
            reply = client.head()
            self.assertEqual(reply.status, 200)
            for i in range(20):
                back = 0
                while back < 1000:  # in chunks of whatever size
                    size = int(client.read_until(b"\r\n"), 16)
                    client.read_exact(size + 2)
                    back += size
                if i < 19:
                    client.send(b"y" * 1000)
            client.read_until(b"0\r\n\r\n")


class Peers(Case):
    def test_unix_socket_backend(self):
        backend = self.backend(address=f"unix:{self.directory}/backend.sock")
        shunt = self.shunt(config(f"unix:{self.directory}/backend.sock"))
        with shunt.client() as client:
            for _ in range(5):
                self.assertEqual(client.get().status, 200)
        self.assertEqual(len(backend.conns), 1)

    def test_unix_socket_listener(self):
        backend = self.backend()
        path = f"{self.directory}/front.sock"
        text = config(backend).replace("127.0.0.1:0\nadmin", f"unix:{path}\nadmin")
        shunt = self.shunt(text)
        with Client(path) as client:
            self.assertEqual(client.get().status, 200)
        self.assertEqual(backend.requests[0].all("x-forwarded-for"), [])
        self.assertTrue(shunt.alive())

    def test_several_listeners(self):
        backend = self.backend()
        shunt = self.shunt(config(backend, listeners=3))
        self.assertEqual(len({address[1] for address in shunt.addresses}), 3)
        for address in shunt.addresses:
            self.assertEqual(request(address).status, 200)

    def test_smallest_useful_file(self):
        backend = self.backend()
        shunt = self.shunt(f'listeners:\n  - address: 127.0.0.1:0\nbackends:\n  legacy: {{ url: "{backend.url}" }}\n')
        self.assertEqual(shunt.get().status, 200)

    def test_hostname_backend(self):
        backend = self.backend()
        shunt = self.shunt(config(f"http://localhost:{backend.port}"))
        wait_until(lambda: shunt.get().status == 200, "an answer from the named backend")


if __name__ == "__main__":
    main()
