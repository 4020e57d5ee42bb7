"""TLS to backends: who is trusted and why not, client certificates, protocols by ALPN, sessions, and backends that stall or leave."""

import os
import select
import shutil
import socket
import ssl
import time
import warnings

from certificates import DAY, authority, server_context, stranger
from harness import Case, Peer, config, http_reply, main, request, wait_until
from http2 import H2Backend
from tls_peer import TlsBackend

warnings.filterwarnings("ignore", "ssl.TLSVersion.TLSv1", DeprecationWarning)


class Upstream(Case):
    def begin(self, legacy, top="access_log: off", env=None, **options):
        return self.shunt(config(legacy, top=top, **options), env=env)

    def tls(self, pair=None, keys="", **options):
        """A backend that shows this pair."""
        return self.peer(TlsBackend(context=server_context(pair), keys=keys, **options))

    def refused(self, legacy, reason, why="", **options):
        """The backend is not trusted, or cannot be talked to: 502 or 503, counted, and `why` is in the log."""
        shunt = self.begin(legacy, top="", **options)
        reply = shunt.get()
        self.assertIn(reply.status, (502, 503), reply)
        failures = shunt.metrics().by("shunt_tls_handshake_failures_total", "reason", side="upstream")
        self.assertGreaterEqual(failures.get(reason, 0), 1, failures)
        self.assertEqual(getattr(legacy, "requests", []), [])
        self.assertGreaterEqual(shunt.metric("shunt_outcomes_total", backend="legacy", outcome="connect_failed"), 1)
        wait_until(shunt.access, "the access log")
        self.assertIn(why, shunt.access()[0]["error"])
        return shunt


class Trust(Upstream):
    def test_a_given_authority(self):
        legacy = self.tls()
        shunt = self.begin(legacy, workers=1)
        self.assertEqual([shunt.get().status for _ in range(3)], [200] * 3)
        self.assertEqual(legacy.requests[0].get("host"), "shunt.test")
        self.assertEqual(legacy.requests[0].get("x-forwarded-proto"), "http")
        self.assertEqual(shunt.metric("shunt_tls_handshakes_total", side="upstream", result="full"), 1)

    def test_the_systems_authorities(self):
        legacy = self.tls()
        legacy.keys = ""
        self.refused(legacy, "certificate_authority")
        shunt = self.begin(legacy, env={"SSL_CERT_FILE": authority().certificate})
        self.assertEqual(shunt.get().status, 200)

    def test_expired(self):
        self.refused(self.tls(authority().issue(begins=-5 * DAY, ends=-DAY)), "certificate_expired", "has expired")

    def test_not_yet_valid(self):
        self.refused(self.tls(authority().issue(begins=DAY, ends=5 * DAY)), "certificate", "not valid yet")

    def test_wrong_name(self):
        self.refused(self.tls(authority().issue("other.test", ("other.test",), ("127.0.0.9",))), "certificate_name", "for another name")

    def test_a_common_name_is_no_name(self):
        self.refused(self.tls(authority().issue("127.0.0.1", ("other.test",), ())), "certificate_name")

    def test_unknown_authority(self):
        self.refused(self.tls(stranger().issue()), "certificate_authority", "unknown CA")

    def test_a_certificate_for_clients_only(self):
        self.refused(self.tls(authority().issue(usage="clientAuth")), "certificate", "not for servers")

    def test_old_protocol(self):
        context = server_context()
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        self.refused(self.peer(TlsBackend(context=context)), "protocol")

    def test_not_tls_at_all(self):
        plain = self.script(r"read 50; send `HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n`; close")
        plain.url = plain.url.replace("http:", "https:")
        plain.keys = f", tls: {{ ca: {authority().certificate} }}"
        self.refused(plain, "protocol")

    def test_the_name_that_is_asked_for_and_checked(self):
        pair = authority().issue("svc.test", ("svc.test",), ())
        named = self.tls(pair, f"tls: {{ ca: {authority().certificate}, server_name: svc.test }}")
        self.assertEqual(self.begin(named).get().status, 200)
        self.assertEqual(named.server_names, ["svc.test"])
        by_address = self.tls()
        self.assertEqual(self.begin(by_address).get().status, 200)
        self.assertEqual(by_address.server_names, [None], "an address is no name for SNI (RFC 6066)")
        by_host = self.peer(TlsBackend(host="localhost"))
        self.assertEqual(self.begin(by_host).get().status, 200)
        self.assertEqual(by_host.server_names[-1], "localhost")

    def test_insecure_skip_verify_is_loud_and_counted(self):
        for pair in (stranger().issue("x", ("x",), ()), authority().issue(begins=-5 * DAY, ends=-DAY)):
            legacy = self.tls(pair, "tls: { insecure_skip_verify: true }")
            shunt = self.begin(legacy)
            self.assertEqual(shunt.wait_events("tls_unverified_backend")[0]["backend"], "legacy")
            self.assertEqual(shunt.get().status, 200)
            self.assertEqual(shunt.metric("shunt_tls_insecure_backends"), 1)
            self.assertEqual(shunt.metric("shunt_tls_unverified_total"), 1)
            shunt.reload()
            self.assertGreaterEqual(len(shunt.find_events("tls_unverified_backend")), 2)

    def test_a_verified_backend_is_not_counted_as_insecure(self):
        shunt = self.begin(self.tls())
        shunt.get()
        self.assertEqual((shunt.metric("shunt_tls_insecure_backends"), shunt.metric("shunt_tls_unverified_total")), (0, 0))
        self.assertEqual(shunt.find_events("tls_unverified_backend"), [])


class Shown(Upstream):
    def mutual(self):
        return self.peer(TlsBackend(context=server_context(client_ca=authority().certificate)))

    def test_our_certificate_is_shown_when_asked(self):
        legacy = self.mutual()
        pair = authority().issue("shunt")
        legacy.keys = f", tls: {{ ca: {authority().certificate}, {pair.keys} }}"
        shunt = self.begin(legacy)
        self.assertEqual(shunt.get().status, 200)
        self.assertIn((("commonName", "shunt"),), legacy.client_certificates[0]["subject"])
        self.assertEqual(shunt.metric("shunt_tls_certificate_expiry_seconds", certificate=pair.certificate), pair.ends_at())

    def test_without_one_the_backend_refuses_us(self):
        legacy = self.mutual()
        shunt = self.begin(legacy)
        self.assertIn(shunt.get().status, (502, 503))
        self.assertEqual(legacy.requests, [])
        wait_until(lambda: legacy.refused, "the backend's refusal")

    def test_another_certificate_is_taken_when_the_file_changes(self):
        legacy = self.mutual()
        legacy.handler = lambda request_: http_reply("ok", close=True)
        pair = authority().issue("first").copy(self.directory)
        legacy.keys = f", tls: {{ ca: {authority().certificate}, {pair.keys} }}"
        shunt = self.begin(legacy)
        self.assertEqual(shunt.get().status, 200)
        authority().issue("second").copy_to(pair)

        def is_second():
            self.assertEqual(shunt.get().status, 200)
            return (("commonName", "second"),) in legacy.client_certificates[-1]["subject"]

        wait_until(is_second, "the second certificate")

    def test_another_authority_is_trusted_when_the_file_changes(self):
        ca = os.path.join(self.directory, "ca.pem")
        shutil.copy(authority().certificate, ca)
        legacy = self.tls(stranger().issue(), f"tls: {{ ca: {ca} }}")
        shunt = self.begin(legacy)
        self.assertIn(shunt.get().status, (502, 503))
        shutil.copy(stranger().certificate, ca + ".new")
        os.replace(ca + ".new", ca)
        wait_until(lambda: shunt.get().status == 200, "the other authority")


class Protocols(Upstream):
    def test_auto_follows_alpn(self):
        h2 = self.peer(H2Backend(tls=server_context(alpn=("h2", "http/1.1")), keys="protocol: auto"))
        self.assertEqual(self.begin(h2).get().status, 200)
        self.assertEqual(h2.requests[0].version, "HTTP/2")
        for offered in (("http/1.1",), None):
            h1 = self.peer(TlsBackend(context=server_context(alpn=offered), keys="protocol: auto"))
            self.assertEqual(self.begin(h1).get().status, 200)

    def test_http1_is_what_is_said(self):
        legacy = self.peer(TlsBackend(context=server_context(alpn=("h2", "http/1.1")), keys="protocol: http1"))
        self.assertEqual(self.begin(legacy).get().status, 200)

    def test_http2_is_what_is_said(self):
        legacy = self.peer(H2Backend(tls=server_context(alpn=("h2",))))
        self.assertEqual(self.begin(legacy).get().status, 200)
        for offered in (("http/1.1",), None):
            h1 = self.peer(TlsBackend(context=server_context(alpn=offered), keys="protocol: http2"))
            self.refused(h1, "protocol", "does not choose h2")


class Sessions(Upstream):
    def test_sessions_are_used_again(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = server_context()
            context.maximum_version = version
            legacy = self.peer(TlsBackend(lambda request_: http_reply("ok", close=True), context=context))
            shunt = self.begin(legacy, workers=1)
            for _ in range(6):
                self.assertEqual(shunt.get().status, 200)
            self.assertGreaterEqual(legacy.sessions.count(True), 4, (version, legacy.sessions))
            self.assertEqual(shunt.metric("shunt_tls_handshakes_total", side="upstream", result="resumed"), legacy.sessions.count(True))

    def test_kept_connections_are_used_again(self):
        legacy = self.tls()
        shunt = self.begin(legacy, workers=1)
        with shunt.client() as client:
            for _ in range(10):
                self.assertEqual(client.get().status, 200)
        self.assertEqual(len(legacy.sessions), 1)


class Trouble(Upstream):
    def test_a_backend_that_does_not_shake_hands_is_timed_out(self):
        """504, since somebody is there; other requests are answered meanwhile."""
        legacy = self.script("hang")
        legacy.url, legacy.keys = legacy.url.replace("http:", "https:"), f", tls: {{ ca: {authority().certificate} }}"
        new = self.backend(name="new")
        shunt = self.shunt(config(legacy, new, "  - name: n\n    match: { path: /new }\n    percent: 100\n    breaker: off\n",
                                  timeouts="tls_handshake: 500ms", workers=1))
        with shunt.client() as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            wait_until(lambda: legacy.raw, "the handshake's begin")
            self.assertEqual(request(shunt.address, "/new").status, 200)
            self.assertEqual(client.reply().status, 504)
        self.assertGreaterEqual(shunt.metric("shunt_tls_handshake_failures_total", side="upstream", reason="timeout"), 1)

    def test_a_backend_that_leaves_inside_the_handshake(self):
        for script in ("read 50; close", "read 50; reset"):
            legacy = self.script(script)
            legacy.url, legacy.keys = legacy.url.replace("http:", "https:"), f", tls: {{ ca: {authority().certificate} }}"
            shunt = self.begin(legacy)
            self.assertIn(shunt.get().status, (502, 503))
            self.assertGreaterEqual(shunt.metric("shunt_tls_handshake_failures_total", side="upstream", reason="closed"), 1)

    def test_a_truncated_answer_is_noticed(self):
        """An answer that lasts until the close is whole only when TLS says that it ends."""
        for is_polite in (True, False):
            def play(conn, is_polite=is_polite):
                conn.read_request()
                conn.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
                if is_polite:
                    conn.bye()

            shunt = self.begin(self.peer(TlsBackend(play=play)))
            reply = shunt.get()
            self.assertEqual(reply.body, b"all of it")
            self.assertEqual(reply.truncated, not is_polite)
            self.assertEqual(shunt.metric("shunt_tls_truncated_total", side="upstream"), 0 if is_polite else 1)

    def test_an_answer_of_known_length_needs_no_notice(self):
        def play(conn):
            conn.read_request()
            conn.send(http_reply("whole"))

        reply = self.begin(self.peer(TlsBackend(play=play))).get()
        self.assertEqual((reply.body, reply.truncated), (b"whole", False))

    def test_a_large_answer_and_a_large_request(self):
        body = os.urandom(5 << 20)
        legacy = self.peer(TlsBackend(lambda request_: http_reply(request_.body[::-1])))
        shunt = self.begin(legacy)
        self.assertEqual(request(shunt.address, method="POST", body=body).body, body[::-1])

    def test_a_slow_backend_of_tls_is_waited_for(self):
        """Bytes of the handshake in single steps."""
        inner = self.peer(TlsBackend())
        dripping = self.peer(Peer(lambda conn: relay_in_pieces(conn, inner.address)))
        dripping.url, dripping.keys = dripping.url.replace("http:", "https:"), inner.keys
        self.assertEqual(self.begin(dripping, timeouts="tls_handshake: 15s").get().status, 200)


def relay_in_pieces(conn, address):
    """Passes bytes between a connection of a peer and an address; to the former in small pieces."""
    with socket.create_connection(address) as other:
        while not conn.peer.stopping:
            for one in select.select([conn.socket, other], [], [], 0.1)[0]:
                piece = one.recv(65536)
                if not piece:
                    return
                if one is conn.socket:
                    other.sendall(piece)
                    continue
                for at in range(0, len(piece), 60):
                    conn.send(piece[at : at + 60])
                    time.sleep(0.0005)


if __name__ == "__main__":
    main()
