"""One plan for a fleet: replicas agree on share and passthrough, one leads, and what people order holds everywhere."""

import json
import os
import time

from certificates import authority
from fleet import BREAKER, QUICK, STAGES, FleetCase
from harness import http_reply, main, stays, wait_until


class Fleet(FleetCase):
    def test_one_leads_and_all_see_all(self):
        self.begin(3)
        seen = wait_until(lambda: (lambda f: f if len(f["replicas"]) == 3 else None)(self.fleet(self.replicas[0])), "three replicas")
        self.assertEqual({one["name"] for one in seen["replicas"]}, {"replica-0", "replica-1", "replica-2"})
        self.assertEqual(len({one["file"] for one in seen["replicas"]}), 1)
        self.assertEqual(seen["group"], "test")
        self.assertIn("replica-1", self.replicas[1].ctl("fleet"))
        self.assertRegex(self.replicas[1].ctl("status"), r"fleet test as \S+: 3 replicas, (this one leads|led by)")

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

    def test_a_rollback_waits_for_no_redis_that_hangs(self):
        a, b = self.begin(2)
        a.ctl("set-percent", "orders", "40")
        self.wait_percent(40)
        self.redis.pause()
        a.ctl("rollback", "orders")
        self.assertEqual(self.percents(), [0, 40])
        self.redis.resume()
        self.wait_percent(0)
        for shunt in (a, b):
            self.assertEqual(len([line for line in shunt.audit() if line["what"] == "rollback"]), 1)

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

    def test_counts_that_arrive_are_not_said_to_be_lost(self):
        self.begin(2, [STAGES])
        self.flow(rate=60)

        def told():
            return self.redis.ask("HGETALL", "shunt:{test}:seq")
        wait_until(lambda: all(int(value.split()[1]) >= 3 for value in told()[1::2]) and len(told()) == 4, "counts of both")
        for shunt in self.replicas:
            self.assertEqual(shunt.find_events("fleet_counts_lost"), [])

    def test_a_leader_that_dies_is_replaced(self):
        self.begin(3)
        leader = self.wait_leader()
        term = self.fleet(leader)["term"]
        leader.kill()
        self.replicas.remove(leader)
        self.shunts.remove(leader)
        wait_until(self.leader, "another leader")
        self.assertGreater(self.fleet(self.leader())["term"], term)
        self.replicas[0].ctl("set-percent", "orders", "33")
        self.wait_percent(33)

    def test_a_restart_comes_back_into_the_fleet(self):
        a, b, _ = self.begin(3)
        a.ctl("set-percent", "orders", "60")
        self.wait_percent(60)
        b.restart()
        self.assertEqual(b.route("orders")["percent"], 60)
        self.wait_agree()

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

    def test_one_replica_owns_the_probes(self):
        self.redis_server()
        self.legacy = self.fast("legacy")
        new = [self.fast("new") for _ in range(3)]
        for one in new:
            one.tell("status 500")
        for number, self.new in enumerate(new):
            self.replicas.append(self.shunt(self.file(number, ["percent: 100", BREAKER.replace("cooldown: 1h", "cooldown: 3s")])))
        self.wait_joined()
        self.flow(rate=60)

        def opened(count):
            return all(len(shunt.find_events("fleet_breaker_open")) >= count for shunt in self.replicas)
        wait_until(lambda: opened(1), "the fleet's breaker")
        wait_until(lambda: all(one.counts()["requests"] == before for one, before in
                               [(one, one.counts()["requests"]) for one in new] if not time.sleep(0.3)), "quiet new backends")
        for one in new:
            one.tell("zero")
        wait_until(lambda: opened(2), "a trial that failed")
        self.assertEqual(sum(one.counts()["requests"] > 0 for one in new), 1)
        for one in new:
            one.tell("ok")
        wait_until(lambda: all(shunt.find_events("fleet_breaker_closed") for shunt in self.replicas), "the fleet's breaker to close", 60)
        wait_until(lambda: all(shunt.route("orders")["share"] == 100 for shunt in self.replicas), "all of the share")

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

    def test_counts_that_redis_lost_are_told_once(self):
        """Not while all is well, however much is counted."""
        self.begin(2)
        loads = self.flow(rate=60)

        def wait_counted(times):
            wait_until(lambda: [int(row.split()[1]) >= times for row in self.redis.ask("HVALS", "shunt:{test}:seq")] == [True] * 2,
                       "both to have told counts some times")

        def told():
            return [len(shunt.find_events("fleet_counts_lost")) for shunt in self.replicas]

        wait_counted(4)
        self.assertEqual(told(), [0, 0])
        counted = max(int(row.split()[1]) for row in self.redis.ask("HVALS", "shunt:{test}:seq"))
        self.redis.restart_empty()
        wait_until(lambda: told() == [1, 1], lambda: f"both to say that counts were lost: {told()}")
        wait_counted(counted + 4)
        self.assertEqual(told(), [1, 1])
        self.assert_no_failure(loads)

    def test_nothing_is_promoted_while_files_differ(self):
        """A rollout of the file that has come half the way."""
        self.begin(2, QUICK)
        other = self.wait_leader() is self.replicas[0]
        late = self.replicas[1 if other else 0]
        number = 1 if other else 0
        late.reload(self.file(number, [QUICK[0].replace("50, hold: 1h", "60, hold: 1h"), *QUICK[1:]]))
        leader = self.wait_leader()
        wait_until(lambda: leader.find_events("fleet_files_differ"), "the other file to be seen")
        self.assertEqual(leader.metric("shunt_fleet_replicas_other_file"), 1)
        self.flow(rate=100)
        wait_until(lambda: "another file" in (leader.route("orders")["why_not"] or ""), "why it is not promoted")
        late.reload(self.file(number, QUICK))
        wait_until(lambda: {s.route("orders")["stage"] for s in self.replicas} == {"b"}, "stage b everywhere")

    def test_two_groups_do_not_meet(self):
        a, b = self.begin(2)
        other = self.shunt(self.file(9).replace("group: test", "group: other"))
        wait_until(lambda: self.fleet(other)["role"] == "leader", "a leader of its own")
        a.ctl("set-percent", "orders", "44")
        self.wait_percent(44)
        self.assertEqual(other.route("orders")["percent"], 10)
        self.assertEqual(self.fleet(other)["alive"], 1)

    def test_whoever_looks_costs_no_more_than_twenty_commands(self):
        a, _ = self.begin(2)
        before, since, looks = a.metric("shunt_redis_commands_total"), time.monotonic(), 0
        while time.monotonic() - since < 4:
            self.assertEqual(len(self.fleet(a)["replicas"]), 2)
            looks += 1
        per = (a.metric("shunt_redis_commands_total") - before) / (time.monotonic() - since)
        self.assertLessEqual(per, 20)
        self.assertGreater(looks, 20)

    def test_what_one_group_wanted_is_not_told_to_another(self):
        """A replica that changes its group, with its state directory."""
        a, = self.begin(1)
        for percent in range(40, 60):
            a.ctl("set-percent", "orders", str(percent))
        other = self.shunt(self.file(9).replace("group: test", "group: other"))
        wait_until(lambda: other.route("orders").get("fleet", {}).get("version", 0) > 0, "its plan to be shared")
        a.reload(self.file(0).replace("group: test", "group: other"))
        self.assertEqual(self.fleet(a)["group"], "test", "until it starts again")
        a.restart(self.file(0).replace("group: test", "group: other"))
        self.replicas.append(other)
        wait_until(lambda: [self.fleet(s)["alive"] for s in self.replicas] == [2, 2], "both in one group")
        self.wait_percent(10)
        self.assertEqual(len(a.wait_events("fleet_group_changed")), 1)
        self.assertEqual(other.find_events("fleet_restored"), [])


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

    def test_tls(self):
        self.redis_server(tls=True)
        self.redis_keys = f", tls: {{ ca: {authority().certificate} }}"
        self.both_agree(self.redis.url(scheme="rediss", host="localhost"))

    def test_tls_with_a_client_certificate(self):
        self.redis_server(tls=True, client_ca=authority().certificate)
        pair = authority().issue()
        self.redis_keys = f", tls: {{ ca: {authority().certificate}, certificate: {pair.certificate}, key: {pair.key} }}"
        self.both_agree(self.redis.url(scheme="rediss", host="localhost"))

    def test_a_server_nobody_vouches_for_is_refused(self):
        self.redis_server(tls=True)
        a = self.begin(1, redis=self.redis.url(scheme="rediss", host="localhost"), joined=False)[0]
        wait_until(lambda: self.fleet(a)["redis"]["faults"].get("tls"), "a TLS fault")
        self.assertEqual(self.fleet(a)["role"], "cut_off")

    def test_a_password_that_changes(self):
        """It is read from its file whenever a connection is made."""
        path = os.path.join(self.directory, "password")
        with open(path, "w", encoding="ascii") as f:
            f.write("first\n")
        self.redis_server(password="first")
        self.redis_keys = f", password_file: {path}"
        a, b = self.begin(2, redis=f"redis://127.0.0.1:{self.redis.port}")
        self.redis.configure("requirepass", "second")
        self.redis.password = "second"
        for client in self.redis.clients():
            self.redis.ask("CLIENT", "KILL", "ID", client)
        wait_until(lambda: not self.available(a) and not self.available(b), "the old password to be refused")
        with open(path, "w", encoding="ascii") as f:
            f.write("second\n")
        self.wait_joined()
        a.ctl("set-percent", "orders", "21")
        self.wait_percent(21)

    def test_a_wrong_password_is_said(self):
        self.redis_server(password="secret")
        a = self.begin(1, redis=f"redis://:wrong@127.0.0.1:{self.redis.port}", joined=False)[0]
        fleet = wait_until(lambda: (lambda f: f if f["redis"]["faults"].get("auth") else None)(self.fleet(a)), "an auth fault")
        self.assertEqual(fleet["role"], "cut_off")
        self.assertNotIn("wrong", json.dumps(fleet))
        self.assertEqual(a.get("/").status, 200)


if __name__ == "__main__":
    main()
