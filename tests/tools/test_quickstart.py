"""The first command of the README does what it says, on a build that is there already, and leaves nothing behind: no
process, no file, also when it is interrupted."""

import os
import re
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
        """As from a terminal: what a shell runs in the background has SIGINT ignored, and so have its children."""
        return subprocess.Popen([os.path.join(TOP, "tools/quickstart"), *words], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
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
        for fact in ("plan", "split", "differences", "verdict", "page", "breaker", "recovery", "passthrough", "state", "clients"):
            self.assertRegex(summary, rf"✓ {fact}")
        self.assertNotIn("\x1b", said)  # colours are for terminals
        self.the_report_is_shown(said)
        self.nothing_is_left()

    def the_report_is_shown(self, said):
        """By endpoint and field, noise hidden; the verdict; and the page, where it is said to be."""
        report = said.split("$ shuntctl report orders\n")[1].split("==>")[0]
        self.assertRegex(report, r"GET /orders/\{number\}  [0-9,]+ of [0-9,]+ differ")
        for field in ("$.total", "$.currency"):
            self.assertRegex(report, rf"(?m)^ +{re.escape(field)} +(value|missing) ")
        self.assertRegex(report, r"1 noise: \$\.updated_at")
        self.assertRegex(said, r"\norders: [0-9,]+ compared, [0-9,]+ differ .* limit 1 %: fail\n")
        self.assertIn("exit code 1: ", said)
        (page,) = re.findall(r"open file://(\S+)", said)
        with open(page, encoding="utf-8") as f:
            html = f.read()
        self.assertIn("</html>", html)
        self.assertIn("GET /orders/{number}", html)

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
