"""What the docs tell people to type and to write works: files pass --check, commands and their options exist, links lead
somewhere."""

import glob
import os
import re
import subprocess
import tempfile
import unittest

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.environ["SHUNT_BUILD"]
PAGES = [os.path.join(TOP, "README.md"), *sorted(glob.glob(os.path.join(TOP, "docs/*.md")))]


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as f:
        return f.read()


def blocks(text, language):
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", text)


def help_of(*words):
    done = subprocess.run([os.path.join(BUILD, "shuntctl"), *words, "--help"], capture_output=True, text=True, timeout=60,
                          check=True)
    return done.stdout


class Docs(unittest.TestCase):
    def check(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            done = subprocess.run([os.path.join(BUILD, "shunt"), "--check", file.name], capture_output=True, text=True,
                                  timeout=60, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""), text)

    def test_the_file_of_the_readme(self):
        (text,) = blocks(read("README.md"), "yaml")
        self.check(text)

    def test_the_files_of_getting_started(self):
        """Each step is put where the page says: behind what was there, then in the place of the stages."""
        first, compared, moving = blocks(read("docs/getting-started.md"), "yaml")
        self.check(first)
        self.check(first + compared)
        self.check(first + compared.split("    stages:")[0] + moving)

    def test_the_rules_of_shadow(self):
        descriptors = os.path.join(TOP, "tests/shadow/corpus/orders.protoset")
        for rules in blocks(read("docs/shadow.md").replace(" orders.protoset\n    tolerance", f" {descriptors}\n    tolerance"), "yaml"):
            start = blocks(read("docs/getting-started.md"), "yaml")[0]
            self.check(start + "routes:\n  - name: r\n    match: { path: /** }\n" +
                       "".join(f"    {line}\n" for line in rules.splitlines()))

    def test_commands_and_their_options_are_there(self):
        commands = set(re.findall(r"(?m)^  ([a-z][a-z-]+) ", help_of().split("Commands:")[1].split("Options:")[0]))
        asked = set()
        for page in PAGES:
            lines = [line for block in blocks(read(page), "sh") for line in block.replace("\\\n", " ").splitlines()]
            lines += re.findall(r"`(shuntctl [^`]+)`", read(page))
            for line in lines:
                for command, rest in re.findall(r"shuntctl (?:-\S+ \S+ )*([a-z][a-z-]+)([^|;#]*)", line):
                    asked |= {(os.path.basename(page), command, option)
                              for option in ["", *re.findall(r" (--?[a-zA-Z][a-z-]*)", rest)]}
        self.assertGreater(len(asked), 30)
        for page, command, option in sorted(asked):
            self.assertIn(command, commands, page)
            self.assertRegex(help_of(command), rf"(?m)(^|[ ,]){re.escape(option)}($|[ ,])", f"{page}: {command} {option}")

    def test_links_lead_somewhere(self):
        for page in PAGES:
            for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", read(page)):
                if re.match(r"[a-z]+:", target):
                    continue
                path = os.path.join(os.path.dirname(page), target) if target else page
                self.assertTrue(os.path.exists(path), f"{page}: {target}")
                if anchor:
                    titles = re.findall(r"(?m)^#+ (.*)$", read(path))
                    names = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
                    self.assertIn(anchor, names, f"{page}: {target}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
