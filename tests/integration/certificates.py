"""Throw-away certificates: an authority of its own and whatever it is asked to sign, made with the openssl command.

Everything lies in one temporary folder of the test run; the same words get the same pair again, so that a file of tests
pays for each certificate once. Also the contexts of Python's ssl that go with them.
"""

import atexit
import functools
import hashlib
import os
import shutil
import ssl
import subprocess
import tempfile
import time

DAY = 86400

CONFIG = """\
[ca]
default_ca = authority
[authority]
new_certs_dir = {folder}
database = {folder}/index
serial = {folder}/serial
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
default_md = sha256
policy = anything
unique_subject = no
copy_extensions = copy
[anything]
organizationName = optional
commonName = optional
"""


def openssl(*arguments, text=None):
    done = subprocess.run(["openssl", *arguments], input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"openssl {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def _stamp(seconds):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + seconds))


class Pair:
    """Two files of PEM: a certificate (with what it needs behind it) and its key."""

    def __init__(self, certificate, key):
        self.certificate, self.key = certificate, key

    @property
    def keys(self):
        """As the configuration names them."""
        return f"certificate: {self.certificate}, key: {self.key}"

    def der(self):
        with open(self.certificate, encoding="ascii") as f:
            return ssl.PEM_cert_to_DER_cert(f.read().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n")

    @property
    def fingerprint(self):
        return hashlib.sha256(self.der()).hexdigest()

    def ends_at(self):
        """Unix time."""
        line = openssl("x509", "-in", self.certificate, "-noout", "-enddate")
        return ssl.cert_time_to_seconds(line.strip().partition("=")[2])

    def copy_to(self, other):
        """Puts these files where the other's are, each in one step: the certificate first, as a slow deployment would."""
        for source, target in ((self.certificate, other.certificate), (self.key, other.key)):
            shutil.copy(source, target + ".new")
            os.replace(target + ".new", target)

    def copy(self, folder):
        """The same pair in a folder of the test's own."""
        pair = Pair(os.path.join(folder, "tls.crt"), os.path.join(folder, "tls.key"))
        self.copy_to(pair)
        return pair


class Secret(Pair):
    """A pair as Kubernetes mounts a Secret: links to a folder behind a link, which is renamed when the Secret changes."""

    def __init__(self, folder, pair):
        self.folder, self.number = folder, 0
        super().__init__(*(os.path.join(folder, name) for name in ("tls.crt", "tls.key")))
        os.makedirs(folder)
        self.publish(pair)
        for path in (self.certificate, self.key):
            os.symlink(f"..data/{os.path.basename(path)}", path)

    def publish(self, pair):
        self.number += 1
        folder = os.path.join(self.folder, f"..{self.number}")
        os.makedirs(folder)
        for source, path in ((pair.certificate, self.certificate), (pair.key, self.key)):
            shutil.copy(source, os.path.join(folder, os.path.basename(path)))
        link = os.path.join(self.folder, "..data")
        os.symlink(f"..{self.number}", link + "_tmp")
        os.rename(link + "_tmp", link)


class Authority:
    def __init__(self, name="shunt's tests"):
        self.folder = tempfile.mkdtemp(prefix="shunt-ca-")
        atexit.register(shutil.rmtree, self.folder, True)
        self.certificate = os.path.join(self.folder, "ca.pem")
        self.number = 0
        self.pairs = {}
        key = os.path.join(self.folder, "ca.key")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out",
                self.certificate, "-days", "30", "-subj", f"/O=shunt/CN={name}")
        for file, text in (("index", ""), ("serial", "1000\n"), ("ca.conf", CONFIG.format(folder=self.folder))):
            with open(os.path.join(self.folder, file), "w", encoding="ascii") as f:
                f.write(text)

    def issue(self, name="localhost", dns=("localhost",), ips=("127.0.0.1",), uris=(), kind="ec", begins=-DAY, ends=10 * DAY,
              usage="serverAuth,clientAuth", fresh=False):
        """A pair with that common name; `begins` and `ends` are seconds from now. `fresh`: not one that was made before."""
        words = (name, dns, ips, uris, kind, begins, ends, usage)
        if fresh or words not in self.pairs:
            pair = self._make(*words)
            if fresh:
                return pair
            self.pairs[words] = pair
        return self.pairs[words]

    def _make(self, name, dns, ips, uris, kind, begins, ends, usage):
        self.number += 1
        base = os.path.join(self.folder, f"{self.number}")
        how = ["rsa:2048"] if kind == "rsa" else ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        names = [f"DNS:{one}" for one in dns] + [f"IP:{one}" for one in ips] + [f"URI:{one}" for one in uris]
        more = ["-addext", f"subjectAltName={','.join(names)}"] if names else []
        openssl("req", "-new", "-newkey", *how, "-nodes", "-keyout", base + ".key", "-out", base + ".csr", "-subj",
                f"/O=shunt/CN={name}", "-addext", f"extendedKeyUsage={usage}", *more)
        openssl("ca", "-batch", "-notext", "-config", os.path.join(self.folder, "ca.conf"), "-in", base + ".csr", "-out",
                base + ".pem", "-startdate", _stamp(begins), "-enddate", _stamp(ends))
        return Pair(base + ".pem", base + ".key")


@functools.lru_cache(maxsize=None)
def authority():
    """The one whom shunt and the peers are told to trust."""
    return Authority()


@functools.lru_cache(maxsize=None)
def stranger():
    """One whom nobody trusts."""
    return Authority("a stranger")


def client_context(ca=None, alpn=("http/1.1",), pair=None, oldest=ssl.TLSVersion.TLSv1_2, newest=ssl.TLSVersion.TLSv1_3):
    """`ca`: default: ours; False: the server may be anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(ca or authority().certificate)
    context.minimum_version, context.maximum_version = oldest, newest
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # a close without close_notify is an error, as OpenSSL sees it
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if pair:
        context.load_cert_chain(pair.certificate, pair.key)
    return context


def server_context(pair=None, alpn=("http/1.1",), client_ca=None):
    """`client_ca`: who must have signed the certificate that clients must show."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair = pair or authority().issue()
    context.load_cert_chain(pair.certificate, pair.key)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context
