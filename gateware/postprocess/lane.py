"""A rescale lane: one dyadic product a cycle."""

from amaranth.hdl import Module, Shape, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from gateware.arith.multiplier import Multiplier
from gateware.arith.round_shift import SHIFT_BITS, RoundShift

__all__ = ["RescaleLane"]


class RescaleLane(wiring.Component):
    """``q = RNE(value * factor / 2^shift)``, saturated to ``bits`` bits, and the product itself beside it.

    One value a cycle, `latency` cycles; everything stops while ``en`` is low. No DSP block.

    Source: I-ViT, Eq. 9 and 10.

    Parameters
    ----------
    value_width : int
        Bits of a value.
    multiplier_bits : int
        Bits of a multiplier's magnitude.
    bits : int
        Bits of the rounded result.

    Members
    -------
    en : In(1)
    value : In(signed(value_width))
    factor : In(signed(multiplier_bits + 1))
    shift : In(7)
    q : Out(signed(bits))
    product : Out(signed(value_width))
        The product's low bits, in the cycle of ``q``: with the multiplier 1, the value.
    """

    def __init__(self, value_width: int, multiplier_bits: int, bits: int) -> None:
        require_range("RescaleLane", "value_width", value_width, 8, 33)
        require_range("RescaleLane", "multiplier_bits", multiplier_bits, 1, 31)
        self.value_width, self.bits = value_width, bits
        self.multiplier = Multiplier(value_width, multiplier_bits + 1, style="lut", enable=True)
        self.latency = self.multiplier.latency + RoundShift.latency
        super().__init__(
            {
                "en": In(1),
                "value": In(signed(value_width)),
                "factor": In(Shape(multiplier_bits + 1, signed=True)),
                "shift": In(SHIFT_BITS),
                "q": Out(signed(bits)),
                "product": Out(signed(value_width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.multiplier = multiplier = self.multiplier
        m.submodules.rounding = rounding = RoundShift(len(multiplier.p), self.bits)
        m.d.comb += [
            multiplier.a.eq(self.value),
            multiplier.b.eq(self.factor),
            multiplier.en.eq(self.en),
            rounding.en.eq(self.en),
            rounding.p.eq(multiplier.p),
            self.q.eq(rounding.q),
        ]
        shift = self.shift
        product = multiplier.p[: self.value_width]
        with m.If(self.en):
            for stage in range(multiplier.latency):
                delayed = Signal(SHIFT_BITS, name=f"shift_{stage}", reset_less=True)
                m.d.sync += delayed.eq(shift)
                shift = delayed
            for stage in range(RoundShift.latency):
                held = Signal(self.value_width, name=f"product_{stage}", reset_less=True)
                m.d.sync += held.eq(product)
                product = held
        m.d.comb += [rounding.shift.eq(shift), self.product.eq(product)]
        return m
