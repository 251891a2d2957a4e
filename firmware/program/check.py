"""Checks a program that was read from a file. A damaged or hostile program must not reach a device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from firmware.program.program import Program
from gateware.config import BEAT_BYTES, ConfigError
from gateware.isa import ADDRESS_BITS, LOG_BEATS, Engine, Op, parts, register
from sim.reference.errors import UserError
from sim.reference.outputs import CLASSES

__all__ = ["ADDRESS_LIMIT", "check_program"]

ADDRESS_LIMIT = 1 << ADDRESS_BITS
COLOURS = 3


def check_program(program: Program, path: Path, header: Mapping[str, str]) -> None:
    """Raises UserError, naming `path`, unless everything lies inside memory and this version builds the machine."""
    try:
        fingerprint = program.config.fingerprint
    except (ConfigError, ValueError) as error:
        raise UserError(f"{path}: {error}.") from error
    if f"{fingerprint:08x}" != header.get("fingerprint"):
        raise UserError(
            f"{path} was compiled for another version of the machine {program.board} (fingerprint "
            f"{header.get('fingerprint')}, now {fingerprint:08x}); compile it again."
        )
    if not _inside_memory(program):
        raise UserError(f"{path}: something in it lies outside its memory of {program.beats} beats; compile it again.")
    if not _has_its_words(program):
        raise UserError(f"{path}: its memory holds another program than it names; compile it again.")
    if not _log_base_comes_first(program):
        raise UserError(f"{path}: it sets LOG_BASE after a MARK, so counters may go anywhere; compile it again.")
    image, crop = program.image_allocation, program.preprocessing.crop
    expected = ((crop // program.patch) ** 2, COLOURS * program.patch**2, 1)
    if (image.rows, image.columns, image.size) != expected or crop % program.patch:
        raise UserError(f"{path}: its images of {crop} pixels are no {image.rows} patches; compile it again.")
    for kind, output in program.outputs.items():
        columns, scales = program.output_allocation(kind).columns, output.scales
        if scales.shape != (columns,) or not np.isfinite(scales).all() or not _is_scale(program.image_scale):
            raise UserError(f"{path}: its {scales.size} scales do not fit its {columns} columns; compile it again.")
    if CLASSES in program.outputs:
        classes = program.output_allocation(CLASSES).columns
        if len(program.class_names) not in (0, classes):
            names = len(program.class_names)
            raise UserError(f"{path}: there are {names} names for {classes} classes; compile it again.")


def _is_scale(number: float) -> bool:
    return bool(np.isfinite(number)) and number > 0


def _inside_memory(program: Program) -> bool:
    beats, segments, allocations = program.beats, program.segments, program.allocations
    return bool(
        0 < beats <= ADDRESS_LIMIT
        and segments.ndim == 2
        and segments.shape[1] == 2
        and ((segments >= 0) & (segments <= beats)).all()
        and (segments.sum(axis=1) <= beats).all()
        and int(segments[:, 1].sum()) * BEAT_BYTES == program.memory.size
        and all(one.base + one.beats <= beats and one.rows and one.columns for one in allocations.values())
        and 0 <= program.start < beats
        and 0 <= program.alternate_start < beats
        and program.image in allocations
        and 0 <= program.alternate_image <= beats - allocations[program.image].beats
        and 0 <= program.log <= beats - LOG_BEATS * len(program.marks)
        and program.patch > 0
        and bool(program.outputs)
        and all(output.tensor in allocations for output in program.outputs.values())
    )


def _has_its_words(program: Program) -> bool:
    """Whether the instructions stand where the machine starts, and others of their number at the alternate place."""
    words = program.words.tobytes()
    alternate = _bytes_at(program, program.alternate_start, len(words))
    return bool(words) and _bytes_at(program, program.start, len(words)) == words and len(alternate) == len(words)


def _log_base_comes_first(program: Program) -> bool:
    """Whether no MARK stands before a LOG_BASE: EXEC may reach the one before the controller reads the other."""
    base, marked = register(Engine.CONTROL, "LOG_BASE").number, False
    for word in program.words.tolist():
        engine, op, _ = parts(word)
        if (engine, op) == (Engine.CONTROL.value, base) and marked:
            return False
        marked = marked or (engine, op) == (Engine.EXEC.value, Op.MARK.value)
    return True


def _bytes_at(program: Program, beat: int, length: int) -> bytes:
    """The bytes that memory must hold before a frame."""
    for base, content in program.pieces():
        offset = (beat - base) * BEAT_BYTES
        if 0 <= offset < len(content):
            return content[offset : offset + length]
    return b""
