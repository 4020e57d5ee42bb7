"""What is measured: shunt and its peers, each as one worker, configured for the same work.

A peer is started with make(name, setting): `setting` says which ports the two backends have and what the scenario needs.
"""

import os
import re
import subprocess
import urllib.request
from dataclasses import dataclass, field

from processes import Process, Trouble, free_port

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def build_folder():
    return os.environ.get("SHUNT_BUILD", os.path.join(TOP, "build", "release"))


def program(name):
    path = os.path.join(build_folder(), name)
    if not os.access(path, os.X_OK):
        raise Trouble(f"{path} is not there; build it with: cmake --preset release && cmake --build --preset release")
    return path


@dataclass
class Setting:
    legacy: int = 0  # ports of the backends
    new: int = 0
    mirror: int = 0  # what nginx mirrors to; shunt mirrors to the other side
    redis: int = 0  # by which a fleet shares its plan
    workers: int = 1
    folder: str = ""  # for configuration files
    single: bool = False  # one process even where a peer has a master
    wrap: list = field(default_factory=list)  # a command in front, e.g. valgrind


class Backend(Process):
    """The cheap backend on a free port, or on a unix socket."""

    def __init__(self, core=None, hang=False):
        self.port = free_port()
        argv = [program("tools/benchmark/shunt-bench-backend"), "--listen", self.port]
        super().__init__(argv + (["--hang"] if hang else []), core)
        self.await_port(self.port)


def certificate(folder):
    """A self-signed pair for ECDSA P-256, made once for the folder: (certificate, key, both in one file)."""
    paths = [os.path.join(folder, name) for name in ("tls.crt", "tls.key", "tls.pem")]
    if not os.path.exists(paths[2]):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", paths[0], "-keyout",
                        paths[1]], check=True, capture_output=True, timeout=30)
        with open(paths[2], "w", encoding="ascii") as both:
            for path in paths[:2]:
                with open(path, encoding="ascii") as one:
                    both.write(one.read())
    return paths


SHUNT = """\
listeners:
  - address: 127.0.0.1:{port}
{tls}admin: {{ address: 127.0.0.1:{admin} }}
workers: {workers}
access_log: off
limits: {{ connections: 20000 }}
{state}backends:
  legacy: {{ url: "http://127.0.0.1:{legacy}", max_connections: 4096 }}
  new:    {{ url: "http://127.0.0.1:{new}", max_connections: 4096 }}
routes:
  - name: bench
    match: {{ path: /** }}
    sticky: [ {{ header: X-User-Id }}, client_ip ]
    percent: {percent}
    breaker: {{ window: 60s, min_requests: 50, error_rate: 5%, p95_ratio: 10, consecutive_errors: 10 }}
    shadow: {{ percent: {shadow}, methods: ["*"], max_in_flight: 4096, max_connections: 4096, timeout: 2s }}
"""


def shunt(setting, port, shadow=0, percent=50, with_tls=False, redis=0):
    admin = free_port()
    path = os.path.join(setting.folder, f"shunt-{port}.yaml")
    with open(path, "w", encoding="ascii") as file:
        file.write(SHUNT.format(port=port, admin=admin, workers=setting.workers, legacy=setting.legacy,
                                new=setting.new, percent=percent, shadow=shadow,
                                state=f'state: {{ redis: {{ url: "redis://127.0.0.1:{redis}", group: bench }} }}\n' if redis else "",
                                tls="    tls: {{ certificate: {}, key: {} }}\n".format(*certificate(setting.folder))
                                if with_tls else ""))
    return [program("shunt"), "--config", path], {"admin": admin}


NGINX = """\
daemon off;
master_process {master};
worker_processes {workers};
worker_rlimit_nofile {files};
pid {folder}/nginx-{port}.pid;
error_log {folder}/nginx-{port}.log error;
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_body_buffer_size 32k;
  client_body_temp_path {folder}/nginx-{port}-body;
  proxy_temp_path {folder}/nginx-{port}-proxy;
  fastcgi_temp_path {folder}/nginx-{port}-f;
  scgi_temp_path {folder}/nginx-{port}-s;
  uwsgi_temp_path {folder}/nginx-{port}-u;
  split_clients "$http_x_user_id" $side {{ {percent} legacy; * new; }}
  upstream legacy {{ server 127.0.0.1:{legacy}; keepalive 1024; keepalive_requests 1000000000; }}
  upstream new {{ server 127.0.0.1:{new}; keepalive 1024; keepalive_requests 1000000000; }}
  upstream mirror {{ server 127.0.0.1:{mirrored}; keepalive 1024; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096{tls};
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    location / {{ {mirror} proxy_pass http://$side; }}
    location = /mirror {{ internal; proxy_pass http://mirror$request_uri; }}
  }}
}}
"""


def nginx(setting, port, mirror=False, percent="50%", with_tls=False):
    path = os.path.join(setting.folder, f"nginx-{port}.conf")
    files = 20000
    with open(path, "w", encoding="ascii") as file:
        file.write(NGINX.format(port=port, folder=setting.folder, workers=setting.workers, legacy=setting.legacy,
                                new=setting.new, mirrored=setting.mirror or setting.new, percent=percent, files=files,
                                connections=files, mirror="mirror /mirror;" if mirror else "",
                                master="off" if setting.single else "on",
                                tls=" ssl http2; ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.2 TLSv1.3".format(
                                    *certificate(setting.folder)) if with_tls else ""))
    return ["nginx", "-e", f"{setting.folder}/nginx-{port}.log", "-c", path], {}


HAPROXY = """\
global
  nbthread {workers}
  maxconn 16000
  no strict-limits
  {pipes}
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 60s
  option http-keep-alive
  http-reuse always
  {splice}
frontend f
  bind 127.0.0.1:{port} backlog 4096{tls}
  option forwardfor
  default_backend b
backend b
  balance hdr(X-User-Id)
  hash-type consistent
  server legacy 127.0.0.1:{legacy} maxconn 16000
  server new 127.0.0.1:{new} maxconn 16000
"""


def haproxy(setting, port, splice=False, with_tls=False):
    path = os.path.join(setting.folder, f"haproxy-{port}.cfg")
    with open(path, "w", encoding="ascii") as file:
        file.write(HAPROXY.format(port=port, workers=setting.workers, legacy=setting.legacy, new=setting.new,
                                  pipes="tune.pipesize 1048576" if splice else "",  # its best; 64 KiB pipes cost half more
                                  splice="option splice-response\n  option splice-request" if splice else "",
                                  tls=f" ssl crt {certificate(setting.folder)[2]} alpn h2,http/1.1" if with_tls else ""))
    return ["haproxy", "-db", "-f", path], {}


def relay(setting, port):
    return [program("tools/benchmark/shunt-bench-relay"), port, setting.legacy], {}


PEERS = {
    "relay": lambda setting, port: relay(setting, port),
    "shunt": lambda setting, port: shunt(setting, port),
    "shunt mirror": lambda setting, port: shunt(setting, port, shadow=100),
    "shunt hung mirror": lambda setting, port: shunt(setting, port, shadow=100, percent=0),
    "shunt fleet": lambda setting, port: shunt(setting, port, redis=setting.redis),
    "shunt legacy": lambda setting, port: shunt(setting, port, percent=0),
    "nginx": lambda setting, port: nginx(setting, port),
    "nginx mirror": lambda setting, port: nginx(setting, port, mirror=True),
    "nginx hung mirror": lambda setting, port: nginx(setting, port, mirror=True, percent="100%"),
    "haproxy": lambda setting, port: haproxy(setting, port),
    "shunt tls": lambda setting, port: shunt(setting, port, with_tls=True),
    "nginx tls": lambda setting, port: nginx(setting, port, with_tls=True),
    "haproxy tls": lambda setting, port: haproxy(setting, port, with_tls=True),
    "haproxy splice": lambda setting, port: haproxy(setting, port, splice=True),
}


class Peer(Process):
    """A running peer: .port serves, .admin is shunt's admin port."""

    def __init__(self, name, setting, core=None):
        self.name = name
        self.port = free_port()
        argv, facts = PEERS[name](setting, self.port)
        self.admin = facts.get("admin")
        super().__init__(setting.wrap + argv, core)
        try:
            self.await_port(self.port, 60 if setting.wrap else 5)
        except Trouble:
            self.stop()
            raise

    def facts(self):
        """What shunt says of itself, as one sentence; nothing for the others. A breaker that tripped, or copies that were not
        compared, would make its figures another job's."""
        if self.admin is None:
            return ""
        total = self.metrics()
        requests = total("shunt_requests_total")
        compared = sum(total("shunt_comparisons_total", f'outcome="{found}"') for found in ("matched", "ignored", "mismatched"))
        new = total("shunt_requests_total", 'backend="new"')
        sentence = f"{self.name}: {new / max(requests, 1):.0%} of {requests:,.0f} requests went to new"
        if compared:
            sentence += f", {compared / max(requests, 1):.2%} of them all were compared"
        if not total("shunt_breaker_state", 'state="closed"'):
            sentence += "; its breaker is open, so these figures are not of a split"
        return sentence + "."

    def metrics(self):
        """shunt's metrics page, as a function: the sum of a metric over the rows that have this label."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=5) as answer:
            page = answer.read().decode()

        def total(name, label=""):
            found = re.findall(rf"^{name}(?:\{{[^}}]*{label}[^}}]*\}})? ([\d.e+]+)$", page, re.MULTILINE)
            return sum(float(value) for value in found)

        return total

    def copies_sent(self):
        """Of shunt's requests, as a text."""
        total = self.metrics()
        return f"{total('shunt_shadow_total', 'reason=.sent.') / max(total('shunt_requests_total'), 1):.0%}"


def command(name, setting, port):
    """Only the command line, for a caller that starts it itself."""
    return PEERS[name](setting, port)[0]
