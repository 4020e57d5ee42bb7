"""What the counted-cost tests share: shunt in front of two cheap backends, and a verdict in one line."""

import contextlib
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/benchmark"))

from client import Client  # noqa: E402
from peers import Backend, Peer, Setting, command, program  # noqa: E402
from processes import COMPARING, WORKER, SystemCalls, Trouble, callgrind, free_port, instructions_by_thread  # noqa: E402

__all__ = ["COMPARING", "WORKER", "Backend", "Client", "Peer", "Setting", "SystemCalls", "callgrind", "command",
           "free_port", "instructions_by_thread", "backends", "main", "at_most", "ALLOCATORS", "program"]

ALLOCATORS = ("malloc", "calloc", "realloc", "aligned_alloc", "posix_memalign", "mmap", "brk")


@contextlib.contextmanager
def backends():
    """A setting with two running backends and a folder that goes away with them."""
    with tempfile.TemporaryDirectory() as folder, Backend() as legacy, Backend() as new:
        yield Setting(legacy=legacy.port, new=new.port, folder=folder)


class Verdict(Exception):
    """A count above its limit."""


def at_most(what, value, limit):
    line = f"{what}: {value:,.2f}, at most {limit:,}"
    print(line, flush=True)
    if value > limit:
        raise Verdict(f"too much: {line}")


def main(test):
    """Runs test(); 0 when it is fine, 1 with the reason when it is not, 77 (skipped) where nothing can be traced."""
    try:
        test()
    except Verdict as verdict:
        sys.exit(str(verdict))
    except Trouble as trouble:
        if "cannot attach" in str(trouble):
            print(f"skipped: {trouble}")
            sys.exit(77)
        raise
