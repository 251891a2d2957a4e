"""The postprocessor against `Rescale` and `ResidualAdd`: every mode, stalls, a reset in a tile, cycle counts."""

import random
from typing import Any

import cocotb
import numpy as np
from amaranth.hdl import signed
from amaranth.lib import data
from cocotb.triggers import ReadOnly, RisingEdge

from gateware.arith.dyadic import channel_layout, dyadic_layout
from gateware.config import LANES
from gateware.isa import PostMode
from gateware.postprocess.layouts import rescaled_row_layout, tile_job_layout
from sim.cocotb.bench import generator, parameters, reset, start
from sim.cocotb.streams import StreamMonitor, StreamSource, cycle, pack, unpack
from tests.gateware.postprocess.tiles import Tile, random_tile

STREAMS = ("job", "acc", "constants", "skip")


class Bench:
    """Sources of all streams, which stall, and the monitor, which ``leaves`` stalls; for tiles one after the other."""

    def __init__(self, dut: Any, stall: float, leaves: float | None = None) -> None:
        settings = parameters()
        self.dut, self.rows = dut, settings["rows"]
        self.acc_width, self.bits = settings["acc_width"], settings["multiplier_bits"]
        self.sources = {name: StreamSource(dut, name, generator(name), stall) for name in STREAMS}
        self.monitor = StreamMonitor(dut, "o", generator("o"), stall if leaves is None else leaves)
        self.tasks: list[Any] = []

    def begin(self, tiles: list[Tile]) -> None:
        job, record = tile_job_layout(self.rows), channel_layout(self.bits)
        numbers = data.ArrayLayout(signed(self.acc_width), LANES)
        shorts = data.ArrayLayout(signed(16), LANES)
        payloads: dict[str, list[int]] = {name: [] for name in STREAMS}
        for tile in tiles:
            payloads["acc"] += [pack(numbers, row.tolist()) for row in tile.acc]
            payloads["constants"] += [
                pack(record, {"bias": int(b), "multiplier": int(m), "shift": int(e)})
                for b, m, e in zip(tile.bias, tile.multiplier, tile.shift, strict=True)
            ]
            payloads["job"].append(
                pack(
                    job,
                    {
                        "mode": tile.mode.value,
                        "clamp_packed": tile.clamp_packed,
                        "int8": tile.int8,
                        "rows": tile.rows,
                    },
                )
            )
            if tile.mode == PostMode.RESIDUAL:
                payloads["skip"] += [pack(shorts, row.tolist()) for row in tile.skip[: tile.rows]]
        self.tasks = [self.sources[name].start(payloads[name]) for name in STREAMS]
        self.tasks.append(cocotb.start_soon(self._factors(tiles)))

    async def _factors(self, tiles: list[Tile]) -> None:
        """Each tile's residual factors are there with its job, and replaced right after it was taken."""
        layout = dyadic_layout(self.bits)
        for tile in tiles:
            for port, (m, e) in ((self.dut.branch, tile.branch_factor), (self.dut.skip_factor, tile.skip_factor)):
                port.value = pack(layout, {"multiplier": m, "shift": e})
            while True:
                await RisingEdge(self.dut.clk)
                if self.dut.job__valid.value == 1 and self.dut.job__ready.value == 1:
                    break

    def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        self.monitor.stop()
        for name in STREAMS:
            getattr(self.dut, f"{name}__valid").value = 0

    async def check(self, tiles: list[Tile]) -> None:
        self.begin(tiles)
        layout = rescaled_row_layout(self.rows)
        found = await self.monitor.wait(sum(tile.rows for tile in tiles))
        position = 0
        for number, tile in enumerate(tiles):
            for row, wanted in enumerate(tile.results()):
                got = unpack(layout, found[position])
                assert isinstance(got, dict)
                position += 1
                mask, shown = tile.masked(), got.pop("masked")
                assert mask is None or shown == sum(1 << c for c in range(LANES) if mask[row, c]), (
                    f"mask of tile {number}"
                )
                expected = {
                    "data": wanted.tolist(),
                    "row": row,
                    "last": int(row == tile.rows - 1),
                    "mode": tile.mode.value,
                }
                assert got == expected, f"tile {number} of {len(tiles)}, row {row}: {got}, not {expected}; {tile}"
        for task in self.tasks:
            await task
        for _ in range(40):
            await RisingEdge(self.dut.clk)
        assert len(self.monitor.received) == position, "more results than rows"
        self.monitor.stop()


async def begin(dut: Any, cycles: int = 400_000) -> None:
    dut.branch.value = 0
    dut.skip_factor.value = 0
    for name in STREAMS:
        getattr(dut, f"{name}__valid").value = 0
    dut.o__ready.value = 0
    await start(dut, cycles)


def tiles_of(rng: random.Random, count: int, mode: PostMode | None = None) -> list[Tile]:
    settings = parameters()
    return [
        random_tile(rng, settings["rows"], settings["acc_width"], settings["multiplier_bits"], mode)
        for _ in range(count)
    ]


@cocotb.test()
async def random_tiles(dut: Any) -> None:
    """All modes in turn, with and without stalls."""
    await begin(dut)
    for stall in parameters()["stalls"]:
        await Bench(dut, stall).check(tiles_of(generator(f"tiles {stall}"), parameters()["tiles"]))


@cocotb.test()
async def slow_neighbours(dut: Any) -> None:
    """Rows that come one by one through the empty lanes, and results that pile up until no row may enter."""
    await begin(dut)
    rng = generator("slow")
    for comes, leaves in ((0.95, 0.0), (0.0, 0.95), (0.8, 0.9)):
        tiles = [*tiles_of(rng, 2, PostMode.RESIDUAL), *tiles_of(rng, 4), *tiles_of(rng, 1, PostMode.RESIDUAL)]
        await Bench(dut, comes, leaves).check(tiles)


@cocotb.test()
async def reset_in_a_tile(dut: Any) -> None:
    """A reset at any moment leaves nothing behind."""
    await begin(dut)
    rng = generator("reset")
    for mode in PostMode:
        for moment in (1, 9, 14, 26, rng.randrange(60)):
            bench = Bench(dut, 0.0)
            bench.begin(tiles_of(rng, 4, mode))
            for _ in range(moment):
                await RisingEdge(dut.clk)
            bench.stop()
            await reset(dut)
            await Bench(dut, 0.0).check(tiles_of(rng, 2))


@cocotb.test()
async def throughput(dut: Any) -> None:
    """Cycles a tile, with nothing stalling, and from a row to its result."""
    settings = parameters()
    await begin(dut)
    rng, rows = generator("throughput"), settings["rows"]
    for mode in PostMode:
        tiles = tiles_of(rng, 1, mode) * 8
        while tiles[0].rows != rows:
            tiles = tiles_of(rng, 1, mode) * 8
        bench = Bench(dut, 0.0)
        await bench.check(tiles)
        times, taken = bench.monitor.times, bench.sources["acc"].sent
        latency, per_tile = times[0] - taken[0], np.diff(times[::rows]).tolist()
        dut._log.info("%s: %s cycles a tile, latency %d", mode.name, per_tile, latency)
        if mode == PostMode.RESIDUAL:
            assert max(per_tile) <= settings["residual_limit"], per_tile
        else:
            assert set(per_tile) == {rows}, per_tile
            assert latency == (3 if mode == PostMode.RAW else settings["latency"]), latency


@cocotb.test()
async def golden(dut: Any) -> None:
    """Operands, constants and results from a file: (cases, rows, 4) numbers, constants one a column."""
    settings = parameters()
    await begin(dut, 1_000_000)
    rows = settings["rows"]
    with np.load(settings["file"]) as vectors:
        z = dict(vectors)
    tiles = []
    for case in range(len(z["acc"])):
        valid = z["acc"][case].shape[0]
        acc = np.zeros((rows, LANES), np.int64)
        acc[:valid] = z["acc"][case]
        skip = np.zeros((rows, LANES), np.int64)
        skip[:valid] = z["skip"][case]
        tiles.append(
            Tile(
                PostMode(settings["mode"]),
                False,
                False,
                acc,
                valid,
                np.zeros(LANES, np.int64),
                z["multiplier"][case],
                z["shift"][case],
                skip,
                (int(z["branch"][case, 0]), int(z["branch"][case, 1])),
                (int(z["factor"][case, 0]), int(z["factor"][case, 1])),
            )  # fmt: skip
        )
        np.testing.assert_array_equal(tiles[-1].results(), z["golden"][case])
    await Bench(dut, 0.0).check(tiles)


@cocotb.test()
async def ready_is_registered(dut: Any) -> None:
    """No ready of an input follows the output's ready within a cycle."""
    await begin(dut)
    bench = Bench(dut, 0.0)
    bench.monitor.stop()
    bench.begin(tiles_of(generator("ready"), 8))
    began, rng = cycle(), generator("toggle")
    while cycle() - began < 300:
        await RisingEdge(dut.clk)
        before = []
        for level in (0, 1):
            dut.o__ready.value = level
            await ReadOnly()
            before.append([int(getattr(dut, f"{name}__ready").value) for name in STREAMS])
            await cocotb.triggers.Timer(1, "ns")
        assert before[0] == before[1], before
        dut.o__ready.value = rng.randrange(2)
    bench.stop()
