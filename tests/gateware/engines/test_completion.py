"""Completion tells of operations in their order, each once and none before its end, whatever ends first."""

import random

import pytest
from amaranth.sim import Simulator

from gateware.engines.execute.completion import DEPTH, Completion

OPERATIONS = 150
CYCLES = 40 * OPERATIONS


class Operations:
    """Operations that begin, end and are told of in three processes at random times."""

    def __init__(self, dut: Completion, rng: random.Random, pace: float) -> None:
        self.dut, self.rng, self.pace = dut, rng, pace
        self.gives = [[rng.randrange(16), rng.randrange(16)] for _ in range(OPERATIONS)]
        self.kinds = [int(rng.random() < 0.5) for _ in range(OPERATIONS)]  # 1: to the score memory
        self.open: dict[int, list[int]] = {0: [], 1: []}  # operations of each kind that have begun and not ended
        self.ended: set[int] = set()
        self.told: list[list[int]] = [[], []]
        self.most_open = 0

    async def begin(self, ctx):
        dut = self.dut
        for index, kind in enumerate(self.kinds):
            while self.rng.random() < 0.4:
                await ctx.tick()
            ctx.set(dut.operation.payload, {"written": self.gives[index], "to_scores": kind})
            ctx.set(dut.operation.valid, 1)
            await ctx.tick().until(dut.operation.ready)
            ctx.set(dut.operation.valid, 0)
            self.open[kind].append(index)
        while any(len(port) < OPERATIONS for port in self.told):
            await ctx.tick()
        await ctx.tick()
        assert ctx.get(dut.idle)

    async def end(self, ctx):
        while True:
            ends = []
            for kind, port, chance in ((0, self.dut.stored, self.pace), (1, self.dut.scored, 0.5)):
                one = self.open[kind][:1] if self.rng.random() < chance else []
                ctx.set(port, len(one))
                del self.open[kind][: len(one)]
                ends += one
            await ctx.tick()
            self.ended.update(ends)

    async def take(self, ctx):
        ports = self.dut.written
        for _ in range(CYCLES):
            for port in ports:
                ctx.set(port.ready, self.rng.random() < 0.6)
            before = set(self.ended)
            self.most_open = max(self.most_open, sum(map(len, self.open.values())))
            sampled = await ctx.tick().sample(
                *(signal for port in ports for signal in (port.valid, port.ready, port.payload))
            )
            for index in range(2):
                valid, ready, payload = sampled[2 + 3 * index : 5 + 3 * index]
                if valid and ready:
                    number = len(self.told[index])
                    assert number in before, f"operation {number} is told before its end"
                    assert (payload.semaphore, payload.count) == (self.gives[number][index], 1)
                    self.told[index].append(number)
                    assert abs(len(self.told[0]) - len(self.told[1])) <= 1
        raise AssertionError("watchdog: not every operation was told")


@pytest.mark.parametrize("pace", [0.02, 0.2, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_order(seed: int, pace: float):
    """`pace`: how soon memory takes the last beat of a store; scores end at once, or in their own time."""
    print("seed", seed, "pace", pace)
    operations = Operations(Completion(), random.Random(f"{seed} {pace}"), pace)
    simulator = Simulator(operations.dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(operations.begin)
    simulator.add_testbench(operations.end, background=True)
    simulator.add_testbench(operations.take, background=True)
    simulator.run()
    assert operations.told == [list(range(OPERATIONS))] * 2
    # Memory that is slow lets the queue fill up: the next operation then has to wait.
    assert pace > 0.1 or operations.most_open > DEPTH - 2
