"""shuntctl compare over two real backends, shuntctl verdict and report against an admin API that is played here."""

import base64
import json
import os
import pty
import re
import select
import signal
import socket
import ssl
import subprocess
import threading
import time
import xml.etree.ElementTree

from grpc_peer import BOTH, UNARY, GrpcBackend
from harness import BUILD, DEADLINE, SANITIZER, Backend, Case, Script, config, environment, http_reply, main, wait_until

CTL = os.path.join(BUILD, "shuntctl")
FIXTURE = os.path.join(os.path.dirname(__file__), "../shadow/report_fixture.json")


class Orders:
    """Known differences: `total` of each tenth order on new, and, where it is noisy, a token that is never the same."""

    def __init__(self, noisy):
        self.noisy, self.count, self.lock = noisy, 0, threading.Lock()

    def answer(self, request, side):
        if request.method == "HEAD":
            return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n"
        number = int(re.search(r"[0-9]+", request.target).group())
        order = {"id": number, "total": number * 2}
        if self.noisy:
            with self.lock:
                self.count += 1
                order["token"] = self.count
        if side == "new" and number % 10 == 0:
            order["total"] += 1
        return http_reply(json.dumps(order), headers=["Content-Type: application/json"])


class Front:
    """TLS in front of a backend: ends it and passes the bytes on. Every connection has threads of its own."""

    def __init__(self, backend, directory):
        key, self.certificate = (os.path.join(directory, name) for name in ("key.pem", "certificate.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-keyout", key, "-out", self.certificate, "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                        "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True, timeout=60)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate, key)
        self.backend = (backend.address[0], backend.port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "https://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.refused = 0  # handshakes that the client ended
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain):
        try:
            client = self.context.wrap_socket(plain, server_side=True)
        except (ssl.SSLError, OSError):
            self.refused += 1
            plain.close()
            return
        # One thread only: a request is read whole, for it has no body, and then its answer.
        with client, socket.create_connection(self.backend) as backend:
            backend.settimeout(DEADLINE)
            while True:
                try:
                    asked = client.recv(65536)
                except (ssl.SSLError, OSError):
                    return
                if not asked:
                    return
                backend.sendall(asked)
                client.sendall(backend.recv(65536))

    def stop(self):
        self.listener.close()


class Offline(Case):
    def sides(self, legacy=None, new=None, noisy=False):
        self.orders_ = Orders(noisy)
        self.legacy = self.backend(legacy or (lambda request: self.orders_.answer(request, "legacy")), "legacy")
        self.new = self.backend(new or (lambda request: self.orders_.answer(request, "new")), "new")

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def lines(self, requests):
        return self.write("requests.jsonl", "".join(json.dumps(one) + "\n" for one in requests))

    def orders(self, count):
        return self.lines([{"url": f"/orders/{i + 1}", "headers": {"Accept": "application/json"}} for i in range(count)])

    def run_ctl(self, *arguments, code=0, text=None):
        done = subprocess.run([CTL, *arguments], input=text, capture_output=True, text=True, timeout=60,
                              env=environment(), check=False)
        self.assertIsNone(SANITIZER.search(done.stderr), done.stderr)
        self.assertEqual(done.returncode, code, done)
        return done

    def compare(self, requests, *arguments, code=0, text=None):
        return self.run_ctl("compare", "--legacy", self.legacy.url, "--new", self.new.url, "--requests", requests,
                            "--rate", "2000", *arguments, code=code, text=text)


class Compare(Offline):
    def test_the_field_that_differs_is_shown_and_noise_is_not(self):
        self.sides(noisy=True)
        done = self.compare(self.orders(600), "--json", code=1)
        route = json.loads(done.stdout)["routes"][0]
        self.assertEqual((route["totals"]["compared"], route["verdict"]["differing"]), (600, 60))
        self.assertEqual(route["verdict"]["result"], "fail")
        fields = {field["field"]: field for endpoint in route["endpoints"] for field in endpoint["fields"]}
        self.assertEqual({name for name, field in fields.items() if field["shown"]}, {"$.total"})
        self.assertEqual(fields["$.token"]["state"], "noise")
        self.assertEqual(route["noise"]["compared"], 120)
        self.assertTrue(any(sample["for"] == "$.total" for sample in route["samples"]))
        self.assertEqual([sample["values"] for sample in route["samples"]], ["redacted"] * len(route["samples"]))
        self.assertIn("600 compared, 60 differ", done.stderr)

    def test_equal_sides_pass(self):
        same = lambda request: http_reply(b'{"a": 1}', headers=["Content-Type: application/json"])
        self.sides(same, same)
        done = self.compare(self.orders(60), "--limit", "10%")
        self.assertIn("offline: 60 compared", done.stdout)
        self.assertIn("pass", done.stdout)
        self.assertEqual(self.compare(self.orders(60), "--limit", "0.01%", code=3).stderr, "")

    def test_both_sides_get_what_was_recorded(self):
        self.sides()
        har = {"log": {"version": "1.2", "entries": [{"request": {
            "method": "POST", "url": "https://shop.test/orders/7?a=b%20c#x", "headers": [
                {"name": ":authority", "value": "shop.test"}, {"name": "Host", "value": "shop.test"},
                {"name": "Accept-Encoding", "value": "gzip, br"}, {"name": "Connection", "value": "keep-alive"},
                {"name": "Content-Type", "value": "application/json"}, {"name": "Content-Length", "value": "999"},
                {"name": "Authorization", "value": "Bearer recorded"}],
            "postData": {"mimeType": "application/json", "text": "{\"q\": 1}"}}}]}}
        self.compare(self.write("shop.har", json.dumps(har)), "--methods", "get,post", "-H", "Authorization: Bearer mine",
                     code=3)
        for side in (self.legacy, self.new):
            self.assertEqual(len(side.requests), 1)  # POST is never sent twice, noise or not
            request = side.requests[0]
            self.assertEqual((request.method, request.target, request.body), ("POST", "/orders/7?a=b%20c", b'{"q": 1}'))
            self.assertEqual(request.get("host"), "shop.test")
            self.assertEqual(request.get("accept-encoding"), "gzip, br")
            self.assertEqual(request.get("authorization"), "Bearer mine")
            self.assertEqual(request.get("content-length"), "8")
            for name in ("connection", "accept", "user-agent", "expect"):
                self.assertIsNone(request.get(name), name)

    def test_where_no_method_is_named_that_was_recorded_nothing_is_to_do(self):
        self.sides()
        requests = self.lines([{"method": "DELETE", "url": "/orders/1"}, {"method": "POST", "url": "/orders/1"}])
        done = self.compare(requests, code=2)
        self.assertIn("DELETE 1, POST 1", done.stderr)
        self.assertIn('--methods: none of the recorded requests has one of "GET,HEAD"', done.stderr)
        self.assertIn('one of "PUT"', self.compare(requests, "--methods", "PUT", code=2).stderr)
        self.assertEqual((self.legacy.requests, done.stdout), ([], ""))

    def test_writes_are_sent_only_when_they_are_named(self):
        self.sides()
        requests = self.lines([{"method": "DELETE", "url": "/orders/1"}, {"method": "POST", "url": "/orders/1"},
                               {"url": "/orders/2"}, {"method": "HEAD", "url": "/orders/3"}])
        done = self.compare(requests, "--json", code=3)
        self.assertEqual({request.method for side in (self.legacy, self.new) for request in side.requests}, {"GET", "HEAD"})
        self.assertIn("DELETE 1, POST 1", done.stderr)
        self.assertEqual(json.loads(done.stdout)["routes"][0]["not_mirrored"], {"method": 2})

    def test_compressed_bodies_are_compared_as_they_came_and_redirects_are_answers(self):
        self.sides(lambda request: http_reply(b"", "302 Found", ["Location: /a"]),
                   lambda request: http_reply(b"", "302 Found", ["Location: /b"]))
        done = self.compare(self.orders(30), "--json", code=1)
        route = json.loads(done.stdout)["routes"][0]
        self.assertEqual(len(self.new.requests), 30)
        self.assertEqual([field["field"] for field in route["endpoints"][0]["fields"]], ["header:location"])

    def test_lines_that_are_no_requests_are_told_and_left_out(self):
        self.sides()
        path = self.write("mixed.jsonl", '{"url": "/orders/1"}\n{"url": \n\n{"method": "GET"}\n{"url": "/orders/2"}\n')
        done = self.compare(path, code=3)
        self.assertIn(f"{path}:2: not JSON", done.stderr)
        self.assertIn(f"{path}:4: no \"url\"", done.stderr)
        self.assertIn("2 of 4 entries are no requests", done.stderr)
        self.assertEqual(len({request.target for request in self.new.requests}), 2)
        done = self.compare(self.write("bad.jsonl", "x\n" * 50), code=2)
        self.assertIn("and 30 more", done.stderr)
        self.assertIn("has no request", done.stderr)

    def test_requests_may_come_through_standard_input(self):
        self.sides()
        done = self.compare("-", code=3, text='{"url": "/orders/1"}\nnonsense\n')
        self.assertIn("1 compared", done.stdout)
        self.assertIn("standard input:2:", done.stderr)

    def test_a_side_that_cannot_be_reached_proves_nothing(self):
        self.sides()
        requests = self.orders(10)
        for legacy, new, reason, name in ((self.legacy.url, "http://127.0.0.1:1", "shadow_connect", "new"),
                                          ("http://127.0.0.1:1", self.new.url, "primary_failed", "legacy")):
            done = self.run_ctl("compare", "--legacy", legacy, "--new", new, "--requests", requests, "--rate", "1000",
                                "--json", code=3)
            route = json.loads(done.stdout)["routes"][0]
            self.assertEqual((route["verdict"]["state"], route["not_comparable"]), ("no_data", {reason: 10}))
            self.assertIn(f"shuntctl: {name} (http://127.0.0.1:1): ", done.stderr)
            self.assertRegex(done.stderr, rf"the first: .*; does it answer there, and is --{name} right\?")

    def test_sides_that_misbehave_are_counted_by_reason(self):
        requests = self.orders(3)
        self.sides()
        for script, reason in (("read request; reset", "shadow_reset"), ("read request; hang", "shadow_timeout"),
                               ("read request; send `nonsense\\r\\n\\r\\n`; close", "shadow_bad_response"),
                               ("read request; send `HTTP/1.1 200 OK\\r\\nContent-Length: 9\\r\\n\\r\\nabc`; close",
                                "shadow_reset")):
            self.new = self.script(script)
            done = self.compare(requests, "--json", "--timeout", "0.5", code=3)
            self.assertEqual(json.loads(done.stdout)["routes"][0]["not_comparable"], {reason: 3}, script)

    def test_sides_are_reached_over_https(self):
        """Certificates are checked, unless it is said that they are not."""
        self.sides()
        fronts = [self.peer(Front(side, self.directory)) for side in (self.legacy, self.new)]
        self.assertTrue(all(front.url.startswith("https://") for front in fronts))
        sides = ["compare", "--legacy", fronts[0].url, "--new", fronts[1].url, "--requests", self.orders(20), "--rate",
                 "1000", "--json"]
        done = self.run_ctl(*sides, code=3)
        self.assertEqual(json.loads(done.stdout)["routes"][0]["totals"]["compared"], 0)
        self.assertIn("certificate", done.stderr)
        self.assertIn("--insecure", done.stderr)
        self.assertEqual((self.legacy.requests, self.new.requests), ([], []))  # nothing was sent to who knows whom
        done = self.run_ctl(*sides, "--insecure", code=1)
        totals = json.loads(done.stdout)["routes"][0]["totals"]
        self.assertEqual((totals["compared"], totals["mismatched"]), (20, 2))
        self.assertNotIn("without a whole answer", done.stderr)

    def test_where_the_report_cannot_be_written_nothing_is_sent(self):
        """A long run must not end in a report that finds no place."""
        self.sides()
        requests = self.orders(3)
        for output, fault in ((os.path.join(self.directory, "no/report.html"), "No such file or directory"),
                              (self.directory, "Is a directory")):
            done = self.compare(requests, "--html", "--output", output, code=2)
            self.assertIn(f"--output: {output}: {fault}", done.stderr)
            self.assertIn("name a file in a folder that may be written to", done.stderr)
        self.assertEqual((self.legacy.requests, self.new.requests), ([], []))
        self.compare(requests, "--html", "--output", "/dev/null", code=3)

    def test_files_without_a_request_are_told_with_what_is_expected(self):
        self.sides()
        entry = json.dumps({"request": {"method": "GET", "url": "http://x/orders/1"}}, indent=1)
        cut = '{"log": {\n"entries": [\n' + ",\n".join([entry] * 40)
        for name, text, place in (("empty.har", '{"log": {"version": "1.2", "entries": []}}', ""),
                                  ("no.har", '{"log": {"version": "1.2"}}', "no.har: entry 0: "), ("nothing", "", ""),
                                  ("page.html", "<html>", "page.html:1: not JSON"),
                                  ("cut.har", cut, f"cut.har:{cut.count(chr(10)) + 1}: not JSON")):
            done = self.compare(self.write(name, text), code=2)
            self.assertIn(place, done.stderr)
            self.assertIn(f'{name} has no request; expected an HTTP archive (HAR) with entries, or lines such as '
                          '{"method": "GET", "url": "/orders/7"}', done.stderr)
            self.assertLessEqual(done.stderr.count("\n"), 2)  # a file that was cut off is one fault
        self.assertEqual(self.legacy.requests, [])

    def test_rules_and_gate_come_from_the_file(self):
        self.sides(noisy=True)
        text = config(self.legacy, self.new, "  - name: other\n    match: { path: /x }\n    percent: 0\n"
                      "  - name: all\n    match: { path: /** }\n    percent: 0\n"
                      "    shadow:\n      compare:\n        ignore: [ $.total, $.token ]\n")
        path = self.write("shunt.yaml", text)
        requests = self.orders(100)
        self.assertIn("say which of the 2 routes", self.compare(requests, "--config", path, code=2).stderr)
        self.assertRegex(self.compare(requests, "--config", path, code=2).stderr, "; routes are: .+, ")
        self.assertIn("no route \"nope\"", self.compare(requests, "--config", path, "--route", "nope", code=2).stderr)
        done = self.compare(requests, "--config", path, "--route", "all", "--limit", "5%", "--json")
        route = json.loads(done.stdout)["routes"][0]
        self.assertEqual((route["route"], route["totals"]["ignored"], route["verdict"]["limit"]), ("all", 100, 0.05))
        self.assertEqual({rule["rule"]: rule["pairs"] for rule in route["rules"]}["ignore $.token"], 100)
        bad = self.write("bad.yaml", "listeners: 7\n")
        self.assertIn("bad.yaml:1:", self.compare(requests, "--config", bad, code=2).stderr)

    def test_the_rate_is_kept(self):
        self.sides()
        began = time.monotonic()
        self.run_ctl("compare", "--legacy", self.legacy.url, "--new", self.new.url, "--requests", self.orders(40),
                     "--rate", "40", "--noise", "0%", code=1)
        self.assertGreater(time.monotonic() - began, 0.95)
        starts = sorted(request.at for request in self.new.requests)
        self.assertGreater(starts[-1] - starts[0], 0.9)

    def test_no_more_are_under_way_than_asked_for(self):
        lock, most, now = threading.Lock(), [0], [0]

        def slow(request):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.02)
            with lock:
                now[0] -= 1
            return http_reply(b"x")

        self.sides(lambda request: http_reply(b"x"), slow)
        self.compare(self.orders(30), "--concurrency", "3", code=3)
        self.assertEqual(len(self.new.requests), 30)
        self.assertLessEqual(most[0], 3)

    def test_ctrl_c_ends_it_with_the_report_so_far(self):
        released = threading.Event()
        self.addCleanup(released.set)

        def stuck(request):
            if request.target.endswith("/5"):
                released.wait(DEADLINE)
            return self.orders_.answer(request, "new")

        self.sides(new=stuck)
        requests = self.orders(50)
        process = subprocess.Popen([CTL, "compare", "--legacy", self.legacy.url, "--new", self.new.url, "--requests",
                                    requests, "--rate", "2000", "--concurrency", "1", "--timeout", "60", "--json"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
        try:
            wait_until(lambda: any(r.target.endswith("/5") for r in self.new.requests), "the request that hangs")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=DEADLINE)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            released.set()
        self.assertIsNone(SANITIZER.search(err), err)
        self.assertIn("interrupted; this is the report so far", err)
        self.assertEqual(process.returncode, 3)
        self.assertEqual(json.loads(out)["routes"][0]["totals"]["compared"], 4)

    def test_progress_is_for_terminals(self):
        self.sides()
        terminal, inside = pty.openpty()
        process = subprocess.Popen([CTL, "compare", "--legacy", self.legacy.url, "--new", self.new.url, "--requests",
                                    self.orders(120), "--rate", "100", "--json"], stdout=subprocess.DEVNULL,
                                   stderr=inside, env=environment())
        os.close(inside)
        seen = b""
        try:
            while True:
                ready, _, _ = select.select([terminal], [], [], DEADLINE)
                piece = os.read(terminal, 65536) if ready else b""
                if not piece:
                    break
                seen += piece
        except OSError:  # the other end is closed
            pass
        finally:
            os.close(terminal)
            process.wait(DEADLINE)
        self.assertRegex(seen.decode(), r"\[#*\.*\] \d+/120  [0-9.]+/s  \d+ differ  \S+ left")
        self.assertNotIn("\r", self.compare(self.orders(5), "--json", code=3).stderr)

    def test_a_command_line_that_is_wrong_is_refused(self):
        self.sides()
        requests = self.orders(1)
        for arguments, sentence in ((["--new", self.new.url, "--requests", requests], "--legacy"),
                                    (["--legacy", "ftp://x", "--new", self.new.url, "--requests", requests], "is no URL"),
                                    (["--legacy", self.legacy.url, "--new", self.new.url], "--requests"),
                                    (["--legacy", self.legacy.url, "--new", self.new.url, "--requests", "/nonexistent"],
                                     "No such file"),
                                    (["--legacy", self.legacy.url, "--new", self.new.url, "--requests", requests,
                                      "--format", "pdf"], "text, json, markdown, junit, har, curl, rules, html"),
                                    (["--legacy", self.legacy.url, "--new", self.new.url, "--requests", requests,
                                      "-H", "Connection: close"], "cannot be sent"),
                                    (["--legacy", self.legacy.url, "--new", self.new.url, "--requests", requests,
                                      "--limit", "5"], '"5" is not a percentage; expected one from 0% to 100%, such as 0.01%'),
                                    (["--legacy", self.legacy.url, "--new", self.new.url, "--requests", self.directory],
                                     "cannot be read: Is a directory"),
                                    (["--legacy", self.legacy.url, "--new", self.new.url, "--requests", requests,
                                      "--concurrency", "1000"], "is not a number from 1 to 256")):
            self.assertIn(sentence, self.run_ctl("compare", *arguments, code=2).stderr)
        self.assertEqual(self.legacy.requests, [])

    def test_every_form_is_made(self):
        self.sides(noisy=True)
        requests = self.orders(40)
        for form in ("text", "json", "markdown", "junit", "har", "curl", "rules", "html"):
            path = os.path.join(self.directory, f"report.{form}")
            done = self.compare(requests, "--format", form, "--output", path, code=1)
            self.assertEqual(done.stdout, "")
            self.assertIn("40 compared, 4 differ", done.stderr)
            self.assertGreater(os.path.getsize(path), 20, form)
        with open(os.path.join(self.directory, "report.rules"), encoding="utf-8") as f:
            self.assertIn('"$.token"', f.read())


class CompareGrpc(Offline):
    """Messages are made by hand: field 1 is a number."""

    def setUp(self):
        super().setUp()
        self.legacy, self.new = GrpcBackend("legacy"), GrpcBackend("new")
        self.addCleanup(self.legacy.stop)
        self.addCleanup(self.new.stop)

    def calls(self, *calls):
        frame = lambda message: b"\0" + len(message).to_bytes(4, "big") + message
        return self.lines([{"method": "POST", "url": method, "headers": {"Content-Type": "application/grpc"},
                            "body_base64": base64.b64encode(b"".join(map(frame, messages))).decode()}
                           for method, *messages in calls])

    def fields(self, *calls, code=1, arguments=()):
        done = self.compare(self.calls(*calls), "--methods", "POST", "--json", *arguments, code=code)
        route = json.loads(done.stdout)["routes"][0]
        self.assertEqual(route["totals"]["compared"], len(calls), route)
        return {field["field"] for endpoint in route["endpoints"] for field in endpoint["fields"]}, route

    def test_messages_streams_and_statuses(self):
        self.new.edit = lambda message: message.replace(b"\x08\x07", b"\x08\x08")
        fields, route = self.fields((UNARY, b"\x08\x01"), (UNARY, b"fail 5"), code=3)
        self.assertEqual((fields, route["totals"]["mismatched"]), (set(), 0))
        fields, _ = self.fields(*[(UNARY, b"\x08\x07")] * 50)
        self.assertEqual(fields, {"$.1"})
        fields, _ = self.fields(*[(BOTH, b"\x08\x01", b"\x08\x07")] * 50)
        self.assertEqual(fields, {"$[*].1"})
        self.new.fail(14)
        fields, route = self.fields(*[(UNARY, b"\x08\x01")] * 50)
        self.assertEqual(fields, {"header:grpc-status"})
        sample = route["samples"][0]
        shown = [(one["path"], one["primary"], one["shadow"]) for one in sample["differences"]]
        self.assertEqual(shown, [("grpc-status", "0", "14")])
        self.assertIn("grpc-status", json.dumps(sample["primary_answer"]["trailers"]))

    def test_a_descriptor_set_names_fields(self):
        part = lambda number, inside: bytes([number << 3 | 2, len(inside)]) + inside
        price = part(1, b"price") + b"\x18\x01\x20\x01\x28\x05"  # int32 price = 1
        unary = part(1, b"Unary") + part(2, b".test.Order") + part(3, b".test.Order")
        described = part(1, part(2, b"test") + part(4, part(1, b"Order") + part(2, price)) +
                         part(6, part(1, b"Echo") + part(2, unary)))
        with open(os.path.join(self.directory, "echo.protoset"), "wb") as f:
            f.write(described)
        route = ("listeners: [ { address: 127.0.0.1:0 } ]\nbackends: { legacy: { url: http://127.0.0.1:1 }, new: { url: http://127.0.0.1:1 } }\n"
                 "routes: [ { name: echo, match: { path: /** }, percent: 0, shadow: { compare: { descriptor_set: echo.protoset } } } ]\n")
        self.new.edit = lambda message: message.replace(b"\x08\x07", b"\x08\x08")
        arguments = ("--config", self.write("echo.yaml", route))
        shunt = [os.path.join(BUILD, "shunt"), "--check", arguments[1]]
        self.assertEqual(subprocess.run(shunt, timeout=60, check=False, capture_output=True, env=environment()).returncode, 0)
        fields, _ = self.fields(*[(UNARY, b"\x08\x07")] * 50, arguments=arguments)
        self.assertEqual(fields, {"$.price"})
        self.write("echo.protoset", "message Order { }")
        done = subprocess.run(shunt, timeout=60, check=False, capture_output=True, text=True, env=environment())
        self.assertEqual(done.returncode, 2, done)
        self.assertRegex(done.stderr, r"routes\[0\]\.shadow\.compare\.descriptor_set: .*echo\.protoset: is no FileDescriptorSet")

    def test_the_report_shows_numbers_of_fields(self):
        self.new.edit = lambda message: message.replace(b"\x08\x07", b"\x08\x08")
        requests = self.calls(*[(UNARY, b"\x12\x02\x08\x07" * 2)] * 20)
        for form in ("text", "markdown", "html", "junit"):
            done = self.compare(requests, "--methods", "POST", "--format", form, code=1)
            self.assertIn("$.2[*].1", done.stdout, form)


class Admin(Offline):
    """An admin API that answers what the test says."""

    def admin(self, handler):
        peer = self.backend(handler, "admin")
        return peer, ["--admin", f"{peer.address[0]}:{peer.port}"]

    @staticmethod
    def verdict(result, compared=100, differing=0):
        return http_reply(json.dumps({"route": "r", "result": result, "compared": compared, "differing": differing,
                                      "rate": 0, "at_least": 0, "at_most": 0.01, "confidence": 0.99, "limit": 0.001,
                                      "sentence": f"r: {compared} compared: {result}"}),
                          headers=["Content-Type: application/json"], close=True)


class Verdict(Admin):
    def test_exit_codes_are_the_results(self):
        for result, code in (("pass", 0), ("fail", 1), ("undecided", 3)):
            peer, where = self.admin(lambda request, result=result: self.verdict(result))
            done = self.run_ctl(*where, "verdict", "r d", code=code)
            self.assertEqual(done.stdout, f"r: 100 compared: {result}\n")
            self.assertEqual(peer.requests[0].target, "/api/v1/verdict?route=r%20d")
            self.assertEqual(json.loads(self.run_ctl(*where, "verdict", "r", "--json", code=code).stdout)["result"], result)

    def test_a_limit_of_ones_own_is_judged_by_the_same_rule(self):
        _, where = self.admin(lambda request: self.verdict("undecided", 1000000, 12))
        done = self.run_ctl(*where, "verdict", "r", "--limit", "0.01%", "--json")
        judged = json.loads(done.stdout)
        self.assertEqual((judged["result"], judged["limit"]), ("pass", 0.0001))
        self.assertRegex(judged["sentence"], r"^r: 1,000,000 compared, 12 differ .*limit 0\.01 %: pass$")
        self.run_ctl(*where, "verdict", "r", "--limit", "0.0005%", code=1)
        self.assertIn("50% to", self.run_ctl(*where, "verdict", "r", "--confidence", "20%", code=2).stderr)

    def test_no_such_route_is_not_a_fail(self):
        body = json.dumps({"error": {"code": "no_such_route", "message": "there is no route \"r\"", "remedy": "see /routes"}})
        _, where = self.admin(lambda request: http_reply(body, "404 Not Found", close=True))
        self.assertIn("there is no route", self.run_ctl(*where, "verdict", "r", "--wait", "1h", code=2).stderr)
        self.assertIn("cannot reach shunt", self.run_ctl("--admin", "127.0.0.1:1", "verdict", "r", code=4).stderr)

    def test_waiting_ends_with_the_evidence(self):
        asked = []

        def handler(request):
            asked.append(request)
            return self.verdict("undecided" if len(asked) < 3 else "pass")

        _, where = self.admin(handler)
        done = self.run_ctl(*where, "verdict", "r", "--wait", "2h")
        self.assertEqual((len(asked), done.stderr), (3, ""))

    def test_waiting_outlives_a_restart(self):
        """The second question finds nobody who answers it."""
        asked = []

        def handler(request):
            asked.append(request)
            return None if len(asked) == 2 else self.verdict("undecided" if len(asked) < 3 else "fail")

        _, where = self.admin(handler)
        done = self.run_ctl(*where, "verdict", "r", "--wait", "1m", code=1)
        self.assertEqual((len(asked), done.stderr), (3, ""))

    def test_waiting_ends_when_the_time_is_over(self):
        _, where = self.admin(lambda request: self.verdict("undecided"))
        done = self.run_ctl(*where, "verdict", "r", "--wait", "1200ms", code=3)
        self.assertIn("undecided", done.stdout)
        self.assertIn("--wait", self.run_ctl(*where, "verdict", "r", "--wait", "soon", code=2).stderr)


class Report(Admin):
    def setUp(self):
        super().setUp()
        with open(FIXTURE, encoding="utf-8") as f:
            self.text = f.read()
        self.peer_, self.where = self.admin(lambda request: http_reply(
            self.text, headers=["Content-Type: application/json"], close=True))

    def report(self, *arguments, code=0):
        return self.run_ctl(*self.where, "report", *arguments, code=code)

    def test_forms_are_made_from_the_json(self):
        self.assertIn("13,017 compared", self.report().stdout)
        self.assertEqual(json.loads(self.report("--json").stdout), json.loads(self.text))
        self.assertEqual(json.loads(self.report("--format", "har").stdout)["log"]["version"], "1.2")
        suites = xml.etree.ElementTree.fromstring(self.report("--format", "junit").stdout)
        self.assertEqual([suite.get("name") for suite in suites],
                         ["orders-read, legacy answers", "orders-read, new answers", "catalogue, legacy answers"])
        self.assertTrue(self.report("--format", "markdown").stdout.startswith("# "))
        self.assertIn('- "$.token"', self.report("--suggest-rules").stdout)
        self.assertIn("<html", self.report("--html").stdout)
        self.assertIn("value         1,191", self.report("--all").stdout)

    def test_what_is_asked_for(self):
        self.report("orders read", "--samples", "7")
        self.assertEqual(self.peer_.requests[-1].target, "/api/v1/report?route=orders%20read&samples=7")
        self.report("--format", "junit")
        self.assertEqual(self.peer_.requests[-1].target, "/api/v1/report?samples=1")

    def test_forms_that_there_are_not_are_refused(self):
        done = self.report("--format", "pdf", code=2)
        self.assertIn("expected one of text, json, markdown, junit, har, curl, rules, html", done.stderr)
        self.assertIn("one form at a time", self.report("--html", "--json", code=2).stderr)
        self.assertEqual(self.peer_.requests, [])

    def test_a_file_is_written_whole_or_not_at_all(self):
        path = os.path.join(self.directory, "report.md")
        with open(path, "w", encoding="utf-8") as f:
            f.write("older")
        self.assertEqual(self.report("--format", "markdown", "-o", path).stdout, "")
        with open(path, encoding="utf-8") as f:
            self.assertIn("What comparing found", f.read())
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o666 & ~self.mask())
        done = self.report("-o", os.path.join(self.directory, "no/such/folder"), code=2)
        self.assertIn("No such file or directory", done.stderr)
        self.assertEqual([name for name in os.listdir(self.directory) if name != "report.md"], [])
        self.assertIn("13,017 compared", self.report("-o", "/dev/stdout").stdout)

    @staticmethod
    def mask():
        mask = os.umask(0)
        os.umask(mask)
        return mask


if __name__ == "__main__":
    main()
