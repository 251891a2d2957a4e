"""A rescale lane: one dyadic product a cycle, rounded, added to another one's, clamped."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.adder import add
from gateware.arith.checks import require_range
from gateware.arith.delay import delayed
from gateware.arith.multiplier import Multiplier
from gateware.arith.round_shift import WindowShift, mixed
from gateware.postprocess.layouts import TERM_BITS, factor_layout, sum_layout

__all__ = ["RescaleLane"]


class RescaleLane(wiring.Component):
    """``sum = RNE(value * m / 2^e) + addend``, and ``q``, the sum clamped to 8 or 16 bits.

    One value a cycle, ``latency`` cycles, no stalls, no DSP block. Half to even is symmetric, so the multiplier's sign
    is not multiplied but applied by the adder that rounds.

    A rounded product within ``TERM_BITS`` = 20 bits is added exactly. A larger one decides the clamp alone, which is
    exact unless the addend, of the opposite sign, is beyond ±(2^19 - 2^15) too: not while one of the factors of a
    residual of 16-bit operands is below 14.9.

    Source: I-ViT, Eq. 9 and 10; the roundings are the authors' code's.

    Parameters
    ----------
    value_width : int
        Bits of a value.
    multiplier_bits : int
        Bits of a multiplier's magnitude.

    Attributes
    ----------
    latency, addend_latency : int
        Cycles from ``value`` and ``factor`` to ``sum``; and to the cycle in which its ``addend`` is due.

    Members
    -------
    value : In(signed(value_width))
    factor : In(factor_layout(multiplier_bits))
    addend : In(sum_layout(21))
        0, or a ``sum`` whose own addend was 0.
    narrow, packed : In(1)
        Clamp to 8 bits, not 16; and then at -127, not -128. In the cycle of ``q``.
    sum : Out(sum_layout(22))
    q : Out(signed(16))
        Combinational from ``sum``, ``narrow``, ``packed``.

    Raises
    ------
    ValueError
        For a parameter outside its range.
    """

    def __init__(self, value_width: int, multiplier_bits: int) -> None:
        require_range("RescaleLane", "value_width", value_width, 8, 33)
        require_range("RescaleLane", "multiplier_bits", multiplier_bits, 1, 31)
        self.value_width, self.multiplier_bits = value_width, multiplier_bits
        self.multiplier = Multiplier(value_width, multiplier_bits, b_signed=False, style="lut")
        self.addend_latency = self.multiplier.latency + WindowShift.latency
        self.latency = self.addend_latency + 1
        super().__init__(
            {
                "value": In(signed(value_width)),
                "factor": In(factor_layout(multiplier_bits)),
                "addend": In(sum_layout(TERM_BITS + 1)),
                "narrow": In(1),
                "packed": In(1),
                "sum": Out(sum_layout(TERM_BITS + 2)),
                "q": Out(signed(16)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.multiplier = multiplier = self.multiplier
        m.submodules.window = window = WindowShift(len(multiplier.p), min(TERM_BITS, len(multiplier.p)))
        negate = delayed(m, self.factor.negative, self.addend_latency, "negate")
        shift = delayed(m, self.factor.shift, multiplier.latency, "shift")
        m.d.comb += [
            multiplier.a.eq(self.value),
            multiplier.b.eq(self.factor.magnitude),
            window.p.eq(multiplier.p),
            window.shift.eq(shift),
        ]

        # -(floor + up) is ~floor + (1 - up): one adder rounds, negates and adds.
        up = window.half & (window.sticky | window.floor[0])
        rounded = (window.floor.as_unsigned() ^ negate.replicate(len(window.floor))).as_signed()
        total = add(self.addend["value"], rounded, up ^ negate)
        m.d.sync += [
            self.sum["value"].eq(total),
            self.sum["over"].eq(window.over | self.addend["over"]),
            self.sum["negative"].eq(Mux(window.over, window.negative ^ negate, self.addend["negative"])),
        ]

        value, over = self.sum["value"], self.sum["over"]
        negative, outside_8, outside_16 = Signal(), Signal(), Signal()
        m.d.comb += [
            negative.eq(Mux(over, self.sum["negative"], value[-1])),
            outside_8.eq(over | mixed(value[7:])),
            outside_16.eq(over | mixed(value[15:])),
        ]
        # A value out of range becomes the largest one, or the least: every bit below the sign is the sign's complement.
        # -127 is -128 with the last bit set.
        int8 = Mux(Mux(self.narrow, outside_8, outside_16), (~negative).replicate(7), value[:7])
        upper = Mux(self.narrow, negative.replicate(8), Mux(outside_16, (~negative).replicate(8), value[7:15]))
        least = self.narrow & self.packed & negative & ~int8[1:].any()
        m.d.comb += self.q.eq(Cat(int8[0] | least, int8[1:], upper, negative).as_signed())
        return m
