"""The benchmark measures right: its backend and relay give the bytes they should, profiles and traces are read correctly,
tables and targets say what was measured."""

import os
import ssl
import sys
import tempfile
import time
import unittest

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
sys.path.insert(0, os.path.join(TOP, "tools/benchmark"))

import bench  # noqa: E402
import peers  # noqa: E402
import tls  # noqa: E402
from client import Client, read_answer  # noqa: E402
from peers import Backend, Peer, Setting  # noqa: E402
from processes import add_profile  # noqa: E402


class Programs(unittest.TestCase):
    def setUp(self):
        self.backend = self.enterContext(Backend())
        self.relay = self.enterContext(Peer("relay", Setting(legacy=self.backend.port)))

    def test_the_relay_passes_answers_of_every_kind(self):
        with Client(self.relay.port, 8) as client:
            for kind, length in (("get", 200), ("post", 200), ("large", 1 << 20)):
                for connection in client.connections:
                    client.send(connection, kind)
                    status, body = read_answer(connection)
                    self.assertEqual((status, len(body)), (200, length))

    def test_the_client_counts_its_requests(self):
        with Client(self.relay.port, 16) as client:
            self.assertEqual(client.rounds(5), 80)
            self.assertEqual(client.sent, 80)

    def test_cpu_time_of_work_is_seen(self):
        before = self.relay.cpu_seconds()
        with Client(self.relay.port, 16) as client:
            client.rounds(100)
        self.assertGreater(self.relay.cpu_seconds(), before)


class Tls(unittest.TestCase):
    def test_handshakes_are_full_or_resumed_as_asked(self):
        with tempfile.TemporaryDirectory() as folder, Backend() as backend:
            context = ssl.create_default_context(cafile=peers.certificate(folder)[0])
            with Peer("shunt tls", Setting(legacy=backend.port, new=backend.port, folder=folder)) as peer:
                session = tls.first_session(context, peer.port)
                self.assertGreater(tls.cost(peer, context, 20), 0)
                self.assertGreater(tls.cost(peer, context, 20, session), 0)
                # The client's part of the last one is over before the server's.
                deadline = time.monotonic() + 20
                while self.counted(peer) != (21, 20) and time.monotonic() < deadline:
                    time.sleep(0.02)
                self.assertEqual(self.counted(peer), (21, 20))

    @staticmethod
    def counted(peer):
        total = peer.metrics()
        return tuple(total("shunt_tls_handshakes_total", f'side="downstream",result="{how}"') for how in ("full", "resumed"))


class Reading(unittest.TestCase):
    def test_a_profile(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("version: 1\nfl=(1) /src/main.c\nfn=(1) main\n16 400\ncfn=(2) malloc\ncalls=3 0\n16 90\n"
                       "fl=(2) /src/serve.c\nfn=(3) serve'2\ncfn=(2)\ncalls=4 0\n1 1\ntotals: 1234\n")
            file.flush()
            calls, calls_from = {}, {}
            self.assertEqual(add_profile(file.name, calls, calls_from), 1234)
            self.assertEqual(calls, {"malloc": 7})
            self.assertEqual(calls_from, {("main.c", "malloc"): 3, ("serve.c", "malloc"): 4})

    def test_a_target_is_reached_or_not(self):
        # The second round found the machine twice as slow: the ratio is taken within each round.
        figures = {"small": {"shunt": {bench.ROUNDS: [11.0, 22.0, 11.0]}, "relay": {bench.ROUNDS: [10.0, 20.0, 10.0]},
                             "haproxy": {bench.ROUNDS: [12.0, 24.0, 12.0]}}}
        text = bench.targets_text(figures)
        self.assertRegex(text, r"raw relay +\| +1\.10 \| +at most 1\.15 \| +yes")
        self.assertRegex(text, r"small GET / haproxy +\| +0\.92 \| +at most 0\.78 \| +no")
        self.assertNotIn("idle", text)  # not measured, not shown

    def test_the_page_keeps_what_is_around_the_results(self):
        page = bench.PAGE
        with tempfile.NamedTemporaryFile("w+") as file:
            file.write(f"before\n{bench.BEGIN}\nold\n{bench.END}\nafter\n")
            file.flush()
            bench.PAGE = file.name
            try:
                bench.write_page("a run", {"small": "Small\n\n| new |\n", "targets": ""}, True)
            finally:
                bench.PAGE = page
            file.seek(0)
            text = file.read()
        self.assertTrue(text.startswith(f"before\n{bench.BEGIN}\n") and text.endswith(f"{bench.END}\nafter\n"), text)
        self.assertIn("| new |", text)
        self.assertNotIn("old", text)


if __name__ == "__main__":
    unittest.main()
