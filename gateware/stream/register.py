"""A register between two streams that cuts both directions."""

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["HalfRateRegister", "StreamRegister"]


class StreamRegister(wiring.Component):
    """Two places for payloads, so that ``o.payload``, ``o.valid`` and ``i.ready`` all come from registers.

    Throughput one payload a cycle, latency one cycle.

    Parameters
    ----------
    shape
        Of a payload.

    Members
    -------
    i : In(stream)
    o : Out(stream)
    """

    def __init__(self, shape: ShapeLike) -> None:
        self.shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spare, waiting = Signal(self.shape), Signal()
        m.d.comb += self.i.ready.eq(~waiting)
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [self.o.valid.eq(self.i.valid | waiting), waiting.eq(0)]
            with m.If(waiting):
                m.d.sync += self.o.payload.eq(spare)
            with m.Else():
                m.d.sync += self.o.payload.eq(self.i.payload)
        with m.Elif(self.i.valid & ~waiting):
            m.d.sync += [spare.eq(self.i.payload), waiting.eq(1)]
        return m


class HalfRateRegister(wiring.Component):
    """One place for a payload, which leaves before the next is taken. It cuts both directions without a multiplexer.

    Throughput one payload in two cycles, latency one cycle.

    Parameters
    ----------
    shape
        Of a payload.

    Members
    -------
    i : In(stream)
    o : Out(stream)
    """

    def __init__(self, shape: ShapeLike) -> None:
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.comb += self.i.ready.eq(~self.o.valid)
        with m.If(self.i.ready):
            m.d.sync += [self.o.valid.eq(self.i.valid), self.o.payload.eq(self.i.payload)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m
