"""SIGTERM: what is in flight ends whole, nothing new is begun, the exit code is 0, and there is an end to it."""

import signal
import time

from harness import Case, Client, EchoBackend, config, main, wait_until

OK = r"send `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`"


class Drain(Case):
    def test_sigterm_under_load_fails_no_request(self):
        """Every request sent before the signal is answered whole; one sent later may find its kept connection closed, or none
        to connect to, but never half an answer."""
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal_number):
                backend = self.fast()
                backend.tell("delay 30")
                shunt = self.shunt(config(backend, top="access_log: off", workers=2))
                loads = [self.load(shunt.address, connections=16), self.load(shunt.address, connections=8, fresh=True),
                         self.load(shunt.address, connections=2, path="/chunked/2000000", verify=True)]
                wait_until(lambda: backend.requests > 200, "load")
                at = time.monotonic_ns()
                shunt.signal(signal_number)
                began = time.monotonic()
                self.assertEqual(shunt.wait_exit(20), 0, shunt.output())
                shunt.check_sanitizers()
                self.assertLess(time.monotonic() - began, 10)
                for one in loads:
                    result = one.finish()
                    self.assertGreater(result["ok"], 0)
                    for failure in result["failures"]:
                        self.assertEqual(failure["bytes"], 0, failure)
                        self.assertIn(failure["what"], ("connect", "closed", "reset", "reset while sending"), failure)
                        self.assertGreater(failure["failed_ns"], at, failure)
                        if failure["what"] != "connect":
                            self.assertGreater(failure["sent_ns"], at, failure)

    def test_what_is_in_flight_ends_whole_and_says_close(self):
        backend = self.script(r"read request; wait 600; send `HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nwh`; wait 300; send `ole!`; loop")
        shunt = self.shunt(config(backend))
        client = shunt.client()
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        backend.wait_requests(1)
        shunt.signal(signal.SIGTERM)
        reply = client.reply()
        self.assertEqual((reply.body, reply.truncated), (b"whole!", False))
        self.assertEqual(reply.get("connection", "").lower(), "close")
        self.assertEqual(client.ends(), "closed")
        self.assertEqual(shunt.wait_exit(20), 0)
        client.close()

    def test_a_response_that_streams_when_the_signal_comes_ends_whole(self):
        backend = self.script(r"read request; send `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`; wait 600; send `3\r\ndef\r\n0\r\n\r\n`; loop")
        shunt = self.shunt(config(backend))
        client = shunt.client()
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.head()
        shunt.signal(signal.SIGTERM)
        self.assertEqual(client.read_until(b"0\r\n\r\n"), b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")
        self.assertEqual(client.ends(), "closed")
        self.assertEqual(shunt.wait_exit(20), 0)
        client.close()

    def test_a_request_body_under_way_is_finished(self):
        backend = self.backend()
        shunt = self.shunt(config(backend))
        client = shunt.client()
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
        backend.wait_requests(1)
        shunt.signal(signal.SIGTERM)
        shunt.wait_events("draining")
        client.send("def")
        self.assertEqual(client.reply().status, 200)
        self.assertEqual(backend.requests[0].body, b"abcdef")
        self.assertEqual(shunt.wait_exit(20), 0)
        client.close()

    def test_idle_connections_are_closed_at_once_and_new_ones_refused(self):
        backend = self.script(r"read request; wait 2000; " + OK + "; loop")
        shunt = self.shunt(config(backend))
        busy, idle = shunt.client(), shunt.client()
        busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        backend.wait_requests(1)
        shunt.signal(signal.SIGTERM)
        began = time.monotonic()
        self.assertEqual(idle.ends(5), "closed")
        self.assertLess(time.monotonic() - began, 1.9)

        def refused():
            try:
                Client(shunt.address, timeout=1).close()
                return False
            except (ConnectionRefusedError, ConnectionResetError):
                return True

        wait_until(refused, "new connections to be refused", 0.9)
        self.assertEqual(busy.reply().body, b"ok")
        self.assertEqual(shunt.wait_exit(20), 0)
        busy.close()
        idle.close()

    def test_readyz_says_no_while_draining_and_healthz_yes(self):
        backend = self.script(r"read request; wait 1500; " + OK)
        shunt = self.shunt(config(backend))
        self.assertEqual(shunt.admin_reply("GET", "/readyz").status, 200)
        with shunt.client() as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            backend.wait_requests(1)
            shunt.signal(signal.SIGTERM)
            wait_until(lambda: shunt.admin_reply("GET", "/readyz").status == 503, "/readyz to say no", 1)
            self.assertEqual(shunt.admin_reply("GET", "/healthz").status, 200)
            self.assertEqual(client.reply().body, b"ok")
        self.assertEqual(shunt.wait_exit(20), 0)

    def test_drain_has_an_end(self):
        backend = self.script(r"read request; hang")
        shunt = self.shunt(config(backend, timeouts="drain: 500ms"))
        with shunt.client() as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            backend.wait_requests(1)
            began = time.monotonic()
            shunt.signal(signal.SIGTERM)
            self.assertEqual(shunt.wait_exit(20), 0)
            self.assertGreater(time.monotonic() - began, 0.45)
        shunt.check_sanitizers()

    def test_tunnels_end_at_the_latest_with_the_drain(self):
        shunt = self.shunt(config(self.peer(EchoBackend()), timeouts="drain: 500ms"))
        with shunt.client() as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
            self.assertEqual(client.head().status, 101)
            shunt.signal(signal.SIGTERM)
            self.assertEqual(shunt.wait_exit(20), 0)

    def test_copies_do_not_hold_up_the_exit(self):
        """A mirror that hangs for ever: the drain waits for clients, not for copies."""
        legacy, hung = self.backend(), self.script("read request; hang")
        shunt = self.shunt(config(legacy, hung, "  - name: all\n    match: { path: /** }\n    shadow: { percent: 100, timeout: 30s }\n",
                                  timeouts="drain: 20s"))
        self.assertEqual(shunt.get().status, 200)
        hung.wait_requests(1)
        began = time.monotonic()
        shunt.signal(signal.SIGTERM)
        self.assertEqual(shunt.wait_exit(15), 0)
        self.assertLess(time.monotonic() - began, 10)

    def test_pipelined_requests_behind_the_signal(self):
        """The one in flight is answered; those read behind it are answered too or left unanswered, never half."""
        backend = self.script(r"read request; wait 300; " + OK + "; loop")
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
            backend.wait_requests(1)
            shunt.signal(signal.SIGTERM)
            reply = client.reply()
            self.assertEqual(reply.body, b"ok")
            if reply.get("connection", "").lower() != "close":
                self.assertEqual(client.reply().body, b"ok")
            self.assertIn(client.ends(), ("closed", "reset"))
        self.assertEqual(shunt.wait_exit(20), 0)

    def test_starts_and_ends_at_once(self):
        for _ in range(10):
            shunt = self.shunt(config("http://127.0.0.1:9"))
            shunt.stop()


if __name__ == "__main__":
    main()
