"""Reads beats by a strided descriptor, ahead of their consumer."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.config import BEAT_BITS
from gateware.contracts import require, watched
from gateware.isa import ADDRESS_BITS
from gateware.memory.port import ReadPort
from gateware.memory.strides import StridedCounter, descriptor_layout
from gateware.stream.fifo import StreamFifo

__all__ = ["ReadBeat", "StridedReader"]


class ReadBeat(data.Struct):
    """A beat that was read; ``last``: its descriptor's last one."""

    beat: BEAT_BITS
    last: 1


class StridedReader(wiring.Component):
    """Asks for one beat a cycle while its queue has room for the answers.

    Parameters
    ----------
    levels : int
        Nested loops of a descriptor.
    address_bits : int
        Bits of a beat address of the memory.
    depth : int
        Beats asked for and not yet taken; a power of two. A memory of latency L is used fully from L beats on.

    Members
    -------
    descriptor : In(stream of descriptor_layout(levels, isa.ADDRESS_BITS))
        Taken when the one before has been asked for completely.
    memory : Out(ReadPort)
    o : Out(stream of ReadBeat)
        A beat, and whether it is its descriptor's last.
    wrapped : Out(1)
        A descriptor left the memory; the beat is not asked for, and the reader stops.
    empty : Out(1)
        Every beat that was asked for has been taken.
    """

    def __init__(self, levels: int, address_bits: int, depth: int = 32) -> None:
        self.levels, self.address_bits, self.depth = levels, address_bits, depth
        super().__init__(
            {
                "descriptor": In(stream.Signature(descriptor_layout(levels, ADDRESS_BITS))),
                "memory": Out(ReadPort(address_bits)),
                "o": Out(stream.Signature(ReadBeat)),
                "wrapped": Out(1),
                "empty": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.counter = counter = StridedCounter(self.levels, ADDRESS_BITS)
        m.submodules.queue = queue = StreamFifo(BEAT_BITS, self.depth)
        m.submodules.ends = ends = StreamFifo(1, self.depth)
        held = Signal(descriptor_layout(self.levels, ADDRESS_BITS))
        begin = Signal()  # the descriptor is in `held` from this cycle on
        room, credit = Signal(init=1), Signal(range(self.depth + 1), init=self.depth)
        asked, left, outside = Signal(), Signal(), Signal()
        m.d.comb += [
            self.descriptor.ready.eq(~counter.valid & ~begin),
            counter.descriptor.eq(held),
            counter.start.eq(begin),
            outside.eq(counter.wrapped | counter.address[self.address_bits :].any()),
            self.wrapped.eq(counter.valid & outside),
            self.empty.eq(credit == self.depth),
            self.memory.cmd.valid.eq(counter.valid & room & ~outside),
            self.memory.cmd.payload.eq(counter.address),
            asked.eq(self.memory.cmd.valid & self.memory.cmd.ready),
            counter.step.eq(asked),
            queue.i.valid.eq(self.memory.valid),
            queue.i.payload.eq(self.memory.beat),
            ends.i.valid.eq(asked),
            ends.i.payload.eq(counter.last),
            self.o.valid.eq(queue.o.valid),
            self.o.payload.beat.eq(queue.o.payload),
            self.o.payload.last.eq(ends.o.payload),
            queue.o.ready.eq(self.o.ready),
            left.eq(queue.o.valid & self.o.ready),
            ends.o.ready.eq(left),
        ]
        m.d.sync += begin.eq(self.descriptor.valid & self.descriptor.ready)
        with m.If(self.descriptor.valid & self.descriptor.ready):
            m.d.sync += held.eq(self.descriptor.payload)
        m.d.sync += credit.eq(credit - asked + left)
        if watched(platform):
            owed = Signal(range(self.depth + 2))
            m.d.sync += owed.eq(owed + asked - self.memory.valid)
            require(m, platform, self, "memory brings only what was asked for", ~self.memory.valid | (owed != 0))
        require(m, platform, self, "a beat finds room in the queue", ~self.memory.valid | queue.i.ready)
        require(m, platform, self, "a beat's end finds room in the queue", ~asked | ends.i.ready)
        m.d.sync += room.eq(Mux(asked & ~left, credit > 1, (credit != 0) | left))
        return m
