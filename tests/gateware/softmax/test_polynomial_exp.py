"""The lane of I-BERT's exponential and its constants against the reference, on every argument of many scales."""

import random
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from gateware.arith.polynomial_constants import ExponentConstants
from gateware.softmax.polynomial_exp import PolynomialExpLane
from sim.reference.polynomial_exp import PolynomialExp

SEED = 20261121
EDGES = [1, 2, 3, 4, 7, 8, 127, 128, 255, 256, 257, 511, 512, 1023, 8191]


class Pair(wiring.Component):
    """Constants and a lane that uses them."""

    def __init__(self, n: int, x0_bits: int) -> None:
        self.lane, self.constants = PolynomialExpLane(n, x0_bits), ExponentConstants(x0_bits)
        super().__init__(
            {"start": In(1), "x0": In(x0_bits), "ready": Out(1), "x": In(self.lane.x.shape()), "flags": In(2)}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.lane, m.submodules.constants = lane, constants = self.lane, self.constants
        m.d.comb += [
            constants.start.eq(self.start),
            constants.x0.eq(self.x0),
            self.ready.eq(constants.ready),
            lane.constants.eq(constants.o),
            lane.x.eq(self.x),
            lane.clamped.eq(self.flags[0]),
            lane.zero.eq(self.flags[1]),
        ]
        return m


@pytest.mark.parametrize(("n", "x0_bits"), [(15, 10), (8, 13), (12, 5)])
def test_every_argument(n: int, x0_bits: int):
    dut = Pair(n, x0_bits)
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    scales = [x0 for x0 in EDGES if x0 < 1 << x0_bits] + [rng.randrange(1, 1 << x0_bits) for _ in range(3)]
    arguments = list(range(-255, 1))

    async def bench(ctx):
        for x0 in scales:
            ctx.set(dut.x0, x0)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            ctx.set(dut.x0, 0)
            cycles = 0
            while not ctx.get(dut.ready):
                await ctx.tick()
                cycles += 1
                assert cycles <= dut.constants.cycles, f"x0 {x0}"
            mantissas, shifts = PolynomialExp(x0, n).mantissa_shift(np.array(arguments))
            clamp = PolynomialExp(x0, n).mantissa_shift(np.array([-(2**20)]))
            least = (int(clamp[0][0]), 0)
            wanted = [*zip(mantissas.tolist(), shifts.tolist(), strict=True), least, least, (0, None)]
            inputs = [(x, 0) for x in arguments] + [(-3, 1), (-255, 1), (rng.randrange(-255, 1), 2)]
            for time in range(len(inputs) + dut.lane.LATENCY):
                if time < len(inputs):
                    ctx.set(dut.x, inputs[time][0])
                    ctx.set(dut.flags, inputs[time][1])
                if time >= dut.lane.LATENCY:
                    mantissa, shift = wanted[time - dut.lane.LATENCY]
                    got = ctx.get(dut.lane.mantissa), ctx.get(dut.lane.shift)
                    assert got == (mantissa, got[1] if shift is None else shift), (x0, inputs[time - dut.lane.LATENCY])
                await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 16}, "n must be between 8 and 15, not 16"),
        ({"x0_bits": 14}, "x0_bits must be between 1 and 13, not 14"),
    ],
)
def test_wrong_parameters(changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        PolynomialExpLane(**changes)
