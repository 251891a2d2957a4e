"""A tile iterator and a store as the drain has them, and where the rows of an operation belong."""

import random
from collections.abc import Iterator
from typing import Any

from amaranth.hdl import Module
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped
from cocotb.triggers import RisingEdge

from gateware.engines.execute.store import RowStore, result_row_layout
from gateware.engines.execute.tile_iterator import TileIterator, iteration_layout
from gateware.isa import ROW_MAP_BITS
from gateware.memory.port import WritePort
from sim.cocotb.streams import pack

__all__ = ["TileWriter", "begin", "large", "operation", "places"]


class TileWriter(Component):
    """Writes the tiles of an operation: `start` with `iteration`, then its rows."""

    def __init__(self, rows: int, address_bits: int) -> None:
        self.iterator, self.store = TileIterator(rows), RowStore(rows, address_bits)
        super().__init__(
            {
                "iteration": In(iteration_layout()),
                "start": In(1),
                "scatter": In(1),
                "row": Out(13),
                "target": In(ROW_MAP_BITS),
                "i": In(stream.Signature(result_row_layout(rows))),
                "memory": Out(WritePort(address_bits)),
                "stored": Out(1),
                "outside": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.iterator, m.submodules.store = iterator, store = self.iterator, self.store
        connect(m, flipped(self.i), store.i)
        connect(m, store.memory, flipped(self.memory))
        m.d.comb += [
            iterator.iteration.eq(self.iteration),
            iterator.start.eq(self.start),
            iterator.step.eq(store.step),
            store.at.eq(iterator.at),
            store.columns.eq(self.iteration.columns),
            store.scatter.eq(self.scatter),
            store.target.eq(self.target),
            self.row.eq(store.row),
            self.stored.eq(store.stored),
            self.outside.eq(store.outside),
            self.idle.eq(store.idle),
        ]
        return m


def operation(rng: random.Random, rows: int, columns: int) -> dict[str, int]:
    """Fields of `iteration_layout`, with matrices anywhere in 16 address bits and a few rows anywhere in 12."""
    first_column = rng.choice([c for c in range(4) if c % columns == 0])
    few = rng.random() < 0.5
    return {
        "base": 4 * (rng.randrange(20) if few else rng.randrange(1 << 10)) + first_column,
        "slab": 4 * (rng.randrange(30, 40) if few else rng.randrange(1000, 1 << 11)),
        "columns": columns,
        "row": rng.randrange(10) if few else rng.randrange(3900),
        "tiles": rng.randrange(1, 7),
        "blocks": rng.randrange(1, 4),
        "rows_last": rng.randrange(1, rows + 1),
    }


def places(
    op: dict[str, int], rows: int, targets: dict[int, int] | None = None
) -> Iterator[tuple[int, bool, list[tuple[int, int]]]]:
    """(row in the block, whether it is the tile's last, [(beat address, lane), ...]) of every row, in their order."""
    for block in range(op["blocks"]):
        count = op["rows_last"] if block == op["blocks"] - 1 else rows
        for tile in range(op["tiles"]):
            for r in range(count):
                t = op["row"] + block * rows + r
                if targets is not None:
                    t = targets[t]
                words = []
                for part in range(op["columns"]):
                    kb = (op["base"] & 3) + tile * op["columns"] + part
                    words.append(((op["base"] & ~3) + (kb >> 2) * op["slab"] + (t >> 2) * 4 + (kb & 3), t & 3))
                yield r, r == count - 1, words


def large(rng: random.Random, rows: int, columns: int, series: int) -> list[dict[str, int]]:
    """Very many tiles of one row, and very many blocks of one tile; ``series``: 0, or 1 for the other bits of both."""
    common = {"columns": columns, "base": 4 * rng.randrange(200), "slab": 36}
    tiles = {"row": 4095 - 4076, "tiles": (2821, 1274)[series], "blocks": 1, "rows_last": 1}
    blocks = {"row": rng.randrange(4096), "tiles": 1, "blocks": (2389, 1706)[series] // rows, "rows_last": rows - 1}
    return [common | tiles, common | blocks]


async def begin(dut: Any, op: dict[str, int], scatter: bool = False) -> None:
    dut.iteration.value = pack(iteration_layout(), op)
    if scatter or hasattr(dut, "scatter"):
        dut.scatter.value = scatter
    dut.start.value = 1
    await RisingEdge(dut.clk)
    dut.start.value = 0
