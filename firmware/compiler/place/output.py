"""Where a layer's results go: the tensor in memory, and the row of it that each of the layer's rows becomes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from firmware.compiler.span import Span
from firmware.program.allocation import Allocation
from sim.reference.rounding import IntArray

__all__ = ["OutputPlacement", "Planes", "RowTable"]


@dataclass(frozen=True, eq=False)
class RowTable:
    """A table for the row map: for each row of an operand its row in the result; `base` is its beat address, a beat
    a row.
    """

    rows: IntArray
    base: int

    def span(self, rows: Span) -> Span:
        """A span that holds all rows that these become."""
        places = self.rows[rows.start : rows.stop]
        return Span(int(places.min()), int(places.max()) + 1)


@dataclass(frozen=True)
class Planes:
    """A map in planes of `size` rows, which begin at multiples of `pitch` rows."""

    size: int
    pitch: int


@dataclass(frozen=True, eq=False)
class OutputPlacement:
    """Where a layer's rows go. Without table and planes they keep their order.

    Parameters
    ----------
    allocation : the tensor
    table : where each row goes, for the row map
    planes : rows are a map's, in planes
    """

    allocation: Allocation
    table: RowTable | None = None
    planes: Planes | None = None

    def parts(self, rows: Span) -> list[Span]:
        """The same rows, cut where planes end that are not whole row groups."""
        if self.planes is None or self.planes.size == self.planes.pitch:
            return [rows]
        size = self.planes.size
        cuts = [rows.start, *range((rows.start // size + 1) * size, rows.stop, size), rows.stop]
        return [Span(start, stop) for start, stop in itertools.pairwise(cuts)]

    def rows(self, rows: Span) -> Span:
        """A span that holds all rows of the tensor that these become; of planes the rows are of one."""
        if self.table is not None:
            return self.table.span(rows)
        if self.planes is None:
            return rows
        return rows.moved(rows.start // self.planes.size * (self.planes.pitch - self.planes.size))
