"""The exponential of an arithmetic's softmax: two lanes, and the constants that they derive from the scale."""

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Const, Module, Signal, Value

from gateware.arith.polynomial_constants import ExponentConstants
from gateware.arith.shiftexp import ShiftExpLane
from gateware.softmax.polynomial_exp import PolynomialExpLane
from sim.reference.arithmetic import Arithmetic
from sim.reference.polynomial_exp import PolynomialExp

__all__ = ["SoftmaxExponential"]

LANES = 2
ZERO = np.zeros(1, np.int64)


class SoftmaxExponential:
    """``(mantissa << shift) >> 1``, the exponential of ``x <= 0``; two a cycle, after ``latency`` cycles.

    Parameters
    ----------
    arithmetic : Arithmetic
    x0_bits : int

    Attributes
    ----------
    lanes : two of `ShiftExpLane` or `PolynomialExpLane`
    latency : int
    mantissa_bits : int
    least_sum_bits : int
        2 to this is at most the exponential of 0, which occurs in every row.
    preparation : int
        Cycles, at most, in which the lanes are not ready after ``x0`` has changed.
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

    def place(self, m: Module, x0: Signal) -> Value:
        """Adds the lanes to a module, for a scale that is static while arguments are inside; whether they are ready.

        They are not from the cycle on in which ``x0`` has changed, until they know what they need of it.
        """
        for index, lane in enumerate(self.lanes):
            m.submodules[f"lane_{index}"] = lane
            if isinstance(lane, ShiftExpLane):
                m.d.comb += lane.x0.eq(x0)
        if not self.preparation:
            return Const(1)
        m.submodules.constants = constants = self.constants
        for lane in self.lanes:
            m.d.comb += lane.constants.eq(constants.o)
        known, ready = Signal(self.x0_bits), Signal()  # 0 first, which no scale has
        m.d.comb += [
            constants.x0.eq(x0),
            constants.start.eq(constants.ready & (known != x0)),
            ready.eq(constants.ready & (known == x0)),
        ]
        with m.If(constants.start):
            m.d.sync += known.eq(x0)
        return ready
