"""Noise: two real backends, a third of whose fields differ by themselves. The report shows the field that truly differs, and
no other."""

from harness import Case, config, main, wait_until

REQUESTS = 50000
ROUTE = """\
  - name: orders
    match: { path: /order/** }
    percent: 0
    breaker: off
    shadow:
      percent: 100
      timeout: 10s
      max_in_flight: 4096
      compare: { noise: { percent: 20% } }
"""
VOLATILE = {"$.served_by", "$.trace", "$.age", "$.cached", "$.stock", "$.offer"}


class Noise(Case):
    def fields(self, wrong, seed):
        """The report's one endpoint and its fields after all requests have been compared."""
        legacy, new = self.fast(seed=seed), self.fast("new", seed=seed + 1, wrong=wrong)
        shunt = self.shunt(config(legacy, new, ROUTE, top="access_log: off"))
        result = self.load(shunt.address, requests=REQUESTS, connections=16, rate=5000, path="/order/4711").wait()
        self.assertEqual(result["failed"], 0, result)
        wait_until(lambda: shunt.metric("shunt_shadow_copies_in_flight") == 0, "no copy under way")
        compared = shunt.metric("shunt_shadow_total", route="orders", reason="compared")
        self.assertGreater(compared, REQUESTS * 0.99, "pairs were dropped")

        def row():
            rows = shunt.report("orders")["routes"]
            return rows[0] if rows else {"totals": {"compared": 0}}

        wait_until(lambda: row()["totals"]["compared"] == compared, "all pairs to be judged", timeout=60)
        (endpoint,) = row()["endpoints"]
        self.assertEqual(endpoint["endpoint"], "GET /order/{number}")
        self.assertGreater(endpoint["noise"]["compared"], REQUESTS * 0.17)
        return row(), {field["field"]: field for field in endpoint["fields"]}

    def test_the_one_field_that_truly_differs_is_shown(self):
        row, fields = self.fields(wrong=0.001, seed=11)
        self.assertEqual({name for name, field in fields.items() if field["shown"]}, {"$.total"})
        self.assertEqual(set(fields), VOLATILE | {"$.total"})
        self.assertEqual(fields["$.total"]["state"], "real")
        self.assertGreater(fields["$.total"]["differing"], 15)
        self.assertEqual(fields["$.total"]["noise_differing"], 0)
        for name in VOLATILE:
            self.assertEqual(fields[name]["state"], "noise", fields[name])
        # Every answer differs by itself; what is held against new is the one field.
        self.assertEqual(row["verdict"]["differing"], fields["$.total"]["differing"])
        self.assertEqual(row["totals"]["noise_only"], row["totals"]["mismatched"] - fields["$.total"]["differing"])
        suggested = {entry["path"] for entry in row["suggestions"] if entry["rule"] == "ignore"}
        self.assertEqual(suggested, VOLATILE)

    def test_where_nothing_truly_differs_nothing_is_shown(self):
        row, fields = self.fields(wrong=0, seed=23)
        self.assertEqual([name for name, field in fields.items() if field["shown"]], [])
        self.assertEqual(set(fields), VOLATILE)
        self.assertEqual(row["verdict"]["differing"], 0)


if __name__ == "__main__":
    main()
