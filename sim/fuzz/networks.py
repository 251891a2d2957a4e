"""Random small networks, chosen by their numbers of rows modulo the rows of an array."""

from __future__ import annotations

import random
from collections import defaultdict

from gateware.config import AcceleratorConfig
from sim.fuzz.machines import takes
from sim.reference.architecture import spelled_out
from sim.reference.model_shape import ModelShape
from sim.reference.swin_shape import SwinShape
from sim.reference.vit_shape import POOLS, VitShape

__all__ = ["Frame", "by_residue", "network", "residues"]

HEAD_WIDTHS = (16, 16, 24, 32, 48)
CLASSES = (1, 1, 2, 5, 10, 17)
DEPTHS = (1, 1, 1, 2, 3)
WINDOWS = range(2, 9)
MOST_PATCHES = 10  # a side

# Sides and windows, or patches a side and tokens in front of them: what the numbers of rows follow from.
Frame = tuple[str, int, int]


def residues(frame: Frame, rows: int) -> set[int]:
    """The numbers of rows of its matrices, modulo the rows of the array."""
    kind, side, more = frame
    counts = (side * side + 1 + more, side * side) if kind == "vit" else (more * more, side * side)
    return {count % rows for count in counts}


def frames_of(machine: AcceleratorConfig) -> list[Frame]:
    """Every frame of a ViT and of a Swin's map that the machine can run."""
    found: list[Frame] = []
    if takes(machine, VitShape.softmax_bits):
        found += [
            ("vit", side, distilled)
            for side in range(1, MOST_PATCHES)
            for distilled in (0, 1)
            if side * side + 1 + distilled <= machine.softmax_length
        ]
    if takes(machine, SwinShape.softmax_bits):
        found += [
            ("swin", side, window)
            for window in WINDOWS
            for side in (window, 2 * window)
            if window * window <= machine.softmax_length and side <= MOST_PATCHES
        ]
    return found


def by_residue(machine: AcceleratorConfig) -> dict[int, list[Frame]]:
    """The frames that have a residue, for each residue that a frame can have."""
    found: dict[int, list[Frame]] = defaultdict(list)
    for frame in frames_of(machine):
        for residue in residues(frame, machine.rows):
            found[residue].append(frame)
    return found


def network(frame: Frame, draw: random.Random) -> str:
    """A random architecture with those rows. Raises UserError where the dimensions drawn fit no network."""
    kind, side, more = frame
    return spelled_out(_vit(side, more, draw) if kind == "vit" else _swin(side, more, draw))


def _vit(side: int, distilled: int, draw: random.Random) -> ModelShape:
    patch = draw.choice((2, 2, 4))
    heads = draw.choice((1, 1, 2, 3))
    dim = heads * draw.choice(HEAD_WIDTHS)
    depth, classes = draw.choice(DEPTHS), draw.choice(CLASSES)
    pool = "token" if distilled else draw.choice(POOLS)
    # A register in place of the class token leaves the number of rows as it is.
    class_token = 1 if pool == "token" else draw.randint(0, 1)
    return VitShape(
        side * patch,
        patch,
        dim,
        depth,
        heads,
        classes,
        distilled,
        class_token,
        registers=1 - class_token,
        hidden=draw.choice((0, 0, 16, 80)),
        pre_norm=draw.choice((0, 0, 1)),
        pool=pool,
    )


def _swin(side: int, window: int, draw: random.Random) -> ModelShape:
    heads = draw.choice((1, 1, 2))
    width, split = draw.choice(((16, 1), (16, 2), (32, 1)))  # heads of 8 channels among them
    dim, heads = heads * width, heads * split
    stages = draw.choice((1, 2)) if side % 2 == 0 else 1
    depths = tuple(draw.choice((1, 2, 2, 3)) for _ in range(stages))
    patch = draw.choice((2, 4))
    return SwinShape(
        image=side * patch,
        patch=patch,
        dim=dim,
        depths=depths,
        heads=tuple(heads << draw.randint(0, 1) * stage for stage in range(stages)),
        window=window,
        classes=draw.choice(CLASSES),
    )
