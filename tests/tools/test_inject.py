"""The command `shuntctl inject`: files and streams, nothing written by halves, what is told, and wrong command lines."""

import os
import stat
import subprocess
import tempfile
import unittest

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.environ["SHUNT_BUILD"]
MANIFESTS = os.path.join(TOP, "tests/tools/manifests")
IMAGE = ("--image", "registry/shunt:0.1.0")
NEW = (*IMAGE, "--new", "http://orders-v2:80")


def read(path):
    with open(path, "rb") as f:
        return f.read()


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        both = read(os.path.join(MANIFESTS, "block.yaml")).split(b"---\n")
        self.pods, self.service = (self.write(name, text) for name, text in zip(("pods.yaml", "service.yaml"), both))

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as f:
            f.write(text)
        return path

    def inject(self, *words, text=b"", code=0):
        done = subprocess.run([os.path.join(BUILD, "shuntctl"), "inject", *words], input=text, capture_output=True, timeout=60,
                              check=False, cwd=self.folder)
        self.assertEqual(done.returncode, code, done.stderr.decode())
        self.told = done.stderr.decode()
        return done.stdout


class Files(Case):
    def test_files_become_one_stream(self):
        """In their order, as if they were one file."""
        both = self.inject("-f", "pods.yaml", "-f", "service.yaml", *NEW)
        one = self.inject("-f", "-", *NEW, text=read(self.pods) + b"---\n" + read(self.service))
        self.assertEqual(both, one)
        self.assertEqual(self.inject("-f", "-", *NEW, text=both), both)
        self.assertEqual(self.inject("-f", "-", "--uninject", text=both), read(self.pods) + b"---\n" + read(self.service))

    def test_streams_are_joined_where_they_have_to_be(self):
        self.write("a.yaml", b"a: 1")
        self.write("b.yaml", b"\xef\xbb\xbf---\nb: 2\n")
        self.write("c.yaml", b"%YAML 1.1\n---\nc: 3\n")
        self.write("d.json", b'{"d": 4}\n')
        self.write("e.json", b'{"e": 5}\n')
        self.write("f.yaml", b"")
        names = [word for name in ("a.yaml", "b.yaml", "c.yaml", "d.json", "f.yaml", "e.json") for word in ("-f", name)]
        self.assertEqual(self.inject(*names, "--uninject"),
                         b'a: 1\n---\nb: 2\n...\n%YAML 1.1\n---\nc: 3\n---\n{"d": 4}\n{"e": 5}\n')

    def test_in_place(self):
        """Each over its own, with its mode, through a link; what does not change is not written."""
        before = read(self.pods), read(self.service)
        os.chmod(self.pods, 0o640)
        os.rename(self.service, os.path.join(self.folder, "real.yaml"))
        os.symlink("real.yaml", self.service)
        other = self.write("other.yaml", b"kind: Nothing\n")
        untouched = os.stat(other).st_ino
        words = ("-f", "pods.yaml", "-f", "service.yaml", "-f", "other.yaml")
        self.assertEqual(self.inject(*words, *NEW, "--in-place"), b"")
        self.assertIn(b"name: shunt-config", read(self.pods))
        self.assertIn(b"targetPort: 8080", read(os.path.join(self.folder, "real.yaml")))
        self.assertTrue(os.path.islink(self.service))
        self.assertEqual(stat.S_IMODE(os.stat(self.pods).st_mode), 0o640)
        self.assertEqual(os.stat(other).st_ino, untouched)
        self.inject(*words, "--in-place", "--uninject")
        self.assertEqual((read(self.pods), read(self.service)), before)
        self.assertEqual(sorted(os.listdir(self.folder)), ["other.yaml", "pods.yaml", "real.yaml", "service.yaml"])

    def test_a_fault_in_one_file_leaves_all_as_they_are(self):
        self.write("broken.yaml", b"a: [\n")
        before = read(self.pods)
        self.assertEqual(self.inject("-f", "pods.yaml", "-f", "broken.yaml", *NEW, "--in-place", code=1), b"")
        self.assertIn("broken.yaml:2:1: this is no valid YAML", self.told)
        self.assertIn("shuntctl: inject: 1 fault; nothing is written", self.told)
        self.assertEqual(read(self.pods), before)

    def test_a_file_that_cannot_be_written_leaves_all_as_they_are(self):
        """The second one's folder takes no file beside it; not root's either, as its name is as long as names may be."""
        long = "s" * 250 + ".yaml"
        os.rename(self.service, os.path.join(self.folder, long))
        before = read(self.pods)
        self.inject("-f", "pods.yaml", "-f", long, *NEW, "--in-place", code=2)
        self.assertIn("cannot be written: File name too long", self.told)
        self.assertEqual(read(self.pods), before)
        self.assertEqual(sorted(os.listdir(self.folder)), ["pods.yaml", long])

    def test_output(self):
        wanted = self.inject("-f", "pods.yaml", "-f", "service.yaml", *NEW)
        self.assertEqual(self.inject("-f", "pods.yaml", "-f", "service.yaml", *NEW, "-o", "out.yaml"), b"")
        self.assertEqual(read(os.path.join(self.folder, "out.yaml")), wanted)
        self.assertEqual(self.inject("-f", "pods.yaml", "-f", "service.yaml", *NEW, "-o", "-"), wanted)
        self.inject("-f", "pods.yaml", *NEW, "-o", "nowhere/out.yaml", code=2)
        self.assertIn("nowhere/out.yaml cannot be written: No such file or directory", self.told)

    def test_a_thousand_objects(self):
        """They are done at once, and come back."""
        text = b"---\n".join([read(self.pods)] + [read(self.service).replace(b"name: orders\n", b"name: s%d\n" % i) for i in range(1000)])
        made = self.inject("-f", "-", *NEW, text=text)
        self.assertEqual(made.count(b"shunt/injected: '{\"of\""), 1000)
        self.assertEqual(self.inject("-f", "-", "--uninject", text=made), text)


class Told(Case):
    def test_both_steps(self):
        self.inject("-f", "pods.yaml", "-f", "service.yaml", *NEW, "--only", "pods", "--in-place")
        self.assertEqual(self.told.splitlines(), [
            "Deployment/orders: shunt is a native sidecar at port 8080",
            'next, once: kubectl create secret generic orders-shunt-admin -n shop --from-literal=token="$(openssl rand -hex 20)"',
            "next: apply this, wait for kubectl rollout status Deployment/orders -n shop, and then apply it without --only pods: a pod "
            "without shunt has nobody at port 8080"])
        self.inject("-f", "pods.yaml", "-f", "service.yaml", "--only", "services", "--in-place")
        self.assertEqual(self.told, "Service/orders: port http leads to shunt\n")
        self.inject("-f", "pods.yaml", "-f", "service.yaml", *NEW, "--in-place")
        self.assertIn("what --only pods makes first", self.told)

    def test_pods_are_taken_out_last(self):
        """A Service that still leads to shunt is told of, as long as it does."""
        files = ("-f", "pods.yaml", "-f", "service.yaml", "--in-place")
        self.inject(*files, *NEW)
        self.inject("-f", "pods.yaml", "-f", "service.yaml", "--uninject", "--only", "pods")
        self.assertEqual(self.told, "Service/orders still leads to the shunt of Deployment/orders: lead it back first, with --uninject "
                                    "--only services, or its clients reach nobody\n")
        self.inject(*files, "--uninject", "--only", "services")
        self.assertEqual(self.told, "")
        self.inject(*files, "--uninject", "--only", "pods")
        self.assertEqual(self.told, "")

    def test_another_port_is_told_of(self):
        """The Service that leads to the old one leads to none of the new pods."""
        files = ("-f", "pods.yaml", "-f", "service.yaml", "--in-place")
        self.inject(*files, *NEW)
        self.inject(*files, *NEW)
        self.assertNotIn("was at port", self.told)
        self.inject(*files, *NEW, "--port", "8181", "--only", "pods")
        self.assertIn("Deployment/orders: shunt was at port 8080 and will be at 8181: lead its Services back to the application before", self.told)

    def test_nothing_to_take_out(self):
        self.assertEqual(self.inject("-f", "pods.yaml", "--uninject"), read(self.pods))
        self.assertEqual(self.told, "there was no shunt to take out\n")

    def test_no_service_is_only_pods(self):
        words = ("-f", "pods.yaml", "-f", "service.yaml", *NEW)
        self.assertEqual(self.inject(*words, "--no-service"), self.inject(*words, "--only", "pods"))

    def test_a_job_has_no_second_step(self):
        self.inject("-f", os.path.join(MANIFESTS, "job.yaml"), *NEW)
        self.assertEqual(len(self.told.splitlines()), 2)

    def test_all_faults_of_shunts_file_are_told_with_their_places(self):
        self.write("shunt.yaml", b"listeners: [ { address: 0.0.0.0:8080 } ]\nbackends:\n  legacy: { url: 'http://127.0.0.1:3001', x: 1 }\n"
                                 b"workers: none\n")
        self.inject("-f", "pods.yaml", *IMAGE, "--config", "shunt.yaml", code=1)
        self.assertRegex(self.told, r"(?m)^shunt.yaml:3:\d+: ")
        self.assertRegex(self.told, r"(?m)^shunt.yaml:4:\d+: ")
        self.assertIn("inject: 2 faults; nothing is written", self.told)

    def test_a_token_of_another_place_is_refused(self):
        token = self.write("token", b"0123456789abcdef0123456789abcdef\n")
        self.write("shunt.yaml", b"listeners: [ { address: 0.0.0.0:8080 } ]\nbackends: { legacy: { url: 'http://127.0.0.1:3001' } }\n"
                                 b"admin: { address: 0.0.0.0:9901, token_file: " + token.encode() + b" }\n")
        self.inject("-f", "pods.yaml", *IMAGE, "--config", "shunt.yaml", code=1)
        self.assertIn(f"the admin server's token_file is {token}; in the pod it is /etc/shunt/admin/token", self.told)

    def test_the_admin_port_is_the_files(self):
        self.write("shunt.yaml", b"listeners: [ { address: 0.0.0.0:8080 } ]\nbackends: { legacy: { url: 'http://127.0.0.1:3001' } }\n"
                                 b"admin: { address: 0.0.0.0:9902, token_file: /etc/shunt/admin/token }\n")
        made = self.inject("-f", "pods.yaml", *IMAGE, "--config", "shunt.yaml")
        self.assertIn(b"containerPort: 9902", made)
        self.assertIn(b'- name: SHUNT_ADMIN\n              value: "127.0.0.1:9902"', made)


class Wrong(Case):
    def test_command_lines(self):
        self.write("zero.yaml", b"a: \0\n")
        pods = ("-f", "pods.yaml")
        wrong = [
            ((), "inject: no manifest; expected -f FILE, or -f - for standard input"),
            (pods, "inject: which image? expected --image REGISTRY/shunt:TAG"),
            ((*pods, "--image", ""), "inject: --image is empty; expected REGISTRY/shunt:TAG"),
            ((*pods, "--image", "two words"), 'inject: --image: "two words" is no image; expected one such as registry/shunt:0.1.0'),
            ((*pods, *NEW, "--native", "--classic"), "--native and --classic are two ways; leave one out"),
            ((*pods, *NEW, "--config", "x"), "--new, --config and --configmap each say what shunt does; leave two of them out"),
            ((*pods, *NEW, "--configmap", "x"), "leave two of them out"),
            ((*pods, *NEW, "--in-place", "-o", "x"), "--in-place and --output are two places; leave one out"),
            (("-f", "-", *NEW, "--in-place"), "--in-place needs a file, and -f - is none; leave --in-place out"),
            ((*pods, *NEW, "--only", "pod"), 'inject: --only: there is no "pod"; expected one of pods, services'),
            ((*pods, *NEW, "--only", "services", "--no-service"), "--no-service is as --only pods, and does not go with another --only"),
            ((*pods, *NEW, "--app-pre-stop", "wait"), 'inject: --app-pre-stop: there is no "wait"; expected one of sleep, exec, none'),
            ((*pods, *NEW, "--port", "0"), 'inject: --port: "0" is no port; expected a number from 1 to 65535'),
            ((*pods, *NEW, "--port", "65536"), '"65536" is no port'),
            ((*pods, *NEW, "--port", "-1"), '"-1" is no port'),
            ((*pods, *NEW, "--legacy", "http://127.0.0.1:3001"), 'inject: --legacy: "http://127.0.0.1:3001" is no port'),
            ((*pods, *NEW, "--pre-stop", "5s"), 'inject: --pre-stop: "5s" is no pause; expected seconds from 0 to 3600'),
            ((*pods, *NEW, "--pre-stop", "3601"), '"3601" is no pause'),
            ((*pods, *IMAGE, "--configmap", "Mine"), 'inject: --configmap: "Mine" is no name; expected small letters, digits'),
            ((*pods, *IMAGE, "--configmap", ""), '"" is no name'),
            ((*pods, *NEW, "--token-secret", "-a"), 'inject: --token-secret: "-a" is no name'),
            ((*pods, *pods, *NEW), "inject: -f pods.yaml is given twice; leave one out"),
            (("-f", "nowhere.yaml", *NEW), "inject: nowhere.yaml cannot be read: No such file or directory"),
            (("-f", self.folder, *NEW), "cannot be read: it is a folder; name its files, each with -f"),
            (("-f", "zero.yaml", *NEW), "inject: zero.yaml cannot be read: it is no text: it has a byte of value 0"),
            ((*pods, *IMAGE, "--config", "nowhere.yaml"), "inject: nowhere.yaml cannot be read: No such file or directory"),
            ((*pods, *NEW, "--force"), "inject takes no --force; try `shuntctl inject --help`"),
            (("-f",), "-f needs a value; try `shuntctl --help`"),
            (("--filename",), "--filename needs FILE; try `shuntctl --help`"),
            ((*pods, *NEW, ""), "inject: argument 1 is empty"),
        ]
        for words, sentence in wrong:
            with self.subTest(words):
                self.assertEqual(self.inject(*words, code=2), b"")
                self.assertIn(sentence, self.told)
                self.assertTrue(self.told.startswith("shuntctl: ") and self.told.count("\n") == 1, self.told)

    def test_a_name_in_a_manifest_does_not_speak_to_the_terminal(self):
        self.inject("-f", "-", *NEW, text=b'apiVersion: v1\nkind: Pod\nmetadata: {name: "\\e[2J"}\nspec: {}\n', code=1)
        self.assertNotIn("\033", self.told)


if __name__ == "__main__":
    unittest.main(verbosity=2)
