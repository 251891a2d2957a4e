"""The first pass of Shiftmax over a block: the exponential of each score, and their sum for each row."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.delay import delayed
from gateware.softmax.exponential import SoftmaxExponential
from gateware.softmax.layouts import descriptor_layout, job_layout, pair_layout, words
from sim.reference.arithmetic import Arithmetic

__all__ = ["RowSum"]

SUM_BITS = 31
WRITE_LATENCY = 4  # cycles until the maxima know a score that was written with the job's transfer


class RowSum(wiring.Component):
    """Reads the rows of a block, two scores a cycle, and gives their exponentials and one sum a row.

    A row of ``length`` scores takes ``2 * ceil(length / 4) + 1`` cycles, and at least ``row_cycles``; between two jobs
    pass ``row_cycles + WRITE_LATENCY + 1`` cycles.

    Parameters
    ----------
    rows, max_length : int
    arithmetic, x0_bits
        Of the exponential (`SoftmaxExponential`).

    Attributes
    ----------
    row_cycles : int
        Least number of cycles from a row to the next.

    Members
    -------
    job : In(stream, job_layout)
    half, row, word, read : Out; data, mask, maximum : In
        The score memory's read side.
    room : In(1)
        A row may begin: there is room for its exponentials and its descriptor.
    begin : Out(1), descriptor : Out
        A row begins.
    write : Out(1), slot : Out(2), pair : Out, exponentials : Out
        Exponentials ``2 * pair`` and ``2 * pair + 1`` of a row; rows have the slots 0, 1, 2, 3, 0, ...
    complete : Out(1), total : Out(31)
        A row's sum. Any value of at least 2^30 stands for every larger sum.
    """

    def __init__(self, rows: int, max_length: int, arithmetic: Arithmetic, x0_bits: int) -> None:
        self.x0_bits = x0_bits
        self.lanes = SoftmaxExponential(arithmetic, x0_bits)
        self.mantissa_bits = self.lanes.mantissa_bits
        # The lanes are empty when a job's ``x0`` takes over.
        self.row_cycles = self.lanes.latency + 5
        word = range(words(max_length))
        super().__init__(
            {
                "job": In(stream.Signature(job_layout(rows, max_length, x0_bits))),
                "half": Out(1),
                "row": Out(range(rows)),
                "word": Out(word),
                "read": Out(1),
                "data": In(data.ArrayLayout(signed(8), 4)),
                "mask": In(4),
                "maximum": In(signed(8)),
                "room": In(1),
                "begin": Out(1),
                "descriptor": Out(descriptor_layout(rows, max_length)),
                "write": Out(1),
                "slot": Out(2),
                "pair": Out(range(2 * words(max_length))),
                "exponentials": Out(pair_layout(self.mantissa_bits)),
                "complete": Out(1),
                "total": Out(SUM_BITS),
            }
        )

    def hold_rows(self, cycles: int) -> None:
        """What takes the sums needs as many cycles for each; before elaboration."""
        self.row_cycles = max(self.row_cycles, cycles)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        last_column = Signal(len(self.word) + 2, reset_less=True)
        negated_maximum = Signal(signed(8), reset_less=True)  # less one: the complement
        x0 = Signal(self.x0_bits, reset_less=True)
        ready = self.lanes.place(m, x0)
        upper, valid, last = self._elaborate_rows(m, ready, x0, last_column, negated_maximum)
        self._elaborate_arguments(m, upper, last_column, negated_maximum)
        latency = 2 + self.lanes.latency
        written = delayed(m, valid, latency, "lane_valid", reset=True)
        last_written = delayed(m, last, latency, "lane_last")
        m.d.comb += self.write.eq(written)
        with m.If(written):
            m.d.sync += self.pair.eq(self.pair + 1)
            with m.If(last_written):
                m.d.sync += [self.pair.eq(0), self.slot.eq(self.slot + 1)]
        self._accumulate(m, written, last_written)
        return m

    def _elaborate_rows(
        self, m: Module, ready: Value, x0: Signal, last_column: Signal, negated_maximum: Signal
    ) -> tuple[Signal, Signal, Signal]:
        """Jobs into rows, rows into pairs, of which the score memory is asked.

        Of the pair that is asked for: whether it is its word's upper one, whether there is one, whether it is its
        row's last.
        """
        last_row = Signal.like(self.row, reset_less=True)
        last_word = last_column[2:]
        upper, final = Signal(), Signal()
        valid, last = Signal(), Signal()
        wait = Signal(range(self.row_cycles))
        m.d.comb += [
            final.eq(self.row == last_row),
            self.descriptor.row.eq(self.row),
            self.descriptor.last_word.eq(last_word),
            self.descriptor.last.eq(final),
        ]
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.FSM():
            with m.State("idle"):
                m.d.comb += self.job.ready.eq(wait == 0)
                m.d.sync += self.row.eq(0)
                with m.If(self.job.valid & self.job.ready):
                    m.d.sync += [
                        self.half.eq(self.job.payload.half),
                        last_row.eq(self.job.payload.rows - 1),
                        last_column.eq(self.job.payload.length - 1),
                        x0.eq(self.job.payload.x0),
                        wait.eq(WRITE_LATENCY),
                    ]
                    m.next = "begin"
            with m.State("begin"):
                m.d.comb += self.begin.eq((wait == 0) & self.room & ready)
                m.d.sync += [negated_maximum.eq(~self.maximum), self.word.eq(0), upper.eq(0)]
                with m.If(self.begin):
                    m.d.sync += wait.eq(self.row_cycles - 1)
                    m.next = "read"
            with m.State("read"):
                m.d.comb += [valid.eq(1), self.read.eq(~upper), last.eq(upper & (self.word == last_word))]
                m.d.sync += upper.eq(~upper)
                with m.If(upper):
                    m.d.sync += self.word.eq(self.word + 1)
                with m.If(last):
                    m.d.sync += self.row.eq(self.row + 1)
                    m.next = "begin"
                    with m.If(final):
                        m.d.sync += wait.eq(self.row_cycles - 1)
                        m.next = "idle"
        return upper, valid, last

    def _elaborate_arguments(self, m: Module, upper: Signal, last_column: Signal, negated_maximum: Signal) -> None:
        """One cycle after its pair was asked for the word is here; the scores become arguments of the lanes, and these
        exponentials, the lanes' latency later."""
        last_word = last_column[2:]
        upper_here = Signal(reset_less=True)
        m.d.sync += upper_here.eq(upper)
        pair = self.data.as_value().word_select(upper_here, 16)
        masks = self.mask.word_select(upper_here, 2)
        for index, lane in enumerate(self.lanes.lanes):
            outside = Signal(name=f"outside_{index}", reset_less=True)
            m.d.sync += outside.eq((self.word == last_word) & (Cat(index, upper) > last_column[:2]))
            score = pair.word_select(index, 8).as_signed()
            argument = Signal(signed(9), name=f"argument_{index}", reset_less=True)
            flags = Signal(2, name=f"flags_{index}", reset_less=True)
            m.d.sync += [
                argument.eq((Cat(1, negated_maximum).as_signed() + Cat(1, score).as_signed())[1:]),
                flags.eq(Cat(masks[index], outside)),
            ]
            m.d.comb += [
                lane.x.eq(argument),
                Cat(lane.clamped, lane.zero).eq(flags),
                self.exponentials[index].mantissa.eq(lane.mantissa),
                self.exponentials[index].shift.eq(lane.shift),
            ]

    def _accumulate(self, m: Module, valid: Value, last: Value) -> None:
        """The sum of a row, from its pairs of exponentials."""
        values = []
        for index in range(2):
            exponential = self.exponentials[index]
            coarse = Signal(self.mantissa_bits + 12, name=f"coarse_{index}", reset_less=True)
            value = Signal(self.mantissa_bits + 14, name=f"value_{index}", reset_less=True)
            fine_shift = Signal(2, name=f"fine_shift_{index}", reset_less=True)
            m.d.sync += [
                coarse.eq(exponential.mantissa << (exponential.shift[2:] << 2)),
                fine_shift.eq(exponential.shift[:2]),
                value.eq((coarse << fine_shift)[1:]),
            ]
            values.append(value)
        both = Signal(self.mantissa_bits + 15, reset_less=True)
        m.d.sync += both.eq(values[0] + values[1])
        valid, last = delayed(m, valid, 3, "sum_valid", reset=True), delayed(m, last, 3, "sum_last")

        # min(sum, 2^31 - 1) is only ever a divisor of 2^31 - 1, and from 2^30 on every divisor gives 1: so one bit
        # that stays set is all that has to be known above bit 29.
        fresh = Signal(init=1)
        added = Signal(SUM_BITS)
        m.d.comb += added.eq(both + Mux(fresh, 0, self.total[:-1]))
        m.d.sync += self.complete.eq(valid & last)
        with m.If(valid):
            m.d.sync += [self.total.eq(Cat(added[:-1], added[-1] | (self.total[-1] & ~fresh))), fresh.eq(last)]
