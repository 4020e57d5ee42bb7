"""The .deb, really installed: in a copy of this machine's own root that nothing outside sees, upgraded, removed and purged."""

import os
import re
import shutil
import stat
import tempfile
import unittest

from rooms import BUILD, TOP, Room, run

OVERLAY = """
mkdir $ROOM/upper $ROOM/work
mount -t overlay -o lowerdir=/,upperdir=$ROOM/upper,workdir=$ROOM/work overlay $ROOT
mount --rbind /dev $ROOT/dev
mount -t proc proc $ROOT/proc
rm -f $ROOT/var/lib/man-db/auto-update
mkdir $ROOT/packages
mount --bind $PACKAGES $ROOT/packages
"""
# Where dpkg and what it calls keep their own books. The index of manual pages is not made again each time: it takes longest.
BOOKS = re.compile(r"/(packages$|var/lib/man-db/auto-update$|var/lib/dpkg/|var/log/|var/cache/(man|ldconfig|debconf)(/|$)|var/lib/systemd(/deb-systemd-helper-\w+)?$|"
                   r"etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|etc/\.pwd\.lock$|etc/systemd/system/multi-user\.target\.wants$)")
FILES = ["/usr/sbin/shunt", "/usr/bin/shuntctl", "/etc/shunt/shunt.yaml", "/usr/lib/systemd/system/shunt.service",
         "/usr/share/man/man8/shunt.8.gz", "/usr/share/man/man1/shuntctl.1.gz", "/usr/share/man/man5/shunt.yaml.5.gz",
         "/usr/share/bash-completion/completions/shunt", "/usr/share/bash-completion/completions/shuntctl",
         "/usr/share/zsh/vendor-completions/_shunt", "/usr/share/zsh/vendor-completions/_shuntctl",
         "/usr/share/fish/vendor_completions.d/shunt.fish", "/usr/share/fish/vendor_completions.d/shuntctl.fish",
         "/usr/share/doc/shunt/copyright", "/usr/share/doc/shunt/changelog.gz", "/usr/share/doc/shunt/operations.md",
         "/usr/share/doc/shunt/examples/smallest.yaml"]
CONF = "/etc/shunt/shunt.yaml"
LINK = "/etc/systemd/system/multi-user.target.wants/shunt.service"


def make_deb(folder):
    run("cpack", "-G", "DEB", "--config", os.path.join(BUILD, "CPackConfig.cmake"), "-B", folder,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}, cwd=BUILD)
    names = [name for name in os.listdir(folder) if name.endswith(".deb")]
    assert len(names) == 1, names
    return os.path.join(folder, names[0])


def changed_deb(deb, folder, version, conffile=None):
    """The same as a later version; with another file to be configured by, where one is given."""
    tree = os.path.join(folder, "tree-" + version)
    run("dpkg-deb", "-R", deb, tree)
    control = os.path.join(tree, "DEBIAN/control")
    with open(control, encoding="utf-8") as f:
        text = re.sub(r"^Version: .*$", f"Version: {version}", f.read(), flags=re.M)
    with open(control, "w", encoding="utf-8") as f:
        f.write(text)
    if conffile is not None:
        with open(tree + CONF, "w", encoding="utf-8") as f:
            f.write(conffile)
    path = os.path.join(folder, f"shunt_{version}.deb")
    run("dpkg-deb", "--root-owner-group", "-Zgzip", "-b", tree, path)
    shutil.rmtree(tree)
    return path


class Unit(unittest.TestCase):
    def calls_of(self, sets):
        """Names of system calls, and of sets that hold more."""
        names = set()
        for name in sets:
            said = run("systemd-analyze", "syscall-filter", name) if name.startswith("@") else name
            for line in said.split("\n"):
                word = line.strip()
                if word and word != name and word[0] != "#":
                    names |= self.calls_of([word]) if word[0] == "@" else {word}
            names |= set() if name.startswith("@") else {name}
        return names

    def test_what_shunt_asks_of_the_kernel_is_allowed(self):
        """A call that the unit refuses fails without a word: what compares reports would take the clients' time, say."""
        with open(os.path.join(TOP, "tools/package/shunt.service"), encoding="utf-8") as f:
            filters = re.findall(r"^SystemCallFilter=(~?)(.*)$", f.read(), re.M)
        allowed = set()
        for refused, names in filters:
            allowed = allowed - self.calls_of(names.split()) if refused else allowed | self.calls_of(names.split())
        self.assertIn("epoll_wait", allowed)
        known = self.calls_of(["@privileged", "@resources"])
        asked = set()
        for room in ("config", "router", "proxy", "shadow"):
            for name in os.listdir(os.path.join(TOP, room)):
                if name.endswith(".c"):
                    with open(os.path.join(TOP, room, name), encoding="utf-8") as f:
                        asked |= set(re.findall(r"(?<![\w.>])(\w+)\(", f.read())) & known
        self.assertIn("setpriority", asked)
        asked -= {"setrlimit"}  # the C library makes it prlimit64
        self.assertEqual(asked - allowed, set())


class Deb(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.packages = tempfile.mkdtemp(prefix="shunt-deb-")
        cls.addClassCleanup(shutil.rmtree, cls.packages)
        cls.deb = make_deb(os.path.join(cls.packages, "made"))

    def setUp(self):
        self.room = None

    # ---- the machine ----

    def enter(self):
        self.room = Room(self, OVERLAY, PACKAGES=self.packages)

    def dpkg(self, *words):
        """Some machines leave pages and documents out of what they install; this one does not."""
        return self.room.inside("dpkg", "--path-include=/usr/share/*", *words, environment={"DEBIAN_FRONTEND": "noninteractive"})

    def install(self, deb, *options):
        self.dpkg(*options, "-i", "/packages/" + os.path.relpath(deb, self.packages))

    def read(self, path):
        with open(self.room.at(path.lstrip("/")), encoding="utf-8") as f:
            return f.read()

    def write(self, path, text):
        with open(self.room.at(path.lstrip("/")), "w", encoding="utf-8") as f:
            f.write(text)

    def there(self, path):
        return os.path.lexists(self.room.at(path.lstrip("/")))

    def changes(self):
        """Paths that are new in the room, and those of the machine that are gone in it."""
        upper = os.path.join(f"/proc/{self.room.holder.pid}/root{self.room.folder}", "upper")
        new, gone = [], []
        for at, folders, files in os.walk(upper):
            for name in folders + files:
                path = os.path.join(at, name)
                seen = path[len(upper):]
                facts = os.lstat(path)
                if stat.S_ISCHR(facts.st_mode) and facts.st_rdev == 0:
                    gone.append(seen)
                elif not os.path.lexists(seen):
                    new.append(seen)
        return new, gone

    # ---- the package itself ----

    def test_the_same_build_makes_the_same_bytes(self):
        again = make_deb(os.path.join(self.packages, "again"))
        with open(self.deb, "rb") as a, open(again, "rb") as b:
            self.assertTrue(a.read() == b.read())

    def test_what_it_needs_is_named(self):
        def field(name):
            return [item.split()[0] for item in run("dpkg-deb", "-f", self.deb, name).split(", ")]

        needs, recommends = field("Depends"), field("Recommends")
        for word in ("adduser", "libc6", "libcurl", "libevent-core", "libssl3", "libnghttp2", "libsqlite3", "libpcre2"):
            self.assertTrue(any(name.startswith(word) for name in needs), (word, needs))
        with open(os.path.join(BUILD, "opened-libraries"), encoding="utf-8") as f:
            opened = [line.split() for line in f]
        self.assertGreaterEqual(len(opened), 4)
        for soname, package in opened:
            self.assertIn(package, needs + recommends, soname)
        self.assertFalse(set(needs) & set(recommends))
        self.assertIn("ca-certificates", recommends)
        self.assertEqual(run("dpkg-deb", "-I", self.deb, "conffiles").split(), [CONF])

    def test_its_description_fits_a_terminal(self):
        for line in run("dpkg-deb", "-f", self.deb, "Description").splitlines():
            self.assertLessEqual(len(line), 80)

    def test_every_file_is_roots_and_nobody_elses_to_write(self):
        for line in run("dpkg-deb", "-c", self.deb).splitlines():
            mode, owner = line.split()[:2]
            self.assertEqual(owner, "root/root", line)
            self.assertRegex(mode, "^(drwxr-xr-x|-rw-r--r--|-rwxr-xr-x)$", line)

    def test_no_path_of_the_machine_that_built_it(self):
        """Not in what debuggers read either, which is left out of the package: the number that stands for the build is made of it."""
        tree = os.path.join(self.packages, "tree")
        run("dpkg-deb", "-x", self.deb, tree)
        for program in (tree + "/usr/sbin/shunt", tree + "/usr/bin/shuntctl", BUILD + "/shunt", BUILD + "/shuntctl"):
            with open(program, "rb") as f:
                content = f.read()
            for path in (TOP, BUILD):
                self.assertNotRegex(content, re.escape(path.encode()) + rb"[/\0]", program)

    # ---- without a package ----

    def test_an_installation_by_hand_keeps_the_file_that_is_there(self):
        folder = os.path.join(self.packages, "by-hand")
        conf = folder + CONF
        for text in (None, "# ours\n"):
            run("cmake", "--install", BUILD, "--prefix", "/usr/local", env={**os.environ, "DESTDIR": folder})
            if text is None:
                self.assertEqual(run(folder + "/usr/local/sbin/shunt", "--check", conf), f"{conf}: ok\n")
                with open(conf, "w", encoding="utf-8") as f:
                    f.write("# ours\n")
            else:
                with open(conf, encoding="utf-8") as f:
                    self.assertEqual(f.read(), text)
        self.assertTrue(os.path.exists(folder + "/usr/local/share/man/man5/shunt.yaml.5.gz"))

    # ---- its life ----

    def test_installed_it_is_whole_and_rests(self):
        self.enter()
        self.install(self.deb)
        for path in FILES:
            self.assertTrue(self.there(path), path)
        self.assertEqual(self.room.inside("dpkg", "--verify", "shunt"), "")
        self.assertEqual(self.room.inside("shunt", "--check"), f"{CONF}: ok\n")
        self.assertEqual(self.room.inside("systemctl", "is-enabled", "shunt", code=1), "disabled\n")
        user = self.room.inside("getent", "passwd", "shunt").strip().split(":")
        self.assertEqual(user[5:], ["/var/lib/shunt", "/usr/sbin/nologin"])
        self.assertLess(int(user[2]), 1000)
        for words in (("8", "shunt"), ("1", "shuntctl"), ("5", "shunt.yaml")):
            self.assertIn(f"/usr/share/man/man{words[0]}/{words[1]}.", self.room.inside("man", "-w", *words))

    def test_the_unit_is_good_and_exposes_little(self):
        self.enter()
        self.install(self.deb)
        done = self.room.inside("systemd-analyze", "verify", "--man=yes", "/usr/lib/systemd/system/shunt.service", code=None)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))
        said = self.room.inside("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=15",
                                "/usr/lib/systemd/system/shunt.service")
        print(re.search(r"Overall exposure level.*", said)[0])

    def test_the_shipped_file_serves_as_its_user(self):
        """As the unit has it: the user, the state directory, the file."""
        self.enter()
        self.install(self.deb)
        said = self.room.inside("unshare", "--net", "sh", "-euc", """
            ip link set lo up
            install -d -o shunt -g shunt -m 700 /var/lib/shunt
            setpriv --reuid=shunt --regid=shunt --clear-groups shunt > /tmp/shunt.log &
            pid=$!
            timeout 30 sh -c 'until shuntctl ready; do sleep 0.05; done' 2>/dev/null
            shuntctl routes
            kill -TERM $pid
            wait $pid
            stat -c %U /var/lib/shunt/state.json""")
        self.assertEqual(said, "ready\neverything\nshunt\n")

    def test_an_upgrade_keeps_what_was_edited_and_enabled(self):
        edited = "# ours\nlisteners: [ { address: 127.0.0.1:1 } ]\nbackends: { legacy: { url: \"http://127.0.0.1:2\" } }\n"
        self.enter()
        self.install(self.deb)
        self.write(CONF, edited)
        self.room.inside("systemctl", "enable", "shunt")
        self.assertTrue(self.there(LINK))
        self.install(changed_deb(self.deb, self.packages, "0.1.0+1"))
        self.assertEqual(self.read(CONF), edited)
        self.assertTrue(self.there(LINK))
        self.install(changed_deb(self.deb, self.packages, "0.1.0+2", "# theirs\n"), "--force-confold")
        self.assertEqual(self.read(CONF), edited)
        self.assertEqual(self.read(CONF + ".dpkg-dist"), "# theirs\n")
        self.assertEqual(self.room.inside("systemctl", "is-enabled", "shunt"), "enabled\n")
        self.room.inside("systemctl", "disable", "shunt")
        self.install(changed_deb(self.deb, self.packages, "0.1.0+3", "# theirs\n"), "--force-confold")
        self.assertFalse(self.there(LINK), "what was disabled stays so")

    def test_removed_it_keeps_file_and_state_and_purged_nothing(self):
        self.enter()
        self.install(self.deb)
        self.room.inside("systemctl", "enable", "shunt")
        self.write(CONF, "# ours\n")
        self.room.inside("install", "-d", "-o", "shunt", "-m", "700", "/var/lib/shunt")
        self.write("/var/lib/shunt/audit.jsonl", "{}\n")
        self.dpkg("-r", "shunt")
        self.assertFalse(self.there("/usr/sbin/shunt"))
        self.assertEqual((self.read(CONF), self.read("/var/lib/shunt/audit.jsonl")), ("# ours\n", "{}\n"))
        self.room.inside("getent", "passwd", "shunt")
        self.install(self.deb)
        self.assertEqual((self.read(CONF), self.read("/var/lib/shunt/audit.jsonl")), ("# ours\n", "{}\n"))
        self.assertEqual(self.room.inside("systemctl", "is-enabled", "shunt"), "enabled\n")
        self.assertLessEqual({"/usr/sbin/shunt", CONF, LINK, "/var/lib/shunt/audit.jsonl"}, set(self.changes()[0]))
        self.dpkg("-P", "shunt")
        self.nothing_is_left()

    def test_what_a_person_put_beside_the_file_stays(self):
        self.enter()
        self.install(self.deb)
        self.write("/etc/shunt/tls.key", "secret\n")
        self.dpkg("-P", "shunt")
        self.assertEqual(self.read("/etc/shunt/tls.key"), "secret\n")
        self.assertFalse(self.there(CONF))

    def test_a_volume_for_the_state_does_not_keep_it_from_being_purged(self):
        """Its place cannot be removed as long as it is mounted; what shunt has written there can."""
        self.enter()
        self.install(self.deb)
        self.room.inside("sh", "-euc", "mkdir -p /var/lib/shunt; mount -t tmpfs none /var/lib/shunt; echo {} > /var/lib/shunt/state.json")
        self.dpkg("-P", "shunt")
        self.assertEqual(self.room.inside("ls", "-A", "/var/lib/shunt"), "")
        self.room.inside("umount", "/var/lib/shunt")
        self.room.inside("rmdir", "/var/lib/shunt")
        self.nothing_is_left()

    def nothing_is_left(self):
        new, gone = self.changes()
        self.assertEqual([path for path in new if not BOOKS.match(path)], [])
        self.assertEqual([path for path in new if "shunt" in path], [])
        self.assertEqual([path for path in gone if not BOOKS.match(path)], [])
        for path in ("/etc/passwd", "/etc/group", "/etc/shadow"):
            with open(path, encoding="utf-8") as f:
                self.assertEqual(self.read(path), f.read(), path)
        self.assertEqual(self.room.inside("dpkg-query", "-W", "shunt", code=None).returncode, 1)


if __name__ == "__main__":
    unittest.main()
