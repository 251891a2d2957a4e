"""Where the tiles of an operation lie in their matrix."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gateware.contracts import require, require_held
from gateware.isa import ADDRESS_BITS

__all__ = ["PLACE_BITS", "TileIterator", "iteration_layout", "position_layout"]

ROW_BITS = 13
PLACE_BITS = ADDRESS_BITS + 1  # of an address on its way: shows where a slab has left what registers can address


def iteration_layout() -> data.StructLayout:
    """The matrix: ``base`` and ``slab`` as OUT_BASE and OUT_SLAB, ``columns``: beat columns of a tile (1, 2, 4),
    ``row``: of block 0, row 0. The tiles: ``tiles`` a block, ``blocks``, ``rows_last``: rows of the last block.
    """
    return data.StructLayout(
        {
            "base": ADDRESS_BITS,
            "slab": ADDRESS_BITS,
            "columns": 3,
            "row": 12,
            "tiles": 12,
            "blocks": 12,
            "rows_last": 8,
        }
    )


def position_layout(rows: int) -> data.StructLayout:
    """A tile's place. ``valid``: there is one; ``row``, ``rows``: its block's first matrix row, and how many count;
    ``column``: its first beat column within its slab; ``slab``: address of the slab's row 0; ``slab_end``: it is the
    last one of its slab or block.
    """
    return data.StructLayout(
        {
            "valid": 1,
            "row": ROW_BITS,
            "rows": range(rows + 1),
            "tile": 12,
            "first_tile": 1,
            "last_tile": 1,
            "last_block": 1,
            "column": 2,
            "slab": PLACE_BITS,
            "slab_end": 1,
        }
    )


class TileIterator(wiring.Component):
    """Tiles of each block in turn, with their rows and beat columns.

    ``start`` begins (``iteration`` must hold until the end); ``at`` is valid from the next cycle on; ``step`` moves to
    the next tile, and from the last one to none.

    Parameters
    ----------
    rows : int
        Rows of a block.

    Members
    -------
    iteration : In(iteration_layout())
    start, step : In(1)
    at : Out(position_layout(rows))
    """

    def __init__(self, rows: int) -> None:
        self.rows_a_block = rows
        super().__init__(
            {
                "iteration": In(iteration_layout()),
                "start": In(1),
                "step": In(1),
                "at": Out(position_layout(rows)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        iteration = self.iteration
        at = Signal(self.at.shape())
        block = Signal(12)
        first_slab = Signal(ADDRESS_BITS)
        m.d.comb += first_slab.eq(iteration.base & ~Const(3, ADDRESS_BITS))
        after = Signal(3)
        m.d.comb += [
            after.eq(at.column + iteration.columns),
            self.at.eq(at),
            self.at.slab_end.eq(after[2] | at.last_tile),
            self.at["rows"].eq(Mux(at.last_block, iteration.rows_last, self.rows_a_block)),
        ]
        require(m, platform, self, "an iteration starts after the end of the one before", ~(self.start & at.valid))
        require_held(m, platform, self, "the matrix holds until the end of its iteration", iteration, at.valid)
        with m.If(self.start):
            m.d.sync += [
                at.valid.eq(1),
                block.eq(0),
                at.row.eq(iteration.row),
                at.last_block.eq(iteration.blocks <= 1),
                at.tile.eq(0),
                at.first_tile.eq(1),
                at.last_tile.eq(iteration.tiles <= 1),
                at.column.eq(iteration.base[:2]),
                at.slab.eq(first_slab),
            ]
        with m.Elif(self.step & at.valid):
            m.d.sync += [
                at.tile.eq(at.tile + 1),
                at.first_tile.eq(0),
                at.last_tile.eq(at.tile + 2 == iteration.tiles),
                at.column.eq(after[:2]),
            ]
            with m.If(after[2]):
                m.d.sync += at.slab.eq(at.slab + iteration.slab)
            with m.If(at.last_tile):
                m.d.sync += [
                    at.tile.eq(0),
                    at.first_tile.eq(1),
                    at.last_tile.eq(iteration.tiles <= 1),
                    at.column.eq(iteration.base[:2]),
                    at.slab.eq(first_slab),
                    block.eq(block + 1),
                    at.row.eq(at.row + self.rows_a_block),
                    at.last_block.eq(block + 2 == iteration.blocks),
                    at.valid.eq(~at.last_block),
                ]
        return m
