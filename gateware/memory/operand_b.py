"""The B buffer: one beat wide, the operand of all columns in a step."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from gateware.config import BEAT_BITS
from gateware.contracts import NUMBER_BITS, Ended, Shared, require, watched, writes

__all__ = ["OperandB", "beat_store_layout", "operand_b"]


def operand_b(depth: int) -> Shared:
    """The buffer as operations share it, by beats."""
    return Shared("operand B", depth)


def beat_store_layout(depth: int) -> data.StructLayout:
    """A beat and its address."""
    return data.StructLayout({"beat": BEAT_BITS, "address": (depth - 1).bit_length()})


class OperandB(wiring.Component):
    """``depth`` beats, with two writers that take turns when both have something.

    A beat is written a cycle and can be read 3 cycles after it was taken. A read takes 2 cycles.

    Parameters
    ----------
    depth : int
        Beats.
    read_domain : str
        Of ``address`` and ``data``, and whose cycles a read takes.

    Members
    -------
    write : In(stream of beat_store_layout(depth)) x 2
    address : In
    data : Out(128)
        What stood at the address two cycles ago.

    Attributes
    ----------
    numbers : list of Signal, ended : list of Ended
        Where contracts are watched: the operations of ``write``; and as they are said to be over.
    """

    WRITE_LATENCY = 3

    def __init__(self, depth: int, read_domain: str = "sync") -> None:
        require_range("OperandB", "depth", depth, 2, 1 << 16)
        self.depth, self.read_domain = depth, read_domain
        self.numbers = [Signal(NUMBER_BITS, name=f"number_{index}") for index in range(2)]
        self.ended = [Ended("first"), Ended("second")]
        super().__init__(
            {
                "write": In(stream.Signature(beat_store_layout(depth))).array(2),
                "address": In(range(depth)),
                "data": Out(BEAT_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ram = ram = memory.Memory(shape=BEAT_BITS, depth=self.depth, init=[], attrs={"ram_style": "block"})
        writer, reader = ram.write_port(), ram.read_port(domain=self.read_domain)
        turn = Signal()  # who goes first: a register, so that neither's ready hangs on the other's valid
        m.d.sync += turn.eq(Mux(self.write[0].valid & self.write[1].valid, ~turn, self.write[1].valid))
        m.d.comb += [self.write[0].ready.eq(~turn), self.write[1].ready.eq(turn)]
        chosen, taken = Signal(beat_store_layout(self.depth), reset_less=True), Signal()
        m.d.sync += [
            chosen.eq(Mux(turn, self.write[1].payload.as_value(), self.write[0].payload.as_value())),
            taken.eq(Mux(turn, self.write[1].valid, self.write[0].valid)),
        ]
        out = Signal(BEAT_BITS, reset_less=True)
        m.d[self.read_domain] += out.eq(reader.data)
        m.d.comb += [
            writer.en.eq(taken),
            writer.addr.eq(chosen.address),
            writer.data.eq(chosen.beat),
            reader.addr.eq(self.address),
            self.data.eq(out),
        ]
        if watched(platform):
            number = Signal(NUMBER_BITS)
            for end in self.ended:
                text = f"an operation of the {end.who} writer ends when its beats can be read"
                require(m, platform, self, text, ~(end.told & taken & (number == end.number)))
            m.d.sync += number.eq(Mux(turn, self.numbers[1], self.numbers[0]))
            writes(m, platform, operand_b(self.depth), "a load", taken, number, chosen.address)
        return m
