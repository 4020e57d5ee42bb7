"""The file: refused with places and remedies, dumped, reloaded by signal and by change, never half-applied, never at a client's cost."""

import os
import re
import shutil
import subprocess
import time

from certificates import Pair, authority
from harness import BUILD, SANITIZER, Case, config, environment, main, request, wait_until

ROUTE = "  - name: all\n    match: {{ path: /** }}\n    sticky: [ {{ header: X-User-Id }} ]\n    percent: {0}\n    breaker: off\n"


class Reload(Case):
    def setUp(self):
        super().setUp()
        self.legacy, self.new = self.fast("legacy"), self.fast("new")

    def file(self, percent=10, more="", top="access_log: off", **options):
        return config(self.legacy, self.new, ROUTE.format(percent) + more, top=top, **options)

    def test_100_reloads_under_load_without_a_failed_request(self):
        shunt = self.shunt(self.file(10))
        kept = self.load(shunt.address, connections=8, users=500)
        fresh = self.load(shunt.address, connections=4, users=500, fresh=True, rate=300)
        large = self.load(shunt.address, connections=2, path="/chunked/300000", verify=True, rate=100)
        extra = "  - name: more\n    match: { path: /never/** }\n    percent: 5\n"
        shunt.write_config(self.file(10, "  - name: first\n    match: { path: /z }\n"))
        for i in range(100):
            text = self.file(10 + i % 2, top=f"access_log: off\ntimeouts: {{ idle: {60 + i}s }}")
            if i % 3 == 0:
                text = self.file(10 + i % 2).replace("  - name: all", extra + "  - name: all")
            event = shunt.reload(text)
            self.assertEqual(event["event"], "reloaded", event)
            served = self.legacy.requests + self.new.requests
            wait_until(lambda: self.legacy.requests + self.new.requests >= served + 20, "requests between two reloads")
        for one in (kept, fresh, large):
            result = one.finish()
            self.assertGreater(result["ok"], 10)
            self.assertEqual((result["failed"], result["stale"]), (0, 0), result)
        self.assertGreaterEqual(shunt.metric("shunt_config_reloads_total"), 100)
        self.assertEqual(shunt.metric("shunt_config_reload_failures_total"), 0)

    def test_memory_of_former_files_is_given_back(self):
        shunt = self.shunt(self.file(10))
        for i in range(50):
            shunt.reload(self.file(10 + i % 2))
        before = shunt.fds()
        for i in range(30):
            shunt.reload(self.file(10 + i % 2))
        wait_until(lambda: shunt.fds() <= before + 1, lambda: f"descriptors to return to {before}, have {shunt.fds()}")

    def test_a_changed_file_is_noticed_without_a_signal(self):
        shunt = self.shunt(self.file(0))
        self.assertEqual(shunt.get().get("x-backend"), "legacy")
        shunt.reload(self.file(100), how="file")
        wait_until(lambda: shunt.get().get("x-backend") == "new", "the new share")
        with open(shunt.config_path, "w", encoding="utf-8") as f:  # written in place, as editors do too
            f.write(self.file(0))
        wait_until(lambda: shunt.get().get("x-backend") == "legacy", "the share of the file written in place")

    def test_swap_of_a_configmaps_link_is_noticed(self):
        folder = os.path.join(self.directory, "mounted")

        def publish(name, text):
            """What the kubelet does: a new folder, and ..data renamed over."""
            os.makedirs(os.path.join(folder, name))
            with open(os.path.join(folder, name, "shunt.yaml"), "w", encoding="utf-8") as f:
                f.write(text)
            os.symlink(name, os.path.join(folder, "..data_tmp"))
            os.rename(os.path.join(folder, "..data_tmp"), os.path.join(folder, "..data"))

        publish("..2024_1", self.file(0))
        os.symlink("..data/shunt.yaml", os.path.join(folder, "shunt.yaml"))
        shunt = self.shunt(None, directory=folder)
        self.assertEqual(shunt.get().get("x-backend"), "legacy")
        for version, percent, side in ((2, 100, "new"), (3, 0, "legacy"), (4, 100, "new")):
            publish(f"..2024_{version}", self.file(percent))
            wait_until(lambda: shunt.get().get("x-backend") == side, f"version {version} of the ConfigMap")

    def test_a_bad_file_changes_nothing_and_is_counted(self):
        shunt = self.shunt(self.file(100))
        with shunt.client() as client:
            self.assertEqual(client.get().get("x-backend"), "new")
            for text in ("listeners: [", self.file(0).replace("percent: 0", "percent: 101"),
                         self.file(0) + "unknown_key: 1\n", "", "\x00\x01"):
                event = shunt.reload(text)
                self.assertEqual(event["event"], "reload_failed", text[-60:])
                self.assertTrue(event.get("errors"), event)
                self.assertEqual(client.get().get("x-backend"), "new")
        self.assertEqual(shunt.metric("shunt_config_reload_failures_total"), 5)
        os.unlink(shunt.config_path)
        self.assertEqual(shunt.reload()["event"], "reload_failed")
        self.assertEqual(shunt.get().get("x-backend"), "new")
        self.assertEqual(shunt.reload(self.file(0))["event"], "reloaded")
        self.assertEqual(shunt.get().get("x-backend"), "legacy")

    def test_reload_by_the_api_tells_the_errors(self):
        shunt = self.shunt(self.file(0))
        shunt.write_config(self.file(0).replace("percent: 0", "percent: 101"))
        reply = shunt.admin_reply("POST", "/api/v1/reload", {})
        self.assertIn(reply.status, (400, 409, 422))
        self.assertIn(b"percent", reply.body)

    def test_what_only_a_restart_can_change_is_refused_or_told(self):
        shunt = self.shunt(self.file(0, workers=2))
        text = self.file(100, workers=2) + f"state:\n  directory: {self.directory}/state\n"
        event = shunt.reload(text)
        self.assertRegex(str(event) + shunt.output(), "restart")
        self.assertTrue(shunt.alive())

    def test_backends_changed_by_a_reload_finish_what_they_began(self):
        slow = self.script(r"read request; wait 700; send `HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold`; loop")
        shunt = self.shunt(config(slow, self.new, ROUTE.format(0)))
        with shunt.client() as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            slow.wait_requests(1)
            shunt.reload(self.file(0))
            self.assertEqual(request(shunt.address).get("x-backend"), "legacy")
            self.assertEqual(client.reply().body, b"old")
            self.assertEqual(client.get().get("x-backend"), "legacy")
        wait_until(lambda: slow.open == 0, "the connections to the former backend to be closed")

    def test_a_route_removed_while_it_serves(self):
        self.new.tell("delay 500")
        shunt = self.shunt(self.file(100))
        with shunt.client() as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            wait_until(lambda: self.new.requests == 1, "the request at new")
            shunt.reload(config(self.legacy))
            self.assertEqual(client.reply().get("x-backend"), "new")
            self.assertEqual(client.get().get("x-backend"), "legacy")


class Check(Case):
    """--check, --dump, and how a bad file is refused: place, fault, remedy; all at once; exit code 2."""

    def run_shunt(self, *arguments, env=None, text=None):
        path = os.path.join(self.directory, "file.yaml")
        if text is not None:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        done = subprocess.run([os.path.join(BUILD, "shunt"), *[path if a == "FILE" else a for a in arguments]],
                              capture_output=True, text=True,
                              timeout=30, env=environment(env), check=False)
        self.assertFalse(SANITIZER.search(done.stderr), done.stderr)
        return done

    def good(self):
        return config("http://127.0.0.1:3001", "http://127.0.0.1:3002", ROUTE.format(25))

    def test_check_accepts_a_good_file(self):
        done = self.run_shunt("--check", "FILE", text=self.good())
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)

    def test_check_and_start_refuse_a_bad_file_alike(self):
        text = self.good().replace("percent: 25", "percent: 250").replace("sticky", "stiky")
        for arguments in (["--check", "FILE"], ["--config", "FILE"]):
            done = self.run_shunt(*arguments, text=text)
            self.assertEqual(done.returncode, 2, done)
            lines = [line for line in (done.stderr + done.stdout).splitlines() if "file.yaml:" in line]
            self.assertEqual(len(lines), 2, done)
            for line in lines:
                self.assertRegex(line, r"file\.yaml:\d+:\d+: .+expected|file\.yaml:\d+:\d+: .+did you mean")
            self.assertIn("did you mean", "".join(lines))

    def test_each_fault_names_its_place(self):
        base = self.good()
        faults = {
            "unknown key": (base + "rutes: 1\n", "did you mean"),
            "duplicate key": (base + "workers: 2\n", "workers"),
            "missing unit": (base.replace("workers: 2", "timeouts: { idle: 60 }"), "60"),
            "wrong type": (base.replace("routes:", "routes: 7\nx:", 1), "routes"),
            "bad percentage": (base.replace("percent: 25", "percent: 25.001"), "25.001"),
            "unknown backend": (base.replace("    percent", "    new: nowhere\n    percent"), "nowhere"),
            "unreachable route": (base + "  - name: late\n    match: { path: /x }\n", "no request can reach"),
            "no listeners": (base.replace("listeners:", "listenerz:"), "listeners"),
            "not yaml": ("a: [b", "file.yaml:"),
            "empty": ("", "file.yaml:"),
            "alias bomb": ("a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
                           "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"
                           "g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: &h [*g,*g,*g,*g,*g,*g,*g,*g,*g]\ni: [*h,*h,*h,*h,*h,*h,*h,*h,*h]\n", "file.yaml:"),
            "deep nesting": ("a: " + "[" * 5000, "file.yaml:"),
            "public admin without a token": (base.replace("admin:\n  address: 127.0.0.1:0",
                                                          "admin:\n  address: 0.0.0.0:0"), "token_file"),
        }
        for name, (text, mark) in faults.items():
            with self.subTest(name):
                began = time.monotonic()
                done = self.run_shunt("--check", "FILE", text=text)
                said = done.stderr + done.stdout
                self.assertEqual(done.returncode, 2, said)
                self.assertIn(mark, said)
                self.assertRegex(said, r"file\.yaml:\d+:\d+: ")
                self.assertLess(time.monotonic() - began, 10)

    def test_missing_file(self):
        done = self.run_shunt("--config", os.path.join(self.directory, "none.yaml"))
        self.assertEqual(done.returncode, 2)
        self.assertIn("none.yaml", done.stderr + done.stdout)

    def test_dump_is_a_file_that_means_the_same(self):
        done = self.run_shunt("--dump", "FILE", text=self.good())
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("queue_timeout", done.stdout, "defaults are filled in")
        again = self.run_shunt("--dump", "FILE", text=done.stdout)
        self.assertEqual(again.stdout, done.stdout)

    def test_secrets_come_from_environment_and_files_and_are_never_shown(self):
        with open(os.path.join(self.directory, "token"), "w", encoding="utf-8") as f:
            f.write("very-secret-token\n")
        text = self.good().replace("admin:\n", "admin:\n  token_file: token\n").replace("http://127.0.0.1:3001",
                                                                                        "http://${LEGACY_HOST}:3001")
        done = self.run_shunt("--dump", "FILE", text=text, env={"LEGACY_HOST": "127.0.0.9"})
        self.assertEqual(done.returncode, 0, done)
        self.assertNotIn("very-secret", done.stdout)
        done = self.run_shunt("--check", "FILE", text=text)
        self.assertEqual(done.returncode, 2, "an unset variable is a fault")
        self.assertIn("LEGACY_HOST", done.stderr + done.stdout)

    def test_help_and_version(self):
        done = self.run_shunt("--help")
        self.assertEqual((done.returncode, "--config" in done.stdout), (0, True), done)
        self.assertEqual(self.run_shunt("--version").returncode, 0)
        self.assertEqual(self.run_shunt("--no-such-option").returncode, 2)

    def make_named_files(self, folder, text):
        """The certificates, keys and descriptor sets that an example expects beside it."""
        for stem, kind in set(re.findall(r"([a-z/]+)\.(crt|pb)\b", text)):
            path = os.path.join(folder, stem)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if kind == "crt":
                pair = authority().issue(kind="rsa" if stem.endswith("rsa") else "ec")
                pair.copy_to(Pair(f"{path}.crt", f"{path}.key"))
            else:
                shutil.copy(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../shadow/corpus/orders.protoset"),
                            f"{path}.pb")

    def test_examples_are_good(self):
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../config/examples")
        folder = os.path.join(self.directory, "examples")
        shutil.copytree(source, folder)
        names = [name for name in os.listdir(folder) if name.endswith((".yaml", ".yml"))]
        self.assertTrue(names)
        for name in names:
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8") as f:
                text = f.read()
            self.make_named_files(folder, text)
            variables = set(re.findall(r"\$\{([A-Z0-9_]+)", text))
            done = self.run_shunt("--check", path, env={variable: "http://127.0.0.1:3000" for variable in variables})
            self.assertEqual(done.returncode, 0, done)

    def test_an_address_in_use_is_told(self):
        backend = self.backend()
        text = config("http://127.0.0.1:1").replace("127.0.0.1:0\nadmin", f"127.0.0.1:{backend.port}\nadmin")
        done = self.run_shunt("--config", "FILE", text=text)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(str(backend.port), done.stderr + done.stdout)


if __name__ == "__main__":
    main()
