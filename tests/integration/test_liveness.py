"""Live means that the loops turn: a worker whose thread stands still is found, named and told to whoever watches the process."""

from harness import Case, Client, config, main, wait_until
from held import Held, thread_named


class Liveness(Case):
    def begin(self):
        return self.shunt(config(self.backend(), workers=2))

    def test_a_worker_that_hangs_is_named(self):
        shunt = self.begin()
        self.assertEqual(shunt.admin_reply("GET", "/healthz").status, 200)
        with Held(thread_named(shunt.process.pid, "worker 1")):
            event = shunt.wait_events("worker_hangs", timeout=60)[0]
            self.assertEqual((event["worker"], event["level"]), (1, "error"))
            self.assertGreaterEqual(event["still_ms"], 10000)
            reply = shunt.admin_reply("GET", "/healthz")
            self.assertEqual(reply.status, 503)
            self.assertRegex(reply.body, rb"^not live: the loop of worker 1 has not turned for [0-9]+ s\n$")
        wait_until(lambda: shunt.admin_reply("GET", "/healthz").status == 200, "the loop to turn again")
        shunt.wait_events("worker_turns_again")
        self.assertEqual(len(shunt.find_events("worker_hangs")), 1)
        self.assertEqual(shunt.get().status, 200)

    def test_when_control_hangs_nobody_is_answered(self):
        shunt = self.begin()
        with Held(shunt.process.pid):
            with Client(shunt.admin, timeout=0.5) as probe, self.assertRaises(TimeoutError):
                probe.get("/healthz", host="127.0.0.1")
            self.assertEqual(shunt.get().status, 200)  # workers serve on
        self.assertEqual(shunt.admin_reply("GET", "/healthz").status, 200)


if __name__ == "__main__":
    main()
