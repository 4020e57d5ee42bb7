"""A small shop in two versions, for the pictures of the docs: real answers over real sockets, with flaws of the kind a
migration meets and with fields that are never the same twice.

Legacy and new answer alike but for three things, each of which depends on the order alone: new rounds some totals
differently, leaves out some customers' phone, and fails for a few orders. Either side stamps its answers, names the
machine that made them and keeps a stock that moves.
"""

import json
import math
import random
import re
import threading
import time

from harness import Backend, Client, http_reply

GOODS = ("lamp", "chair", "kettle", "notebook", "bicycle bell", "umbrella")
JSON = ["Content-Type: application/json; charset=utf-8", "Cache-Control: no-store"]

ROUTES = """\
  - name: orders-read
    match: { path: /orders/**, methods: [GET, HEAD] }
    percent: 0
    gates: { mismatch_rate: 0.1% }
    shadow:
      percent: 100
      timeout: 10s
      compare:
        noise: { percent: 20% }
        ignore: [ "$.updated_at", "$.meta.request_id", "$.meta.region" ]
      samples: { values: full }
  - name: catalogue
    match: { path: /catalogue/** }
    percent: 100
    gates: { mismatch_rate: 0.1% }
    shadow: { percent: 100, timeout: 10s, compare: { noise: { percent: 20% } } }
"""


def item(draw):
    return {"sku": f"{draw.choice('ABCD')}-{draw.randrange(10, 99)}", "name": draw.choice(GOODS),
            "quantity": draw.randrange(1, 5), "price": round(draw.uniform(1, 90), 2)}


def order(number, is_new):
    """The same number is the same order, always."""
    draw = random.Random(number)
    items = [item(draw) for _ in range(draw.randrange(1, 4))]
    total = round(1.19 * sum(one["price"] * one["quantity"] for one in items), 2)
    customer = {"name": draw.choice(("Ada Lovelace", "Alan Turing", "Grace Hopper", "Edsger Dijkstra")),
                "city": draw.choice(("London", "Utrecht", "New York", "Leipzig")), "phone": "+44 20 7946 0000"}
    luck = draw.random()
    if is_new and luck < 0.012:
        total = round(total + 0.01, 2)
    if is_new and 0.3 < luck < 0.306:
        del customer["phone"]
    return {"id": number, "state": draw.choice(("placed", "paid", "shipped")), "total": total, "currency": "EUR",
            "customer": customer, "items": items}


def stamped(body):
    """With what is never the same twice."""
    body["meta"] = {"request_id": f"{random.getrandbits(48):012x}", "served_by": "app-2" if random.random() < 0.04 else "app-1"}
    body["updated_at"] = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{random.randrange(1000000):06d}Z"
    return body


def answer(request, is_new):
    """One answer; new takes a little longer, and longer still now and then."""
    wave = 1 + 0.5 * math.sin(time.monotonic() / 70)
    time.sleep(random.uniform(0.002, 0.005) + (random.uniform(0.001, 0.003) * wave if is_new else 0))
    number = int(re.search(r"[0-9]+", request.target).group())
    if request.target.startswith("/catalogue/"):
        draw = random.Random(number)
        stock = 40 + (random.randrange(3) if random.random() < 0.03 else 0)
        return http_reply(json.dumps({**item(draw), "stock": stock}), headers=JSON)
    if request.target.endswith("/invoice"):
        lines = [f"{one['quantity']} x {one['name']}" for one in order(number, False)["items"]]
        return http_reply("\n".join(["Invoice", *lines, ""]), headers=["Content-Type: text/plain"])
    if is_new and number % 250 == 7 and "page=" not in request.target:
        return http_reply('{"error": "no such column: orders.gift"}', "500 Internal Server Error", headers=JSON)
    if "page=" in request.target:
        listed = [order(3 * number + i, is_new) for i in range(3)]
        return http_reply(json.dumps(stamped({"page": number, "items": listed})), headers=JSON)
    return http_reply(json.dumps(stamped(order(number, is_new))), headers=JSON)


class Shop(Backend):
    """Keeps nothing of what it was sent: there will be much of it."""

    def __init__(self, is_new):
        super().__init__(lambda request: answer(request, is_new), "new" if is_new else "legacy")

    def note_bytes(self, conn, piece):
        pass

    def note_request(self, request_):
        request_.complete = False


def target():
    """What the next user asks for."""
    kind, number = random.random(), random.randrange(1, 8000)
    if kind < 0.5:
        return f"/orders/{number}"
    if kind < 0.6:
        return f"/orders/{number}/invoice"
    return f"/orders/?page={number % 200}" if kind < 0.68 else f"/catalogue/{number}"


def visit(address, requests, rate, connections=4):
    """Users: so many requests, so many a second, over a few connections."""
    failures = []

    def user(count):
        try:
            with Client(address) as client:
                for _ in range(count):
                    began = time.monotonic()
                    client.get(target())
                    time.sleep(max(0.0, connections / rate - (time.monotonic() - began)))
        except (AssertionError, OSError) as error:
            failures.append(error)

    users = [threading.Thread(target=user, args=(requests // connections,), daemon=True) for _ in range(connections)]
    for one in users:
        one.start()
    for one in users:
        one.join()
    assert not failures, failures
