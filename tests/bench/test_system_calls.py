"""A request costs one read and one write on each side, and the loop's own waiting shared by many; nothing else.

64 kept connections whose requests are always waiting, counted by strace over the threads that serve.
"""

import contextlib
import signal
import ssl
import time

from counted import Client, Peer, SystemCalls, at_most, backends, free_port, main
from peers import certificate
from processes import Process, Trouble
from tls import connect

READS_AND_WRITES = ("read", "readv", "recvfrom", "recvmsg", "write", "writev", "sendto", "sendmsg")


def count(name, setting, rounds):
    with Peer(name, setting) as peer, Client(peer.port, 64) as client:
        client.rounds(20)  # opens upstream connections, fills free lists
        with SystemCalls([thread for thread in peer.threads() if thread != peer.pid]) as calls:
            requests = client.rounds(rounds)
        return calls, requests


def count_tls(name, setting, rounds):
    """The same over TLS, where OpenSSL by itself would read once more for each request."""
    context = ssl.create_default_context(cafile=certificate(setting.folder)[0])
    with Peer(name, setting) as peer, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(context, peer.port)) for _ in range(32)]

        def one_round():
            for client in clients:
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            for client in clients:
                assert client.recv(65536).startswith(b"HTTP/1.1 200")

        for _ in range(20):
            one_round()
        with SystemCalls([thread for thread in peer.threads() if thread != peer.pid]) as calls:
            for _ in range(rounds):
                one_round()
        return calls, rounds * len(clients)


def count_fleet(name, setting, rounds):
    """The same in a fleet whose Redis has stopped in the middle of it."""
    setting.redis = free_port()
    argv = ["redis-server", "--port", setting.redis, "--bind", "127.0.0.1", "--save", "", "--dir", setting.folder]
    with Process(argv) as redis, Peer(name, setting) as peer, Client(peer.port, 64) as client:
        redis.await_port(setting.redis)
        client.rounds(20)
        await_role(peer, "leader")
        redis.child.send_signal(signal.SIGSTOP)
        try:
            with SystemCalls([thread for thread in peer.threads() if thread != peer.pid]) as calls:
                requests = client.rounds(rounds)
        finally:
            redis.child.send_signal(signal.SIGCONT)
        return calls, requests


def await_role(peer, role, seconds=20):
    end = time.monotonic() + seconds
    while not peer.metrics()("shunt_fleet_role", f'role="{role}"'):
        if time.monotonic() > end:
            raise Trouble(f"{peer.name} is no {role} after {seconds} s")
        time.sleep(0.02)


def check(name, setting, reads_and_writes, all_calls, counted=count):
    calls, requests = counted(name, setting, 50)
    print(f"{name}: {requests} requests, " + ", ".join(f"{call} {n}" for call, n in sorted(calls.counts.items())))
    moved = sum(calls.counts.get(call, 0) for call in READS_AND_WRITES)
    at_most(f"{name}: reads and writes per request", moved / requests, reads_and_writes)
    at_most(f"{name}: system calls per request", calls.total() / requests, all_calls)
    # An upstream connection is registered once, when it is opened; how many are opened now depends on the load's luck.
    at_most(f"{name}: epoll_ctl beside those of new connections",
            calls.counts.get("epoll_ctl", 0) - calls.counts.get("connect", 0), 0)


def test():
    with backends() as setting:
        check("shunt", setting, 4.05, 4.3)
        check("shunt mirror", setting, 6.05, 6.4)
        check("shunt fleet", setting, 4.05, 4.3, count_fleet)
        check("shunt tls", setting, 4.05, 6.1, count_tls)  # one request at a time: the loop may wait for each side


main(test)
