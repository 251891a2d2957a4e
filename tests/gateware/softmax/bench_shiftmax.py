"""Shiftmax on blocks of rows: results against the reference's, with stalls, resets and cycle counts."""

import random
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from gateware.softmax.shiftmax import job_layout, probability_layout
from sim.cocotb.bench import generator, parameters, reset, start
from sim.cocotb.streams import StreamMonitor, StreamSource, cycle, pack, unpack
from sim.reference.arithmetic import Arithmetic
from sim.reference.rounding import ceil_div
from sim.reference.shiftexp import ShiftExp
from sim.reference.shiftmax import Shiftmax
from tests.gateware.softmax.score_blocks import (
    Block,
    expected,
    one_hot_block,
    random_block,
    score_words,
    tight_block,
)


def initial(dut: Any) -> None:
    dut.scores__valid.value = 0
    dut.scores__length.value = 0
    dut.job__valid.value = 0
    dut.o__ready.value = 0


async def write_block(dut: Any, half: int, block: Block, rng: random.Random, stall: float) -> None:
    length = block.scores.shape[1]
    dut.scores__half.value = half
    for row, word, data, mask in score_words(block, rng):
        while stall and rng.random() < stall:
            await RisingEdge(dut.clk)
        dut.scores__row.value, dut.scores__word.value = row, word
        dut.scores__data.value, dut.scores__mask.value = data, mask
        dut.scores__valid.value, dut.scores__length.value = 1, length
        await RisingEdge(dut.clk)
        # The length belongs to its word: in any other cycle it is another.
        dut.scores__valid.value, dut.scores__length.value = 0, rng.randint(0, parameters()["max_length"])


async def count_jobs(dut: Any, finished: list[int]) -> None:
    while True:
        await RisingEdge(dut.clk)
        if dut.done.value == 1:
            finished.append(cycle())


async def check(dut: Any, blocks: list[Block], rng: random.Random, stall: float) -> tuple[StreamMonitor, list[int]]:
    """Writes blocks as soon as their half is free, and compares every word. The monitor, and when jobs were taken."""
    settings = parameters()
    layout = job_layout(settings["rows"], settings["max_length"], settings["x0_bits"])
    results = probability_layout(settings["rows"], settings["max_length"], settings["bits"])
    source = StreamSource(dut, "job", rng, 0.0)
    monitor = StreamMonitor(dut, "o", generator("monitor"), stall)
    finished: list[int] = []
    counting = cocotb.start_soon(count_jobs(dut, finished))

    async def write() -> None:
        for index, block in enumerate(blocks):
            while index - len(finished) >= 2:
                await RisingEdge(dut.clk)
            await write_block(dut, index % 2, block, rng, stall)
            rows, length = block.scores.shape
            job = {"half": index % 2, "rows": rows, "length": length, "x0": block.x0}
            await source.send([pack(layout, job)])

    writing = cocotb.start_soon(write())
    wanted = [(number, word) for number, block in enumerate(blocks) for word in expected(block, settings)]
    received = await monitor.wait(len(wanted))
    for bits, (number, want) in zip(received, wanted, strict=True):
        got = unpack(results, bits)
        assert got == want, f"block {number} (x0 {blocks[number].x0}): {got}, not {want}"
    await writing
    for _ in range(8):
        await RisingEdge(dut.clk)
    assert len(finished) == len(blocks), f"done {len(finished)} times for {len(blocks)} jobs"
    assert dut.o__valid.value == 0, "a word after the last"
    monitor.stop()
    counting.cancel()
    return monitor, source.sent


@cocotb.test()
async def random_blocks(dut: Any) -> None:
    """Random rows, row counts, lengths, scales and masks, with the given stalls."""
    settings = parameters()
    initial(dut)
    rng = generator("blocks")
    await start(dut, cycles=400_000)
    rows, longest, largest = settings["rows"], settings["max_length"], (1 << settings["x0_bits"]) - 1
    for stall in settings["stalls"]:
        blocks = []
        for _ in range(settings["blocks"]):
            length = rng.choice([1, 2, 3, 4, 5, longest, rng.randrange(1, longest + 1)])
            x0 = rng.choice([1, 2, 3, largest, rng.randrange(1, largest + 1), rng.randrange(1, 64)])
            blocks.append(random_block(rng.choice([1, 2, rows, rows]), length, x0, rng, rng.choice([0, 0, 0.2, 0.9])))
        blocks += [one_hot_block(rows, column) for column in rng.sample(range(8), 4)]
        await check(dut, blocks, rng, stall)


@cocotb.test()
async def edge_rows(dut: Any) -> None:
    """Every difference from the maximum, the extremes, and sums around 2^30 and 2^31."""
    settings = parameters()
    initial(dut)
    rng = generator("edges")
    await start(dut, cycles=400_000)
    longest, largest = settings["max_length"], (1 << settings["x0_bits"]) - 1
    one_hot = np.full(longest, -128)
    one_hot[-1] = 127
    special = [np.full(longest, -128), np.full(longest, 127), one_hot, np.arange(longest) % 256 - 128]
    unmasked = np.zeros((len(special), longest), dtype=bool)
    blocks = []
    whole = {(1 << exponent) // longest for exponent in (15, 16)}  # the sums of `longest` equal scores: 2^30, 2^31
    for x0 in sorted({1, 7, 24, 255, 511, 512, largest} | {x0 + more for x0 in whole for more in (-1, 0, 1)}):
        if x0 <= largest:
            blocks.append(Block(np.array(special), unmasked, x0))
    for length in (1, 2, 3, 4, 5):
        blocks.append(Block(np.array(special)[:, -length:], unmasked[:, :length], 24))
    # The largest scores are masked, in every column of a word: a maximum must not see them.
    scores, masked = np.full((settings["rows"], 8), -100), np.zeros((settings["rows"], 8), dtype=bool)
    for row in range(settings["rows"]):
        scores[row, row % 8], masked[row, row % 8] = 127, True
    blocks.append(Block(scores, masked, 24))
    await check(dut, blocks, rng, 0.0)


@cocotb.test()
async def tight_rows(dut: Any) -> None:
    """Rows whose rounding hangs on the last bits of the sum and of the quotient."""
    settings = parameters()
    initial(dut)
    rng = generator("tight")
    await start(dut, cycles=400_000)
    if Arithmetic(**settings["arithmetic"]).softmax != "shift":
        return
    blocks = [tight_block(settings["rows"], settings, rng) for _ in range(6)]
    await check(dut, [block for block in blocks if block is not None], rng, 0.0)


@cocotb.test()
async def golden_rows(dut: Any) -> None:
    """Rows from files."""
    settings = parameters()
    initial(dut)
    rng = generator("golden")
    await start(dut, cycles=400_000)
    arithmetic = Arithmetic(**settings["arithmetic"])
    blocks = []
    for file in settings["files"]:
        with np.load(file) as vectors:
            assert len(vectors["x0"]) > 0
            for scores, x0, golden in zip(vectors["scores"], vectors["x0"], vectors["golden"], strict=True):
                exponential = ShiftExp(int(x0), arithmetic.softmax_n)
                reference = Shiftmax(exponential, settings["bits"], arithmetic.softmax_half_up).apply(scores)
                np.testing.assert_array_equal(reference, golden)
                blocks.append(Block(scores, np.zeros(scores.shape, dtype=bool), exponential.step))
    await check(dut, blocks, rng, 0.0)


@cocotb.test()
async def reset_in_a_row(dut: Any) -> None:
    """A reset at any moment leaves nothing behind."""
    settings = parameters()
    initial(dut)
    rng = generator("reset")
    rows, longest = settings["rows"], settings["max_length"]
    layout = job_layout(rows, longest, settings["x0_bits"])
    await start(dut, cycles=400_000)
    for moment in (1, 9, 31, longest // 2 + 13, longest // 2 + 40, rng.randrange(longest, 3 * longest)):
        block = random_block(rows, longest, 30, rng, 0.1)
        await write_block(dut, 0, block, rng, 0.0)
        source = StreamSource(dut, "job", rng, 0.0)
        monitor = StreamMonitor(dut, "o", rng, 0.3)
        sending = source.start([pack(layout, {"half": 0, "rows": rows, "length": longest, "x0": 30})])
        for _ in range(moment):
            await RisingEdge(dut.clk)
        sending.cancel()
        monitor.stop()
        dut.job__valid.value = 0
        await reset(dut)
        assert dut.o__valid.value == 0
        await check(dut, [random_block(2, 9, 5, rng, 0.0)], rng, 0.0)


@cocotb.test()
async def senseless_jobs(dut: Any) -> None:
    """Jobs of no rows, no scores, scale 0 or masked rows end, and what follows is right."""
    settings = parameters()
    initial(dut)
    rng = generator("senseless")
    await start(dut, cycles=400_000, breaks="ReciprocalDivider: the quotient fits its bits")
    rows, longest = settings["rows"], settings["max_length"]
    layout = job_layout(rows, longest, settings["x0_bits"])
    blank = Block(np.zeros((rows, 8), dtype=np.int64), np.ones((rows, 8), dtype=bool), 1)
    await write_block(dut, 0, blank, rng, 0.0)
    finished: list[int] = []
    counting = cocotb.start_soon(count_jobs(dut, finished))
    sane = {"half": 0, "rows": rows, "length": 8, "x0": 1}
    jobs = [{**sane, **changes} for changes in ({}, {"rows": 0}, {"length": 0}, {"x0": 0})]
    source = StreamSource(dut, "job", rng, 0.0)
    dut.o__ready.value = 1
    await source.send([pack(layout, job) for job in jobs])
    while len(finished) < len(jobs):  # the watchdog ends this
        await RisingEdge(dut.clk)
    counting.cancel()
    await check(dut, [random_block(rows, 9, 5, rng, 0.0) for _ in range(3)], rng, 0.0)


@cocotb.test()
async def throughput(dut: Any) -> None:
    """Cycles a row, sustained and without stalls, are within the limit, and the latency is as stated."""
    settings = parameters()
    initial(dut)
    rng = generator("throughput")
    await start(dut, cycles=400_000)
    await check(dut, [random_block(2, 4, 30, rng, 0.0)], rng, 0.0)  # afterwards nothing has to be made ready for x0
    for length, limit in settings["rates"]:
        block = random_block(settings["rows"], length, 30, rng, 0.0)
        monitor, accepted = await check(dut, [block], rng, 0.0)
        words = ceil_div(length, 4) * (1 if settings["bits"] <= 10 else 2)
        firsts = monitor.times[::words]
        spans = [later - earlier for earlier, later in zip(firsts, firsts[1:], strict=False)]
        dut._log.info(
            "length %d: %s cycles a row; the job's first word after %d cycles, its last after %d",
            length, spans, firsts[0] - accepted[0], monitor.times[-1] - accepted[0],
        )  # fmt: skip
        assert max(spans) <= limit, spans
        assert firsts[0] - accepted[0] == 2 * ceil_div(length, 4) + settings["latency"]
