"""The service as systemd runs it: a real one, in a namespace of its own with nothing but the installed .deb's unit.

The machine's own systemd, if it has one, hears nothing of it. What is proved here and nowhere else: that shunt does all its work in the
sandbox its unit makes, and that start, reload, failure and end are told as the unit promises.
"""

import os
import re
import shutil
import tempfile
import time
import unittest

from rooms import Room, run
from test_deb import CONF, changed_deb, make_deb

# A root as in test_deb.py, installed into; then systemd as its first process, in a control group of its own, with the few units that it
# needs itself. /sys stays read-only: nothing of the machine is set up here.
MACHINE = """
mkdir $ROOM/upper $ROOM/work $ROOM/groups
mount -t overlay -o lowerdir=/,upperdir=$ROOM/upper,workdir=$ROOM/work overlay $ROOT
mount --rbind /dev $ROOT/dev
mount -t cgroup2 cgroup2 $ROOM/groups
mount -t tmpfs -o mode=755 run $ROOT/run
mount -t sysfs -o ro sysfs $ROOT/sys
unshare --pid --fork --kill-child=KILL --uts --ipc --net --cgroup true
echo allowed
mkdir $ROOT/packages
mount --bind $PACKAGES $ROOT/packages
rm -f $ROOT/usr/sbin/policy-rc.d $ROOT/var/lib/man-db/auto-update
chroot $ROOT dpkg -i /packages/$DEB >&2
mkdir $ROOT/units
for unit in systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket; do
    cp /usr/lib/systemd/system/$unit $ROOT/units
done
for target in sysinit basic shutdown umount; do
    printf '[Unit]\\nDefaultDependencies=no\\n' > $ROOT/units/$target.target
done
printf 'Wants=systemd-journald.socket systemd-journald-dev-log.socket\\n' >> $ROOT/units/sysinit.target
ln -s /usr/lib/systemd/system/shunt.service $ROOT/units/shunt.service
mkdir $ROOT/units/shunt.service.d
printf '[Service]\\nWatchdogSec=1s\\nRestartSec=200ms\\n' > $ROOT/units/shunt.service.d/soon.conf
mkdir $ROOM/groups/$GROUP
echo $$ > $ROOM/groups/$GROUP/cgroup.procs
exec unshare --pid --fork --kill-child=KILL --uts --ipc --net --cgroup sh -euc '
    ip link set lo up
    mount -t proc proc $ROOT/proc
    mount -t cgroup2 cgroup2 $ROOT/sys/fs/cgroup
    echo made
    exec chroot $ROOT env -i container=shunt-test PATH=/usr/sbin:/usr/bin SYSTEMD_UNIT_PATH=/units:/etc/systemd/system \\
        /lib/systemd/systemd --system --unit=basic.target --log-target=journal --show-status=no'
"""
BACKEND = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b"<order><id>7</id><made>%d</made></order>" % self.server.server_port
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
"""
EVERYTHING = """\
listeners: [ { address: 127.0.0.1:80 }, { address: "unix:/run/shunt/http" } ]
admin: { address: 127.0.0.1:9901 }
backends: { legacy: { url: "http://127.0.0.1:3001" }, new: { url: "http://127.0.0.1:3002" } }
freeze: [ "Mon-Fri 10:00-12:00 Europe/Berlin" ]
notify: [ { url: "http://127.0.0.1:9/x" } ]
routes:
  - name: orders
    match: { path: /orders/** }
    stages: [ { name: shadow, percent: 0, shadow: 100, hold: 1h } ]
    shadow: { samples: { values: hashed }, compare: { replace: [ { in: "$.at", pattern: "[0-9]+Z$", with: Z } ] } }
state: { directory: /var/lib/shunt }
"""


class Service(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.packages = tempfile.mkdtemp(prefix="shunt-service-")
        cls.addClassCleanup(shutil.rmtree, cls.packages)
        cls.deb = make_deb(os.path.join(cls.packages, "made"))

    def setUp(self):
        if not os.path.exists("/lib/systemd/systemd"):
            self.skipTest("there is no systemd here (tools/dependencies test)")
        self.group = f"shunt-test-{os.getpid()}"
        self.room = None
        self.addCleanup(self.remove_groups)
        self.room = Room(self, MACHINE, PACKAGES=self.packages, DEB=os.path.relpath(self.deb, self.packages), GROUP=self.group)
        self.addCleanup(self.power_off)
        with open(f"/proc/{self.room.holder.pid}/task/{self.room.holder.pid}/children", encoding="ascii") as f:
            self.init = f.read().split()[0]
        self.wait(lambda: os.path.isdir(f"/proc/{self.init}/root/units"), "the root is the room's")  # and nothing is done in another
        self.wait(lambda: self.inside("systemctl", "is-active", "basic.target", code=None).returncode == 0, "systemd has begun")

    def power_off(self):
        """The first process of a namespace takes all others with it."""
        self.room.leave()

    def remove_groups(self):
        script = f"""
            mount -t cgroup2 cgroup2 "$1"
            for attempt in $(seq 200); do
                [ -d "$1/{self.group}" ] || exit 0
                find "$1/{self.group}" -depth -type d -exec rmdir {{}} \\; 2>/dev/null || true
                sleep 0.05
            done
            exit 1"""
        if self.room is not None:
            folder = tempfile.mkdtemp(prefix="shunt-groups-")
            self.addCleanup(os.rmdir, folder)
            run("unshare", "--mount", "--propagation", "private", "sh", "-euc", script, "sh", folder)

    # ---- the machine ----

    def inside(self, *words, **more):
        more.setdefault("timeout", 60)
        return run("nsenter", f"--target={self.init}", "--mount", "--pid", "--net", "--cgroup", "--root", "--wd",
                   "env", "-i", "PATH=/usr/sbin:/usr/bin", "LC_ALL=C.UTF-8", *words, **more)

    def wait(self, condition, what, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, f"not within {seconds} s: {what}\n{self.log()}")
            time.sleep(0.05)

    def logged(self, text):
        """The journal hears of it a moment later."""
        self.wait(lambda: text in self.log(), f"the log says {text}")

    def log(self):
        done = self.inside("journalctl", "-u", "shunt", "--no-pager", "-o", "cat", code=None)
        return done.stdout

    def show(self, name):
        return self.inside("systemctl", "show", "-p", name, "--value", "shunt").strip()

    def write(self, text):
        self.inside("sh", "-c", f"cat > {CONF}.new && mv {CONF}.new {CONF}", stdin=self.file(text))

    def file(self, text):
        handle = tempfile.TemporaryFile()
        self.addCleanup(handle.close)
        handle.write(text.encode())
        handle.seek(0)
        return handle

    def backends(self):
        for port in (3001, 3002):
            self.inside("sh", "-c", f"setsid /usr/bin/python3 -c \"$0\" >/dev/null 2>&1 & echo $!", BACKEND.replace("PORT", str(port)))

    def get(self, *words):
        return self.inside("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "20", *words, code=None).stdout

    # ---- cases ----

    def test_all_its_work_in_the_sandbox(self):
        self.write(EVERYTHING)
        self.backends()
        self.inside("systemctl", "start", "shunt")
        self.assertEqual((self.show("ActiveState"), self.show("StatusText")), ("active", "Serves"))
        facts = self.inside("cat", f"/proc/{self.show('MainPID')}/status")
        self.assertRegex(facts, r"CapEff:\s+0000000000000400\n")
        self.assertRegex(facts, r"CapBnd:\s+0000000000000400\n")
        self.assertRegex(facts, r"NoNewPrivs:\s+1\n")
        self.assertRegex(facts, r"Seccomp:\s+2\n")
        self.assertNotRegex(facts, r"Uid:\s+0")
        mounts = self.inside("cat", f"/proc/{self.show('MainPID')}/mountinfo")
        self.assertRegex(mounts, r" / / ro[, ]")
        self.assertRegex(mounts, r" /var/lib/shunt rw[, ]")
        self.wait(lambda: self.get("http://127.0.0.1/orders/7") == "200", "a request by a port below 1024")
        self.assertEqual(self.get("--unix-socket", "/run/shunt/http", "http://shunt/orders/7"), "200")
        self.wait(lambda: re.search(r"mismatched +[1-9]", self.inside("shuntctl", "report", "orders")), "XML is compared")
        self.assertEqual(self.inside("stat", "-c", "%a %U", "/var/lib/shunt", "/var/lib/shunt/state.json"), "700 shunt\n600 shunt\n")
        self.inside("systemctl", "stop", "shunt")
        self.assertEqual([self.show(name) for name in ("ActiveState", "Result", "ExecMainStatus")], ["inactive", "success", "0"])
        self.logged('"event":"stopped"')

    def test_reloads_failures_and_an_upgrade(self):
        self.inside("systemctl", "start", "shunt")
        good = self.inside("cat", CONF)
        self.inside("systemctl", "reload", "shunt")
        self.logged('"who":"signal:HUP"')
        self.write(good.replace("percent", "prcent"))
        self.assertNotEqual(self.inside("systemctl", "reload", "shunt", code=None).returncode, 0)
        self.logged('the key "prcent" is unknown')
        self.assertEqual(self.show("ActiveState"), "active")
        self.wait(lambda: "refused" in self.show("StatusText"), "the status says that the file was refused")
        self.write(good)
        self.wait(lambda: self.show("StatusText") == "Serves", "the good file is taken by itself")

        was = self.show("MainPID")
        self.inside("kill", "-SEGV", was)
        self.wait(lambda: self.show("MainPID") not in (was, "0") and self.show("ActiveState") == "active", "after a crash it is started again")
        was = self.show("MainPID")
        self.inside("kill", "-STOP", was)
        self.wait(lambda: self.show("MainPID") not in (was, "0") and self.show("ActiveState") == "active", "so it is when it hangs")
        self.logged("Watchdog timeout")

        was = self.show("MainPID")
        later = changed_deb(self.deb, self.packages, "0.1.0+1")
        self.inside("dpkg", "-i", "/packages/" + os.path.relpath(later, self.packages))
        self.assertNotEqual(self.show("MainPID"), was, "an upgrade restarts what runs")
        self.assertEqual(self.show("ActiveState"), "active")

    def test_a_file_that_is_refused_at_the_start_may_be_corrected(self):
        good = self.inside("cat", CONF)
        self.write("listeners: []\n")
        self.assertNotEqual(self.inside("systemctl", "start", "shunt", code=None).returncode, 0)
        self.logged("listeners")
        self.write(good)
        self.wait(lambda: self.show("ActiveState") == "active", "it starts with the good file")
        self.inside("dpkg", "-P", "shunt")
        self.assertEqual(self.inside("sh", "-c", "systemctl is-active shunt || true").strip(), "inactive")
        self.assertNotEqual(self.inside("sh", "-c", "ls -d /var/lib/shunt", code=None).returncode, 0)


if __name__ == "__main__":
    unittest.main()
