"""ShiftGELU on groups of four rows: results against the reference's tables, with stalls, resets and cycle counts."""

from dataclasses import replace
from typing import Any

import cocotb
import numpy as np
from amaranth.hdl import signed
from amaranth.lib import data
from cocotb.triggers import RisingEdge

from sim.cocotb.bench import generator, parameters, reset, start
from sim.cocotb.streams import StreamMonitor, StreamSource, cycle, pack
from sim.reference.rounding import ceil_div
from tests.gateware.gelu.groups import (
    LEAST,
    Group,
    Layer,
    beats,
    every_value,
    expected,
    filling,
    gelu,
    random_group,
    random_layer,
    true_group,
)

MAXIMA = data.ArrayLayout(signed(8), 4)
QUICK_GROUP = 37  # cycles of a group whose rows hold the least value alone: two at a time pass the pipeline


def configure(dut: Any, layer: Layer, channels: int) -> None:
    assert channels % 4 == 0
    dut.x0.value, dut.multiplier.value, dut.shift.value = layer.x0, layer.multiplier, layer.shift
    dut.channels.value = channels


def initial(dut: Any) -> None:
    configure(dut, Layer(1, 1, 0), 4)
    dut.maxima__valid.value, dut.i__valid.value, dut.o__ready.value = 0, 0, 0


async def watch_busy(dut: Any, maxima: StreamSource, monitor: StreamMonitor, per_group: int) -> None:
    """A group is inside from the cycle after its maxima to its last beat."""
    while True:
        await RisingEdge(dut.clk)
        now = cycle()
        came = len(maxima.sent) - (maxima.sent[-1:] == [now])
        gone = len(monitor.times) - (monitor.times[-1:] == [now])
        assert dut.busy.value == 1 or gone >= came * per_group, "not busy with a group inside"


async def check(
    dut: Any, layer: Layer, groups: list[Group], stall: float, ahead: bool = False
) -> tuple[StreamSource, StreamMonitor]:
    """Groups of one length through the unit, every byte compared; the maxima's source, the results' monitor.

    With stalls, maxima come about when a group's tables can be built, or long before its beats with `ahead`.
    """
    channels = groups[0].rows.shape[1]
    configure(dut, layer, channels)
    maxima = StreamSource(dut, "maxima", generator("maxima"), stall and not ahead and 1 - (1 - stall) / 64)
    source = StreamSource(dut, "i", generator("source"), stall)
    monitor = StreamMonitor(dut, "o", generator("monitor"), stall)
    watching = cocotb.start_soon(watch_busy(dut, maxima, monitor, channels // 4))
    maxima.start([pack(MAXIMA, group.tops) for group in groups])
    source.start([beat for group in groups for beat in beats(group.rows)])
    wanted = expected(layer, groups)
    received = await monitor.wait(len(wanted))
    for index, (got, (want, matters)) in enumerate(zip(received, wanted, strict=True)):
        group, beat = divmod(index, channels // 4)
        assert (got ^ want) & matters == 0, (
            f"{layer}: group {group} of maxima {groups[group].tops}, beat {beat}: {got:#034x}, not {want:#034x}, "
            f"of {groups[group].rows[:, 4 * beat : 4 * beat + 4].tolist()}"
        )
    for _ in range(4):
        await RisingEdge(dut.clk)
    assert dut.o__valid.value == 0, "a beat after the last"
    assert dut.busy.value == 0, "busy after the last beat"
    monitor.stop()
    watching.cancel()
    return maxima, monitor


@cocotb.test()
async def every_maximum(dut: Any) -> None:
    """The whole table of each maximum."""
    initial(dut)
    rng = generator("maxima of rows")
    await start(dut, cycles=100_000)
    tops = list(range(LEAST, 128))
    rng.shuffle(tops)
    layer = Layer(rng.randrange(16, 32), *filling(rng))
    await check(dut, layer, [every_value(tops[first : first + 4], rng) for first in range(0, 256, 4)], 0.0)


@cocotb.test()
async def edge_tables(dut: Any) -> None:
    """Whole tables of extreme maxima, for scales from where the sum saturates to where nothing is clamped."""
    settings = parameters()
    initial(dut)
    rng = generator("edges")
    await start(dut, cycles=200_000)
    for shift, x0 in enumerate(settings["scales"]):
        some, large = rng.randrange(LEAST, 128), rng.randrange(64, 127)
        layer, other = Layer(x0, *filling(rng)), random_layer(x0, rng)
        await check(dut, layer, [every_value([LEAST, -1, 0, 127], rng)], 0.0)
        # With sixteen scales, every shift that leaves more than the sign.
        await check(dut, replace(other, shift=shift), [every_value([126, some, 1, large], rng)], 0.0)
        await check(dut, replace(other, shift=shift + 16), [every_value([LEAST + 1, LEAST, some, 127], rng)], 0.0)


@cocotb.test()
async def random_groups(dut: Any) -> None:
    """Random rows of several lengths, scales and factors, with the given stalls on all three streams."""
    settings = parameters()
    initial(dut)
    rng = generator("groups")
    await start(dut, cycles=400_000)
    least = 4 if settings["arithmetic"]["gelu"] == "polynomial" else 1
    for stall in settings["stalls"]:
        for channels, count in settings["lengths"]:
            layer = random_layer(
                rng.choice([least, least + 1, 255, rng.randrange(least, 256), rng.randrange(least + 2, 64)]), rng
            )
            await check(dut, layer, [random_group(channels, rng) for _ in range(count)], stall)


@cocotb.test()
async def quick_groups(dut: Any) -> None:
    """Tables of one entry each, the shortest groups: many rows are in the pipeline at once."""
    initial(dut)
    rng = generator("quick")
    await start(dut, cycles=20_000)
    least = [true_group(np.full((4, 4), LEAST)) for _ in range(24)]
    some = [true_group(np.full((4, 4), LEAST + rng.randrange(3))) for _ in range(24)]
    for stall in (0.0, 0.6):
        await check(dut, Layer(20, *filling(rng)), least + some, stall)
    _, monitor = await check(dut, Layer(20, *filling(rng)), least, 0.0)
    taken = monitor.times[-1] - monitor.times[0]
    dut._log.info("%d cycles for %d groups after the first", taken, len(least) - 1)
    assert taken <= parameters().get("quick_group", QUICK_GROUP) * (len(least) - 1), taken


@cocotb.test()
async def maxima_come_first(dut: Any) -> None:
    """A group's maxima are there long before its beats: no table is replaced before its group has been looked up."""
    initial(dut)
    rng = generator("first")
    await start(dut, cycles=50_000)
    for stall in (0.9, 0.98):
        await check(dut, random_layer(20, rng), [random_group(32, rng) for _ in range(6)], stall, ahead=True)


@cocotb.test()
async def values_above_the_maximum(dut: Any) -> None:
    """They disturb neither the other values of their row nor another row."""
    initial(dut)
    rng = generator("above")
    await start(dut, cycles=20_000)
    rows = np.array([[rng.randrange(LEAST, 128) for _ in range(64)] for _ in range(4)])
    groups = [Group([0, 127, -100, 50], rows), Group([-20, LEAST, 127, 127], rows), random_group(64, rng)]
    await check(dut, Layer(20, *filling(rng)), groups, 0.0)


@cocotb.test()
async def golden_rows(dut: Any) -> None:
    """Rows and their ShiftGELU from files."""
    settings = parameters()
    initial(dut)
    await start(dut, cycles=400_000)
    for file in settings["files"]:
        with np.load(file) as vectors:
            assert len(vectors["x0"]) > 0
            names = ("rows", "x0", "y", "multiplier", "shift")
            for rows, x0, y, multiplier, shift in zip(*(vectors[name] for name in names), strict=True):
                np.testing.assert_array_equal(gelu(int(x0)).apply(rows), y)
                await check(dut, Layer(int(x0), int(multiplier), int(shift)), [true_group(rows)], 0.0)


@cocotb.test()
async def reset_in_a_row(dut: Any) -> None:
    """A reset at any moment leaves nothing behind."""
    settings = parameters()
    initial(dut)
    rng = generator("reset")
    await start(dut, cycles=100_000)
    for moment in settings["moments"]:
        groups = [every_value([127, rng.randrange(LEAST, 128), 0, -100], rng) for _ in range(3)]
        layer = Layer(30, *filling(rng))
        configure(dut, layer, 256)
        maxima, source = StreamSource(dut, "maxima", rng), StreamSource(dut, "i", rng)
        monitor = StreamMonitor(dut, "o", rng, 0.3)
        sending = [
            maxima.start([pack(MAXIMA, group.tops) for group in groups]),
            source.start([beat for group in groups for beat in beats(group.rows)]),
        ]
        for _ in range(moment):
            await RisingEdge(dut.clk)
        for task in sending:
            task.cancel()
        monitor.stop()
        dut.maxima__valid.value, dut.i__valid.value = 0, 0
        await reset(dut)
        assert dut.busy.value == 0 and dut.o__valid.value == 0
        await check(dut, layer, [random_group(8, rng) for _ in range(3)], 0.0)


@cocotb.test()
async def throughput(dut: Any) -> None:
    """Cycles a group of full tables, sustained and without stalls: as stated, as is the latency."""
    settings = parameters()
    initial(dut)
    rng = generator("throughput")
    await start(dut, cycles=100_000)
    await check(dut, Layer(30, *filling(rng)), [random_group(8, rng)], 0.0)  # what x0 asks for is then at hand
    for channels, count, limit in settings["rates"]:
        groups = []
        for _ in range(count):
            full = every_value([127] * 4, rng).rows
            groups.append(Group([127] * 4, np.tile(full, (1, ceil_div(channels, 256)))[:, :channels]))
        maxima, monitor = await check(dut, Layer(30, *filling(rng)), groups, 0.0)
        firsts = monitor.times[:: channels // 4]
        spans = [later - earlier for earlier, later in zip(firsts, firsts[1:], strict=False)]
        latency = firsts[0] - maxima.sent[0]
        dut._log.info("C=%d: %s cycles a group; the first beat %d cycles after the maxima", channels, spans, latency)
        assert all(span <= limit for span in spans), spans
        assert all(4 * channels / span >= settings["least_rate"] for span in spans), spans
        assert latency == settings["latency"], latency
