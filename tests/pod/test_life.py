"""Pods are replaced while clients ask: not one request fails.

The clients try nothing twice. What keeps them whole is the order of the end: endpoints are told first; shunt goes on serving, tells
clients to leave, and ends when they have (docs/operations.md, Draining); the application ends before a native sidecar, and beside a
classic one after the same pause.
"""

import unittest

from scenario import PRE_STOP, SHARE, Case, chart, config, kubernetes, of_kind, shunt_values


class Replaced(Case):
    def roll(self, deployment, load, change):
        """Three pods, one after the other; returns those that were replaced."""
        before = self.cluster.pods(deployment)
        self.assertEqual(len(before), 3)
        load.phase("before")
        load.phase("meanwhile", least=0)
        change()
        self.rolled_out(deployment)
        self.assertFalse(set(before) & set(self.cluster.pods(deployment)))
        load.phase("after")
        return before

    def restart(self, deployment, service, expect):
        load = self.load(service, expect)
        before = self.roll(deployment, load, lambda: self.cluster.rollout_restart(deployment))
        self.none_failed(load, "before", "meanwhile", "after")
        self.ended_well(before)
        return before


class NativeSidecar(Replaced):
    def test_rolling_restart(self):
        self.cluster.apply(self.sidecar(shunt_values(config=config())))
        self.rolled_out("orders")
        for pod in self.restart("orders", "orders", ["orders/1"]):
            self.assertLess(pod.happened("Exited 0 Completed", "orders"), pod.happened("Term", "shunt"), pod.events)

    def test_another_version_of_the_application(self):
        """`helm upgrade` with another image: both answer meanwhile, in the end only the new one. The chart's token is another one, too, as
        where a tool renders charts without the cluster: old pods have it in their volume when they end, and drain all the same."""
        self.cluster.apply(self.sidecar(shunt_values(config=config())))
        self.rolled_out("orders")
        load = self.load("orders", ["orders/1", "orders/3"])
        before = self.roll("orders", load, lambda: self.cluster.apply(self.sidecar(shunt_values(config=config()), version="3")))
        load.phase("settled")
        phases = self.none_failed(load, "before", "meanwhile", "after", "settled")
        self.assertEqual((set(phases["before"]["by"]), set(phases["settled"]["by"])), ({"orders/1"}, {"orders/3"}))
        self.ended_well(before)

    def test_rolling_restart_of_the_new_backend(self):
        """The other side of shunt, which keeps connections to a Service whose pods go."""
        self.new(replicas=3)
        self.cluster.apply(self.sidecar(shunt_values(config=config(percent=100)), replicas=2))
        self.rolled_out("orders")
        load = self.load("orders", ["orders/2"])
        self.roll("orders-v2", load, lambda: self.cluster.rollout_restart("orders-v2"))
        self.none_failed(load, "before", "meanwhile", "after")
        self.never_restarted(self.cluster.pods("orders"))


class ClassicSidecar(Replaced):
    """A cluster before 1.29: TERM follows shunt's hook at once, and the application's when its pause is over."""

    version = "1.27.3"

    def test_rolling_restart(self):
        objects = self.sidecar(shunt_values(config=config()))
        containers = of_kind(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
        self.assertEqual({c["name"] for c in containers}, {"orders", "shunt"})
        self.cluster.apply(objects)
        self.rolled_out("orders")
        for pod in self.restart("orders", "orders", ["orders/1"]):
            self.assertLess(pod.happened("Term", "shunt"), pod.happened("Term", "orders"), pod.events)


class Gateway(Replaced):
    def test_rolling_restart(self):
        """Three pods of shunt in front of two Services, half of the clients on each side."""
        self.new(replicas=1, version="1", name="orders-v1")
        self.new(replicas=1)
        backends = {"legacy": {"url": "http://orders-v1:80"}, "new": {"url": "http://orders-v2:80"}}
        values = shunt_values(config={"backends": backends, "routes": [{**SHARE, "percent": 50}]}, gateway={"replicas": 3},
                              image={"repository": "images.example.org/shunt"})
        objects = kubernetes.read(chart.render(values))
        self.assertEqual(kubernetes.faults(objects), [])
        self.cluster.apply([o for o in objects if o["kind"] != "Pod"])  # the hook of `helm test`
        self.rolled_out("orders-shunt")
        for pod in self.restart("orders-shunt", "orders-shunt", ["orders/1", "orders/2"]):
            took = pod.happened("Exited 0 Completed", "shunt") - pod.happened("Killing")
            self.assertGreaterEqual(took, PRE_STOP, pod.events)


if __name__ == "__main__":
    unittest.main()
