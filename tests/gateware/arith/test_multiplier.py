"""The pipelined multiplier against Python integers, over every operand of small widths and random wide ones."""

import itertools
import random

import pytest
from amaranth.sim import Simulator

from gateware.arith.multiplier import Multiplier

SEED = 20260101


def _products(dut, pairs, stalls=None):
    """Stream ``pairs`` through ``dut`` at one a cycle (while enabled) and return what comes out, in order."""
    results = []

    async def bench(ctx):
        accepted = 0
        fed = list(pairs) + [(0, 0)] * dut.latency
        while accepted < len(fed):
            ctx.set(dut.a, fed[accepted][0])
            ctx.set(dut.b, fed[accepted][1])
            enabled = stalls is None or stalls.random() < 0.6
            if dut.enable:
                ctx.set(dut.en, enabled)
            if enabled:
                if accepted >= dut.latency:
                    results.append(ctx.get(dut.p))
                accepted += 1
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run_until((len(pairs) + dut.latency + 20) * 20e-6)
    return results


def _range(width, signed):
    return range(-(1 << width - 1), 1 << width - 1) if signed else range(1 << width)


@pytest.mark.parametrize("a_signed", [False, True])
@pytest.mark.parametrize("b_signed", [False, True])
@pytest.mark.parametrize("style", ["lut", "plain"])
@pytest.mark.parametrize("widths", [(3, 1), (1, 4), (4, 5), (5, 6)])
def test_every_product_of_small_operands(style, a_signed, b_signed, widths):
    dut = Multiplier(*widths, a_signed, b_signed, style=style)
    pairs = list(itertools.product(_range(widths[0], a_signed), _range(widths[1], b_signed)))
    assert _products(dut, pairs) == [a * b for a, b in pairs]


@pytest.mark.parametrize("rows_per_stage", [1, 2, 3, 16])
@pytest.mark.parametrize(("a_width", "b_width", "b_signed"), [(27, 16, False), (32, 31, False), (17, 17, True)])
def test_wide_operands_at_one_a_cycle_and_with_stalls(a_width, b_width, b_signed, rows_per_stage):
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    a_edges = [-(1 << a_width - 1), -1, 0, 1, (1 << a_width - 1) - 1]
    b_range = _range(b_width, b_signed)
    pairs = list(itertools.product(a_edges, [b_range[0], b_range[-1], 0, 1, 1 << b_width - 2]))
    pairs += [(rng.randrange(a_edges[0], a_edges[-1] + 1), rng.choice(b_range)) for _ in range(100)]
    dut = Multiplier(a_width, b_width, True, b_signed, rows_per_stage=rows_per_stage, enable=True)
    assert _products(dut, pairs, stalls=rng) == [a * b for a, b in pairs]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"a_width": 0}, "a_width must be at least 1, not 0"),
        ({"b_width": "8"}, "b_width must be an integer, not '8'"),
        ({"rows_per_stage": 0}, "rows_per_stage must be at least 1, not 0"),
        ({"style": "booth"}, "style must be one of lut, plain, not 'booth'"),
    ],
)
def test_bad_parameters_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Multiplier(**{"a_width": 8, "b_width": 8, **arguments})
