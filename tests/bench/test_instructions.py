"""User-space instructions per request, counted by callgrind: the difference between a run of N and a run of 2 N requests,
over the threads that serve (the control thread ticks by the clock, and the clock is slow under callgrind)."""

from counted import Client, at_most, backends, callgrind, command, free_port, main

ROUNDS = 25
CONNECTIONS = 64


def instructions(name, setting, rounds):
    port = free_port()

    def drive(process):
        process.await_port(port, 60)
        with Client(port, CONNECTIONS) as client:
            client.rounds(rounds)

    return callgrind(command(name, setting, port), drive, first_thread_counts=False)[0]


def check(name, setting, limit):
    once, twice = (instructions(name, setting, rounds) for rounds in (ROUNDS, 2 * ROUNDS))
    at_most(f"{name}: instructions per request", (twice - once) / (ROUNDS * CONNECTIONS), limit)


def test():
    with backends() as setting:
        check("shunt", setting, 7000)
        check("shunt mirror", setting, 12000)


main(test)
