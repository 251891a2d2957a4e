"""What a device answers for one image where no classes are asked for: integers that say what a picture looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

__all__ = ["Embedding"]


@dataclass(frozen=True, eq=False)
class Embedding:
    """One image's features.

    Members
    -------
    integers : int64, (rows, channels), which every device must give bit for bit. One row; of a feature map one a token,
        of a model with a distillation token two
    scales : float64, (channels,), the value of one unit of each channel
    cycles : clock cycles that the frame took, None where the device does not count them
    counters : all that the machine counted in the frame, as in `Prediction`
    """

    integers: npt.NDArray[np.int64]
    scales: npt.NDArray[np.float64]
    cycles: int | None = None
    counters: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def features(self) -> npt.NDArray[np.float32]:
        """The integers times their scales, (rows, channels)."""
        return np.asarray(self.integers * self.scales, np.float32)

    @property
    def vector(self) -> npt.NDArray[np.float32]:
        """The same, row behind row, (rows * channels,)."""
        return self.features.reshape(-1)

    def same_integers(self, other: Embedding) -> bool:
        """Whether two devices gave the same, bit for bit."""
        return bool(np.array_equal(self.integers, other.integers))
