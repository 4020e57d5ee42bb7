"""Several shunts that share one plan through a real Redis."""

import json
import os

from harness import Case, wait_until
from redis_peer import Redis

STAGES = "stages: [ { name: a, percent: 10, hold: 1h }, { name: b, percent: 40, hold: 1h }, { name: c, percent: 100 } ]"
BREAKER = ("breaker: { window: 10s, min_requests: 20, error_rate: 20%, error_rate_increase: off, p95_ratio: off, "
           "consecutive_errors: 10, cooldown: 1h }")
QUICK = ["stages: [ { name: a, percent: 20, hold: 300ms }, { name: b, percent: 50, hold: 1h } ]",
         "gates: { min_requests: 60, error_rate_increase: 15%, p95_increase: off, mismatch_rate: off, confidence: 99% }",
         "promotion: auto", "breaker: off"]


class FleetCase(Case):
    """`replicas` of one group in front of the same two backends, with one route, `orders`, unless `keys` says otherwise."""

    def setUp(self):
        super().setUp()
        self.redis = None
        self.replicas = []
        self.others = []  # replicas nobody sends traffic to

    def redis_server(self, **options):
        self.redis = self.peer(Redis(**options))
        return self.redis

    redis_keys = ""  # more keys of state.redis

    def file(self, number, keys=(), redis=None, top=()):
        """`redis`: its url."""
        keys = list(keys) or [STAGES]
        if not any(key.startswith("breaker:") for key in keys):
            keys.append(BREAKER)
        url = redis or self.redis.url()
        lines = ["listeners:", "  - address: 127.0.0.1:0", "admin:", "  address: 127.0.0.1:0", "workers: 1", "access_log: off",
                 *top, "state:", f"  directory: {os.path.join(self.directory, f'state-{number}')}",
                 f'  redis: {{ url: "{url}", group: test, replica: replica-{number}{self.redis_keys} }}', "backends:",
                 f'  legacy: {{ url: "{self.legacy.url}" }}', f'  new: {{ url: "{self.new.url}" }}', "routes:", "  - name: orders",
                 "    match: { path: /** }", "    sticky: [ { header: X-User-Id } ]", *(f"    {key}" for key in keys)]
        return "\n".join(lines) + "\n"

    def begin(self, replicas=3, keys=(), redis=None, top=(), joined=True, legacy=None, new=None):
        """Starts what is missing; waits until all are in the fleet."""
        if self.redis is None and redis is None:
            self.redis_server()
        self.legacy = legacy or self.fast("legacy")
        self.new = new or self.fast("new")
        self.replicas = [self.shunt(self.file(number, keys, redis, top)) for number in range(replicas)]
        if joined:
            self.wait_joined()
        return self.replicas

    def another(self, keys=(), redis=None, top=()):
        self.replicas.append(self.shunt(self.file(len(self.replicas), keys, redis, top)))
        return self.replicas[-1]

    # ---- what they see

    @staticmethod
    def fleet(shunt):
        return shunt.api("GET", "/api/v1/fleet")

    def available(self, shunt):
        return shunt.metric("shunt_redis_available") == 1

    def leader(self):
        """The replica that leads; None while there is none, or more than one."""
        leaders = [shunt for shunt in self.replicas + self.others if shunt.alive() and self.fleet(shunt)["role"] == "leader"]
        return leaders[0] if len(leaders) == 1 else None

    def wait_leader(self):
        return wait_until(self.leader, "one leader")

    def wait_joined(self):
        """One leads, all are connected, and all know of all."""
        def joined():
            seen = [self.fleet(shunt) for shunt in self.replicas + self.others]
            return (sum(one["role"] == "leader" for one in seen) == 1 and all(one["role"] != "cut_off" for one in seen) and
                    all(one["alive"] >= len(self.replicas) for one in seen) and len({one["epoch"] for one in seen}) == 1 and
                    seen[0]["epoch"] > 0)
        wait_until(joined, lambda: f"the fleet to stand: {[self.fleet(shunt) for shunt in self.replicas]}")

    def percents(self, route="orders"):
        return [shunt.route(route)["percent"] for shunt in self.replicas]

    def wait_percent(self, percent, route="orders", timeout=30):
        wait_until(lambda: set(self.percents(route)) == {percent}, lambda: f"{percent} % everywhere: {self.percents(route)}",
                   timeout)

    def passthroughs(self):
        return [shunt.status()["passthrough"] for shunt in self.replicas]

    def wait_passthrough(self, on, timeout=30):
        wait_until(lambda: set(self.passthroughs()) == {on}, lambda: f"passthrough {on} everywhere: {self.passthroughs()}", timeout)

    def wait_agree(self, timeout=30):
        """The promise is within 5 s of the last fault; on a busy machine it may take longer."""
        def view(shunt):
            route = shunt.route("orders")
            return (self.fleet(shunt)["epoch"], route["percent"], route["phase"], route.get("stage"),
                    shunt.status()["passthrough"])
        seen = []

        def agreed():
            seen[:] = [view(shunt) for shunt in self.replicas + self.others]
            return len(set(seen)) == 1 and self.leader() is not None
        wait_until(agreed, lambda: f"all to agree: {seen} {json.dumps([self.fleet(s) for s in self.replicas], indent=1)}", timeout)
        return seen[0]

    # ---- traffic

    def flow(self, rate=100, **options):
        """Steady traffic through every replica; returns the loads."""
        options = {"connections": 2, "users": 200, "rate": rate, **options}
        return [self.load(shunt.address, **options) for shunt in self.replicas]

    def assert_no_failure(self, loads):
        for one in loads:
            result = one.finish()
            self.assertGreater(result["ok"], 0)
            self.assertEqual(result["failed"], 0, result)
