"""What compiling gives: a program with everything around it, and the program file of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from firmware.compiler.fuse.layers import Plan
from firmware.compiler.lower.operations import Operation
from firmware.program.allocation import Allocation
from firmware.program.program import Program, ProgramOutput
from gateware.config import BEAT_BYTES, AcceleratorConfig, settings
from sim.reference.architecture import spelled_out
from sim.reference.integer_vit import IntegerVit
from sim.reference.rounding import IntArray

__all__ = ["Compiled", "program_of"]

Segment = tuple[int, npt.NDArray[np.uint8]]  # beat address, whole beats


@dataclass(frozen=True)
class Compiled:
    """A program with everything around it.

    Parameters
    ----------
    words : the program
    program : its beat address
    initial : (beat address, bytes) that stand in memory before it starts
    allocations : where each tensor is afterwards
    overwritten : tensors that are nowhere afterwards, as others took their places
    image : what the host writes
    alternate_program, alternate_image : beat addresses of the same program for an image at another place, so that one
        image can be written while the other is in use
    marks : layer of each slot of the log; log : its beat address
    beats : of memory that all of it takes
    orders : of tensors whose rows lie in another order than the reference's: the row of each
    """

    words: npt.NDArray[np.uint32]
    program: int
    initial: list[Segment]
    allocations: Mapping[str, Allocation]
    overwritten: tuple[str, ...]
    image: Allocation
    alternate_program: int
    alternate_image: int
    marks: tuple[str, ...]
    log: int
    beats: int
    orders: Mapping[str, IntArray] = field(repr=False)
    operations: list[Operation] = field(repr=False)
    plan: Plan = field(repr=False)


def program_of(model: IntegerVit, compiled: Compiled, machine: AcceleratorConfig) -> Program:
    """The program file's content of a compiled model."""
    segments = _joined(compiled.initial)
    return Program(
        board=machine.name,
        settings=settings(machine),
        arithmetic=machine.arithmetic.name,
        architecture=spelled_out(model.model.shape),
        preprocessing=model.model.preprocessing,
        class_names=model.model.class_names,
        image_scale=float(model.model.image_scale),
        words=compiled.words,
        start=compiled.program,
        memory=np.concatenate([content for _, content in segments]),
        segments=np.array([(base, len(content) // BEAT_BYTES) for base, content in segments], np.int64),
        allocations=compiled.allocations,
        image=compiled.plan.image,
        outputs=_outputs(model, compiled),
        model=model.model.fingerprint(),
        marks=compiled.marks,
        log=compiled.log,
        beats=compiled.beats,
        patch=compiled.plan.patch,
        alternate_start=compiled.alternate_program,
        alternate_image=compiled.alternate_image,
    )


def _outputs(model: IntegerVit, compiled: Compiled) -> dict[str, ProgramOutput]:
    """What the host reads, each with a scale for every column."""
    found = {}
    for kind, output in model.outputs.items():
        columns = compiled.allocations[output.tensor].columns
        scales = np.ascontiguousarray(np.broadcast_to(model.model.scales(output), columns))
        found[kind] = ProgramOutput(output.tensor, scales)
    return found


def _joined(segments: list[Segment]) -> list[Segment]:
    """The same by address, those that touch as one."""
    joined: list[Segment] = []
    for base, content in sorted(segments, key=lambda segment: segment[0]):
        if joined and joined[-1][0] + len(joined[-1][1]) // BEAT_BYTES == base:
            joined[-1] = (joined[-1][0], np.concatenate([joined[-1][1], content]))
        else:
            joined.append((base, content))
    return joined
