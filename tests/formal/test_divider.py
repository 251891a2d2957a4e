"""Proof that the serial divider divides, for every divisor and any stalls, at a reduced width."""

import pytest
from amaranth.hdl import Assert, Assume, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.arith import divider
from gateware.arith.divider import ReciprocalDivider
from tests.formal.prove import prove, refute

WIDTHS = (9, 9, 5)  # of numerator, divisor and quotient
DEPTH = WIDTHS[2] + 4  # more than one division, so that induction reaches back to the divisor


class DividerProof(wiring.Component):
    """A quotient is offered within ``quotient_bits + 1`` cycles of its divisor, and it is the floor of the fraction."""

    def __init__(self, promise: bool = True) -> None:
        self.promise = promise
        _, divisor_bits, quotient_bits = WIDTHS
        super().__init__({"i": In(stream.Signature(divisor_bits)), "o": Out(stream.Signature(quotient_bits))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        numerator_bits, divisor_bits, quotient_bits = WIDTHS
        m.submodules.dut = dut = ReciprocalDivider(*WIDTHS)
        connect(m, flipped(self.i), dut.i)
        connect(m, dut.o, flipped(self.o))
        numerator = (1 << numerator_bits) - 1

        divisor = Signal(divisor_bits, init=numerator)
        inside = Signal()
        age = Signal(range(quotient_bits + 2))
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += inside.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [divisor.eq(self.i.payload), inside.eq(1), age.eq(0)]
        with m.Elif(age <= quotient_bits):
            m.d.sync += age.eq(age + 1)
        if self.promise:
            m.d.comb += Assume(~self.i.valid | (self.i.payload >= 1 << (numerator_bits - quotient_bits)))

        product = Signal(divisor_bits + quotient_bits)
        m.d.comb += product.eq(self.o.payload * divisor)
        m.d.comb += Assert(~inside | self.o.valid | (age < quotient_bits))
        # Nothing is taken or offered that the age does not speak of.
        m.d.comb += Assert(inside == (self.o.valid | ~self.i.ready))
        with m.If(self.o.valid):
            m.d.comb += Assert(product <= numerator)
            m.d.comb += Assert(product + divisor > numerator)
        return m


def test_quotients_are_exact():
    prove(DividerProof(), DEPTH, "prove")


def test_a_broken_promise_is_found():
    refute(DividerProof(promise=False), DEPTH)


def test_a_broken_divider_is_found(monkeypatch: pytest.MonkeyPatch):
    # It subtracts again where the last subtraction went too far.
    monkeypatch.setattr(divider, "Mux", lambda negative, add, subtract: subtract)
    refute(DividerProof(), DEPTH)
