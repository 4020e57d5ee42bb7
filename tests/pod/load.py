"""Bounded load on a Service from a namespace of its own, by clients that never try anything twice: every request that fails in any way
is a failed one.

    keep     HTTP/1.1 clients that keep their connection. One that the server has closed before the next request is sent, or told to
             close, is replaced, as every client does; one that is closed under a request is a failure.
    fresh    HTTP/1.1 clients that open a connection for each request
    http2    HTTP/2 clients by prior knowledge, which open a new connection after GOAWAY

An answer must be whole, have status 200, name the path that was asked for, and come from one of `expect` ("name/version", or "name").
Requests belong to the phase they began in. Load is the test's side; the clients are this file, run in the client's namespace.
"""

import json
import os
import select
import socket
import ssl
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../integration"))


class Load:
    """Runs until finish(). `port` of the Service; more: path, keep, fresh, http2, pause (seconds between one client's requests),
    ca (a file; then all of it goes over TLS), timeout, body (bytes of a POST's body), method."""

    def __init__(self, cluster, host, expect, port=80, **more):
        order = {"host": host, "port": port, "expect": list(expect), "path": "/orders/", "keep": 4, "fresh": 2, "http2": 0, "pause": 0.03,
                 "timeout": 10, "ca": None, "method": "GET", "body": 0, **more}
        self.process = cluster.client.popen(["/usr/bin/python3", os.path.abspath(__file__), json.dumps(order)], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, text=True, bufsize=1)
        self.cluster, self.result = cluster, None
        assert self.process.stdout.readline() == "ready\n"

    def _tell(self, *words):
        self.process.stdin.write(json.dumps(words) + "\n")
        return json.loads(self.process.stdout.readline())

    def phase(self, name, expect=None, least=20, timeout=30):
        """A new phase, with other answers where `expect` names them; returns when `least` of its requests have been answered."""
        self._tell("phase", name, expect)
        self.cluster.wait(lambda: self._tell("count")["answered"] >= least, lambda: f"{least} requests in the phase {name}", timeout)

    def by(self):
        """How many requests of this phase each application has answered: {"orders/1": 20}."""
        return self._tell("count")["by"]

    def failures(self):
        return self._tell("count")["failures"]

    def finish(self):
        """{"phases": [{"name", "requests", "failures", "answered", "by", "slowest"}], "failures": how many, "requests", "first": [the first
        ones that failed], "replaced": how many connections}."""
        if self.result is None:
            self.result = self._tell("finish")
            self.close()
        return self.result

    def close(self):
        if not self.process.stdin.closed:
            self.process.stdin.close()  # it ends with it
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


# ---------------------------------------------------------------------------------------------------------- in the namespace


class Phase:
    def __init__(self, name, expect):
        self.name, self.expect = name, expect
        self.requests = self.failures = 0
        self.slowest = 0.0
        self.by = {}

    def told(self):
        return {"name": self.name, "requests": self.requests, "failures": self.failures, "answered": sum(self.by.values()), "by": self.by,
                "slowest": round(self.slowest, 3)}


class Wrong(Exception):
    """An answer came, and is not the one that was due."""


class Clients:
    def __init__(self, order):
        self.order = order
        self.lock = threading.Lock()
        self.phases = [Phase("begin", order["expect"])]
        self.first, self.replaced, self.number = [], 0, 0
        self.over = threading.Event()
        self.tls = ssl.create_default_context(cafile=order["ca"]) if order["ca"] else None
        kinds = [(Keeping, order["keep"]), (Fresh, order["fresh"]), (Http2, order["http2"])]
        self.threads = [threading.Thread(target=self.run, args=(kind, at), daemon=True) for kind, count in kinds for at in range(count)]

    def run(self, kind, at):
        client = kind(self)
        self.over.wait(self.order["pause"] * at / 8)
        while not self.over.is_set():
            with self.lock:
                phase, self.number = self.phases[-1], self.number + 1
                path = f"{self.order['path']}{self.number}"
                if "?" in self.order["path"]:
                    path = self.order["path"].replace("?", f"{self.number}?", 1)
                phase.requests += 1
            began = time.monotonic()
            try:
                who = self.judge(path, phase, *client.ask(path))
                with self.lock:
                    phase.by[who] = phase.by.get(who, 0) + 1
                    phase.slowest = max(phase.slowest, time.monotonic() - began)
            except Exception as error:  # pylint: disable=broad-except  # whatever it is, the request has failed
                client.drop()
                with self.lock:
                    phase.failures += 1
                    if len(self.first) < 20:
                        took = time.monotonic() - began
                        self.first.append(f"{phase.name}: {kind.__name__} {path} after {took:.3f} s at {time.strftime('%H:%M:%S')}: "
                                          f"{type(error).__name__}: {str(error)[:300]}")
            self.over.wait(self.order["pause"])
        client.drop()

    def judge(self, path, phase, status, body):
        if status != 200:
            raise Wrong(f"status {status}: {body[:200]!r}")
        told = json.loads(body)
        if told["path"] != path:
            raise Wrong(f"the answer to {told['path']}")
        who = f"{told['name']}/{told['version']}"
        with self.lock:
            expect = phase.expect + self.phases[-1].expect
        if who not in expect and told["name"] not in expect:
            raise Wrong(f"answered by {who}")
        return who

    def socket(self):
        sock = socket.create_connection((self.order["host"], self.order["port"]), timeout=self.order["timeout"])
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            sock = self.tls.wrap_socket(sock, server_hostname=self.order["host"])
        return sock


def user_of(path):
    """Every request is another user's."""
    return "user" + path.rpartition("/")[2].partition("?")[0]


class Keeping:
    def __init__(self, clients):
        from harness import Client  # pylint: disable=import-outside-toplevel,import-error  # only the clients need it

        self.clients, self.make, self.client = clients, Client, None

    def closed_meanwhile(self):
        return bool(select.select([self.client.socket], [], [], 0)[0])

    def ask(self, path, headers=()):
        order = self.clients.order
        if self.client and self.closed_meanwhile():
            with self.clients.lock:
                self.clients.replaced += 1
            self.drop()
        if self.client is None:
            self.client = self.make(self.clients.socket(), timeout=order["timeout"])
        lines = [f"{order['method']} {path} HTTP/1.1", f"Host: {order['host']}", f"X-User-Id: {user_of(path)}", *headers]
        if order["body"]:
            lines.append(f"Content-Length: {order['body']}")
        reply = self.client.ask("\r\n".join(lines).encode() + b"\r\n\r\n" + b"x" * order["body"], order["method"])
        if reply.truncated:
            raise Wrong(f"truncated: {reply}")
        if "close" in (reply.get("connection") or "").lower():
            self.drop()
        return reply.status, reply.body

    def drop(self):
        if self.client:
            self.client.close()
        self.client = None


class Fresh(Keeping):
    def ask(self, path, headers=()):
        try:
            return super().ask(path, ["Connection: close"])
        finally:
            self.drop()


class Http2:
    def __init__(self, clients):
        from http2 import H2Client  # pylint: disable=import-outside-toplevel,import-error

        self.clients, self.make, self.client = clients, H2Client, None

    def ask(self, path):
        order, tls = self.clients.order, None
        if self.client and self.told_to_leave():
            with self.clients.lock:
                self.clients.replaced += 1
            self.drop()
        if self.client is None:
            if order["ca"]:
                tls = ssl.create_default_context(cafile=order["ca"])
                tls.set_alpn_protocols(["h2"])
            self.client = self.make((order["host"], order["port"]), tls, order["host"], timeout=order["timeout"])
            self.client.keep_frames = False
        reply = self.client.get(path, [("x-user-id", user_of(path))], order["method"], b"x" * order["body"] or None,
                                authority=order["host"])
        if reply.truncated:
            raise Wrong(f"truncated: {reply}")
        return reply.status, reply.body

    def told_to_leave(self):
        """By what has come since: GOAWAY, or the end."""
        while self.client.wait_readable(0):
            pass
        while self.client.take_frame():
            pass
        self.client.socket.settimeout(self.clients.order["timeout"])
        return bool(self.client.goaways) or self.client.eof

    def drop(self):
        if self.client:
            self.client.close()
        self.client = None


def serve(order):
    clients = Clients(order)
    for thread in clients.threads:
        thread.start()
    print("ready", flush=True)
    for line in sys.stdin:
        what, *more = json.loads(line)
        if what == "phase":
            with clients.lock:
                clients.phases.append(Phase(more[0], more[1] or clients.phases[-1].expect))
        if what == "finish":
            clients.over.set()
            for thread in clients.threads:
                thread.join(order["timeout"] + 5)
        with clients.lock:
            told = clients.phases[-1].told()
            if what == "finish":
                told = {"phases": [phase.told() for phase in clients.phases], "first": clients.first, "replaced": clients.replaced,
                        "failures": sum(phase.failures for phase in clients.phases),
                        "requests": sum(phase.requests for phase in clients.phases)}
        print(json.dumps(told), flush=True)
    os._exit(0)


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
