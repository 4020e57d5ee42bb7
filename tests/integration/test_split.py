"""The split: shares within three standard deviations, users that stay, cohorts that only grow, overrides and tenants."""

import math
import os
import socket

from harness import Case, Client, config, load, main, request

ROUTE = "  - name: {name}\n    match: {{ path: /** }}\n    sticky: {sticky}\n    percent: {percent}\n    breaker: off\n{more}"


def route(percent, sticky="[ { header: X-User-Id } ]", name="all", more=""):
    return ROUTE.format(name=name, sticky=sticky, percent=percent,
                        more="".join(f"    {line}\n" for line in more.splitlines()))


class SplitCase(Case):
    def sides(self):
        self.legacy, self.new = self.fast("legacy"), self.fast("new")
        return self.legacy, self.new

    def file(self, percent, workers=2, state=None, **options):
        return config(self.legacy, self.new, route(percent, **options), workers=workers, state=state,
                      top="access_log: off")

    def users(self, shunt, count=20000, name="users", **options):
        """Asks once for every user; returns the letters of their sides."""
        path = os.path.join(self.directory, name)
        result = load(shunt.address, requests=count, users=count, connections=16, sides=path, **options)
        self.assertEqual((result["failed"], result["none"]), (0, 0), result)
        with open(path, encoding="ascii") as f:
            sides = f.read()
        self.assertEqual(set(sides) - {"l", "n"}, set())
        return sides

    def assert_share(self, sides, percent, sigmas=3.0):
        n, p = len(sides), percent / 100
        new = sides.count("n")
        self.assertLessEqual(abs(new - n * p), sigmas * math.sqrt(n * p * (1 - p)),
                             f"{new} of {n} on new at {percent} %")


class Share(SplitCase):
    def test_shares_hold_and_cohorts_only_grow(self):
        """20,000 users at 10, 25 and 50 percent: each share within three sigma, and nobody moves back as it grows."""
        shunt = self.shunt(config(*self.sides(), route(0), top="access_log: off"))
        before = self.users(shunt)
        self.assertEqual(before.count("n"), 0)
        for percent in (0.01, 1, 10, 25, 50, 75, 99.99, 100):
            shunt.verb("all", "set-percent", {"percent": percent})
            now = self.users(shunt)
            self.assert_share(now, percent)
            moved_back = sum(1 for was, is_ in zip(before, now) if was == "n" and is_ == "l")
            self.assertEqual(moved_back, 0, f"at {percent} %")
            before = now
        self.assertEqual(before.count("l"), 0)

    def test_shares_of_random_requests(self):
        self.sides()
        for percent in (10, 25, 50):
            shunt = self.shunt(self.file(percent, sticky="[ random ]"))
            result = load(shunt.address, requests=20000, connections=16)
            p = percent / 100
            self.assertEqual(result["failed"], 0)
            self.assertLessEqual(abs(result["new"] - 20000 * p), 4 * math.sqrt(20000 * p * (1 - p)), result)
            shunt.stop()

    def test_routes_have_different_cohorts(self):
        """Salted per route: the first users of one migration are not the first of every other."""
        self.sides()
        routes = route(50, name="one").replace("/**", "/one") + route(50, name="two").replace("/**", "/two")
        shunt = self.shunt(config(self.legacy, self.new, routes, top="access_log: off"))
        one = self.users(shunt, 5000, path="/one")
        two = self.users(shunt, 5000, path="/two")
        same = sum(1 for a, b in zip(one, two) if a == b)
        self.assertLess(abs(same - 2500), 5 * math.sqrt(5000 * 0.25), f"{same} of 5000 users on the same side of both")


class Sticky(SplitCase):
    def test_a_user_stays_across_requests_connections_and_workers(self):
        self.sides()
        shunt = self.shunt(self.file(50, workers=4))
        result = load(shunt.address, requests=10000, users=200, connections=32)
        again = load(shunt.address, requests=4000, users=200, connections=8, fresh=True)
        for one in (result, again):
            self.assertEqual((one["failed"], one["users_to_new"], one["users_to_legacy"]), (0, 0, 0), one)

    def test_a_user_stays_across_restarts_numbers_of_workers_and_reloads(self):
        self.sides()
        state = os.path.join(self.directory, "state")
        shunt = self.shunt(self.file(30, workers=1, state=state))
        first = self.users(shunt, 4000)
        shunt.restart(self.file(30, workers=3, state=state))
        self.assertEqual(self.users(shunt, 4000), first)
        shunt.reload(self.file(30, workers=3, state=state).replace("access_log: off",
                                                                   "access_log: off\ntimeouts: { idle: 59s }"))
        self.assertEqual(self.users(shunt, 4000), first)
        other = self.shunt(self.file(30, workers=2))
        self.assertEqual(self.users(other, 4000), first, "another replica decides alike")

    def test_first_key_present_decides(self):
        self.sides()
        shunt = self.shunt(self.file(50, sticky="[ { header: X-User-Id }, { cookie: session }, { query: user }, client_ip ]"))

        def side(path="/", *headers):
            return request(shunt.address, path, headers).get("x-backend")

        for key in range(40):
            by_header = side("/", f"X-User-Id: k{key}")
            self.assertEqual(side("/", f"x-user-id: k{key}", "Cookie: session=other"), by_header)
            by_cookie = side("/", f"Cookie: a=b; session=k{key}; c=d")
            self.assertEqual(side("/x?user=zz", f"Cookie: session=k{key}"), by_cookie)
            by_query = side(f"/?a=b&user=k{key}")
            self.assertEqual(side(f"/other?user=k{key}&z"), by_query)
        self.assertEqual({side("/") for _ in range(20)}, {side("/")})

    def test_client_address_is_a_key(self):
        self.sides()
        shunt = self.shunt(self.file(50, sticky="[ client_ip ]"))
        seen = {}
        for host in range(2, 80):
            for _ in range(2):
                sock = socket.socket()
                sock.bind((f"127.0.0.{host}", 0))
                sock.connect(shunt.address)
                with Client(sock) as client:
                    seen.setdefault(host, set()).add(client.get().get("x-backend"))
        self.assertTrue(all(len(sides) == 1 for sides in seen.values()), seen)
        self.assertEqual({side for sides in seen.values() for side in sides}, {"legacy", "new"})


class Overrides(SplitCase):
    RULES = ("overrides:\n"
             "  - { header: { X-Shunt-Backend: new }, backend: new }\n"
             "  - { header: { X-Tenant: [acme-sandbox, zoom2] }, backend: new }\n"
             "  - { cookie: { lane: legacy }, backend: legacy }\n"
             "  - { query: { force: new }, backend: new }")

    def test_overrides_by_header_cookie_query_and_tenant_list(self):
        self.sides()
        shunt = self.shunt(self.file(0, more=self.RULES))
        for path, headers, side in (("/", ["X-Shunt-Backend: new"], "new"), ("/", ["X-Shunt-Backend: New"], "legacy"),
                                    ("/", ["X-Tenant: zoom2"], "new"), ("/", ["x-tenant: acme-sandbox"], "new"),
                                    ("/", ["X-Tenant: acme"], "legacy"),
                                    ("/?force=new", [], "new"), ("/?force=old", [], "legacy"), ("/", [], "legacy")):
            self.assertEqual(request(shunt.address, path, headers).get("x-backend"), side, (path, headers))
        shunt.verb("all", "set-percent", {"percent": 100})
        self.assertEqual(request(shunt.address, "/", ["Cookie: lane=legacy"]).get("x-backend"), "legacy")
        self.assertEqual(request(shunt.address, "/", ["Cookie: lane=legacy", "X-Shunt-Backend: new"]).get("x-backend"),
                         "new", "first rule wins")
        self.assertEqual(request(shunt.address, "/").get("x-backend"), "new")

    def test_assignment_cookie_keeps_a_client_on_new(self):
        self.sides()
        shunt = self.shunt(self.file(50, sticky="[ random ]", more="assign: { cookie: shunt_side, max_age: 1h }"))
        cookie = None
        for _ in range(200):
            reply = request(shunt.address)
            given = [c for c in reply.all("set-cookie") if c.startswith("shunt_side=")]
            if reply.get("x-backend") == "new":
                self.assertEqual(len(given), 1, reply)
                self.assertIn("Max-Age=3600", given[0])
                cookie = given[0].split(";")[0]
                break
        self.assertIsNotNone(cookie)
        for _ in range(50):
            self.assertEqual(request(shunt.address, "/", [f"Cookie: {cookie}"]).get("x-backend"), "new")
        shunt.verb("all", "set-percent", {"percent": 0})
        self.assertEqual(request(shunt.address, "/", [f"Cookie: {cookie}"]).get("x-backend"), "legacy")

    def test_a_forged_assignment_cookie_is_harmless(self):
        self.sides()
        shunt = self.shunt(self.file(50, sticky="[ random ]", more="assign: { cookie: shunt_side, max_age: 1h }"))
        for value in ("", "x" * 3000, "new;legacy", "\xff\xfe", "=new=", '"new"'):
            self.assertEqual(request(shunt.address, "/", [f"Cookie: shunt_side={value}"]).status, 200)


class Routes(SplitCase):
    def test_first_match_wins_and_no_match_is_legacy(self):
        self.sides()
        other = self.fast("other")
        routes = """\
  - name: exact
    match: { path: /orders, methods: [GET] }
    percent: 100
  - name: items
    match: { path: /orders/*/items }
    percent: 100
  - name: tenant
    match: { path: /orders/**, headers: { X-Tenant: [a, b] } }
    new: other
    percent: 100
  - name: host
    match: { host: "*.api.example.com" }
    percent: 100
  - name: query
    match: { path: /search/**, query: { beta: "1" } }
    percent: 100
  - name: rest
    match: { path: /orders/** }
    percent: 0
"""
        text = config(self.legacy, self.new, routes).replace("routes:", f'  other: {{ url: "{other.url}" }}\nroutes:',
                                                             1)
        shunt = self.shunt(text)
        for method, path, headers, host, side in (
                ("GET", "/orders", [], "x", "new"), ("POST", "/orders", ["Content-Length: 0"], "x", "legacy"),
                ("GET", "/orders/", [], "x", "legacy"),
                ("GET", "/orders/7/items", [], "x", "new"), ("GET", "/orders/7/8/items", [], "x", "legacy"),
                ("GET", "/orders/7", ["X-Tenant: b"], "x", "other"),
                ("GET", "/orders/7", ["X-Tenant: c"], "x", "legacy"),
                ("GET", "/any", [], "eu.api.example.com:80", "new"),
                ("GET", "/any", [], "EU.v2.API.example.com", "new"), ("GET", "/any", [], "api.example.com", "legacy"),
                ("GET", "/search/a?x&beta=1", [], "x", "new"), ("GET", "/search?b%65ta=%31", [], "x", "new"),
                ("GET", "/search?beta=2", [], "x", "legacy")):
            reply = request(shunt.address, path, headers, method=method, host=host)
            self.assertEqual((reply.status, reply.get("x-backend")), (200, side), (method, path, headers, host))


if __name__ == "__main__":
    main()
