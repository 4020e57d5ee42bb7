"""tools/bench [--quick] [--write] [--list] [SCENARIO...]

Measures shunt beside nginx, haproxy and a raw relay of bytes, on this machine, in one run.

Every program is one worker pinned to one core; the load (wrk) and the backends have the other. Rounds are interleaved
(A B C D, A B C D, ...), so that what disturbs the machine disturbs all; figures are medians over the rounds. CPU per
request is the processor time of all threads of the program, from the kernel, divided by the requests wrk saw answered.

  --quick   fewer and shorter rounds: two minutes instead of twelve
  --write   put the tables into docs/performance.md; of some scenarios only, the others' stay
  --list    name the scenarios
"""

import os
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time

import tls
from client import Client
from fleet import Decisions, Flips
from peers import TOP, Backend, Peer, Setting, command
from processes import (COMPARING, EVERYTHING, WORKER, SystemCalls, Trouble, callgrind, free_port, instructions_by_thread,
                       read)
from shadow import Harmless, Pairs
from tls import Handshakes

LOAD_CORE, PROXY_CORE = 0, 1
CPU = "CPU µs/request"
ROUNDS = "CPU µs/request of each round"  # kept beside the medians, for ratios
PAGE = os.path.join(TOP, "docs", "performance.md")
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


class Run:
    """Settings of this run, the backends, and what has been measured: figures[scenario][row][column]."""

    def __init__(self, quick, folder):
        self.rounds = 3 if quick else 7
        self.seconds = 1 if quick else 2
        self.quick = quick
        self.figures = {}
        self.backends = [Backend(LOAD_CORE), Backend(LOAD_CORE), Backend(LOAD_CORE, hang=True)]
        self.folder = folder

    def close(self):
        for backend in self.backends:
            backend.stop()

    def setting(self, **more):
        legacy, new, _ = self.backends
        return Setting(legacy=legacy.port, new=new.port, folder=self.folder, **more)

    def hung_setting(self):
        legacy, _, hung = self.backends
        return Setting(legacy=legacy.port, new=hung.port, mirror=hung.port, folder=self.folder)


# ---- load scenarios: CPU per request ----

class Load:
    """One round after the other over several programs."""

    def __init__(self, title, names, kind="get", connections=64, hung=False, beside=None, scheme="http", drive=None):
        """`beside`: further rows, {label: (program, connections)}, measured in the same rounds. `drive`: wrk(), or what takes and
        gives the same."""
        self.scheme, self.drive = scheme, drive or wrk
        self.title, self.names, self.kind, self.connections, self.hung = title, names, kind, connections, hung
        self.beside = beside or {}
        self.columns = [CPU, "requests/s", "p99 ms"]
        self.facts = []

    def measure(self, run):
        setting = run.hung_setting() if self.hung else run.setting()
        running = {name: Peer(name, setting, PROXY_CORE) for name in self.names}
        loads = {name: (running[name], self.connections) for name in self.names}
        loads.update({label: (running[name], count) for label, (name, count) in self.beside.items()})
        samples = {label: [] for label in loads}
        try:
            for peer, connections in loads.values():
                self.drive(peer.port, self.kind, connections, 1, self.scheme)  # warm, not counted
            for _ in range(run.rounds):
                for label, (peer, connections) in loads.items():
                    samples[label].append(one_round(peer, self, connections, run.seconds))
            self.facts = [peer.facts() for peer in running.values() if peer.admin is not None]
        finally:
            for peer in running.values():
                peer.stop(seconds=1)
        return {label: {column: statistics.median(sample[i] for sample in rows)
                        for i, column in enumerate(self.columns)} | {ROUNDS: [sample[0] for sample in rows]}
                for label, rows in samples.items()}


def one_round(peer, load, connections, seconds):
    before = peer.cpu_seconds()
    requests, rate, p99 = load.drive(peer.port, load.kind, connections, seconds, load.scheme)
    return (peer.cpu_seconds() - before) * 1e6 / max(requests, 1), rate, p99


def wrk(port, kind, connections, seconds, scheme="http"):
    argv = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
            "--timeout", "5s", "-s", os.path.join(TOP, "tools/benchmark/load.lua"), f"{scheme}://127.0.0.1:{port}/",
            "--", kind]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 30, check=False)
    requests = re.search(r"(\d+) requests in ([\d.]+)(m?s)", done.stdout)
    if requests is None:
        raise Trouble(f"wrk failed: {done.stdout}{done.stderr}")
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
    if refused is not None:
        raise Trouble(f"{refused.group(1)} of {requests.group(1)} answers on port {port} were not 200")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", done.stdout)
    milliseconds = float(p99.group(1)) * {"us": 0.001, "ms": 1, "s": 1000}[p99.group(2)] if p99 else float("nan")
    return int(requests.group(1)), float(rate.group(1)), milliseconds


def h2load(port, _kind, connections, seconds, scheme):
    """Small GETs, 32 streams at a time on each connection; says no p99."""
    argv = ["taskset", "-c", str(LOAD_CORE), "h2load", "-t1", f"-c{connections}", "-m32", f"-D{seconds}", f"{scheme}://127.0.0.1:{port}/"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 30, check=False)
    rate = re.search(r"finished in [\d.]+m?s, ([\d.]+) req/s", done.stdout)
    counts = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", done.stdout)
    if rate is None or counts is None or "h2" not in done.stdout:
        raise Trouble(f"h2load failed: {done.stdout}{done.stderr}")
    if counts.group(2) != "0" or counts.group(3) != "0":
        raise Trouble(f"h2load on port {port}: {counts.group(0)}")
    return int(counts.group(1)), float(rate.group(1)), float("nan")


# ---- memory, start ----

class IdleConnections:
    title = "Resident memory of idle keep-alive connections, each after one answered request"
    names = ["shunt", "nginx", "haproxy"]
    columns = ["bytes/connection", "connections"]

    def measure(self, run):
        count = min(10000, file_limit() - 200)
        figures = {}
        for name in self.names:
            with Peer(name, run.setting(), PROXY_CORE) as peer:
                with Client(peer.port, 64) as warm:
                    warm.rounds(20)
                before = peer.rss_bytes()
                with Client(peer.port, count) as client:
                    client.each_once()
                    time.sleep(0.5)  # what a program gives back in the background, it may
                    grown = peer.rss_bytes() - before
            figures[name] = {"bytes/connection": grown / count, "connections": count}
        return figures


def file_limit():
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class IdleProcess:
    title = "Resident memory of the idle program with two workers"
    names = ["shunt", "nginx", "haproxy"]
    columns = ["MiB"]

    def measure(self, run):
        figures = {}
        for name in self.names:
            with Peer(name, run.setting(workers=2)) as peer:
                time.sleep(0.5)
                figures[name] = {"MiB": peer.rss_bytes() / 2**20}
        return figures


class Start:
    title = "From the start of the program to its first answer"
    names = ["shunt", "nginx", "haproxy"]
    columns = ["ms"]

    def measure(self, run):
        return {name: {"ms": statistics.median(start_ms(name, run) for _ in range(run.rounds))} for name in self.names}


def start_ms(name, run):
    port = free_port()
    argv = command(name, run.setting(), port)
    log = tempfile.TemporaryFile()
    begun = time.perf_counter()
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        while time.perf_counter() - begun < 5:
            try:
                with socket.create_connection(("127.0.0.1", port), 5) as connection:
                    connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    if connection.recv(12) == b"HTTP/1.1 200":
                        return (time.perf_counter() - begun) * 1000
            except OSError:
                time.sleep(0.0002)
        raise Trouble(f"{name} gave no answer within 5 s")
    finally:
        child.send_signal(signal.SIGKILL if name == "nginx" and child.poll() else signal.SIGTERM)
        child.wait(10)


# ---- counted, so free of noise ----

class Calls:
    title = "System calls per request (strace), 64 connections"
    names = ["shunt", "shunt mirror", "nginx", "nginx mirror", "haproxy"]
    columns = ["calls/request", "of which"]

    def measure(self, run):
        return {name: calls_per_request(name, run) for name in self.names}


def calls_per_request(name, run):
    with Peer(name, run.setting(), PROXY_CORE) as peer, Client(peer.port, 64) as client:
        client.rounds(20)  # opens upstream connections, fills free lists
        with SystemCalls(serving_threads(peer)) as calls:
            requests = client.rounds(50)
        most = sorted(calls.counts.items(), key=lambda item: -item[1])[:6]
        listed = ", ".join(f"{call} {count / requests:.2f}" for call, count in most if count / requests >= 0.005)
        return {"calls/request": calls.total() / requests, "of which": listed}


def serving_threads(peer):
    """All threads but the one that only controls: shunt's first, nginx's master."""
    threads = peer.threads()
    return threads if len(threads) == 1 else [thread for thread in threads if thread != peer.pid]


class Instructions:
    """Of shunt the threads that work for requests, each by itself: a client waits for the worker's, the compare thread's are
    spent later, at a lower priority."""

    title = "User-space instructions per request (callgrind), 64 connections"
    names = ["shunt", "shunt mirror", "nginx", "nginx mirror", "haproxy"]
    comparing = "shunt mirror's compare thread, per pair of equal answers"
    columns = ["instructions/request"]

    def measure(self, run):
        figures = {}
        for name in self.names:
            work = instructions_per_request(name, run)
            figures[name] = {"instructions/request": work[WORKER] if name.startswith("shunt") else work[EVERYTHING]}
            if name == "shunt mirror":
                figures[self.comparing] = {"instructions/request": work[COMPARING]}
        return figures


def instructions_per_request(name, run):
    """The difference between a run of N and a run of 2 N requests, so that what happens once does not count; by whom."""
    rounds = 20 if run.quick else 50
    runs = []
    for count in (rounds, 2 * rounds):
        port = free_port()
        argv = command(name, run.setting(single=True), port)

        def drive(process):
            process.await_port(port, 60)
            with Client(port, 64) as client:
                client.rounds(count)

        runs.append(instructions_by_thread(callgrind(argv, drive)))
    return {who: (runs[1][who] - runs[0][who]) / (rounds * 64) for who in runs[0]}


SCENARIOS = {
    "small": Load("Small GET, 200-byte answers, 64 kept connections", ["relay", "haproxy", "nginx", "shunt"]),
    "mirrored": Load("The same with every request mirrored (and, by shunt, compared)", ["nginx mirror", "shunt mirror"]),
    "post": Load("16 KiB POST, 64 kept connections", ["relay", "haproxy", "nginx", "shunt"], kind="post"),
    "large": Load("1 MiB responses, 16 kept connections", ["relay", "haproxy", "haproxy splice", "nginx", "shunt"],
                  kind="large", connections=16),
    "close": Load("A connection for each request, 64 at a time", ["haproxy", "nginx", "shunt"], kind="close"),
    "many": Load("Small GET, 512 kept connections", ["haproxy", "nginx", "shunt"], connections=512,
                 beside={"shunt at 64": ("shunt", 64)}),
    "hung": Load("Every request mirrored to a backend that never answers", ["nginx hung mirror", "shunt hung mirror"],
                 hung=True),
    "harmless": Harmless(),
    "pairs": Pairs(),
    "tls": Load("Small GET over TLS 1.3, 64 kept connections", ["haproxy tls", "nginx tls", "shunt tls"], scheme="https"),
    "http2": Load("Small GET by HTTP/2 over TLS, 10 connections of 32 streams, backends over HTTP/1.1",
                  ["haproxy tls", "nginx tls", "shunt tls"], connections=10, scheme="https", drive=h2load),
    "handshakes": Handshakes(ssl.TLSVersion.TLSv1_3),
    "handshakes-1.2": Handshakes(ssl.TLSVersion.TLSv1_2),
    "idle-connections": IdleConnections(),
    "idle-process": IdleProcess(),
    "start": Start(),
    "calls": Calls(),
    "instructions": Instructions(),
    "fleet": Flips(),
    "decide": Decisions(),
}

def ratio(rows, program, peer):
    """Of CPU per request, as the median of the rounds' own ratios: what slows one round down slows both."""
    return statistics.median(a / b for a, b in zip(rows[program][ROUNDS], rows[peer][ROUNDS]))


# (what, limit, figure from the measured scenarios); a figure that was not measured raises KeyError and is left out. A limit
# with a minus sign is a lower one.
TARGETS = [
    ("small GET / raw relay", 1.15, lambda f: ratio(f["small"], "shunt", "relay")),
    ("small GET / haproxy", 0.78, lambda f: ratio(f["small"], "shunt", "haproxy")),
    ("mirrored and compared / nginx mirror", 0.35, lambda f: ratio(f["mirrored"], "shunt mirror", "nginx mirror")),
    ("16 KiB POST / nginx", 0.70, lambda f: ratio(f["post"], "shunt", "nginx")),
    ("1 MiB responses / haproxy splice", 1.00, lambda f: ratio(f["large"], "shunt", "haproxy splice")),
    ("connection per request / haproxy", 0.90, lambda f: ratio(f["close"], "shunt", "haproxy")),
    ("512 connections / own cost at 64", 1.20, lambda f: ratio(f["many"], "shunt", "shunt at 64")),
    ("512 connections / best peer", 0.75,
     lambda f: max(ratio(f["many"], "shunt", peer) for peer in ("nginx", "haproxy"))),
    ("p50 with a bad mirror / mirror off", 1.10, lambda f: Harmless.worst(f["harmless"], "p50")),
    ("p99 with a bad mirror / mirror off", 1.25, lambda f: Harmless.worst(f["harmless"], "p99")),
    ("MiB over the shadow bound", 8, lambda f: Harmless.over_bound(f["harmless"])),
    ("small GET over TLS / best peer", 0.80,
     lambda f: max(ratio(f["tls"], "shunt tls", peer) for peer in ("nginx tls", "haproxy tls"))),
    ("small GET by HTTP/2 over TLS / best peer", 0.85,
     lambda f: max(ratio(f["http2"], "shunt tls", peer) for peer in ("nginx tls", "haproxy tls"))),
    ("full TLS handshake / best peer", 1.00,
     lambda f: max(tls.ratio(f["handshakes"], "shunt, full", f"{peer}, full") for peer in ("nginx", "haproxy"))),
    ("resumed TLS handshake / best peer", 1.00,
     lambda f: max(tls.ratio(f["handshakes"], "shunt, resumed", f"{peer}, resumed") for peer in ("nginx", "haproxy"))),
    ("resumed TLS 1.2 handshake / full", 0.50, lambda f: tls.ratio(f["handshakes-1.2"], "shunt, resumed", "shunt, full")),
    ("equal 1 KiB pairs/s", -50000, lambda f: f["pairs"]["equal, 1 KiB"]["pairs/s"]),
    ("differing 10 KiB JSON pairs/s", -3000, lambda f: f["pairs"]["differing JSON, 10 KiB"]["pairs/s"]),
    ("system calls per request", 4.1, lambda f: f["calls"]["shunt"]["calls/request"]),
    ("system calls per mirrored request", 6.1, lambda f: f["calls"]["shunt mirror"]["calls/request"]),
    ("instructions per request", 7000, lambda f: f["instructions"]["shunt"]["instructions/request"]),
    ("instructions per request, mirrored and compared", 12000,
     lambda f: sum(f["instructions"][who]["instructions/request"] for who in ("shunt mirror", Instructions.comparing))),
    ("bytes per idle connection", 640, lambda f: f["idle-connections"]["shunt"]["bytes/connection"]),
    ("ms of a passthrough to 20 replicas, median", 50, lambda f: f["fleet"]["passthrough"]["median ms"]),
    ("ms of a passthrough to 20 replicas, worst", 1000, lambda f: f["fleet"]["passthrough"]["worst ms"]),
    ("ms of a share to 20 replicas, median", 50, lambda f: f["fleet"]["share of a route"]["median ms"]),
    ("ms of a share to 20 replicas, worst", 1000, lambda f: f["fleet"]["share of a route"]["worst ms"]),
    ("ns of a decision in a fleet, p99", 1000, lambda f: f["decide"]["shunt"]["p99 ns"]),
    ("MiB of an idle process, 2 workers", 6, lambda f: f["idle-process"]["shunt"]["MiB"]),
    ("ms from start to first answer", 10, lambda f: f["start"]["shunt"]["ms"]),
]


# ---- what is printed ----

def figure_text(value):
    if isinstance(value, str):
        return value
    if value != value:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def table(header, rows):
    """A Markdown table that is also aligned on a terminal; every column but the first is right-aligned."""
    cells = [header] + [[figure_text(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]

    def line(row):
        first = row[0].ljust(widths[0])
        return "| " + " | ".join([first] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]) + " |"

    rule = "| " + " | ".join(["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]]) + " |"
    return "\n".join([line(cells[0]), rule] + [line(row) for row in cells[1:]])


def scenario_text(scenario, figures):
    rows = [[name] + [figures[name][column] for column in scenario.columns] for name in figures]
    header = [""] + scenario.columns
    if scenario.columns[0] == CPU and len(rows) > 1 and not scenario.hung:
        own = figures[scenario.names[-1]][CPU]
        header.append("shunt's share")
        for row in rows:
            row.append(own / row[1] if row[1] > 0 else float("nan"))
    facts = "".join(f"\n{fact}\n" for fact in getattr(scenario, "facts", []))
    return f"{scenario.title}\n\n{table(header, rows)}\n{facts}"


def wanted_text(limit):
    return f"{'at most' if limit >= 0 else 'at least'} {figure_text(abs(limit))}"


def targets_text(figures):
    rows = []
    for what, limit, measure in TARGETS:
        try:
            value = measure(figures)
        except KeyError:
            continue
        reached = value <= limit if limit >= 0 else value >= -limit
        rows.append([what, value, wanted_text(limit), "yes" if reached else "no"])
    return f"Targets\n\n{table(['', 'measured', 'wanted', 'reached'], rows)}\n" if rows else ""


def machine_text():
    cpu = re.search(r"model name\s*:\s*(.*)", read("/proc/cpuinfo"))
    name = re.search(r'PRETTY_NAME="(.*)"', read("/etc/os-release"))
    return (f"{os.cpu_count()} cores ({cpu.group(1) if cpu else os.uname().machine}), {name.group(1) if name else 'Linux'}, "
            f"kernel {os.uname().release.split('-')[0]}, {version(['nginx', '-v'])}, {version(['haproxy', '-v'])}")


def version(argv):
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+(\.\d+)?", done.stdout + done.stderr)
    return f"{argv[0]} {found.group(0) if found else '?'}"


# ---- the page ----

MARK = "<!-- bench: {} -->"  # in front of the section of a scenario, and of the targets
TARGETS_NAME = "targets"


def sections_of(text):
    """What stands between the markers, by the name of its section; "" is what stands before the first."""
    parts = re.split(r"<!-- bench: ([\w-]+) -->\n", text)
    return {"": parts[0]} | dict(zip(parts[1::2], parts[2::2]))


def merged_targets(old, new):
    """Both tables as one, in the order of TARGETS; what is in the new one counts."""
    rows = {}
    for line in (old + new).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4:
            rows[cells[0]] = cells
    known = [[what, rows[what][1], wanted_text(limit), rows[what][3]] for what, limit, _ in TARGETS if what in rows]
    return f"Targets\n\n{table(['', 'measured', 'wanted', 'reached'], known)}\n" if known else ""


def merged_page(page, how, sections, is_whole):
    """The page with these sections in place of the old ones; `is_whole`: there are no others."""
    if BEGIN not in page or END not in page:
        raise Trouble(f"{PAGE} has lost its markers {BEGIN} and {END}")
    before, rest = page.split(BEGIN + "\n", 1)
    text, after = rest.split(END, 1)
    old = {} if is_whole else sections_of(text)
    new = {name: section if is_whole else f"{section}\n{how}\n" for name, section in sections.items()}
    new[TARGETS_NAME] = merged_targets(old.get(TARGETS_NAME, ""), sections[TARGETS_NAME])
    merged = old | new
    order = [name for name in [*SCENARIOS, TARGETS_NAME] if merged.get(name)]
    head = f"{how}\n" if is_whole else old[""].strip() + "\n"
    body = "".join(f"\n{MARK.format(name)}\n{merged[name].strip()}\n" for name in order)
    return f"{before}{BEGIN}\n{head}{body}{END}{after}"


def write_page(how, sections, is_whole):
    with open(PAGE, encoding="utf-8") as file:
        page = merged_page(file.read(), how, sections, is_whole)
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(page)


def main(words):
    options = {word for word in words if word.startswith("-")}
    chosen = [word for word in words if not word.startswith("-")] or list(SCENARIOS)
    if options - {"--quick", "--write", "--list"} or set(chosen) - set(SCENARIOS):
        raise Trouble(f"not understood: {' '.join(sorted((options | set(chosen)) - set(SCENARIOS)))}\n{__doc__}")
    if "--list" in options:
        for name, scenario in SCENARIOS.items():
            print(f"{name:18}{scenario.title}")
        return
    if os.cpu_count() < 2:
        raise Trouble("two cores are needed: one for the program that is measured, one for load and backends")
    for tool in ("wrk", "nginx", "haproxy", "taskset"):
        if shutil.which(tool) is None:
            raise Trouble(f"{tool} is not installed; run tools/dependencies bench")
    os.sched_setaffinity(0, {LOAD_CORE})
    file_limit()
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # nginx's worker is another user
        run = Run("--quick" in options, folder)
        try:
            sections = measure_all(run, chosen)
        finally:
            run.close()
    if "--write" in options:
        how = f"`tools/bench {' '.join(words)}`, {time.strftime('%Y-%m-%d')}, {machine_text()}."
        write_page(how, sections, set(chosen) == set(SCENARIOS))


def measure_all(run, chosen):
    """Prints every table as soon as it is there; returns them by the name of the scenario, and the targets."""
    sections = {}
    for name in chosen:
        run.figures[name] = SCENARIOS[name].measure(run)
        sections[name] = scenario_text(SCENARIOS[name], run.figures[name])
        print(sections[name], flush=True)
    sections[TARGETS_NAME] = targets_text(run.figures)
    print(sections[TARGETS_NAME])
    return sections


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main(sys.argv[1:])
    except Trouble as trouble:
        print(f"tools/bench: {trouble}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
