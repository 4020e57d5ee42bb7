"""What the real redis-server processes of the tests stand on: a small client, free ports, and processes that end with the
test. See redis_peer.py.
"""

import atexit
import itertools
import random
import signal
import socket
import subprocess
import threading

PORTS = (20000, 32000)  # /proc/sys/net/ipv4/ip_local_port_range begins at 32768
BOUND = 15              # seconds for one process to start or end


class RedisError(Exception):
    """An error reply."""


class Connection:
    """One connection, one command at a time, RESP2: bulk strings as text, arrays as lists, errors raised."""

    def __init__(self, address, timeout=BOUND, context=None, username=None, password=None):
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.settimeout(timeout)
            self.socket.connect(address)
        else:
            self.socket = socket.create_connection(address, timeout)
        if context:
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.rest = b""
        if password is not None:
            self.ask("AUTH", *([username] if username else []), password)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, *words):
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))

    def _fill(self):
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError("redis closed the connection")
        self.rest += piece

    def _line(self):
        while b"\r\n" not in self.rest:
            self._fill()
        line, self.rest = self.rest.split(b"\r\n", 1)
        return line

    def read(self):
        """One reply; an error inside an array is a value, alone it is raised."""
        value = self._value()
        if isinstance(value, RedisError):
            raise value
        return value

    def _value(self):
        line = self._line()
        kind, text = line[:1], line[1:].decode("utf-8", "surrogateescape")
        if kind == b"+":
            return text
        if kind == b"-":
            return RedisError(text)
        if kind == b":":
            return int(text)
        if kind == b"*":
            return None if text == "-1" else [self._value() for _ in range(int(text))]
        assert kind == b"$", line
        size = int(text)
        if size < 0:
            return None
        while len(self.rest) < size + 2:
            self._fill()
        value, self.rest = self.rest[:size], self.rest[size + 2:]
        return value.decode("utf-8", "surrogateescape")

    def ask(self, *words):
        self.send(*words)
        return self.read()

    def close(self):
        self.socket.close()


_ports = itertools.count(random.randrange(*PORTS))
_ports_lock = threading.Lock()


def free_port():
    """One on which nobody listens now; never the same twice in a process until all were given."""
    for _ in range(1000):
        with _ports_lock:
            port = PORTS[0] + next(_ports) % (PORTS[1] - PORTS[0])
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


class Process:
    """A program that is ended by its pid, and by a shell that waits beside it when the test's process is killed."""

    def __init__(self, command, output):
        with open(output, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.pid = self.process.pid
        self.guard = subprocess.Popen(["/bin/sh", "-c", 'read _; kill -9 "$0"', str(self.pid)], stdin=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL)
        atexit.register(self.kill)

    def alive(self):
        return self.process.poll() is None

    def signal(self, number):
        if self.alive():
            self.process.send_signal(number)

    def end(self):
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(BOUND)
        except subprocess.TimeoutExpired:
            pass
        self.kill()

    def kill(self):
        atexit.unregister(self.kill)
        if self.guard:
            self.guard.kill()  # before the pid can be another's
            self.guard.stdin.close()
            self.guard.wait()
            self.guard = None
        if self.alive():
            self.process.kill()
        self.process.wait()
