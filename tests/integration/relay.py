"""A relay of bytes between clients and a server that can be slow, or hold still without closing anything."""

import socket
import threading
import time


class Relay:
    """`address` is where it listens. `delay` seconds before each piece is passed on; `still`: nothing is, and new connections are
    accepted and left alone, as by a firewall that lost its memory."""

    def __init__(self, target):
        self.target = target
        self.delay = 0.0
        self.still = threading.Event()
        self.stopping = False
        self.errors = []
        self.sockets = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = self.listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.stopping:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        self._hold()
        try:
            server = socket.create_connection(self.target, 5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        self.sockets += [client, server]
        threading.Thread(target=self._pass, args=(server, client), daemon=True).start()
        self._pass(client, server)

    def _hold(self):
        while self.still.is_set() and not self.stopping:
            time.sleep(0.02)

    def _pass(self, source, sink):
        try:
            while True:
                piece = source.recv(65536)
                if self.delay and piece:
                    time.sleep(self.delay)
                self._hold()
                if not piece:
                    break
                sink.sendall(piece)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()
            if end in self.sockets:
                self.sockets.remove(end)

    def stop(self):
        self.stopping = True
        self.listener.close()
        for end in list(self.sockets):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
