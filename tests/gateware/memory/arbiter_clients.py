"""The arbiter's clients in its bench, and what they must get."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from sim.cocotb.bench import generator, parameters, start
from sim.cocotb.streams import StreamSource, cycle
from tests.gateware.memory.memory_partner import BEAT_BYTES, MemoryPartner

__all__ = ["Bench"]


class Bench:
    """Clients that may ask for anything; one half of memory is read, the other one written."""

    def __init__(self, dut: Any, stall: float) -> None:
        settings = parameters()
        self.dut, self.stall = dut, stall
        self.readers, self.writers, self.guests = settings["readers"], settings["writers"], settings["guests"]
        self.burst, self.bits = settings["burst"], settings["address_bits"]
        self.rng = generator("clients")
        self.half = 1 << (self.bits - 1)
        self.read_from, self.write_to = 0, self.half
        self.wanted: list[list[int]] = [[] for _ in range(self.readers)]  # addresses asked for and not answered
        self.dropped = False  # what the accelerator's readers asked for before a stop may be answered or not
        self.asked = self.answers = self.sent = self.at_memory = self.words = 0
        self.expected = bytearray()  # what memory must hold at the end
        self.given: list[list[tuple[int, int]]] = [[] for _ in range(self.writers)]  # as `MemoryPartner.written`
        self.owners: list[tuple[int, int]] = []  # cycle and client of every transfer
        self.quiet_since = self.answered_since = 0

    async def begin(self) -> None:
        dut = self.dut
        dut.stop.value = 0
        self.reading = [StreamSource(dut, f"read__{i}__cmd", generator(f"read {i}")) for i in range(self.readers)]
        self.writing = [StreamSource(dut, f"write__{i}__beat", generator(f"write {i}")) for i in range(self.writers)]
        self.memory = MemoryPartner(dut, self.bits, BEAT_BYTES << self.bits, generator("memory"), self.stall)
        self.memory.content[:] = generator("content").randbytes(BEAT_BYTES << self.bits)
        self.expected = bytearray(self.memory.content)
        await start(dut, 200_000)
        cocotb.start_soon(self._watch())

    def forget(self) -> None:
        """In a reset: nothing is under way any more, neither here nor in memory."""
        self.memory.forget()
        for index in range(self.readers):
            self.wanted[index].clear()
        for given in self.given:
            given.clear()
        self.sent = self.at_memory = self.words = 0
        self.quiet_since = self.answered_since = 0

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
        mine = any(self._pin(f"read__{index}__valid") for index in range(self.readers - self.guests))
        assert not (self._pin("answered") and mine), "answered while an answer arrives"
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
        return [self.read_from + rng.randrange(self.half) for _ in range(count)]

    def writes(self, index: int, count: int, rng: random.Random) -> list[int]:
        """Payloads, each writer with its own addresses; what memory then holds goes to `expected`."""
        result = []
        for _ in range(count):
            address = self.write_to + self.writers * rng.randrange(self.half // self.writers) + index
            word, mask = rng.getrandbits(128), rng.choice([rng.getrandbits(16), 0xFFFF])
            result.append(word | mask << 128 | address << 144)
            self.given[index].append((address, word | mask << 128))
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
        """Words and commands that memory has taken and not carried out yet; then each writer's are as it gave them."""
        for _ in range(60):
            await RisingEdge(self.dut.clk)
        for index, given in enumerate(self.given):
            mine = [word for word in self.memory.written if (word[0] - self.write_to) % self.writers == index]
            assert mine == given, f"writer {index}"
            given.clear()
        self.memory.written.clear()
