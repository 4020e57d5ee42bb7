"""What a kubelet asks a container runtime for: images, cgroups, and processes of containers. container.py is what runs beside each."""

import dataclasses
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import netns

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.abspath(os.path.join(HERE, "../.."))
BUILD = os.path.abspath(os.environ.get("SHUNT_BUILD", os.path.join(TOP, "build/asan")))
PYTHON = "/usr/bin/python3"
CGROUPS = "/sys/fs/cgroup"
CONTROLLERS = ("memory", "cpu")
CPU_PERIOD = 100000  # microseconds, of a quota: cpu.cfs_period_us as kubelet has it
PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What a container has that drops nothing: containerd's list (pkg/oci/spec.go, defaultUnixCaps), by number.
CAPABILITIES = {"CHOWN": 0, "DAC_OVERRIDE": 1, "FOWNER": 3, "FSETID": 4, "KILL": 5, "SETGID": 6, "SETUID": 7, "SETPCAP": 8,
                "NET_BIND_SERVICE": 10, "NET_RAW": 13, "SYS_CHROOT": 18, "MKNOD": 27, "AUDIT_WRITE": 29, "SETFCAP": 31}
UNITS = {"": 1, "m": 0.001, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def quantity(text):
    """What Kubernetes' 256Mi or 100m is."""
    number, unit = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", str(text)).groups()
    return float(number) * UNITS[unit]


# -------------------------------------------------------------------------------------------------------------------- images


@dataclasses.dataclass
class Image:
    """`folder`: its root file system. `binds`: {path in it: a file or folder of the host's} laid into it, to be read. `command`: its
    entrypoint; `env`, `user` (uid, gid): as its configuration has them."""

    folder: str
    binds: dict = dataclasses.field(default_factory=dict)
    command: tuple = ()
    env: dict = dataclasses.field(default_factory=dict)
    user: tuple = (0, 0)


PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
GROUP = "root:x:0:\nnogroup:x:65534:\n"
LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
ETC = ("ld.so.cache", "nsswitch.conf", "host.conf", "gai.conf", "ssl", "localtime")


def host_image(folder, binds=None, command=(), env=None, user=(0, 0)):
    """An image of the host's own programs, where there is no other: its /usr and little of its /etc. `folder` is where to make it."""
    for name in ("etc", "tmp", "root", "var/lib", "usr", "run"):
        os.makedirs(os.path.join(folder, name), exist_ok=True)
    os.chmod(os.path.join(folder, "tmp"), 0o1777)
    laid = {"/usr": "/usr"}
    for name in LINKS:
        if os.path.islink("/" + name):
            os.symlink(os.readlink("/" + name), os.path.join(folder, name))
        elif os.path.isdir("/" + name):
            laid["/" + name] = "/" + name
    for name, text in (("passwd", PASSWD), ("group", GROUP)):
        with open(os.path.join(folder, "etc", name), "w", encoding="ascii") as f:
            f.write(text)
    laid.update({"/etc/" + name: "/etc/" + name for name in ETC if os.path.exists("/etc/" + name)})
    return Image(folder, {**laid, **(binds or {})}, tuple(command), {"PATH": "/opt/bin:" + PATHS, **(env or {})}, user)


# ------------------------------------------------------------------------------------------------------------------- cgroups


def cgroup_version():
    """1, 2, or 0 where no limit can be set."""
    if os.path.exists(os.path.join(CGROUPS, "cgroup.controllers")):
        return 2
    return 1 if os.path.isdir(os.path.join(CGROUPS, "memory")) else 0


def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(str(text))


def read(path):
    with open(path, encoding="ascii") as f:
        return f.read()


class Cgroups:
    """The folders shunt-PID-N of each hierarchy, and below them POD/CONTAINER. Where the machine lets nobody make them (`why` says so)
    containers run without limits."""

    def __init__(self):
        self.version, self.why = cgroup_version(), ""
        self.sweep()
        self.name = f"shunt-{os.getpid()}-{next(numbers)}"
        try:
            self.own = self._make_own()
        except OSError as error:
            self.version, self.why, self.own = 0, str(error), {}

    def tops(self):
        if self.version == 2:
            return {"": CGROUPS}
        return {name: os.path.join(CGROUPS, name) for name in CONTROLLERS} if self.version == 1 else {}

    def _make_own(self):
        own = {}
        for name, top in self.tops().items():
            if self.version == 2:
                self._delegate(top)
            own[name] = os.path.join(top, self.name)
            os.mkdir(own[name])
            if self.version == 2:
                self._delegate(own[name])
        return own

    @staticmethod
    def _delegate(folder):
        write(os.path.join(folder, "cgroup.subtree_control"), " ".join("+" + name for name in CONTROLLERS))

    def sweep(self):
        """Removes those of processes that are no more."""
        for top in self.tops().values():
            for name in os.listdir(top):
                match = re.fullmatch(r"shunt-([0-9]+)-[0-9]+", name)
                if match and not os.path.exists(f"/proc/{match.group(1)}"):
                    remove_cgroup(os.path.join(top, name))

    def make(self, pod, name, limits):
        """Folders of a container, by hierarchy: what container.py joins."""
        folders = {}
        for hierarchy, own in self.own.items():
            above = os.path.join(own, pod)
            os.makedirs(above, exist_ok=True)
            if self.version == 2:
                self._delegate(above)
            folders[hierarchy] = os.path.join(above, name)
            os.mkdir(folders[hierarchy])
        self._limit(folders, limits)
        return {"version": self.version, "folders": folders}

    def _limit(self, folders, limits):
        memory, cpu = limits.get("memory"), limits.get("cpu")
        if memory and self.version == 1:
            write(os.path.join(folders["memory"], "memory.limit_in_bytes"), int(quantity(memory)))
        if memory and self.version == 2:
            write(os.path.join(folders[""], "memory.max"), int(quantity(memory)))
        if cpu and self.version == 1:
            write(os.path.join(folders["cpu"], "cpu.cfs_period_us"), CPU_PERIOD)
            write(os.path.join(folders["cpu"], "cpu.cfs_quota_us"), int(quantity(cpu) * CPU_PERIOD))
        if cpu and self.version == 2:
            write(os.path.join(folders[""], "cpu.max"), f"{int(quantity(cpu) * CPU_PERIOD)} {CPU_PERIOD}")

    def kills(self, made):
        """How many processes the kernel has killed there for want of memory."""
        if self.version == 0:
            return 0
        path = os.path.join(made["folders"]["memory"], "memory.oom_control") if self.version == 1 else os.path.join(
            made["folders"][""], "memory.events")
        return sum(int(line.split()[1]) for line in read(path).splitlines() if line.split()[0] == "oom_kill")

    def remove(self, made):
        for folder in made["folders"].values():
            remove_cgroup(folder)

    def close(self):
        for folder in self.own.values():
            remove_cgroup(folder)


def remove_cgroup(folder):
    """With those below; a process that has just ended may be in it for a moment yet."""
    end = time.monotonic() + 10
    while os.path.isdir(folder):
        try:
            for below, _, _ in list(os.walk(folder, topdown=False)):
                os.rmdir(below)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


# ------------------------------------------------------------------------------------------------------------------ processes

numbers = itertools.count(1)


class StartError(Exception):
    """The container could not be started: why, as a runtime says it."""


class Process:
    """A running container; `on_exit(self)` is called once, from a thread of its own. `code` is None while it runs, `reason` is
    Completed, Error or OOMKilled."""

    def __init__(self, runtime, spec, on_exit):
        self.runtime, self.spec, self.on_exit = runtime, spec, on_exit
        self.code, self.reason, self.began, self.ended = None, None, time.time(), None
        self.lock = threading.Lock()
        path = runtime.write_spec(spec)
        self.shim = subprocess.Popen([PYTHON, "-I", "-S", os.path.join(HERE, "container.py"), "run", path], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
        kind, _, what = self.shim.stdout.readline().strip().partition(" ")
        if kind != "pid":
            _, errors = self.shim.communicate()
            runtime.cgroups.remove(spec["cgroups"])
            raise StartError((what or errors.strip()).replace(os.path.join(spec["scratch"], "root"), ""))
        self.pid = int(what)
        self.thread = threading.Thread(target=self._wait, name=f"wait {spec['hostname']}", daemon=True)
        self.thread.start()

    def _wait(self):
        line = self.shim.stdout.readline().split()
        self.shim.wait()
        for stream in (self.shim.stdout, self.shim.stderr):
            stream.close()
        killed = self.runtime.cgroups.kills(self.spec["cgroups"])
        self.runtime.cgroups.remove(self.spec["cgroups"])
        shutil.rmtree(self.spec["scratch"], ignore_errors=True)
        self.ended = time.time()
        self.reason = "OOMKilled" if killed else "Completed" if line == ["exit", "0"] else "Error"
        self.code = int(line[1]) if line else 137
        with self.lock:
            self.shim.stdin.close()
        self.on_exit(self)

    @property
    def runs(self):
        return self.code is None

    def kill(self, number):
        with self.lock:
            try:
                if not self.shim.stdin.closed:
                    self.shim.stdin.write(f"kill {int(number)}\n")
                    self.shim.stdin.flush()
            except OSError:  # it has just ended
                pass

    def wait(self, timeout):
        """True where it has ended by then."""
        self.thread.join(timeout)
        return not self.runs

    def stop(self, grace):
        """TERM, and KILL when the grace period is over: CRI's StopContainer. True where TERM was enough."""
        self.kill(signal.SIGTERM)
        if self.wait(grace):
            return True
        self.kill(signal.SIGKILL)
        self.wait(None)
        return False

    def exec(self, command, stdin=None, timeout=30):
        """CompletedProcess; subprocess.TimeoutExpired kills it."""
        spec = {key: self.spec[key] for key in ("cgroups", "user", "env", "cwd")}
        path = self.runtime.write_spec({**spec, "pid": self.pid, "argv": list(command)})
        return subprocess.run([PYTHON, "-I", "-S", os.path.join(HERE, "container.py"), "exec", path], input=stdin, timeout=timeout,
                              stdin=subprocess.DEVNULL if stdin is None else None, capture_output=True, check=False)


class Runtime:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="shunt-pods-")
        os.chmod(self.folder, 0o755)
        self.cgroups = Cgroups()
        self.images = {}

    def make_folder(self, *names):
        folder = os.path.join(self.folder, *names)
        os.makedirs(folder, exist_ok=True)
        return folder

    def write_spec(self, spec):
        fd, path = tempfile.mkstemp(prefix="spec-", dir=self.folder)
        with open(fd, "w", encoding="utf-8") as f:
            json.dump(spec, f)
        return path

    def image(self, name):
        """Of an image's full name; KeyError of one nobody knows."""
        return self.images[re.sub(r"(:[\w.-]+)?(@sha256:[0-9a-f]+)?$", "", name)]

    def start(self, pod, container, image, spec, limits, on_exit):
        """`spec`: netns, argv, env, mounts, user, readonly, cwd, log, as container.py has them."""
        name = f"{container}-{next(numbers)}"
        binds = [{"source": source, "target": target, "readonly": True} for target, source in image.binds.items()]
        whole = {**spec, "hostname": pod, "image": image.folder, "scratch": self.make_folder("scratch", pod, name),
                 "netns": netns.path(spec["netns"]), "mounts": binds + spec["mounts"]}
        whole["cgroups"] = self.cgroups.make(pod, name, limits)
        return Process(self, whole, on_exit)

    def close(self):
        self.cgroups.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def default_image(runtime, shunt):
    """The images a cluster knows: shunt's own, of the build under test (`shunt` is its folder)."""
    binds = {"/opt/bin/" + name: os.path.join(shunt, name) for name in ("shunt", "shuntctl")}
    return host_image(runtime.make_folder("images", "shunt"), binds, ("shunt",), user=(65532, 65532))
