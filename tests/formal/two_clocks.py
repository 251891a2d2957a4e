"""A unit of the domains `sync` and `fast` as a proof takes it: with one clock, `fast`'s, of which `sync` takes each
second edge."""

from amaranth.hdl import Assume, DomainRenamer, Elaboratable, EnableInserter, Module, ResetSignal, Signal, Value
from amaranth.lib import wiring

from tests.formal.prove import any_constant

__all__ = ["TwoClocks"]


class TwoClocks(wiring.Component):
    """A harness: `phase` says which of the clock's edges the slower one begins with, and is free.

    Members are free inputs; what belongs to ``sync`` goes through `slow`.
    """

    def __init__(self, members: dict[str, wiring.Member]) -> None:
        self.edge = Signal()  # this cycle ends with an edge of both clocks
        super().__init__({"phase": wiring.In(1), **members})

    def clocked(self, m: Module, unit: Elaboratable) -> None:
        """The unit, and the clocks."""
        m.d.comb += Assume(~ResetSignal())
        even = Signal()
        m.d.sync += even.eq(~even)
        m.d.comb += self.edge.eq(even ^ any_constant(m, 1, self.phase))
        m.submodules.unit = DomainRenamer({"fast": "sync"})(EnableInserter({"sync": self.edge})(unit))

    def slow(self, m: Module, value: Value) -> Signal:
        """A free value of the slower domain: the same for both of a cycle's halves."""
        kept = Signal(len(value))
        with m.If(self.edge):
            m.d.sync += kept.eq(value)
        return kept
