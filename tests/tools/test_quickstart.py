"""The first command of the README does what it says, on a build that is there already, and leaves nothing behind: no
process, no file, also when it is interrupted."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
BUILD = os.environ["SHUNT_BUILD"]


def children_of(folder):
    """Processes that have the folder in their environment, as TMPDIR: all that the quickstart starts inherit it."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if folder.encode() in file.read():
                    found.append(pid)
        except OSError:
            pass
    return found


class Quickstart(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def start(self, *words):
        return subprocess.Popen([os.path.join(TOP, "tools/quickstart"), *words], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                env={**os.environ, "TMPDIR": self.folder, "SHUNT_BUILD_ROOT": os.path.dirname(BUILD)})

    def nothing_is_left(self):
        self.assertEqual(os.listdir(self.folder), [])
        self.assertEqual(children_of(self.folder), [])

    def test_once(self):
        quickstart = self.start("--once")
        said, _ = quickstart.communicate(timeout=150)
        print(said)
        self.assertEqual(quickstart.returncode, 0)
        summary = said.split("what happened")[1]
        self.assertNotIn("✗", summary)
        for fact in ("plan", "split", "differences", "breaker", "recovery", "passthrough", "state", "clients"):
            self.assertRegex(summary, rf"✓ {fact}")
        self.assertNotIn("\x1b", said)  # colours are for terminals
        self.nothing_is_left()

    def test_interrupted(self):
        quickstart = self.start()
        with quickstart.stdout:
            while "users →" not in (line := quickstart.stdout.readline()):
                self.assertTrue(line, "ended before it began")
            quickstart.send_signal(signal.SIGINT)
            quickstart.stdout.read()
        self.assertEqual(quickstart.wait(30), 130)
        deadline = time.monotonic() + 10
        while children_of(self.folder) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.nothing_is_left()


if __name__ == "__main__":
    if os.path.basename(BUILD) != "release":
        print("skipped: the quickstart builds and uses a folder called release")
        sys.exit(77)
    unittest.main()
