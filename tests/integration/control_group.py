"""A control group of a test's own, with a limit of memory or a quota of CPU, in version 1 or 2: whichever the machine has.

Groups carry the test's process id, so that cases run beside each other, and are removed when the test has ended, processes in them first.
"""

import itertools
import os
import signal
import time
import unittest

MOUNT = "/sys/fs/cgroup"
NUMBERS = itertools.count(1)

FILES = {  # of each version
    "limit": {1: "memory.limit_in_bytes", 2: "memory.max"},
    "used": {1: "memory.usage_in_bytes", 2: "memory.current"},
    "kills": {1: "memory.oom_control", 2: "memory.events"},
}


def version():
    return 2 if os.path.exists(os.path.join(MOUNT, "cgroup.controllers")) else 1


def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(str(text))


def read(path):
    with open(path, encoding="ascii") as f:
        return f.read()


class Group:
    """group = Group(case, "memory"): skips the case where no such group can be made. `wrapper` starts a program in it."""

    def __init__(self, case, controller):
        self.version = version()
        if os.geteuid() != 0:
            raise unittest.SkipTest("making a control group needs root")
        top = MOUNT if self.version == 2 else os.path.join(MOUNT, controller)
        self.path = os.path.join(top, f"shunt-test-{os.getpid()}-{next(NUMBERS)}")
        try:
            if self.version == 2:
                write(os.path.join(top, "cgroup.subtree_control"), "+" + controller)
            os.mkdir(self.path)
        except OSError as error:
            raise unittest.SkipTest(f"no control group can be made here: {error}") from None
        case.addCleanup(self.remove)
        if not os.path.exists(os.path.join(self.path, FILES["limit"][self.version] if controller == "memory" else "cgroup.procs")):
            raise unittest.SkipTest(f"the controller {controller} is not to be had here")

    @property
    def wrapper(self):
        return ["/bin/sh", "-c", f'echo $$ > {self.path}/cgroup.procs && exec "$@"', "sh"]

    def file(self, what):
        return os.path.join(self.path, FILES[what][self.version])

    def limit(self, size):
        write(self.file("limit"), size)

    def used(self):
        """What shunt calls used: without the cache of files that nobody has mapped."""
        prefix = "total_" if self.version == 1 else ""
        stat = dict(line.split() for line in read(os.path.join(self.path, "memory.stat")).splitlines())
        files = sum(int(stat[f"{prefix}{kind}_file"]) for kind in ("inactive", "active"))
        mapped = int(stat["total_mapped_file" if self.version == 1 else "file_mapped"])
        return int(read(self.file("used"))) - max(0, files - mapped)

    def kills(self):
        """How many processes the kernel has ended for want of memory."""
        return sum(int(line.split()[1]) for line in read(self.file("kills")).splitlines() if line.split()[0] == "oom_kill")

    def quota(self, cores, period=100000):
        if self.version == 2:
            write(os.path.join(self.path, "cpu.max"), f"{int(cores * period)} {period}")
        else:
            write(os.path.join(self.path, "cpu.cfs_period_us"), period)
            write(os.path.join(self.path, "cpu.cfs_quota_us"), int(cores * period))

    def below(self, case, name="below"):
        """A group inside this one."""
        group = object.__new__(Group)
        group.version, group.path = self.version, os.path.join(self.path, name)
        os.mkdir(group.path)
        case.addCleanup(group.remove)
        return group

    def remove(self):
        end = time.monotonic() + 10
        while os.path.isdir(self.path):
            for pid in read(os.path.join(self.path, "cgroup.procs")).split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            try:
                os.rmdir(self.path)
            except OSError:  # what has just ended is in it for a moment yet
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)
