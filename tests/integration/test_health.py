"""Active checks of backends: what is asked, what turns an address down and up again, who is asked then, and what a reload changes.

Where time decides, it is generous: a check that must succeed has as long as its interval, and one alone turns nothing.
"""

import signal
import threading

from certificates import authority, server_context
from grpc_peer import HEALTH, NOT_SERVING, SERVING, GrpcBackend, GrpcClient
from harness import (Backend, Case, FastBackend, blackhole, config, http_reply, main, refused_address, request, stays,
                     wait_until)
from http2 import Answer, H2Backend
from test_addresses import NAME, may_mount
from tls_peer import TlsBackend

PATIENT = "interval: 700ms, unhealthy_after: 3, healthy_after: 1"
STRICT = "interval: 2s, unhealthy_after: 1"
OFTEN = "interval: 100ms, timeout: 100ms, unhealthy_after: 3, healthy_after: 2"


def health(text):
    return f", health: {{ {text} }}"


class Patient(Backend):
    """Answers /healthz with what `.ill` is, anything else as every backend does; /wait waits for its gate."""

    def __init__(self, name="legacy"):
        self.ill = None
        self.gate = threading.Event()
        super().__init__(self._answer, name)

    def _answer(self, asked):
        if asked.target.startswith("/healthz"):
            return http_reply("", self.ill or "204 No Content")
        if asked.target == "/wait":
            self.gate.wait(20)
        return http_reply(self.name, headers=[f"X-Backend: {self.name}"])

    @property
    def checks(self):
        with self.lock:
            return [one for one in self.requests if one.get("user-agent") == "shunt-health"]

    def stop(self):
        self.gate.set()
        super().stop()


class HealthCase(Case):
    def ended(self, shunt, result, backend="legacy"):
        return shunt.metric("shunt_health_checks_total", backend=backend, result=result)

    def wait_checks(self, shunt, result="success", more=1, backend="legacy"):
        """That many more checks have ended so."""
        before = self.ended(shunt, result, backend)
        wait_until(lambda: self.ended(shunt, result, backend) >= before + more,
                   lambda: f"{more} more {result}: {shunt.metrics().samples}")

    def up(self, shunt, backend="legacy"):
        return shunt.metrics().by("shunt_health_up", "address", backend=backend)

    def wait_down(self, shunt, count=1):
        return shunt.wait_events("health_down", count)[count - 1]

    def wait_up(self, shunt, count=1):
        return shunt.wait_events("health_up", count)[count - 1]


class Asked(HealthCase):
    def test_what_is_asked(self):
        legacy = self.peer(Patient())
        self.shunt(config(legacy, backend_extra=health(f"path: \"/healthz?deep=1\", {OFTEN}")))
        wait_until(lambda: len(legacy.checks) >= 3, "three checks")
        one = legacy.checks[0]
        self.assertEqual(one.line, "GET /healthz?deep=1 HTTP/1.1")
        self.assertEqual(one.get("host"), legacy.url[len("http://"):])
        self.assertEqual(one.get("connection"), "close")
        self.assertIsNone(one.get("content-length"))
        self.assertEqual(len(legacy.requests), len(legacy.checks))

    def test_each_check_is_on_a_connection_of_its_own_though_the_backend_would_keep_it(self):
        legacy = self.peer(Patient())
        shunt = self.shunt(config(legacy, backend_extra=health(OFTEN)))
        self.wait_checks(shunt, more=3)
        legacy.wait_connections(3)
        self.assertEqual({len(conn.requests) for conn in legacy.conns[:3]}, {1})
        wait_until(lambda: legacy.open <= 1, lambda: f"old connections to close, {legacy.open} are open")

    def test_another_host(self):
        legacy = self.peer(Patient())
        self.shunt(config(legacy, backend_extra=health(f"host: health.test, {OFTEN}")))
        wait_until(lambda: legacy.checks, "a check")
        self.assertEqual(legacy.checks[0].get("host"), "health.test")

    def test_without_health_nobody_is_asked(self):
        legacy, new = self.peer(Patient()), self.peer(Patient("new"))
        new.keys = health(PATIENT)
        shunt = self.shunt(config(legacy, new))
        self.wait_checks(shunt, more=2, backend="new")
        self.assertEqual(legacy.requests, [])
        self.assertEqual(self.up(shunt), {})
        self.assertEqual(self.up(shunt, "new"), {new.url[len("http://"):]: 1})

    def test_checks_are_no_requests(self):
        legacy = self.peer(Patient())
        shunt = self.shunt(config(legacy, backend_extra=health(OFTEN)))
        self.wait_checks(shunt, more=3)
        self.assertEqual(shunt.metric("shunt_requests_total"), 0)
        self.assertEqual(shunt.metric("shunt_downstream_requests_total"), 0)
        self.assertEqual(shunt.access(), [])

    def test_a_check_does_not_wait_for_the_connections_of_live_traffic(self):
        legacy = self.peer(Patient())
        shunt = self.shunt(config(legacy, workers=1, backend_extra=f", max_connections: 1, queue: 1{health(OFTEN)}"))
        client = self.client(shunt)
        client.send("GET /wait HTTP/1.1\r\nHost: shunt.test\r\n\r\n")
        wait_until(lambda: any(one.target == "/wait" for one in legacy.requests), "the request that stays")
        self.wait_checks(shunt, more=3)
        self.assertEqual(shunt.metric("shunt_upstream_queue_overflows_total"), 0)
        legacy.gate.set()
        self.assertEqual(client.reply().status, 200)

    def test_over_a_unix_socket(self):
        legacy = self.backend(address=f"unix:{self.directory}/backend")
        shunt = self.shunt(config(legacy, backend_extra=health(PATIENT)))
        self.wait_checks(shunt)
        self.assertEqual(legacy.requests[0].get("host"), "localhost")
        self.assertEqual([name[:5] for name in self.up(shunt)], ["unix:"])

    def test_over_http2_and_tls(self):
        pair = authority().issue()
        peers = {"http2": H2Backend(lambda asked: Answer(b"well")),
                 "TLS": TlsBackend(lambda asked: http_reply("well")),
                 "http2 and TLS": H2Backend(lambda asked: Answer(b"well"), tls=server_context(pair, alpn=["h2"]), keys="")}
        for name, peer in peers.items():
            with self.subTest(name):
                legacy = self.peer(peer)
                if legacy.keys.startswith(", ,"):
                    legacy.keys = legacy.keys[2:]
                shunt = self.shunt(config(legacy, backend_extra=health(PATIENT)))
                self.wait_checks(shunt, more=2)
                self.assertEqual(set(self.up(shunt).values()), {1})


class Turns(HealthCase):
    def test_down_and_up_again(self):
        legacy = self.peer(Patient())
        address = legacy.url[len("http://"):]
        shunt = self.shunt(config(legacy, backend_extra=health(PATIENT)))
        self.wait_checks(shunt)
        self.assertEqual(self.up(shunt), {address: 1})
        legacy.ill = "503 Service Unavailable"
        event = self.wait_down(shunt)
        self.assertEqual((event["backend"], event["address"], event["reason"], event["level"]),
                         ("legacy", address, "status 503", "warn"))
        self.assertEqual(self.up(shunt), {address: 0})
        self.assertEqual(shunt.status()["backends"][0]["unhealthy"], [{"address": address, "reason": "status 503"}])
        self.assertIn("status 503", shunt.ctl("status"))
        # It is the only address: trying beats refusing.
        self.assertEqual(shunt.get("/x").get("x-backend"), "legacy")
        self.assertEqual(shunt.admin_reply("GET", "/healthz").status, 200)
        legacy.ill = None
        event = self.wait_up(shunt)
        self.assertEqual((event["backend"], event["address"], event["reason"], event["level"]),
                         ("legacy", address, "status 204", "info"))
        self.assertEqual(self.up(shunt), {address: 1})
        self.assertEqual(shunt.status()["backends"][0]["unhealthy"], [])

    def test_failures_that_are_not_in_a_row_turn_nothing(self):
        count = [0]

        def alternating(asked):
            count[0] += 1
            return http_reply("", "500 Oops" if count[0] % 2 else "200 OK")

        legacy = self.backend(alternating)
        shunt = self.shunt(config(legacy, backend_extra=health("interval: 700ms, unhealthy_after: 2")))
        self.wait_checks(shunt, "failure", 4)
        self.assertEqual(shunt.find_events("health_down"), [])

    def test_statuses(self):
        for status, healthy in (("200 OK", True), ("302 Found", True), ("399 Odd", True), ("400 Bad Request", False),
                                ("404 Not Found", False), ("500 Oops", False)):
            with self.subTest(status):
                legacy = self.peer(Patient())
                legacy.ill = status
                shunt = self.shunt(config(legacy, backend_extra=health(PATIENT)))
                self.wait_checks(shunt, "success" if healthy else "failure")
                self.assertEqual(self.ended(shunt, "failure" if healthy else "success"), 0)

    def test_peers_that_do_not_answer_well(self):
        cases = {
            "hangs": ("read head; hang", "timeout", "no answer within 100 ms"),
            "half an answer": ("read head; send `HTTP/1.1 200 OK\\r\\nContent-Length: 10\\r\\n\\r\\nx`; hang", "timeout",
                               "no (whole )?answer within 100 ms"),
            "drips": ("read head; drip `HTTP/1.1 200 OK\\r\\nContent-Length: 100\\r\\n\\r\\n" + "x" * 100 + "` 30", "timeout",
                      "no (whole )?answer within 100 ms"),
            "closes": ("read head; close", "failure", "closed the connection"),
            "resets": ("read head; reset", "failure", "reset the connection"),
            "not HTTP": ("read head; send `SSH-2.0-OpenSSH_9.2\\r\\n\\r\\n`; hang", "failure", "status line"),
            "switches protocols": ("read head; send `HTTP/1.1 101 Switching Protocols\\r\\n\\r\\n`; hang", "failure", "is none"),
            "says 100 for ever": ("read head; " + "send `HTTP/1.1 100 Continue\\r\\n\\r\\n`; " * 70 + "hang", "failure",
                                  "is none"),
        }
        for name, (script, result, reason) in cases.items():
            with self.subTest(name):
                legacy = self.script(script)
                shunt = self.shunt(config(legacy, backend_extra=health(STRICT if result == "failure" else OFTEN)))
                event = self.wait_down(shunt)
                self.assertRegex(event["reason"], reason)
                self.assertGreaterEqual(self.ended(shunt, result), 1)
                self.assertEqual(self.ended(shunt, "success"), 0)

    def test_a_long_body_is_not_read_to_its_end(self):
        legacy = self.script("read head; send `HTTP/1.1 200 OK\\r\\nContent-Length: 999999999\\r\\n\\r\\n`; fill 9999999; hang")
        shunt = self.shunt(config(legacy, backend_extra=health(PATIENT)))
        self.wait_checks(shunt, more=2)
        self.assertEqual(shunt.find_events("health_down"), [])

    def test_nobody_listens(self):
        kept, url = refused_address()
        shunt = self.shunt(config(url, backend_extra=health(STRICT)))
        self.assertEqual(self.wait_down(shunt)["reason"], "the backend does not accept connections")
        kept.close()
        self.assertEqual(shunt.metric("shunt_upstream_ejections_total"), 0)

    def test_connecting_hangs(self):
        kept, url = blackhole()
        shunt = self.shunt(config(url, backend_extra=health(OFTEN)))
        self.assertEqual(self.wait_down(shunt)["reason"], "no connection within 100 ms")
        self.assertGreaterEqual(self.ended(shunt, "timeout"), 3)
        for one in kept:
            one.close()

    def test_draining_asks_nobody(self):
        legacy = self.peer(Patient())
        shunt = self.shunt(config(legacy, backend_extra=health(OFTEN)))
        client = self.client(shunt)
        client.send("GET /wait HTTP/1.1\r\nHost: shunt.test\r\n\r\n")
        wait_until(lambda: any(one.target == "/wait" for one in legacy.requests), "the request that stays")
        self.wait_checks(shunt)
        shunt.signal(signal.SIGTERM)
        shunt.wait_events("draining")
        # One may have been on its way.
        wait_until(lambda: self.quiet(legacy), "no more checks")
        seen = len(legacy.checks)
        stays(lambda: len(legacy.checks) == seen, 0.5, "a check while draining")
        legacy.gate.set()
        self.assertEqual(client.reply().status, 200)
        self.assertEqual(shunt.wait_exit(), 0)

    @staticmethod
    def quiet(peer):
        seen = len(peer.checks)
        try:
            stays(lambda: len(peer.checks) == seen, 0.3, "")
            return True
        except AssertionError:
            return False


class OneOfTwo(HealthCase):
    """A name with two addresses, from a hosts file of the test's own."""

    def setUp(self):
        super().setUp()
        if not may_mount():
            self.skipTest("a hosts file of its own needs root and a mount namespace")
        self.first = self.peer(FastBackend("first", "127.0.0.2:0"))
        port = self.first.address[1]
        self.second = self.peer(FastBackend("second", f"127.0.0.3:{port}"))
        self.hosts = f"{self.directory}/hosts"
        self.say("127.0.0.2", "127.0.0.3")
        self.wrapper = ["unshare", "-m", "sh", "-c", f'mount --bind "{self.hosts}" /etc/hosts && exec "$@"', "sh"]
        self.url = f"http://{NAME}:{port}"

    def say(self, *addresses):
        """Which addresses the name has."""
        with open(self.hosts, "w", encoding="ascii") as f:
            f.write("127.0.0.1 localhost\n" + "".join(f"{address} {NAME}\n" for address in addresses))

    def sides(self, shunt, count=16):
        """Of requests on connections of their own, so that both workers are asked."""
        return {request(shunt.address).get("x-backend") for _ in range(count)}

    def test_the_address_that_is_down_is_left_out_by_every_worker(self):
        shunt = self.shunt(config(self.url, backend_extra=", eject_after: 0" + health(f"path: /, {PATIENT}")),
                           wrapper=self.wrapper)
        self.wait_checks(shunt, more=2)
        wait_until(lambda: self.sides(shunt) == {"first", "second"}, "both to be asked")
        self.second.tell("status 500")
        self.assertTrue(self.wait_down(shunt)["address"].startswith("127.0.0.3:"))
        self.assertEqual(sorted(self.up(shunt).values()), [0, 1])
        self.assertEqual(self.sides(shunt), {"first"})
        self.assertEqual({request(shunt.address).status for _ in range(16)}, {200})
        # All of them down: trying beats refusing, and each has its turn.
        self.first.tell("status 500")
        self.wait_down(shunt, 2)
        wait_until(lambda: self.sides(shunt) == {"first", "second"}, "both to be tried")
        self.second.tell("status 200")
        self.assertTrue(self.wait_up(shunt)["address"].startswith("127.0.0.3:"))
        self.assertEqual(self.sides(shunt), {"second"})

    def test_kept_connections_to_an_address_that_is_down_make_room_for_others(self):
        shunt = self.shunt(config(self.url, workers=1,
                                  backend_extra=", max_connections: 1, queue_timeout: 20s, eject_after: 0"
                                  + health(f"path: /, {PATIENT}")), wrapper=self.wrapper)
        wait_until(lambda: "second" in self.sides(shunt, 1), "the kept connection to be the second's")
        self.second.tell("status 500")
        self.wait_down(shunt)
        self.assertEqual(self.sides(shunt, 4), {"first"})


    def test_an_address_that_leaves_dns_is_asked_no_more_and_begins_anew_when_it_returns(self):
        shunt = self.shunt(config(self.url, backend_extra=", dns_refresh: 1s" + health(f"path: /, {PATIENT}")),
                           wrapper=self.wrapper)
        self.second.tell("status 500")
        self.wait_down(shunt)
        self.say("127.0.0.2")
        wait_until(lambda: list(self.up(shunt).values()) == [1], lambda: f"one address: {self.up(shunt)}")
        self.second.tell("status 200")
        self.say("127.0.0.2", "127.0.0.3")
        wait_until(lambda: list(self.up(shunt).values()) == [1, 1], lambda: f"both addresses: {self.up(shunt)}")
        self.assertEqual(shunt.find_events("health_up"), [])
        wait_until(lambda: self.sides(shunt, 8) == {"first", "second"}, "both to be asked")


class Grpc(HealthCase):
    def begin(self, service="", tls=False, **options):
        pair = authority().issue() if tls else None
        self.legacy = self.peer(GrpcBackend("legacy", pair, **options))
        asked = f", service: {service}" if service else ""
        return self.shunt(config(self.legacy, backend_extra=health(f"type: grpc{asked}, {PATIENT}"), top="access_log: off"))

    def test_serving_and_not_serving(self):
        shunt = self.begin()
        self.wait_checks(shunt, more=2)
        self.assertEqual(set(self.legacy.checks), {""})
        self.legacy.health[""] = NOT_SERVING
        self.assertEqual(self.wait_down(shunt)["reason"], "NOT_SERVING")
        self.legacy.health[""] = SERVING
        self.assertEqual(self.wait_up(shunt)["reason"], "SERVING")
        self.legacy.health[""] = None
        self.assertEqual(self.wait_down(shunt, 2)["reason"], "grpc-status 14 (UNAVAILABLE)")

    def test_a_service_by_its_name(self):
        shunt = self.begin("orders.v1.Orders")
        self.assertEqual(self.wait_down(shunt)["reason"], "grpc-status 5 (NOT_FOUND)")
        self.assertEqual(set(self.legacy.checks), {"orders.v1.Orders"})
        self.legacy.health["orders.v1.Orders"] = SERVING
        self.assertEqual(self.wait_up(shunt)["reason"], "SERVING")

    def test_a_server_without_the_health_service(self):
        class Plain(GrpcBackend):
            def service(self, details):
                return None if details.method == HEALTH else super().service(details)

        legacy = self.peer(Plain("legacy"))
        shunt = self.shunt(config(legacy, backend_extra=health(f"type: grpc, {PATIENT}"), top="access_log: off"))
        self.assertEqual(self.wait_down(shunt)["reason"], "grpc-status 12 (UNIMPLEMENTED): it does not offer grpc.health.v1")
        client = GrpcClient(shunt.address)
        self.clients.append(client)
        self.assertEqual(client.unary(b"x", 20), b"x")

    def test_over_tls_by_alpn(self):
        shunt = self.begin(tls=True, keys="protocol: auto")
        self.wait_checks(shunt, more=2)
        self.assertEqual(shunt.find_events("health_down"), [])

    def test_over_tls_without_http2(self):
        legacy = self.peer(TlsBackend())
        shunt = self.shunt(config(legacy, backend_extra=health(f"type: grpc, {PATIENT}")))
        self.assertRegex(self.wait_down(shunt)["reason"], "does not speak HTTP/2")

    def test_answers_that_are_none(self):
        ended = [("grpc-status", "0")]
        content = [("content-type", "application/grpc")]
        cases = {
            "not gRPC": (Answer(b"\0\0\0\0\2\x08\1"), "status 200, not gRPC"),
            "another status": (Answer(b"", 503, content), "status 503"),
            "no grpc-status": (Answer(b"\0\0\0\0\2\x08\1", headers=content), "did not say how the call ended"),
            "no message": (Answer(b"", headers=content, trailers=ended), "not a HealthCheckResponse"),
            "half a message": (Answer(b"\0\0\0\0\2\x08", headers=content, trailers=ended), "not a HealthCheckResponse"),
            "no status in it": (Answer(b"\0\0\0\0\0", headers=content, trailers=ended), "^UNKNOWN$"),
            "compressed": (Answer(b"\1\0\0\0\2\x08\1", headers=content, trailers=ended), "not a HealthCheckResponse"),
            "endless": (Answer((b"x" * 1000 for _ in range(1000)), headers=content, trailers=ended), "did not say"),
        }
        for name, (answer, reason) in cases.items():
            with self.subTest(name):
                legacy = self.peer(H2Backend(lambda asked, answer=answer: answer))
                shunt = self.shunt(config(legacy, backend_extra=health(f"type: grpc, {STRICT}")))
                self.assertRegex(self.wait_down(shunt)["reason"], reason)

    def test_what_is_asked(self):
        legacy = self.peer(H2Backend(lambda asked: Answer(b"\0\0\0\0\2\x08\1", headers=[("content-type", "application/grpc")],
                                                          trailers=[("grpc-status", "0")])))
        name = "a" * 200
        shunt = self.shunt(config(legacy, backend_extra=health(f"type: grpc, service: {name}, {PATIENT}")))
        self.wait_checks(shunt)
        one = legacy.requests[0]
        self.assertEqual((one.method, one.target), ("POST", HEALTH))
        self.assertEqual((one.get("content-type"), one.get("te"), one.get("user-agent"), one.get("grpc-timeout")),
                         ("application/grpc", "trailers", "shunt-health", "700m"))
        self.assertEqual(one.body, b"\0\0\0\0" + bytes([203]) + b"\x0a\xc8\x01" + name.encode())


class Reloaded(HealthCase):
    def test_another_path_is_asked_at_once(self):
        legacy = self.peer(Patient())
        shunt = self.shunt(config(legacy, backend_extra=health("interval: 1h")))
        self.wait_first(legacy, "/healthz")
        shunt.reload(config(legacy, backend_extra=health("interval: 1h, path: /healthz2")))
        self.wait_first(legacy, "/healthz2")
        shunt.reload(config(legacy, backend_extra=health("path: /healthz3, " + OFTEN)))
        self.wait_checks(shunt, more=3)
        shunt.reload(config(legacy))
        wait_until(lambda: self.up(shunt) == {}, "no address to be watched")
        self.assertNotIn("unhealthy", shunt.status()["backends"][0])

    def wait_first(self, peer, target):
        wait_until(lambda: any(one.target == target for one in peer.checks), lambda: f"{target}: {peer.checks}")

    def test_what_is_known_outlasts_a_reload(self):
        legacy = self.peer(Patient())
        legacy.ill = "500 Oops"
        before = config(legacy, backend_extra=health(PATIENT))
        shunt = self.shunt(before)
        self.wait_down(shunt)
        failures = self.ended(shunt, "failure")
        shunt.reload(before + "access_log: off\n")
        self.assertEqual(set(self.up(shunt).values()), {0})
        self.assertGreaterEqual(self.ended(shunt, "failure"), failures)
        shunt.reload(config(legacy, backend_extra=health("interval: 800ms, unhealthy_after: 3, healthy_after: 1")))
        self.assertEqual(set(self.up(shunt).values()), {0})
        legacy.ill = None
        self.wait_up(shunt)
        self.assertEqual(len(shunt.find_events("health_down")), 1)

    def test_without_checks_nothing_is_down(self):
        legacy = self.peer(Patient())
        legacy.ill = "500 Oops"
        shunt = self.shunt(config(legacy, backend_extra=health(OFTEN)))
        self.wait_down(shunt)
        shunt.reload(config(legacy))
        wait_until(lambda: self.up(shunt) == {}, "no address to be watched")
        shunt.reload(config(legacy, backend_extra=health("interval: 1h")))
        wait_until(lambda: set(self.up(shunt).values()) == {1}, "it to begin anew")

    def test_a_backend_that_comes_and_goes(self):
        legacy, new = self.peer(Patient()), self.peer(Patient("new"))
        new.keys = health(OFTEN)
        shunt = self.shunt(config(legacy))
        for _ in range(5):
            shunt.reload(config(legacy, new))
            self.wait_checks(shunt, backend="new")
            shunt.reload(config(legacy))
        self.assertEqual(shunt.metrics().by("shunt_health_checks_total", "backend"), {})

    def test_reloads_while_checks_are_under_way(self):
        """Attempts in every state are given up: connecting, without an answer, in the middle of one, over either protocol."""
        kept, hole = blackhole()
        fast = health("interval: 10ms, timeout: 10ms")
        half = "read head; send `HTTP/1.1 200 OK\\r\\nContent-Length: 10\\r\\n\\r\\nx`; hang"
        peers = [hole, self.script("read head; hang"), self.script(half), self.peer(Patient()),
                 self.peer(H2Backend(lambda asked: None)), self.peer(H2Backend()), self.peer(TlsBackend()),
                 self.peer(GrpcBackend())]
        legacy = self.peer(Patient("safe"))
        shunt = self.shunt(config(legacy, top="access_log: off"))
        for i in range(3 * len(peers)):
            new = peers[i % len(peers)]
            kind = "type: grpc, " if isinstance(new, GrpcBackend) else ""
            text = config(legacy, new, top="access_log: off", backend_extra="")
            line = next(line for line in text.split("\n") if line.startswith("  new:"))
            text = text.replace(line, line[:-2] + fast.replace("interval", kind + "interval") + " }")
            self.assertEqual(shunt.reload(text)["event"], "reloaded")
            ended = lambda: sum(self.ended(shunt, result, "new") for result in ("success", "failure", "timeout"))
            wait_until(ended, lambda: f"a check of {line}: {shunt.output()}")
            self.assertEqual(shunt.get("/x").get("x-backend"), "safe")
        for one in kept:
            one.close()


if __name__ == "__main__":
    main()
