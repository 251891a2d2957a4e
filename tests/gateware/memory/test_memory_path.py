"""Readers and the arbiter: nothing is lost, nothing is invented, everything keeps its order."""

import itertools
import random
from functools import partial

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.sim import Simulator

from gateware import isa
from gateware.memory.arbiter import MemoryArbiter
from gateware.memory.port import MemoryPort, WritePort
from gateware.memory.reader import ReadBeat, StridedReader
from gateware.memory.strides import descriptor_layout

ADDRESS_BITS = 12
SEEDS = range(4)


class Shared(wiring.Component):
    """Two readers and two writers behind one port."""

    def __init__(self) -> None:
        super().__init__(
            {
                "descriptor": In(stream.Signature(descriptor_layout(4, isa.ADDRESS_BITS))).array(2),
                "o": Out(stream.Signature(ReadBeat)).array(2),
                "write": In(WritePort(ADDRESS_BITS)).array(2),
                "memory": Out(MemoryPort(ADDRESS_BITS)),
                "quiet": Out(1),
                "wrapped": Out(2),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.arbiter = arbiter = MemoryArbiter(ADDRESS_BITS, 2, 2, burst=8)
        connect(m, arbiter.memory, flipped(self.memory))
        m.d.comb += self.quiet.eq(arbiter.quiet)
        for index in range(2):
            m.submodules[f"reader_{index}"] = reader = StridedReader(4, ADDRESS_BITS, 16)
            connect(m, reader.memory, arbiter.read[index])
            connect(m, flipped(self.descriptor[index]), reader.descriptor)
            connect(m, reader.o, flipped(self.o[index]))
            connect(m, flipped(self.write[index]), arbiter.write[index])
            m.d.comb += self.wrapped[index].eq(reader.wrapped)
        return m


def addresses(base: int, levels: list[tuple[int, int]]) -> list[int]:
    loops = [range(steps) for steps, _ in reversed(levels)]
    strides = [stride for _, stride in reversed(levels)]
    return [base + sum(i * s for i, s in zip(place, strides, strict=True)) for place in itertools.product(*loops)]


def described(base: int, levels: list[tuple[int, int]]) -> dict:
    registers = isa.loop_registers("SRC", levels)
    return {
        "base": base,
        "count": [registers[f"SRC_COUNT{level}"] for level in range(4)],
        "jump": [registers.get(f"SRC_JUMP{level}", 0) for level in range(4)],
    }


def descriptor(rng: random.Random, most: int) -> tuple[dict, list[int]]:
    """A descriptor whose addresses are below `most`, and these addresses."""
    while True:
        base = rng.randrange(most)
        levels = [(rng.randrange(1, 5), rng.randrange(-200, 200)) for _ in range(4)]
        expected = addresses(base, levels)
        if all(0 <= a < most for a in expected):
            return described(base, levels), expected


def masked(old: int, new: int, mask: int) -> int:
    """`old` with the bytes of `new` that `mask` names."""
    for byte in range(16):
        if mask >> byte & 1:
            old = old & ~(255 << 8 * byte) | new & (255 << 8 * byte)
    return old


class Traffic:
    """Readers and writers that keep to halves of the memory: order between different clients is not promised."""

    HALF = 1 << (ADDRESS_BITS - 1)

    def __init__(self, seed: int) -> None:
        self.rng, self.dut = random.Random(seed), Shared()
        self.store = {a: self.rng.getrandbits(128) for a in range(2 * self.HALF)}
        self.written: dict[int, int] = {}
        self.busy, self.quiet = 4, False  # clients that have not finished; the arbiter said so after them

    async def read(self, ctx, index):
        rng, port, out = self.rng, self.dut.descriptor[index], self.dut.o[index]
        for _ in range(12):
            d, expected = descriptor(rng, self.HALF)
            ctx.set(port.payload, d)
            ctx.set(port.valid, 1)
            await ctx.tick().until(port.ready)
            ctx.set(port.valid, 0)
            for position, address in enumerate(expected):
                while rng.random() < 0.3:
                    await ctx.tick()
                ctx.set(out.ready, 1)
                (got,) = await ctx.tick().sample(out.payload).until(out.valid)
                ctx.set(out.ready, 0)
                assert got.beat == self.store[address]
                assert got.last == (position == len(expected) - 1)
        self.busy -= 1

    async def write(self, ctx, index):
        rng, beat = self.rng, self.dut.write[index].beat
        for n in range(150):
            address = self.HALF + 2 * n + index
            data, mask = rng.getrandbits(128), rng.getrandbits(16)
            self.written[address] = masked(self.store[address], data, mask)
            while rng.random() < 0.4:
                await ctx.tick()
            ctx.set(beat.payload, {"address": address, "data": data, "mask": mask})
            ctx.set(beat.valid, 1)
            await ctx.tick().until(beat.ready)
            ctx.set(beat.valid, 0)
        self.busy -= 1

    async def memory(self, ctx):
        rng, port, store = self.rng, self.dut.memory, self.store
        waiting: list[int] = []
        answers: list[tuple[int, int]] = []
        words: list = []
        for cycle in range(60_000):
            for signal in (port.cmd.ready, port.wdata.ready):
                ctx.set(signal, rng.random() < 0.7)
            if ctx.get(port.cmd.valid) and ctx.get(port.cmd.ready):
                command = ctx.get(port.cmd.payload)
                if command.we:
                    waiting.append(command.address)
                else:
                    answers.append((cycle + rng.randrange(2, 25), store[command.address]))
            if ctx.get(port.wdata.valid) and ctx.get(port.wdata.ready):
                words.append(ctx.get(port.wdata.payload))
            while words and waiting:
                address, word = waiting.pop(0), words.pop(0)
                store[address] = masked(store[address], word.data, word.mask)
            due = bool(answers) and answers[0][0] <= cycle
            ctx.set(port.rdata.valid, due)
            if due:
                ctx.set(port.rdata.payload, answers.pop(0)[1])
            self.quiet |= not self.busy and bool(ctx.get(self.dut.quiet))
            await ctx.tick()
        raise AssertionError("watchdog: the clients did not finish")

    async def wait(self, ctx):
        while not self.quiet:
            await ctx.tick()
        for _ in range(4):
            await ctx.tick()
        assert {a: self.store[a] for a in self.written} == self.written


@pytest.mark.parametrize("seed", SEEDS)
def test_readers_and_writers_share_memory(seed: int):
    print("seed", seed)
    traffic = Traffic(seed)
    simulator = Simulator(traffic.dut)
    simulator.add_clock(1e-8)
    for index in range(2):
        simulator.add_testbench(partial(traffic.read, index=index), background=True)
        simulator.add_testbench(partial(traffic.write, index=index), background=True)
    simulator.add_testbench(traffic.memory, background=True)
    simulator.add_testbench(traffic.wait)
    simulator.run()


def test_a_descriptor_that_leaves_memory_is_flagged():
    dut = StridedReader(4, ADDRESS_BITS, 16)
    asked = []

    async def use(ctx):
        ctx.set(dut.memory.cmd.ready, 1)
        ctx.set(dut.descriptor.payload, described(4090, [(20, 2)]))
        ctx.set(dut.descriptor.valid, 1)
        await ctx.tick().until(dut.descriptor.ready)
        ctx.set(dut.descriptor.valid, 0)
        for _ in range(30):
            if ctx.get(dut.memory.cmd.valid):
                asked.append(ctx.get(dut.memory.cmd.payload))
            await ctx.tick()
        assert ctx.get(dut.wrapped)

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(use)
    simulator.run()
    assert asked == [4090, 4092, 4094]


def test_a_guest_goes_on_while_the_others_are_stopped():
    dut = MemoryArbiter(ADDRESS_BITS, 2, 2, guests=1)
    asked: list[tuple[int, int]] = []
    got: list[tuple[int, int]] = []
    counted: list[int] = []

    async def memory(ctx):
        """Takes everything, and answers a read 9 cycles later with its address."""
        due: list[tuple[int, int]] = []
        ctx.set(dut.memory.cmd.ready, 1)
        ctx.set(dut.memory.wdata.ready, 1)
        for cycle in range(100):
            if ctx.get(dut.memory.cmd.valid):
                command = ctx.get(dut.memory.cmd.payload)
                asked.append((command.we, command.address))
                if not command.we:
                    due.append((cycle + 9, command.address))
            answer = bool(due) and due[0][0] <= cycle
            ctx.set(dut.memory.rdata.valid, answer)
            if answer:
                ctx.set(dut.memory.rdata.payload, due.pop(0)[1])
            got.extend((index, ctx.get(port.beat)) for index, port in enumerate(dut.read) if ctx.get(port.valid))
            counted.append(ctx.get(dut.reads) + ctx.get(dut.writes))
            await ctx.tick()

    async def ask(ctx, port, payload):
        ctx.set(port.payload, payload)
        ctx.set(port.valid, 1)
        await ctx.tick().until(port.ready)
        ctx.set(port.valid, 0)

    async def use(ctx):
        await ask(ctx, dut.read[0].cmd, 11)
        assert not ctx.get(dut.answered)
        ctx.set(dut.stop, 1)
        ctx.set(dut.read[0].cmd.valid, 1)  # not taken any more
        ctx.set(dut.write[0].beat.valid, 1)
        await ask(ctx, dut.read[1].cmd, 22)
        await ask(ctx, dut.write[1].beat, {"address": 33, "data": 0, "mask": 0})
        await ctx.tick().repeat(20)
        assert ctx.get(dut.answered) and ctx.get(dut.quiet)

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(memory, background=True)
    simulator.add_testbench(use)
    simulator.run()
    assert asked == [(0, 11), (0, 22), (1, 33)]
    assert got == [(1, 22)], "what the stopped reader had asked for is dropped"
    assert sum(counted) == 1
