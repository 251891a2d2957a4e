"""The metrics of an evaluation: accuracy, confusion matrix, agreement with the reference, cycles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware.quantiser.labels import LabelledFile
from host.devices.prediction import Prediction


@dataclass(frozen=True)
class Outcome:
    """One evaluated image.

    Members
    -------
    file : as the table of labels gives it
    label, predicted : 0-based classes
    cycles : None where the device does not count them
    same_label, same_integers : whether the reference gives that class, and exactly those logits; None where no
        reference ran
    """

    file: str
    label: int
    predicted: int
    cycles: int | None = None
    same_label: bool | None = None
    same_integers: bool | None = None

    @classmethod
    def of(cls, row: LabelledFile, answer: Prediction, reference: Prediction | None) -> Outcome:
        """What a device answered for a row of the table, and what the reference did, where it ran."""
        if reference is None:
            return cls(row.file, row.label, answer.label, answer.cycles)
        return cls(
            row.file,
            row.label,
            answer.label,
            answer.cycles,
            same_label=answer.label == reference.label,
            same_integers=answer.same_integers(reference),
        )


class Metrics:
    """What the outcomes over `classes` classes come to so far."""

    def __init__(self, classes: int) -> None:
        self.confusion: npt.NDArray[np.int64] = np.zeros((classes, classes), dtype=np.int64)
        """Images of class (row) that the device called (column)."""
        self.compared = 0
        self.same_labels = 0
        self.same_integers = 0
        self.cycles: list[int] = []

    def add(self, outcome: Outcome) -> None:
        """Counts one image."""
        self.confusion[outcome.label, outcome.predicted] += 1
        if outcome.same_label is not None and outcome.same_integers is not None:
            self.compared += 1
            self.same_labels += outcome.same_label
            self.same_integers += outcome.same_integers
        if outcome.cycles is not None:
            self.cycles.append(outcome.cycles)

    @property
    def images(self) -> int:
        """Images counted."""
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        """Images whose class was found."""
        return int(np.trace(self.confusion))

    @property
    def accuracy(self) -> float:
        """Top-1 as a share, 0 to 1; 0 before the first image."""
        return self.correct / max(self.images, 1)

    def mistakes(self) -> list[tuple[int, int, int]]:
        """(class, called, images) for every pair confused, the most frequent first."""
        pairs = [(int(a), int(b), int(self.confusion[a, b])) for a, b in np.argwhere(self.confusion) if a != b]
        return sorted(pairs, key=lambda pair: (-pair[2], pair[:2]))
