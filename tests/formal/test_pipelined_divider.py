"""Proof that the pipelined reciprocal divides, for every sequence of divisors, at a reduced width."""

import pytest
from amaranth.hdl import Assert, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from gateware.arith import pipelined_divider
from gateware.arith.pipelined_divider import PipelinedReciprocal
from tests.formal.prove import prove, refute

WIDTH = 8


class PipelinedDividerProof(wiring.Component):
    """``latency`` cycles after a divisor that is not 0, the quotient is the floor of the fraction."""

    def __init__(self, latency: int | None = None) -> None:
        self.latency = latency
        super().__init__({"divisor": In(WIDTH)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = dut = PipelinedReciprocal(WIDTH)
        m.d.comb += dut.divisor.eq(self.divisor)
        divisor: Value = self.divisor
        for stage in range(self.latency or dut.latency):
            held = Signal(WIDTH, name=f"divisor_{stage}", reset_less=True)  # at first 0: no divisor
            m.d.sync += held.eq(divisor)
            divisor = held
        product = Signal(2 * WIDTH)
        m.d.comb += product.eq(dut.quotient * divisor)
        numerator = (1 << WIDTH) - 1
        with m.If(divisor != 0):
            m.d.comb += Assert(product <= numerator)
            m.d.comb += Assert(product + divisor > numerator)
        return m


def test_quotients_are_exact():
    prove(PipelinedDividerProof(), WIDTH, "prove")


@pytest.mark.parametrize("latency", [WIDTH - 1, WIDTH + 1])
def test_another_latency_is_refuted(latency: int):
    refute(PipelinedDividerProof(latency), WIDTH + 2)


def test_a_broken_divider_is_found(monkeypatch: pytest.MonkeyPatch):
    # It never subtracts.
    monkeypatch.setattr(pipelined_divider, "Mux", lambda goes, subtract, keep: subtract)
    refute(PipelinedDividerProof(), WIDTH + 2)
