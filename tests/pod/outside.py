"""From outside the pods: a client in a namespace of its own, and ports of the host that lead to a pod as `kubectl port-forward` does."""

import contextlib
import os
import socket
import subprocess
import threading

import names
import netns
import runtime


class Client:
    """A namespace that is no pod's, where names are looked up as in a pod of that namespace of Kubernetes."""

    def __init__(self, network, folder, name, namespace):
        self.network = network
        self.netns, self.address = network.add(name)
        self.resolv = os.path.join(folder, name + ".resolv.conf")
        runtime.write(self.resolv, names.resolv_conf(namespace))

    def words(self, command):
        return ["nsenter", f"--net={netns.path(self.netns)}", "unshare", "--mount", "sh", "-c",
                'mount --bind "$0" /etc/resolv.conf && exec "$@"', self.resolv, *command]

    def popen(self, command, **more):
        return subprocess.Popen(self.words(command), **more)

    def run(self, command, timeout=30, **more):
        """CompletedProcess, with bytes."""
        return subprocess.run(self.words(command), capture_output=True, timeout=timeout, check=False, **more)

    def connect(self, host, port, timeout=10):
        """A connected socket of this namespace; `host` is an address."""
        sock = self.network.socket(self.netns)
        sock.settimeout(timeout)
        try:
            sock.connect((host, port))
        except OSError:
            sock.close()
            raise
        return sock


@contextlib.contextmanager
def forwarded(network, name, port):
    """Gives the number of a port on the host's loopback whose connections lead to that one of the loopback of namespace `name`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener, network, name, port), name="forward", daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def accept(listener, network, name, port):
    while True:
        try:
            here, _ = listener.accept()
        except OSError:
            return
        try:
            there = network.socket(name)
            there.connect(("127.0.0.1", port))
        except OSError:
            here.close()
            continue
        for source, target in ((here, there), (there, here)):
            threading.Thread(target=relay, args=(source, target), name="forward", daemon=True).start()


def relay(source, target):
    with contextlib.suppress(OSError):
        while True:
            piece = source.recv(65536)
            if not piece:
                break
            target.sendall(piece)
    for sock, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
        with contextlib.suppress(OSError):
            sock.shutdown(how)
