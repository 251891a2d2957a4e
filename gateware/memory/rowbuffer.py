"""A ring of words in block RAM: rows wait here between the pass that measures them and the pass that uses them."""

from amaranth.hdl import Module, Signal, ValueLike
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range

__all__ = ["RowBuffer"]


class RowBuffer(wiring.Component):
    """First in, first out, one word in and one word out a cycle, without the latency of a handshake at its output.

    A word is written in the cycle of ``write``, if ``writable``. ``data`` is the oldest word one cycle after ``read``,
    and stays until the next ``read``. A word may be read from the cycle after its write on. The reader knows how many
    words there are, as a reader of whole rows does, so nothing here guards against reading an empty ring.

    Parameters
    ----------
    width : int
        Bits of a word.
    depth : int
        Words, at least 2; any number.

    Members
    -------
    write, word : In
        Append ``word``.
    writable : Out(1)
        There is room for a word.
    read : In(1)
        Take the oldest word.
    data : Out(width)
        The word that the last ``read`` took.
    level : Out
        Words written and not yet taken.
    """

    def __init__(self, width: int, depth: int) -> None:
        require_range("RowBuffer", "width", width, 1)
        require_range("RowBuffer", "depth", depth, 2)
        self.width, self.depth = width, depth
        super().__init__(
            {
                "write": In(1),
                "word": In(width),
                "writable": Out(1),
                "read": In(1),
                "data": Out(width),
                "level": Out(range(depth + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ram = ram = memory.Memory(shape=self.width, depth=self.depth, init=[])
        writer, reader = ram.write_port(), ram.read_port()
        head, tail = Signal(range(self.depth)), Signal(range(self.depth))

        def advance(pointer: Signal) -> ValueLike:
            following = Signal.like(pointer)
            m.d.comb += following.eq(pointer + 1)
            with m.If(pointer == self.depth - 1):
                m.d.comb += following.eq(0)
            return following

        after_head, after_tail = advance(head), advance(tail)
        full = Signal()
        m.d.comb += [
            self.writable.eq(~full),
            writer.addr.eq(head),
            writer.data.eq(self.word),
            writer.en.eq(self.write & ~full),
            reader.addr.eq(tail),
            reader.en.eq(self.read),
            self.data.eq(reader.data),
        ]
        with m.If(writer.en):
            m.d.sync += head.eq(after_head)
        with m.If(self.read):
            m.d.sync += tail.eq(after_tail)
        with m.If(writer.en & ~self.read):
            m.d.sync += [self.level.eq(self.level + 1), full.eq(self.level == self.depth - 1)]
        with m.Elif(self.read & ~writer.en):
            m.d.sync += [self.level.eq(self.level - 1), full.eq(0)]
        return m
