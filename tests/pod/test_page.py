"""docs/kubernetes.md, word for word: each way in is walked as the page says it, on a simulated cluster whose application serves
clients all the while, and no request of theirs fails."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest

import yaml

import kustomize
import page
import remote

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ["SHUNT_BUILD"]
VERSION = "1.30.0"
FIVE_MINUTES = 300
EXAMPLE = os.path.join(page.TOP, "helm/examples/kustomize")


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def walked():
    """{section: steps} of the sections that ask for something to be typed."""
    return {title: steps for title, steps in page.sections(read(page.PATH)).items()
            if any(isinstance(step, page.Commands) for step in steps)}


class Blocks(unittest.TestCase):
    """What the page shows, and the means of this test."""

    def test_every_section_with_commands_is_walked(self):
        ways = {way.section for way in Way.__subclasses__()}
        followed = {step.anchor for steps in walked().values() for step in steps if isinstance(step, page.Follow)}
        self.assertEqual(set(walked()), ways | followed)

    def test_files_are_shown_as_they_are(self):
        shown = [step for steps in page.sections(read(page.PATH)).values() for step in steps if isinstance(step, page.File)]
        self.assertGreaterEqual(len(shown), 9)
        for file in shown:
            self.assertEqual(file.text, read(os.path.join(page.TOP, file.path)), file.path)

    def test_a_block_that_nobody_would_run_is_refused(self):
        for text in ("```yaml\na: 1\n```\n", "```\nwhat is printed\n```\n", "```bash\nls\n```\n", "```sh\nls\n"):
            with self.assertRaises(page.Stray):
                page.sections("## A section\n\n" + text)
        steps = page.sections("## One\n\n`helm/a.yaml`:\n\n```yaml\na: 1\n```\n\nThen [look at it](#two).\n\n```sh\nls \\\n  -l\n```\n")["one"]
        self.assertEqual(steps, [page.File("helm/a.yaml", "a: 1\n"), page.Follow("two"), page.Commands("ls \\\n  -l\n", 11)])
        self.assertEqual(page.commands(steps[-1].text), ["ls -l"])

    def test_five_minutes_are_few_commands(self):
        typed = [command for step in walked()["five-minutes"] if isinstance(step, page.Commands) for command in page.commands(step.text)]
        self.assertLessEqual(len(typed), 10)

    def test_commands_that_are_not_simulated_are_refused(self):
        environment = {**os.environ, "PATH": os.path.join(HERE, "bin") + ":" + os.environ["PATH"]}
        environment.pop(remote.ADDRESS, None)
        for command in ("kubectl scale deploy/orders --replicas 3", "helm repo add x https://x", "helm template orders helm/shunt"):
            done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("is not simulated", done.stderr)
        done = subprocess.run("kubectl apply -f x", shell=True, env=environment, capture_output=True, text=True, timeout=60, check=False)
        self.assertIn("no cluster", done.stderr)

    @unittest.skipUnless(shutil.which("kubectl"), "no kubectl on this machine")
    def test_kustomize_says_the_same(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
        plan = os.path.join(folder, "kustomization.yaml")
        for text in (read(plan), read(plan).replace("# - {", "- {")):
            with open(plan, "w", encoding="utf-8") as f:
                f.write(text)
            done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, timeout=60, check=True)
            theirs = sorted(yaml.safe_load_all(done.stdout), key=kustomize.identity)
            self.assertEqual(sorted(kustomize.build(folder), key=kustomize.identity), theirs)


# What follows needs the simulator.


class Way:
    """One way of the page, from what is there to what it leaves. `section` is its anchor; `after` names what is asserted when each of
    its blocks has been typed, in order."""


if __name__ == "__main__":
    unittest.main(verbosity=2)
