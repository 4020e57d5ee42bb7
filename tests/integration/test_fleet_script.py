"""The script that Redis runs for a fleet (router/store/fleet.lua), on a real redis-server: each operation, what it refuses,
and that it answers as the model does with which fleets are simulated (tests/router/fleet_redis.h)."""

import json
import os
import subprocess
import time

from harness import BUILD, Case, main, wait_until
from redis_peer import Redis, RedisError

HERE = os.path.dirname(os.path.abspath(__file__))
GROUP = ("state", "lease", "alive", "replicas", "open", "seq", "log", "report", "samples")
SIMULATION = os.path.join(BUILD, "tests/router/test_router_fleet_simulation")
# What Redis' own clock has part in, and what the model has not.
UNLIKE = ("now", "lease_ms", "alive", "open", "dead", "term", "leader")


def script():
    with open(os.path.join(HERE, "../../router/store/fleet.lua"), encoding="ascii") as f:
        return f.read()


class Group:
    """The keys of a group in one Redis."""

    def __init__(self, redis, name="g"):
        self.prefix = f"shunt:{{{name}}}:"
        self.connection = redis.connect()
        self.sha = self.connection.ask("SCRIPT", "LOAD", script())

    def keys(self, routes=()):
        return [self.prefix + key for key in GROUP] + [f"{self.prefix}{kind}:{route}" for route in routes for kind in "emw"]

    def text(self, operation, document, routes=()):
        keys = self.keys(routes)
        text = document if isinstance(document, str) else json.dumps(document)
        return self.connection.ask("EVALSHA", self.sha, len(keys), *keys, operation, text)

    def ask(self, operation, document, routes=()):
        return json.loads(self.text(operation, document, routes))

    def beat(self, replica="a", routes=(), **more):
        document = {"replica": replica, "boot": f"{replica}-1", "format": 1, "epoch": 0, "mark": "", "lead": True, "term": 0,
                    "lease_ms": 60000, "view": None, "open": None, "routes": list(routes), "counts": None, **more}
        return self.ask("beat", document, routes)

    def change(self, kind, *items, replica="a", term=0, log=("{}",), **more):
        return self.ask("change", {"replica": replica, "format": 1, "kind": kind, "term": term, "log": list(log), "routes": [],
                                   "items": list(items), **more})

    def merge(self, *items, replica="a", epoch=0, term=0, **more):
        return self.ask("merge", {"replica": replica, "format": 1, "epoch": epoch, "term": term, "routes": [],
                                  "items": list(items), **more})

    def everything(self):
        """All keys and what is in them, but for what time alone changes."""
        return {key: self.connection.ask("DUMP", key) for key in sorted(self.connection.ask("KEYS", self.prefix + "*"))}

    def save(self):
        """The state as it is now; put back by load()."""
        return self.connection.ask("HGETALL", self.prefix + "state"), self.connection.ask("HGETALL", self.prefix + "seq")

    def load(self, saved):
        for key in self.connection.ask("KEYS", self.prefix + "*"):
            self.connection.ask("DEL", key)
        for key, flat in zip(("state", "seq"), saved or ()):
            if flat:
                self.connection.ask("HSET", self.prefix + key, *flat)


def counts(seq, entry=1, add=None, **more):
    return {"seq": seq, "routes": [{"entry": entry, "add": add or {"n.j": 2}, "bits": [], **more}]}


class ScriptCase(Case):
    def setUp(self):
        super().setUp()
        self.redis = Redis()
        self.addCleanup(self.redis.stop)
        self.group = Group(self.redis)
        self.addCleanup(self.group.connection.close)

    def item(self, name="route:r"):
        """As it is now."""
        rows = {row[0]: row for row in self.group.beat("looker", lead=False, mark="other").get("items", [])}
        return rows.get(name, [name, 0, 0, 0, "", ""])

    def put(self, share, kind="person", name="route:r", text=None, **more):
        """A change on what is there."""
        _, version, _, _, _, past = self.item(name)
        return self.group.change(kind, [name, version, share, 5, text or json.dumps({"share": share}), past], **more)


class Beats(ScriptCase):
    def test_an_empty_group_says_so_and_the_first_that_asks_leads(self):
        answer = self.group.beat()
        self.assertTrue(answer["empty"])
        self.assertEqual((answer["epoch"], answer["term"], answer["leader"], answer["alive"]), (0, 1, "a", 1))
        self.assertEqual(answer["dead"], [], "an empty list is a list")
        self.assertNotIn("items", answer)
        follower = self.group.beat("b")
        self.assertEqual((follower["term"], follower["leader"]), (1, "a"))
        self.assertNotIn("dead", follower)
        self.assertTrue(0 < follower["lease_ms"] <= 60000)

    def test_a_lease_is_renewed_in_its_term_only(self):
        self.assertEqual(self.group.beat()["term"], 1)
        self.assertEqual(self.group.beat(term=1)["term"], 1)
        self.assertEqual(self.group.beat(term=0)["term"], 2, "it was started anew: another term")
        self.assertEqual(self.group.beat("b", term=2)["leader"], "a", "the term alone is not the lease")

    def test_a_lease_that_ran_out_is_another_s_in_a_new_term(self):
        self.group.beat(lease_ms=100)
        wait_until(lambda: self.group.beat("b", lead=False)["leader"] == "", "the lease to run out")
        self.assertEqual(self.group.beat("b")["term"], 2)
        self.assertEqual(self.group.beat(term=1)["leader"], "b")

    def test_who_does_not_want_to_lead_gives_the_lease_back(self):
        self.group.beat()
        self.assertEqual(self.group.beat(lead=False, term=1)["leader"], "")
        self.assertEqual(self.group.beat("b")["leader"], "b")
        self.assertEqual(self.group.beat(lead=False, term=1)["leader"], "b", "one's own only")

    def test_items_come_when_the_epoch_or_the_mark_differs(self):
        self.put(10)
        answer = self.group.beat()
        self.assertEqual([row[:5] for row in answer["items"]], [["route:r", 1, 10, 5, '{"share": 10}']])
        known = {"epoch": answer["epoch"], "mark": answer["mark"]}
        self.assertNotIn("items", self.group.beat(**known))
        self.assertIn("items", self.group.beat(**{**known, "mark": "another history"}))

    def test_open_breakers_and_the_dead_are_the_leader_s_to_know(self):
        self.group.beat("b", lead=False, open={"r": "errors", "s": "slow"}, view="{}")
        self.group.beat("c", lead=False, open={"r": "x" * 1000})
        answer = self.group.beat()
        self.assertEqual(answer["open"], {"r": ["b", "c"], "s": ["b"]})
        self.group.beat("b", lead=False, open={})
        self.assertEqual(self.group.beat(term=1)["open"], {"r": ["c"]})
        self.assertEqual(self.group.ask("look", {"routes": []})["open"]["r"], {"c": "x" * 300})
        old = answer["now"] - 3000
        self.group.connection.ask("ZADD", self.group.prefix + "alive", old, "c")
        answer = self.group.beat(term=1)
        self.assertEqual((answer["dead"], answer["open"], answer["alive"]), (["c"], {}, 2))

    def test_a_replica_that_is_gone_is_forgotten(self):
        now = self.group.beat("b", open={"r": "why"}, view="{}", routes=["r"], counts=counts(1))["now"]
        self.group.connection.ask("ZADD", self.group.prefix + "alive", now - 61000, "b")
        self.assertEqual(self.group.beat(term=1)["alive"], 1)
        for key in ("replicas", "open", "seq"):
            self.assertEqual(self.group.connection.ask("HEXISTS", self.group.prefix + key, "b"), 0)
        self.assertFalse(self.group.beat("b")["view"], "it is asked to tell its view again")
        self.assertTrue(self.group.beat("b", view="{}")["view"])

    def test_a_server_whose_clock_is_behind_forgets_nobody(self):
        """A failover: counts that were taken in there, and not acknowledged, are told again here."""
        now = self.group.beat("b", routes=["r"], counts=counts(1))["now"]
        self.group.connection.ask("ZADD", self.group.prefix + "alive", now + 3600000, "b")
        self.group.beat()
        score = int(self.group.connection.ask("ZSCORE", self.group.prefix + "alive", "b"))
        self.assertTrue(now <= score <= self.group.beat()["now"], "it counts as silent from now on")
        self.group.beat("b", routes=["r"], counts=counts(1))
        self.assertEqual(self.group.ask("read", {"routes": ["r"]}, ["r"])["routes"][0]["counts"], {"n.j": 2})

    def test_a_later_format_is_the_group_s_and_older_ones_are_refused(self):
        self.put(10)
        self.assertEqual(self.group.beat("new", format=2)["format"], 2)
        before = self.group.everything()
        self.assertEqual(self.group.beat(), {"error": "format", "format": 2})
        self.assertEqual(self.put_as_old()["why"], "format")
        self.assertEqual(self.group.merge(), {"error": "format", "format": 2})
        self.assertEqual(self.group.everything(), before)

    def put_as_old(self):
        return self.group.change("safety", ["route:r", 0, 0, 0, "{}", ""])


class Changes(ScriptCase):
    def test_a_change_needs_the_version_and_the_past_it_was_decided_on(self):
        first = self.put(10)
        self.assertEqual((first["ok"], first["why"], first["epoch"], first["after"]), (True, None, 1, ""))
        row = first["items"][0]
        self.assertEqual((row[1], row[5]), (1, first["mark"][:8]))
        for version, past in ((0, ""), (1, ""), (2, row[5]), (1, "00000000")):
            answer = self.group.change("person", ["route:r", version, 20, 5, "{}", past])
            self.assertEqual((answer["ok"], answer["why"], answer["items"]), (False, "conflict", [row]))
        answer = self.group.change("person", ["route:r", 1, 20, 5, "{}", row[5]])
        self.assertEqual((answer["items"][0][1], answer["after"]), (2, first["mark"]))
        self.assertEqual(answer["items"][0][5], answer["mark"][:8] + "," + row[5])

    def test_all_items_or_none(self):
        self.put(10)
        before = self.group.everything()
        answer = self.group.change("person", ["route:s", 0, 5, 5, "{}", ""], ["route:r", 0, 20, 5, "{}", ""])
        self.assertEqual(answer["why"], "conflict")
        self.assertEqual(self.group.everything(), before)
        row = self.item()
        answer = self.group.change("person", ["route:s", 0, 5, 5, "{}", ""], ["route:r", 1, 20, 5, "{}", row[5]])
        self.assertEqual([item[1:3] for item in answer["items"]], [[1, 5], [2, 20]])
        self.assertEqual(answer["epoch"], 2)

    def test_a_leader_is_held_to_the_lease_that_runs(self):
        self.put(10)
        self.assertEqual(self.put(20, "leader", term=1)["why"], "not_leader")
        self.group.beat()
        self.assertTrue(self.put(20, "leader", term=1)["ok"])
        for replica, term in (("a", 0), ("a", 2), ("b", 1)):
            self.assertEqual(self.put(30, "leader", term=term, replica=replica)["why"], "not_leader")
        self.group.connection.ask("DEL", self.group.prefix + "lease")  # it was stopped for a while
        self.assertEqual(self.put(30, "leader", term=1)["why"], "not_leader")
        self.assertEqual(self.group.beat("b")["term"], 2)
        self.assertEqual(self.put(30, "leader", term=1)["why"], "not_leader", "it wakes up, and another leads")
        self.assertTrue(self.put(30, "leader", term=2, replica="b")["ok"])
        self.assertEqual(self.item()[2], 30)

    def test_safety_expects_nothing_and_never_raises(self):
        self.put(10)
        lower = self.group.change("safety", ["route:r", 7, 4, 5, '{"by":1}', "00000000"])
        self.assertEqual((lower["ok"], lower["items"][0][1:3]), (True, [2, 4]))
        before = self.group.everything()
        for share, rank in ((4, 5), (4, 6), (5, 0)):
            answer = self.group.change("safety", ["route:r", 2, share, rank, '{"by":0}', ""])
            self.assertEqual((answer["ok"], answer["items"]), (True, lower["items"]))
        self.assertEqual(self.group.everything(), before, "told twice, it is done once")
        self.assertEqual(self.group.change("safety", ["route:r", 0, 4, 4, "{}", ""])["items"][0][1:4], [3, 4, 4])
        self.assertEqual(self.group.change("safety", ["passthrough", 0, 1, 0, "{}", ""])["items"][0][1:3], [1, 1])

    def test_changes_are_told_and_logged(self):
        listener = self.redis.connect()
        self.addCleanup(listener.close)
        listener.ask("SUBSCRIBE", self.group.prefix + "news")
        first = self.put(10, log=['{"what":"one"}', '{"what":"two"}'])
        second = self.put(20, log=['{"what":"three"}'])
        told = [json.loads(listener.read()[2]) for _ in range(2)]
        self.assertEqual([news["after"] for news in told], ["", first["mark"]])
        self.assertEqual([(news["epoch"], news["mark"], news["items"]) for news in told],
                         [(answer["epoch"], answer["mark"], answer["items"]) for answer in (first, second)])
        look = self.group.ask("look", {"routes": []})
        self.assertEqual(look["log"], ['{"what":"one"}', '{"what":"two"}', '{"what":"three"}'])
        self.assertEqual((look["epoch"], look["replicas"]["looker"]["view"]), (2, "{}"))
        self.put(10, log=[json.dumps({"n": n}) for n in range(60)])
        self.assertEqual(len(self.group.ask("look", {"routes": []})["log"]), 50)

    def test_a_user_that_may_not_publish_changes_all_the_same(self):
        self.group.connection.ask("ACL", "SETUSER", "mute", "on", ">secret", "~shunt:*", "resetchannels", "+@all")
        self.group.connection.ask("AUTH", "mute", "secret")
        self.assertTrue(self.put(10)["ok"])
        self.assertEqual(self.item()[2], 10)

    def test_no_more_items_than_a_group_may_have(self):
        rows = [[f"route:{n}", 0, 0, 0, "{}", ""] for n in range(1025)]
        self.assertTrue(self.group.change("file", *rows)["ok"])
        self.assertEqual(self.group.change("file", ["route:more", 0, 0, 0, "{}", ""])["why"], "full")
        self.assertTrue(self.group.change("safety", ["route:5", 0, 0, 0, "{}", ""])["ok"])
        self.assertEqual(len(self.group.beat()["items"]), 1025)
        self.assertEqual(self.group.merge(["route:more", 1, 0, 0, "{}", ""])["changed"], 0)


class Merges(ScriptCase):
    def test_an_empty_redis_learns_everything(self):
        self.put(10), self.put(20)
        known, epoch = self.item(), self.group.beat()["epoch"]
        self.group.load(None)
        answer = self.group.merge(known, epoch=epoch, term=9)
        self.assertEqual((answer["changed"], answer["epoch"], answer["items"]), (1, epoch + 1, [known]))
        self.assertEqual(self.group.beat("b")["term"], 10)
        again = self.group.merge(known, epoch=epoch, term=9)
        self.assertEqual((again["changed"], again["epoch"], again["mark"]), (0, answer["epoch"], answer["mark"]))

    def test_an_older_snapshot_takes_what_came_of_it_and_keeps_what_is_newer(self):
        self.put(10)
        old, first = self.group.save(), self.item()
        self.put(20), self.put(30)
        newest = self.item()
        self.group.load(old)
        self.assertEqual(self.group.merge(newest, epoch=3)["items"], [newest])
        self.assertEqual(self.group.merge(first, epoch=1)["items"], [newest], "who lags changes nothing")

    def test_of_two_histories_the_safer_stands_and_everybody_takes_it(self):
        self.put(1, name="passthrough")
        old = self.group.save()
        self.put(1, name="passthrough"), self.put(1, name="passthrough", text='{"off":"again"}')
        off = self.item("passthrough")
        self.group.load(old)
        self.put(0, name="passthrough", text='{"on":true}')
        on = self.item("passthrough")
        self.assertGreater(off[1], on[1], "by its version alone, off would stand")
        merged = self.group.merge(off, epoch=3)["items"][0]
        self.assertEqual((merged[2], merged[4]), (0, '{"on":true}'))
        self.assertGreater(merged[1], off[1])
        for known in (on, off):
            self.assertIn(known[5][:8], merged[5].split(","))
            self.assertEqual(self.group.merge(known, epoch=9)["items"], [merged], "neither comes back")
        listed = merged[5].split(",")
        self.assertEqual(len(listed), len(set(listed)))

    def test_versions_decide_when_the_pasts_say_nothing(self):
        self.group.merge(["route:r", 40, 10, 5, "{}", "aaaaaaaa"])
        self.assertEqual(self.group.merge(["route:r", 20, 0, 5, "{}", "bbbbbbbb"])["changed"], 0, "far behind")
        self.assertEqual(self.group.merge(["route:r", 60, 90, 5, "{}", "cccccccc"])["items"][0][2], 90, "far ahead")
        self.assertEqual(self.group.merge(["route:r", 61, 80, 5, "{}", ""])["items"][0][2], 80)

    def test_a_past_has_an_end(self):
        for n in range(40):
            self.put(n % 3)
        past = self.item()[5].split(",")
        self.assertEqual((len(past), len(set(past))), (32, 32))


class Counts(ScriptCase):
    def read(self, *routes):
        return self.group.ask("read", {"routes": list(routes)}, routes)["routes"]

    def test_counts_are_taken_in_once(self):
        first = self.group.beat(routes=["r"], counts=counts(1))
        again = self.group.beat(routes=["r"], counts=counts(1, add={"n.j": 50}))
        self.assertEqual((first["seq"], again["seq"], again["stamp"]), (1, 1, first["stamp"]))
        self.assertEqual(self.group.beat(routes=["r"], counts=counts(2))["stamp"], first["stamp"] + 1)
        self.assertEqual(self.read("r")[0]["counts"], {"n.j": 4})

    def test_a_new_boot_counts_anew_and_the_one_before_does_not_come_back(self):
        self.group.beat(routes=["r"], counts=counts(5))
        self.assertEqual(self.group.beat(boot="a-2")["seq"], 0)
        self.group.beat(boot="a-2", routes=["r"], counts=counts(1))
        self.assertEqual(self.group.beat(boot="a-1", routes=["r"], counts=counts(5))["seq"], 5, "it came late, and twice")
        self.assertEqual(self.group.beat(boot="a-1", routes=["r"], counts=counts(6))["seq"], 6, "it came late, and once")
        self.assertEqual(self.group.beat(boot="a-2", routes=["r"], counts=counts(1))["seq"], 1)
        self.assertEqual(self.read("r")[0]["counts"], {"n.j": 6})

    def test_evidence_begins_anew_with_the_entry(self):
        self.group.beat(routes=["r"], counts=counts(1, 5, {"n.j": 7, "p.m": 2}, bits=[0, 9]))
        self.group.beat("b", routes=["r"], counts=counts(1, 4, {"n.j": 100}, bits=[3]))
        self.group.beat("c", routes=["r"], counts=counts(1, 5, {"p.m": -1}, bits=[1]))
        row = self.read("r")[0]
        self.assertEqual((row["entry"], row["counts"], row["bits"]), (5, {"n.j": 7, "p.m": 1}, "c040"))
        self.group.beat(routes=["r"], counts=counts(2, 6, {"n.j": 1}))
        row = self.read("r")[0]
        self.assertEqual((row["entry"], row["counts"], row["bits"]), (6, {"n.j": 1}, ""))

    def test_a_window_has_redis_clock_and_an_end(self):
        window = {"bucket_ms": 100, "keep": 3, "add": {"n.j": 1}}
        seen, end = set(), time.monotonic() + 20
        for seq in range(1, 10000):
            now = self.group.beat(routes=["r"], counts=counts(seq, window=window))["now"]
            fields = self.read("r")[0]["window"]
            buckets = {int(field.split(" ")[0]) for field in fields}
            self.assertTrue(all(field.endswith(" n.j") for field in fields))
            self.assertIn(now // 100, buckets)
            self.assertTrue(min(buckets) > now // 100 - 3 and max(buckets) == now // 100)
            seen |= buckets
            if len(seen) > 5 or time.monotonic() > end:
                break
        self.assertGreater(len(seen), 5)
        key = self.group.prefix + "w:r"
        self.assertTrue(0 < self.group.connection.ask("PTTL", key) <= 600)
        wait_until(lambda: self.read("r")[0]["window"] == {}, "two windows to pass")

    def test_report_and_samples(self):
        more = {"report": {"pairs": 3}, "samples": [f"sample {n}" for n in range(150)]}
        self.group.beat(counts={"seq": 1, **more})
        self.group.beat("b", counts={"seq": 1, **more})
        report = self.group.ask("report", {"routes": []})
        self.assertEqual((report["fields"], report["alive"], len(report["samples"])), ({"pairs": 6}, 2, 200))
        self.assertEqual(report["samples"][-1], "sample 149")
        for key in ("report", "samples"):
            self.assertGreater(self.group.connection.ask("TTL", self.group.prefix + key), 29 * 86400)

    def test_of_a_report_s_times_the_least_and_the_most_stand(self):
        for seq, (since, last, pairs) in enumerate(((500, 600, 3), (400, 700, -1), (450, 650, 1)), 1):
            self.group.beat(counts={"seq": seq, "report": {"<x.since": since, ">x.last": last, "x.pairs": pairs}})
        self.assertEqual(self.group.ask("report", {"routes": []})["fields"], {"<x.since": 400, ">x.last": 700, "x.pairs": 3})

    def test_a_report_has_an_end_and_says_so(self):
        for seq in range(1, 6):
            self.group.beat(counts={"seq": seq, "report": {f"f{seq}.{n}": 1 for n in range(5000)}})
        fields = self.group.ask("report", {"routes": []})["fields"]
        self.assertEqual((len(fields), fields["beyond"]), (20001, 5000))
        self.group.beat(counts={"seq": 6, "report": {"f1.0": 5, ">late": 7}})
        fields = self.group.ask("report", {"routes": []})["fields"]
        self.assertEqual((fields["f1.0"], fields["beyond"]), (6, 5001), "what is there goes on")

    def test_a_report_is_no_more_than_a_replica_takes(self):
        for seq in range(1, 5):
            self.group.beat(counts={"seq": seq, "report": {f"{seq}.{n:05}".ljust(300, '"'): 1 for n in range(5000)},
                                    "samples": [f"{seq}.{n:03}".ljust(16384, '"') for n in range(50)]})
        text = self.group.text("report", {"routes": []})
        self.assertLess(len(text), 8 << 20)
        report = json.loads(text)
        self.assertGreater(len(report["fields"]), 5000)
        self.assertEqual(report["samples"][-1][:5], "4.049")
        self.assertGreater(len(report["samples"]), 50)

    def test_a_replica_is_told_what_of_its_counts_had_been_taken_in(self):
        self.assertEqual(self.group.beat(counts={"seq": 1})["had"], 0)
        self.assertEqual(self.group.beat(counts={"seq": 2})["had"], 1)
        self.assertEqual(self.group.beat(counts={"seq": 2})["had"], 2)
        self.assertEqual(self.group.beat()["had"], 2)
        self.group.connection.ask("FLUSHALL")
        answer = self.group.beat(counts={"seq": 3})
        self.assertEqual((answer["had"], answer["seq"]), (0, 3), "it has lost the first two")

    def test_large_sums_are_exact_and_others_garbage_is_left_out(self):
        self.group.beat(routes=["r"], counts=counts(1, add={"n.h.us": 2**53 - 1}))
        self.group.beat("b", routes=["r"], counts=counts(1, add={"n.h.us": 2**53 - 1}))
        self.group.connection.ask("HSET", self.group.prefix + "e:r", "garbage", "text")
        self.assertEqual(self.read("r")[0]["counts"], {"n.h.us": 2**54 - 2})

    def test_what_others_have_put_there_stops_no_beat_and_counts_nothing_twice(self):
        window = {"bucket_ms": 60000, "keep": 3, "add": {"n.j": 1}}
        both = {"seq": 2, "routes": [{"entry": 1, "add": {"n.j": 2}, "bits": [1], "window": window} for _ in range(2)],
                "report": {"pairs": 3, ">last": 5}, "samples": ["sample"]}
        ask, prefix = self.group.connection.ask, self.group.prefix
        for spoil in (lambda: [ask("SET", prefix + key, "text") for key in ("e:s", "w:s", "report", "samples")] + [ask("RPUSH", prefix + "m:s", "x")],
                      lambda: [ask("HSET", prefix + key, *row) for key, row in (
                          ("e:s", ("entry", "1", "n.j", "text")), ("report", ("pairs", str(2**63 - 1), ">last", "text")))]):
            ask("FLUSHALL")
            self.group.sha = ask("SCRIPT", "LOAD", script())
            self.group.beat(routes=["r"], counts=counts(1, add={"n.j": 7}))
            spoil()
            for _ in range(2):
                self.assertEqual(self.group.beat(routes=["r", "s"], counts=both)["seq"], 2)
            rows = self.read("r", "s")
            self.assertEqual([row["counts"] for row in rows], [{"n.j": 9}, {"n.j": 2}])
            self.assertEqual([list(row["window"].values()) for row in rows], [[1], [1]])
            report = self.group.ask("report", {"routes": []})
            self.assertEqual((report["fields"], report["samples"]), ({"pairs": 3, ">last": 5}, ["sample"]))

    def test_hashes_have_an_end(self):
        fields = [{f"f{part}.{n}": 1 for n in range(5000)} for part in range(2)]
        for seq, add in enumerate(fields, 1):
            self.group.beat(routes=["r"], counts=counts(seq, add=add))
        held = self.read("r")[0]["counts"]
        self.assertTrue(8000 <= len(held) <= 8192)
        self.group.beat(routes=["r"], counts=counts(3, add={"f0.0": 5}))
        self.assertEqual(self.read("r")[0]["counts"]["f0.0"], 6, "what is there goes on")


class Refusals(ScriptCase):
    def refused(self, operation, document, routes=()):
        before = self.group.everything()
        answer = self.group.ask(operation, document, routes)
        self.assertEqual(answer.get("error"), "malformed", (operation, document, answer))
        self.assertEqual(self.group.everything(), before, (operation, document))

    def test_documents_that_are_wrong_change_nothing(self):
        self.put(10)
        beat = {"replica": "x", "boot": "x-1", "format": 1, "epoch": 0, "mark": "", "lead": True, "term": 0, "lease_ms": 1800,
                "view": "{}", "open": {"r": "why"}, "routes": ["r"],
                "counts": counts(1, window={"bucket_ms": 100, "keep": 3, "add": {"n": 1}})}
        change = {"replica": "x", "format": 1, "kind": "safety", "term": 0, "log": ["{}"], "routes": [],
                  "items": [["route:r", 0, 0, 0, "{}", ""]]}
        for document in ("", "{", "[]", "7", "null", '"text"', "[" * 2000):
            for operation in ("beat", "change", "merge", "read"):
                self.refused(operation, document, ["r"] if operation == "beat" else ())
        self.refused("nothing", beat)
        for name, bad in (("replica", ("", 7, None, "a\nb", "x" * 201)), ("boot", ("", "a b", None)), ("format", (0, 1.5, "1", None)),
                          ("epoch", (-1, 1e300, "1", None)), ("mark", (None, 1)), ("lead", (None, 1, "true")),
                          ("term", (-1, None)), ("lease_ms", (0, 99, 60001, 1e300)), ("view", (7, {}, "x" * 4097)),
                          ("open", (7, "text", {"r": 7}, {"r": None}, [1])),
                          ("counts", (7, "text", {}, {"seq": 0}, {"seq": 1, "routes": [7]}, counts(1, -1), counts(1, add={"n": "1"}),
                                      counts(1, add={"n": 0.5}), counts(1, add={"": 1}), counts(1, bits=[-1]), counts(1, bits=[131072]),
                                      counts(1, bits="x"), counts(1, window=7), counts(1, window={"bucket_ms": 0, "keep": 1, "add": {}}),
                                      counts(1, window={"bucket_ms": 1, "keep": 1}), {"seq": 1},
                                      {"seq": 1, "routes": [{"entry": 1}] * 2}, {**counts(1), "samples": [7]},
                                      {**counts(1), "samples": ["x" * 16385]}, {**counts(1), "report": {"f": {}}}))):
            for value in bad:
                self.refused("beat", {**beat, name: value}, ["r"])
        for name, bad in (("kind", ("", "other", None, 7)), ("term", (-1, None)), ("log", (None, "text", [7], ["x" * 6145], ["{}"] * 65)),
                          ("items", (None, 7, "text", [7], [[]], [["route:r"]], [["", 0, 0, 0, "{}", ""]],
                                     [["route:r", -1, 0, 0, "{}", ""]], [["route:r", 0, 10001, 0, "{}", ""]],
                                     [["route:r", 0, 0, 1001, "{}", ""]], [["route:r", 0, 0, 0.5, "{}", ""]],
                                     [["route:r", 0, 0, 0, None, ""]], [["route:r", 0, 0, 0, "x" * 6145, ""]],
                                     [["route:r", 0, 0, 0, "{}", "past"]], [["route:r", 0, 0, 0, "{}", None]],
                                     [["route:r", 2**53, 0, 0, "{}", ""]], change["items"] * 2,
                                     [[f"route:{n}", 0, 0, 0, "{}", ""] for n in range(1026)]))):
            for value in bad:
                self.refused("change", {**change, name: value})
                if name == "items":
                    self.refused("merge", {"replica": "x", "format": 1, "epoch": 0, "term": 0, "items": value})
        self.refused("read", {"routes": ["r"] * 17}, ["r"] * 17)
        self.refused("read", {"routes": ["r"]})
        self.refused("read", {"routes": 7})

    def test_an_error_of_redis_is_told_as_one(self):
        self.put(10)
        self.group.connection.ask("SET", self.group.prefix + "open", "of another program")
        with self.assertRaisesRegex(RedisError, "WRONGTYPE"):
            self.group.ask("look", {"routes": []})
        self.redis.configure("maxmemory", "1")
        with self.assertRaisesRegex(RedisError, "OOM"):
            self.put(20)
        self.redis.configure("maxmemory", "0")
        self.assertEqual(self.item()[2], 10)

    def test_what_is_no_item_in_the_state_is_as_if_it_were_not_there(self):
        self.group.connection.ask("HSET", self.group.prefix + "state", "item:route:r", "garbage", "epoch", "many", "other", "thing")
        answer = self.group.beat(mark="other")
        self.assertEqual((answer["epoch"], answer["items"]), (0, []))
        self.assertTrue(self.group.change("person", ["route:r", 0, 7, 0, "{}", ""])["ok"])
        self.assertEqual(self.item()[1:3], [1, 7])


class Clusters(Case):
    def test_all_keys_are_in_one_slot(self):
        redis = Redis(options=["cluster-enabled yes"])
        self.addCleanup(redis.stop)
        redis.ask("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_until(lambda: "cluster_state:ok" in redis.ask("CLUSTER", "INFO"), "the cluster to be whole")
        group = Group(redis, "orders")
        self.addCleanup(group.connection.close)
        keys = group.keys(["r", "s"])
        self.assertEqual(len({redis.ask("CLUSTER", "KEYSLOT", key) for key in keys}), 1)
        self.assertTrue(group.change("person", ["route:r", 0, 7, 0, "{}", ""])["ok"])
        report = {**counts(1, window={"bucket_ms": 100, "keep": 3, "add": {"n": 1}}), "report": {"f": 1}, "samples": ["s"]}
        report["routes"] *= 2
        answer = group.beat(routes=["r", "s"], counts=report, open={"r": "why"}, view="{}", mark="other")
        self.assertEqual((answer["seq"], answer["items"][0][2]), (1, 7))
        self.assertEqual(group.merge(["route:s", 1, 0, 0, "{}", ""])["changed"], 1)
        self.assertEqual(len(group.ask("read", {"routes": ["r", "s"]}, ["r", "s"])["routes"]), 2)
        self.assertEqual(group.ask("look", {"routes": []})["epoch"], 2)
        self.assertEqual(group.ask("report", {"routes": []})["fields"], {"f": 1})
        touched = set(redis.ask("KEYS", "*"))
        self.assertLessEqual(touched, set(keys), "only keys that were declared")


class Model(ScriptCase):
    """The Redis of the simulation answers as this one does."""

    def setUp(self):
        super().setUp()
        self.transcript = os.path.join(self.directory, "transcript")
        environment = {**os.environ, "SHUNT_FLEET_SEEDS": "1-12", "SHUNT_FLEET_TRANSCRIPT": self.transcript}
        subprocess.run([SIMULATION], env=environment, check=True, timeout=100, capture_output=True)

    def lease(self, answer):
        """Redis' clock does not run as the simulated one: its lease is set to what the model's was."""
        key = self.group.prefix + "lease"
        if answer["leader"]:
            self.group.connection.ask("SET", key, f"{answer['term']} {answer['leader']}")
        else:
            self.group.connection.ask("DEL", key)

    @staticmethod
    def alike(answer):
        return {name: sorted(value) if name == "items" else value for name, value in answer.items() if name not in UNLIKE}

    def test_as_simulated(self):
        asked, saved = 0, {}
        with open(self.transcript, encoding="ascii") as f:
            lines = iter(f.read().splitlines())
        for line in lines:
            operation, rest = line.split(" ", 1)
            if operation == "seed":
                self.group.load(None)
                saved = {}
            elif operation == "snapshot":
                saved[rest] = self.group.save()
            elif operation == "restart":
                self.group.load(saved.get(rest))
            else:
                expected = json.loads(next(lines))
                self.play(operation, rest, expected)
                asked += 1
        self.assertGreater(asked, 3000)

    def play(self, operation, text, expected):
        document = json.loads(text)
        if operation == "change" and document["kind"] == "leader":
            holds = expected.get("why") != "not_leader"
            self.group.connection.ask("SET", self.group.prefix + "lease", f"{document['term']} {document['replica'] if holds else '-'}")
        routes = document["routes"] if operation == "beat" else []
        answer = self.group.ask(operation, text, routes)
        self.assertEqual(self.alike(answer), self.alike(expected), (operation, text))
        if operation == "beat":
            self.lease(expected)
            self.group.connection.ask("HSET", self.group.prefix + "state", "term", expected["term"])


if __name__ == "__main__":
    main()
