"""TLS on listeners: versions, names, client certificates, reloads under load, tickets, early data, and peers that leave or stall.

TLS to backends is in test_tls_upstream.py.
"""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
import warnings

from certificates import DAY, Pair, Secret, authority, client_context, stranger
from harness import BUILD, DEADLINE, Case, Client, Ended, config, environment, http_reply, main, request, wait_until
from held import Held, thread_named
from http2 import H2Client
from tls_peer import HandshakeLoad, TlsBackend, TlsClient, handshake, say_goodbye

warnings.filterwarnings("ignore", "ssl.TLSVersion.TLSv1", DeprecationWarning)  # an old client is what is played
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
REFUSED = (ssl.SSLError, ConnectionError, Ended, TimeoutError)


def listener(keys, *more):
    """Lines of a listener with these keys of TLS."""
    return [f"tls: {{ {keys} }}", *more]


class TlsCase(Case):
    def begin(self, keys=None, legacy=None, new=None, routes="", more=(), **options):
        self.legacy = legacy or self.backend()
        return self.shunt(config(self.legacy, new, routes, listener=listener(keys or authority().issue().keys, *more),
                                 **{"top": "access_log: off", **options}))

    def ask(self, shunt, context=None, server_name="localhost", path="/", headers=()):
        with TlsClient(shunt.address, context, server_name) as client:
            return client.get(path, headers)

    def refused(self, shunt, context=None, **options):
        """A handshake, or what follows it (in TLS 1.3 a client hears of its certificate later), fails."""
        with self.assertRaises(REFUSED):
            self.ask(shunt, context, **options)

    def failures(self, shunt, reason):
        return shunt.metric("shunt_tls_handshake_failures_total", side="downstream", reason=reason)

    def wait_failures(self, shunt, reason, count=1):
        wait_until(lambda: self.failures(shunt, reason) >= count, lambda: f"{count} handshakes that failed for {reason}, have "
                   f"{shunt.metrics().by('shunt_tls_handshake_failures_total', 'reason', side='downstream')}")

    def shown(self, shunt, context=None, server_name="localhost"):
        """The DER of the certificate that a client is shown."""
        with handshake(shunt.address, context or client_context(False), server_name) as sock:
            return sock.getpeercert(True)


class Handshakes(TlsCase):
    def test_both_versions_and_no_older_one(self):
        shunt = self.begin()
        for version in (TLS12, TLS13):
            self.assertEqual(self.ask(shunt, client_context(oldest=version, newest=version)).status, 200)
        old = client_context(oldest=ssl.TLSVersion.TLSv1, newest=ssl.TLSVersion.TLSv1_1)
        old.set_ciphers("ALL:@SECLEVEL=0")
        self.refused(shunt, old)
        self.wait_failures(shunt, "protocol")
        self.assertEqual(shunt.metric("shunt_tls_handshakes_total", side="downstream", result="full"), 2)
        self.assertEqual(shunt.metric("shunt_tls_handshakes_total", side="downstream", result="failed"), 1)

    def test_the_oldest_version_may_be_set(self):
        shunt = self.begin(authority().issue().keys + ", min_version: 1.3")
        self.assertEqual(self.ask(shunt).status, 200)
        self.refused(shunt, client_context(newest=TLS12))

    def test_weak_ciphers_are_refused(self):
        shunt = self.begin(authority().issue(kind="rsa").keys)
        for cipher in ("AES128-SHA", "AES256-GCM-SHA384", "ECDHE-RSA-AES128-SHA", "AECDH-AES128-SHA"):
            with self.subTest(cipher):
                context = client_context(newest=TLS12)
                context.set_ciphers(cipher + ":@SECLEVEL=0")
                self.refused(shunt, context)

    def test_the_client_chooses_the_protocol(self):
        shunt = self.begin()
        for offered, spoken in ((["h2", "http/1.1"], "h2"), (["http/1.1", "h2"], "h2"), (["http/1.1"], "http/1.1"), (None, None)):
            with self.subTest(offered), handshake(shunt.address, client_context(alpn=offered)) as sock:
                self.assertEqual(sock.selected_alpn_protocol(), spoken)
        self.assertEqual(self.ask(shunt, client_context(alpn=None)).status, 200)
        self.refused(shunt, client_context(alpn=["spdy/1"]))
        self.wait_failures(shunt, "protocol")

    def test_the_file_says_which_protocols_there_are(self):
        for protocol in ("h2", "http/1.1"):
            shunt = self.begin(more=[f"protocols: [{protocol}]"])
            with handshake(shunt.address, client_context(alpn=["h2", "http/1.1"])) as sock:
                self.assertEqual(sock.selected_alpn_protocol(), protocol)

    def test_the_name_chooses_the_certificate(self):
        pairs = {name: authority().issue(name, (name,), ()) for name in ("a.test", "b.test", "*.wild.test")}
        keys = f"certificates: [ {', '.join(f'{{ {pair.keys} }}' for pair in pairs.values())} ]"
        shunt = self.begin(keys)
        for asked, name in (("a.test", "a.test"), ("b.test", "b.test"), ("B.TEST", "b.test"), ("x.wild.test", "*.wild.test"),
                            ("nobody.test", "a.test"), ("x.y.wild.test", "a.test"), (None, "a.test")):
            with self.subTest(asked):
                self.assertEqual(self.shown(shunt, server_name=asked), pairs[name].der())

    def test_rsa_and_ecdsa_side_by_side(self):
        rsa, ecdsa = authority().issue(kind="rsa"), authority().issue()
        shunt = self.begin(f"certificates: [ {{ {rsa.keys} }}, {{ {ecdsa.keys} }} ]")
        for cipher, pair in (("ECDHE-RSA-AES128-GCM-SHA256", rsa), ("ECDHE-ECDSA-AES128-GCM-SHA256", ecdsa)):
            context = client_context(False, newest=TLS12)
            context.set_ciphers(cipher)
            self.assertEqual(self.shown(shunt, context), pair.der(), cipher)
        for algorithm, kind in (("RSA-PSS+SHA256", "RSA"), ("ECDSA+SHA256", "EC")):
            said = s_client(shunt, "-tls1_3", "-sigalgs", algorithm).stdout
            self.assertRegex(said, "Peer signature type: (RSA-PSS|ECDSA)")
            self.assertEqual("RSA" if "Peer signature type: RSA" in said else "EC", kind)

    def test_no_renegotiation(self):
        shunt = self.begin()
        done = s_client(shunt, "-tls1_2", text="R\n", check=False)
        self.assertIn("RENEGOTIATING", done.stdout + done.stderr)
        self.assertRegex(done.stderr, "no renegotiation|handshake failure|unexpected")
        self.assertEqual(self.ask(shunt).status, 200)

    def test_what_is_not_tls_is_counted(self):
        shunt = self.begin()
        for data in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 100):
            with Client(shunt.address) as client:
                client.send(data)
                try:
                    self.assertNotIn(b"HTTP/1.1 200", client.read_to_end())
                except ConnectionResetError:
                    pass
        self.wait_failures(shunt, "protocol", 3)
        self.assertEqual(self.legacy.requests, [])

    def test_a_slow_handshake_is_timed_out_and_holds_up_nobody(self):
        shunt = self.begin(timeouts="tls_handshake: 400ms", workers=1)
        silent, half = Client(shunt.address), Client(shunt.address)
        half.send(client_hello()[:100])
        for _ in range(5):
            self.assertEqual(self.ask(shunt).status, 200)
        self.assertEqual({silent.ends(), half.ends()} - {"closed", "reset"}, set())
        self.wait_failures(shunt, "timeout", 2)

    def test_a_client_that_leaves_inside_the_handshake_is_counted(self):
        shunt = self.begin()
        with Client(shunt.address) as client:
            client.send(client_hello()[:100])
        with Client(shunt.address) as client:
            client.send(client_hello())
            client.read_some()
            client.reset()
        self.wait_failures(shunt, "closed", 2)
        wait_until(lambda: shunt.metric("shunt_downstream_active") == 0, "no connection")

    def test_a_client_that_distrusts_us_is_counted(self):
        shunt = self.begin(stranger().issue().keys)
        self.refused(shunt)
        self.wait_failures(shunt, "alert")

    def test_start_with_files_that_are_no_good_is_refused(self):
        good, other = authority().issue(), authority().issue("other")
        garbage = os.path.join(self.directory, "garbage.pem")
        with open(garbage, "w", encoding="ascii") as f:
            f.write("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
        cases = {"no file": f"certificate: {self.directory}/none.pem, key: {good.key}",
                 "garbage": f"certificate: {garbage}, key: {good.key}",
                 "another's key": f"certificate: {good.certificate}, key: {other.key}",
                 "a bad authority": f"{good.keys}, client_ca: {garbage}"}
        for name, keys in cases.items():
            with self.subTest(name):
                path = os.path.join(self.directory, "bad.yaml")
                with open(path, "w", encoding="utf-8") as f:
                    f.write(config("http://127.0.0.1:9", listener=listener(keys)))
                done = subprocess.run([os.path.join(BUILD, "shunt"), "--config", path], capture_output=True, text=True,
                                      timeout=DEADLINE, env=environment(), check=False)
                self.assertNotEqual(done.returncode, 0)
                self.assertRegex(done.stdout + done.stderr, "none.pem|garbage.pem|key|certificate")


    def test_check_says_every_fault_of_the_files(self):
        good, other = authority().issue(), authority().issue("other")
        path = os.path.join(self.directory, "check.yaml")
        for keys, ca, faults in ((f"certificate: {good.certificate}, key: {other.key}", f"{self.directory}/none.pem", 2),
                                 (good.keys, f"{self.directory}/none.pem", 1), (good.keys, authority().certificate, 0)):
            with open(path, "w", encoding="utf-8") as f:
                f.write(config("https://127.0.0.1:9", listener=listener(keys), backend_extra=f", tls: {{ ca: {ca} }}"))
            with open(os.path.join(self.directory, "none.pem"), "w", encoding="ascii") as f:
                f.write("nobody\n")
            done = subprocess.run([os.path.join(BUILD, "shunt"), "--check", path], capture_output=True, text=True,
                                  timeout=DEADLINE, env=environment(), check=False)
            said = done.stdout + done.stderr
            self.assertEqual(done.returncode, 2 if faults else 0, said)
            self.assertEqual(("does not belong to" in said, "holds no certificate" in said), (faults == 2, faults > 0), said)
            if faults == 2:  # each begins with its place, as the loader's do
                self.assertRegex(said, rf"{path}:3:\d+: listeners\[0\]\.tls\.key: listener 127\.0\.0\.1:0: tls: key {other.key}: does")
            if faults:
                self.assertRegex(said, rf"{path}:\d+:\d+: backends\.legacy\.tls\.ca: backend legacy: tls: CA {ca}: holds")

    def test_check_tells_of_an_expired_certificate_and_takes_it(self):
        ended = authority().issue(begins=-9 * 86400, ends=-3600)
        path = os.path.join(self.directory, "check.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(config("http://127.0.0.1:9", listener=listener(ended.keys)))
        done = subprocess.run([os.path.join(BUILD, "shunt"), "--check", path], capture_output=True, text=True,
                              timeout=DEADLINE, env=environment(), check=False)
        self.assertEqual((done.returncode, done.stdout), (0, f"{path}: ok\n"))
        self.assertRegex(done.stderr, rf"{path}:3:25: listeners\[0\]\.tls\.certificate: listener 127\.0\.0\.1:0: tls: "
                                      rf"certificate {ended.certificate}: has expired at 20")

    def test_fail_open_stands_in_for_files_that_are_no_good(self):
        good, other = authority().issue().copy(self.directory), authority().issue("other")
        legacy = self.backend()
        shutil.copy(other.key, good.key)
        shunt = self.shunt(config(legacy, listener=listener(good.keys)),
                           arguments=["--fail-open", f"127.0.0.1:{legacy.address[1]}", "--listen", "127.0.0.1:0"],
                           wait=False)
        shunt.address = shunt._address(shunt.wait_events("listening")[0]["address"])
        self.assertEqual(shunt.get().status, 200)
        self.assertIn("does not belong to", str(shunt.find_events("fail_open")[0]["errors"]))

    def test_fail_open_ends_when_the_certificate_is_good(self):
        for name in ("another's key", "missing"):
            with self.subTest(name):
                folder = os.path.join(self.directory, name.replace("'", ""))
                os.mkdir(folder)
                good, pair = authority().issue(), Pair(os.path.join(folder, "tls.crt"), os.path.join(folder, "tls.key"))
                if name != "missing":
                    Pair(good.certificate, authority().issue("other").key).copy_to(pair)
                legacy = self.backend()
                shunt = self.shunt(config(legacy, listener=listener(pair.keys)),
                                   arguments=["--fail-open", f"127.0.0.1:{legacy.address[1]}", "--listen", "127.0.0.1:0"],
                                   wait=False)
                shunt.address = shunt._address(shunt.wait_events("listening")[0]["address"])
                self.assertEqual(shunt.get().status, 200)
                good.copy_to(pair)
                self.assertEqual(shunt.wait_events("reloaded")[0]["who"], "files")
                self.assertEqual(len(shunt.find_events("fail_open_ended")), 1)
                wait_until(lambda good=good: self.shown(shunt) == good.der(), "TLS")
                self.assertEqual(self.ask(shunt).status, 200)

    def test_a_refused_reload_is_tried_again_when_the_certificate_is_good(self):
        shunt = self.begin()
        bad, pair = authority().issue("other").copy(self.directory), authority().issue("one")
        shutil.copy(pair.key, bad.key)
        refused = config(self.legacy, listener=listener(bad.keys), top="access_log: off")
        self.assertEqual(shunt.reload(refused)["event"], "reload_failed")
        shutil.copy(pair.certificate, bad.certificate + ".new")
        os.replace(bad.certificate + ".new", bad.certificate)
        self.assertEqual(shunt.wait_events("reloaded")[0]["who"], "files")
        wait_until(lambda: self.shown(shunt) == pair.der(), "the new certificate")

    def test_a_reload_with_a_bad_pair_is_refused_as_a_whole(self):
        shunt = self.begin()
        pair, other = authority().issue("one"), authority().issue("other")
        bad = config(self.legacy, listener=listener(f"certificate: {pair.certificate}, key: {other.key}"), top="access_log: off")
        self.assertEqual(shunt.reload(bad)["event"], "reload_failed")
        self.assertEqual(self.shown(shunt), authority().issue().der())


def client_hello():
    """The first bytes of a real handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        one.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def s_client(shunt, *arguments, text="", check=True):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{shunt.address[1]}", "-servername", "localhost", "-CAfile",
               authority().certificate, *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, errors="replace", timeout=DEADLINE, check=False)
    assert done.returncode == 0 or not check, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


class Requests(TlsCase):
    def test_bodies_and_kept_connections(self):
        shunt = self.begin(legacy=self.backend(lambda request_: http_reply(request_.body[::-1] or b"none")))
        body = os.urandom(3 << 20)
        with TlsClient(shunt.address) as client:
            for _ in range(3):
                client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                self.assertEqual(client.reply().body, body[::-1])
            client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual([client.reply().body, client.reply().body], [b"none", b"none"])
        self.assertEqual(shunt.metric("shunt_downstream_connections_total"), 1)
        self.assertEqual(self.legacy.requests[0].get("x-forwarded-proto"), "https")

    def test_a_request_in_records_of_one_byte(self):
        shunt = self.begin()
        with TlsClient(shunt.address) as client:
            client.drip(b"GET /drip HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(client.reply().status, 200)

    def test_the_answer_ends_with_notice(self):
        shunt = self.begin()
        with TlsClient(shunt.address) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            self.assertEqual(client.reply().status, 200)
            self.assertEqual((client.read_to_end(), client.truncated), (b"", False))

    def test_a_truncated_request_reaches_nobody_whole(self):
        shunt = self.begin()
        for has_notice in (False, True):
            client = TlsClient(shunt.address)
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
            self.legacy.wait_requests(1 + has_notice)
            if has_notice:
                say_goodbye(client.socket)
            client.close()
            wait_until(lambda: self.legacy.open == 0, "the backend's connection to end")
        self.assertFalse(any(one.complete for one in self.legacy.requests))
        self.assertGreaterEqual(shunt.metric("shunt_tls_truncated_total", side="downstream"), 1)
        self.assertEqual(shunt.metric("shunt_client_gone_total"), 2)

    def test_websockets_over_tls(self):
        script = self.script(r"read head; send `HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhello`; "
                             r"read 5; send `bye`; close")
        shunt = self.begin(legacy=script)
        with TlsClient(shunt.address) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
            self.assertEqual(client.head().status, 101)
            self.assertEqual(client.read_exact(5), b"hello")
            client.send(b"world")
            self.assertEqual(client.read_to_end(), b"bye")

    def test_curl(self):
        shunt = self.begin()
        for option, version in (("--http1.1", "1.1"), ("--http2", "2")):
            done = subprocess.run(["curl", "-sS", option, "--cacert", authority().certificate, "-w", "%{http_version} %{http_code}",
                                   "-o", os.devnull, f"https://localhost:{shunt.address[1]}/"], capture_output=True, text=True,
                                  timeout=DEADLINE, check=False)
            self.assertEqual(done.stdout, f"{version} 200", done.stderr)


class ClientCertificates(TlsCase):
    def setUp(self):
        super().setUp()
        self.alice = authority().issue("alice", ("alice.test",), (), ("spiffe://shunt.test/alice",))
        self.server = authority().issue()

    def keys(self, word):
        return f"{self.server.keys}, client_ca: {authority().certificate}, client_certificate: {word}"

    def test_required(self):
        shunt = self.begin(self.keys("required"))
        self.assertEqual(self.ask(shunt, client_context(pair=self.alice)).status, 200)
        self.refused(shunt)
        self.wait_failures(shunt, "no_certificate")
        for reason, pair in (("certificate_authority", stranger().issue("alice")),
                             ("certificate_expired", authority().issue("old", begins=-5 * DAY, ends=-DAY)),
                             ("certificate", authority().issue("server only", usage="serverAuth"))):
            with self.subTest(reason):
                self.refused(shunt, client_context(pair=pair))
                self.wait_failures(shunt, reason)
        self.assertEqual(len(self.legacy.requests), 1)

    def test_a_client_ca_alone_requires_one(self):
        shunt = self.begin(f"{self.server.keys}, client_ca: {authority().certificate}")
        self.refused(shunt)

    def test_optional(self):
        shunt = self.begin(self.keys("optional"))
        self.assertEqual(self.ask(shunt, headers=["X-Forwarded-Client-Cert: Hash=0;Subject=\"CN=root\""]).status, 200)
        self.assertEqual(self.legacy.requests[-1].all("x-forwarded-client-cert"), [])
        self.assertEqual(self.ask(shunt, client_context(pair=self.alice)).status, 200)
        self.assertIn("alice", self.legacy.requests[-1].get("x-forwarded-client-cert"))
        self.refused(shunt, client_context(pair=stranger().issue("alice")))

    def check_header(self, request_):
        value = request_.get("x-forwarded-client-cert")
        self.assertIn(f"Hash={self.alice.fingerprint}", value)
        self.assertRegex(value, r'Subject="[^"]*CN=alice[^"]*"')
        self.assertIn("URI=spiffe://shunt.test/alice", value)
        self.assertIn("DNS=alice.test", value)
        self.assertNotIn("root", value)

    def test_verified_details_are_told_and_copies_removed(self):
        shunt = self.begin(self.keys("required"))
        forged = ["X-Forwarded-Client-Cert: Hash=0;Subject=\"CN=root\"", "x-forwarded-client-cert: By=root"]
        context = client_context(pair=self.alice)
        for _ in range(2):
            self.ask(shunt, context, headers=forged)
            self.check_header(self.legacy.requests[-1])

    def test_over_http2(self):
        shunt = self.begin(self.keys("required"))
        with H2Client(shunt.address, client_context(alpn=["h2"], pair=self.alice)) as client:
            for _ in range(2):
                self.assertEqual(client.get("/", ["X-Forwarded-Client-Cert: By=root"]).status, 200)
                self.check_header(self.legacy.requests[-1])

    def test_in_a_resumed_session(self):
        shunt = self.begin(self.keys("required"))
        context = client_context(pair=self.alice)
        session = resumable(shunt, context)
        with TlsClient(shunt.address, context, session=session) as client:
            self.assertTrue(client.socket.session_reused)
            client.get()
        self.check_header(self.legacy.requests[-1])

    def test_copies_are_removed_in_clear_too(self):
        legacy = self.backend()
        shunt = self.shunt(config(legacy))
        request(shunt.address, "/", ["X-Forwarded-Client-Cert: By=root"])
        self.assertEqual(legacy.requests[0].all("x-forwarded-client-cert"), [])

    def test_keep_leaves_what_a_proxy_before_us_said(self):
        shunt = self.begin(top="headers: { x_forwarded_client_cert: keep }")
        self.ask(shunt, headers=["X-Forwarded-Client-Cert: By=mesh"])
        self.assertEqual(self.legacy.requests[0].get("x-forwarded-client-cert"), "By=mesh")


def resumable(shunt, context):
    """A session with a ticket."""
    with TlsClient(shunt.address, context) as client:
        client.get("/first")  # the tickets of TLS 1.3 come with the answer
        return client.socket.session


class Tickets(TlsCase):
    def test_sessions_are_resumed_by_every_worker(self):
        shunt = self.begin(workers=4)
        for version in (TLS12, TLS13):
            context = client_context(oldest=version, newest=version)
            session = resumable(shunt, context)
            for _ in range(12):
                with TlsClient(shunt.address, context, session=session) as client:
                    self.assertEqual(client.get().status, 200)
                    self.assertTrue(client.socket.session_reused, version)
                    session = client.socket.session
        self.assertEqual(shunt.metric("shunt_tls_handshakes_total", side="downstream", result="resumed"), 24)
        self.assertEqual(shunt.metric("shunt_tls_handshakes_total", side="downstream", result="full"), 2)

    def test_openssl_reconnects(self):
        said = s_client(self.begin(), "-tls1_2", "-reconnect").stdout
        self.assertEqual(len(re.findall(r"^Reused, TLSv1.2", said, re.M)), 5, said[:3000])

    def test_a_reload_keeps_sessions(self):
        shunt = self.begin()
        context = client_context()
        session = resumable(shunt, context)
        shunt.reload()
        with TlsClient(shunt.address, context, session=session) as client:
            self.assertEqual(client.get().status, 200)
            self.assertTrue(client.socket.session_reused)

    def test_off(self):
        shunt = self.begin(authority().issue().keys + ", session_tickets: off")
        for version in (TLS12, TLS13):
            context = client_context(oldest=version, newest=version)
            session = resumable(shunt, context)
            with TlsClient(shunt.address, context, session=session if session and session.has_ticket else None) as client:
                self.assertFalse(client.socket.session_reused)

    def test_keys_rotate(self):
        """A ticket lives no longer than it should, whatever its key does."""
        shunt = self.begin(authority().issue().keys + ", session_tickets: 1s")
        context = client_context(newest=TLS12)
        session = resumable(shunt, context)

        def is_full():
            with TlsClient(shunt.address, context, session=session) as client:
                return not client.socket.session_reused

        wait_until(is_full, "the ticket's end", every=0.3)


class EarlyData(TlsCase):
    def early(self, shunt, head):
        """Sends this in early data of a resumed session; returns what openssl said."""
        kept, early = os.path.join(self.directory, "session"), os.path.join(self.directory, "early")
        with open(early, "w", encoding="ascii") as f:
            f.write(head)
        first = "GET /first HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        s_client(shunt, "-tls1_3", "-ign_eof", "-sess_out", kept, text=first)
        return s_client(shunt, "-tls1_3", "-ign_eof", "-sess_in", kept, "-early_data", early, check=False).stdout

    def test_off_by_default(self):
        shunt = self.begin(timeouts="idle: 1s, request_header: 1s")
        said = self.early(shunt, "GET /early HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.assertNotIn("Early data was accepted", said)
        self.assertNotIn("/early", [one.target for one in self.legacy.requests])

    def test_only_safe_methods(self):
        shunt = self.begin(authority().issue().keys + ", early_data: true")
        said = self.early(shunt, "GET /early HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.assertIn("Early data was accepted", said)
        self.assertIn("HTTP/1.1 200", said)
        self.assertEqual([(one.target, one.all("early-data")) for one in self.legacy.requests][-1], ("/early", ["1"]))
        for kind in ("text/plain", "application/grpc"):  # a call, too: see docs/grpc.md
            said = self.early(shunt, f"POST /write HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nContent-Length: 0\r\n"
                              "Connection: close\r\n\r\n")
            self.assertIn("HTTP/1.1 425", said)
        self.assertNotIn("/write", [one.target for one in self.legacy.requests])
        self.assertEqual(shunt.metric("shunt_tls_early_data_total", result="accepted"), 1)
        self.assertEqual(shunt.metric("shunt_tls_early_data_total", result="refused"), 2)

    def test_requests_behind_the_handshake_are_as_always(self):
        shunt = self.begin(authority().issue().keys + ", early_data: true")
        context = client_context()
        session = resumable(shunt, context)
        with TlsClient(shunt.address, context, session=session) as client:
            self.assertEqual(client.get("/write", method="POST", headers=["Content-Length: 0"]).status, 200)
        self.assertEqual(self.legacy.requests[-1].all("early-data"), [])


class Reloads(TlsCase):
    def setUp(self):
        super().setUp()
        self.pair = authority().issue().copy(self.directory)

    def fresh(self):
        return authority().issue(fresh=True)

    def test_a_swap_under_load_fails_no_handshake(self):
        secret = Secret(os.path.join(self.directory, "mounted"), self.fresh())
        shunt = self.begin(secret.keys, legacy=self.fast())
        load = HandshakeLoad(shunt.address)
        try:
            with TlsClient(shunt.address) as kept:
                for number in range(1, 9):
                    pair = self.fresh()
                    secret.publish(pair)
                    wait_until(lambda: self.shown(shunt) == pair.der(), f"certificate {number}")
                    self.assertEqual(kept.get().status, 200)
                    done = load.ok
                    wait_until(lambda: load.ok >= done + 10, "handshakes between two swaps")
        finally:
            load.finish()
        self.assertEqual(load.failures, [])
        self.assertEqual(shunt.metric("shunt_tls_certificate_reloads_total"), 8)
        self.assertEqual(shunt.metric("shunt_tls_certificate_reload_failures_total"), 0)
        self.assertEqual(shunt.metric("shunt_tls_handshakes_total", side="downstream", result="failed"), 0)

    def test_a_bad_pair_keeps_the_old_one(self):
        shunt = self.begin(self.pair.keys)
        before = self.shown(shunt)
        with open(self.pair.certificate + ".new", "w", encoding="ascii") as f:
            f.write("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
        os.replace(self.pair.certificate + ".new", self.pair.certificate)
        event = shunt.wait_events("tls_reload_failed")[0]
        self.assertIn(self.pair.certificate, str(event))
        self.assertEqual(self.shown(shunt), before)
        self.assertGreaterEqual(shunt.metric("shunt_tls_certificate_reload_failures_total"), 1)
        good = self.fresh()
        good.copy_to(self.pair)
        wait_until(lambda: self.shown(shunt) == good.der(), "the good certificate")
        shunt.wait_events("tls_reloaded")

    def test_anothers_key_keeps_the_old_pair(self):
        shunt = self.begin(self.pair.keys)
        before = self.shown(shunt)
        shutil.copy(self.fresh().key, self.pair.key + ".new")
        os.replace(self.pair.key + ".new", self.pair.key)
        shunt.wait_events("tls_reload_failed")
        self.assertEqual(self.shown(shunt), before)
        self.assertEqual(self.ask(shunt).status, 200)

    def test_another_client_ca(self):
        ca = os.path.join(self.directory, "client-ca.pem")
        shutil.copy(authority().certificate, ca)
        shunt = self.begin(f"{self.pair.keys}, client_ca: {ca}")
        ours, theirs = client_context(pair=authority().issue("alice")), client_context(pair=stranger().issue("bob"))
        self.assertEqual(self.ask(shunt, ours).status, 200)
        self.refused(shunt, theirs)
        shutil.copy(stranger().certificate, ca + ".new")
        os.replace(ca + ".new", ca)
        shunt.wait_events("tls_reloaded")
        self.assertEqual(self.ask(shunt, theirs).status, 200)
        self.refused(shunt, ours)

    def test_who_connects_after_the_event_is_shown_the_new_pair(self):
        """Also where the worker comes late and finds clients of before, the message and clients of afterwards at once."""
        shunt = self.begin(self.pair.keys, workers=1)
        pair = self.fresh()
        with Held(thread_named(shunt.process.pid, "worker 0")):
            before = socket.create_connection(shunt.address, DEADLINE)
            pair.copy_to(self.pair)
            shunt.wait_events("tls_reloaded")
            after = socket.create_connection(shunt.address, DEADLINE)
        with before, client_context().wrap_socket(after, server_hostname="localhost") as shown:
            self.assertEqual(shown.getpeercert(True), pair.der())

    def test_the_expiry_is_a_metric_and_follows_the_file(self):
        shunt = self.begin(self.pair.keys)
        expiry = lambda: shunt.metric("shunt_tls_certificate_expiry_seconds", certificate=self.pair.certificate)
        self.assertEqual(expiry(), self.pair.ends_at())
        soon = authority().issue(ends=3600, fresh=True)
        soon.copy_to(self.pair)
        wait_until(lambda: expiry() == soon.ends_at(), lambda: f"{soon.ends_at()}, have {expiry()}")

    def test_a_certificate_that_has_ended_is_told(self):
        shunt = self.begin(self.pair.keys)
        self.assertEqual(shunt.find_events("tls_certificate_expired"), [])
        ended = authority().issue(begins=-9 * 86400, ends=-3600)
        ended.copy_to(self.pair)
        told = shunt.wait_events("tls_certificate_expired")[0]
        self.assertEqual((told["level"], told["certificate"], told["ended_s"]), ("warn", self.pair.certificate, ended.ends_at()))
        before = len(shunt.find_events("tls_certificate_expired"))
        self.assertEqual(shunt.reload()["event"], "reloaded")
        shunt.wait_events("tls_certificate_expired", before + 1)

    def test_a_reload_of_the_file_may_name_another_pair(self):
        shunt = self.begin(self.pair.keys)
        other = self.fresh()
        self.assertEqual(shunt.reload(config(self.legacy, listener=listener(other.keys), top="access_log: off"))["event"], "reloaded")
        wait_until(lambda: self.shown(shunt) == other.der(), "the other certificate")


class Passthrough(TlsCase):
    ROUTE = "  - name: all\n    match: { path: /** }\n    sticky: [ random ]\n    percent: 100\n    breaker: off\n"

    def test_tls_on_the_listener_ends_at_shunt(self):
        legacy, new = self.backend(), self.backend(name="new")
        shunt = self.begin(legacy=legacy, new=new, routes=self.ROUTE)
        self.assertEqual(self.ask(shunt).get("x-backend"), "new")
        with TlsClient(shunt.address) as kept:
            self.assertEqual(kept.get().get("x-backend"), "new")
            shunt.passthrough(True)
            self.assertEqual(kept.get().get("x-backend"), "legacy")
        self.assertEqual(self.ask(shunt).get("x-backend"), "legacy")
        with H2Client(shunt.address, client_context(alpn=["h2"])) as client:
            self.assertEqual(client.get().get("x-backend"), "legacy")
            shunt.passthrough(False)
            self.assertEqual(client.get().get("x-backend"), "new")
        self.assertEqual(self.ask(shunt).get("x-backend"), "new")

    def test_in_clear_the_clients_own_tls_passes_raw(self):
        legacy = self.peer(TlsBackend())
        shunt = self.shunt(config(legacy.url.replace("https", "http")))
        shunt.passthrough(True)
        self.assertEqual(self.ask(shunt).get("x-backend"), "legacy")
        self.assertEqual(self.shown(shunt), authority().issue().der())


class Drain(TlsCase):
    def test_who_was_being_greeted_is_served(self):
        """A client whose handshake had begun when the end was asked for has its request answered, and is told that it was the last."""
        shunt = self.begin()
        context = client_context()
        with socket.create_connection(shunt.address) as sock, TlsClient(shunt.address) as kept:
            self.assertEqual(kept.get().status, 200)
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            one = context.wrap_bio(incoming, outgoing, server_hostname="localhost")

            def step(call):
                while True:
                    try:
                        return call()
                    except ssl.SSLWantReadError:
                        sock.sendall(outgoing.read())
                        incoming.write(sock.recv(65536))

            with self.assertRaises(ssl.SSLWantReadError):
                one.do_handshake()
            hello = outgoing.read()
            sock.sendall(hello[:50])
            wait_until(lambda: shunt.metric("shunt_downstream_active") == 2, "both connections")
            shunt.signal(signal.SIGTERM)
            shunt.wait_events("draining")
            self.assertEqual((kept.read_to_end(), kept.truncated), (b"", False))
            sock.sendall(hello[50:])
            step(one.do_handshake)
            one.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            reply = step(lambda: one.read(65536))
            self.assertTrue(reply.startswith(b"HTTP/1.1 200"), reply)
            self.assertIn(b"Connection: close", reply)
        self.assertEqual(shunt.wait_exit(), 0)


class Idle(TlsCase):
    def test_idle_connections_end_with_notice(self):
        shunt = self.begin(timeouts="idle: 300ms")
        with TlsClient(shunt.address) as client:
            self.assertEqual(client.get().status, 200)
            began = time.monotonic()
            self.assertEqual((client.read_to_end(), client.truncated), (b"", False))
            self.assertGreater(time.monotonic() - began, 0.2)

    def test_many_handshakes_leave_nothing_behind(self):
        shunt = self.begin(legacy=self.fast())
        for _ in range(20):
            self.ask(shunt)
        before = shunt.fds()
        for i in range(100):
            if i % 3 == 0:
                socket.create_connection(shunt.address).close()
            else:
                self.ask(shunt)
        wait_until(lambda: shunt.metric("shunt_downstream_active") == 0, "no connection")
        wait_until(lambda: shunt.fds() <= before + 2, lambda: f"descriptors to return to {before}, have {shunt.fds()}")


if __name__ == "__main__":
    main()
