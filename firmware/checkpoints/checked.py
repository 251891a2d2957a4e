"""Arrays checked strictly against an architecture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sim.reference.errors import UserError
from sim.reference.model_shape import ModelShape

__all__ = ["FloatArray", "check_buffers", "checked_weights", "written"]

FloatArray = npt.NDArray[np.float32]


def checked_weights(
    arrays: Mapping[str, npt.NDArray[np.generic]], shapes: Mapping[str, tuple[int, ...]], path: Path
) -> dict[str, FloatArray]:
    """`arrays` as float32 when they are exactly the tensors of `shapes`, all finite.

    Raises
    ------
    UserError
        A tensor is missing, unknown, of another shape or element type, or holds NaN or infinity.
    """
    for key in shapes:
        if key not in arrays:
            raise UserError(f"{path}: the weight {key!r} is missing; {written(shapes[key])} is expected.")
    for key in arrays:
        if key not in shapes:
            raise UserError(f"{path}: {key!r} is no weight of this architecture; check the ARCH argument.")
    weights = {}
    for key, shape in shapes.items():
        array = arrays[key]
        if array.shape != shape:
            raise UserError(f"{path}: {key!r} has shape {written(array.shape)}, but {written(shape)} is expected.")
        weights[key] = finite(key, array, path)
    return weights


def finite(key: str, array: npt.NDArray[np.generic], path: Path) -> FloatArray:
    """An array as float32. Raises UserError where it holds no finite floating-point numbers."""
    if array.dtype.kind != "f":
        raise UserError(f"{path}: {key!r} holds {array.dtype}, but floating-point weights are expected.")
    with np.errstate(over="ignore"):
        values = array.astype(np.float32)
    if not np.isfinite(values).all():
        raise UserError(f"{path}: {key!r} holds NaN or infinity, but finite float32 weights are expected.")
    return values


def check_buffers(arrays: Mapping[str, npt.NDArray[np.generic]], shape: ModelShape, source: str | Path) -> None:
    """Raises UserError when a tensor that follows from the dimensions is there and not as they would have it."""
    for key, expected in shape.buffers().items():
        if key in arrays and not np.array_equal(arrays[key], expected):
            raise UserError(f"{source}: {key!r} is not that of this architecture; check the ARCH argument.")


def written(shape: tuple[int, ...]) -> str:
    """A tensor's shape in a sentence."""
    return "(" + ", ".join(map(str, shape)) + ")"
