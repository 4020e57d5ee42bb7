"""A client and a backend of either version of HTTP, in the same words: for tests that hold for all four translations.

Versions are 1 and 2. An http2.Answer says what a backend answers, whichever it speaks.
"""

import itertools

from certificates import client_context, server_context
from harness import Client, Peer, PeerGone
from http2 import Answer, H2Backend, H2Client
from http2_frames import CANCEL, reset
from tls_peer import TlsBackend, TlsClient

TRANSLATIONS = list(itertools.product((1, 2), (1, 2)))  # (client's version, backend's)


def chunk(piece):
    return b"%x\r\n%s\r\n" % (len(piece), piece)


def lines(fields):
    return b"".join(name.encode("latin-1") + b": " + value.encode("latin-1") + b"\r\n" for name, value in fields)


def write_h1(conn, request_, answer):
    """Gives this answer on a connection of HTTP/1.1."""
    while answer.ready is not None and not answer.ready():
        if conn.peer.stopping:
            raise PeerGone()
    for status, fields in answer.interim:
        conn.send(b"HTTP/1.1 %d Interim\r\n" % status + lines(fields) + b"\r\n")
    whole = isinstance(answer.body, bytes)
    length = answer.length if answer.length is not None else len(answer.body) if whole and not answer.trailers else None
    fields = list(answer.headers)
    if answer.status not in (204, 304) and not any(name.lower() == "content-length" for name, _ in fields):
        fields.append(("Transfer-Encoding", "chunked") if length is None else ("Content-Length", str(length)))
    conn.send(b"HTTP/1.1 %d Some reason\r\n" % answer.status + lines(fields) + b"\r\n")
    if request_.method == "HEAD" or answer.status in (204, 304):
        return
    for piece in [answer.body] if whole else answer.body:
        if piece:
            conn.send(piece if length is not None else chunk(piece))
    if answer.code is not None:
        conn.reset()
        raise PeerGone()
    if length is None:
        conn.send(b"0\r\n" + lines(answer.trailers) + b"\r\n")


def serve_h1(peer, conn):
    while True:
        request_ = conn.read_request()
        answer = peer.handler(request_)
        if answer is None:
            conn.wait_closed()
            raise PeerGone()
        write_h1(conn, request_, answer if isinstance(answer, Answer) else Answer(answer, headers=[("x-backend", peer.name)]))


class H1Backend(Peer):
    def __init__(self, handler, name):
        self.handler, self.name = handler, name
        super().__init__(lambda conn: serve_h1(self, conn))


def backend(version, handler=None, name="legacy", tls=False, **options):
    """`handler(request)` returns an Answer, bytes, or None for no answer."""
    handler = handler or (lambda request_: Answer(name.encode(), headers=[("x-backend", name)]))
    if version == 2:
        return H2Backend(handler, name, server_context(alpn=("h2",)) if tls else None, **options)
    if not tls:
        return H1Backend(handler, name)
    peer = TlsBackend(handler, name, play=lambda conn: serve_h1(peer, conn))
    return peer


class H1Client:
    """harness.Client with the words of H2Client."""

    def __init__(self, address, tls=False, context=None):
        self.client = TlsClient(address, context or client_context()) if tls else Client(address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def start(self, path="/", method="GET", headers=(), body=None, trailers=(), authority="shunt.test"):
        """Sends a request. Where `body` is no bytes, or there are trailers, in chunks."""
        fields = [("Host", authority), *((line.split(": ", 1)) if isinstance(line, str) else line for line in headers)]
        whole = body is None or (isinstance(body, bytes) and not trailers)
        if not whole:
            fields.append(("Transfer-Encoding", "chunked"))
        elif body is not None:
            fields.append(("Content-Length", str(len(body))))
        self.client.send(f"{method} {path} HTTP/1.1\r\n".encode() + lines(fields) + b"\r\n" + (body if whole and body else b""))
        if not whole:
            for piece in [body] if isinstance(body, bytes) else body or ():
                self.client.send(chunk(piece))
            self.client.send(b"0\r\n" + lines(trailers) + b"\r\n")

    def get(self, path="/", headers=(), method="GET", body=None, trailers=(), authority="shunt.test"):
        self.start(path, method, headers, body, trailers, authority)
        return self.client.reply(method)

    def leave(self):
        self.client.close()

    close = leave


class H2ClientAgain(H2Client):
    def start(self, path="/", method="GET", headers=(), body=None, trailers=(), authority="shunt.test"):
        more = [(line.split(": ", 1)[0].lower(), line.split(": ", 1)[1]) if isinstance(line, str) else line for line in headers]
        self.last = self.open(path, method, more, end=body is None and not trailers, authority=authority)
        if body is not None or trailers:
            self.send_body(self.last, body or b"", trailers)
        return self.last

    def leave(self):
        """Gives up the request that was started last."""
        self.send(reset(self.last.number, CANCEL))


def client(address, version, tls=False):
    if version == 1:
        return H1Client(address, tls)
    return H2ClientAgain(address, client_context(alpn=["h2"]) if tls else None)


def interim_of(reply):
    """[(status, fields)] of the replies 1xx, names in lower case; Via, which shunt adds, left out."""
    found = []
    for one in reply.interim:
        if isinstance(one, list):
            found.append((int(dict(one)[b":status"]), [field for field in one if not field[0].startswith(b":")]))
        else:
            found.append((one.status, [(name.lower(), value) for name, value in one.fields]))
    return [(status, [field for field in fields if field[0] != b"via"]) for status, fields in found]
