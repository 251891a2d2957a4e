"""Row maxima against a model: a row that comes again soon, look-ups of what has just been updated, random traffic."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cocotb
from amaranth.hdl import signed
from amaranth.lib import data
from cocotb.triggers import RisingEdge

from sim.cocotb.bench import generator, parameters, reset, start
from sim.cocotb.streams import StreamMonitor, StreamSource, pack, unpack

MAXIMA = data.ArrayLayout(signed(8), 4)
EDGES = [-128, -127, -1, 0, 1, 126, 127]
DISTANCES = range(1, 9)
GROUP = 4


@dataclass(frozen=True)
class Update:
    """One cycle of the update port."""

    row: int
    fresh: bool
    values: list[int]


def update_layout() -> data.StructLayout:
    bits = (parameters()["max_rows"] - 1).bit_length()
    return data.StructLayout({"valid": 1, "fresh": 1, "row": bits, "values": MAXIMA})


class Model:
    """Follows the pins: what each row's maximum is, and what each look-up may give.

    A look-up that was taken counts every update up to its cycle; later ones count or not until it is answered.
    """

    def __init__(self, dut: Any) -> None:
        self.dut, self.layout = dut, update_layout()
        self.top = [0] * parameters()["max_rows"]
        self.asked: tuple[int, list[set[int]]] | None = None
        self.answers = 0
        cocotb.start_soon(self._run())

    async def _run(self) -> None:
        dut = self.dut
        while True:
            await RisingEdge(dut.clk)
            if dut.rst.value == 1:
                self.asked = None
                continue
            update = unpack(self.layout, int(dut.update.value))
            if update["valid"]:
                self._count(update)
            if dut.o__valid.value == 1:
                self._check(unpack(MAXIMA, int(dut.o__payload.value)), dut.o__ready.value == 1)
            if dut.group__valid.value == 1 and dut.group__ready.value == 1:
                assert self.asked is None, "a second group is taken before the first one's answer"
                group = int(dut.group__payload.value)
                self.asked = group, [{self.top[GROUP * group + row]} for row in range(GROUP)]

    def _count(self, update: dict[str, Any]) -> None:
        row, top = update["row"], max(update["values"])
        self.top[row] = top if update["fresh"] else max(top, self.top[row])
        if self.asked is not None and row // GROUP == self.asked[0] and self.dut.o__valid.value == 0:
            self.asked[1][row % GROUP].add(self.top[row])

    def _check(self, maxima: list[int], taken: bool) -> None:
        assert self.asked is not None, f"maxima {maxima} that nobody asked for"
        group, allowed = self.asked
        for lane, (maximum, expected) in enumerate(zip(maxima, allowed, strict=True)):
            assert maximum in expected, f"row {GROUP * group + lane}: {maximum}, not one of {sorted(expected)}"
        if taken:
            self.asked, self.answers = None, self.answers + 1


async def drive(dut: Any, updates: Iterable[Update | None]) -> None:
    """One update, or none, a cycle."""
    layout = update_layout()
    for update in updates:
        fields = {"valid": 0} if update is None else {"valid": 1, **vars(update)}
        dut.update.value = pack(layout, {"row": 0, "fresh": 0, "values": [0] * GROUP, **fields})
        await RisingEdge(dut.clk)
    dut.update.value = 0


def values(rng: random.Random, top: int) -> list[int]:
    """Four values, the greatest of which is `top`, at any place."""
    result = [top, rng.choice([-128, max(-128, top - 1), top]), *(rng.randint(-128, top) for _ in range(2))]
    rng.shuffle(result)
    return result


def any_top(rng: random.Random) -> int:
    return rng.choice([*EDGES, rng.randint(-128, 127), rng.randint(-128, 127)])


def filling(rng: random.Random) -> list[Update]:
    """Every row once, fresh."""
    rows = list(range(parameters()["max_rows"]))
    rng.shuffle(rows)
    return [Update(row, True, values(rng, any_top(rng))) for row in rows]


async def begin(dut: Any, cycles: int, stall: float = 0.0) -> tuple[Model, StreamSource, StreamMonitor]:
    dut.update.value = 0
    dut.group__valid.value, dut.group__payload.value, dut.o__ready.value = 0, 0, 0
    await start(dut, cycles)
    model = Model(dut)
    source = StreamSource(dut, "group", generator("group"), stall)
    return model, source, StreamMonitor(dut, "o", generator("o"), stall)


def repeated(rng: random.Random, distance: int, fresh: Sequence[bool]) -> tuple[int, list[Update | None]]:
    """A row that comes every `distance` cycles, with or without other rows between; its number, and the updates."""
    rows = parameters()["max_rows"]
    row, busy = rng.randrange(rows), rng.random() < 0.5
    updates: list[Update | None] = []
    for new in fresh:
        updates.append(Update(row, new, values(rng, any_top(rng))))
        for _ in range(distance - 1):
            other = (row + rng.randrange(1, rows)) % rows
            updates.append(Update(other, rng.random() < 0.3, values(rng, any_top(rng))) if busy else None)
    return row, updates


@cocotb.test()
async def a_row_comes_again(dut: Any) -> None:
    """Three updates of a row at each distance, each of them fresh or not, with all combinations of edge values."""
    rng = generator("again")
    model, source, monitor = await begin(dut, 200_000)
    await drive(dut, filling(rng))
    asked = 0
    for distance in DISTANCES:
        for pattern in range(8):
            for _ in range(parameters()["repeats"]):
                row, updates = repeated(rng, distance, [bool(pattern >> bit & 1) for bit in range(3)])
                await drive(dut, [*updates, *[None] * 4])
                await source.send([row // GROUP])
                asked += 1
                await monitor.wait(asked)
    assert model.answers == asked


@cocotb.test()
async def a_look_up_right_after_an_update(dut: Any) -> None:
    """Of each row of the group, updated 0 to 8 cycles before the group is taken, once or twice."""
    rng = generator("look-up")
    model, source, monitor = await begin(dut, 200_000)
    await drive(dut, filling(rng))
    asked = 0
    for gap in range(9):
        for lane in range(GROUP):
            for fresh in (False, True):
                for twice in (False, True):
                    group = rng.randrange(parameters()["max_rows"] // GROUP)
                    row = GROUP * group + lane
                    # From a low value to a high one, or, fresh, the other way: the older one is then seen.
                    updates = [Update(row, True, values(rng, 127 if fresh else -128)), *[None] * 4]
                    updates += [Update(row, fresh, values(rng, rng.randint(-100, 100)))] * (1 + twice)
                    driving = cocotb.start_soon(drive(dut, updates))
                    for _ in range(len(updates) - 1 + gap):
                        await RisingEdge(dut.clk)
                    await source.send([group])
                    asked += 1
                    await monitor.wait(asked)
                    await driving
                    assert asked < 2 or source.sent[-1] > source.sent[-2]
    assert model.answers == asked


@cocotb.test()
async def random_traffic(dut: Any) -> None:
    """Updates in most cycles, often of few rows, while groups are looked up; stalls on both streams."""
    settings = parameters()
    rng = generator("traffic")
    rows = settings["max_rows"]
    model, source, monitor = await begin(dut, 40 * settings["cycles"], settings["stall"])
    await drive(dut, filling(rng))
    groups = [rng.randrange(rows // GROUP) for _ in range(settings["cycles"] // 10)]
    asking = source.start(groups)
    while not asking.done():
        few, idle = rng.sample(range(rows), rng.choice([1, 2, 3, rows])), rng.choice([0.0, 0.1, 0.5])
        fresh = rng.choice([0.0, 0.1, 0.5])
        for _ in range(rng.randrange(1, 40)):
            quiet = rng.random() < idle
            update = Update(rng.choice(few), rng.random() < fresh, values(rng, any_top(rng)))
            await drive(dut, [None if quiet else update])
    await monitor.wait(len(groups))
    for group in range(rows // GROUP):
        await source.send([group])
    await monitor.wait(len(groups) + rows // GROUP)
    assert model.answers == len(groups) + rows // GROUP


@cocotb.test()
async def latency(dut: Any) -> None:
    """Six cycles to the answer where nothing is on its way, eight at most."""
    rng = generator("latency")
    _, source, monitor = await begin(dut, 10_000)
    await drive(dut, [*filling(rng), *[None] * 4])
    await source.send([0])
    await monitor.wait(1)
    assert monitor.times[0] - source.sent[0] == 6
    driving = cocotb.start_soon(drive(dut, [Update(1, False, values(rng, 5))] * 20))
    await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    await source.send([0])
    await monitor.wait(2)
    await driving
    assert monitor.times[1] - source.sent[1] == 8


@cocotb.test()
async def resets(dut: Any) -> None:
    """A reset in the midst of a look-up leaves nothing of it, and what comes in a reset is not counted."""
    rng = generator("resets")
    rows = parameters()["max_rows"]
    model, source, monitor = await begin(dut, 20_000)
    for moment in range(1, 12):
        await drive(dut, [*filling(rng), *[None] * 4])
        monitor.stop()
        await source.send([rng.randrange(rows // GROUP)])
        for _ in range(moment):
            await RisingEdge(dut.clk)
        dut.rst.value = 1
        await drive(dut, [Update(row, True, values(rng, any_top(rng))) for row in range(rng.randrange(1, rows))])
        await reset(dut)
        assert (dut.group__ready.value, dut.o__valid.value) == (1, 0), f"{moment} cycles after a group was taken"
        monitor = StreamMonitor(dut, "o", generator("o"))
        for count, group in enumerate(range(rows // GROUP), start=1):
            await source.send([group])
            await monitor.wait(count)
        assert monitor.times[0] - source.sent[1 - count - 1] == 6
    assert model.answers == 11 * (rows // GROUP)
