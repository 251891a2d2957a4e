"""The statistics of Fully-8bit's L1 LayerNorm: the mean, the absolute deviations from it, and their reciprocal."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from gateware.config import LANES
from gateware.layernorm.l1_divisions import DIVISION_CYCLES, MEAN_CYCLES, DeviationReciprocal, RowMean
from gateware.layernorm.lanes import PAIR
from gateware.layernorm.root import RESULT
from gateware.layernorm.variance import MEAN_BITS
from gateware.memory.rowbuffer import RowBuffer

__all__ = ["L1Statistics"]


class L1Statistics(wiring.Component):
    """Two passes in front of the one that normalises: the mean must be known before the deviations can be summed, where
    a variance needs only the sums of one pass.

    Words of a group wait in a row buffer of its own for their means, then leave while their deviations are summed; the
    statistics follow. A group of C channels takes ``max(2 * C, latency)`` cycles.

    Source: Fully-8bit's L1 LayerNorm; `sim.reference.ILayerNorm` with ``l1``.

    Parameters
    ----------
    max_channels, depth : int
        Longest row; words of the row buffer.

    Attributes
    ----------
    latency : int
        Cycles, at most, of either division of a group.

    Members
    -------
    half : In
        C / 2.
    i : In(stream of PAIR), word : Out(stream of PAIR)
        Words of rows 0 to 3 in turn, offset by 2^15, and the same words later. `word` may wait with its ready.
    o : Out(stream of 4 x RESULT)
        Mean and factor of a group's rows, after its last word.
    busy : Out(1)
        A word is inside.
    """

    def __init__(self, max_channels: int, depth: int) -> None:
        size = (max_channels - 1).bit_length()
        self.max_channels, self.depth = max_channels, depth
        self.half_bits = (max_channels // 2).bit_length()
        self.sum_bits = 16 + size
        self.latency = LANES * max(MEAN_CYCLES, DIVISION_CYCLES) + 4
        super().__init__(
            {
                "half": In(self.half_bits),
                "i": In(stream.Signature(PAIR)),
                "word": Out(stream.Signature(PAIR)),
                "o": Out(stream.Signature(data.ArrayLayout(RESULT, LANES))),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.rows = rows = RowBuffer(32, self.depth)
        m.submodules.mean = mean = RowMean(self.sum_bits, self.half_bits)
        m.submodules.reciprocal = reciprocal = DeviationReciprocal(self.sum_bits)
        connect(m, wiring.flipped(self.o), reciprocal.o)
        m.d.comb += mean.half.eq(self.half)
        last_pair = Signal(self.half_bits)
        m.d.sync += last_pair.eq(self.half - 1)
        self._elaborate_totals(m, rows, mean, last_pair)
        means = Signal(data.ArrayLayout(MEAN_BITS, LANES), reset_less=True)
        added, measured = Signal(), Signal()  # deviations are summed; a group's wait for the reciprocal
        reading, row, first, last = self._elaborate_reading(m, rows, mean, means, last_pair)
        m.d.comb += mean.o.ready.eq(~reading & ~self.word.valid & ~added & ~measured)
        sums = self._elaborate_deviations(m, means[row], first, added)
        m.d.comb += reciprocal.i.valid.eq(measured)
        for index, deviation in enumerate(sums):
            m.d.comb += [
                reciprocal.i.payload[index].mean.eq(means[index]),
                reciprocal.i.payload[index].magnitude.eq(deviation),
            ]
        added_last = Signal(reset_less=True)
        m.d.sync += added_last.eq(last)
        with m.If(reciprocal.i.ready):
            m.d.sync += measured.eq(0)
        with m.If(added & added_last):
            m.d.sync += measured.eq(1)
        m.d.comb += self.busy.eq((rows.level != 0) | self.word.valid | added | measured)
        return m

    def _elaborate_totals(self, m: Module, rows: RowBuffer, mean: RowMean, last_pair: Signal) -> None:
        """First pass: totals, in registers that go round with the rows; the oldest is the one of this word's row."""
        row, pair = Signal(2), Signal(self.half_bits)
        totals = [Signal(self.sum_bits, name=f"total_{index}", reset_less=True) for index in range(LANES)]
        complete, accepted = Signal(), Signal()
        here = self.i.payload
        m.d.comb += [
            self.i.ready.eq(rows.writable & ~complete),
            accepted.eq(self.i.valid & self.i.ready),
            rows.write.eq(accepted),
            rows.word.eq(Cat(here.u0, here.u1)),
            mean.i.valid.eq(complete),
        ]
        m.d.comb += [mean.i.payload[index].eq(totals[LANES - 1 - index]) for index in range(LANES)]
        with m.If(complete & mean.i.ready):
            m.d.sync += complete.eq(0)
        with m.If(accepted):
            m.d.sync += totals[0].eq(Mux(pair == 0, self.half, totals[-1]) + (here.u0 + here.u1))
            m.d.sync += [totals[index + 1].eq(totals[index]) for index in range(LANES - 1)]
            m.d.sync += row.eq(row + 1)
            with m.If(row == LANES - 1):
                m.d.sync += pair.eq(pair + 1)
                with m.If(pair == last_pair):
                    m.d.sync += [pair.eq(0), complete.eq(1)]

    def _elaborate_reading(
        self, m: Module, rows: RowBuffer, mean: RowMean, means: data.View, last_pair: Signal
    ) -> tuple[Signal, Signal, Signal, Signal]:
        """Second pass: a group's words leave once its ``means`` are here.

        Whether there are words to read, and of the word that leaves: its row, and whether it is the first of its row
        and the last of its group.
        """
        reading, able, read = Signal(), Signal(), Signal()
        out_row, out_pair, out_last = Signal(2), Signal(self.half_bits), Signal()
        m.d.comb += [
            able.eq(~self.word.valid | self.word.ready),
            out_last.eq((out_row == LANES - 1) & (out_pair == last_pair)),
            read.eq(reading & able),
            rows.read.eq(read),
            Cat(self.word.payload.u0, self.word.payload.u1).eq(rows.data),
        ]
        with m.If(mean.o.valid & mean.o.ready):
            m.d.sync += [means.eq(mean.o.payload), reading.eq(1)]
        read_row, read_first, read_last = Signal(2), Signal(), Signal()
        with m.If(able):
            m.d.sync += [
                self.word.valid.eq(reading),
                read_row.eq(out_row),
                read_first.eq(out_pair == 0),
                read_last.eq(out_last),
            ]
        with m.If(read):
            m.d.sync += out_row.eq(out_row + 1)
            with m.If(out_row == LANES - 1):
                m.d.sync += out_pair.eq(out_pair + 1)
            with m.If(out_last):
                m.d.sync += [out_pair.eq(0), reading.eq(0)]
        return reading, read_row, read_first, read_last

    def _elaborate_deviations(self, m: Module, mean: Value, first: Signal, added: Signal) -> list[Signal]:
        """``|u0 - mean| + |u1 - mean|`` of the words that leave: registered, then ``added`` to the sum of their row.

        The sums of rows 0 to 3.
        """
        taken = Signal()
        distances = []
        for index, element in enumerate((self.word.payload.u0, self.word.payload.u1)):
            difference = Signal(MEAN_BITS + 1, name=f"difference_{index}")
            distance = Signal(MEAN_BITS, name=f"distance_{index}", reset_less=True)
            m.d.comb += difference.eq(element - mean)
            m.d.sync += distance.eq(Mux(difference[-1], -difference, difference))
            distances.append(distance)
        added_first = Signal(reset_less=True)
        m.d.comb += taken.eq(self.word.valid & self.word.ready)
        m.d.sync += [added.eq(taken), added_first.eq(first)]
        magnitudes = [Signal(self.sum_bits, name=f"magnitude_{index}", reset_less=True) for index in range(LANES)]
        with m.If(added):
            m.d.sync += magnitudes[0].eq(Mux(added_first, 0, magnitudes[-1]) + (distances[0] + distances[1]))
            m.d.sync += [magnitudes[index + 1].eq(magnitudes[index]) for index in range(LANES - 1)]
        return magnitudes[::-1]
