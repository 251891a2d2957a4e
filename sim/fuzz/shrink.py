"""Makes a failing case smaller, as long as it fails."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator

from sim.emulator.memories import RANDOM, memory_named
from sim.fuzz.case import Case
from sim.reference.architecture import parse_architecture, spelled_out
from sim.reference.errors import UserError
from sim.reference.model_shape import ModelShape
from sim.reference.swin_shape import SwinShape
from sim.reference.vit_shape import VitShape

__all__ = ["shrunk"]

SIMPLE_MEMORIES = ("ideal", "arty_a7", "ulx3s_85f")
# What of a random memory can go, one after the other.
SIMPLER: tuple[dict[str, int], ...] = (
    {"banks": 0},
    {"t_refi": 0},
    {"answer_stall": 0},
    {"word_stall": 0},
    {"command_stall": 0},
    {"words_follow": 0},
    {"refresh_burst": 1},
    {"crossing": 0},
    {"clock_num": 1, "clock_den": 1},
    {"t_ccd": 1},
    {"read_latency": 8},
)


def shrunk(case: Case, fails: Callable[[Case], bool], seconds: float = 120.0) -> Case:
    """The smallest case that was found to fail; `case` itself fails. Greedy: the first simpler case that fails is next.

    Parameters
    ----------
    fails : whether a case fails; a case that cannot be run raises UserError, and does not count
    seconds : after which it ends with what it has
    """
    end = time.monotonic() + seconds
    tried = {case}
    going = True
    while going:
        going = False
        for candidate in _simpler(case):
            if time.monotonic() > end:
                return case
            if candidate in tried:
                continue
            tried.add(candidate)
            if _fails(candidate, fails):
                case, going = candidate, True
                break
    return case


def _fails(case: Case, fails: Callable[[Case], bool]) -> bool:
    try:
        return fails(case)
    except UserError:
        return False


def _simpler(case: Case) -> Iterator[Case]:
    """Simpler cases, the simplest first."""
    for count in (1, 2):
        if len(case.steps) > count:
            yield dataclasses.replace(case, steps=case.steps[-count:])
    for place in range(len(case.steps) - 1):
        yield dataclasses.replace(case, steps=case.steps[:place] + case.steps[place + 1 :])
    for memory in _simpler_memories(case.memory):
        yield dataclasses.replace(case, memory=memory)
    shape = parse_architecture(case.network)
    for changes in _simpler_shapes(shape):
        try:
            yield dataclasses.replace(case, network=spelled_out(dataclasses.replace(shape, **changes)))  # type: ignore[type-var]
        except UserError:
            continue
    if case.weights > 1:
        yield dataclasses.replace(case, weights=1)
    if case.images > 1:
        yield dataclasses.replace(case, images=1)


def _simpler_memories(memory: str) -> Iterator[str]:
    name, *changes = memory.split(",")
    if not name.startswith(RANDOM):
        yield from SIMPLE_MEMORIES[: SIMPLE_MEMORIES.index(memory)] if memory in SIMPLE_MEMORIES else SIMPLE_MEMORIES
        return
    yield from SIMPLE_MEMORIES
    profile = memory_named(memory)
    for changed in SIMPLER:
        more = [f"{field}={value}" for field, value in changed.items() if getattr(profile, field) != value]
        if more and not any(change.partition("=")[0] in changed for change in changes):
            yield ",".join([memory, *more])


def _simpler_shapes(shape: ModelShape) -> Iterator[dict[str, object]]:
    """Changes of the dimensions; some do not fit the others."""
    if shape.classes > 1:
        yield {"classes": 1}
    if isinstance(shape, VitShape):
        yield from ({"depth": depth} for depth in range(1, shape.depth))
        if shape.distilled:
            yield {"distilled": 0}
        width = shape.dim // shape.heads
        yield from ({"heads": heads, "dim": heads * width} for heads in range(1, shape.heads))
        yield from ({"dim": shape.heads * narrow} for narrow in range(16, width, 16))
        yield from ({"image": image} for image in range(shape.patch, shape.image, shape.patch))
    if isinstance(shape, SwinShape):
        for stages in range(1, len(shape.depths)):
            yield {"depths": shape.depths[:stages], "heads": shape.heads[:stages]}
        for stage, depth in enumerate(shape.depths):
            for fewer in range(1, depth):
                yield {"depths": (*shape.depths[:stage], fewer, *shape.depths[stage + 1 :])}
        yield {"heads": (1,) * len(shape.heads), "dim": 16}
        yield {"dim": 16}
        yield from ({"image": image} for image in range(shape.patch, shape.image, shape.patch))
    if shape.patch > 2:
        yield {"patch": 2, "image": shape.image // shape.patch * 2}
