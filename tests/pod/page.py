"""docs/kubernetes.md as what a reader does: files that are written, commands that are typed, and a section that is followed from
another. A block that is none of these is refused, so that nothing on the page goes untried."""

import dataclasses
import os
import re
import subprocess

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
PATH = os.path.join(TOP, "docs/kubernetes.md")
CAPTION = re.compile(r"`(helm/[^`]+)`:")
FOLLOWED = re.compile(r"\[look at it\]\(#([a-z-]+)\)", re.IGNORECASE)


@dataclasses.dataclass
class File:
    """A block that shows a whole file; its caption is the path."""

    path: str
    text: str


@dataclasses.dataclass
class Commands:
    """A block that is typed."""

    text: str
    line: int


@dataclasses.dataclass
class Output:
    """Lines of what the commands before it print, with other figures."""

    text: str

    def missing(self, said):
        """The lines that nobody has printed."""
        printed = {shape(line) for line in said.splitlines()}
        return [line for line in self.text.splitlines() if shape(line) not in printed]


@dataclasses.dataclass
class Follow:
    """Words that send the reader to another section, and back."""

    anchor: str


class Stray(Exception):
    """A block that nobody runs and nobody compares."""


def shape(line):
    """A line whose figures, and the room they take, do not matter."""
    return re.sub(r"[0-9][0-9.,]*", "0", " ".join(line.split()))


def anchor(title):
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def sections(text):
    """{anchor of a section: [steps]}, in the page's order; "" is what stands before the first."""
    found = {"": []}
    steps, caption = found[""], None
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        if line.startswith("```"):
            steps.append(block(line[3:], caption, fenced(lines), number))
            caption = None
        elif line.startswith("## "):
            steps = found.setdefault(anchor(line[3:]), [])
        elif line.strip():
            caption = CAPTION.fullmatch(line)
            steps += [Follow(match[1]) for match in FOLLOWED.finditer(line)]
    return found


def fenced(lines):
    text = []
    for _, line in lines:
        if line == "```":
            return "".join(text)
        text.append(line + "\n")
    raise Stray("a block without an end")


def block(language, caption, text, number):
    if language == "yaml" and caption:
        return File(caption[1], text)
    if language == "sh" and not caption:
        return Commands(text, number)
    if language == "text" and not caption:
        return Output(text)
    raise Stray(f"line {number}: a block of {language or 'no language'} that is no file with its path, no commands and not what these print")


def commands(text):
    """The commands of a block: lines, put together where one goes on."""
    whole = re.sub(r"\\\n\s*", "", text)
    return [line for line in whole.splitlines() if line.strip() and not line.strip().startswith("#")]


class Terminal:
    """Where a reader types: a folder to begin in, and an environment. `cd` lasts until the next block, as on a screen."""

    def __init__(self, folder, environment):
        self.folder, self.environment = folder, {**os.environ, **environment}

    def type(self, text):
        """Runs a block, word for word, and returns what is printed; AssertionError where a command fails."""
        where = os.path.join(self.folder, ".where")
        script = f"{text}\npwd >'{where}'\n"
        done = subprocess.run(["sh", "-e", "-c", script], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=400, check=False)
        print("\n".join([f"$ {line}" for line in text.splitlines()] + [done.stdout + done.stderr]))
        if done.returncode != 0:
            raise AssertionError(f"exit code {done.returncode}:\n{text}\n{done.stdout}{done.stderr}")
        with open(where, encoding="utf-8") as f:
            now = f.read().strip()
        os.unlink(where)
        self.folder = now
        return done.stdout
