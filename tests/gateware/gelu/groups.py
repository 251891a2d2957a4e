"""Groups of rows for ShiftGELU, the constants of their layer, and the results that the reference gives."""

import random
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.cocotb.bench import parameters
from sim.reference.arithmetic import Arithmetic
from sim.reference.nonlinear import integer_gelu
from sim.reference.polynomial_gelu import PolynomialGELU
from sim.reference.rescale import Dyadic, Rescale
from sim.reference.shiftgelu import ShiftGELU

__all__ = [
    "LEAST",
    "Group",
    "Layer",
    "beats",
    "every_value",
    "expected",
    "filling",
    "gelu",
    "random_group",
    "random_layer",
    "true_group",
]

IntArray = npt.NDArray[np.int64]

LEAST = -128


@dataclass(frozen=True)
class Layer:
    """What holds while its groups are inside."""

    x0: int
    multiplier: int
    shift: int

    def table(self, top: int) -> IntArray:
        return gelu(self.x0).table(top, Rescale(self.factor, 8))

    @property
    def factor(self) -> Dyadic:
        return Dyadic(np.array(self.multiplier), np.array(self.shift))


@dataclass(frozen=True)
class Group:
    """Four rows and the maxima that are said of them, which a row of sense does not exceed."""

    tops: list[int]
    rows: IntArray  # (4, C)


def gelu(x0: int) -> ShiftGELU | PolynomialGELU:
    return integer_gelu(Arithmetic(**parameters()["arithmetic"]), x0)


def beats(rows: IntArray) -> list[int]:
    """(4, C) to beats [4 rows][4 channels]."""
    by_beat = rows.astype(np.int8).reshape(4, -1, 4).transpose(1, 0, 2)
    return [int.from_bytes(beat.tobytes(), "little") for beat in by_beat]


def true_group(rows: IntArray) -> Group:
    return Group(rows.max(axis=1).tolist(), rows)


def every_value(tops: list[int], rng: random.Random) -> Group:
    """Rows of 256 channels that hold each value up to their maximum, in any order."""
    rows = [[*range(LEAST, top + 1), *(rng.randint(LEAST, top) for _ in range(top + 1, 128))] for top in tops]
    for row in rows:
        rng.shuffle(row)
    return Group(tops, np.array(rows))


def random_group(channels: int, rng: random.Random) -> Group:
    rows = []
    for _ in range(4):
        top = rng.choice([LEAST, LEAST + 1, -1, 0, 1, 127, rng.randrange(LEAST, 128), rng.randrange(LEAST, 128)])
        spread = rng.choice([0, 1, 10, 50, 255])
        row = [max(LEAST, top - rng.randint(0, spread)) for _ in range(channels)]
        row[rng.randrange(channels)] = top
        rows.append(row)
    return true_group(np.array(rows))


def random_layer(x0: int, rng: random.Random) -> Layer:
    """Factors whose results fill 8 bits, with ties, saturation, and now and then a shift that is far off."""
    bits = parameters()["arithmetic"]["multiplier_bits"]
    magnitude = rng.choice([1 << (bits - 1), (1 << bits) - 1, *(rng.randrange(1 << (bits - 1), 1 << bits),) * 4])
    shift = rng.choice([*range(bits + 4, bits + 9)] * 2 + [0, 127, rng.randrange(128)] + [rng.randrange(bits + 16)] * 6)
    return Layer(x0, magnitude * rng.choice([1, 1, -1]), shift)


def expected(layer: Layer, groups: list[Group]) -> list[tuple[int, int]]:
    """Of each beat, its bits and those that matter: results above a row's maximum are nobody's business."""
    tables: dict[int, IntArray] = {}
    result = []
    for group in groups:
        for top in group.tops:
            tables.setdefault(top, layer.table(top))
        wanted = np.array([tables[top][row - LEAST] for top, row in zip(group.tops, group.rows, strict=True)])
        if group.tops == group.rows.max(axis=1).tolist():
            applied = Rescale(layer.factor, 8).apply(gelu(layer.x0).apply(group.rows))
            np.testing.assert_array_equal(applied, wanted)
        matters = np.where(group.rows <= np.array(group.tops)[:, None], -1, 0)
        result += list(zip(beats(wanted), beats(matters), strict=True))
    return result


def filling(rng: random.Random) -> tuple[int, int]:
    """A factor of about 1/128: the largest product gives about 127."""
    bits = parameters()["arithmetic"]["multiplier_bits"]
    return rng.randrange(1 << (bits - 1), 1 << bits), bits + 7
