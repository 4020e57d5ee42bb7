"""What the application's image runs: an HTTP server that says who it is, misbehaves when asked, and ends as a good one does.

    NAME, VERSION     who it is; with the pod's name in every answer
    PORT              3001
    START_DELAY       seconds before it listens
    ANSWER_DELAY      seconds it takes for each answer
    STOP_DELAY        seconds it goes on serving after TERM; then it finishes what it is in, and exits with 0
    CALL              a URL it calls itself, `host:port/path`: on a new connection each time
    JOB               it serves nobody, makes that many calls, twenty a second, and exits with 0 if all were answered with 200
    STOP_CALLS        that many calls after TERM, spread over STOP_DELAY

GET /healthz is 200; POST /crash ends the process in the middle of the answer; every other path is answered with who, path and how many
bytes came, after `?ms=N` milliseconds and with `?size=N` bytes more. What it called is told on standard output as {"calls", "failures"}.
"""

import json
import os
import re
import select
import signal
import socket
import sys
import threading
import time

NAME, VERSION = os.environ.get("NAME", "orders"), os.environ.get("VERSION", "1")
POD = os.environ.get("HOSTNAME", "")
STOP_DELAY = float(os.environ.get("STOP_DELAY", "0"))
ANSWER_DELAY = float(os.environ.get("ANSWER_DELAY", "0"))
ending = threading.Event()
over = threading.Event()


def say(**what):
    print(json.dumps(what), flush=True)


def call(url):
    """None, or what went wrong."""
    host, port, path = re.fullmatch(r"(?:http://)?([^:/]+):?([0-9]*)(/.*)", url).groups()
    try:
        with socket.create_connection((host, int(port or 80)), timeout=5) as sock:
            sock.settimeout(5)
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while True:
                piece = sock.recv(65536)
                if not piece:
                    break
                answer += piece
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    return None if answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"}") else repr(answer[:200])


def call_often(times, seconds=0.0):
    failures = []
    for _ in range(times):
        why = call(os.environ["CALL"])
        if why:
            failures.append(why)
        time.sleep(seconds / times)
    say(calls=times, failures=failures[:10], failed=len(failures))
    return len(failures)


class Connection:
    def __init__(self, sock):
        self.sock, self.have = sock, b""

    def more(self):
        piece = self.sock.recv(262144)
        if not piece:
            raise EOFError
        self.have += piece

    def body(self, head):
        length = re.search(rb"(?im)^content-length: *([0-9]+)", head)
        if length:
            while len(self.have) < int(length.group(1)):
                self.more()
            at = int(length.group(1))
        elif re.search(rb"(?im)^transfer-encoding: *chunked", head):
            while not self.have.endswith(b"0\r\n\r\n"):
                self.more()
            at = len(self.have)
        else:
            at = 0
        self.have, size = self.have[at:], at
        return size

    def serve(self):
        """One exchange; false when the connection is over. An idle one is over when the process ends."""
        while not self.have:
            if select.select([self.sock], [], [], 0.1)[0]:
                self.more()
            elif over.is_set():
                return False
        while b"\r\n\r\n" not in self.have:
            self.more()
        head, _, self.have = self.have.partition(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        return self.answer(method, target, self.body(head), b"connection: close" not in head.lower())

    def answer(self, method, target, size, keep):
        if method == "POST" and target == "/crash":
            self.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
            os._exit(70)
        asked = dict(re.findall(r"[?&](ms|size)=([0-9]+)", target))
        if target != "/healthz":
            over.wait(int(asked.get("ms", 0)) / 1000 + ANSWER_DELAY)
        who = {"name": NAME, "version": VERSION, "pod": POD, "method": method, "path": target, "bytes": size}
        if "size" in asked:
            who["more"] = "x" * int(asked["size"])
        text = json.dumps(who).encode() if target != "/healthz" else b'{"status":"ok"}'
        keep = keep and not over.is_set()
        lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(text)}", *([] if keep else ["Connection: close"])]
        self.sock.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + (text if method != "HEAD" else b""))
        return keep


def serve(sock):
    connection = Connection(sock)
    try:
        while connection.serve():
            pass
    except (OSError, EOFError):
        pass
    finally:
        sock.close()


def main():
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    if os.environ.get("JOB"):
        sys.exit(1 if call_often(int(os.environ["JOB"]), int(os.environ["JOB"]) / 20) else 0)
    if ending.wait(float(os.environ.get("START_DELAY", "0"))):
        sys.exit(0)
    listener = socket.create_server(("0.0.0.0", int(os.environ.get("PORT", "3001"))), backlog=1024, reuse_port=False)
    say(event="listening", name=NAME, version=VERSION)
    threads = []

    def accept():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threads.append(threading.Thread(target=serve, args=(sock,)))
            threads[-1].start()
            threads[:] = [thread for thread in threads if thread.is_alive()]

    threading.Thread(target=accept, daemon=True).start()
    ending.wait()
    say(event="ending")
    if os.environ.get("STOP_CALLS"):
        call_often(int(os.environ["STOP_CALLS"]), STOP_DELAY)
    else:
        time.sleep(STOP_DELAY)
    over.set()
    listener.close()
    for thread in list(threads):
        thread.join(10)
    say(event="ended")


main()
