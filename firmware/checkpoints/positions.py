"""A checkpoint's position embedding for the tokens of an architecture."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from firmware.checkpoints.checked import FloatArray, written
from sim.reference.errors import UserError
from sim.reference.vit_shape import VitShape

__all__ = ["map_side", "positions"]

CUBIC = -0.75
"""PyTorch's bicubic kernel."""
TAPS = 4


def map_side(count: int, front: int) -> tuple[int, int] | None:
    """Side of the square map that so many positions are of, and how many learnt tokens in front have one too: all of
    `front`, or the first alone, or none. None where it is no square.
    """
    for covered in _covered(front):
        side = math.isqrt(max(count - covered, 0))
        if side and side * side == count - covered:
            return side, covered
    return None


def _covered(front: int) -> dict[int, None]:
    """How many of the tokens in front can have a position, the likeliest first."""
    return dict.fromkeys((front, min(front, 1), 0))


def positions(found: FloatArray, shape: VitShape, path: Path, resample: bool) -> FloatArray:
    """The positions (1, tokens, dim) of every token; those that the checkpoint has none for get 0.

    Parameters
    ----------
    found : the checkpoint's (1, positions, dim)
    resample : those of another image size are made to fit, as PyTorch's bicubic interpolation does it

    Raises
    ------
    UserError : they are of another image size, and not to be resampled; or of no square map
    """
    if found.ndim != 3 or found.shape[0] != 1 or found.shape[2] != shape.dim:
        raise UserError(
            f"{path}: 'pos_embed' has shape {written(found.shape)}, but (1, {shape.tokens}, {shape.dim}) is expected."
        )
    count, front, grid = found.shape[1], shape.tokens_in_front, shape.image // shape.patch
    fitting = [(grid, covered) for covered in _covered(front) if count - covered == shape.patches]
    square = fitting[0] if fitting else map_side(count, front)
    if square is None or (square[0] ** 2 != shape.patches and not resample):
        raise UserError(
            f"{path}: 'pos_embed' has {count} positions, but this architecture has {shape.tokens} tokens; "
            "name the image and patch size (and distillation) that the checkpoint was trained with, or --image."
        )
    side, covered = square
    patches = found[0, covered:]
    if side**2 != shape.patches:
        patches = _resampled(patches.reshape(side, side, -1), grid)
    result = np.zeros((1, shape.tokens, shape.dim), np.float32)
    result[0, :covered], result[0, front:] = found[0, :covered], patches
    return result


def _resampled(square: FloatArray, side: int) -> FloatArray:
    """(n, n, dim) as (side * side, dim)."""
    matrix = _cubic(len(square), side)
    values = np.einsum("ai,bj,ijc->abc", matrix, matrix, square.astype(np.float64), optimize=True)
    return np.asarray(values.reshape(side * side, -1), np.float32)


def _cubic(count: int, wanted: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The weights (wanted, count) of `count` samples in each of `wanted`, whose borders go on as they end."""
    result = np.zeros((wanted, count))
    for row in range(wanted):
        place = (row + 0.5) * count / wanted - 0.5
        first = math.floor(place) - 1
        for tap in range(first, first + TAPS):
            result[row, min(max(tap, 0), count - 1)] += _kernel(abs(place - tap))
    return result


def _kernel(x: float) -> float:
    if x <= 1:
        return (CUBIC + 2) * x**3 - (CUBIC + 3) * x**2 + 1
    return CUBIC * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0
