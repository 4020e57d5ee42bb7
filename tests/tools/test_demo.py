"""The demo's cast: the new orders service differs from the legacy one in the fields the quickstart says it does, in no
other, and fails when it is told to; the traffic counts what it saw."""

import http.client
import json
import os
import signal
import subprocess
import unittest

DEMO = os.path.join(os.environ["SHUNT_BUILD"], "tools/demo")


class Backend:
    def __init__(self, version):
        self.process = subprocess.Popen([f"{DEMO}/shunt-demo-backend", "--version", version], stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)

    def ask(self, method, path, body=None):
        self.connection.request(method, path, body)
        answer = self.connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None

    def stop(self):
        self.connection.close()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(10)
        self.process.stdout.close()
        return code


class Demo(unittest.TestCase):
    def setUp(self):
        self.backends = {version: Backend(version) for version in ("legacy", "new")}

    def tearDown(self):
        for backend in self.backends.values():
            self.assertEqual(backend.stop(), 0)

    def both(self, method, path, body=None):
        return [self.backends[version].ask(method, path, body) for version in ("legacy", "new")]

    def test_only_the_named_fields_differ(self):
        differing = set()
        for order in range(1, 71):
            (status, legacy), (new_status, new) = self.both("GET", f"/orders/{order}")
            self.assertEqual((status, new_status), (200, 200))
            differing |= {name for name in legacy if legacy.get(name) != new.get(name)}
            self.assertEqual("currency" in new, order % 10 != 3)
            self.assertAlmostEqual(new["total"] - legacy["total"], 0.01 if order % 7 == 0 else 0)
        self.assertEqual(differing, {"total", "currency", "updated_at"})

    def test_an_order_that_is_placed_is_answered_alike(self):
        (status, legacy), (_, new) = self.both("POST", "/orders", json.dumps({"sku": "lamp"}))
        self.assertEqual(status, 201)
        self.assertEqual(legacy, new)
        self.assertEqual(legacy["asked"], {"sku": "lamp"})

    def test_head_says_the_length_and_sends_no_body(self):
        backend = self.backends["new"]
        self.assertEqual(backend.ask("HEAD", "/orders/1"), (200, None))
        self.assertEqual(backend.ask("GET", "/health")[0], 200)  # the connection is still in step

    def test_errors_on_command(self):
        backend = self.backends["new"]
        self.assertEqual(backend.ask("POST", "/_demo/errors?rate=100")[0], 200)
        self.assertEqual({backend.ask("GET", "/orders/1")[0] for _ in range(20)}, {500})
        backend.ask("POST", "/_demo/errors?rate=0")
        self.assertEqual({backend.ask("GET", "/orders/1")[0] for _ in range(20)}, {200})

    def test_unknown_paths_and_methods(self):
        self.assertEqual([status for status, _ in self.both("GET", "/nothing")], [404, 404])
        self.assertEqual([status for status, _ in self.both("GET", "/orders/abc")], [404, 404])
        self.assertEqual([status for status, _ in self.both("POST", "/health", "")], [405, 405])

    def test_traffic_counts_what_it_saw(self):
        port = self.backends["new"].port
        done = subprocess.run([f"{DEMO}/shunt-demo-traffic", str(port), "--seconds", "1", "--rate", "200", "--writes", "20"],
                              capture_output=True, timeout=30, check=True)
        seen = json.loads(done.stdout)
        self.assertGreater(seen["requests"], 0)
        self.assertEqual(seen["new"], seen["requests"])
        self.assertEqual((seen["legacy"], seen["failures"], seen["moved_back"]), (0, 0, 0))


if __name__ == "__main__":
    unittest.main()
