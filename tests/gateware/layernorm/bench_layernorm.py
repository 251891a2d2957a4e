"""LayerNorm on groups of rows: results against `ILayerNorm` and `Rescale`, with stalls, resets and cycle counts."""

import random
from typing import Any

import cocotb
import numpy as np
import numpy.typing as npt
from cocotb.triggers import RisingEdge

from gateware.arith.dyadic import channel_layout
from gateware.layernorm.layernorm import constant_values
from sim.cocotb.bench import generator, parameters, reset, start
from sim.cocotb.streams import StreamMonitor, StreamSource, pack
from sim.reference.layernorm import ILayerNorm
from sim.reference.rescale import Dyadic, Rescale

IntArray = npt.NDArray[np.int64]
BITS = {"octets": 8, "high": 16, "low": 16}  # of the results whose octets leave


def beats(group: IntArray, bits: int) -> list[int]:
    """(4, C) to 128-bit beats of four lane words."""
    columns = 32 // bits
    words = []
    for start_channel in range(0, group.shape[1], columns):
        beat = 0
        for row in range(4):
            for column in range(columns):
                element = int(group[row, start_channel + column]) & ((1 << bits) - 1)
                beat |= element << (32 * row + bits * column)
        words.append(beat)
    return words


async def write_constants(dut: Any, norm: ILayerNorm, factor: Dyadic, multiplier_bits: int) -> None:
    layout = channel_layout(multiplier_bits)
    for channel, (bias, m, e) in enumerate(zip(norm.bias, factor.multiplier, factor.shift, strict=True)):
        dut.constants__addr.value = channel
        dut.constants__data.value = pack(layout, constant_values(int(bias), int(m), int(e), multiplier_bits))
        dut.constants__en.value = 1
        await RisingEdge(dut.clk)
    dut.constants__en.value = 0


def configure(dut: Any, channels: int, bits_in: int, out: str) -> None:
    dut.channels.value, dut.narrow.value, dut.wide.value = channels, bits_in == 8, BITS[out] == 16
    dut.low.value = out == "low"


def initial(dut: Any) -> None:
    dut.constants__en.value = 0
    configure(dut, 4, 16, "octets")


def tie(multiplier_bits: int, rng: random.Random) -> tuple[int, int, int]:
    """A bias, a multiplier and a shift: alone, as in rows without variance, the bias gives an odd half of few bits.

    A wrong bit anywhere in the product then shows.
    """
    factor = rng.randrange(1, 1 << rng.randrange(2, 9), 2)
    low = rng.randrange(multiplier_bits - factor.bit_length() + 1)
    number, places = rng.choice([1, 3, 5, -1, -3, -5]), rng.randrange(28)
    return number << places, rng.choice([1, -1]) * factor << low, low + places + 1


def random_constants(
    channels: int, multiplier_bits: int, bits_out: int, rng: random.Random
) -> tuple[ILayerNorm, Dyadic]:
    """Biases and rescales whose results fill the range of the output, with some far outside and ties among them."""
    bias = [rng.choice([0, 1, -1, rng.randrange(-(1 << 28), 1 << 28)]) for _ in range(channels)]
    bias[0], bias[-1] = (1 << 31) - 1, -(1 << 31) + 1
    magnitudes = [
        rng.choice([1 << (multiplier_bits - 1), rng.randrange(1 << (multiplier_bits - 1), 1 << multiplier_bits)])
        for _ in range(channels)
    ]
    multiplier = [magnitude * rng.choice([1, -1]) for magnitude in magnitudes]
    middle = 29 + multiplier_bits - bits_out
    edges = [0, 15, 16, 31, 32, 47, 48, 63, 64, 80, 96, 112, 127]
    shift = [
        rng.choice([middle - 2, middle, middle + 1, middle + 2, rng.randrange(0, 80), rng.choice(edges)])
        for _ in range(channels)
    ]
    for channel in range(1, channels - 1):
        kind = rng.random()
        if channel == 1 or kind < 0.4:
            bias[channel], multiplier[channel], shift[channel] = tie(multiplier_bits, rng)
        elif kind < 0.6:
            shift[channel] = middle - rng.randrange(1, 6)  # results up to 32 times what fits
    return ILayerNorm(np.array(bias), l1=parameters().get("l1", False)), Dyadic(np.array(multiplier), np.array(shift))


def random_group(channels: int, bits: int, rng: random.Random) -> IntArray:
    """Four rows: normal ones of some spread, and every extreme that a row can be."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    rows: list[list[int]] = []
    for _ in range(4):
        kind = rng.randrange(9)
        spread = rng.choice([1, 3, 40, high // 4, high])
        offset = rng.randrange(low, high + 1)
        row = {
            0: [low] * channels,
            1: [high] * channels,
            2: [low, high] * (channels // 2),
            3: [offset] * channels,
            4: [low] * (channels - 1) + [high],
            5: [offset] * (channels // 2) + [min(offset + 1, high)] * (channels // 2),  # a mean that is a tie
        }.get(kind) or [max(low, min(high, round(rng.gauss(offset // 4, spread)))) for _ in range(channels)]
        rows.append(row)
    return np.array(rows)


def square_row(channels: int, high: int, rng: random.Random) -> list[int]:
    """A row whose v is the square of an odd number, or two less: the root changes with v's last bits."""
    while True:
        less = rng.choice([0, 2])
        a, b = (rng.randrange(-high // 4, high // 4) for _ in range(2))
        c = np.arange(-high // 4, high // 4)
        d = 1 - a - b - c  # the mean is 0, and v odd
        v = a * a + b * b + c * c + d * d
        fits = np.flatnonzero((np.sqrt(v + less).round().astype(np.int64) ** 2 == v + less) & (v > 1))
        if len(fits):
            place = rng.choice(fits.tolist())
            row = [a, b, int(c[place]), int(d[place]), *[0] * (channels - 4)]
            rng.shuffle(row)
            return row


def extreme_groups(channels: int, bits: int, rng: random.Random) -> list[IntArray]:
    """Every kind of row at the edge: of the range, of the variance (none, the largest), and with one channel alone."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    anything, place = rng.randrange(low, high + 1), rng.randrange(channels)
    flat = [[value] * channels for value in (low, high, 0, anything)]
    split = [[low, high] * (channels // 2), [high] * (channels // 2) + [low] * (channels // 2)]
    single = []
    for at, one, others in ((0, high, 0), (channels - 1, low, 0), (place, high, low), (place, low, high)):
        single.append([one if channel == at else others for channel in range(channels)])
    ties = [[anything] * channels for _ in range(2)]  # means that end in a half
    for row, sign in zip(ties, (1, -1), strict=True):
        row[::2] = [min(high, max(low, anything + sign))] * (channels // 2)
    squares = [square_row(channels, high, rng) for _ in range(4)]
    rows = np.array(flat + split + single + ties + squares)
    return list(rows.reshape(-1, 4, channels))


def expected(groups: list[IntArray], norm: ILayerNorm, factor: Dyadic, out: str) -> list[int]:
    # Python integers: a 33-bit value times a 31-bit multiplier is at the edge of 64 bits, where `shift_rne` ends.
    rescale = Rescale(factor, BITS[out])
    result = []
    for group in groups:
        normalised = norm.apply(group)
        assert np.abs(normalised.astype(object) * factor.multiplier.astype(object)).max() < (1 << 63) - (1 << 61)
        whole = rescale.apply(normalised)
        result += beats({"octets": whole, "high": whole // 256, "low": whole % 256 - 128}[out], 8)
    return result


async def check(
    dut: Any,
    groups: list[IntArray],
    norm: ILayerNorm,
    factor: Dyadic,
    bits_in: int,
    out: str,
    stall: float,
    leaves: float | None = None,
) -> tuple[StreamSource, StreamMonitor]:
    """Groups through the unit, every beat compared; `leaves`: the stall of the results, where it is another."""
    settings = parameters()
    configure(dut, groups[0].shape[1], bits_in, out)
    await write_constants(dut, norm, factor, settings["multiplier_bits"])
    source = StreamSource(dut, "i", generator("source"), stall)
    monitor = StreamMonitor(dut, "o", generator("monitor"), stall if leaves is None else leaves)
    source.start([beat for group in groups for beat in beats(group, bits_in)])
    wanted = expected(groups, norm, factor, out)
    received = await monitor.wait(len(wanted))
    for index, (got, want) in enumerate(zip(received, wanted, strict=True)):
        assert got == want, f"beat {index} of {len(wanted)}: {got:#034x}, not {want:#034x}"
    for _ in range(4):
        await RisingEdge(dut.clk)
    assert dut.busy.value == 0, "busy after the last beat"
    monitor.stop()
    return source, monitor


@cocotb.test()
async def random_rows(dut: Any) -> None:
    """Every input and output width and several lengths, one operation after the other, with the given stalls."""
    settings = parameters()
    initial(dut)
    rng = generator("rows")
    await start(dut, cycles=400_000)
    longest, multiplier_bits = settings["max_channels"], settings["multiplier_bits"]
    for channels in (4, 8, longest, 4 * rng.randrange(2, longest // 4), longest):
        for bits_in, out in ((16, "octets"), (8, "octets"), (16, "high"), (8, "low"), (16, "low")):
            norm, factor = random_constants(channels, multiplier_bits, BITS[out], rng)
            groups = [random_group(channels, bits_in, rng) for _ in range(4 if channels < longest else 2)]
            await check(dut, groups, norm, factor, bits_in, out, settings["stall"])


@cocotb.test()
async def extremes(dut: Any) -> None:
    """Rows at every edge, of the given lengths."""
    settings = parameters()
    initial(dut)
    rng = generator("extremes")
    await start(dut, cycles=200_000)
    for number, channels in enumerate(settings["lengths"]):
        for bits_in, out in ((16, ("low", "octets")[number % 2]), (8, "high")):
            norm, factor = random_constants(channels, settings["multiplier_bits"], BITS[out], rng)
            groups = extreme_groups(channels, bits_in, rng)
            await check(dut, groups, norm, factor, bits_in, out, settings["stall"])


@cocotb.test()
async def results_wait(dut: Any) -> None:
    """Results that leave so slowly that the next group's statistics are ready first."""
    settings = parameters()
    initial(dut)
    rng = generator("wait")
    await start(dut, cycles=100_000)
    norm, factor = random_constants(8, settings["multiplier_bits"], 8, rng)
    groups = [random_group(8, 16, rng) for _ in range(5)]
    await check(dut, groups, norm, factor, 16, "octets", 0.0, leaves=0.997)


@cocotb.test()
async def golden_rows(dut: Any) -> None:
    """Rows and constants from a file."""
    settings = parameters()
    initial(dut)
    await start(dut, cycles=400_000)
    with np.load(settings["file"]) as vectors:
        for case in range(vectors["rows"].shape[0]):
            norm = ILayerNorm(vectors["bias"][case])
            factor = Dyadic(vectors["multiplier"][case], vectors["shift"][case])
            await check(dut, [vectors["rows"][case]], norm, factor, 16, "octets", 0.0)
            assert expected([vectors["rows"][case]], norm, factor, "octets") == beats(vectors["golden"][case], 8)


@cocotb.test()
async def reset_in_a_row(dut: Any) -> None:
    """A reset at any moment leaves nothing behind."""
    settings = parameters()
    initial(dut)
    rng = generator("reset")
    channels, multiplier_bits = settings["max_channels"], settings["multiplier_bits"]
    norm, factor = random_constants(channels, multiplier_bits, 8, rng)
    await start(dut, cycles=400_000)
    for moment in (1, 7, 2 * channels - 3, 2 * channels + 90, 4 * channels + rng.randrange(300), 6 * channels + 301):
        groups = [random_group(channels, 16, rng) for _ in range(4)]
        configure(dut, channels, 16, "octets")
        source = StreamSource(dut, "i", rng, 0.0)
        monitor = StreamMonitor(dut, "o", rng, 0.0)
        sending = source.start([beat for group in groups for beat in beats(group, 16)])
        for _ in range(moment):
            await RisingEdge(dut.clk)
        sending.cancel()
        monitor.stop()
        dut.i__valid.value = 0
        await reset(dut)
        assert dut.busy.value == 0
        await check(dut, groups[:2], norm, factor, 16, "octets", 0.0)


@cocotb.test()
async def throughput(dut: Any) -> None:
    """Sustained cycles a group, without stalls, are within the given limit; the latency is logged."""
    settings = parameters()
    initial(dut)
    rng = generator("throughput")
    channels = settings["channels"]
    norm, factor = random_constants(channels, settings["multiplier_bits"], 8, rng)
    await start(dut, cycles=400_000)
    groups = [random_group(channels, 16, rng) for _ in range(8)]
    source, monitor = await check(dut, groups, norm, factor, 16, "octets", 0.0)
    per_group = channels // 4
    firsts = monitor.times[::per_group]
    spans = [later - earlier for earlier, later in zip(firsts, firsts[1:], strict=False)]
    dut._log.info(
        "C=%d: %s cycles a group; first beat out %d cycles after the first in, last out %d after the last in",
        channels, spans, firsts[0] - source.sent[0], monitor.times[-1] - source.sent[-1],
    )  # fmt: skip
    assert max(spans) <= settings["limit"], spans
