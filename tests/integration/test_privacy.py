"""What is planted as a secret in mirrored traffic that differs is found nowhere afterwards: not in the state directory, not
in a log, not in any form of the report."""

import gzip
import json
import os
import unittest
import zlib

from harness import Case, config, http_reply, main, request, wait_until

ROUTE = """\
  - name: all
    match: { path: /** }
    percent: 0
    shadow: { percent: 100, methods: ["*"]%s }
"""

FORMATS = ("json", "text", "markdown", "junit", "har", "curl", "rules", "html")


class Secrets:
    """Hands out markers that occur nowhere else, and remembers where each was planted."""

    def __init__(self):
        self.planted = {}

    def plant(self, where):
        marker = "zq" + os.urandom(10).hex()
        self.planted[marker] = where
        return marker

    def found_in(self, data):
        if isinstance(data, str):
            data = data.encode()
        lower = data.lower()
        return [where for marker, where in self.planted.items() if marker.encode() in lower]


class Privacy(Case):
    def setUp(self):
        super().setUp()
        self.secrets = Secrets()  # in nothing at all
        self.shown_in_log = Secrets()  # an access line has the path and the query as they came, but for what is named a secret
        self.answers = {"legacy": {}, "new": {}}

    def answer(self, path, kind, body, headers=(), status="200 OK"):
        """`body(plant)` makes the body of one side; it is called for each."""
        for side, answers in self.answers.items():
            def plant(where, side=side):
                return self.secrets.plant(f"{side}'s {where} of {path}")

            made = body(plant)
            made = made if isinstance(made, bytes) else made.encode()
            fields = [f"Content-Type: {kind}", *(f"{name}: {value(plant)}" for name, value in headers)]
            answers[path] = http_reply(made, status, fields)

    def backends(self):
        def one(side):
            return self.backend(lambda r: self.answers[side][r.target.split("?")[0].split(";")[0]], side)

        return one("legacy"), one("new")

    def plant_answers(self):
        def document(plant):
            return {"name": plant("value"), "password": plant("secret member"), "n": [plant("element")],
                    "card": {"number": plant("nested secret")}, plant("name of a member") + "@example.com": 1,
                    "by_id": {plant("key") + "0123456789": {"x": plant("value below a key")}}}

        headers = [("Set-Cookie", lambda plant: f"sid={plant('Set-Cookie')}; Path=/{plant('cookie path')}"),
                   ("Location", lambda plant: f"/next/{plant('Location')}?token={plant('Location query')}"),
                   ("WWW-Authenticate", lambda plant: f'Bearer realm="{plant("WWW-Authenticate")}"'),
                   ("X-Request-Key", lambda plant: plant("X-Request-Key")),
                   ("ETag", lambda plant: f'"{plant("ETag")}"')]
        self.answer("/json", "application/json", lambda plant: json.dumps(document(plant)), headers)
        self.answer("/json-with-parameter", "application/json", lambda plant: json.dumps(document(plant)),
                    [("Content-Type-Options", lambda plant: plant("other header"))])
        self.answer("/lines", "application/x-ndjson",
                    lambda plant: "".join(json.dumps(document(plant)) + "\n" for _ in range(3)))
        self.answer("/broken-json", "application/json", lambda plant: json.dumps(document(plant))[:-1])
        self.answer("/escaped", "application/json",
                    lambda plant: '{"a\\u0062": "' + plant("escaped") + '\\u00e9", "k\\n' + plant("escaped name") + '@x": 2}')
        self.answer("/gzip", "application/json", lambda plant: gzip.compress(json.dumps(document(plant)).encode()),
                    [("Content-Encoding", lambda plant: "gzip")])
        self.answer("/deflate", "text/plain", lambda plant: zlib.compress(plant("deflated text").encode()),
                    [("Content-Encoding", lambda plant: "deflate")])
        self.answer("/html", "text/html", lambda plant: f"<html><p>{plant('HTML')}</p>\n<input name=csrf value="
                                                       f"'{plant('HTML attribute')}'></html>")
        self.answer("/text", "text/plain", lambda plant: f"hello\n{plant('text')}\npassword={plant('text password')}\n")
        self.answer("/form", "application/x-www-form-urlencoded",
                    lambda plant: f"name={plant('form value')}&password={plant('form password')}")
        self.answer("/xml", "application/xml",
                    lambda plant: f"<a id='{plant('XML attribute')}'><b>{plant('XML text')}</b><c>{plant('more')}</c></a>")
        self.answer("/bytes", "application/octet-stream", lambda plant: plant("bytes"))
        self.answer("/untyped", f"text/plain; boundary={self.secrets.plant('Content-Type parameter')}",
                    lambda plant: plant("text of a type with a parameter"))
        self.answer(f"/password-reset/{self.secrets.plant('code in the path')}", "application/json",
                    lambda plant: json.dumps(document(plant)))
        self.answer(f"/orders/{self.shown_in_log.plant('token in the path')}", "application/json",
                    lambda plant: json.dumps(document(plant)))
        self.answer("/status", "application/json", lambda plant: json.dumps(document(plant)))
        self.answers["new"]["/status"] = http_reply(self.secrets.plant("body of an error"), "500 Oops")

    def send_everything(self, shunt):
        plant = self.secrets.plant
        count = 0
        for path in self.answers["legacy"]:
            for method in ("GET", "POST"):
                headers = [f"Authorization: Bearer {plant('Authorization')}", f"Cookie: sid={plant('Cookie')}",
                           f"X-Api-Key: {plant('X-Api-Key')}", f"X-Note: {plant('X-Note')}",
                           f"Referer: https://a/?code={plant('Referer')}",
                           f"User-Agent: {plant('User-Agent')}",
                           f"Proxy-Authorization: Basic {plant('Proxy-Authorization')}"]
                query = (f"token={plant('token in the query')}&api_key={plant('api_key in the query')}"
                         f"&user%5Bpassword%5D={plant('password in the query')}"
                         f"&q={self.shown_in_log.plant('q in the query')}&{self.shown_in_log.plant('nameless in the query')}")
                body = None
                if method == "POST":
                    headers.append("Content-Type: application/json")
                    body = json.dumps({"note": plant("request body"), "password": plant("password of the request"),
                                       plant("name in the request") + "@example.com": [plant("element of the request")]})
                reply = request(shunt.address, f"{path}?{query}", headers, method=method,
                                body=body.encode() if body else None)
                self.assertEqual(reply.status, 200)
                count += 1
        wait_until(lambda: shunt.metric("shunt_comparisons_total", route="all") >= count, "the comparisons")
        self.assertGreater(shunt.metric("shunt_comparisons_total", route="all", outcome="mismatched"), count // 2)

    def report_forms(self, shunt):
        """Every form of the report there is, by name; JSON among them."""
        forms = {}
        for name in FORMATS:
            reply = shunt.admin_reply("GET", f"/api/v1/report?format={name}")
            if reply.status == 200:
                forms[name] = reply.body
            else:
                self.assertEqual(reply.status, 400, reply)
                self.assertNotEqual(name, "json")
        return forms

    def outputs(self, shunt):
        outputs = {f"GET {path}": shunt.admin_reply("GET", path).body
                   for path in ("/metrics", "/api/v1/status", "/api/v1/history", "/api/v1/audit?limit=1000",
                                "/api/v1/routes/all", "/api/v1/config", "/api/v1/report", "/api/v1/report?route=all")}
        outputs.update({f"report as {name}": body for name, body in self.report_forms(shunt).items()})
        for arguments in (("report",), ("report", "all"), ("report", "--json"), ("status",), ("history", "all")):
            done = shunt.ctl(*arguments, code=None)
            outputs[f"shuntctl {' '.join(arguments)}"] = done.stdout + done.stderr
        return outputs

    def state_files(self, state):
        files = {}
        for folder, _, names in os.walk(state):
            for name in names:
                with open(os.path.join(folder, name), "rb") as f:
                    files[f"{name} in the state directory"] = f.read()
        return files

    def nothing_is_found(self, outputs, secrets):
        leaks = {name: found for name, data in outputs.items() if (found := secrets.found_in(data))}
        self.assertEqual(leaks, {}, "planted secrets that came out again")

    def run_with(self, more=""):
        legacy, new = self.backends()
        self.plant_answers()
        state = os.path.join(self.directory, "state")
        shunt = self.shunt(config(legacy, new, ROUTE % more, state=state))
        self.send_everything(shunt)
        rows = shunt.report()["routes"]
        self.assertEqual(len(rows), 1)
        self.assertGreater(rows[0]["totals"]["mismatched"], 0)
        if "none" in more:
            self.assertEqual(rows[0]["samples"], [])
        else:  # they are kept about a second after they were made
            wait_until(lambda: shunt.report()["routes"][0]["samples"], "samples in the report")
        return shunt, state

    def test_nothing_planted_comes_out_by_default(self):
        self.all_is_silent("")

    def test_nothing_planted_comes_out_as_hashes(self):
        self.all_is_silent(", samples: { values: hashed }")

    def test_nothing_planted_comes_out_without_samples(self):
        self.all_is_silent(", samples: { values: none }")

    def all_is_silent(self, more):
        shunt, state = self.run_with(more)
        outputs = self.outputs(shunt)
        outputs.update(self.state_files(state))
        self.nothing_is_found(outputs, self.secrets)
        self.nothing_is_found(outputs, self.shown_in_log)
        shunt.stop()
        self.nothing_is_found(self.state_files(state), self.secrets)
        self.nothing_is_found(self.state_files(state), self.shown_in_log)
        logs = {"standard output": "\n".join(shunt.lines), "standard error": shunt.stderr()}
        self.assertIn('"kind":"access"', logs["standard output"].replace('": "', '":"'))
        self.nothing_is_found(logs, self.secrets)

    def test_secrets_by_name_and_by_looks_stay_hidden_where_values_are_shown(self):
        """The same search finds what may be shown, so that it would find a leak."""
        jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ6cSJ9.c2lnbmF0dXJl"
        legacy, new = self.backends()
        shown = Secrets()
        self.answer("/json", "application/json",
                    lambda plant: json.dumps({"name": shown.plant("name"), "password": plant("password"),
                                              "birth_day": plant("denied member"), "note": f"Bearer {plant('looks')}",
                                              "jwt": jwt, "pan": "4111111111111111"}))
        shunt = self.shunt(config(legacy, new, ROUTE % ", samples: { values: full, deny: [birth-day] }",
                                  state=os.path.join(self.directory, "state")))
        plant = self.secrets.plant
        request(shunt.address, f"/json?birth_day={plant('denied parameter')}&page=2",
                [f"Authorization: Bearer {plant('Authorization')}", f"X-Api-Key: {plant('X-Api-Key')}",
                 f"Birth-Day: {plant('denied header')}"])
        wait_until(lambda: shunt.metric("shunt_comparisons_total", route="all") == 1, "the comparison")
        forms = self.report_forms(shunt)
        self.assertEqual(len(shown.found_in(forms["json"])), 2, forms["json"])
        outputs = {**self.outputs(shunt), **self.state_files(os.path.join(self.directory, "state"))}
        self.nothing_is_found(outputs, self.secrets)
        for name, data in outputs.items():
            data = data.encode() if isinstance(data, str) else data
            self.assertNotIn(jwt.encode(), data, name)
            self.assertNotIn(b"4111111111111111", data, name)
        shunt.stop()
        self.nothing_is_found({"standard output": "\n".join(shunt.lines)}, self.secrets)


if __name__ == "__main__":
    main()
