"""How fast a fleet moves together: 20 shunts and one Redis on this machine; and what that costs a request.

A change is ordered with shuntctl at one of the replicas. It has come when a replica's own log has its line: shunt writes
the line when it takes the change up, with the time to the millisecond, which is rounded up here. The clock begins before
shuntctl is started. After each change the admin API of every replica is asked whether it is so.
"""

import calendar
import json
import os
import random
import statistics
import subprocess
import threading
import time
import urllib.request

from peers import program
from processes import Process, Trouble, free_port

REPLICAS = 20
PATIENCE = 10  # seconds for one change to come to all
PROXY_CORE = 1

FILE = """\
listeners: [ {{ address: 127.0.0.1:0 }} ]
admin: {{ address: 127.0.0.1:0 }}
workers: 1
access_log: off
state:
  directory: {folder}/state-{number}
  redis: {{ url: "redis://127.0.0.1:{redis}", group: bench, replica: replica-{number} }}
backends:
  legacy: {{ url: "http://127.0.0.1:{legacy}" }}
  new: {{ url: "http://127.0.0.1:{new}" }}
routes:
  - name: orders
    match: {{ path: /** }}
    sticky: [ {{ header: X-User-Id }} ]
    stages: [ {{ name: a, percent: 10, hold: 1h }}, {{ name: b, percent: 100 }} ]
"""


class Replica(Process):
    """A shunt whose log is read as it writes it. It chooses its ports itself: one that was free a moment ago may be that of
    another's connection to Redis by now."""

    def __init__(self, number, setting, redis, cores):
        self.name = f"replica-{number}"
        path = os.path.join(setting.folder, f"{self.name}.yaml")
        with open(path, "w", encoding="ascii") as file:
            file.write(FILE.format(number=number, redis=redis, folder=setting.folder, legacy=setting.legacy, new=setting.new))
        self.events = []
        self.grown = threading.Condition()
        super().__init__([program("shunt"), "--config", path], cores, stdout=subprocess.PIPE)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            event = json.loads(line)
            with self.grown:
                self.events.append(event)
                self.grown.notify_all()

    def await_event(self, names, since, seconds=PATIENCE):
        """The first of these names among events[since:]."""
        def found():
            return next((event for event in self.events[since:] if event.get("event") in names), None)
        with self.grown:
            if not self.grown.wait_for(found, seconds):
                said = "\n".join(map(str, self.events[-8:]))
                raise Trouble(f"{self.name} says no {' or '.join(names)} within {seconds} s; the last it said:\n{said}")
            return found()

    def await_start(self):
        self.await_event(("fleet_joined", "fleet_leader"), 0, 30)
        self.admin = self.await_event(("admin_listening",), 0, 30)["address"]
        self.await_event(("started",), 0, 30)

    def ctl(self, *words):
        argv = [program("shuntctl"), "--admin", self.admin, *words]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
        if done.returncode != 0:
            raise Trouble(f"shuntctl {' '.join(words)} at {self.name}: {done.stdout}{done.stderr}")
        return done.stdout

    def knows(self):
        """Passthrough and share, as its admin API has them."""
        with urllib.request.urlopen(f"http://{self.admin}/api/v1/status", timeout=30) as answer:
            status = json.load(answer)
        return status["passthrough"], status["routes"][0]["percent"]


def milliseconds_of(event):
    """Of its time, rounded up to the next one."""
    text = event["time"]
    seconds, rest = text.rstrip("Z").split(".")
    return calendar.timegm(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S")) * 1000 + int(rest) + 1


def quantile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


class Flips:
    """Each change at once after the former one has come to all, and a moment by chance, so that it finds the replicas anywhere
    between two beats."""

    title = (f"From the start of shuntctl at one of {REPLICAS} replicas until all of them have taken the change up; until shuntctl "
             "says that it is done")
    hung = False
    columns = ["median ms", "p99 ms", "worst ms", "shuntctl, median ms", "changes"]
    facts = []

    def measure(self, run):
        count = 40 if run.quick else 200
        cores = f"0-{os.cpu_count() - 1}"  # 20 workers have no core of their own anyway
        port = free_port()
        redis = Process(["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir",
                         run.folder], cores)
        replicas = []
        try:
            redis.await_port(port)
            replicas = [Replica(number, run.setting(), port, cores) for number in range(REPLICAS)]
            for replica in replicas:
                replica.await_start()
            chance = random.Random(6)
            rows = {"passthrough": self.row(replicas, self.passthroughs(count), chance),
                    "share of a route": self.row(replicas, self.shares(count), chance)}
        finally:
            for replica in replicas:
                replica.stop()
            redis.stop()
        return rows

    @staticmethod
    def passthroughs(count):
        for i in range(count):
            yield ("passthrough", ("on", "off")[i % 2]), ("passthrough_on", "passthrough_off")[i % 2]

    @staticmethod
    def shares(count):
        for i in range(count):
            yield ("set-percent", "orders", str(1 + i * 37 % 99)), "set_percent"

    def row(self, replicas, orders, chance):
        came, done = [], []
        for words, event in orders:
            time.sleep(chance.uniform(0.2, 0.6))
            known = [len(replica.events) for replica in replicas]
            begun = time.time() * 1000
            chance.choice(replicas).ctl(*words)
            done.append(time.time() * 1000 - begun)
            came.append(max(milliseconds_of(replica.await_event((event,), since))
                            for replica, since in zip(replicas, known)) - begun)
            self.check(replicas, words)
        return {"median ms": statistics.median(came), "p99 ms": quantile(came, 0.99), "worst ms": max(came),
                "shuntctl, median ms": statistics.median(done), "changes": len(came)}

    @staticmethod
    def check(replicas, words):
        """All report what was ordered."""
        at, wanted = (0, words[-1] == "on") if words[0] == "passthrough" else (1, int(words[-1]))
        for replica in replicas:
            if replica.knows()[at] != wanted:
                raise Trouble(f"after {' '.join(words)} {replica.name} reports {replica.knows()[at]}")


class Decisions:
    """router_decide() of a replica in a fleet, alone."""

    title = "Deciding about one request in a fleet, by a view that changes every 1,000 decisions (the clock's readings included)"
    hung = False
    columns = ["p50 ns", "p99 ns", "p99.9 ns", "decisions"]

    def measure(self, run):
        path = program("tools/benchmark/shunt-bench-decide")
        samples = []
        for _ in range(run.rounds):
            with Process([path], PROXY_CORE) as process:
                if process.child.wait(120) != 0:
                    raise Trouble(f"{path} failed: {process.output()}")
                samples.append(json.loads(process.output()))
        row = {f"{name} ns": statistics.median(sample[f"{name}_ns"] for sample in samples) for name in ("p50", "p99", "p99.9")}
        clock = statistics.median(sample["clock_ns"] for sample in samples)
        self.facts = [f"Two readings of the clock alone take {clock:.0f} ns."]
        return {"shunt": row | {"decisions": samples[0]["decisions"]}}
