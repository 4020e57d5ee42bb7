"""One container's process, as a runtime starts it: namespaces, root, mounts, cgroup, user, and then the program. Run by runtime.py:

    container.py run SPEC     starts the program as PID 1 of its own namespaces, and stays beside it as containerd's shim does. It says
                              "pid N" or "error TEXT", and at the end "exit CODE"; it takes lines "kill SIGNAL". When its standard
                              input ends, so does the container: nothing outlives the test.
    container.py exec SPEC    runs one more program in a container; its streams and its exit code are this program's.

A process of its own because namespaces, roots and users are left by nobody. Only what Python has without site-packages.
"""

import ctypes
import json
import os
import select
import signal
import sys
import warnings  # noqa: F401  pylint: disable=unused-import  # os.execvpe() needs it when the host's files are out of reach

libc = ctypes.CDLL(None, use_errno=True)

NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWPID = 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x20000000
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
DETACH = 2
PDEATHSIG, CAPBSET_DROP, NO_NEW_PRIVS = 1, 24, 38
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
FILES = 1048576  # open files, as containerd has it


def check(result, what):
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def mount(source, target, kind=None, flags=0, data=None):
    check(libc.mount(*(word.encode() if word is not None else None for word in (source, target, kind)), ctypes.c_ulong(flags),
                     data.encode() if data is not None else None), f"mount {source} at {target}")


def place(target, is_folder):
    """What is mounted on must be there; a runtime makes it in the container's own layer."""
    if is_folder:
        os.makedirs(target, exist_ok=True)
    elif not os.path.exists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="ascii"):
            pass


def bind(source, target, readonly=False):
    place(target, os.path.isdir(source))
    mount(source, target, flags=BIND | REC)
    if readonly:
        mount(None, target, flags=BIND | REMOUNT | RDONLY)


def make_root(spec):
    """The image below, a layer of the container's own above it: an overlay, or where there is none a copy."""
    scratch = spec["scratch"]
    mount("tmpfs", scratch, "tmpfs", data="mode=755")
    root, upper, work = (os.path.join(scratch, name) for name in ("root", "upper", "work"))
    for folder in (root, upper, work):
        os.mkdir(folder)
    os.chmod(upper, 0o755)
    try:
        mount("overlay", root, "overlay", data=f"lowerdir={spec['image']},upperdir={upper},workdir={work}")
    except OSError:
        check(os.waitstatus_to_exitcode(os.system(f"cp -a '{spec['image']}/.' '{root}'")), "cp of the image")
        mount(root, root, flags=BIND)
    return root


def mount_devices(root):
    dev = os.path.join(root, "dev")
    place(dev, True)
    mount("tmpfs", dev, "tmpfs", NOSUID, "mode=755")
    for name in DEVICES:
        bind("/dev/" + name, os.path.join(dev, name))
    for name, at in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        os.symlink("/proc/self/fd" + at, os.path.join(dev, name))
    place(os.path.join(dev, "shm"), True)
    mount("shm", os.path.join(dev, "shm"), "tmpfs", NOSUID | NODEV | NOEXEC, "mode=1777")


def mount_system(root, cgroups):
    """proc of the new PID namespace, sys, and of the cgroups what containerd shows: with version 1 the container's own folder of each
    hierarchy, with version 2 a namespace whose root it is."""
    for name in ("proc", "sys"):
        place(os.path.join(root, name), True)
    mount("proc", os.path.join(root, "proc"), "proc", NOSUID | NODEV | NOEXEC)
    mount("sysfs", os.path.join(root, "sys"), "sysfs", NOSUID | NODEV | NOEXEC | RDONLY)
    top = os.path.join(root, "sys/fs/cgroup")
    if cgroups["version"] == 2:
        check(libc.unshare(NEWCGROUP), "unshare")
        mount("cgroup2", top, "cgroup2", NOSUID | NODEV | NOEXEC | RDONLY)
    elif cgroups["version"] == 1:
        mount("tmpfs", top, "tmpfs", NOSUID | NODEV | NOEXEC, "mode=755")
        for name, folder in cgroups["folders"].items():
            bind(folder, os.path.join(top, name), readonly=True)
        mount(None, top, flags=BIND | REMOUNT | RDONLY)


def join(cgroups):
    for folder in cgroups["folders"].values():
        with open(os.path.join(folder, "cgroup.procs"), "w", encoding="ascii") as f:
            f.write("0")


def limit_user(user):
    """The user and nothing more: bounding set, groups, ids, and no way to more of it."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as f:
        last = int(f.read())
    for capability in set(range(last + 1)) - set(user["capabilities"]):
        check(libc.prctl(CAPBSET_DROP, capability, 0, 0, 0), "bounding set")
    os.setgroups(user["groups"])
    os.setresgid(user["gid"], user["gid"], user["gid"])
    os.setresuid(user["uid"], user["uid"], user["uid"])
    if user["no_new_privileges"]:
        check(libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    check(libc.prctl(PDEATHSIG, signal.SIGKILL, 0, 0, 0), "parent's death")


def execute(spec):
    """The program takes this process's place."""
    argv, env = spec["argv"], spec["env"]
    for number in (signal.SIGPIPE, signal.SIGINT):  # Python's own ways
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execvpe(argv[0], argv, env)
    except OSError as error:
        raise OSError(f'exec: "{argv[0]}": {error.strerror}, in PATH={env.get("PATH")}') from None


def become(spec):
    """In the child, which is PID 1 of its namespace."""
    check(libc.unshare(NEWNS | NEWUTS | NEWIPC), "unshare")
    mount(None, "/", flags=REC | PRIVATE)
    libc.sethostname(spec["hostname"].encode(), len(spec["hostname"]))
    root = make_root(spec)
    join(spec["cgroups"])
    mount_devices(root)
    mount_system(root, spec["cgroups"])
    for one in spec["mounts"]:
        bind(one["source"], root + one["target"], one["readonly"])
    null = os.open("/dev/null", os.O_RDONLY)
    log = os.open(spec["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    if spec["readonly"]:
        mount(None, root, flags=BIND | REMOUNT | RDONLY)
    os.chdir(root)
    check(libc.syscall(PIVOT_ROOT[os.uname().machine], b".", b"."), "pivot_root")
    check(libc.umount2(b".", DETACH), "umount")
    os.chdir(spec["cwd"])
    for target, fd in enumerate((null, log, log)):
        os.dup2(fd, target)
    limit_user(spec["user"])
    execute(spec)


def run(spec):
    with open(spec["netns"], "rb") as f:
        check(libc.setns(f.fileno(), 0), "setns")
    import resource  # pylint: disable=import-outside-toplevel  # only here, as `exec` must start fast

    most = min(FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    check(libc.unshare(NEWPID), "unshare")
    fault, told = os.pipe()  # closed by exec
    child = os.fork()
    if child == 0:
        os.close(fault)
        try:
            become(spec)
        except BaseException as error:  # pylint: disable=broad-except  # whatever it is, runtime.py must hear of it
            os.write(told, str(error).encode()[:4000])
        os._exit(128)
    os.close(told)
    why = os.read(fault, 4096)
    print(f"error {why.decode()}" if why else f"pid {child}", flush=True)
    watch(child)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    print(f"exit {code if code >= 0 else 128 - code}", flush=True)


def watch(child):
    """Until it has ended. Its end ends all of its PID namespace."""
    ended = os.pidfd_open(child)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(0, select.POLLIN | select.POLLHUP)
    orders = b""
    while True:
        ready = [fd for fd, _ in poll.poll()]
        if ended in ready:
            return
        piece = os.read(0, 4096)
        if not piece:
            os.kill(child, signal.SIGKILL)
            poll.unregister(0)
        *lines, orders = (orders + piece).split(b"\n")
        for line in lines:
            signal.pidfd_send_signal(ended, int(line.split()[1]))


def execute_beside(spec):
    """As `run`, in the namespaces of the process `pid`."""
    fds = [os.open(f"/proc/{spec['pid']}/ns/{name}", os.O_RDONLY) for name in ("net", "ipc", "uts", "pid", "cgroup", "mnt")]
    join(spec["cgroups"])
    for fd in fds:
        check(libc.setns(fd, 0), "setns")
    child = os.fork()
    if child == 0:
        try:
            os.chdir(spec["cwd"])
            limit_user(spec["user"])
            execute(spec)
        except BaseException as error:  # pylint: disable=broad-except
            os.write(2, f"{error}\n".encode())
        os._exit(127)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    sys.exit(code if code >= 0 else 128 - code)


def main():
    with open(sys.argv[2], encoding="utf-8") as f:
        spec = json.load(f)
    os.umask(0o022)
    if sys.argv[1] == "run":
        run(spec)
    else:
        os.unlink(sys.argv[2])
        check(libc.prctl(PDEATHSIG, signal.SIGKILL, 0, 0, 0), "parent's death")
        execute_beside(spec)


main()
