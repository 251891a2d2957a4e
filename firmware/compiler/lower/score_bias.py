"""Tables in memory that are added to scores. EXEC adds them as it adds the skip operand of a residual."""

from __future__ import annotations

import numpy as np

from firmware.compiler.errors import CompileError
from firmware.compiler.fuse.layers import ScoreBias
from firmware.compiler.lower.emitter import Emitter
from firmware.compiler.lower.registers import ResidualRegisters, SkipRegisters
from firmware.compiler.lower.residual import residual_registers
from firmware.program.allocation import Allocation
from gateware.config import LANES
from sim.reference.rescale import Dyadic, ResidualAdd
from sim.reference.rounding import IntArray, ceil_div

__all__ = ["ScoreBiasTables"]

# What masks a score when it is added (docs/machine.md): the sum stays below every score and its bit 14 is 0.
MASK = -24576
MOST_TERM = 8192  # magnitude of what else is added
TERM_BYTES = 2
SCORE_BITS, TERM_BITS = 8, 8 * TERM_BYTES
UNCHANGED = Dyadic(np.array(1), np.array(0))


class ScoreBiasTables:
    """A table for each head and each way in which a window is masked.

    Parameters
    ----------
    bias : what is added
    regions : (windows, tokens) parts of the image; scores between two of them are masked. None: nothing is
    windows : how many

    Raises
    ------
    CompileError : a term that the machine's adder cannot hold
    """

    def __init__(self, emitter: Emitter, bias: ScoreBias, regions: IntArray | None, windows: int) -> None:
        if np.abs(bias.terms).max() >= MOST_TERM:
            raise CompileError(
                f"{bias.name}: a relative-position bias adds {np.abs(bias.terms).max()} to scores, but the machine's "
                f"limit is {MOST_TERM - 1}; quantise again with other calibration images."
            )
        self.factors: ResidualRegisters = residual_registers(
            bias.name,
            ResidualAdd(bias.factor, UNCHANGED, SCORE_BITS),
            branch_bits=SCORE_BITS,
            skip_bits=TERM_BITS,
            multiplier_bits=emitter.config.multiplier_bits,
        )
        self._masks: list[int] = []  # of each window
        self._tables: dict[tuple[int, int], Allocation] = {}  # by mask and head
        tokens = bias.terms.shape[-1]
        masks: dict[bytes, tuple[int, IntArray]] = {}
        for window in range(windows):
            region = np.zeros(tokens, np.int64) if regions is None else regions[window]
            different = region[:, None] != region[None, :]
            self._masks.append(masks.setdefault(different.tobytes(), (len(masks), different))[0])
        for mask, different in masks.values():
            for head, terms in enumerate(bias.terms):
                table = np.zeros((tokens, ceil_div(tokens, LANES) * LANES), np.int64)
                table[:, :tokens] = np.where(different, MASK, terms)
                name = f"{bias.name}.head {head}, windows {mask}"
                self._tables[mask, head] = emitter.memory.constant(name, table, TERM_BYTES)

    def skip(self, window: int, head: int, row: int) -> SkipRegisters:
        """The place of the table of a window and a head, from a row on."""
        table = self._tables[self._masks[window], head]
        return SkipRegisters(skip_base=table.base, skip_slab=table.slab, skip_row=row)
