"""Everything at once, for the thread sanitizer: load of every kind over several workers while the file is reloaded, verbs come,
passthrough flips, backends misbehave and every request is mirrored. No request may be answered wrongly."""

import random
import time

from harness import SLOW_BUILD, Case, config, main, wait_until

SECONDS = 12
ROUTE = """\
  - name: all
    match: {{ path: /** }}
    sticky: [ {{ header: X-User-Id }}, random ]
    stages:
      - {{ percent: {first}, shadow: 100, hold: 50ms }}
      - {{ percent: 50, shadow: 50, hold: 50ms }}
      - {{ percent: 100, shadow: 20, hold: 50ms }}
    promotion: auto
    gates: {{ min_requests: 10, error_rate_increase: 50%, p95_increase: off, mismatch_rate: off }}
    breaker: {{ consecutive_errors: 20, cooldown: 100ms, max_trips: 0 }}
    shadow: {{ methods: ["*"], timeout: 500ms, max_in_flight: 64 }}
    fallback: {{ on: [connect, timeout, 5xx, reset], methods: ["*"] }}
"""


class Torture(Case):
    def test_everything_at_once(self):
        chance = random.Random(4711)
        legacy, new = self.fast("legacy"), self.fast("new")
        state = f"{self.directory}/state"
        file = lambda first: config(legacy, new, ROUTE.format(first=first), state=state, workers=3,
                                    top="access_log: { sample: 10% }")
        shunt = self.shunt(file(5))
        loads = {
            "kept": self.load(shunt.address, connections=12, users=300),
            "fresh": self.load(shunt.address, connections=4, users=300, fresh=True, rate=300),
            "large": self.load(shunt.address, connections=3, path="/chunked/200000", verify=True),
            "uploads": self.load(shunt.address, connections=3, method="POST", body=60000, verify=True),
            "chunked uploads": self.load(shunt.address, connections=2, method="PUT", body=60000, chunked=True,
                                         verify=True),
        }
        end = time.monotonic() + SECONDS
        turns = 0
        while time.monotonic() < end or turns <= 50:  # a busy machine takes longer for as much
            turns += 1
            what = chance.randrange(9)
            if what == 0:
                self.assertEqual(shunt.reload(file(chance.randrange(20)))["event"], "reloaded")
            elif what == 1:
                shunt.passthrough(chance.random() < 0.4)
            elif what == 2:
                shunt.admin_reply("POST", "/api/v1/routes/all/" + chance.choice(["promote", "pause", "resume",
                                                                                 "restart", "reset-breaker"]), {})
            elif what == 3:
                shunt.admin_reply("POST", "/api/v1/routes/all/set-percent", {"percent": chance.randrange(101)})
            elif what == 4:
                shunt.metrics()
                shunt.report()
                shunt.status()
            elif what == 5:
                new.tell(chance.choice(["status 500", "delay 30", "ok", "ok"]))
            elif what == 6:
                for _ in range(5):  # clients that leave in the middle
                    with shunt.client() as client:
                        client.send("GET /chunked/500000 HTTP/1.1\r\nHost: a\r\n\r\n")
                        client.read_some()
                        client.reset()
            elif what == 7:
                shunt.api("POST", "/api/v1/explain", {"path": "/x", "headers": {"X-User-Id": str(turns)}})
            else:
                shunt.admin_reply("POST", "/api/v1/routes/all/rollback", {})
            time.sleep(0.02)
        new.tell("ok")
        shunt.passthrough(False)
        for name, one in loads.items():
            result = one.finish()
            self.assertGreater(result["ok"], 20, name)
            self.assertEqual(result["failed"], 0, (name, result))
        wait_until(lambda: shunt.metric("shunt_requests_in_flight") == 0, "no request under way")
        wait_until(lambda: shunt.metric("shunt_shadow_copies_in_flight") == 0, "no copy under way")
        shunt.stop(timeout=90 if SLOW_BUILD else 40)

    def test_start_load_and_end_again_and_again(self):
        legacy, new = self.fast("legacy"), self.fast("new")
        for _ in range(6):
            shunt = self.shunt(config(legacy, new, ROUTE.format(first=50), workers=4, top="access_log: off"))
            load = self.load(shunt.address, connections=8, users=50)
            time.sleep(0.3)
            shunt.stop()
            load.finish()


if __name__ == "__main__":
    main()
