"""Sends each row from the rescale lanes out, or to a memory for the last pass of a residual."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.config import LANES
from gateware.contracts import require
from gateware.isa import PostMode
from gateware.postprocess.lanes import RescaleLanes
from gateware.postprocess.layouts import Part, branch_layout, rescaled_row_layout, shorts_layout, terms_layout
from gateware.stream.fifo import StreamFifo

__all__ = ["WriteBack"]

MASK_BIT = 14  # that, 0 in a negative sum, masks a score


class WriteBack(wiring.Component):
    """Writes results to a queue, and a residual's branch and terms to two memories that hold the rows of a tile.

    A row of the memories is there from the cycle after it was kept. Nothing here waits: the queue has room for all
    rows that may be under way.

    Parameters
    ----------
    rows : int
        Rows of a tile.
    lanes : RescaleLanes
        Whose results these are.
    depth : int
        Places of the queue.

    Members
    -------
    biased, rescaled : In
        As of `RescaleLanes`; never both in a cycle.
    branch_row : In, branch : Out(4 x signed(16))
    term_row : In, terms : Out(terms_layout())
        What the memories hold of a row; in the same cycle.
    kept : Out(branch_layout(rows))
        A row of a branch that is kept in this cycle.
    term_kept : Out(1)
        So is a row of terms: a row's terms come later than its branch.
    o : Out(stream of rescaled_row_layout(rows))
    """

    def __init__(self, rows: int, lanes: RescaleLanes, depth: int) -> None:
        self.rows, self.depth = rows, depth
        super().__init__(
            {
                "biased": In(lanes.biased.shape()),
                "rescaled": In(lanes.rescaled.shape()),
                "branch_row": In(range(rows)),
                "branch": Out(shorts_layout()),
                "term_row": In(range(rows)),
                "terms": Out(terms_layout()),
                "kept": Out(branch_layout(rows)),
                "term_kept": Out(1),
                "o": Out(stream.Signature(rescaled_row_layout(rows))),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.results = results = StreamFifo(rescaled_row_layout(self.rows), self.depth)
        m.submodules.branches = branches = memory.Memory(
            shape=shorts_layout(), depth=self.rows, init=[], attrs={"ram_style": "distributed"}
        )
        m.submodules.terms = terms = memory.Memory(
            shape=terms_layout(), depth=self.rows, init=[], attrs={"ram_style": "distributed"}
        )
        branch_reader, branch_writer = branches.read_port(domain="comb"), branches.write_port()
        term_reader, term_writer = terms.read_port(domain="comb"), terms.write_port()
        connect(m, results.o, flipped(self.o))
        straight, passing = self.biased["valid"], self.rescaled["valid"]
        early, late = self.biased["beside"], self.rescaled["beside"]
        branch, term = Signal(), Signal()
        result = results.i.payload
        m.d.comb += [
            branch.eq(passing & (late.part == Part.ACCUMULATORS) & (late.mode == PostMode.RESIDUAL)),
            term.eq(passing & (late.part == Part.SKIP)),
            branch_reader.addr.eq(self.branch_row),
            self.branch.eq(branch_reader.data),
            branch_writer.en.eq(branch),
            branch_writer.addr.eq(late.row),
            branch_writer.data.eq(self.rescaled["q"]),
            self.kept["valid"].eq(branch),
            self.kept["row"].eq(late.row),
            self.kept["values"].eq(self.rescaled["q"]),
            term_reader.addr.eq(self.term_row),
            self.terms.eq(term_reader.data),
            term_writer.en.eq(term),
            term_writer.addr.eq(late.row),
            self.term_kept.eq(term),
            results.i.valid.eq(straight | (passing & ~branch & ~term)),
            result.row.eq(Mux(straight, early.row, late.row)),
            result["last"].eq(Mux(straight, early.last, late.last)),
            result["mode"].eq(Mux(straight, PostMode.RAW, late.mode)),
        ]
        require(m, platform, self, "a result finds a place in the queue", ~results.i.valid | results.i.ready)
        require(m, platform, self, "a row without a product meets none at the end", ~(straight & passing))
        for column in range(LANES):
            total, q = self.rescaled["sums"][column], self.rescaled["q"][column]
            m.d.comb += [
                term_writer.data[column]["value"].eq(total["value"]),
                term_writer.data[column]["over"].eq(total["over"]),
                term_writer.data[column]["negative"].eq(total["negative"]),
                result.masked[column].eq(total["value"][-1] & ~total["value"][MASK_BIT]),
                result.data[column].eq(Mux(straight, self.biased["values"][column], q)),
            ]
        return m
