"""Bodies of any size at bounded memory: 1 GiB each way, slow readers, slow backends; what comes out is what went in."""

import threading
import time

from harness import Case, Peer, config, main, wait_until

GIB = 1 << 30
BOUND = 16 << 20
ROUTE = "  - name: all\n    match: {{ path: /** }}\n    percent: {0}\n    breaker: off\n    shadow: {{ percent: {1}, methods: [\"*\"] }}\n"


class Growth:
    """The largest resident size while something runs, over what it was before."""

    def __init__(self, shunt):
        self.shunt = shunt
        self.most = self.before = shunt.rss()
        self.over = False
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self):
        while not self.over:
            self.most = max(self.most, self.shunt.rss())
            time.sleep(0.01)

    def end(self):
        self.over = True
        self.thread.join()
        return self.most - self.before


class Volume(Case):
    def begin(self, percent=0, shadow=0, **options):
        self.legacy, self.new = self.fast("legacy"), self.fast("new")
        shunt = self.shunt(config(self.legacy, self.new, ROUTE.format(percent, shadow), top="access_log: off",
                                  **options))
        # what is needed once is there before it counts
        self.load(shunt.address, requests=200, connections=4).wait()
        self.load(shunt.address, requests=4, connections=2, path="/bytes/3000000", verify=True).wait()
        self.load(shunt.address, requests=4, connections=2, path="/chunked/3000000", verify=True).wait()
        self.load(shunt.address, requests=4, connections=2, body=3000000, verify=True).wait()
        self.load(shunt.address, requests=4, connections=2, body=3000000, chunked=True, verify=True).wait()
        return shunt

    def through(self, shunt, bound=BOUND, **options):
        growth = Growth(shunt)
        result = self.load(shunt.address, requests=1, connections=1, verify=True, **options).wait()
        grown = growth.end()
        self.assertEqual((result["ok"], result["failed"]), (1, 0), result)
        self.assertLess(grown, bound, f"{grown >> 20} MiB grown")

    def test_1_gib_down(self):
        self.through(self.begin(), path=f"/bytes/{GIB}")

    def test_1_gib_up(self):
        self.through(self.begin(), body=GIB)

    def test_1_gib_chunked_down(self):
        self.through(self.begin(), path=f"/chunked/{GIB}")

    def test_1_gib_chunked_up(self):
        self.through(self.begin(), body=GIB, chunked=True)

    def test_256_mib_both_ways_mirrored(self):
        """Every byte is shared with a copy: memory is bounded by what the copy may fall behind and keep."""
        shunt = self.begin(shadow=100)
        self.through(shunt, body=GIB // 4)
        self.through(shunt, path=f"/bytes/{GIB // 4}")
        wait_until(lambda: shunt.metric("shunt_shadow_copies_in_flight") == 0, "no copy under way")
        self.assertEqual(shunt.metric("shunt_shadow_buffered_bytes"), 0)


class BackPressure(Case):
    def test_a_slow_reader_slows_the_backend_and_costs_no_memory(self):
        sent = [0]

        def play(conn):
            conn.read_head()
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 400000000\r\n\r\n")
            block = b"x" * 65536
            while sent[0] < 400000000:
                piece = block[: 400000000 - sent[0]]
                conn.send(piece)
                sent[0] += len(piece)

        backend = self.peer(Peer(play))
        shunt = self.shunt(config(backend))
        growth = Growth(shunt)
        with shunt.client(receive_buffer=65536) as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            client.head()
            time.sleep(1.5)  # reads nothing
            at = sent[0]
            time.sleep(0.5)
            self.assertEqual(sent[0], at, "the backend must be stopped")
            self.assertLess(at, 40 << 20)
            left = 400000000
            while left:
                piece = client.read_some()
                self.assertTrue(piece)
                left -= len(piece)
        self.assertLess(growth.end(), BOUND)

    def test_a_slow_backend_slows_the_client_and_costs_no_memory(self):
        go = threading.Event()

        def play(conn):
            request_ = conn.read_head()
            go.wait(20)
            conn.read_body(request_)
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        backend = self.peer(Peer(play))
        shunt = self.shunt(config(backend, timeouts="request_body: 20s"))
        growth = Growth(shunt)
        sent = [0]
        with shunt.client() as client:
            client.socket.settimeout(120)
            total = 60 << 20
            client.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {total}\r\n\r\n")

            def send():
                block = b"y" * 65536
                while sent[0] < total:
                    client.socket.sendall(block)
                    sent[0] += len(block)

            sender = threading.Thread(target=send, daemon=True)
            sender.start()
            time.sleep(1.5)
            at = sent[0]
            time.sleep(0.5)
            self.assertEqual(sent[0], at, "the client must be stopped")
            self.assertLess(at, 40 << 20)
            go.set()
            sender.join(120)
            self.assertEqual(client.reply().body, b"ok")
        self.assertLess(growth.end(), BOUND)
        self.assertEqual(backend.requests[0].body, b"y" * total)

    def test_many_slow_readers(self):
        backend = self.fast()
        shunt = self.shunt(config(backend, top="access_log: off"))
        self.load(shunt.address, requests=50, connections=50, path="/bytes/100000", verify=True).wait()
        growth = Growth(shunt)
        result = self.load(shunt.address, requests=50, connections=50, path="/bytes/3000000", verify=True,
                           slow=40000).wait()
        self.assertEqual(result["failed"], 0, result)
        self.assertLess(growth.end(), 64 << 20)

    def test_a_pipelining_client_that_reads_nothing_is_bounded(self):
        backend = self.fast()
        shunt = self.shunt(config(backend, top="access_log: off", timeouts="stream_idle: 3s"))
        growth = Growth(shunt)
        with shunt.client(receive_buffer=4096) as client:
            client.socket.settimeout(1)
            try:
                for _ in range(3000):
                    client.socket.sendall(b"GET /bytes/100000 HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
            except (TimeoutError, ConnectionError):
                pass
        self.assertLess(growth.end(), BOUND)
        self.assertEqual(shunt.get().status, 200)


if __name__ == "__main__":
    main()
