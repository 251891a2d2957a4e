"""Vectors of one length, and how near they are to one another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from host.devices.embedding import Embedding

__all__ = ["Vectors", "nearest", "normalised", "unit_vectors"]

Vectors = npt.NDArray[np.float32]


def normalised(vectors: Vectors) -> Vectors:
    """The same with length 1 along the last axis, float32; one of zeros stays as it is."""
    lengths = np.sqrt(np.square(vectors, dtype=np.float64).sum(axis=-1, keepdims=True))
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def unit_vectors(embeddings: Iterable[Embedding]) -> Iterator[Vectors]:
    """The vector of each, of length 1."""
    return (normalised(one.vector) for one in embeddings)


def nearest(vectors: Vectors, query: Vectors, count: int) -> list[tuple[int, float]]:
    """The rows of largest cosine with `query`, largest first, of equals the first; all are looked at.

    Parameters
    ----------
    vectors : (rows, channels), of length 1
    query : (channels,), of length 1
    count : of rows, or fewer where there are not as many

    Returns row and cosine of each.
    """
    cosines = vectors @ query
    if count < len(cosines):
        least = np.partition(cosines, len(cosines) - count)[len(cosines) - count]
        candidates = np.flatnonzero(cosines >= least)
    else:
        candidates = np.arange(len(cosines))
    order = candidates[np.argsort(-cosines[candidates], kind="stable")][:count]
    return [(int(row), float(cosines[row])) for row in order]
