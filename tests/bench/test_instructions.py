"""User-space instructions per request, counted by callgrind: the difference between a run of N and a run of 2 N requests, of
the worker and the compare thread together. Other threads tick by the clock, which is slow under callgrind."""

from counted import (COMPARING, WORKER, Client, at_most, backends, callgrind, command, free_port, instructions_by_thread,
                     main)

ROUNDS = 200  # so many that what is made once, as more pairs are under way than before, hardly counts
CONNECTIONS = 64


def instructions(name, setting, rounds):
    port = free_port()

    def drive(process):
        process.await_port(port, 60)
        with Client(port, CONNECTIONS) as client:
            client.rounds(rounds)

    return instructions_by_thread(callgrind(command(name, setting, port), drive))


def check(name, setting, threads, limit):
    once, twice = (instructions(name, setting, rounds) for rounds in (ROUNDS, 2 * ROUNDS))
    total = 0
    for who in threads:
        if once[who] == 0:
            raise AssertionError(f"{name}: {who} did nothing that was counted")
        each = (twice[who] - once[who]) / (ROUNDS * CONNECTIONS)
        print(f"{name}: instructions of {who} per request: {each:,.0f}", flush=True)
        total += each
    at_most(f"{name}: instructions per request", total, limit)


def test():
    with backends() as setting:
        check("shunt", setting, [WORKER], 7000)
        check("shunt mirror", setting, [WORKER, COMPARING], 12000)


main(test)
