"""Plans in the real program: they move on evidence, wait for what they were told to wait for, and fall by rule.

Every route here has its own host and its own pair of backends, so that one shunt plays several plans at once. Holds are
short, and what is awaited is always a condition.
"""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

from harness import BUILD, Case, Client, http_reply, main, wait_until

# Decided within a second or two at a few hundred requests per second, and still sure enough for a test.
GATES = "min_requests: 40, error_rate_increase: 15%, p95_increase: off, mismatch_rate: off, confidence: 99.9%"
# Trips on nothing but what the test does.
BREAKER = ("window: 5s, min_requests: 20, error_rate: 20%, error_rate_increase: off, p95_ratio: off, consecutive_errors: 10, "
           "cooldown: 1h")
TWO = "stages: [ { name: a, percent: 20, hold: 100ms }, { name: b, percent: 40, hold: 100ms } ]"
HANDS = "stages: [ { name: a, percent: 20, hold: 1h }, { name: b, percent: 40, hold: 1h }, { name: c, percent: 100 } ]"
WORST = ("rollback", "step_back", "freeze", "gate_failed", "breaker_open")

ROUTE = """\
  - name: {name}
    match: {{ host: {name}.test }}
    legacy: {name}-legacy
    new: {name}-new
    sticky: [ {{ header: X-User-Id }} ]
"""


class PlanCase(Case):
    def begin(self, top="", traffic=True, **routes):
        """`routes`: the further keys of each, one line each. Without traffic nobody has to listen."""
        self.state = os.path.join(self.directory, "state")
        self.routes = routes
        nobody = SimpleNamespace(url="http://127.0.0.1:9")
        self.legacy = {name: self.fast("legacy") if traffic else nobody for name in routes}
        self.new = {name: self.fast("new") if traffic else nobody for name in routes}
        self.it = self.shunt(self.file(top))
        return self.it

    def file(self, top=""):
        lines = ["listeners:", "  - address: 127.0.0.1:0", "admin:", "  address: 127.0.0.1:0", "workers: 2",
                 "access_log: off", "state:", f"  directory: {self.state}"]
        lines += [top] if top else []
        lines.append("backends:")
        for name in self.routes:
            lines.append(f'  {name}-legacy: {{ url: "{self.legacy[name].url}" }}')
            lines.append(f'  {name}-new: {{ url: "{self.new[name].url}" }}')
        # Whoever matches no route is asked for, too.
        lines.append(f'  legacy: {{ url: "{next(iter(self.legacy.values())).url}" }}')
        lines.append("routes:")
        for name, keys in self.routes.items():
            lines.append(ROUTE.format(name=name).rstrip("\n"))
            keys = list(keys)
            for key, value in (("gates", f"{{ {GATES} }}"), ("breaker", "off")):
                if not any(line.startswith(key + ":") for line in keys):
                    keys.append(f"{key}: {value}")
            lines += [f"    {line}" for line in keys]
        return "\n".join(lines) + "\n"

    def edit(self, top="", **routes):
        self.routes.update(routes)
        event = self.it.reload(self.file(top))
        self.assertEqual(event["event"], "reloaded", event)

    def flow(self, *names, rate=250, **options):
        """Traffic of 200 clients to each route until the test ends; returns the loads."""
        options = {"connections": 4, "users": 200, "rate": rate, **options}
        return [self.load(self.it.address, host=f"{name}.test", **options) for name in names]

    def route(self, name):
        return self.it.route(name)

    def where(self, name):
        route = self.it.route(name)
        return route["phase"], route.get("stage"), route["percent"]

    def wait_where(self, name, *wanted, timeout=60):
        wait_until(lambda: self.where(name)[: len(wanted)] == wanted,
                   lambda: f"{name}: {wanted}; it is {self.where(name)}: {self.route(name)}", timeout, 0.02)

    def history(self, name, *whats):
        return [e for e in self.it.api("GET", "/api/v1/audit?limit=1000")["audit"]
                if e["route"] == name and (not whats or e["what"] in whats)]

    def wait_event(self, name, *whats, count=1):
        return wait_until(lambda: self.history(name, *whats)[count - 1 : count],
                          lambda: f"{name}: {whats} number {count}; there are {self.history(name)}", 60, 0.02)[0]

    def gate(self, name, gate):
        return next(g for g in self.route(name)["gates"]["gates"] if g["gate"] == gate)

    def wait_gate(self, name, gate, verdict, words=""):
        wait_until(lambda: self.gate(name, gate)["verdict"] == verdict and words in self.gate(name, gate)["sentence"],
                   lambda: f"{name}: gate {gate} {verdict} ({words}); it is {self.gate(name, gate)}", 60, 0.05)

    def refused(self, name, verb, body=None):
        return self.it.verb(name, verb, body, status=409)

    def served(self, name, more):
        """Waits until the route's backends have had so many requests more."""
        before = self.legacy[name].requests + self.new[name].requests
        wait_until(lambda: self.legacy[name].requests + self.new[name].requests >= before + more,
                   f"{more} requests more of {name}", 60)

    def shares_until(self, name, wanted):
        """Every share that is seen on the way to `wanted`, that too."""
        seen = [self.route(name)["share"]]

        def look():
            share = self.route(name)["share"]
            if share != seen[-1]:
                seen.append(share)
            return share == wanted

        wait_until(look, lambda: f"{name}: share {wanted}; seen {seen}", 60, 0.01)
        return seen

    def breaker_is(self, name, state):
        wait_until(lambda: self.route(name)["breaker"]["state"] == state,
                   lambda: f"{name}: breaker {state}; it is {self.route(name)['breaker']}", 60, 0.02)


class Advances(PlanCase):
    def test_stages_are_walked_by_evidence_each_with_gates_of_its_own(self):
        """`own` lets everything through in its first stage, and its second has the route's gates; `hand` has a stage
        that a person leaves."""
        self.begin(walks=["stages: [ { percent: 20, hold: 100ms }, { percent: 50, hold: 100ms }, { percent: 100, hold: 100ms } ]",
                          "promotion: auto"],
                   own=["stages: [ { name: a, percent: 20, hold: 100ms, gates: { error_rate_increase: off } }, "
                        "{ name: b, percent: 40, hold: 1h } ]", "promotion: auto"],
                   hand=["stages: [ { name: a, percent: 20, hold: 100ms, promotion: manual }, { name: b, percent: 40, hold: 1h } ]",
                         "promotion: auto"])
        self.new["own"].tell("status 500")
        self.flow("walks", "own", "hand")
        self.wait_where("own", "rolled_back")
        moves = self.history("own", "promote", "rollback")
        self.assertEqual([(m["what"], m["who"], m["to"]["stage"]) for m in moves],
                         [("promote", "plan", "b"), ("rollback", "plan", "b")])
        self.assertIn("error_rate_increase", moves[1]["why"])
        self.assertEqual(moves[1]["evidence"]["decisive"], "error_rate_increase")
        self.wait_event("hand", "waiting_for_promote")
        self.assertEqual(self.where("hand"), ("running", "a", 20))
        self.it.verb("hand", "promote", {"who": "anna"})
        self.assertEqual(self.where("hand"), ("running", "b", 40))
        self.wait_where("walks", "done", "100%", 100)
        moves = self.history("walks", "promote", "done")
        self.assertEqual([m["to"]["percent"] for m in moves], [50, 100, 100])
        for move in moves:
            self.assertEqual((move["who"], move["evidence"]["verdict"]), ("plan", "pass"), move)
            self.assertGreaterEqual(move["evidence"]["new"]["judged"], 40)
        self.assertIsNone(self.route("walks")["why_not"])

    def test_nothing_happens_before_a_person_starts_a_plan_that_waits(self):
        self.begin(late=["stages: [ { name: a, percent: 20, shadow: 100, hold: 1h }, { name: b, percent: 40, hold: 1h } ]",
                         "promotion: auto", "start: manual", "shadow: { methods: [GET] }"])
        self.assertEqual(self.where("late"), ("waiting", "a", 0))
        for verb, body in (("promote", {"force": True}), ("pause", {}), ("freeze", {}), ("resume", {}), ("restart", {}),
                           ("set-percent", {"percent": 5})):
            self.refused("late", verb, body)
        self.flow("late")
        self.served("late", 300)
        self.assertEqual(self.new["late"].requests, 0, "neither a request nor a copy")
        self.assertIn("start", self.route("late")["why_not"])
        self.it.restart()
        self.assertEqual(self.where("late"), ("waiting", "a", 0))
        self.it.verb("late", "start", {"who": "anna", "reason": "go"})
        self.assertEqual(self.where("late"), ("running", "a", 20))
        self.flow("late")
        wait_until(lambda: self.new["late"].counts()["shadows"] > 20, "copies on new")
        self.refused("late", "start")
        line = self.history("late", "start")[0]
        self.assertEqual((line["who"], line["why"], line["from"]["phase"], line["to"]["phase"]),
                         ("operator:anna", "go", "waiting", "running"))

    def test_a_frozen_plan_is_moved_by_nothing_but_a_person(self):
        self.begin(ice=["stages: [ { name: a, percent: 20, hold: 100ms, deadline: 500ms, on_deadline: rollback }, "
                        "{ name: b, percent: 40, hold: 1h } ]", "promotion: auto"])
        self.it.verb("ice", "freeze", {"who": "anna", "reason": "hands off"})
        self.refused("ice", "freeze")
        self.refused("ice", "promote", {"force": True})
        self.new["ice"].tell("status 500")
        self.flow("ice")
        self.served("ice", 600)
        self.wait_event("ice", "deadline")
        self.assertEqual(self.where("ice"), ("frozen", "a", 20))
        self.assertIn("anna", self.route("ice")["why_not"])
        self.it.restart()
        self.assertEqual(self.where("ice"), ("frozen", "a", 20), "also over a restart")
        self.new["ice"].tell("ok")
        self.it.verb("ice", "resume", {"who": "anna"})
        self.assertEqual(self.where("ice"), ("running", "a", 20))
        self.assertEqual(self.route("ice")["evidence"]["new"]["errors"], 0, "the stage begins anew")

    def test_a_deadline_pauses_rolls_back_or_tells(self):
        stages = ("stages: [ {{ name: a, percent: 20, hold: 100ms, deadline: 700ms, on_deadline: {0} }}, "
                  "{{ name: b, percent: 40, hold: 1h }} ]")
        self.begin(**{name: [stages.format(what), "promotion: auto"] + more for name, what, more in
                      (("stops", "pause", []), ("falls", "rollback", []), ("tells", "tell", []),
                       ("falls_too", "rollback", ["on_failure: { to: freeze }"]))})
        self.wait_where("stops", "paused", "a", 20)
        self.wait_where("falls", "rolled_back", "a", 0)
        self.wait_where("falls_too", "rolled_back", "a", 0)
        self.wait_event("tells", "deadline")
        self.assertEqual(self.where("tells"), ("running", "a", 20))
        for name, what in (("stops", "pause"), ("falls", "rollback"), ("tells", "deadline")):
            events = self.history(name, what)
            self.assertEqual([e["who"] for e in events], ["plan"], "once")
            self.assertIn("deadline", events[0]["why"])
        self.it.verb("stops", "resume")
        self.assertEqual(self.where("stops"), ("running", "a", 20))
        self.flow("stops")
        self.wait_where("stops", "running", "b")


class Falls(PlanCase):
    def test_a_failed_gate_does_what_the_file_says(self):
        """`back` may take its first stage whatever new does, so that only its second fails."""
        self.begin(zero=[TWO, "promotion: auto", "on_failure: { to: zero }"],
                   back=["stages: [ { name: a, percent: 20, hold: 100ms, gates: { error_rate_increase: off } }, "
                         "{ name: b, percent: 40, hold: 100ms } ]", "promotion: auto", "on_failure: { to: previous, retries: 50 }"],
                   ice=[TWO, "promotion: auto", "on_failure: { to: freeze }"],
                   word=[TWO, "promotion: auto", "on_failure: { to: tell }"])
        for name in self.routes:
            self.new[name].tell("status 500")
        self.flow(*self.routes, rate=200)
        step = self.wait_event("back", "step_back")
        self.assertEqual(((step["from"]["stage"], step["from"]["percent"]), (step["to"]["stage"], step["to"]["percent"])),
                         (("b", 40), ("a", 20)))
        self.assertEqual((step["who"], step["to"]["phase"]), ("plan", "running"))
        self.new["back"].tell("ok")
        self.wait_where("back", "done", "b", 40)
        self.assertEqual(self.route("back")["steps_back"], 0, "what it failed at is forgotten")
        self.wait_where("zero", "rolled_back", "a", 0)
        self.wait_where("ice", "frozen", "a", 20)
        self.wait_event("word", "gate_failed")
        self.assertEqual(self.where("word"), ("running", "a", 20))
        self.assertEqual(len(self.history("word", "gate_failed")), 1)
        for name, what in (("zero", "rollback"), ("ice", "freeze")):
            event = self.history(name, what)[-1]
            self.assertEqual((event["who"], event["evidence"]["verdict"]), ("plan", "fail"), event)

    def test_steps_back_in_a_row_end_in_a_rollback(self):
        self.begin(back=["stages: [ { name: a, percent: 20, hold: 100ms, gates: { error_rate_increase: off } }, "
                         "{ name: b, percent: 40, hold: 100ms } ]", "promotion: auto", "on_failure: { to: previous, retries: 2 }"],
                   first=[TWO, "promotion: auto", "on_failure: { to: previous }"])
        for name in self.routes:
            self.new[name].tell("status 500")
        self.flow("back", "first")
        self.wait_where("first", "rolled_back", "a", 0)
        self.assertEqual(self.history("first", "step_back"), [], "before the first stage there is none")
        self.wait_where("back", "rolled_back")
        self.assertEqual([e["what"] for e in self.history("back", "promote", "step_back", "rollback")],
                         ["promote", "step_back", "promote", "step_back", "promote", "rollback"])

    def test_the_share_goes_down_by_steps_and_never_up(self):
        self.begin(zero=["stages: [ { name: a, percent: 50, hold: 1h }, { name: b, percent: 100 } ]", "promotion: auto",
                         "on_failure: { to: zero, ramp: 4s }"],
                   back=["stages: [ { name: a, percent: 20, hold: 100ms, confirm: true, gates: { error_rate_increase: off } }, "
                         "{ name: b, percent: 60, hold: 100ms } ]", "promotion: auto", "on_failure: { to: previous, ramp: 4s }"])
        self.it.verb("back", "promote", {"force": True})
        for name in self.routes:
            self.new[name].tell("status 500")
        self.flow("zero", "back")
        seen = {}
        watchers = [threading.Thread(target=lambda n=name, w=wanted: seen.update({n: self.shares_until(n, w)}), daemon=True)
                    for name, wanted in (("zero", 0), ("back", 20))]
        for watcher in watchers:
            watcher.start()
        self.wait_event("zero", "rollback")
        self.assertEqual(self.where("zero"), ("rolled_back", "a", 0), "the plan is there at once")
        for watcher in watchers:
            watcher.join(60)
        for name, top, bottom in (("zero", 50, 0), ("back", 60, 20)):
            self.assertIn(name, seen)
            self.assertEqual(seen[name], sorted(seen[name], reverse=True), name)
            self.assertEqual((seen[name][0], seen[name][-1]), (top, bottom), seen)
            self.assertGreaterEqual(len(seen[name]), 4, "steps between")
        self.assertIsNone(self.route("zero")["ramp"])

    def test_a_rollback_by_a_person_ends_the_way_down(self):
        self.begin(zero=["stages: [ { name: a, percent: 50, hold: 1h }, { name: b, percent: 100 } ]", "promotion: auto",
                         "on_failure: { to: zero, ramp: 1h }"])
        self.new["zero"].tell("status 500")
        self.flow("zero")
        self.wait_where("zero", "rolled_back")
        route = self.route("zero")
        self.assertGreater(route["share"], 0)
        self.assertGreater(route["ramp"]["left_ms"], 0)
        self.it.restart()
        self.assertLessEqual(self.route("zero")["share"], route["share"], "the way down goes on after a restart")
        self.assertGreater(self.route("zero")["share"], 0)
        self.it.verb("zero", "rollback", {"who": "anna"})
        self.assertEqual((self.route("zero")["share"], self.route("zero")["ramp"]), (0, None))

    def test_fallback_counts_against_new_though_no_client_sees_an_error(self):
        self.begin(soft=[TWO, "promotion: auto", "fallback: { on: [5xx], methods: [GET] }"])
        self.new["soft"].tell("status 503")
        load, = self.flow("soft")
        self.wait_where("soft", "rolled_back", "a", 0)
        result = load.finish()
        self.assertEqual(result["failed"], 0, result)
        evidence = self.history("soft", "rollback")[0]["evidence"]
        self.assertEqual(evidence["new"]["errors"], evidence["new"]["judged"])
        self.assertEqual(evidence["legacy"]["errors"], 0)

    def test_availability_is_being_answered_whatever_the_status(self):
        self.begin(there=["stages: [ { name: a, percent: 20, hold: 100ms, confirm: true }, { name: b, percent: 40, hold: 1h } ]",
                          "promotion: auto",
                          "gates: { min_requests: 40, error_rate_increase: off, availability: 85%, p95_increase: off, mismatch_rate: off, "
                          "confidence: 99.9% }"])
        self.new["there"].tell("status 500")
        self.flow("there")
        self.wait_gate("there", "availability", "pass")
        self.assertGreater(self.route("there")["evidence"]["new"]["errors"], 0)
        self.it.verb("there", "promote")
        self.new["there"].tell("close")
        self.wait_where("there", "rolled_back", "b", 0)
        self.assertIn("availability", self.history("there", "rollback")[0]["why"])


class Depends(PlanCase):
    def begin_three(self):
        """bundler waits for all of planner, executor for its second stage, and last for bundler."""
        self.begin(planner=[HANDS, "promotion: manual"],
                   bundler=["depends_on: [ planner ]", TWO, "promotion: auto"],
                   executor=["depends_on: [ { route: planner, stage: b } ]", TWO, "promotion: auto",
                             "on_failure: { to: previous }"],
                   last=["depends_on: [ bundler ]", TWO, "promotion: auto"])

    def test_a_plan_waits_for_another_and_falls_with_it(self):
        self.begin_three()
        self.flow("bundler", "executor", "last", rate=200)
        for name in ("bundler", "executor"):
            self.wait_gate(name, "error_rate_increase", "pass")
            self.assertEqual(self.where(name), ("running", "a", 20), "all but the dependency allow it")
            self.assertEqual(self.gate(name, "dependency")["verdict"], "undecided")
            self.assertIn("planner", self.route(name)["why_not"])
        self.assertEqual(self.route("bundler")["depends_on"], [{"route": "planner", "stage": None, "met": False}])
        self.it.verb("planner", "promote", {"force": True})
        self.wait_event("executor", "dependency_met")
        self.wait_where("executor", "done", "b", 40)
        self.assertEqual(self.where("bundler"), ("running", "a", 20))
        for _ in range(2):
            self.it.verb("planner", "promote", {"force": True})
        self.wait_where("bundler", "done", "b", 40)
        self.wait_where("last", "done", "b", 40)
        self.it.verb("planner", "rollback", {"who": "anna", "reason": "trouble"})
        self.wait_where("bundler", "rolled_back", "b", 0)
        self.wait_where("last", "rolled_back", "b", 0)
        self.wait_where("executor", "running", "a", 20)
        for name, what, on in (("bundler", "rollback", "planner"), ("last", "rollback", "bundler"),
                               ("executor", "step_back", "planner")):
            event = self.history(name, what)[-1]
            self.assertEqual(event["who"], "plan")
            self.assertIn(on, event["why"])
        sequence = {name: self.history(name)[-1]["sequence"] for name in ("planner", "bundler", "last")}
        self.assertLess(sequence["planner"], sequence["bundler"])
        self.assertLess(sequence["bundler"], sequence["last"])

    def test_an_open_breaker_takes_the_traffic_of_all_that_depend_on_it(self):
        self.begin(planner=[HANDS, "promotion: manual", f"breaker: {{ {BREAKER}, ramp: 0s }}"],
                   bundler=["depends_on: [ { route: planner, stage: a } ]", HANDS, "promotion: manual"],
                   last=["depends_on: [ { route: bundler, stage: a } ]", HANDS, "promotion: manual"])
        for name in ("bundler", "last"):
            self.assertEqual(self.route(name)["share"], 20)
        self.new["planner"].tell("status 500")
        load, = self.flow("planner")
        self.breaker_is("planner", "open")
        load.finish()
        for name in ("bundler", "last"):
            wait_until(lambda: self.route(name)["share"] == 0, f"{name} without live traffic")
            self.assertEqual(self.where(name), ("running", "a", 20), "the plan stays")
            self.assertIn("planner", self.route(name)["why_not"])
            self.new[name].tell("zero")
        loads = self.flow("bundler", "last", requests=400, rate=None)
        for load in loads:
            load.wait()
        for name in ("bundler", "last"):
            self.assertEqual(self.new[name].requests, 0)
        self.it.verb("planner", "reset-breaker", {"who": "anna"})
        for name in ("bundler", "last"):
            wait_until(lambda: self.route(name)["share"] == 20, f"{name} with its share again")
        for load in self.flow("bundler", requests=400, rate=None):
            load.wait()
        self.assertGreater(self.new["bundler"].requests, 0)


def hours(now, begin, end):
    """A line of a schedule for every day, from `begin` hours after now until `end`, in UTC."""
    at = lambda h: (now + timedelta(hours=h)).strftime("%H:00")
    return f"Mon-Sun {at(begin)}-{at(end)}"


class Holds(PlanCase):
    def test_stages_are_left_only_at_the_times_the_file_names(self):
        now = datetime.now(timezone.utc)
        gates = "gates: {{ " + GATES + ", only: '{}' }}"
        self.begin(shut=[TWO, "promotion: auto", gates.format(hours(now, 6, 8))],
                   open=[TWO, "promotion: auto", gates.format(hours(now, -6, 6))])
        self.flow("shut", "open")
        self.wait_where("open", "done")
        self.wait_gate("shut", "error_rate_increase", "pass")
        self.wait_gate("shut", "window", "undecided", "only Mon-Sun")
        self.assertEqual(self.where("shut"), ("running", "a", 20))
        self.assertIn("window", self.route("shut")["why_not"])
        self.refused("shut", "promote")
        self.it.verb("shut", "promote", {"force": True})
        self.assertEqual(self.where("shut"), ("running", "b", 40))
        self.new["shut"].tell("status 500")
        self.wait_where("shut", "rolled_back")

    def test_a_freeze_holds_every_plan_and_lets_each_fall(self):
        now = datetime.now(timezone.utc)
        day = lambda d: (now + timedelta(days=d)).strftime("%Y-%m-%d")
        self.begin(f"freeze: '{day(-1)} - {day(1)}'", good=[TWO, "promotion: auto"], bad=[TWO, "promotion: auto"])
        self.new["bad"].tell("status 500")
        self.flow("good", "bad")
        self.wait_where("bad", "rolled_back")
        self.wait_gate("good", "error_rate_increase", "pass")
        self.wait_gate("good", "window", "undecided", "frozen")
        self.assertEqual(self.where("good"), ("running", "a", 20))
        self.edit(f"freeze: '{day(-3)} - {day(-2)}'")
        self.wait_where("good", "done")

    def test_a_webhook_holds_a_stage_and_lets_it_go(self):
        says = ["503 Not Yet"]
        hook = self.backend(lambda request_: http_reply("", says[0]), "hook")
        gates = "gates: {{ " + GATES + ", webhook: {{ url: '{}/go', interval: 1s, timeout: 1s }} }}"
        self.begin(asks=[TWO, "promotion: auto", gates.format(hook.url)])
        self.flow("asks")
        self.wait_gate("asks", "error_rate_increase", "pass")
        self.wait_gate("asks", "webhook", "undecided", "503")
        hook.wait_requests(2)
        self.assertEqual(self.where("asks"), ("running", "a", 20))
        says[0] = "200 OK"
        self.wait_where("asks", "done")
        says[0] = "500 Oops"
        self.assertNotIn("rolled_back", [e["to"]["phase"] for e in self.history("asks") if e["to"]])


class Stopped(PlanCase):
    def test_time_in_which_the_process_was_stopped_is_no_hold(self):
        """Whatever the machine's speed: the hold grows by no more than the time in which the process was not stopped. What
        ran just before the first look and was not yet counted is far below the second that is allowed for it."""
        self.begin(traffic=False, naps=[HANDS, "promotion: auto"])
        held_ms = lambda: self.route("naps")["hold"]["elapsed_ms"]
        state = lambda: open(f"/proc/{self.it.process.pid}/stat").read().rpartition(")")[2].split()[0]
        wait_until(lambda: held_ms() > 0, "a hold that counts")
        began, held = time.monotonic(), held_ms()
        self.it.signal(signal.SIGSTOP)
        wait_until(lambda: state() == "T", "the process to be stopped")
        stopped = time.monotonic()
        time.sleep(4)  # what is measured
        asleep = time.monotonic() - stopped
        self.it.signal(signal.SIGCONT)
        wait_until(lambda: held_ms() > held, "a hold that goes on")
        grown, passed = (held_ms() - held) / 1000, time.monotonic() - began
        self.assertLess(grown, passed - asleep + 1)


class Blame(PlanCase):
    """Whose errors count, and against whom."""

    def client_of_new(self, name):
        """The header of a client that is not one of flow() and is asked of new."""
        with Client(self.it.address) as client:
            for number in range(5000, 5200):
                header = f"X-User-Id: u{number}"
                if client.get(headers=[header], host=f"{name}.test").get("x-backend") == "new":
                    return header
        raise AssertionError("no client of 200 is asked of new")

    def test_one_client_moves_neither_plan_nor_breaker_and_all_of_them_do(self):
        gates = ("gates: { min_requests: 40, error_rate_increase: 10%, error_rate: 10%, p95_increase: off, mismatch_rate: off, "
                 "min_distinct_keys: 5, confidence: 99% }")
        stages = "stages: [ { name: a, percent: 50, hold: 1h }, { name: b, percent: 100 } ]"
        self.begin(gated=[stages, "promotion: auto", gates],
                   watched=[stages, "promotion: auto", gates, f"breaker: {{ {BREAKER}, min_distinct_keys: 5 }}"])
        self.flow("gated", "watched", rate=100)
        for name in self.routes:
            self.flow(name, connections=2, rate=100, users=None, field=self.client_of_new(name), path="/status/500")
        for name in self.routes:
            self.wait_gate(name, "error_rate", "undecided", "1 client")
            self.wait_gate(name, "error_rate_increase", "undecided", "1 client")
        wait_until(lambda: self.route("watched")["breaker"]["window"]["new"]["error_rate"] > 0.4,
                   lambda: f"errors in the window of the breaker; {self.route('watched')['breaker']}")
        self.assertEqual(self.route("watched")["breaker"]["distinct_keys"], 1)
        for name in self.routes:
            self.assertEqual(self.where(name), ("running", "a", 50))
            self.assertEqual(self.history(name, *WORST), [])
        for name in self.routes:
            self.new[name].tell("status 500")
        self.breaker_is("watched", "open")
        self.wait_where("gated", "rolled_back")

    def test_one_slow_client_does_not_fail_a_plan_and_all_of_them_do(self):
        gates = "gates: { min_requests: 40, error_rate_increase: off, p95_increase: 200%, mismatch_rate: off, min_distinct_keys: 5, confidence: 99% }"
        self.begin(slow=["stages: [ { name: a, percent: 50, hold: 1h }, { name: b, percent: 100 } ]", "promotion: auto", gates])
        self.flow("slow", rate=200, connections=16)
        self.wait_gate("slow", "p95_increase", "pass")
        # What is slow is slower by far than anybody is on a machine that is busy.
        self.flow("slow", connections=16, rate=100, users=None, field=self.client_of_new("slow"), path="/delay/200")
        self.wait_gate("slow", "p95_increase", "undecided", "but only by a few clients that are slow on new: without them it does not fail")
        self.assertIn("only by a few clients", self.route("slow")["why_not"])
        self.assertEqual(self.where("slow"), ("running", "a", 50))
        self.assertEqual(self.history("slow", *WORST), [])
        self.new["slow"].tell("delay 200")
        self.wait_where("slow", "rolled_back")
        self.assertIn("gate p95_increase failed", self.history("slow", "rollback")[0]["why"])

    def test_differences_of_one_client_do_not_fail_a_plan_and_those_of_all_do(self):
        gates = "gates: { min_requests: 40, error_rate_increase: off, p95_increase: off, mismatch_rate: 10%, min_distinct_keys: 3, confidence: 99% }"
        self.begin(differ=["stages: [ { name: a, percent: 50, shadow: 100, hold: 1h }, { name: b, percent: 100 } ]", "promotion: auto",
                           gates, 'shadow: { compare: { ignore: [ "header:x-backend" ] } }'])
        self.flow("differ", rate=100, path="/bytes/16")
        self.flow("differ", connections=2, rate=100, users=None, field="X-User-Id: odd", path="/odd")  # names its backend
        self.wait_gate("differ", "mismatch_rate", "undecided", "but all of these come from 1 client and 1 path")
        self.assertEqual(self.where("differ"), ("running", "a", 50))
        self.assertEqual(self.history("differ", *WORST), [])
        for number in (2, 3):
            self.flow("differ", connections=1, rate=50, path=f"/odd/{number}")
        self.wait_where("differ", "rolled_back")
        self.assertIn("gate mismatch_rate failed", self.history("differ", "rollback")[0]["why"])

    def test_errors_are_what_the_file_says(self):
        keys = ["errors: [ 429 ]", HANDS, "promotion: manual", f"breaker: {{ {BREAKER} }}"]
        self.begin(named=keys)
        self.new["named"].tell("status 500")
        self.flow("named")
        wait_until(lambda: self.route("named")["evidence"]["new"]["judged"] > 100, "answers of new")
        self.assertEqual(self.route("named")["evidence"]["new"]["errors"], 0, "a 500 is not named")
        self.assertEqual(self.route("named")["breaker"]["state"], "closed")
        self.new["named"].tell("status 429")
        self.breaker_is("named", "open")
        self.assertGreater(self.route("named")["evidence"]["new"]["errors"], 0)

    def test_slow_calls_open_the_breaker(self):
        slow = ("breaker: { window: 10s, min_requests: 20, error_rate: off, error_rate_increase: off, p95_ratio: off, consecutive_errors: 0, "
                "slow_call: 300ms, slow_call_rate: 50%, cooldown: 1h }")
        self.begin(slow=[HANDS, "promotion: manual", slow])
        self.new["slow"].tell("delay 500")
        self.flow("slow", connections=64, rate=200)
        self.breaker_is("slow", "open")
        self.assertIn("300 ms", self.history("slow", "breaker_open")[0]["why"])

    def test_a_share_grows_back_by_steps_after_a_recovery(self):
        quick = BREAKER.replace("cooldown: 1h", "cooldown: 200ms") + ", trial_requests: 3, max_trips: 0, ramp: 5s"
        self.begin(again=[HANDS, "promotion: manual", f"breaker: {{ {quick} }}"])
        self.new["again"].tell("status 500")
        self.flow("again")
        self.breaker_is("again", "open")
        self.assertEqual(self.route("again")["share"], 0)
        self.new["again"].tell("ok")
        seen = self.shares_until("again", 20)
        self.assertEqual(seen, sorted(seen), "never down while all goes well, never above the plan's")
        self.assertGreaterEqual(len([share for share in seen if 0 < share < 20]), 3, seen)
        wait_until(lambda: self.route("again")["breaker"]["ramp_left_ms"] == 0, "the end of the last step")
        self.assertEqual(self.where("again"), ("running", "a", 20))

    def test_nobody_is_blamed_for_an_outage_of_both(self):
        """One backend behind both sides would be the same: both fail together, and then both are well."""
        stages = "stages: [ { name: a, percent: 50, hold: 1h }, { name: b, percent: 100 } ]"
        gates = "gates: { min_requests: 40, error_rate_increase: 5%, p95_increase: off, mismatch_rate: off, confidence: 99.9% }"
        breaker = ("breaker: { window: 5s, min_requests: 20, error_rate: 20%, error_rate_increase: 5%, p95_ratio: off, "
                   "consecutive_errors: 10, cooldown: 1h }")
        self.begin(both=[stages, "promotion: auto", gates, breaker])
        self.flow("both")
        self.served("both", 300)
        for what in ("status 500", "close", "ok"):
            for side in (self.legacy, self.new):
                side["both"].tell(what)
            self.served("both", 500)
        route = self.route("both")
        self.assertGreater(min(route["evidence"][side]["errors"] for side in ("legacy", "new")), 300)
        self.assertEqual((route["phase"], route["percent"], route["breaker"]["state"]), ("running", 50, "closed"))
        self.assertEqual(self.history("both", *WORST), [])


def stages(*which):
    """stages("a 10", "b 40", ...); what follows the share goes into the stage."""
    parts = [one.split(" ", 2) for one in which]
    return "stages: [ " + ", ".join(f"{{ name: {name}, percent: {percent}, hold: 1h{', ' + more[0] if more else ''} }}"
                                    for name, percent, *more in parts) + " ]"


AB = stages("a 10", "b 40")
NEXT = ("promote", {"force": True})
# Route: what it was, what was done to it, what the file says then, what it must be; and whether its share is the file's.
EDITS = {
    "same": ([AB], [NEXT], [AB.replace("1h", "2h")], ("running", "b", 40)),
    "raised": ([AB], [NEXT], [stages("a 10", "b 60")], ("running", "b", 40)),
    "raised_paused": ([AB], [NEXT, ("pause", {})], [stages("a 10", "b 60")], ("paused", "b", 40)),
    "raised_frozen": ([AB], [NEXT, ("freeze", {})], [stages("a 10", "b 60")], ("frozen", "b", 40)),
    "lowered": ([AB], [NEXT], [stages("a 10", "b 25")], ("running", "b", 25)),
    "lowered_paused": ([AB], [NEXT, ("pause", {})], [stages("a 10", "b 25")], ("paused", "b", 25)),
    "lowered_frozen": ([AB], [NEXT, ("freeze", {})], [stages("a 10", "b 25")], ("frozen", "b", 25)),
    "moved": ([AB], [NEXT], [stages("zero 0", "a 10", "b 40", "c 50")], ("running", "b", 40)),
    "gone": ([AB], [NEXT], [stages("a 10", "c 30", "d 60")], ("running", "c", 30)),
    "all_above": ([AB], [NEXT], [stages("x 50", "y 80")], ("running", "x", 40)),
    "gone_paused": ([AB], [("set-percent", {"percent": 33.33})], [stages("x 20", "y 60")], ("paused", "x", 33.33)),
    "gone_frozen": ([AB], [NEXT, ("freeze", {})], [stages("x 20", "y 60")], ("frozen", "x", 40)),
    "gone_back": ([AB], [NEXT, ("rollback", {})], [stages("x 20", "y 60")], ("rolled_back", "x", 0)),
    "added": ([AB], [NEXT, NEXT], [stages("a 10", "b 40", "c 100")], ("running", "b", 40)),
    "done_raised": ([AB], [NEXT, NEXT], [stages("a 10", "b 60")], ("running", "b", 40)),
    "done": ([AB], [NEXT, NEXT], [AB], ("done", "b", 40)),
    "waits": ([AB, "start: manual"], [], [AB], ("waiting", "a", 0)),
    "waits_gone": ([AB, "start: manual"], [], [stages("x 20", "y 60")], ("waiting", "x", 0)),
    "started": ([AB], [NEXT], [AB, "start: manual"], ("running", "b", 40)),
    "back": ([AB], [NEXT, ("rollback", {})], [stages("a 20", "b 60")], ("rolled_back", "b", 0)),
    "back_fixed": ([AB], [("rollback", {})], ["percent: 50"], ("rolled_back", None, 0)),
    "stepped": ([stages("a 10", "b 40 deadline: 2h, on_deadline: rollback"), "on_failure: { to: previous, ramp: 1h }"], [NEXT],
                [stages("a 20", "b 60 deadline: 2h, on_deadline: rollback"), "on_failure: { to: zero }"], ("running", "a", 10)),
    "falling": ([stages("a 10", "b 40 deadline: 2h, on_deadline: rollback"), "on_failure: { to: zero, ramp: 1h }"], [NEXT],
                [stages("a 20", "b 60 deadline: 2h, on_deadline: rollback"), "on_failure: { to: freeze }"], ("rolled_back", "b", 0)),
    "needs": ([AB], [NEXT], [AB, "depends_on: [ same ]", "on_failure: { to: previous }"], ("running", "b", 40)),
    "by_hand": ([AB], [NEXT], [stages("a 10", "b 40 deadline: 2h"), "promotion: manual"], ("running", "b", 40)),
    "unstaged": ([AB], [NEXT], ["percent: 55"], ("fixed", None, 55), True),
    "edited": (["percent: 20"], [("set-percent", {"percent": 5})], ["percent: 30"], ("fixed", None, 30), True),
    "kept": (["percent: 20"], [("set-percent", {"percent": 5})], ["percent: 20", "fallback: { on: [5xx], methods: [GET] }"],
             ("fixed", None, 5)),
    "staged": (["percent: 20"], [], [AB], ("running", "a", 10)),
}
# Those that fall by a deadline do it while the file says so, in the next step.
OVERDUE = ("stepped", "falling")


class Edited(PlanCase):
    """docs/plans.md, "Editing the file"."""

    def set_up(self):
        self.begin(traffic=False, **{name: row[0] for name, row in EDITS.items()})
        for name, row in EDITS.items():
            for verb, body in row[1]:
                self.it.verb(name, verb, {**body, "who": "anna"})
        self.edit(**{name: [EDITS[name][0][0].replace("2h", "1ms").replace("hold: 1h", "hold: 0s"), *EDITS[name][0][1:]]
                     for name in OVERDUE})
        for name in OVERDUE:
            self.wait_event(name, "step_back", "rollback")
            self.assertGreater(self.route(name)["share"], 10, "on the way down")
        return {name: self.route(name) for name in EDITS}

    def check(self, before):
        for name, row in EDITS.items():
            with self.subTest(name):
                self.assertEqual(self.where(name), row[3])
                if len(row) == 4:
                    self.assertLessEqual(self.route(name)["share"], before[name]["share"])
                changed = self.where(name) != (before[name]["phase"], before[name].get("stage"), before[name]["percent"])
                self.assertEqual(len(self.history(name, "reload")), 1 if changed else 0)
        for name in OVERDUE:
            self.assertGreater(self.route(name)["ramp"]["left_ms"], 0, "the way down goes on")
        self.it.verb("raised", "promote", {"force": True})
        self.assertEqual(self.where("raised"), ("running", "b", 60), "the share of the same stage that was raised")

    def test_a_reload_never_raises_the_share_of_a_plan(self):
        before = self.set_up()
        self.edit(**{name: row[2] for name, row in EDITS.items()})
        self.check(before)

    def test_nor_does_a_file_edited_while_it_was_not_running(self):
        before = self.set_up()
        self.routes.update({name: row[2] for name, row in EDITS.items()})
        self.it.restart(self.file())
        self.check(before)

    def test_a_route_that_comes_back_goes_on_where_it_was(self):
        self.begin(traffic=False, comes=[AB], stays=[AB])
        self.it.verb("comes", "promote", {"force": True})
        self.it.verb("comes", "rollback", {"who": "anna"})
        self.routes["other"] = self.routes.pop("comes")
        self.legacy["other"] = self.new["other"] = self.legacy["stays"]
        self.edit()
        self.assertEqual(self.where("other"), ("running", "a", 10), "of another name it is another route")
        self.it.restart()
        self.edit(comes=[AB])
        self.assertEqual(self.where("comes"), ("rolled_back", "b", 0))


class Upgraded(PlanCase):
    """A state directory written by the first version, whose state.json says version 1 and whose trail has no checksums."""

    FIRST = os.path.join(os.path.dirname(os.path.abspath(__file__)), "version1")

    def test_the_first_versions_state_is_taken_over(self):
        shutil.copytree(self.FIRST, os.path.join(self.directory, "state"))
        staged = "stages: [ { name: shadow, percent: 0, shadow: 100, hold: 1h }, { name: canary, percent: 10, hold: 1h }, " \
                 "{ name: half, percent: 50, hold: 1h }, { percent: 100 } ]"
        two = "stages: [ { name: canary, percent: 10, hold: 1h }, { name: half, percent: 50, hold: 1h } ]"
        self.begin(traffic=False, staged=[staged], paused=[two], back=[two], done=["stages: [ { name: all, percent: 30, hold: 1h } ]"],
                   tripped=["percent: 50", f"breaker: {{ {BREAKER.replace('1h', '1d')}, max_trips: 5 }}"], fixed=["percent: 25"],
                   everything=["percent: 5"])
        for _ in range(2):
            for name, wanted in (("staged", ("running", "canary", 10)), ("paused", ("paused", "canary", 33.33)),
                                 ("back", ("rolled_back", "half", 0)), ("done", ("done", "all", 30)),
                                 ("tripped", ("fixed", None, 50)), ("fixed", ("fixed", None, 12.5)), ("everything", ("fixed", None, 7))):
                self.assertEqual(self.where(name), wanted, name)
            breaker = self.route("tripped")["breaker"]
            self.assertEqual(breaker["trips"], 1)
            self.assertNotEqual(breaker["state"], "closed")
            self.assertEqual(self.it.status()["passthrough_sources"], ["api"])
            evidence = self.route("staged")["evidence"]
            self.assertEqual([evidence[side]["judged"] for side in ("legacy", "new")], [546, 54])
            self.assertIsNotNone(evidence["new"]["latency"])
            self.assertEqual(self.route("staged")["hold"]["elapsed_ms"], 441, "passthrough: no hold runs")
            self.it.restart()  # the second time from what was just written
        self.assertEqual(self.it.find_events("state_damaged") + self.it.find_events("audit_damaged"), [])
        self.it.verb("paused", "resume", {"who": "anna"})
        self.it.stop()
        with open(os.path.join(self.state, "state.json"), encoding="utf-8") as f:
            self.assertEqual(json.load(f)["state"]["version"], 2)
        with open(os.path.join(self.state, "audit.jsonl"), encoding="utf-8") as f:
            lines = [json.loads(line) for line in f]
        self.assertEqual([line["sequence"] for line in lines], list(range(1, len(lines) + 1)))
        self.assertEqual((lines[-1]["what"], lines[-1]["who"]), ("resume", "operator:anna"))
        self.assertEqual([("check" in line) for line in lines].count(False), 17, "what the first version wrote stays as it was")
        done = subprocess.run([os.path.join(BUILD, "shuntctl"), "audit", "verify", self.state], capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done)


if __name__ == "__main__":
    main()
