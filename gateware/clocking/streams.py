"""Payloads that cross between the domains `sync` and `fast`, one at a time, each until the other side has it."""

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.contracts import require_held

__all__ = ["StreamToFast", "StreamToSync"]


class StreamToFast(wiring.Component):
    """A stream out of ``sync``, whose payload stays where it is until ``fast`` has taken it.

    An offer is at ``o`` two to three cycles of ``fast`` after it was made; it is taken from ``i`` one to two cycles of
    ``sync`` after it was taken at ``o``. Once made it must stay (as a stream's rules say).

    Parameters
    ----------
    shape
        Of a payload, which must come from registers of ``sync``.

    Members
    -------
    i : In(stream), in ``sync``
    o : Out(stream), in ``fast``
    """

    def __init__(self, shape: ShapeLike) -> None:
        self.shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Each of these changes its value with each payload: they are alike where nothing is under way.
        offered, arrived, seen = (Signal(name=name) for name in ("offered", "arrived", "seen"))
        taken, returned, ended = (Signal(name=name) for name in ("taken", "returned", "ended"))
        payload = Signal(self.shape, name="payload", reset_less=True)
        with m.If(self.i.valid & (offered == ended)):
            m.d.sync += offered.eq(~offered)
        m.d.fast += arrived.eq(offered)
        with m.If(arrived != seen):
            m.d.fast += [payload.eq(self.i.payload), self.o.valid.eq(1), seen.eq(arrived)]
        with m.If(self.o.valid & self.o.ready):
            m.d.fast += [self.o.valid.eq(0), taken.eq(~taken)]
        m.d.sync += [returned.eq(taken), ended.eq(returned)]
        m.d.comb += [self.i.ready.eq(returned != ended), self.o.payload.eq(payload)]
        require_held(m, platform, self, "an offer stays until it is taken", self.i.payload, offered != ended)
        return m


class StreamToSync(wiring.Component):
    """A stream out of ``fast``. A payload is at ``o`` two cycles of ``sync`` after it was taken from ``i``, or three;
    the next one is taken from ``i`` some cycles later.

    Parameters
    ----------
    shape
        Of a payload.

    Members
    -------
    i : In(stream), in ``fast``
    o : Out(stream), in ``sync``
    """

    def __init__(self, shape: ShapeLike) -> None:
        self.shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        put, arrived, got, returned = (Signal(name=name) for name in ("put", "arrived", "got", "returned"))
        held = Signal(self.shape, name="held", reset_less=True)
        m.d.comb += self.i.ready.eq(put == returned)
        with m.If(self.i.valid & self.i.ready):
            m.d.fast += [held.eq(self.i.payload), put.eq(~put)]
        m.d.fast += returned.eq(got)
        m.d.sync += arrived.eq(put)
        with m.If((arrived != got) & (self.o.ready | ~self.o.valid)):
            m.d.sync += [self.o.payload.eq(held), self.o.valid.eq(1), got.eq(arrived)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m
