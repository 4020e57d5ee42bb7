"""The mirror: copies are what the file makes of the original, and harmless; each request ends in exactly one reason."""

import json
import os
import threading
import time

from harness import SLOW_BUILD, Case, Peer, PeerGone, blackhole, config, http_reply, main, request, wait_until

ROUTE = """\
  - name: all
    match: {{ path: /** }}
    sticky: [ {{ header: X-User }} ]
    percent: {percent}
    breaker: off
    {route_more}
    shadow: {{ percent: {shadow}, methods: ["*"], timeout: {timeout}, {more} }}
"""

# Steps on the way, and second copies of requests that are counted already: everything else is where a request ends.
NOT_FINAL = {"sent", "noise_sent", "noise_compared", "noise_dropped"}


def route(more="max_in_flight: 1000", percent=0, shadow=100, timeout="5s", route_more=""):
    return ROUTE.format(more=more, percent=percent, shadow=shadow, timeout=timeout, route_more=route_more)


class MirrorCase(Case):
    def begin(self, legacy, new, more="max_in_flight: 1000", workers=1, top="access_log: off", timeouts="", **options):
        return self.shunt(config(legacy, new, route(more, **options), top=top, workers=workers, timeouts=timeouts))

    def reasons(self, shunt, **labels):
        counts = shunt.metrics().by("shunt_shadow_total", "reason", route="all", **labels)
        return {reason: int(count) for reason, count in counts.items() if count}

    def wait_reasons(self, shunt, expected, **labels):
        """Exactly these, steps on the way left out."""
        final = lambda: {reason: count for reason, count in self.reasons(shunt, **labels).items()
                         if reason not in NOT_FINAL}
        wait_until(lambda: final() == expected, lambda: f"{expected}, have {self.reasons(shunt, **labels)}")

    def settle(self, shunt):
        """Every request has ended, and every copy of it."""
        wait_until(lambda: shunt.metric("shunt_requests_in_flight", route="all") == 0
                   and shunt.metric("shunt_shadow_copies_in_flight", route="all") == 0, "nothing to be under way")

    def check_sum(self, shunt):
        """The promise: final reasons add up to the requests, in either direction."""
        self.settle(shunt)
        page = shunt.metrics()
        for side in ("legacy", "new"):
            counts = page.by("shunt_shadow_total", "reason", route="all", primary=side)
            final = sum(count for reason, count in counts.items() if reason not in NOT_FINAL)
            self.assertEqual(final, page.sum("shunt_requests_total", route="all", backend=side), (side, counts))
        return {reason: int(count) for reason, count in
                page.by("shunt_shadow_total", "reason", route="all").items() if count}


class Faithful(MirrorCase):
    def test_the_head_is_edited_on_the_copy_alone(self):
        legacy, new = self.backend(), self.backend(name="new")
        shunt = self.begin(legacy, new, "host: copy.example, headers: { remove: [cookie, X-Gone], "
                                        'set: { Authorization: "Bearer test", X-Env: shadow }, add: { X-Odd: c } }')
        request(shunt.address, "/p", ["Authorization: Bearer live", "Cookie: s=1", "COOKIE: t=2", "x-gone: 1",
                                      "X-Odd: a", "x-odd: b"], method="POST", body=b"hello")
        copy, original = new.wait_requests(1, complete=True)[0], legacy.wait_requests(1, complete=True)[0]
        self.assertEqual((original.get("host"), original.get("authorization")), ("shunt.test", "Bearer live"))
        self.assertEqual((original.all("cookie"), original.all("x-odd")), (["s=1", "t=2"], ["a", "b"]))
        self.assertEqual((original.all("x-env"), original.all("x-shunt-shadow")), ([], []))
        self.assertEqual((copy.get("host"), copy.get("authorization")), ("copy.example", "Bearer test"))
        self.assertEqual((copy.all("cookie"), copy.all("x-gone"), copy.all("x-odd")), ([], [], ["a", "b", "c"]))
        self.assertEqual((copy.get("x-env"), copy.get("x-shunt-shadow"), copy.body), ("shadow", "1", b"hello"))
        self.assertEqual(copy.get("x-request-id"), original.get("x-request-id"))
        self.wait_reasons(shunt, {"compared": 1})

    def test_the_backends_host(self):
        legacy, new = self.backend(), self.backend(name="new")
        shunt = self.begin(legacy, new, "host: backend")
        shunt.get()
        self.assertEqual(new.wait_requests(1)[0].get("host"), f"127.0.0.1:{new.port}")
        self.assertEqual(legacy.requests[0].get("host"), "shunt.test")

    def test_a_request_without_a_host_gets_the_backends(self):
        """As HTTP/1.0 allows: the primary's backend is named, and the copy has the original's."""
        legacy, new = self.backend(), self.backend(name="new")
        shunt = self.begin(legacy, new)
        with shunt.client() as client:
            client.ask("GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(new.wait_requests(1)[0].get("host"), f"127.0.0.1:{legacy.port}")
        self.assertEqual(legacy.requests[0].get("host"), f"127.0.0.1:{legacy.port}")

    def test_the_same_users_are_mirrored_each_time(self):
        legacy, new = self.backend(), self.backend(name="new")
        shunt = self.begin(legacy, new, "sampling: cohort", shadow=30, workers=2)
        users = 60
        for turn in range(2):
            for user in range(users):
                request(shunt.address, f"/{turn}/{user}", [f"X-User: user-{user}"])
        counts = self.check_sum(shunt)
        self.assertEqual(set(counts), {"sent", "rate", "compared"})
        of_turn = lambda turn: sorted(r.target.split("/")[2] for r in new.requests if r.target.split("/")[1] == turn)
        self.assertEqual(of_turn("0"), of_turn("1"))
        self.assertTrue(0 < len(of_turn("0")) < users, of_turn("0"))

    def test_directions_are_kept_apart(self):
        legacy, new = self.backend(), self.backend(name="new")
        shunt = self.begin(legacy, new, percent=100)
        shunt.get()
        self.wait_reasons(shunt, {"compared": 1}, primary="new")
        self.wait_reasons(shunt, {}, primary="legacy")
        by_primary = shunt.route("all")["counters"]["mirror_by_primary"]
        self.assertEqual((by_primary["new"]["compared"], by_primary["legacy"]["compared"]), (1, 0))

    def test_latency_in_pairs_is_of_the_shadow_against_the_primary(self):
        for percent, primary in ((0, "legacy"), (100, "new")):
            legacy, new = self.fast(), self.fast("new")
            new.tell("delay 60")
            shunt = self.begin(legacy, new, percent=percent)
            for _ in range(10):
                shunt.get()
            self.wait_reasons(shunt, {"compared": 10}, primary=primary)
            wait_until(lambda: shunt.metric("shunt_comparisons_total", route="all") == 10, "the comparisons")
            rows = shunt.report("all")["routes"]
            self.assertEqual([row["primary"] for row in rows if row["totals"]["compared"] > 0], [primary])
            paired = rows[0]["latency"]["paired"]
            # the new side is always the slower one
            self.assertEqual(paired["slower"], 1 if primary == "legacy" else 0)
            self.assertEqual(paired["difference_ms"]["p50"] > 0, primary == "legacy", paired)
            self.assertEqual(paired["ratio"]["p50"] > 1, primary == "legacy", paired)

    def test_upgrades_connect_and_copies_are_not_mirrored(self):
        accept = r"read head; send `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello`; hang"
        legacy, new = self.script(accept), self.backend(name="new")
        shunt = self.begin(legacy, new)
        with shunt.client() as client:
            client.send("GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            wait_until(lambda: shunt.metric("shunt_tunnels_active") == 1, "the tunnel")
        with shunt.client() as client:
            reply = client.ask("CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example:443\r\n\r\n")
            self.assertGreaterEqual(reply.status, 400)
        self.wait_reasons(shunt, {"upgrade": 1})
        plain = self.begin(self.backend(), new)
        request(plain.address, "/copy", ["X-Shunt-Shadow: 1"])
        request(plain.address, "/plain")
        self.wait_reasons(plain, {"copy": 1, "compared": 1})
        self.check_sum(plain)
        self.assertEqual([r.target for r in new.requests], ["/plain"])


class InPieces(MirrorCase):
    """Requests that come slowly, in part, or not to their end."""

    HEAD = "POST /{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"

    def check_copy(self, legacy, new, body, trailers=()):
        copy, original = new.wait_requests(1, complete=True)[0], legacy.wait_requests(1, complete=True)[0]
        self.assertEqual((original.body, copy.body), (body, body))
        self.assertEqual((original.trailers, copy.trailers), (list(trailers), list(trailers)))
        for name in ("transfer-encoding", "content-length", "expect", "trailer"):
            self.assertEqual(copy.all(name), original.all(name), name)

    def test_a_body_of_single_bytes(self):
        legacy, new = self.backend(), self.backend(name="new")
        shunt = self.begin(legacy, new)
        body = os.urandom(300)
        with shunt.client() as client:
            client.send(self.HEAD.format("drip") + f"Content-Length: {len(body)}\r\n\r\n")
            client.drip(body)
            self.assertEqual(client.reply().status, 200)
        self.check_copy(legacy, new, body)
        self.wait_reasons(shunt, {"compared": 1})

    def test_chunks_of_single_bytes_with_trailers(self):
        legacy, new = self.backend(), self.backend(name="new")
        shunt = self.begin(legacy, new)
        body = os.urandom(200)
        with shunt.client() as client:
            client.drip((self.HEAD.format("chunks") + "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n").encode())
            for byte in body:
                client.drip(b"1;a=b\r\n" + bytes([byte]) + b"\r\n")
            client.drip(b"0\r\nX-Sum: 4711\r\n\r\n")
            self.assertEqual(client.reply().status, 200)
        self.check_copy(legacy, new, body, [(b"X-Sum", b"4711")])
        self.wait_reasons(shunt, {"compared": 1})

    def test_a_body_that_waits_for_the_status(self):
        """Small and large pieces that are kept until the primary has answered."""
        legacy, new = self.backend(), self.backend(name="new")
        shunt = self.begin(legacy, new, "statuses: [2xx], max_buffer: 4MiB")
        pieces = [os.urandom(size) for size in (1, 1, 3000, 1, 990, 70000, 1, 4072, 4073, 20000, 5, 100000, 1)]
        with shunt.client() as client:
            client.send(self.HEAD.format("kept") + "Transfer-Encoding: chunked\r\n\r\n")
            for piece in pieces:
                client.send(b"%x\r\n" % len(piece) + piece + b"\r\n")
            client.send(b"0\r\nX-Sum: 1\r\n\r\n")
            self.assertEqual(client.reply().status, 200)
        self.check_copy(legacy, new, b"".join(pieces), [(b"X-Sum", b"1")])
        self.wait_reasons(shunt, {"compared": 1})
        wait_until(lambda: shunt.metric("shunt_shadow_memory_bytes") == 0, "all to be given back")

    def test_a_body_that_is_asked_for(self):
        def serve(conn):
            request_ = conn.read_head()
            if request_.all("expect"):
                conn.send("HTTP/1.1 100 Continue\r\n\r\n")
            conn.read_body(request_)
            conn.send(http_reply(b"{}"))

        legacy, new = self.peer(Peer(serve)), self.peer(Peer(serve))
        shunt = self.begin(legacy, new)
        with shunt.client() as client:
            client.send(self.HEAD.format("expect") + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            self.assertTrue(client.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 "))
            client.send(b"hello")
            self.assertEqual(client.reply().status, 200)
        self.check_copy(legacy, new, b"hello")
        self.wait_reasons(shunt, {"compared": 1})

    def test_a_primary_that_answers_before_the_request_has_come(self):
        legacy = self.script(r"read head; send `HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n`; hang")
        new = self.script("read request; hang")
        shunt = self.begin(legacy, new)
        with shunt.client() as client:
            client.send(self.HEAD.format("early") + "Content-Length: 100\r\n\r\nabc")
            self.assertEqual(client.reply().status, 413)
        self.wait_reasons(shunt, {"cut_short": 1})
        wait_until(lambda: new.open == 0, "the copy's connection to be closed")
        self.check_sum(shunt)

    def test_a_client_that_leaves_midway(self):
        legacy, new = self.backend(), self.backend(name="new")
        shunt = self.begin(legacy, new)
        client = shunt.client()
        client.send(self.HEAD.format("left") + "Content-Length: 100\r\n\r\nabc")
        new.wait_requests(1)
        client.reset()
        self.wait_reasons(shunt, {"client_gone": 1})
        wait_until(lambda: new.open == 0, "the copy's connection to be closed")
        self.assertFalse(new.requests[0].complete)
        self.check_sum(shunt)

    def test_a_mirror_that_answers_early_or_in_steps(self):
        legacy = self.backend()
        for script in (r"read head; send `HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno`; hang",
                       r"read head; send `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n`; "
                       r"read body; send `HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno`"):
            shunt = self.begin(legacy, self.script(script))
            with shunt.client() as client:
                client.send(self.HEAD.format("m") + "Content-Length: 5\r\n\r\nhe")
                wait_until(lambda: shunt.metric("shunt_shadow_total", reason="sent") == 1, "the copy")
                client.send("llo")
                self.assertEqual(client.reply().get("x-backend"), "legacy")
            self.wait_reasons(shunt, {"compared": 1})
            wait_until(lambda: shunt.metric("shunt_comparisons_total", outcome="mismatched") == 1, "the comparison")
            fields = shunt.report("all")["routes"][0]["endpoints"][0]["fields"]
            self.assertEqual([field["field"] for field in fields], ["status"])

    def test_pipelined_requests_are_copied_one_by_one(self):
        legacy, new = self.backend(), self.backend(name="new")
        shunt = self.begin(legacy, new)
        with shunt.client() as client:
            client.send("".join(f"POST /{i} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{i:02}" for i in range(20)))
            self.assertEqual([client.reply().status for _ in range(20)], [200] * 20)
        new.wait_requests(20, complete=True)
        self.assertEqual(sorted((r.target, r.body) for r in new.requests),
                         sorted((f"/{i}", f"{i:02}".encode()) for i in range(20)))
        self.wait_reasons(shunt, {"compared": 20})


class Chosen(MirrorCase):
    """What is mirrored at all: by the primary's status, by rate, or only for show."""

    def by_path(self):
        """Answers with the status its path names."""
        return self.backend(lambda r: http_reply(b"{}", status=f"{r.target.split('/')[1]} X"))

    def test_only_listed_statuses_are_mirrored(self):
        legacy, new = self.by_path(), self.backend(name="new")
        shunt = self.begin(legacy, new, "statuses: [2xx, 404]")
        body = os.urandom(100000)
        for target in ("/200", "/202", "/301", "/400", "/404", "/500"):
            request(shunt.address, target)
        request(shunt.address, "/201/post", method="POST", body=body)
        request(shunt.address, "/403/post", method="POST", body=body)
        self.wait_reasons(shunt, {"compared": 4, "status": 4})
        copies = {r.target: r for r in new.requests}
        self.assertEqual(set(copies), {"/200", "/202", "/404", "/201/post"})
        self.assertEqual(copies["/201/post"].body, body)
        self.check_sum(shunt)
        self.assertEqual(shunt.metric("shunt_shadow_buffered_bytes"), 0)

    def test_a_copy_that_waits_for_the_status_is_bounded(self):
        legacy, new = self.by_path(), self.backend(name="new")
        shunt = self.begin(legacy, new, "statuses: [2xx], max_buffer: 64KiB")
        self.assertEqual(request(shunt.address, "/200/large", method="POST", body=bytes(3000000)).status, 200)
        self.assertEqual(request(shunt.address, "/200/small", method="POST", body=bytes(3000)).status, 200)
        self.wait_reasons(shunt, {"body_too_large": 1, "compared": 1})
        self.assertEqual([r.target for r in new.requests], ["/200/small"])

    def test_the_status_of_the_side_that_was_asked_first_counts(self):
        legacy, new = self.backend(), self.by_path()
        shunt = self.begin(legacy, new, "statuses: [2xx]", percent=100,
                           route_more="fallback: { on: [5xx, connect, reset] }")
        self.assertEqual(request(shunt.address, "/500").get("x-backend"), "legacy")  # answered 200 by legacy
        self.assertEqual(request(shunt.address, "/200").status, 200)
        self.wait_reasons(shunt, {"status": 1, "compared": 1}, primary="new")
        self.assertEqual([r.get("x-shunt-shadow") for r in legacy.requests], [None, "1"])

    def test_a_primary_that_never_answers(self):
        legacy, new = self.script("read request; close"), self.backend(name="new")
        shunt = self.begin(legacy, new, "statuses: [2xx, 5xx]")
        self.assertEqual(request(shunt.address).status, 502)
        self.wait_reasons(shunt, {"primary_failed": 1})
        self.assertEqual(new.requests, [])

    def test_copies_per_second_are_limited(self):
        legacy, new = self.fast(), self.fast("new")
        shunt = self.begin(legacy, new, "max_rate: 20")
        began = time.monotonic()
        self.load(shunt.address, requests=2000, connections=4).wait()
        took = time.monotonic() - began
        counts = self.check_sum(shunt)
        self.assertGreaterEqual(counts["sent"], 20)
        self.assertLessEqual(counts["sent"], 20 + 20 * took + 1)
        self.assertEqual(counts["rate_limit"], 2000 - counts["sent"])

    def test_simulated_copies_are_logged_and_not_sent(self):
        legacy, new = self.backend(), self.backend(name="new")
        shunt = self.begin(legacy, new, "read_only: simulate, samples: { values: full }", top="access_log: off")
        secret = "planted-secret-7f3a"
        request(shunt.address, f"/orders/4711?token={secret}&q=private-{secret}",
                [f"Authorization: Bearer {secret}", f"Cookie: a={secret}"], method="POST", body=secret.encode())
        event = shunt.wait_events("shadow_simulated", 1)[0]
        self.assertEqual((event["route"], event["method"], event["to"], event["body_bytes"]),
                         ("all", "POST", "new", len(secret)))
        self.assertTrue(event["target"].startswith("/orders/"), event)
        self.assertEqual(event["request_id"], legacy.requests[0].get("x-request-id"))
        self.wait_reasons(shunt, {"simulated": 1})
        for i in range(100):
            request(shunt.address, f"/{i}")
        self.wait_reasons(shunt, {"simulated": 101})
        self.check_sum(shunt)
        self.assertEqual(shunt.metric("shunt_shadow_total", reason="sent"), 0)
        self.assertEqual((new.requests, len(new.conns)), ([], 0))
        shunt.stop()
        self.assertNotIn(secret, shunt.output(lines=10000))

    def test_lines_about_simulated_copies_are_bounded(self):
        shunt = self.begin(self.fast(), self.fast("new"), "read_only: simulate")
        began = time.monotonic()
        self.load(shunt.address, requests=3000, connections=4).wait()
        self.wait_reasons(shunt, {"simulated": 3000})
        took = time.monotonic() - began
        shunt.stop()
        lines = shunt.find_events("shadow_simulated")
        self.assertGreaterEqual(len(lines), 1)
        self.assertLessEqual(len(lines), 10 + 10 * took + 1)

    def test_simulated_with_statuses(self):
        legacy, new = self.by_path(), self.backend(name="new")
        shunt = self.begin(legacy, new, "read_only: simulate, statuses: [2xx]")
        request(shunt.address, "/200")
        request(shunt.address, "/404")
        self.wait_reasons(shunt, {"simulated": 1, "status": 1})
        self.assertEqual(new.requests, [])


class Bounded(MirrorCase):
    def test_a_failing_mirror_is_left_alone_and_probed(self):
        legacy, new = self.fast(), self.fast("new")
        shunt = self.begin(legacy, new, "breaker: { consecutive_failures: 5, cooldown: 300ms }")
        new.tell("reset")
        while self.reasons(shunt).get("breaker", 0) == 0:
            self.assertEqual(shunt.get().status, 200)
        self.assertGreaterEqual(self.reasons(shunt)["reset"], 5)  # and what was under way when it opened
        self.assertEqual(shunt.metric("shunt_shadow_breaker_open", backend="new"), 1)
        self.assertEqual(shunt.metric("shunt_shadow_breaker_open", backend="legacy"), 0)
        self.assertEqual(shunt.metric("shunt_breaker_state", state="closed"), 1, "the live breaker knows nothing of it")
        new.tell("ok")

        def closed():
            self.assertEqual(shunt.get().status, 200)
            return shunt.metric("shunt_shadow_breaker_open", backend="new") == 0

        wait_until(closed, "a probe to close it", every=0.05)
        before = self.reasons(shunt).get("compared", 0)
        shunt.get()
        wait_until(lambda: self.reasons(shunt)["compared"] > before, "copies to be compared again")
        self.check_sum(shunt)

    def test_an_answer_of_whatever_status_is_no_failure(self):
        new = self.fast("new")
        new.tell("status 500")
        shunt = self.begin(self.fast(), new, "breaker: { consecutive_failures: 3, cooldown: 1h }")
        for _ in range(20):
            shunt.get()
        self.wait_reasons(shunt, {"compared": 20})

    def test_memory_stays_within_its_bound(self):
        """Copies hang while the primary sends megabytes that wait for them: captured answers stop at the bound."""
        legacy, new = self.fast(), self.fast("new")
        new.tell("hang")
        shunt = self.begin(legacy, new, "max_body: 1MiB, max_in_flight: 1000, max_connections: 1000", timeout="60s",
                           top="access_log: off\nlimits: { shadow_memory: 4MiB }")
        peak, ended = [0], threading.Event()

        def watch():
            while not ended.is_set():
                peak[0] = max(peak[0], shunt.metric("shunt_shadow_memory_bytes"))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            result = self.load(shunt.address, requests=100, connections=4, path="/bytes/900000", verify=True).wait()
        finally:
            ended.set()
            watcher.join()
        self.assertEqual((result["ok"], result["failed"]), (100, 0))
        counts = self.reasons(shunt)
        self.assertGreater(counts["memory"], 50)
        self.assertLessEqual(peak[0], (4 << 20) + 100 * 16384)
        self.assertGreater(peak[0], 1 << 20)
        new.tell("kill")
        counts = self.check_sum(shunt)
        self.assertEqual(counts["memory"] + counts["reset"], 100)

    def test_requests_kept_for_a_status_count_as_memory(self):
        legacy, new = self.script("read request; hang"), self.backend(name="new")
        shunt = self.begin(legacy, new, "statuses: [2xx], max_buffer: 16MiB",
                           top="access_log: off\nlimits: { shadow_memory: 2MiB }")
        clients = []
        for _ in range(4):
            client = self.client(shunt)
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + bytes(1000000))
            clients.append(client)
        wait_until(lambda: self.reasons(shunt).get("memory", 0) >= 2, lambda: f"memory: {self.reasons(shunt)}")
        self.assertLessEqual(shunt.metric("shunt_shadow_memory_bytes"), (2 << 20) + 4 * 16384)
        for client in clients:
            client.reset()
        wait_until(lambda: self.reasons(shunt).get("client_gone", 0) + self.reasons(shunt)["memory"] == 4,
                   lambda: f"the rest: {self.reasons(shunt)}")
        self.check_sum(shunt)
        self.assertEqual(shunt.metric("shunt_shadow_buffered_bytes"), 0)

    def test_a_comparison_that_is_behind_refuses_pairs(self):
        """Answers of a megabyte that differ everywhere take longer to compare than to send."""
        bodies = [json.dumps([str(i) * 4 for i in range(first, first + 60000)]).encode() for first in (100000, 200000)]
        reply = [http_reply(body, headers=["Content-Type: application/json"]) for body in bodies]
        legacy, new = self.backend(lambda r: reply[0]), self.backend(lambda r: reply[1], name="new")
        shunt = self.begin(legacy, new, "max_body: 4MiB, max_in_flight: 1000",
                           top="access_log: off\nlimits: { shadow_memory: 32MiB }")
        end = time.monotonic() + 60
        while self.reasons(shunt).get("queue", 0) == 0 and time.monotonic() < end:
            clients = [self.client(shunt) for _ in range(8)]
            for client in clients:
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            for client in clients:
                self.assertEqual(client.reply().status, 200)
                client.close()
        counts = self.check_sum(shunt)
        self.assertGreater(counts.get("queue", 0), 0, counts)
        self.assertGreater(counts["compared"], 0, counts)
        wait_until(lambda: shunt.metric("shunt_comparisons_total", route="all") == counts["compared"],
                   "what was not refused to be compared")

    def test_memory_is_given_back(self):
        legacy, new = self.fast(), self.fast("new")
        shunt = self.begin(legacy, new)
        self.load(shunt.address, requests=300, connections=8, path="/bytes/500000").wait()
        self.check_sum(shunt)
        wait_until(lambda: shunt.metric("shunt_shadow_memory_bytes") == 0, "all to be given back in the quiet")


class Resident(MirrorCase):
    """Resident memory, whatever the mirror does: within limits.shadow_memory and 8 MiB of what it is without mirroring. Only
    what is shipped tells: sanitizers keep what was freed."""

    BOUND = 8
    MANY = "max_in_flight: 100000, max_connections: 10000, breaker: off"

    def setUp(self):
        super().setUp()
        if SLOW_BUILD:
            self.skipTest("memory is measured in release/mirror")

    def peak_mib(self, new, shadow, more, timeouts, load):
        shunt = self.begin(self.fast(), new, more, shadow=shadow, timeout="60s", timeouts=timeouts,
                           top=f"access_log: off\nlimits: {{ shadow_memory: {self.BOUND}MiB }}")
        result = self.load(shunt.address, **load).wait()
        self.assertEqual((result["ok"], result["failed"]), (load["requests"], 0))
        with open(f"/proc/{shunt.process.pid}/status", encoding="ascii") as status:
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
        if shadow:
            self.assertGreater(shunt.metric("shunt_shadow_total", reason="sent"), 100)
            self.assertLess(shunt.metric("shunt_shadow_memory_bytes"), (self.BOUND << 20) + (1 << 17))
        shunt.stop()
        return peak / 1024

    def check(self, new, more=MANY, timeouts="", **load):
        load = {"requests": 20000, "connections": 32, "path": "/bytes/2000", **load}
        off = self.peak_mib(new, 0, more, timeouts, load)
        on = self.peak_mib(new, 100, more, timeouts, load)
        self.assertLess(on - off, self.BOUND + 8, f"{off:.1f} MiB without a mirror")

    def moody(self, mood):
        new = self.fast("new")
        new.tell(mood)
        return new

    def test_hung(self):
        self.check(self.moody("hang"))

    def test_slow(self):
        self.check(self.moody("delay 300"))

    def test_dead(self):
        self.check(self.moody("refuse"))

    def test_resetting(self):
        self.check(self.moody("reset"))

    def test_garbage(self):
        self.check(self.moody("garbage"))

    def test_hung_uploads(self):
        self.check(self.moody("hang"), requests=2000, connections=100, body=100000)

    def test_hung_with_large_answers(self):
        self.check(self.moody("hang"), self.MANY + ", max_body: 1MiB", requests=500, path="/bytes/900000")

    def test_small_bodies_that_wait_for_a_connection(self):
        """One after the other with an answer between them, each came in another piece of the worker's memory for reading."""
        kept, url = blackhole()
        self.check(url, self.MANY + ", max_body: 1KiB", timeouts="connect: 60s", requests=3000, connections=1, body=100,
                   path="/bytes/60000")
        for sock in kept:
            sock.close()


class Noise(MirrorCase):
    def test_noise_goes_to_the_primarys_own_backend(self):
        legacy, new = self.backend(), self.backend(name="new")
        shunt = self.begin(legacy, new, "compare: { noise: { percent: 100 } }")
        for i in range(5):
            self.assertEqual(request(shunt.address, f"/{i}").get("x-backend"), "legacy")
        request(shunt.address, "/write", method="POST", body=b"x")
        wait_until(lambda: self.reasons(shunt).get("noise_compared") == 5, lambda: f"5 of noise: {self.reasons(shunt)}")
        self.wait_reasons(shunt, {"compared": 6})
        self.assertEqual((self.reasons(shunt)["sent"], self.reasons(shunt)["noise_sent"]), (6, 5))
        for i in range(5):
            own = [r.all("x-shunt-shadow") for r in legacy.requests if r.target == f"/{i}"]
            self.assertEqual(sorted(own), [[], ["1"]])
        self.assertEqual([r.all("x-shunt-shadow") for r in legacy.requests if r.target == "/write"], [[]],
                         "only safe requests are sent twice")
        self.assertEqual(len(new.requests), 6)
        self.check_sum(shunt)
        # Five pairs of noise are not pairs of both sides: only the six count as comparisons of the migration.
        wait_until(lambda: shunt.metric("shunt_comparisons_total", route="all") == 6, "six comparisons")

    def test_noise_that_fails_is_no_ones_fault(self):
        def answer(r):
            return None if r.all("x-shunt-shadow") else http_reply(b"{}")

        legacy, new = self.backend(answer), self.backend(name="new")
        shunt = self.begin(legacy, new, "compare: { noise: { percent: 100 } }")
        for i in range(3):
            self.assertEqual(request(shunt.address, f"/{i}").status, 200)
        wait_until(lambda: self.reasons(shunt).get("noise_dropped") == 3, lambda: f"dropped: {self.reasons(shunt)}")
        self.wait_reasons(shunt, {"compared": 3})


class Hostile(MirrorCase):
    """Whatever a mirror sends, and for however long: the client has its answer, and reading ends."""

    HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n"

    def hostile(self, play, expected, more="max_in_flight: 1000", timeout="1s", check=lambda new: None):
        def serve(conn):
            conn.read_request()
            play(conn)

        new = self.peer(Peer(serve))
        shunt = self.begin(self.backend(), new, more, timeout=timeout)
        with shunt.client() as client:
            for i in range(3):
                reply = client.get(f"/{i}")
                self.assertEqual((reply.status, reply.get("x-backend")), (200, "legacy"))
        self.wait_reasons(shunt, {expected: 3})
        wait_until(lambda: new.open == 0, "the copies' connections to be closed")
        self.check_sum(shunt)
        check(new)
        return shunt

    def forever(self, piece, first=b"", pause=0):
        def play(conn):
            conn.send(first)
            while not conn.peer.stopping:
                conn.send(piece)
                if pause:
                    time.sleep(pause)

        return play

    def test_garbage(self):
        self.hostile(self.forever(os.urandom(5000).replace(b"\r", b"x").replace(b"\n", b"x")), "bad_response")

    def test_a_body_that_drips(self):
        self.hostile(self.forever(b"x", self.HEAD, pause=0.02), "timeout")

    def test_a_head_that_drips(self):
        self.hostile(self.forever(b"x", b"HTTP/1.1 200 OK\r\nX-A: ", pause=0.02), "timeout")

    def test_a_reset_amid_the_body(self):
        def play(conn):
            conn.send(self.HEAD + bytes(50000))
            conn.reset()

        self.hostile(play, "reset", timeout="5s")

    def test_a_flood_of_interim_answers(self):
        self.hostile(self.forever(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 20), "bad_response", timeout="30s")

    def test_a_body_of_a_gibibyte_is_not_read_to_its_end(self):
        sent = []

        def play(conn):
            total = 0
            try:
                conn.send(self.HEAD)
                while total < 1 << 30:
                    conn.send(bytes(65536))
                    total += 65536
            except PeerGone:
                pass
            sent.append(total)

        def check(_):
            wait_until(lambda: len(sent) == 3, "the mirror to notice")
            # 64 times max_body, at least 1 MiB, and what socket buffers hold.
            self.assertLess(max(sent), 24 << 20)

        shunt = self.hostile(play, "body_too_large", "max_body: 4KiB", timeout="60s", check=check)
        self.assertEqual(shunt.metric("shunt_shadow_breaker_open"), 0, "it answers, if at length")

    def test_an_endless_body_of_the_primary_ends_the_comparison(self):
        size = 3 << 20
        legacy = self.backend(lambda r: http_reply(bytes(size)))
        shunt = self.begin(legacy, self.backend(name="new"), "max_body: 4KiB")
        self.assertEqual(len(shunt.get().body), size)
        self.wait_reasons(shunt, {"body_too_large": 1})


class Sum(MirrorCase):
    """Mixed load and a mirror that changes its mood: every request ends in exactly one reason."""

    MOODS = ("ok", "reset", "garbage", "close", "hang", "status 500", "delay 50", "refuse", "accept", "kill", "ok")

    def mixed(self, more, percent, passthrough=False, **options):
        legacy, new = self.fast(), self.fast("new")
        shunt = self.begin(legacy, new, more, percent=percent, timeout="400ms", workers=2, **options)
        loads = [self.load(shunt.address, requests=1500, connections=8, path="/bytes/2000"),
                 self.load(shunt.address, requests=400, connections=4, path="/status/404"),
                 self.load(shunt.address, requests=150, connections=4, body=60000)]
        for i, mood in enumerate(self.MOODS):
            new.tell(mood)
            for client in [shunt.client() for _ in range(3)]:
                client.send(f"POST /left/{i} HTTP/1.1\r\nHost: a\r\nX-User: {i}\r\nContent-Length: 100\r\n\r\nabc")
                client.reset()
            request(shunt.address, "/copy", ["X-Shunt-Shadow: 1"])
            with shunt.client() as client:
                client.ask("GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            if passthrough and i == 4:
                shunt.passthrough(True)
                request(shunt.address, "/passthrough")
            if passthrough and i == 6:
                shunt.passthrough(False)
        for load in loads:
            load.wait()
        counts = self.check_sum(shunt)
        self.assertEqual(shunt.metric("shunt_shadow_in_flight"), 0)
        self.assertEqual(shunt.metric("shunt_shadow_buffered_bytes"), 0)
        return counts

    def test_all_requests_both_ways(self):
        counts = self.mixed("max_in_flight: 20, compare: { noise: { percent: 20 } }, "
                            "breaker: { consecutive_failures: 8, cooldown: 100ms }", 50)
        self.assertGreater(counts["compared"], 0)
        self.assertEqual(counts["upgrade"] + counts["copy"] > 10, True, counts)
        self.assertLessEqual(counts.get("noise_sent", 0), counts.get("noise_compared", 0) + counts.get("noise_dropped", 0), counts)

    def test_a_share_with_a_rate_and_statuses(self):
        counts = self.mixed("statuses: [2xx], max_rate: 300, max_buffer: 32KiB, sampling: request", 0, shadow=60)
        for reason in ("rate", "status", "body_too_large"):
            self.assertGreater(counts.get(reason, 0), 0, counts)

    def test_simulated(self):
        counts = self.mixed("read_only: simulate, max_rate: 300", 50)
        self.assertGreater(counts["simulated"], 0)
        self.assertNotIn("sent", counts)

    def test_passthrough_and_little_memory(self):
        counts = self.mixed("max_in_flight: 50, breaker: off", 0, passthrough=True,
                            top="access_log: off\nlimits: { shadow_memory: 1MiB }")
        self.assertGreater(counts["compared"], 0)


if __name__ == "__main__":
    main()
