"""The cluster's name server: Services and nothing else, at the node's address, port 53.

NAME.NAMESPACE.svc.cluster.local is the Service's address; of a headless one those of its ready pods. Pods find it through the
resolv.conf a kubelet writes, with its search list and ndots:5 (https://kubernetes.io/docs/concepts/services-networking/dns-pod-service).
"""

import socket
import struct
import threading

import netns

DOMAIN = "svc.cluster.local"
A, ANY_CLASS, NXDOMAIN = 1, 1, 3
TTL = 5  # seconds, as CoreDNS' plugin kubernetes has it


def resolv_conf(namespace):
    return f"nameserver {netns.NODE}\nsearch {namespace}.{DOMAIN} {DOMAIN} cluster.local\noptions ndots:5\n"


def question(data):
    """The name that is asked for, the type, and where the question ends."""
    at, labels = 12, []
    while data[at]:
        labels.append(data[at + 1 : at + 1 + data[at]].decode("latin-1").lower())
        at += 1 + data[at]
    kind, _ = struct.unpack_from("!HH", data, at + 1)
    return ".".join(labels), kind, at + 5


def answer(data, addresses):
    """`addresses`: of a name that is known (none for another type than A), or None."""
    name, kind, end = question(data)
    found = addresses(name)
    records = b"".join(struct.pack("!HHHIH4s", 0xC00C, A, ANY_CLASS, TTL, 4, socket.inet_aton(a)) for a in found or [] if kind == A)
    flags = 0x8400 | (data[2] & 1) << 8 | (NXDOMAIN if found is None else 0)
    return data[:2] + struct.pack("!HHHHH", flags, 1, len(records) // 16, 0, 0) + data[12:end] + records


class Names:
    """`addresses(name)`: a list, or None of a name nobody knows. Questions for names in `silent` are left without an answer."""

    def __init__(self, network, addresses):
        self.addresses, self.silent = addresses, set()
        self.socket = network.socket(kind=socket.SOCK_DGRAM)
        self.socket.bind((netns.NODE, 53))
        self.thread = threading.Thread(target=self._serve, name="names", daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            data, who = self.socket.recvfrom(4096)
            if not data:  # close()
                return
            try:
                if question(data)[0] not in self.silent:
                    self.socket.sendto(answer(data, self.addresses), who)
            except (IndexError, struct.error):  # no question
                pass

    def close(self):
        self.socket.sendto(b"", self.socket.getsockname())
        self.thread.join(5)
        self.socket.close()
