"""The emulated board with a program: images in, outputs, tensors and counters out."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from firmware.compiler.compiled import Compiled
from firmware.program.allocation import tensors_of
from firmware.program.layout import pack_matrix
from firmware.program.log import Layer, layers_of, log_bytes
from firmware.program.program import Program
from gateware.config import BEAT_BYTES
from gateware.counters import COUNTERS
from gateware.isa import ERROR_SENTENCES, ErrorCode
from gateware.taps import tap_layouts
from sim.emulator.emulation import MemoryStatistics, RunState
from sim.emulator.machine import emulated_machine
from sim.emulator.onchip import OnChipError, Piece, pieces
from sim.emulator.profiles import MemoryProfile
from sim.reference.addressing import patches

__all__ = ["Board", "BoardError", "Frame"]

START_CYCLES = 8  # in which taps may still show an abandoned frame, and nothing of the next one yet
CYCLES_A_FRAME = 1 << 40  # beyond any frame: the machine's own watchdog ends one that hangs


class BoardError(RuntimeError):
    """The machine stopped with an error, or did not stop."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(f"The machine stopped: {ERROR_SENTENCES.get(code, 'it did not come to an end')}.")
        self.code = code


@dataclass(frozen=True)
class Frame:
    """One image's results.

    Parameters
    ----------
    output : integers of the first of the program's outputs, (rows, columns); of classes one row
    cycles : from the start to the last byte in memory
    counters : `gateware.counters.COUNTERS` of the whole frame
    layers : the same of each layer of the program's marks, in order
    memory : what memory did
    """

    output: npt.NDArray[np.int64]
    cycles: int
    counters: dict[str, int]
    layers: list[Layer]
    memory: MemoryStatistics


class Board:
    """A machine that runs one program.

    Parameters
    ----------
    program : what it runs
    memory : timing of its DRAM, or its name (`sim.emulator.memories`, `sim.emulator.profiles.LITEDRAM`)
    waves : see `Emulation`
    """

    def __init__(self, program: Program, memory: MemoryProfile | str = "arty_a7", *, waves: bool = False) -> None:
        self.program = program
        self.emulation = emulated_machine(program.config, memory, waves=waves)
        self._taps = [name.removeprefix("tap_") for name in tap_layouts(program.config)]
        self._watched, self._shown_from = False, 0
        self.restore()

    def restore(self) -> None:
        """Writes everything that memory must hold before a frame."""
        for base, content in self.program.pieces():
            self.emulation.write_memory(base, content)

    def close(self) -> None:
        self.emulation.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def put_image(self, image: npt.NDArray[np.int8]) -> None:
        """An int8 image (3, side, side) to where the program reads it."""
        allocation = self.program.image_allocation
        rows = patches(image[None].astype(np.int64), self.program.patch)[0]
        self.emulation.write_memory(allocation.base, pack_matrix(rows, allocation.size).tobytes())

    def run(self, image: npt.NDArray[np.int8], max_cycles: int = CYCLES_A_FRAME, watch: bool = False) -> Frame:
        """Runs one frame. With `watch`, tensors that never reach memory are recorded for `watched`.

        Raises
        ------
        BoardError : the machine stopped with an error
        """
        board = self.emulation
        self.put_image(image)
        self._watched = watch
        for tap in self._taps:
            board.record(tap, watch)
        before = board.cycles
        board.start(self.program.start)
        self._shown_from = before + START_CYCLES
        state = board.run(max_cycles)
        while state is RunState.DONE and board.busy:
            state = board.run(max_cycles)  # what ended was a frame that this one's start came upon
        if state is not RunState.DONE:
            raise BoardError(ErrorCode(board.error))
        return Frame(
            self.read(next(iter(self.program.outputs.values())).tensor),
            board.cycles - before,
            {name: board.output(f"counters__{index}") for index, name in enumerate(COUNTERS)},
            self._layers(),
            board.memory_statistics,
        )

    def memory(self) -> npt.NDArray[np.uint8]:
        """A copy of all of it."""
        return np.frombuffer(self.emulation.read_memory(0, self.program.beats * BEAT_BYTES), np.uint8).copy()

    def read(self, name: str) -> npt.NDArray[np.int64]:
        """A stored tensor (rows, channels), as the last frame left it."""
        allocation = self.program.allocations[name]
        return allocation.unpack(
            np.frombuffer(self.emulation.read_memory(allocation.base, allocation.beats * BEAT_BYTES), np.uint8)
        )

    def tensors(self) -> dict[str, npt.NDArray[np.int64]]:
        """Every stored tensor, as the last frame left it."""
        return tensors_of(self.program.allocations, self.memory())

    def watched(self, compiled: Compiled) -> list[Piece]:
        """What the taps showed of the last frame, which was run with `watch`.

        Raises
        ------
        OnChipError : it was not watched, or is not what the operations of `compiled` make
        """
        if not self._watched:
            raise OnChipError("The last frame was not watched; run it with watch=True.")
        recordings = {tap: self.emulation.recording(tap).since(self._shown_from) for tap in self._taps}
        return list(pieces(compiled, self.program.config, recordings))

    def _layers(self) -> list[Layer]:
        marks = self.program.marks
        return layers_of(marks, self.emulation.read_memory(self.program.log, log_bytes(len(marks))))
