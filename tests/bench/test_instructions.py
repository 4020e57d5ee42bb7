"""User-space instructions per request, counted by callgrind: the difference between a run of N and a run of 2 N requests.
What a client waits for is the worker's; the compare thread works later, and is counted by itself. Other threads tick by the
clock, which is slow under callgrind."""

from counted import (COMPARING, WORKER, Client, at_most, backends, callgrind, command, free_port, instructions_by_thread,
                     main)

ROUNDS = 25
CONNECTIONS = 64


def instructions(name, setting, rounds):
    port = free_port()

    def drive(process):
        process.await_port(port, 60)
        with Client(port, CONNECTIONS) as client:
            client.rounds(rounds)

    return instructions_by_thread(callgrind(command(name, setting, port), drive))


def check(name, setting, limits):
    once, twice = (instructions(name, setting, rounds) for rounds in (ROUNDS, 2 * ROUNDS))
    for who, limit in limits.items():
        if once[who] == 0:
            raise AssertionError(f"{name}: {who} did nothing that was counted")
        at_most(f"{name}: instructions of {who} per request", (twice[who] - once[who]) / (ROUNDS * CONNECTIONS), limit)


def test():
    with backends() as setting:
        check("shunt", setting, {WORKER: 7000})
        check("shunt mirror", setting, {WORKER: 12000, COMPARING: 3500})


main(test)
