"""Orders of a square map's tokens in memory, as windows, rolls and patch merging need them.

A product with weights does not ask for an order of its rows. So the tokens of a Swin stage lie in the order that the
next patch merging wants: the four (row, column) parities that merge in four row groups, at the same lanes. Those four
groups follow each other, so that neighbours stay near each other; where what they merge to is no whole number of row
groups, there are four planes instead, one a parity. Only attention sees windows, and what brings rows there and back
are two tables of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from firmware.compiler.fuse.layers import Windows
from gateware.config import LANES
from sim.reference.operations import WindowSplit
from sim.reference.rounding import IntArray, ceil_div

__all__ = ["PARITIES", "WindowRows", "in_planes", "map_rows", "merged_strides", "plane_pitch", "plane_rows"]

PARITIES = 4  # that patch merging puts side by side


def in_planes(side: int) -> bool:
    """Whether a map's parities lie in planes when it is merged."""
    return (side // 2) ** 2 % LANES != 0


def merged_strides(side: int) -> tuple[int, int]:
    """Rows from one parity to the next, and from a row group of merged tokens to the next, in a map to be merged."""
    return (plane_pitch(side), LANES) if in_planes(side) else (LANES, LANES * PARITIES)


def map_rows(side: int, last: int) -> IntArray:
    """Row of each token (in raster order) of a map, in a network whose last map has `last` tokens a side."""
    if side <= last:
        return np.arange(side * side)
    inner = map_rows(side // 2, last).reshape(side // 2, side // 2)
    rows = np.empty((side, side), np.int64)
    for parity in range(PARITIES):
        here = inner + parity * inner.size
        if not in_planes(side):
            here = (inner // LANES * PARITIES + parity) * LANES + inner % LANES
        rows[parity % 2 :: 2, parity // 2 :: 2] = here
    return rows.reshape(-1)


def plane_pitch(side: int) -> int:
    """Rows from one plane to the next: whole row groups, so that four planes meet in one row of a load."""
    return ceil_div((side // 2) ** 2, LANES) * LANES


def plane_rows(side: int, last: int) -> IntArray:
    """As `map_rows` of a map in planes, with planes that begin at multiples of four rows."""
    plane, place = np.divmod(map_rows(side, last), (side // 2) ** 2)
    return plane * plane_pitch(side) + place


@dataclass(frozen=True)
class WindowRows:
    """Which rows the tokens of windows take, in a network whose last map has `last` tokens a side."""

    windows: Windows
    last: int

    @property
    def pitch(self) -> int:
        """Rows from one window to the next in the tensor of Q, K and V: whole row groups."""
        return ceil_div(self.windows.tokens, LANES) * LANES

    @cached_property
    def map_rows(self) -> IntArray:
        """(windows * tokens,) rows of the map's tensors, window by window."""
        raster = np.arange(self.windows.side**2).reshape(1, -1, 1)
        tokens = WindowSplit(self.windows.window, self.windows.shift).apply(raster).reshape(-1)
        return map_rows(self.windows.side, self.last)[tokens]

    @cached_property
    def rows(self) -> IntArray:
        """(windows * tokens,) rows of the tensor of Q, K and V, window by window."""
        starts = np.arange(self.windows.count) * self.pitch
        return (starts[:, None] + np.arange(self.windows.tokens)).reshape(-1)

    @cached_property
    def scatter(self) -> IntArray:
        """For each row of the map's tensors its row of the tensor of Q, K and V."""
        result = np.empty(self.windows.side**2, np.int64)
        result[self.map_rows] = self.rows
        return result

    @cached_property
    def gather(self) -> IntArray:
        """For each row of the tensor of Q, K and V (padding: 0) its row of the map's tensors."""
        result = np.zeros(self.windows.count * self.pitch, np.int64)
        result[self.rows] = self.map_rows
        return result
