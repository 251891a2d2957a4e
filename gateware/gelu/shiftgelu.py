"""ShiftGELU over groups of four rows, while they are loaded."""

from amaranth.hdl import Array, Cat, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from gateware.arith.round_shift import SHIFT_BITS
from gateware.config import BEAT_BITS, LANE_BITS, LANE_BYTES, LANES
from gateware.contracts import require, require_held
from gateware.gelu.polynomial_gelu import PolynomialTableBuilder
from gateware.gelu.table import TableBuilder
from sim.reference.arithmetic import Arithmetic

__all__ = ["ShiftGELU"]

CHANNEL_BITS = 14


class ShiftGELU(wiring.Component):
    """int8 to int8: ShiftGELU and its dyadic rescale, bit for bit ``sim.reference.ShiftGELU.table``.

    In a row the result depends on the value alone, so a table of it is computed for each row, by the shift arithmetic,
    from the row's maximum (which is known before its first value is loaded). Two sets of four tables: one is filled
    while the other is looked up.

    A beat takes 4 cycles: 4 elements a cycle. A group's tables take up to 1036 cycles (259 a row), so a group of C
    channels takes ``max(C, 1036)`` cycles sustained: 2.96 elements a cycle for C = 768, where every value is reached.
    With I-BERT's polynomial one table serves all four rows: ``max(C, 257)`` cycles, and some 40 more where ``x0``
    changes.

    Source: I-ViT, Algorithm 2; in the variant I-BERT, i-GELU.

    Parameters
    ----------
    arithmetic : Arithmetic
        Its GELU, n of ShiftGELU and multiplier bits; the literal variants are not built.
    x0_bits : int
        Bits of ``|x0|``, at most 8 (beyond 50 the sigmoid has hardly a bit left).

    Members
    -------
    x0, multiplier, shift, channels : In
        Constants of the layer, and C, a multiple of 4; they hold while ``busy``.
    maxima : In(stream of 4 x signed(8))
        Row maxima of a group. Values above its maximum give something, but disturb no other row.
    i, o : stream of 128 bits
        Beats [4 rows][4 channels], C / 4 of them a group.
    busy : Out(1)

    Raises
    ------
    ValueError
        For a parameter outside its range, or an arithmetic with a literal variant.
    """

    def __init__(self, arithmetic: Arithmetic, x0_bits: int = 8) -> None:
        require_range("ShiftGELU", "x0_bits", x0_bits, 1, 8)
        literal = arithmetic.gelu_slope_by_shifts or arithmetic.half_shifted_first
        if arithmetic.gelu == "shift" and literal:
            raise ValueError(
                f"ShiftGELU: the arithmetic '{arithmetic.name}' has a literal variant of the paper, which only the "
                "reference computes; choose official or lean."
            )
        self.arithmetic, self.x0_bits = arithmetic, x0_bits
        super().__init__(
            {
                "x0": In(x0_bits),
                "multiplier": In(Shape(arithmetic.multiplier_bits + 1, signed=True)),
                "shift": In(SHIFT_BITS),
                "channels": In(CHANNEL_BITS),
                "maxima": In(stream.Signature(data.ArrayLayout(signed(8), LANES))),
                "i": In(stream.Signature(BEAT_BITS)),
                "o": Out(stream.Signature(BEAT_BITS)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        polynomial = self.arithmetic.gelu == "polynomial"
        builder = (PolynomialTableBuilder if polynomial else TableBuilder)(self.arithmetic, self.x0_bits)
        m.submodules.builder = builder
        writers, readers = [], []
        for row in range(LANES):
            m.submodules[f"table_{row}"] = table = memory.Memory(shape=8, depth=512, init=[])
            writers.append(table.write_port())
            readers.append(table.read_port())
        claimed, full, freed, filled = Signal(2), Signal(2), Signal(2), Signal(2)
        accepted, filling, building = self._elaborate_build(m, builder, claimed)
        written = builder.write
        last_row = 0 if builder.common else LANES - 1
        m.d.comb += filled.eq((written.valid & written.last & (written.table[:2] == last_row)) << written.table[2])
        m.d.sync += [
            claimed.eq((claimed | (accepted << filling)) & ~freed),
            full.eq((full | filled) & ~freed),
        ]
        for index, writer in enumerate(writers):
            m.d.comb += [
                writer.en.eq(written.valid & (builder.common | (written.table[:2] == index))),
                writer.addr.eq(Cat(written.x, written.table[2])),
                writer.data.eq(written["value"]),
            ]
        held, arriving = self._elaborate_look_up(m, readers, full | filled, freed)
        settings = Cat(self.x0, self.multiplier, self.shift, self.channels)
        require_held(m, platform, self, "settings change only while nothing is inside", settings, self.busy)
        overwrites = written.valid & full.bit_select(written.table[2], 1)
        require(m, platform, self, "a table stays until its group has been looked up", ~overwrites)
        m.d.comb += self.busy.eq(builder.busy | building | (claimed != 0) | held | self.o.valid | arriving)
        return m

    def _elaborate_build(
        self, m: Module, builder: PolynomialTableBuilder | TableBuilder, claimed: Signal
    ) -> tuple[Signal, Signal, Signal]:
        """Maxima to the builder, row after row, where a set is not ``claimed``.

        Whether a group's maxima are accepted, the set that is filled next, and whether rows are left.
        """
        last_row = 0 if builder.common else LANES - 1
        tops, row, building, filling = Signal(data.ArrayLayout(signed(8), LANES)), Signal(2), Signal(), Signal()
        accepted = Signal()
        m.d.comb += [
            builder.x0.eq(self.x0),
            builder.multiplier.eq(self.multiplier),
            builder.shift.eq(self.shift),
            self.maxima.ready.eq(~building & ~claimed.bit_select(filling, 1)),
            accepted.eq(self.maxima.valid & self.maxima.ready),
            builder.row.valid.eq(building),
            builder.row.payload.top.eq(tops[row]),
            builder.row.payload.table.eq(Cat(row, filling)),
        ]
        with m.If(accepted):
            m.d.sync += [tops.eq(self.maxima.payload), building.eq(1), row.eq(0)]
        with m.If(builder.row.valid & builder.row.ready):
            m.d.sync += row.eq(row + 1)
            with m.If(row == last_row):
                m.d.sync += [building.eq(0), filling.eq(~filling)]
        return accepted, filling, building

    def _elaborate_look_up(
        self, m: Module, readers: "list[memory.ReadPort]", full: Value, freed: Signal
    ) -> tuple[Signal, Signal]:
        """Beats through the tables, one element of each row a cycle, where a set is ``full``; ``freed`` after a group.

        ``full`` is as it will be in the next cycle, but for what is ``freed``.

        Whether a beat is held, and whether an answer of the tables arrives.
        """
        using, phase, left = Signal(), Signal(2), Signal(CHANNEL_BITS - 2)
        beat, held = Signal(BEAT_BITS, reset_less=True), Signal()
        able, step, last = Signal(), Signal(), Signal()
        # What hangs on a beat's end is known from registers: the last phase, and whether the set in use is full.
        last_phase, usable = Signal(), Signal()
        m.d.comb += [
            able.eq(~self.o.valid | self.o.ready),
            step.eq(held & usable & (able | ~last_phase)),
            last.eq(held & usable & able & last_phase),
            self.i.ready.eq(~held | last),
        ]
        with m.If(step):
            m.d.sync += [phase.eq(phase + 1), last_phase.eq(phase == LANE_BYTES - 2)]
        with m.If(self.i.ready):
            m.d.sync += [held.eq(self.i.valid), beat.eq(self.i.payload)]
        group_last = Signal()
        m.d.sync += [
            group_last.eq(left == (self.channels >> 2) - 1),  # a beat takes four cycles
            usable.eq(full.bit_select(using ^ (last & group_last), 1)),
        ]
        with m.If(last):
            m.d.sync += left.eq(left + 1)
            with m.If(group_last):
                m.d.sync += [left.eq(0), using.eq(~using)]
                m.d.comb += freed.eq(Mux(using, 0b10, 0b01))
        # A table answers in the cycle after its question; the fourth answers complete the beat.
        arriving, arriving_phase = Signal(), Signal(2)
        m.d.sync += [arriving.eq(step), arriving_phase.eq(phase)]
        for index, reader in enumerate(readers):
            lane = beat.word_select(index, LANE_BITS)
            element = Array(lane.word_select(e, 8) for e in range(LANE_BYTES))[phase]
            m.d.comb += reader.addr.eq(Cat(element, using))
        self._collect(m, [reader.data for reader in readers], arriving, arriving_phase)
        return held, arriving

    def _collect(self, m: Module, answers: list[Value], arriving: Signal, phase: Signal) -> None:
        """Answers of four phases are a beat."""
        collected = Signal(data.ArrayLayout(data.ArrayLayout(8, LANE_BYTES - 1), LANES), reset_less=True)
        for index, answer in enumerate(answers):
            for earlier in range(LANE_BYTES - 1):
                with m.If(arriving & (phase == earlier)):
                    m.d.sync += collected[index][earlier].eq(answer)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(arriving & (phase == LANE_BYTES - 1)):
            m.d.sync += [
                self.o.valid.eq(1),
                self.o.payload.eq(Cat(Cat(collected[index], answer) for index, answer in enumerate(answers))),
            ]
