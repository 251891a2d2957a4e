"""The memory of channel constants, and its reader in the order of the tiles."""

from amaranth.hdl import Module, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.arith.checks import require_range
from gateware.arith.dyadic import channel_layout, channel_write_port
from gateware.config import LANES
from gateware.contracts import NUMBER_BITS, Shared, reads, require, watched, writes
from gateware.stream.fifo import StreamFifo

__all__ = ["ConstantMemory"]


class ConstantMemory(wiring.Component):
    """Gives each tile the records of its four columns, one a cycle.

    Parameters
    ----------
    depth : int
        Channels.
    multiplier_bits : int
        Magnitude of a multiplier.

    Members
    -------
    write : Out(channel_write_port(depth, multiplier_bits))
    tile : In(stream)
        The first column's channel.
    o : Out(stream of channel_layout(multiplier_bits))

    Attributes
    ----------
    number, write_number : Signal
        Where contracts are watched: the operations of ``tile`` and of ``write``.
    """

    def __init__(self, depth: int, multiplier_bits: int) -> None:
        require_range("ConstantMemory", "depth", depth, LANES)
        self.depth, self.record = depth, channel_layout(multiplier_bits)
        self.address_bits = (depth - 1).bit_length()
        self.number, self.write_number = Signal(NUMBER_BITS), Signal(NUMBER_BITS)
        super().__init__(
            {
                "write": Out(channel_write_port(depth, multiplier_bits)),
                "tile": In(stream.Signature(self.address_bits)),
                "o": Out(stream.Signature(self.record)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ram = ram = memory.Memory(shape=self.record, depth=self.depth, init=[])
        m.submodules.queue = queue = StreamFifo(self.record, 8)
        reader = ram.read_port()
        connect(m, flipped(self.write), ram.write_port())
        connect(m, queue.o, flipped(self.o))
        here, left = Signal(self.address_bits), Signal(range(LANES + 1))
        reading, arriving = Signal(), Signal()
        m.d.comb += [
            reader.addr.eq(here),
            self.tile.ready.eq(left == 0),
            reading.eq((left != 0) & (queue.level < 6)),
            queue.i.valid.eq(arriving),
            queue.i.payload.eq(reader.data),
        ]
        m.d.sync += arriving.eq(reading)
        with m.If(self.tile.ready & self.tile.valid):
            m.d.sync += [here.eq(self.tile.payload), left.eq(LANES)]
        with m.Elif(reading):
            m.d.sync += [here.eq(here + 1), left.eq(left - 1)]
        require(m, platform, self, "a record finds room in the queue", ~arriving | queue.i.ready)
        if watched(platform):
            number, shared = Signal(NUMBER_BITS), Shared("constants", self.depth)
            with m.If(self.tile.ready & self.tile.valid):
                m.d.sync += number.eq(self.number)
            reads(m, platform, shared, "EXEC", reading, number, here)
            writes(m, platform, shared, "LOADB", self.write.en, self.write_number, self.write.addr)
        return m
