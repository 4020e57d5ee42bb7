"""Passthrough: each of its switches, how fast it acts, what it relays, that nothing is dropped on the way in and out, fail-open."""

import os
import signal
import subprocess
import threading
import time

from harness import BUILD, SLOW_BUILD, Case, EchoBackend, Ended, config, environment, main, request, wait_until

ROUTE = "  - name: all\n    match: { path: /** }\n    sticky: [ random ]\n    percent: 100\n    breaker: off\n    shadow: { percent: 100 }\n"
WITHIN_MS = 50 if SLOW_BUILD else 10


class PassthroughCase(Case):
    def setUp(self):
        super().setUp()
        self.legacy, self.new = self.fast("legacy"), self.fast("new")
        self.state = os.path.join(self.directory, "state")

    def begin(self, **options):
        return self.shunt(config(self.legacy, self.new, ROUTE, state=self.state, top="access_log: off",
                                 timeouts="tunnel_idle: 20s"), **options)

    def side(self, shunt):
        return request(shunt.address).get("x-backend")

    def wait_side(self, shunt, side):
        wait_until(lambda: self.side(shunt) == side, f"requests to go to {side}")


class Switches(PassthroughCase):
    def test_api(self):
        shunt = self.begin()
        self.assertEqual(self.side(shunt), "new")
        shunt.passthrough(True)
        self.assertEqual(self.side(shunt), "legacy")
        self.assertEqual((shunt.status()["passthrough"], shunt.metric("shunt_passthrough")), (True, 1))
        shunt.passthrough(False)
        self.assertEqual(self.side(shunt), "new")

    def test_shuntctl(self):
        shunt = self.begin()
        shunt.ctl("passthrough", "on", "-m", "incident 4711", "--who", "anna")
        self.assertEqual(self.side(shunt), "legacy")
        self.assertEqual(shunt.ctl("passthrough", "status", code=None).returncode, 1)
        shunt.ctl("passthrough", "off")
        self.assertEqual(self.side(shunt), "new")
        self.assertEqual(shunt.ctl("passthrough", "status", code=None).returncode, 0)
        line = [e for e in shunt.audit() if e["what"] == "passthrough_on"][0]
        self.assertEqual((line["who"], line["why"]), ("operator:anna", "incident 4711"))

    def test_signal(self):
        shunt = self.begin()
        shunt.signal(signal.SIGUSR1)
        self.wait_side(shunt, "legacy")
        shunt.passthrough(False)  # another switch: the signal's holds
        self.assertEqual(self.side(shunt), "legacy")
        shunt.signal(signal.SIGUSR1)
        self.wait_side(shunt, "new")
        self.assertIn("signal", " ".join(e["who"] for e in shunt.audit()))

    def test_environment(self):
        shunt = self.begin(env={"SHUNT_PASSTHROUGH": "1"})
        self.assertEqual(self.side(shunt), "legacy")
        self.assertEqual(self.new.requests, 0)
        shunt.env = {"SHUNT_PASSTHROUGH": "0"}
        shunt.restart()
        self.assertEqual(self.side(shunt), "new")

    def test_file(self):
        shunt = self.begin()
        path = os.path.join(self.state, "passthrough")
        with open(path, "w", encoding="ascii"):
            pass
        self.wait_side(shunt, "legacy")
        shunt.restart()
        self.assertEqual(self.side(shunt), "legacy")
        os.unlink(path)
        self.wait_side(shunt, "new")

    def test_survives_a_restart(self):
        shunt = self.begin()
        shunt.passthrough(True)
        shunt.restart()
        self.assertEqual(self.side(shunt), "legacy")
        shunt.passthrough(False)
        shunt.restart()
        self.assertEqual(self.side(shunt), "new")

    def test_survives_a_reload(self):
        shunt = self.begin()
        shunt.passthrough(True)
        shunt.reload()
        self.assertEqual(self.side(shunt), "legacy")


class Speed(PassthroughCase):
    def test_no_request_that_begins_10_ms_after_the_answer_reaches_new(self):
        shunt = self.begin()
        load = self.load(shunt.address, connections=8, rate=2000)
        wait_until(lambda: self.new.requests > 500, "load on new")
        for _ in range(5):
            shunt.passthrough(True)
            answered = time.monotonic_ns()
            before = self.legacy.requests
            wait_until(lambda: self.legacy.requests > before + 300, "legacy to take everything")
            counts = self.new.counts()
            # a copy of an exchange that began before, or the last exchange itself, may arrive a moment later
            self.assertLess((counts["last_ns"] - answered) / 1e6, WITHIN_MS, counts)
            shunt.passthrough(False)
            before = counts["requests"]
            wait_until(lambda: self.new.requests > before + 300, "new to have its share again")
        result = load.finish()
        self.assertEqual((result["failed"], result["stale"]), (0, 0), result)

    def test_current_exchange_finishes_where_it_is(self):
        self.new.tell("delay 500")
        shunt = self.begin()
        with shunt.client() as client:
            client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
            wait_until(lambda: self.new.requests == 1, "the request at new")
            shunt.passthrough(True)
            self.assertEqual(client.reply().get("x-backend"), "new")
            self.assertEqual(client.get("/2").get("x-backend"), "legacy")
            self.assertEqual(client.get("/3").get("x-backend"), "legacy")

    def test_flips_under_load_drop_nothing(self):
        shunt = self.begin()
        loads = [self.load(shunt.address, connections=8), self.load(shunt.address, connections=4, fresh=True, rate=500),
                 self.load(shunt.address, connections=2, path="/chunked/400000", verify=True, rate=50),
                 self.load(shunt.address, connections=2, body=200000, verify=True, rate=50)]
        before = shunt.fds()
        for i in range(40):
            shunt.passthrough(i % 2 == 0)
            time.sleep(0.03)
        shunt.passthrough(False)
        for one in loads:
            result = one.finish()
            self.assertGreater(result["ok"], 20)
            self.assertEqual(result["failed"], 0, result)
        wait_until(lambda: shunt.fds() - shunt.metric("shunt_upstream_idle") <= before + 4,
                   lambda: f"descriptors to return to {before}, have {shunt.fds()}")
        self.assertGreater(shunt.metric("shunt_passthrough_connections_total"), 0)


class Raw(PassthroughCase):
    def test_new_connections_are_relayed_raw(self):
        """A protocol that is not HTTP passes, byte for byte, with half-close: nothing is parsed."""
        echo = self.peer(EchoBackend(raw=True))
        shunt = self.shunt(config(echo, self.new, ROUTE))
        shunt.passthrough(True)
        with shunt.client() as client:
            client.send(b"\x00\x01\xffSSH-2.0-x\r\n")
            self.assertEqual(client.read_exact(14), b"\x00\x01\xffSSH-2.0-x\r\n")
            data = os.urandom(1 << 20)
            sender = threading.Thread(target=lambda: client.send(data), daemon=True)
            sender.start()
            self.assertEqual(client.read_exact(len(data)), data)
            sender.join(10)
            client.half_close()
            self.assertEqual(client.read_to_end(), b"")
        self.assertEqual(shunt.metric("shunt_bad_requests_total"), 0)

    def test_requests_are_relayed_unchanged(self):
        backend = self.backend()
        shunt = self.shunt(config(backend, self.new, ROUTE))
        shunt.passthrough(True)
        data = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: X-Y, close\r\nX-Y: kept\r\n\r\n"
        with shunt.client() as client:
            client.send(data)
            self.assertEqual(client.reply().status, 200)
        wait_until(lambda: backend.raw.get(0) == data, lambda: f"the same bytes at legacy, got {backend.raw}")

    def test_relayed_connections_go_on_until_they_end_when_it_is_switched_off(self):
        shunt = self.begin()
        shunt.passthrough(True)
        with shunt.client() as client:
            self.assertEqual(client.get().get("x-backend"), "legacy")
            shunt.passthrough(False)
            self.assertEqual(client.get().get("x-backend"), "legacy", "a raw relay knows no requests")
            self.assertEqual(self.side(shunt), "new")

    def test_legacy_that_is_dead_closes_the_connection(self):
        shunt = self.begin()
        self.legacy.tell("refuse")
        shunt.passthrough(True)
        try:
            with shunt.client() as client:
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                self.fail(f"an answer out of nothing: {client.reply()}")
        except (Ended, ConnectionResetError, BrokenPipeError):
            pass
        self.legacy.tell("accept")
        wait_until(lambda: self.side(shunt) == "legacy", "legacy to be used again")

    def test_a_large_volume_passes_at_bounded_memory(self):
        shunt = self.begin()
        shunt.passthrough(True)
        self.load(shunt.address, requests=2, connections=2, path="/bytes/50000000", verify=True).wait()
        before = shunt.rss()
        result = self.load(shunt.address, requests=4, connections=4, path="/bytes/100000000", verify=True).wait()
        self.assertEqual(result["failed"], 0, result)
        self.assertLess(shunt.rss() - before, 16 << 20)

    def test_drain_of_relayed_connections(self):
        shunt = self.begin()
        shunt.passthrough(True)
        self.legacy.tell("delay 400")
        with shunt.client() as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            wait_until(lambda: self.legacy.requests == 1, "the request at legacy")
            shunt.signal(signal.SIGTERM)
            self.assertEqual(client.reply().status, 200)
        self.assertEqual(shunt.wait_exit(40), 0)


class FailOpen(PassthroughCase):
    def bad(self, **options):
        port = self.legacy.address[1]
        arguments = ["--fail-open", f"127.0.0.1:{port}", "--listen", "127.0.0.1:0"]
        return self.shunt("listeners: [\n", arguments=arguments, wait=False, **options)

    def test_a_bad_file_at_start_serves_passthrough_and_says_so(self):
        shunt = self.bad()
        shunt.address = shunt._address(shunt.wait_events("listening")[0]["address"])
        self.assertEqual(self.side(shunt), "legacy")
        self.assertRegex(shunt.output(), "fail.open")
        self.assertRegex(shunt.output(), r"shunt\.yaml:\d+")

    def test_a_good_file_takes_over_without_a_dropped_request(self):
        shunt = self.bad()
        shunt.address = shunt._address(shunt.wait_events("listening")[0]["address"])
        load = self.load(shunt.address, connections=4, rate=300)
        time.sleep(0.2)
        shunt.write_config(config(self.legacy, self.new, ROUTE))
        shunt.signal(signal.SIGHUP)
        time.sleep(0.5)
        self.assertTrue(shunt.alive(), shunt.output())
        result = load.finish()
        self.assertEqual(result["failed"], 0, result)

    def test_without_fail_open_it_exits_2(self):
        shunt = self.shunt("listeners: [\n", wait=False)
        self.assertEqual(shunt.wait_exit(), 2)

    def test_fail_open_needs_an_address_to_listen_at(self):
        done = subprocess.run([os.path.join(BUILD, "shunt"), "--config", "/nonexistent", "--fail-open", "127.0.0.1:1"],
                              capture_output=True,
                              text=True, timeout=20, env=environment(), check=False)
        self.assertEqual(done.returncode, 2, done)

    def test_a_good_file_is_not_overruled(self):
        shunt = self.begin(arguments=["--fail-open", "127.0.0.1:1", "--listen", "127.0.0.1:0"])
        self.assertEqual(self.side(shunt), "new")


if __name__ == "__main__":
    main()
