"""The report outlives restarts, kill -9 and reloads, is served in every form; what was forgotten stays so and is audited."""

import json
import os
import re
import resource
import signal
import socket
import sqlite3
import stat
import subprocess
import threading
import time

from harness import BUILD, Case, Client, config, environment, http_reply, main, request, wait_until

ROUTE = """\
  - name: orders
    match: { path: /** }
    sticky: [ random ]
    stages: [ { name: shadow, percent: 0, shadow: 100, hold: 24h }, { percent: 10, hold: 24h } ]
    promotion: manual
    gates: { min_requests: 100000, mismatch_rate: 1% }
    breaker: off
    shadow: { methods: ["*"], timeout: 10s, samples: { keep: 8 } }
"""


def answer(text):
    body = json.dumps({"id": 1, "price": text}).encode()
    return lambda request_: http_reply(body, headers=["Content-Type: application/json"])


def compared(shunt):
    """What the report has compared; 0 before the first pair."""
    report = shunt.api("GET", "/api/v1/report")
    return sum(route["totals"]["compared"] for route in report["routes"])


def integrity(path):
    done = subprocess.run(["sqlite3", path, "PRAGMA integrity_check"], capture_output=True, text=True, timeout=60,
                          check=False)
    return (done.stdout + done.stderr).strip()


class ReportCase(Case):
    def begin(self, **options):
        self.legacy, self.new = self.backend(answer("1")), self.backend(answer("2"), name="new")
        self.state = os.path.join(self.directory, "state")
        self.database = os.path.join(self.state, "shadow.db")
        options.setdefault("state", self.state)
        return self.shunt(config(self.legacy, self.new, ROUTE, top="access_log: off", **options))

    def ask(self, shunt, count, path="/orders/17"):
        before = compared(shunt)
        for _ in range(count):
            self.assertEqual(request(shunt.address, path).status, 200)
        wait_until(lambda: compared(shunt) >= before + count, "the pairs to be compared")

    def evidence(self, shunt):
        return shunt.route("orders")["evidence"]


class Lasting(ReportCase):
    def test_a_restart_in_the_middle_of_a_stage_goes_on_from_there(self):
        shunt = self.begin()
        self.ask(shunt, 7)
        wait_until(lambda: self.evidence(shunt)["compared"] == 7, "the evidence")
        before = shunt.report("orders")["routes"][0]
        for count in (7, 10):
            shunt.restart()
            self.assertEqual(compared(shunt), count)
            evidence = self.evidence(shunt)
            self.assertEqual((evidence["compared"], evidence["mismatched"]), (count, count), "neither twice nor lost")
            if count == 7:
                after = shunt.report("orders")["routes"][0]
                for member in ("totals", "endpoints", "since_ms", "buckets"):
                    self.assertEqual(after[member], before[member], member)
                self.assertTrue(after["samples"])
                self.ask(shunt, 3)
                wait_until(lambda: self.evidence(shunt)["compared"] == 10, "the evidence")

    def test_a_reload_keeps_it(self):
        shunt = self.begin()
        self.ask(shunt, 3)
        with open(shunt.config_path, encoding="utf-8") as f:
            text = f.read()
        edited = text.replace("min_requests: 100000", "min_requests: 100001")
        self.assertEqual(shunt.reload(edited)["event"], "reloaded")
        self.assertEqual(compared(shunt), 3)
        self.assertEqual(self.evidence(shunt)["compared"], 3)

    def test_kill_9_loses_what_came_after_the_last_save_and_never_the_file(self):
        """A save begins a second after the former one ended. What was counted before two of them have ended is in the
        second, however slow the machine is."""
        shunt = self.begin(workers=1)
        for turn in range(20):
            seen = []  # (compared, saves that had ended by then)
            end = threading.Event()

            def load():
                try:
                    with Client(shunt.address) as client:
                        while not end.is_set():
                            client.get(f"/orders/{turn}")
                except (AssertionError, OSError):
                    pass

            def saved():
                count = compared(shunt)
                seen.append((count, shunt.metric("shunt_report_saves_total")))
                return any(count > 0 and saves + 2 <= seen[-1][1] for count, saves in seen)

            threads = [threading.Thread(target=load, daemon=True) for _ in range(2)]
            for thread in threads:
                thread.start()
            wait_until(saved, "two saves", timeout=60, every=0.05)
            time.sleep(turn % 5 * 0.1)  # the kill comes anywhere between two saves, and within one
            saved()
            shunt.kill()
            end.set()
            for thread in threads:
                thread.join(20)
            self.assertEqual(integrity(self.database), "ok")
            shunt.start()
            wanted = max(count for count, saves in seen if saves + 2 <= seen[-1][1])
            self.assertGreater(wanted, 0)
            self.assertGreaterEqual(compared(shunt), wanted, f"turn {turn}")
        self.assertEqual([name for name in os.listdir(self.state) if "damaged" in name], [])
        self.assertEqual(shunt.find_events("report_damaged"), [])

    def test_the_file_is_its_owners_and_people_can_ask_it(self):
        shunt = self.begin()
        self.ask(shunt, 4)
        wait_until(lambda: shunt.metric("shunt_report_saves_total") > 0, "a save")
        shunt.stop()
        self.assertEqual(stat.S_IMODE(os.stat(self.database).st_mode), 0o600)
        done = subprocess.run(["sqlite3", self.database,
                               "SELECT field, differing FROM fields WHERE endpoint <> '' ORDER BY differing DESC"],
                              capture_output=True, text=True, timeout=60, check=True)
        self.assertIn("$.price|4", done.stdout)

    def test_a_damaged_file_is_set_aside_and_told(self):
        shunt = self.begin()
        self.ask(shunt, 2)
        shunt.signal(signal.SIGTERM)
        shunt.wait_exit()
        with open(self.database, "r+b") as f:
            f.write(b"this was a database once, and is none now" * 100)
        shunt.start()
        self.assertIn("shadow.db.damaged-1", shunt.wait_events("report_damaged")[0]["error"])
        self.assertEqual(compared(shunt), 0)
        self.ask(shunt, 1)
        shunt.restart()
        self.assertEqual(compared(shunt), 1)

    def test_without_a_directory_it_lives_in_memory(self):
        shunt = self.begin(state=None)
        self.ask(shunt, 2)
        self.assertEqual(shunt.metric("shunt_report_on_disk"), 0)
        wait_until(lambda: shunt.metric("shunt_report_samples_total") > 0, "the samples")
        self.assertTrue(shunt.report("orders")["routes"][0]["samples"])
        shunt.restart()
        self.assertEqual(compared(shunt), 0)

    def test_nothing_new_writes_nothing(self):
        shunt = self.begin()
        self.ask(shunt, 1)
        wait_until(lambda: shunt.metric("shunt_report_saves_total") > 0, "a save")
        log = self.database + "-wal"

        def settled():
            facts = os.stat(log)
            time.sleep(2.5)
            now = os.stat(log)
            return (facts.st_mtime_ns, facts.st_size) == (now.st_mtime_ns, now.st_size)

        wait_until(settled, "the file to be left alone")


class Disk(ReportCase):
    """Whatever becomes of the file: it is said and counted, traffic and comparing go on, and nothing is half there."""

    def failures(self, shunt):
        return shunt.metric("shunt_report_save_failures_total")

    def test_a_disk_that_is_full(self):
        """A file may not grow beyond a size, which is what a full disk looks like to one that writes to it."""
        shunt = self.begin(workers=1)
        self.ask(shunt, 3)
        wait_until(lambda: shunt.metric("shunt_report_saves_total") > 0, "a save")
        pid, large = shunt.process.pid, os.path.getsize(self.database) + os.path.getsize(self.database + "-wal")
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (large, resource.RLIM_INFINITY))
        for turn in range(40):  # until a save does not fit any more
            self.ask(shunt, 5, f"/turn-{'abcdefghij'[turn % 10]}{'klmnopqrst'[turn // 10]}/x")
            if self.failures(shunt) > 0:
                break
        self.assertGreater(self.failures(shunt), 0)
        count = compared(shunt)
        events = shunt.wait_events("report_save_failed", 1)
        self.assertIn("shadow.db", events[0]["error"])
        wait_until(lambda: self.failures(shunt) > 1, "another try")
        self.assertEqual(len(shunt.find_events("report_save_failed")), 1, "what goes on is said once")
        self.assertEqual(request(shunt.address, "/orders/1").status, 200)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        saves = shunt.metric("shunt_report_saves_total")
        wait_until(lambda: shunt.metric("shunt_report_saves_total") > saves, "a save", timeout=60)
        wait_until(lambda: compared(shunt) == count + 1, "the last pair")
        shunt.restart()
        self.assertEqual(compared(shunt), count + 1)
        shunt.kill()
        self.assertEqual(integrity(self.database), "ok")
        shunt.start()
        self.assertEqual(compared(shunt), count + 1)

    def start_with(self, make):
        """A start that finds what `make` has put where the file should be."""
        os.makedirs(os.path.join(self.directory, "state"), mode=0o700)
        make(os.path.join(self.directory, "state", "shadow.db"))
        return self.begin()

    def check_works(self, shunt, on_disk=1):
        self.assertEqual(shunt.metric("shunt_report_on_disk"), on_disk)
        self.ask(shunt, 2)
        self.assertEqual(request(shunt.address, "/orders/1").status, 200)

    def set_aside(self, make, *words):
        shunt = self.start_with(make)
        told = shunt.wait_events("report_damaged", 1)[0]["error"]
        for word in ("shadow.db.damaged-1", *words):
            self.assertIn(word, told)
        self.check_works(shunt)
        self.assertTrue(os.path.exists(self.database + ".damaged-1"))
        self.assertEqual(integrity(self.database), "ok")

    def test_garbage(self):
        def make(path):
            with open(path, "wb") as f:
                f.write(os.urandom(20000))

        self.set_aside(make, "not a database")

    def test_a_file_of_another_version(self):
        def make(path):
            db = sqlite3.connect(path)
            db.executescript("CREATE TABLE cells(route TEXT); INSERT INTO cells VALUES('orders');"
                             "PRAGMA user_version = 999;")
            db.close()

        self.set_aside(make, "999")

    def test_a_file_of_another_program(self):
        def make(path):
            db = sqlite3.connect(path)
            db.executescript("CREATE TABLE music(title TEXT); INSERT INTO music VALUES('blue');")
            db.close()

        self.set_aside(make)

    def test_a_file_cut_in_the_middle(self):
        shunt = self.begin()
        self.ask(shunt, 3)
        shunt.stop()
        with open(self.database, "r+b") as f:
            f.truncate(os.path.getsize(self.database) // 2 // 4096 * 4096 + 100)
        again = self.shunt(config(self.legacy, self.new, ROUTE, top="access_log: off", state=self.state))
        told = again.wait_events("report_damaged", 1)[0]["error"]
        self.assertIn("shadow.db.damaged-1", told)
        self.check_works(again)

    def test_no_file_at_all_can_be_there(self):
        shunt = self.start_with(os.mkdir)
        self.assertIn("shadow.db", shunt.wait_events("report_damaged", 1)[0]["error"])
        self.check_works(shunt, on_disk=0)


class Veiled(ReportCase):
    """samples.values comes to allow less than before: what was kept goes, what was counted stays."""

    ROUTE = ROUTE.replace("samples: { keep: 8 }", "samples: { keep: 8, values: full }")
    FORMS = ("json", "har", "html")

    def begin(self):
        self.legacy = self.backend(answer("OURS-4711"))
        self.new = self.backend(answer("THEIRS-4711"), name="new")
        self.state = os.path.join(self.directory, "state")
        shunt = self.shunt(config(self.legacy, self.new, self.ROUTE, top="access_log: off", state=self.state))
        self.ask(shunt, 3)
        wait_until(lambda: shunt.metric("shunt_report_samples_total") > 0, "the samples")
        self.assertEqual(self.shown(shunt), set(self.FORMS), "values: full shows them")
        self.assertTrue(self.stored())
        with open(shunt.config_path, encoding="utf-8") as f:
            self.less = f.read().replace("values: full", "values: redacted")
        return shunt

    def shown(self, shunt):
        return {form for form in self.FORMS
                if b"OURS-4711" in shunt.admin_reply("GET", f"/api/v1/report?format={form}").body}

    def stored(self):
        found = []
        for name in os.listdir(self.state):
            with open(os.path.join(self.state, name), "rb") as f:
                if b"OURS-4711" in f.read():
                    found.append(name)
        return found

    def check(self, shunt):
        self.assertEqual(self.shown(shunt), set())
        self.assertIn("orders", shunt.wait_events("report_values_deleted", 1)[0]["why"])
        wait_until(lambda: not self.stored(), lambda: f"the values to be gone from {self.stored()}")
        self.assertEqual(compared(shunt), 3)
        self.ask(shunt, 1)
        self.assertEqual(self.shown(shunt), set())

    def test_by_a_reload(self):
        shunt = self.begin()
        self.assertEqual(shunt.reload(self.less)["event"], "reloaded")
        self.check(shunt)

    def test_over_a_restart(self):
        shunt = self.begin()
        shunt.restart()
        self.assertEqual(self.shown(shunt), set(self.FORMS), "as much as before is kept")
        shunt.write_config(self.less)
        shunt.restart()
        shunt.wait_events("report_values_deleted", 1)
        self.check(shunt)


class Serving(ReportCase):
    def test_every_form(self):
        shunt = self.begin()
        self.ask(shunt, 3)
        wait_until(lambda: shunt.metric("shunt_report_samples_total") > 0, "the samples")
        begins = {"json": b"{", "markdown": b"#", "junit": b"<?xml", "har": b"{", "html": b"<!doctype html"}
        for form in ("json", "text", "markdown", "junit", "har", "curl", "rules", "html"):
            reply = shunt.admin_reply("GET", f"/api/v1/report?format={form}")
            self.assertEqual(reply.status, 200, form)
            self.assertTrue(reply.body, form)
            self.assertTrue(reply.body.lower().startswith(begins.get(form, b"")), (form, reply.body[:80]))
            self.assertEqual(reply.get("content-disposition") is not None, form not in ("json", "text"), form)
        page = shunt.admin_reply("GET", "/report")
        self.assertEqual((page.status, page.get("referrer-policy")), (200, "no-referrer"))
        self.assertIn("default-src 'none'", page.get("content-security-policy"))
        refused = shunt.api("GET", "/api/v1/report?format=pdf", status=400)
        self.assertIn("junit", refused["error"]["remedy"])

    def test_what_may_be_asked_is_named(self):
        shunt = self.begin()
        self.ask(shunt, 1)
        for path, named in (("report?sample=4", ("samples", "format", "route")), ("report?samples=x", ("0 to 100",)),
                            ("report?samples=101", ("0 to 100",)), ("report?format=", ("markdown",)),
                            ("verdict", ("route=NAME",)), ("verdict?route=orders&limit=2", ("from 0 to 1",)),
                            ("verdict?route=orders&confidence=", ("0.5",)), ("verdict?rout=orders", ("confidence",))):
            error = json.dumps(shunt.api("GET", "/api/v1/" + path, status=400)["error"])
            for word in named:
                self.assertIn(word, error, path)
        for path in ("report?route=nobody", "verdict?route=nobody"):
            self.assertIn("orders", shunt.api("GET", "/api/v1/" + path, status=404)["error"]["remedy"])
        self.assertEqual(shunt.admin_reply("GET", "/report?format=json").status, 400)

    def test_a_route_that_has_left_the_file(self):
        shunt = self.begin()
        self.ask(shunt, 2)
        with open(shunt.config_path, encoding="utf-8") as f:
            text = f.read()
        self.assertEqual(shunt.reload(text.replace("name: orders", "name: others"))["event"], "reloaded")
        self.ask(shunt, 1)
        rows = {route["route"]: route["totals"]["compared"] for route in shunt.api("GET", "/api/v1/report")["routes"]}
        self.assertEqual(rows, {"orders": 2, "others": 1})
        self.assertEqual(shunt.report("orders")["routes"][0]["totals"]["compared"], 2)
        shunt.api("POST", "/api/v1/report/reset", {"route": "orders"})
        shunt.restart()
        rows = {route["route"]: route["totals"]["compared"] for route in shunt.api("GET", "/api/v1/report")["routes"]}
        self.assertEqual(rows, {"others": 1})

    def test_readers_who_do_not_read_hold_up_nobody(self):
        shunt = self.begin()
        for i in range(60):  # 1 MiB and more of page, beyond what sockets hold
            request(shunt.address, f"/{'abcdefghij'[i % 10]}{'klmnop'[i // 10]}-x/orders")
        readers = []
        for _ in range(8):
            reader = socket.socket()
            self.addCleanup(reader.close)
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            reader.connect(shunt.admin)
            reader.sendall(b"GET /report?samples=100 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            readers.append(reader)
        for reader in readers:
            self.assertTrue(reader.recv(1))  # has begun
        self.assertEqual(shunt.api("GET", "/api/v1/verdict?route=orders")["result"], "fail")
        self.assertEqual(request(shunt.address, "/orders/1").status, 200)
        self.assertGreater(shunt.metric("shunt_report_saves_total"), 0)
        for reader in readers:
            reader.close()
        wait_until(lambda: shunt.admin_reply("GET", "/api/v1/report").status == 200, "a report")

    def test_the_verdict_is_of_the_gate(self):
        shunt = self.begin()
        verdict = shunt.api("GET", "/api/v1/verdict?route=orders")
        self.assertEqual((verdict["result"], verdict["compared"], verdict["limit"]), ("undecided", 0, 0.01))
        self.ask(shunt, 20)
        verdict = shunt.api("GET", "/api/v1/verdict?route=orders")
        self.assertEqual((verdict["result"], verdict["compared"], verdict["differing"]), ("fail", 20, 20))
        self.assertIn("20 compared", verdict["sentence"])
        self.assertEqual(shunt.api("GET", "/api/v1/verdict?route=orders&limit=1")["result"], "pass")
        shunt.api("GET", "/api/v1/verdict?route=nobody", status=404)

    def test_forgetting_is_audited_and_lasts(self):
        shunt = self.begin()
        self.ask(shunt, 5)
        wait_until(lambda: shunt.metric("shunt_report_saves_total") > 0, "a save")
        shunt.api("POST", "/api/v1/report/reset", {"route": "orders", "who": "anna", "reason": "fixed"})
        line = shunt.audit()[-1]
        self.assertEqual((line["what"], line["who"], line["why"], line["route"]),
                         ("report_forgotten", "operator:anna", "fixed", "orders"))
        self.assertEqual(shunt.wait_events("report_forgotten")[-1]["who"], "operator:anna")
        shunt.restart()
        self.assertEqual(compared(shunt), 0)
        self.ask(shunt, 1)
        shunt.restart()
        self.assertEqual(compared(shunt), 1)

    def test_readers_that_leave_and_a_shutdown_with_readers(self):
        shunt = self.begin()
        self.ask(shunt, 3)
        for i in range(60):
            with socket.create_connection(shunt.admin) as reader:
                reader.sendall(b"GET /report HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                if i % 3 == 0:
                    reader.recv(1)
        wait_until(lambda: shunt.admin_reply("GET", "/api/v1/report").status == 200, "a report")
        readers = [socket.create_connection(shunt.admin) for _ in range(6)]
        for reader in readers:
            reader.sendall(b"GET /report HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        shunt.signal(signal.SIGTERM)
        self.assertEqual(shunt.wait_exit(), 0)
        shunt.check_sanitizers()
        for reader in readers:
            reader.close()


NOISY = """\
  - name: orders
    match: { path: /order/** }
    percent: 0
    gates: { mismatch_rate: 1% }
    shadow:
      percent: 100
      timeout: 10s
      max_in_flight: 4096
      compare:
        noise: { percent: 50% }
"""


class Deciding(Case):
    """What somebody does with the report: rules that it suggests, and a script that waits for its verdict."""

    def begin(self, **options):
        legacy, new = self.fast(seed=5), self.fast("new", seed=6, **options)
        return self.shunt(config(legacy, new, NOISY, top="access_log: off"))

    def send(self, shunt, count):
        """Until all of them are judged; no more at a time than the queue to the compare thread holds."""
        for _ in range(count // 100):
            before = shunt.metric("shunt_comparisons_total")
            result = self.load(shunt.address, requests=100, connections=4, path="/order/4711").wait()
            self.assertEqual(result["failed"], 0, result)
            wait_until(lambda: shunt.metric("shunt_comparisons_total") >= before + 100 and
                       shunt.metric("shunt_shadow_copies_in_flight") == 0, "all pairs to be judged")

    def test_suggested_rules_are_pasted_and_the_noise_is_ignored(self):
        shunt = self.begin()
        self.send(shunt, 800)
        yaml = shunt.ctl("report", "orders", "--suggest-rules")
        with open(shunt.config_path, encoding="utf-8") as f:
            text = f.read()
        pasted = text + "".join(f"        {line}\n" for line in yaml.splitlines())
        path = os.path.join(self.directory, "pasted.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(pasted)
        done = subprocess.run([os.path.join(BUILD, "shunt"), "--check", path], capture_output=True, text=True, timeout=60,
                              check=False)
        self.assertEqual(done.returncode, 0, done)
        self.assertEqual(shunt.reload(pasted)["event"], "reloaded")
        shunt.ctl("report", "orders", "--reset")
        self.send(shunt, 200)
        (route,) = shunt.report("orders")["routes"]
        fields = {field["field"]: field for field in route["endpoints"][0]["fields"]}
        suggested = set(re.findall(r'"(\$[^"]+)"', yaml))
        self.assertGreaterEqual(suggested, {"$.served_by", "$.trace", "$.age", "$.cached"})
        self.assertEqual({fields[name]["state"] for name in suggested if name in fields}, {"ignored"}, fields)
        rare = set(fields) - suggested  # in one pair of fifty: 800 pairs need not have been enough to call it noise
        self.assertLessEqual(rare, {"$.offer"})
        differing = sum(fields[name]["differing"] for name in rare)
        self.assertEqual((route["totals"]["ignored"], route["totals"]["mismatched"]), (200 - differing, differing), yaml)
        self.assertEqual(suggested & set(re.findall(r'"(\$[^"]+)"', shunt.ctl("report", "orders", "--suggest-rules"))), set())

    def test_a_script_waits_for_the_verdict(self):
        """0 pass, 1 fail, 3 undecided; the sentence is all that is printed."""
        shunt = self.begin(wrong=0.5)
        self.assertEqual(shunt.ctl("verdict", "orders", code=3),
                         "orders: nothing compared yet; limit 1 %: undecided\n")
        waiting = subprocess.Popen([os.path.join(BUILD, "shuntctl"), "--admin", "%s:%d" % shunt.admin, "verdict", "orders",
                                    "--wait", "2h"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env=environment())
        try:
            self.send(shunt, 200)
            said, complaint = waiting.communicate(timeout=60)
        finally:
            if waiting.poll() is None:
                waiting.kill()
                waiting.wait()
        self.assertEqual((waiting.returncode, complaint), (1, ""))
        self.assertRegex(said, r"^orders: \d+ compared, \d+ differ \([\d.]+ %\), at 99 % confidence above [\d.]+ %; "
                               r"limit 1 %: fail\n$")
        self.assertIn("limit 90 %: pass\n", shunt.ctl("verdict", "orders", "--limit", "90%"))
        rate = shunt.api("GET", "/api/v1/verdict?route=orders")["rate"]
        near = shunt.ctl("verdict", "orders", "--limit", f"{rate * 100:.2f}%", "--wait", "1s", code=3)
        self.assertRegex(near, r": undecided\n$")
        done = shunt.ctl("verdict", "order", code=None)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn('there is no route "order"; did you mean orders? routes are: orders', done.stderr)


if __name__ == "__main__":
    main()
