"""A first-in first-out queue between two streams."""

from amaranth.hdl import Module, ShapeLike, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range

__all__ = ["StreamFifo"]


class StreamFifo(wiring.Component):
    """A queue in LUT memory with a registered output. No combinational path joins its two sides.

    Throughput one payload a cycle; a payload appears at ``o`` two cycles after it entered an empty queue.

    Parameters
    ----------
    shape
        Of a payload.
    depth : int
        Payloads it holds beside the one in the output register; a power of two of at least 2.

    Members
    -------
    i : In(stream)
    o : Out(stream)
    level : Out
        Payloads inside, the output register not counted.
    """

    def __init__(self, shape: ShapeLike, depth: int) -> None:
        require_range("StreamFifo", "depth", depth, 2)
        if depth & (depth - 1):
            raise ValueError(f"StreamFifo: depth must be a power of two, not {depth}.")
        self.shape, self.depth = shape, depth
        super().__init__(
            {
                "i": In(stream.Signature(shape)),
                "o": Out(stream.Signature(shape)),
                "level": Out(range(depth + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # Asynchronous reading makes it LUT memory: block RAM is for operands.
        m.submodules.ram = ram = memory.Memory(
            shape=self.shape, depth=self.depth, init=[], attrs={"ram_style": "distributed"}
        )
        writer, reader = ram.write_port(), ram.read_port(domain="comb")
        head, tail = Signal(range(self.depth)), Signal(range(self.depth))
        level, full, some = Signal(range(self.depth + 1)), Signal(), Signal()
        put, get = Signal(), Signal()
        m.d.comb += [
            self.level.eq(level),
            self.i.ready.eq(~full),
            put.eq(self.i.valid & ~full),
            get.eq(some & (self.o.ready | ~self.o.valid)),
            writer.addr.eq(head),
            writer.data.eq(self.i.payload),
            writer.en.eq(put),
            reader.addr.eq(tail),
        ]
        with m.If(put):
            m.d.sync += head.eq(head + 1)
        with m.If(get):
            m.d.sync += [tail.eq(tail + 1), self.o.payload.eq(reader.data), self.o.valid.eq(1)]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(put & ~get):
            m.d.sync += [level.eq(level + 1), full.eq(level == self.depth - 1), some.eq(1)]
        with m.Elif(get & ~put):
            m.d.sync += [level.eq(level - 1), full.eq(0), some.eq(level != 1)]
        return m
