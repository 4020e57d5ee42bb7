"""Alerts, recording rules and dashboard: promtool takes them, they fire when they should, and all they ask for is on the page of a
real shunt."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

import yaml

import chart

RULES = os.path.join(chart.CHART, "files/rules.yaml")
DASHBOARD = os.path.join(chart.CHART, "files/dashboard.json")
METRIC = re.compile(r"\b(?:shunt|process)_[a-z0-9_]+\b")
# What the page has only once a pair was compared: docs/metrics.md vouches for it.
LATER = {"shunt_comparisons_total"}


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def documented():
    return set(METRIC.findall(" ".join(re.findall(r"(?m)^\|([^|]*)\|", read(chart.TOP, "docs/metrics.md")))))


def family(name):
    """Of a histogram's series, the histogram."""
    return re.sub(r"_(bucket|sum|count)$", "", name)


def rules():
    return [rule for group in yaml.safe_load(read(RULES))["groups"] for rule in group["rules"]]


def panels():
    return [panel for panel in json.loads(read(DASHBOARD))["panels"] if panel["type"] != "row"]


def asked():
    """{metric: where it is asked for}."""
    found = {}
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    expressions = [(rule.get("record") or rule["alert"], rule["expr"]) for rule in rules()]
    expressions += [(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]]
    board = json.loads(read(DASHBOARD))
    expressions += [(variable["name"], variable["query"]["query"]) for variable in board["templating"]["list"]
                    if variable["type"] == "query"]
    expressions += [(note["name"], note["expr"]) for note in board["annotations"]["list"]]
    for where, expression in expressions:
        for record in recorded:
            expression = expression.replace(record, "recorded")
        for name in METRIC.findall(re.sub(r'"[^"]*"', '""', expression)):
            found.setdefault(family(name), where)
    return found


class Promtool(unittest.TestCase):
    def promtool(self, *words):
        done = subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=250, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_rules_are_rules(self):
        self.assertIn(f"{len(rules())} rules found", self.promtool("check", "rules", RULES))

    def test_alerts_fire_when_they_should(self):
        self.promtool("test", "rules", os.path.join(os.path.dirname(os.path.abspath(__file__)), "rules_test.yaml"))

    def test_queries_of_the_dashboard_are_queries(self):
        """As recording rules, which is what promtool can check."""
        made = [{"record": f"panel:number_{at}", "expr": target["expr"].replace("$__rate_interval", "5m")}
                for at, target in enumerate(target for panel in panels() for target in panel["targets"])]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
            yaml.safe_dump({"groups": [{"name": "dashboard", "rules": made}]}, file)
            file.flush()
            self.assertIn(f"{len(made)} rules found", self.promtool("check", "rules", file.name))

    def test_the_panel_of_breakers_tells_its_three_states(self):
        """shunt tells all states of each route, as 0 or 1."""
        (panel,) = [panel for panel in panels() if panel["title"] == "Breakers"]
        expression = panel["targets"][0]["expr"].replace("$job", ".*").replace("$route", ".*")
        states = {"closed": 0, "half_open": 1, "open": 2}
        series = [{"series": f'shunt_breaker_state{{job="j", instance="{instance}", route="{route}", state="{state}"}}', "values": f"{int(state == now)}x5"}
                  for route, nows in {"closed": ("closed", "closed"), "half_open": ("closed", "half_open"), "open": ("half_open", "open")}.items()
                  for instance, now in zip("ab", nows) for state in states]
        test = {"evaluation_interval": "1m", "rule_files": [RULES], "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": [
            {"expr": expression, "eval_time": "2m", "exp_samples": [{"labels": f'{{route="{route}"}}', "value": value} for route, value in states.items()]}]}]}
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
            yaml.safe_dump(test, file)
            file.flush()
            self.promtool("test", "rules", file.name)

    def test_every_alert_is_tested(self):
        tested = {case["alertname"] for test in yaml.safe_load(read(os.path.dirname(__file__), "rules_test.yaml"))["tests"]
                  for case in test["alert_rule_test"] if case["exp_alerts"]}
        self.assertEqual(tested, {rule["alert"] for rule in rules() if "alert" in rule})


class Words(unittest.TestCase):
    def test_metrics_are_those_of_the_page(self):
        known = documented()
        self.assertGreater(len(asked()), 20)
        for name, where in asked().items():
            self.assertIn(name, known, where)

    def test_runbooks_are_there(self):
        headings = {re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-")
                    for h in re.findall(r"(?m)^#+ (.*)$", read(chart.TOP, "docs/kubernetes.md"))}
        for rule in rules():
            if "alert" not in rule:
                continue
            page, anchor = rule["annotations"]["runbook_url"].split("#")
            self.assertEqual(page, "docs/kubernetes.md")
            self.assertIn(anchor, headings)
            self.assertEqual(anchor, rule["alert"].lower())
            self.assertIn(rule["labels"]["severity"], ("info", "warning", "critical"))

    def test_what_the_chart_makes_of_them(self):
        chart.build()
        given = {"config": {"backends": {"legacy": {"url": "http://a:1"}}},
                 "monitoring": {"rules": {"enabled": True, "runbooks": "https://git.example.org/shunt/docs/"}, "dashboard": {"enabled": True}}}
        made = {o["kind"] + "/" + o["metadata"]["name"]: o for o in yaml.safe_load_all(chart.render(given)) if o}
        groups = made["PrometheusRule/orders-shunt"]["spec"]["groups"]
        self.assertEqual([len(g["rules"]) for g in groups], [len(g["rules"]) for g in yaml.safe_load(read(RULES))["groups"]])
        for rule in groups[1]["rules"]:
            self.assertTrue(rule["annotations"]["runbook_url"].startswith("https://git.example.org/shunt/docs/kubernetes.md#"))
        self.assertEqual([rule["expr"].strip() for g in groups for rule in g["rules"]], [rule["expr"].strip() for rule in rules()])
        self.assertEqual(json.loads(made["ConfigMap/orders-shunt-dashboard"]["data"]["shunt.json"]), json.loads(read(DASHBOARD)))


class Real(unittest.TestCase):
    """A shunt with the chart's own file."""

    @classmethod
    def setUpClass(cls):
        chart.build()
        cls.folder = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        routes = [{"name": "orders", "promotion": "auto", "stages": [{"name": "shadow", "percent": 0, "shadow": 100, "hold": "24h"}]}]
        given = {"config": {"listeners": [{"address": "127.0.0.1:8080"}], "routes": routes,
                            "backends": {"legacy": {"url": "http://127.0.0.1:1"}, "new": {"url": "http://127.0.0.1:1"}}},
                 "redis": {"url": "redis://127.0.0.1:1"}}
        # Ports are the kernel's here, which no Service could name: they are put into what was rendered.
        texts = [o["data"]["shunt.yaml"] for o in yaml.safe_load_all(chart.render(given)) if o and o["kind"] == "ConfigMap"]
        cls.text = (texts[0].replace("127.0.0.1:8080", "127.0.0.1:0").replace("0.0.0.0:9901", "0.0.0.0:0")
                    .replace("/etc/shunt/admin/", cls.folder + "/").replace("/var/lib/shunt", cls.folder + "/state"))
        os.mkdir(os.path.join(cls.folder, "state"))
        cls.write("token", "0123456789abcdef")
        # As the kubelet mounts a ConfigMap: a link to the newest folder, and links through it.
        cls.swap(cls.text)
        os.symlink("..data/shunt.yaml", os.path.join(cls.folder, "shunt.yaml"))
        cls.log = open(os.path.join(cls.folder, "log"), "w+", encoding="utf-8")
        cls.addClassCleanup(cls.log.close)
        cls.process = subprocess.Popen([os.path.join(chart.BUILD, "shunt"), "--config", os.path.join(cls.folder, "shunt.yaml")],
                                       stdout=cls.log, stderr=subprocess.STDOUT,
                                       env={**os.environ, "SHUNT_REDIS_URL": "redis://127.0.0.1:1", "POD_NAME": "orders-0"})
        cls.addClassCleanup(cls.end)
        cls.admin = cls.await_event("admin_listening")["address"].replace("0.0.0.0", "127.0.0.1")

    @classmethod
    def end(cls):
        """As the kubelet does; shunt ends by itself, and well."""
        cls.process.terminate()
        try:
            code = cls.process.wait(timeout=60)
        finally:
            cls.process.kill()
        assert code == 0, f"shunt ended with {code}"

    @classmethod
    def write(cls, name, text):
        with open(os.path.join(cls.folder, name), "w", encoding="utf-8") as f:
            f.write(text)

    @classmethod
    def swap(cls, text):
        """What the kubelet does with a new ConfigMap."""
        new = tempfile.mkdtemp(prefix="..2026_", dir=cls.folder)
        with open(os.path.join(new, "shunt.yaml"), "w", encoding="utf-8") as f:
            f.write(text)
        link = os.path.join(cls.folder, "..data_tmp")
        os.symlink(os.path.basename(new), link)
        os.rename(link, os.path.join(cls.folder, "..data"))

    @classmethod
    def events(cls):
        with open(cls.log.name, encoding="utf-8") as f:
            return [json.loads(line) for line in f if line.startswith("{") and line.endswith("}\n")]

    @classmethod
    def await_event(cls, name):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            for event in cls.events():
                if event.get("event") == name:
                    return event
            if cls.process.poll() is not None:
                break
            time.sleep(0.01)
        raise AssertionError(f"no {name}: {read(cls.log.name)}")

    def get(self, path):
        with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=20) as answer:
            return answer.read().decode()

    def sample(self, name):
        return float(re.search(rf"(?m)^{name} (\S+)$", self.get("/metrics"))[1])

    def test_probes_need_no_token(self):
        self.assertEqual((self.get("/readyz").strip(), self.get("/healthz").strip()), ("ready", "live"))

    def test_all_else_needs_the_token_that_the_container_has(self):
        with self.assertRaisesRegex(urllib.error.HTTPError, "401"):
            self.get("/api/v1/status")
        status = [os.path.join(chart.BUILD, "shuntctl"), "status"]
        given = {**os.environ, "SHUNT_ADMIN": self.admin, "SHUNT_TOKEN_FILE": os.path.join(self.folder, "token")}
        done = subprocess.run(status, capture_output=True, text=True, timeout=60, check=False, env=given)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("orders", done.stdout)

    def test_the_replica_is_called_like_the_pod(self):
        self.assertEqual(re.findall(r'shunt_fleet_info\{.*replica="([^"/]*)', self.get("/metrics")), ["orders-0"])

    def test_every_metric_is_on_the_page(self):
        page = {family(name) for name in re.findall(r"(?m)^# TYPE (\S+) ", self.get("/metrics"))}
        self.assertGreater(len(page), 80)
        for name, where in asked().items():
            if name not in LATER:
                self.assertIn(name, page, where)

    def test_a_config_map_that_is_swapped_is_taken_and_a_bad_one_is_told(self):
        self.assertEqual(self.sample("shunt_config_last_reload_successful"), 1)  # as before any reload: no alert
        self.swap(self.text.replace("hold: 24h", "hold: 25h"))
        self.await_event("reloaded")
        self.swap(self.text + "nonsense: 1\n")
        self.await_event("reload_failed")
        self.assertEqual(self.sample("shunt_config_last_reload_successful"), 0)

    def test_a_real_prometheus(self):
        """It scrapes this shunt, loads the rules, and answers every query of the dashboard."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        config = {"global": {"scrape_interval": "200ms", "evaluation_interval": "200ms"}, "rule_files": [RULES],
                  "scrape_configs": [{"job_name": "shunt", "scrape_timeout": "200ms", "static_configs": [{"targets": [self.admin]}]}]}
        with open(os.path.join(folder, "prometheus.yml"), "w", encoding="utf-8") as f:
            yaml.safe_dump(config, f)
        with open(os.path.join(folder, "log"), "w", encoding="utf-8") as log:
            prometheus = subprocess.Popen(["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                                           "--web.listen-address=127.0.0.1:0"], stdout=log, stderr=subprocess.STDOUT)
        self.addCleanup(prometheus.wait)
        self.addCleanup(prometheus.kill)

        def await_that(condition):
            end = time.monotonic() + 120  # the recording rules wait for their turn of 30 s
            while not (found := condition()):
                self.assertIsNone(prometheus.poll(), read(folder, "log"))
                self.assertLess(time.monotonic(), end, read(folder, "log"))
                time.sleep(0.05)
            return found

        address = await_that(lambda: re.findall(r'"Listening on" address=(\S+)', read(folder, "log")))[0]

        def ask(path, **words):
            url = f"http://{address}/api/v1/{path}?{urllib.parse.urlencode(words)}"
            with urllib.request.urlopen(url, timeout=20) as answer:
                return json.load(answer)["data"]

        def value(query):
            """The result, or nothing while Prometheus is not ready yet."""
            try:
                return ask("query", query=query)["result"]
            except OSError:
                return []

        await_that(lambda: value('route:shunt_effective_share:avg{route="orders"}'))
        await_that(lambda: value('ALERTS{alertname="ShuntRedisUnavailable", alertstate="pending"}'))  # there is none here
        self.assertEqual(value('up{job="shunt"}')[0]["value"][1], "1")
        for group in ask("rules")["groups"]:
            for rule in group["rules"]:
                self.assertNotEqual(rule["health"], "err", rule.get("lastError"))
        for panel in panels():
            for target in panel["targets"]:
                query = target["expr"].replace("$__rate_interval", "5m").replace("$job", ".*").replace("$route", ".*")
                ask("query", query=query)  # a refused one raises


if __name__ == "__main__":
    unittest.main()
