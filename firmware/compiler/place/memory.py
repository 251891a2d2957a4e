"""The places of tensors in DRAM, and the bytes that are there before a program starts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from firmware.compiler.errors import MemoryFull
from firmware.program.allocation import Allocation, aligned
from firmware.program.layout import matrix_beats, pack_matrix
from gateware.config import BEAT_BYTES
from sim.reference.rounding import IntArray

__all__ = ["Memory"]


class Memory:
    """Places things one after the other, slabs at multiples of 4 beats; matrices also where others have been.

    Parameters
    ----------
    address_bits : bits of a beat address

    Attributes
    ----------
    initial : (beat address, bytes) that stand there before a program starts
    overwritten : matrices that are nowhere any more, at least not as a whole
    """

    def __init__(self, address_bits: int) -> None:
        self.limit = 1 << address_bits
        self.next = 0
        self.initial: list[tuple[int, npt.NDArray[np.uint8]]] = []
        self._free: list[tuple[int, int]] = []  # half-open ranges of beats that were given back
        self._former: list[Allocation] = []
        self.overwritten: set[str] = set()

    def reserve(self, beats: int, what: str) -> int:
        """The address of that many beats. Raises MemoryFull."""
        base = self.next
        self.next = aligned(base + beats)
        if self.next > self.limit:
            raise MemoryFull(
                f"{what}: the model needs more than the {self.limit * BEAT_BYTES >> 20} MiB that the machine "
                "addresses; choose a board with more memory."
            )
        return base

    def place(self, content: npt.NDArray[np.uint8], what: str) -> int:
        """The address at which these bytes will stand."""
        padded = np.concatenate([content, np.zeros(-len(content) % BEAT_BYTES, np.uint8)])
        base = self.reserve(len(padded) // BEAT_BYTES, what)
        self.initial.append((base, padded))
        return base

    def allocate(self, name: str, rows: int, columns: int, size: int, *, alone: bool = False) -> Allocation:
        """A place for a matrix that the program writes; `alone`: where nothing else has been."""
        if alone:
            return self._new(name, rows, columns, size)
        beats = Allocation(name, 0, rows, columns, size).end
        large_enough = [free for free in self._free if free[1] - free[0] >= beats]
        if not large_enough:
            return self._new(name, rows, columns, size)
        start, end = min(large_enough, key=lambda free: free[1] - free[0])
        self._free.remove((start, end))
        if start + beats < end:
            self._free.append((start + beats, end))
        allocation = Allocation(name, start, rows, columns, size)
        self.overwritten |= {one.name for one in self.former(allocation)}
        return allocation

    def former(self, allocation: Allocation) -> list[Allocation]:
        """The matrices that have been in its place, or in a part of it, and were given back."""
        return [one for one in self._former if one.base < allocation.end and allocation.base < one.end]

    def give_back(self, allocation: Allocation) -> None:
        """Let later layers' matrices have the place. Whoever writes them waits for all that used this one
        (`Emitter.stores`).
        """
        start, end = allocation.base, allocation.end
        for free in [free for free in self._free if free[1] == start or free[0] == end]:
            self._free.remove(free)
            start, end = min(start, free[0]), max(end, free[1])
        self._free.append((start, end))
        self._former.append(allocation)

    def _new(self, name: str, rows: int, columns: int, size: int) -> Allocation:
        return Allocation(name, self.reserve(matrix_beats(rows, columns, size), name), rows, columns, size)

    def constant(self, name: str, matrix: IntArray, size: int) -> Allocation:
        """A matrix that is in memory from the start."""
        allocation = self._new(name, matrix.shape[0], matrix.shape[1], size)
        self.initial.append((allocation.base, pack_matrix(matrix, size)))
        return allocation
