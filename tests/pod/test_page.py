"""docs/kubernetes.md, word for word: each way in is walked as the page says it, on a simulated cluster whose application serves
clients all the while, and no request of theirs fails."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

import yaml

import cluster
import kustomize
import load
import page
import remote
import runtime

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ["SHUNT_BUILD"]
OPERATOR = tuple(f"monitoring.coreos.com/v1/{kind}" for kind in ("PodMonitor", "ServiceMonitor", "PrometheusRule"))
FIVE_MINUTES = 300
NOWHERE = """
apiVersion: v1
kind: Config
clusters: [ { name: nowhere, cluster: { server: "http://127.0.0.1:1" } } ]
contexts: [ { name: nowhere, context: { cluster: nowhere } } ]
current-context: nowhere
"""
OBJECT = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n"
PAIRS = 20  # enough to see that answers are compared
EXAMPLE = os.path.join(page.TOP, "helm/examples/kustomize")


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def walked():
    """{section: steps} of the sections that ask for something to be typed."""
    return {title: steps for title, steps in page.sections(read(page.PATH)).items()
            if any(isinstance(step, page.Commands) for step in steps)}


class Blocks(unittest.TestCase):
    """What the page shows, and the means of this test."""

    def test_every_section_with_commands_is_walked(self):
        ways = {way.section for way in Way.__subclasses__()}
        followed = {step.anchor for steps in walked().values() for step in steps if isinstance(step, page.Follow)}
        self.assertEqual(set(walked()), ways | followed)

    def test_files_are_shown_as_they_are(self):
        shown = [step for steps in page.sections(read(page.PATH)).values() for step in steps if isinstance(step, page.File)]
        self.assertGreaterEqual(len(shown), 9)
        for file in shown:
            self.assertEqual(file.text, read(os.path.join(page.TOP, file.path)), file.path)

    def test_a_block_that_nobody_would_run_is_refused(self):
        for text in ("```yaml\na: 1\n```\n", "```\nwhat is printed\n```\n", "```bash\nls\n```\n", "```sh\nls\n"):
            with self.assertRaises(page.Stray):
                page.sections("## A section\n\n" + text)
        shown = page.Output("A  B\n1,204  31 (2.6 %)\n")
        self.assertEqual(shown.missing("A B\n7    7 (100 %)\n"), [])
        self.assertEqual(shown.missing("A B\n7    7\n"), ["1,204  31 (2.6 %)"])
        steps = page.sections("## One\n\n`helm/a.yaml`:\n\n```yaml\na: 1\n```\n\nThen [look at it](#two).\n\n```sh\nls \\\n  -l\n```\n")["one"]
        self.assertEqual(steps, [page.File("helm/a.yaml", "a: 1\n"), page.Follow("two"), page.Commands("ls \\\n  -l\n", 11)])
        self.assertEqual(page.commands(steps[-1].text), ["ls -l"])

    def test_five_minutes_are_few_commands(self):
        into, led, looked, out = [page.commands(step.text) for step in walked()["five-minutes"] if isinstance(step, page.Commands)]
        self.assertLessEqual(len(into + led + looked), 7)
        self.assertLessEqual(len(out), 4)

    def test_commands_that_are_not_simulated_are_refused(self):
        environment = {**os.environ, "PATH": os.path.join(HERE, "bin") + ":" + os.environ["PATH"]}
        environment.pop(remote.ADDRESS, None)
        for command in ("kubectl scale deploy/orders --replicas 3", "helm repo add x https://x", "helm template orders helm/shunt"):
            done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("is not simulated", done.stderr)
        done = subprocess.run("kubectl apply -f x", shell=True, env=environment, capture_output=True, text=True, timeout=60, check=False)
        self.assertIn("no cluster", done.stderr)

    @unittest.skipUnless(shutil.which("kubectl"), "no kubectl on this machine")
    def test_a_real_kubectl_understands_the_page(self):
        """Every command line of it, as far as the way to a cluster, where nobody listens."""
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as nowhere:
            nowhere.write(NOWHERE)
            nowhere.flush()
            lines = "\n".join(line for steps in walked().values() for step in steps if isinstance(step, page.Commands)
                              for line in page.commands(step.text))
            for name, value in (('"$(openssl rand -hex 20)"', "secret"), ("$pod", "pod/orders-1")):
                lines = lines.replace(name, value)
            typed = {command.strip() for command in re.findall(r"kubectl [^|;()#>\n]+", lines)}
            self.assertGreater(len(typed), 15)
            for command in sorted(typed):
                done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False, input=OBJECT,
                                      cwd=page.TOP if "helm/" in command else EXAMPLE, env={**os.environ, "KUBECONFIG": nowhere.name})
                self.assertIn("refused", done.stderr, command)

    @unittest.skipUnless(shutil.which("kubectl"), "no kubectl on this machine")
    def test_kustomize_says_the_same(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
        plan = os.path.join(folder, "kustomization.yaml")
        for text in (read(plan), read(plan).replace("# - {", "- {")):
            with open(plan, "w", encoding="utf-8") as f:
                f.write(text)
            done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, timeout=60, check=True)
            theirs = sorted(yaml.safe_load_all(done.stdout), key=kustomize.identity)
            self.assertEqual(sorted(kustomize.build(folder), key=kustomize.identity), theirs)


class Way:
    """One way of the page, walked from what is there to what it leaves. `section` is its anchor; `after` are the names of what is
    asserted when each of its blocks has been typed, in order; `service` is where clients connect."""

    section, after, service, version = "", (), "orders", "1.30.0"

    def setUp(self):
        lacking = cluster.missing()
        if lacking:
            self.skipTest(lacking)
        self.checkout = tempfile.mkdtemp(prefix="checkout.")
        self.addCleanup(shutil.rmtree, self.checkout)
        shutil.copytree(os.path.join(page.TOP, "helm"), os.path.join(self.checkout, "helm"))
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.cluster = self.stack.enter_context(cluster.Cluster(namespace="shop", version=self.version, shunt=BUILD))
        environment = self.stack.enter_context(remote.served(self.cluster, OPERATOR))
        environment["PATH"] = ":".join([os.path.join(HERE, "bin"), BUILD, os.environ["PATH"]])
        self.terminal = page.Terminal(self.checkout, environment)
        self.image("orders", "1")
        self.image("orders-v2", "2")
        self.serve("orders-v2")

    def image(self, name, version, stop="3"):
        """`stop`: how many seconds it goes on serving when its pod ends."""
        self.cluster.image(f"images.example.org/{name}", self.cluster.application(VERSION=version, STOP_DELAY=stop))

    def serve(self, name, image=None):
        """A Deployment and a Service, named and written as the example's are."""
        text = read(os.path.join(EXAMPLE, "deployment.yaml")) + "---\n" + read(os.path.join(EXAMPLE, "service.yaml"))
        self.cluster.apply(text.replace("orders", name).replace(f"images.example.org/{name}", f"images.example.org/{image or name}"))

    def test_word_for_word(self):
        self.before()
        self.await_answers("orders-v2")
        self.await_answers(self.service)
        self.image("orders", "1", stop="0")  # pods that shunt is in have a pause before their end
        self.load = self.clients(self.service)
        seconds = self.walk(self.section, self.after)
        self.nothing_failed(self.load)
        self.assertLess(seconds, FIVE_MINUTES)

    def clients(self, service):
        made = load.Load(self.cluster, service, ["orders/1"])
        self.addCleanup(made.close)
        return made

    def nothing_failed(self, clients):
        done = clients.finish()
        self.assertEqual(done["failures"], 0, "\n".join(done["first"]))
        self.assertGreater(done["requests"], 100)

    def walk(self, section, after):
        """Types what a section says; returns how many seconds that took."""
        steps, typed, said = page.sections(read(page.PATH))[section], 0.0, ""
        self.assertEqual(len(after), len([step for step in steps if isinstance(step, page.Commands)]), section)
        checks = iter(after)
        for step in steps:
            if isinstance(step, page.File):
                self.save(step)
            elif isinstance(step, page.Output):
                self.assertEqual(step.missing(said), [], said)
            elif isinstance(step, page.Follow):
                self.walk(step.anchor, LOOKED_AT[step.anchor])
            else:
                self.load.phase(f"line {step.line}")
                begun = time.monotonic()
                said = self.terminal.type(step.text)
                typed += time.monotonic() - begun
                getattr(self, next(checks))(said)
        return typed

    def save(self, file):
        path = os.path.join(self.checkout, file.path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(file.text)

    # ---------------------------------------------------------------------------------------------------- what can be asked

    def await_answers(self, service):
        self.cluster.wait(lambda: self.answer(service)[0] == "200", f"answers of {service}")

    def answer(self, service):
        """(status, Via) of one more client's request; ("000", why) where there is no answer."""
        done = self.cluster.client.run(["curl", "-sv", "-o", "/dev/null", "-w", "%{http_code} %header{via}", "-m", "5",
                                        f"http://{service}/orders/7"])
        status, _, via = done.stdout.decode().partition(" ")
        return status, via if done.returncode == 0 else f"{done.stderr.decode()} {self.cluster.network.services}"

    def pods(self):
        return [pod for pod in self.cluster.pods(f"deployment/{self.deployment()}") if not pod.ending]

    def deployment(self):
        return "orders"

    def containers(self):
        return [sorted(c.name for c in pod.containers) for pod in self.cluster.pods(f"deployment/{self.deployment()}")]

    def await_the_end_of_old_pods(self):
        self.cluster.wait(lambda: not any(pod.ending for pod in self.cluster.pods()), "the end of the old pods", 90)

    def shuntctl(self, pod, *words):
        done = self.cluster.exec(f"pod/{pod.name}", ["shuntctl", *words], container="shunt")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def compared(self, pod):
        return sum(route["totals"]["compared"] for route in self.shuntctl(pod, "report", "--json")["routes"])

    # ---------------------------------------------------------------------------------------------------- what is promised

    def shunt_is_in_the_pods(self, _):
        """Ready, and nobody's way leads through it yet."""
        self.await_the_end_of_old_pods()
        self.assertEqual(self.containers(), [["orders", "shunt"]] * 2)
        self.assertTrue(all(pod.serving for pod in self.pods()))
        self.assertEqual(self.answer(self.service), ("200", ""))

    def shunt_is_in_the_way(self, _):
        """Clients' answers come through it, from legacy alone, and pairs are compared in every pod."""
        self.cluster.wait(lambda: "shunt" in self.answer(self.service)[1], "answers through shunt")
        for pod in self.pods():
            self.cluster.wait(lambda pod=pod: self.compared(pod) >= PAIRS, f"pairs compared in {pod.name}")
            (route,) = self.shuntctl(pod, "status", "--json")["routes"]
            self.assertEqual((route["stage"], route["percent"]), ("shadow", 0), route)

    def the_report_is_a_page(self, said):
        """And the stage and its figures are told."""
        self.assertRegex(said, r"(?m)^orders +running +shadow 1/1 +0 % +100 % ")
        html = read(os.path.join(self.terminal.folder, "report.html"))
        self.assertTrue(html.lower().startswith("<!doctype html>"), html[:80])
        self.assertIn("</html>", html)
        self.assertIn("$.version", html)

    def passthrough_is(self, wanted):
        for pod in self.pods():
            self.assertEqual(self.shuntctl(pod, "status", "--json")["passthrough"], wanted, pod.name)

    def passthrough_is_on(self, _):
        self.passthrough_is(True)

    def passthrough_is_off(self, _):
        self.passthrough_is(False)

    def shunt_is_gone(self, _):
        """No pod has it, nothing is left of it, and clients have answers."""
        self.await_the_end_of_old_pods()
        self.assertEqual(self.containers(), [["orders"]] * 2)
        self.assertEqual(self.answer(self.service), ("200", ""))
        left = [o["metadata"]["name"] for kind in ("ConfigMap", "Secret") for o in self.cluster.list(kind)
                if "shunt" in o["metadata"]["name"]]
        self.assertEqual(left, [])


REDIS = """
apiVersion: apps/v1
kind: Deployment
metadata: { name: redis }
spec:
  selector: { matchLabels: { app: redis } }
  template:
    metadata: { labels: { app: redis } }
    spec:
      containers:
        - { name: redis, image: "images.example.org/redis:7", args: ["--requirepass", PASSWORD], ports: [ { name: redis, containerPort: 6379 } ] }
---
apiVersion: v1
kind: Service
metadata: { name: redis }
spec: { selector: { app: redis }, ports: [ { port: 6379 } ] }
"""
LOOKED_AT = {"look-at-it": ("the_report_is_a_page", "passthrough_is_on", "passthrough_is_off")}


class FiveMinutes(Way, unittest.TestCase):
    section = "five-minutes"
    after = ("shunt_is_in_the_pods", "shunt_is_in_the_way", "the_report_is_a_page", "shunt_is_gone")

    def before(self):
        """The Deployment and the Service that the page begins with."""
        self.terminal.type("kubectl apply -n shop -f helm/examples/kustomize/deployment.yaml -f helm/examples/kustomize/service.yaml\n"
                           "kubectl rollout status deploy/orders -n shop")


class Inject(Way, unittest.TestCase):
    section = "with-shuntctl-inject"
    after = ("shunt_is_in_the_pods", "shunt_is_in_the_way", "the_files_are_as_they_were")
    before = FiveMinutes.before

    def the_files_are_as_they_were(self, said):
        self.shunt_is_gone(said)
        for name in ("deployment.yaml", "service.yaml"):
            self.assertEqual(read(os.path.join(self.terminal.folder, name)), read(os.path.join(EXAMPLE, name)))


class Kustomize(Way, unittest.TestCase):
    section = "with-kustomize"
    after = ("shunt_is_in_the_pods", "shunt_is_in_the_way", "shunt_is_gone")
    before = FiveMinutes.before


class Chart(Way, unittest.TestCase):
    section = "beside-the-application"
    after = ("shunt_is_in_the_pods", "shunt_is_in_the_way", "shunt_is_gone")

    def before(self):
        """The application's chart, as it was: with the same Deployment and Service, and without a dependency."""
        folder = os.path.join(self.checkout, "helm/examples/sidecar")
        shutil.rmtree(folder)
        for name, text in (("Chart.yaml", "apiVersion: v2\nname: orders\nversion: 1.4.0\n"), ("values.yaml", "{}\n"),
                           ("templates/deployment.yaml", read(os.path.join(EXAMPLE, "deployment.yaml"))),
                           ("templates/service.yaml", read(os.path.join(EXAMPLE, "service.yaml")))):
            self.save(page.File(f"helm/examples/sidecar/{name}", text))
        self.terminal.type("helm install orders helm/examples/sidecar -n shop\nkubectl rollout status deploy/orders -n shop")


class ClassicChart(Chart):
    """On a cluster that has no native sidecars."""

    version = "1.27.3"

    def shunt_is_in_the_pods(self, said):
        super().shunt_is_in_the_pods(said)
        self.assertEqual({c.kind for pod in self.pods() for c in pod.containers}, {"main"})


class Gateway(Way, unittest.TestCase):
    """Clients reach legacy by its own Service until the gateway has passed its test."""

    section = "in-front-of-two-services"
    after = ("the_gateway_serves",)
    service = "orders-v1"

    def deployment(self):
        return "orders-shunt"

    def before(self):
        self.serve("orders-v1", "orders")
        if shutil.which("redis-server"):
            folder = self.cluster.runtime.make_folder("images", "redis")
            self.cluster.image("images.example.org/redis", runtime.host_image(folder, command=("redis-server", "--save", "")))
            self.cluster.apply(REDIS)

    def the_gateway_serves(self, said):
        """Its test has passed, clients have moved to it, and with a Redis both pods have one plan."""
        self.assertIn("Phase: Succeeded", said)
        self.service = "orders-shunt"
        clients = self.clients(self.service)
        self.shunt_is_in_the_way(said)
        self.nothing_failed(clients)
        for pod in self.pods() if shutil.which("redis-server") else []:
            self.cluster.wait(lambda pod=pod: self.shuntctl(pod, "fleet", "--json")["alive"] == 2, f"{pod.name} to know of two replicas")


if __name__ == "__main__":
    unittest.main(verbosity=2)
