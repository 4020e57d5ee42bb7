"""What TLS costs: handshakes, full and resumed. Requests on kept connections are a load like any other, see bench.py."""

import socket
import ssl
import statistics

from peers import Peer, certificate

PROXY_CORE = 1
HANDSHAKE = "CPU µs/handshake"
ROUNDS = "CPU µs/handshake of each round"


class Handshakes:
    """Connections that are closed as soon as they stand; resumed ones bring back the ticket of a first one. A resumed handshake of
    TLS 1.3 agrees on a new key all the same, and saves the signature only."""

    names = ["haproxy", "nginx", "shunt"]
    columns = [HANDSHAKE, "handshakes"]
    hung = False

    def __init__(self, version):
        self.version = version
        self.title = f"{'TLS 1.3' if version == ssl.TLSVersion.TLSv1_3 else 'TLS 1.2'} handshakes, ECDSA P-256, one after the other"

    def measure(self, run):
        count = 150 if run.quick else 400
        setting = run.setting()
        context = ssl.create_default_context(cafile=certificate(run.folder)[0])
        context.minimum_version = context.maximum_version = self.version
        running = {name: Peer(f"{name} tls", setting, PROXY_CORE) for name in self.names}
        samples = {f"{name}, {kind}": [] for name in self.names for kind in ("full", "resumed")}
        try:
            sessions = {name: first_session(context, peer.port) for name, peer in running.items()}
            for _ in range(run.rounds):
                for name, peer in running.items():
                    samples[f"{name}, full"].append(cost(peer, context, count))
                    samples[f"{name}, resumed"].append(cost(peer, context, count, sessions[name]))
        finally:
            for peer in running.values():
                peer.stop(seconds=1)
        return {label: {HANDSHAKE: statistics.median(rows), "handshakes": count * len(rows), ROUNDS: rows}
                for label, rows in samples.items()}


def connect(context, port, session=None):
    plain = socket.create_connection(("127.0.0.1", port))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain, server_hostname="localhost", session=session)


def first_session(context, port):
    """With the ticket, which comes with the first answer."""
    with connect(context, port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        sock.recv(4096)
        return sock.session


def cost(peer, context, count, session=None):
    before = peer.cpu_seconds()
    for _ in range(count):
        with connect(context, peer.port, session) as sock:
            if sock.session_reused != (session is not None):
                raise RuntimeError(f"{peer.name}: a session was {'not ' if session else ''}resumed")
    return (peer.cpu_seconds() - before) * 1e6 / count


def ratio(rows, one, other):
    return statistics.median(a / b for a, b in zip(rows[one][ROUNDS], rows[other][ROUNDS]))
