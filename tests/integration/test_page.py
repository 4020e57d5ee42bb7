"""The report's page in a real browser: what it shows, how one gets around in it, and that nothing leaves it or runs in
it.

Chromium is driven over the W3C WebDriver protocol, which is JSON over HTTP; one browser serves all cases of a class. Most
pages are made by peers/page from a report's JSON, through the same export_html() that shunt and shuntctl use; one is that
of real traffic over two real backends.

    test_page.py --pictures DIR [REPORT.json]

makes the pictures of the docs from real traffic (shop.py) of some minutes, or from a report that was kept.
"""

import base64
import copy
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

import shop
from harness import BUILD, PEERS, Case, Shunt, config, wait_until

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
FIXTURE = os.path.join(TOP, "tests/shadow/report_fixture.json")
REMEDY = "the report's page is tested in chromium: tools/dependencies test"
PATIENCE = 60.0  # of one wait: a browser beside a full test run on few cores
KEYS = {"Tab": "\ue004", "Enter": "\ue007", "Escape": "\ue00c", "ArrowRight": "\ue014", "Shift": "\ue008"}

WIDE = (1280, 900)
PHONE = (360, 740)


class Refused(AssertionError):
    """WebDriver said no; the text says why."""


class Browser:
    """Chromedriver with one chromium, both ended by their process ids."""

    def __init__(self):
        driver = shutil.which("chromedriver")
        self.chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        assert driver and self.chromium, REMEDY
        self.profile = tempfile.mkdtemp(prefix="shunt-page-")
        self.pid = None
        self.session = None
        self.port = free_port()
        self.driver = subprocess.Popen([driver, f"--port={self.port}"], env={**os.environ, "HOME": self.profile},
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(self._ready, "chromedriver listens", PATIENCE, 0.05)
            self._open()
        except BaseException:
            self.close()
            raise

    def _ready(self):
        assert self.driver.poll() is None, f"chromedriver ended with {self.driver.returncode}; {REMEDY}"
        try:
            return self._call("GET", "/status")["ready"]
        except OSError:
            return False

    def _open(self):
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                     "--disable-background-networking", "--disable-component-update", "--disable-sync",
                     "--password-store=basic",
                     f"--user-data-dir={self.profile}/data"]
        wanted = {"browserName": "chrome", "goog:chromeOptions": {"args": arguments, "binary": self.chromium},
                  "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = f"/session/{made['sessionId']}"
        self.pid = made["capabilities"].get("goog:processID")

    def _call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data,
                                         {"Content-Type": "application/json"}, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=PATIENCE) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as error:
            raise Refused(f"{method} {path}: {error.read().decode(errors='replace')[:2000]}") from None

    def close(self):
        if self.session:
            try:
                self._call("DELETE", self.session)
            except (OSError, AssertionError):
                pass
        self.driver.terminate()
        try:
            self.driver.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.driver.kill()
            self.driver.wait()
        self._end_chromium()
        shutil.rmtree(self.profile, ignore_errors=True)

    def _end_chromium(self):
        """It has gone with its session; should it not have, it goes now."""
        if self.pid is None:
            return
        try:
            with open(f"/proc/{self.pid}/cmdline", "rb") as f:
                if self.profile.encode() in f.read():
                    os.kill(self.pid, signal.SIGKILL)
        except OSError:
            pass

    # ---- what a test does with it ----

    def cdp(self, command, **parameters):
        return self._call("POST", self.session + "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def run(self, script, *arguments):
        return self._call("POST", self.session + "/execute/sync", {"script": script, "args": list(arguments)})

    def open(self, url):
        self._call("POST", self.session + "/url", {"url": url})

    def back(self):
        self._call("POST", self.session + "/back", {})

    def log(self, kind):
        return self._call("POST", self.session + "/se/log", {"type": kind})

    def size(self, width, height):
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                 mobile=width < 600)

    def scheme(self, name):
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def press(self, *keys):
        actions = []
        for key in keys:
            value = KEYS.get(key, key)
            actions += [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
        self._call("POST", self.session + "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def type(self, words):
        self.press(*words)

    def click(self, selector):
        element = self._call("POST", self.session + "/element", {"using": "css selector", "value": selector})
        self._call("POST", f"{self.session}/element/{next(iter(element.values()))}/click", {})

    def text(self, selector="main"):
        """What a person reads there; '' where there is no such element."""
        return self.run("""const e = document.querySelector(arguments[0]);
            return e ? e.innerText.replaceAll('\\u00a0', ' ') : '';""", selector)

    def count(self, selector):
        return self.run("return document.querySelectorAll(arguments[0]).length", selector)

    def screenshot(self, path):
        with open(path, "wb") as f:
            f.write(base64.b64decode(self.cdp("Page.captureScreenshot", format="png")["data"]))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def fixture():
    with open(FIXTURE, encoding="utf-8") as f:
        return json.load(f)


def address(place):
    return "#" + urllib.parse.urlencode(place, quote_via=urllib.parse.quote)


ENDPOINT = {"r": "orders-read", "p": "legacy", "e": "GET /orders/{id}"}
PHONE_FIELD = {**ENDPOINT, "f": "$.customer.phone"}


class Reader:
    """Somebody who has a browser, and what they say about a page."""

    @classmethod
    def setUpClass(cls):
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    def begin(self):
        self.browser.size(*WIDE)
        self.browser.scheme("light")
        self.browser.open("about:blank")
        self.browser.log("browser")
        self.browser.log("performance")

    def awaited(self, selector):
        wait_until(lambda: self.browser.count(selector), f"{selector} on the page", PATIENCE)

    def reads(self, words, selector="main"):
        wait_until(lambda: words in self.browser.text(selector),
                   lambda: f"{words!r} in {selector}: {self.browser.text(selector)[:3000]}", PATIENCE)

    def no_complaint(self):
        self.assertEqual([entry["message"] for entry in self.browser.log("browser")], [])

    def nobody_was_asked(self, url):
        """Since begin(): for anything but the page itself."""
        asked = []
        for entry in self.browser.log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                asked.append(message["params"]["request"]["url"])
        self.assertTrue(asked)
        self.assertEqual([other for other in asked if other.split("#")[0] != url and not other.startswith("data:")], [])


class Page(Reader, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = tempfile.mkdtemp(prefix="shunt-page-files-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.files = 0

    def setUp(self):
        self.begin()

    def make(self, report):
        """Writes the page of this report; returns its address."""
        made = subprocess.run([os.path.join(PEERS, "page")], input=json.dumps(report).encode(), capture_output=True,
                              timeout=PATIENCE, check=False)
        self.assertEqual(made.returncode, 0, made.stderr.decode(errors="replace"))
        Page.files += 1
        path = os.path.join(self.folder, f"report-{Page.files}.html")
        with open(path, "wb") as f:
            f.write(made.stdout)
        return "file://" + path

    def show(self, report, place=None):
        url = self.make(report) + (address(place) if place else "")
        self.browser.open(url)
        self.awaited("main h1")
        return url

    # ---- it opens ----

    def test_the_verdict_stands_on_top(self):
        report = fixture()
        self.show(report)
        verdict = report["routes"][0]["verdict"]
        self.reads("Fail", "#verdict-word")
        self.reads(verdict["sentence"], ".verdict")
        self.reads("limit 0.01 %", ".verdict")
        self.assertIn("13 of 13,017 compared answers differ (0.10 %)", self.browser.text(".claim"))
        top = self.browser.text(".verdict .aside")
        for field in ("$.items[*].price", "$.total", "$.customer.phone", "status"):
            self.assertIn(field, top)
        self.assertNotIn("$.token", top)  # noise is not among what really differs
        self.no_complaint()

    def test_a_fleet_s_page_says_so(self):
        report = fixture()
        self.show(report)
        self.assertEqual(self.browser.count(".fleet"), 0)
        report["fleet"] = {"replicas": 1200, "beyond": 3}
        for route in report["routes"]:
            route["buckets"] = []
        self.show(report)
        self.reads("fleet of 1,200 replicas, without 3 figures that found no room", ".fleet")
        self.reads("Only the report of a single replica has a course over time.")
        self.no_complaint()

    def test_the_worst_route_is_opened_first(self):
        report = fixture()
        report["routes"] = [report["routes"][i] for i in (2, 1, 0)]
        self.show(report)
        self.reads("Fail", "#verdict-word")
        self.assertEqual(self.browser.text(".routes a[aria-current] b"), "orders-read")
        self.show({"routes": report["routes"][:2]})
        self.reads("Undecided", "#verdict-word")

    def test_nothing_that_differs_is_no_alarm(self):
        report = fixture()
        ink = "return getComputedStyle(document.querySelector(arguments[0])).color"
        same = {**report["routes"][2], "totals": {"matched": 9, "compared": 9}}
        self.show({"routes": [same]})
        self.assertEqual(self.browser.text(".tile.differ .big"), "0")
        self.assertEqual(self.browser.run(ink, ".tile.differ .big"), self.browser.run(ink, ".tile.match .big"))
        self.show(report)
        self.assertNotEqual(self.browser.run(ink, ".tile.differ .big"), self.browser.run(ink, ".tile.match .big"))

    def test_samples_are_told_apart_by_the_end_of_their_ids(self):
        """Ids of one worker begin alike."""
        report = fixture()
        first = report["routes"][0]["samples"][0]
        ids = [f"13596fc4-44bf-434a-8493-d63f1390502{i}" for i in range(2)]
        report["routes"][0]["samples"] = [{**first, "request_id": one} for one in ids]
        self.show(report, {**ENDPOINT, "f": first["for"]})
        self.awaited("[data-sample]")
        told = self.browser.run("return [...document.querySelectorAll('[data-sample-link]')].map((e) => e.innerText)")
        self.assertEqual([one[-8:] for one in told], ["13905020", "13905021"])

    def test_the_figures_are_there_with_their_reasons(self):
        self.show(fixture())
        self.reads("9,227")
        page = self.browser.text()
        for words in ("2,777", "1,000", "shadow timeout", "body too large", "method", "310",
                      "Not mirrored or not answered, since shunt started", "84.0 % of 13,017 pairs",
                      "never matched anything", "expected a number, a name in quotes or *", "“(other)”"):
            self.assertIn(words, page)
        self.assertIn('- "$.token" #', self.browser.text("pre.snippet"))
        self.assertIn('{ path: "$.weight", relative: 2.0% }', self.browser.text("pre.snippet"))

    def test_every_reason_is_explained(self):
        """What the docs name, what the program counts and what the page explains are the same reasons."""
        compared_not, mirrored_not = reasons_of_the_program()
        docs = read("docs/metrics.md").split("## Reasons of copies")[1].split("\n## ")[0]
        self.assertEqual(set(re.findall(r"(?m)^\| `(\w+)` \|.*\| yes \|$", docs)) - {"compared"}, mirrored_not)
        for reason in compared_not:
            self.assertIn(f"`{reason}`", read("docs/shadow.md"))
        table = read("shadow/page/report.js").split("const REASONS = {")[1].split("};")[0]
        self.assertEqual(set(re.findall(r"(?m)^  (\w+):", table)), compared_not | mirrored_not)
        report = fixture()
        report["routes"][0]["not_comparable"] = {reason: 1 for reason in compared_not}
        report["routes"][0]["not_mirrored"] = {reason: 1 for reason in mirrored_not}
        self.show(report)
        told = self.browser.run("""return [...document.querySelectorAll('.reasons dt')].map((e) =>
            [e.innerText, e.nextElementSibling.nextElementSibling.innerText])""")
        self.assertEqual(len(told), len(compared_not) + len(mirrored_not))
        self.assertEqual([name for name, words in told if len(words) < 10], [])

    def test_nothing_is_asked_of_anybody(self):
        url = self.show(fixture())
        self.browser.open(url + address(PHONE_FIELD))
        self.awaited("[data-sample]")
        self.browser.click("#theme")
        self.nobody_was_asked(url)
        self.no_complaint()

    def test_the_policy_of_the_page_forbids_what_it_does_not_need(self):
        self.show(fixture())
        got = self.browser.run("""
            return new Promise((done) => {
              document.addEventListener('securitypolicyviolation', (event) => done(event.effectiveDirective));
              const image = new Image();
              image.src = 'http://127.0.0.1:9/x.png';
            });""")
        self.assertEqual(got, "img-src")

    def test_charts_show_a_line_for_each_run_and_read_out_points(self):
        self.show(fixture())
        self.awaited(".plot svg path.a")
        self.assertEqual(self.browser.count(".plot svg[tabindex='0']"), 2)
        self.browser.run("document.querySelector('.plot svg').focus()")
        self.browser.press("ArrowRight")
        self.reads("2 Mar 08:00:00 UTC, 1 minute: 1 of 250 differ (0.40 %)", ".readout")
        self.browser.press("ArrowRight")
        self.reads("2 Mar 08:01:00 UTC", ".readout")
        self.no_complaint()

    def test_where_buckets_are_missing_the_line_has_a_gap(self):
        report = fixture()
        del report["routes"][0]["buckets"][10:20]
        self.show(report)
        self.awaited(".plot svg path.a")
        drawn = "return document.querySelector('.plot svg').querySelectorAll(arguments[0]).length"
        self.assertEqual(self.browser.run(drawn, "path.a"), 2)
        self.assertEqual(self.browser.run(drawn, "rect.gap"), 1)

    # ---- getting around ----

    def test_searching_leaves_fewer_rows(self):
        self.show(fixture())
        before = self.browser.count("[data-row='endpoint']")
        self.assertEqual(before, 5)
        self.browser.press("/")
        self.browser.type("invoice")
        wait_until(lambda: self.browser.count("[data-row='endpoint']") == 1, "one endpoint", PATIENCE)
        self.reads("GET /orders/{id}/invoice", "#endpoint-list")
        self.assertEqual(self.browser.run("return document.activeElement.id"), "search")
        self.browser.press("Escape")
        wait_until(lambda: self.browser.count("[data-row='endpoint']") == before, "all endpoints again", PATIENCE)
        self.no_complaint()

    def test_a_request_id_leads_to_its_sample(self):
        self.show(fixture())
        self.browser.press("/")
        self.browser.type("77aa09bc")
        self.awaited("#sample-list [data-row='sample'] a")
        self.assertEqual(self.browser.count("#sample-list [data-row='sample']"), 1)
        self.browser.click("#sample-list [data-row='sample'] a")
        self.awaited("[data-sample='77aa09bc11d24e0f']")

    def test_filters_by_state_and_kind(self):
        self.show(fixture(), ENDPOINT)
        rows = "#field-list > .rows > [data-row='field']"
        self.assertEqual(self.browser.count(rows), 3)
        choose = """const s = document.querySelector(`[data-filter='${arguments[0]}']`);
            s.value = arguments[1];
            s.dispatchEvent(new Event('change'));"""
        self.browser.run(choose, "kind", "missing")
        wait_until(lambda: self.browser.count(rows) == 1, "one field is missing", PATIENCE)
        self.reads("$.customer.phone", "#field-list")
        self.browser.run(choose, "kind", "")
        self.browser.run(choose, "state", "noise")
        wait_until(lambda: "$.token" in self.browser.text("#field-list"), "noise is shown", PATIENCE)
        self.assertNotIn("$.total", self.browser.text("#field-list"))
        self.assertIn("state=noise", self.browser.run("return location.hash"))

    def test_many_routes_can_be_narrowed_to_a_direction(self):
        report = fixture()
        report["routes"] = [{**route, "route": f"{route['route']}-{i}"} for i in range(3) for route in report["routes"]]
        self.show(report)
        self.assertEqual(self.browser.count(".routes a"), 9)
        self.browser.run("""const s = document.querySelector("[data-filter='direction']");
            s.value = 'new';
            s.dispatchEvent(new Event('change'));""")
        wait_until(lambda: self.browser.count(".routes a") == 4, "three routes, and the one that is shown", PATIENCE)
        self.no_complaint()

    def test_hidden_fields_unfold_and_say_why(self):
        self.show(fixture(), ENDPOINT)
        self.assertNotIn("$.token", self.browser.text("#field-list"))
        self.browser.run("for (const s of document.querySelectorAll('#field-list summary')) s.click()")
        self.reads("differs in 11.79 % of pairs and in 31.68 % by itself", "#field-list")

    def test_from_an_endpoint_to_both_sides_of_a_sample(self):
        self.show(fixture())
        self.browser.click("#endpoint-list [data-endpoint='GET /orders/{id}']")
        self.awaited("#field-list [data-field='$.total']")
        self.browser.click("#field-list [data-field='$.total']")
        self.awaited("[data-sample='5f3a09bc11d24e0f']")
        for side in ("primary", "shadow"):
            marked = self.browser.text(f"[data-side='{side}'] .ln.real")
            self.assertIn('"total"', marked)
            self.assertIn("<number>", self.browser.text(f"[data-side='{side}'] .ln.real mark"))
            self.assertIn('"token"', self.browser.text(f"[data-side='{side}'] .ln.noise"))  # differs, and is noise
            self.assertNotIn('"sku"', self.browser.text(f"[data-side='{side}'] .ln.real"))
        self.assertIn("11.2 ms", self.browser.text("[data-side='primary']"))
        self.assertIn("14.9 ms", self.browser.text("[data-side='shadow']"))
        self.browser.back()
        self.reads("What differs together")
        self.browser.back()
        self.awaited("#verdict-word")
        self.no_complaint()

    def test_what_only_one_side_has_stands_opposite_nothing(self):
        self.show(fixture(), PHONE_FIELD)
        self.awaited("[data-sample]")
        self.assertIn('"phone"', self.browser.text("[data-side='primary'] .ln.real"))
        self.assertEqual(self.browser.count("[data-side='shadow'] .ln.real"), 0)
        self.assertEqual(self.browser.count("[data-side='shadow'] .ln.void"), 1)

    def test_a_status_is_marked_on_both_sides(self):
        self.show(fixture(), {**ENDPOINT, "f": "status"})
        self.awaited("[data-sample]")
        self.assertEqual(self.browser.text("[data-side='primary'] .answer mark"), "200")
        self.assertEqual(self.browser.text("[data-side='shadow'] .answer mark"), "500")

    def test_text_is_marked_within_its_lines(self):
        report = fixture()
        sample = copy.deepcopy(report["routes"][0]["samples"][0])
        same = [f"line {i}" for i in range(40)]
        for side, words in (("primary_answer", "the total is 12 euro"), ("shadow_answer", "the total is 13 euro")):
            sample[side].update(type="text", body="\n".join([*same, words, *same]))
        sample.update(request_id="text", differences=[difference("body", "body", "value")])
        sample["for"] = "body"
        report["routes"][0]["samples"].append(sample)
        self.show(report, {**ENDPOINT, "f": "body"})
        self.awaited("[data-sample='text']")
        self.assertEqual(self.browser.text("[data-side='primary'] .code mark"), "2")
        self.assertEqual(self.browser.text("[data-side='shadow'] .code mark"), "3")
        self.reads("37 equal lines", "[data-side='shadow'] .code")
        self.browser.click("[data-side='shadow'] .code button")
        self.reads("line 5", "[data-side='primary'] .code")

    def show_bodies(self, primary, shadow, *differences, **changes):
        """The page at a sample with these JSON bodies, which differ in (path, kind)."""
        report = fixture()
        sample = report["routes"][0]["samples"][0]
        sample["primary_answer"]["body"], sample["shadow_answer"]["body"] = primary, shadow
        sample["differences"] = [difference("$.total", path, kind) for path, kind in differences]
        for answer in ("primary_answer", "shadow_answer"):
            sample[answer].update(changes)
        self.show(report, {**ENDPOINT, "f": "$.total"})
        self.awaited("[data-sample]")

    def marked(self, side):
        return self.browser.run("""const lines =
              document.querySelectorAll(`[data-side='${arguments[0]}'] .ln.real .raw`);
            return [...lines].map((e) => e.textContent.trim());""", side)

    def test_numbers_keep_their_digits_and_odd_names_are_found(self):
        self.show_bodies('{"a b":{"it\'s":[1,9007199254740993,1.10]}}', '{"a b":{"it\'s":[1,9007199254740992,1.10]}}',
                         ("$['a b']['it\\'s'][1]", "value"))
        self.assertEqual(self.marked("primary"), ["9007199254740993,"])
        self.assertEqual(self.marked("shadow"), ["9007199254740992,"])
        self.assertIn("1.10", self.browser.text("[data-side='primary'] .code"))

    def test_what_is_missing_is_marked_with_all_that_is_in_it(self):
        self.show_bodies('{"id":1,"owner":{"name":"x","tags":[1]}}', '{"id":1}', ("$.owner", "missing"))
        self.assertEqual(self.marked("primary"), ['"owner": {', '"name": "x",', '"tags": [', "1", "]", "}"])
        self.assertEqual(self.marked("shadow"), [])
        self.assertEqual(self.browser.count("[data-side='shadow'] .ln.void"), 6)

    def test_lines_of_json_are_marked_in_their_line(self):
        self.show_bodies('{"a":1}\n{"a":2}\n', '{"a":1}\n{"a":3}\n', ("$[1].a", "value"))
        self.assertEqual((self.marked("primary"), self.marked("shadow")), (['"a": 2'], ['"a": 3']))

    def test_a_body_that_was_cut_is_shown_as_far_as_it_goes(self):
        self.show_bodies('{"a":[1,{"b":"x', '{"a":[1,{"b":"y', ("$.a[1].b", "value"), cut=True)
        self.assertEqual((self.marked("primary"), self.marked("shadow")), (['"b": "x'], ['"b": "y']))
        self.assertIn("Cut: the body goes on.", self.browser.text("[data-side='shadow']"))

    def test_no_depth_is_too_deep(self):
        self.show_bodies("[" * 16000, "[" * 15999 + "1", ("$.x", "value"))
        self.assertIn("[", self.browser.text("[data-side='primary'] .code"))
        self.no_complaint()

    def test_a_link_restores_the_place(self):
        report = fixture()
        self.show(report, {**PHONE_FIELD, "s": "77aa09bc11d24e0f"})
        self.awaited("[data-sample='77aa09bc11d24e0f']")
        self.assertEqual(self.browser.text("main h1"), "$.customer.phone")
        self.show(report, {"r": "orders-read", "p": "new"})
        self.reads("Undecided", "#verdict-word")
        self.show(report, {"r": "orders-read", "p": "legacy", "e": "GET /gone"})
        self.reads("Not in this report")
        self.no_complaint()

    def test_the_curl_lines_say_what_to_send(self):
        self.show(fixture(), PHONE_FIELD)
        self.awaited("[data-sample]")
        self.browser.run("for (const s of document.querySelectorAll('#sample summary')) s.click()")
        self.reads("'/orders/77'", "#sample pre.snippet")
        self.reads("-H 'accept: application/json'", "#sample pre.snippet")

    def test_the_keyboard_alone_reaches_a_sample(self):
        self.show(fixture())
        self.tab_to("document.activeElement.dataset.endpoint === 'GET /orders/{id}'")
        self.browser.press("Enter")
        self.awaited("#field-list [data-field='$.customer.phone']")
        self.tab_to("document.activeElement.dataset.field === '$.customer.phone'")
        outline = self.browser.run("return getComputedStyle(document.activeElement).outlineStyle")
        self.assertEqual(outline, "solid")  # the focus is seen
        self.browser.press("Enter")
        self.awaited("[data-sample='77aa09bc11d24e0f']")
        self.tab_to("document.activeElement.getAttribute('aria-label') === 'Body of legacy'")
        self.browser.press("Escape")
        self.reads("What differs together")
        self.no_complaint()

    def tab_to(self, condition, limit=120):
        for _ in range(limit):
            self.browser.press("Tab")
            if self.browser.run("return " + condition):
                return
        self.fail(f"{limit} times Tab never led to {condition}")

    def test_the_first_stop_skips_to_the_report(self):
        self.show(fixture())
        self.browser.press("Tab")
        self.assertEqual(self.browser.run("return document.activeElement.className"), "skip")
        self.browser.press("Enter")
        self.assertEqual(self.browser.run("return document.activeElement.id"), "main")

    # ---- how it looks ----

    def test_light_and_dark_follow_the_reader_and_the_switch(self):
        ground = "return getComputedStyle(document.body).backgroundColor"
        self.browser.scheme("dark")
        self.show(fixture())
        dark = self.browser.run(ground)
        self.browser.scheme("light")
        wait_until(lambda: self.browser.run(ground) != dark, "light when the reader prefers it", PATIENCE)
        self.browser.click("#theme")
        self.assertEqual(self.browser.run(ground), dark)
        self.browser.run("localStorage.clear()")

    def test_text_stands_out_from_its_ground(self):
        for scheme in ("light", "dark"):
            self.browser.scheme(scheme)
            for place in (None, ENDPOINT, PHONE_FIELD):
                self.show(fixture(), place)
                self.assertEqual(self.browser.run(CONTRAST), [], f"{scheme} {place}")

    def test_a_phone_scrolls_only_downwards(self):
        self.browser.size(*PHONE)
        searching = {"r": "orders-read", "p": "legacy", "q": "orders"}
        for place in (None, ENDPOINT, PHONE_FIELD, {**ENDPOINT, "f": "status"}, searching):
            self.show(fixture(), place)
            width, room = self.browser.run("""for (const s of document.querySelectorAll('summary')) s.click();
                return [document.scrollingElement.scrollWidth, innerWidth]""")
            self.assertLessEqual(width, room, place)
        self.assertEqual(room, PHONE[0])

    # ---- what is hostile, empty or large ----

    def test_hostile_text_is_shown_and_never_run(self):
        evil = "</script><script>window.ran=1</script><img src=x onerror=window.ran=1>\"'&\u2028\u2029\u202eabc"
        seen = evil.replace("\u2028", "⟨U+2028⟩").replace("\u2029", "⟨U+2029⟩").replace("\u202e", "⟨U+202E⟩")
        self.show(poisoned(fixture(), evil))
        self.reads(seen, ".sentence")
        route = {"r": evil, "p": evil}
        for place in (route, {**route, "e": evil}, {**route, "e": evil, "f": evil}, {"q": "img"}):
            self.show(poisoned(fixture(), evil), place)
            self.browser.run("for (const s of document.querySelectorAll('summary')) s.click()")
            self.reads(seen)
            self.assertIsNone(self.browser.run("return window.ran ?? null"))
            self.assertEqual(self.browser.count("main script, main img"), 0)
        self.no_complaint()

    def test_an_empty_report_says_so(self):
        for report in ({}, {"schema": 2, "routes": []}, [], {"routes": None}):
            self.show(report)
            self.reads("Nothing has been compared yet")
        self.no_complaint()

    def test_missing_and_misshapen_members_do_no_harm(self):
        place = {"r": "a", "p": "legacy", "e": "GET /", "f": "x"}
        misshapen = {"route": 5, "endpoints": {"a": 1}, "buckets": [None, {"at_ms": "x"}], "samples": "no"}
        for report in (bare_report(), {"routes": [{}, misshapen]}):
            for where in (None, place, {**place, "f": ""}, {"q": "x"}):
                self.show(report, where)
        self.no_complaint()

    def test_each_member_may_be_missing(self):
        """Each page is of a report in which every object has lost its first, fourth, ... member."""
        for lost in range(0, 24, 3):
            report = fixture()
            report["routes"][0] = without(report["routes"][0], lost)
            for where in (None, ENDPOINT, PHONE_FIELD):
                self.show(report, where)
        self.no_complaint()

    def test_a_large_report_is_drawn_a_piece_at_a_time(self):
        self.show(large_report())
        self.assertEqual(self.browser.count("[data-row='endpoint']"), 30)
        self.assertLess(self.browser.count("*"), 5000)
        self.browser.press("/")
        self.browser.type("member_199")
        wait_until(lambda: "100 fields" in self.browser.text("#fields-heading"), "a hundred fields are found", PATIENCE)
        self.assertLess(self.browser.count("*"), 5000)
        self.no_complaint()

    def test_without_scripts_the_sentences_are_there(self):
        evil = "<b>\"it's\" & more</b>"
        report = fixture()
        report["routes"][0]["verdict"]["sentence"] = evil
        self.browser.cdp("Emulation.setScriptExecutionDisabled", value=True)
        self.addCleanup(self.browser.cdp, "Emulation.setScriptExecutionDisabled", value=False)
        self.browser.open(self.make(report))
        words = self.browser.cdp("DOM.getDocument")["root"]["nodeId"]
        plain = self.browser.cdp("DOM.querySelector", nodeId=words, selector=".plain")["nodeId"]
        self.assertTrue(plain)
        html = self.browser.cdp("DOM.getOuterHTML", nodeId=plain)["outerHTML"]
        self.assertIn("&lt;b&gt;\"it's\" &amp; more&lt;/b&gt;", html)
        self.assertIn(report["routes"][2]["verdict"]["sentence"], html)


# Pairs of text and ground with a contrast below 4.5 to 1 (3 to 1 for large text), by WCAG 2.1.
CONTRAST = """
const channel = (c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
const colour = (text) => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => 0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
function ground(node) {
  for (let e = node; e !== null; e = e.parentElement) {
    const found = colour(getComputedStyle(e).backgroundColor);
    if (found.length === 3 || found[3] > 0.99) return found;
  }
  return [255, 255, 255];
}
const bad = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const e = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || e.getClientRects().length === 0) continue;
  if (e.closest('script, style, noscript, svg, .unseen, .skip, option')) continue;
  const style = getComputedStyle(e);
  const [a, b] = [light(colour(style.color)), light(ground(e))].sort((x, y) => y - x);
  const size = parseFloat(style.fontSize);
  const least = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
  const contrast = (a + 0.05) / (b + 0.05);
  if (contrast < least)
    bad.push(`${walker.currentNode.data.trim().slice(0, 40)}: ${style.color}, ${contrast.toFixed(2)}`);
}
return [...new Set(bad)];
"""


def poisoned(value, evil, key=None):
    """The same report, every text of it replaced; but for words that say how to read it."""
    if isinstance(value, dict):
        return {k: poisoned(v, evil, k) for k, v in value.items()}
    if isinstance(value, list):
        return [poisoned(v, evil, key) for v in value]
    return evil if isinstance(value, str) and key not in ("state", "result", "type", "kind", "values") else value


def without(value, lost):
    """Every object below loses its member of that number; names by which a test finds its way stay."""
    if isinstance(value, dict):
        keep = [k for i, k in enumerate(value) if i != lost or k in ("route", "primary", "endpoint", "field")]
        return {k: without(value[k], lost) for k in keep}
    return [without(v, lost) for v in value] if isinstance(value, list) else value


def difference(field, path, kind):
    return {"field": field, "path": path, "kind": kind, "places": 1, "ignored": False}


def bare_report():
    """Every list has an element, and no element has more than its name."""
    route = {"route": "a", "primary": "legacy", "buckets": [{}], "rules": [{}], "rules_refused": [None],
             "suggestions": [{}], "limits": {},
             "endpoints": [{"endpoint": "GET /", "fields": [{"field": "x"}, {}], "groups": [{}]}, {}],
             "samples": [{"endpoint": "GET /", "for": "x"}, {}]}
    return {"routes": [route]}


def large_report():
    report = fixture()
    route = report["routes"][0]
    report["routes"] = [route]
    field = route["endpoints"][0]["fields"][0]
    fields = [{**field, "field": f"$.member_{i}"} for i in range(200)]
    endpoint = {**route["endpoints"][0], "fields": fields}
    route["endpoints"] = [{**endpoint, "endpoint": f"GET /things/{i}/{{id}}"} for i in range(100)]
    sample = route["samples"][0]
    route["samples"] = [{**sample, "request_id": f"id-{i}", "endpoint": f"GET /things/{i % 100}/{{id}}"}
                        for i in range(1000)]
    return report


class Real(Reader, Case):
    """The page of real traffic: two real backends, a fifth of whose totals differ, and noise."""

    def setUp(self):
        super().setUp()
        self.begin()

    def page(self):
        legacy, new = self.fast(seed=5), self.fast("new", seed=6, wrong=0.2)
        route = ("  - name: orders\n    match: { path: /order/** }\n    percent: 0\n    gates: { mismatch_rate: 1% }\n"
                 "    shadow: { percent: 100, timeout: 10s, max_in_flight: 4096, compare: { noise: { percent: 50% } } }\n")
        shunt = self.shunt(config(legacy, new, route, top="access_log: off"))
        result = self.load(shunt.address, requests=400, connections=4, path="/order/4711").wait()
        self.assertEqual(result["failed"], 0, result)
        wait_until(lambda: settled(shunt) and shunt.metric("shunt_report_samples_total") > 0, "pairs and samples")
        path = os.path.join(self.directory, "report.html")
        shunt.ctl("report", "--html", "--output", path)
        return "file://" + path

    def test_from_the_verdict_to_a_sample(self):
        url = self.page()
        self.browser.open(url)
        self.reads("Fail", "#verdict-word")
        self.reads("1 field differs for real", ".verdict")
        self.reads("$.total", ".verdict .aside")
        self.browser.click("#endpoint-list [data-endpoint='GET /order/{number}']")
        self.awaited("#field-list [data-field='$.total']")
        self.assertNotIn("$.trace", self.browser.text("#field-list"))
        self.browser.run("""const s = document.querySelector("[data-filter='state']");
            s.value = 'noise';
            s.dispatchEvent(new Event('change'));""")
        self.reads("$.trace", "#field-list")
        self.reads("by itself", "#field-list")
        self.assertNotIn("$.total", self.browser.text("#field-list"))
        self.browser.back()
        self.awaited("#field-list [data-field='$.total']")
        self.browser.click("#field-list [data-field='$.total']")
        self.awaited("[data-sample]")
        for side in ("primary", "shadow"):
            self.assertIn('"total"', self.browser.text(f"[data-side='{side}'] .ln.real"))
            self.assertIn('"served_by"', self.browser.text(f"[data-side='{side}'] .ln.noise"))
        self.nobody_was_asked(url)
        self.no_complaint()


def settled(shunt):
    """Every copy has ended, and every pair is judged."""
    return (shunt.metric("shunt_shadow_copies_in_flight") == 0 and
            shunt.metric("shunt_comparisons_total") >= shunt.metric("shunt_shadow_total", reason="compared") > 0)


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        return f.read()


def reasons_of_the_program():
    """Of pairs that were not compared, and of requests without a compared pair."""
    obstacles = set(re.findall(r'\[OBSTACLE_\w+\] = "(\w+)"', read("shadow/compare.c"))) - {"none"}
    mirror = set(re.findall(r'\[MIRROR_\w+\] = \{"(\w+)", true\}', read("router/counters.c"))) - {"compared"}
    assert len(obstacles) > 10 and len(mirror) > 15, (obstacles, mirror)
    return obstacles, mirror


# docs/report-NAME.png: size, scheme, place; made anew by `test_page.py --pictures docs`.
ORDER = {"r": "orders-read", "p": "legacy", "e": "GET /orders/{number}"}
PICTURES = {
    "desktop": ((1280, 1330), "light", None),
    "dark": ((1280, 1200), "dark", {**ORDER, "f": "$.total"}),
    "phone": ((390, 1180), "light", None),
}


def shop_report(requests=36000, rate=60):
    """Some minutes of the shop's traffic, so that the charts have something to show."""
    peers = [shop.Shop(is_new) for is_new in (False, True)]
    with tempfile.TemporaryDirectory() as folder:
        shunt = Shunt(config(*peers, shop.ROUTES, top="access_log: off"), directory=folder)
        try:
            shop.visit(shunt.address, requests, rate)
            wait_until(lambda: settled(shunt), "all pairs to be judged")
            time.sleep(2)  # the last samples are stored once a second
            return json.loads(shunt.ctl("report", "--json", "--samples", "10"))
        finally:
            shunt.stop()
            for peer in peers:
                peer.stop()


def take_pictures(folder, kept=None):
    if kept is None:
        report = shop_report()
        with open(os.path.join(tempfile.gettempdir(), "shunt-report.json"), "w", encoding="utf-8") as f:
            json.dump(report, f)
            print(f"the report is kept in {f.name}")
    else:
        with open(kept, encoding="utf-8") as f:
            report = json.load(f)
    maker = Page()
    Page.setUpClass()
    try:
        for name, (size, scheme, place) in PICTURES.items():
            maker.setUp()
            maker.browser.size(*size)
            maker.browser.cdp("Emulation.setScrollbarsHidden", hidden=True)
            maker.browser.scheme(scheme)
            maker.show(report, place)
            maker.awaited("main .plot path.a" if place is None else "[data-sample]")
            maker.browser.screenshot(os.path.join(folder, f"report-{name}.png"))
    finally:
        Page.doClassCleanups()


if __name__ == "__main__":
    assert os.path.exists(os.path.join(PEERS, "page")), f"no peers/page in {BUILD}"
    if sys.argv[1:2] == ["--pictures"]:
        take_pictures(*sys.argv[2:4])
    else:
        unittest.main(verbosity=2)
