"""The Atlas migration's four scenarios: Redis healthy, absent, late, dying. Traffic flows in all of them."""

from fleet import FleetCase
from harness import main, stays, wait_until
from redis_peer import Redis, free_port


class Atlas(FleetCase):
    def test_redis_healthy(self):
        a, b, c = self.begin(3)
        loads = self.flow()
        self.assertEqual([self.available(s) for s in self.replicas], [True] * 3)
        a.ctl("set-percent", "orders", "50")
        self.wait_percent(50)
        b.ctl("rollback", "orders")  # rollback is a part of it
        self.wait_percent(0)
        c.ctl("resume", "orders")
        self.wait_agree()
        self.assert_no_failure(loads)

    def test_redis_absent(self):
        """For ever: traffic flows, what is safe works in each replica, and nothing is raised."""
        self.begin(2, redis=f"redis://127.0.0.1:{free_port()}", joined=False)
        a, b = self.replicas
        loads = self.flow()
        wait_until(lambda: not self.available(a) and not self.available(b), "Redis to be missed")
        self.assertEqual(self.fleet(a)["role"], "cut_off")
        refused = a.ctl("promote", "orders", "--force", code=None)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("Redis", refused.stderr)
        self.assertEqual(a.route("orders")["percent"], 10)
        a.ctl("rollback", "orders")
        self.assertEqual(a.route("orders")["percent"], 0)
        self.assertEqual(b.route("orders")["percent"], 10)
        a.ctl("passthrough", "on")
        self.assertTrue(a.status()["passthrough"])
        self.assert_no_failure(loads)

    def test_what_was_made_safe_meanwhile_survives_a_restart(self):
        """Redis still says 40 %, and is not asked."""
        a, b = self.begin(2)
        a.ctl("set-percent", "orders", "40")
        self.wait_percent(40)
        self.redis.ask("SAVE")
        self.redis.kill()
        wait_until(lambda: not self.available(a), "Redis to be missed")
        a.ctl("rollback", "orders")
        a.ctl("passthrough", "on")
        a.restart()
        self.assertEqual(a.route("orders")["percent"], 0)
        self.assertTrue(a.status()["passthrough"])
        self.assertEqual(b.route("orders")["percent"], 40)
        self.redis.start()
        self.wait_percent(0)
        self.wait_passthrough(True)
        raised = [line for line in a.audit() if line.get("route") == "orders" and line.get("from") and line.get("to") and
                  line["to"]["percent"] > line["from"]["percent"] and line["what"] != "set_percent"]
        self.assertEqual(raised, [])

    def test_redis_late(self):
        """What was ordered for safety before it came is told, and the link heals by itself."""
        port = free_port()
        self.begin(2, redis=f"redis://127.0.0.1:{port}", joined=False)
        a, b = self.replicas
        loads = self.flow()
        wait_until(lambda: not self.available(a), "Redis to be missed")
        a.ctl("rollback", "orders", "--reason", "it smells")
        self.redis = self.peer(Redis(port=port))
        self.wait_joined()
        self.wait_percent(0)
        self.assertIn("it smells", [line["why"] for line in b.audit()])
        self.assert_no_failure(loads)

    def test_redis_dying(self):
        """It dies, hangs and comes back empty, under traffic: the share stands as it stood."""
        a, b, c = self.begin(3)
        a.ctl("set-percent", "orders", "40")
        self.wait_percent(40)
        loads = self.flow()
        self.redis.kill()
        wait_until(lambda: not any(self.available(s) for s in self.replicas), "Redis to be missed")
        stays(lambda: self.percents() == [40, 40, 40], 1, "40 % everywhere")
        a.restart()  # from its own directory
        self.assertEqual(a.route("orders")["percent"], 40)
        loads[0].stop()
        self.redis.restart_empty()
        self.wait_joined()
        self.assertEqual(self.percents(), [40, 40, 40])
        self.redis.pause()
        wait_until(lambda: not any(self.available(s) for s in self.replicas), "a hung Redis to be noticed")
        self.redis.resume()
        self.wait_joined()
        b.ctl("set-percent", "orders", "50")
        self.wait_percent(50)
        self.assert_no_failure(loads[1:])


if __name__ == "__main__":
    main()
