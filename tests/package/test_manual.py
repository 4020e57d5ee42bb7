"""The manual pages: what --help says stands in them, groff has nothing against them, and they are read in 80 columns."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.path.abspath(os.environ.get("SHUNT_BUILD", os.path.join(TOP, "build/asan")))
VERSION = re.search(r"^project\(shunt VERSION (\S+)", open(os.path.join(TOP, "CMakeLists.txt"), encoding="utf-8").read(), re.M)[1]


def run(*words, **more):
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, **more)
    assert done.returncode == 0, (words, done.stderr)
    return done


def program(name, *words):
    return run(os.path.join(BUILD, name), *words).stdout


def page_of_shunt():
    with open(os.path.join(TOP, "tools/package/shunt.8.in"), encoding="utf-8") as f:
        return f.read().replace("@PROJECT_VERSION@", VERSION)


class Manual(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="shunt-manual-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        pages = {"shunt.8": page_of_shunt(), "shuntctl.1": program("shuntctl", "manual"), "shunt.yaml.5": program("shunt", "--reference=man")}
        cls.files, cls.seen = {}, {}
        for name, text in pages.items():
            cls.files[name] = os.path.join(cls.folder, name)
            with open(cls.files[name], "w", encoding="utf-8") as f:
                f.write(text)
        for name, path in cls.files.items():
            cls.seen[name] = cls.look(path)

    @staticmethod
    def look(path, width=80):
        """As a reader sees it, without bold and underline, each run of blanks as one."""
        done = run("man", "--no-hyphenation", "--encoding=UTF-8", "-P", "cat", "-l", path,
                   env={**os.environ, "MANWIDTH": str(width), "LC_ALL": "C.UTF-8", "MAN_KEEP_FORMATTING": ""})
        return re.sub("\x1b\\[[0-9;]*m|.\b", "", done.stdout)

    def test_groff_has_nothing_against_them(self):
        for name, path in self.files.items():
            done = run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", path, env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80"})
            self.assertEqual(done.stderr, "", name)
            done = run("groff", "-ww", "-man", "-Tutf8", "-Kutf8", path)
            self.assertEqual(done.stderr, "", name)

    def test_they_have_their_name_their_sections_and_each_other(self):
        for name, sections in (("shunt.8", ("SYNOPSIS", "OPTIONS", "SIGNALS", "ENVIRONMENT", "EXIT STATUS", "FILES", "SEE ALSO")),
                               ("shuntctl.1", ("SYNOPSIS", "OPTIONS", "COMMANDS", "EXIT STATUS", "ENVIRONMENT", "SEE ALSO")),
                               ("shunt.yaml.5", ("DESCRIPTION", "FILES", "SEE ALSO"))):
            title, section = name.rsplit(".", 1)
            seen = self.seen[name]
            self.assertRegex(seen, rf"^{re.escape(title)}\({section}\) ")
            self.assertRegex(seen, rf"\nNAME\n +{re.escape(title)} - \w")
            self.assertIn(f"shunt {VERSION}", seen)
            for heading in sections:
                self.assertIn(f"\n{heading}\n", seen, name)
            for other in set(self.files) - {name}:
                title, section = other.rsplit(".", 1)
                self.assertIn(f"{title}({section})", seen[seen.index("SEE ALSO"):], name)

    def test_they_are_found_by_their_subject(self):
        """What whatis and apropos read."""
        for name, path in self.files.items():
            self.assertRegex(run("lexgrog", path).stdout, rf'"{re.escape(name.rsplit(".", 1)[0])} - \w')

    def test_text_stays_within_80_columns(self):
        """Examples are longer where a file is; a sentence never is."""
        for name, seen in self.seen.items():
            for line in seen.splitlines():
                if len(line) > 80:
                    self.assertRegex(line, r"^ {11}\S|^ {12,}", name)

    def test_all_that_shunt_says_of_itself_is_in_its_page(self):
        text, seen = program("shunt", "--help"), self.seen["shunt.8"]
        options = re.findall(r"^  +(?:(-\w), )?(--[\w-]+)", text, re.M)
        self.assertGreaterEqual(len(options), 8)
        for letter, name in options:
            self.assertRegex(seen, rf"\n +(?:-\w, )?{name}\b", name)
            self.assertIn(letter, seen)
        written = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", seen)) - {"--now"}
        self.assertEqual(written, {name for _, name in options})
        signals = re.search(r"^Signals: (.*)", text, re.M)[1]
        for signal in re.findall(r"\b[A-Z]{3,4}\d?\b", signals):
            self.assertRegex(seen[seen.index("SIGNALS"):], rf"\b{signal}\b")
        for variable in re.findall(r"\bSHUNT_[A-Z_]+", text):
            self.assertIn(variable, seen)
        codes = re.findall(r"\b(\d) [a-z]", text[text.index("Exit codes:"):])
        self.assertEqual(codes, ["0", "1", "2"])
        self.assertEqual(re.findall(r"\n {7}(\d) ", seen[seen.index("EXIT STATUS"):seen.index("FILES")]), codes)

    def test_all_commands_options_and_codes_of_shuntctl_are_in_its_page(self):
        overview, seen = program("shuntctl", "--help"), self.seen["shuntctl.1"]
        names = re.findall(r"^  ([a-z][a-z-]+) ", overview[overview.index("Commands:"):overview.index("Options:")], re.M)
        self.assertGreater(len(names), 25)
        parts = dict(re.findall(r"^ {3}([a-z][a-z-]+)(?: .*)?\n((?: {7}.*\n|\n)*)", seen[seen.index("COMMANDS"):seen.index("EXIT STATUS")], re.M))
        self.assertEqual(list(parts), names)
        of_all = set(re.findall(r"--[a-z][a-z-]+", overview[overview.index("Options:"):]))
        for name in names:
            own = set(re.findall(r"^  +(?:-\w, )?(--[a-z][a-z-]+)", program("shuntctl", name, "--help"), re.M)) - of_all
            self.assertLessEqual(own, set(re.findall(r"--[a-z][a-z-]+", parts[name])), name)
        for option in of_all:
            self.assertIn(option, seen[seen.index("OPTIONS"):seen.index("COMMANDS")])
        codes = re.findall(r"\b(\d) [a-z]", overview[overview.index("Exit codes:"):])
        self.assertEqual(codes, list("01234"))
        self.assertEqual(re.findall(r"\n {7}(\d) ", seen[seen.index("EXIT STATUS"):seen.index("ENVIRONMENT")]), codes)

    def test_every_key_of_the_file_is_in_its_page(self):
        seen = self.seen["shunt.yaml.5"]
        with open(os.path.join(TOP, "docs/configuration.md"), encoding="utf-8") as f:
            page = f.read()
        keys = re.findall(r"^\| `([\w.]+)` \|", page, re.M)
        self.assertGreater(len(keys), 100)
        for key in keys:
            self.assertRegex(seen, rf"\n {{7}}{re.escape(key)}(\n| )", key)
        for heading in re.findall(r"^## (.*)$", page, re.M):
            self.assertIn(f"\n{heading}\n", seen)


if __name__ == "__main__":
    unittest.main()
