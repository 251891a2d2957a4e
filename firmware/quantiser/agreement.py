"""How close an integer model comes to the float model it was made from, over labelled images."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sim.reference.errors import UserError

Logits = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Comparison:
    """Float and integer side by side.

    Members
    -------
    images : how many
    float_top1, integer_top1 : share of images whose first class is the label
    agreement : share of images on which both have the same first class
    divergence : mean KL(softmax(float logits) || softmax(integer logits)), nats
    """

    images: int
    float_top1: float
    integer_top1: float
    agreement: float
    divergence: float


def log_softmax(logits: Logits) -> npt.NDArray[np.float64]:
    """Logarithm of the softmax over the last axis, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def compare(float_logits: Logits, integer_logits: Logits, labels: npt.NDArray[np.integer]) -> Comparison:
    """Compares logits (images, classes), the integer ones already multiplied by their scales, with labels (images,)."""
    if not float_logits.shape == integer_logits.shape == (len(labels), float_logits.shape[-1]):
        raise UserError(
            f"Float logits {float_logits.shape}, integer logits {integer_logits.shape} and {len(labels)} labels do not "
            "belong together; they must cover the same images and classes."
        )
    own, other = log_softmax(float_logits), log_softmax(integer_logits)
    return Comparison(
        images=len(labels),
        float_top1=float(np.mean(float_logits.argmax(axis=1) == labels)),
        integer_top1=float(np.mean(integer_logits.argmax(axis=1) == labels)),
        agreement=float(np.mean(float_logits.argmax(axis=1) == integer_logits.argmax(axis=1))),
        divergence=float(np.mean((np.exp(own) * (own - other)).sum(axis=1))),
    )


def read_labels(path: Path, files: Sequence[Path], classes: int) -> npt.NDArray[np.int64]:
    """The class of each of `files` from a CSV file with the columns `file` and `label` (0-based).

    Raises
    ------
    UserError
        The file is unreadable or lacks a column, an image is not in it, or a label is no class.
    """
    try:
        with path.open(newline="", encoding="utf-8") as table:
            rows = {row["file"]: row["label"] for row in csv.DictReader(table)}
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    except (KeyError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not a CSV file with the columns file and label ({error}).") from error
    labels = []
    for file in files:
        label = rows.get(file.name)
        if label is None:
            raise UserError(f"{path} has no label for {file.name}; each image needs a row.")
        if not (label.isascii() and label.isdigit() and int(label) < classes):
            raise UserError(f"{path}: the label of {file.name} is {label!r}, but 0 to {classes - 1} is expected.")
        labels.append(int(label))
    return np.array(labels, np.int64)
