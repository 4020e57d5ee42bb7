"""tools/benchmark/needs.py [BUILD]: what shunt needs of memory, as the table in docs/kubernetes.md has it. As root.

Each figure is what a control group of its own is charged, without cached files: the process, and the kernel's part of its connections.
"""

import os
import resource
import socket
import sys
import time
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
os.environ["SHUNT_BUILD"] = sys.argv[1] if len(sys.argv) > 1 else os.path.join(TOP, "build/release")
sys.path.insert(0, os.path.join(TOP, "tests/integration"))

from certificates import authority, client_context  # noqa: E402
from control_group import Group  # noqa: E402
from frames import END_HEADERS, END_STREAM, HEADERS, METHOD_GET, PREFACE, SCHEME_HTTPS, SETTINGS, field, frame, next_frame  # noqa: E402
from harness import Case, config  # noqa: E402

REST_S = 4  # shunt takes a second to see that a connection rests
TOP_KEYS = "access_log: off\nlimits: { connections: 20000 }"
PATHS = {"rests": "/", "waits": "/delay/600000", "reads slowly": "/bytes/10000000"}
SENT = 200000


def request_of(what):
    if what == "sends":
        return b"POST /delay/600000 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % SENT + b"x" * SENT
    return f"GET {PATHS[what]} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def stream_of(what):
    fields = METHOD_GET + SCHEME_HTTPS + field(b":authority", b"localhost") + field(b":path", PATHS[what].encode())
    return PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_STREAM | END_HEADERS, 1, fields)


class Needs(Case):
    def begin(self, tls):
        backend, self.group = self.fast(), Group(self, "memory")
        listener = [f"tls: {{ {authority().issue().keys} }}"] if tls else []
        shunt = self.shunt(config(backend, top=TOP_KEYS, state=f"{self.directory}/state", listener=listener,
                                  timeouts="idle: 10m, request_header: 10m, response: 10m, drain: 1s",
                                  backend_extra=", max_connections: 20000"), wrapper=self.group.wrapper)
        time.sleep(REST_S)
        return shunt

    def connect(self, shunt, context, protocol, what):
        sock = socket.create_connection(shunt.address)
        self.addCleanup(sock.close)
        if context is not None:
            sock = context.wrap_socket(sock, server_hostname="localhost")
            self.addCleanup(sock.close)
        sock.sendall(stream_of(what) if protocol == "h2" else request_of(what))
        flags = 0
        while what == "rests" and protocol == "h2" and not flags & END_STREAM:
            _, flags, _, _ = next_frame(sock)
        if what == "rests" and protocol != "h2":
            sock.recv(4096)

    def needs(self, protocol, what, count):
        context = client_context(alpn=("h2" if protocol == "h2" else "http/1.1",)) if protocol != "plain" else None
        shunt = self.begin(context is not None)
        before = self.group.used()
        for _ in range(count):
            self.connect(shunt, context, protocol, what)
        time.sleep(REST_S)
        print(f"{protocol}, {what}: {(self.group.used() - before) / count / 1024:.1f} KiB", flush=True)
        shunt.kill()

    def runTest(self):
        shunt = self.begin(False)
        print(f"idle: {self.group.used() / 2**20:.1f} MiB, resident {shunt.rss() / 2**20:.1f} MiB", flush=True)
        shunt.kill()
        for protocol in ("plain", "tls", "h2"):
            self.needs(protocol, "rests", 1000)
            self.needs(protocol, "waits", 1000)
        self.needs("plain", "reads slowly", 500)
        self.needs("plain", "sends", 500)


hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
sys.exit(not unittest.TextTestRunner(verbosity=0).run(Needs()).wasSuccessful())
