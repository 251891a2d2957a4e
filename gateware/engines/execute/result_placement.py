"""Where the results of an operation go: to memory or to the scores, and into the row maxima."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.config import LANES
from gateware.engines.execute.hand_over import back_registers
from gateware.engines.execute.maxima import update_layout
from gateware.engines.execute.store import result_row_layout
from gateware.engines.execute.tile_iterator import TileIterator, iteration_layout, position_layout
from gateware.isa import PostMode
from gateware.postprocess.layouts import rescaled_row_layout
from gateware.softmax.layouts import score_signature

__all__ = ["ResultPlacement"]


class ResultPlacement(wiring.Component):
    """Gives each row of results its place: one row a cycle while the store takes them.

    Parameters
    ----------
    rows : int
        Rows of a tile.
    max_length, max_rows : int
        Of the score memory and of the row maxima.

    Members
    -------
    begin : In(1), operation : In(back_registers()), results : In(iteration_layout())
        As of `HandOver`.
    i : In(stream of rescaled_row_layout(rows))
        From the postprocessor.
    at : Out(position_layout(rows)), o : Out(stream of result_row_layout(rows))
        For the store: the tile, and its rows.
    scores : Out(score_signature), update : Out(update_layout)
        One cycle after the row.
    ended, scored : Out(1)
        The operation's last row leaves in this cycle; it was one of scores.
    """

    def __init__(self, rows: int, max_length: int, max_rows: int) -> None:
        self.rows = rows
        super().__init__(
            {
                "begin": In(1),
                "operation": In(back_registers()),
                "results": In(iteration_layout()),
                "i": In(stream.Signature(rescaled_row_layout(rows))),
                "at": Out(position_layout(rows)),
                "o": Out(stream.Signature(result_row_layout(rows))),
                "scores": Out(score_signature(rows, max_length)),
                "update": Out(update_layout(max_rows)),
                "ended": Out(1),
                "scored": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.tiles = tiles = TileIterator(self.rows)
        at, post, result = tiles.at, self.operation.post, self.i.payload
        taken, half = Signal(), Signal()
        m.d.comb += [
            tiles.iteration.eq(self.results),
            tiles.start.eq(self.begin),
            tiles.step.eq(taken & result.last),
            self.at.eq(at),
            self.o.payload.data.eq(result.data),
            self.o.payload.row.eq(result.row),
            self.o.payload.last.eq(result.last),
            self.o.valid.eq(self.i.valid & at.valid & ~post.to_scores),
            self.i.ready.eq(at.valid & (post.to_scores | self.o.ready)),
            taken.eq(self.i.valid & self.i.ready),
            self.ended.eq(tiles.step & at.last_tile & at.last_block),
            self.scored.eq(self.ended & post.to_scores),
        ]
        m.d.sync += [
            self.scores.valid.eq(taken & post.to_scores),
            self.scores.half.eq(half),
            self.scores.row.eq(result.row),
            self.scores.word.eq(at.tile),
            self.scores.length.eq(self.operation.score_length),
            self.scores.mask.eq(result.masked & (post.mode == PostMode.RESIDUAL).replicate(LANES)),
            self.update.valid.eq(taken & post.track_max),
            self.update.fresh.eq(post.max_first & at.first_tile),
            self.update.row.eq(at.row + result.row),
        ]
        for column in range(LANES):
            value = result.data[column][:8].as_signed()
            m.d.sync += [self.scores.data[column].eq(value), self.update["values"][column].eq(value)]
        with m.If(tiles.step & at.last_tile & post.to_scores):
            m.d.sync += half.eq(~half)
        return m
