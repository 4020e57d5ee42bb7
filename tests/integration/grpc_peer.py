"""gRPC as its own library speaks it: a service that repeats what it is told in all four kinds, and stubs for it.

Messages are bytes, so that nothing has to be generated. A message that begins with "fail N" ends its call with status N;
what the service is told by fail() holds for every call. grpc.health.v1 is answered from bytes made by hand.
"""

import os
import threading
from concurrent import futures

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # the harness starts programs, and none of them goes on with gRPC
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc  # noqa: E402

from certificates import authority  # noqa: E402
from harness import wait_until  # noqa: E402

STATUS = {code.value[0]: code for code in grpc.StatusCode}
UNARY, UP, DOWN, BOTH = "/test.Echo/Unary", "/test.Echo/Up", "/test.Echo/Down", "/test.Echo/Both"
HEALTH = "/grpc.health.v1.Health/Check"
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


class GrpcBackend:
    """Every answer carries x-backend among its initial and x-trailer among its trailing metadata."""

    def __init__(self, name="legacy", tls=None, keys="protocol: http2"):
        """`tls`: a Pair to show."""
        self.name = name
        self.lock = threading.Lock()
        self.calls = []  # (method, metadata, messages, seconds left or None)
        self.cancelled = 0  # calls that ended while they waited at the gate
        self.failing = None  # (status, whether it is said before any message)
        self.health = {"": SERVING}
        self.checks = []  # services asked for
        self.gate = None  # an Event a call waits for before it answers
        self.edit = lambda message: message  # what is answered to a message
        self.server = grpc.server(futures.ThreadPoolExecutor(64), options=[("grpc.so_reuseport", 0)])
        self.server.add_generic_rpc_handlers((self,))
        if tls:
            with open(tls.key, "rb") as key, open(tls.certificate, "rb") as certificate:
                credentials = grpc.ssl_server_credentials([(key.read(), certificate.read())])
            self.port = self.server.add_secure_port("127.0.0.1:0", credentials)
            keys += f", tls: {{ ca: {authority().certificate} }}"
        else:
            self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.address = ("127.0.0.1", self.port)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.keys = f", {keys}"
        self.server.start()

    def service(self, details):
        kinds = {UNARY: grpc.unary_unary_rpc_method_handler(self._unary),
                 UP: grpc.stream_unary_rpc_method_handler(self._up),
                 DOWN: grpc.unary_stream_rpc_method_handler(self._down),
                 BOTH: grpc.stream_stream_rpc_method_handler(self._both),
                 HEALTH: grpc.unary_unary_rpc_method_handler(self._check)}
        return kinds.get(details.method)

    def fail(self, status=None):
        """All calls end with this status from now on; None: no more."""
        self.failing = status

    def _begin(self, method, context):
        metadata = {key: value for key, value in context.invocation_metadata()}
        left = context.time_remaining()
        call = (method, metadata, [], left if left is not None and left < 1e9 else None)
        with self.lock:
            self.calls.append(call)
        if self.failing is not None:
            context.abort(STATUS[self.failing], "told to")
        context.send_initial_metadata((("x-backend", self.name),))
        context.set_trailing_metadata((("x-trailer", self.name), ("x-trailer-bin", b"\0\xff")))
        return call

    def _hear(self, call, message, context):
        call[2].append(message)
        if message.startswith(b"fail "):
            context.abort(STATUS[int(message.split()[1])], "as asked")
        if self.gate is not None:
            while not self.gate.wait(0.02):
                if not context.is_active():
                    with self.lock:
                        self.cancelled += 1
                    break
        return self.edit(message)

    def _unary(self, message, context):
        return self._hear(self._begin(UNARY, context), message, context)

    def _up(self, messages, context):
        call = self._begin(UP, context)
        return b",".join([self._hear(call, message, context) for message in messages])

    def _down(self, message, context):
        self._hear(self._begin(DOWN, context), message, context)
        count, _, text = message.partition(b" ")
        for i in range(int(count)):
            yield b"%d %s" % (i, text)

    def _both(self, messages, context):
        call = self._begin(BOTH, context)
        for message in messages:
            yield self._hear(call, message, context)

    def _check(self, message, context):
        service = message[2:].decode() if message else ""  # field 1, a short string
        with self.lock:
            self.checks.append(service)
        if service not in self.health:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        if self.health[service] is None:
            context.abort(grpc.StatusCode.UNAVAILABLE, "told to")
        return self.health[service]

    @property
    def requests(self):
        with self.lock:
            return len(self.calls)

    def wait_calls(self, count):
        wait_until(lambda: self.requests >= count, lambda: f"{count} calls at {self.name}, have {self.calls}")
        return self.calls

    def stop(self):
        self.server.stop(0).wait(10)


class GrpcClient:
    """Stubs of the service; `tls`: the authority's certificate file, or None."""

    def __init__(self, address, tls=None, pair=None, options=(), retries=0):
        target = f"{address[0]}:{address[1]}"
        options = [("grpc.enable_retries", retries), ("grpc.initial_reconnect_backoff_ms", 50), ("grpc.use_local_subchannel_pool", 1),
                   *options]
        if tls:
            read = lambda path: open(path, "rb").read() if path else None  # noqa: SIM115
            credentials = grpc.ssl_channel_credentials(read(tls), read(pair and pair.key), read(pair and pair.certificate))
            self.channel = grpc.secure_channel(target, credentials, options)
        else:
            self.channel = grpc.insecure_channel(target, options)
        self.unary = self.channel.unary_unary(UNARY)
        self.up = self.channel.stream_unary(UP)
        self.down = self.channel.unary_stream(DOWN)
        self.both = self.channel.stream_stream(BOTH)
        self.check = self.channel.unary_unary(HEALTH)

    def side(self, message=b"hello", metadata=None, timeout=20):
        """The backend that answered a unary call."""
        _, call = self.unary.with_call(message, timeout, metadata)
        return dict(call.initial_metadata())["x-backend"]

    def status(self, message=b"hello", metadata=None, timeout=20):
        """The number of a unary call's status."""
        try:
            self.unary(message, timeout, metadata)
            return 0
        except grpc.RpcError as error:
            return error.code().value[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.channel.close()


class GrpcLoad:
    """Calls of all kinds from several threads until finish(); no call may fail."""

    def __init__(self, address, threads=4, tls=None, metadata=None, retries=0):
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.ok, self.failures = 0, []
        self.clients = [GrpcClient(address, tls, retries=retries) for _ in range(threads)]
        self.threads = [threading.Thread(target=self._run, args=(client, i, metadata), daemon=True)
                        for i, client in enumerate(self.clients)]
        for one in self.threads:
            one.start()

    def _run(self, client, number, metadata):
        messages = [b"a", b"bb", b"ccc"]
        while not self.stopping.is_set():
            try:
                kind = number % 4
                if kind == 0:
                    assert client.unary(b"x", 20, metadata) == b"x"
                elif kind == 1:
                    assert client.up(iter(messages), 20, metadata) == b"a,bb,ccc"
                elif kind == 2:
                    assert list(client.down(b"3 x", 20, metadata)) == [b"0 x", b"1 x", b"2 x"]
                else:
                    assert list(client.both(iter(messages), 20, metadata)) == messages
                number += 1
                with self.lock:
                    self.ok += 1
            except (grpc.RpcError, AssertionError) as error:
                with self.lock:
                    self.failures.append(f"{type(error).__name__}: {error}"[:600])

    def stop(self):
        self.finish()

    def finish(self):
        self.stopping.set()
        for one in self.threads:
            one.join(30)
        for client in self.clients:
            client.close()
        return self
