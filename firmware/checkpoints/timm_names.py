"""From timm's names, of any of its releases, to the weights of `ModelShape.weight_shapes`.

What differs: releases from 2023 on count a Swin's patch merging to the stage behind it and call the classifier
`head.fc`; older ones, like the authors, count it to the stage before and save what follows from the dimensions. The
rest is arithmetic that has the same result: LayerScale is multiplied into the product before it, a distilled DeiT's two
classifiers become one, the query of a pooling is a bias, a bias that is nowhere is 0, tokens without a position have
the position 0, the channels of a head are filled up to sixteens, and where there is no classifier the features
themselves come out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from firmware.checkpoints.arrays import Arrays
from firmware.checkpoints.checked import FloatArray, check_buffers, checked_weights, finite, written
from firmware.checkpoints.pooling import with_a_constant_query
from firmware.checkpoints.positions import positions
from sim.reference.errors import UserError
from sim.reference.model_shape import ModelShape
from sim.reference.swin_shape import SwinShape
from sim.reference.vit_shape import POOLING, VitShape

__all__ = ["weights_of"]

MERGING = re.compile(r"layers\.(\d+)(\.downsample\..+)")
SCALE = re.compile(r"(blocks\.\d+\.)(?:ls([12])\.gamma|gamma_([12]))")
SCALED = {"1": "attn.proj", "2": "mlp.fc2"}
OPTIONAL_BIAS = re.compile(r"patch_embed\.(proj|norm)\.bias|norm(_pre)?\.bias|.*\.(norm[12]|qkv|proj|fc[12])\.bias")


def weights_of(
    arrays: Mapping[str, npt.NDArray[np.generic]], shape: ModelShape, path: Path, resample: bool = False
) -> tuple[dict[str, FloatArray], list[str]]:
    """The float32 weights of an architecture, and what had to be assumed, in words.

    Parameters
    ----------
    arrays : under timm's names
    path : of the file, for messages
    resample : positions of another image size are made to fit

    Raises
    ------
    UserError : the tensors are not exactly those of the architecture
    """
    notes: list[str] = []
    found = _older_names(arrays)
    check_buffers(found, shape, path)
    found = {name: array for name, array in found.items() if name not in shape.buffers()}
    expected = dict(shape.weight_shapes())
    if isinstance(shape, VitShape) and shape.pool == "attention":
        found = with_a_constant_query(found, shape.dim, path)
    found = _with_missing_biases(found, expected, notes)
    found = _with_features(found, shape, notes)
    if isinstance(shape, SwinShape):
        found = _swin(found, shape)
    if isinstance(shape, VitShape):
        found = _vit(found, shape, path, resample, notes)
        if shape.distilled:
            for head in ("head", "head_dist"):
                expected |= {f"{head}.weight": (shape.classes, shape.dim), f"{head}.bias": (shape.classes,)}
            return _one_head(checked_weights(found, expected, path)), notes
    return checked_weights(found, expected, path), notes


def _older_names(arrays: Mapping[str, npt.NDArray[np.generic]]) -> Arrays:
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


def _with_missing_biases(arrays: Arrays, expected: Mapping[str, tuple[int, ...]], notes: list[str]) -> Arrays:
    """With biases of 0 where no layer of a kind has one; where some have it, the others are missing."""
    missing: dict[str, list[str]] = {}
    present = set()
    for name in expected:
        if OPTIONAL_BIAS.fullmatch(name):
            kind = re.sub(r"\d+\.", "", name)
            if name in arrays:
                present.add(kind)
            else:
                missing.setdefault(kind, []).append(name)
    added: Arrays = {}
    for kind, names in missing.items():
        if kind not in present:
            added |= {name: np.zeros(expected[name], np.float32) for name in names}
            notes.append(f"No {kind} is there: it is 0.")
    return arrays | added


def _with_features(arrays: Arrays, shape: ModelShape, notes: list[str]) -> Arrays:
    """With a classifier that gives what it reads, where there is none."""
    if any(name.startswith("head") for name in arrays) or shape.head.weight != (shape.classes, shape.classes):
        return arrays
    notes.append(f"No classifier is there: the {shape.classes} features that it would read come out.")
    return arrays | {
        "head.weight": np.eye(shape.classes, dtype=np.float32),
        "head.bias": np.zeros(shape.classes, np.float32),
    }


def _vit(arrays: Arrays, shape: VitShape, path: Path, resample: bool, notes: list[str]) -> Arrays:
    """Of a ViT, with everything that its variations are made the same by."""
    found = dict(arrays)
    if shape.pool == "mean_norm":
        found |= {
            f"norm.{part}": found.pop(f"fc_norm.{part}") for part in ("weight", "bias") if f"fc_norm.{part}" in found
        }
    if not shape.distilled and "dist_token" in found and not any(name.startswith("head_dist.") for name in found):
        found["reg_token"] = found.pop("dist_token")
    for name in ("cls_token", "reg_token"):
        if name in found:
            found[name] = _row_of_tokens(found[name], name, shape.dim, path)
    if "pos_embed" in found:
        found["pos_embed"] = positions(finite("pos_embed", found["pos_embed"], path), shape, path, resample)
    _fold_layer_scale(found, path, notes)
    for block in shape.block_names():
        _fill_heads(found, f"{block}.attn", shape.dim, shape.heads, shape.padded_width)
    _fill_heads(found, POOLING, shape.dim, shape.heads, shape.padded_width)
    return found


def _swin(arrays: Arrays, shape: SwinShape) -> Arrays:
    """Of a Swin, with its heads filled up."""
    found = dict(arrays)
    for stage in shape.stages:
        for block in shape.blocks(stage):
            _fill_heads(found, f"{block}.attn", shape.width(stage), shape.heads[stage], shape.padded_width(stage))
    return found


def _row_of_tokens(array: npt.NDArray[np.generic], name: str, dim: int, path: Path) -> npt.NDArray[np.generic]:
    """Learnt tokens as (1, count, dim), with however many axes of length 1 they were saved."""
    if not array.size or array.shape[-1:] != (dim,):
        raise UserError(f"{path}: {name!r} has shape {written(array.shape)}, but (1, tokens, {dim}) is expected.")
    return array.reshape(1, -1, dim)


def _fold_layer_scale(arrays: Arrays, path: Path, notes: list[str]) -> None:
    """Multiplies each LayerScale into the rows of the product before it."""
    scales = [match for match in map(SCALE.fullmatch, list(arrays)) if match]
    for match in scales:
        gamma = finite(match[0], arrays.pop(match[0]), path)
        layer = match[1] + SCALED[match[2] or match[3]]
        for part in ("weight", "bias"):
            name = f"{layer}.{part}"
            if name not in arrays or not arrays[name].ndim or gamma.shape != arrays[name].shape[:1]:
                raise UserError(f"{path}: {match[0]!r} of shape {written(gamma.shape)} does not fit {name!r}.")
            values = finite(name, arrays[name], path)
            arrays[name] = values * gamma.reshape(-1, *[1] * (values.ndim - 1))
    if scales:
        notes.append("LayerScale is multiplied into the weights before it.")


def _fill_heads(arrays: Arrays, name: str, dim: int, heads: int, padded: int) -> None:
    """Gives each head channels of zeros up to `padded`; what has another shape is left to the check."""
    width = dim // heads
    if width == padded:
        return
    for part in ("weight", "bias"):
        key = f"{name}.qkv.{part}"
        if key in arrays and arrays[key].shape[:1] == (3 * dim,):
            rest = arrays[key].shape[1:]
            filled = np.zeros((3 * heads, padded, *rest), arrays[key].dtype)
            filled[:, :width] = arrays[key].reshape(3 * heads, width, *rest)
            arrays[key] = filled.reshape(-1, *rest)
    key = f"{name}.proj.weight"
    if key in arrays and arrays[key].shape == (dim, dim):
        filled = np.zeros((dim, heads, padded), arrays[key].dtype)
        filled[:, :, :width] = arrays[key].reshape(dim, heads, width)
        arrays[key] = filled.reshape(dim, -1)


def _one_head(weights: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """The mean of two classifiers, of the class and of the distillation token, as one on both tokens side by side."""
    heads = [weights.pop("head.weight"), weights.pop("head_dist.weight")]
    weights["head.weight"] = np.concatenate(heads, axis=1) * np.float32(0.5)
    weights["head.bias"] = (weights.pop("head.bias") + weights.pop("head_dist.bias")) * np.float32(0.5)
    return weights
