"""Matrices as the machine keeps them in memory: beats of four rows, slabs of four beat columns.

`address(row t, beat column kb) = base + (kb >> 2) * slab + (t >> 2) * 4 + (kb & 3)` in beats; row t is lane t & 3 of
its beat, 32 bits: four int8, two int16 or one int32 (docs/machine.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gateware.config import BEAT_BYTES, LANE_BYTES, LANES
from sim.reference.rounding import ceil_div

__all__ = [
    "SLAB_COLUMNS",
    "beat_columns",
    "matrix_beats",
    "pack_matrix",
    "pack_operand",
    "slab_beats",
    "unpack_matrix",
]

SLAB_COLUMNS = 4
TYPES: dict[int, npt.DTypeLike] = {1: "<i1", 2: "<i2", 4: "<i4"}


def beat_columns(columns: int, size: int) -> int:
    """Beat columns of a matrix row of `columns` elements of `size` bytes."""
    return ceil_div(columns * size, LANE_BYTES)


def slab_beats(rows: int) -> int:
    """Beats of a slab of a matrix of that many rows."""
    return ceil_div(rows, LANES) * SLAB_COLUMNS


def matrix_beats(rows: int, columns: int, size: int) -> int:
    """Beats of the whole matrix."""
    return ceil_div(beat_columns(columns, size), SLAB_COLUMNS) * slab_beats(rows)


def pack_matrix(matrix: npt.NDArray[Any], size: int) -> npt.NDArray[np.uint8]:
    """The bytes of (rows, columns) integers that fit `size` bytes; what pads the last row group and slab is 0.

    Raises
    ------
    ValueError : a value does not fit
    """
    rows, columns = matrix.shape
    typed = matrix.astype(TYPES[size])
    if not np.array_equal(typed, matrix):
        raise ValueError(f"the values of a {rows} x {columns} matrix must fit {8 * size} bits, and some do not")
    groups, slabs = ceil_div(rows, LANES), ceil_div(beat_columns(columns, size), SLAB_COLUMNS)
    padded = np.zeros((groups * LANES, slabs * SLAB_COLUMNS * LANE_BYTES // size), TYPES[size])
    padded[:rows, :columns] = typed
    content = padded.view(np.uint8).reshape(groups, LANES, slabs, SLAB_COLUMNS, LANE_BYTES)
    return np.ascontiguousarray(content.transpose(2, 0, 3, 1, 4)).reshape(-1)


def unpack_matrix(content: npt.NDArray[np.uint8], rows: int, columns: int, size: int) -> npt.NDArray[np.int64]:
    """The (rows, columns) matrix whose bytes `pack_matrix` gives.

    Raises
    ------
    ValueError : there are not as many bytes as the matrix has
    """
    expected = matrix_beats(rows, columns, size) * BEAT_BYTES
    if len(content) != expected:
        raise ValueError(f"a {rows} x {columns} matrix takes {expected} bytes, not {len(content)}")
    groups, slabs = ceil_div(rows, LANES), ceil_div(beat_columns(columns, size), SLAB_COLUMNS)
    ordered = content.reshape(slabs, groups, SLAB_COLUMNS, LANES, LANE_BYTES).transpose(1, 3, 0, 2, 4)
    flat = np.ascontiguousarray(ordered).reshape(groups * LANES, -1).view(TYPES[size])
    return flat[:rows, :columns].astype(np.int64)


def pack_operand(matrix: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """The bytes of int8 (rows, K) in the order in which a tile reads them: row groups outside, steps inside."""
    rows, columns = matrix.shape
    groups, steps = ceil_div(rows, LANES), ceil_div(columns, LANE_BYTES)
    padded = np.zeros((groups * LANES, steps * LANE_BYTES), np.int8)
    padded[:rows, :columns] = matrix
    return np.ascontiguousarray(padded.view(np.uint8).reshape(groups, LANES, steps, LANE_BYTES).swapaxes(1, 2)).reshape(
        -1
    )
