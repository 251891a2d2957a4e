"""Runs a case: its frames on one emulated board, every tensor and every tap against the reference."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from firmware.compiler.compiled import Compiled, program_of
from firmware.compiler.compiler import compile_graph
from firmware.compiler.schedule.cost import predict
from firmware.program.program import Program
from firmware.quantiser.random_model import random_model
from gateware.config import BEAT_BYTES, AcceleratorConfig
from sim.emulator.board import Board
from sim.emulator.exactness import FRAME_ERRORS, checked_frame
from sim.fuzz.case import Case, Cut
from sim.reference.architecture import parse_architecture
from sim.reference.integer_vit import IntegerVit

__all__ = ["Outcome", "Prepared", "prepared", "run_case"]

STOP_CYCLES = 4
TOLD = 2  # tensors that differ, in the order of the graph
CUT_IMAGE = -1  # the image of frames that are cut short: no whole frame has it


@dataclass(frozen=True)
class Prepared:
    """A network, compiled; ``cycles``: of a frame, as the compiler predicts them."""

    model: IntegerVit
    compiled: Compiled
    program: Program
    cycles: int


@dataclass(frozen=True)
class Outcome:
    """The outcome of a case.

    Parameters
    ----------
    frames, cuts, integers, cycles : whole frames, frames cut short, integers compared, cycles of the whole frames
    failure : a sentence, with the place of the failing step in ``step``; None if every integer is the reference's
    """

    frames: int
    cuts: int
    integers: int
    cycles: int
    failure: str | None = None
    step: int = 0


@functools.lru_cache(maxsize=8)
def prepared(network: str, weights: int, machine: AcceleratorConfig) -> Prepared:
    """A network of random weights for a machine. Raises CompileError for one that the machine cannot run."""
    shape = parse_architecture(network)
    model = IntegerVit(random_model(shape, machine.arithmetic.name, np.random.default_rng(weights)))
    compiled = compile_graph(model.graph, machine, shape.image)
    cycles = round(predict(machine, compiled.operations).cycles)
    return Prepared(model, compiled, program_of(model, compiled, machine), cycles)


def image_of(case: Case, number: int, side: int) -> npt.NDArray[np.int8]:
    """An image of a case: int8 of all values."""
    rng = np.random.default_rng([case.images, number + 1])
    return rng.integers(-128, 128, (3, side, side)).astype(np.int8)


def run_case(case: Case) -> Outcome:
    """Every step of the case, up to the first failure. Raises CompileError where the machine cannot run the network."""
    ready = prepared(case.network, case.weights, case.machine())
    side = ready.model.model.shape.image
    frames = cuts = integers = cycles = 0
    with Board(ready.program, case.memory) as board:
        _fill(board, case.images)
        for place, step in enumerate(case.steps):
            try:
                if isinstance(step, Cut):
                    _cut(board, image_of(case, CUT_IMAGE, side), step)
                    cuts += 1
                    continue
                image = image_of(case, step, side)
                frame, comparison = checked_frame(board, ready.model, ready.compiled, image)
            except FRAME_ERRORS as error:
                return Outcome(frames, cuts, integers, cycles, str(error), place)
            frames, integers, cycles = frames + 1, integers + comparison.integers, cycles + frame.cycles
            found = list(comparison.different)
            if frame.memory.refused or frame.memory.out_of_range:
                found.append(
                    f"{frame.memory.refused} words of memory were not taken, and {frame.memory.out_of_range} commands "
                    "went beyond its end"
                )
            if found:
                more = f"; and {len(found) - TOLD} more" if len(found) > TOLD else ""
                return Outcome(frames, cuts, integers, cycles, "; ".join(found[:TOLD]) + more, place)
    return Outcome(frames, cuts, integers, cycles)


def _fill(board: Board, seed: int) -> None:
    """Fills unused memory with noise, so that nothing can rely on zeros."""
    noise = np.random.default_rng(seed).integers(0, 256, board.program.beats * BEAT_BYTES, np.uint8)
    board.emulation.write_memory(0, noise.tobytes())
    board.restore()


def _cut(board: Board, image: npt.NDArray[np.int8], cut: Cut) -> None:
    """A frame that is abandoned; of ``start`` the next frame's start ends it."""
    emulation = board.emulation
    board.put_image(image)
    emulation.start(board.program.start)
    emulation.run(cut.cycles)
    if cut.way == "reset":
        emulation.reset()
    elif cut.way == "stop":
        emulation.set_input("stop", 1)
        emulation.run(STOP_CYCLES)
        emulation.set_input("stop", 0)
