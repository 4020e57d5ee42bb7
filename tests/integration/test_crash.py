"""kill -9 at random instants, 200 times: the state that loads is one of the two last written, and the audit trail is whole lines."""

import json
import os
import random
import threading
import time

from harness import Case, Client, config, main

TIMES = 200
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
        for turn in range(TIMES):
            context = f"turn {turn}, seed {seed}, {known}"
            thread = threading.Thread(target=self.change_for_ever, args=(shunt, known), daemon=True)
            thread.start()
            time.sleep(chance.random() * 0.06)
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


if __name__ == "__main__":
    main()
