"""Where a layer's results go: the tensor in memory, and the row of it that each of the layer's rows becomes."""

from __future__ import annotations

from dataclasses import dataclass

from firmware.program.allocation import Allocation
from sim.reference.rounding import IntArray, ceil_div

__all__ = ["OutputPlacement", "Planes", "RowTable"]


@dataclass(frozen=True, eq=False)
class RowTable:
    """A table for the row map: for each row of an operand its row in the result; `base` is its beat address, a beat
    a row.
    """

    rows: IntArray
    base: int

    def range(self, rows: tuple[int, int]) -> tuple[int, int]:
        """A range that holds all rows that these become."""
        places = self.rows[rows[0] : rows[1]]
        return int(places.min()), int(places.max()) + 1


@dataclass(frozen=True)
class Planes:
    """A map in planes of `size` rows, which begin at multiples of `pitch` rows."""

    size: int
    pitch: int


@dataclass(frozen=True, eq=False)
class OutputPlacement:
    """Where a layer's rows go; without table and planes as they are.

    Parameters
    ----------
    allocation : the tensor
    table : where each row goes, for the row map
    planes : rows are a map's, in planes
    """

    allocation: Allocation
    table: RowTable | None = None
    planes: Planes | None = None

    def parts(self, rows: tuple[int, int]) -> list[tuple[int, int]]:
        """The same rows, cut where planes end that are not whole row groups."""
        if self.planes is None or self.planes.size == self.planes.pitch:
            return [rows]
        size = self.planes.size
        cuts = [rows[0], *range(ceil_div(rows[0] + 1, size) * size, rows[1], size), rows[1]]
        return list(zip(cuts[:-1], cuts[1:], strict=True))

    def rows(self, rows: tuple[int, int]) -> tuple[int, int]:
        """A range that holds all rows of the tensor that these become."""
        if self.table is not None:
            return self.table.range(rows)
        gap = 0 if self.planes is None else rows[0] // self.planes.size * (self.planes.pitch - self.planes.size)
        return rows[0] + gap, rows[1] + gap
