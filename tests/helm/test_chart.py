"""The chart: what it makes is what Kubernetes takes and shunt reads, wrong values are refused by their key, and the examples of the
docs are the ones that are rendered here."""

import base64
import copy
import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import yaml

import chart
import kubernetes

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")
LEAST = {"config": {"backends": {"legacy": {"url": "http://orders-v1:80"}}}}


def values(**more):
    """The least values, and more laid on them."""
    made = copy.deepcopy(LEAST)
    for key, value in more.items():
        made[key] = {**made[key], **value} if isinstance(made.get(key), dict) else value
    return made


def named(objects, kind, name=None):
    (found,) = [o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
    return found


def setUpModule():
    chart.build()


class Case(unittest.TestCase):
    maxDiff = None

    def objects(self, given=None, **more):
        """The objects of these values: good ones."""
        made = kubernetes.read(chart.render(given if given is not None else LEAST, **more))
        self.assertEqual(kubernetes.faults(made), [])
        return made

    def container(self, objects, kind="containers", workload="Deployment"):
        (found,) = [c for c in named(objects, workload)["spec"]["template"]["spec"][kind] if c["name"] == "shunt"]
        return found

    def check(self, text, **environment):
        """shunt takes the file that lands in the ConfigMap."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        for name, content in (("admin/token", "0123456789abcdef"), ("redis/password", "secret")):
            os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
            with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
                f.write(content)
        path = os.path.join(folder, "shunt.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace("/etc/shunt/", folder + "/"))
        done = subprocess.run([os.path.join(chart.BUILD, "shunt"), "--check", path], capture_output=True, text=True, timeout=60,
                              check=False, env={**os.environ, **environment})
        self.assertEqual((done.returncode, done.stderr), (0, ""), text)


class Examples(Case):
    """The three ways of docs/kubernetes.md."""

    def example(self, name, text):
        """The same as the golden file. SHUNT_GOLDEN=write writes it anew, for somebody to read the difference."""
        path = os.path.join(GOLDEN, name + ".yaml")
        text = chart.without_chance(text)
        if os.environ.get("SHUNT_GOLDEN") == "write":
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        with open(path, encoding="utf-8") as f:
            self.assertEqual(text, f.read())
        objects = kubernetes.read(text)
        self.assertEqual(kubernetes.faults(objects), [])
        return objects

    def test_sidecar(self):
        objects = self.example("sidecar", chart.render(chart=os.path.join(chart.EXAMPLES, "sidecar")))
        self.assertEqual(self.container(objects, "initContainers")["restartPolicy"], "Always")
        self.check(named(objects, "ConfigMap")["data"]["shunt.yaml"])

    def test_sidecar_of_an_old_cluster(self):
        objects = self.example("sidecar-classic", chart.render(chart=os.path.join(chart.EXAMPLES, "sidecar"), kube="1.27.3"))
        self.assertNotIn("restartPolicy", self.container(objects))
        self.assertFalse(named(objects, "Deployment")["spec"]["template"]["spec"]["initContainers"])

    def test_gateway(self):
        objects = self.example("gateway", chart.render(files=[os.path.join(chart.EXAMPLES, "gateway/values.yaml")],
                                                       apis=chart.MONITORS))
        self.check(named(objects, "ConfigMap", "orders-shunt")["data"]["shunt.yaml"], SHUNT_REDIS_URL="redis://redis:6379")

    def test_gateway_with_volumes(self):
        """Each of several replicas keeps state on a volume of its own."""
        objects = self.example("gateway-volumes", chart.render({"state": {"persistent": True}, "monitoring": {"rules": {"enabled": False},
                                                                "dashboard": {"enabled": False}}},
                                                               files=[os.path.join(chart.EXAMPLES, "gateway/values.yaml")]))
        self.check(named(objects, "ConfigMap")["data"]["shunt.yaml"], SHUNT_REDIS_URL="redis://redis:6379")

    def test_kustomize(self):
        """The patches laid on what they patch."""
        def file(name):
            with open(os.path.join(chart.EXAMPLES, "kustomize", name), encoding="utf-8") as f:
                return f.read()

        (plan,) = kubernetes.read(file("kustomization.yaml").replace("# - {", "- {"))  # with the second step
        self.assertEqual(plan["resources"], ["deployment.yaml", "service.yaml"])
        objects = [o for name in plan["resources"] for o in kubernetes.read(file(name))]
        for patch in plan["patches"]:
            (over,) = kubernetes.read(file(patch["path"]))
            (at,) = [at for at, o in enumerate(objects) if (o["kind"], o["metadata"]["name"]) == (over["kind"], over["metadata"]["name"])]
            objects[at] = chart.laid(objects[at], over)
        self.assertEqual(kubernetes.faults(objects), [])
        self.assertEqual(named(objects, "Service")["spec"]["ports"], [{"name": "http", "port": 80, "targetPort": 8080}])
        self.assertEqual([c["name"] for c in named(objects, "Deployment")["spec"]["template"]["spec"]["containers"]], ["orders"])
        self.check(file("shunt.yaml"))

    def test_the_page_shows_the_files(self):
        with open(os.path.join(chart.TOP, "docs/kubernetes.md"), encoding="utf-8") as f:
            page = f.read()
        shown = re.findall(r"(?ms)^`(helm/examples/[^`]+)`:\n\n```yaml\n(.*?)^```$", page)
        self.assertGreaterEqual(len(shown), 7)
        for path, text in shown:
            with open(os.path.join(chart.TOP, path), encoding="utf-8") as f:
                self.assertEqual(text, f.read(), path)


class Made(Case):
    def test_only_a_backend_is_required(self):
        objects = self.objects()
        self.assertEqual({o["kind"] for o in objects}, {"ConfigMap", "Secret", "Deployment", "Service", "Pod"})
        self.check(named(objects, "ConfigMap")["data"]["shunt.yaml"])

    def test_everything_at_once(self):
        objects = self.objects(values(
            labels={"team": "shop"}, tls={"secret": "orders-tls"}, imagePullSecrets=[{"name": "registry"}],
            redis={"url": "rediss://redis:6379", "passwordSecret": "redis", "options": {"username": "shunt", "timeout": "2s"}},
            extraEnv=[{"name": "REGION", "value": "{{ .Release.Namespace }}-1"}],
            extraVolumes=[{"name": "ca", "configMap": {"name": "{{ .Release.Name }}-ca"}}],
            extraVolumeMounts=[{"name": "ca", "mountPath": "/etc/ca"}],
            extraContainers=[{"name": "tail", "image": "busybox:1.36"}],
            gateway={"podLabels": {"tier": "edge"}, "podAnnotations": {"a/b": "c"}, "nodeSelector": {"disk": "ssd"},
                     "tolerations": [{"operator": "Exists"}], "priorityClassName": "high", "affinity": {"nodeAffinity": {}}},
            podDisruptionBudget={"enabled": True, "maxUnavailable": "50%"},
            networkPolicy={"enabled": True, "adminFrom": [{"podSelector": {}}], "egress": [{"ports": [{"port": 80}]}]},
            monitoring={"scrape": "serviceMonitor", "labels": {"release": "prometheus"}, "rules": {"enabled": True},
                        "dashboard": {"enabled": True}}))
        config = named(objects, "ConfigMap", "orders-shunt")["data"]["shunt.yaml"]
        self.check(config, SHUNT_REDIS_URL="rediss://redis:6379")
        redis = yaml.safe_load(config)["state"]["redis"]
        self.assertEqual(redis, {"url": "${SHUNT_REDIS_URL}", "group": "shop.orders-shunt", "username": "shunt", "timeout": "2s",
                                 "password_file": "/etc/shunt/redis/password"})
        shunt = self.container(objects)
        self.assertIn({"name": "REGION", "value": "shop-1"}, shunt["env"])
        self.assertIn({"name": "shunt-tls", "mountPath": "/etc/shunt/tls", "readOnly": True}, shunt["volumeMounts"])
        volumes = named(objects, "Deployment")["spec"]["template"]["spec"]["volumes"]
        self.assertIn({"name": "ca", "configMap": {"name": "orders-ca"}}, volumes)
        self.assertEqual(named(objects, "Secret", "orders-shunt-redis")["stringData"], {"url": "rediss://redis:6379"})
        self.assertEqual(named(objects, "NetworkPolicy")["spec"]["policyTypes"], ["Ingress", "Egress"])
        for o in objects:
            if o["kind"] != "Pod":
                self.assertEqual(o["metadata"]["labels"]["team"], "shop", o["metadata"]["name"])

    def test_words_that_yaml_takes_for_truth_stay_words(self):
        """`off` and the key `on` are true and false to helm's reader."""
        given = """
        config:
          access_log: off
          backends:
            legacy: { url: "http://a:1" }
            new: { url: "https://b:1", tls: { insecure_skip_verify: yes } }
          routes:
            - { name: r, percent: 10, breaker: off, fallback: { on: [ connect, 5xx ] } }
        """
        text = named(self.objects(given), "ConfigMap")["data"]["shunt.yaml"]
        self.check(text)
        plain = yaml.load(text, Loader=yaml.BaseLoader)
        self.assertEqual(plain["access_log"], "off")
        self.assertEqual(plain["routes"][0]["breaker"], "off")
        self.assertEqual(plain["routes"][0]["fallback"], {"on": ["connect", "5xx"]})
        self.assertEqual(plain["backends"]["new"]["tls"]["insecure_skip_verify"], "on")

    def test_numbers_stay_numbers(self):
        given = values(config={"limits": {"connections": 1000000}, "routes": [{"name": "r", "percent": 12.25}],
                               "backends": {"legacy": {"url": "http://a:1", "max_connections": 200000},
                                             "new": {"url": "http://b:1"}}})
        text = named(self.objects(given), "ConfigMap")["data"]["shunt.yaml"]
        self.check(text)
        self.assertIn("connections: 1000000\n", text)
        self.assertIn("percent: 12.25\n", text)

    def test_templates_in_the_file(self):
        given = values(config={"backends": {"legacy": {"url": "http://{{ .Release.Name }}-v1.{{ .Release.Namespace }}:80"}}})
        self.assertIn("url: http://orders-v1.shop:80\n", named(self.objects(given), "ConfigMap")["data"]["shunt.yaml"])

    def test_every_example_of_shunt_passes_the_schema(self):
        """So do its `on` and `off`, as the renderer reads YAML as helm does."""
        examples = glob.glob(os.path.join(chart.TOP, "config/examples/*.yaml"))
        self.assertGreater(len(examples), 5)
        for path in examples:
            with open(path, encoding="utf-8") as f:
                lines = f.read().splitlines()
            given, skipping = [], False
            for line in lines:  # admin and state are the chart's
                if re.match(r"[a-z]", line):
                    skipping = line.startswith(("admin:", "state:"))
                if not skipping:
                    given.append("  " + line)
            with self.subTest(os.path.basename(path)):
                chart.render("config:\n" + "\n".join(given) + "\n")

    def test_the_token_is_kept(self):
        old = base64.b64encode(b"the old token").decode()
        known = [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orders-shunt-admin", "namespace": "shop"},
                  "data": {"token": old}}]
        fresh = [named(self.objects(), "Secret")["data"]["token"] for _ in range(2)]
        self.assertNotEqual(*fresh)
        self.assertEqual(len(base64.b64decode(fresh[0])), 40)
        self.assertEqual(named(self.objects(objects=known, upgrade=True), "Secret")["data"]["token"], old)

    def test_a_token_of_ones_own(self):
        objects = self.objects(values(admin={"tokenSecret": "mine", "tokenKey": "admin"}))
        self.assertNotIn("Secret", {o["kind"] for o in objects})
        self.assertIn({"name": "shunt-admin", "secret": {"secretName": "mine", "items": [{"key": "admin", "path": "token"}]}},
                      named(objects, "Deployment")["spec"]["template"]["spec"]["volumes"])

    def test_ports_follow_from_listeners(self):
        objects = self.objects(values(config={"listeners": [{"address": "0.0.0.0:8080"}, {"address": "unix:/run/s"},
                                                            {"address": "[::]:8443"}]}, admin={"port": 9000}))
        self.assertEqual([(p["name"], p["containerPort"]) for p in self.container(objects)["ports"]],
                         [("shunt", 8080), ("shunt-1", 8443), ("shunt-admin", 9000)])
        self.assertEqual([(p["port"], p["targetPort"]) for p in named(objects, "Service", "orders-shunt")["spec"]["ports"]],
                         [(80, 8080), (8443, 8443)])

    def test_a_cluster_of_ipv6(self):
        objects = self.objects(values(admin={"host": "[::]"}, config={"listeners": [{"address": "[::]:8080"}]}))
        self.check(named(objects, "ConfigMap")["data"]["shunt.yaml"])
        self.assertIn("address: '[::]:9901'", named(objects, "ConfigMap")["data"]["shunt.yaml"])
        self.assertIn({"name": "SHUNT_ADMIN", "value": "[::1]:9901"}, self.container(objects)["env"])

    def test_the_pod_has_time_to_drain(self):
        for drain, pause, seconds in (("30s", 5, 45), ("1m30s", 0, 100), ("1500ms", 5, 17), ("0s", 1, 11), ("1h", 5, 3615)):
            objects = self.objects(values(config={"timeouts": {"drain": drain}}, preStopSeconds=pause))
            spec = named(objects, "Deployment")["spec"]["template"]["spec"]
            self.assertEqual(spec["terminationGracePeriodSeconds"], seconds, drain)
        objects = self.objects(values(terminationGracePeriodSeconds=7))
        self.assertEqual(named(objects, "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"], 7)

    def test_shunt_serves_on_while_the_pod_goes(self):
        """shunt is told to drain and needs no pause of its own; the application's is what shunt serves on for, within its drain time."""
        told = {"preStop": {"exec": {"command": ["shuntctl", "drain"]}}}
        for drain, given, pause, least in ((None, None, 5, "5s"), ("30s", None, 12, "12s"), ("1500ms", None, 2, "1500ms"), ("10s", None, 10, "10s"),
                                           ("500ms", None, 1, "500ms"), (None, "3s", 5, "3s"), (None, "0s", 5, "0s"), (None, None, 0, None),
                                           (None, "4s", 0, "4s")):
            timeouts = {key: value for key, value in (("drain", drain), ("drain_min", given)) if value}
            with self.subTest(drain=drain, given=given, pause=pause):
                objects = self.objects(values(config={"timeouts": {"idle": "7s", **timeouts}}, preStopSeconds=pause))
                text = named(objects, "ConfigMap")["data"]["shunt.yaml"]
                self.check(text)
                self.assertEqual(yaml.safe_load(text)["timeouts"], {"idle": "7s", **timeouts, **({"drain_min": least} if least else {})})
                self.assertEqual(self.container(objects).get("lifecycle"), told if least else None)
        self.assertEqual(yaml.safe_load(named(self.objects(), "ConfigMap")["data"]["shunt.yaml"])["timeouts"], {"drain_min": "5s"})

    def test_state_on_volumes(self):
        """A StatefulSet, also of one replica: more can be asked for later."""
        for replicas in (1, 3):
            objects = self.objects(values(state={"persistent": True, "storageClass": "fast", "size": "2Gi"}, gateway={"replicas": replicas}))
            self.assertFalse({"Deployment", "PersistentVolumeClaim"} & {o["kind"] for o in objects})
            spec = named(objects, "StatefulSet")["spec"]
            self.assertEqual(spec["replicas"], replicas)
            (claim,) = spec["volumeClaimTemplates"]
            self.assertEqual(claim["spec"], {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
                                             "resources": {"requests": {"storage": "2Gi"}}})
            mounts = self.container(objects, workload="StatefulSet")["volumeMounts"]
            self.assertIn({"name": claim["metadata"]["name"], "mountPath": "/var/lib/shunt"}, mounts)
            self.assertNotIn("shunt-state", [volume["name"] for volume in spec["template"]["spec"]["volumes"]])
            self.assertEqual(named(objects, "Service", spec["serviceName"])["spec"]["clusterIP"], "None")
        text = chart.render(values(state={"persistent": True}), notes=True)
        self.assertIn("kubectl -n shop exec statefulset/orders-shunt -c shunt -- shuntctl status", text)

    def test_state_on_a_volume_that_exists(self):
        """One claim serves one pod: the old one ends before the new one begins."""
        objects = self.objects(values(state={"persistent": True, "claim": "mine"}))
        self.assertFalse({"StatefulSet", "PersistentVolumeClaim"} & {o["kind"] for o in objects})
        spec = named(objects, "Deployment")["spec"]
        self.assertEqual(spec["strategy"], {"type": "Recreate"})
        self.assertIn({"name": "shunt-state", "persistentVolumeClaim": {"claimName": "mine"}}, spec["template"]["spec"]["volumes"])

    def test_state_of_a_sidecar_on_a_volume(self):
        objects = self.objects({"shunt": {"state": {"persistent": True}}}, chart=os.path.join(chart.EXAMPLES, "sidecar"))
        claim = named(objects, "PersistentVolumeClaim")["metadata"]["name"]
        self.assertIn({"name": "shunt-state", "persistentVolumeClaim": {"claimName": claim}},
                      named(objects, "Deployment")["spec"]["template"]["spec"]["volumes"])

    def test_the_application_pauses_before_its_end(self):
        """By the kubelet where it can, from 1.30 on: an image need not have `sleep`."""
        for kube, seconds, hook in (("1.30.0", 7, {"preStop": {"sleep": {"seconds": 7}}}), ("1.31.0", 0, {}),
                                    ("1.29.5", 7, {"preStop": {"exec": {"command": ["sleep", "7"]}}})):
            objects = self.objects({"shunt": {"preStopSeconds": seconds}}, chart=os.path.join(chart.EXAMPLES, "sidecar"), kube=kube)
            (application,) = [c for c in named(objects, "Deployment")["spec"]["template"]["spec"]["containers"] if c["name"] == "orders"]
            self.assertEqual(application["lifecycle"], hook)

    def test_a_network_policy_lets_the_test_in(self):
        for peers in ([], [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]):
            objects = self.objects(values(networkPolicy={"enabled": True, "adminFrom": peers}))
            clients, admin = named(objects, "NetworkPolicy")["spec"]["ingress"]
            self.assertEqual(clients, {"ports": [{"port": 8080, "protocol": "TCP"}]})
            self.assertEqual(admin["ports"], [{"port": 9901, "protocol": "TCP"}])
            test, *others = admin["from"]
            self.assertTrue(test["podSelector"]["matchLabels"].items() <= named(objects, "Pod")["metadata"]["labels"].items())
            self.assertEqual(others, peers)

    def test_only_what_needs_a_restart_replaces_pods(self):
        def mark(given):
            return named(self.objects(given), "Deployment")["spec"]["template"]["metadata"]["annotations"]["shunt/restart"]
        self.assertEqual(mark(LEAST), mark(values(config={"routes": [{"name": "r", "percent": 50}]})))
        self.assertNotEqual(mark(LEAST), mark(values(config={"workers": 3})))
        self.assertNotEqual(mark(LEAST), mark(values(redis={"url": "redis://r:6379"})))

    def test_how_metrics_are_found(self):
        for scrape, apis, kinds, annotated in (
                ("auto", (), set(), True), ("auto", chart.MONITORS, {"PodMonitor"}, False), ("podMonitor", (), {"PodMonitor"}, False),
                ("serviceMonitor", (), {"ServiceMonitor"}, False), ("annotations", chart.MONITORS, set(), True), ("none", (), set(), False)):
            objects = self.objects(values(monitoring={"scrape": scrape}), apis=apis)
            with self.subTest(scrape=scrape, apis=apis):
                self.assertEqual({o["kind"] for o in objects} & {"PodMonitor", "ServiceMonitor"}, kinds)
                annotations = named(objects, "Deployment")["spec"]["template"]["metadata"]["annotations"]
                self.assertEqual("prometheus.io/port" in annotations, annotated)

    def test_names(self):
        self.assertEqual(named(self.objects(name="shunt-orders"), "Deployment")["metadata"]["name"], "shunt-orders")
        self.assertEqual(named(self.objects(values(fullnameOverride="gate")), "Deployment")["metadata"]["name"], "gate")
        for name in ("o" * 53, "o" * 48 + "--bcd"):
            for o in self.objects(name=name):
                self.assertLessEqual(len(o["metadata"]["name"]), 63)
        for name in ("1orders", "a.b"):  # a release's, and a ConfigMap's; no Service's
            with self.assertRaisesRegex(chart.Refused, f"{name}-shunt is no name of a Service.* set fullnameOverride"):
                chart.render(LEAST, name=name)
            chart.render(values(mode="sidecar"), name=name)

    def test_one_port_of_two_addresses_stands_once(self):
        """A list of ports knows each by its number, also to the API server."""
        objects = self.objects(values(config={"listeners": [{"address": "0.0.0.0:8080"}, {"address": "[::]:8080"}, {"address": "[::]:8081"}]}))
        self.assertEqual([(p["name"], p["containerPort"]) for p in self.container(objects)["ports"]],
                         [("shunt", 8080), ("shunt-1", 8081), ("shunt-admin", 9901)])

    def test_names_that_yaml_takes_for_something_else_are_texts(self):
        """A number, a word for truth, null: all legal names."""
        on = {"podDisruptionBudget": {"enabled": True}, "networkPolicy": {"enabled": True}, "state": {"persistent": True},
              "monitoring": {"scrape": "serviceMonitor", "rules": {"enabled": True}, "dashboard": {"enabled": True}}}
        for name in ("1234", "1e3", "0x1f", "null", "true", "on", "08"):
            with self.subTest(name):
                self.objects(values(**on, nameOverride=name, redis={"url": "redis://r:1"}), namespace=name)
                self.objects(values(**on, redis={"secret": name, "key": name, "passwordSecret": name, "passwordKey": name}, tls={"secret": name},
                                    admin={"tokenSecret": name, "tokenKey": name}, gateway={"serviceAccountName": name, "priorityClassName": name}))
                self.objects(values(state={"persistent": True, "claim": name}, **({"fullnameOverride": name} if name.isalpha() else {})))
        self.objects(values(state={"sizeLimit": "1234"}))

    def test_labels_of_ones_own(self):
        """They stand once, and never in the place of those by which the objects find each other."""
        objects = self.objects(values(labels={"app.kubernetes.io/version": "9", "app.kubernetes.io/part-of": "shop"},
                                      gateway={"podAnnotations": {"prometheus.io/path": "/m"}, "podLabels": {"app": "x"}}))
        self.assertEqual(named(objects, "ConfigMap")["metadata"]["labels"]["app.kubernetes.io/version"], "9")
        self.assertEqual(named(objects, "Deployment")["spec"]["template"]["metadata"]["annotations"]["prometheus.io/path"], "/m")
        for given, said in (({"labels": {"app.kubernetes.io/name": "x"}}, "labels: app.kubernetes.io/name is the chart's own"),
                            ({"gateway": {"podLabels": {"app.kubernetes.io/instance": "x"}}}, "gateway.podLabels: app.kubernetes.io/instance is")):
            with self.assertRaises(chart.Refused) as refused:
                chart.render(values(**given))
            self.assertIn(said, str(refused.exception))

    def test_replicas_of_an_autoscaler(self):
        """null leaves their number to it, so that an upgrade does not set it back."""
        self.assertNotIn("replicas", named(self.objects(values(gateway={"replicas": None})), "Deployment")["spec"])
        self.assertEqual(named(self.objects(values(gateway={"replicas": 0})), "Deployment")["spec"]["replicas"], 0)

    def test_users_that_the_cluster_gives(self):
        """Where a range of users is the namespace's, the chart names none: neither user nor group nor fsGroup."""
        objects = kubernetes.read(chart.render(values(securityContext={"runAsUser": None, "runAsGroup": None})))
        spec = named(objects, "Deployment")["spec"]["template"]["spec"]
        self.assertEqual(spec["securityContext"], {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}})
        self.assertNotIn("runAsUser", self.container(objects)["securityContext"])
        self.assertEqual(named(self.objects(), "Deployment")["spec"]["template"]["spec"]["securityContext"]["fsGroup"], 65532)

    def test_defaults_that_null_takes_away(self):
        """What is not needed goes; what is needed is asked for by its name."""
        for key in ("startup", "readiness", "liveness"):
            self.assertEqual(set(self.container(self.objects(values(probes={key: None})))[key + "Probe"]), {"httpGet"})
        self.assertEqual(self.container(self.objects(values(resources=None)))["resources"], {})
        volumes = named(self.objects(values(state={"sizeLimit": None})), "Deployment")["spec"]["template"]["spec"]["volumes"]
        self.assertIn({"name": "shunt-state", "emptyDir": {}}, volumes)
        self.objects(values(redis={"url": "redis://r:1", "options": None}, monitoring={"labels": None}, labels=None))
        for path in ("mode", "image", "image.repository", "config", "config.listeners", "admin", "admin.port", "sidecar.native", "tls", "redis",
                     "redis.key", "state", "probes", "terminationGracePeriodSeconds", "gateway", "service.port", "podDisruptionBudget",
                     "networkPolicy", "monitoring.rules", "monitoring.scrape"):
            above, _, last = path.rpartition(".")
            with self.subTest(path), self.assertRaises(chart.Refused) as refused:
                chart.render({**values(**({above: {last: None}} if above else {})), **({} if above else {last: None})})
            self.assertIn(f"{above or '(root)'}: '{last}' is a required property", str(refused.exception))

    def test_groups_of_redis_differ(self):
        """Two releases of long names do not share one plan."""
        def group(name, namespace):
            text = named(self.objects(values(redis={"url": "redis://r:1"}), name=name, namespace=namespace), "ConfigMap")["data"]["shunt.yaml"]
            return yaml.safe_load(text)["state"]["redis"]["group"]
        made = [group(name, "n" * 63) for name in ("orders", "payments")] + [group("o" * 40 + end, "n" * 30) for end in "ab"]
        self.assertEqual(len(set(made)), 4)
        for one in made:
            self.assertRegex(one, r"^[a-z0-9.-]{1,64}$")

    def test_a_policy_without_ports_lets_nobody_in(self):
        """No ports would be all ports, the admin port too."""
        objects = kubernetes.read(chart.render(values(config={"listeners": [{"address": "unix:/run/s"}]}, networkPolicy={"enabled": True})))
        (admin,) = named(objects, "NetworkPolicy")["spec"]["ingress"]
        self.assertEqual(admin["ports"], [{"port": 9901, "protocol": "TCP"}])

    def test_an_image_by_its_digest(self):
        digest = "sha256:" + "0" * 64
        objects = self.objects(values(image={"repository": "images.example.org:5000/shunt", "tag": "x", "digest": digest}))
        self.assertEqual(self.container(objects)["image"], "images.example.org:5000/shunt@" + digest)

    def test_helm_test_tries_again(self):
        """A Service's name and endpoints may come some moments after the pods are ready; it does not try for ever."""
        spec = named(self.objects(), "Pod")["spec"]
        self.assertEqual((spec["restartPolicy"], spec["activeDeadlineSeconds"]), ("OnFailure", 120))

    def test_notes_say_what_to_do_next(self):
        text = chart.render(LEAST, notes=True)
        self.assertIn("There are no routes yet", text)
        self.assertIn("helm -n shop test orders\n2. Point clients at it", text)
        self.assertIn("kubectl -n shop exec deploy/orders-shunt -c shunt -- shuntctl passthrough on", text)
        self.assertIn("set redis or state.persistent before", text)
        text = chart.render(values(config={"routes": [{"name": "r"}]}, redis={"url": "redis://r:1"}), notes=True)
        self.assertNotIn("There are no routes", text)
        self.assertNotIn("A new pod begins", text)
        text = chart.render(values(gateway={"replicas": 2}), notes=True)
        self.assertIn("Each replica has a plan of its own", text)

    def test_notes_beside_an_application(self):
        """The Service follows the pods, and there is no release to test and no volume for each."""
        text = chart.render(values(mode="sidecar", config={"listeners": [{"address": "0.0.0.0:9000"}]}), notes=True)
        self.assertLess(text.index("rollout status"), text.index("targetPort: 9000"))
        self.assertIn("kubectl -n shop exec deploy/DEPLOYMENT -c shunt -- shuntctl report", text)
        self.assertIn("Each replica has a plan of its own", text)
        self.assertNotIn("helm -n shop test", text)
        self.assertNotIn("state.persistent", text)

    def test_what_follows_from_something_else_is_up_to_date(self):
        done = subprocess.run([os.path.join(chart.TOP, "tools/chart"), "--check"], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


# Values that are wrong, by a path with dots, and what the refusal must name besides that path's last key.
WRONG = [
    ("replicas", 2), ("Mode", "gateway"), ("mode", "both"), ("nameOverride", "Shunt_1"), ("labels.team", 7),
    ("image.tags", "1"), ("image.tag", 1.2), ("image.repository", ""), ("image.digest", "sha256:12"), ("image.pullPolicy", "Sometimes"),
    ("imagePullSecrets", "registry"), ("imagePullSecrets", [{"nmae": "x"}]),
    ("admin.port", "9901"), ("admin.port", 70000), ("admin.host", "127.0.0.1"), ("admin.token", "secret"), ("admin.tokenSecret", "My Secret"),
    ("sidecar.native", "yes"), ("sidecar.enabled", True), ("tls.secretName", "x"), ("tls.secret", True),
    ("redis.url", "http://redis"), ("redis.password", "secret"), ("redis.options.url", "redis://x"), ("redis.options.timeout", 5),
    ("redis.options.resp", 4.5), ("redis.group", "a b"), ("state.persistent", "yes please"), ("state.size", "1 GB"), ("state.directory", "/x"),
    ("resources.limit", {"memory": "1Gi"}), ("resources.limits.memory", "lots"), ("resources.limits.ram", "1Gi"),
    ("probes.startup.path", "/"), ("probes.liveness.periodSeconds", 0), ("preStopSeconds", "5s"), ("preStopSeconds", -1),
    ("terminationGracePeriodSeconds", "long"), ("securityContext.runAsRoot", False), ("securityContext.runAsUser", "shunt"),
    ("extraEnv", {"A": "b"}), ("extraEnv", [{"name": "A", "vlaue": "b"}]), ("extraVolumeMounts", [{"name": "a"}]),
    ("gateway.replicas", "two"), ("gateway.replica", 2), ("gateway.podAnnotations.x", 1), ("gateway.tolerations", {}),
    ("service.port", 0), ("service.type", "ExternalName"), ("podDisruptionBudget.enabled", 1), ("podDisruptionBudget.maxUnavailable", "some"),
    ("podDisruptionBudget.minAvailable", 1), ("networkPolicy.adminFrom", "everybody"), ("monitoring.scrape", "servicemonitor"),
    ("monitoring.interval", 15), ("monitoring.rules", True), ("monitoring.rules.runbooks", ""), ("monitoring.dashboard.labels", ["a"]),
    # shunt's own file
    ("config.admin", {"address": "0.0.0.0:9901"}), ("config.state", {"directory": "/x"}), ("config.listener", []),
    ("config.listeners", []), ("config.listeners", [{"adress": "0.0.0.0:80"}]), ("config.workers", "many"), ("config.workers", 0),
    ("config.timeouts.drian", "30s"), ("config.timeouts.drain", 30), ("config.timeouts.drain", "30 s"),
    ("config.limits.header_bytes", "1MB!"), ("config.headers.via", "maybe"), ("config.backends.legacy.uri", "http://x"),
    ("config.backends.new", {"protocol": "http2"}), ("config.backends.legacy.protocol", "http3"), ("config.backends.legacy.health.typ", "grpc"),
    ("config.routes", [{"nmae": "r"}]), ("config.routes", [{"name": "r", "percent": 101}]), ("config.routes", [{"name": "r", "stages": [{"hold": "1h"}]}]),
    ("config.routes", [{"name": "r", "shadow": {"compare": {"ingore": []}}}]), ("config.routes", [{"name": "r", "gates": {"p95_increase": "a lot"}}]),
    ("config.routes", [{"name": "r", "promotion": "automatic"}]), ("config.notify", [{"format": "json"}]),
    # true, 1.10 and 007 are something else when YAML has read them
    ("config.routes", [{"name": "r", "match": {"headers": {"X-Beta": True}}}]), ("config.routes", [{"name": "r", "match": {"query": {"v": 1.10}}}]),
    ("config.routes", [{"name": "r", "match": {"headers": {"X-Beta": ["a", True]}}}]),
    ("config.routes", [{"name": "r", "shadow": {"headers": {"set": {"X-Beta": 7}}}}]),
]


class Refusals(Case):
    def test_wrong_values_are_refused_by_their_key(self):
        self.assertGreaterEqual(len(WRONG), 40)
        for path, value in WRONG:
            given = copy.deepcopy(LEAST)
            at = given
            *above, last = path.split(".")
            for key in above:
                at = at.setdefault(key, {})
            at[last] = value
            with self.subTest(path=path, value=value):
                with self.assertRaises(chart.Refused) as refused:
                    chart.render(given)
                self.assertIn(last, str(refused.exception))
                below = re.findall(r"nmae|adress|vlaue|ingore|p95_increase|promotion|percent|X-Beta", str(value))
                for key in below:
                    self.assertIn(key, str(refused.exception))

    def test_what_only_the_templates_know(self):
        for given, said in (
                ({}, "config.backends.legacy is missing"),
                (values(config={"backends": {"new": {"url": "http://a:1"}, "legacy": None}}), "config.backends.legacy is missing"),
                (values(config={"listeners": [{"address": "0.0.0.0"}]}), "the address 0.0.0.0 has no port"),
                (values(config={"listeners": [{"address": "0.0.0.0:9901"}]}), "config.listeners: port 9901 is admin.port too"),
                (values(config={"listeners": [{"address": "0.0.0.0:0"}]}), "the address 0.0.0.0:0 has no port"),
                (values(state={"persistent": True, "claim": "mine"}, gateway={"replicas": 2}), "state.claim: one volume serves one pod")):
            with self.subTest(said), self.assertRaises(chart.Refused) as refused:
                chart.render(given)
            self.assertIn(said, str(refused.exception))

    def test_a_chart_above_is_told_too(self):
        for given, said in (({"mode": "sidecars"}, "mode"), ({"config": {"rotues": []}}, "config: .*rotues")):
            with self.assertRaisesRegex(chart.Refused, said):
                chart.render({"shunt": given}, chart=os.path.join(chart.EXAMPLES, "sidecar"))

    def test_an_old_cluster_is_told(self):
        with self.assertRaises(chart.Refused) as refused:
            chart.render(LEAST, kube="1.20.0")
        self.assertIn("kubeVersion", str(refused.exception))


class Rules(Case):
    """The checks themselves: each fault that is put into good objects is found."""

    def broken(self, breaks, said):
        objects = kubernetes.read(chart.render(LEAST))
        breaks(objects)
        found = kubernetes.faults(objects)
        self.assertTrue([fault for fault in found if said in fault], (said, found))

    def test_faults_are_found(self):
        def spec(objects):
            return named(objects, "Deployment")["spec"]["template"]["spec"]

        def shunt(objects):
            return spec(objects)["containers"][0]

        def sets(objects):
            deployment = named(objects, "Deployment")
            deployment.update(kind="StatefulSet")
            deployment["spec"].update(serviceName="orders-shunt-admin")
            del deployment["spec"]["strategy"]
        for breaks, said in (
                (lambda o: named(o, "Deployment").update(apiVersion="apps/v2"), "no kind of apiVersion"),
                (lambda o: named(o, "Deployment")["spec"].update(replica=1), "replica: no such field"),
                (lambda o: named(o, "Deployment")["spec"].update(replicas="1"), "replicas: expected int"),
                (lambda o: named(o, "Deployment")["metadata"].update(name="A_b"), "is no name"),
                (lambda o: named(o, "Deployment")["metadata"]["labels"].update({"a b": "c"}), "is no key of a label"),
                (lambda o: named(o, "Deployment")["metadata"]["labels"].update(a="c d"), "is no value of a label"),
                (lambda o: named(o, "Deployment")["spec"]["selector"]["matchLabels"].update(x="y"), "does not match its pods"),
                (lambda o: named(o, "Service", "orders-shunt")["spec"]["ports"][0].update(targetPort="http"), "no container has a port http"),
                (lambda o: named(o, "Service", "orders-shunt")["spec"]["selector"].update(x="y"), "selects no pod"),
                (lambda o: named(o, "Service", "orders-shunt-admin")["spec"].pop("clusterIP") and sets(o), "no headless Service"),
                (lambda o: spec(o)["volumes"].pop(), "no volume shunt-state"),
                (lambda o: spec(o)["volumes"].append({"name": "x"}), "exactly one source"),
                (lambda o: shunt(o).update(image="shunt"), "no tag or digest"),
                (lambda o: shunt(o).update(restartPolicy="Always"), "only an init container"),
                (lambda o: shunt(o)["ports"].append({"name": "shunt", "containerPort": 1}), "the same name twice"),
                (lambda o: shunt(o)["ports"].append({"name": "a-name-too-long-x", "containerPort": 1}), "is no name of a port"),
                (lambda o: shunt(o)["livenessProbe"]["httpGet"].update(port="http"), "livenessProbe: no port http"),
                (lambda o: shunt(o)["securityContext"].pop("readOnlyRootFilesystem"), "readOnlyRootFilesystem: expected True"),
                (lambda o: shunt(o)["securityContext"].update(runAsUser=0), "not root"),
                (lambda o: shunt(o)["securityContext"]["capabilities"].update(add=["NET_ADMIN"]), "all are dropped"),
                (lambda o: shunt(o)["resources"]["limits"].update(memory="1 GB"), "is no quantity"),
                (lambda o: shunt(o)["env"].append({"name": "POD_NAME"}), "env: a name twice"),
                (lambda o: shunt(o)["lifecycle"].update(preStop={"sleep": {"seconds": 0}}), "a sleep of some seconds"),
                (lambda o: shunt(o)["lifecycle"]["preStop"].update(sleep={"seconds": 1}), "expected one action"),
                (lambda o: named(o, "ConfigMap")["data"].update(x=1), "expected a text"),
                (lambda o: o.append(copy.deepcopy(named(o, "ConfigMap"))), "stands twice")):
            with self.subTest(said):
                self.broken(breaks, said)

    def test_a_port_of_a_native_sidecar_is_named_by_its_number(self):
        objects = kubernetes.read(chart.render(chart=os.path.join(chart.EXAMPLES, "sidecar")))
        named(objects, "Service")["spec"]["ports"][0]["targetPort"] = "shunt"
        self.assertEqual(len([fault for fault in kubernetes.faults(objects) if "leads nowhere" in fault]), 1)

    def test_a_service_that_a_monitor_reads_leads_to_a_native_sidecar(self):
        objects = kubernetes.read(chart.render({"shunt": {"monitoring": {"scrape": "serviceMonitor"}}},
                                               chart=os.path.join(chart.EXAMPLES, "sidecar")))
        self.assertEqual(kubernetes.faults(objects), [])
        self.assertEqual(named(objects, "Service", "orders-shunt-admin")["spec"]["ports"][0]["targetPort"], 9901)

    def test_a_key_that_stands_twice_is_found(self):
        with self.assertRaisesRegex(yaml.YAMLError, "the key a stands twice"):
            kubernetes.read("a: 1\na: 2\n")


@unittest.skipUnless(shutil.which("helm"), "no helm on this machine")
class Helm(Case):
    """helm itself says the same."""

    def helm(self, folder, *words):
        own = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, own)
        copied = shutil.copytree(os.path.join(chart.TOP, "helm"), os.path.join(own, "helm"))
        folder = os.path.join(copied, folder)
        subprocess.run(["helm", "dependency", "build", folder], capture_output=True, timeout=60, check=True)
        done = subprocess.run(["helm", "template", "orders", folder, "-n", "shop", "--kube-version", "1.30.0", *words],
                              capture_output=True, text=True, timeout=60, check=True)
        return kubernetes.read(chart.without_chance(done.stdout))

    def same(self, ours, theirs):
        def order(o):
            return (o["kind"], o["metadata"]["name"])
        self.assertEqual(sorted(ours, key=order), sorted(theirs, key=order))

    def test_gateway(self):
        words = [word for api in chart.MONITORS for word in ("--api-versions", api)]
        file = os.path.join(chart.EXAMPLES, "gateway/values.yaml")
        self.same(kubernetes.read(chart.without_chance(chart.render(files=[file], apis=chart.MONITORS))),
                  self.helm("shunt", "-f", file, *words))

    def test_sidecar(self):
        self.same(kubernetes.read(chart.without_chance(chart.render(chart=os.path.join(chart.EXAMPLES, "sidecar")))),
                  self.helm("examples/sidecar"))


if __name__ == "__main__":
    unittest.main()
