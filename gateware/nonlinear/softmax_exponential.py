"""The exponentials that an arithmetic has in a softmax: two lanes, and what they must know of the scale."""

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.nonlinear.polynomial_constants import ExponentConstants
from gateware.nonlinear.polynomial_exp import PolynomialExpLane
from gateware.nonlinear.shiftexp import ARGUMENT_BITS, QUOTIENT_BITS, ShiftExpLane
from sim.reference.arithmetic import Arithmetic
from sim.reference.polynomial_exp import PolynomialExp

__all__ = ["SoftmaxExponential"]

LANES = 2
ZERO = np.zeros(1, np.int64)


class SoftmaxExponential(wiring.Component):
    """``(mantissa << shift) >> 1``, the exponential of ``x <= 0``; two a cycle, after ``latency`` cycles.

    Parameters
    ----------
    arithmetic : Arithmetic
    x0_bits : int

    Attributes
    ----------
    latency : int
    mantissa_bits : int
    least_sum_bits : int
        The exponential of 0, which is in every row, is at least 2 to this.
    preparation : int
        Cycles, at most, in which ``ready`` is low after ``x0`` has changed.

    Members
    -------
    x0 : In(x0_bits)
        Static while arguments are inside.
    ready : Out(1)
        Arguments may come. Low from the cycle after the one in which ``x0`` changes.
    x, clamped, zero, mantissa, shift
        As of `ShiftExpLane`, two of each.
    """

    def __init__(self, arithmetic: Arithmetic, x0_bits: int) -> None:
        self.x0_bits = x0_bits
        self.lanes: Sequence[ShiftExpLane | PolynomialExpLane]
        n = arithmetic.softmax_n
        if arithmetic.softmax == "shift":
            self.lanes = [ShiftExpLane(n, x0_bits, arithmetic.half_shifted_first) for _ in range(LANES)]
            self.mantissa_bits, self.preparation = x0_bits + 1, 0
            self.least_sum_bits = n
        else:
            self.lanes = [PolynomialExpLane(n, x0_bits) for _ in range(LANES)]
            self.mantissa_bits = PolynomialExpLane.MANTISSA_BITS
            self.constants = ExponentConstants(x0_bits)
            self.preparation = self.constants.cycles + 2
            least = min(int(PolynomialExp(1 << bit, n).apply(ZERO)[0]) for bit in range(x0_bits))
            self.least_sum_bits = least.bit_length() - 1
        self.latency = self.lanes[0].LATENCY
        super().__init__(
            {
                "x0": In(x0_bits),
                "ready": Out(1),
                "x": In(signed(ARGUMENT_BITS)).array(LANES),
                "clamped": In(1).array(LANES),
                "zero": In(1).array(LANES),
                "mantissa": Out(self.mantissa_bits).array(LANES),
                "shift": Out(QUOTIENT_BITS).array(LANES),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for index, lane in enumerate(self.lanes):
            m.submodules[f"lane_{index}"] = lane
            m.d.comb += [
                lane.x.eq(self.x[index]),
                lane.clamped.eq(self.clamped[index]),
                lane.zero.eq(self.zero[index]),
                self.mantissa[index].eq(lane.mantissa),
                self.shift[index].eq(lane.shift),
            ]
            if isinstance(lane, ShiftExpLane):
                m.d.comb += lane.x0.eq(self.x0)
        if not self.preparation:
            m.d.comb += self.ready.eq(1)
            return m
        m.submodules.constants = constants = self.constants
        for lane in self.lanes:
            m.d.comb += lane.constants.eq(constants.o)
        known = Signal(self.x0_bits)  # 0 first, which no scale has
        m.d.comb += [
            constants.x0.eq(self.x0),
            constants.start.eq(constants.ready & (known != self.x0)),
            self.ready.eq(constants.ready & (known == self.x0)),
        ]
        with m.If(constants.start):
            m.d.sync += known.eq(self.x0)
        return m
