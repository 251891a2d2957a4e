"""Where the tiles of an operation lie in their matrix."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["TileWalker", "walk_layout"]

ROW_BITS = 13


def walk_layout(address_bits: int) -> data.StructLayout:
    """What is walked: ``base`` and ``slab`` as OUT_BASE and OUT_SLAB, ``columns``: beat columns of a tile (1, 2, 4)."""
    return data.StructLayout(
        {
            "base": address_bits,
            "slab": address_bits,
            "columns": 3,
            "row": 12,
            "tiles": 12,
            "blocks": 12,
            "rows_last": 8,
        }
    )


class TileWalker(wiring.Component):
    """Tiles of each block in turn, with their rows and beat columns.

    ``start`` begins (``walk`` must hold until the end); ``valid`` and the rest hold from the next cycle on; ``step``
    moves to the next tile.

    Parameters
    ----------
    rows : int
        Rows of a block.
    address_bits : int
        Bits of a beat address.

    Members
    -------
    walk : In(walk_layout(address_bits))
    start, step : In(1)
    valid : Out(1)
    row, rows : Out
        First matrix row of the block, and how many count.
    tile, first_tile, last_tile, last_block : Out
    column : Out(2)
        First beat column of the tile within its slab.
    slab : Out(address_bits)
        Address of the slab's row 0.
    slab_end : Out(1)
        The tile is the last one of its slab or block.
    """

    def __init__(self, rows: int, address_bits: int) -> None:
        self.rows_a_block, self.address_bits = rows, address_bits
        super().__init__(
            {
                "walk": In(walk_layout(address_bits)),
                "start": In(1),
                "step": In(1),
                "valid": Out(1),
                "row": Out(ROW_BITS),
                "rows": Out(range(rows + 1)),
                "tile": Out(12),
                "first_tile": Out(1),
                "last_tile": Out(1),
                "last_block": Out(1),
                "column": Out(2),
                "slab": Out(address_bits),
                "slab_end": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        walk = self.walk
        block = Signal(12)
        first_slab = Signal(self.address_bits)
        m.d.comb += first_slab.eq(walk.base & ~Const(3, self.address_bits))
        after = Signal(3)
        m.d.comb += [
            after.eq(self.column + walk.columns),
            self.slab_end.eq(after[2] | self.last_tile),
            self.rows.eq(Mux(self.last_block, walk.rows_last, self.rows_a_block)),
        ]
        with m.If(self.start):
            m.d.sync += [
                self.valid.eq(1),
                block.eq(0),
                self.row.eq(walk.row),
                self.last_block.eq(walk.blocks <= 1),
                self.tile.eq(0),
                self.first_tile.eq(1),
                self.last_tile.eq(walk.tiles <= 1),
                self.column.eq(walk.base[:2]),
                self.slab.eq(first_slab),
            ]
        with m.Elif(self.step & self.valid):
            m.d.sync += [
                self.tile.eq(self.tile + 1),
                self.first_tile.eq(0),
                self.last_tile.eq(self.tile + 2 == walk.tiles),
                self.column.eq(after[:2]),
            ]
            with m.If(after[2]):
                m.d.sync += self.slab.eq(self.slab + walk.slab)
            with m.If(self.last_tile):
                m.d.sync += [
                    self.tile.eq(0),
                    self.first_tile.eq(1),
                    self.last_tile.eq(walk.tiles <= 1),
                    self.column.eq(walk.base[:2]),
                    self.slab.eq(first_slab),
                    block.eq(block + 1),
                    self.row.eq(self.row + self.rows_a_block),
                    self.last_block.eq(block + 2 == walk.blocks),
                    self.valid.eq(~self.last_block),
                ]
        return m
