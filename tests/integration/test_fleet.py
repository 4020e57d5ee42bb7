"""One plan for a fleet: replicas agree on share and passthrough, one leads, and what people order holds everywhere."""

import json
import time

from fleet import QUICK, FleetCase
from harness import http_reply, main, stays, wait_until


class Fleet(FleetCase):
    def test_one_leads_and_all_see_all(self):
        self.begin(3)
        seen = wait_until(lambda: (lambda f: f if len(f["replicas"]) == 3 else None)(self.fleet(self.replicas[0])), "three replicas")
        self.assertEqual({one["name"] for one in seen["replicas"]}, {"replica-0", "replica-1", "replica-2"})
        self.assertEqual(len({one["file"] for one in seen["replicas"]}), 1)
        self.assertEqual(seen["group"], "test")
        self.assertIn("replica-1", self.replicas[1].ctl("fleet"))

    def test_a_persons_order_holds_everywhere(self):
        a, b, c = self.begin(3)
        self.assertEqual(self.percents(), [10, 10, 10])
        a.ctl("set-percent", "orders", "25")
        self.wait_percent(25)
        b.ctl("resume", "orders")
        c.ctl("promote", "orders", "--force", "--reason", "we are brave")
        wait_until(lambda: {s.route("orders")["stage"] for s in self.replicas} == {"b"}, "stage b everywhere")
        a.ctl("rollback", "orders")
        self.wait_percent(0)
        for shunt in self.replicas:
            what = [line["what"] for line in shunt.audit() if line.get("route") == "orders"]
            self.assertEqual([w for w in what if w in ("set_percent", "promote", "rollback")], ["set_percent", "promote", "rollback"])

    def test_passthrough_holds_everywhere(self):
        a, b, _ = self.begin(3)
        a.ctl("passthrough", "on", "--reason", "fire")
        self.wait_passthrough(True)
        b.ctl("passthrough", "off")
        self.wait_passthrough(False)
        a.ctl("passthrough", "on", "--local")
        self.assertTrue(a.status()["passthrough"])
        stays(lambda: not b.status()["passthrough"], 1.2, "passthrough off at others")

    def test_one_verdict_on_everybodys_evidence(self):
        """No replica has the requests its gate asks for; all together have."""
        self.begin(3, QUICK)
        self.flow(rate=60)
        wait_until(lambda: {s.route("orders")["stage"] for s in self.replicas} == {"b"}, "stage b everywhere", 60)
        self.wait_percent(50)
        promoted = [[line for line in s.audit() if line["what"] == "promote"] for s in self.replicas]
        self.assertEqual({len(lines) for lines in promoted}, {1})
        self.assertEqual({lines[0]["who"] for lines in promoted}, {"plan"})

    def test_a_leader_that_dies_is_replaced(self):
        self.begin(3)
        leader = self.wait_leader()
        term = self.fleet(leader)["term"]
        leader.kill()
        self.replicas.remove(leader)
        self.shunts.remove(leader)
        wait_until(self.leader, "another leader", 10)
        self.assertGreater(self.fleet(self.leader())["term"], term)
        self.replicas[0].ctl("set-percent", "orders", "33")
        self.wait_percent(33)

    def test_a_restart_comes_back_into_the_fleet(self):
        a, b, _ = self.begin(3)
        a.ctl("set-percent", "orders", "60")
        self.wait_percent(60)
        b.restart()
        self.assertEqual(b.route("orders")["percent"], 60)
        self.wait_agree(15)

    def test_a_newcomer_takes_the_fleets_share(self):
        a, _ = self.begin(2)
        a.ctl("set-percent", "orders", "77")
        self.wait_percent(77)
        a.ctl("passthrough", "on")
        self.wait_passthrough(True)
        newcomer = self.another()
        self.assertEqual(newcomer.route("orders")["percent"], 77)  # before its first request
        self.assertTrue(newcomer.status()["passthrough"])

    def test_a_quorum_trips_the_fleet_and_an_outlier_does_not(self):
        """The first replica cannot reach new as others can; later nobody can."""
        self.redis_server()
        self.legacy, good, bad = self.fast("legacy"), self.fast("new"), self.fast("new")
        bad.tell("status 500")
        for number, self.new in enumerate((bad, good, good)):
            self.replicas.append(self.shunt(self.file(number, ["percent: 100"])))
        self.wait_joined()
        a, b, c = self.replicas
        self.flow(rate=60)
        wait_until(lambda: a.route("orders")["breaker"]["state"] == "open", "a's own breaker")
        wait_until(lambda: any(shunt.find_events("fleet_outlier") for shunt in self.replicas), "the outlier to be named")
        stays(lambda: b.route("orders")["breaker"]["state"] == "closed", 3, "b's breaker closed")
        self.assertEqual(self.fleet(b)["replicas"][0]["open"] or self.fleet(b)["replicas"][1]["open"] or
                         self.fleet(b)["replicas"][2]["open"], ["orders"])
        good.tell("status 500")
        wait_until(lambda: all(shunt.find_events("fleet_breaker_open") for shunt in self.replicas), "the fleet's breaker")

    def test_others_are_told_once(self):
        """`notify` of one replica tells what all adopt."""
        told = self.backend(lambda _: http_reply(b"ok"), name="chat")
        a, b, c = self.begin(3, top=(f'notify: [ {{ url: "{told.url}/hook" }} ]',))
        a.ctl("set-percent", "orders", "30")
        self.wait_percent(30)
        b.ctl("passthrough", "on")
        self.wait_passthrough(True)
        c.ctl("rollback", "orders")
        self.wait_percent(0)
        def heard(what):
            return sum(f'"{what}"'.encode() in request.body for request in told.requests)
        wait_until(lambda: heard("set_percent") and heard("passthrough_on") and heard("rollback"), "all to be told")
        for shunt in self.replicas:
            shunt.stop()
        self.assertEqual([heard(what) for what in ("set_percent", "passthrough_on", "rollback")], [1, 1, 1])

    def test_two_groups_do_not_meet(self):
        a, b = self.begin(2)
        other = self.shunt(self.file(9).replace("group: test", "group: other"))
        wait_until(lambda: self.fleet(other)["role"] == "leader", "a leader of its own")
        a.ctl("set-percent", "orders", "44")
        self.wait_percent(44)
        self.assertEqual(other.route("orders")["percent"], 10)
        self.assertEqual(self.fleet(other)["alive"], 1)

    def test_the_quiet_state_costs_two_commands(self):
        self.begin(3)
        time.sleep(2)  # what starting costs is over; looking at the fleet would cost commands
        before, since = self.counted(), time.monotonic()
        time.sleep(8)
        per = (self.counted() - before) / (time.monotonic() - since) / 3
        self.assertLessEqual(per, 2.0)
        self.assertGreater(per, 1.0)

    def counted(self):
        return sum(shunt.metric("shunt_redis_commands_total") for shunt in self.replicas)


class Links(FleetCase):
    def both_agree(self, redis_url, **options):
        a, b = self.begin(2, redis=redis_url, **options)
        a.ctl("set-percent", "orders", "21")
        self.wait_percent(21)

    def test_a_unix_socket(self):
        self.redis_server()
        self.both_agree(self.redis.url(scheme="unix"))

    def test_a_password(self):
        self.redis_server(password="secret")
        self.both_agree(self.redis.url())

    def test_an_acl_user_with_no_more_than_it_needs(self):
        self.redis_server(users=["shunt on >pw ~shunt:* &shunt:* -@all +eval +evalsha +script|load +hello +auth +select +ping "
                                 "+client|setname +role +subscribe +publish +time +@read +@write"])
        self.both_agree(self.redis.url(user="shunt", password="pw"))

    def test_a_wrong_password_is_said(self):
        self.redis_server(password="secret")
        a = self.begin(1, redis=f"redis://:wrong@127.0.0.1:{self.redis.port}", joined=False)[0]
        fleet = wait_until(lambda: (lambda f: f if f["redis"]["faults"].get("auth") else None)(self.fleet(a)), "an auth fault")
        self.assertEqual(fleet["role"], "cut_off")
        self.assertNotIn("wrong", json.dumps(fleet))
        self.assertEqual(a.get("/").status, 200)


if __name__ == "__main__":
    main()
