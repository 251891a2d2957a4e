"""A channel between host and device that flips, drops, repeats and invents bytes, by a seeded generator."""

from __future__ import annotations

import random
from collections.abc import Callable

from host.faults.channel import spoiled

__all__ = ["FaultyChannel", "spoiled"]


class FaultyChannel:
    """As `exchange` of `host.link.transport.InProcessTransport`, with faults both ways.

    Parameters
    ----------
    exchange : the device's
    rng : which faults, and where
    rate : probability of a fault in what goes one way at a time
    """

    def __init__(self, exchange: Callable[[bytes, float], bytes], rng: random.Random, rate: float) -> None:
        self._device, self.rng, self.rate = exchange, rng, rate
        self.faults = 0

    def exchange(self, content: bytes, seconds: float) -> bytes:
        return self._spoil(self._device(self._spoil(content), seconds))

    def _spoil(self, content: bytes) -> bytes:
        if not content or self.rng.random() >= self.rate:
            return content
        self.faults += 1
        return spoiled(content, self.rng)
