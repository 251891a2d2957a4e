"""The operand buffers and the row buffer: everything written stands where it belongs, in the cycles promised."""

import random
from dataclasses import dataclass
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from gateware.memory.operand_a import OperandA, beat_write_layout, word_write_layout
from gateware.memory.operand_b import OperandB, beat_store_layout
from sim.cocotb.bench import generator, parameters, reset, start
from sim.cocotb.streams import StreamSource, cycle, pack, unpack

STEPS = 8
MOST_ROWS = 2040  # of the rows that an address of twelve bits with a sign has
Bank = dict[tuple[int, int], list[int]]  # (bank, address): elements


@dataclass(frozen=True)
class Region:
    """Where an operand lies in every bank: a block of rows every ``stride`` words from ``base`` on."""

    base: int
    stride: int
    blocks: int

    @property
    def end(self) -> int:
        return self.base + self.blocks * self.stride + STEPS


PLAIN = Region(5, 9, 6)


def random_region(rng: random.Random, depth: int) -> Region:
    """One that leaves a quarter of the buffer free: of many blocks close together, or of few far apart."""
    room = 3 * depth // 4 - STEPS
    base = rng.randrange(min(room // 2, 64))
    stride = rng.choice([1, 2, rng.randrange(1, room - base), (room - base) // rng.randrange(2, 7)])
    return Region(base, stride, (room - base) // stride)


def random_beat(rng: random.Random, rows: int, region: Region = PLAIN) -> dict[str, int]:
    """Four rows, with the extremes among them: before row 0, after the limit, and across the banks' end."""
    last = min(region.blocks * rows, MOST_ROWS)
    return {
        "beat": rng.getrandbits(128),
        "k": rng.randrange(STEPS),
        "row": rng.choice([-3, -1, rows - 2, last - 4, rng.randrange(-3, last - 3), rng.randrange(-3, last - 3)]),
        "row_limit": rng.choice([0, last, rng.randrange(last // 2, last + 1), rng.randrange(last + 1)]),
        "base": region.base,
        "stride": region.stride,
    }


def places(beat: dict[str, int], rows: int) -> Bank:
    """Where the lanes of a beat belong."""
    elements = [byte - 256 * (byte > 127) for byte in beat["beat"].to_bytes(16, "little")]
    return {
        (row % rows, beat["base"] + row // rows * beat["stride"] + beat["k"]): elements[4 * lane : 4 * lane + 4]
        for lane, row in enumerate(range(beat["row"], beat["row"] + 4))
        if 0 <= row < beat["row_limit"]
    }


async def read_a(dut: Any, unit: OperandA, model: Bank) -> None:
    """Every address, one a cycle, as the sequencer reads."""
    addresses = sorted({address for _, address in model})
    for number in range(len(addresses) + 3):
        dut.address.value = addresses[min(number, len(addresses) - 1)]
        await RisingEdge(dut.clk)
        # An address takes effect in this cycle; its data is there in the cycle after the next.
        if number >= 2 and number - 2 < len(addresses):
            data = unpack(unit.signature.members["data"].shape, int(dut.data.value))
            for bank in range(unit.rows):
                expected = model.get((bank, addresses[number - 2]))
                assert expected is None or data[bank] == expected, f"bank {bank}, address {addresses[number - 2]}"


async def write_a(
    dut: Any, unit: OperandA, count: int, stalls: tuple[float, float], model: Bank, rng: random.Random
) -> None:
    """Beats and words at the same time; words go above the beats' region. Returns when all can be read."""
    rng = generator("a")
    region = random_region(rng, unit.depth)
    beats = [random_beat(rng, unit.rows, region) for _ in range(count)]
    words: list[dict[str, Any]] = [
        {
            "word": [rng.randrange(-128, 1 << (unit.x_width - 1)) for _ in range(4)],
            "bank": rng.randrange(unit.rows),
            "address": rng.randrange(region.end, unit.depth),
        }
        for _ in range(count)
    ]
    for beat in beats:
        model.update(places(beat, unit.rows))
    for word in words:
        model[word["bank"], word["address"]] = word["word"]
    source = StreamSource(dut, "beat", generator("beats"), stalls[0])
    other = StreamSource(dut, "word", generator("words"), stalls[1])
    sending = source.start([pack(beat_write_layout(unit.depth), beat) for beat in beats])
    sending_words = other.start([pack(word_write_layout(unit.rows, unit.depth, unit.x_width), word) for word in words])
    await sending
    await sending_words
    for _ in range(OperandA.WRITE_LATENCY - 1):
        await RisingEdge(dut.clk)


def idle_a(dut: Any) -> None:
    dut.beat__valid.value, dut.word__valid.value, dut.address.value = 0, 0, 0


@cocotb.test()
async def operand_a(dut: Any) -> None:
    """Random stalls on both streams; then beats alone, one a cycle."""
    settings = parameters()
    unit, model, rng = OperandA(**settings["unit"]), Bank(), generator("a")
    idle_a(dut)
    await start(dut, cycles=20_000)
    for stalls in ((0.5, 0.5), (0.0, 0.8), (0.7, 0.0), (0.0, 0.98)):
        for _ in range(2):  # regions
            await write_a(dut, unit, settings["count"] // 2, stalls, model, rng)
        await read_a(dut, unit, model)
    source = StreamSource(dut, "beat")
    beats = [random_beat(rng, unit.rows) for _ in range(40)]
    await source.send([pack(beat_write_layout(unit.depth), beat) for beat in beats])
    assert source.sent[-1] - source.sent[0] == len(beats) - 1, "a beat a cycle is promised"
    for beat in beats:
        model.update(places(beat, unit.rows))
    for _ in range(OperandA.WRITE_LATENCY - 1):
        await RisingEdge(dut.clk)
    await read_a(dut, unit, model)


@cocotb.test()
async def reset_of_operand_a(dut: Any) -> None:
    """A reset among beats: those already in a bank stay, those on their way are gone."""
    settings = parameters()
    unit = OperandA(**settings["unit"])
    layout = beat_write_layout(unit.depth)
    idle_a(dut)
    rng = generator("reset")
    await start(dut, cycles=20_000)
    source = StreamSource(dut, "beat", rng)
    fields = {"row_limit": 6 * unit.rows, "base": PLAIN.base, "stride": PLAIN.stride}
    beats = [
        {"beat": rng.getrandbits(128), "k": k, "row": row} | fields
        for k in range(STEPS)
        for row in range(0, 6 * unit.rows, 4)
    ]
    model: Bank = {}
    for beat in beats:
        model.update(places(beat, unit.rows))
    await source.send([pack(layout, beat) for beat in beats])
    for _ in range(OperandA.WRITE_LATENCY):
        await RisingEdge(dut.clk)
    source.stall = 0.2
    for pause in range(1, 20):
        beats, source.sent = [random_beat(rng, unit.rows) for _ in range(20)], []
        sending = source.start([pack(layout, beat) for beat in beats])
        for _ in range(pause):
            await RisingEdge(dut.clk)
        sending.cancel()
        idle_a(dut)
        dut.rst.value = 1
        await RisingEdge(dut.clk)
        ended = cycle()
        dut.rst.value = 0
        # Five registers lie between a beat and its bank.
        for beat, taken in zip(beats, source.sent, strict=False):
            if taken <= ended - 5:
                model.update(places(beat, unit.rows))
        for _ in range(OperandA.WRITE_LATENCY):
            await RisingEdge(dut.clk)
        await read_a(dut, unit, model)


@cocotb.test()
async def operand_b(dut: Any) -> None:
    """Two writers at once, each with its own addresses; a beat a cycle when both have something; then a reset."""
    settings = parameters()
    depth = OperandB(**settings["unit"]).depth
    layout = beat_store_layout(depth)
    dut.address.value = 0
    sources = [StreamSource(dut, f"write__{index}", generator(f"writer {index}")) for index in range(2)]
    await start(dut, cycles=20_000)
    rng = generator("beats")
    model: dict[int, int] = {}
    for stalls in ((0.0, 0.0), (0.5, 0.5), (0.0, 0.9), (0.9, 0.0)):
        tasks = []
        before = [len(source.sent) for source in sources]
        for index, (source, stall) in enumerate(zip(sources, stalls, strict=True)):
            source.stall = stall
            writes = [(2 * rng.randrange(depth // 2) + index, rng.getrandbits(128)) for _ in range(settings["count"])]
            model.update(writes)
            tasks.append(source.start([pack(layout, {"address": at, "beat": beat}) for at, beat in writes]))
        for task in tasks:
            await task
        if stalls == (0.0, 0.0):
            times = sorted(time for source, seen in zip(sources, before, strict=True) for time in source.sent[seen:])
            assert times == list(range(times[0], times[0] + 2 * settings["count"])), "one of two writers every cycle"
        for _ in range(OperandB.WRITE_LATENCY - 1):
            await RisingEdge(dut.clk)
        await read_b(dut, model)
    # A writer alone: a beat a cycle, once it has its turn.
    for index in (1, 0, 1):
        began, sources[index].stall = len(sources[index].sent), 0.0
        alone = [(2 * rng.randrange(depth // 2) + index, rng.getrandbits(128)) for _ in range(20)]
        model.update(alone)
        await sources[index].send([pack(layout, {"address": at, "beat": beat}) for at, beat in alone])
        times = sources[index].sent[began:]
        assert times[-1] - times[0] == 19, f"writer {index} alone"
    for _ in range(OperandB.WRITE_LATENCY - 1):
        await RisingEdge(dut.clk)
    await reset(dut)
    assert (dut.write__0__ready.value, dut.write__1__ready.value) == (1, 0), "writer 0 goes first after a reset"
    await read_b(dut, model)


async def read_b(dut: Any, model: dict[int, int]) -> None:
    addresses = sorted(model)
    for number in range(len(addresses) + 2):
        dut.address.value = addresses[min(number, len(addresses) - 1)]
        await RisingEdge(dut.clk)
        if number >= 2:
            assert int(dut.data.value) == model[addresses[number - 2]], f"address {addresses[number - 2]}"


@cocotb.test()
async def row_buffer(dut: Any) -> None:
    """Random writes and reads against a queue, from empty to full and back, through the ring's end and resets."""
    settings = parameters()
    depth, width = settings["unit"]["depth"], settings["unit"]["width"]
    rng = generator("ring")
    dut.write.value, dut.read.value, dut.word.value = 0, 0, 0
    await start(dut, cycles=20_000)
    queue: list[int] = []
    taken: int | None = None
    seen_full = seen_empty = 0
    for turn in range(settings["count"]):
        # Seasons of mostly writes and of mostly reads, so that it is full and empty often.
        writing = rng.random() < (0.9 if turn // (2 * depth) % 2 == 0 else 0.3)
        reading = bool(queue) and rng.random() < (0.3 if turn // (2 * depth) % 2 == 0 else 0.9)
        word, restart = rng.getrandbits(width), rng.random() < 0.01
        dut.write.value, dut.read.value, dut.word.value, dut.rst.value = writing, reading, word, restart
        await RisingEdge(dut.clk)
        assert int(dut.level.value) == len(queue), f"cycle {turn}"
        assert int(dut.writable.value) == (len(queue) < depth), f"cycle {turn}"
        if taken is not None:
            assert int(dut.data.value) == taken, f"cycle {turn}"
        seen_full += len(queue) == depth
        seen_empty += not queue
        room = len(queue) < depth
        if restart:
            queue.clear()
            taken = None
            continue
        if reading:
            taken = queue.pop(0)
        if writing and room:
            queue.append(word)
    assert seen_full > 20 and seen_empty > 20, f"full in {seen_full} cycles, empty in {seen_empty}"
