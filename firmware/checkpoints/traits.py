"""The dimensions of a model as far as its weights tell them, and with what they cannot tell."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from firmware.checkpoints.arrays import Arrays
from firmware.checkpoints.checked import written
from firmware.checkpoints.positions import map_side
from sim.reference.errors import UserError
from sim.reference.model_shape import MLP_RATIO, ModelShape
from sim.reference.outputs import CLASSES, EMBEDDING
from sim.reference.swin_shape import SwinShape
from sim.reference.vit_shape import POOLING, VitShape

__all__ = ["Told", "refined", "swin_shape", "vit_shape"]

PATCHES = "patch_embed.proj.weight"
HEAD_OF_BOTH = 2


@dataclass(frozen=True)
class Told:
    """What the weights of a ViT cannot tell.

    Parameters
    ----------
    heads : of attention; None where each has 64 channels
    averaged : the head reads the mean of the patches, not the class token
    activation, epsilon : as in `VitShape`
    image : pixels; None where they follow from the positions
    projection : what is called a head is a projection into an embedding
    """

    heads: int | None = None
    averaged: bool = False
    activation: str = "gelu"
    epsilon: float = 1e-6
    image: int | None = None
    projection: bool = False


def vit_shape(arrays: Arrays, told: Told, path: Path) -> VitShape:
    """The architecture of a ViT's weights.

    Raises
    ------
    UserError : a weight that tells a dimension is missing or has other axes; or the head reads what no head here does
    """
    dim, colours, patch, _ = _axes(arrays, PATCHES, 4, path)
    if colours != 3:
        raise UserError(f"{path}: the model takes pictures of {colours} colours, but red, green and blue are expected.")
    traits = _traits(arrays, path)
    front = traits["class_token"] + traits["distilled"] + traits["registers"]
    image = told.image
    if image is None:
        square = map_side(_axes(arrays, "pos_embed", 3, path)[1], front)
        if square is None:
            raise UserError(f"{path}: the positions are of no square picture; name the image size with --image.")
        image = square[0] * patch
    classes, gives = dim, EMBEDDING
    if "head.weight" in arrays:
        gives = EMBEDDING if told.projection else CLASSES
        classes, read = _axes(arrays, "head.weight", 2, path)
        if read == HEAD_OF_BOTH * dim:
            raise UserError(
                f"{path}: the classifier reads the class token and the mean of the patches side by side, which the "
                "machine cannot; take the model without its classifier."
            )
    heads = told.heads or max(dim // 64, 1)
    pool = "token" if not told.averaged else "mean"
    pool = traits.pop("pool", pool)
    _check_pool(pool, traits["class_token"], path)
    return VitShape(
        image, patch, dim, _blocks(arrays, path), heads, classes, pool=pool, activation=told.activation,
        epsilon=told.epsilon, gives=gives, **traits,
    )  # fmt: skip


def refined(shape: ModelShape, arrays: Arrays, path: Path) -> ModelShape:
    """An architecture that somebody named, with what the weights tell beside that and nobody has named otherwise."""
    if not isinstance(shape, VitShape):
        return shape
    traits = _traits(arrays, path)
    if traits.get("hidden") == MLP_RATIO * shape.dim:
        traits["hidden"] = 0
    defaults = {field.name: field.default for field in shape.__dataclass_fields__.values()}
    changes = {name: value for name, value in traits.items() if getattr(shape, name) == defaults[name]}
    if not any(name.startswith("head") for name in arrays):
        changes |= {"classes": shape.dim, "gives": EMBEDDING}
    _check_pool(changes.get("pool", shape.pool), traits["class_token"], path)
    return replace(shape, **changes)


def swin_shape(arrays: Arrays, image: int, activation: str, epsilon: float, path: Path) -> SwinShape:
    """The architecture of a Swin's weights.

    Raises
    ------
    UserError : a weight that tells a dimension is missing or has other axes
    """
    dim, _, patch, _ = _axes(arrays, PATCHES, 4, path)
    depths: list[int] = []
    heads: list[int] = []
    windows: list[int] = []
    while depth := _count(arrays, rf"layers\.{len(depths)}\.blocks\.(\d+)\..+"):
        key = f"layers.{len(depths)}.blocks.0.attn.relative_position_bias_table"
        rows, columns = _axes(arrays, key, 2, path)
        depths.append(depth)
        heads.append(columns)
        windows.append((math.isqrt(rows) + 1) // 2)
    if not depths:
        raise UserError(f"{path}: the weights of the first block are missing.")
    classes, gives = dim << len(depths) - 1, EMBEDDING
    for key in ("head.weight", "head.fc.weight"):
        if key in arrays:
            classes, gives = _axes(arrays, key, 2, path)[0], CLASSES
    return SwinShape(
        image, patch, dim, tuple(depths), tuple(heads), max(windows), classes, activation=activation, epsilon=epsilon,
        gives=gives,
    )  # fmt: skip


def _traits(arrays: Arrays, path: Path) -> dict[str, Any]:
    """What the keys tell of a ViT's variations, under the names of `VitShape`."""
    distilled = "dist_token" in arrays
    both = distilled and any(key.startswith("head_dist.") for key in arrays)
    registers = int(distilled and not both)
    if "reg_token" in arrays:
        registers += math.prod(arrays["reg_token"].shape[:-1])
    found: dict[str, Any] = {
        "class_token": int("cls_token" in arrays),
        "distilled": int(both),
        "registers": registers,
        "pre_norm": int("norm_pre.weight" in arrays),
    }
    if "blocks.0.mlp.fc1.weight" in arrays:
        hidden, dim = _axes(arrays, "blocks.0.mlp.fc1.weight", 2, path)
        if "blocks.0.mlp.fc2.weight" in arrays:
            _check_gated(hidden, _axes(arrays, "blocks.0.mlp.fc2.weight", 2, path)[1], path)
        found["hidden"] = 0 if hidden == MLP_RATIO * dim else hidden
    if "fc_norm.weight" in arrays and "norm.weight" not in arrays:
        found["pool"] = "mean_norm"
    if f"{POOLING}.latent" in arrays:
        found["pool"] = "attention"
    return found


def _check_pool(pool: str, class_token: int, path: Path) -> None:
    """Raises UserError where the head reads a token that is not there."""
    if pool == "token" and not class_token:
        raise UserError(
            f"{path}: 'cls_token' is missing; a model without one reads a mean: say pool=mean in ARCH, or global_pool "
            "avg in its configuration."
        )


def _check_gated(made: int, read: int, path: Path) -> None:
    """Raises UserError for an MLP whose second layer reads half of what its first one makes."""
    if made == 2 * read:
        raise UserError(f"{path}: the MLPs are SwiGLUs, which the machine does not have; take a model with GELU.")


def _blocks(arrays: Arrays, path: Path) -> int:
    found = _count(arrays, r"blocks\.(\d+)\..+")
    if not found:
        raise UserError(f"{path}: the weights of the first block are missing.")
    return found


def _count(arrays: Arrays, pattern: str) -> int:
    """How many blocks there are, by the numbers in their names; one that is missing is found out later."""
    matches = [match for match in (re.fullmatch(pattern, key) for key in arrays) if match]
    return len({int(match[1]) for match in matches if len(match[1]) < 6})


def _axes(arrays: Arrays, key: str, count: int, path: Path) -> tuple[int, ...]:
    """Lengths of the axes of a weight that has so many."""
    if key not in arrays:
        raise UserError(f"{path}: the weight {key!r} is missing; is this an image model?")
    shape = arrays[key].shape
    if len(shape) != count:
        raise UserError(f"{path}: {key!r} has shape {written(shape)}, but {count} axes are expected.")
    return shape
