"""The image that is shipped, in pods: its root as tools/image/assemble makes it, read-only, without a shell."""

import os
import subprocess
import sys
import tempfile
import unittest

from scenario import Case, chart, config, shunt_values

from harness import SLOW_BUILD
from runtime import Image


@unittest.skipIf(SLOW_BUILD, "the image is made from a release build")
class Shipped(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = tempfile.TemporaryDirectory(prefix="shunt-image-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = os.path.join(folder.name, "root")
        os.chmod(folder.name, 0o755)
        done = subprocess.run([os.path.join(chart.TOP, "tools/image/assemble"), cls.folder, chart.BUILD], capture_output=True, text=True,
                              timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        print(done.stdout.strip(), file=sys.stderr)

    def test_rolling_restart(self):
        """The hook that drains needs shuntctl and the token only; names are looked up by the image's own libraries."""
        self.cluster.image("images.example.org/shunt", Image(self.folder, command=("/usr/sbin/shunt",), user=(65532, 65532),
                                                             env={"PATH": "/usr/sbin:/usr/bin"}))
        self.new(replicas=2)
        self.cluster.apply(self.sidecar(shunt_values(config=config(50)), replicas=2))
        self.rolled_out("orders")
        before = self.cluster.pods("orders")
        for pod in before:
            self.assertIn("orders", self.shuntctl(pod, "status"))
            self.assertEqual(pod.exec(["sh", "-c", "true"], "shunt").returncode, 127)
        load = self.load("orders", ["orders/1", "orders/2"])
        load.phase("before")
        load.phase("meanwhile", least=0)
        self.cluster.rollout_restart("orders")
        self.rolled_out("orders")
        load.phase("after")
        self.none_failed(load, "before", "meanwhile", "after")
        self.ended_well(before)


if __name__ == "__main__":
    unittest.main()
