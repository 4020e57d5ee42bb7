"""`shuntctl inject`, the kustomize example and the chart put the same into a pod; what inject makes of every fixture is what
Kubernetes takes."""

import copy
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import yaml

import chart
import kubernetes

KUSTOMIZE = os.path.join(chart.EXAMPLES, "kustomize")
FIXTURES = sorted(glob.glob(os.path.join(chart.TOP, "tests/tools/manifests/*")))
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod", "Job", "CronJob")


def setUpModule():
    chart.build()


def inject(*words, text=None):
    """The objects, and the text they were read from."""
    done = subprocess.run([os.path.join(chart.BUILD, "shuntctl"), "inject", *words], input=text, capture_output=True, timeout=60,
                          check=False)
    if done.returncode != 0:
        raise AssertionError(done.stderr.decode())
    return objects(done.stdout), done.stdout


def objects(text):
    """Of YAML, of JSON, of JSON objects one after the other; items of Lists by themselves."""
    text = text.decode("utf-8-sig")
    try:
        found = [o for o in yaml.load_all(text, Loader=kubernetes.Strict) if o]
    except yaml.YAMLError:
        found, decoder = [], json.JSONDecoder()
        while text.strip():
            one, end = decoder.raw_decode(text.strip())
            found.append(one)
            text = text.strip()[end:]
    return [item for o in found for item in (o["items"] if o.get("kind") == "List" else [o])]


def example(name):
    with open(os.path.join(KUSTOMIZE, name), encoding="utf-8") as f:
        (found,) = kubernetes.read(f.read())
    return found


def pod_of(o):
    """Metadata and spec of its pods; None of an object that has none."""
    if o["kind"] not in WORKLOADS or o["apiVersion"] not in ("v1", "apps/v1", "batch/v1"):
        return None
    below = o if o["kind"] == "Pod" else o["spec"]["jobTemplate"]["spec"]["template"] if o["kind"] == "CronJob" else o["spec"]["template"]
    return below


def container_of(spec, name="shunt"):
    (found,) = [c for kind in ("initContainers", "containers") for c in spec.get(kind) or [] if c["name"] == name]
    return found


def without_marks(o):
    """Without annotations that only say what inject did."""
    o = copy.deepcopy(o)
    for below in [o, pod_of(o)]:
        about = (below or {}).get("metadata") or {}
        about["annotations"] = {key: value for key, value in (about.get("annotations") or {}).items() if not key.startswith("shunt/")}
        if not about["annotations"]:
            del about["annotations"]
    return o


class Same(unittest.TestCase):
    maxDiff = None

    def example_by_inject(self, *words):
        files = [word for name in ("deployment.yaml", "service.yaml") for word in ("-f", os.path.join(KUSTOMIZE, name))]
        made, _ = inject(*files, "--image", "images.example.org/shunt:0.1.0", "--config", os.path.join(KUSTOMIZE, "shunt.yaml"),
                         *words)
        return {o["kind"]: without_marks(o) for o in made}

    def test_as_the_kustomize_example(self):
        made = self.example_by_inject()
        self.assertEqual(sorted(made), ["ConfigMap", "Deployment", "Service"])
        self.assertEqual(made["Deployment"], chart.laid(example("deployment.yaml"), example("sidecar.yaml")))
        self.assertEqual(made["Service"], chart.laid(example("service.yaml"), example("port.yaml")))
        with open(os.path.join(KUSTOMIZE, "shunt.yaml"), encoding="utf-8") as f:
            self.assertEqual(made["ConfigMap"]["data"], {"shunt.yaml": f.read()})
        self.assertEqual(kubernetes.faults(list(made.values())), [])

    @unittest.skipUnless(shutil.which("kubectl"), "no kubectl here, whose kustomize would be asked")
    def test_as_kubectl_makes_it(self):
        """Both steps: with the Service as it was, and with it changed."""
        folder = os.path.join(tempfile.mkdtemp(), "kustomize")
        self.addCleanup(shutil.rmtree, os.path.dirname(folder))
        shutil.copytree(KUSTOMIZE, folder)
        self.assertEqual(self.example_by_inject("--only", "pods"), self.by_kubectl(folder))
        path = os.path.join(folder, "kustomization.yaml")
        with open(path, encoding="utf-8") as f:
            steps = f.read()
        self.assertIn("# - { path: port.yaml }", steps)
        with open(path, "w", encoding="utf-8") as f:
            f.write(steps.replace("# - {", "- {"))
        self.assertEqual(self.example_by_inject(), self.by_kubectl(folder))

    def by_kubectl(self, folder):
        done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, timeout=60, check=True)
        return {o["kind"]: o for o in objects(done.stdout)}

    def test_as_the_chart(self):
        """What the example says of the container and volumes, the chart says, too; it may say more."""
        rendered = kubernetes.read(chart.render(chart=os.path.join(chart.EXAMPLES, "sidecar")))
        (deployment,) = [o for o in rendered if o["kind"] == "Deployment"]
        theirs, ours = pod_of(deployment)["spec"], pod_of(self.example_by_inject()["Deployment"])["spec"]
        self.assertEqual(theirs["terminationGracePeriodSeconds"], ours["terminationGracePeriodSeconds"])
        self.assertEqual(container_of(theirs, "orders").get("lifecycle"), container_of(ours, "orders")["lifecycle"])
        mine, other = container_of(ours), container_of(theirs)
        for key in mine:
            if key != "image":
                self.within(mine[key], other[key], f"shunt.{key}")
        self.assertEqual([m["mountPath"] for m in mine["volumeMounts"]], [m["mountPath"] for m in other["volumeMounts"]])
        names = [v["name"] for v in ours["volumes"]]
        self.assertEqual(names, [v["name"] for v in theirs["volumes"]])
        self.assertEqual([sorted(v) for v in ours["volumes"]], [sorted(v) for v in theirs["volumes"]])

    def within(self, less, more, path):
        if isinstance(less, dict):
            for key in less:
                self.assertIn(key, more, path)
                self.within(less[key], more[key], f"{path}.{key}")
        elif isinstance(less, list) and less and isinstance(less[0], dict):
            for item in less:
                (other,) = [o for o in more if o["name"] == item["name"]]
                self.within(item, other, f"{path}.{item['name']}")
        else:
            self.assertEqual(less, more, path)

    def test_the_plan_it_makes_is_the_examples(self):
        """But for what nobody can know: whose requests they are, and who is who."""
        made, _ = inject("-f", os.path.join(KUSTOMIZE, "deployment.yaml"), "--image", "shunt:1", "--new", "http://orders-v2:80")
        (configmap,) = [o for o in made if o["kind"] == "ConfigMap"]
        plan, wanted = yaml.safe_load(configmap["data"]["shunt.yaml"]), example("shunt.yaml")
        for file in (plan, wanted):
            (route,) = file["routes"]
            del route["match"], route["sticky"]
        self.assertEqual(plan, wanted)


class Made(unittest.TestCase):
    maxDiff = None

    def changes(self, path, *words):
        with open(path, "rb") as f:
            text = f.read()
        made, out = inject("-f", "-", "--image", "registry/shunt:1", *words, text=text)
        back, _ = inject("-f", "-", "--uninject", text=out)
        before = objects(text)
        self.assertEqual(back, before)
        return before, made

    def test_every_fixture_is_what_kubernetes_takes(self):
        """All else is as it was; the pod has what the example has, and Services of the pods lead to it."""
        wanted = container_of(example("sidecar.yaml")["spec"]["template"]["spec"])
        self.assertGreaterEqual(len(FIXTURES), 27)
        for path in FIXTURES:
            with self.subTest(os.path.basename(path)):
                before, made = self.changes(path, "--new", "http://orders-v2:80")
                added = [o for o in made if o["kind"] == "ConfigMap" and "shunt/injected" in (o["metadata"].get("annotations") or {})]
                self.assertEqual(len(added), 1)
                rest = [o for o in made if o not in added]
                self.assertEqual([o["kind"] for o in rest], [o["kind"] for o in before])
                for was, now in zip(before, rest):
                    self.one(was, now, {**wanted, "image": "registry/shunt:1"}, added[0]["metadata"]["name"])

    def one(self, was, now, wanted, configmap):
        if was["kind"] == "Service" and now != was:
            ports = {p["port"]: p["targetPort"] for p in now["spec"]["ports"] if p not in was["spec"]["ports"]}
            self.assertEqual(set(ports.values()), {8080})
            return
        if pod_of(was) is None:
            self.assertEqual(now, was)
            return
        spec, old = pod_of(now)["spec"], pod_of(was)["spec"]
        self.assertEqual(container_of(spec), wanted)
        self.assertEqual(spec["initContainers"][:-1], old.get("initContainers") or [])
        self.assertEqual(spec["volumes"][:-3], old.get("volumes") or [])
        self.assertEqual(spec["volumes"][-3]["configMap"], {"name": configmap})
        self.assertEqual(spec["volumes"][-2]["secret"], {"secretName": configmap + "-admin"})
        self.assertEqual(spec["terminationGracePeriodSeconds"], max(45, old.get("terminationGracePeriodSeconds") or 0))
        serves = was["kind"] not in ("Job", "CronJob")
        for a, b in zip(spec["containers"], old["containers"]):
            self.assertEqual({**a, "lifecycle": None}, {**b, "lifecycle": None})
            there = (b.get("lifecycle") or {}).get("preStop")
            pause = {"sleep": {"seconds": 5}} if serves else None
            self.assertEqual((a.get("lifecycle") or {}).get("preStop"), there or pause)

    def test_classic(self):
        wanted = container_of(example("sidecar.yaml")["spec"]["template"]["spec"])
        del wanted["restartPolicy"]
        _, made = self.changes(os.path.join(chart.TOP, "tests/tools/manifests/block.yaml"), "--configmap", "mine", "--classic",
                               "--pre-stop", "20", "--token-secret", "token", "--port", "8181")
        (deployment,) = [o for o in made if o["kind"] == "Deployment"]
        self.assertEqual([o["kind"] for o in made], ["Deployment", "Service"])
        spec = deployment["spec"]["template"]["spec"]
        self.assertEqual([c["name"] for c in spec["containers"]], ["orders", "shunt"])
        wanted = {**wanted, "image": "registry/shunt:1"}
        wanted["ports"][0]["containerPort"] = 8181
        self.assertEqual(spec["containers"][1], wanted)
        self.assertEqual(spec["containers"][0]["lifecycle"], {"preStop": {"exec": {"command": ["sleep", "20"]}}})
        self.assertEqual(spec["terminationGracePeriodSeconds"], 60)
        self.assertEqual([v.get("configMap", v.get("secret")) for v in spec["volumes"][:2]],
                         [{"name": "mine"}, {"secretName": "token"}])
        self.assertEqual(made[1]["spec"]["ports"][0]["targetPort"], 8181)

    def test_the_page_and_the_help_name_every_option(self):
        """docs/shuntctl.md tells of all options that `inject` alone has."""
        done = subprocess.run([os.path.join(chart.BUILD, "shuntctl"), "inject", "--help"], capture_output=True, text=True, timeout=60,
                              check=True)
        own = done.stdout.split("Options:")[1].split("--admin")[0]
        options = re.findall(r"(--[a-z-]+)", re.sub(r"(?m)^(  .{26}).*$", r"\1", own))
        self.assertGreater(len(options), 14)
        with open(os.path.join(chart.TOP, "docs/shuntctl.md"), encoding="utf-8") as f:
            section = f.read().split("## Into manifests")[1].split("\n## ")[0]
        for option in options:
            self.assertIn(option, section)


if __name__ == "__main__":
    unittest.main(verbosity=2)
