"""RowStore writes, and SkipFetch reads, exactly the rows and columns that an operation names."""

import random

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped
from amaranth.sim import Simulator

from gateware.engines.execute.skip import SkipFetch
from gateware.engines.execute.store import RowStore, result_row_layout
from gateware.engines.execute.walker import TileWalker, walk_layout
from gateware.isa import ROW_MAP_BITS
from gateware.memory.port import WritePort

ADDRESS_BITS = 16
CYCLES = 60_000
SEEDS = range(6)
OPERATIONS = 5
MAPPED = 64  # rows of the map


class Writer(Component):
    """A walker and a store, as the drain has them."""

    def __init__(self, rows: int) -> None:
        self.walker, self.store = TileWalker(rows), RowStore(rows, ADDRESS_BITS)
        super().__init__(
            {
                "walk": In(walk_layout()),
                "start": In(1),
                "scatter": In(1),
                "row": Out(13),
                "target": In(ROW_MAP_BITS),
                "i": In(stream.Signature(result_row_layout(rows))),
                "memory": Out(WritePort(ADDRESS_BITS)),
                "stored": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.walker, m.submodules.store = walker, store = self.walker, self.store
        connect(m, flipped(self.i), store.i)
        connect(m, store.memory, flipped(self.memory))
        m.d.comb += [
            walker.walk.eq(self.walk),
            walker.start.eq(self.start),
            walker.step.eq(store.step),
            store.at.eq(walker.at),
            store.columns.eq(self.walk.columns),
            store.scatter.eq(self.scatter),
            store.target.eq(self.target),
            self.row.eq(store.row),
            self.stored.eq(store.stored),
        ]
        return m


def operation(rng: random.Random, rows: int, columns: int) -> dict[str, int]:
    first_column = rng.choice([c for c in range(4) if c % columns == 0])
    return {
        "base": 4 * rng.randrange(20) + first_column,
        "slab": 4 * rng.randrange(30, 40),
        "columns": columns,
        "row": rng.randrange(10),
        "tiles": rng.randrange(1, 7),
        "blocks": rng.randrange(1, 4),
        "rows_last": rng.randrange(1, rows + 1),
    }


def places(op: dict[str, int], rows: int, targets: dict[int, int] | None = None):
    """(tile, row in the block, [(beat address, lane), ...]) of every row, in the order of execution."""
    for block in range(op["blocks"]):
        count = op["rows_last"] if block == op["blocks"] - 1 else rows
        for tile in range(op["tiles"]):
            for r in range(count):
                t = op["row"] + block * rows + r
                if targets is not None:
                    t = targets[t]
                words = []
                for part in range(op["columns"]):
                    kb = (op["base"] & 3) + tile * op["columns"] + part
                    words.append(((op["base"] & ~3) + (kb >> 2) * op["slab"] + (t >> 2) * 4 + (kb & 3), t & 3))
                yield r, r == count - 1, words


@pytest.mark.parametrize("rows", [4, 11])
@pytest.mark.parametrize("seed", SEEDS)
def test_store(rows: int, seed: int):
    print("seed", seed)
    rng = random.Random(seed)
    dut = Writer(rows)
    memory: dict[tuple[int, int], int] = {}
    expected: dict[tuple[int, int], int] = {}
    finished: list[int] = []
    # Rows apart from those of any other operation, so that the order of two of them does not matter.
    row_map = dict(enumerate(rng.sample(range(100, 1 << ROW_MAP_BITS - 1), MAPPED)))

    async def feed(ctx):
        for _ in range(OPERATIONS):
            columns, scattered = rng.choice([1, 2, 4]), rng.random() < 0.5
            op = operation(rng, rows, 1 if scattered else columns)
            columns = op["columns"]
            ctx.set(dut.walk, op)
            ctx.set(dut.scatter, scattered)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            for r, last, words in places(op, rows, row_map if scattered else None):
                values = [rng.randrange(-(1 << 31), 1 << 31) for _ in range(4)]
                raw = b"".join(v.to_bytes(4, "little", signed=True)[:columns] for v in values)
                for place, part in zip(words, range(columns), strict=True):
                    expected[place] = int.from_bytes(raw[4 * part : 4 * part + 4], "little")
                while rng.random() < 0.2:
                    await ctx.tick()
                ctx.set(dut.i.payload, {"data": values, "row": r, "last": last})
                ctx.set(dut.i.valid, 1)
                await ctx.tick().until(dut.i.ready)
                ctx.set(dut.i.valid, 0)
            # The next operation may begin while this one's last beats are still leaving.
        while len(finished) < OPERATIONS:
            await ctx.tick()

    async def look_up(ctx):
        row = 0
        while True:
            ctx.set(dut.target, row_map.get(row, 0))
            row = ctx.get(dut.row)
            await ctx.tick()

    async def collect(ctx):
        for _ in range(CYCLES):
            ready = rng.random() < 0.7
            ctx.set(dut.memory.beat.ready, ready)
            beat = dut.memory.beat
            if ready and ctx.get(beat.valid):
                data, mask = ctx.get(beat.payload.data), ctx.get(beat.payload.mask)
                for lane in range(4):
                    part = mask >> (4 * lane) & 15
                    assert part in (0, 15)
                    if part:
                        memory[ctx.get(beat.payload.address), lane] = data >> (32 * lane) & 0xFFFFFFFF
            if ctx.get(dut.stored):
                finished.append(1)
            await ctx.tick()
        raise AssertionError("watchdog: the operations did not end")

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(feed)
    simulator.add_testbench(look_up, background=True)
    simulator.add_testbench(collect, background=True)
    simulator.run()
    assert len(finished) == OPERATIONS
    assert memory == expected


@pytest.mark.parametrize("rows", [4, 11])
@pytest.mark.parametrize("seed", SEEDS)
def test_skip(rows: int, seed: int):
    print("seed", seed)
    rng = random.Random(seed)
    dut = SkipFetch(rows, ADDRESS_BITS)
    content = np.random.default_rng(seed).integers(0, 256, (1 << 12, 16), np.uint8)
    queue: list[tuple[int, int]] = []

    async def use(ctx):
        for _ in range(3):
            op = operation(rng, rows, 2)
            ctx.set(dut.walk, op)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            for _, _, words in places(op, rows):
                while rng.random() < 0.3:
                    await ctx.tick()
                ctx.set(dut.o.ready, 1)
                (payload,) = await ctx.tick().sample(dut.o.payload).until(dut.o.valid)
                ctx.set(dut.o.ready, 0)
                raw = b"".join(content[address, 4 * lane : 4 * lane + 4].tobytes() for address, lane in words)
                assert list(payload) == list(np.frombuffer(raw, "<i2"))
            await ctx.tick()
            assert ctx.get(dut.idle)

    async def memory(ctx):
        for cycle in range(CYCLES):
            ready = rng.random() < 0.7
            ctx.set(dut.memory.cmd.ready, ready)
            if ready and ctx.get(dut.memory.cmd.valid):
                queue.append((cycle + rng.randrange(3, 30), ctx.get(dut.memory.cmd.payload)))
            due = bool(queue) and queue[0][0] <= cycle
            ctx.set(dut.memory.valid, due)
            if due:
                ctx.set(dut.memory.beat, int.from_bytes(content[queue.pop(0)[1]].tobytes(), "little"))
            await ctx.tick()
        raise AssertionError("watchdog: the operations did not end")

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(use)
    simulator.add_testbench(memory, background=True)
    simulator.run()
