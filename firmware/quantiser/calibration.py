"""Statistics of each activation over calibration images, and the scale that follows from them."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from sim.reference.errors import UserError
from sim.reference.model_shape import Feeds, ModelShape
from sim.reference.scales import SMALLEST_SCALE, activation_scale, largest

FloatArray = npt.NDArray[np.float32]

METHODS = ("minmax", "percentile", "mse")
PERCENTILE = 99.99
SAMPLES_A_BATCH = 8192
GELU_ROWS_A_BATCH = 48
CLIPS = np.linspace(0.3, 1.0, 71)
"""Shares of the largest magnitude that error-minimising clipping tries."""


class TensorStatistics:
    """The largest magnitude of one tensor over all calibration images, and a seeded sample of its values."""

    def __init__(self, name: str, bits: int) -> None:
        self.name = name
        self.bits = bits
        self.peak = 0.0
        self._samples: list[FloatArray] = []
        # A seed of its own: a tensor's sample does not depend on which others are observed.
        self._rng = np.random.default_rng(zlib.crc32(name.encode()))

    def add(self, x: FloatArray) -> None:
        """Takes in one batch of any shape."""
        flat = x.reshape(-1)
        self.peak = max(self.peak, float(np.abs(flat).max()))
        if not np.isfinite(self.peak):
            raise UserError(f"The activation {self.name!r} is not finite on the calibration images; check the weights.")
        self._samples.append(flat[self._rng.integers(0, flat.size, min(flat.size, SAMPLES_A_BATCH))])

    @property
    def sample(self) -> FloatArray:
        """Values drawn at random, float32 (count,)."""
        return np.concatenate(self._samples)

    def scale(self, method: str) -> np.float32:
        """The scale by `method`, one of METHODS."""
        if method == "minmax":
            return activation_scale(self.peak, self.bits)
        if method == "percentile":
            return activation_scale(float(np.percentile(np.abs(self.sample), PERCENTILE)), self.bits)
        candidates = [activation_scale(self.peak * clip, self.bits) for clip in CLIPS]
        return min(candidates, key=lambda scale: self.rounding_error(scale))

    def rounding_error(self, scale: np.float32) -> float:
        """Root mean square that rounding and clipping to `scale` adds to the sampled values."""
        n = largest(self.bits)
        x = self.sample.astype(np.float64)
        return float(np.sqrt(np.mean(np.square(np.clip(np.rint(x / scale), -n - 1, n) * scale - x))))

    def signal(self) -> float:
        """Root mean square of the sampled values."""
        return float(np.sqrt(np.mean(np.square(self.sample.astype(np.float64)))))

    def clipped(self, scale: np.float32) -> float:
        """Share of the sampled values beyond what `scale` can hold."""
        return float(np.mean(np.abs(self.sample) > (largest(self.bits) + 0.5) * max(scale, SMALLEST_SCALE)))


class Calibration:
    """Observes a float model's activations (pass `observe` to its forward).

    Parameters
    ----------
    shape : the model's dimensions, which say what is quantised
    """

    def __init__(self, shape: ModelShape) -> None:
        self.activations = {activation.name: activation for activation in shape.activations()}
        self.tensors: dict[str, TensorStatistics] = {}
        self._gelu_rows: dict[str, list[FloatArray]] = {}
        self._rng = np.random.default_rng(0)

    def observe(self, name: str, x: FloatArray) -> None:
        """Takes in one tensor of one batch."""
        activation = self.activations.get(name)
        if activation is None:
            return
        if name not in self.tensors:
            self.tensors[name] = TensorStatistics(name, activation.bits)
        self.tensors[name].add(x)
        if activation.feeds is Feeds.SHIFTGELU:
            rows = x.reshape(-1, x.shape[-1])
            chosen = self._rng.integers(0, len(rows), min(len(rows), GELU_ROWS_A_BATCH))
            self._gelu_rows.setdefault(name, []).append(rows[chosen])

    def gelu_rows(self, name: str) -> FloatArray:
        """Whole rows in front of ShiftGELU, drawn at random: float32 (rows, hidden channels)."""
        return np.concatenate(self._gelu_rows[name])
