"""The lane of ShiftExp against the reference, on every argument of many scales."""

import random
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from gateware.arith.shiftexp import ShiftExpLane
from sim.reference.shiftexp import ShiftExp

SEED = 20261121
EDGES = [1, 2, 3, 7, 8, 23, 24, 25, 45, 46, 91, 92, 183, 184, 255, 256, 366, 367, 368, 511, 512, 1023, 8191]


@pytest.mark.parametrize(
    ("n", "x0_bits", "half_first"), [(15, 10, False), (15, 5, True), (8, 13, False), (12, 4, False), (14, 7, True)]
)
def test_every_argument(n: int, x0_bits: int, half_first: bool):
    dut = ShiftExpLane(n, x0_bits, half_first)
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    scales = [x0 for x0 in EDGES if x0 < 1 << x0_bits] + [rng.randrange(1, 1 << x0_bits) for _ in range(4)]
    arguments = list(range(-255, 1))

    async def bench(ctx):
        for x0 in scales:
            ctx.set(dut.x0, x0)
            reference = ShiftExp(x0, n, half_first)
            mantissas, shifts = reference.mantissa_shift(np.array(arguments))
            # Then the flags, with arguments that must not matter: any difference of two int8.
            wanted = [*zip(mantissas.tolist(), shifts.tolist(), strict=True), (2 * x0, 0), (2 * x0, 0), (0, None)]
            inputs = [(x, 0, 0) for x in arguments] + [(255, 1, 0), (-1, 1, 0), (rng.randrange(-255, 256), 1, 1)]
            for time in range(len(inputs) + dut.LATENCY):
                if time < len(inputs):
                    for port, value in zip((dut.x, dut.clamped, dut.zero), inputs[time], strict=True):
                        ctx.set(port, value)
                if time >= dut.LATENCY:
                    mantissa, shift = wanted[time - dut.LATENCY]
                    got = ctx.get(dut.mantissa), ctx.get(dut.shift)
                    assert got == (mantissa, got[1] if shift is None else shift), (x0, inputs[time - dut.LATENCY])
                await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 16}, "n must be between 8 and 15, not 16"),
        ({"x0_bits": 0}, "x0_bits must be between 1 and 16, not 0"),
    ],
)
def test_wrong_parameters(changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        ShiftExpLane(**changes)
