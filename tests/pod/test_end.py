"""A native sidecar outlives its application: a Job's pod is over when its work is, and an application that ends can still call out
through shunt.
"""

import json
import unittest

from scenario import Case, config, of_kind, shunt_values

CALLS = "http://127.0.0.1:8080/orders/call"


class Outlived(Case):
    def values(self):
        """Shunt beside a program that only calls out: legacy and new are Services."""
        plan = config(100)
        plan["backends"]["legacy"]["url"] = "http://orders-v1:80"
        return shunt_values(config=plan)

    def setUp(self):
        super().setUp()
        self.new(name="orders-v1", version="1")
        self.new()

    def told(self, pod):
        """What the application says of its calls."""
        (line,) = [json.loads(line) for line in pod.logs("orders").splitlines() if '"calls"' in line]
        return line

    def exited(self, pod, container):
        return next(at for at, name, what in pod.events if name == container and what.startswith("Exited"))


class Jobs(Outlived):
    def job(self, calls, call=CALLS):
        objects = self.sidecar(self.values())
        spec = of_kind(objects, "Deployment")["spec"]["template"]
        (app,) = [c for c in spec["spec"]["containers"] if c["name"] == "orders"]
        for key in ("readinessProbe", "lifecycle", "ports"):
            app.pop(key)
        app["env"] = [{"name": "JOB", "value": str(calls)}, {"name": "CALL", "value": call}]
        spec["spec"]["restartPolicy"] = "Never"
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "report"}, "spec": {"backoffLimit": 0, "template": spec}}
        self.cluster.apply([*[o for o in objects if o["kind"] in ("ConfigMap", "Secret")], job])
        self.cluster.wait(lambda: self.cluster.pods("job/report"), "the job's pod")
        return self.cluster.pods("job/report")[0]

    def condition(self):
        return [c["type"] for c in self.cluster.get("Job", "report")["status"]["conditions"]]

    def test_ends_with_its_work(self):
        """Every call is answered, from the first line of the program on; then shunt ends by itself, long before anybody kills it."""
        pod = self.job(20)
        self.cluster.wait(lambda: self.condition() == ["Complete"], "the Job", 60)
        self.assertEqual(self.told(pod), {"calls": 20, "failures": [], "failed": 0})
        self.assertEqual(pod.phase, "Succeeded")
        self.ended_well([pod])
        self.assertLess(pod.happened("Over") - self.exited(pod, "orders"), 10, pod.events)  # of a grace period of 23 s

    def test_that_fails_is_a_failed_one(self):
        """The exit code of the program decides, whatever shunt's is."""
        pod = self.job(3, CALLS.replace("8080", "8081"))
        self.cluster.wait(lambda: self.condition() == ["Failed"], "the Job", 60)
        self.assertEqual((self.told(pod)["failed"], pod.phase), (3, "Failed"))
        self.ended_well([pod])

    def test_that_is_deleted_ends_its_calls(self):
        """Shunt has been draining for a while when the last calls come; it takes and answers them."""
        pod = self.job(100)
        self.cluster.wait(lambda: pod.happened("Started", "orders"), "the program")
        self.cluster.delete("Job", "report", wait=False)
        self.cluster.wait(pod.gone.is_set, "the pod's end", 150)
        self.assertEqual(self.told(pod), {"calls": 100, "failures": [], "failed": 0})
        self.ended_well([pod])


class Application(Outlived):
    def test_calls_through_shunt_while_it_ends(self):
        """Twenty calls in its handler of TERM, over five seconds: beyond the pause, when shunt has closed what is idle."""
        self.cluster.apply(self.sidecar(self.values(), replicas=1, env={"STOP_CALLS": 20, "STOP_DELAY": 5, "CALL": CALLS}))
        self.rolled_out("orders")
        load = self.load("orders", ["orders/2"])
        load.phase("before")
        load.phase("meanwhile", least=0)
        (pod,) = self.cluster.pods("orders")
        self.cluster.rollout_restart("orders")
        self.cluster.wait(pod.gone.is_set, "the old pod's end")
        self.rolled_out("orders")
        load.phase("after")
        self.none_failed(load, "before", "meanwhile", "after")
        self.assertEqual(self.told(pod), {"calls": 20, "failures": [], "failed": 0})
        self.ended_well([pod])
        self.ended_well([pod], "orders")
        self.assertLess(pod.happened("Exited 0 Completed", "orders"), pod.happened("Term", "shunt"))


if __name__ == "__main__":
    unittest.main()
