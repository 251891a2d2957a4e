"""The two divisions of L1 LayerNorm, of the four rows of a group: the mean, and the deviation's reciprocal."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.divider import ReciprocalDivider
from gateware.config import LANES
from gateware.layernorm.root import FACTOR_BITS, RESULT
from gateware.layernorm.variance import MEAN_BITS
from sim.reference.layernorm import LEAST_DEVIATION

__all__ = ["DIVISION_CYCLES", "MEAN_CYCLES", "DeviationReciprocal", "RowMean"]

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
