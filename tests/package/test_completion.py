"""Completion in the shells themselves: what bash, zsh and fish offer for a command line is what shuntctl and shunt know."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.path.abspath(os.environ.get("SHUNT_BUILD", os.path.join(TOP, "build/asan")))
SHUNT_SCRIPTS = os.path.join(TOP, "tools/package/completion")
SHELLS = ("bash", "zsh", "fish")


def run(*words, **more):
    return subprocess.run(words, capture_output=True, text=True, timeout=300, check=False, **more)


def shuntctl(*words):
    done = run(os.path.join(BUILD, "shuntctl"), *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def options(help_text):
    """{"--wait": its argument or None, "-w": the same}, from the lines of --help."""
    found = {}
    for letter, name, argument in re.findall(r"^  +(?:(-\w), )?(--[\w-]+)(?:\[=\w+\])?(?: ('NAME: VALUE'|[A-Z][A-Z:/|]*))?\s", help_text, re.M):
        found.update({key: argument or None for key in (letter, name) if key})
    return found


def commands():
    """By name: its words, from the overview."""
    block = re.search(r"^Commands:\n((?:  .*\n)+)", shuntctl("--help"), re.M)[1]
    rows = (re.split(r"\s{2,}", line.strip())[0].split(" ", 1) for line in block.splitlines())
    return {row[0]: row[1] if len(row) > 1 else "" for row in rows}


class Completion(unittest.TestCase):
    """A folder with shuntctl on the PATH that answers `routes`, and each shell's scripts."""

    @classmethod
    def setUpClass(cls):
        cls.commands = commands()
        cls.help = {name: shuntctl(name, "--help") for name in cls.commands}

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="shunt-completion-")
        self.addCleanup(shutil.rmtree, self.folder)
        with open(os.path.join(self.folder, "shuntctl"), "w", encoding="ascii") as f:
            f.write('#!/bin/sh\n[ "$*" = "--timeout 1 routes" ] && printf "orders-read\\norders-write\\n"\n')
        os.chmod(os.path.join(self.folder, "shuntctl"), 0o755)
        for name in ("plan.yaml", "plan two.yaml", "notes"):
            with open(os.path.join(self.folder, name), "w", encoding="ascii"):
                pass
        for shell in SHELLS:
            with open(os.path.join(self.folder, f"shuntctl.{shell}"), "w", encoding="utf-8") as f:
                f.write(shuntctl("completion", shell))
            shutil.copy(os.path.join(SHUNT_SCRIPTS, f"shunt.{shell}"), self.folder)
        self.environment = {**os.environ, "PATH": self.folder + ":" + os.environ["PATH"], "HOME": self.folder, "LC_ALL": "C.UTF-8"}

    def need(self, shell):
        if shutil.which(shell) is None:
            self.skipTest(f"there is no {shell} here (tools/dependencies test)")

    def in_shell(self, *words):
        done = run(*words, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout[-2000:])
        return done.stdout


class Bash(Completion):
    def setUp(self):
        super().setUp()
        self.need("bash")

    def offered(self, *lines):
        """For each command line, a list of words whose last is being completed: what is offered."""
        text = "".join(f". ./{name}.bash\n" for name in ("shuntctl", "shunt"))
        for line in lines:
            words = " ".join("'" + word.replace("'", "'\\''") + "'" for word in line)
            text += (f"COMP_WORDS=({words}); COMP_CWORD={len(line) - 1}; COMPREPLY=(); _{line[0]}; "
                     'printf "%s\\n" "${COMPREPLY[@]}"; echo ----\n')
        answers = self.in_shell("bash", "--norc", "-uc", text).split("----\n")[:-1]
        return [sorted(line for line in answer.splitlines() if line) for answer in answers]

    def test_it_is_what_shellcheck_and_bash_take(self):
        for name in ("shuntctl", "shunt"):
            self.in_shell("bash", "-n", f"{name}.bash")

    def test_it_is_registered(self):
        self.assertIn("-F _shuntctl shuntctl", self.in_shell("bash", "--norc", "-c", ". ./shuntctl.bash; complete -p shuntctl"))
        self.assertIn("-F _shunt shunt", self.in_shell("bash", "--norc", "-c", ". ./shunt.bash; complete -p shunt"))

    def test_every_command_is_offered(self):
        all_of_them, some, behind_options = self.offered(["shuntctl", ""], ["shuntctl", "re"], ["shuntctl", "--admin", "h:1", "--json", "st"])
        self.assertEqual(all_of_them, sorted([*self.commands, "help"]))
        self.assertEqual(some, sorted(name for name in self.commands if name.startswith("re")))
        self.assertEqual(behind_options, ["start", "status"])

    def test_each_command_is_offered_its_options_and_no_other(self):
        names = list(self.commands)
        answers = self.offered(*[["shuntctl", name, "-"] for name in names])
        for name, answer in zip(names, answers):
            self.assertEqual(answer, sorted(options(self.help[name])), name)

    def test_routes_are_asked_for(self):
        takers = [name for name, words in self.commands.items() if words.strip("[]").split(" ")[0] == "ROUTE"]
        self.assertGreater(len(takers), 8)
        for name, answer in zip(takers, self.offered(*[["shuntctl", name, "orders-w"] for name in takers])):
            self.assertEqual(answer, ["orders-write"], name)

    def test_words_are_offered_in_their_place(self):
        self.assertEqual(self.offered(
            ["shuntctl", "passthrough", "o"], ["shuntctl", "passthrough", "--local", ""], ["shuntctl", "passthrough", "on", ""],
            ["shuntctl", "explain", "P"], ["shuntctl", "explain", "GET", ""], ["shuntctl", "completion", ""], ["shuntctl", "help", "sim"],
            ["shuntctl", "audit", "v"], ["shuntctl", "check", "pl"], ["shuntctl", "audit", "verify", "no"], ["shuntctl", "nonsense", ""],
        ), [["off", "on"], ["off", "on", "status"], [], ["PATCH", "POST", "PUT"], [], ["bash", "fish", "zsh"], ["simulate"],
            ["verify"], ["plan two.yaml", "plan.yaml"], ["notes"], []])

    def test_values_of_options(self):
        self.assertEqual(self.offered(
            ["shuntctl", "report", "--format", "j"], ["shuntctl", "report", "-f", "j"], ["shuntctl", "report", "--format", "=", "j"],
            ["shuntctl", "report", "--format", "="], ["shuntctl", "report", "--output", "no"], ["shuntctl", "status", "--timeout", ""],
            ["shuntctl", "report", "--format", "junit", "orders-r"], ["shuntctl", "report", "--format", "=", "junit", "orders-r"],
            ["shuntctl", "report", "--html", "orders-r"],
        ), [["json", "junit"]] * 3 + [sorted(["text", "json", "markdown", "junit", "har", "curl", "rules", "html"]), ["notes"], []] +
            [["orders-read"]] * 3)

    def test_shunt(self):
        known = options(run(os.path.join(BUILD, "shunt"), "--help").stdout)
        self.assertGreater(len(known), 8)
        answers = self.offered(["shunt", "-"], ["shunt", "--config", "pl"], ["shunt", "--check", "no"], ["shunt", "--reference", "=", ""])
        self.assertEqual(answers, [sorted(known), ["plan two.yaml", "plan.yaml"], ["notes"], ["man"]])


class Zsh(Completion):
    """Its completion speaks to the line editor alone: this is one, on a terminal of its own, whose `compadd` notes what matches."""

    INSIDE = r"""
PS1=''
unsetopt zle prompt_cr
autoload -Uz compinit
compinit -u -D
. ./shuntctl.zsh
. ./shunt.zsh
zstyle ':completion:*' list-grouped false
compadd() {
    if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
        builtin compadd "$@"
        return
    fi
    local -a matching
    builtin compadd -A matching "$@"
    (( $#matching )) && print -rl -- $matching >> ./offered
    builtin compadd "$@"
}
noted() { print -r -- ---- >> ./offered; exit }
comppostfuncs=(noted)
bindkey '^I' complete-word
setopt zle
print ready
"""
    OUTSIDE = r"""
zmodload zsh/zpty || exit 3
for line in "$@"; do
    zpty terminal zsh -f -i
    zpty -w terminal '. ./inside.zsh'
    zpty -r terminal said '*ready'$'\r\n*'
    zpty -n -w terminal "$line"$'\t'
    while zpty -r terminal said; do :; done
    zpty -d terminal
done
"""

    def setUp(self):
        super().setUp()
        self.need("zsh")
        for name, text in (("inside.zsh", self.INSIDE), ("outside.zsh", self.OUTSIDE)):
            with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
                f.write(text)

    def offered(self, *lines):
        self.in_shell("zsh", "-f", "outside.zsh", *lines)
        with open(os.path.join(self.folder, "offered"), encoding="utf-8") as f:
            answers = f.read().split("----\n")[:-1]
        self.assertEqual(len(answers), len(lines), answers)
        return [sorted(set(answer.splitlines())) for answer in answers]

    def test_commands_options_and_words(self):
        answers = self.offered("shuntctl ", "shuntctl re", "shuntctl status --", "shuntctl set-percent orders-", "shuntctl passthrough --local o",
                               "shuntctl report --format=j", "shuntctl check pl", "shuntctl explain P", "shunt --")
        expected = [sorted([*self.commands, "help"]), sorted(name for name in self.commands if name.startswith("re")),
                    sorted(name for name in options(self.help["status"]) if name.startswith("--")), ["orders-read", "orders-write"],
                    ["off", "on"], ["json", "junit"], ["plan.yaml", "plan\\ two.yaml"], ["PATCH", "POST", "PUT"],
                    sorted(name for name in options(run(os.path.join(BUILD, "shunt"), "--help").stdout) if name.startswith("--"))]
        for answer, wanted in zip(answers, expected):
            self.assertEqual([word.rstrip("=") for word in answer], wanted)

    def test_every_command_completes(self):
        """A specification that zsh cannot read is told on the terminal, and nothing is offered."""
        names = list(self.commands)
        for name, answer in zip(names, self.offered(*[f"shuntctl {name} --" for name in names])):
            self.assertEqual([word.rstrip("=") for word in answer],
                             sorted(word for word in options(self.help[name]) if word.startswith("--")), name)


class Fish(Completion):
    def setUp(self):
        super().setUp()
        self.need("fish")

    def offered(self, *lines):
        text = "source shuntctl.fish; source shunt.fish\n"
        for line in lines:
            text += f"complete -C '{line}'; echo ----\n"
        answers = self.in_shell("fish", "--no-config", "-c", text).split("----\n")[:-1]
        return [sorted(line.split("\t")[0] for line in answer.splitlines()) for answer in answers]

    def test_commands_options_and_words(self):
        answers = self.offered("shuntctl ", "shuntctl sta", "shuntctl set-percent orders-", "shuntctl passthrough o",
                               "shuntctl report --format j", "shuntctl check pl", "shuntctl explain P", "shunt --")
        self.assertEqual(answers, [sorted(self.commands), ["start", "status"], ["orders-read", "orders-write"], ["off", "on"], ["json", "junit"],
                                   ["plan two.yaml", "plan.yaml"], ["PATCH", "POST", "PUT"],
                                   sorted(name for name in options(run(os.path.join(BUILD, "shunt"), "--help").stdout) if name.startswith("--"))])

    def test_each_command_has_its_options(self):
        names = list(self.commands)
        for name, answer in zip(names, self.offered(*[f"shuntctl {name} --" for name in names])):
            self.assertEqual([word.rstrip("=") for word in answer],
                             sorted(word for word in options(self.help[name]) if word.startswith("--")), name)


if __name__ == "__main__":
    unittest.main()
