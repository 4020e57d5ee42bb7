"""What the shadow costs: nothing for the client, whatever the mirror does; and how fast pairs are judged."""

import json
import os
import statistics
import subprocess

from peers import Peer, Setting, program
from processes import Process, Trouble, free_port

LOAD_CORE, PROXY_CORE = 0, 1
MIRROR_CORE = 2 if os.cpu_count() > 2 else LOAD_CORE  # where there is none to spare, its work delays load and primary
RATE, CONNECTIONS = 2000, 16  # a load that leaves the worker idle most of the time: what is measured is waiting, not work
SHADOW_MIB = 64  # limits.shadow_memory's default


class Misbehaving:
    """The integration tests' backend, told what to do with each request."""

    def __init__(self, behaviour, core=MIRROR_CORE):
        self.process = subprocess.Popen(
            ["taskset", "-c", str(core), program("peers/backend"), "--name", "new"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])
        self.process.stdin.write(behaviour + "\n")
        self.process.stdin.flush()
        self.process.stdout.readline()

    def stop(self):
        self.process.stdin.close()
        self.process.wait(5)
        self.process.stdout.close()


class Nobody:
    """A port where nothing listens."""

    def __init__(self):
        self.port = free_port()

    def stop(self):
        pass


class Harmless:
    """Latency of the primary while the other side misbehaves, in interleaved rounds. Two rows without a mirror, first and last
    of each round: what lies between them is the noise of the machine. The round in which a mirror is met first is told by
    itself ("at first"): its breaker is not open yet."""

    title = (f"The client's latency at {RATE} requests/s over {CONNECTIONS} connections while the mirror misbehaves; every "
             "request is mirrored until the mirror's breaker opens. Median (least to most) over the rounds; the ratios are "
             "to the mean of both rows without a mirror in the same round")
    hung = False
    off, off_again = "mirror off", "mirror off, again"
    mirrors = {
        "mirror fine": lambda: Misbehaving("ok"),
        "mirror hung": lambda: Misbehaving("hang"),
        "mirror slow": lambda: Misbehaving("delay 500"),
        "mirror dead": Nobody,
        "mirror resetting": lambda: Misbehaving("reset"),
        "mirror sending garbage": lambda: Misbehaving("garbage"),
    }
    names = [off, *mirrors, off_again]
    quantiles = ["p50", "p90", "p99"]
    columns = ["p50 ms", "p50 ratio", "p90 ms", "p90 ratio", "p99 ms", "p99 ratio", "p50 at first", "copies sent",
               "MiB at the end"]

    def measure(self, run):
        legacy = Misbehaving("ok", LOAD_CORE)
        others = {name: make() for name, make in self.mirrors.items()}
        peers = {}
        try:
            for name in self.names:
                mirrored = name in others
                setting = Setting(legacy=legacy.port, new=others[name].port if mirrored else legacy.port,
                                  folder=run.folder)
                peers[name] = Peer("shunt hung mirror" if mirrored else "shunt legacy", setting, PROXY_CORE)
            first = {name: one_round(peer, 1) for name, peer in peers.items()}
            rounds = [{name: one_round(peer, run.seconds) for name, peer in peers.items()} for _ in range(run.rounds)]
            figures = {name: self.row(name, rounds) for name in self.names}
            for name, peer in peers.items():
                figures[name] |= {"p50 at first": first[name]["p50"], "copies sent": peer.copies_sent(),
                                  "MiB at the end": peer.rss_bytes() / 2**20}
        finally:
            for peer in peers.values():
                peer.stop(seconds=1)
            for other in [legacy, *others.values()]:
                other.stop()
        return figures

    def row(self, name, rounds):
        figures = {}
        for quantile in self.quantiles:
            ratios = [a_round[name][quantile] / self.without(a_round, quantile) for a_round in rounds]
            figures[f"{quantile} ms"] = statistics.median(a_round[name][quantile] for a_round in rounds)
            figures[f"{quantile} ratio"] = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            figures[f"{quantile} median ratio"] = statistics.median(ratios)  # for the targets
        return figures

    def without(self, a_round, quantile):
        """Without a mirror; the better of the two rows would flatter nobody."""
        return statistics.mean(a_round[name][quantile] for name in (self.off, self.off_again))

    @classmethod
    def worst(cls, figures, quantile):
        return max(figures[name][f"{quantile} median ratio"] for name in cls.mirrors)

    @classmethod
    def over_bound(cls, figures):
        """Resident memory beyond what the process has without a mirror and the bound together, or 0."""
        grown = max(figures[name]["MiB at the end"] for name in cls.mirrors) - figures[cls.off]["MiB at the end"]
        return max(0, grown - SHADOW_MIB)


def one_round(peer, seconds):
    """Milliseconds by quantile."""
    argv = ["taskset", "-c", str(LOAD_CORE), program("peers/load"), "--to", f"127.0.0.1:{peer.port}", "--connections",
            CONNECTIONS, "--rate", RATE, "--requests", RATE * seconds, "--users", 256]
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=seconds + 60, check=False)
    if done.returncode != 0:
        raise Trouble(f"the load failed: {done.stdout}{done.stderr}")
    result = json.loads(done.stdout)
    if result["failed"] > 0:
        raise Trouble(f"{result['failed']} of {result['requests']} requests failed: {result['failures'][:3]}")
    return {quantile: result[f"{quantile}_ms"] for quantile in Harmless.quantiles}


class Pairs:
    """How many pairs a second of the compare thread's processor time judges and counts."""

    title = "Pairs judged and counted per second of processor time, one thread"
    hung = False
    columns = ["pairs/s", "µs/pair"]

    def measure(self, run):
        path = program("tools/benchmark/shunt-bench-compare")
        samples = {}
        for _ in range(run.rounds):
            with Process([path], PROXY_CORE) as process:
                if process.child.wait(120) != 0:
                    raise Trouble(f"{path} failed: {process.output()}")
                for name, rate in json.loads(process.output()).items():
                    samples.setdefault(name, []).append(rate)
        return {name: {"pairs/s": statistics.median(rates), "µs/pair": 1e6 / statistics.median(rates)}
                for name, rates in samples.items()}
