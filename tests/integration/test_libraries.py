"""Libraries that only some files need: opened when one needs them, and told when they are not there."""

import os
import re
import subprocess

from harness import BUILD, Case, config, environment, http_reply, main, wait_until

FIXED = "  - name: all\n    match: { path: /** }\n    percent: 0\n    breaker: off\n"
MIRRORED = FIXED + "    shadow: { percent: 100 }\n"
NOTIFY = 'notify: [ { url: "http://127.0.0.1:9/x" } ]'
FREEZE = 'freeze: [ "Mon-Fri 10:00-12:00 Europe/Berlin" ]'
STEMS = ("libcurl", "libicui18n", "libxml2")


def sonames():
    """By stem, as they were found when the program was built."""
    with open(os.path.join(BUILD, "shunt"), "rb") as f:
        program = f.read()
    found = {stem: re.search(stem.encode() + rb"\.so\.[0-9.]+", program) for stem in STEMS}
    return {stem: match.group().decode() for stem, match in found.items()}


class Libraries(Case):
    def setUp(self):
        super().setUp()
        self.legacy, self.new = (self.backend(lambda _: http_reply("{}"), name) for name in ("legacy", "new"))

    def file(self, routes=FIXED, top="", **options):
        return config(self.legacy, self.new, routes, top="access_log: off\n" + top, **options)

    def broken(self, *stems):
        """An environment in which these libraries cannot be loaded, and the files to remove to have them installed."""
        folder = os.path.join(self.directory, "broken")
        os.makedirs(folder, exist_ok=True)
        files = [os.path.join(folder, sonames()[stem]) for stem in stems]
        for path in files:
            with open(path, "w", encoding="ascii"):
                pass
        return {"LD_LIBRARY_PATH": folder}, files

    def check(self, text, env, code):
        path = os.path.join(self.directory, "check.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        done = subprocess.run([os.path.join(BUILD, "shunt"), "--check", path], capture_output=True, text=True, timeout=60,
                              env=environment(env), check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stderr.replace(path, "FILE").splitlines()

    def opened(self, shunt):
        with open(f"/proc/{shunt.process.pid}/maps", encoding="utf-8") as f:
            maps = f.read()
        return {stem for stem in STEMS if f"/{stem}." in maps}

    def test_most_files_need_none(self):
        shunt = self.shunt(self.file(MIRRORED, "freeze: [ \"Mon-Fri 10:00-12:00 UTC\" ]"))
        self.assertEqual(shunt.get().status, 200)
        self.await_pair(shunt, "matched")
        self.assertEqual(self.opened(shunt), set())
        shunt.stop()

    def test_each_is_opened_by_who_needs_it(self):
        cases = ((self.file(top=NOTIFY), {"libcurl"}),
                 (self.file(top=FREEZE), {"libicui18n"}),
                 (self.file(state=os.path.join(self.directory, "state")), set()))
        for text, expected in cases:
            shunt = self.shunt(text)
            self.assertEqual(self.opened(shunt), expected, text)
            shunt.stop()

    def test_xml_is_opened_when_xml_comes(self):
        self.answer_in_xml()
        shunt = self.shunt(self.file(MIRRORED))
        self.assertEqual(self.opened(shunt), set())
        shunt.get()
        self.await_pair(shunt, "mismatched")
        self.assertEqual(self.opened(shunt), {"libxml2"})
        shunt.stop()

    def await_pair(self, shunt, judgement):
        """The report's row of the route, once one pair was judged like this."""
        def row():
            reply = shunt.admin_reply("GET", "/api/v1/report")
            return next((r for r in reply.json().get("routes", []) if r["totals"][judgement] == 1), None)

        return wait_until(row, lambda: shunt.admin_reply("GET", "/api/v1/report"))

    def answer_in_xml(self):
        header = ["Content-Type: application/xml"]
        self.legacy = self.backend(lambda _: http_reply("<a><b>1</b></a>", headers=header))
        self.new = self.backend(lambda _: http_reply("<a><b>2</b></a>", headers=header), name="new")

    def test_one_that_is_missing_refuses_the_file(self):
        env, _ = self.broken(*STEMS)
        lines = self.check(self.file(MIRRORED, NOTIFY), env, 2)
        self.assertEqual([line.split(" cannot be loaded")[0] for line in lines],
                         [f"FILE: {key}: {sonames()[stem]}" for key, stem in
                          (("notify", "libcurl"), ("shadow", "libxml2"))])
        for line in lines:
            self.assertRegex(line, "; install the (Debian package lib|package that has )")
        (line,) = self.check(self.file(top=FREEZE), env, 2)
        self.assertRegex(line, r"^FILE:\d+:\d+: freeze\[0\]: .*Europe/Berlin needs ICU: libicui18n.*; install the ")
        self.assertEqual(self.check(self.file(), env, 0), [])
        shunt = self.shunt(self.file(top=NOTIFY), env=env, wait=False)
        self.assertEqual(shunt.wait_exit(), 2)
        self.assertIn("notify: libcurl", shunt.stderr())
        shunt.stopped = True

    def test_a_reload_may_be_refused_until_it_is_installed(self):
        env, files = self.broken("libcurl")
        shunt = self.shunt(self.file(), env=env)
        event = shunt.reload(self.file(top=NOTIFY))
        self.assertEqual(event["event"], "reload_failed")
        self.assertIn("notify: libcurl", event["errors"][0])
        self.assertEqual(shunt.get().status, 200)
        os.remove(files[0])
        self.assertEqual(shunt.reload()["event"], "reloaded")
        self.assertIn("libcurl", self.opened(shunt))
        shunt.stop()

    def test_without_libxml2_xml_that_differs_is_not_comparable(self):
        """A shadow is not held against new, nor a start refused, for what most routes never meet."""
        env, _ = self.broken("libxml2")
        self.answer_in_xml()
        shunt = self.shunt(self.file(MIRRORED), env=env)
        shunt.get()
        row = self.await_pair(shunt, "not_comparable")
        self.assertEqual((row["totals"]["mismatched"], row["not_comparable"]), (0, {"no_libxml2": 1}))
        shunt.stop()


if __name__ == "__main__":
    main()
