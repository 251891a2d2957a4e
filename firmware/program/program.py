"""A compiled model: everything that a device and its host need to run it on one machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware.program.allocation import Allocation
from gateware.config import BEAT_BYTES, AcceleratorConfig, changed, config
from sim.reference.preprocess import Preprocessing
from sim.reference.scales import quantise

__all__ = ["Program", "ProgramOutput"]


@dataclass(frozen=True)
class ProgramOutput:
    """What the host reads after a frame: a stored tensor, and the value of one unit of each of its columns."""

    tensor: str
    scales: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Program:
    """A compiled model.

    Parameters
    ----------
    board : configuration preset
    settings : what the board's configuration has other than the preset
    arithmetic : its arithmetic's name
    architecture : the model's, spelled out
    model : fingerprint of the model that it was compiled from: programs that have it in common give the same integers
    preprocessing, class_names, image_scale : what the host needs of the model
    outputs : what the host reads, by the kinds of `sim.reference.outputs.OUTPUTS`
    words : instructions; `start` is their beat address
    alternate_start, alternate_image : beat addresses of the same instructions for an image at another place, and of it
    memory, segments : bytes that stand in memory beforehand, and where
    allocations : of every stored tensor; `image` and the outputs' among them
    marks, log : layers of the log's slots, and its beat address
    beats : of memory that a run touches
    patch : side of a patch
    """

    board: str
    settings: tuple[str, ...]
    arithmetic: str
    architecture: str
    model: str
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    image_scale: float
    outputs: Mapping[str, ProgramOutput]
    words: npt.NDArray[np.uint32]
    start: int
    memory: npt.NDArray[np.uint8]
    segments: npt.NDArray[np.int64]
    allocations: Mapping[str, Allocation]
    image: str
    marks: tuple[str, ...]
    log: int
    beats: int
    patch: int
    alternate_start: int
    alternate_image: int

    @property
    def config(self) -> AcceleratorConfig:
        """The machine."""
        return changed(config(self.board, self.arithmetic), self.settings)

    @property
    def image_allocation(self) -> Allocation:
        return self.allocations[self.image]

    def output_allocation(self, kind: str) -> Allocation:
        """The place of an output in memory."""
        return self.allocations[self.outputs[kind].tensor]

    def pieces(self) -> list[tuple[int, bytes]]:
        """(beat address, bytes) of everything that memory must hold before a frame, the program included."""
        found, position = [], 0
        for base, beats in self.segments.tolist():
            found.append((base, self.memory[position : position + beats * BEAT_BYTES].tobytes()))
            position += beats * BEAT_BYTES
        return found

    def quantised(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
        """Preprocessed images (count, 3, side, side) as the integers that enter the network."""
        return quantise(images, np.float32(self.image_scale), 8).astype(np.int8)
