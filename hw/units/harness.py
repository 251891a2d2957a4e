"""Registers around a unit, so that every path of it lies between two registers and no port needs a pin."""

from amaranth.hdl import Cat, ClockDomain, ClockSignal, DomainRenamer, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Harness"]


class Harness(wiring.Component):
    """A unit with its inputs in a shift register and its outputs folded, from registers, into one bit.

    Four pins stay. Every input, and the unit's reset, is one place of a shift register; every output is registered
    and goes, by one exclusive-or, into the next place of another. So nothing is optimised away, and nothing here is
    slower than a LUT between two registers.

    Parameters
    ----------
    unit : wiring.Component
        Of the ``sync`` domain.

    Members
    -------
    i, o : In(1), Out(1)
        Ends of the two chains.
    """

    def __init__(self, unit: wiring.Component) -> None:
        self.unit = unit
        super().__init__({"i": In(1), "o": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains.unit = domain = ClockDomain("unit")
        m.submodules.unit = DomainRenamer("unit")(self.unit)
        inputs: list[Value] = [domain.rst]
        outputs: list[Value] = []
        for _, member, value in self.unit.signature.flatten(self.unit):
            (inputs if member.flow == In else outputs).append(Value.cast(value))
        width = sum(len(value) for value in inputs)
        places = Signal(width, reset_less=True)
        m.d.comb += [
            ClockSignal("unit").eq(ClockSignal("sync")),
            Cat(*inputs).eq(places),
        ]
        m.d.sync += places.eq(Cat(self.i, places))
        seen = Signal(sum(len(value) for value in outputs), reset_less=True)
        folded = Signal(len(seen), reset_less=True)
        m.d.sync += [seen.eq(Cat(*outputs)), folded.eq(seen ^ Cat(self.i, folded))]
        m.d.comb += self.o.eq(folded[-1])
        return m
