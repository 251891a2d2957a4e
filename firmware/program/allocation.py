"""Where a tensor lies in the machine's memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware.program.layout import SLAB_COLUMNS, matrix_beats, slab_beats, unpack_matrix
from gateware.config import BEAT_BYTES
from sim.reference.rounding import ceil_div

__all__ = ["Allocation", "aligned", "tensors_of"]

ALIGNMENT = 4  # beats: what lies in memory begins at a multiple of them


def aligned(beats: int) -> int:
    """The same, or the next beat address at which something can begin."""
    return ceil_div(beats, ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Allocation:
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
        return self.base + aligned(self.beats)

    @property
    def slabs(self) -> int:
        return self.beats // self.slab

    @property
    def beats(self) -> int:
        return matrix_beats(self.rows, self.columns, self.size)

    def column_base(self, beat_column: int) -> int:
        """Address of row 0 at a beat column, its place within the slab in the low two bits (OUT_BASE, SKIP_BASE)."""
        slab, within = divmod(beat_column, SLAB_COLUMNS)
        return self.base + slab * self.slab + within

    def read(self, memory: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """The matrix out of the bytes of the whole memory."""
        return self.unpack(memory[self.base * BEAT_BYTES : (self.base + self.beats) * BEAT_BYTES])

    def unpack(self, content: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """The matrix out of its own bytes."""
        return unpack_matrix(content, self.rows, self.columns, self.size)


def tensors_of(
    allocations: Mapping[str, Allocation], memory: npt.NDArray[np.uint8]
) -> dict[str, npt.NDArray[np.int64]]:
    """Every stored tensor (rows, channels), out of the bytes of the whole memory."""
    return {name: allocation.read(memory) for name, allocation in allocations.items()}
