"""What shunt is for, over HTTP/2: split, mirror, compare, breaker, fallback, drain and passthrough, asked by curl, nghttp and h2load."""

import json
import os
import re
import signal
import subprocess
import threading
import time

from certificates import authority, client_context
from either import TRANSLATIONS, backend, client
from harness import Case, config, main, wait_until
from http2 import Answer, H2Backend, H2Client
from http2_frames import INTERNAL_ERROR

ROUTE = """\
  - name: all
    match: {{ path: /** }}
    sticky: {sticky}
    percent: {percent}
    breaker: {breaker}
    shadow: {{ percent: {shadow}, methods: ["*"], max_in_flight: 1000 }}
{more}"""


def route(percent=0, shadow=0, breaker="off", sticky="[ random ]", more=""):
    return ROUTE.format(percent=percent, shadow=shadow, breaker=breaker, sticky=sticky, more=more)


def run(*command, timeout=60):
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class H2Load:
    """h2load: so many requests, counted by what became of them."""

    def __init__(self, url, requests=2000, connections=4, streams=16, *more):
        self.out = run("h2load", "-n", str(requests), "-c", str(connections), "-m", str(streams), *more, url, timeout=120)
        found = re.search(r"requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout",
                          self.out)
        assert found, self.out
        self.total, self.done, self.succeeded, self.failed, self.errored, self.timeout = map(int, found.groups())
        self.protocol = re.search(r"Application protocol: (\S+)", self.out).group(1)


class EndlessLoad:
    """h2load in rounds until finish(); each round's connections are new."""

    def __init__(self, url, *more):
        self.rounds, self.failures, self.over = [], [], threading.Event()

        def go():
            while not self.over.is_set():
                try:
                    one = H2Load(url, 400, 2, 8, *more)
                    self.rounds.append(one)
                    if one.succeeded != one.total:
                        self.failures.append(one.out)
                except (AssertionError, subprocess.TimeoutExpired) as error:
                    self.failures.append(str(error))

        self.thread = threading.Thread(target=go, daemon=True)
        self.thread.start()

    def finish(self):
        self.over.set()
        self.thread.join(120)
        return self

    stop = finish


class FeatureCase(Case):
    TLS = False

    def begin(self, routes, back=2, handlers=(None, None), **options):
        self.legacy = self.peer(backend(back, handlers[0], "legacy"))
        self.new = self.peer(backend(back, handlers[1], "new"))
        self.text = lambda routes: config(self.legacy, self.new, routes, listener=self.listener(), **{"top": "access_log: off", **options})
        return self.shunt(self.text(routes))

    def listener(self):
        return [f"tls: {{ {authority().issue().keys} }}"] if self.TLS else []

    def url(self, shunt, path="/"):
        return f"http{'s' if self.TLS else ''}://127.0.0.1:{shunt.address[1]}{path}"

    def h2(self, shunt):
        one = H2Client(shunt.address, client_context(alpn=["h2"]) if self.TLS else None).settled()
        self.clients.append(one)
        return one


class Tools(FeatureCase):
    def curl(self, shunt, *options):
        return run("curl", "-sS", "--cacert", authority().certificate, "-w", "\n%{http_version} %{http_code} %{size_download}",
                   *options).split("\n")

    def test_curl_in_all_its_ways(self):
        for is_tls in (False, True):
            self.TLS = is_tls
            for back in (1, 2):
                shunt = self.begin(route(0), back)
                ways = [("--http1.1", "1.1"), ("--http2", "2" if is_tls else "1.1")]
                ways += [] if is_tls else [("--http2-prior-knowledge", "2")]
                for option, version in ways:
                    with self.subTest(option, tls=is_tls, back=back):
                        self.assertEqual(self.curl(shunt, option, self.url(shunt)), ["legacy", f"{version} 200 6"])
                        self.assertEqual(self.curl(shunt, option, "-d", "x" * 100000, self.url(shunt)), ["legacy", f"{version} 200 6"])
                        if option != "--http2-prior-knowledge":  # with which curl 7.88 uses no connection twice
                            out = self.curl(shunt, option, self.url(shunt), self.url(shunt))
                            self.assertEqual(out, ["legacy", f"{version} 200 6legacy", f"{version} 200 6"])

    def test_nghttp(self):
        for is_tls in (False, True):
            self.TLS = is_tls
            shunt = self.begin(route(0))
            body = os.path.join(self.directory, "body")
            with open(body, "wb") as f:
                f.write(b"z" * 300000)
            self.assertEqual(run("nghttp", "-n", "-s", self.url(shunt, "/a"), self.url(shunt, "/b")).count(" 200 "), 2)
            self.assertEqual(run("nghttp", "-d", body, "--trailer=x-sum: 1", self.url(shunt, "/upload")), "legacy")
            seen = self.legacy.requests[-1]
            self.assertEqual((len(seen.body), seen.trailers), (300000, [(b"x-sum", b"1")]))
            self.assertIn("103", run("nghttp", "-v", self.url(self.hinting())))

    def hinting(self):
        legacy = self.peer(H2Backend(lambda request_: Answer(b"x", interim=[(103, [("link", "</a>")])])))
        return self.shunt(config(legacy, listener=self.listener()))

    def test_h2load_fails_nothing(self):
        for is_tls in (False, True):
            for back in (1, 2):
                with self.subTest(tls=is_tls, back=back):
                    self.TLS = is_tls
                    shunt = self.begin(route(50), back)
                    one = H2Load(self.url(shunt))
                    self.assertEqual((one.succeeded, one.failed), (2000, 0), one.out)
                    self.assertEqual(one.protocol, "h2" if is_tls else "h2c")
                    wait_until(lambda: shunt.metric("shunt_requests_total", code="2xx") == 2000, "2000 requests counted")
                    self.assertEqual(len(self.legacy.requests) + len(self.new.requests), 2000)
                    self.assertTrue(800 < len(self.new.requests) < 1200, len(self.new.requests))


class Split(FeatureCase):
    def test_a_user_is_on_the_same_side_by_every_protocol(self):
        sides = {}
        shunt = self.begin(route(30, sticky="[ { cookie: session } ]"))
        for version in (1, 2):
            with client(shunt.address, version) as one:
                sides[version] = [one.get(headers=[f"Cookie: theme=dark; session=user-{i}"]).get("x-backend") for i in range(100)]
        with self.h2(shunt) as one:  # the same in crumbs
            sides["crumbs"] = [one.get(headers=[("cookie", "theme=dark"), ("cookie", f"session=user-{i}")]).get("x-backend")
                               for i in range(100)]
        self.assertEqual(sides[1], sides[2])
        self.assertEqual(sides[1], sides["crumbs"])
        self.assertEqual(set(sides[1]), {"legacy", "new"})

    def test_streams_of_one_connection_go_to_both_sides(self):
        shunt = self.begin(route(50, sticky="[ { header: X-User } ]"), workers=1)
        with self.h2(shunt) as one:
            for _ in range(2):
                streams = [one.open(more=[("x-user", f"u{i}")]) for i in range(60)]
                found = [one.reply(stream).get("x-backend") for stream in streams]
                self.assertEqual(set(found), {"legacy", "new"})
        self.assertEqual((len(self.legacy.conns), len(self.new.conns)), (1, 1))

    def test_overrides_and_hosts(self):
        more = "    overrides: [ { header: { X-Shunt-Backend: new }, backend: new } ]\n"
        shunt = self.begin(route(0, more=more).replace("path: /**", "host: orders.test"))
        with self.h2(shunt) as one:
            self.assertEqual(one.get(headers=["X-Shunt-Backend: new"], authority="orders.test").get("x-backend"), "new")
            self.assertEqual(one.get(headers=["X-Shunt-Backend: new"], authority="other.test").get("x-backend"), "legacy")
            self.assertEqual(one.get(authority="ORDERS.TEST:8080", headers=["X-Shunt-Backend: new"]).get("x-backend"), "new")


class Mirror(FeatureCase):
    def test_copies_are_faithful_and_compared(self):
        body = lambda number: json.dumps({"number": number, "by": "x"}).encode()
        for back in (1, 2):
            with self.subTest(back=back):
                answer = lambda request_: Answer(body(1), headers=[("content-type", "application/json")])
                shunt = self.begin(route(0, 100), back, (answer, answer))
                with self.h2(shunt) as one:
                    one.get("/one?q=1", ["X-A: 1", ("cookie", "a=1"), ("cookie", "b=2")], "POST", b"hello", [("x-t", "1")])
                    copy = self.new.wait_requests(1, complete=True)[0]
                    original = self.legacy.requests[0]
                    self.assertEqual((copy.method, copy.target, copy.body), (original.method, original.target, b"hello"))
                    self.assertEqual(copy.get("x-shunt-shadow"), "1")
                    self.assertEqual("; ".join(copy.all("cookie")), "a=1; b=2")
                    self.assertEqual(copy.get("x-request-id"), original.get("x-request-id"))
                    wait_until(lambda: shunt.metric("shunt_comparisons_total", outcome="matched") == 1, "a match")
                    self.new.handler = lambda request_: Answer(body(2), headers=[("content-type", "application/json")])
                    one.get("/two")
                    wait_until(lambda: shunt.metric("shunt_comparisons_total", outcome="mismatched") == 1, "a difference")

    def test_a_copy_over_another_protocol(self):
        """Legacy speaks HTTP/1.1, new HTTP/2: what is the same is the same."""
        legacy, new = self.peer(backend(1, lambda request_: Answer(b"same"))), self.peer(backend(2, lambda request_: Answer(b"same")))
        shunt = self.shunt(config(legacy, new, route(0, 100)))
        for version in (1, 2):
            with client(shunt.address, version) as one:
                self.assertEqual(one.get("/", (), "PUT", b"x" * 50000).body, b"same")
        wait_until(lambda: shunt.metric("shunt_comparisons_total", outcome="matched") == 2, "two matches")
        self.assertEqual([one.body for one in new.requests], [b"x" * 50000] * 2)

    def test_a_mirror_that_hangs_or_resets_costs_the_client_nothing(self):
        for name, handler in (("hangs", lambda request_: None), ("resets", lambda request_: Answer(iter([b"x"]), code=INTERNAL_ERROR))):
            with self.subTest(name):
                shunt = self.begin(route(0, 100).replace("max_in_flight: 1000", "max_in_flight: 1000, timeout: 300ms"), 2, (None, handler))
                one = H2Load(self.url(shunt), 300, 2, 8)
                self.assertEqual(one.succeeded, 300, one.out)
                wait_until(lambda: shunt.metric("shunt_shadow_copies_in_flight") == 0, "no copy under way")
                page = shunt.metrics()
                final = {key: value for key, value in page.by("shunt_shadow_total", "reason").items() if key != "sent" and "noise" not in key}
                self.assertEqual(sum(final.values()), 300, final)


class Protected(FeatureCase):
    BREAKER = "{ window: 10s, min_requests: 20, error_rate: 30%, error_rate_increase: off, p95_ratio: off, consecutive_errors: 10, cooldown: 60s }"

    def test_the_breaker_opens(self):
        bad = {"500": lambda request_: Answer(b"", 500), "reset": lambda request_: Answer(status=None, code=INTERNAL_ERROR)}
        for name, handler in bad.items():
            with self.subTest(name):
                shunt = self.begin(route(50, breaker=self.BREAKER), 2, (None, handler))
                with self.h2(shunt) as one:
                    for _ in range(60):
                        one.get()
                    wait_until(lambda: shunt.metric("shunt_breaker_state", route="all", state="open") == 1, "the breaker to open")
                    before = len(self.new.requests)
                    self.assertEqual({one.get().get("x-backend") for _ in range(20)}, {"legacy"})
                    self.assertEqual(len(self.new.requests), before)

    def test_fallback(self):
        more = "    fallback: { on: [connect, timeout, 5xx, reset], methods: [GET, POST] }\n"
        for name, handler in (("500", lambda request_: Answer(b"", 500)), ("reset", lambda request_: Answer(status=None, code=INTERNAL_ERROR)),
                              ("hangs", lambda request_: None)):
            with self.subTest(name):
                shunt = self.begin(route(100, more=more), 2, (None, handler), timeouts="response: 300ms")
                with self.h2(shunt) as one:
                    self.assertEqual(one.get().get("x-backend"), "legacy")
                    self.assertEqual(one.get(method="POST", body=b"again").get("x-backend"), "legacy")
                self.assertEqual(self.legacy.requests[-1].body, b"again")
                self.assertEqual(shunt.metric("shunt_fallbacks_total"), 2)

    def test_fallback_to_a_backend_of_the_other_protocol(self):
        legacy, new = self.peer(backend(1)), self.peer(backend(2, lambda request_: Answer(b"", 503), "new"))
        shunt = self.shunt(config(legacy, new, route(100, more="    fallback: { on: [5xx], methods: [GET, POST] }\n")))
        for version in (1, 2):
            with client(shunt.address, version) as one:
                self.assertEqual(one.get(method="POST", body=b"x").get("x-backend"), "legacy")


class ZeroDowntime(FeatureCase):
    TLS = True

    def test_reloads_and_flips_fail_nothing(self):
        shunt = self.begin(route(50))
        load = self.peer(EndlessLoad(self.url(shunt)))
        turn, ends = 0, time.monotonic() + 5
        while time.monotonic() < ends or len(load.rounds) < 3 and not load.failures:
            self.assertEqual(shunt.reload(self.text(route(50 + turn % 2)))["event"], "reloaded")
            shunt.passthrough(turn % 2 == 0)
            seen = len(self.legacy.requests)
            wait_until(lambda: len(self.legacy.requests) > seen + 20, "requests between two flips")
            turn += 1
        load.finish()
        self.assertEqual(load.failures, [])

    def test_passthrough_moves_requests_of_open_connections(self):
        shunt = self.begin(route(100))
        with self.h2(shunt) as one:
            for is_on, side in ((False, "new"), (True, "legacy"), (False, "new")):
                shunt.passthrough(is_on)
                self.assertEqual(one.get().get("x-backend"), side)

    def test_new_connections_in_clear(self):
        """Whoever speaks what, legacy answers: raw where both speak the same, else translated."""
        self.TLS = False
        for front, back in TRANSLATIONS:
            with self.subTest(f"{front} to {back}"):
                shunt = self.begin(route(100), back)
                shunt.passthrough(True)
                with client(shunt.address, front) as one:
                    for _ in range(3):
                        self.assertEqual(one.get().get("x-backend"), "legacy")

    def test_a_drain_under_load_breaks_nothing(self):
        shunt = self.begin(route(50))
        with self.h2(shunt) as one:
            one.get()
            streams = [one.open() for _ in range(50)]
            shunt.signal(signal.SIGTERM)
            replies = [one.reply(stream) for stream in streams if stream.number <= self.last_of(one)]
            self.assertTrue(all(reply.status == 200 and not reply.truncated for reply in replies))
            self.assertEqual(one.to_end(20), "closed")
        self.assertEqual(shunt.wait_exit(20), 0)

    @staticmethod
    def last_of(one):
        """The last stream that is served, as the second GOAWAY says; before it all of them."""
        one.until(lambda: len(one.goaways) >= 2 or all(stream.over for stream in one.streams.values()), "the second GOAWAY")
        return one.goaways[-1][0] if one.goaways else 0x7FFFFFFF


if __name__ == "__main__":
    main()
