"""shuntctl and the admin API on plans: started, frozen, promoted past what stands in the way, drawn, waited for, remembered."""

import json
import os
import re
import socket
import subprocess
import threading
import time

from harness import BUILD, DEADLINE, Case, config, environment, http_reply, main, wait_until

ROUTES = """\
freeze: 2020-01-01 00:00 - 2099-01-01 00:00 Europe/Berlin
routes:
  - name: planner
    match: { path: /planner/** }
    start: manual
    stages: [ { name: shadow, percent: 0, shadow: 100, hold: 1h }, { name: canary, percent: 10, hold: 1h },
              { percent: 100, hold: 1h } ]
    breaker: off
  - name: executor
    match: { path: /executor/** }
    sticky: [ random ]
    depends_on: [ { route: planner, stage: canary } ]
    stages: [ { name: shadow, percent: 0, shadow: 100, hold: 1h, deadline: 9h, on_deadline: rollback },
              { name: canary, percent: 10, hold: 1h }, { percent: 50, hold: 1h }, { percent: 100, hold: 0s } ]
    gates: { min_requests: 20, error_rate_increase: 5%, mismatch_rate: off }
    on_failure: { to: previous, ramp: 10m }
  - name: rest
    match: { path: /** }
    percent: 25
"""

# What an answer of shunt must have for whoever reads it.
PLAN_MEMBERS = {"share", "ramp", "depends_on", "at_ms", "passthrough", "stage", "stage_index", "stages", "hold", "gates", "why_not",
                "deadline", "on_failure", "steps_back", "breaker", "evidence", "counters", "phase", "percent"}
GATE_MEMBERS = {"gate", "applies", "verdict", "sentence", "evidence", "eta_ms"}
BREAKER_MEMBERS = {"slow_rate", "distinct_keys", "ramp_left_ms", "trips", "state"}


class Relay:
    """A door to shunt's admin server that stays where it is when shunt starts again on another port."""

    def __init__(self, shunt):
        self.shunt = shunt
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.answered = self.refused = 0
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client:
            try:
                with socket.create_connection(self.shunt.admin, timeout=DEADLINE) as server:
                    asked = b""
                    while b"\r\n\r\n" not in asked:  # shuntctl's questions of this test have no body
                        asked += client.recv(65536)
                    server.sendall(asked)
                    while piece := server.recv(65536):
                        client.sendall(piece)
                    self.answered += 1
            except OSError:
                self.refused += 1

    def stop(self):
        self.listener.close()


class Stranger:
    """Something that listens where shunt was expected, and has one answer to all questions."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []  # first line and body of each question
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    @classmethod
    def of(cls, body, kind="application/json", status="200 OK"):
        body = body.encode()
        return cls(f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client:
                asked = b""
                while b"\r\n\r\n" not in asked:
                    asked += client.recv(65536)
                head, _, body = asked.partition(b"\r\n\r\n")
                length = int(re.search(rb"Content-Length: (\d+)", head)[1])
                while len(body) < length:
                    body += client.recv(65536)
                self.asked.append((head.split(b"\r\n")[0].decode(), json.loads(body) if body else None))
                client.sendall(self.answer)

    def stop(self):
        self.listener.close()


class PlanCase(Case):
    def begin(self, token=None):
        self.legacy, self.new = self.fast("legacy"), self.fast("new")
        admin = ""
        if token:
            path = os.path.join(self.directory, "token")
            with open(path, "w", encoding="ascii") as f:
                f.write(token + "\n")
            admin = f"token_file: {path}"
        text = config(self.legacy, self.new, state=os.path.join(self.directory, "state"), admin=admin)
        return self.shunt(text + ROUTES, token=token)

    def refused(self, shunt, path, body, status, code):
        reply = shunt.admin_reply("POST", path, body)
        self.assertEqual(reply.status, status, reply)
        error = reply.json()["error"]
        self.assertEqual(error["code"], code, error)
        self.assertTrue(error["message"] and error["remedy"], error)
        return error

    def waiter(self, shunt, *arguments):
        """`shuntctl status ...` beside the test."""
        command = [os.path.join(shunt.build, "shuntctl"), "--admin", f"{shunt.admin[0]}:{shunt.admin[1]}", "status", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
        process.communicate()

    def assert_ends(self, process, code, said=""):
        out, err = process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, code, (out, err))
        self.assertIn(said, out + err)


class Verbs(PlanCase):
    def test_a_waiting_plan_is_started_by_a_person_once(self):
        shunt = self.begin()
        self.assertEqual(shunt.route("planner")["phase"], "waiting")
        shunt.ctl("start", "planner", "--reason", "CHG-4711", "--who", "anna")
        route = shunt.route("planner")
        self.assertEqual((route["phase"], route["stage"], route["percent"]), ("running", "shadow", 0))
        self.refused(shunt, "/api/v1/routes/planner/start", {}, 409, "already_so")
        self.refused(shunt, "/api/v1/routes/rest/start", {}, 409, "not_possible_now")
        self.refused(shunt, "/api/v1/routes/nowhere/start", {}, 404, "no_such_route")
        line = [e for e in shunt.audit() if e["what"] == "start"]
        self.assertEqual([(e["who"], e["why"], e["from"]["phase"], e["to"]["phase"]) for e in line],
                         [("operator:anna", "CHG-4711", "waiting", "running")])

    def test_a_frozen_plan_stays_until_it_is_resumed(self):
        shunt = self.begin()
        reply = shunt.admin_reply("POST", "/api/v1/routes/executor/freeze", {"who": "anna", "reason": "hands off"})
        self.assertEqual((reply.status, reply.json()["phase"]), (200, "frozen"))
        self.refused(shunt, "/api/v1/routes/executor/freeze", {}, 409, "already_so")
        self.refused(shunt, "/api/v1/routes/executor/promote", {"force": True}, 409, "not_possible_now")
        self.refused(shunt, "/api/v1/routes/planner/freeze", {}, 409, "not_possible_now")
        shunt.restart()
        self.assertEqual(shunt.route("executor")["phase"], "frozen")
        self.assertIn("frozen until a person resumes it", shunt.ctl("plan", "executor"))
        shunt.ctl("resume", "executor", "-m", "it is over")
        self.assertEqual(shunt.route("executor")["phase"], "running")
        line = [e for e in shunt.audit() if e["what"] in ("freeze", "resume")]
        self.assertEqual([(e["what"], e["why"]) for e in line], [("freeze", "hands off"), ("resume", "it is over")])

    def test_new_verbs_need_the_token_the_method_and_known_members(self):
        shunt = self.begin(token="s3cret-token")
        for verb in ("start", "freeze"):
            path = f"/api/v1/routes/planner/{verb}"
            self.assertEqual(shunt.admin_reply("POST", path, {}, headers=["Authorization: Bearer wrong"], token="").status, 401)
            for body in ({"force": True}, {"who": 7}, {"reason": "a\nb"}, [], b"{"):
                reply = shunt.admin_reply("POST", path, body)
                self.assertEqual((reply.status, reply.json()["error"]["code"]), (400, "bad_body"), (verb, body))
            reply = shunt.admin_reply("GET", path)
            self.assertEqual((reply.status, reply.get("allow")), (405, "POST"))
        self.assertEqual(shunt.route("planner")["phase"], "waiting")

    def test_promote_says_all_that_stands_in_the_way(self):
        shunt = self.begin()
        error = self.refused(shunt, "/api/v1/routes/executor/promote", {}, 409, "gate_undecided")
        self.assertEqual(error["verdict"], "undecided")
        self.assertIn(error["obstacles"][0], error["message"])
        self.assertEqual([re.match(r"gate (\w+): undecided: .", o).group(1) for o in error["obstacles"]],
                         ["min_requests", "window", "dependency"])
        done = shunt.ctl("promote", "executor", code=None)
        self.assertEqual(done.returncode, 3)
        for obstacle in error["obstacles"]:
            self.assertIn(obstacle.split(":")[0], done.stderr)
        self.assertEqual(shunt.route("executor")["stage"], "shadow")

    def test_force_says_what_it_went_past_and_the_audit_trail_keeps_it(self):
        shunt = self.begin()
        told = shunt.ctl("promote", "executor", "--force", "-m", "TICKET-12")
        for gate in ("min_requests", "window", "dependency"):
            self.assertRegex(told, rf"past gate {gate} \(undecided\): ")
        promoted = [e for e in shunt.audit() if e["what"] == "promote"][-1]
        self.assertEqual((promoted["why"], promoted["from"]["stage"], promoted["to"]["stage"]), ("TICKET-12", "shadow", "canary"))
        self.assertTrue(promoted["evidence"]["forced"])
        self.assertEqual([p.split()[1] for p in promoted["evidence"]["past"]], ["min_requests", "window", "dependency"])
        reply = shunt.verb("planner", "start") and shunt.verb("planner", "promote", {"force": True})
        self.assertEqual(reply["past"], [e for e in shunt.audit() if e["what"] == "promote"][-1]["evidence"]["past"])
        self.assertIn("past gate window", " ".join(shunt.ctl("history", "executor").split()))


    def test_an_open_breaker_stands_in_the_way_as_well(self):
        shunt = self.begin()
        shunt.ctl("promote", "executor", "--force")
        shunt.ctl("promote", "executor", "--force")
        opens = self.waiter(shunt, "executor", "--wait", "breaker-open", "--timeout", "1m")
        self.new.tell("status 500")
        load = self.load(shunt.address, connections=8, users=400, path="/executor/x", rate=1000)
        self.assert_ends(opens, 0, "breaker open, trip 1/")
        load.finish()
        self.assertEqual(shunt.ctl("status", "executor", "--wait", "healthy", "--timeout", "10ms", code=None).returncode, 3)
        error = shunt.admin_reply("POST", "/api/v1/routes/executor/promote", {}).json()["error"]
        self.assertRegex(error["obstacles"][-1], "^the breaker is open: .")
        told = " ".join(shunt.ctl("promote", "executor", "--force").split())
        self.assertRegex(told, r"past the breaker \(open\): .")
        self.assertEqual(shunt.route("executor")["share"], 0, "force moves the plan, not the breaker")


class Looks(PlanCase):
    def test_a_route_tells_what_the_view_of_a_plan_needs(self):
        shunt = self.begin()
        for name in ("planner", "executor"):
            route = shunt.route(name)
            self.assertLessEqual(PLAN_MEMBERS, set(route), PLAN_MEMBERS - set(route))
            self.assertLessEqual(BREAKER_MEMBERS, set(route["breaker"]))
            for gate in route["gates"]["gates"]:
                self.assertLessEqual(GATE_MEMBERS, set(gate), gate)
        self.assertIsNone(shunt.route("planner")["deadline"])
        self.assertEqual(shunt.route("executor")["deadline"]["action"], "rollback")
        self.assertEqual(shunt.route("executor")["depends_on"], [{"route": "planner", "stage": "canary", "met": False}])
        self.assertLess(abs(shunt.route("rest")["at_ms"] / 1000 - time.time()), 60)

    def test_a_plan_is_drawn_in_80_columns_and_every_phase(self):
        shunt = self.begin()
        steps = (((), "waiting"), (("start", "planner"), "running"), (("pause", "planner"), "paused"),
                 (("freeze", "planner"), "frozen"), (("rollback", "planner"), "rolled back"))
        for step, word in steps:
            if step:
                shunt.ctl(*step)
            for locale, mark in (("C.UTF-8", "\u2591"), ("C", "..")):
                drawn = shunt.ctl("plan", "planner", env={"COLUMNS": "80", "LC_ALL": locale})
                head, why = drawn.split("\n")[:2]
                self.assertIn(f"planner: {word}, stage shadow 1/3", head)
                self.assertTrue(why.startswith("Why not promoted yet: "), why)
                self.assertIn(mark, drawn)
                self.assertNotIn("\x1b", drawn)
                self.assertLessEqual(max(len(line) for line in drawn.split("\n")), 80, drawn)
        shunt.passthrough(True)
        self.assertIn("PASSTHROUGH IS ON", shunt.ctl("plan", "executor"))
        self.assertIn("A fixed share", shunt.ctl("plan", "rest"))

    def test_gates_are_drawn_against_their_limits_once_there_is_evidence(self):
        shunt = self.begin()
        shunt.ctl("promote", "executor", "--force")
        shunt.ctl("promote", "executor", "--force")
        self.assertEqual(shunt.route("executor")["percent"], 50)
        self.load(shunt.address, requests=800, connections=8, users=400, path="/executor/x").wait()
        wait_until(lambda: "value" in [g for g in shunt.route("executor")["gates"]["gates"]
                                       if g["gate"] == "error_rate_increase"][0], "the gate to have measured")
        row = [line for line in shunt.ctl("plan", "executor", env={"LC_ALL": "C"}).split("\n") if "error_rate_increase" in line][0]
        self.assertRegex(row, r"error_rate_increase +(pass|undecided) .* [-o.]*\|[-o.]* +\+5 % ")

    def test_all_plans_in_one_line_each_and_as_json(self):
        shunt = self.begin()
        lines = shunt.ctl("plan").rstrip().split("\n")
        self.assertEqual([line.split()[0] for line in lines], ["ROUTE", "planner", "executor", "rest"])
        self.assertIn("a person has to start the plan", lines[1])
        self.assertEqual([r["name"] for r in json.loads(shunt.ctl("plan", "--json"))], ["planner", "executor", "rest"])
        self.assertEqual(json.loads(shunt.ctl("--json", "plan", "executor"))["stage"], "shadow")
        done = shunt.ctl("plan", "nowhere", code=None)
        self.assertEqual(done.returncode, 1)
        self.assertIn("routes are: planner, executor, rest", done.stderr)

    def test_status_of_a_route_shows_its_plan_as_well(self):
        shunt = self.begin()
        told = shunt.ctl("status", "executor")
        for part in ("Why not promoted yet: ", "STAGE", "GATE", "TRAFFIC", "outcomes on new"):
            self.assertIn(part, told)
        self.assertIn("a person has to start the plan", shunt.ctl("status"))


class Past(PlanCase):
    def test_history_tells_who_what_why_from_where_to_where(self):
        shunt = self.begin()
        shunt.ctl("set-percent", "rest", "30", "-m", "more of it", "--who", "anna")
        told = shunt.ctl("history", "rest")
        self.assertIn("set_percent", told)
        self.assertIn("operator:anna", told)
        self.assertIn("  25 % -> 30 %\n  more of it\n", told)
        self.assertEqual(shunt.ctl("history", "--limit", "1", "--json"), shunt.ctl("history", "rest", "-n", "1", "--json"))

    def test_history_since(self):
        shunt = self.begin()
        shunt.ctl("start", "planner")
        self.assertIn("start", shunt.ctl("history", "--since", "30d"))
        wait_until(lambda: shunt.ctl("history", "--since", "1ms", "--json").strip() == "[]", "the last change to be older")
        self.assertEqual(shunt.ctl("history", "--since", "1ms"), "nothing has changed\n")
        sequences = [e["sequence"] for e in shunt.api("GET", "/api/v1/history?since_ms=3600000&limit=2")["history"]]
        self.assertEqual(sequences, sorted(sequences))
        self.assertEqual(len(sequences), 2)

    def test_wrong_questions_are_told_place_fault_and_remedy(self):
        shunt = self.begin()
        for query in ("since_ms=x", "since_ms=0", "since_ms=-1", "since_ms=", "since_ms=99999999999999", "limit=0", "limit=7x"):
            reply = shunt.admin_reply("GET", f"/api/v1/history?{query}")
            self.assertEqual((reply.status, reply.json()["error"]["code"]), (400, "bad_query"), query)
            self.assertIn(query.split("=")[0], reply.json()["error"]["message"])
        for arguments in (("history", "--since", "yesterday"), ("plan", "a", "b"), ("plan", "--force"), ("start",), ("freeze",),
                          ("start", "planner", "--force"), ("status", "--wait"), ("status", "--wait", "done"),
                          ("status", "executor", "--wait", "done", "--timeout", "soon"), ("plan", "--wait", "done"),
                          ("history", "--limit", "5%"), ("history", "--timeout", "2h")):
            done = shunt.ctl(*arguments, code=None)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertTrue(done.stderr.startswith("shuntctl: "), arguments)
        for command in ("plan", "start", "freeze", "history", "status", "promote"):
            self.assertIn("Examples:", shunt.ctl(command, "--help"))


class Slips(PlanCase):
    """What people type by mistake is told with what there is instead."""

    def test_a_near_name_of_a_route_is_told(self):
        shunt = self.begin()
        for arguments in (("plan", "plannr"), ("pause", "plannr"), ("history", "plannr"), ("report", "plannr")):
            told = shunt.ctl(*arguments, code=None)
            self.assertEqual(told.returncode, 1, arguments)
            self.assertIn('there is no route "plannr"; did you mean planner? routes are: planner, executor, rest', told.stderr)
        told = shunt.ctl("plan", "xyzzy", code=None)
        self.assertIn('there is no route "xyzzy"; routes are: planner', told.stderr)

    def test_a_name_that_is_no_text_is_a_name_that_is_not_there(self):
        """Its bytes stood in the answer as they were, which was then no JSON: 500 without a word."""
        shunt = self.begin()
        for path in ("/api/v1/routes/%FF", "/api/v1/history?route=%FF", "/api/v1/verdict?route=%FF", "/api/v1/report?route=%FF"):
            reply = shunt.admin_reply("GET", path)
            self.assertEqual((reply.status, reply.json()["error"]["code"]), (404, "no_such_route"), path)
        self.refused(shunt, "/api/v1/routes/planner/start", {"x" * 63 + "\u00e4": 1}, 400, "bad_body")
        told = shunt.ctl("plan", "a\x1b[31mb", code=None)
        self.assertEqual(told.returncode, 1)
        self.assertIn('there is no route "a?[31mb"', told.stderr)

    def test_gates_of_a_route_that_is_not_there_have_not_failed(self):
        shunt = self.begin(token="s3cret-token")
        self.assertEqual(shunt.ctl("gates", "nowhere", code=None).returncode, 2)
        self.assertEqual(shunt.ctl("gates", "planner", env={"SHUNT_TOKEN": "x"}, code=None).returncode, 2)

    def test_numbers_and_words_out_of_range_name_their_range(self):
        shunt = self.begin()
        for arguments, said in ((("set-percent", "rest", "101"), "expected 0 to 100 with up to two decimals"),
                                (("set-percent", "rest", "-1"), '"-1" is not a percentage; expected 0 to 100'),
                                (("set-percent", "rest", "12.345"), '"12.345" is not a percentage'),
                                (("set-percent", "rest", "nan"), '"nan" is not a percentage'),
                                (("history", "--limit", "10001"), '"10001" is not a number from 1 to 10000'),
                                (("report", "--samples", "101"), '"101" is not a number from 1 to 100'),
                                (("plan", ""), "argument 1 is empty; expected `shuntctl plan [ROUTE]`"),
                                (("set-percent", "rest", ""), "argument 2 is empty"),
                                (("pause", "rest", "-m", b"\xff"), "--who or --reason is not UTF-8 text"),
                                (("report", "rest", "-m", "why"), "go with --reset only")):
            told = shunt.ctl(*arguments, code=None)
            self.assertEqual(told.returncode, 2, (arguments, told))
            self.assertIn(said, told.stderr)
        self.assertEqual(shunt.route("rest")["percent"], 25)

    def test_what_has_been_started_is_not_told_that_nothing_has_to_be_done(self):
        shunt = self.begin()
        shunt.ctl("freeze", "executor")
        error = self.refused(shunt, "/api/v1/routes/executor/start", {}, 409, "already_so")
        self.assertIn("resume it", error["message"])
        self.assertEqual(error["remedy"], "there is nothing to start")

    def test_a_report_that_is_reset_is_signed(self):
        shunt = self.begin()
        shunt.ctl("report", "--reset", "executor", "--who", "anna", "-m", "totals corrected")
        line = [e for e in shunt.audit() if e["what"] == "report_forgotten"][0]
        self.assertEqual((line["who"], line["why"]), ("operator:anna", "totals corrected"))

    def test_a_misspelt_question_is_not_the_question_for_all(self):
        shunt = self.begin()
        for path, known in (("/api/v1/history?rout=planner", "route, limit, since_ms"), ("/api/v1/audit?n=5", "limit")):
            reply = shunt.admin_reply("GET", path)
            self.assertEqual((reply.status, reply.json()["error"]["code"]), (400, "bad_query"), path)
            self.assertEqual(reply.json()["error"]["remedy"], f"parameters are {known}")

    def test_a_verb_that_is_not_there_is_told_with_those_that_are(self):
        shunt = self.begin()
        error = self.refused(shunt, "/api/v1/routes/planner/paus", {}, 404, "no_such_path")
        self.assertTrue(error["remedy"].startswith("did you mean pause? verbs of a route are: start, promote, "), error)
        self.assertEqual(self.refused(shunt, "/api/v1/route", {}, 404, "no_such_path")["remedy"], "GET / lists the endpoints")

    def test_output_that_is_lost_is_told_and_the_verdict_stays(self):
        shunt = self.begin()
        command = [os.path.join(shunt.build, "shuntctl"), "--admin", f"{shunt.admin[0]}:{shunt.admin[1]}"]
        for arguments, code in ((("status",), 1), (("plan", "--json"), 1), (("gates",), 3), (("watch", "--count", "1"), 1)):
            with open("/dev/full", "wb") as full:
                done = subprocess.run(command + list(arguments), stdout=full, stderr=subprocess.PIPE, text=True,
                                      timeout=DEADLINE, env=environment(), check=False)
            self.assertEqual(done.returncode, code, (arguments, done.stderr))
            self.assertEqual(done.stderr.count("standard output cannot be written: "), 1, (arguments, done.stderr))


class Elsewhere(PlanCase):
    """Another program at the admin address: no script may take its answer for a pass."""

    QUESTIONS = (("gates",), ("gates", "x"), ("promote", "x"), ("plan",), ("plan", "x"), ("status",), ("status", "x"), ("history",),
                 ("audit",), ("routes",), ("config",), ("report",), ("report", "--reset"), ("verdict", "x"), ("passthrough", "status"),
                 ("passthrough", "off"), ("reload",), ("explain", "GET", "/"), ("watch", "--count", "1"),
                 ("status", "--wait", "healthy", "x"), ("fleet",), ("report", "--fleet"))

    def ask(self, stranger, *arguments):
        self.addCleanup(stranger.stop)
        command = [os.path.join(BUILD, "shuntctl"), "--admin", stranger.address, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, env=environment(), check=False)

    def test_json_of_another_program_is_no_answer(self):
        for body in ("{}", "[]", '{"status": "ok"}'):
            for arguments in self.QUESTIONS:
                done = self.ask(Stranger.of(body), *arguments)
                self.assertEqual((done.returncode, done.stdout), (4, ""), (body, arguments, done))
                self.assertIn("not like shunt; is admin.address right? (--admin)", done.stderr)

    def test_what_it_says_does_not_speak_to_the_terminal(self):
        body = json.dumps({"error": {"code": "x", "message": "\x1b[31mred", "remedy": "r\x07", "errors": ["\x1b]0;title"]}})
        done = self.ask(Stranger.of(body, status="409 Conflict"), "pause", "x")
        self.assertEqual((done.returncode, done.stderr), (1, "shuntctl: ?[31mred; r?\n  ?]0;title\n"))

    def test_a_lost_answer_to_a_change_may_have_been_one(self):
        for answer in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"):
            done = self.ask(Stranger(answer), "promote", "x")
            self.assertEqual(done.returncode, 4, done)
            self.assertIn("it may have been done all the same: see `shuntctl history`", done.stderr)
            self.assertNotIn("may have been done", self.ask(Stranger(answer), "plan", "x").stderr)

    def test_a_verdict_of_a_later_shunt_is_no_pass(self):
        route = {"name": "x", "phase": "running", "gates": {"verdict": "perhaps", "gates": []}}
        self.assertEqual(self.ask(Stranger.of(json.dumps(route)), "gates", "x").returncode, 3)


class Ready(PlanCase):
    """The health check of those who have no client of their own."""

    def ask(self, admin, *more):
        done = subprocess.run([os.path.join(BUILD, "shuntctl"), "--admin", admin, "ready", *more], capture_output=True, text=True,
                              timeout=DEADLINE, env=environment(), check=False)
        return done.returncode, done.stdout, done.stderr

    def test_it_follows_readyz_and_needs_no_token(self):
        legacy, new = (self.backend(lambda _: http_reply("{}"), name) for name in ("legacy", "new"))
        shunt = self.shunt(config(legacy, new, "  - name: all\n    percent: 0\n    breaker: off\n"))
        admin = "%s:%d" % shunt.admin
        self.assertEqual(self.ask(admin), (0, "ready\n", ""))
        self.assertEqual(json.loads(self.ask(admin, "--json")[1]), {"ready": True, "answer": "ready"})
        shunt.ctl("drain", "-m", "a look")
        code, said, _ = self.ask(admin)
        self.assertEqual(code, 1, said)
        self.assertRegex(said, "^not ready: .*drain")
        shunt.ctl("drain", "--cancel")
        self.assertEqual(self.ask(admin)[0], 0)
        shunt.stop()
        self.assertEqual(self.ask(admin)[:2], (4, ""))

    def test_a_stranger_is_not_ready(self):
        for body, status in (("ok", "200 OK"), ("{}", "404 Not Found"), ("down", "503 Service Unavailable"), ("ready", "302 Found")):
            stranger = Stranger.of(body, status=status)
            self.addCleanup(stranger.stop)
            code, said, why = self.ask(stranger.address)
            self.assertEqual((code, said), (4, ""), (body, status))
            self.assertIn("no shunt's admin address", why)


class InAFleet(PlanCase):
    """What a shunt with `state.redis` says, from a script."""

    ROUTE = {"name": "x", "phase": "paused", "percent": 0, "effective_percent": 0, "stages": []}
    FLEET = {"group": "shop", "replica": "a/1", "role": "leader", "leader": "a/1", "term": 2, "epoch": 9, "alive": 1, "lag_ms": 40,
             "file": "f", "redis": {"available": True, "server": "redis:6379", "latency_ms": 0.5, "reconnects": 0},
             "replicas": [{"replica": "a/1", "name": "a", "version": "1", "role": "leader", "epoch": 9, "epochs_behind": 0,
                           "seen_ms_ago": 40, "file": "f", "open": []}]}

    def ask(self, *arguments, body, status="200 OK", code=0):
        """Standard output (error where it is refused), and what was asked."""
        stranger = Stranger.of(json.dumps(body), status=status)
        self.addCleanup(stranger.stop)
        command = [os.path.join(BUILD, "shuntctl"), "--admin", stranger.address, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, env=environment(), check=False)
        self.assertEqual(done.returncode, code, done)
        self.assertEqual(len(stranger.asked), 1)
        return done.stdout if code == 0 else done.stdout + done.stderr, stranger.asked[0]

    def test_the_fleet_is_shown(self):
        told, asked = self.ask("fleet", body=self.FLEET)
        self.assertEqual(asked, ("GET /api/v1/fleet HTTP/1.1", None))
        self.assertIn("fleet shop: 1 replica alive, a leads (term 2), epoch 9\n", told)
        self.assertIn("\na (this one)  1        leader      9  same  -              40ms ago\n", told)
        self.assertEqual(json.loads(self.ask("fleet", "--json", body=self.FLEET)[0]), self.FLEET)

    def test_redis_away_is_an_exit_code(self):
        away = {**self.FLEET, "redis": {"available": False, "server": "redis:6379", "last_error": "refused"}, "replicas": []}
        self.assertIn("REDIS IS AWAY (redis:6379: refused)\n", self.ask("fleet", body=away, code=1)[0])
        self.assertEqual(json.loads(self.ask("fleet", "--json", body=away, code=1)[0]), away)
        self.assertIn("CUT OFF, although", self.ask("fleet", body={**self.FLEET, "role": "cut_off"}, code=1)[0])

    def test_no_fleet_is_told_with_what_makes_one(self):
        error = {"error": {"code": "no_fleet", "message": "this shunt decides alone", "remedy": "name a Redis in state.redis"}}
        told, _ = self.ask("fleet", body=error, status="404 Not Found", code=1)
        self.assertEqual(told, "shuntctl: this shunt decides alone; name a Redis in state.redis\n")

    def test_what_the_fleet_will_hear_of_later_is_done_and_said(self):
        told, asked = self.ask("rollback", "x", "-m", "totals", body={**self.ROUTE, "pending": True}, status="202 Accepted")
        self.assertEqual((asked[0], asked[1]["reason"]), ("POST /api/v1/routes/x/rollback HTTP/1.1", "totals"))
        self.assertIn("Redis is away: this holds in this replica alone for now.", told)
        body = {"passthrough": True, "requested": True, "passthrough_sources": ["api", "fleet"]}
        told, asked = self.ask("passthrough", "on", body={**body, "pending": True}, status="202 Accepted")
        self.assertTrue(told.startswith("passthrough is on, held by: api, fleet\nRedis is away: "), told)
        self.assertNotIn("local", asked[1])
        told, asked = self.ask("passthrough", "on", "--local", body=body)
        self.assertEqual(told, "passthrough is on, held by: api, fleet\n")
        self.assertIs(asked[1]["local"], True)
        told, _ = self.ask("rollback", "x", "--json", body={**self.ROUTE, "pending": True}, status="202 Accepted")
        self.assertIs(json.loads(told)["pending"], True)
        # 202 of somebody else
        self.ask("rollback", "x", body={"status": "accepted"}, status="202 Accepted", code=4)

    def test_what_cannot_be_done_without_redis_says_what_can(self):
        error = {"error": {"code": "no_redis", "message": "route x: Redis is away", "remedy": "rollback and passthrough work meanwhile"}}
        for arguments in (("promote", "x"), ("set-percent", "x", "50"), ("passthrough", "off")):
            told, _ = self.ask(*arguments, body=error, status="503 Service Unavailable", code=1)
            self.assertEqual(told, "shuntctl: route x: Redis is away; rollback and passthrough work meanwhile\n")
        conflict = {"error": {"code": "conflict", "message": "route x: somebody changed it meanwhile", "remedy": "look, and ask again"}}
        self.assertIn("changed it meanwhile; look", self.ask("promote", "x", body=conflict, status="409 Conflict", code=1)[0])

    def test_a_report_of_the_fleet_is_asked_for_in_every_form(self):
        for form in ("text", "json", "markdown", "junit", "har", "curl", "rules", "html"):
            told, asked = self.ask("report", "x", "--fleet", "--samples", "3", "--format", form, body={"routes": []})
            self.assertEqual(asked[0], "GET /api/v1/report?route=x&samples=3&fleet=1 HTTP/1.1", form)
            self.assertTrue(told or form in ("har", "curl", "rules"), form)
        self.assertNotIn("fleet", self.ask("report", body={"routes": []})[1][0])

    def test_flags_of_a_fleet_where_they_mean_nothing(self):
        shunt = self.begin()
        for arguments, said in ((("report", "--fleet", "--reset"), "--reset is of one replica"),
                                (("passthrough", "status", "--local"), "--local goes with on and off"),
                                (("promote", "rest", "--local"), "promote takes no --local"),
                                (("status", "--fleet"), "status takes no --fleet"),
                                (("fleet", "orders"), "is one argument too many")):
            told = shunt.ctl(*arguments, code=None)
            self.assertEqual(told.returncode, 2, arguments)
            self.assertIn(said, told.stderr)


class Waiting(PlanCase):
    def test_it_ends_when_the_stage_is_reached_or_passed(self):
        shunt = self.begin()
        waiter = self.waiter(shunt, "--wait", "canary", "executor")
        later = self.waiter(shunt, "executor", "--wait", "stage:50%", "--timeout", "1h")
        shunt.ctl("promote", "executor", "--force")
        self.assert_ends(waiter, 0, "executor: running, stage canary 2/4")
        self.assertIsNone(later.poll())
        shunt.ctl("promote", "executor", "--force")
        self.assert_ends(later, 0)
        shunt.ctl("status", "--wait", "canary", "executor")
        self.assertEqual(json.loads(shunt.ctl("status", "--wait", "running", "executor", "--json"))["stage"], "50%")

    def test_a_rollback_ends_a_wait_for_more(self):
        shunt = self.begin()
        waiters = [self.waiter(shunt, "executor", "--wait", state) for state in ("done", "canary", "healthy")]
        fallen = self.waiter(shunt, "executor", "--wait", "rolled_back")
        # `healthy` is reached at once, the others wait
        self.assert_ends(waiters.pop(), 0)
        shunt.ctl("rollback", "executor", "-m", "wrong totals")
        for waiter in waiters:
            self.assert_ends(waiter, 1, "any more unless a person steps in: the plan is rolled back until a person resumes it: rollback by ")
        self.assert_ends(fallen, 0)

    def test_phases_and_breaker(self):
        shunt = self.begin()
        codes = lambda *a: shunt.ctl("status", *a, "--timeout", "10ms", code=None).returncode
        for state, route, code in (("waiting", "planner", 0), ("running", "planner", 3), ("done", "planner", 3),
                                   ("breaker-closed", "planner", 1), ("breaker-closed", "executor", 0),
                                   ("breaker-open", "executor", 3), ("healthy", "rest", 0), ("done", "rest", 1),
                                   ("paused", "executor", 3), ("frozen", "executor", 3)):
            self.assertEqual(codes("--wait", state, route), code, (state, route))
        shunt.ctl("freeze", "executor")
        self.assertEqual(codes("--wait", "frozen", "executor"), 0)
        self.assertEqual(codes("--wait", "healthy", "executor"), 3)

    def test_what_does_not_exist_is_a_wrong_question(self):
        shunt = self.begin(token="s3cret-token")
        told = shunt.ctl("status", "--wait", "canry", "executor", code=None)
        self.assertEqual(told.returncode, 2)
        self.assertIn("expected shadow, canary, 50%, 100%, running, ", told.stderr)
        self.assertEqual(shunt.ctl("status", "--wait", "canary", "nowhere", code=None).returncode, 2)
        self.assertEqual(shunt.ctl("status", "--wait", "canary", "executor", env={"SHUNT_TOKEN": "x"}, code=None).returncode, 2)

    def test_time_over_and_nobody_there(self):
        shunt = self.begin()
        told = shunt.ctl("status", "--wait", "done", "--timeout", "20ms", "executor", code=None)
        self.assertEqual(told.returncode, 3)
        self.assertIn('executor is not at "done" within 20ms: it depends on another route', told.stderr)
        for more in ((), ("--timeout", "20ms")):
            self.assertEqual(shunt.ctl("status", "--wait", "done", *more, "executor", "--admin", "127.0.0.1:1",
                                       code=None).returncode, 4)

    def test_it_outlives_a_restart_of_shunt(self):
        shunt = self.begin()
        relay = Relay(shunt)
        self.addCleanup(relay.stop)
        command = [os.path.join(shunt.build, "shuntctl"), "--admin", relay.address, "status", "--wait", "canary", "executor"]
        waiter = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
        self.addCleanup(self.end, waiter)
        wait_until(lambda: relay.answered > 0, "the first question to be answered")
        shunt.signal(15)
        self.assertEqual(shunt.wait_exit(), 0)
        wait_until(lambda: relay.refused > 0, "a question that nobody answers")
        self.assertIsNone(waiter.poll())
        shunt.start()
        shunt.ctl("promote", "executor", "--force")
        self.assert_ends(waiter, 0, "executor: running, stage canary 2/4")


if __name__ == "__main__":
    main()
