"""Per-channel constants of I-LayerNorm and its rescale: their layout, and a memory that reads them in pairs."""

from amaranth.hdl import Cat, EnableInserter, Module, Shape, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.arith.round_shift import SHIFT_BITS

__all__ = ["PairMemory", "constant_values"]


def constant_values(bias: int, multiplier: int, shift: int, multiplier_bits: int) -> dict[str, int]:
    """A record's fields from a channel's constants, as the unit holds them.

    A magnitude of ``2^multiplier_bits`` is halved with its shift, and a shift beyond 127 becomes 127 (the result is 0
    either way); both are exact. Raises ValueError for what the unit cannot hold.
    """
    if abs(multiplier) == 1 << multiplier_bits:
        multiplier, shift = (multiplier // 2, shift - 1)
    if abs(multiplier) >> multiplier_bits:
        raise ValueError(
            f"LayerNorm: a multiplier must have at most {multiplier_bits} bits, not {multiplier}; "
            "quantise for this machine's arithmetic."
        )
    if shift < 0:
        raise ValueError(f"LayerNorm: a rescale's shift must not be negative, not {shift}; raise the output's scale.")
    if not -(1 << 31) <= bias < 1 << 31:
        raise ValueError(f"LayerNorm: a bias must have at most 32 bits, not {bias}; raise the gamma of its channel.")
    return {"bias": bias, "multiplier": multiplier, "shift": min(shift, (1 << SHIFT_BITS) - 1)}


class PairMemory(wiring.Component):
    """A memory of a value a channel, from which the pair of values that four words in a row share is read in order.

    The two reads that a pair takes are spread over its four words, so one port does. The pair's values hold for the
    word that entered three enabled cycles ago.

    Parameters
    ----------
    shape : of a value
    depth : int
        Channels, even.

    Members
    -------
    write : Out(memory.WritePort.Signature)
        Of a channel's value, independent of ``en``.
    en : In(1)
        Everything else advances while this is high.
    valid, row, last : In
        A word of that row enters; its pair is the last of the matrix rows.
    even, odd : Out
        Values of the pair's two channels.
    """

    def __init__(self, shape: Shape | data.Layout, depth: int) -> None:
        self.shape, self.depth = shape, depth
        super().__init__(
            {
                "write": Out(memory.WritePort.Signature(addr_width=(depth - 1).bit_length(), shape=shape)),
                "en": In(1),
                "valid": In(1),
                "row": In(2),
                "last": In(1),
                "even": Out(shape),
                "odd": Out(shape),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.memory = values = memory.Memory(shape=self.shape, depth=self.depth, init=[])
        reader = values.read_port()
        connect(m, flipped(self.write), values.write_port())

        sequencer = Module()
        pair = Signal(range(max(2, self.depth // 2)))
        arrived = Signal(2)  # whether the data read are the even or the odd channel's
        held = Signal(self.shape, reset_less=True)
        even, odd = Signal(self.shape, reset_less=True), Signal(self.shape, reset_less=True)
        sequencer.d.comb += [reader.addr.eq(Cat(self.row[0], pair)), reader.en.eq(self.en)]
        sequencer.d.sync += [
            arrived.eq(Cat(self.valid & (self.row == 0), self.valid & (self.row == 1))),
        ]
        with sequencer.If(self.valid & (self.row == 3)):
            sequencer.d.sync += pair.eq(pair + 1)
            with sequencer.If(self.last):
                sequencer.d.sync += pair.eq(0)
        with sequencer.If(arrived[0]):
            sequencer.d.sync += held.eq(reader.data)
        with sequencer.If(arrived[1]):
            sequencer.d.sync += [even.eq(held), odd.eq(reader.data)]
        sequencer.d.comb += [self.even.eq(even), self.odd.eq(odd)]
        m.submodules.sequencer = EnableInserter(self.en)(sequencer)
        return m
