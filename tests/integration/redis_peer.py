"""Real redis-server processes for the tests: one (in clear, TLS, a unix socket, ACL), three with sentinels, a cluster; and
what harms them.

Every server has a folder and a port of its own, keeps nothing on disk unless told to, is ended by its pid, and ends with
the test's process, however that ends. Ports lie below those the kernel gives to outgoing connections, so that a server
that is away for a while finds its port free again. `Connection` is a small client for looking at what is there.
"""

import binascii
import os
import shutil
import signal
import tempfile

import certificates
from harness import wait_until
from redis_process import BOUND, Connection, Process, RedisError, free_port


class Redis:
    """One redis-server on 127.0.0.1, ready when made.

    `password`: of the user "default". `users`: lines of the ACL file, such as "shunt on >secret ~shunt:* &shunt:* +@all".
    `tls`: a certificates.Pair, or True for one of authority(): then `tls_port` speaks TLS beside `port`.
    `client_ca`: whose certificates clients must show. `options`: more lines of the configuration.
    """

    program = "redis-server"
    more = ()  # lines of the configuration
    rewrites = False  # its configuration is its own after the first start

    def __init__(self, password=None, users=(), tls=None, client_ca=None, options=(), directory=None, port=None):
        self.owns_directory = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="shunt-redis-")
        self.password = password
        self.users = list(users)
        self.pair = certificates.authority().issue() if tls is True else tls
        self.client_ca = client_ca
        self.options = list(options)
        self.unix = os.path.join(self.directory, "socket")
        self.log_path = os.path.join(self.directory, "log")
        self.dump = os.path.join(self.directory, "dump.rdb")
        self.snapshot = os.path.join(self.directory, "snapshot.rdb")
        self.fixed_port = port
        self.port = self.tls_port = None
        self.process = None
        self.errors = []
        self.start()

    # ---- where it is

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    def url(self, user=None, password=None, database=None, scheme="redis", host="127.0.0.1"):
        """redis://..., rediss:// (to the port with TLS) or unix://."""
        if scheme == "unix":
            return f"unix://{self.unix}" + (f"?db={database}" if database is not None else "")
        password = self.password if password is None and user is None else password
        secret = f"{user or ''}:{password}@" if password is not None else ""
        port = self.tls_port if scheme.startswith("rediss") else self.port
        return f"{scheme}://{secret}{host}:{port}" + (f"/{database}" if database is not None else "")

    def connect(self, timeout=BOUND):
        return Connection(self.address, timeout, password=self.password)

    def ask(self, *words):
        """One command on a connection of its own."""
        with self.connect() as connection:
            return connection.ask(*words)

    # ---- its life

    def lines(self):
        yield from ("bind 127.0.0.1", f"port {self.port}", f'dir "{self.directory}"', "daemonize no", "appendonly no",
                    'save ""', f'unixsocket "{self.unix}"', "databases 4", "enable-debug-command yes",
                    "repl-diskless-sync-delay 0", "shutdown-timeout 0")
        if self.pair:
            yield from (f"tls-port {self.tls_port}", f'tls-cert-file "{self.pair.certificate}"',
                        f'tls-key-file "{self.pair.key}"',
                        f'tls-ca-cert-file "{self.client_ca or certificates.authority().certificate}"',
                        f"tls-auth-clients {'yes' if self.client_ca else 'no'}")
        if self.password is not None:
            yield f"requirepass {self.password}"
        for user in self.users:
            yield f"user {user}"
        yield from self.more
        yield from self.options

    def _write_configuration(self):
        path = os.path.join(self.directory, "redis.conf")
        if self.rewrites and self.process:  # what it has written into it since is what it knows
            return path
        with open(path, "w", encoding="ascii") as f:
            f.write("\n".join(self.lines()) + "\n")
        return path

    def _choose_ports(self):
        self.port = self.fixed_port or free_port()
        self.tls_port = free_port() if self.pair else None

    def _answers(self):
        try:
            with Connection(self.address, 1) as connection:
                connection.ask("PING")
                return True
        except RedisError as error:
            return not str(error).startswith("LOADING")  # NOAUTH is an answer too
        except OSError:
            return not self.process.alive()

    def start(self):
        """With what the folder holds. The first time on free ports, then on the same ones."""
        first = self.port is None
        for _ in range(5):
            if first:
                self._choose_ports()
            self.process = Process([self.program, self._write_configuration(), *self.arguments()], self.log_path)
            wait_until(self._answers, lambda: f"{self.program} to answer: {self.log()}", BOUND)
            if self.process.alive():
                return self
            self.process.kill()
        raise AssertionError(f"{self.program} does not start: {self.log()}")

    def arguments(self):
        return ()

    def log(self, lines=30):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return "".join(f.readlines()[-lines:])

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        """Ends it and takes its folder along."""
        if self.process:
            self.process.end()
        if self.owns_directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    # ---- what harms it

    def kill(self):
        """kill -9."""
        self.process.kill()

    def end(self):
        """As an operator would: SIGTERM."""
        self.process.end()

    def pause(self):
        """SIGSTOP: connections stand and nothing answers."""
        self.process.signal(signal.SIGSTOP)

    def resume(self):
        self.process.signal(signal.SIGCONT)

    def restart_empty(self):
        self.process.kill()
        if os.path.exists(self.dump):
            os.unlink(self.dump)
        self.start()

    def take_snapshot(self):
        """What restart_from_snapshot() will begin with."""
        self.ask("SAVE")
        shutil.move(self.dump, self.snapshot)

    def restart_from_snapshot(self):
        """Older than it was when it went."""
        self.process.kill()
        shutil.copy(self.snapshot, self.dump)
        self.start()

    def restart(self):
        """With everything it had, as with a disk that is safe."""
        self.ask("SAVE")
        self.process.kill()
        self.start()

    def configure(self, name, value):
        self.ask("CONFIG", "SET", name, value)

    def clients(self, name="shunt"):
        """Ids of the connections of that name."""
        listed = (dict(pair.split("=", 1) for pair in line.split(" ")) for line in
                  self.ask("CLIENT", "LIST").strip().split("\n"))
        return [client["id"] for client in listed if client["name"] == name]

    def commands(self):
        """How many commands it has been sent since it started, by name."""
        return {key[len("cmdstat_"):]: int(value.split(",")[0].split("=")[1])
                for key, _, value in (line.partition(":") for line in self.ask("INFO", "commandstats").splitlines())
                if key.startswith("cmdstat_")}


class Sentinel(Redis):
    """Asks after the master each tenth of a second, and finds it dead after half of one."""

    program = "redis-sentinel"
    rewrites = True

    def __init__(self, name, master, quorum, password=None, sentinel_password=None, **options):
        self.watched = [f"sentinel monitor {name} 127.0.0.1 {master.port} {quorum}",
                        f"sentinel down-after-milliseconds {name} 500", f"sentinel failover-timeout {name} 3000",
                        f"sentinel parallel-syncs {name} 2"]
        if password is not None:
            self.watched.append(f"sentinel auth-pass {name} {password}")
        if sentinel_password is not None:
            self.watched += [f"requirepass {sentinel_password}", f"sentinel sentinel-pass {sentinel_password}"]
        super().__init__(**options)
        self.password = sentinel_password

    def lines(self):
        yield from ("bind 127.0.0.1", f"port {self.port}", f'dir "{self.directory}"', "daemonize no", *self.watched)


class Replica(Redis):
    """One of a set that sentinels look after: they tell it whom to follow, and it writes that down."""

    rewrites = True

    def restart_empty(self):
        raise AssertionError("what it follows is in its configuration: use kill() and start()")


class Sentinels:
    """A master, two replicas and three sentinels who need two votes. `servers[0]` is the master at first."""

    def __init__(self, name="mymaster", password=None, sentinel_password=None, options=()):
        self.name = name
        self.errors = []
        self.servers, self.sentinels = [], []
        secret = [f"masterauth {password}"] if password is not None else []
        common = [*options, *secret, "repl-ping-replica-period 1", "repl-timeout 5"]
        self.servers.append(Replica(password=password, options=common))
        for _ in range(2):
            self.servers.append(Replica(password=password, options=[*common, f"replicaof 127.0.0.1 {self.servers[0].port}"]))
        wait_until(lambda: self.replicas_of(self.servers[0]) == 2, "two replicas to follow", BOUND)
        for _ in range(3):
            self.sentinels.append(Sentinel(name, self.servers[0], 2, password, sentinel_password))
        wait_until(self.is_settled, "the sentinels to know all", BOUND)

    @staticmethod
    def replicas_of(server):
        return server.ask("INFO", "replication").count("state=online")

    def is_settled(self):
        for sentinel in self.sentinels:
            facts = sentinel.ask("SENTINEL", "MASTER", self.name)
            facts = dict(zip(facts[::2], facts[1::2]))
            if (facts["num-slaves"], facts["num-other-sentinels"], facts["flags"]) != ("2", "2", "master"):
                return False
        return True

    def url(self, user=None, password=None, database=None):
        password = self.servers[0].password if password is None and user is None else password
        secret = f"{user or ''}:{password}@" if password is not None else ""
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in self.sentinels)
        return f"redis+sentinel://{secret}{hosts}/{self.name}" + (f"/{database}" if database is not None else "")

    def master(self):
        """Whom a sentinel that runs names."""
        for sentinel in self.sentinels:
            try:
                _, port = sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name)
            except OSError:
                continue
            return next(server for server in self.servers if server.port == int(port))
        raise AssertionError("no sentinel runs")

    def wait_other_master(self, than):
        """The one the sentinels agreed on after `than`."""
        return wait_until(lambda: (lambda now: now if now is not than else None)(self.master()), "another master", 30)

    def kill_master(self):
        """kill -9; returns whom they choose instead."""
        old = self.master()
        old.kill()
        return self.wait_other_master(old)

    def fail_over(self):
        """As an operator orders it: both live."""
        old = self.master()

        def ordered():
            try:
                return self.sentinels[0].ask("SENTINEL", "FAILOVER", self.name) == "OK"
            except RedisError as error:  # one is under way, or the replicas are not seen yet
                assert "INPROG" in str(error) or "NOGOODSLAVE" in str(error), error
                return False

        wait_until(ordered, "the sentinel to begin a failover", 30)
        return self.wait_other_master(old)

    def stop(self):
        for one in [*self.sentinels, *self.servers]:
            one.stop()


class ClusterNode(Redis):
    def __init__(self, **options):
        self.bus_port = None
        super().__init__(**options)

    def _choose_ports(self):
        super()._choose_ports()
        self.bus_port = free_port()

    def lines(self):
        yield from super().lines()
        yield from ("cluster-enabled yes", f"cluster-port {self.bus_port}", "cluster-config-file nodes.conf",
                    "cluster-node-timeout 1000", "cluster-announce-ip 127.0.0.1", "cluster-replica-validity-factor 0")

    @property
    def id(self):
        return self.ask("CLUSTER", "MYID")


class Cluster:
    """Three nodes that share all slots, and `replicas` of each."""

    SLOTS = 16384

    def __init__(self, replicas=0, password=None, tls=None, options=()):
        self.errors = []
        secret = [f"masterauth {password}"] if password is not None else []
        if tls:
            secret += ["tls-cluster yes", "tls-replication yes"]
        self.nodes = [ClusterNode(password=password, tls=tls, options=[*options, *secret]) for _ in range(3 + 3 * replicas)]
        self.tls = tls
        for i, node in enumerate(self.nodes[:3]):
            node.ask("CLUSTER", "ADDSLOTSRANGE", i * self.SLOTS // 3, (i + 1) * self.SLOTS // 3 - 1)
        first = self.nodes[0]
        for node in self.nodes[1:]:
            node.ask("CLUSTER", "MEET", "127.0.0.1", first.tls_port if tls else first.port, first.bus_port)
        self.wait_whole()
        for i, node in enumerate(self.nodes[3:]):
            node.ask("CLUSTER", "REPLICATE", self.nodes[i % 3].id)
        wait_until(lambda: all("master_link_status:up" in node.ask("INFO", "replication") for node in self.nodes[3:]),
                   "the replicas to follow", BOUND)
        self.wait_whole()

    def wait_whole(self):
        def whole(node):
            facts = node.ask("CLUSTER", "INFO")
            return "cluster_state:ok" in facts and f"cluster_known_nodes:{len(self.nodes)}" in facts

        wait_until(lambda: all(whole(node) for node in self.nodes), "the cluster to be whole", 30)

    def url(self, user=None, password=None):
        password = self.nodes[0].password if password is None and user is None else password
        secret = f"{user or ''}:{password}@" if password is not None else ""
        hosts = ",".join(f"127.0.0.1:{node.tls_port if self.tls else node.port}" for node in self.nodes)
        return f"redis{'s' if self.tls else ''}+cluster://{secret}{hosts}"

    def slot(self, key):
        tag = key.partition("{")[2].partition("}")[0] if "{" in key and "}" in key.partition("{")[2] else ""
        return binascii.crc_hqx((tag or key).encode(), 0) % self.SLOTS

    def owner(self, key):
        """The node that has the key's slot, as a node that runs sees it."""
        slot = self.slot(key)
        for asked in self.nodes:
            try:
                ranges = asked.ask("CLUSTER", "SLOTS")
            except OSError:
                continue
            port = next(master[1] for first, last, master, *_ in ranges if first <= slot <= last)
            return next(node for node in self.nodes if port in (node.port, node.tls_port))
        raise AssertionError("no node runs")

    def move_slot(self, key, target=None, pause=None):
        """To another node, as redis-cli --cluster reshard does; `pause` is called when half of the keys have moved. Returns it."""
        slot, source = self.slot(key), self.owner(key)
        target = target or next(node for node in self.nodes[:3] if node is not source)
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        half = source.ask("CLUSTER", "COUNTKEYSINSLOT", slot) // 2
        while True:
            keys = source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100)
            if not keys:
                break
            if pause and len(keys) <= half:
                pause()
                pause = None
            secret = ["AUTH", source.password] if source.password is not None else []
            port = target.tls_port if self.tls else target.port
            source.ask("MIGRATE", "127.0.0.1", port, keys[0], 0, 5000, "REPLACE", *secret)
        for node in (target, source, *[node for node in self.nodes if node not in (target, source)]):
            try:
                node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.id)
            except (RedisError, OSError):  # a replica, or one that is away: they hear of it
                pass
        return target

    def stop(self):
        for node in self.nodes:
            node.stop()
