"""kill -9 at random instants: what was answered is kept, and state and audit trail agree about everything else."""

import hashlib
import json
import os
import random
import subprocess
import threading
import time

from harness import BUILD, SLOW_BUILD, Case, Client, Ended, config, main, wait_until

TIMES = 100
MOVING_TIMES = 120 if SLOW_BUILD else 500
ROUTE = "  - name: plan\n    match: { path: /** }\n    percent: 0\n    breaker: off\n"


class Crash(Case):
    def change_for_ever(self, shunt, known):
        """Sets one percentage after the other, on one connection, and writes down what was asked and what was answered."""
        try:
            with Client(shunt.admin) as client:
                while True:
                    value = known["asked"] % 9999 + 1
                    known["asked"] = value
                    body = json.dumps({"percent": value / 100, "who": "crash"})
                    reply = client.ask(f"POST /api/v1/routes/plan/set-percent HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                                       f"Content-Length: {len(body)}\r\n\r\n{body}")
                    if reply.truncated:
                        return
                    assert reply.status == 200, reply
                    known["answered"] = value
                    known["changes"] += 1
        except (OSError, AssertionError) as error:
            if isinstance(error, AssertionError) and "connection" not in str(error):
                known["error"] = str(error)

    def test_kill_9_at_random_instants(self):
        seed = int.from_bytes(os.urandom(4), "little")
        chance = random.Random(seed)
        state = os.path.join(self.directory, "state")
        shunt = self.shunt(config("http://127.0.0.1:9", "http://127.0.0.1:9", ROUTE, state=state, workers=1))
        known = {"asked": 0, "answered": 0, "changes": 0}
        for turn in range(10 * TIMES):
            if turn >= TIMES and known["changes"] > TIMES // 2:  # a busy machine gets to fewer in a turn
                break
            context = f"turn {turn}, seed {seed}, {known}"
            thread = threading.Thread(target=self.change_for_ever, args=(shunt, known), daemon=True)
            changes = known["changes"] + chance.randrange(4)
            thread.start()
            wait_until(lambda least=changes, made=thread: known["changes"] >= least or not made.is_alive(), f"changes; {context}", every=0.001)
            time.sleep(chance.random() * 0.02)
            shunt.kill()
            thread.join(10)
            self.assertNotIn("error", known, context)
            with open(os.path.join(state, "audit.jsonl"), "rb") as f:
                lines = f.read().split(b"\n")
            for line in lines[:-1]:
                json.loads(line)
            shunt.start()
            percent = round(shunt.route("plan")["percent"] * 100)
            self.assertIn(percent, (known["answered"], known["asked"]), context)
            known["asked"] = known["answered"] = percent
            self.assertEqual([name for name in os.listdir(state) if "damaged" in name], [], context)
            if turn % 20 == 0:
                shunt.admin_reply("POST", "/api/v1/routes/plan/pause", {})
        self.assertGreater(known["changes"], TIMES // 2, f"too few changes to mean anything; seed {seed}")
        shunt.stop()
        with open(os.path.join(state, "audit.jsonl"), "rb") as f:
            text = f.read()
        self.assertTrue(text.endswith(b"\n"))
        sequence = [json.loads(line)["sequence"] for line in text.splitlines()]
        self.assertEqual(sequence, sorted(sequence))
        self.assertGreaterEqual(len(sequence), known["changes"], "every answered change is in the trail")

    def test_a_torn_audit_line_is_repaired(self):
        state = os.path.join(self.directory, "state")
        shunt = self.shunt(config("http://127.0.0.1:9", "http://127.0.0.1:9", ROUTE, state=state))
        shunt.verb("plan", "set-percent", {"percent": 5, "reason": "first"})
        shunt.kill()
        with open(os.path.join(state, "audit.jsonl"), "ab") as f:
            f.write(b'{"sequence": 99, "what": "to')
        shunt.start()
        shunt.verb("plan", "set-percent", {"percent": 6, "reason": "second"})
        shunt.stop()
        with open(os.path.join(state, "audit.jsonl"), "rb") as f:
            whys = [json.loads(line).get("why") for line in f.read().splitlines()]
        self.assertIn("first", whys)
        self.assertEqual(whys[-1], "second")

    def test_kill_9_under_load_and_with_passthrough(self):
        """Passthrough is state, too: on before the kill is on after it."""
        backend = self.fast()
        state = os.path.join(self.directory, "state")
        shunt = self.shunt(config(backend, backend, ROUTE, state=state, top="access_log: off"))
        for on in (True, False, True):
            shunt.passthrough(on)
            load = self.load(shunt.address, connections=8)
            time.sleep(0.1)
            shunt.kill()
            load.finish()
            shunt.start()
            self.assertEqual(shunt.status()["passthrough"], on)


# Two plans of which one depends on the other, with every way up and down, and a fixed share. An override sends requests to
# new whatever its share, so that a few bad answers fail a gate and open a breaker.
MOVING = """\
  - name: first
    match: { host: first }
    sticky: [ random ]
    overrides: [ { header: { X-Test: new }, backend: new }, { header: { X-Test: legacy }, backend: legacy } ]
    stages: [ { name: a, percent: 10, hold: 50ms }, { name: b, percent: 40, hold: 50ms, gates: { error_rate: 40% } },
              { name: c, percent: 70, hold: 20ms } ]
    promotion: auto
    gates: { min_requests: 1, error_rate_increase: off, p95_increase: off, mismatch_rate: off, confidence: 50% }
    on_failure: { to: zero, ramp: 150ms }
    breaker: { window: 1s, consecutive_errors: 8, min_distinct_keys: 0, error_rate: off, error_rate_increase: off, p95_ratio: off,
               cooldown: 30ms, trial_requests: 1, ramp: 100ms, max_trips: 5 }
  - name: second
    match: { host: second }
    sticky: [ random ]
    overrides: [ { header: { X-Test: new }, backend: new }, { header: { X-Test: legacy }, backend: legacy } ]
    depends_on: [ { route: first, stage: b } ]
    stages: [ { name: a, percent: 20, hold: 20ms }, { percent: 50, hold: 20ms, deadline: 60ms, on_deadline: rollback },
              { percent: 90, hold: 20ms } ]
    promotion: auto
    gates: { min_requests: 1, error_rate_increase: off, p95_increase: off, mismatch_rate: off }
    on_failure: { to: previous, ramp: 200ms, retries: 2 }
    breaker: off
  - name: fixed
    match: { path: /** }
    percent: 5
    breaker: off
"""

VERBS = (("promote", {"force": True}), ("promote", {}), ("pause", {}), ("resume", {}), ("rollback", {}), ("restart", {}),
         ("freeze", {}), ("reset-breaker", {}), ("set-percent", None), ("set-percent", None))


class Trail:
    """The audit trail as its lines say it: what each route must be like now, and whether they may follow each other."""

    def __init__(self, path):
        self.path = path
        self.at = 0  # bytes read
        self.check = ""  # of the last line
        self.lines = []
        self.plans = {}  # route: newest "to"
        self.breakers = {}
        self.sources = []
        self.whys = set()

    def read(self):
        """Reads on. True when there was something."""
        with open(self.path, "rb") as f:
            f.seek(self.at)
            text = f.read()
        whole = text[: text.rfind(b"\n") + 1]
        self.at += len(whole)
        for line in whole.split(b"\n")[:-1]:
            self.follow(line)
        return len(whole) > 0

    def wait_lines(self, count, timeout):
        """Until so many lines have come that were not read, or it is not worth waiting."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            with open(self.path, "rb") as f:
                f.seek(self.at)
                if f.read().count(b"\n") >= count:
                    return
            time.sleep(0.002)

    def follow(self, text):
        line = json.loads(text)
        said = b',"check":"' + line["check"].encode() + b'"}'
        assert text.endswith(said), text
        self.check = hashlib.sha256(self.check.encode() + text[: -len(said)] + b"}").hexdigest()[:32]
        assert line["check"] == self.check, f"the chain breaks at {text}"
        assert line["sequence"] == len(self.lines) + 1, f"{self.lines[-1:]}, then {text}"
        self.lines.append(line)
        self.whys.add(line["why"])
        to = line["to"] or {}
        if "phase" in to:
            self.follow_plan(line)
        elif "breaker" in to:
            before = self.breakers.get(line["route"], {"breaker": "closed", "trips": 0})
            assert line["from"]["trips"] == before["trips"], f"{before}, then {text}"
            self.breakers[line["route"]] = to
        elif "sources" in to:
            self.sources = to["sources"]

    def follow_plan(self, line):
        where = lambda plan: (plan["phase"], plan["stage"], plan["percent"])
        before, begin, end = self.plans.get(line["route"]), line["from"], line["to"]
        if before is not None:
            assert where(before) == where(begin), f"{before}, then {line}"
            assert line["what"] not in ("route_added", "reload"), f"the file was never edited: {line}"
            passed = line["who"] == "plan" and line["evidence"]["verdict"] == "pass" if line.get("evidence") else False
            assert end["percent"] <= begin["percent"] or line["who"].startswith("operator:") or passed, f"share up: {line}"
        self.plans[line["route"]] = end


class Moving(Case):
    """Plans that move all the time: by evidence, by people, by the breaker, with each other, up, down and on their way."""

    def ask_for_ever(self, shunt, stop):
        """Good and bad answers of new, in turns, and good ones of legacy."""
        try:
            with Client(shunt.address) as client:
                for turn in range(10**9):
                    path = "/status/500" if turn % 32 in (*range(8, 14), *range(20, 32)) else "/"
                    for route in ("first", "second"):
                        client.get(host=route, headers=["X-Test: legacy"])
                        client.get(path if route == "first" else "/", host=route, headers=["X-Test: new"])
                    if stop.is_set():
                        return
        except (OSError, Ended):
            pass

    def command_for_ever(self, shunt, seed, number, answered, faults):
        """One verb after the other, and the whys of those that were done."""
        chance = random.Random(seed)
        try:
            with Client(shunt.admin) as client:
                for turn in range(10**9):
                    why = f"{seed}-{number}-{turn}"
                    verb, body = chance.choice(VERBS)
                    path = f"routes/{chance.choice(('first', 'first', 'second', 'fixed'))}/{verb}"
                    if body is None:
                        body = {"percent": chance.randrange(10000) / 100}
                    if chance.random() < 0.05:
                        path, body = "passthrough", {"on": chance.random() < 0.4}
                    text = json.dumps({**body, "who": f"crash{number}", "reason": why})
                    reply = client.ask(f"POST /api/v1/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                                       f"Content-Length: {len(text)}\r\n\r\n{text}")
                    if reply.truncated:
                        return
                    if reply.status == 200 and path != "passthrough":  # a switch that is on already is no change
                        answered.append(why)
                    elif reply.status not in (200, 409):
                        faults.append(f"{path} {text}: {reply}")
        except (OSError, Ended):
            pass

    def agreed(self, shunt, trail):
        """Status and trail of the same moment: the plans may already move again."""
        for _ in range(200):
            trail.read()
            status = shunt.status()
            if not trail.read():
                return status
        raise AssertionError("the plans never stand still")

    def compare(self, shunt, trail, context):
        status = self.agreed(shunt, trail)
        self.assertEqual("api" in status["passthrough_sources"], "api" in trail.sources, context)
        for route in status["routes"]:
            name = route["name"]
            said = trail.plans[name]
            self.assertEqual((route["phase"], route.get("stage"), route["percent"]),
                             (said["phase"], said["stage"], said["percent"]), f"{name}: {context}")
            most = max(said["percent"], said.get("ramp", {}).get("from", 0))
            self.assertLessEqual(route["share"], most, f"{name}: {said} {context}")
            breaker = trail.breakers.get(name, {"breaker": "closed", "trips": 0})
            self.assertEqual((route["breaker"]["state"] == "closed", route["breaker"]["trips"]),
                             (breaker["breaker"] == "closed", breaker["trips"]), f"{name}: {context}")

    def test_state_and_audit_agree_whenever_it_is_killed(self):
        seed = int.from_bytes(os.urandom(4), "little")
        chance = random.Random(seed)
        state = os.path.join(self.directory, "state")
        legacy, new = self.fast("legacy"), self.fast("new")
        shunt = self.shunt(config(legacy, new, MOVING, state=state, workers=1, top="access_log: off"))
        trail = Trail(os.path.join(state, "audit.jsonl"))
        wanted, faults, behind = [], [], 0
        for turn in range(MOVING_TIMES):
            context = f"turn {turn}, seed {seed}"
            stop, answered = threading.Event(), []
            if turn % 3 == 0:  # left to themselves
                shunt.passthrough(False)
                for route in ("first", "second"):
                    shunt.verb(route, "restart", {"who": "crash", "reason": "go"})
            threads = [threading.Thread(target=self.ask_for_ever, args=(shunt, stop), daemon=True)]
            threads += [threading.Thread(target=self.command_for_ever, args=(shunt, seed + turn, i, answered, faults), daemon=True)
                        for i in range(turn % 3)]
            for thread in threads:
                thread.start()
            trail.wait_lines(chance.randrange(1, 6), 0.3)
            time.sleep(chance.random() * 0.02)
            shunt.kill()
            stop.set()
            for thread in threads:
                thread.join(20)
            self.assertEqual(faults, [], context)
            wanted += answered
            shunt.start()
            behind += len(shunt.find_events("state_replayed"))
            self.compare(shunt, trail, context)
            self.assertEqual(set(wanted) - trail.whys, set(), f"answered and not in the trail; {context}")
            self.assertEqual([name for name in os.listdir(state) if "damaged" in name], [], context)
        whats = [line["what"] for line in trail.lines]
        for what in ("promote", "step_back", "rollback", "breaker_open", "breaker_closed", "set_percent", "freeze", "passthrough_on"):
            self.assertIn(what, whats, f"nothing was tried; seed {seed}")
        self.assertGreater(behind, 0, f"no kill came between trail and state; seed {seed}")
        by_plan = [line for line in trail.lines if line["who"] == "plan" and line["what"] == "promote"]
        self.assertGreater(len(by_plan), MOVING_TIMES // 100, f"no stage passed by itself; seed {seed}")
        shunt.stop()
        trail.read()
        done = subprocess.run([os.path.join(BUILD, "shuntctl"), "audit", "verify", state], capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done)
        print(f"    {MOVING_TIMES} kills, {len(trail.lines)} lines, {len(wanted)} answered verbs, {behind} states behind", flush=True)


if __name__ == "__main__":
    main()
