"""The systolic array: a grid of dot-4 elements, its skew registers and the drain of its results."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from gateware.arith.delay import delay_line, delayed
from gateware.arith.soft_product import sum_of
from gateware.array.element import DotProduct, Element
from gateware.array.layouts import (
    DOT,
    STORED_BITS,
    Step,
    accumulator_row_layout,
    column_operand_layout,
    row_operand_layout,
)
from gateware.contracts import require
from sim.reference.rounding import ceil_div

__all__ = ["SystolicArray"]

GROUP = 4  # rows selected by one LUT6


class SystolicArray(wiring.Component):
    """An output-stationary grid of dot-4 elements: a step of ``rows * columns * pack * 4`` MACs a cycle.

    A tile is ``result[r][c] = sum over steps t, k of a_t[r][k] * b_t[c][k]``, for ``rows`` rows and
    ``columns * pack`` channels. Steps are presented unskewed, all rows and channels of a step in one cycle, one step
    a cycle, with or without gaps. Operands move one element a cycle, nothing is broadcast.

    Results leave at their natural time: row ``r`` of a tile is finished ``r`` cycles after row 0, and the array puts
    out one whole row a cycle, rows ``0..rows - 1`` in consecutive cycles, ``latency`` cycles after the tile's last
    step for row 0. There is no back-pressure: whoever issues steps makes sure that the receiver has room. The next
    tile's first step may follow in the very next cycle, so tiles do not leave a bubble, with one rule: last steps
    are at least ``rows`` cycles apart, for rows of two tiles would meet at the output. Tiles of at least ``rows``
    steps keep it by themselves; for shorter ones ``last_ready`` says when a last step is allowed. So a tile takes
    ``max(steps, rows)`` cycles.

    16 x 8 bit products, exactly: split the 16-bit operand in a signed low byte ``lo`` and ``hi = (p - lo) >> 8``, issue
    all steps of the high halves, then all of the low ones, the first of these with ``shift``.

    Parameters
    ----------
    rows : int
        Rows of the grid (and of a tile).
    columns : int
        Columns of elements.
    pack : int
        Channels of an element; 2 share one multiplier (DSP48E1), 1 does not (MULT18X18D, ASIC).
    x_width : int
        Bits of operand ``a`` in the elements: 8; 9 for halves of 16-bit operands (-128..128); 10 for nine bits that are
        signed or, in steps that say so, unsigned. See :class:`gateware.array.element.DotProduct` for what unsigned
        elements of a row may sum to.
    acc_width : int
        Bits of an accumulator; it wraps.
    packed_full_range : bool
        Whether operand ``b`` may be -128 with ``pack = 2``. See :class:`gateware.array.element.DotProduct` for the
        two forms and their preconditions.

    Attributes
    ----------
    latency : int
        Cycles from a tile's last step at the input to its row 0 at the output: ``DotProduct.LATENCY + columns + 2``.
    counting : Signal
        Where contracts are watched: the rows whose results count, a bit each, beside ``step``.

    Members
    -------
    step : In(Step)
        Control of the step in this cycle.
    a : In, rows x 4 x signed(min(x_width, 9))
        The shared operand.
    b : In, columns x pack x 4 x signed(8)
        The packed operand.
    last_ready : Out(1)
        High in a cycle in which a step with ``last`` may be presented.
    out : Out, accumulator_row_layout(rows, columns * pack, acc_width)
        Rows of results.

    Raises
    ------
    ValueError
        For a parameter outside its range.
    """

    def __init__(
        self,
        rows: int,
        columns: int,
        pack: int,
        *,
        x_width: int = 8,
        acc_width: int = 26,
        packed_full_range: bool = False,
    ) -> None:
        require_range("SystolicArray", "rows", rows, 2, 64)
        require_range("SystolicArray", "columns", columns, 1, 64)
        require_range("SystolicArray", "pack", pack, 1, 2)
        require_range("SystolicArray", "x_width", x_width, 8, 10)
        require_range("SystolicArray", "acc_width", acc_width, 18, 48)
        self.rows = rows
        self.columns = columns
        self.pack = pack
        self.channels = columns * pack
        self.x_width = x_width
        self.acc_width = acc_width
        self.latency = DotProduct.LATENCY + columns + 2
        self.elements = [
            [Element(pack, x_width, acc_width, packed_full_range) for _ in range(columns)] for _ in range(rows)
        ]
        self.counting = Signal(rows, init=(1 << rows) - 1)
        super().__init__(
            {
                "step": In(Step),
                "a": In(row_operand_layout(rows, x_width)),
                "b": In(column_operand_layout(columns, pack)),
                "last_ready": Out(1),
                "out": Out(accumulator_row_layout(rows, self.channels, acc_width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        self._elaborate_grid(m)
        done = self._elaborate_control(m)
        self._elaborate_drain(m, done)
        self._elaborate_pace(m)
        last = self.step.valid & self.step.last
        require(m, platform, self, "last steps are at least `rows` cycles apart", ~last | self.last_ready)
        if self.x_width > STORED_BITS:
            self._watch_unsigned(m, platform)
        return m

    def _watch_unsigned(self, m: Module, platform: object) -> None:
        """The elements' precondition, which whoever makes unsigned elements has to meet: it needs no logic."""
        most = self.elements[0][0].dot.most_of_four
        fits = Cat(sum_of([element.as_unsigned() for element in row]) <= most for row in self.a)
        unsigned = self.step.valid & self.step.unsigned
        kept = ~unsigned | (fits | ~self.counting).all()
        require(m, platform, self, "four unsigned elements of a row sum to no more than their products hold", kept)

    def _elaborate_grid(self, m: Module) -> None:
        """Elements, their neighbours' wires, and the skew of the operands at the edges.

        An element of nine bits gets its sign behind its skew, from a flag that is as late: so the skew is as narrow as
        the A buffer.

        No register of a skew needs a reset. Only the last one of a line has one, so that it stays a register before the
        multiplier while the others become a shift register in LUTs.
        """
        unsigned = delay_line(m, self.step.unsigned, self.rows + DOT - 2, "unsigned", reset=True)
        for r, row in enumerate(self.elements):
            for c, element in enumerate(row):
                m.submodules[f"element_{r}_{c}"] = element
                for k in range(DOT):
                    if c == 0:
                        skewed = delayed(m, self.a[r][k], r + k, f"a_{r}_{k}", reset_last=True)
                        if self.x_width > STORED_BITS:
                            skewed = Cat(skewed, skewed[-1] & ~unsigned[r + k]).as_signed()
                        m.d.comb += element.x[k].eq(skewed)
                    else:
                        m.d.comb += element.x[k].eq(row[c - 1].x_next[k])
                    for lane in range(self.pack):
                        if r == 0:
                            skewed = delayed(m, self.b[c][lane][k], c + k, f"b_{c}_{lane}_{k}", reset_last=True)
                            m.d.comb += element.w[lane][k].eq(skewed)
                        else:
                            m.d.comb += element.w[lane][k].eq(self.elements[r - 1][c].w_next[lane][k])
                if c > 0:
                    m.d.comb += element.step.eq(row[c - 1].step_next)

    def _elaborate_control(self, m: Module) -> Value:
        """Steps down the left edge; returns the pulse that says that element (0, 0) holds a finished tile."""
        step = delayed(m, self.step, DotProduct.LATENCY, "step", reset=True)
        done = Signal()
        m.d.sync += done.eq(step.valid & step.last)
        steps = delay_line(m, step, self.rows - 1, "step_row", reset=True)
        for row, row_step in zip(self.elements, steps, strict=True):
            m.d.comb += row[0].step.eq(row_step)
        return done

    def _elaborate_drain(self, m: Module, done: Value) -> None:
        """One row a cycle out of the accumulators, each in the one cycle in which it is certain to hold its result.

        The row number moves along the columns with the results. Two register levels: four rows to one, then groups
        to one; then columns wait for the last one.
        """
        row = Signal(range(self.rows))
        busy = Signal()
        current = Signal(range(self.rows))
        active = Signal()
        m.d.comb += [active.eq(done | busy), current.eq(Mux(done, 0, row))]
        with m.If(done):
            m.d.sync += [busy.eq(1), row.eq(1)]
        with m.Elif(busy):
            m.d.sync += row.eq(row + 1)
            with m.If(row == self.rows - 1):
                m.d.sync += busy.eq(0)

        groups = ceil_div(self.rows, GROUP)
        for c in range(self.columns):
            select = delayed(m, current, c, f"select_{c}", reset=True)
            group = delayed(m, select[2:], 1, f"group_{c}", reset=True) if groups > 1 else Const(0)
            for lane in range(self.pack):
                partial = []
                for first in range(0, self.rows, GROUP):
                    members = [self.elements[r][c].acc[lane] for r in range(first, min(first + GROUP, self.rows))]
                    chosen = Signal.like(members[0], name=f"drain_{c}_{lane}_{first}", reset_less=True)
                    m.d.sync += chosen.eq(Array(members)[select[:2]])
                    partial.append(chosen)
                result = Signal.like(partial[0], name=f"result_{c}_{lane}", reset_less=True)
                m.d.sync += result.eq(Array(partial)[group])
                aligned = delayed(m, result, self.columns - 1 - c, f"aligned_{c}_{lane}")
                m.d.comb += self.out.data[c * self.pack + lane].eq(aligned)
        wait = self.columns + 1
        number = delayed(m, current, wait, "row_out", reset=True)
        m.d.comb += [
            self.out.valid.eq(delayed(m, active, wait, "valid", reset=True)),
            self.out.row.eq(number),
            self.out.last.eq(number == self.rows - 1),
        ]

    def _elaborate_pace(self, m: Module) -> None:
        """At least ``rows`` cycles between last steps."""
        remaining = Signal(range(self.rows))
        m.d.comb += self.last_ready.eq(remaining == 0)
        with m.If(self.step.valid & self.step.last):
            m.d.sync += remaining.eq(self.rows - 1)
        with m.Elif(remaining != 0):
            m.d.sync += remaining.eq(remaining - 1)
