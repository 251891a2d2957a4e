"""Shiftmax over blocks of score rows: scores go in as the array drains, probabilities come out as operands."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.arith.checks import require_range
from gateware.arith.divider import ReciprocalDivider
from gateware.contracts import NUMBER_BITS, reads, require, watched
from gateware.softmax.layouts import (
    descriptor_layout,
    job_layout,
    pair_layout,
    probability_layout,
    score_signature,
    words,
)
from gateware.softmax.log_softmax import LogRowOutput, RowMagnitude
from gateware.softmax.output import RowOutput
from gateware.softmax.scores import ScoreMemory, score_memory
from gateware.softmax.sum import SUM_BITS, RowSum
from gateware.stream.fifo import StreamFifo
from gateware.stream.register import StreamRegister
from sim.reference.arithmetic import Arithmetic

__all__ = ["Shiftmax", "job_layout", "probability_layout", "score_signature"]

# From a job's transfer to its first read, and around lanes, sum, division, multiplication: queues and registers.
STAGES = 18
SLOTS = 4  # rows between the two passes: one in the sum, one in the division, one in the output, one of slack


class Shiftmax(wiring.Component):
    """Probabilities of blocks of score rows, bit for bit `sim.reference.Shiftmax`.

    The maximum of each row is kept while its scores are written. A job then goes over its rows twice, two scores a
    cycle: the first pass sums the exponentials and keeps them as mantissa and shift, a serial division gives the row's
    factor, the second pass multiplies. Both passes and the division work at the same time on different rows.

    A row of W words takes ``2 * W + 1`` cycles, sustained, and at least `row_cycles`; a job's first word is offered
    ``2 * W + latency`` cycles after the job was taken. There are no DSP blocks in it.

    Not supported: a row in which every score is masked, columns that were never written, and a job with no rows, no
    scores or ``x0`` 0. Words are then wrong, and the job ends like any other.

    Source: I-ViT, Algorithm 1; in the variants I-BERT, Algorithm 2, and FQ-ViT's Log-Int-Softmax.

    Parameters
    ----------
    rows : int
        R, rows of a block, 2 to 64.
    max_length : int
        Scores of the longest row, a multiple of 4, 8 to 1024.
    arithmetic : Arithmetic
        Gives the exponential (shifts, or I-BERT's polynomial), n, the rounding, and the order of ShiftExp; or FQ-ViT's
        powers of two in place of the division.
    bits : int
        Of a probability, 8 to 16: what `sim.reference.nonlinear.softmax_of` takes from the arithmetic or else from the
        graph.
    x0_bits : int
        Of ``|x0|`` = ``-floor(-1/S)`` of the scores' scale S, 1 to 13.

    Attributes
    ----------
    latency : int
        Cycles from a job's transfer to its first word, beside those that its first row takes.
    number : Signal
        Where contracts are watched: the operation of the last job that was taken.
    preparation : int
        More cycles, at most, that a job with another ``x0`` than the one before takes.
    row_cycles : int
        Least number of cycles a row.

    Members
    -------
    scores : In(score_signature)
        Score words, written in any cycle, also while a job works on the other half.
    job : In(stream, job_layout)
        A block to process, at the earliest in the cycle of its last score. The next one is taken while rows of this
        one are still on their way. Its half is free again with ``done``.
    o : Out(stream, probability_layout)
        Words ``0 .. ceil(length / 4) - 1`` of each row, row after row; columns from ``length`` on are 0.
    done : Out(1)
        The last word of a job is being taken.

    Raises
    ------
    ValueError
        For a parameter out of range, or ``bits`` that contradict the arithmetic.
    """

    def __init__(self, rows: int, max_length: int, arithmetic: Arithmetic, bits: int, x0_bits: int = 10) -> None:
        require_range("Shiftmax", "rows", rows, 2, 64)
        require_range("Shiftmax", "max_length", max_length, 8, 1024)
        require_range("Shiftmax", "bits", bits, 8, 16)
        require_range("Shiftmax", "x0_bits", x0_bits, 1, 13)
        if max_length % 4:
            raise ValueError(f"Shiftmax: max_length must be a multiple of 4, not {max_length}; round it up.")
        if arithmetic.softmax_bits not in (None, bits):
            raise ValueError(
                f"Shiftmax: bits must be {arithmetic.softmax_bits} in the {arithmetic.name} arithmetic, not {bits}."
            )
        self.rows, self.max_length, self.arithmetic, self.bits, self.x0_bits = (
            rows, max_length, arithmetic, bits, x0_bits,
        )  # fmt: skip
        self.number = Signal(NUMBER_BITS)
        self._sum = RowSum(rows, max_length, arithmetic, x0_bits)
        exponentials = self._sum.lanes
        self._divider: ReciprocalDivider | RowMagnitude
        self._output: RowOutput
        if arithmetic.softmax == "logarithm":
            self._divider = RowMagnitude(SUM_BITS, exponentials.least_sum_bits)
            self._output = LogRowOutput(rows, max_length, exponentials.mantissa_bits, bits)
            self._sum.hold_rows(self._divider.latency)
            divider_latency = self._divider.latency - 1
        else:
            # The largest exponential of a row is at least 2 to this, and so is the sum.
            factor_bits = 31 - exponentials.least_sum_bits
            self._divider = ReciprocalDivider(31, SUM_BITS, factor_bits)
            self._output = RowOutput(
                rows, max_length, exponentials.mantissa_bits, factor_bits, bits, arithmetic.softmax_half_up
            )
            self._sum.hold_rows(factor_bits + 1)
            divider_latency = factor_bits
        self.row_cycles = self._sum.row_cycles
        self.preparation = exponentials.preparation
        self.latency = STAGES + exponentials.latency + divider_latency + self._output.arithmetic_latency
        super().__init__(
            {
                "scores": In(score_signature(rows, max_length)),
                "job": In(stream.Signature(job_layout(rows, max_length, x0_bits))),
                "o": Out(stream.Signature(probability_layout(rows, max_length, bits))),
                "done": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.scores = scores = ScoreMemory(self.rows, self.max_length)
        m.submodules.sum = row_sum = self._sum
        m.submodules.divider = divider = self._divider
        m.submodules.descriptors = descriptors = StreamFifo(descriptor_layout(self.rows, self.max_length), SLOTS)
        m.submodules.factors = factors = StreamFifo(self._output.factor_bits, SLOTS)
        m.submodules.output = output = self._output
        m.submodules.register = register = StreamRegister(probability_layout(self.rows, self.max_length, self.bits))

        connect(m, flipped(self.scores), scores.scores)
        connect(m, flipped(self.job), row_sum.job)
        m.d.comb += [
            scores.half.eq(row_sum.half),
            scores.row.eq(row_sum.row),
            scores.word.eq(row_sum.word),
            scores.read.eq(row_sum.read),
            row_sum.data.eq(scores.data),
            row_sum.mask.eq(scores.mask),
            row_sum.maximum.eq(scores.maximum),
        ]

        # Rows that have begun the first pass and not ended the second: none of the queues below can be full.
        inside = Signal(range(SLOTS + 1))
        m.d.comb += row_sum.room.eq(inside != SLOTS)
        m.d.sync += inside.eq(inside + row_sum.begin - output.finish)
        m.d.comb += [
            descriptors.i.valid.eq(row_sum.begin),
            descriptors.i.payload.eq(row_sum.descriptor),
            divider.i.valid.eq(row_sum.complete),
            divider.i.payload.eq(row_sum.total),
        ]
        connect(m, divider.o, factors.i)
        m.d.comb += [
            output.row.valid.eq(descriptors.o.valid & factors.o.valid),
            output.row.payload.factor.eq(factors.o.payload),
            output.row.payload.descriptor.eq(descriptors.o.payload),
            descriptors.o.ready.eq(output.row.ready & factors.o.valid),
            factors.o.ready.eq(output.row.ready & descriptors.o.valid),
        ]

        self._elaborate_exponentials(m, row_sum, output)
        connect(m, output.o, register.i)
        connect(m, register.o, flipped(self.o))
        m.d.comb += self.done.eq(self.o.valid & self.o.ready & self.o.payload.last)
        self._watch(m, platform, scores, row_sum, divider, descriptors, output)
        return m

    def _elaborate_exponentials(self, m: Module, row_sum: RowSum, output: RowOutput) -> None:
        """Those of the first pass are kept for the second."""
        pairs = pair_layout(row_sum.mantissa_bits)
        m.submodules.exponentials = exponentials = memory.Memory(
            shape=pairs.size,
            depth=SLOTS << (2 * words(self.max_length) - 1).bit_length(),
            init=[],
            attrs={"ram_style": "block"},
        )
        writer, reader = exponentials.write_port(), exponentials.read_port()
        m.d.comb += [
            writer.addr[:-2].eq(row_sum.pair),
            writer.addr[-2:].eq(row_sum.slot),
            writer.data.eq(row_sum.exponentials),
            writer.en.eq(row_sum.write),
            reader.addr[:-2].eq(output.pair),
            reader.addr[-2:].eq(output.slot),
            reader.en.eq(output.read),
            output.exponentials.eq(reader.data),
        ]

    def _watch(
        self,
        m: Module,
        platform: object,
        scores: ScoreMemory,
        row_sum: RowSum,
        divider: ReciprocalDivider | RowMagnitude,
        descriptors: StreamFifo,
        output: RowOutput,
    ) -> None:
        """What the two passes, the queues between them and the score memory's two halves rely on."""
        begin = row_sum.begin
        require(m, platform, self, "a row's maximum is used when all its scores count", ~(begin & scores.counting))
        require(m, platform, self, "a row that begins has a place among the descriptors", ~begin | descriptors.i.ready)
        require(m, platform, self, "a row's sum finds the division free", ~row_sum.complete | divider.i.ready)
        overwrites = row_sum.write & output.row_here & (row_sum.slot == output.slot)
        require(m, platform, self, "a row's exponentials stay until they are used", ~overwrites)
        if not watched(platform):
            return
        m.submodules.halves = halves = StreamFifo(1, 8)  # of the jobs inside
        taken = Signal(2)
        m.d.comb += [
            halves.i.valid.eq(self.job.valid & self.job.ready),
            halves.i.payload.eq(self.job.payload.half),
            halves.o.ready.eq(self.done),
        ]
        inside = [Signal(4, name=f"jobs_{half}") for half in range(2)]
        for half, jobs in enumerate(inside):
            enters = halves.i.valid & (halves.i.payload == half)
            m.d.sync += jobs.eq(jobs + enters - (self.done & (halves.o.payload == half)))
            m.d.comb += taken[half].eq(jobs != 0)
        written = self.scores.valid & taken.bit_select(self.scores.half, 1)
        require(m, platform, self, "scores are written where no job works", ~written)
        place = Cat(scores.word, scores.row, scores.half)
        reads(m, platform, score_memory(len(place)), "VEC", row_sum.read, self.number, place)
