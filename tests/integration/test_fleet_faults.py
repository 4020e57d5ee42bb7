"""Faults in a row, drawn by chance, under steady traffic through five replicas: no request fails, no acknowledged change is
lost, all agree soon after the last fault (SHUNT_AGREE seconds: 5 are promised), and no share ever rose without an audited human (no gate can pass here).

SHUNT_FAULTS says how many (the suite does a few dozen; docs/fleet.md has the figures of 500), SHUNT_SEED which. Runs in a network
namespace of its own, where the machine lets it, so that packets can be lost.
"""

import collections
import os
import random
import subprocess
import sys
import threading
import time

from fleet import STAGES, FleetCase
from harness import main, wait_until
from redis_peer import Cluster, Sentinels
from relay import Relay

FAULTS = int(os.environ.get("SHUNT_FAULTS", "24"))
SEED = int(os.environ.get("SHUNT_SEED", "6"))
AGREE_S = float(os.environ.get("SHUNT_AGREE", "30"))  # 5 s are promised; the suite shares its cores with others
INSIDE = "SHUNT_TEST_NAMESPACE"


class Packets:
    """What the namespace's firewall does to Redis' packets."""

    possible = os.environ.get(INSIDE) == "1"

    def __init__(self, port):
        self.port = port

    def lose(self, percent):
        drop = f"numgen random mod 100 < {percent} drop"
        rules = (f"table inet shunt {{\n chain input {{\n type filter hook input priority 0;\n tcp dport {self.port} {drop}\n"
                 f" tcp sport {self.port} {drop}\n }}\n}}\n")
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)

    def heal(self):
        subprocess.run(["nft", "delete", "table", "inet", "shunt"], check=True)


class Operator(threading.Thread):
    """Somebody who changes shares all the time, wherever, and remembers what was acknowledged."""

    def __init__(self, replicas, chance):
        super().__init__(daemon=True)
        self.replicas, self.chance = replicas, chance
        self.stopping = threading.Event()
        self.busy = threading.Lock()
        self.possible = {10.0}  # shares that may be in force: the last acknowledged one, and later ones nobody knows of
        self.kept = set()  # safe orders that a cut off replica did at once: the fleet hears of them later, and may go down by them
        self.acknowledged = 0
        self.answers = collections.Counter()
        self.problems = []

    def order(self):
        percent = float(self.chance.randrange(1, 100))
        shunt = self.chance.choice(self.replicas)
        try:
            reply = shunt.admin_reply("POST", "/api/v1/routes/orders/set-percent", {"percent": percent, "who": "chance"})
        except (OSError, AssertionError):  # that replica was killed
            self.possible.add(percent)
            self.kept.add(percent)
            return
        self.answers[reply.status] += 1
        if reply.status == 200:
            self.possible = {percent} | {order for order in self.kept if order < percent}
            self.acknowledged += 1
        elif reply.status == 202:
            self.possible.add(percent)
            self.kept.add(percent)
        elif reply.status == 504:  # nobody knows
            self.possible.add(percent)
        elif reply.status not in (409, 503):
            self.problems.append(f"set-percent {percent}: {reply}")

    def run(self):
        while not self.stopping.wait(0.15):
            with self.busy:
                self.order()

    def settled(self, percent):
        """All agree on it, so that nothing is kept any more."""
        self.possible = {percent}
        self.kept = set()

    def rest(self):
        self.busy.acquire()

    def go_on(self):
        self.busy.release()

    def stop(self):
        self.stopping.set()
        self.join(30)


class Faults(FleetCase):
    count = FAULTS

    def play(self, faults, redis_url):
        self.chance = random.Random(SEED)
        self.begin(5, [STAGES], redis=redis_url)
        loads = self.flow(rate=40)
        self.operator = Operator(self.replicas, random.Random(SEED + 1))
        self.operator.start()
        self.addCleanup(self.operator.stop)
        names = list(faults)
        done = []
        for number in range(self.count):
            name = names[number] if number < len(names) else self.chance.choice(names)
            done.append(name)
            faults[name]()
            before = self.operator.acknowledged
            wait_until(lambda: self.operator.acknowledged > before, f"a change to be taken after {name}")
            if number % 4 == 3 or number == self.count - 1:
                self.check(done)
        self.operator.stop()
        self.check(done)
        self.assertEqual(self.operator.problems, [])
        self.assertGreater(self.operator.acknowledged, 0)
        self.assert_no_failure(loads)
        self.check_audits()
        print(f"    {self.count} faults {dict(collections.Counter(done))}, changes by answer {dict(self.operator.answers)}, "
              f"{sum(one.result['ok'] for one in loads)} requests", file=sys.stderr)

    def check(self, done):
        self.operator.rest()
        try:
            epoch, percent, *_ = self.wait_agree(AGREE_S)
            self.assertIn(percent, self.operator.possible, f"after {done[-6:]}, epoch {epoch}")
            self.operator.settled(percent)
        finally:
            self.operator.go_on()

    def check_audits(self):
        for shunt in self.replicas:
            for line in shunt.audit():
                if line.get("route") != "orders" or not line.get("from") or not line.get("to"):
                    continue
                if (line["to"].get("percent") or 0) > (line["from"].get("percent") or 0):
                    self.assertTrue(line["who"].startswith("operator:"), line)

    def some_time(self, least=0.2, most=1.5):
        time.sleep(self.chance.uniform(least, most))  # how long the fault lasts: chance, not a condition


class Alone(Faults):
    """One Redis, behind a relay."""

    def test_faults(self):
        redis = self.redis_server()
        relay = self.peer(Relay(redis.address))
        packets = Packets(redis.port)

        def kill():
            redis.ask("SAVE")
            self.some_time(0.0, 0.3)  # what changes now, it will not know
            redis.kill()
            self.some_time()
            redis.start()

        def hang():
            redis.pause()
            self.some_time(0.5, 4)
            redis.resume()

        def empty():
            redis.kill()
            self.some_time()
            redis.restart_empty()

        def older():
            redis.take_snapshot()
            self.some_time()
            redis.restart_from_snapshot()

        def slow():
            relay.delay = 5.0
            self.some_time(1, 6)
            relay.delay = 0.0

        def half_open():
            relay.still.set()
            self.some_time(0.5, 4)
            relay.still.clear()

        def lossy():
            packets.lose(self.chance.choice([10, 30, 99]))
            self.some_time(1, 4)
            packets.heal()

        def replica_dies():
            self.extra.kill()
            self.some_time()
            self.extra.start()

        def leader_is_cut_off():
            """Its connections are closed, again and again, while others go on."""
            until = time.monotonic() + self.chance.uniform(0.5, 2.5)
            while time.monotonic() < until:
                for client in redis.clients()[:2]:
                    redis.ask("CLIENT", "KILL", "ID", client)
                time.sleep(0.05)

        faults = {"kill -9": kill, "SIGSTOP": hang, "empty": empty, "older": older, "latency": slow, "half-open": half_open,
                  "replica dies": replica_dies, "leader cut off": leader_is_cut_off}
        if Packets.possible:
            faults["packet loss"] = lossy
        self.redis = redis
        url = f"redis://127.0.0.1:{relay.address[1]}"
        self.legacy, self.new = self.fast("legacy"), self.fast("new")
        self.extra = self.shunt(self.file(9, [STAGES], url))  # a sixth, without traffic, that may die
        self.others = [self.extra]
        self.play(faults, url)


class Guarded(Faults):
    """A master, two replicas, three sentinels."""

    def test_failovers(self):
        sentinels = self.peer(Sentinels())

        def whole():
            """The master, when somebody could take its place: who loses two at once has lost what sentinels can save."""
            try:
                master = sentinels.master()
                return master if sentinels.replicas_of(master) > 0 else None
            except OSError:  # not all sentinels know yet who is the master now
                return None

        def master_now():
            return wait_until(whole, "a master that is followed", 30)

        def fail_over():
            master_now()
            sentinels.fail_over()

        def master_dies():
            master = master_now()
            master.kill()
            sentinels.wait_other_master(master)
            master.start()

        def master_hangs():
            master = master_now()
            master.pause()
            sentinels.wait_other_master(master)
            master.resume()

        self.count = max(3, self.count // 8)
        self.play({"failover": fail_over, "master dies": master_dies, "master hangs": master_hangs}, sentinels.url())


class Clustered(Faults):
    """Three nodes, and the group's slot moves between them."""

    def test_slot_moves(self):
        cluster = self.peer(Cluster())

        def move():
            cluster.move_slot("shunt:{test}:state")

        def move_slowly():
            cluster.move_slot("shunt:{test}:state", pause=self.some_time)

        def owner_hangs():
            owner = cluster.owner("shunt:{test}:state")
            owner.pause()
            self.some_time(0.5, 2)
            owner.resume()
            cluster.wait_whole()

        self.count = max(3, self.count // 8)
        self.play({"slot moves": move, "slot moves slowly": move_slowly, "owner hangs": owner_hangs}, cluster.url())


def enter_namespace():
    """Runs this test again in a network namespace of its own."""
    probe = subprocess.run(["unshare", "--net", "sh", "-c", "ip link set lo up && nft list ruleset"], capture_output=True, check=False)
    if probe.returncode != 0:
        return
    command = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, *sys.argv]
    os.execvpe(command[0], command, {**os.environ, INSIDE: "1"})


if __name__ == "__main__":
    if INSIDE not in os.environ:
        enter_namespace()
    main()
