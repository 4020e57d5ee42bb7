"""Draining with `timeouts.drain_min`: served on, told to leave, idle connections closed, ended; no client loses a request by it.

Phases are awaited by their events. Where something must not happen before a time, the time is measured by this side's clock from
before draining began, so that a slow machine makes the figures only larger.
"""

import os
import select
import signal
import threading
import time

from certificates import authority, client_context
from harness import Case, Client, EchoBackend, Ended, Peer, config, http_reply, main, request, stays, wait_until
from http2 import H2Client
from http2_frames import ACK, END_HEADERS, END_STREAM, HEADERS, NO_ERROR, PING, ask, frame, ping

OK = r"send `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`"
EVERY_STREAM = 0x7FFFFFFF  # of the first GOAWAY
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def says_close(reply):
    return reply.get("connection", "").lower() == "close"


class DrainCase(Case):
    def begin(self, legacy=None, drain_min="1s", drain="30s", **options):
        self.legacy = legacy or self.backend()
        return self.shunt(config(self.legacy, timeouts=f"drain: {drain}, drain_min: {drain_min}", **options))

    def phase(self, shunt, name):
        """Waits until draining is there, or past it."""
        names = ("serving", "leaving", "closing", "ending")
        beyond = names[names.index(name):]
        wait_until(lambda: any(event["phase"] in beyond for event in shunt.find_events("drain_phase") + shunt.find_events("draining")),
                   lambda: f"phase {name}\n{shunt.output()}")

    def drain(self, shunt):
        """By the admin API; returns what this side's clock said before."""
        began = time.monotonic()
        answer = shunt.api("POST", "/api/v1/drain", {"reason": "test", "who": "anna"})
        self.assertTrue(answer["draining"])
        return began

    def ended(self, shunt, code=0):
        self.assertEqual(shunt.wait_exit(30), code, shunt.output())
        shunt.check_sanitizers()


class Phases(DrainCase):
    def test_served_as_ever_at_first(self):
        """Not ready any more, and nothing else is different: connections stay, new ones are taken, nobody is told to leave."""
        shunt = self.begin(drain_min="1h", drain="1h")
        with shunt.client() as client:
            self.assertEqual(client.get().status, 200)
            self.drain(shunt)
            self.assertEqual(shunt.admin_reply("GET", "/readyz").status, 503)
            self.assertEqual(shunt.admin_reply("GET", "/healthz").status, 200)
            for _ in range(3):
                self.assertFalse(says_close(client.get()))
            with shunt.client() as fresh:
                self.assertFalse(says_close(fresh.get()))
                self.assertFalse(says_close(fresh.get()))
        status = shunt.status()
        self.assertEqual((status["ready"], status["draining"]), (False, True))
        told = status["drain"]
        self.assertEqual((told["phase"], told["who"], told["min_ms"], told["ends"], told["left_ms"]),
                         ("serving", "operator:anna", 3600000, False, None))
        self.assertTrue(0 < told["min_left_ms"] <= 3600000)
        self.assertEqual(shunt.metric("shunt_draining"), 1)
        event = shunt.wait_events("draining")[0]
        self.assertEqual((event["who"], event["phase"], event["drain_min_ms"]), ("operator:anna", "serving", 3600000))
        line = [e for e in shunt.audit() if e["what"] == "drain"][0]
        self.assertEqual((line["who"], line["why"], line["route"]), ("operator:anna", "test", None))
        shunt.signal(signal.SIGTERM)
        shunt.wait_events("drain_phase")
        shunt.insist(signal.SIGTERM)
        self.ended(shunt, 1)

    def test_told_to_leave_from_the_half_on(self):
        """Every answer says that it was the last; who says nothing is left alone, and new clients are still served."""
        shunt = self.begin(drain_min="8s", workers=1)
        with shunt.client() as asking, shunt.client() as idle:
            self.assertEqual((asking.get().status, idle.get().status), (200, 200))
            began = self.drain(shunt)
            while not says_close(asking.get()):
                pass
            self.assertGreaterEqual(time.monotonic() - began, 4)
            self.assertEqual(asking.ends(), "closed")
            with shunt.client() as fresh:
                self.assertTrue(says_close(fresh.get()))
            self.assertTrue(says_close(idle.get()))  # it was still there
            phase = shunt.status()["drain"]["phase"]
            self.assertTrue(phase == "leaving" or time.monotonic() - began >= 8, phase)
        shunt.kill()

    def test_idle_connections_are_closed_at_the_minimum(self):
        """And not before. New ones are served as long as nobody has asked for the end."""
        shunt = self.begin()
        with shunt.client() as idle, shunt.client() as silent:
            self.assertEqual(idle.get().status, 200)
            began = self.drain(shunt)
            self.assertEqual((idle.ends(), silent.ends()), ("closed", "closed"))
            self.assertGreaterEqual(time.monotonic() - began, 1)
        for _ in range(3):
            with shunt.client() as fresh:
                reply = fresh.get()
                self.assertEqual((reply.status, says_close(reply)), (200, True))
                self.assertEqual(fresh.ends(), "closed")
        self.assertEqual(shunt.status()["drain"]["phase"], "closing")
        self.phase(shunt, "closing")
        self.assertEqual([e["phase"] for e in shunt.find_events("drain_phase")], ["leaving", "closing"])
        shunt.signal(signal.SIGTERM)
        self.ended(shunt)

    def test_the_end_waits_for_the_minimum(self):
        """Nobody is there, and still it is not over: somebody may come who does not know yet."""
        shunt = self.begin(drain_min="700ms")
        began = time.monotonic()
        shunt.signal(signal.SIGTERM)
        self.ended(shunt)
        self.assertGreaterEqual(time.monotonic() - began, 0.7)
        events = shunt.find_events("draining") + shunt.find_events("drain_phase")
        self.assertEqual([e["phase"] for e in events], ["serving", "leaving", "ending"])
        self.assertEqual((events[0]["signal"], events[0]["who"], events[0]["drain_ms"]), ("TERM", "signal:TERM", 30000))

    def test_a_signal_after_the_minimum_ends_at_once(self):
        shunt = self.begin(drain_min="5s")
        began = self.drain(shunt)
        self.phase(shunt, "closing")
        self.assertGreaterEqual(time.monotonic() - began, 5)
        began = time.monotonic()
        shunt.signal(signal.SIGINT)
        self.ended(shunt)
        self.assertLess(time.monotonic() - began, 5)
        self.assertEqual(shunt.find_events("drain_phase")[-1]["signal"], "INT")

    def test_a_signal_meanwhile_counts_from_where_draining_began(self):
        """As beside an application that is no native sidecar's: the hook returns, and the signal follows."""
        shunt = self.begin(drain_min="1s")
        began = self.drain(shunt)
        shunt.signal(signal.SIGTERM)
        shunt.wait_events("drain_phase")
        self.assertEqual(shunt.get().status, 200)
        self.ended(shunt)
        self.assertGreaterEqual(time.monotonic() - began, 1)

    def test_what_hangs_is_broken_off_at_the_maximum(self):
        shunt = self.begin(self.script("read request; hang"), drain_min="300ms", drain="1s")
        with shunt.client() as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            self.legacy.wait_requests(1)
            self.drain(shunt)
            self.phase(shunt, "closing")
            stays(shunt.alive, 1.2, "shunt without a signal")
            began = time.monotonic()
            shunt.signal(signal.SIGTERM)
            self.assertIn(client.ends(), ("closed", "reset"))
            self.ended(shunt)
            self.assertGreaterEqual(time.monotonic() - began, 1)

    def full(self, go, **options):
        """Two clients are served as slowly as `go` says, and there is room for no more: six wait in the kernel's queue when it ends."""
        shunt = self.begin(self.backend(lambda request_: go.wait(30) and http_reply(b"ok")), drain_min="200ms", workers=1,
                           top="limits: { connections: 2 }", **options)
        clients = [self.client(shunt) for _ in range(8)]
        for client in clients:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.legacy.wait_requests(2)
        shunt.signal(signal.SIGTERM)
        self.phase(shunt, "ending")
        return shunt, clients

    def test_who_waits_for_room_is_served(self):
        go = threading.Event()
        self.addCleanup(go.set)
        shunt, clients = self.full(go)
        go.set()
        for client in clients:
            reply = client.reply()
            self.assertEqual((reply.status, reply.body, says_close(reply)), (200, b"ok", True))
            self.assertEqual(client.ends(), "closed")
            client.close()
        self.ended(shunt)

    def test_who_waits_for_room_holds_up_nothing(self):
        go = threading.Event()
        self.addCleanup(go.set)
        shunt, clients = self.full(go, drain="1s")
        for client in clients:
            self.assertIn(client.ends(), ("closed", "reset"))
        go.set()
        self.ended(shunt)

    def test_a_second_signal_waits_for_nothing(self):
        shunt = self.begin(drain_min="1h", drain="1h")
        with shunt.client() as client:
            self.assertEqual(client.get().status, 200)
            shunt.signal(signal.SIGTERM)
            shunt.wait_events("draining")
            self.assertEqual(client.get().status, 200)
            shunt.insist(signal.SIGTERM)
            self.ended(shunt, 1)
            self.assertIn(client.ends(), ("closed", "reset"))
        self.assertTrue(shunt.find_events("draining_cut_short"))

    def test_a_socket_of_the_file_system_goes_with_the_end(self):
        directory = self.shunt(config(self.backend())).directory
        path = os.path.join(directory, "clients")
        text = config(self.backend(), timeouts="drain_min: 600ms").replace("127.0.0.1:0", f"unix:{path}", 1)
        shunt = self.shunt(text)
        shunt.signal(signal.SIGTERM)
        shunt.wait_events("draining")
        self.assertEqual(Client(path).get().status, 200)
        self.ended(shunt)
        self.assertFalse(os.path.exists(path))


class Orders(DrainCase):
    def test_asked_twice_it_goes_on_as_it_began(self):
        shunt = self.begin(drain_min="1h", drain="1h")
        self.drain(shunt)
        first = shunt.status()["drain"]["began_at"]
        again = shunt.api("POST", "/api/v1/drain", {"who": "ben"})
        self.assertEqual((again["drain"]["began_at"], again["drain"]["who"]), (first, "operator:anna"))
        self.assertEqual(len(shunt.wait_events("draining")), 1)
        self.assertEqual(len([e for e in shunt.audit() if e["what"] == "drain"]), 1)
        shunt.kill()

    def test_taken_back_it_is_as_before(self):
        shunt = self.begin(drain_min="500ms")
        self.assertFalse(shunt.api("POST", "/api/v1/drain", {"cancel": True})["draining"])  # nothing to take back
        for _ in range(2):
            shunt.ctl("drain", "-m", "a look")
            wait_until(lambda: shunt.status()["drain"]["phase"] == "closing", "the last phase")
            self.assertIn("DRAINING: idle connections are closed", shunt.ctl("status"))
            self.assertEqual(shunt.ctl("drain", "--cancel"), "not draining\n")
            self.assertEqual(shunt.admin_reply("GET", "/readyz").status, 200)
            self.assertIsNone(shunt.status()["drain"])
            with shunt.client() as client:
                for _ in range(3):
                    self.assertFalse(says_close(client.get()))
        self.assertEqual([e["what"] for e in shunt.audit() if "drain" in e["what"]], ["drain", "drain_cancel"] * 2)
        self.assertEqual(shunt.metric("shunt_draining"), 0)
        shunt.signal(signal.SIGTERM)
        self.ended(shunt)

    def test_the_end_is_not_taken_back(self):
        shunt = self.begin(drain_min="1h", drain="1h")
        shunt.signal(signal.SIGTERM)
        shunt.wait_events("draining")
        refused = shunt.api("POST", "/api/v1/drain", {"cancel": True}, status=409)
        self.assertEqual(refused["error"]["code"], "not_possible_now")
        done = shunt.ctl("drain", "--cancel", code=None)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("cannot be taken back", done.stderr)
        self.assertTrue(shunt.api("POST", "/api/v1/drain")["drain"]["ends"])  # and to begin it is no fault
        shunt.insist(signal.SIGTERM)
        self.ended(shunt, 1)

    def test_by_hand(self):
        shunt = self.begin(drain_min="1h", drain="1h")
        self.assertRegex(shunt.ctl("drain"), r"^draining: clients are still served as ever, idle connections are closed in (1h 00m|59m \d\ds)\n$")
        self.assertEqual(shunt.api("POST", "/api/v1/drain", {"cancel": 1}, status=400)["error"]["code"], "bad_body")
        self.assertEqual(shunt.api("GET", "/api/v1/drain", status=405)["error"]["code"], "wrong_method")
        shunt.ctl("drain", "--cancel", "--json")
        shunt.kill()

    def test_needs_the_token(self):
        token = os.path.join(self.shunt(config(self.backend())).directory, "token")
        with open(token, "w", encoding="ascii") as f:
            f.write("s3cret-token-of-the-test")
        shunt = self.shunt(config(self.backend(), admin=f"token_file: {token}"), token="s3cret-token-of-the-test")
        self.assertEqual(shunt.admin_reply("POST", "/api/v1/drain", {}, token="wrong").status, 401)
        self.assertEqual(shunt.admin_reply("GET", "/readyz").status, 200)
        shunt.ctl("drain")
        self.assertEqual(shunt.admin_reply("GET", "/readyz").status, 503)
        shunt.signal(signal.SIGTERM)
        self.ended(shunt)

    def test_without_a_minimum_idle_connections_are_closed_at_once(self):
        shunt = self.begin(drain_min="0s")
        with shunt.client() as idle:
            self.assertEqual(idle.get().status, 200)
            shunt.ctl("drain")
            self.assertEqual(idle.ends(), "closed")
        self.assertEqual(shunt.status()["drain"]["phase"], "closing")
        reply = shunt.get()
        self.assertEqual((reply.status, says_close(reply)), (200, True))
        shunt.signal(signal.SIGTERM)
        self.ended(shunt)


class File(DrainCase):
    def text(self, drain_min, drain="1h"):
        return config(self.legacy, timeouts=f"drain: {drain}, drain_min: {drain_min}")

    def test_the_next_draining_goes_by_the_file(self):
        shunt = self.begin(drain_min="1ms", drain="1h")
        self.assertEqual(shunt.reload(self.text("30m"))["event"], "reloaded")
        self.drain(shunt)
        self.assertEqual(shunt.status()["drain"]["min_ms"], 1800000)
        self.assertEqual(shunt.reload(self.text("2s"))["event"], "reloaded")  # a pod that goes may still get another file
        self.assertEqual(shunt.status()["drain"]["min_ms"], 1800000)
        shunt.api("POST", "/api/v1/drain", {"cancel": True})
        self.drain(shunt)
        self.assertEqual(shunt.status()["drain"]["min_ms"], 2000)
        shunt.signal(signal.SIGTERM)
        shunt.wait_events("drain_phase")
        self.assertEqual(shunt.reload(self.text("1s"))["event"], "reload_failed")
        self.ended(shunt)

    def test_longer_than_the_maximum_is_refused(self):
        shunt = self.begin()
        event = shunt.reload(self.text("11s", "10s"))
        self.assertEqual(event["event"], "reload_failed")
        self.assertIn("timeouts.drain_min: it would serve on for 11s, and break off what is left after 10s", event["errors"][0])

    def test_new_listeners_serve_while_it_drains(self):
        shunt = self.begin(drain_min="500ms")
        self.drain(shunt)
        self.phase(shunt, "closing")
        count = len(shunt.find_events("listening"))
        shunt.reload(config(self.legacy, listeners=2))
        address = shunt._address(shunt.wait_events("listening", count + 1)[-1]["address"])
        self.assertEqual(request(address).status, 200)
        shunt.signal(signal.SIGTERM)
        self.ended(shunt)


class Client1(threading.Thread):
    """Asks every few milliseconds, without any second try. It leaves a connection when it is told to, or its own way (`fresh`)."""

    def __init__(self, address, fresh=False, returns=True):
        super().__init__(daemon=True)
        self.address, self.fresh, self.returns = address, fresh, returns
        self.done = threading.Event()
        self.answers, self.failure, self.refused_at, self.left = 0, None, None, False
        self.start()

    def run(self):
        client = None
        try:
            while not self.done.is_set():
                if client is None:
                    try:
                        client = Client(self.address)
                    except (ConnectionRefusedError, ConnectionResetError):
                        self.refused_at = time.monotonic()
                        return
                reply = client.get()
                assert reply.status == 200 and not reply.truncated, reply
                self.answers += 1
                if says_close(reply) and not self.returns:
                    self.left = True
                    return
                if says_close(reply) or self.fresh:
                    client.close()
                    client = None
                time.sleep(0.005)
        except (OSError, AssertionError) as error:
            self.failure = repr(error)
        finally:
            if client:
                client.close()

    def finish(self):
        self.done.set()
        self.join(30)
        return self.failure


class Load(DrainCase):
    def test_kept_connections_lose_no_request(self):
        """Clients that ask all the time, on one connection until they are told to leave, through all phases of a drain without a signal."""
        shunt = self.begin(top="access_log: off")
        clients = [Client1(shunt.address) for _ in range(6)]
        wait_until(lambda: all(c.answers > 5 for c in clients), "answers")
        self.drain(shunt)
        self.phase(shunt, "closing")
        seen = [c.answers for c in clients]
        wait_until(lambda: all(c.failure or c.answers > before + 20 for c, before in zip(clients, seen)), "answers after the minimum")
        self.assertEqual([c.finish() for c in clients], [None] * 6)
        shunt.signal(signal.SIGTERM)
        self.ended(shunt)

    def test_clients_that_leave_when_told_lose_nothing_by_a_signal(self):
        shunt = self.begin(top="access_log: off")
        clients = [Client1(shunt.address, returns=False) for _ in range(6)]
        wait_until(lambda: all(c.answers > 5 for c in clients), "answers")
        shunt.signal(signal.SIGTERM)
        wait_until(lambda: all(c.left or c.failure for c in clients), "all to leave")
        self.assertEqual([c.finish() for c in clients], [None] * 6)
        self.ended(shunt)

    def test_new_connections_until_the_minimum_after_the_signal(self):
        """Not one that was taken is let down, and none is refused before."""
        shunt = self.begin(top="access_log: off")
        clients = [Client1(shunt.address, fresh=True) for _ in range(4)]
        wait_until(lambda: all(c.answers > 5 for c in clients), "answers")
        began = time.monotonic()
        shunt.signal(signal.SIGTERM)
        self.ended(shunt)
        wait_until(lambda: all(c.failure or c.refused_at for c in clients), "all to be refused")
        self.assertEqual([c.finish() for c in clients], [None] * 4)
        for client in clients:
            self.assertGreaterEqual(client.refused_at - began, 1)

    def test_load_of_many_kinds(self):
        backend = self.fast()
        backend.tell("delay 20")
        shunt = self.begin(backend, top="access_log: off")
        loads = [self.load(shunt.address, connections=16), self.load(shunt.address, connections=8, fresh=True),
                 self.load(shunt.address, connections=2, path="/chunked/2000000", verify=True)]
        wait_until(lambda: backend.requests > 200, "load")
        at = time.monotonic_ns()
        shunt.signal(signal.SIGTERM)
        self.ended(shunt)
        for one in loads:
            result = one.finish()
            self.assertGreater(result["ok"], 0)
            for failure in result["failures"]:  # once the listeners are closed
                self.assertEqual(failure["bytes"], 0, failure)
                self.assertGreaterEqual(failure["failed_ns"] - at, 1e9, failure)


class Answers(DrainCase):
    def begin_streaming(self, **options):
        """A backend whose answers begin at once and end when they are let; the head says nothing of an end."""
        self.go = threading.Event()
        self.addCleanup(self.go.set)

        def play(conn):
            while True:
                asked = conn.read_request()
                if asked.target == "/slow":
                    conn.send(CHUNKED + b"3\r\nabc\r\n")
                    self.go.wait(30)
                    conn.send(b"3\r\ndef\r\n0\r\n\r\n")
                else:
                    conn.send(http_reply(b"ok"))

        return self.begin(self.peer(Peer(play)), **options)

    def test_an_answer_that_began_before_leaves_its_connection_open(self):
        """Its head did not say that it was the last: while idle connections stay, this one does."""
        shunt = self.begin_streaming(drain_min="8s")
        with shunt.client() as client:
            client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertFalse(says_close(client.head()))
            self.drain(shunt)
            self.phase(shunt, "leaving")
            self.go.set()
            client.read_until(b"0\r\n\r\n")
            reply = client.get()
            self.assertEqual((reply.status, says_close(reply)), (200, True))
        shunt.kill()

    def test_a_request_that_has_come_is_served_before_the_connection_closes(self):
        """The next request is in the socket when the answer ends, after the minimum: it is answered, as the last."""
        shunt = self.begin_streaming(drain_min="500ms")
        with shunt.client() as client:
            client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertFalse(says_close(client.head()))
            self.drain(shunt)
            self.phase(shunt, "closing")
            client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
            self.go.set()
            client.read_until(b"0\r\n\r\n")
            reply = client.reply()
            self.assertEqual((reply.status, reply.body, says_close(reply)), (200, b"ok", True))
            self.assertEqual(client.ends(), "closed")
        shunt.signal(signal.SIGTERM)
        self.ended(shunt)

    def test_an_answer_that_ends_after_the_minimum_takes_its_connection_along(self):
        shunt = self.begin_streaming(drain_min="500ms")
        with shunt.client() as client:
            client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            client.head()
            self.drain(shunt)
            self.phase(shunt, "closing")
            self.go.set()
            self.assertEqual(client.read_until(b"0\r\n\r\n"), b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")
            self.assertEqual(client.ends(), "closed")
        self.assertTrue(shunt.alive())

    def test_who_goes_on_after_an_answer_that_ends_after_the_minimum_is_served(self):
        """Nothing had told that it was the last: a client that asks at once is answered, and told."""
        for asked in (lambda shunt: self.drain(shunt), lambda shunt: shunt.signal(signal.SIGTERM)):
            shunt = self.begin_streaming(drain_min="300ms")
            with shunt.client() as client, shunt.client() as other:
                for one in (client, other):
                    one.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
                    self.assertFalse(says_close(one.head()))
                asked(shunt)
                self.phase(shunt, "closing")
                self.go.set()
                client.read_until(b"0\r\n\r\n")
                reply = client.get()
                self.assertEqual((reply.status, reply.body, says_close(reply)), (200, b"ok", True))
                other.read_until(b"0\r\n\r\n")
                self.assertEqual((client.ends(), other.ends()), ("closed", "closed"))
            if "signal" not in shunt.find_events("draining")[0]:
                shunt.signal(signal.SIGTERM)
            self.ended(shunt)

    def test_who_has_just_been_answered_may_ask_once_more(self):
        """An answer that did not say it was the last ends a moment before idle connections are closed."""
        shunt = self.begin(drain_min="0s")

        def asks_once_more():
            with shunt.client() as client:
                self.assertFalse(says_close(client.get()))
                self.drain(shunt)
                try:
                    return says_close(client.get())
                except (Ended, OSError):  # this side was too slow, or shunt too quick
                    return False
                finally:
                    shunt.api("POST", "/api/v1/drain", {"cancel": True})

        self.assertTrue(any(asks_once_more() for _ in range(10)))

    def slow_reader(self, shunt, count=400, size=20000):
        """A client that has asked many times and reads so slowly that all exchanges have ended for shunt, and not all is sent."""
        client = shunt.client(receive_buffer=4096)
        client.send(f"GET /bytes/{size} HTTP/1.1\r\nHost: a\r\n\r\n" * count)
        while len(shunt.access()) < count:
            client._more()
            time.sleep(0.0005)
        self.assertLess(len(client.buffer), count * size)
        return client, count, size

    def test_who_reads_slowly_gets_all(self):
        """What was answered waits in shunt for a client that does not read, and the connection counts as idle: it goes out all the same."""
        for end in ("ending", "idle", "closing"):
            with self.subTest(end):
                timeouts = {"idle": "idle: 500ms", "ending": "drain: 30s", "closing": "drain_min: 300ms"}[end]
                shunt = self.shunt(config(self.fast(), timeouts=timeouts, workers=1))
                client, count, size = self.slow_reader(shunt)
                if end == "closing":
                    self.drain(shunt)
                    self.phase(shunt, "closing")
                elif end == "ending":
                    shunt.signal(signal.SIGTERM)
                    shunt.wait_events("draining")
                time.sleep(0.8)  # the client's own pause: longer than the idle time
                for _ in range(count):
                    reply = client.reply()
                    self.assertEqual((reply.status, len(reply.body), reply.truncated), (200, size, False))
                self.assertEqual(client.ends(), "closed")
                client.close()
                if end != "ending":
                    shunt.signal(signal.SIGTERM)
                self.ended(shunt)


class Http2(DrainCase):
    def test_notice_then_goodbye_and_no_stream_refused_between(self):
        """A client that goes on regardless: every stream it began before the last word is answered."""
        shunt = self.begin(workers=1)
        with H2Client(shunt.address) as client:
            client.settled()
            began = self.drain(shunt)
            said = []
            try:
                while len(client.goaways) < 2:
                    stream = client.open()
                    client.until(lambda: stream.over or len(client.goaways) == 2, "an answer")
                    said += [time.monotonic()] * (len(client.goaways) - len(said))
                last = client.goaways[-1][0]
                client.until(lambda: all(s.over for s in client.streams.values() if s.number <= last), "answers")
            except Ended as ended:
                self.fail(f"{ended}: {client.goaways}")
            self.assertEqual([(number, code) for number, code, _ in client.goaways], [(EVERY_STREAM, NO_ERROR), (last, NO_ERROR)])
            self.assertGreaterEqual(said[0] - began, 0.5)
            self.assertGreaterEqual(said[1] - began, 1)
            for number, stream in client.streams.items():
                if number <= last:
                    self.assertEqual((client.made(stream).status, stream.reset), (200, None))
            self.assertLessEqual(len([n for n in client.streams if n > last]), 1)
            self.assertEqual(client.to_end(), "closed")
        self.assertTrue(shunt.alive())
        shunt.signal(signal.SIGTERM)
        self.ended(shunt)

    def test_idle_ones_stay_until_the_minimum(self):
        shunt = self.begin(workers=1)
        with H2Client(shunt.address) as client, H2Client(shunt.address) as unused:
            self.assertEqual(client.get().status, 200)
            unused.settled()
            began = self.drain(shunt)
            for one in (client, unused):
                self.assertEqual(one.to_end(), "closed")
                self.assertGreaterEqual(time.monotonic() - began, 1)
                self.assertEqual([last for last, _, _ in one.goaways], [EVERY_STREAM, 1 if one is client else 0])

    def test_a_stream_under_way_ends_whole(self):
        go = threading.Event()
        self.addCleanup(go.set)
        legacy = self.backend(lambda request_: go.wait(30) and http_reply(b"whole"))
        shunt = self.begin(legacy, workers=1)
        with H2Client(shunt.address) as client:
            stream = client.open()
            legacy.wait_requests(1)
            self.drain(shunt)
            client.until(lambda: len(client.goaways) == 2, "both GOAWAYs")
            go.set()
            self.assertEqual(client.reply(stream).body, b"whole")
            self.assertEqual(client.to_end(), "closed")

    def test_a_stream_right_behind_the_answer_to_the_notice_is_among_the_last(self):
        """gRPC's C core answers a PING before it writes streams that had begun: they were no answer to the last word."""
        shunt = self.shunt(config(self.backend(), workers=1))
        with H2Client(shunt.address) as client:
            self.assertEqual(client.get().status, 200)
            client.answers = False
            shunt.signal(signal.SIGTERM)
            mark = client.until(lambda: [f for f in client.frames if f.kind == PING and not f.flags & ACK], "the PING")[0].payload
            stream = client.new_stream(client.number())
            head = client.encoder.encode(ask("/", "GET", "shunt.test", "http", ()))
            client.send(ping(mark, ack=True) + frame(HEADERS, END_STREAM | END_HEADERS, stream.number, head))
            self.assertEqual(client.reply(stream).status, 200)
            self.assertEqual(client.to_end(), "closed")
            self.assertEqual([last for last, _, _ in client.goaways], [EVERY_STREAM, stream.number])
        self.ended(shunt)

    def test_who_comes_late_is_served_and_told(self):
        """A connection made after the minimum gets what it came for before it is told to leave."""
        shunt = self.begin(drain_min="500ms", workers=1)
        self.drain(shunt)
        self.phase(shunt, "closing")
        for _ in range(3):
            with H2Client(shunt.address) as client:
                client.settled()
                self.assertTrue(client.is_alive())
                self.assertEqual(client.goaways, [])
                self.assertEqual(client.get().status, 200)
                self.assertEqual(client.to_end(), "closed")
                self.assertEqual([last for last, _, _ in client.goaways], [EVERY_STREAM, 1])

    def test_a_stream_that_does_not_end_is_broken_off_at_the_maximum(self):
        shunt = self.begin(self.script(r"read request; send `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`; hang"),
                           drain_min="300ms", drain="900ms", workers=1)
        with H2Client(shunt.address) as client:
            stream = client.open()
            client.until(lambda: bytes(stream.body) == b"abc", "the beginning")
            began = time.monotonic()
            shunt.signal(signal.SIGTERM)
            client.to_end()
            self.assertGreaterEqual(time.monotonic() - began, 0.9)
            self.assertFalse(stream.ended)
        self.ended(shunt)

    def test_over_tls(self):
        shunt = self.begin(listener=[f"tls: {{ {authority().issue().keys} }}"], workers=1)
        context = client_context()
        context.set_alpn_protocols(["h2"])
        with H2Client(shunt.address, tls=context) as client:
            self.assertEqual(client.get().status, 200)
            self.drain(shunt)
            self.assertEqual(client.to_end(), "closed")
            self.assertEqual([last for last, _, _ in client.goaways], [EVERY_STREAM, 1])
        with H2Client(shunt.address, tls=context) as late:
            self.assertEqual(late.get().status, 200)
            self.assertEqual(late.to_end(), "closed")


class Relays(DrainCase):
    def test_an_upgraded_connection_lives_until_the_maximum(self):
        shunt = self.begin(self.peer(EchoBackend()), drain_min="300ms", drain="1s")
        with shunt.client() as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            self.assertEqual(client.head().status, 101)
            self.drain(shunt)
            self.phase(shunt, "closing")
            stays(lambda: shunt.status()["counters"]["tunnels_active"] == 1, 0.6, "a tunnel that is quiet")
            client.send("still there")
            self.assertEqual(client.read_exact(11), b"still there")
            began = time.monotonic()
            shunt.signal(signal.SIGTERM)
            self.assertIn(client.ends(), ("closed", "reset"))
            self.ended(shunt)
            self.assertGreaterEqual(time.monotonic() - began, 1)

    def begin_passthrough(self, **options):
        self.go = threading.Event()
        self.addCleanup(self.go.set)

        def answer(asked):
            if asked.target == "/slow":
                self.go.wait(30)
            return http_reply(b"ok")

        shunt = self.begin(self.backend(answer), listener=["protocols: [http/1.1]"], **options)
        shunt.passthrough(True)
        return shunt

    def relayed(self, shunt):
        return shunt.metric("shunt_passthrough_connections_total")

    def test_relays_of_passthrough_that_are_idle_are_closed_at_the_minimum(self):
        """Who waits for an answer gets it; who has it, or never asked, is let go."""
        shunt = self.begin_passthrough()
        with shunt.client() as idle, shunt.client() as waiting, shunt.client() as silent:
            self.assertEqual(idle.get().status, 200)
            waiting.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            self.legacy.wait_requests(2)
            wait_until(lambda: self.relayed(shunt) == 3, "three relays")
            began = self.drain(shunt)
            self.assertEqual((idle.ends(), silent.ends()), ("closed", "closed"))
            self.assertGreaterEqual(time.monotonic() - began, 1)
            self.go.set()
            self.assertEqual(waiting.reply().body, b"ok")
            self.assertEqual(waiting.ends(), "closed")
        shunt.signal(signal.SIGTERM)
        self.ended(shunt)

    def test_new_connections_are_not_relayed_raw_when_clients_are_led_away(self):
        """A relay could not say that it was the last."""
        shunt = self.begin_passthrough(drain_min="500ms", workers=1)
        self.assertFalse(says_close(shunt.get()))
        self.drain(shunt)
        wait_until(lambda: says_close(shunt.get()), "an answer that is parsed")
        before = self.relayed(shunt)
        self.assertGreater(before, 0)
        for listener in range(2):
            reply = shunt.get()
            self.assertEqual((reply.status, reply.body, says_close(reply)), (200, b"ok", True), listener)
        self.assertEqual(self.relayed(shunt), before)
        shunt.api("POST", "/api/v1/drain", {"cancel": True})
        self.assertFalse(says_close(shunt.get()))
        self.assertEqual(self.relayed(shunt), before + 1)

    def test_relays_are_closed_between_two_answers_before_they_would_be_cut(self):
        """One that is silent for long soon, one that is used all the time late: the nearer the maximum, the less silence is enough."""
        def ends(client):
            try:
                while not select.select([client.socket], [], [], 0.2)[0]:
                    self.assertEqual(client.get().status, 200)
                return client.ends()
            except (Ended, OSError):  # it has asked in that moment
                return "cut"

        for drain_min in ("0s", "1s"):
            with self.subTest(drain_min):
                asking = []
                while "closed" not in asking and len(asking) < 5:
                    shunt = self.begin_passthrough(drain_min=drain_min, drain="2s")
                    with shunt.client() as client, shunt.client() as idle:
                        self.assertEqual((client.get().status, idle.get().status), (200, 200))
                        shunt.signal(signal.SIGTERM)
                        asking.append(ends(client))
                        self.assertEqual(idle.ends(), "closed")
                    self.ended(shunt)
                self.assertIn("closed", asking)

    def test_relays_stay_without_a_minimum(self):
        shunt = self.begin_passthrough(drain_min="0s")
        with shunt.client() as idle:
            self.assertEqual(idle.get().status, 200)
            self.drain(shunt)
            self.phase(shunt, "closing")
            stays(lambda: shunt.status()["counters"]["tunnels_active"] == 1, 0.5, "the relay")
            self.assertEqual(idle.get().status, 200)


if __name__ == "__main__":
    main()
