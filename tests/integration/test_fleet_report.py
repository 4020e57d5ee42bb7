"""The comparison of a whole fleet: every replica's pairs in one report, in every form, and what is said when there is none."""

import json

from fleet import FleetCase
from harness import config, http_reply, main, request, wait_until

SHADOW = ["stages: [ { name: shadow, percent: 0, shadow: 100, hold: 24h } ]", "promotion: manual",
          "gates: { min_requests: 100000, mismatch_rate: 1% }", "breaker: off",
          'shadow: { methods: ["*"], timeout: 10s, samples: { keep: 8 } }']


def answer(price):
    body = json.dumps({"id": 1, "price": price, **({"more": 1} if price == "2" else {})}).encode()
    return lambda request_: http_reply(body, headers=["Content-Type: application/json"])


def compared(report):
    return sum(route["totals"]["compared"] for route in report["routes"])


class FleetReport(FleetCase):
    def start(self):
        self.begin(3, SHADOW, legacy=self.backend(answer("1")), new=self.backend(answer("2"), name="new"))

    def ask_all(self, counts):
        for shunt, count in zip(self.replicas, counts):
            for number in range(count):
                self.assertEqual(request(shunt.address, f"/orders/{number}").status, 200)
        for shunt, count in zip(self.replicas, counts):
            wait_until(lambda: compared(shunt.api("GET", "/api/v1/report")) >= count, "the pairs to be compared")

    @staticmethod
    def fleet_report(shunt, **query):
        more = "".join(f"&{key}={value}" for key, value in query.items())
        return shunt.api("GET", f"/api/v1/report?fleet=1{more}")

    def test_the_pairs_of_all_are_in_one_report(self):
        self.start()
        self.ask_all((5, 7, 3))
        for shunt in self.replicas:
            wait_until(lambda: compared(self.fleet_report(shunt)) == 15, "15 pairs in the fleet's report")
        report = self.fleet_report(self.replicas[1], route="orders", samples=2)
        self.assertEqual(report["fleet"], {"replicas": 3, "beyond": 0})
        endpoint = report["routes"][0]["endpoints"][0]
        self.assertEqual((endpoint["endpoint"], endpoint["totals"]["mismatched"]), ("GET /orders/{number}", 15))
        price = next(field for field in endpoint["fields"] if field["field"] == "$.price")
        self.assertEqual((price["differing"], price["state"], price["example"]["path"]), (15, "real", "$.price"))
        more = next(field for field in endpoint["fields"] if field["field"] == "$.more")
        self.assertEqual(set(more["example"]), {"at_ms", "path", "request_id", "shadow"}, "legacy has no such value")
        self.assertEqual(report["routes"][0]["latency"]["paired"]["count"], 15)
        self.assertTrue(1 <= len(report["routes"][0]["samples"]) <= 2)
        self.assertEqual(compared(self.replicas[2].api("GET", "/api/v1/report")), 3, "its own is its own")
        self.restart_of_one_counts_nothing_twice()

    def restart_of_one_counts_nothing_twice(self):
        self.replicas[0].stop()
        self.replicas[0] = self.shunt(self.file(0, SHADOW))
        wait_until(lambda: compared(self.fleet_report(self.replicas[0])) == 15, "the report after a restart")
        self.ask_all((7, 0, 0))
        wait_until(lambda: compared(self.fleet_report(self.replicas[1])) == 22, "what came after the restart")

    def test_every_form_says_that_it_is_a_fleet_s(self):
        self.start()
        self.ask_all((2, 2, 2))
        shunt = self.replicas[0]
        wait_until(lambda: compared(self.fleet_report(shunt)) == 6, "6 pairs")
        for form in ("text", "markdown", "junit", "curl", "rules"):
            self.assertIn("3 replicas of a fleet together", self.body(shunt, f"/api/v1/report?fleet=1&format={form}"), form)
        for path in ("/api/v1/report?fleet=1&format=html", "/report?fleet=1"):
            page = self.body(shunt, path)
            self.assertIn('"replicas":3', page.replace(" ", ""))
        self.assertIn("3 replicas of a fleet together", shunt.ctl("report", "--fleet"))
        self.assertNotIn("fleet together", shunt.ctl("report"))

    def body(self, shunt, path):
        reply = shunt.admin_reply("GET", path)
        self.assertEqual(reply.status, 200)
        return reply.body.decode()

    def test_without_redis_it_says_so(self):
        self.start()
        self.ask_all((1, 0, 0))
        shunt = self.replicas[0]
        self.redis.stop()
        wait_until(lambda: shunt.admin_reply("GET", "/api/v1/report?fleet=1").status == 503, "a refusal")
        self.assertEqual(compared(shunt.api("GET", "/api/v1/report?fleet=0")), 1)

    def test_a_redis_that_hangs_costs_the_question_and_no_more(self):
        self.start()
        shunt = self.replicas[0]
        self.redis.pause()
        self.assertEqual(shunt.admin_reply("GET", "/api/v1/report?fleet=1").status, 503)
        self.redis.resume()
        wait_until(lambda: shunt.admin_reply("GET", "/api/v1/report?fleet=1").status == 200, "Redis again")

    def test_garbage_in_redis_is_left_out(self):
        self.start()
        self.ask_all((2, 1, 0))
        shunt = self.replicas[2]
        wait_until(lambda: compared(self.fleet_report(shunt)) == 3, "3 pairs")
        connection = self.redis.connect()
        for name, value in (("=", "1"), ("=AAAAAAAA r l nobody", "1"), ("AAAAAAAA.matched", "9" * 15), ("x", "text")):
            connection.ask("HSET", "shunt:{test}:report", name, value)
        connection.ask("XADD", "shunt:{test}:samples", "*", "text", "{")
        self.assertEqual(compared(self.fleet_report(shunt)), 3)
        for query in ("fleet=2", "fleet=yes"):
            self.assertEqual(shunt.admin_reply("GET", f"/api/v1/report?{query}").status, 400)


class Alone(FleetCase):
    def test_without_a_fleet_there_is_no_report_of_one(self):
        shunt = self.shunt(config(self.backend(answer("1")), self.backend(answer("1"), name="new")))
        reply = shunt.admin_reply("GET", "/api/v1/report?fleet=1")
        self.assertEqual((reply.status, reply.json()["error"]["code"]), (404, "no_fleet"))


if __name__ == "__main__":
    main()
