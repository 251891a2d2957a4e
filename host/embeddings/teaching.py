"""Learns classes from the vectors of a few pictures each, and tells how well, by leaving each picture out once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from host.command.errors import HostError
from host.embeddings.taught import Taught
from host.embeddings.vectors import Vectors, normalised

__all__ = ["accuracy", "left_out", "taught"]

Labels = npt.NDArray[np.int64]
TEMPERATURES = [2.0**-power for power in range(9)]
"""Among these is the one that is taken; CLIP's is 0.01."""
PENALTY = 100.0
"""scikit-learn's C, for vectors of length 1."""


def taught(
    vectors: Vectors, labels: Labels, names: Sequence[str], fingerprint: str, method: str, source: str
) -> Taught:
    """The classes.

    Parameters
    ----------
    vectors : of the pictures, of length 1, (pictures, channels)
    labels : the class of each, (pictures,)
    names : of the classes, each of which has a picture
    method : one of METHODS

    Raises
    ------
    HostError : logistic regression lacks scikit-learn, or has one class alone
    """
    made = Taught(tuple(names), fingerprint, labels, vectors, _temperature(vectors, labels, len(names)), source=source)
    if method == "mean":
        return made
    regression = _regression(vectors, labels, len(names))
    return Taught(made.names, fingerprint, labels, vectors, made.temperature, regression, source)


def left_out(
    vectors: Vectors,
    labels: Labels,
    classes: int,
    method: str,
    progress: Callable[[Iterator[int], int], Iterator[int]] = lambda steps, total: steps,
) -> tuple[Labels, Labels]:
    """Of each picture that is not the only one of its class: its class, and the one that the others say that it is of.

    With the nearest mean the class's mean is without it; logistic regression is done again without it, and `progress`
    is told of each.
    """
    counts = np.bincount(labels, minlength=classes)
    rows = np.flatnonzero(counts[labels] > 1)
    if method == "mean":
        return labels[rows], np.argmax(_cosines_without(vectors, labels, classes)[rows], axis=1)
    found = []
    for row in progress(iter(rows.tolist()), len(rows)):
        others = np.delete(np.arange(len(labels)), row)
        weights, biases = _regression(vectors[others], labels[others], classes)
        found.append(int(np.argmax(vectors[row] @ weights.T + biases)))
    return labels[rows], np.array(found, np.int64)


def accuracy(wanted: Labels, found: Labels) -> float | None:
    """The share that is equal; None of nothing."""
    return float((wanted == found).mean()) if len(wanted) else None


def _cosines_without(vectors: Vectors, labels: Labels, classes: int) -> Vectors:
    """Cosine of each picture with each class's mean, (pictures, classes); with its own class's mean without it."""
    sums = np.zeros((classes, vectors.shape[1]), np.float64)
    np.add.at(sums, labels, vectors)
    cosines = vectors @ normalised(sums.astype(np.float32)).T
    own = normalised((sums[labels] - vectors).astype(np.float32))
    cosines[np.arange(len(labels)), labels] = np.einsum("ij,ij->i", vectors, own)
    return cosines


def _temperature(vectors: Vectors, labels: Labels, classes: int) -> float:
    """The one under which the pictures that are left out are the most probable to be what they are."""
    rows = np.flatnonzero(np.bincount(labels, minlength=classes)[labels] > 1)
    if not len(rows):
        return TEMPERATURES[len(TEMPERATURES) // 2]
    cosines = _cosines_without(vectors, labels, classes)[rows].astype(np.float64)

    def likelihood(temperature: float) -> float:
        scores = cosines / temperature
        scores -= scores.max(axis=1, keepdims=True)
        chosen = scores[np.arange(len(rows)), labels[rows]] - np.log(np.exp(scores).sum(axis=1))
        return float(chosen.mean())

    return max(TEMPERATURES, key=likelihood)


def _regression(vectors: Vectors, labels: Labels, classes: int) -> tuple[Vectors, Vectors]:
    """Weights (classes, channels) and biases (classes,). A class without a picture never has the largest score."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise HostError(
            "Logistic regression needs scikit-learn, which is not installed: pip install 'ivit-machine[teach]', or "
            "leave --method out."
        ) from error
    present = np.unique(labels)
    if len(present) < 2:
        raise HostError("Logistic regression tells classes apart, and there is one: teach two, or leave --method out.")
    fitted: Any = LogisticRegression(C=PENALTY, max_iter=1000).fit(vectors, labels)
    weights = np.zeros((classes, vectors.shape[1]), np.float32)
    biases = np.full(classes, np.finfo(np.float32).min / 4, np.float32)
    coefficients, intercepts = fitted.coef_, fitted.intercept_
    if len(present) == 2:  # scikit-learn gives the difference of the two
        coefficients, intercepts = np.vstack([-coefficients, coefficients]) / 2, np.r_[-intercepts, intercepts] / 2
    weights[present], biases[present] = coefficients, intercepts
    return weights, biases
