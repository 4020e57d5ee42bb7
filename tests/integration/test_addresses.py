"""A backend's name with several addresses: turns, failures, ejection and return. Names come from a hosts file of the test's own,
mounted over the machine's for shunt alone; where that is not allowed (it needs root) the tests are skipped."""

import os
import subprocess

from harness import Case, FastBackend, config, main, request, wait_until

NAME = "several.shunt.test"


def may_mount():
    return os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True,
                                                check=False).returncode == 0


class SeveralAddresses(Case):
    def setUp(self):
        super().setUp()
        if not may_mount():
            self.skipTest("a hosts file of its own needs root and a mount namespace")
        self.first = self.peer(FastBackend("first", "127.0.0.2:0"))
        port = self.first.address[1]
        self.second = self.peer(FastBackend("second", f"127.0.0.3:{port}"))
        self.hosts = os.path.join(self.directory, "hosts")
        with open(self.hosts, "w", encoding="ascii") as f:
            f.write(f"127.0.0.1 localhost\n127.0.0.2 {NAME}\n127.0.0.3 {NAME}\n")
        self.url = f"http://{NAME}:{port}"

    def begin(self, extra="", **options):
        wrapper = ["unshare", "-m", "sh", "-c", f'mount --bind "{self.hosts}" /etc/hosts && exec "$@"', "sh"]
        return self.shunt(config(self.url, workers=1, backend_extra=extra, **options), wrapper=wrapper)

    def sides(self, shunt, count=20):
        return [request(shunt.address).get("x-backend") for _ in range(count)]

    def test_addresses_take_turns(self):
        shunt = self.begin()
        wait_until(lambda: request(shunt.address).status == 200, "the name to be resolved")
        with_kept = self.load(shunt.address, requests=400, connections=16).wait()
        self.assertEqual(with_kept["failed"], 0)
        a, b = self.first.requests, self.second.requests
        self.assertGreater(min(a, b), 50, (a, b))

    def test_a_dead_address_costs_no_client_an_answer(self):
        """Connecting is refused, nothing has been sent: the other address is tried for any method."""
        shunt = self.begin(", eject_after: 3, eject_for: 1s")
        wait_until(lambda: request(shunt.address).status == 200, "the name to be resolved")
        self.second.tell("refuse")
        self.first.tell("kill")
        # A POST that is already on a kept connection as it ends cannot be sent again.
        wait_until(lambda: shunt.metric("shunt_upstream_idle") == 0, "no kept connection")
        result = self.load(shunt.address, requests=300, connections=4, fresh=True, method="POST", body=10,
                           verify=False).wait()
        self.assertEqual((result["failed"], result["ok"]), (0, 300), result)
        self.assertGreaterEqual(shunt.metric("shunt_upstream_ejections_total"), 1)

    def test_an_ejected_address_comes_back(self):
        shunt = self.begin(", eject_after: 2, eject_for: 500ms, idle_timeout: 50ms")
        wait_until(lambda: request(shunt.address).status == 200, "the name to be resolved")
        self.second.tell("refuse")
        wait_until(lambda: request(shunt.address).status == 200
                   and shunt.metric("shunt_upstream_ejections_total") >= 1, "the ejection")
        self.assertEqual(set(self.sides(shunt, 10)), {"first"})
        self.second.tell("accept")
        wait_until(lambda: "second" in self.sides(shunt, 4), "the address to be used again")

    def test_all_addresses_dead_is_an_error_and_heals(self):
        shunt = self.begin(", eject_after: 1, eject_for: 30s")
        wait_until(lambda: request(shunt.address).status == 200, "the name to be resolved")
        self.first.tell("refuse")
        self.second.tell("refuse")
        for _ in range(5):
            self.assertIn(request(shunt.address).status, (502, 503))
        self.first.tell("accept")
        self.second.tell("accept")
        wait_until(lambda: request(shunt.address).status == 200, "an answer although all were ejected", 5)

    def test_status_names_the_addresses(self):
        shunt = self.begin()
        wait_until(lambda: request(shunt.address).status == 200, "the name to be resolved")
        text = str(shunt.status()["backends"])
        self.assertIn("127.0.0.2", text)
        self.assertIn("127.0.0.3", text)


if __name__ == "__main__":
    main()
