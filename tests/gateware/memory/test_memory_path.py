"""Readers, the arbiter and semaphores: nothing is lost, nothing is invented, everything keeps its order."""

import itertools
import random
from functools import partial

import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.sim import Simulator

from gateware import isa
from gateware.control.semaphores import Semaphores
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
    """A descriptor with addresses below `most`, and they."""
    while True:
        base = rng.randrange(most)
        levels = [(rng.randrange(1, 5), rng.randrange(-200, 200)) for _ in range(4)]
        expected = addresses(base, levels)
        if all(0 <= a < most for a in expected):
            return described(base, levels), expected


@pytest.mark.parametrize("seed", SEEDS)
def test_readers_and_writers_share_memory(seed: int):
    print("seed", seed)
    rng = random.Random(seed)
    dut = Shared()
    store = {a: rng.getrandbits(128) for a in range(1 << ADDRESS_BITS)}
    written: dict[int, int] = {}
    done = []

    async def read(ctx, index):
        # Readers and writers keep to halves of the memory: order between different clients is not promised.
        for _ in range(12):
            d, expected = descriptor(rng, 1 << (ADDRESS_BITS - 1))
            ctx.set(dut.descriptor[index].payload, d)
            ctx.set(dut.descriptor[index].valid, 1)
            await ctx.tick().until(dut.descriptor[index].ready)
            ctx.set(dut.descriptor[index].valid, 0)
            for position, address in enumerate(expected):
                while rng.random() < 0.3:
                    await ctx.tick()
                ctx.set(dut.o[index].ready, 1)
                (got,) = await ctx.tick().sample(dut.o[index].payload).until(dut.o[index].valid)
                ctx.set(dut.o[index].ready, 0)
                assert got.beat == store[address]
                assert got.last == (position == len(expected) - 1)
        done.append(index)

    async def write(ctx, index):
        beat = dut.write[index].beat
        for n in range(150):
            address = (1 << (ADDRESS_BITS - 1)) + (2 * n + index)
            data, mask = rng.getrandbits(128), rng.getrandbits(16)
            value = store[address]
            for byte in range(16):
                if mask >> byte & 1:
                    value = value & ~(255 << 8 * byte) | data & (255 << 8 * byte)
            written[address] = value
            while rng.random() < 0.4:
                await ctx.tick()
            ctx.set(beat.payload, {"address": address, "data": data, "mask": mask})
            ctx.set(beat.valid, 1)
            await ctx.tick().until(beat.ready)
            ctx.set(beat.valid, 0)
        done.append(2 + index)

    async def memory(ctx):
        port, waiting, answers, words = dut.memory, [], [], []
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
                for byte in range(16):
                    if word.mask >> byte & 1:
                        old = store[address] & ~(255 << 8 * byte)
                        store[address] = old | word.data & (255 << 8 * byte)
            due = bool(answers) and answers[0][0] <= cycle
            ctx.set(port.rdata.valid, due)
            if due:
                ctx.set(port.rdata.payload, answers.pop(0)[1])
            if len(done) == 4 and ctx.get(dut.quiet):
                done.append("quiet")
            await ctx.tick()
        raise AssertionError("watchdog: the clients did not finish")

    async def wait(ctx):
        while "quiet" not in done:
            await ctx.tick()
        for _ in range(4):
            await ctx.tick()
        assert {a: store[a] for a in written} == written

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    for index in range(2):
        simulator.add_testbench(partial(read, index=index), background=True)
        simulator.add_testbench(partial(write, index=index), background=True)
    simulator.add_testbench(memory, background=True)
    simulator.add_testbench(wait)
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


@pytest.mark.parametrize("seed", SEEDS)
def test_semaphores_count(seed: int):
    print("seed", seed)
    rng = random.Random(seed)
    dut = Semaphores(3, 2)
    given, taken = [0] * 16, [0] * 16

    async def clear(ctx):
        ctx.set(dut.clear, 1)
        await ctx.tick().repeat(17)
        ctx.set(dut.clear, 0)

    async def give(ctx, index):
        await ctx.tick().repeat(20)
        for _ in range(100):
            semaphore, count = rng.randrange(16), rng.randrange(1, 3)
            ctx.set(dut.give[index].payload, {"semaphore": semaphore, "count": count})
            ctx.set(dut.give[index].valid, 1)
            given[semaphore] += count
            await ctx.tick().until(dut.give[index].ready)
            ctx.set(dut.give[index].valid, 0)
            await ctx.tick().repeat(rng.randrange(1, 6))

    async def take(ctx, index):
        # Taker 0 uses the even semaphores, taker 1 the odd ones: one engine waits on one semaphore.
        port = dut.take[index]
        for turn in range(60):
            semaphore, count = 2 * rng.randrange(1, 8) - 1 + (1 - index), rng.randrange(1, 3)
            ctx.set(port.take, {"semaphore": semaphore, "count": count})
            ctx.set(port.taking, 1)
            for _ in range(400):
                await ctx.tick()
                if ctx.get(port.taken):
                    taken[semaphore] += count
                    assert taken[semaphore] <= given[semaphore], f"turn {turn}"
                    await ctx.tick()
                    break
            else:
                assert taken[semaphore] + count > given[semaphore], "enough was given, and the engine still waits"
            ctx.set(port.taking, 0)
            await ctx.tick().repeat(rng.randrange(1, 5))

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(clear)
    for index in range(3):
        simulator.add_testbench(partial(give, index=index))
    for index in range(2):
        simulator.add_testbench(partial(take, index=index))
    simulator.run()
    assert sum(taken) > 50


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
