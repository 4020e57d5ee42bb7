"""The command lines of bin/kubectl and bin/helm. They know what docs/kubernetes.md types and refuse everything else, so that the page
cannot promise what nobody has tried."""

import os
import sys


class Unknown(Exception):
    """Something that is not simulated."""


def parse(words, flags, switches=()):
    """(arguments, {flag: [values]}, words behind `--`). `flags`: {"-n": "namespace", "--namespace": "namespace", ...}, each with a
    value behind it or after "="; `switches` have none."""
    words, behind = (words[:words.index("--")], words[words.index("--") + 1:]) if "--" in words else (words, [])
    arguments, given = [], {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if word in switches:
            given[word] = [True]
        elif name in flags:
            if not equals and not rest:
                raise Unknown(f"{name} without a value")
            given.setdefault(flags[name], []).append(value if equals else rest.pop(0))
        elif word.startswith("-") and word != "-":
            raise Unknown(f"the option {word}")
        else:
            arguments.append(word)
    return arguments, given, behind


def last(given, name, default=None):
    return given.get(name, [default])[-1]


def main(run, refusals):
    """Runs run(words) and ends the process with its code. `refusals`: exceptions that are said as the program would say them."""
    name = os.path.basename(sys.argv[0])
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except Unknown as error:
        code = f"{name} (simulated): {error} is not simulated: {' '.join(sys.argv)}"
    except refusals as error:
        code = str(error) if str(error).lower().startswith("error") else f"Error: {error}"
    sys.exit(code)
