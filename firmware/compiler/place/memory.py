"""Where tensors live in DRAM, and the bytes that are there before a program starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from firmware.compiler.errors import CompileError, MemoryFull
from firmware.program.layout import BEAT, matrix_beats, pack_matrix, slab_beats, unpack_matrix

__all__ = ["Home", "Memory", "Ring"]


@dataclass(frozen=True)
class Home:
    """A matrix in memory.

    Parameters
    ----------
    name : the tensor
    base : beat address
    rows, columns, size : integers of `size` bytes
    """

    name: str
    base: int
    rows: int
    columns: int
    size: int

    @property
    def slab(self) -> int:
        """Beats from one slab to the next."""
        return slab_beats(self.rows)

    @property
    def end(self) -> int:
        """The next beat address at which something else can start."""
        return self.base + -(-self.beats // 4) * 4

    @property
    def slabs(self) -> int:
        return self.beats // self.slab

    @property
    def beats(self) -> int:
        return matrix_beats(self.rows, self.columns, self.size)

    def column_base(self, beat_column: int) -> int:
        """Address of row 0 at a beat column, its place within the slab in the low two bits (OUT_BASE, SKIP_BASE)."""
        return self.base + (beat_column >> 2) * self.slab + (beat_column & 3)

    def read(self, memory: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """The matrix out of the bytes of the whole memory."""
        return self.unpack(memory[self.base * BEAT : (self.base + self.beats) * BEAT])

    def unpack(self, octets: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """The matrix out of its own bytes."""
        return unpack_matrix(octets, self.rows, self.columns, self.size)


class Memory:
    """Places things one after the other, slabs at multiples of 4 beats; matrices also where others have been.

    Parameters
    ----------
    address_bits : bits of a beat address

    Attributes
    ----------
    overwritten : matrices that are nowhere any more, at least not as a whole
    """

    def __init__(self, address_bits: int) -> None:
        self.limit = 1 << address_bits
        self.next = 0
        self.initial: list[tuple[int, npt.NDArray[np.uint8]]] = []
        self._free: list[tuple[int, int]] = []  # spans of beats that were given back
        self._former: list[Home] = []
        self.overwritten: set[str] = set()

    def reserve(self, beats: int, what: str) -> int:
        """The address of that many beats. Raises MemoryFull."""
        base = self.next
        self.next = -(-(base + beats) // 4) * 4
        if self.next > self.limit:
            raise MemoryFull(
                f"{what}: the model needs more than the {self.limit * BEAT >> 20} MiB that the machine addresses; "
                "choose a board with more memory."
            )
        return base

    def place(self, octets: npt.NDArray[np.uint8], what: str) -> int:
        """The address at which these bytes will stand."""
        padded = np.concatenate([octets, np.zeros(-len(octets) % BEAT, np.uint8)])
        base = self.reserve(len(padded) // BEAT, what)
        self.initial.append((base, padded))
        return base

    def home(self, name: str, rows: int, columns: int, size: int) -> Home:
        """A place for a matrix that the program writes."""
        beats = Home(name, 0, rows, columns, size).end
        large_enough = [span for span in self._free if span[1] - span[0] >= beats]
        if not large_enough:
            return self._new(name, rows, columns, size)
        start, end = min(large_enough, key=lambda span: span[1] - span[0])
        self._free.remove((start, end))
        if start + beats < end:
            self._free.append((start + beats, end))
        self.overwritten |= {home.name for home in self._former if home.base < start + beats and start < home.end}
        return Home(name, start, rows, columns, size)

    def give_back(self, home: Home) -> None:
        """Let later layers' matrices have the place.

        Nobody needs to wait for it to be free: whatever read this one did so for an operation of the array, and the
        array writes the others by later operations.
        """
        start, end = home.base, home.end
        for span in [span for span in self._free if span[1] == start or span[0] == end]:
            self._free.remove(span)
            start, end = min(start, span[0]), max(end, span[1])
        self._free.append((start, end))
        self._former.append(home)

    def _new(self, name: str, rows: int, columns: int, size: int) -> Home:
        return Home(name, self.reserve(matrix_beats(rows, columns, size), name), rows, columns, size)

    def constant(self, name: str, matrix: npt.NDArray[Any], size: int) -> Home:
        """A home that holds a matrix from the start."""
        home = self._new(name, matrix.shape[0], matrix.shape[1], size)
        self.initial.append((home.base, pack_matrix(matrix, size)))
        return home


class Ring:
    """An on-chip buffer, given out in turn, so that what was used last is overwritten last.

    What is given out stays out until it is released: at the point of the program after its last use. Whether an engine
    still reads it then is the dependency pass's business.

    Parameters
    ----------
    depth : its words
    name : for messages
    """

    def __init__(self, depth: int, name: str) -> None:
        self.depth, self.name, self.cursor = depth, name, 0
        self.out: dict[int, int] = {}  # start -> end of what is given out

    def take(self, size: int, what: str) -> int:
        """The first of `size` consecutive words. Raises CompileError where there are not as many free."""
        for start in (self.cursor, 0):
            while start + size <= self.depth:
                blocking = [end for begin, end in self.out.items() if begin < start + size and start < end]
                if not blocking:
                    self.out[start] = self.cursor = start + size
                    return start
                start = max(blocking)
        raise CompileError(
            f"{what}: needs {size} words of the {self.name} buffer, and not as many of its {self.depth} are free; "
            "enlarge it in the configuration."
        )

    def release(self, start: int) -> None:
        """Gives back what `take` gave."""
        del self.out[start]
