"""Semaphores count, and let pass whoever may."""

import random
from functools import partial

import pytest
from amaranth.sim import Simulator

from gateware.control.semaphores import Semaphores
from sim.cocotb.runner import run_bench


@pytest.mark.parametrize(("givers", "takers"), [(3, 3), (9, 4)])
def test_semaphores(givers: int, takers: int):
    run_bench(
        Semaphores(givers, takers),
        f"semaphores_{givers}_{takers}",
        "tests.gateware.control.bench_semaphores",
        parameters={"givers": givers, "takers": takers, "cycles": 4000},
    )


@pytest.mark.parametrize("seed", range(4))
def test_semaphores_count(seed: int):
    print("seed", seed)
    rng = random.Random(seed)
    dut = Semaphores(3, 2)
    given, taken = [0] * 16, [0] * 16

    async def clear(ctx):
        ctx.set(dut.clear, 1)
        await ctx.tick().repeat(17)
        ctx.set(dut.clear, 0)

    async def give(ctx, index):
        await ctx.tick().repeat(20)
        for _ in range(100):
            semaphore, count = rng.randrange(16), rng.randrange(1, 3)
            ctx.set(dut.give[index].payload, {"semaphore": semaphore, "count": count})
            ctx.set(dut.give[index].valid, 1)
            given[semaphore] += count
            await ctx.tick().until(dut.give[index].ready)
            ctx.set(dut.give[index].valid, 0)
            await ctx.tick().repeat(rng.randrange(1, 6))

    async def take(ctx, index):
        # Taker 0 uses the even semaphores, taker 1 the odd ones: one engine waits on one semaphore.
        port = dut.take[index]
        for turn in range(60):
            semaphore, count = 2 * rng.randrange(1, 8) - 1 + (1 - index), rng.randrange(1, 3)
            ctx.set(port.take, {"semaphore": semaphore, "count": count})
            ctx.set(port.taking, 1)
            for _ in range(400):
                await ctx.tick()
                if ctx.get(port.taken):
                    taken[semaphore] += count
                    assert taken[semaphore] <= given[semaphore], f"turn {turn}"
                    await ctx.tick()
                    break
            else:
                assert taken[semaphore] + count > given[semaphore], "enough was given, and the engine still waits"
            ctx.set(port.taking, 0)
            await ctx.tick().repeat(rng.randrange(1, 5))

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(clear)
    for index in range(3):
        simulator.add_testbench(partial(give, index=index))
    for index in range(2):
        simulator.add_testbench(partial(take, index=index))
    simulator.run()
    assert sum(taken) > 50
