"""Processes that are measured: started on a core, ended by their pid, their CPU time, memory and system calls counted."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time


class Trouble(Exception):
    """Something that ends the run, as a sentence for the person who started it."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A command pinned to a core, with everything it starts. Use as a context manager."""

    def __init__(self, argv, core=None, log=None, stdout=None):
        self.argv = [str(word) for word in argv]
        pinned = (["taskset", "-c", str(core)] if core is not None else []) + self.argv
        self.log = log or tempfile.TemporaryFile()
        self.child = subprocess.Popen(pinned, stdin=subprocess.DEVNULL, stdout=stdout or self.log, stderr=self.log)
        self.pid = self.child.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self.log.close()

    def stop(self, number=signal.SIGTERM, seconds=5):
        """Ends it and what it started; SIGKILL when it has not gone by then. Returns the exit code."""
        family = self.pids() if self.child.poll() is None else []
        if self.child.poll() is None:
            self.child.send_signal(number)
            try:
                self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                for pid in family:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
        return self.child.wait()

    def pids(self):
        found = [self.pid]
        for pid in found:
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    found += [int(child) for child in read(f"/proc/{pid}/task/{task}/children").split()]
            except FileNotFoundError:
                pass
        return found

    def threads(self):
        return [int(task) for pid in self.pids() for task in os.listdir(f"/proc/{pid}/task")]

    def cpu_seconds(self):
        """User and system time of all threads, to the nanosecond where the kernel keeps it."""
        total = 0.0
        for pid in self.pids():
            for task in os.listdir(f"/proc/{pid}/task"):
                total += task_cpu_seconds(f"/proc/{pid}/task/{task}")
        return total

    def rss_bytes(self):
        total = 0
        for pid in self.pids():
            total += 1024 * int(re.search(r"VmRSS:\s+(\d+)", read(f"/proc/{pid}/status")).group(1))
        return total

    def output(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def await_port(self, port, seconds=5):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.child.poll() is not None:
                raise Trouble(f"{self.argv[0]} ended with {self.child.returncode} at its start:\n{self.output()}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.01)
        raise Trouble(f"{self.argv[0]} does not listen on port {port} after {seconds} s:\n{self.output()}")


def read(path):
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def task_cpu_seconds(task):
    try:
        return int(read(f"{task}/schedstat").split()[0]) / 1e9
    except (FileNotFoundError, IndexError):
        fields = read(f"{task}/stat").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class SystemCalls:
    """Counts the system calls of some threads, by name, between entering and leaving."""

    def __init__(self, threads):
        self.threads = threads
        self.counts = {}

    def __enter__(self):
        if shutil.which("strace") is None:
            raise Trouble("strace is not installed; run tools/dependencies bench")
        self.file = tempfile.NamedTemporaryFile("r")
        argv = ["strace", "-c", "-o", self.file.name]
        for thread in self.threads:
            argv += ["-p", str(thread)]
        self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in self.threads:  # one line for each: "strace: Process N attached"
            line = self.child.stderr.readline().decode()
            if "attached" not in line:
                self.child.kill()
                raise Trouble(f"strace cannot attach: {line.strip()}")
        return self

    def __exit__(self, *_):
        self.child.send_signal(signal.SIGINT)
        self.child.stderr.read()
        self.child.wait(10)
        for line in self.file:
            words = line.split()
            if len(words) >= 5 and words[0].replace(".", "").isdigit() and words[-1] != "total":
                self.counts[words[-1]] = int(words[3])
        self.file.close()

    def total(self):
        return sum(self.counts.values())


class Profile:
    """What callgrind saw of one thread."""

    def __init__(self, path):
        self.calls = {}  # by the name of a function: how often it was called
        self.calls_from = {}  # the same by (source file of the caller, name)
        self.instructions = add_profile(path, self.calls, self.calls_from)

    def ran(self, function):
        return function in self.calls


def callgrind(argv, drive, seconds=120):
    """Runs argv under callgrind, calls drive(process), ends it. Returns a profile for each thread, in the order of their
    beginning."""
    if shutil.which("valgrind") is None:
        raise Trouble("valgrind is not installed; run tools/dependencies bench")
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/out"
        command = ["valgrind", "--tool=callgrind", "--separate-threads=yes", f"--callgrind-out-file={out}", *argv]
        with Process(command) as process:
            drive(process)
            process.stop(seconds=seconds)
            log = process.output()
        names = sorted(name for name in os.listdir(folder) if re.fullmatch(r"out-\d+", name))
        if not names:
            raise Trouble(f"callgrind left no figures:\n{log[-2000:]}")
        return [Profile(f"{folder}/{name}") for name in names]


EVERYTHING, WORKER, COMPARING = "everything", "the worker", "the compare thread"
MARKS = {WORKER: "worker_main", COMPARING: "report_add"}  # functions that only this thread of shunt runs


def instructions_by_thread(profiles):
    """How many instructions who ran: everything, and by the name of shunt's threads."""
    work = {who: sum(profile.instructions for profile in profiles if profile.ran(mark)) for who, mark in MARKS.items()}
    return work | {EVERYTHING: sum(profile.instructions for profile in profiles)}


def add_profile(path, calls, calls_from):
    """Adds a callgrind profile's calls to `calls` and `calls_from`; returns its instructions."""
    instructions, names, files, file_of_caller, called = 0, {}, {}, "", None
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith(("fn=", "cfn=")):
                number, _, name = line.split("=", 1)[1].strip().partition(" ")
                if name:
                    names[number] = name.split("'")[0].split(".")[0]  # the linker's copies are called worker_main.lto_priv.0
                if line.startswith("cfn="):
                    called = names.get(number)
            elif line.startswith(("fl=", "fi=", "fe=", "cfi=", "cfl=")):
                kind, _, rest = line.strip().partition("=")
                number, _, name = rest.partition(" ")
                if name:
                    files[number] = name.rsplit("/", 1)[-1]
                if kind == "fl":
                    file_of_caller = files.get(number, "")
            elif line.startswith("calls=") and called is not None:
                count = int(line[6:].split()[0])
                calls[called] = calls.get(called, 0) + count
                calls_from[file_of_caller, called] = calls_from.get((file_of_caller, called), 0) + count
            elif line.startswith(("totals:", "summary:")):
                instructions = max(instructions, int(line.split()[1]))
    return instructions
