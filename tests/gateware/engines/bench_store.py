"""The store: exactly the rows and columns of an operation, whatever memory does."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from gateware.engines.execute.store import result_row_layout
from gateware.isa import ADDRESS_BITS, ROW_MAP_BITS
from gateware.memory.port import WritePort
from sim.cocotb.bench import generator, parameters, reset, start
from sim.cocotb.streams import StreamMonitor, StreamSource, pack, unpack
from tests.gateware.engines.tile_writer import begin, large, operation, places

Words = dict[tuple[int, int], int]  # (beat address, lane): 32 bits
NOISE = random.Random(1)


class StoreBench:
    """Rows in, beats out, and the map beside."""

    def __init__(self, dut: Any) -> None:
        self.dut, self.rows, self.bits = dut, parameters()["rows"], parameters()["address_bits"]
        self.rng = generator("store")
        self.beat = WritePort(self.bits).members["beat"].signature.members["payload"].shape
        self.finished = self.outside = 0
        # Rows apart from those of any other operation, so that the order of two of them does not matter.
        self.row_map = dict(enumerate(self.rng.sample(range(100, 1 << ROW_MAP_BITS), 4000)))
        self.last_data: dict[int, int] = {}

    async def begin(self, stall: float) -> None:
        for name in ("iteration", "start", "scatter", "target"):
            getattr(self.dut, name).value = 0
        self.source = StreamSource(self.dut, "i", generator("rows"), stall)
        self.monitor = StreamMonitor(self.dut, "memory__beat", generator("memory"), stall)
        await start(self.dut, 200_000)
        cocotb.start_soon(self._watch())

    async def _watch(self) -> None:
        """The map answers a cycle after it is asked, and anything when nobody asks."""
        row, owed = 0, False
        while True:
            await RisingEdge(self.dut.clk)
            owed = self.dut.i__valid.value == 1
            row = int(self.dut.row.value)
            self.dut.target.value = self.row_map.get(row, 0) if owed else NOISE.getrandbits(ROW_MAP_BITS)
            self.outside += self.dut.outside.value == 1
            if self.dut.stored.value == 1:
                self.finished += 1
                assert self.dut.memory__beat__valid.value == 1 and self.dut.memory__beat__ready.value == 1

    async def operation(self, op: dict[str, int], scattered: bool) -> Words:
        """Feed one; what it must write."""
        expected: Words = {}
        columns = op["columns"]
        await begin(self.dut, op, scattered)
        layout = result_row_layout(self.rows)
        for r, last, words in places(op, self.rows, self.row_map if scattered else None):
            values = [self.rng.randrange(-(1 << 31), 1 << 31) for _ in range(4)]
            raw = b"".join(v.to_bytes(4, "little", signed=True)[:columns] for v in values)
            for number, place in enumerate(words):
                expected[place] = int.from_bytes(raw[4 * number : 4 * number + 4], "little")
            await self.source.send([pack(layout, {"data": values, "row": r, "last": last})])
        return expected

    async def until_finished(self, count: int) -> None:
        while self.finished < count:
            await RisingEdge(self.dut.clk)
        for _ in range(3):
            await RisingEdge(self.dut.clk)
        assert self.finished == count, "an end too many"
        assert self.dut.idle.value == 1 and self.dut.memory__beat__valid.value == 0

    def written(self) -> Words:
        """What memory has, word by word; no word of an operation comes twice."""
        memory: Words = {}
        for bits in self.monitor.received:
            beat = unpack(self.beat, bits)
            for lane in range(4):
                part = beat["mask"] >> (4 * lane) & 15
                assert part in (0, 15), "a mask cuts a word"
                if part:
                    memory[beat["address"], lane] = beat["data"] >> (32 * lane) & 0xFFFFFFFF
        return memory


@cocotb.test()
async def stores(dut: Any) -> None:
    """Operations of all kinds one after the other; the next begins while beats of the last are still leaving."""
    bench = StoreBench(dut)
    await bench.begin(parameters()["stall"])
    rng, expected = bench.rng, Words()
    for number in range(parameters()["operations"]):
        scattered = rng.random() < 0.4
        op = operation(rng, bench.rows, 1 if scattered else rng.choice([1, 2, 4]))
        # An operation's rows may be the last one's: then order matters, and it is kept.
        expected.update(await bench.operation(op, scattered))
        if number % 3 == 2:
            await bench.until_finished(number + 1)
    await bench.until_finished(parameters()["operations"])
    assert bench.written() == expected
    assert bench.outside == 0


@cocotb.test()
async def store_large(dut: Any) -> None:
    """Counts that need all of their bits."""
    bench = StoreBench(dut)
    await bench.begin(0.0)
    expected = Words()
    for number, op in enumerate(large(bench.rng, bench.rows, 1, parameters()["series"]), start=1):
        expected.update(await bench.operation(op, False))
        await bench.until_finished(number)
    assert bench.written() == expected and bench.outside == 0


@cocotb.test()
async def store_rate(dut: Any) -> None:
    """A row of int8 a cycle, of int16 in two, of int32 in four, while memory takes a beat a cycle."""
    bench = StoreBench(dut)
    await bench.begin(0.0)
    for finished, columns in enumerate((1, 2, 4), start=1):
        op = {"base": 0, "slab": 400, "columns": columns, "row": 0, "tiles": 8, "blocks": 2, "rows_last": bench.rows}
        layout, rows = result_row_layout(bench.rows), []
        for r, last, _ in places(op, bench.rows):
            rows.append(pack(layout, {"data": [1, 2, 3, 4], "row": r, "last": last}))
        await begin(dut, op)
        bench.source.sent.clear()
        await bench.source.send(rows)
        await bench.until_finished(finished)
        spent = bench.source.sent[-1] - bench.source.sent[0]
        assert spent <= parameters()["rates"][str(columns)], f"{columns} columns: {spent} cycles for {len(rows)} rows"


@cocotb.test()
async def store_outside(dut: Any) -> None:
    """What lies outside memory is told and not written; what lies inside is."""
    bench = StoreBench(dut)
    await bench.begin(0.2)
    top = 1 << bench.bits
    common = {"slab": 4, "columns": 1, "row": 0, "blocks": 1, "rows_last": 1}
    cases = [common | {"base": top - 4, "tiles": 8, "rows_last": 3}]
    for bit in range(
        bench.bits, ADDRESS_BITS
    ):  # one bit of the address says it, of the matrix's or of its second slab's
        cases.append(common | {"base": 1 << bit, "tiles": 1})
        cases.append(common | {"base": 40 * bit, "slab": 1 << bit, "tiles": 5})
    expected, outside = Words(), 0
    for op in cases:
        written = await bench.operation(op, False)
        expected.update(written)
        outside += len({address for address, _ in written if address >= top})
        while bench.outside < outside:
            await RisingEdge(dut.clk)
        for _ in range(40):
            await RisingEdge(dut.clk)
        inside = {place: word for place, word in expected.items() if place[0] < top}
        assert inside and bench.written() == inside, op
        assert bench.outside == outside, op


@cocotb.test()
async def store_reset(dut: Any) -> None:
    """A reset at any moment leaves nothing behind."""
    bench = StoreBench(dut)
    await bench.begin(0.3)
    for _ in range(12):
        task = cocotb.start_soon(bench.operation(operation(bench.rng, bench.rows, bench.rng.choice([1, 2, 4])), False))
        for _ in range(bench.rng.randrange(2, 60)):
            await RisingEdge(dut.clk)
        task.cancel()
        bench.monitor.stop()
        dut.i__valid.value = dut.start.value = 0
        await reset(dut)
        assert dut.idle.value == 1 and dut.memory__beat__valid.value == 0
        bench.monitor = StreamMonitor(dut, "memory__beat", generator("memory"), 0.3)
        bench.finished = 0
        expected = await bench.operation(operation(bench.rng, bench.rows, 2), False)
        await bench.until_finished(1)
        assert bench.written() == expected
