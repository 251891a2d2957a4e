"""Rows of the skip operand from its pages, in the order of the tiles."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.config import BEAT_BITS, LANES
from gateware.engines.execute.pages import PAGES, page_cell_layout
from gateware.engines.execute.tile_iterator import ROW_BITS, TileIterator, iteration_layout

__all__ = ["ResidualRows"]


class ResidualRows(wiring.Component):
    """Reads the rows that count from complete pages, two words and so two cycles a row.

    Parameters
    ----------
    rows : int
        As of `ResidualFetch`.

    Members
    -------
    iteration, start, o : as of `ResidualFetch`.
    cell : Out(page_cell_layout(rows)), beat : In(128)
        What is there in the pages, in the same cycle.
    complete : In(2)
        The pages that may be read.
    freed : Out(2)
        The page whose last row is read in this cycle.
    idle : Out(1)
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        super().__init__(
            {
                "iteration": In(iteration_layout()),
                "start": In(1),
                "cell": Out(page_cell_layout(rows)),
                "beat": In(BEAT_BITS),
                "complete": In(PAGES),
                "freed": Out(PAGES),
                "o": Out(stream.Signature(data.ArrayLayout(signed(16), LANES))),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.tiles = tiles = TileIterator(self.rows)
        at, page = tiles.at, Signal()
        second, index, row = Signal(), Signal(range(self.rows + 1)), Signal(ROW_BITS)
        group = Signal(ROW_BITS - 2)
        word, low = Signal(32), Signal(32, reset_less=True)
        able, tile_done, last_row = Signal(), Signal(), Signal()
        m.d.sync += last_row.eq(index == at.rows - 1)  # a cycle late: a row takes two
        m.d.comb += [
            tiles.iteration.eq(self.iteration),
            tiles.start.eq(self.start),
            tiles.step.eq(tile_done),
            row.eq(at.row + index),
            group.eq(row[2:] - at.row[2:]),
            self.cell.page.eq(page),
            self.cell.group.eq(group[: len(self.cell.group)]),
            self.cell.column.eq(at.column | second),
            word.eq(Array(self.beat.word_select(lane, 32) for lane in range(LANES))[row[:2]]),
            able.eq(at.valid & self.complete.bit_select(page, 1) & (self.o.ready | ~self.o.valid)),
            tile_done.eq(able & second & last_row),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(able):
            m.d.sync += second.eq(~second)
            with m.If(second):
                m.d.sync += [self.o.valid.eq(1), index.eq(index + 1)]
                m.d.sync += self.o.payload.eq(Cat(low, word))
            with m.Else():
                m.d.sync += low.eq(word)
        with m.If(tile_done):
            m.d.sync += index.eq(0)
            with m.If(at.slab_end):
                m.d.sync += page.eq(~page)
                m.d.comb += self.freed.eq(Mux(page, 0b10, 0b01))
        m.d.comb += self.idle.eq(~at.valid & ~self.o.valid & ~self.start)
        return m
