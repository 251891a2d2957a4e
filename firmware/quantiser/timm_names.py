"""From a float checkpoint as timm writes it, in any of its releases, to the weights of `ModelShape.weight_shapes`.

What differs: releases from 2023 on count a Swin's patch merging to the stage behind it and call the classifier
`head.fc`; older ones, like the authors, count it to the stage before and save what follows from the dimensions; a
distilled DeiT has two classifiers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from firmware.quantiser.weights import FloatArray, check_buffers, checked_weights, load_arrays
from sim.reference.errors import UserError
from sim.reference.model_shape import ModelShape
from sim.reference.vit_shape import VitShape

__all__ = ["load_weights"]

Arrays = Mapping[str, npt.NDArray[np.generic]]
MERGING = re.compile(r"layers\.(\d+)(\.downsample\..+)")


def load_weights(path: Path, shape: ModelShape) -> dict[str, FloatArray]:
    """The float32 weights of a safetensors or npz file.

    Raises
    ------
    UserError
        The file is unreadable, or its tensors are not exactly those of the architecture.
    """
    arrays = load_arrays(path)
    _check_positions(arrays, shape, path)
    expected = dict(shape.weight_shapes())
    arrays = _older_names(arrays)
    check_buffers(arrays, shape, path)
    arrays = {name: array for name, array in arrays.items() if name not in shape.buffers()}
    if not (isinstance(shape, VitShape) and shape.distilled):
        return checked_weights(arrays, expected, path)
    for head in ("head", "head_dist"):
        expected |= {f"{head}.weight": (shape.classes, shape.dim), f"{head}.bias": (shape.classes,)}
    return _one_head(checked_weights(arrays, expected, path))


def _older_names(arrays: Arrays) -> dict[str, npt.NDArray[np.generic]]:
    """The same arrays under the names of older releases."""
    newer = any(MERGING.fullmatch(name) for name in arrays) and not any(
        name.startswith("layers.0.downsample.") for name in arrays
    )
    renamed = {}
    for name, array in arrays.items():
        merging = MERGING.fullmatch(name) if newer else None
        name = f"layers.{int(merging[1]) - 1}{merging[2]}" if merging else name
        renamed[re.sub(r"^head\.fc\.", "head.", name)] = array
    return renamed


def _one_head(weights: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """The mean of two classifiers, of the class and of the distillation token, as one on both tokens side by side."""
    heads = [weights.pop("head.weight"), weights.pop("head_dist.weight")]
    weights["head.weight"] = np.concatenate(heads, axis=1) * np.float32(0.5)
    weights["head.bias"] = (weights.pop("head.bias") + weights.pop("head_dist.bias")) * np.float32(0.5)
    return weights


def _check_positions(arrays: Arrays, shape: ModelShape, path: Path) -> None:
    expected = shape.weight_shapes().get("pos_embed")
    found = arrays["pos_embed"].shape if "pos_embed" in arrays else expected
    if expected is not None and found is not None and len(found) == 3 and found[1] != expected[1]:
        raise UserError(
            f"{path}: 'pos_embed' has {found[1]} positions, but this architecture has {expected[1]} tokens; name the "
            "image and patch size (and distillation) that the checkpoint was trained with."
        )
