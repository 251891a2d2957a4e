"""The arbiter's clients of both kinds, guests, and memory: nothing lost, everybody's turn, a stop at any time."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from sim.cocotb.bench import generator, parameters, start
from sim.cocotb.streams import StreamSource, cycle
from tests.gateware.memory.memory_partner import BEAT_BYTES, MemoryPartner


class Bench:
    """Clients that may ask for anything; the lower half of memory is read, the upper one written."""

    def __init__(self, dut: Any, stall: float) -> None:
        settings = parameters()
        self.dut, self.stall = dut, stall
        self.readers, self.writers, self.guests = settings["readers"], settings["writers"], settings["guests"]
        self.burst, self.bits = settings["burst"], settings["address_bits"]
        self.rng = generator("clients")
        self.half = 1 << (self.bits - 1)
        self.wanted: list[list[int]] = [[] for _ in range(self.readers)]  # addresses asked for and not answered
        self.dropped = False  # what the accelerator's readers asked for before a stop may be answered or not
        self.asked = self.answers = self.sent = self.at_memory = self.words = 0
        self.expected = bytearray()  # what memory must hold at the end
        self.owners: list[tuple[int, int]] = []  # cycle and client of every transfer
        self.quiet_since = self.answered_since = 0

    async def begin(self) -> None:
        dut = self.dut
        dut.stop.value = 0
        self.reading = [StreamSource(dut, f"read__{i}__cmd", generator(f"read {i}")) for i in range(self.readers)]
        self.writing = [StreamSource(dut, f"write__{i}__beat", generator(f"write {i}")) for i in range(self.writers)]
        self.memory = MemoryPartner(dut, self.bits, BEAT_BYTES << self.bits, generator("memory"), self.stall)
        self.memory.content[:] = generator("content").randbytes(BEAT_BYTES << self.bits)
        await start(dut, 200_000)
        cocotb.start_soon(self._watch())

    def beat(self, address: int) -> int:
        return int.from_bytes(self.memory.content[BEAT_BYTES * address :][:BEAT_BYTES], "little")

    def own(self, index: int, kind: int) -> bool:
        return index < kind - self.guests

    def _pin(self, name: str) -> int:
        return int(getattr(self.dut, name).value)

    async def _watch(self) -> None:
        while True:
            await RisingEdge(self.dut.clk)
            self._answers()
            taken = self._transfers()
            self._state(taken)

    def _answers(self) -> None:
        came = [index for index in range(self.readers) if self._pin(f"read__{index}__valid")]
        assert len(came) <= 1, f"one beat for readers {came}"
        for index in came:
            assert self.wanted[index], f"reader {index} gets a beat that it has not asked for"
            address = self.wanted[index].pop(0)
            assert self._pin(f"read__{index}__beat") == self.beat(address), f"reader {index}, address {address}"

    def _transfers(self) -> tuple[int, int]:
        """What the clients give in this cycle: at most one; the counts of the accelerator's reads and writes."""
        stopped, own = self._pin("stop"), [0, 0]
        moved = []
        for kind, (count, name) in enumerate(((self.readers, "read__{}__cmd"), (self.writers, "write__{}__beat"))):
            for index in range(count):
                port, mine = name.format(index), self.own(index, count)
                ready = self._pin(f"{port}__ready")
                assert not (ready and mine and stopped), f"{port} is ready after a stop"
                if ready and self._pin(f"{port}__valid"):
                    moved.append(kind * self.readers + index)
                    own[kind] += mine
                    if kind == 0:
                        self.wanted[index].append(self._pin(f"{port}__payload"))
        assert len(moved) <= 1, f"clients {moved} at once"
        for client in moved:
            self.owners.append((cycle(), client))
        self.sent += len(moved)
        self.words += sum(client >= self.readers for client in moved)
        return own[0], own[1]

    def _state(self, own: tuple[int, int]) -> None:
        assert (self._pin("reads"), self._pin("writes")) == own, "counted"
        unanswered = sum(len(self.wanted[index]) for index in range(self.readers - self.guests))
        if self._pin("answered") and not self.dropped:
            assert unanswered - own[0] == 0, "answered with answers to come"
        if self._pin("quiet"):
            assert self._pin("answered") and self.at_memory == self.sent - sum(self._now()), "quiet with commands"
        self.at_memory += self._pin("memory__cmd__valid") and self._pin("memory__cmd__ready")
        self.words -= self._pin("memory__wdata__valid") and self._pin("memory__wdata__ready")
        assert not (self._pin("quiet") and self.words > self._now()[1]), "quiet with a word to write"
        arrives = any(self._pin(f"read__{index}__valid") for index in range(self.readers))
        idle = unanswered == 0 and not self.dropped and not arrives
        self.answered_since = self.answered_since + 1 if idle else 0
        assert self.answered_since < 4 or self._pin("answered"), "not answered without a question"
        still = idle and self.at_memory == self.sent and self.words == 0
        self.quiet_since = self.quiet_since + 1 if still else 0
        assert self.quiet_since < 4 or self._pin("quiet"), "not quiet with nothing to do"

    def _now(self) -> tuple[int, int]:
        """Transfers of this very cycle: of readers and of writers."""
        if not self.owners or self.owners[-1][0] != cycle():
            return 0, 0
        writes = self.owners[-1][1] >= self.readers
        return int(not writes), int(writes)

    def commands(self, count: int, rng: random.Random) -> list[int]:
        return [rng.randrange(self.half) for _ in range(count)]

    def writes(self, index: int, count: int, rng: random.Random) -> list[int]:
        """Payloads, each writer with its own addresses; what memory then holds goes to `expected`."""
        result = []
        for _ in range(count):
            address = self.half + self.writers * rng.randrange(self.half // self.writers) + index
            word, mask = rng.getrandbits(128), rng.choice([rng.getrandbits(16), 0xFFFF])
            result.append(word | mask << 128 | address << 144)
            for lane in range(BEAT_BYTES):
                if mask >> lane & 1:
                    self.expected[BEAT_BYTES * address + lane] = word >> 8 * lane & 255
        return result

    async def until_quiet(self) -> None:
        while not (self._pin("quiet") and not any(self.wanted)):
            await RisingEdge(self.dut.clk)
        for _ in range(4):
            await RisingEdge(self.dut.clk)

    async def carried_out(self) -> None:
        """Words and commands that memory has taken and not carried out yet."""
        for _ in range(60):
            await RisingEdge(self.dut.clk)


@cocotb.test()
async def random_traffic(dut: Any) -> None:
    """All clients at once, with stalls of theirs and of memory."""
    bench = Bench(dut, parameters()["stall"])
    await bench.begin()
    bench.expected = bytearray(bench.memory.content)
    tasks = []
    for index, source in enumerate(bench.reading):
        source.stall = [0.0, 0.5, 0.9][index % 3]
        tasks.append(source.start(bench.commands(parameters()["count"], bench.rng)))
    for index, source in enumerate(bench.writing):
        source.stall = [0.3, 0.0, 0.8][index % 3]
        tasks.append(source.start(bench.writes(index, parameters()["count"], bench.rng)))
    for task in tasks:
        await task
    await bench.until_quiet()
    await bench.carried_out()
    assert bench.memory.content == bench.expected


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
