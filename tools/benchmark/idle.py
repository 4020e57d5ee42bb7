"""What is paid for nothing happening: memory of idle connections and of the idle program."""

import contextlib
import resource
import ssl
import time

import tls
from client import Client
from frames import END_HEADERS, END_STREAM, HEADERS, METHOD_GET, PREFACE, SCHEME_HTTPS, SETTINGS, field, frame, next_frame
from peers import Peer, certificate

PROXY_CORE = 1
WARM = 64  # connections before the first count: what is made once is made


class IdleConnections:
    title = "Resident memory of idle keep-alive connections, each after one answered request"
    names = ["shunt", "nginx", "haproxy"]
    columns = ["bytes/connection", "connections"]

    def measure(self, run):
        count = min(10000, file_limit() - 200)
        figures = {}
        for name in self.names:
            with Peer(name, run.setting(), PROXY_CORE) as peer:
                with Client(peer.port, WARM) as warm:
                    warm.rounds(20)
                before = peer.rss_bytes()
                with Client(peer.port, count) as client:
                    client.each_once()
                    time.sleep(0.5)  # what a program gives back in the background, it may
                    grown = peer.rss_bytes() - before
            figures[name] = {"bytes/connection": grown / count, "connections": count}
        return figures


class IdleHttp2:
    title = "Resident memory of idle HTTP/2 connections over TLS, each after one answered request"
    names = ["shunt", "nginx", "haproxy"]
    columns = ["KiB/connection", "connections"]

    def measure(self, run):
        count = min(10000, file_limit() - 200)
        figures = {}
        for name in self.names:
            with Peer(f"{name} tls", run.setting(), PROXY_CORE) as peer:
                figures[name] = {"KiB/connection": http2_bytes(peer, run.folder, count) / 1024, "connections": count}
        return figures


class IdleProcess:
    title = "Resident memory of the idle program with two workers"
    names = ["shunt", "nginx", "haproxy"]
    columns = ["MiB"]

    def measure(self, run):
        figures = {}
        for name in self.names:
            with Peer(name, run.setting(workers=2)) as peer:
                time.sleep(0.5)
                figures[name] = {"MiB": peer.rss_bytes() / 2**20}
        return figures


def file_limit():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


# ---- HTTP/2 ----

GET = METHOD_GET + SCHEME_HTTPS + field(b":authority", b"localhost") + field(b":path", b"/orders/4711") + field(b"user-agent", b"idle")


def ask_once(connection):
    connection.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_STREAM | END_HEADERS, 1, GET))
    flags = 0
    while not flags & END_STREAM:
        _, flags, _, _ = next_frame(connection)


def http2_bytes(peer, folder, count):
    """What each of `count` connections adds to the peer, once it rests."""
    context = ssl.create_default_context(cafile=certificate(folder)[0])
    context.set_alpn_protocols(["h2"])
    with contextlib.ExitStack() as stack:
        def open_all(count):
            for _ in range(count):
                ask_once(stack.enter_context(tls.connect(context, peer.port)))
            time.sleep(3)  # shunt takes a second to see that a connection rests

        open_all(WARM)
        before = peer.rss_bytes()
        open_all(count)
        return (peer.rss_bytes() - before) / count
