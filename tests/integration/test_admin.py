"""The admin server and shuntctl: who may ask, what is refused and how, figures that add up, and explanations that are true."""

import json
import os
import re

from harness import Case, Client, config, main, request, wait_until

ROUTE = """\
  - name: all
    match: { path: /api/** }
    sticky: [ { header: X-User-Id } ]
    overrides: [ { header: { X-Lane: new }, backend: new } ]
    percent: 40
    breaker: off
    shadow: { percent: 100 }
"""
STAGED = """\
  - name: staged
    match: { path: /staged/** }
    stages: [ { percent: 0, hold: 1h }, { name: half, percent: 50, hold: 1h } ]
    breaker: off
"""


class AdminCase(Case):
    def begin(self, token=None, admin="", **options):
        self.legacy, self.new = self.fast("legacy"), self.fast("new")
        if token:
            path = os.path.join(self.directory, "token")
            with open(path, "w", encoding="ascii") as f:
                f.write(token + "\n")
            admin = f"token_file: {path}"
        return self.shunt(config(self.legacy, self.new, ROUTE + STAGED, admin=admin,
                                 state=os.path.join(self.directory, "state"), **options))


class Door(AdminCase):
    READS = ("/api/v1/status", "/api/v1/routes", "/api/v1/routes/all", "/api/v1/history", "/api/v1/audit",
             "/api/v1/config")
    CHANGES = (("/api/v1/passthrough", {"on": True}), ("/api/v1/reload", {}), ("/api/v1/routes/all/rollback", {}),
               ("/api/v1/routes/all/set-percent", {"percent": 1}), ("/api/v1/report/reset", {}))

    def test_with_a_token_nothing_but_health_is_told_without_it(self):
        shunt = self.begin(token="s3cret-token")
        for token in ("", "wrong", "s3cret-toke", "s3cret-token2"):
            headers = [f"Authorization: Bearer {token}"] if token else []
            for path in self.READS:
                self.assertEqual(shunt.admin_reply("GET", path, headers=headers).status, 401, path)
            for path, body in self.CHANGES:
                self.assertEqual(shunt.admin_reply("POST", path, body, headers=headers).status, 401, path)
        for path in ("/healthz", "/readyz", "/metrics"):
            self.assertEqual(shunt.admin_reply("GET", path).status, 200, path)
        for path in self.READS:
            self.assertEqual(shunt.admin_reply("GET", path, token="s3cret-token").status, 200, path)
        self.assertEqual(shunt.admin_reply("POST", "/api/v1/passthrough", {"on": False},
                                           token="s3cret-token").status // 100, 2)

    def test_shuntctl_takes_the_token_from_a_file_or_the_environment(self):
        shunt = self.begin(token="s3cret-token")
        self.assertNotEqual(shunt.ctl("status", code=None).returncode, 0)
        shunt.ctl("status", "--token-file", os.path.join(self.directory, "token"))
        shunt.ctl("status", env={"SHUNT_TOKEN": "s3cret-token"})
        shunt.ctl("status", env={"SHUNT_TOKEN_FILE": os.path.join(self.directory, "token")})

    def test_a_token_that_is_swapped_is_asked_for_at_once(self):
        """As a kubelet swaps a Secret: nobody sends a signal, and shuntctl beside shunt reads the new file. What is no token
        leaves the last one of the configuration in force."""
        shunt = self.begin(token="s3cret-token")
        path = os.path.join(self.directory, "token")

        def swap(content):
            with open(path + ".new", "wb") as f:
                f.write(content)
            os.rename(path + ".new", path)

        swap(b"an0ther-token\r\n")
        self.assertEqual(shunt.admin_reply("GET", "/api/v1/status", token="an0ther-token").status, 200)
        self.assertEqual(shunt.admin_reply("GET", "/api/v1/status", token="s3cret-token").status, 401)
        shunt.ctl("status", "--token-file", path)
        for content in (b"", b"\n", b"two words", b"two\nlines\n", b"x" * 4096, b"x\0y", None):
            swap(content) if content is not None else os.unlink(path)
            self.assertEqual(shunt.admin_reply("GET", "/api/v1/status", token="s3cret-token").status, 200, content)
            for token in ("", "an0ther-token", "x", "two"):
                reply = shunt.admin_reply("GET", "/api/v1/status", headers=[f"Authorization: Bearer {token}"])
                self.assertEqual(reply.status, 401, (content, token))

    def test_only_the_named_methods_change_anything(self):
        shunt = self.begin()
        for path, _ in self.CHANGES:
            for method in ("GET", "PUT", "DELETE", "PATCH"):
                reply = shunt.admin_reply(method, path)
                self.assertIn(reply.status, (405, 501), (method, path))
                if reply.status == 405:
                    self.assertIn("POST", reply.get("allow"))
        for path in self.READS:
            self.assertEqual(shunt.admin_reply("POST", path, {}).status, 405, path)
        self.assertFalse(shunt.status()["passthrough"])
        self.assertEqual(shunt.route("all")["percent"], 40)

    def test_pages_of_strangers_are_refused(self):
        """Without a token the loopback is the guard; a browser on it runs other people's pages."""
        shunt = self.begin()
        for headers in (["Origin: https://evil.example"], ["Sec-Fetch-Site: cross-site"]):
            self.assertEqual(shunt.admin_reply("POST", "/api/v1/passthrough", {"on": True}, headers=headers).status,
                             403, headers)
        with Client(shunt.admin) as client:
            reply = client.ask("GET /api/v1/status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
            self.assertIn(reply.status, (403, 421), "DNS rebinding")
        self.assertFalse(shunt.status()["passthrough"])

    def test_errors_name_fault_and_remedy(self):
        shunt = self.begin()
        for method, path, body, status in (("GET", "/nothing", None, 404), ("GET", "/api/v1/routes/nope", None, 404),
                                           ("POST", "/api/v1/routes/nope/pause", {}, 404),
                                           ("POST", "/api/v1/passthrough", {}, 400),
                                           ("POST", "/api/v1/passthrough", {"on": "yes"}, 400),
                                           ("POST", "/api/v1/passthrough", b"{", 400),
                                           ("POST", "/api/v1/passthrough", {"on": True, "who": "x" * 100}, 400),
                                           ("POST", "/api/v1/explain", {"path": "no-slash"}, 400),
                                           ("POST", "/api/v1/explain", {"path": "/a b"}, 400),
                                           ("POST", "/api/v1/explain", {"path": "/", "method": "GE T"}, 400),
                                           ("POST", "/api/v1/explain", {"path": "/", "headers": {"a b": "c"}}, 400),
                                           ("POST", "/api/v1/explain", {"path": "/", "headers": [["a", "b\r\nc: d"]]}, 400)):
            reply = shunt.admin_reply(method, path, body)
            self.assertEqual(reply.status, status, (path, body))
            error = reply.json()["error"]
            self.assertTrue(error["code"] and error["message"] and error["remedy"], error)
        self.assertEqual(shunt.admin_reply("POST", "/api/v1/passthrough", b"x" * (4 << 20)).status, 413)

    def test_garbage_and_slow_askers_do_no_harm(self):
        shunt = self.begin()
        kept = []
        for data in (b"\x00\xff\r\n\r\n", b"GET", b"GET / HTTP/9.9\r\n\r\n",
                     b"POST /api/v1/passthrough HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"):
            client = Client(shunt.admin)
            client.send(data)
            kept.append(client)
        self.assertEqual(shunt.admin_reply("GET", "/healthz").status, 200)
        self.assertEqual(request(shunt.address).status, 200)
        for client in kept:
            client.close()

    def test_head_and_content_types(self):
        shunt = self.begin()
        self.assertEqual(shunt.admin_reply("HEAD", "/healthz").status, 200)
        self.assertTrue(shunt.admin_reply("GET", "/metrics").get("content-type").startswith("text/plain"))
        self.assertTrue(shunt.admin_reply("GET", "/api/v1/status").get("content-type").startswith("application/json"))

    def test_without_an_admin_section_nothing_listens(self):
        backend = self.backend()
        shunt = self.shunt(f'listeners:\n  - address: 127.0.0.1:0\nbackends:\n  legacy: {{ url: "{backend.url}" }}\n')
        self.assertEqual(request(shunt.address).status, 200)
        self.assertEqual(shunt.find_events("admin_listening"), [])


class Figures(AdminCase):
    def test_counters_add_up_to_the_requests_made(self):
        shunt = self.begin(workers=3, top="access_log: { sample: 100% }")
        plain = self.load(shunt.address, requests=500, connections=8, path="/plain").wait()
        split = self.load(shunt.address, requests=2000, connections=8, users=1000, path="/api/x").wait()
        missing = self.load(shunt.address, requests=50, connections=2, path="/status/404").wait()
        self.assertEqual((plain["failed"], split["failed"], missing["4xx"]), (0, 0, 50))
        with shunt.client() as client:
            client.send("BAD\r\n\r\n")
            self.assertEqual(client.reply().status, 400)
        wait_until(lambda: shunt.metric("shunt_shadow_copies_in_flight") == 0, "no copy under way")
        page = shunt.metrics()
        self.assertEqual(page.sum("shunt_requests_total", route="all", backend="new", code="2xx"), split["new"])
        self.assertEqual(page.sum("shunt_requests_total", route="all", backend="legacy", code="2xx"), split["legacy"])
        self.assertEqual(page.sum("shunt_requests_total", route="-", code="2xx"), 500)
        self.assertEqual(page.sum("shunt_requests_total", route="-", code="4xx"), 50)
        self.assertEqual(page.sum("shunt_requests_total"), 2550)
        self.assertEqual(page.sum("shunt_outcomes_total", outcome="ok"), 2550)
        self.assertEqual(page.sum("shunt_request_duration_seconds_count"), 2550)
        self.assertEqual(page.sum("shunt_request_duration_seconds_bucket", le="+Inf"), 2550)
        self.assertEqual(page.sum("shunt_downstream_requests_total"), 2550)
        self.assertEqual(page.sum("shunt_bad_requests_total"), 1)
        self.assertEqual(page.sum("shunt_requests_in_flight"), 0)
        copies = page.by("shunt_shadow_total", "reason", route="all")
        self.assertEqual(copies["sent"] + copies["in_flight"], 2000)
        status = shunt.route("all")
        self.assertEqual(status["counters"]["new"]["requests"], split["new"])
        self.assertEqual(self.legacy.counts()["requests"] - self.legacy.counts()["shadows"], 500 + 50 + split["legacy"])
        wait_until(lambda: len(shunt.access()) >= 2550, lambda: f"2550 access lines, have {len(shunt.access())}")
        by_side = [line for line in shunt.access() if line.get("route") == "all" and line.get("side") == "new"]
        self.assertEqual(len(by_side), split["new"])

    def test_histogram_buckets_are_cumulative(self):
        shunt = self.begin()
        self.load(shunt.address, requests=300, connections=4, users=100, path="/api/x").wait()
        page = shunt.metrics()
        for side in ("legacy", "new"):
            buckets = sorted((float(le), value) for le,
                             value in page.by("shunt_request_duration_seconds_bucket", "le", route="all",
                                              backend=side).items())
            values = [value for _, value in buckets]
            self.assertEqual(values, sorted(values))
            self.assertEqual(values[-1], page.sum("shunt_request_duration_seconds_count", route="all", backend=side))
            self.assertEqual(buckets[-1][0], float("inf"))

    def test_the_page_is_whole_and_each_name_has_its_help(self):
        shunt = self.begin()
        page = shunt.metrics()  # parsing checks the form
        for name in ("shunt_build_info", "shunt_ready", "process_resident_memory_bytes", "process_open_fds",
                     "shunt_route_share", "shunt_breaker_state",
                     "shunt_config_reloads_total", "shunt_upstream_idle"):
            page.sum(name)
        for name, kind in page.types.items():
            self.assertEqual(name.endswith("_total"), kind == "counter", name)
        self.assertAlmostEqual(page.sum("shunt_route_share", route="all"), 0.4)
        self.assertLessEqual(abs(page.sum("process_open_fds") - shunt.fds()),
                             2)  # the page's own connection, this one's

    def test_metrics_while_under_load(self):
        shunt = self.begin()
        load = self.load(shunt.address, connections=8, path="/api/x")
        last = 0
        for _ in range(50):
            total = shunt.metric("shunt_requests_total")
            self.assertGreaterEqual(total, last)
            last = total
        load.finish()


class Ctl(AdminCase):
    def test_every_view_prints_something_for_people_and_json_for_scripts(self):
        shunt = self.begin()
        self.load(shunt.address, requests=100, connections=2, path="/api/x").wait()
        for arguments in (["status"], ["status", "all"], ["report"], ["history"], ["audit"], ["routes"], ["gates"],
                          ["explain", "GET", "/api/x"],
                          ["watch", "--count", "2", "--interval", "0.05"]):
            done = shunt.ctl(*arguments, code=None)
            self.assertIn(done.returncode, (0, 3), (arguments, done))
            self.assertTrue(done.stdout.strip() or arguments[0] in ("history", "audit"), arguments)
            self.assertNotIn("\x1b", done.stdout, "no colours without a terminal")
            done = shunt.ctl("--json", *arguments, code=None)
            for line in done.stdout.strip().split("\n") if arguments[0] == "watch" else [done.stdout]:
                json.loads(line)
        self.assertIn("listeners:", shunt.ctl("config"))

    def test_verbs_change_the_route_and_say_so(self):
        shunt = self.begin()
        shunt.ctl("set-percent", "all", "12.5", "-m", "a closer look", "--who", "anna")
        self.assertEqual(shunt.route("all")["percent"], 12.5)
        shunt.ctl("promote", "staged", "--force")
        self.assertEqual(shunt.route("staged")["stage"], "half")
        shunt.ctl("pause", "staged")
        self.assertEqual(shunt.route("staged")["phase"], "paused")
        shunt.ctl("resume", "staged")
        shunt.ctl("rollback", "staged", "-m", "wrong totals")
        self.assertEqual(shunt.route("staged")["phase"], "rolled_back")
        shunt.ctl("restart", "staged")
        self.assertEqual(shunt.route("staged")["phase"], "running")
        shunt.ctl("reload")
        line = [e for e in shunt.audit() if e["what"] == "set_percent"][0]
        self.assertEqual((line["who"], line["why"]), ("operator:anna", "a closer look"))

    def test_exit_codes(self):
        shunt = self.begin()
        codes = lambda *a: shunt.ctl(*a, code=None).returncode
        self.assertEqual(codes("status"), 0)
        self.assertEqual(codes("pause", "nope"), 1)
        self.assertEqual(codes("promote", "staged"), 3)
        self.assertEqual(codes("gates", "staged"), 3)
        for wrong in (["stat"], [], ["pause"], ["set-percent", "all", "x"], ["status", "--nonsense"],
                      ["passthrough", "maybe"]):
            self.assertEqual(codes(*wrong), 2, wrong)
        self.assertEqual(codes("--help"), 0)
        for command in ("status", "promote", "explain", "passthrough"):
            self.assertEqual(codes(command, "--help"), 0)
        self.assertEqual(shunt.ctl("--admin", "127.0.0.1:1", "status", code=None).returncode, 4)

    def test_reload_of_a_bad_file_lists_its_faults(self):
        shunt = self.begin()
        with open(shunt.config_path, encoding="utf-8") as f:
            text = f.read()
        shunt.write_config(text.replace("percent: 40", "percent: 400"))
        done = shunt.ctl("reload", code=None)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout + done.stderr, r"shunt\.yaml:\d+:\d+")

    def test_check_asks_no_shunt(self):
        shunt = self.begin()
        shunt.ctl("check", shunt.config_path)
        bad = os.path.join(self.directory, "bad.yaml")
        with open(bad, "w", encoding="utf-8") as f:
            f.write("listeners: 7\n")
        done = shunt.ctl("check", bad, code=None)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout + done.stderr, r"bad\.yaml:\d+:\d+: ")


class Explain(AdminCase):
    def test_explain_equals_the_real_decision(self):
        shunt = self.begin()
        for user in range(60):
            headers = {"X-User-Id": f"user-{user}"}
            told = shunt.api("POST", "/api/v1/explain", {"method": "GET", "path": "/api/x?y=z", "headers": headers})
            real = request(shunt.address, "/api/x?y=z", [f"X-User-Id: user-{user}"]).get("x-backend")
            self.assertEqual((told["side"], told["route"], told["reason"]), (real, "all", "cohort"), told)
            self.assertEqual(told["side"] == "new", told["cohort"] < 4000)
        told = shunt.api("POST", "/api/v1/explain", {"path": "/api/x", "headers": {"X-Lane": "new"}})
        self.assertEqual((told["side"], told["reason"], told["override"]), ("new", "override", 0))
        told = shunt.api("POST", "/api/v1/explain", {"path": "/elsewhere"})
        self.assertEqual((told["side"], told["route"], told["reason"]), ("legacy", None, "no_route"))
        shunt.passthrough(True)
        told = shunt.api("POST", "/api/v1/explain", {"path": "/api/x", "headers": {"X-Lane": "new"}})
        self.assertEqual((told["side"], told["reason"]), ("legacy", "passthrough"))

    def test_explaining_counts_nothing(self):
        shunt = self.begin()
        for _ in range(20):
            shunt.api("POST", "/api/v1/explain", {"path": "/api/x"})
        self.assertEqual(shunt.metric("shunt_requests_total"), 0)
        self.assertEqual(shunt.metric("shunt_shadow_total", reason="sent"), 0)

    def test_shuntctl_explains_in_a_sentence(self):
        shunt = self.begin()
        text = shunt.ctl("explain", "GET", "/api/x", "-H", "X-User-Id: 7")
        self.assertRegex(text, "legacy|new")
        self.assertIn("all", text)
        self.assertTrue(re.search(r"\d", text))


if __name__ == "__main__":
    main()
