"""Hostile and odd HTTP/2: every row of http2_cases.py against a listener, and what broken backends send against shunt.

One shunt lives through all of it. After each case it serves a new connection, nothing that was hidden in the case has reached a
backend as a request, and at the end it is no larger than it was.
"""

import threading
import time

import http2_cases
from harness import SLOW_BUILD, Case, Ended, Peer, config, http_reply, main, wait_until
from http2 import Answer, H2Backend, H2Client
from http2_frames import (ACK, CANCEL, COMPRESSION_ERROR, CONTINUATION, DATA, ENABLE_PUSH, END_HEADERS, END_STREAM,
                          FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, HEADERS, HTTP_1_1_REQUIRED, INITIAL_WINDOW_SIZE, INTERNAL_ERROR,
                          MAX_FRAME_SIZE, NO_ERROR, PADDED, PING, PROTOCOL_ERROR, PUSH_PROMISE, REFUSED_STREAM, SETTINGS,
                          STREAM_CLOSED, WINDOW, ask, block, frame, goaway, headers, indexed, literal, name_of, ping, reset,
                          settings, window_update)

GROWTH = (96 if SLOW_BUILD else 32) << 20
ROUTES = """\
  - name: stall
    match: { path: /stall/** }
    percent: 100
    breaker: off
  - name: rest
    match: { path: /** }
    percent: 0
    breaker: off
"""
TIMEOUTS = "request_header: 1s, request_body: 3s, stream_idle: 2s, response: 10s, drain: 2s"


def never_reads(conn):
    while not conn.peer.stopping:
        time.sleep(0.02)


class Listener(Case):
    def setUp(self):
        super().setUp()
        self.go = threading.Event()
        self.addCleanup(self.go.set)
        self.legacy = self.backend(self.answer)
        self.front = self.shunt(config(self.legacy, self.peer(Peer(never_reads)), ROUTES, workers=1, top="access_log: off",
                                       timeouts=TIMEOUTS))

    def answer(self, request_):
        if request_.target == "/hold":
            self.go.wait(20)
        return http_reply("x" * 1000000 if request_.target == "/big" else "ok")

    def each(self, rows):
        names = [row.name for row in rows]
        self.assertEqual(len(names), len(set(names)), "names are unique")
        for row in rows:
            with self.subTest(row.name, section=row.section):
                self.run_row(row)
                self.assertTrue(self.front.alive(), "shunt has ended")

    def run_row(self, row):
        self.go.clear()
        del self.legacy.requests[:]
        with H2Client(self.front.address, timeout=15, preface=row.begins) as client:
            if row.begins:
                client.settled()
            client.use(row.number)
            try:
                (row.play if callable(row.play) else client.send)(*((client,) if callable(row.play) else (row.play,)))
                getattr(self, "expect_" + row.expect)(client, row)
            finally:
                self.go.set()
        self.check_backend(row)
        with H2Client(self.front.address, timeout=15) as client:
            self.assertEqual(client.get("/clean").status, 200)

    def check_backend(self, row):
        seen = list(self.legacy.requests)
        self.assertFalse([one for one in seen if "smuggled" in one.target or one.get("host") == "other"], seen)
        if row.expect == "refused":
            self.assertFalse([one for one in seen if one.complete and one.target != "/after"], "a malformed request has reached the backend")

    def still_serves(self, client):
        """The connection goes on where nobody said that it does not."""
        if not client.goaways:
            self.assertEqual(client.get("/after").status, 200)

    def expect_connection(self, client, row):
        how = client.to_end(10)
        self.assertTrue(client.goaways, f"{how} without GOAWAY; frames {client.frames}")
        self.assertIn(name_of(client.goaways[-1][1]), [name_of(code) for code in row.codes])
        self.assertIn(how, ("closed", "reset"))

    def expect_stream(self, client, row):
        stream = client.streams[row.number]
        try:
            client.until(lambda: stream.reset is not None or any(code for _, code, _ in client.goaways), "RST_STREAM", 10)
        except Ended:
            self.assertTrue(client.goaways, "the connection ended without GOAWAY")
        code = stream.reset if stream.reset is not None else client.goaways[-1][1]
        self.assertIn(name_of(code), [name_of(code) for code in row.codes])
        try:
            self.still_serves(client)
        except Ended:  # what breaks a stream's window in bulk breaks the connection's, too
            self.assertIn(name_of(client.goaways[-1][1]) if client.goaways else "no GOAWAY", [name_of(code) for code in row.codes])

    def expect_refused(self, client, row):
        stream = client.streams[row.number]
        client.until(lambda: stream.over, "a refusal", 10)
        if stream.fields is None:
            self.assertEqual(name_of(stream.reset), "PROTOCOL_ERROR")
        else:
            self.assertIn(int(dict(stream.fields)[b":status"]), row.codes)
        self.assertEqual(client.goaways, [], "one bad request must not end the others' connection")
        self.still_serves(client)

    def expect_served(self, client, row):
        reply = client.reply(client.streams[row.number])
        self.assertEqual((reply.status, reply.truncated), (200, False))
        self.still_serves(client)

    def expect_last(self, client, row):
        reply = client.reply(client.streams[row.number])
        self.assertEqual((reply.status, reply.truncated), (200, False))

    def expect_calm(self, client, row):
        how = client.to_end(20)
        self.assertIn(how, ("closed", "reset"), f"it goes on for ever; GOAWAY {client.goaways}")
        if client.goaways and client.goaways[-1][1] != NO_ERROR:
            self.assertIn(name_of(client.goaways[-1][1]), [name_of(code) for code in row.codes])

    def expect_bounded(self, client, row):
        """What is looked at comes behind."""

    def bounded_each(self, rows):
        self.run_row(http2_cases.STATES[-1])  # what is needed once is there before it counts
        before = self.front.rss()
        self.each(rows)
        wait_until(lambda: self.front.metric("shunt_downstream_active") <= 1, "all connections to end")
        self.assertLess(self.front.rss() - before, GROWTH)

    def test_there_are_enough(self):
        self.assertGreaterEqual(len(http2_cases.ROWS), 200)

    def test_sizes_of_frames(self):
        self.bounded_each(http2_cases.SIZES)

    def test_states_of_streams(self):
        self.bounded_each(http2_cases.STATES)

    def test_the_beginning_and_settings(self):
        self.bounded_each(http2_cases.SETTINGS_ROWS)

    def test_flow_control(self):
        self.bounded_each(http2_cases.FLOW)

    def test_pseudo_headers(self):
        self.bounded_each(http2_cases.PSEUDO)

    def test_fields(self):
        self.bounded_each(http2_cases.FIELDS)

    def test_bodies(self):
        self.bounded_each(http2_cases.BODIES)

    def test_blocks(self):
        self.bounded_each(http2_cases.BLOCKS)

    def test_bulk(self):
        self.bounded_each(http2_cases.BULK)
        self.assertGreater(self.front.metric("shunt_http2_abuse_total", side="downstream"), 0)

    def test_a_stalled_client_does_not_hold_up_others_on_its_connection(self):
        with H2Client(self.front.address).settled() as client:
            client.credits = False
            stalled = client.open("/big")
            client.until(lambda: stalled.size == WINDOW, "a window full")
            client.give(0, 1 << 20)
            for _ in range(20):
                self.assertEqual(client.get("/other").body, b"ok")
            self.assertEqual(stalled.size, WINDOW)

    def test_a_client_that_has_all_credit_and_reads_nothing_is_cut_off(self):
        ended = lambda: self.front.metric("shunt_http2_abuse_total", side="downstream", reason="stalled")
        before = self.front.rss()
        with H2Client(self.front.address, receive_buffer=4096, window=(1 << 31) - 1).settled() as client:
            client.give(0, (1 << 31) - 1 - WINDOW)
            for _ in range(16):
                client.open("/big")
            wait_until(lambda: ended() == 1, "an end for that reason")
            wait_until(lambda: self.front.metric("shunt_downstream_active") == 0, "the connection closed")
            self.assertLess(self.front.rss() - before, GROWTH)


# ------------------------------------------------------------------------------------------------------------- backends

OK = [(":status", "200")]


class Answering:
    """One row of what a backend answers on a stream, and what must come of it.

    `client`: 502: the client gets that; 'cut': it has had a head and must notice the end; 'gone': no answer has come, 502 or 504;
    200: it is fine.
    `codes`: RST_STREAM on the stream or GOAWAY with one of them at the backend; none: nothing is looked at.
    """

    def __init__(self, name, section, data, client, *codes):
        self.name, self.section, self.data, self.client, self.codes = name, section, data, client, codes


def malformed(name, section, fields, more=b""):
    """A head that is refused."""
    def data(number):
        return headers(number, fields, end=not more) + (frame(DATA, END_STREAM, number, more) if more else b"")

    return Answering(name, section, data, 502, PROTOCOL_ERROR)


def broken(name, section, make, *codes, client=502):
    return Answering(name, section, make, client, *codes)


def begun(number):
    return headers(number, OK, end=False) + frame(DATA, 0, number, b"abc")


def whole(number):
    return headers(number, OK, end=False) + frame(DATA, END_STREAM, number, b"abc")


ANSWERS = [
    malformed("no :status", "8.3.2", [("x-a", "1")]),
    malformed(":status twice", "8.3", OK + OK),
    malformed(":status of four digits", "8.3.2", [(":status", "2000")]),
    malformed(":status is no number", "8.3.2", [(":status", "abc")]),
    malformed(":status is empty", "8.3.2", [(":status", "")]),
    malformed(":status 101", "8.6", [(":status", "101")]),
    malformed(":status behind a field", "8.3", [("x-a", "1"), *OK]),
    malformed("a pseudo-header of requests", "8.3", [*OK, (":path", "/")]),
    malformed("a name in upper case", "8.2.1", [*OK, ("X-A", "1")]),
    malformed("a name with a line end", "8.2.1", [*OK, ("x\r\ny", "1")]),
    malformed("a value with a line end", "8.2.1", [*OK, ("x-a", "1\r\nSet-Cookie: smuggled=1")]),
    malformed("a value with a NUL", "8.2.1", [*OK, ("x-a", "1\0")]),
    malformed("connection", "8.2.2", [*OK, ("connection", "close")]),
    malformed("transfer-encoding", "8.2.2", [*OK, ("transfer-encoding", "chunked")]),
    malformed("content-length is no number", "8.1.1", [*OK, ("content-length", "abc")], b"abc"),
    malformed("two different content-lengths", "8.1.1", [*OK, ("content-length", "3"), ("content-length", "4")], b"abc"),
    malformed("an interim head at the end", "8.1", [(":status", "103")]),
    broken("DATA before a head", "8.1", lambda n: frame(DATA, END_STREAM, n, b"abc"), PROTOCOL_ERROR),
    broken("less body than content-length", "8.1.1", lambda n: headers(n, [*OK, ("content-length", "5")], end=False) + frame(
        DATA, END_STREAM, n, b"abc"), PROTOCOL_ERROR, client="cut"),
    broken("more body than content-length", "8.1.1", lambda n: headers(n, [*OK, ("content-length", "2")], end=False) + frame(
        DATA, END_STREAM, n, b"abc"), PROTOCOL_ERROR, client="cut"),
    broken("trailers with a pseudo-header", "8.1", lambda n: begun(n) + headers(n, OK), PROTOCOL_ERROR, client="cut"),
    broken("trailers that are not the end", "8.1", lambda n: begun(n) + headers(n, [("x-a", "1")], end=False), PROTOCOL_ERROR,
           client="cut"),
    broken("a push", "8.4", lambda n: frame(PUSH_PROMISE, END_HEADERS, n, b"\0\0\0\2" + block(ask())), PROTOCOL_ERROR),
    broken("a head on a stream nobody opened", "5.1", lambda n: headers(2, OK), PROTOCOL_ERROR),
    broken("DATA on an idle stream", "5.1", lambda n: frame(DATA, 0, n + 98, b"x"), PROTOCOL_ERROR, STREAM_CLOSED),
    broken("RST_STREAM on an idle stream", "5.1", lambda n: reset(n + 98), PROTOCOL_ERROR),
    broken("a frame too large", "4.2", lambda n: headers(n, OK, end=False) + frame(DATA, 0, n, b"x" * 16385), FRAME_SIZE_ERROR, client="cut"),
    broken("PING of 7 bytes", "6.7", lambda n: frame(PING, 0, 0, b"x" * 7), FRAME_SIZE_ERROR),
    broken("SETTINGS of 5 bytes", "6.5", lambda n: frame(SETTINGS, 0, 0, b"x" * 5), FRAME_SIZE_ERROR),
    broken("SETTINGS ACK with a payload", "6.5", lambda n: frame(SETTINGS, ACK, 0, b"x" * 6), FRAME_SIZE_ERROR),
    broken("ENABLE_PUSH is 1", "6.5.2", lambda n: settings({ENABLE_PUSH: 1}), PROTOCOL_ERROR),
    broken("INITIAL_WINDOW_SIZE too large", "6.5.2", lambda n: settings({INITIAL_WINDOW_SIZE: 1 << 31}), FLOW_CONTROL_ERROR),
    broken("MAX_FRAME_SIZE too small", "6.5.2", lambda n: settings({MAX_FRAME_SIZE: 1}), PROTOCOL_ERROR),
    broken("WINDOW_UPDATE of 0", "6.9", lambda n: window_update(0, 0), PROTOCOL_ERROR),
    broken("the connection's window beyond 2^31-1", "6.9.1", lambda n: window_update(0, 0x7FFFFFFF), FLOW_CONTROL_ERROR),
    broken("index 0", "RFC 7541 6.1", lambda n: frame(HEADERS, END_HEADERS, n, b"\x80"), COMPRESSION_ERROR),
    broken("an index beyond the tables", "RFC 7541 2.3.3", lambda n: frame(HEADERS, END_HEADERS, n, indexed(70)), COMPRESSION_ERROR),
    broken("a Huffman code with EOS", "RFC 7541 5.2", lambda n: frame(
        HEADERS, END_HEADERS, n, block(OK) + b"\x00\x84\xff\xff\xff\xff\x01x"), COMPRESSION_ERROR),
    broken("DATA inside a head", "6.10", lambda n: frame(HEADERS, 0, n, block(OK)) + frame(DATA, END_STREAM, n, b"x"), PROTOCOL_ERROR),
    broken("a head without end", "10.5", lambda n: frame(HEADERS, 0, n, block(OK)) + frame(
        CONTINUATION, 0, n, literal("x-a", "y" * 1000)) * 5000),
    broken("a head that is too large", "10.5.1", lambda n: frame(HEADERS, 0, n, block(OK)) + frame(
        CONTINUATION, 0, n, literal("x-a", "y" * 15000)) * 6 + frame(CONTINUATION, END_HEADERS, n, b"")),
    broken("a bomb of HPACK", "10.5.1", lambda n: frame(
        HEADERS, END_HEADERS, n, block(OK) + literal("x-bomb", "b" * 3900, True) + indexed(62) * 12000)),
    broken("interim heads without end", "10.5", lambda n: headers(n, [(":status", "103")], end=False) * 20000, client="gone"),
    broken("SETTINGS in bulk", "10.5", lambda n: settings({INITIAL_WINDOW_SIZE: 1000}) * 100000, client="gone"),
    broken("PING in bulk", "10.5", lambda n: ping() * 100000, client="gone"),
    broken("empty DATA in bulk", "10.5", lambda n: headers(n, OK, end=False) + frame(DATA, 0, n, b"") * 100000, client="cut"),
    broken("no HTTP/2 at all", "3.4", lambda n: b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
    broken("RST_STREAM(CANCEL)", "8.1", lambda n: reset(n, CANCEL)),
    broken("RST_STREAM(INTERNAL_ERROR)", "8.1", lambda n: reset(n, INTERNAL_ERROR)),
    broken("RST_STREAM(HTTP_1_1_REQUIRED)", "7", lambda n: reset(n, HTTP_1_1_REQUIRED)),
    broken("RST_STREAM inside the body", "8.1", lambda n: begun(n) + reset(n, INTERNAL_ERROR), client="cut"),
    broken("RST_STREAM(NO_ERROR) inside the body", "8.1", lambda n: begun(n) + reset(n, NO_ERROR), client="cut"),
    broken("GOAWAY with an error", "6.8", lambda n: goaway(n, INTERNAL_ERROR), client="gone"),
    broken("GOAWAY, and the answer", "6.8", lambda n: goaway(n) + whole(n), client=200),
    broken("GOAWAY that has not seen the request", "6.8", lambda n: goaway(0), client=200),
    broken("RST_STREAM(REFUSED_STREAM)", "8.7", lambda n: reset(n, REFUSED_STREAM), client=200),
    broken("frames of unknown types", "4.1", lambda n: frame(0x42, 0xFF, 0, b"x" * 50) + frame(0x42, 0, n, b"") + whole(n), client=200),
    broken("a padded answer", "6.1", lambda n: headers(n, OK, end=False) + frame(
        DATA, PADDED | END_STREAM, n, b"\xc8abc" + b"\0" * 200), client=200),
    broken("answer and RST_STREAM(NO_ERROR)", "8.1", lambda n: whole(n) + reset(n, NO_ERROR), client=200),
    broken("PING before the answer", "6.7", lambda n: ping() + whole(n), client=200),
]


class HostileBackend(H2Backend):
    """Plays a row to the next request, and to all others that it is fine."""

    def __init__(self):
        self.row = None
        self.played = None  # (connection, stream)
        super().__init__(head=self.play_row)

    def play_row(self, conn, request_):
        row, self.row = self.row, None
        if row is None:
            return conn.answer(request_, Answer(b"abc"))
        self.played = (conn, request_.stream)
        conn.send(row.data(request_.stream.number))
        return None

    def codes(self):
        """What shunt said to it."""
        conn, stream = self.played
        return {stream.reset, *(code for _, code, _ in conn.goaways)} - {None}


class Upstream(Case):
    def test_answers(self):
        peer = self.peer(HostileBackend())
        front = self.shunt(config(peer, workers=1, top="access_log: off", timeouts=TIMEOUTS.replace("10s", "3s")))
        self.assertEqual(front.get("/first").status, 200)
        before = front.rss()
        self.assertGreaterEqual(len(ANSWERS), 50)
        for row in ANSWERS:
            with self.subTest(row.name, section=row.section):
                peer.row = row
                self.check_client(row, front.get("/x"))
                if row.codes:
                    wait_until(lambda: peer.codes() & set(row.codes), lambda: f"{[name_of(c) for c in row.codes]} at the "
                               f"backend, have {[name_of(c) for c in peer.codes()]}", 5)
                self.assertEqual(front.get("/clean").body, b"abc")
                self.assertTrue(front.alive())
        self.assertLess(front.rss() - before, GROWTH)

    def check_client(self, row, reply):
        self.assertFalse(reply.all("set-cookie"), reply)
        if row.client == "cut":
            self.assertTrue(reply.truncated or reply.status == 502, f"the client must notice: {reply}")
        elif row.client == "gone":
            self.assertIn(reply.status, (502, 504))
        else:
            self.assertEqual(reply.status, row.client, reply)
            self.assertFalse(reply.truncated)
        if row.client == 200:
            self.assertEqual(reply.body, b"abc")


if __name__ == "__main__":
    main()
