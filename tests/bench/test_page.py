"""docs/performance.md keeps the sections that were not measured again, and their targets."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tools/benchmark"))

import bench  # noqa: E402
from processes import Trouble  # noqa: E402

PAGE = f"before\n{bench.BEGIN}\n{bench.END}\nafter\n"


def targets(*rows):
    return f"Targets\n\n{bench.table(['', 'measured', 'wanted', 'reached'], rows)}\n"


def sections_of(page):
    return bench.sections_of(page.split(bench.BEGIN)[1].split(bench.END)[0])


class Page(unittest.TestCase):
    def setUp(self):
        self.whole = bench.merged_page(PAGE, "all, Monday", {
            "small": "Small\n\n| old |\n", "pairs": "Pairs\n\n| old |\n",
            "targets": targets(["small GET / haproxy", 0.9, "at most 0.78", "no"],
                               ["equal 1 KiB pairs/s", 60000, "at least 50,000", "yes"])}, is_whole=True)

    def test_what_is_written_is_found_again(self):
        self.assertEqual(set(sections_of(self.whole)), {"", "small", "pairs", "targets"})
        self.assertTrue(self.whole.startswith("before\n") and self.whole.endswith("\nafter\n"))

    def test_one_scenario_leaves_the_others(self):
        page = bench.merged_page(self.whole, "pairs, Tuesday", {
            "pairs": "Pairs\n\n| new |\n", "targets": targets(["equal 1 KiB pairs/s", 70000, "at least 50,000", "yes"])},
            is_whole=False)
        sections = sections_of(page)
        self.assertIn("| old |", sections["small"])
        self.assertIn("| new |", sections["pairs"])
        self.assertNotIn("| old |", sections["pairs"])
        self.assertIn("pairs, Tuesday", sections["pairs"])
        self.assertNotIn("Tuesday", sections["small"])
        self.assertIn("all, Monday", sections[""])
        rows = [line for line in sections["targets"].splitlines() if "GET" in line or "pairs/s" in line]
        self.assertEqual(["0.90" in rows[0], "no" in rows[0], "70,000" in rows[1], len(rows)], [True, True, True, 2])

    def test_a_whole_run_leaves_nothing(self):
        page = bench.merged_page(self.whole, "all, Friday", {"small": "Small\n\n| new |\n", "targets": ""}, is_whole=True)
        self.assertNotIn("old", page)
        self.assertNotIn("Monday", page)
        self.assertNotIn("Targets", page)

    def test_a_page_without_markers_is_refused(self):
        with self.assertRaises(Trouble):
            bench.merged_page("nothing here", "", {"targets": ""}, is_whole=True)


unittest.main()
