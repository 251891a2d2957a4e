"""A load engine with a transform of any delay: order, settings, places, ends, semaphores."""

import random
from collections import deque
from typing import Any

import cocotb
from amaranth.hdl import Const
from amaranth.lib import data
from cocotb.triggers import RisingEdge

from gateware.control.sequencer import register_layout
from gateware.isa import DST_BITS, Engine, InstructionWord, Op, SemaphoreValue, encode, loop_registers
from sim.cocotb.bench import generator, parameters, start
from sim.cocotb.streams import StreamMonitor, StreamSource, cycle, pack, unpack
from tests.gateware.engines.load_program import Program
from tests.gateware.memory.read_partner import ReadPartner

VALUE = SemaphoreValue.as_shape()


class Bench:
    """Everything around a loader. The transform changes beats by a number of the operation's registers."""

    def __init__(self, dut: Any, delay: int, stall: float) -> None:
        settings = parameters()
        self.dut, self.delay, self.stall = dut, delay, stall
        self.engine, self.bits, self.settle = Engine[settings["engine"]], settings["address_bits"], settings["settle"]
        self.layout = register_layout(self.engine)
        self.rng = generator(f"loader {delay} {stall}")
        self.pipe: deque[tuple[int, int]] = deque()  # when it may leave, beat
        self.starts = self.at = self.beats = 0  # operations begun; the one whose beats come, and how many of it came
        self.left: list[int] = []  # cycles of beats that left
        self.firsts: list[int] = []  # cycle in which an operation's first beat came
        self.done: list[tuple[int, int]] = []
        self.offered: int | None = None
        self.program = Program(self.engine, self.bits, self.rng)
        self.given: list[int] = []
        self.taken = 0

    def content(self, address: int) -> int:
        return random.Random(address).getrandbits(128)

    def transformed(self, beat: int, registers: int) -> int:
        return beat ^ random.Random(registers).getrandbits(128)

    async def begin(self) -> None:
        dut = self.dut
        for name in ("semaphore__taken", "signal__ready", "done__ready", "source__ready", "sink__valid", "o__ready"):
            getattr(dut, name).value = 0
        self.words = StreamSource(dut, "words", generator("words"), self.stall / 2)
        self.memory = ReadPartner(dut, "memory", self.content, generator("memory"), self.stall, 4)
        await start(dut, 200_000)
        self.out = StreamMonitor(dut, "o", generator("o"), self.stall)
        cocotb.start_soon(self._transform())
        cocotb.start_soon(self._ends())
        cocotb.start_soon(self._semaphore())

    async def _transform(self) -> None:
        """Takes beats at `source`, with a look at `job`, and gives them to `sink` later."""
        dut, takes, gives = self.dut, False, False
        while True:
            await RisingEdge(dut.clk)
            if dut.job_start.value == 1:
                self.starts += 1
                assert int(dut.job.value) == self.program.operations[self.starts - 1].registers, "job at its start"
                assert dut.source__valid.value == 0, "a beat in the cycle that begins a job"
            if dut.source__valid.value == 1:
                assert self.starts == self.at + 1, "a beat of an operation that has not begun"
                assert int(dut.job.value) == self.program.operations[self.at].registers, "job with its beats"
            if takes and dut.source__valid.value == 1:
                self._beat(int(dut.source__payload.value))
            if gives and dut.sink__ready.value == 1:
                self.pipe.popleft()
            takes = len(self.pipe) < self.delay + 4 and self.rng.random() >= self.stall
            gives = bool(self.pipe) and self.pipe[0][0] <= cycle() and (gives or self.rng.random() >= self.stall)
            dut.source__ready.value, dut.sink__valid.value = takes, gives
            dut.sink__payload.value = self.pipe[0][1] if gives else self.rng.getrandbits(128)

    def _beat(self, bits: int) -> None:
        operation = self.program.operations[self.at]
        beat, last = bits & (1 << 128) - 1, bits >> 128
        assert beat == self.content(operation.sources[self.beats]), f"operation {self.at}, beat {self.beats}"
        if self.beats == 0:
            self.firsts.append(cycle())
            before = sum(len(o.places) for o in self.program.operations[: self.at])
            if operation.changed:
                assert len(self.left) == before, "settings change before all was written"
        self.pipe.append((cycle() + self.delay, self.transformed(beat, operation.registers)))
        self.beats += 1
        assert last == (self.beats == len(operation.sources)), "last"
        if last:
            self.at, self.beats = self.at + 1, 0

    async def _ends(self) -> None:
        """Beats that leave, and the ends of operations: none before its last beat has settled."""
        dut, ready, rng = self.dut, False, generator("ends")
        ends: list[int] = []
        while True:
            await RisingEdge(dut.clk)
            now = cycle()
            if dut.done__valid.value == 1:
                while len(ends) < len(self.program.operations):
                    ends.append((ends[-1] if ends else 0) + len(self.program.operations[len(ends)].places))
                last = ends[len(self.done)] - 1
                assert last < len(self.left), "an end before its last beat"
                assert now - self.left[last] > self.settle, f"told {now - self.left[last]} cycles after its last beat"
                if ready:
                    value = unpack(VALUE, int(dut.done__payload.value))
                    assert value["count"] == 1
                    self.done.append((now, value["semaphore"]))
            running = self.starts > len(self.done) + 1 or (self.starts > len(self.done) and not ready)
            assert not (running and dut.idle.value == 1), "idle with an operation that has not ended"
            if dut.o__valid.value == 1 and dut.o__ready.value == 1:
                self.left.append(now)
            assert dut.illegal.value == 0 and dut.wrapped.value == 0
            ready = rng.random() >= self.stall
            dut.done__ready.value = ready

    async def _semaphore(self) -> None:
        """Waits pass after a while; signals are taken after a while."""
        dut, rng, ready = self.dut, generator("semaphore"), False
        while True:
            await RisingEdge(dut.clk)
            assert dut.waiting.value == dut.semaphore__taking.value
            if dut.semaphore__taken.value == 1:
                self.taken += 1
            if ready and dut.signal__valid.value == 1:
                self.given.append(int(dut.signal__payload.value))
                assert len(self.done) >= self.program.gives[len(self.given) - 1][1], "a signal before the end"
            waits = dut.semaphore__taking.value == 1 and dut.semaphore__taken.value == 0
            if waits:
                assert int(dut.semaphore__take.value) == self.program.takes[self.taken], "what is waited for"
            dut.semaphore__taken.value = int(waits and rng.random() < 0.3)
            ready = rng.random() >= self.stall
            dut.signal__ready.value = ready

    async def finish(self) -> None:
        """Run the program, and compare everything."""
        program = self.program
        await self.words.send(program.words)
        while len(self.done) < len(program.operations) or len(self.given) < len(program.gives):
            await RisingEdge(self.dut.clk)
        for _ in range(5):
            await RisingEdge(self.dut.clk)
        layout = data.StructLayout({"beat": 128, "address": DST_BITS, "registers": self.layout})
        wanted = []
        for operation in program.operations:
            for source, place in zip(operation.sources, operation.places, strict=True):
                beat = self.transformed(self.content(source), operation.registers)
                wanted.append(beat | place << 128 | operation.registers << 128 + DST_BITS)
        assert layout.size == 128 + DST_BITS + Const(0, self.layout.size).shape().width
        for number, (got, want) in enumerate(zip(self.out.received, wanted, strict=False)):
            assert got == want, f"beat {number} of {len(wanted)} at `o`"
        assert len(self.out.received) == len(wanted)
        assert [semaphore for _, semaphore in self.done] == [operation.done for operation in program.operations]
        assert self.given == [value for value, _ in program.gives] and self.taken == len(program.takes)
        assert self.dut.idle.value == 1


@cocotb.test()
async def programs(dut: Any) -> None:
    """Random operations, settings between them or not, waits and signals, with stalls everywhere."""
    bench = Bench(dut, 9, parameters()["stall"])
    await bench.begin()
    rng, program = bench.rng, bench.program
    for _ in range(parameters()["operations"]):
        for _ in range(rng.choice([0, 0, 1, 3])):
            program.any_setting()
        if rng.random() < 0.2:
            program.wait()
        program.run()
        if rng.random() < 0.2:
            program.signal()
    await bench.finish()


@cocotb.test()
async def without_stalls(dut: Any) -> None:
    """A beat a cycle; with the same settings an operation's beats come while those of the one before are inside."""
    bench = Bench(dut, 20, 0.0)
    await bench.begin()
    program = bench.program
    for _ in range(6):
        program.run([16, 1, 2, 1])
    program.set("CONFIG", 5)
    program.run([1, 1, 1, 1])
    program.run([1, 1, 1, 1])
    program.run([1, 1, 1, 1])
    await bench.finish()
    count = 6 * 32
    spent = bench.left[count - 1] - bench.left[0]
    assert spent <= count + 6 * 4, f"{spent} cycles for {count} beats"
    assert bench.firsts[1] < bench.left[31] and bench.firsts[5] < bench.left[5 * 32 - 1], "the transform runs empty"
    ends = [now for now, _ in bench.done]
    assert ends[5] - bench.left[count - 1] == bench.settle + 1, "told too late"


@cocotb.test()
async def errors(dut: Any) -> None:
    """A word of no meaning, and a source outside memory."""
    for name in ("semaphore__taken", "signal__ready", "done__ready", "source__ready", "sink__valid", "o__ready"):
        getattr(dut, name).value = 0
    settings = parameters()
    engine, rng = Engine[settings["engine"]], generator("errors")
    words = StreamSource(dut, "words")
    ReadPartner(dut, "memory", lambda at: at, generator("memory"), 0.0)
    await start(dut, 20_000)
    dut.words__payload.value = pack(InstructionWord.as_shape(), {"value": 0, "op": 30, "engine": int(engine)})
    dut.words__valid.value = 1
    for _ in range(3):
        await RisingEdge(dut.clk)
    assert dut.illegal.value == 1 and dut.words__ready.value == 0
    dut.words__valid.value = 0
    program = Program(engine, settings["address_bits"], rng)
    top = 1 << settings["address_bits"]
    for name, value in {
        "SRC_BASE": top - 2,
        **loop_registers("SRC", [(4, 1)]),
        **loop_registers("DST", [(4, 1)]),
    }.items():
        program.set(name, value)
    await words.send([*program.words, encode(engine, Op.RUN, 0)])
    for _ in range(12):
        await RisingEdge(dut.clk)
    assert dut.wrapped.value == 1 and dut.illegal.value == 0
