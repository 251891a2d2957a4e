"""Tensors that are only rescaled. They become products with the identity: only accumulators are rescaled."""

from __future__ import annotations

import numpy as np

from firmware.compiler.fuse.layers import Matmul, Norm, Rows, Sequence, Stored
from sim.reference.rescale import Dyadic, Rescale

__all__ = ["UNCHANGED", "rescaled_mean", "rescaled_norm"]

LOW_HALF_OFFSET = 128  # what the low byte of an operand in two halves lacks
UNCHANGED = Rescale(Dyadic(np.array(1), np.array(0)), 8)


def rescaled_norm(name: str, norm: Norm, rescale: Rescale, rows: Rows) -> Matmul:
    """The result of a norm. A norm of 16 bits comes as two bytes; the lower byte is 128 too small."""
    channels = len(norm.bias)
    bias = np.full(channels, LOW_HALF_OFFSET, np.int64) if norm.wide else None
    return Matmul(name, norm, np.eye(channels, dtype=np.int64), bias, rows, rescale)


def rescaled_mean(name: str, mean: str, channels: int, rescale: Rescale) -> Matmul:
    """The result of a `layers.Mean`: the first of each channel's pair."""
    weight = np.kron(np.eye(channels, dtype=np.int64), np.array([[1, 0]]))
    return Matmul(name, Stored(mean), weight, None, Sequence(), rescale)
