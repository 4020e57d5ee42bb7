"""What the scenarios stand on: the documented examples in a cluster of their own, with an application that the test chooses, and load
that must not notice.

Figures are short, so that a scenario takes seconds: preStopSeconds 3, drain 10s, probes each second. They are the chart's values, set as
a user would set them; what is tested is the order of things.
"""

import json
import os
import re
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "../helm"), os.path.join(HERE, "../integration")]

import chart  # noqa: E402  pylint: disable=wrong-import-position
import cluster  # noqa: E402  pylint: disable=wrong-import-position
import kubernetes  # noqa: E402  pylint: disable=wrong-import-position
import names  # noqa: E402,F401  pylint: disable=wrong-import-position,unused-import
from load import Load  # noqa: E402  pylint: disable=wrong-import-position

SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error:")
ORDERS = "images.example.org/orders"
PRE_STOP = 3  # seconds
LOAD = {"keep": 4, "fresh": 4, "http2": 1}
SHARE = {"name": "orders", "match": {"path": "/orders/**"}, "sticky": [{"header": "X-User-Id"}]}  # another user with each request


def shunt_values(**more):
    """The chart's values of all scenarios, with `config` laid on."""
    config = {"access_log": "off", "timeouts": {"drain": "10s"}, **more.pop("config", {})}
    return {"preStopSeconds": PRE_STOP, "probes": {"readiness": {"periodSeconds": 1}}, "config": config, **more}


def config(percent=0, new="http://orders-v2:80", **more):
    """`config` of the values: the example's, with a share. `more` is laid on the route."""
    route = {**SHARE, "percent": percent, **more}
    return {"backends": {"legacy": {"url": "http://127.0.0.1:3001"}, "new": {"url": new}}, "routes": [route]}


def of_kind(objects, kind, name=None):
    (found,) = [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    return found


def application_objects(name, image, replicas=1, env=None):
    """A Deployment and a Service of an application without shunt."""
    probe = {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1}
    container = {"name": "app", "image": image, "ports": [{"name": "http", "containerPort": 3001}], "readinessProbe": probe,
                 "lifecycle": {"preStop": {"exec": {"command": ["sleep", str(PRE_STOP)]}}},
                 "env": [{"name": key, "value": str(value)} for key, value in (env or {}).items()]}
    return [{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
             "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
                      "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}}},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
             "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}}]


@unittest.skipIf(cluster.missing(), cluster.missing())
class Case(unittest.TestCase):
    """`cluster` has the images orders:1 (legacy), orders:2 (new) and orders:3; none of them is asked for anything yet."""

    maxDiff = None
    version = "1.30.0"

    @classmethod
    def setUpClass(cls):
        chart.build()

    def setUp(self):
        self.cluster = cluster.Cluster(namespace="shop", version=self.version, shunt=self.shunt())
        self.addCleanup(self.cluster.close)
        self.addCleanup(self.tell_if_failed)
        self.logs = []
        for version in ("1", "2", "3"):
            self.cluster.image(f"{ORDERS}/{version}", self.cluster.application(NAME="orders", VERSION=version))

    @staticmethod
    def shunt():
        return chart.BUILD

    def tell_if_failed(self):
        """For whoever reads the log of a run that failed."""
        outcome = self._outcome.result
        if any(test is self for test, _ in outcome.failures + outcome.errors):
            print(self.cluster.describe(), file=sys.stderr)

    # -------------------------------------------------------------------------------------------------------- what is applied

    def sidecar(self, values, replicas=3, version="1", env=None):
        """The objects of helm/examples/sidecar, with the application of that version."""
        text = chart.render({"shunt": values}, chart=os.path.join(chart.EXAMPLES, "sidecar"), kube=self.version)
        objects = kubernetes.read(text)
        self.assertEqual(kubernetes.faults(objects), [])
        spec = of_kind(objects, "Deployment")["spec"]
        spec["replicas"] = replicas
        (app,) = [c for c in spec["template"]["spec"]["containers"] if c["name"] == "orders"]
        app["image"] = f"{ORDERS}/{version}:1"
        app["readinessProbe"].update(periodSeconds=1, failureThreshold=1)
        app["env"] = [{"name": key, "value": str(value)} for key, value in (env or {}).items()]
        return objects

    def new(self, replicas=1, version="2", name="orders-v2", **env):
        """The new backend, ready to be asked."""
        self.cluster.apply(application_objects(name, f"{ORDERS}/{version}:1", replicas, env))
        self.rolled_out(name)

    def rolled_out(self, name, replicas=None):
        """The Deployment is what it shall be, old pods are gone, and the network knows."""
        self.cluster.rollout_status(name)
        wanted = replicas or self.cluster.get("Deployment", name)["spec"]["replicas"]
        self.cluster.wait(lambda: len(self.cluster.pods(name)) == wanted, f"{wanted} pods of {name}")
        with_service = [s["metadata"]["name"] for s in self.cluster.list("Service")]
        if name in with_service:
            self.cluster.wait(lambda: len(self.cluster.endpoints(name)) == wanted, f"{wanted} endpoints of {name}")

    # ------------------------------------------------------------------------------------------------------------- what is so

    def load(self, host, expect, **more):
        made = Load(self.cluster, host, expect, **{**LOAD, **more})
        self.addCleanup(made.close)
        return made

    def none_failed(self, load, *phases):
        """Not one request of the load has failed, and each of these phases had some."""
        result = load.finish()
        self.assertEqual(result["failures"], 0, json.dumps(result, indent=1))
        named = {phase["name"]: phase for phase in result["phases"]}
        for name in phases:
            self.assertGreater(named[name]["answered"], 0, json.dumps(result, indent=1))
        return named

    def ended_well(self, pods, container="shunt"):
        """Every one has ended: shunt with 0, by itself, and with nothing to say for a sanitizer."""
        for pod in pods:
            self.cluster.wait(pod.gone.is_set, f"{pod.name} to end")
            c = pod.container(container)
            self.assertEqual((c.process.code, c.process.reason), (0, "Completed"), pod.logs(container)[-3000:])
            self.assertIsNone(pod.happened("Kill", container), pod.events)
            self.assertNotRegex(pod.logs(container), SANITIZER)

    def never_restarted(self, pods, container="shunt"):
        for pod in pods:
            self.assertEqual(pod.container(container).restarts, 0, pod.events)

    def crash(self, pod):
        """The application of the pod dies in the middle of an answer; returns when it runs again."""
        container = next(c for c in pod.main if c.name != "shunt")
        before = container.restarts
        with self.cluster.client.connect(pod.address, 3001) as sock:
            sock.sendall(b"POST /crash HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            self.cluster.wait(lambda: container.restarts > before, "the restart")
        self.assertEqual((container.last.code, container.last.reason), (70, "Error"))

    def shuntctl(self, pod, *words):
        done = pod.exec(["shuntctl", *words], "shunt")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout.decode()
