"""What an operator meets: ports and directories in use, full disks, stuck logs, damaged state, listeners that come and go, names."""

import json
import os
import resource
import signal
import socket
import stat
import subprocess
import time

from harness import BUILD, Case, Client, config, environment, main, request, wait_until
from held import Held

ROUTE = "  - name: all\n    match: { path: /** }\n    percent: 0\n    breaker: off\n"


def listeners(text, *addresses):
    """The file with these listeners instead of its own."""
    head, _, rest = text.partition("admin:")
    return "listeners:\n" + "".join(f"  - address: {address}\n" for address in addresses) + "admin:" + rest


class Operations(Case):
    def setUp(self):
        super().setUp()
        self.legacy, self.new = self.fast("legacy"), self.fast("new")
        self.state = os.path.join(self.directory, "state")

    def file(self, **options):
        return config(self.legacy, self.new, ROUTE, **{"top": "access_log: off", **options})

    def audit_lines(self):
        with open(os.path.join(self.state, "audit.jsonl"), encoding="utf-8") as f:
            return [json.loads(line) for line in f.read().splitlines()]

    def refused(self, text, *sentences):
        """A start with this file exits 2 and says why on standard error."""
        path = os.path.join(self.directory, "refused.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        done = subprocess.run([os.path.join(BUILD, "shunt"), "--config", path], capture_output=True, text=True, timeout=20,
                              env=environment(), check=False)
        self.assertEqual(done.returncode, 2, done)
        for sentence in sentences:
            self.assertIn(sentence, done.stderr)
        self.assertNotIn('"listening"', done.stdout)


class Starting(Operations):
    def test_a_state_directory_in_use_is_refused(self):
        shunt = self.shunt(self.file(state=self.state))
        self.refused(self.file(state=self.state), f"process {shunt.process.pid}", "each its own directory")
        self.assertEqual(shunt.get().status, 200)

    def test_a_port_that_another_shunt_listens_on_is_refused(self):
        """SO_REUSEPORT would let the second one in, and give it half of the clients."""
        shunt = self.shunt(self.file())
        self.refused(listeners(self.file(), f"127.0.0.1:{shunt.address[1]}"), "Address already in use", "choose another port")

    def test_an_admin_port_in_use_is_refused(self):
        shunt = self.shunt(self.file())
        text = self.file().replace("admin:\n  address: 127.0.0.1:0", f"admin:\n  address: 127.0.0.1:{shunt.admin[1]}")
        self.refused(text, "admin.address", "Address already in use")

    def test_a_state_directory_that_cannot_be_used_is_refused(self):
        with open(self.state, "w", encoding="ascii"):
            pass
        self.refused(self.file(state=self.state), self.state, "move it away")
        self.refused(self.file(state="/nonexistent/parent/state"), "make its parent directory first")

    def test_a_name_that_does_not_resolve_holds_up_the_start_for_a_bounded_time_only(self):
        began = time.monotonic()
        shunt = self.shunt(config(self.legacy, "http://no-such-name.invalid:80", ROUTE, top="access_log: off"))
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(shunt.get().get("x-backend"), "legacy")
        backend = [one for one in shunt.status()["backends"] if one["name"] == "new"][0]
        self.assertEqual((backend["resolved"], backend["addresses"]), (False, []))

    def test_names_are_resolved_before_the_first_request(self):
        port = self.legacy.address[1]
        shunt = self.shunt(config(f"http://localhost:{port}", self.new, ROUTE, top="access_log: off"))
        self.assertEqual(shunt.get().get("x-backend"), "legacy")


class State(Operations):
    def test_a_damaged_state_is_set_aside_and_numbers_go_on(self):
        shunt = self.shunt(self.file(state=self.state))
        shunt.verb("all", "set-percent", {"percent": 40, "who": "ada"})
        last = self.audit_lines()[-1]["sequence"]
        shunt.kill()
        path = os.path.join(self.state, "state.json")
        with open(path, "r+b") as f:
            data = bytearray(f.read())
            data[len(data) // 2] ^= 1
            f.seek(0)
            f.write(data)
        shunt.start()
        event = shunt.wait_events("state_damaged")[0]
        self.assertIn("state.json.damaged-1", event["error"])
        self.assertTrue(os.path.exists(path + ".damaged-1"))
        self.assertEqual(shunt.route("all")["percent"], 0)  # the file's share, nothing guessed
        shunt.verb("all", "set-percent", {"percent": 5, "who": "ada"})
        numbers = [line["sequence"] for line in self.audit_lines()]
        self.assertEqual(numbers, sorted(set(numbers)), "no number twice")
        self.assertGreater(numbers[-1], last)

    def test_a_disk_that_is_full_changes_nothing_about_the_traffic_and_heals(self):
        shunt = self.shunt(self.file(state=self.state))
        shunt.verb("all", "set-percent", {"percent": 10, "who": "ada"})
        hard = resource.prlimit(shunt.process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(shunt.process.pid, resource.RLIMIT_FSIZE, (10, hard))
        reply = shunt.admin_reply("POST", "/api/v1/routes/all/set-percent", {"percent": 100, "who": "ada"})
        self.assertEqual(reply.status, 500, reply)
        self.assertEqual(shunt.get().get("x-backend"), "new")  # in force all the same
        shunt.signal(signal.SIGUSR1)
        wait_until(lambda: shunt.get().get("x-backend") == "legacy", "passthrough")
        wait_until(lambda: shunt.metric("shunt_state_save_failures_total") >= 3, "further tries")
        self.assertEqual(len(shunt.wait_events("state_save_failed")), 1, "told once")
        resource.prlimit(shunt.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        shunt.wait_events("state_saved_again")
        shunt.kill()
        self.assertEqual([line["what"] for line in self.audit_lines()][-3:], ["set_percent", "set_percent", "passthrough_on"])
        shunt.start()
        self.assertEqual(shunt.route("all")["percent"], 100)
        self.assertEqual(shunt.get().get("x-backend"), "legacy")
        shunt.signal(signal.SIGUSR1)

    def test_files_are_for_the_owner_only(self):
        shunt = self.shunt(self.file(state=self.state))
        shunt.verb("all", "set-percent", {"percent": 10, "who": "ada"})
        self.assertEqual(stat.S_IMODE(os.stat(self.state).st_mode), 0o700)
        for name in ("state.json", "audit.jsonl", "lock"):
            self.assertEqual(stat.S_IMODE(os.stat(os.path.join(self.state, name)).st_mode), 0o600, name)


class Reloading(Operations):
    def test_listeners_come_and_go_and_their_connections_stay(self):
        shunt = self.shunt(self.file(listeners=2))
        first, second = shunt.addresses
        kept = [Client(first), Client(second)]
        for client in kept:
            self.assertEqual(client.get().status, 200)
        path = os.path.join(self.directory, "http.sock")
        event = shunt.reload(listeners(self.file(), "127.0.0.1:0", f"unix:{path}"))
        self.assertNotIn("restart_needed", event)
        self.assertEqual(request(path).get("x-backend"), "legacy")
        self.assertEqual(request(first).status, 200)
        self.assertEqual(shunt.wait_events("listening_ended")[0]["address"], f"127.0.0.1:{second[1]}")

        def gone():
            try:
                socket.create_connection(second, 1).close()
                return False
            except ConnectionRefusedError:
                return True

        wait_until(gone, "the listener that is not named any more to be closed")
        for client in kept:
            self.assertEqual(client.get().status, 200)
            client.close()
        shunt.reload(self.file())
        wait_until(lambda: not os.path.exists(path), "the socket's file to be removed")
        self.assertEqual(request(first).status, 200)

    def test_an_address_that_cannot_be_bound_refuses_the_whole_file(self):
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = other.getsockname()[1]
            shunt = self.shunt(self.file())
            before = shunt.fds()
            text = listeners(self.file().replace("percent: 0", "percent: 100"), "127.0.0.1:0", "127.0.0.1:0", f"127.0.0.1:{taken}")
            event = shunt.reload(text)
            self.assertEqual(event["event"], "reload_failed", event)
            self.assertIn("Address already in use", " ".join(event["errors"]))
            self.assertEqual(shunt.get().get("x-backend"), "legacy")
            self.assertEqual(len(shunt.status()["listeners"]), 1)
            wait_until(lambda: shunt.fds() <= before + 2, lambda: f"descriptors to return to {before}, have {shunt.fds()}")

    def test_sighup_reads_an_unchanged_file_and_a_touched_one_is_not_read(self):
        shunt = self.shunt(self.file())
        self.assertEqual(shunt.reload()["event"], "reloaded")
        os.utime(shunt.config_path)
        with open(shunt.config_path, "a", encoding="utf-8"):
            pass
        time.sleep(0.3)
        self.assertEqual(len(shunt.find_events("reloaded")), 1)

    def test_a_new_backend_by_name_is_looked_up_before_it_is_used(self):
        shunt = self.shunt(self.file())
        load = self.load(shunt.address, connections=4, rate=400)
        for i in range(10):
            host = "localhost" if i % 2 == 0 else "127.0.0.1"
            shunt.reload(config(f"http://{host}:{self.legacy.address[1]}", self.new, ROUTE, top="access_log: off"))
            time.sleep(0.05)
        result = load.finish()
        self.assertEqual(result["failed"], 0, result)
        self.assertGreater(result["ok"], 50)

    def test_what_needs_a_restart_is_named(self):
        shunt = self.shunt(self.file(workers=2))
        event = shunt.reload(self.file(workers=1, state=self.state))
        self.assertEqual(event["event"], "reloaded")
        self.assertIn("workers", event["restart_needed"])
        self.assertIn("state", event["restart_needed"])
        self.assertEqual(shunt.status()["workers"], 2)
        self.assertNotIn("restart_needed", shunt.reload(self.file(workers=2)))


class Ending(Operations):
    def test_a_second_signal_ends_at_once_with_code_1(self):
        hung = self.script("read request; hang")
        shunt = self.shunt(config(hung, timeouts="drain: 60s"))
        with shunt.client() as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            hung.wait_requests(1)
            shunt.signal(signal.SIGTERM)
            shunt.wait_events("draining")
            self.assertEqual(shunt.admin_reply("GET", "/readyz").status, 503)
            self.assertTrue(shunt.alive())
            shunt.insist(signal.SIGTERM)
            self.assertEqual(shunt.wait_exit(15), 1)
        self.assertTrue(shunt.find_events("draining_cut_short"))
        self.assertTrue(shunt.find_events("stopped")[0]["saved"])

    def test_a_signal_that_comes_twice_at_once_is_one(self):
        """As `timeout` and other supervisors send it: to the process, and to its group."""
        slow = self.script("read request; wait 700; send `HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok`")
        shunt = self.shunt(config(slow, timeouts="drain: 60s"))
        with shunt.client() as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            slow.wait_requests(1)
            with Held(shunt.process.pid):  # it finds them together, however long sending them takes
                shunt.signal(signal.SIGTERM)
                shunt.signal(signal.SIGINT)
                shunt.signal(signal.SIGTERM)
            self.assertEqual(client.reply().status, 200)
            self.assertEqual(shunt.wait_exit(15), 0)
        self.assertFalse(shunt.find_events("draining_cut_short"))

    def test_a_log_that_nobody_reads_holds_up_neither_requests_nor_the_end(self):
        path = os.path.join(self.directory, "quiet.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(self.file(top="access_log: { sample: 100% }"))
        reader, writer = os.pipe()
        process = subprocess.Popen([os.path.join(BUILD, "shunt"), "--config", path], stdout=writer, stderr=subprocess.DEVNULL,
                                   env=environment())
        os.close(writer)
        try:
            text = b""
            while text.count(b'"listening"') < 1:
                text += os.read(reader, 4096)
            event = [json.loads(line) for line in text.splitlines() if b'"listening"' in line][0]
            host, _, port = event["address"].rpartition(":")
            result = self.load((host, int(port)), connections=8, requests=40000).wait()  # some 15 MB of lines
            self.assertEqual((result["ok"], result["failed"]), (40000, 0))
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(20), 0)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            os.close(reader)


if __name__ == "__main__":
    main()
