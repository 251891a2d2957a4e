"""Which row enters the rescale lanes, and when."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.config import LANES
from gateware.isa import PostMode
from gateware.postprocess.layouts import Part, admitted_layout, lane_set_layout, shorts_layout

__all__ = ["Admission"]


class Admission(wiring.Component):
    """Rows of the parts of a tile, in the order of their sets, each once there is a place for what comes of it.

    A row a cycle, parts and tiles without a gap between them. Rows of the array that do not count are taken and
    dropped. A row of a RAW tile enters only while the lanes are empty, as it overtakes what is in them; a row of a
    residual's branch only when its term is known.

    Parameters
    ----------
    rows : int
        Rows that a tile always has, counting or not.
    acc_width, multiplier_bits : int
        Bits of an accumulator, and of a multiplier's magnitude.
    places : int
        Results that may be under way at a time.

    Members
    -------
    sets : In(stream of lane_set_layout(rows, multiplier_bits))
    acc : In(stream of 4 x signed(acc_width)), skip : In(stream of 4 x signed(16))
        Rows of the array, and of the skip operand.
    branch_row : Out, branch : In(4 x signed(16))
        A row of a residual's branch, and what was kept of it; in the same cycle.
    lanes_busy : In(1)
        Something but RAW rows is in the lanes.
    term_kept : In(1)
        The next row's term has been kept, and so has its branch.
    left : In(1)
        A result has left.
    o : Out(admitted_layout(acc_width, multiplier_bits))
    """

    def __init__(self, rows: int, acc_width: int, multiplier_bits: int, places: int) -> None:
        self.rows, self.acc_width, self.multiplier_bits, self.places = rows, acc_width, multiplier_bits, places
        super().__init__(
            {
                "sets": In(stream.Signature(lane_set_layout(rows, multiplier_bits))),
                "acc": In(stream.Signature(data.ArrayLayout(signed(acc_width), LANES))),
                "skip": In(stream.Signature(shorts_layout())),
                "branch_row": Out(range(rows)),
                "branch": In(shorts_layout()),
                "lanes_busy": In(1),
                "term_kept": In(1),
                "left": In(1),
                "o": Out(admitted_layout(acc_width, multiplier_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        work, working = Signal(lane_set_layout(self.rows, self.multiplier_bits), reset_less=True), Signal()
        row, known = Signal(range(self.rows)), Signal(range(self.rows + 1))
        places, room = Signal(range(self.places + 1), init=self.places), Signal(init=1)
        go, counts, end_of_part, raw, able = Signal(), Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            counts.eq(row <= work.final),
            raw.eq(work.mode == PostMode.RAW),
            go.eq(working & able & room & ~(raw & self.lanes_busy)),
            self.acc.ready.eq(go & (work.part == Part.ACCUMULATORS)),
            self.skip.ready.eq(go & (work.part == Part.SKIP)),
            self.branch_row.eq(row),
            self.sets.ready.eq(~working | (go & end_of_part)),
        ]
        with m.Switch(work.part):
            with m.Case(Part.ACCUMULATORS):
                m.d.comb += [able.eq(self.acc.valid), end_of_part.eq(row == self.rows - 1)]
            with m.Case(Part.SKIP):
                m.d.comb += [able.eq(self.skip.valid), end_of_part.eq(row == work.final)]
            with m.Default():
                m.d.comb += [able.eq(known > row), end_of_part.eq(row == work.final)]
        with m.If(go):
            m.d.sync += row.eq(Mux(end_of_part, 0, row + 1))
        with m.If(self.sets.ready):
            m.d.sync += [work.eq(self.sets.payload), working.eq(self.sets.valid)]

        beside = self.o["beside"]
        m.d.comb += [
            self.o["valid"].eq(go & counts),
            beside.part.eq(work.part),
            beside.mode.eq(work.mode),
            beside.clamp_packed.eq(work.clamp_packed),
            beside.narrow.eq(work.narrow),
            beside.last.eq(row == work.final),
            beside.row.eq(row),
            self.o["bias"].eq(work.bias),
            self.o["factor"].eq(work.factor),
        ]
        for column in range(LANES):
            number = self.o["number"][column]
            with m.Switch(work.part):
                with m.Case(Part.ACCUMULATORS):
                    m.d.comb += number.eq(self.acc.payload[column])
                with m.Case(Part.SKIP):
                    m.d.comb += number.eq(self.skip.payload[column])
                with m.Default():
                    m.d.comb += number.eq(self.branch[column])

        with m.If(self.term_kept):
            m.d.sync += known.eq(known + 1)
        with m.If(go & end_of_part & (work.part == Part.BRANCH)):
            m.d.sync += known.eq(0)
        takes = Signal()
        m.d.comb += takes.eq(go & counts & ((work.mode != PostMode.RESIDUAL) | (work.part == Part.BRANCH)))
        with m.If(takes & ~self.left):
            m.d.sync += [places.eq(places - 1), room.eq(places != 1)]
        with m.If(self.left & ~takes):
            m.d.sync += [places.eq(places + 1), room.eq(1)]
        return m
