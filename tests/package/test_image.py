"""The image without an engine that makes one: its root is assembled, looked at file by file, and entered as a container would be, by a
user without rights over a root that cannot be written. The Dockerfile is read as an engine reads it."""

import functools
import hashlib
import http.server
import json
import os
import re
import select
import shlex
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.request

from rooms import BUILD, TOP, Room, run

sys.path.insert(0, os.path.join(TOP, "tests/integration"))
from certificates import authority, server_context  # noqa: E402

ASSEMBLE = os.path.join(TOP, "tools/image/assemble")
DOCKERFILE = os.path.join(TOP, "tools/image/Dockerfile")
MOST_MIB = 80
SBOM = "usr/share/doc/shunt/sbom.spdx.json"
MOZILLA = "/usr/share/ca-certificates/mozilla"
CONTAINER = """
mount --bind $IMAGE $ROOT
mount -o remount,bind,ro $ROOT
mount -t proc proc $ROOT/proc
mount --rbind /dev $ROOT/dev
mount --bind $CONFIG $ROOT/etc/shunt
mount -t tmpfs -o mode=700,uid=65532,gid=65532 state $ROOT/var/lib/shunt
[ -z "$CERTS" ] || mount --bind $CERTS $ROOT/etc/ssl/certs
"""
EVERYTHING = """\
listeners: [ { address: 127.0.0.1:0 } ]
admin: { address: 127.0.0.1:0 }
backends: { legacy: { url: "http://127.0.0.1:1" }, new: { url: "http://127.0.0.1:2" } }
freeze: [ "Mon-Fri 10:00-12:00 Europe/Berlin" ]
notify: [ { url: "http://127.0.0.1:9/x" } ]
routes:
  - name: all
    match: { path: /orders/** }
    stages: [ { name: shadow, percent: 0, shadow: 100, hold: 1h } ]
    gates: { webhook: { url: "http://127.0.0.1:9/y" } }
    shadow: { samples: { values: hashed }, compare: { replace: [ { in: "$.at", pattern: "[0-9]+Z$", with: Z } ] } }
state: { directory: /var/lib/shunt }
"""


def assemble(folder, **environment):
    return run(ASSEMBLE, folder, BUILD, env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000", **environment})


def everything(folder):
    """(path, mode, owner, time, content or target) of all that is in it."""
    for at, folders, files in os.walk(folder):
        for name in sorted(folders + files):
            path = os.path.join(at, name)
            facts = os.lstat(path)
            content = os.readlink(path) if os.path.islink(path) else ""
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as f:
                    content = hashlib.sha256(f.read()).hexdigest()
            yield os.path.relpath(path, folder), facts.st_mode, facts.st_uid, facts.st_gid, int(facts.st_mtime), content


@functools.cache
def assembled():
    """One for all cases, which only look at it."""
    folder = tempfile.mkdtemp(prefix="shunt-image-")
    unittest.addModuleCleanup(shutil.rmtree, folder)
    os.chmod(folder, 0o755)
    image = os.path.join(folder, "image")
    assemble(image)
    return folder, image


class Image(unittest.TestCase):
    def setUp(self):
        self.folder, self.image = assembled()
        with open(os.path.join(self.image, SBOM), encoding="utf-8") as f:
            self.bill = json.load(f)

    def path(self, name):
        return os.path.join(self.image, name)

    def files(self):
        return {name for name, mode, *_ in everything(self.image) if mode >> 12 == 0o10}


class Folder(Image):
    def test_two_runs_make_the_same_bytes(self):
        again = os.path.join(self.folder, "again")
        run("sh", "-c", 'umask 077 && exec "$0" "$1" "$2"', ASSEMBLE, again, BUILD,
            env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "TZ": "Asia/Tokyo", "LC_ALL": "C"})
        self.assertEqual(list(everything(self.image)), list(everything(again)))
        shutil.rmtree(again)

    def test_it_is_small(self):
        size = sum(os.lstat(self.path(name)).st_size for name in self.files()) / 2**20
        print(f"the image: {size:.1f} MiB, {len(self.files())} files, {len(self.bill['packages'])} packages")
        self.assertLess(size, MOST_MIB)

    def test_there_is_no_shell_no_other_program_and_nothing_with_rights(self):
        programs = sorted(name for at in ("usr/bin", "usr/sbin") for name in os.listdir(self.path(at)))
        self.assertEqual(programs, ["shunt", "shuntctl"])
        for name, mode, owner, group, when, _ in everything(self.image):
            self.assertEqual(when, 1700000000, name)
            state = name == "var/lib/shunt"
            self.assertEqual((owner, group), (65532, 65532) if state and os.geteuid() == 0 else (os.geteuid(), os.getegid()), name)
            self.assertFalse(mode & 0o6000, name)
            if not os.path.islink(self.path(name)) and name != "tmp":
                self.assertFalse(mode & 0o022, name)

    def test_no_path_of_the_machine_that_built_it(self):
        for program in ("usr/sbin/shunt", "usr/bin/shuntctl"):
            with open(self.path(program), "rb") as f:
                content = f.read()
            for path in (TOP, BUILD):
                self.assertNotIn(path.encode() + b"/", content, program)

    def test_authorities_are_the_public_ones_and_nobody_elses(self):
        wanted = sorted(name[:-4] for name in os.listdir(MOZILLA) if name.endswith(".crt"))
        certs = os.listdir(self.path("etc/ssl/certs"))
        self.assertEqual(sorted(name[:-4] for name in certs if name.endswith(".pem")), wanted)
        hashes = [name for name in certs if re.fullmatch(r"[0-9a-f]{8}\.\d+", name)]
        self.assertEqual(len(hashes), len(wanted))
        for name in hashes:
            self.assertTrue(os.path.isfile(self.path("etc/ssl/certs/" + name)), name)
        with open(self.path("etc/ssl/certs/ca-certificates.crt"), encoding="ascii") as f:
            self.assertEqual(f.read().count("BEGIN CERTIFICATE"), len(wanted))

    def test_a_folder_that_is_not_empty_and_a_build_that_is_none_are_refused(self):
        for folder, build, what in ((self.image, BUILD, "is not empty"), (os.path.join(self.folder, "x"), self.folder, "is missing")):
            done = run(ASSEMBLE, folder, build, code=None)
            self.assertEqual(done.returncode, 1)
            self.assertIn(what, done.stderr)


class Bill(Image):
    """SPDX 2.3."""

    def test_every_file_is_of_one_package_and_as_it_says(self):
        named = {entry["fileName"].removeprefix("./"): entry for entry in self.bill["files"]}
        self.assertEqual(set(named), self.files() - {SBOM})
        for name, entry in named.items():
            with open(self.path(name), "rb") as f:
                content = f.read()
            sums = {each["algorithm"]: each["checksumValue"] for each in entry["checksums"]}
            self.assertEqual(sums, {"SHA1": hashlib.sha1(content).hexdigest(), "SHA256": hashlib.sha256(content).hexdigest()}, name)
        owned = [each["relatedSpdxElement"] for each in self.bill["relationships"] if each["relationshipType"] == "CONTAINS"]
        self.assertEqual(sorted(owned), sorted(entry["SPDXID"] for entry in self.bill["files"]))

    def test_packages_are_those_of_this_machine(self):
        scanners = os.listdir(self.path("var/lib/dpkg/status.d"))
        for entry in self.bill["packages"]:
            if entry["name"] == "shunt":
                self.assertIn(run(os.path.join(BUILD, "shunt"), "--version").split()[1], entry["versionInfo"])
                continue
            version = run("dpkg-query", "-W", "-f", "${Version}\n", entry["name"]).split("\n")[0]
            self.assertEqual(entry["versionInfo"], version)
            where = entry["externalRefs"][0]["referenceLocator"]
            self.assertRegex(where, rf"^pkg:deb/debian/[a-z0-9.%B+-]+@[\w.~%+-]+\?arch=\w+&distro=debian-\d+$")
            self.assertTrue(os.path.exists(self.path(f"usr/share/doc/{entry['name']}/copyright")), entry["name"])
            if entry["name"] != "node-llhttp":  # compiled in
                self.assertIn(entry["name"], scanners)
        self.assertIn("MIT", {entry["licenseDeclared"] for entry in self.bill["packages"]})
        self.assertTrue(os.path.exists(self.path("etc/os-release")))

    def test_it_is_whole(self):
        self.assertEqual((self.bill["spdxVersion"], self.bill["dataLicense"], self.bill["SPDXID"]), ("SPDX-2.3", "CC0-1.0", "SPDXRef-DOCUMENT"))
        self.assertEqual(self.bill["creationInfo"]["created"], "2023-11-14T22:13:20Z")
        entries = self.bill["packages"] + self.bill["files"]
        ids = [entry["SPDXID"] for entry in entries]
        self.assertEqual(len(ids), len(set(ids)))
        for name in ids:
            self.assertRegex(name, r"^SPDXRef-[A-Za-z0-9.-]+$")
        for relation in self.bill["relationships"]:
            self.assertLessEqual({relation["spdxElementId"], relation["relatedSpdxElement"]}, {*ids, "SPDXRef-DOCUMENT"})
        for entry in self.bill["packages"]:
            self.assertLessEqual({"name", "SPDXID", "versionInfo", "downloadLocation", "licenseDeclared", "filesAnalyzed"}, set(entry))
            self.assertEqual(entry["filesAnalyzed"], "packageVerificationCode" in entry)


class Backend:
    """Answers everything with 200; over TLS when it is given a context."""

    def __init__(self, case, context=None):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", "3")
                self.end_headers()
                self.wfile.write(b"new")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        case.addCleanup(thread.join, 20)
        case.addCleanup(self.server.server_close)
        case.addCleanup(self.server.shutdown)


class Container(Image):
    """As an engine would run it."""

    def enter(self, config, certs=""):
        folder = tempfile.mkdtemp(dir=self.folder)
        with open(os.path.join(folder, "shunt.yaml"), "w", encoding="utf-8") as f:
            f.write(config)
        os.chmod(folder, 0o755)
        self.room = Room(self, CONTAINER, IMAGE=self.image, CONFIG=folder, CERTS=certs)

    def command(self, *words, user=65532):
        return ["nsenter", "--mount", f"--target={self.room.holder.pid}", "--root=" + self.room.at(""), "--wd=" + self.room.at(""),
                f"--setgid={user}", f"--setuid={user}", *words]

    def environment(self, **more):
        return {"PATH": Dockerfile.read().variables["PATH"], **more}

    def run_in_it(self, *words, user=65532, code=0, **more):
        return run(*self.command(*words, user=user), code=code, env=self.environment(**more))

    def start(self):
        """shunt by the entry point; its listener's and its admin server's address, as its log has them."""
        words = Dockerfile.read().last["ENTRYPOINT"]
        process = subprocess.Popen(self.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   env=self.environment())
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait, 20)
        self.addCleanup(process.kill)
        found, said = {}, b""
        while set(found) != {"listening", "admin_listening"}:
            ready, _, _ = select.select([process.stdout], [], [], 30)
            part = os.read(process.stdout.fileno(), 65536) if ready else b""
            self.assertTrue(part, f"it does not start: {said}")
            said += part
            events = [json.loads(line) for line in said.split(b"\n")[:-1] if line.startswith(b"{")]
            found = {event["event"]: event["address"] for event in events if event["event"].endswith("listening")}
        return process, found["listening"], found["admin_listening"]

    def config(self, new):
        return ("listeners: [ { address: 127.0.0.1:0 } ]\nadmin: { address: 127.0.0.1:0 }\naccess_log: off\nworkers: 1\nbackends:\n"
                f"  legacy: {{ url: \"http://127.0.0.1:{Backend(self).port}\" }}\n  new: {{ url: \"{new}\" }}\n"
                "routes: [ { name: all, percent: 100, breaker: off } ]\nstate: { directory: /var/lib/shunt }\n")

    def status(self, address):
        try:
            with urllib.request.urlopen(f"http://{address}/", timeout=20) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def test_it_knows_its_version_for_any_user(self):
        self.enter(EVERYTHING)
        for user in (65532, 12345, 0):
            self.assertRegex(self.run_in_it("shunt", "--version", user=user), r"^shunt \d")
            self.assertRegex(self.run_in_it("shuntctl", "--version", user=user), r"^shuntctl \d")

    def test_every_library_is_there(self):
        """By the image's own loader: what is linked, and what is opened when a file needs it."""
        self.enter(EVERYTHING)
        loader = next(name for name in self.files() if "/ld-linux" in name)
        folder = os.path.dirname(loader)
        names = ["/usr/sbin/shunt", "/usr/bin/shuntctl", *(f"/{folder}/{name}" for name in os.listdir(self.path(folder)))]
        for name in names:
            if name != "/" + loader:
                said = self.run_in_it("/" + loader, "--list", name, LD_LIBRARY_PATH="")
                self.assertNotIn("not found", said, name)
        with open(os.path.join(BUILD, "opened-libraries"), encoding="utf-8") as f:
            for line in f:
                self.assertIn(f"{folder}/{line.split()[0]}", self.files())
        self.assertEqual(self.run_in_it("shunt", "--check"), "/etc/shunt/shunt.yaml: ok\n")
        self.assertIn("Europe/Berlin", self.run_in_it("shunt", "--dump"))

    def test_a_library_that_is_missing_would_have_been_told(self):
        """That --check opens them all is what the case above rests on."""
        names = [next(name for name in self.files() if soname in name) for soname in ("libcurl.so.4", "libicui18n.so", "libxml2.so")]
        self.image = os.path.join(self.folder, "broken")
        shutil.copytree(assembled()[1], self.image, symlinks=True)
        self.addCleanup(shutil.rmtree, self.image)
        self.enter(EVERYTHING)
        for name in names:
            os.rename(self.path(name), self.path("away"))
            self.assertIn(os.path.basename(name), self.run_in_it("shunt", "--check", code=None).stderr)
            os.rename(self.path("away"), self.path(name))
        self.assertEqual(self.run_in_it("shunt", "--check"), "/etc/shunt/shunt.yaml: ok\n")

    def test_it_serves_is_healthy_and_keeps_its_state(self):
        self.enter(self.config(f"http://127.0.0.1:{Backend(self).port}"))
        check = Dockerfile.read().last["HEALTHCHECK"]
        self.assertEqual(self.run_in_it(*check, code=None, SHUNT_ADMIN="127.0.0.1:1").returncode, 4)
        process, address, admin = self.start()
        self.assertEqual(self.status(address), 200)
        self.assertEqual(self.run_in_it(*check, SHUNT_ADMIN=admin), "ready\n")
        self.run_in_it("shuntctl", "drain", SHUNT_ADMIN=admin)
        self.assertEqual(self.run_in_it(*check, code=None, SHUNT_ADMIN=admin).returncode, 1)
        process.terminate()
        self.assertEqual(process.wait(30), 0)
        self.run_in_it("shuntctl", "audit", "verify", "/var/lib/shunt")
        self.assertTrue(os.path.exists(self.room.at("var/lib/shunt/state.json")))

    def test_it_trusts_whom_its_store_names_and_nobody_else(self):
        """Backends over TLS, by OpenSSL's folder of hashes; and shuntctl compare, by libcurl's file."""
        pair = authority().issue()
        backend = Backend(self, server_context(pair))
        certs = os.path.join(self.folder, f"certs-{self.id()}")
        shutil.copytree(self.path("etc/ssl/certs"), certs, symlinks=True)
        shutil.copy(authority().certificate, os.path.join(certs, "ours.pem"))
        run("openssl", "rehash", certs)
        with open(os.path.join(certs, "ca-certificates.crt"), "ab") as bundle, open(authority().certificate, "rb") as ours:
            bundle.write(ours.read())
        url = f"https://127.0.0.1:{backend.port}"
        config = self.config(url)
        for store, expected in ((certs, 200), ("", 502)):
            self.enter(config, store)
            process, address, _ = self.start()
            self.assertEqual(self.status(address), expected, store)
            process.terminate()
            self.assertEqual(process.wait(30), 0)
            done = run(*self.command("shuntctl", "compare", "--legacy", url, "--new", url, "--requests", "-", "--noise", "0%"), code=None,
                       env=self.environment(), stdin=self.requests())
            self.assertEqual(bool(re.search(r"matched +1 ", done.stdout)), expected == 200, done.stdout + done.stderr)
            self.room.leave()

    def requests(self):
        file = tempfile.TemporaryFile()
        self.addCleanup(file.close)
        file.write(b'{"method": "GET", "url": "/orders/7"}\n')
        file.seek(0)
        return file


class Dockerfile(unittest.TestCase):
    """Read as the reference of the format has it: comments, continued lines, instructions in capitals."""

    @classmethod
    def read(cls):
        with open(DOCKERFILE, encoding="utf-8") as f:
            lines = [line for line in f.read().split("\n") if not line.lstrip().startswith("#")]
        text = re.sub(r"\\\n", " ", "\n".join(lines))
        self = cls()
        self.instructions = [tuple(line.strip().split(None, 1)) for line in text.split("\n") if line.strip()]
        self.stages, self.last, self.variables = [], {}, {}
        for word, rest in self.instructions:
            if word == "FROM":
                self.stages.append(rest.split())
                self.last = {}
            value = re.sub(r"^(--\S+ +)*(CMD +)?", "", rest)
            self.last[word] = json.loads(value) if value.startswith("[") else value
            if word == "ENV":
                self.variables.update(each.split("=", 1) for each in shlex.split(rest))
        return self

    def runTest(self):
        pass

    def test_its_stages(self):
        read = self.read()
        self.assertEqual(read.stages, [["${DEBIAN}", "AS", "build"], ["scratch"]])
        self.assertEqual(read.instructions[0], ("ARG", "DEBIAN=debian:12-slim"))
        known = {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "LABEL", "ENV", "USER", "EXPOSE", "HEALTHCHECK", "STOPSIGNAL", "ENTRYPOINT"}
        self.assertLessEqual({word for word, _ in read.instructions}, known)
        names = {stage[2] for stage in read.stages if len(stage) == 3}
        for word, rest in read.instructions:
            for stage in re.findall(r"--from=(\S+)", rest):
                self.assertIn(stage, names)

    def test_what_runs(self):
        last = self.read().last
        self.assertEqual(last["ENTRYPOINT"], ["shunt"])
        self.assertEqual(last["USER"], "65532:65532")
        self.assertEqual(last["STOPSIGNAL"], "SIGTERM")
        self.assertIsInstance(last["HEALTHCHECK"], list)  # there is no shell to read words
        self.assertEqual(last["COPY"], "/image /")
        labels = dict(each.split("=", 1) for each in shlex.split(last["LABEL"]))
        with open(os.path.join(TOP, "CMakeLists.txt"), encoding="utf-8") as f:
            version = re.search(r"^project\(shunt VERSION (\S+)", f.read(), re.M)[1]
        self.assertEqual(labels["org.opencontainers.image.version"], version)
        self.assertLessEqual({f"org.opencontainers.image.{word}" for word in ("title", "description", "licenses")}, set(labels))

    def test_every_source_is_in_the_context(self):
        with open(os.path.join(TOP, ".dockerignore"), encoding="utf-8") as f:
            ignored = [line.strip() for line in f if line.strip() and not line.startswith("#")]
        for word, rest in self.read().instructions:
            if word != "COPY" or "--from" in rest:
                continue
            for source in rest.split()[:-1]:
                self.assertTrue(os.path.exists(os.path.join(TOP, source)), source)
                self.assertNotIn(source.split("/")[0], ignored)
        for folder in ("config", "router", "shadow", "proxy", "tools", "tests", "docs", "CMakeLists.txt", "CMakePresets.json", "LICENSE"):
            self.assertNotIn(folder, ignored)

    def test_its_commands_are_there(self):
        """The packages it installs are what assemble and the build need; the scripts it calls can be run."""
        commands = " ".join(rest for word, rest in self.read().instructions if word == "RUN")
        purposes = re.search(r"tools/dependencies --print ([a-z ]+)\)", commands)[1].split()
        self.assertEqual(purposes, ["build", "image"])
        self.assertLessEqual({"gcc", "cmake", "python3", "ca-certificates", "openssl", "binutils"},
                             set(run(os.path.join(TOP, "tools/dependencies"), "--print", *purposes).split()))
        self.assertTrue(os.access(ASSEMBLE, os.X_OK))
        self.assertIn("tools/image/assemble /image", commands)
        with open(os.path.join(TOP, "CMakePresets.json"), encoding="utf-8") as f:
            self.assertIn("release", {preset["name"] for preset in json.load(f)["buildPresets"]})


del Image  # its cases are those of the classes made of it

if __name__ == "__main__":
    unittest.main()
