"""What crosses between the clocks is a register on both sides with nothing in between; a register left out is found."""

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.clocking.events import FastReset
from gateware.clocking.execute import ExecuteCrossing
from gateware.clocking.rows import QueueToSync
from tests.gateware.clocking.paths import paths


class LeftOut(wiring.Component):
    """An event that is taken from the other domain's logic: a register is left out."""

    i: In(1)
    o: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        toggled, before = Signal(), Signal()
        m.d.fast += toggled.eq(toggled ^ self.i)
        m.d.sync += before.eq(toggled)
        m.d.sync += self.o.eq(toggled ^ before)
        return m


@pytest.mark.parametrize(
    "unit", [ExecuteCrossing(), QueueToSync(4, 2), FastReset()], ids=lambda one: type(one).__name__
)
def test_registers_on_both_sides(unit: wiring.Component):
    found = paths(unit)
    assert found and [str(path) for path in found if not path.direct] == []


def test_a_register_that_is_left_out_is_found():
    assert any(not path.direct for path in paths(LeftOut()))
