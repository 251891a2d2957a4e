"""The statistics of Fully-8bit's L1 LayerNorm: mean, then the mean's absolute deviations, then their reciprocal."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from gateware.arith.divider import ReciprocalDivider
from gateware.config import LANES
from gateware.layernorm.lanes import PAIR
from gateware.layernorm.root import FACTOR_BITS, RESULT
from gateware.layernorm.variance import MEAN_BITS
from gateware.memory.rowbuffer import RowBuffer
from sim.reference.layernorm import LEAST_DEVIATION

__all__ = ["DIVISION_CYCLES", "DeviationReciprocal", "L1Statistics", "RowMean"]

MEAN_CYCLES = MEAN_BITS + 2
DIVISION_CYCLES = FACTOR_BITS + 3


class RowMean(wiring.Component):
    """``RNE(sum u / C)`` of the four rows of a group, by shift and subtract, 18 cycles a row.

    As in `RowVariance`, the remainder shows a tie: `ReciprocalDivider` has none, and its dividend is a constant. The
    steps stand in either unit, since `RowVariance` goes on with the registers in its product.

    Parameters
    ----------
    sum_bits, channel_bits : int
        Widths of a sum, and of C / 2.

    Members
    -------
    half : In(channel_bits)
        C / 2.
    i : In(stream of 4 x sum_bits)
        ``C / 2 + sum u`` of each row.
    o : Out(stream of 4 x 16)
    """

    def __init__(self, sum_bits: int, channel_bits: int) -> None:
        self.sum_bits, self.channel_bits = sum_bits, channel_bits
        super().__init__(
            {
                "half": In(channel_bits),
                "i": In(stream.Signature(data.ArrayLayout(sum_bits, LANES))),
                "o": Out(stream.Signature(data.ArrayLayout(MEAN_BITS, LANES))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        totals = Signal(data.ArrayLayout(self.sum_bits, LANES), reset_less=True)
        means = Signal(data.ArrayLayout(MEAN_BITS, LANES), reset_less=True)
        channels = Signal(self.channel_bits + 1)
        remainder, quotient = Signal(self.channel_bits + 1), Signal(MEAN_BITS)
        row, step = Signal(range(LANES)), Signal(range(MEAN_BITS))
        shifted, difference = Signal(self.channel_bits + 2), Signal(self.channel_bits + 3)
        tie = Signal()
        m.d.comb += [
            channels.eq(self.half << 1),
            shifted.eq(Cat(quotient[-1], remainder)),
            difference.eq(shifted - channels),
            # floor((S + C/2) / C), less one where that is a tie and odd.
            tie.eq((remainder == 0) & quotient[0]),
            self.o.payload.eq(means),
        ]
        with m.FSM():
            with m.State("idle"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [totals.eq(self.i.payload), row.eq(0)]
                with m.If(self.i.valid):
                    m.next = "load"
            with m.State("load"):
                total = totals[row]
                m.d.sync += [remainder.eq(total[MEAN_BITS:]), quotient.eq(total[:MEAN_BITS]), step.eq(0)]
                m.next = "divide"
            with m.State("divide"):
                m.d.sync += [
                    remainder.eq(Mux(difference[-1], shifted, difference)),
                    quotient.eq(Cat(~difference[-1], quotient)),
                    step.eq(step + 1),
                ]
                with m.If(step == MEAN_BITS - 1):
                    m.next = "round"
            with m.State("round"):
                m.d.sync += [means[row].eq(Cat(quotient[0] & ~tie, quotient[1:])), row.eq(row + 1)]
                m.next = "load"
                with m.If(row == LANES - 1):
                    m.next = "offer"
            with m.State("offer"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "idle"
        return m


class DeviationReciprocal(wiring.Component):
    """``(2^31 - 1) // max(magnitude, 64)`` of the four rows of a group, one after the other.

    Parameters
    ----------
    magnitude_bits : int
        Of a sum of magnitudes.

    Members
    -------
    i : In(stream of 4 x magnitude and mean)
    o : Out(stream of 4 x RESULT)
    """

    def __init__(self, magnitude_bits: int) -> None:
        self.magnitude_bits = magnitude_bits
        self.layout = data.ArrayLayout(data.StructLayout({"mean": MEAN_BITS, "magnitude": magnitude_bits}), LANES)
        super().__init__(
            {
                "i": In(stream.Signature(self.layout)),
                "o": Out(stream.Signature(data.ArrayLayout(RESULT, LANES))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.divider = divider = ReciprocalDivider(31, max(self.magnitude_bits, 7), FACTOR_BITS)
        rows = Signal(self.layout, reset_less=True)
        results = Signal(data.ArrayLayout(RESULT, LANES), reset_less=True)
        row = Signal(range(LANES))
        deviation = Signal(self.magnitude_bits)
        m.d.comb += [
            deviation.eq(rows[row].magnitude),
            divider.i.payload.eq(Mux(deviation < LEAST_DEVIATION, LEAST_DEVIATION, deviation)),
            self.o.payload.eq(results),
        ]
        with m.FSM():
            with m.State("idle"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [rows.eq(self.i.payload), row.eq(0)]
                with m.If(self.i.valid):
                    m.next = "divide"
            with m.State("divide"):
                m.d.comb += divider.i.valid.eq(1)
                with m.If(divider.i.ready):
                    m.next = "wait"
            with m.State("wait"):
                m.d.comb += divider.o.ready.eq(1)
                with m.If(divider.o.valid):
                    m.d.sync += [
                        results[row].mean.eq(rows[row].mean),
                        results[row].factor.eq(divider.o.payload),
                        row.eq(row + 1),
                    ]
                    m.next = "divide"
                    with m.If(row == LANES - 1):
                        m.next = "offer"
            with m.State("offer"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "idle"
        return m


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
