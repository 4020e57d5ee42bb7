"""Copies: they arrive byte for byte, are compared, bounded and counted; and whatever happens to them, the client does not notice."""

import json
import os
import socket
import time

from harness import Case, Peer, blackhole, config, http_reply, main, request, wait_until

ROUTE = """\
  - name: all
    match: {{ path: /** }}
    sticky: [ random ]
    percent: {percent}
    breaker: off
    shadow: {{ percent: {shadow}, methods: [{methods}], {more} }}
"""


def route(percent=0, shadow=100, methods='"*"', more="timeout: 2s"):
    return ROUTE.format(percent=percent, shadow=shadow, methods=methods, more=more)


def shadow_count(shunt, reason):
    return shunt.metric("shunt_shadow_total", route="all", reason=reason)


class Copies(Case):
    def test_copies_with_bodies_arrive_byte_for_byte(self):
        legacy, new = self.backend(), self.backend(name="new")
        shunt = self.shunt(config(legacy, new, route(more="timeout: 10s, max_buffer: 8MiB")))
        bodies = [b"", b"x", os.urandom(1000), os.urandom(16384), os.urandom(300000), os.urandom(3000000)]
        for i, body in enumerate(bodies):
            reply = request(shunt.address, f"/p/{i}?q=%20", ["X-Odd: a", "x-oDd: b", "Cookie: c=d"], method="POST",
                            body=body)
            self.assertEqual((reply.status, reply.get("x-backend")), (200, "legacy"))
        chunked = b"POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"
        with shunt.client() as client:
            self.assertEqual(client.ask(chunked).status, 200)
        new.wait_requests(len(bodies) + 1, complete=True)
        primary = {r.target: r for r in legacy.requests}
        for copy in new.requests:
            original = primary[copy.target]
            self.assertEqual(copy.body, original.body)
            self.assertEqual(copy.get("x-shunt-shadow"), "1")
            self.assertEqual(original.all("x-shunt-shadow"), [])
            self.assertEqual(copy.all("x-odd"), original.all("x-odd"))
            self.assertEqual(copy.get("x-request-id"), original.get("x-request-id"),
                             "both sides can be matched in the logs")
            self.assertEqual((copy.get("host"), copy.method), (original.get("host"), original.method))
        self.assertEqual(shadow_count(shunt, "sent"), len(bodies) + 1)

    def test_only_named_methods_are_mirrored(self):
        legacy, new = self.backend(), self.backend(name="new")
        shunt = self.shunt(config(legacy, new, route(methods="GET, HEAD")))
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
            request(shunt.address, "/" + method, method=method, body=b"x" if method in ("POST", "PUT") else None)
        new.wait_requests(2)
        wait_until(lambda: shadow_count(shunt, "compared") == 2, "both to be compared")
        self.assertEqual(sorted(r.method for r in new.requests), ["GET", "HEAD"])
        self.assertEqual((shadow_count(shunt, "sent"), shadow_count(shunt, "method")), (2, 4))

    def test_a_share_is_mirrored(self):
        legacy, new = self.fast(), self.fast("new")
        shunt = self.shunt(config(legacy, new, route(shadow=20), top="access_log: off"))
        self.load(shunt.address, requests=4000, connections=8).wait()
        wait_until(lambda: shunt.metric("shunt_shadow_copies_in_flight") == 0, "no copy under way")
        sent = shadow_count(shunt, "sent")
        self.assertLess(abs(sent - 800), 130)
        self.assertEqual(shadow_count(shunt, "rate"), 4000 - sent - shadow_count(shunt, "in_flight"))

    def test_both_directions(self):
        legacy, new = self.backend(), self.backend(name="new")
        shunt = self.shunt(config(legacy, new, route(percent=100)))
        self.assertEqual(request(shunt.address).get("x-backend"), "new")
        legacy.wait_requests(1)
        self.assertEqual((legacy.requests[0].get("x-shunt-shadow"), new.requests[0].all("x-shunt-shadow")), ("1", []))
        wait_until(lambda: shadow_count(shunt, "compared") == 1, "the comparison")
        report = self.compared(shunt, 1)
        self.assertEqual((report["primary"], report["shadow"]), ("new", "legacy"))

    def test_upgrades_and_copies_are_never_mirrored(self):
        legacy, new = self.backend(), self.backend(name="new")
        shunt = self.shunt(config(legacy, new, route()))
        with shunt.client() as client:
            client.ask("GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        request(shunt.address, "/copy", ["X-Shunt-Shadow: 1"])
        request(shunt.address, "/plain")
        wait_until(lambda: shadow_count(shunt, "compared") == 1, "the plain one to be compared")
        self.assertEqual([r.target for r in new.requests], ["/plain"])
        self.assertEqual(shadow_count(shunt, "upgrade"), 1)

    def test_copies_of_requests_from_clients_that_left_are_given_up(self):
        legacy, new = self.script("read request; hang"), self.script("read request; hang")
        shunt = self.shunt(config(legacy, new, route(more="timeout: 2s")))
        client = shunt.client()
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        legacy.wait_requests(1)
        new.wait_requests(1)
        client.reset()
        wait_until(lambda: legacy.open == 0 and shadow_count(shunt, "client_gone") == 1, "the copy to be given up")
        wait_until(lambda: new.open == 0, "its connection to be closed")

    def compared(self, shunt, count):
        wait_until(lambda: shunt.metric("shunt_comparisons_total", route="all") >= count, "the comparison")
        rows = shunt.report("all")["routes"]
        return max(rows, key=lambda row: row["last_ms"])


class Bounds(Case):
    """Every copy that is not sent, or not finished, is counted with its reason; nothing is waited for."""

    def begin(self, mirror, more, legacy=None, percent=0, methods='"*"'):
        legacy = legacy or self.fast()
        return self.shunt(config(legacy, mirror, route(more=more, percent=percent, methods=methods),
                                 top="access_log: off", workers=1))

    def test_in_flight(self):
        shunt = self.begin(self.script("read request; hang"), "timeout: 20s, max_in_flight: 5")
        for _ in range(20):
            self.assertEqual(shunt.get().status, 200)
        self.assertEqual((shadow_count(shunt, "in_flight"), shunt.metric("shunt_shadow_copies_in_flight")), (15, 5))
        self.assertEqual(shadow_count(shunt, "sent"), 5)

    def test_timeout(self):
        mirror = self.script("read request; hang")
        shunt = self.begin(mirror, "timeout: 300ms")
        self.assertEqual(shunt.get().status, 200)
        wait_until(lambda: shadow_count(shunt, "timeout") == 1, "the timeout to be counted")
        wait_until(lambda: mirror.open == 0, "the copy's connection to be closed")

    def test_connect(self):
        new = self.fast("new")
        new.tell("refuse")
        shunt = self.begin(new, "timeout: 2s")
        self.assertEqual(shunt.get().status, 200)
        wait_until(lambda: shadow_count(shunt, "connect") == 1, "it to be counted")

    def test_reset_and_nonsense(self):
        for script, reason in (("read request; reset", "reset"), ("read request; close", "reset"),
                               (r"read request; send `nonsense\r\n\r\n`; close", "bad_response"),
                               (r"read request; send `HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc`; close",
                                "reset")):
            with self.subTest(script):
                shunt = self.begin(self.script(script), "timeout: 2s")
                self.assertEqual(shunt.get().status, 200)
                wait_until(lambda: shadow_count(shunt, reason) == 1,
                           lambda: f"{reason}: {shunt.metrics().by('shunt_shadow_total', 'reason')}")
                shunt.stop()

    def test_memory_of_a_copy_that_does_not_read(self):
        """A mirror that takes the head and then nothing: the primary's upload goes on, the copy is given up at its bound."""
        mirror = self.deaf()
        shunt = self.begin(mirror, "timeout: 30s, max_buffer: 256KiB")
        size = 40 << 20
        before = shunt.rss()
        result = self.load(shunt.address, requests=1, connections=1, body=size, verify=True).wait()
        self.assertEqual((result["ok"], result["failed"]), (1, 0), result)
        wait_until(lambda: shadow_count(shunt, "memory") == 1,
                   lambda: f"memory: {shunt.metrics().by('shunt_shadow_total', 'reason')}")
        self.assertLess(shunt.rss() - before, 16 << 20)
        wait_until(lambda: shunt.metric("shunt_shadow_buffered_bytes") == 0, "the kept bytes to be freed")

    def deaf(self):
        def play(conn):
            conn.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            while not conn.peer.stopping:
                time.sleep(0.05)

        return self.peer(Peer(play))

    def test_primary_that_fails(self):
        legacy = self.script("read request; close")
        shunt = self.begin(self.fast("new"), "timeout: 2s", legacy=legacy)
        self.assertEqual(shunt.get().status, 502)
        wait_until(lambda: shadow_count(shunt, "primary_failed") == 1, "it to be counted")

    def test_many_hung_copies_cost_bounded_memory_and_descriptors(self):
        mirror = self.fast("new")
        mirror.tell("hang")
        shunt = self.begin(mirror, "timeout: 2m, max_in_flight: 100, max_connections: 100")
        before, fds = shunt.rss(), shunt.fds()
        result = self.load(shunt.address, requests=20000, connections=16).wait()
        self.assertEqual(result["failed"], 0)
        self.assertLessEqual(shunt.fds() - fds, 100 + 40)
        self.assertLess(shunt.rss() - before, 48 << 20)
        self.assertEqual(shadow_count(shunt, "sent") + shadow_count(shunt, "in_flight"), 20000)


class ClientNeverPays(Case):
    """A mirror that hangs for 10 s, is slow, dead, resets or talks nonsense: the primary's bytes and latency stay.

    The criterion is the mechanism, not the clock of a busy machine: with a mirror that takes 10 s no request may take longer
    than one second, and the answers are the same bytes in the same number."""

    def interleaved(self, prepare, more="timeout: 10s"):
        legacy, new = self.fast(), self.fast("new")
        shunt = self.shunt(config(legacy, new, route(more=more) + "  - name: plain\n    match: { path: /plain/** }\n",
                                  top="access_log: off")
                           .replace("match: { path: /** }", "match: { path: /bytes/** }", 1))
        prepare(new)
        on, off = [], []
        for _ in range(4):
            on.append(self.load(shunt.address, requests=1000, connections=8, path="/bytes/2000", verify=True).wait())
            off.append(self.load(shunt.address, requests=1000, connections=8, path="/plain/x").wait())
        for result in on + off:
            self.assertEqual((result["ok"], result["failed"]), (1000, 0), result)
            self.assertLess(result["max_ms"], 1000, result)
        middle = lambda results, key: sorted(r[key] for r in results)[1]
        self.assertLess(middle(on, "p99_ms"), middle(off, "p99_ms") * 3 + 50, (on, off))
        self.assertGreater(shadow_count(shunt, "sent"), 0)

    def test_hung(self):
        self.interleaved(lambda new: new.tell("hang"))

    def test_slow(self):
        self.interleaved(lambda new: new.tell("delay 3000"))

    def test_dead(self):
        self.interleaved(lambda new: new.tell("refuse"))

    def test_resetting(self):
        self.interleaved(lambda new: new.tell("reset"))

    def test_nonsense(self):
        self.interleaved(lambda new: new.tell("garbage"))

    def test_failing(self):
        self.interleaved(lambda new: new.tell("status 500"))

    def test_the_next_request_of_a_kept_connection_does_not_wait_for_the_copy(self):
        legacy, new = self.backend(), self.script("read request; hang")
        shunt = self.shunt(config(legacy, new, route(more="timeout: 10s")))
        with shunt.client() as client:
            for i in range(30):
                began = time.monotonic()
                self.assertEqual(client.get(f"/{i}").status, 200)
                self.assertLess(time.monotonic() - began, 1)

    def test_a_pipelined_request_does_not_wait_for_the_copy(self):
        legacy, new = self.backend(), self.script("read request; hang")
        shunt = self.shunt(config(legacy, new, route(more="timeout: 10s")))
        with shunt.client() as client:
            began = time.monotonic()
            client.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual([client.reply().status for _ in range(3)], [200] * 3)
            self.assertLess(time.monotonic() - began, 2)

    def test_a_black_hole_mirror(self):
        kept, url = blackhole()
        shunt = self.shunt(config(self.fast(), url, route(more="timeout: 10s"), timeouts="connect: 5s",
                                  top="access_log: off"))
        result = self.load(shunt.address, requests=500, connections=4).wait()
        self.assertEqual(result["failed"], 0)
        self.assertLess(result["max_ms"], 1000)
        for sock in kept:
            sock.close()


class Report(Case):
    def differ(self, ours, theirs, compare="", requests=1, samples="", headers_ours=(), headers_theirs=(),
               status="200 OK",
               kind="application/json"):
        legacy = self.backend(lambda r: http_reply(json.dumps(ours) if not isinstance(ours, bytes) else ours,
                                                   headers=[f"Content-Type: {kind}", *headers_ours]))
        new = self.backend(lambda r: http_reply(json.dumps(theirs) if not isinstance(theirs, bytes) else theirs,
                                                status=status,
                                                headers=[f"Content-Type: {kind}", *headers_theirs]), "new")
        more = "timeout: 2s" + (f", compare: {{ {compare} }}" if compare else "") + samples
        shunt = self.shunt(config(legacy, new, route(more=more)))
        for _ in range(requests):
            shunt.get("/x?secret=in-the-query", ["Authorization: Bearer abc"])
        wait_until(lambda: shunt.metric("shunt_comparisons_total", route="all") == requests, "the comparison")
        row = shunt.report("all")["routes"][0]
        return shunt, row

    def samples(self, shunt, count):
        """The samples of the report once there are so many: a pair is counted before its sample is taken."""
        return wait_until(lambda: (lambda found: found if len(found) == count else None)(
            shunt.report("all")["routes"][0]["samples"]), f"{count} samples")

    def fields(self, row):
        return {field["field"]: field for endpoint in row["endpoints"] for field in endpoint["fields"]
                if field["differing"] > 0}

    def test_equal_answers_match(self):
        shunt, row = self.differ({"a": 1, "b": [1, 2]}, {"b": [1, 2], "a": 1.0}, requests=5)
        self.assertEqual((row["verdict"]["state"], row["totals"]["compared"], self.fields(row)), ("agree", 5, {}))
        self.assertEqual(shunt.metric("shunt_comparisons_total", route="all", outcome="matched"), 5)

    def test_differing_fields_are_named_and_their_values_redacted(self):
        shunt, row = self.differ({"id": 7, "name": "SECRET-ONE", "items": [{"p": 1}]},
                                 {"id": 7, "name": "SECRET-TWO", "items": [{"p": 2}]}, requests=3)
        text = json.dumps(row)
        self.assertEqual(row["verdict"]["state"], "differ")
        names = " ".join(self.fields(row))
        self.assertIn("name", names)
        self.assertIn("items", names)
        self.assertNotIn("id", [name.split(".")[-1] for name in self.fields(row)])
        text += json.dumps(self.samples(shunt, 3))
        self.assertNotIn("SECRET", text)
        self.assertNotIn("in-the-query", text)
        self.assertNotIn("Bearer", text)
        human = shunt.ctl("report", "all", "--no-color")
        self.assertIn("name", human)
        self.assertNotIn("SECRET", human)

    def test_values_are_shown_when_the_file_says_so(self):
        shunt, _ = self.differ({"name": "ONE"}, {"name": "TWO"}, samples=", samples: { values: full }")
        text = json.dumps(self.samples(shunt, 1))
        self.assertIn("ONE", text)
        self.assertIn("TWO", text)

    def test_ignore_tolerance_and_order(self):
        ours = {"meta": {"request_id": "a"}, "items": [{"at": 1, "n": 5}, {"at": 2, "n": 6}], "total": 10.001,
                "tags": ["x", "y"]}
        theirs = {"meta": {"request_id": "b"}, "items": [{"at": 3, "n": 5}, {"at": 4, "n": 6}], "total": 10.002,
                  "tags": ["y", "x"]}
        _, row = self.differ(ours, theirs, requests=2)
        self.assertEqual(row["verdict"]["state"], "differ")
        _, row = self.differ(ours, theirs, 'ignore: [ "$.meta.request_id", "$.items[*].at" ], tolerance: [ { path: "$.total", absolute: 0.01 } ], unordered: [ "$.tags" ]',
                             requests=2)
        self.assertEqual((row["verdict"]["state"], self.fields(row)), ("agree", {}))

    def test_status_and_headers(self):
        _, row = self.differ({}, {}, status="201 Created")
        self.assertIn("status", " ".join(self.fields(row)))
        _, row = self.differ({}, {}, "status: class", status="201 Created")
        self.assertEqual(row["verdict"]["state"], "agree")
        _, row = self.differ({}, {}, "headers: [ x-version, content-type ]", headers_ours=["X-Version: 1"],
                             headers_theirs=["X-Version: 2"])
        self.assertIn("x-version", " ".join(self.fields(row)))
        _, row = self.differ({}, {}, 'headers: [ x-version ], ignore: [ "header:x-version" ]',
                             headers_ours=["X-Version: 1"], headers_theirs=["X-Version: 2"])
        self.assertEqual(row["verdict"]["state"], "agree")

    def test_large_bodies_are_compared_by_digest(self):
        same = b"x" * 300000
        _, row = self.differ(same, same, samples=", max_body: 4KiB", kind="text/plain")
        self.assertEqual(row["verdict"]["state"], "agree")
        _, row = self.differ(same, same[:-1] + b"y", samples=", max_body: 4KiB", kind="text/plain")
        self.assertEqual(row["verdict"]["state"], "differ")
        _, row = self.differ(same, same[:-1] + b"y", samples=", max_body: 4KiB")  # no rule of the file looks inside
        self.assertEqual(row["verdict"]["state"], "differ")
        _, row = self.differ(same, same[:-1] + b"y", 'ignore: [ "$.at" ]',
                             samples=", max_body: 4KiB")  # what differs may be what is to be ignored: nobody can tell
        self.assertEqual((row["verdict"]["state"], row["totals"]["not_comparable"]), ("no_data", 1))

    def test_reset_forgets(self):
        shunt, row = self.differ({"a": 1}, {"a": 2})
        self.assertEqual(row["verdict"]["differing"], 1)
        shunt.api("POST", "/api/v1/report/reset", {"route": "all"})
        reply = shunt.admin_reply("GET", "/api/v1/report?route=all")
        self.assertTrue(reply.status == 404 or not any(r["totals"]["compared"] for r in reply.json()["routes"]), reply)

    def test_samples_are_bounded(self):
        shunt, row = self.differ({"a": 1}, {"a": 2}, requests=30, samples=", samples: { keep: 5 }")
        self.assertEqual(row["verdict"]["differing"], 30)
        kept = wait_until(lambda: shunt.report("all")["routes"][0]["samples"], "a sample")
        self.assertIn(len(kept), range(1, 6))  # three at once, then one a second, and never more than five


class Threads(Case):
    def test_load_with_everything_mirrored(self):
        """All requests mirrored and compared from several workers: answers whole, every copy accounted for."""
        legacy, new = self.fast("same"), self.fast("same")
        shunt = self.shunt(config(legacy, new, route(percent=50), top="access_log: off", workers=3))
        loads = [self.load(shunt.address, requests=6000, connections=16),
                 self.load(shunt.address, requests=300, connections=4, body=20000, verify=True),
                 self.load(shunt.address, requests=200, connections=4, path="/chunked/50000", verify=True)]
        for one in loads:
            self.assertEqual(one.wait()["failed"], 0)
        wait_until(lambda: shunt.metric("shunt_shadow_copies_in_flight") == 0, "no copy under way")
        counts = shunt.metrics().by("shunt_shadow_total", "reason", route="all")
        self.assertEqual(counts["sent"] + counts["in_flight"], 6500, counts)
        ended = sum(counts[r] for r in ("compared", "timeout", "reset", "bad_response", "connect", "memory",
                                        "client_gone", "primary_failed", "queue"))
        self.assertEqual(ended, counts["sent"], counts)
        wait_until(lambda: shunt.metric("shunt_comparisons_total", route="all") == counts["compared"],
                   "the comparisons")
        self.assertEqual(shunt.metric("shunt_comparisons_total", route="all", outcome="mismatched"), 0)


if __name__ == "__main__":
    main()
