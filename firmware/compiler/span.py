"""Half-open ranges, and places that follow each other at a stride."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Span", "Strided"]


@dataclass(frozen=True, slots=True)
class Span:
    """The integers `start` to `stop` - 1: rows, columns, words of a buffer."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start

    def overlaps(self, other: Span) -> bool:
        return self.start < other.stop and other.start < self.stop

    def covers(self, other: Span) -> bool:
        return self.start <= other.start and other.stop <= self.stop

    def moved(self, distance: int) -> Span:
        return Span(self.start + distance, self.stop + distance)

    def parts(self, size: int) -> Iterator[Span]:
        """The same in pieces of `size`, the last one perhaps shorter."""
        for start in range(self.start, self.stop, size):
            yield Span(start, min(self.stop, start + size))


@dataclass(frozen=True, slots=True)
class Strided:
    """Places in a buffer: `base`, `base + stride`, ..."""

    base: int
    stride: int

    def span(self, count: int, size: int) -> Span:
        """What `count` of them, of `size` words each, lie in."""
        return Span(self.base, self.base + (count - 1) * self.stride + size)

    def moved(self, distance: int) -> Strided:
        return Strided(self.base + distance, self.stride)
