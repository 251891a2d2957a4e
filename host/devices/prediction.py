"""What a device answers for one image: integer logits, and what they mean under the model's scales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

__all__ = ["Prediction", "Ranked", "Ranking"]


@dataclass(frozen=True)
class Ranked:
    """One class of a ranking; `probability` is 0 to 1."""

    index: int
    name: str
    probability: float


@dataclass(frozen=True, eq=False)
class Ranking:
    """Classes by their probabilities, which are the softmax of their scores.

    Members
    -------
    scores : float64, (classes,)
    names : (classes,), the classes' names
    """

    scores: npt.NDArray[np.float64]
    names: tuple[str, ...]

    @cached_property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """(classes,), sums to 1."""
        powers = np.exp(self.scores - self.scores.max())
        return np.asarray(powers / powers.sum())

    @property
    def label(self) -> int:
        """The class with the largest score; the first of equals."""
        return int(np.argmax(self.scores))

    @property
    def name(self) -> str:
        """The name of that class."""
        return self.names[self.label]

    @property
    def confidence(self) -> float:
        """The probability of that class, 0 to 1."""
        return float(self.probabilities[self.label])

    def top(self, count: int) -> list[Ranked]:
        """The `count` most probable classes (all, where there are fewer), most probable first."""
        order = np.argsort(-self.scores, kind="stable")[:count]
        return [Ranked(int(i), self.names[i], float(self.probabilities[i])) for i in order]


@dataclass(frozen=True, eq=False)
class Prediction(Ranking):
    """One image's answer.

    Members
    -------
    logits : int64, (classes,), the head's accumulators, which every device must give bit for bit. The value of one unit
        differs from class to class, so the class cannot be told from the integers alone
    cycles : clock cycles that the frame took, None where the device does not count them
    counters : all that the machine counted in the frame, by `gateware.counters.COUNTERS`; empty where it counts nothing
    """

    logits: npt.NDArray[np.int64]
    cycles: int | None = None
    counters: Mapping[str, int] = field(default_factory=dict)

    def same_integers(self, other: Prediction) -> bool:
        """Whether two devices gave the same logits, bit for bit."""
        return bool(np.array_equal(self.logits, other.logits))
