"""Noise: two real backends, a third of whose fields differ by themselves. The report shows the field that truly differs, and
no other."""

from harness import Case, config, main, wait_until

REQUESTS, BATCH = 50000, 250
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

        def all_are_judged():
            return (shunt.metric("shunt_shadow_copies_in_flight") == 0 and
                    shunt.metric("shunt_comparisons_total", route="orders") >=
                    shunt.metric("shunt_shadow_total", route="orders", reason="compared"))

        # No more at a time than the queue to the compare thread holds: on a busy machine pairs would be dropped.
        for _ in range(REQUESTS // BATCH):
            result = self.load(shunt.address, requests=BATCH, connections=8, path="/order/4711").wait()
            self.assertEqual(result["failed"], 0, result)
            wait_until(all_are_judged, "all pairs to be judged", timeout=60)
        reasons = shunt.metrics().by("shunt_shadow_total", "reason", route="orders")
        self.assertGreater(reasons["compared"], REQUESTS * 0.99, reasons)
        (row,) = shunt.report("orders")["routes"]
        (endpoint,) = row["endpoints"]
        self.assertEqual(endpoint["endpoint"], "GET /order/{number}")
        self.assertGreater(endpoint["noise"]["compared"], REQUESTS * 0.17)
        return row, {field["field"]: field for field in endpoint["fields"]}

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
