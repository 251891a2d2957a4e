"""The log that a program's MARKs leave in memory: what the machine counted in each layer of a frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gateware.config import BEAT_BYTES
from gateware.counters import COUNTERS
from gateware.isa import LOG_BEATS

__all__ = ["Layer", "layers_of", "log_bytes"]


@dataclass(frozen=True)
class Layer:
    """A layer of one frame: from its MARK to the next one.

    Members
    -------
    name : as the program's marks call it
    start : cycles from the first MARK
    counters : by `gateware.counters.COUNTERS`, of this layer alone
    """

    name: str
    start: int
    counters: Mapping[str, int]

    @property
    def cycles(self) -> int:
        """From its MARK to the next."""
        return self.counters["cycles"]

    @property
    def beats(self) -> int:
        """Of memory, read and written."""
        return self.counters["memory_reads"] + self.counters["memory_writes"]

    def share(self, counter: str) -> float:
        """Part of the layer's cycles in which a counter moved, 0 to 1; 0 for a layer of no cycles."""
        return self.counters[counter] / self.cycles if self.cycles else 0.0


def log_bytes(marks: int) -> int:
    """Bytes of the log of so many marks."""
    return marks * LOG_BEATS * BEAT_BYTES


def layers_of(marks: tuple[str, ...], log: bytes) -> list[Layer]:
    """The layers of a frame from the log that it left; the last mark only ends the layer before it.

    Each mark's slot has 16 counters of 32 bits, which wrap.
    """
    slots = np.frombuffer(log, "<u4").reshape(len(marks), -1)[:, : len(COUNTERS)].astype(np.int64)
    spans = (slots[1:] - slots[:-1]) % (1 << 32)
    found, start = [], 0
    for name, row in zip(marks, spans.tolist(), strict=False):
        found.append(Layer(name, start, dict(zip(COUNTERS, row, strict=True))))
        start += found[-1].cycles
    return found
