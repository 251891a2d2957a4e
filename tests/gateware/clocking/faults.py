"""Crossings with the faults that such crossings have in practice: what benches and proofs must find."""

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Direct", "Forgetful", "Hasty", "Level"]


class _Stream(wiring.Component):
    def __init__(self, shape: ShapeLike) -> None:
        self.shape = shape
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})


class Direct(wiring.Component):
    """Fault: no register that changes its value, but the faster domain's pulse itself, which `sync` may not see."""

    i: In(1)
    o: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pulse, arrived = Signal(), Signal()
        m.d.fast += pulse.eq(self.i)
        m.d.sync += arrived.eq(pulse)
        m.d.comb += self.o.eq(arrived)
        return m


class Level(wiring.Component):
    """Fault: the slower domain's pulse itself, which `fast` sees in two cycles."""

    i: In(1)
    o: Out(1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        pulse = Signal()
        m.d.sync += pulse.eq(self.i)
        m.d.fast += self.o.eq(pulse)
        return m


class Forgetful(_Stream):
    """Fault: an offer is a level and no change of value; one that was taken is seen again until its sender knows."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        offered, returned, taken = Signal(), Signal(), Signal()
        m.d.sync += [offered.eq(self.i.valid & ~self.i.ready), returned.eq(taken)]
        m.d.fast += [self.o.valid.eq(offered), self.o.payload.eq(self.i.payload)]
        m.d.fast += taken.eq(taken ^ (self.o.valid & self.o.ready))
        before = Signal()
        m.d.sync += before.eq(returned)
        m.d.comb += self.i.ready.eq(returned ^ before)
        return m


class Hasty(_Stream):
    """Fault: the sender does not wait until its payload has arrived."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        put, held, arrived, got = Signal(), Signal(self.shape), Signal(), Signal()
        m.d.comb += self.i.ready.eq(1)
        with m.If(self.i.valid):
            m.d.fast += [held.eq(self.i.payload), put.eq(~put)]
        m.d.sync += arrived.eq(put)
        with m.If((arrived != got) & (self.o.ready | ~self.o.valid)):
            m.d.sync += [self.o.payload.eq(held), self.o.valid.eq(1), got.eq(arrived)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m
