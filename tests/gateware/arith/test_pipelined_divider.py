"""The pipelined reciprocal against floor division: every divisor of small widths, edges and random ones of 31 bits."""

import random

import pytest
from amaranth.sim import Simulator

from gateware.arith.pipelined_divider import PipelinedReciprocal

SEED = 20261121


def quotients(width: int, divisors: list[int]) -> list[int]:
    """The quotients of divisors that come one a cycle."""
    dut = PipelinedReciprocal(width)
    results: list[int] = []

    async def bench(ctx):
        for cycle in range(len(divisors) + dut.latency):
            if cycle >= dut.latency:
                results.append(ctx.get(dut.quotient))
            ctx.set(dut.divisor, divisors[min(cycle, len(divisors) - 1)])
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run_until((len(divisors) + dut.latency + 1) * 1e-6)
    return results


@pytest.mark.parametrize("width", [2, 3, 8])
def test_every_divisor_of_a_small_width(width: int):
    divisors = list(range(1, 1 << width))
    random.Random(SEED).shuffle(divisors)
    assert quotients(width, divisors) == [((1 << width) - 1) // divisor for divisor in divisors]


def test_divisors_of_31_bits():
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    largest = (1 << 31) - 1
    divisors = [1, 2, 3, (1 << 30) - 1, 1 << 30, (1 << 30) + 1, largest - 1, largest, 46340, 46341]
    divisors += [rng.randrange(1, 1 << rng.randrange(1, 32)) for _ in range(150)]
    # Where the quotient just does and just does not change.
    divisors += [largest // rng.randrange(1, 1 << 15) + more for _ in range(40) for more in (0, 1)]
    assert quotients(31, divisors) == [largest // divisor for divisor in divisors]


@pytest.mark.parametrize("width", [1, 65])
def test_wrong_width(width: int):
    with pytest.raises(ValueError, match=f"width must be between 2 and 64, not {width}"):
        PipelinedReciprocal(width)
