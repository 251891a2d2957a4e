"""Four rescale lanes, one a column, and what goes beside them."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.adder import add
from gateware.arith.delay import delay_line
from gateware.config import LANES
from gateware.contracts import watched
from gateware.isa import PostMode
from gateware.postprocess.lane import RescaleLane
from gateware.postprocess.layouts import TERM_BITS, Part, Pass, admitted_layout, shorts_layout, sum_layout, terms_layout

__all__ = ["RescaleLanes"]


class RescaleLanes(wiring.Component):
    """``number + bias`` after one cycle, and its rescaled value ``latency`` cycles later. A row a cycle, no stalls.

    Parameters
    ----------
    rows : int
        Rows of a tile.
    acc_width, multiplier_bits : int
        Bits of a number, and of a multiplier's magnitude.

    Attributes
    ----------
    latency : int
        Cycles from ``biased`` to ``rescaled``: those of a `RescaleLane`.

    Members
    -------
    i : In(admitted_layout(acc_width, multiplier_bits))
    term_row : Out, terms : In(terms_layout())
        The row of a branch that is about to be added, and its terms; in the same cycle.
    biased : Out
        ``valid``: a RAW row is here; ``beside``, and its ``values``, modulo 2^32.
    rescaled : Out
        ``valid``: a row of another mode; ``beside``; ``q``, clamped, and ``sums``, in columns.
    busy : Out(1)
        A row of another mode than RAW is inside.

    Attributes
    ----------
    term_used : Signal
        Where contracts are watched: ``terms`` are those of a row.
    """

    def __init__(self, rows: int, acc_width: int, multiplier_bits: int) -> None:
        self.lanes = [RescaleLane(acc_width + 1, multiplier_bits) for _ in range(LANES)]
        self.latency = self.lanes[0].latency
        self.term_used = Signal()
        biased = {"valid": 1, "beside": Pass, "values": data.ArrayLayout(signed(32), LANES)}
        sums = data.ArrayLayout(sum_layout(TERM_BITS + 2), LANES)
        rescaled = {"valid": 1, "beside": Pass, "q": shorts_layout(), "sums": sums}
        super().__init__(
            {
                "i": In(admitted_layout(acc_width, multiplier_bits)),
                "term_row": Out(range(rows)),
                "terms": In(terms_layout()),
                "biased": Out(data.StructLayout(biased)),
                "rescaled": Out(data.StructLayout(rescaled)),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        entered, valid = Signal(Pass, reset_less=True), Signal()
        m.d.sync += [valid.eq(self.i["valid"]), entered.eq(self.i["beside"])]
        occupied = delay_line(m, valid & (entered.mode != PostMode.RAW), self.latency, "passing", reset=True)
        # A register, as what enters hangs on it: what is inside after this cycle.
        enters = self.i["valid"] & (self.i["beside"].mode != PostMode.RAW)
        m.d.sync += self.busy.eq(enters | Cat(*occupied[:-1]).any())
        beside = delay_line(m, entered, self.latency, "beside")
        before_addend = beside[self.lanes[0].addend_latency - 1]
        m.d.comb += [
            self.term_row.eq(before_addend.row),
            self.biased["valid"].eq(valid & (entered.mode == PostMode.RAW)),
            self.biased["beside"].eq(entered),
            self.rescaled["valid"].eq(occupied[-1]),
            self.rescaled["beside"].eq(beside[-1]),
        ]
        if watched(platform):
            adding = occupied[self.lanes[0].addend_latency - 1]
            m.d.comb += self.term_used.eq(adding & (before_addend.part == Part.BRANCH))
        for column, lane in enumerate(self.lanes):
            m.submodules[f"lane_{column}"] = lane
            value = Signal(signed(32), name=f"value_{column}", reset_less=True)
            factor = Signal.like(self.i["factor"][column], name=f"factor_{column}", reset_less=True)
            addend = Signal(sum_layout(TERM_BITS + 1), name=f"addend_{column}", reset_less=True)
            m.d.sync += [
                value.eq(add(self.i["bias"][column], self.i["number"][column])),
                factor.eq(self.i["factor"][column]),
                addend.eq(Mux(before_addend.part == Part.BRANCH, self.terms[column].as_value(), 0)),
            ]
            m.d.comb += [
                lane.value.eq(value),
                lane.factor.eq(factor),
                lane.addend.eq(addend),
                lane.narrow.eq(beside[-1].narrow),
                lane.packed.eq(beside[-1].clamp_packed),
                self.biased["values"][column].eq(value),
                self.rescaled["q"][column].eq(lane.q),
                self.rescaled["sums"][column].eq(lane.sum),
            ]
        return m
