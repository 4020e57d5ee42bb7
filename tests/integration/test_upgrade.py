"""Upgraded connections: relayed byte for byte both ways, half-closed in either direction, refused by the backend, cut off when idle."""

import hashlib
import os
import threading

from harness import Case, EchoBackend, config, main, wait_until

ASK = "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"


class Upgrade(Case):
    def opened(self, shunt, ask=ASK):
        client = self.client(shunt)
        client.send(ask)
        reply = client.head()
        self.assertEqual(reply.status, 101)
        return client, reply

    def test_handshake_fields_arrive_on_both_sides(self):
        backend = self.peer(EchoBackend())
        shunt = self.shunt(config(backend))
        _, reply = self.opened(shunt)
        self.assertEqual((reply.get("upgrade"), reply.get("connection").lower()), ("websocket", "upgrade"))
        seen = backend.requests[0]
        self.assertEqual((seen.get("upgrade"), seen.get("connection").lower()), ("websocket", "upgrade"))
        self.assertEqual(seen.get("sec-websocket-key"), "dGhlIHNhbXBsZSBub25jZQ==")

    def test_every_byte_comes_back(self):
        shunt = self.shunt(config(self.peer(EchoBackend())))
        client, _ = self.opened(shunt)
        for size in (1, 2, 125, 1000, 65536):
            data = os.urandom(size)
            client.send(data)
            self.assertEqual(client.read_exact(size), data)

    def test_large_volume_both_ways_at_once(self):
        shunt = self.shunt(config(self.peer(EchoBackend())))
        client, _ = self.opened(shunt)
        total, block = 32 << 20, os.urandom(1 << 20)
        sender = threading.Thread(target=lambda: [client.send(block) for _ in range(total // len(block))], daemon=True)
        sender.start()
        seen, left = hashlib.sha256(), total
        while left:
            piece = client.read_some()
            self.assertTrue(piece, f"the tunnel ended with {left} bytes to come")
            seen.update(piece)
            left -= len(piece)
        sender.join(10)
        expected = hashlib.sha256()
        for _ in range(total // len(block)):
            expected.update(block)
        self.assertEqual(seen.digest(), expected.digest())

    def test_bytes_sent_with_the_handshake_are_not_lost(self):
        shunt = self.shunt(config(self.peer(EchoBackend())))
        with shunt.client() as client:
            client.send(ASK.encode() + b"early bytes")
            self.assertEqual(client.head().status, 101)
            self.assertEqual(client.read_exact(11), b"early bytes")

    def test_bytes_the_backend_sends_with_101_are_not_lost(self):
        backend = self.peer(EchoBackend(answer=b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello!"))
        shunt = self.shunt(config(backend))
        client, _ = self.opened(shunt)
        self.assertEqual(client.read_exact(6), b"hello!")
        client.send("x")
        self.assertEqual(client.read_exact(1), b"x")

    def test_client_half_closes_and_still_reads(self):
        """The echo ends its half only after it has seen ours end: both halves travel separately."""
        shunt = self.shunt(config(self.peer(EchoBackend())))
        client, _ = self.opened(shunt)
        client.send(b"last words")
        client.half_close()
        self.assertEqual(client.read_to_end(), b"last words")

    def test_backend_half_closes_and_still_reads(self):
        backend = self.script(r"read head; send `HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nbye`; half-close; "
                              r"read 5; hang")
        shunt = self.shunt(config(backend))
        client, _ = self.opened(shunt, ASK.replace("websocket", "x"))
        self.assertEqual(client.read_to_end(), b"bye")
        client.send("still")
        wait_until(lambda: backend.raw[0].endswith(b"still"), "bytes behind the backend's half-close")
        client.close()
        wait_until(lambda: backend.open == 0, "the tunnel to end")

    def test_reset_of_either_side_ends_the_other(self):
        backend = self.peer(EchoBackend())
        shunt = self.shunt(config(backend))
        client, _ = self.opened(shunt)
        client.reset()
        wait_until(lambda: backend.open == 0, "the backend's side to end")
        backend = self.script(r"read head; send `HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n`; read 1; reset")
        shunt = self.shunt(config(backend))
        client, _ = self.opened(shunt, ASK.replace("websocket", "x"))
        client.send("x")
        self.assertIn(client.ends(), ("reset", "closed"))

    def test_reset_together_with_bytes_ends_the_other(self):
        """Bytes and the reset are one event for the loop: the reset must not be lost behind the bytes."""
        backend = self.peer(EchoBackend())
        shunt = self.shunt(config(backend))
        for _ in range(20):
            client, _ = self.opened(shunt)
            client.send(b"x" * 1000)
            client.reset()
        wait_until(lambda: backend.open == 0, "the backend's side to end")
        wait_until(lambda: shunt.metric("shunt_tunnels_active") == 0, "no tunnel")
        backend = self.script(r"read head; send `HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n`; read 1; send `bye`; reset")
        shunt = self.shunt(config(backend))
        for _ in range(20):
            client, _ = self.opened(shunt, ASK.replace("websocket", "x"))
            client.send("x")
            try:
                self.assertIn(client.read_to_end(), (b"bye", b""))
            except ConnectionResetError:
                pass

    def test_a_backend_that_does_not_switch_answers_normally(self):
        shunt = self.shunt(config(self.backend()))
        with shunt.client() as client:
            for _ in range(3):
                self.assertEqual(client.ask(ASK).status, 200)
            self.assertEqual(client.get().status, 200)

    def test_switching_unasked_is_502(self):
        backend = self.peer(EchoBackend())
        shunt = self.shunt(config(backend))
        self.assertEqual(shunt.get().status, 502)

    def test_other_protocols_and_other_methods(self):
        backend = self.peer(EchoBackend(answer=b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\n"))
        shunt = self.shunt(config(backend))
        client, _ = self.opened(shunt, "POST /attach HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n")
        client.send("docker")
        self.assertEqual(client.read_exact(6), b"docker")

    def test_upgrade_without_connection_upgrade_is_not_one(self):
        backend = self.backend()
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            self.assertEqual(client.get(headers=["Upgrade: websocket"]).status, 200)
        self.assertEqual(backend.requests[0].all("upgrade"), [])

    def test_upgrade_from_http_10_is_not_one(self):
        backend = self.backend()
        shunt = self.shunt(config(backend))
        with shunt.client() as client:
            self.assertEqual(client.ask(ASK.replace("HTTP/1.1", "HTTP/1.0")).status, 200)
        self.assertEqual(backend.requests[0].all("upgrade"), [])

    def test_an_idle_tunnel_is_cut(self):
        backend = self.peer(EchoBackend())
        shunt = self.shunt(config(backend, timeouts="tunnel_idle: 300ms"))
        client, _ = self.opened(shunt)
        client.send("x")
        self.assertEqual(client.read_exact(1), b"x")
        self.assertIn(client.ends(), ("closed", "reset"))
        wait_until(lambda: backend.open == 0, "the backend's side to end")

    def test_tunnels_are_counted_and_none_is_left(self):
        backend = self.peer(EchoBackend())
        shunt = self.shunt(config(backend))
        before = shunt.fds()
        clients = [self.opened(shunt)[0] for _ in range(20)]
        self.assertEqual(shunt.metric("shunt_tunnels_active"), 20)
        for client in clients:
            client.close()
        wait_until(lambda: shunt.metric("shunt_tunnels_active") == 0, "no tunnel")
        wait_until(lambda: shunt.fds() <= before + 2, lambda: f"descriptors to return to {before}, have {shunt.fds()}")


if __name__ == "__main__":
    main()
