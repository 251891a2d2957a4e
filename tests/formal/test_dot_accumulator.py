"""Proof that an accumulator of the array does, for ever, what its control says."""

from amaranth.hdl import Assert, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from gateware.array.element import Accumulator
from gateware.array.layouts import Step
from tests.formal.prove import prove, refute


class Accumulated(wiring.Component):
    """An accumulator is replaced, added to, or shifted and added to; it wraps; `valid` holds it."""

    def __init__(self, shift: int = 8):
        self.shift = shift
        super().__init__({"p": In(signed(18)), "carry": In(1), "step": In(Step)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = Accumulator(26)
        m.d.comb += [dut.p.eq(self.p), dut.carry.eq(self.carry), dut.step.eq(self.step)]
        expected = Signal(signed(26), reset_less=True)
        kept = Mux(self.step.first, 0, Mux(self.step.shift, expected << self.shift, expected))
        with m.If(self.step.valid):
            m.d.sync += expected.eq(kept + self.p + self.carry)
        m.d.comb += Assert(dut.acc == expected)
        return m


def test_the_accumulator():
    prove(Accumulated(), 1, "prove")
    refute(Accumulated(shift=7), 4)
