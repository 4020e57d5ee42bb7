"""How pods come, and how they come back: whatever starts first, and whatever is down, a pod takes requests when it can answer them.
Clients ask all the while, and not one request fails.
"""

import unittest

from scenario import Case, application_objects, config, names, shunt_values

FALLBACK = {"fallback": {"on": ["connect", "reset", "timeout", "5xx"]}}


class Rollout(Case):
    """A Deployment that serves gets pods that are slow to start."""

    def roll(self, slow_objects):
        """Returns the new pods. They answer as version 3, the ones before as version 1."""
        load = self.load("orders", ["orders/1"])
        load.phase("before")
        load.phase("meanwhile", expect=["orders/1", "orders/3"], least=0)
        self.cluster.apply(slow_objects)
        self.rolled_out("orders")
        load.phase("after", expect=["orders/3"])
        self.none_failed(load, "before", "meanwhile", "after")
        pods = self.cluster.pods("orders")
        self.never_restarted(pods)
        self.never_restarted(pods, "orders")
        return pods

    def begin(self):
        self.cluster.apply(self.sidecar(shunt_values(config=config()), replicas=2))
        self.rolled_out("orders")

    def slow_application(self):
        return self.roll(self.sidecar(shunt_values(config=config()), replicas=2, version="3", env={"START_DELAY": 3}))

    def slow_sidecar(self):
        """Its name server says nothing of the new backend; shunt looks names up for two seconds before it serves."""
        self.cluster.names.silent.add(f"orders-v2.shop.{names.DOMAIN}")
        return self.roll(self.sidecar(shunt_values(config=config()), replicas=2, version="3"))


class Native(Rollout):
    def test_the_application_is_slower(self):
        self.begin()
        for pod in self.slow_application():
            self.assertLess(pod.happened("StartedUp", "shunt"), pod.happened("Started", "orders"))
            self.assertGreater(pod.happened("Ready", "orders"), pod.happened("Ready", "shunt") + 2)

    def test_the_sidecar_is_slower(self):
        self.begin()
        for pod in self.slow_sidecar():
            self.assertGreater(pod.happened("StartedUp", "shunt"), pod.happened("Started", "shunt") + 1.5)
            self.assertLess(pod.happened("StartedUp", "shunt"), pod.happened("Started", "orders"))


class Classic(Rollout):
    version = "1.27.3"

    def test_the_application_is_slower(self):
        self.begin()
        for pod in self.slow_application():
            self.assertGreater(pod.happened("Ready", "orders"), pod.happened("Ready", "shunt") + 1)

    def test_the_sidecar_is_slower(self):
        """The application is there first; requests come when shunt is, too."""
        self.begin()
        for pod in self.slow_sidecar():
            self.assertGreater(pod.happened("Ready", "shunt"), pod.happened("Started", "shunt") + 1.5)


class NewIsDown(Case):
    """Pods are ready all the same, and with a fallback half of the requests do not notice where they should have gone."""

    def serve(self):
        self.cluster.apply(self.sidecar(shunt_values(config=config(50, **FALLBACK)), replicas=2))
        self.rolled_out("orders")
        load = self.load("orders", ["orders/1"])
        load.phase("down", least=60)
        return load

    def test_nobody_knows_its_name(self):
        load = self.serve()
        self.none_failed(load, "down")
        self.never_restarted(self.cluster.pods("orders"))

    def test_it_comes_later(self):
        """Its Service has no pods at first, and refuses; then it has, and gets its share without anybody's doing."""
        self.cluster.apply(application_objects("orders-v2", "images.example.org/orders/2:1", replicas=0))
        load = self.serve()
        load.phase("up", expect=["orders/1", "orders/2"], least=0)
        self.cluster.patch("Deployment", "orders-v2", lambda o: o["spec"].update(replicas=1))
        self.cluster.wait(lambda: "orders/2" in load.by(), "the share of new")
        self.none_failed(load, "down", "up")


class Crash(Case):
    """Applications crash in the middle of an answer, and the kubelet starts them again.

    What "no request fails" can mean then: an answer that has begun is lost with its process, and when the only backend a request may
    have is down, it has none. So the load is where shunt has a choice. A crash of *new* is answered from legacy, the requests that
    were under way at new included, as these are reads (`fallback`). A crash of *legacy* beside shunt takes its pod out of the Service
    by the application's readiness probe; requests that are new's share do not need it. Requests of legacy's own share that arrive
    between its crash and the endpoints' change get 502, as they would get a reset without shunt: they are none of this load."""

    def test_of_new(self):
        self.new(replicas=1)
        plan = config(100, **FALLBACK, breaker="off")
        self.cluster.apply(self.sidecar(shunt_values(config=plan), replicas=2))
        self.rolled_out("orders")
        (pod,) = self.cluster.pods("orders-v2")
        load = self.load("orders", ["orders/2"], path="/orders/?ms=30")
        load.phase("before")
        load.phase("crashes", expect=["orders/1", "orders/2"], least=0)
        for _ in range(2):
            self.crash(pod)
            self.cluster.wait(lambda: pod.serving, "new to be back")
        self.cluster.wait(lambda: len(self.cluster.endpoints("orders-v2")) == 1, "the endpoint")
        self.assertIn("orders/1", load.by(), "somebody has answered for new")
        load.phase("after", least=0)
        self.cluster.wait(lambda: "orders/2" in load.by(), "new to answer again")
        self.none_failed(load, "before", "crashes", "after")
        self.never_restarted(self.cluster.pods("orders"))

    def test_of_legacy_beside_shunt(self):
        self.new(replicas=2)
        self.cluster.apply(self.sidecar(shunt_values(config=config(100)), replicas=2))
        self.rolled_out("orders")
        load = self.load("orders", ["orders/2"])
        load.phase("before")
        load.phase("crashes", least=0)
        pods = self.cluster.pods("orders")
        for pod in pods:
            self.crash(pod)
            self.cluster.wait(lambda p=pod: p.serving, "the pod to be back")
        load.phase("after")
        self.none_failed(load, "before", "crashes", "after")
        self.never_restarted(pods)
        for pod in pods:
            self.assertTrue(pod.happened("Exited 70 Error", "orders"))


if __name__ == "__main__":
    unittest.main()
