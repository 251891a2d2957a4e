"""A pooling by attention, whose query is learnt: the attention of a block with a Q that no token changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from firmware.checkpoints.arrays import Arrays
from firmware.checkpoints.checked import FloatArray, finite
from sim.reference.errors import UserError
from sim.reference.vit_shape import POOLING

__all__ = ["with_a_constant_query"]

PEAK = 4  # the largest of many values, in root mean squares
LATENT = f"{POOLING}.latent"


def with_a_constant_query(arrays: Arrays, dim: int, path: Path) -> Arrays:
    """With the query multiplied into K, whichever way Q, K and V were saved, and a Q without weights.

    Q is then one number in all channels, by its bias. Q, K and V have one scale in the integer model, so the number is
    chosen as large as the largest of K may be expected: its root mean square, for rows from the norm before, times
    `PEAK`.

    Parameters
    ----------
    arrays : under timm's names, or Q, K and V as one
    dim : channels
    path : of the file, for messages

    Raises
    ------
    UserError : a weight is missing, or there is not one query
    """
    found = dict(arrays)
    for part in ("weight", "bias"):
        query, keys = found.pop(f"{POOLING}.q.{part}", None), found.pop(f"{POOLING}.kv.{part}", None)
        if query is not None and keys is not None and query.ndim and query.shape[1:] == keys.shape[1:]:
            found[f"{POOLING}.qkv.{part}"] = np.concatenate([query, keys])
    weight = _of_shape(found, f"{POOLING}.qkv.weight", (3 * dim, dim), path)
    bias = np.zeros(3 * dim, np.float32)
    if f"{POOLING}.qkv.bias" in found:
        bias = _of_shape(found, f"{POOLING}.qkv.bias", (3 * dim,), path)
    latent = _of_shape(found, LATENT, (1, 1, dim), path)
    gamma = _of_shape(found, "norm.weight", (dim,), path)
    del found[LATENT]
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused with the other weights
        query = weight[:dim] @ latent.reshape(-1) + bias[:dim]
        key, key_bias = query[:, None] * weight[dim : 2 * dim], query * bias[dim : 2 * dim]
        spread = np.sqrt(np.square(key * gamma).sum(axis=1).mean())
        level = np.float32(np.sqrt(PEAK * spread)) or np.float32(1)
        found[f"{POOLING}.qkv.weight"] = np.concatenate([np.zeros_like(key), key / level, weight[2 * dim :]])
        found[f"{POOLING}.qkv.bias"] = np.concatenate([np.full(dim, level), key_bias / level, bias[2 * dim :]])
    return found


def _of_shape(arrays: Arrays, name: str, shape: tuple[int, ...], path: Path) -> FloatArray:
    if name not in arrays or arrays[name].shape != shape:
        raise UserError(
            f"{path}: {name!r} of a pooling by attention must be there and have the shape {shape}: one query, whose Q "
            "has weights."
        )
    return finite(name, arrays[name], path)
