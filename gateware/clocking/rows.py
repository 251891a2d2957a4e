"""A queue that is filled in the domain `fast` and emptied in `sync`."""

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from gateware.contracts import require

__all__ = ["QueueToSync"]


class QueueToSync(wiring.Component):
    """A queue in LUT memory, written in ``fast`` and read in ``sync``, whose writer knows that there is room.

    A payload may come in each cycle of ``fast``, and leaves in a cycle of ``sync``; it appears at ``o`` two to three
    cycles of ``sync`` after it came into an empty queue.

    Parameters
    ----------
    shape
        Of a payload.
    depth : int
        Payloads it holds; a power of two of at least 2.

    Members
    -------
    i : In(data, valid), in ``fast``
    o : Out(stream), in ``sync``
    """

    def __init__(self, shape: ShapeLike, depth: int) -> None:
        require_range("QueueToSync", "depth", depth, 2)
        if depth & (depth - 1):
            raise ValueError(f"QueueToSync: depth must be a power of two, not {depth}.")
        self.shape, self.depth = shape, depth
        super().__init__(
            {"i": In(data.StructLayout({"valid": 1, "payload": shape})), "o": Out(stream.Signature(shape))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ram = ram = memory.Memory(
            shape=self.shape, depth=self.depth, init=[], attrs={"ram_style": "distributed"}
        )
        writer, reader = ram.write_port(domain="fast"), ram.read_port(domain="comb")
        # Both count to twice the depth, so that full and empty are not alike.
        head, arrived, tail = (Signal(range(2 * self.depth), name=name) for name in ("head", "arrived", "tail"))
        m.d.comb += [
            writer.en.eq(self.i.valid),
            writer.addr.eq(head),
            writer.data.eq(self.i.payload),
            reader.addr.eq(tail),
        ]
        m.d.fast += head.eq(head + self.i.valid)
        m.d.sync += arrived.eq(head)
        with m.If((arrived != tail) & (self.o.ready | ~self.o.valid)):
            m.d.sync += [self.o.payload.eq(reader.data), self.o.valid.eq(1), tail.eq(tail + 1)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        level = Signal(range(2 * self.depth))
        m.d.comb += level.eq(head - tail)
        require(
            m,
            platform,
            self,
            "the queue has room for what comes",
            ~(self.i.valid & (level == self.depth)),
            domain="fast",
        )
        return m
