"""gRPC with its own library at both ends: all four kinds, statuses and deadlines, and what migration makes of them."""

import signal
import struct
import threading
import time

import grpc

from certificates import authority
from grpc_peer import BOTH, DOWN, NOT_SERVING, SERVING, STATUS, UNARY, UP, GrpcBackend, GrpcClient, GrpcLoad
from harness import Case, config, http_reply, main, refused_address, request, stays, wait_until
from http2 import Answer, H2Backend, H2Client
from http2_frames import CANCEL
from tls_peer import TlsBackend

MESSAGES = [b"a", b"", b"ccc" * 1000]


def route(percent=0, shadow=0, more="", breaker="off", sticky="[ random ]"):
    return (f"  - name: all\n    match: {{ path: /** }}\n    sticky: {sticky}\n    percent: {percent}\n    breaker: {breaker}\n"
            f"    shadow: {{ percent: {shadow}, methods: [\"*\"], max_in_flight: 1000 }}\n" + more)


class GrpcCase(Case):
    def begin(self, routes="", new=True, tls=False, timeouts="", listener=None, **options):
        pair = authority().issue() if tls else None
        self.legacy = self.peer(GrpcBackend("legacy", pair))
        self.new = self.peer(GrpcBackend("new", pair)) if new else None
        if listener is None:
            listener = [f"tls: {{ {pair.keys} }}"] if tls else []
        return self.shunt(config(self.legacy, self.new, routes, listener=listener, timeouts=timeouts,
                                 **{"top": "access_log: off", **options}))

    def client_of(self, shunt, tls=False):
        client = GrpcClient(shunt.address, authority().certificate if tls else None)
        self.clients.append(client)
        return client

    def all_kinds(self, client, metadata=None):
        self.assertEqual(client.unary(b"x", 20, metadata), b"x")
        self.assertEqual(client.up(iter(MESSAGES), 20, metadata), b",".join(MESSAGES))
        self.assertEqual(list(client.down(b"3 x", 20, metadata)), [b"0 x", b"1 x", b"2 x"])
        self.assertEqual(list(client.both(iter(MESSAGES), 20, metadata)), MESSAGES)


class Relayed(GrpcCase):
    def test_all_four_kinds(self):
        for tls in (False, True):
            with self.subTest(tls=tls):
                shunt = self.begin(tls=tls, new=False)
                client = self.client_of(shunt, tls)
                for _ in range(3):
                    self.all_kinds(client)
                self.assertEqual([call[0] for call in self.legacy.calls[:4]], [UNARY, UP, DOWN, BOTH])
                self.assertEqual(shunt.metric("shunt_requests_total", code="2xx"), 12)

    def test_metadata_and_trailers(self):
        client = self.client_of(self.begin(new=False))
        sent = (("x-text", "one"), ("x-text", "two"), ("x-raw-bin", b"\0\xff\n"), ("x-long", "y" * 5000))
        _, call = client.unary.with_call(b"x", 20, sent)
        self.assertEqual(dict(call.initial_metadata())["x-backend"], "legacy")
        trailers = dict(call.trailing_metadata())
        self.assertEqual((trailers["x-trailer"], trailers["x-trailer-bin"]), ("legacy", b"\0\xff"))
        seen = self.legacy.calls[0][1]
        self.assertEqual((seen["x-raw-bin"], seen["x-long"]), (b"\0\xff\n", "y" * 5000))
        self.assertIn(seen["x-text"], ("two", "one, two", "one,two"))

    def test_every_status_with_and_without_messages_before(self):
        client = self.client_of(self.begin(new=False))
        for number in range(1, 17):
            with self.assertRaises(grpc.RpcError) as raised:
                client.unary(b"fail %d" % number, 20)
            self.assertEqual((raised.exception.code(), raised.exception.details()), (STATUS[number], "as asked"))
            got = []
            with self.assertRaises(grpc.RpcError) as raised:
                for message in client.both(iter([b"first", b"fail %d" % number]), 20):
                    got.append(message)
            self.assertEqual((got, raised.exception.code()), ([b"first"], STATUS[number]))

    def test_a_large_message_each_way(self):
        client = self.client_of(self.begin(new=False))
        message = b"m" * (3 << 20)
        self.assertEqual(client.unary(message, 30), message)

    def test_messages_are_not_held_back(self):
        """Each is answered before the next one is sent."""
        client = self.client_of(self.begin(new=False))
        go, count = threading.Semaphore(0), 20

        def messages():
            for i in range(count):
                yield b"%d" % i
                go.acquire(timeout=20)

        for i, answer in enumerate(client.both(messages(), 30)):
            self.assertEqual(answer, b"%d" % i)
            go.release()

    def test_many_streams_at_once(self):
        shunt = self.begin(new=False, workers=1)
        self.legacy.gate = threading.Event()
        client = self.client_of(shunt)
        calls = [client.unary.future(b"%d" % i, 30) for i in range(50)]
        self.legacy.wait_calls(50)
        self.assertLessEqual(shunt.metric("shunt_upstream_active"), 2, "many calls, few connections")
        self.legacy.gate.set()
        self.assertEqual([call.result() for call in calls], [b"%d" % i for i in range(50)])

    def test_a_call_that_is_cancelled_is_cancelled_at_the_backend(self):
        shunt = self.begin(new=False)
        self.legacy.gate = threading.Event()
        client = self.client_of(shunt)
        call = client.unary.future(b"x", 30)
        self.legacy.wait_calls(1)
        call.cancel()
        wait_until(lambda: self.legacy.cancelled == 1, "the cancellation at the backend")
        self.legacy.gate = None
        self.assertEqual(client.side(), "legacy")
        wait_until(lambda: shunt.metric("shunt_requests_in_flight") == 0, "nothing under way")

    def test_the_deadline_travels(self):
        client = self.client_of(self.begin(new=False))
        client.unary(b"x", 7)
        client.unary(b"x")
        self.assertTrue(0 < self.legacy.calls[0][3] <= 7, self.legacy.calls)
        self.assertIsNone(self.legacy.calls[1][3])

    def test_grpc_web_passes(self):
        body = b"\0\0\0\0\2\x08\x01" + b"\x80\0\0\0\x0fgrpc-status:0\r\n"

        def answer(request_):
            self.assertEqual(request_.get("content-type"), "application/grpc-web+proto")
            return http_reply(body, headers=["Content-Type: application/grpc-web+proto"])

        legacy = self.backend(answer)
        shunt = self.shunt(config(legacy))
        reply = request(shunt.address, UNARY, ["Content-Type: application/grpc-web+proto", "X-Grpc-Web: 1"], "POST", body[:7])
        self.assertEqual((reply.status, reply.body, reply.get("content-type")), (200, body, "application/grpc-web+proto"))
        with H2Client(shunt.address) as client:
            reply = client.get(UNARY, ["Content-Type: application/grpc-web+proto"], "POST", body[:7])
            self.assertEqual((reply.status, reply.body), (200, body))


def raw_call(client, more=(), path=UNARY, message=b"x"):
    """One call in frames, without a library that has an opinion on it."""
    return client.get(path, [("content-type", "application/grpc"), ("te", "trailers"), *more], "POST",
                      struct.pack(">BI", 0, len(message)) + message)


def status_of(reply):
    """(grpc-status, where it stood)"""
    if reply.get("grpc-status") is not None:
        return int(reply.get("grpc-status")), "head"
    return int(dict(reply.trailers)[b"grpc-status"]), "trailers"


class OwnErrors(GrpcCase):
    def check(self, shunt, statuses):
        """A gRPC client gets one of these statuses in a trailers-only answer, anybody else one of HTTP."""
        with H2Client(shunt.address) as client:
            reply = raw_call(client)
            self.assertEqual((reply.status, reply.get("content-type"), reply.body), (200, "application/grpc", b""))
            number, where = status_of(reply)
            self.assertIn(number, statuses)
            self.assertEqual(where, "head")
            self.assertTrue(reply.get("grpc-message"))
            self.assertGreaterEqual(client.get("/plain").status, 500)
        with GrpcClient(shunt.address) as client:  # a deadline of the call's own would take the place of timeouts.response
            self.assertIn(client.unary.future(b"hello").exception(20).code().value[0], statuses)

    def test_nobody_listens(self):
        kept, url = refused_address()
        with kept:
            self.check(self.shunt(config(url, backend_extra=", protocol: http2")), (14,))

    def test_no_answer_in_time(self):
        silent = self.peer(H2Backend(lambda request_: None))
        self.check(self.shunt(config(silent, timeouts="response: 300ms")), (4, 14))

    def test_no_http2(self):
        """The backend is one of HTTP/1.1 and does not know what it hears."""
        old = self.script(r"read head; send `HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n`; close")
        old.keys = ", protocol: http2"
        self.check(self.shunt(config(old, timeouts="response: 2s")), (14,))

    def test_the_backend_breaks_off(self):
        leaving = self.peer(H2Backend(play=lambda conn: conn.next_request()))
        self.check(self.shunt(config(leaving)), (14,))

    def test_a_head_that_is_too_large(self):
        shunt = self.begin(new=False)
        with H2Client(shunt.address) as client:
            reply = raw_call(client, [(f"x-{i}", "y" * 8000) for i in range(10)])
            self.assertEqual((reply.status, status_of(reply)), (200, (8, "head")), reply)
            self.assertEqual(client.get("/plain").status, 200)
        with self.assertRaises(grpc.RpcError) as raised:
            self.client_of(shunt).unary(b"x", 20, [("x-large", "y" * 40000)])
        self.assertEqual(raised.exception.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)


class Deadlines(GrpcCase):
    def test_shunt_ends_what_is_over(self):
        """A client that waits for ever: it is shunt that answers when the time it asked for has passed."""
        held = self.peer(H2Backend(lambda request_: None))
        shunt = self.shunt(config(held, timeouts="response: 20s"))
        with H2Client(shunt.address) as client:
            for timeout in ("300m", "300000u", "1S"):
                began = time.monotonic()
                reply = raw_call(client, [("grpc-timeout", timeout)])
                self.assertEqual(status_of(reply), (4, "head"))
                self.assertTrue(0.25 < time.monotonic() - began < 10)
                wait_until(lambda: held.requests[-1].stream.reset == CANCEL, "CANCEL at the backend")
            self.assertEqual(held.requests[0].get("grpc-timeout")[-1] in "numSMH", True)

    def test_inside_an_answer(self):
        """Messages have come: the status is in the trailers then, or the stream is reset."""
        go = threading.Event()
        self.addCleanup(go.set)

        def pieces():
            yield b"\0\0\0\0\1x"
            while not go.is_set():
                yield b""

        streaming = self.peer(H2Backend(lambda request_: Answer(pieces(), headers=[("content-type", "application/grpc")])))
        shunt = self.shunt(config(streaming))
        with H2Client(shunt.address) as client:
            reply = raw_call(client, [("grpc-timeout", "500m")])
            self.assertEqual(reply.body, b"\0\0\0\0\1x")
            self.assertTrue(reply.reset is not None or status_of(reply) == (4, "trailers"), reply)
        wait_until(lambda: streaming.requests[0].stream.reset is not None, "RST_STREAM at the backend")

    def test_what_is_no_timeout_is_left_alone(self):
        client = H2Client(self.begin(new=False).address)
        self.clients.append(client)
        for value in ("99999999H", "1H"):
            self.assertEqual(status_of(raw_call(client, [("grpc-timeout", value)])), (0, "trailers"))


class Migrated(GrpcCase):
    def test_split_by_metadata(self):
        shunt = self.begin(route(40, sticky="[ { header: x-user } ]"))
        sides = []
        for _ in range(2):
            with GrpcClient(shunt.address) as client:
                sides.append([client.side(metadata=(("x-user", f"user-{i}"),)) for i in range(60)])
        self.assertEqual(sides[0], sides[1])
        self.assertEqual(set(sides[0]), {"legacy", "new"})
        http1 = [request(shunt.address, headers=[f"X-User: user-{i}"]).status for i in range(3)]
        self.assertEqual(len(http1), 3)

    def test_all_kinds_are_split(self):
        shunt = self.begin(route(50, sticky="[ { header: x-user } ]"))
        client = self.client_of(shunt)
        for i in range(16):
            self.all_kinds(client, (("x-user", f"user-{i}"),))
        kinds = [[(call[1]["x-user"], call[0]) for call in side.calls] for side in (self.legacy, self.new)]
        users = [{user for user, _ in side} for side in kinds]
        self.assertTrue(users[0] and users[1], users)
        self.assertEqual(users[0] & users[1], set())
        for side in (0, 1):
            self.assertEqual(sorted(kinds[side]), sorted((user, kind) for user in users[side] for kind in (UNARY, UP, DOWN, BOTH)))

    def test_all_kinds_on_new(self):
        shunt = self.begin(route(100))
        self.all_kinds(self.client_of(shunt))
        self.assertEqual((self.legacy.requests, self.new.requests), (0, 4))

    def test_mirrored_and_compared(self):
        shunt = self.begin(route(0, 100))
        client = self.client_of(shunt)
        self.all_kinds(client)
        self.new.wait_calls(4)
        wait_until(lambda: shunt.metric("shunt_shadow_total", reason="compared") == 4,
                   lambda: f"four pairs, have {shunt.metrics().by('shunt_shadow_total', 'reason')}")
        self.assertEqual([call[2] for call in sorted(self.new.calls)], [call[2] for call in sorted(self.legacy.calls)])
        self.assertEqual(self.new.calls[0][1].get("x-shunt-shadow"), "1")
        wait_until(lambda: shunt.metric("shunt_comparisons_total", outcome="matched") == 4, "four matches")

    def test_a_difference_in_a_message_or_a_status_is_one(self):
        shunt = self.begin(route(0, 100))
        client = self.client_of(shunt)
        self.new.edit = lambda message: b"\x08\x02" if message == b"\x08\x01" else message
        client.unary(b"\x08\x01")
        wait_until(lambda: shunt.metric("shunt_comparisons_total", outcome="mismatched") == 1, "the difference of a field")
        self.new.edit = lambda message: message
        self.new.fail(5)
        client.unary(b"x")
        wait_until(lambda: shunt.metric("shunt_comparisons_total", outcome="mismatched") == 2, "the difference of a status")

    def test_a_mirror_that_hangs_costs_nothing(self):
        shunt = self.begin(route(0, 100))
        self.new.gate = threading.Event()
        self.addCleanup(self.new.gate.set)
        client = self.client_of(shunt)
        for _ in range(20):
            self.assertEqual(client.side(timeout=5), "legacy")

    def breaker_is(self, shunt, state):
        wait_until(lambda: shunt.metric("shunt_breaker_state", route="all", state=state) == 1, f"breaker {state}")

    BREAKER = "{ window: 10s, min_requests: 20, error_rate: 30%, error_rate_increase: off, p95_ratio: off, consecutive_errors: 10, cooldown: 60s }"

    def test_the_breaker_opens_by_grpc_status(self):
        for is_late in (False, True):
            with self.subTest("in the trailers" if is_late else "in the head"):
                shunt = self.begin(route(50, breaker=self.BREAKER))
                if is_late:
                    self.new.edit = fault
                else:
                    self.new.fail(14)
                client = self.client_of(shunt)
                for _ in range(60):
                    client.status()
                self.breaker_is(shunt, "open")
                before = self.new.requests
                self.assertEqual({client.side() for _ in range(20)}, {"legacy"})
                self.assertEqual(self.new.requests, before)
                self.assertGreaterEqual(shunt.metric("shunt_request_errors_total", backend="new"), 10)
                self.assertEqual(shunt.metric("shunt_request_errors_total", backend="legacy"), 0)

    def test_statuses_that_are_answers_do_not(self):
        shunt = self.begin(route(100, breaker=self.BREAKER))
        client = self.client_of(shunt)
        for status in (1, 3, 5, 6, 7, 9, 10, 11, 12, 16):
            self.new.fail(status)
            for _ in range(6):
                self.assertEqual(client.status(), status)
        stays(lambda: shunt.metric("shunt_breaker_state", route="all", state="closed") == 1, 0.2, "closed")
        self.assertEqual(shunt.metric("shunt_request_errors_total", backend="new"), 0)

    def test_the_file_says_which_are_errors(self):
        shunt = self.begin(route(100, breaker=self.BREAKER, more="    errors: { grpc: [NOT_FOUND] }\n"))
        client = self.client_of(shunt)
        self.new.fail(14)
        for _ in range(30):
            client.status()
        self.assertEqual(shunt.metric("shunt_request_errors_total", backend="new"), 0)
        self.new.fail(5)
        for _ in range(30):
            client.status()
        self.breaker_is(shunt, "open")

    def test_fallback(self):
        shunt = self.begin(route(100, more="    fallback: { on: [connect, timeout, 5xx, reset], methods: [POST] }\n"))
        client = self.client_of(shunt)
        self.assertEqual(client.side(), "new")
        self.new.fail(14)
        self.assertEqual(client.side(), "legacy")
        self.assertEqual(shunt.metric("shunt_fallbacks_total"), 1)
        self.new.fail(5)  # an answer as good as any
        self.assertEqual(client.status(), 5)
        self.new.stop()
        self.assertEqual(client.side(), "legacy")
        self.new.fail()

    def test_all_kinds_fall_back(self):
        shunt = self.begin(route(100, more="    fallback: { on: [5xx], methods: [POST] }\n"))
        self.new.fail(14)
        self.all_kinds(self.client_of(shunt))
        self.assertEqual((self.new.requests, self.legacy.requests), (4, 4))
        self.assertEqual(shunt.metric("shunt_fallbacks_total"), 4)

    def test_each_kind_opens_the_breaker(self):
        kinds = {"unary": lambda client: client.unary(b"x", 20), "up": lambda client: client.up(iter(MESSAGES), 20),
                 "down": lambda client: list(client.down(b"3 x", 20)), "both": lambda client: list(client.both(iter(MESSAGES), 20))}
        for name, call in kinds.items():
            with self.subTest(name):
                shunt = self.begin(route(50, breaker=self.BREAKER))
                self.new.fail(14)
                client = self.client_of(shunt)
                for _ in range(60):
                    try:
                        call(client)
                    except grpc.RpcError as error:
                        self.assertEqual(error.code(), STATUS[14])
                self.breaker_is(shunt, "open")
                before = self.new.requests
                for _ in range(5):
                    self.all_kinds(client)
                self.assertEqual(self.new.requests, before)

    def test_what_has_been_sent_is_not_taken_back(self):
        shunt = self.begin(route(100, more="    fallback: { on: [5xx, reset], methods: [POST] }\n"))
        client = self.client_of(shunt)
        got = []
        with self.assertRaises(grpc.RpcError) as raised:
            for message in client.both(iter([b"first", b"fail 14"]), 20):
                got.append(message)
        self.assertEqual((got, raised.exception.code()), ([b"first"], STATUS[14]))
        self.assertEqual(self.legacy.requests, 0)

    def test_counted_by_status(self):
        shunt = self.begin(route(0))
        client = self.client_of(shunt)
        for status in (0, 0, 5, 14):
            client.status(b"fail %d" % status if status else b"x")
        counts = shunt.metrics().by("shunt_grpc_responses_total", "status", route="all")
        self.assertEqual({key: value for key, value in counts.items() if value}, {"0": 2, "5": 1, "14": 1})

    def test_the_access_log_names_the_status(self):
        shunt = self.begin(new=False, top="")
        client = self.client_of(shunt)
        for status in (0, 14):
            client.status(b"fail %d" % status if status else b"x")
        request(shunt.address, "/plain")
        lines = wait_until(lambda: (lambda found: found if len(found) == 3 else None)(shunt.access()), "three lines")
        self.assertEqual([line.get("grpc_status") for line in lines], [0, 14, None])


def fault(message):
    """A service that fails once its head is sent: the library makes UNKNOWN of it, in the trailers."""
    raise RuntimeError(message)


class ZeroDowntime(GrpcCase):
    SECONDS = 6

    def test_reloads_and_passthrough_flips_fail_no_call(self):
        shunt = self.begin(route(50), tls=True)
        load = self.peer(GrpcLoad(shunt.address, tls=authority().certificate))
        text = [route(50), route(60)]
        ends = time.monotonic() + self.SECONDS
        turn = 0
        while time.monotonic() < ends:
            shunt.passthrough(turn % 2 == 0)
            event = shunt.reload(config(self.legacy, self.new, text[turn % 2], top="access_log: off",
                                        listener=[f"tls: {{ {authority().issue().keys} }}"]))
            self.assertEqual(event["event"], "reloaded")
            done = load.ok
            wait_until(lambda: load.ok >= done + 8, "calls between two flips")
            turn += 1
        load.finish()
        self.assertEqual(load.failures, [])
        self.assertGreater(load.ok, 50)

    def test_calls_go_on_through_all_phases_of_a_drain(self):
        """Told to leave, a channel makes another connection; also where it finds the same process again it loses no call, nor hangs.
        The library tries calls once more that it had not begun to send when it was told, as it does by default; those that shunt
        refused would come to the backend twice."""
        for tls in (False, True):
            with self.subTest(tls=tls):
                shunt = self.begin(new=False, tls=tls, timeouts="drain_min: 1s")
                load = self.peer(GrpcLoad(shunt.address, tls=authority().certificate if tls else None, retries=1))
                wait_until(lambda: load.ok >= 8, "calls")
                shunt.ctl("drain")
                wait_until(lambda: [e for e in shunt.find_events("drain_phase") if e["phase"] == "closing"], "the last phase")
                done = load.ok
                wait_until(lambda: load.ok >= done + 30, "calls after the minimum")
                load.finish()
                self.assertEqual((load.failures, len(self.legacy.calls)), ([], load.ok))
                shunt.signal(signal.SIGTERM)
                self.assertEqual(shunt.wait_exit(20), 0)

    def test_streams_live_through_a_drain(self):
        """Calls in flight end whole, the client is told to go elsewhere, and the process ends with 0."""
        shunt = self.begin(new=False)
        client = self.client_of(shunt)
        go = threading.Event()

        def messages():
            yield b"before"
            go.wait(20)
            yield b"after"

        self.legacy.gate = threading.Event()
        unary = client.unary.future(b"x", 30)
        self.legacy.wait_calls(1)
        self.legacy.gate.set()
        both = client.both(messages(), 30)
        self.assertEqual(next(both), b"before")
        shunt.signal(signal.SIGTERM)
        shunt.wait_events("draining")
        go.set()
        self.assertEqual((list(both), unary.result()), ([b"after"], b"x"))
        client.close()
        self.assertEqual(shunt.wait_exit(20), 0)

    def test_all_kinds_live_through_a_drain(self):
        shunt = self.begin(new=False)
        client = self.client_of(shunt)
        self.legacy.gate = threading.Event()
        self.addCleanup(self.legacy.gate.set)
        unary, up = client.unary.future(b"x", 30), client.up.future(iter(MESSAGES), 30)
        down, both = client.down(b"3 x", 30), client.both(iter(MESSAGES), 30)
        self.legacy.wait_calls(4)
        shunt.signal(signal.SIGTERM)
        shunt.wait_events("draining")
        self.legacy.gate.set()
        self.assertEqual((unary.result(), up.result()), (b"x", b",".join(MESSAGES)))
        self.assertEqual((list(down), list(both)), ([b"0 x", b"1 x", b"2 x"], MESSAGES))
        client.close()
        self.assertEqual(shunt.wait_exit(20), 0)

    def test_a_backend_that_restarts_costs_only_what_it_had(self):
        """GOAWAY of the backend: calls that it has not seen go to a new connection."""
        shunt = self.begin(new=False, workers=1)
        client = self.client_of(shunt)
        self.assertEqual(client.status(), 0)
        self.legacy.server.stop(5).wait(10)
        again = GrpcBackend("again")
        self.peer(again)
        shunt.reload(config(again, top="access_log: off"))
        wait_until(lambda: client.status() == 0, "the backend that took its place")
        self.assertEqual(client.side(), "again")


class Health(GrpcCase):
    QUICK = "interval: 200ms, timeout: 150ms, unhealthy_after: 2, healthy_after: 2"

    def is_up(self, shunt, up):
        wait_until(lambda: shunt.metric("shunt_health_up", backend="legacy") == up, f"shunt_health_up to be {up}")

    def test_grpc(self):
        for service in ("", "orders.v1.Orders"):
            legacy = self.peer(GrpcBackend())
            legacy.health[service] = SERVING
            named = f", service: {service}" if service else ""
            shunt = self.shunt(config(legacy, backend_extra=f", health: {{ type: grpc, {self.QUICK}{named} }}"))
            self.is_up(shunt, 1)
            wait_until(lambda: len(legacy.checks) >= 3, "three checks")
            self.assertEqual(set(legacy.checks), {service})
            for state in (NOT_SERVING, None):
                legacy.health[service] = state
                self.is_up(shunt, 0)
                self.assertEqual(shunt.wait_events("health_down")[-1]["backend"], "legacy")
                legacy.health[service] = SERVING
                self.is_up(shunt, 1)
            shunt.wait_events("health_up")
            self.assertGreater(shunt.metric("shunt_health_checks_total", backend="legacy", result="success"), 0)
            self.assertGreater(shunt.metric("shunt_health_checks_total", backend="legacy", result="failure"), 0)

    def test_http(self):
        state = ["200 OK"]

        def answer(request_):
            if state[0] is None:
                return None
            return http_reply("x", status=state[0] if request_.target == "/ready" else "200 OK")

        legacy = self.backend(answer)
        shunt = self.shunt(config(legacy, backend_extra=f", health: {{ path: /ready, {self.QUICK} }}"))
        self.is_up(shunt, 1)
        check = wait_until(lambda: next((one for one in legacy.requests if one.target == "/ready"), None), "a check")
        self.assertEqual((check.method, check.body), ("GET", b""))
        for bad in ("500 No", "404 No", None):
            state[0] = bad
            self.is_up(shunt, 0)
            state[0] = "301 Elsewhere"
            self.is_up(shunt, 1)

    def test_over_tls(self):
        for legacy, kind in ((self.peer(GrpcBackend(tls=authority().issue())), "grpc"), (self.peer(TlsBackend()), "http")):
            shunt = self.shunt(config(legacy, backend_extra=f", health: {{ type: {kind}, {self.QUICK} }}"))
            self.is_up(shunt, 1)

    def test_one_failure_is_not_enough(self):
        count = [0]

        def answer(request_):
            count[0] += 1
            return http_reply("x", status="500 No" if count[0] % 2 else "200 OK")

        shunt = self.shunt(config(self.backend(answer), backend_extra=f", health: {{ path: /, {self.QUICK} }}"))
        wait_until(lambda: count[0] >= 10, "ten checks")
        self.assertEqual(shunt.metric("shunt_health_up", backend="legacy"), 1)
        self.assertEqual(shunt.find_events("health_down"), [])

    def test_checks_are_no_live_requests(self):
        shunt = self.shunt(config(self.backend(), backend_extra=f", health: {{ path: /, {self.QUICK} }}"))
        wait_until(lambda: shunt.metric("shunt_health_checks_total", result="success") >= 3, "three checks")
        self.assertEqual((shunt.metric("shunt_requests_total"), shunt.metric("shunt_downstream_requests_total")), (0, 0))


if __name__ == "__main__":
    main()
