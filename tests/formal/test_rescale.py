"""Proofs that a rescale lane is clamp(RNE(value * m / 2^e) + addend), and that RoundShift is clamp(RNE(p / 2^e)).

The lane's product is proven at a reduced width (10 x 5 bits). What comes after it (shift, rounding, sign, addition,
clamp) is proven for every product, whether a multiplication can make it or not, of 24 bits instead of the lean preset's
43: wider than a term by enough that each of its cases occurs.
"""

import pytest
from amaranth.hdl import Assert, Assume, Const, Module, Mux, ResetSignal, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from gateware.arith.delay import delayed
from gateware.arith.round_shift import SHIFT_BITS, RoundShift
from gateware.postprocess.lane import RescaleLane
from gateware.postprocess.layouts import TERM_BITS, factor_layout, sum_layout
from tests.formal.prove import prove, refute


def rounded(value: Value, shift: Value, ties: str) -> Value:
    """value / 2^shift by its definition: the floor, or one more where the rest is over the half, or is it and odd."""
    width = len(value)
    floor = value >> shift
    rest_mask = (Const(1, width + 1) << shift)[: width + 1] - 1
    half = ((Const(1, width + 1) << shift)[: width + 1]) >> 1
    # Beyond the width, the quotient is below a half.
    mask = Mux(shift > width, (1 << (width + 1)) - 1, rest_mask)
    rest = value.as_unsigned() & mask
    odd = floor[0] if ties == "even" else Const(1)
    up = (shift != 0) & ((rest > half) | ((rest == half) & odd))
    return Mux(shift > width - 1, 0, floor + up)


def clamped(value: Value, low: int, high: int) -> Value:
    return Mux(value < low, low, Mux(value > high, high, value))


class RoundShiftProof(wiring.Component):
    """Any product, any shift."""

    def __init__(self, width: int, bits: int, ties: str = "even") -> None:
        self.width, self.bits, self.ties = width, bits, ties
        super().__init__({"p": In(signed(width)), "shift": In(SHIFT_BITS)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = RoundShift(self.width, self.bits)
        m.d.comb += [dut.en.eq(1), dut.p.eq(self.p), dut.shift.eq(self.shift), Assume(~ResetSignal())]
        p = delayed(m, self.p, dut.latency, "p").as_signed()
        shift = delayed(m, self.shift, dut.latency, "e")
        half = 1 << (self.bits - 1)
        with m.If(_settled(m, dut.latency)):
            m.d.comb += Assert(dut.q == clamped(rounded(p, shift, self.ties), -half, half - 1))
        return m


class LaneProof(wiring.Component):
    """Any value, factor and addend: either the product is right, or what the lane makes of its product is."""

    def __init__(
        self, value_width: int, multiplier_bits: int, *, of_product: bool, ties: str = "even", wrong: int = 0
    ) -> None:
        self.value_width, self.multiplier_bits = value_width, multiplier_bits
        self.of_product, self.ties, self.wrong = of_product, ties, wrong
        super().__init__(
            {
                "value": In(signed(value_width)),
                "factor": In(factor_layout(multiplier_bits)),
                "addend": In(signed(TERM_BITS - 1)),
                "narrow": In(1),
                "packed": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = RescaleLane(self.value_width, self.multiplier_bits)
        addend = Signal(sum_layout(TERM_BITS + 1))
        m.d.comb += [
            Assume(~ResetSignal()),
            dut.value.eq(self.value),
            dut.factor.eq(self.factor),
            addend["value"].eq(self.addend),
            dut.addend.eq(addend),
            dut.narrow.eq(self.narrow),
            dut.packed.eq(self.packed),
        ]
        if self.of_product:
            cycles = dut.multiplier.latency
            value = delayed(m, self.value, cycles, "value").as_signed()
            product = value * delayed(m, self.factor.magnitude, cycles, "magnitude")
            with m.If(_settled(m, cycles)):
                m.d.comb += Assert(dut.multiplier.p == product + self.wrong)
            return m
        shift = delayed(m, self.factor.shift, dut.latency, "e")
        negate = delayed(m, self.factor.negative, dut.latency, "negate")
        product = delayed(m, dut.multiplier.p, dut.latency - dut.multiplier.latency, "p").as_signed()
        signed_product = Mux(negate, -product, product)
        total = rounded(signed_product, shift, self.ties) + delayed(m, self.addend, 1, "addend").as_signed()
        low = Mux(self.narrow, Mux(self.packed, -127, -128), -(1 << 15))
        high = Mux(self.narrow, 127, (1 << 15) - 1)
        with m.If(_settled(m, dut.latency)):
            m.d.comb += Assert(dut.q == Mux(total < low, low, Mux(total > high, high, total)))
        return m


def _settled(m: Module, cycles: int) -> Value:
    """So many cycles have passed: what is in the pipeline came in through its front."""
    count = Signal(range(cycles + 1))
    with m.If(count != cycles):
        m.d.sync += count.eq(count + 1)
    return count == cycles


LATENCY = RescaleLane(27, 16).latency
BEHIND = (14, 10)  # bits of the value and of the multiplier


@pytest.mark.parametrize(("width", "bits"), [(43, 20), (54, 8)])
def test_round_shift(width: int, bits: int):
    prove(RoundShiftProof(width, bits), RoundShift.latency + 2)


def test_lane_behind_its_product():
    prove(LaneProof(*BEHIND, of_product=False), RescaleLane(*BEHIND).latency + 2)


def test_product_of_a_lane():
    prove(LaneProof(10, 5, of_product=True), 5)


def test_half_up_is_found():
    refute(RoundShiftProof(43, 20, ties="up"), RoundShift.latency + 2)
    refute(LaneProof(27, 16, of_product=False, ties="up"), LATENCY + 2)


def test_a_wrong_product_is_found():
    refute(LaneProof(10, 5, of_product=True, wrong=1), 5)
