"""The serial divider against floor division: every divisor of a small width, edges and random ones of 31 bits."""

import random

import pytest
from amaranth.sim import Simulator

from gateware.arith.divider import ReciprocalDivider

SEED = 20261121


def quotients(dut: ReciprocalDivider, divisors: list[int], stall: random.Random | None = None) -> tuple[list[int], int]:
    """The quotients, and how many cycles it took from the first divisor to the last quotient."""
    results: list[int] = []
    cycles = 0

    async def bench(ctx):
        nonlocal cycles
        fed = 0
        while len(results) < len(divisors):
            offer = fed < len(divisors) and (stall is None or stall.random() < 0.5)
            ready = stall is None or stall.random() < 0.5
            ctx.set(dut.i.valid, offer)
            ctx.set(dut.i.payload, divisors[min(fed, len(divisors) - 1)])
            ctx.set(dut.o.ready, ready)
            fed += offer and ctx.get(dut.i.ready)
            if ready and ctx.get(dut.o.valid):
                results.append(ctx.get(dut.o.payload))
            cycles += 1
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run_until(len(divisors) * (dut.quotient_bits + 20) * 1e-6)
    return results, cycles


@pytest.mark.parametrize(("divisor_bits", "quotient_bits"), [(7, 7), (4, 4), (5, 3), (9, 7)])
@pytest.mark.parametrize("stalls", [False, True])
def test_every_divisor_of_a_small_width(divisor_bits: int, quotient_bits: int, stalls: bool):
    divisors = list(range(1 << (7 - quotient_bits), 1 << divisor_bits))
    results, _ = quotients(
        ReciprocalDivider(7, divisor_bits, quotient_bits), divisors, random.Random(SEED) if stalls else None
    )
    assert results == [127 // divisor for divisor in divisors]


@pytest.mark.parametrize("quotient_bits", [16, 25, 31])
def test_divisors_of_31_bits(quotient_bits: int):
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    smallest, largest = 1 << (31 - quotient_bits), (1 << 31) - 1
    divisors = [smallest, smallest + 1, (1 << 30) - 1, 1 << 30, (1 << 30) + 1, largest - 1, largest, 46340, 46341]
    divisors += [rng.randrange(smallest, 1 << rng.randrange(33 - quotient_bits, 32)) for _ in range(150)]
    # Where the quotient just does and just does not change.
    divisors += [max(smallest, largest // rng.randrange(1, 1 << 15) + more) for _ in range(40) for more in (0, 1)]
    results, cycles = quotients(ReciprocalDivider(31, 31, quotient_bits), divisors)
    assert results == [largest // divisor for divisor in divisors]
    assert cycles == len(divisors) * (quotient_bits + 1) + 1


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ((0, 4, 1), "numerator_bits must be at least 1, not 0"),
        ((31, 31, 32), "quotient_bits must be between 1 and 31, not 32"),
        ((31, 15, 16), "divisor_bits must be at least 16, not 15"),
    ],
)
def test_wrong_widths(widths: tuple[int, int, int], message: str):
    with pytest.raises(ValueError, match=message):
        ReciprocalDivider(*widths)
