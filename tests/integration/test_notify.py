"""Who is told of changes of state, and webhooks that hold a stage: in the real process, over real sockets and TLS."""

import json
import os
import ssl
import threading
import time

from harness import Backend, Case, blackhole, config, http_reply, main, refused_address, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
AUTHORITY = os.path.join(HERE, "tls", "ca.pem")
SERVER = os.path.join(HERE, "tls", "server.pem")  # of localhost and 127.0.0.1, by that authority, until 2126
SECRET = "T0SECRETPATH"

FIXED = "  - name: plan\n    match: { path: /** }\n    percent: 25\n    breaker: off\n"
STAGED = """\
  - name: plan
    match: {{ path: /** }}
    stages:
      - {{ name: "0%", percent: 0, hold: 1s }}
      - {{ name: live, percent: 100, hold: 1h }}
    promotion: auto
    breaker: off
    gates: {{ min_requests: 1, error_rate_increase: off, p95_increase: off,
             webhook: {{ url: "{url}/go?team=a", interval: 1s, timeout: 1s }} }}
"""


class TlsBackend(Backend):
    def __init__(self, address="127.0.0.1", name="localhost"):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(SERVER)
        self.refused = 0
        super().__init__(address=address)
        self.url = f"https://{name}:{self.port}"

    def _serve_http(self, conn):
        try:
            conn.socket = self.context.wrap_socket(conn.socket, server_side=True)
        except (ssl.SSLError, OSError):
            self.refused += 1
            return
        super()._serve_http(conn)


def target(url, more=""):
    return f'  - {{ url: "{url}/{SECRET}"{more} }}'


class NotifyCase(Case):
    def begin(self, *targets, routes=FIXED, more="", **options):
        self.legacy = self.fast("legacy")
        self.state = os.path.join(self.directory, "state")
        top = "access_log: off\n" + more + ("\n".join(["notify:", *targets]) if targets else "")
        return self.shunt(config(self.legacy, self.legacy, routes, top=top, state=self.state), **options)

    def told(self, peer, count, **more):
        return [json.loads(r.body) for r in peer.wait_requests(count, complete=True, **more) if r.complete]

    def sound(self, shunt):
        """Nothing of a URL beyond its host is in the log or among the metrics."""
        shunt.stop()
        self.assertNotIn(SECRET, "\n".join(shunt.lines))


class Told(NotifyCase):
    def test_json_is_the_line_of_the_trail_and_slack_gets_a_sentence(self):
        path = os.path.join(self.directory, "token")
        with open(path, "w", encoding="utf-8") as f:
            f.write("s3cret\n")
        audit, chat = self.backend(), self.backend()
        shunt = self.begin(target(audit.url, f', token_file: "{path}", events: [ set_percent, pause ]'),
                           target(chat.url, ", format: slack, events: [ set_percent ]"))
        shunt.verb("plan", "set-percent", {"percent": 12.5, "who": "ada", "reason": "a <closer> look"})
        shunt.verb("plan", "set-percent", {"percent": 50, "who": "ada", "reason": "good"})
        lines = self.told(audit, 2)
        sentences = self.told(chat, 2)
        self.assertEqual([list(s) for s in sentences], [["text"], ["text"]])
        self.assertEqual(sentences[0]["text"], "plan was given another share from 25% to 12.5%, by operator:ada: a &lt;closer&gt; look")
        with open(os.path.join(self.state, "audit.jsonl"), encoding="utf-8") as f:
            trail = [json.loads(line) for line in f]
        for line in trail:
            self.assertRegex(line.pop("check"), "^[0-9a-f]{32}$")
        self.assertEqual(lines, [line for line in trail if line["what"] == "set_percent"])
        for request in audit.wait_requests(2):
            self.assertEqual(request.line, f"POST /{SECRET} HTTP/1.1")
            self.assertEqual(request.get("authorization"), "Bearer s3cret")
            self.assertEqual(request.get("content-type"), "application/json")
        self.assertIsNone(chat.wait_requests(2)[0].get("authorization"))
        wait_until(lambda: shunt.metric("shunt_notify_total", target=f"127.0.0.1:{audit.port}", outcome="delivered") == 2,
                   "two counted")
        self.assertNotIn(SECRET.encode(), shunt.admin_reply("GET", "/metrics").body)
        self.sound(shunt)

    def test_pods_that_go_are_no_news(self):
        """Draining stands in the trail; told it would come with every pod that is replaced."""
        peer = self.backend()
        shunt = self.begin(target(peer.url, ""))
        shunt.ctl("drain")
        shunt.ctl("drain", "--cancel")
        shunt.verb("plan", "set-percent", {"percent": 1, "who": "ada"})
        wait_until(lambda: "set_percent" in [line["what"] for line in self.told(peer, 1)], "what is told")
        self.assertFalse({line["what"] for line in self.told(peer, 1)} & {"drain", "drain_cancel"})
        self.assertLess({"drain", "drain_cancel"}, {line["what"] for line in shunt.audit()})
        self.sound(shunt)

    def test_what_fails_is_tried_again_later_and_later(self):
        answers = [http_reply(status="500 No"), http_reply(status="503 No"), http_reply()]
        times = []

        def answer(_):
            times.append(time.monotonic())
            return answers[min(len(times), 3) - 1]

        peer = self.backend(answer)
        shunt = self.begin(target(peer.url, ", events: [ set_percent ]"))
        shunt.verb("plan", "set-percent", {"percent": 1, "who": "ada"})
        shunt.verb("plan", "set-percent", {"percent": 2, "who": "ada"})
        bodies = self.told(peer, 4)
        first, second = bodies[0]["sequence"], bodies[3]["sequence"]
        self.assertEqual([b["sequence"] for b in bodies], [first, first, first, second])
        self.assertGreater(second, first)
        self.assertGreaterEqual(times[1] - times[0], 1.0)
        self.assertGreaterEqual(times[2] - times[1], 2.0)
        wait_until(lambda: shunt.metric("shunt_notify_total", outcome="delivered") == 2, "two delivered")
        self.assertEqual(shunt.metric("shunt_notify_retries_total"), 2)
        self.assertEqual(shunt.metric("shunt_notify_queue"), 0)
        self.assertEqual([e["status"] for e in shunt.wait_events("notify_failed")], [500])
        shunt.wait_events("notify_delivers_again")
        self.sound(shunt)

    def test_targets_that_are_dead_delay_nothing_and_their_queues_are_bounded(self):
        kept, hole = blackhole()
        keep, refused = refused_address()
        peer = self.backend()
        flips = 1100
        shunt = self.begin(target(hole, ", timeout: 1m"), target(refused), target(peer.url))
        self.told(peer, 1)
        wait_until(lambda: shunt.metric("shunt_notify_queue", target=f"127.0.0.1:{peer.port}") == 0, "all of the start to be told")
        before = len(self.told(peer, 1))
        load = self.load(shunt.address, connections=4, rate=200)
        done = threading.Event()

        def flip():
            with shunt.client() as client:
                while not done.is_set():
                    assert client.get().status == 200

        thread = threading.Thread(target=flip)
        thread.start()
        for i in range(flips):
            shunt.passthrough(i % 2 == 0)
        done.set()
        thread.join()
        result = load.finish()
        self.assertEqual(result["errors"] if "errors" in result else 0, 0, result)
        hole_name = hole.removeprefix("http://")
        self.assertEqual(shunt.metric("shunt_notify_queue", target=hole_name), 1000)
        self.assertGreaterEqual(shunt.metric("shunt_notify_total", target=hole_name, outcome="dropped"), flips - 1000)
        self.assertEqual(shunt.metric("shunt_notify_total", target=hole_name, outcome="delivered"), 0)
        self.told(peer, before + flips, timeout=120)
        began = time.monotonic()
        self.sound(shunt)
        self.assertLess(time.monotonic() - began, 30, "the end waits 2 s for what cannot be delivered, not a minute")
        lost = {e["target"]: e["events"] for e in shunt.find_events("notify_lost")}
        self.assertEqual(lost[hole_name], 1000)
        self.assertNotIn(f"127.0.0.1:{peer.port}", lost)
        keep.close()
        for sock in kept:
            sock.close()

    def test_the_end_tries_once_more(self):
        """What waits for its next try when shunt ends goes out then."""
        broken = threading.Event()
        broken.set()
        peer = self.backend(lambda _: http_reply(status="500 No" if broken.is_set() else "200 OK"))
        shunt = self.begin(target(peer.url, ", events: [ set_percent ]"))
        shunt.verb("plan", "set-percent", {"percent": 1, "who": "ada"})
        peer.wait_requests(3, complete=True)  # the next try is 4 s away
        wait_until(lambda: shunt.metric("shunt_notify_retries_total") == 2, "two tries beyond the first")
        broken.clear()
        self.sound(shunt)
        self.assertEqual(len(peer.requests), 4)
        self.assertEqual(shunt.find_events("notify_lost"), [])

    def test_a_reload_changes_who_is_told(self):
        first, second = self.backend(), self.backend()
        shunt = self.begin(target(first.url, ", events: [ set_percent ]"))
        shunt.verb("plan", "set-percent", {"percent": 1, "who": "ada"})
        self.told(first, 1)
        with open(shunt.config_path, encoding="utf-8") as f:
            text = f.read()
        shunt.write_config(text.replace(first.url, second.url))
        shunt.wait_events("reloaded")
        shunt.verb("plan", "set-percent", {"percent": 2, "who": "ada"})
        self.told(second, 1)
        self.assertEqual(len(first.requests), 1)
        self.assertEqual(set(shunt.metrics().by("shunt_notify_queue", "target")), {f"127.0.0.1:{second.port}"})
        self.sound(shunt)


class Tls(NotifyCase):
    def test_a_certificate_of_a_known_authority_is_trusted(self):
        peer = self.peer(TlsBackend())
        shunt = self.begin(target(peer.url, ", events: [ set_percent ]"), env={"SSL_CERT_FILE": AUTHORITY})
        shunt.verb("plan", "set-percent", {"percent": 1, "who": "ada"})
        self.assertEqual(self.told(peer, 1)[0]["what"], "set_percent")
        self.sound(shunt)

    def test_any_other_certificate_is_not(self):
        """Of an authority nobody knows, or of another name."""
        cases = ((self.peer(TlsBackend()), {}),
                 (self.peer(TlsBackend("127.0.0.2", "127.0.0.2")), {"SSL_CERT_FILE": AUTHORITY}))
        for percent, (peer, env) in enumerate(cases, 1):
            shunt = self.begin(target(peer.url, ", events: [ set_percent ], timeout: 1m"), env=env)
            shunt.verb("plan", "set-percent", {"percent": percent, "who": "ada"})
            self.assertIn("SSL", shunt.wait_events("notify_failed")[0]["error"])
            self.assertEqual(peer.requests, [])
            self.sound(shunt)


class Webhooks(NotifyCase):
    def gate(self, shunt):
        gates = shunt.route("plan")["gates"]["gates"]
        return next(g for g in gates if g["gate"] == "webhook")

    def test_a_webhook_holds_a_stage_until_it_says_go(self):
        answer = [http_reply("frozen by ada\nuntil monday", status="423 Locked")]
        peer = self.backend(lambda _: answer[0])
        shunt = self.begin(routes=STAGED.format(url=peer.url))
        self.assertEqual(shunt.get().status, 200)  # for min_requests: the webhook alone holds the stage
        wait_until(lambda: "frozen by ada" in self.gate(shunt)["sentence"], lambda: self.gate(shunt))
        requests = peer.wait_requests(3, complete=True)  # asked again and again, and the hold of 1 s is over
        for request in requests:
            self.assertEqual(request.line, "GET /go?team=a&route=plan&stage=0%25 HTTP/1.1")
            self.assertEqual(request.get("x-shunt-route"), "plan")
            self.assertEqual(request.get("x-shunt-stage"), "0%")
        self.assertGreaterEqual(requests[2].at - requests[1].at, 0.9)
        self.assertNotIn("monday", self.gate(shunt)["sentence"])
        self.assertEqual(self.gate(shunt)["verdict"], "undecided")
        self.assertEqual(shunt.metric("shunt_gate_verdict", route="plan", gate="webhook"), 0)
        self.assertEqual(shunt.route("plan")["stage"], "0%")
        wait_until(lambda: "webhook" in shunt.route("plan")["why_not"], lambda: shunt.route("plan"))
        answer[0] = http_reply("go ahead")
        wait_until(lambda: shunt.route("plan")["stage"] == "live", lambda: shunt.route("plan"))
        self.assertEqual([(e["answer"], e["stage"]) for e in shunt.wait_events("webhook_answered", 2)][:2],
                         [("hold", "0%"), ("go", "0%")])
        shunt.stop()

    def test_a_webhook_that_is_away_holds_the_stage(self):
        keep, refused = refused_address()
        shunt = self.begin(routes=STAGED.format(url=refused))
        wait_until(lambda: "no answer" in self.gate(shunt)["sentence"], lambda: self.gate(shunt))
        self.assertEqual(self.gate(shunt)["verdict"], "undecided")
        self.assertEqual(shunt.route("plan")["stage"], "0%")
        shunt.verb("plan", "promote", {"force": True, "who": "ada", "reason": "the webhook is down"})
        self.assertEqual(shunt.route("plan")["stage"], "live")
        shunt.stop()
        keep.close()


if __name__ == "__main__":
    main()
