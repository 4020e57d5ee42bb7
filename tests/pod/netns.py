"""The cluster's network: a namespace for the node with a bridge, one for each pod and for each client, and Services as kube-proxy
makes them. Nothing touches the host's own network.

A Service's address is nobody's. Whoever opens a connection to it has it led to one of the ready endpoints, by nft's DNAT in its own
namespace with `numgen random`, as kube-proxy's nftables mode does (pkg/proxy/nftables). The kernel remembers where a connection goes:
endpoints that go away keep those they have. A Service without endpoints refuses.

Namespaces are named shunt-PID-NAME, with the PID of the test; sweep() removes those of tests that were killed.
"""

import ctypes
import itertools
import os
import re
import socket
import subprocess
import threading

FOLDER = "/run/netns"
NODE, PODS, SERVICES = "10.42.0.1", "10.42.0.0/16", "10.43.0.0/16"
BRIDGE = "02:00:0a:2a:00:01"  # one that stays: a bridge of its own choice takes another with its ports, and packets go astray
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
numbers = itertools.count(1)

# Only `services` ever changes, so that the hooks stay and connections with them. Questions to the name server are not tracked: two at
# once from one socket, A and AAAA, race for their entry, and the loser's packet is lost (the 5 s delays that clusters know). `ct state`
# keeps the kernel tracking while no Service has an endpoint: without a rule that asks, connections would lose their way.
TABLE = f"""
table ip cluster {{
    chain untracked {{ type filter hook output priority -300; udp dport 53 notrack; }}
    chain services {{ }}
    chain output {{ type nat hook output priority -100; ip daddr {SERVICES} jump services; }}
    chain refused {{ type filter hook output priority 0; ct state established accept; ip daddr {SERVICES} reject; }}
}}
"""


def run(*words, text=None):
    done = subprocess.run(words, input=text, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def path(name):
    return os.path.join(FOLDER, name)


def setns(fd, kind):
    if libc.setns(fd, kind) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Inside:
    """`with Inside(name):` this thread is in that namespace: a socket stays in the one it was made in."""

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        self.own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            other = os.open(path(self.name), os.O_RDONLY)
            try:
                setns(other, CLONE_NEWNET)
            finally:
                os.close(other)
        except BaseException:
            os.close(self.own)
            raise
        return self

    def __exit__(self, *_):
        setns(self.own, CLONE_NEWNET)
        os.close(self.own)


def sweep():
    """Removes namespaces of processes that are no more."""
    for name in os.listdir(FOLDER) if os.path.isdir(FOLDER) else []:
        match = re.fullmatch(r"shunt-([0-9]+)-.*", name)
        if match and not os.path.exists(f"/proc/{match.group(1)}"):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False, timeout=30)


def rules(services):
    """nft's text for {(address, port): [(address, port) of an endpoint]}."""
    lines = ["flush chain ip cluster services"]
    for (address, port), endpoints in sorted(services.items()):
        if endpoints:
            each = ", ".join(f"{at} : {a} . {p}" for at, (a, p) in enumerate(sorted(endpoints)))
            lines.append(f"add rule ip cluster services ip daddr {address} tcp dport {port} "
                         f"dnat ip to numgen random mod {len(endpoints)} map {{ {each} }}")
    return "\n".join(lines) + "\n"


class Network:
    def __init__(self):
        sweep()
        self.lock = threading.Lock()
        self.prefix = f"shunt-{os.getpid()}-{next(numbers)}-"
        self.node = self.prefix + "node"
        self.names = []  # of namespaces that lead to Services themselves
        self.services = {}
        self.address = itertools.count(2)
        self.service_address = itertools.count(2)
        run("ip", "netns", "add", self.node)
        try:
            run("ip", "-n", self.node, "-batch", "-",
                text=f"link set lo up\nlink add br0 address {BRIDGE} type bridge\naddr add {NODE}/16 dev br0\nlink set br0 up\n")
        except BaseException:
            self.close()
            raise

    def add(self, name):
        """A namespace on the bridge; returns (its name, its address)."""
        name = self.prefix + name
        number = next(self.address)
        address = f"10.42.{number // 256}.{number % 256}"
        run("ip", "netns", "add", name)
        try:
            run("ip", "-n", self.node, "-batch", "-",
                text=f"link add v{number} type veth peer name eth0 netns {name}\nlink set v{number} master br0 up\n")
            run("ip", "-n", name, "-batch", "-",
                text=f"link set lo up\naddr add {address}/16 dev eth0\nlink set eth0 up\nroute add default via {NODE}\n")
            with self.lock:
                self._nft(name, TABLE + rules(self.services))
                self.names.append(name)
        except BaseException:
            run("ip", "netns", "del", name)
            raise
        return name, address

    def remove(self, name):
        with self.lock:
            if name in self.names:
                self.names.remove(name)
        if os.path.exists(path(name)):
            run("ip", "netns", "del", name)

    def service(self):
        """An address for a Service."""
        number = next(self.service_address)
        return f"10.43.{number // 256}.{number % 256}"

    def lead(self, services):
        """From now on new connections to Services go there: {(address, port): [(address, port)]}."""
        with self.lock:
            for name in self.names:
                self._nft(name, rules(services))
            self.services = dict(services)

    @staticmethod
    def _nft(name, text):
        run("nsenter", f"--net={path(name)}", "nft", "-f", "-", text=text)

    def socket(self, name=None, kind=socket.SOCK_STREAM):
        """A socket in that namespace, the node's by default."""
        with Inside(name or self.node):
            return socket.socket(socket.AF_INET, kind)

    def close(self):
        for name in [*self.names, self.node]:
            self.remove(name)
