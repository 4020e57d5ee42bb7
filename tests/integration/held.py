"""A thread of a child that stands still while all others run on: the worst that a busy machine can do, at an instant the test chooses."""

import ctypes
import os
import unittest

SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
LIBC.ptrace.restype = ctypes.c_long


def thread_named(pid, name):
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/comm", encoding="ascii") as f:
            if f.read().strip() == name:
                return int(tid)
    raise AssertionError(f"no thread {name}")


def trace(what, tid):
    if LIBC.ptrace(what, tid, None, None) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


class Held:
    """One thread of a child stands still, as if it hung in a callback; the others run on. Skips where ptrace is not allowed."""

    def __init__(self, tid):
        self.tid = tid

    def __enter__(self):
        try:
            trace(SEIZE, self.tid)
        except PermissionError as error:
            raise unittest.SkipTest(f"ptrace is not allowed here: {error}") from None
        trace(INTERRUPT, self.tid)
        os.waitpid(self.tid, WALL)
        return self

    def __exit__(self, *_):
        trace(DETACH, self.tid)
