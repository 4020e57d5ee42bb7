"""Memory follows the limit of the control group: copies are shed first, then clients that rest; nothing under way fails, and the kernel
never has to end the process.

The limits are those of the program that is shipped: sanitizers take several times as much. What a level does is shown in any build,
by a limit that comes close while shunt runs.
"""

import contextlib
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import threading
import time
import unittest

from certificates import authority, client_context
from control_group import Group
from harness import SLOW_BUILD, Case, Client, Ended, config, main, stays, wait_until
from http2 import H2Client

MIB = 1 << 20
USUAL = 256 * MIB  # of the chart
LARGE = 900000  # bytes of a body: close to max_body

ROUTE = """\
  - name: all
    match: { path: /** }
    sticky: [ client_ip ]
    percent: 0
    breaker: off
    shadow: { percent: 100, methods: ["*"], max_in_flight: 100000, max_connections: 4096, timeout: 60s, breaker: off }
"""
QUIET = "access_log: off\nlimits: { connections: 20000 }"


class MemoryCase(Case):
    def setUp(self):
        super().setUp()
        self.group = Group(self, "memory")
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))

    def begin(self, limit, text):
        self.group.limit(limit)
        return self.shunt(text, wrapper=self.group.wrapper)

    def assert_alive(self, shunt):
        self.assertEqual(self.group.kills(), 0, "the kernel ended it for want of memory")
        self.assertTrue(shunt.alive(), shunt.output())

    def assert_served(self, result):
        self.assertEqual(result["failed"], 0, result)
        self.assertGreater(result["ok"], 0, result)

    def reasons(self, shunt):
        return shunt.metrics().by("shunt_shadow_total", "reason")

    def idle(self, shunt, count, asks=True):
        """So many clients that rest, as far as shunt takes them: those that were answered, and those that wait."""
        taken, waiting = [], []
        for _ in range(count):
            sock = socket.create_connection(shunt.address, timeout=20)
            self.addCleanup(sock.close)
            if asks:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: shunt.test\r\n\r\n")
                sock.settimeout(1)
                try:
                    if not sock.recv(4096):
                        continue  # it was closed before it had been answered
                except (TimeoutError, ConnectionError):
                    waiting.append(sock)
                    if len(waiting) >= 3:
                        return taken, waiting
                    continue
            taken.append(sock)
        return taken, waiting

    def pressures(self, shunt):
        return [(event["from"], event["to"]) for event in shunt.find_events("memory_pressure")]


@unittest.skipIf(SLOW_BUILD, "the limits are those of the program that is shipped")
class Shadow(MemoryCase):
    """A tenth of the usual limit, everything mirrored, hundreds of clients."""

    def overload(self, misbehaviour, **load):
        legacy, new = self.fast(), self.fast("new")
        new.tell(misbehaviour)
        shunt = self.begin(USUAL // 10, config(legacy, new, ROUTE, top=QUIET, state=f"{self.directory}/state",
                                               backend_extra=", max_connections: 4096"))
        told = shunt.find_events("memory_limit")[0]
        self.assertLess(abs(told["limit"] - USUAL // 10), 8192)
        self.assertLess(told["shadow_memory"], USUAL // 40 + 1)
        running = self.load(shunt.address, connections=200, **load)
        wait_until(lambda: self.reasons(shunt)["memory"] > 300 and sum(self.reasons(shunt).values()) > 2000,
                   lambda: f"copies to be dropped: {self.reasons(shunt)}", timeout=120, every=0.05)
        self.assertLess(shunt.metric("shunt_shadow_memory_bytes"), told["shadow_memory"] * 1.1)
        self.assert_served(running.finish())
        self.assert_alive(shunt)
        self.assertEqual(shunt.metric("shunt_memory_limit_bytes"), told["limit"])
        self.assertLess(shunt.metric("shunt_memory_used_bytes"), told["limit"])
        return shunt

    def test_a_new_backend_that_hangs_while_requests_are_large(self):
        self.overload("hang", method="POST", body=LARGE)

    def test_a_new_backend_that_hangs_while_answers_are_large(self):
        self.overload("hang", path=f"/bytes/{LARGE}")

    def test_a_new_backend_that_is_slow_while_answers_are_large(self):
        self.overload("delay 500", path=f"/bytes/{LARGE}")

    def test_answers_are_large_and_differ(self):
        """What is compared, and what is kept of it, has its bounds, too."""
        answers = [b"[" + b",".join(b'{"id":%d,"of":%d}' % (i, side) for i in range(30000)) + b"]" for side in range(2)]
        peers = [self.backend(lambda request, body=body: b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                              b"Content-Length: %d\r\n\r\n%b" % (len(body), body), name)
                 for body, name in zip(answers, ("legacy", "new"))]
        shunt = self.begin(USUAL // 10, config(*peers, ROUTE, top=QUIET, state=f"{self.directory}/state"))
        for _ in range(3):
            with shunt.client() as client:
                for _ in range(5):
                    self.assertEqual(len(client.get().body), len(answers[0]))
        compared = lambda: shunt.metrics().by("shunt_comparisons_total", "outcome")
        wait_until(lambda: sum(compared().values()) > 0, "pairs that were looked at")
        self.assertEqual(shunt.admin_reply("GET", "/api/v1/report?format=html").status, 200)
        self.assert_alive(shunt)


@unittest.skipIf(SLOW_BUILD, "the limits are those of the program that is shipped")
class Clients(MemoryCase):
    def test_thousands_that_rest(self):
        backend = self.fast()
        limit = 8 * MIB
        shunt = self.begin(limit, config(backend, top=QUIET, timeouts="idle: 10m, request_header: 10m"))
        running = self.load(shunt.address, connections=8, rate=200)
        taken, _ = self.idle(shunt, 6000)
        self.assertGreater(len(taken), 1500, "8 MiB are enough for so many")
        self.assertGreaterEqual(shunt.metric("shunt_connections_refused_total"), 1)
        self.assertGreater(shunt.metric("shunt_connections_shed_total"), 100)
        self.assertIn(("short", "scarce"), self.pressures(shunt))
        self.assert_served(running.finish())
        self.assert_alive(shunt)
        # Those that are left go on, those that are not were said goodbye to.
        ended = 0
        for sock in taken[-200:] + taken[:200]:
            sock.settimeout(20)
            try:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: shunt.test\r\n\r\n")
                ended += not sock.recv(4096)
            except ConnectionError:
                ended += 1
        self.assertLess(ended, 400)
        for sock in taken:
            sock.close()
        wait_until(lambda: shunt.metric("shunt_memory_pressure") == 0, "plenty of memory again", timeout=100, every=0.1)
        self.assertEqual(shunt.get().status, 200)

    def test_thousands_that_have_said_nothing(self):
        backend = self.fast()
        shunt = self.begin(8 * MIB, config(backend, top=QUIET, timeouts="idle: 10m, request_header: 10m"))
        running = self.load(shunt.address, connections=8, rate=200)
        self.idle(shunt, 6000, asks=False)
        wait_until(lambda: shunt.metric("shunt_connections_refused_total") > 0, "a client that is not taken")
        wait_until(lambda: shunt.metric("shunt_connections_shed_total") > 0, "one that rests to be closed")
        self.assert_served(running.finish())
        self.assert_alive(shunt)

    def test_tls_and_http2(self):
        """They take ten times as much."""
        backend, new = self.fast(), self.fast("new")
        new.tell("hang")
        context = client_context(alpn=("h2",))
        shunt = self.begin(USUAL // 10, config(
            backend, new, ROUTE, top=QUIET, timeouts="idle: 10m, request_header: 10m",
            listener=[f"tls: {{ {authority().issue().keys} }}"]))
        failures, answered, stop = [], [0], threading.Event()

        def ask():
            try:
                with H2Client(shunt.address, tls=context) as client:
                    while not stop.is_set():
                        reply = client.get("/bytes/20000")
                        assert reply.status == 200 and len(reply.body) == 20000, reply
                        answered[0] += 1
            except Exception as error:  # pylint: disable=broad-except
                failures.append(repr(error))

        askers = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
        for asker in askers:
            asker.start()
        wait_until(lambda: answered[0] > 50, "answers")
        with contextlib.ExitStack() as stack:
            for _ in range(1500):
                sock = socket.create_connection(shunt.address, timeout=20)
                stack.callback(sock.close)
                sock.settimeout(2)
                try:
                    stack.enter_context(context.wrap_socket(sock, server_hostname="localhost"))
                except (TimeoutError, OSError):
                    if shunt.metric("shunt_connections_refused_total") > 0:
                        break
            self.assertGreater(self.reasons(shunt)["memory"], 0)
            self.assertIn(("plenty", "short"), self.pressures(shunt))
            stop.set()
            for asker in askers:
                asker.join(20)
            self.assertEqual(failures, [])
            self.assert_alive(shunt)


@unittest.skipIf(SLOW_BUILD, "the limits are those of the program that is shipped")
class Bursts(MemoryCase):
    """More than there is memory for, all at once: who waits is served later, or told so, but the process goes on."""

    def burst(self, *words, times=1):
        """How many requests succeeded, the fewest of so many bursts."""
        if shutil.which("h2load") is None:
            self.skipTest("h2load is not installed (nghttp2-client)")
        backend, new = self.fast(), self.fast("new")
        new.tell("hang")
        shunt = self.begin(USUAL // 10, config(backend, new, ROUTE, top=QUIET, listener=[f"tls: {{ {authority().issue().keys} }}"],
                                               backend_extra=", max_connections: 4096"))
        succeeded = []
        for _ in range(times):
            done = subprocess.run(["h2load", "-t1", *words[:-1], f"https://127.0.0.1:{shunt.address[1]}{words[-1]}"],
                                  capture_output=True, text=True, timeout=200, check=False)
            self.assertEqual(self.group.kills(), 0, done.stdout + str(self.pressures(shunt)))
            self.assert_alive(shunt)
            succeeded.append(int(re.search(r"(\d+) succeeded", done.stdout).group(1)))
        self.assertNotEqual(self.pressures(shunt), [], "a burst that is large enough")
        self.assertGreater(shunt.metric("shunt_turns_awaited_total") + shunt.metric("shunt_connections_refused_total"), 0,
                           "somebody has to wait")
        wait_until(lambda: shunt.metric("shunt_memory_pressure") == 0, "plenty of memory again", timeout=100, every=0.1)
        with H2Client(shunt.address, tls=client_context(alpn=("h2",))) as client:
            self.assertEqual(client.get().status, 200)
        return min(succeeded)

    def test_hundreds_of_handshakes_at_once(self):
        self.assertGreater(self.burst("-c", "600", "-m", "1", "-n", "20000", "/bytes/2000"), 5000)

    def test_thousands_of_streams_at_once(self):
        self.assertGreater(self.burst("-c", "200", "-m", "10", "-n", "6000", "/bytes/100000"), 1000)

    def make_machine_busy(self):
        """So that what has been begun waits for the processor, and keeps its memory meanwhile."""
        for _ in range(2 * (os.cpu_count() or 1)):
            process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)

    def test_more_answers_than_there_is_memory_for(self):
        """Streams that are open must be read on, for HTTP/2's windows: in turns."""
        self.make_machine_busy()
        self.assertGreater(self.burst("-c", "300", "-m", "10", "-n", "6000", "/bytes/200000", times=4), 100)


class Kernel(MemoryCase):
    """What the kernel keeps for a connection counts in version 2, but not in shunt's own sums."""

    def unsent(self, port, theirs=True):
        """Bytes that wait in sockets to this port of this machine, or in those of this port."""
        with open("/proc/net/tcp", encoding="ascii") as f:
            lines = [line.split() for line in f.readlines()[1:]]
        return sum(int(line[4].split(":")[0], 16) for line in lines
                   if line[3] == "01" and int(line[2 if theirs else 1].split(":")[1], 16) == port)  # established

    def test_little_of_a_copy_waits_there(self):
        nobody = socket.create_server(("127.0.0.1", 0))  # connections come about, and nobody reads from them
        self.addCleanup(nobody.close)
        port = nobody.getsockname()[1]
        shunt = self.begin(4096 * MIB, config(self.fast(), f"http://127.0.0.1:{port}", ROUTE.replace("timeout: 60s", "timeout: 60s, max_buffer: 64MiB"), top=QUIET))
        with shunt.client() as client:
            client.send(f"POST / HTTP/1.1\r\nHost: shunt.test\r\nContent-Length: {8 * MIB}\r\n\r\n")
            client.send(b"x" * 8 * MIB)
            self.assertEqual(client.reply("POST").status, 200)
        self.assertEqual(shunt.metric("shunt_shadow_in_flight"), 1)
        self.assertLess(self.unsent(port), 512 * 1024)
        self.assertGreater(shunt.metric("shunt_shadow_memory_bytes"), 4 * MIB)

    def test_little_of_an_answer_waits_there(self):
        shunt = self.begin(4096 * MIB, config(self.fast(), top=QUIET))
        with Client(shunt.address, receive_buffer=65536) as client:
            client.send("GET /bytes/20000000 HTTP/1.1\r\nHost: shunt.test\r\n\r\n")
            self.assertEqual(client.head().status, 200)
            wait_until(lambda: self.unsent(shunt.address[1], theirs=False) > 0, "the kernel to have some")
            stays(lambda: self.unsent(shunt.address[1], theirs=False) < 512 * 1024, 1, "megabytes wait in the kernel")


class Levels(MemoryCase):
    """The limit comes close while shunt runs, as when a pod is given another one."""

    BALLAST = 256 * MIB  # beside which nothing else in the group matters

    def setUp(self):
        super().setUp()
        code = f"x = bytearray(b'x') * {self.BALLAST}; print(flush=True); input()"
        ballast = subprocess.Popen([*self.group.wrapper, sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(lambda: (ballast.communicate(b"\n", 20), ballast.wait()))
        ballast.stdout.readline()

    def come_close(self, percent):
        """So that as much of it is used."""
        self.group.limit(self.group.used() * 100 // percent)

    def go_away(self):
        self.group.limit(4096 * MIB)

    def test_copies_are_given_up_and_made_again(self):
        legacy, new = self.fast(), self.fast("new")
        new.tell("hang")
        shunt = self.begin(4096 * MIB, config(legacy, new, ROUTE, top=QUIET))
        with shunt.client() as client:
            for _ in range(10):
                self.assertEqual(client.get().status, 200)
            self.assertEqual(shunt.metric("shunt_shadow_in_flight"), 10)
            self.come_close(84)
            wait_until(lambda: shunt.metric("shunt_shadow_in_flight") == 0, "copies to be given up")
            self.assertEqual(shunt.wait_events("memory_pressure")[0]["to"], "short")
            self.assertEqual(self.reasons(shunt)["memory"], 10)
            self.assertEqual(shunt.metric("shunt_shadow_memory_bytes"), 0)
            self.assertEqual(client.get().status, 200)
            wait_until(lambda: self.reasons(shunt)["memory"] == 11, "a copy that is not made")
            self.go_away()
            self.assertEqual(shunt.wait_events("memory_pressure", 2)[1]["to"], "plenty")
            self.assertEqual(client.get().status, 200)
            wait_until(lambda: shunt.metric("shunt_shadow_in_flight") == 1, "a copy")
        self.assertEqual(self.pressures(shunt), [("plenty", "short"), ("short", "plenty")])
        self.assertGreaterEqual(len(shunt.find_events("memory_limit")), 2)
        self.assert_alive(shunt)

    def test_everybodys_turn_comes_while_memory_stays_scarce(self):
        """Who asks is not read at once where enough is under way already, but nobody is forgotten."""
        backend = self.fast()
        shunt = self.begin(4096 * MIB, config(backend, top=QUIET, workers=1, backend_extra=", queue_timeout: 60s"))
        backend.tell("delay 12000")
        with contextlib.ExitStack() as stack:
            slow = [stack.enter_context(shunt.client()) for _ in range(24)]
            for client in slow:
                client.send(b"GET / HTTP/1.1\r\nHost: shunt.test\r\n\r\n")
            wait_until(lambda: backend.requests == len(slow), "requests under way")
            backend.tell("ok")
            self.come_close(93)
            wait_until(lambda: shunt.metric("shunt_memory_pressure") == 2, "memory to be scarce")
            late = [stack.enter_context(shunt.client()) for _ in range(20)]
            for client in late:
                # Without a body: at the brink a request with one is refused rather than kept.
                client.send(b"GET /bytes/20000 HTTP/1.1\r\nHost: shunt.test\r\n\r\n")
            failures = []

            def ask():
                try:
                    with H2Client(shunt.address) as client:
                        reply = client.get("/bytes/300000")  # several windows
                        assert reply.status == 200 and len(reply.body) == 300000, reply
                except Exception as error:  # pylint: disable=broad-except
                    failures.append(repr(error))

            askers = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
            for asker in askers:
                asker.start()
            wait_until(lambda: shunt.metric("shunt_turns_awaited_total") >= 20, "connections that wait for their turn")
            for client in slow + late:
                self.assertEqual(client.reply().status, 200)
            for asker in askers:
                asker.join(60)
            self.assertEqual(failures, [])
            self.assertEqual(shunt.metric("shunt_memory_pressure"), 2, "it should have stayed scarce")
        self.assert_alive(shunt)

    def test_clients_that_rest_make_room_and_new_ones_wait(self):
        backend = self.fast()
        shunt = self.begin(4096 * MIB, config(backend, top=QUIET, workers=1))
        backend.tell("delay 12000")
        with shunt.client() as busy, shunt.client() as fresh:
            busy.send(b"GET / HTTP/1.1\r\nHost: shunt.test\r\n\r\n")
            wait_until(lambda: backend.requests == 1, "the request")
            backend.tell("ok")
            taken, _ = self.idle(shunt, 100)
            self.assertEqual(len(taken), 100)
            self.come_close(94)
            wait_until(lambda: shunt.metric("shunt_memory_pressure") == 2, "memory to be scarce")
            with Client(shunt.address) as late:
                late.send(b"GET / HTTP/1.1\r\nHost: shunt.test\r\n\r\n")
                wait_until(lambda: shunt.metric("shunt_connections_shed_total") > 0 or shunt.metric("shunt_memory_pressure") < 2,
                           "one that rests to be closed")
                self.go_away()
                self.assertEqual(late.reply().status, 200)
            self.assertEqual(busy.reply().status, 200)
            ends = 0
            for sock in taken:
                sock.setblocking(False)
                try:
                    ends += sock.recv(1) == b""  # an end, no reset
                except BlockingIOError:
                    pass
            self.assertEqual(ends + fresh_ended(fresh), shunt.metric("shunt_connections_shed_total"))
        self.assertIn("scarce", [to for _, to in self.pressures(shunt)])
        self.assert_alive(shunt)


def fresh_ended(client):
    client.socket.setblocking(False)
    try:
        return client.socket.recv(1) == b""
    except BlockingIOError:
        return False


if __name__ == "__main__":
    main()
