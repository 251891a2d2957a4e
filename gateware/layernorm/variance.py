"""Mean and summed squared deviation of a row from its sums: serial, one row after the other."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.contracts import require

__all__ = ["MEAN_BITS", "ROW_CYCLES", "RowVariance"]

MEAN_BITS = 16
ROW_CYCLES = 2 * MEAN_BITS + 3


class RowVariance(wiring.Component):
    """``mean = RNE(sum u / C)`` and ``v = sum (u - mean)^2`` of the four rows of a group, 35 cycles a row.

    With ``S = sum u``, ``Q = sum u^2`` and ``r = S - C * mean``: ``v = Q - 2*mean*S + C*mean^2 = Q - mean * (S + r)``,
    one serial product. The division is by shift and subtract, 16 quotient bits.

    `ReciprocalDivider` does not fit: its dividend is a constant, and it gives no remainder. Here the remainder decides
    ties and gives r, and the quotient's register becomes the multiplier of the product that follows.

    Parameters
    ----------
    sum_bits, square_bits, channel_bits : int
        Widths of the sums (see `RowSums`), and of C / 2.

    Members
    -------
    half : In(channel_bits)
        C / 2: C is even.
    sums_valid, total, squares : In
        ``C/2 + S`` and Q of a row; no fifth before ``done``.
    done : Out(1)
        The group's last row leaves in this cycle: the sums of another group may come.
    o : Out(stream)
        ``row`` (0..3, in order), ``mean`` (unsigned, of u) and ``v`` of a row.
    """

    def __init__(self, sum_bits: int, square_bits: int, channel_bits: int) -> None:
        self.sum_bits, self.square_bits, self.channel_bits = sum_bits, square_bits, channel_bits
        payload = data.StructLayout({"row": 2, "mean": MEAN_BITS, "v": square_bits})
        super().__init__(
            {
                "half": In(channel_bits),
                "sums_valid": In(1),
                "total": In(sum_bits),
                "squares": In(square_bits),
                "done": Out(1),
                "o": Out(stream.Signature(payload)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        written, row = Signal(range(5)), Signal(2)
        sums = self._elaborate_waiting(m, platform, written, row)
        channels = Signal(self.channel_bits + 1)
        m.d.comb += channels.eq(self.half << 1)
        remainder = Signal(self.channel_bits + 1)
        quotient = Signal(MEAN_BITS)
        step = Signal(range(MEAN_BITS))
        shifted = Signal(self.channel_bits + 2)
        difference = Signal(self.channel_bits + 3)
        m.d.comb += [shifted.eq(Cat(quotient[-1], remainder)), difference.eq(shifted - channels)]
        # RNE(S / C) is floor((S + C/2) / C), less one where that is a tie (nothing remains) and odd. The remainder
        # r is then what remains less C/2, or C/2 after a corrected tie; and S is the total less C/2.
        tie = Signal()
        m.d.comb += tie.eq((remainder == 0) & quotient[0])
        sum_and_remainder = Mux(tie, sums.total, sums.total + remainder - channels)
        with m.FSM():
            with m.State("load"):
                m.d.sync += [
                    remainder.eq(sums.total[MEAN_BITS:]),
                    quotient.eq(sums.total[:MEAN_BITS]),
                    step.eq(0),
                ]
                with m.If(written > row):
                    m.next = "divide"
            with m.State("divide"):
                m.d.sync += [
                    remainder.eq(Mux(difference[-1], shifted, difference)),
                    quotient.eq(Cat(~difference[-1], quotient)),
                    step.eq(step + 1),
                ]
                with m.If(step == MEAN_BITS - 1):
                    m.next = "round"
            product = self._elaborate_product(m, sums.squares, sum_and_remainder, tie, quotient, step)
            with m.State("offer"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += row.eq(row + 1)
                    with m.If(row == 3):
                        m.d.comb += self.done.eq(1)
                        m.d.sync += written.eq(0)
                    m.next = "load"
        m.d.comb += [self.o.payload.row.eq(row), self.o.payload.mean.eq(quotient), self.o.payload.v.eq(product)]
        return m

    def _elaborate_waiting(self, m: Module, platform: object, written: Signal, row: Signal) -> data.View:
        """The sums of a group wait for their turn: those of ``row``."""
        sums = data.StructLayout({"total": self.sum_bits, "squares": self.square_bits})
        m.submodules.waiting = waiting = memory.Memory(shape=sums, depth=4, init=[])
        writer, reader = waiting.write_port(), waiting.read_port(domain="comb")
        m.d.comb += [
            writer.addr.eq(written),
            writer.data.total.eq(self.total),
            writer.data.squares.eq(self.squares),
            writer.en.eq(self.sums_valid),
            reader.addr.eq(row),
        ]
        with m.If(self.sums_valid):
            m.d.sync += written.eq(written + 1)
        fifth = self.sums_valid & (written == 4)
        require(m, platform, self, "the sums of a group come after those of the group before have left", ~fifth)
        return reader.data

    def _elaborate_product(
        self, m: Module, squares: Value, sum_and_remainder: Value, tie: Signal, quotient: Signal, step: Signal
    ) -> Signal:
        """States after the division: ``quotient`` becomes the mean, less one in a ``tie``; then v is returned."""
        factor = Signal(self.sum_bits)
        product = Signal(self.square_bits)
        low = Signal(MEAN_BITS)
        with m.State("round"):
            m.d.sync += [
                factor.eq(sum_and_remainder),
                quotient[0].eq(quotient[0] & ~tie),
                product.eq(squares[MEAN_BITS:]),
                low.eq(squares[:MEAN_BITS]),
            ]
            m.next = "multiply"
        with m.State("multiply"):
            # Horner's scheme from the mean's upper bit down; Q's bits enter below, where the doubling leaves zeros.
            # The quotient goes round once and is the mean again at the end.
            m.d.sync += [
                product.eq(Cat(low[-1], product) - Mux(quotient[-1], factor, 0)),
                low.eq(low << 1),
                quotient.eq(Cat(quotient[-1], quotient[:-1])),
                step.eq(step + 1),
            ]
            with m.If(step == MEAN_BITS - 1):
                m.next = "offer"
        return product
