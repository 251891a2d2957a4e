"""Which rows a layer takes at a time, and where its results go."""

from __future__ import annotations

from dataclasses import dataclass

from firmware.compiler.errors import CompileError
from firmware.program.allocation import Allocation
from gateware.config import AcceleratorConfig
from sim.reference.rounding import IntArray

__all__ = ["Destination", "chunks_of"]

FIRST_BLOCKS = 2  # of the first chunk behind what can start only when the layer before has ended
BLOCKS_AT_ONCE = 24  # behind a norm: so that not much is waited for before the first of them


def chunks_of(
    config: AcceleratorConfig, rows: tuple[int, int], stride: int, what: str, growth: int, most_rows: int, reserve: int
) -> list[tuple[int, int]]:
    """Row ranges that fit the A buffer: all at once, or half of it, so that one is loaded while another is used.

    `growth`: nothing overlaps with the first load, so that it is a short one; later ones are so many times longer.
    `reserve` words are left, if possible, to the rows of the layer that follows.
    """
    r, depth = config.rows, config.a_depth
    first, last = rows
    blocks = -(-(last - first) // r)
    if stride > depth:
        raise CompileError(
            f"{what}: a row of {4 * stride} columns takes {stride} words of the A buffer, which has {depth}; enlarge "
            "a_depth in the configuration."
        )
    if blocks * stride <= depth and last - first <= most_rows and (growth < 2 or blocks <= BLOCKS_AT_ONCE):
        return [rows]
    reserve = reserve if (depth - reserve) // 2 >= 2 * stride else 0
    most = max(1, min((depth - reserve) // 2 // stride, most_rows // r))
    sizes: list[int] = []
    while growth and FIRST_BLOCKS * growth ** len(sizes) < min(most, blocks - sum(sizes)):
        sizes.append(FIRST_BLOCKS * growth ** len(sizes))
        growth = growth if growth > 1 else 0
    left = blocks - sum(sizes)
    count = -(-left // most)
    sizes += [-(-left // count)] * count
    starts = [first + r * sum(sizes[:index]) for index in range(len(sizes))]
    return [(start, min(last, start + r * size)) for start, size in zip(starts, sizes, strict=True) if start < last]


@dataclass(frozen=True)
class Destination:
    """Where a layer's rows go.

    Parameters
    ----------
    home : the tensor
    scatter : row of the tensor for each row of the operand, and the beat address of that table; or None: as they are
    planes : rows of a plane of a map, and rows from one plane to the next
    """

    home: Allocation
    scatter: tuple[IntArray, int] | None = None
    planes: tuple[int, int] | None = None

    def spans(self, rows: tuple[int, int]) -> list[tuple[int, int]]:
        """The same rows, cut where planes end that are not whole row groups."""
        if self.planes is None or self.planes[0] == self.planes[1]:
            return [rows]
        size = self.planes[0]
        cuts = [rows[0], *range(-(-(rows[0] + 1) // size) * size, rows[1], size), rows[1]]
        return list(zip(cuts[:-1], cuts[1:], strict=True))

    def rows(self, rows: tuple[int, int]) -> tuple[int, int]:
        """A range that holds all rows of the tensor that these become."""
        if self.scatter is not None:
            places = self.scatter[0][rows[0] : rows[1]]
            return int(places.min()), int(places.max()) + 1
        shift = 0 if self.planes is None else rows[0] // self.planes[0] * (self.planes[1] - self.planes[0])
        return rows[0] + shift, rows[1] + shift
