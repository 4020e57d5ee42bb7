"""Peers of HTTP/1.1 over TLS: a backend, and the client's side of a handshake."""

import socket
import ssl
import threading

from certificates import authority, client_context, server_context
from harness import DEADLINE, Backend, Client, Conn, PeerGone


class TlsConn(Conn):
    """A connection whose bytes come through TLS: what OpenSSL holds already is not seen by select()."""

    def _more(self):
        while True:
            if self.peer.stopping:
                raise PeerGone()
            self.socket.settimeout(0.1)
            try:
                piece = self.socket.recv(262144)
                break
            except TimeoutError:
                continue
            except OSError:
                raise PeerGone() from None
        if not piece:
            raise PeerGone()
        self.peer.note_bytes(self, piece)
        self.buffer += piece

    def send(self, data):
        self.socket.settimeout(DEADLINE)
        try:
            self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        except OSError:
            raise PeerGone() from None

    def bye(self):
        """Ends TLS as it should be: closing alone leaves the other end in doubt."""
        say_goodbye(self.socket)


def say_goodbye(sock):
    """Sends close_notify, and does not wait for the answer."""
    sock.settimeout(0)
    try:
        sock.unwrap()
    except (ssl.SSLWantReadError, ssl.SSLError, OSError):
        pass


class TlsBackend(Backend):
    """`play(conn)` may replace plain HTTP. `keys`: of the backend in the file; our authority where they do not speak of TLS."""

    def __init__(self, handler=None, name="legacy", context=None, keys="", play=None, host="127.0.0.1"):
        self.context = context or server_context()
        self.over_tls = play or super()._serve_http
        self.refused = []  # handshakes that failed, in Python's words
        self.sessions = []  # of each handshake: was it resumed?
        self.client_certificates = []
        self.server_names = []
        self.context.sni_callback = lambda _, name, __: self.server_names.append(name)
        super().__init__(handler, name)
        self.url = f"https://{host}:{self.port}"
        self.keys = ", " + (keys if "tls:" in keys else ", ".join(
            filter(None, (keys, f"tls: {{ ca: {authority().certificate} }}"))))

    def _serve_http(self, conn):
        conn.socket.settimeout(DEADLINE)
        try:
            conn.socket = self.context.wrap_socket(conn.socket, server_side=True)
        except (ssl.SSLError, OSError) as error:
            self.refused.append(str(error))
            return
        self.sessions.append(conn.socket.session_reused)
        self.client_certificates.append(conn.socket.getpeercert())
        self.over_tls(TlsConn(self, conn.socket, conn.number))


def handshake(address, context=None, server_name="localhost", session=None, timeout=DEADLINE):
    """A TLS connection as a socket; ssl.SSLError and OSError are the caller's."""
    plain = socket.create_connection(address, timeout)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        return (context or client_context()).wrap_socket(plain, server_hostname=server_name, session=session,
                                                         suppress_ragged_eofs=False)
    except BaseException:
        plain.close()
        raise


def is_truncation(error):
    """The connection ended without close_notify."""
    return isinstance(error, ssl.SSLEOFError) or error.reason == "UNEXPECTED_EOF_WHILE_READING"


class TlsClient(Client):
    """harness.Client over TLS."""

    def __init__(self, address, context=None, server_name="localhost", session=None, timeout=DEADLINE):
        super().__init__(handshake(address, context, server_name, session, timeout), timeout)

    def _more(self):
        try:
            return super()._more()
        except ssl.SSLError as error:
            if not is_truncation(error):
                raise
            self.eof = self.truncated = True
            return False

    truncated = False


class HandshakeLoad:
    """New connections, one request on each, from a few threads."""

    def __init__(self, address, threads=3):
        self.ok, self.failures = 0, []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(address,), daemon=True) for _ in range(threads)]
        for one in self.threads:
            one.start()

    def _run(self, address):
        context = client_context()
        while not self.over.is_set():
            try:
                with TlsClient(address, context) as client:
                    assert client.get().status == 200
                self.ok += 1
            except (OSError, AssertionError) as error:
                self.failures.append(f"{type(error).__name__}: {error}")

    def finish(self):
        self.over.set()
        for one in self.threads:
            one.join(30)

    stop = finish
