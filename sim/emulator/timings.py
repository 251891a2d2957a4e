"""The memories under which a program is checked, and the check under one memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware.compiler.compiled import Compiled
from firmware.program.program import Program
from sim.emulator.board import Board, Frame
from sim.emulator.exactness import FRAME_ERRORS, Comparison, checked_frame
from sim.emulator.memories import RANDOM
from sim.emulator.profiles import PROFILES
from sim.reference.integer_vit import IntegerVit

__all__ = ["Checked", "check_under", "memory_of", "random_memories"]

SEEDS = (1, 2)
QUICK_CYCLES = 2_000_000  # a frame that the emulated board does in several seconds
OTHER = "arty_a7"  # of a configuration that is no board


@dataclass(frozen=True)
class Checked:
    """One frame under one memory: ``frame`` is None where the machine stopped with an error, which
    ``comparison.different`` then tells.
    """

    memory: str
    frame: Frame | None
    comparison: Comparison

    @property
    def different(self) -> list[str]:
        """The differences, each with the name of its memory."""
        return [f"with the memory {self.memory}: {sentence}" for sentence in self.comparison.different]


def memory_of(board: str) -> str:
    """The memory of a configuration of that name."""
    return board if board in PROFILES else OTHER


def random_memories(cycles: float) -> list[str]:
    """Random timings to check a program under beside its board's own: none where a frame of so many cycles is long."""
    return [f"{RANDOM}{seed}" for seed in SEEDS] if cycles <= QUICK_CYCLES else []


def check_under(
    memory: str, program: Program, model: IntegerVit, compiled: Compiled, image: npt.NDArray[np.int8]
) -> Checked:
    """A frame of `program`, which is `compiled`, on a fresh board with that memory, every tensor compared."""
    with Board(program, memory) as board:
        try:
            return Checked(memory, *checked_frame(board, model, compiled, image))
        except FRAME_ERRORS as error:
            return Checked(memory, None, Comparison(0, 0, [str(error)]))
