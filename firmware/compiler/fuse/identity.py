"""Tensors that are only rescaled, as products with the identity: the machine rescales accumulators alone."""

from __future__ import annotations

import numpy as np

from firmware.compiler.fuse.layers import Matmul, Norm, Rows, Sequence, Stored
from sim.reference.rescale import Dyadic, Rescale

__all__ = ["UNCHANGED", "rescaled_mean", "rescaled_norm"]

LOW_HALF_OFFSET = 128  # what the low byte of an operand in two halves lacks
UNCHANGED = Rescale(Dyadic(np.array(1), np.array(0)), 8)


def rescaled_norm(name: str, norm: Norm, rescale: Rescale, rows: Rows) -> Matmul:
    """What a norm gives. One of 16 bits comes in two bytes, of which the lower one is 128 too small."""
    channels = len(norm.bias)
    bias = np.full(channels, LOW_HALF_OFFSET, np.int64) if norm.wide else None
    return Matmul(name, norm, np.eye(channels, dtype=np.int64), bias, rows, rescale)


def rescaled_mean(name: str, mean: str, channels: int, rescale: Rescale) -> Matmul:
    """What a `layers.Mean` writes: of each channel's pair the first."""
    weight = np.kron(np.eye(channels, dtype=np.int64), np.array([[1, 0]]))
    return Matmul(name, Stored(mean), weight, None, Sequence(), rescale)
