"""What runs out and what must not leak: descriptors, memory, disk, secrets."""

import json
import os
import resource
import socket
import subprocess
import threading
import time

from harness import BUILD, Case, Client, config, environment, http_reply, main, request, stays, wait_until

ROUTE = "  - name: all\n    match: { path: /** }\n    sticky: [ { header: X-User-Id } ]\n    percent: 50\n    breaker: off\n    shadow: { percent: 100, methods: [\"*\"] }\n"


class Leaks(Case):
    def test_10000_short_connections_leak_no_descriptor(self):
        legacy, new = self.fast(), self.fast("new")
        shunt = self.shunt(config(legacy, new, ROUTE, top="access_log: off"))
        self.load(shunt.address, requests=500, connections=16, fresh=True).wait()
        wait_until(lambda: shunt.metric("shunt_downstream_active") == 0, "no client connection")
        before, rss = shunt.fds(), shunt.rss()
        result = self.load(shunt.address, requests=10000, connections=16, fresh=True).wait()
        self.assertEqual((result["ok"], result["failed"]), (10000, 0), result)
        wait_until(lambda: shunt.metric("shunt_downstream_active") == 0, "no client connection")
        # what remains besides is the pools', bounded by what was in flight at once
        wait_until(lambda: shunt.fds() - shunt.metric("shunt_upstream_idle") <= before,
                   lambda: f"descriptors to return to {before}, have {shunt.fds()}")
        self.assertLess(shunt.rss() - rss, 32 << 20)

    def test_connections_that_come_and_go_in_every_way(self):
        legacy = self.backend()
        shunt = self.shunt(config(legacy))
        shunt.get()
        before = shunt.fds()
        for i in range(600):
            client = shunt.client()
            way = i % 6
            if way == 1:
                client.send("G")
            elif way == 2:
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            elif way == 3:
                client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
            elif way == 4:
                client.send("BAD REQUEST\r\n\r\n")
            elif way == 5:
                client.get()
            if i % 2:
                client.reset()
            else:
                client.close()
        wait_until(lambda: shunt.metric("shunt_downstream_active") == 0, "no client connection")
        wait_until(lambda: shunt.fds() - shunt.metric("shunt_upstream_idle") <= before + 1,
                   lambda: f"descriptors to return to {before}, have {shunt.fds()}")

    def test_idle_connections_cost_little(self):
        backend = self.fast()
        shunt = self.shunt(config(backend, top="access_log: off"))
        clients = []
        for _ in range(50):
            client = shunt.client()
            self.assertEqual(client.get().status, 200)
            clients.append(client)
        rss = shunt.rss()
        for _ in range(1000):
            client = shunt.client()
            clients.append(client)
        wait_until(lambda: shunt.metric("shunt_downstream_active") == 1050, "1050 client connections")
        self.assertLess(shunt.rss() - rss, 1000 * 16384)
        for client in clients:
            client.close()


class Descriptors(Case):
    def test_running_out_of_descriptors_does_no_harm_and_passes(self):
        backend = self.fast()
        shunt = self.shunt(config(backend, top="access_log: off", workers=1), limits={resource.RLIMIT_NOFILE: 100})
        held = []
        for _ in range(200):
            client = Client(shunt.address, timeout=1)
            held.append(client)
        time.sleep(0.3)
        began = shunt.cpu_seconds()
        time.sleep(1)
        self.assertLess(shunt.cpu_seconds() - began, 0.5, "it must not spin on a listener it cannot accept from")
        self.assertTrue(shunt.alive(), shunt.output())
        for client in held:
            client.close()
        wait_until(lambda: self.answers(shunt), "an answer once descriptors are free again")
        self.assertEqual(self.load(shunt.address, requests=500, connections=8, fresh=True).wait()["failed"], 0)
        self.assertEqual(shunt.admin_reply("GET", "/healthz").status, 200)

    def test_who_asks_whether_it_lives_is_answered_without_descriptors(self):
        """A liveness probe would end a process that serves all it can; and a listener that cannot accept must not fill the log."""
        go = threading.Event()
        self.addCleanup(go.set)
        shunt = self.shunt(config(self.backend(lambda request_: go.wait(60) and http_reply(b"ok")), top="access_log: off", workers=1),
                           limits={resource.RLIMIT_NOFILE: 100})
        for _ in range(100):
            self.client(shunt).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: shunt.fds() >= 88, "all descriptors in use but those that are kept")
        stays(lambda: shunt.fds() >= 88, 0.3, "the want of descriptors")
        for _ in range(20):
            self.assertEqual([shunt.admin_reply("GET", path).status for path in ("/healthz", "/readyz", "/metrics")], [200] * 3)
        held = [socket.create_connection(shunt.admin) for _ in range(30)]  # more than are kept
        for sock in held:
            self.addCleanup(sock.close)
        began = shunt.cpu_seconds()
        time.sleep(1)
        self.assertLess(shunt.cpu_seconds() - began, 0.5, "it must not spin on a listener it cannot accept from")
        self.assertLess(len(shunt.stderr()), 10000)
        for sock in held:
            sock.close()
        self.assertEqual(shunt.admin_reply("GET", "/healthz").status, 200)
        go.set()

    def answers(self, shunt):
        try:
            return request(shunt.address).status == 200
        except (OSError, AssertionError):
            return False

    def test_mirrors_give_way_before_clients_do(self):
        """With few descriptors left copies are dropped, not clients."""
        legacy, mirror = self.fast(), self.fast("new")
        mirror.tell("hang")
        shunt = self.shunt(config(legacy, mirror, ROUTE.replace("percent: 50", "percent: 0", 1).replace("percent: 100",
                                                                                                        "percent: 100, timeout: 30s"),
                                  top="access_log: off", workers=1), limits={resource.RLIMIT_NOFILE: 120})
        result = self.load(shunt.address, requests=3000, connections=20).wait()
        self.assertEqual(result["failed"], 0, result)
        result = self.load(shunt.address, requests=200, connections=20, fresh=True).wait()
        self.assertEqual(result["failed"], 0, result)


class Disk(Case):
    def test_a_full_disk_stops_no_traffic_and_is_told(self):
        if os.geteuid() != 0:
            self.skipTest("mounting a small disk needs root")
        disk = os.path.join(self.directory, "disk")
        os.makedirs(disk)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True,
                          check=False).returncode != 0:
            self.skipTest("no small disk can be mounted here")
        try:
            backend = self.fast()
            shunt = self.shunt(config(backend, backend, ROUTE.replace("methods: [\"*\"]", "methods: [GET]"),
                                      state=os.path.join(disk, "state")))
            shunt.verb("all", "set-percent", {"percent": 10})
            with open(os.path.join(disk, "filler"), "wb", buffering=0) as f:
                try:
                    while True:
                        f.write(b"x" * 1024)
                except OSError:
                    pass
            for percent in (20, 30, 40):
                reply = shunt.admin_reply("POST", "/api/v1/routes/all/set-percent", {"percent": percent})
                self.assertIn(reply.status, (200, 500, 503, 507), reply)
            self.assertEqual(request(shunt.address).status, 200)
            self.assertGreater(shunt.metric("shunt_state_save_failures_total"), 0)
            self.assertRegex(shunt.output(), "(?i)no space")
            os.unlink(os.path.join(disk, "filler"))
            shunt.verb("all", "set-percent", {"percent": 50})
            shunt.restart()
            self.assertEqual(shunt.route("all")["percent"], 50)
            shunt.stop()
        finally:
            for one in self.shunts:
                if not one.stopped:
                    one.stop()
            subprocess.run(["umount", disk], check=False)

    def test_a_log_nobody_reads_stops_no_traffic(self):
        """Standard output is a pipe that is full: access lines are dropped and counted, requests go on."""
        backend = self.fast()
        path = os.path.join(self.directory, "file.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(config(backend))
        read, write = os.pipe()
        process = subprocess.Popen([os.path.join(BUILD, "shunt"), "--config", path], stdout=write,
                                   stderr=subprocess.DEVNULL, env=environment())
        os.close(write)
        try:
            text, address = b"", None
            while address is None:
                text += os.read(read, 65536)
                for line in text.split(b"\n"):
                    if b'"listening"' in line and line.endswith(b"}"):
                        host, port = json.loads(line)["address"].rsplit(":", 1)
                        address = (host, int(port))
            result = self.load(address, requests=20000, connections=16).wait()
            self.assertEqual(result["failed"], 0, result)
            process.terminate()
            self.assertEqual(process.wait(30), 0)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            os.close(read)


class Secrets(Case):
    def test_logs_contain_no_bodies_and_no_credentials(self):
        secrets = ["s3cr3t-body-up", "s3cr3t-body-down", "s3cr3t-bearer", "s3cr3t-cookie", "s3cr3t-setcookie",
                   "s3cr3t-token", "s3cr3t-apikey"]
        token = os.path.join(self.directory, "token")
        with open(token, "w", encoding="ascii") as f:
            f.write("s3cr3t-token")
        legacy = self.backend(lambda r: http_reply(json.dumps({"value": "s3cr3t-body-down", "side": "legacy"}),
                                                   headers=["Content-Type: application/json",
                                                            "Set-Cookie: id=s3cr3t-setcookie"]))
        new = self.backend(lambda r: http_reply(json.dumps({"value": "s3cr3t-body-down2", "side": "new"}),
                                                headers=["Content-Type: application/json",
                                                         "Set-Cookie: id=s3cr3t-setcookie"]), "new")
        shunt = self.shunt(config(legacy, new, ROUTE, admin=f"token_file: {token}",
                                  state=os.path.join(self.directory, "state")), token="s3cr3t-token")
        for i in range(20):
            reply = request(shunt.address, f"/x/{i}",
                            ["Authorization: Bearer s3cr3t-bearer", "Cookie: sid=s3cr3t-cookie",
                             "X-Api-Key: s3cr3t-apikey",
                                                      f"X-User-Id: {i}"], method="POST",
                                                      body=b'{"password": "s3cr3t-body-up"}')
            self.assertEqual(reply.status, 200)
        with shunt.client() as client:
            client.send("POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer s3cr3t-bearer\r\nBad Header: s3cr3t-cookie\r\n\r\ns3cr3t-body-up")
            client.reply()
        wait_until(lambda: len(shunt.access()) >= 20, "the access lines")
        wait_until(lambda: shunt.metric("shunt_comparisons_total", route="all") == 20, "the comparisons")
        seen = {"log": "\n".join(shunt.lines) + shunt.stderr(), "report": json.dumps(shunt.report()),
                "status": json.dumps(shunt.status()),
                "metrics": shunt.admin_reply("GET", "/metrics").body.decode(),
                "config": str(shunt.admin_reply("GET", "/api/v1/config").body)}
        shunt.verb("all", "set-percent", {"percent": 60})
        for name in os.listdir(os.path.join(self.directory, "state")):
            with open(os.path.join(self.directory, "state", name), encoding="utf-8", errors="replace") as f:
                seen[name] = f.read()
        for place, text in seen.items():
            for secret in secrets:
                self.assertNotIn(secret, text, f"{secret} stands in {place}")

    def test_access_lines_are_json_whatever_the_client_sends(self):
        shunt = self.shunt(config(self.backend()))
        for target in ('/"quoted"', "/back\\slash", "/\x7f", "/caf\xe9", "/" + "x" * 3000):
            with shunt.client() as client:
                client.send(f"GET {target} HTTP/1.1\r\nHost: a\"b\r\nX-Request-Id: \"evil\\\r\n\r\n")
                client.reply()
        request(shunt.address, "/last")
        wait_until(lambda: any(line.get("target", line.get("path")) == "/last" for line in shunt.access()),
                   "the last access line")
        for line in shunt.lines:
            json.loads(line)

    def test_the_state_directory_is_private(self):
        state = os.path.join(self.directory, "state")
        shunt = self.shunt(config("http://127.0.0.1:9", "http://127.0.0.1:9", ROUTE, state=state))
        shunt.verb("all", "set-percent", {"percent": 1})
        self.assertEqual(os.stat(state).st_mode & 0o077, 0)
        for name in os.listdir(state):
            self.assertEqual(os.stat(os.path.join(state, name)).st_mode & 0o077, 0, name)


class Sampling(Case):
    def test_access_log_can_be_sampled_and_switched_off(self):
        backend = self.fast()
        shunt = self.shunt(config(backend, top="access_log: { sample: 10% }"))
        self.load(shunt.address, requests=3000, connections=8).wait()
        shunt.stop()
        self.assertLess(abs(len(shunt.access()) - 300), 90)
        shunt = self.shunt(config(backend, top="access_log: off"))
        self.load(shunt.address, requests=300, connections=8).wait()
        shunt.stop()
        self.assertEqual(shunt.access(), [])


if __name__ == "__main__":
    main()
