"""The simulator itself: what the scenarios prove is worth what their kubelet is."""

import os
import subprocess
import tempfile
import threading
import unittest

from scenario import Case, names

import controllers
import netns
import runtime
import volumes

SHELL = "busybox"
SERVE = "trap 'exit 0' TERM; echo serving; while :; do sleep 0.05; done"  # a program that ends when it is told to
DEAF = "trap '' TERM; echo serving; while :; do sleep 0.05; done"


def shell(name, script, **more):
    return {"name": name, "image": SHELL, "command": ["sh", "-c", script], **more}


def sidecar(name, script=SERVE, **more):
    return shell(name, script, restartPolicy="Always", **more)


def pre_stop(script):
    return {"lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", script]}}}}


def probe(script, **more):
    """Its answer counts, however long a busy machine takes over it."""
    return {"exec": {"command": ["sh", "-c", script]}, "periodSeconds": 1, "timeoutSeconds": 30, **more}


class PodCase(Case):
    def setUp(self):
        super().setUp()
        self.cluster.image(SHELL, runtime.host_image(self.cluster.runtime.make_folder("images", "shell")))

    def pod(self, *containers, init=(), name="one", labels=None, **spec):
        spec = {"containers": list(containers), "initContainers": list(init), **spec}
        self.cluster.apply([{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {}}, "spec": spec}])
        return self.cluster.pod(name)

    def serving(self, pod):
        """Ready, and its programs hear signals: PID 1 of a namespace is sent none that it does not handle."""
        self.cluster.wait(lambda: pod.serving, f"{pod.name} to be ready")
        for c in pod.containers:
            if any(SERVE in word or DEAF in word for word in c.spec.get("command") or []):
                self.cluster.wait(lambda c=c: "serving" in pod.logs(c.name), f"{c.name} to serve")
        return pod

    def ended(self, pod, grace=None):
        pod.end(grace)
        self.cluster.wait(pod.gone.is_set, "the end")
        return pod

    def order(self, pod, *happened):
        """They have happened, one after the other."""
        times = [pod.happened(what, container) for what, container in happened]
        self.assertNotIn(None, times, (happened, pod.events))
        self.assertEqual(times, sorted(times), pod.events)


class Start(PodCase):
    def test_init_containers_one_by_one_and_sidecars_until_they_have_started(self):
        pod = self.serving(self.pod(
            shell("app", SERVE), shell("beside", SERVE), volumes=[{"name": "shared", "emptyDir": {}}], init=[
                shell("first", "sleep 0.3"),
                sidecar("proxy", startupProbe=probe("test -e /tmp/up || { touch /tmp/up; false; }")),
                shell("last", "true")]))
        self.order(pod, ("Started", "first"), ("Exited 0 Completed", "first"), ("Started", "proxy"), ("StartedUp", "proxy"),
                   ("Started", "last"), ("Exited 0 Completed", "last"), ("Initialized", ""), ("Started", "app"), ("Started", "beside"))
        self.assertGreaterEqual(pod.happened("StartedUp", "proxy") - pod.happened("Started", "proxy"), 0.9)  # the second question

    def test_an_init_container_that_fails_is_tried_again_later_each_time(self):
        pod = self.pod(shell("app", SERVE), init=[shell("never", "exit 3")])

        def times():
            return [at for at, name, what in pod.events if (name, what) == ("never", "Started")]

        starts = self.cluster.wait(lambda: times() if len(times()) > 2 else None, "two restarts")
        self.assertGreaterEqual(starts[2] - starts[1], 1)
        self.assertIsNone(pod.happened("Started", "app"))

    def test_what_the_manifest_says_is_what_the_program_finds(self):
        self.cluster.apply([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "from-config"}},
                            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": "from-secret"}}])
        security = {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65533, "readOnlyRootFilesystem": True,
                    "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        env = [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
               {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
               {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
               {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
               {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "a"}}}, {"name": "BOTH", "value": "$(S)+$(C)+$$(S)+$(NO)"}]
        script = ("echo $POD $IP $NODE \"$BOTH\" \"$0\"; id -u; id -g; id -G; grep -E '^(CapPrm|CapBnd|NoNewPrivs)' /proc/self/status;"
                  "touch /x 2>&1; touch /v/x && echo made; touch /r/x 2>&1; cat /r/as; hostname; echo $$; " + SERVE)
        app = {**shell("app", script, env=env, securityContext=security), "volumeMounts": [
            {"name": "v", "mountPath": "/v"}, {"name": "r", "mountPath": "/r", "readOnly": True}]}
        app["args"] = ["$(POD)-arg"]
        pod = self.serving(self.pod(app, securityContext={"fsGroup": 65534}, volumes=[
            {"name": "v", "emptyDir": {}}, {"name": "r", "secret": {"secretName": "s", "items": [{"key": "k", "path": "as"}]}}]))
        self.cluster.wait(lambda: "serving" in pod.logs(), "the log")
        self.assertEqual(pod.logs().splitlines(), [
            f"one {pod.address} node-1 from-secret+from-config+$(S)+$(NO) one-arg", "65532", "65533", "65533 65534",
            "CapPrm:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "touch: cannot touch '/x': Read-only file system",
            "made", "touch: cannot touch '/r/x': Read-only file system", "from-secretone", "1", "serving"])

    def test_a_pod_waits_for_what_it_needs(self):
        pod = self.pod(shell("app", SERVE), volumes=[{"name": "c", "configMap": {"name": "late"}}])
        self.cluster.wait(lambda: "late" in pod.why, "the reason")
        self.cluster.apply([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late"}, "data": {}}])
        self.serving(pod)
        other = self.pod({"name": "app", "image": "nobody/knows:1"}, name="two")
        self.cluster.wait(lambda: other.container().waiting[0] == "ErrImagePull", "the reason")
        root = self.pod(shell("app", SERVE, securityContext={"runAsNonRoot": True}), name="three")
        self.cluster.wait(lambda: root.container().waiting[0] == "CreateContainerConfigError", "the reason")


class Probes(PodCase):
    def test_ready_when_all_are_and_not_before_the_threshold(self):
        pod = self.pod(shell("app", SERVE, readinessProbe=probe("test -e /tmp/ready", failureThreshold=2)),
                       init=[sidecar("proxy", readinessProbe=probe("test -e /tmp/ready"))])
        app, proxy = pod.container("app"), pod.container("proxy")
        self.cluster.wait(lambda: app.runs, "the start")
        pod.exec(["touch", "/tmp/ready"])
        self.cluster.wait(lambda: app.ready, "app")
        self.assertFalse(pod.serving)
        pod.exec(["touch", "/tmp/ready"], "proxy")
        self.serving(pod)
        pod.exec(["rm", "/tmp/ready"])
        self.cluster.wait(lambda: app.probers[0].in_a_row == 1 and not app.probers[0].latest, "the first failure")
        self.assertTrue(pod.serving)
        self.cluster.wait(lambda: not pod.serving, "the second")
        self.assertTrue(proxy.ready)

    def test_who_is_not_ready_at_first_is_asked_again_before_its_period(self):
        """Long before: when it is seen that a container has started, and when another one is ready."""
        rarely = {"periodSeconds": 3600, "timeoutSeconds": 60}
        pod = self.pod(shell("app", SERVE, readinessProbe=probe("test -e /tmp/ready", timeoutSeconds=60)),
                       shell("asked", SERVE, readinessProbe=probe("test -e /tmp/asked || { touch /tmp/asked; exit 1; }", **rarely)),
                       shell("late", SERVE, readinessProbe=probe("test -e /tmp/ready", **rarely)))
        late = pod.container("late")
        self.cluster.wait(lambda: pod.container("asked").ready and late.probers[0].in_a_row > 1, "the second question")
        pod.exec(["touch", "/tmp/ready"], "late")
        pod.exec(["touch", "/tmp/ready"], "app")
        self.serving(pod)

    def test_who_does_not_live_is_started_again(self):
        pod = self.serving(self.pod(shell("app", SERVE, livenessProbe=probe("test ! -e /tmp/dead", failureThreshold=2),
                                          **pre_stop("echo hook > /proc/1/fd/1"))))
        pod.exec(["touch", "/tmp/dead"])
        app = pod.container()
        self.cluster.wait(lambda: app.restarts == 1 and pod.serving, "the restart")
        self.order(pod, ("PreStop", "app"), ("Term", "app"), ("Exited 0 Completed", "app"))
        self.assertIn("hook", pod.logs(previous=True))

    def test_of_http_and_tcp(self):
        self.cluster.image("app", self.cluster.application())
        port = {"ports": [{"name": "http", "containerPort": 3001}]}
        good = {"name": "a", "image": "app", **port, "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
                "livenessProbe": {"tcpSocket": {"port": 3001}, "periodSeconds": 1, "initialDelaySeconds": 1}}
        self.serving(self.pod(good))
        bad = self.pod({**good, "readinessProbe": {"httpGet": {"path": "/healthz", "port": 3002}, "periodSeconds": 1}}, name="two")
        self.cluster.wait(lambda: bad.container().probers and bad.container().probers[0].in_a_row > 2, "three questions")
        self.assertFalse(bad.serving)


class End(PodCase):
    def test_hooks_at_once_then_the_application_then_sidecars_backwards(self):
        pod = self.serving(self.pod(shell("app", SERVE, **pre_stop("sleep 0.5")),
                                    init=[sidecar("outer", **pre_stop("true")), sidecar("inner")]))
        self.ended(pod)
        self.order(pod, ("PreStop", "outer"), ("PreStopped", "app"), ("Term", "app"), ("Exited 0 Completed", "app"), ("Term", "inner"),
                   ("Exited 0 Completed", "inner"), ("Term", "outer"), ("Exited 0 Completed", "outer"), ("Over", ""))
        self.order(pod, ("PreStop", "app"), ("PreStopped", "outer"), ("PreStopped", "app"))

    def test_without_sidecars_nobody_waits_for_anybody(self):
        pod = self.serving(self.pod(shell("slow", SERVE, **pre_stop("sleep 0.7")), shell("fast", SERVE)))
        self.ended(pod)
        self.order(pod, ("Exited 0 Completed", "fast"), ("Term", "slow"))

    def test_kill_when_the_grace_period_is_over(self):
        """It is counted from the beginning, for the hook, too; and there are two seconds at least."""
        pod = self.serving(self.pod(shell("app", DEAF, **pre_stop("sleep 1")), terminationGracePeriodSeconds=4))
        self.ended(pod)
        took = pod.happened("Kill", "app") - pod.happened("Killing")
        self.assertGreaterEqual(took, 3.9, pod.events)
        self.assertLess(took, 30, pod.events)
        self.assertEqual((pod.container().process.code, pod.container().process.reason), (137, "Error"))
        hung = self.serving(self.pod(shell("app", SERVE, **pre_stop("sleep 60")), name="two", terminationGracePeriodSeconds=1))
        self.ended(hung)
        self.assertLess(hung.happened("Term", "app") - hung.happened("Killing"), 30, "the hook sleeps for a minute")
        self.assertEqual(hung.container().process.code, 0)

    def test_a_sidecar_whose_application_will_not_end_has_two_seconds(self):
        pod = self.serving(self.pod(shell("app", DEAF), init=[sidecar("proxy", DEAF)], terminationGracePeriodSeconds=2))
        self.ended(pod)
        self.assertGreater(pod.happened("Term", "proxy"), pod.happened("Term", "app"), pod.events)
        self.assertGreaterEqual(pod.happened("Kill", "proxy") - pod.happened("Term", "proxy"), 1.9, pod.events)

    def test_a_pod_is_over_when_its_work_is(self):
        pod = self.pod(shell("app", "exit 0"), init=[sidecar("proxy")], restartPolicy="Never")
        self.cluster.wait(pod.gone.is_set, "the end")
        self.assertEqual((pod.phase, pod.container("proxy").process.code), ("Succeeded", 0))
        again = self.pod(shell("app", "test -e /v/x || { touch /v/x; exit 1; }", volumeMounts=[{"name": "v", "mountPath": "/v"}]),
                         name="two", restartPolicy="OnFailure", volumes=[{"name": "v", "emptyDir": {}}])
        self.cluster.wait(again.gone.is_set, "the end")
        self.assertEqual((again.phase, again.container().restarts), ("Succeeded", 1))

    def test_memory_beyond_the_limit_is_recognised(self):
        if self.cluster.runtime.cgroups.version == 0:
            self.skipTest(f"no limits of memory: {self.cluster.runtime.cgroups.why}")
        greedy = {"name": "app", "image": SHELL, "command": ["python3", "-S", "-c", "x = bytearray(200000000)"],
                  "resources": {"limits": {"memory": "40Mi", "cpu": "1"}}}
        pod = self.pod(greedy, restartPolicy="Never")
        self.cluster.wait(pod.gone.is_set, "the end")
        self.assertEqual((pod.phase, pod.container().process.code, pod.container().process.reason), ("Failed", 137, "OOMKilled"))


class Network(PodCase):
    def app(self, name, replicas=2):
        self.cluster.image("app", self.cluster.application(NAME=name))
        container = {"name": "app", "image": "app:1", "readinessProbe": {"tcpSocket": {"port": 3001}, "periodSeconds": 1}}
        self.cluster.apply([
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
                "replicas": replicas, "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}}},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {
                "selector": {"app": name}, "ports": [{"port": 80, "targetPort": 3001}]}}])
        self.rolled_out(name)
        return self.cluster.pods(name)

    def ask(self, sock):
        sock.sendall(b"GET /who HTTP/1.1\r\nHost: a\r\n\r\n")
        return sock.recv(65536).decode()

    def test_a_service_leads_to_ready_pods_and_connections_stay(self):
        pods = self.app("orders")
        address = self.cluster.get("Service", "orders")["spec"]["clusterIP"]
        told = [self.cluster.client.run(["curl", "-s", "-m", "5", f"http://{host}/"]).stdout.decode()
                for host in ("orders", "orders.shop", f"orders.shop.{names.DOMAIN}") * 6]
        self.assertEqual({pod.name for pod in pods}, {p.name for p in pods if any(p.name in text for text in told)}, told)
        kept = self.cluster.client.connect(address, 80)
        (mine,) = [pod for pod in pods if pod.name in self.ask(kept)]
        self.cluster.patch("Service", "orders", lambda o: o["spec"].update(selector={"app": "nobody"}))
        self.cluster.wait(lambda: not self.cluster.endpoints("orders"), "no endpoint")
        self.assertIn(mine.name, self.ask(kept))
        kept.close()
        with self.assertRaises(ConnectionRefusedError):
            self.cluster.client.connect(address, 80)
        self.assertNotEqual(self.cluster.client.run(["curl", "-s", "-m", "5", "http://nobody/"]).returncode, 0)

    def test_endpoints_change_late(self):
        """Which is what draining is for: the pod that ends is asked for a while."""
        pods = self.app("orders")
        self.cluster.endpoint_delay = 3
        self.cluster.delete("Pod", pods[0].name, wait=False)
        self.assertEqual(len(self.cluster.endpoints("orders")), 2)
        self.cluster.wait(lambda: (pods[0].address, 3001) not in self.cluster.endpoints("orders"), "the change")
        self.cluster.wait(lambda: len(self.cluster.endpoints("orders")) == 2, "the pod in its place")

    def test_names_of_ports_of_native_sidecars(self):
        """They lead somewhere from Kubernetes 1.32 on."""
        spec = {"containers": [], "initContainers": [{"restartPolicy": "Always", "ports": [{"name": "shunt", "containerPort": 8080}]}]}
        self.assertIsNone(controllers.target_port({"port": 80, "targetPort": "shunt"}, spec, (1, 31)))
        self.assertEqual(controllers.target_port({"port": 80, "targetPort": "shunt"}, spec, (1, 32)), 8080)


class Volumes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_files_are_swapped_all_at_once(self):
        """Whoever opens the folder once finds files that belong together, however often they are swapped."""
        def both(n):
            return {"a": (b"%d" % n, 0o644), "b": (b"%d" % n, 0o600)}

        volumes.swap(self.folder, both(0))
        over, seen = threading.Event(), []

        def look():
            while not over.is_set():
                texts = []
                try:
                    folder = os.open(os.path.join(self.folder, "..data"), os.O_RDONLY | os.O_DIRECTORY)
                except FileNotFoundError:  # the link has changed on the way through it
                    continue
                try:
                    for name in "ab":
                        with open(os.open(name, os.O_RDONLY, dir_fd=folder), "rb") as f:
                            texts.append(f.read())
                except FileNotFoundError:  # of the folder before, which is being removed
                    pass
                finally:
                    os.close(folder)
                seen.append(texts)

        reader = threading.Thread(target=look)
        reader.start()
        for n in range(1, 200):
            self.assertTrue(volumes.swap(self.folder, both(n)))
        over.set()
        reader.join()
        whole = [texts for texts in seen if len(texts) == 2]
        self.assertTrue(whole)
        self.assertEqual([texts for texts in whole if texts[0] != texts[1]], [])
        self.assertFalse(volumes.swap(self.folder, both(199)))
        self.assertEqual(oct(os.stat(os.path.join(self.folder, "b")).st_mode & 0o777), "0o600")
        volumes.swap(self.folder, {"b": (b"alone", 0o644)})
        self.assertEqual(sorted(n for n in os.listdir(self.folder) if not n.startswith("..")), ["b"])
        self.assertEqual(len([n for n in os.listdir(self.folder) if n.startswith("..2")]), 1)


class Rolling(unittest.TestCase):
    class Pod:
        def __init__(self, template_hash, is_ready=True, ending=False):
            self.template_hash, self.is_ready, self.ending = template_hash, is_ready, ending

    def decide(self, pods, **figures):
        deployment = {"spec": {"replicas": 3, "template": {}, "strategy": {"type": "RollingUpdate", "rollingUpdate": figures}}}
        made, ended = controllers.rolling(deployment, pods)
        return made, [pods.index(pod) for pod in ended]

    def test_one_more_and_none_less(self):
        new = controllers.template_hash({})
        old = [self.Pod("old") for _ in range(3)]
        figures = {"maxSurge": 1, "maxUnavailable": 0}
        self.assertEqual(self.decide([], **figures), (3, []))
        self.assertEqual(self.decide(old, **figures), (1, []))
        self.assertEqual(self.decide([*old, self.Pod(new, False)], **figures), (0, []))
        self.assertEqual(self.decide([*old, self.Pod(new)], **figures), (0, [0]))
        old[0].ending = True
        self.assertEqual(self.decide([*old, self.Pod(new)], **figures), (1, []))
        self.assertEqual(self.decide([self.Pod("old", False), *old[1:]], **figures), (1, []))
        self.assertEqual(self.decide([self.Pod("old") for _ in range(3)], maxSurge=0, maxUnavailable="34%"), (0, [0]))


class LeftBehind(PodCase):
    def test_nothing(self):
        """Not after a failure either: a pod that cannot start, one that will not end, one in the middle of its hook."""
        self.serving(self.pod(shell("app", DEAF), name="deaf"))
        hook = self.serving(self.pod(shell("app", SERVE, **pre_stop("sleep 60")), name="hook", terminationGracePeriodSeconds=120))
        self.pod({"name": "app", "image": SHELL, "command": ["no-such-program"]}, name="cannot")
        hook.end()
        self.cluster.wait(lambda: hook.happened("PreStop", "app"), "the hook")
        processes = [c.process.pid for pod in self.cluster.kubelets for c in pod.containers if c.process]
        prefix, folder = self.cluster.network.prefix, self.cluster.runtime.folder
        cgroup = self.cluster.runtime.cgroups.name
        self.cluster.close()
        self.assertFalse([name for name in os.listdir(netns.FOLDER) if name.startswith(prefix)])
        self.assertFalse(os.path.exists(folder))
        self.assertFalse([pid for pid in processes if os.path.exists(f"/proc/{pid}")])
        for top in self.cluster.runtime.cgroups.tops().values():
            self.assertNotIn(cgroup, os.listdir(top))
        with open("/proc/self/mounts", encoding="utf-8") as f:
            self.assertNotIn(folder, f.read())

    def test_of_a_test_that_was_killed(self):
        """The next one sweeps: what has the number of a process that is no more."""
        ended = subprocess.Popen(["true"])
        ended.wait()
        left = f"shunt-{ended.pid}-1-left"
        netns.run("ip", "netns", "add", left)
        self.addCleanup(subprocess.run, ["ip", "netns", "del", left], capture_output=True, check=False)
        netns.sweep()
        self.assertNotIn(left, os.listdir(netns.FOLDER))


if __name__ == "__main__":
    unittest.main()
