"""A tenth of the chart's memory, everything mirrored to a new backend that hangs: shunt gives up copies, the kernel never ends it, and not
one request of a client fails.

The limit is one of the program that is shipped: with sanitizers it takes several times as much.
"""

import re
import unittest

from scenario import Case, config, shunt_values

from harness import SLOW_BUILD

TENTH = "25Mi"  # of 256Mi
BODY = 200000  # bytes of each request, and of each answer


@unittest.skipIf(SLOW_BUILD, "the limit is one of the program that is shipped")
class Overload(Case):
    def metrics(self, pod):
        """{name with labels: number} of a pod's /metrics, asked as a Prometheus does."""
        with self.cluster.client.connect(pod.address, 9901) as sock:
            sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: " + pod.address.encode() + b"\r\nConnection: close\r\n\r\n")
            text = b""
            while piece := sock.recv(65536):
                text += piece
        return {name: float(value) for name, value in re.findall(r"(?m)^([a-z_]+(?:\{[^\n]*\})?) ([0-9.e+-]+)$", text.decode())}

    def given_up(self, pod):
        return sum(value for name, value in self.metrics(pod).items() if name.startswith("shunt_shadow_total") and '"memory"' in name)

    def test_shadow_overload(self):
        if self.cluster.runtime.cgroups.version == 0:
            self.skipTest(f"no limits of memory: {self.cluster.runtime.cgroups.why}")
        self.new(ANSWER_DELAY=120)
        shadow = {"percent": 100, "methods": ["*"], "max_in_flight": 100000, "max_connections": 4096, "max_buffer": "1MiB",
                  "timeout": "100s", "breaker": "off"}
        values = shunt_values(config=config(0, shadow=shadow), resources={"limits": {"memory": TENTH}})
        self.cluster.apply(self.sidecar(values, replicas=2))
        self.rolled_out("orders")
        pods = self.cluster.pods("orders")
        load = self.load("orders", ["orders/1"], path=f"/orders/?size={BODY}", method="POST", body=BODY, keep=6, fresh=2, pause=0.01)
        load.phase("overload", least=0)
        for pod in pods:
            self.cluster.wait(lambda p=pod: self.given_up(p) > 50, lambda p=pod: f"copies to be given up: {self.metrics(p)}", 90)
        load.phase("still", least=300)
        for pod in pods:
            told = self.metrics(pod)
            self.assertEqual(told["shunt_memory_limit_bytes"], 25 << 20)
            self.assertLess(told["shunt_memory_used_bytes"], 25 << 20)
        self.none_failed(load, "overload", "still")
        self.never_restarted(pods)
        self.assertFalse([e for pod in pods for e in pod.events if "OOMKilled" in e[2]])
        self.cluster.delete("Deployment", "orders")
        self.ended_well(pods)


if __name__ == "__main__":
    unittest.main()
