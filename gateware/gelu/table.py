"""A table of ShiftGELU for every value that a row can hold, computed once for each row."""

from amaranth.hdl import Array, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.delay import delayed
from gateware.arith.multiplier import Multiplier
from gateware.arith.pipelined_divider import PipelinedReciprocal
from gateware.arith.round_shift import SHIFT_BITS, RoundShift
from gateware.gelu.exponent import SignedShiftExpLane
from sim.reference.arithmetic import Arithmetic

__all__ = ["LEAST", "TableBuilder", "entry_layout"]

SUM_BITS = 31
SIGMOID_BITS = 8  # 128 is 1
SIGMOID_SHIFT = 24
LEAST = -128


def entry_layout() -> data.StructLayout:
    """An entry of a table, as a builder writes it."""
    return data.StructLayout({"valid": 1, "last": 1, "table": 3, "x": signed(8), "value": signed(8)})


class TableBuilder(wiring.Component):
    """For a row whose largest value is M: the requantised ``x * sigmoid(1.702 x)`` of x = -128 .. M, one a cycle.

    One pipeline: exponential of x - M, its sum with the exponential of -M, reciprocal, sigmoid, product with x, dyadic
    rescale. A row with maximum M takes M + 131 cycles, and the next row follows at once.

    Source: I-ViT, Algorithm 2.

    Parameters
    ----------
    arithmetic : Arithmetic
    x0_bits : int
        Bits of ``|x0|``.

    Members
    -------
    x0, multiplier, shift : In
        Constants of the layer; they hold while rows are inside.
    row : In(stream of top, table)
        ``top``: M; ``table``: a number (3 bits) that comes back with the entries.
    write : Out
        An entry: ``valid``, ``table``, ``x`` (two's complement), ``value``, ``last``: the row's last.
    busy : Out(1)
    """

    common = False  # a table serves one row

    def __init__(self, arithmetic: Arithmetic, x0_bits: int) -> None:
        self.arithmetic, self.x0_bits = arithmetic, x0_bits
        self.lane = SignedShiftExpLane(arithmetic.gelu_n, x0_bits)
        self.divider = PipelinedReciprocal(SUM_BITS)
        self.sigmoid = Multiplier(SUM_BITS, x0_bits + 1, False, False)
        self.product = Multiplier(8, SIGMOID_BITS, True, False)
        self.factor = Multiplier(16, arithmetic.multiplier_bits + 1)
        rounding = RoundShift.latency
        self.latency = (
            self.lane.LATENCY
            + 3  # the exponential and its sum
            + self.divider.latency
            + self.sigmoid.latency
            + 2  # the sigmoid's bits
            + self.product.latency
            + self.factor.latency
            + rounding
        )
        super().__init__(
            {
                "x0": In(x0_bits),
                "multiplier": In(Shape(arithmetic.multiplier_bits + 1, signed=True)),
                "shift": In(SHIFT_BITS),
                "row": In(stream.Signature(data.StructLayout({"top": signed(8), "table": 3}))),
                "write": Out(entry_layout()),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.lane, m.submodules.divider, m.submodules.sigmoid = self.lane, self.divider, self.sigmoid
        m.submodules.product, m.submodules.factor = self.product, self.factor
        here, valid, shared = self._elaborate_row(m)
        here, shared = delayed(m, here, self.lane.LATENCY, "lane"), delayed(m, shared, self.lane.LATENCY, "shared")
        here, shared = delayed(m, here, 2, "exponential"), delayed(m, shared, 2, "exponential_shared")
        self._elaborate_sum(m, shared)
        here = delayed(m, here, 1, "sum")
        here = delayed(m, here, self.divider.latency, "divider")
        here = delayed(m, here, self.sigmoid.latency, "sigmoid")
        sigmoid = self._elaborate_sigmoid(m)
        here = delayed(m, here, 2, "select")
        self._elaborate_write(m, here, sigmoid, delayed(m, valid, self.latency, "valid", reset=True))
        return m

    def _elaborate_row(self, m: Module) -> tuple[data.View, Signal, Signal]:
        """Arguments of a row, to the lane: first -M, whose exponential all sums share, then -128 - M .. 0.

        The entry of the argument, whether there is one, and whether it is the shared one.
        """
        entry = data.StructLayout({"last": 1, "table": 3, "x": signed(8)})
        running, opening = Signal(), Signal()
        top, table, x = Signal(signed(8)), Signal(3), Signal(signed(8))
        m.d.comb += self.row.ready.eq(~running)
        with m.If(self.row.valid & self.row.ready):
            m.d.sync += [
                running.eq(1),
                opening.eq(1),
                top.eq(self.row.payload.top),
                table.eq(self.row.payload.table),
                x.eq(LEAST),
            ]
        with m.If(running):
            m.d.sync += opening.eq(0)
            with m.If(~opening):
                m.d.sync += x.eq(x + 1)
                with m.If(x == top):
                    m.d.sync += running.eq(0)
        distance = Signal(9)
        m.d.comb += distance.eq(top - x)
        here, valid, shared = Signal(entry), Signal(), Signal()
        m.d.comb += [
            self.lane.x0.eq(self.x0),
            self.lane.magnitude.eq(Mux(opening, Mux(top < 0, -top, top), distance)),
            self.lane.positive.eq(opening & (top < 0)),
            shared.eq(running & opening),
            valid.eq(running & ~opening),
            here.last.eq(x == top),
            here.table.eq(table),
            here.x.eq(x),
        ]
        return here, valid, shared

    def _elaborate_sum(self, m: Module, shared: Value) -> None:
        """Two cycles: the exponential itself, saturated, by multiples of 8, then the rest. One more: its sum with the
        shared one, saturated, to the divider."""
        mantissa, shift = self.lane.mantissa, self.lane.shift
        coarse = Signal(SUM_BITS + self.x0_bits + 1, reset_less=True)
        fine, beyond = Signal(3, reset_less=True), Signal(reset_less=True)
        m.d.sync += [
            coarse.eq(Array([mantissa << (8 * step) for step in range(4)])[shift[3:5]]),
            fine.eq(shift[:3]),
            beyond.eq(shift[5]),
        ]
        wide = Signal(SUM_BITS + self.x0_bits + 1 + 7)
        exponential = Signal(SUM_BITS, reset_less=True)
        m.d.comb += wide.eq(coarse << fine)
        m.d.sync += exponential.eq(Mux(beyond | wide[SUM_BITS:].any(), (1 << SUM_BITS) - 1, wide))
        other, total = Signal(SUM_BITS, reset_less=True), Signal(SUM_BITS + 1)
        saturated = Signal(SUM_BITS, reset_less=True)
        with m.If(shared):
            m.d.sync += other.eq(exponential)
        m.d.comb += total.eq(exponential + other)
        m.d.sync += saturated.eq(Mux(total[-1], (1 << SUM_BITS) - 1, total))
        m.d.comb += self.divider.divisor.eq(saturated)

    def _elaborate_sigmoid(self, m: Module) -> Signal:
        """``(e * f) >> 24`` with ``f = (2^31 - 1) // sum`` and ``e = mantissa << shift``, two cycles after the product.

        No more than 24 places to the right, by multiples of 4, then the rest; the result has 8 bits.
        """
        waiting = 3 + self.divider.latency
        m.d.comb += [
            self.sigmoid.a.eq(self.divider.quotient),
            self.sigmoid.b.eq(delayed(m, self.lane.mantissa, waiting, "mantissa")),
        ]
        moved = delayed(m, self.lane.shift, waiting + self.sigmoid.latency, "moved")
        right = Signal(range(SIGMOID_SHIFT + 1))
        m.d.comb += right.eq(SIGMOID_SHIFT - moved)
        near = Signal(SIGMOID_BITS + 3, reset_less=True)
        rest = Signal(2, reset_less=True)
        m.d.sync += [
            near.eq(Array([(self.sigmoid.p >> (4 * step))[: SIGMOID_BITS + 3] for step in range(7)])[right[2:]]),
            rest.eq(right[:2]),
        ]
        sigmoid = Signal(SIGMOID_BITS, reset_less=True)
        m.d.sync += sigmoid.eq(near >> rest)
        return sigmoid

    def _elaborate_write(self, m: Module, here: data.View, sigmoid: Signal, valid: Value) -> None:
        """``x * sigmoid``, rescaled, as an entry, in the cycles of ``valid``."""
        m.submodules.rounding = rounding = RoundShift(len(self.factor.p), 8)
        m.d.comb += [
            self.product.a.eq(here.x),
            self.product.b.eq(sigmoid),
            self.factor.a.eq(self.product.p),
            self.factor.b.eq(self.multiplier),
            rounding.en.eq(1),
            rounding.p.eq(self.factor.p),
            rounding.shift.eq(self.shift),
        ]
        end = delayed(m, here, self.product.latency + self.factor.latency + rounding.latency, "rescale")
        m.d.comb += [
            self.write.valid.eq(valid),
            self.write.last.eq(end.last),
            self.write.table.eq(end.table),
            self.write.x.eq(end.x),
            self.write["value"].eq(rounding.q),
        ]
        inside = Signal(range(256))  # rows between their start and their last entry
        began = self.row.valid & self.row.ready
        ended = valid & end.last
        m.d.sync += inside.eq(inside + began - ended)
        m.d.comb += self.busy.eq(inside != 0)
