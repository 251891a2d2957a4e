"""Classes of a few pictures each: the nearest mean, or logistic regression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from host.command.errors import HostError
from host.embeddings.class_names import check_names
from host.embeddings.index_file import are_units
from host.embeddings.judged import Judge
from host.embeddings.tensor_file import TensorFile, packed_names, unpacked_names
from host.embeddings.vectors import Vectors, normalised

__all__ = ["METHODS", "Taught", "class_means", "load_classes", "loneliness", "save_classes"]

METHODS = ("mean", "logistic")
LEAST_DISTANCE = 1e-6
"""Below which a distance is rounding's: pictures that are the same."""
FILE = TensorFile(
    format="ivit classes",
    version="1",
    noun="a file of classes",
    maker="host.teach",
    types={
        "names": (np.uint8, 1),
        "labels": (np.int64, 1),
        "vectors": (np.float32, 2),
        "temperature": (np.float32, 0),
        "weights": (np.float32, 2),
        "biases": (np.float32, 1),
    },
    optional=("weights", "biases"),
)


@dataclass(frozen=True, eq=False)
class Taught(Judge):
    """Classes by pictures of them.

    Parameters
    ----------
    names : of the classes
    fingerprint : of the encoder (`Encoder.fingerprint`)
    labels : the class of each picture, int64 (pictures,)
    vectors : of the pictures, of length 1, (pictures, channels)
    temperature : what a cosine is divided by, with the nearest mean
    regression : weights (classes, channels) and biases (classes,) of logistic regression; None with the nearest mean
    source : the file, for messages
    """

    names: tuple[str, ...]
    fingerprint: str
    labels: npt.NDArray[np.int64]
    vectors: Vectors
    temperature: float
    regression: tuple[Vectors, Vectors] | None = None
    source: str = "the classes"

    @cached_property
    def _means(self) -> Vectors:
        return class_means(self.vectors, self.labels, len(self.names))

    @cached_property
    def _farthest(self) -> float:
        """The distance of the picture that is the most lonely."""
        return max(float(loneliness(self.vectors).max()), LEAST_DISTANCE)

    def scores(self, vectors: Vectors) -> Vectors:
        if self.regression is not None:
            weights, biases = self.regression
            return np.asarray(vectors @ weights.T + biases)
        return np.asarray(vectors @ self._means.T / np.float32(self.temperature))

    def unusual(self, vector: Vectors) -> float | None:
        return max(1 - float((self.vectors @ vector).max()), 0.0) / self._farthest if len(self.vectors) > 1 else None


def class_means(vectors: Vectors, labels: npt.NDArray[np.int64], classes: int) -> Vectors:
    """The mean of each class's vectors, of length 1, (classes, channels)."""
    sums = np.zeros((classes, vectors.shape[1]), np.float64)
    np.add.at(sums, labels, vectors)
    return normalised(sums.astype(np.float32))


def loneliness(vectors: Vectors) -> Vectors:
    """Of each of some vectors of length 1 the distance, 1 less the cosine, to the nearest other one; 0 for a single."""
    if len(vectors) < 2:
        return np.zeros(len(vectors), np.float32)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1)
    return np.asarray(np.maximum(1 - cosines.max(axis=1), 0))


def save_classes(taught: Taught, path: Path) -> None:
    """Writes the file; it appears only when it is complete."""
    tensors: dict[str, npt.NDArray[Any]] = {
        "names": packed_names(taught.names),
        "labels": taught.labels,
        "vectors": taught.vectors,
        "temperature": np.array(taught.temperature, np.float32),
    }
    if taught.regression is not None:
        tensors |= dict(zip(("weights", "biases"), taught.regression, strict=True))
    FILE.save(path, {"model": taught.fingerprint}, tensors)


def load_classes(path: Path) -> Taught:
    """Reads and checks a file of classes.

    Raises
    ------
    HostError : it is absent, damaged, or something else; a class is empty, or two have one name
    """
    facts, tensors = FILE.load(path)
    names, labels, vectors = unpacked_names(tensors["names"]), tensors["labels"], tensors["vectors"]
    temperature = float(tensors["temperature"])
    check_names(names, str(path))
    if "model" not in facts or len(labels) != len(vectors) or not are_units(vectors):
        raise FILE.damaged(path, f"it has {len(labels)} labels and {len(vectors)} vectors")
    if not len(labels) or labels.min() < 0 or labels.max() >= len(names) or not 0 < temperature < np.inf:
        raise FILE.damaged(path, f"its labels are not those of {len(names)} classes")
    empty = [name for label, name in enumerate(names) if label not in {*labels.tolist()}]
    if empty:
        raise HostError(f"{path}: the class {empty[0]!r} has no pictures: teach it some, or leave it out.")
    regression = _regression(tensors, (len(names), vectors.shape[1]), path)
    return Taught(names, facts["model"], labels, vectors, temperature, regression, str(path))


def _regression(
    tensors: Mapping[str, npt.NDArray[Any]], shape: tuple[int, int], path: Path
) -> tuple[Vectors, Vectors] | None:
    """Weights of that shape, and biases, where a file has them."""
    if not any(name in tensors for name in FILE.optional):
        return None
    if not all(name in tensors and np.isfinite(tensors[name]).all() for name in FILE.optional):
        raise FILE.damaged(path, "its weights or biases are missing or not finite")
    weights, biases = (tensors[name] for name in FILE.optional)
    if weights.shape != shape or biases.shape != shape[:1]:
        raise FILE.damaged(path, "its weights do not fit its classes")
    return weights, biases
