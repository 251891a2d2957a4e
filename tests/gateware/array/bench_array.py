"""The systolic array against integer sums: every row of every tile, in exactly the cycle that is promised."""

import random
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.triggers import RisingEdge

from gateware.array.grid import SystolicArray
from gateware.array.layouts import DOT, STORED_BITS, Step
from sim.cocotb.bench import generator, parameters, start
from sim.cocotb.streams import unpack

IntArray = npt.NDArray[np.int64]
# One step: `a` (rows, 4), `b` (channels, 4), and whether the sums so far are shifted first.
TileStep = tuple[IntArray, IntArray, bool]
Tile = list[TileStep]


class ArrayBench:
    """An array, the operands that it accepts, and what became of the steps given to it."""

    def __init__(self, dut: Any, rng: random.Random) -> None:
        arguments = parameters()
        self.dut, self.rng, self.array = dut, rng, SystolicArray(**arguments)
        self.rows, self.channels = self.array.rows, self.array.channels
        self.x_width = arguments.get("x_width", 8)
        self.largest_x = 128 if self.x_width == 9 else 127
        self.most_of_four = self.array.elements[0][0].dot.most_of_four
        self.least_w = -128 if arguments["pack"] == 1 or arguments.get("packed_full_range") else -127
        self.numbers = np.random.default_rng(rng.randrange(1 << 32))
        self.cycle = 0
        self.last_allowed = 0
        self.expected: list[tuple[int, int, bool, list[int]]] = []  # cycle, row, last, sums
        self.seen: list[tuple[int, int, bool, list[int]]] = []

    async def begin(self) -> None:
        self.dut.step.value, self.dut.a.value, self.dut.b.value = 0, 0, 0
        await start(self.dut, cycles=30_000)

    async def step(self, a: IntArray | None = None, b: IntArray | None = None, **flags: bool) -> None:
        """One cycle with these inputs: what comes out in it is recorded."""
        a = self.x("random") if a is None else a
        b = self.w("random") if b is None else b
        self.dut.step.value = sum(int(flags.get(name, False)) << i for i, (name, _) in enumerate(Step.as_shape()))
        self.dut.a.value = bits(a, min(self.x_width, STORED_BITS))
        self.dut.b.value = bits(b, 8)
        await RisingEdge(self.dut.clk)
        assert int(self.dut.last_ready.value) == (self.cycle >= self.last_allowed), f"last_ready in cycle {self.cycle}"
        out = unpack(self.array.signature.members["out"].shape, int(self.dut.out.value))
        if out["valid"]:
            self.seen.append((self.cycle, out["row"], bool(out["last"]), out["data"]))
        self.cycle += 1

    async def idle(self, cycles: int) -> None:
        """Cycles without a step; operands and the other flags are anything."""
        for _ in range(cycles):
            await self.step(first=self.coin(), last=self.coin(), shift=self.coin(), unsigned=self.coin())

    async def tile(self, tile: Tile, gaps: float = 0.0) -> None:
        """All steps of a tile, with gaps and not before the last one is allowed."""
        sums = np.zeros((self.rows, self.channels), np.int64)
        for number, (a, b, shift) in enumerate(tile):
            last = number == len(tile) - 1
            while self.rng.random() < gaps or (last and self.cycle < self.last_allowed):
                await self.idle(1)
            sums = (sums << 8 if shift else sums) + a @ b.T
            if last:
                at = self.cycle + self.array.latency
                for row, values in enumerate(wrapped(sums, self.array.acc_width)):
                    self.expected.append((at + row, row, row == self.rows - 1, [int(value) for value in values]))
            unsigned = bool((a > 255).any() or ((a >= 0).all() and self.coin()))
            await self.step(a, b, valid=True, first=number == 0, last=last, shift=shift, unsigned=unsigned)
        self.last_allowed = self.cycle - 1 + self.rows

    async def finish(self) -> None:
        """Wait until everything has come out, and compare."""
        await self.idle(self.array.latency + self.rows + 2)
        for seen, expected in zip(self.seen, self.expected, strict=False):
            assert seen == expected, f"the sums differ: {seen}, not {expected}"
        assert len(self.seen) == len(self.expected)
        cocotb.log.info("%d rows, %d cycles", len(self.seen), self.cycle)

    def coin(self) -> bool:
        return self.rng.random() < 0.5

    def x(self, kind: str) -> IntArray:
        if self.x_width > STORED_BITS and self.coin():
            return self.unsigned(kind)
        values = self.values(kind, (self.rows, DOT), -128, self.largest_x)
        # The full range's form excludes a step of four halves of 128.
        values[(values == 128).all(axis=1), 0] = 127
        return values

    def unsigned(self, kind: str) -> IntArray:
        """Rows of nine bits without a sign, whose sums are at most what the elements hold, and often that."""
        largest = (1 << STORED_BITS) - 1
        drawn = self.values("random" if kind == "low" else kind, (self.rows, DOT), 0, largest)
        values = np.maximum(drawn, 0)
        left = np.full(self.rows, self.most_of_four)
        for k in self.numbers.permutation(DOT):
            values[:, k] = np.minimum(values[:, k], left)
            left -= values[:, k]
        return values

    def w(self, kind: str) -> IntArray:
        return self.values(kind, (self.channels, DOT), self.least_w, 127)

    def values(self, kind: str, shape: tuple[int, int], low: int, high: int) -> IntArray:
        if kind == "low" or kind == "high":
            return np.full(shape, low if kind == "low" else high)
        if kind == "edges":
            return self.numbers.choice(np.array([low, low + 1, -1, 0, 1, high]), shape)
        return self.numbers.integers(low, high + 1, shape)

    def any_tile(self, steps: int, x_kind: str = "random", w_kind: str = "random", shifts: float = 0.0) -> Tile:
        return [(self.x(x_kind), self.w(w_kind), k > 0 and self.rng.random() < shifts) for k in range(steps)]

    def halves_tile(self, steps: int) -> tuple[Tile, IntArray]:
        """A tile of 16-bit operands in halves, and its true sums."""
        edges = np.array([0, 1, 127, 128, 255, 256, 32639, 32640, 32767, 32768])
        p = self.numbers.integers(0, 32769, (steps, self.rows, DOT))
        p = np.where(self.numbers.random(p.shape) < 0.3, self.numbers.choice(edges, p.shape), p)
        p[..., 0] = np.minimum(p[..., 0], 32639)
        low = ((p + 128) & 255) - 128
        high = (p - low) >> 8
        w = [self.w("edges" if self.coin() else "random") for _ in range(steps)]
        tile = [(high[k], w[k], False) for k in range(steps)] + [(low[k], w[k], k == 0) for k in range(steps)]
        return tile, sum((p[k] @ w[k].T for k in range(steps)), np.zeros((self.rows, self.channels), np.int64))


def bits(values: IntArray, width: int) -> int:
    """Elements of `width` bits, the first in the lowest bits."""
    mask = (1 << width) - 1
    return sum((value & mask) << (width * i) for i, value in enumerate(values.ravel().tolist()))


def wrapped(sums: IntArray, width: int) -> IntArray:
    return ((sums + (1 << (width - 1))) & ((1 << width) - 1)) - (1 << (width - 1))


@cocotb.test()
async def edges(dut: Any) -> None:
    bench = ArrayBench(dut, generator("edges"))
    await bench.begin()
    kinds = ("low", "high", "edges", "random")
    for x_kind in kinds:
        for w_kind in kinds:
            await bench.tile(bench.any_tile(bench.rows, x_kind, w_kind))
    await bench.finish()


@cocotb.test()
async def gaps_and_short_tiles(dut: Any) -> None:
    """Tiles from one step up, with and without gaps, sums shifted anywhere (so that they wrap too)."""
    bench = ArrayBench(dut, generator("gaps"))
    await bench.begin()
    for gaps in (0.0, 0.1, 0.6):
        for steps in (1, 1, 2, 3, bench.rows - 1, bench.rows, 1, bench.rows + 1, 2 * bench.rows):
            await bench.tile(bench.any_tile(steps, "edges" if bench.coin() else "random", shifts=0.1), gaps)
        await bench.idle(bench.rng.randrange(3))
    await bench.finish()


@cocotb.test()
async def no_bubbles(dut: Any) -> None:
    """Tile after tile without a cycle between them, and short tiles in `rows` cycles each."""
    bench = ArrayBench(dut, generator("bubbles"))
    await bench.begin()
    began = bench.cycle
    lengths = [bench.rows, bench.rows + 3, bench.rows, 2 * bench.rows, bench.rows]
    for steps in lengths:
        await bench.tile(bench.any_tile(steps, "edges", "edges"))
    assert bench.cycle - began == sum(lengths)
    for _ in range(5):
        await bench.tile(bench.any_tile(1))
    assert bench.cycle - began == sum(lengths) + 5 * bench.rows
    await bench.finish()


@cocotb.test()
async def halves(dut: Any) -> None:
    """16 x 8 bit products, exactly."""
    bench = ArrayBench(dut, generator("halves"))
    await bench.begin()
    for steps in (1, bench.rows, 13):
        tile, sums = bench.halves_tile(steps)
        await bench.tile(tile, gaps=0.2)
        rows = [values for _, _, _, values in bench.expected[-bench.rows :]]
        assert rows == wrapped(sums, bench.array.acc_width).tolist()
    await bench.finish()


@cocotb.test()
async def reset_in_a_tile(dut: Any) -> None:
    """A reset while a tile drains and the next one is under way: neither is heard of again, the one after is right."""
    bench = ArrayBench(dut, generator("reset"))
    await bench.begin()
    for pause in range(0, bench.array.latency + bench.rows, 3):
        await bench.tile(bench.any_tile(bench.rows, "edges", "edges"))
        for a, b, _ in bench.any_tile(2 + pause):
            await bench.step(a, b, valid=True)
        dut.rst.value = 1
        await bench.step(valid=True, last=False)
        dut.rst.value = 0
        bench.expected = [entry for entry in bench.expected if entry[0] < bench.cycle]
        bench.last_allowed = bench.cycle
        await bench.tile(bench.any_tile(3, "edges", "edges"))
        await bench.idle(bench.array.latency + bench.rows)
    await bench.finish()
