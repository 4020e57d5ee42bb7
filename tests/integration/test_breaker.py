"""The breaker: takes all live traffic back within 100 ms of the crossing, tries carefully, and gives up after max_trips."""

import os
import time
from datetime import datetime

from harness import SLOW_BUILD, Case, config, http_reply, main, request, stays, wait_until

# What the promise is measured by. A sanitizer slows every step down, so that build only shows that nothing waits for a timer.
WITHIN_MS = 400 if SLOW_BUILD else 100

ROUTE = """\
  - name: all
    match: {{ path: /** }}
    sticky: [ random ]
    percent: {percent}
    breaker: {{ {breaker} }}
{more}"""


def when(event):
    """Seconds since 1970 of a line of the log or of the audit trail."""
    return datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()


class BreakerCase(Case):
    def begin(self, breaker, percent=50, more="", timeouts=""):
        self.legacy, self.new = self.fast("legacy"), self.fast("new")
        self.state = os.path.join(self.directory, "state")
        text = config(self.legacy, self.new, ROUTE.format(breaker=breaker, percent=percent,
                                                          more="".join(f"    {line}\n" for line in more.splitlines())),
                      top="access_log: off", state=self.state, timeouts=timeouts)
        return self.shunt(text)

    def breaker_is(self, shunt, state, timeout=20):
        wait_until(lambda: shunt.metric("shunt_breaker_state", route="all", state=state) == 1,
                   lambda: f"breaker {state}; it is {shunt.metrics().by('shunt_breaker_state', 'state')}", timeout)

    def audit_of(self, shunt, what):
        return [e for e in shunt.api("GET", "/api/v1/audit?limit=500")["audit"] if e["what"] == what]


class Opens(BreakerCase):
    WATCHED = "window: 10s, min_requests: 20, error_rate: 20%, error_rate_increase: off, p95_ratio: off, consecutive_errors: 10, cooldown: 60s"

    def crossing(self, misbehave, timeouts="", connections=16):
        """Load, then the new backend fails. Returns milliseconds from the tenth failing request to the last one new ever got."""
        shunt = self.begin(self.WATCHED, timeouts=timeouts)
        load = self.load(shunt.address, connections=connections, rate=1500)
        wait_until(lambda: self.new.requests > 300, "load on new")
        self.new.tell("mark 10")
        self.new.tell(misbehave)
        self.breaker_is(shunt, "open")
        before = self.legacy.requests
        wait_until(lambda: self.legacy.requests > before + 1000, "legacy to take everything")
        counts = self.new.counts()
        load.finish()
        self.assertGreater(counts["mark_ns"], 0)
        self.assertEqual(self.new.counts()["requests"], counts["requests"],
                         "new got a request long after the breaker opened")
        self.assertEqual(shunt.metric("shunt_route_effective_share", route="all"), 0)
        self.assertEqual(len(self.audit_of(shunt, "breaker_open")), 1)
        return (counts["last_ns"] - counts["mark_ns"]) / 1e6

    def test_opens_within_100_ms_when_new_answers_500(self):
        self.assertLess(self.crossing("status 500"), WITHIN_MS)

    def test_opens_within_100_ms_when_new_resets(self):
        self.assertLess(self.crossing("reset"), WITHIN_MS)

    def test_opens_within_100_ms_when_new_closes(self):
        self.assertLess(self.crossing("close"), WITHIN_MS)

    def test_opens_within_100_ms_when_new_talks_nonsense(self):
        self.assertLess(self.crossing("garbage"), WITHIN_MS)

    def test_opens_when_new_hangs(self):
        """The tenth timeout is the crossing; a request sent less than a timeout before it is still under way then."""
        self.assertLess(self.crossing("hang", timeouts="response: 200ms", connections=64), 200 + 200 + WITHIN_MS)

    def test_opens_when_new_refuses_connections(self):
        shunt = self.begin(self.WATCHED)
        load = self.load(shunt.address, connections=8, rate=1000)
        wait_until(lambda: self.new.requests > 100, "load on new")
        self.new.tell("refuse")
        began = time.monotonic_ns()
        self.breaker_is(shunt, "open")
        result = load.finish()
        last = max([f["sent_ns"] for f in result["failures"]] + [0])
        self.assertLess((last - began) / 1e6, WITHIN_MS + 50, result)
        self.assertLess(result["failed"], 20 + 1000 * (WITHIN_MS + 100) / 1000)

    def test_opens_on_the_error_rate_when_no_run_is_long(self):
        """Every third answer of new fails: no ten in a row, but 33 % is above 20 %."""
        count = [0]

        def answer(request_):
            count[0] += 1
            return http_reply("x", status="500 No" if count[0] % 3 == 0 else "200 OK", headers=["X-Backend: new"])

        self.legacy = self.fast("legacy")
        new = self.backend(answer, "new")
        shunt = self.shunt(config(self.legacy, new, ROUTE.format(breaker=self.WATCHED, percent=50, more="")))
        load = self.load(shunt.address, connections=4, rate=400)
        self.breaker_is(shunt, "open")
        load.finish()

    def test_opens_on_latency(self):
        shunt = self.begin("window: 10s, min_requests: 40, error_rate: 20%, p95_ratio: 3, cooldown: 60s")
        self.legacy.tell("delay 5")
        load = self.load(shunt.address, connections=32, rate=400)
        wait_until(lambda: self.new.requests > 20, "load")
        self.new.tell("delay 100")
        self.breaker_is(shunt, "open")
        load.finish()

    def test_errors_of_both_sides_alike_do_not_open_it_by_increase(self):
        shunt = self.begin("window: 10s, min_requests: 20, error_rate: off, error_rate_increase: 5%, p95_ratio: off, consecutive_errors: 0")
        for one in (self.legacy, self.new):
            one.tell("status 500")
        load = self.load(shunt.address, connections=4, requests=2000)
        load.wait()
        self.assertEqual(shunt.metric("shunt_breaker_state", route="all", state="closed"), 1)
        self.legacy.tell("ok")
        load = self.load(shunt.address, connections=4, rate=1000)
        self.breaker_is(shunt, "open")
        load.finish()

    def test_4xx_and_clients_that_leave_are_nobodys_fault(self):
        shunt = self.begin(self.WATCHED, percent=100)
        self.new.tell("status 404")
        self.load(shunt.address, connections=4, requests=500).wait()
        self.new.tell("hang")
        for _ in range(30):
            with shunt.client() as client:
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                client.reset()
        wait_until(lambda: shunt.metric("shunt_client_gone_total") >= 1
                   and shunt.metric("shunt_requests_in_flight") == 0, "no request under way")
        self.assertEqual(shunt.metric("shunt_breaker_state", route="all", state="closed"), 1)


    def test_opens_within_100_ms_by_its_own_clock(self):
        """From shunt's own log: the tenth failure in a row of new has ended; when was the breaker open? Median of five."""
        self.legacy, self.new = self.fast("legacy"), self.fast("new")
        text = config(self.legacy, self.new, ROUTE.format(breaker=self.WATCHED, percent=20, more=""),
                      top="access_log: { sample: 100% }")
        shunt = self.shunt(text)
        load = self.load(shunt.address, connections=16, rate=1000)
        waits = []
        for _ in range(5):
            healthy = self.new.requests

            def is_loaded():
                if shunt.metric("shunt_breaker_state", route="all", state="open") == 1:
                    shunt.verb("all", "reset-breaker")  # by failures of the last turn that were still under way
                return self.new.requests > healthy + 60  # pylint: disable=cell-var-from-loop

            wait_until(is_loaded, "load on new")
            opened = len(shunt.find_events("breaker_open"))
            self.new.tell("status 500")
            event = shunt.wait_events("breaker_open", opened + 1)[opened]
            self.new.tell("ok")
            failures = self.ended_in_a_row(shunt, event)
            self.assertGreaterEqual(len(failures), 10, event)
            waits.append((when(event) - failures[9]) * 1000)
            shunt.verb("all", "reset-breaker")
        load.finish()
        self.assertLessEqual(sorted(waits)[2], WITHIN_MS, waits)

    @staticmethod
    def ended_in_a_row(shunt, event):
        """When the last failures of new before this event ended, oldest first. The log is in order, but for lines of
        other threads within a millisecond or so: awaited until one from after the event is there."""
        wait_until(lambda: any(when(line) > when(event) for line in shunt.access()), "access lines after the event")
        ends = sorted((when(line), line["status"]) for line in shunt.access()
                      if line["side"] == "new" and when(line) <= when(event))
        failures = []
        for end, status in ends:
            failures = [*failures, end] if status == 500 else []
        return failures

    def test_a_single_client_does_not_open_it(self):
        """HAProxy's warning: whoever finds a request that fails must not be able to move everybody."""
        failing = {"ann"}

        def answer(request_):
            user = request_.get("X-User-Id")
            return http_reply("x", status="500 No" if user in failing else "200 OK", headers=["X-Backend: new"])

        new = self.backend(answer, "new")
        shunt = self.shunt(config(self.fast("legacy"), new,
                                  ROUTE.replace("random", "{{ header: X-User-Id }}").format(
                                      breaker="window: 10s, min_requests: 20, consecutive_errors: 10, p95_ratio: off",
                                      percent=100, more="")))
        users = [f"user-{i}" for i in range(20)]
        for user in users:
            self.assertEqual(shunt.get(f"/{user}", [f"X-User-Id: {user}"]).status, 200)
        for i in range(60):
            self.assertEqual(shunt.get(f"/{i}", ["X-User-Id: ann"]).status, 500)
        wait_until(lambda: shunt.metric("shunt_requests_total", route="all", backend="new") >= 80, "all to be counted")
        stays(lambda: shunt.metric("shunt_breaker_state", route="all", state="closed") == 1, 0.3, "closed")
        failing.update(users)
        for user in users:
            shunt.get(f"/{user}", [f"X-User-Id: {user}"])
        self.breaker_is(shunt, "open")


class Recovers(BreakerCase):
    QUICK = "window: 2s, min_requests: 10, error_rate: 20%, consecutive_errors: 5, p95_ratio: off, cooldown: 300ms, trial_requests: 5, max_trips: {trips}"

    def test_half_open_after_the_cooldown_and_closed_after_recovery(self):
        shunt = self.begin(self.QUICK.format(trips=10))
        load = self.load(shunt.address, connections=8, rate=800)
        wait_until(lambda: self.new.requests > 50, "load")
        self.new.tell("status 500")
        self.breaker_is(shunt, "open")
        self.new.tell("ok")
        self.breaker_is(shunt, "closed")
        before = self.new.requests
        wait_until(lambda: self.new.requests > before + 200, "new to have its share again")
        load.finish()
        whats = [e["what"] for e in shunt.api("GET", "/api/v1/audit?limit=500")["audit"] if e.get("route") == "all"]
        for what in ("breaker_open", "breaker_half_open", "breaker_closed"):
            self.assertIn(what, whats)
        self.assertLess(whats.index("breaker_open"), whats.index("breaker_closed"))

    def test_a_trial_lets_only_few_requests_through(self):
        shunt = self.begin(self.QUICK.format(trips=0).replace("300ms", "500ms"))
        load = self.load(shunt.address, connections=8, rate=800)
        wait_until(lambda: self.new.requests > 50, "load")
        self.new.tell("status 500")
        self.breaker_is(shunt, "open")
        time.sleep(0.1)  # what was under way
        self.new.tell("zero")
        wait_until(lambda: len(self.audit_of(shunt, "breaker_half_open")) >= 2, "two trials")
        load.finish()
        trials = len(self.audit_of(shunt, "breaker_half_open"))
        self.assertLessEqual(self.new.requests, 5 * trials, "a trial of 5 requests let more through")

    def test_the_share_grows_back_after_a_recovery(self):
        shunt = self.begin(self.QUICK.format(trips=0) + ", ramp: 2s")
        load = self.load(shunt.address, connections=8, rate=400)
        wait_until(lambda: self.new.requests > 50, "load")
        self.new.tell("status 500")
        self.breaker_is(shunt, "open")
        self.new.tell("ok")
        whole = shunt.metric("shunt_route_share", route="all")
        shares = [shunt.metric("shunt_route_effective_share", route="all")]

        def is_back():
            share = shunt.metric("shunt_route_effective_share", route="all")
            if shares[-1] != share:
                shares.append(share)
            return share >= whole

        wait_until(is_back, lambda: f"the whole share; seen {shares}")
        load.finish()
        self.assertEqual(shares, sorted(shares), "a share that grows never falls on the way")
        self.assertGreater(len(shares), 3, "it came back in steps")
        self.assertEqual(shares[-1], whole)

    def test_cooldown_doubles_with_each_trip(self):
        shunt = self.begin(self.QUICK.format(trips=0))
        self.new.tell("status 500")
        load = self.load(shunt.address, connections=4, rate=400)
        wait_until(lambda: len(self.audit_of(shunt, "breaker_half_open")) >= 4, "four trials", 30)
        load.finish()
        events = [e for e in shunt.api("GET", "/api/v1/audit?limit=500")["audit"]
                  if e["what"] in ("breaker_open", "breaker_half_open")]
        waits = [when(b) - when(a) for a, b in zip(events, events[1:]) if a["what"] == "breaker_open"
                 and b["what"] == "breaker_half_open"]
        for i, wait in enumerate(waits[:4]):
            self.assertGreaterEqual(wait, 0.3 * 2**i - 0.05, waits)
            self.assertLess(wait, 0.3 * 2**i * 1.2 + 1.5, waits)  # a fifth by chance

    def test_rolled_back_after_max_trips_until_a_person_resumes(self):
        shunt = self.begin(self.QUICK.format(trips=2))
        self.new.tell("status 500")
        load = self.load(shunt.address, connections=4, rate=400)
        wait_until(lambda: shunt.metric("shunt_route_phase", route="all", phase="rolled_back") == 1,
                   "the route to be rolled back", 30)
        self.new.tell("ok")
        time.sleep(0.2)
        self.new.tell("zero")
        before = self.legacy.requests
        wait_until(lambda: self.legacy.requests > before + 800, "two seconds of traffic")
        self.assertEqual(self.new.requests, 0, "new gets nothing until a person resumes")
        shunt.verb("all", "resume", {"who": "anna", "reason": "fixed"})
        wait_until(lambda: self.new.requests > 100, "new to have its share again")
        load.finish()
        rollback = self.audit_of(shunt, "rollback")[-1]
        self.assertEqual(rollback["who"], "breaker")
        self.assertEqual(self.audit_of(shunt, "resume")[-1]["who"], "operator:anna")

    def test_open_survives_a_restart(self):
        shunt = self.begin(self.QUICK.format(trips=0).replace("300ms", "60s"))
        self.new.tell("status 500")
        load = self.load(shunt.address, connections=4, rate=400)
        self.breaker_is(shunt, "open")
        load.finish()
        shunt.restart()
        self.new.tell("ok")
        self.new.tell("zero")
        self.assertEqual(shunt.metric("shunt_breaker_state", route="all", state="open"), 1)
        self.load(shunt.address, connections=4, requests=300).wait()
        self.assertEqual(self.new.requests, 0)
        shunt.verb("all", "reset-breaker")
        self.load(shunt.address, connections=4, requests=300).wait()
        self.assertGreater(self.new.requests, 80)


class Fallback(BreakerCase):
    FALLBACK = "fallback: { on: [connect, timeout, 5xx, reset], methods: [GET, HEAD] }"

    def test_the_client_gets_legacys_answer_whatever_new_does(self):
        for misbehave, timeouts in (("status 500", ""), ("reset", ""), ("close", ""), ("refuse", ""),
                                    ("hang", "response: 200ms")):
            with self.subTest(misbehave):
                shunt = self.begin("window: 10s, min_requests: 1000000, error_rate: off, error_rate_increase: off, p95_ratio: off, consecutive_errors: 0",
                                   percent=100, more=self.FALLBACK, timeouts=timeouts)
                self.assertEqual(shunt.get().get("x-backend"), "new")
                self.new.tell(misbehave)
                for _ in range(5):
                    reply = shunt.get()
                    self.assertEqual((reply.status, reply.get("x-backend")), (200, "legacy"))
                self.assertEqual(shunt.metric("shunt_fallbacks_total", route="all"), 5)
                shunt.stop()

    def test_failures_answered_by_fallback_still_open_the_breaker(self):
        shunt = self.begin(Opens.WATCHED, percent=100, more=self.FALLBACK)
        self.new.tell("status 503")
        load = self.load(shunt.address, connections=8, rate=800)
        self.breaker_is(shunt, "open")
        self.assertEqual(load.finish()["failed"], 0, "no client has seen a failure")

    def test_writes_are_not_repeated_unless_named(self):
        shunt = self.begin("consecutive_errors: 0, error_rate: off, error_rate_increase: off, p95_ratio: off",
                           percent=100, more=self.FALLBACK)
        self.new.tell("status 500")
        reply = request(shunt.address, method="POST", body=b"hello")
        self.assertEqual((reply.status, reply.get("x-backend")), (500, "new"))
        self.assertEqual(self.legacy.requests, 0)

    def test_a_body_is_sent_to_legacy_whole_when_writes_are_named(self):
        shunt = self.begin("consecutive_errors: 0, error_rate: off, error_rate_increase: off, p95_ratio: off",
                           percent=100,
                           more="fallback: { on: [connect, 5xx], methods: [\"*\"] }")
        self.new.tell("refuse")
        result = self.load(shunt.address, requests=5, connections=1, method="POST", body=10000, verify=True).wait()
        self.assertEqual((result["ok"], result["legacy"]), (5, 5), result)

    def test_nothing_is_repeated_once_the_answer_has_begun(self):
        legacy = self.backend()
        new = self.script(r"read request; send `HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc`; wait 50; reset")
        shunt = self.shunt(config(legacy, new, ROUTE.format(breaker="consecutive_errors: 0, p95_ratio: off",
                                                            percent=100, more="    " + self.FALLBACK + "\n")))
        self.assertTrue(shunt.get().truncated)
        self.assertEqual(legacy.requests, [])


if __name__ == "__main__":
    main()
