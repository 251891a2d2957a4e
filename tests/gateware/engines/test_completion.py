"""Completion tells of operations in their order, each once and none before its end, whatever ends first."""

import random

import pytest
from amaranth.sim import Simulator

from gateware.engines.execute.completion import DEPTH, Completion

OPERATIONS = 150
CYCLES = 40 * OPERATIONS


@pytest.mark.parametrize("pace", [0.02, 0.2, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_order(seed: int, pace: float):
    """`pace`: how soon memory takes the last beat of a store; scores end at once, or in their own time."""
    print("seed", seed, "pace", pace)
    rng = random.Random(f"{seed} {pace}")
    dut = Completion()
    gives = [[rng.randrange(16), rng.randrange(16)] for _ in range(OPERATIONS)]
    kinds = [int(rng.random() < 0.5) for _ in range(OPERATIONS)]  # 1: to the score memory
    open_: dict[int, list[int]] = {0: [], 1: []}  # operations of each kind that have begun and not ended
    ended: set[int] = set()
    told: list[list[int]] = [[], []]
    most_open = 0

    async def begin(ctx):
        for index, kind in enumerate(kinds):
            while rng.random() < 0.4:
                await ctx.tick()
            ctx.set(dut.operation.payload, {"written": gives[index], "to_scores": kind})
            ctx.set(dut.operation.valid, 1)
            await ctx.tick().until(dut.operation.ready)
            ctx.set(dut.operation.valid, 0)
            open_[kind].append(index)
        while any(len(port) < OPERATIONS for port in told):
            await ctx.tick()
        await ctx.tick()
        assert ctx.get(dut.idle)

    async def end(ctx):
        while True:
            ends = []
            for kind, port, chance in ((0, dut.stored, pace), (1, dut.scored, 0.5)):
                one = open_[kind][:1] if rng.random() < chance else []
                ctx.set(port, len(one))
                del open_[kind][: len(one)]
                ends += one
            await ctx.tick()
            ended.update(ends)

    async def take(ctx):
        nonlocal most_open
        for _ in range(CYCLES):
            for port in dut.written:
                ctx.set(port.ready, rng.random() < 0.6)
            before = set(ended)
            most_open = max(most_open, sum(map(len, open_.values())))
            sampled = await ctx.tick().sample(
                *(signal for port in dut.written for signal in (port.valid, port.ready, port.payload))
            )
            for index in range(2):
                valid, ready, payload = sampled[2 + 3 * index : 5 + 3 * index]
                if valid and ready:
                    number = len(told[index])
                    assert number in before, f"operation {number} is told before its end"
                    assert (payload.semaphore, payload.count) == (gives[number][index], 1)
                    told[index].append(number)
                    assert abs(len(told[0]) - len(told[1])) <= 1
        raise AssertionError("watchdog: not every operation was told")

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(begin)
    simulator.add_testbench(end, background=True)
    simulator.add_testbench(take, background=True)
    simulator.run()
    assert told == [list(range(OPERATIONS))] * 2
    # Memory that is slow lets the queue fill up: the next operation then has to wait.
    assert pace > 0.1 or most_open > DEPTH - 2
