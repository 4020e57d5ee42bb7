"""What a pod has mounted changes under load: the plan's ConfigMap, a certificate's Secret, the admin token's. It is taken into use
without a restart, and not one request fails.
"""

import base64
import json
import ssl
import unittest

from scenario import Case, config, of_kind, shunt_values

from certificates import authority


class ConfigMap(Case):
    def test_a_share_that_changes(self):
        """0 %, 50 %, 100 % by `helm upgrade` of the values alone: pods stay, the new plan is in force in each of them."""
        self.new()
        self.cluster.apply(self.sidecar(shunt_values(config=config(0)), replicas=2))
        self.rolled_out("orders")
        pods, before = self.cluster.pods("orders"), self.cluster.get("Deployment", "orders")["metadata"]["generation"]
        load = self.load("orders", ["orders/1", "orders/2"])
        load.phase("legacy", expect=["orders/1"])
        for percent, name, least in ((50, "both", 60), (100, "new", 20), (0, "back", 20)):
            load.phase(f"changing to {percent}", expect=["orders/1", "orders/2"], least=0)
            self.cluster.apply(self.only_config(percent))
            for pod in pods:
                self.cluster.wait(lambda p=pod, s=percent: self.percent(p) == s, f"{percent} % in {pod.name}")
            load.phase(name, expect={50: ["orders/1", "orders/2"], 100: ["orders/2"], 0: ["orders/1"]}[percent], least=least)
        phases = self.none_failed(load, "legacy", "both", "new", "back")
        self.assertEqual(set(phases["both"]["by"]), {"orders/1", "orders/2"}, phases["both"])
        self.assertEqual((self.cluster.pods("orders"), self.cluster.get("Deployment", "orders")["metadata"]["generation"]),
                         (pods, before))
        self.never_restarted(pods)

    def test_a_bad_file_changes_nothing(self):
        """It is refused and told, the plan before it goes on; the next good one is taken."""
        self.new()
        self.cluster.apply(self.sidecar(shunt_values(config=config(100)), replicas=1))
        self.rolled_out("orders")
        (pod,) = self.cluster.pods("orders")
        load = self.load("orders", ["orders/2"])
        load.phase("before")

        def break_it(o):
            o["data"]["shunt.yaml"] = o["data"]["shunt.yaml"].replace("percent: 100", "percent: 101")

        self.cluster.patch("ConfigMap", "orders-shunt", break_it)
        self.cluster.wait(lambda: '"reload_failed"' in pod.logs("shunt"), "the refusal in the log")
        load.phase("refused")
        load.phase("changing", expect=["orders/1", "orders/2"], least=0)
        self.cluster.apply(self.only_config(0))
        self.cluster.wait(lambda: self.percent(pod) == 0, "the good file")
        load.phase("good", expect=["orders/1"])
        self.none_failed(load, "before", "refused", "good")
        self.never_restarted([pod])

    def only_config(self, percent):
        return [of_kind(self.sidecar(shunt_values(config=config(percent))), "ConfigMap")]

    def percent(self, pod):
        return json.loads(self.shuntctl(pod, "status", "--json"))["routes"][0]["percent"]


class Secrets(Case):
    def test_a_certificate_that_is_renewed(self):
        """New connections get the new one, those that stand go on; who trusts only its issuer never notices."""
        ca = authority()
        old, new = (ca.issue(dns=("orders", "orders.shop"), name=name) for name in ("old", "new"))
        self.cluster.apply([self.tls_secret(old)])
        values = shunt_values(config={**config(), "listeners": [
            {"address": "0.0.0.0:8080", "tls": {"certificate": "/etc/shunt/tls/tls.crt", "key": "/etc/shunt/tls/tls.key"}}]},
            tls={"secret": "orders-tls"})
        self.cluster.apply(self.sidecar(values, replicas=2))
        self.rolled_out("orders")
        pods = self.cluster.pods("orders")
        self.assertEqual([self.served(pod) for pod in pods], [old.der()] * 2)
        load = self.load("orders", ["orders/1"], ca=ca.certificate)
        load.phase("old certificate")
        load.phase("renewal", least=0)
        self.cluster.apply([self.tls_secret(new)])
        for pod in pods:
            self.cluster.wait(lambda p=pod: self.served(p) == new.der(), f"the new certificate at {pod.name}")
        load.phase("new certificate", least=60)
        self.none_failed(load, "old certificate", "new certificate")
        self.never_restarted(pods)

    def test_an_admin_token_that_is_changed(self):
        """`shuntctl` in the pod finds the new one by itself; the old one is worth nothing; and the end of the pods, whose hook needs
        it, is as ever."""
        self.cluster.apply(self.sidecar(shunt_values(config=config()), replicas=2))
        self.rolled_out("orders")
        pods = self.cluster.pods("orders")
        old = base64.b64decode(self.cluster.get("Secret", "orders-shunt-admin")["data"]["token"]).decode()
        load = self.load("orders", ["orders/1"])
        load.phase("old token")

        def change(o):
            o["data"]["token"] = base64.b64encode(b"a-token-of-the-platforms-own").decode()

        self.cluster.patch("Secret", "orders-shunt-admin", change)
        for pod in pods:
            self.cluster.wait(lambda p=pod: p.happened("SwappedVolumes"), "the kubelet")
            self.shuntctl(pod, "status")
            refused = pod.exec(["env", "-u", "SHUNT_TOKEN_FILE", f"SHUNT_TOKEN={old}", "shuntctl", "status"], "shunt")
            self.assertNotEqual(refused.returncode, 0)
        load.phase("new token")
        self.cluster.rollout_restart("orders")
        self.rolled_out("orders")
        load.phase("new pods")
        self.none_failed(load, "old token", "new token", "new pods")
        self.ended_well(pods)
        self.assertFalse([e for pod in pods for e in pod.events if "Failed" in e[2]])

    @staticmethod
    def tls_secret(pair):
        data = {}
        for key, path in (("tls.crt", pair.certificate), ("tls.key", pair.key)):
            with open(path, "rb") as f:
                data[key] = base64.b64encode(f.read()).decode()
        return {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "orders-tls"}, "data": data}

    def served(self, pod):
        """The certificate a new connection to the pod gets."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(self.cluster.client.connect(pod.address, 8080), server_hostname="orders") as sock:
            return sock.getpeercert(True)


if __name__ == "__main__":
    unittest.main()
