"""Tiles that wait for the postprocessor."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from gateware.array.layouts import accumulator_row_layout
from gateware.clocking.rows import QueueToSync
from gateware.config import LANES
from gateware.contracts import require
from gateware.stream.fifo import StreamFifo

__all__ = ["TileQueue", "tiles_waiting"]


def queue_depth(rows: int) -> int:
    """Rows of the queue: the power of two that holds two tiles, or more."""
    return 1 << (2 * rows - 1).bit_length()


def tiles_waiting(rows: int) -> int:
    """Tiles that the queue holds: the credits of who sends them."""
    return queue_depth(rows) // rows


class TileQueue(wiring.Component):
    """A queue of the array's rows, which the array cannot hold back: who starts a tile has a credit for it.

    Parameters
    ----------
    rows, acc_width : int
        Of the array.
    pump : int
        2: the array is in the domain ``fast``; 1: in ``sync``, as all else.

    Members
    -------
    rows : In(accumulator_row_layout)
        From the array, every row of every tile; in its domain.
    o : Out(stream of 4 x signed(acc_width))
    release : Out(1)
        A tile's last row left the queue in the cycle before: a credit.
    """

    def __init__(self, rows: int, acc_width: int, pump: int = 1) -> None:
        self.rows_a_tile, self.row, self.pump = rows, data.ArrayLayout(signed(acc_width), LANES), pump
        super().__init__(
            {
                "rows": In(accumulator_row_layout(rows, LANES, acc_width)),
                "o": Out(stream.Signature(self.row)),
                "release": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        kind, depth = StreamFifo if self.pump == 1 else QueueToSync, queue_depth(self.rows_a_tile)
        m.submodules.queue = queue = kind(self.row, depth)
        connect(m, queue.o, flipped(self.o))
        row = Signal(range(self.rows_a_tile))
        m.d.comb += [queue.i.valid.eq(self.rows.valid), queue.i.payload.eq(self.rows.data)]
        m.d.sync += self.release.eq(0)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += row.eq(row + 1)
            with m.If(row == self.rows_a_tile - 1):
                m.d.sync += [row.eq(0), self.release.eq(1)]
        if isinstance(queue, StreamFifo):
            require(m, platform, self, "a row of the array finds room in the queue", ~self.rows.valid | queue.i.ready)
        return m
