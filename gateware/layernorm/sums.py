"""First pass of I-LayerNorm: sum and sum of squares of four interleaved rows."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.delay import delayed
from gateware.arith.multiplier import Multiplier

__all__ = ["RowSums"]


class RowSums(wiring.Component):
    """Sums over rows of elements with offset 2^15, so that all of it is unsigned: two elements of one row a cycle.

    Rows take turns: the words of row 0, 1, 2, 3, then 0 again. The sums of a row leave ``latency`` cycles after the
    row's last word, so those of a group leave in four cycles running. Words may come with any gaps.

    Parameters
    ----------
    sum_bits, square_bits : int
        Widths of the results; the squares are summed modulo ``2^square_bits``.
    channel_bits : int
        Bits of the half row length.
    square_style : str
        Style of the two squares' `Multiplier`: ``"lut"`` or ``"plain"``, which infers a DSP block each.

    Members
    -------
    valid, first, last : In(1)
        A word is here; it is the row's first; its last.
    u0, u1 : In(16)
        Two elements plus 2^15.
    half : In(channel_bits)
        What the sum starts with: half the row's length, for a later division that rounds to nearest.
    sums_valid, total, squares : Out
        ``half + sum u`` and ``sum u^2`` of a row.
    """

    def __init__(self, sum_bits: int, square_bits: int, channel_bits: int, square_style: str = "plain") -> None:
        self.sum_bits, self.square_bits, self.square_style = sum_bits, square_bits, square_style
        super().__init__(
            {
                "valid": In(1),
                "first": In(1),
                "last": In(1),
                "u0": In(16),
                "u1": In(16),
                "half": In(channel_bits),
                "sums_valid": Out(1),
                "total": Out(sum_bits),
                "squares": Out(square_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.square0 = square0 = Multiplier(16, 16, False, False, style=self.square_style)
        m.submodules.square1 = square1 = Multiplier(16, 16, False, False, style=self.square_style)
        latency = square0.latency
        m.d.comb += [
            square0.a.eq(self.u0),
            square0.b.eq(self.u0),
            square1.a.eq(self.u1),
            square1.b.eq(self.u1),
        ]

        pair = Signal(17)
        m.d.comb += pair.eq(self.u0 + self.u1)
        # One cycle more than the multipliers, for the sum of the two squares.
        pair = delayed(m, pair, latency + 1, "pair")
        valid, first, last = (
            delayed(m, flag, latency + 1, name, reset=True)
            for flag, name in ((self.valid, "valid"), (self.first, "first"), (self.last, "last"))
        )
        squares = Signal(33, reset_less=True)
        m.d.sync += squares.eq(square0.p + square1.p)

        # The sums of the four rows go round: the oldest is that of the row whose word is here.
        totals = [Signal(self.sum_bits, name=f"total_{index}", reset_less=True) for index in range(4)]
        powers = [Signal(self.square_bits, name=f"squares_{index}", reset_less=True) for index in range(4)]
        with m.If(valid):
            m.d.sync += [
                totals[0].eq(Mux(first, self.half, totals[3]) + pair),
                powers[0].eq(Mux(first, 0, powers[3]) + squares),
            ]
            m.d.sync += [totals[index + 1].eq(totals[index]) for index in range(3)]
            m.d.sync += [powers[index + 1].eq(powers[index]) for index in range(3)]
        m.d.sync += self.sums_valid.eq(valid & last)
        m.d.comb += [self.total.eq(totals[0]), self.squares.eq(powers[0])]
        return m
