"""`workers: auto` follows the CPU quota of the control group, not the machine's cores."""

import os

from control_group import Group
from harness import Case, config, main


class Quota(Case):
    def workers(self, group):
        shunt = self.shunt(config(self.backend, workers="auto"), wrapper=group.wrapper)
        self.assertEqual(shunt.find_events("started")[0]["workers"], shunt.metric("shunt_workers"))
        workers = shunt.metric("shunt_workers")
        shunt.stop()
        return workers

    def setUp(self):
        super().setUp()
        self.backend = self.fast()
        self.cores = len(os.sched_getaffinity(0))

    def test_workers_follow_the_quota(self):
        group = Group(self, "cpu")
        self.assertEqual(self.workers(group), self.cores, "without a quota")
        group.quota(1)
        self.assertEqual(self.workers(group), 1)
        group.quota(0.3)
        self.assertEqual(self.workers(group), 1, "at least one")
        group.quota(1.5)
        self.assertEqual(self.workers(group), min(2, self.cores), "a part of a core is one more")
        group.quota(64)
        self.assertEqual(self.workers(group), self.cores, "no more than there are")

    def test_the_quota_of_the_pod_counts_too(self):
        group = Group(self, "cpu")
        group.quota(1)
        self.assertEqual(self.workers(group.below(self)), 1)


if __name__ == "__main__":
    main()
