"""Lines that are worse than real ones: bytes flipped, dropped, doubled, inserted, a cable that is pulled."""

from __future__ import annotations

import random
from collections.abc import Callable

from host.link.transport import Transport

__all__ = ["BYTE_FAULTS", "FaultyTransport", "spoiled"]

BYTE_FAULTS = ("flip", "drop", "double", "insert")
"""What can happen to a byte on its way."""
PACKET_FAULTS = ("flip", "drop", "repeat", "invent", "cut", "zero")


class FaultyTransport(Transport):
    """Another transport's bytes with faults in them, each byte on its own, both ways.

    Parameters
    ----------
    inner : what carries the bytes
    rng : where the faults are
    kind : one of `BYTE_FAULTS`
    rate : probability for a byte, 0 to 1; may be changed at any time

    Members
    -------
    faults : so many so far; a pulled cable counts the bytes that it lost
    pulled : nothing gets through, either way
    pull_at : the cable is pulled when the host has sent so many bytes altogether
    pull_seconds : and is back after so long (None: not by itself)
    on_pause : called once, the next time that the host waits for a program to end
    sent : bytes that the host has sent; `last` are those of the latest write
    """

    def __init__(self, inner: Transport, rng: random.Random, kind: str = "flip", rate: float = 0.0) -> None:
        self._inner, self._rng, self.kind, self.rate = inner, rng, kind, rate
        self.faults, self.sent, self.last = 0, 0, b""
        self.pulled = False
        self.pull_at: int | None = None
        self.pull_seconds: float | None = None
        self._back_at: float | None = None
        self.on_pause: Callable[[], object] | None = None

    def write(self, content: bytes) -> None:
        self.sent, self.last = self.sent + len(content), content
        if self.pull_at is not None and self.sent >= self.pull_at:
            self.pull_at, self.pulled = None, True
            if self.pull_seconds is not None:
                self._back_at = self.now() + self.pull_seconds
        if passed := self._passed(content):
            self._inner.write(passed)

    def read(self, seconds: float) -> bytes:
        return self._passed(self._inner.read(seconds))

    def now(self) -> float:
        return self._inner.now()

    def pause(self, seconds: float) -> None:
        if self.on_pause is not None:
            action, self.on_pause = self.on_pause, None
            action()
        self._inner.pause(seconds)

    def close(self) -> None:
        self._inner.close()

    def _passed(self, content: bytes) -> bytes:
        if self._back_at is not None and self.now() >= self._back_at:
            self._back_at, self.pulled = None, False
        if self.pulled:
            self.faults += len(content)
            return b""
        if not self.rate:
            return content
        passed = bytearray()
        for byte in content:
            if self._rng.random() >= self.rate:
                passed.append(byte)
                continue
            self.faults += 1
            match self.kind:
                case "flip":
                    passed.append(byte ^ 1 << self._rng.randrange(8))
                case "double":
                    passed += bytes([byte, byte])
                case "insert":
                    passed += bytes([self._rng.randrange(256), byte])
        return bytes(passed)


def spoiled(content: bytes, rng: random.Random) -> bytes:
    """The bytes with one fault in them, of one byte or of many."""
    at = rng.randrange(len(content))
    end = min(len(content), at + rng.choice([1, 1, 2, 5, 20, len(content)]))
    before, middle, after = content[:at], content[at:end], content[end:]
    match rng.choice(PACKET_FAULTS):
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
