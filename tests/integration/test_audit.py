"""The audit trail on disk: what was changed, removed or torn is told at the start and by shuntctl, and stops nothing."""

import hashlib
import json
import os

from harness import Case, config, main

ROUTE = "  - name: plan\n    match: { path: /** }\n    percent: 0\n    breaker: off\n"


class Audit(Case):
    def begin(self, changes=5):
        self.legacy = self.backend()
        self.state = os.path.join(self.directory, "state")
        self.trail = os.path.join(self.state, "audit.jsonl")
        shunt = self.shunt(config(self.legacy, self.legacy, ROUTE, state=self.state))
        for i in range(1, changes + 1):
            shunt.verb("plan", "set-percent", {"percent": i, "who": "ada", "reason": f"change {i}"})
        return shunt

    def read(self):
        with open(self.trail, "rb") as f:
            return f.read()

    def write(self, text):
        with open(self.trail, "wb") as f:
            f.write(text)

    def damaged(self, shunt, line, count=1):
        """A start that finds so many lines damaged, the first at `line`, and serves all the same."""
        shunt.start()
        event = shunt.wait_events("audit_damaged")[0]
        self.assertEqual(event["level"], "warn")
        self.assertTrue(event["error"].startswith(f"{self.trail}:{line}: "), event)
        self.assertEqual(event["damaged"], count)
        self.assertEqual(shunt.metric("shunt_audit_damaged"), count)
        self.assertEqual(shunt.get().status, 200)
        self.assertIn(f"{self.trail}:{line}: ", shunt.ctl("audit", "verify", self.state, code=1))
        answer = json.loads(shunt.ctl("audit", "verify", self.trail, "--json", code=None).stdout)
        shunt.stop()
        return answer

    def test_a_trail_as_it_was_written_is_said_to_be_so(self):
        shunt = self.begin()
        self.assertIn("as shunt wrote them", shunt.ctl("audit", "verify", self.state))  # beside the running process
        shunt.kill()
        shunt.start()
        self.assertEqual(shunt.metric("shunt_audit_damaged"), 0)
        self.assertEqual(shunt.find_events("audit_damaged") + shunt.find_events("audit_repaired"), [])
        shunt.verb("plan", "set-percent", {"percent": 50, "who": "ada"})
        shunt.stop()
        answer = json.loads(shunt.ctl("audit", "verify", self.trail, "--json"))
        self.assertEqual((answer["good"], answer["lines"], answer["damaged"]), (True, len(self.read().splitlines()), 0))

    def test_the_checksums_are_what_the_docs_say(self):
        """docs/operations.md, computed anew."""
        shunt = self.begin()
        shunt.stop()
        former = ""
        for line in self.read().decode().splitlines():
            text, _, end = line.rpartition(',"check":"')
            former = hashlib.sha256((former + text + "}").encode()).hexdigest()[:32]
            self.assertEqual(end, former + '"}')

    def test_a_changed_line_is_told(self):
        shunt = self.begin()
        shunt.stop()
        lines = self.read().splitlines(keepends=True)
        at = next(i for i, line in enumerate(lines) if b"change 3" in line)
        lines[at] = lines[at].replace(b"operator:ada", b"operator:eve")
        self.write(b"".join(lines))
        self.assertEqual(self.damaged(shunt, at + 1)["line"], at + 1)

    def test_a_removed_line_is_told(self):
        shunt = self.begin()
        shunt.stop()
        lines = self.read().splitlines(keepends=True)
        at = next(i for i, line in enumerate(lines) if b"change 3" in line)
        del lines[at]
        self.write(b"".join(lines))
        self.damaged(shunt, at + 1)

    def test_a_removed_end_is_told(self):
        shunt = self.begin()
        shunt.stop()
        lines = self.read().splitlines(keepends=True)
        self.write(b"".join(lines[:-2]))
        self.damaged(shunt, len(lines) - 2)

    def test_a_torn_end_is_cut_off_and_told(self):
        shunt = self.begin()
        shunt.kill()
        with open(self.trail, "ab") as f:
            f.write(b'{"sequence":99,"wh')
        shunt.start()
        self.assertEqual(shunt.wait_events("audit_repaired")[0]["bytes"], 18)
        self.assertEqual(shunt.find_events("audit_damaged"), [])
        self.assertEqual(shunt.metric("shunt_audit_damaged"), 0)
        shunt.ctl("audit", "verify", self.state)
        shunt.stop()

    def test_a_trail_from_before_there_were_checksums_goes_on(self):
        shunt = self.begin()
        shunt.stop()
        old = [json.loads(line) for line in self.read().splitlines()]
        for line in old:
            del line["check"]
        self.write("".join(json.dumps(line) + "\n" for line in old).encode())
        shunt.start()
        self.assertEqual(shunt.metric("shunt_audit_damaged"), 0)
        shunt.verb("plan", "set-percent", {"percent": 50, "who": "ada"})
        shunt.stop()
        answer = json.loads(shunt.ctl("audit", "verify", self.state, "--json"))
        self.assertTrue(answer["good"])
        self.assertGreaterEqual(answer["unsealed"], len(old))
        self.assertGreater(answer["lines"], answer["unsealed"])
        self.write(self.read().replace(b"change 2", b"change X"))
        self.damaged(shunt, len(old) + 1)

    def test_a_trail_that_proves_nothing_is_not_called_good(self):
        shunt = self.begin()
        shunt.stop()
        lines = self.read().splitlines()
        self.write(b"")
        self.assertIn("the file is new, or was emptied", shunt.ctl("audit", "verify", self.state, code=3))
        self.assertFalse(json.loads(shunt.ctl("audit", "verify", self.state, "--json", code=3))["good"])
        self.write(lines[-1])
        self.assertIn("no line, but the state knows of event", shunt.ctl("audit", "verify", self.state, code=3))
        self.write(b'{"sequence": 99}\nanything\n')
        self.assertIn("2 lines, none with a checksum", shunt.ctl("audit", "verify", self.trail, code=3))

    def test_what_is_no_file_is_not_followed(self):
        """A pipe that nobody writes to held it up for ever."""
        shunt = self.begin()
        pipe = os.path.join(self.directory, "pipe")
        os.mkfifo(pipe)
        for path, cause in ((pipe, "it is not a file"), ("/dev/null", "it is not a file"),
                            (os.path.join(self.directory, "nowhere"), "No such file or directory")):
            told = shunt.ctl("audit", "verify", path, code=None)
            self.assertEqual(told.returncode, 2, told)
            self.assertIn(f"{path} cannot be read: {cause}; name an audit.jsonl, or the state directory", told.stderr)

    def test_a_new_file_begins_a_new_chain(self):
        shunt = self.begin()
        shunt.stop()
        os.rename(self.trail, self.trail + ".1")
        shunt.start()
        self.assertEqual(shunt.find_events("audit_damaged"), [])
        shunt.verb("plan", "set-percent", {"percent": 50, "who": "ada"})
        shunt.stop()
        shunt.ctl("audit", "verify", self.state)
        shunt.ctl("audit", "verify", self.trail + ".1")
        first = json.loads(self.read().splitlines()[0])["sequence"]
        with open(self.trail + ".1", "rb") as f:
            last = json.loads(f.read().splitlines()[-1])["sequence"]
        self.assertEqual(first, last + 1)


if __name__ == "__main__":
    main()
