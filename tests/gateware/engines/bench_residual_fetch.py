"""The residual fetch: exactly the rows and columns of an operation, whatever memory does."""

import random
from itertools import takewhile
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from gateware.isa import ADDRESS_BITS
from sim.cocotb.bench import generator, parameters, reset, start
from sim.cocotb.streams import StreamMonitor
from tests.gateware.engines.tile_writer import begin, large, operation, places
from tests.gateware.memory.read_partner import ReadPartner


class FetchBench:
    """A fetch with a memory of anything."""

    def __init__(self, dut: Any) -> None:
        self.dut, self.rows, self.bits = dut, parameters()["rows"], parameters()["address_bits"]
        self.rng, self.seed = generator("skip"), 0

    def content(self, address: int) -> int:
        return random.Random(address + (self.seed << 20)).getrandbits(128)

    async def begin(self, stall: float) -> None:
        self.dut.iteration.value = self.dut.start.value = 0
        self.renew(stall)
        await start(self.dut, 200_000)

    def renew(self, stall: float) -> None:
        self.partner = ReadPartner(
            self.dut, "memory", self.content, generator("memory"), stall, parameters()["latency"]
        )
        self.monitor = StreamMonitor(self.dut, "o", generator("o"), stall)

    def wanted(self, op: dict[str, int]) -> list[int]:
        rows = []
        for _, _, words in places(op, self.rows):
            parts = [self.content(address) >> (32 * lane) & 0xFFFFFFFF for address, lane in words]
            rows.append(parts[0] | parts[1] << 32)
        return rows

    async def check(self, op: dict[str, int]) -> None:
        """One operation; every beat is asked for once a block and slab."""
        asked = len(self.partner.asked)
        before = len(self.monitor.received)
        await begin(self.dut, op)
        wanted = self.wanted(op)
        while len(self.monitor.received) < before + len(wanted):
            assert self.dut.idle.value == 0, "idle with rows to give"
            await RisingEdge(self.dut.clk)
        assert self.monitor.received[before:] == wanted
        for _ in range(4):
            await RisingEdge(self.dut.clk)
        assert self.dut.idle.value == 1 and len(self.monitor.received) == before + len(wanted)
        assert self.partner.asked[asked:] == self.addresses(op), "beats asked for"

    def addresses(self, op: dict[str, int]) -> list[int]:
        """Bursts: of each block, slab after slab, the row groups that it has, in each the columns."""
        result = []
        for block in range(op["blocks"]):
            first = op["row"] + block * self.rows
            count = op["rows_last"] if block == op["blocks"] - 1 else self.rows
            columns = [(op["base"] & 3) + number for number in range(2 * op["tiles"])]
            for slab in range(columns[-1] // 4 + 1):
                for group in range(first // 4, (first + count - 1) // 4 + 1):
                    base = (op["base"] & ~3) + slab * op["slab"] + 4 * group
                    result += [base + column % 4 for column in columns if column // 4 == slab]
        return result


@cocotb.test()
async def fetches(dut: Any) -> None:
    """Operations of every shape, with stalls of memory and of who takes the rows."""
    bench = FetchBench(dut)
    await bench.begin(parameters()["stall"])
    for turn in range(parameters()["operations"]):
        bench.seed = turn
        await bench.check(operation(bench.rng, bench.rows, 2))


@cocotb.test()
async def fetch_large(dut: Any) -> None:
    """Counts that need all of their bits."""
    bench = FetchBench(dut)
    await bench.begin(0.0)
    for op in large(bench.rng, bench.rows, 2, parameters()["series"]):
        await bench.check(op)


@cocotb.test()
async def fetch_rate(dut: Any) -> None:
    """Two cycles a row, sustained, with memory at one beat a cycle."""
    bench = FetchBench(dut)
    await bench.begin(0.0)
    await bench.check({"base": 0, "slab": 64, "columns": 2, "row": 0, "tiles": 8, "blocks": 2, "rows_last": bench.rows})
    times = bench.monitor.times
    assert times[-1] - times[0] <= 2 * (len(times) - 1) + parameters()["slack"], times[-1] - times[0]


@cocotb.test()
async def fetch_outside(dut: Any) -> None:
    """A beat that is not in memory is told and not asked for."""
    bench = FetchBench(dut)
    await bench.begin(0.2)
    top = 1 << bench.bits
    common = {"columns": 2, "row": 0, "blocks": 1, "rows_last": 1}
    beyond = [1 << bit for bit in range(bench.bits, ADDRESS_BITS)]
    cases = [common | {"base": base, "slab": 4, "tiles": 2} for base in (*beyond, top + 16)]
    # The second slab: it begins outside by one bit of its address, or where no address of 24 bits is.
    cases += [common | {"base": 8, "slab": slab, "tiles": 3} for slab in (*beyond, (1 << ADDRESS_BITS) - 8)]
    # The second group of rows.
    cases.append(common | {"base": top - 8, "slab": 4, "row": 7, "rows_last": 2, "tiles": 2})
    for op in cases:
        await begin(dut, op)
        while dut.outside.value == 0:
            await RisingEdge(dut.clk)
        for _ in range(10):
            assert dut.outside.value == 1 and dut.memory__cmd__valid.value == 0
            await RisingEdge(dut.clk)
        assert bench.partner.asked == list(takewhile(lambda at: at < top, bench.addresses(op))), op
        bench.partner.stop()
        bench.monitor.stop()
        await reset(dut)
        assert dut.outside.value == 0
        bench.renew(0.2)


@cocotb.test()
async def fetch_reset(dut: Any) -> None:
    """A reset at any moment leaves nothing behind."""
    bench = FetchBench(dut)
    await bench.begin(0.2)
    for _ in range(12):
        await begin(dut, operation(bench.rng, bench.rows, 2))
        for _ in range(bench.rng.randrange(1, 70)):
            await RisingEdge(dut.clk)
        bench.partner.stop()
        bench.monitor.stop()
        await reset(dut)
        assert dut.idle.value == 1 and dut.o__valid.value == 0
        bench.renew(0.2)
        await bench.check(operation(bench.rng, bench.rows, 2))
