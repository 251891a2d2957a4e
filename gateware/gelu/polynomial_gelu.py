"""I-BERT's GELU of every int8 value, computed once a layer's constants are known."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Shape, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.delay import delayed
from gateware.arith.multiplier import Multiplier
from gateware.arith.round_shift import SHIFT_BITS, RoundShift
from gateware.gelu.table import LEAST, entry_layout
from sim.reference.arithmetic import Arithmetic
from sim.reference.polynomial_gelu import CONSTANT_BITS, GATE_BITS, OFFSET, ONE

__all__ = ["PolynomialTableBuilder"]

SELECT_STAGES = 2
TOP = 127


class PolynomialTableBuilder(wiring.Component):
    """The requantised ``x (1 + erf(x / sqrt 2)) / 2`` of x = -128 .. 127, one a cycle; members as of `TableBuilder`.

    The value does not depend on the row: one table serves all rows of a group (`common`). One pipeline: distance from
    where erf saturates, its square, sign and sum, product with x, dyadic rescale. A table takes 256 cycles, and about
    40 more where ``x0`` is another than before.

    Source: I-BERT, Algorithm 1 (i-erf) and 2; `sim.reference.PolynomialGELU`.

    Parameters
    ----------
    arithmetic : Arithmetic
    x0_bits : int
        Bits of ``|x0|``. ``x0`` below 4 gives entries without meaning.
    """

    common = True

    def __init__(self, arithmetic: Arithmetic, x0_bits: int) -> None:
        self.arithmetic, self.x0_bits = arithmetic, x0_bits
        largest = (1 << x0_bits) - 1
        self.offset_bits = (largest * OFFSET >> CONSTANT_BITS).bit_length()
        self.one_bits = (largest * largest * ONE >> CONSTANT_BITS).bit_length()
        self.square = Multiplier(self.offset_bits, self.offset_bits, False, False)
        self.product = Multiplier(8, GATE_BITS, True, False)
        self.factor = Multiplier(8 + GATE_BITS, arithmetic.multiplier_bits + 1)
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
        m.submodules.square, m.submodules.product, m.submodules.factor = self.square, self.product, self.factor
        m.submodules.rounding = rounding = RoundShift(len(self.factor.p), 8)
        offset, one, places, prepared = self._constants(m)

        running = Signal()
        table, x = Signal(3), Signal(signed(8))
        m.d.comb += self.row.ready.eq(~running & prepared)
        with m.If(self.row.valid & self.row.ready):
            m.d.sync += [running.eq(1), table.eq(self.row.payload.table), x.eq(LEAST)]
        with m.If(running):
            m.d.sync += [x.eq(x + 1), running.eq(x != TOP)]
        entry = data.StructLayout({"last": 1, "table": 3, "x": signed(8)})
        here, valid = Signal(entry), running
        m.d.comb += [here.last.eq(x == TOP), here.table.eq(table), here.x.eq(x)]

        # max(b - |x|, 0) and its square.
        magnitude = Signal(8, reset_less=True)
        gap, distance = Signal(signed(self.offset_bits + 1)), Signal(self.offset_bits, reset_less=True)
        m.d.comb += gap.eq(offset - magnitude)
        m.d.sync += [magnitude.eq(Mux(x < 0, -x, x)), distance.eq(Mux(gap < 0, 0, gap))]
        m.d.comb += [self.square.a.eq(distance), self.square.b.eq(distance)]
        here, valid = self._later(m, here, valid, 2 + self.square.latency, "square")

        # 1 + erf: 2 - square above 0, square below, 1 at 0; then its upper bits.
        value = Signal(self.one_bits + 1, reset_less=True)
        with m.If(here.x == 0):
            m.d.sync += value.eq(one)
        with m.Elif(here.x < 0):
            m.d.sync += value.eq(self.square.p)
        with m.Else():
            m.d.sync += value.eq((one << 1) - self.square.p)
        near, rest, gate = Signal(GATE_BITS + 3, reset_less=True), Signal(2, reset_less=True), Signal(GATE_BITS)
        m.d.sync += [near.eq(Array([value >> (4 * step) for step in range(4)])[places[2:]]), rest.eq(places[:2])]
        m.d.comb += gate.eq(near >> rest)
        here, valid = self._later(m, here, valid, SELECT_STAGES, "gate")
        m.d.comb += [self.product.a.eq(here.x), self.product.b.eq(gate)]
        here, valid = self._later(m, here, valid, self.product.latency, "product")
        m.d.comb += [
            self.factor.a.eq(self.product.p),
            self.factor.b.eq(self.multiplier),
            rounding.en.eq(1),
            rounding.p.eq(self.factor.p),
            rounding.shift.eq(self.shift),
        ]
        here, valid = self._later(m, here, valid, self.factor.latency + RoundShift.latency, "factor")
        m.d.comb += [
            self.write.valid.eq(valid),
            self.write.last.eq(here.last),
            self.write.table.eq(here.table),
            self.write.x.eq(here.x),
            self.write["value"].eq(rounding.q),
        ]
        inside = Signal(range(4))
        begun, ended = self.row.valid & self.row.ready, valid & here.last
        m.d.sync += inside.eq(inside + begun - ended)
        m.d.comb += self.busy.eq(inside != 0)
        return m

    def _constants(self, m: Module) -> tuple[Signal, Signal, Signal, Signal]:
        """b, 1/a, the places to drop, and whether they are those of ``x0``: Horner's scheme from the upper bit down."""
        known = Signal(self.x0_bits)
        current = Signal()
        offset = Signal(self.offset_bits + CONSTANT_BITS)
        square = Signal(2 * self.x0_bits)
        one = Signal(self.one_bits + CONSTANT_BITS)
        bits, left = Signal(2 * self.x0_bits), Signal(range(2 * self.x0_bits))
        places = Signal(4)
        ready, prepared = Signal(init=1), Signal()
        m.d.comb += [current.eq(known == self.x0), prepared.eq(ready & current)]
        with m.FSM():
            with m.State("idle"), m.If(~current):
                m.d.sync += [
                    known.eq(self.x0),
                    ready.eq(0),
                    bits.eq(self.x0 << self.x0_bits),
                    left.eq(self.x0_bits - 1),
                    offset.eq(0),
                    square.eq(0),
                    one.eq(0),
                    places.eq(0),
                ]
                m.next = "multiply"
            with m.State("multiply"):
                m.d.sync += [
                    offset.eq((offset << 1) + Mux(bits[-1], Const(OFFSET), 0)),
                    square.eq((square << 1) + Mux(bits[-1], known, 0)),
                    bits.eq(bits << 1),
                    left.eq(left - 1),
                ]
                with m.If(left == 0):
                    m.next = "square"
            with m.State("square"):
                m.d.sync += [bits.eq(square), left.eq(2 * self.x0_bits - 1)]
                m.next = "weigh"
            with m.State("weigh"):
                m.d.sync += [
                    one.eq((one << 1) + Mux(bits[-1], Const(ONE), 0)),
                    bits.eq(bits << 1),
                    left.eq(left - 1),
                ]
                with m.If(left == 0):
                    m.next = "places"
            with m.State("places"):
                # As many as leave GATE_BITS of twice the 1.
                whole = Cat(0, one[CONSTANT_BITS:])
                with m.If((whole >> places) >= 1 << GATE_BITS):
                    m.d.sync += places.eq(places + 1)
                with m.Else():
                    m.d.sync += ready.eq(1)
                    m.next = "idle"
        whole_offset, whole_one = Signal(self.offset_bits), Signal(self.one_bits)
        m.d.comb += [whole_offset.eq(offset[CONSTANT_BITS:]), whole_one.eq(one[CONSTANT_BITS:])]
        return whole_offset, whole_one, places, prepared

    @staticmethod
    def _later(m: Module, here: Signal, valid: Signal, cycles: int, name: str) -> tuple[Signal, Signal]:
        return delayed(m, here, cycles, name), delayed(m, valid, cycles, f"{name}_valid", reset=True)
