"""The arbiter's clients of both kinds, guests, and memory: nothing lost, everybody's turn, a stop at any time."""

import itertools
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from sim.cocotb.bench import parameters
from tests.gateware.memory.arbiter_clients import Bench


@cocotb.test()
async def random_traffic(dut: Any) -> None:
    """All clients at once, with stalls of theirs and of memory."""
    bench = Bench(dut, parameters()["stall"])
    await bench.begin()
    bench.expected = bytearray(bench.memory.content)
    for lower_is_read in (True, False):
        bench.read_from, bench.write_to = (0, bench.half) if lower_is_read else (bench.half, 0)
        tasks = []
        for index, source in enumerate(bench.reading):
            source.stall = [0.0, 0.5, 0.9][index % 3]
            tasks.append(source.start(bench.commands(parameters()["count"] // 2, bench.rng)))
        for index, source in enumerate(bench.writing):
            source.stall = [0.3, 0.0, 0.8][index % 3]
            tasks.append(source.start(bench.writes(index, parameters()["count"] // 2, bench.rng)))
        for task in tasks:
            await task
        await bench.until_quiet()
        await bench.carried_out()
    assert bench.memory.content == bench.expected


@cocotb.test()
async def resets(dut: Any) -> None:
    """A reset at any moment leaves nothing behind: the machine's memory is reset with it."""
    bench = Bench(dut, 0.0)
    await bench.begin()
    for turn in range(parameters()["stops"]):
        # Reads that are not answered, and words that are not taken.
        bench.memory.holds_back = turn % 2 == 1
        bench.memory.stall = float(turn % 2)
        tasks = [source.start(bench.commands(60, bench.rng)) for source in bench.reading]
        tasks += [source.start(bench.writes(index, 60, bench.rng)) for index, source in enumerate(bench.writing)]
        for _ in range(bench.rng.randrange(10, 60)):
            await RisingEdge(dut.clk)
        for task in tasks:
            task.cancel()
        for source in (*bench.reading, *bench.writing):
            source.valid.value = 0
        dut.rst.value = 1
        await RisingEdge(dut.clk)
        bench.forget()
        await RisingEdge(dut.clk)
        bench.forget()
        dut.rst.value = 0
        assert (dut.quiet.value, dut.answered.value, dut.memory__cmd__valid.value) == (1, 1, 0)
        assert dut.memory__wdata__valid.value == 0
        bench.expected = bytearray(bench.memory.content)
        tasks = [source.start(bench.commands(parameters()["in_flight"] + 4, bench.rng)) for source in bench.reading]
        tasks += [source.start(bench.writes(index, 12, bench.rng)) for index, source in enumerate(bench.writing)]
        for task in tasks:
            await task
        await bench.until_quiet()
        await bench.carried_out()
        assert bench.memory.content == bench.expected


@cocotb.test()
async def bursts_under_stalls(dut: Any) -> None:
    """A burst is of beats, not of cycles: a client that goes on asking gets all of it, however long memory takes."""
    bench = Bench(dut, 0.6)
    await bench.begin()
    bench.expected = bytearray(bench.memory.content)
    tasks = [bench.reading[0].start(bench.commands(6 * bench.burst, bench.rng))]
    tasks.append(bench.writing[0].start(bench.writes(0, 6 * bench.burst, bench.rng)))
    for task in tasks:
        await task
    runs = [len(list(beats)) for _, beats in itertools.groupby(client for _, client in bench.owners)]
    # The last beat of a burst is given up where memory does not take it at once.
    assert len(runs) > 8 and all(bench.burst - 1 <= beats <= bench.burst for beats in runs[1:-2]), runs
    await bench.until_quiet()
    await bench.carried_out()


@cocotb.test()
async def turns(dut: Any) -> None:
    """Who has the port keeps it for a burst while others ask, a beat a cycle; then the next one in turn that asks."""
    bench = Bench(dut, 0.0)
    await bench.begin()
    bench.expected = bytearray(bench.memory.content)
    clients = bench.readers + bench.writers
    for asking in (list(range(clients)), [0, clients - 1], [1, 3], [2, 0], [bench.readers, 1], list(range(1, clients))):
        bench.owners.clear()
        tasks = []
        for client in asking:
            if client < bench.readers:
                tasks.append(bench.reading[client].start(bench.commands(6 * bench.burst, bench.rng)))
            else:
                index = client - bench.readers
                tasks.append(bench.writing[index].start(bench.writes(index, 6 * bench.burst, bench.rng)))
        for task in tasks:
            await task
        runs: list[list[int]] = []  # client, first cycle, last cycle, beats
        for when, client in bench.owners:
            if runs and runs[-1][0] == client:
                runs[-1][2:] = [when, runs[-1][3] + 1]
            else:
                runs.append([client, when, when, 1])
        # The first one has what its owner has left of a burst; at the end not all ask any more.
        runs = runs[1 : 5 * len(asking)]
        for first, after in zip(runs, runs[1:], strict=False):
            assert after[0] == asking_after(first[0], asking, clients), f"{after[0]} after {first[0]} of {asking}"
            assert after[1] - first[2] == 1, "a cycle is lost"
        for client, began, ended, beats in runs:
            assert beats == bench.burst, f"client {client} had {beats} beats"
            assert ended - began == beats - 1, "a beat a cycle"
        await bench.until_quiet()
        await bench.carried_out()
    # Alone, a client keeps the port, and then gives it away at once.
    bench.owners.clear()
    await bench.reading[0].send(bench.commands(3 * bench.burst, bench.rng))
    times = [when for when, _ in bench.owners]
    assert times[-1] - times[0] == 3 * bench.burst - 1
    task = bench.reading[0].start(bench.commands(3 * bench.burst, bench.rng))
    for _ in range(bench.burst):
        await RisingEdge(dut.clk)
    bench.owners.clear()
    await bench.writing[0].send(bench.writes(0, 1, bench.rng))
    assert len(bench.owners) <= 3, "a client that had the port for long keeps it"
    await task
    await bench.until_quiet()


def asking_after(client: int, asking: list[int], clients: int) -> int:
    return min((other for other in asking if other != client), key=lambda other: (other - client) % clients)


@cocotb.test()
async def stops(dut: Any) -> None:
    """After a stop the accelerator's clients get nothing more, the guests everything; then all goes on."""
    bench = Bench(dut, parameters()["stall"])
    await bench.begin()
    for turn in range(parameters()["stops"]):
        bench.expected = bytearray(bench.memory.content)
        own: list[Any] = []
        guests: list[Any] = []
        for index, source in enumerate(bench.reading):
            (own if bench.own(index, bench.readers) else guests).append(source.start(bench.commands(30, bench.rng)))
        for index, source in enumerate(bench.writing):
            if not bench.own(index, bench.writers):
                guests.append(source.start(bench.writes(index, 30, bench.rng)))
        for _ in range(bench.rng.randrange(1, 60)):
            await RisingEdge(dut.clk)
        bench.dropped = True
        dut.stop.value = 1
        # What they offer meanwhile is not taken: it is withdrawn, as in a reset of who offers it.
        for _ in range(5):
            await RisingEdge(dut.clk)
        came = len(bench.owners)
        for index in range(bench.readers - bench.guests):
            assert getattr(dut, f"read__{index}__valid").value == 0, "an answer after a stop"
        for task in guests:
            await task
        while dut.answered.value == 0:
            for index in range(bench.readers - bench.guests):
                assert getattr(dut, f"read__{index}__valid").value == 0, "an answer after a stop"
            await RisingEdge(dut.clk)
        guest = (bench.readers - 1, bench.readers + bench.writers - 1)
        assert all(client in guest for _, client in bench.owners[came:])
        for task in own:
            task.cancel()
        for index in range(bench.readers - bench.guests):
            bench.wanted[index].clear()
            getattr(dut, f"read__{index}__cmd__valid").value = 0
        await RisingEdge(dut.clk)
        dut.stop.value = 0
        bench.dropped = False
        # Whoever goes on gets what it asks for, and nothing of what was asked before.
        await bench.reading[turn % bench.readers].send(bench.commands(5, bench.rng))
        await bench.writing[turn % bench.writers].send(bench.writes(turn % bench.writers, 5, bench.rng))
        await bench.until_quiet()
        await bench.carried_out()
        assert bench.memory.content == bench.expected


@cocotb.test()
async def many_unanswered(dut: Any) -> None:
    """Memory that answers nothing: reads go out until as many are under way as there is room for, and no further."""
    bench = Bench(dut, 0.0)
    await bench.begin()
    bench.expected = bytearray(bench.memory.content)
    bench.memory.holds_back = True
    room = parameters()["in_flight"]
    task = bench.reading[0].start(bench.commands(room + 20, bench.rng))
    for _ in range(room + 60):
        await RisingEdge(dut.clk)
    assert len(bench.wanted[0]) in (room, room + 1), len(bench.wanted[0])
    bench.memory.holds_back = False
    await task
    await bench.until_quiet()
