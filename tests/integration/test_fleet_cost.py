"""What a fleet costs Redis: memory with 500 replicas at every bound, commands in the quiet state and under load; and what it
costs a request, which asks Redis nothing."""

import itertools
import json
import os
import threading
import time

from fleet import FleetCase
from harness import Case, main, wait_until
from redis_peer import Redis
from test_fleet_script import Group

MIB = 2**20
REPLICAS, ROUTES = 500, 16
# What a shunt sends by itself; the rest of Redis' statistics are the script's own calls, and the test's.
SENT = ("evalsha", "eval", "ping", "subscribe", "hello", "auth", "select", "role", "client|setname", "asking")


def pieces(fields, size=4000):
    """A dictionary in several."""
    rest = iter(fields.items())
    while piece := dict(itertools.islice(rest, size)):
        yield piece


class Keyspace(Case):
    """500 simulated replicas send by the script what real ones would, and each bound is reached."""

    def setUp(self):
        super().setUp()
        self.redis = self.peer(Redis())
        self.group = Group(self.redis, "orders")
        self.addCleanup(self.group.connection.close)
        self.routes = [f"route-{number:02}" for number in range(ROUTES)]
        self.sequence = 0

    def used(self):
        facts = self.group.connection.ask("INFO", "memory")
        return int(next(line for line in facts.splitlines() if line.startswith("used_memory:")).split(":")[1])

    @staticmethod
    def replica(number):
        return f"orders-7c9f8d6b5-{number:05}/{number * 2654435761 % 2**32:08x}"

    def beat(self, number=0, **more):
        answer = self.group.beat(self.replica(number), lead=number == 0, **more)
        self.assertNotIn("error", answer)
        return answer

    def tell(self, routes=(), report=None, samples=(), number=0):
        self.sequence += 1
        counts = {"seq": self.sequence, "routes": [row for _, row in routes], "report": report or {}, "samples": list(samples)}
        self.beat(number, routes=[name for name, _ in routes], counts=counts)

    def fill_evidence(self, fields, window_fields):
        for route in self.routes:
            for add in pieces(fields):
                self.tell([(route, {"entry": 3, "add": add, "bits": list(range(0, 16384, 2)), "window": None})])
            for add in pieces(window_fields):
                self.tell([(route, {"entry": 3, "add": {}, "bits": [], "window": {"bucket_ms": 60000, "keep": 12, "add": add}})])

    def fill_replicas(self, view, opened):
        for number in range(REPLICAS):
            self.sequence += 1
            self.beat(number, view=view, open=opened, counts={"seq": self.sequence, "routes": [], "report": {}, "samples": []})

    def fill_log(self, changes, text, log):
        known = {}
        for number in range(changes):
            name = ["passthrough", *(f"route:{route}" for route in self.routes)][number % (ROUTES + 1)]
            version, past = known.get(name, (0, ""))
            answer = self.group.change("person", [name, version, number % 10000, 1, text, past], log=[log])
            self.assertTrue(answer["ok"], answer)
            known[name] = (answer["items"][0][1], answer["items"][0][5])

    def sizes(self):
        found = {}
        for key in self.group.connection.ask("KEYS", "*"):
            kind = key.split(":")[2]
            found[kind] = found.get(kind, 0) + self.group.connection.ask("MEMORY", "USAGE", key, "SAMPLES", 0)
        return {kind: f"{size / MIB:.2f} MiB" for kind, size in sorted(found.items())}

    def check(self, before, least, most):
        used = (self.used() - before) / MIB
        print(f"    {used:.1f} MiB {self.sizes()}")
        self.assertGreater(used, least, "less than what was told: the bounds were not reached")
        self.assertLess(used, most)
        self.assertEqual(self.group.connection.ask("HLEN", self.group.prefix + "replicas"), REPLICAS)

    @staticmethod
    def text(size):
        return json.dumps({"x": "y" * (size - len('{"x": ""}'))})

    def test_every_bound_is_below_64_mib(self):
        before = self.used()
        evidence = {f"{side}.c.{part}.{bucket}": 10**7 + bucket for side in "ln" for part in range(16) for bucket in range(300)}
        window = {f"n.e.{number:08x}": 1000 + number for number in range(9000)}
        self.fill_evidence(evidence, window)
        for report in pieces({f"{number:08x}.{'x' * 280}": 10**6 + number for number in range(21000)}, 2000):
            self.tell(report=report)
        for number in range(210):
            self.tell(samples=[f"{number:05}" + "s" * (16384 - 5)])
        self.fill_log(1100, self.text(6144), self.text(6144))
        self.fill_replicas(self.text(4096), {route: "w" * 400 for route in self.routes})
        self.check(before, 40, 64)
        bound = {key: self.group.connection.ask("HLEN", self.group.prefix + key) for key in ("e:route-00", "report")}
        self.assertEqual(bound["e:route-00"], 8192)
        self.assertLessEqual(bound["report"], 20001)

    def test_the_usual_case_is_far_below(self):
        before = self.used()
        evidence = {f"{side}.h.{bucket}": 10**6 for side in "ln" for bucket in range(60)} | {
            f"{side}.c.{part}.{bucket}": 10**6 for side in "ln" for part in range(16) for bucket in range(25)}
        window = {f"{side}.{what}": 1000 for side in "ln" for what in "jes"}
        self.fill_evidence(evidence, window)
        for report in pieces({f"{number:08x}.counter": 10**6 + number for number in range(5000)}, 1000):
            self.tell(report=report)
        for number in range(200):
            self.tell(samples=["s" * 4096])
        self.fill_log(1000, self.text(1000), self.text(400))
        self.fill_replicas(self.text(170), {})
        self.check(before, 2, 8)


class Commands(FleetCase):
    def sent(self, shunt):
        return shunt.metric("shunt_redis_commands_total")

    def received(self):
        counted = self.redis.commands()
        return sum(counted.get(name, 0) for name in SENT)

    def test_the_quiet_state_costs_two_a_second(self):
        self.begin(3)
        time.sleep(2)  # what starting costs is over; looking at the fleet would cost commands
        before, since = sum(map(self.sent, self.replicas)), time.monotonic()
        time.sleep(8)
        per = (sum(map(self.sent, self.replicas)) - before) / (time.monotonic() - since) / 3
        self.assertLessEqual(per, 2.0)
        self.assertGreater(per, 1.0)

    def wild(self, stopping):
        """People who change the share all the time, breakers that open and close, everybody's passthrough."""
        for number in itertools.count():
            if stopping.is_set():
                return
            shunt = self.replicas[number % 3]
            shunt.admin_reply("POST", "/api/v1/routes/orders/set-percent", {"percent": 20 + number % 70, "who": "wild"})
            shunt.admin_reply("POST", "/api/v1/passthrough", {"on": number % 2 == 0, "reason": "wild"})
            shunt.admin_reply("POST", "/api/v1/routes/orders/reset-breaker", {"who": "wild"})

    def test_any_load_costs_at_most_twenty_a_second(self):
        self.begin(3, ["percent: 50", "breaker: { window: 1s, min_requests: 5, error_rate: 10%, error_rate_increase: off, "
                       "p95_ratio: off, consecutive_errors: 3, cooldown: 1s, max_trips: 1000 }",
                       "shadow: { percent: 100 }"])
        loads = self.flow(rate=300)
        stopping = threading.Event()
        people = [threading.Thread(target=self.wild, args=(stopping,), daemon=True) for _ in range(2)]
        self.addCleanup(stopping.set)
        for one in people:
            one.start()
        first = {shunt: self.sent(shunt) for shunt in self.replicas}
        received, begun, most = self.received(), time.monotonic(), 0
        for number in range(8):
            self.new.tell("status 500" if number % 2 else "ok")
            since = time.monotonic()
            before = [self.sent(shunt) for shunt in self.replicas]
            wait_until(lambda: time.monotonic() - since > 1, "a second")
            after = [self.sent(shunt) for shunt in self.replicas]
            seconds = time.monotonic() - since
            for a, b in zip(before, after):
                most = max(most, (b - a) / seconds)
                self.assertLessEqual(b - a, 20 * seconds)
        received, seconds = self.received() - received, time.monotonic() - begun
        sent = sum(self.sent(shunt) - first[shunt] for shunt in self.replicas)
        stopping.set()
        for one in people:
            one.join(30)
        for one in loads:
            one.finish()
        print(f"    {sent / seconds / 3:.1f} a second and replica, {most:.1f} in one second at most")
        self.assertGreater(sent / seconds / 3, 3, "this was no load")
        self.assertLessEqual(received / seconds / 3, 20)
        self.assertLess(abs(sent - received), 20 + 0.1 * received, "the metric counts what Redis is sent")


class Requests(FleetCase):
    """What workers go by is in their own memory."""

    def test_requests_ask_redis_nothing(self):
        a, = self.begin(1)
        since, before = time.monotonic(), a.metric("shunt_redis_commands_total")
        result = self.load(a.address, connections=8, users=200, requests=3000).wait()
        asked, seconds = a.metric("shunt_redis_commands_total") - before, time.monotonic() - since
        self.assertEqual((result["ok"], result["failed"]), (3000, 0), result)
        self.assertLessEqual(asked, 20 * (seconds + 1), "by time, not by requests")

    def test_requests_do_not_wait_for_a_redis_that_hangs(self):
        a, = self.begin(1)
        self.redis.pause()
        result = self.load(a.address, connections=8, users=200, requests=3000).wait()
        self.assertEqual((result["ok"], result["failed"]), (3000, 0), result)
        wait_until(lambda: not self.available(a), "the hang to be noticed")
        result = self.load(a.address, connections=8, users=200, requests=3000).wait()
        self.redis.resume()
        self.assertEqual((result["ok"], result["failed"]), (3000, 0), result)


if __name__ == "__main__":
    main()
