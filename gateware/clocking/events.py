"""Events that cross between the domains `sync` and `fast`; the latter's clock is twice as fast, with aligned edges."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.contracts import require

__all__ = ["EventToFast", "EventToSync", "FastReset"]


class EventToFast(wiring.Component):
    """Each cycle of ``sync`` with ``i`` is one cycle of ``fast`` with ``o``, two to three of its cycles later.

    Of what crosses, a register that changes its value with each event is all.

    Members
    -------
    i : In(1), in ``sync``
    o : Out(1), in ``fast``
    """

    i: In(1)
    o: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        toggled, arrived, before = (Signal(name=name) for name in ("toggled", "arrived", "before"))
        m.d.sync += toggled.eq(toggled ^ self.i)
        m.d.fast += [arrived.eq(toggled), before.eq(arrived)]
        m.d.comb += self.o.eq(arrived ^ before)
        return m


class EventToSync(wiring.Component):
    """Each cycle of ``fast`` with ``i`` is one cycle of ``sync`` with ``o``, one to two cycles of ``sync`` later.

    There must be a cycle without ``i`` after each cycle with it: two events of one cycle of ``sync`` would be none.

    Members
    -------
    i : In(1), in ``fast``
    o : Out(1), in ``sync``
    """

    i: In(1)
    o: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        toggled, arrived, before, previous = (
            Signal(name=name) for name in ("toggled", "arrived", "before", "previous")
        )
        m.d.fast += [toggled.eq(toggled ^ self.i), previous.eq(self.i)]
        m.d.sync += [arrived.eq(toggled), before.eq(arrived)]
        m.d.comb += self.o.eq(arrived ^ before)
        text = "events for the slower domain are two of the faster one's cycles apart"
        require(m, platform, self, text, ~(self.i & previous), domain="fast")
        return m


class FastReset(wiring.Component):
    """A reset of ``sync`` as a reset of ``fast``: it begins and ends two to three of ``fast``'s cycles later.

    Members
    -------
    i : In(1), in ``sync``
        For at least four cycles, and four more before anything crosses.
    o : Out(1), in ``fast``
    """

    i: In(1)
    o: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        held = Signal(init=1)
        reset = Signal(init=1, reset_less=True)
        m.d.sync += held.eq(self.i)
        m.d.fast += reset.eq(held)
        m.d.comb += self.o.eq(reset)
        return m
