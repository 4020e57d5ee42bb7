"""Probes, as pkg/kubelet/prober asks them: from the node, each on a connection of its own, with the figures of the manifest.

One thread a probe. The first question is put when the container runs (after initialDelaySeconds), then every periodSeconds. A result
counts when it has come failureThreshold (successThreshold) times in a row. Readiness and liveness wait for the startup probe; a
container without one has started when it runs. Once the pod ends only readiness is asked. Who is not ready is asked out of turn, too, when
the kubelet looks at its pod (UpdatePodStatus() in prober_manager.go), and periods count from there.
"""

import socket
import subprocess
import threading
import time

DEFAULTS = {"initialDelaySeconds": 0, "periodSeconds": 10, "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3}
USER_AGENT = "kube-probe/1.30"


def port_number(port, container):
    """Of a probe: a number, or the name of one of the container's ports."""
    if isinstance(port, int):
        return port
    return next(p["containerPort"] for p in container.get("ports") or [] if p.get("name") == port)


def http_get(make_socket, address, path, timeout, headers=()):
    """The status of an answer whose head has come, or OSError."""
    end = time.monotonic() + timeout
    with make_socket() as sock:
        sock.settimeout(timeout)
        sock.connect(address)
        lines = [f"GET {path} HTTP/1.1", f"Host: {address[0]}:{address[1]}", f"User-Agent: {USER_AGENT}", "Accept: */*",
                 *headers, "Connection: close"]
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = b""
        while b"\r\n\r\n" not in head:
            sock.settimeout(max(0.001, end - time.monotonic()))
            piece = sock.recv(65536)
            if not piece:
                raise ConnectionError("EOF")
            head += piece
        return int(head.split(b" ", 2)[1])


def ask(probe, target):
    """(succeeded, what was said). `target`: has address, container (its spec), make_socket() and exec(command, timeout)."""
    timeout = probe.get("timeoutSeconds", DEFAULTS["timeoutSeconds"])
    try:
        if "exec" in probe:
            done = target.exec(probe["exec"]["command"], timeout)
            return done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace").strip()
        kind = probe.get("httpGet") or probe["tcpSocket"]
        address = (kind.get("host") or target.address, port_number(kind["port"], target.container))
        if "tcpSocket" in probe:
            with target.make_socket() as sock:
                sock.settimeout(timeout)
                sock.connect(address)
            return True, ""
        headers = [f"{one['name']}: {one['value']}" for one in kind.get("httpHeaders") or []]
        status = http_get(target.make_socket, address, kind.get("path", "/"), timeout, headers)
        return 200 <= status < 400, f"HTTP probe failed with statuscode: {status}"
    except (OSError, socket.timeout, subprocess.TimeoutExpired, IndexError, ValueError) as error:
        return False, f"{type(error).__name__}: {error}"


class Prober:
    """Asks one probe of one container until stop(). `on_result(succeeded, why)` hears each result that counts anew."""

    def __init__(self, name, probe, target, on_result, initially=None):
        self.probe, self.target, self.on_result = {**DEFAULTS, **probe}, target, on_result
        self.result, self.in_a_row, self.latest = initially, 0, None
        self.over, self.wake = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        self.over.set()
        self.wake.set()

    def ask_now(self):
        """Out of turn, unless it still waits for its initial delay."""
        self.wake.set()

    def _work(self):
        if self.over.wait(self.probe["initialDelaySeconds"]):
            return
        self.wake.clear()
        due = time.monotonic()
        while not self.over.is_set():
            self._ask()
            due += self.probe["periodSeconds"]
            if self.wake.wait(max(0, due - time.monotonic())):
                self.wake.clear()
                due = time.monotonic()

    def _ask(self):
        succeeded, why = ask(self.probe, self.target)
        if self.over.is_set():
            return
        self.in_a_row = self.in_a_row + 1 if succeeded == self.latest else 1
        self.latest = succeeded
        enough = self.probe["successThreshold" if succeeded else "failureThreshold"]
        if self.in_a_row >= enough and succeeded != self.result:
            self.result = succeeded
            self.on_result(succeeded, why)
