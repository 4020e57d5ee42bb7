"""The gateway whose state is on volumes: each pod has its own and finds it again, and pods are replaced without a failed request."""

import json
import os
import unittest

from scenario import SHARE, Case, chart, kubernetes, shunt_values

GATEWAY = "statefulset/orders-shunt"


class Volumes(Case):
    def gateway(self, **more):
        backends = {"legacy": {"url": "http://orders-v1:80"}, "new": {"url": "http://orders-v2:80"}}
        values = shunt_values(config={"backends": backends, "routes": [{**SHARE, "percent": 0}], **more}, gateway={"replicas": 2},
                              state={"persistent": True})
        self.cluster.apply([o for o in kubernetes.read(chart.render(values, kube=self.version)) if o["kind"] != "Pod"])

    def settled(self):
        """Both pods serve, and the network knows."""
        self.cluster.wait(lambda: len(self.cluster.endpoints("orders-shunt")) == 2 and all(
            pod.is_ready for pod in self.cluster.pods(GATEWAY)), "two pods behind the Service")
        return sorted(self.cluster.pods(GATEWAY), key=lambda pod: pod.name)

    def setUp(self):
        super().setUp()
        self.new(version="1", name="orders-v1")
        self.new()
        self.gateway()
        self.first, self.second = self.settled()

    def directory(self, pod):
        """What the claim of a pod has."""
        return set(os.listdir(os.path.join(self.cluster.runtime.folder, "claims", "shop", f"shunt-state-{pod.name}")))

    def test_names_and_volumes_are_their_own(self):
        self.assertEqual([self.first.name, self.second.name], ["orders-shunt-0", "orders-shunt-1"])
        self.assertEqual([claim["metadata"]["name"] for claim in self.cluster.list("PersistentVolumeClaim")],
                         ["shunt-state-orders-shunt-0", "shunt-state-orders-shunt-1"])
        for pod in (self.first, self.second):
            self.cluster.wait(lambda pod=pod: {"lock", "state.json"} <= self.directory(pod), f"state of {pod.name}")

    def test_a_pod_finds_its_state_again(self):
        """What one was told, it knows when its pod is another one; its neighbour was never told."""
        load = self.load("orders-shunt", ["orders/1"])
        load.phase("before")
        self.shuntctl(self.first, "passthrough", "on")
        self.cluster.delete("Pod", self.first.name)
        first, second = self.settled()
        self.assertIsNot(first, self.first)
        self.assertIs(second, self.second)
        load.phase("after")
        self.none_failed(load, "before", "after")
        self.ended_well([self.first])
        told = [json.loads(self.shuntctl(pod, "status", "--json"))["passthrough"] for pod in (first, second)]
        self.assertEqual(told, [True, False])

    def test_pods_are_replaced_one_after_the_other(self):
        """The highest number first, and the next one when it is ready: somebody serves all the while."""
        load = self.load("orders-shunt", ["orders/1"])
        load.phase("before")
        self.gateway(workers=1)
        self.cluster.wait(lambda: not {self.first, self.second} & set(self.cluster.pods(GATEWAY)), "both to be replaced", 90)
        first, second = self.settled()
        load.phase("after")
        self.none_failed(load, "before", "after")
        self.ended_well([self.first, self.second])
        self.assertLess(self.second.happened("Killing"), self.first.happened("Killing"))
        self.assertGreater(first.began, second.began)


if __name__ == "__main__":
    unittest.main(verbosity=2)
