"""Fetch: every word reaches its queue in order, and each error is told, and only then."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from gateware.config import config
from gateware.control.fetch import ENGINES
from gateware.isa import Engine, Op, encode, register
from sim.cocotb.bench import generator, parameters, reset, start
from sim.cocotb.streams import StreamMonitor
from tests.gateware.memory.read_partner import ReadPartner

ERRORS = ("illegal", "mismatch", "wrapped")


def control(name: str, value: int) -> int:
    return encode(Engine.CONTROL, register(Engine.CONTROL, name).number, value)


class Bench:
    """Fetch with a program in its memory, and a watch on the pins that tell what happens."""

    def __init__(self, dut: Any) -> None:
        self.dut, self.config = dut, config(parameters()["config"])
        self.size = 1 << self.config.address_bits
        self.memory: dict[int, int] = {}
        self.rng = generator("fetch")
        self.transfers = 0
        self.monitors: list[StreamMonitor] = []
        self.partner: ReadPartner

    async def begin(self, stall: float) -> None:
        self.stall = stall
        self.dut.start.value = self.dut.program.value = 0
        self.partner = self._partner()
        for index in range(len(ENGINES)):
            getattr(self.dut, f"queues__{index}__ready").value = 0
        await start(self.dut, 60_000)
        cocotb.start_soon(self._watch())

    def _partner(self) -> ReadPartner:
        # Where no program is, there are ENDs, which end a program that has not begun with an error.
        content = (1 << 128) - 1
        return ReadPartner(self.dut, "memory", lambda at: self.memory.get(at, content), generator("memory"), self.stall)

    async def _watch(self) -> None:
        while True:
            await RisingEdge(self.dut.clk)
            moves, waits = self.dut.transfer.value == 1, self.dut.stalled.value == 1
            assert not (moves and waits), "a word goes and waits"
            self.transfers += moves

    def put(self, words: list[int], at: int) -> None:
        padded = words + [0] * (-len(words) % 4)
        for index in range(0, len(padded), 4):
            beat = sum(word << 32 * place for place, word in enumerate(padded[index : index + 4]))
            self.memory[(at + index // 4) % self.size] = beat

    async def restart(self) -> None:
        for monitor in self.monitors:
            monitor.stop()
        self.partner.stop()
        await reset(self.dut)
        self.partner = self._partner()
        self.transfers = 0
        assert self.dut.empty.value == 1 and self.dut.ended.value == 0

    async def run(self, at: int, queue_stall: float) -> None:
        self.monitors = [
            StreamMonitor(self.dut, f"queues__{index}", generator(f"queue {index}"), queue_stall)
            for index in range(len(ENGINES))
        ]
        self.dut.program.value, self.dut.start.value = at, 1
        await RisingEdge(self.dut.clk)
        self.dut.start.value, self.dut.program.value = 0, self.rng.randrange(self.size)

    async def until(self, name: str, limit: int = 4000) -> None:
        """Until that pin is high; no error is told before, but that one."""
        for _ in range(limit):
            await RisingEdge(self.dut.clk)
            told = [error for error in ERRORS if getattr(self.dut, error).value == 1]
            assert set(told) <= {name}, f"{told}, not {name}"
            if getattr(self.dut, name).value == 1:
                return
        raise AssertionError(f"{name} is not told")

    def head(self, mark: int | None = None) -> list[int]:
        """What a program begins with."""
        mark = self.config.fingerprint if mark is None else mark
        return [control("FINGERPRINT_LO", mark & 0xFFFFFF), control("FINGERPRINT_HI", mark >> 24)]


def random_words(rng: random.Random, count: int) -> list[int]:
    return [encode(rng.choice(ENGINES), rng.randrange(32), rng.getrandbits(24)) for _ in range(count)]


@cocotb.test()
async def programs(dut: Any) -> None:
    """Random programs at random places, with stalls everywhere; all words arrive, and nothing behind END."""
    bench = Bench(dut)
    await bench.begin(parameters()["stall"])
    rng = bench.rng
    for turn, count in enumerate((0, 1, 2, 3, 40, 150, 90)):
        words, log_base = random_words(rng, count), rng.getrandbits(24)
        if turn == 5:
            words = [encode(ENGINES[3], 3, n) for n in range(count)]  # one queue fills
        # LOG_BASE may stand anywhere before the first MARK.
        marks = [place for place, word in enumerate(words) if word >> 24 == encode(Engine.EXEC, Op.MARK, 0) >> 24]
        middle = min([count // 2, *marks])
        body = [*words[:middle], control("LOG_BASE", log_base), *words[middle:]]
        end = encode(Engine.CONTROL, Op.END, rng.getrandbits(24))
        program = [*bench.head(), *body, end, *random_words(rng, 5)]
        at = rng.randrange(bench.size - 64)
        bench.put(program, at)
        await bench.run(at, [0.0, 0.5, 0.9][turn % 3])
        await bench.until("ended")
        for index, engine in enumerate(ENGINES):
            wanted = [word for word in words if word >> 29 == engine]
            assert await bench.monitors[index].wait(len(wanted)) == wanted, engine.name
        for _ in range(30):
            await RisingEdge(dut.clk)
            assert not any(getattr(dut, error).value == 1 for error in ERRORS)
            assert dut.ended.value == 1 and dut.empty.value == 1 and dut.stalled.value == 0
        assert sum(len(monitor.received) for monitor in bench.monitors) == count, "words behind END"
        assert int(dut.log_base.value) == log_base
        assert bench.transfers == len(bench.head()) + count + 2
        await bench.restart()


@cocotb.test()
async def full_speed(dut: Any) -> None:
    """A word a cycle; a queue that is full holds up all others, which the pins tell."""
    bench = Bench(dut)
    await bench.begin(0.0)
    depth = bench.config.queue_depth
    words = [encode(ENGINES[n % 4], 0, n) for n in range(4 * depth)]
    words += [encode(ENGINES[1], 1, n) for n in range(20)] + [encode(ENGINES[2], 2, 2)]
    bench.put([*bench.head(), *words, encode(Engine.CONTROL, Op.END, 0)], 8)
    await bench.run(8, 0.0)
    while len(bench.monitors[3].received) < depth:
        await RisingEdge(dut.clk)
    times = bench.monitors[3].times
    assert times[-1] - times[0] == 4 * (depth - 1), "a word a cycle"
    await bench.until("ended")
    await bench.restart()

    for index in range(len(ENGINES)):
        getattr(dut, f"queues__{index}__ready").value = 0
    dut.program.value, dut.start.value = 8, 1
    await RisingEdge(dut.clk)
    dut.start.value = 0
    for _ in range(6 * depth + 60):
        await RisingEdge(dut.clk)
    assert dut.stalled.value == 1 and dut.transfer.value == 0 and dut.empty.value == 0 and dut.ended.value == 0
    for index, engine in enumerate(ENGINES):
        # One word stands at the queue's end besides those in it.
        assert getattr(dut, f"queues__{index}__valid").value == 1, engine.name
    assert bench.transfers in range(4 * depth + 2, 4 * depth + 2 + 2 * 4)
    dut.queues__1__ready.value = 1
    await RisingEdge(dut.clk)
    dut.queues__1__ready.value = 0
    before = bench.transfers
    for _ in range(6):
        await RisingEdge(dut.clk)
    assert bench.transfers == before + 1, "a place was free for one word"

    for engine in ENGINES:
        await bench.restart()
        bench.put([*bench.head(), *[encode(engine, 1, n) for n in range(depth + 5)]], 8)
        dut.program.value, dut.start.value = 8, 1
        await RisingEdge(dut.clk)
        dut.start.value = 0
        for _ in range(depth + 40):
            await RisingEdge(dut.clk)
        assert bench.transfers == 2 + depth + 1, f"{engine.name} has that many places, and one at its queue's end"


@cocotb.test()
async def errors(dut: Any) -> None:
    """Each mistake that a program can have, and which error it is."""
    bench = Bench(dut)
    await bench.begin(0.2)
    rng, mark = bench.rng, bench.config.fingerprint
    low, high = bench.head()
    good = random_words(rng, 6)
    end = encode(Engine.CONTROL, Op.END, 0)
    wrong = [1 << bit for bit in range(32)] + [rng.getrandbits(32) or 1 for _ in range(4)]
    cases: list[tuple[str, list[int]]] = [
        *(("mismatch", bench.head(mark ^ bits)) for bits in wrong),
        ("mismatch", [low, high ^ 1, high, *good, end]),
        *(("mismatch", [low, encode(engine, 3, 5)]) for engine in ENGINES),
        ("mismatch", [low, end]),
        ("mismatch", [high, good[0]]),
        *(("illegal", [low, high, *good, number << 29]) for number in (4, 5, 6)),
        *(("illegal", [low, high, encode(Engine.CONTROL, op, 1)]) for op in range(3, 31)),
    ]
    for name, program in cases:
        at = rng.randrange(bench.size - 64)
        bench.put(program, at)
        await bench.run(at, 0.3)
        await bench.until(name)
        await bench.restart()


@cocotb.test()
async def end_of_memory(dut: Any) -> None:
    """A program without END at the end of memory: told when all words before have gone."""
    bench = Bench(dut)
    await bench.begin(0.3)
    for beats in (1, 2, 5):
        words = random_words(bench.rng, 4 * beats - 2)
        bench.put([*bench.head(), *words], bench.size - beats)
        await bench.run(bench.size - beats, 0.3)
        await bench.until("wrapped")
        assert bench.transfers == 4 * beats
        assert max(bench.partner.asked) == bench.size - 1
        for _ in range(5):
            await RisingEdge(dut.clk)
            assert dut.wrapped.value == 1
        await bench.restart()
    # With END in the last beat it is none.
    bench.put([*bench.head(), encode(Engine.CONTROL, Op.END, 0)], bench.size - 1)
    await bench.run(bench.size - 1, 0.0)
    await bench.until("ended")
    for _ in range(20):
        await RisingEdge(dut.clk)
        assert dut.wrapped.value == 0
