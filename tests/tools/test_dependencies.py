"""The list of packages: every purpose has some, a wrong purpose is refused with the right ones, and nothing is installed by
looking."""

import os
import subprocess
import unittest

TOOL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/dependencies")


def run(*words, **environment):
    return subprocess.run([TOOL, *words], capture_output=True, text=True, timeout=50, check=False,
                          env={**os.environ, **environment})


class Dependencies(unittest.TestCase):
    def test_each_purpose_names_packages(self):
        for purpose in ("build", "run", "image", "test", "bench", "lint"):
            done = run("--print", purpose)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(done.stdout.split(), purpose)
            self.assertNotIn("|", done.stdout)

    def test_purposes_add_up(self):
        both = set(run("--print", "build", "run").stdout.split())
        self.assertEqual(both, set(run("--print", "build").stdout.split()) | set(run("--print", "run").stdout.split()))

    def test_a_wrong_purpose_is_refused_with_the_right_ones(self):
        done = run("--print", "biuld")
        self.assertEqual(done.returncode, 1)
        self.assertIn("biuld", done.stderr)
        self.assertIn("build run image test bench lint", done.stderr)

    def test_without_a_package_manager_it_says_what_to_do(self):
        done = subprocess.run(["/bin/bash", TOOL, "build"], capture_output=True, text=True, timeout=50, check=False,
                              env={"PATH": self.bin_without_dpkg()})
        self.assertEqual(done.returncode, 1)
        self.assertIn("not a Debian system", done.stderr)
        self.assertIn("cmake --preset release", done.stderr)

    def bin_without_dpkg(self):
        import shutil
        import tempfile
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        for name in ("dirname", "sed", "awk", "id"):
            os.symlink(shutil.which(name), os.path.join(folder, name))
        return folder


if __name__ == "__main__":
    unittest.main()
