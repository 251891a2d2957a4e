"""Whether the tensors of a model file are a whole and usable model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from sim.reference.architecture import spelled_out
from sim.reference.errors import UserError
from sim.reference.model_shape import ModelShape
from sim.reference.scales import INT32_MAX

__all__ = ["check_tensors"]

Tensors = Mapping[str, npt.NDArray[np.generic]]


def check_tensors(tensors: Tensors, shape: ModelShape, source: str) -> None:
    """Raises UserError, naming `source` and the tensor, unless `tensors` are a whole and usable model of `shape`."""
    expected = shape.layout()
    if missing := sorted(expected.keys() - tensors.keys()):
        raise UserError(f"{source}: the tensor {missing[0]!r} is missing; a model of {spelled_out(shape)} has it.")
    if unknown := sorted(tensors.keys() - expected.keys()):
        raise UserError(f"{source}: {unknown[0]!r} is no tensor of a model of {spelled_out(shape)}.")
    for name, (dimensions, kind) in expected.items():
        tensor = tensors[name]
        if tensor.shape != dimensions or tensor.dtype != kind:
            raise UserError(
                f"{source}: {name!r} is {tensor.dtype} {tensor.shape}, but {np.dtype(kind)} {dimensions} is expected."
            )
        if kind is np.float32:
            _check_scale(np.asarray(tensor, np.float32), name, source)
    for layer in shape.linears():
        _check_accumulator(layer.name, tensors, source)


def _check_scale(scale: npt.NDArray[np.float32], name: str, source: str) -> None:
    # Only LayerNorm's scales carry the sign of gamma.
    magnitude = np.abs(scale) if name.endswith("norm_scaling_factor") else scale
    if not np.isfinite(scale).all():
        raise UserError(f"{source}: the scale {name!r} holds NaN or infinity, but a finite number is expected.")
    if not (magnitude > 0).all():
        worst = scale.reshape(-1)[int(magnitude.reshape(-1).argmin())]
        raise UserError(
            f"{source}: the scale {name!r} holds {worst:g}, but a scale must not be zero"
            + ("." if magnitude is not scale else " or negative.")
        )


def _check_accumulator(name: str, tensors: Tensors, source: str) -> None:
    weight = tensors[f"{name}.weight_integer"].astype(np.int64)
    magnitude = np.abs(weight.reshape(len(weight), -1)).sum(axis=1) * 128
    if f"{name}.bias_integer" in tensors:
        magnitude = magnitude + np.abs(tensors[f"{name}.bias_integer"].astype(np.int64))
    if magnitude.max() > INT32_MAX:
        channel = int(magnitude.argmax())
        raise UserError(
            f"{source}: output channel {channel} of {name!r} can reach {magnitude[channel]}, beyond the 32-bit "
            f"accumulator's {INT32_MAX}; its bias is too large for its weights."
        )
