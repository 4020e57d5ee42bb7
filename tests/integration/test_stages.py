"""Stages: advanced by hand or after their hold with passing gates, held back by gates, remembered over restarts, and audited."""

import ctypes
import ctypes.util
import json
import os
import time

from harness import Case, config, main, wait_until

STAGED = """\
  - name: plan
    match: {{ path: /** }}
    sticky: [ {{ header: X-User-Id }} ]
    stages:
{stages}
    promotion: {promotion}
    gates: {{ min_requests: {min_requests}, error_rate_increase: {errors}, p95_increase: off, mismatch_rate: {mismatch} }}
    breaker: off
    shadow: {{ methods: ["*"] }}
"""

HANDS = ["{ name: shadow, percent: 0, shadow: 100, hold: 1h }", "{ name: canary, percent: 10, hold: 1h }",
         "{ percent: 50, hold: 1h }",
         "{ percent: 100, hold: 1h }"]


class StageCase(Case):
    def begin(self, stages, promotion="manual", min_requests=20, errors="5%", mismatch="off"):
        self.legacy, self.new = self.fast("same"), self.fast("same")
        self.state = os.path.join(self.directory, "state")
        self.text = config(self.legacy, self.new, STAGED.format(stages="\n".join(f"      - {s}" for s in stages),
                                                                promotion=promotion,
                                                                min_requests=min_requests, errors=errors,
                                                                mismatch=mismatch),
                           top="access_log: off", state=self.state)
        return self.shunt(self.text)

    def where(self, shunt):
        route = shunt.route("plan")
        return route["phase"], route["stage"], route["percent"]

    def wait_where(self, shunt, *wanted, timeout=30):
        wait_until(lambda: self.where(shunt)[: len(wanted)] == wanted, lambda: f"{wanted}, it is {self.where(shunt)}",
                   timeout)

    def audit(self, shunt):
        return shunt.api("GET", "/api/v1/audit?limit=500")["audit"]


class ByHand(StageCase):
    def test_every_verb_moves_the_plan_and_is_audited(self):
        shunt = self.begin(HANDS)
        self.assertEqual(self.where(shunt), ("running", "shadow", 0))
        steps = (("promote", {"force": True}, ("running", "canary", 10)), ("pause", {}, ("paused", "canary", 10)),
                 ("resume", {}, ("running", "canary", 10)),
                 ("promote", {"force": True}, ("running", "50%", 50)),
                 ("set-percent", {"percent": 12.34}, ("paused", None, 12.34)),
                 ("resume", {}, None), ("rollback", {}, ("rolled_back", None, 0)),
                 ("resume", {}, ("running", "shadow", 0)),
                 ("promote", {"force": True}, ("running", "canary", 10)), ("restart", {}, ("running", "shadow", 0)))
        for i, (verb, body, wanted) in enumerate(steps):
            shunt.verb("plan", verb, {**body, "who": "anna", "reason": f"step {i}"})
            phase, stage, percent = self.where(shunt)
            if wanted is None:
                self.assertEqual(phase, "running")
                continue
            self.assertEqual((phase, percent), (wanted[0], wanted[2]), (verb, i))
            if wanted[1] is not None:
                self.assertEqual(stage, wanted[1], (verb, i))
        lines = [line for line in self.audit(shunt) if line["who"] == "operator:anna"]
        self.assertEqual([line["why"] for line in lines], [f"step {i}" for i in range(len(steps))])
        self.assertEqual([line["what"] for line in lines], [verb.replace("-", "_") for verb, _, _ in steps])
        for line in lines:
            self.assertEqual(line["route"], "plan")
            self.assertTrue(line["time"].endswith("Z"))
            self.assertTrue(line["from"] and line["to"], line)
        sequence = [line["sequence"] for line in self.audit(shunt)]
        self.assertEqual(sequence, sorted(set(sequence)))

    def test_the_share_follows_the_verb_for_real(self):
        shunt = self.begin(HANDS)
        self.new.tell("zero")
        shunt.verb("plan", "set-percent", {"percent": 100})
        self.load(shunt.address, requests=200, users=200).wait()
        self.assertEqual(self.new.requests, 200)
        shunt.verb("plan", "rollback")
        self.new.tell("zero")
        self.load(shunt.address, requests=200, users=200).wait()
        self.assertEqual(self.new.counts()["requests"] - self.new.counts()["shadows"], 0)

    def test_promote_needs_evidence_or_force(self):
        shunt = self.begin(HANDS)
        reply = shunt.admin_reply("POST", "/api/v1/routes/plan/promote", {})
        self.assertEqual(reply.status, 409, reply)
        self.assertEqual(self.where(shunt)[1], "shadow")

    def test_what_is_not_possible_is_refused_and_changes_nothing(self):
        shunt = self.begin(HANDS)
        before = self.where(shunt), len(self.audit(shunt))
        for path, body, status in (("routes/plan/resume", {}, 409), ("routes/nowhere/pause", {}, 404),
                                   ("routes/plan/set-percent", {"percent": 101}, 400),
                                   ("routes/plan/set-percent", {"percent": 1.001}, 400),
                                   ("routes/plan/set-percent", {}, 400),
                                   ("routes/plan/promote", {"forse": True}, 400), ("routes/plan/explode", {}, 404),
                                   ("routes/plan/pause", [], 400), ("routes/plan/pause", b"{", 400)):
            self.assertEqual(shunt.admin_reply("POST", "/api/v1/" + path, body).status, status, (path, body))
        self.assertEqual((self.where(shunt), len(self.audit(shunt))), before)

    def test_state_survives_a_restart(self):
        shunt = self.begin(HANDS)
        shunt.verb("plan", "promote", {"force": True})
        shunt.restart()
        self.assertEqual(self.where(shunt), ("running", "canary", 10))
        shunt.verb("plan", "set-percent", {"percent": 33.33})
        shunt.restart()
        self.assertEqual(self.where(shunt)[::2], ("paused", 33.33))
        shunt.verb("plan", "rollback", {"who": "b"})
        shunt.restart()
        self.assertEqual(self.where(shunt)[::2], ("rolled_back", 0))
        whats = [line["what"] for line in self.audit(shunt)]
        for what in ("promote", "set_percent", "rollback"):
            self.assertIn(what, whats)
        sequence = [line["sequence"] for line in self.audit(shunt)]
        self.assertEqual(sequence, sorted(set(sequence)), "numbers go on over restarts")

    def test_without_a_state_directory_a_restart_begins_anew(self):
        shunt = self.begin(HANDS)
        shunt.write_config(self.text.replace("state:", "").replace(f"  directory: {self.state}\n", ""))
        shunt.restart()
        shunt.verb("plan", "promote", {"force": True})
        shunt.restart()
        self.assertEqual(self.where(shunt), ("running", "shadow", 0))

    def test_a_damaged_state_is_set_aside_and_told(self):
        shunt = self.begin(HANDS)
        shunt.verb("plan", "promote", {"force": True})
        shunt.stop()
        shunt.stopped = True
        for damage in (b"", b"{", b'{"version":1}', b"\x00" * 100, b'{"version": 99999, "routes": []}'):
            with open(os.path.join(self.state, "state.json"), "wb") as f:
                f.write(damage)
            shunt.start()
            self.assertEqual(self.where(shunt), ("running", "shadow", 0))
            self.assertRegex(shunt.output(), "state")
            shunt.signal(15)
            self.assertEqual(shunt.wait_exit(), 0)
        self.assertTrue([name for name in os.listdir(self.state) if "damaged" in name])

    def test_a_state_of_a_later_version_is_kept_and_told(self):
        """After a step back to an older shunt: the next save must not be the end of the newer one's state."""
        shunt = self.begin(HANDS)
        shunt.verb("plan", "promote", {"force": True})
        shunt.passthrough(True)
        shunt.stop()
        path = os.path.join(self.state, "state.json")
        with open(path, encoding="utf-8") as f:
            state = json.load(f)["state"]
        state["version"] = 99
        text = json.dumps(state, separators=(",", ":")).encode()
        xxhash = ctypes.CDLL(ctypes.util.find_library("xxhash") or "libxxhash.so.0")
        xxhash.XXH3_64bits.restype = ctypes.c_uint64
        xxhash.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
        whole = b'{"format":1,"xxh3":"%016x","state":%s}\n' % (xxhash.XXH3_64bits(text, len(text)), text)
        with open(path, "wb") as f:
            f.write(whole)
        shunt.start()
        self.assertEqual(self.where(shunt), ("running", "shadow", 0))
        told = shunt.find_events("state_damaged")
        self.assertEqual(len(told), 1, told)
        self.assertIn("version: 99 is of a later shunt, expected 1 to 2", told[0]["error"])
        self.assertIn("it was set aside as state.json.damaged-1", told[0]["error"])
        self.assertIn("passthrough off unless its file or the environment has it on", told[0]["error"])
        self.assertFalse(shunt.status()["passthrough"])
        with open(path + ".damaged-1", "rb") as f:
            self.assertEqual(f.read(), whole)

    def test_two_processes_do_not_share_a_state_directory(self):
        self.begin(HANDS)
        second = self.shunt(self.text, wait=False)
        self.assertNotEqual(second.wait_exit(), 0)
        self.assertIn(self.state, second.output())

    def test_an_edited_plan_never_moves_the_share_up(self):
        shunt = self.begin(HANDS)
        shunt.verb("plan", "promote", {"force": True})
        shunt.reload(self.text.replace("percent: 10", "percent: 20"))
        self.assertLessEqual(self.where(shunt)[2], 20)
        shunt.reload(self.text.replace("name: canary, percent: 10", "name: other, percent: 40"))
        self.assertLessEqual(self.where(shunt)[2], 20)


class BySelf(StageCase):
    QUICK = ["{ name: shadow, percent: 0, shadow: 100, hold: 300ms }", "{ name: canary, percent: 25, hold: 500ms }",
             "{ percent: 50, hold: 500ms }",
             "{ percent: 100, hold: 500ms }"]

    def test_a_plan_runs_to_its_end_on_passing_gates(self):
        shunt = self.begin(self.QUICK, "auto", mismatch="5%")
        load = self.load(shunt.address, connections=16, users=1000)
        wait_until(lambda: self.where(shunt)[0] == "done", lambda: f"the plan's end; {shunt.route('plan')}", 90)
        result = load.finish()
        self.assertEqual((result["failed"], result["users_to_legacy"]), (0, 0))
        self.assertEqual(self.where(shunt)[2], 100)
        promotions = [line for line in self.audit(shunt) if line["what"] in ("promote", "done")]
        self.assertEqual([line["to"]["percent"] for line in promotions], [25, 50, 100, 100])
        self.assertEqual({line["who"] for line in promotions}, {"plan"})

    def test_it_never_advances_without_evidence(self):
        shunt = self.begin(self.QUICK, "auto")
        time.sleep(2)
        self.assertEqual(self.where(shunt), ("running", "shadow", 0))

    def test_it_never_advances_before_the_hold(self):
        shunt = self.begin(["{ name: a, percent: 10, hold: 3s }", "{ percent: 100 }"], "auto")
        load = self.load(shunt.address, connections=8, users=1000)
        began = time.monotonic()
        self.wait_where(shunt, "running", "100%")
        self.assertGreaterEqual(time.monotonic() - began, 2.5)
        load.finish()

    def test_more_errors_on_new_roll_back(self):
        shunt = self.begin(self.QUICK, "auto")
        self.new.tell("status 500")
        load = self.load(shunt.address, connections=8, users=1000, rate=2000)
        self.wait_where(shunt, "rolled_back")
        load.finish()
        line = [line for line in self.audit(shunt) if line["what"] == "rollback"][-1]
        self.assertEqual((line["who"], line["to"]["percent"]), ("plan", 0))
        self.assertTrue(line["why"])

    def test_mismatches_stop_the_plan_in_its_first_stage(self):
        shunt = self.begin(self.QUICK, "auto", mismatch="1%")
        other = self.fast("different")
        shunt.reload(self.text.replace(self.new.url, other.url))
        load = self.load(shunt.address, connections=8, users=1000, rate=1000)
        wait_until(lambda: self.where(shunt)[0] == "rolled_back" or
                   any(line["what"] == "gate_failed" for line in self.audit(shunt)), "the mismatch gate to fail", 30)
        load.finish()
        self.assertEqual(self.where(shunt)[2], 0)

    def test_manual_promotion_waits_for_a_person(self):
        shunt = self.begin(self.QUICK, "manual")
        load = self.load(shunt.address, connections=8, users=1000)
        wait_until(lambda: shunt.route("plan")["gates"]["verdict"] == "pass",
                   lambda: f"the gates to pass; {shunt.route('plan')}", 60)
        time.sleep(1)
        self.assertEqual(self.where(shunt)[:2], ("running", "shadow"))
        shunt.verb("plan", "promote", {"who": "anna", "reason": "looks good"})
        self.assertEqual(self.where(shunt), ("running", "canary", 25))
        load.finish()

    def test_confirm_waits_for_a_person_in_an_automatic_plan(self):
        stages = [self.QUICK[1].replace("hold", "confirm: true, hold"), self.QUICK[3]]
        shunt = self.begin(stages, "auto")
        load = self.load(shunt.address, connections=8, users=1000)
        wait_until(lambda: any(line["what"] == "waiting_for_promote" for line in self.audit(shunt)),
                   "the plan to ask for a person", 60)
        self.assertEqual(self.where(shunt), ("running", "canary", 25))
        shunt.verb("plan", "promote", {"who": "anna"})
        self.assertEqual(self.where(shunt)[2], 100)
        load.finish()

    def test_pause_holds_an_automatic_plan(self):
        shunt = self.begin(self.QUICK, "auto")
        shunt.verb("plan", "pause", {"reason": "freeze"})
        load = self.load(shunt.address, connections=8, users=1000, rate=2000)
        time.sleep(2)
        self.assertEqual(self.where(shunt), ("paused", "shadow", 0))
        shunt.verb("plan", "resume")
        self.wait_where(shunt, "running", "canary")
        load.finish()


if __name__ == "__main__":
    main()
