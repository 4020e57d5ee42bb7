"""HTTP/2 connections: many exchanges on few, back-pressure at bounded memory, GOAWAY and drain, PING, limits, either side."""

import signal
import threading
import time

from certificates import authority, client_context, server_context
from harness import Case, Ended, Peer, config, http_reply, main, stays, wait_until
from http2 import Answer, H2Backend, H2Client
from http2_frames import (CANCEL, DATA, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, NO_ERROR, PING, PROTOCOL_ERROR,
                          REFUSED_STREAM, WINDOW, WINDOW_UPDATE, frame, goaway, reset, settings)
from test_streaming import BOUND, Growth

BIG = 200 << 20


class ConnectionCase(Case):
    def begin(self, legacy, **options):
        return self.shunt(config(legacy, **{"top": "access_log: off", "workers": 1, **options}))

    def h2(self, shunt, **options):
        client = H2Client(shunt.address, **options).settled()
        self.clients.append(client)
        return client

    def held(self, **options):
        """A backend that answers /hold when self.go is set, and all else at once."""
        self.go = threading.Event()
        self.addCleanup(self.go.set)
        return self.peer(H2Backend(lambda request_: Answer(b"late", ready=self.go.is_set) if request_.target == "/hold"
                                   else Answer(b"ok"), **options))


class Multiplexed(ConnectionCase):
    def test_many_streams_share_few_connections_and_none_waits_for_another(self):
        legacy = self.held()
        shunt = self.begin(legacy)
        client = self.h2(shunt)
        slow = [client.open("/hold") for _ in range(60)]
        client.until(lambda: len(legacy.requests) == 60, "60 requests at the backend")
        for _ in range(10):
            self.assertEqual(client.get("/fast").body, b"ok")
        self.assertEqual(len(legacy.conns), 1)
        self.assertFalse(any(stream.over for stream in slow))
        self.go.set()
        self.assertEqual([client.reply(stream).body for stream in slow], [b"late"] * 60)
        self.assertEqual(shunt.metric("shunt_http2_connections_total", side="upstream"), 1)
        self.assertEqual(shunt.metric("shunt_http2_streams_total", side="upstream"), 70)
        self.assertEqual(shunt.metric("shunt_http2_streams_total", side="downstream"), 70)
        self.assertEqual(shunt.metric("shunt_http2_streams_active", side="downstream"), 0)

    def test_answers_come_in_the_order_they_are_ready(self):
        gates = [threading.Event() for _ in range(5)]
        legacy = self.peer(H2Backend(lambda request_: Answer(request_.target.encode(), ready=gates[int(request_.target[1:])].is_set)))
        client = self.h2(self.begin(legacy))
        streams = [client.open(f"/{i}") for i in range(5)]
        for i in (3, 0, 4, 2, 1):
            gates[i].set()
            self.assertEqual(client.reply(streams[i]).body, b"/%d" % i)

    def test_streams_over_a_backend_of_http1_take_connections_of_their_own(self):
        go = threading.Event()
        self.addCleanup(go.set)

        def answer(request_):
            go.wait(20)
            return http_reply("ok")

        legacy = self.backend(answer)
        client = self.h2(self.begin(legacy))
        streams = [client.open() for _ in range(20)]
        legacy.wait_connections(20)
        go.set()
        self.assertEqual([client.reply(stream).status for stream in streams], [200] * 20)

    def test_the_backends_limit_of_streams_is_kept(self):
        """More requests than it has told to allow go to another connection, or wait."""
        legacy = self.held(ours={MAX_CONCURRENT_STREAMS: 4})
        client = self.h2(self.begin(legacy))
        client.get("/first")
        streams = [client.open("/hold") for _ in range(20)]
        client.until(lambda: len(legacy.requests) > 4, "requests at the backend")
        self.go.set()
        self.assertEqual([client.reply(stream).body for stream in streams], [b"late"] * 20)
        self.assertLessEqual(legacy.h2conns[0].most, 4)
        self.assertGreater(len(legacy.conns), 1)

    def test_a_refused_stream_is_tried_again(self):
        count = [0]

        def head(conn, request_):
            count[0] += 1
            if count[0] == 1:
                conn.send(reset(request_.stream.number, REFUSED_STREAM))
                return None
            return conn.answer(request_, Answer(b"ok"))

        legacy = self.peer(H2Backend(head=head))
        self.assertEqual(self.begin(legacy).get().body, b"ok")
        self.assertEqual(count[0], 2)


class BackPressure(ConnectionCase):
    def counted(self, size=BIG):
        self.sent = [0]

        def pieces():
            block = b"x" * 65536
            while self.sent[0] < size:
                yield block
                self.sent[0] += len(block)

        return lambda request_: Answer(pieces()) if request_.target == "/big" else Answer(b"ok")

    def slow_reader(self, legacy):
        """Gives no credit for a while, then reads all; another stream of the connection is answered meanwhile."""
        shunt = self.begin(legacy, timeouts="stream_idle: 60s")
        client = self.h2(shunt)
        client.keep_frames = False
        client.get("/other")
        growth = Growth(shunt)
        client.credits = False
        stream = client.open("/big")
        client.until(lambda: client.receive_window == 0, "the connection's window full")
        at = [self.sent[0]]
        wait_until(lambda: self._stopped(at), "the backend to be stopped")
        self.assertLess(self.sent[0], 40 << 20)
        client.give(0, 1 << 20)
        for _ in range(5):
            self.assertEqual(client.get("/other").status, 200)
        client.until(lambda: stream.size == WINDOW, "the stream's window full")
        client.is_alive()
        self.assertEqual(stream.size, WINDOW, "no credit, no byte")
        client.credits = True
        stream.sink = lambda piece: None
        client.give(stream.number, WINDOW)
        client.until(lambda: stream.over, "the whole body", 120)
        self.assertEqual((stream.size >= BIG, stream.reset), (True, None))
        self.assertLess(growth.end(), BOUND)

    def _stopped(self, at):
        before, at[0] = at[0], self.sent[0]
        time.sleep(0.3)
        return before == at[0] == self.sent[0]

    def test_a_slow_reader_slows_a_backend_of_http2(self):
        self.slow_reader(self.peer(H2Backend(self.counted())))

    def test_a_slow_reader_slows_a_backend_of_http1(self):
        counted = self.counted()

        def play(conn):
            while True:
                answer = counted(conn.read_request())
                if isinstance(answer.body, bytes):
                    conn.send(http_reply(answer.body))
                    continue
                conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
                for piece in answer.body:
                    conn.send(piece)

        self.slow_reader(self.peer(Peer(play)))

    def test_a_slow_backend_slows_the_client(self):
        """No more credit than the window, while the backend gives none."""
        def play(conn):
            conn.credits = False
            request_ = conn.until(lambda: conn.requests and list(conn.requests.values())[0], "a request")
            conn.until(self.go.is_set)
            conn.credits = True
            conn.give(0, conn.owed)
            conn.give(request_.stream.number, request_.stream.owed)
            conn.owed = request_.stream.owed = 0
            conn.until(lambda: request_.complete)
            conn.jobs.append(conn.answer(request_, Answer(str(request_.stream.size).encode())))
            conn.until(lambda: False)

        self.go = threading.Event()
        self.addCleanup(self.go.set)
        legacy = self.peer(H2Backend(play=play))
        shunt = self.begin(legacy, timeouts="request_body: 30s, stream_idle: 30s")
        growth = Growth(shunt)
        client = self.h2(shunt)
        stream = client.open(method="POST", end=False)
        sent, quiet = 0, 0
        while quiet < 10:  # as much as it may
            room = client.room(stream)
            if room:
                client.data(stream, b"y" * room)
                sent, quiet = sent + room, 0
            elif not client.take_frame():
                quiet += not client.wait_readable(0.05)
        self.assertLess(sent, 4 << 20)
        self.go.set()
        client.send_body(stream, [b"y" * 65536] * 100)
        self.assertEqual(int(client.reply(stream).body), sent + 100 * 65536)
        self.assertLess(growth.end(), BOUND)

    def test_a_window_that_is_full_before_there_is_a_backend_is_opened_again(self):
        """All the client may send comes while the connection to the backend is still being made."""
        for legacy in (self.backend(), self.peer(H2Backend())):
            shunt = self.begin(legacy)
            for _ in range(10):
                client = self.h2(shunt)
                stream = client.open(method="POST", end=False)
                client.send(b"".join(frame(DATA, 0, stream.number, b"x" * 16384) for _ in range(4)))
                client.until(lambda: any(one.kind == WINDOW_UPDATE and one.stream == stream.number for one in client.frames),
                             "credit", 10)
                client.close()

    def test_one_stalled_upload_does_not_stop_the_others(self):
        legacy = self.peer(Peer(self._stall))
        shunt = self.begin(legacy, timeouts="request_body: 30s")
        client = self.h2(shunt)
        stalled = client.open("/stall", "POST", end=False)
        quiet = 0
        while quiet < 6:
            room = client.room(stalled)
            if room:
                client.data(stalled, b"y" * room)
                quiet = 0
            elif not client.take_frame():
                quiet += not client.wait_readable(0.05)
        self.assertGreater(client.send_window, 0, "the connection's window is left for others")
        for _ in range(5):
            self.assertEqual(client.get("/other", method="POST", body=b"z" * 30000).status, 200)
        self.assertFalse(stalled.over)

    @staticmethod
    def _stall(conn):
        while True:
            request_ = conn.read_head()
            if request_.target == "/stall":
                while not conn.peer.stopping:
                    time.sleep(0.02)
                return
            conn.read_body(request_)
            conn.send(http_reply("ok"))

    def test_the_windows_are_what_the_file_says(self):
        for size, window in (("64KiB", 64 << 10), ("1MiB", 1 << 20)):
            shunt = self.begin(self.backend(), top=f"access_log: off\nlimits: {{ http2_window: {size} }}")
            client = self.h2(shunt)
            self.assertEqual(client.theirs.get(INITIAL_WINDOW_SIZE, WINDOW), window)
            client.until(lambda: client.send_window >= 4 * window, "the connection's window")


class Going(ConnectionCase):
    def test_goaway_of_a_backend_moves_to_another_connection(self):
        legacy = self.held()
        shunt = self.begin(legacy)
        client = self.h2(shunt)
        first = client.open("/hold")
        client.until(lambda: legacy.requests, "the request")
        legacy.h2conns[0].send(goaway(1))
        wait_until(lambda: self._asks_elsewhere(client, legacy), "another connection")
        self.go.set()
        self.assertEqual(client.reply(first).body, b"late")
        wait_until(lambda: legacy.open == 1, "the old connection to end")

    @staticmethod
    def _asks_elsewhere(client, legacy):
        assert client.get("/x").status == 200
        return legacy.requests[-1].conn is not legacy.h2conns[0]

    def test_goaway_of_an_idle_backend_costs_nothing(self):
        legacy = self.held()
        shunt = self.begin(legacy)
        self.assertEqual(shunt.get().status, 200)
        legacy.h2conns[0].send(goaway(1))
        for _ in range(5):
            self.assertEqual(shunt.get().status, 200)

    def test_a_backends_connection_that_ends_is_replaced(self):
        legacy = self.held()
        shunt = self.begin(legacy)
        client = self.h2(shunt)
        for _ in range(5):
            self.assertEqual(client.get().status, 200)
            legacy.h2conns[-1].leaves = True
            wait_until(lambda: shunt.metric("shunt_http2_connections_active", side="upstream") == 0, "its end to be noticed")

    def test_drain_says_so_in_two_steps(self):
        """First GOAWAY with the largest number: nothing is refused yet; then one with the last stream; then the end."""
        for tls in (False, True):
            with self.subTest(tls=tls):
                legacy = self.held()
                shunt = self.begin(legacy, listener=[f"tls: {{ {authority().issue().keys} }}"] if tls else [])
                client = self.h2(shunt, tls=client_context(alpn=["h2"]) if tls else None)
                stream = client.open("/hold")
                client.until(lambda: legacy.requests, "the request")
                shunt.signal(signal.SIGTERM)
                client.until(lambda: client.goaways, "GOAWAY")
                self.assertEqual(client.goaways[0][:2], (0x7FFFFFFF, NO_ERROR))
                crossing = client.open("/crossing")  # sent before the second one is here: it is served
                client.until(lambda: len(client.goaways) == 2 or crossing.over, "the second GOAWAY")
                self.go.set()
                self.assertEqual(client.reply(stream).body, b"late")
                self.assertEqual(client.to_end(10), "closed")
                self.assertEqual(len(client.goaways), 2)
                last, code, _ = client.goaways[1]
                self.assertEqual(code, NO_ERROR)
                self.assertGreaterEqual(last, stream.number)
                self.assertTrue(crossing.ended or crossing.number > last, (crossing.number, last))
                self.assertEqual(shunt.wait_exit(20), 0)

    def test_an_idle_connection_is_ended_at_once_by_a_drain(self):
        shunt = self.begin(self.held(), timeouts="drain: 20s")
        client = self.h2(shunt)
        client.get("/x")
        began = time.monotonic()
        shunt.signal(signal.SIGTERM)
        self.assertEqual(client.to_end(10), "closed")
        self.assertEqual(shunt.wait_exit(20), 0)
        self.assertLess(time.monotonic() - began, 10)

    def test_a_connection_opened_early_is_idle_not_late(self):
        """Clients of gRPC open their connection long before the first call: the time for a request's head has not begun."""
        shunt = self.begin(self.held(), timeouts="request_header: 300ms, idle: 20s")
        client = self.h2(shunt)
        with shunt.client() as late:  # says nothing, and is ended after that time: as long has gone by for the other
            self.assertEqual(late.socket.recv(1), b"")
        self.assertEqual(client.get("/x").status, 200)

    def test_an_idle_connection_is_told_when_it_is_closed(self):
        client = self.h2(self.begin(self.held(), timeouts="idle: 300ms"))
        client.get("/x")
        self.assertEqual(client.to_end(10), "closed")
        self.assertEqual(client.goaways[-1][1], NO_ERROR)


class Pings(ConnectionCase):
    def test_a_client_that_is_gone_is_noticed(self):
        legacy = self.held()
        shunt = self.begin(legacy, timeouts="http2_ping: 200ms, idle: 60s")
        client = self.h2(shunt)
        client.answers = False
        client.open("/hold")
        self.assertIn(client.to_end(10), ("closed", "reset"))
        self.assertTrue(any(one.kind == PING for one in client.frames))
        self.assertEqual(shunt.metric("shunt_http2_ping_timeouts_total", side="downstream"), 1)
        wait_until(lambda: legacy.requests[0].stream.reset == CANCEL, "CANCEL at the backend")

    def test_a_client_that_answers_stays(self):
        legacy = self.held()
        shunt = self.begin(legacy, timeouts="http2_ping: 150ms, response: 20s")
        client = self.h2(shunt)
        stream = client.open("/hold")
        client.until(lambda: sum(one.kind == PING for one in client.frames) >= 4, "four PINGs")
        self.go.set()
        self.assertEqual(client.reply(stream).body, b"late")

    def test_a_backend_that_is_gone_is_noticed(self):
        def play(conn):
            conn.answers = False
            conn.until(lambda: False)

        legacy = self.peer(H2Backend(play=play))
        shunt = self.begin(legacy, timeouts="http2_ping: 300ms, response: 60s")
        reply = shunt.get()
        self.assertIn(reply.status, (502, 503, 504))
        self.assertEqual(shunt.metric("shunt_http2_ping_timeouts_total", side="upstream"), 1)

    def test_pings_of_the_peer_are_answered(self):
        client = self.h2(self.begin(self.held()))
        for _ in range(5):
            self.assertTrue(client.is_alive())


class Limits(ConnectionCase):
    def test_streams(self):
        """One too many is refused; who has agreed to the limit and breaks it may lose the connection."""
        legacy = self.held()
        shunt = self.begin(legacy, top="access_log: off\nlimits: { http2_streams: 10 }")
        client = self.h2(shunt)
        self.assertEqual(client.theirs[MAX_CONCURRENT_STREAMS], 10)
        for _ in range(2):
            self.go.clear()
            del legacy.requests[:]
            streams = [client.open("/hold") for _ in range(10)]
            client.until(lambda: len(legacy.requests) == 10, "ten requests")
            self.go.set()
            self.assertEqual([client.reply(stream).body for stream in streams], [b"late"] * 10)
        self.go.clear()
        streams = [client.open("/hold") for _ in range(11)]
        client.until(lambda: streams[-1].reset is not None or client.goaways, "the refusal")
        if client.goaways:
            self.assertEqual(client.goaways[0][1], PROTOCOL_ERROR)
        else:
            self.assertEqual(streams[-1].reset, REFUSED_STREAM)

    def test_streams_before_the_limit_is_known(self):
        legacy = self.held()
        shunt = self.begin(legacy, top="access_log: off\nlimits: { http2_streams: 10 }")
        client = H2Client(shunt.address)
        self.clients.append(client)
        client.answers = False  # the limit is not agreed to yet
        streams = [client.open("/hold") for _ in range(15)]
        client.until(lambda: sum(stream.reset == REFUSED_STREAM for stream in streams) == 5, "five refusals")
        self.go.set()
        client.answers = True
        client.send(settings(ack=True))
        self.assertEqual([client.reply(stream).body for stream in streams[:10]], [b"late"] * 10)
        self.assertEqual(client.get("/again").body, b"ok")

    def test_no_answer_in_time(self):
        silent = self.peer(H2Backend(lambda request_: None))
        client = self.h2(self.begin(silent, timeouts="response: 300ms"))
        self.assertEqual(client.get().status, 504)
        wait_until(lambda: silent.requests[0].stream.reset == CANCEL, "CANCEL at the backend")
        self.assertTrue(client.is_alive(), "one slow answer is not the connection's end")
        self.assertEqual(silent.open, 1)

    def test_a_body_that_does_not_come(self):
        client = self.h2(self.begin(self.held(), timeouts="request_body: 300ms"))
        stream = client.open(method="POST", end=False)
        client.until(lambda: stream.over, "408")
        if stream.fields is not None:
            self.assertEqual(client.made(stream).status, 408)
        self.assertTrue(client.is_alive())

    def test_an_answer_that_stops_flowing(self):
        def pieces():
            yield b"half"
            while True:
                yield b""

        endless = self.peer(H2Backend(lambda request_: Answer(pieces())))
        client = self.h2(self.begin(endless, timeouts="stream_idle: 400ms"))
        reply = client.get()
        self.assertEqual((reply.body, reply.truncated), (b"half", True))
        wait_until(lambda: endless.requests[0].stream.reset is not None, "RST_STREAM at the backend")
        self.assertTrue(client.is_alive())

    def test_a_connection_nobody_asks_anything_on(self):
        with self.assertRaises(Ended):
            client = self.h2(self.begin(self.held(), timeouts="idle: 200ms"))
            client.until(lambda: False, "the end")

    def test_idle_connections_cost_no_timers(self):
        shunt = self.begin(self.held(), workers=1)
        clients = [self.h2(shunt) for _ in range(50)]
        for client in clients:
            client.get("/x")
        before, rounds = shunt.cpu_seconds(), shunt.metric("shunt_loop_rounds_total")
        stays(shunt.alive, 1.0, "shunt has ended")
        self.assertLess(shunt.metric("shunt_loop_rounds_total") - rounds, 100)
        self.assertLess(shunt.cpu_seconds() - before, 0.5)

    def test_a_thousand_open_calls_cost_no_timers(self):
        """Each has its deadlines; the loop turns as often as for one."""
        shunt = self.begin(self.held(), workers=1)
        clients = [self.h2(shunt) for _ in range(10)]
        streams = [(client, client.open("/hold", "POST", [("content-type", "application/grpc"), ("te", "trailers")], end=False))
                   for client in clients for _ in range(100)]
        wait_until(lambda: shunt.metric("shunt_http2_streams_active", side="upstream") == 1000, "1,000 calls at the backend")
        rounds = shunt.metric("shunt_loop_rounds_total")
        stays(shunt.alive, 2.0, "shunt has ended")
        self.assertLess(shunt.metric("shunt_loop_rounds_total") - rounds, 300)
        self.go.set()
        for client, stream in streams:
            client.send_body(stream, b"")
            self.assertEqual(client.reply(stream).body, b"late")

    def test_over_tls_both_sides(self):
        legacy = self.held(tls=server_context(alpn=("h2",)))
        shunt = self.begin(legacy, listener=[f"tls: {{ {authority().issue().keys} }}"])
        client = self.h2(shunt, tls=client_context(alpn=["h2"]))
        slow = [client.open("/hold") for _ in range(20)]
        self.assertEqual(client.get("/fast").body, b"ok")
        self.go.set()
        self.assertEqual([client.reply(stream).body for stream in slow], [b"late"] * 20)
        self.assertEqual(len(legacy.conns), 1)


if __name__ == "__main__":
    main()
