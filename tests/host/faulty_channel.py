"""A channel between host and device that flips, drops, repeats and invents bytes, by a seeded generator."""

from __future__ import annotations

import random
from collections.abc import Callable

FAULTS = ("flip", "drop", "repeat", "invent", "cut", "zero")


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


def spoiled(content: bytes, rng: random.Random) -> bytes:
    """The bytes with one fault in them."""
    at = rng.randrange(len(content))
    end = min(len(content), at + rng.choice([1, 1, 2, 5, 20, len(content)]))
    before, middle, after = content[:at], content[at:end], content[end:]
    match rng.choice(FAULTS):
        case "flip":
            middle = bytes([middle[0] ^ 1 << rng.randrange(8)]) + middle[1:]
        case "drop":
            middle = b""
        case "repeat":
            middle = middle + middle
        case "invent":
            middle = rng.randbytes(rng.choice([1, 3, 30, 3000])) + middle
        case "cut":
            return before
        case "zero":
            middle = bytes(len(middle))
    return before + middle + after
