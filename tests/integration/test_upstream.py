"""Backends that die, lie or come back: retries, aborts, stray bytes, ejection; and what the client is told."""


from harness import Case, config, main, wait_until

OK = r"send `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`"


class DeadConnections(Case):
    """The backend answers once and closes when the next request arrives: the race every kept connection has."""

    def kept(self, script_after):
        backend = self.script([r"read request; " + OK + "; read head; " + script_after,
                               r"read request; " + OK + "; loop"])
        shunt = self.shunt(config(backend, workers=1))
        client = self.client(shunt)
        self.assertEqual(client.get("/1").status, 200)
        return backend, shunt, client

    def test_idempotent_request_is_repeated_once_on_a_fresh_connection(self):
        for how in ("close", "reset"):
            for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
                with self.subTest(how=how, method=method):
                    backend, shunt, client = self.kept(how)
                    reply = client.get("/2", method=method, headers=["Content-Length: 0"] if method == "PUT" else [])
                    self.assertEqual(reply.status, 200)
                    self.assertEqual([r.target for r in backend.requests], ["/1", "/2", "/2"])
                    self.assertEqual(shunt.metric("shunt_upstream_retries_total"), 1)

    def test_post_is_not_repeated(self):
        for how in ("close", "reset"):
            with self.subTest(how):
                backend, shunt, client = self.kept(how)
                reply = client.ask("POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
                self.assertEqual(reply.status, 502)
                self.assertEqual([r.target for r in backend.requests], ["/1", "/2"])
                self.assertEqual(shunt.metric("shunt_upstream_retries_total"), 0)

    def test_not_repeated_after_a_byte_of_the_response(self):
        backend, shunt, client = self.kept("send `HTTP/1.1 2`; close")
        self.assertEqual(client.get("/2").status, 502)
        self.assertEqual([r.target for r in backend.requests], ["/1", "/2"])

    def test_not_repeated_on_a_fresh_connection(self):
        backend = self.script([r"read head; close", r"read request; " + OK])
        shunt = self.shunt(config(backend))
        self.assertEqual(shunt.get("/1").status, 502)
        self.assertEqual(len(backend.requests), 1)

    def test_a_connection_closed_while_idle_is_not_used_again(self):
        backend = self.script([r"read request; " + OK + "; wait 50; close", r"read request; " + OK + "; loop"])
        shunt = self.shunt(config(backend, workers=1))
        with shunt.client() as client:
            self.assertEqual(client.get("/1").status, 200)
            wait_until(lambda: backend.open == 0, "the backend's close")
            wait_until(lambda: shunt.metric("shunt_upstream_idle") == 0, "shunt to notice it")
            reply = client.ask("POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
            self.assertEqual(reply.status, 200)
        self.assertEqual([r.target for r in backend.requests], ["/1", "/2"])


class StrayBytes(Case):
    FORGED = r"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"

    def never_seen(self, script):
        backend = self.script([script, r"read request; " + OK + "; loop"])
        shunt = self.shunt(config(backend, workers=1))
        with shunt.client() as client, shunt.client() as other:
            self.assertEqual(client.get("/1").body, b"ok")
            for one in (client, other, client):
                reply = one.get("/2")
                self.assertEqual((reply.status, reply.body), (200, b"ok"))
            self.assertEqual(client.buffer, b"")

    def test_behind_a_response_in_the_same_write(self):
        self.never_seen(r"read request; send `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + self.FORGED + "`; hang")

    def test_behind_a_chunked_response_in_the_same_write(self):
        self.never_seen(r"read request; send `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + self.FORGED + "`; hang")

    def test_later_on_the_idle_connection(self):
        backend = self.script([r"read request; " + OK + "; wait 100; send `" + self.FORGED + "`; hang",
                               r"read request; " + OK + "; loop"])
        shunt = self.shunt(config(backend, workers=1))
        with shunt.client() as client:
            self.assertEqual(client.get("/1").body, b"ok")
            wait_until(lambda: shunt.metric("shunt_upstream_stray_bytes_total") == 1, "the stray bytes to be counted")
            wait_until(lambda: backend.open == 0, "the connection with stray bytes to be closed")
            self.assertEqual(client.get("/2").body, b"ok")

    def test_body_behind_204_and_304_and_head(self):
        for status in (r"204 No Content\r\n", r"304 Not Modified\r\nContent-Length: 6\r\n",
                       r"200 OK\r\nContent-Length: 6\r\n"):
            with self.subTest(status):
                backend = self.script([r"read request; send `HTTP/1.1 " + status + r"\r\nforged`; hang",
                                       r"read request; " + OK + "; loop"])
                shunt = self.shunt(config(backend, workers=1))
                with shunt.client() as client:
                    client.get("/1", method="HEAD" if status.startswith("200") else "GET")
                    self.assertEqual(client.get("/2").body, b"ok")


class BrokenResponses(Case):
    def check_truncated(self, script, whole=False):
        backend = self.script(script)
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            reply = client.reply()
            self.assertEqual(reply.status, 200)
            self.assertTrue(reply.truncated, "the client must notice that the response is not whole")
        self.assertEqual(shunt.metric("shunt_upstream_idle"), 0)
        return reply

    def test_content_length_broken_off(self):
        for end in ("close", "reset"):
            self.check_truncated(r"read request; send `HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc`; wait 50; " + end)

    def test_chunked_broken_off(self):
        for end in ("close", "reset"):
            for part in (r"5\r\nhello\r\n", r"5\r\nhel", r"5\r\nhello\r\n0\r\n", ""):
                self.check_truncated(r"read request; send `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + part + "`; wait 50; " + end)

    def test_broken_off_in_the_same_moment(self):
        """The last bytes and the reset are one event for the loop: the reset must not be lost behind the bytes."""
        for head in (r"Content-Length: 100\r\n\r\nabc", r"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"):
            for end in ("close", "reset"):
                backend = self.script(r"read request; send `HTTP/1.1 200 OK\r\n" + head + "`; " + end)
                shunt = self.shunt(config(backend))
                for _ in range(10):
                    with shunt.client() as client:
                        client.socket.settimeout(5)
                        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                        try:
                            reply = client.reply()
                            self.assertTrue(reply.status == 502 or reply.truncated, reply)
                        except AssertionError as error:
                            self.assertIn("instead of a response", str(error))

    def test_chunked_gone_bad(self):
        self.check_truncated(r"read request; send `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`; wait 50; send `zz\r\n`; hang")

    def test_until_close_reset_is_truncated_too(self):
        backend = self.script(r"read request; send `HTTP/1.1 200 OK\r\n\r\npart`; wait 50; reset")
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            head = client.head()
            if head.all("transfer-encoding"):  # we frame it: then the end must be missing
                with self.assertRaises(AssertionError):
                    client.read_until(b"0\r\n\r\n")
            else:
                with self.assertRaises(ConnectionResetError):
                    client.read_to_end()

    def test_nothing_at_all_is_502(self):
        for end in ("close", "reset"):
            backend = self.script("read request; " + end)
            shunt = self.shunt(config(backend))
            self.assertEqual(shunt.get().status, 502)

    def test_not_http_is_502(self):
        for text in (r"SSH-2.0-OpenSSH\r\n", r"\x16\x03\x01\x02\x00\x01", r"<html>", r"HTTP/2 200\r\n\r\n"):
            backend = self.script(f"read request; send `{text}`; wait 100; close")
            shunt = self.shunt(config(backend))
            self.assertEqual(shunt.get().status, 502)

    def test_the_client_connection_survives_a_502(self):
        backend = self.script(["read request; close", "read request; " + OK + "; loop"])
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            self.assertEqual(client.get().status, 502)
            if client.buffer == b"":
                self.assertEqual(client.get().status, 200)


class Aborts(Case):
    def test_client_that_leaves_cancels_its_upstream_request(self):
        for how in ("close", "reset"):
            with self.subTest(how):
                backend = self.script(r"read request; hang")
                shunt = self.shunt(config(backend))
                client = shunt.client()
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                backend.wait_requests(1)
                client.close() if how == "close" else client.reset()
                wait_until(lambda: backend.open == 0, "the upstream request to be cancelled")
                wait_until(lambda: shunt.metric("shunt_client_gone_total") == 1, "it to be counted")

    def test_a_reset_that_comes_together_with_the_request_cancels(self):
        """The request's bytes and the reset are one event for the loop: the reset must not be lost behind the bytes."""
        backend = self.script(r"read request; hang")
        shunt = self.shunt(config(backend, timeouts="response: 60s"))
        for _ in range(20):
            with shunt.client() as client:
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                client.reset()
        wait_until(lambda: shunt.metric("shunt_downstream_active") == 0, "every client to be let go", 10)
        wait_until(lambda: backend.open == 0, "the upstream requests to be cancelled")
        self.assertEqual(shunt.metric("shunt_requests_in_flight"), 0)

    def test_an_exchange_under_way_is_counted_once(self):
        backend = self.script(r"read request; hang")
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            backend.wait_requests(1)
            self.assertEqual(shunt.metric("shunt_requests_in_flight"), 1)
        wait_until(lambda: shunt.metric("shunt_requests_in_flight") == 0, "no exchange under way")

    def test_client_that_leaves_inside_its_body_cancels(self):
        backend = self.script(r"read request; hang")
        shunt = self.shunt(config(backend))
        client = shunt.client()
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        backend.wait_requests(1)
        client.close()
        wait_until(lambda: backend.open == 0, "the upstream request to be cancelled")
        self.assertFalse(backend.requests[0].complete)

    def test_client_that_leaves_inside_a_chunked_body_does_not_look_finished(self):
        backend = self.script(r"read request; hang")
        shunt = self.shunt(config(backend))
        client = shunt.client()
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        backend.wait_requests(1)
        client.close()
        wait_until(lambda: backend.open == 0, "the upstream request to be cancelled")
        self.assertFalse(backend.requests[0].complete)
        head, body = backend.raw[0].split(b"\r\n\r\n", 1)  # a head may well end in a request id that ends in 0
        self.assertEqual(body, b"3\r\nabc\r\n", head)

    def test_client_that_leaves_inside_the_response_cancels(self):
        backend = self.script(r"read request; send `HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n`; fill 100000000; hang")
        shunt = self.shunt(config(backend))
        client = shunt.client()
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.head()
        client.close()
        wait_until(lambda: backend.open == 0, "the upstream response to be cancelled")

    def test_a_pipelined_request_behind_an_abort_is_never_sent(self):
        backend = self.script(r"read request; hang")
        shunt = self.shunt(config(backend))
        client = shunt.client()
        client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        backend.wait_requests(1)
        client.reset()
        wait_until(lambda: backend.open == 0, "the upstream request to be cancelled")
        self.assertEqual([r.target for r in backend.requests], ["/1"])

    def test_half_closed_client_still_gets_its_answer(self):
        """printf 'GET ...' | nc: the request is whole, the answer is wanted. (RFC 9112 section 9.6 leaves it open; nginx and
        curl's own tests expect the answer.)"""
        backend = self.script(r"read request; wait 100; " + OK + "; loop")
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            client.half_close()
            try:
                reply = client.reply()
                self.assertEqual(reply.body, b"ok")
            except AssertionError as error:
                self.assertIn("closed", str(error))  # taken for a client that left: allowed, but then cancelled upstream
                wait_until(lambda: backend.open == 0, "the cancellation")


class Addresses(Case):
    def test_localhost_with_two_addresses_falls_through_to_the_one_that_listens(self):
        """localhost is ::1 and 127.0.0.1 where both exist; only one of them listens."""
        backend = self.backend()
        shunt = self.shunt(config(f"http://localhost:{backend.port}"))
        for _ in range(20):
            self.assertEqual(shunt.get().status, 200)

    def test_unknown_name_is_an_error_answer_and_nothing_worse(self):
        shunt = self.shunt(config("http://no-such-name.invalid:80"))
        for _ in range(3):
            self.assertIn(shunt.get().status, (502, 503, 504))
        self.assertTrue(shunt.alive())

    def test_backend_that_comes_back_is_used_again(self):
        backend = self.fast()
        shunt = self.shunt(config(backend))
        self.assertEqual(shunt.get().status, 200)
        backend.tell("refuse")
        self.assertIn(shunt.get().status, (502, 503))
        backend.tell("accept")
        wait_until(lambda: shunt.get().status == 200, "the backend to be used again")

    def test_max_connections_hold_over_all_workers(self):
        backend = self.fast()
        backend.tell("delay 20")
        shunt = self.shunt(config(backend, workers=2,
                                  backend_extra=", max_connections: 6, queue: 1000, queue_timeout: 20s"))
        result = self.load(shunt.address, requests=600, connections=40).wait()
        self.assertEqual(result["failed"], 0, result)
        self.assertLessEqual(backend.counts()["connections"], 8)


if __name__ == "__main__":
    main()
