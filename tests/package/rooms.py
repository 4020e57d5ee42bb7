"""Roots of their own for the tests of what is installed: mount namespaces, held by a process and gone with it."""

import os
import shutil
import signal
import subprocess
import tempfile
import unittest

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.path.abspath(os.environ.get("SHUNT_BUILD", os.path.join(TOP, "build/release")))
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def run(*words, code=0, **more):
    """Its standard output; fails with all it said unless it ended with `code` (None: however it ends)."""
    more.setdefault("timeout", 120)
    done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=more.pop("stdin", subprocess.DEVNULL), **more)
    if code is not None and done.returncode != code:
        raise AssertionError(f"{' '.join(words)[:500]}: exit code {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done.stdout if code is not None else done


class Room:
    """A mount namespace whose private root is made by `script`, a shell's, in which $ROOM is an empty folder on a tmpfs and $ROOT is
    where the root shall be. Skips the test where this machine allows no such thing: where the script fails, unless it has said
    "allowed" before."""

    def __init__(self, case, script, **environment):
        if os.geteuid() != 0:
            raise unittest.SkipTest("a mount namespace takes root")
        self.folder = tempfile.mkdtemp(prefix="shunt-room-")
        case.addCleanup(shutil.rmtree, self.folder)
        self.root = os.path.join(self.folder, "root")
        text = f"""set -eu
            mount -t tmpfs -o mode=755 shunt-{os.getpid()} {self.folder}
            mkdir {self.folder}/root
            {script}
            echo made
            exec sleep infinity"""
        self.holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", text], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                       env={**os.environ, "ROOM": self.folder, "ROOT": self.root, **environment})
        case.addCleanup(self.leave)
        said = self.holder.stdout.readline()
        is_allowed = said == "allowed\n"
        if is_allowed:
            said = self.holder.stdout.readline()
        if said != "made\n":
            why = self.holder.stderr.read().strip()
            raise AssertionError(why) if is_allowed else unittest.SkipTest(f"this machine allows no root of one's own: {why}")

    def leave(self):
        self.holder.send_signal(signal.SIGKILL)
        self.holder.communicate(timeout=20)

    def inside(self, *words, environment=None, **more):
        """In the root, as root."""
        variables = {"PATH": PATH, "HOME": "/", "LC_ALL": "C.UTF-8", **(environment or {})}
        enter = ["nsenter", "--mount", f"--target={self.holder.pid}", "--root=" + self.at(""), "--wd=" + self.at("")]
        return run(*enter, "env", "-i", *[f"{key}={value}" for key, value in variables.items()], *words, **more)

    def at(self, path):
        """Where the machine sees a path of the root."""
        return f"/proc/{self.holder.pid}/root{self.root}/{path}".rstrip("/")
